/* Rules of macOS, kept on Linux: what a build with AKI_TEST_DARWIN (docs/testing.md) runs in place of Linux's own calls. The headers of this folder
 * stand before the system's, for code of the project alone: they declare what macOS has, poison what it has not, so that its use does not
 * compile, and lead the calls whose rules differ to this file, which is compiled without them.
 *
 * A breach of a lock's rules is answered as macOS does, and told: the process ends with status 86, whatever it would have said else. */
#include "sys/sysctl.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 16384, STACK = 512 << 10, FILES = 10240, BREACHED = 86 };

/* ---------------------------------------------------------------- breaches -------------------------------------- */

static atomic_int breaches;

static int breach(const char *what, int answer)
{
    if (atomic_fetch_add(&breaches, 1) < 10)
        fprintf(stderr, "darwin: %s\n", what);
    return answer;
}

__attribute__((destructor)) static void end(void)
{
    if (!atomic_load(&breaches))
        return;
    fprintf(stderr, "darwin: %d breaches of macOS' rules\n", atomic_load(&breaches));
    fflush(NULL);
    _exit(BREACHED);
}

/* Threads that say nothing of their stack get 512 KiB, also ONNX Runtime's and libmicrohttpd's. */
__attribute__((constructor)) static void begin(void)
{
    pthread_attr_t attributes;

    if (pthread_attr_init(&attributes) || pthread_attr_setstacksize(&attributes, STACK) || pthread_setattr_default_np(&attributes))
        breach("stacks of 512 KiB cannot be set", 0);
    pthread_attr_destroy(&attributes);
}

/* ---------------------------------------------------------------- mutexes, conditions --------------------------- */

/* As pthread.h beside this file has them. An initialised one has another signature than one that waits for its first use. */
typedef struct { long signature; pthread_mutex_t own; char rest[64 - sizeof(long) - sizeof(pthread_mutex_t)]; } darwin_mutex;
typedef struct { long signature; pthread_cond_t own; } darwin_condition;
enum { MUTEX_STATIC = 0x32AAABA7, MUTEX = 0x4D555458, CONDITION_STATIC = 0x3CB0B1BB, CONDITION = 0x434F4E44 };

static bool is_mutex(const darwin_mutex *m) { return m->signature == MUTEX || m->signature == MUTEX_STATIC; }
static bool is_condition(const darwin_condition *c) { return c->signature == CONDITION || c->signature == CONDITION_STATIC; }

int darwin_mutex_init(darwin_mutex *m, const pthread_mutexattr_t *attributes)
{
    memset(m, 0, sizeof *m);
    m->signature = MUTEX;
    return pthread_mutex_init(&m->own, attributes);
}

int darwin_mutex_destroy(darwin_mutex *m)
{
    if (!is_mutex(m))
        return breach("pthread_mutex_destroy of what is no mutex", EINVAL);
    m->signature = 0;
    return pthread_mutex_destroy(&m->own);
}

int darwin_mutex_lock(darwin_mutex *m) { return is_mutex(m) ? pthread_mutex_lock(&m->own) : breach("pthread_mutex_lock of what is no mutex", EINVAL); }

int darwin_mutex_trylock(darwin_mutex *m) { return is_mutex(m) ? pthread_mutex_trylock(&m->own) : breach("pthread_mutex_trylock of what is no mutex", EINVAL); }

int darwin_mutex_unlock(darwin_mutex *m) { return is_mutex(m) ? pthread_mutex_unlock(&m->own) : breach("pthread_mutex_unlock of what is no mutex", EINVAL); }

int darwin_cond_init(darwin_condition *c, const pthread_condattr_t *attributes)
{
    pthread_condattr_t monotonic;

    if (attributes)
        return breach("pthread_cond_init with attributes, of which macOS has only the sharing between processes", EINVAL);
    c->signature = CONDITION;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(&c->own, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return rc;
}

int darwin_cond_destroy(darwin_condition *c)
{
    if (!is_condition(c))
        return breach("pthread_cond_destroy of what is no condition", EINVAL);
    c->signature = 0;
    return pthread_cond_destroy(&c->own);
}

int darwin_cond_wait(darwin_condition *c, darwin_mutex *m)
{
    return is_condition(c) && is_mutex(m) ? pthread_cond_wait(&c->own, &m->own) : breach("pthread_cond_wait on what is no condition or no mutex", EINVAL);
}

int darwin_cond_timedwait_relative(darwin_condition *c, darwin_mutex *m, const struct timespec *most)
{
    struct timespec until;

    if (!is_condition(c) || !is_mutex(m) || most->tv_nsec < 0 || most->tv_nsec >= 1000000000)
        return breach("pthread_cond_timedwait_relative_np on what is no condition, no mutex or no time", EINVAL);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += most->tv_sec;
    until.tv_nsec += most->tv_nsec;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return pthread_cond_timedwait(&c->own, &m->own, &until);
}

int darwin_cond_signal(darwin_condition *c) { return is_condition(c) ? pthread_cond_signal(&c->own) : breach("pthread_cond_signal of what is no condition", EINVAL); }

int darwin_cond_broadcast(darwin_condition *c) { return is_condition(c) ? pthread_cond_broadcast(&c->own) : breach("pthread_cond_broadcast of what is no condition", EINVAL); }

/* ---------------------------------------------------------------- os_unfair_lock -------------------------------- */

struct unfair { _Atomic uint32_t owner; };

static void stop(const char *what)
{
    fprintf(stderr, "BUG IN CLIENT OF LIBPLATFORM: %s\n", what);
    abort();
}

bool os_unfair_lock_trylock(struct unfair *l)
{
    uint32_t nobody = 0;

    return atomic_compare_exchange_strong(&l->owner, &nobody, (uint32_t)gettid());
}

void os_unfair_lock_lock(struct unfair *l)
{
    if (atomic_load(&l->owner) == (uint32_t)gettid())
        stop("Trying to recursively lock an os_unfair_lock");
    for (int turn = 0; !os_unfair_lock_trylock(l); turn++)
        usleep(turn < 100 ? 0 : 50);
}

void os_unfair_lock_unlock(struct unfair *l)
{
    uint32_t me = (uint32_t)gettid();

    if (!atomic_compare_exchange_strong(&l->owner, &me, 0))
        stop("Unlock of an os_unfair_lock not owned by current thread");
}

/* ---------------------------------------------------------------- pages ----------------------------------------- */

long darwin_sysconf(int name) { return name == _SC_PAGESIZE ? PAGE : sysconf(name); }

int darwin_getpagesize(void) { return PAGE; }

static bool whole(const void *at) { return (uintptr_t)at % PAGE == 0; }

static int refuse(const char *what)
{
    errno = EINVAL;
    return breach(what, -1);
}

/* Linux gives places of 4 KiB: one page of 16 KiB more is asked for, and what is too much given back. */
void *darwin_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (offset % PAGE || (at && !whole(at))) {
        refuse("mmap of a part of a page");
        return MAP_FAILED;
    }
    size_t rounded = (size + PAGE - 1) / PAGE * PAGE;
    if (at || !size || rounded < size)
        return mmap(at, size, protection, flags, fd, offset);
    char *room = mmap(NULL, rounded + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return room;
    char *begin = (char *)(((uintptr_t)room + PAGE - 1) / PAGE * PAGE);
    void *out = mmap(begin, size, protection, flags | MAP_FIXED, fd, offset);
    int why = errno;
    size_t small = (size_t)sysconf(_SC_PAGESIZE), used = out == MAP_FAILED ? 0 : (size + small - 1) / small * small;
    if (begin > room)
        munmap(room, (size_t)(begin - room));
    munmap(begin + used, (size_t)(room + rounded + PAGE - begin) - used);
    errno = why;
    return out;
}

int darwin_munmap(void *at, size_t size) { return whole(at) ? munmap(at, size) : refuse("munmap of a part of a page"); }

int darwin_mprotect(void *at, size_t size, int protection) { return whole(at) ? mprotect(at, size, protection) : refuse("mprotect of a part of a page"); }

int darwin_madvise(void *at, size_t size, int advice)
{
    if (!whole(at) || size % PAGE)
        return refuse("madvise on a part of a page");
    /* There, pages that are not needed are only the first to go: what was written to them stays. */
    return advice == MADV_DONTNEED ? 0 : madvise(at, size, advice);
}

/* ---------------------------------------------------------------- files ----------------------------------------- */

static bool too_long(size_t size)
{
    if (size > INT_MAX)
        errno = EINVAL;
    return size > INT_MAX;
}

ssize_t darwin_read(int fd, void *out, size_t size) { return too_long(size) ? -1 : read(fd, out, size); }

ssize_t darwin_write(int fd, const void *data, size_t size) { return too_long(size) ? -1 : write(fd, data, size); }

ssize_t darwin_pread(int fd, void *out, size_t size, off_t at) { return too_long(size) ? -1 : pread(fd, out, size, at); }

ssize_t darwin_pwrite(int fd, const void *data, size_t size, off_t at) { return too_long(size) ? -1 : pwrite(fd, data, size, at); }

int darwin_fcntl(int fd, int command, ...)
{
    enum { FULL_SYNC = 51 };
    va_list args;

    va_start(args, command);
    void *argument = va_arg(args, void *);
    va_end(args);
    return command == FULL_SYNC ? fsync(fd) : fcntl(fd, command, argument);
}

int darwin_poll(struct pollfd *list, nfds_t count, int milliseconds)
{
    int bad = 0;

    for (nfds_t i = 0; i < count; i++) {
        struct stat st;
        const bool device = list[i].fd >= 0 && fstat(list[i].fd, &st) == 0 && S_ISCHR(st.st_mode);
        list[i].revents = device ? POLLNVAL : 0;
        bad += device;
    }
    return bad ? bad : poll(list, count, milliseconds);
}

char *darwin_strerror(int error)
{
    static char text[256];
    const char *own = strerror(error);
    size_t i = 0;

    do
        ((volatile char *)text)[i] = own[i];
    while (own[i++]);
    return text;
}

/* ---------------------------------------------------------------- sockets --------------------------------------- */

int darwin_shutdown(int fd, int how)
{
    int listens = 0;
    socklen_t size = sizeof listens;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens) {
        errno = ENOTCONN;
        return -1;
    }
    return shutdown(fd, how);
}

/* Nobody's send can ask for no SIGPIPE: these stand before libc's for every library of the process. */
ssize_t send(int fd, const void *data, size_t size, int flags)
{
    static ssize_t (*_Atomic next)(int, const void *, size_t, int);

    if (!next)
        next = (ssize_t (*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");
    return next(fd, data, size, flags & ~MSG_NOSIGNAL);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length)
{
    static ssize_t (*_Atomic next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);

    if (!next)
        next = (ssize_t (*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "sendto");
    return next(fd, data, size, flags & ~MSG_NOSIGNAL, address, length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    static ssize_t (*_Atomic next)(int, const struct msghdr *, int);

    if (!next)
        next = (ssize_t (*)(int, const struct msghdr *, int))dlsym(RTLD_NEXT, "sendmsg");
    return next(fd, message, flags & ~MSG_NOSIGNAL);
}

/* ---------------------------------------------------------------- the machine ----------------------------------- */

int darwin_getrusage(int who, struct rusage *out)
{
    int rc = getrusage(who, out);

    out->ru_maxrss *= 1024;
    return rc;
}

int darwin_getrlimit(int kind, struct rlimit *out)
{
    int rc = getrlimit(kind, out);

    if (kind == RLIMIT_NOFILE && out->rlim_max >= FILES)
        out->rlim_max = RLIM_INFINITY;
    return rc;
}

int darwin_setrlimit(int kind, const struct rlimit *in)
{
    struct rlimit limit = *in;

    if (kind == RLIMIT_NOFILE) {
        struct rlimit now;
        if (limit.rlim_cur == RLIM_INFINITY) {
            errno = EINVAL;
            return -1;
        }
        if (getrlimit(kind, &now))
            return -1;
        if (limit.rlim_cur > FILES)
            limit.rlim_cur = FILES;
        if (limit.rlim_max > now.rlim_max)
            limit.rlim_max = now.rlim_max;
    }
    return setrlimit(kind, &limit);
}

locale_t darwin_newlocale(int mask, const char *name, locale_t base)
{
    if (strcmp(name, "C.UTF-8") == 0) {
        errno = ENOENT;
        return (locale_t)0;
    }
    return newlocale(mask, strcmp(name, "UTF-8") == 0 || strcmp(name, "en_US.UTF-8") == 0 ? "C.UTF-8" : name, base);
}

unsigned mach_task_self(void) { return 1; }

int task_info(unsigned task, int kind, int *out, unsigned *count)
{
    unsigned long long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    if (task != 1 || kind != 20 || *count < 4 || !f || fscanf(f, "%llu %llu", &pages, &resident) != 2) {
        if (f)
            fclose(f);
        return 4;                           /* KERN_INVALID_ARGUMENT */
    }
    fclose(f);
    memcpy(out, (uint64_t[]){ pages * page, resident * page }, 2 * sizeof(uint64_t));
    return 0;
}

static const struct darwin_number *numbers;
static size_t number_count;

void darwin_machine(const struct darwin_number *wanted, size_t count)
{
    numbers = wanted;
    number_count = count;
}

int sysctlbyname(const char *name, void *out, size_t *size, void *new_value, size_t new_size)
{
    static const char processor[] = "Apple M1 (by tests/darwin)";
    const int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    const struct darwin_number own[] = { { "hw.physicalcpu", cores + 4 }, { "hw.perflevel0.physicalcpu", cores }, { "hw.perflevel1.physicalcpu", 4 } };
    const struct darwin_number *list = numbers ? numbers : own;
    const void *value = strcmp(name, "machdep.cpu.brand_string") == 0 ? processor : NULL;
    size_t needed = sizeof processor;

    for (size_t i = 0, n = numbers ? number_count : sizeof own / sizeof *own; i < n && !value; i++)
        if (strcmp(list[i].name, name) == 0) {
            value = &list[i].value;
            needed = sizeof(int);
        }
    if (!value || new_value || new_size || *size < needed) {
        errno = !value ? ENOENT : ENOMEM;
        return -1;
    }
    memcpy(out, value, needed);
    *size = needed;
    return 0;
}
