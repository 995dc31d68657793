/* Unit machine: what this process uses of the machine, and what the machine is. */
#ifndef AKI_CLI_MACHINE_H
#define AKI_CLI_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of this process in memory, now and at most since its start; 0 where the system does not say. */
uint64_t machine_resident(void);
uint64_t machine_peak(void);
/* "AMD EPYC 7B13", "Linux 6.1.0 x86_64"; "unknown" where the system does not say. Both answer out. */
const char *machine_processor(char *out, size_t size);
const char *machine_system(char *out, size_t size);

/* "595.8 million", "22.7 MiB". Both answer out. */
const char *machine_count_text(char *out, size_t size, double count);
const char *machine_size_text(char *out, size_t size, uint64_t bytes);

#endif
