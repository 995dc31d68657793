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

/* The most tokens of a run where aki_model_options says nothing. Runs that go side by side are smaller where that is faster: see runs.c. */
enum { AKI_DEFAULT_BATCH_TOKENS = 1024 };

/* aki_embed_options, checked and completed from the model. */
struct aki__request {
    struct aki__buf prompt;                 /* owned */
    int32_t pooling;
    size_t  skip;                           /* prompt tokens that the pooling leaves out */
    bool    normalize;
    size_t  dim;                            /* of a result */
    size_t  columns;                        /* of a vector before it is cut */
    int32_t dtype;
    const float *ranges;
    bool    reuse;
    struct aki__encode_options encode;
    int   (*cancel)(void *user);
    void   *cancel_user;
};
aki_status aki__request_open(struct aki__request *out, const aki_model *m, const aki_embed_options *options, aki_error *err);
void       aki__request_close(struct aki__request *r);
/* Vectors come pooled out of the network (an .onnx file's). */
bool       aki__request_is_pooled(const struct aki__request *r, const struct aki__model *f);
/* UNSUPPORTED where such a network can neither give them so nor the rows to pool. */
aki_status aki__request_check_graph(const struct aki__request *r, const struct aki__model *f, aki_error *err);
/* Which side a text too long is cut on: the caller's, else what the model's files say. */
static inline int aki__truncate_of(const aki_model *m, const aki_embed_options *o)
{
    return o->truncate == AKI_TRUNCATE_DEFAULT && m->cuts_left ? AKI_TRUNCATE_LEFT : o->truncate;
}
/* The caller's options, of whatever version, as this version's. */
aki_status aki__options_read(void *out, size_t size, const void *options, const char *what, aki_error *err);

/* Texts laid end to end for one run. Zeroed means empty. */
struct aki__plan {
    int32_t *ids, *positions, *rows;        /* [token_capacity] */
    int32_t *starts, *query_starts, *key_starts;    /* [text_capacity + 1] */
    struct aki__prefix_use *prefixes;       /* [text_capacity] */
    struct aki__prefix_entry **reused, **kept;      /* [text_capacity] whose prefixes these are; NULL where there is none */
    int32_t *pool_starts, *weight_from;     /* [vector_capacity + 1] */
    size_t  *items;                         /* [vector_capacity] which text of the call a vector is of */
    size_t   token_capacity, text_capacity, vector_capacity;
    size_t   tokens, texts, vectors, row_count;
    size_t   skipped;                       /* tokens of the texts that prefixes stand for */
    float   *out;                           /* [vectors, columns] */
    size_t   out_capacity;
};
/* Empties it; done: its run succeeded, so that prefixes it filled may be used. */
void aki__plan_clear(struct aki__plan *p, aki_model *m, bool done);
void aki__plan_free(struct aki__plan *p, aki_model *m);
/* Adds a text's ids; item: its index in the call. every_token: a vector a token. Errors: NOMEM, INVALID (nothing left to pool). */
aki_status aki__plan_add(struct aki__plan *p, aki_model *m, const struct aki__request *r, const int32_t *ids, size_t count, size_t item, bool every_token, aki_error *err);
/* Runs what was added: p->out. */
aki_status aki__plan_run(struct aki__plan *p, aki_model *m, const struct aki__request *r, bool every_token, aki_error *err);

/* A call's texts, as ids, that wait for their runs. */
struct aki__runs {
    aki_model                 *m;
    const struct aki__request *r;
    char                      *out;         /* the call's result rows */
    size_t                     row_size;
    bool                       every_token; /* a row a token */
    int32_t                   *ids;
    struct aki__text          *texts;
    size_t                     tokens, id_capacity, count, capacity;
    size_t                     tokens_done; /* of texts that were run */
};
/* Adds a text's ids (copied); item: its index in the call. Once there is enough for many runs, these are done. */
aki_status aki__runs_add(struct aki__runs *w, const int32_t *ids, size_t count, size_t item, aki_error *err);
/* Runs the rest. */
aki_status aki__runs_finish(struct aki__runs *w, aki_error *err);
void       aki__runs_free(struct aki__runs *w);

/* Bytes of a result row. */
size_t     aki__row_size(int32_t dtype, size_t dim);
/* A vector [r->columns] (changed) to a result row: cut, normalised, in the wanted dtype. INVALID: NaN, infinity, all zero. */
aki_status aki__row_write(void *out, float *vector, const struct aki__request *r, aki_error *err);

#endif
