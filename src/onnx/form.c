/* Unit form: the neutral graph. See form.h. */
#include "onnx/form.h"

#include <stdio.h>

struct aki__onnx_node *aki__onnx_node(struct aki__onnx *o, const char *op, const char *domain)
{
    if (!aki__grow((void **)&o->nodes, &o->node_capacity, o->node_count + 1, sizeof *o->nodes))
        return NULL;
    struct aki__onnx_node *n = &o->nodes[o->node_count++];
    *n = (struct aki__onnx_node){ .op = op, .domain = domain };
    return n;
}

int aki__onnx_constant(struct aki__onnx *o, enum aki__onnx_type type, int rank, int64_t d0, int64_t d1, const void *data, size_t size, bool owned, const struct aki__map *map)
{
    if (!aki__grow((void **)&o->constants, &o->constant_capacity, o->constant_count + 1, sizeof *o->constants)) {
        if (owned)
            aki__free_aligned((void *)(uintptr_t)data);
        return 0;
    }
    int value = aki__onnx_value(o);
    o->constants[o->constant_count++] = (struct aki__onnx_constant){ .value = value, .type = type, .rank = rank, .shape = { d0, d1 },
                                                                     .data = data, .size = size, .owned = owned, .map = map };
    return value;
}

size_t aki__onnx_type_size(enum aki__onnx_type type)
{
    switch (type) {
    case AKI_ONNX_I64: return 8;
    case AKI_ONNX_F32:
    case AKI_ONNX_I32: return 4;
    case AKI_ONNX_F16: return 2;
    default:           return 1;
    }
}

int aki__onnx_weights(struct aki__onnx *o, enum aki__onnx_type type, int rank, int64_t d0, int64_t d1, const struct aki__onnx_constant *from)
{
    size_t size = (size_t)d0 * (rank > 1 ? (size_t)d1 : 1) * aki__onnx_type_size(type);     /* of a tensor in a file: no overflow */
    int value = aki__onnx_constant(o, type, rank, d0, d1, NULL, size, false, NULL);

    if (value) {
        struct aki__onnx_constant *c = &o->constants[o->constant_count - 1];
        c->tensor = from->tensor;
        c->first = from->first;
        c->transposed = from->transposed;
        c->shift = from->shift;
        c->factor = from->factor;
    }
    return value;
}

static void store(void *out, enum aki__onnx_type type, size_t at, float x)
{
    if (type == AKI_ONNX_F32) {
        ((float *)out)[at] = x;
    } else {
        uint16_t h = aki__f32_to_f16(x);
        memcpy((char *)out + at * sizeof h, &h, sizeof h);
    }
}

bool aki__onnx_fill(struct aki__onnx_constant *c)
{
    enum { ROWS = 16 };                     /* of the file at a time: whole cache lines are written where they go down columns */
    size_t columns = (size_t)(c->transposed || c->rank < 2 ? c->shape[0] : c->shape[1]);
    size_t rows = c->rank < 2 ? 1 : (size_t)(c->transposed ? c->shape[1] : c->shape[0]);

    if (c->data)
        return true;
    float *row = aki__alloc(columns, ROWS * sizeof *row);
    void *out = row ? aki__alloc_aligned(c->size ? c->size : 1, 1) : NULL;
    for (size_t i = 0; i < rows && out; i += ROWS) {
        size_t n = rows - i < ROWS ? rows - i : ROWS;
        aki__tensor_read(row, c->tensor, c->first + i * columns, n * columns);
        for (size_t k = 0; k < columns; k++)
            for (size_t r = 0; r < n; r++)
                store(out, c->type, c->transposed ? k * rows + i + r : (i + r) * columns + k, (c->shift != 0 ? row[r * columns + k] + c->shift : row[r * columns + k]) * c->factor);
    }
    aki__free(row);
    if (out)
        aki__map_release(c->tensor->map, c->tensor->data, c->tensor->size);
    c->data = out;
    c->owned = out != NULL;
    return out != NULL;
}

const char *aki__onnx_name(const struct aki__onnx *o, int value, char buffer[16])
{
    for (int i = 0; i < o->input_count; i++)
        if (o->inputs[i].value == value)
            return o->inputs[i].name;
    for (int i = 0; i < o->output_count; i++)
        if (o->outputs[i].value == value)
            return o->outputs[i].name;
    snprintf(buffer, 16, "v%d", value);
    return value ? buffer : "";
}

int aki__onnx_input(struct aki__onnx *o, const char *name, enum aki__onnx_type type, int rank, int64_t d0, int64_t d1)
{
    int value = aki__onnx_value(o);

    o->inputs[o->input_count++] = (struct aki__onnx_port){ .value = value, .name = name, .type = type, .rank = rank, .shape = { d0, d1 } };
    return value;
}

void aki__onnx_output(struct aki__onnx *o, const char *name, int value, enum aki__onnx_type type, int rank, int64_t d0, int64_t d1)
{
    o->outputs[o->output_count++] = (struct aki__onnx_port){ .value = value, .name = name, .type = type, .rank = rank, .shape = { d0, d1 } };
}

void aki__onnx_free(struct aki__onnx *o)
{
    for (size_t i = 0; i < o->constant_count; i++)
        if (o->constants[i].owned)
            aki__free_aligned((void *)(uintptr_t)o->constants[i].data);
    aki__free(o->constants);
    aki__free(o->nodes);
    *o = (struct aki__onnx){ 0 };
}
