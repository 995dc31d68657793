/* Unit path: names of files, as text. Paths are UTF-8 everywhere; on Windows '\\' parts them as well as '/'. */
#ifndef AKI_UTIL_PATH_H
#define AKI_UTIL_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* folder + "/" + name, to be freed with aki__free; NULL: no memory. */
char *aki__join(const char *folder, const char *name);
/* What of a path that was joined from a folder stands behind it, whatever slashes the folder's name ends in. */
const char *aki__part_below(const char *folder, const char *path);
/* Where the last part of a path begins. */
const char *aki__last_part(const char *path);
/* The path [size], which a file or a stranger says, leads from a folder to something in it: it holds no NUL and no '\\', and none of the parts
 * between its slashes is "" (so it does not begin with one) or "..". Links are not looked at. plain: nor is one ".", so that equal paths are spelled
 * alike, or longer than file systems take. */
#define AKI_PATH_PART_LIMIT 255
bool aki__path_is_inside(const char *path, size_t size, bool plain);

#if defined(_WIN32)
/* As the system's own functions take it, and back, to be freed with aki__free; NULL: no memory. */
wchar_t *aki__wide(const char *text);
char    *aki__narrow(const wchar_t *text);
#endif

#endif
