/* Unit plans: the custom operators of domain "aki", as the cpu dialect writes them and ort/ops.c runs them: inputs -> outputs, and constants.
 *
 * A node's constants (dimensions, gamma, bias, scales) are not tensors but a plan: a struct that the session owns, whose address the
 * node carries as its attribute "plan". The graph lives in this process's memory only, so an address is as good as a copy. */
#ifndef AKI_PLANS_H
#define AKI_PLANS_H

#include "kernel/kernel.h"

/* Embed (ids [T], positions [T], types [T or 0]?) -> f32 [T, hidden]. Without types all are 0. */
struct aki__embed_plan { struct aki__table words, positions, types; size_t hidden; float scale; };
/* Rows for int8 products are u8 [T, k], their scales [T] and, where the plan names outliers, their side [T, outliers]. */
/* Product (x [T, k] f32, or u8 with scale and side; exact [T, rows.count]?) -> f32 [T, n], where exact, if there, is put into the columns `rows`. */
struct aki__product_plan { struct aki__packed w; struct aki__outliers rows; };
/* What follows reads some columns of wider rows, as a product of several linears makes them: those from the one that the plan names on. */
/* Norm (x [T, hidden]?, add [T, any]?) -> sum?, f32?, u8?, scale?, side? */
struct aki__norm_plan { const float *gamma, *beta; float eps; bool rms; size_t add, hidden, block; struct aki__outliers outliers; };
/* Act (x [T, any], gate [T, any]?) -> f32?, u8?, scale?, side? The gate is in x where it is no input of its own. */
struct aki__act_plan { size_t x, gate; bool gated; enum aki__kernel_act act; size_t columns, block; struct aki__outliers outliers; };
/* Add (x [T, any], y [T, any]) -> f32 [T, columns] */
struct aki__add_plan { size_t x, y, columns; };
/* Rope (positions [T]) -> f32 [T, head_dim] */
struct aki__rope_plan { const float *inverse; size_t head_dim; };
/* Attention (q, k, starts [B + 1], query_starts [B + 1], rows [R]?, rope?, key_starts [B + 1]?, prefixes [1]?, v?) -> f32?, u8?, scale?, side?
 * v is in k where it is no input of its own. Without rows every token is a query. */
struct aki__attention_plan {
    size_t q, k, v;                     /* columns */
    size_t heads, kv_heads, head_dim, window, block;
    bool   causal, bf16;                /* bf16: where the processor has it; of layers whose products are int8 */
    const float *q_norm, *k_norm;
    float  norm_eps, scale;
    const float *bias;                  /* as the kernel's, or NULL */
    size_t reach;
    struct aki__outliers outliers;
    size_t layer;                       /* number of the attention in the network, for the prefixes */
};
/* Rows (x [T, hidden] f32, rows [R]) -> f32 [R, hidden]; Rows8: (u8, scale, rows, side?) -> u8, scale, side? Plan: none. */
/* Pool (x [R, hidden], starts [N + 1], weight_from [N], mode [1]) -> f32 [N, hidden] */
struct aki__pool_plan { size_t hidden; enum aki__kernel_act act; };

#endif
