/* Unit runner: the portable dialect on a device. See runner.h.
 *
 * Where a device takes any shape there is one session. Where it wants fixed ones there is a session for each (texts, length) that is needed,
 * made when it is, and the one that was not used for longest goes when there are too many. */
#include "ort/padded_inputs.h"
#include "ort/runner.h"

enum { LEAST_LENGTH = 16, FREE_ROUNDING = 8 };

/* A session for texts × length; both 0: for any. */
struct bucket {
    size_t      texts, length;
    OrtSession *session;
    uint64_t    used;                       /* when last */
    struct aki__device_nodes nodes;
};

struct device {
    struct aki__runner  runner;
    const struct aki__runtime *rt;
    struct aki__graph   graph;              /* a copy: sessions are made when they are needed */
    struct aki__device  device;
    char              **settings;           /* copies of the device's options */
    char               *name;
    bool                f16, fixed;
    struct aki__padded_inputs inputs;       /* of `graph` */
    struct aki__head   *head;
    size_t              max_tokens, max_batch_tokens, max_buckets;
    uint64_t            weights_size;       /* of one session */
    int                 graph_nodes;
    struct aki__lock    lock;               /* a padded run, whole, and the buckets: devices compute one at a time */
    struct bucket       buckets[AKI_MOST_BUCKETS];
    size_t              bucket_count;
    uint64_t            clock;
    int                 elsewhere;          /* nodes that the first session left to the cpu; the self-test has judged that */
    bool                judged;
};

/* ---------------------------------------------------------------- sessions -------------------------------------- */

static void drop(struct device *p, size_t i)
{
    p->rt->api->ReleaseSession(p->buckets[i].session);
    p->buckets[i] = p->buckets[--p->bucket_count];
}

static void drop_oldest(struct device *p)
{
    size_t oldest = 0;

    for (size_t i = 1; i < p->bucket_count; i++)
        if (p->buckets[i].used < p->buckets[oldest].used)
            oldest = i;
    drop(p, oldest);
}

static aki_status make_bucket(struct device *p, size_t texts, size_t length, aki_error *err)
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
static struct bucket *find_bucket(struct device *p, size_t texts, size_t length)
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
static size_t length_of_bucket(const struct device *p, size_t length)
{
    size_t n = LEAST_LENGTH;

    while (n < length)
        n *= 2;
    return n < p->max_tokens ? n : p->max_tokens;
}

static size_t texts_of_bucket(const struct device *p, size_t texts, size_t length)
{
    return texts == 1 ? 1 : texts > 8 && 32 * length <= p->max_batch_tokens ? 32 : 8;
}

/* ---------------------------------------------------------------- runs ------------------------------------------ */

static aki_status run_bucket(struct device *p, struct bucket *bucket, const struct aki__padded_group *g, float *rows_out, aki_error *err)
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
        aki__padded_rows(g, hidden, p->f16, aki__head_columns(p->head, false), rows_out);
    if (result)
        api->ReleaseValue(result);
    aki__padded_tensors_free(p->rt, &t);
    return rc;
}

/* How many of the texts go together: in fixed shapes those of the same length's bucket, else those that are not much shorter than the first, as many
 * as a run may hold. */
static size_t group_size(const struct device *p, const struct aki__padded_group *g, size_t length)
{
    size_t least = p->fixed ? (length > LEAST_LENGTH ? length / 2 + 1 : 1) : length - length / 4;

    if (p->fixed && length == p->max_tokens)
        least = length_of_bucket(p, length / 2) < length ? length_of_bucket(p, length / 2) + 1 : 1;
    return aki__padded_take(g, p->fixed ? texts_of_bucket(p, g->count, length) : p->max_batch_tokens / length, least);
}

static aki_status run_group(void *user, struct aki__padded_group *g, float *rows_out, aki_error *err)
{
    struct device *p = user;
    const size_t longest = aki__padded_tokens(g, 0), rounded = (longest + FREE_ROUNDING - 1) / FREE_ROUNDING * FREE_ROUNDING;
    const size_t length = p->fixed ? length_of_bucket(p, longest) : rounded, count = group_size(p, g, length), texts = p->fixed ? texts_of_bucket(p, count, length) : count;
    aki_status rc = AKI_OK;

    g->count = count;
    aki__lock_acquire(&p->lock);
    struct bucket *bucket = find_bucket(p, texts, length);
    if (!bucket) {
        rc = make_bucket(p, texts, length, err);
        bucket = &p->buckets[p->bucket_count - 1];
    }
    if (!rc) {
        g->rows = p->fixed ? bucket->texts : count;
        g->length = p->fixed ? bucket->length : length;
        rc = run_bucket(p, bucket, g, rows_out, err);
    }
    aki__lock_release(&p->lock);
    return rc;
}

static aki_status run(struct aki__runner *r, const struct aki__batch *b, bool beside, float *out, size_t columns, aki_error *err)
{
    struct device *p = (struct device *)r;

    (void)beside;                           /* it never is */
    return aki__padded_run(run_group, p, p->head, b, out, columns, err);
}

/* ---------------------------------------------------------------- life ------------------------------------------ */

static bool spread(struct aki__runner *r)
{
    (void)r;
    return false;
}

static void info(struct aki__runner *r, struct aki__session_info *out)
{
    struct device *p = (struct device *)r;

    out->hidden = aki__head_columns(p->head, false);
    out->vectors = aki__head_columns(p->head, true);
    aki__lock_acquire(&p->lock);
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
    aki__lock_release(&p->lock);
}

static bool copy_settings(struct device *p, const struct aki__device *d)
{
    bool ok = (p->name = aki__copy_string(d->name, strlen(d->name))) != NULL;

    p->settings = aki__zalloc((size_t)d->option_count, sizeof *p->settings);
    ok = ok && p->settings;
    for (int i = 0; i < d->option_count && ok; i++)
        ok = (p->settings[i] = aki__copy_string(d->options[i], strlen(d->options[i]))) != NULL;
    p->device = (struct aki__device){ .name = p->name, .options = (const char *const *)p->settings, .option_count = p->settings ? d->option_count : 0, .set = d->set };
    return ok;
}

static aki_status copy_graph(struct device *p, const struct aki__graph *g, aki_error *err)
{
    p->graph = *g;
    p->graph.err = NULL;
    p->graph.blocks = aki__alloc(g->count, sizeof *g->blocks);
    if (!p->graph.blocks)
        return aki__fail(err, AKI_E_NOMEM, "session");
    memcpy(p->graph.blocks, g->blocks, g->count * sizeof *g->blocks);
    return aki__padded_inputs_open(&p->inputs, &p->graph, p->f16, err);
}

static void close_runner(struct aki__runner *r)
{
    struct device *p = (struct device *)r;

    while (p->bucket_count)
        drop(p, 0);
    aki__head_close(p->head);
    for (int i = 0; i < p->device.option_count; i++)
        aki__free(p->settings[i]);
    aki__free(p->settings);
    aki__free(p->name);
    aki__padded_inputs_close(&p->inputs);
    aki__free(p->graph.blocks);
    aki__free(p);
}

aki_status aki__runner_open_device(struct aki__runner **out, const struct aki__runtime *rt, const struct aki__graph *g, const struct aki__session_options *options, aki_error *err)
{
    static const struct aki__runner_kind kind = { .info = info, .run = run, .spread = spread, .close = close_runner };
    struct device *p = aki__zalloc(1, sizeof *p);

    *out = NULL;
    if (!p)
        return aki__fail(err, AKI_E_NOMEM, "session");
    p->runner.kind = &kind;
    p->rt = rt;
    p->f16 = options->f16;
    p->fixed = aki__device_is_fixed(options->device);
    p->max_tokens = options->max_tokens;
    p->max_batch_tokens = options->max_batch_tokens;
    p->max_buckets = !p->fixed ? 1 : options->max_buckets < AKI_MOST_BUCKETS ? (size_t)options->max_buckets : AKI_MOST_BUCKETS;
    aki_status rc = copy_settings(p, options->device) ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "session");
    if (!rc) rc = copy_graph(p, g, err);
    if (!rc) rc = aki__head_open(&p->head, g, err);
    if (!rc)                                /* of fixed ones a first, to see that the device takes any at all */
        rc = p->fixed ? make_bucket(p, 1, length_of_bucket(p, 1), err) : make_bucket(p, 0, 0, err);
    if (rc)
        close_runner(&p->runner);
    else
        *out = &p->runner;
    return rc;
}
