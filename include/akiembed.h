/* akiembed.h: text in, embedding vectors out. The whole public interface of libakiembed.
 *
 * A model is a Hugging Face folder (config.json, tokenizer.json, *.safetensors or an .onnx file,
 * and the sentence-transformers files beside them). Open it once, share it between threads, close it last.
 *
 *     aki_model *model;
 *     aki_error  error;
 *     if (aki_model_open("all-MiniLM-L6-v2", NULL, &model, &error)) { fputs(error.message, stderr); return 1; }
 *     const char *texts[] = { "a cat", "a dog" };
 *     float vectors[2 * 384];
 *     aki_embed(model, texts, NULL, 2, NULL, vectors, sizeof vectors, NULL, NULL, &error);
 *     aki_model_close(model);
 *
 * Conventions, for every function unless it says otherwise:
 *   - Sizes are bytes, counts are elements. Text is UTF-8, pointer + size, and may hold NUL bytes.
 *   - All arguments are borrowed for the duration of the call; nothing is kept.
 *   - Results go into memory of the caller; nothing has to be freed but models (aki_model_close).
 *   - On failure nothing useful is in the output buffers, and *error (NULL allowed) says what and where.
 *   - Options may be NULL (all defaults). Initialise them with their _init function, then set fields.
 *     Zero always means "the default", so fields added by later versions need no change in callers.
 *   - Thread-safe: an aki_model may be used by any number of threads at once. After fork, a child may close its parent's models, but has
 *     to leave by _exit: at exit ONNX Runtime waits for threads that are the parent's.
 *   - Files are mapped: embedding tables, the weights of a quantised folder and the external data of an .onnx file are read while texts are
 *     computed. To replace a model, write beside it and rename, or remove first: what was opened stays as it was. A program that writes into an
 *     open model's files (cp over them, rsync --inplace) changes vectors, and one that makes a file shorter makes calls fail: each run looks
 *     first, and AKI_E_IO names the file. Where a file shrinks while a run or an open is reading it, the system ends the process (SIGBUS); a
 *     library may not catch that. Files of up to 64 KiB are copied when they are opened, and cannot cause any of this.
 *   - The library never writes to stdout, never exits or aborts, and leaves signals and the locale alone; no handler of a signal runs on
 *     a thread of its own.
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
    AKI_E_INTERNAL    = 1,  /* a defect here or in ONNX Runtime */
    AKI_E_INVALID     = 2,  /* an argument, a text or a file's content is not valid */
    AKI_E_NOT_FOUND   = 3,  /* no such model, file, tensor or prompt */
    AKI_E_UNAVAILABLE = 4,  /* the device or the runtime is not there, or failed its self-test */
    AKI_E_NOMEM       = 5,
    AKI_E_IO          = 6,
    AKI_E_TOO_SMALL   = 7,  /* the caller's buffer; the needed size is reported where the call has a place for it */
    AKI_E_UNSUPPORTED = 8,  /* well-formed, but not something this version implements */
    AKI_E_CANCELLED   = 9   /* the cancel callback said so */
} aki_status;

/* Filled on failure only; owned by the caller. NULL may be passed wherever an aki_error * is taken. */
typedef struct {
    int32_t  status;        /* aki_status, the same as the return value */
    int32_t  item;          /* index of the text (or row of ids) at fault; -1 where none is */
    uint64_t offset;        /* byte in that text or in the file named by the message; 0 where there is none */
    char     message[240];  /* one line, UTF-8, NUL-terminated, never a text's content */
} aki_error;

/* A static string such as "invalid argument"; "unknown status" for other numbers. */
AKI_API const char *aki_status_name(int status);

/* "1.2.3", and 1 * 1000000 + 2 * 1000 + 3. */
AKI_API const char *aki_version(void);
AKI_API uint32_t    aki_version_number(void);

/* ---------------------------------------------------------------- models ---------------------------------------- */

typedef struct aki_model aki_model;

enum { AKI_PRECISION_DEFAULT = 0,   /* f32, or int8 for a folder that was quantised */
       AKI_PRECISION_F32     = 1,
       AKI_PRECISION_INT8    = 2,   /* on the cpu only */
       AKI_PRECISION_F16     = 3 }; /* on other devices only */

enum { AKI_TEST_CACHE_DEFAULT = 0,  /* a device that was tested before is not tested again */
       AKI_TEST_CACHE_RENEW   = 1,  /* it is, and that is remembered instead */
       AKI_TEST_CACHE_OFF     = 2 };    /* it is; nothing is read or written */

enum { AKI_POOLING_DEFAULT = 0,     /* the model's own */
       AKI_POOLING_CLS = 1, AKI_POOLING_MEAN = 2, AKI_POOLING_MAX = 3,
       AKI_POOLING_MEAN_SQRT_LEN = 4, AKI_POOLING_WEIGHTEDMEAN = 5, AKI_POOLING_LAST = 6 };

typedef struct {
    uint32_t    struct_size;        /* set by aki_model_options_init */
    int32_t     precision;          /* AKI_PRECISION_* */
    const char *device;             /* "cpu" (default), "auto", or a name of aki_devices: "coreml", "cuda", "dml", "webgpu", "openvino", a plugin's … */
    int32_t     threads;            /* of a model's pool, the same for all of a process: fixed by the first open; 0: the physical cores allowed */
    int32_t     max_batch_tokens;   /* tokens computed at once, bounds memory; 0: 1024 */
    int32_t     max_tokens;         /* lowers the model's limit for one text, special tokens included; 0: the model's */
    int32_t     prefix_cache_mb;    /* causal models: MiB for keys and values of beginnings that texts share; 0: 64; -1: none */
    int32_t     device_fallback;    /* 1: where the device cannot be used, open on the cpu; info.device_note says why */
    const char *const *device_options;  /* [device_option_count] "KEY=VALUE" for the device's provider, and aki.shapes=fixed|free; none is NULL */
    int32_t     device_option_count;
    int32_t     max_buckets;        /* a device that wants fixed shapes: sessions that are resident at most; 0: 2 */
    const char *device_plugin;      /* as aki_load_device_plugin's, loaded before the device is looked for; or NULL */
    const char *file;               /* the network is this .onnx file, named from the folder on: "onnx/model_int8.onnx"; NULL: see aki_model_open */
    int32_t     test_cache;         /* AKI_TEST_CACHE_*: what becomes of a device's self-test, see aki_model_open; no matter on the cpu */
} aki_model_options;

AKI_API void aki_model_options_init(void *options, size_t size);

/* Opens a model folder. *out is NULL on failure. Checks every tensor against the configuration.
 * A folder without model.safetensors is opened through its .onnx file: onnx/model.onnx, model.onnx, or the only one there is; so is any
 * folder where options->file names one, and folder may be the path of such a file. Its inputs may be input_ids, attention_mask,
 * token_type_ids, position_ids and past_key_values.*; its output is sentence_embedding (pooled by the graph), last_hidden_state,
 * token_embeddings or the first of a row a token. It runs on the cpu, in the precision that it was exported in.
 * On another device than the cpu it also computes some built-in texts on both: a device whose vectors differ, or that leaves much of the
 * graph to the cpu, is refused with the figures. "auto" is the fastest of those that pass, the cpu among them. The figures are kept in the
 * cache folder (akiembed/self-tests in $XDG_CACHE_HOME, ~/Library/Caches or ~/.cache) and stand for a new test where the contents of the model's
 * files, the device, its options, plugin, driver and version, ONNX Runtime, this library and the options that shape runs are the same.
 * Errors: NOT_FOUND (no folder, a file or tensor missing), INVALID (contradictory or broken files),
 * UNSUPPORTED (architecture or tokenizer part not implemented: names it), UNAVAILABLE (device, runtime, or the
 * instruction set that the environment variable AKIEMBED_ISA names), IO, NOMEM,
 * INTERNAL (also where this system's locks do not keep threads apart). */
AKI_API aki_status aki_model_open(const char *folder, const aki_model_options *options, aki_model **out, aki_error *error);

/* Opens only the tokenizer: folder is a tokenizer.json or a folder that holds one. Such a model tokenises and
 * detokenises; every other call answers UNSUPPORTED. Of a folder's texts the ids are those that its model would see, also where
 * tokenizer.json lacks the token that ends every text (info.end_appended). */
AKI_API aki_status aki_tokenizer_open(const char *path, aki_model **out, aki_error *error);

/* No call on the model may be running. NULL is fine. */
AKI_API void aki_model_close(aki_model *model);

typedef struct {
    const char *name;               /* "query" */
    const char *text;               /* "Instruct: …\nQuery:" */
} aki_prompt;

typedef struct {
    const char *path;               /* as opened */
    uint64_t    size;               /* bytes */
} aki_file;

/* Strings and arrays are owned by the model and live as long as it does. */
typedef struct {
    uint32_t          struct_size;
    int32_t           dim;                 /* elements of a vector */
    const char       *name;                /* last part of the folder's path */
    const char       *architecture;        /* config.json's model_type: "bert", "roberta", "xlm-roberta", "camembert", "qwen3"; of an .onnx file any, or "onnx" */
    int64_t           parameters;          /* weights in the graph and the embedding tables; of an .onnx file the sizes below may be 0: not known */
    int32_t           hidden;
    int32_t           layers;
    int32_t           heads;
    int32_t           kv_heads;
    int32_t           vocabulary;
    int32_t           max_tokens;          /* of one text, special tokens included */
    int32_t           pooling;             /* AKI_POOLING_* */
    int32_t           normalize;           /* 1: vectors have length 1 by default */
    int32_t           precision;           /* AKI_PRECISION_*, in use */
    int32_t           mrl;                 /* 1: the model is known to allow shorter vectors (dim) */
    const char       *device;              /* in use: "cpu" or the name that was asked for; the one that "auto" chose */
    const char       *runtime;             /* "ONNX Runtime 1.32.0" */
    int32_t           threads;             /* of the model's pool; they sleep while nothing is computed */
    int32_t           end_appended;        /* 1: tokenizer.json lacked the token that ends every text, and it is added */
    int32_t           max_batch_tokens;
    int32_t           nodes;               /* graph nodes on the device in use */
    int32_t           nodes_elsewhere;     /* graph nodes that the device left to the cpu; 0 on the CPU */
    int32_t           prompt_count;
    const aki_prompt *prompts;
    const char       *default_prompt_name; /* NULL: none */
    int32_t           file_count;
    int32_t           skips_prompt;        /* 1: pooling leaves a prompt's tokens out; aki_embed does that by itself */
    const aki_file   *files;
    uint64_t          weights_size;        /* bytes of weights held by the graph */
    uint64_t          texts;               /* texts asked for since open */
    uint64_t          texts_reused;        /* of these, answered by an equal text of the same call */
    uint64_t          tokens;              /* tokens computed since open */
    uint64_t          tokens_reused;       /* tokens whose keys and values came from the prefix cache instead */
    const char       *device_note;         /* figures of the device's self-test, why "auto" chose it, or why it is the cpu instead; NULL: nothing to say */
    int32_t           fell_back;           /* 1: device_fallback was needed */
    int32_t           partitions;          /* connected parts of the graph that the device took; 0: not known */
    int32_t           sessions;            /* resident: one for each shape where the device wants fixed ones */
    int32_t           products;            /* matrix products of the graph; 0: not known */
    int32_t           products_f32;        /* of these, in f32. Of int8: Dense modules', and those that a model's extreme weights need exactly */
    uint32_t          outputs;             /* what it gives: a bit 1 << AKI_OUTPUT_* for each */
    int32_t           truncates_left;      /* 1: the model's files have texts above max_tokens lose their beginning (AKI_TRUNCATE_DEFAULT) */
    int32_t           pooling_assumed;     /* 1: no file says how to pool; it is sentence-transformers' default for such a model, and may be wrong */
} aki_model_info;

/* info: set struct_size to sizeof *info first (aki_model_info_init does). */
AKI_API void       aki_model_info_init(void *info, size_t size);
AKI_API aki_status aki_model_get_info(const aki_model *model, aki_model_info *info, aki_error *error);

/* Health: embeds one short text and looks at the result. */
AKI_API aki_status aki_model_check(aki_model *model, aki_error *error);

/* ---------------------------------------------------------------- embedding ------------------------------------- */

enum { AKI_KIND_NONE = 0, AKI_KIND_QUERY = 1, AKI_KIND_DOCUMENT = 2 };

enum { AKI_NORMALIZE_DEFAULT = 0,   /* the model's own */
       AKI_NORMALIZE_ON = 1, AKI_NORMALIZE_OFF = 2 };

enum { AKI_TRUNCATE_DEFAULT = 0,    /* the side that the model's files name (info.truncates_left), else right */
       AKI_TRUNCATE_LEFT = 1,       /* the beginning goes */
       AKI_TRUNCATE_ERROR = 2,      /* a text above the limit is an error */
       AKI_TRUNCATE_RIGHT = 3 };    /* the end goes, whatever the files name */

enum { AKI_DTYPE_F32 = 0, AKI_DTYPE_F16 = 1, AKI_DTYPE_INT8 = 2, AKI_DTYPE_UINT8 = 3,
       AKI_DTYPE_BINARY = 4,        /* as int8: ubinary - 128 */
       AKI_DTYPE_UBINARY = 5 };     /* a bit an element, x > 0, most significant first, unused last bits 0 */

enum { AKI_OUTPUT_VECTOR = 0,       /* a pooled vector for each text */
       AKI_OUTPUT_TOKENS = 1 };     /* a row for each token: the last hidden states */

typedef struct {
    uint32_t     struct_size;       /* set by aki_embed_options_init */
    int32_t      kind;              /* AKI_KIND_*: takes the model's prompt of that kind, if it has one */
    const char  *prompt;            /* put before every text; wins over the three below */
    const char  *instruction;       /* replaces T in a query prompt of the form "Instruct: T\n…" */
    const char  *prompt_name;       /* one of the model's prompts */
    int32_t      pooling;           /* AKI_POOLING_* */
    int32_t      normalize;         /* AKI_NORMALIZE_* */
    int32_t      dim;               /* cut to this many elements, then normalised; 0: the model's */
    int32_t      dtype;             /* AKI_DTYPE_*; int8 and uint8 need ranges */
    const float *ranges;            /* [2, dim]: minimum and maximum of each element; where these are equal, a step of the result is 1 */
    int32_t      truncate;          /* AKI_TRUNCATE_*, for texts above max_tokens */
    int32_t      max_tokens;        /* special and prompt tokens included; 0: the model's */
    int32_t      no_parse_special;  /* 1: special strings in a text ("<|endoftext|>") are plain text; so they are where the model's files say it */
    int32_t      no_special;        /* 1: tokenising adds no special tokens */
    int32_t      no_reuse;          /* 1: equal texts of a call are each computed */
    int32_t      output;            /* AKI_OUTPUT_*, of aki_embed_rows and aki_embed_bound; the other functions have their own */
    int        (*cancel)(void *user);  /* asked between runs, from the calling thread; not 0 ends the call with CANCELLED */
    void        *cancel_user;
} aki_embed_options;

AKI_API void aki_embed_options_init(void *options, size_t size);

/* The bounds of a number in aki_model_options ("threads") or aki_embed_options ("dim"), or of "text_size" and "prompt_size" (bytes): *least,
 * *most, and what 0 stands for (*preset). model: for those that depend on one (dim, max_tokens, pooling …); NULL: what every model allows.
 * least, most, preset: NULL allowed. Errors: NOT_FOUND (no such number). */
AKI_API aki_status aki_option_bounds(const aki_model *model, const char *option, int64_t *least, int64_t *most, int64_t *preset, aki_error *error);

/* Bytes that aki_embed, aki_embed_ids and aki_embed_rows write for count rows (of AKI_OUTPUT_TOKENS: count tokens) with these options; 0
 * where these are not valid. */
AKI_API size_t aki_embed_bound(const aki_model *model, size_t count, const aki_embed_options *options);

/* texts: [count]; sizes: [count] bytes, or NULL where the texts are NUL-terminated.
 * out: [count, dim] of the dtype, in the order of texts, row-major without padding.
 * tokens: [count] tokens computed for each text, or NULL; truncated: [count] 1 where a text was cut, or NULL.
 * A vector that would hold NaN or infinity or be all zero, as f32 or in the dtype (f16 ends at 65504), is an error naming the text. count 0 is
 * fine.
 * Errors: INVALID (options, UTF-8, a text too long under AKI_TRUNCATE_ERROR; item and offset say where),
 * NOT_FOUND (prompt_name), TOO_SMALL (out_size), CANCELLED, NOMEM, IO (a file of the model's became shorter), INTERNAL. */
AKI_API aki_status aki_embed(aki_model *model, const char *const *texts, const size_t *sizes, size_t count,
                             const aki_embed_options *options, void *out, size_t out_size,
                             int32_t *tokens, uint8_t *truncated, aki_error *error);

/* Texts that are tokenised already, as aki_encode or the caller did it. Special tokens are among the ids; nothing is added. */
typedef struct {
    uint32_t       struct_size;     /* set by aki_rows_init */
    const int32_t *ids;             /* [starts[count]] */
    const int64_t *starts;          /* [count + 1] row i is ids[starts[i]] .. ids[starts[i + 1] - 1]; increasing, starts[0] = 0 */
    size_t         count;
    const int32_t *types;           /* [starts[count]] token types, or NULL: all 0. A model without types does not look at them */
    const int32_t *prompt_tokens;   /* [count] how many first tokens of each row are a prompt's, or NULL: none. Where the model leaves
                                     * prompts out of its pooling (info.skips_prompt), these tokens are not pooled */
} aki_rows;

AKI_API void aki_rows_init(void *rows, size_t size);

/* The same as aki_embed for rows of ids; prompt options must be unset. out: options->output VECTOR: [count, dim] of the dtype; TOKENS:
 * [starts[count], hidden] floats, a row for each token: the last hidden states, neither pooled nor (unless AKI_NORMALIZE_ON) normalised;
 * dtype must be f32 then, and dim unset. A row that is empty, longer than the limit or holds an id outside the vocabulary is INVALID, named
 * by item. Errors: as aki_embed's, UNSUPPORTED (an output that the model does not give: info.outputs). */
AKI_API aki_status aki_embed_rows(aki_model *model, const aki_rows *rows, const aki_embed_options *options, void *out, size_t out_size,
                                  aki_error *error);

/* aki_embed_rows with output VECTOR for rows that have ids and starts alone. */
AKI_API aki_status aki_embed_ids(aki_model *model, const int32_t *ids, const int64_t *starts, size_t count,
                                 const aki_embed_options *options, void *out, size_t out_size, aki_error *error);

/* The same with output TOKENS: out is [starts[count], hidden] floats. */
AKI_API aki_status aki_embed_tokens(aki_model *model, const int32_t *ids, const int64_t *starts, size_t count,
                                    const aki_embed_options *options, float *out, size_t out_size, aki_error *error);

/* ---------------------------------------------------------------- tokens ---------------------------------------- */

/* A text as the network sees it. The caller gives the arrays and their capacities; each of them may be NULL (not wanted). */
typedef struct {
    uint32_t struct_size;           /* set by aki_encoded_init */
    int32_t *ids;                   /* [capacity] */
    int32_t *types;                 /* [capacity] token types, as the tokenizer's template gives them */
    int8_t  *sequences;             /* [capacity] where a token comes from: 0 prompt + text, 1 the second text, -1 a special token of the template */
    int64_t *spans;                 /* [capacity, 2] byte begin and end in that; 0, 0 of special tokens. At most text_size, or second_size */
    size_t   capacity;              /* tokens */
    char    *text;                  /* [text_capacity] prompt + text, what spans of sequence 0 count in; not NUL-terminated */
    size_t   text_capacity;         /* bytes */
    int32_t  whole;                 /* 1: not truncated, whatever the limit is */

    size_t   count;                 /* tokens; also under TOO_SMALL */
    size_t   full_count;            /* tokens without the limit: more than count, and the text was truncated */
    size_t   prompt_tokens;         /* how many first tokens, of count, are the prompt's and special ones before it; all of them, where the
                                     * limit left nothing else of a (single) text */
    size_t   prompt_size;           /* bytes of the prompt, which stand before the text */
    size_t   text_size;             /* bytes of prompt + text; also under TOO_SMALL */
} aki_encoded;

AKI_API void aki_encoded_init(void *encoded, size_t size);

/* Exactly what aki_embed would compute for this text: prompt and special tokens added, truncated to options->max_tokens (0: the model's
 * limit). second: the second text of a pair [second_size], through the template for pairs, or NULL. Of a pair the longer text is cut first, and
 * the prompt stands before the first text. The arrays of *encoded are filled.
 * Errors: as aki_embed's; TOO_SMALL (an array that is there has fewer elements than count or text_size, which are set). */
AKI_API aki_status aki_encode(const aki_model *model, const char *text, size_t size, const char *second, size_t second_size,
                              const aki_embed_options *options, aki_encoded *encoded, aki_error *error);

/* The same for ids and spans alone, and cut only to options->max_tokens (0: not at all).
 * *count: ids of the text, also under TOO_SMALL (so capacity 0, ids NULL asks for the count). */
AKI_API aki_status aki_tokenize(const aki_model *model, const char *text, size_t size, const aki_embed_options *options,
                                int32_t *ids, int64_t *spans, size_t capacity, size_t *count, aki_error *error);

/* ids back to text. out: [out_size] bytes, not NUL-terminated; *size: bytes of the text, also under TOO_SMALL. */
AKI_API aki_status aki_detokenize(const aki_model *model, const int32_t *ids, size_t count, int skip_special,
                                  char *out, size_t out_size, size_t *size, aki_error *error);

/* The vocabulary's own spelling of an id ("##ing", "Ġthe"), owned by the model; *size: bytes (NULL allowed).
 * NULL where there is no such id. */
AKI_API const char *aki_token_piece(const aki_model *model, int32_t id, size_t *size);

/* ---------------------------------------------------------------- vectors --------------------------------------- */

/* Cosine of every pair. a: [a_count, dim]; b: [b_count, dim]; out: [a_count, b_count]; 0 where a vector is all zero, NaN where
 * one holds NaN or infinity (aki_embed gives neither). */
AKI_API void aki_similarity(const float *a, size_t a_count, const float *b, size_t b_count, size_t dim, float *out);

/* Ranges for AKI_DTYPE_INT8 and UINT8 out of sample vectors: the least and the largest value of each element.
 * vectors: [count, dim], count >= 1; ranges: [2, dim]. */
AKI_API void aki_ranges(const float *vectors, size_t count, size_t dim, float *ranges);

/* ---------------------------------------------------------------- quantising ------------------------------------ */

/* Writes an int8 copy of a model folder, which opens in a fraction of the time: the weights of its linear layers rotated and rounded as
 * AKI_PRECISION_INT8 does at open (vectors have the same bits), all else as it is. docs/quantised-folder.md describes the files.
 * out: a folder that does not exist yet, or is empty; on failure it is left empty. Needs memory for the int8 weights.
 * Errors: as aki_model_open's, INVALID (out holds something, folder is quantised already), IO. */
AKI_API aki_status aki_quantize(const char *folder, const char *out, aki_error *error);

/* ---------------------------------------------------------------- exporting ------------------------------------- */

typedef struct {
    uint32_t struct_size;           /* set by aki_export_options_init */
    int32_t  f16;                   /* 1: weights and arithmetic in f16; inputs and outputs stay as they are */
    int32_t  pooled;                /* 1: sentence_embedding [batch, dim], pooled and normalised as the model says; 0: last_hidden_state */
    int32_t  device_form;           /* 1: inputs_embeds, mask, cos, sin instead of input_ids and attention_mask (docs/coreml.md) */
    int32_t  batch, length;         /* fixed dimensions; 0: free */
} aki_export_options;

AKI_API void aki_export_options_init(void *options, size_t size);

/* Writes a model's network as an ONNX file (IR 10, opset 21, standard operators only). Where the weights are above 1.9 GiB they go to
 * out + ".data" beside it. Input: input_ids and attention_mask, i64 [batch, sequence]; output: f32. A file at out is replaced; on failure
 * nothing is left there. Errors: as aki_model_open's, INVALID (options), UNSUPPORTED (a quantised folder), IO. */
AKI_API aki_status aki_export(const char *folder, const char *out, const aki_export_options *options, aki_error *error);

/* ---------------------------------------------------------------- checking -------------------------------------- */

enum { AKI_CHECK_PROGRESS = 0,      /* size of total bytes of weights are read */
       AKI_CHECK_READ     = 1,      /* path was read to its end: size bytes, and message says what it holds */
       AKI_CHECK_NOTE     = 2,      /* odd, but the model opens and its vectors are right */
       AKI_CHECK_PROBLEM  = 3 };    /* wrong */

typedef struct {
    uint32_t    struct_size;
    int32_t     kind;               /* AKI_CHECK_* */
    const char *path;               /* of the file, from the folder on; "" where it is none in particular */
    const char *message;            /* one line, UTF-8 */
    uint64_t    size;
    uint64_t    total;
} aki_check_event;

/* Reads every file that a model folder is opened from to its end, and tells all that is wrong with it, not only the first: configurations,
 * the tokenizer, each tensor's presence, shape and type, numbers that are NaN or infinite, tensors that nothing reads. Of one file twenty
 * problems at most, and then one event that says how many more there are.
 * tell: called for each event, from this thread; what events point to lives as long as the call. Not 0 ends the check with CANCELLED.
 * OK: nothing is wrong. INVALID: something is, and error tells the first. Other errors: NOT_FOUND (no folder), NOMEM, CANCELLED. */
AKI_API aki_status aki_check(const char *folder, int (*tell)(void *user, const aki_check_event *event), void *user, aki_error *error);

/* ---------------------------------------------------------------- devices --------------------------------------- */

typedef struct {
    const char *name;               /* what aki_model_options.device takes: "cpu" */
    const char *description;        /* "AMD EPYC, 2 cores" */
    const char *reason;             /* why it cannot be used here; NULL where it can */
} aki_device;

/* What the ONNX Runtime of this machine offers. *devices: [*count], library-owned, valid and unchanged until the process
 * ends: once a plugin was loaded, another call gives another list. Errors: UNAVAILABLE, NOMEM. */
AKI_API aki_status aki_devices(const aki_device **devices, size_t *count, aki_error *error);

/* Loads a library of devices (an ONNX Runtime plugin execution provider), once a process; its devices are then in aki_devices.
 * library: "PATH", or "NAME=PATH" to register it by that name. Errors: UNAVAILABLE (no such library, or not for this ONNX Runtime). */
AKI_API aki_status aki_load_device_plugin(const char *library, aki_error *error);

#ifdef __cplusplus
}
#endif
#endif
