/* Unit head: what a graph has behind its hidden rows: the pooling, and the blocks from there to its vectors (Dense modules, say), computed
 * here with the same kernels as in the cpu dialect. For padded runs, whose network ends at the hidden rows. */
#ifndef AKI_HEAD_H
#define AKI_HEAD_H

#include "ort/session.h"

struct aki__head;               /* any number of threads may run it */

/* The graph may go afterwards: weights are packed here. Errors: UNSUPPORTED (no hidden rows, or vectors that are made of more than these), NOMEM. */
aki_status aki__head_open(struct aki__head **out, const struct aki__graph *g, aki_error *err);
void       aki__head_close(struct aki__head *h);
/* Columns of what is pooled, and so of the hidden rows; dense: of what the blocks behind make of that. */
size_t     aki__head_columns(const struct aki__head *h, bool dense);
/* rows: [row_count, columns], the hidden rows that the pooling reads. out: [vectors, columns of b->dense]. Errors: NOMEM. */
aki_status aki__head_run(const struct aki__head *h, const struct aki__batch *b, const float *rows, float *out, aki_error *err);

#endif
