/* Unit trie: a double-array trie over bytes: all pieces that begin at a place are found in one walk, a step is one load. */
#ifndef AKI_TRIE_H
#define AKI_TRIE_H

#include "text/vocabulary.h"

/* A node: base << 33 | (256 + label) << 24 | id + 1. The child by byte c stands at base ^ c and carries the label c; no two
 * nodes share a base, so a label that fits proves the child. Aoe 1989. */
struct aki__trie {
    uint64_t *nodes;        /* nodes[0] is the root; in blocks of 256 */
    size_t    count, capacity;
};

/* Holds the pieces of the vocabulary that are not empty, by the id that aki__vocabulary_id answers. false: no memory. */
bool aki__trie_build(struct aki__trie *t, const struct aki__vocabulary *v);
void aki__trie_free(struct aki__trie *t);

/* Goes from *node (0: the root) along c; false: there is no such piece. */
static inline bool aki__trie_step(const struct aki__trie *t, uint32_t *node, unsigned char c)
{
    uint32_t next = (uint32_t)(t->nodes[*node] >> 33) ^ c;

    if ((t->nodes[next] >> 24 & 0x1FF) != (0x100u | c))
        return false;
    *node = next;
    return true;
}
/* The id of the piece that ends at a node; -1: none. */
static inline int32_t aki__trie_id(const struct aki__trie *t, uint32_t node) { return (int32_t)(t->nodes[node] & 0xFFFFFF) - 1; }

#endif
