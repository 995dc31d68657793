/* Unit onnx: the neutral graph. See onnx.h. */
#include "ort/onnx.h"

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
