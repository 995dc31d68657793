/* Writes an OrtGraph as a ModelProto. See fake_graph.h. */
#include "fake_graph.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RANK = 8, LENGTH_BYTES = 5 };
#define LEAST_NORMAL_HALF 0x1p-14f

/* ---------------------------------------------------------------- protobuf -------------------------------------- */

static void put(struct fake_bytes *b, const void *data, size_t size)
{
    if (b->size + size > b->capacity) {
        size_t capacity = 2 * (b->size + size);
        void *grown = b->full ? NULL : realloc(b->data, capacity);
        b->full = !grown;
        if (!grown)
            return;
        b->data = grown;
        b->capacity = capacity;
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void put_varint(struct fake_bytes *b, uint64_t x)
{
    do {
        unsigned char byte = (unsigned char)((x & 127) | (x > 127 ? 128 : 0));
        put(b, &byte, 1);
        x >>= 7;
    } while (x);
}

static void put_int(struct fake_bytes *b, int field, int64_t x)
{
    put_varint(b, (uint64_t)field << 3);
    put_varint(b, (uint64_t)x);
}

static void put_float(struct fake_bytes *b, int field, float x)
{
    put_varint(b, (uint64_t)field << 3 | 5);
    put(b, &x, sizeof x);
}

static void put_bytes(struct fake_bytes *b, int field, const void *data, size_t size)
{
    put_varint(b, (uint64_t)field << 3 | 2);
    put_varint(b, size);
    put(b, data, size);
}

static void put_string(struct fake_bytes *b, int field, const char *text) { put_bytes(b, field, text, strlen(text)); }

/* A message begins, and ends at the same place: its length is written when it is known, in as many bytes as any may need. */
static size_t begin(struct fake_bytes *b, int field)
{
    put_varint(b, (uint64_t)field << 3 | 2);
    put(b, "\0\0\0\0", LENGTH_BYTES);
    return b->size;
}

static void end(struct fake_bytes *b, size_t start)
{
    size_t length = b->size - start;

    for (int i = 0; i < LENGTH_BYTES && !b->full; i++, length >>= 7)
        b->data[start - LENGTH_BYTES + (size_t)i] = (unsigned char)((length & 127) | (i + 1 < LENGTH_BYTES ? 128 : 0));
}

/* ---------------------------------------------------------------- values ---------------------------------------- */

struct type { ONNXTensorElementDataType element; size_t rank; int64_t shape[MOST_RANK]; };

static OrtStatus *read_type(const OrtApi *api, const OrtTensorTypeAndShapeInfo *info, struct type *out)
{
    OrtStatus *st = api->GetTensorElementType(info, &out->element);

    if (!st) st = api->GetDimensionsCount(info, &out->rank);
    if (!st && out->rank > MOST_RANK) st = api->CreateStatus(ORT_FAIL, "fake: too many dimensions");
    return st ? st : api->GetDimensions(info, out->shape, out->rank);
}

static OrtStatus *type_of(const OrtApi *api, const OrtValueInfo *value, struct type *out)
{
    const OrtTypeInfo *type = NULL;
    const OrtTensorTypeAndShapeInfo *info = NULL;

    OrtStatus *st = api->GetValueInfoTypeInfo(value, &type);
    if (!st) st = api->CastTypeInfoToTensorInfo(type, &info);
    if (!st && !info) st = api->CreateStatus(ORT_FAIL, "fake: a value that is no tensor");
    return st ? st : read_type(api, info, out);
}

/* A ValueInfoProto. A dimension that is not known is left empty. */
static OrtStatus *put_value(struct fake_bytes *b, const OrtApi *api, int field, const OrtValueInfo *value)
{
    const char *name = NULL;
    struct type t = { .rank = 0 };
    OrtStatus *st = api->GetValueInfoName(value, &name);

    if (!st) st = type_of(api, value, &t);
    if (st)
        return st;
    size_t info = begin(b, field);
    put_string(b, 1, name);
    size_t type = begin(b, 2), tensor = begin(b, 1);
    put_int(b, 1, t.element);
    size_t shape = begin(b, 2);
    for (size_t i = 0; i < t.rank; i++) {
        size_t dimension = begin(b, 1);
        if (t.shape[i] >= 0)
            put_int(b, 1, t.shape[i]);
        end(b, dimension);
    }
    end(b, shape);
    end(b, tensor);
    end(b, type);
    end(b, info);
    return NULL;
}

static OrtStatus *put_initializer(struct fake_bytes *b, const OrtApi *api, const OrtValueInfo *value)
{
    const char *name = NULL;
    const OrtValue *tensor = NULL;
    const void *data = NULL;
    OrtTensorTypeAndShapeInfo *info = NULL;
    struct type t = { .rank = 0 };
    size_t size = 0;
    OrtStatus *st = api->GetValueInfoName(value, &name);

    if (!st) st = api->ValueInfo_GetInitializerValue(value, &tensor);
    if (!st) st = api->GetTensorTypeAndShape(tensor, &info);
    if (!st) st = read_type(api, info, &t);
    if (!st) st = api->GetTensorSizeInBytes(tensor, &size);
    if (!st) st = api->GetTensorData(tensor, &data);
    if (info)
        api->ReleaseTensorTypeAndShapeInfo(info);
    if (st)
        return st;
    size_t start = begin(b, 5);
    for (size_t i = 0; i < t.rank; i++)
        put_int(b, 1, t.shape[i]);
    put_int(b, 2, t.element);
    put_string(b, 8, name);
    put_bytes(b, 9, data, size);
    end(b, start);
    return NULL;
}

/* ---------------------------------------------------------------- nodes ----------------------------------------- */

static OrtStatus *put_attribute(struct fake_bytes *b, const OrtApi *api, const OrtOpAttr *attribute, bool flush)
{
    static const int numbers[] = { [ORT_OP_ATTR_FLOAT] = 1, [ORT_OP_ATTR_INT] = 2, [ORT_OP_ATTR_STRING] = 3, [ORT_OP_ATTR_FLOATS] = 6, [ORT_OP_ATTR_INTS] = 7 };
    union { int64_t i[64]; float f[128]; char s[512]; } x;
    OrtOpAttrType type = ORT_OP_ATTR_UNDEFINED;
    const char *name = NULL;
    size_t size = 0;

    OrtStatus *st = api->OpAttr_GetName(attribute, &name);
    if (!st) st = api->OpAttr_GetType(attribute, &type);
    if (!st && ((size_t)type >= sizeof numbers / sizeof *numbers || !numbers[type])) st = api->CreateStatus(ORT_FAIL, "fake: an attribute of another type");
    if (!st) st = api->ReadOpAttr(attribute, type, &x, sizeof x, &size);
    if (st)
        return st;
    if (flush && strcmp(name, "epsilon") == 0 && x.f[0] < LEAST_NORMAL_HALF)
        x.f[0] = 0;
    size_t start = begin(b, 5);
    put_string(b, 1, name);
    if (type == ORT_OP_ATTR_FLOAT || type == ORT_OP_ATTR_FLOATS)
        for (size_t i = 0; i < size / sizeof *x.f; i++)
            put_float(b, type == ORT_OP_ATTR_FLOAT ? 2 : 7, x.f[i]);
    else if (type == ORT_OP_ATTR_STRING)
        put_bytes(b, 4, x.s, size);
    else
        for (size_t i = 0; i < size / sizeof *x.i; i++)
            put_int(b, type == ORT_OP_ATTR_INT ? 3 : 8, x.i[i]);
    put_int(b, 20, numbers[type]);
    end(b, start);
    return NULL;
}

/* The names of a node's values. A NULL stands for an input that is left out. */
static OrtStatus *put_names(struct fake_bytes *b, const OrtApi *api, int field, const OrtValueInfo *const *values, size_t count)
{
    OrtStatus *st = NULL;

    for (size_t i = 0; i < count && !st; i++) {
        const char *name = "";
        if (values[i])
            st = api->GetValueInfoName(values[i], &name);
        if (!st)
            put_string(b, field, name);
    }
    return st;
}

static OrtStatus *put_node(struct fake_bytes *b, const OrtApi *api, const OrtNode *node, bool flush)
{
    const OrtValueInfo *inputs[16], *outputs[16];
    const OrtOpAttr *attributes[16];
    const char *name = NULL, *op = NULL, *domain = NULL;
    size_t input_count = 0, output_count = 0, attribute_count = 0, start = begin(b, 1);
    struct type t = { .rank = 0 };

    OrtStatus *st = api->Node_GetName(node, &name);
    if (!st) st = api->Node_GetOperatorType(node, &op);
    if (!st) st = api->Node_GetDomain(node, &domain);
    if (!st) st = api->Node_GetNumInputs(node, &input_count);
    if (!st) st = api->Node_GetNumOutputs(node, &output_count);
    if (!st) st = api->Node_GetNumAttributes(node, &attribute_count);
    if (!st && (input_count > 16 || output_count > 16 || attribute_count > 16)) st = api->CreateStatus(ORT_FAIL, "fake: a large node");
    if (!st) st = api->Node_GetInputs(node, inputs, input_count);
    if (!st) st = api->Node_GetOutputs(node, outputs, output_count);
    if (!st) st = api->Node_GetAttributes(node, attributes, attribute_count);
    if (!st && flush) st = type_of(api, outputs[0], &t);
    if (!st) st = put_names(b, api, 1, inputs, input_count);
    if (!st) st = put_names(b, api, 2, outputs, output_count);
    for (size_t i = 0; i < attribute_count && !st; i++)
        st = put_attribute(b, api, attributes[i], flush && t.element == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16);
    if (st)
        return st;
    put_string(b, 3, name);
    put_string(b, 4, op);
    put_string(b, 7, domain);
    end(b, start);
    /* ONNX Runtime's shapes of what it gives: in the graph, beside its nodes. */
    for (size_t i = 0; i < output_count && !st; i++)
        st = put_value(b, api, 13, outputs[i]);
    return st;
}

/* ---------------------------------------------------------------- the graph ------------------------------------- */

static OrtStatus *put_all_values(struct fake_bytes *b, const OrtApi *api, const OrtGraph *graph, int field)
{
    size_t count = 0;
    OrtStatus *st = field == 5 ? api->Graph_GetNumInitializers(graph, &count) : field == 11 ? api->Graph_GetNumInputs(graph, &count) : api->Graph_GetNumOutputs(graph, &count);
    const OrtValueInfo **values = calloc(count ? count : 1, sizeof *values);

    if (!st && !values) st = api->CreateStatus(ORT_FAIL, "fake: no memory");
    if (!st) st = field == 5 ? api->Graph_GetInitializers(graph, values, count) : field == 11 ? api->Graph_GetInputs(graph, values, count) : api->Graph_GetOutputs(graph, values, count);
    for (size_t i = 0; i < count && !st; i++) {
        const OrtValue *constant = NULL;
        /* In older formats initialisers are inputs as well. */
        if (field == 11)
            st = api->ValueInfo_GetInitializerValue(values[i], &constant);
        if (!st && !constant)
            st = field == 5 ? put_initializer(b, api, values[i]) : put_value(b, api, field, values[i]);
    }
    free(values);
    return st;
}

static OrtStatus *put_nodes(struct fake_bytes *b, const OrtApi *api, const OrtGraph *graph, bool flush)
{
    size_t count = 0;
    OrtStatus *st = api->Graph_GetNumNodes(graph, &count);
    const OrtNode **nodes = calloc(count ? count : 1, sizeof *nodes);

    if (!st && !nodes) st = api->CreateStatus(ORT_FAIL, "fake: no memory");
    if (!st) st = api->Graph_GetNodes(graph, nodes, count);
    for (size_t i = 0; i < count && !st; i++)
        st = put_node(b, api, nodes[i], flush);
    free(nodes);
    return st;
}

static OrtStatus *put_operator_sets(struct fake_bytes *b, const OrtApi *api, const OrtGraph *graph)
{
    const char *domains[32];
    int64_t versions[32];
    size_t count = 0;
    OrtStatus *st = api->Graph_GetNumOperatorSets(graph, &count);

    if (!st && count > 32) st = api->CreateStatus(ORT_FAIL, "fake: many operator sets");
    if (!st) st = api->Graph_GetOperatorSets(graph, domains, versions, count);
    for (size_t i = 0; i < count && !st; i++) {
        size_t start = begin(b, 8);
        put_string(b, 1, domains[i]);
        put_int(b, 2, versions[i]);
        end(b, start);
    }
    return st;
}

OrtStatus *fake_graph_write(const OrtApi *api, const OrtGraph *graph, bool flush, struct fake_bytes *out)
{
    put_int(out, 1, 10);
    OrtStatus *st = put_operator_sets(out, api, graph);
    size_t start = begin(out, 7);
    put_string(out, 2, "offered");
    if (!st) st = put_nodes(out, api, graph, flush);
    if (!st) st = put_all_values(out, api, graph, 5);
    if (!st) st = put_all_values(out, api, graph, 11);
    if (!st) st = put_all_values(out, api, graph, 12);
    end(out, start);
    return !st && out->full ? api->CreateStatus(ORT_FAIL, "fake: no memory") : st;
}
