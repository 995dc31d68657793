/* Unit clock for POSIX systems. See clock.h. */
#include "util/clock.h"

#include <time.h>

double aki__seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}
