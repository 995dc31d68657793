/* akiembed.h: the whole public interface of libakiembed, which turns texts into embedding vectors.
 *
 * A model is a Hugging Face folder: config.json, tokenizer.json, *.safetensors or an .onnx file, and the files of
 * sentence-transformers. Open it once, share it between threads, and close it at the end.
 *
 *     aki_model *model;
 *     aki_error  error;
 *     if (aki_model_open("all-MiniLM-L6-v2", NULL, &model, &error)) { fputs(error.message, stderr); return 1; }
 *     const char *texts[] = { "a cat", "a dog" };
 *     float vectors[2 * 384];
 *     aki_embed(model, texts, NULL, 2, NULL, vectors, sizeof vectors, NULL, NULL, &error);
 *     aki_model_close(model);
 *
 * These conventions hold for every function, unless its comment says otherwise:
 *   - Sizes are in bytes, counts are in elements. A text is UTF-8, given as pointer and size, and may contain NUL bytes.
 *   - Ownership: arguments are borrowed for the duration of the call, and the library keeps no pointer to them.
 *     Results are written to memory that the caller owns. The caller frees nothing but models (aki_model_close).
 *   - Errors: a function returns AKI_OK or the status of the first error, and fills *error (which may be NULL) with
 *     what failed and where. The contents of the output buffers are then unspecified.
 *   - Options may be NULL, which selects all defaults. Otherwise initialise the struct with its _init function, then
 *     set fields. Zero always selects the default, so callers need no change when a later version adds fields.
 *   - ABI: the soname is libakiembed.so.0 for all of 0.x. Functions and structs are only ever added to, at the end, so
 *     a program that was built with an older 0.x runs with a newer one.
 *   - Limits: aki_option_bounds returns the least and the greatest value of each numeric option, and the greatest
 *     sizes of a text and of a prompt.
 *   - Thread safety: every function may be called from any thread, and any number of threads may use one aki_model at
 *     the same time. Only aki_model_close needs the model for itself.
 *   - fork: a child process may close its parent's models, but must not use them, and must end with _exit. At exit,
 *     ONNX Runtime would wait for threads that exist only in the parent.
 *   - Model files are memory-mapped: embedding tables, the weights of a quantised folder and the external data of an
 *     .onnx file are read while texts are computed. To replace a model, write the new file under another name and
 *     rename it, or remove the old file first; an open model then keeps the old content. A program that overwrites an
 *     open model's file in place (cp, rsync --inplace) changes the vectors. If it makes the file shorter, calls fail:
 *     each run first checks the sizes, and returns AKI_E_IO with the file's name. If a file shrinks while an open or a
 *     run is reading it, the operating system terminates the process (SIGBUS), because a library must not handle that
 *     signal. Files of up to 64 KiB are copied at open and cause none of this.
 *   - The library never writes to stdout, never exits or aborts, and does not change signal handlers or the locale.
 *     The host program's signal handlers never run on a thread of the library.
 */
#ifndef AKIEMBED_H
#define AKIEMBED_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#  if defined(AKI_BUILD)
#    define AKI_API __declspec(dllexport)
#  elif defined(AKI_STATIC)
#    define AKI_API
#  else
#    define AKI_API __declspec(dllimport)
#  endif
#elif defined(__GNUC__)
#  define AKI_API __attribute__((visibility("default")))
#else
#  define AKI_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- errors ---------------------------------------- */

typedef enum {
    AKI_OK            = 0,
    AKI_E_INTERNAL    = 1,  /* a defect of this library or of ONNX Runtime */
    AKI_E_INVALID     = 2,  /* an argument, a text or the content of a file is not valid */
    AKI_E_NOT_FOUND   = 3,  /* there is no such model, file, tensor, prompt or option */
    AKI_E_UNAVAILABLE = 4,  /* the device or the runtime is missing, or failed its self-test */
    AKI_E_NOMEM       = 5,  /* memory could not be allocated */
    AKI_E_IO          = 6,  /* a file could not be read or written */
    AKI_E_TOO_SMALL   = 7,  /* a buffer of the caller; size and count outputs are set to what is needed */
    AKI_E_UNSUPPORTED = 8,  /* the input is well-formed, but this version does not implement it */
    AKI_E_CANCELLED   = 9   /* a callback of the caller returned nonzero */
} aki_status;

/* The description of an error. The caller owns it; a call writes to it only on failure. Every aki_error * argument may
 * be NULL. */
typedef struct {
    int32_t  status;        /* aki_status: the value that the call returned */
    int32_t  item;          /* index of the text (or row of ids) that caused the error; -1: no particular one */
    uint64_t offset;        /* byte in the text or in the named file; index in the row of ids; 0: unknown */
    char     message[240];  /* one line, UTF-8, NUL-terminated; it never contains the content of a text */
} aki_error;

/* Returns a static string such as "invalid argument", or "unknown status" if status is not an aki_status. */
AKI_API const char *aki_status_name(int status);

/* The version of the library: as a static string ("1.2.3"), and as the number 1 * 1000000 + 2 * 1000 + 3. */
AKI_API const char *aki_version(void);
AKI_API uint32_t    aki_version_number(void);

/* ---------------------------------------------------------------- models ---------------------------------------- */

/* An opened model or tokenizer. */
typedef struct aki_model aki_model;

enum { AKI_PRECISION_DEFAULT = 0,   /* int8 if the folder was quantised, else f32 */
       AKI_PRECISION_F32     = 1,
       AKI_PRECISION_INT8    = 2,   /* only on the CPU */
       AKI_PRECISION_F16     = 3,   /* only on other devices */
       AKI_PRECISION_BF16    = 4 }; /* only on CPUs with products of bf16 (x86: AVX512-BF16); others: UNAVAILABLE */

enum { AKI_TEST_CACHE_DEFAULT = 0,  /* reuse the stored result of an earlier self-test, or test and store the result */
       AKI_TEST_CACHE_RENEW   = 1,  /* always test, and store the result */
       AKI_TEST_CACHE_OFF     = 2 };    /* always test; read and write no stored result */

enum { AKI_POOLING_DEFAULT = 0,     /* the pooling that the model's files specify */
       AKI_POOLING_CLS = 1, AKI_POOLING_MEAN = 2, AKI_POOLING_MAX = 3,
       AKI_POOLING_MEAN_SQRT_LEN = 4, AKI_POOLING_WEIGHTEDMEAN = 5, AKI_POOLING_LAST = 6 };

/* Options of aki_model_open. Strings and arrays are borrowed for the duration of that call. */
typedef struct {
    uint32_t    struct_size;        /* set by aki_model_options_init */
    int32_t     precision;          /* AKI_PRECISION_* */
    const char *device;             /* "auto" or a name from aki_devices ("coreml", "cuda", "webgpu", …); NULL: "cpu" */
    int32_t     threads;            /* of a model's pool; the first open fixes it for the process; 0: the cores allowed */
    int32_t     max_batch_tokens;   /* tokens of one run, which bounds memory; 0: 1024 */
    int32_t     max_tokens;         /* limit of one text, special tokens included; at most the model's limit; 0: that limit */
    int32_t     prefix_cache_mb;    /* causal models: MiB for keys and values of prefixes that texts share; 0: 64; -1: none */
    int32_t     device_fallback;    /* 1: if the device cannot be used, open on the CPU; info.device_note gives the reason */
    const char *const *device_options;  /* [device_option_count] "KEY=VALUE" for the provider, or "aki.shapes=fixed|free" */
    int32_t     device_option_count;/* elements of device_options, none of which may be NULL */
    int32_t     max_buckets;        /* devices with fixed shapes: the most sessions that stay in memory; 0: 2 */
    const char *device_plugin;      /* a plugin library to load first, as for aki_load_device_plugin; NULL: none */
    const char *file;               /* .onnx file to use, relative to the folder ("onnx/model_int8.onnx"); see aki_model_open */
    int32_t     test_cache;         /* AKI_TEST_CACHE_*: for the device's self-test, see aki_model_open; ignored on the CPU */
} aki_model_options;

/* options: the struct; size: sizeof *options. Sets struct_size to size, and every other field to zero. The other _init
 * functions do the same. */
AKI_API void aki_model_options_init(void *options, size_t size);

/* Opens a model. folder: the path of a model folder, or of an .onnx file inside one. *out: the model, to be closed with
 * aki_model_close; NULL on failure. Every tensor is checked against the configuration.
 *
 * The network comes from options->file if that is set, else from model.safetensors or its shards, else from an .onnx
 * file: onnx/model.onnx, model.onnx, or the only .onnx file in the folder. An .onnx file may have the inputs input_ids,
 * attention_mask, token_type_ids, position_ids and past_key_values.*. The output that is read is sentence_embedding
 * (pooled by the graph), last_hidden_state, token_embeddings, or the first output that has a row for each token. An
 * .onnx file runs on the CPU, in the precision in which it was exported.
 *
 * Every other device must pass a self-test: the library embeds some built-in texts on the device and on the CPU. It
 * refuses a device whose vectors differ, or that leaves a large part of the graph to the CPU, and reports the measured
 * figures. "auto" selects the fastest device that passes, the CPU included. The figures are stored in the cache folder
 * (akiembed/self-tests in $XDG_CACHE_HOME, ~/Library/Caches or ~/.cache). They replace a new test as long as all of
 * these are unchanged: the contents of the model's files, the device with its options, plugin, driver and version, ONNX
 * Runtime, this library, and the options that determine the shape of runs.
 *
 * Errors: NOT_FOUND (no such folder, or a file or tensor is missing), INVALID (files are broken or contradict each
 * other, or an option is out of bounds), UNSUPPORTED (the architecture or a part of the tokenizer is not implemented;
 * the message names it), UNAVAILABLE (no such device or runtime, or the processor lacks the instruction set that the
 * environment variable AKIEMBED_ISA names), IO, NOMEM, INTERNAL (also if the mutexes of this system do not work). */
AKI_API aki_status aki_model_open(const char *folder, const aki_model_options *options, aki_model **out, aki_error *error);

/* Opens only the tokenizer. path: a tokenizer.json, a folder that contains one, or an .onnx file in such a folder.
 * *out: as for aki_model_open. Such a model supports aki_encode, aki_tokenize, aki_detokenize and aki_token_piece;
 * calls that need the network return UNSUPPORTED. If path is a folder, the ids are those that the folder's model would
 * compute, even if tokenizer.json lacks the token that ends every text (info.end_appended). Errors: as aki_model_open. */
AKI_API aki_status aki_tokenizer_open(const char *path, aki_model **out, aki_error *error);

/* Frees a model. No other call may use the model during or after this call. NULL is allowed. */
AKI_API void aki_model_close(aki_model *model);

/* A prompt that the model's files define. */
typedef struct {
    const char *name;               /* "query" */
    const char *text;               /* "Instruct: …\nQuery:" */
} aki_prompt;

/* A file that was read at open. */
typedef struct {
    const char *path;               /* the path that was opened */
    uint64_t    size;               /* bytes */
} aki_file;

/* What is known of an open model. The model owns the strings and arrays; they are valid until it is closed. */
typedef struct {
    uint32_t          struct_size;         /* set by aki_model_info_init */
    int32_t           dim;                 /* elements of a vector, unless aki_embed_options.dim shortens it */
    const char       *name;                /* last component of the folder's path */
    const char       *architecture;        /* model_type of config.json ("bert"); for an .onnx file any string, or "onnx" */
    int64_t           parameters;          /* number of weights, embedding tables included */
    int32_t           hidden;              /* elements of a hidden state; this and the next four may be 0 (unknown) for .onnx */
    int32_t           layers;
    int32_t           heads;
    int32_t           kv_heads;            /* heads of keys and values */
    int32_t           vocabulary;          /* rows of the embedding table */
    int32_t           max_tokens;          /* limit of one text, special tokens included */
    int32_t           pooling;             /* AKI_POOLING_* */
    int32_t           normalize;           /* 1: vectors are normalised to length 1 by default */
    int32_t           precision;           /* AKI_PRECISION_*: the precision in use */
    int32_t           mrl;                 /* 1: the model was trained for shortened vectors (aki_embed_options.dim) */
    const char       *device;              /* name of the device in use; for "auto", of the device that was selected */
    const char       *runtime;             /* "ONNX Runtime 1.32.0" */
    int32_t           threads;             /* threads of the model's pool; they sleep while nothing is computed */
    int32_t           end_appended;        /* 1: tokenizer.json lacks the token that ends every text, and the library adds it */
    int32_t           max_batch_tokens;    /* the most tokens of a run */
    int32_t           nodes;               /* graph nodes that run on the device in use */
    int32_t           nodes_elsewhere;     /* graph nodes that the device leaves to the CPU; 0 if the device is the CPU */
    int32_t           prompt_count;
    const aki_prompt *prompts;             /* [prompt_count] */
    const char       *default_prompt_name; /* NULL: none */
    int32_t           file_count;
    int32_t           skips_prompt;        /* 1: pooling excludes a prompt's tokens; aki_embed does this by itself */
    const aki_file   *files;               /* [file_count] */
    uint64_t          weights_size;        /* bytes of the weights that the graph holds */
    uint64_t          texts;               /* texts in calls since open */
    uint64_t          texts_reused;        /* those of them whose result was copied from an equal text of the same call */
    uint64_t          tokens;              /* tokens computed since open */
    uint64_t          tokens_reused;       /* tokens whose keys and values came from the prefix cache and were not computed */
    const char       *device_note;         /* figures of the self-test, and why this device was selected; NULL: none */
    int32_t           fell_back;           /* 1: the device could not be used, and device_fallback selected the CPU */
    int32_t           partitions;          /* connected parts of the graph that run on the device; 0: unknown */
    int32_t           sessions;            /* sessions in memory; a device with fixed shapes has one for each shape */
    int32_t           products;            /* matrix products of the graph; 0: unknown */
    int32_t           products_f32;        /* those of them in f32; with int8 and bf16: Dense modules; with int8 what is too extreme for it */
    uint32_t          outputs;             /* the outputs that the model supports: a bit 1 << AKI_OUTPUT_* for each */
    int32_t           truncates_left;      /* 1: AKI_TRUNCATE_DEFAULT removes the beginning of a long text */
    int32_t           pooling_assumed;     /* 1: no file specifies the pooling; sentence-transformers' default may be wrong */
    double            f32_share;           /* with int8: the share of the products' multiply-adds in f32, outliers included: 0 … 1 */
    const char       *precision_note;      /* with int8: "f32 in 3 of 49 products, 6 % of the arithmetic"; NULL: none is in f32 */
    const char       *precision_advice;    /* what to do about it, if f32_share is above a quarter; NULL: it is not */
    int32_t           label_count;         /* labels of a classifier or cross-encoder; 0: the model gives vectors. dim is then the same */
    const char *const *labels;             /* [label_count] their names; NULL: the files have none */
    int32_t           activation;          /* AKI_ACTIVATION_*: what AKI_ACTIVATION_DEFAULT applies to scores */
    int32_t           labels_exclusive;    /* 1: of several labels exactly one applies to a text */
    uint64_t          weights_16bit_size;  /* bytes of weights_size that are bf16 or f16, as in the folder; arithmetic is in f32 */
    const char       *instructions;        /* instruction set of the CPU's arithmetic: "avx512bf16", "avx512", "avxvnni", "avx2", … */
    const char       *device_refused;      /* the first program that the device compiled for a shape and that was refused, with the reason, so
                                            * that another one computes it or a call failed; NULL: none */
    int32_t           pairs_only;          /* 1: it scores pairs of a query and a document, no single texts: a template frames them */
} aki_model_info;

/* Fills *info; call aki_model_info_init first. Errors: INVALID (NULL, or struct_size is not set), UNSUPPORTED (only the
 * tokenizer was opened). */
AKI_API void       aki_model_info_init(void *info, size_t size);
AKI_API aki_status aki_model_get_info(const aki_model *model, aki_model_info *info, aki_error *error);

/* Health check: embeds one short text and checks that its vector is valid. Errors: as aki_embed. */
AKI_API aki_status aki_model_check(aki_model *model, aki_error *error);

/* ---------------------------------------------------------------- embedding ------------------------------------- */

/* What a text is, which selects a prompt of the model. */
enum { AKI_KIND_NONE = 0, AKI_KIND_QUERY = 1, AKI_KIND_DOCUMENT = 2 };

enum { AKI_NORMALIZE_DEFAULT = 0,   /* as the model's files specify (info.normalize) */
       AKI_NORMALIZE_ON = 1, AKI_NORMALIZE_OFF = 2 };

enum { AKI_TRUNCATE_DEFAULT = 0,    /* the side that the model's files specify (info.truncates_left), else right */
       AKI_TRUNCATE_LEFT = 1,       /* remove the beginning of the text */
       AKI_TRUNCATE_ERROR = 2,      /* a text above the limit is an error (INVALID) */
       AKI_TRUNCATE_RIGHT = 3 };    /* remove the end of the text */

enum { AKI_DTYPE_F32 = 0, AKI_DTYPE_F16 = 1, AKI_DTYPE_INT8 = 2, AKI_DTYPE_UINT8 = 3,
       AKI_DTYPE_BINARY = 4,        /* one int8 for 8 elements: the byte of UBINARY minus 128 */
       AKI_DTYPE_UBINARY = 5 };     /* one bit for each element, 1 if x > 0; most significant bit first, padded with 0 */

enum { AKI_OUTPUT_VECTOR = 0,       /* one pooled vector for each text */
       AKI_OUTPUT_TOKENS = 1,       /* one row for each token: its last hidden state */
       AKI_OUTPUT_SCORES = 2 };     /* one score for each label, of a text or a pair of texts (aki_score) */

/* What is applied to the logits of a classifier or cross-encoder. */
enum { AKI_ACTIVATION_DEFAULT = 0,  /* as the model's files specify, and as sentence-transformers does (info.activation) */
       AKI_ACTIVATION_NONE = 1,     /* nothing: the logits */
       AKI_ACTIVATION_SIGMOID = 2,  /* 1 / (1 + e^-x), of each label by itself */
       AKI_ACTIVATION_SOFTMAX = 3,  /* e^x / sum of e^x over the labels */
       AKI_ACTIVATION_PROBABILITY = 4 };    /* what makes logits probabilities: softmax if exactly one of several labels applies
                                             * (info.labels_exclusive), else sigmoid */

/* Options of a call. Strings and arrays are borrowed for the duration of the call. */
typedef struct {
    uint32_t     struct_size;       /* set by aki_embed_options_init */
    int32_t      kind;              /* AKI_KIND_*: use the model's prompt for this kind, if it has one */
    const char  *prompt;            /* prepended to every text. If set, instruction, prompt_name and kind are ignored */
    const char  *instruction;       /* replaces T in a query prompt "Instruct: T\n…"; prompt_name and kind are ignored. A model
                                     * that frames pairs (info.pairs_only) has a place for it, and for any prompt, in its template */
    const char  *prompt_name;       /* name of one of the model's prompts; kind is then ignored */
    int32_t      pooling;           /* AKI_POOLING_* */
    int32_t      normalize;         /* AKI_NORMALIZE_* */
    int32_t      dim;               /* truncate vectors to this many elements before normalising; 0: all (info.dim) */
    int32_t      dtype;             /* AKI_DTYPE_*: element type of the result; INT8 and UINT8 need ranges */
    const float *ranges;            /* [2, dim] minimum, maximum of each element (aki_ranges); if equal, the step is 1 */
    int32_t      truncate;          /* AKI_TRUNCATE_*: what happens to texts above max_tokens */
    int32_t      max_tokens;        /* limit of one text, special and prompt tokens included; 0: info.max_tokens */
    int32_t      no_parse_special;  /* 1: treat the spelling of special tokens in a text ("<|endoftext|>") as plain text, which
                                     * the model's files may demand as well */
    int32_t      no_special;        /* 1: add no special tokens when tokenising */
    int32_t      no_reuse;          /* 1: compute every text, even if it equals another text of the call */
    int32_t      output;            /* AKI_OUTPUT_*, for aki_embed_rows and aki_embed_bound; fixed in other functions */
    int        (*cancel)(void *user);  /* called between runs, on the calling thread; nonzero: end with CANCELLED */
    void        *cancel_user;       /* passed to cancel */
    int32_t      activation;        /* AKI_ACTIVATION_*: what is applied to scores */
} aki_embed_options;

AKI_API void aki_embed_options_init(void *options, size_t size);

/* Returns the bounds of a number. option: the name of a numeric field of aki_model_options ("threads") or
 * aki_embed_options ("dim"), or "text_size" or "prompt_size" (bytes). model: for numbers that depend on the model (dim,
 * max_tokens, pooling, …); NULL: the bounds that hold for every model. *least, *most: the bounds, inclusive; *preset:
 * the value that 0 selects. Each of the three may be NULL.
 * Errors: NOT_FOUND (there is no such number), INVALID (option is NULL). */
AKI_API aki_status aki_option_bounds(const aki_model *model, const char *option, int64_t *least, int64_t *most, int64_t *preset, aki_error *error);

/* Returns the number of bytes that aki_embed, aki_embed_ids and aki_embed_rows write with these options. count: number
 * of texts or rows; with AKI_OUTPUT_TOKENS, number of tokens. Returns 0 if the options are not valid. */
AKI_API size_t aki_embed_bound(const aki_model *model, size_t count, const aki_embed_options *options);

/* Embeds texts.
 * texts: [count]; sizes: [count] bytes of each text, or NULL if all texts are NUL-terminated. count may be 0.
 * out: [count, dim] elements of the dtype, row-major without padding, in the order of texts; out_size: its bytes, at
 * least aki_embed_bound.
 * tokens: [count] set to the number of tokens of each text, or NULL.
 * truncated: [count] set to 1 if the text was truncated, else to 0, or NULL.
 * A vector that is all zero, or that contains NaN or infinity, in f32 or in the dtype (f16 ends at 65504), is an
 * INVALID error with the text's index.
 * Errors: INVALID (options, UTF-8, a text that is too long; error->item and error->offset locate it), NOT_FOUND
 * (prompt_name), TOO_SMALL (out_size), CANCELLED, NOMEM, IO (a file of the model became shorter), UNSUPPORTED (only the
 * tokenizer was opened, or the model cannot pool in this way), INTERNAL. */
AKI_API aki_status aki_embed(aki_model *model, const char *const *texts, const size_t *sizes, size_t count,
                             const aki_embed_options *options, void *out, size_t out_size,
                             int32_t *tokens, uint8_t *truncated, aki_error *error);

/* Texts that are already tokenised, by aki_encode or by the caller. The ids must include the special tokens; the
 * library adds none. The arrays are borrowed for the duration of the call. */
typedef struct {
    uint32_t       struct_size;     /* set by aki_rows_init */
    const int32_t *ids;             /* [starts[count]] the ids of all rows, end to end */
    const int64_t *starts;          /* [count + 1] increasing from 0; row i is ids[starts[i]] .. ids[starts[i + 1] - 1] */
    size_t         count;           /* rows */
    const int32_t *types;           /* [starts[count]] token types; NULL: all 0. A model without token types ignores them */
    const int32_t *prompt_tokens;   /* [count] how many tokens at the start of each row belong to a prompt; NULL: 0. They
                                     * are not pooled if the model excludes prompts from pooling (info.skips_prompt) */
} aki_rows;

AKI_API void aki_rows_init(void *rows, size_t size);

/* Embeds rows of ids. options: as for aki_embed, but the prompt options (prompt, instruction, prompt_name, kind) must
 * not be set. out, if options->output is AKI_OUTPUT_VECTOR: [count, dim] elements of the dtype.
 * out, if it is AKI_OUTPUT_TOKENS: [starts[count], hidden] floats, one row for each token: its last hidden state, not
 * pooled, and normalised only if normalize is AKI_NORMALIZE_ON. dtype must then be F32, and dim must not be set.
 * out, if it is AKI_OUTPUT_SCORES: [count, info.label_count] floats, as of aki_score, with the options that it allows. A row
 * that is empty, longer than the limit, or contains an id outside the vocabulary is INVALID; error->item is its index.
 * Errors: as aki_embed, UNSUPPORTED (the model does not support the output, see info.outputs). */
AKI_API aki_status aki_embed_rows(aki_model *model, const aki_rows *rows, const aki_embed_options *options, void *out, size_t out_size,
                                  aki_error *error);

/* The same as aki_embed_rows with AKI_OUTPUT_VECTOR, for rows that consist of ids and starts only. */
AKI_API aki_status aki_embed_ids(aki_model *model, const int32_t *ids, const int64_t *starts, size_t count,
                                 const aki_embed_options *options, void *out, size_t out_size, aki_error *error);

/* The same with AKI_OUTPUT_TOKENS. out: [starts[count], hidden] floats. */
AKI_API aki_status aki_embed_tokens(aki_model *model, const int32_t *ids, const int64_t *starts, size_t count,
                                    const aki_embed_options *options, float *out, size_t out_size, aki_error *error);

/* ---------------------------------------------------------------- scores ---------------------------------------- */

/* Scores texts, or pairs of texts, with a classifier or cross-encoder (info.label_count > 0).
 * texts, sizes: [count] as for aki_embed; in a pair, the first text (of a reranker: the query).
 * seconds, second_sizes: [count] the second texts (of a reranker: the documents); seconds NULL: there are no pairs.
 * options: as for aki_embed; dim, dtype, pooling and normalize must not be set. A prompt stands before the first text. Pairs
 * above the limit lose tokens of the longer text first, as in transformers' longest_first. If a template frames the pairs
 * (info.pairs_only), the prompt or instruction is the template's, and pairs above the limit lose the end of the document, then
 * of the query, never what follows them; no_parse_special must not be set. What all texts of a call begin with is computed once.
 * out: [count, info.label_count] floats; out_size: its bytes.
 * tokens, truncated: [count] as for aki_embed, or NULL.
 * A score that is NaN or infinite is an INVALID error with the pair's index. Errors: as aki_embed, UNSUPPORTED (the model gives
 * vectors, no scores). */
AKI_API aki_status aki_score(aki_model *model, const char *const *texts, const size_t *sizes, const char *const *seconds,
                             const size_t *second_sizes, size_t count, const aki_embed_options *options, float *out, size_t out_size,
                             int32_t *tokens, uint8_t *truncated, aki_error *error);

/* ---------------------------------------------------------------- tokens ---------------------------------------- */

/* An encoded text. The caller sets the fields down to `whole` before the call, and the call sets the rest. Each array
 * belongs to the caller, and may be NULL if it is not needed. */
typedef struct {
    uint32_t struct_size;           /* set by aki_encoded_init */
    int32_t *ids;                   /* [capacity] token ids */
    int32_t *types;                 /* [capacity] token types, from the tokenizer's template */
    int8_t  *sequences;             /* [capacity] source of each token: 0 prompt + text, 1 second text, -1 special token */
    int64_t *spans;                 /* [capacity, 2] bytes [begin, end) of the token in its source; special tokens 0, 0 */
    size_t   capacity;              /* elements of each array above */
    char    *text;                  /* [text_capacity] prompt + text, to which spans of source 0 refer; no final NUL */
    size_t   text_capacity;         /* bytes of text */
    int32_t  whole;                 /* 1: do not truncate, whatever the limit is */

    size_t   count;                 /* number of tokens; also set if the call returns TOO_SMALL */
    size_t   full_count;            /* number of tokens without truncation; greater than count if the text was truncated */
    size_t   prompt_tokens;         /* tokens at the start that belong to the prompt or stand before it; all of them, if the
                                     * limit left nothing else of a single text */
    size_t   prompt_size;           /* bytes of the prompt before the text */
    size_t   text_size;             /* bytes of prompt + text; also set if the call returns TOO_SMALL */
} aki_encoded;

AKI_API void aki_encoded_init(void *encoded, size_t size);

/* Encodes a text to exactly the tokens that aki_embed would compute: with prompt and special tokens, truncated to
 * options->max_tokens (0: the model's limit). text: [size] bytes. second: [second_size] bytes, the second text of a
 * pair, encoded with the tokenizer's template for pairs; or NULL. The prompt is prepended to the first text, and the
 * longer text is truncated first. If the model frames pairs (info.pairs_only), encoded->text is the whole framed text, of which
 * all tokens are; prompt_size and prompt_tokens are what stands before the query.
 * Errors: as aki_embed; TOO_SMALL (an array has fewer than encoded->count elements, or fewer than encoded->text_size
 * bytes; both are set). */
AKI_API aki_status aki_encode(const aki_model *model, const char *text, size_t size, const char *second, size_t second_size,
                              const aki_embed_options *options, aki_encoded *encoded, aki_error *error);

/* The same for ids and spans only; truncates only to options->max_tokens (0: does not truncate). ids: [capacity],
 * spans: [capacity, 2] or NULL.
 * *count: number of ids; also set if the call returns TOO_SMALL, so that a call with capacity 0 and ids NULL returns
 * the count. */
AKI_API aki_status aki_tokenize(const aki_model *model, const char *text, size_t size, const aki_embed_options *options,
                                int32_t *ids, int64_t *spans, size_t capacity, size_t *count, aki_error *error);

/* Decodes ids: [count] to a text. skip_special: 1 leaves special tokens out. out: [out_size] bytes, UTF-8, not
 * NUL-terminated.
 * *size: bytes of the text; also set if the call returns TOO_SMALL. Errors: INVALID, TOO_SMALL, NOMEM. */
AKI_API aki_status aki_detokenize(const aki_model *model, const int32_t *ids, size_t count, int skip_special,
                                  char *out, size_t out_size, size_t *size, aki_error *error);

/* Returns the spelling of an id in the vocabulary ("##ing", "Ġthe"), or NULL if there is no such id. *size: its bytes
 * (size may be NULL). The model owns the string; it is valid until the model is closed. */
AKI_API const char *aki_token_piece(const aki_model *model, int32_t id, size_t *size);

/* ---------------------------------------------------------------- vectors --------------------------------------- */

/* Computes the cosine of every pair of rows. a: [a_count, dim]; b: [b_count, dim]; out: [a_count, b_count]. The cosine
 * is 0 if a vector is all zero, and NaN if one contains NaN or infinity (aki_embed returns neither). */
AKI_API void aki_similarity(const float *a, size_t a_count, const float *b, size_t b_count, size_t dim, float *out);

/* Computes the ranges that AKI_DTYPE_INT8 and UINT8 need from sample vectors: the least and the greatest value of each
 * element.
 * vectors: [count, dim], count >= 1; ranges: [2, dim]. */
AKI_API void aki_ranges(const float *vectors, size_t count, size_t dim, float *ranges);

/* ---------------------------------------------------------------- searching ------------------------------------- */

/* Vectors to search in: rows that aki_embed wrote, in memory or in a mapped file, which are read once for each search. */
typedef struct {
    uint32_t     struct_size;       /* set by aki_vectors_init */
    int32_t      dtype;             /* AKI_DTYPE_* of the rows */
    const void  *rows;              /* [count] rows without padding, aligned for their elements */
    size_t       count;
    int32_t      dim;               /* elements of a vector; of BINARY and UBINARY too, whose rows have (dim + 7) / 8 bytes */
    int32_t      threads;           /* threads to compute with; 0: the cores allowed */
    const float *ranges;            /* [2, dim] those that the rows of INT8 and UINT8 were made with */
    int        (*progress)(void *user, double done);   /* called now and then on the calling thread, with the share of the work
                                     * that is done; nonzero: end with CANCELLED */
    void        *progress_user;     /* passed to progress */
} aki_vectors;

AKI_API void aki_vectors_init(void *vectors, size_t size);

/* A row that was found. */
typedef struct {
    uint64_t row;                   /* its index; UINT64_MAX: none */
    float    score;                 /* its cosine */
} aki_hit;

/* Finds the rows that are nearest to a query, by comparing it with all of them. Elements of INT8 and UINT8 count as the
 * middle of their bucket, those of BINARY and UBINARY as 1 and -1. query: [dim] floats, of any length.
 * hits: [top] set to the nearest rows, the nearest first, of equals the earlier; *count: how many, fewer than top if there
 * are no more rows that are finite.
 * Errors: INVALID (vectors, or a query that is all zero or not finite), NOMEM, CANCELLED. */
AKI_API aki_status aki_search(const aki_vectors *vectors, const float *query, size_t top, aki_hit *hits, size_t *count, aki_error *error);

/* Finds, for each row, the nearest of the rows before it. hits: [count]; hits[i] is that row if its cosine is threshold or
 * more, else none (UINT64_MAX, 0). A row with a hit is a duplicate of an earlier row; the rows without one are the set that
 * is left without duplicates. The work grows with the square of count. Errors: as aki_search, UNSUPPORTED (more than
 * 2147483647 rows). */
AKI_API aki_status aki_duplicates(const aki_vectors *vectors, float threshold, aki_hit *hits, aki_error *error);

/* ---------------------------------------------------------------- quantising ------------------------------------ */

/* Writes an int8 copy of a model folder, which opens in a fraction of the time. The weights of linear layers are
 * rotated and rounded, as AKI_PRECISION_INT8 does at open, and the vectors are bit-identical to those; everything else
 * is copied. docs/quantised-folder.md describes the files.
 * folder: path of the source. out: path of a folder that does not exist yet or is empty; on failure it is left empty.
 * A classifier's head stays as it is, and its scores are those bits. The call needs memory for the int8 weights. Errors: as aki_model_open, INVALID (out is not empty, or folder is
 * already quantised), IO. */
AKI_API aki_status aki_quantize(const char *folder, const char *out, aki_error *error);

/* A set of products in f32 that was measured. */
typedef struct {
    uint32_t struct_size;           /* bytes of the struct in the library that calls */
    int32_t  number;                /* of this trial, from 1 on; there are 64 at most */
    int32_t  products;              /* matrix products of the network */
    int32_t  products_f32;          /* those of them that this trial has in f32 */
    double   cosine_least;          /* of a text's int8 vector to its f32 vector */
    int32_t  good;                  /* 1: the vectors are near enough */
} aki_quantize_trial;

/* Options of aki_quantize_measured. */
typedef struct {
    uint32_t struct_size;           /* set by aki_quantize_options_init */
    const char *const *texts;       /* [text_count] texts to measure with besides the built-in ones; NULL: none */
    const size_t *sizes;            /* [text_count] bytes of each, or NULL if all are NUL-terminated */
    size_t   text_count;
    int    (*tell)(void *user, const aki_quantize_trial *trial);   /* called after each trial, on the calling thread; nonzero: end
                                     * with CANCELLED; or NULL */
    void    *tell_user;             /* passed to tell */
} aki_quantize_options;

AKI_API void aki_quantize_options_init(void *options, size_t size);

/* The same, but what stays f32 is not judged by the weights: it is measured which products need it so that each text's
 * vector has a cosine of 0.999 or more to its f32 vector, and the fewest stay f32. Texts of which the tokenizer knows less
 * than half are left out. Of a classifier it is not the scores, but the hidden rows that its head reads. Needs the memory of aki_model_open in f32. Errors: also those of aki_embed; an error in a text
 * sets error->item to its index. */
AKI_API aki_status aki_quantize_measured(const char *folder, const char *out, const aki_quantize_options *options, aki_error *error);

/* ---------------------------------------------------------------- exporting ------------------------------------- */

/* Options of aki_export. */
typedef struct {
    uint32_t struct_size;           /* set by aki_export_options_init */
    int32_t  f16;                   /* 1: weights and arithmetic in f16; and in the device form, inputs and outputs */
    int32_t  pooled;                /* output, 1: sentence_embedding [batch, dim], pooled and normalised; 0: last_hidden_state. A
                                     * classifier's or cross-encoder's file gives logits [batch, labels] in any case */
    int32_t  device_form;           /* 1: the inputs are inputs_embeds, mask, cos and sin (docs/coreml.md) */
    int32_t  batch, length;         /* fixed dimensions of the input; 0: free */
} aki_export_options;

AKI_API void aki_export_options_init(void *options, size_t size);

/* Writes a model's network as an ONNX file (IR 10, opset 21, standard operators only). Inputs: input_ids and
 * attention_mask (of a classifier with token types also token_type_ids), i64 [batch, sequence]; output: f32. folder: path of the model; out: path of the file, which is
 * replaced if it exists. Weights above 1.9 GiB are written to out + ".data". On failure no file is left. Errors: as
 * aki_model_open, INVALID (options), UNSUPPORTED (a quantised folder), IO. */
AKI_API aki_status aki_export(const char *folder, const char *out, const aki_export_options *options, aki_error *error);

/* ---------------------------------------------------------------- checking -------------------------------------- */

/* Kinds of events. */
enum { AKI_CHECK_PROGRESS = 0,      /* `size` of `total` bytes of weights have been read */
       AKI_CHECK_READ     = 1,      /* the file `path` of `size` bytes was read to its end; message describes its content */
       AKI_CHECK_NOTE     = 2,      /* unusual, but the model opens and its vectors are right */
       AKI_CHECK_PROBLEM  = 3 };    /* an error in the folder */

/* An event of aki_check. */
typedef struct {
    uint32_t    struct_size;        /* bytes of the struct in the library that calls */
    int32_t     kind;               /* AKI_CHECK_* */
    const char *path;               /* the file, relative to the folder; "": no particular file */
    const char *message;            /* one line, UTF-8 */
    uint64_t    size;               /* bytes, for PROGRESS and READ */
    uint64_t    total;              /* bytes, for PROGRESS */
} aki_check_event;

/* Reads every file of a model folder to its end and reports all errors in it, not only the first: in configurations, in
 * the tokenizer, in the presence, shape and type of each tensor, numbers that are NaN or infinite, and tensors that
 * nothing reads. At most twenty problems of one file are reported; one more event then gives the number of the rest.
 * tell: a callback for each event, called on the calling thread. The event is valid during the callback only. A nonzero
 * result ends the check with CANCELLED. user: passed to tell. Returns OK if the folder has no error, and INVALID if it
 * has; *error then describes the first. Other errors: NOT_FOUND (no folder), NOMEM, CANCELLED. */
AKI_API aki_status aki_check(const char *folder, int (*tell)(void *user, const aki_check_event *event), void *user, aki_error *error);

/* ---------------------------------------------------------------- devices --------------------------------------- */

/* A device. */
typedef struct {
    const char *name;               /* the value for aki_model_options.device: "cpu" */
    const char *description;        /* "AMD EPYC, 2 cores" */
    const char *reason;             /* why the device cannot be used on this machine; NULL: it can be used */
} aki_device;

/* Lists the devices that ONNX Runtime offers on this machine. *devices: [*count]; the library owns the array, and it
 * stays valid and unchanged until the process ends. After a plugin was loaded, another call returns a new list with its
 * devices. Errors: UNAVAILABLE, NOMEM. */
AKI_API aki_status aki_devices(const aki_device **devices, size_t *count, aki_error *error);

/* Loads a plugin library (an ONNX Runtime plugin execution provider), once per process; aki_devices then lists its
 * devices.
 * library: "PATH", or "NAME=PATH" to register it under that name. Errors: UNAVAILABLE (no such library, or it does not
 * fit this ONNX Runtime). */
AKI_API aki_status aki_load_device_plugin(const char *library, aki_error *error);

/* What devices keep on the disk of the programs that they compiled (CoreML; docs/coreml.md). */
typedef struct {
    uint32_t struct_size;           /* set by aki_device_cache_init */
    int32_t  programs;              /* complete ones */
    uint64_t size, most_size;       /* their bytes, and the most: what was not used for longest goes first */
    char     folder[1024];          /* "": there is no place for them */
} aki_device_cache;

AKI_API void aki_device_cache_init(void *cache, size_t size);

/* Fills *cache; call aki_device_cache_init first. Errors: INVALID. */
AKI_API aki_status aki_device_cache_get(aki_device_cache *cache, aki_error *error);

/* Removes all of them that no process uses. *freed (may be NULL): their bytes. Errors: IO (some are in use). */
AKI_API aki_status aki_device_cache_clear(uint64_t *freed, aki_error *error);

#ifdef __cplusplus
}
#endif
#endif
