/* Unit trie: building the double array. See trie.h. */
#include "text/trie.h"

#define BLOCK 256
/* How many slots back a free one is searched: several children rarely fit into the gaps of old blocks, and single ones fill them.
 * A wider search made building ten times slower, and saved one slot of a hundred. */
#define NEAR_MANY BLOCK
#define NEAR_ONE  (2 * BLOCK)

struct key { uint32_t begin, size; int32_t id; };

/* Pieces first … last - 1 have the first `depth` bytes in common, which lead to `node`. */
struct range { size_t first, last; uint32_t depth, node; };

struct builder {
    struct aki__trie   *trie;
    const char         *bytes;
    struct key         *keys, *sorted;
    struct range       *stack;
    size_t              stack_size, stack_capacity;
    uint64_t           *used, *based;               /* bits: the slot is used; a node has this base */
    size_t              used_capacity, based_capacity;
};

static bool bit(const uint64_t *bits, size_t i) { return bits[i / 64] >> (i % 64) & 1; }
static void set(uint64_t *bits, size_t i) { bits[i / 64] |= UINT64_C(1) << (i % 64); }

static bool add_block(struct builder *b)
{
    struct aki__trie *t = b->trie;
    size_t count = t->count + BLOCK;

    if (count > (UINT64_C(1) << 31) || !aki__grow((void **)&t->nodes, &t->capacity, count, sizeof *t->nodes)
        || !aki__grow((void **)&b->used, &b->used_capacity, count / 64, sizeof *b->used)
        || !aki__grow((void **)&b->based, &b->based_capacity, count / 64, sizeof *b->based))
        return false;
    memset(t->nodes + t->count, 0, BLOCK * sizeof *t->nodes);
    memset(b->used + t->count / 64, 0, BLOCK / 8);
    memset(b->based + t->count / 64, 0, BLOCK / 8);
    t->count = count;
    return true;
}

/* The first free slot from i on, or trie->count. */
static size_t free_slot(const struct builder *b, size_t i)
{
    size_t word = i / 64, words = b->trie->count / 64;

    if (word >= words)
        return b->trie->count;
    uint64_t open = ~b->used[word] >> (i % 64) << (i % 64);
    while (!open) {
        if (++word == words)
            return b->trie->count;
        open = ~b->used[word];
    }
    return word * 64 + (size_t)__builtin_ctzll(open);
}

/* Finds a base with which every label is in a free slot; false: no memory. */
static bool find_base(struct builder *b, const unsigned char *labels, size_t count, uint32_t *out)
{
    size_t near = count > 1 ? NEAR_MANY : NEAR_ONE;
    size_t slot = free_slot(b, b->trie->count > near ? b->trie->count - near : 0);

    for (;; slot = free_slot(b, slot + 1)) {
        if (slot >= b->trie->count) {
            slot = b->trie->count;
            if (!add_block(b))
                return false;
        }
        size_t base = slot ^ labels[0], i = 1;
        if (bit(b->based, base))
            continue;
        while (i < count && !bit(b->used, base ^ labels[i]))
            i++;
        if (i == count) {
            *out = (uint32_t)base;
            return true;
        }
    }
}

/* Sorts the keys of a range by the byte at its depth. */
static void sort(struct builder *b, const struct range *r)
{
    struct key *keys = b->keys;

    if (r->last - r->first <= 24) {
        for (size_t i = r->first + 1; i < r->last; i++) {
            struct key key = keys[i];
            unsigned char c = (unsigned char)b->bytes[key.begin + r->depth];
            size_t k = i;
            for (; k > r->first && (unsigned char)b->bytes[keys[k - 1].begin + r->depth] > c; k--)
                keys[k] = keys[k - 1];
            keys[k] = key;
        }
        return;
    }
    size_t at[256] = { 0 }, sum = r->first;
    for (size_t i = r->first; i < r->last; i++)
        at[(unsigned char)b->bytes[keys[i].begin + r->depth]]++;
    for (int c = 0; c < 256; c++) {
        size_t n = at[c];
        at[c] = sum;
        sum += n;
    }
    for (size_t i = r->first; i < r->last; i++)
        b->sorted[at[(unsigned char)b->bytes[keys[i].begin + r->depth]]++] = keys[i];
    memcpy(keys + r->first, b->sorted + r->first, (r->last - r->first) * sizeof *keys);
}

/* Gives a node its id and its children, and pushes their ranges on the stack. */
static bool expand(struct builder *b, struct range r)
{
    unsigned char labels[256];
    size_t count = 0, begins[257];
    uint32_t base;

    for (size_t i = r.first; i < r.last; i++)
        if (b->keys[i].size == r.depth) {
            b->trie->nodes[r.node] |= (uint32_t)(b->keys[i].id + 1);
            b->keys[i] = b->keys[r.first++];
            break;
        }
    if (r.first == r.last)
        return true;
    sort(b, &r);
    for (size_t i = r.first; i < r.last; i++) {
        unsigned char c = (unsigned char)b->bytes[b->keys[i].begin + r.depth];
        if (!count || c != labels[count - 1]) {
            begins[count] = i;
            labels[count++] = c;
        }
    }
    begins[count] = r.last;
    if (!find_base(b, labels, count, &base) || !aki__grow((void **)&b->stack, &b->stack_capacity, b->stack_size + count, sizeof *b->stack))
        return false;
    set(b->based, base);
    b->trie->nodes[r.node] |= (uint64_t)base << 33;
    for (size_t i = count; i-- > 0; ) {
        uint32_t child = base ^ labels[i];
        set(b->used, child);
        b->trie->nodes[child] = (uint64_t)(0x100u | labels[i]) << 24;
        b->stack[b->stack_size++] = (struct range){ begins[i], begins[i + 1], r.depth + 1, child };
    }
    return true;
}

bool aki__trie_build(struct aki__trie *t, const struct aki__vocabulary *v)
{
    struct builder b = { .trie = t, .bytes = v->bytes };
    size_t count = 0;
    bool done = false;

    *t = (struct aki__trie){ 0 };
    b.keys = aki__alloc(v->count, sizeof *b.keys);
    b.sorted = aki__alloc(v->count, sizeof *b.sorted);
    if (!b.keys || !b.sorted || !add_block(&b))
        goto done;
    for (size_t id = 0; id < v->limit; id++) {
        size_t size;
        const char *piece = aki__vocabulary_piece(v, (int32_t)id, &size);
        if (piece && size && (!v->repeats || aki__vocabulary_id(v, piece, size) == (int32_t)id))
            b.keys[count++] = (struct key){ v->pieces[id].begin, (uint32_t)size, (int32_t)id };
    }
    /* The first block contains only the root: the base of a leaf is 0, and no label matches there. */
    memset(b.used, 0xFF, BLOCK / 8);
    if (!aki__grow((void **)&b.stack, &b.stack_capacity, 1, sizeof *b.stack))
        goto done;
    b.stack[b.stack_size++] = (struct range){ 0, count, 0, 0 };
    while (b.stack_size)
        if (!expand(&b, b.stack[--b.stack_size]))
            goto done;
    done = true;
done:
    aki__free(b.keys);
    aki__free(b.sorted);
    aki__free(b.stack);
    aki__free(b.used);
    aki__free(b.based);
    if (!done)
        aki__trie_free(t);
    return done;
}

void aki__trie_free(struct aki__trie *t)
{
    aki__free(t->nodes);
    *t = (struct aki__trie){ 0 };
}
