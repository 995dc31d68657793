/* Unit number: numbers to decimal text. See number.h. */
#include "number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t number_int(char *out, int64_t value)
{
    char digits[20];
    size_t count = 0, at = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do
        digits[count++] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        out[at++] = '-';
    while (count)
        out[at++] = digits[--count];
    return at;
}

float number_half(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    float size = exponent == 0 ? ldexpf((float)fraction, -24) : ldexpf((float)(fraction + 1024), exponent - 25);

    if (exponent == 31)
        size = fraction ? NAN : INFINITY;
    return half & 0x8000 ? -size : size;
}

static float from_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Powers of ten that a double holds exactly. */
static const double powers[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
enum { POWER_LIMIT = 22 };

/* Finds the least digits for size > 0: size is near digits * 10^*exponent. 0 where this way does not reach.
 *
 * digits * 10^k is tried in double arithmetic. The digits (below 10^9) and 10^|k| (|k| <= 22) are exact doubles, so their
 * product or quotient q is the decimal number D correctly rounded. The floats next to size are parted from it by the two
 * midpoints, which are exact doubles too. Rounding keeps order: q strictly between the midpoints means that D is, and
 * then any correct parser, through double or not, gives size back. */
static uint32_t shortest(float size, int *exponent)
{
    uint32_t bits;
    double v = (double)size;

    memcpy(&bits, &size, sizeof bits);
    double low = ((double)from_bits(bits - 1) + v) / 2, high = (v + (double)from_bits(bits + 1)) / 2;
    int ten = ((int)(bits >> 23) - 127) * 1233 >> 12;          /* floor of log10(2) times the power of two: 10^ten <= size, or one less */
    if (ten + 1 <= POWER_LIMIT && ten + 1 >= -POWER_LIMIT && (ten + 1 >= 0 ? v >= powers[ten + 1] : v * powers[-ten - 1] >= 1))
        ten++;
    /* Fewer than six digits need no try of their own: such a number is also the nearest of six, ending in zeros. */
    for (int count = 6; count <= 9; count++) {
        int k = ten + 1 - count;
        if (k > POWER_LIMIT || k < -POWER_LIMIT)
            return 0;
        double digits = k > 0 ? v / powers[k] : v * powers[-k];
        digits = (double)(int64_t)(digits + 0.5);
        double q = k > 0 ? digits * powers[k] : digits / powers[-k];
        if (low < q && q < high) {
            *exponent = k;
            return (uint32_t)digits;
        }
    }
    return 0;
}

/* For the sizes that shortest() does not reach: the C library's own printing and parsing. */
static uint32_t shortest_slow(float size, int *exponent)
{
    char text[32];
    int count = 0;

    do
        snprintf(text, sizeof text, "%.*e", count, (double)size);
    while (strtof(text, NULL) != size && ++count < 9);
    uint32_t digits = (uint32_t)(text[0] - '0');
    for (int i = 0; i < count; i++)
        digits = digits * 10 + (uint32_t)(text[2 + i] - '0');
    *exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10) - count;
    return digits;
}

size_t number_f32(char *out, float value)
{
    size_t at = 0;
    int exponent = 0;
    float size = fabsf(value);

    if (!isfinite(value)) {
        memcpy(out, "null", 4);
        return 4;
    }
    if (signbit(value))
        out[at++] = '-';
    if (size == 0) {
        memcpy(out + at, "0.0", 3);
        return at + 3;
    }
    uint32_t digits = size >= 1e-13f && size < 1e22f ? shortest(size, &exponent) : 0;
    if (!digits)
        digits = shortest_slow(size, &exponent);
    while (digits % 10 == 0) {
        digits /= 10;
        exponent++;
    }
    char text[16];
    size_t count = number_int(text, digits);
    int point = (int)count + exponent;                        /* digits before the point */
    if (point > 9 || point < -5) {
        out[at++] = text[0];
        if (count > 1) {
            out[at++] = '.';
            memcpy(out + at, text + 1, count - 1);
            at += count - 1;
        }
        out[at++] = 'e';
        return at + number_int(out + at, point - 1);
    }
    if (point <= 0) {
        memcpy(out + at, "0.00000", 7);
        at += 2 + (size_t)-point;
        memcpy(out + at, text, count);
        return at + count;
    }
    for (size_t i = 0; i < (size_t)point; i++)
        out[at++] = i < count ? text[i] : '0';
    out[at++] = '.';
    if (count <= (size_t)point) {
        out[at++] = '0';
        return at;
    }
    memcpy(out + at, text + point, count - (size_t)point);
    return at + count - (size_t)point;
}
