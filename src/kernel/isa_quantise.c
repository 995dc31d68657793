/* Unit kernel: rotation with Walsh-Hadamard blocks, and quantisation of activations (u8 for each row) and weights (s8 for each
 * channel). For the columns of a block see aki__rotation_shape in kernel.h. */
#include "kernel/isa.h"
#include "kernel/isa_math.h"

#include <math.h>

#define NOT_FINITE 0x7F800000u
#define NEGLIGIBLE 1e-30f                   /* below this, 127 / max could overflow */

/* ---------------------------------------------------------------- rotation -------------------------------------- */

#define BUTTERFLY(a, b) do { vf sum_ = a + b; b = a - b; a = sum_; } while (0)

/* Butterflies at distance 1, 2, 4, 8 in a vector: x + its mirror, with the sign of the right half inverted. */
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

/* Lane i: -1 if i has the bit `distance`, else 1. */
AKI_INLINE vf turn(int distance)
{
    vf sign = {0};
    for (int i = 0; i < AKI_LANES; i++)
        sign[i] = i & distance ? -1.0f : 1.0f;
    return sign;
}

/* A pass holds RADIX groups of 16 columns in registers: butterflies between the groups, at distances d, 2d …; the last pass
 * also computes those inside each group, and the maximum. */
#define GROUP (16 / AKI_LANES)              /* vectors */
#if AKI_LANES == 16
#  define RADIX 16
#else
#  define RADIX (AKI_LANES / 2)
#endif

/* Distances 1 … near/2 in one group. */
AKI_INLINE void near_butterflies(vf g[GROUP], size_t near)
{
    AKI_UNROLL
    for (int k = 0; k < GROUP; k++) {
        if (near > 1)
            g[k] = g[k] * turn(1) + SWAP1(g[k]);
        if (near > 2)
            g[k] = g[k] * turn(2) + SWAP2(g[k]);
#if AKI_LANES >= 8
        if (near > 4)
            g[k] = g[k] * turn(4) + SWAP4(g[k]);
#endif
#if AKI_LANES >= 16
        if (near > 8)
            g[k] = g[k] * turn(8) + SWAP8(g[k]);
#endif
    }
    AKI_UNROLL
    for (int d = 1; d < GROUP; d *= 2)
        if (near > (size_t)(d * AKI_LANES))
            AKI_UNROLL
            for (int k = 0; k < GROUP; k++)
                if (!(k & d))
                    BUTTERFLY(g[k], g[k + d]);
}

/* radix and last are constants in each call. */
AKI_INLINE vi pass(float *dst, const float *src, size_t n, size_t d, size_t near, int radix, bool last)
{
    vi most[2] = {{0}};                     /* the bits of absolute values have their order */

    for (size_t base = 0; base < n; base += (size_t)radix * d)
        for (size_t j = base; j < base + d; j += 16) {
            vf g[RADIX][GROUP];
            AKI_UNROLL
            for (int r = 0; r < radix; r++)
                AKI_UNROLL
                for (int k = 0; k < GROUP; k++)
                    g[r][k] = vload(src + j + (size_t)r * d + k * AKI_LANES);
            AKI_UNROLL
            for (int h = 1; h < radix; h *= 2)
                AKI_UNROLL
                for (int r = 0; r < radix; r++)
                    AKI_UNROLL
                    for (int k = 0; k < GROUP; k++)
                        if (!(r & h))
                            BUTTERFLY(g[r][k], g[r + h][k]);
            AKI_UNROLL
            for (int r = 0; r < radix; r++) {
                if (last)
                    near_butterflies(g[r], near);
                AKI_UNROLL
                for (int k = 0; k < GROUP; k++) {
                    if (last)
                        most[r & 1] = vmax_int(most[r & 1], (vi)g[r][k] & 0x7FFFFFFF);
                    vstore(dst + j + (size_t)r * d + k * AKI_LANES, g[r][k]);
                }
            }
        }
    return vmax_int(most[0], most[1]);
}

static vi any_pass(float *dst, const float *src, size_t n, size_t d, size_t near, size_t radix, bool last)
{
    switch (radix) {
#define RADIX_CASE(r) case r: return last ? pass(dst, src, n, d, near, r, true) : pass(dst, src, n, d, near, r, false)
    RADIX_CASE(1);
#if RADIX > 2
    RADIX_CASE(2);
#endif
#if RADIX > 4
    RADIX_CASE(4);
    RADIX_CASE(8);
#endif
    default: return last ? pass(dst, src, n, d, near, RADIX, true) : pass(dst, src, n, d, near, RADIX, false);
    }
}

/* If 16 does not divide n, all distances are small. */
static uint32_t rotate_odd(float *dst, const float *src, size_t n, size_t near)
{
    uint32_t most = 0;

    if (dst != src)
        memcpy(dst, src, n * sizeof *src);
    for (size_t d = 1; d < near; d *= 2)
        for (size_t i = 0; i < n; i++)
            if (i / d % 2 == 0) {
                float a = dst[i], b = dst[i + d];
                dst[i] = a + b;
                dst[i + d] = a - b;
            }
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = float_bits(dst[i]) & 0x7FFFFFFFu;
        most = bits > most ? bits : most;
    }
    return most;
}

uint32_t ISA(rotate)(float *dst, const float *src, size_t n, size_t block)
{
    size_t cross, near, last, d;
    int32_t lane[AKI_LANES], most = 0;
    vi lanes;

    aki__rotation_shape(n, block, &cross, &near);
    if (n % 16)
        return rotate_odd(dst, src, n, near);
    last = cross <= RADIX ? cross : RADIX < 8 ? RADIX : 8;     /* multiples of 16: 32 = 4 * 8, 64 = 8 * 8, 128 = 16 * 8, in two passes each */
    d = n / cross;
    for (size_t c = cross / last; c > 1;) {
        size_t radix = c < RADIX ? c : RADIX;
        any_pass(dst, src, n, d, 1, radix, false);
        src = dst;
        d *= radix;
        c /= radix;
    }
    lanes = any_pass(dst, src, n, d, near, last, true);
    memcpy(lane, &lanes, sizeof lane);
    for (size_t i = 0; i < AKI_LANES; i++)
        most = lane[i] > most ? lane[i] : most;
    return (uint32_t)most;
}

/* ---------------------------------------------------------------- activations ----------------------------------- */

/* The scale of the rotated row, which lacks the factor 1/sqrt(block), and the factor that scales it to -127 … 127. */
AKI_INLINE float row_factor(uint32_t most, size_t block, float *scale)
{
    float max = bits_float(most);

    if (most >= NOT_FINITE || max < NEGLIGIBLE) {
        *scale = most >= NOT_FINITE ? NAN : 0.0f;
        return 0.0f;
    }
    *scale = max / (127.0f * sqrtf((float)block));
    return 127.0f / max;
}

void ISA(quantise_row)(const struct aki__out *out, size_t row, float *scratch, const float *y, size_t n)
{
    if (out->outliers.count) {
        if (scratch != y)
            memcpy(scratch, y, n * sizeof *y);
        for (size_t c = 0; c < out->outliers.count; c++) {
            float *x = scratch + out->outliers.columns[c];
            out->side[row * out->outliers.count + c] = *x;
            *x = 0;
        }
        y = scratch;
    }
    uint32_t most = ISA(rotate)(scratch, y, n, out->block);
    float factor = row_factor(most, out->block, &out->row_scale[row]);
    uint8_t *restrict u8 = out->u8 + row * out->stride;

    if (factor == 0.0f) {
        memset(u8, 128, n);
        return;
    }
    AKI_SIMD
    for (size_t i = 0; i < n; i++)
        u8[i] = (uint8_t)float_bits(scratch[i] * factor + (AKI_ROUND + 128.0f));
}

/* ---------------------------------------------------------------- weights --------------------------------------- */

void ISA(squares)(const struct aki__squares *a, size_t begin, size_t end, float *restrict columns)
{
    float part[256];

    for (size_t r = begin; r < end; r++) {
        float sum = 0;
        for (size_t i = 0; i < a->k; i += 256) {
            size_t count = a->k - i < 256 ? a->k - i : 256;
            ISA(table_row)(part, &a->w, r * a->step * a->k + i, count);
            _Pragma("omp simd reduction(+ : sum)")
            for (size_t j = 0; j < count; j++) {
                float square = part[j] * part[j];
                sum += square;
                columns[i + j] += square;
            }
        }
        a->rows[r] = sum;
    }
}

float ISA(quantise_weights)(int8_t *restrict s8, float *row, size_t n, size_t block, int32_t *sum)
{
    float scale, factor = row_factor(ISA(rotate)(row, row, n, block), block, &scale);
    int32_t total = 0;

    if (factor == 0.0f)
        memset(s8, 0, n);
    else
        AKI_SIMD
        for (size_t i = 0; i < n; i++)
            s8[i] = (int8_t)(uint8_t)float_bits(row[i] * factor + AKI_ROUND);
    for (size_t i = 0; i < n; i++)
        total += s8[i];
    *sum = total;
    return scale;
}
