/* Unit graph: records blocks. See graph.h. */
#include "graph/graph.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

/* A block that failed: it has no columns, so that callers need no check. */
static const struct aki__block *block_of(const struct aki__graph *g, aki__blk x)
{
    static const struct aki__block none;

    return g->rc || (size_t)x >= g->count ? &none : &g->blocks[x];
}

static int64_t columns_of(const struct aki__graph *g, aki__blk x) { return block_of(g, x)->columns; }

/* A description that is not a valid network: a defect of the architecture. */
static void expect(struct aki__graph *g, bool holds, const char *what)
{
    if (!holds && !g->rc)
        g->rc = aki__fail(g->err, AKI_E_INTERNAL, "%s: block %zu: %s", g->model->path, g->count, what);
}

aki_status aki__graph_fault(const struct aki__graph *g, const char *name, aki_status rc, const aki_error *why)
{
    if (!rc || !g->on_fault)
        return rc;
    g->on_fault(g->fault_user, name, why);
    return AKI_OK;
}

/* Finds the tensor NAME + suffix with the shape [d0] or [d0, d1]; maybe: NULL is no error. */
static const struct aki__tensor *find(struct aki__graph *g, bool maybe, int64_t d0, int64_t d1, const char *suffix,
                                      const char *format, va_list args)
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
    aki_error why, *err = g->on_fault ? &why : g->err;
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

/* Adds a block with the rows and columns of x. */
static struct aki__block behind(const struct aki__graph *g, enum aki__block_op op, aki__blk x)
{
    const struct aki__block *b = block_of(g, x);

    return (struct aki__block){ .op = op, .in = { x }, .in_count = 1, .columns = b->columns, .rows = b->rows };
}

/* The same for x and y, which have the same shape. */
static struct aki__block behind_both(struct aki__graph *g, enum aki__block_op op, aki__blk x, aki__blk y)
{
    struct aki__block b = behind(g, op, x);

    expect(g, block_of(g, y)->columns == b.columns && block_of(g, y)->rows == b.rows, "of two blocks of different shapes");
    b.in[b.in_count++] = y;
    return b;
}

/* Rounds to so many binary digits. */
static double rounded(double x, int digits)
{
    int exponent;
    double part = frexp(x, &exponent);

    return ldexp(rint(ldexp(part, digits)), exponent - digits);
}

aki__blk aki__g_embed(struct aki__graph *g, const struct aki__g_embed *spec)
{
    struct aki__block b = { .op = AKI_G_EMBED, .embed = *spec, .columns = spec->columns ? spec->columns : g->model->hidden };

    if (spec->words)
        b.embed.scale = rounded(spec->scale, spec->words->dtype == AKI_BF16 ? 8 : spec->words->dtype == AKI_F16 ? 11 : 24);
    return add(g, b);
}

static aki__blk norm(struct aki__graph *g, aki__blk x, const struct aki__g_norm *spec, const char *format, va_list args)
{
    va_list again;
    struct aki__block b = behind(g, AKI_G_NORM, x);

    b.norm = *spec;
    if (b.norm.eps == 0)
        b.norm.eps = g->model->norm_eps;
    va_copy(again, args);
    b.weight = find(g, false, b.columns, 0, ".weight", format, args);
    if (spec->bias)
        b.bias = find(g, false, b.columns, 0, ".bias", format, again);
    va_end(again);
    return add(g, b);
}

aki__blk aki__g_norm(struct aki__graph *g, aki__blk x, const struct aki__g_norm *spec, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    aki__blk b = norm(g, x, spec, format, args);
    va_end(args);
    return b;
}

aki__blk aki__g_layer_norm(struct aki__graph *g, aki__blk x, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    aki__blk b = norm(g, x, &(struct aki__g_norm){ .bias = true }, format, args);
    va_end(args);
    return b;
}

aki__blk aki__g_rms_norm(struct aki__graph *g, aki__blk x, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    aki__blk b = norm(g, x, &(struct aki__g_norm){ .rms = true }, format, args);
    va_end(args);
    return b;
}

aki__blk aki__g_add(struct aki__graph *g, aki__blk a, aki__blk b) { return add(g, behind_both(g, AKI_G_ADD, a, b)); }

/* The rows from `first` on of a tensor that has `all`. */
static aki__blk linear(struct aki__graph *g, aki__blk x, int64_t first, int64_t columns, int64_t all, bool bias,
                       const char *format, va_list args)
{
    va_list again, once_more;
    struct aki__block b = behind(g, AKI_G_LINEAR, x);

    va_copy(again, args);
    va_copy(once_more, args);
    int n = vsnprintf(b.name, sizeof b.name, format, args);
    if (columns != all && n > 0 && (size_t)n < sizeof b.name)
        n += snprintf(b.name + n, sizeof b.name - (size_t)n, ":%lld", (long long)first);
    if ((n < 0 || (size_t)n >= sizeof b.name) && !g->rc)
        g->rc = aki__fail(g->err, AKI_E_INTERNAL, "a tensor name is too long");
    expect(g, first >= 0 && columns > 0 && first <= all - columns, "of other rows than the tensor has");
    b.columns = columns;
    b.first = first;
    b.weight = find(g, g->model->int8_bits != 0, all, columns_of(g, x), ".weight", format, again);
    if (bias)
        b.bias = find(g, false, all, 0, ".bias", format, once_more);
    va_end(again);
    va_end(once_more);
    return add(g, b);
}

aki__blk aki__g_linear(struct aki__graph *g, aki__blk x, int64_t columns, bool bias, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    aki__blk b = linear(g, x, 0, columns, columns, bias, format, args);
    va_end(args);
    return b;
}

aki__blk aki__g_linear_part(struct aki__graph *g, aki__blk x, int64_t first, int64_t columns, int64_t all, bool bias,
                            const char *format, ...)
{
    va_list args;

    va_start(args, format);
    aki__blk b = linear(g, x, first, columns, all, bias, format, args);
    va_end(args);
    return b;
}

aki__blk aki__g_act(struct aki__graph *g, aki__blk x, enum aki__activation act)
{
    struct aki__block b = behind(g, AKI_G_ACT, x);

    b.act = act;
    return add(g, b);
}

aki__blk aki__g_gate(struct aki__graph *g, aki__blk gate, aki__blk up, enum aki__activation act)
{
    struct aki__block b = behind_both(g, AKI_G_GATE, gate, up);

    b.act = act;
    return add(g, b);
}

aki__blk aki__g_attention(struct aki__graph *g, aki__blk q, aki__blk k, aki__blk v, const struct aki__g_attention *spec)
{
    struct aki__block b = behind(g, AKI_G_ATTENTION, q);
    const struct aki__block *keys = block_of(g, k), *values = block_of(g, v);
    const struct aki__tensor *buckets = spec->bias.buckets;
    const int64_t kv_columns = (int64_t)spec->kv_heads * spec->head_dim;

    expect(g, b.columns == (int64_t)spec->heads * spec->head_dim && keys->columns == kv_columns && values->columns == kv_columns,
           "heads of other columns than q, k and v have");
    expect(g, spec->kv_heads > 0 && spec->heads % spec->kv_heads == 0, "heads that do not share keys evenly");
    expect(g, b.rows != AKI_ROWS_VECTORS && keys->rows == AKI_ROWS_TOKENS && values->rows == AKI_ROWS_TOKENS,
           "keys and values of other rows than the tokens'");
    expect(g, !buckets || (buckets->shape[1] == spec->heads && buckets->shape[0] % 4 == 0 &&
                           buckets->shape[0] / 4 < spec->bias.reach), "buckets of other heads, or too many");
    b.in[1] = k;
    b.in[2] = v;
    b.in_count = 3;
    b.attention = *spec;
    if (b.attention.norm_eps == 0)
        b.attention.norm_eps = g->model->norm_eps;
    return add(g, b);
}

aki__blk aki__g_rows(struct aki__graph *g, aki__blk x)
{
    struct aki__block b = behind(g, AKI_G_ROWS, x);

    if (b.rows != AKI_ROWS_TOKENS)
        return x;
    b.rows = AKI_ROWS_READ;
    return add(g, b);
}

aki__blk aki__g_pool(struct aki__graph *g, aki__blk x, enum aki__activation act)
{
    struct aki__block b = behind(g, AKI_G_POOL, aki__g_rows(g, x));

    expect(g, b.rows != AKI_ROWS_VECTORS, "a pooling of vectors");
    b.rows = AKI_ROWS_VECTORS;
    b.act = act;
    return add(g, b);
}

aki__blk aki__g_dense(struct aki__graph *g, aki__blk x)
{
    const struct aki__model *m = g->model;

    for (size_t i = 0; i < m->dense_count && !g->rc; i++) {
        const struct aki__dense *d = &m->dense[i];
        struct aki__block y = behind(g, AKI_G_LINEAR, x);
        if (d->weight->shape[1] != y.columns) {
            g->rc = aki__fail(g->err, AKI_E_INVALID, "Dense module %zu takes %lld columns, but %lld come in", i + 1,
                              (long long)d->weight->shape[1], (long long)y.columns);
            return x;
        }
        y.columns = d->weight->shape[0];
        y.weight = d->weight;
        y.bias = d->bias;
        x = aki__g_act(g, add(g, y), d->activation);
    }
    return x;
}

void aki__g_result(struct aki__graph *g, enum aki__result_kind kind, aki__blk x)
{
    expect(g, g->result_count < AKI_RESULT_KINDS && aki__graph_result(g, kind) < 0, "a second result of its kind");
    expect(g, block_of(g, x)->rows == AKI_ROWS_VECTORS, "a result that is not pooled");
    if (!g->rc) {
        g->results[g->result_count].kind = kind;
        g->results[g->result_count++].blk = x;
    }
}

void aki__g_finish(struct aki__graph *g, aki__blk x)
{
    aki__blk pooled = aki__g_pool(g, x, AKI_ACT_NONE), vectors = aki__g_dense(g, pooled);

    aki__g_result(g, AKI_RESULT_HIDDEN, pooled);
    if (vectors != pooled)
        aki__g_result(g, AKI_RESULT_VECTORS, vectors);
}

/* ---------------------------------------------------------------- for the dialects ------------------------------ */

aki__blk aki__graph_result(const struct aki__graph *g, enum aki__result_kind kind)
{
    for (size_t i = 0; i < g->result_count; i++)
        if (g->results[i].kind == kind)
            return g->results[i].blk;
    return -1;
}

bool aki__g_same_rope(const struct aki__g_attention *a, const struct aki__g_attention *b)
{
    return a->head_dim == b->head_dim && a->frequencies == b->frequencies && (a->frequencies || a->rope_theta == b->rope_theta);
}

bool aki__g_same_bias(const struct aki__g_attention *a, const struct aki__g_attention *b)
{
    return a->heads == b->heads && a->bias.reach == b->bias.reach && a->bias.buckets == b->bias.buckets;
}

void aki__g_frequencies(float *inverse, const struct aki__g_attention *a)
{
    for (int i = 0; i < a->head_dim / 2; i++)
        inverse[i] = a->frequencies ? a->frequencies[i] : 1.0f / powf((float)a->rope_theta, (float)(2 * i) / (float)a->head_dim);
}

/* The bucket of a distance, of n: half of them for each side. The first half of these is for one distance each, the others for
 * increasing ranges up to reach. In f32, as in transformers. Raffel et al. 2019, arXiv 1910.10683. */
static int bucket_of(int distance, int n, int reach)
{
    int side = n / 2, exact = side / 2, far = abs(distance);

    if (far >= exact) {
        float part = logf((float)far / (float)exact) / (float)log((double)reach / exact) * (float)(side - exact);
        far = exact + (int)part < side ? exact + (int)part : side - 1;
    }
    return far + (distance > 0 ? side : 0);
}

/* The slope of a head in ALiBi: for n heads, a power of two, 2^(-8 (h + 1) / n); else the slopes of the power below n, then
 * every second one of the power above. Press et al. 2021, arXiv 2108.12409. */
static double slope_of(int head, int heads)
{
    int power = 1;

    while (2 * power <= heads)
        power *= 2;
    return head < power ? exp2(-8.0 * (head + 1) / power) : exp2(-4.0 * (2 * (head - power) + 1) / power);
}

void aki__g_bias_table(float *table, const struct aki__g_attention *a, float factor)
{
    const struct aki__g_bias *bias = &a->bias;

    for (int h = 0; h < a->heads; h++)
        for (int d = -bias->reach; d <= bias->reach; d++) {
            float x = (float)(-slope_of(h, a->heads) * abs(d));
            if (bias->buckets)
                aki__tensor_read(&x, bias->buckets,
                                 (size_t)bucket_of(d, (int)bias->buckets->shape[0], bias->reach) * (size_t)a->heads + (size_t)h, 1);
            *table++ = x * factor;
        }
}

void aki__g_gamma(float *gamma, const struct aki__block *norm)
{
    aki__tensor_read(gamma, norm->weight, 0, (size_t)norm->columns);
    for (int64_t i = 0; i < norm->columns && norm->norm.shift != 0; i++)
        gamma[i] += norm->norm.shift;
}

static bool reads(const struct aki__block *b, const struct aki__tensor *t)
{
    return b->embed.words == t || b->embed.positions == t || b->embed.types == t || b->weight == t || b->bias == t || b->attention.q_norm == t ||
           b->attention.k_norm == t || b->attention.bias.buckets == t;
}

/* true: a block before number i reads the tensor; or for a quantised folder (t NULL), the product. */
static bool read_before(const struct aki__graph *g, size_t i, const struct aki__tensor *t)
{
    for (size_t k = 0; k < i; k++) {
        const struct aki__block *b = &g->blocks[k];
        if (t ? reads(b, t) : b->op == AKI_G_LINEAR && strcmp(b->name, g->blocks[i].name) == 0)
            return true;
    }
    return false;
}

int64_t aki__graph_parameters(const struct aki__graph *g)
{
    int64_t sum = 0;

    for (size_t i = 0; i < g->count; i++) {
        const struct aki__block *b = &g->blocks[i];
        const struct aki__tensor *all[] = { b->embed.words, b->embed.positions, b->embed.types, b->weight, b->bias,
                                            b->attention.q_norm, b->attention.k_norm,
                                            b->attention.bias.buckets };
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            if (all[k] && !read_before(g, i, all[k]))
                sum += (int64_t)(all[k]->size / aki__dtype_size(all[k]->dtype));
        if (b->op == AKI_G_LINEAR && !b->weight && !read_before(g, i, NULL))        /* of a quantised folder */
            sum += b->columns * g->blocks[b->in[0]].columns;
    }
    return sum;
}
