/* Unit buf: the JSON of vectors. See buf.h. */
#include "buf.h"

enum { F32_ROOM = 32 };

void json_floats(struct aki__buf *b, const float *values, size_t count, write_f32_fn *write)
{
    if (count > BUF_CEILING / (F32_ROOM + 1) || !buf_reserve(b, count * (F32_ROOM + 1) + 2)) {
        b->failed = true;
        return;
    }
    char *at = b->data + b->size;
    *at++ = '[';
    for (size_t i = 0; i < count; i++) {
        if (i)
            *at++ = ',';
        at += write(at, values[i]);
    }
    *at++ = ']';
    b->size = (size_t)(at - b->data);
}

/* Byte i of the floats as little-endian machines hold them. */
static unsigned char float_byte(const float *values, size_t i)
{
    uint32_t bits;

    memcpy(&bits, &values[i / 4], sizeof bits);
    return (unsigned char)(bits >> i % 4 * 8);
}

void json_base64(struct aki__buf *b, const float *values, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = count * sizeof *values;

    if (count > BUF_CEILING / 8 || !buf_reserve(b, size / 3 * 4 + 6)) {
        b->failed = true;
        return;
    }
    char *at = b->data + b->size;
    *at++ = '"';
    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = (uint32_t)float_byte(values, i) << 16;
        if (i + 1 < size)
            three |= (uint32_t)float_byte(values, i + 1) << 8;
        if (i + 2 < size)
            three |= float_byte(values, i + 2);
        *at++ = digits[three >> 18];
        *at++ = digits[three >> 12 & 63];
        *at++ = i + 1 < size ? digits[three >> 6 & 63] : '=';
        *at++ = i + 2 < size ? digits[three & 63] : '=';
    }
    *at++ = '"';
    b->size = (size_t)(at - b->data);
}
