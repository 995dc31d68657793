/* Unit runner: the portable dialect on a device. See runner.h.
 *
 * Where a device takes any shape there is one session. Where it wants fixed ones there is a session for each (texts, length) that is needed,
 * made when it is, and the one that was not used for longest goes when there are too many.
 *
 * Such a session is a program of its own, which may be wrong where the one that the self-test has seen was right: CoreML's on the GPU of macOS 26.2
 * is for 10 texts and more. So its first run is of a known text in every row, compared with the cpu's vectors. */
#include "ort/device_cache.h"
#include "ort/padded_inputs.h"
#include "ort/runner.h"

#include <math.h>
#include <stdio.h>

enum { LEAST_LENGTH = 16, FREE_ROUNDING = 8, MOST_REFUSED = 32, REASON = 220 };

/* A session for texts × length; both 0: for any. */
struct bucket {
    size_t      texts, length;
    OrtSession *session;
    struct aki__device_cache cache;
    uint64_t    used;                       /* when last */
    int         set;                        /* of options */
    bool        compared;                   /* with the known text */
    struct aki__device_nodes nodes;
};

/* A program that was wrong, or not to be had. */
struct refused { size_t texts, length; int set; char why[REASON]; };

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
    struct aki__known   known;              /* batch NULL: nothing is known yet */
    struct refused      refused[MOST_REFUSED];      /* never taken out again */
    size_t              refused_count;
};

/* ---------------------------------------------------------------- sessions -------------------------------------- */

static void close_bucket(const struct device *p, struct bucket *b)
{
    p->rt->api->ReleaseSession(b->session);
    aki__device_cache_close(&b->cache);
}

static void drop(struct device *p, size_t i)
{
    close_bucket(p, &p->buckets[i]);
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

static aki_status make_bucket(struct device *p, size_t texts, size_t length, int set, aki_error *err)
{
    const struct aki__portable_options o = { .f16 = p->f16, .batch = (int64_t)texts, .sequence = (int64_t)length };
    struct bucket b = { .texts = texts, .length = length, .set = set };
    struct aki__device device = p->device;
    struct aki__onnx onnx = { 0 };
    struct aki__buf bytes = { 0 };

    device.set = set;
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
    if (!rc) rc = aki__device_session(&b.session, &b.nodes, &b.cache, p->rt, &device, bytes.data, bytes.size, err);
    aki__buf_free(&bytes);
    if (rc)
        return rc;
    /* What the device does not take in another shape would be computed by the cpu, silently. */
    if (p->judged && b.nodes.elsewhere > p->elsewhere) {
        close_bucket(p, &b);
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

/* *hidden: [rows, length, hidden] of the group, in *result, which is the caller's to release, also on failure. */
static aki_status compute(struct device *p, struct bucket *bucket, const struct aki__padded_group *g, OrtValue **result, void **hidden, aki_error *err)
{
    static const char *const output = "last_hidden_state";
    const OrtApi *api = p->rt->api;
    struct aki__padded_tensors t = { 0 };

    bucket->used = ++p->clock;
    aki_status rc = aki__padded_fill(&p->inputs, p->rt, g, &t, err);
    OrtStatus *st = rc ? NULL : api->Run(bucket->session, NULL, t.names, (const OrtValue *const *)t.values, t.count, &output, 1, result);
    if (!rc && !st) st = api->GetTensorMutableData(*result, hidden);
    if (!rc) rc = aki__ort_status(p->rt, st, "run", err);
    aki__padded_tensors_free(p->rt, &t);
    return rc;
}

static aki_status run_bucket(struct device *p, struct bucket *bucket, const struct aki__padded_group *g, float *rows_out, aki_error *err)
{
    OrtValue *result = NULL;
    void *hidden = NULL;
    aki_status rc = compute(p, bucket, g, &result, &hidden, err);

    if (!rc)
        aki__padded_rows(g, hidden, p->f16, aki__head_columns(p->head, false), rows_out);
    if (result)
        p->rt->api->ReleaseValue(result);
    return rc;
}

/* ---------------------------------------------------------------- programs that are compared -------------------- */

static double cosine(const float *a, const float *b, size_t columns)
{
    double aa = 0, bb = 0, ab = 0;

    for (size_t i = 0; i < columns; i++) {
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
        ab += (double)a[i] * b[i];
    }
    return ab / sqrt(aa * bb);              /* NaN of NaN, and of zeros */
}

/* The least cosine of the rows of a run of the known text. g: its rows hold the lengths that fit, the longest first, again and again; rows and
 * vectors: room for those of all lengths. */
static aki_status least_cosine(const struct device *p, const struct aki__padded_group *g, const char *hidden, float *rows, float *vectors, double *least, aki_error *err)
{
    const size_t columns = aki__head_columns(p->head, false), row_size = g->length * columns * (p->f16 ? sizeof(uint16_t) : sizeof(float)), lengths = g->texts[0] + 1;
    aki_status rc = AKI_OK;

    *least = 1;
    for (size_t first = 0; first < g->rows && !rc; first += lengths) {
        struct aki__padded_group wave = *g;
        wave.texts += first;
        wave.count = g->rows - first < lengths ? g->rows - first : lengths;
        aki__padded_rows(&wave, hidden + first * row_size, p->f16, columns, rows);
        rc = aki__head_run(p->head, g->b, rows, vectors, err);
        for (size_t i = 0; i < wave.count && !rc; i++) {
            double c = cosine(vectors + wave.texts[i] * p->known.columns, p->known.vectors + wave.texts[i] * p->known.columns, p->known.columns);
            *least = isnan(*least) || c >= *least ? *least : c;
        }
    }
    return rc;
}

/* Computes the known text, in as many rows and tokens as the shape has. UNAVAILABLE: its vectors are not the cpu's. */
static aki_status compare(struct device *p, struct bucket *bucket, aki_error *err)
{
    const struct aki__batch *b = p->known.batch;
    size_t lengths = 0;
    size_t *texts = aki__alloc(bucket->texts, sizeof *texts);
    float *rows = aki__zalloc(b->row_count, aki__head_columns(p->head, false) * sizeof *rows), *vectors = aki__alloc(b->vectors, p->known.columns * sizeof *vectors);
    OrtValue *result = NULL;
    void *hidden = NULL;
    double least = 0;
    aki_error own = { 0 };
    aki_status rc = texts && rows && vectors ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "a run of the known text");

    while (lengths < b->texts && (size_t)(b->starts[lengths + 1] - b->starts[lengths]) <= bucket->length)
        lengths++;
    for (size_t i = 0; i < bucket->texts && !rc; i++)
        texts[i] = lengths - 1 - i % lengths;
    const struct aki__padded_group g = { .b = b, .texts = texts, .count = bucket->texts, .rows = bucket->texts, .length = bucket->length };
    if (!rc && compute(p, bucket, &g, &result, &hidden, &own)) rc = aki__fail(err, own.status == AKI_E_NOMEM ? own.status : AKI_E_UNAVAILABLE, "%s", own.message);
    if (!rc) rc = least_cosine(p, &g, hidden, rows, vectors, &least, err);
    if (result)
        p->rt->api->ReleaseValue(result);
    aki__free(vectors);
    aki__free(rows);
    aki__free(texts);
    if (!rc && !(least >= p->known.bound))
        rc = aki__fail(err, AKI_E_UNAVAILABLE, "cosine %.7f (bound %g)", least, p->known.bound);
    return rc;
}

static struct refused *find_refused(struct device *p, size_t texts, size_t length, int set)
{
    for (size_t i = 0; i < p->refused_count; i++)
        if (p->refused[i].texts == texts && p->refused[i].length == length && p->refused[i].set == set)
            return &p->refused[i];
    return NULL;
}

static const char *refuse(struct device *p, size_t texts, size_t length, int set, const char *why)
{
    struct aki__device device = p->device;
    char name[80] = "";

    if (p->refused_count == MOST_REFUSED)
        p->refused_count--;                 /* the first stays, and the others may be tried again */
    device.set = set;
    if (aki__device_sets(&device) > 1)
        aki__device_set_name(&device, name, sizeof name);
    struct refused *r = &p->refused[p->refused_count++];
    *r = (struct refused){ .texts = texts, .length = length, .set = set };
    snprintf(r->why, REASON, "%zu x %zu tokens%s%s: %.110s", texts, length, name[0] ? ", " : "", name, why);
    return r->why;
}

/* A session of that shape that computes the known text rightly, by the first option set that has one. UNAVAILABLE: none has. */
static aki_status ready_bucket(struct device *p, size_t texts, size_t length, struct bucket **out, aki_error *err)
{
    const int sets = p->known.batch ? aki__device_sets(&p->device) : p->device.set + 1;       /* the self-test is of one */
    struct bucket *b = find_bucket(p, texts, length);
    aki_status rc = AKI_E_UNAVAILABLE;
    aki_error own = { 0 };
    const char *why = NULL;

    for (int set = p->device.set; rc == AKI_E_UNAVAILABLE && (b || set < sets); b = NULL) {
        const size_t n = b ? b->texts : texts, tokens = b ? b->length : length;
        const int with = b ? b->set : set++;
        const struct refused *before = find_refused(p, n, tokens, with);
        if (before) {
            why = before->why;
            continue;
        }
        rc = b ? AKI_OK : make_bucket(p, n, tokens, with, &own);
        *out = b ? b : &p->buckets[p->bucket_count - 1];
        if (!rc && p->known.batch && !(*out)->compared) {
            rc = compare(p, *out, &own);
            (*out)->compared = rc == AKI_OK;
            if (rc)
                drop(p, (size_t)(*out - p->buckets));
        }
        if (rc == AKI_E_UNAVAILABLE && p->known.batch)
            why = refuse(p, n, tokens, with, own.message);
    }
    if (why && rc == AKI_E_UNAVAILABLE)
        return aki__fail(err, rc, "device \"%.40s\" has no right program of this shape: %s", p->name, why);
    if (rc && err)
        *err = own;
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
    const size_t length = p->fixed ? length_of_bucket(p, longest) : rounded;
    size_t count = group_size(p, g, length), texts = p->fixed ? texts_of_bucket(p, count, length) : count;
    struct bucket *bucket = NULL;
    aki_status rc;

    g->count = count;
    aki__lock_acquire(&p->lock);
    rc = ready_bucket(p, texts, length, &bucket, err);
    for (; rc == AKI_E_UNAVAILABLE && p->known.batch && texts > 1; g->count = count) {
        texts = texts > 8 ? 8 : 1;
        count = count < texts ? count : texts;
        rc = ready_bucket(p, texts, length, &bucket, err);
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
    out->refused = p->refused_count ? p->refused[0].why : NULL;
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

static void know(struct aki__runner *r, const struct aki__known *known) { ((struct device *)r)->known = *known; }

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
    static const struct aki__runner_kind kind = { .info = info, .run = run, .spread = spread, .know = know, .close = close_runner };
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
        rc = p->fixed ? make_bucket(p, 1, length_of_bucket(p, 1), p->device.set, err) : make_bucket(p, 0, 0, p->device.set, err);
    if (rc)
        close_runner(&p->runner);
    else
        *out = &p->runner;
    return rc;
}
