/* What tests take from POSIX, and what Windows has instead. Tests that need links, signals or a shell are left out there (docs/building.md). */
#ifndef AKI_TEST_HOST_H
#define AKI_TEST_HOST_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(_WIN32)
#  include <io.h>

static inline int make_folder_without_mode(const char *path) { return mkdir(path); }
#  define mkdir(path, mode) make_folder_without_mode(path)
#  define mkdtemp(pattern) (_mktemp(pattern) && !mkdir(pattern, 0700) ? (pattern) : NULL)
#  define setenv(name, value, overwrite) _putenv_s(name, value)
#  define unsetenv(name) _putenv_s(name, "")
#endif

/* Takes a folder away with all in it. */
static inline int host_drop(const char *folder)
{
    char command[700];

#if defined(_WIN32)
    snprintf(command, sizeof command, "rmdir /s /q \"%s\"", folder);
    for (char *s = command + 13; *s; s++)
        if (*s == '/')
            *s = '\\';
#else
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
#endif
    return system(command);
}

#endif
