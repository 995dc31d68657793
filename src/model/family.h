/* Unit family: a family of architectures, as its row in arch/ describes it: names, keys of config.json, tensors, network. model/ reads folders
 * by these rows and knows no family itself. */
#ifndef AKI_MODEL_FAMILY_H
#define AKI_MODEL_FAMILY_H

#include "model/reader.h"

struct aki__graph;      /* graph/graph.h: build()'s; nothing here looks inside */

enum {
    AKI_FAMILY_POSITIONS_AFTER_PAD = 1, /* the first token's position is pad_id + 1 */
    AKI_FAMILY_CAUSAL = 2,              /* a token sees no later one, unless config.json says so */
    AKI_FAMILY_BERT_TOKENIZER = 4,      /* its tokenizer's class is BertTokenizer, where no file names one */
    AKI_FAMILY_MRL = 8                  /* what pools the last token and has prompts "Instruct: …" was trained for shorter vectors */
};

struct aki__family {
    const char *types[4];               /* config.json's model_type; NULL behind the last */
    const char *anchor;                 /* canonical name of the token embeddings: what stands before it in a file stands before every name */
    const char *end;                    /* token that ends every text of a model pooled at the last one, even where tokenizer.json lost it; or NULL */
    unsigned    traits;                 /* AKI_FAMILY_* */
    enum aki__activation activation;    /* where config.json names none */
    size_t      keys_size;              /* bytes of model.keys, zeroed before read() */
    /* The family's own keys, to *m and m->keys. m has all that config.c reads for every family. */
    aki_status (*read)(struct aki__model *m, void *keys, const struct aki__json_file *config, aki_error *err);
    /* The network, in the vocabulary of graph/graph.h; errors stay in g. */
    void      (*build)(struct aki__graph *g, const struct aki__model *m);
};

/* The row whose types have this string, which it then points to; NULL: none. families: rows, NULL behind the last. */
const struct aki__family *aki__family_find(const struct aki__family *const *families, const struct aki__json *type, const char **name);

/* Keys that several families have. */

/* A norm's epsilon: in [0, 1). */
aki_status aki__key_eps(double *out, const struct aki__json_file *f, const char *key, double missing, aki_error *err);
/* rope_theta, wherever it stands, to m->rope_theta; UNSUPPORTED for any RoPE but the plain one. */
aki_status aki__key_rope(struct aki__model *m, const struct aki__json_file *f, aki_error *err);

#endif
