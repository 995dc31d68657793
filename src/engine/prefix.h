/* Unit prefix: a cache of the keys and values of prefixes that texts share, such as a query's instruction.
 *
 * Attention in these models is causal: the keys and values of a text's first tokens do not depend on later tokens, so a prefix
 * that several texts share is computed once. The cache detects prefixes: if a row begins like the previous row, the common
 * prefix is stored. So it works for texts and for rows of ids, and needs to know nothing about prompts. */
#ifndef AKI_PREFIX_H
#define AKI_PREFIX_H

#include "base/os.h"
#include "ort/session.h"

enum {
    AKI_PREFIX_LEAST = 8,       /* tokens: a shorter prefix is not stored */
    AKI_PREFIX_MOST = 512,      /* tokens of an entry */
    AKI_PREFIX_ENTRIES = 8
};

struct aki__prefix_entry {
    struct aki__prefix prefix;
    int32_t  ids[AKI_PREFIX_MOST];
    size_t   users;             /* runs that are reading the entry; it is not evicted while there are any */
    uint64_t used;              /* clock at its last use */
};

struct aki__prefix_cache {
    struct aki__lock lock;      /* guards all fields below; held only to compare ids */
    struct aki__prefix_entry *entries[AKI_PREFIX_ENTRIES];
    size_t   size, most;        /* bytes held and allowed; most 0: off */
    size_t   layers, columns;   /* dimensions of an entry */
    uint64_t clock;
    int32_t  recent[AKI_PREFIX_MOST];       /* the first ids of the previous row */
    size_t   recent_count;
};

void aki__prefix_init(struct aki__prefix_cache *c, size_t layers, size_t columns, size_t most);
void aki__prefix_free(struct aki__prefix_cache *c);

/* Says that rows which begin with these ids will be looked up: the first of them gets an entry to fill. Returns how many of the ids the others
 * can skip then; 0: none. *cached: an entry has them already. Thread-safe. */
size_t aki__prefix_expect(struct aki__prefix_cache *c, const int32_t *ids, size_t count, bool *cached);
/* Looks up a row of ids, of which at most the first `limit` may be skipped.
 * *reuse: an entry whose first *tokens ids are those of the row, to be released after the run; or NULL.
 * *keep: a new entry that this run has to fill, to be published after the run; or NULL. At most one of them is set. Thread-safe. */
void aki__prefix_look(struct aki__prefix_cache *c, const int32_t *ids, size_t count, size_t limit, struct aki__prefix_entry **reuse,
                      size_t *tokens, struct aki__prefix_entry **keep);
void aki__prefix_release(struct aki__prefix_cache *c, struct aki__prefix_entry *reused);
/* Adds an entry to the cache, which then owns it. filled: the run succeeded; false: the entry is freed. */
void aki__prefix_publish(struct aki__prefix_cache *c, struct aki__prefix_entry *kept, bool filled);

#endif
