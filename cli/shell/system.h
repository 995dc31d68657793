/* Unit system: what the program asks of the operating system and neither C nor the library has: system_posix.c and system_windows.c;
 * system.c has what is the same on both. machine.h's questions about this process and its machine are answered there too. */
#ifndef AKI_CLI_SYSTEM_H
#define AKI_CLI_SYSTEM_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#if defined(_WIN32)
#  define O_CLOEXEC _O_NOINHERIT
#endif

/* First thing in main. Arguments, names of files, what is printed: all is UTF-8 on every system, and what is read and written are the bytes
 * themselves. Signals that ask for an end set cli_signal, once; a second one ends as it does by itself. */
void system_begin(int *count, char ***arguments);
/* A variable of the environment that may hold names of files; NULL: not set. It stays. */
char *system_variable(const char *name);
/* Sets an environment variable that is not set. */
void system_default(const char *name, const char *value);

/* open, fopen, stat, remove (of folders too, when they are empty) and rename. */
int   system_open(const char *path, int flags);
FILE *system_fopen(const char *path, const char *mode);
/* Opens a file to be read that is a regular one: a pipe or a device could be waited for, or read, for ever. -1: *why says it in words, and errno
 * where that is the system's. */
int   system_open_regular(const char *path, const char **why);
FILE *system_fopen_regular(const char *path, const char **why);
int   system_stat(const char *path, struct stat *out);
/* The path from the root on, without "." and "..", / between its parts; malloc'd. NULL: no memory, or no such file. */
char *system_whole_path(const char *path);
int   system_remove(const char *path);
int   system_rename(const char *from, const char *to);
/* A folder's names one by one, "." and ".." among them. NULL: errno says why. A name is valid until the next call; NULL: no more. */
struct system_folder *system_folder_open(const char *path);
const char           *system_folder_next(struct system_folder *folder);
void                  system_folder_close(struct system_folder *folder);

/* The user's own folder; NULL: not known. */
const char *system_home(void);
/* Opens a new file without a name, to be written and read; -1: errno says why, and path [size] where. */
int  system_open_spill(char *path, size_t size);
/* Writes all of it at an offset in a file. */
bool system_write_at(int fd, const void *data, size_t size, uint64_t at);
/* What pull needs, which is not for Windows: the file's bytes are on the disk, and not on their way there; bytes that this user may still write. */
bool system_sync(int fd);
bool system_room(const char *folder, uint64_t *bytes);
/* The whole of a file in memory, to be read; NULL: errno says why. *size: its bytes. */
const void *system_map(int fd, size_t *size);
void        system_unmap(const void *map, size_t size);
/* What is written to a file that was opened elsewhere goes to its end, wherever that is. */
bool system_appends(int fd);
/* The file at path is the one behind fd, and a regular one. */
bool system_same_file(int fd, const char *path);
/* Something can be read now (the end too), or within these milliseconds. */
bool system_readable(int fd, int milliseconds);
/* Where a link leads, with a NUL behind; false: not a link. */
bool system_read_link(const char *path, char *target, size_t size);
/* Another process holds a lock of the file. */
bool system_is_locked(const char *path);
/* Takes away folder/part, a file or a folder with all in it: links are taken away, never followed. Nothing there is fine. Adds the bytes of
 * files to *freed. An exit code; the message is out. */
int  system_remove_tree(const char *folder, const char *part, uint64_t *freed);

/* Runs body in a process of its own, as it would run here, and brings back what it leaves in out (at most 4 KiB). An exit code, body's own among
 * them; the message is out. Before threads are started. Not on Windows. */
int system_apart(int (*body)(const void *user, void *out), const void *user, void *out, size_t size);

/* Columns of the terminal behind fd; 0: none, or it does not say. */
size_t system_columns(int fd);
/* Cells that a character occupies on it; -1: not printable. */
int    system_cells(uint32_t code);

#endif
