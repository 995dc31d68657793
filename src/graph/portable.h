/* Unit portable: the dialect for accelerators and for files: blocks -> standard ONNX operators on padded rows [batch, sequence, columns].
 *
 * Device form: operators that CoreML's ML Program has (docs/coreml.md), no dimension of the vocabulary's size. Inputs (f32):
 *   inputs_embeds [batch, sequence, columns]   sums of the embedding rows, looked up by the caller
 *   mask          added to the scores: 0 where a query may see a key, AKI_PORTABLE_HIDDEN else. [1, 1, sequence, sequence] where attention is
 *                 causal (the padding stands behind and is never seen), [batch, 1, 1, sequence] where it is not
 *   window_mask   the same for layers with a sliding window, where there are any: [1, 1, sequence, sequence], or [batch, 1, sequence, sequence]
 *   cos, sin      [sequence, 1, head_dim], where positions rotate: cosines twice; sines negated, then plain
 *   bias          [1, heads, sequence, sequence], where the scores have one by distance
 * Where layers differ in these, the second of a kind is called mask2, window_mask2, cos2 and sin2, bias2, and so on.
 * Output (f32): last_hidden_state [batch, sequence, hidden].
 *
 * Client form: what any program can feed: input_ids and attention_mask [batch, sequence] (i64; padding stands behind the texts, or in front of them
 * where the model has no table of positions) to
 * last_hidden_state, or with `pooled` to sentence_embedding [batch, dim]: pooled, through the Dense modules, normalised, as the model says. */
#ifndef AKI_PORTABLE_H
#define AKI_PORTABLE_H

#include "graph/graph.h"
#include "onnx/form.h"

/* Far below any score, and f16 holds three times as much. */
#define AKI_PORTABLE_HIDDEN (-1e4f)

struct aki__portable_options {
    bool    f16;                            /* weights and arithmetic; inputs and outputs stay f32 */
    bool    client, pooled;
    int64_t batch, sequence;                /* 0: free */
};

/* Fills *o (zeroed before), to be freed by the caller, also on failure. */
aki_status aki__portable_build(struct aki__onnx *o, const struct aki__graph *g, const struct aki__portable_options *options, aki_error *err);

/* What the attentions of a graph are given, each once; what the device form takes as inputs. */
enum { AKI_PORTABLE_MASKS = 4, AKI_PORTABLE_ROPES = 2, AKI_PORTABLE_BIASES = 2 };
struct aki__portable_needs {
    aki__blk embed;                                                     /* the one block of this kind */
    struct aki__portable_mask { bool causal; int window; const char *name; } masks[AKI_PORTABLE_MASKS];
    const struct aki__g_attention *ropes[AKI_PORTABLE_ROPES], *biases[AKI_PORTABLE_BIASES];     /* one that has it, in the graph */
    int mask_count, rope_count, bias_count;
};
/* UNSUPPORTED: there are more of a kind. */
aki_status aki__portable_needs(struct aki__portable_needs *out, const struct aki__graph *g, aki_error *err);
/* Names of the inputs for ropes[i] and biases[i]. */
const char *aki__portable_cos(int i);
const char *aki__portable_sin(int i);
const char *aki__portable_bias(int i);

#endif
