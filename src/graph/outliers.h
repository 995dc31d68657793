/* Unit outliers: which inputs and outputs of int8 products are so large that they stay f32, and which products do as a whole. Judged from the
 * weights alone. */
#ifndef AKI_OUTLIERS_H
#define AKI_OUTLIERS_H

#include "base/pool.h"
#include "kernel/kernel.h"
#include "graph/graph.h"

/* Of a block whose rows linears read: its columns that are outliers (a ROWS block has those of the block it picks from); of a linear: the outputs
 * that are. */
struct aki__found { struct aki__outliers read, rows; };

/* found: [g->count], zeroed.
 * f32: [g->count], zeroed. Linears that are no int8 products but f32; they have no outliers. Linears that read the same rows agree in it.
 * columns: [g->count, 2, AKI_MOST_OUTLIERS], what found points into. pool: taken by the caller, or NULL.
 * Of a quantised folder they are those of its products. Errors: NOMEM, INVALID. */
aki_status aki__outliers_find(struct aki__found *found, bool *f32, int32_t *columns, const struct aki__graph *g, struct aki__pool *pool, aki_error *err);

#endif
