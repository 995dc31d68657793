/* Unit batch: the models that are served, their queues, and the runs. See batch.h. */
#include "batch.h"

#include "metrics.h"
#include "system.h"

#include <stdlib.h>
#include <string.h>

/* A run's arrays, kept from run to run. */
struct batch_run {
    struct served *served;
    struct batch_job   **jobs;                   /* [count]; of each the texts [first, first + more) */
    size_t         count, jobs_capacity;
    size_t         texts, tokens;
    int32_t       *ids;
    int64_t       *starts;
    int32_t       *prompts;
    float         *out;
    size_t         ids_capacity, starts_capacity, prompts_capacity, out_capacity;
    struct batch_group   group;
    size_t         width;
};

static size_t job_tokens(const struct batch_job *j, size_t i)
{
    return (size_t)(j->starts[i + 1] - j->starts[i]);
}

/* ---------------------------------------------------------------- the queue ------------------------------------- */

static void push(struct served *s, struct batch_job *j)
{
    j->next = NULL;
    *s->tail = j;
    s->tail = &j->next;
    s->queue_jobs++;
}

/* Takes *link out of the queue. */
static struct batch_job *unlink_job(struct served *s, struct batch_job **link)
{
    struct batch_job *j = *link;

    *link = j->next;
    if (s->tail == &j->next)
        s->tail = link;
    j->next = NULL;
    s->queue_jobs--;
    return j;
}

static int wait_estimate(const struct served *s)
{
    double seconds = s->speed > 0 ? (double)s->queue_tokens / s->speed : 1;

    return seconds < 1 ? 1 : seconds > 60 ? 60 : (int)(seconds + 0.999);
}

/* The lock is held. Tokens alone would let very many short texts wait, or on a slow machine more than are computed in time. */
static bool is_full(const struct served *s, size_t tokens)
{
    double most = (double)s->most_tokens, in_time = s->speed * s->patience;

    if (in_time > 0 && in_time < most)
        most = in_time;
    return s->queue_tokens && (s->queue_jobs >= s->most_jobs || (double)(s->queue_tokens + tokens) > most);
}

bool batch_is_full(struct served *s, int *wait)
{
    pthread_mutex_lock(&s->lock);
    bool full = is_full(s, 1);
    *wait = wait_estimate(s);
    pthread_mutex_unlock(&s->lock);
    return full;
}

bool batch_submit(struct served *s, struct batch_job *j, int *wait)
{
    size_t tokens = (size_t)j->starts[j->count];

    pthread_mutex_lock(&s->lock);
    bool fits = !s->stop && !is_full(s, tokens);
    *wait = wait_estimate(s);
    if (fits) {
        j->queued = seconds_now();
        j->turn = s->turn;
        push(s, j);
        s->queue_count += j->count;
        s->queue_tokens += tokens;
        s->users++;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    return fits;
}

/* ---------------------------------------------------------------- filling a run --------------------------------- */

static bool same_group(const struct batch_group *a, const struct batch_group *b)
{
    return a->pooling == b->pooling && a->normalize == b->normalize && a->dim == b->dim && a->output == b->output;
}

static enum system_client client_of(const struct batch_job *j)
{
    return j->client ? j->client(j->user) : CLIENT_THERE;
}

static bool is_late(const struct batch_job *j, double now)
{
    return j->deadline > 0 && now > j->deadline;
}

/* Does somebody wait of whom it is certain? The lock is held. */
static bool others_wait(const struct served *s)
{
    for (const struct batch_job *j = s->head; j; j = j->next)
        if (!j->running && client_of(j) == CLIENT_THERE)
            return true;
    return false;
}

/* others: somebody else waits. A client that ended its sending has most likely left, so it is in nobody's way; but where nobody is kept
 * waiting it gets its answer. */
static int dead_status(const struct batch_job *j, double now, bool others)
{
    if (is_late(j, now))
        return JOB_LATE;
    enum system_client client = client_of(j);
    return client == CLIENT_GONE || (client == CLIENT_SILENT && others) ? JOB_GONE : JOB_WAITS;
}

/* Out of the queue to *dead; no text of it is in a run. The lock is held. */
static void drop(struct served *s, struct batch_job **link, int status, struct batch_job **dead)
{
    struct batch_job *j = unlink_job(s, link);

    s->queue_count -= j->count - j->taken;
    s->queue_tokens -= (size_t)(j->starts[j->count] - j->starts[j->taken]);
    j->status = status;
    j->next = *dead;
    *dead = j;
}

/* Moves jobs that nobody waits for any more to *dead. The lock is held; asking the socket of each is a system call of half a
 * microsecond, far less than a text. */
static void drop_dead(struct served *s, struct batch_job **dead)
{
    double now = seconds_now();
    bool others = others_wait(s);

    for (struct batch_job **link = &s->head; *link;) {
        int status = s->stop ? JOB_STOPPED : dead_status(*link, now, others);
        if (status == JOB_WAITS)
            link = &(*link)->next;
        else
            drop(s, link, status, dead);
    }
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
            unlink_job(s, link);
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
    bool stop = r->served->stop, others = !stop && others_wait(r->served);
    for (size_t i = 0; i < r->count && !stop && abandoned; i++)
        abandoned = dead_status(r->jobs[i], now, others) != JOB_WAITS;
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
    o.cancel = is_abandoned;
    o.cancel_user = r;
    aki_status rc = pack(r, error);
    if (rc)
        return rc;
    aki_rows_init(&rows, sizeof rows);
    rows.ids = r->ids;
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
    j->status = error->status != AKI_E_CANCELLED ? JOB_FAILED : is_stopped(s) ? JOB_STOPPED : dead_status(j, seconds_now(), true);
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

/* ---------------------------------------------------------------- the thread ------------------------------------ */

static void finish_jobs(struct served *s, struct batch_job *list)
{
    while (list) {
        struct batch_job *j = list;
        list = j->next;
        j->next = NULL;
        j->finish(j->user);
        served_release(s);
    }
}

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
            drop(s, link, j->status, out);
        } else {
            j->next = *out;
            *out = j;
        }
    }
    return tokens;
}

/* One run. The lock is held before and after. */
static void work(struct served *s, struct batch_run *r)
{
    struct batch_job *through = NULL, **jobs;
    size_t count, texts, tokens;

    drop_dead(s, &through);
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

    finish_jobs(s, through);
    through = NULL;
    double start = seconds_now();
    if (jobs && count) {
        metrics_observe(SIZE_BATCH, (double)texts);
        metrics_observe(SIZE_BATCH_TOKENS, (double)tokens);
        metrics_count(COUNT_RUNS, 1);
        run_all(s, r);
    }
    double seconds = seconds_now() - start;

    pthread_mutex_lock(&s->lock);
    s->run_count = 0;
    if (s->lost)                                             /* who did that has finished them */
        return free(jobs);
    tokens = settle(s, jobs ? jobs : r->jobs, count, seconds, &through);
    if (seconds > 0 && tokens)                               /* of those that were computed */
        s->speed = s->speed > 0 ? s->speed * 0.8 + 0.2 * (double)tokens / seconds : (double)tokens / seconds;
    pthread_mutex_unlock(&s->lock);
    free(jobs);
    finish_jobs(s, through);
    pthread_mutex_lock(&s->lock);
}

/* The lock is held before and after. */
static void open_model(struct served *s)
{
    aki_model *model = NULL;
    aki_model_info info;
    aki_error error;

    s->state = SERVED_OPENING;
    pthread_mutex_unlock(&s->lock);
    int rc = s->open(s->open_user, s->path, &model);
    aki_model_info_init(&info, sizeof info);
    if (!rc && aki_model_get_info(model, &info, &error)) {
        aki_model_close(model);
        model = NULL;
        rc = 1;
    }
    pthread_mutex_lock(&s->lock);
    s->model = model;
    s->info = info;
    s->failure = rc;
    s->state = rc ? SERVED_FAILED : SERVED_OPEN;
    s->wanted = false;
    s->used = seconds_now();
    pthread_mutex_unlock(&s->lock);
    s->changed(s->changed_user, s);
    pthread_mutex_lock(&s->lock);
}

static void close_model(struct served *s)
{
    aki_model *model = s->model;

    s->model = NULL;
    s->state = SERVED_CLOSED;
    pthread_mutex_unlock(&s->lock);
    aki_model_close(model);
    s->changed(s->changed_user, s);
    pthread_mutex_lock(&s->lock);
}

static void sleep_until_woken(struct served *s)
{
    if (s->state != SERVED_OPEN || s->idle_close <= 0) {
        pthread_cond_wait(&s->wake, &s->lock);
        return;
    }
    double left = s->used + s->idle_close - seconds_now();
    system_wait(&s->wake, &s->lock, left < 0.05 ? 0.05 : left);
}

static void *serve(void *argument)
{
    struct served *s = argument;
    struct batch_run r = { .served = s };

    pthread_mutex_lock(&s->lock);
    while (!s->lost && (!s->stop || s->head)) {
        if (s->head)
            work(s, &r);
        else if (s->wanted && s->state != SERVED_OPEN)
            open_model(s);
        else if (s->state == SERVED_OPEN && s->idle_close > 0 && !s->users && seconds_now() - s->used >= s->idle_close)
            close_model(s);
        else
            sleep_until_woken(s);
    }
    s->ended = true;
    pthread_mutex_unlock(&s->lock);
    free(r.jobs);
    free(r.ids);
    free(r.starts);
    free(r.prompts);
    free(r.out);
    return NULL;
}

/* ---------------------------------------------------------------- models ---------------------------------------- */

bool served_start(struct served *s)
{
    s->tail = &s->head;
    if (pthread_mutex_init(&s->lock, NULL))
        return false;
    if (!system_condition(&s->wake)) {
        pthread_mutex_destroy(&s->lock);
        return false;
    }
    s->started = system_thread(&s->thread, serve, s);
    if (!s->started) {
        pthread_cond_destroy(&s->wake);
        pthread_mutex_destroy(&s->lock);
    }
    return s->started;
}

void served_stop(struct served *s)
{
    if (!s->started)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

bool served_has_ended(struct served *s)
{
    if (!s->started)
        return true;
    pthread_mutex_lock(&s->lock);
    bool ended = s->ended;
    pthread_mutex_unlock(&s->lock);
    return ended;
}

void served_lose(struct served *s)
{
    struct batch_job *dead = NULL;

    pthread_mutex_lock(&s->lock);
    s->lost = true;
    while (s->head)
        drop(s, &s->head, JOB_STOPPED, &dead);
    for (size_t i = 0; i < s->run_count; i++) {
        struct batch_job *j = s->run_jobs[i];
        j->lost = true;
        if (j->taken < j->count)
            continue;                                        /* it was in the queue, too */
        j->status = JOB_STOPPED;
        j->next = dead;
        dead = j;
    }
    pthread_mutex_unlock(&s->lock);
    finish_jobs(s, dead);
}

void served_expire(struct served *s)
{
    struct batch_job *dead = NULL;
    double now = seconds_now();

    pthread_mutex_lock(&s->lock);
    for (struct batch_job **link = &s->head; *link;) {
        if (!(*link)->running && is_late(*link, now))
            drop(s, link, JOB_LATE, &dead);
        else
            link = &(*link)->next;
    }
    pthread_mutex_unlock(&s->lock);
    finish_jobs(s, dead);
}

void served_close(struct served *s)
{
    if (!s->started)
        return;
    pthread_join(s->thread, NULL);
    aki_model_close(s->model);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    s->model = NULL;
    s->started = false;
}

aki_model *served_use(struct served *s, aki_model_info *info, int *state)
{
    aki_model *model = NULL;

    pthread_mutex_lock(&s->lock);
    *state = s->state;
    if (s->state == SERVED_OPEN) {
        model = s->model;
        *info = s->info;
        s->users++;
        s->used = seconds_now();
    } else if (!s->wanted && s->state != SERVED_OPENING && (s->state != SERVED_FAILED || seconds_now() - s->used >= SERVED_RETRY)) {
        s->wanted = true;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    return model;
}

void served_release(struct served *s)
{
    pthread_mutex_lock(&s->lock);
    s->users--;
    s->used = seconds_now();
    pthread_mutex_unlock(&s->lock);
}

bool served_is_ready(struct served *s)
{
    pthread_mutex_lock(&s->lock);
    bool ready = s->state == SERVED_OPEN || (s->state == SERVED_CLOSED && !s->wanted);
    pthread_mutex_unlock(&s->lock);
    return ready;
}

void served_want(struct served *s)
{
    aki_model_info info;
    int state;

    if (served_use(s, &info, &state))
        served_release(s);
}
