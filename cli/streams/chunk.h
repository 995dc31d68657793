/* Unit chunk: cuts a text into pieces of at most so many tokens. */
#ifndef AKI_CLI_CHUNK_H
#define AKI_CLI_CHUNK_H

#include "cli/shell/cli.h"

#include <akiembed.h>

struct cut {
    size_t begin, end;                     /* bytes of the text; both between two characters */
};

/* Zeroed is valid, reused from text to text, freed by chunk_free. */
struct chunker {
    const aki_model         *model;
    const aki_embed_options *options;      /* what the chunks are embedded with */
    size_t      limit;                     /* tokens of a chunk, prompt and special tokens included */
    size_t      fixed;                     /* of these, prompt and special tokens */
    size_t      overlap;                   /* tokens that neighbours share */
    int32_t    *ids;
    int64_t    *spans;                     /* [count, 2] of the text's own tokens */
    size_t      count, capacity;
    struct cut *cuts;                      /* [cut_count], in order */
    size_t      cut_count, cut_capacity;
};

/* Checks --chunk and --overlap against the model; message out where they do not fit. limit: the longest text in tokens. */
int  chunk_open(struct chunker *c, const aki_model *model, const aki_embed_options *options, int chunk, int overlap, int limit);
/* Fills c->cuts. A chunk's text alone has at most limit tokens, unless one character alone has more; cuts are put between words
 * where one is near. A text that fits is one chunk, an empty one too. */
int  chunk_split(struct chunker *c, const char *text, size_t size, aki_error *error);
void chunk_free(struct chunker *c);

#endif
