/* Unit graph: records blocks. See graph.h. */
#include "ort/graph.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void aki__graph_init(struct aki__graph *g, const struct aki__model *m, aki_error *err)
{
    *g = (struct aki__graph){ .model = m, .err = err };
}

void aki__graph_free(struct aki__graph *g)
{
    aki__free(g->blocks);
    *g = (struct aki__graph){ 0 };
}

static aki__blk add(struct aki__graph *g, struct aki__block block)
{
    if (!g->rc && !aki__grow((void **)&g->blocks, &g->capacity, g->count + 1, sizeof *g->blocks))
        g->rc = aki__fail(g->err, AKI_E_NOMEM, "graph");
    if (g->rc)
        return 0;
    g->blocks[g->count] = block;
    return (aki__blk)g->count++;
}

/* Columns of a block; 0 once something failed, so that callers need no check of their own. */
static int64_t columns_of(const struct aki__graph *g, aki__blk x)
{
    return g->rc || (size_t)x >= g->count ? 0 : g->blocks[x].columns;
}

aki_status aki__graph_fault(const struct aki__graph *g, const char *name, aki_status rc, const aki_error *why)
{
    if (!rc || !g->tell)
        return rc;
    g->tell(g->tell_user, name, why);
    return AKI_OK;
}

/* NAME + suffix with the shape [d0] or [d0, d1]; maybe: NULL is no error. */
static const struct aki__tensor *find(struct aki__graph *g, bool maybe, int64_t d0, int64_t d1, const char *suffix, const char *format, va_list args)
{
    char name[160];
    const struct aki__tensor *t = NULL;

    if (g->rc)
        return NULL;
    int n = vsnprintf(name, sizeof name, format, args);
    if (n < 0 || (size_t)n + strlen(suffix) >= sizeof name)
        g->rc = aki__fail(g->err, AKI_E_INTERNAL, "a tensor name is too long");
    else
        memcpy(name + n, suffix, strlen(suffix) + 1);
    if (g->rc)
        return NULL;
    aki_error why, *err = g->tell ? &why : g->err;
    aki_status rc = (maybe ? aki__model_tensor_maybe : aki__model_tensor)(g->model, &t, err, name, d1 ? 2 : 1, (int)d0, (int)d1);
    g->rc = aki__graph_fault(g, name, rc, &why);
    return t;
}

const struct aki__tensor *aki__g_tensor(struct aki__graph *g, int64_t d0, int64_t d1, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const struct aki__tensor *t = find(g, false, d0, d1, "", format, args);
    va_end(args);
    return t;
}

aki__blk aki__g_embed(struct aki__graph *g, const struct aki__tensor *words, const struct aki__tensor *positions, const struct aki__tensor *types)
{
    return add(g, (struct aki__block){ .op = AKI_G_EMBED, .words = words, .positions = positions, .types = types, .columns = g->model->hidden });
}

static aki__blk norm(struct aki__graph *g, aki__blk x, bool rms, const char *format, va_list args)
{
    va_list again;
    struct aki__block b = { .op = AKI_G_NORM, .in = { x }, .in_count = 1, .columns = columns_of(g, x), .rms = rms };

    va_copy(again, args);
    b.weight = find(g, false, b.columns, 0, ".weight", format, args);
    if (!rms)
        b.bias = find(g, false, b.columns, 0, ".bias", format, again);
    va_end(again);
    return add(g, b);
}

aki__blk aki__g_layer_norm(struct aki__graph *g, aki__blk x, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    aki__blk b = norm(g, x, false, format, args);
    va_end(args);
    return b;
}

aki__blk aki__g_rms_norm(struct aki__graph *g, aki__blk x, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    aki__blk b = norm(g, x, true, format, args);
    va_end(args);
    return b;
}

aki__blk aki__g_add(struct aki__graph *g, aki__blk a, aki__blk b)
{
    return add(g, (struct aki__block){ .op = AKI_G_ADD, .in = { a, b }, .in_count = 2, .columns = columns_of(g, a) });
}

aki__blk aki__g_linear(struct aki__graph *g, aki__blk x, int64_t columns, bool bias, const char *format, ...)
{
    va_list args, again, once_more;
    struct aki__block b = { .op = AKI_G_LINEAR, .in = { x }, .in_count = 1, .columns = columns };

    va_start(args, format);
    va_copy(again, args);
    va_copy(once_more, args);
    if (vsnprintf(b.name, sizeof b.name, format, args) >= (int)sizeof b.name && !g->rc)
        g->rc = aki__fail(g->err, AKI_E_INTERNAL, "a tensor name is too long");
    b.weight = find(g, g->model->int8_bits != 0, columns, columns_of(g, x), ".weight", format, again);
    if (bias)
        b.bias = find(g, false, columns, 0, ".bias", format, once_more);
    va_end(again);
    va_end(once_more);
    va_end(args);
    return add(g, b);
}

aki__blk aki__g_act(struct aki__graph *g, aki__blk x, enum aki__activation act)
{
    return add(g, (struct aki__block){ .op = AKI_G_ACT, .in = { x }, .in_count = 1, .columns = columns_of(g, x), .act = act });
}

aki__blk aki__g_gate(struct aki__graph *g, aki__blk gate, aki__blk up, enum aki__activation act)
{
    return add(g, (struct aki__block){ .op = AKI_G_GATE, .in = { gate, up }, .in_count = 2, .columns = columns_of(g, gate), .act = act });
}

aki__blk aki__g_attention(struct aki__graph *g, aki__blk q, aki__blk k, aki__blk v, const struct aki__g_attention *spec)
{
    return add(g, (struct aki__block){ .op = AKI_G_ATTENTION, .in = { q, k, v }, .in_count = 3, .columns = (int64_t)spec->heads * spec->head_dim, .attention = *spec });
}

aki__blk aki__g_rows(struct aki__graph *g, aki__blk x)
{
    return add(g, (struct aki__block){ .op = AKI_G_ROWS, .in = { x }, .in_count = 1, .columns = columns_of(g, x) });
}

void aki__rope_frequencies(float *inverse, int head_dim, double theta)
{
    for (int i = 0; i < head_dim / 2; i++)
        inverse[i] = 1.0f / powf((float)theta, (float)(2 * i) / (float)head_dim);
}

void aki__g_finish(struct aki__graph *g, aki__blk x)
{
    const struct aki__model *m = g->model;

    g->hidden = g->vectors = add(g, (struct aki__block){ .op = AKI_G_POOL, .in = { x }, .in_count = 1, .columns = columns_of(g, x) });
    for (size_t i = 0; i < m->dense_count && !g->rc; i++) {
        const struct aki__dense *d = &m->dense[i];
        if (d->weight->shape[1] != columns_of(g, g->vectors)) {
            g->rc = aki__fail(g->err, AKI_E_INVALID, "Dense module %zu takes %lld columns, but %lld come in", i + 1,
                              (long long)d->weight->shape[1], (long long)columns_of(g, g->vectors));
            return;
        }
        aki__blk y = add(g, (struct aki__block){ .op = AKI_G_LINEAR, .in = { g->vectors }, .in_count = 1, .columns = d->weight->shape[0], .weight = d->weight, .bias = d->bias });
        g->vectors = aki__g_act(g, y, d->activation);
    }
}

int64_t aki__graph_parameters(const struct aki__graph *g)
{
    int64_t sum = 0;

    for (size_t i = 0; i < g->count; i++) {
        const struct aki__block *b = &g->blocks[i];
        const struct aki__tensor *all[] = { b->words, b->positions, b->types, b->weight, b->bias, b->attention.q_norm, b->attention.k_norm };
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            sum += all[k] ? (int64_t)(all[k]->size / aki__dtype_size(all[k]->dtype)) : 0;
        if (b->op == AKI_G_LINEAR && !b->weight)        /* a quantised folder's */
            sum += b->columns * g->blocks[b->in[0]].columns;
    }
    return sum;
}
