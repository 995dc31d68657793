/* Unit system: what is the same on all systems. See system.h. */
#include "system.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

FILE *system_fopen_regular(const char *path, const char **why)
{
    int fd = system_open_regular(path, why);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "rb");

    if (fd >= 0 && !f) {
        *why = strerror(errno);
        close(fd);
    }
    return f;
}
