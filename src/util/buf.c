/* Unit buf: see buf.h. */
#include "util/buf.h"

#include "util/utf8.h"

#include <stdarg.h>
#include <stdio.h>

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

/* ---------------------------------------------------------------- writers --------------------------------------- */

bool aki__buf_room(struct aki__buf *b, size_t more, size_t ceiling)
{
    if (!b->failed && !aki__buf_reserve(b, more, ceiling))
        b->failed = true;
    return !b->failed;
}

void aki__buf_write(struct aki__buf *b, const void *bytes, size_t size, size_t ceiling)
{
    if (!size || !aki__buf_room(b, size, ceiling))
        return;
    memcpy(b->data + b->size, bytes, size);
    b->size += size;
}

void aki__buf_format(struct aki__buf *b, size_t ceiling, const char *format, ...)
{
    va_list args, again;

    va_start(args, format);
    va_copy(again, args);
    char small[256];
    int size = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (size < 0) {
        b->failed = true;
    } else if ((size_t)size < sizeof small) {
        aki__buf_write(b, small, (size_t)size, ceiling);
    } else if (aki__buf_room(b, (size_t)size + 1, ceiling)) {
        vsnprintf(b->data + b->size, (size_t)size + 1, format, again);
        b->size += (size_t)size;
    }
    va_end(again);
}

/* What stands for a byte in a string, in out: its size. */
static size_t escape(unsigned char c, char out[6])
{
    static const char hex[] = "0123456789abcdef", pairs[] = "\"\"\\\\\bb\ff\nn\rr\tt";      /* what it is, the letter that stands for it */

    for (const char *e = pairs; *e; e += 2)
        if (*e == (char)c) {
            out[0] = '\\';
            out[1] = e[1];
            return 2;
        }
    memcpy(out, "\\u00", 4);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

void aki__buf_json(struct aki__buf *b, const char *text, size_t size, size_t ceiling)
{
    size_t valid = aki__utf8_check(text, size), from = 0;

    if (valid == AKI_UTF8_VALID)
        valid = size;
    aki__buf_write(b, "\"", 1, ceiling);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        char escaped[6];
        if (i < valid && c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        aki__buf_write(b, text + from, i - from, ceiling);
        from = i + 1;
        if (i < valid) {
            aki__buf_write(b, escaped, escape(c, escaped), ceiling);
            continue;
        }
        size_t next = aki__utf8_check(text + from, size - from);
        valid = next == AKI_UTF8_VALID ? size : from + next;
        aki__buf_write(b, "\xEF\xBF\xBD", 3, ceiling);
    }
    aki__buf_write(b, text + from, size - from, ceiling);
    aki__buf_write(b, "\"", 1, ceiling);
}
