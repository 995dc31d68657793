/* Unit kernel: rotation by Walsh-Hadamard blocks, and quantisation of activations (u8 per row) and weights (s8 per channel).
 * Which elements share a block: see aki__rotation_shape in kernel.h. */
#include "kernel/isa.h"
#include "kernel/isa_math.h"

#include <math.h>

#define NOT_FINITE 0x7F800000u
#define NEGLIGIBLE 1e-30f                   /* below it 127 / max could overflow */

/* ---------------------------------------------------------------- rotation -------------------------------------- */

#define BUTTERFLY(a, b) do { float sum_ = a + b; b = a - b; a = sum_; } while (0)

/* Butterflies at distances d, 2d (and 4d): whole vectors, no shuffles. dst may be src. */
static void cross_2(float *dst, const float *src, size_t n, size_t d)
{
    for (size_t base = 0; base < n; base += 2 * d) {
        const float *x = src + base;
        float *y = dst + base;
        AKI_SIMD
        for (size_t j = 0; j < d; j++) {
            float a = x[j], b = x[j + d];
            y[j] = a + b;
            y[j + d] = a - b;
        }
    }
}

static void cross_4(float *dst, const float *src, size_t n, size_t d)
{
    for (size_t base = 0; base < n; base += 4 * d) {
        const float *x = src + base;
        float *y = dst + base;
        AKI_SIMD
        for (size_t j = 0; j < d; j++) {
            float a = x[j], b = x[j + d], c = x[j + 2 * d], e = x[j + 3 * d];
            BUTTERFLY(a, b); BUTTERFLY(c, e);
            y[j] = a + c;
            y[j + d] = b + e;
            y[j + 2 * d] = a - c;
            y[j + 3 * d] = b - e;
        }
    }
}

static void cross_8(float *dst, const float *src, size_t n, size_t d)
{
    for (size_t base = 0; base < n; base += 8 * d) {
        const float *x = src + base;
        float *y = dst + base;
        AKI_SIMD
        for (size_t j = 0; j < d; j++) {
            float a0 = x[j], a1 = x[j + d], a2 = x[j + 2 * d], a3 = x[j + 3 * d];
            float a4 = x[j + 4 * d], a5 = x[j + 5 * d], a6 = x[j + 6 * d], a7 = x[j + 7 * d];
            BUTTERFLY(a0, a1); BUTTERFLY(a2, a3); BUTTERFLY(a4, a5); BUTTERFLY(a6, a7);
            BUTTERFLY(a0, a2); BUTTERFLY(a1, a3); BUTTERFLY(a4, a6); BUTTERFLY(a5, a7);
            y[j] = a0 + a4;
            y[j + d] = a1 + a5;
            y[j + 2 * d] = a2 + a6;
            y[j + 3 * d] = a3 + a7;
            y[j + 4 * d] = a0 - a4;
            y[j + 5 * d] = a1 - a5;
            y[j + 6 * d] = a2 - a6;
            y[j + 7 * d] = a3 - a7;
        }
    }
}

/* Butterflies at distance 1, 2, 4, 8 inside vectors: x + its mirror, with the sign of the right half turned. */
#if AKI_LANES == 16
#  define SWAP1(x) __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#  define SWAP2(x) __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#  define SWAP4(x) __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)
#  define SWAP8(x) __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
#elif AKI_LANES == 8
#  define SWAP1(x) __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6)
#  define SWAP2(x) __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5)
#  define SWAP4(x) __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3)
#else
#  define SWAP1(x) __builtin_shufflevector(x, x, 1, 0, 3, 2)
#  define SWAP2(x) __builtin_shufflevector(x, x, 2, 3, 0, 1)
#endif

/* Lane i: -1 where i has the bit `distance`, else 1. */
AKI_INLINE vf turn(int distance)
{
    vf sign = {0};
    for (int i = 0; i < AKI_LANES; i++)
        sign[i] = i & distance ? -1.0f : 1.0f;
    return sign;
}

/* Distances 1 .. near/2 in each group of 16. */
AKI_INLINE void near_passes(float *x, size_t n, size_t near)
{
    enum { VECTORS = 16 / AKI_LANES };

    for (size_t i = 0; i < n; i += 16) {
        vf g[VECTORS];
        for (int k = 0; k < VECTORS; k++) {
            vf v = vload(x + i + k * AKI_LANES);
            v = v * turn(1) + SWAP1(v);
            if (near > 2)
                v = v * turn(2) + SWAP2(v);
#if AKI_LANES >= 8
            if (near > 4)
                v = v * turn(4) + SWAP4(v);
#endif
#if AKI_LANES >= 16
            if (near > 8)
                v = v * turn(8) + SWAP8(v);
#endif
            g[k] = v;
        }
        for (int d = 1; d < VECTORS; d *= 2)
            if (near > (size_t)(d * AKI_LANES))
                for (int k = 0; k < VECTORS; k++)
                    if (!(k & d)) {
                        vf a = g[k], b = g[k + d];
                        g[k] = a + b;
                        g[k + d] = a - b;
                    }
        for (int k = 0; k < VECTORS; k++)
            vstore(x + i + k * AKI_LANES, g[k]);
    }
}

static void near_all(float *x, size_t n, size_t near)
{
    switch (near) {
    case 2:  near_passes(x, n, 2);  break;
    case 4:  near_passes(x, n, 4);  break;
    case 8:  near_passes(x, n, 8);  break;
    case 16: near_passes(x, n, 16); break;
    }
}

uint32_t ISA(rotate)(float *dst, const float *src, size_t n, size_t block)
{
    size_t cross, near;
    int32_t most = 0;

    aki__rotation_shape(n, block, &cross, &near);
    if (n % 16 || cross == 1) {
        if (dst != src)
            memcpy(dst, src, n * sizeof *src);
        src = dst;
    }
    for (size_t d = n / cross, c = cross; c > 1;) {
        size_t radix = c == 2 ? 2 : c == 4 || c == 16 ? 4 : 8;
        if (radix == 8)
            cross_8(dst, src, n, d);
        else if (radix == 4)
            cross_4(dst, src, n, d);
        else
            cross_2(dst, src, n, d);
        src = dst;
        d *= radix;
        c /= radix;
    }
    if (n % 16 == 0)
        near_all(dst, n, near);
    else
        for (size_t d = 1; d < near; d *= 2)
            cross_2(dst, dst, n, d);

#pragma omp simd reduction(max:most)
    for (size_t i = 0; i < n; i++) {
        int32_t bits = (int32_t)(float_bits(dst[i]) & 0x7FFFFFFFu);
        most = bits > most ? bits : most;
    }
    return (uint32_t)most;
}

/* ---------------------------------------------------------------- activations ----------------------------------- */

/* Scale of the rotated row without its 1/sqrt(block), and the factor that takes it to -limit .. limit. */
AKI_INLINE float row_factor(uint32_t most, size_t block, int limit, float *scale)
{
    float max = bits_float(most);

    if (most >= NOT_FINITE || max < NEGLIGIBLE) {
        *scale = most >= NOT_FINITE ? NAN : 0.0f;
        return 0.0f;
    }
    *scale = (float)((double)max / ((double)limit * sqrt((double)block)));
    return (float)limit / max;
}

void ISA(quantise_row)(const struct aki__out *out, size_t row, float *x, size_t n)
{
    uint32_t most = ISA(rotate)(x, x, n, out->block);
    float factor = row_factor(most, out->block, 127, &out->row_scale[row]);
    uint8_t *restrict u8 = out->u8 + row * out->stride;

    if (factor == 0.0f) {
        memset(u8, 128, n);
        return;
    }
    AKI_SIMD
    for (size_t i = 0; i < n; i++)
        u8[i] = (uint8_t)float_bits(x[i] * factor + (AKI_ROUND + 128.0f));
}

/* ---------------------------------------------------------------- weights --------------------------------------- */

/* Columns begin .. begin + rows of the [k, n] output, from the tile's rows of k bytes: whole cache lines are written. */
static void put_tile(const struct aki__quantise *a, const int8_t *tile, size_t stride, size_t begin, size_t rows)
{
    for (size_t i = 0; i < a->k; i++) {
        int8_t *restrict to = a->out + i * a->n + begin;
        for (size_t r = 0; r < rows; r++)
            to[r] = tile[r * stride + i];
    }
}

void ISA(quantise_weights)(const struct aki__quantise *a, size_t begin, size_t end, float *scratch)
{
    size_t k = a->k, stride = k + 64;       /* 64: keeps the tile's rows out of each other's cache sets */
    int8_t *tile = (int8_t *)(scratch + k);

    for (size_t at = begin; at < end; at += AKI_QUANTISE_ROWS) {
        size_t rows = end - at < AKI_QUANTISE_ROWS ? end - at : AKI_QUANTISE_ROWS;
        for (size_t r = 0; r < rows; r++) {
            int8_t *restrict s8 = tile + r * stride;
            ISA(table_row)(scratch, &a->w, (at + r) * k, k);
            float factor = row_factor(ISA(rotate)(scratch, scratch, k, a->block), a->block, a->limit, &a->scale[at + r]);
            if (factor == 0.0f)
                memset(s8, 0, k);
            else
                AKI_SIMD
                for (size_t i = 0; i < k; i++)
                    s8[i] = (int8_t)(uint8_t)float_bits(scratch[i] * factor + AKI_ROUND);
        }
        put_tile(a, tile, stride, at, rows);
    }
}
