/* Unit scores: the verbs `rerank` and `classify`: scores of pairs by a cross-encoder, labels of texts by a classifier. */
#include "hits.h"

#include "cli/hub/model.h"
#include "cli/shell/progress.h"
#include "cli/shell/terminal.h"
#include "cli/streams/input.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct scores_job {
    const struct options *o;
    const char       *query;               /* NULL: the texts are pairs, or have no second text */
    struct model      model;
    aki_embed_options options;
    struct input      input;
    struct batch      batch;
    size_t            labels;
    float            *scores;              /* [BATCH_TEXTS, labels] of the batch */
    const char       *queries[BATCH_TEXTS];
    size_t            query_sizes[BATCH_TEXTS];
    struct hits       hits;                /* of rerank: what may come out */
    struct sink       out;
    bool              table;
    uint64_t          tokens, cut, tokens_before;
};

static int is_stopped(void *user)
{
    struct scores_job *j = user;
    aki_model_info info;

    aki_model_info_init(&info, sizeof info);
    if (!aki_model_get_info(j->model.handle, &info, NULL))
        progress_tick(info.tokens - j->tokens_before, j->input.consumed);
    return cli_signal != 0;
}

/* ---------------------------------------------------------------- computing ------------------------------------- */

/* Texts from first on that are pairs or not as the first of them is, for a call takes one kind. */
static size_t same_kind(const struct batch *b, size_t first)
{
    size_t end = first + 1;

    while (end < b->count && !b->seconds[end] == !b->seconds[first])
        end++;
    return end - first;
}

static int score_some(struct scores_job *j, size_t first, size_t count)
{
    const struct batch *b = &j->batch;
    int32_t tokens[BATCH_TEXTS];
    uint8_t truncated[BATCH_TEXTS];
    aki_error error;
    char where[512];
    const char *const *seconds = j->query ? b->texts + first : b->seconds[first] ? b->seconds + first : NULL;
    const size_t *second_sizes = j->query ? b->sizes + first : b->second_sizes + first;

    if (aki_score(j->model.handle, j->query ? j->queries : b->texts + first, j->query ? j->query_sizes : b->sizes + first, seconds, second_sizes, count,
                  &j->options, j->scores + first * j->labels, count * j->labels * sizeof *j->scores, tokens, truncated, &error))
        return model_failed(&error, error.item < 0 ? NULL : input_where(&j->input, b->first + first + (uint64_t)error.item, where, sizeof where));
    for (size_t i = 0; i < count; i++) {
        j->tokens += (uint64_t)tokens[i];
        j->cut += truncated[i];
    }
    return CLI_OK;
}

static int score_batch(struct scores_job *j)
{
    int rc = CLI_OK;

    for (size_t first = 0, count; first < j->batch.count && !rc; first += count) {
        count = same_kind(&j->batch, first);
        rc = score_some(j, first, count);
    }
    progress_show(j->batch.first + j->batch.count, j->tokens, j->input.consumed, j->input.total);
    return rc || !cli_signal ? rc : CLI_STOPPED + cli_signal;
}

/* Opens the model and the texts behind the first skip words. */
static int open_all(struct scores_job *j, size_t skip)
{
    const struct options *o = j->o;
    int rc = model_open(&j->model, o, false);

    if (!rc)
        rc = model_gives(&j->model, true);
    if (!rc)
        rc = model_embed_options(&j->model, o, &j->options);
    if (!rc)
        rc = input_open(&j->input, o, skip);
    if (rc)
        return rc;
    input_set_pace(&j->input, j->model.info.parameters);
    j->options.cancel = is_stopped;
    j->options.cancel_user = j;
    j->labels = (size_t)j->model.info.label_count;
    j->table = !o->json && isatty(STDOUT_FILENO);
    j->scores = aki__realloc(NULL, BATCH_TEXTS * j->labels, sizeof *j->scores);
    return j->scores ? sink_open_stdout(&j->out) : cli_no_memory();
}

/* Reads, scores and hands each batch to `take`. */
static int score_all(struct scores_job *j, int (*take)(struct scores_job *j))
{
    int rc = CLI_OK;

    progress_start();
    progress_show(0, 0, 0, j->input.total);
    while (!rc && !(rc = input_batch(&j->input, &j->batch)) && j->batch.count) {
        rc = score_batch(j);
        if (!rc)
            rc = take(j);
    }
    progress_end();
    if (!rc && j->cut)
        cli_warn("%" PRIu64 " of %" PRIu64 " texts cut to what the model takes", j->cut, j->input.taken);
    return rc;
}

static int close_all(struct scores_job *j, int rc)
{
    rc = sink_close(&j->out, rc);
    hits_free(&j->hits);
    free(j->scores);
    batch_free(&j->batch);
    input_close(&j->input);
    model_close(&j->model);
    free(j);
    return rc;
}

/* ---------------------------------------------------------------- rerank ---------------------------------------- */

static void write_score(struct scores_job *j, uint64_t index, float score)
{
    sink_printf(&j->out, "{\"index\":%" PRIu64 ",\"score\":", index);
    sink_f32(&j->out, score);
    sink_bytes(&j->out, "}\n", 2);
    sink_row(&j->out);
}

static int take_hits(struct scores_job *j)
{
    const struct batch *b = &j->batch;

    for (size_t i = 0; i < b->count; i++)
        if (!hits_add(&j->hits, b->texts[i], j->table ? b->sizes[i] : 0, b->first + i, j->scores[i]))
            return cli_no_memory();
    if (j->o->similarity.top)
        hits_keep_best(&j->hits, (size_t)j->o->similarity.top);
    return CLI_OK;
}

static int take_pairs(struct scores_job *j)
{
    for (size_t i = 0; i < j->batch.count; i++)
        write_score(j, j->batch.first + i, j->scores[i]);
    return CLI_OK;
}

static int write_hits(struct scores_job *j)
{
    const struct options *o = j->o;

    hits_keep_best(&j->hits, (size_t)o->similarity.top);
    if (o->rerank.no_sort)
        hits_by_index(&j->hits);
    if (j->table)
        return hits_table(j->hits.list, j->hits.count, o->rerank.raw || j->model.info.activation == AKI_ACTIVATION_NONE, &j->out);
    for (size_t i = 0; i < j->hits.count; i++)
        write_score(j, j->hits.list[i].index, j->hits.list[i].score);
    return CLI_OK;
}

static int check_rerank(const struct options *o)
{
    if (o->rerank.pairs && (o->word_count || o->similarity.top || o->null || o->csv || o->column || o->field))
        return cli_fail(CLI_USAGE, "rerank --pairs takes no QUERY, no --top and no other form of lines: each line is a JSON array [query, text]");
    if (!o->rerank.pairs && !o->word_count)
        return cli_fail(CLI_USAGE, "rerank needs a QUERY, and texts behind it, in --file or on standard input; or --pairs");
    size_t invalid = o->word_count ? aki__utf8_check(o->words[0], strlen(o->words[0])) : AKI_UTF8_VALID;
    return invalid == AKI_UTF8_VALID ? CLI_OK : cli_fail(CLI_INPUT, "query, byte %zu: not UTF-8", invalid + 1);
}

int rerank_run(const struct options *o)
{
    int rc = check_rerank(o);
    struct scores_job *j = rc ? NULL : calloc(1, sizeof *j);

    if (!j)
        return rc ? rc : cli_no_memory();
    j->o = o;
    j->out.fd = j->input.fd = -1;
    rc = open_all(j, o->rerank.pairs ? 0 : 1);
    if (!rc && j->labels != 1)
        rc = cli_fail(CLI_INPUT, "%s is a classifier of %zu labels, no reranker: akiembed classify TEXT...", j->model.name, j->labels);
    if (o->rerank.raw)
        j->options.activation = AKI_ACTIVATION_NONE;
    if (o->rerank.pairs) {
        j->input.form = INPUT_JSONL;
        j->input.pairs = INPUT_ONLY_PAIRS;
    } else {
        j->query = o->words[0];
        for (size_t i = 0; i < BATCH_TEXTS; i++) {
            j->queries[i] = j->query;
            j->query_sizes[i] = strlen(j->query);
        }
    }
    if (!rc)
        rc = score_all(j, o->rerank.pairs ? take_pairs : take_hits);
    if (!rc)
        rc = write_hits(j);
    return close_all(j, rc);
}

/* ---------------------------------------------------------------- classify -------------------------------------- */

static const char *label(const struct scores_job *j, uint64_t i, char own[32])
{
    if (j->model.info.labels)
        return j->model.info.labels[i];
    snprintf(own, 32, "LABEL_%" PRIu64, i);
    return own;
}

static int write_labels_table(struct scores_job *j, size_t text)
{
    enum { BAR = 20 };
    const struct batch *b = &j->batch;
    char own[32], bar[128], number[32];

    snprintf(number, sizeof number, "%" PRIu64, b->first + text + 1);
    sink_printf(&j->out, "%s  ", number);
    int rc = hits_text(b->texts[text], b->sizes[text], terminal_width(STDOUT_FILENO) - strlen(number) - 2, &j->out);
    for (size_t k = 0; k < j->hits.count && !rc; k++) {
        terminal_bar(bar, sizeof bar, (double)j->hits.list[k].score, BAR, false);
        sink_printf(&j->out, "%9.4f %s  %s\n", (double)j->hits.list[k].score, bar, label(j, j->hits.list[k].index, own));
    }
    return rc;
}

static void write_labels(struct scores_job *j, size_t text)
{
    char own[32];

    sink_printf(&j->out, "{\"index\":%" PRIu64 ",\"labels\":[", j->batch.first + text);
    for (size_t k = 0; k < j->hits.count; k++) {
        sink_printf(&j->out, "%s{\"label\":", k ? "," : "");
        sink_json_string(&j->out, label(j, j->hits.list[k].index, own));
        sink_printf(&j->out, ",\"score\":");
        sink_f32(&j->out, j->hits.list[k].score);
        sink_bytes(&j->out, "}", 1);
    }
    sink_printf(&j->out, "]}\n");
    sink_row(&j->out);
}

static int take_labels(struct scores_job *j)
{
    int rc = CLI_OK;

    for (size_t i = 0; i < j->batch.count && !rc; i++) {
        for (size_t k = 0; k < j->labels && !rc; k++)
            rc = hits_add(&j->hits, "", 0, k, j->scores[i * j->labels + k]) ? CLI_OK : cli_no_memory();
        hits_keep_best(&j->hits, 0);
        if (!rc && j->table)
            rc = write_labels_table(j, i);
        else if (!rc)
            write_labels(j, i);
        hits_free(&j->hits);
    }
    return rc;
}

int classify_run(const struct options *o)
{
    struct scores_job *j = calloc(1, sizeof *j);

    if (!j)
        return cli_no_memory();
    j->o = o;
    j->out.fd = j->input.fd = -1;
    int rc = open_all(j, 0);
    j->options.activation = AKI_ACTIVATION_PROBABILITY;
    j->input.pairs = INPUT_ALSO_PAIRS;
    if (!rc)
        rc = score_all(j, take_labels);
    return close_all(j, rc);
}
