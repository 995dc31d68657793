/* Unit kernel: dense products of f32 or u8 rows with a packed matrix. See struct aki__packed in kernel.h.
 *
 * A tile of rows and columns is held in registers over the whole depth, and every element is summed in the order of k, so the
 * result for a row depends neither on other rows nor on how the work is split. The weights of a panel are read once for
 * AKI_PRODUCT_ROWS rows; the first tile of rows prefetches them, also beyond the ends of pages and panels, where the
 * processor's own prefetcher stops. */
#include "kernel/isa.h"
#include "kernel/isa_half.h"

#if AKI_LANES == 16
#  define TILE_ROWS 14
#  define TILE_VECTORS 2
#elif AKI_LANES == 8
#  define TILE_ROWS 6
#  define TILE_VECTORS 2
#elif defined(__aarch64__)
#  define TILE_ROWS 6
#  define TILE_VECTORS 4
#else
#  define TILE_ROWS 3
#  define TILE_VECTORS 4
#endif
#define AHEAD ((size_t)4096)                /* measured: docs/performance.md */
#define TILE_COLUMNS ((size_t)TILE_VECTORS * AKI_LANES)
_Static_assert(AKI_PANEL % TILE_COLUMNS == 0, "a panel is whole tiles");

struct tile {
    const struct aki__product *a;
    const char *x, *w;                      /* its first row, and its columns of the packed weights */
    size_t      stride;                     /* bytes between rows of x */
    size_t      row, column;                /* elements between rows of the output */
    size_t      ahead;                      /* bytes by which weights are prefetched; 0: they are in the cache */
};

/* Prefetches the columns of a tile for one step, `ahead` of it. */
AKI_INLINE void fetch(const char *w, size_t ahead)
{
    AKI_UNROLL
    for (size_t i = 0; i < TILE_COLUMNS * 4; i += 64)
        __builtin_prefetch(w + i + ahead);
}

/* Writes the sums of the columns that the output has. */
AKI_INLINE void put(const struct tile *t, vf sum[][TILE_VECTORS], int rows)
{
    const struct aki__product *a = t->a;
    size_t left = a->w->n - t->column;
    vf bias[TILE_VECTORS];

    AKI_UNROLL
    for (int v = 0; v < TILE_VECTORS; v++)
        bias[v] = a->w->bias ? vload(a->w->bias + t->column + v * AKI_LANES) : (vf){0};
    AKI_UNROLL
    for (int r = 0; r < rows; r++) {
        float *out = a->out + (t->row + (size_t)r) * a->w->n + t->column, part[TILE_COLUMNS], *to = left < TILE_COLUMNS ? part : out;
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            vstore(to + v * AKI_LANES, sum[r][v] + bias[v]);
        if (to == part)
            memcpy(out, part, left * sizeof *out);
    }
}

/* Adds the products of the outliers. */
AKI_INLINE void add_side(const struct tile *t, vf sum[][TILE_VECTORS], int rows)
{
    const struct aki__packed *w = t->a->w;
    size_t count = w->outliers.count;
    const float *side = w->side + t->column / AKI_PANEL * AKI_PANEL * count + t->column % AKI_PANEL, *x = t->a->x_side + t->row * count;

    for (size_t c = 0; c < count; c++) {
        vf b[TILE_VECTORS];
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            b[v] = vload(side + c * AKI_PANEL + v * AKI_LANES);
        AKI_UNROLL
        for (int r = 0; r < rows; r++)
            AKI_UNROLL
            for (int v = 0; v < TILE_VECTORS; v++)
                sum[r][v] += vset(x[(size_t)r * count + c]) * b[v];
    }
}

/* ---------------------------------------------------------------- f32 ------------------------------------------- */

AKI_INLINE void step_float(vf sum[][TILE_VECTORS], const float *x, size_t stride, const char *w, enum aki__table_dtype dtype, bool second, int rows)
{
    vf b[TILE_VECTORS];

    AKI_UNROLL
    for (int v = 0; v < TILE_VECTORS; v++)
        b[v] = widened(w, v, dtype, second);
    AKI_UNROLL
    for (int r = 0; r < rows; r++) {
        vf y = vset(x[(size_t)r * stride]);
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            sum[r][v] = sum[r][v] + y * b[v];
    }
}

AKI_INLINE void tile_float(const struct tile *t, int rows, enum aki__table_dtype dtype)
{
    const size_t k = t->a->w->k, stride = t->stride / sizeof(float), inputs = 4 / aki__weight_size(dtype);
    const float *x = (const float *)(const void *)t->x;
    const char *w = t->w;
    vf sum[TILE_ROWS][TILE_VECTORS];

    AKI_UNROLL
    for (int r = 0; r < rows; r++)
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            sum[r][v] = (vf){0};
    for (size_t i = 0; i + inputs <= k; i += inputs, w += AKI_PANEL * 4) {
        fetch(w, t->ahead);
        step_float(sum, x + i, stride, w, dtype, false, rows);
        if (inputs == 2)
            step_float(sum, x + i + 1, stride, w, dtype, true, rows);
    }
    if (k % inputs)
        step_float(sum, x + k - 1, stride, w, dtype, false, rows);
    put(t, sum, rows);
}

/* ---------------------------------------------------------------- bf16 ------------------------------------------ */

/* Bytes of a row of bf16, whole vectors. */
AKI_INLINE size_t rounded_size(size_t k) { return (k + 31) / 32 * 64; }

static void round_row(char *to, const float *x, size_t k)
{
    for (size_t i = 0; i < k; i += AKI_LANES) {
        vf some = {0};
        if (k - i >= AKI_LANES)
            some = vload(x + i);
        else
            memcpy(&some, x + i, (k - i) * sizeof *x);
        vh half = bf16_rounded(some);
        memcpy(to + 2 * i, &half, sizeof half);
    }
}

/* A step is two neighbouring inputs. */
AKI_INLINE void tile_bf16(const struct tile *t, int rows)
{
    const char *w = t->w, *x = t->x;
    vf sum[TILE_ROWS][TILE_VECTORS];

    AKI_UNROLL
    for (int r = 0; r < rows; r++)
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            sum[r][v] = (vf){0};
    for (size_t i = 0; i < t->a->w->k; i += 2, w += AKI_PANEL * 4) {
        vf b[TILE_VECTORS];
        fetch(w, t->ahead);
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            b[v] = vload((const float *)(const void *)w + v * AKI_LANES);
        AKI_UNROLL
        for (int r = 0; r < rows; r++) {
            int32_t pair;
            memcpy(&pair, x + (size_t)r * t->stride + i * 2, sizeof pair);
            AKI_UNROLL
            for (int v = 0; v < TILE_VECTORS; v++)
                sum[r][v] = bf16_dot(sum[r][v], (vf)(pair - (vi){0}), b[v]);
        }
    }
    put(t, sum, rows);
}

/* ---------------------------------------------------------------- int8 ------------------------------------------ */

#if defined(__SSE2__) && !(defined(__AVX512VNNI__) && AKI_LANES == 16) && !(defined(__AVXVNNI__) && AKI_LANES == 8)
#  define PAIRS
#endif

/* A step is four neighbouring inputs. The sums are exact for every u8 and s8. */
#if defined(PAIRS)

/* The products of u8 and s8 on x86 without VNNI are added in 16 bits, where 2 * 255 * 127 overflows. So both are widened to 16
 * bits, of which vpmaddwd adds two products in 32 bits. Inputs 0 and 2 of a step are one pair (the even bytes), 1 and 3 the
 * other. Weights are widened when they are read; rows are widened once for all columns: all even pairs of a row, then all odd
 * ones, each part padded to whole vectors. */
#if AKI_LANES == 8
AKI_INLINE vi pair_dot(vi x, vi w) { return (vi)_mm256_madd_epi16((__m256i)x, (__m256i)w); }
AKI_INLINE vi even_pairs(vi w) { return (vi)_mm256_srai_epi16(_mm256_slli_epi16((__m256i)w, 8), 8); }
AKI_INLINE vi odd_pairs(vi w) { return (vi)_mm256_srai_epi16((__m256i)w, 8); }
#else
AKI_INLINE vi pair_dot(vi x, vi w) { return (vi)_mm_madd_epi16((__m128i)x, (__m128i)w); }
AKI_INLINE vi even_pairs(vi w) { return (vi)_mm_srai_epi16(_mm_slli_epi16((__m128i)w, 8), 8); }
AKI_INLINE vi odd_pairs(vi w) { return (vi)_mm_srai_epi16((__m128i)w, 8); }
#endif

/* Bytes of the even pairs of a row, or of the odd ones. */
AKI_INLINE size_t pairs_size(size_t k) { return (k + sizeof(vi) - 1) / sizeof(vi) * sizeof(vi); }

static void widen(char *to, const uint8_t *x, size_t k)
{
    size_t half = pairs_size(k);

    for (size_t i = 0; i < k; i += sizeof(vi)) {
        vi bytes = {0};
        if (k - i >= sizeof bytes)
            memcpy(&bytes, x + i, sizeof bytes);
        else
            memcpy(&bytes, x + i, k - i);
        vi even = bytes & 0x00FF00FF, odd = bytes >> 8 & 0x00FF00FF;
        memcpy(to + i, &even, sizeof even);
        memcpy(to + half + i, &odd, sizeof odd);
    }
}

AKI_INLINE void step_s8(vi sum[][TILE_VECTORS], const char *x, size_t stride, const char *w, bool odd, int rows)
{
    vi b[TILE_VECTORS];

    AKI_UNROLL
    for (int v = 0; v < TILE_VECTORS; v++) {
        memcpy(&b[v], w + (size_t)v * sizeof b[v], sizeof b[v]);
        b[v] = odd ? odd_pairs(b[v]) : even_pairs(b[v]);
    }
    AKI_UNROLL
    for (int r = 0; r < rows; r++) {
        int32_t pair;
        memcpy(&pair, x + (size_t)r * stride, sizeof pair);
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            sum[r][v] += pair_dot(pair - (vi){0}, b[v]);
    }
}

/* Even and odd pairs alternate, in stretches whose weights stay in the first-level cache: both at once would need more than 16
 * registers. */
AKI_INLINE void sum_s8(const struct tile *t, vi sum[][TILE_VECTORS], int rows)
{
    enum { STRETCH = 512 };
    size_t k = t->a->w->k, half = pairs_size(k);

    for (size_t begin = 0; begin < k; begin += STRETCH) {
        size_t end = k - begin < STRETCH ? k : begin + STRETCH;
        for (size_t i = begin; i < end; i += 4) {
            fetch(t->w + i * AKI_PANEL, t->ahead);
            step_s8(sum, t->x + i, t->stride, t->w + i * AKI_PANEL, false, rows);
        }
        for (size_t i = begin; i < end; i += 4)
            step_s8(sum, t->x + half + i, t->stride, t->w + i * AKI_PANEL, true, rows);
    }
}

#elif defined(__ARM_FEATURE_MATMUL_INT8)

/* usmmla multiplies two rows with two columns over eight inputs: a block of four sums. Two steps of packed weights, interleaved by
 * columns, hold eight inputs of two columns each; a row without a second is multiplied twice. */
enum { BLOCKS = 2 * TILE_VECTORS };

AKI_INLINE uint8x8_t eight(const uint8_t *x, size_t count)
{
    uint8x8_t bytes = {0};
    memcpy(&bytes, x, count);
    return bytes;
}

/* count: of inputs, from 1 to 8. The weights end with the step of the last one. */
AKI_INLINE void step_s8(int32x4_t sum[][BLOCKS], const uint8_t *x, size_t stride, const char *w, size_t count, int rows)
{
    uint8x16_t y[TILE_ROWS / 2];

    AKI_UNROLL
    for (int r = 0; r < rows; r += 2) {
        const uint8_t *row = x + (size_t)r * stride;
        y[r / 2] = vcombine_u8(eight(row, count), eight(r + 1 < rows ? row + stride : row, count));
    }
    AKI_UNROLL
    for (int v = 0; v < TILE_VECTORS; v++) {
        int32x4_t a, b = {0};
        __asm__ volatile("" : : : "memory");       /* one after the other: with all weights loaded first, gcc spills sums */
        memcpy(&a, w + (size_t)v * sizeof a, sizeof a);
        if (count > 4)
            memcpy(&b, w + 4 * AKI_PANEL + (size_t)v * sizeof b, sizeof b);
        int8x16_t low = vreinterpretq_s8_s32(vzip1q_s32(a, b)), high = vreinterpretq_s8_s32(vzip2q_s32(a, b));
        AKI_UNROLL
        for (int r = 0; r < rows; r += 2) {
            sum[r / 2][2 * v] = vusmmlaq_s32(sum[r / 2][2 * v], y[r / 2], low);
            sum[r / 2][2 * v + 1] = vusmmlaq_s32(sum[r / 2][2 * v + 1], y[r / 2], high);
        }
    }
}

AKI_INLINE void sum_s8(const struct tile *t, vi sum[][TILE_VECTORS], int rows)
{
    const uint8_t *x = (const uint8_t *)t->x;
    const char *w = t->w;
    size_t k = t->a->w->k, stride = t->stride, ahead = t->ahead, i = 0;
    int32x4_t block[TILE_ROWS / 2][BLOCKS];

    AKI_UNROLL
    for (int r = 0; r < rows; r += 2)
        AKI_UNROLL
        for (int b = 0; b < BLOCKS; b++)
            block[r / 2][b] = vdupq_n_s32(0);
    for (; i + 8 <= k; i += 8) {
        fetch(w + i * AKI_PANEL, ahead);
        fetch(w + (i + 4) * AKI_PANEL, ahead);
        step_s8(block, x + i, stride, w + i * AKI_PANEL, 8, rows);
    }
    if (i < k)
        step_s8(block, x + i, stride, w + i * AKI_PANEL, k - i, rows);
    AKI_UNROLL
    for (int r = 0; r < rows; r++)
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) {
            int64x2_t left = vreinterpretq_s64_s32(block[r / 2][2 * v]), right = vreinterpretq_s64_s32(block[r / 2][2 * v + 1]);
            sum[r][v] += (vi)(r % 2 ? vzip2q_s64(left, right) : vzip1q_s64(left, right));
        }
}

#else

/* Each lane: sum + a[0] * b[0] + … + a[3] * b[3], where x has the same four u8 in every lane and w four s8 of a column.
 * SIGNED_ROWS: x has s8, the u8 minus 128. */
#if AKI_LANES == 16
AKI_INLINE vi dot(vi sum, vi x, vi w) { return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w); }
#elif defined(AKI_EVEX)
AKI_INLINE vi dot(vi sum, vi x, vi w)
{
    __asm__("%{evex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "xm"(w));
    return sum;
}
#elif AKI_LANES == 8
AKI_INLINE vi dot(vi sum, vi x, vi w) { return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w); }
#elif defined(__ARM_FEATURE_DOTPROD)
#  define SIGNED_ROWS
AKI_INLINE vi dot(vi sum, vi x, vi w) { return (vi)vdotq_s32((int32x4_t)sum, (int8x16_t)x, (int8x16_t)w); }
#else
AKI_INLINE vi dot(vi sum, vi x, vi w)
{
    AKI_UNROLL
    for (int byte = 0; byte < 4; byte++)
        sum += (x >> (8 * byte) & 255) * (w << (24 - 8 * byte) >> 24);
    return sum;
}
#endif

/* Four bytes of a row in every lane; fewer at the end of the row, where the weights are zeros. */
AKI_INLINE vi four(const uint8_t *x, size_t count)
{
    uint32_t bytes = 0;

    memcpy(&bytes, x, count);
#if defined(SIGNED_ROWS)
    bytes ^= 0x80808080u;
#endif
    return (int32_t)bytes - (vi){0};
}

AKI_INLINE void step_s8(vi sum[][TILE_VECTORS], const uint8_t *x, size_t stride, const char *w, size_t count, int rows)
{
    vi b[TILE_VECTORS];

    AKI_UNROLL
    for (int v = 0; v < TILE_VECTORS; v++)      /* one by one: as a whole, the array would be copied through memory */
        memcpy(&b[v], w + (size_t)v * sizeof b[v], sizeof b[v]);
    AKI_UNROLL
    for (int r = 0; r < rows; r++) {
        vi y = four(x + (size_t)r * stride, count);
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            sum[r][v] = dot(sum[r][v], y, b[v]);
    }
}

AKI_INLINE void sum_s8(const struct tile *t, vi sum[][TILE_VECTORS], int rows)
{
    const uint8_t *x = (const uint8_t *)t->x;
    size_t k = t->a->w->k, i = 0;

    for (; i + 4 <= k; i += 4) {
        fetch(t->w + i * AKI_PANEL, t->ahead);
        step_s8(sum, x + i, t->stride, t->w + i * AKI_PANEL, 4, rows);
    }
    if (i < k)
        step_s8(sum, x + i, t->stride, t->w + i * AKI_PANEL, k - i, rows);
}

#endif

AKI_INLINE void tile_s8(const struct tile *t, int rows)
{
    const struct aki__packed *packed = t->a->w;
    vi sum[TILE_ROWS][TILE_VECTORS], start[TILE_VECTORS];
    vf real[TILE_ROWS][TILE_VECTORS], scale[TILE_VECTORS];

    AKI_UNROLL
    for (int v = 0; v < TILE_VECTORS; v++) {
        memcpy(&start[v], packed->sum + t->column + v * AKI_LANES, sizeof start[v]);
        scale[v] = vload(packed->scale + t->column + v * AKI_LANES);
#if defined(SIGNED_ROWS)
        start[v] = (vi){0};
#else
        start[v] = start[v] * -128;
#endif
    }
    AKI_UNROLL
    for (int r = 0; r < rows; r++)
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            sum[r][v] = start[v];
    sum_s8(t, sum, rows);
    AKI_UNROLL
    for (int r = 0; r < rows; r++)
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            real[r][v] = __builtin_convertvector(sum[r][v], vf) * (vset(t->a->x_scale[t->row + (size_t)r]) * scale[v]);
    if (packed->outliers.count)
        add_side(t, real, rows);
    put(t, real, rows);
}

/* ---------------------------------------------------------------- all tiles ------------------------------------- */

enum kind { FLOAT32 = AKI_TABLE_F32, FLOAT16 = AKI_TABLE_F16, BFLOAT16 = AKI_TABLE_BF16, BFLOAT16_ROWS, INT8 };

AKI_INLINE void some_tile(const struct tile *t, int rows, enum kind kind)
{
    if (kind == INT8)
        tile_s8(t, rows);
    else if (kind == BFLOAT16_ROWS)
        tile_bf16(t, rows);
    else
        tile_float(t, rows, (enum aki__table_dtype)kind);
}

AKI_INLINE void any_tile(const struct tile *t, size_t rows, enum kind kind)
{
    switch (rows) {
#define TILE_CASE(n) case n: some_tile(t, n <= TILE_ROWS ? n : 1, kind); break;
    TILE_CASE(1) TILE_CASE(2) TILE_CASE(3)
#if TILE_ROWS > 3
    TILE_CASE(4) TILE_CASE(5) TILE_CASE(6)
#endif
#if TILE_ROWS > 6
    TILE_CASE(7) TILE_CASE(8) TILE_CASE(9) TILE_CASE(10) TILE_CASE(11) TILE_CASE(12) TILE_CASE(13) TILE_CASE(14)
#endif
    }
}

/* In functions of their own, where the kind is a constant. */
static void any_tile_f32(const struct tile *t, size_t rows) { any_tile(t, rows, FLOAT32); }
static void any_tile_f16(const struct tile *t, size_t rows) { any_tile(t, rows, FLOAT16); }
static void any_tile_bf16(const struct tile *t, size_t rows) { any_tile(t, rows, BFLOAT16); }
static void any_tile_s8(const struct tile *t, size_t rows) { any_tile(t, rows, INT8); }
static void any_tile_bf16_rows(const struct tile *t, size_t rows) { any_tile(t, rows, BFLOAT16_ROWS); }

static void (*tile_of(const struct aki__packed *w))(const struct tile *t, size_t rows)
{
    if (w->scale)
        return any_tile_s8;
    if (w->dtype == AKI_TABLE_BF16)
        return BF16_PRODUCTS && w->bf16 ? any_tile_bf16_rows : any_tile_bf16;
    return w->dtype == AKI_TABLE_F32 ? any_tile_f32 : any_tile_f16;
}

/* Bytes of a panel of f16 that was widened: for more than one tile of rows that is cheaper than widening it in every tile, which
 * for f16 takes several instructions a vector. */
static size_t strip_size(const struct aki__packed *w) { return !w->scale && w->dtype == AKI_TABLE_F16 ? w->k * AKI_PANEL * sizeof(float) : 0; }

static void widen_panel(float *to, const char *from, size_t k)
{
    for (size_t i = 0; i < k; i++) {
        const char *step = from + i / 2 * AKI_PANEL * 4;
        if (i % 2 == 0)
            __builtin_prefetch(step + AHEAD), __builtin_prefetch(step + AHEAD + 64);
        AKI_UNROLL
        for (int v = 0; v < (int)(AKI_PANEL / AKI_LANES); v++)
            vstore(to + i * AKI_PANEL + v * AKI_LANES, widened(step, v, AKI_TABLE_F16, i % 2));
    }
}

/* Computes the rows first … first + count, at x, with one panel. */
static void run_panel(const struct aki__product *a, const char *x, size_t stride, size_t first, size_t count, size_t panel, void *strip)
{
    const struct aki__packed *w = a->w;
    void (*tile)(const struct tile *t, size_t rows) = tile_of(w);
    size_t tiles = (count + TILE_ROWS - 1) / TILE_ROWS;
    const char *from = (const char *)w->data + panel * aki__packed_size(AKI_PANEL, w->k, aki__packed_weight_size(w));

    if (strip_size(w) && tiles > 1) {
        widen_panel(strip, from, w->k);
        from = strip;
        tile = any_tile_f32;
    }
    for (size_t c = 0; c < AKI_PANEL && panel * AKI_PANEL + c < w->n; c += TILE_COLUMNS)
        for (size_t i = 0; i < tiles; i++) {
            size_t row = count * i / tiles, rows = count * (i + 1) / tiles - row;       /* of similar height */
            struct tile t = { .a = a, .x = x + row * stride, .w = from + c * 4, .stride = stride, .row = first + row,
                              .column = panel * AKI_PANEL + c,
                              .ahead = i ? 0 : AHEAD };
            tile(&t, rows);
        }
}

/* Bytes between the rows of a copy. Not many rows may have a distance of 4 KiB, since they would evict each other from the
 * first-level cache. 0: no copy is needed. */
static size_t copy_stride(const struct aki__packed *w)
{
    size_t row = w->k * (w->scale ? 1 : sizeof(float));

#if defined(PAIRS)
    if (w->scale)
        return 2 * pairs_size(w->k) + 64;
#endif
    if (BF16_PRODUCTS && w->bf16)
        return rounded_size(w->k) + 64;
    return row % 4096 ? 0 : row + 64;
}

size_t ISA(product_scratch_size)(const struct aki__product *a)
{
    return (a->rows < AKI_PRODUCT_ROWS ? a->rows : AKI_PRODUCT_ROWS) * copy_stride(a->w) + strip_size(a->w);
}

static void copy_row(char *to, const char *x, size_t row_size, const struct aki__packed *w)
{
#if defined(PAIRS)
    if (w->scale) {
        widen(to, (const uint8_t *)x, w->k);
        return;
    }
#endif
    if (BF16_PRODUCTS && w->bf16)
        round_row(to, (const float *)(const void *)x, w->k);
    else
        memcpy(to, x, row_size);
}

void ISA(product)(const struct aki__product *a, size_t begin, size_t end, void *scratch)
{
    size_t panels = aki__panels(a->w->n), row_size = a->w->k * (a->w->scale ? 1 : sizeof(float)), stride = copy_stride(a->w);

    for (size_t unit = begin; unit < end; unit++) {
        size_t first = unit / panels * AKI_PRODUCT_ROWS, count = a->rows - first < AKI_PRODUCT_ROWS ? a->rows - first : AKI_PRODUCT_ROWS;
        const char *x = (const char *)a->x + first * row_size;
        if (stride && (unit == begin || unit % panels == 0))
            for (size_t r = 0; r < count; r++)
                copy_row((char *)scratch + r * stride, x + r * row_size, row_size, a->w);
        run_panel(a, stride ? scratch : x, stride ? stride : row_size, first, count, unit % panels, (char *)scratch + count * stride);
    }
}
