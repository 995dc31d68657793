/* Unit metrics: what is counted, and its text for Prometheus. See metrics.h. */
#include "metrics.h"

#include <akiembed.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static _Atomic uint64_t counters[COUNTER_COUNT];

/* ---------------------------------------------------------------- tables ---------------------------------------- */

/* Rows of one name stand together: Prometheus wants its # TYPE once. */
static const struct { const char *name, *label; } counter_rows[COUNTER_COUNT] = {
    [COUNT_REQUEST_SINGLE] = { "te_request_count", "method=\"single\"" },
    [COUNT_REQUEST_BATCH] = { "te_request_count", "method=\"batch\"" },
    [COUNT_REQUEST_SUCCESS_SINGLE] = { "te_request_success", "method=\"single\"" },
    [COUNT_REQUEST_SUCCESS_BATCH] = { "te_request_success", "method=\"batch\"" },
    [COUNT_FAIL_VALIDATION] = { "te_request_failure", "err=\"validation\"" },
    [COUNT_FAIL_EMPTY] = { "te_request_failure", "err=\"empty\"" },
    [COUNT_FAIL_TOKENIZER] = { "te_request_failure", "err=\"tokenization\"" },
    [COUNT_FAIL_BACKEND] = { "te_request_failure", "err=\"backend\"" },
    [COUNT_FAIL_OVERLOADED] = { "te_request_failure", "err=\"overloaded\"" },
    [COUNT_FAIL_UNHEALTHY] = { "te_request_failure", "err=\"unhealthy\"" },
    [COUNT_EMBED] = { "te_embed_count", "" },
    [COUNT_EMBED_SUCCESS] = { "te_embed_success", "" },
    [COUNT_TRUNCATED] = { "akiembed_truncated_texts_total", "" },
    [COUNT_TOKENS] = { "akiembed_tokens_total", "" },
    [COUNT_RUNS] = { "akiembed_runs_total", "" },
    [COUNT_REJECT_QUEUE] = { "akiembed_rejected_total", "reason=\"queue_full\"" },
    [COUNT_REJECT_MEMORY] = { "akiembed_rejected_total", "reason=\"memory\"" },
    [COUNT_REJECT_LOADING] = { "akiembed_rejected_total", "reason=\"loading\"" },
    [COUNT_REJECT_KEY] = { "akiembed_rejected_total", "reason=\"key\"" },
    [COUNT_REJECT_DEADLINE] = { "akiembed_rejected_total", "reason=\"deadline\"" },
    [COUNT_REJECT_SIZE] = { "akiembed_rejected_total", "reason=\"body_size\"" },
    [COUNT_GONE] = { "akiembed_clients_gone_total", "" },
    [COUNT_CUT] = { "akiembed_connections_cut_total", "" },
};

static const double time_bounds[] = { .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60 };
static const double size_bounds[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768 };
_Static_assert(sizeof time_bounds == sizeof size_bounds, "both kinds have the same number of buckets");
enum { BOUND_COUNT = sizeof time_bounds / sizeof *time_bounds };

static const char *const histogram_names[HISTOGRAM_COUNT] = {
    "te_request_duration", "te_request_tokenization_duration", "te_request_queue_duration", "te_request_inference_duration",
    "te_embed_duration", "te_embed_tokenization_duration", "te_embed_queue_duration", "te_embed_inference_duration",
    "te_request_input_length", "te_batch_next_size", "te_batch_next_tokens",
};

/* Guards histograms: a handful of additions at a time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { uint64_t buckets[BOUND_COUNT + 1], count; double sum; } histograms[HISTOGRAM_COUNT];

/* ---------------------------------------------------------------- counting -------------------------------------- */

void metrics_count(enum counter counter, uint64_t more)
{
    atomic_fetch_add_explicit(&counters[counter], more, memory_order_relaxed);
}

void metrics_observe(enum histogram histogram, double value)
{
    const double *bounds = histogram >= SIZE_INPUT ? size_bounds : time_bounds;
    size_t i = 0;

    while (i < BOUND_COUNT && value > bounds[i])
        i++;
    pthread_mutex_lock(&lock);
    histograms[histogram].buckets[i]++;
    histograms[histogram].count++;
    histograms[histogram].sum += value;
    pthread_mutex_unlock(&lock);
}

/* ---------------------------------------------------------------- text ------------------------------------------ */

static void write_counters(struct aki__buf *out)
{
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const char *name = counter_rows[i].name, *label = counter_rows[i].label;
        if (!i || strcmp(name, counter_rows[i - 1].name))
            buf_format(out, "# TYPE %s counter\n", name);
        buf_format(out, "%s%s%s%s %llu\n", name, *label ? "{" : "", label, *label ? "}" : "",
                     (unsigned long long)atomic_load_explicit(&counters[i], memory_order_relaxed));
    }
}

static void write_histogram(struct aki__buf *out, int h)
{
    const double *bounds = h >= SIZE_INPUT ? size_bounds : time_bounds;
    uint64_t below = 0;

    buf_format(out, "# TYPE %s histogram\n", histogram_names[h]);
    for (size_t i = 0; i < BOUND_COUNT; i++) {
        below += histograms[h].buckets[i];
        buf_format(out, "%s_bucket{le=\"%g\"} %llu\n", histogram_names[h], bounds[i], (unsigned long long)below);
    }
    buf_format(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.9g\n%s_count %llu\n", histogram_names[h], (unsigned long long)histograms[h].count,
                 histogram_names[h], histograms[h].sum, histogram_names[h], (unsigned long long)histograms[h].count);
}

static void write_gauge(struct aki__buf *out, const char *name, double value)
{
    buf_format(out, "# TYPE %s gauge\n%s %.17g\n", name, name, value);
}

void metrics_write(struct aki__buf *out, const struct gauges *g)
{
    write_counters(out);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < HISTOGRAM_COUNT; i++)
        write_histogram(out, i);
    pthread_mutex_unlock(&lock);
    write_gauge(out, "te_queue_size", (double)g->queue_size);
    write_gauge(out, "akiembed_queue_tokens", (double)g->queue_tokens);
    write_gauge(out, "akiembed_connections", (double)g->connections);
    write_gauge(out, "akiembed_requests_in_flight", (double)g->requests);
    write_gauge(out, "akiembed_resident_memory_bytes", (double)g->resident);
    write_gauge(out, "akiembed_device_fallback", g->fell_back);
    buf_format(out, "# TYPE akiembed_build_info gauge\nakiembed_build_info{version=\"%s\",precision=\"%s\",device=", aki_version(), g->precision);
    json_text(out, g->device);
    buf_text(out, ",model=");
    json_text(out, g->model);
    buf_text(out, "} 1\n");
}
