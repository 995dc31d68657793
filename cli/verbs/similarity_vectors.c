/* Unit similarity_vectors: `similarity --vectors`: search, and duplicates, in vectors that embed wrote to a .npy file. See similarity.h. */
#include "similarity.h"

#include "cli/streams/input.h"
#include "cli/streams/npy.h"
#include "cli/shell/progress.h"
#include "cli/shell/system.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 10 };
/* A text's own vector is nearer than that, whatever its type and its prompt; that of another text or model is not. */
static const float own_cosine = 0.5f;

struct vectors_job {
    const struct options *o;
    const char *path;
    struct npy  array;
    aki_vectors vectors;
    float      *ranges;                    /* [2, dim] or NULL */
    struct model model;
    float      *query;                     /* [dim] */
    aki_hit    *found;
    struct hit *hits;                      /* [count] */
    size_t      count;
    uint64_t    texts;                     /* in --texts */
};

static int show_progress(void *user, double done)
{
    (void)user;
    progress_share(done);
    return cli_signal != 0;
}

/* FILE.ranges.npy, where --ranges says nothing else; malloc'd. NULL: there is none. */
static char *ranges_path(const struct vectors_job *j)
{
    struct stat st;
    char *path = j->o->embed.ranges ? cli_format("%s", j->o->embed.ranges) : cli_format("%s.ranges.npy", j->path);

    if (path && !j->o->embed.ranges && system_stat(path, &st)) {
        free(path);
        path = NULL;
    }
    return path;
}

/* int8 has the same NumPy type as packed bits: the number of columns tells them apart, where the model's dimension is known. */
static int find_dtype(struct vectors_job *j, uint64_t dim)
{
    const bool is_signed = !strcmp(j->array.type, "|i1"), bytes = is_signed || !strcmp(j->array.type, "|u1");
    char *ranges = bytes ? ranges_path(j) : NULL;
    int rc = CLI_OK;

    if (!dim)
        dim = bytes && !ranges ? j->array.columns * 8 : j->array.columns;
    if (dim > INT32_MAX)
        rc = cli_fail(CLI_INPUT, "%s: vectors of %" PRIu64 " elements", j->path, dim);
    else if (bytes && j->array.columns == (dim + 7) / 8)
        j->vectors.dtype = is_signed ? AKI_DTYPE_BINARY : AKI_DTYPE_UBINARY;
    else if (j->array.columns != dim)
        rc = cli_fail(CLI_INPUT, "%s has vectors of %" PRIu64 " elements, the model's have %" PRIu64 ": they are of another model, or were cut (--dim)", j->path,
                      j->array.columns, dim);
    else if (bytes && !ranges)
        rc = cli_fail(CLI_USAGE, "%s has vectors of %s without their ranges: there is no %s.ranges.npy; name them with --ranges", j->path,
                      is_signed ? "int8" : "uint8", j->path);
    else if (bytes && !(rc = npy_read_ranges(ranges, (size_t)dim, &j->ranges)))
        j->vectors.dtype = is_signed ? AKI_DTYPE_INT8 : AKI_DTYPE_UINT8;
    else if (!rc)
        j->vectors.dtype = !strcmp(j->array.type, "<f4") ? AKI_DTYPE_F32 : AKI_DTYPE_F16;
    free(ranges);
    j->vectors.rows = j->array.data;
    j->vectors.count = (size_t)j->array.rows;
    j->vectors.dim = (int32_t)dim;
    j->vectors.threads = j->o->threads;
    j->vectors.ranges = j->ranges;
    j->vectors.progress = show_progress;
    return rc;
}

static int failed(const struct vectors_job *j, const aki_error *error)
{
    return model_failed(error, j->path);
}

/* ---------------------------------------------------------------- texts ----------------------------------------- */

static bool copy_text(struct hit *hit, const struct batch *b)
{
    const uint64_t i = hit->index - b->first;

    hit->size = b->sizes[i];
    hit->text = malloc(hit->size + 1);
    if (hit->text)
        memcpy(hit->text, b->texts[i], hit->size);
    return hit->text;
}

static int check_count(const struct vectors_job *j)
{
    if (j->texts == j->array.rows)
        return CLI_OK;
    return cli_fail(CLI_INPUT, "%s has %" PRIu64 " texts, %s %" PRIu64 " rows: they do not belong together", j->o->similarity.texts, j->texts, j->path, j->array.rows);
}

/* The texts of the hits; all are read, so that their number is known. */
static int read_texts(struct vectors_job *j)
{
    struct input in = { .fd = -1 };
    struct batch b = { 0 };
    int rc = input_open_beside(&in, j->o->similarity.texts, j->o);

    while (!rc && !(rc = input_batch(&in, &b)) && b.count)
        for (size_t i = 0; i < j->count && !rc; i++)
            if (j->hits[i].index >= b.first && j->hits[i].index - b.first < b.count && !copy_text(&j->hits[i], &b))
                rc = cli_no_memory();
    j->texts = in.taken;
    batch_free(&b);
    input_close(&in);
    return rc ? rc : check_count(j);
}

/* Vectors of another model, or of other texts, have scores that mean nothing: the best hit's text is embedded again to see that it is not so. */
static int check_belonging(const struct vectors_job *j)
{
    const struct hit *best = &j->hits[0];
    const char *text = best->text;
    const size_t dim = (size_t)j->vectors.dim, row_size = (size_t)(j->array.columns * (j->array.type[2] - '0'));
    aki_vectors one = j->vectors;
    aki_embed_options e;
    aki_hit hit;
    aki_error error;
    size_t count = 0;
    float *vector = aki__realloc(NULL, dim, sizeof *vector);
    int rc = vector ? CLI_OK : cli_no_memory();

    one.rows = (const char *)j->array.data + best->index * row_size;
    one.count = 1;
    one.progress = NULL;
    cli_set_voice(true, j->o->verbose);                       /* a warning of an option was given for the query */
    if (!rc)
        rc = similarity_side(&j->model, j->o, AKI_KIND_DOCUMENT, &e);
    cli_set_voice(j->o->quiet, j->o->verbose);
    if (!rc && (aki_embed(j->model.handle, &text, &best->size, 1, &e, vector, dim * sizeof *vector, NULL, NULL, &error) ||
                aki_search(&one, vector, 1, &hit, &count, &error)))
        rc = failed(j, &error);
    if (!rc && count && hit.score < own_cosine)
        cli_warn("row %" PRIu64 " of %s is not the vector that this model gives its text (cosine %.2f): is it of another model, or of other texts?",
                 best->index + 1, j->path, (double)hit.score);
    free(vector);
    return rc;
}

/* ---------------------------------------------------------------- a query --------------------------------------- */

static int find(struct vectors_job *j)
{
    const uint64_t most = j->o->similarity.top ? (uint64_t)j->o->similarity.top : TOP;
    const size_t top = most < j->array.rows ? (size_t)most : (size_t)j->array.rows;
    aki_error error;

    j->found = aki__realloc(NULL, top + 1, sizeof *j->found);
    j->hits = calloc(top + 1, sizeof *j->hits);
    if (!j->found || !j->hits)
        return cli_no_memory();
    if (aki_search(&j->vectors, j->query, top, j->found, &j->count, &error))
        return failed(j, &error);
    for (size_t i = 0; i < j->count; i++)
        j->hits[i] = (struct hit){ .index = j->found[i].row, .score = j->found[i].score };
    return CLI_OK;
}

static int run_query(struct vectors_job *j)
{
    const struct options *o = j->o;
    int rc = model_open(&j->model, o, false);

    if (!rc)
        rc = similarity_query(&j->model, o, &j->query);
    if (!rc)
        rc = find_dtype(j, (uint64_t)model_setting(&j->model, "dim", o->dim));
    if (!rc)
        rc = find(j);
    if (!rc && o->similarity.texts)
        rc = read_texts(j);
    if (!rc && o->similarity.texts && j->count)
        rc = check_belonging(j);
    return rc ? rc : similarity_write(o, j->hits, j->count);
}

/* ---------------------------------------------------------------- duplicates ------------------------------------ */

static void write_duplicate(const struct vectors_job *j, struct sink *out, uint64_t row, bool first, const char *text, size_t size)
{
    const aki_hit *of = &j->found[row];

    if (j->o->json) {
        sink_printf(out, "%s\n{\"index\":%" PRIu64 ",\"line\":%" PRIu64 ",\"of\":%" PRIu64 ",\"of_line\":%" PRIu64 ",\"score\":", first ? "" : ",", row, row + 1,
                    of->row, of->row + 1);
        sink_f32(out, of->score);
        if (text) {
            sink_printf(out, ",\"text\":");
            sink_json(out, text, size);
        }
        sink_bytes(out, "}", 1);
        return;
    }
    sink_printf(out, "%.6f\t%" PRIu64 "\t%" PRIu64, (double)of->score, row + 1, of->row + 1);
    char *line = text ? hits_line(text, size, &size) : NULL;
    if (line) {
        sink_bytes(out, "\t", 1);
        sink_bytes(out, line, size);
    }
    sink_bytes(out, "\n", 1);
    free(line);
}

/* Duplicates with their texts, as these are read; b NULL: without. */
static void write_rows(const struct vectors_job *j, struct sink *out, uint64_t begin, uint64_t end, const struct batch *b, uint64_t *written)
{
    for (uint64_t row = begin; row < end && row < j->array.rows; row++)
        if (j->found[row].row != UINT64_MAX)
            write_duplicate(j, out, row, !(*written)++, b ? b->texts[row - begin] : NULL, b ? b->sizes[row - begin] : 0);
}

static int write_duplicates(struct vectors_job *j)
{
    struct input in = { .fd = -1 };
    struct batch b = { 0 };
    struct sink out;
    uint64_t written = 0;
    int rc = sink_open_stdout(&out);

    if (j->o->json)
        sink_printf(&out, "{\"rows\":%" PRIu64 ",\"duplicates\":[", j->array.rows);
    if (!rc && j->o->similarity.texts)
        rc = input_open_beside(&in, j->o->similarity.texts, j->o);
    while (!rc && j->o->similarity.texts && !(rc = input_batch(&in, &b)) && b.count) {
        write_rows(j, &out, b.first, b.first + b.count, &b, &written);
        rc = sink_flush(&out);
    }
    if (!j->o->similarity.texts)
        write_rows(j, &out, 0, j->array.rows, NULL, &written);
    if (j->o->json)
        sink_printf(&out, "%s]}\n", written ? "\n" : "");
    j->texts = in.taken;
    if (!rc && j->o->similarity.texts)
        rc = check_count(j);
    cli_note("%" PRIu64 " of %" PRIu64 " rows are near to an earlier one", written, j->array.rows);
    batch_free(&b);
    input_close(&in);
    return sink_close(&out, rc);
}

static int run_duplicates(struct vectors_job *j)
{
    const char *text = j->o->similarity.threshold ? j->o->similarity.threshold : "0.95";
    char *end;
    aki_error error;
    const float threshold = strtof(text, &end);

    if (end == text || *end || !(threshold >= -1 && threshold <= 1))
        return cli_fail(CLI_USAGE, "--threshold is a number from -1 to 1, not '%s'", text);
    int rc = find_dtype(j, 0);
    j->found = rc ? NULL : aki__realloc(NULL, (size_t)j->array.rows + 1, sizeof *j->found);
    if (!rc && !j->found)
        rc = cli_no_memory();
    if (!rc && aki_duplicates(&j->vectors, threshold, j->found, &error))
        rc = failed(j, &error);
    progress_end();
    return rc ? rc : write_duplicates(j);
}

/* ---------------------------------------------------------------- both ------------------------------------------ */

static int check_options(const struct options *o)
{
    if (o->file || o->word_count > !o->similarity.duplicates)
        return cli_fail(CLI_USAGE, o->similarity.duplicates ? "--duplicates takes no query and no --file: rows of --vectors are compared with each other"
                                                            : "--vectors takes the place of texts; --texts FILE says which they were made of");
    if (o->similarity.threshold && !o->similarity.duplicates)
        return cli_fail(CLI_USAGE, "--threshold is for --duplicates");
    return CLI_OK;
}

int similarity_vectors(const struct options *o)
{
    struct vectors_job j = { .o = o, .path = o->similarity.vectors };
    int rc = check_options(o);

    aki_vectors_init(&j.vectors, sizeof j.vectors);
    if (!rc)
        rc = npy_map(&j.array, j.path);
    progress_start();
    if (!rc)
        rc = o->similarity.duplicates ? run_duplicates(&j) : run_query(&j);
    progress_end();
    for (size_t i = 0; i < j.count; i++)
        free(j.hits[i].text);
    free(j.hits);
    free(j.found);
    free(j.query);
    free(j.ranges);
    npy_unmap(&j.array);
    model_close(&j.model);
    return rc;
}
