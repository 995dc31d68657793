/* Tests of kernel/'s attention: every instruction set against the slow twin, over random shapes; and a query's result never depends
 * on the split into tasks, on the other texts, on which queries are asked for, or on whether its first keys were kept. */
#include "kernel_random.h"

static float *run_attention(struct aki__attention *a, const struct aki__kernels *set)
{
    float *scratch;

    a->out = (struct aki__out){ .f32 = NEW(float, a->queries * a->heads * a->head_dim), .stride = a->heads * a->head_dim };
    a->work = NEW(float, aki__attention_work_size(a));
    scratch = NEW(float, aki__attention_scratch_size(a));
    RANGES(aki__attention_prepare_count(a), set->attention_prepare(a, begin, end, scratch));
    RANGES(aki__attention_task_count(a), set->attention_run(a, begin, end, scratch));
    return a->out.f32;
}

static struct aki__attention some_attention(size_t most_keys)
{
    static const size_t dims[] = { 32, 64, 128, 16, 80, 6, 1, 30 }, groups[] = { 1, 1, 2, 4, 3, 7, 70 };
    size_t texts = between(1, 5);
    struct aki__attention a = {
        .texts = texts, .head_dim = dims[below(8)], .kv_heads = between(1, 3), .causal = chance(50),
        .window = chance(30) ? between(1, most_keys) : 0, .norm_eps = 1e-6f, .starts = some_starts(texts, most_keys),
    };

    a.heads = a.kv_heads * groups[below(chance(5) ? 7 : 6)];
    a.scale = 1 / sqrtf((float)a.head_dim);
    a.query_starts = a.starts;
    a.tokens = a.queries = (size_t)a.starts[texts];
    a.q = some_rows(a.tokens, a.heads * a.head_dim, 1);
    a.k = some_rows(a.tokens, a.kv_heads * a.head_dim, 1);
    a.v = some_rows(a.tokens, a.kv_heads * a.head_dim, 1);
    if (chance(40)) {
        a.q_norm = normals(a.head_dim, 1);
        a.k_norm = normals(a.head_dim, 1);
    }
    if (chance(50) && a.head_dim % 2 == 0)
        a.rope = normals(a.tokens * a.head_dim, 0.7f);
    if (chance(30)) {
        a.reach = between(1, most_keys + 5);
        a.bias = normals(a.heads * (2 * a.reach + 1), 1);
    }
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

/* With factors of bf16, 8 bits, single values may be off where large scores are nearly equal, but all together hardly. */
static void check_bf16(const struct aki__attention *a, const float *got)
{
    size_t n = a->queries * a->heads * a->head_dim;
    double *want = NEW(double, n), error = 0, size = 0;

    reference_attention(want, a);
    for (size_t i = 0; i < n; i++) {
        near_to(got[i], want[i], 0.2, "attention in bf16", i);
        error += (got[i] - want[i]) * (got[i] - want[i]);
        size += want[i] * want[i];
    }
    assert_true(sqrt(error) <= (a->head_dim < 16 ? 0.1 : 0.03) * sqrt(size));
}

static void test_attention(void **unused)
{
    (void)unused;
    for (int round = 0; round < 120; round++) {
        struct aki__attention a = some_attention(chance(10) ? 300 : 40);
        for (size_t s = 0; s < n_sets; s++) {
            a.bf16 = false;
            check_attention(&a, run_attention(&a, sets[s]));
            a.bf16 = true;
            if (sets[s]->bf16)
                check_bf16(&a, run_attention(&a, sets[s]));
        }
        free_blocks();
    }
}

/* Moves rows so that row `from` becomes row 0. */
static struct aki__rows shifted(struct aki__rows r, size_t from)
{
    r.f32 += from * r.stride;
    return r;
}

/* Rows from[0 … count-1] of r, as rows of their own. */
static struct aki__rows gathered(struct aki__rows r, const size_t *from, size_t count, size_t columns)
{
    float *f32 = NEW(float, count * r.stride);

    for (size_t t = 0; t < count; t++)
        memcpy(f32 + t * r.stride, r.f32 + from[t] * r.stride, columns * sizeof *f32);
    return (struct aki__rows){ .f32 = f32, .stride = r.stride };
}

/* A text alone, and a text of which some queries are asked for, give the bits that the batch gives. */
static void test_attention_bits(void **unused)
{
    (void)unused;
    for (int round = 0; round < 150; round++) {
        struct aki__attention a = some_attention(chance(20) ? 300 : 100);
        const struct aki__kernels *set = any_set();
        size_t width = a.heads * a.head_dim;
        a.bf16 = set->bf16 && chance(50);
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
        struct aki__attention a = some_attention(chance(20) ? 200 : 60);
        const struct aki__kernels *set = any_set();
        a.bf16 = set->bf16 && chance(50);
        struct aki__attention b = a;
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
            .q = some_rows(6, 128, 1), .k = some_rows(4096, 64, 1), .v = some_rows(4096, 64, 1),
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

/* Scores that are far below zero, all of them, or far above. */
static void test_attention_extreme_scores(void **unused)
{
    (void)unused;
    for (int sign = -1; sign <= 1; sign += 2) {
        int32_t starts[4] = { 0, 1, 4, 150 };
        float *q = NEW(float, 150 * 32), *k = NEW(float, 150 * 32), *v = normals(150 * 32, 1);
        for (size_t i = 0; i < 150 * 32; i++) {
            k[i] = 4 + normal() * 0.01f;
            q[i] = (float)sign * (4 + normal() * 0.01f);
        }
        struct aki__attention a = { .texts = 3, .tokens = 150, .queries = 150, .heads = 1, .kv_heads = 1, .head_dim = 32, .scale = 1,
                                    .starts = starts, .query_starts = starts, .q = { .f32 = q, .stride = 32 },
                                    .k = { .f32 = k, .stride = 32 }, .v = { .f32 = v, .stride = 32 } };
        double *want = NEW(double, 150 * 32);
        reference_attention(want, &a);
        for (size_t s = 0; s < n_sets; s++) {
            float *got = run_attention(&a, sets[s]);
            for (size_t i = 0; i < 150 * 32; i++)       /* a score of 512 is rounded by 3e-5 */
                near_to(got[i], want[i], 1e-3, "extreme scores", i);
        }
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
        const struct aki__kernels *set = any_set();
        a.bf16 = set->bf16 && chance(50);
        float *out = run_attention(&a, set);
        for (size_t text = 0; text < 2; text++) {
            bool here = token >= (size_t)starts[text] && token < (size_t)starts[text + 1];
            for (size_t t = (size_t)starts[text]; t < (size_t)starts[text + 1]; t++)
                assert_int_equal(all_finite(out + t * 64, 64), !(here && (which > 0 || t == token)));
        }
        free_blocks();
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_bits),
        cmocka_unit_test(test_attention_kept),
        cmocka_unit_test(test_attention_long),
        cmocka_unit_test(test_attention_extreme_scores),
        cmocka_unit_test(test_bad_values_show_in_attention),
    };

    random_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
