/* Unit base: what every other unit stands on: errors, memory, checked sizes, byte buffers, UTF-8, half floats. */
#ifndef AKI_BASE_H
#define AKI_BASE_H

#include "akiembed.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#  define AKI_PRINTF(string_at, first) __attribute__((format(printf, string_at, first)))
#else
#  define AKI_PRINTF(string_at, first)
#endif

/* Fills *err (NULL allowed) and answers status, so that a failure is one line: return aki__fail(err, AKI_E_IO, "%s: …", path);
 * The message says what and where; it never holds the content of a text. aki__fail_at also names the text and the byte. */
aki_status aki__fail(aki_error *err, aki_status status, const char *format, ...) AKI_PRINTF(3, 4);
aki_status aki__fail_at(aki_error *err, aki_status status, size_t item, uint64_t offset, const char *format, ...) AKI_PRINTF(5, 6);
/* Names the text in an error that came from a unit that sees one text only. */
aki_status aki__name_item(aki_error *err, aki_status status, size_t item);
/* The first failure of two. */
static inline aki_status aki__also(aki_status first, aki_status second) { return first ? first : second; }

/* A report of all errors of a folder, for aki_check. A reader with a report continues after an error; one without (NULL, or no
 * callback) returns the first. */
struct aki__report {
    void (*callback)(void *user, const aki_error *error);   /* NULL: no report */
    void  *user;
    size_t count;                       /* errors reported so far */
};
/* Adds an error to the report, if there is one. */
static inline bool aki__report_error(struct aki__report *r, const aki_error *error)
{
    if (!r || !r->callback)
        return false;
    r->count++;
    r->callback(r->user, error);
    return true;
}

/* Memory. NULL when there is none, or when count * size overflows; a size of 0 gives a valid pointer. */
void *aki__alloc(size_t count, size_t size);
void *aki__zalloc(size_t count, size_t size);
/* As realloc: on NULL the old block is still valid. */
void *aki__realloc(void *block, size_t count, size_t size);
/* 64-byte aligned, freed by aki__free_aligned. */
void *aki__alloc_aligned(size_t count, size_t size);
void  aki__free_aligned(void *block);
void  aki__free(void *block);
char *aki__copy_string(const char *text, size_t size);    /* adds a final NUL */

/* false on overflow; *out is then not set. */
static inline bool aki__add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool aki__mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }

/* A byte buffer that grows (by halves) up to a ceiling stated at the call. Zeroed means empty and valid. */
struct aki__buf {
    char  *data;
    size_t size, capacity;
};
/* Room for `more` bytes behind data[size]; false: no memory, or size + more > ceiling. */
bool aki__buf_reserve(struct aki__buf *b, size_t more, size_t ceiling);
bool aki__buf_append(struct aki__buf *b, const void *bytes, size_t size, size_t ceiling);
void aki__buf_free(struct aki__buf *b);

/* Grows an array of `size`-byte elements to hold `need` of them, by halves. false: no memory or overflow; *array is then as it was. */
bool aki__grow(void **array, size_t *capacity, size_t need, size_t size);

/* UTF-8. Valid means as the Unicode standard defines it: no overlong forms, surrogates or values above 0x10FFFF. */
#define AKI_UTF8_VALID SIZE_MAX
/* Byte offset of the first invalid sequence, or AKI_UTF8_VALID. */
size_t aki__utf8_check(const char *text, size_t size);
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

/* What git clone leaves of a large file where Git LFS is not installed: a few lines that name it. */
#define AKI_LFS_POINTER "only a pointer to the file, as Git LFS leaves it: run git lfs pull"
bool aki__is_lfs_pointer(const char *bytes, size_t size);

/* A 64-bit hash of bytes: fast, well mixed, not for hostile keys alone (tables bound their probes by size). */
uint64_t aki__hash(const void *bytes, size_t size, uint64_t seed);

/* Half floats. */
static inline float aki__bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
float    aki__f16_to_f32(uint16_t h);
uint16_t aki__f32_to_f16(float f);                        /* round to nearest even */

#endif
