/* Unit similarity: the verb `similarity`: texts sorted by how near they are to a query. */
#include "similarity.h"

#include "cli/streams/input.h"
#include "cli/shell/progress.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct similarity_job {
    const struct options *o;
    struct model      model;
    aki_embed_options document;
    struct input      input;
    struct batch      batch;
    float            *query_vector;        /* [dim] */
    float            *vectors;             /* [BATCH_TEXTS, dim] */
    size_t            dim;
    struct hits       hits;                /* texts that may come out: all of them, or with --top the best so far */
    uint64_t          tokens, cut, tokens_before;
};

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
        if (!hits_add(&j->hits, j->batch.texts[i], j->batch.sizes[i], j->batch.first + i, scores[i]))
            return cli_no_memory();
        j->tokens += (uint64_t)tokens[i];
        j->cut += truncated[i];
    }
    if (j->o->similarity.top)
        hits_keep_best(&j->hits, (size_t)j->o->similarity.top);
    progress_show(j->batch.first + count, j->tokens, j->input.consumed, j->input.total);
    return CLI_OK;
}

/* ---------------------------------------------------------------- output ---------------------------------------- */

static int write_lines(const struct hit *hits, size_t count, struct sink *out)
{
    for (size_t i = 0; i < count; i++) {
        size_t size;
        char *line = hits_line(hits[i].text ? hits[i].text : "", hits[i].size, &size);
        if (!line)
            return cli_no_memory();
        sink_printf(out, "%.6f\t%llu%s", (double)hits[i].score, (unsigned long long)hits[i].index + 1, hits[i].text ? "\t" : "");
        sink_bytes(out, line, size);
        sink_bytes(out, "\n", 1);
        free(line);
    }
    return CLI_OK;
}

static void write_json(const struct options *o, const struct hit *hits, size_t count, struct sink *out)
{
    sink_printf(out, "{\"query\":");
    sink_json_string(out, o->words[0]);
    sink_printf(out, ",\"results\":[");
    for (size_t i = 0; i < count; i++) {
        sink_printf(out, "%s\n{\"index\":%llu,\"line\":%llu,\"score\":", i ? "," : "", (unsigned long long)hits[i].index,
                    (unsigned long long)hits[i].index + 1);
        sink_f32(out, hits[i].score);
        if (hits[i].text) {
            sink_printf(out, ",\"text\":");
            sink_json(out, hits[i].text, hits[i].size);
        }
        sink_bytes(out, "}", 1);
    }
    sink_printf(out, "%s]}\n", count ? "\n" : "");
}

int similarity_write(const struct options *o, const struct hit *hits, size_t count)
{
    struct sink out;
    int rc = sink_open_stdout(&out);

    if (o->json)
        write_json(o, hits, count, &out);
    else
        rc = isatty(STDOUT_FILENO) ? hits_table(hits, count, false, &out) : write_lines(hits, count, &out);
    return sink_close(&out, rc);
}

/* ---------------------------------------------------------------- the verb -------------------------------------- */

static int is_stopped(void *user)
{
    struct similarity_job *j = user;
    aki_model_info info;

    aki_model_info_init(&info, sizeof info);
    if (!aki_model_get_info(j->model.handle, &info, NULL))
        progress_tick(info.tokens - j->tokens_before, j->input.consumed);
    return cli_signal != 0;
}

int similarity_side(const struct model *m, const struct options *o, int kind, aki_embed_options *e)
{
    struct options own = *o;

    own.kind = o->similarity.no_prompts ? AKI_KIND_NONE : kind;
    own.prompt = o->similarity.no_prompts ? "" : NULL;
    if (kind == AKI_KIND_DOCUMENT)
        own.instruction = NULL;
    return model_embed_options(m, &own, e);
}

int similarity_query(const struct model *m, const struct options *o, float **vector)
{
    const size_t dim = (size_t)model_setting(m, "dim", o->dim);
    aki_embed_options e;
    aki_error error;
    int rc = model_gives(m, false);

    if (!rc)
        rc = similarity_side(m, o, AKI_KIND_QUERY, &e);

    *vector = rc ? NULL : aki__realloc(NULL, dim, sizeof **vector);
    if (!rc && !*vector)
        rc = cli_no_memory();
    if (!rc && aki_embed(m->handle, o->words, NULL, 1, &e, *vector, dim * sizeof **vector, NULL, NULL, &error))
        rc = model_failed(&error, "query");
    return rc;
}

static int check_query(const struct options *o)
{
    size_t invalid = o->word_count ? aki__utf8_check(o->words[0], strlen(o->words[0])) : AKI_UTF8_VALID;

    if (!o->similarity.vectors && (o->similarity.texts || o->similarity.duplicates || o->similarity.threshold || OPTIONS_TYPED(o, embed.ranges)))
        return cli_fail(CLI_USAGE, "--%s needs --vectors FILE.npy (embed -o FILE.npy writes it)",
                        o->similarity.texts ? "texts" : o->similarity.duplicates ? "duplicates" : o->similarity.threshold ? "threshold" : "ranges");
    if (!o->word_count && !o->similarity.duplicates)
        return cli_fail(CLI_USAGE, "similarity needs a QUERY, and texts behind it, in --file or on standard input, or --vectors");
    if (invalid != AKI_UTF8_VALID)
        return cli_fail(CLI_INPUT, "query, byte %zu: not UTF-8", invalid + 1);
    return CLI_OK;
}

static int embed_query(struct similarity_job *j)
{
    const struct options *o = j->o;
    int rc = model_open(&j->model, o, false);

    if (!rc)
        rc = similarity_query(&j->model, o, &j->query_vector);
    if (rc)
        return rc;
    /* One warning for both sides is enough. */
    cli_set_voice(true, o->verbose);
    rc = similarity_side(&j->model, o, AKI_KIND_DOCUMENT, &j->document);
    j->document.cancel = is_stopped;
    j->document.cancel_user = j;
    cli_set_voice(o->quiet, o->verbose);
    if (!rc)
        rc = input_open(&j->input, o, 1);
    if (rc)
        return rc;
    input_set_pace(&j->input, j->model.info.parameters);
    j->dim = (size_t)model_setting(&j->model, "dim", o->dim);
    j->vectors = aki__realloc(NULL, j->dim, BATCH_TEXTS * sizeof *j->vectors);
    return j->vectors ? CLI_OK : cli_no_memory();
}

int similarity_run(const struct options *o)
{
    struct similarity_job j = { .o = o, .input.fd = -1 };
    int rc = check_query(o);

    if (!rc && o->similarity.vectors)
        return similarity_vectors(o);
    if (!rc)
        rc = embed_query(&j);
    progress_start();
    progress_show(0, 0, 0, j.input.total);
    while (!rc && !(rc = input_batch(&j.input, &j.batch)) && j.batch.count) {
        rc = score_batch(&j);
        if (!rc && cli_signal)
            rc = CLI_STOPPED + cli_signal;
    }
    progress_end();
    if (!rc && j.cut)
        cli_warn("%llu of %llu texts cut to what the model takes", (unsigned long long)j.cut, (unsigned long long)j.input.taken);
    if (!rc) {
        hits_keep_best(&j.hits, (size_t)o->similarity.top);
        rc = similarity_write(o, j.hits.list, j.hits.count);
    }
    hits_free(&j.hits);
    free(j.vectors);
    free(j.query_vector);
    batch_free(&j.batch);
    input_close(&j.input);
    model_close(&j.model);
    return rc;
}
