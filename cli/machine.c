/* Unit machine: memory of this process, and names of the processor and the system. See machine.h. */
#include "machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* A line "VmRSS:     1234 kB" of /proc/self/status. */
static uint64_t status_size(const char *name)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long kilobytes = 0;
    size_t size = strlen(name);

    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, size))
            sscanf(line + size, "%llu", &kilobytes);
    if (f)
        fclose(f);
    return (uint64_t)kilobytes * 1024;
}

uint64_t machine_resident(void)
{
    return status_size("VmRSS:");
}

uint64_t machine_peak(void)
{
    return status_size("VmHWM:");
}

const char *machine_processor(char *out, size_t size)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[512];

    snprintf(out, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        const char *name = strncmp(line, "model name", 10) ? NULL : strchr(line, ':');
        if (!name)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(out, size, "%s", name + 1 + strspn(name + 1, " "));
        break;
    }
    if (f)
        fclose(f);
    return out;
}

const char *machine_system(char *out, size_t size)
{
    struct utsname name;

    if (uname(&name) < 0)
        snprintf(out, size, "unknown");
    else
        snprintf(out, size, "%s %s %s", name.sysname, name.release, name.machine);
    return out;
}

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
