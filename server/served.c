/* Unit batch, a model's life: its thread, which opens it, computes its runs and closes it. See batch.h. */
#include "metrics.h"
#include "queue.h"
#include "run.h"

/* Those of the list whose deadline has passed; all: everybody. The lock is held. */
static struct served_waiter *take_waiters(struct served *s, bool all, double now)
{
    struct served_waiter *taken = NULL;

    for (struct served_waiter **link = &s->waiters; *link;) {
        struct served_waiter *w = *link;
        if (!all && (w->deadline == 0 || now < w->deadline)) {
            link = &w->next;
            continue;
        }
        *link = w->next;
        w->next = taken;
        taken = w;
        s->waiter_count--;
    }
    return taken;
}

/* The lock is not held. */
static void resume_waiters(struct served_waiter *list)
{
    while (list) {
        struct served_waiter *w = list;
        list = w->next;
        w->resume(w->user);                                  /* w may be gone then */
    }
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
    s->opens += !rc;
    s->wanted = false;
    s->used = seconds_now();
    struct served_waiter *waiters = take_waiters(s, true, 0);
    pthread_mutex_unlock(&s->lock);
    s->changed(s->changed_user, s);
    resume_waiters(waiters);
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
            run_next(s, &r);
        else if (s->wanted && s->state != SERVED_OPEN)
            open_model(s);
        else if (s->state == SERVED_OPEN && s->idle_close > 0 && !s->users && seconds_now() - s->used >= s->idle_close)
            close_model(s);
        else
            sleep_until_woken(s);
    }
    s->ended = true;
    pthread_mutex_unlock(&s->lock);
    run_free(&r);
    return NULL;
}

/* ---------------------------------------------------------------- from other threads ---------------------------- */

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
    struct served_waiter *waiters = take_waiters(s, true, 0);
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    resume_waiters(waiters);
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
        queue_drop(s, &s->head, JOB_STOPPED, &dead);
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
    queue_finish(s, dead);
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

bool served_await(struct served *s, struct served_waiter *w)
{
    pthread_mutex_lock(&s->lock);
    bool waits = !s->stop && (s->wanted || s->state == SERVED_OPENING) && s->waiter_count < s->most_jobs;
    if (waits) {
        w->next = s->waiters;
        s->waiters = w;
        s->waiter_count++;
    }
    pthread_mutex_unlock(&s->lock);
    return waits;
}

void served_expire(struct served *s)
{
    struct batch_job *dead = NULL;
    double now = seconds_now();

    pthread_mutex_lock(&s->lock);
    queue_drop_late(s, now, &dead);
    struct served_waiter *waiters = take_waiters(s, false, now);
    pthread_mutex_unlock(&s->lock);
    queue_finish(s, dead);
    resume_waiters(waiters);
}

const char *served_kind(const struct served *s)
{
    return !s->opens ? NULL : !s->info.label_count ? "embedding" : s->info.label_count == 1 ? "reranker" : "classifier";
}

void served_want(struct served *s)
{
    aki_model_info info;
    int state;

    if (served_use(s, &info, &state))
        served_release(s);
}
