/* Unit layout: what every row of an output has in common. The unit output writes rows of it, the unit resume recognises them. */
#ifndef AKI_CLI_LAYOUT_H
#define AKI_CLI_LAYOUT_H

#include "cli/shell/sink.h"

struct layout {
    int    format;                         /* FORMAT_* */
    int    dtype;                          /* AKI_DTYPE_* */
    size_t elements;                       /* of a vector, in units of dtype: bytes where it is packed bits */
    size_t element_size;                   /* bytes */
    bool   chunks;                         /* rows are chunks of texts */
    bool   chunk_counts;                   /* rows are texts, pooled of chunks */
    bool   tokens;                         /* rows are texts with a vector a token */
};

/* The type of an element in .npy. */
const char *layout_npy_type(const struct layout *layout);
/* The first line of a csv. */
void layout_csv_heading(struct sink *s, const struct layout *layout);

#endif
