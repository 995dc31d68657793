/* Slow, obvious twins of src/kernel. See kernel_reference.h. */
#include "kernel_reference.h"

#include <math.h>
#include <stdlib.h>

double reference_value(const struct aki__rows *r, size_t t, size_t n)
{
    return r->f32 ? r->f32[t * r->stride + n] : 0;
}

double reference_table(const struct aki__table *t, size_t at)
{
    uint16_t half;
    float f;

    if (!t->data)
        return 0;
    if (t->dtype == AKI_TABLE_F32) {
        memcpy(&f, (const char *)t->data + at * 4, 4);
        return f;
    }
    memcpy(&half, (const char *)t->data + at * 2, 2);
    return t->dtype == AKI_TABLE_BF16 ? aki__bf16_to_f32(half) : aki__f16_to_f32(half);
}

double reference_act(enum aki__kernel_act act, double x)
{
    if (isinf(x))
        return NAN;
    switch (act) {
    case AKI_KACT_NONE:      return x;
    case AKI_KACT_GELU:      return x * 0.5 * erfc(-x / sqrt(2));
    case AKI_KACT_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case AKI_KACT_RELU:      return x < 0 ? 0 : x;
    case AKI_KACT_SILU:      return x / (1 + exp(-x));
    case AKI_KACT_TANH:      return tanh(x);
    case AKI_KACT_LOG1P_RELU: return x != x ? x : log1p(x < 0 ? 0 : x);
    }
    return NAN;
}

void reference_norm(double *sum, double *y, const struct aki__norm *a, size_t row)
{
    double mean = 0, square = 0, n = (double)a->hidden;

    for (size_t i = 0; i < a->hidden; i++) {
        sum[i] = (a->x ? a->x[row * a->hidden + i] : 0) + reference_value(&a->add, row, i);
        mean += a->rms ? 0 : sum[i] / n;
    }
    for (size_t i = 0; i < a->hidden; i++)
        square += (sum[i] - mean) * (sum[i] - mean) / n;
    for (size_t i = 0; i < a->hidden; i++)
        y[i] = (sum[i] - mean) / sqrt(square + a->eps) * a->gamma[i] + (a->beta ? a->beta[i] : 0);
}

/* One head of q or k: norm, then rotary position. */
static void head(double *x, const struct aki__attention *a, const struct aki__rows *r, size_t row, size_t token, size_t h, const float *gamma)
{
    size_t n = a->head_dim, half = n / 2;
    double square = 0;

    for (size_t i = 0; i < n; i++) {
        x[i] = reference_value(r, row, h * n + i);
        square += x[i] * x[i];
    }
    for (size_t i = 0; gamma && i < n; i++)
        x[i] = x[i] / sqrt(square / (double)n + a->norm_eps) * gamma[i];
    for (size_t i = 0; a->rope && i < half; i++) {
        double c = a->rope[token * n + i], s = a->rope[token * n + half + i], left = x[i], right = x[i + half];
        x[i] = left * c - right * s;
        x[i + half] = right * c + left * s;
    }
}

void reference_attention(double *out, const struct aki__attention *a)
{
    size_t n = a->head_dim;
    double *q = malloc(n * sizeof *q), *k = malloc(n * sizeof *k), *score = malloc((a->tokens + 1) * sizeof *score);

    for (size_t text = 0; text < a->texts; text++)
        for (size_t r = (size_t)a->query_starts[text]; r < (size_t)a->query_starts[text + 1]; r++)
            for (size_t h = 0; h < a->heads; h++) {
                size_t start = (size_t)a->starts[text], end = (size_t)a->starts[text + 1], kv = h / (a->heads / a->kv_heads);
                size_t token = a->query_rows ? (size_t)a->query_rows[r] : r;
                double max = -INFINITY, weight = 0, *o = out + (r * a->heads + h) * n;

                head(q, a, &a->q, r, token, h, a->q_norm);
                for (size_t j = start; j < end; j++) {
                    bool seen = !(a->causal && j > token) &&
                                (!a->window || (token < j + a->window && (a->causal || j < token + a->window)));
                    score[j] = 0;
                    head(k, a, &a->k, j, j, kv, a->k_norm);
                    for (size_t i = 0; i < n; i++)
                        score[j] += q[i] * k[i] * a->scale;
                    if (a->bias) {
                        int64_t reach = (int64_t)a->reach, distance = (int64_t)j - (int64_t)token;
                        distance = distance < -reach ? -reach : distance > reach ? reach : distance;
                        score[j] += a->bias[(int64_t)h * (2 * reach + 1) + distance + reach] / 1.44269504088896340736;
                    }
                    score[j] = seen ? score[j] : -INFINITY;
                    max = score[j] > max ? score[j] : max;
                }
                for (size_t i = 0; i < n; i++)
                    o[i] = 0;
                for (size_t j = start; j < end; j++) {
                    double w = exp(score[j] - max);
                    weight += w;
                    for (size_t i = 0; i < n; i++)
                        o[i] += w * reference_value(&a->v, j, kv * n + i);
                }
                for (size_t i = 0; i < n; i++)
                    o[i] /= weight;
            }
    free(q);
    free(k);
    free(score);
}

void reference_pool(double *out, const struct aki__pooling *a, size_t vector)
{
    size_t first = (size_t)a->starts[vector], end = (size_t)a->starts[vector + 1];

    for (size_t i = 0; i < a->hidden; i++) {
        double sum = 0, max = -INFINITY, weights = 0;
        for (size_t t = first; t < end; t++) {
            double x = reference_act(a->act, a->x[t * a->hidden + i]), w = (double)(t - first) + 1 + (a->weight_from ? a->weight_from[vector] : 0);
            w = a->mode == AKI_POOL_WEIGHTEDMEAN ? w : 1;
            sum += w * x;
            weights += w;
            max = x > max ? x : max;
        }
        out[i] = a->mode == AKI_POOL_MAX ? max : sum / (a->mode == AKI_POOL_MEAN_SQRT_LEN ? sqrt(weights) : weights);
    }
}

static double sign(size_t a, size_t b) { return __builtin_popcountll(a & b) % 2 ? -1 : 1; }

void reference_rotate(double *y, const double *x, size_t n, size_t block)
{
    size_t cross, near;

    aki__rotation_shape(n, block, &cross, &near);
    for (size_t i = 0; i < n; i++) {
        size_t step = n / cross, c = i / step, l = i % near;        /* i = c * step + rest + l */
        y[i] = 0;
        for (size_t c2 = 0; c2 < cross; c2++)
            for (size_t l2 = 0; l2 < near; l2++)
                y[i] += sign(c, c2) * sign(l, l2) * x[i - c * step - l + c2 * step + l2];
        y[i] /= sqrt((double)block);
    }
}
