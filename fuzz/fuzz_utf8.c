/* Fuzzes the UTF-8 reader: the check, the decoder and the encoder against a slow one that follows the definition by its letter. */
#include "fuzz.h"

#include "base/base.h"

/* One scalar value at s: its bytes, or 0. By the definition: decode whatever the lead byte says, then look at the value. */
static size_t slow_next(const uint8_t *s, size_t size, uint32_t *out)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t length = s[0] < 0x80 ? 1 : (s[0] & 0xE0) == 0xC0 ? 2 : (s[0] & 0xF0) == 0xE0 ? 3 : (s[0] & 0xF8) == 0xF0 ? 4 : 0;

    if (length == 0 || length > size)
        return 0;
    uint32_t c = length == 1 ? s[0] : s[0] & (0xFF >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3F);
    }
    *out = c;
    return c < least[length] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF) ? 0 : length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *fast = text;
    size_t wrong = aki__utf8_check(text, size), at = 0;

    while (at < size) {
        uint32_t c;
        size_t length = slow_next(data + at, size - at, &c);
        if (!length)
            break;
        FUZZ_CHECK(aki__utf8_next(&fast) == c);
        FUZZ_CHECK(fast == text + at + length);
        char again[4];
        FUZZ_CHECK(aki__utf8_encode(c, again) == length);
        FUZZ_CHECK(memcmp(again, text + at, length) == 0);
        at += length;
    }
    FUZZ_CHECK(wrong == (at == size ? AKI_UTF8_VALID : at));
    return 0;
}
