/* Unit engine: what is behind the public functions: an opened model, a resolved request, a batch being filled. */
#ifndef AKI_ENGINE_H
#define AKI_ENGINE_H

#include "engine/prefix.h"
#include "model/model.h"
#include "ort/session.h"
#include "text/tokenizer.h"

#include <stdatomic.h>

struct aki_model {
    struct aki__tokenizer *tokenizer;
    struct aki__model     *folder;          /* NULL: only the tokenizer was opened */
    struct aki__session   *session;         /* NULL likewise */
    struct aki__onnx_file *file;            /* until the session takes it over */
    struct aki__session_info run;
    bool     end_appended;                  /* see aki_model_info */
    bool     cuts_left;                     /* the same: truncates_left */
    bool     splits_special;                /* the files have special strings in a text be plain text */
    bool     fell_back;
    char     device[64];                    /* in use */
    char     note[400];                     /* device_note; "": none */
    int32_t  precision;                     /* AKI_PRECISION_* */
    int32_t  max_tokens;                    /* of a text by default */
    int32_t  most_tokens;                   /* what the model's positions allow */
    int32_t  max_batch_tokens;
    int64_t  parameters;
    struct aki__prefix_cache prefixes;
    _Atomic uint64_t texts, texts_reused, tokens, tokens_reused;
};

static inline struct aki__onnx_facts aki__facts_of(const struct aki__onnx_file_info *i)
{
    return (struct aki__onnx_facts){ .hidden = i->hidden, .pooled = i->pooled, .length = i->length, .causal = i->causal };
}

/* Opens m->session as the options say: on a device that passes its self-test, or on the cpu. */
aki_status aki__open_session(aki_model *m, const aki_model_options *o, aki_error *err);

/* Where aki_model_options says nothing. The most tokens of a run: those that go side by side are smaller where that is faster: see runs.c. */
enum { AKI_DEFAULT_BATCH_TOKENS = 1024, AKI_DEFAULT_PREFIX_MIB = 64, AKI_DEFAULT_BUCKETS = 2, AKI_PROMPT_CEILING = 1 << 20 /* bytes */ };

/* aki_embed_options, checked and completed from the model. */
struct aki__request {
    struct aki__buf prompt;                 /* owned */
    int32_t output;                         /* AKI_OUTPUT_* */
    int32_t pooling;
    bool    skips;                          /* a prompt's tokens are left out of the pooling (of rows that have any) */
    size_t  prompt_tokens;                  /* of the prompt alone; counted where somebody needs it */
    size_t  prompt_specials;                /* of these, special ones before it */
    bool    normalize;
    size_t  dim;                            /* of a result row */
    size_t  columns;                        /* of a row as the network gives it */
    int32_t dtype;
    const float *ranges;
    bool    reuse;
    struct aki__encode_options encode;
    int   (*cancel)(void *user);
    void   *cancel_user;
};
aki_status aki__request_open(struct aki__request *out, const aki_model *m, const aki_embed_options *options, aki_error *err);
/* For tokenising alone: also where only a tokenizer was opened, which knows no prompts by name and no limits. */
aki_status aki__request_open_tokens(struct aki__request *out, const aki_model *m, const aki_embed_options *options, aki_error *err);
/* Counts prompt_tokens, which opening does only where pooling needs it. */
aki_status aki__request_count_prompt(struct aki__request *r, const aki_model *m, aki_error *err);
/* Result rows that so many texts of so many tokens make. */
static inline size_t aki__output_rows(int32_t output, size_t texts, size_t tokens) { return output == AKI_OUTPUT_TOKENS ? tokens : texts; }
void       aki__request_close(struct aki__request *r);
/* Vectors come pooled out of the network (an .onnx file's). */
bool       aki__request_is_pooled(const struct aki__request *r, const struct aki__model *f);
/* UNSUPPORTED where such a network gives neither what is asked for nor the rows that it is made of. */
aki_status aki__request_check_graph(const struct aki__request *r, const struct aki__model *f, aki_error *err);
/* Which side a text too long is cut on: the caller's, else what the model's files say. */
static inline int aki__truncate_of(const aki_model *m, const aki_embed_options *o)
{
    return o->truncate == AKI_TRUNCATE_DEFAULT && m->cuts_left ? AKI_TRUNCATE_LEFT : o->truncate;
}

/* One text as the network sees it. Zeroed means empty; the arrays are reused by the next call. */
struct aki__input {
    struct aki__encoding tokens;
    struct aki__buf      joined;            /* prompt + text, where there is a prompt */
    const char          *text;              /* prompt + text: joined, or the caller's */
    size_t               text_size;
    size_t               prompt_tokens;     /* of tokens.count */
};
/* second: of a pair, or NULL. Errors name bytes of the caller's text, not of the joined one. */
aki_status aki__encode(const aki_model *m, const struct aki__request *r, const char *text, size_t size, const char *second, size_t second_size,
                       struct aki__input *in, aki_error *err);
void       aki__input_free(struct aki__input *in);
/* The network looks at token types. */
bool       aki__has_types(const aki_model *m);

/* The bounds of a number in options, by its name; see aki_option_bounds. false: there is no such number. */
struct aki__bounds { int64_t least, most, preset; };
bool       aki__bounds_of(const aki_model *m, const char *option, struct aki__bounds *out);
/* INVALID where a number of the options is outside of its bounds. m: NULL for aki_model_options. */
aki_status aki__check_embed_numbers(const aki_model *m, const aki_embed_options *o, aki_error *err);
aki_status aki__check_model_numbers(const aki_model_options *o, aki_error *err);
/* The caller's options, of whatever version, as this version's. */
aki_status aki__options_read(void *out, size_t size, const void *options, const char *what, aki_error *err);

/* Texts laid end to end for one run. Zeroed means empty. */
struct aki__plan {
    int32_t *ids, *positions, *types, *rows;        /* [token_capacity]; types: only where the network reads them */
    int32_t *starts, *query_starts, *key_starts;    /* [text_capacity + 1] */
    struct aki__prefix_use *prefixes;       /* [text_capacity] */
    struct aki__prefix_entry **reused, **kept;      /* [text_capacity] whose prefixes these are; NULL where there is none */
    int32_t *pool_starts, *weight_from;     /* [vector_capacity + 1] */
    size_t  *items;                         /* [vector_capacity] which text of the call a vector is of */
    bool     typed;
    size_t   token_capacity, text_capacity, vector_capacity;
    size_t   tokens, texts, vectors, row_count;
    size_t   skipped;                       /* tokens of the texts that prefixes stand for */
    float   *out;                           /* [vectors, columns] */
    size_t   out_capacity;
};
/* Empties it; done: its run succeeded, so that prefixes it filled may be used. */
void aki__plan_clear(struct aki__plan *p, aki_model *m, bool done);
void aki__plan_free(struct aki__plan *p, aki_model *m);
/* A text's tokens. */
struct aki__row {
    const int32_t *ids, *types;             /* [count]; types NULL: all 0 */
    size_t count;
    size_t skip;                            /* first tokens that pooling leaves out */
    size_t item;                            /* its index in the call */
};
/* Adds a text. Errors: NOMEM, INVALID (nothing left to pool). */
aki_status aki__plan_add(struct aki__plan *p, aki_model *m, const struct aki__request *r, const struct aki__row *row, aki_error *err);
/* Runs what was added: p->out. */
aki_status aki__plan_run(struct aki__plan *p, aki_model *m, const struct aki__request *r, aki_error *err);

/* A call's texts, as ids, that wait for their runs. */
struct aki__runs {
    aki_model                 *m;
    const struct aki__request *r;
    char                      *out;         /* the call's result rows */
    size_t                     row_size;
    bool                       typed;       /* rows come with token types */
    int32_t                   *ids, *types; /* [id_capacity], [type_capacity] */
    struct aki__queued        *texts;
    size_t                     tokens, id_capacity, type_capacity, count, capacity;
    size_t                     tokens_done; /* of texts that were run */
};
/* Adds a text (its tokens are copied). Once there is enough for many runs, these are done. */
aki_status aki__runs_add(struct aki__runs *w, const struct aki__row *row, aki_error *err);
/* Runs the rest. */
aki_status aki__runs_finish(struct aki__runs *w, aki_error *err);
void       aki__runs_free(struct aki__runs *w);

/* Bytes of a result row. */
size_t     aki__row_size(int32_t dtype, size_t dim);
/* A vector [r->columns] (changed) to a result row: cut, normalised, in the wanted dtype. INVALID: NaN, infinity, all zero. */
aki_status aki__row_write(void *out, float *vector, const struct aki__request *r, aki_error *err);

#endif
