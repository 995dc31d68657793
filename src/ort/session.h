/* Unit session: a network ready to run, with its threads and the files it reads. The face of ort/ for the engine, which does not care what runs
 * it (runner.h): the cpu dialect, a device, an .onnx file. */
#ifndef AKI_SESSION_H
#define AKI_SESSION_H

#include "ort/device.h"
#include "graph/graph.h"
#include "ort/onnx_file.h"

enum { AKI_MOST_BUCKETS = 64 };  /* sessions of fixed shapes that may be resident */

struct aki__session;            /* immutable; any number of threads may run it at once */

struct aki__session_options {
    bool int8, bf16;            /* on the cpu only */
    const struct aki__choice *choice;       /* of int8, see graph/outliers.h; or NULL */
    int  threads;
    const struct aki__device *device;       /* another one than the cpu, or NULL */
    struct aki__onnx_file *file;            /* the network, or NULL; the session's, once it has opened. The graph then has the rows it gives, and what is behind them */
    bool f16;                               /* on a device only */
    int  max_buckets;
    size_t max_tokens, max_batch_tokens;    /* of a text, of a run: for choosing shapes */
};

struct aki__session_info {
    char     runtime[48];       /* "ONNX Runtime 1.32.0" */
    int      threads;
    int      lanes;             /* runs that may go side by side */
    size_t   hidden;            /* columns of a hidden row; 0: there are none to be had */
    size_t   vectors;           /* columns of a vector */
    size_t   widest;            /* columns of the widest product, of which a run holds one for every token; 0: not known */
    int      nodes, nodes_elsewhere;        /* on the device, and on the cpu instead */
    int      partitions;        /* on the device; 0: not known */
    int      sessions;          /* resident: one a shape where the device wants fixed ones */
    int      products, products_f32;        /* 0: not known */
    double   f32_share;         /* of the products' multiply-adds for each token */
    uint64_t weights_size;      /* bytes of the constants of all of these */
    uint64_t weights_16bit_size;        /* of those on the cpu that are bf16 or f16 */
    const char *refused;        /* the first program that was refused, with its figure; stays while the session is open. NULL: none */
};

/* The model must outlive the session (embedding tables stay in its map). */
aki_status aki__session_open(struct aki__session **out, const struct aki__graph *g, const struct aki__session_options *options, aki_error *err);
void       aki__session_close(struct aki__session *s);
void       aki__session_info(const struct aki__session *s, struct aki__session_info *out);

/* Keys and values of a text's first tokens in every layer, for texts that begin with the same tokens. */
struct aki__prefix {
    size_t tokens, layers, columns;         /* columns: kv_heads * head_dim */
    float *data;                            /* [layers, 2, tokens, columns]: keys, then values */
};

/* What a text does with prefixes; the address is given to the operators as it is. */
struct aki__prefix_use {
    const struct aki__prefix *reuse;        /* stands before the text's tokens (its first key_starts … - starts … ones); or NULL */
    struct aki__prefix       *keep;         /* filled with the text's first keep->tokens tokens; or NULL */
};

/* One run: texts laid end to end. See cpu.h for the arrays. */
struct aki__batch {
    const int32_t *ids, *positions;         /* [tokens] */
    const int32_t *types;                   /* [tokens], or NULL: all 0 */
    const int32_t *starts, *query_starts;   /* [texts + 1] */
    const int32_t *key_starts;              /* [texts + 1] as starts, with the reused tokens counted */
    const struct aki__prefix_use *prefixes; /* [texts] */
    const int32_t *rows;                    /* [row_count] */
    const int32_t *pool_starts;             /* [vectors + 1] */
    const int32_t *weight_from;             /* [vectors] */
    int32_t        mode;                    /* enum aki__pool_mode */
    size_t         tokens, texts, row_count, vectors;
    bool           pooled;                  /* by the network itself (an .onnx file): vectors are the texts' */
    bool           dense;                   /* through the Dense modules (false: hidden rows as pooled) */
};
/* out: [vectors, columns]: as many columns as info says; without b->dense, those of a hidden row. */
aki_status aki__session_run(struct aki__session *s, const struct aki__batch *b, float *out, size_t columns, aki_error *err);

/* A text at growing lengths, and what the cpu computes of it in f32. Borrowed while the session is open. */
struct aki__known {
    const struct aki__batch *batch;         /* [texts], with a vector each; the first fits every shape */
    const float *vectors;                   /* [texts, columns] */
    size_t columns;
    double bound;                           /* the least cosine that is believed */
};
/* From now on the first run of each program that a device has compiled is of this text, and it is refused if its vectors are wrong: then the next
 * option set is tried, then a shape of fewer texts. Before anyone else has the session. */
void aki__session_know(struct aki__session *s, const struct aki__known *known);

/* Does body(user, i), i < count, which are runs, beside each other on the session's threads; one after the other while these are busy. */
void aki__session_each(struct aki__session *s, size_t count, void (*body)(void *user, size_t i), void *user);

#endif
