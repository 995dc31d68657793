/* Unit ops: custom operators of domain "aki" over kernel/. See ops.h. */
#include "ort/ops.h"

#include "base/os.h"
#include "ort/allocator.h"
#include "ort/session.h"

/* ---------------------------------------------------------------- frame ----------------------------------------- */

/* An operator is a row of the table at the end of this file. Its signature is spelled in letters: f f32, u u8, i i32, l i64, ? any type;
 * upper case: may be left out; ! any type, may be left out. */
struct call;

struct op {
    OrtCustomOp base;
    const char *name, *inputs, *outputs;
    OrtStatus *(*compute)(struct call *c);
};

struct kernel {
    const struct op   *op;
    const OrtApi      *api;
    const void        *plan;
    const struct aki__kernels *k;
};

/* One Compute. The first error sticks in st. */
struct call {
    const struct kernel *kernel;
    const OrtApi        *api;
    OrtKernelContext    *context;
    OrtStatus           *st;
};

struct in {
    const void *data;           /* NULL: left out */
    ONNXTensorElementDataType type;
    size_t rows, columns;       /* of a [rows] or [rows, columns] tensor */
};

static struct in input(struct call *c, size_t index)
{
    struct in t = { 0 };
    const OrtValue *value = NULL;
    OrtTensorTypeAndShapeInfo *info = NULL;
    int64_t dims[2] = { 0, 1 };
    size_t rank = 0;

    if (c->st || (c->st = c->api->KernelContext_GetInput(c->context, index, &value)) || !value)
        return t;
    void *data = NULL;
    if ((c->st = c->api->GetTensorMutableData((OrtValue *)(uintptr_t)value, &data)) || (c->st = c->api->GetTensorTypeAndShape(value, &info)))
        return t;
    if (!(c->st = c->api->GetTensorElementType(info, &t.type)) && !(c->st = c->api->GetDimensionsCount(info, &rank)) && rank <= 2)
        c->st = c->api->GetDimensions(info, dims, rank);
    c->api->ReleaseTensorTypeAndShapeInfo(info);
    t.data = data;
    t.rows = (size_t)dims[0];
    t.columns = (size_t)dims[1];
    return t;
}

/* columns 0: a vector. NULL: the node leaves this output out, or an error. */
static void *output(struct call *c, size_t index, size_t rows, size_t columns)
{
    const int64_t dims[2] = { (int64_t)rows, (int64_t)columns };
    OrtValue *value = NULL;
    void *data = NULL;

    if (c->st || (c->st = c->api->KernelContext_GetOutput(c->context, index, dims, columns ? 2 : 1, &value)) || !value)
        return NULL;
    c->st = c->api->GetTensorMutableData(value, &data);
    /* The runtime passes on what the allocator says without a look. */
    if (!c->st && !data && rows)
        c->st = c->api->CreateStatus(ORT_FAIL, "Failed to allocate memory for an output");
    return c->st ? NULL : data;
}

/* f32, u8, scale and side outputs from `first` on, all of which may be left out. */
static struct aki__out outputs(struct call *c, size_t first, size_t rows, size_t columns, size_t block, struct aki__outliers outliers)
{
    return (struct aki__out){ .f32 = output(c, first, rows, columns), .u8 = output(c, first + 1, rows, columns),
                              .row_scale = output(c, first + 2, rows, 0), .stride = columns, .block = block, .outliers = outliers,
                              .side = outliers.count ? output(c, first + 3, rows, outliers.count) : NULL };
}

/* Columns from `at` on. */
static struct aki__rows rows_of(const struct in *x, size_t at)
{
    return (struct aki__rows){ .f32 = x->data ? (const float *)x->data + at : NULL, .stride = x->columns };
}

static void *borrow(struct call *c, size_t bytes)
{
    /* 64 bytes more, so that every thread's part can start on a cache line. */
    void *block = c->st ? NULL : aki__allocator_take(bytes + 64);

    if (!block && !c->st)
        c->st = c->api->CreateStatus(ORT_FAIL, "Failed to allocate memory for scratch");
    return block;
}

static inline char *line_up(void *block) { return (char *)(((uintptr_t)block + 63) & ~(uintptr_t)63); }

/* `count` units in chunks; every chunk has scratch of its own. */
struct split {
    void (*body)(const void *args, const struct aki__kernels *k, size_t begin, size_t end, void *scratch);
    const void *args;
    const struct aki__kernels *k;
    size_t count, chunks, scratch_size;
    char  *scratch;
};

static _Thread_local struct aki__pool *threads;

void aki__ops_use(struct aki__pool *p) { threads = p; }

/* The larger chunks are first: whoever takes the last one keeps the others waiting, and two threads that take turns get as much of each size. */
static size_t chunk_begin(const struct split *s, size_t i)
{
    size_t larger = s->count % s->chunks;

    return s->count / s->chunks * i + (i < larger ? i : larger);
}

static void run_chunk(void *user, size_t i)
{
    struct split *s = user;

    s->body(s->args, s->k, chunk_begin(s, i), chunk_begin(s, i + 1), s->scratch + i * s->scratch_size);
}

/* Splits the units, each of about `cost` elements, between the pool's threads. */
static void spread(struct call *c, struct split s, size_t cost, size_t scratch_size)
{
    /* Below this much work the other threads' coming is not worth waiting for. */
    enum { WORTH_A_THREAD = 8192 };
    size_t most = s.count * (cost ? cost : 1) / WORTH_A_THREAD, wanted = threads ? (size_t)aki__pool_threads(threads) * 4 : 1;

    if (c->st || !s.count)
        return;
    s.chunks = wanted <= 4 || most < 2 ? 1 : most < wanted ? most : wanted;
    if (s.chunks > s.count)
        s.chunks = s.count;
    s.scratch_size = (scratch_size + 63) & ~(size_t)63;
    s.k = c->kernel->k;
    void *block = s.scratch_size ? borrow(c, s.chunks * s.scratch_size) : NULL;
    if (c->st)
        return;
    s.scratch = block ? line_up(block) : NULL;
    aki__pool_each(threads, s.chunks, run_chunk, &s);
    aki__allocator_give(block);
}

/* ---------------------------------------------------------------- operators ------------------------------------- */

static void embed_body(const void *a, const struct aki__kernels *k, size_t begin, size_t end, void *scratch)
{
    (void)scratch;
    k->embed(a, begin, end);
}

static OrtStatus *embed(struct call *c)
{
    const struct aki__embed_plan *p = c->kernel->plan;
    struct in ids = input(c, 0), positions = input(c, 1), types = input(c, 2);
    struct aki__embed a = { .ids = ids.data, .position_ids = positions.data, .type_ids = types.rows ? types.data : NULL, .words = p->words, .positions = p->positions,
                            .types = p->types, .hidden = p->hidden, .scale = p->scale };

    a.out = output(c, 0, ids.rows, p->hidden);
    spread(c, (struct split){ .body = embed_body, .args = &a, .count = ids.rows }, p->hidden, 0);
    return c->st;
}

static void product_body(const void *a, const struct aki__kernels *k, size_t begin, size_t end, void *scratch)
{
    k->product(a, begin, end, scratch);
}

static OrtStatus *product(struct call *c)
{
    const struct aki__product_plan *p = c->kernel->plan;
    const struct aki__packed *w = &p->w;
    struct in x = input(c, 0), scale = input(c, 1), side = input(c, 2), exact = input(c, 3);
    struct aki__product a = { .x = x.data, .x_scale = scale.data, .x_side = side.data, .w = w, .rows = x.rows };
    size_t rows = x.rows < AKI_PRODUCT_ROWS ? x.rows : AKI_PRODUCT_ROWS;

    a.out = output(c, 0, x.rows, w->n);
    spread(c, (struct split){ .body = product_body, .args = &a, .count = aki__product_count(&a) }, rows * AKI_PANEL * w->k / (w->scale ? 64 : 16),
           c->kernel->k->product_scratch_size(&a));
    for (size_t t = 0; t < x.rows && exact.data && !c->st; t++)
        for (size_t r = 0; r < p->rows.count; r++)
            a.out[t * w->n + (size_t)p->rows.columns[r]] = ((const float *)exact.data)[t * p->rows.count + r];
    return c->st;
}

static void norm_body(const void *a, const struct aki__kernels *k, size_t begin, size_t end, void *scratch)
{
    k->norm(a, begin, end, scratch);
}

static OrtStatus *norm(struct call *c)
{
    const struct aki__norm_plan *p = c->kernel->plan;
    struct in x = input(c, 0), add = input(c, 1);
    size_t rows = x.data ? x.rows : add.rows;
    struct aki__norm a = { .x = x.data, .add = rows_of(&add, p->add), .gamma = p->gamma, .beta = p->beta, .hidden = p->hidden, .eps = p->eps, .rms = p->rms };

    a.sum = output(c, 0, rows, p->hidden);
    a.out = outputs(c, 1, rows, p->hidden, p->block, p->outliers);
    spread(c, (struct split){ .body = norm_body, .args = &a, .count = rows }, p->hidden * 2, p->hidden * sizeof(float));
    return c->st;
}

static void act_body(const void *a, const struct aki__kernels *k, size_t begin, size_t end, void *scratch)
{
    k->act(a, begin, end, scratch);
}

static OrtStatus *act(struct call *c)
{
    const struct aki__act_plan *p = c->kernel->plan;
    struct in x = input(c, 0), gate = input(c, 1);
    struct aki__act a = { .x = rows_of(&x, p->x), .columns = p->columns, .act = p->act };

    if (p->gated)
        a.gate = rows_of(gate.data ? &gate : &x, p->gate);
    a.out = outputs(c, 0, x.rows, p->columns, p->block, p->outliers);
    spread(c, (struct split){ .body = act_body, .args = &a, .count = x.rows }, p->columns * 4, p->columns * sizeof(float));
    return c->st;
}

struct add_args { struct aki__rows x, y; float *out; size_t columns; };

static void add_body(const void *args, const struct aki__kernels *k, size_t begin, size_t end, void *scratch)
{
    const struct add_args *a = args;
    (void)k;
    (void)scratch;

    for (size_t t = begin; t < end; t++)
        for (size_t i = 0; i < a->columns; i++)
            a->out[t * a->columns + i] = a->x.f32[t * a->x.stride + i] + a->y.f32[t * a->y.stride + i];
}

static OrtStatus *add(struct call *c)
{
    const struct aki__add_plan *p = c->kernel->plan;
    struct in x = input(c, 0), y = input(c, 1);
    struct add_args a = { .x = rows_of(&x, p->x), .y = rows_of(&y, p->y), .columns = p->columns };

    a.out = output(c, 0, x.rows, p->columns);
    spread(c, (struct split){ .body = add_body, .args = &a, .count = x.rows }, p->columns, 0);
    return c->st;
}

static void rope_body(const void *a, const struct aki__kernels *k, size_t begin, size_t end, void *scratch)
{
    (void)scratch;
    k->rope(a, begin, end);
}

static OrtStatus *rope(struct call *c)
{
    const struct aki__rope_plan *p = c->kernel->plan;
    struct in positions = input(c, 0);
    struct aki__rope a = { .positions = positions.data, .inverse = p->inverse, .head_dim = p->head_dim };

    a.out = output(c, 0, positions.rows, p->head_dim);
    spread(c, (struct split){ .body = rope_body, .args = &a, .count = positions.rows }, p->head_dim * 16, 0);
    return c->st;
}

struct quantise_args { struct aki__rows x; struct aki__out out; size_t columns; };

static void quantise_body(const void *args, const struct aki__kernels *k, size_t begin, size_t end, void *scratch)
{
    const struct quantise_args *a = args;

    k->quantise_rows(&a->x, a->columns, &a->out, begin, end, scratch);
}

static void prepare_body(const void *a, const struct aki__kernels *k, size_t begin, size_t end, void *scratch)
{
    k->attention_prepare(a, begin, end, scratch);
}

static void attend_body(const void *a, const struct aki__kernels *k, size_t begin, size_t end, void *scratch)
{
    k->attention_run(a, begin, end, scratch);
}

/* Keys and values that stand before the texts' own, out of the prefixes they reuse; NULL: none, or no memory. */
static struct aki__kept *kept_of(struct call *c, const struct aki__prefix_use *uses, size_t texts, size_t layer)
{
    bool any = false;

    for (size_t i = 0; i < texts; i++)
        any |= uses[i].reuse != NULL;
    struct aki__kept *kept = any ? borrow(c, texts * sizeof *kept) : NULL;
    for (size_t i = 0; i < texts && kept; i++) {
        const struct aki__prefix *p = uses[i].reuse;
        size_t size = p ? p->tokens * p->columns : 0;
        kept[i] = p ? (struct aki__kept){ .k = p->data + 2 * layer * size, .v = p->data + (2 * layer + 1) * size } : (struct aki__kept){ 0 };
    }
    return kept;
}

static void keep_prefixes(const struct call *c, const struct aki__attention *a, const struct aki__prefix_use *uses, size_t layer)
{
    for (size_t i = 0; i < a->texts; i++) {
        const struct aki__prefix *p = uses[i].keep;
        size_t size = p ? p->tokens * p->columns : 0;
        if (p)
            c->kernel->k->attention_keep(a, i, 0, p->tokens, p->data + 2 * layer * size, p->data + (2 * layer + 1) * size);
    }
}

static OrtStatus *attention(struct call *c)
{
    const struct aki__attention_plan *p = c->kernel->plan;
    struct in q = input(c, 0), k = input(c, 1), starts = input(c, 2), query_starts = input(c, 3), rows = input(c, 4), cos_sin = input(c, 5);
    struct in key_starts = input(c, 6), prefixes = input(c, 7), values = input(c, 8);
    const struct aki__prefix_use *uses = prefixes.data ? (const void *)(uintptr_t)*(const int64_t *)prefixes.data : NULL;
    struct aki__attention a = { .q = rows_of(&q, p->q), .k = rows_of(&k, p->k), .v = rows_of(values.data ? &values : &k, p->v),
        .starts = starts.data, .query_starts = rows.data ? query_starts.data : starts.data, .query_rows = rows.data, .texts = starts.rows - 1,
        .tokens = k.rows, .queries = q.rows, .heads = p->heads, .kv_heads = p->kv_heads, .head_dim = p->head_dim, .causal = p->causal,
        .window = p->window, .scale = p->scale, .bias = p->bias, .reach = p->reach, .q_norm = p->q_norm, .k_norm = p->k_norm,
        .norm_eps = p->norm_eps, .rope = cos_sin.data, .bf16 = p->bf16 && c->kernel->k->bf16 };
    struct aki__kept *kept = uses ? kept_of(c, uses, a.texts, p->layer) : NULL;
    if (kept) {
        a.kept = kept;
        a.key_starts = key_starts.data;
    }
    size_t columns = p->heads * p->head_dim;
    struct aki__out out = outputs(c, 0, q.rows, columns, p->block, p->outliers);
    void *work = borrow(c, aki__attention_work_size(&a) * sizeof(float)), *own = out.f32 ? NULL : borrow(c, q.rows * columns * sizeof(float));

    if (!c->st) {
        a.work = (float *)line_up(work);
        a.out = (struct aki__out){ .f32 = own ? (float *)line_up(own) : out.f32, .stride = columns };
        size_t units = aki__attention_prepare_count(&a), tasks = aki__attention_task_count(&a);
        if (units)
            spread(c, (struct split){ .body = prepare_body, .args = &a, .count = units }, (k.rows * p->kv_heads * 2 + q.rows * p->heads) * p->head_dim / units,
                   aki__attention_scratch_size(&a) * sizeof(float));
        if (uses && !c->st)
            keep_prefixes(c, &a, uses, p->layer);
        if (tasks)
            spread(c, (struct split){ .body = attend_body, .args = &a, .count = tasks }, q.rows * columns * 16 / tasks, aki__attention_scratch_size(&a) * sizeof(float));
        /* A row's scale needs all its heads: only now is it complete. */
        struct quantise_args quantise = { .x = { .f32 = a.out.f32, .stride = columns }, .out = out, .columns = columns };
        quantise.out.f32 = NULL;
        if (out.u8)
            spread(c, (struct split){ .body = quantise_body, .args = &quantise, .count = q.rows }, columns * 2, columns * sizeof(float));
    }
    aki__allocator_give(kept);
    aki__allocator_give(own);
    aki__allocator_give(work);
    return c->st;
}

/* Copies whole rows of `size` bytes. */
static void gather(char *out, const char *x, const int32_t *rows, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++)
        memcpy(out + i * size, x + (size_t)rows[i] * size, size);
}

static OrtStatus *rows_f32(struct call *c)
{
    struct in x = input(c, 0), rows = input(c, 1);
    void *out = output(c, 0, rows.rows, x.columns);

    if (!c->st)
        gather(out, x.data, rows.data, rows.rows, x.columns * sizeof(float));
    return c->st;
}

static OrtStatus *rows_u8(struct call *c)
{
    struct in x = input(c, 0), scale = input(c, 1), rows = input(c, 2), side = input(c, 3);
    void *out = output(c, 0, rows.rows, x.columns), *out_scale = output(c, 1, rows.rows, 0), *out_side = side.data ? output(c, 2, rows.rows, side.columns) : NULL;

    if (!c->st) {
        gather(out, x.data, rows.data, rows.rows, x.columns);
        gather(out_scale, scale.data, rows.data, rows.rows, sizeof(float));
        if (out_side)
            gather(out_side, side.data, rows.data, rows.rows, side.columns * sizeof(float));
    }
    return c->st;
}

static void pool_body(const void *a, const struct aki__kernels *k, size_t begin, size_t end, void *scratch)
{
    k->pool(a, begin, end, scratch);
}

static OrtStatus *pool(struct call *c)
{
    const struct aki__pool_plan *p = c->kernel->plan;
    struct in x = input(c, 0), starts = input(c, 1), from = input(c, 2), mode = input(c, 3);
    struct aki__pooling a = { .x = x.data, .starts = starts.data, .weight_from = from.data, .hidden = p->hidden, .act = p->act };
    size_t count = starts.rows ? starts.rows - 1 : 0;

    a.out = output(c, 0, count, p->hidden);
    if (c->st)
        return c->st;
    a.mode = (enum aki__pool_mode)*(const int32_t *)mode.data;
    spread(c, (struct split){ .body = pool_body, .args = &a, .count = count }, count ? x.rows * p->hidden / count : 0, p->hidden * (sizeof(double) + (p->act ? sizeof(float) : 0)));
    return c->st;
}

/* ---------------------------------------------------------------- what ONNX Runtime asks ------------------------ */

static const char *get_name(const OrtCustomOp *op) { return ((const struct op *)op)->name; }

static const char *get_provider(const OrtCustomOp *op)
{
    (void)op;
    return NULL;
}

static ONNXTensorElementDataType type_of(char letter)
{
    switch (letter | 0x20) {
    case 'f': return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    case 'u': return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
    case 'i': return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
    case 'l': return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    default:  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    }
}

static OrtCustomOpInputOutputCharacteristic characteristic_of(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? INPUT_OUTPUT_OPTIONAL : letter == '!' ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED;
}

static ONNXTensorElementDataType get_input_type(const OrtCustomOp *op, size_t i) { return type_of(((const struct op *)op)->inputs[i]); }
static size_t get_input_count(const OrtCustomOp *op) { return strlen(((const struct op *)op)->inputs); }
static ONNXTensorElementDataType get_output_type(const OrtCustomOp *op, size_t i) { return type_of(((const struct op *)op)->outputs[i]); }
static size_t get_output_count(const OrtCustomOp *op) { return strlen(((const struct op *)op)->outputs); }
static OrtCustomOpInputOutputCharacteristic get_input_characteristic(const OrtCustomOp *op, size_t i) { return characteristic_of(((const struct op *)op)->inputs[i]); }
static OrtCustomOpInputOutputCharacteristic get_output_characteristic(const OrtCustomOp *op, size_t i) { return characteristic_of(((const struct op *)op)->outputs[i]); }

static OrtMemType get_memory_type(const OrtCustomOp *op, size_t i)
{
    (void)op;
    (void)i;
    return OrtMemTypeDefault;
}

static int get_start_version(const OrtCustomOp *op)
{
    (void)op;
    return 1;
}

static int get_end_version(const OrtCustomOp *op)
{
    (void)op;
    return INT32_MAX;
}

static OrtStatus *create_kernel(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info, void **out)
{
    int64_t plan = 0;
    struct kernel *kernel = aki__zalloc(1, sizeof *kernel);

    if (!kernel)
        return api->CreateStatus(ORT_FAIL, "Failed to allocate memory for a kernel");
    OrtStatus *st = api->KernelInfoGetAttribute_int64(info, "plan", &plan);
    if (st) {
        aki__free(kernel);
        return st;
    }
    kernel->op = (const struct op *)op;
    kernel->api = api;
    kernel->plan = (const void *)(uintptr_t)plan;
    kernel->k = aki__kernels();
    *out = kernel;
    return NULL;
}

static OrtStatus *compute(void *kernel, OrtKernelContext *context)
{
    struct call c = { .kernel = kernel, .api = ((struct kernel *)kernel)->api, .context = context };

    return c.kernel->op->compute(&c);
}

static void destroy_kernel(void *kernel)
{
    aki__free(kernel);
}

static struct op ops[] = {
    { .name = "Embed",     .inputs = "iiI",      .outputs = "f",     .compute = embed },
    { .name = "Product",   .inputs = "?FFF",     .outputs = "f",     .compute = product },
    { .name = "Norm",      .inputs = "FF",       .outputs = "FFUFF", .compute = norm },
    { .name = "Act",       .inputs = "fF",       .outputs = "FUFF",  .compute = act },
    { .name = "Add",       .inputs = "ff",       .outputs = "f",     .compute = add },
    { .name = "Rope",      .inputs = "i",        .outputs = "f",     .compute = rope },
    { .name = "Attention", .inputs = "ffiiIFILF", .outputs = "FUFF", .compute = attention },
    { .name = "Rows",      .inputs = "fi",       .outputs = "f",     .compute = rows_f32 },
    { .name = "Rows8",     .inputs = "ufiF",     .outputs = "ufF",   .compute = rows_u8 },
    { .name = "Pool",      .inputs = "fiii",     .outputs = "f",     .compute = pool },
};

aki_status aki__ops_domain(const struct aki__runtime *rt, OrtCustomOpDomain **out, aki_error *err)
{
    static struct aki__lock lock;           /* guards domain and the table */
    static OrtCustomOpDomain *domain;
    OrtStatus *st = NULL;

    aki__lock_acquire(&lock);
    if (!domain) {
        OrtCustomOpDomain *made = NULL;
        st = rt->api->CreateCustomOpDomain("aki", &made);
        for (size_t i = 0; i < sizeof ops / sizeof *ops && !st; i++) {
            ops[i].base = (OrtCustomOp){ .version = AKI_ORT_API, .GetName = get_name, .GetExecutionProviderType = get_provider,
                .GetInputType = get_input_type, .GetInputTypeCount = get_input_count, .GetOutputType = get_output_type, .GetOutputTypeCount = get_output_count,
                .GetInputCharacteristic = get_input_characteristic, .GetOutputCharacteristic = get_output_characteristic,
                .GetInputMemoryType = get_memory_type, .GetStartVersion = get_start_version, .GetEndVersion = get_end_version,
                .CreateKernelV2 = create_kernel, .KernelComputeV2 = compute, .KernelDestroy = destroy_kernel };
            st = rt->api->CustomOpDomain_Add(made, &ops[i].base);
        }
        if (st && made)
            rt->api->ReleaseCustomOpDomain(made);
        else
            domain = made;
    }
    *out = domain;
    aki__lock_release(&lock);
    return aki__ort_status(rt, st, "custom operators", err);
}

const void *aki__ops_base_model(size_t *size)
{
    /* ModelProto: ir_version 10; graph "b" of one unused Constant "u" and the output "u"; opset_import '' 21 and 'aki' 1. */
    static const char bytes[] =
        "\x08\x0A"
        "\x3A\x36"
            "\x0A\x24" "\x12\x01" "u" "\x22\x08" "Constant" "\x2A\x15" "\x0A\x0B" "value_float" "\x15\0\0\0\0" "\xA0\x01\x01"
            "\x12\x01" "b"
            "\x62\x0B" "\x0A\x01" "u" "\x12\x06" "\x0A\x04" "\x08\x01" "\x12\x00"
        "\x42\x04" "\x0A\x00" "\x10\x15"
        "\x42\x07" "\x0A\x03" "aki" "\x10\x01";

    *size = sizeof bytes - 1;
    return bytes;
}
