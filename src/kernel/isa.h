/* Unit kernel: what the isa_*.c files share. They are compiled once for each instruction set with AKI_ISA as its name, and
 * ISA(x) is the name of x in that set. Nothing here may be inline and non-static, or the linker could use the code of another
 * set. */
#ifndef AKI_KERNEL_ISA_H
#define AKI_KERNEL_ISA_H

#include "kernel/kernel.h"

#if defined(__SSE2__)
#  include <immintrin.h>
#endif

#define ISA_PASTE(name, isa) aki__##name##_##isa
#define ISA_EXPAND(name, isa) ISA_PASTE(name, isa)
#define ISA(name) ISA_EXPAND(name, AKI_ISA)

/* Floats of the widest vector. */
#if defined(__AVX512F__)
#  define AKI_LANES 16
#elif defined(__AVX2__)
#  define AKI_LANES 8
#else
#  define AKI_LANES 4
#endif

#define AKI_SIMD _Pragma("omp simd")
/* For loops over registers: a vector that is indexed by a variable would be in memory. */
#if defined(__clang__)
#  define AKI_UNROLL _Pragma("clang loop unroll(full)")
#else
#  define AKI_UNROLL _Pragma("GCC unroll 16")
#endif
#define AKI_INLINE static inline __attribute__((always_inline))

typedef float   vf __attribute__((vector_size(4 * AKI_LANES)));
typedef int32_t vi __attribute__((vector_size(4 * AKI_LANES)));

AKI_INLINE vf vload(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
AKI_INLINE void vstore(float *p, vf v) { memcpy(p, &v, sizeof v); }
AKI_INLINE vf vset(float x) { return x - (vf){0}; }       /* x - 0 is x for every x, -0 too */

/* Maxima by intrinsics: from the plain form, compilers make a compare and a blend, with 6 times the latency. vmax: b if one is
 * NaN. */
#if AKI_LANES == 16
AKI_INLINE vf vmax(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
AKI_INLINE vi vmax_int(vi a, vi b) { return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b); }
#elif AKI_LANES == 8
AKI_INLINE vf vmax(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
AKI_INLINE vi vmax_int(vi a, vi b) { return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b); }
#else
AKI_INLINE vi vmax_int(vi a, vi b)
{
    vi more = a > b;
    return (a & more) | (b & ~more);
}
AKI_INLINE vf vmax(vf a, vf b)
{
#  if defined(__SSE2__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#  else
    vi more = a > b;
    return (vf)(((vi)a & more) | ((vi)b & ~more));
#  endif
}
#endif

/* Sum by halves: the order is fixed, and the latency is a quarter of that of one lane after the other. */
typedef float v4 __attribute__((vector_size(16)));
typedef float v8 __attribute__((vector_size(32)));

AKI_INLINE float lanes_sum(vf v)
{
#if AKI_LANES == 16
    v8 half = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    v4 part = __builtin_shufflevector(half, half, 0, 1, 2, 3) + __builtin_shufflevector(half, half, 4, 5, 6, 7);
#elif AKI_LANES == 8
    v4 part = __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
#else
    v4 part = v;
#endif
    part = part + __builtin_shufflevector(part, part, 2, 3, 0, 1);
    return part[0] + part[1];
}

AKI_INLINE float lanes_max(vf v)
{
#if AKI_LANES == 16
    v = vmax(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    v = vmax(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
    v = vmax(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
#elif AKI_LANES == 8
    v = vmax(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3));
    v = vmax(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5));
#else
    v = vmax(v, __builtin_shufflevector(v, v, 2, 3, 0, 1));
#endif
    return v[0] > v[1] ? v[0] : v[1];
}

AKI_INLINE uint32_t float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}
AKI_INLINE float bits_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Converts a row of a table to f32: n columns from column `at` on. */
void ISA(table_row)(float *out, const struct aki__table *t, size_t at, size_t n);
/* dst = rotated src without the factor 1/sqrt(block); dst may be src. Returns the bits of max|dst|, which have the order of the
 * values, with infinity and NaN above all numbers. */
uint32_t ISA(rotate)(float *dst, const float *src, size_t n, size_t block);
/* Quantises y[n] to row `row` of out->u8, with its scale and side; scratch may be y. */
void ISA(quantise_row)(const struct aki__out *out, size_t row, float *scratch, const float *y, size_t n);

/* s8[n] = rotated row / scale; changes the row. Returns the scale; *sum: the sum of s8. */
float ISA(quantise_weights)(int8_t *s8, float *row, size_t n, size_t block, int32_t *sum);

void ISA(embed)(const struct aki__embed *a, size_t begin, size_t end);
void ISA(norm)(const struct aki__norm *a, size_t begin, size_t end, float *scratch);
void ISA(act)(const struct aki__act *a, size_t begin, size_t end, float *scratch);
void ISA(rope)(const struct aki__rope *a, size_t begin, size_t end);
void ISA(attention_prepare)(const struct aki__attention *a, size_t begin, size_t end, float *scratch);
void ISA(attention_run)(const struct aki__attention *a, size_t begin, size_t end, float *scratch);
void ISA(attention_keep)(const struct aki__attention *a, size_t text, size_t first, size_t count, float *k, float *v);
void ISA(quantise_rows)(const struct aki__rows *x, size_t columns, const struct aki__out *out, size_t begin, size_t end,
         float *scratch);
void ISA(product)(const struct aki__product *a, size_t begin, size_t end, void *scratch);
size_t ISA(product_scratch_size)(const struct aki__product *a);
void ISA(pack_float)(const struct aki__pack *a, size_t begin, size_t end);
void ISA(pack_s8)(const struct aki__pack *a, size_t begin, size_t end, float *scratch);
void ISA(squares)(const struct aki__squares *a, size_t begin, size_t end, float *columns);
void ISA(pool)(const struct aki__pooling *a, size_t begin, size_t end, double *scratch);
void ISA(search)(const struct aki__stored *a, const float *query, float *scores, size_t begin, size_t end, float *scratch);
void ISA(unpack)(const struct aki__stored *a, float *out, size_t begin, size_t end);
void ISA(keep_best)(const float *scores, size_t columns, int32_t row, float *best, int32_t *at);

extern const struct aki__kernels ISA(kernels);

#endif
