/* Unit onnx_file: exported .onnx files in ONNX Runtime. See onnx_file.h. What is known of a file, ONNX Runtime says, but for onnx_read.h. */
#include "ort/onnx_file.h"

#include "base/os.h"
#include "onnx/look.h"
#include "ort/padded.h"
#include "ort/runtime.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MOST_PORTS = 1024,
    MOST_RANK = 8,
    MOST_SIZE = 1 << 24,
    LIGHT = 64 << 20            /* parameters up to which a second copy of them is affordable */
};

enum feed { FEED_IDS, FEED_MASK, FEED_TYPES, FEED_POSITIONS, FEED_PAST };

struct port {
    char     *name;
    enum feed feed;
    ONNXTensorElementDataType type;
    size_t    rank;
    int64_t   shape[MOST_RANK];             /* -1: any */
};

struct aki__onnx_file {
    const struct aki__runtime *rt;
    OrtSession  *session;                   /* splits each operator between all threads; guarded by lock, since two such runs only get in each other's way */
    OrtSession  *_Atomic alone;             /* with a copy of the weights of its own: computes on the caller's thread, for runs beside each other; NULL: not made */
    struct aki__lock lock;
    bool         tried;                     /* to make it; whoever makes it is alone in doing so */
    char        *path;
    char        *file;                      /* what messages call it */
    struct port *inputs, *outputs;          /* [input_count], [output_count] */
    size_t       input_count, output_count;
    const struct port *hidden, *pooled;     /* of the outputs; NULL: none */
    struct aki__onnx_file_info info;
};

/* ---------------------------------------------------------------- ports ----------------------------------------- */

static const char *type_name(ONNXTensorElementDataType type)
{
    static const char *const names[] = { "undefined", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "float64" };

    return (unsigned)type < sizeof names / sizeof *names ? names[type] : "another type";
}

static bool is_float(ONNXTensorElementDataType type) { return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16; }
static bool is_integer(ONNXTensorElementDataType type) { return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32; }

/* Type and shape of what is no tensor, or of more dimensions, stay undefined and empty. */
static OrtStatus *read_port(struct aki__onnx_file *f, struct port *p, size_t i, bool input)
{
    const OrtApi *api = f->rt->api;
    const OrtTensorTypeAndShapeInfo *shape = NULL;
    OrtTypeInfo *info = NULL;
    OrtAllocator *allocator = NULL;
    char *name = NULL;

    OrtStatus *st = api->GetAllocatorWithDefaultOptions(&allocator);
    if (!st) st = input ? api->SessionGetInputName(f->session, i, allocator, &name) : api->SessionGetOutputName(f->session, i, allocator, &name);
    if (!st) p->name = aki__copy_string(name, strlen(name));
    if (!st) st = input ? api->SessionGetInputTypeInfo(f->session, i, &info) : api->SessionGetOutputTypeInfo(f->session, i, &info);
    if (!st) st = api->CastTypeInfoToTensorInfo(info, &shape);
    if (!st && shape) st = api->GetTensorElementType(shape, &p->type);
    if (!st && shape) st = api->GetDimensionsCount(shape, &p->rank);
    if (!st && p->rank > MOST_RANK)
        p->rank = 0;
    if (!st && shape) st = api->GetDimensions(shape, p->shape, p->rank);
    if (info)
        api->ReleaseTypeInfo(info);
    if (name)
        api->ReleaseStatus(api->AllocatorFree(allocator, name));
    return st;
}

/* One of the sizes that a graph may fix: *size takes what the first port says, and all others must say the same. */
static bool agree(int32_t *size, int64_t dim)
{
    if (dim <= 0)
        return true;
    bool ok = dim <= MOST_SIZE && (!*size || *size == dim);
    *size = ok ? (int32_t)dim : *size;
    return ok;
}

static aki_status judge_input(struct aki__onnx_file *f, struct port *p, aki_error *err)
{
    static const char *const names[] = { "input_ids", "attention_mask", "token_type_ids", "position_ids" };
    static const char past[] = "past_key_values";

    for (int i = 0; i < 4; i++) {
        if (strcmp(p->name, names[i]) != 0)
            continue;
        p->feed = (enum feed)i;
        if (!is_integer(p->type) || p->rank != 2)
            return aki__fail(err, AKI_E_UNSUPPORTED, "%s: input %s is of %zu dimensions and %s; 2 of int64 or int32 are fed", f->file, p->name, p->rank, type_name(p->type));
        if (!agree(&f->info.rows, p->shape[0]) || !agree(&f->info.length, p->shape[1]))
            return aki__fail(err, AKI_E_UNSUPPORTED, "%s: input %s is of %lld x %lld, which is not the other inputs' shape, or too large", f->file, p->name, (long long)p->shape[0], (long long)p->shape[1]);
        return AKI_OK;
    }
    if (strncmp(p->name, past, sizeof past - 1) != 0)
        return aki__fail(err, AKI_E_UNSUPPORTED, "%s: input %.80s is not known; input_ids, attention_mask, token_type_ids, position_ids and past_key_values.* are fed", f->file, p->name);
    p->feed = FEED_PAST;
    f->info.causal = true;
    if (!is_float(p->type) || p->rank != 4 || p->shape[1] < 1 || p->shape[1] > MOST_SIZE || p->shape[3] < 1 || p->shape[3] > MOST_SIZE || p->shape[2] > 0)
        return aki__fail(err, AKI_E_UNSUPPORTED, "%s: input %.80s is not [batch, heads, past, size] of float32 or float16 with heads and size given and any past", f->file, p->name);
    return agree(&f->info.rows, p->shape[0]) ? AKI_OK : aki__fail(err, AKI_E_UNSUPPORTED, "%s: input %.80s is of another batch than the other inputs", f->file, p->name);
}

/* All inputs, or all outputs. */
static aki_status read_ports(struct aki__onnx_file *f, bool input, aki_error *err)
{
    const OrtApi *api = f->rt->api;
    struct port **ports = input ? &f->inputs : &f->outputs;
    size_t count = 0, *done = input ? &f->input_count : &f->output_count;

    aki_status rc = aki__ort_status(f->rt, input ? api->SessionGetInputCount(f->session, &count) : api->SessionGetOutputCount(f->session, &count), f->file, err);
    if (!rc && count > MOST_PORTS)
        rc = aki__fail(err, AKI_E_UNSUPPORTED, "%s: %zu %s", f->file, count, input ? "inputs" : "outputs");
    if (!rc && !(*ports = aki__zalloc(count, sizeof **ports)))
        rc = aki__fail(err, AKI_E_NOMEM, "%s", f->file);
    for (size_t i = 0; i < count && !rc; i++) {
        rc = aki__ort_status(f->rt, read_port(f, &(*ports)[i], i, input), f->file, err);
        *done = i + 1;
        if (!rc && !(*ports)[i].name)
            rc = aki__fail(err, AKI_E_NOMEM, "%s", f->file);
    }
    return rc;
}

static aki_status judge_inputs(struct aki__onnx_file *f, struct aki__report *report, aki_error *err)
{
    aki_status rc = AKI_OK;
    bool ids = false;

    for (size_t i = 0; i < f->input_count && (!rc || report); i++) {
        aki_status one = judge_input(f, &f->inputs[i], err);
        if (one)
            aki__report_error(report, err);
        rc = aki__also(rc, one);
        ids |= strcmp(f->inputs[i].name, "input_ids") == 0;
    }
    if (ids || (rc && !report))
        return rc;
    aki__fail(err, AKI_E_UNSUPPORTED, "%s: no input is called input_ids", f->file);
    aki__report_error(report, err);
    return AKI_E_UNSUPPORTED;
}

/* The output of this name; name NULL: the first of this rank, but for logits, which are no hidden states and no embedding. */
static const struct port *find_output(const struct aki__onnx_file *f, const char *name, size_t rank)
{
    for (size_t i = 0; i < f->output_count; i++) {
        const struct port *p = &f->outputs[i];
        if (is_float(p->type) && (name ? strcmp(p->name, name) == 0 && (p->rank == rank || p->rank == 0) : p->rank == rank && strcmp(p->name, "logits") != 0))
            return p;
    }
    return NULL;
}

/* -1: a run will tell. */
static aki_status read_columns(const struct aki__onnx_file *f, const struct port *p, int32_t *columns, aki_error *err)
{
    int64_t last = p && p->rank ? p->shape[p->rank - 1] : -1;

    if (!p)
        return AKI_OK;
    if (last == 0 || last > MOST_SIZE)
        return aki__fail(err, AKI_E_UNSUPPORTED, "%s: output %.80s has %lld columns", f->file, p->name, (long long)last);
    *columns = last > 0 ? (int32_t)last : -1;
    return AKI_OK;
}

/* A pooled vector counts where it is called one, or where there is nothing else: BERT's pooler_output is another thing. */
static aki_status judge_outputs(struct aki__onnx_file *f, aki_error *err)
{
    static const char *const names[] = { "last_hidden_state", "token_embeddings", NULL };

    for (int i = 0; i < 3 && !f->hidden; i++)
        f->hidden = find_output(f, names[i], 3);
    f->pooled = find_output(f, "sentence_embedding", 2);
    f->info.sentence = f->pooled != NULL;
    if (!f->hidden && !f->pooled) {
        f->pooled = find_output(f, "logits", 2);
        f->info.logits = f->pooled != NULL;
    }
    if (!f->hidden && !f->pooled)
        f->pooled = find_output(f, NULL, 2);
    if (!f->hidden && !f->pooled && find_output(f, "logits", 3))
        return aki__fail(err, AKI_E_UNSUPPORTED, "%s: output logits has a row a token: a token classifier (NER) or language model, no embedding model and no sequence classifier", f->file);
    if (!f->hidden && !f->pooled)
        return aki__fail(err, AKI_E_UNSUPPORTED, "%s: no output is sentence_embedding, last_hidden_state, token_embeddings, logits [batch, labels], or [batch, tokens, columns] of float32 or float16", f->file);
    aki_status rc = read_columns(f, f->hidden, &f->info.hidden, err);
    return rc ? rc : read_columns(f, f->pooled, &f->info.pooled, err);
}

static void list_ports(struct aki__onnx_file *f)
{
    const struct port *out[] = { f->pooled, f->hidden };
    char *s = f->info.ports;
    const size_t most = sizeof f->info.ports;
    size_t at = 0, past = 0;

    for (size_t i = 0; i < f->input_count && at < most; i++) {
        if (f->inputs[i].feed == FEED_PAST)
            past++;
        else
            at += (size_t)snprintf(s + at, most - at, "%s%s", at ? ", " : "", f->inputs[i].name);
    }
    if (past && at < most)
        at += (size_t)snprintf(s + at, most - at, ", %zu of past_key_values", past);
    for (int i = 0, n = 0; i < 2 && at < most; i++)
        if (out[i])
            at += (size_t)snprintf(s + at, most - at, "%s%.60s", n++ ? ", " : " -> ", out[i]->name);
}

/* ---------------------------------------------------------------- weights --------------------------------------- */

static OrtStatus *count_nodes(struct aki__onnx_file *f)
{
    const OrtEpAssignedSubgraph *const *pieces = NULL;
    size_t count = 0;

    OrtStatus *st = f->rt->newer->Session_GetEpGraphAssignmentInfo(f->session, &pieces, &count);
    for (size_t i = 0; i < count && !st; i++) {
        const OrtEpAssignedNode *const *nodes;
        size_t n = 0;
        st = f->rt->newer->EpAssignedSubgraph_GetNodes(pieces[i], &nodes, &n);
        f->info.nodes += (int)n;
    }
    return st;
}

/* The precision is that of most weights, whatever is made of them: ONNX Runtime folds what is constant, and does not tell. */
static aki_status use_weights(struct aki__onnx_file *f, const struct aki__onnx_weights *w, aki_error *err)
{
    f->info.parameters = w->f32 / 2 + w->f16 / 2 + w->quantised / 2 < INT64_MAX / 2 ? (int64_t)(w->f32 + w->f16 + w->quantised) : 0;
    /* Fixed rows: a call of few texts would be split, and each half padded to all of them. */
    f->info.light = f->info.parameters && f->info.parameters <= LIGHT && f->info.rows <= 1;
    f->info.precision = w->quantised > w->f32 && w->quantised > w->f16 ? AKI_PRECISION_INT8 : w->f16 > w->f32 ? AKI_PRECISION_F16 : AKI_PRECISION_F32;
    return f->rt->newer ? aki__ort_status(f->rt, count_nodes(f), f->file, err) : AKI_OK;
}

/* ---------------------------------------------------------------- runs ------------------------------------------ */

struct tensors { const char **names; OrtValue **values; void **data; size_t count; };

struct run { const struct aki__padded_group *g; int32_t pad_id; OrtSession *alone; /* NULL: on all threads */ };

static int64_t number(const struct run *r, enum feed feed, size_t row, size_t i)
{
    size_t tokens = aki__padded_tokens(r->g, row), at = tokens ? aki__padded_start(r->g, row) + i : 0;
    const struct aki__batch *b = r->g->b;
    bool there = i < tokens;

    switch (feed) {
    case FEED_IDS:       return there ? b->ids[at] : r->pad_id;
    case FEED_POSITIONS: return there ? b->positions[at] : 0;
    case FEED_TYPES:     return there && b->types ? b->types[at] : 0;
    case FEED_MASK:      return there || (!tokens && i == 0);      /* a row without a text sees one key: none may be without any */
    default:             return 0;
    }
}

/* Its data, of the group's shape; *bytes: how many. NULL: no memory, or sizes that overflow. */
static void *fill(const struct port *p, const struct run *r, int64_t shape[4], size_t *bytes)
{
    const size_t size = p->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 ? 8 : 4;
    size_t count;

    shape[0] = (int64_t)r->g->rows;
    shape[1] = p->feed == FEED_PAST ? p->shape[1] : (int64_t)r->g->length;
    shape[2] = 0;
    shape[3] = p->feed == FEED_PAST ? p->shape[3] : 0;
    *bytes = 0;
    if (p->feed == FEED_PAST)
        return aki__alloc_aligned(1, 64);   /* of no element, but an address is asked for */
    if (!aki__mul(r->g->rows, r->g->length, &count) || !aki__mul(count, size, bytes))
        return NULL;
    void *data = aki__alloc_aligned(*bytes, 1);
    for (size_t row = 0, n = 0; row < r->g->rows && data; row++)
        for (size_t i = 0; i < r->g->length; i++, n++) {
            int64_t x = number(r, p->feed, row, i);
            if (size == 8)
                ((int64_t *)data)[n] = x;
            else
                ((int32_t *)data)[n] = (int32_t)x;
        }
    return data;
}

static aki_status feed(struct aki__onnx_file *f, const struct run *r, struct tensors *t, aki_error *err)
{
    aki_status rc = AKI_OK;

    t->names = aki__zalloc(f->input_count, sizeof *t->names);
    t->values = aki__zalloc(f->input_count, sizeof *t->values);
    t->data = aki__zalloc(f->input_count, sizeof *t->data);
    if (!t->names || !t->values || !t->data)
        return aki__fail(err, AKI_E_NOMEM, "a run of %zu x %zu tokens", r->g->rows, r->g->length);
    for (size_t i = 0; i < f->input_count && !rc; i++) {
        const struct port *p = &f->inputs[i];
        int64_t shape[4];
        size_t bytes;
        t->names[i] = p->name;
        t->data[i] = fill(p, r, shape, &bytes);
        t->count = i + 1;
        rc = t->data[i] ? aki__ort_status(f->rt, f->rt->api->CreateTensorWithDataAsOrtValue(f->rt->cpu, t->data[i], bytes, shape, p->rank, p->type, &t->values[i]), p->name, err)
                        : aki__fail(err, AKI_E_NOMEM, "a run of %zu x %zu tokens", r->g->rows, r->g->length);
    }
    return rc;
}

static void free_tensors(const struct aki__runtime *rt, struct tensors *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->values[i])
            rt->api->ReleaseValue(t->values[i]);
        aki__free_aligned(t->data[i]);
    }
    aki__free(t->names);
    aki__free(t->values);
    aki__free(t->data);
}

/* What came back must be what its columns are known as (columns -1: not yet); *columns: what it is. */
static aki_status check_result(const struct aki__onnx_file *f, const struct port *p, OrtValue *value, const struct aki__padded_group *g, int32_t known, int32_t *columns, aki_error *err)
{
    const OrtApi *api = f->rt->api;
    OrtTensorTypeAndShapeInfo *info = NULL;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    int64_t shape[3] = { 0 };
    size_t rank = 0, wanted = p == f->pooled ? 2 : 3;

    OrtStatus *st = api->GetTensorTypeAndShape(value, &info);
    if (!st) st = api->GetTensorElementType(info, &type);
    if (!st) st = api->GetDimensionsCount(info, &rank);
    if (!st && rank == wanted) st = api->GetDimensions(info, shape, rank);
    if (info)
        api->ReleaseTensorTypeAndShapeInfo(info);
    if (st)
        return aki__ort_status(f->rt, st, p->name, err);
    int64_t last = rank == wanted ? shape[rank - 1] : 0;
    if (type != p->type || rank != wanted || shape[0] != (int64_t)g->rows || (wanted == 3 && shape[1] != (int64_t)g->length) || last < 1 || last > MOST_SIZE || (known > 0 && last != known))
        return aki__fail(err, AKI_E_INVALID, "%s: output %.60s is not %s of %zu texts x %zu tokens: %zu dimensions, %lld x %lld x %lld", f->file, p->name,
                         wanted == 2 ? "a vector a text" : "a row a token", g->rows, g->length, rank, (long long)shape[0], (long long)shape[1], (long long)shape[2]);
    *columns = (int32_t)last;
    return AKI_OK;
}

static OrtStatus *call(struct aki__onnx_file *f, OrtSession *alone, const struct tensors *t, const char *output, OrtValue **result)
{
    if (!alone)
        aki__lock_acquire(&f->lock);
    OrtStatus *st = f->rt->api->Run(alone ? alone : f->session, NULL, t->names, (const OrtValue *const *)t->values, t->count, &output, 1, result);
    if (!alone)
        aki__lock_release(&f->lock);
    return st;
}

/* out NULL: only to see what columns there are. */
static aki_status run(struct aki__onnx_file *f, const struct run *r, const struct port *p, int32_t *columns, float *out, aki_error *err)
{
    const bool f16 = p->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
    struct tensors t = { 0 };
    OrtValue *result = NULL;
    void *data = NULL;
    int32_t found = 0;

    aki_status rc = feed(f, r, &t, err);
    if (!rc) rc = aki__ort_status(f->rt, call(f, r->alone, &t, p->name, &result), f->file, err);
    if (!rc) rc = check_result(f, p, result, r->g, *columns, &found, err);
    if (!rc) rc = aki__ort_status(f->rt, f->rt->api->GetTensorMutableData(result, &data), f->file, err);
    if (!rc && !out)
        *columns = found;
    else if (!rc)
        (p == f->pooled ? aki__padded_vectors : aki__padded_rows)(r->g, data, f16, (size_t)*columns, out);
    if (result)
        f->rt->api->ReleaseValue(result);
    free_tensors(f->rt, &t);
    return rc;
}

static aki_status run_texts(struct aki__onnx_file *f, struct aki__padded_group *g, const struct run *r, const struct port *p, int32_t *columns, float *out, aki_error *err)
{
    size_t longest = 0;

    for (size_t i = 0; i < g->count; i++)
        longest = aki__padded_tokens(g, i) > longest ? aki__padded_tokens(g, i) : longest;
    g->rows = f->info.rows ? (size_t)f->info.rows : g->count;
    g->length = f->info.length ? (size_t)f->info.length : longest;
    if (g->count > g->rows || longest > g->length)
        return aki__fail(err, AKI_E_INVALID, "%s takes %zu texts of %zu tokens at most, not %zu of %zu", f->file, g->rows, g->length, g->count, longest);
    return run(f, r, p, columns, out, err);
}

aki_status aki__onnx_file_run(struct aki__onnx_file *f, struct aki__padded_group *g, bool pooled, int32_t pad_id, bool beside, float *out, aki_error *err)
{
    const struct run r = { .g = g, .pad_id = pad_id, .alone = beside ? atomic_load(&f->alone) : NULL };
    const struct port *p = pooled ? f->pooled : f->hidden;

    if (!p)
        return aki__fail(err, AKI_E_INTERNAL, "%s: no such output", f->file);
    return run_texts(f, g, &r, p, pooled ? &f->info.pooled : &f->info.hidden, out, err);
}

/* One token, of the id 0. */
static aki_status run_zero(struct aki__onnx_file *f, OrtSession *alone, const struct port *p, int32_t *columns, float *out, aki_error *err)
{
    static const int32_t zero, starts[2] = { 0, 1 };
    static const size_t text;
    const struct aki__batch b = { .ids = &zero, .positions = &zero, .starts = starts, .query_starts = starts, .rows = &zero };
    struct aki__padded_group g = { .b = &b, .texts = &text, .count = 1 };
    const struct run r = { .g = &g, .alone = alone };

    return run_texts(f, &g, &r, p, columns, out, err);
}

/* What the graph does not say of its columns, a first run does. */
static aki_status find_columns(struct aki__onnx_file *f, aki_error *err)
{
    aki_status rc = AKI_OK;

    if (f->info.hidden < 0) rc = run_zero(f, NULL, f->hidden, &f->info.hidden, NULL, err);
    if (f->info.pooled < 0 && !rc) rc = run_zero(f, NULL, f->pooled, &f->info.pooled, NULL, err);
    return rc;
}

/* ---------------------------------------------------------------- life ------------------------------------------ */

static OrtStatus *make_session(struct aki__onnx_file *f, int threads, OrtSession **out)
{
    const OrtApi *api = f->rt->api;
    OrtSessionOptions *options = NULL;
    ORTCHAR_T *native = aki__native_path(f->path);

    OrtStatus *st = native ? api->CreateSessionOptions(&options) : api->CreateStatus(ORT_FAIL, "Memory allocation failed");
    if (!st) st = api->SetSessionExecutionMode(options, ORT_SEQUENTIAL);
    if (!st) st = api->DisableMemPattern(options);      /* it would keep a plan for every shape there ever was */
    if (!st) st = api->SetIntraOpNumThreads(options, threads);
    if (!st) st = aki__ort_own_threads(f->rt, options);
    if (!st) st = api->SetInterOpNumThreads(options, 1);
    if (!st) st = api->SetSessionLogSeverityLevel(options, ORT_LOGGING_LEVEL_FATAL);       /* errors are told by us, and not printed */
    if (!st) st = api->AddSessionConfigEntry(options, "session.use_env_allocators", "1");
    /* Long enough for the next text of a caller that has one at hand; 1.32's own measure is many times that. */
    if (!st) st = api->AddSessionConfigEntry(options, "session.intra_op.spin_duration_us", "1000");
    /* Fused, additions and the norm behind them take 1.32 five times as long as 1.20; apart they are as fast as ever. */
    if (!st) st = api->AddSessionConfigEntry(options, "optimization.disable_specified_optimizers", "SkipLayerNormFusion");
    if (!st && f->rt->newer)
        st = api->AddSessionConfigEntry(options, "session.record_ep_graph_assignment_info", "1");
    if (!st) st = api->CreateSession(f->rt->env, native, options, out);
    aki__free(native);
    if (options)
        api->ReleaseSessionOptions(options);
    return st;
}

/* What ONNX Runtime does not open is a file that is broken, unless memory ended: its codes do not tell reliably. */
static aki_status open_session(struct aki__onnx_file *f, aki_error *err)
{
    aki_status rc = aki__ort_status(f->rt, make_session(f, f->rt->threads, &f->session), f->file, err);

    if (rc == AKI_E_INTERNAL || rc == AKI_E_NOT_FOUND) {
        rc = AKI_E_INVALID;
        if (err)
            err->status = rc;
    }
    return rc;
}

/* The file may have been replaced meanwhile: then its vectors are others. */
static bool answers_alike(struct aki__onnx_file *f, OrtSession *alone)
{
    const struct port *p = f->hidden ? f->hidden : f->pooled;
    int32_t *columns = p == f->hidden ? &f->info.hidden : &f->info.pooled;
    float *a = aki__alloc((size_t)*columns * 2, sizeof *a), *b = a ? a + *columns : NULL, most = 0, off = 0;

    bool ok = a && !run_zero(f, NULL, p, columns, a, NULL) && !run_zero(f, alone, p, columns, b, NULL);
    for (int32_t i = 0; i < *columns && ok; i++) {
        most = fmaxf(most, fabsf(a[i]));
        off = fmaxf(off, fabsf(a[i] - b[i]));
        ok = isfinite(a[i]) && isfinite(b[i]);          /* a maximum passes over NaN */
    }
    aki__free(a);
    return ok && off <= most * 1e-3f;
}

bool aki__onnx_file_spread(struct aki__onnx_file *f)
{
    OrtSession *alone = NULL;

    if (!f->tried && f->info.light) {
        OrtStatus *st = make_session(f, 1, &alone);
        if (st)
            f->rt->api->ReleaseStatus(st);
        else if (answers_alike(f, alone))
            atomic_store(&f->alone, alone);
        else
            f->rt->api->ReleaseSession(alone);
    }
    f->tried = true;
    return atomic_load(&f->alone) != NULL;
}

aki_status aki__onnx_file_open(struct aki__onnx_file **out, const char *path, const char *name, int threads, struct aki__report *report, aki_error *err)
{
    struct aki__onnx_file *f = aki__zalloc(1, sizeof *f);
    struct aki__onnx_weights weights;
    aki_status rc;

    *out = NULL;
    if (!f || !(f->file = aki__copy_string(name, strlen(name))) || !(f->path = aki__copy_string(path, strlen(path)))) {
        rc = aki__fail(err, AKI_E_NOMEM, "%s", name);
        goto done;
    }
    rc = aki__onnx_look(&weights, path, name, err);
    if (!rc) rc = aki__runtime_get(&f->rt, threads, err);
    if (!rc) rc = open_session(f, err);
    if (!rc) rc = read_ports(f, true, err);
    if (!rc) rc = read_ports(f, false, err);
    if (!rc) {
        rc = judge_inputs(f, report, err);
        aki_status outputs = rc && !report ? AKI_OK : judge_outputs(f, err);
        if (outputs)
            aki__report_error(report, err);
        rc = aki__also(rc, outputs);
    }
    if (!rc) rc = find_columns(f, err);
    if (!rc) rc = use_weights(f, &weights, err);
    if (rc)
        goto done;
    list_ports(f);
    *out = f;
    f = NULL;
done:
    aki__onnx_file_close(f);
    return rc;
}

static void free_ports(struct port *ports, size_t count)
{
    for (size_t i = 0; i < count; i++)
        aki__free(ports[i].name);
    aki__free(ports);
}

void aki__onnx_file_close(struct aki__onnx_file *f)
{
    if (!f)
        return;
    if (f->session)
        f->rt->api->ReleaseSession(f->session);
    if (f->alone)
        f->rt->api->ReleaseSession(f->alone);
    free_ports(f->inputs, f->input_count);
    free_ports(f->outputs, f->output_count);
    aki__free(f->path);
    aki__free(f->file);
    aki__free(f);
}

const struct aki__onnx_file_info *aki__onnx_file_info(const struct aki__onnx_file *f) { return &f->info; }
