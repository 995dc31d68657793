/* Unit merges: the merge table of BPE, and the merging of a word's symbols: the lowest rank first, among equal ranks the
 * leftmost pair. */
#ifndef AKI_MERGES_H
#define AKI_MERGES_H

#include "base/base.h"

#define AKI_MERGES_LIMIT (1 << 24)      /* a rank and an index in a block of 64 share 31 bits */

/* A slot of the table; left is -1 if it is free. */
struct aki__merge { int32_t left, right, id; uint32_t rank; };

struct aki__merges {
    struct aki__merge *slots;       /* open addressing by pair, at most two thirds full */
    uint64_t          *filter;      /* 8 bits for each slot, set by the hashes of all pairs: rejects most pairs that do not merge */
    size_t             mask, count, probes;     /* count: merges added; probes: occupied slots passed while adding them */
    unsigned           shift;       /* 64 - log2 of the slots */
};

/* Allocates a table for `count` merges. false: no memory. A zeroed table may be freed too. */
bool aki__merges_init(struct aki__merges *m, size_t count);
void aki__merges_free(struct aki__merges *m);
/* Adds a merge, or changes the rank of one with the same pair. false: so many merges collide, as only in a hostile file, that a
 * lookup would be too slow. */
bool aki__merges_add(struct aki__merges *m, struct aki__merge merge);

static inline uint64_t aki__merges_hash(int32_t left, int32_t right)
{
    return ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
}

/* Looks up a pair. NULL: the pair does not merge. */
static inline const struct aki__merge *aki__merges_find(const struct aki__merges *m, int32_t left, int32_t right)
{
    uint64_t hash = aki__merges_hash(left, right);
    size_t bit = (size_t)(hash >> (m->shift - 3));

    if (!(m->filter[bit / 64] >> (bit % 64) & 1))
        return NULL;
    for (size_t i = bit / 8; m->slots[i].left >= 0; i = (i + 1) & m->mask)
        if (m->slots[i].left == left && m->slots[i].right == right)
            return &m->slots[i];
    return NULL;
}

/* A symbol of a word. */
struct aki__symbol { int32_t id, joined; uint32_t size, previous, next; };      /* joined: the id when merged with the next one */

/* The symbols of a word and, for each, the key of its merge with the next one. Zeroed means empty; the next word reuses the
 * arrays. */
struct aki__symbols {
    struct aki__symbol *symbols;
    size_t              count, capacity;
    int32_t            *keys;       /* rank << 6 | index in its block of 64; then the minima of the blocks, again in blocks, and so on */
    size_t              keys_capacity;
};

#define AKI_NO_KEY INT32_MAX

/* Sets the merge of symbol i with the next symbol, which has the index j. */
static inline void aki__row_pair(struct aki__symbols *row, const struct aki__merges *m, size_t i, size_t j)
{
    const struct aki__merge *merge = aki__merges_find(m, row->symbols[i].id, row->symbols[j].id);

    row->keys[i] = AKI_NO_KEY;
    if (merge) {
        row->keys[i] = (int32_t)(merge->rank << 6 | (i & 63));
        row->symbols[i].joined = merge->id;
    }
}

/* Reserves memory for `count` symbols and their keys. */
bool aki__row_reserve(struct aki__symbols *row, size_t count);
/* Merges until no pair merges. Before: symbols have id and size, and all but the last are paired; previous and next are not
 * read. After: the remaining symbols are the list that begins at symbols[0] and follows `next`, up to count. */
void aki__row_merge(struct aki__symbols *row, const struct aki__merges *m);
void aki__row_free(struct aki__symbols *row);

#endif
