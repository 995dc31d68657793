/* Unit utf8: see utf8.h. */
#include "util/utf8.h"

#include <string.h>

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

size_t aki__utf8_count(const char *text, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}
