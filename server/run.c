/* Unit batch, the runs: which texts are computed together, and what becomes of each job. See run.h. */
#include "run.h"

#include "metrics.h"
#include "queue.h"

#include <stdlib.h>
#include <string.h>

static size_t job_tokens(const struct batch_job *j, size_t i)
{
    return (size_t)(j->starts[i + 1] - j->starts[i]);
}

/* ---------------------------------------------------------------- filling a run --------------------------------- */

static bool same_group(const struct batch_group *a, const struct batch_group *b)
{
    return a->pooling == b->pooling && a->normalize == b->normalize && a->dim == b->dim && a->output == b->output && a->activation == b->activation;
}

static bool grow_jobs(struct batch_run *r)
{
    if (r->count < r->jobs_capacity)
        return true;
    size_t capacity = r->jobs_capacity ? r->jobs_capacity * 2 : 64;
    struct batch_job **jobs = realloc(r->jobs, capacity * sizeof(struct batch_job *));
    if (!jobs)
        return false;
    r->jobs = jobs;
    r->jobs_capacity = capacity;
    return true;
}

/* Takes texts of one job while this run has less than budget tokens, and of this job less than share. false: the next text has no room
 * in the run. Then no other job's is taken in its place: a long text would see short ones pass by until it is the oldest of all. */
static bool take(struct batch_run *r, struct batch_job *j, size_t share, size_t budget)
{
    size_t own = (size_t)(j->starts[j->first + j->more] - j->starts[j->first]);

    for (size_t i = j->first + j->more; i < j->count; i++) {
        size_t tokens = job_tokens(j, i);
        bool  first = !r->texts;                             /* a text larger than the budget runs alone */
        if (!first && r->tokens + tokens > budget)
            return false;
        if (!first && j->more && own + tokens > share)
            return true;
        j->more++;
        own += tokens;
        r->tokens += tokens;
        r->texts++;
    }
    return true;
}

static void take_in_order(struct batch_run *r, size_t share, size_t budget)
{
    for (size_t i = 0; i < r->count; i++)
        if (!take(r, r->jobs[i], share, budget))
            return;
}

/* The job whose kind is computed next: that which waited for the most turns. A turn of a kind counts for all its jobs, and a new job
 * begins with the present turn, so no kind can keep another one waiting for ever. */
static struct batch_job *whose_turn(const struct served *s)
{
    struct batch_job *found = s->head;

    for (struct batch_job *j = s->head; j; j = j->next)
        if (j->turn < found->turn)
            found = j;
    return found;
}

static int by_attained(const void *a, const void *b)
{
    const struct batch_job *x = *(struct batch_job *const *)a, *y = *(struct batch_job *const *)b;

    if (x->starts[x->taken] != y->starts[y->taken])
        return x->starts[x->taken] < y->starts[y->taken] ? -1 : 1;
    return x->queued < y->queued ? -1 : x->queued > y->queued;
}

static int by_arrival(const void *a, const void *b)
{
    const struct batch_job *x = *(struct batch_job *const *)a, *y = *(struct batch_job *const *)b;

    return x->queued < y->queued ? -1 : x->queued > y->queued;
}

/* Chooses the run's texts. The lock is held. Half of the run is for the oldest requests, so that under overload some are through in
 * time and not all of them late together; the other half for those of which least was computed, so that a small request is not behind
 * large ones. */
static void fill(struct served *s, struct batch_run *r, size_t budget)
{
    r->count = r->texts = r->tokens = 0;
    if (!s->head)
        return;
    const struct batch_job *chosen = whose_turn(s);
    r->group = chosen->group;
    r->width = chosen->width;
    s->turn++;
    for (struct batch_job *j = s->head; j && grow_jobs(r); j = j->next) {
        if (!same_group(&j->group, &r->group))
            continue;
        j->turn = s->turn;
        j->first = j->taken;
        j->more = 0;
        r->jobs[r->count++] = j;
    }
    take_in_order(r, budget, budget / 2);
    size_t share = r->count ? (budget - (r->tokens < budget ? r->tokens : budget)) / r->count : 0;
    qsort(r->jobs, r->count, sizeof(struct batch_job *), by_attained);
    take_in_order(r, share, budget);
    qsort(r->jobs, r->count, sizeof(struct batch_job *), by_arrival);
    take_in_order(r, budget, budget);
    size_t kept = 0;
    for (size_t i = 0; i < r->count; i++)
        if (r->jobs[i]->more)
            r->jobs[kept++] = r->jobs[i];
    r->count = kept;
}

/* Takes the run's texts out of the queue, and jobs of which no text is left. The lock is held. */
static void take_out(struct served *s, struct batch_run *r)
{
    double now = seconds_now();

    for (size_t i = 0; i < r->count; i++) {
        struct batch_job *j = r->jobs[i];
        if (!j->started)
            j->started = now;
        j->taken += j->more;
        j->running = true;
    }
    for (struct batch_job **link = &s->head; *link;) {
        if ((*link)->taken == (*link)->count)
            queue_remove(s, link);
        else
            link = &(*link)->next;
    }
    s->queue_count -= r->texts;
    s->queue_tokens -= r->tokens;
}

/* ---------------------------------------------------------------- computing ------------------------------------- */

static bool grow(void **block, size_t *capacity, size_t count, size_t size)
{
    void *grown;

    if (count <= *capacity)
        return true;
    if (count > SIZE_MAX / size || !(grown = realloc(*block, count * size)))
        return false;
    *block = grown;
    *capacity = count;
    return true;
}

/* Rows that the texts [first, first + more) of a job make. */
static size_t job_rows(const struct batch_job *j)
{
    return group_rows(&j->group, j->more, (size_t)(j->starts[j->first + j->more] - j->starts[j->first]));
}

static float *job_out(const struct batch_job *j)
{
    return j->out + group_rows(&j->group, j->first, (size_t)j->starts[j->first]) * j->width;
}

static aki_status pack(struct batch_run *r, aki_error *error)
{
    size_t rows = 0, texts = 0, tokens = 0;

    for (size_t i = 0; i < r->count; i++) {
        const struct batch_job *j = r->jobs[i];
        rows += job_rows(j);
        texts += j->more;
        tokens += (size_t)(j->starts[j->first + j->more] - j->starts[j->first]);
    }
    if (!grow((void **)&r->ids, &r->ids_capacity, tokens, sizeof *r->ids) ||
        !grow((void **)&r->types, &r->types_capacity, tokens, sizeof *r->types) ||
        !grow((void **)&r->starts, &r->starts_capacity, texts + 1, sizeof *r->starts) ||
        !grow((void **)&r->prompts, &r->prompts_capacity, texts, sizeof *r->prompts) ||
        !grow((void **)&r->out, &r->out_capacity, rows * r->width, sizeof *r->out)) {
        *error = (aki_error){ .status = AKI_E_NOMEM, .item = -1, .message = "out of memory" };
        return AKI_E_NOMEM;
    }
    texts = tokens = 0;
    r->starts[0] = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct batch_job *j = r->jobs[i];
        for (size_t k = j->first; k < j->first + j->more; k++) {
            memcpy(r->ids + tokens, j->ids + j->starts[k], job_tokens(j, k) * sizeof *r->ids);
            memcpy(r->types + tokens, j->types + j->starts[k], job_tokens(j, k) * sizeof *r->types);
            tokens += job_tokens(j, k);
            r->prompts[texts] = j->prompts[k];
            r->starts[++texts] = (int64_t)tokens;
        }
    }
    r->texts = texts;
    r->tokens = tokens;
    return AKI_OK;
}

static bool is_stopped(struct served *s)
{
    pthread_mutex_lock(&s->lock);
    bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

/* The library asks between runs of its own: is anybody still waiting for this? */
static int is_abandoned(void *user)
{
    const struct batch_run *r = user;
    double now = seconds_now();
    bool abandoned = true;

    /* To the end: who finds the service stopping may, as soon as it has the lock, finish these jobs and let go of their clients. */
    pthread_mutex_lock(&r->served->lock);
    bool stop = r->served->stop, others = !stop && queue_others_wait(r->served);
    for (size_t i = 0; i < r->count && !stop && abandoned; i++)
        abandoned = job_verdict(r->jobs[i], now, others) != JOB_WAITS;
    pthread_mutex_unlock(&r->served->lock);
    return abandoned;
}

static aki_status compute(struct served *s, struct batch_run *r, aki_error *error)
{
    aki_embed_options o;
    aki_rows rows;

    aki_embed_options_init(&o, sizeof o);
    o.output = r->group.output;
    o.pooling = r->group.pooling;
    o.normalize = r->group.normalize;
    o.dim = r->group.dim;
    o.activation = r->group.activation;
    o.cancel = is_abandoned;
    o.cancel_user = r;
    aki_status rc = pack(r, error);
    if (rc)
        return rc;
    aki_rows_init(&rows, sizeof rows);
    rows.ids = r->ids;
    rows.types = r->types;
    rows.starts = r->starts;
    rows.prompt_tokens = r->prompts;
    rows.count = r->texts;
    return aki_embed_rows(s->model, &rows, &o, r->out, group_rows(&r->group, r->texts, r->tokens) * r->width * sizeof *r->out, error);
}

static void hand_out(struct batch_run *r)
{
    const float *from = r->out;

    for (size_t i = 0; i < r->count; i++) {
        struct batch_job *j = r->jobs[i];
        size_t floats = job_rows(j) * j->width;
        memcpy(job_out(j), from, floats * sizeof *from);
        from += floats;
        j->done += j->more;
    }
}

static void fail_job(struct served *s, struct batch_job *j, const aki_error *error, size_t before)
{
    j->status = error->status != AKI_E_CANCELLED ? JOB_FAILED : is_stopped(s) ? JOB_STOPPED : job_verdict(j, seconds_now(), true);
    if (j->status == JOB_WAITS)
        j->status = JOB_LATE;
    j->error = *error;
    if (error->item >= 0)
        j->error.item = (int32_t)(j->first + ((size_t)error->item - before));
}

/* Runs until what remains of the run's jobs is through: a job at fault fails alone, and where no text is named each runs by itself. */
static void run_all(struct served *s, struct batch_run *r)
{
    aki_error error;

    while (r->count) {
        if (!compute(s, r, &error)) {
            hand_out(r);
            return;
        }
        size_t i = 0, before = 0;
        while (error.item >= 0 && i < r->count && (size_t)error.item >= before + r->jobs[i]->more)
            before += r->jobs[i++]->more;
        if (error.item >= 0 && i < r->count) {
            fail_job(s, r->jobs[i], &error, before);
            memmove(r->jobs + i, r->jobs + i + 1, (--r->count - i) * sizeof(struct batch_job *));
        } else if (r->count == 1) {
            error.item = -1;
            fail_job(s, r->jobs[0], &error, 0);
            return;
        } else {
            struct batch_job **jobs = r->jobs;
            size_t count = r->count;
            for (i = 0; i < count; i++) {
                r->jobs = jobs + i;
                r->count = 1;
                run_all(s, r);
            }
            r->jobs = jobs;
            return;
        }
    }
}

/* ---------------------------------------------------------------- a run ----------------------------------------- */

/* After a run of seconds: moves those of its jobs that are through to *out. Answers the tokens that were computed. The lock is held. */
static size_t settle(struct served *s, struct batch_job **jobs, size_t count, double seconds, struct batch_job **out)
{
    size_t tokens = 0;

    for (size_t i = 0; i < count; i++) {
        struct batch_job *j = jobs[i];
        j->running = false;
        j->inference += seconds;
        if (j->status == JOB_WAITS)
            tokens += (size_t)(j->starts[j->first + j->more] - j->starts[j->first]);
        if (j->status == JOB_WAITS && j->done == j->count)
            j->status = JOB_DONE;
        if (j->status == JOB_WAITS)
            continue;
        if (j->taken < j->count) {
            struct batch_job **link = &s->head;
            while (*link != j)
                link = &(*link)->next;
            queue_drop(s, link, j->status, out);
        } else {
            j->next = *out;
            *out = j;
        }
    }
    return tokens;
}

void run_next(struct served *s, struct batch_run *r)
{
    struct batch_job *through = NULL, **jobs;
    size_t count, texts, tokens;

    queue_drop_dead(s, &through);
    fill(s, r, (size_t)s->info.max_batch_tokens);
    take_out(s, r);
    /* run_all changes the list: a job that failed has to be found in the queue, where its rest may stand. */
    jobs = malloc((r->count + 1) * sizeof(struct batch_job *));
    count = r->count;
    if (!jobs) {
        /* Nothing could be told apart afterwards: fail these before they run. */
        for (size_t i = 0; i < count; i++)
            fail_job(s, r->jobs[i], &(aki_error){ .status = AKI_E_NOMEM, .item = -1, .message = "out of memory" }, 0);
    } else if (count) {
        memcpy(jobs, r->jobs, count * sizeof(struct batch_job *));
    }
    texts = r->texts;
    tokens = r->tokens;
    s->run_jobs = jobs;
    s->run_count = jobs ? count : 0;
    pthread_mutex_unlock(&s->lock);

    queue_finish(s, through);
    through = NULL;
    double start = seconds_now();
    if (jobs && count) {
        metrics_observe(&s->metrics, SIZE_BATCH, (double)texts);
        metrics_observe(&s->metrics, SIZE_BATCH_TOKENS, (double)tokens);
        metrics_count_model(&s->metrics, COUNT_RUNS, 1);
        run_all(s, r);
    }
    double seconds = seconds_now() - start;

    pthread_mutex_lock(&s->lock);
    s->run_count = 0;
    if (s->lost) {                                           /* who did that has finished them */
        free(jobs);
        return;
    }
    tokens = settle(s, jobs ? jobs : r->jobs, count, seconds, &through);
    if (seconds > 0 && tokens)                               /* of those that were computed */
        s->speed = s->speed > 0 ? s->speed * 0.8 + 0.2 * (double)tokens / seconds : (double)tokens / seconds;
    pthread_mutex_unlock(&s->lock);
    free(jobs);
    queue_finish(s, through);
    pthread_mutex_lock(&s->lock);
}

void run_free(struct batch_run *r)
{
    free(r->jobs);
    free(r->ids);
    free(r->types);
    free(r->starts);
    free(r->prompts);
    free(r->out);
}
