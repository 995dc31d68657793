/* Unit similarity: the verb `similarity`: texts sorted by how near they are to a query. */
#include "cli/streams/input.h"
#include "cli/hub/model.h"
#include "cli/shell/progress.h"
#include "cli/shell/sink.h"
#include "cli/shell/terminal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A text that may come out: all of them, or with --top the best so far. */
struct hit {
    char    *text;                         /* malloc'd */
    size_t   size;
    uint64_t index;
    float    score;
};

struct similarity_job {
    const struct options *o;
    struct model      model;
    aki_embed_options query, document;
    struct input      input;
    struct batch      batch;
    float            *query_vector;        /* [dim] */
    float            *vectors;             /* [BATCH_TEXTS, dim] */
    size_t            dim;
    struct hit       *hits;                /* [count] */
    size_t            count, capacity;
    uint64_t          tokens, cut;
};

/* The nearest first; of equals, the earlier. */
static int compare(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

static void keep_best(struct similarity_job *j)
{
    size_t top = j->o->similarity.top ? (size_t)j->o->similarity.top : SIZE_MAX;

    if (j->count)
        qsort(j->hits, j->count, sizeof *j->hits, compare);
    while (j->count > top)
        free(j->hits[--j->count].text);
}

static bool add_hit(struct similarity_job *j, size_t i, float score)
{
    if (!cli_room_for_one(&j->hits, j->count, &j->capacity, sizeof *j->hits))
        return false;
    struct hit *hit = &j->hits[j->count];
    *hit = (struct hit){ .text = malloc(j->batch.sizes[i] + 1), .size = j->batch.sizes[i], .index = j->batch.first + i, .score = score };
    if (!hit->text)
        return false;
    memcpy(hit->text, j->batch.texts[i], hit->size);
    j->count++;
    return true;
}

static int score_batch(struct similarity_job *j)
{
    float scores[BATCH_TEXTS];
    int32_t tokens[BATCH_TEXTS];
    uint8_t truncated[BATCH_TEXTS];
    aki_error error;
    char where[512];
    size_t count = j->batch.count;

    if (aki_embed(j->model.handle, j->batch.texts, j->batch.sizes, count, &j->document, j->vectors, count * j->dim * sizeof(float), tokens,
                  truncated, &error))
        return model_failed(&error, error.item < 0 ? NULL : input_where(&j->input, j->batch.first + (uint64_t)error.item, where, sizeof where));
    aki_similarity(j->query_vector, 1, j->vectors, count, j->dim, scores);
    for (size_t i = 0; i < count; i++) {
        if (!add_hit(j, i, scores[i]))
            return cli_no_memory();
        j->tokens += (uint64_t)tokens[i];
        j->cut += truncated[i];
    }
    if (j->o->similarity.top)
        keep_best(j);
    progress_show(j->batch.first + count, j->tokens, j->input.consumed, j->input.total);
    return CLI_OK;
}

/* ---------------------------------------------------------------- output ---------------------------------------- */

/* The text in one line: what would break it, or steer a terminal, becomes a blank. Malloc'd. */
static char *one_line(const struct hit *hit, size_t *size)
{
    char *line = malloc(hit->size + 1);
    size_t at = 0;

    for (size_t i = 0; line && i < hit->size;) {
        const char *next = hit->text + i;
        uint32_t code = aki__utf8_next(&next);
        size_t length = (size_t)(next - hit->text) - i;
        bool steers = code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029 || (code >= 0x202A && code <= 0x202E) ||
                      (code >= 0x2066 && code <= 0x2069);
        if (steers)
            line[at++] = ' ';
        else
            memcpy(line + at, hit->text + i, length);
        at += steers ? 0 : length;
        i += length;
    }
    *size = at;
    return line;
}

static int write_table(struct similarity_job *j, struct sink *out)
{
    enum { BAR = 20 };
    size_t width = terminal_width(STDOUT_FILENO), taken = 8 + (width >= 60 ? BAR + 2 : 0);

    for (size_t i = 0; i < j->count; i++) {
        size_t size, cut;
        char bar[128], *line = one_line(&j->hits[i], &size);
        if (!line)
            return cli_no_memory();
        sink_printf(out, "%7.4f ", (double)j->hits[i].score);
        if (width >= 60) {
            terminal_bar(bar, sizeof bar, (double)j->hits[i].score, BAR, false);
            sink_printf(out, "%s  ", bar);
        }
        cut = terminal_cut(line, size, width - taken, NULL);
        if (cut < size)
            cut = terminal_cut(line, size, width - taken - 1, NULL);
        sink_bytes(out, line, cut);
        sink_printf(out, "%s\n", cut < size ? "…" : "");
        free(line);
    }
    return CLI_OK;
}

static int write_lines(struct similarity_job *j, struct sink *out)
{
    for (size_t i = 0; i < j->count; i++) {
        size_t size;
        char *line = one_line(&j->hits[i], &size);
        if (!line)
            return cli_no_memory();
        sink_printf(out, "%.6f\t", (double)j->hits[i].score);
        sink_bytes(out, line, size);
        sink_bytes(out, "\n", 1);
        free(line);
    }
    return CLI_OK;
}

static void write_hits_json(struct similarity_job *j, struct sink *out)
{
    sink_printf(out, "{\"query\":");
    sink_json_string(out, j->o->words[0]);
    sink_printf(out, ",\"results\":[");
    for (size_t i = 0; i < j->count; i++) {
        sink_printf(out, "%s\n{\"index\":%llu,\"score\":", i ? "," : "", (unsigned long long)j->hits[i].index);
        sink_f32(out, j->hits[i].score);
        sink_printf(out, ",\"text\":");
        sink_json(out, j->hits[i].text, j->hits[i].size);
        sink_bytes(out, "}", 1);
    }
    sink_printf(out, "%s]}\n", j->count ? "\n" : "");
}

static int write_all(struct similarity_job *j)
{
    struct sink out;
    int rc = sink_open_stdout(&out);

    keep_best(j);
    if (j->o->json)
        write_hits_json(j, &out);
    else
        rc = isatty(STDOUT_FILENO) ? write_table(j, &out) : write_lines(j, &out);
    return sink_close(&out, rc);
}

/* ---------------------------------------------------------------- the verb -------------------------------------- */

static int is_stopped(void *user)
{
    (void)user;
    return cli_signal != 0;
}

/* Options of one side. kind: AKI_KIND_*. */
static int side_options(struct similarity_job *j, int kind, aki_embed_options *e)
{
    struct options o = *j->o;

    o.kind = o.similarity.no_prompts ? AKI_KIND_NONE : kind;
    o.prompt = o.similarity.no_prompts ? "" : NULL;
    if (kind == AKI_KIND_DOCUMENT)
        o.instruction = NULL;
    int rc = model_embed_options(&j->model, &o, e);
    e->cancel = is_stopped;
    return rc;
}

static int embed_query(struct similarity_job *j)
{
    const struct options *o = j->o;
    aki_error error;

    if (!o->word_count)
        return cli_fail(CLI_USAGE, "similarity needs a QUERY, and texts behind it, in --file or on standard input");
    size_t invalid = aki__utf8_check(o->words[0], strlen(o->words[0]));
    if (invalid != AKI_UTF8_VALID)
        return cli_fail(CLI_INPUT, "query, byte %zu: not UTF-8", invalid + 1);
    int rc = model_open(&j->model, o, false);
    if (!rc)
        rc = side_options(j, AKI_KIND_QUERY, &j->query);
    if (rc)
        return rc;
    /* One warning for both sides is enough. */
    cli_set_voice(true, o->verbose);
    rc = side_options(j, AKI_KIND_DOCUMENT, &j->document);
    cli_set_voice(o->quiet, o->verbose);
    if (!rc)
        rc = input_open(&j->input, o, 1);
    if (rc)
        return rc;
    input_set_pace(&j->input, j->model.info.parameters);
    j->dim = (size_t)model_setting(&j->model, "dim", o->dim);
    j->query_vector = aki__realloc(NULL, j->dim, sizeof *j->query_vector);
    j->vectors = aki__realloc(NULL, j->dim, BATCH_TEXTS * sizeof *j->vectors);
    if (!j->query_vector || !j->vectors)
        return cli_no_memory();
    if (aki_embed(j->model.handle, o->words, NULL, 1, &j->query, j->query_vector, j->dim * sizeof(float), NULL, NULL, &error))
        return model_failed(&error, "query");
    return CLI_OK;
}

int similarity_run(const struct options *o)
{
    struct similarity_job j = { .o = o, .input.fd = -1 };
    int rc = embed_query(&j);

    progress_start();
    while (!rc && !(rc = input_batch(&j.input, &j.batch)) && j.batch.count) {
        rc = score_batch(&j);
        if (!rc && cli_signal)
            rc = CLI_STOPPED + cli_signal;
    }
    progress_end();
    if (!rc && j.cut)
        cli_warn("%llu of %llu texts cut to what the model takes", (unsigned long long)j.cut, (unsigned long long)j.input.taken);
    if (!rc)
        rc = write_all(&j);
    for (size_t i = 0; i < j.count; i++)
        free(j.hits[i].text);
    free(j.hits);
    free(j.vectors);
    free(j.query_vector);
    batch_free(&j.batch);
    input_close(&j.input);
    model_close(&j.model);
    return rc;
}
