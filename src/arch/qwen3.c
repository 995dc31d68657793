/* Architecture qwen3: decoder with RMS norms, grouped-query attention, per-head q/k norms, RoPE and SiLU gates
 * (Qwen3-Embedding …). Yang et al. 2025, arXiv 2505.09388. */
#include "arch/arch.h"

static aki__blk layer(struct aki__graph *g, const struct aki__model *m, int i, aki__blk x, bool last)
{
    const int64_t q_columns = (int64_t)m->heads * m->head_dim, kv_columns = (int64_t)m->kv_heads * m->head_dim;
    const bool bias = m->attention_bias;
    struct aki__g_attention spec = { .heads = m->heads, .kv_heads = m->kv_heads, .head_dim = m->head_dim, .causal = m->causal, .rope_theta = m->rope_theta };

    spec.window = m->sliding_window && i >= m->first_sliding_layer ? m->sliding_window : 0;
    spec.q_norm = aki__g_tensor(g, m->head_dim, 0, "layers.%d.self_attn.q_norm.weight", i);
    spec.k_norm = aki__g_tensor(g, m->head_dim, 0, "layers.%d.self_attn.k_norm.weight", i);

    aki__blk h = aki__g_rms_norm(g, x, "layers.%d.input_layernorm", i);
    aki__blk from = last ? aki__g_rows(g, h) : h;      /* queries of the last layer: only what the pooling reads */
    aki__blk q = aki__g_linear(g, from, q_columns, bias, "layers.%d.self_attn.q_proj", i);
    aki__blk k = aki__g_linear(g, h, kv_columns, bias, "layers.%d.self_attn.k_proj", i);
    aki__blk v = aki__g_linear(g, h, kv_columns, bias, "layers.%d.self_attn.v_proj", i);
    aki__blk a = aki__g_attention(g, q, k, v, &spec);
    a = aki__g_linear(g, a, m->hidden, bias, "layers.%d.self_attn.o_proj", i);
    x = aki__g_add(g, last ? aki__g_rows(g, x) : x, a);

    h = aki__g_rms_norm(g, x, "layers.%d.post_attention_layernorm", i);
    aki__blk gate = aki__g_linear(g, h, m->intermediate, false, "layers.%d.mlp.gate_proj", i);
    aki__blk up = aki__g_linear(g, h, m->intermediate, false, "layers.%d.mlp.up_proj", i);
    aki__blk f = aki__g_linear(g, aki__g_gate(g, gate, up, m->activation), m->hidden, false, "layers.%d.mlp.down_proj", i);
    return aki__g_add(g, x, f);
}

void aki__arch_qwen3(struct aki__graph *g, const struct aki__model *m)
{
    aki__blk x = aki__g_embed(g, &(struct aki__g_embed){ .words = aki__g_tensor(g, m->vocabulary, m->hidden, "embed_tokens.weight") });

    for (int i = 0; i < m->layers; i++)
        x = layer(g, m, i, x, i == m->layers - 1);
    aki__g_finish(g, aki__g_rms_norm(g, x, "norm"));
}
