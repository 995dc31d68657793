/* Unit batch, the runs: see batch.h. The model's thread alone uses these. */
#ifndef AKI_SERVER_RUN_H
#define AKI_SERVER_RUN_H

#include "batch.h"

/* A run's arrays, kept from run to run. */
struct batch_run {
    struct served *served;
    struct batch_job   **jobs;                   /* [count]; of each the texts [first, first + more) */
    size_t         count, jobs_capacity;
    size_t         texts, tokens;
    int32_t       *ids, *types;
    int64_t       *starts;
    int32_t       *prompts;
    float         *out;
    size_t         ids_capacity, types_capacity, starts_capacity, prompts_capacity, out_capacity;
    struct batch_group   group;
    size_t         width;
};

/* Computes one run of what waits; not at all where nothing does. The lock is held before and after, and let go of meanwhile. */
void run_next(struct served *s, struct batch_run *r);
void run_free(struct batch_run *r);

#endif
