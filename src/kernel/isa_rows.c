/* Unit kernel: what is computed row by row between two products: embeddings, norms, activations, rotary tables, pooling. */
#include "kernel/isa.h"
#if AKI_LANES == 16
#  include "kernel/gelu_table.h"
#endif
#include "kernel/isa_math.h"

#include <math.h>

/* ---------------------------------------------------------------- rows in --------------------------------------- */

AKI_INLINE float f16_bits_to_f32(uint16_t h)
{
    uint32_t magnitude = (uint32_t)(h & 0x7FFF) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t bits = float_bits(bits_float(magnitude) * 0x1p112f);       /* the exponent's bias, denormals too */

    bits |= magnitude >= 0x0F800000u ? 0x7F800000u : 0;                 /* infinity and NaN */
    return bits_float(bits | sign);
}

AKI_INLINE uint16_t load16(const char *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

void ISA(table_row)(float *restrict out, const struct aki__table *t, size_t at, size_t n)
{
    if (t->dtype == AKI_TABLE_F32) {
        memcpy(out, (const char *)t->data + at * sizeof(float), n * sizeof(float));
    } else {
        const char *restrict from = (const char *)t->data + at * sizeof(uint16_t);
        if (t->dtype == AKI_TABLE_BF16) {
            AKI_SIMD
            for (size_t i = 0; i < n; i++)
                out[i] = bits_float((uint32_t)load16(from + 2 * i) << 16);
        } else {
            AKI_SIMD
            for (size_t i = 0; i < n; i++)
                out[i] = f16_bits_to_f32(load16(from + 2 * i));
        }
    }
}

/* The memory in which a row's f32 values are computed: that of the output if it is needed, else the scratch. */
AKI_INLINE float *row_target(const struct aki__out *out, size_t row, float *scratch)
{
    return out->f32 ? out->f32 + row * out->stride : scratch;
}

static void row_finish(const struct aki__out *out, size_t row, const float *y, size_t n, float *scratch)
{
    if (out->u8)
        ISA(quantise_row)(out, row, scratch, y, n);
}

void ISA(quantise_rows)(const struct aki__rows *x, size_t columns, const struct aki__out *out, size_t begin, size_t end,
         float *scratch)
{
    for (size_t t = begin; t < end; t++) {
        const float *y = x->f32 + t * x->stride;
        if (out->f32)
            memcpy(out->f32 + t * out->stride, y, columns * sizeof *y);
        row_finish(out, t, y, columns, scratch);
    }
}

/* ---------------------------------------------------------------- embed ----------------------------------------- */

/* out[i] += row, in blocks, so that no scratch is needed. */
static void add_table_row(float *restrict out, const struct aki__table *t, size_t at, size_t n)
{
    float part[256];

    for (size_t i = 0; i < n; i += 256) {
        size_t count = n - i < 256 ? n - i : 256;
        ISA(table_row)(part, t, at + i, count);
        AKI_SIMD
        for (size_t j = 0; j < count; j++)
            out[i + j] += part[j];
    }
}

void ISA(embed)(const struct aki__embed *a, size_t begin, size_t end)
{
    size_t n = a->hidden;

    for (size_t t = begin; t < end; t++) {
        float *out = a->out + t * n;
        ISA(table_row)(out, &a->words, (size_t)a->ids[t] * n, n);
        if (a->scale != 0) {
            AKI_SIMD
            for (size_t i = 0; i < n; i++)
                out[i] *= a->scale;
        }
        if (a->types.data)
            add_table_row(out, &a->types, (a->type_ids ? (size_t)a->type_ids[t] : 0) * n, n);
        if (a->positions.data)
            add_table_row(out, &a->positions, (size_t)a->position_ids[t] * n, n);
    }
}

/* ---------------------------------------------------------------- norm ------------------------------------------ */

/* Sum of (x - shift)^power, power 1 or 2, in 4 * AKI_LANES partial sums: the order depends only on n. */
AKI_INLINE float sum_power(const float *x, size_t n, float shift, int power)
{
    vf part[4] = {{0}}, s = vset(shift);
    float tail = 0;
    size_t i = 0;

    for (; i + 4 * AKI_LANES <= n; i += 4 * AKI_LANES)
        for (size_t j = 0; j < 4; j++) {
            vf d = vload(x + i + j * AKI_LANES) - s;
            part[j] = power == 1 ? part[j] + d : part[j] + d * d;
        }
    for (; i + AKI_LANES <= n; i += AKI_LANES) {
        vf d = vload(x + i) - s;
        part[0] = power == 1 ? part[0] + d : part[0] + d * d;
    }
    for (; i < n; i++) {
        float d = x[i] - shift;
        tail = power == 1 ? tail + d : tail + d * d;
    }
    return lanes_sum((part[0] + part[1]) + (part[2] + part[3])) + tail;
}

AKI_INLINE void normalise(float *y, const float *s, size_t n, float mean, float factor, const float *gamma, const float *beta,
                          bool has_beta)
{
    AKI_SIMD
    for (size_t i = 0; i < n; i++) {
        float v = (s[i] - mean) * factor;
        y[i] = has_beta ? v * gamma[i] + beta[i] : v * gamma[i];
    }
}

static void norm_row(float *y, const float *s, const struct aki__norm *a)
{
    size_t n = a->hidden;
    float mean = a->rms ? 0.0f : sum_power(s, n, 0.0f, 1) / (float)n;
    float variance = sum_power(s, n, mean, 2) / (float)n;
    /* An overflow must not become a row of zeros. */
    float factor = variance <= 3.402823466e38f ? 1.0f / sqrtf(variance + a->eps) : NAN;

    if (a->beta)
        normalise(y, s, n, mean, factor, a->gamma, a->beta, true);
    else
        normalise(y, s, n, mean, factor, a->gamma, NULL, false);
}

/* sum = x + y; sum may be x. */
static void add_rows(float *sum, const float *x, const float *y, size_t n)
{
    AKI_SIMD
    for (size_t i = 0; i < n; i++)
        sum[i] = x[i] + y[i];
}

void ISA(norm)(const struct aki__norm *a, size_t begin, size_t end, float *scratch)
{
    size_t n = a->hidden;

    for (size_t t = begin; t < end; t++) {
        const float *x = a->x ? a->x + t * n : NULL, *add = a->add.f32 ? a->add.f32 + t * a->add.stride : NULL, *s = x ? x : add;
        float *y = row_target(&a->out, t, scratch), *sum = a->sum ? a->sum + t * n : y;
        if (x && add) {
            add_rows(sum, x, add, n);
            s = sum;
        } else if (a->sum && sum != s) {
            memcpy(sum, s, n * sizeof *s);
        }
        norm_row(y, s, a);
        row_finish(&a->out, t, y, n, scratch);
    }
}

/* ---------------------------------------------------------------- activation ------------------------------------ */

/* y = act(x) * gate; + (v - v): an infinity is an error of an earlier operator, and must not become 0 or 1. */
#define ACT_LOOP_AS(how, value)                             \
    if (gate) {                                             \
        how                                                 \
        for (size_t i = 0; i < n; i++) {                    \
            float v = x[i];                                 \
            y[i] = ((value) + (v - v)) * gate[i];           \
        }                                                   \
    } else {                                                \
        how                                                 \
        for (size_t i = 0; i < n; i++) {                    \
            float v = x[i];                                 \
            y[i] = (value) + (v - v);                       \
        }                                                   \
    }
#define ACT_LOOP(value) ACT_LOOP_AS(AKI_SIMD, value)

#if AKI_LANES == 16
/* gelu_fast in half the time: Phi(-|x|) by a polynomial of degree 4 for each of 32 intervals, whose coefficients are selected
 * by a permutation of two registers. Error: 1e-7 of |x Phi(-|x|)| and 1e-9. */
static void gelu_row(float *restrict y, const float *restrict from, const float *restrict gate, size_t n)
{
    const __m512 round = _mm512_set1_ps(AKI_ROUND), zero = _mm512_setzero_ps();
    __m512 low[5], high[5];

    for (int p = 0; p < 5; p++) {
        low[p] = _mm512_loadu_ps(gelu_table[p]);
        high[p] = _mm512_loadu_ps(gelu_table[p] + 16);
    }
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 in = n - i >= 16 ? 0xFFFF : (__mmask16)((1u << (n - i)) - 1);
        __m512 x = _mm512_maskz_loadu_ps(in, from + i), a = _mm512_min_ps(_mm512_set1_ps(GELU_LAST), _mm512_abs_ps(x));
        __m512 k = _mm512_fmadd_ps(a, _mm512_set1_ps(1 / GELU_WIDTH), round);
        __m512 d = _mm512_fnmadd_ps(_mm512_sub_ps(k, round), _mm512_set1_ps(GELU_WIDTH), a);
        __m512i piece = _mm512_castps_si512(k);
        __m512 p = _mm512_permutex2var_ps(low[4], piece, high[4]);

        for (int power = 3; power >= 0; power--)
            p = _mm512_fmadd_ps(p, d, _mm512_permutex2var_ps(low[power], piece, high[power]));
        p = _mm512_fnmadd_ps(a, p, _mm512_max_ps(x, zero));
        p = _mm512_add_ps(p, _mm512_sub_ps(x, x));
        if (gate)
            p = _mm512_mul_ps(p, _mm512_maskz_loadu_ps(in, gate + i));
        _mm512_mask_storeu_ps(y + i, in, p);
    }
}
#else
static void gelu_row(float *restrict y, const float *restrict x, const float *restrict gate, size_t n)
{
    ACT_LOOP(gelu_fast(v))
}
#endif

static void act_row(float *restrict y, const float *restrict x, const float *restrict gate, size_t n, enum aki__kernel_act act)
{
    switch (act) {
    case AKI_KACT_NONE:      ACT_LOOP(v) break;
    case AKI_KACT_GELU:      gelu_row(y, x, gate, n); break;
    case AKI_KACT_GELU_TANH: ACT_LOOP(gelu_tanh_fast(v)) break;
    case AKI_KACT_RELU:      ACT_LOOP(v > 0.0f ? v : 0.0f) break;
    case AKI_KACT_SILU:      ACT_LOOP(silu_fast(v)) break;
    case AKI_KACT_TANH:      ACT_LOOP(tanh_fast(v)) break;
    case AKI_KACT_LOG1P_RELU: ACT_LOOP_AS(, log1pf(v > 0.0f ? v : 0.0f)) break;       /* a function of the system: one at a time */
    }
}

void ISA(act)(const struct aki__act *a, size_t begin, size_t end, float *scratch)
{
    for (size_t t = begin; t < end; t++) {
        float *y = row_target(&a->out, t, scratch);
        act_row(y, a->x.f32 + t * a->x.stride, a->gate.f32 ? a->gate.f32 + t * a->gate.stride : NULL, a->columns, a->act);
        row_finish(&a->out, t, y, a->columns, scratch);
    }
}

/* ---------------------------------------------------------------- rotary tables --------------------------------- */

void ISA(rope)(const struct aki__rope *a, size_t begin, size_t end)
{
    size_t half = a->head_dim / 2;

    for (size_t t = begin; t < end; t++) {
        float *c = a->out + t * a->head_dim, *s = c + half;
        for (size_t i = 0; i < half; i++) {
            float angle = (float)a->positions[t] * a->inverse[i];
            c[i] = cosf(angle);
            s[i] = sinf(angle);
        }
    }
}

/* ---------------------------------------------------------------- pooling --------------------------------------- */

static void pool_rows(double *restrict sum, const float *restrict x, size_t rows, size_t n, enum aki__pool_mode mode,
                      double weight)
{
    for (size_t t = 0; t < rows; t++, x += n) {
        if (mode == AKI_POOL_MAX) {
            AKI_SIMD
            for (size_t i = 0; i < n; i++) {
                double v = (double)(x[i] + (x[i] - x[i])), m = sum[i];
                sum[i] = m != m || v <= m ? m : v;          /* NaN is kept */
            }
        } else {
            double w = mode == AKI_POOL_WEIGHTEDMEAN ? weight + (double)t : 1.0;
            AKI_SIMD
            for (size_t i = 0; i < n; i++)
                sum[i] += w * (double)x[i];
        }
    }
}

void ISA(pool)(const struct aki__pooling *a, size_t begin, size_t end, double *scratch)
{
    /* For a monotonic activation, the maximum of the results is the result of the maximum: one row is computed, not all. */
    const bool late = a->mode == AKI_POOL_MAX && (a->act == AKI_KACT_RELU || a->act == AKI_KACT_LOG1P_RELU || a->act == AKI_KACT_TANH);
    float *activated = (float *)(scratch + a->hidden);

    for (size_t v = begin; v < end; v++) {
        size_t first = (size_t)a->starts[v], rows = (size_t)a->starts[v + 1] - first;
        double weight = a->weight_from ? (double)a->weight_from[v] + 1.0 : 1.0, by = 1.0;
        float *out = a->out + v * a->hidden;

        for (size_t i = 0; i < a->hidden; i++)
            scratch[i] = a->mode == AKI_POOL_MAX ? -INFINITY : 0.0;
        if (a->act == AKI_KACT_NONE || late)
            pool_rows(scratch, a->x + first * a->hidden, rows, a->hidden, a->mode, weight);
        else
            for (size_t t = 0; t < rows; t++) {
                act_row(activated, a->x + (first + t) * a->hidden, NULL, a->hidden, a->act);
                pool_rows(scratch, activated, 1, a->hidden, a->mode, weight + (double)t);
            }
        if (a->mode == AKI_POOL_MEAN)
            by = (double)rows;
        else if (a->mode == AKI_POOL_MEAN_SQRT_LEN)
            by = sqrt((double)rows);
        else if (a->mode == AKI_POOL_WEIGHTEDMEAN)
            by = (double)rows * (weight + ((double)rows - 1.0) / 2.0);
        for (size_t i = 0; i < a->hidden; i++)
            out[i] = (float)(scratch[i] / by);
        if (late) {
            memcpy(activated, out, a->hidden * sizeof *out);
            act_row(out, activated, NULL, a->hidden, a->act);
        }
    }
}
