/* Unit os for POSIX systems. See os.h. */
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#if defined(__APPLE__)
#  include <os/lock.h>
#endif
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#if defined(__APPLE__)
#  include <sys/sysctl.h>
#endif
#include <sys/utsname.h>
#include <unistd.h>

/* ---------------------------------------------------------------- files ----------------------------------------- */

/* false: no memory; then it is mapped. */
static bool read_file(struct aki__map *out, int fd, size_t size, const char *path, aki_status *rc, aki_error *err)
{
    char *copy = aki__alloc_aligned(size, 1);
    size_t done = 0;
    ssize_t n = 1;

    if (!copy)
        return false;
    while (done < size && ((n = read(fd, copy + done, size - done)) > 0 || (n < 0 && errno == EINTR)))
        done += n > 0 ? (size_t)n : 0;
    if (done < size) {
        *rc = n < 0 ? aki__fail(err, AKI_E_IO, "%s: cannot read: %s", path, strerror(errno))
                    : aki__fail(err, AKI_E_IO, "%s: became shorter while it was read", path);
        aki__free_aligned(copy);
        return true;
    }
    *out = (struct aki__map){ .data = copy, .size = size, .copy = copy };
    return true;
}

/* Files of up to copied bytes are read. */
static aki_status open_map(struct aki__map *out, const char *path, size_t copied, aki_error *err)
{
    aki_status rc = AKI_OK;
    struct stat st;

    *out = (struct aki__map){ 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        int why = errno;
        /* A link whose target is missing is a broken download, not an absent file: callers may go on without the latter. */
        if (why == ENOENT && lstat(path, &st) == 0)
            return aki__fail(err, AKI_E_IO, "%s: a link to a file that is missing", path);
        return aki__fail(err, why == ENOENT || why == ENOTDIR ? AKI_E_NOT_FOUND : AKI_E_IO, "%s: %s", path, aki__error_text(why));
    }
    if (fstat(fd, &st) != 0) {
        rc = aki__fail(err, AKI_E_IO, "%s: %s", path, aki__error_text(errno));
    } else if (!S_ISREG(st.st_mode)) {
        rc = aki__fail(err, AKI_E_IO, "%s: not a regular file", path);
    } else if (st.st_size == 0) {
        out->data = "";
    } else if ((size_t)st.st_size > copied || !read_file(out, fd, (size_t)st.st_size, path, &rc, err)) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            rc = aki__fail(err, errno == ENOMEM ? AKI_E_NOMEM : AKI_E_IO, "%s: cannot map: %s", path, aki__error_text(errno));
        } else {
            out->data = data;
            out->handle = data;
            out->size = (size_t)st.st_size;
            out->file = fd + 1;
        }
    }
    if (!out->file)
        close(fd);
    return rc;
}

aki_status aki__map_open(struct aki__map *out, const char *path, aki_error *err) { return open_map(out, path, AKI_MAP_COPIED, err); }

aki_status aki__map_watch(struct aki__map *out, const char *path, aki_error *err) { return open_map(out, path, 0, err); }

void aki__map_close(struct aki__map *m)
{
    if (m->handle)
        munmap(m->handle, m->size);
    if (m->file)
        close(m->file - 1);
    aki__free_aligned(m->copy);
    *m = (struct aki__map){ 0 };
}

bool aki__map_is_whole(const struct aki__map *m, uint64_t *size)
{
    struct stat st;

    if (!m->file || fstat(m->file - 1, &st) != 0)
        return true;
    *size = (uint64_t)st.st_size;
    return *size >= m->size;
}

const char *aki__error_text(int error)
{
    static struct aki__lock lock;           /* guards what strerror answers with, which is one text for all threads on macOS */
    static _Thread_local char text[128];

    aki__lock_acquire(&lock);
    snprintf(text, sizeof text, "%s", strerror(error));
    aki__lock_release(&lock);
    return text;
}

/* Of the whole pages in a block. */
static void advise(const void *begin, size_t size, int advice)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)begin + page - 1) & ~(page - 1), to = ((uintptr_t)begin + size) & ~(page - 1);
    if (from < to)
        madvise((void *)from, to - from, advice);
}

void aki__map_release(const struct aki__map *m, const void *begin, size_t size)
{
    if (m->handle && size)
        advise(begin, size, MADV_DONTNEED);
}

void aki__prefer_huge_pages(void *block, size_t size)
{
#if defined(MADV_HUGEPAGE)
    advise(block, size, MADV_HUGEPAGE);
#else
    (void)block;
    (void)size;
#endif
}

bool aki__is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool aki__is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

char *aki__real_path(const char *path)
{
    char *found = realpath(path, NULL), *copy = found ? aki__copy_string(found, strlen(found)) : NULL;

    free(found);
    return copy;
}

char *aki__native_path(const char *path) { return aki__copy_string(path, strlen(path)); }

FILE *aki__file_create(const char *path) { return fopen(path, "wb"); }

void aki__file_remove(const char *path) { (void)!remove(path); }

aki_status aki__make_folder(const char *path, aki_error *err)
{
    if (mkdir(path, 0777) != 0 && !(errno == EEXIST && aki__is_folder(path)))
        return aki__fail(err, AKI_E_IO, "%s: cannot make the folder: %s", path, aki__error_text(errno));
    return AKI_OK;
}

bool aki__folder_is_empty(const char *path)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    bool empty = d != NULL;

    while (d && empty && (e = readdir(d)))
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    if (d)
        closedir(d);
    return empty;
}

void aki__folder_each(const char *path, void (*tell)(void *user, const char *name), void *user)
{
    DIR *d = opendir(path);
    const struct dirent *e;

    while (d && (e = readdir(d)))
        tell(user, e->d_name);
    if (d)
        closedir(d);
}

#if defined(__APPLE__)
static const char caches[] = "/Library/Caches";
#else
static const char caches[] = "/.cache";
#endif

char *aki__cache_folder(const char *rest, bool make)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const bool own = xdg && xdg[0] == '/';  /* others are to be ignored, says its specification */
    char *out = NULL;

    if (own || (home && home[0] == '/')) {
        const char *root = own ? xdg : home, *below = own ? "" : caches;
        size_t size = strlen(root) + strlen(below) + strlen("/akiembed/") + strlen(rest) + 1;
        out = aki__alloc(size, 1);
        if (out)
            snprintf(out, size, "%s%s/akiembed/%s", root, below, rest);
    }
    if (!make)
        return out;
    bool made = out != NULL;
    for (char *slash = out ? strchr(out + 1, '/') : NULL; slash && made; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        made = aki__make_folder(out, NULL) == AKI_OK;
        *slash = '/';
    }
    if (made && aki__make_folder(out, NULL) == AKI_OK)
        return out;
    aki__free(out);
    return NULL;
}

bool aki__file_replace(const char *path, const void *bytes, size_t size)
{
    char *temporary = aki__alloc(strlen(path) + 8, 1);

    if (!temporary)
        return false;
    snprintf(temporary, strlen(path) + 8, "%s.XXXXXX", path);
    int fd = mkstemp(temporary);
    bool ok = fd >= 0 && write(fd, bytes, size) == (ssize_t)size;
    ok = (fd < 0 || close(fd) == 0) && ok && rename(temporary, path) == 0;
    if (fd >= 0 && !ok)
        unlink(temporary);
    aki__free(temporary);
    return ok;
}

bool aki__file_stamp(const char *path, uint64_t *size, int64_t *seconds)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return false;
    *size = (uint64_t)st.st_size;
    *seconds = (int64_t)st.st_mtime;
    return true;
}

void aki__system_name(char *out, size_t size)
{
    struct utsname u;

    out[0] = '\0';
    if (uname(&u) == 0)
        snprintf(out, size, "%s %s %s %s", u.sysname, u.release, u.version, u.machine);
}

/* ---------------------------------------------------------------- processors ------------------------------------ */

#if defined(__linux__)
/* Cores of the affinity mask, hardware threads of one core counted once. */
static int cores_of_mask(void)
{
    cpu_set_t mask;
    int cores = 0;

    if (sched_getaffinity(0, sizeof mask, &mask) != 0)
        return 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &mask))
            continue;
        char path[96];
        int first = cpu;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
        FILE *f = fopen(path, "re");
        if (f) {
            if (fscanf(f, "%d", &first) != 1)
                first = cpu;
            fclose(f);
        }
        /* The first sibling counts for the core; another one does only where the first is not ours. */
        if (first == cpu || first < 0 || first >= CPU_SETSIZE || !CPU_ISSET(first, &mask))
            cores++;
    }
    return cores;
}

/* The quota of this process's cgroup (v2, then v1) in whole cores, rounded up; 0: none. */
static int cores_of_quota(void)
{
    char line[512], path[700];
    long long quota = 0, period = 0;
    int found = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");

    if (!f)
        return 0;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *group = strrchr(line, ':');
        if (!group)
            continue;
        group++;
        const char *v2 = strncmp(line, "0::", 3) == 0 ? "" : NULL;
        const char *v1 = strstr(line, ":cpu,") || strstr(line, ":cpu:") || strstr(line, ",cpu:") || strstr(line, ",cpu,") ? "cpu" : NULL;
        /* A limit may stand at any level, and in a container the namespace hides the path: walk up to the root. */
        while (v2 || v1) {
            int cores = 0;
            FILE *q;
            if (v2) {
                snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
                if ((q = fopen(path, "re"))) {
                    if (fscanf(q, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0)
                        cores = (int)((quota + period - 1) / period);
                    fclose(q);
                }
            } else {
                snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", group);
                if ((q = fopen(path, "re"))) {
                    if (fscanf(q, "%lld", &quota) != 1)
                        quota = 0;
                    fclose(q);
                }
                snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", group);
                if (quota > 0 && (q = fopen(path, "re"))) {
                    if (fscanf(q, "%lld", &period) == 1 && period > 0)
                        cores = (int)((quota + period - 1) / period);
                    fclose(q);
                }
            }
            if (cores > 0 && (!found || cores < found))
                found = cores;
            char *slash = strrchr(group, '/');
            if (!slash || !group[0])
                break;
            *slash = '\0';
        }
    }
    fclose(f);
    return found;
}
#endif

#if defined(__APPLE__)
/* 0: the system does not know this name. */
static int number_of(const char *name)
{
    int number = 0;
    size_t size = sizeof number;

    return sysctlbyname(name, &number, &size, NULL, 0) == 0 && size == sizeof number ? number : 0;
}
#endif

int aki__cores(void)
{
    int cores = 0;

#if defined(__linux__)
    cores = cores_of_mask();
    int quota = cores_of_quota();
    if (quota > 0 && (cores <= 0 || quota < cores))
        cores = quota;
#endif
#if defined(__APPLE__)
    /* The fast ones: a run that is split would wait for the efficiency cores. Macs with one kind of core have no levels. */
    cores = number_of("hw.perflevel0.physicalcpu");
    if (cores <= 0)
        cores = number_of("hw.physicalcpu");
#endif
    if (cores <= 0)
        cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? cores : 1;
}

/* ---------------------------------------------------------------- threads --------------------------------------- */

long aki__process(void) { return (long)getpid(); }

struct start { void (*body)(void *user); void *user; pthread_t id; };
_Static_assert(sizeof(struct start) <= sizeof(struct aki__thread), "aki__thread holds what a thread begins with");

/* What the first thread of a process has; by themselves threads get 512 KiB on macOS and 128 KiB of musl. Only what is touched is memory. */
enum { STACK = 8 << 20 };
_Static_assert(sizeof(sigset_t) <= sizeof ((struct aki__signals *)0)->opaque, "aki__signals holds the set");

static void *start(void *arg)
{
    struct start *s = arg;

    s->body(s->user);
    return NULL;
}

void aki__signals_block(struct aki__signals *before)
{
    /* A fault is its thread's own, and blocked it would end the process past the host's handler. SIGPROF samples threads: it wants these. */
    static const int open[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF };
    sigset_t set;

    sigfillset(&set);
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        sigdelset(&set, open[i]);
    before->known = pthread_sigmask(SIG_BLOCK, &set, (sigset_t *)before->opaque) == 0;
}

void aki__signals_restore(const struct aki__signals *before)
{
    if (before->known)
        pthread_sigmask(SIG_SETMASK, (const sigset_t *)before->opaque, NULL);
}

bool aki__thread_start(struct aki__thread *t, void (*body)(void *user), void *user)
{
    struct start *s = (struct start *)t;
    struct aki__signals before;
    pthread_attr_t attributes;

    s->body = body;
    s->user = user;
    if (pthread_attr_init(&attributes))
        return false;
    aki__signals_block(&before);
    bool ok = pthread_attr_setstacksize(&attributes, STACK) == 0 && pthread_create(&s->id, &attributes, start, s) == 0;
    aki__signals_restore(&before);
    pthread_attr_destroy(&attributes);
    return ok;
}

void aki__thread_join(struct aki__thread *t) { pthread_join(((struct start *)t)->id, NULL); }

void aki__relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---------------------------------------------------------------- locks ----------------------------------------- */

/* What aki__locks_check knows. */
enum { LOCKS_UNTRIED, LOCKS_GOOD, LOCKS_FAILED };
static atomic_int locks;

/* The answer of a call that cannot fail, as it was given what it asks for. Where it fails all the same, nobody was kept out: work of two
 * threads may be mixed, and no result is to be trusted from here on. */
static void sure(int answer)
{
    if (!answer)
        return;
    atomic_store(&locks, LOCKS_FAILED);
#if !defined(NDEBUG)
    __builtin_trap();
#endif
}

#if defined(__APPLE__)
/* Zero is this lock's initialiser. It is none of a pthread mutex on macOS, which begins with a signature; without it lock and unlock answer
 * EINVAL and lock nothing. */
typedef os_unfair_lock system_lock;
static void take(system_lock *l) { os_unfair_lock_lock(l); }
static bool take_at_once(system_lock *l) { return os_unfair_lock_trylock(l); }
static void drop(system_lock *l) { os_unfair_lock_unlock(l); }
#else
typedef pthread_mutex_t system_lock;
static void take(system_lock *l) { sure(pthread_mutex_lock(l)); }
static bool take_at_once(system_lock *l) { return pthread_mutex_trylock(l) == 0; }
static void drop(system_lock *l) { sure(pthread_mutex_unlock(l)); }
#endif
_Static_assert(sizeof(system_lock) <= sizeof(struct aki__lock), "aki__lock holds the system's");

void aki__lock_acquire(struct aki__lock *l) { take((system_lock *)l); }

bool aki__lock_try(struct aki__lock *l) { return take_at_once((system_lock *)l); }

void aki__lock_release(struct aki__lock *l) { drop((system_lock *)l); }

aki_status aki__locks_check(aki_error *err)
{
    if (atomic_load(&locks) == LOCKS_UNTRIED) {
        struct aki__lock zeroed = { 0 };
        int untried = LOCKS_UNTRIED;

        aki__lock_acquire(&zeroed);
        const bool closed = !aki__lock_try(&zeroed);
        aki__lock_release(&zeroed);
        const bool open = aki__lock_try(&zeroed);
        if (open)
            aki__lock_release(&zeroed);
        atomic_compare_exchange_strong(&locks, &untried, closed && open ? LOCKS_GOOD : LOCKS_FAILED);
    }
    return atomic_load(&locks) == LOCKS_GOOD ? AKI_OK : aki__fail(err, AKI_E_INTERNAL, "this system's locks do not keep threads apart");
}

struct bell { pthread_mutex_t lock; pthread_cond_t rung; };
_Static_assert(sizeof(struct bell) <= sizeof(struct aki__bell), "aki__bell holds a mutex and a condition");

bool aki__bell_open(struct aki__bell *b)
{
    struct bell *bell = (struct bell *)b;

    if (pthread_mutex_init(&bell->lock, NULL))
        return false;
    if (pthread_cond_init(&bell->rung, NULL)) {
        sure(pthread_mutex_destroy(&bell->lock));
        return false;
    }
    return true;
}

void aki__bell_close(struct aki__bell *b)
{
    sure(pthread_cond_destroy(&((struct bell *)b)->rung));
    sure(pthread_mutex_destroy(&((struct bell *)b)->lock));
}

void aki__bell_wait(struct aki__bell *b, bool (*ready)(void *user), void *user)
{
    struct bell *bell = (struct bell *)b;

    sure(pthread_mutex_lock(&bell->lock));
    while (!ready(user))
        sure(pthread_cond_wait(&bell->rung, &bell->lock));
    sure(pthread_mutex_unlock(&bell->lock));
}

void aki__bell_ring(struct aki__bell *b)
{
    struct bell *bell = (struct bell *)b;

    sure(pthread_mutex_lock(&bell->lock));
    sure(pthread_cond_broadcast(&bell->rung));
    sure(pthread_mutex_unlock(&bell->lock));
}
