/* Unit system: see system.h. */
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int settle(int fd)
{
    if (fd >= 0 && (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, O_NONBLOCK))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

void system_refuse(int listener)
{
#if defined(__APPLE__)
    /* A socket that listens is not shut down there; one that does not takes its place. */
    int other = system_socket(AF_UNIX, SOCK_STREAM, 0);

    if (other >= 0) {
        dup2(other, listener);
        close(other);
    }
#else
    shutdown(listener, SHUT_RDWR);
#endif
}

int system_socket(int family, int type, int protocol)
{
    return settle(socket(family, type, protocol));
}

int system_accept(int listener, struct sockaddr *address, socklen_t *size)
{
    return settle(accept(listener, address, size));
}

enum system_client system_client(int fd)
{
#if defined(POLLRDHUP)
    struct pollfd p = { .fd = fd, .events = POLLRDHUP };

    if (poll(&p, 1, 0) <= 0)
        return CLIENT_THERE;
    return p.revents & (POLLHUP | POLLERR) ? CLIENT_GONE : p.revents & POLLRDHUP ? CLIENT_SILENT : CLIENT_THERE;
#else
    char next;                  /* a request sent ahead hides the end behind it */
    ssize_t got = recv(fd, &next, 1, MSG_PEEK | MSG_DONTWAIT);

    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)) ? CLIENT_THERE : got ? CLIENT_GONE : CLIENT_SILENT;
#endif
}

bool system_at_end(int fd)
{
    char next;

    return recv(fd, &next, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

bool system_thread(pthread_t *thread, void *(*body)(void *user), void *user)
{
    pthread_attr_t attributes;

    if (pthread_attr_init(&attributes))
        return false;
    bool ok = pthread_attr_setstacksize(&attributes, SYSTEM_STACK) == 0 && pthread_create(thread, &attributes, body, user) == 0;
    pthread_attr_destroy(&attributes);
    return ok;
}

static struct timespec time_of(double seconds)
{
    return (struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };
}

#if defined(__APPLE__)
bool system_condition(pthread_cond_t *c) { return pthread_cond_init(c, NULL) == 0; }

void system_wait(pthread_cond_t *c, pthread_mutex_t *lock, double seconds)
{
    const struct timespec most = time_of(seconds);

    pthread_cond_timedwait_relative_np(c, lock, &most);
}

int system_signal(const sigset_t *set, int milliseconds)
{
    const struct timespec tick = { .tv_nsec = 20 * 1000000 };
    sigset_t pending;

    for (int waited = 0;; waited += 20) {
        sigpending(&pending);
        for (int number = 1; number < NSIG; number++) {
            int got = 0;
            if (sigismember(set, number) && sigismember(&pending, number))
                return sigwait(set, &got) ? 0 : got;
        }
        if (waited >= milliseconds)
            return 0;
        nanosleep(&tick, NULL);
    }
}
#else
bool system_condition(pthread_cond_t *c)
{
    pthread_condattr_t attributes;

    if (pthread_condattr_init(&attributes))
        return false;
    bool ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 && pthread_cond_init(c, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return ok;
}

void system_wait(pthread_cond_t *c, pthread_mutex_t *lock, double seconds)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    struct timespec until = time_of((double)now.tv_nsec * 1e-9 + seconds);
    until.tv_sec += now.tv_sec;
    pthread_cond_timedwait(c, lock, &until);
}

int system_signal(const sigset_t *set, int milliseconds)
{
    const struct timespec most = time_of(milliseconds * 1e-3);
    int number = sigtimedwait(set, NULL, &most);

    return number < 0 ? 0 : number;
}
#endif

void system_wipe(void *data, size_t size)
{
    volatile unsigned char *bytes = data;                     /* volatile: it happens though nobody reads it */

    for (size_t i = 0; i < size; i++)
        bytes[i] = 0;
}

uint64_t system_random(void)
{
    uint64_t random = 0;

    if (getentropy(&random, sizeof random)) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        random = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    }
    return random;
}
