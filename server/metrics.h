/* Unit metrics: what is counted, and its text for Prometheus. Any thread may count. */
#ifndef AKI_SERVER_METRICS_H
#define AKI_SERVER_METRICS_H

#include "buf.h"
#include "util/clock.h"

enum counter {
    COUNT_REQUEST_SINGLE, COUNT_REQUEST_BATCH, COUNT_REQUEST_SUCCESS_SINGLE, COUNT_REQUEST_SUCCESS_BATCH,
    COUNT_FAIL_VALIDATION, COUNT_FAIL_EMPTY, COUNT_FAIL_TOKENIZER, COUNT_FAIL_BACKEND, COUNT_FAIL_OVERLOADED, COUNT_FAIL_UNHEALTHY,
    COUNT_EMBED, COUNT_EMBED_SUCCESS, COUNT_TRUNCATED, COUNT_TOKENS, COUNT_RUNS,
    COUNT_REJECT_QUEUE, COUNT_REJECT_MEMORY, COUNT_REJECT_LOADING, COUNT_REJECT_KEY, COUNT_REJECT_DEADLINE, COUNT_REJECT_SIZE, COUNT_GONE, COUNT_CUT,
    COUNTER_COUNT
};
enum histogram {
    TIME_REQUEST, TIME_REQUEST_TOKENIZATION, TIME_REQUEST_QUEUE, TIME_REQUEST_INFERENCE,
    TIME_EMBED, TIME_EMBED_TOKENIZATION, TIME_EMBED_QUEUE, TIME_EMBED_INFERENCE,
    SIZE_INPUT, SIZE_BATCH, SIZE_BATCH_TOKENS,
    HISTOGRAM_COUNT
};

void metrics_count(enum counter counter, uint64_t more);
/* Seconds for the times, numbers for the sizes. */
void metrics_observe(enum histogram histogram, double value);

/* What others hold and metrics_write only prints. */
struct gauges {
    uint64_t    resident;
    size_t      queue_size, queue_tokens, connections, requests;
    const char *model, *precision, *device;
    int         fell_back;                  /* the device that was asked for could not be used */
};
void metrics_write(struct aki__buf *out, const struct gauges *gauges);

/* Seconds on a clock that only goes forward. */
static inline double seconds_now(void) { return aki__seconds(); }

#endif
