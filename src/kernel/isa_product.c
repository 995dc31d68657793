/* Unit kernel: dense products: rows, f32 or u8, with a packed matrix; and the packing. See struct aki__packed in kernel.h.
 *
 * A tile of rows and columns is held in registers over the whole depth, and every element is summed in the order of k: so a row's result
 * depends neither on the other rows nor on how the work is split. The weights of a panel stream past once for every AKI_PRODUCT_ROWS rows. */
#include "kernel/isa.h"
#include "kernel/isa_math.h"

#include <math.h>

#if defined(__ARM_FEATURE_DOTPROD)
#  include <arm_neon.h>
#endif

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
#define TILE_COLUMNS ((size_t)TILE_VECTORS * AKI_LANES)
_Static_assert(AKI_PANEL % TILE_COLUMNS == 0, "a panel is whole tiles");

/* Rows row … of the output, as far as its columns reach. */
AKI_INLINE void put(const struct aki__product *a, size_t row, size_t column, vf sum[][TILE_VECTORS], int rows)
{
    size_t left = a->w->n - column;
    vf bias[TILE_VECTORS];

    AKI_UNROLL
    for (int v = 0; v < TILE_VECTORS; v++)
        bias[v] = a->w->bias ? vload(a->w->bias + column + v * AKI_LANES) : (vf){0};
    AKI_UNROLL
    for (int r = 0; r < rows; r++) {
        float *out = a->out + (row + (size_t)r) * a->w->n + column, part[TILE_COLUMNS], *to = left < TILE_COLUMNS ? part : out;
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            vstore(to + v * AKI_LANES, sum[r][v] + bias[v]);
        if (to == part)
            memcpy(out, part, left * sizeof *out);
    }
}

/* ---------------------------------------------------------------- f32 ------------------------------------------- */

AKI_INLINE void tile_f32(const struct aki__product *a, size_t row, size_t column, const float *w, int rows)
{
    size_t k = a->w->k;
    const float *x = (const float *)a->x + row * k;
    vf sum[TILE_ROWS][TILE_VECTORS];

    AKI_UNROLL
    for (int r = 0; r < rows; r++)
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            sum[r][v] = (vf){0};
    for (size_t i = 0; i < k; i++) {
        vf b[TILE_VECTORS];
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            b[v] = vload(w + i * AKI_PANEL + v * AKI_LANES);
        AKI_UNROLL
        for (int r = 0; r < rows; r++) {
            vf y = vset(x[(size_t)r * k + i]);
            AKI_UNROLL
            for (int v = 0; v < TILE_VECTORS; v++)
                sum[r][v] = sum[r][v] + y * b[v];
        }
    }
    put(a, row, column, sum, rows);
}

/* ---------------------------------------------------------------- int8 ------------------------------------------ */

/* Each lane: sum + a[0] * b[0] + … + a[3] * b[3], where x holds the same four u8 in every lane and w four s8 of a column.
 * Exact for weights within AKI_INT8_LIMIT. SIGNED_ROWS: takes the u8 as s8, less 128. */
#if defined(__AVX512VNNI__) && AKI_LANES == 16
AKI_INLINE vi dot(vi sum, vi x, vi w) { return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w); }
#elif defined(__AVXVNNI__) && AKI_LANES == 8
AKI_INLINE vi dot(vi sum, vi x, vi w) { return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w); }
#elif AKI_LANES == 8
AKI_INLINE vi dot(vi sum, vi x, vi w)
{
    return sum + (vi)_mm256_madd_epi16(_mm256_maddubs_epi16((__m256i)x, (__m256i)w), _mm256_set1_epi16(1));
}
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

/* Four bytes of a row in every lane; fewer where the row ends (the weights there are zeros). */
AKI_INLINE vi four(const uint8_t *x, size_t count)
{
    uint32_t bytes = 0;

    memcpy(&bytes, x, count);
#if defined(SIGNED_ROWS)
    bytes ^= 0x80808080u;
#endif
    return (int32_t)bytes - (vi){0};
}

AKI_INLINE void step_s8(vi sum[][TILE_VECTORS], const uint8_t *x, size_t k, const int8_t *w, size_t count, int rows)
{
    vi b[TILE_VECTORS];

    memcpy(b, w, sizeof b);
    AKI_UNROLL
    for (int r = 0; r < rows; r++) {
        vi y = four(x + (size_t)r * k, count);
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            sum[r][v] = dot(sum[r][v], y, b[v]);
    }
}

AKI_INLINE void tile_s8(const struct aki__product *a, size_t row, size_t column, const int8_t *w, int rows)
{
    size_t k = a->w->k, i = 0;
    const uint8_t *x = (const uint8_t *)a->x + row * k;
    vi sum[TILE_ROWS][TILE_VECTORS], start[TILE_VECTORS];
    vf real[TILE_ROWS][TILE_VECTORS], scale[TILE_VECTORS];

    AKI_UNROLL
    for (int v = 0; v < TILE_VECTORS; v++) {
        memcpy(&start[v], a->w->sum + column + v * AKI_LANES, sizeof start[v]);
        scale[v] = vload(a->w->scale + column + v * AKI_LANES);
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
    for (; i + 4 <= k; i += 4)
        step_s8(sum, x + i, k, w + i * AKI_PANEL, 4, rows);
    if (i < k)
        step_s8(sum, x + i, k, w + i * AKI_PANEL, k - i, rows);
    AKI_UNROLL
    for (int r = 0; r < rows; r++)
        AKI_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            real[r][v] = __builtin_convertvector(sum[r][v], vf) * (vset(a->x_scale[row + (size_t)r]) * scale[v]);
    put(a, row, column, real, rows);
}

/* ---------------------------------------------------------------- all tiles ------------------------------------- */

AKI_INLINE void tile(const struct aki__product *a, size_t row, size_t column, size_t at, bool is_f32, int rows)
{
    if (is_f32)
        tile_f32(a, row, column, (const float *)a->w->data + at, rows);
    else
        tile_s8(a, row, column, (const int8_t *)a->w->data + at, rows);
}

/* Rows row … row + rows of one tile's columns; at: where these begin in the packed data. */
AKI_INLINE void any_tile(const struct aki__product *a, size_t row, size_t column, size_t at, bool is_f32, size_t rows)
{
    switch (rows) {
#define TILE_CASE(n) case n: tile(a, row, column, at, is_f32, n <= TILE_ROWS ? n : 1); break;
    TILE_CASE(1) TILE_CASE(2) TILE_CASE(3)
#if TILE_ROWS > 3
    TILE_CASE(4) TILE_CASE(5) TILE_CASE(6)
#endif
#if TILE_ROWS > 6
    TILE_CASE(7) TILE_CASE(8) TILE_CASE(9) TILE_CASE(10) TILE_CASE(11) TILE_CASE(12) TILE_CASE(13) TILE_CASE(14)
#endif
    }
}

static void unit_f32(const struct aki__product *a, size_t row, size_t column, size_t at, size_t rows) { any_tile(a, row, column, at, true, rows); }
static void unit_s8(const struct aki__product *a, size_t row, size_t column, size_t at, size_t rows) { any_tile(a, row, column, at, false, rows); }

void ISA(product)(const struct aki__product *a, size_t begin, size_t end)
{
    size_t panels = aki__panels(a->w->n), depth = aki__packed_depth(a->w->k, !a->w->scale), wide = a->w->scale ? 4 : 1;

    for (size_t unit = begin; unit < end; unit++) {
        size_t first = unit / panels * AKI_PRODUCT_ROWS, panel = unit % panels;
        size_t count = a->rows - first < AKI_PRODUCT_ROWS ? a->rows - first : AKI_PRODUCT_ROWS, tiles = (count + TILE_ROWS - 1) / TILE_ROWS;
        for (size_t c = 0; c < AKI_PANEL && panel * AKI_PANEL + c < a->w->n; c += TILE_COLUMNS)
            for (size_t t = 0; t < tiles; t++) {
                size_t row = count * t / tiles, rows = count * (t + 1) / tiles - row;
                if (a->w->scale)
                    unit_s8(a, first + row, panel * AKI_PANEL + c, panel * AKI_PANEL * depth + c * wide, rows);
                else
                    unit_f32(a, first + row, panel * AKI_PANEL + c, panel * AKI_PANEL * depth + c * wide, rows);
            }
    }
}

/* ---------------------------------------------------------------- packing --------------------------------------- */

void ISA(pack_f32)(const struct aki__pack *a, size_t begin, size_t end)
{
    float part[64];

    for (size_t i = 0; i < a->k; i += 64)
        for (size_t r = begin; r < end; r++) {
            size_t column = a->column + r, count = a->k - i < 64 ? a->k - i : 64;
            float *to = (float *)a->out + column / AKI_PANEL * AKI_PANEL * a->k + i * AKI_PANEL + column % AKI_PANEL;
            ISA(table_row)(part, &a->w, r * a->k + i, count);
            for (size_t j = 0; j < count; j++)
                to[j * AKI_PANEL] = part[j];
        }
}

void ISA(pack_s8)(const struct aki__pack *a, size_t begin, size_t end, float *scratch)
{
    size_t depth = aki__packed_depth(a->k, false);
    int8_t *row = (int8_t *)(scratch + a->k);

    memset(row, 0, depth);
    for (size_t r = begin; r < end; r++) {
        size_t column = a->column + r;
        int8_t *to = (int8_t *)a->out + column / AKI_PANEL * AKI_PANEL * depth + column % AKI_PANEL * 4;
        ISA(table_row)(scratch, &a->w, r * a->k, a->k);
        a->scale[column] = ISA(quantise_weights)(row, scratch, a->k, a->block, AKI_INT8_LIMIT, &a->sum[column]);
        for (size_t i = 0; i < depth; i += 4)
            memcpy(to + i * AKI_PANEL, row + i, 4);
    }
}
