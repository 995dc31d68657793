/* Unit base: errors, memory, buffers, UTF-8, half floats. See base.h. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- errors ---------------------------------------- */

static void fill(aki_error *err, aki_status status, int32_t item, uint64_t offset, const char *format, va_list args)
{
    if (!err)
        return;
    err->status = (int32_t)status;
    err->item = item;
    err->offset = offset;
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    if (n < 0)
        err->message[0] = '\0';
    /* A cut must not split a character: the message promises UTF-8. */
    size_t size = strlen(err->message), bad;
    while ((bad = aki__utf8_check(err->message, size)) != AKI_UTF8_VALID) {
        if (size - bad <= 3 && (size_t)n >= sizeof err->message) {
            err->message[bad] = '\0';
            size = bad;
        } else {
            err->message[bad] = '?';
        }
    }
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)err->message[i] < 0x20)
            err->message[i] = ' ';
}

aki_status aki__fail(aki_error *err, aki_status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fill(err, status, -1, 0, format, args);
    va_end(args);
    return status;
}

aki_status aki__fail_at(aki_error *err, aki_status status, size_t item, uint64_t offset, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fill(err, status, item > INT32_MAX ? INT32_MAX : (int32_t)item, offset, format, args);
    va_end(args);
    return status;
}

aki_status aki__name_item(aki_error *err, aki_status status, size_t item)
{
    if (err && status != AKI_OK)
        err->item = item > INT32_MAX ? INT32_MAX : (int32_t)item;
    return status;
}

const char *aki_status_name(int status)
{
    switch (status) {
    case AKI_OK:            return "ok";
    case AKI_E_INTERNAL:    return "internal error";
    case AKI_E_INVALID:     return "invalid argument or content";
    case AKI_E_NOT_FOUND:   return "not found";
    case AKI_E_UNAVAILABLE: return "device or runtime not available";
    case AKI_E_NOMEM:       return "out of memory";
    case AKI_E_IO:          return "input or output error";
    case AKI_E_TOO_SMALL:   return "buffer too small";
    case AKI_E_UNSUPPORTED: return "not supported";
    case AKI_E_CANCELLED:   return "cancelled";
    default:                return "unknown status";
    }
}

const char *aki_version(void) { return AKI_VERSION; }

uint32_t aki_version_number(void) { return AKI_VERSION_NUMBER; }

/* ---------------------------------------------------------------- memory ---------------------------------------- */

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

/* How far an array grows that needs so many elements. Builds with AddressSanitizer leave no room behind what was asked for, so that a read
 * of it is seen; but for large ones, which would be copied at every step. */
static size_t growth(size_t capacity, size_t need, size_t size)
{
    size_t grown = capacity + capacity / 2;

#ifdef AKI_EXACT_BUFFERS
    if (need <= AKI_EXACT_BUFFERS / size)
        return need;
#else
    (void)size;
#endif
    if (grown < need)
        grown = need;
    return grown < 16 ? 16 : grown;
}

bool aki__grow(void **array, size_t *capacity, size_t need, size_t size)
{
    if (need <= *capacity)
        return true;
    size_t grown = growth(*capacity, need, size);
    void *block = aki__realloc(*array, grown, size);
    if (!block)
        return false;
    *array = block;
    *capacity = grown;
    return true;
}

bool aki__buf_reserve(struct aki__buf *b, size_t more, size_t ceiling)
{
    size_t need;

    if (!aki__add(b->size, more, &need) || need > ceiling)
        return false;
    return aki__grow((void **)&b->data, &b->capacity, need, 1);
}

bool aki__buf_append(struct aki__buf *b, const void *bytes, size_t size, size_t ceiling)
{
    if (!aki__buf_reserve(b, size, ceiling))
        return false;
    if (size)
        memcpy(b->data + b->size, bytes, size);
    b->size += size;
    return true;
}

void aki__buf_free(struct aki__buf *b)
{
    aki__free(b->data);
    *b = (struct aki__buf){ 0 };
}

/* ---------------------------------------------------------------- UTF-8 ----------------------------------------- */

size_t aki__utf8_check(const char *text, size_t size)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t i = 0;

    while (i < size) {
        if (s[i] < 0x80) {
            uint64_t word;
            while (i + 8 <= size && (memcpy(&word, s + i, 8), !(word & UINT64_C(0x8080808080808080))))
                i += 8;
            while (i < size && s[i] < 0x80)
                i++;
            continue;
        }
        size_t length;
        unsigned least = 0x80, most = 0xBF;     /* of the second byte */
        unsigned c = s[i];
        if (c >= 0xC2 && c <= 0xDF) {
            length = 2;
        } else if (c >= 0xE0 && c <= 0xEF) {
            length = 3;
            if (c == 0xE0) least = 0xA0;
            if (c == 0xED) most = 0x9F;
        } else if (c >= 0xF0 && c <= 0xF4) {
            length = 4;
            if (c == 0xF0) least = 0x90;
            if (c == 0xF4) most = 0x8F;
        } else {
            return i;
        }
        if (size - i < length || s[i + 1] < least || s[i + 1] > most)
            return i;
        for (size_t k = 2; k < length; k++)
            if ((s[i + k] & 0xC0) != 0x80)
                return i;
        i += length;
    }
    return AKI_UTF8_VALID;
}

size_t aki__utf8_encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* ---------------------------------------------------------------- hash ------------------------------------------ */

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

/* ---------------------------------------------------------------- half floats ----------------------------------- */

float aki__f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 0x1F, fraction = h & 0x3FF, u;
    float f;

    if (exponent == 0x1F) {
        u = sign | 0x7F800000 | fraction << 13;
    } else if (exponent) {
        u = sign | (exponent + 112) << 23 | fraction << 13;
    } else {
        f = (float)fraction * 0x1p-24f;         /* zero and denormals are exact in f32 */
        return sign ? -f : f;
    }
    memcpy(&f, &u, sizeof f);
    return f;
}

uint16_t aki__f32_to_f16(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof u);
    uint32_t sign = u >> 16 & 0x8000, magnitude = u & 0x7FFFFFFF;
    if (magnitude > 0x7F800000)
        return (uint16_t)(sign | 0x7E00);       /* NaN */
    if (magnitude >= 0x477FF000)
        return (uint16_t)(sign | 0x7C00);       /* rounds to infinity */
    if (magnitude < 0x38800000) {               /* a denormal, or zero: add a number whose last bit is the unit wanted */
        float shifted, unit = 0.5f;
        uint32_t bits;
        memcpy(&shifted, &magnitude, sizeof shifted);
        shifted += unit;
        memcpy(&bits, &shifted, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3F000000));
    }
    uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (rounded - 0x38000000) >> 13);
}

bool aki__is_lfs_pointer(const char *bytes, size_t size)
{
    static const char begin[] = "version https://git-lfs";

    return size >= sizeof begin - 1 && memcmp(bytes, begin, sizeof begin - 1) == 0;
}
