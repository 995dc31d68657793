/* Unit portable: the dialect for accelerators and for files. See portable.h. */
#include "graph/portable.h"

#include <math.h>
#include <stdarg.h>

/* Exact in half precision, where 1e-12 is 0. The least normal number, 2^-14, is as large as the variance of some models' embeddings: cosines
 * of all-MiniLM-L6-v2 fall to 0.99991 with it, and to 0.9999988 with this one as with 1e-12. */
#define LEAST_F16_EPSILON 0x1p-23f

struct lowering {
    const struct aki__graph     *g;
    struct aki__onnx            *o;
    struct aki__portable_options options;
    enum aki__onnx_type          type;      /* type of the arithmetic */
    int        *places;                     /* [blocks] the ONNX value of each */
    struct aki__portable_needs needs;
    int         embeds, masks[AKI_PORTABLE_MASKS], cos[AKI_PORTABLE_ROPES], sin[AKI_PORTABLE_ROPES], biases[AKI_PORTABLE_BIASES];
    int         ids, attention_mask, index, types;      /* client form; index: 0 … sequence - 1, i64; types: of classifiers that have some, else 0 */
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
    static struct aki__onnx_node nowhere;       /* written to when there is no more memory, and never read */
    struct aki__onnx_node *n = l->rc ? NULL : aki__onnx_node(l->o, op, "");

    if (n)
        return n;
    no_memory(l);
    nowhere = (struct aki__onnx_node){ 0 };
    return &nowhere;
}

/* Adds a node op(inputs…), whose inputs end with -1 (0: an optional input that is left out). Returns its output. */
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

/* Adds an attribute to the last node. */
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

/* A constant with one number [1], of the type of the arithmetic. */
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

/* A constant with one number and no dimension, for Range and Gather. */
static int scalar(struct lowering *l, int64_t x) { return constant(l, AKI_ONNX_I64, 0, 0, 0, &x, sizeof x); }

/* A constant with elements of a tensor, as specified by `from`. */
static int weights_from(struct lowering *l, int rank, int64_t d0, int64_t d1, struct aki__onnx_constant from)
{
    int value = l->rc ? 0 : aki__onnx_weights(l->o, l->type, rank, d0, d1, &from);

    return value ? value : no_memory(l);
}

/* A table without changes. */
static int table(struct lowering *l, const struct aki__tensor *t)
{
    return weights_from(l, 2, t->shape[0], t->shape[1], (struct aki__onnx_constant){ .tensor = t, .factor = 1.0f });
}

/* A vector, plus shift, times factor. */
static int vector(struct lowering *l, const struct aki__tensor *t, float shift, float factor)
{
    return weights_from(l, 1, t->shape[0], 0, (struct aki__onnx_constant){ .tensor = t, .shift = shift, .factor = factor });
}

static int cast(struct lowering *l, int x, enum aki__onnx_type type)
{
    x = apply(l, "Cast", x, -1);
    attribute(l, "to", type);
    return x;
}

/* In a shape, 0 copies the input's dimension. Fixed dimensions are written as numbers, which some devices require. */
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

/* ---------------------------------------------------------------- what attentions are given --------------------- */

/* The index in the list; if it is not there, the index of the next entry. */
static int mask_of(const struct aki__portable_needs *needs, const struct aki__g_attention *a)
{
    int i = 0;

    while (i < needs->mask_count && (needs->masks[i].causal != a->causal || needs->masks[i].window != a->window))
        i++;
    return i;
}

static int rope_of(const struct aki__portable_needs *needs, const struct aki__g_attention *a)
{
    int i = 0;

    while (i < needs->rope_count && !aki__g_same_rope(needs->ropes[i], a))
        i++;
    return i;
}

static int bias_of(const struct aki__portable_needs *needs, const struct aki__g_attention *a)
{
    int i = 0;

    while (i < needs->bias_count && !aki__g_same_bias(needs->biases[i], a))
        i++;
    return i;
}

static const char *mask_name(const struct aki__portable_needs *needs, bool windowed)
{
    static const char *const names[2][AKI_PORTABLE_MASKS] = { { "mask", "mask2", "mask3", "mask4" }, { "window_mask", "window_mask2", "window_mask3", "window_mask4" } };
    int before = 0;

    for (int i = 0; i < needs->mask_count; i++)
        before += (needs->masks[i].window != 0) == windowed;
    return names[windowed][before];
}

const char *aki__portable_cos(int i) { return i ? "cos2" : "cos"; }
const char *aki__portable_sin(int i) { return i ? "sin2" : "sin"; }
const char *aki__portable_bias(int i) { return i ? "bias2" : "bias"; }

aki_status aki__portable_needs(struct aki__portable_needs *out, const struct aki__graph *g, aki_error *err)
{
    *out = (struct aki__portable_needs){ .embed = -1 };
    if (aki__graph_result(g, AKI_RESULT_HIDDEN) < 0)
        return aki__fail(err, AKI_E_UNSUPPORTED, "%s: a network that pools no hidden rows: on the cpu only", g->model->path);
    for (size_t i = 0; i < g->count; i++) {
        const struct aki__g_attention *a = &g->blocks[i].attention;
        if (g->blocks[i].op == AKI_G_EMBED && out->embed >= 0)
            return aki__fail(err, AKI_E_UNSUPPORTED, "%s: a network of two inputs: on the cpu only", g->model->path);
        if (g->blocks[i].op == AKI_G_EMBED)
            out->embed = (aki__blk)i;
        if (g->blocks[i].op != AKI_G_ATTENTION)
            continue;
        int mask = mask_of(out, a), rope = aki__g_rotates(a) ? rope_of(out, a) : 0, bias = a->bias.reach ? bias_of(out, a) : 0;
        if (mask == AKI_PORTABLE_MASKS || rope == AKI_PORTABLE_ROPES || bias == AKI_PORTABLE_BIASES)
            return aki__fail(err, AKI_E_UNSUPPORTED, "%s: more than %d kinds of windows, %d of rotations or %d of biases: on the cpu only", g->model->path,
                             AKI_PORTABLE_MASKS, AKI_PORTABLE_ROPES, AKI_PORTABLE_BIASES);
        if (mask == out->mask_count) {
            out->masks[mask] = (struct aki__portable_mask){ .causal = a->causal, .window = a->window, .name = mask_name(out, a->window != 0) };
            out->mask_count++;
        }
        if (aki__g_rotates(a) && rope == out->rope_count)
            out->ropes[out->rope_count++] = a;
        if (a->bias.reach && bias == out->bias_count)
            out->biases[out->bias_count++] = a;
    }
    return AKI_OK;
}

/* ---------------------------------------------------------------- blocks ---------------------------------------- */

/* x / sqrt(mean(x^2) + eps) * (gamma + shift) * factor over the last axis. In f16, squares can overflow and underflow, so x is
 * first divided by its largest element, and eps by the square of that. */
static int rms_norm(struct lowering *l, int x, const struct aki__tensor *gamma, float eps, float shift, float factor)
{
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
    return apply(l, "Mul", apply(l, "Div", x, root, -1), vector(l, gamma, shift, factor), -1);
}

static int lower_norm(struct lowering *l, const struct aki__block *b)
{
    int x = l->places[b->in[0]];
    const struct aki__g_norm *n = &b->norm;

    if (n->rms) {
        x = rms_norm(l, x, b->weight, (float)n->eps, n->shift, 1.0f);
        return b->bias ? apply(l, "Add", x, vector(l, b->bias, 0, 1.0f), -1) : x;
    }
    int gamma = vector(l, b->weight, n->shift, 1.0f), beta = b->bias ? vector(l, b->bias, 0, 1.0f) : -1;
    x = apply(l, "LayerNormalization", x, gamma, beta, -1);
    struct aki__onnx_attribute *eps = attribute(l, "epsilon", 0);
    eps->kind = AKI_ONNX_FLOAT;
    /* Devices round it to the type of the arithmetic, and would divide 0 by 0 for a row without variance. */
    eps->number = fmaxf((float)n->eps, l->type == AKI_ONNX_F16 ? LEAST_F16_EPSILON : 0.0f);
    return x;
}

static int lower_linear(struct lowering *l, const struct aki__block *b)
{
    const int64_t k = l->g->blocks[b->in[0]].columns;
    struct aki__onnx_constant w = { .tensor = b->weight, .first = (size_t)(b->first * k), .transposed = true, .factor = 1.0f };
    struct aki__onnx_constant bias = { .tensor = b->bias, .first = (size_t)b->first, .factor = 1.0f };
    int x = apply(l, "MatMul", l->places[b->in[0]], weights_from(l, 2, k, b->columns, w), -1);

    return b->bias ? apply(l, "Add", x, weights_from(l, 1, b->columns, 0, bias), -1) : x;
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
    case AKI_ACT_LOG1P_RELU: return apply(l, "Log", apply(l, "Add", apply(l, "Relu", x, -1), number(l, 1.0f), -1), -1);
    case AKI_ACT_SILU: return apply(l, "Mul", x, apply(l, "Sigmoid", x, -1), -1);
    /* Written with its parts, which more providers support than the operator Gelu. */
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
        x = rms_norm(l, x, norm, (float)a->norm_eps, a->norm_shift, factor);
    else if (factor != 1.0f)
        x = apply(l, "Mul", x, number(l, factor), -1);
    if (!aki__g_rotates(a))
        return x;
    const int rope = rope_of(&l->needs, a);
    int first = apply(l, "Split", x, integers(l, 2, (int64_t[]){ a->head_dim / 2, a->head_dim / 2 }), -1), second = aki__onnx_value(l->o);
    attribute(l, "axis", -1);
    if (!l->rc) {
        struct aki__onnx_node *split = &l->o->nodes[l->o->node_count - 1];
        split->outputs[split->output_count++] = second;
    }
    int turned = apply(l, "Concat", second, first, -1);
    attribute(l, "axis", -1);
    return apply(l, "Add", apply(l, "Mul", x, l->cos[rope], -1), apply(l, "Mul", turned, l->sin[rope], -1), -1);
}

static int lower_attention(struct lowering *l, const struct aki__block *b)
{
    const struct aki__g_attention *a = &b->attention;
    const int64_t batch = l->options.batch, rows = l->options.sequence, group = a->heads / a->kv_heads;
    int q = split_heads(l, l->places[b->in[0]], a, a->heads, a->q_norm, a->scale != 0 ? (float)a->scale : 1.0f / sqrtf((float)a->head_dim));
    int k = split_heads(l, l->places[b->in[1]], a, a->kv_heads, a->k_norm, 1.0f);
    int v = reshape(l, l->places[b->in[2]], batch, rows, a->kv_heads, a->head_dim);

    q = transpose(l, q, 0, 2, 1, 3);
    k = transpose(l, k, 0, 2, 3, 1);
    v = transpose(l, v, 0, 2, 1, 3);
    /* Heads that share keys are stacked: they become one head with more queries. */
    if (group > 1)
        q = reshape(l, q, batch, a->kv_heads, rows ? group * rows : -1, a->head_dim);
    int scores = apply(l, "MatMul", q, k, -1);
    if (group > 1)
        scores = reshape(l, scores, batch, a->heads, rows ? rows : -1, rows ? rows : -2);
    if (a->bias.reach)
        scores = apply(l, "Add", scores, l->biases[bias_of(&l->needs, a)], -1);
    scores = apply(l, "Add", scores, l->masks[mask_of(&l->needs, a)], -1);
    scores = apply(l, "Softmax", scores, -1);
    if (group > 1)
        scores = reshape(l, scores, batch, a->kv_heads, rows ? group * rows : -1, rows ? rows : -2);
    int x = apply(l, "MatMul", scores, v, -1);
    if (group > 1)
        x = reshape(l, x, batch, a->heads, rows ? rows : -1, a->head_dim);
    return reshape(l, transpose(l, x, 0, 2, 1, 3), batch, rows, b->columns, 0);
}

/* ---------------------------------------------------------------- the client form ------------------------------- */

/* The dimensions of input_ids after the first, [1]. */
static int sequence_of(struct lowering *l)
{
    int x = apply(l, "Shape", l->ids, -1);

    attribute(l, "start", 1);
    return x;
}

static int unsqueeze(struct lowering *l, int x, int64_t axis) { return apply(l, "Unsqueeze", x, integer(l, axis), -1); }

/* The positions of the model. RoBERTa does not count padding, and gives it the pad token's position. */
static int position_rows(struct lowering *l, const struct aki__tensor *rows)
{
    const struct aki__model *m = l->g->model;

    if (!m->position_offset)
        return apply(l, "Slice", table(l, rows), integer(l, 0), sequence_of(l), integer(l, 0), -1);
    int is_pad = apply(l, "Equal", l->ids, integer(l, m->pad_id), -1);
    int counts = cast(l, apply(l, "Not", is_pad, -1), AKI_ONNX_I64);
    int positions = apply(l, "Mul", apply(l, "CumSum", counts, scalar(l, 1), -1), counts, -1);
    positions = apply(l, "Add", positions, integer(l, m->pad_id), -1);
    return apply(l, "Gather", table(l, rows), positions, -1);
}

static int lower_embed(struct lowering *l, const struct aki__block *b)
{
    if (!l->options.client)
        return l->embeds;
    const struct aki__g_embed *t = &b->embed;
    int x = apply(l, "Gather", table(l, t->words), l->ids, -1);
    if (t->scale != 0)
        x = apply(l, "Mul", x, number(l, (float)t->scale), -1);
    if (t->positions)
        x = apply(l, "Add", x, position_rows(l, t->positions), -1);
    if (t->types)
        x = apply(l, "Add", x, l->types ? apply(l, "Gather", table(l, t->types), l->types, -1) : weights_from(l, 1, t->types->shape[1], 0, (struct aki__onnx_constant){ .tensor = t->types, .factor = 1.0f }), -1);
    return x;
}

/* AKI_PORTABLE_HIDDEN where `seen` (bool) is false. */
static int hide(struct lowering *l, int hidden) { return apply(l, "Mul", cast(l, hidden, l->type), number(l, AKI_PORTABLE_HIDDEN), -1); }

static void make_masks(struct lowering *l, int row, int column)
{
    int padding = apply(l, "Equal", l->attention_mask, integer(l, 0), -1), plain[2] = { 0 }, distance = 0;

    padding = hide(l, apply(l, "Unsqueeze", padding, integers(l, 2, (int64_t[]){ 1, 2 }), -1));
    for (int i = 0; i < l->needs.mask_count; i++) {
        const struct aki__portable_mask *m = &l->needs.masks[i];
        if (!plain[m->causal])
            plain[m->causal] = m->causal ? apply(l, "Add", padding, hide(l, apply(l, "Greater", column, row, -1)), -1) : padding;
        l->masks[i] = plain[m->causal];
        if (!m->window)
            continue;
        if (!distance)
            distance = apply(l, "Sub", row, column, -1);
        l->masks[i] = apply(l, "Add", l->masks[i], hide(l, apply(l, "GreaterOrEqual", distance, integer(l, m->window), -1)), -1);
        if (!m->causal)
            l->masks[i] = apply(l, "Add", l->masks[i], hide(l, apply(l, "LessOrEqual", distance, integer(l, -m->window), -1)), -1);
    }
}

/* The bias of every pair of positions, [heads, sequence, sequence], from the table by distance. */
static int make_bias(struct lowering *l, const struct aki__g_attention *a, int row, int column)
{
    const size_t width = 2 * (size_t)a->bias.reach + 1, count = (size_t)a->heads * width;
    float *bias = l->rc ? NULL : aki__alloc(count, sizeof *bias);

    if (!bias)
        return no_memory(l);
    aki__g_bias_table(bias, a, 1.0f);
    int x = constant(l, AKI_ONNX_F32, 2, a->heads, (int64_t)width, bias, count * sizeof *bias);
    aki__free(bias);
    int distance = apply(l, "Clip", apply(l, "Sub", column, row, -1), scalar(l, -a->bias.reach), scalar(l, a->bias.reach), -1);
    x = apply(l, "Gather", x, apply(l, "Add", distance, integer(l, a->bias.reach), -1), -1);
    attribute(l, "axis", 1);
    return l->options.f16 ? cast(l, x, l->type) : x;
}

/* Angles are in f32 in any case: f16 cannot represent all integers above 2048. */
static void make_rotation(struct lowering *l, int i)
{
    const struct aki__g_attention *a = l->needs.ropes[i];
    float *inverse = l->rc ? NULL : aki__alloc((size_t)a->head_dim / 2, sizeof *inverse);

    if (!inverse) {
        no_memory(l);
        return;
    }
    aki__g_frequencies(inverse, a);
    int frequencies = constant(l, AKI_ONNX_F32, 1, a->head_dim / 2, 0, inverse, (size_t)a->head_dim / 2 * sizeof *inverse);
    aki__free(inverse);
    int angles = apply(l, "Mul", apply(l, "Unsqueeze", cast(l, l->index, AKI_ONNX_F32), integers(l, 2, (int64_t[]){ 1, 2 }), -1), frequencies, -1);
    int c = apply(l, "Cos", angles, -1), s = apply(l, "Sin", angles, -1), negative = apply(l, "Neg", s, -1);
    l->cos[i] = apply(l, "Concat", c, c, -1);
    attribute(l, "axis", -1);
    l->sin[i] = apply(l, "Concat", negative, s, -1);
    attribute(l, "axis", -1);
    if (l->options.f16) {
        l->cos[i] = cast(l, l->cos[i], l->type);
        l->sin[i] = cast(l, l->sin[i], l->type);
    }
}

/* The weight of every token, [batch, sequence] f32, so that pooling is one product. */
static int pooling_weights(struct lowering *l, int32_t pooling)
{
    int mask = cast(l, l->attention_mask, AKI_ONNX_F32);

    if (l->g->model->labels.count && l->g->model->labels.pad_id >= 0)
        mask = apply(l, "Mul", mask, cast(l, apply(l, "Not", apply(l, "Equal", l->ids, integer(l, l->g->model->labels.pad_id), -1), -1), AKI_ONNX_F32), -1);
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

static int lower_pool(struct lowering *l, const struct aki__block *b)
{
    const int32_t pooling = l->g->model->pooling;
    int x = l->places[b->in[0]];

    if (l->options.f16)
        x = cast(l, x, AKI_ONNX_F32);
    x = activate(l, x, b->act);
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
    return value;
}

static void make_inputs(struct lowering *l)
{
    const int64_t batch = l->options.batch ? l->options.batch : AKI_ONNX_BATCH, rows = l->options.sequence ? l->options.sequence : AKI_ONNX_SEQUENCE;
    const struct aki__portable_needs *needs = &l->needs;

    if (l->options.client) {
        l->ids = input(l, "input_ids", AKI_ONNX_I64, 2, (int64_t[]){ batch, rows });
        l->attention_mask = input(l, "attention_mask", AKI_ONNX_I64, 2, (int64_t[]){ batch, rows });
        if (l->g->model->labels.count && l->g->model->types > 1)
            l->types = input(l, "token_type_ids", AKI_ONNX_I64, 2, (int64_t[]){ batch, rows });
        l->index = apply(l, "Range", scalar(l, 0), apply(l, "Squeeze", sequence_of(l), -1), scalar(l, 1), -1);
        int row = unsqueeze(l, l->index, 1), column = unsqueeze(l, l->index, 0);
        make_masks(l, row, column);
        for (int i = 0; i < needs->bias_count; i++)
            l->biases[i] = make_bias(l, needs->biases[i], row, column);
        for (int i = 0; i < needs->rope_count; i++)
            make_rotation(l, i);
        return;
    }
    l->embeds = input(l, "inputs_embeds", l->type, 3, (int64_t[]){ batch, rows, l->g->blocks[needs->embed].columns });
    for (int i = 0; i < needs->mask_count; i++) {
        const struct aki__portable_mask *m = &needs->masks[i];
        l->masks[i] = input(l, m->name, l->type, 4, (int64_t[]){ m->causal ? 1 : batch, 1, m->causal || m->window ? rows : 1, rows });
    }
    for (int i = 0; i < needs->rope_count; i++) {
        const int64_t head_dim = needs->ropes[i]->head_dim;
        l->cos[i] = input(l, aki__portable_cos(i), l->type, 3, (int64_t[]){ rows, 1, head_dim });
        l->sin[i] = input(l, aki__portable_sin(i), l->type, 3, (int64_t[]){ rows, 1, head_dim });
    }
    for (int i = 0; i < needs->bias_count; i++)
        l->biases[i] = input(l, aki__portable_bias(i), l->type, 4, (int64_t[]){ 1, needs->biases[i]->heads, rows, rows });
}

static void make_output(struct lowering *l)
{
    const int64_t batch = l->options.batch ? l->options.batch : AKI_ONNX_BATCH, rows = l->options.sequence ? l->options.sequence : AKI_ONNX_SEQUENCE;
    const struct aki__graph *g = l->g;
    aki__blk hidden = aki__graph_result(g, AKI_RESULT_HIDDEN), vectors = aki__graph_result(g, AKI_RESULT_VECTORS);

    if (l->options.pooled) {
        vectors = vectors < 0 ? hidden : vectors;
        l->type = AKI_ONNX_F32;
        int x = l->places[vectors];
        if (g->model->normalize)
            x = normalise(l, x);
        aki__onnx_output(l->o, g->model->labels.count ? "logits" : "sentence_embedding", x, AKI_ONNX_F32, 2, batch, g->blocks[vectors].columns);
        return;
    }
    const struct aki__block *pool = &g->blocks[hidden];
    const enum aki__onnx_type type = l->options.f16 && !l->options.client ? AKI_ONNX_F16 : AKI_ONNX_F32;
    int x = l->places[pool->in[0]];
    if (x == l->embeds)                     /* an output cannot be an input */
        x = apply(l, "Identity", x, -1);
    aki__onnx_output(l->o, "last_hidden_state", l->options.f16 && l->options.client ? cast(l, x, type) : x, type, 3, batch, rows);
    l->o->outputs[l->o->output_count - 1].shape[2] = pool->columns;
}

/* ---------------------------------------------------------------- the graph ------------------------------------- */

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
    case AKI_G_POOL:      return lower_pool(l, b);
    case AKI_G_ROWS:      break;            /* padded rows are computed too; the pooling excludes them */
    }
    return l->places[b->in[0]];
}

aki_status aki__portable_build(struct aki__onnx *o, const struct aki__graph *g, const struct aki__portable_options *options, aki_error *err)
{
    const enum aki__onnx_type type = options->f16 ? AKI_ONNX_F16 : AKI_ONNX_F32;
    struct lowering l = { .g = g, .o = o, .options = *options, .type = type, .err = err };

    if (g->model->int8_bits)
        return aki__fail(err, AKI_E_UNSUPPORTED, "%s: a folder quantised to int8, which runs on the cpu only; name the folder it was made from", g->model->path);
    aki_status rc = aki__portable_needs(&l.needs, g, err);
    if (rc)
        return rc;
    l.places = aki__zalloc(g->count, sizeof *l.places);
    if (!l.places)
        return aki__fail(err, AKI_E_NOMEM, "graph");
    make_inputs(&l);
    for (size_t i = 0; i < g->count && !l.rc; i++) {
        const bool pooled = g->blocks[i].rows == AKI_ROWS_VECTORS;
        if (pooled && !options->pooled)
            continue;                       /* pooling is part of the graph only if requested */
        l.type = pooled ? AKI_ONNX_F32 : type;      /* one row for each text: cheap in f32 */
        l.places[i] = lower(&l, &g->blocks[i]);
    }
    if (!l.rc)
        make_output(&l);
    aki__free(l.places);
    return l.rc;
}
