/* Tests of kernel/: every instruction set against slow twins in double, over random shapes; and a row's result never depends on
 * the split into ranges, on its neighbours or on where it lies in memory. AKIEMBED_TEST_SEED fixes the shapes and values. */
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

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545F4914F6CDD1Dull;
}

static size_t below(size_t n) { return (size_t)((next() >> 33) % n); }
static size_t between(size_t low, size_t high) { return low + below(high - low + 1); }
static bool chance(size_t percent) { return below(100) < percent; }

/* Near to normal, deviation 1. */
static float normal(void)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += (double)(next() >> 40) / (double)(1 << 24) - 0.5;
    return (float)(sum * 1.4142135623730951);
}

/* Exact blocks, so that a sanitizer sees what is read or written behind them; filled with NaN. All are freed at the end of a test. */
static void *blocks[4096];
static size_t n_blocks;

static void *block(size_t size)
{
    void *p = NULL;
    assert_true(n_blocks < sizeof blocks / sizeof *blocks);
    p = aki__alloc_aligned(size ? size : 1, 1);
    assert_non_null(p);
    memset(p, 0xFF, size);
    blocks[n_blocks++] = p;
    return p;
}

static void free_blocks(void)
{
    while (n_blocks)
        aki__free_aligned(blocks[--n_blocks]);
}

#define NEW(type, count) ((type *)block((count) * sizeof(type)))

static float *normals(size_t n, float deviation)
{
    float *p = NEW(float, n);
    for (size_t i = 0; i < n; i++)
        p[i] = normal() * deviation;
    return p;
}

static void *copy_of(const void *from, size_t size)
{
    void *p = block(size);
    memcpy(p, from, size);
    return p;
}

/* ---------------------------------------------------------------- instruction sets ------------------------------ */

static const struct aki__kernels *sets[3];
static size_t n_sets;

static const struct aki__kernels *any_set(void) { return sets[below(n_sets)]; }

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

static void near_to(double got, double want, double tolerance, const char *what, size_t at)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= tolerance))
        fail_msg("%s, element %zu: %.9g, expected %.9g within %.3g", what, at, got, want, tolerance);
}

/* ---------------------------------------------------------------- rows ------------------------------------------ */

/* Columns: mostly like models', sometimes odd. */
static size_t some_columns(size_t most)
{
    static const size_t usual[] = { 32, 64, 128, 384, 768, 1024 };
    size_t n = chance(50) ? usual[below(6)] : between(1, most);
    return n > most ? most : n;
}

/* Values of about the given deviation, f32 or i32, with bias or without; at a column offset inside wider rows. */
static struct aki__rows some_rows(size_t rows, size_t columns, bool i32, bool bias, float deviation)
{
    size_t at = below(3), extra = below(3);
    struct aki__rows r = { .stride = at + columns + extra };

    if (i32) {
        int32_t *x = NEW(int32_t, rows * r.stride);
        float *row_scale = NEW(float, rows), *column_scale = NEW(float, at + columns);
        for (size_t i = 0; i < rows * r.stride; i++)
            x[i] = (int32_t)(normal() * 30000);
        for (size_t i = 0; i < rows; i++)
            row_scale[i] = (0.5f + (float)below(100) / 100) / 30000 * deviation;
        for (size_t i = 0; i < at + columns; i++)
            column_scale[i] = 0.5f + (float)below(100) / 100;
        r.i32 = x + at;
        r.row_scale = row_scale;
        r.column_scale = column_scale + at;
    } else {
        r.f32 = normals(rows * r.stride, deviation) + at;
    }
    if (bias)
        r.bias = normals(at + columns, 1) + at;
    return r;
}

static struct aki__out some_out(size_t rows, size_t columns, bool f32, bool u8)
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

/* One row of an output against its values in double: y within tolerance[i]; and u8 within half a step plus what y may be off. */
static void check_row(const struct aki__out *o, size_t row, const double *y, const double *tolerance, size_t n, const char *what)
{
    double *rotated = NEW(double, n), most = 0, slack = 0, square = 0;

    for (size_t i = 0; o->f32 && i < n; i++)
        near_to(o->f32[row * o->stride + i], y[i], tolerance[i], what, i);
    if (!o->u8)
        return;
    reference_rotate(rotated, y, n, o->block);
    for (size_t i = 0; i < n; i++) {
        most = fabs(rotated[i]) > most ? fabs(rotated[i]) : most;
        slack = tolerance[i] > slack ? tolerance[i] : slack;
        square += y[i] * y[i];
    }
    slack = slack * sqrt((double)o->block) + 1e-6 * sqrt(square / (double)n);
    near_to(o->row_scale[row], most / 127, slack / 127 + most * 1e-7, what, row);
    for (size_t i = 0; i < n; i++) {
        double back = (o->u8[row * o->stride + i] - 128.0) * o->row_scale[row];
        near_to(back, rotated[i], most / 127 * 0.5005 + slack, what, i);
    }
}

/* ---------------------------------------------------------------- embed ----------------------------------------- */

static struct aki__table some_table(size_t count)
{
    struct aki__table t = { .dtype = (enum aki__table_dtype)below(3) };

    if (t.dtype == AKI_TABLE_F32) {
        char *p = NEW(char, count * 4 + 2);             /* 2-byte aligned, as a mapped file may be */
        float *values = normals(count, 1);
        memcpy(p + 2, values, count * 4);
        t.data = p + 2;
    } else {
        uint16_t *p = NEW(uint16_t, count);
        for (size_t i = 0; i < count; i++) {
            float f = chance(5) ? normal() * 1e-6f : normal();
            uint32_t bits;
            memcpy(&bits, &f, 4);
            p[i] = t.dtype == AKI_TABLE_BF16 ? (uint16_t)(bits >> 16) : aki__f32_to_f16(f);
        }
        t.data = p;
    }
    return t;
}

static void test_embed(void **unused)
{
    (void)unused;
    for (int round = 0; round < 200; round++) {
        size_t n = some_columns(900), tokens = between(1, 20);
        struct aki__embed a = { .out = NEW(float, tokens * n), .hidden = n, .words = some_table(7 * n) };
        int32_t *ids = NEW(int32_t, tokens), *positions = NEW(int32_t, tokens), *types = NEW(int32_t, tokens);

        for (size_t t = 0; t < tokens; t++) {
            ids[t] = (int32_t)below(7);
            positions[t] = (int32_t)below(5);
            types[t] = (int32_t)below(2);
        }
        a.ids = ids;
        a.position_ids = positions;
        if (chance(70))
            a.positions = some_table(5 * n);
        if (chance(70))
            a.types = some_table(2 * n);
        if (chance(50))
            a.type_ids = types;
        RANGES(tokens, any_set()->embed(&a, begin, end));
        for (size_t t = 0; t < tokens; t++)
            for (size_t i = 0; i < n; i++) {
                double want = reference_table(&a.words, (size_t)ids[t] * n + i) +
                              reference_table(&a.positions, (size_t)positions[t] * n + i) +
                              reference_table(&a.types, (a.type_ids ? (size_t)types[t] : 0) * n + i);
                near_to(a.out[t * n + i], want, 5e-7, "embed", i);
            }
        free_blocks();
    }
}

/* Every f16 bit pattern, NaN and infinity too. */
static void test_embed_all_f16(void **unused)
{
    uint16_t *all = NEW(uint16_t, 65536);
    float *out = NEW(float, 65536);
    int32_t id = 0;

    (void)unused;
    for (size_t i = 0; i < 65536; i++)
        all[i] = (uint16_t)i;
    for (size_t s = 0; s < n_sets; s++) {
        struct aki__embed a = { .out = out, .hidden = 65536, .ids = &id, .words = { all, AKI_TABLE_F16 } };
        sets[s]->embed(&a, 0, 1);
        for (size_t i = 0; i < 65536; i++) {
            float want = aki__f16_to_f32((uint16_t)i);
            if (isnan(want))
                assert_true(isnan(out[i]));
            else
                assert_memory_equal(&out[i], &want, sizeof want);
        }
    }
    free_blocks();
}

/* ---------------------------------------------------------------- norm ------------------------------------------ */

static struct aki__norm some_norm(size_t rows, size_t n)
{
    float deviation = chance(20) ? 1e-3f : chance(20) ? 300.0f : 1.0f;
    struct aki__norm a = { .hidden = n, .eps = chance(50) ? 1e-12f : 1e-6f, .rms = chance(50), .gamma = normals(n, 1) };
    bool u8 = chance(50);

    if (chance(80))
        a.add = some_rows(rows, n, chance(50), chance(50), deviation);
    if (chance(60) || (!a.add.f32 && !a.add.i32))
        a.x = normals(rows * n, deviation);
    if (chance(50))
        a.beta = normals(n, 1);
    a.out = some_out(rows, n, chance(50) || !u8, u8);
    return a;
}

static void test_norm(void **unused)
{
    (void)unused;
    for (int round = 0; round < 400; round++) {
        size_t n = some_columns(1100) + 1, rows = between(1, 9);
        struct aki__norm a = some_norm(rows, n);
        float *x = a.x ? copy_of(a.x, rows * n * sizeof *x) : NULL, *scratch = NEW(float, n);
        double *sum = NEW(double, n), *y = NEW(double, n), *tolerance = NEW(double, n);

        if (chance(70))
            a.sum = a.x && chance(50) ? (float *)(uintptr_t)a.x : NEW(float, rows * n);
        RANGES(rows, any_set()->norm(&a, begin, end, scratch));
        if (a.sum == a.x)
            a.x = x;                                    /* what the twin reads */
        for (size_t t = 0; t < rows; t++) {
            double most = 0;
            reference_norm(sum, y, &a, t);
            for (size_t i = 0; i < n; i++)
                most = fabs(sum[i]) > most ? fabs(sum[i]) : most;
            for (size_t i = 0; i < n; i++) {
                double z = fabs(y[i] - (a.beta ? a.beta[i] : 0)) / (fabs(a.gamma[i]) + 1e-30);
                tolerance[i] = 4e-6 * (z + 1) * fabs(a.gamma[i]) + 3e-7 * fabs(y[i]) + 1e-6;
                if (a.sum)
                    near_to(a.sum[t * n + i], sum[i], 4e-7 * most, "norm: sum", i);
            }
            if (n >= 8)                                 /* fewer values may lie as close together as they like: no bound */
                check_row(&a.out, t, y, tolerance, n, "norm");
        }
        free_blocks();
    }
}

/* ---------------------------------------------------------------- activation ------------------------------------ */

static void test_act(void **unused)
{
    (void)unused;
    for (int round = 0; round < 400; round++) {
        size_t n = chance(20) ? between(500, 1500) : some_columns(800), rows = between(1, 5);
        bool u8 = chance(50);
        struct aki__act a = {
            .columns = n, .act = (enum aki__kernel_act)below(6), .x = some_rows(rows, n, chance(50), chance(50), chance(30) ? 5 : 1),
            .out = some_out(rows, n, chance(50) || !u8, u8),
        };
        double *y = NEW(double, n), *tolerance = NEW(double, n);
        float *scratch = NEW(float, n);

        if (chance(40))
            a.gate = some_rows(rows, n, chance(50), chance(50), 1);
        RANGES(rows, any_set()->act(&a, begin, end, scratch));
        for (size_t t = 0; t < rows; t++) {
            for (size_t i = 0; i < n; i++) {
                double x = reference_value(&a.x, t, i), gate = a.gate.f32 || a.gate.i32 ? reference_value(&a.gate, t, i) : 1;
                double bias = a.x.bias ? fabs(a.x.bias[i]) : 0, act = reference_act(a.act, x);
                y[i] = act * gate;
                tolerance[i] = (1e-6 * fabs(act) + 4e-7 * (fabs(x) + bias)) * fabs(gate) + 1e-12;
                tolerance[i] += 4e-7 * fabs(act) * (fabs(gate) + (a.gate.bias ? fabs(a.gate.bias[i]) : 0));
            }
            check_row(&a.out, t, y, tolerance, n, "activation");
        }
        free_blocks();
    }
}

/* Each function alone, over a dense grid: here the bounds are those that isa_math.h claims. */
static void test_act_grid(void **unused)
{
    enum { COUNT = 300000 };
    float *x = NEW(float, COUNT), *y = NEW(float, COUNT), *scratch = NEW(float, COUNT);

    (void)unused;
    for (size_t i = 0; i < COUNT; i++)
        x[i] = i < 200000 ? ((float)i - 100000) / 100000 * 12 : normal() * powf(10, (float)below(60) - 30);
    for (size_t s = 0; s < n_sets; s++)
        for (int act = AKI_KACT_GELU; act <= AKI_KACT_TANH; act++) {
            struct aki__act a = { .columns = COUNT, .act = (enum aki__kernel_act)act, .x = { .f32 = x, .stride = COUNT },
                                  .out = { .f32 = y, .stride = COUNT } };
            sets[s]->act(&a, 0, 1, scratch);
            for (size_t i = 0; i < COUNT; i++) {
                double want = reference_act(a.act, x[i]), tolerance = 6e-7 * fabs(want);
                if (act == AKI_KACT_GELU)
                    tolerance += x[i] < -2 ? 4e-8 * fmin(fabs(x[i]), 6) : 0;
                if (act == AKI_KACT_GELU_TANH || act == AKI_KACT_SILU)       /* e^-x of a large exponent, relative */
                    tolerance += 2e-6 * fabs(want) + 1e-14;      /* the twin's 1 + tanh cancels, too */
                near_to(y[i], want, tolerance + 1e-37, "activation grid", i);
            }
        }
    free_blocks();
}

/* ---------------------------------------------------------------- attention ------------------------------------- */

static float *run_attention(struct aki__attention *a, const struct aki__kernels *set)
{
    float *scratch;

    a->out = (struct aki__out){ .f32 = NEW(float, a->queries * a->heads * a->head_dim), .stride = a->heads * a->head_dim };
    a->work = NEW(float, aki__attention_work_size(a));
    scratch = NEW(float, aki__attention_scratch_size(a));
    RANGES(aki__attention_prepare_count(a), set->attention_prepare(a, begin, end));
    RANGES(aki__attention_task_count(a), set->attention_run(a, begin, end, scratch));
    return a->out.f32;
}

static const int32_t *some_starts(size_t texts, size_t most)
{
    int32_t *starts = NEW(int32_t, texts + 1);
    starts[0] = 0;
    for (size_t i = 0; i < texts; i++)
        starts[i + 1] = starts[i] + (int32_t)(chance(30) ? between(1, 3) : between(1, most));
    return starts;
}

static struct aki__attention some_attention(size_t most_keys)
{
    static const size_t dims[] = { 32, 64, 128, 16, 80, 6, 1, 30 }, groups[] = { 1, 1, 2, 4, 3, 7, 70 };
    size_t texts = between(1, 5);
    struct aki__attention a = {
        .texts = texts, .head_dim = dims[below(8)], .kv_heads = between(1, 3), .causal = chance(50),
        .window = chance(30) ? between(1, most_keys) : 0, .norm_eps = 1e-6f, .starts = some_starts(texts, most_keys),
    };
    bool i32 = chance(50), bias = chance(50);

    a.heads = a.kv_heads * groups[below(chance(5) ? 7 : 6)];
    a.scale = 1 / sqrtf((float)a.head_dim);
    a.query_starts = a.starts;
    a.tokens = a.queries = (size_t)a.starts[texts];
    a.q = some_rows(a.tokens, a.heads * a.head_dim, i32, bias, 1);
    a.k = some_rows(a.tokens, a.kv_heads * a.head_dim, i32, bias, 1);
    a.v = some_rows(a.tokens, a.kv_heads * a.head_dim, i32, bias, 1);
    if (chance(40)) {
        a.q_norm = normals(a.head_dim, 1);
        a.k_norm = normals(a.head_dim, 1);
    }
    if (chance(50) && a.head_dim % 2 == 0)
        a.rope = normals(a.tokens * a.head_dim, 0.7f);
    return a;
}

static void check_attention(const struct aki__attention *a, const float *got)
{
    size_t n = a->queries * a->heads * a->head_dim;
    double *want = NEW(double, n);

    reference_attention(want, a);
    for (size_t i = 0; i < n; i++)
        near_to(got[i], want[i], 1e-5, "attention", i);
}

static void test_attention(void **unused)
{
    (void)unused;
    for (int round = 0; round < 120; round++) {
        struct aki__attention a = some_attention(chance(10) ? 300 : 40);
        for (size_t s = 0; s < n_sets; s++)
            check_attention(&a, run_attention(&a, sets[s]));
        free_blocks();
    }
}

/* Moves rows so that row `from` becomes row 0. */
static struct aki__rows shifted(struct aki__rows r, size_t from)
{
    r.f32 = r.f32 ? r.f32 + from * r.stride : NULL;
    r.i32 = r.i32 ? r.i32 + from * r.stride : NULL;
    r.row_scale = r.row_scale ? r.row_scale + from : NULL;
    return r;
}

/* Rows from[0 … count-1] of r, as rows of their own. */
static struct aki__rows gathered(struct aki__rows r, const size_t *from, size_t count, size_t columns)
{
    struct aki__rows g = r;
    float *f32 = NEW(float, count * r.stride), *row_scale = NEW(float, count);
    int32_t *i32 = NEW(int32_t, count * r.stride);

    for (size_t t = 0; t < count; t++) {
        if (r.f32)
            memcpy(f32 + t * r.stride, r.f32 + from[t] * r.stride, columns * sizeof *f32);
        else
            memcpy(i32 + t * r.stride, r.i32 + from[t] * r.stride, columns * sizeof *i32);
        row_scale[t] = r.row_scale ? r.row_scale[from[t]] : NAN;
    }
    g.f32 = r.f32 ? f32 : NULL;
    g.i32 = r.i32 ? i32 : NULL;
    g.row_scale = row_scale;
    return g;
}

/* A text alone, and a text of which some queries are asked for, give the bits that the batch gives. */
static void test_attention_bits(void **unused)
{
    (void)unused;
    for (int round = 0; round < 150; round++) {
        struct aki__attention a = some_attention(chance(20) ? 300 : 100);
        const struct aki__kernels *set = any_set();
        size_t width = a.heads * a.head_dim;
        float *whole = run_attention(&a, set), *again = run_attention(&a, set);

        assert_memory_equal(whole, again, a.tokens * width * sizeof *whole);
        for (size_t text = 0; text < a.texts; text++) {
            size_t start = (size_t)a.starts[text], count = (size_t)a.starts[text + 1] - start;
            int32_t *alone = NEW(int32_t, 2);
            struct aki__attention b = a;
            alone[0] = 0;
            alone[1] = (int32_t)count;
            b.starts = b.query_starts = alone;
            b.texts = 1;
            b.tokens = b.queries = count;
            b.q = shifted(a.q, start);
            b.k = shifted(a.k, start);
            b.v = shifted(a.v, start);
            b.rope = a.rope ? a.rope + start * a.head_dim : NULL;
            assert_memory_equal(run_attention(&b, set), whole + start * width, count * width * sizeof *whole);
        }
        int32_t *query_starts = NEW(int32_t, a.texts + 1), *query_rows = NEW(int32_t, a.tokens);
        struct aki__attention p = a;
        size_t *from = NEW(size_t, a.tokens);
        query_starts[0] = 0;
        for (size_t text = 0; text < a.texts; text++) {
            size_t percent = (size_t[]){ 0, 10, 50, 100 }[below(4)];
            query_starts[text + 1] = query_starts[text];
            for (int32_t t = a.starts[text]; t < a.starts[text + 1]; t++)
                if (chance(percent))
                    query_rows[query_starts[text + 1]++] = t;
        }
        p.query_starts = query_starts;
        p.query_rows = query_rows;
        p.queries = (size_t)query_starts[a.texts];
        for (size_t r = 0; r < p.queries; r++)
            from[r] = (size_t)query_rows[r];
        p.q = gathered(a.q, from, p.queries, width);
        float *some = run_attention(&p, set);
        for (size_t r = 0; r < p.queries; r++)
            assert_memory_equal(some + r * width, whole + (size_t)query_rows[r] * width, width * sizeof *whole);
        free_blocks();
    }
}

/* Kept keys and values of a text's first tokens, and its other tokens alone: the bits of the whole. */
static void test_attention_kept(void **unused)
{
    (void)unused;
    for (int round = 0; round < 150; round++) {
        struct aki__attention a = some_attention(chance(20) ? 200 : 60), b = a;
        const struct aki__kernels *set = any_set();
        size_t width = a.heads * a.head_dim, kv_width = a.kv_heads * a.head_dim, *from = NEW(size_t, a.tokens);
        float *whole = run_attention(&a, set);
        int32_t *starts = NEW(int32_t, a.texts + 1);
        struct aki__kept *kept = NEW(struct aki__kept, a.texts);

        b.tokens = 0;
        starts[0] = 0;
        for (size_t text = 0; text < a.texts; text++) {
            size_t keys = (size_t)(a.starts[text + 1] - a.starts[text]), old = chance(30) ? 0 : below(keys);
            float *k = NEW(float, old * kv_width), *v = NEW(float, old * kv_width);
            RANGES(old, set->attention_keep(&a, text, begin, end - begin, k + begin * kv_width, v + begin * kv_width));
            kept[text] = (struct aki__kept){ k, v };
            for (size_t t = old; t < keys; t++)
                from[b.tokens++] = (size_t)a.starts[text] + t;
            starts[text + 1] = (int32_t)b.tokens;
        }
        b.key_starts = a.starts;
        b.starts = b.query_starts = starts;
        b.kept = kept;
        b.queries = b.tokens;
        b.q = gathered(a.q, from, b.tokens, width);
        b.k = gathered(a.k, from, b.tokens, kv_width);
        b.v = gathered(a.v, from, b.tokens, kv_width);
        if (a.rope) {
            float *rope = NEW(float, b.tokens * a.head_dim);
            for (size_t r = 0; r < b.tokens; r++)
                memcpy(rope + r * a.head_dim, a.rope + from[r] * a.head_dim, a.head_dim * sizeof *rope);
            b.rope = rope;
        }
        float *rest = run_attention(&b, set);
        for (size_t r = 0; r < b.tokens; r++)
            assert_memory_equal(rest + r * width, whole + from[r] * width, width * sizeof *whole);
        free_blocks();
    }
}

/* A long text: the sums must not lose precision, and a window skips blocks. */
static void test_attention_long(void **unused)
{
    (void)unused;
    for (int window = 0; window <= 200; window += 100) {
        int32_t starts[2] = { 0, 4096 };
        int32_t query_starts[2] = { 0, 6 }, query_rows[6] = { 0, 1, 700, 2047, 4000, 4095 };
        struct aki__attention a = {
            .texts = 1, .tokens = 4096, .queries = 6, .heads = 2, .kv_heads = 1, .head_dim = 64, .scale = 0.125f, .starts = starts,
            .query_starts = query_starts, .query_rows = query_rows, .window = (size_t)window, .causal = chance(50),
            .q = some_rows(6, 128, false, false, 1), .k = some_rows(4096, 64, false, false, 1), .v = some_rows(4096, 64, false, false, 1),
        };
        for (size_t s = 0; s < n_sets; s++)
            check_attention(&a, run_attention(&a, sets[s]));
        a.scale = 3;                            /* one key has all the weight, and others before it had it */
        for (size_t s = 0; s < n_sets; s++) {
            double *want = NEW(double, 6 * 128);
            float *got = run_attention(&a, sets[s]);
            reference_attention(want, &a);
            for (size_t i = 0; i < 6 * 128; i++)
                near_to(got[i], want[i], 1e-4, "long attention, steep", i);
        }
        free_blocks();
    }
}

static void test_rope(void **unused)
{
    enum { ROWS = 300, DIM = 128 };
    int32_t positions[ROWS];
    float inverse[DIM / 2];

    (void)unused;
    for (size_t i = 0; i < DIM / 2; i++)
        inverse[i] = 1.0f / powf(1e6f, (float)(2 * i) / DIM);
    for (size_t t = 0; t < ROWS; t++)
        positions[t] = t < 200 ? (int32_t)t : (int32_t)below(40000);
    for (size_t s = 0; s < n_sets; s++) {
        struct aki__rope a = { .out = NEW(float, ROWS * DIM), .positions = positions, .inverse = inverse, .head_dim = DIM };
        RANGES(ROWS, sets[s]->rope(&a, begin, end));
        for (size_t t = 0; t < ROWS; t++)
            for (size_t i = 0; i < DIM / 2; i++) {
                float angle = (float)positions[t] * inverse[i];     /* f32: the angle's own rounding is part of the definition */
                near_to(a.out[t * DIM + i], cos((double)angle), 1e-7, "cos", i);
                near_to(a.out[t * DIM + DIM / 2 + i], sin((double)angle), 1e-7, "sin", i);
            }
    }
    free_blocks();
}

/* ---------------------------------------------------------------- pooling --------------------------------------- */

static void test_pool(void **unused)
{
    (void)unused;
    for (int round = 0; round < 200; round++) {
        size_t n = some_columns(400), count = between(1, 6);
        const int32_t *starts = some_starts(count, 50);
        int32_t *from = NEW(int32_t, count);
        struct aki__pool a = { .hidden = n, .starts = starts, .mode = (enum aki__pool_mode)below(4), .out = NEW(float, count * n),
                               .x = normals((size_t)starts[count] * n, 1) };
        double *want = NEW(double, n), *scratch = NEW(double, n);

        for (size_t v = 0; v < count; v++)
            from[v] = (int32_t)below(30);
        if (chance(50))
            a.weight_from = from;
        RANGES(count, any_set()->pool(&a, begin, end, scratch));
        for (size_t v = 0; v < count; v++) {
            reference_pool(want, &a, v);
            for (size_t i = 0; i < n; i++)
                near_to(a.out[v * n + i], want[i], 1e-7 * (1 + fabs(want[i])), "pool", i);
            if (starts[v + 1] == starts[v] + 1 && a.mode == AKI_POOL_MEAN)
                assert_memory_equal(a.out + v * n, a.x + (size_t)starts[v] * n, n * sizeof(float));
        }
        free_blocks();
    }
}

/* ---------------------------------------------------------------- int8 ------------------------------------------ */

static void test_rotation_shape(void **unused)
{
    static const struct { size_t n, block, cross, near; } rows[] = {
        { 384, 128, 8, 16 }, { 1536, 128, 32, 4 }, { 1024, 128, 64, 2 }, { 2048, 128, 128, 1 }, { 3072, 128, 64, 2 }, { 768, 128, 16, 8 },
        { 48, 16, 1, 16 }, { 32, 32, 2, 16 }, { 24, 8, 1, 8 }, { 6, 2, 1, 2 }, { 7, 1, 1, 1 }, { 1, 1, 1, 1 },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t cross, near;
        assert_int_equal(aki__rotation_block(rows[i].n), rows[i].block);
        aki__rotation_shape(rows[i].n, rows[i].block, &cross, &near);
        assert_int_equal(cross, rows[i].cross);
        assert_int_equal(near, rows[i].near);
    }
}

static void test_quantise_rows(void **unused)
{
    (void)unused;
    for (int round = 0; round < 300; round++) {
        size_t n = chance(20) ? 16 * between(1, 200) : some_columns(1100), rows = between(1, 6);
        struct aki__rows x = some_rows(rows, n, chance(50), chance(50), chance(20) ? 1e-20f : 1);
        struct aki__out o = some_out(rows, n, chance(30), true);
        double *y = NEW(double, n), *tolerance = NEW(double, n);
        float *scratch = NEW(float, n);

        while (chance(30) && o.block > 1)               /* smaller blocks are allowed */
            o.block /= 2;
        RANGES(rows, any_set()->quantise_rows(&x, n, &o, begin, end, scratch));
        for (size_t t = 0; t < rows; t++) {
            for (size_t i = 0; i < n; i++) {
                y[i] = reference_value(&x, t, i);
                tolerance[i] = 4e-7 * (fabs(y[i]) + (x.bias ? fabs(x.bias[i]) : 0));
            }
            check_row(&o, t, y, tolerance, n, "quantised row");
        }
        free_blocks();
    }
}

static void test_quantise_special_rows(void **unused)
{
    static const float specials[] = { 0, -0.0f, 1e-42f, 1e-31f, INFINITY, -INFINITY, NAN, 3e38f };
    enum { N = 64 };
    float x[N], scratch[N], scale;
    uint8_t u8[N];

    (void)unused;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
            struct aki__rows r = { .f32 = x, .stride = N };
            struct aki__out o = { .u8 = u8, .row_scale = &scale, .stride = N, .block = 64 };
            for (size_t j = 0; j < N; j++)
                x[j] = i < 4 ? 0 : (float)j;
            x[17] = specials[i];
            sets[s]->quantise_rows(&r, N, &o, 0, 1, scratch);
            if (i < 4)
                assert_true(scale == 0);
            else if (i < 7)
                assert_true(isnan(scale));
            else
                near_to(scale, 3e38 / 8 / 127, 1e29, "large", 0);
            for (size_t j = 0; i < 7 && j < N; j++)
                assert_int_equal(u8[j], 128);
        }
}

static void test_quantise_weights(void **unused)
{
    (void)unused;
    for (int round = 0; round < 100; round++) {
        size_t n = chance(50) ? between(1, 70) : between(60, 200), k = chance(50) ? 64 * between(1, 12) : between(1, 300);
        struct aki__quantise a = { .n = n, .k = k, .block = aki__rotation_block(k), .limit = chance(50) ? 127 : 63, .w = some_table(n * k),
                                   .out = NEW(int8_t, n * k), .scale = NEW(float, n) };
        double *w = NEW(double, k), *rotated = NEW(double, k);
        float *scratch = NEW(float, aki__quantise_scratch_size(&a));

        RANGES(n, any_set()->quantise_weights(&a, begin, end, scratch));
        for (size_t r = 0; r < n; r++) {
            double most = 0;
            for (size_t i = 0; i < k; i++)
                w[i] = reference_table(&a.w, r * k + i);
            reference_rotate(rotated, w, k, a.block);
            for (size_t i = 0; i < k; i++)
                most = fabs(rotated[i]) > most ? fabs(rotated[i]) : most;
            near_to(a.scale[r], most / a.limit, most * 1e-6, "weight scale", r);
            for (size_t i = 0; i < k; i++) {
                assert_in_range(a.out[i * n + r] + a.limit, 0, 2 * a.limit);
                near_to(a.out[i * n + r] * (double)a.scale[r], rotated[i], most / a.limit * 0.5005 + most * 1e-6, "weight", i);
            }
        }
        free_blocks();
    }
}

/* What it is all for: the product of rotated and quantised rows and weights is the product. */
static void test_product(void **unused)
{
    enum { ROWS = 5, N = 70, K = 384 };
    float *x = normals(ROWS * K, 1), *w = normals(N * K, 0.05f), *scratch;
    struct aki__out o = some_out(ROWS, K, false, true);
    struct aki__quantise q = { .w = { w, AKI_TABLE_F32 }, .out = NEW(int8_t, K * N), .scale = NEW(float, N), .n = N, .k = K,
                               .block = aki__rotation_block(K), .limit = 127 };
    struct aki__rows in = { .f32 = x, .stride = K };
    double error = 0, square = 0;

    (void)unused;
    scratch = NEW(float, aki__quantise_scratch_size(&q));
    any_set()->quantise_rows(&in, K, &o, 0, ROWS, scratch);
    any_set()->quantise_weights(&q, 0, N, scratch);
    for (size_t t = 0; t < ROWS; t++)
        for (size_t r = 0; r < N; r++) {
            int32_t sum = 0;
            double want = 0;
            for (size_t i = 0; i < K; i++) {
                sum += ((int32_t)o.u8[t * o.stride + i] - 128) * q.out[i * N + r];
                want += (double)x[t * K + i] * w[r * K + i];
            }
            error += pow((double)sum * o.row_scale[t] * q.scale[r] - want, 2);
            square += want * want;
        }
    assert_true(sqrt(error / square) < 0.015);
    free_blocks();
}

/* ---------------------------------------------------------------- NaN and infinity ------------------------------ */

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

/* One bad value somewhere in the input shows in the row's output, quantised or not; and in no other row. */
static void test_bad_values_show(void **unused)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY };

    (void)unused;
    for (int round = 0; round < 300; round++) {
        size_t n = 16 * between(1, 40), rows = 4, row = below(4), at = row * n + below(n);
        float *x = normals(rows * n, 1), *scratch = NEW(float, n), *gamma = normals(n, 1);
        struct aki__out f = some_out(rows, n, true, false), u = some_out(rows, n, false, true);
        const struct aki__kernels *set = any_set();
        struct aki__norm norm = { .x = x, .gamma = gamma, .hidden = n, .eps = 1e-6f, .rms = chance(50) };
        struct aki__act act = { .x = { .f32 = x, .stride = n }, .columns = n, .act = (enum aki__kernel_act)below(6) };
        float bad_value = bad[below(3)];

        x[at] = bad_value;
        for (int i = 0; i < 2; i++) {
            norm.out = act.out = i ? u : f;
            if (chance(50))
                set->norm(&norm, 0, rows, scratch);
            else
                set->act(&act, 0, rows, scratch);
            for (size_t t = 0; t < rows; t++)
                if (i)
                    assert_int_equal(isnan(u.row_scale[t]), t == row);
                else
                    assert_int_equal(all_finite(f.f32 + t * f.stride, n), t != row);
        }
        int32_t starts[5] = { 0, 1, 2, 3, 4 };
        struct aki__pool pool = { .out = NEW(float, rows * n), .x = x, .starts = starts, .hidden = n, .mode = (enum aki__pool_mode)below(4) };
        set->pool(&pool, 0, rows, NEW(double, n));
        for (size_t t = 0; t < rows; t++)
            assert_int_equal(all_finite(pool.out + t * n, n), t != row);

        /* an i32 row whose scale is NaN: what the row before could not be */
        int32_t *sums = NEW(int32_t, rows * n);
        float *row_scale = normals(rows, 1), *column_scale = normals(n, 1);
        memset(sums, 0, rows * n * sizeof *sums);
        row_scale[row] = NAN;
        act.x = (struct aki__rows){ .i32 = sums, .stride = n, .row_scale = row_scale, .column_scale = column_scale };
        act.out = u;
        set->act(&act, 0, rows, scratch);
        for (size_t t = 0; t < rows; t++)
            assert_int_equal(isnan(u.row_scale[t]), t == row);
        free_blocks();
    }
}

static void test_bad_values_show_in_attention(void **unused)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY };

    (void)unused;
    for (int round = 0; round < 100; round++) {
        int32_t starts[3] = { 0, 20, 60 };
        float *x[3];
        for (int i = 0; i < 3; i++)
            x[i] = normals(60 * 64, 1);
        struct aki__attention a = {
            .texts = 2, .tokens = 60, .queries = 60, .heads = 2, .kv_heads = 2, .head_dim = 32, .scale = 0.2f, .starts = starts,
            .query_starts = starts, .q = { .f32 = x[0], .stride = 64 }, .k = { .f32 = x[1], .stride = 64 }, .v = { .f32 = x[2], .stride = 64 },
        };
        size_t token = below(60);
        int which = (int)below(3);
        x[which][token * 64 + below(64)] = bad[below(3)];
        float *out = run_attention(&a, any_set());
        for (size_t text = 0; text < 2; text++) {
            bool here = token >= (size_t)starts[text] && token < (size_t)starts[text + 1];
            for (size_t t = (size_t)starts[text]; t < (size_t)starts[text + 1]; t++)
                assert_int_equal(all_finite(out + t * 64, 64), !(here && (which > 0 || t == token)));
        }
        free_blocks();
    }
}

/* ---------------------------------------------------------------- bits ------------------------------------------ */

/* The same row at another address, in another range and beside other rows gives the same bits. */
static void test_row_bits(void **unused)
{
    (void)unused;
    for (int round = 0; round < 300; round++) {
        size_t n = some_columns(700), rows = between(2, 9), row = below(rows), off = between(1, 15);
        const struct aki__kernels *set = any_set();
        float *x = normals(rows * n, 1), *gamma = normals(n, 1), *beta = normals(n, 1), *scratch = NEW(float, n);
        float *alone = NEW(float, n + off) + off, *add_alone = NEW(float, n + off) + off;
        struct aki__rows add = some_rows(rows, n, false, true, 1);
        struct aki__out o = some_out(rows, n, true, true), p = some_out(1, n, true, true);
        struct aki__norm a = { .x = x, .add = add, .gamma = gamma, .beta = beta, .hidden = n, .eps = 1e-6f, .rms = chance(50), .out = o };
        struct aki__act act = { .x = add, .columns = n, .act = (enum aki__kernel_act)below(6), .out = o };

        memcpy(alone, x + row * n, n * sizeof *x);
        memcpy(add_alone, add.f32 + row * add.stride, n * sizeof *x);
        for (int i = 0; i < 2; i++) {
            if (i == 0) {
                RANGES(rows, set->norm(&a, begin, end, scratch));
                a.x = alone;
                a.add.f32 = add_alone;
                a.out = p;
                set->norm(&a, 0, 1, scratch);
            } else {
                RANGES(rows, set->act(&act, begin, end, scratch));
                act.x.f32 = add_alone;
                act.out = p;
                set->act(&act, 0, 1, scratch);
            }
            assert_memory_equal(o.f32 + row * o.stride, p.f32, n * sizeof(float));
            assert_memory_equal(o.u8 + row * o.stride, p.u8, n);
            assert_memory_equal(o.row_scale + row, p.row_scale, sizeof(float));
        }
        free_blocks();
    }
}

static void test_dispatch(void **unused)
{
    (void)unused;
    assert_non_null(aki__kernels_named("baseline"));
    assert_null(aki__kernels_named("no such set"));
    assert_string_equal(aki__kernels_named("baseline")->isa, "baseline");
    setenv("AKIEMBED_ISA", "baseline", 1);
    assert_ptr_equal(aki__kernels(), aki__kernels_named("baseline"));
    setenv("AKIEMBED_ISA", "no such set", 1);
    assert_ptr_equal(aki__kernels(), sets[n_sets - 1]);
    unsetenv("AKIEMBED_ISA");
    assert_ptr_equal(aki__kernels(), sets[n_sets - 1]);
    print_message("int8 products are %s here\n", aki__kernels_exact_int8() ? "exact" : "not exact beyond 7 bits");
}

int main(void)
{
    static const char *const names[] = { "baseline", "avx2", "avx512" };
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dispatch),
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_embed_all_f16),
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_act),
        cmocka_unit_test(test_act_grid),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_bits),
        cmocka_unit_test(test_attention_kept),
        cmocka_unit_test(test_attention_long),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_rotation_shape),
        cmocka_unit_test(test_quantise_rows),
        cmocka_unit_test(test_quantise_special_rows),
        cmocka_unit_test(test_quantise_weights),
        cmocka_unit_test(test_product),
        cmocka_unit_test(test_bad_values_show),
        cmocka_unit_test(test_bad_values_show_in_attention),
        cmocka_unit_test(test_row_bits),
    };
    const char *fixed = getenv("AKIEMBED_TEST_SEED");

    seed = fixed ? strtoull(fixed, NULL, 0) : (uint64_t)time(NULL) * 0x9E3779B97F4A7C15ull;
    state = seed ? seed : 1;
    printf("AKIEMBED_TEST_SEED=0x%llx\n", (unsigned long long)seed);
    for (size_t i = 0; i < 3; i++)
        if (aki__kernels_named(names[i])) {
            sets[n_sets++] = aki__kernels_named(names[i]);
            printf("instruction set: %s\n", names[i]);
        }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
