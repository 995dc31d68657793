/* Unit graph: the functions with which arch/ describes a network, recorded as a list of blocks. A dialect (cpu.c, portable.c)
 * lowers the list to ONNX nodes.
 *
 * Errors stick: after the first one (a missing tensor, a wrong shape) later calls do nothing, and the graph's rc is its status. */
#ifndef AKI_GRAPH_H
#define AKI_GRAPH_H

#include "base/base.h"
#include "model/model.h"

typedef int aki__blk;           /* index of a block, whose result is rows of values */

enum aki__block_op { AKI_G_EMBED, AKI_G_NORM, AKI_G_ADD, AKI_G_LINEAR, AKI_G_ACT, AKI_G_GATE, AKI_G_ATTENTION, AKI_G_ROWS, AKI_G_POOL };

/* A block has a row for each token, for each token that the pooling reads, or for each vector. The inputs of a block agree in
 * this. */
enum aki__g_rows { AKI_ROWS_TOKENS, AKI_ROWS_READ, AKI_ROWS_VECTORS };

/* Results of a graph: HIDDEN, the pooled hidden rows; VECTORS, the same after the Dense modules, if there are any. */
enum aki__result_kind { AKI_RESULT_HIDDEN, AKI_RESULT_VECTORS, AKI_RESULT_KINDS };

/* The embedding of a token: word * scale + position + type. */
struct aki__g_embed {
    const struct aki__tensor *words, *positions, *types;    /* positions, types: or NULL. With several types, that of the run, else the first. All NULL: the
                                                             * rows that an .onnx file computes, for the blocks behind them */
    int64_t columns;            /* of the tables; 0: model->hidden */
    double  scale;              /* rounded to the table's dtype, as in transformers; 0: none */
};

struct aki__g_norm {
    bool   rms;                 /* true: RMSNorm; false: LayerNorm */
    bool   bias;                /* has NAME.bias */
    double eps;                 /* 0: model->norm_eps */
    float  shift;               /* added to NAME.weight; 1 for Gemma, which stores gamma - 1 */
};

/* A bias of the scores, by the distance key - query. */
struct aki__g_bias {
    int reach;                  /* greater distances have the bias of this one; 0: no bias */
    const struct aki__tensor *buckets;      /* [buckets, heads], as in T5: the first half is for keys up to the query; NULL: ALiBi */
};

struct aki__g_attention {
    int    heads, kv_heads, head_dim;
    bool   causal;
    int    window;              /* a query attends to keys at a distance below this, on both sides unless causal; 0: to all */
    double scale;               /* of the scores; 0: 1 / sqrt(head_dim) */
    double rope_theta;          /* of rotary positions; 0: q and k are not rotated */
    const float *frequencies;   /* [head_dim / 2] used instead of those of rope_theta; owned by the model; or NULL */
    struct aki__g_bias bias;
    const struct aki__tensor *q_norm, *k_norm;  /* RMS gamma [head_dim] of each head, or NULL */
    double norm_eps;            /* of q_norm and k_norm; 0: model->norm_eps */
    float  norm_shift;
};

struct aki__block {
    enum aki__block_op op;
    enum aki__g_rows   rows;
    aki__blk           in[3];   /* attention: q, k, v; gate: gate, up */
    int                in_count;
    int64_t            columns; /* of the result */
    const struct aki__tensor *weight, *bias;            /* linear: [columns, in], [columns] or NULL; norm: gamma, beta or NULL. An
                                                         * int8 linear of a quantised folder has weight NULL: see name */
    int64_t              first; /* linear: its first row of weight and bias */
    char                 name[112];                     /* linear: canonical, without ".weight"; with ":first" for a part of a tensor */
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

/* Handles an error rc of the tensor or product `name`. With g->on_fault: calls it and returns AKI_OK, and recording continues
 * without the tensor; why must not be NULL. Else returns rc. */
aki_status aki__graph_fault(const struct aki__graph *g, const char *name, aki_status rc, const aki_error *why);

/* Names of tensors and linears are canonical, without the prefix of the file's body; a name that begins with "/" is that of a head at
 * the root of the file.
 * Finds a tensor of the model by its name (a printf format), with the shape [d0, d1], or [d0] if d1 is 0. */
const struct aki__tensor *aki__g_tensor(struct aki__graph *g, int64_t d0, int64_t d1, const char *format, ...) AKI_PRINTF(4, 5);

aki__blk aki__g_embed(struct aki__graph *g, const struct aki__g_embed *spec);
/* LayerNorm (NAME.weight, NAME.bias) and RMSNorm (NAME.weight) with the eps of the model; and a norm with other settings. */
aki__blk aki__g_layer_norm(struct aki__graph *g, aki__blk x, const char *format, ...) AKI_PRINTF(3, 4);
aki__blk aki__g_rms_norm(struct aki__graph *g, aki__blk x, const char *format, ...) AKI_PRINTF(3, 4);
aki__blk aki__g_norm(struct aki__graph *g, aki__blk x, const struct aki__g_norm *spec, const char *format, ...) AKI_PRINTF(4, 5);
aki__blk aki__g_add(struct aki__graph *g, aki__blk a, aki__blk b);
/* x W^T + b: NAME.weight [columns, columns of x] and, if bias, NAME.bias [columns]. */
aki__blk aki__g_linear(struct aki__graph *g, aki__blk x, int64_t columns, bool bias, const char *format, ...) AKI_PRINTF(5, 6);
/* The same with the rows first … first + columns - 1 of NAME.weight and NAME.bias, which have `all` rows: one of several
 * linears that share a tensor (Wqkv, Wi). */
aki__blk aki__g_linear_part(struct aki__graph *g, aki__blk x, int64_t first, int64_t columns, int64_t all, bool bias,
                            const char *format, ...) AKI_PRINTF(7, 8);
aki__blk aki__g_act(struct aki__graph *g, aki__blk x, enum aki__activation act);
/* act(gate) * up */
aki__blk aki__g_gate(struct aki__graph *g, aki__blk gate, aki__blk up, enum aki__activation act);
aki__blk aki__g_attention(struct aki__graph *g, aki__blk q, aki__blk k, aki__blk v, const struct aki__g_attention *spec);
/* Selects the rows that the pooling reads; later blocks are computed for these only. Used for the queries of the last layer. */
aki__blk aki__g_rows(struct aki__graph *g, aki__blk x);
/* Pools act(x) of the rows that the pooling reads to a row for each vector, in the mode of the run (in a portable graph: of the
 * model). */
aki__blk aki__g_pool(struct aki__graph *g, aki__blk x, enum aki__activation act);
/* Applies the model's Dense modules to x, one after the other. */
aki__blk aki__g_dense(struct aki__graph *g, aki__blk x);
/* Makes x the result of this kind. */
void     aki__g_result(struct aki__graph *g, enum aki__result_kind kind, aki__blk x);
/* The end of a sentence-transformers model: pools x (the result HIDDEN) and applies the Dense modules, if any (the result
 * VECTORS). */
void     aki__g_finish(struct aki__graph *g, aki__blk x);

/* ---- for the dialects ---- */

/* The block of a result; -1: the graph does not have it. */
aki__blk aki__graph_result(const struct aki__graph *g, enum aki__result_kind kind);
/* The number of parameters that the network reads: weights, biases and tables, each counted once. */
int64_t  aki__graph_parameters(const struct aki__graph *g);

static inline bool aki__g_rotates(const struct aki__g_attention *a) { return a->rope_theta != 0 || a->frequencies; }
/* true: two attentions have the same rotation, or the same bias, so a dialect computes it once. */
bool     aki__g_same_rope(const struct aki__g_attention *a, const struct aki__g_attention *b);
bool     aki__g_same_bias(const struct aki__g_attention *a, const struct aki__g_attention *b);
/* The frequencies of rotary positions, [head_dim / 2]. They are computed in f32 step by step as in transformers, so that the
 * angles of high positions agree. */
void     aki__g_frequencies(float *inverse, const struct aki__g_attention *a);
/* The bias of each distance -reach … reach, times factor: [heads, 2 * reach + 1]. */
void     aki__g_bias_table(float *table, const struct aki__g_attention *a, float factor);
/* The gamma of a norm, shift included. */
void     aki__g_gamma(float *gamma, const struct aki__block *norm);

#endif
