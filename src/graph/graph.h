/* Unit graph: the vocabulary in which arch/ describes a network, recorded as a list of blocks. A dialect (cpu.c …) turns the list
 * into ONNX nodes; nothing here says how.
 *
 * Errors stick: the first one (a missing tensor, a wrong shape) is kept, later calls do nothing, and aki__graph's rc tells. */
#ifndef AKI_GRAPH_H
#define AKI_GRAPH_H

#include "base/base.h"
#include "model/model.h"

typedef int aki__blk;           /* index of a block: rows of values, see enum aki__g_rows */

enum aki__block_op { AKI_G_EMBED, AKI_G_NORM, AKI_G_ADD, AKI_G_LINEAR, AKI_G_ACT, AKI_G_GATE, AKI_G_ATTENTION, AKI_G_ROWS, AKI_G_POOL };

/* What a block has a row for: each token, each token that the pooling reads, each vector. Blocks that are used together agree in it. */
enum aki__g_rows { AKI_ROWS_TOKENS, AKI_ROWS_READ, AKI_ROWS_VECTORS };

/* What a graph gives: what the pooling makes of the hidden rows, and that behind the Dense modules, where there are any. */
enum aki__result_kind { AKI_RESULT_HIDDEN, AKI_RESULT_VECTORS, AKI_RESULT_KINDS };

/* Sum of the rows of a token: word * scale + position + type. */
struct aki__g_embed {
    const struct aki__tensor *words, *positions, *types;    /* positions, types: or NULL. Of several types those of the run, else the first */
    int64_t columns;            /* of the tables; 0: the model's hidden */
    double  scale;              /* 0: none. Rounded to the table's dtype, as transformers does */
};

struct aki__g_norm {
    bool   rms;                 /* RMSNorm, else LayerNorm */
    bool   bias;                /* NAME.bias */
    double eps;                 /* 0: the model's */
    float  shift;               /* added to NAME.weight: Gemma's is gamma - 1 */
};

/* Added to the scores, by the distance key - query. */
struct aki__g_bias {
    int reach;                  /* keys that are farther have the bias of this distance; 0: no bias */
    const struct aki__tensor *buckets;      /* [buckets, heads]: T5's and MPNet's, the first half for keys up to the query; NULL: ALiBi's slopes */
};

struct aki__g_attention {
    int    heads, kv_heads, head_dim;
    bool   causal;
    int    window;              /* a query sees keys at a distance below it, on both sides where it is not causal; 0: all */
    double scale;               /* of the scores; 0: 1 / sqrt(head_dim) */
    double rope_theta;          /* rotates q and k; 0: does not */
    const float *frequencies;   /* [head_dim / 2] of the rotation, in place of rope_theta's; the model's (as tensors are), or NULL */
    struct aki__g_bias bias;
    const struct aki__tensor *q_norm, *k_norm;  /* RMS gamma [head_dim] of each head, or NULL */
    double norm_eps;            /* of these; 0: the model's */
    float  norm_shift;
};

struct aki__block {
    enum aki__block_op op;
    enum aki__g_rows   rows;
    aki__blk           in[3];   /* attention: q, k, v; gate: gate, up */
    int                in_count;
    int64_t            columns; /* of the result */
    const struct aki__tensor *weight, *bias;            /* linear: [columns, in], [columns] or NULL; norm: gamma, beta or NULL.
                                                         * A linear of a quantised folder, unless it stayed f32: weight is NULL, see name */
    int64_t              first; /* linear: row of weight and bias that its columns begin with */
    char                 name[112];                     /* linear: canonical, without ".weight"; of a part of a tensor with ":first" */
    struct aki__g_embed  embed;
    struct aki__g_norm   norm;
    enum aki__activation act;   /* act, gate, pool */
    struct aki__g_attention attention;
};

struct aki__graph {
    const struct aki__model *model;
    struct aki__block *blocks;
    size_t     count, capacity;
    struct { enum aki__result_kind kind; aki__blk blk; } results[AKI_RESULT_KINDS];
    size_t     result_count;
    aki_status rc;              /* the first error, described in *err */
    aki_error *err;
    /* For aki_check: called for each tensor that is missing or wrong; recording then continues without it. NULL: such a tensor is an error. */
    void     (*on_fault)(void *user, const char *name, const aki_error *error);
    void      *fault_user;
};

void aki__graph_init(struct aki__graph *g, const struct aki__model *m, aki_error *err);
void aki__graph_free(struct aki__graph *g);

/* What is wrong with the tensor `name`, or with what goes by that name: told where somebody asks (AKI_OK: go on without it), else the answer is rc.
 * g->on_fault set: why is not NULL. */
aki_status aki__graph_fault(const struct aki__graph *g, const char *name, aki_status rc, const aki_error *why);

/* A tensor of the model by its canonical name (printf format), with this shape (d1 0: a vector). */
const struct aki__tensor *aki__g_tensor(struct aki__graph *g, int64_t d0, int64_t d1, const char *format, ...) AKI_PRINTF(4, 5);

aki__blk aki__g_embed(struct aki__graph *g, const struct aki__g_embed *spec);
/* LayerNorm (NAME.weight, NAME.bias) and RMSNorm (NAME.weight), eps from the model; and any other. */
aki__blk aki__g_layer_norm(struct aki__graph *g, aki__blk x, const char *format, ...) AKI_PRINTF(3, 4);
aki__blk aki__g_rms_norm(struct aki__graph *g, aki__blk x, const char *format, ...) AKI_PRINTF(3, 4);
aki__blk aki__g_norm(struct aki__graph *g, aki__blk x, const struct aki__g_norm *spec, const char *format, ...) AKI_PRINTF(4, 5);
aki__blk aki__g_add(struct aki__graph *g, aki__blk a, aki__blk b);
/* x W^T + b: NAME.weight [columns, columns of x] and, if bias, NAME.bias [columns]. */
aki__blk aki__g_linear(struct aki__graph *g, aki__blk x, int64_t columns, bool bias, const char *format, ...) AKI_PRINTF(5, 6);
/* The same with the rows `first` … first + columns - 1 of NAME.weight and NAME.bias, which have `all`: one of those that a file keeps together
 * (Wqkv, Wi). */
aki__blk aki__g_linear_part(struct aki__graph *g, aki__blk x, int64_t first, int64_t columns, int64_t all, bool bias, const char *format, ...) AKI_PRINTF(7, 8);
aki__blk aki__g_act(struct aki__graph *g, aki__blk x, enum aki__activation act);
/* act(gate) * up */
aki__blk aki__g_gate(struct aki__graph *g, aki__blk gate, aki__blk up, enum aki__activation act);
aki__blk aki__g_attention(struct aki__graph *g, aki__blk q, aki__blk k, aki__blk v, const struct aki__g_attention *spec);
/* Only the rows that the pooling reads (all tokens, or one a text): what follows is computed for these. In the last layer, of the queries. */
aki__blk aki__g_rows(struct aki__graph *g, aki__blk x);
/* A row a vector: act of each row that the pooling reads, pooled as the run says (in a portable graph: as the model says). */
aki__blk aki__g_pool(struct aki__graph *g, aki__blk x, enum aki__activation act);
/* The model's Dense modules, one behind the other, behind x. */
aki__blk aki__g_dense(struct aki__graph *g, aki__blk x);
/* x is what the graph gives of this kind. */
void     aki__g_result(struct aki__graph *g, enum aki__result_kind kind, aki__blk x);
/* The end of a sentence-transformers model: pools x, for HIDDEN; then the Dense modules, if any, for VECTORS. */
void     aki__g_finish(struct aki__graph *g, aki__blk x);

/* ---- for the dialects ---- */

/* The block of that result; -1: the graph has none. */
aki__blk aki__graph_result(const struct aki__graph *g, enum aki__result_kind kind);
/* Weights, biases and rows of tables that the network reads, each once. */
int64_t  aki__graph_parameters(const struct aki__graph *g);

static inline bool aki__g_rotates(const struct aki__g_attention *a) { return a->rope_theta != 0 || a->frequencies; }
/* Whether two attentions rotate by the same angles, or have the same bias: then a dialect makes them once. */
bool     aki__g_same_rope(const struct aki__g_attention *a, const struct aki__g_attention *b);
bool     aki__g_same_bias(const struct aki__g_attention *a, const struct aki__g_attention *b);
/* Frequencies of rotary positions, [head_dim / 2]: of a theta in f32 step by step, as transformers does, so that angles of late positions agree. */
void     aki__g_frequencies(float *inverse, const struct aki__g_attention *a);
/* The bias of each distance -reach … reach, [heads, 2 * reach + 1], times factor. */
void     aki__g_bias_table(float *table, const struct aki__g_attention *a, float factor);
/* A norm's gamma, shift included. */
void     aki__g_gamma(float *gamma, const struct aki__block *norm);

#endif
