#ifndef AKI_TEST_DARWIN_SYSCTL_H
#define AKI_TEST_DARWIN_SYSCTL_H

#include <stddef.h>

/* Knows machdep.cpu.brand_string and hw.physicalcpu. */
int sysctlbyname(const char *name, void *out, size_t *size, void *new_value, size_t new_size);

#endif
