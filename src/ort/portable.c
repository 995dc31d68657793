/* Unit portable: the dialect for accelerators and for files. See portable.h. */
#include "ort/portable.h"

#include <math.h>
#include <stdarg.h>

struct lowering {
    const struct aki__graph     *g;
    struct aki__onnx            *o;
    struct aki__portable_options options;
    enum aki__onnx_type          type;      /* of the arithmetic */
    int        *places;                     /* [blocks] the value of each */
    int         embeds, mask, window_mask, cos, sin;
    int         ids, attention_mask, index; /* client form; index: 0 … sequence - 1, i64 */
    aki_status  rc;
    aki_error  *err;
};

/* ---------------------------------------------------------------- nodes and constants --------------------------- */

static int no_memory(struct lowering *l)
{
    if (!l->rc)
        l->rc = aki__fail(l->err, AKI_E_NOMEM, "graph");
    return 0;
}

static struct aki__onnx_node *node(struct lowering *l, const char *op)
{
    static struct aki__onnx_node nowhere;       /* written to once memory has run out, never read */
    struct aki__onnx_node *n = l->rc ? NULL : aki__onnx_node(l->o, op, "");

    if (n)
        return n;
    no_memory(l);
    nowhere = (struct aki__onnx_node){ 0 };
    return &nowhere;
}

/* op(inputs…), ended by -1 (0 is an input left out): the node's one output. */
static int apply(struct lowering *l, const char *op, ...)
{
    struct aki__onnx_node *n = node(l, op);
    va_list args;

    va_start(args, op);
    for (int value = va_arg(args, int); value >= 0; value = va_arg(args, int))
        n->inputs[n->input_count++] = value;
    va_end(args);
    return n->outputs[n->output_count++] = aki__onnx_value(l->o);
}

/* An attribute of the node that was made last. */
static struct aki__onnx_attribute *attribute(struct lowering *l, const char *name, int64_t value)
{
    static struct aki__onnx_attribute nowhere;

    return l->rc ? &nowhere : aki__onnx_attribute(&l->o->nodes[l->o->node_count - 1], name, value);
}

static int constant(struct lowering *l, enum aki__onnx_type type, int rank, int64_t d0, int64_t d1, const void *data, size_t size)
{
    void *copy = l->rc ? NULL : aki__alloc_aligned(size, 1);

    if (!copy)
        return no_memory(l);
    memcpy(copy, data, size);
    int value = aki__onnx_constant(l->o, type, rank, d0, d1, copy, size, true, NULL);
    return value ? value : no_memory(l);
}

/* One number [1] of the arithmetic's type. */
static int number(struct lowering *l, float x)
{
    uint16_t h = aki__f32_to_f16(x);

    return l->type == AKI_ONNX_F16 ? constant(l, AKI_ONNX_F16, 1, 1, 0, &h, sizeof h) : constant(l, AKI_ONNX_F32, 1, 1, 0, &x, sizeof x);
}

static int integers(struct lowering *l, int count, const int64_t *list)
{
    return constant(l, AKI_ONNX_I64, 1, count, 0, list, (size_t)count * sizeof *list);
}

static int integer(struct lowering *l, int64_t x) { return integers(l, 1, &x); }

/* One number without a dimension, as Range and Gather want it. */
static int scalar(struct lowering *l, int64_t x) { return constant(l, AKI_ONNX_I64, 0, 0, 0, &x, sizeof x); }

static int weights(struct lowering *l, const struct aki__tensor *t, bool transposed, float factor)
{
    int64_t d0 = t->shape[transposed], d1 = t->rank > 1 ? t->shape[!transposed] : 0;
    int value = l->rc ? 0 : aki__onnx_weights(l->o, l->type, t->rank, d0, d1, t, transposed, factor);

    return value ? value : no_memory(l);
}

static int cast(struct lowering *l, int x, enum aki__onnx_type type)
{
    x = apply(l, "Cast", x, -1);
    attribute(l, "to", type);
    return x;
}

/* 0 in a shape copies the input's dimension. Fixed dimensions are written out: devices like to know. */
static int reshape(struct lowering *l, int x, int64_t d0, int64_t d1, int64_t d2, int64_t d3)
{
    return apply(l, "Reshape", x, integers(l, d3 ? 4 : 3, (int64_t[]){ d0, d1, d2, d3 > 0 ? d3 : 0 }), -1);
}

static int transpose(struct lowering *l, int x, int64_t a, int64_t b, int64_t c, int64_t d)
{
    x = apply(l, "Transpose", x, -1);
    struct aki__onnx_attribute *perm = attribute(l, "perm", 4);
    perm->kind = AKI_ONNX_INTS;
    memcpy(perm->list, (int64_t[]){ a, b, c, d }, sizeof perm->list);
    return x;
}

static int reduce(struct lowering *l, const char *op, int x, int64_t axis) { return apply(l, op, x, integer(l, axis), -1); }

/* ---------------------------------------------------------------- blocks ---------------------------------------- */

/* x / sqrt(mean(x^2) + eps) * gamma over the last axis. In f16 squares leave the range in both directions, so that x is first brought to
 * a largest element of 1; eps is divided by the square of that as a square of a quotient. */
static int rms_norm(struct lowering *l, int x, const struct aki__tensor *gamma, float factor)
{
    float eps = (float)l->g->model->norm_eps;
    int added;

    if (l->options.f16) {
        int largest = apply(l, "Max", x, apply(l, "Mul", x, number(l, -1.0f), -1), -1);
        largest = apply(l, "Max", reduce(l, "ReduceMax", largest, -1), number(l, 1e-3f), -1);
        x = apply(l, "Div", x, largest, -1);
        int quotient = apply(l, "Div", number(l, sqrtf(eps)), largest, -1);
        added = apply(l, "Mul", quotient, quotient, -1);
    } else {
        added = number(l, eps);
    }
    int mean = reduce(l, "ReduceMean", apply(l, "Mul", x, x, -1), -1);
    int root = apply(l, "Sqrt", apply(l, "Add", mean, added, -1), -1);
    return apply(l, "Mul", apply(l, "Div", x, root, -1), weights(l, gamma, false, factor), -1);
}

static int lower_norm(struct lowering *l, const struct aki__block *b)
{
    int x = l->places[b->in[0]];

    if (b->rms)
        return rms_norm(l, x, b->weight, 1.0f);
    int gamma = weights(l, b->weight, false, 1.0f), beta = weights(l, b->bias, false, 1.0f);
    x = apply(l, "LayerNormalization", x, gamma, beta, -1);
    struct aki__onnx_attribute *eps = attribute(l, "epsilon", 0);
    eps->kind = AKI_ONNX_FLOAT;
    eps->number = (float)l->g->model->norm_eps;
    return x;
}

static int lower_linear(struct lowering *l, const struct aki__block *b)
{
    int x = apply(l, "MatMul", l->places[b->in[0]], weights(l, b->weight, true, 1.0f), -1);

    return b->bias ? apply(l, "Add", x, weights(l, b->bias, false, 1.0f), -1) : x;
}

/* x / 2 * (1 + y) */
static int gelu(struct lowering *l, int x, int y)
{
    return apply(l, "Mul", apply(l, "Mul", x, number(l, 0.5f), -1), apply(l, "Add", y, number(l, 1.0f), -1), -1);
}

static int activate(struct lowering *l, int x, enum aki__activation act)
{
    switch (act) {
    case AKI_ACT_RELU: return apply(l, "Relu", x, -1);
    case AKI_ACT_TANH: return apply(l, "Tanh", x, -1);
    case AKI_ACT_SILU: return apply(l, "Mul", x, apply(l, "Sigmoid", x, -1), -1);
    /* By its parts, which more providers have than the operator Gelu. */
    case AKI_ACT_GELU:
        return gelu(l, x, apply(l, "Erf", apply(l, "Mul", x, number(l, 0.70710678f), -1), -1));
    case AKI_ACT_GELU_TANH: {
        int cube = apply(l, "Mul", apply(l, "Mul", x, x, -1), apply(l, "Mul", x, number(l, 0.044715f), -1), -1);
        return gelu(l, x, apply(l, "Tanh", apply(l, "Mul", apply(l, "Add", x, cube, -1), number(l, 0.79788456f), -1), -1));
    }
    default: return x;
    }
}

/* [batch, sequence, heads * head_dim] -> [batch, sequence, heads, head_dim], normalised and rotated. */
static int split_heads(struct lowering *l, int x, const struct aki__g_attention *a, int heads, const struct aki__tensor *norm, float factor)
{
    x = reshape(l, x, l->options.batch, l->options.sequence, heads, a->head_dim);
    if (norm)
        x = rms_norm(l, x, norm, factor);
    else if (factor != 1.0f)
        x = apply(l, "Mul", x, number(l, factor), -1);
    if (!a->rope)
        return x;
    int first = apply(l, "Split", x, integers(l, 2, (int64_t[]){ a->head_dim / 2, a->head_dim / 2 }), -1), second = aki__onnx_value(l->o);
    attribute(l, "axis", -1);
    if (!l->rc) {
        struct aki__onnx_node *split = &l->o->nodes[l->o->node_count - 1];
        split->outputs[split->output_count++] = second;
    }
    int turned = apply(l, "Concat", second, first, -1);
    attribute(l, "axis", -1);
    return apply(l, "Add", apply(l, "Mul", x, l->cos, -1), apply(l, "Mul", turned, l->sin, -1), -1);
}

static int lower_attention(struct lowering *l, const struct aki__block *b)
{
    const struct aki__g_attention *a = &b->attention;
    const int64_t batch = l->options.batch, rows = l->options.sequence, group = a->heads / a->kv_heads;
    int q = split_heads(l, l->places[b->in[0]], a, a->heads, a->q_norm, 1.0f / sqrtf((float)a->head_dim));
    int k = split_heads(l, l->places[b->in[1]], a, a->kv_heads, a->k_norm, 1.0f);
    int v = reshape(l, l->places[b->in[2]], batch, rows, a->kv_heads, a->head_dim);

    q = transpose(l, q, 0, 2, 1, 3);
    k = transpose(l, k, 0, 2, 3, 1);
    v = transpose(l, v, 0, 2, 1, 3);
    /* Heads that share keys stand one below the other: as if they were one head with more queries. */
    if (group > 1)
        q = reshape(l, q, batch, a->kv_heads, rows ? group * rows : -1, a->head_dim);
    int scores = apply(l, "MatMul", q, k, -1);
    if (group > 1)
        scores = reshape(l, scores, batch, a->heads, rows ? rows : -1, rows ? rows : -2);
    scores = apply(l, "Add", scores, a->window ? l->window_mask : l->mask, -1);
    scores = apply(l, "Softmax", scores, -1);
    if (group > 1)
        scores = reshape(l, scores, batch, a->kv_heads, rows ? group * rows : -1, rows ? rows : -2);
    int x = apply(l, "MatMul", scores, v, -1);
    if (group > 1)
        x = reshape(l, x, batch, a->heads, rows ? rows : -1, a->head_dim);
    return reshape(l, transpose(l, x, 0, 2, 1, 3), batch, rows, b->columns, 0);
}

/* ---------------------------------------------------------------- the client form ------------------------------- */

/* The rows behind the first dimension of input_ids, [1]. */
static int sequence_of(struct lowering *l)
{
    int x = apply(l, "Shape", l->ids, -1);

    attribute(l, "start", 1);
    return x;
}

static int unsqueeze(struct lowering *l, int x, int64_t axis) { return apply(l, "Unsqueeze", x, integer(l, axis), -1); }

/* Positions as the model counts them. RoBERTa leaves out what is padding, and gives it the pad's own. */
static int position_rows(struct lowering *l, const struct aki__tensor *table)
{
    const struct aki__model *m = l->g->model;

    if (!m->position_offset)
        return apply(l, "Slice", weights(l, table, false, 1.0f), integer(l, 0), sequence_of(l), integer(l, 0), -1);
    int is_pad = apply(l, "Equal", l->ids, integer(l, m->pad_id), -1);
    int counts = cast(l, apply(l, "Not", is_pad, -1), AKI_ONNX_I64);
    int positions = apply(l, "Mul", apply(l, "CumSum", counts, scalar(l, 1), -1), counts, -1);
    positions = apply(l, "Add", positions, integer(l, m->pad_id), -1);
    return apply(l, "Gather", weights(l, table, false, 1.0f), positions, -1);
}

static int lower_embed(struct lowering *l, const struct aki__block *b)
{
    if (!l->options.client)
        return l->embeds;
    int x = apply(l, "Gather", weights(l, b->words, false, 1.0f), l->ids, -1);
    if (b->positions)
        x = apply(l, "Add", x, position_rows(l, b->positions), -1);
    if (b->types) {
        int row = l->rc ? 0 : aki__onnx_weights(l->o, l->type, 1, b->types->shape[1], 0, b->types, false, 1.0f);
        x = apply(l, "Add", x, row ? row : no_memory(l), -1);
    }
    return x;
}

/* Where `seen` (bool) does not hold, AKI_PORTABLE_HIDDEN. */
static int hide(struct lowering *l, int hidden) { return apply(l, "Mul", cast(l, hidden, l->type), number(l, AKI_PORTABLE_HIDDEN), -1); }

static void make_masks(struct lowering *l, bool causal, int window)
{
    int row = unsqueeze(l, l->index, 1), column = unsqueeze(l, l->index, 0);
    int padding = apply(l, "Equal", l->attention_mask, integer(l, 0), -1);

    l->mask = hide(l, apply(l, "Unsqueeze", padding, integers(l, 2, (int64_t[]){ 1, 2 }), -1));
    if (causal)
        l->mask = apply(l, "Add", l->mask, hide(l, apply(l, "Greater", column, row, -1)), -1);
    if (!window)
        return;
    int distance = apply(l, "Sub", row, column, -1);
    l->window_mask = apply(l, "Add", l->mask, hide(l, apply(l, "GreaterOrEqual", distance, integer(l, window), -1)), -1);
    if (!causal)
        l->window_mask = apply(l, "Add", l->window_mask, hide(l, apply(l, "LessOrEqual", distance, integer(l, -window), -1)), -1);
}

/* Angles in f32 whatever the arithmetic: f16 cannot count to 3000. */
static void make_rotation(struct lowering *l, int head_dim)
{
    float *inverse = l->rc ? NULL : aki__alloc((size_t)head_dim / 2, sizeof *inverse);

    if (!inverse) {
        no_memory(l);
        return;
    }
    aki__rope_frequencies(inverse, head_dim, l->g->model->rope_theta);
    int frequencies = constant(l, AKI_ONNX_F32, 1, head_dim / 2, 0, inverse, (size_t)head_dim / 2 * sizeof *inverse);
    aki__free(inverse);
    int angles = apply(l, "Mul", apply(l, "Unsqueeze", cast(l, l->index, AKI_ONNX_F32), integers(l, 2, (int64_t[]){ 1, 2 }), -1), frequencies, -1);
    int c = apply(l, "Cos", angles, -1), s = apply(l, "Sin", angles, -1), negative = apply(l, "Neg", s, -1);
    l->cos = apply(l, "Concat", c, c, -1);
    attribute(l, "axis", -1);
    l->sin = apply(l, "Concat", negative, s, -1);
    attribute(l, "axis", -1);
    if (l->options.f16) {
        l->cos = cast(l, l->cos, l->type);
        l->sin = cast(l, l->sin, l->type);
    }
}

/* The weight of every token, [batch, sequence] f32, so that pooling is one product. */
static int pooling_weights(struct lowering *l, int32_t pooling)
{
    int mask = cast(l, l->attention_mask, AKI_ONNX_F32);

    if (pooling == AKI_POOLING_CLS || pooling == AKI_POOLING_LAST) {
        int one = apply(l, "ArgMax", mask, -1);
        attribute(l, "axis", 1);
        attribute(l, "select_last_index", pooling == AKI_POOLING_LAST);
        return cast(l, apply(l, "Equal", unsqueeze(l, l->index, 0), one, -1), AKI_ONNX_F32);
    }
    if (pooling == AKI_POOLING_WEIGHTEDMEAN)
        mask = apply(l, "Mul", mask, apply(l, "CumSum", mask, scalar(l, 1), -1), -1);
    int sum = reduce(l, "ReduceSum", mask, 1);
    return apply(l, "Div", mask, pooling == AKI_POOLING_MEAN_SQRT_LEN ? apply(l, "Sqrt", sum, -1) : sum, -1);
}

static int lower_pool(struct lowering *l, int x)
{
    const int32_t pooling = l->g->model->pooling;

    if (l->options.f16)
        x = cast(l, x, AKI_ONNX_F32);
    l->type = AKI_ONNX_F32;                 /* what follows is a row a text */
    if (pooling == AKI_POOLING_MAX) {
        int padding = cast(l, apply(l, "Equal", l->attention_mask, integer(l, 0), -1), AKI_ONNX_F32);
        int hidden = apply(l, "Mul", unsqueeze(l, padding, 2), number(l, -1e30f), -1);
        x = apply(l, "ReduceMax", apply(l, "Add", x, hidden, -1), integer(l, 1), -1);
        attribute(l, "keepdims", 0);
        return x;
    }
    x = apply(l, "MatMul", unsqueeze(l, pooling_weights(l, pooling), 1), x, -1);
    return apply(l, "Squeeze", x, integer(l, 1), -1);
}

static int normalise(struct lowering *l, int x)
{
    int length = apply(l, "Sqrt", reduce(l, "ReduceSum", apply(l, "Mul", x, x, -1), -1), -1);

    return apply(l, "Div", x, apply(l, "Max", length, number(l, 1e-12f), -1), -1);
}

/* ---------------------------------------------------------------- ports ----------------------------------------- */

static int input(struct lowering *l, const char *name, enum aki__onnx_type type, int rank, const int64_t *shape)
{
    int value = aki__onnx_input(l->o, name, type, rank, 0, 0);

    memcpy(l->o->inputs[l->o->input_count - 1].shape, shape, (size_t)rank * sizeof *shape);
    return type == AKI_ONNX_F32 && l->options.f16 ? cast(l, value, l->type) : value;
}

static void make_inputs(struct lowering *l)
{
    const int64_t batch = l->options.batch ? l->options.batch : AKI_ONNX_BATCH, rows = l->options.sequence ? l->options.sequence : AKI_ONNX_SEQUENCE;
    bool causal;
    int window, head_dim;

    aki__portable_needs(l->g, &causal, &window, &head_dim);
    if (l->options.client) {
        l->ids = input(l, "input_ids", AKI_ONNX_I64, 2, (int64_t[]){ batch, rows });
        l->attention_mask = input(l, "attention_mask", AKI_ONNX_I64, 2, (int64_t[]){ batch, rows });
        l->index = apply(l, "Range", scalar(l, 0), apply(l, "Squeeze", sequence_of(l), -1), scalar(l, 1), -1);
        make_masks(l, causal, window);
        if (head_dim)
            make_rotation(l, head_dim);
        return;
    }
    l->embeds = input(l, "inputs_embeds", AKI_ONNX_F32, 3, (int64_t[]){ batch, rows, l->g->model->hidden });
    l->mask = input(l, "mask", AKI_ONNX_F32, 4, (int64_t[]){ causal ? 1 : batch, 1, causal ? rows : 1, rows });
    if (window)
        l->window_mask = input(l, "window_mask", AKI_ONNX_F32, 4, (int64_t[]){ causal ? 1 : batch, 1, rows, rows });
    if (head_dim) {
        l->cos = input(l, "cos", AKI_ONNX_F32, 3, (int64_t[]){ rows, 1, head_dim });
        l->sin = input(l, "sin", AKI_ONNX_F32, 3, (int64_t[]){ rows, 1, head_dim });
    }
}

static void make_output(struct lowering *l)
{
    const int64_t batch = l->options.batch ? l->options.batch : AKI_ONNX_BATCH, rows = l->options.sequence ? l->options.sequence : AKI_ONNX_SEQUENCE;
    const struct aki__graph *g = l->g;

    if (l->options.pooled) {
        int x = l->places[g->vectors];
        if (g->model->normalize)
            x = normalise(l, x);
        aki__onnx_output(l->o, "sentence_embedding", x, AKI_ONNX_F32, 2, batch, g->blocks[g->vectors].columns);
        return;
    }
    const struct aki__block *pool = &g->blocks[g->hidden];
    int x = l->places[pool->in[0]];
    aki__onnx_output(l->o, "last_hidden_state", l->options.f16 ? cast(l, x, AKI_ONNX_F32) : x, AKI_ONNX_F32, 3, batch, rows);
    l->o->outputs[l->o->output_count - 1].shape[2] = pool->columns;
}

/* ---------------------------------------------------------------- the graph ------------------------------------- */

void aki__portable_needs(const struct aki__graph *g, bool *causal, int *window, int *head_dim)
{
    *causal = g->model->causal;
    *window = *head_dim = 0;
    for (size_t i = 0; i < g->count; i++) {
        const struct aki__g_attention *a = &g->blocks[i].attention;
        if (g->blocks[i].op != AKI_G_ATTENTION)
            continue;
        if (a->window)
            *window = a->window;
        if (a->rope)
            *head_dim = a->head_dim;
    }
}

static int lower(struct lowering *l, const struct aki__block *b)
{
    switch (b->op) {
    case AKI_G_EMBED:     return lower_embed(l, b);
    case AKI_G_NORM:      return lower_norm(l, b);
    case AKI_G_ADD:       return apply(l, "Add", l->places[b->in[0]], l->places[b->in[1]], -1);
    case AKI_G_LINEAR:    return lower_linear(l, b);
    case AKI_G_ACT:       return activate(l, l->places[b->in[0]], b->act);
    case AKI_G_GATE:      return apply(l, "Mul", activate(l, l->places[b->in[0]], b->act), l->places[b->in[1]], -1);
    case AKI_G_ATTENTION: return lower_attention(l, b);
    case AKI_G_POOL:      return lower_pool(l, l->places[b->in[0]]);
    case AKI_G_ROWS:      break;            /* padded rows all stay: which of them count is the pooling's business */
    }
    return l->places[b->in[0]];
}

aki_status aki__portable_build(struct aki__onnx *o, const struct aki__graph *g, const struct aki__portable_options *options, aki_error *err)
{
    struct lowering l = { .g = g, .o = o, .options = *options, .type = options->f16 ? AKI_ONNX_F16 : AKI_ONNX_F32, .err = err };
    /* Pooling is a part of the graph only where it is asked for. */
    size_t count = options->pooled ? g->count : (size_t)g->hidden;

    if (g->model->int8_bits)
        return aki__fail(err, AKI_E_UNSUPPORTED, "%s: a folder quantised to int8, which runs on the cpu only; name the folder it was made from", g->model->path);
    l.places = aki__zalloc(g->count, sizeof *l.places);
    if (!l.places)
        return aki__fail(err, AKI_E_NOMEM, "graph");
    make_inputs(&l);
    for (size_t i = 0; i < count && !l.rc; i++)
        l.places[i] = lower(&l, &g->blocks[i]);
    if (!l.rc)
        make_output(&l);
    aki__free(l.places);
    return l.rc;
}
