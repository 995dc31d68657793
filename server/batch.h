/* Unit batch: the models that are served, each with a queue of texts and a thread that computes runs of them.
 *
 * A job is one request's texts, tokenised and checked. A run takes whole texts of all jobs that ask for the same kind of vector, up to a
 * budget of tokens, half of it for the oldest and half for those that had least: nobody waits for a larger request to be through, and a
 * text alone starts at once.
 *
 *     requests          queue: jobs in the order they came            a run: at most max_batch_tokens
 *
 *     POST /embed --.   oldest                       newest         +---------------------+---------------------+
 *     POST /embed ---+> [A A A A A A A] [B B B] [C] [D D D D D] --> | A A A A             | C  D D  B B  A      | --> aki_embed_rows
 *     POST /embed --'        taken: their first texts               +---------------------+---------------------+
 *                                                                     half: the oldest      half: those that had least
 *
 * Three files: the queue (queue.c), the runs (run.c), and the life of a model and its thread (served.c). */
#ifndef AKI_SERVER_BATCH_H
#define AKI_SERVER_BATCH_H

#include "metrics.h"
#include "system.h"

#include <akiembed.h>

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What must be equal for texts to be computed in one run. */
struct batch_group {
    int32_t pooling, normalize, dim, output, activation;    /* output: AKI_OUTPUT_*; activation: AKI_ACTIVATION_* */
};

/* Result rows that texts with so many tokens make. */
static inline size_t group_rows(const struct batch_group *g, size_t texts, size_t tokens) { return g->output == AKI_OUTPUT_TOKENS ? tokens : texts; }

enum job_status { JOB_WAITS, JOB_DONE, JOB_FAILED /* error says why */, JOB_GONE /* the client left */, JOB_LATE /* the deadline passed */,
                  JOB_STOPPED /* the server ends */ };

/* Filled by who submits it, who also keeps it until finish was called. */
struct batch_job {
    struct batch_job    *next;
    struct batch_group   group;
    size_t         count;                  /* texts */
    int32_t       *ids, *types;            /* [starts[count]] */
    int64_t       *starts;                 /* [count + 1] */
    int32_t       *prompts;                /* [count] first tokens of each text that are its prompt's */
    size_t         width;                  /* floats of a row of the group's output */
    float         *out;                    /* [rows, width] */
    double         deadline;               /* seconds_now() after which no run takes texts of it; 0: none */
    enum system_client (*client)(void *user);    /* asked before a run: is it still there? */
    void         (*finish)(void *user);    /* called once, from the model's thread or that of served_expire and served_lose */
    void          *user;

    size_t         taken, done;            /* texts that runs took, and that are through */
    size_t         first, more;            /* of the run that is being filled: texts [first, first + more) */
    bool           running;                /* it has texts in the run */
    enum system_client seen;               /* when the queue was last looked through */
    bool           lost;                   /* served_lose: the run goes on, in memory that stays */
    uint64_t       turn;                   /* of its kind's last run, or when it came */
    int            status;                 /* enum job_status */
    aki_error      error;
    double         queued, started, inference;
};

enum served_state { SERVED_CLOSED, SERVED_OPENING, SERVED_OPEN, SERVED_FAILED };
enum { SERVED_RETRY = 5 };                 /* seconds from a failure to open to the next try */

/* Somebody who waits for a model to be opened. */
struct served_waiter {
    struct served_waiter *next;
    double                deadline;        /* seconds_now() after which it waits no longer; 0: none */
    void                (*resume)(void *user);   /* called once, from the model's thread or that of served_expire and served_stop */
    void                 *user;
};

typedef int open_model_fn(void *user, const char *path, aki_model **out);    /* 0, or an exit code, the message said */

struct served {
    const char      *name, *path;          /* what clients call it, and its folder; borrowed */
    open_model_fn   *open;
    void            *open_user;
    void           (*changed)(void *user, struct served *s);  /* called from its thread after it was opened, or not, or closed */
    void            *changed_user;
    double           idle_close;           /* seconds without a use after which it is closed; 0: never */
    size_t           most_tokens, most_jobs;                                 /* of the queue */
    double           patience;             /* seconds: a job that would wait for longer is not taken; 0: any time */
    struct model_metrics metrics;

    /* Guards what follows; computing, opening and closing happen outside it. */
    pthread_mutex_t  lock;
    pthread_cond_t   wake;
    int              state;                /* enum served_state */
    int              failure;              /* SERVED_FAILED: the exit code */
    aki_model       *model;                /* SERVED_OPEN; stays while users > 0 */
    aki_model_info   info;
    int              users, opens;         /* opens: how often it was opened */
    double           used;
    struct served_waiter *waiters;
    size_t           waiter_count;
    bool             stop, started, ended, lost, wanted;                     /* ended: the thread */
    struct batch_job      *head, **tail;
    struct batch_job     **run_jobs;             /* [run_count], those of the run */
    size_t           run_count;
    size_t           queue_jobs, queue_count, queue_tokens;                  /* and their texts and tokens that no run has taken */
    uint64_t         turn;                 /* runs so far */
    double           speed;                /* tokens a second, of late; 0: not known */
    pthread_t        thread;
};

/* Starts the model's thread; the model is opened when it is wanted first. false: no thread, nothing to stop. */
bool served_start(struct served *s);
/* Asks the thread to end: what waits is finished as JOB_STOPPED, the run between two of its texts, and nothing is taken any more. Who waits for
 * the model to be opened waits no longer. */
void served_stop(struct served *s);
bool served_has_ended(struct served *s);
/* For a process that ends while the thread does not (within one long text, or opening the model): finishes the run's jobs as JOB_STOPPED.
 * Nothing that the thread may use is to be freed then; it finishes none. */
void served_lose(struct served *s);
/* When the thread has ended, and no other one can come with s: closes the model. */
void served_close(struct served *s);
/* From any thread, now and then: finishes as JOB_LATE what waits beyond its deadline, and resumes such waiters, while the model's thread may
 * be in a long run, or opening the model. */
void served_expire(struct served *s);

/* The open model, to be given back with served_release, or NULL: then *state says why, and opening has been asked for. */
aki_model *served_use(struct served *s, aki_model_info *info, int *state);
void       served_release(struct served *s);
/* Asks for opening without waiting for it. */
void       served_want(struct served *s);
/* Behind a served_use that gave no model: resumes w when that may have changed, which may be before it is back. false: nothing is being opened,
 * or so many wait already that more should be told. */
bool       served_await(struct served *s, struct served_waiter *w);
/* Open, or closed because nobody used it: then the next request opens it. */
bool       served_is_ready(struct served *s);
/* "embedding", "reranker" (one score a text) or "classifier" (several); NULL: it was never open. The lock is held, or the model in use. */
const char *served_kind(const struct served *s);

/* true: the job was taken, and finish will be called. false: the queue is full; *wait: seconds until it likely is not. A job larger than
 * the queue is taken when nothing waits. The caller uses the model, which is used on until finish. */
bool batch_submit(struct served *s, struct batch_job *job, int *wait);
/* The same question for a job not yet tokenised. */
bool batch_is_full(struct served *s, int *wait);

#endif
