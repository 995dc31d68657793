/* Architecture bert: encoders with learned positions and post-layer norms: BERT, RoBERTa, XLM-RoBERTa, CamemBERT
 * (MiniLM, bge, e5, gte, multilingual-e5 …). Devlin et al. 2018, arXiv 1810.04805. */
#include "arch/arch.h"

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

void aki__arch_bert(struct aki__graph *g, const struct aki__model *m)
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
    aki__g_finish(g, x);
}
