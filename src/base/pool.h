/* Unit pool: a few threads that wait for work: awake (spinning) for a while when somebody has taken the pool, asleep otherwise. */
#ifndef AKI_POOL_H
#define AKI_POOL_H

#include "base/os.h"

struct aki__pool;

/* A pool of `threads` threads, its user's own among them; fewer where the system gives no more. Errors: NOMEM. */
aki_status aki__pool_open(struct aki__pool **out, int threads, aki_error *err);
/* Not while somebody has taken it. NULL is fine. */
void       aki__pool_close(struct aki__pool *p);
int        aki__pool_threads(const struct aki__pool *p);

/* true: the pool is the caller's until aki__pool_release. false, at once: somebody else's, or the caller is in a child after fork, where
 * its threads are not. */
bool       aki__pool_acquire(struct aki__pool *p);
void       aki__pool_release(struct aki__pool *p);

/* Runs body(user, i) for i in 0 … count - 1, in this order, on the pool's threads and the caller's; returns when all are done. By whom
 * has taken the pool only. p NULL: on the caller's alone. body cannot fail. */
void       aki__pool_each(struct aki__pool *p, size_t count, void (*body)(void *user, size_t i), void *user);

#endif
