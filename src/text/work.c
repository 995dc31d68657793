/* Unit tokenizer: the work memory of calls, which is reused by later calls. See tokenizer_parts.h. */
#include "text/tokenizer_parts.h"

/* Work memory that has grown above this many bytes is freed after the call. */
#define RETAINED_LIMIT ((size_t)16 << 20)

static void free_work(struct aki__work *w)
{
    if (!w)
        return;
    aki__algorithm_scratch_free(w->algorithm);
    aki__free(w->tokens.data);
    aki__free(w->spans);
    for (int i = 0; i < 2; i++) {
        aki__buf_free(&w->normalized[i].text);
        aki__free(w->normalized[i].map.data);
    }
    for (size_t i = 0; w->steps && i < w->n_steps; i++) {
        aki__buf_free(&w->steps[i].text);
        aki__free(w->steps[i].map.data);
    }
    aki__free(w->steps);
    aki__free(w->pending);
    aki__free(w->sorted);
    aki__regex_work_free(w->regex);
    aki__free(w);
}

struct aki__work *aki__work_acquire(const struct aki__tokenizer *t)
{
    struct aki__work *w;

    aki__lock_acquire(&t->pool->lock);
    w = t->pool->free;
    if (w)
        t->pool->free = w->next;
    aki__lock_release(&t->pool->lock);
    if (!w) {
        w = aki__zalloc(1, sizeof *w);
        if (!w)
            return NULL;
        w->owner = t;
        w->n_steps = aki__pretokenizer_buffers(t->pretokenizer);
        w->steps = aki__zalloc(w->n_steps, sizeof *w->steps);
        w->algorithm = aki__algorithm_scratch_new(t->model);
        if (!w->steps || !w->algorithm) {
            free_work(w);
            return NULL;
        }
    }
    w->next = NULL;
    w->failure = NULL;
    w->tokens.count = 0;
    return w;
}

static size_t work_size(const struct aki__work *w)
{
    size_t size = w->tokens.capacity * sizeof *w->tokens.data + w->spans_capacity * sizeof *w->spans
                  + (w->pending_capacity + w->sorted_capacity) * sizeof *w->pending + aki__algorithm_scratch_size(w->algorithm)
                  + aki__regex_work_size(w->regex);

    for (int i = 0; i < 2; i++)
        size += w->normalized[i].text.capacity + w->normalized[i].map.capacity * sizeof(struct aki__extent);
    for (size_t i = 0; i < w->n_steps; i++)
        size += w->steps[i].text.capacity + w->steps[i].map.capacity * sizeof(struct aki__extent);
    return size;
}

void aki__work_release(const struct aki__tokenizer *t, struct aki__work *w)
{
    if (!w)
        return;
    if (work_size(w) > RETAINED_LIMIT) {
        free_work(w);
        return;
    }
    aki__lock_acquire(&t->pool->lock);
    w->next = t->pool->free;
    t->pool->free = w;
    aki__lock_release(&t->pool->lock);
}

void aki__work_pool_free(struct aki__work_pool *pool)
{
    while (pool && pool->free) {
        struct aki__work *w = pool->free;
        pool->free = w->next;
        free_work(w);
    }
    aki__free(pool);
}
