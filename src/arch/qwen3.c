/* Architecture qwen3: decoder with RMS norms, grouped-query attention, per-head q/k norms, RoPE and SiLU gates
 * (Qwen3-Embedding …). Yang et al. 2025, arXiv 2505.09388. */
#include "arch/arch.h"

/* ---------------------------------------------------------------- config.json ----------------------------------- */

/* layer_types, where given, wins over max_window_layers; the window counts only with use_sliding_window. */
static aki_status read_window(const struct aki__model *m, struct aki__qwen3_keys *k, const struct aki__json_file *f, aki_error *err)
{
    const struct aki__json *root = f->doc.nodes, *types = aki__key(root, "layer_types"), *e;
    bool use;
    int32_t window, first;
    aki_status rc;

    if ((rc = aki__key_bool(&use, f, root, "use_sliding_window", false, err)) ||
        (rc = aki__key_int(&window, f, root, "sliding_window", 1, INT32_MAX, aki__json_get(root, "sliding_window") ? 0 : 4096, err)) ||
        (rc = aki__key_int(&first, f, root, "max_window_layers", 0, INT32_MAX, 28, err)))
        return rc;
    k->first_sliding_layer = m->layers;
    if (types) {
        if (types->kind != AKI_JSON_ARRAY || types->size != (uint32_t)m->layers)
            return aki__key_fail(f, types, "layer_types", AKI_E_INVALID, err, "no array of num_hidden_layers strings");
        e = aki__json_first(types);
        for (int32_t i = 0; i < m->layers; i++, e = aki__json_next(e)) {
            bool sliding = aki__json_equals(e, "sliding_attention");
            if (!sliding && !aki__json_equals(e, "full_attention"))
                return aki__key_fail(f, e, "layer_types", AKI_E_UNSUPPORTED, err,
                                     "only full_attention and sliding_attention are implemented");
            if (sliding && !(use && window))
                return aki__key_fail(f, e, "layer_types", AKI_E_INVALID, err, "needs sliding_window, and use_sliding_window true");
            if (!sliding && k->first_sliding_layer < i)
                return aki__key_fail(f, e, "layer_types", AKI_E_UNSUPPORTED, err, "a full layer above a sliding one is not implemented");
            if (sliding && k->first_sliding_layer > i)
                k->first_sliding_layer = i;
        }
    } else if (use && window && first < m->layers) {
        k->first_sliding_layer = first;
    }
    k->sliding_window = k->first_sliding_layer < m->layers ? window : 0;
    if (k->sliding_window && !m->causal)
        return aki__key_fail(f, aki__key(root, "is_causal"), "is_causal", AKI_E_UNSUPPORTED, err,
                             "false with a sliding window is not implemented");
    return AKI_OK;
}

static aki_status read_keys(struct aki__model *m, void *keys, const struct aki__json_file *f, aki_error *err)
{
    const struct aki__json *root = f->doc.nodes;
    struct aki__qwen3_keys *k = keys;

    aki_status rc = aki__key_int(&m->positions, f, root, "max_position_embeddings", 1, INT32_MAX, 32768, err);
    rc = aki__also(rc, aki__key_int(&m->pad_id, f, root, "pad_token_id", 0, m->vocabulary - 1, 0, AKI_ALSO(rc, err)));
    rc = aki__also(rc, aki__key_int(&m->kv_heads, f, root, "num_key_value_heads", 1, m->heads,
                                    aki__json_get(root, "num_key_value_heads") ? m->heads : 32, AKI_ALSO(rc, err)));
    rc = aki__also(rc, aki__key_int(&m->head_dim, f, root, "head_dim", 2, AKI_MAX_DIMENSION, 128, AKI_ALSO(rc, err)));
    rc = aki__also(rc, aki__key_bool(&k->attention_bias, f, root, "attention_bias", false, AKI_ALSO(rc, err)));
    rc = aki__also(rc, aki__key_bool(&m->causal, f, root, "is_causal", true, AKI_ALSO(rc, err)));
    rc = aki__also(rc, aki__key_eps(&m->norm_eps, f, "rms_norm_eps", 1e-6, AKI_ALSO(rc, err)));
    rc = aki__also(rc, aki__key_rope(m, f, AKI_ALSO(rc, err)));
    if (rc)
        return rc;
    if (m->kv_heads > m->heads || m->heads % m->kv_heads)
        return aki__key_fail(f, aki__key(root, "num_key_value_heads"), "num_key_value_heads", AKI_E_INVALID, err,
                             "does not divide num_attention_heads");
    if (m->head_dim % 2)
        return aki__key_fail(f, aki__key(root, "head_dim"), "head_dim", AKI_E_INVALID, err, "odd, and RoPE needs pairs");
    if ((int64_t)m->heads * m->head_dim > AKI_MAX_DIMENSION)
        return aki__key_fail(f, aki__key(root, "head_dim"), "head_dim", AKI_E_INVALID, err, "times num_attention_heads is out of range");
    return read_window(m, k, f, err);
}

/* ---------------------------------------------------------------- the network ----------------------------------- */

static aki__blk layer(struct aki__graph *g, const struct aki__model *m, int i, aki__blk x, bool last)
{
    const int64_t q_columns = (int64_t)m->heads * m->head_dim, kv_columns = (int64_t)m->kv_heads * m->head_dim;
    const struct aki__qwen3_keys *keys = m->keys;
    const bool bias = keys->attention_bias;
    struct aki__g_attention spec = { .heads = m->heads, .kv_heads = m->kv_heads, .head_dim = m->head_dim, .causal = m->causal, .rope_theta = m->rope_theta };

    spec.window = i >= keys->first_sliding_layer ? keys->sliding_window : 0;
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

static aki__blk build(struct aki__graph *g, const struct aki__model *m)
{
    aki__blk x = aki__g_embed(g, &(struct aki__g_embed){ .words = aki__g_tensor(g, m->vocabulary, m->hidden, "embed_tokens.weight") });

    for (int i = 0; i < m->layers; i++)
        x = layer(g, m, i, x, i == m->layers - 1);
    return aki__g_rms_norm(g, x, "norm");
}

static aki__blk classify(struct aki__graph *g, const struct aki__model *m, aki__blk x) { return aki__g_linear(g, x, m->labels.count, false, "/score"); }

const struct aki__family aki__family_qwen3 = { .types = { "qwen3" }, .anchor = "embed_tokens.weight", .end = "<|endoftext|>",
    .traits = AKI_FAMILY_CAUSAL | AKI_FAMILY_MRL, .activation = AKI_ACT_SILU, .keys_size = sizeof(struct aki__qwen3_keys), .read = read_keys, .build = build,
    .classify = classify };
