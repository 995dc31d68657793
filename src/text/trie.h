/* Unit trie: a double-array trie over bytes: one walk finds all pieces that begin at a position, with one load for each byte. */
#ifndef AKI_TRIE_H
#define AKI_TRIE_H

#include "text/vocabulary.h"

/* A node: base << 33 | (256 + label) << 24 | id + 1. The child for byte c is at index base ^ c and has the label c. No two
 * nodes have the same base, so a matching label proves that it is the child. Aoe 1989. */
struct aki__trie {
    uint64_t *nodes;        /* nodes[0] is the root; in blocks of 256 */
    size_t    count, capacity;
};

/* Builds the trie of all pieces that are not empty, with the ids of aki__vocabulary_id. false: no memory. */
bool aki__trie_build(struct aki__trie *t, const struct aki__vocabulary *v);
void aki__trie_free(struct aki__trie *t);

/* Moves from *node (0: the root) to its child for c. false: there is none. */
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
