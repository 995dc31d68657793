/* Unit utf8: UTF-8 that is checked, counted, read and written. Valid means as the Unicode standard defines it: no overlong forms, surrogates or
 * values above 0x10FFFF. */
#ifndef AKI_UTIL_UTF8_H
#define AKI_UTIL_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define AKI_UTF8_VALID SIZE_MAX
/* Byte offset of the first invalid sequence, or AKI_UTF8_VALID. */
size_t aki__utf8_check(const char *text, size_t size);
/* The scalar values in valid UTF-8. */
size_t aki__utf8_count(const char *text, size_t size);
/* Writes 1-4 bytes, answers how many. c must be a scalar value. */
size_t aki__utf8_encode(uint32_t c, char out[4]);
/* Reads one scalar value of valid UTF-8 at *p, moves *p behind it. */
static inline uint32_t aki__utf8_next(const char **p)
{
    const unsigned char *s = (const unsigned char *)*p;
    uint32_t c = s[0];

    if (c < 0x80) { *p += 1; return c; }
    if (c < 0xE0) { *p += 2; return (c & 0x1F) << 6 | (s[1] & 0x3F); }
    if (c < 0xF0) { *p += 3; return (c & 0x0F) << 12 | (uint32_t)(s[1] & 0x3F) << 6 | (s[2] & 0x3F); }
    *p += 4;
    return (c & 0x07) << 18 | (uint32_t)(s[1] & 0x3F) << 12 | (uint32_t)(s[2] & 0x3F) << 6 | (s[3] & 0x3F);
}

#endif
