#ifndef AKI_TEST_DARWIN_SYSCTL_H
#define AKI_TEST_DARWIN_SYSCTL_H

#include <stddef.h>

/* Knows machdep.cpu.brand_string, and these numbers: of a machine whose performance cores are all that Linux has, until a test says otherwise. */
int sysctlbyname(const char *name, void *out, size_t *size, void *new_value, size_t new_size);

struct darwin_number { const char *name; int value; };
void darwin_machine(const struct darwin_number *numbers, size_t count);     /* borrowed; NULL: that machine again */

#endif
