/* Unit bench: the verb `bench`: how long calls of one text and of batches take, how much goes through in bulk, and what memory it takes; or how both
 * change with the number of threads. */
#include "bench_texts.h"
#include "cli/streams/input.h"
#include "cli/shell/machine.h"
#include "cli/hub/model.h"
#include "cli/shell/progress.h"
#include "cli/shell/sink.h"
#include "cli/shell/system.h"
#include "util/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CURVE_LIMIT = 16, ROW_LIMIT = 8, LEAST_CALLS = 3, WARM_CALLS = 2, BULK_MOST = 1024, SHORT_LEAST = 6, SHORT_MOST = 20, BULK_LONGEST = 96 };

/* Calls of one kind. */
struct bench_row {
    const char *name, *json;
    double     *times;                     /* [calls] seconds of each; sorted in the end */
    size_t      calls, capacity;
    uint64_t    texts, tokens, reused;     /* in all calls; reused: tokens that the prefix cache stood for */
    double      seconds;
};

struct bench_job {
    const struct options *o;
    struct model       model;
    struct bench_texts source;
    struct aki__buf       data;               /* the texts of a call */
    size_t             starts[BULK_MOST + 1];
    const char        *texts[BULK_MOST];
    size_t             sizes[BULK_MOST];
    int32_t            tokens[BULK_MOST];
    float             *vectors;            /* [BULK_MOST, dim] */
    const char        *queries[BULK_MOST]; /* classifiers: a short query before each text */
    struct bench_row         rows[ROW_LIMIT];
    size_t             row_count;
    double             seconds, open_seconds, start;
    uint64_t           before, opened;     /* bytes in memory */
};

static int cancel(void *user)
{
    const struct bench_job *j = user;
    double elapsed = aki__seconds() - j->start;

    progress_share(elapsed / j->seconds);
    return cli_signal != 0;
}

/* ---------------------------------------------------------------- calls ----------------------------------------- */

/* Makes count texts of least to most tokens. */
static int make_texts(struct bench_job *j, size_t count, size_t least, size_t most)
{
    int rc = CLI_OK;

    j->data.size = 0;
    for (size_t i = 0; i < count && !rc; i++) {
        j->starts[i] = j->data.size;
        rc = bench_text(&j->source, bench_length(&j->source, least, most), &j->data);
    }
    j->starts[count] = j->data.size;
    for (size_t i = 0; i < count && !rc; i++) {
        j->texts[i] = j->data.data + j->starts[i];
        j->sizes[i] = j->starts[i + 1] - j->starts[i];
    }
    return rc;
}

static uint64_t tokens_reused(const struct bench_job *j)
{
    aki_model_info info;

    aki_model_info_init(&info, sizeof info);
    return aki_model_get_info(j->model.handle, &info, NULL) ? 0 : info.tokens_reused;
}

/* One call, timed. row NULL: to warm up. */
static int call(struct bench_job *j, struct bench_row *row, const char *const *texts, const size_t *sizes, size_t count, int kind)
{
    aki_embed_options e;
    aki_error error;

    aki_embed_options_init(&e, sizeof e);
    e.kind = kind;
    e.prompt = kind ? NULL : "";
    e.cancel = cancel;
    e.cancel_user = j;
    uint64_t reused = tokens_reused(j);
    double start = aki__seconds();
    const size_t size = count * (size_t)j->model.info.dim * sizeof *j->vectors;
    if (j->model.info.label_count ? aki_score(j->model.handle, j->queries, NULL, texts, sizes, count, &e, j->vectors, size, j->tokens, NULL, &error)
                                  : aki_embed(j->model.handle, texts, sizes, count, &e, j->vectors, size, j->tokens, NULL, &error))
        return model_failed(&error, NULL);
    double seconds = aki__seconds() - start;
    if (!row)
        return CLI_OK;
    if (!cli_room_for_one(&row->times, row->calls, &row->capacity, sizeof *row->times))
        return cli_no_memory();
    row->times[row->calls++] = seconds;
    row->seconds += seconds;
    row->texts += count;
    row->reused += tokens_reused(j) - reused;
    for (size_t i = 0; i < count; i++)
        row->tokens += (uint64_t)j->tokens[i];
    cancel(j);
    return cli_signal ? CLI_STOPPED + cli_signal : CLI_OK;
}

static int shorter_first(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Calls of count made-up texts each for share of the time. */
static int time_calls(struct bench_job *j, const char *name, const char *json, double share, size_t count, size_t least, size_t most, int kind)
{
    struct bench_row *row = &j->rows[j->row_count++];
    double start = aki__seconds();
    int rc = CLI_OK;

    *row = (struct bench_row){ .name = name, .json = json };
    for (size_t i = 0; !rc && (row->calls < LEAST_CALLS || aki__seconds() - start < share * j->seconds); i++) {
        rc = make_texts(j, count, least, most);
        if (!rc)
            rc = call(j, i < WARM_CALLS ? NULL : row, j->texts, j->sizes, count, kind);
    }
    if (row->calls)
        qsort(row->times, row->calls, sizeof *row->times, shorter_first);
    return rc;
}

/* ---------------------------------------------------------------- bulk ------------------------------------------ */

/* So many texts that a call takes about a quarter of its share of the time, judged by the batches before. */
static size_t bulk_count(const struct bench_job *j, double share)
{
    const struct bench_row *batch = &j->rows[j->row_count - 1];
    double count = share * j->seconds / 4 * (double)batch->texts / (batch->seconds > 0 ? batch->seconds : 1);

    return count < 8 ? 8 : count > BULK_MOST ? BULK_MOST : (size_t)count;
}

static int measure_file(struct bench_job *j, double share, size_t count)
{
    struct bench_row *row = &j->rows[j->row_count++];
    struct input in;
    struct batch b = { 0 };
    double start = aki__seconds();
    int rc = input_open_beside(&in, j->o->bench.texts, j->o);

    *row = (struct bench_row){ .name = "bulk, texts of the file", .json = "bulk" };
    in.batch_texts = count;
    while (!rc && (!row->calls || aki__seconds() - start < share * j->seconds) && !(rc = input_batch(&in, &b)) && b.count)
        rc = call(j, row, b.texts, b.sizes, b.count, AKI_KIND_NONE);
    if (!rc && !row->calls)
        rc = cli_fail(CLI_INPUT, "%s: no texts to measure with", in.name);
    batch_free(&b);
    input_close(&in);
    return rc;
}

/* ---------------------------------------------------------------- all ------------------------------------------- */

static bool has_query_prompt(const struct bench_job *j)
{
    aki_embed_options e;
    size_t size;

    aki_embed_options_init(&e, sizeof e);
    e.kind = AKI_KIND_QUERY;
    return model_prompt_size(&j->model, &e, &size, NULL) == AKI_OK && size;
}

static int measure_all(struct bench_job *j)
{
    static const struct { const char *name, *json; size_t tokens; } singles[] = {
        { "one text, 8 tokens", "single_8", 8 }, { "one text, 32 tokens", "single_32", 32 }, { "one text, 128 tokens", "single_128", 128 },
    };
    const double share = 0.13, bulk_share = 0.22;
    size_t longest = (size_t)j->model.info.max_tokens;
    int rc = CLI_OK;

    for (size_t i = 0; i < sizeof singles / sizeof *singles && !rc; i++)
        if (singles[i].tokens <= longest)
            rc = time_calls(j, singles[i].name, singles[i].json, share, 1, singles[i].tokens, singles[i].tokens, AKI_KIND_NONE);
    if (!rc && has_query_prompt(j))
        rc = time_calls(j, "one query, with its prompt", "query", share, 1, SHORT_LEAST, SHORT_MOST, AKI_KIND_QUERY);
    if (!rc)
        rc = time_calls(j, "batch of 8 short texts", "batch_8", share, 8, SHORT_LEAST, SHORT_MOST, AKI_KIND_NONE);
    if (!rc)
        rc = time_calls(j, "batch of 32 short texts", "batch_32", share, 32, SHORT_LEAST, SHORT_MOST, AKI_KIND_NONE);
    if (rc)
        return rc;
    size_t count = bulk_count(j, bulk_share);
    if (j->o->bench.texts)
        return measure_file(j, bulk_share, count);
    size_t most = BULK_LONGEST < longest ? BULK_LONGEST : longest;
    return time_calls(j, "bulk, texts of 6 to 96 tokens", "bulk", bulk_share, count, SHORT_LEAST, most, AKI_KIND_NONE);
}

/* ---------------------------------------------------------------- output ---------------------------------------- */

/* The nearest rank: a time that was measured. */
static double percentile(const struct bench_row *row, double share)
{
    size_t rank = (size_t)((double)row->calls * share + 0.999999);

    return row->calls ? row->times[rank < 1 ? 0 : rank > row->calls ? row->calls - 1 : rank - 1] : 0;
}

static double rate(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

static void write_rows(const struct bench_job *j, struct sink *out)
{
    const aki_model_info *info = &j->model.info;
    char a[128], b[128], c[128], text[256];
    const char *cost = model_int8_cost(info, text, sizeof text);

    sink_printf(out, "%s: %s%s%s on %s (%s), %d thread%s\n%s%s", j->model.name, OPTION_CHOICE_NAME(precision, info->precision),
                info->precision_note ? ", but " : "", info->precision_note ? info->precision_note : "", info->device, info->instructions, info->threads,
                info->threads == 1 ? "" : "s", cost ? cost : "", cost ? "\n" : "");
    sink_printf(out, "%s, %s\nakiembed %s, %s\n\n", machine_processor(a, sizeof a), machine_system(b, sizeof b), aki_version(), info->runtime);
    sink_printf(out, "%-30s%7s%9s%9s%9s%9s%10s%11s\n", "milliseconds of a call", "calls", "tokens", "p50", "p95", "p99", "texts/s", "tokens/s");
    for (size_t i = 0; i < j->row_count; i++) {
        const struct bench_row *row = &j->rows[i];
        sink_printf(out, "%-30s%7zu%9.1f%9.2f%9.2f%9.2f%10.1f%11.0f\n", row->name, row->calls, rate(row->tokens, (double)row->texts),
                    percentile(row, 0.5) * 1e3, percentile(row, 0.95) * 1e3, percentile(row, 0.99) * 1e3, rate(row->texts, row->seconds), rate(row->tokens, row->seconds));
        if (row->reused)
            sink_printf(out, "%-30s%.0f %% of the tokens were in the prefix cache\n", "", 100.0 * rate(row->reused, (double)row->tokens));
    }
    sink_printf(out, "\nmemory: %s before, %s with the model, %s at its peak; opened in %.2f s\n", machine_size_text(a, sizeof a, j->before),
                machine_size_text(b, sizeof b, j->opened), machine_size_text(c, sizeof c, machine_peak()), j->open_seconds);
}

static void write_rows_json(const struct bench_job *j, struct sink *out)
{
    const aki_model_info *info = &j->model.info;
    char text[256];

    sink_printf(out, "{\n  \"version\": ");
    sink_json_string(out, aki_version());
    sink_printf(out, ",\n  \"runtime\": ");
    sink_json_string(out, info->runtime);
    sink_printf(out, ",\n  \"processor\": ");
    sink_json_string(out, machine_processor(text, sizeof text));
    sink_printf(out, ",\n  \"system\": ");
    sink_json_string(out, machine_system(text, sizeof text));
    sink_printf(out, ",\n  \"model\": ");
    sink_json_string(out, j->model.name);
    sink_printf(out, ",\n  \"precision\": \"%s\",\n  \"f32_share\": %.4f,\n  \"device\": ", OPTION_CHOICE_NAME(precision, info->precision), info->f32_share);
    sink_json_string(out, info->device);
    sink_printf(out, ",\n  \"instructions\": \"%s\"", info->instructions);
    sink_printf(out, ",\n  \"threads\": %d,\n  \"open_seconds\": %.4f,\n", info->threads, j->open_seconds);
    sink_printf(out, "  \"memory\": {\"before\": %llu, \"opened\": %llu, \"peak\": %llu},\n  \"rows\": [", (unsigned long long)j->before, (unsigned long long)j->opened, (unsigned long long)machine_peak());
    for (size_t i = 0; i < j->row_count; i++) {
        const struct bench_row *row = &j->rows[i];
        sink_printf(out, "%s\n    {\"name\": \"%s\", \"calls\": %zu, \"texts\": %llu, ", i ? "," : "", row->json, row->calls,
                    (unsigned long long)row->texts);
        sink_printf(out, "\"tokens\": %llu, \"tokens_reused\": %llu, \"seconds\": %.6f, ", (unsigned long long)row->tokens,
                    (unsigned long long)row->reused, row->seconds);
        sink_printf(out, "\"p50_ms\": %.4f, \"p95_ms\": %.4f, \"p99_ms\": %.4f, \"texts_per_second\": %.2f, \"tokens_per_second\": %.1f}",
                    percentile(row, 0.5) * 1e3, percentile(row, 0.95) * 1e3, percentile(row, 0.99) * 1e3, rate(row->texts, row->seconds),
                    rate(row->tokens, row->seconds));
    }
    sink_printf(out, "\n  ]\n}\n");
}

/* ---------------------------------------------------------------- the verb -------------------------------------- */

static int open_model(struct bench_job *j)
{
    const struct options *o = j->o;
    double start = aki__seconds();

    if (o->word_count)
        return cli_fail(CLI_USAGE, "bench takes no texts ('%s'); they come from --texts FILE, one a line", o->words[0]);
    j->seconds = o->bench.seconds;
    j->before = machine_resident();
    int rc = model_open(&j->model, o, false);
    if (rc)
        return rc;
    j->open_seconds = aki__seconds() - start;
    j->opened = machine_resident();
    j->source.model = j->model.handle;
    for (size_t i = 0; i < BULK_MOST; i++)
        j->queries[i] = "how do I find the passage that answers a question";
    j->vectors = aki__realloc(NULL, (size_t)j->model.info.dim, BULK_MOST * sizeof *j->vectors);
    return j->vectors ? CLI_OK : cli_no_memory();
}

static void close_job(struct bench_job *j)
{
    for (size_t i = 0; i < j->row_count; i++)
        free(j->rows[i].times);
    free(j->vectors);
    aki__buf_free(&j->data);
    model_close(&j->model);
    free(j);
}

static int bench_one(const struct options *o)
{
    struct bench_job *j = calloc(1, sizeof *j);
    struct sink out;
    int rc;

    if (!j)
        return cli_no_memory();
    j->o = o;
    rc = open_model(j);
    j->start = aki__seconds();
    progress_start();
    if (!rc)
        rc = measure_all(j);
    progress_end();
    if (!rc) {
        rc = sink_open_stdout(&out);
        if (o->json)
            write_rows_json(j, &out);
        else
            write_rows(j, &out);
        rc = sink_close(&out, rc);
    }
    close_job(j);
    return rc;
}

/* ---------------------------------------------------------------- several numbers of threads -------------------- */

struct point {
    double single, bulk;                   /* seconds of one text of 128 tokens (p50), texts a second of many */
    int    tokens, precision;              /* of the one text; of the model */
    char   device[64], runtime[64];
};

/* In a process of its own: the first model that a process opens fixes its threads. */
static int measure_point(const void *user, void *out)
{
    const struct options *o = user;
    struct bench_job *j = calloc(1, sizeof *j);
    struct point *p = out;

    if (!j)
        return cli_no_memory();
    j->o = o;
    int rc = open_model(j);
    j->start = aki__seconds();
    if (!rc) {
        p->tokens = j->model.info.max_tokens < 128 ? (int)j->model.info.max_tokens : 128;
        p->precision = j->model.info.precision;
        snprintf(p->device, sizeof p->device, "%s", j->model.info.device);
        snprintf(p->runtime, sizeof p->runtime, "%s, %s", j->model.info.runtime, j->model.info.instructions);
        rc = time_calls(j, "single", "single", 0.4, 1, (size_t)p->tokens, (size_t)p->tokens, AKI_KIND_NONE);
    }
    if (!rc) {
        size_t most = (size_t)j->model.info.max_tokens < BULK_LONGEST ? (size_t)j->model.info.max_tokens : BULK_LONGEST;
        rc = time_calls(j, "bulk", "bulk", 0.6, bulk_count(j, 0.6), SHORT_LEAST, most, AKI_KIND_NONE);
    }
    if (!rc) {
        p->single = percentile(&j->rows[0], 0.5);
        p->bulk = rate(j->rows[1].texts, j->rows[1].seconds);
    }
    close_job(j);
    return rc;
}

static void write_curve(const struct options *o, const int *counts, const struct point *points, size_t count, struct sink *out)
{
    char a[128];

    if (o->json) {
        sink_printf(out, "{\n  \"version\": \"%s\",\n  \"runtime\": \"%s\",\n  \"processor\": ", aki_version(), points->runtime);
        sink_json_string(out, machine_processor(a, sizeof a));
        sink_printf(out, ",\n  \"model\": ");
        sink_json_string(out, o->model);
        sink_printf(out, ",\n  \"precision\": \"%s\",\n  \"single_tokens\": %d,\n  \"curve\": [", OPTION_CHOICE_NAME(precision, points->precision), points->tokens);
        for (size_t i = 0; i < count; i++)
            sink_printf(out, "%s\n    {\"threads\": %d, \"single_p50_ms\": %.4f, \"bulk_texts_per_second\": %.2f}", i ? "," : "", counts[i],
                        points[i].single * 1e3, points[i].bulk);
        sink_printf(out, "\n  ]\n}\n");
        return;
    }
    sink_printf(out, "%s: %s on %s; %s\nakiembed %s, %s\n\n", o->model, OPTION_CHOICE_NAME(precision, points->precision), points->device,
                machine_processor(a, sizeof a), aki_version(), points->runtime);
    sink_printf(out, "threads   one text of %d tokens, ms   faster   bulk, texts/s   faster\n", points->tokens);
    for (size_t i = 0; i < count; i++)
        sink_printf(out, "%7d%29.2f%9.2f%16.1f%9.2f\n", counts[i], points[i].single * 1e3, points->single / points[i].single, points[i].bulk,
                    points[i].bulk / points->bulk);
}

static int bench_curve(const struct options *o, const int *counts, size_t count)
{
    struct point points[CURVE_LIMIT] = { 0 };
    struct sink out;
    int rc = CLI_OK;

    for (size_t i = 0; i < count && !rc; i++) {
        struct options one = *o;
        one.threads = counts[i];
        one.bench.seconds = o->bench.seconds / (int)count > 1 ? o->bench.seconds / (int)count : 1;
        rc = system_apart(measure_point, &one, &points[i], sizeof points[i]);
    }
    if (rc)
        return rc;
    rc = sink_open_stdout(&out);
    write_curve(o, counts, points, count, &out);
    return sink_close(&out, rc);
}

/* "1,2,4"; NULL: one number, which is not given. */
static int read_counts(const char *text, int *counts, size_t *count)
{
    int64_t most = 1;
    const char *at = text;

    counts[0] = 0;
    aki_option_bounds(NULL, "threads", NULL, &most, NULL, NULL);
    for (*count = !text; at; at = *at ? at + 1 : NULL) {
        char *end;
        long n = strtol(at, &end, 10);
        if (end == at || (*end && *end != ',') || n < 1 || n > most || *count == CURVE_LIMIT)
            return cli_fail(CLI_USAGE, "--threads is a number from 1 to %d, or up to %d of them with commas between, not '%s'", (int)most, CURVE_LIMIT, text);
        counts[(*count)++] = (int)n;
        at = end;
    }
    return CLI_OK;
}

int bench_run(const struct options *o)
{
    struct options one = *o;
    int counts[CURVE_LIMIT];
    size_t count;
    int rc = read_counts(o->bench.threads, counts, &count);

    if (rc)
        return rc;
    one.threads = counts[0];
    return count > 1 ? bench_curve(o, counts, count) : bench_one(&one);
}
