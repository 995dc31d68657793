/* Unit ops: the custom operators of domain "aki": thin adapters from ONNX Runtime's tensors to kernel/.
 *
 * A node's constants (dimensions, gamma, bias, scales) are not tensors but a plan: a struct that the session owns, whose address the
 * node carries as its attribute "plan". The graph lives in this process's memory only, so an address is as good as a copy. */
#ifndef AKI_OPS_H
#define AKI_OPS_H

#include "kernel/kernel.h"
#include "ort/runtime.h"

/* What a linear layer's raw rows need besides themselves; a part of a merged product starts at `offset`. */
struct aki__part {
    size_t       offset;                /* first column in the product */
    const float *column_scale;          /* [columns] of this part; int8 only */
    const float *bias;                  /* [columns] or NULL */
};

/* Embed (ids [T], positions [T]) -> f32 [T, hidden] */
struct aki__embed_plan { struct aki__table words, positions, types; size_t hidden; };
/* Norm (x [T, hidden]?, add [T, hidden] f32 or i32 ?, add_scale [T]?) -> sum?, f32?, u8?, scale? */
struct aki__norm_plan { struct aki__part add; const float *gamma, *beta; float eps; bool rms; size_t hidden, block; };
/* Act (x [T, columns or 2 * columns] f32 or i32, scale [T]?) -> f32?, u8?, scale? */
struct aki__act_plan { struct aki__part x, gate; bool gated; enum aki__kernel_act act; size_t columns, block; };
/* Rope (positions [T]) -> f32 [T, head_dim] */
struct aki__rope_plan { const float *inverse; size_t head_dim; };
/* Attention (q, q_scale?, kv, kv_scale?, starts [B + 1], query_starts [B + 1], rows [R]?, rope?, key_starts [B + 1]?, prefixes [1]?) -> f32?, u8?, scale?
 * q and kv may be the same merged product. Without rows every token is a query. */
struct aki__attention_plan {
    struct aki__part q, k, v;
    size_t heads, kv_heads, head_dim, window, block;
    bool   causal;
    const float *q_norm, *k_norm;
    float  norm_eps;
    size_t layer;                       /* number of the attention in the network, for the prefixes */
};
/* Rows (x [T, hidden] f32, rows [R]) -> f32 [R, hidden]; Rows8: (u8, scale, rows) -> u8, scale. Plan: none. */
/* Quantise (x [T, columns] f32) -> u8, scale */
struct aki__quantise_plan { size_t columns, block; };
/* Pool (x [R, hidden], starts [N + 1], weight_from [N], mode [1]) -> f32 [N, hidden] */
struct aki__pool_plan { size_t hidden; };

/* Bytes of the one-node model that a session starts from: it imports the domains '' (opset 21) and 'aki'. */
const void *aki__ops_base_model(size_t *size);
/* A domain with all operators, to be added to session options; *out lives as long as the process. */
aki_status aki__ops_domain(const struct aki__runtime *rt, OrtCustomOpDomain **out, aki_error *err);

#endif
