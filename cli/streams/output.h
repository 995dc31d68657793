/* Unit output: rows of vectors in the formats that embed writes, and where an interrupted output ends. */
#ifndef AKI_CLI_OUTPUT_H
#define AKI_CLI_OUTPUT_H

#include "layout.h"

struct row {
    uint64_t       index;                  /* of the text */
    int64_t        tokens;
    uint64_t       chunk, begin, end;      /* of a chunk: its number in the text, its bytes; chunk: of chunk_counts the count */
    const char    *extra;                  /* JSON members to pass through */
    size_t         extra_size;
    const void    *vector;                 /* [elements] of dtype; of tokens: [tokens, elements] f32 */
    const char   **pieces;                 /* of tokens, [tokens] each; borrowed */
    const size_t  *piece_sizes;
    const int32_t *ids;
    const int64_t *spans;                  /* [tokens, 2] */
};

struct output {
    struct sink   sink;                    /* to the file, or to stdout */
    struct layout layout;
    struct sink   spill;                   /* npy for a pipe: its rows, until their count is known */
    bool          spilling;
    uint64_t      rows;                    /* vectors written, the kept ones included */
    uint64_t      kept;                    /* rows that --resume found */
};

/* path NULL: stdout. keep (for --resume): keeps so many whole rows of the file, or all that it has, if it is one of this layout. On failure the message is out and
 * output_close is still due. */
int output_open(struct output *out, const char *path, const struct layout *layout, uint64_t keep);
void output_row(struct output *out, const struct row *row);
int output_flush(struct output *out);
/* Ends the format and closes. rc: of the work so far; rows written before a failure stay whole and readable. */
int output_close(struct output *out, int rc);

#endif
