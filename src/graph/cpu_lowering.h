/* Unit cpu: what its two files share: the state of one lowering. cpu_products.c packs weights and emits products; cpu.c all else. */
#ifndef AKI_CPU_LOWERING_H
#define AKI_CPU_LOWERING_H

#include "graph/cpu.h"
#include "graph/outliers.h"
#include "graph/plans.h"

/* Where a block's rows are: value numbers of the ONNX graph, 0 for forms that nobody needs, or that were not emitted yet. */
struct aki__cpu_place {
    bool   used, need_f32, need_u8;         /* decided before anything is emitted */
    bool   emitted;
    int    f32, u8, scale, side;
    size_t at;                              /* f32: its columns are those from here on, */
    bool   part;                            /* of a value that has more */
};

struct aki__cpu_lowering {
    const struct aki__graph *g;
    struct aki__onnx        *o;
    struct aki__keep        *keep;
    struct aki__cpu_options  options;
    struct aki__cpu_place   *places;        /* [g->count] */
    struct aki__found       *outliers;      /* [g->count], see outliers.h */
    int    ids, positions, types, starts, rows, query_starts, pool_starts, weight_from, mode, key_starts, prefixes;
    int    attentions;
    struct aki__cpu_shared { const struct aki__g_attention *spec; int rope; const float *bias; } *shared;  /* [shared_count]: ropes and biases made so far */
    size_t shared_count, shared_capacity;
    aki_status rc;
    aki_error *err;
};

/* Memory of the session: count * size bytes, zeroed; NULL: l->rc tells. */
void *aki__cpu_keep(struct aki__cpu_lowering *l, size_t count, size_t size);
/* A new node of domain "aki" with this plan; never NULL. Its inputs and outputs are added in order. */
struct aki__onnx_node *aki__cpu_node(struct aki__cpu_lowering *l, const char *op, const void *plan);
static inline void aki__cpu_input(struct aki__onnx_node *n, int value) { n->inputs[n->input_count++] = value; }
int   aki__cpu_output(struct aki__cpu_lowering *l, struct aki__onnx_node *n, bool wanted);

bool  aki__cpu_is_int8(const struct aki__cpu_lowering *l, aki__blk x);          /* a linear, and its product is one of int8 */
/* One product of `count` linears, 3 at most, of the same input, whose rows are there: fills their places. */
void  aki__cpu_product(struct aki__cpu_lowering *l, const aki__blk *linears, size_t count);

#endif
