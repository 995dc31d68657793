/* Unit buf: a buffer that grows, and JSON written into it. See buf.h. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { F32_ROOM = 32 };

void buf_free(struct buf *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}

bool buf_reserve(struct buf *b, size_t more)
{
    if (b->failed || more > BUF_CEILING - b->size) {
        b->failed = true;
        return false;
    }
    size_t need = b->size + more;
    if (need <= b->capacity)
        return true;
    size_t capacity = b->capacity + b->capacity / 2;
    if (capacity < need)
        capacity = need < 256 ? 256 : need;
#ifdef AKI_EXACT_BUFFERS
    if (need <= AKI_EXACT_BUFFERS)
        capacity = need;                     /* no room behind what was asked for: a sanitizer sees a read there */
#endif
    char *data = realloc(b->data, capacity);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

void buf_add(struct buf *b, const void *data, size_t size)
{
    if (!size || !buf_reserve(b, size))
        return;
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

void buf_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_format(struct buf *b, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof line)
        b->failed = true;
    else
        buf_add(b, line, (size_t)size);
}

void json_string(struct buf *b, const char *text, size_t size)
{
    size_t from = 0;

    buf_add(b, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        buf_add(b, text + from, i - from);
        if (c == '"' || c == '\\')
            buf_format(b, "\\%c", c);
        else
            buf_format(b, "\\u%04x", c);
        from = i + 1;
    }
    buf_add(b, text + from, size - from);
    buf_add(b, "\"", 1);
}

void json_text(struct buf *b, const char *text)
{
    json_string(b, text, strlen(text));
}

void json_floats(struct buf *b, const float *values, size_t count, write_f32_fn *write)
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

void json_base64(struct buf *b, const float *values, size_t count)
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

size_t text_check(const char *text, size_t size)
{
    const unsigned char *s = (const unsigned char *)text;

    for (size_t i = 0; i < size;) {
        unsigned char c = s[i];
        if (c < 0x80) {
            i++;
            continue;
        }
        /* The second byte's range shuts out overlong forms, surrogates and what lies above 0x10FFFF. */
        size_t more = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
        unsigned char low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80, high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
        if (c < 0xC2 || c > 0xF4 || size - i <= more || s[i + 1] < low || s[i + 1] > high)
            return i;
        for (size_t k = 2; k <= more; k++)
            if ((s[i + k] & 0xC0) != 0x80)
                return i;
        i += more + 1;
    }
    return SIZE_MAX;
}

size_t text_count(const char *text, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}
