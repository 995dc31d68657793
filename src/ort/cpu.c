/* Unit cpu: the packed, fused dialect. See cpu.h.
 *
 * A linear block is not emitted where it stands but by the block that uses it, which also adds its bias (and undoes its scales); linears of
 * one input that are used together (q, k, v; gate, up) become one product. An addition is emitted by the norm behind it. */
#include "ort/cpu.h"

#include "kernel/kernel.h"
#include "ort/ops.h"

void *aki__keep_new(struct aki__keep *k, size_t count, size_t size)
{
    if (!aki__grow((void **)&k->blocks, &k->capacity, k->count + 1, sizeof *k->blocks))
        return NULL;
    void *block = aki__alloc_aligned(count, size);
    if (block) {
        memset(block, 0, count * size);
        k->blocks[k->count++] = block;
    }
    return block;
}

void aki__keep_free(struct aki__keep *k)
{
    for (size_t i = 0; i < k->count; i++)
        aki__free_aligned(k->blocks[i]);
    aki__free(k->blocks);
    *k = (struct aki__keep){ 0 };
}

/* Where a block's rows are: value numbers of the ONNX graph, 0 for forms that nobody needs. */
struct place {
    bool need_f32, need_u8;         /* decided before anything is emitted */
    int  f32, u8, scale;
};

/* A product of one or more linears of the same input. */
struct product { int raw, scale; struct aki__part parts[3]; };

struct lowering {
    const struct aki__graph *g;
    struct aki__onnx        *o;
    struct aki__keep        *keep;
    struct aki__cpu_options  options;
    struct place            *places;
    int ids, positions, starts, rows, query_starts, pool_starts, weight_from, mode, key_starts, prefixes;
    int rope, zero_point, attentions;
    aki_status rc;
    aki_error *err;
};

static void *keep(struct lowering *l, size_t count, size_t size)
{
    void *block = l->rc ? NULL : aki__keep_new(l->keep, count, size);

    if (!block && !l->rc)
        l->rc = aki__fail(l->err, AKI_E_NOMEM, "graph");
    return block;
}

static void defect(struct lowering *l, const char *what)
{
    if (!l->rc)
        l->rc = aki__fail(l->err, AKI_E_INTERNAL, "cpu dialect: %s", what);
}

/* A small tensor as f32; NULL stays NULL. */
static const float *vector(struct lowering *l, const struct aki__tensor *t)
{
    if (!t)
        return NULL;
    float *out = keep(l, (size_t)t->shape[0], sizeof *out);
    if (out)
        aki__tensor_read(out, t, 0, (size_t)t->shape[0]);
    return out;
}

static struct aki__onnx_node *node(struct lowering *l, const char *op, const void *plan)
{
    static struct aki__onnx_node nowhere;       /* written to once memory has run out, never read */
    struct aki__onnx_node *n = l->rc ? NULL : aki__onnx_node(l->o, op, "aki");

    if (!n) {
        if (!l->rc)
            l->rc = aki__fail(l->err, AKI_E_NOMEM, "graph");
        nowhere = (struct aki__onnx_node){ 0 };
        return &nowhere;
    }
    aki__onnx_attribute(n, "plan", (int64_t)(uintptr_t)plan);
    aki__onnx_attribute(n, "threads", l->options.threads);
    return n;
}

static void take(struct aki__onnx_node *n, int value) { n->inputs[n->input_count++] = value; }

static int give(struct lowering *l, struct aki__onnx_node *n, bool wanted)
{
    return n->outputs[n->output_count++] = wanted ? aki__onnx_value(l->o) : 0;
}

/* The three outputs f32, u8, scale of a block, as far as they are needed. */
static void give_place(struct lowering *l, struct aki__onnx_node *n, struct place *p)
{
    p->f32 = give(l, n, p->need_f32);
    p->u8 = give(l, n, p->need_u8);
    p->scale = give(l, n, p->need_u8);
}

/* ---------------------------------------------------------------- weights --------------------------------------- */

struct convert_args { float *out; const struct aki__tensor *t; size_t row; };

enum { ROWS_A_STEP = 64 };

static void convert_step(void *user, size_t i)
{
    const struct convert_args *a = user;
    size_t n = (size_t)a->t->shape[0], k = (size_t)a->t->shape[1], begin = i * ROWS_A_STEP, end = begin + ROWS_A_STEP < n ? begin + ROWS_A_STEP : n;

    aki__tensor_read(a->out + begin * k, a->t, begin * k, (end - begin) * k);
}

/* The rows of several matrices [out, in] under each other, as f32: a view of the file where that is possible. */
static int weights_f32(struct lowering *l, const struct aki__tensor *const *t, size_t count, size_t n, size_t k)
{
    if (count == 1 && t[0]->dtype == AKI_F32 && (uintptr_t)t[0]->data % sizeof(float) == 0)
        return aki__onnx_constant(l->o, AKI_ONNX_F32, 2, (int64_t)n, (int64_t)k, t[0]->data, t[0]->size, false, t[0]->map);

    float *out = aki__alloc_aligned(n, k * sizeof *out);
    if (!out)
        return 0;
    size_t row = 0;
    for (size_t i = 0; i < count; i++) {
        struct convert_args a = { .out = out + row * k, .t = t[i] };
        aki__parallel(((size_t)t[i]->shape[0] + ROWS_A_STEP - 1) / ROWS_A_STEP, l->options.threads, convert_step, &a);
        aki__map_release(t[i]->map, t[i]->data, t[i]->size);
        row += (size_t)t[i]->shape[0];
    }
    return aki__onnx_constant(l->o, AKI_ONNX_F32, 2, (int64_t)n, (int64_t)k, out, n * k * sizeof *out, true, NULL);
}

static struct aki__table table_of(const struct aki__tensor *t)
{
    if (!t)
        return (struct aki__table){ 0 };
    return (struct aki__table){ .data = t->data, .dtype = t->dtype == AKI_BF16 ? AKI_TABLE_BF16 : t->dtype == AKI_F16 ? AKI_TABLE_F16 : AKI_TABLE_F32 };
}

struct quantise_args { struct aki__quantise q; size_t rows; float *scratch; size_t scratch_size; };

static void quantise_step(void *user, size_t i)
{
    const struct quantise_args *a = user;
    size_t begin = i * AKI_QUANTISE_ROWS, end = begin + AKI_QUANTISE_ROWS < a->rows ? begin + AKI_QUANTISE_ROWS : a->rows;

    aki__kernels()->quantise_weights(&a->q, begin, end, a->scratch + i * a->scratch_size);
}

/* The same out of a folder that was quantised: views. */
static int weights_stored(struct lowering *l, const char *name, size_t n, size_t k, const float **scales)
{
    const struct aki__tensor *w, *s;

    if (!l->rc)
        l->rc = aki__model_int8(l->g->model, &w, &s, l->err, name, k, n);
    if (l->rc)
        return 0;
    *scales = s->data;
    return aki__onnx_constant(l->o, AKI_ONNX_I8, 2, (int64_t)k, (int64_t)n, w->data, w->size, false, w->map);
}

/* The same as [k, n] s8, rotated; *scales: [n]. 0: no memory. */
static int weights_int8(struct lowering *l, const struct aki__tensor *const *t, size_t count, size_t n, size_t k, const float **scales)
{
    struct quantise_args a = { .q = { .n = n, .k = k, .block = aki__rotation_block(k), .limit = aki__kernels_exact_int8() ? 127 : 63 } };
    size_t steps = 0, column = 0;

    float *own = keep(l, n, sizeof *own);
    *scales = own;
    for (size_t i = 0; i < count; i++)
        if ((size_t)t[i]->shape[0] > steps)
            steps = (size_t)t[i]->shape[0];
    steps = (steps + AKI_QUANTISE_ROWS - 1) / AKI_QUANTISE_ROWS;
    a.scratch_size = (aki__quantise_scratch_size(&a.q) + 15) & ~(size_t)15;
    a.scratch = aki__alloc_aligned(steps, a.scratch_size * sizeof *a.scratch);
    int8_t *out = own && a.scratch ? aki__alloc_aligned(n, k) : NULL;
    for (size_t i = 0; i < count && out; i++) {
        a.q.w = table_of(t[i]);
        a.q.out = out + column;
        a.q.scale = own + column;
        a.rows = (size_t)t[i]->shape[0];
        aki__parallel((a.rows + AKI_QUANTISE_ROWS - 1) / AKI_QUANTISE_ROWS, l->options.threads, quantise_step, &a);
        aki__map_release(t[i]->map, t[i]->data, t[i]->size);
        column += a.rows;
    }
    aki__free_aligned(a.scratch);
    return out ? aki__onnx_constant(l->o, AKI_ONNX_I8, 2, (int64_t)k, (int64_t)n, out, n * k, true, NULL) : 0;
}

/* ---------------------------------------------------------------- products -------------------------------------- */

static void multiply_f32(struct lowering *l, struct product *p, const struct aki__tensor *const *weights, size_t count, size_t n, size_t k, const struct place *x)
{
    int w = weights_f32(l, weights, count, n, k);
    struct aki__onnx_node *gemm = w ? aki__onnx_node(l->o, "Gemm", "") : NULL;

    if (!gemm) {
        l->rc = aki__fail(l->err, AKI_E_NOMEM, "weights of %zu x %zu", n, k);
        return;
    }
    aki__onnx_attribute(gemm, "transB", 1);
    take(gemm, x->f32);
    take(gemm, w);
    p->raw = give(l, gemm, true);
}

static void multiply_int8(struct lowering *l, struct product *p, const char *name, const struct aki__tensor *const *weights, size_t count, size_t n, size_t k, const struct place *x)
{
    static const uint8_t zero = 128;
    const float *scales;
    int w = weights[0] ? weights_int8(l, weights, count, n, k, &scales) : weights_stored(l, name, n, k, &scales);

    if (w) {
        struct aki__onnx_constant *c = &l->o->constants[l->o->constant_count - 1];
        c->name = name;
        c->scales = scales;
    }

    if (!l->zero_point)
        l->zero_point = aki__onnx_constant(l->o, AKI_ONNX_U8, 1, 1, 0, &zero, 1, false, NULL);
    struct aki__onnx_node *matmul = w && l->zero_point ? aki__onnx_node(l->o, "MatMulInteger", "") : NULL;
    if (!matmul) {
        if (!l->rc)
            l->rc = aki__fail(l->err, AKI_E_NOMEM, "weights of %zu x %zu", n, k);
        return;
    }
    take(matmul, x->u8);
    take(matmul, w);
    take(matmul, l->zero_point);
    p->raw = give(l, matmul, true);
    p->scale = x->scale;
    for (size_t i = 0; i < count; i++)
        p->parts[i].column_scale = scales + p->parts[i].offset;
}

/* One product of `count` linears that have the same input. */
static struct product product(struct lowering *l, const aki__blk *linears, size_t count)
{
    struct product p = { 0 };
    const struct aki__tensor *weights[3];
    const struct aki__block *first = &l->g->blocks[linears[0]];
    const struct place *x = &l->places[first->in[0]];
    size_t n = 0, k = (size_t)l->g->blocks[first->in[0]].columns;

    for (size_t i = 0; i < count; i++) {
        const struct aki__block *b = &l->g->blocks[linears[i]];
        if (b->op != AKI_G_LINEAR || b->in[0] != first->in[0]) {
            defect(l, "a product of other things than linears of one input");
            return p;
        }
        weights[i] = b->weight;
        p.parts[i].offset = n;
        p.parts[i].bias = vector(l, b->bias);
        n += (size_t)b->columns;
    }
    if (l->rc)
        return p;
    if (l->options.int8 && linears[0] < l->g->hidden)
        multiply_int8(l, &p, first->name, weights, count, n, k, x);
    else
        multiply_f32(l, &p, weights, count, n, k, x);
    return p;
}

/* ---------------------------------------------------------------- blocks ---------------------------------------- */

static enum aki__kernel_act act_of(enum aki__activation act)
{
    switch (act) {
    case AKI_ACT_GELU:      return AKI_KACT_GELU;
    case AKI_ACT_GELU_TANH: return AKI_KACT_GELU_TANH;
    case AKI_ACT_RELU:      return AKI_KACT_RELU;
    case AKI_ACT_SILU:      return AKI_KACT_SILU;
    case AKI_ACT_TANH:      return AKI_KACT_TANH;
    default:                return AKI_KACT_NONE;
    }
}

static void lower_embed(struct lowering *l, const struct aki__block *b, struct place *p)
{
    struct aki__embed_plan *plan = keep(l, 1, sizeof *plan);

    if (!plan)
        return;
    *plan = (struct aki__embed_plan){ .words = table_of(b->words), .positions = table_of(b->positions), .types = table_of(b->types), .hidden = (size_t)b->columns };
    struct aki__onnx_node *n = node(l, "Embed", plan);
    take(n, l->ids);
    take(n, l->positions);
    p->f32 = give(l, n, true);
}

static void lower_norm(struct lowering *l, const struct aki__block *b, struct place *p)
{
    struct aki__norm_plan *plan = keep(l, 1, sizeof *plan);
    const struct aki__block *in = &l->g->blocks[b->in[0]];
    struct place *sum = &l->places[b->in[0]];

    if (!plan)
        return;
    *plan = (struct aki__norm_plan){ .gamma = vector(l, b->weight), .beta = vector(l, b->bias), .eps = (float)l->g->model->norm_eps, .rms = b->rms,
                                     .hidden = (size_t)b->columns, .block = aki__rotation_block((size_t)b->columns) };
    if (in->op != AKI_G_ADD || sum->f32) {
        struct aki__onnx_node *n = node(l, "Norm", plan);
        take(n, sum->f32);
        take(n, 0);
        take(n, 0);
        give(l, n, false);
        give_place(l, n, p);
        return;
    }
    /* x + linear(…): whichever side is the linear is the product. */
    bool swapped = l->g->blocks[in->in[0]].op == AKI_G_LINEAR;
    aki__blk x = in->in[swapped], y = in->in[!swapped];
    if (l->g->blocks[y].op != AKI_G_LINEAR) {
        defect(l, "an addition without a linear");
        return;
    }
    struct product add = product(l, &y, 1);
    plan->add = add.parts[0];
    struct aki__onnx_node *n = node(l, "Norm", plan);
    take(n, l->places[x].f32);
    take(n, add.raw);
    take(n, add.scale);
    sum->f32 = give(l, n, sum->need_f32);
    give_place(l, n, p);
}

static void lower_act(struct lowering *l, const struct aki__block *b, struct place *p)
{
    struct aki__act_plan *plan = keep(l, 1, sizeof *plan);
    struct product x = product(l, b->in, (size_t)b->in_count);

    if (l->rc)
        return;
    *plan = (struct aki__act_plan){ .x = x.parts[0], .gate = x.parts[1], .gated = b->op == AKI_G_GATE, .act = act_of(b->act), .columns = (size_t)b->columns,
                                    .block = aki__rotation_block((size_t)b->columns) };
    struct aki__onnx_node *n = node(l, "Act", plan);
    take(n, x.raw);
    take(n, x.scale);
    give_place(l, n, p);
}

static int rope_of(struct lowering *l, int head_dim)
{
    if (l->rope || l->rc)
        return l->rope;
    struct aki__rope_plan *plan = keep(l, 1, sizeof *plan);
    float *inverse = keep(l, (size_t)head_dim / 2, sizeof *inverse);
    if (l->rc)
        return 0;
    aki__rope_frequencies(inverse, head_dim, l->g->model->rope_theta);
    *plan = (struct aki__rope_plan){ .inverse = inverse, .head_dim = (size_t)head_dim };
    struct aki__onnx_node *n = node(l, "Rope", plan);
    take(n, l->positions);
    return l->rope = give(l, n, true);
}

static void lower_attention(struct lowering *l, const struct aki__block *b, struct place *p)
{
    const struct aki__g_attention *a = &b->attention;
    struct aki__attention_plan *plan = keep(l, 1, sizeof *plan);
    aki__blk from_q = l->g->blocks[b->in[0]].in[0], from_k = l->g->blocks[b->in[1]].in[0];
    bool pruned = from_q != from_k;     /* queries of the pooled rows only */
    int rope = a->rope ? rope_of(l, a->head_dim) : 0;
    struct product q, kv;

    if (pruned) {
        q = product(l, b->in, 1);
        kv = product(l, b->in + 1, 2);
        kv.parts[2] = kv.parts[1];
        kv.parts[1] = kv.parts[0];
    } else {
        q = kv = product(l, b->in, 3);
    }
    if (l->rc)
        return;
    *plan = (struct aki__attention_plan){ .q = q.parts[0], .k = kv.parts[1], .v = kv.parts[2], .heads = (size_t)a->heads, .kv_heads = (size_t)a->kv_heads,
        .head_dim = (size_t)a->head_dim, .window = (size_t)a->window, .block = aki__rotation_block((size_t)b->columns), .causal = a->causal,
        .q_norm = vector(l, a->q_norm), .k_norm = vector(l, a->k_norm), .norm_eps = (float)l->g->model->norm_eps, .layer = (size_t)l->attentions++ };
    struct aki__onnx_node *n = node(l, "Attention", plan);
    take(n, q.raw);
    take(n, q.scale);
    take(n, kv.raw);
    take(n, kv.scale);
    take(n, l->starts);
    take(n, l->query_starts);
    take(n, pruned ? l->rows : 0);
    take(n, rope);
    take(n, a->causal ? l->key_starts : 0);
    take(n, a->causal ? l->prefixes : 0);
    give_place(l, n, p);
}

static void lower_rows(struct lowering *l, const struct aki__block *b, struct place *p)
{
    const struct place *x = &l->places[b->in[0]];

    if (p->need_f32) {
        struct aki__onnx_node *n = node(l, "Rows", NULL);
        take(n, x->f32);
        take(n, l->rows);
        p->f32 = give(l, n, true);
    }
    if (p->need_u8) {
        struct aki__onnx_node *n = node(l, "Rows8", NULL);
        take(n, x->u8);
        take(n, x->scale);
        take(n, l->rows);
        p->u8 = give(l, n, true);
        p->scale = give(l, n, true);
    }
}

static void lower_pool(struct lowering *l, const struct aki__block *b, struct place *p)
{
    struct aki__pool_plan *plan = keep(l, 1, sizeof *plan);

    if (!plan)
        return;
    plan->hidden = (size_t)b->columns;
    struct aki__onnx_node *n = node(l, "Pool", plan);
    take(n, l->places[b->in[0]].f32);
    take(n, l->pool_starts);
    take(n, l->weight_from);
    take(n, l->mode);
    p->f32 = give(l, n, true);
}

/* Who reads what of whom, from the end to the beginning. */
static void decide_needs(struct lowering *l)
{
    const struct aki__graph *g = l->g;

    l->places[g->hidden].need_f32 = l->places[g->vectors].need_f32 = true;
    for (size_t i = g->count; i-- > 0;) {
        const struct aki__block *b = &g->blocks[i];
        for (int k = 0; k < b->in_count; k++) {
            struct place *x = &l->places[b->in[k]];
            switch (b->op) {
            case AKI_G_LINEAR:
                if (l->options.int8 && b->in[0] < g->hidden)
                    x->need_u8 = true;
                else
                    x->need_f32 = true;
                break;
            case AKI_G_ROWS:
                x->need_f32 |= l->places[i].need_f32;
                x->need_u8 |= l->places[i].need_u8;
                break;
            case AKI_G_NORM:
                if (g->blocks[b->in[k]].op != AKI_G_ADD)
                    x->need_f32 = true;
                break;
            default:
                x->need_f32 = true;
                break;
            }
        }
    }
}

static void lower(struct lowering *l)
{
    for (size_t i = 0; i < l->g->count && !l->rc; i++) {
        const struct aki__block *b = &l->g->blocks[i];
        struct place *p = &l->places[i];
        switch (b->op) {
        case AKI_G_EMBED:     lower_embed(l, b, p); break;
        case AKI_G_NORM:      lower_norm(l, b, p); break;
        case AKI_G_ACT:
        case AKI_G_GATE:      lower_act(l, b, p); break;
        case AKI_G_ATTENTION: lower_attention(l, b, p); break;
        case AKI_G_ROWS:      lower_rows(l, b, p); break;
        case AKI_G_POOL:      lower_pool(l, b, p); break;
        case AKI_G_LINEAR:
        case AKI_G_ADD:       break;        /* by the block that uses it */
        }
    }
}

aki_status aki__cpu_build(struct aki__onnx *o, struct aki__keep *kept, const struct aki__graph *g, const struct aki__cpu_options *options, aki_error *err)
{
    struct lowering l = { .g = g, .o = o, .keep = kept, .options = *options, .err = err };

    l.places = aki__zalloc(g->count, sizeof *l.places);
    if (!l.places)
        return aki__fail(err, AKI_E_NOMEM, "graph");
    l.ids = aki__onnx_input(o, "ids", AKI_ONNX_I32, 1, -1, 0);
    l.positions = aki__onnx_input(o, "positions", AKI_ONNX_I32, 1, -1, 0);
    l.starts = aki__onnx_input(o, "starts", AKI_ONNX_I32, 1, -1, 0);
    l.rows = aki__onnx_input(o, "rows", AKI_ONNX_I32, 1, -1, 0);
    l.query_starts = aki__onnx_input(o, "query_starts", AKI_ONNX_I32, 1, -1, 0);
    l.pool_starts = aki__onnx_input(o, "pool_starts", AKI_ONNX_I32, 1, -1, 0);
    l.weight_from = aki__onnx_input(o, "weight_from", AKI_ONNX_I32, 1, -1, 0);
    l.mode = aki__onnx_input(o, "mode", AKI_ONNX_I32, 1, 1, 0);
    l.key_starts = aki__onnx_input(o, "key_starts", AKI_ONNX_I32, 1, -1, 0);
    l.prefixes = aki__onnx_input(o, "prefixes", AKI_ONNX_I64, 1, 1, 0);
    decide_needs(&l);
    lower(&l);
    if (!l.rc) {
        aki__onnx_output(o, "hidden", l.places[g->hidden].f32, AKI_ONNX_F32, 2, -1, g->blocks[g->hidden].columns);
        if (g->vectors != g->hidden)
            aki__onnx_output(o, "vectors", l.places[g->vectors].f32, AKI_ONNX_F32, 2, -1, g->blocks[g->vectors].columns);
    }
    aki__free(l.places);
    return l.rc;
}
