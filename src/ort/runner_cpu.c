/* Unit runner: the cpu dialect, through ONNX Runtime's Model Editor API. See runner.h. */
#include "graph/cpu.h"
#include "kernel/kernel.h"
#include "ort/ops.h"
#include "ort/runner.h"

#include <stdio.h>

struct cpu {
    struct aki__runner         runner;
    const struct aki__runtime *rt;
    OrtSession      *session;
    struct aki__pool *pool;                 /* the session's */
    struct aki__keep keep;
    struct aki__onnx onnx;
    size_t           hidden, vectors;       /* columns */
};

static ONNXTensorElementDataType type_of(enum aki__onnx_type type) { return (ONNXTensorElementDataType)type; }

/* ---------------------------------------------------------------- graph ----------------------------------------- */

static OrtStatus *port_info(struct cpu *s, const struct aki__onnx_port *p, OrtValueInfo **out)
{
    const OrtApi *api = s->rt->api;
    OrtTensorTypeAndShapeInfo *shape = NULL;
    OrtTypeInfo *type = NULL;

    OrtStatus *st = api->CreateTensorTypeAndShapeInfo(&shape);
    if (!st) st = api->SetTensorElementType(shape, type_of(p->type));
    if (!st) st = api->SetDimensions(shape, p->shape, (size_t)p->rank);
    if (!st) st = s->rt->editor->CreateTensorTypeInfo(shape, &type);
    if (!st) st = s->rt->editor->CreateValueInfo(p->name, type, out);
    if (type)
        api->ReleaseTypeInfo(type);
    if (shape)
        api->ReleaseTensorTypeAndShapeInfo(shape);
    return st;
}

static OrtStatus *add_node(struct cpu *s, OrtGraph *graph, size_t i)
{
    const struct aki__onnx_node *n = &s->onnx.nodes[i];
    const OrtApi *api = s->rt->api;
    const char *inputs[AKI_ONNX_MAX_IO], *outputs[AKI_ONNX_MAX_IO];
    char buffers[2 * AKI_ONNX_MAX_IO][16], name[24];
    OrtOpAttr *attributes[2] = { 0 };
    OrtNode *node = NULL;
    OrtStatus *st = NULL;
    int made = 0;

    for (int k = 0; k < n->input_count; k++)
        inputs[k] = aki__onnx_name(&s->onnx, n->inputs[k], buffers[k]);
    for (int k = 0; k < n->output_count; k++)
        outputs[k] = aki__onnx_name(&s->onnx, n->outputs[k], buffers[AKI_ONNX_MAX_IO + k]);
    for (; made < n->attribute_count && !st; made++)
        st = api->CreateOpAttr(n->attributes[made].name, &n->attributes[made].value, 1, ORT_OP_ATTR_INT, &attributes[made]);
    snprintf(name, sizeof name, "n%zu", i);
    if (!st)
        st = s->rt->editor->CreateNode(n->op, n->domain, name, inputs, (size_t)n->input_count, outputs, (size_t)n->output_count, attributes, (size_t)n->attribute_count, &node);
    if (st) {
        for (int k = 0; k < made; k++)
            if (attributes[k])
                api->ReleaseOpAttr(attributes[k]);
        return st;
    }
    st = s->rt->editor->AddNodeToGraph(graph, node);
    if (st)
        api->ReleaseNode(node);
    return st;
}

static OrtStatus *make_graph(struct cpu *s, OrtGraph *graph)
{
    const OrtModelEditorApi *editor = s->rt->editor;
    OrtValueInfo *inputs[AKI_ONNX_MAX_IO] = { 0 }, *outputs[2] = { 0 };
    OrtStatus *st = NULL;

    for (int i = 0; i < s->onnx.input_count && !st; i++)
        st = port_info(s, &s->onnx.inputs[i], &inputs[i]);
    for (int i = 0; i < s->onnx.output_count && !st; i++)
        st = port_info(s, &s->onnx.outputs[i], &outputs[i]);
    if (!st) st = editor->SetGraphInputs(graph, inputs, (size_t)s->onnx.input_count);
    if (!st) st = editor->SetGraphOutputs(graph, outputs, (size_t)s->onnx.output_count);
    for (int i = 0; i < AKI_ONNX_MAX_IO; i++)       /* what the graph took over is NULL now */
        if (inputs[i])
            s->rt->api->ReleaseValueInfo(inputs[i]);
    for (int i = 0; i < 2; i++)
        if (outputs[i])
            s->rt->api->ReleaseValueInfo(outputs[i]);
    for (size_t i = 0; i < s->onnx.node_count && !st; i++)
        st = add_node(s, graph, i);
    return st;
}

/* ---------------------------------------------------------------- session --------------------------------------- */

static OrtStatus *make_options(struct cpu *s, OrtCustomOpDomain *domain, OrtSessionOptions **out)
{
    const OrtApi *api = s->rt->api;

    OrtStatus *st = api->CreateSessionOptions(out);
    if (!st) st = api->AddCustomOpDomain(*out, domain);
    /* The dialect has fused what is to be fused: nothing is left to optimise. */
    if (!st) st = api->SetSessionGraphOptimizationLevel(*out, ORT_DISABLE_ALL);
    if (!st) st = api->DisableMemPattern(*out);
    if (!st) st = api->AddSessionConfigEntry(*out, "session.use_env_allocators", "1");
    /* The operators split their work themselves, between the threads of the session's pool. */
    if (!st) st = api->SetIntraOpNumThreads(*out, 1);
    if (!st) st = api->SetInterOpNumThreads(*out, 1);
    return st;
}

static OrtStatus *make_session(struct cpu *s, OrtCustomOpDomain *domain)
{
    static struct aki__lock registering;
    const OrtApi *api = s->rt->api;
    OrtSessionOptions *options = NULL;
    OrtGraph *graph = NULL;
    OrtModel *model = NULL;
    const char *domains[] = { "", "aki" };
    const int versions[] = { 21, 1 };
    size_t base_size;
    const void *base = aki__ops_base_model(&base_size);

    /* CreateSessionFromModel ignores custom operators' domains: start from a one-node model that imports them, and replace its graph. */
    OrtStatus *st = make_options(s, domain, &options);
    /* It registers the domain for the whole process, where it is not known yet, in two steps: of two threads one would fail. */
    aki__lock_acquire(&registering);
    if (!st) st = s->rt->editor->CreateModelEditorSessionFromArray(s->rt->env, base, base_size, options, &s->session);
    aki__lock_release(&registering);
    if (!st) st = s->rt->editor->CreateGraph(&graph);
    if (!st) st = make_graph(s, graph);
    if (!st) st = s->rt->editor->CreateModel(domains, versions, 2, &model);
    if (!st) st = s->rt->editor->AddGraphToModel(model, graph);
    if (!st) graph = NULL;
    if (!st) st = s->rt->editor->ApplyModelToModelEditorSession(s->session, model);
    if (!st) st = s->rt->editor->FinalizeModelEditorSession(s->session, options, NULL);
    if (model)
        api->ReleaseModel(model);
    if (graph)
        api->ReleaseGraph(graph);
    if (options)
        api->ReleaseSessionOptions(options);
    return st;
}

/* ---------------------------------------------------------------- run ------------------------------------------- */

static OrtStatus *lend(const struct aki__runtime *rt, const int32_t *data, size_t count, OrtValue **out)
{
    const int64_t shape = (int64_t)count;

    return rt->api->CreateTensorWithDataAsOrtValue(rt->cpu, (void *)(uintptr_t)data, count * sizeof *data, &shape, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, out);
}

/* The prefixes travel as the address of their array: the operators are in this process. */
static OrtStatus *lend_address(const struct aki__runtime *rt, const int64_t *address, OrtValue **out)
{
    const int64_t shape = 1;

    return rt->api->CreateTensorWithDataAsOrtValue(rt->cpu, (void *)(uintptr_t)address, sizeof *address, &shape, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, out);
}

static aki_status run(struct aki__runner *r, const struct aki__batch *b, bool beside, float *out, size_t columns, aki_error *err)
{
    enum { NUMBERS = 9, TYPES = 10, INPUTS = 11 };
    static const char *const names[INPUTS] = { "ids", "positions", "starts", "rows", "query_starts", "pool_starts", "weight_from", "mode", "key_starts", "prefixes", "types" };
    const struct cpu *s = (const struct cpu *)r;
    const int32_t *const data[NUMBERS] = { b->ids, b->positions, b->starts, b->rows, b->query_starts, b->pool_starts, b->weight_from, &b->mode, b->key_starts };
    const int64_t address = (int64_t)(uintptr_t)b->prefixes;
    const size_t counts[NUMBERS] = { b->tokens, b->tokens, b->texts + 1, b->row_count, b->texts + 1, b->vectors + 1, b->vectors, 1, b->texts + 1 };
    const size_t input_count = (size_t)s->onnx.input_count;        /* with or without types */
    const char *const output_name = b->dense && s->onnx.output_count > 1 ? "vectors" : "hidden";
    const int64_t shape[2] = { (int64_t)b->vectors, (int64_t)columns };
    OrtValue *inputs[INPUTS] = { 0 }, *output = NULL;
    const OrtApi *api = s->rt->api;
    OrtStatus *st = NULL;

    (void)beside;                           /* then the pool is taken */
    for (int i = 0; i < NUMBERS && !st; i++)
        st = lend(s->rt, data[i], counts[i], &inputs[i]);
    if (!st)
        st = lend_address(s->rt, &address, &inputs[NUMBERS]);
    if (!st && input_count == INPUTS)       /* none: all are 0 */
        st = lend(s->rt, b->types ? b->types : b->ids, b->types ? b->tokens : 0, &inputs[TYPES]);
    if (!st)
        st = api->CreateTensorWithDataAsOrtValue(s->rt->cpu, out, b->vectors * columns * sizeof *out, shape, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &output);
    /* A lone run is split between the pool's threads. Beside another one it is not: then each has a thread of its own, with nobody to wait for. */
    bool lone = aki__pool_acquire(s->pool);
    aki__ops_use(lone ? s->pool : NULL);
    if (!st)
        st = api->Run(s->session, NULL, names, (const OrtValue *const *)inputs, input_count, &output_name, 1, &output);
    aki__ops_use(NULL);
    if (lone)
        aki__pool_release(s->pool);
    for (int i = 0; i < INPUTS; i++)
        if (inputs[i])
            api->ReleaseValue(inputs[i]);
    if (output)
        api->ReleaseValue(output);
    return aki__ort_status(s->rt, st, "run", err);
}

/* ---------------------------------------------------------------- life ------------------------------------------ */

static bool spread(struct aki__runner *r)
{
    (void)r;
    return true;
}

static void info(struct aki__runner *r, struct aki__session_info *out)
{
    const struct cpu *s = (const struct cpu *)r;

    out->hidden = s->hidden;
    out->vectors = s->vectors;
    out->nodes = (int)s->onnx.node_count;
    out->weights_size = aki__keep_weights_size(&s->keep);
    out->weights_16bit_size = aki__keep_16bit_size(&s->keep);
    out->widest = aki__keep_widest(&s->keep);
    out->products = (int)s->keep.product_count;
    out->products_f32 = (int)aki__keep_f32_products(&s->keep);
    out->f32_share = aki__keep_f32_share(&s->keep);
}

static void close_runner(struct aki__runner *r)
{
    struct cpu *s = (struct cpu *)r;

    if (s->session)
        s->rt->api->ReleaseSession(s->session);     /* before the plans it uses */
    aki__onnx_free(&s->onnx);
    aki__keep_free(&s->keep);
    aki__free(s);
}

/* Columns of a result; 0: the graph has none. */
static size_t columns_of(const struct aki__graph *g, aki__blk result) { return result < 0 ? 0 : (size_t)g->blocks[result].columns; }

aki_status aki__runner_open_cpu(struct aki__runner **out, const struct aki__runtime *rt, const struct aki__graph *g, const struct aki__session_options *options, struct aki__pool *pool, aki_error *err)
{
    static const struct aki__runner_kind kind = { .info = info, .run = run, .spread = spread, .close = close_runner };
    OrtCustomOpDomain *domain = NULL;
    struct cpu *s = aki__zalloc(1, sizeof *s);

    *out = NULL;
    if (!s)
        return aki__fail(err, AKI_E_NOMEM, "session");
    s->runner.kind = &kind;
    s->rt = rt;
    s->pool = pool;
    s->hidden = columns_of(g, aki__graph_result(g, AKI_RESULT_HIDDEN));
    s->vectors = columns_of(g, aki__graph_result(g, AKI_RESULT_VECTORS));
    if (!s->vectors)
        s->vectors = s->hidden;
    aki_status rc = aki__ops_domain(rt, &domain, err);
    const bool taken = !rc && aki__pool_acquire(pool);
    if (!rc) rc = aki__cpu_build(&s->onnx, &s->keep, g, &(struct aki__cpu_options){ .int8 = options->int8, .choice = options->choice, .bf16 = options->bf16, .pool = taken ? pool : NULL }, err);
    if (taken)
        aki__pool_release(pool);
    if (!rc) rc = aki__ort_status(rt, make_session(s, domain), "session", err);
    if (rc)
        close_runner(&s->runner);
    else
        *out = &s->runner;
    return rc;
}
