/* Unit number: numbers to decimal text. See number.h. */
#include "number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869"
                            "707172737475767778798081828384858687888990919293949596979899";

size_t number_int(char *out, int64_t value)
{
    char digits[20];
    size_t first = sizeof digits, at = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    while (rest >= 100) {
        memcpy(digits + (first -= 2), pairs + rest % 100 * 2, 2);
        rest /= 100;
    }
    if (rest >= 10)
        memcpy(digits + (first -= 2), pairs + rest * 2, 2);
    else
        digits[--first] = (char)('0' + rest);
    if (value < 0)
        out[at++] = '-';
    memcpy(out + at, digits + first, sizeof digits - first);
    return at + sizeof digits - first;
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

/* Powers of ten, as near as a double is. */
enum { FIRST_POWER = -38 };
static const double powers[] = {
    1e-38, 1e-37, 1e-36, 1e-35, 1e-34, 1e-33, 1e-32, 1e-31, 1e-30, 1e-29, 1e-28, 1e-27, 1e-26, 1e-25, 1e-24, 1e-23, 1e-22,
    1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5,
    1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
    1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29,
    1e30, 1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38, 1e39, 1e40, 1e41, 1e42, 1e43, 1e44, 1e45, 1e46,
};

static double power(int ten) { return powers[ten - FIRST_POWER]; }

/* digits if they lie between the two, or else those before. No branch: it would be guessed wrongly half of the time. */
static uint32_t fewer(uint32_t digits, double least, double most, uint32_t before)
{
    uint32_t fit = (least < (double)(int32_t)digits) & ((double)(int32_t)digits < most);
    return before ^ ((before ^ digits) & (0 - fit));
}

/* Finds the least digits for size, not denormal: nine with the zeros behind them; every correct parser, through double or not, turns
 * digits * 10^(*ten - 8) into size.
 *
 * x is size in units of its ninth digit. Numbers between `least` and `most`, half way to the floats beside it, are size; these two are a
 * little nearer here than they are, by more than what rounding to double can be wrong by. Nine digits are always near enough: half a
 * unit, where half a float's spacing is three or more. Fewer than six need no try of their own: such a number is also the nearest of
 * six. */
static uint32_t shortest(float size, int *ten)
{
    uint32_t bits;
    double v = (double)size;

    memcpy(&bits, &size, sizeof bits);
    int t = ((int)(bits >> 23) - 127) * 1233 >> 12;            /* floor of log10(2) times the power of two: floor of log10(size), or one less */
    t += v >= power(t + 1);
    double unit = power(8 - t), x = v * unit, half = unit * 0.49999995;
    double least = x - (v - (double)from_bits(bits - 1)) * half, most = x + ((double)from_bits(bits + 1) - v) * half;
    uint32_t digits = (uint32_t)(int32_t)(x + 0.5);
    digits = fewer((uint32_t)(int32_t)(x * 1e-1 + 0.5) * 10, least, most, digits);
    digits = fewer((uint32_t)(int32_t)(x * 1e-2 + 0.5) * 100, least, most, digits);
    digits = fewer((uint32_t)(int32_t)(x * 1e-3 + 0.5) * 1000, least, most, digits);
    if (digits < 1000000000) {
        *ten = t;
        return digits;
    }
    *ten = t + 1;
    return 100000000;
}

/* The same for any size, by the C library's own printing and parsing. */
static uint32_t shortest_slow(float size, int *ten)
{
    char text[32];
    int count = 0;

    do
        snprintf(text, sizeof text, "%.*e", count, (double)size);
    while (strtof(text, NULL) != size && ++count <= 8);
    uint32_t digits = (uint32_t)(text[0] - '0');
    for (int i = 0; i < 8; i++)
        digits = digits * 10 + (i < count ? (uint32_t)(text[2 + i] - '0') : 0);
    *ten = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    return digits;
}

size_t number_f32(char *out, float value)
{
    float size = fabsf(value);
    size_t at = signbit(value) != 0;
    int ten;

    if (!isfinite(value)) {
        memcpy(out, "null", 4);
        return 4;
    }
    out[0] = '-';
    if (size == 0) {
        memcpy(out + at, "0.0", 3);
        return at + 3;
    }
    /* No branch depends on how many digits there are, and fixed sizes are copied: NUMBER_SIZE bytes suffice. */
    uint32_t digits = size >= FLT_MIN ? shortest(size, &ten) : shortest_slow(size, &ten);
    char text[9];
    size_t count = 9, ends = 1;
    for (int i = 7; i > 0; i -= 2) {
        memcpy(text + i, pairs + digits % 100 * 2, 2);
        digits /= 100;
    }
    text[0] = (char)('0' + digits);
    for (size_t i = 8; i > 0; i--)
        count -= ends &= text[i] == '0';
    if (ten > 8 || ten < -6) {
        out[at++] = text[0];
        if (count > 1) {
            out[at++] = '.';
            memcpy(out + at, text + 1, 8);
            at += count - 1;
        }
        out[at++] = 'e';
        return at + number_int(out + at, ten);
    }
    if (ten < 0) {
        memcpy(out + at, "0.00000", 7);
        at += (size_t)(1 - ten);
        memcpy(out + at, text, 9);
        return at + count;
    }
    size_t whole = (size_t)ten + 1;
    memcpy(out + at, text, 9);                                /* the zeros before the point with it */
    out[at + whole] = '.';
    out[at + whole + 1] = '0';
    if (count <= whole)
        return at + whole + 2;
    memcpy(out + at + whole + 1, text + whole, count - whole);
    return at + count + 1;
}
