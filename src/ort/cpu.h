/* Unit cpu: the packed, fused dialect for processors: blocks -> products on MLAS and custom operators between them.
 *
 * Tokens of all texts lie end to end ([T], no padding). Graph inputs (i32): ids [T], positions [T], starts [B + 1], rows [R] and
 * query_starts [B + 1] (the rows the pooling reads), pool_starts [N + 1], weight_from [N], mode [1] (enum aki__pool_mode), key_starts [B + 1];
 * i64: prefixes [1] (address of struct aki__prefix_use [B]).
 * Outputs (f32): hidden [N, hidden], and vectors [N, dim] where the model has Dense modules. */
#ifndef AKI_CPU_H
#define AKI_CPU_H

#include "ort/graph.h"
#include "ort/onnx.h"

/* Memory that must live as long as the session: the operators' plans, biases, scales. */
struct aki__keep { void **blocks; size_t count, capacity; };
void *aki__keep_new(struct aki__keep *k, size_t count, size_t size);    /* zeroed, 64-byte aligned; NULL: no memory */
void  aki__keep_free(struct aki__keep *k);

struct aki__cpu_options { bool int8; int threads; };

/* Fills *o and *keep (both zeroed before); freed by the caller, also on failure. */
aki_status aki__cpu_build(struct aki__onnx *o, struct aki__keep *keep, const struct aki__graph *g, const struct aki__cpu_options *options, aki_error *err);

#endif
