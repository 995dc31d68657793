/* Unit graph: the vocabulary in which arch/ describes a network, recorded as a list of blocks. A dialect (cpu.c …) turns the list
 * into ONNX nodes; nothing here says how.
 *
 * Errors stick: the first one (a missing tensor, a wrong shape) is kept, later calls do nothing, and aki__graph's rc tells. */
#ifndef AKI_GRAPH_H
#define AKI_GRAPH_H

#include "base/base.h"
#include "model/model.h"

typedef int aki__blk;           /* index of a block: rows of values, one row a token (or a pooled vector) */

enum aki__block_op { AKI_G_EMBED, AKI_G_NORM, AKI_G_ADD, AKI_G_LINEAR, AKI_G_ACT, AKI_G_GATE, AKI_G_ATTENTION, AKI_G_ROWS, AKI_G_POOL };

struct aki__g_attention {
    int  heads, kv_heads, head_dim;
    bool causal;
    int  window;                /* 0: none */
    bool rope;                  /* rotate q and k by the model's rope_theta */
    const struct aki__tensor *q_norm, *k_norm;  /* RMS gamma [head_dim] of each head, or NULL */
};

struct aki__block {
    enum aki__block_op op;
    aki__blk           in[3];   /* attention: q, k, v; gate: gate, up */
    int                in_count;
    int64_t            columns; /* of the result */
    const struct aki__tensor *weight, *bias;            /* linear: [columns, in], [columns] or NULL; norm: gamma, beta or NULL.
                                                         * A linear of a quantised folder, unless it stayed f32: weight is NULL, see name */
    char                 name[112];                     /* linear: canonical, without ".weight" */
    const struct aki__tensor *words, *positions, *types;/* embed: tables; positions, types or NULL */
    bool                 rms;   /* norm */
    enum aki__activation act;   /* act, gate */
    struct aki__g_attention attention;
};

struct aki__graph {
    const struct aki__model *model;
    struct aki__block *blocks;
    size_t     count, capacity;
    aki__blk   hidden, vectors; /* the results: pooled hidden rows, and behind the Dense modules */
    aki_status rc;              /* the first error, described in *err */
    aki_error *err;
    /* Set: tensors that are missing or wrong are told here, and the recording goes on without them. For aki_check. */
    void     (*tell)(void *user, const char *name, const aki_error *error);
    void      *tell_user;
};

void aki__graph_init(struct aki__graph *g, const struct aki__model *m, aki_error *err);
void aki__graph_free(struct aki__graph *g);

/* What is wrong with the tensor `name`, or with what goes by that name: told where somebody asks (AKI_OK: go on without it), else the answer is rc.
 * g->tell set: why is not NULL. */
aki_status aki__graph_fault(const struct aki__graph *g, const char *name, aki_status rc, const aki_error *why);

/* A tensor of the model by its canonical name (printf format), with this shape (d1 0: a vector). */
const struct aki__tensor *aki__g_tensor(struct aki__graph *g, int64_t d0, int64_t d1, const char *format, ...) AKI_PRINTF(4, 5);

/* Sum of the rows of a token: word + position + type 0. */
aki__blk aki__g_embed(struct aki__graph *g, const struct aki__tensor *words, const struct aki__tensor *positions, const struct aki__tensor *types);
/* LayerNorm (NAME.weight, NAME.bias) and RMSNorm (NAME.weight), eps from the model. */
aki__blk aki__g_layer_norm(struct aki__graph *g, aki__blk x, const char *format, ...) AKI_PRINTF(3, 4);
aki__blk aki__g_rms_norm(struct aki__graph *g, aki__blk x, const char *format, ...) AKI_PRINTF(3, 4);
aki__blk aki__g_add(struct aki__graph *g, aki__blk a, aki__blk b);
/* x W^T + b: NAME.weight [columns, columns of x] and, if bias, NAME.bias [columns]. */
aki__blk aki__g_linear(struct aki__graph *g, aki__blk x, int64_t columns, bool bias, const char *format, ...) AKI_PRINTF(5, 6);
aki__blk aki__g_act(struct aki__graph *g, aki__blk x, enum aki__activation act);
/* act(gate) * up */
aki__blk aki__g_gate(struct aki__graph *g, aki__blk gate, aki__blk up, enum aki__activation act);
aki__blk aki__g_attention(struct aki__graph *g, aki__blk q, aki__blk k, aki__blk v, const struct aki__g_attention *spec);
/* Only the rows that the pooling reads (all tokens, or one a text). Once, in the last layer: whatever follows is computed for these. */
aki__blk aki__g_rows(struct aki__graph *g, aki__blk x);
/* Frequencies of rotary positions, [head_dim / 2]: in f32 step by step, as transformers does, so that angles of late positions agree. */
void     aki__rope_frequencies(float *inverse, int head_dim, double theta);

/* Weights, biases and rows of tables that the network reads. */
int64_t  aki__graph_parameters(const struct aki__graph *g);

/* Ends the graph: pools x, then the model's Dense modules. */
void     aki__g_finish(struct aki__graph *g, aki__blk x);

#endif
