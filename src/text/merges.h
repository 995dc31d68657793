/* Unit merges: BPE's merge table, and the merging of a row of symbols: lowest rank first, of equal ranks the leftmost. */
#ifndef AKI_MERGES_H
#define AKI_MERGES_H

#include "base/base.h"

#define AKI_MERGES_LIMIT (1 << 24)      /* a rank and a place in a block of 64 share 31 bits */

/* left -1: a free slot. */
struct aki__merge { int32_t left, right, id; uint32_t rank; };

struct aki__merges {
    struct aki__merge *slots;       /* open addressing by pair, at most two thirds full */
    uint64_t          *filter;      /* 8 bits a slot, set by the hashes of all pairs: most pairs that do not merge stop here */
    size_t             mask, count, probes;     /* count: merges added; probes: slots that adding them went past */
    unsigned           shift;       /* 64 - log2 of the slots */
};

/* For count merges. false: no memory. Zeroed or initialised, it is valid to free. */
bool aki__merges_init(struct aki__merges *m, size_t count);
void aki__merges_free(struct aki__merges *m);
/* A pair met before gets the new rank. false: the merges so far collide as only a hostile file's do, and looking one up would take for ever. */
bool aki__merges_add(struct aki__merges *m, struct aki__merge merge);

static inline uint64_t aki__merges_hash(int32_t left, int32_t right)
{
    return ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
}

/* NULL: the pair does not merge. */
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

/* A symbol of the word at hand. */
struct aki__symbol { int32_t id, joined; uint32_t size, previous, next; };      /* joined: the id when merged with the next one */

/* The row: symbols and, for each, the key of its merge with the next one. Zeroed means empty; arrays are reused by the next word. */
struct aki__symbols {
    struct aki__symbol *symbols;
    size_t              count, capacity;
    int32_t            *keys;       /* rank << 6 | place in its block of 64; the blocks' minima behind them, again in blocks … */
    size_t              keys_capacity;
};

#define AKI_NO_KEY INT32_MAX

/* Sets what symbol i becomes with the one behind it, at place j. */
static inline void aki__row_pair(struct aki__symbols *row, const struct aki__merges *m, size_t i, size_t j)
{
    const struct aki__merge *merge = aki__merges_find(m, row->symbols[i].id, row->symbols[j].id);

    row->keys[i] = AKI_NO_KEY;
    if (merge) {
        row->keys[i] = (int32_t)(merge->rank << 6 | (i & 63));
        row->symbols[i].joined = merge->id;
    }
}

/* Room for count symbols and the keys that go with them. */
bool aki__row_reserve(struct aki__symbols *row, size_t count);
/* Merges all there is. symbols hold id and size, all but the last are paired; previous and next are not read. Afterwards the
 * symbols that are left begin at symbols[0] and follow next, up to count. */
void aki__row_merge(struct aki__symbols *row, const struct aki__merges *m);
void aki__row_free(struct aki__symbols *row);

#endif
