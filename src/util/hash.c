/* Unit hash: see hash.h. */
#include "util/hash.h"

#include <string.h>

/* A 64 x 64 -> 128 bit product folded to 64 bits mixes eight bytes a step (the idea of wyhash). */
static inline uint64_t fold(uint64_t a, uint64_t b)
{
    __uint128_t p = (__uint128_t)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t aki__hash(const void *bytes, size_t size, uint64_t seed)
{
    const unsigned char *s = bytes;
    uint64_t h = seed ^ UINT64_C(0x9E3779B97F4A7C15), word;
    size_t left = size;

    for (; left >= 8; left -= 8, s += 8) {
        memcpy(&word, s, 8);
        h = fold(h ^ word, UINT64_C(0xD6E8FEB86659FD93));
    }
    word = 0;
    memcpy(&word, s, left);
    return fold(h ^ word, UINT64_C(0xA0761D6478BD642F) ^ size);
}
