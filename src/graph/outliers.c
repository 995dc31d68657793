/* Unit outliers: see outliers.h.
 *
 * A row of activations is quantised with one scale, and so is a row of weights: one large element leaves too few digits for the
 * others. The rotation spreads it over its block, which divides it by 11 (in a block of 128 columns), and is sufficient up to a
 * point. A larger column stays f32. To find such columns, no text is needed, as far as the weights are their cause. An estimate
 * of each column's size relative to the others is propagated through the graph: from the columns of the embedding table, from
 * the rows of the weight that computes them, from gamma and beta of a norm. Each column of the weights that read it has a size
 * too. A column is an outlier if one of the two is far above the median.
 *
 * The rounding error of an output that is far larger than the others (a row of the weight) affects all that follows: it is
 * computed in f32 too.
 *
 * If few outliers are extreme, a vector consists of hardly anything but these outputs, or of what these inputs produce. Then
 * quantisation does no harm, except for a text in which they happen to be small together: there, all rounding errors before
 * them are as large as they are. So no product on which they depend is quantised. The more of them there are, and the more
 * others beside them, the less can they cancel: what counts is not how large the largest is, but how small the sum may get. */
#include "graph/outliers.h"

#include "graph/cpu.h"

#include <float.h>
#include <math.h>

/* A multiple of the median. Measured with artificial outliers (docs/performance.md): at 15 times, rotated int8 still loses
 * nothing. The largest in MiniLM is 9.5. */
#define FAR_ABOVE 16.0f
/* The least steadiness (see below) up to which products are quantised. Measured in the same way: at 0.1 (two of 768 inputs 57 times the
 * median, two of 256 outputs 31 times) the least cosine of 288 texts is 0.9985, without outliers 0.9990; at 0.04 it is 0.996. The least in a
 * real model is e5-small-v2's 0.4, with 27 columns of 16 to 58 times the median. */
#define STEADY 0.1

struct search {
    const struct aki__graph *g;
    struct aki__pool *pool;
    float **size;               /* [g->count] the size of each block's columns, in any unit; NULL: not known */
    float **read;               /* [g->count] the weights that read each column, relative to their median; NULL: nothing reads it */
    const struct aki__choice *choice;       /* or NULL */
    aki__blk exact;             /* the linears up to this block stay f32; -1: none */
    aki_status rc;
    aki_error *err;
};

static float *numbers(struct search *s, size_t count)
{
    float *x = s->rc ? NULL : aki__zalloc(count, sizeof *x);

    if (!x && !s->rc)
        s->rc = aki__fail(s->err, AKI_E_NOMEM, "graph");
    return x;
}

static size_t columns_of(const struct search *s, aki__blk x) { return (size_t)s->g->blocks[x].columns; }

/* ---------------------------------------------------------------- sizes ----------------------------------------- */

/* The median of values of 0 or more, found byte by byte: their bits have the same order. */
static float median(const float *x, size_t n)
{
    uint32_t found = 0, known = 0, bits;
    size_t rank = n / 2;
    float value;

    for (int shift = 24; shift >= 0; shift -= 8) {
        size_t counts[256] = { 0 }, byte = 0;
        for (size_t i = 0; i < n; i++) {
            memcpy(&bits, x + i, sizeof bits);
            counts[bits >> shift & 255] += (bits & known) == found;
        }
        while (rank >= counts[byte])
            rank -= counts[byte++];
        found |= (uint32_t)byte << shift;
        known |= 255u << shift;
    }
    memcpy(&value, &found, sizeof value);
    return value;
}

/* Divides x by its median; if that is 0 or not finite, all are 1. */
static void relate(float *x, size_t n)
{
    float middle = median(x, n);
    bool usable = middle > FLT_MIN && middle <= FLT_MAX;

    for (size_t i = 0; i < n; i++) {
        float v = usable ? x[i] / middle : 1.0f;
        x[i] = v <= 1e6f ? v : v > 1e6f ? 1e6f : 1.0f;      /* the last: NaN */
    }
}

enum { PARTS = 16, MOST_ROWS = 4096 };

struct measure { struct aki__squares squares; size_t rows; float *columns; };

static void measure_step(void *user, size_t i)
{
    const struct measure *m = user;

    aki__kernels()->squares(&m->squares, m->rows * i / PARTS, m->rows * (i + 1) / PARTS, m->columns + i * m->squares.k);
}

/* Root mean squares of the columns and rows of a matrix: of n rows of the tensor, from `first` on. all: of every row, else of
 * enough rows for the columns. The parts are fixed and are added in order, so that the sizes, and with them the outliers, do
 * not depend on the number of threads. */
static void measure(struct search *s, float *columns, float *rows, const struct aki__tensor *t, size_t first, size_t n, bool all)
{
    size_t k = (size_t)t->shape[1], step = all || n < MOST_ROWS ? 1 : n / MOST_ROWS;
    float *parts = numbers(s, PARTS * k), *own = rows ? NULL : numbers(s, n);
    struct measure m = { .squares = { .w = aki__table_from(t, first * k), .k = k, .step = step, .rows = rows ? rows : own },
                         .rows = n / step, .columns = parts };

    if (!s->rc) {
        aki__pool_each(s->pool, PARTS, measure_step, &m);
        aki__map_release(t->map, t->data, t->size);
        for (size_t i = 0; i < k; i++) {
            float sum = 0;
            for (size_t p = 0; p < PARTS; p++)
                sum += parts[p * k + i];
            columns[i] += sum / (float)m.rows;
        }
        for (size_t r = 0; r < n && rows; r++)
            rows[r] = sqrtf(rows[r]);
    }
    aki__free(parts);
    aki__free(own);
}

/* ---------------------------------------------------------------- through the graph ----------------------------- */

static void size_embed(struct search *s, const struct aki__block *b, float *size, size_t n)
{
    const struct aki__tensor *tables[] = { b->embed.words, b->embed.positions, b->embed.types };

    for (size_t i = 0; i < 3; i++) {
        if (tables[i])
            measure(s, size, NULL, tables[i], 0, (size_t)tables[i]->shape[0], false);
        for (size_t k = 0; k < n && i == 0 && b->embed.scale != 0; k++)
            size[k] *= (float)(b->embed.scale * b->embed.scale);
    }
    for (size_t i = 0; i < n; i++)
        size[i] = sqrtf(size[i]);
}

aki__blk aki__read_by(const struct aki__graph *g, const struct aki__block *linear)
{
    const struct aki__block *in = &g->blocks[linear->in[0]];

    return in->op == AKI_G_ROWS ? in->in[0] : linear->in[0];
}

static void needs_exact(struct search *s, aki__blk from) { s->exact = from > s->exact ? from : s->exact; }

/* Outputs and inputs of such sizes make up a sum of squares, which is smaller in some texts than in others: the share of its mean that it
 * keeps in 999 of 1000, if they are independent normal numbers. This is Chernoff's bound of the lower tail: P(sum < share) is at most
 * exp(s * share) * product of (1 + 2 s size^2)^-1/2 for each s, here of sizes whose squares add up to 1. Where nothing is far above, 1. */
static double steadiness(const float *size, size_t n)
{
    double sum = 0, best = 0;
    float most = 0;

    for (size_t i = 0; i < n; i++) {
        sum += (double)size[i] * size[i];
        most = fmaxf(most, size[i]);
    }
    if (most <= FAR_ABOVE)
        return 1;
    for (double s = 1; s < 1e6; s *= 2) {
        double logs = 0;
        for (size_t i = 0; i < n; i++)
            logs += log1p(2 * s * size[i] * size[i] / sum);
        best = fmax(best, (logs / 2 - log(1000)) / s);
    }
    return best;
}

/* What columns contribute, judged by the weight that reads them and by the linears after the last norm, unless the other of the two
 * cancels it. A norm's gamma alone is no evidence: it often cancels the size of the residual. */
static void judge_columns(struct search *s, aki__blk from, const float *read, size_t k)
{
    const struct aki__block *b = &s->g->blocks[from];
    float *share = numbers(s, k);

    if (share && b->op == AKI_G_NORM) {
        aki__g_gamma(share, b);
        for (size_t i = 0; i < k; i++)
            share[i] = fabsf(share[i]);
        relate(share, k);
    }
    for (size_t i = 0; i < k && share; i++)
        share[i] = b->op == AKI_G_NORM ? read[i] * fminf(share[i], 1)
                                       : fmaxf(read[i], s->size[from][i]) * fminf(fminf(read[i], s->size[from][i]), 1);
    if (share && steadiness(share, k) < STEADY)
        needs_exact(s, from);
    aki__free(share);
}

/* The sizes of a linear's rows are those of the columns that it computes; the sizes of its columns weigh what it reads. */
static void size_linear(struct search *s, const struct aki__block *b, float *size, size_t n)
{
    aki__blk from = aki__read_by(s->g, b);
    size_t k = columns_of(s, from);
    float *read = numbers(s, k);

    if (!s->read[from])
        s->read[from] = numbers(s, k);
    if (!s->rc)
        measure(s, read, size, b->weight, (size_t)b->first, n, true);
    if (!s->rc) {
        for (size_t i = 0; i < k; i++)
            read[i] = sqrtf(read[i]);
        relate(read, k);
        for (size_t i = 0; i < k; i++)
            s->read[from][i] = fmaxf(s->read[from][i], read[i]);
        relate(size, n);
        judge_columns(s, from, read, k);
    }
    aki__free(read);
}

static void size_norm(struct search *s, const struct aki__block *b, float *size, size_t n)
{
    const float *x = s->size[b->in[0]];
    float *gamma = numbers(s, n), *beta = numbers(s, n);
    double sum = 0;

    if (!s->rc) {
        aki__g_gamma(gamma, b);
        if (b->bias)
            aki__tensor_read(beta, b->bias, 0, n);
        for (size_t i = 0; i < n; i++)
            sum += (double)x[i] * x[i];
        float unit = sum > 0 ? (float)sqrt((double)n / sum) : 1.0f;
        for (size_t i = 0; i < n; i++)
            size[i] = hypotf(x[i] * unit * gamma[i], beta[i]);
    }
    aki__free(gamma);
    aki__free(beta);
}

static void size_add(struct search *s, const struct aki__block *b, float *size, size_t n)
{
    for (size_t i = 0; i < 2; i++) {
        const struct aki__block *x = &s->g->blocks[b->in[i]];
        /* rows of a linear whose result is added to the residual, where nothing cancels them */
        if (x->op == AKI_G_LINEAR && steadiness(s->size[b->in[i]], n) < STEADY)
            needs_exact(s, aki__read_by(s->g, x));
        for (size_t c = 0; c < n; c++)
            size[c] = fmaxf(size[c], s->size[b->in[i]][c]);
    }
}

static void size_block(struct search *s, const struct aki__block *b, float *size)
{
    size_t n = (size_t)b->columns, head = (size_t)b->attention.head_dim;
    const float *x = b->in_count ? s->size[b->in[b->op == AKI_G_ATTENTION ? 2 : 0]] : NULL;

    switch (b->op) {
    case AKI_G_EMBED:  size_embed(s, b, size, n); break;
    case AKI_G_LINEAR: size_linear(s, b, size, n); break;
    case AKI_G_NORM:   size_norm(s, b, size, n); break;
    case AKI_G_ADD:    size_add(s, b, size, n); break;
    case AKI_G_ATTENTION:               /* for the values; several heads share one */
        for (size_t i = 0; i < n; i++)
            size[i] = x[i / head * (size_t)b->attention.kv_heads / (size_t)b->attention.heads * head + i % head];
        break;
    default:
        for (size_t i = 0; i < n; i++)
            size[i] = b->op == AKI_G_GATE ? x[i] * s->size[b->in[1]][i] : x[i];
        break;
    }
}

/* read NULL: only the size. Selects the largest of those that are far above, in the order of columns. */
static void choose(struct aki__outliers *o, int32_t *columns, float *size, const float *read, size_t n, float far_above)
{
    relate(size, n);
    for (o->columns = columns; o->count < AKI_MOST_OUTLIERS; o->count++) {
        float most = far_above;
        int32_t at = -1;
        size_t i = o->count;
        for (size_t c = 0; c < n; c++) {
            float far = read ? fmaxf(size[c], read[c]) : size[c];
            bool taken = false;
            for (size_t j = 0; j < o->count; j++)
                taken |= columns[j] == (int32_t)c;
            if (far > most && !taken) {
                most = far;
                at = (int32_t)c;
            }
        }
        if (at < 0)
            return;
        for (; i > 0 && columns[i - 1] > at; i--)
            columns[i] = columns[i - 1];
        columns[i] = at;
    }
}

static void find_all(struct search *s, struct aki__found *found, bool *f32, int32_t *columns)
{
    const struct aki__graph *g = s->g;
    const aki__blk count = (aki__blk)g->count;
    const float far_above = s->choice && s->choice->far_above > 0 ? s->choice->far_above : FAR_ABOVE;

    for (aki__blk i = 0; i < count && !s->rc; i++) {
        s->size[i] = g->blocks[i].rows == AKI_ROWS_VECTORS ? NULL : numbers(s, columns_of(s, i));
        if (s->size[i])
            size_block(s, &g->blocks[i], s->size[i]);
    }
    for (aki__blk i = 0; i < count && !s->rc; i++, columns += 2 * AKI_MOST_OUTLIERS) {
        const struct aki__block *b = &g->blocks[i];
        if (!s->size[i] || b->op != AKI_G_LINEAR)
            continue;
        aki__blk from = aki__read_by(g, b);
        int32_t *read = columns + (2 * (from - i) + 1) * AKI_MOST_OUTLIERS;
        f32[i] = s->choice ? s->choice->f32[i] : from <= s->exact;
        if (!f32[i])
            choose(&found[i].rows, columns, s->size[i], NULL, columns_of(s, i), far_above);
        if (!f32[i] && !found[from].read.columns)
            choose(&found[from].read, read, s->size[from], s->read[from], columns_of(s, from), far_above);
    }
}

/* The products of one block's rows have the same outliers, which view_stored in cpu_products.c checks, so any of them will do. */
static void find_stored(struct search *s, struct aki__found *found, bool *f32)
{
    for (aki__blk i = 0; i < (aki__blk)s->g->count && !s->rc; i++) {
        const struct aki__block *b = &s->g->blocks[i];
        const bool linear = b->op == AKI_G_LINEAR && b->rows != AKI_ROWS_VECTORS;
        struct aki__model_int8 stored;
        f32[i] = linear && b->weight;
        if (!linear || f32[i])
            continue;
        aki__blk from = aki__read_by(s->g, b);
        aki_status rc = aki__model_int8_outliers(s->g->model, &stored, s->err, b->name, columns_of(s, from), INT32_MAX);
        s->rc = aki__graph_fault(s->g, b->name, rc, s->err);
        if (!rc && stored.column_count)
            found[from].read = (struct aki__outliers){ .columns = stored.columns, .count = stored.column_count };
        if (!rc)
            found[i].rows = (struct aki__outliers){ .columns = stored.rows, .count = stored.row_count };
    }
}

aki_status aki__outliers_find(struct aki__found *found, bool *f32, int32_t *columns, const struct aki__graph *g, const struct aki__choice *choice,
                              struct aki__pool *pool, aki_error *err)
{
    struct search s = { .g = g, .choice = choice, .pool = pool, .exact = -1, .err = err, .size = aki__zalloc(g->count, sizeof *s.size),
                        .read = aki__zalloc(g->count, sizeof *s.read) };

    if (!s.size || !s.read)
        s.rc = aki__fail(err, AKI_E_NOMEM, "graph");
    else if (g->model->int8_bits)
        find_stored(&s, found, f32);
    else
        find_all(&s, found, f32, columns);
    for (size_t i = 0; i < g->count; i++) {
        if (g->blocks[i].op == AKI_G_ROWS)
            found[i].read = found[g->blocks[i].in[0]].read;
        if (s.size)
            aki__free(s.size[i]);
        if (s.read)
            aki__free(s.read[i]);
    }
    aki__free(s.size);
    aki__free(s.read);
    return s.rc;
}
