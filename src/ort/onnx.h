/* Unit onnx: an ONNX graph in a neutral form: what a dialect writes and a sink (session, file) reads. No runtime types. */
#ifndef AKI_ONNX_H
#define AKI_ONNX_H

#include "base/os.h"

enum aki__onnx_type { AKI_ONNX_F32 = 1, AKI_ONNX_U8 = 2, AKI_ONNX_I8 = 3, AKI_ONNX_I32 = 6, AKI_ONNX_I64 = 7 };     /* TensorProto's numbers */

#define AKI_ONNX_MAX_IO 12

struct aki__onnx_attribute { char name[24]; int64_t value; };

/* Values are named by numbers; 0 is "no value" (an optional input or output left out). */
struct aki__onnx_node {
    const char *op, *domain;                /* static */
    int         inputs[AKI_ONNX_MAX_IO], outputs[AKI_ONNX_MAX_IO];
    int         input_count, output_count;
    struct aki__onnx_attribute attributes[2];
    int         attribute_count;
};

/* A constant. data is borrowed, or owned (freed by aki__free_aligned once the sink has taken it). */
struct aki__onnx_constant {
    int                 value;
    enum aki__onnx_type type;
    int64_t             shape[2];
    int                 rank;
    const void         *data;
    size_t              size;               /* bytes */
    bool                owned;
    const char         *name;               /* int8 products: the first linear's, and the columns' scales; borrowed; else NULL */
    const float        *scales;
    const struct aki__map *map;             /* where borrowed data lies in a file: its pages are given back once packed; or NULL */
};

/* An input or output of the graph; a dimension of -1 is free. */
struct aki__onnx_port {
    int                 value;
    const char         *name;               /* static */
    enum aki__onnx_type type;
    int64_t             shape[2];
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
int  aki__onnx_input(struct aki__onnx *o, const char *name, enum aki__onnx_type type, int rank, int64_t d0, int64_t d1);
void aki__onnx_output(struct aki__onnx *o, const char *name, int value, enum aki__onnx_type type, int rank, int64_t d0, int64_t d1);
void aki__onnx_free(struct aki__onnx *o);

static inline void aki__onnx_attribute(struct aki__onnx_node *n, const char *name, int64_t value)
{
    struct aki__onnx_attribute *a = &n->attributes[n->attribute_count++];
    size_t size = strlen(name);
    memcpy(a->name, name, size < sizeof a->name ? size : sizeof a->name - 1);
    a->value = value;
}

#endif
