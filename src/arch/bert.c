/* Architecture bert: encoders with learned positions and post-layer norms: BERT, RoBERTa, XLM-RoBERTa, CamemBERT
 * (MiniLM, bge, e5, gte, multilingual-e5 …). Devlin et al. 2018, arXiv 1810.04805. */
#include "arch/arch.h"

/* ---------------------------------------------------------------- config.json ----------------------------------- */

static aki_status read_keys(struct aki__model *m, void *keys, const struct aki__json_file *f, aki_error *err)
{
    const bool after_pad = m->family->traits & AKI_FAMILY_POSITIONS_AFTER_PAD;
    const struct aki__json *root = f->doc.nodes;

    (void)keys;
    aki_status rc = aki__key_int(&m->positions, f, root, "max_position_embeddings", 1, INT32_MAX, 512, err);
    rc = aki__also(rc, aki__key_int(&m->types, f, root, "type_vocab_size", 1, AKI_MAX_DIMENSION, 2, AKI_ALSO(rc, err)));
    rc = aki__also(rc, aki__key_int(&m->pad_id, f, root, "pad_token_id", 0, m->vocabulary - 1, after_pad ? 1 : 0, AKI_ALSO(rc, err)));
    rc = aki__also(rc, aki__key_eps(&m->norm_eps, f, "layer_norm_eps", 1e-12, AKI_ALSO(rc, err)));
    if (rc)
        return rc;
    if (m->hidden % m->heads)
        return aki__key_fail(f, aki__key(root, "num_attention_heads"), "num_attention_heads", AKI_E_INVALID, err,
                             "does not divide hidden_size");
    m->kv_heads = m->heads;
    m->head_dim = m->hidden / m->heads;
    m->position_offset = after_pad ? m->pad_id + 1 : 0;
    if (m->position_offset >= m->positions)
        return aki__key_fail(f, aki__key(root, "pad_token_id"), "pad_token_id", AKI_E_INVALID, err,
                             "leaves no position below max_position_embeddings");
    return AKI_OK;
}

/* ---------------------------------------------------------------- the network ----------------------------------- */

static aki__blk layer(struct aki__graph *g, const struct aki__model *m, int i, aki__blk x, bool last)
{
    const int64_t hidden = m->hidden;
    const struct aki__g_attention spec = { .heads = m->heads, .kv_heads = m->heads, .head_dim = m->head_dim };
    aki__blk from = last ? aki__g_rows(g, x) : x;      /* queries of the last layer: only what the pooling reads */

    aki__blk q = aki__g_linear(g, from, hidden, true, "encoder.layer.%d.attention.self.query", i);
    aki__blk k = aki__g_linear(g, x, hidden, true, "encoder.layer.%d.attention.self.key", i);
    aki__blk v = aki__g_linear(g, x, hidden, true, "encoder.layer.%d.attention.self.value", i);
    aki__blk a = aki__g_attention(g, q, k, v, &spec);
    a = aki__g_linear(g, a, hidden, true, "encoder.layer.%d.attention.output.dense", i);
    x = aki__g_layer_norm(g, aki__g_add(g, from, a), "encoder.layer.%d.attention.output.LayerNorm", i);

    aki__blk f = aki__g_linear(g, x, m->intermediate, true, "encoder.layer.%d.intermediate.dense", i);
    f = aki__g_linear(g, aki__g_act(g, f, m->activation), hidden, true, "encoder.layer.%d.output.dense", i);
    return aki__g_layer_norm(g, aki__g_add(g, x, f), "encoder.layer.%d.output.LayerNorm", i);
}

static aki__blk build(struct aki__graph *g, const struct aki__model *m)
{
    const struct aki__g_embed tables = {
        .words = aki__g_tensor(g, m->vocabulary, m->hidden, "embeddings.word_embeddings.weight"),
        .positions = aki__g_tensor(g, m->positions, m->hidden, "embeddings.position_embeddings.weight"),
        .types = m->types ? aki__g_tensor(g, m->types, m->hidden, "embeddings.token_type_embeddings.weight") : NULL,
    };
    aki__blk x = aki__g_embed(g, &tables);

    x = aki__g_layer_norm(g, x, "embeddings.LayerNorm");
    for (int i = 0; i < m->layers; i++)
        x = layer(g, m, i, x, i == m->layers - 1);
    return x;
}

/* BertPooler and classifier; a file without a pooler has the classifier alone. */
static aki__blk classify_bert(struct aki__graph *g, const struct aki__model *m, aki__blk x)
{
    if (aki__model_has(m, "pooler.dense.weight"))
        x = aki__g_act(g, aki__g_linear(g, x, m->hidden, true, "pooler.dense"), AKI_ACT_TANH);
    return aki__g_linear(g, x, m->labels.count, true, "/classifier");
}

/* RobertaClassificationHead. */
static aki__blk classify_roberta(struct aki__graph *g, const struct aki__model *m, aki__blk x)
{
    x = aki__g_act(g, aki__g_linear(g, x, m->hidden, true, "/classifier.dense"), AKI_ACT_TANH);
    return aki__g_linear(g, x, m->labels.count, true, "/classifier.out_proj");
}

#define BERT .anchor = "embeddings.word_embeddings.weight", .activation = AKI_ACT_GELU, .read = read_keys, .build = build

const struct aki__family aki__family_bert = { .types = { "bert" }, .traits = AKI_FAMILY_BERT_TOKENIZER, .classify = classify_bert, BERT };
const struct aki__family aki__family_roberta = { .types = { "roberta", "xlm-roberta", "camembert" }, .traits = AKI_FAMILY_POSITIONS_AFTER_PAD,
    .classify = classify_roberta, BERT };
