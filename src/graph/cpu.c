/* Unit cpu: the dialect for processors: lowers blocks. See cpu.h.
 *
 * Blocks are emitted in their order, except for linears and additions, which are emitted when they are first read, so that the
 * reader can fuse them. Linears with the same input that one block reads (q, k, v; gate, up) become one product, and an
 * addition becomes a part of the norm after it. Any other reader calls rows_of, which emits what was not emitted yet. */
#include "graph/cpu_lowering.h"

#include <math.h>

typedef struct aki__cpu_lowering lowering;
typedef struct aki__cpu_values values;

/* Copies a small tensor as f32; NULL: t is NULL, or there is no memory. */
static float *vector(lowering *l, const struct aki__tensor *t)
{
    float *out = t ? aki__cpu_keep(l, (size_t)t->shape[0], sizeof *out) : NULL;

    if (out)
        aki__tensor_read(out, t, 0, (size_t)t->shape[0]);
    return out;
}

/* The same for the gamma of a head. */
static const float *gamma_of(lowering *l, const struct aki__tensor *t, float shift)
{
    float *out = vector(l, t);

    for (int64_t i = 0; out && shift != 0 && i < t->shape[0]; i++)
        out[i] += shift;
    return out;
}

struct aki__onnx_node *aki__cpu_node(lowering *l, const char *op, const void *plan)
{
    static struct aki__onnx_node nowhere;       /* written to when there is no more memory, and never read */
    struct aki__onnx_node *n = l->rc ? NULL : aki__onnx_node(l->o, op, "aki");

    if (!n) {
        if (!l->rc)
            l->rc = aki__fail(l->err, AKI_E_NOMEM, "graph");
        nowhere = (struct aki__onnx_node){ 0 };
        return &nowhere;
    }
    aki__onnx_attribute(n, "plan", (int64_t)(uintptr_t)plan);
    return n;
}

int aki__cpu_output(lowering *l, struct aki__onnx_node *n, bool wanted)
{
    return n->outputs[n->output_count++] = wanted ? aki__onnx_value(l->o) : 0;
}

/* The outliers of a block's rows, which are not quantised. */
static const struct aki__outliers *outliers_of(const lowering *l, const values *p) { return &l->outliers[p - l->values].read; }

/* Adds the outputs f32, u8, scale and side of a node, as far as they are needed; they become p's values. */
static void outputs(lowering *l, struct aki__onnx_node *n, values *p, bool f32, bool u8)
{
    int rows = aki__cpu_output(l, n, f32), quantised = aki__cpu_output(l, n, u8), scale = aki__cpu_output(l, n, u8);
    int side = aki__cpu_output(l, n, u8 && outliers_of(l, p)->count);

    if (f32) {
        p->f32 = rows;
        p->at = 0;
        p->part = false;
    }
    if (u8) {
        p->u8 = quantised;
        p->scale = scale;
        p->side = side;
    }
    p->emitted = true;
}

/* ---------------------------------------------------------------- rows of a block ------------------------------- */

/* Copies p's rows to values of their own, and quantises them for int8 products. */
static void copy(lowering *l, values *p, size_t columns, bool f32, bool u8)
{
    struct aki__act_plan *plan = aki__cpu_keep(l, 1, sizeof *plan);

    if (!plan)
        return;
    *plan = (struct aki__act_plan){ .x = p->at, .act = AKI_KACT_NONE, .columns = columns, .block = aki__rotation_block(columns), .outliers = *outliers_of(l, p) };
    struct aki__onnx_node *n = aki__cpu_node(l, "Act", plan);
    aki__cpu_input(n, p->f32);
    outputs(l, n, p, f32, u8);
}

static values *rows_of(lowering *l, aki__blk x);
static values *own_rows_of(lowering *l, aki__blk x);

/* The value that a linear's product reads. */
static void make_input(lowering *l, aki__blk linear)
{
    aki__blk x = l->g->blocks[linear].in[0];

    if (aki__cpu_is_int8(l, linear) && !l->outliers[linear].rows.count)
        rows_of(l, x);
    else
        own_rows_of(l, x);
}

/* Emits an addition without a norm after it. */
static void lower_add(lowering *l, const struct aki__block *b, values *p)
{
    struct aki__add_plan *plan = aki__cpu_keep(l, 1, sizeof *plan);
    const values *x = rows_of(l, b->in[0]), *y = rows_of(l, b->in[1]);

    if (!plan)
        return;
    *plan = (struct aki__add_plan){ .x = x->at, .y = y->at, .columns = (size_t)b->columns };
    struct aki__onnx_node *n = aki__cpu_node(l, "Add", plan);
    aki__cpu_input(n, x->f32);
    aki__cpu_input(n, y->f32);
    p->f32 = aki__cpu_output(l, n, true);
    p->emitted = true;
}

/* Emits the rows of a block in all forms that are needed; they may be columns of a wider value. */
static values *rows_of(lowering *l, aki__blk x)
{
    const struct aki__block *b = &l->g->blocks[x];
    values *p = &l->values[x];

    if (!p->emitted && b->op == AKI_G_LINEAR) {
        make_input(l, x);
        aki__cpu_product(l, &x, 1);
    }
    if (!p->emitted && b->op == AKI_G_ADD)
        lower_add(l, b, p);
    if (p->need_u8 && !p->u8)
        copy(l, p, (size_t)b->columns, false, true);
    return p;
}

/* The same, as a value that has no other columns. */
static values *own_rows_of(lowering *l, aki__blk x)
{
    values *p = rows_of(l, x);

    if (p->part)
        copy(l, p, (size_t)l->g->blocks[x].columns, true, false);
    return p;
}

/* Emits the linears among a block's inputs, as one product if they have the same input. */
static void fuse(lowering *l, const struct aki__block *b)
{
    for (int i = 0; i < b->in_count; i++) {
        aki__blk group[3];
        size_t count = 0;
        for (int k = i; k < b->in_count; k++) {
            const struct aki__block *x = &l->g->blocks[b->in[k]];
            bool again = count && b->in[k] == group[0];
            if (x->op == AKI_G_LINEAR && !l->values[b->in[k]].emitted && !again && (!count || x->in[0] == l->g->blocks[group[0]].in[0])) {
                make_input(l, b->in[k]);
                group[count++] = b->in[k];
            }
        }
        if (count)
            aki__cpu_product(l, group, count);
    }
}

/* ---------------------------------------------------------------- blocks ---------------------------------------- */

static void lower_embed(lowering *l, const struct aki__block *b, values *p)
{
    const struct aki__g_embed *e = &b->embed;
    struct aki__embed_plan *plan = aki__cpu_keep(l, 1, sizeof *plan);

    if (!plan)
        return;
    *plan = (struct aki__embed_plan){ .words = aki__table_of(e->words), .positions = aki__table_of(e->positions), .types = aki__table_of(e->types),
                                      .hidden = (size_t)b->columns, .scale = (float)e->scale };
    struct aki__onnx_node *n = aki__cpu_node(l, "Embed", plan);
    aki__cpu_input(n, l->ids);
    aki__cpu_input(n, l->positions);
    if (e->types && e->types->shape[0] > 1)
        aki__cpu_input(n, l->types);
    p->f32 = aki__cpu_output(l, n, true);
    p->emitted = true;
}

static void lower_norm(lowering *l, const struct aki__block *b, values *p)
{
    struct aki__norm_plan *plan = aki__cpu_keep(l, 1, sizeof *plan);
    float *gamma = aki__cpu_keep(l, (size_t)b->columns, sizeof *gamma);
    const struct aki__block *in = &l->g->blocks[b->in[0]];
    values *sum = &l->values[b->in[0]];
    const bool fused = in->op == AKI_G_ADD && !sum->emitted;
    int x = 0;
    const values *add = NULL;

    if (l->rc)
        return;
    if (fused) {
        const bool swapped = l->g->blocks[in->in[0]].op == AKI_G_LINEAR;       /* a linear's rows may be columns of a wider value */
        add = rows_of(l, in->in[!swapped]);
        x = own_rows_of(l, in->in[swapped])->f32;
    } else if (rows_of(l, b->in[0])->part) {
        add = sum;
    } else {
        x = sum->f32;
    }
    if (b->weight)                          /* else it is missing, which was reported */
        aki__g_gamma(gamma, b);
    *plan = (struct aki__norm_plan){ .gamma = gamma, .beta = vector(l, b->bias), .eps = (float)b->norm.eps, .rms = b->norm.rms, .add = add ? add->at : 0,
                                     .hidden = (size_t)b->columns, .block = aki__rotation_block((size_t)b->columns), .outliers = *outliers_of(l, p) };
    struct aki__onnx_node *n = aki__cpu_node(l, "Norm", plan);
    aki__cpu_input(n, x);
    aki__cpu_input(n, add ? add->f32 : 0);
    if (fused) {
        sum->f32 = aki__cpu_output(l, n, sum->need_f32 || sum->need_u8);
        sum->emitted = sum->f32 != 0;
    } else {
        aki__cpu_output(l, n, false);
    }
    outputs(l, n, p, p->need_f32, p->need_u8);
}

static void lower_act(lowering *l, const struct aki__block *b, values *p)
{
    struct aki__act_plan *plan = aki__cpu_keep(l, 1, sizeof *plan);
    const bool gated = b->op == AKI_G_GATE;

    fuse(l, b);
    const values *x = rows_of(l, b->in[0]), *gate = gated ? rows_of(l, b->in[1]) : NULL;
    if (l->rc)
        return;
    *plan = (struct aki__act_plan){ .x = x->at, .gate = gated ? gate->at : 0, .gated = gated, .act = aki__act_of(b->act), .columns = (size_t)b->columns,
                                    .block = aki__rotation_block((size_t)b->columns), .outliers = *outliers_of(l, p) };
    struct aki__onnx_node *n = aki__cpu_node(l, "Act", plan);
    aki__cpu_input(n, x->f32);
    if (gated && gate->f32 != x->f32)
        aki__cpu_input(n, gate->f32);
    outputs(l, n, p, p->need_f32, p->need_u8);
}

static void remember(lowering *l, struct aki__cpu_shared shared)
{
    if (l->rc)
        return;
    if (aki__grow((void **)&l->shared, &l->shared_capacity, l->shared_count + 1, sizeof *l->shared))
        l->shared[l->shared_count++] = shared;
    else
        l->rc = aki__fail(l->err, AKI_E_NOMEM, "graph");
}

/* Emits cos and sin of the positions: one value for all layers with the same frequencies. */
static int rope_of(lowering *l, const struct aki__g_attention *a)
{
    for (size_t i = 0; i < l->shared_count; i++)
        if (l->shared[i].rope && aki__g_same_rope(l->shared[i].spec, a))
            return l->shared[i].rope;
    struct aki__rope_plan *plan = aki__cpu_keep(l, 1, sizeof *plan);
    float *inverse = aki__cpu_keep(l, (size_t)a->head_dim / 2, sizeof *inverse);
    if (l->rc)
        return 0;
    aki__g_frequencies(inverse, a);
    *plan = (struct aki__rope_plan){ .inverse = inverse, .head_dim = (size_t)a->head_dim };
    struct aki__onnx_node *n = aki__cpu_node(l, "Rope", plan);
    aki__cpu_input(n, l->positions);
    int rope = aki__cpu_output(l, n, true);
    remember(l, (struct aki__cpu_shared){ .spec = a, .rope = rope });
    return rope;
}

/* The table of the bias by distance, which layers share as well. The kernel's scores are exponents of 2. */
static const float *bias_of(lowering *l, const struct aki__g_attention *a)
{
    for (size_t i = 0; i < l->shared_count; i++)
        if (l->shared[i].bias && aki__g_same_bias(l->shared[i].spec, a))
            return l->shared[i].bias;
    float *table = aki__cpu_keep(l, (size_t)a->heads * (2 * (size_t)a->bias.reach + 1), sizeof *table);
    if (!table)
        return NULL;
    aki__g_bias_table(table, a, 1.44269504f);
    remember(l, (struct aki__cpu_shared){ .spec = a, .bias = table });
    return table;
}

static void lower_attention(lowering *l, const struct aki__block *b, values *p)
{
    const struct aki__g_attention *a = &b->attention;
    struct aki__attention_plan *plan = aki__cpu_keep(l, 1, sizeof *plan);
    const bool read = b->rows == AKI_ROWS_READ;     /* only the queries whose rows are read */
    int rope = aki__g_rotates(a) ? rope_of(l, a) : 0;

    fuse(l, b);
    const values *q = rows_of(l, b->in[0]), *k = rows_of(l, b->in[1]), *v = rows_of(l, b->in[2]);
    if (l->rc)
        return;
    *plan = (struct aki__attention_plan){ .q = q->at, .k = k->at, .v = v->at, .heads = (size_t)a->heads, .kv_heads = (size_t)a->kv_heads,
        .head_dim = (size_t)a->head_dim, .window = (size_t)a->window, .block = aki__rotation_block((size_t)b->columns), .causal = a->causal,
        .q_norm = gamma_of(l, a->q_norm, a->norm_shift), .k_norm = gamma_of(l, a->k_norm, a->norm_shift), .norm_eps = (float)a->norm_eps,
        .scale = (float)(a->scale != 0 ? a->scale : 1.0 / sqrt((double)a->head_dim)), .bias = a->bias.reach ? bias_of(l, a) : NULL,
        .reach = (size_t)a->bias.reach, .layer = (size_t)l->attentions++, .bf16 = aki__cpu_is_int8(l, b->in[0]), .outliers = *outliers_of(l, p) };
    struct aki__onnx_node *n = aki__cpu_node(l, "Attention", plan);
    aki__cpu_input(n, q->f32);
    aki__cpu_input(n, k->f32);
    aki__cpu_input(n, l->starts);
    aki__cpu_input(n, l->query_starts);
    aki__cpu_input(n, read ? l->rows : 0);
    aki__cpu_input(n, rope);
    aki__cpu_input(n, a->causal ? l->key_starts : 0);
    aki__cpu_input(n, a->causal ? l->prefixes : 0);
    if (v->f32 != k->f32)
        aki__cpu_input(n, v->f32);
    outputs(l, n, p, p->need_f32, p->need_u8);
}

static void lower_rows(lowering *l, const struct aki__block *b, values *p)
{
    const values *x = p->need_f32 ? own_rows_of(l, b->in[0]) : rows_of(l, b->in[0]);

    if (p->need_f32) {
        struct aki__onnx_node *n = aki__cpu_node(l, "Rows", NULL);
        aki__cpu_input(n, x->f32);
        aki__cpu_input(n, l->rows);
        p->f32 = aki__cpu_output(l, n, true);
    }
    if (p->need_u8) {
        struct aki__onnx_node *n = aki__cpu_node(l, "Rows8", NULL);
        aki__cpu_input(n, x->u8);
        aki__cpu_input(n, x->scale);
        aki__cpu_input(n, l->rows);
        aki__cpu_input(n, x->side);
        p->u8 = aki__cpu_output(l, n, true);
        p->scale = aki__cpu_output(l, n, true);
        p->side = aki__cpu_output(l, n, x->side != 0);
    }
    p->emitted = true;
}

static void lower_pool(lowering *l, const struct aki__block *b, values *p)
{
    struct aki__pool_plan *plan = aki__cpu_keep(l, 1, sizeof *plan);
    const values *x = own_rows_of(l, b->in[0]);

    if (!plan)
        return;
    *plan = (struct aki__pool_plan){ .hidden = (size_t)b->columns, .act = aki__act_of(b->act) };
    struct aki__onnx_node *n = aki__cpu_node(l, "Pool", plan);
    aki__cpu_input(n, x->f32);
    aki__cpu_input(n, l->pool_starts);
    aki__cpu_input(n, l->weight_from);
    aki__cpu_input(n, l->mode);
    p->f32 = aki__cpu_output(l, n, true);
    p->emitted = true;
}

/* ---------------------------------------------------------------- the graph ------------------------------------- */

/* Marks what block i needs of its input number k. */
static void need(lowering *l, aki__blk i, int k)
{
    const struct aki__block *b = &l->g->blocks[i];
    values *x = &l->values[b->in[k]];

    x->used = true;
    switch (b->op) {
    case AKI_G_LINEAR:
        x->need_u8 |= aki__cpu_is_int8(l, i);
        x->need_f32 |= !aki__cpu_is_int8(l, i) || l->outliers[i].rows.count;
        break;
    case AKI_G_ROWS:
        x->need_f32 |= l->values[i].need_f32;
        x->need_u8 |= l->values[i].need_u8;
        break;
    case AKI_G_NORM:
        x->need_f32 |= l->g->blocks[b->in[k]].op != AKI_G_ADD;      /* else the norm computes the sum, or reads it */
        break;
    default:
        x->need_f32 = true;
        break;
    }
}

/* Determines what each block needs, from the end to the beginning. A block that nothing reads is not computed. */
static void decide_needs(lowering *l)
{
    const struct aki__graph *g = l->g;

    for (size_t i = 0; i < g->result_count; i++)
        l->values[g->results[i].blk].used = l->values[g->results[i].blk].need_f32 = true;
    for (size_t i = g->count; i-- > 0;)
        for (int k = 0; k < g->blocks[i].in_count && l->values[i].used; k++)
            need(l, (aki__blk)i, k);
}

static void lower(lowering *l)
{
    for (size_t i = 0; i < l->g->count && !l->rc; i++) {
        const struct aki__block *b = &l->g->blocks[i];
        values *p = &l->values[i];
        if (!p->used)
            continue;
        switch (b->op) {
        case AKI_G_EMBED:     lower_embed(l, b, p); break;
        case AKI_G_NORM:      lower_norm(l, b, p); break;
        case AKI_G_ACT:
        case AKI_G_GATE:      lower_act(l, b, p); break;
        case AKI_G_ATTENTION: lower_attention(l, b, p); break;
        case AKI_G_ROWS:      lower_rows(l, b, p); break;
        case AKI_G_POOL:      lower_pool(l, b, p); break;
        case AKI_G_LINEAR:
        case AKI_G_ADD:       break;        /* emitted by the block that reads it */
        }
    }
}

/* With several token types, the run specifies them. */
static bool has_types(const struct aki__graph *g)
{
    bool any = false;

    for (size_t i = 0; i < g->count; i++)
        any |= g->blocks[i].embed.types && g->blocks[i].embed.types->shape[0] > 1;
    return any;
}

static void make_inputs(lowering *l)
{
    struct aki__onnx *o = l->o;

    l->ids = aki__onnx_input(o, "ids", AKI_ONNX_I32, 1, -1, 0);
    l->positions = aki__onnx_input(o, "positions", AKI_ONNX_I32, 1, -1, 0);
    l->starts = aki__onnx_input(o, "starts", AKI_ONNX_I32, 1, -1, 0);
    l->rows = aki__onnx_input(o, "rows", AKI_ONNX_I32, 1, -1, 0);
    l->query_starts = aki__onnx_input(o, "query_starts", AKI_ONNX_I32, 1, -1, 0);
    l->pool_starts = aki__onnx_input(o, "pool_starts", AKI_ONNX_I32, 1, -1, 0);
    l->weight_from = aki__onnx_input(o, "weight_from", AKI_ONNX_I32, 1, -1, 0);
    l->mode = aki__onnx_input(o, "mode", AKI_ONNX_I32, 1, 1, 0);
    l->key_starts = aki__onnx_input(o, "key_starts", AKI_ONNX_I32, 1, -1, 0);
    l->prefixes = aki__onnx_input(o, "prefixes", AKI_ONNX_I64, 1, 1, 0);
    if (has_types(l->g))
        l->types = aki__onnx_input(o, "types", AKI_ONNX_I32, 1, -1, 0);
}

static void make_outputs(lowering *l)
{
    _Static_assert(AKI_RESULT_KINDS <= sizeof l->o->outputs / sizeof *l->o->outputs, "a graph has as many outputs as there are results");
    static const char *const names[AKI_RESULT_KINDS] = { [AKI_RESULT_HIDDEN] = "hidden", [AKI_RESULT_VECTORS] = "vectors" };

    for (size_t i = 0; i < l->g->result_count && !l->rc; i++) {
        aki__blk x = l->g->results[i].blk;
        aki__onnx_output(l->o, names[l->g->results[i].kind], own_rows_of(l, x)->f32, AKI_ONNX_F32, 2, -1, l->g->blocks[x].columns);
    }
}

aki_status aki__cpu_build(struct aki__onnx *o, struct aki__keep *kept, const struct aki__graph *g,
                          const struct aki__cpu_options *options, aki_error *err)
{
    lowering l = { .g = g, .o = o, .keep = kept, .options = *options, .err = err };

    l.values = aki__zalloc(g->count, sizeof *l.values);
    if (!l.values)
        return aki__fail(err, AKI_E_NOMEM, "graph");
    l.outliers = aki__cpu_keep(&l, g->count, sizeof *l.outliers);
    kept->f32 = aki__cpu_keep(&l, g->count, sizeof *kept->f32);
    int32_t *columns = options->int8 ? aki__cpu_keep(&l, g->count * 2 * AKI_MOST_OUTLIERS, sizeof *columns) : NULL;
    if (options->int8 && !l.rc)
        l.rc = aki__outliers_find(l.outliers, kept->f32, columns, g, options->choice, options->pool, err);
    make_inputs(&l);
    if (!l.rc)
        decide_needs(&l);
    lower(&l);
    make_outputs(&l);
    aki__free(l.shared);
    aki__free(l.values);
    return l.rc;
}
