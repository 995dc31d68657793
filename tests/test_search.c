/* Tests of aki_search and aki_duplicates, and of their kernels in every instruction set, against plain loops in double precision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "kernel/kernel.h"

#include <math.h>
#include <stdlib.h>

enum { ROWS = 2500, MOST = 400 };

static float *random_floats(size_t count)
{
    float *v = malloc(count * sizeof *v);

    for (size_t i = 0; i < count; i++)
        v[i] = (float)(rand() % 20001 - 10000) / 10000;
    return v;
}

/* An element as the header says that it counts. */
static double element(const aki_vectors *v, size_t row, size_t i)
{
    const size_t dim = (size_t)v->dim, bytes = (dim + 7) / 8;
    const uint8_t *u = v->rows;

    switch (v->dtype) {
    case AKI_DTYPE_F32: return ((const float *)v->rows)[row * dim + i];
    case AKI_DTYPE_F16: return aki__f16_to_f32(((const uint16_t *)v->rows)[row * dim + i]);
    case AKI_DTYPE_INT8:
    case AKI_DTYPE_UINT8: {
        double step = ((double)v->ranges[dim + i] - (double)v->ranges[i]) / 255;
        int bucket = v->dtype == AKI_DTYPE_INT8 ? ((const int8_t *)v->rows)[row * dim + i] + 128 : u[row * dim + i];
        return (double)v->ranges[i] + (bucket + 0.5) * (step == 0 ? 1 : step);
    }
    default: {
        int byte = v->dtype == AKI_DTYPE_BINARY ? ((const int8_t *)v->rows)[row * bytes + i / 8] + 128 : u[row * bytes + i / 8];
        return byte >> (7 - i % 8) & 1 ? 1 : -1;
    }
    }
}

static double cosine(const aki_vectors *v, size_t row, const aki_vectors *w, size_t other)
{
    double dot = 0, a = 0, b = 0;

    for (size_t i = 0; i < (size_t)v->dim; i++) {
        double x = element(v, row, i), y = element(w, other, i);
        dot += x * y;
        a += x * x;
        b += y * y;
    }
    return a * b > 0 ? dot / sqrt(a * b) : 0;
}

/* Rows of every type; the caller frees v->rows and v->ranges. */
static aki_vectors random_rows(int dtype, size_t rows, size_t dim)
{
    aki_vectors v;
    size_t size = aki__row_size(dtype, dim);
    uint8_t *bytes = malloc(rows * size);
    float *ranges = random_floats(2 * dim);

    aki_vectors_init(&v, sizeof v);
    if (dtype == AKI_DTYPE_F32) {
        free(bytes);
        bytes = (uint8_t *)random_floats(rows * dim);
    }
    for (size_t i = 0; i < rows * size && dtype != AKI_DTYPE_F32; i++)
        bytes[i] = (uint8_t)rand();
    for (size_t i = 0; i < rows * dim && dtype == AKI_DTYPE_F16; i++)
        ((uint16_t *)(void *)bytes)[i] = aki__f32_to_f16((float)(rand() % 2001 - 1000) / 1000);
    for (size_t i = 0; i < dim; i++) {
        ranges[i] = -fabsf(ranges[i]);
        ranges[dim + i] = i % 7 ? fabsf(ranges[dim + i]) : ranges[i];
    }
    v.dtype = dtype;
    v.rows = bytes;
    v.count = rows;
    v.dim = (int32_t)dim;
    v.ranges = ranges;
    return v;
}

static void free_rows(aki_vectors *v)
{
    free((void *)(uintptr_t)v->rows);
    free((void *)(uintptr_t)v->ranges);
}

static void check_search(aki_vectors *v, size_t top)
{
    float *query = random_floats((size_t)v->dim);
    aki_vectors q;
    aki_hit *hits = malloc((top + 1) * sizeof *hits);
    size_t found = 0, better = 0;

    aki_vectors_init(&q, sizeof q);
    q.rows = query;
    q.dim = v->dim;
    assert_int_equal(aki_search(v, query, top, hits, &found, NULL), AKI_OK);
    assert_int_equal(found, top < v->count ? top : v->count);
    for (size_t i = 0; i < found; i++) {
        assert_true(fabs((double)hits[i].score - cosine(v, (size_t)hits[i].row, &q, 0)) < 2e-6);
        assert_true(!i || hits[i - 1].score > hits[i].score || (hits[i - 1].score == hits[i].score && hits[i - 1].row < hits[i].row));
    }
    for (size_t r = 0; r < v->count && found; r++)
        better += cosine(v, r, &q, 0) > (double)hits[found - 1].score + 4e-6;
    assert_true(better <= found);
    free(hits);
    free(query);
}

static void test_search(void **state)
{
    (void)state;
    for (int dtype = AKI_DTYPE_F32; dtype <= AKI_DTYPE_UBINARY; dtype++) {
        static const size_t dims[] = { 1, 7, 33, 384 };
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
            aki_vectors v = random_rows(dtype, ROWS, dims[d]);
            for (v.threads = 0; v.threads < 4; v.threads++)
                check_search(&v, v.threads == 3 ? ROWS + 5 : 10);
            v.count = 0;
            check_search(&v, 3);
            check_search(&v, 0);
            free_rows(&v);
        }
    }
}

/* More rows than are scored at a time; zeros count 0, what is not finite is not found. */
static void test_odd_rows(void **state)
{
    enum { MANY = 40000 };
    aki_vectors v = random_rows(AKI_DTYPE_F32, MANY, 4);
    float *rows = (float *)(uintptr_t)v.rows, query[4] = { 3, 0, 0, 0 };
    aki_hit hits[3];
    size_t found;

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        memcpy(rows + 4 * i, (float[4]){ -1, 1, 0, 0 }, 16);
    rows[4 * 17 + 2] = NAN;
    memcpy(rows + 4 * 20000, (float[4]){ 0 }, 16);
    memcpy(rows + 4 * 39999, (float[4]){ 5, 0, 0, 0 }, 16);
    memcpy(rows + 4 * 39998, (float[4]){ INFINITY, 0, 0, 0 }, 16);
    assert_int_equal(aki_search(&v, query, 3, hits, &found, NULL), AKI_OK);
    assert_int_equal(found, 3);
    assert_int_equal(hits[0].row, 39999);
    assert_true(hits[0].score == 1);
    assert_int_equal(hits[1].row, 20000);
    assert_true(hits[1].score == 0);
    assert_int_equal(hits[2].row, 0);
    free_rows(&v);
}

static int stop(void *user, double done)
{
    *(double *)user = done;
    return 1;
}

static void test_errors(void **state)
{
    aki_vectors v = random_rows(AKI_DTYPE_INT8, 3, 8), broken;
    float query[8] = { 1 }, zero[8] = { 0 };
    aki_hit hits[3];
    aki_error error;
    size_t found;
    double done = 0;

    (void)state;
#define REFUSED(status, ...) (broken = v, __VA_ARGS__, assert_int_equal(aki_search(&broken, query, 1, hits, &found, &error), status), \
                              assert_int_equal(aki_duplicates(&broken, 0.5f, hits, &error), status))
    REFUSED(AKI_E_INVALID, broken.struct_size = 0);
    REFUSED(AKI_E_INVALID, broken.dtype = 6);
    REFUSED(AKI_E_INVALID, broken.dim = 0);
    REFUSED(AKI_E_INVALID, broken.threads = -1);
    REFUSED(AKI_E_INVALID, broken.rows = NULL);
    REFUSED(AKI_E_INVALID, broken.count = SIZE_MAX);
    REFUSED(AKI_E_INVALID, broken.ranges = NULL);
    REFUSED(AKI_E_CANCELLED, broken.progress = stop, broken.progress_user = &done);
    assert_true(done == 1);
    assert_int_equal(aki_search(NULL, query, 1, hits, &found, NULL), AKI_E_INVALID);
    assert_int_equal(aki_search(&v, zero, 1, hits, &found, &error), AKI_E_INVALID);
    assert_non_null(strstr(error.message, "all zero"));
    assert_int_equal(aki_search(&v, NULL, 1, hits, &found, NULL), AKI_E_INVALID);
    assert_int_equal(aki_duplicates(&v, NAN, hits, NULL), AKI_E_INVALID);
    free_rows(&v);
}

static void test_duplicates(void **state)
{
    (void)state;
    for (int dtype = AKI_DTYPE_F32; dtype <= AKI_DTYPE_UBINARY; dtype++) {
        const size_t dims[] = { 9, 64, 130 }, dim = dims[dtype % 3], rows = dtype ? 1100 : ROWS, size = aki__row_size(dtype, dim);
        aki_vectors v = random_rows(dtype, rows, dim);
        char *bytes = (char *)(uintptr_t)v.rows;
        aki_hit *hits = malloc(rows * sizeof *hits);
        for (size_t i = 3; i < rows; i += 50)
            memcpy(bytes + i * size, bytes + i / 2 * size, size);
        v.threads = dtype % 2 + 1;
        assert_int_equal(aki_duplicates(&v, 0.4f, hits, NULL), AKI_OK);
        for (size_t i = 0; i < rows; i += i > 1020 && i < 1030 ? 1 : 13) {
            double best = -2;
            for (size_t k = 0; k < i; k++)
                best = fmax(best, cosine(&v, i, &v, k));
            if (fabs(best - 0.4) < 1e-5)
                continue;
            assert_int_equal(hits[i].row != UINT64_MAX, best > 0.4);
            if (best > 0.4) {
                assert_true(hits[i].row < i && fabs((double)hits[i].score - best) < 1e-5);
                assert_true(fabs(cosine(&v, i, &v, (size_t)hits[i].row) - best) < 1e-5);
            }
        }
        free(hits);
        free_rows(&v);
    }
}

/* A threshold is met by what is equal to it; of equals the earliest is the answer. */
static void test_equal_rows(void **state)
{
    float rows[5][4] = { { 1, 0, 0, 0 }, { 0, 1, 0, 0 }, { 2, 0, 0, 0 }, { 1, 0, 0, 0 }, { 0, 0, 0, 0 } };
    aki_vectors v;
    aki_hit hits[5];

    (void)state;
    aki_vectors_init(&v, sizeof v);
    v.rows = rows;
    v.count = 5;
    v.dim = 4;
    assert_int_equal(aki_duplicates(&v, 1, hits, NULL), AKI_OK);
    assert_true(hits[0].row == UINT64_MAX && hits[1].row == UINT64_MAX && hits[4].row == UINT64_MAX);
    assert_true(hits[2].row == 0 && hits[2].score == 1 && hits[3].row == 0);
}

static void test_instruction_sets(void **state)
{
    static const char *const names[] = { "avx512bf16", "avx512", "avxvnni", "avx2", "dotprod", "baseline" };
    static const enum aki__stored_dtype dtypes[] = { AKI_STORED_F32, AKI_STORED_F16, AKI_STORED_BYTES, AKI_STORED_BYTES, AKI_STORED_BITS, AKI_STORED_BITS };
    float scores[50], scratch[MOST], out[50 * MOST];

    (void)state;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        const struct aki__kernels *k = aki__kernels_named(names[n]);
        for (int dtype = AKI_DTYPE_F32; k && dtype <= AKI_DTYPE_UBINARY; dtype++)
            for (size_t dim = 1; dim <= MOST; dim = dim * 2 + 5) {
                aki_vectors v = random_rows(dtype, 50, dim), q = random_rows(AKI_DTYPE_F32, 1, dim);
                float base[MOST], step[MOST], unit[MOST];
                for (size_t i = 0; i < dim; i++) {
                    float s = (v.ranges[dim + i] - v.ranges[i]) / 255;
                    step[i] = s == 0 ? 1 : s;
                    base[i] = v.ranges[i] + step[i] / 2;
                    unit[i] = ((const float *)q.rows)[i];
                }
                struct aki__stored s = { .rows = v.rows, .dim = dim, .row_size = aki__row_size(dtype, dim), .dtype = dtypes[dtype], .base = base, .step = step,
                                         .flip = dtype == AKI_DTYPE_INT8 || dtype == AKI_DTYPE_BINARY ? 0x80 : 0 };
                double length = 0;
                for (size_t i = 0; i < dim; i++)
                    length += (double)unit[i] * unit[i];
                for (size_t i = 0; i < dim; i++)
                    unit[i] = (float)(unit[i] / sqrt(length));
                k->search(&s, unit, scores, 3, 50, scratch);
                k->unpack(&s, out, 3, 50);
                for (size_t r = 3; r < 50 && length > 0; r++) {
                    double squares = 0;
                    for (size_t i = 0; i < dim; i++)
                        squares += element(&v, r, i) * element(&v, r, i);
                    assert_true(fabs((double)scores[r - 3] - cosine(&v, r, &q, 0)) < 2e-6);
                    for (size_t i = 0; i < dim && squares > 0; i++)
                        assert_true(fabs((double)out[(r - 3) * dim + i] - element(&v, r, i) / sqrt(squares)) < 2e-6);
                }
                free_rows(&v);
                free_rows(&q);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_search),     cmocka_unit_test(test_odd_rows),   cmocka_unit_test(test_errors),
        cmocka_unit_test(test_duplicates), cmocka_unit_test(test_equal_rows), cmocka_unit_test(test_instruction_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
