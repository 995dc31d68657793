/* Unit path: see path.h. */
#include "util/path.h"

#include "util/memory.h"

static bool is_slash(char c)
{
#if defined(_WIN32)
    return c == '/' || c == '\\';
#else
    return c == '/';
#endif
}

/* Bytes of a folder's name without the slashes that it ends in. */
static size_t bare_size(const char *folder)
{
    size_t size = strlen(folder);

    while (size > 1 && is_slash(folder[size - 1]))
        size--;
    return size;
}

char *aki__join(const char *folder, const char *name)
{
    size_t a = bare_size(folder), b = strlen(name);
    char *path = aki__alloc(a + b + 2, 1);

    if (!path)
        return NULL;
    memcpy(path, folder, a);
    path[a] = '/';
    memcpy(path + a + 1, name, b + 1);
    return path;
}

const char *aki__part_below(const char *folder, const char *path)
{
    for (path += bare_size(folder); is_slash(*path);)
        path++;
    return path;
}

const char *aki__last_part(const char *path)
{
    const char *last = path;

    for (const char *s = path; *s; s++)
        if (is_slash(*s))
            last = s + 1;
    return last;
}

bool aki__path_is_inside(const char *path, size_t size, bool plain)
{
    if (memchr(path, '\0', size) || memchr(path, '\\', size))
        return false;
    for (size_t begin = 0; begin <= size;) {
        const char *slash = memchr(path + begin, '/', size - begin);
        size_t end = slash ? (size_t)(slash - path) : size, part = end - begin;
        if (part == 0 || (part == 2 && memcmp(path + begin, "..", 2) == 0) || (plain && (part > AKI_PATH_PART_LIMIT || (part == 1 && path[begin] == '.'))))
            return false;
        begin = end + 1;
    }
    return true;
}
