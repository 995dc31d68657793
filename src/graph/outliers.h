/* Unit outliers: finds the inputs and outputs of int8 products that are so large that they stay f32, and the products that stay
 * f32 as a whole. It looks only at the weights. */
#ifndef AKI_OUTLIERS_H
#define AKI_OUTLIERS_H

#include "base/pool.h"
#include "kernel/kernel.h"
#include "graph/graph.h"

/* read: of a block whose rows linears read, the columns that are outliers (a ROWS block has those of its input). rows: of a
 * linear, the outputs that are outliers. */
struct aki__found { struct aki__outliers read, rows; };

/* What was measured, in place of what the weights let one expect. f32: [g->count] the linears that stay f32. far_above: the multiple of the
 * median from which on inputs and outputs are outliers; 0: the usual one. */
struct aki__choice { const bool *f32; float far_above; };

/* The block whose rows a linear reads, all of them or some. Linears of one such block are all int8 or all f32. */
aki__blk aki__read_by(const struct aki__graph *g, const struct aki__block *linear);

/* choice: or NULL.
 * found: [g->count], zeroed.
 * f32: [g->count], zeroed. Set for linears that stay f32, which then have no outliers. Linears that read the same rows agree in this.
 * columns: [g->count, 2, AKI_MOST_OUTLIERS], to which found points. pool: acquired by the caller, or NULL.
 * For a quantised folder, the outliers are those of its products. Errors: NOMEM, INVALID. */
aki_status aki__outliers_find(struct aki__found *found, bool *f32, int32_t *columns, const struct aki__graph *g, const struct aki__choice *choice,
                              struct aki__pool *pool, aki_error *err);

#endif
