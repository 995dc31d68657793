/* Unit engine: the implementation of the public functions: an open model, a resolved request, a plan of a run. */
#ifndef AKI_ENGINE_H
#define AKI_ENGINE_H

#include "engine/prefix.h"
#include "model/model.h"
#include "ort/session.h"
#include "text/tokenizer.h"

#include <stdatomic.h>

struct aki_model {
    struct aki__tokenizer *tokenizer;
    struct aki__model     *folder;          /* NULL: only the tokenizer is open */
    struct aki__session   *session;         /* NULL: only the tokenizer is open */
    struct aki__known_text *known;          /* what the session is compared with; or NULL */
    struct aki__onnx_file *file;            /* until the session owns it */
    struct aki__session_info run;
    bool     end_appended;                  /* see aki_model_info */
    bool     cuts_left;                     /* aki_model_info.truncates_left */
    bool     splits_special;                /* the files specify that special strings in a text are plain text */
    bool     fell_back;
    char     device[64];                    /* the device in use */
    char     note[400];                     /* device_note; "": none */
    char     precision_note[96];            /* "": none */
    const char *precision_advice;           /* static; NULL: none */
    const struct aki__choice *choice;       /* while aki__judge measures, else NULL */
    int32_t  precision;                     /* AKI_PRECISION_* */
    int32_t  max_tokens;                    /* default limit of a text */
    int32_t  most_tokens;                   /* the model's positions: the greatest limit of a text */
    int32_t  max_batch_tokens;
    int64_t  parameters;
    struct aki__prefix_cache prefixes;
    _Atomic uint64_t texts, texts_reused, tokens, tokens_reused;
};

static inline struct aki__onnx_facts aki__facts_of(const struct aki__onnx_file_info *i)
{
    return (struct aki__onnx_facts){ .hidden = i->hidden, .pooled = i->pooled, .sentence = i->sentence, .logits = i->logits, .length = i->length, .causal = i->causal };
}

/* Opens m->session, on the device that the options name if it passes its self-test, or on the CPU. */
aki_status aki__open_session(aki_model *m, const aki_model_options *o, aki_error *err);

/* Defaults of aki_model_options. AKI_DEFAULT_BATCH_TOKENS is the most tokens of a run; runs that are computed in parallel may
 * be smaller, see runs.c. */
enum { AKI_DEFAULT_BATCH_TOKENS = 1024, AKI_DEFAULT_PREFIX_MIB = 64, AKI_DEFAULT_BUCKETS = 2, AKI_PROMPT_CEILING = 1 << 20 /* bytes */ };

/* aki_embed_options, checked, with the model's defaults filled in. */
struct aki__request {
    struct aki__buf prompt;                 /* owned */
    int32_t output;                         /* AKI_OUTPUT_* */
    int32_t pooling;
    bool    skips;                          /* pooling excludes the tokens of a prompt */
    size_t  prompt_tokens;                  /* of the prompt; see aki__request_count_prompt */
    size_t  prompt_specials;                /* those of them that are special tokens before it */
    bool    normalize;
    size_t  dim;                            /* elements of a result row */
    size_t  columns;                        /* elements of a row that the network computes */
    bool    hidden;                         /* the pooled hidden rows are computed, not what is behind them */
    int32_t dtype;
    const float *ranges;
    const char *template;                   /* frames pairs, see text/chat.h; NULL: none */
    int32_t activation;                     /* of scores: AKI_ACTIVATION_NONE, SIGMOID or SOFTMAX */
    bool    reuse;
    struct aki__encode_options encode;
    int   (*cancel)(void *user);
    void   *cancel_user;
};
aki_status aki__request_open(struct aki__request *out, const aki_model *m, const aki_embed_options *options, aki_error *err);
/* For tokenising: also if only the tokenizer is open, which has no named prompts and no limits. */
aki_status aki__request_open_tokens(struct aki__request *out, const aki_model *m, const aki_embed_options *options,
                                    aki_error *err);
/* Sets prompt_tokens. aki__request_open does so only if the pooling needs it. */
aki_status aki__request_count_prompt(struct aki__request *r, const aki_model *m, aki_error *err);
/* Number of result rows of these texts with these tokens. */
static inline size_t aki__output_rows(int32_t output, size_t texts, size_t tokens) { return output == AKI_OUTPUT_TOKENS ? tokens : texts; }
void       aki__request_close(struct aki__request *r);
/* true: the network (of an .onnx file) pools the vectors itself. */
bool       aki__request_is_pooled(const struct aki__request *r, const struct aki__model *f);
/* UNSUPPORTED: such a network has neither the requested output nor the rows from which it could be computed. */
aki_status aki__request_check_graph(const struct aki__request *r, const struct aki__model *f, aki_error *err);
/* The side on which a long text is truncated: the caller's choice, else that of the model's files. */
static inline int aki__truncate_of(const aki_model *m, const aki_embed_options *o)
{
    return o->truncate == AKI_TRUNCATE_DEFAULT && m->cuts_left ? AKI_TRUNCATE_LEFT : o->truncate;
}

/* What all pairs of a request have in common: the tokens at the end of the template, which are never cut off, and what comes before the query. */
struct aki__frame {
    bool     known;
    int32_t *suffix;                        /* [suffix_count] */
    size_t   suffix_count, prefix_tokens, prefix_size;
};

/* An encoded text. Zeroed means empty; the next call reuses the arrays. */
struct aki__input {
    struct aki__frame    frame;             /* of pairs with a template */
    struct aki__encoding tokens;
    struct aki__buf      joined;            /* prompt + text, if there is a prompt */
    const char          *text;              /* prompt + text: joined.data, or the caller's text */
    size_t               text_size;
    size_t               prompt_tokens;     /* how many of tokens.count belong to the prompt */
};
/* second: the second text of a pair, or NULL. Offsets of errors count in the caller's text, without the prompt. */
aki_status aki__encode(const aki_model *m, const struct aki__request *r, const char *text, size_t size, const char *second,
                       size_t second_size, struct aki__input *in, aki_error *err);
/* The same for a pair that the request's template frames. */
aki_status aki__encode_framed(const aki_model *m, const struct aki__request *r, const char *text, size_t size, const char *second,
                              size_t second_size, struct aki__input *in, aki_error *err);
/* Errors: those of the folder's template, if it has one. */
aki_status aki__frame_check(const struct aki__model *f, aki_error *err);
void       aki__input_free(struct aki__input *in);
/* true: the network reads token types. */
bool       aki__has_types(const aki_model *m);

/* The bounds of a numeric option; see aki_option_bounds. false: there is no such option. */
struct aki__bounds { int64_t least, most, preset; };
bool       aki__bounds_of(const aki_model *m, const char *option, struct aki__bounds *out);
/* INVALID: a number in the options is out of bounds. */
aki_status aki__check_embed_numbers(const aki_model *m, const aki_embed_options *o, aki_error *err);
aki_status aki__check_model_numbers(const aki_model_options *o, aki_error *err);
/* Copies the caller's options, whose struct may be of another version, to this version's struct. */
aki_status aki__options_read(void *out, size_t size, const void *options, const char *what, aki_error *err);

/* The texts of one run, laid end to end without padding. Zeroed means empty.
 *
 * An example, with last-token pooling: text 0 has 3 tokens. Text 1 has 12, and the prefix cache has the keys and values of its
 * first 9, so only the last 3 are computed.
 *
 *                         text 0      |  text 1
 *     token of the text   0   1   2   |  0 … 8           9  10  11
 *                                     |  (in the cache)
 *     ids                 a   b   c   |                  x   y   z        tokens 6, skipped 9
 *     positions           0   1   2   |                  9  10  11
 *     index in ids        0   1   2   |                  3   4   5
 *
 *     starts         0, 3, 6       the run computes ids[starts[i]] .. ids[starts[i + 1] - 1] for text i
 *     key_starts     0, 3, 15      as starts, with the tokens in the cache: the tokens of text 1 attend to up to 12 keys
 *     prefixes       { none, { .reuse = … } }
 *     rows           2, 5          indices in ids of the tokens that the pooling reads; the last layer computes only these
 *     query_starts   0, 1, 2       those of text i are rows[query_starts[i]] .. rows[query_starts[i + 1] - 1]
 *     pool_starts    0, 1, 2       vector v pools rows[pool_starts[v]] .. rows[pool_starts[v + 1] - 1]
 *     weight_from    2, 11         the token of the text at which the pooling of vector v begins, for weighted means
 *     items          0, 1          vector v belongs to this text of the call
 *
 * Mean pooling reads every token, so nothing could be skipped: starts and key_starts 0, 3, 15; rows 0 … 14; query_starts and
 * pool_starts 0, 3, 15. With AKI_OUTPUT_TOKENS the rows are the same, and each is a vector of its own: pool_starts 0, 1, 2 …
 * 15. */
struct aki__plan {
    int32_t *ids, *positions, *types, *rows;        /* [token_capacity]; types: only if the network reads them */
    int32_t *starts, *query_starts, *key_starts;    /* [text_capacity + 1] */
    struct aki__prefix_use *prefixes;       /* [text_capacity] */
    struct aki__prefix_entry **reused, **kept;      /* [text_capacity] the entries of the cache; NULL: none */
    int32_t *pool_starts, *weight_from;     /* [vector_capacity + 1] */
    size_t  *items;                         /* [vector_capacity] index of the vector's text in the call */
    bool     typed;                         /* types are set */
    size_t   token_capacity, text_capacity, vector_capacity;
    size_t   tokens, texts, vectors, row_count;
    size_t   skipped;                       /* tokens whose keys and values are read from the cache */
    float   *out;                           /* [vectors, columns] */
    size_t   out_capacity;
};
/* Empties the plan and releases its prefixes. done: the run succeeded, so other runs may use the prefixes that it filled. */
void aki__plan_clear(struct aki__plan *p, aki_model *m, bool done);
void aki__plan_free(struct aki__plan *p, aki_model *m);
/* The tokens of a text. */
struct aki__row {
    const int32_t *ids, *types;             /* [count]; types NULL: all 0 */
    size_t count;
    size_t skip;                            /* number of tokens at the start that pooling excludes */
    size_t item;                            /* index of the text in the call */
};
/* Adds a text. Errors: NOMEM, INVALID (no token is left to pool). */
aki_status aki__plan_add(struct aki__plan *p, aki_model *m, const struct aki__request *r, const struct aki__row *row,
                         aki_error *err);
/* The plan as the session takes it: borrowed, until the plan changes. */
struct aki__batch aki__plan_batch(const struct aki__plan *p, const aki_model *m, const struct aki__request *r);
/* Runs the plan; the vectors are written to p->out. */
aki_status aki__plan_run(struct aki__plan *p, aki_model *m, const struct aki__request *r, aki_error *err);

/* The queue of a call: encoded texts that wait for their runs. */
struct aki__runs {
    aki_model                 *m;
    const struct aki__request *r;
    char                      *out;         /* result rows of the call */
    size_t                     row_size;
    bool                       typed;       /* the rows have token types */
    int32_t                   *ids, *types; /* [id_capacity], [type_capacity] */
    struct aki__queued        *texts;
    size_t                     tokens, id_capacity, type_capacity, count, capacity;
    size_t                     shared;      /* tokens at the beginning of each queued text that the prefix cache has */
    size_t                     tokens_done; /* tokens of texts that have been run */
};
/* Adds a text; its tokens are copied. Runs the queue if it is long enough for many runs. */
aki_status aki__runs_add(struct aki__runs *w, const struct aki__row *row, aki_error *err);
/* Runs all that is left in the queue. */
aki_status aki__runs_finish(struct aki__runs *w, aki_error *err);
void       aki__runs_free(struct aki__runs *w);

/* Size of a result row in bytes. */
size_t     aki__row_size(int32_t dtype, size_t dim);
/* Writes a vector [r->columns] as a result row: truncated, normalised, in the requested dtype. Changes the vector. INVALID:
 * NaN, infinity, or all zero. */
aki_status aki__row_write(void *out, float *vector, const struct aki__request *r, aki_error *err);

#endif
