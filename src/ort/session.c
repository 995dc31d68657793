/* Unit session: builds and runs ONNX Runtime sessions. See session.h. */
#include "ort/session.h"

#include "base/os.h"
#include "kernel/kernel.h"
#include "model/parts.h"
#include "ort/allocator.h"
#include "graph/cpu.h"
#include "ort/ops.h"
#include "ort/padded.h"
#include "ort/runtime.h"

#include <stdatomic.h>
#include <stdio.h>

/* A file that is mapped while the model is open: by the model (map), or by ONNX Runtime, beside which it is mapped here (own). */
struct watched { const char *name; const struct aki__map *map; struct aki__map own; };

struct aki__session {
    const struct aki__runtime *rt;
    struct aki__padded *padded;             /* on a device, or of an .onnx file: all that follows but the pool is unused */
    OrtSession      *session;
    struct aki__pool *pool;                 /* NULL: runs go one after the other */
    _Atomic bool     beside;                /* runs of a call go side by side at the moment */
    struct aki__keep keep;
    struct aki__onnx onnx;
    struct watched  *files;                 /* [file_count] */
    size_t           file_count, file_capacity;
    int              threads, nodes;
    long             process;               /* that opened it */
    uint64_t         weights_size;
};

static ONNXTensorElementDataType type_of(enum aki__onnx_type type) { return (ONNXTensorElementDataType)type; }

/* ---------------------------------------------------------------- graph ----------------------------------------- */

static OrtStatus *port_info(struct aki__session *s, const struct aki__onnx_port *p, OrtValueInfo **out)
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

static OrtStatus *add_node(struct aki__session *s, OrtGraph *graph, size_t i)
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

static OrtStatus *make_graph(struct aki__session *s, OrtGraph *graph)
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

static OrtStatus *make_options(struct aki__session *s, OrtCustomOpDomain *domain, OrtSessionOptions **out)
{
    const OrtApi *api = s->rt->api;

    OrtStatus *st = api->CreateSessionOptions(out);
    if (!st) st = api->AddCustomOpDomain(*out, domain);
    /* The dialect has fused what is to be fused: nothing is left to optimise. */
    if (!st) st = api->SetSessionGraphOptimizationLevel(*out, ORT_DISABLE_ALL);
    if (!st) st = api->DisableMemPattern(*out);
    if (!st) st = api->AddSessionConfigEntry(*out, "session.use_env_allocators", "1");
    /* The operators split their work themselves, between the threads of s->pool. */
    if (!st) st = api->SetIntraOpNumThreads(*out, 1);
    if (!st) st = api->SetInterOpNumThreads(*out, 1);
    return st;
}

static OrtStatus *make_session(struct aki__session *s, OrtCustomOpDomain *domain)
{
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
    if (!st) st = s->rt->editor->CreateModelEditorSessionFromArray(s->rt->env, base, base_size, options, &s->session);
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

/* ---------------------------------------------------------------- files ----------------------------------------- */

static struct watched *add_file(struct aki__session *s, const char *name, aki_error *err)
{
    if (!aki__grow((void **)&s->files, &s->file_capacity, s->file_count + 1, sizeof *s->files)) {
        aki__fail(err, AKI_E_NOMEM, "the list of weight files");
        return NULL;
    }
    s->files[s->file_count] = (struct watched){ .name = name };
    return &s->files[s->file_count++];
}

/* Embedding tables, and the weights of a quantised folder, are read where they lie in the model's files; so are the weights beside an .onnx
 * file, by ONNX Runtime. */
static aki_status note_files(struct aki__session *s, const struct aki__model *m, aki_error *err)
{
    const struct aki__map *last = NULL;
    struct watched *file;
    uint64_t size;

    for (size_t i = 0; m->weights && i < aki__weights_count(m->weights); i++) {
        const struct aki__tensor *t = aki__weights_at(m->weights, i);
        if (t->map == last)
            continue;                       /* a file's tensors follow each other */
        if (!(file = add_file(s, aki__tensor_file(t, &size), err)))
            return AKI_E_NOMEM;
        file->map = last = t->map;
    }
    for (size_t i = 0; m->onnx && i < m->file_count; i++) {
        const char *path = m->files[i].path, *end = strrchr(path, '.');
        if (end && (strcmp(end, ".json") == 0 || strcmp(end, ".onnx") == 0))
            continue;                       /* read when it was opened */
        if (!(file = add_file(s, aki__part_below(m->path, path), err)))
            return AKI_E_NOMEM;
        aki_status rc = aki__map_watch(&file->own, path, err);
        if (rc)
            return rc;
    }
    return AKI_OK;
}

/* A file that is being written into is noticed here, before a run reads behind its end. */
static aki_status check_files(const struct aki__session *s, aki_error *err)
{
    for (size_t i = 0; i < s->file_count; i++) {
        const struct aki__map *map = s->files[i].map ? s->files[i].map : &s->files[i].own;
        uint64_t size;
        if (!aki__map_is_whole(map, &size))
            return aki__fail(err, AKI_E_IO, "%s: has %llu bytes, and had %zu when the model was opened: somebody writes into it; replace it by "
                             "renaming, and open the model again", s->files[i].name, (unsigned long long)size, map->size);
    }
    return AKI_OK;
}

aki_status aki__session_open(struct aki__session **out, const struct aki__graph *g, const struct aki__session_options *options, aki_error *err)
{
    OrtCustomOpDomain *domain = NULL;
    struct aki__session *s = aki__zalloc(1, sizeof *s);
    aki_status rc;

    *out = NULL;
    if (!s)
        return aki__fail(err, AKI_E_NOMEM, "session");
    s->process = aki__process();
    rc = aki__runtime_get(&s->rt, options->threads, err);
    if (!rc) rc = aki__ops_domain(s->rt, &domain, err);
    if (!rc) rc = note_files(s, g->model, err);
    if (rc)
        goto done;
    s->threads = s->rt->threads;
    if (options->device || options->file) {
        if (options->file && aki__onnx_file_info(options->file)->light && s->threads > 1)
            rc = aki__pool_open(&s->pool, s->threads, err);
        if (!rc) rc = aki__padded_open(&s->padded, s->rt, g, options, err);
        goto done;
    }
    rc = aki__pool_open(&s->pool, s->threads, err);
    if (!rc && aki__pool_take(s->pool)) {
        rc = aki__cpu_build(&s->onnx, &s->keep, g, &(struct aki__cpu_options){ .int8 = options->int8, .pool = s->pool }, err);
        aki__pool_drop(s->pool);
    }
    if (rc)
        goto done;
    s->nodes = (int)s->onnx.node_count;
    s->weights_size = aki__keep_weights_size(&s->keep);
    rc = aki__ort_status(s->rt, make_session(s, domain), "session", err);
done:
    if (rc)
        aki__session_close(s);
    else
        *out = s;
    return rc;
}

void aki__session_close(struct aki__session *s)
{
    /* In a child after fork, the threads to wait for, ours and ONNX Runtime's, are the parent's: all stays as it is until the process ends. */
    if (!s || s->process != aki__process())
        return;
    aki__padded_close(s->padded);
    if (s->session)
        s->rt->api->ReleaseSession(s->session);     /* before the plans it uses */
    aki__onnx_free(&s->onnx);
    aki__keep_free(&s->keep);
    aki__pool_close(s->pool);
    for (size_t i = 0; i < s->file_count; i++)
        aki__map_close(&s->files[i].own);
    aki__free(s->files);
    aki__free(s);
}

void aki__session_info(const struct aki__session *s, struct aki__session_info *out)
{
    *out = (struct aki__session_info){ .threads = s->threads, .lanes = s->pool ? s->threads : 1, .nodes = s->nodes, .sessions = 1, .weights_size = s->weights_size, .widest = aki__keep_widest(&s->keep),
                                        .products = (int)s->keep.product_count, .products_f32 = (int)aki__keep_f32_products(&s->keep) };
    if (s->padded)
        aki__padded_info(s->padded, out);
    snprintf(out->runtime, sizeof out->runtime, "ONNX Runtime %s", s->rt->version);
}

/* ---------------------------------------------------------------- run ------------------------------------------- */

void aki__session_each(struct aki__session *s, size_t count, void (*body)(void *user, size_t i), void *user)
{
    bool taken = s->pool && count > 1 && aki__pool_take(s->pool), beside = taken && (!s->padded || aki__padded_spread(s->padded));

    if (beside)
        atomic_store(&s->beside, true);
    aki__pool_each(beside ? s->pool : NULL, count, body, user);
    if (beside)
        atomic_store(&s->beside, false);
    if (taken)
        aki__pool_drop(s->pool);
}

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

aki_status aki__session_run(struct aki__session *s, const struct aki__batch *b, float *out, size_t columns, aki_error *err)
{
    enum { NUMBERS = 9, TYPES = 10, INPUTS = 11 };
    static const char *const names[INPUTS] = { "ids", "positions", "starts", "rows", "query_starts", "pool_starts", "weight_from", "mode", "key_starts", "prefixes", "types" };
    const int32_t *const data[NUMBERS] = { b->ids, b->positions, b->starts, b->rows, b->query_starts, b->pool_starts, b->weight_from, &b->mode, b->key_starts };
    const int64_t address = (int64_t)(uintptr_t)b->prefixes;
    const size_t counts[NUMBERS] = { b->tokens, b->tokens, b->texts + 1, b->row_count, b->texts + 1, b->vectors + 1, b->vectors, 1, b->texts + 1 };
    const size_t input_count = (size_t)s->onnx.input_count;        /* with or without types */
    const char *const output_name = b->dense && s->onnx.output_count > 1 ? "vectors" : "hidden";
    const int64_t shape[2] = { (int64_t)b->vectors, (int64_t)columns };
    OrtValue *inputs[INPUTS] = { 0 }, *output = NULL;
    const OrtApi *api = s->rt->api;
    OrtStatus *st = NULL;

    aki_status rc = check_files(s, err);
    if (rc)
        return rc;
    if (s->padded)
        return aki__padded_run(s->padded, b, atomic_load(&s->beside), out, columns, err);
    for (int i = 0; i < NUMBERS && !st; i++)
        st = lend(s->rt, data[i], counts[i], &inputs[i]);
    if (!st)
        st = lend_address(s->rt, &address, &inputs[NUMBERS]);
    if (!st && input_count == INPUTS)       /* none: all are 0 */
        st = lend(s->rt, b->types ? b->types : b->ids, b->types ? b->tokens : 0, &inputs[TYPES]);
    if (!st)
        st = api->CreateTensorWithDataAsOrtValue(s->rt->cpu, out, b->vectors * columns * sizeof *out, shape, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &output);
    /* A lone run is split between the pool's threads. Beside another one it is not: then each has a thread of its own, with nobody to wait for. */
    bool lone = aki__pool_take(s->pool);
    aki__ops_use(lone ? s->pool : NULL);
    if (!st)
        st = api->Run(s->session, NULL, names, (const OrtValue *const *)inputs, input_count, &output_name, 1, &output);
    aki__ops_use(NULL);
    if (lone)
        aki__pool_drop(s->pool);
    for (int i = 0; i < INPUTS; i++)
        if (inputs[i])
            api->ReleaseValue(inputs[i]);
    if (output)
        api->ReleaseValue(output);
    return aki__ort_status(s->rt, st, "run", err);
}
