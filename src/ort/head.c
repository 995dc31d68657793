/* Unit head: the pooling, and the blocks of vectors behind it. See head.h. */
#include "ort/head.h"

#include "graph/cpu.h"
#include "kernel/kernel.h"

/* A block: what it reads (numbers of earlier steps; step 0 is the pooling), and its weights as the kernels want them. */
struct step {
    enum aki__block_op op;
    size_t in[2], columns, at;              /* at: its vectors' place in a run's floats, in columns */
    struct aki__packed weight;              /* linear */
    float *data, *bias;                     /* linear: of `weight`; norm: gamma, beta or NULL */
    bool   rms;
    float  eps;
    enum aki__kernel_act act;
};

struct aki__head {
    struct step *steps;                     /* [count]; the last gives the vectors */
    size_t       count, columns, widest;    /* columns: of all but the last, side by side */
};

/* ---------------------------------------------------------------- weights --------------------------------------- */

static float *read_numbers(const struct aki__tensor *t, size_t first, size_t count, size_t room)
{
    float *out = aki__alloc_aligned(room, sizeof *out);

    if (!out)
        return NULL;
    aki__tensor_read(out, t, first, count);
    memset(out + count, 0, (room - count) * sizeof *out);
    return out;
}

static bool pack_linear(struct step *s, const struct aki__block *b, size_t k)
{
    const size_t n = (size_t)b->columns, count = aki__panels(n) * AKI_PANEL * k, panel = AKI_PANEL * k;

    s->data = aki__alloc_aligned(count, sizeof *s->data);
    if (!s->data)
        return false;
    memset(s->data + count - panel, 0, panel * sizeof *s->data);
    aki__kernels()->pack_float(&(struct aki__pack){ .w = aki__table_from(b->weight, (size_t)b->first * k), .k = k, .out = s->data }, 0, n);
    if (b->bias && !(s->bias = read_numbers(b->bias, (size_t)b->first, n, aki__panels(n) * AKI_PANEL)))
        return false;
    s->weight = (struct aki__packed){ .data = s->data, .bias = s->bias, .n = n, .k = k };
    return true;
}

static bool read_norm(struct step *s, const struct aki__block *b)
{
    s->rms = b->norm.rms;
    s->eps = (float)b->norm.eps;
    s->data = aki__alloc_aligned(s->columns, sizeof *s->data);
    if (s->data)
        aki__g_gamma(s->data, b);
    return s->data && (!b->bias || (s->bias = read_numbers(b->bias, 0, s->columns, s->columns)));
}

/* ---------------------------------------------------------------- opening --------------------------------------- */

/* Blocks that `last` is made of, back to `pooled`: needed[i]. false: it is made of others than these as well. */
static bool find_needed(const struct aki__graph *g, aki__blk pooled, aki__blk last, bool *needed)
{
    if (last < pooled)
        return false;
    needed[last] = true;
    for (aki__blk i = last; i > pooled; i--)
        for (int k = 0; k < g->blocks[i].in_count && needed[i]; k++) {
            const aki__blk x = g->blocks[i].in[k];
            if (x != pooled && (x < pooled || g->blocks[x].rows != AKI_ROWS_VECTORS || g->blocks[x].op == AKI_G_POOL))
                return false;
            needed[x] = true;
        }
    return true;
}

static bool add_step(struct aki__head *h, const struct aki__graph *g, const struct aki__block *b, const size_t *step_of)
{
    struct step *s = &h->steps[h->count++];

    *s = (struct step){ .op = b->op, .columns = (size_t)b->columns, .at = h->columns, .act = aki__act_of(b->act) };
    for (int k = 0; k < b->in_count && b->op != AKI_G_POOL; k++)
        s->in[k] = step_of[b->in[k]];
    h->columns += s->columns;
    h->widest = s->columns > h->widest ? s->columns : h->widest;
    return b->op == AKI_G_LINEAR ? pack_linear(s, b, (size_t)g->blocks[b->in[0]].columns) : b->op == AKI_G_NORM ? read_norm(s, b) : true;
}

static aki_status add_steps(struct aki__head *h, const struct aki__graph *g, aki__blk pooled, aki__blk last, bool *needed, size_t *step_of, aki_error *err)
{
    if (!find_needed(g, pooled, last, needed))
        return aki__fail(err, AKI_E_UNSUPPORTED, "%s: vectors that are made of more than the pooled hidden rows: on the cpu only", g->model->path);
    for (aki__blk i = pooled; i <= last; i++) {
        step_of[i] = h->count;
        if ((i == pooled || needed[i]) && !add_step(h, g, &g->blocks[i], step_of))
            return aki__fail(err, AKI_E_NOMEM, "session");
    }
    h->columns -= h->steps[h->count - 1].columns;
    return AKI_OK;
}

aki_status aki__head_open(struct aki__head **out, const struct aki__graph *g, aki_error *err)
{
    const aki__blk pooled = aki__graph_result(g, AKI_RESULT_HIDDEN), vectors = aki__graph_result(g, AKI_RESULT_VECTORS), last = vectors < 0 ? pooled : vectors;
    struct aki__head *h = aki__zalloc(1, sizeof *h);
    bool *needed = aki__zalloc(g->count, sizeof *needed);
    size_t *step_of = aki__zalloc(g->count, sizeof *step_of);
    aki_status rc = AKI_OK;

    *out = NULL;
    if (!h || !needed || !step_of || !(h->steps = aki__zalloc(g->count, sizeof *h->steps)))
        rc = aki__fail(err, AKI_E_NOMEM, "session");
    else if (pooled < 0 || g->blocks[pooled].op != AKI_G_POOL)
        rc = aki__fail(err, AKI_E_UNSUPPORTED, "%s: a network that pools no hidden rows: on the cpu only", g->model->path);
    if (!rc) rc = add_steps(h, g, pooled, last, needed, step_of, err);
    if (!rc) {
        *out = h;
        h = NULL;
    }
    aki__head_close(h);
    aki__free(needed);
    aki__free(step_of);
    return rc;
}

void aki__head_close(struct aki__head *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->count; i++) {
        aki__free_aligned(h->steps[i].data);
        aki__free_aligned(h->steps[i].bias);
    }
    aki__free(h->steps);
    aki__free(h);
}

size_t aki__head_columns(const struct aki__head *h, bool dense) { return h->steps[dense ? h->count - 1 : 0].columns; }

/* ---------------------------------------------------------------- running --------------------------------------- */

/* scratch: [widest] floats at least. */
static aki_status run_step(const struct step *s, size_t vectors, const float *x, const float *y, size_t in_columns, float *out, float *scratch, aki_error *err)
{
    const struct aki__kernels *k = aki__kernels();
    const struct aki__out to = { .f32 = out, .stride = s->columns, .block = 1 };

    switch (s->op) {
    case AKI_G_LINEAR: {
        const struct aki__product a = { .x = x, .w = &s->weight, .out = out, .rows = vectors };
        const size_t size = k->product_scratch_size(&a);
        void *own = size ? aki__alloc_aligned(size, 1) : NULL;
        if (size && !own)
            return aki__fail(err, AKI_E_NOMEM, "%zu vectors", vectors);
        k->product(&a, 0, aki__product_count(&a), own);
        aki__free_aligned(own);
        break;
    }
    case AKI_G_NORM:
        k->norm(&(struct aki__norm){ .x = x, .out = to, .gamma = s->data, .beta = s->bias, .hidden = s->columns, .eps = s->eps, .rms = s->rms }, 0, vectors, scratch);
        break;
    case AKI_G_ADD:
        for (size_t i = 0; i < vectors * s->columns; i++)
            out[i] = x[i] + y[i];
        break;
    default:                                /* an activation, with or without a gate */
        k->act(&(struct aki__act){ .x = { .f32 = x, .stride = in_columns }, .gate = { .f32 = s->op == AKI_G_GATE ? y : NULL, .stride = in_columns }, .out = to,
                                   .columns = s->columns, .act = s->act }, 0, vectors, scratch);
    }
    return AKI_OK;
}

static void pool(const struct step *s, const struct aki__batch *b, const float *rows, float *out, double *sums)
{
    const struct aki__pooling a = { .out = out, .x = rows, .starts = b->pool_starts, .weight_from = b->weight_from, .hidden = s->columns, .mode = (enum aki__pool_mode)b->mode, .act = s->act };

    aki__kernels()->pool(&a, 0, b->vectors, sums);
}

aki_status aki__head_run(const struct aki__head *h, const struct aki__batch *b, const float *rows, float *out, aki_error *err)
{
    const size_t count = b->dense ? h->count : 1;
    double *sums = aki__alloc_aligned(h->steps->columns, sizeof *sums + sizeof(float));
    float *scratch = aki__alloc_aligned(h->widest, sizeof *scratch), *between = count > 1 ? aki__alloc_aligned(b->vectors, h->columns * sizeof *between) : NULL;
    aki_status rc = sums && scratch && (between || count == 1) ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "%zu vectors", b->vectors);

    if (!rc)
        pool(h->steps, b, rows, count > 1 ? between : out, sums);
    for (size_t i = 1; i < count && !rc; i++) {
        const struct step *s = &h->steps[i], *x = &h->steps[s->in[0]], *y = &h->steps[s->in[1]];
        rc = run_step(s, b->vectors, between + b->vectors * x->at, between + b->vectors * y->at, x->columns, i + 1 < count ? between + b->vectors * s->at : out, scratch, err);
    }
    aki__free_aligned(sums);
    aki__free_aligned(scratch);
    aki__free_aligned(between);
    return rc;
}
