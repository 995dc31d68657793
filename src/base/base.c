/* Unit base: errors, half floats. See base.h. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>

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
