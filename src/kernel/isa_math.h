/* Unit kernel: exp, tanh, GELU and SiLU for loops that the compiler vectorises: no calls, no branches. NaN gives NaN.
 * Coefficients: minimax fits (linear programming over Chebyshev nodes, rounded to f32 one by one, the lowest power first). */
#ifndef AKI_KERNEL_ISA_MATH_H
#define AKI_KERNEL_ISA_MATH_H

#include "kernel/isa.h"

/* Adding it rounds to the nearest integer, which then lies in the low bits. */
#define AKI_ROUND 12582912.0f

/* 2^t for -127 <= t < 127.5: relative error 1.6e-7, exactly 1 at 0, 0 at -127. The power of two is multiplied in as a number, not
 * added to an exponent: so NaN stays NaN, and what is below the smallest normal number becomes 0. */
AKI_INLINE float exp2_bounded(float t)
{
    float k = t + AKI_ROUND;
    float f = t - (k - AKI_ROUND);
    float p = 0.0013269522f;

    p = p * f + 0.009671291f;
    p = p * f + 0.05550711f;
    p = p * f + 0.24022247f;
    p = p * f + 0.693147f;
    p = p * f + 1.0f;
    return p * bits_float((float_bits(k) + 127) << 23);
}

/* 2^t for any t < 127.5: 0 below -126.5. */
AKI_INLINE float exp2_fast(float t) { return exp2_bounded(t < -127.0f ? -127.0f : t); }

/* e^x within 2 ulp: 0 below -87.6, infinity above 88.3. */
AKI_INLINE float exp_fast(float x)
{
    float c = x < -88.0f ? -88.0f : x > 89.0f ? 89.0f : x;
    float k = c * 1.44269504f + AKI_ROUND;
    float n = k - AKI_ROUND;
    float r = c - n * 0.693359375f;         /* ln 2 in two parts; n times the first is exact */
    float p = 0.0013818304f;

    r = r - n * -2.12194440e-4f;
    p = p * r + 0.008368532f;
    p = p * r + 0.041668292f;
    p = p * r + 0.16666523f;
    p = p * r + 0.49999994f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return p * bits_float((float_bits(k) + 127) << 23);
}

AKI_INLINE float abs_fast(float x) { return bits_float(float_bits(x) & 0x7FFFFFFFu); }

AKI_INLINE float silu_fast(float x) { return x / (1.0f + exp_fast(-x)); }

/* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) = x / (1 + exp(-2 sqrt(2/pi) (…))) */
AKI_INLINE float gelu_tanh_fast(float x)
{
    return x / (1.0f + exp_fast(-x * (1.5957691216f + 0.0713548163f * (x * x))));
}

/* x Phi(x) = max(x, 0) - |x| Phi(-|x|), with Phi(-a) = 2^-(1 + a p(a)): relative error 5e-7 where |x| < 2, and 4e-8 of |x| beyond;
 * behind |x| = 6 the second term stays at its 6e-9. */
AKI_INLINE float gelu_fast(float x)
{
    float a = abs_fast(x), p = 3.6059473e-07f;

    a = a > 6.0f ? 6.0f : a;
    p = p * a - 7.301059e-06f;
    p = p * a + 6.1271785e-05f;
    p = p * a - 0.00024042527f;
    p = p * a - 6.528394e-05f;
    p = p * a + 0.0070151156f;
    p = p * a - 0.052482475f;
    p = p * a - 0.45920864f;
    p = p * a - 1.1511054f;
    p = p * a - 1.0f;
    return (x > 0.0f ? x : 0.0f) - a * exp2_bounded(p);
}

AKI_INLINE float tanh_fast(float x)
{
    float a = abs_fast(x), s = x * x, p = -0.005692296f, big = 1.0f - 2.0f / (1.0f + exp_fast(2.0f * a));

    p = p * s + 0.020628167f;
    p = p * s - 0.053736515f;
    p = p * s + 0.13331406f;
    p = p * s - 0.3333328f;
    p = p * (x * s) + x;
    return a < 0.625f ? p : bits_float(float_bits(big) | (float_bits(x) & 0x80000000u));
}

#endif
