/* Unit os, shared files for POSIX systems. See os_files.h. */
#include "base/os_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int operation_of(enum aki__lock_kind kind) { return kind == AKI_LOCK_SHARED ? LOCK_SH : kind == AKI_LOCK_ALONE ? LOCK_EX : LOCK_EX | LOCK_NB; }

static bool lock(int fd, int operation)
{
    int rc;

    do
        rc = flock(fd, operation);
    while (rc != 0 && errno == EINTR);
    return rc == 0;
}

/* The file behind fd still has that name. */
static bool is_named(int fd, const char *path)
{
    struct stat own, named;

    return fstat(fd, &own) == 0 && stat(path, &named) == 0 && own.st_dev == named.st_dev && own.st_ino == named.st_ino;
}

bool aki__file_lock_acquire(struct aki__file_lock *l, const char *path, enum aki__lock_kind kind)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        *l = (struct aki__file_lock){ .file = fd + 1 };
        if (fd < 0)
            return false;
        const bool locked = lock(fd, operation_of(kind));
        if (locked && is_named(fd, path))
            return true;
        close(fd);                          /* where it was taken away meanwhile, there is another one */
        l->file = 0;
        if (!locked)
            return false;
    }
}

bool aki__file_lock_change(struct aki__file_lock *l, enum aki__lock_kind kind) { return l->file && lock(l->file - 1, operation_of(kind)); }

void aki__file_lock_release(struct aki__file_lock *l)
{
    if (l->file)
        close(l->file - 1);
    *l = (struct aki__file_lock){ 0 };
}

static bool is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

/* In the folder behind fd, which is closed here. Folders deeper than what a program nests are left. */
static bool remove_in(int fd, int depth)
{
    DIR *d = fdopendir(fd);
    const struct dirent *e;
    bool ok = d != NULL;

    if (!d)
        close(fd);
    while (d && (e = readdir(d))) {
        if (is_dots(e->d_name) || unlinkat(dirfd(d), e->d_name, 0) == 0)
            continue;
        int inner = depth ? openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        ok = inner >= 0 && remove_in(inner, depth - 1) && unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR) == 0 && ok;
    }
    if (d)
        closedir(d);
    return ok;
}

enum { MOST_DEPTH = 64 };

bool aki__remove_all(const char *path)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return true;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && remove_in(fd, MOST_DEPTH) && rmdir(path) == 0;
}

static uint64_t size_in(int fd, int depth)
{
    DIR *d = fdopendir(fd);
    const struct dirent *e;
    struct stat st;
    uint64_t sum = 0;

    if (!d)
        close(fd);
    while (d && (e = readdir(d))) {
        if (is_dots(e->d_name) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        sum += S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
        int inner = S_ISDIR(st.st_mode) && depth ? openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (inner >= 0)
            sum += size_in(inner, depth - 1);
    }
    if (d)
        closedir(d);
    return sum;
}

uint64_t aki__folder_size(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? 0 : size_in(fd, MOST_DEPTH);
}

void aki__file_touch(const char *path) { utimensat(AT_FDCWD, path, NULL, 0); }
