/* Unit system for POSIX systems. See system.h. */
#include "system.h"

#include "cli.h"
#include "machine.h"

#include <dirent.h>
#include <errno.h>
#include <locale.h>
#if defined(__APPLE__)
#  include <mach/mach.h>
#  include <sys/mount.h>
#  include <sys/param.h>
#  include <sys/resource.h>
#  include <sys/select.h>
#  include <sys/sysctl.h>
#  include <xlocale.h>
#endif
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

/* ---------------------------------------------------------------- the process ----------------------------------- */

/* The first one asks the program to end where it next looks. A second one ends it at once, as signals do by themselves. */
static void on_signal(int number)
{
    cli_signal = number;
}

void system_begin(int *count, char ***arguments)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    (void)count;
    (void)arguments;
    sigemptyset(&action.sa_mask);
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* A reader that leaves shows as a failed write, which has an exit status of its own. */
    sigaction(SIGPIPE, &ignore, NULL);
    /* So does a file that may not grow any more (ulimit -f). */
    sigaction(SIGXFSZ, &ignore, NULL);
}

void system_default(const char *name, const char *value)
{
    setenv(name, value, 0);
}

char *system_variable(const char *name)
{
    return getenv(name);
}

/* ---------------------------------------------------------------- files ----------------------------------------- */

int system_open(const char *path, int flags)
{
    return open(path, flags, 0666);
}

FILE *system_fopen(const char *path, const char *mode)
{
    return fopen(path, mode);
}

int system_open_regular(const char *path, const char **why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        *why = strerror(errno);
        return -1;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    errno = EINVAL;
    *why = "not a regular file";
    return -1;
}

const void *system_map(int fd, size_t *size)
{
    struct stat st;

    if (fstat(fd, &st))
        return NULL;
    *size = (size_t)st.st_size;
    void *map = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
    return map == MAP_FAILED ? NULL : map;
}

void system_unmap(const void *map, size_t size)
{
    munmap((void *)(uintptr_t)map, size);
}

int system_stat(const char *path, struct stat *out)
{
    return stat(path, out);
}

char *system_whole_path(const char *path) { return realpath(path, NULL); }

int system_remove(const char *path)
{
    return remove(path);
}

int system_rename(const char *from, const char *to)
{
    return rename(from, to);
}

struct system_folder *system_folder_open(const char *path)
{
    return (struct system_folder *)opendir(path);
}

const char *system_folder_next(struct system_folder *folder)
{
    const struct dirent *entry = readdir((DIR *)folder);

    return entry ? entry->d_name : NULL;
}

void system_folder_close(struct system_folder *folder)
{
    closedir((DIR *)folder);
}

const char *system_home(void)
{
    const char *home = getenv("HOME");

    if (home && *home)
        return home;
    const struct passwd *entry = getpwuid(getuid());
    return entry ? entry->pw_dir : NULL;
}

int system_open_spill(char *path, size_t size)
{
    const char *folder = getenv("TMPDIR");

    if (snprintf(path, size, "%s/akiembed-XXXXXX", folder && *folder ? folder : "/tmp") >= (int)size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = mkstemp(path);
    if (fd >= 0)
        unlink(path);
    return fd;
}

bool system_write_at(int fd, const void *data, size_t size, uint64_t at)
{
    return pwrite(fd, data, size, (off_t)at) == (ssize_t)size;
}

bool system_sync(int fd)
{
#if defined(F_FULLFSYNC)
    /* There fsync leaves it to the disk when to write; not every file system knows the other one. */
    if (fcntl(fd, F_FULLFSYNC) == 0)
        return true;
#endif
    return fsync(fd) == 0;
}

bool system_room(const char *folder, uint64_t *bytes)
{
#if defined(__APPLE__)
    struct statfs disk;         /* statvfs counts blocks in 32 bits there */

    if (statfs(folder, &disk))
        return false;
    *bytes = (uint64_t)disk.f_bavail * disk.f_bsize;
#else
    struct statvfs disk;

    if (statvfs(folder, &disk))
        return false;
    *bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
#endif
    return true;
}

bool system_appends(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 || (flags & O_APPEND);
}

bool system_same_file(int fd, const char *path)
{
    struct stat a, b;

    return stat(path, &a) == 0 && S_ISREG(a.st_mode) && fstat(fd, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool system_readable(int fd, int milliseconds)
{
#if defined(__APPLE__)
    /* poll knows no terminals there, select does. */
    struct timeval most = { .tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000 };
    fd_set set;

    if (fd < 0 || fd >= FD_SETSIZE)
        return true;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &most) != 0;
#else
    struct pollfd ready = { .fd = fd, .events = POLLIN };

    return poll(&ready, 1, milliseconds) != 0;
#endif
}

bool system_read_link(const char *path, char *target, size_t size)
{
    ssize_t n = readlink(path, target, size - 1);

    if (n > 0)
        target[n] = '\0';
    return n > 0;
}

bool system_is_locked(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;

    if (fd >= 0)
        close(fd);
    return locked;
}

static int remove_tree(int parent, const char *name, uint64_t *freed)
{
    struct stat st;

    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? CLI_OK : cli_fail(CLI_IO, "cannot remove %s: %s", name, strerror(errno));
    if (!S_ISDIR(st.st_mode)) {
        *freed += S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
        return unlinkat(parent, name, 0) ? cli_fail(CLI_IO, "cannot remove %s: %s", name, strerror(errno)) : CLI_OK;
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int rc = cli_fail(CLI_IO, "cannot remove %s: %s", name, strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    int rc = CLI_OK;
    for (struct dirent *e; !rc && (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            rc = remove_tree(fd, e->d_name, freed);
    closedir(d);
    if (!rc && unlinkat(parent, name, AT_REMOVEDIR))
        rc = cli_fail(CLI_IO, "cannot remove %s: %s", name, strerror(errno));
    return rc;
}

int system_remove_tree(const char *folder, const char *part, uint64_t *freed)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return cli_fail(CLI_IO, "cannot read %s: %s", folder, strerror(errno));
    int rc = remove_tree(fd, part, freed);
    close(fd);
    return rc;
}

/* ---------------------------------------------------------------- the terminal ---------------------------------- */

size_t system_columns(int fd)
{
    struct winsize size;

    return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int system_cells(uint32_t code)
{
    /* wcwidth answers by the thread's locale: lend it one that knows Unicode, whatever the user's is. The second name is macOS'. */
    static locale_t unicode;
    static bool tried;
    if (!unicode && !tried)
        unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!unicode && !tried)
        unicode = newlocale(LC_CTYPE_MASK, "UTF-8", (locale_t)0);
    tried = true;
    locale_t before = unicode ? uselocale(unicode) : (locale_t)0;
    int cells = wcwidth((wchar_t)code);

    if (unicode)
        uselocale(before);
    return cells;
}

/* ---------------------------------------------------------------- the machine ----------------------------------- */

#if defined(__APPLE__)
uint64_t machine_resident(void)
{
    mach_task_basic_info_data_t info;
    mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;

    return task_info(mach_task_self(), MACH_TASK_BASIC_INFO, (task_info_t)&info, &count) == KERN_SUCCESS ? info.resident_size : 0;
}

uint64_t machine_peak(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) ? 0 : (uint64_t)usage.ru_maxrss;
}

const char *machine_processor(char *out, size_t size)
{
    if (sysctlbyname("machdep.cpu.brand_string", out, &size, NULL, 0))
        snprintf(out, size, "unknown");
    return out;
}
#else
/* A line "VmRSS:     1234 kB" of /proc/self/status. */
static uint64_t status_size(const char *name)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long kilobytes = 0;
    size_t size = strlen(name);

    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, size))
            sscanf(line + size, "%llu", &kilobytes);
    if (f)
        fclose(f);
    return (uint64_t)kilobytes * 1024;
}

uint64_t machine_resident(void)
{
    return status_size("VmRSS:");
}

uint64_t machine_peak(void)
{
    return status_size("VmHWM:");
}

const char *machine_processor(char *out, size_t size)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[512];

    snprintf(out, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        const char *name = strncmp(line, "model name", 10) ? NULL : strchr(line, ':');
        if (!name)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(out, size, "%s", name + 1 + strspn(name + 1, " "));
        break;
    }
    if (f)
        fclose(f);
    return out;
}

#endif

const char *machine_system(char *out, size_t size)
{
    struct utsname name;

    if (uname(&name) < 0)
        snprintf(out, size, "unknown");
    else
        snprintf(out, size, "%s %s %s", name.sysname, name.release, name.machine);
    return out;
}

int system_apart(int (*body)(const void *user, void *out), const void *user, void *out, size_t size)
{
    int ends[2], status = 0;

    if (pipe(ends) != 0)
        return cli_fail(CLI_INTERNAL, "a process of its own: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        int rc = body(user, out);
        if (!rc && write(ends[1], out, size) != (ssize_t)size)
            rc = CLI_INTERNAL;
        _exit(rc);
    }
    close(ends[1]);
    bool whole = child > 0 && read(ends[0], out, size) == (ssize_t)size;
    close(ends[0]);
    if (child < 0)
        return cli_fail(CLI_INTERNAL, "a process of its own: %s", strerror(errno));
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status))
        return CLI_STOPPED + WTERMSIG(status);
    return WEXITSTATUS(status) || whole ? WEXITSTATUS(status) : cli_fail(CLI_INTERNAL, "a process of its own ended early");
}
