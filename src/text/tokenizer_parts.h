/* Unit tokenizer, inside: what its files share. tokenizer_open.c reads a tokenizer.json, encode.c encodes, work.c holds the
 * work memory of calls, and tokenizer.c decodes and answers questions about the vocabulary. */
#ifndef AKI_TOKENIZER_PARTS_H
#define AKI_TOKENIZER_PARTS_H

#include "base/os.h"
#include "text/stages.h"
#include "text/tokenizer.h"

/* Work memory that no call uses. The lock guards `free` only; it is never held during a computation. */
struct aki__work_pool { struct aki__lock lock; struct aki__work *free; };

struct aki__tokenizer {
    struct aki__algorithm    *model;
    struct aki__added         added;
    struct aki__normalizer   *normalizer;
    struct aki__pretokenizer *pretokenizer;
    struct aki__post          post;
    struct aki__decoder      *decoder;
    bool                      track_always;     /* keep maps even if no spans are wanted */
    bool                      cuts_left;        /* truncation.direction is "Left" */
    bool                      raw_bytes;        /* the algorithm gets words as bytes, not in the byte alphabet */
    int32_t                   raw_unknown;      /* Unigram's unknown token, whose text is the text's own; -1: none */
    size_t                    vocabulary;       /* one above the highest id */
    struct aki__work_pool    *pool;
};

/* Work memory for one call, to be released after it. NULL: no memory. Thread-safe. */
struct aki__work *aki__work_acquire(const struct aki__tokenizer *t);
void              aki__work_release(const struct aki__tokenizer *t, struct aki__work *w);     /* w NULL is allowed */
/* Frees the pool and the work memory in it. */
void              aki__work_pool_free(struct aki__work_pool *pool);

#endif
