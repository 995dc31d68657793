/* Unit model: a Hugging Face folder to a checked description and its tensors. Knows files and numbers, no runtime. */
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
    const void             *data;       /* in the map; borrowed; may be unaligned only where the file is */
    size_t                  size;       /* bytes */
    const struct aki__map  *map;        /* of its file, for aki__map_release */
};

enum aki__activation { AKI_ACT_NONE, AKI_ACT_GELU, AKI_ACT_GELU_TANH, AKI_ACT_RELU, AKI_ACT_SILU, AKI_ACT_TANH, AKI_ACT_LOG1P_RELU };

/* A sentence-transformers Dense module behind the pooling: y = act(x W^T + b). */
struct aki__dense {
    const struct aki__tensor *weight;   /* [out, in] */
    const struct aki__tensor *bias;     /* [out] or NULL */
    enum aki__activation      activation;
};

struct aki__family;     /* model/family.h */

/* What tokenizer_config.json and the tokenizer's class say beside tokenizer.json. */
struct aki__tokenizer_config {
    bool side, left;                    /* texts above the limit lose their beginning (left) or their end; side: a file says so */
    bool lowercase;                     /* of the normaliser below */
    char normalizer[128];               /* as in a tokenizer.json: the class puts it in place of a WordPiece file's own; "": it does not */
};

struct aki__model {
    char       *path;                   /* of the folder, as given */
    char       *name;                   /* last part of its real path */
    const char *architecture;           /* config.json's model_type; of an .onnx file without one: "onnx" */
    const struct aki__family *family;   /* static; of an .onnx file NULL where it is none of ours */

    /* from config.json */
    int32_t hidden, layers, heads, kv_heads, head_dim, intermediate, vocabulary;
    int32_t positions;                  /* rows of the position table, or max_position_embeddings */
    int32_t types;                      /* rows of the table of token types; 0: there is none */
    int32_t position_offset;            /* position of the first token: 0, or pad_id + 1 for the RoBERTa family */
    int32_t pad_id;
    double  norm_eps;
    double  rope_theta;
    bool    causal;
    enum aki__activation activation;
    const void *keys;                   /* what only this family has: its struct in arch/arch.h; NULL for an .onnx file */
    int32_t int8_bits;                  /* 8 or 7: a folder written by aki_quantize: linear weights by aki__model_int8; 0: no */

    /* from the sentence-transformers files; defaults where they are missing */
    int32_t pooling;                    /* AKI_POOLING_* */
    bool    pooling_assumed;            /* no file says it, and no graph does it */
    bool    include_prompt;
    bool    normalize;
    bool    mrl;                        /* known to allow shorter vectors */
    int32_t max_tokens;                 /* contract.md's rule */
    int32_t dim;                        /* of the final vector */
    struct aki__dense *dense;
    size_t  dense_count;
    struct aki__tokenizer_config tokenizer;
    aki_prompt *prompts;
    size_t  prompt_count;
    const char *default_prompt_name;    /* NULL: none */

    /* of a folder whose network is an .onnx file (see aki__onnx_folder_open); weights is NULL there */
    char   *onnx;                       /* its name from the folder on; NULL: safetensors */
    int32_t pooled;                     /* columns of the vectors that the graph pools itself; 0: it does not */
    bool    hidden_rows;                /* the graph gives a row a token */
    bool    dense_inside;               /* the Dense modules are part of what it pools */
    char   *pad_token;                  /* where config.json names no pad_token_id (pad_id is -1): tokenizer_config.json's; or NULL */

    aki_file *files;                    /* the files that were read, for info */
    size_t  file_count;
    struct aki__weights *weights;       /* tensors by name; see aki__model_tensor */
    const char *prefix;                 /* what stands before the canonical tensor names in this file: "", "model.", "bert." … */
};

/* families: the rows of all families, NULL behind the last (arch/arch.h has them).
 * Reads config.json, the sentence-transformers files and the headers of the safetensors files. Checks everything that does not need the
 * architecture's tensor names. Errors name the file and the key or tensor and say what to do:
 * NOT_FOUND, INVALID, UNSUPPORTED, IO, NOMEM. A folder with only pytorch_model.bin is UNSUPPORTED and names the conversion. */
aki_status aki__model_folder_open(struct aki__model **out, const char *folder, const struct aki__family *const *families, aki_error *err);
void       aki__model_folder_close(struct aki__model *m);
/* Of a tokenizer alone: the folder's other files are not looked at. Errors as aki__model_folder_open's. */
aki_status aki__tokenizer_config_of(struct aki__tokenizer_config *out, const char *folder, const struct aki__family *const *families, aki_error *err);
/* ---- folders whose network is an .onnx file ---- */

/* Which file of which folder is meant. path: a model's folder, its onnx/ subfolder, or the .onnx file itself; name: a file of the folder, or
 * NULL. *file: from the folder on; NULL: the safetensors. Both are to be freed. NOT_FOUND: no such file; INVALID: several, and none is
 * called model.onnx: they are listed. */
aki_status aki__onnx_choose(char **folder, char **file, const char *path, const char *name, aki_error *err);
bool       aki__has_safetensors(const char *folder);
/* The .onnx files of a folder and of its onnx/, sorted, from the folder on; told one by one. false: no memory. */
bool       aki__onnx_list(const char *folder, void (*tell)(void *user, const char *file), void *user);

/* What is known from the graph itself. */
struct aki__onnx_facts {
    int32_t hidden;                     /* columns of its row a token; 0: it gives none */
    int32_t pooled;                     /* columns of its vector a text; 0: it gives none */
    int32_t length;                     /* the only length that it takes; 0: any */
    bool    causal;                     /* it has a cache of keys and values */
};
/* As aki__model_folder_open, but any model_type will do, config.json may be missing, and the weights are those of `file`. */
aki_status aki__onnx_folder_open(struct aki__model **out, const char *folder, const char *file, const struct aki__onnx_facts *facts, const struct aki__family *const *families, aki_error *err);

/* For aki_check: opens what can be opened, reports each error, and continues after it. *out: to be closed; NULL: no memory. In it,
 * architecture is NULL if config.json is not valid, weights is NULL if the weights are not valid, and prefix is NULL if the weights do not
 * match config.json. onnx, facts: as for aki__onnx_folder_open; NULL: a folder of safetensors. */
void       aki__model_folder_examine(struct aki__model **out, const char *folder, const char *onnx, const struct aki__onnx_facts *facts,
                                     const struct aki__family *const *families, struct aki__report report);

/* The tensor prefix + name, which must exist with this shape (dims: rank arguments of type int behind) and dtype f32, f16 or bf16.
 * Errors: NOT_FOUND "model.safetensors: no tensor …", INVALID (shape or dtype, both told). name must be canonical (without prefix). */
aki_status aki__model_tensor(const struct aki__model *m, const struct aki__tensor **out, aki_error *err, const char *name, int rank, ...);
/* The same, but *out = NULL and AKI_OK where there is none. */
aki_status aki__model_tensor_maybe(const struct aki__model *m, const struct aki__tensor **out, aki_error *err, const char *name, int rank,
                                   ...);

/* A stored product of a quantised folder, packed and rounded as kernel.h's struct aki__packed; views of the file, aligned to their elements. */
struct aki__model_int8 {
    const int8_t  *data;                /* [panels, k / 4, 32, 4] */
    const float   *scale;               /* [n] */
    const int32_t *sum;                 /* [n] */
    const int32_t *columns;             /* [column_count], increasing, inputs that are outliers */
    size_t         column_count;        /* 16 at most */
    const float   *side;                /* [panels, column_count, 32]; NULL: none */
    const int32_t *rows;                /* [row_count], increasing, outputs that are outliers */
    size_t         row_count;           /* 48 at most: 16 of each of three linears */
    const float   *exact;               /* [row_count, k]; NULL: none */
};
/* Linears that are used together (q, k, v; gate, up) are one, under the first one's name. Errors as aki__model_tensor's. */
aki_status aki__model_int8(const struct aki__model *m, struct aki__model_int8 *out, aki_error *err, const char *name, size_t k, size_t n);
/* Its columns and rows alone; none where there is no such product. */
aki_status aki__model_int8_outliers(const struct aki__model *m, struct aki__model_int8 *out, aki_error *err, const char *name, size_t k, size_t n);

/* ---- safetensors (one file or a sharded index), usable and fuzzed on its own ---- */

/* Opens folder/model.safetensors, or folder/model.safetensors.index.json and its shards. */
aki_status aki__weights_open(struct aki__weights **out, const char *folder, aki_error *err);
void       aki__weights_close(struct aki__weights *w);
const struct aki__tensor *aki__weights_find(const struct aki__weights *w, const char *name);   /* exact name; NULL: none */
size_t     aki__weights_count(const struct aki__weights *w);
const struct aki__tensor *aki__weights_at(const struct aki__weights *w, size_t i);
/* Checks one file's header: [size] bytes of a whole safetensors file. The unit that the fuzzer feeds. */
aki_status aki__safetensors_check(const char *bytes, size_t size, const char *name, aki_error *err);

/* A tensor to write; everything is borrowed. Its name is name + suffix. */
struct aki__written { const char *name, *suffix; enum aki__dtype dtype; int rank; int64_t shape[4]; const void *data; size_t size; };
/* metadata: a JSON object of strings. On failure nothing is left at path. Errors: IO, NOMEM. */
aki_status aki__safetensors_write(const char *path, const struct aki__written *tensors, size_t count, const char *metadata, aki_error *err);

size_t     aki__dtype_size(enum aki__dtype dtype);       /* bytes of an element; 0 for AKI_DTYPE_OTHER */
/* Elements [begin, begin + count) of an f32, f16 or bf16 tensor as f32. */
void       aki__tensor_read(float *out, const struct aki__tensor *t, size_t begin, size_t count);

#endif
