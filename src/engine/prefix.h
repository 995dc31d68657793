/* Unit prefix: the keys and values of beginnings that texts share (a query's instruction), kept between runs.
 *
 * Attention is causal in these models: what a text's first tokens give does not depend on what follows, so any common beginning of two token
 * rows may be computed once. Beginnings are noticed, not declared: a row that begins like the row before it is kept as far as both agree.
 * So it works for texts and for ids alike, and knows nothing of prompts. */
#ifndef AKI_PREFIX_H
#define AKI_PREFIX_H

#include "base/os.h"
#include "ort/session.h"

enum {
    AKI_PREFIX_LEAST = 8,       /* tokens: shorter ones are not worth an entry */
    AKI_PREFIX_MOST = 128,      /* of an entry */
    AKI_PREFIX_ENTRIES = 8
};

struct aki__prefix_entry {
    struct aki__prefix prefix;
    int32_t  ids[AKI_PREFIX_MOST];
    size_t   users;             /* runs that read it now; it cannot go as long */
    uint64_t used;              /* when last found */
};

struct aki__prefix_cache {
    struct aki__lock lock;      /* guards all below; held for comparing ids only */
    struct aki__prefix_entry *entries[AKI_PREFIX_ENTRIES];
    size_t   size, most;        /* bytes held and allowed; most 0: off */
    size_t   layers, columns;   /* of an entry */
    uint64_t clock;
    int32_t  recent[AKI_PREFIX_MOST];       /* how the row before began */
    size_t   recent_count;
};

void aki__prefix_init(struct aki__prefix_cache *c, size_t layers, size_t columns, size_t most);
void aki__prefix_free(struct aki__prefix_cache *c);

/* What to do with a row of ids of which at most `limit` may be skipped.
 * *reuse: an entry whose first *tokens ids begin the row (to be released after the run); or NULL.
 * *keep: a new entry for this run to fill (to be published or dropped after the run); or NULL. Not both. Thread-safe. */
void aki__prefix_look(struct aki__prefix_cache *c, const int32_t *ids, size_t count, size_t limit, struct aki__prefix_entry **reuse, size_t *tokens, struct aki__prefix_entry **keep);
void aki__prefix_release(struct aki__prefix_cache *c, struct aki__prefix_entry *reused);
/* filled: the run succeeded. Takes the entry over. */
void aki__prefix_publish(struct aki__prefix_cache *c, struct aki__prefix_entry *kept, bool filled);

#endif
