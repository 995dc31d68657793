/* Unit fidelity: cosines, neighbours and differences of two sets of vectors. See fidelity.h. */
#include "fidelity.h"

#include "cli/shell/cli.h"

#include <akiembed.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void take(struct figure *f, double value, size_t text)
{
    if (!f->count || !(value >= f->least)) {
        f->least = value;
        f->worst = text;
    }
    f->sum += value;
    f->count++;
}

/* mean: [dim], zeroed. */
static void mean_of(double *mean, const float *v, size_t count, size_t dim)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < dim; k++)
            mean[k] += (double)v[i * dim + k] / (double)count;
}

/* means: of a's vectors, then of b's: [2, dim]. */
static double cosine(const float *a, const float *b, const double *means, size_t dim)
{
    double ab = 0, aa = 0, bb = 0;

    for (size_t k = 0; k < dim; k++) {
        double x = (double)a[k] - means[k], y = (double)b[k] - means[dim + k];
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    /* Nothing is left of texts that are all the same: then they do not differ either. */
    return aa == 0 && bb == 0 ? 1 : ab / sqrt(aa * bb);
}

bool fidelity_cosine(const float *a, const float *b, const bool *apart, size_t count, size_t dim, struct figure *out, struct figure *others)
{
    double *zeros = calloc(dim, 2 * sizeof *zeros);
    bool ok = zeros != NULL;

    for (size_t i = 0; i < count && ok; i++)
        take(apart[i] ? others : out, cosine(a + i * dim, b + i * dim, zeros, dim), i);
    free(zeros);
    return ok;
}

bool fidelity_centred(const float *a, const float *b, size_t count, size_t dim, struct figure *out)
{
    double *means = calloc(dim, 2 * sizeof *means);

    if (!means)
        return false;
    mean_of(means, a, count, dim);
    mean_of(means + dim, b, count, dim);
    for (size_t i = 0; i < count; i++)
        take(out, cosine(a + i * dim, b + i * dim, means, dim), i);
    free(means);
    return true;
}

struct neighbour { float score; size_t text; };

static int nearest_first(const void *a, const void *b)
{
    const struct neighbour *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->text > y->text) - (x->text < y->text);
}

/* n: [count] filled with the others of text i, nearest first. */
static size_t neighbours(struct neighbour *n, float *scores, const float *v, size_t count, size_t dim, size_t i)
{
    size_t others = 0;

    aki_similarity(v + i * dim, 1, v, count, dim, scores);
    for (size_t k = 0; k < count; k++)
        if (k != i)
            n[others++] = (struct neighbour){ scores[k], k };
    qsort(n, others, sizeof *n, nearest_first);
    return others;
}

bool fidelity_overlap(const float *a, const float *b, size_t count, size_t dim, size_t top, struct figure *out)
{
    struct neighbour *by_a = aki__realloc(NULL, count, sizeof *by_a), *by_b = aki__realloc(NULL, count, sizeof *by_b);
    float *scores = aki__realloc(NULL, count, sizeof *scores);
    bool ok = by_a && by_b && scores;

    for (size_t i = 0; i < count && ok; i++) {
        size_t others = neighbours(by_a, scores, a, count, dim, i), same = 0;
        neighbours(by_b, scores, b, count, dim, i);
        size_t most = top < others ? top : others;
        for (size_t x = 0; x < most; x++)
            for (size_t y = 0; y < most; y++)
                same += by_a[x].text == by_b[y].text;
        take(out, most ? (double)same / (double)most : 1, i);
    }
    free(by_a);
    free(by_b);
    free(scores);
    return ok;
}

size_t fidelity_difference(const float *a, const float *b, size_t count, size_t dim, double *most)
{
    size_t differing = 0;

    *most = 0;
    for (size_t i = 0; i < count; i++) {
        differing += memcmp(a + i * dim, b + i * dim, dim * sizeof *a) != 0;
        for (size_t k = 0; k < dim; k++)
            *most = fmax(*most, fabs((double)a[i * dim + k] - (double)b[i * dim + k]));
    }
    return differing;
}

double fidelity_order(const float *a, const float *b, size_t count, size_t dim)
{
    size_t same = 0, pairs = 0;

    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++, pairs++) {
            const float x = a[i * dim] - a[k * dim], y = b[i * dim] - b[k * dim];
            same += (x > 0) == (y > 0) && (x < 0) == (y < 0);
        }
    return pairs ? (double)same / (double)pairs : 1;
}

static size_t best(const float *scores, size_t dim)
{
    size_t found = 0;

    for (size_t i = 1; i < dim; i++)
        found = scores[i] > scores[found] ? i : found;
    return found;
}

double fidelity_best(const float *a, const float *b, size_t count, size_t dim)
{
    size_t same = 0;

    for (size_t i = 0; i < count; i++)
        same += best(a + i * dim, dim) == best(b + i * dim, dim);
    return count ? (double)same / (double)count : 1;
}
