/* What the tests of kernel/ share: random values and shapes, exact blocks of memory, the instruction sets of this processor.
 * Static functions in a header: each test program has its own. */
#ifndef KERNEL_RANDOM_H
#define KERNEL_RANDOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/kernel.h"
#include "kernel_reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---------------------------------------------------------------- random values and memory ---------------------- */

static uint64_t seed, state;

static inline uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545F4914F6CDD1Dull;
}

static inline size_t below(size_t n) { return (size_t)((next() >> 33) % n); }
static inline size_t between(size_t low, size_t high) { return low + below(high - low + 1); }
static inline bool chance(size_t percent) { return below(100) < percent; }

/* Near to normal, deviation 1. */
static inline float normal(void)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += (double)(next() >> 40) / (double)(1 << 24) - 0.5;
    return (float)(sum * 1.4142135623730951);
}

/* Exact blocks, so that a sanitizer sees what is read or written behind them; filled with NaN. All are freed at the end of a test. */
static void *blocks[4096];
static size_t n_blocks;

static inline void *block(size_t size)
{
    void *p = NULL;
    assert_true(n_blocks < sizeof blocks / sizeof *blocks);
    p = aki__alloc_aligned(size ? size : 1, 1);
    assert_non_null(p);
    memset(p, 0xFF, size);
    blocks[n_blocks++] = p;
    return p;
}

static inline void free_blocks(void)
{
    while (n_blocks)
        aki__free_aligned(blocks[--n_blocks]);
}

#define NEW(type, count) ((type *)block((count) * sizeof(type)))

static inline float *normals(size_t n, float deviation)
{
    float *p = NEW(float, n);
    for (size_t i = 0; i < n; i++)
        p[i] = normal() * deviation;
    return p;
}

static inline void *copy_of(const void *from, size_t size)
{
    void *p = block(size);
    memcpy(p, from, size);
    return p;
}

/* ---------------------------------------------------------------- instruction sets ------------------------------ */

static const struct aki__kernels *sets[5];
static size_t n_sets;

static inline const struct aki__kernels *any_set(void) { return sets[below(n_sets)]; }

/* Runs fn over [0, n) in one piece or in random ranges, in random order. */
#define RANGES(n, call) do {                                                        \
        size_t cuts_[8] = {0}, pieces_ = between(1, 7);                             \
        for (size_t c_ = 1; c_ < pieces_; c_++)                                     \
            cuts_[c_] = between(cuts_[c_ - 1], (n));                                \
        cuts_[pieces_] = (n);                                                       \
        for (size_t c_ = pieces_; c_-- > 0;) {                                      \
            size_t begin = cuts_[c_], end = cuts_[c_ + 1];                          \
            call;                                                                   \
        }                                                                           \
    } while (0)

static inline void near_to(double got, double want, double tolerance, const char *what, size_t at)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= tolerance))
        fail_msg("%s, element %zu: %.9g, expected %.9g within %.3g", what, at, got, want, tolerance);
}

/* ---------------------------------------------------------------- rows ------------------------------------------ */

/* Columns: mostly like models', sometimes odd. */
static inline size_t some_columns(size_t most)
{
    static const size_t usual[] = { 32, 64, 128, 384, 768, 1024 };
    size_t n = chance(50) ? usual[below(6)] : between(1, most);
    return n > most ? most : n;
}

/* Values of about the given deviation, at a column offset inside wider rows. */
static inline struct aki__rows some_rows(size_t rows, size_t columns, float deviation)
{
    size_t at = below(3), stride = at + columns + below(3);

    return (struct aki__rows){ .f32 = normals(rows * stride, deviation) + at, .stride = stride };
}

static inline struct aki__out some_out(size_t rows, size_t columns, bool f32, bool u8)
{
    struct aki__out o = { .stride = columns + below(3), .block = aki__rotation_block(columns) };

    if (f32)
        o.f32 = NEW(float, rows * o.stride);
    if (u8) {
        o.u8 = NEW(uint8_t, rows * o.stride);
        o.row_scale = NEW(float, rows);
    }
    return o;
}

/* Often none. */
static inline struct aki__outliers some_outliers(size_t columns)
{
    int32_t *list = NEW(int32_t, AKI_MOST_OUTLIERS);
    struct aki__outliers o = { .columns = list };

    for (size_t c = 0, share = chance(50) ? 0 : columns < 16 ? 50 : 3; c < columns && o.count < AKI_MOST_OUTLIERS; c++)
        if (chance(share))
            list[o.count++] = (int32_t)c;
    return o;
}

/* To an output that has u8. */
static inline void add_outliers(struct aki__out *o, size_t rows, struct aki__outliers outliers)
{
    o->outliers = outliers;
    o->side = NEW(float, rows * outliers.count);
}

static inline const int32_t *some_starts(size_t texts, size_t most)
{
    int32_t *starts = NEW(int32_t, texts + 1);
    starts[0] = 0;
    for (size_t i = 0; i < texts; i++)
        starts[i + 1] = starts[i] + (int32_t)(chance(30) ? between(1, 3) : between(1, most));
    return starts;
}

static inline bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

/* Seed and sets; the seed is printed, and AKIEMBED_TEST_SEED fixes it. */
static inline void random_start(void)
{
    static const char *const names[] = { "baseline", "dotprod", "i8mm", "avx2", "avxvnni", "avx512", "avx512bf16" };
    const char *fixed = getenv("AKIEMBED_TEST_SEED");

    seed = fixed ? strtoull(fixed, NULL, 0) : (uint64_t)time(NULL) * 0x9E3779B97F4A7C15ull;
    state = seed ? seed : 1;
    printf("AKIEMBED_TEST_SEED=0x%llx\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (aki__kernels_named(names[i])) {
            sets[n_sets++] = aki__kernels_named(names[i]);
            printf("instruction set: %s\n", names[i]);
        }
}

#endif
