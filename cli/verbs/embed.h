/* Unit embed: the verb `embed`: what its three forms (a vector a text, a chunk or a token) share. */
#ifndef AKI_CLI_EMBED_H
#define AKI_CLI_EMBED_H

#include "cli/streams/chunk.h"
#include "cli/streams/input.h"
#include "cli/hub/model.h"
#include "cli/streams/output.h"
#include "cli/streams/unfinished.h"

struct embed_job {
    const struct options *o;
    struct model      model;
    aki_embed_options options;
    struct input      input;
    struct batch      batch;
    struct output     output;
    struct layout     layout;
    struct unfinished unfinished;
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
int embed_compute(struct embed_job *j, const char *const *texts, const size_t *sizes, const uint64_t *numbers, size_t count);
/* Shows progress after computed texts. */
void embed_progress(struct embed_job *j);
/* The library's cancel callback: shows progress, and says whether a signal asks for an end. */
int  embed_cancel(void *job);
/* Rows of one batch each. They answer an exit code. */
int  embed_chunks(struct embed_job *j);
int  embed_tokens(struct embed_job *j);
/* The message of a failure in the text with that number. */
int  embed_failed(struct embed_job *j, const aki_error *error, uint64_t number);

#endif
