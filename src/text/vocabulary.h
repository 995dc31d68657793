/* Unit vocabulary: pieces and their ids, both ways: all bytes in one arena, one open-addressing table, no pointer per piece. */
#ifndef AKI_VOCABULARY_H
#define AKI_VOCABULARY_H

#include "base/base.h"

#define AKI_VOCABULARY_LIMIT ((1 << 24) - 1)    /* ids are below this: id + 1 takes 24 bits in a trie's node */

struct aki__piece { uint32_t begin, size_1; };      /* size_1: size + 1, so that zeroed memory means "no such id" */

struct aki__vocabulary {
    char              *bytes;       /* as the file spells them, end to end */
    struct aki__piece *pieces;      /* [limit], by id */
    size_t             limit;       /* one above the highest id */
    uint64_t          *table;       /* upper half of the hash << 32 | id + 1; 0: free. At most half full */
    size_t             mask;
    size_t             used;        /* of bytes */
    size_t             count;       /* pieces taken in */
    size_t             longest;     /* bytes of the longest piece */
    bool               repeats;     /* a spelling has more than one id */
};

/* For count pieces of [bytes] bytes in all, ids below limit. false: no memory. Zeroed or initialised, it is valid to free. */
bool aki__vocabulary_init(struct aki__vocabulary *v, size_t count, size_t bytes, size_t limit);
void aki__vocabulary_free(struct aki__vocabulary *v);

/* Takes a piece in. It must be within what init was promised, its id not taken yet.
 * A spelling met before gets the new id where replace (as in a map), both ids keep their spelling; else false, nothing is done. */
bool aki__vocabulary_add(struct aki__vocabulary *v, int32_t id, const char *piece, size_t size, bool replace);

/* -1: none. */
int32_t aki__vocabulary_id(const struct aki__vocabulary *v, const char *piece, size_t size);
/* Borrowed, no final NUL; NULL: none. */
const char *aki__vocabulary_piece(const struct aki__vocabulary *v, int32_t id, size_t *size);

#endif
