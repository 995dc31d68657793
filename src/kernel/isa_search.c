/* Unit kernel: stored vectors against a query, and against each other. */
#include "kernel/isa.h"

#include <math.h>

static void bytes_to_f32(float *restrict out, const uint8_t *restrict row, const struct aki__stored *a)
{
    const float *restrict base = a->base, *restrict step = a->step;
    const uint8_t flip = a->flip;

    AKI_SIMD
    for (size_t i = 0; i < a->dim; i++)
        out[i] = base[i] + step[i] * (float)(int32_t)(uint8_t)(row[i] ^ flip);
}

static void bits_to_f32(float *restrict out, const uint8_t *restrict row, const struct aki__stored *a)
{
    size_t whole = a->dim / 8;

    for (size_t i = 0; i < whole; i++) {
        const uint32_t byte = (uint32_t)(row[i] ^ a->flip);
        AKI_SIMD
        for (uint32_t k = 0; k < 8; k++)
            out[8 * i + k] = bits_float(0x3F800000u | (~(byte << (24 + k)) & 0x80000000u));        /* 1 with the bit's sign */
    }
    for (size_t i = 8 * whole; i < a->dim; i++)
        out[i] = (row[i / 8] ^ a->flip) >> (7 - i % 8) & 1 ? 1 : -1;
}

/* Row i in f32: where it lies, or in scratch. */
AKI_INLINE const float *stored_row(const struct aki__stored *a, size_t i, float *scratch)
{
    const char *row = (const char *)a->rows + i * a->row_size;

    switch (a->dtype) {
    case AKI_STORED_F32:
        return (const float *)row;
    case AKI_STORED_F16:
        ISA(table_row)(scratch, &(struct aki__table){ .data = row, .dtype = AKI_TABLE_F16 }, 0, a->dim);
        break;
    case AKI_STORED_BYTES:
        bytes_to_f32(scratch, (const uint8_t *)row, a);
        break;
    default:
        bits_to_f32(scratch, (const uint8_t *)row, a);
        break;
    }
    return scratch;
}

/* x . y, and in *squares x . x. */
AKI_INLINE float dot_and_squares(const float *restrict x, const float *restrict y, size_t n, float *squares)
{
    vf dots[2] = {{0}}, own[2] = {{0}};
    float dot = 0, square = 0;
    size_t i = 0;

    for (; i + 2 * AKI_LANES <= n; i += 2 * AKI_LANES)
        for (size_t j = 0; j < 2; j++) {
            vf a = vload(x + i + j * AKI_LANES);
            dots[j] += a * vload(y + i + j * AKI_LANES);
            own[j] += a * a;
        }
    for (; i < n; i++) {
        dot += x[i] * y[i];
        square += x[i] * x[i];
    }
    *squares = square + lanes_sum(own[0] + own[1]);
    return dot + lanes_sum(dots[0] + dots[1]);
}

void ISA(search)(const struct aki__stored *a, const float *query, float *scores, size_t begin, size_t end, float *scratch)
{
    for (size_t i = begin; i < end; i++) {
        float squares, dot = dot_and_squares(stored_row(a, i, scratch), query, a->dim, &squares);
        scores[i - begin] = squares > 0 ? dot / sqrtf(squares) : squares == 0 ? 0 : NAN;
    }
}

void ISA(unpack)(const struct aki__stored *a, float *out, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++, out += a->dim) {
        const float *row = stored_row(a, i, out);
        float squares;
        dot_and_squares(row, row, a->dim, &squares);
        const float scale = squares > 0 ? 1 / sqrtf(squares) : 0;
        AKI_SIMD
        for (size_t k = 0; k < a->dim; k++)
            out[k] = row[k] * scale;
    }
}

void ISA(keep_best)(const float *scores, size_t columns, int32_t row, float *best, int32_t *at)
{
    AKI_SIMD
    for (size_t i = 0; i < columns; i++) {
        at[i] = scores[i] > best[i] ? row : at[i];
        best[i] = scores[i] > best[i] ? scores[i] : best[i];
    }
}
