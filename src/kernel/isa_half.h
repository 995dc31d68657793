/* Unit kernel: numbers of 16 bits: weights that are widened to f32 in registers, and products of bf16, where the set has them. */
#ifndef AKI_KERNEL_ISA_HALF_H
#define AKI_KERNEL_ISA_HALF_H

#include "kernel/isa.h"

#if defined(__aarch64__)
#  include <arm_neon.h>
#endif

typedef uint16_t vh __attribute__((vector_size(2 * AKI_LANES)));

/* A vector of columns of a step of packed floats, for its first or its second input, as f32. See struct aki__packed. */
AKI_INLINE vf widened(const char *w, int v, enum aki__table_dtype dtype, bool second)
{
    if (dtype == AKI_TABLE_F32)
        return vload((const float *)(const void *)w + v * AKI_LANES);
    if (dtype == AKI_TABLE_BF16) {
        vi pair;
        memcpy(&pair, w + (size_t)v * sizeof pair, sizeof pair);
        return (vf)(second ? pair & -65536 : pair << 16);
    }
    vh half;
    memcpy(&half, w + v * AKI_LANES / 16 * 64 + second * 32 + v * AKI_LANES % 16 * 2, sizeof half);
#if AKI_LANES == 16
    return (vf)_mm512_cvtph_ps((__m256i)half);
#elif AKI_LANES == 8
    return (vf)_mm256_cvtph_ps((__m128i)half);
#elif defined(__aarch64__)
    return (vf)vcvt_f32_f16((float16x4_t)half);
#else
    vi wide = __builtin_convertvector(half, vi), magnitude = (wide & 0x7FFF) << 13;     /* as in isa_rows.c */
    return (vf)((vi)((vf)magnitude * 0x1p112f) | ((magnitude >= 0x0F800000) & 0x7F800000) | (wide & 0x8000) << 16);
#endif
}

/* BF16_PRODUCTS: the set has them. bf16_rounded: the nearest bf16, of two that are as near the even one. bf16_dot: a lane of
 * sum, and the products of the two bf16 in the same lanes of a and b. */
#if defined(__AVX512BF16__)
#  define BF16_PRODUCTS true
AKI_INLINE vh bf16_rounded(vf x) { return (vh)_mm512_cvtneps_pbh((__m512)x); }
AKI_INLINE vf bf16_dot(vf sum, vf a, vf b)
{
#  if __clang_major__ == 16         /* crashes where it knows that a factor is one number in all lanes: it is not to know */
    __asm__("" : "+v"(a));
#  endif
    return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#  define BF16_PRODUCTS true
AKI_INLINE vh bf16_rounded(vf x) { return (vh)vcvt_bf16_f32((float32x4_t)x); }
AKI_INLINE vf bf16_dot(vf sum, vf a, vf b) { return (vf)vbfdotq_f32((float32x4_t)sum, (bfloat16x8_t)a, (bfloat16x8_t)b); }
#else
#  define BF16_PRODUCTS false
AKI_INLINE vh bf16_rounded(vf x) { return __builtin_convertvector((vi)x >> 16, vh); }       /* never called */
AKI_INLINE vf bf16_dot(vf sum, vf a, vf b) { return sum + a * b; }
#endif

#endif
