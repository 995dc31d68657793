/* Unit cpu: the dialect for processors: lowers blocks to fused custom operators, which kernel/ computes, matrix products
 * included.
 *
 * The tokens of all texts are laid end to end ([T], no padding; see struct aki__plan). Inputs of the graph (i32):
 *     ids, positions             [T]
 *     types                      [T], or [0] if all are 0; only if the network has several token types
 *     starts, key_starts         [B + 1]
 *     rows, query_starts         [R], [B + 1]: the rows that the pooling reads
 *     pool_starts, weight_from   [N + 1], [N]
 *     mode                       [1], enum aki__pool_mode
 *     prefixes                   [1], i64: the address of struct aki__prefix_use [B]
 * Outputs (f32): hidden and vectors, if they are results of the graph: [N, columns]. */
#ifndef AKI_CPU_H
#define AKI_CPU_H

#include "base/pool.h"
#include "kernel/kernel.h"
#include "graph/graph.h"
#include "onnx/form.h"

/* A product of the network, with the name of its first linear (borrowed). dense: of the Dense modules, once for a vector. exact: [rows.count, k], f32 weights of the outputs
 * `rows` of an int8 product. */
struct aki__keep_product { const char *name; bool dense; const struct aki__packed *packed; struct aki__outliers rows; const float *exact; };

/* Memory that must be valid as long as the session: the operators' plans, weights, biases and scales. */
struct aki__keep {
    void **blocks;
    size_t count, capacity;
    struct aki__keep_product *products;
    size_t product_count, product_capacity;
    bool  *f32;                     /* [g->count] the linears that stay f32 with int8 */
};
void     aki__keep_free(struct aki__keep *k);
/* Bytes of all products' weights; of those that have 16 bits. */
uint64_t aki__keep_weights_size(const struct aki__keep *k);
uint64_t aki__keep_16bit_size(const struct aki__keep *k);
size_t   aki__keep_f32_products(const struct aki__keep *k);
double   aki__keep_f32_share(const struct aki__keep *k);        /* of the multiply-adds that a token needs: these products, and outliers beside the others */
size_t   aki__keep_widest(const struct aki__keep *k);          /* columns of the widest product */

/* choice: what stays f32 with int8 (outliers.h); NULL: judged by the weights. pool: for packing, acquired by the caller; or NULL. */
struct aki__cpu_options { bool int8, bf16; const struct aki__choice *choice; struct aki__pool *pool; };

/* A tensor from its element `at` on, and an activation, in the types of kernel/. */
static inline struct aki__table aki__table_from(const struct aki__tensor *t, size_t at)
{
    if (!t)
        return (struct aki__table){ 0 };
    return (struct aki__table){ .data = (const char *)t->data + at * aki__dtype_size(t->dtype),
                                .dtype = t->dtype == AKI_BF16 ? AKI_TABLE_BF16 : t->dtype == AKI_F16 ? AKI_TABLE_F16 : AKI_TABLE_F32 };
}

static inline struct aki__table aki__table_of(const struct aki__tensor *t) { return aki__table_from(t, 0); }

static inline enum aki__kernel_act aki__act_of(enum aki__activation act)
{
    switch (act) {
    case AKI_ACT_GELU:      return AKI_KACT_GELU;
    case AKI_ACT_GELU_TANH: return AKI_KACT_GELU_TANH;
    case AKI_ACT_RELU:      return AKI_KACT_RELU;
    case AKI_ACT_SILU:      return AKI_KACT_SILU;
    case AKI_ACT_TANH:      return AKI_KACT_TANH;
    case AKI_ACT_LOG1P_RELU: return AKI_KACT_LOG1P_RELU;
    default:                return AKI_KACT_NONE;
    }
}

/* Lowers g to *o and *keep. Both are zeroed before the call, and freed by the caller, also on failure. */
aki_status aki__cpu_build(struct aki__onnx *o, struct aki__keep *keep, const struct aki__graph *g,
                          const struct aki__cpu_options *options, aki_error *err);

#endif
