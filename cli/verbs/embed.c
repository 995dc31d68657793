/* Unit embed: the verb `embed`: texts in, rows of vectors out, a batch at a time. See embed.h. */
#include "embed.h"

#include "cli/streams/npy.h"
#include "cli/shell/progress.h"
#include "util/hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- options --------------------------------------- */

/* A name that ends in nothing known is refused rather than filled with something else than it says; one without an end is JSON lines. */
static int find_format(const struct options *o, int *format)
{
    static const struct { const char *end; int format; } ends[] = {
        { ".npy", FORMAT_NPY }, { ".csv", FORMAT_CSV }, { ".json", FORMAT_JSON }, { ".raw", FORMAT_RAW }, { ".jsonl", FORMAT_JSONL }, { ".ndjson", FORMAT_JSONL },
    };

    *format = o->embed.format ? o->embed.format : FORMAT_JSONL;
    if (o->embed.format || !o->output)
        return CLI_OK;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (cli_has_end(o->output, ends[i].end)) {
            *format = ends[i].format;
            return CLI_OK;
        }
    }
    const char *name = strrchr(o->output, '/'), *dot;
    name = name ? name + 1 : o->output;
    dot = *name ? strrchr(name + 1, '.') : NULL;
    return dot ? cli_fail(CLI_USAGE, "-o %s: no format is called '%s'; there are .jsonl, .json, .npy, .raw and .csv, or --format says which", o->output, dot) : CLI_OK;
}

static int check_tokens(const struct options *o, int format)
{
    static const struct { size_t field; const char *name; } senseless[] = {
        { offsetof(struct options, dim), "dim" }, { offsetof(struct options, pooling), "pooling" },
        { offsetof(struct options, embed.dtype), "dtype" },
        { offsetof(struct options, embed.no_normalize), "no-normalize" }, { offsetof(struct options, embed.ranges), "ranges" },
        { offsetof(struct options, embed.calibrate), "calibrate" },
    };

    for (size_t i = 0; i < sizeof senseless / sizeof *senseless; i++)
        if (options_typed(o, senseless[i].field))
            return cli_fail(CLI_USAGE, "--%s says nothing about the vectors of --tokens, which are hidden states in f32", senseless[i].name);
    if (OPTIONS_TYPED(o, embed.overlap) || OPTIONS_TYPED(o, embed.chunk_pool))
        return cli_fail(CLI_USAGE, "--%s does not go with --tokens: a text that is too long is cut (--truncate)",
                        OPTIONS_TYPED(o, embed.overlap) ? "overlap" : "chunk-pool");
    if (format == FORMAT_RAW || format == FORMAT_CSV)
        return cli_fail(CLI_USAGE, "--tokens is written as jsonl or json, or as npy for one text");
    if (format == FORMAT_NPY && o->embed.resume)
        return cli_fail(CLI_USAGE, "--resume does not go with --tokens as npy");
    return CLI_OK;
}

/* Which options go together; nothing is opened yet. */
static int check_options(const struct options *o, int format)
{
    int dtype = o->embed.dtype ? o->embed.dtype - 1 : AKI_DTYPE_F32;
    bool ranged = dtype == AKI_DTYPE_INT8 || dtype == AKI_DTYPE_UINT8;

    if (o->embed.resume && !o->output)
        return cli_fail(CLI_USAGE, "--resume needs -o FILE");
    if (o->embed.resume && format == FORMAT_JSON)
        return cli_fail(CLI_USAGE, "--resume goes with --format jsonl, npy, raw or csv, not with json");
    if (o->embed.tokens)
        return check_tokens(o, format);
    if (ranged && !o->embed.ranges && !o->embed.calibrate)
        return cli_fail(CLI_USAGE, "--dtype int8 and uint8 need --ranges FILE.npy or --calibrate TEXTS");
    if (!ranged && (OPTIONS_TYPED(o, embed.ranges) || OPTIONS_TYPED(o, embed.calibrate)))
        return cli_fail(CLI_USAGE, "--ranges and --calibrate are for --dtype int8 and uint8");
    if (!o->embed.chunk && (OPTIONS_TYPED(o, embed.overlap) || OPTIONS_TYPED(o, embed.chunk_pool)))
        return cli_fail(CLI_USAGE, "--overlap and --chunk-pool need --chunk");
    if (o->embed.chunk && o->embed.overlap >= o->embed.chunk)
        return cli_fail(CLI_USAGE, "--overlap is less than --chunk, not '%d'", o->embed.overlap);
    if (o->embed.chunk && o->embed.chunk_pool && dtype != AKI_DTYPE_F32)
        return cli_fail(CLI_USAGE, "--chunk-pool gives vectors of --dtype f32 only");
    return CLI_OK;
}

static void plan_layout(struct embed_job *j, int format)
{
    static const size_t element_sizes[] = { 4, 2, 1, 1, 1, 1 };       /* by AKI_DTYPE_* */
    size_t dim = (size_t)model_setting(&j->model, "dim", j->o->dim);
    int dtype = j->options.dtype;

    j->layout = (struct layout){ .format = format, .dtype = dtype, .elements = dim, .element_size = element_sizes[dtype],
                                 .chunks = j->o->embed.chunk && !j->o->embed.chunk_pool,
                                 .chunk_counts = j->o->embed.chunk && j->o->embed.chunk_pool,
                                 .tokens = j->o->embed.tokens };
    if (dtype == AKI_DTYPE_BINARY || dtype == AKI_DTYPE_UBINARY)
        j->layout.elements = aki_embed_bound(j->model.handle, 1, &j->options);
    if (j->o->embed.tokens)
        j->layout.elements = (size_t)j->model.info.hidden;
}

/* Members that rows have themselves; such members of the input's objects are left out. */
static const char *const *reserved_members(const struct layout *layout)
{
    static const char *const plain[] = { "index", "tokens", "embedding", NULL };
    static const char *const chunks[] = { "index", "tokens", "embedding", "chunk", "begin", "end", NULL };
    static const char *const pooled[] = { "index", "tokens", "embedding", "chunks", NULL };
    static const char *const tokens[] = { "index", "tokens", "embeddings", "ids", "pieces", "spans", NULL };

    return layout->tokens ? tokens : layout->chunks ? chunks : layout->chunk_counts ? pooled : plain;
}

/* ---------------------------------------------------------------- computing ------------------------------------- */

int embed_failed(struct embed_job *j, const aki_error *error, uint64_t number)
{
    char where[512];

    return model_failed(error, input_where(&j->input, number, where, sizeof where));
}

int embed_cancel(void *job)
{
    struct embed_job *j = job;
    aki_model_info info;

    aki_model_info_init(&info, sizeof info);
    if (!aki_model_get_info(j->model.handle, &info, NULL))
        progress_tick(info.tokens - j->tokens_before, j->input.consumed);
    return cli_signal != 0;
}

void embed_progress(struct embed_job *j)
{
    progress_show(j->done, j->tokens_done, j->input.consumed, j->input.total);
}

static bool reserve_vectors(struct embed_job *j, size_t count)
{
    size_t size = aki_embed_bound(j->model.handle, count, &j->options);

    if (size > j->vectors_size) {
        if (!cli_resize(&j->vectors, size, 1))
            return false;
        j->vectors_size = size;
    }
    if (count > j->count_capacity) {
        if (!cli_resize(&j->tokens, count, sizeof *j->tokens) || !cli_resize(&j->truncated, count, sizeof *j->truncated))
            return false;
        j->count_capacity = count;
    }
    return true;
}

int embed_compute(struct embed_job *j, const char *const *texts, const size_t *sizes, const uint64_t *numbers, size_t count)
{
    aki_error error;

    if (!reserve_vectors(j, count))
        return cli_no_memory();
    aki_status status = aki_embed(j->model.handle, texts, sizes, count, &j->options, j->vectors, j->vectors_size, j->tokens, j->truncated,
                                  &error);
    if (status && error.item >= 0 && (size_t)error.item < count)
        return embed_failed(j, &error, numbers ? numbers[error.item] : j->batch.first + (uint64_t)error.item);
    if (status)
        return model_failed(&error, NULL);
    for (size_t i = 0; i < count; i++) {
        j->tokens_done += (uint64_t)j->tokens[i];
        j->cut += j->truncated[i];
    }
    j->done += count;
    embed_progress(j);
    return CLI_OK;
}

static int embed_texts(struct embed_job *j)
{
    const struct batch *b = &j->batch;
    size_t vector_size = j->layout.elements * j->layout.element_size;
    int rc = embed_compute(j, b->texts, b->sizes, NULL, b->count);

    for (size_t i = 0; i < b->count && !rc; i++, j->row++) {
        const struct piece *piece = &b->pieces[i];
        struct row row = { .index = b->first + i, .tokens = j->tokens[i], .extra = b->data.data + piece->extra, .extra_size = piece->extra_size,
                           .vector = j->vectors + i * vector_size };
        if (j->row >= j->output.kept)
            output_row(&j->output, &row);
    }
    return rc;
}

/* An element that is the same in all texts has no range to be divided. */
static void warn_of_points(const char *path, const float *ranges, size_t dim, uint64_t texts)
{
    size_t points = 0;

    for (size_t i = 0; i < dim; i++)
        points += ranges[i] == ranges[dim + i];
    if (points)
        cli_warn("--calibrate %s: %zu of %zu elements are the same in its %" PRIu64 " text%s, and tell nothing apart in the results: calibrate with "
                 "some hundred different texts", path, points, dim, texts, texts == 1 ? "" : "s");
}

/* The ranges of the vectors that the texts of a file have. */
static int calibrate(struct embed_job *j)
{
    struct input in;
    struct batch b = { 0 };
    aki_embed_options e = j->options;
    size_t dim = (size_t)model_setting(&j->model, "dim", j->o->dim);
    float *vectors = NULL, *ranges = aki__realloc(NULL, dim, 4 * sizeof *ranges), *part = ranges ? ranges + 2 * dim : NULL;
    aki_error error;
    char where[512];
    int rc = input_open_beside(&in, j->o->embed.calibrate, j->o);

    input_set_pace(&in, j->model.info.parameters);
    if (!rc && !ranges)
        rc = cli_no_memory();
    e.dtype = AKI_DTYPE_F32;
    while (!rc && !(rc = input_batch(&in, &b)) && b.count) {
        size_t size = b.count * dim * sizeof *vectors;
        if (!cli_resize(&vectors, size, 1)) {
            rc = cli_no_memory();
            break;
        }
        if (aki_embed(j->model.handle, b.texts, b.sizes, b.count, &e, vectors, size, NULL, NULL, &error)) {
            rc = model_failed(&error, error.item < 0 ? NULL : input_where(&in, b.first + (uint64_t)error.item, where, sizeof where));
            break;
        }
        aki_ranges(vectors, b.count, dim, part);
        for (size_t i = 0; i < dim; i++) {
            ranges[i] = b.first && ranges[i] < part[i] ? ranges[i] : part[i];
            ranges[dim + i] = b.first && ranges[dim + i] > part[dim + i] ? ranges[dim + i] : part[dim + i];
        }
    }
    if (!rc && !in.taken)
        rc = cli_fail(CLI_INPUT, "%s: no texts to calibrate with", j->o->embed.calibrate);
    if (!rc)
        warn_of_points(j->o->embed.calibrate, ranges, dim, in.taken);
    if (!rc) {
        j->ranges = ranges;
        ranges = NULL;
    }
    free(ranges);
    free(vectors);
    batch_free(&b);
    input_close(&in);
    return rc;
}

/* ---------------------------------------------------------------- the verb -------------------------------------- */

/* The lines of FILE.resume. What a model is, is said in words; the hash tells others of the same shape. */
static int made_of(const struct embed_job *j, struct aki__buf *out)
{
    static const char *const forms[] = { "lines", "jsonl", "null", "csv" };
    const aki_model_info *info = &j->model.info;
    const size_t dim = (size_t)model_setting(&j->model, "dim", j->o->dim);
    uint64_t hash;
    int rc = model_hash(&j->model, &hash);
    char *text = rc ? NULL : cli_format("akiembed: %s\nmodel: %s, %" PRId64 " parameters, %016" PRIx64 "\nprecision: %s\ndevice: %s\ntexts as: %s %s\nformat: %s\n"
                                        "ranges: %016" PRIx64 "\n", aki_version(), info->architecture, info->parameters, hash,
                                        OPTION_CHOICE_NAME(precision, info->precision), info->device, j->input.words ? "arguments" : forms[j->input.form],
                                        j->input.field ? j->input.field : "", OPTION_CHOICE_NAME(embed.format, j->layout.format),
                                        j->ranges ? aki__hash(j->ranges, 2 * dim * sizeof *j->ranges, 0) : 0);

    if (rc)
        return rc;
    /* Where ranges come from does not matter, they are above. */
    struct options o = *j->o;
    o.embed.ranges = o.embed.calibrate = NULL;
    if (text)
        aki__buf_append(out, text, strlen(text), CLI_CEILING);
    options_write(&o, "Text", out);
    options_write(&o, "Vector", out);
    aki__buf_append(out, "", 1, CLI_CEILING);
    free(text);
    if (!text || out->failed)
        return cli_no_memory();
    out->size--;
    return CLI_OK;
}

/* FILE.ranges.npy, so that queries get the same. */
static int keep_ranges(const struct embed_job *j)
{
    char *path = j->ranges && j->unfinished.path ? cli_format("%s.ranges.npy", j->o->output) : NULL;
    int rc = path ? npy_write_ranges(path, (size_t)model_setting(&j->model, "dim", j->o->dim), j->ranges) : CLI_OK;

    free(path);
    return rc;
}

static int open_output(struct embed_job *j)
{
    const struct options *o = j->o;
    const enum unfinished_how how = o->embed.resume ? UNFINISHED_RESUME : o->embed.force ? UNFINISHED_FORCE : UNFINISHED_NEW;
    struct aki__buf lines = { 0 };
    int rc = o->output ? made_of(j, &lines) : CLI_OK;

    if (!rc)
        rc = unfinished_open(&j->unfinished, o->output, &lines, how, j->layout.format != FORMAT_JSON);
    if (!rc)
        rc = keep_ranges(j);
    if (!rc)
        rc = output_open(&j->output, o->output, &j->layout, j->unfinished.rows);
    aki__buf_free(&lines);
    return rc;
}

static int open_all(struct embed_job *j, int format)
{
    const struct options *o = j->o;
    int rc = model_open(&j->model, o, false);

    if (!rc)
        rc = model_gives(&j->model, false);
    if (!rc)
        rc = model_embed_options(&j->model, o, &j->options);
    if (rc)
        return rc;
    if (o->embed.tokens) {
        j->options.dim = j->options.pooling = j->options.normalize = 0;
        j->options.dtype = AKI_DTYPE_F32;
    }
    j->options.cancel = embed_cancel;
    j->options.cancel_user = j;
    j->limit = (int)model_setting(&j->model, "max_tokens", o->max_tokens);
    plan_layout(j, format);
    if (o->embed.chunk && !o->embed.tokens)
        rc = chunk_open(&j->chunker, j->model.handle, &j->options, o->embed.chunk, o->embed.overlap, j->limit);
    size_t dim = (size_t)model_setting(&j->model, "dim", o->dim);
    if (!rc && (j->options.dtype == AKI_DTYPE_INT8 || j->options.dtype == AKI_DTYPE_UINT8))
        rc = o->embed.ranges ? npy_read_ranges(o->embed.ranges, dim, &j->ranges) : calibrate(j);
    j->options.ranges = j->ranges;
    if (!rc)
        rc = input_open(&j->input, o, 0);
    if (rc)
        return rc;
    if (o->output && input_is(&j->input, o->output))
        return cli_fail(CLI_USAGE, "-o %s is the file that the texts are read from", o->output);
    input_set_pace(&j->input, j->model.info.parameters);
    j->input.reserved = reserved_members(&j->layout);
    /* Whoever reads a pipe may wait for the answer before writing on. */
    j->input.eager = !o->output && j->layout.format != FORMAT_NPY;
    /* A mistake that the first texts show leaves an output of before as it is; one that is resumed is not begun anew anyway. */
    if (o->embed.resume)
        rc = open_output(j);
    if (!rc)
        rc = input_batch(&j->input, &j->batch);
    return rc || o->embed.resume ? rc : open_output(j);
}

/* Rows of a batch that are all there from an earlier run are passed over. One that is there in part is computed whole again: f32
 * results may depend, in the last bit, on what is computed together, and a resumed file is the same as one written at once. */
static bool pass_over(struct embed_job *j)
{
    if (j->layout.chunks || j->row + j->batch.count > j->output.kept)
        return false;
    j->row += j->batch.count;
    progress_skip(j->input.consumed);
    return true;
}

static int run_batches(struct embed_job *j)
{
    aki_model_info info;
    int rc = CLI_OK;

    aki_model_info_init(&info, sizeof info);
    if (!aki_model_get_info(j->model.handle, &info, NULL))
        j->tokens_before = info.tokens;
    progress_start();
    progress_show(0, 0, 0, j->input.total);
    for (; !rc && j->batch.count; rc = rc ? rc : input_batch(&j->input, &j->batch)) {
        j->texts += j->batch.count;
        rc = unfinished_texts(&j->unfinished, &j->batch);
        if (rc)
            return rc;
        if (j->layout.tokens && j->layout.format == FORMAT_NPY && j->texts > 1)
            return cli_fail(CLI_USAGE, "--tokens as npy is for one text; there are more");
        if (pass_over(j))
            continue;
        rc = j->layout.tokens ? embed_tokens(j) : j->layout.chunks || j->layout.chunk_counts ? embed_chunks(j) : embed_texts(j);
        if (!rc)
            rc = output_flush(&j->output);
        if (!rc)
            rc = unfinished_mark(&j->unfinished, j->row);
        if (!rc && cli_signal)
            rc = CLI_STOPPED + cli_signal;
    }
    if (!rc && j->row < j->output.kept)
        rc = cli_fail(CLI_INPUT, "%s has %" PRIu64 " rows, but the texts give %" PRIu64 ": it is of another input", j->o->output, j->output.kept,
                      j->row);
    return rc;
}

/* For -v: what did not have to be computed. */
static void report_reuse(const struct embed_job *j)
{
    aki_model_info info;

    aki_model_info_init(&info, sizeof info);
    if (!j->model.handle || aki_model_get_info(j->model.handle, &info, NULL))
        return;
    if (info.texts_reused)
        cli_note("%" PRIu64 " texts were equal to another one of their batch", info.texts_reused);
    if (info.tokens_reused)
        cli_note("%" PRIu64 " tokens were in the prefix cache", info.tokens_reused);
}

static void report_end(const struct embed_job *j, int rc)
{
    const bool left = j->cut && model_setting(&j->model, "truncate", j->options.truncate) == AKI_TRUNCATE_LEFT;

    if (j->cut)
        cli_warn("%" PRIu64 " of %" PRIu64 " texts cut to %d tokens, on the %s", j->cut, j->done, j->limit, left ? "left" : "right");
    if (j->input.dropped)
        cli_warn("%zu members of the input's objects have a name that rows have themselves (index, tokens, ...): they are left out",
                 j->input.dropped);
    if (rc >= CLI_STOPPED && j->o->output)
        cli_warn("stopped; %s has %" PRIu64 " rows, all whole%s", j->o->output, j->output.sink.rows,
                 j->layout.format == FORMAT_JSON ? "" : "; --resume goes on");
}

int embed_run(const struct options *o)
{
    struct embed_job j = { .o = o, .input.fd = -1, .output.sink.fd = -1, .output.spill.fd = -1, .unfinished.fd = -1 };
    int format, rc = find_format(o, &format);

    if (!rc)
        rc = check_options(o, format);
    if (!rc)
        rc = open_all(&j, format);
    if (!rc)
        rc = run_batches(&j);
    progress_end();
    report_end(&j, rc);
    report_reuse(&j);
    const bool has_rows = j.output.rows;
    rc = output_close(&j.output, rc);
    rc = unfinished_close(&j.unfinished, rc, has_rows);
    batch_free(&j.batch);
    input_close(&j.input);
    chunk_free(&j.chunker);
    free(j.ranges);
    free(j.vectors);
    free(j.tokens);
    free(j.truncated);
    model_close(&j.model);
    return rc;
}
