/* Unit runs: splits the queue of a call into runs, and computes them in parallel, each on one thread. A single run is split
 * between the threads, which wait for each other at every operator: with int8 that costs a third of the time. */
#include "engine/engine.h"

#include <stdlib.h>

enum {
    RUNS_AT_ONCE = 16,          /* for each thread: few threads wait at the end, and memory is bounded for any number of texts */
    ROWS_IN_CACHE = 1 << 20,    /* bytes of the widest rows up to which a run is fast */
    WEIGHTS_IN_CACHE = 16 << 20
};

struct aki__queued { size_t item, begin, count, skip; };     /* a queued text: ids [begin, begin + count) */

/* A run of the texts [first, last). */
struct part { size_t first, last; aki_status rc; aki_error error; };

struct work {
    struct aki__runs *w;
    struct part      *parts;
    const void       *caller;   /* the thread on which the cancel callback may be called */
    atomic_bool       stop;
};

static const void *this_thread(void)
{
    static _Thread_local char here;
    return &here;
}

static bool cancelled(const struct aki__request *r) { return r->cancel && r->cancel(r->cancel_user); }

static aki_status fail_cancelled(aki_error *err) { return aki__fail(err, AKI_E_CANCELLED, "cancelled by the caller"); }

/* Computes one run, from ids to result rows. */
static aki_status run(struct aki__runs *w, const struct part *part, aki_error *err)
{
    size_t columns = w->r->columns, first_token = w->tokens_done + w->texts[part->first].begin;
    struct aki__plan p = { 0 };
    aki_status rc = AKI_OK;

    for (size_t i = part->first; i < part->last && !rc; i++) {
        const struct aki__queued *t = &w->texts[i];
        rc = aki__plan_add(&p, w->m, w->r,
                           &(struct aki__row){ .ids = w->ids + t->begin, .types = w->typed ? w->types + t->begin : NULL, .count = t->count,
                                                               .skip = t->skip, .item = t->item }, err);
    }
    if (!rc) rc = aki__plan_run(&p, w->m, w->r, err);
    for (size_t v = 0; v < p.vectors && !rc; v++) {
        size_t row = w->r->output == AKI_OUTPUT_TOKENS ? first_token + v : p.items[v];
        rc = aki__name_item(err, aki__row_write(w->out + row * w->row_size, p.out + v * columns, w->r, err), p.items[v]);
    }
    aki__plan_clear(&p, w->m, rc == AKI_OK);
    aki__plan_free(&p, w->m);
    return rc;
}

static void run_part(void *user, size_t i)
{
    struct work *work = user;
    struct part *part = &work->parts[i];

    if (atomic_load(&work->stop))
        return;
    if (this_thread() == work->caller && cancelled(work->w->r))
        part->rc = fail_cancelled(&part->error);
    else
        part->rc = run(work->w, part, &part->error);
    if (part->rc)
        atomic_store(&work->stop, true);
}

/* The least number of tokens for which a run on one thread is worthwhile, since every run reads all weights. */
static size_t worth_alone(const aki_model *m) { return m->run.weights_size <= WEIGHTS_IN_CACHE ? 16 : 96; }

/* The tokens of a run that is computed in parallel with others: what one operator passes to the next should fit in the cache. */
static size_t run_tokens(const aki_model *m)
{
    size_t most = (size_t)m->max_batch_tokens, fast = m->run.widest ? ROWS_IN_CACHE / (m->run.widest * sizeof(float)) : most, least = worth_alone(m);

    if (fast < least)
        fast = least;
    return fast < most ? fast : most;
}

/* The tokens of a queued text that are computed. */
static size_t size_of(const struct aki__runs *w, size_t i) { return w->texts[i].count - w->shared; }

/* The number of runs, of about equal size, for the texts from `first` on, of so many tokens. */
static size_t count_runs(const struct aki__runs *w, size_t first, size_t total)
{
    size_t most = run_tokens(w->m), threads = (size_t)w->m->run.lanes, runs = (total + most - 1) / most, longest = 0;
    size_t alone = total / worth_alone(w->m);

    for (size_t i = first; i < w->count; i++)
        longest = size_of(w, i) > longest ? size_of(w, i) : longest;
    /* If one text is longer than all others together, its thread would be the only one busy at the end. */
    if (runs <= 1 && (alone < threads || w->count - first < threads || longest * threads * 2 > total * 3))
        return 1;
    return (runs + threads - 1) / threads * threads;
}

/* Splits the texts from `first` on in their order into about equal runs, or more if a run would exceed its limit. Returns their number. */
static size_t cut(const struct aki__runs *w, struct part *parts, size_t first)
{
    size_t n = 0, tokens = 0, before = 0, last_share = 0, total = 0;

    for (size_t i = first; i < w->count; i++)
        total += size_of(w, i);
    const size_t count = count_runs(w, first, total);
    for (size_t i = first; i < w->count; i++) {
        size_t size = size_of(w, i), share = (before + size / 2) * count / total;
        if (i == first || share != last_share || tokens + size > (size_t)w->m->max_batch_tokens) {
            parts[n++] = (struct part){ .first = i };
            tokens = 0;
        }
        parts[n - 1].last = i + 1;
        tokens += size;
        before += size;
        last_share = share;
    }
    return n;
}

/* How many tokens all queued texts begin with in common; each has one more. */
static size_t common_beginning(const struct aki__runs *w)
{
    const int32_t *first = w->ids + w->texts[0].begin;
    size_t n = w->texts[0].count;

    for (size_t i = 0; i < w->count && n; i++) {
        const int32_t *ids = w->ids + w->texts[i].begin;
        const size_t most = w->texts[i].count - 1 < n ? w->texts[i].count - 1 : n;
        for (n = 0; n < most && ids[n] == first[n]; n++)
            ;
    }
    return n;
}

/* Causal models that pool the last token: what all texts begin with is computed once, with the first text, which is run before the others.
 * true: that has to be done first; w->shared: the tokens that are not computed again. */
static bool share_beginning(struct aki__runs *w)
{
    struct aki__prefix_cache *c = &w->m->prefixes;
    bool cached = false;

    w->shared = 0;
    if (!c->most || w->count < 3 || w->r->output == AKI_OUTPUT_TOKENS || w->r->pooling != AKI_POOLING_LAST)
        return false;
    size_t n = common_beginning(w);
    if (n * w->count * 4 >= w->tokens)          /* it is worth a run by itself */
        w->shared = aki__prefix_expect(c, w->ids + w->texts[0].begin, n, &cached);
    return w->shared && !cached;
}

static int longer_first(const void *a, const void *b)
{
    const struct aki__queued *x = a, *y = b;

    return x->count != y->count ? (x->count < y->count ? 1 : -1) : (x->item > y->item) - (x->item < y->item);
}

aki_status aki__runs_finish(struct aki__runs *w, aki_error *err)
{
    struct work work = { .w = w, .caller = this_thread() };
    aki_status rc = AKI_OK;

    if (!w->count)
        return AKI_OK;
    if (cancelled(w->r))
        return fail_cancelled(err);
    /* Padded runs: texts of similar lengths are in one run. (Token vectors stay in the order of the texts.) */
    if (!w->m->run.widest && w->r->output != AKI_OUTPUT_TOKENS)
        qsort(w->texts, w->count, sizeof *w->texts, longer_first);
    struct part *parts = aki__alloc(w->count, sizeof *parts);
    if (!parts)
        return aki__fail(err, AKI_E_NOMEM, "runs of %zu texts", w->count);
    size_t count = 0;
    work.parts = parts;
    if (share_beginning(w)) {
        parts[count++] = (struct part){ .last = 1 };
        aki__session_each(w->m->session, 1, run_part, &work);
    }
    if (!count || !parts[0].rc) {
        work.parts = parts + count;
        const size_t others = cut(w, work.parts, count);
        aki__session_each(w->m->session, others, run_part, &work);
        count += others;
    }
    for (size_t i = 0; i < count && !rc; i++) {
        rc = parts[i].rc;
        if (rc && err)
            *err = parts[i].error;
    }
    aki__free(parts);
    if (!rc) rc = aki__locks_check(err);
    w->tokens_done += w->tokens;
    w->tokens = w->count = 0;
    return rc;
}

aki_status aki__runs_add(struct aki__runs *w, const struct aki__row *row, aki_error *err)
{
    size_t enough = (size_t)w->m->max_batch_tokens * (size_t)w->m->run.threads * RUNS_AT_ONCE;
    aki_status rc = w->tokens && w->tokens + row->count > enough ? aki__runs_finish(w, err) : AKI_OK;

    if (rc)
        return rc;
    if (!aki__grow((void **)&w->ids, &w->id_capacity, w->tokens + row->count, sizeof *w->ids) ||
        (w->typed && !aki__grow((void **)&w->types, &w->type_capacity, w->tokens + row->count, sizeof *w->types)) ||
        !aki__grow((void **)&w->texts, &w->capacity, w->count + 1, sizeof *w->texts))
        return aki__fail(err, AKI_E_NOMEM, "text %zu: %zu tokens", row->item, row->count);
    memcpy(w->ids + w->tokens, row->ids, row->count * sizeof *w->ids);
    if (w->typed)
        memcpy(w->types + w->tokens, row->types, row->count * sizeof *w->types);
    w->texts[w->count++] = (struct aki__queued){ .item = row->item, .begin = w->tokens, .count = row->count, .skip = row->skip };
    w->tokens += row->count;
    return AKI_OK;
}

void aki__runs_free(struct aki__runs *w)
{
    aki__free(w->ids);
    aki__free(w->types);
    aki__free(w->texts);
}
