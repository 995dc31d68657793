/* Unit vocabulary: maps pieces to ids and ids to pieces. All bytes are in one block, and one open-addressing table holds the ids. */
#ifndef AKI_VOCABULARY_H
#define AKI_VOCABULARY_H

#include "base/base.h"

#define AKI_VOCABULARY_LIMIT ((1 << 24) - 1)    /* ids are below this: id + 1 has 24 bits in a node of the trie */

struct aki__piece { uint32_t begin, size_1; };      /* size_1: size + 1, so that zeroed memory means "no such id" */

struct aki__vocabulary {
    char              *bytes;       /* the pieces as spelled in the file, end to end */
    struct aki__piece *pieces;      /* [limit], by id */
    size_t             limit;       /* one above the highest id */
    uint64_t          *table;       /* upper half of the hash << 32 | id + 1; 0: a free slot. At most half full */
    size_t             mask;
    size_t             used;        /* bytes in use */
    size_t             count;       /* pieces added */
    size_t             longest;     /* bytes of the longest piece */
    bool               repeats;     /* a spelling has more than one id */
};

/* Allocates memory for `count` pieces of `bytes` bytes in all, with ids below limit. false: no memory. A zeroed vocabulary may
 * be freed too. */
bool aki__vocabulary_init(struct aki__vocabulary *v, size_t count, size_t bytes, size_t limit);
void aki__vocabulary_free(struct aki__vocabulary *v);

/* Adds a piece, within the capacity of init. Its id must be new. If the spelling is not new: with replace, the spelling maps to
 * the new id, and both ids map to the spelling; without, nothing is added and the result is false. */
bool aki__vocabulary_add(struct aki__vocabulary *v, int32_t id, const char *piece, size_t size, bool replace);

/* The id of a spelling; -1: none. */
int32_t aki__vocabulary_id(const struct aki__vocabulary *v, const char *piece, size_t size);
/* The spelling of an id; owned by the vocabulary, no final NUL; NULL: none. */
const char *aki__vocabulary_piece(const struct aki__vocabulary *v, int32_t id, size_t *size);

#endif
