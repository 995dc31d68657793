/* Unit os: what differs between operating systems: files, maps, processors, locks. os_posix.c and os_windows.c implement it.
 * Paths are as util/path.h has them; aki__real_path answers with '/' alone. */
#ifndef AKI_OS_H
#define AKI_OS_H

#include "base/base.h"
#include "util/path.h"

#include <stdio.h>

/* A whole file, read-only. Zeroed means closed. size 0 maps to data "" (never NULL). A small file is read instead (not on Windows, where nobody
 * can write into a mapped one): what becomes of it later does not matter then. */
#define AKI_MAP_COPIED ((size_t)1 << 16)
struct aki__map {
    const char *data;           /* at a multiple of 64 */
    size_t      size;
    void       *handle;         /* of what is mapped */
    void       *copy;           /* of what was read */
    int         file;           /* descriptor + 1 of what is mapped */
};
/* Errors: NOT_FOUND (no such file), IO (named; also a link to nothing). Only regular files are mapped. */
aki_status aki__map_open(struct aki__map *out, const char *path, aki_error *err);
/* The same, but a small file is mapped too: for a file that others have mapped, so that aki__map_is_whole tells of theirs. */
aki_status aki__map_watch(struct aki__map *out, const char *path, aki_error *err);
void       aki__map_close(struct aki__map *m);
/* false: the file has become shorter than it was (*size), by a program that writes into it: where it ended, a read would end the process
 * (SIGBUS). A file that was replaced or taken away is still there for who has mapped it. */
bool       aki__map_is_whole(const struct aki__map *m, uint64_t *size);
/* Gives the pages of [begin, begin + size) back to the system; they are read again when touched. begin is inside the map. */
void       aki__map_release(const struct aki__map *m, const void *begin, size_t size);
/* Memory that will be read from end to end again and again: the system may make its pages large ones. Nothing where it cannot. */
void       aki__prefer_huge_pages(void *block, size_t size);

bool aki__is_folder(const char *path);
bool aki__is_file(const char *path);
/* The absolute path with links and dots resolved, to be freed with aki__free; NULL: no such path, or no memory. */
char *aki__real_path(const char *path);

/* The path as the system's own functions take it (ORTCHAR_T of ONNX Runtime), to be freed with aki__free; NULL: no memory. */
#if defined(_WIN32)
typedef wchar_t aki__path_char;
#else
typedef char aki__path_char;
#endif
aki__path_char *aki__native_path(const char *path);

/* What errno's number means; the thread's own text, until its next call. */
const char *aki__error_text(int error);

/* A file to be written, empty; NULL: errno says why. */
FILE *aki__file_create(const char *path);
/* Takes away a file or an empty folder, if it can. */
void  aki__file_remove(const char *path);

/* Makes a folder; one that is there already is fine. IO. */
aki_status aki__make_folder(const char *path, aki_error *err);
bool       aki__folder_is_empty(const char *path);
/* Tells each name in a folder, in no order; none where it cannot be read. */
void       aki__folder_each(const char *path, void (*tell)(void *user, const char *name), void *user);

/* A folder of this library's among the user's caches: what `rest` names below akiembed/ in $XDG_CACHE_HOME, else ~/Library/Caches on macOS and
 * ~/.cache elsewhere, %LOCALAPPDATA% on Windows; make: made where it is missing. To be freed with aki__free; NULL: no home, it cannot be made, or no
 * memory. */
char *aki__cache_folder(const char *rest, bool make);
/* The file holds these bytes, or what it held before: written beside it, then renamed. false: it could not be. */
bool  aki__file_replace(const char *path, const void *bytes, size_t size);
/* Its size, and when it was changed last; false: no such file. */
bool  aki__file_stamp(const char *path, uint64_t *size, int64_t *seconds);
/* The operating system, its version, and the kind of machine, in words. */
void  aki__system_name(char *out, size_t size);

/* Physical cores this process may use: affinity mask and cgroup quota respected; on macOS, performance cores; at least 1. */
int aki__cores(void);

/* This process's number: another one in a child after fork, where threads of the parent's are not. */
long aki__process(void);

/* A thread that runs body(user), with a stack of 8 MiB, and no signal handler of the host's on it. false: the system gives none. */
struct aki__thread { void *opaque[4]; };
bool aki__thread_start(struct aki__thread *t, void (*body)(void *user), void *user);
void aki__thread_join(struct aki__thread *t);
/* Between these two the calling thread takes no signals but faults and a profiler's, and threads that are started inherit this: the host's
 * handlers run on the host's threads. */
struct aki__signals { uint64_t opaque[16]; bool known; };
void aki__signals_block(struct aki__signals *before);
void aki__signals_restore(const struct aki__signals *before);
/* Called in a short loop that waits: tells the processor. */
void aki__relax(void);

/* What threads sleep at until it is rung: wait returns once ready(user), which is asked at first and after each ring. open false: the system
 * has none to give, and nothing is to be closed. */
struct aki__bell { void *opaque[16]; };
bool aki__bell_open(struct aki__bell *b);
void aki__bell_close(struct aki__bell *b);
void aki__bell_wait(struct aki__bell *b, bool (*ready)(void *user), void *user);
void aki__bell_ring(struct aki__bell *b);

/* A plain lock. Zeroed memory is a valid, open lock. */
struct aki__lock { void *opaque[8]; };
void aki__lock_acquire(struct aki__lock *l);
bool aki__lock_try(struct aki__lock *l);        /* false, at once: somebody has it */
void aki__lock_release(struct aki__lock *l);
/* INTERNAL: zeroed memory is no lock on this system (tried at the first call), or a lock has failed since, so that threads may have mixed their
 * work. Locks themselves tell nobody, as nobody who takes one could go on; builds with assertions stop there. */
aki_status aki__locks_check(aki_error *err);

#endif
