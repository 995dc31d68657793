/* Unit cpu, inside: the state of one lowering, which its two files share. cpu_products.c packs weights and emits products;
 * cpu.c emits the rest. */
#ifndef AKI_CPU_LOWERING_H
#define AKI_CPU_LOWERING_H

#include "graph/cpu.h"
#include "graph/outliers.h"
#include "graph/plans.h"

/* The ONNX values of a block's rows. A value is 0 if that form is not needed, or not emitted yet. */
struct aki__cpu_values {
    bool   used, need_f32, need_u8;         /* determined before anything is emitted */
    bool   emitted;
    int    f32, u8, scale, side;
    size_t at;                              /* f32: its first column in the value */
    bool   part;                            /* the value has other columns too */
};

struct aki__cpu_lowering {
    const struct aki__graph *g;
    struct aki__onnx        *o;
    struct aki__keep        *keep;
    struct aki__cpu_options  options;
    struct aki__cpu_values   *values;        /* [g->count] */
    struct aki__found       *outliers;      /* [g->count] see outliers.h */
    int    ids, positions, types, starts, rows, query_starts, pool_starts, weight_from, mode, key_starts, prefixes;
    int    attentions;
    struct aki__cpu_shared { const struct aki__g_attention *spec; int rope; const float *bias; } *shared;  /* [shared_count] ropes and biases emitted so far */
    size_t shared_count, shared_capacity;
    aki_status rc;
    aki_error *err;
};

/* Allocates count * size bytes, zeroed, in l->keep. NULL: l->rc is set. */
void *aki__cpu_keep(struct aki__cpu_lowering *l, size_t count, size_t size);
/* Adds a node of domain "aki" with this plan; never NULL. Then its inputs and outputs are added in order. */
struct aki__onnx_node *aki__cpu_node(struct aki__cpu_lowering *l, const char *op, const void *plan);
static inline void aki__cpu_input(struct aki__onnx_node *n, int value) { n->inputs[n->input_count++] = value; }
int   aki__cpu_output(struct aki__cpu_lowering *l, struct aki__onnx_node *n, bool wanted);

bool  aki__cpu_is_int8(const struct aki__cpu_lowering *l, aki__blk x);          /* x is a linear with an int8 product */
bool  aki__cpu_is_bf16(const struct aki__cpu_lowering *l, aki__blk x);          /* with a bf16 product */
/* Emits one product for `count` linears (at most 3) with the same input, whose rows are emitted already, and sets their values. */
void  aki__cpu_product(struct aki__cpu_lowering *l, const aki__blk *linears, size_t count);

#endif
