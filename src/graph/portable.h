/* Unit portable: the dialect for accelerators and for files: lowers blocks to standard ONNX operators on padded rows
 * [batch, sequence, columns].
 *
 * Device form: only operators that CoreML's ML Program has (docs/coreml.md), and no dimension of the size of the vocabulary.
 * Inputs (f32, with f16 in f16: devices take a Cast less willingly than a port):
 *     inputs_embeds  [batch, sequence, columns]: embeddings, which the caller looks up
 *     mask           added to the scores: 0 if the query attends to the key, else AKI_PORTABLE_HIDDEN. [1, 1, sequence, sequence]
 *                    with causal attention (the padding is at the end, so no query attends to it), else [batch, 1, 1, sequence]
 *     window_mask    the same for layers with a sliding window: [1, 1, sequence, sequence] or [batch, 1, sequence, sequence]
 *     cos, sin       [sequence, 1, head_dim], for rotary positions: the cosines twice; the sines negated, then as they are
 *     bias           [1, heads, sequence, sequence], for scores with a bias by distance
 * If layers need several of a kind, the second is called mask2, window_mask2, cos2 and sin2, bias2, and so on.
 * Output (of the same type): last_hidden_state [batch, sequence, hidden].
 *
 * Client form, for other programs. Inputs: input_ids and attention_mask [batch, sequence] (i64). The padding is at the end of the
 * texts, or at the beginning if the model has no table of positions. Output (f32): last_hidden_state, or with `pooled`
 * sentence_embedding [batch, dim], after the pooling, the Dense modules and the normalisation of the model. Classifiers have
 * with `pooled` the output logits [batch, labels], and the input token_type_ids where their tables have several. */
#ifndef AKI_PORTABLE_H
#define AKI_PORTABLE_H

#include "graph/graph.h"
#include "onnx/form.h"

/* Far below every score, and a third of the greatest f16. */
#define AKI_PORTABLE_HIDDEN (-1e4f)

struct aki__portable_options {
    bool    f16;                            /* weights and arithmetic in f16 */
    bool    client, pooled;
    int64_t batch, sequence;                /* 0: free */
};

/* Lowers g to *o, which is zeroed before the call, and freed by the caller, also on failure. */
aki_status aki__portable_build(struct aki__onnx *o, const struct aki__graph *g, const struct aki__portable_options *options, aki_error *err);

/* The inputs of the device form: what the attentions of a graph need, each once. */
enum { AKI_PORTABLE_MASKS = 4, AKI_PORTABLE_ROPES = 2, AKI_PORTABLE_BIASES = 2 };
struct aki__portable_needs {
    aki__blk embed;                                                     /* the only block of this kind */
    struct aki__portable_mask { bool causal; int window; const char *name; } masks[AKI_PORTABLE_MASKS];
    const struct aki__g_attention *ropes[AKI_PORTABLE_ROPES], *biases[AKI_PORTABLE_BIASES];     /* an attention in the graph that has it */
    int mask_count, rope_count, bias_count;
};
/* UNSUPPORTED: there are too many of a kind. */
aki_status aki__portable_needs(struct aki__portable_needs *out, const struct aki__graph *g, aki_error *err);
/* The names of the inputs for ropes[i] and biases[i]. */
const char *aki__portable_cos(int i);
const char *aki__portable_sin(int i);
const char *aki__portable_bias(int i);

#endif
