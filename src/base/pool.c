/* Unit pool: see pool.h.
 *
 * A round of work is a ticket: its number in the upper half, the next index to be done in the lower. Who raises the index by compare and
 * exchange has that index; a thread that comes late to a round finds another number, or no index left, and touches nothing. So nobody
 * waits for threads that the system has put aside, only for indices in work. */
#include "base/pool.h"

#include <stdatomic.h>

enum {
    TURNS_AWAKE = 1024,                     /* about as long as a wake-up takes */
    APART = 128                             /* bytes: no cache line is longer */
};

/* What every thread writes for every index has a cache line of its own, so that it is not taken from those who only read the rest. */
struct aki__pool {
    _Atomic uint64_t ticket;
    char             apart_1[APART];
    _Atomic uint32_t done;
    char             apart_2[APART];
    _Atomic uint32_t count;                 /* of the round */
    void (*_Atomic body)(void *user, size_t i);
    void *_Atomic    user;
    _Atomic bool     taken, closing;
    _Atomic int      asleep;
    struct aki__bell bell;
    long             process;
    int              started;
    struct aki__thread threads[];
};

/* Does one index of the round that `ticket` was read from; false: none is left. */
static bool do_one(struct aki__pool *p)
{
    uint64_t ticket = atomic_load(&p->ticket);

    for (;;) {
        void (*body)(void *, size_t) = atomic_load_explicit(&p->body, memory_order_relaxed);
        void *user = atomic_load_explicit(&p->user, memory_order_relaxed);
        if ((uint32_t)ticket >= atomic_load_explicit(&p->count, memory_order_relaxed))
            return false;
        if (atomic_compare_exchange_weak(&p->ticket, &ticket, ticket + 1)) {
            body(user, (uint32_t)ticket);
            if (atomic_fetch_add(&p->done, 1) + 1 == atomic_load_explicit(&p->count, memory_order_relaxed) && atomic_load(&p->asleep))
                aki__bell_ring(&p->bell);
            return true;
        }
    }
}

static bool has_work(void *user)
{
    struct aki__pool *p = user;
    return (uint32_t)atomic_load(&p->ticket) < atomic_load(&p->count) || atomic_load(&p->closing);
}

static bool is_done(void *user)
{
    struct aki__pool *p = user;
    return atomic_load(&p->done) == atomic_load(&p->count);
}

/* Waits awake while the next operator of a run may come at any moment; asleep when this takes long, or nobody has taken the pool. */
static void wait_until(struct aki__pool *p, bool (*ready)(void *user))
{
    for (int turn = 0; turn < TURNS_AWAKE && atomic_load(&p->taken); turn++) {
        if (ready(p))
            return;
        aki__relax();
    }
    atomic_fetch_add(&p->asleep, 1);
    aki__bell_wait(&p->bell, ready, p);
    atomic_fetch_sub(&p->asleep, 1);
}

static void work(void *user)
{
    struct aki__pool *p = user;

    while (!atomic_load(&p->closing))
        if (!do_one(p))
            wait_until(p, has_work);
}

aki_status aki__pool_open(struct aki__pool **out, int threads, aki_error *err)
{
    size_t others = threads > 1 ? (size_t)threads - 1 : 0;
    struct aki__pool *p = aki__zalloc(1, sizeof *p + others * sizeof *p->threads);

    if (!p || !aki__bell_open(&p->bell)) {
        aki__free(p);
        p = NULL;
    }
    *out = p;
    if (!p)
        return aki__fail(err, AKI_E_NOMEM, "%d threads", threads);
    p->process = aki__process();
    while ((size_t)p->started < others && aki__thread_start(&p->threads[p->started], work, p))
        p->started++;
    return AKI_OK;
}

void aki__pool_close(struct aki__pool *p)
{
    if (!p)
        return;
    atomic_store(&p->closing, true);
    aki__bell_ring(&p->bell);
    for (int i = 0; i < p->started; i++)
        aki__thread_join(&p->threads[i]);
    aki__bell_close(&p->bell);
    aki__free(p);
}

int aki__pool_threads(const struct aki__pool *p) { return p->started + 1; }

bool aki__pool_acquire(struct aki__pool *p) { return p->process == aki__process() && !atomic_exchange(&p->taken, true); }
void aki__pool_release(struct aki__pool *p) { atomic_store(&p->taken, false); }

void aki__pool_each(struct aki__pool *p, size_t count, void (*body)(void *user, size_t i), void *user)
{
    if (!p || !p->started || count < 2 || count > UINT32_MAX) {
        for (size_t i = 0; i < count; i++)
            body(user, i);
        return;
    }
    uint64_t round = (atomic_load(&p->ticket) >> 32) + 1;
    atomic_store(&p->ticket, round << 32 | UINT32_MAX);     /* nothing to take while the round is described */
    atomic_store(&p->done, 0);
    atomic_store(&p->body, body);
    atomic_store(&p->user, user);
    atomic_store(&p->count, (uint32_t)count);
    atomic_store(&p->ticket, (round + 1) << 32);
    if (atomic_load(&p->asleep))
        aki__bell_ring(&p->bell);
    while (do_one(p))
        ;
    wait_until(p, is_done);
}
