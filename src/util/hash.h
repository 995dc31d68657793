/* Unit hash. */
#ifndef AKI_UTIL_HASH_H
#define AKI_UTIL_HASH_H

#include <stddef.h>
#include <stdint.h>

/* A 64-bit hash of bytes: fast, well mixed, not for hostile keys alone (tables bound their probes by size). */
uint64_t aki__hash(const void *bytes, size_t size, uint64_t seed);

#endif
