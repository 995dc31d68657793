/* Unit model: reads a Hugging Face folder to a checked description and its tensors. It knows files and numbers, but no runtime. */
#ifndef AKI_MODEL_H
#define AKI_MODEL_H

#include "base/base.h"
#include "base/os.h"

enum aki__dtype { AKI_F32, AKI_F16, AKI_BF16, AKI_I8, AKI_U8, AKI_I32, AKI_I64, AKI_DTYPE_OTHER };

struct aki__tensor {
    const char             *name;       /* as in the file; owned by the model */
    enum aki__dtype         dtype;
    int                     rank;       /* 0 … 8 */
    int64_t                 shape[8];
    const void             *data;       /* part of the map; borrowed; aligned as in the file */
    size_t                  size;       /* bytes */
    const struct aki__map  *map;        /* the file's map, for aki__map_release */
};

enum aki__activation { AKI_ACT_NONE, AKI_ACT_GELU, AKI_ACT_GELU_TANH, AKI_ACT_RELU, AKI_ACT_SILU, AKI_ACT_TANH, AKI_ACT_LOG1P_RELU };

/* A Dense module of sentence-transformers, after the pooling: y = act(x W^T + b). */
struct aki__dense {
    const struct aki__tensor *weight;   /* [out, in] */
    const struct aki__tensor *bias;     /* [out] or NULL */
    enum aki__activation      activation;
};

/* What makes scores of the pooled row. */
enum aki__head_kind {
    AKI_HEAD_NONE,                      /* nothing: the model gives vectors */
    AKI_HEAD_CLASSIFIER,                /* the family's classifier */
    AKI_HEAD_DENSE,                     /* Dense modules */
    AKI_HEAD_LOGIT                      /* a Dense module of one row, made of the language model's head: a logit, or the difference of two */
};

/* The labels of a sequence classifier or cross-encoder: a text or a pair has a score for each. */
struct aki__labels {
    enum aki__head_kind head;
    int32_t count;                      /* 0: the model gives vectors */
    char  **names;                      /* [count] id2label of config.json; NULL: it has none */
    int32_t activation;                 /* AKI_ACTIVATION_*: what sentence-transformers applies to the logits */
    int32_t pad_id;                     /* causal models: the last token that is not this one is pooled; -1: the last token */
    int32_t true_id, false_id;          /* AKI_HEAD_LOGIT: the logit that counts, and what is taken from it; false_id -1: nothing */
    bool    tied;                       /* AKI_HEAD_LOGIT: the language model's head is the table of embeddings */
    char   *template;                   /* Jinja: frames a pair (text/chat.h); NULL: the tokenizer's template does */
    bool    exclusive;                  /* exactly one of several labels applies: their probabilities are a softmax */
};

struct aki__family;     /* model/family.h */

/* What tokenizer_config.json and the tokenizer's class specify in addition to tokenizer.json. */
struct aki__tokenizer_config {
    bool side, left;                    /* side: a file specifies the side of truncation; left: it is the beginning */
    bool splits_special;                /* special strings in a text are plain text */
    bool lowercase;                     /* the normaliser below lowercases */
    char normalizer[128];               /* JSON as in a tokenizer.json, which replaces that of a WordPiece file; "": none */
};

struct aki__model {
    char       *path;                   /* of the folder, as passed to open */
    char       *name;                   /* last component of its real path */
    const char *architecture;           /* model_type of config.json; "onnx" for an .onnx file without one */
    const struct aki__family *family;   /* static; NULL for an .onnx file of another family */

    /* from config.json */
    int32_t hidden, layers, heads, kv_heads, head_dim, intermediate, vocabulary;
    int32_t positions;                  /* rows of the position table, or max_position_embeddings */
    int32_t types;                      /* rows of the table of token types; 0: no table */
    int32_t position_offset;            /* position of the first token: 0, or pad_id + 1 for the RoBERTa family */
    int32_t pad_id;
    double  norm_eps;
    double  rope_theta;
    bool    causal;
    enum aki__activation activation;
    const void *keys;                   /* the keys of this family only: its struct in arch/arch.h; NULL for an .onnx file */
    int32_t int8_bits;                  /* 8 or 7: a folder that aki_quantize wrote; linear weights are read with aki__model_int8; 0: not quantised */

    /* from the sentence-transformers files, else defaults */
    int32_t pooling;                    /* AKI_POOLING_* */
    bool    pooling_assumed;            /* no file specifies the pooling, and the graph does not pool */
    bool    include_prompt;             /* a prompt's tokens are pooled */
    bool    normalize;
    bool    mrl;                        /* trained for shortened vectors */
    int32_t max_tokens;                 /* default limit of a text */
    int32_t dim;                        /* elements of the final vector */
    struct aki__dense *dense;
    size_t  dense_count;
    struct aki__tokenizer_config tokenizer;
    struct aki__labels labels;
    aki_prompt *prompts;
    size_t  prompt_count;
    const char *default_prompt_name;    /* NULL: none */

    /* for a folder whose network is an .onnx file (see aki__onnx_folder_open); weights is then NULL */
    char   *onnx;                       /* path of the file, relative to the folder; NULL: safetensors */
    int32_t pooled;                     /* columns of the vectors, if the graph pools; 0: it does not */
    bool    hidden_rows;                /* the graph has an output with a row for each token */
    bool    dense_inside;               /* the graph includes the Dense modules */
    char   *pad_token;                  /* pad_token of tokenizer_config.json, if config.json has no pad_token_id (pad_id is -1); or NULL */

    aki_file *files;                    /* the files that were read, for info */
    size_t  file_count;
    struct aki__weights *weights;       /* tensors by name; see aki__model_tensor */
    const char *prefix;                 /* prefix of the canonical tensor names in this file: "", "model.", "bert." … */
};

/* Reads config.json, the sentence-transformers files and the headers of the safetensors files, and checks everything that does
 * not depend on the tensor names of the architecture. families: the rows of all families (arch/arch.h), ending with NULL. *out:
 * to be closed.
 * Errors: NOT_FOUND, INVALID, UNSUPPORTED, IO, NOMEM; the message names the file and the key or tensor, and what to do. A
 * folder that has only pytorch_model.bin is UNSUPPORTED, and the message names the conversion. */
aki_status aki__model_folder_open(struct aki__model **out, const char *folder, const struct aki__family *const *families,
                                  aki_error *err);
void       aki__model_folder_close(struct aki__model *m);
/* Reads only what concerns the tokenizer. Errors: as aki__model_folder_open. */
aki_status aki__tokenizer_config_of(struct aki__tokenizer_config *out, const char *folder,
                                    const struct aki__family *const *families, aki_error *err);
/* ---- folders whose network is an .onnx file ---- */

/* Finds the folder and the file of a network. path: a model folder, its onnx/ subfolder, or an .onnx file; name: a file of the
 * folder, or NULL.
 * *file: relative to *folder; NULL: the safetensors. The caller frees both. Errors: NOT_FOUND (no such file), INVALID (several,
 * of which none is called model.onnx; the message lists them). */
aki_status aki__onnx_choose(char **folder, char **file, const char *path, const char *name, aki_error *err);
bool       aki__has_safetensors(const char *folder);
/* Calls the callback for each .onnx file of a folder and of its onnx/, sorted, with the path relative to the folder. false: no
 * memory. */
bool       aki__onnx_list(const char *folder, void (*callback)(void *user, const char *file), void *user);

/* What the graph itself specifies. */
struct aki__onnx_facts {
    int32_t hidden;                     /* columns of the output with a row for each token; 0: none */
    int32_t pooled;                     /* columns of the output with a vector for each text; 0: none */
    bool    sentence, logits;           /* which is called sentence_embedding, or logits */
    int32_t length;                     /* the only length that it accepts; 0: any */
    bool    causal;                     /* it has inputs for cached keys and values */
};
/* As aki__model_folder_open, but config.json may be missing or have any model_type, and the weights are those of `file`. */
aki_status aki__onnx_folder_open(struct aki__model **out, const char *folder, const char *file, const struct aki__onnx_facts *facts,
                                 const struct aki__family *const *families, aki_error *err);

/* For aki_check: opens what can be opened, reports each error, and continues after it. *out: to be closed; NULL: no memory. In
 * it, architecture is NULL if config.json is not valid, weights is NULL if the weights are not valid, and prefix is NULL if the
 * weights do not match config.json. onnx, facts: as for aki__onnx_folder_open; NULL: a folder of safetensors. */
void       aki__model_folder_examine(struct aki__model **out, const char *folder, const char *onnx, const struct aki__onnx_facts *facts,
                                     const struct aki__family *const *families, struct aki__report report);

/* Finds the tensor prefix + name, which must have the dtype f32, f16 or bf16 and this shape: `rank` arguments of type int
 * follow.
 * name: canonical, without the prefix; one that begins with "/" is at the root of the file, as heads are. Errors: NOT_FOUND "model.safetensors: no tensor …", INVALID (shape or dtype; the message
 * has both). */
aki_status aki__model_tensor(const struct aki__model *m, const struct aki__tensor **out, aki_error *err, const char *name,
                             int rank, ...);
/* The same, but if there is no such tensor, *out is NULL and the result is AKI_OK. */
aki_status aki__model_tensor_maybe(const struct aki__model *m, const struct aki__tensor **out, aki_error *err, const char *name, int rank,
                                   ...);
/* true: there is a tensor of this canonical name. */
bool       aki__model_has(const struct aki__model *m, const char *name);

/* A product of a quantised folder, packed and rounded as struct aki__packed of kernel.h. The arrays are parts of the file's
 * map, aligned to their elements. */
struct aki__model_int8 {
    const int8_t  *data;                /* [panels, k / 4, 32, 4] */
    const float   *scale;               /* [n] */
    const int32_t *sum;                 /* [n] */
    const int32_t *columns;             /* [column_count] the inputs that are outliers, increasing */
    size_t         column_count;        /* at most 16 */
    const float   *side;                /* [panels, column_count, 32]; NULL: none */
    const int32_t *rows;                /* [row_count] the outputs that are outliers, increasing */
    size_t         row_count;           /* at most 48: 16 of each of three linears */
    const float   *exact;               /* [row_count, k]; NULL: none */
};
/* Linears that are computed together (q, k, v; gate, up) are one product, with the name of the first. Errors: as
 * aki__model_tensor. */
aki_status aki__model_int8(const struct aki__model *m, struct aki__model_int8 *out, aki_error *err, const char *name, size_t k,
                           size_t n);
/* Only its columns and rows; none if there is no such product. */
aki_status aki__model_int8_outliers(const struct aki__model *m, struct aki__model_int8 *out, aki_error *err, const char *name,
                                    size_t k, size_t n);

/* ---- safetensors (one file or a sharded index), usable and fuzzed on its own ---- */

/* Opens folder/model.safetensors, or folder/model.safetensors.index.json and its shards. */
aki_status aki__weights_open(struct aki__weights **out, const char *folder, aki_error *err);
void       aki__weights_close(struct aki__weights *w);
const struct aki__tensor *aki__weights_find(const struct aki__weights *w, const char *name);   /* by exact name; NULL: none */
size_t     aki__weights_count(const struct aki__weights *w);
const struct aki__tensor *aki__weights_at(const struct aki__weights *w, size_t i);
/* Checks the header of a file. bytes: [size], the whole safetensors file. For the fuzzer. */
aki_status aki__safetensors_check(const char *bytes, size_t size, const char *name, aki_error *err);

/* A tensor to write, whose name is name + suffix. Everything is borrowed. */
struct aki__written { const char *name, *suffix; enum aki__dtype dtype; int rank; int64_t shape[4]; const void *data; size_t size; };
/* metadata: a JSON object of strings. On failure no file is left at path. Errors: IO, NOMEM. */
aki_status aki__safetensors_write(const char *path, const struct aki__written *tensors, size_t count, const char *metadata,
                                  aki_error *err);

size_t     aki__dtype_size(enum aki__dtype dtype);       /* bytes of an element; 0 for AKI_DTYPE_OTHER */
const char *aki__dtype_name(enum aki__dtype dtype);      /* "f32" …; "another dtype" */
/* Converts the elements [begin, begin + count) of an f32, f16 or bf16 tensor to f32. */
void       aki__tensor_read(float *out, const struct aki__tensor *t, size_t begin, size_t count);

#endif
