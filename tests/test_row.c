/* Tests of row: what of a vector is refused, and what its row holds at the ends of what numbers hold. Values of int8 and uint8 are
 * sentence-transformers' (6.2.0, quantize_embeddings: a step of 0 is 1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/engine.h"

#include <float.h>
#include <math.h>

enum { DIM = 4 };

static aki_status write_row(void *out, const float *vector, int32_t dtype, bool normalize, const float *ranges, aki_error *e)
{
    const struct aki__request r = { .dim = DIM, .columns = DIM, .dtype = dtype, .normalize = normalize, .ranges = ranges };
    float copy[DIM];

    memcpy(copy, vector, sizeof copy);
    return aki__row_write(out, copy, &r, e);
}

static void test_ranges_without_width(void **state)
{
    static const struct { float value, least, most; uint8_t bucket; } rows[] = {
        { 0.25f, 0.25f, 0.25f, 0 }, { 0.26f, 0.25f, 0.25f, 0 }, { 0.24f, 0.25f, 0.25f, 0 }, { 1.24f, 0.25f, 0.25f, 0 }, { 1.26f, 0.25f, 0.25f, 1 },
        { 300.5f, 0.25f, 0.25f, 255 }, { -300.0f, 0.25f, 0.25f, 0 }, { 0.3f, 0.0f, 1e-44f, 0 },      /* a width whose 255th part is nothing */
        { 0.5f, 0.0f, 1.0f, 127 }, { 1.0f, 0.0f, 1.0f, 254 }, { 2.0f, 0.0f, 1.0f, 255 }, { -1.0f, 0.0f, 1.0f, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        float v[DIM] = { rows[i].value, 1, 1, 1 }, ranges[2 * DIM] = { rows[i].least, 0, 0, 0, rows[i].most, 1, 1, 1 };
        uint8_t whole[DIM];
        int8_t below[DIM];
        aki_error e = { 0 };
        assert_int_equal(write_row(whole, v, AKI_DTYPE_UINT8, false, ranges, &e), AKI_OK);
        assert_int_equal(write_row(below, v, AKI_DTYPE_INT8, false, ranges, &e), AKI_OK);
        if (whole[0] != rows[i].bucket || below[0] != (int)rows[i].bucket - 128)
            fail_msg("row %zu: %d, %d", i, whole[0], below[0]);
    }
}

static void test_f16(void **state)
{
    static const struct { float value, others; const char *says; } rows[] = {
        { 65504, 1, NULL }, { -65504, 1, NULL }, { 65519, 1, NULL }, { 65520, 1, "element 1 is 65520, and f16 ends at 65504" },
        { -1e6f, 1, "element 1 is -1e+06" }, { FLT_MAX, 1, "f16 ends at 65504" },
        { 1e-9f, 1e-9f, "all zero in f16" }, { -2e-8f, 2e-8f, "all zero in f16" }, { 1e-7f, 1e-9f, NULL }, { FLT_TRUE_MIN, 0, "all zero in f16" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        float v[DIM] = { rows[i].others, rows[i].value, rows[i].others, rows[i].others };
        uint16_t out[DIM];
        aki_error e = { 0 };
        aki_status rc = write_row(out, v, AKI_DTYPE_F16, false, NULL, &e);
        if (rows[i].says ? rc != AKI_E_INVALID || !strstr(e.message, rows[i].says) : rc != AKI_OK)
            fail_msg("row %zu: %d, %s", i, (int)rc, e.message);
        /* Normalised it is a vector as any other, and the same as that of f32. */
        float whole[DIM];
        assert_int_equal(write_row(out, v, AKI_DTYPE_F16, true, NULL, &e), AKI_OK);
        assert_int_equal(write_row(whole, v, AKI_DTYPE_F32, true, NULL, &e), AKI_OK);
        for (size_t k = 0; k < DIM; k++)
            assert_int_equal(out[k], aki__f32_to_f16(whole[k]));
    }
}

/* From the smallest vectors to the largest, the length is 1. */
static void test_lengths(void **state)
{
    (void)state;
    for (int exponent = -149; exponent <= 127; exponent++) {
        float x = ldexpf(1, exponent), v[DIM] = { x, -x, x, x }, out[DIM];
        aki_error e = { 0 };
        assert_int_equal(write_row(out, v, AKI_DTYPE_F32, true, NULL, &e), AKI_OK);
        for (size_t k = 0; k < DIM; k++)
            if (out[k] != (k == 1 ? -0.5f : 0.5f))
                fail_msg("2^%d: element %zu is %g", exponent, k, (double)out[k]);
    }
}

static void test_what_is_no_vector(void **state)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    float v[DIM] = { 0 }, out[DIM];
    aki_error e = { 0 };
    (void)state;
    for (int32_t dtype = AKI_DTYPE_F32; dtype <= AKI_DTYPE_UBINARY; dtype++) {
        static const float ranges[2 * DIM] = { 0, 0, 0, 0, 1, 1, 1, 1 };
        memset(v, 0, sizeof v);
        assert_int_equal(write_row(out, v, dtype, false, ranges, &e), AKI_E_INVALID);
        assert_non_null(strstr(e.message, "all zero"));
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            v[2] = bad[i];
            assert_int_equal(write_row(out, v, dtype, true, ranges, &e), AKI_E_INVALID);
            assert_non_null(strstr(e.message, "element 2"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges_without_width), cmocka_unit_test(test_f16), cmocka_unit_test(test_lengths), cmocka_unit_test(test_what_is_no_vector),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
