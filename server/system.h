/* Unit system: what of the service differs between systems. */
#ifndef AKI_SERVER_SYSTEM_H
#define AKI_SERVER_SYSTEM_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* A socket that no other program inherits and that never waits; -1: errno says why. */
int      system_socket(int family, int type, int protocol);
/* Has the other side left? What it sent before is not read. */
bool     system_hung_up(int fd);
/* The number of a signal of the set, blocked in every thread, that came within so many milliseconds; 0: none did. */
int      system_signal(const sigset_t *set, int milliseconds);
/* A condition for system_wait, which waits for so many seconds at most, however the time of day is set meanwhile. */
void     system_condition(pthread_cond_t *c);
void     system_wait(pthread_cond_t *c, pthread_mutex_t *lock, double seconds);
uint64_t system_random(void);

#endif
