/* Unit memory: allocation whose sizes are checked. */
#ifndef AKI_UTIL_MEMORY_H
#define AKI_UTIL_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if SIZE_MAX < UINT64_MAX
#  error "AkiEmbed is for 64-bit processors only"
#endif

/* false on overflow; *out is then not set. */
static inline bool aki__add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool aki__mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }

/* NULL when there is no memory, or when count * size overflows; a size of 0 gives a valid pointer. */
void *aki__alloc(size_t count, size_t size);
void *aki__zalloc(size_t count, size_t size);
/* As realloc: on NULL the old block is still valid. */
void *aki__realloc(void *block, size_t count, size_t size);
/* 64-byte aligned, freed by aki__free_aligned. */
void *aki__alloc_aligned(size_t count, size_t size);
void  aki__free_aligned(void *block);
/* Frees what the others gave, which is malloc's: free does it as well. */
void  aki__free(void *block);
char *aki__copy_string(const char *text, size_t size);    /* adds a final NUL */

/* Grows an array of `size`-byte elements to hold `need` of them, by halves. false: no memory or overflow; *array is then as it was. */
bool aki__grow(void **array, size_t *capacity, size_t need, size_t size);

#endif
