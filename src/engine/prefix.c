/* Unit prefix: the cache of keys and values of shared prefixes. See prefix.h. */
#include "engine/prefix.h"

void aki__prefix_init(struct aki__prefix_cache *c, size_t layers, size_t columns, size_t most)
{
    *c = (struct aki__prefix_cache){ .layers = layers, .columns = columns, .most = most };
}

static void free_entry(struct aki__prefix_entry *e)
{
    if (e)
        aki__free(e->prefix.data);
    aki__free(e);
}

void aki__prefix_free(struct aki__prefix_cache *c)
{
    for (size_t i = 0; i < AKI_PREFIX_ENTRIES; i++)
        free_entry(c->entries[i]);
    *c = (struct aki__prefix_cache){ 0 };
}

static size_t common(const int32_t *a, size_t a_count, const int32_t *b, size_t b_count)
{
    size_t n = 0, most = a_count < b_count ? a_count : b_count;

    while (n < most && a[n] == b[n])
        n++;
    return n;
}

static size_t size_of(const struct aki__prefix_cache *c, size_t tokens) { return c->layers * 2 * tokens * c->columns * sizeof(float); }

/* The most tokens of an entry: all of it must fit into the cache. */
static size_t most_tokens(const struct aki__prefix_cache *c)
{
    const size_t fit = c->most ? c->most / size_of(c, 1) : 0;

    return fit < AKI_PREFIX_MOST ? fit : AKI_PREFIX_MOST;
}

/* NULL: no memory. The row is then run without the cache. */
static struct aki__prefix_entry *new_entry(const struct aki__prefix_cache *c, const int32_t *ids, size_t tokens)
{
    struct aki__prefix_entry *e = aki__zalloc(1, sizeof *e);
    float *data = e ? aki__alloc(size_of(c, tokens), 1) : NULL;
    if (!data) {
        aki__free(e);
        return NULL;
    }
    memcpy(e->ids, ids, tokens * sizeof *ids);
    e->prefix = (struct aki__prefix){ .tokens = tokens, .layers = c->layers, .columns = c->columns, .data = data };
    return e;
}

/* The entry that has most of these ids at its beginning; *tokens: how many. NULL: none has any. */
static struct aki__prefix_entry *best_entry(const struct aki__prefix_cache *c, const int32_t *ids, size_t count, size_t *tokens)
{
    struct aki__prefix_entry *found = NULL;

    *tokens = 0;
    for (size_t i = 0; i < AKI_PREFIX_ENTRIES; i++) {
        struct aki__prefix_entry *e = c->entries[i];
        size_t n = e ? common(e->ids, e->prefix.tokens, ids, count) : 0;
        if (n > *tokens) {
            *tokens = n;
            found = e;
        }
    }
    return found;
}

size_t aki__prefix_expect(struct aki__prefix_cache *c, const int32_t *ids, size_t count, bool *cached)
{
    const size_t most = most_tokens(c);
    size_t found;

    *cached = false;
    if (count > most)
        count = most;
    if (count < AKI_PREFIX_LEAST)
        return 0;
    aki__lock_acquire(&c->lock);
    best_entry(c, ids, count, &found);
    *cached = found == count;
    memcpy(c->recent, ids, count * sizeof *ids);
    c->recent_count = count;
    aki__lock_release(&c->lock);
    return count;
}

void aki__prefix_look(struct aki__prefix_cache *c, const int32_t *ids, size_t count, size_t limit,
                      struct aki__prefix_entry **reuse, size_t *tokens, struct aki__prefix_entry **keep)
{
    const size_t most = most_tokens(c);
    size_t best, seen, room = count < most ? count : most;

    *reuse = *keep = NULL;
    *tokens = 0;
    if (!c->most || limit < AKI_PREFIX_LEAST)
        return;
    if (room > limit)
        room = limit;
    aki__lock_acquire(&c->lock);
    struct aki__prefix_entry *found = best_entry(c, ids, room, &best);
    seen = common(c->recent, c->recent_count, ids, room);
    memcpy(c->recent, ids, room * sizeof *ids);
    c->recent_count = room;
    /* A common prefix that is clearly longer than its entry gets a new entry. */
    bool take = best >= AKI_PREFIX_LEAST && seen < best + AKI_PREFIX_LEAST;
    if (take) {
        found->users++;
        found->used = ++c->clock;
        *reuse = found;
        *tokens = best;
    }
    aki__lock_release(&c->lock);
    if (!take && seen >= AKI_PREFIX_LEAST)
        *keep = new_entry(c, ids, seen);
}

void aki__prefix_release(struct aki__prefix_cache *c, struct aki__prefix_entry *reused)
{
    aki__lock_acquire(&c->lock);
    reused->users--;
    aki__lock_release(&c->lock);
}

/* The least recently used entry that no run is reading; ENTRIES: none. */
static size_t oldest_entry(const struct aki__prefix_cache *c)
{
    size_t oldest = AKI_PREFIX_ENTRIES;

    for (size_t i = 0; i < AKI_PREFIX_ENTRIES; i++)
        if (c->entries[i] && !c->entries[i]->users && (oldest == AKI_PREFIX_ENTRIES || c->entries[i]->used < c->entries[oldest]->used))
            oldest = i;
    return oldest;
}

static size_t empty_place(const struct aki__prefix_cache *c)
{
    size_t i = 0;

    while (i < AKI_PREFIX_ENTRIES && c->entries[i])
        i++;
    return i;
}

/* Removes entry i; the caller frees it without the lock. */
static struct aki__prefix_entry *remove_entry(struct aki__prefix_cache *c, size_t i)
{
    struct aki__prefix_entry *e = c->entries[i];

    c->size -= size_of(c, e->prefix.tokens);
    c->entries[i] = NULL;
    return e;
}

void aki__prefix_publish(struct aki__prefix_cache *c, struct aki__prefix_entry *kept, bool filled)
{
    struct aki__prefix_entry *dropped[AKI_PREFIX_ENTRIES];
    size_t n = 0, need = size_of(c, kept->prefix.tokens);

    aki__lock_acquire(&c->lock);
    /* Entries that the new one covers are removed. Another thread may have stored the same prefix in the meantime. */
    for (size_t i = 0; i < AKI_PREFIX_ENTRIES && filled; i++) {
        struct aki__prefix_entry *e = c->entries[i];
        size_t same = e ? common(e->ids, e->prefix.tokens, kept->ids, kept->prefix.tokens) : 0;
        if (e && same == kept->prefix.tokens)
            filled = false;
        else if (e && same == e->prefix.tokens && !e->users)
            dropped[n++] = remove_entry(c, i);
    }
    while (filled && (c->size + need > c->most || empty_place(c) == AKI_PREFIX_ENTRIES)) {
        size_t oldest = oldest_entry(c);
        if (oldest == AKI_PREFIX_ENTRIES)
            filled = false;
        else
            dropped[n++] = remove_entry(c, oldest);
    }
    if (filled) {
        c->entries[empty_place(c)] = kept;
        c->size += need;
        kept->used = ++c->clock;
        kept = NULL;
    }
    aki__lock_release(&c->lock);
    free_entry(kept);
    while (n-- > 0)
        free_entry(dropped[n]);
}
