/* Micro-benchmark of src/kernel: one core, the shapes of MiniLM and Qwen3, every instruction set. Best of many runs;
 * products beside the peak of their instructions on registers alone, where it is known.
 * bench_kernels [ISA [WORD]]: only that set, only the lines whose name contains the word. */
#include "kernel/kernel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct aki__kernels *set;
static const char *filter = "";

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *need(size_t count, size_t size)
{
    void *p = aki__alloc_aligned(count, size);
    if (!p) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    memset(p, 0, count * size);
    return p;
}

static float *floats(size_t n, float scale)
{
    static uint32_t state = 12345;
    float *p = need(n, sizeof *p);
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        p[i] = ((float)(state >> 8) / (1 << 23) - 1) * scale;
    }
    return p;
}

/* Best time of one call of run(a), over about a third of a second. */
static double best(void (*run)(void *a), void *a)
{
    double least = 1e9, end = now() + 0.33;
    do {
        double start = now();
        run(a);
        double took = now() - start;
        least = took < least ? took : least;
    } while (now() < end);
    return least;
}

/* ---- peaks: the instructions that add a product to a sum, on registers alone ---- */

#if defined(__x86_64__)
enum { STEPS = 20000 };
#  define TWELVE(add) add(0) add(1) add(2) add(3) add(4) add(5) add(6) add(7) add(8) add(9) add(10) add(11)
#  define PEAK(name, add)                                                                                                               \
    static void name(void *unused)                                                                                                      \
    {                                                                                                                                   \
        (void)unused;                                                                                                                   \
        for (int i = 0; i < STEPS; i++)                                                                                                 \
            __asm__ volatile(TWELVE(add) : : : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
                             "xmm11", "xmm12");                                                                                         \
    }
#  define F32_SSE(s) "movaps %%xmm13, %%xmm12\n mulps %%xmm14, %%xmm12\n addps %%xmm12, %%xmm" #s "\n"
#  define INT8_SSE(s) "movdqa %%xmm13, %%xmm12\n pmaddwd %%xmm14, %%xmm12\n paddd %%xmm12, %%xmm" #s "\n"
#  define F32_AVX2(s) "vfmadd231ps %%ymm13, %%ymm14, %%ymm" #s "\n"
#  define INT8_AVX2(s) "vpmaddwd %%ymm13, %%ymm14, %%ymm12\n vpaddd %%ymm12, %%ymm" #s ", %%ymm" #s "\n"
#  define F32_AVX512(s) "vfmadd231ps %%zmm13, %%zmm14, %%zmm" #s "\n"
#  define INT8_AVX512(s) "vpdpbusd %%zmm13, %%zmm14, %%zmm" #s "\n"
PEAK(f32_sse, F32_SSE)
PEAK(int8_sse, INT8_SSE)
PEAK(f32_avx2, F32_AVX2)
PEAK(int8_avx2, INT8_AVX2)
PEAK(f32_avx512, F32_AVX512)
PEAK(int8_avx512, INT8_AVX512)

/* Lanes of 32 bits; f32 has a multiply-add in each, int8 two with pmaddwd and four with vpdpbusd. */
static const struct peak { const char *isa; void (*run[2])(void *); double sums[2]; } peaks[] = {
    { "baseline", { f32_sse, int8_sse }, { 4, 8 } },
    { "avx2", { f32_avx2, int8_avx2 }, { 8, 16 } },
    { "avx512", { f32_avx512, int8_avx512 }, { 16, 64 } },
    { "avx512bf16", { f32_avx512, int8_avx512 }, { 16, 64 } },
};
#endif

/* Operations a second; 0: not known. */
static double peak(bool i8)
{
#if defined(__x86_64__)
    for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++)
        if (!strcmp(peaks[i].isa, set->isa))
            return 2 * 12 * STEPS * peaks[i].sums[i8] / best(peaks[i].run[i8], NULL);
#endif
    (void)i8;
    return 0;
}

/* Elements a nanosecond, or operations (2 a multiply-add), and their share of the peak if there is one. */
static void line(const char *name, void (*run)(void *a), void *a, double elements, double operations, double most)
{
    double t = best(run, a);
    if (most > 0)
        printf("%-10s %-43s %10.1f us %8.1f GFLOP/s, %5.1f %% of %.1f\n", set->isa, name, t * 1e6, operations / t * 1e-9, 100 * operations / t / most, most * 1e-9);
    else if (operations > 0)
        printf("%-10s %-43s %10.1f us %8.1f GFLOP/s\n", set->isa, name, t * 1e6, operations / t * 1e-9);
    else
        printf("%-10s %-43s %10.1f us %8.2f elements/ns\n", set->isa, name, t * 1e6, elements / t * 1e-9);
}

static struct aki__rows some_rows(size_t rows, size_t n) { return (struct aki__rows){ .f32 = floats(rows * n, 1), .stride = n }; }

static struct aki__out out_f32(size_t rows, size_t n)
{
    return (struct aki__out){ .f32 = need(rows * n, 4), .stride = n };
}

static struct aki__out out_u8(size_t rows, size_t n)
{
    return (struct aki__out){ .u8 = need(rows * n, 1), .row_scale = need(rows, 4), .stride = n, .block = aki__rotation_block(n) };
}

struct job {
    size_t rows;
    float *scratch;
    struct aki__norm norm;
    struct aki__act act;
    struct aki__rows x;
    size_t columns;
    struct aki__out out;
    struct aki__attention attention;
    struct aki__pack pack;
    struct aki__product product;
};

static void run_norm(void *p) { struct job *j = p; set->norm(&j->norm, 0, j->rows, j->scratch); }
static void run_act(void *p) { struct job *j = p; set->act(&j->act, 0, j->rows, j->scratch); }
static void run_quantise(void *p) { struct job *j = p; set->quantise_rows(&j->x, j->columns, &j->out, 0, j->rows, j->scratch); }
static void run_pack(void *p) { struct job *j = p; set->pack_s8(&j->pack, 0, j->rows, j->scratch); }
static void run_product(void *p) { struct job *j = p; set->product(&j->product, 0, aki__product_count(&j->product), j->scratch); }
static void run_prepare(void *p)
{
    struct job *j = p;
    set->attention_prepare(&j->attention, 0, aki__attention_prepare_count(&j->attention), j->scratch);
}
static void run_attention(void *p)
{
    struct job *j = p;
    set->attention_run(&j->attention, 0, aki__attention_task_count(&j->attention), j->scratch);
}

static void bench_norm(size_t rows, size_t n, bool rms)
{
    struct job j = { .rows = rows, .scratch = need(n, 4) };
    char name[80];

    for (int i8 = 0; i8 < 2; i8++) {
        snprintf(name, sizeof name, "norm %s %zu x %zu %s", rms ? "rms" : "layer", rows, n, i8 ? "-> u8" : "f32");
        if (!strstr(name, filter))
            continue;
        j.norm = (struct aki__norm){ .x = floats(rows * n, 1), .add = some_rows(rows, n), .gamma = floats(n, 1),
                                     .beta = rms ? NULL : floats(n, 1), .hidden = n, .eps = 1e-6f, .rms = rms };
        j.norm.sum = need(rows * n, 4);
        j.norm.out = i8 ? out_u8(rows, n) : out_f32(rows, n);
        if (i8 && !rms)
            j.norm.out.f32 = need(rows * n, 4);
        line(name, run_norm, &j, (double)(rows * n), 0, 0);
    }
}

static void bench_act(size_t rows, size_t n, enum aki__kernel_act act, const char *what, bool gate)
{
    struct job j = { .rows = rows, .scratch = need(n, 4) };
    char name[80];

    for (int i8 = 0; i8 < 2; i8++) {
        snprintf(name, sizeof name, "act %s%s %zu x %zu %s", what, gate ? " gated" : "", rows, n, i8 ? "-> u8" : "f32");
        if (!strstr(name, filter))
            continue;
        j.act = (struct aki__act){ .x = some_rows(rows, n), .columns = n, .act = act,
                                   .out = i8 ? out_u8(rows, n) : out_f32(rows, n) };
        if (gate)
            j.act.gate = some_rows(rows, n);
        line(name, run_act, &j, (double)(rows * n), 0, 0);
    }
}

static void bench_quantise(size_t rows, size_t n)
{
    struct job j = { .rows = rows, .columns = n };
    char name[80];

    snprintf(name, sizeof name, "rotate + quantise %zu x %zu", rows, n);
    if (!strstr(name, filter))
        return;
    j.scratch = need(n, 4);
    j.x = some_rows(rows, n);
    j.out = out_u8(rows, n);
    line(name, run_quantise, &j, (double)(rows * n), 0, 0);
}

static void bench_pack(size_t n, size_t k)
{
    struct job j = { .rows = n };
    char name[80];

    snprintf(name, sizeof name, "pack %zu x %zu bf16", n, k);
    if (!strstr(name, filter))
        return;
    j.pack = (struct aki__pack){ .w = { floats(n * k / 2, 1), AKI_TABLE_BF16 }, .k = k, .block = aki__rotation_block(k),
                                 .out = need(aki__packed_size(n, k, 1), 1), .scale = need(n, 4), .sum = need(n, 4) };
    j.scratch = need(k + (k + 3) / 4, 4);
    line(name, run_pack, &j, (double)(n * k), 0, 0);
}

/* most: the peaks in f32 and int8. */
static void bench_product(size_t rows, size_t n, size_t k, const double most[2])
{
    char name[80];

    enum { BF16 = AKI_TABLE_BF16 + 1, INT8 };

    for (int type = AKI_TABLE_F32; type <= INT8; type++) {
        const bool i8 = type == INT8;
        struct aki__packed w = { .dtype = (enum aki__table_dtype)(i8 ? 0 : type == BF16 ? AKI_TABLE_BF16 : type), .bf16 = type == BF16, .bias = floats(n, 1), .n = n, .k = k,
                                 .scale = i8 ? floats(n, 1) : NULL, .sum = i8 ? need(n, 4) : NULL };
        struct job j = { .product = { .x = i8 ? need(rows * k, 1) : (void *)floats(rows * k, 1), .x_scale = floats(rows, 1), .w = &w, .rows = rows,
                                      .out = need(rows * n, 4) } };
        static const char *const names[] = { "f32", "f32, weights of f16", "f32, weights of bf16", "bf16", "int8" };
        w.data = need(aki__packed_size(n, k, aki__packed_weight_size(&w)), 1);
        j.scratch = need(set->product_scratch_size(&j.product) + 1, 1);
        snprintf(name, sizeof name, "product %zu x %zu x %zu %s", rows, n, k, names[type]);
        if (strstr(name, filter) && (type != BF16 || set->bf16))
            line(name, run_product, &j, 0, 2.0 * (double)rows * (double)n * (double)k, type == BF16 ? 0 : most[i8]);
    }
}

/* texts of `length` tokens; one_query: only the last token of each is asked for. */
static void bench_attention(size_t texts, size_t length, size_t heads, size_t kv_heads, size_t head_dim, bool qwen, bool bf16)
{
    struct job j = {0};
    struct aki__attention *a = &j.attention;
    int32_t *starts;
    char name[80], prepare[80];
    double pairs = (double)length * (double)length;

    const char *type = bf16 ? "bf16" : "f32";
    snprintf(name, sizeof name, "attention %zu x %zu tokens %zu/%zu x %zu %s", texts, length, heads, kv_heads, head_dim, type);
    snprintf(prepare, sizeof prepare, "prepare %zu x %zu tokens %zu/%zu x %zu %s", texts, length, heads, kv_heads, head_dim, type);
    if (!strstr(name, filter) && !strstr(prepare, filter))
        return;
    starts = need(texts + 1, 4);
    for (size_t i = 0; i <= texts; i++)
        starts[i] = (int32_t)(i * length);
    *a = (struct aki__attention){ .starts = starts, .query_starts = starts, .texts = texts, .tokens = texts * length, .queries = texts * length,
                                  .heads = heads, .kv_heads = kv_heads, .head_dim = head_dim, .causal = qwen, .norm_eps = 1e-6f,
                                  .scale = 1 / sqrtf((float)head_dim), .bf16 = bf16 };
    a->q = some_rows(a->tokens, heads * head_dim);
    a->k = some_rows(a->tokens, kv_heads * head_dim);
    a->v = some_rows(a->tokens, kv_heads * head_dim);
    if (qwen) {
        a->q_norm = floats(head_dim, 1);
        a->k_norm = floats(head_dim, 1);
        a->rope = floats(a->tokens * head_dim, 0.7f);
        pairs = (double)length * (double)(length + 1) / 2;
    }
    a->out = out_f32(a->tokens, heads * head_dim);
    a->work = need(aki__attention_work_size(a), 4);
    j.scratch = need(aki__attention_scratch_size(a), 4);
    if (strstr(prepare, filter))
        line(prepare, run_prepare, &j, (double)(a->tokens * (heads + 2 * kv_heads) * head_dim), 0, 0);
    run_prepare(&j);
    if (strstr(name, filter))
        line(name, run_attention, &j, 0, pairs * (double)texts * (double)heads * (double)head_dim * 4, 0);
}

static void bench_all(void)
{
    static const size_t rows_of[] = { 8, 64, 170, 512 };        /* 170: a run of MiniLM */
    const double most[2] = { peak(false), peak(true) };

    bench_norm(80, 384, false);
    bench_norm(80, 1024, true);
    bench_act(80, 1536, AKI_KACT_GELU, "gelu", false);
    bench_act(80, 1536, AKI_KACT_GELU_TANH, "gelu_tanh", false);
    bench_act(80, 3072, AKI_KACT_SILU, "silu", true);
    bench_act(80, 3072, AKI_KACT_NONE, "none", false);
    bench_quantise(80, 384);
    bench_quantise(80, 1024);
    bench_quantise(80, 1536);
    bench_quantise(80, 2048);
    bench_quantise(80, 3072);
    bench_pack(4096, 1024);
    bench_pack(1024, 3072);
    bench_pack(1536, 384);
    for (size_t i = 0; i < sizeof rows_of / sizeof *rows_of; i++) {
        size_t rows = rows_of[i];
        bench_product(rows, 1152, 384, most);
        bench_product(rows, 384, 384, most);
        bench_product(rows, 1536, 384, most);
        bench_product(rows, 384, 1536, most);
        bench_product(rows, 6144, 1024, most);
        bench_product(rows, 1024, 3072, most);
    }
    for (int bf16 = 0; bf16 < 1 + set->bf16; bf16++) {
        bench_attention(1, 8, 12, 12, 32, false, bf16);
        bench_attention(4, 80, 12, 12, 32, false, bf16);
        bench_attention(1, 512, 12, 12, 64, false, bf16);
        bench_attention(1, 8, 16, 8, 128, true, bf16);
        bench_attention(32, 8, 16, 8, 128, true, bf16);
        bench_attention(1, 512, 16, 8, 128, true, bf16);
        bench_attention(1, 2048, 16, 8, 128, true, bf16);
    }
}

int main(int argc, char **argv)
{
    static const char *const names[] = { "baseline", "dotprod", "i8mm", "avx2", "avxvnni", "avx512", "avx512bf16" };

    if (argc > 2)
        filter = argv[2];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        set = aki__kernels_named(names[i]);
        if (set && (argc < 2 || !strcmp(argv[1], names[i])))
            bench_all();
    }
    return 0;
}
