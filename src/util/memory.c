/* Unit memory: see memory.h. */
#include "util/memory.h"

#include <stdlib.h>

void *aki__alloc(size_t count, size_t size)
{
    size_t bytes;

    if (!aki__mul(count, size, &bytes))
        return NULL;
    return malloc(bytes ? bytes : 1);
}

void *aki__zalloc(size_t count, size_t size)
{
    return count && size ? calloc(count, size) : calloc(1, 1);
}

void *aki__realloc(void *block, size_t count, size_t size)
{
    size_t bytes;

    if (!aki__mul(count, size, &bytes))
        return NULL;
    return realloc(block, bytes ? bytes : 1);
}

void *aki__alloc_aligned(size_t count, size_t size)
{
    size_t bytes;

    if (!aki__mul(count, size, &bytes) || !aki__add(bytes, 64 + sizeof(void *), &bytes))
        return NULL;
    char *base = malloc(bytes);
    if (!base)
        return NULL;
    char *aligned = (char *)(((uintptr_t)base + sizeof(void *) + 63) & ~(uintptr_t)63);
    memcpy(aligned - sizeof base, &base, sizeof base);
    return aligned;
}

void aki__free_aligned(void *block)
{
    char *base;

    if (!block)
        return;
    memcpy(&base, (char *)block - sizeof base, sizeof base);
    free(base);
}

void aki__free(void *block) { free(block); }

char *aki__copy_string(const char *text, size_t size)
{
    size_t bytes;
    char *copy = aki__add(size, 1, &bytes) ? aki__alloc(bytes, 1) : NULL;

    if (copy) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

/* How far an array grows that needs so many elements, whatever their size: arrays that share a capacity grow alike. Builds with AddressSanitizer
 * leave no room behind what was asked for, so that a read of it is seen; but for large ones, which would be copied at every step. */
static size_t growth(size_t capacity, size_t need)
{
    size_t grown = capacity + capacity / 2;

#ifdef AKI_EXACT_BUFFERS
    if (need <= AKI_EXACT_BUFFERS)
        return need;
#endif
    if (grown < need)
        grown = need;
    return grown < 16 ? 16 : grown;
}

bool aki__grow(void **array, size_t *capacity, size_t need, size_t size)
{
    if (need <= *capacity)
        return true;
    size_t grown = growth(*capacity, need);
    void *block = aki__realloc(*array, grown, size);
    if (!block)
        return false;
    *array = block;
    *capacity = grown;
    return true;
}
