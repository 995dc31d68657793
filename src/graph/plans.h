/* Unit plans: the custom operators of domain "aki", which the cpu dialect emits and ort/ops.c runs: inputs -> outputs, and
 * constants. "?" marks an optional input or output.
 *
 * The constants of a node (dimensions, gamma, bias, scales) are not tensors but a plan: a struct that the session owns. The
 * node has its address as the attribute "plan", which is valid because the graph exists only in the memory of this process. */
#ifndef AKI_PLANS_H
#define AKI_PLANS_H

#include "kernel/kernel.h"

/* Embed (ids [T], positions [T], types [T or 0]?) -> f32 [T, hidden]. Without types, all are 0. */
struct aki__embed_plan { struct aki__table words, positions, types; size_t hidden; float scale; };
/* Rows for int8 products are u8 [T, k], scale [T] and, if the plan has outliers, side [T, outliers]. */
/* Product (x [T, k] f32, or u8 with scale and side; exact [T, rows.count]?) -> f32 [T, n]. exact is copied to the columns `rows`. */
struct aki__product_plan { struct aki__packed w; struct aki__outliers rows; };
/* The operators below read some columns of wider rows, since a product may compute several linears: the plan has the first column. */
/* Norm (x [T, hidden]?, add [T, any]?) -> sum?, f32?, u8?, scale?, side? */
struct aki__norm_plan { const float *gamma, *beta; float eps; bool rms; size_t add, hidden, block; struct aki__outliers outliers; };
/* Act (x [T, any], gate [T, any]?) -> f32?, u8?, scale?, side? Without the input gate, the gate is part of x. */
struct aki__act_plan { size_t x, gate; bool gated; enum aki__kernel_act act; size_t columns, block; struct aki__outliers outliers; };
/* Add (x [T, any], y [T, any]) -> f32 [T, columns] */
struct aki__add_plan { size_t x, y, columns; };
/* Rope (positions [T]) -> f32 [T, head_dim] */
struct aki__rope_plan { const float *inverse; size_t head_dim; };
/* Attention (q, k, starts [B + 1], query_starts [B + 1], rows [R]?, rope?, key_starts [B + 1]?, prefixes [1]?, v?) -> f32?,
 * u8?, scale?, side? Without the input v, it is part of k. Without rows, every token is a query. */
struct aki__attention_plan {
    size_t q, k, v;                     /* first columns */
    size_t heads, kv_heads, head_dim, window, block;
    bool   causal, bf16;                /* bf16: if the processor has it, in layers with int8 products */
    const float *q_norm, *k_norm;
    float  norm_eps, scale;
    const float *bias;                  /* as in aki__attention, or NULL */
    size_t reach;
    struct aki__outliers outliers;
    size_t layer;                       /* index of the attention in the network, for prefixes */
};
/* Rows (x [T, hidden] f32, rows [R]) -> f32 [R, hidden]; Rows8: (u8, scale, rows, side?) -> u8, scale, side? Plan: none. */
/* Pool (x [R, hidden], starts [N + 1], weight_from [N], mode [1]) -> f32 [N, hidden] */
struct aki__pool_plan { size_t hidden; enum aki__kernel_act act; };

#endif
