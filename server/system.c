/* Unit system: see system.h. */
#include "system.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int system_socket(int family, int type, int protocol)
{
    int fd = socket(family, type, protocol);

    if (fd >= 0 && (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, O_NONBLOCK))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

bool system_hung_up(int fd)
{
#if defined(POLLRDHUP)
    struct pollfd p = { .fd = fd, .events = POLLRDHUP };

    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
#else
    char next;                  /* a request sent ahead hides the end behind it */

    return recv(fd, &next, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
#endif
}

static struct timespec time_of(double seconds)
{
    return (struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };
}

#if defined(__APPLE__)
void system_condition(pthread_cond_t *c) { pthread_cond_init(c, NULL); }

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
void system_condition(pthread_cond_t *c)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attributes);
    pthread_condattr_destroy(&attributes);
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
