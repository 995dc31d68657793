/* Unit padded: runs on a device. See padded.h. */
#include "ort/padded.h"

#include "kernel/kernel.h"
#include "graph/cpu.h"
#include "ort/padded_inputs.h"
#include "ort/runtime.h"

#include <stdlib.h>

enum { LEAST_LENGTH = 16, FREE_ROUNDING = 8, LIGHT_TOKENS = 512 };

/* A session for texts × length; both 0: for any. */
struct bucket {
    size_t      texts, length;
    OrtSession *session;
    uint64_t    used;                       /* when last */
    struct aki__device_nodes nodes;
};

struct dense { float *weight, *bias; size_t in, out; enum aki__kernel_act act; };   /* [out, in], [out] or NULL */

struct aki__padded {
    const struct aki__runtime *rt;
    const struct aki__model   *model;
    struct aki__onnx_file     *file;        /* what is run instead of all that follows up to the sizes; NULL: the graph */
    struct aki__graph   graph;              /* a copy: sessions are made when they are needed */
    struct aki__device  device;
    char              **settings;           /* copies of the device's options */
    char               *name;
    bool                f16, fixed;
    struct aki__padded_inputs inputs;       /* of `graph`; none of a file */
    size_t              hidden, max_tokens, max_batch_tokens, max_buckets;
    enum aki__kernel_act act;               /* of the rows that are pooled */
    struct dense       *dense;              /* [dense_count] */
    size_t              dense_count;
    uint64_t            weights_size;       /* of one session */
    int                 graph_nodes;
    struct aki__lock    lock;               /* a run, whole: devices compute one batch at a time */
    struct bucket       buckets[AKI_MOST_BUCKETS];
    size_t              bucket_count;
    uint64_t            clock;
    int                 elsewhere;          /* nodes that the first session left to the cpu; the self-test has judged that */
    bool                judged;
};

/* ---------------------------------------------------------------- sessions -------------------------------------- */

static void drop(struct aki__padded *p, size_t i)
{
    p->rt->api->ReleaseSession(p->buckets[i].session);
    p->buckets[i] = p->buckets[--p->bucket_count];
}

static void drop_oldest(struct aki__padded *p)
{
    size_t oldest = 0;

    for (size_t i = 1; i < p->bucket_count; i++)
        if (p->buckets[i].used < p->buckets[oldest].used)
            oldest = i;
    drop(p, oldest);
}

static aki_status make_bucket(struct aki__padded *p, size_t texts, size_t length, aki_error *err)
{
    const struct aki__portable_options o = { .f16 = p->f16, .batch = (int64_t)texts, .sequence = (int64_t)length };
    struct bucket b = { .texts = texts, .length = length };
    struct aki__onnx onnx = { 0 };
    struct aki__buf bytes = { 0 };

    if (p->bucket_count == p->max_buckets)
        drop_oldest(p);                     /* first, so that there are never more than were allowed */
    aki_status rc = aki__portable_build(&onnx, &p->graph, &o, err);
    p->weights_size = 0;
    for (size_t i = 0; i < onnx.constant_count && !rc; i++)
        p->weights_size += onnx.constants[i].size;
    if (!rc && p->weights_size > AKI_ONNX_FILE_MOST)
        rc = aki__fail(err, AKI_E_UNSUPPORTED, "weights of %llu MiB are more than a device's graph may have (%llu MiB); f16 halves them",
                       (unsigned long long)(p->weights_size >> 20), (unsigned long long)(AKI_ONNX_FILE_MOST >> 20));
    p->graph_nodes = (int)onnx.node_count;
    if (!rc) rc = aki__onnx_to_memory(&onnx, &bytes, err);
    aki__onnx_free(&onnx);
    if (!rc) rc = aki__device_session(&b.session, &b.nodes, p->rt, &p->device, bytes.data, bytes.size, err);
    aki__buf_free(&bytes);
    if (rc)
        return rc;
    /* What the device does not take in another shape would be computed by the cpu, silently. */
    if (p->judged && b.nodes.elsewhere > p->elsewhere) {
        p->rt->api->ReleaseSession(b.session);
        return aki__fail(err, AKI_E_UNAVAILABLE, "device \"%.40s\" leaves %d of %d nodes to the cpu where there are %zu texts of %zu tokens", p->name, b.nodes.elsewhere,
                         b.nodes.elsewhere + b.nodes.on_device, texts, length);
    }
    p->elsewhere = p->judged ? p->elsewhere : b.nodes.elsewhere;
    p->judged = true;
    p->buckets[p->bucket_count++] = b;
    return AKI_OK;
}

/* The resident session that wastes least on so many texts of that length, if it wastes less than three quarters. */
static struct bucket *find_bucket(struct aki__padded *p, size_t texts, size_t length)
{
    struct bucket *best = NULL;

    for (size_t i = 0; i < p->bucket_count; i++) {
        struct bucket *b = &p->buckets[i];
        if (!p->fixed)
            return b;
        if (b->texts >= texts && b->length >= length && b->texts * b->length <= 4 * texts * length && (!best || b->texts * b->length < best->texts * best->length))
            best = b;
    }
    return best;
}

/* The shapes there are: 16, 32, 64 … up to the longest text; 1, 8 or 32 texts. */
static size_t length_of_bucket(const struct aki__padded *p, size_t length)
{
    size_t n = LEAST_LENGTH;

    while (n < length)
        n *= 2;
    return n < p->max_tokens ? n : p->max_tokens;
}

static size_t texts_of_bucket(const struct aki__padded *p, size_t texts, size_t length)
{
    return texts == 1 ? 1 : texts > 8 && 32 * length <= p->max_batch_tokens ? 32 : 8;
}

/* ---------------------------------------------------------------- one padded run -------------------------------- */

/* The rows that the pooling reads, from padded rows to the batch's. */
static void take_rows(const struct aki__padded *p, const struct aki__padded_group *g, const float *hidden)
{
    const struct aki__batch *b = g->b;

    for (size_t i = 0; i < g->count; i++) {
        size_t text = g->texts[i];
        for (int32_t r = b->query_starts[text]; r < b->query_starts[text + 1]; r++)
            memcpy(g->rows_out + (size_t)r * p->hidden, hidden + (i * g->length + (size_t)(b->rows[r] - b->starts[text])) * p->hidden, p->hidden * sizeof *hidden);
    }
}

static aki_status run_group(struct aki__padded *p, struct bucket *bucket, const struct aki__padded_group *g, aki_error *err)
{
    static const char *const output = "last_hidden_state";
    const OrtApi *api = p->rt->api;
    struct aki__padded_tensors t = { 0 };
    OrtValue *result = NULL;
    void *hidden = NULL;

    bucket->used = ++p->clock;
    aki_status rc = aki__padded_fill(&p->inputs, p->rt, g, &t, err);
    OrtStatus *st = rc ? NULL : api->Run(bucket->session, NULL, t.names, (const OrtValue *const *)t.values, t.count, &output, 1, &result);
    if (!rc && !st) st = api->GetTensorMutableData(result, &hidden);
    if (!rc) rc = aki__ort_status(p->rt, st, "run", err);
    if (!rc)
        take_rows(p, g, hidden);
    if (result)
        api->ReleaseValue(result);
    aki__padded_tensors_free(p->rt, &t);
    return rc;
}

/* ---------------------------------------------------------------- groups ---------------------------------------- */

struct sized { size_t text, tokens; };

static int longer_first(const void *a, const void *b)
{
    const struct sized *x = a, *y = b;

    return x->tokens != y->tokens ? (x->tokens < y->tokens ? 1 : -1) : (x->text > y->text) - (x->text < y->text);
}

/* How many of the texts from `first` on go together: in fixed shapes those of the same length's bucket, else those that are not much shorter
 * than the first, as many as a run may hold. */
static size_t group_size(const struct aki__padded *p, const struct sized *sorted, size_t count, size_t length)
{
    size_t least = p->fixed ? (length > LEAST_LENGTH ? length / 2 + 1 : 1) : length - length / 4, n = 1;
    size_t most = p->fixed ? texts_of_bucket(p, count, length) : p->max_batch_tokens / length;

    if (p->fixed && length == p->max_tokens)
        least = length_of_bucket(p, length / 2) < length ? length_of_bucket(p, length / 2) + 1 : 1;
    while (n < count && n < most && sorted[n].tokens >= least)
        n++;
    return n;
}

/* In a file: as many as it takes where it takes one shape only. Else what padding costs decides: with few weights more than a second look at them. */
static size_t file_group_size(const struct aki__padded *p, const struct sized *sorted, size_t count)
{
    const struct aki__onnx_file_info *info = aki__onnx_file_info(p->file);
    size_t length = sorted->tokens, least = info->rows || info->length ? 1 : info->light ? length : length - length / 4, n = 1;
    size_t limit = info->light && p->max_batch_tokens > LIGHT_TOKENS ? LIGHT_TOKENS : p->max_batch_tokens;
    size_t most = info->rows ? (size_t)info->rows : limit / (info->length ? (size_t)info->length : length);

    while (n < count && n < most && sorted[n].tokens >= least)
        n++;
    return n;
}

static aki_status run_file(struct aki__padded *p, const struct aki__batch *b, bool beside, const struct sized *sorted, size_t *texts, size_t count, float *rows_out, size_t *done, aki_error *err)
{
    size_t n = file_group_size(p, sorted, count);

    for (size_t i = 0; i < n; i++)
        texts[i] = sorted[i].text;
    *done = n;
    return aki__onnx_file_run(p->file, b, texts, n, p->model->pad_id, beside, rows_out, err);
}

static aki_status run_next(struct aki__padded *p, const struct aki__batch *b, const struct sized *sorted, size_t *texts, size_t count, float *rows_out, size_t *done, aki_error *err)
{
    size_t length = p->fixed ? length_of_bucket(p, sorted->tokens) : (sorted->tokens + FREE_ROUNDING - 1) / FREE_ROUNDING * FREE_ROUNDING;
    size_t n = group_size(p, sorted, count, length), shape = p->fixed ? texts_of_bucket(p, n, length) : n;
    struct bucket *bucket = find_bucket(p, shape, length);
    aki_status rc = AKI_OK;

    if (!bucket) {
        rc = make_bucket(p, shape, length, err);
        bucket = &p->buckets[p->bucket_count - 1];
    }
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        texts[i] = sorted[i].text;
    const struct aki__padded_group g = { .b = b, .texts = texts, .count = n, .rows = p->fixed ? bucket->texts : n, .length = p->fixed ? bucket->length : length, .rows_out = rows_out };
    *done = n;
    return run_group(p, bucket, &g, err);
}

/* rows_out: [row_count, hidden]: the last hidden states that the pooling reads; of a file that pools itself [vectors, columns]. */
static aki_status run_all(struct aki__padded *p, const struct aki__batch *b, bool beside, float *rows_out, aki_error *err)
{
    struct sized *sorted = aki__alloc(b->texts, sizeof *sorted);
    size_t *texts = aki__alloc(b->texts, sizeof *texts), done = 0;
    aki_status rc = sorted && texts ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "a run of %zu texts", b->texts);

    for (size_t i = 0; i < b->texts && !rc; i++)
        sorted[i] = (struct sized){ .text = i, .tokens = (size_t)(b->starts[i + 1] - b->starts[i]) };
    if (!rc)
        qsort(sorted, b->texts, sizeof *sorted, longer_first);
    if (!p->file)
        aki__lock_take(&p->lock);
    for (size_t i = 0; i < b->texts && !rc; i += done)
        rc = p->file ? run_file(p, b, beside, sorted + i, texts, b->texts - i, rows_out, &done, err) : run_next(p, b, sorted + i, texts, b->texts - i, rows_out, &done, err);
    if (!p->file)
        aki__lock_drop(&p->lock);
    aki__free(sorted);
    aki__free(texts);
    return rc;
}

/* ---------------------------------------------------------------- behind the network ---------------------------- */

/* y = act(x W^T + b) of one row. */
static void apply_dense(const struct dense *d, float *y, const float *x, float *scratch)
{
    for (size_t n = 0; n < d->out; n++) {
        const float *w = d->weight + n * d->in;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t k = 0; k < d->in; k++)
            sum += w[k] * x[k];
        y[n] = sum + (d->bias ? d->bias[n] : 0);
    }
    const struct aki__act a = { .x = { .f32 = y, .stride = d->out }, .out = { .f32 = y, .stride = d->out, .block = 1 }, .columns = d->out, .act = d->act };
    aki__kernels()->act(&a, 0, 1, scratch);
}

static size_t widest(const struct aki__padded *p)
{
    size_t most = p->hidden;

    for (size_t i = 0; i < p->dense_count; i++)
        if (p->dense[i].out > most)
            most = p->dense[i].out;
    return most;
}

static aki_status pool(const struct aki__padded *p, const struct aki__batch *b, const float *rows, float *out, size_t columns, aki_error *err)
{
    const size_t width = (widest(p) + 15) & ~(size_t)15;
    const bool dense = b->dense && p->dense_count;
    double *sums = aki__alloc_aligned(p->hidden, sizeof *sums + (p->act ? sizeof(float) : 0));
    float *pooled = dense ? aki__alloc_aligned(b->vectors, p->hidden * sizeof *pooled) : out;
    float *rooms = aki__alloc_aligned(3 * width, sizeof *rooms);

    aki_status rc = sums && pooled && rooms ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "%zu vectors", b->vectors);
    if (!rc) {
        const struct aki__pooling a = { .out = pooled, .x = rows, .starts = b->pool_starts, .weight_from = b->weight_from, .hidden = p->hidden, .mode = (enum aki__pool_mode)b->mode, .act = p->act };
        aki__kernels()->pool(&a, 0, b->vectors, sums);
    }
    for (size_t i = 0; i < b->vectors && dense && !rc; i++) {
        const float *x = pooled + i * p->hidden;
        for (size_t k = 0; k < p->dense_count; k++) {
            float *y = k + 1 == p->dense_count ? out + i * columns : rooms + (k & 1) * width;
            apply_dense(&p->dense[k], y, x, rooms + 2 * width);
            x = y;
        }
    }
    aki__free_aligned(sums);
    aki__free_aligned(rooms);
    if (dense)
        aki__free_aligned(pooled);
    return rc;
}

bool aki__padded_spread(struct aki__padded *p) { return p->file && aki__onnx_file_spread(p->file); }

aki_status aki__padded_run(struct aki__padded *p, const struct aki__batch *b, bool beside, float *out, size_t columns, aki_error *err)
{
    if (b->pooled)
        return run_all(p, b, beside, out, err);
    float *rows = aki__alloc_aligned(b->row_count, p->hidden * sizeof *rows);
    aki_status rc = rows ? run_all(p, b, beside, rows, err) : aki__fail(err, AKI_E_NOMEM, "a run of %zu rows", b->row_count);

    if (!rc) rc = pool(p, b, rows, out, columns, err);
    aki__free_aligned(rows);
    return rc;
}

/* ---------------------------------------------------------------- life ------------------------------------------ */

static float *read_tensor(const struct aki__tensor *t)
{
    size_t count = (size_t)t->shape[0] * (t->rank > 1 ? (size_t)t->shape[1] : 1);
    float *out = aki__alloc_aligned(count, sizeof *out);

    if (out)
        aki__tensor_read(out, t, 0, count);
    return out;
}

static bool read_dense(struct aki__padded *p)
{
    for (size_t i = 0; i < p->model->dense_count; i++) {
        const struct aki__dense *from = &p->model->dense[i];
        struct dense *d = &p->dense[p->dense_count++];
        *d = (struct dense){ .in = (size_t)from->weight->shape[1], .out = (size_t)from->weight->shape[0], .act = aki__act_of(from->activation) };
        d->weight = read_tensor(from->weight);
        if (from->bias)
            d->bias = read_tensor(from->bias);
        if (!d->weight || (from->bias && !d->bias))
            return false;
    }
    return true;
}

static bool copy_settings(struct aki__padded *p, const struct aki__device *d)
{
    if (!d)
        return true;
    bool ok = (p->name = aki__copy_string(d->name, strlen(d->name))) != NULL;

    p->settings = aki__zalloc((size_t)d->option_count, sizeof *p->settings);
    ok = ok && p->settings;
    for (int i = 0; i < d->option_count && ok; i++)
        ok = (p->settings[i] = aki__copy_string(d->options[i], strlen(d->options[i]))) != NULL;
    p->device = (struct aki__device){ .name = p->name, .options = (const char *const *)p->settings, .option_count = p->settings ? d->option_count : 0, .set = d->set };
    return ok;
}

static aki_status copy_graph(struct aki__padded *p, const struct aki__graph *g, bool is_file, aki_error *err)
{
    aki_status rc = AKI_OK;

    p->graph = *g;
    p->graph.err = NULL;
    p->graph.blocks = aki__alloc(g->count, sizeof *g->blocks);
    p->dense = aki__zalloc(p->model->dense_count, sizeof *p->dense);
    bool ok = p->graph.blocks && p->dense;
    if (ok && g->count)                     /* an .onnx file has none */
        memcpy(p->graph.blocks, g->blocks, g->count * sizeof *g->blocks);
    if (ok && !is_file) {
        const struct aki__block *hidden = &p->graph.blocks[aki__graph_result(g, AKI_RESULT_HIDDEN)];
        p->hidden = (size_t)hidden->columns;
        p->act = aki__act_of(hidden->act);
        rc = aki__padded_inputs_open(&p->inputs, &p->graph, err);
    }
    if (!rc && !(ok && read_dense(p)))
        rc = aki__fail(err, AKI_E_NOMEM, "session");
    return rc;
}

aki_status aki__padded_open(struct aki__padded **out, const struct aki__runtime *rt, const struct aki__graph *g, const struct aki__session_options *options, aki_error *err)
{
    struct aki__padded *p = aki__zalloc(1, sizeof *p);
    aki_status rc = AKI_OK;

    *out = NULL;
    if (!p)
        return aki__fail(err, AKI_E_NOMEM, "session");
    p->rt = rt;
    p->model = g->model;
    p->f16 = options->f16;
    p->fixed = !options->file && aki__device_is_fixed(options->device);
    p->hidden = (size_t)g->model->hidden;
    p->max_tokens = options->max_tokens;
    p->max_batch_tokens = options->max_batch_tokens;
    p->max_buckets = !p->fixed ? 1 : options->max_buckets < AKI_MOST_BUCKETS ? (size_t)options->max_buckets : AKI_MOST_BUCKETS;
    if (!copy_settings(p, options->device))
        rc = aki__fail(err, AKI_E_NOMEM, "session");
    if (!rc) rc = copy_graph(p, g, options->file != NULL, err);
    if (!rc && !options->file)              /* of fixed ones a first, to see that the device takes any at all */
        rc = p->fixed ? make_bucket(p, 1, length_of_bucket(p, 1), err) : make_bucket(p, 0, 0, err);
    if (!rc) {
        p->file = options->file;
        *out = p;
        p = NULL;
    }
    aki__padded_close(p);
    return rc;
}

void aki__padded_close(struct aki__padded *p)
{
    if (!p)
        return;
    while (p->bucket_count)
        drop(p, 0);
    aki__onnx_file_close(p->file);
    for (size_t i = 0; i < p->dense_count; i++) {
        aki__free_aligned(p->dense[i].weight);
        aki__free_aligned(p->dense[i].bias);
    }
    for (int i = 0; i < p->device.option_count; i++)
        aki__free(p->settings[i]);
    aki__free(p->settings);
    aki__free(p->name);
    aki__free(p->dense);
    aki__padded_inputs_close(&p->inputs);
    aki__free(p->graph.blocks);
    aki__free(p);
}

void aki__padded_info(struct aki__padded *p, struct aki__session_info *out)
{
    if (p->file) {
        out->nodes = aki__onnx_file_info(p->file)->nodes;
        return;
    }
    aki__lock_take(&p->lock);
    out->weights_size = p->weights_size * p->bucket_count;
    out->sessions = (int)p->bucket_count;
    out->nodes = p->graph_nodes;
    for (size_t i = 0; i < p->bucket_count; i++) {
        const struct aki__device_nodes *n = &p->buckets[i].nodes;
        if (n->on_device < 0)
            continue;                       /* all are there: it was made so, or it is the cpu */
        /* The worst of them speaks for all. */
        if (n->elsewhere >= out->nodes_elsewhere) {
            out->nodes = n->on_device;
            out->nodes_elsewhere = n->elsewhere;
            out->partitions = n->partitions;
        }
    }
    aki__lock_drop(&p->lock);
}
