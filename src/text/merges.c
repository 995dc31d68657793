/* Unit merges: the merge table and the merging of a row of symbols. See merges.h. */
#include "text/merges.h"

#define BLOCK      64
#define MOST_LEVELS 6           /* 64^6 is more than the symbols of any word */

bool aki__merges_init(struct aki__merges *m, size_t count)
{
    unsigned bits = 8;

    while (((size_t)1 << bits) < count + count / 2)
        bits++;
    *m = (struct aki__merges){ .mask = ((size_t)1 << bits) - 1, .shift = 64 - bits };
    m->slots = aki__alloc_aligned(m->mask + 1, sizeof *m->slots);
    m->filter = aki__zalloc((m->mask + 1) / 8, sizeof *m->filter);
    if (!m->slots || !m->filter)
        return false;
    memset(m->slots, 0xFF, (m->mask + 1) * sizeof *m->slots);
    return true;
}

void aki__merges_free(struct aki__merges *m)
{
    aki__free_aligned(m->slots);
    aki__free(m->filter);
    *m = (struct aki__merges){ 0 };
}

/* A limit of probes far above that of real tables, whose mean is 2. */
#define PROBES_LIMIT(count) (64 * (count) + 65536)

bool aki__merges_add(struct aki__merges *m, struct aki__merge merge)
{
    uint64_t hash = aki__merges_hash(merge.left, merge.right);
    size_t bit = (size_t)(hash >> (m->shift - 3)), i = bit / 8;

    m->filter[bit / 64] |= UINT64_C(1) << (bit % 64);
    while (m->slots[i].left >= 0 && (m->slots[i].left != merge.left || m->slots[i].right != merge.right))
        i = (i + 1) & m->mask, m->probes++;
    m->slots[i] = merge;
    return ++m->count, m->probes <= PROBES_LIMIT(m->count);
}

bool aki__row_reserve(struct aki__symbols *row, size_t count)
{
    size_t keys = 0;

    /* The number of keys of all levels, each padded to whole blocks. */
    for (size_t n = count; ; n = (n + BLOCK - 1) / BLOCK) {
        keys += (n + BLOCK - 1) / BLOCK * BLOCK;
        if (n <= BLOCK)
            break;
    }
    return aki__grow((void **)&row->symbols, &row->capacity, count, sizeof *row->symbols)
        && aki__grow((void **)&row->keys, &row->keys_capacity, keys, sizeof *row->keys);
}

void aki__row_free(struct aki__symbols *row)
{
    aki__free(row->symbols);
    aki__free(row->keys);
    *row = (struct aki__symbols){ 0 };
}

/* count is a multiple of 4: four minima in parallel, which compilers turn into one vector. */
static inline int32_t least(const int32_t *keys, size_t count)
{
    int32_t a = keys[0], b = keys[1], c = keys[2], d = keys[3];

    for (size_t i = 4; i < count; i += 4) {
        a = keys[i] < a ? keys[i] : a;
        b = keys[i + 1] < b ? keys[i + 1] : b;
        c = keys[i + 2] < c ? keys[i + 2] : c;
        d = keys[i + 3] < d ? keys[i + 3] : d;
    }
    a = b < a ? b : a;
    c = d < c ? d : c;
    return c < a ? c : a;
}

/* A tree of minima, 64 to a node. */
struct tree { int32_t *level[MOST_LEVELS]; size_t top, top_count; };

static void set_minimum(struct tree *t, size_t level, size_t block)
{
    int32_t key = least(t->level[level] + block * BLOCK, BLOCK);

    t->level[level + 1][block] = key == AKI_NO_KEY ? key : (key & ~(BLOCK - 1)) | (int32_t)(block % BLOCK);
}

/* Computes the levels above `count` keys. */
static void grow_tree(struct tree *t, int32_t *keys, size_t count)
{
    t->level[0] = keys;
    for (t->top = 0; ; t->top++) {
        size_t whole = (count + BLOCK - 1) / BLOCK * BLOCK;
        /* A single block is searched only as far as it is used. */
        size_t padded = count <= BLOCK ? (count + 3) / 4 * 4 : whole;
        for (size_t i = count; i < padded; i++)
            t->level[t->top][i] = AKI_NO_KEY;
        t->top_count = padded;
        if (count <= BLOCK)
            return;
        t->level[t->top + 1] = t->level[t->top] + whole;
        count = whole / BLOCK;
        for (size_t block = 0; block < count; block++)
            set_minimum(t, t->top, block);
    }
}

/* Propagates a change of the key at `index` up the tree. */
static void settle(struct tree *t, size_t index)
{
    for (size_t level = 0; level < t->top; level++) {
        int32_t before = t->level[level + 1][index /= BLOCK];
        set_minimum(t, level, index);
        if (t->level[level + 1][index] == before)
            return;
    }
}

void aki__row_merge(struct aki__symbols *row, const struct aki__merges *m)
{
    struct aki__symbol *s = row->symbols;
    uint32_t n = (uint32_t)row->count;
    struct tree t;
    int32_t key;

    if (n == 0)
        return;
    for (uint32_t i = 0; i < n; i++) {
        s[i].previous = i - 1;
        s[i].next = i + 1;
    }
    row->keys[n - 1] = AKI_NO_KEY;
    grow_tree(&t, row->keys, n);
    while ((key = least(t.level[t.top], t.top_count)) != AKI_NO_KEY) {
        size_t index = (size_t)key % BLOCK;
        for (size_t level = t.top; level-- > 0; )
            index = index * BLOCK + (size_t)least(t.level[level] + index * BLOCK, BLOCK) % BLOCK;
        uint32_t left = (uint32_t)index, right = s[left].next, next = s[right].next;
        s[left].id = s[left].joined;
        s[left].size += s[right].size;
        s[left].next = next;
        row->keys[right] = AKI_NO_KEY;
        row->keys[left] = AKI_NO_KEY;
        if (next < n) {
            s[next].previous = left;
            aki__row_pair(row, m, left, next);
        }
        uint32_t previous = s[left].previous;
        if (left)
            aki__row_pair(row, m, previous, left);
        if (t.top) {
            settle(&t, left);
            if (right / BLOCK != left / BLOCK)
                settle(&t, right);
            if (left && previous / BLOCK != left / BLOCK)
                settle(&t, previous);
        }
    }
}
