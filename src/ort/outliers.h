/* Unit outliers: which columns of the rows that int8 products read are so large that they stay f32. Judged from the weights alone. */
#ifndef AKI_OUTLIERS_H
#define AKI_OUTLIERS_H

#include "base/pool.h"
#include "kernel/kernel.h"
#include "ort/graph.h"

/* found: [g->count], zeroed; filled for the blocks whose rows linears read (a ROWS block has those of the block it picks from).
 * columns: [g->count, AKI_MOST_OUTLIERS], what found points into. pool: taken by the caller, or NULL.
 * Of a quantised folder they are those of its products. Errors: NOMEM, INVALID. */
aki_status aki__outliers_find(struct aki__outliers *found, int32_t *columns, const struct aki__graph *g, struct aki__pool *pool, aki_error *err);

#endif
