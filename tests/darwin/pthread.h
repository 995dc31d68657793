/* Mutexes and conditions that begin with a signature, as macOS' do: of zeros, they are none, and each call answers EINVAL and does nothing. */
#include_next <pthread.h>
#ifndef AKI_TEST_DARWIN_PTHREAD_H
#define AKI_TEST_DARWIN_PTHREAD_H

/* 64 bytes, as there. (A condition is 56 here, and 48 there: Linux's has to fit into it.) */
typedef struct { long signature; pthread_mutex_t own; char rest[64 - sizeof(long) - sizeof(pthread_mutex_t)]; } darwin_mutex;
typedef struct { long signature; pthread_cond_t own; } darwin_condition;

#define DARWIN_MUTEX_STATIC 0x32AAABA7
#define DARWIN_CONDITION_STATIC 0x3CB0B1BB

int darwin_mutex_init(darwin_mutex *m, const pthread_mutexattr_t *attributes);
int darwin_mutex_destroy(darwin_mutex *m);
int darwin_mutex_lock(darwin_mutex *m);
int darwin_mutex_trylock(darwin_mutex *m);
int darwin_mutex_unlock(darwin_mutex *m);
int darwin_cond_init(darwin_condition *c, const pthread_condattr_t *attributes);
int darwin_cond_destroy(darwin_condition *c);
int darwin_cond_wait(darwin_condition *c, darwin_mutex *m);
int darwin_cond_timedwait_relative(darwin_condition *c, darwin_mutex *m, const struct timespec *most);
int darwin_cond_signal(darwin_condition *c);
int darwin_cond_broadcast(darwin_condition *c);

#undef PTHREAD_MUTEX_INITIALIZER
#undef PTHREAD_COND_INITIALIZER
#define PTHREAD_MUTEX_INITIALIZER { .signature = DARWIN_MUTEX_STATIC, .own = { { 0 } } }
#define PTHREAD_COND_INITIALIZER { .signature = DARWIN_CONDITION_STATIC, .own = { { { 0 } } } }
#define pthread_mutex_t darwin_mutex
#define pthread_cond_t darwin_condition
#define pthread_mutex_init darwin_mutex_init
#define pthread_mutex_destroy darwin_mutex_destroy
#define pthread_mutex_lock darwin_mutex_lock
#define pthread_mutex_trylock darwin_mutex_trylock
#define pthread_mutex_unlock darwin_mutex_unlock
#define pthread_cond_init darwin_cond_init
#define pthread_cond_destroy darwin_cond_destroy
#define pthread_cond_wait darwin_cond_wait
#define pthread_cond_timedwait_relative_np darwin_cond_timedwait_relative
#define pthread_cond_signal darwin_cond_signal
#define pthread_cond_broadcast darwin_cond_broadcast

#pragma GCC poison pthread_cond_timedwait pthread_cond_clockwait pthread_condattr_setclock pthread_condattr_getclock
#pragma GCC poison pthread_mutex_timedlock pthread_mutex_clocklock pthread_mutex_consistent pthread_spin_lock pthread_spin_init
#pragma GCC poison pthread_barrier_t pthread_barrier_init pthread_barrier_wait pthread_setaffinity_np pthread_getaffinity_np
#pragma GCC poison pthread_tryjoin_np pthread_timedjoin_np pthread_setattr_default_np pthread_setname_np

#endif
