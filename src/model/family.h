/* Unit family: a family of architectures: its names, keys of config.json, tensors and network. Each family has a row in arch/;
 * model/ reads folders with these rows and contains no knowledge of a family. */
#ifndef AKI_MODEL_FAMILY_H
#define AKI_MODEL_FAMILY_H

#include "model/reader.h"

struct aki__graph;      /* graph/graph.h; opaque here */

enum {
    AKI_FAMILY_POSITIONS_AFTER_PAD = 1, /* the first token's position is pad_id + 1 */
    AKI_FAMILY_CAUSAL = 2,              /* attention is causal, unless config.json specifies otherwise */
    AKI_FAMILY_BERT_TOKENIZER = 4,      /* the tokenizer's class is BertTokenizer if no file names one */
    AKI_FAMILY_MRL = 8                  /* models with last-token pooling and prompts "Instruct: …" were trained for shortened vectors */
};

struct aki__family {
    const char *types[4];               /* values of model_type in config.json, ending with NULL */
    const char *anchor;                 /* canonical name of the token embeddings; its prefix in a file is the prefix of every name */
    const char *end;                    /* token that ends every text of a model with last-token pooling, even if tokenizer.json lacks it; or NULL */
    unsigned    traits;                 /* AKI_FAMILY_* */
    enum aki__activation activation;    /* if config.json names none */
    size_t      keys_size;              /* bytes of model.keys, zeroed before read() */
    /* Reads the keys of the family to *m and *keys. m already has the keys that config.c reads for every family. */
    aki_status (*read)(struct aki__model *m, void *keys, const struct aki__json_file *config, aki_error *err);
    /* Records the body of the network with the functions of graph/graph.h; returns the block of the rows to be pooled. Errors
     * stay in g. */
    int       (*build)(struct aki__graph *g, const struct aki__model *m);
    /* Records the head of a sequence classifier behind the pooled rows: returns the block of its logits. NULL: not implemented. */
    int       (*classify)(struct aki__graph *g, const struct aki__model *m, int pooled);
};

/* Finds the row that has this type, and sets *name to its string there; NULL: none. families: rows, ending with NULL. */
const struct aki__family *aki__family_find(const struct aki__family *const *families, const struct aki__json *type,
                                           const char **name);

/* Keys that several families have. */

/* Reads the epsilon of a norm, in [0, 1). */
aki_status aki__key_eps(double *out, const struct aki__json_file *f, const char *key, double missing, aki_error *err);
/* Reads rope_theta, which files have at several places, to m->rope_theta. UNSUPPORTED: another kind of RoPE than the default one. */
aki_status aki__key_rope(struct aki__model *m, const struct aki__json_file *f, aki_error *err);

#endif
