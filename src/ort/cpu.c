/* Unit cpu: the packed, fused dialect. See cpu.h.
 *
 * A linear block is not emitted where it stands but by the block that uses it: linears of one input that are used together (q, k, v; gate, up)
 * become one product. An addition is emitted by the norm behind it. */
#include "ort/cpu.h"

#include "kernel/kernel.h"
#include "ort/ops.h"
#include "ort/outliers.h"

/* Takes over a block of aki__alloc_aligned; NULL (and it is freed): no memory. */
static void *keep_block(struct aki__keep *k, void *block)
{
    if (!block || !aki__grow((void **)&k->blocks, &k->capacity, k->count + 1, sizeof *k->blocks)) {
        aki__free_aligned(block);
        return NULL;
    }
    return k->blocks[k->count++] = block;
}

void aki__keep_free(struct aki__keep *k)
{
    for (size_t i = 0; i < k->count; i++)
        aki__free_aligned(k->blocks[i]);
    aki__free(k->blocks);
    aki__free(k->products);
    *k = (struct aki__keep){ 0 };
}

static size_t data_size(const struct aki__packed *p) { return aki__packed_count(p->n, p->k, !p->scale) * (p->scale ? 1 : sizeof(float)); }

uint64_t aki__keep_weights_size(const struct aki__keep *k)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < k->product_count; i++)
        sum += data_size(k->products[i].packed);
    return sum;
}

size_t aki__keep_f32_products(const struct aki__keep *k)
{
    size_t count = 0;

    for (size_t i = 0; i < k->product_count; i++)
        count += !k->products[i].packed->scale;
    return count;
}

size_t aki__keep_widest(const struct aki__keep *k)
{
    size_t most = 0;

    for (size_t i = 0; i < k->product_count; i++)
        most = k->products[i].packed->n > most ? k->products[i].packed->n : most;
    return most;
}

/* Where a block's rows are: value numbers of the ONNX graph, 0 for forms that nobody needs. */
struct place {
    bool need_f32, need_u8;         /* decided before anything is emitted */
    int  f32, u8, scale, side;
};

/* A product of one or more linears of the same input: its rows, and where each linear's columns begin. */
struct product { int rows; size_t at[3]; };

struct lowering {
    const struct aki__graph *g;
    struct aki__onnx        *o;
    struct aki__keep        *keep;
    struct aki__cpu_options  options;
    struct place            *places;
    struct aki__outliers    *outliers;      /* [g->count], see outliers.h */
    int ids, positions, starts, rows, query_starts, pool_starts, weight_from, mode, key_starts, prefixes;
    int rope, attentions;
    aki_status rc;
    aki_error *err;
};

/* Zeroed. */
static void *keep(struct lowering *l, size_t count, size_t size)
{
    void *block = l->rc ? NULL : keep_block(l->keep, aki__alloc_aligned(count, size));

    if (block)
        memset(block, 0, count * size);
    else if (!l->rc)
        l->rc = aki__fail(l->err, AKI_E_NOMEM, "graph");
    return block;
}

static bool is_int8(const struct lowering *l, aki__blk linear) { return l->options.int8 && linear < l->g->hidden && !l->keep->f32[linear]; }

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
    return n;
}

static void take(struct aki__onnx_node *n, int value) { n->inputs[n->input_count++] = value; }

static int give(struct lowering *l, struct aki__onnx_node *n, bool wanted)
{
    return n->outputs[n->output_count++] = wanted ? aki__onnx_value(l->o) : 0;
}

/* The outputs f32, u8, scale, side of a block, as far as they are needed. */
static void give_place(struct lowering *l, struct aki__onnx_node *n, struct place *p)
{
    p->f32 = give(l, n, p->need_f32);
    p->u8 = give(l, n, p->need_u8);
    p->scale = give(l, n, p->need_u8);
    p->side = give(l, n, p->need_u8 && l->outliers[p - l->places].count);
}

/* ---------------------------------------------------------------- weights --------------------------------------- */

struct pack_args { struct aki__pack pack; size_t rows; float *scratch; size_t scratch_size; };

static void pack_step(void *user, size_t i)
{
    const struct pack_args *a = user;
    size_t begin = i * AKI_PANEL, end = begin + AKI_PANEL < a->rows ? begin + AKI_PANEL : a->rows;

    if (a->scratch)
        aki__kernels()->pack_s8(&a->pack, begin, end, a->scratch + i * a->scratch_size);
    else
        aki__kernels()->pack_f32(&a->pack, begin, end);
}

/* Packs the rows of several matrices [out, in] under each other into w, whose n and k are known. */
static void pack(struct lowering *l, struct aki__packed *w, const struct aki__tensor *const *t, size_t count, bool int8)
{
    size_t panels = aki__panels(w->n), elements = aki__packed_count(w->n, w->k, !int8), size = int8 ? 1 : sizeof(float), steps = 0;
    struct pack_args a = { .pack = { .k = w->k, .block = aki__rotation_block(w->k), .outliers = w->outliers }, .scratch_size = (w->k + (w->k + 3) / 4 + 15) & ~(size_t)15 };

    for (size_t i = 0; i < count; i++)
        steps = aki__panels((size_t)t[i]->shape[0]) > steps ? aki__panels((size_t)t[i]->shape[0]) : steps;
    w->data = a.pack.out = keep_block(l->keep, aki__alloc_aligned(elements, size));
    if (int8) {
        w->scale = a.pack.scale = keep(l, panels * AKI_PANEL, sizeof(float));
        w->sum = a.pack.sum = keep(l, panels * AKI_PANEL, sizeof(int32_t));
        a.scratch = aki__alloc_aligned(steps * a.scratch_size, sizeof *a.scratch);
        if (w->outliers.count)
            w->side = a.pack.side = keep(l, panels * AKI_PANEL * w->outliers.count, sizeof(float));
    }
    if (!w->data || l->rc || (int8 && !a.scratch)) {
        if (!l->rc)
            l->rc = aki__fail(l->err, AKI_E_NOMEM, "weights of %zu x %zu", w->n, w->k);
        aki__free_aligned(a.scratch);
        return;
    }
    memset((char *)a.pack.out + elements / panels * (panels - 1) * size, 0, elements / panels * size);
    for (size_t i = 0; i < count; i++) {
        a.pack.w = aki__table_of(t[i]);
        a.rows = (size_t)t[i]->shape[0];
        aki__pool_each(l->options.pool, aki__panels(a.rows), pack_step, &a);
        aki__map_release(t[i]->map, t[i]->data, t[i]->size);
        a.pack.column += a.rows;
    }
    aki__free_aligned(a.scratch);
}

/* The same out of a folder that was quantised: the weights are a view of the file. */
static void view_stored(struct lowering *l, struct aki__packed *w, struct aki__keep_product *kept, const char *name)
{
    struct aki__model_int8 stored;
    float *scale = keep(l, aki__panels(w->n) * AKI_PANEL, sizeof *scale);
    int32_t *sum = keep(l, aki__panels(w->n) * AKI_PANEL, sizeof *sum);

    if (l->rc)
        return;
    aki_status rc = aki__model_int8(l->g->model, &stored, l->err, name, w->k, w->n);
    if (!rc && (stored.column_count != w->outliers.count || (stored.column_count && memcmp(stored.columns, w->outliers.columns, stored.column_count * sizeof(int32_t)))))
        rc = aki__fail(l->err, AKI_E_INVALID, "%s: tensor %.100s.int8_columns is not that of the other products of these rows: quantise the model again", l->g->model->path, name);
    l->rc = aki__graph_fault(l->g, name, rc, l->err);
    if (rc)
        return;
    memcpy(scale, stored.scale, w->n * sizeof *scale);
    memcpy(sum, stored.sum, w->n * sizeof *sum);
    w->data = stored.data;
    w->scale = scale;
    w->sum = sum;
    w->side = stored.side;
    kept->rows = (struct aki__outliers){ .columns = stored.rows, .count = stored.row_count };
    kept->exact = stored.exact;
}

/* Weights of the outputs that are outliers, as f32. */
static void gather_exact(struct lowering *l, struct aki__keep_product *kept, const aki__blk *linears, const size_t *at, size_t count, size_t k)
{
    for (size_t i = 0; i < count; i++)
        kept->rows.count += l->outliers[linears[i]].count;
    int32_t *rows = kept->rows.count ? keep(l, kept->rows.count, sizeof *rows) : NULL;
    float *exact = rows ? keep(l, kept->rows.count * k, sizeof *exact) : NULL;
    size_t r = 0;
    for (size_t i = 0; i < count && exact; i++)
        for (size_t c = 0; c < l->outliers[linears[i]].count; c++, r++) {
            size_t row = (size_t)l->outliers[linears[i]].columns[c];
            rows[r] = (int32_t)(at[i] + row);
            aki__tensor_read(exact + r * k, l->g->blocks[linears[i]].weight, row * k, k);
        }
    kept->rows.columns = rows;
    kept->exact = exact;
}

/* Biases of the linears, side by side. */
static void pack_biases(struct lowering *l, struct aki__packed *w, const aki__blk *linears, const size_t *at, size_t count)
{
    bool any = false;

    for (size_t i = 0; i < count; i++)
        any |= l->g->blocks[linears[i]].bias != NULL;
    float *bias = any ? keep(l, aki__panels(w->n) * AKI_PANEL, sizeof *bias) : NULL;
    for (size_t i = 0; i < count && bias; i++) {
        const struct aki__tensor *t = l->g->blocks[linears[i]].bias;
        if (t)
            aki__tensor_read(bias + at[i], t, 0, (size_t)t->shape[0]);
    }
    w->bias = bias;
}

/* ---------------------------------------------------------------- products -------------------------------------- */

/* The outputs that are outliers once more, as a product of f32. */
static int exact_product(struct lowering *l, const struct aki__keep_product *kept, const struct place *x)
{
    const struct aki__packed *w = kept->packed;
    size_t n = kept->rows.count;
    struct aki__product_plan *plan = keep(l, 1, sizeof *plan);
    float *data = keep(l, aki__packed_count(n, w->k, true), sizeof *data), *bias = w->bias ? keep(l, aki__panels(n) * AKI_PANEL, sizeof *bias) : NULL;

    if (l->rc)
        return 0;
    aki__kernels()->pack_f32(&(struct aki__pack){ .w = { .data = kept->exact, .dtype = AKI_TABLE_F32 }, .k = w->k, .out = data }, 0, n);
    for (size_t r = 0; r < n && bias; r++)
        bias[r] = w->bias[kept->rows.columns[r]];
    plan->w = (struct aki__packed){ .data = data, .bias = bias, .n = n, .k = w->k };
    struct aki__onnx_node *product = node(l, "Product", plan);
    take(product, x->f32);
    return give(l, product, true);
}

/* One product of `count` linears that have the same input. */
static struct product product(struct lowering *l, const aki__blk *linears, size_t count)
{
    const struct aki__tensor *weights[3] = { NULL };
    const struct aki__block *first = &l->g->blocks[linears[0]];
    const struct place *x = &l->places[first->in[0]];
    bool int8 = is_int8(l, linears[0]);
    struct aki__product_plan *plan = keep(l, 1, sizeof *plan);
    struct aki__packed *w = plan ? &plan->w : NULL;
    struct aki__keep_product kept = { .name = first->name, .packed = w };
    struct product p = { 0 };
    int exact = 0;

    if (!w)
        return p;
    w->k = (size_t)l->g->blocks[first->in[0]].columns;
    if (int8)
        w->outliers = l->outliers[first->in[0]];
    for (size_t i = 0; i < count; i++) {
        const struct aki__block *b = &l->g->blocks[linears[i]];
        if (b->op != AKI_G_LINEAR || b->in[0] != first->in[0]) {
            defect(l, "a product of other things than linears of one input");
            return p;
        }
        if (is_int8(l, linears[i]) != int8) {       /* tensors of a quantised folder */
            if (l->rc)
                return p;
            l->rc = aki__fail(l->err, AKI_E_INVALID, "%s: of %s and %s only one has a tensor .weight: quantise the model again", l->g->model->path, first->name, b->name);
            l->rc = aki__graph_fault(l->g, b->name, l->rc, l->err);
            return p;
        }
        weights[i] = b->weight;
        p.at[i] = w->n;
        w->n += (size_t)b->columns;
    }
    if (int8 && w->k > AKI_INT8_MOST_INPUTS && !l->rc)
        l->rc = aki__fail(l->err, AKI_E_UNSUPPORTED, "%s: %zu inputs: sums of 32 bits hold %zu; use f32", first->name, w->k, AKI_INT8_MOST_INPUTS);
    if (weights[0]) {
        if (int8)
            gather_exact(l, &kept, linears, p.at, count, w->k);
        pack(l, w, weights, count, int8);
    } else {
        view_stored(l, w, &kept, first->name);
    }
    pack_biases(l, w, linears, p.at, count);
    if (!l->rc && !aki__grow((void **)&l->keep->products, &l->keep->product_capacity, l->keep->product_count + 1, sizeof *l->keep->products))
        l->rc = aki__fail(l->err, AKI_E_NOMEM, "graph");
    if (!l->rc)
        l->keep->products[l->keep->product_count++] = kept;
    if (kept.rows.count)
        exact = exact_product(l, &kept, x);
    plan->rows = kept.rows;
    struct aki__onnx_node *n = node(l, "Product", plan);
    take(n, int8 ? x->u8 : x->f32);
    take(n, int8 ? x->scale : 0);
    take(n, w->outliers.count ? x->side : 0);
    take(n, exact);
    p.rows = give(l, n, true);
    return p;
}

/* ---------------------------------------------------------------- blocks ---------------------------------------- */

static void lower_embed(struct lowering *l, const struct aki__block *b, struct place *p)
{
    struct aki__embed_plan *plan = keep(l, 1, sizeof *plan);

    if (!plan)
        return;
    *plan = (struct aki__embed_plan){ .words = aki__table_of(b->words), .positions = aki__table_of(b->positions), .types = aki__table_of(b->types), .hidden = (size_t)b->columns };
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
                                     .hidden = (size_t)b->columns, .block = aki__rotation_block((size_t)b->columns), .outliers = l->outliers[p - l->places] };
    if (in->op != AKI_G_ADD || sum->f32) {
        struct aki__onnx_node *n = node(l, "Norm", plan);
        take(n, sum->f32);
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
    struct aki__onnx_node *n = node(l, "Norm", plan);
    take(n, l->places[x].f32);
    take(n, add.rows);
    sum->f32 = give(l, n, sum->need_f32);
    give_place(l, n, p);
}

static void lower_act(struct lowering *l, const struct aki__block *b, struct place *p)
{
    struct aki__act_plan *plan = keep(l, 1, sizeof *plan);
    struct product x = product(l, b->in, (size_t)b->in_count);

    if (l->rc)
        return;
    *plan = (struct aki__act_plan){ .gate = x.at[1], .gated = b->op == AKI_G_GATE, .act = aki__act_of(b->act), .columns = (size_t)b->columns,
                                    .block = aki__rotation_block((size_t)b->columns), .outliers = l->outliers[p - l->places] };
    struct aki__onnx_node *n = node(l, "Act", plan);
    take(n, x.rows);
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
        kv.at[2] = kv.at[1];
        kv.at[1] = kv.at[0];
    } else {
        q = kv = product(l, b->in, 3);
    }
    if (l->rc)
        return;
    *plan = (struct aki__attention_plan){ .k = kv.at[1], .v = kv.at[2], .heads = (size_t)a->heads, .kv_heads = (size_t)a->kv_heads,
        .head_dim = (size_t)a->head_dim, .window = (size_t)a->window, .block = aki__rotation_block((size_t)b->columns), .causal = a->causal,
        .q_norm = vector(l, a->q_norm), .k_norm = vector(l, a->k_norm), .norm_eps = (float)l->g->model->norm_eps, .layer = (size_t)l->attentions++, .bf16 = is_int8(l, b->in[0]),
        .outliers = l->outliers[p - l->places] };
    struct aki__onnx_node *n = node(l, "Attention", plan);
    take(n, q.rows);
    take(n, kv.rows);
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
        take(n, x->side);
        p->u8 = give(l, n, true);
        p->scale = give(l, n, true);
        p->side = give(l, n, x->side != 0);
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
                x->need_u8 |= is_int8(l, (aki__blk)i);
                x->need_f32 |= !is_int8(l, (aki__blk)i) || l->outliers[i].count;
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
    l.outliers = keep(&l, g->count, sizeof *l.outliers);
    kept->f32 = keep(&l, g->count, sizeof *kept->f32);
    int32_t *columns = options->int8 ? keep(&l, g->count * AKI_MOST_OUTLIERS, sizeof *columns) : NULL;
    if (options->int8 && !l.rc)
        l.rc = aki__outliers_find(l.outliers, kept->f32, columns, g, options->pool, err);
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
    if (!l.rc)
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
