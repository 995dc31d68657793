/* Unit embed: the verb `embed`: what its ways (texts, chunks, tokens) share. */
#ifndef AKI_CLI_EMBED_H
#define AKI_CLI_EMBED_H

#include "cli/streams/chunk.h"
#include "cli/streams/input.h"
#include "cli/hub/model.h"
#include "cli/streams/output.h"

struct job {
    const struct options *o;
    struct model      model;
    aki_embed_options options;
    struct input      input;
    struct batch      batch;
    struct output     output;
    struct layout     layout;
    struct chunker    chunker;
    float            *ranges;              /* [2, dim] or NULL */
    char             *vectors;             /* [count] vectors of the last computed texts */
    size_t            vectors_size;
    int32_t          *tokens;              /* [count] */
    uint8_t          *truncated;           /* [count] */
    size_t            count_capacity;
    uint64_t          row;                 /* rows passed, those that --resume found included */
    uint64_t          texts, done, cut;    /* texts read; texts and chunks computed; texts truncated */
    uint64_t          tokens_before, tokens_done;
    int               limit;               /* tokens of the longest text */
};

/* Computes vectors, tokens and truncated of count texts. numbers: [count] of each text in the input, NULL: batch.first and on. */
int job_compute(struct job *j, const char *const *texts, const size_t *sizes, const uint64_t *numbers, size_t count);
/* Shows progress after computed texts. */
void job_progress(struct job *j);
/* The library's cancel callback: shows progress, and says whether a signal asks for an end. */
int  job_cancel(void *job);
/* Rows of one batch each. They answer an exit code. */
int  job_chunks(struct job *j);
int  job_tokens(struct job *j);
/* The message of a failure in the text with that number. */
int  job_failed(struct job *j, const aki_error *error, uint64_t number);

#endif
