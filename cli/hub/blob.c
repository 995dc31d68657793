/* Unit blob: writes files into the cache, from connections that break and beside other processes. See blob.h. */
#include "blob.h"

#include "sums.h"
#include "cli/shell/system.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 1 << 20 };

/* ---------------------------------------------------------------- folders --------------------------------------- */

static int fail_path(const char *what, const char *path)
{
    return cli_fail(CLI_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

/* path and the folders above it. */
int blob_make_folders(const char *path)
{
    char part[CACHE_PATH * 2];

    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return cli_fail(CLI_IO, "%s: a path too long", path);
    for (char *s = part + 1;; s++) {
        if (*s && *s != '/')
            continue;
        char end = *s;
        *s = '\0';
        if (mkdir(part, 0777) && errno != EEXIST)
            return fail_path("make the folder", part);
        *s = end;
        if (!end)
            return CLI_OK;
    }
}

/* Opens root/path's folder, made where it is missing; name: path's last part. Links in it are not followed: a name from a hub never leads
 * out of root, whatever lies there. -1: the message is out. */
static int open_inside(const char *root, const char *path, const char **name)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char part[256];

    for (const char *slash; fd >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        int next = mkdirat(fd, part, 0777) && errno != EEXIST ? -1 : openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int why = errno;
        close(fd);
        errno = why;
        fd = next;
    }
    *name = path;
    if (fd < 0)
        fail_path("make folders in", root);
    return fd;
}

/* A name beside blobs, refs and snapshots, where no reader of the cache looks: what a kill leaves there harms nobody. What is made under it
 * is renamed into its place, so that readers see the old thing or the new one. */
static void temporary_name(char out[CACHE_PATH + 64], const struct blob_place *p)
{
    snprintf(out, CACHE_PATH + 64, "%s/.akiembed-%ld", p->repository, (long)getpid());
    unlink(out);
}

/* snapshots/COMMIT/PATH -> ../../blobs/ETAG. */
static int link_file(const struct blob *f)
{
    char root[CACHE_PATH * 2], now[HUB_ETAG + 64], temporary[CACHE_PATH + 64];
    const char *name;
    size_t up = 2, at = 0;
    int rc = CLI_OK;

    snprintf(root, sizeof root, "%s/snapshots/%s", f->place->repository, f->place->commit);
    for (const char *s = f->path; *s; s++)
        up += *s == '/';
    char *target = malloc(up * 3 + sizeof "blobs/" + strlen(f->etag));
    if (!target)
        return cli_no_memory();
    for (size_t i = 0; i < up; i++, at += 3)
        memcpy(target + at, "../", 3);
    snprintf(target + at, sizeof "blobs/" + strlen(f->etag), "blobs/%s", f->etag);
    int fd = open_inside(root, f->path, &name);
    if (fd < 0) {
        free(target);
        return CLI_IO;
    }
    ssize_t n = readlinkat(fd, name, now, sizeof now);
    if (n < 0 || (size_t)n != strlen(target) || memcmp(now, target, (size_t)n)) {
        temporary_name(temporary, f->place);
        if (symlink(target, temporary) || renameat(AT_FDCWD, temporary, fd, name)) {
            rc = cli_fail(CLI_IO, "cannot link %s/%s: %s", root, f->path, strerror(errno));
            unlink(temporary);
        }
    }
    close(fd);
    free(target);
    return rc;
}

/* refs/REVISION holds the commit. */
int blob_write_ref(const struct blob_place *p, const char *revision)
{
    char root[CACHE_PATH + 8], temporary[CACHE_PATH + 64];
    const char *name;
    int rc = CLI_OK;

    if (!strcmp(revision, p->commit))
        return CLI_OK;                     /* a commit is its own name */
    snprintf(root, sizeof root, "%s/refs", p->repository);
    rc = blob_make_folders(root);
    int fd = rc ? -1 : open_inside(root, revision, &name);
    if (fd < 0)
        return CLI_IO;
    temporary_name(temporary, p);
    int out = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool ok = out >= 0 && write(out, p->commit, strlen(p->commit)) == (ssize_t)strlen(p->commit);
    ok = out >= 0 && !close(out) && ok && !renameat(AT_FDCWD, temporary, fd, name);
    if (!ok) {
        rc = cli_fail(CLI_IO, "cannot write %s/%s: %s", root, revision, strerror(errno));
        unlink(temporary);
    }
    close(fd);
    return rc;
}

/* ---------------------------------------------------------------- one file -------------------------------------- */

void blob_close(struct blob *f)
{
    if (f->fd >= 0)
        close(f->fd);
    if (f->lock >= 0)
        close(f->lock);                    /* closing releases the lock; the lock file stays, as with huggingface_hub */
    f->fd = f->lock = -1;
    digest_end(f->digest, NULL);
    f->digest = NULL;
}

bool blob_is_there(const struct blob *f)
{
    struct stat st;

    return stat(f->file, &st) == 0 && S_ISREG(st.st_mode) && (f->size == FETCH_UNKNOWN || (uint64_t)st.st_size == f->size);
}

int blob_done(struct blob *f)
{
    int rc = link_file(f);                 /* before the lock is released: `rm` removes what nothing links to and nobody locks */

    blob_close(f);
    f->fetch.at = f->size;
    f->done = true;
    return rc;
}

/* *busy: another process has it. */
static int take_lock(struct blob *f, bool *busy)
{
    char path[CACHE_PATH * 2];
    struct stat here, there;

    *busy = false;
    snprintf(path, sizeof path, "%s/%s.lock", f->place->locks, f->etag);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail_path("make the lock", path);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        *busy = errno == EWOULDBLOCK || errno == EINTR;
        if (!*busy)
            cli_note("%s: %s: going on without a lock", path, strerror(errno));
    } else if (fstat(fd, &here) || stat(path, &there) || here.st_ino != there.st_ino) {
        *busy = true;                      /* whoever had it took the file away: it locks nothing any more */
    }
    if (*busy)
        close(fd);
    else
        f->lock = fd;
    return CLI_OK;
}

static bool restart_digest(struct blob *f)
{
    if (!sums_is(f->etag, 64))
        return true;
    digest_end(f->digest, NULL);
    f->digest = digest_begin(DIGEST_SHA256);
    return f->digest != NULL;
}

/* Empties what was written. */
static int empty_file(struct blob *f)
{
    f->fetch.at = 0;
    if (ftruncate(f->fd, 0) || lseek(f->fd, 0, SEEK_SET) < 0)
        return fail_path("write", f->incomplete);
    return restart_digest(f) ? CLI_OK : cli_no_memory();
}

/* Opens the incomplete file and reads what an earlier try left of it. */
static int open_incomplete(struct blob *f)
{
    struct stat st;
    char *block = NULL;
    ssize_t n = 1;
    int rc = CLI_OK;

    f->fd = open(f->incomplete, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (f->fd < 0 || fstat(f->fd, &st))
        return fail_path("write", f->incomplete);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > f->size)
        return S_ISREG(st.st_mode) ? empty_file(f) : cli_fail(CLI_IO, "%s is no file", f->incomplete);
    if (!restart_digest(f) || !(block = malloc(BLOCK)))
        rc = cli_no_memory();
    while (!rc && (n = read(f->fd, block, BLOCK)) > 0) {
        if (f->digest && !digest_add(f->digest, block, (size_t)n))
            rc = cli_no_memory();
        f->fetch.at += (uint64_t)n;
    }
    if (!rc && n < 0)
        rc = fail_path("read", f->incomplete);
    free(block);
    if (!rc && f->fetch.at)
        cli_note("%s: going on behind byte %" PRIu64, f->path, f->fetch.at);
    return rc;
}

/* All bytes are there: FETCH_ANEW where they are the wrong ones. */
static int verify(struct blob *f)
{
    unsigned char digest[DIGEST_LIMIT];
    char sum[SUMS_TEXT] = "";
    bool same = f->size == FETCH_UNKNOWN || f->fetch.at == f->size;

    if (f->digest && same) {
        size_t size = digest_end(f->digest, digest);
        f->digest = NULL;
        if (!size)
            return cli_no_memory();
        for (size_t i = 0; i < size; i++)
            snprintf(sum + 2 * i, 3, "%02x", digest[i]);
        same = !strcmp(sum, f->etag);
    } else if (same) {
        int rc = sums_of_name(f->incomplete, f->etag, &same);
        if (rc)
            return rc;
    }
    if (!same) {
        cli_warn("%s: what came is not what the hub says it is (%" PRIu64 " of %" PRIu64 " bytes, %s)", f->path, f->fetch.at, f->size,
                 f->fetch.at == f->size ? "another hash" : "another length");
        unlink(f->incomplete);             /* also where this was the last try */
        return FETCH_ANEW;
    }
    f->size = f->fetch.at;
    if (!system_sync(f->fd) || rename(f->incomplete, f->file))
        return fail_path("write", f->file);
    return blob_done(f);
}

static int begin_file(struct fetch *fetch)
{
    struct blob *f = fetch->user;
    bool busy;
    int rc = CLI_OK;

    if (f->fd < 0) {
        rc = take_lock(f, &busy);
        if (rc || busy) {
            if (busy && !f->waiting)
                cli_warn("%s: another process fetches it; waiting", f->path);
            f->waiting = true;
            return rc ? rc : FETCH_WAIT;
        }
        if (blob_is_there(f)) {            /* the other one has finished it */
            rc = blob_done(f);
            return rc ? rc : FETCH_SKIP;
        }
        rc = open_incomplete(f);
    } else if (fetch->anew) {
        close(f->fd);
        f->fetch.at = 0;
        unlink(f->incomplete);
        rc = open_incomplete(f);
    }
    if (!rc && f->size != FETCH_UNKNOWN && fetch->at == f->size) {
        rc = verify(f);                    /* an earlier run ended between the last byte and the renaming; or the file is empty */
        if (rc == FETCH_ANEW) {
            close(f->fd);
            f->fetch.at = 0;
            return open_incomplete(f);
        }
        return rc ? rc : FETCH_SKIP;
    }
    return rc;
}

static int rewind_file(struct fetch *fetch)
{
    return empty_file(fetch->user);
}

static int write_file(struct fetch *fetch, const char *data, size_t size)
{
    struct blob *f = fetch->user;

    if (f->size != FETCH_UNKNOWN && size > f->size - fetch->at) {
        cli_warn("%s: more bytes come than the %" PRIu64 " that the hub says it has", f->path, f->size);
        unlink(f->incomplete);
        return FETCH_ANEW;
    }
    if (f->digest && !digest_add(f->digest, data, size))
        return cli_no_memory();
    while (size) {
        ssize_t n = write(f->fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail_path("write", f->incomplete);
        data += n;
        size -= (size_t)n;
        fetch->at += (uint64_t)n;
    }
    return CLI_OK;
}

static int end_file(struct fetch *fetch)
{
    return verify(fetch->user);
}

void blob_fetch(struct blob *f, char *url)
{
    f->fetch = (struct fetch){ .url = url, .name = f->path, .begin = begin_file, .rewind = rewind_file, .write = write_file, .end = end_file,
                               .user = f };
}
