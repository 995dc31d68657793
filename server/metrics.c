/* Unit metrics: what is counted, and its text for Prometheus. See metrics.h. */
#include "metrics.h"

#include <akiembed.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static _Atomic uint64_t service_counters[SERVICE_COUNTER_COUNT];

/* ---------------------------------------------------------------- tables ---------------------------------------- */

/* Rows of one name stand together: Prometheus wants its # HELP and # TYPE once, so the first row has the help. */
static const struct { const char *name, *label, *help; } counter_rows[COUNTER_COUNT] = {
    [COUNT_FAIL_VALIDATION] = { "te_request_failure", "err=\"validation\"", "Requests that were refused or failed, by TEI's class of the error." },
    [COUNT_FAIL_EMPTY] = { "te_request_failure", "err=\"empty\"", NULL },
    [COUNT_FAIL_TOKENIZER] = { "te_request_failure", "err=\"tokenization\"", NULL },
    [COUNT_FAIL_BACKEND] = { "te_request_failure", "err=\"backend\"", NULL },
    [COUNT_FAIL_OVERLOADED] = { "te_request_failure", "err=\"overloaded\"", NULL },
    [COUNT_FAIL_UNHEALTHY] = { "te_request_failure", "err=\"unhealthy\"", NULL },
    [COUNT_REJECT_QUEUE] = { "akiembed_rejected_total", "reason=\"queue_full\"", "Requests refused for a reason that an operator can change." },
    [COUNT_REJECT_MEMORY] = { "akiembed_rejected_total", "reason=\"memory\"", NULL },
    [COUNT_REJECT_LOADING] = { "akiembed_rejected_total", "reason=\"loading\"", NULL },
    [COUNT_REJECT_KEY] = { "akiembed_rejected_total", "reason=\"key\"", NULL },
    [COUNT_REJECT_DEADLINE] = { "akiembed_rejected_total", "reason=\"deadline\"", NULL },
    [COUNT_REJECT_SIZE] = { "akiembed_rejected_total", "reason=\"body_size\"", NULL },
    [COUNT_GONE] = { "akiembed_clients_gone_total", "", "Requests whose client left before the answer." },
    [COUNT_CUT] = { "akiembed_connections_cut_total", "", "Connections cut because their client was too slow." },
    [COUNT_REQUEST_SINGLE] = { "te_request_count", "method=\"single\"", "Requests for vectors or scores, of one text (single) or several (batch)." },
    [COUNT_REQUEST_BATCH] = { "te_request_count", "method=\"batch\"", NULL },
    [COUNT_REQUEST_SUCCESS_SINGLE] = { "te_request_success", "method=\"single\"", "Those of them that were answered." },
    [COUNT_REQUEST_SUCCESS_BATCH] = { "te_request_success", "method=\"batch\"", NULL },
    [COUNT_EMBED] = { "te_embed_count", "", "Texts of requests that were put into the queue." },
    [COUNT_EMBED_SUCCESS] = { "te_embed_success", "", "Texts that were answered." },
    [COUNT_TRUNCATED] = { "akiembed_truncated_texts_total", "", "Texts cut to the model's limit of tokens." },
    [COUNT_TOKENS] = { "akiembed_tokens_total", "", "Tokens of answered requests, special tokens and prompts included." },
    [COUNT_RUNS] = { "akiembed_runs_total", "", "Runs: texts of one or several requests that were computed together." },
};

static const double time_bounds[] = { .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60 };
static const double size_bounds[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768 };
_Static_assert(sizeof time_bounds == HISTOGRAM_BOUNDS * sizeof(double) && sizeof size_bounds == sizeof time_bounds, "a bucket for each bound");

static const struct { const char *name, *help; } histogram_rows[HISTOGRAM_COUNT] = {
    { "te_request_duration", "Seconds from a request's first byte to its answer." },
    { "te_request_tokenization_duration", "Seconds in which a request's texts were tokenised." },
    { "te_request_queue_duration", "Seconds from a request's place in the queue to its first run." },
    { "te_request_inference_duration", "Seconds of the runs that held a part of a request." },
    { "te_embed_duration", "The seconds of its request, for each text." },
    { "te_embed_tokenization_duration", "The share of its request's seconds of tokenising, for each text." },
    { "te_embed_queue_duration", "The seconds its request waited, for each text." },
    { "te_embed_inference_duration", "The seconds its request was computed, for each text." },
    { "te_request_input_length", "Tokens of a text." },
    { "te_batch_next_size", "Texts of a run." },
    { "te_batch_next_tokens", "Tokens of a run." },
};

/* Guards histograms: a handful of additions at a time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---------------------------------------------------------------- counting -------------------------------------- */

void metrics_count(enum counter counter)
{
    atomic_fetch_add_explicit(&service_counters[counter], 1, memory_order_relaxed);
}

void metrics_count_model(struct model_metrics *of, enum counter counter, uint64_t more)
{
    atomic_fetch_add_explicit(&of->counters[counter - SERVICE_COUNTER_COUNT], more, memory_order_relaxed);
}

void metrics_observe(struct model_metrics *of, enum histogram histogram, double value)
{
    const double *bounds = histogram >= SIZE_INPUT ? size_bounds : time_bounds;
    size_t i = 0;

    while (i < HISTOGRAM_BOUNDS && value > bounds[i])
        i++;
    pthread_mutex_lock(&lock);
    of->histograms[histogram].buckets[i]++;
    of->histograms[histogram].count++;
    of->histograms[histogram].sum += value;
    pthread_mutex_unlock(&lock);
}

/* ---------------------------------------------------------------- text ------------------------------------------ */

static void write_head(struct aki__buf *out, const char *name, const char *type, const char *help)
{
    buf_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* NAME{label,model="…"} where there are such; label: "" none, model: NULL none. */
static void write_name(struct aki__buf *out, const char *name, const char *label, const char *model)
{
    buf_format(out, "%s%s%s", name, *label || model ? "{" : "", label);
    if (model) {
        buf_text(out, *label ? ",model=" : "model=");
        json_text(out, model);
    }
    buf_text(out, *label || model ? "} " : " ");
}

static void write_count(struct aki__buf *out, uint64_t value)
{
    buf_format(out, "%llu\n", (unsigned long long)value);
}

static void write_counters(struct aki__buf *out, const struct gauges *g)
{
    for (int first = 0, end; first < COUNTER_COUNT; first = end) {
        const char *name = counter_rows[first].name;
        for (end = first + 1; end < COUNTER_COUNT && !strcmp(counter_rows[end].name, name);)
            end++;
        write_head(out, name, "counter", counter_rows[first].help);
        for (size_t m = 0; m < (first < SERVICE_COUNTER_COUNT ? 1 : g->model_count); m++) {
            for (int i = first; i < end; i++) {
                _Atomic uint64_t *counter = i < SERVICE_COUNTER_COUNT ? &service_counters[i] : &g->models[m].counted->counters[i - SERVICE_COUNTER_COUNT];
                write_name(out, name, counter_rows[i].label, i < SERVICE_COUNTER_COUNT ? NULL : g->models[m].name);
                write_count(out, atomic_load_explicit(counter, memory_order_relaxed));
            }
        }
    }
}

static void write_histogram(struct aki__buf *out, int h, const struct model_gauges *m)
{
    const double *bounds = h >= SIZE_INPUT ? size_bounds : time_bounds;
    uint64_t below = 0;
    char name[64], label[32];

    snprintf(name, sizeof name, "%s_bucket", histogram_rows[h].name);
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        below += m->counted->histograms[h].buckets[i];
        snprintf(label, sizeof label, i < HISTOGRAM_BOUNDS ? "le=\"%g\"" : "le=\"+Inf\"", i < HISTOGRAM_BOUNDS ? bounds[i] : 0);
        write_name(out, name, label, m->name);
        write_count(out, below);
    }
    snprintf(name, sizeof name, "%s_sum", histogram_rows[h].name);
    write_name(out, name, "", m->name);
    buf_format(out, "%.9g\n", m->counted->histograms[h].sum);
    snprintf(name, sizeof name, "%s_count", histogram_rows[h].name);
    write_name(out, name, "", m->name);
    write_count(out, m->counted->histograms[h].count);
}

static void write_gauge(struct aki__buf *out, const char *name, const char *help, uint64_t value)
{
    write_head(out, name, "gauge", help);
    write_name(out, name, "", NULL);
    write_count(out, value);
}

enum model_gauge { GAUGE_QUEUE, GAUGE_QUEUE_TOKENS, GAUGE_OPEN, GAUGE_WEIGHTS, GAUGE_FELL_BACK, GAUGE_COUNT };

static uint64_t value_of(const struct model_gauges *m, enum model_gauge which)
{
    const uint64_t values[GAUGE_COUNT] = { m->queue_size, m->queue_tokens, (uint64_t)m->open, m->weights, (uint64_t)m->fell_back };

    return values[which];
}

static void write_models(struct aki__buf *out, const struct gauges *g)
{
    static const struct { const char *name, *help; } rows[GAUGE_COUNT] = {
        { "te_queue_size", "Texts that wait for a run." },
        { "akiembed_queue_tokens", "Tokens that wait for a run." },
        { "akiembed_model_open", "1: the model is open, 0: not." },
        { "akiembed_model_weights_bytes", "Bytes of the model's weights as they are computed with; 0 where it is closed." },
        { "akiembed_device_fallback", "1: computing on the cpu because the device that was asked for could not be used." },
    };

    for (int i = 0; i < GAUGE_COUNT; i++) {
        write_head(out, rows[i].name, "gauge", rows[i].help);
        for (size_t m = 0; m < g->model_count; m++) {
            write_name(out, rows[i].name, "", g->models[m].name);
            write_count(out, value_of(&g->models[m], (enum model_gauge)i));
        }
    }
    write_head(out, "akiembed_model_info", "gauge", "What an open model is and computes in; always 1.");
    for (size_t m = 0; m < g->model_count; m++) {
        char label[160];
        snprintf(label, sizeof label, "kind=\"%s\",precision=\"%s\",device=\"%s\"", g->models[m].kind, g->models[m].precision, g->models[m].device);
        if (!g->models[m].open)
            continue;
        write_name(out, "akiembed_model_info", label, g->models[m].name);
        write_count(out, 1);
    }
}

void metrics_write(struct aki__buf *out, const struct gauges *g)
{
    write_counters(out, g);
    pthread_mutex_lock(&lock);
    for (int h = 0; h < HISTOGRAM_COUNT; h++) {
        write_head(out, histogram_rows[h].name, "histogram", histogram_rows[h].help);
        for (size_t m = 0; m < g->model_count; m++)
            write_histogram(out, h, &g->models[m]);
    }
    pthread_mutex_unlock(&lock);
    write_models(out, g);
    write_gauge(out, "akiembed_connections", "Connections that are open.", g->connections);
    write_gauge(out, "akiembed_requests_in_flight", "Requests whose headers are in and whose answers are not out.", g->requests);
    write_gauge(out, "akiembed_resident_memory_bytes", "Bytes of this process in memory.", g->resident);
    write_head(out, "akiembed_build_info", "gauge", "The version; always 1.");
    buf_format(out, "akiembed_build_info{version=\"%s\"} 1\n", aki_version());
}
