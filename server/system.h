/* Unit system: what of the service differs between systems. */
#ifndef AKI_SERVER_SYSTEM_H
#define AKI_SERVER_SYSTEM_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Bytes of a thread's stack: by themselves threads have 512 KiB on macOS. */
enum { SYSTEM_STACK = 8 << 20 };

/* A socket that no other program inherits and that never waits; -1: errno says why. */
int      system_socket(int family, int type, int protocol);
/* Ends a socket's listening, so that who connects from here on is refused; its number stays taken, as other threads may still look at it. */
void     system_refuse(int listener);
/* The next connection of a listening socket, made like system_socket's; -1: there is none now. */
int      system_accept(int listener, struct sockaddr *address, socklen_t *size);
/* What is known of the other side. SILENT: it will send nothing more; most have left, some wait for an answer (shutdown(SHUT_WR)). What it
 * sent before is not read. */
enum system_client { CLIENT_THERE, CLIENT_SILENT, CLIENT_GONE };
enum system_client system_client(int fd);
/* Is all read that it sent, and will nothing more come? */
bool     system_at_end(int fd);
/* The number of a signal of the set, blocked in every thread, that came within so many milliseconds; 0: none did. */
int      system_signal(const sigset_t *set, int milliseconds);
/* A thread with a stack of SYSTEM_STACK. */
bool     system_thread(pthread_t *thread, void *(*body)(void *user), void *user);
/* A condition for system_wait, which waits for so many seconds at most, however the time of day is set meanwhile. false: there is none. */
bool     system_condition(pthread_cond_t *c);
void     system_wait(pthread_cond_t *c, pthread_mutex_t *lock, double seconds);
uint64_t system_random(void);
/* Overwrites what nobody shall find in memory that is given back. */
void     system_wipe(void *data, size_t size);

#endif
