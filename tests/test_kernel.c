/* Tests of kernel/, all but attention: every instruction set against slow twins in double, over random shapes; and a row's result never
 * depends on the split into ranges, on its neighbours or on where it lies in memory. */
#include "kernel_random.h"
#include "host.h"

/* One row of an output against its values in double (outliers become 0): y within tolerance[i]; and u8 within half a step plus what y may be off. */
static void check_row(const struct aki__out *o, size_t row, double *y, const double *tolerance, size_t n, const char *what)
{
    double *rotated = NEW(double, n), most = 0, slack = 0, square = 0;

    for (size_t i = 0; o->f32 && i < n; i++)
        near_to(o->f32[row * o->stride + i], y[i], tolerance[i], what, i);
    if (!o->u8)
        return;
    for (size_t c = 0; c < o->outliers.count; c++) {
        int32_t i = o->outliers.columns[c];
        near_to(o->side[row * o->outliers.count + c], y[i], tolerance[i], what, (size_t)i);
        y[i] = 0;
    }
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

    char *p = NEW(char, count * 4 + 1) + 1;             /* at an odd address, as in a mapped file */
    t.data = p;
    if (t.dtype == AKI_TABLE_F32) {
        float *values = normals(count, 1);
        memcpy(p, values, count * 4);
    } else {
        for (size_t i = 0; i < count; i++) {
            float f = chance(5) ? normal() * 1e-6f : normal();
            uint32_t bits;
            memcpy(&bits, &f, 4);
            uint16_t half = t.dtype == AKI_TABLE_BF16 ? (uint16_t)(bits >> 16) : aki__f32_to_f16(f);
            memcpy(p + 2 * i, &half, sizeof half);
        }
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
        if (chance(30))
            a.scale = normal();
        RANGES(tokens, any_set()->embed(&a, begin, end));
        for (size_t t = 0; t < tokens; t++)
            for (size_t i = 0; i < n; i++) {
                double want = reference_table(&a.words, (size_t)ids[t] * n + i) * (a.scale != 0 ? a.scale : 1) +
                              reference_table(&a.positions, (size_t)positions[t] * n + i) +
                              reference_table(&a.types, (a.type_ids ? (size_t)types[t] : 0) * n + i);
                near_to(a.out[t * n + i], want, a.scale != 0 ? 3e-6 : 5e-7, "embed", i);
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
        a.add = some_rows(rows, n, deviation);
    if (chance(60) || !a.add.f32)
        a.x = normals(rows * n, deviation);
    if (chance(50))
        a.beta = normals(n, 1);
    a.out = some_out(rows, n, chance(50) || !u8, u8);
    if (u8)
        add_outliers(&a.out, rows, some_outliers(n));
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
            .columns = n, .act = (enum aki__kernel_act)below(7), .x = some_rows(rows, n, chance(30) ? 5 : 1),
            .out = some_out(rows, n, chance(50) || !u8, u8),
        };
        double *y = NEW(double, n), *tolerance = NEW(double, n);
        float *scratch = NEW(float, n);

        if (chance(40))
            a.gate = some_rows(rows, n, 1);
        if (u8)
            add_outliers(&a.out, rows, some_outliers(n));
        RANGES(rows, any_set()->act(&a, begin, end, scratch));
        for (size_t t = 0; t < rows; t++) {
            for (size_t i = 0; i < n; i++) {
                double x = reference_value(&a.x, t, i), gate = a.gate.f32 ? reference_value(&a.gate, t, i) : 1, act = reference_act(a.act, x);
                y[i] = act * gate;
                tolerance[i] = (1.4e-6 * fabs(act) + 4e-7 * fabs(x)) * fabs(gate) + 1e-12;
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
        for (int act = AKI_KACT_GELU; act <= AKI_KACT_LOG1P_RELU; act++) {
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

/* ---------------------------------------------------------------- rotary tables --------------------------------- */

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
        struct aki__pooling a = { .hidden = n, .starts = starts, .mode = (enum aki__pool_mode)below(4), .out = NEW(float, count * n),
                               .x = normals((size_t)starts[count] * n, 1) };
        double *want = NEW(double, n), *scratch;
        double bound = 1e-7;

        if (chance(50))
            a.act = (enum aki__kernel_act)below(7);
        if (a.act)
            bound = 2e-6;                   /* the activations' own */
        scratch = (double *)NEW(char, n * (sizeof(double) + (a.act ? sizeof(float) : 0)));
        for (size_t v = 0; v < count; v++)
            from[v] = (int32_t)below(30);
        if (chance(50))
            a.weight_from = from;
        RANGES(count, any_set()->pool(&a, begin, end, scratch));
        for (size_t v = 0; v < count; v++) {
            reference_pool(want, &a, v);
            for (size_t i = 0; i < n; i++)
                near_to(a.out[v * n + i], want[i], bound * (1 + fabs(want[i])), "pool", i);
            if (starts[v + 1] == starts[v] + 1 && a.mode == AKI_POOL_MEAN && !a.act)
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
        struct aki__rows x = some_rows(rows, n, chance(20) ? 1e-20f : 1);
        struct aki__out o = some_out(rows, n, chance(30), true);
        double *y = NEW(double, n), *tolerance = NEW(double, n);
        float *scratch = NEW(float, n);

        while (chance(30) && o.block > 1)               /* smaller blocks are allowed */
            o.block /= 2;
        add_outliers(&o, rows, some_outliers(n));
        RANGES(rows, any_set()->quantise_rows(&x, n, &o, begin, end, scratch));
        for (size_t t = 0; t < rows; t++) {
            for (size_t i = 0; i < n; i++) {
                y[i] = reference_value(&x, t, i);
                tolerance[i] = 4e-7 * fabs(y[i]);
            }
            check_row(&o, t, y, tolerance, n, "quantised row");
        }
        free_blocks();
    }
}

/* Sums of squares of a matrix, whole or of every third row; a part's columns are added to what is there. */
static void test_squares(void **unused)
{
    (void)unused;
    for (int round = 0; round < 100; round++) {
        size_t n = between(1, 60), k = between(1, 600), step = chance(50) ? 1 : 3, rows = (n + step - 1) / step;
        struct aki__table w = some_table(n * k);
        struct aki__squares a = { .w = w, .k = k, .step = step, .rows = NEW(float, rows) };
        float *columns = NEW(float, k);
        double *want = NEW(double, k);
        const struct aki__kernels *set = any_set();

        memset(columns, 0, k * sizeof *columns);
        memset(want, 0, k * sizeof *want);
        RANGES(rows, set->squares(&a, begin, end, columns));
        for (size_t r = 0; r < rows; r++) {
            double sum = 0;
            for (size_t i = 0; i < k; i++) {
                double v = reference_table(&w, r * step * k + i);
                sum += v * v;
                want[i] += v * v;
            }
            near_to(a.rows[r], sum, sum * 1e-5, "squares of a row", r);
        }
        for (size_t i = 0; i < k; i++)
            near_to(columns[i], want[i], want[i] * 1e-5, "squares of a column", i);
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

/* ---------------------------------------------------------------- products -------------------------------------- */

/* A packed matrix of which w [n, k] is what it stands for: pieces of it come in turn, as the linears of one product do. */
static struct aki__packed packed_as(enum aki__table_dtype dtype, const struct aki__kernels *set, struct aki__table w, size_t n, size_t k, bool s8,
                                    struct aki__outliers outliers)
{
    size_t padded = aki__panels(n) * AKI_PANEL, size = s8 ? 1 : aki__weight_size(dtype), last = aki__packed_size(AKI_PANEL, k, size), half = below(n + 1);
    char *data = NEW(char, aki__packed_size(n, k, size));
    float *scale = NEW(float, padded), *bias = chance(50) ? normals(padded, 1) : NULL, *scratch = NEW(float, k + (k + 3) / 4);
    float *side = NEW(float, padded * outliers.count);
    int32_t *sum = NEW(int32_t, padded);

    memset(data + aki__packed_size(n, k, size) - last, 0, last);
    memset(scale, 0, padded * sizeof *scale);
    memset(sum, 0, padded * sizeof *sum);
    memset(side, 0, padded * outliers.count * sizeof *side);
    for (size_t from = 0, rows = half; from < n; from += rows, rows = n - from) {
        struct aki__pack p = { .k = k, .column = from, .block = aki__rotation_block(k), .out = data, .dtype = dtype, .scale = scale, .sum = sum, .outliers = outliers, .side = side,
                               .w = { .data = (const char *)w.data + from * k * (w.dtype == AKI_TABLE_F32 ? 4 : 2), .dtype = w.dtype } };
        if (s8)
            RANGES(rows, set->pack_s8(&p, begin, end, scratch));
        else
            RANGES(rows, set->pack_float(&p, begin, end));
    }
    return (struct aki__packed){ .data = data, .dtype = dtype, .scale = s8 ? scale : NULL, .sum = s8 ? sum : NULL, .bias = bias, .n = n, .k = k,
                                 .outliers = outliers, .side = side };
}

static struct aki__packed some_packed(const struct aki__kernels *set, struct aki__table w, size_t n, size_t k, bool s8, struct aki__outliers outliers)
{
    return packed_as(w.dtype, set, w, n, k, s8, outliers);
}

/* Where docs/quantised-folder.md and kernel.h say it is. */
static int packed_s8(const struct aki__packed *w, size_t column, size_t i)
{
    return ((const int8_t *)w->data)[(column / 32 * ((w->k + 3) / 4) + i / 4) * 128 + column % 32 * 4 + i % 4];
}

static void test_pack_s8(void **unused)
{
    (void)unused;
    for (int round = 0; round < 100; round++) {
        const struct aki__kernels *set = any_set();
        size_t n = chance(50) ? between(1, 70) : between(60, 200), k = chance(50) ? 64 * between(1, 12) : between(1, 300);
        struct aki__table from = some_table(n * k);
        struct aki__packed p = some_packed(set, from, n, k, true, some_outliers(k));
        double *w = NEW(double, k), *rotated = NEW(double, k);
        const int limit = 127;              /* in every set: a folder of weights is right on all processors */

        for (size_t r = 0; r < n; r++) {
            double most = 0;
            int32_t sum = 0;
            for (size_t i = 0; i < k; i++)
                w[i] = reference_table(&from, r * k + i);
            for (size_t c = 0; c < p.outliers.count; c++) {
                double *out = &w[p.outliers.columns[c]];
                near_to(p.side[(r / 32 * p.outliers.count + c) * 32 + r % 32], *out, 0, "side", c);
                *out = 0;
            }
            reference_rotate(rotated, w, k, aki__rotation_block(k));
            for (size_t i = 0; i < k; i++)
                most = fabs(rotated[i]) > most ? fabs(rotated[i]) : most;
            near_to(p.scale[r], most / limit, most * 1e-6, "weight scale", r);
            for (size_t i = 0; i < (k + 3) / 4 * 4; i++) {
                int s8 = packed_s8(&p, r, i);
                sum += s8;
                assert_in_range(s8 + limit, 0, 2 * limit);
                near_to(s8 * (double)p.scale[r], i < k ? rotated[i] : 0, most / limit * 0.5005 + most * 1e-6, "weight", i);
            }
            assert_int_equal(p.sum[r], sum);
        }
        for (size_t column = n; column < aki__panels(n) * AKI_PANEL; column++)
            for (size_t i = 0; i < k; i++)
                assert_int_equal(packed_s8(&p, column, i), 0);
        free_blocks();
    }
}

static void test_product_f32(void **unused)
{
    (void)unused;
    for (int round = 0; round < 150; round++) {
        const struct aki__kernels *set = any_set();
        size_t n = between(1, chance(50) ? 40 : 200), k = chance(5) ? 1024 : between(1, chance(20) ? 700 : 70), rows = between(1, chance(10) ? 600 : 40);
        struct aki__table from = some_table(n * k);
        struct aki__packed p = some_packed(set, from, n, k, false, (struct aki__outliers){ 0 });
        float *x = normals(rows * k, 1), *out = NEW(float, rows * n);
        struct aki__product a = { .x = x, .w = &p, .out = out, .rows = rows };

        RANGES(aki__product_count(&a), set->product(&a, begin, end, NEW(char, set->product_scratch_size(&a))));
        for (size_t t = 0; t < rows; t++)
            for (size_t j = 0; j < n; j++) {
                double want = p.bias ? p.bias[j] : 0, size = fabs(want);
                for (size_t i = 0; i < k; i++) {
                    double v = (double)x[t * k + i] * reference_table(&from, j * k + i);
                    want += v;
                    size += fabs(v);
                }
                if (isfinite(want))
                    near_to(out[t * n + j], want, size * 1e-6 * (1 + sqrt((double)k) / 8), "product", t * n + j);
                else
                    assert_false(isfinite(out[t * n + j]));
            }
        /* Weights of 16 bits give the bits of the same weights as f32. */
        struct aki__packed wide = packed_as(AKI_TABLE_F32, set, from, n, k, false, (struct aki__outliers){ 0 });
        struct aki__product b = a;
        wide.bias = p.bias;
        b.w = &wide;
        b.out = NEW(float, rows * n);
        set->product(&b, 0, aki__product_count(&b), NEW(char, set->product_scratch_size(&b)));
        assert_memory_equal(a.out, b.out, rows * n * sizeof(float));
        free_blocks();
    }
}

/* To the nearest bf16, of two that are as near to the even one. */
static double in_bf16(double x)
{
    int exponent;
    double fraction = frexp(x, &exponent);
    return exponent < -125 ? 0 : ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);       /* products read what is below the normal numbers as 0 */
}

static void test_product_bf16(void **unused)
{
    (void)unused;
    for (int round = 0; round < 150; round++) {
        const struct aki__kernels *set = any_set();
        size_t n = between(1, chance(50) ? 40 : 200), k = chance(5) ? 1024 : between(1, chance(20) ? 700 : 70), rows = between(1, chance(10) ? 600 : 40);
        struct aki__table from = some_table(n * k);
        struct aki__packed p = packed_as(AKI_TABLE_BF16, set, from, n, k, false, (struct aki__outliers){ 0 });
        float *x = normals(rows * k, 1);
        struct aki__product a = { .x = x, .w = &p, .out = NEW(float, rows * n), .rows = rows };

        p.bf16 = true;
        for (size_t i = 0; i < rows * k; i += between(1, 50))
            x[i] = chance(50) ? 1.00390625f : 1.01171875f;      /* half way between two */
        if (set->bf16)
            RANGES(aki__product_count(&a), set->product(&a, begin, end, NEW(char, set->product_scratch_size(&a))));
        for (size_t t = 0; t < rows && set->bf16; t++)
            for (size_t j = 0; j < n; j++) {
                double want = p.bias ? p.bias[j] : 0, size = fabs(want);
                for (size_t i = 0; i < k; i++) {
                    double v = in_bf16(x[t * k + i]) * in_bf16(reference_table(&from, j * k + i));
                    want += v;
                    size += fabs(v);
                }
                near_to(a.out[t * n + j], want, size * 1e-6 * (1 + sqrt((double)k) / 8) + 1e-30, "product", t * n + j);
            }
        free_blocks();
    }
}

/* Any bytes, whatever their sum: exact integers, so every set gives the same bits. */
static void test_product_s8(void **unused)
{
    (void)unused;
    for (int round = 0; round < 150; round++) {
        const struct aki__kernels *set = any_set();
        size_t n = between(1, chance(50) ? 40 : 200), k = chance(5) ? 4096 : between(1, chance(20) ? 3000 : 70), rows = between(1, chance(10) ? 600 : 40);
        size_t padded = aki__panels(n) * AKI_PANEL, count = aki__packed_size(n, k, 1);
        int8_t *data = NEW(int8_t, count);
        uint8_t *x = NEW(uint8_t, rows * k);
        int32_t *sum = NEW(int32_t, padded);
        float *scale = normals(padded, 1), *x_scale = normals(rows, 1), *bias = normals(padded, 1), *out = NEW(float, rows * n);
        struct aki__packed p = { .data = data, .scale = scale, .sum = sum, .bias = chance(50) ? bias : NULL, .n = n, .k = k };
        struct aki__product a = { .x = x, .x_scale = x_scale, .w = &p, .out = out, .rows = rows };

        p.outliers = some_outliers(k);
        p.side = normals(padded * p.outliers.count, 1);
        a.x_side = normals(rows * p.outliers.count, 1);
        for (size_t i = 0; i < count; i++)
            data[i] = (int8_t)(int)(below(256) - 128);
        for (size_t i = 0; i < rows * k; i++)
            x[i] = (uint8_t)below(256);
        for (size_t j = 0; j < padded; j++) {
            sum[j] = 0;
            for (size_t i = 0; i < (k + 3) / 4 * 4; i++) {
                int8_t *s8 = &data[(j / 32 * ((k + 3) / 4) + i / 4) * 128 + j % 32 * 4 + i % 4];
                if (i >= k)
                    *s8 = 0;
                sum[j] += *s8;
            }
        }
        RANGES(aki__product_count(&a), set->product(&a, begin, end, NEW(char, set->product_scratch_size(&a))));
        for (size_t t = 0; t < rows; t++)
            for (size_t j = 0; j < n; j++) {
                int32_t exact = 0;
                for (size_t i = 0; i < k; i++)
                    exact += ((int32_t)x[t * k + i] - 128) * packed_s8(&p, j, i);
                double want = (double)exact * x_scale[t] * scale[j] + (p.bias ? p.bias[j] : 0);
                double size = fabs(want) + fabs(p.bias ? p.bias[j] : 0);
                for (size_t c = 0; c < p.outliers.count; c++) {
                    double v = (double)a.x_side[t * p.outliers.count + c] * p.side[(j / 32 * p.outliers.count + c) * 32 + j % 32];
                    want += v;
                    size += fabs(v);
                }
                near_to(out[t * n + j], want, size * 4e-7 * (p.outliers.count ? 3 : 1) + 1e-30, "product", t * n + j);
            }
        free_blocks();
    }
}

/* Products whose sums of 16 bits would overflow, of one and many steps: the exact integer, in every set. Kinds of weights and of inputs: all the largest,
 * all the least, those in turn, random ones. */
static int extreme(size_t kind, size_t i, int least, int most)
{
    return kind == 0 ? most : kind == 1 ? least : kind == 2 ? (i % 2 ? most : least) : kind == 3 ? (i / 2 % 2 ? most : least) : (int)below((size_t)(most - least + 1)) + least;
}

static void product_is_exact(size_t rows, size_t n, size_t k, size_t weights, size_t inputs)
{
    size_t padded = aki__panels(n) * AKI_PANEL, depth = aki__packed_inputs(k, 1);
    int8_t *data = NEW(int8_t, padded * depth);
    uint8_t *x = NEW(uint8_t, rows * k);
    int32_t *sum = NEW(int32_t, padded);
    float *scale = NEW(float, padded), *x_scale = NEW(float, rows), *want = NEW(float, rows * n), *out = NEW(float, rows * n);
    struct aki__packed p = { .data = data, .scale = scale, .sum = sum, .n = n, .k = k };
    struct aki__product a = { .x = x, .x_scale = x_scale, .w = &p, .out = out, .rows = rows };

    memset(data, 0, padded * depth);
    for (size_t j = 0; j < padded; j++) {
        scale[j] = 1;
        sum[j] = 0;
        for (size_t i = 0; i < k; i++)
            sum[j] += data[(j / 32 * (depth / 4) + i / 4) * 128 + j % 32 * 4 + i % 4] = (int8_t)extreme(weights, i, -128, 127);
    }
    for (size_t t = 0; t < rows; t++) {
        x_scale[t] = 1;
        for (size_t i = 0; i < k; i++)
            x[t * k + i] = (uint8_t)extreme(inputs, i, 0, 255);
        for (size_t j = 0; j < n; j++) {
            int64_t exact = 0;
            for (size_t i = 0; i < k; i++)
                exact += (x[t * k + i] - 128) * packed_s8(&p, j, i);
            want[t * n + j] = (float)(int32_t)exact;
        }
    }
    for (size_t s = 0; s < n_sets; s++) {
        memset(out, 0, rows * n * sizeof *out);
        sets[s]->product(&a, 0, aki__product_count(&a), NEW(char, sets[s]->product_scratch_size(&a)));
        for (size_t i = 0; i < rows * n; i++)
            if (out[i] != want[i])
                fail_msg("%s, %zu inputs, weights %zu, inputs %zu: %.9g, expected %.9g", sets[s]->isa, k, weights, inputs, out[i], want[i]);
    }
    free_blocks();
}

static void test_product_exact(void **unused)
{
    static const size_t depths[] = { 511, 512, 513, 1027, 4096 };
    (void)unused;

    for (size_t weights = 0; weights < 5; weights++)
        for (size_t inputs = 0; inputs < 5; inputs++) {
            for (size_t k = 1; k < 70; k++)
                product_is_exact(1 + below(15), 33, k, weights, inputs);
            for (size_t i = 0; i < sizeof depths / sizeof *depths; i++)
                product_is_exact(1 + below(15), 33, depths[i], weights, inputs);
            product_is_exact(1, 1, AKI_INT8_MOST_INPUTS, weights, inputs);
        }
}

/* A row's bits do not depend on the rows beside it, nor on the split. */
static void test_product_bits(void **unused)
{
    (void)unused;
    for (int round = 0; round < 100; round++) {
        const struct aki__kernels *set = any_set();
        bool s8 = chance(50), bf16 = !s8 && set->bf16 && chance(50);
        size_t n = between(1, 100), k = chance(5) ? 4096 : between(1, 200), rows = between(1, chance(20) ? 600 : 50), from = below(rows), some = between(1, rows - from);
        struct aki__table w = { normals(n * k, 1), AKI_TABLE_F32 };
        struct aki__packed p = packed_as(bf16 ? AKI_TABLE_BF16 : AKI_TABLE_F32, set, w, n, k, s8, s8 ? some_outliers(k) : (struct aki__outliers){ 0 });
        struct aki__out u8 = { .u8 = NEW(uint8_t, rows * k), .row_scale = NEW(float, rows), .stride = k, .block = aki__rotation_block(k) };
        struct aki__rows x = { .f32 = normals(rows * k, 1), .stride = k };
        struct aki__product a = { .x = s8 ? (const void *)u8.u8 : x.f32, .x_scale = u8.row_scale, .w = &p, .out = NEW(float, rows * n), .rows = rows }, b = a;

        p.bf16 = bf16;
        add_outliers(&u8, rows, p.outliers);
        a.x_side = b.x_side = u8.side;
        set->quantise_rows(&x, k, &u8, 0, rows, NEW(float, k));
        RANGES(aki__product_count(&a), set->product(&a, begin, end, NEW(char, set->product_scratch_size(&a))));
        b.x = (const char *)a.x + from * k * (s8 ? 1 : sizeof(float));
        b.x_scale += from;
        b.x_side += from * p.outliers.count;
        b.out = NEW(float, some * n);
        b.rows = some;
        set->product(&b, 0, aki__product_count(&b), NEW(char, set->product_scratch_size(&b)));
        assert_memory_equal(a.out + from * n, b.out, some * n * sizeof(float));
        free_blocks();
    }
}

/* What it is all for: the product of rotated and quantised rows and weights is the product; with outliers too, where their columns are named. */
static void product_is_near(float row_outlier, float weight_outlier, bool named, double most)
{
    enum { ROWS = 5, N = 70, K = 384 };
    static const int32_t columns[] = { 3, 200 };
    const struct aki__kernels *set = any_set();
    float *x = normals(ROWS * K, 1), *w = normals(N * K, 0.05f), *y = NEW(float, ROWS * N);
    for (size_t t = 0; t < ROWS; t++)
        x[t * K + 3] = copysignf(1 + fabsf(x[t * K + 3]), x[t * K + 3]) * row_outlier;      /* never near zero: then it would be none */
    for (size_t r = 0; r < N; r++)
        w[r * K + 200] *= weight_outlier;
    struct aki__packed p = some_packed(set, (struct aki__table){ w, AKI_TABLE_F32 }, N, K, true, (struct aki__outliers){ columns, named ? 2 : 0 });
    struct aki__out o = { .u8 = NEW(uint8_t, ROWS * K), .row_scale = NEW(float, ROWS), .stride = K, .block = aki__rotation_block(K) };
    struct aki__rows in = { .f32 = x, .stride = K };
    double error = 0, square = 0;

    p.bias = NULL;
    add_outliers(&o, ROWS, p.outliers);
    set->quantise_rows(&in, K, &o, 0, ROWS, NEW(float, K));
    struct aki__product a = { .x = o.u8, .x_scale = o.row_scale, .x_side = o.side, .w = &p, .out = y, .rows = ROWS };
    set->product(&a, 0, aki__product_count(&a), NEW(char, set->product_scratch_size(&a)));
    for (size_t t = 0; t < ROWS; t++)
        for (size_t r = 0; r < N; r++) {
            double want = 0;
            for (size_t i = 0; i < K; i++)
                if (i != 3 && i != 200)
                    square += pow((double)x[t * K + i] * w[r * K + i], 2);
            for (size_t i = 0; i < K; i++)
                want += (double)x[t * K + i] * w[r * K + i];
            error += pow(y[t * N + r] - want, 2);
        }
    /* relative to what the columns give that are no outliers */
    assert_true((sqrt(error / square) < most) == (named || row_outlier * weight_outlier == 1));
    free_blocks();
}

static void test_product(void **unused)
{
    (void)unused;
    for (int round = 0; round < 30; round++) {
        product_is_near(1, 1, false, 0.025);
        product_is_near(1, 1, true, 0.025);
        product_is_near(300, 1, true, 0.025);
        product_is_near(300, 300, true, 0.025);
        product_is_near(300, 1, false, 0.025);
        product_is_near(1, 300, false, 0.025);
    }
}

/* ---------------------------------------------------------------- NaN and infinity ------------------------------ */

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
        struct aki__act act = { .x = { .f32 = x, .stride = n }, .columns = n, .act = (enum aki__kernel_act)below(7) };
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
        struct aki__pooling pool = { .out = NEW(float, rows * n), .x = x, .starts = starts, .hidden = n, .mode = (enum aki__pool_mode)below(4) };
        set->pool(&pool, 0, rows, NEW(double, n));
        for (size_t t = 0; t < rows; t++)
            assert_int_equal(all_finite(pool.out + t * n, n), t != row);

        int32_t all[2] = { 0, (int32_t)rows };          /* good rows behind it do not hide it */
        pool.starts = all;
        set->pool(&pool, 0, 1, NEW(double, n));
        assert_false(all_finite(pool.out, n));

        /* a u8 row whose scale is NaN: what the row before could not be */
        struct aki__packed packed = some_packed(set, (struct aki__table){ normals(n * n, 1), AKI_TABLE_F32 }, n, n, true, (struct aki__outliers){ 0 });
        float *row_scale = normals(rows, 1);
        row_scale[row] = NAN;
        struct aki__product product = { .x = u.u8, .x_scale = row_scale, .w = &packed, .out = NEW(float, rows * n), .rows = rows };
        for (size_t t = 0; t < rows; t++)
            memset(u.u8 + t * n, 128, n);
        set->product(&product, 0, aki__product_count(&product), NEW(char, set->product_scratch_size(&product)));
        for (size_t t = 0; t < rows; t++)
            assert_int_equal(all_finite(product.out + t * n, n), t != row);

        /* in an outlier's column it goes its own way */
        int32_t column = (int32_t)(at % n);
        packed = some_packed(set, (struct aki__table){ normals(n * n, 1), AKI_TABLE_F32 }, n, n, true, (struct aki__outliers){ &column, 1 });
        add_outliers(&u, rows, packed.outliers);
        product.x_scale = u.row_scale;
        product.x_side = u.side;
        set->quantise_rows(&(struct aki__rows){ .f32 = x, .stride = n }, n, &(struct aki__out){ .u8 = NEW(uint8_t, rows * n), .row_scale = u.row_scale, .side = u.side,
                           .stride = n, .block = u.block, .outliers = u.outliers }, 0, rows, scratch);
        product.w = &packed;
        product.x = u.u8;
        set->product(&product, 0, aki__product_count(&product), NEW(char, set->product_scratch_size(&product)));
        for (size_t t = 0; t < rows; t++)
            assert_int_equal(all_finite(product.out + t * n, n), t != row);
        free_blocks();
    }
}

/* Squares that overflow must not come out as a row of zeros. */
static void test_norm_overflow(void **unused)
{
    enum { N = 40 };
    float *x = normals(N, 1), *gamma = normals(N, 1), *scratch = NEW(float, N), *y = NEW(float, N);

    (void)unused;
    x[7] = 1e20f;
    for (size_t s = 0; s < n_sets; s++)
        for (int rms = 0; rms < 2; rms++) {
            struct aki__norm a = { .x = x, .gamma = gamma, .hidden = N, .eps = 1e-6f, .rms = rms, .out = { .f32 = y, .stride = N } };
            sets[s]->norm(&a, 0, 1, scratch);
            for (size_t i = 0; i < N; i++)
                assert_true(isnan(y[i]));
        }
    free_blocks();
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
        struct aki__rows add = some_rows(rows, n, 1);
        struct aki__out o = some_out(rows, n, true, true), p = some_out(1, n, true, true);
        struct aki__norm a = { .x = x, .add = add, .gamma = gamma, .beta = beta, .hidden = n, .eps = 1e-6f, .rms = chance(50), .out = o };
        struct aki__act act = { .x = add, .columns = n, .act = (enum aki__kernel_act)below(7), .out = o };

        add_outliers(&o, rows, some_outliers(n));
        add_outliers(&p, 1, o.outliers);
        a.out = act.out = o;
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
            assert_memory_equal(o.side + row * o.outliers.count, p.side, o.outliers.count * sizeof(float));
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

    const char *asked = getenv("AKIEMBED_ISA");
    const struct aki__kernels *first = aki__kernels();
    assert_ptr_equal(first, asked && aki__kernels_named(asked) ? aki__kernels_named(asked) : sets[n_sets - 1]);
    char *kept = asked ? copy_of(asked, strlen(asked) + 1) : NULL;
    for (size_t i = 0; i < n_sets; i++) {
        setenv("AKIEMBED_ISA", sets[i]->isa, 1);
        assert_int_equal(aki__kernels_ready(NULL), AKI_OK);
        assert_ptr_equal(aki__kernels(), first);            /* chosen once */
    }
    setenv("AKIEMBED_ISA", "", 1);
    assert_int_equal(aki__kernels_ready(NULL), AKI_OK);
    static const char *const wrong[] = { "no such set", "avx", "AVX2", "neon", " " };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        aki_error err;
        char wanted[64];
        setenv("AKIEMBED_ISA", wrong[i], 1);
        assert_int_equal(aki__kernels_ready(&err), AKI_E_UNAVAILABLE);
        snprintf(wanted, sizeof wanted, "\"%s\" here;", wrong[i]);
        assert_non_null(strstr(err.message, wanted));
        for (size_t s = 0; s < n_sets; s++)
            assert_non_null(strstr(err.message, sets[s]->isa));
    }
    unsetenv("AKIEMBED_ISA");
    assert_int_equal(aki__kernels_ready(NULL), AKI_OK);
    if (kept)
        setenv("AKIEMBED_ISA", kept, 1);
    free_blocks();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dispatch),
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_embed_all_f16),
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_act),
        cmocka_unit_test(test_act_grid),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_rotation_shape),
        cmocka_unit_test(test_quantise_rows),
        cmocka_unit_test(test_quantise_special_rows),
        cmocka_unit_test(test_squares),
        cmocka_unit_test(test_pack_s8),
        cmocka_unit_test(test_product_f32), cmocka_unit_test(test_product_bf16),
        cmocka_unit_test(test_product_s8),
        cmocka_unit_test(test_product_exact),
        cmocka_unit_test(test_product_bits),
        cmocka_unit_test(test_product),
        cmocka_unit_test(test_bad_values_show),
        cmocka_unit_test(test_norm_overflow),
        cmocka_unit_test(test_row_bits),
    };

    random_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
