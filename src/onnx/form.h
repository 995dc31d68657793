/* Unit form: an ONNX graph in a neutral form: what a dialect writes and a sink (session, file) reads. No runtime types. */
#ifndef AKI_FORM_H
#define AKI_FORM_H

#include "base/os.h"
#include "model/model.h"

/* TensorProto's numbers. */
enum aki__onnx_type { AKI_ONNX_F32 = 1, AKI_ONNX_U8 = 2, AKI_ONNX_I8 = 3, AKI_ONNX_I32 = 6, AKI_ONNX_I64 = 7, AKI_ONNX_BOOL = 9, AKI_ONNX_F16 = 10 };

#define AKI_ONNX_MAX_IO 12

/* Dimensions of a port that are free, and the names files give them ("batch", "sequence"). */
enum { AKI_ONNX_BATCH = -1, AKI_ONNX_SEQUENCE = -2 };

/* An integer; in files also the two other kinds. */
struct aki__onnx_attribute {
    char        name[24];
    enum { AKI_ONNX_INT, AKI_ONNX_FLOAT, AKI_ONNX_INTS } kind;
    int64_t     value;                      /* INT; INTS: how many */
    float       number;
    int64_t     list[4];
};

/* Values are named by numbers; 0 is "no value" (an optional input or output left out). */
struct aki__onnx_node {
    const char *op, *domain;                /* static */
    int         inputs[AKI_ONNX_MAX_IO], outputs[AKI_ONNX_MAX_IO];
    int         input_count, output_count;
    struct aki__onnx_attribute attributes[2];
    int         attribute_count;
};

/* A constant. data is borrowed, or owned (freed by aki__free_aligned once the sink has taken it), or NULL until aki__onnx_fill. */
struct aki__onnx_constant {
    int                 value;
    enum aki__onnx_type type;
    int64_t             shape[2];
    int                 rank;
    const void         *data;
    size_t              size;               /* bytes */
    bool                owned;
    const struct aki__map *map;             /* where borrowed data lies in a file: its pages are given back once packed; or NULL */
    const struct aki__tensor *tensor;       /* what aki__onnx_fill makes it of: elements of this, */
    size_t              first;              /* from this one on, */
    bool                transposed;         /* with its two dimensions exchanged, */
    float               shift, factor;      /* shift added, then multiplied by factor */
};

/* An input or output of the graph. */
struct aki__onnx_port {
    int                 value;
    const char         *name;               /* static */
    enum aki__onnx_type type;
    int64_t             shape[4];           /* below 0: free */
    int                 rank;
};

struct aki__onnx {
    struct aki__onnx_node     *nodes;
    struct aki__onnx_constant *constants;
    struct aki__onnx_port      inputs[AKI_ONNX_MAX_IO], outputs[2];
    size_t node_count, node_capacity, constant_count, constant_capacity;
    int    input_count, output_count;
    int    values;                          /* numbers given out */
};

/* A new value's number. */
static inline int aki__onnx_value(struct aki__onnx *o) { return ++o->values; }
/* A new node, to be filled in; NULL: no memory. Valid until the next call. */
struct aki__onnx_node *aki__onnx_node(struct aki__onnx *o, const char *op, const char *domain);
/* A constant's value number; 0: no memory (data is then freed, if owned). */
int  aki__onnx_constant(struct aki__onnx *o, enum aki__onnx_type type, int rank, int64_t d0, int64_t d1, const void *data, size_t size, bool owned, const struct aki__map *map);
/* A constant of f32 or f16 that is read out of the model only when a sink wants it, so that a large model is never in memory twice. from: tensor,
 * first, transposed, shift and factor. 0: no memory. */
int  aki__onnx_weights(struct aki__onnx *o, enum aki__onnx_type type, int rank, int64_t d0, int64_t d1, const struct aki__onnx_constant *from);
/* Sees to it that c->data is there. false: no memory. */
bool aki__onnx_fill(struct aki__onnx_constant *c);
/* Bytes of an element. */
size_t aki__onnx_type_size(enum aki__onnx_type type);
int  aki__onnx_input(struct aki__onnx *o, const char *name, enum aki__onnx_type type, int rank, int64_t d0, int64_t d1);
void aki__onnx_output(struct aki__onnx *o, const char *name, int value, enum aki__onnx_type type, int rank, int64_t d0, int64_t d1);
void aki__onnx_free(struct aki__onnx *o);

/* As a ModelProto (onnx_write.c; domain '' only). Constants that nobody had filled are read, written and forgotten one by one.
 * Errors: NOMEM, IO. On failure nothing is left at path. */
aki_status aki__onnx_to_memory(struct aki__onnx *o, struct aki__buf *out, aki_error *err);
/* name: of the graph. Where constants have more than `most` bytes (AKI_ONNX_FILE_MOST: what a ModelProto can hold), they go to path + ".data". */
#define AKI_ONNX_FILE_MOST ((uint64_t)1900 << 20)
aki_status aki__onnx_to_file(struct aki__onnx *o, const char *path, const char *name, uint64_t most, aki_error *err);

/* A new attribute of a node, an integer unless it is made another kind. */
static inline struct aki__onnx_attribute *aki__onnx_attribute(struct aki__onnx_node *n, const char *name, int64_t value)
{
    struct aki__onnx_attribute *a = &n->attributes[n->attribute_count++];
    size_t size = strlen(name);
    memcpy(a->name, name, size < sizeof a->name ? size : sizeof a->name - 1);
    a->value = value;
    return a;
}

/* How a value is called: a port's own name, v and its number, or "" for none. */
const char *aki__onnx_name(const struct aki__onnx *o, int value, char buffer[16]);

#endif
