/* Unit bench_texts: makes texts for `bench`, none of which is like another. */
#ifndef AKI_CLI_BENCH_TEXTS_H
#define AKI_CLI_BENCH_TEXTS_H

#include "cli/shell/cli.h"

#include <akiembed.h>

/* Of one run. Zeroed is the start; the same texts come in every run. */
struct bench_texts {
    const aki_model *model;
    uint64_t         state;
};

/* Appends a text of about that many tokens, special ones included, to *out: never more, and as near as words of one token allow. It is
 * unlike all texts before it from its beginning on. An exit code; on failure the message is out. */
int bench_text(struct bench_texts *b, size_t tokens, struct aki__buf *out);
/* A number from least to most, as often small as large. */
size_t bench_length(struct bench_texts *b, size_t least, size_t most);

#endif
