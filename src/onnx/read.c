/* Unit read: walks a ModelProto (onnx.proto3) to its initializers; their data is passed over. See read.h. */
#include "onnx/read.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };
enum { MODEL_GRAPH = 7, GRAPH_INITIALIZER = 5, TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_EXTERNAL = 13, ENTRY_KEY = 1, ENTRY_VALUE = 2 };      /* field numbers */
enum { TYPE_FLOAT = 1, TYPE_UINT8 = 2, TYPE_INT8 = 3, TYPE_FLOAT16 = 10, TYPE_BFLOAT16 = 16, TYPE_FLOAT8 = 17, TYPE_LAST = 23 };     /* from FLOAT8 on: 8 and 4 bits */

struct wire_bytes { const unsigned char *at, *end; };

/* A field's number and wire type, and its value: a number, or the bytes inside. */
struct field { uint64_t number, value; unsigned wire; struct wire_bytes inside; };

static bool read_varint(struct wire_bytes *s, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; s->at < s->end && shift < 64; shift += 7) {
        unsigned char c = *s->at++;
        *out |= (uint64_t)(c & 127) << shift;
        if (c < 128)
            return true;
    }
    return false;
}

/* false: the end, or bytes that are no field. */
static bool next(struct wire_bytes *s, struct field *f)
{
    uint64_t tag, size;

    if (!read_varint(s, &tag))
        return false;
    f->number = tag >> 3;
    f->wire = tag & 7;
    if (f->wire == WIRE_VARINT)
        return read_varint(s, &f->value);
    if (f->wire == WIRE_BYTES ? !read_varint(s, &size) : f->wire != WIRE_64 && f->wire != WIRE_32)
        return false;
    size = f->wire == WIRE_BYTES ? size : f->wire == WIRE_64 ? 8 : 4;
    if (size > (uint64_t)(s->end - s->at))
        return false;
    f->inside = (struct wire_bytes){ s->at, s->at + size };
    s->at += size;
    return true;
}

static void multiply(uint64_t *elements, uint64_t dim)
{
    *elements = dim && *elements > UINT64_MAX / dim ? 0 : *elements * dim;      /* no tensor is so large: not counted */
}

static void count_tensor(void *user, struct wire_bytes tensor)
{
    struct aki__onnx_weights *out = user;
    uint64_t elements = 1, type = 0, dim;
    struct field f;

    while (next(&tensor, &f)) {
        if (f.number == TENSOR_TYPE && f.wire == WIRE_VARINT)
            type = f.value;
        else if (f.number == TENSOR_DIMS && f.wire == WIRE_VARINT)
            multiply(&elements, f.value);
        else if (f.number == TENSOR_DIMS && f.wire == WIRE_BYTES)
            while (read_varint(&f.inside, &dim))
                multiply(&elements, dim);
    }
    uint64_t *sum = type == TYPE_FLOAT ? &out->f32 : type == TYPE_FLOAT16 || type == TYPE_BFLOAT16 ? &out->f16 :
                    type == TYPE_UINT8 || type == TYPE_INT8 || (type >= TYPE_FLOAT8 && type <= TYPE_LAST) ? &out->quantised : NULL;
    if (sum)
        *sum = elements < UINT64_MAX - *sum ? *sum + elements : UINT64_MAX;
}

/* A StringStringEntryProto of external_data: true where its key is "location". */
static bool is_location(struct wire_bytes entry, struct aki__onnx_text *value)
{
    static const char word[] = "location";
    bool location = false;
    struct field f;

    *value = (struct aki__onnx_text){ "", 0 };
    while (next(&entry, &f)) {
        const size_t size = f.wire == WIRE_BYTES ? (size_t)(f.inside.end - f.inside.at) : 0;
        if (f.number == ENTRY_KEY && f.wire == WIRE_BYTES)
            location = size == sizeof word - 1 && memcmp(f.inside.at, word, size) == 0;
        else if (f.number == ENTRY_VALUE && f.wire == WIRE_BYTES)
            *value = (struct aki__onnx_text){ (const char *)f.inside.at, size };
    }
    return location;
}

/* Calls step with each initializer. */
static void each_initializer(const char *bytes, size_t size, void (*step)(void *user, struct wire_bytes tensor), void *user)
{
    struct wire_bytes model = { (const unsigned char *)bytes, (const unsigned char *)bytes + size };
    struct field f, inner;

    while (next(&model, &f))
        while (f.number == MODEL_GRAPH && f.wire == WIRE_BYTES && next(&f.inside, &inner))
            if (inner.number == GRAPH_INITIALIZER && inner.wire == WIRE_BYTES)
                step(user, inner.inside);
}

void aki__onnx_count_weights(struct aki__onnx_weights *out, const char *bytes, size_t size)
{
    *out = (struct aki__onnx_weights){ 0 };
    each_initializer(bytes, size, count_tensor, out);
}

struct telling { void (*tell)(void *user, struct aki__onnx_text location); void *user; };

static void tell_locations(void *user, struct wire_bytes tensor)
{
    const struct telling *t = user;
    struct aki__onnx_text value;
    struct field f;

    while (next(&tensor, &f))
        if (f.number == TENSOR_EXTERNAL && f.wire == WIRE_BYTES && is_location(f.inside, &value))
            t->tell(t->user, value);
}

void aki__onnx_external(const char *bytes, size_t size, void (*tell)(void *user, struct aki__onnx_text location), void *user)
{
    struct telling t = { tell, user };

    each_initializer(bytes, size, tell_locations, &t);
}
