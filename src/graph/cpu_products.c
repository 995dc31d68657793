/* Unit cpu: products: packs weights for kernel/, and owns the memory of a session. See cpu_lowering.h. */
#include "graph/cpu_lowering.h"

/* Adds a block of aki__alloc_aligned, which the session then owns. NULL: no memory, and the block is freed. */
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

static size_t data_size(const struct aki__packed *p) { return aki__packed_size(p->n, p->k, aki__packed_weight_size(p)); }

uint64_t aki__keep_weights_size(const struct aki__keep *k)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < k->product_count; i++)
        sum += data_size(k->products[i].packed);
    return sum;
}

uint64_t aki__keep_16bit_size(const struct aki__keep *k)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < k->product_count; i++)
        sum += aki__packed_weight_size(k->products[i].packed) == 2 ? data_size(k->products[i].packed) : 0;
    return sum;
}

size_t aki__keep_f32_products(const struct aki__keep *k)
{
    size_t count = 0;

    for (size_t i = 0; i < k->product_count; i++)
        count += !k->products[i].packed->scale && !k->products[i].packed->bf16;
    return count;
}

double aki__keep_f32_share(const struct aki__keep *k)
{
    double all = 0, f32 = 0;

    for (size_t i = 0; i < k->product_count; i++) {
        const struct aki__keep_product *p = &k->products[i];
        const double inputs = (double)p->packed->k, outputs = (double)p->packed->n;
        if (p->dense)
            continue;
        all += inputs * outputs;
        f32 += p->packed->scale ? outputs * (double)p->packed->outliers.count + inputs * (double)p->rows.count : inputs * outputs;
    }
    return all > 0 ? f32 / all : 0;
}

size_t aki__keep_widest(const struct aki__keep *k)
{
    size_t most = 0;

    for (size_t i = 0; i < k->product_count; i++)
        most = k->products[i].packed->n > most ? k->products[i].packed->n : most;
    return most;
}

void *aki__cpu_keep(struct aki__cpu_lowering *l, size_t count, size_t size)
{
    void *block = l->rc ? NULL : keep_block(l->keep, aki__alloc_aligned(count, size));

    if (block)
        memset(block, 0, count * size);
    else if (!l->rc)
        l->rc = aki__fail(l->err, AKI_E_NOMEM, "graph");
    return block;
}

bool aki__cpu_is_int8(const struct aki__cpu_lowering *l, aki__blk x)
{
    const struct aki__block *b = &l->g->blocks[x];

    return l->options.int8 && b->op == AKI_G_LINEAR && b->rows != AKI_ROWS_VECTORS && !l->keep->f32[x];
}

bool aki__cpu_is_bf16(const struct aki__cpu_lowering *l, aki__blk x)
{
    const struct aki__block *b = &l->g->blocks[x];

    return l->options.bf16 && b->op == AKI_G_LINEAR && b->rows != AKI_ROWS_VECTORS;
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
        aki__kernels()->pack_float(&a->pack, begin, end);
}

/* The type in which floats are kept: the file's, if it is the same for all of the linears. */
static enum aki__table_dtype kept_dtype(const struct aki__block *blocks, const aki__blk *linears, size_t count)
{
    const enum aki__table_dtype first = aki__table_of(blocks[linears[0]].weight).dtype;

    for (size_t i = 1; i < count; i++)
        if (aki__table_of(blocks[linears[i]].weight).dtype != first)
            return AKI_TABLE_F32;
    return first;
}

/* Packs the weights of several linears, one below the other, into w, whose n and k are set. */
static void pack(struct aki__cpu_lowering *l, struct aki__packed *w, const aki__blk *linears, size_t count, bool int8)
{
    const struct aki__block *blocks = l->g->blocks;
    const enum aki__table_dtype dtype = int8 ? AKI_TABLE_F32 : w->bf16 ? AKI_TABLE_BF16 : kept_dtype(blocks, linears, count);
    const size_t panels = aki__panels(w->n), size = int8 ? 1 : aki__weight_size(dtype), panel_size = aki__packed_size(AKI_PANEL, w->k, size);
    size_t steps = 0;
    struct pack_args a = { .pack = { .k = w->k, .block = aki__rotation_block(w->k), .dtype = dtype, .outliers = w->outliers },
                           .scratch_size = (w->k + (w->k + 3) / 4 + 15) & ~(size_t)15 };

    for (size_t i = 0; i < count; i++)
        steps = aki__panels((size_t)blocks[linears[i]].columns) > steps ? aki__panels((size_t)blocks[linears[i]].columns) : steps;
    w->data = a.pack.out = keep_block(l->keep, aki__alloc_aligned(panels, panel_size));
    w->dtype = dtype;
    if (int8) {
        w->scale = a.pack.scale = aki__cpu_keep(l, panels * AKI_PANEL, sizeof(float));
        w->sum = a.pack.sum = aki__cpu_keep(l, panels * AKI_PANEL, sizeof(int32_t));
        a.scratch = aki__alloc_aligned(steps * a.scratch_size, sizeof *a.scratch);
        if (w->outliers.count)
            w->side = a.pack.side = aki__cpu_keep(l, panels * AKI_PANEL * w->outliers.count, sizeof(float));
    }
    if (!w->data || l->rc || (int8 && !a.scratch)) {
        if (!l->rc)
            l->rc = aki__fail(l->err, AKI_E_NOMEM, "weights of %zu x %zu", w->n, w->k);
        aki__free_aligned(a.scratch);
        return;
    }
    memset((char *)a.pack.out + (panels - 1) * panel_size, 0, panel_size);
    for (size_t i = 0; i < count; i++) {
        const struct aki__block *b = &blocks[linears[i]];
        a.pack.w = aki__table_from(b->weight, (size_t)b->first * w->k);
        a.rows = (size_t)b->columns;
        aki__pool_each(l->options.pool, aki__panels(a.rows), pack_step, &a);
        aki__map_release(b->weight->map, b->weight->data, b->weight->size);
        a.pack.column += a.rows;
    }
    aki__free_aligned(a.scratch);
}

/* The same for a quantised folder: the weights are part of the file's map. */
static void view_stored(struct aki__cpu_lowering *l, struct aki__packed *w, struct aki__keep_product *kept, const char *name)
{
    struct aki__model_int8 stored;
    float *scale = aki__cpu_keep(l, aki__panels(w->n) * AKI_PANEL, sizeof *scale);
    int32_t *sum = aki__cpu_keep(l, aki__panels(w->n) * AKI_PANEL, sizeof *sum);

    if (l->rc)
        return;
    aki_status rc = aki__model_int8(l->g->model, &stored, l->err, name, w->k, w->n);
    if (!rc && (stored.column_count != w->outliers.count ||
                (stored.column_count && memcmp(stored.columns, w->outliers.columns, stored.column_count * sizeof(int32_t)))))
        rc = aki__fail(l->err, AKI_E_INVALID,
                       "%s: tensor %.100s.int8_columns is not that of the other products of these rows: quantise the model again",
                       l->g->model->path, name);
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

/* The weights of the outputs that are outliers, as f32. */
static void gather_exact(struct aki__cpu_lowering *l, struct aki__keep_product *kept, const aki__blk *linears, const size_t *at,
                         size_t count, size_t k)
{
    for (size_t i = 0; i < count; i++)
        kept->rows.count += l->outliers[linears[i]].rows.count;
    int32_t *rows = kept->rows.count ? aki__cpu_keep(l, kept->rows.count, sizeof *rows) : NULL;
    float *exact = rows ? aki__cpu_keep(l, kept->rows.count * k, sizeof *exact) : NULL;
    size_t r = 0;
    for (size_t i = 0; i < count && exact; i++) {
        const struct aki__block *b = &l->g->blocks[linears[i]];
        const struct aki__outliers *found = &l->outliers[linears[i]].rows;
        for (size_t c = 0; c < found->count; c++, r++) {
            size_t row = (size_t)found->columns[c];
            rows[r] = (int32_t)(at[i] + row);
            aki__tensor_read(exact + r * k, b->weight, ((size_t)b->first + row) * k, k);
        }
    }
    kept->rows.columns = rows;
    kept->exact = exact;
}

/* The biases of the linears, end to end. */
static void pack_biases(struct aki__cpu_lowering *l, struct aki__packed *w, const aki__blk *linears, const size_t *at,
                        size_t count)
{
    bool any = false;

    for (size_t i = 0; i < count; i++)
        any |= l->g->blocks[linears[i]].bias != NULL;
    float *bias = any ? aki__cpu_keep(l, aki__panels(w->n) * AKI_PANEL, sizeof *bias) : NULL;
    for (size_t i = 0; i < count && bias; i++) {
        const struct aki__block *b = &l->g->blocks[linears[i]];
        if (b->bias)
            aki__tensor_read(bias + at[i], b->bias, (size_t)b->first, (size_t)b->columns);
    }
    w->bias = bias;
}

/* ---------------------------------------------------------------- products -------------------------------------- */

/* Emits the outputs that are outliers again, as an f32 product. */
static int exact_product(struct aki__cpu_lowering *l, const struct aki__keep_product *kept, const struct aki__cpu_values *x)
{
    const struct aki__packed *w = kept->packed;
    size_t n = kept->rows.count;
    struct aki__product_plan *plan = aki__cpu_keep(l, 1, sizeof *plan);
    float *data = aki__cpu_keep(l, aki__packed_size(n, w->k, sizeof *data), 1);
    float *bias = w->bias ? aki__cpu_keep(l, aki__panels(n) * AKI_PANEL, sizeof *bias) : NULL;

    if (l->rc)
        return 0;
    aki__kernels()->pack_float(&(struct aki__pack){ .w = { .data = kept->exact, .dtype = AKI_TABLE_F32 }, .k = w->k, .out = data }, 0, n);
    for (size_t r = 0; r < n && bias; r++)
        bias[r] = w->bias[kept->rows.columns[r]];
    plan->w = (struct aki__packed){ .data = data, .bias = bias, .n = n, .k = w->k };
    struct aki__onnx_node *product = aki__cpu_node(l, "Product", plan);
    aki__cpu_input(product, x->f32);
    return aki__cpu_output(l, product, true);
}

/* Counts the columns of a product, and sets the first column of each linear. */
static bool measure(struct aki__cpu_lowering *l, struct aki__packed *w, size_t *at, const aki__blk *linears, size_t count)
{
    const struct aki__block *first = &l->g->blocks[linears[0]];
    const bool int8 = aki__cpu_is_int8(l, linears[0]);

    w->k = (size_t)l->g->blocks[first->in[0]].columns;
    w->bf16 = aki__cpu_is_bf16(l, linears[0]);
    if (int8)
        w->outliers = l->outliers[first->in[0]].read;
    for (size_t i = 0; i < count; i++) {
        const struct aki__block *b = &l->g->blocks[linears[i]];
        if (aki__cpu_is_int8(l, linears[i]) != int8) {      /* tensors of a quantised folder */
            l->rc = aki__fail(l->err, AKI_E_INVALID, "%s: of %s and %s only one has a tensor .weight: quantise the model again",
                              l->g->model->path, first->name, b->name);
            l->rc = aki__graph_fault(l->g, b->name, l->rc, l->err);
            return false;
        }
        at[i] = w->n;
        w->n += (size_t)b->columns;
    }
    if (int8 && w->k > AKI_INT8_MOST_INPUTS)
        l->rc = aki__fail(l->err, AKI_E_UNSUPPORTED, "%s: %zu inputs: sums of 32 bits hold %zu; use f32", first->name, w->k,
                          AKI_INT8_MOST_INPUTS);
    return !l->rc;
}

void aki__cpu_product(struct aki__cpu_lowering *l, const aki__blk *linears, size_t count)
{
    const struct aki__block *first = &l->g->blocks[linears[0]];
    const struct aki__cpu_values *x = &l->values[first->in[0]];
    const bool int8 = aki__cpu_is_int8(l, linears[0]);
    struct aki__product_plan *plan = aki__cpu_keep(l, 1, sizeof *plan);
    struct aki__packed *w = plan ? &plan->w : NULL;
    struct aki__keep_product kept = { .name = first->name, .dense = first->rows == AKI_ROWS_VECTORS, .packed = w };
    size_t at[3];

    for (size_t i = 0; i < count; i++)
        l->values[linears[i]].emitted = true;
    if (!w || !measure(l, w, at, linears, count))
        return;
    if (first->weight) {
        if (int8)
            gather_exact(l, &kept, linears, at, count, w->k);
        pack(l, w, linears, count, int8);
    } else {
        view_stored(l, w, &kept, first->name);
    }
    pack_biases(l, w, linears, at, count);
    if (!l->rc && !aki__grow((void **)&l->keep->products, &l->keep->product_capacity, l->keep->product_count + 1,
                             sizeof *l->keep->products))
        l->rc = aki__fail(l->err, AKI_E_NOMEM, "graph");
    if (!l->rc)
        l->keep->products[l->keep->product_count++] = kept;
    int exact = kept.rows.count ? exact_product(l, &kept, x) : 0;
    plan->rows = kept.rows;
    struct aki__onnx_node *n = aki__cpu_node(l, "Product", plan);
    aki__cpu_input(n, int8 ? x->u8 : x->f32);
    aki__cpu_input(n, int8 ? x->scale : 0);
    aki__cpu_input(n, w->outliers.count ? x->side : 0);
    aki__cpu_input(n, exact);
    int rows = aki__cpu_output(l, n, true);
    for (size_t i = 0; i < count; i++) {
        struct aki__cpu_values *p = &l->values[linears[i]];
        p->f32 = rows;
        p->at = at[i];
        p->part = count > 1;
    }
}
