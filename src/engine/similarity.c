/* Unit similarity: aki_similarity and aki_ranges. */
#include "engine/engine.h"

#include <math.h>

static double dot(const float *a, const float *b, size_t dim)
{
    double sum = 0;

    for (size_t i = 0; i < dim; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

void aki_similarity(const float *a, size_t a_count, const float *b, size_t b_count, size_t dim, float *out)
{
    for (size_t i = 0; i < a_count; i++) {
        double a_norm = dot(a + i * dim, a + i * dim, dim);
        for (size_t k = 0; k < b_count; k++) {
            double norms = sqrt(a_norm) * sqrt(dot(b + k * dim, b + k * dim, dim));
            out[i * b_count + k] = norms > 0 ? (float)(dot(a + i * dim, b + k * dim, dim) / norms) : 0.0f;
        }
    }
}

void aki_ranges(const float *vectors, size_t count, size_t dim, float *ranges)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < dim; k++) {
            float x = vectors[i * dim + k];
            if (i == 0 || x < ranges[k])
                ranges[k] = x;
            if (i == 0 || x > ranges[dim + k])
                ranges[dim + k] = x;
        }
}
