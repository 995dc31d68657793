/* Unit machine: sizes as text. What is asked of the system is in system_*.c. See machine.h. */
#include "machine.h"

#include <stdio.h>

static const char *short_number(char *out, size_t size, double number, double step, const char *const *units)
{
    int unit = 0;

    for (; number >= step && units[unit + 1]; unit++)
        number /= step;
    snprintf(out, size, unit ? "%.1f %s" : "%.0f %s", number, units[unit]);
    return out;
}

const char *machine_count_text(char *out, size_t size, double count)
{
    static const char *const units[] = { "", "thousand", "million", "billion", NULL };

    return short_number(out, size, count, 1000, units);
}

const char *machine_size_text(char *out, size_t size, uint64_t bytes)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", NULL };

    return short_number(out, size, (double)bytes, 1024, units);
}
