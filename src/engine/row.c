/* Unit row: a vector to a result row: cut, normalised, quantised as sentence-transformers does. See engine.h. */
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

/* uint8: the bucket of 255 between the element's minimum and maximum; int8: that less 128. */
static void write_bytes(uint8_t *out, const float *v, const float *ranges, size_t dim, uint8_t flip)
{
    for (size_t i = 0; i < dim; i++) {
        float step = (ranges[dim + i] - ranges[i]) / 255.0f;
        float bucket = floorf((v[i] - ranges[i]) / step);
        /* A range of one point has no buckets: all its values are the first. */
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

aki_status aki__row_write(void *out, float *v, const struct aki__request *r, aki_error *err)
{
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
    if (r->normalize) {
        float scale = (float)(1.0 / sqrt(squares));
        for (size_t i = 0; i < r->dim; i++)
            v[i] *= scale;
    }
    switch (r->dtype) {
    case AKI_DTYPE_F32:
        memcpy(out, v, r->dim * sizeof *v);
        break;
    case AKI_DTYPE_F16:
        for (size_t i = 0; i < r->dim; i++) {
            uint16_t h = aki__f32_to_f16(v[i]);
            memcpy((char *)out + i * sizeof h, &h, sizeof h);
        }
        break;
    case AKI_DTYPE_UINT8:   write_bytes(out, v, r->ranges, r->dim, 0); break;
    case AKI_DTYPE_INT8:    write_bytes(out, v, r->ranges, r->dim, 0x80); break;
    case AKI_DTYPE_UBINARY: write_bits(out, v, r->dim, 0); break;
    default:                write_bits(out, v, r->dim, 0x80); break;
    }
    return AKI_OK;
}
