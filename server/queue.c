/* Unit batch, the queue: which jobs wait for a model, and which are let go. See queue.h. */
#include "queue.h"

#include "metrics.h"

/* ---------------------------------------------------------------- in and out ------------------------------------ */

static void enqueue(struct served *s, struct batch_job *j)
{
    j->next = NULL;
    *s->tail = j;
    s->tail = &j->next;
    s->queue_jobs++;
}

struct batch_job *queue_remove(struct served *s, struct batch_job **link)
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
        enqueue(s, j);
        s->queue_count += j->count;
        s->queue_tokens += tokens;
        s->users++;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    return fits;
}

/* ---------------------------------------------------------------- letting go ------------------------------------ */

static enum system_client client_of(const struct batch_job *j)
{
    return j->client ? j->client(j->user) : CLIENT_THERE;
}

static bool job_is_late(const struct batch_job *j, double now)
{
    return j->deadline > 0 && now > j->deadline;
}

bool queue_others_wait(const struct served *s)
{
    for (const struct batch_job *j = s->head; j; j = j->next)
        if (!j->running && client_of(j) == CLIENT_THERE)
            return true;
    return false;
}

/* A client that ended its sending has most likely left, so it is in nobody's way; but where nobody is kept
 * waiting it gets its answer. */
static int verdict(const struct batch_job *j, double now, enum system_client client, bool others)
{
    if (job_is_late(j, now))
        return JOB_LATE;
    return client == CLIENT_GONE || (client == CLIENT_SILENT && others) ? JOB_GONE : JOB_WAITS;
}

int job_verdict(const struct batch_job *j, double now, bool others) { return verdict(j, now, client_of(j), others); }

void queue_drop(struct served *s, struct batch_job **link, int status, struct batch_job **dead)
{
    struct batch_job *j = queue_remove(s, link);

    s->queue_count -= j->count - j->taken;
    s->queue_tokens -= (size_t)(j->starts[j->count] - j->starts[j->taken]);
    j->status = status;
    j->next = *dead;
    *dead = j;
}

/* Asking the socket of each is a system call of half a microsecond, far less than a text. Each is asked once: a client whose end of sending
 * came between two questions would else count as somebody else who waits, for itself. */
void queue_drop_dead(struct served *s, struct batch_job **dead)
{
    double now = seconds_now();
    bool others = false;

    for (struct batch_job *j = s->head; j; j = j->next) {
        j->seen = client_of(j);
        others |= !j->running && j->seen == CLIENT_THERE;
    }
    for (struct batch_job **link = &s->head; *link;) {
        int status = s->stop ? JOB_STOPPED : verdict(*link, now, (*link)->seen, others);
        if (status == JOB_WAITS)
            link = &(*link)->next;
        else
            queue_drop(s, link, status, dead);
    }
}

void queue_finish(struct served *s, struct batch_job *list)
{
    while (list) {
        struct batch_job *j = list;
        list = j->next;
        j->next = NULL;
        j->finish(j->user);
        served_release(s);
    }
}

void queue_drop_late(struct served *s, double now, struct batch_job **dead)
{
    for (struct batch_job **link = &s->head; *link;) {
        if (!(*link)->running && job_is_late(*link, now))
            queue_drop(s, link, JOB_LATE, dead);
        else
            link = &(*link)->next;
    }
}
