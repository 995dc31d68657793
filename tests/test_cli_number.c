/* Tests of cli/number: every float that is printed parses back to itself, with no digit too many. */
#include "../cli/shell/number.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static float from_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

static size_t digits_of(const char *text)
{
    size_t count = 0, zeros = 0;

    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9')
            continue;
        zeros = *text == '0' ? zeros + 1 : 0;
        count += count || *text != '0';
    }
    return count > zeros ? count - zeros : 1;
}

/* The least number of digits that the C library needs: the slow, obvious way. */
static size_t least_digits(float f)
{
    char text[40];

    for (int count = 0; count < 9; count++) {
        snprintf(text, sizeof text, "%.*e", count, (double)f);
        if (strtof(text, NULL) == f)
            return digits_of(text);
    }
    return 9;
}

static void check(float f, bool least)
{
    char text[NUMBER_SIZE + 1];
    uint32_t before, after;
    size_t size = number_f32(text, f);

    assert_true(size < NUMBER_SIZE);
    text[size] = '\0';
    float direct = strtof(text, NULL), through = (float)strtod(text, NULL);
    memcpy(&before, &f, 4);
    memcpy(&after, &direct, 4);
    /* Above 2^24 a shorter number can lie on the very middle between two floats; it is not taken, lest a reader rounds it up. */
    least = least && fabsf(f) < 16777216.0f;
    if (before != after || memcmp(&direct, &through, 4) || (least && digits_of(text) > least_digits(f)))
        fail_msg("%.9g (0x%08x) is printed as %s", (double)f, before, text);
    /* A number of JSON, and one that a reader takes for a float. */
    assert_true(strspn(text, "-0123456789.e") == size && (strchr(text, '.') || strchr(text, 'e')));
    assert_true(text[text[0] == '-'] != '.' && text[size - 1] != '.');
}

static void examples(void **state)
{
    static const struct { float value; const char *text; } rows[] = {
        { 0.0f, "0.0" }, { -0.0f, "-0.0" }, { 1.0f, "1.0" }, { -1.5f, "-1.5" }, { 0.1f, "0.1" }, { 123456.0f, "123456.0" },
        { 0.00001f, "0.00001" }, { 1e-7f, "1e-7" }, { 1.5e-30f, "1.5e-30" }, { 3.4028235e38f, "3.4028235e38" }, { 1e-45f, "1e-45" },
        { 16777216.0f, "16777216.0" }, { 1e10f, "1e10" }, { 0.03322883f, "0.03322883" }, { INFINITY, "null" }, { NAN, "null" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[NUMBER_SIZE + 1];
        text[number_f32(text, rows[i].value)] = '\0';
        assert_string_equal(text, rows[i].text);
    }
}

static void random_floats(void **state)
{
    uint64_t x = 0x9E3779B97F4A7C15;

    (void)state;
    for (int i = 0; i < 1000000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        float any = from_bits((uint32_t)(x >> 32)), small = (float)(int32_t)(uint32_t)x / 4294967296.0f;
        if (isfinite(any))
            check(any, i < 100000);
        check(small, i < 200000);
    }
}

/* Where floats change their spacing, and around powers of ten. */
static void edges(void **state)
{
    (void)state;
    for (uint32_t exponent = 0; exponent < 255; exponent++) {
        for (int32_t d = -20; d <= 20; d++) {
            int64_t bits = ((int64_t)exponent << 23) + d;
            if (bits >= 0 && isfinite(from_bits((uint32_t)bits)))
                check(from_bits((uint32_t)bits), true);
        }
    }
    for (int ten = -44; ten <= 38; ten++) {
        float f = strtof((char[]){ '1', 'e', ten < 0 ? '-' : '+', (char)('0' + abs(ten) / 10), (char)('0' + abs(ten) % 10), '\0' }, NULL);
        uint32_t bits;
        memcpy(&bits, &f, 4);
        for (uint32_t d = 0; d < 40; d++)
            if (isfinite(from_bits(bits - 20 + d)))
                check(from_bits(bits - 20 + d), true);
    }
}

static void halves(void **state)
{
    (void)state;
    assert_true(number_half(0x3C00) == 1.0f && number_half(0xC000) == -2.0f && number_half(0x0001) == ldexpf(1, -24));
    assert_true(number_half(0x7BFF) == 65504.0f && number_half(0x7C00) == INFINITY && isnan(number_half(0x7E00)));
    assert_true(number_half(0x0400) == ldexpf(1, -14) && number_half(0x03FF) == ldexpf(1023, -24));
}

static void integers(void **state)
{
    static const struct { int64_t value; const char *text; } rows[] = { { 0, "0" }, { -1, "-1" }, { INT64_MIN, "-9223372036854775808" }, { 255, "255" } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[NUMBER_SIZE + 1];
        text[number_int(text, rows[i].value)] = '\0';
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples), cmocka_unit_test(edges), cmocka_unit_test(random_floats), cmocka_unit_test(halves), cmocka_unit_test(integers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
