/* Unit row: converts a vector to a result row: truncated, normalised, and quantised as in sentence-transformers. See engine.h. */
#include "engine/engine.h"

#include <math.h>

size_t aki__row_size(int32_t dtype, size_t dim)
{
    switch (dtype) {
    case AKI_DTYPE_F32: return dim * 4;
    case AKI_DTYPE_F16: return dim * 2;
    case AKI_DTYPE_INT8:
    case AKI_DTYPE_UINT8: return dim;
    default: return (dim + 7) / 8;
    }
}

/* uint8: the index of one of 255 buckets between minimum and maximum of the element; int8: that minus 128. If both are equal, a
 * bucket has the width 1, as in sentence-transformers. */
static void write_bytes(uint8_t *out, const float *v, const float *ranges, size_t dim, uint8_t flip)
{
    for (size_t i = 0; i < dim; i++) {
        float step = (ranges[dim + i] - ranges[i]) / 255.0f;
        float bucket = floorf((v[i] - ranges[i]) / (step == 0 ? 1 : step));
        uint8_t u = bucket >= 255.0f ? 255 : bucket > 0.0f ? (uint8_t)bucket : 0;
        out[i] = u ^ flip;
    }
}

static void write_bits(uint8_t *out, const float *v, size_t dim, uint8_t flip)
{
    for (size_t i = 0; i < dim; i += 8) {
        uint8_t byte = 0;
        for (size_t k = 0; k < 8 && i + k < dim; k++)
            byte |= (uint8_t)((v[i + k] > 0.0f) << (7 - k));
        out[i / 8] = byte ^ flip;
    }
}

/* A value that is finite in f32 may be infinite in f16, and a positive one may be 0. */
static aki_status write_halves(char *out, const float *v, size_t dim, aki_error *err)
{
    bool zero = true;

    for (size_t i = 0; i < dim; i++) {
        uint16_t h = aki__f32_to_f16(v[i]);
        if ((h & 0x7C00) == 0x7C00)
            return aki__fail(err, AKI_E_INVALID, "the vector's element %zu is %g, and f16 ends at 65504", i, (double)v[i]);
        zero &= (h & 0x7FFF) == 0;
        memcpy(out + i * sizeof h, &h, sizeof h);
    }
    return zero ? aki__fail(err, AKI_E_INVALID, "the vector is all zero in f16: its elements are too small") : AKI_OK;
}

/* Normalises to length 1. In f32 the factor of a tiny vector would overflow, and that of a huge one would lose digits: these
 * are computed in f64. */
static void normalize(float *v, size_t dim, double squares)
{
    double factor = 1.0 / sqrt(squares);
    float scale = (float)factor;

    if (isnormal(scale))
        for (size_t i = 0; i < dim; i++)
            v[i] *= scale;
    else
        for (size_t i = 0; i < dim; i++)
            v[i] = (float)(v[i] * factor);
}

static void softmax(float *v, size_t count)
{
    float most = v[0];
    double sum = 0;

    for (size_t i = 1; i < count; i++)
        most = v[i] > most ? v[i] : most;
    for (size_t i = 0; i < count; i++)
        sum += exp((double)v[i] - most);
    for (size_t i = 0; i < count; i++)
        v[i] = (float)(exp((double)v[i] - most) / sum);
}

/* Unlike a vector, a row of scores may be all zero. */
static aki_status write_scores(float *out, float *v, const struct aki__request *r, aki_error *err)
{
    for (size_t i = 0; i < r->dim; i++)
        if (!isfinite(v[i]))
            return aki__fail(err, AKI_E_INVALID, "score %zu is NaN or infinite", i);
    if (r->activation == AKI_ACTIVATION_SOFTMAX)
        softmax(v, r->dim);
    for (size_t i = 0; i < r->dim && r->activation == AKI_ACTIVATION_SIGMOID; i++)
        v[i] = (float)(1 / (1 + exp(-(double)v[i])));
    memcpy(out, v, r->dim * sizeof *v);
    return AKI_OK;
}

aki_status aki__row_write(void *out, float *v, const struct aki__request *r, aki_error *err)
{
    if (r->output == AKI_OUTPUT_SCORES)
        return write_scores(out, v, r, err);
    double squares = 0;
    bool zero = true;
    for (size_t i = 0; i < r->dim; i++) {
        if (!isfinite(v[i]))
            return aki__fail(err, AKI_E_INVALID, "the vector holds NaN or infinity at element %zu", i);
        zero &= v[i] == 0.0f;
        squares += (double)v[i] * v[i];
    }
    if (zero)
        return aki__fail(err, AKI_E_INVALID, "the vector is all zero");
    if (r->normalize)
        normalize(v, r->dim, squares);
    switch (r->dtype) {
    case AKI_DTYPE_F32:
        memcpy(out, v, r->dim * sizeof *v);
        break;
    case AKI_DTYPE_F16:     return write_halves(out, v, r->dim, err);
    case AKI_DTYPE_UINT8:   write_bytes(out, v, r->ranges, r->dim, 0); break;
    case AKI_DTYPE_INT8:    write_bytes(out, v, r->ranges, r->dim, 0x80); break;
    case AKI_DTYPE_UBINARY: write_bits(out, v, r->dim, 0); break;
    default:                write_bits(out, v, r->dim, 0x80); break;
    }
    return AKI_OK;
}
