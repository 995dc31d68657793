/* Unit metrics: what is counted, and its text for Prometheus. Any thread may count. */
#ifndef AKI_SERVER_METRICS_H
#define AKI_SERVER_METRICS_H

#include "buf.h"
#include "util/clock.h"

#include <stdatomic.h>

enum counter {
    /* of the service: the request at fault may have named no model */
    COUNT_FAIL_VALIDATION, COUNT_FAIL_EMPTY, COUNT_FAIL_TOKENIZER, COUNT_FAIL_BACKEND, COUNT_FAIL_OVERLOADED, COUNT_FAIL_UNHEALTHY,
    COUNT_REJECT_QUEUE, COUNT_REJECT_MEMORY, COUNT_REJECT_LOADING, COUNT_REJECT_KEY, COUNT_REJECT_DEADLINE, COUNT_REJECT_SIZE, COUNT_GONE, COUNT_CUT,
    SERVICE_COUNTER_COUNT,
    /* of a model */
    COUNT_REQUEST_SINGLE = SERVICE_COUNTER_COUNT, COUNT_REQUEST_BATCH, COUNT_REQUEST_SUCCESS_SINGLE, COUNT_REQUEST_SUCCESS_BATCH,
    COUNT_EMBED, COUNT_EMBED_SUCCESS, COUNT_TRUNCATED, COUNT_TOKENS, COUNT_RUNS,
    COUNTER_COUNT
};
enum histogram {
    TIME_REQUEST, TIME_REQUEST_TOKENIZATION, TIME_REQUEST_QUEUE, TIME_REQUEST_INFERENCE,
    TIME_EMBED, TIME_EMBED_TOKENIZATION, TIME_EMBED_QUEUE, TIME_EMBED_INFERENCE,
    SIZE_INPUT, SIZE_BATCH, SIZE_BATCH_TOKENS,
    HISTOGRAM_COUNT
};

enum { HISTOGRAM_BOUNDS = 16 };

/* What is counted of one model; zeroed: nothing yet. */
struct model_metrics {
    _Atomic uint64_t counters[COUNTER_COUNT - SERVICE_COUNTER_COUNT];
    struct { uint64_t buckets[HISTOGRAM_BOUNDS + 1], count; double sum; } histograms[HISTOGRAM_COUNT];
};

/* Of the service. */
void metrics_count(enum counter counter);
void metrics_count_model(struct model_metrics *of, enum counter counter, uint64_t more);
/* Seconds for the times, numbers for the sizes. */
void metrics_observe(struct model_metrics *of, enum histogram histogram, double value);

/* What others hold and metrics_write only prints. */
struct model_gauges {
    struct model_metrics *counted;
    const char *name, *kind, *precision;    /* of an open model */
    char        device[64];
    uint64_t    weights;
    size_t      queue_size, queue_tokens;
    int         open, fell_back;            /* fell_back: the device that was asked for could not be used */
};
struct gauges {
    uint64_t    resident;
    size_t      connections, requests, model_count;
    const struct model_gauges *models;      /* [model_count] */
};
void metrics_write(struct aki__buf *out, const struct gauges *gauges);

/* Seconds on a clock that only goes forward. */
static inline double seconds_now(void) { return aki__seconds(); }

#endif
