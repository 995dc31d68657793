/* Unit write: the neutral graph as a ModelProto (ONNX's file format: protocol buffers, onnx.proto's field numbers), with weights in
 * the file or in a second one beside it. Weights are read, written and forgotten one by one. */
#include "onnx/form.h"

#include <errno.h>
#include <stdio.h>

enum { IR_VERSION = 10, OPSET = 21, ALIGN = 64, HEADER_CEILING = 1 << 28 };

/* A protocol buffer's wire types. */
enum { VARINT = 0, BYTES = 2, FIXED32 = 5 };

/* A message being written; ok: memory sufficed so far. */
struct message { struct aki__buf buf; bool ok; };

static void put_raw(struct message *m, const void *data, size_t size)
{
    m->ok = m->ok && (!size || aki__buf_append(&m->buf, data, size, HEADER_CEILING));
}

static void put_varint(struct message *m, uint64_t x)
{
    unsigned char bytes[10];
    size_t n = 0;

    for (; x >= 0x80; x >>= 7)
        bytes[n++] = (unsigned char)(x | 0x80);
    bytes[n++] = (unsigned char)x;
    put_raw(m, bytes, n);
}

static void put_tag(struct message *m, int field, int wire) { put_varint(m, (uint64_t)field << 3 | (uint64_t)wire); }

static void put_int(struct message *m, int field, int64_t x)
{
    put_tag(m, field, VARINT);
    put_varint(m, (uint64_t)x);
}

static void put_bytes(struct message *m, int field, const void *data, size_t size)
{
    put_tag(m, field, BYTES);
    put_varint(m, size);
    put_raw(m, data, size);
}

static void put_text(struct message *m, int field, const char *text) { put_bytes(m, field, text, strlen(text)); }

/* Ends a message: it becomes a field of `in`. */
static void put_message(struct message *in, int field, struct message *m)
{
    in->ok = in->ok && m->ok;
    put_bytes(in, field, m->buf.data, m->buf.size);
    aki__buf_free(&m->buf);
}

/* ---------------------------------------------------------------- parts of the graph ---------------------------- */

static void put_attribute(struct message *node, const struct aki__onnx_attribute *a)
{
    static const int types[] = { 2, 1, 7 };      /* AttributeProto.type of AKI_ONNX_INT … INTS */
    struct message m = { .ok = true };

    put_text(&m, 1, a->name);
    switch (a->kind) {
    case AKI_ONNX_FLOAT:
        put_tag(&m, 2, FIXED32);
        put_raw(&m, &a->number, sizeof a->number);
        break;
    case AKI_ONNX_INTS:
        for (int64_t i = 0; i < a->value; i++)
            put_int(&m, 8, a->list[i]);
        break;
    default:
        put_int(&m, 3, a->value);
        break;
    }
    put_int(&m, 20, types[a->kind]);
    put_message(node, 5, &m);
}

static void put_node(struct message *graph, const struct aki__onnx *o, size_t i)
{
    const struct aki__onnx_node *n = &o->nodes[i];
    struct message m = { .ok = true };
    char name[64];

    for (int k = 0; k < n->input_count; k++)
        put_text(&m, 1, aki__onnx_name(o, n->inputs[k], name));
    for (int k = 0; k < n->output_count; k++)
        put_text(&m, 2, aki__onnx_name(o, n->outputs[k], name));
    snprintf(name, sizeof name, "%s_%zu", n->op, i);
    put_text(&m, 3, name);
    put_text(&m, 4, n->op);
    for (int k = 0; k < n->attribute_count; k++)
        put_attribute(&m, &n->attributes[k]);
    put_message(graph, 1, &m);
}

static void put_port(struct message *graph, int field, const struct aki__onnx_port *p)
{
    struct message shape = { .ok = true }, tensor = { .ok = true }, type = { .ok = true }, m = { .ok = true };

    for (int i = 0; i < p->rank; i++) {
        struct message d = { .ok = true };
        if (p->shape[i] >= 0)
            put_int(&d, 1, p->shape[i]);
        else
            put_text(&d, 2, p->shape[i] == AKI_ONNX_BATCH ? "batch" : "sequence");
        put_message(&shape, 1, &d);
    }
    put_int(&tensor, 1, p->type);
    put_message(&tensor, 2, &shape);
    put_message(&type, 1, &tensor);
    put_text(&m, 1, p->name);
    put_message(&m, 2, &type);
    put_message(graph, field, &m);
}

static void put_entry(struct message *tensor, const char *key, const char *value)
{
    struct message m = { .ok = true };

    put_text(&m, 1, key);
    put_text(&m, 2, value);
    put_message(tensor, 13, &m);
}

/* ---------------------------------------------------------------- the file -------------------------------------- */

/* Where bytes go: a file, or memory. */
struct sink { FILE *f; struct aki__buf *memory; bool ok; };

static void emit(struct sink *s, const void *data, size_t size)
{
    if (s->ok && size)
        s->ok = s->f ? fwrite(data, 1, size, s->f) == size : aki__buf_append(s->memory, data, size, SIZE_MAX);
}

struct writer {
    struct aki__onnx *o;
    const char       *side;                 /* name of the second file; NULL: weights are in the first */
    uint64_t          at;                   /* in the second file */
};

static bool is_beside(const struct writer *w, const struct aki__onnx_constant *c) { return w->side && c->size >= 1024; }

/* A constant's TensorProto without its raw data, which follows; answers how many bytes that has. */
static size_t put_tensor_head(struct message *m, struct writer *w, const struct aki__onnx_constant *c)
{
    char text[24];

    for (int i = 0; i < c->rank; i++)
        put_int(m, 1, c->shape[i]);
    put_int(m, 2, c->type);
    put_text(m, 8, aki__onnx_name(w->o, c->value, text));
    if (is_beside(w, c)) {
        w->at = (w->at + ALIGN - 1) / ALIGN * ALIGN;
        put_entry(m, "location", w->side);
        snprintf(text, sizeof text, "%llu", (unsigned long long)w->at);
        put_entry(m, "offset", text);
        snprintf(text, sizeof text, "%llu", (unsigned long long)c->size);
        put_entry(m, "length", text);
        put_int(m, 14, 1);
        w->at += c->size;
        return 0;
    }
    put_tag(m, 9, BYTES);
    put_varint(m, c->size);
    return c->size;
}

static size_t varint_size(uint64_t x)
{
    size_t n = 1;

    while (x >>= 7)
        n++;
    return n;
}

/* Bytes that all initializers have in the graph's message. */
static bool initializers_size(struct writer *w, uint64_t *size)
{
    struct message m = { .ok = true };

    w->at = 0;
    for (size_t i = 0; i < w->o->constant_count; i++) {
        m.buf.size = 0;
        uint64_t raw = put_tensor_head(&m, w, &w->o->constants[i]) + (uint64_t)m.buf.size;
        *size += 1 + varint_size(raw) + raw;
    }
    aki__buf_free(&m.buf);
    return m.ok;
}

/* The weights one after the other: into the graph, or (beside) into the second file. */
static bool write_weights(struct writer *w, struct sink *s, bool beside)
{
    static const char zeros[ALIGN];
    bool ok = true;

    w->at = 0;
    for (size_t i = 0; i < w->o->constant_count && ok && s->ok; i++) {
        struct aki__onnx_constant *c = &w->o->constants[i];
        struct message head = { .ok = true }, tag = { .ok = true };
        uint64_t before = w->at;
        size_t raw = put_tensor_head(&head, w, c);
        bool mine = is_beside(w, c) == beside, made = !c->data;
        if (beside && mine) {
            emit(s, zeros, (size_t)(w->at - c->size - before));
        } else if (!beside) {
            put_tag(&tag, 5, BYTES);
            put_varint(&tag, head.buf.size + raw);
            emit(s, tag.buf.data, tag.buf.size);
            emit(s, head.buf.data, head.buf.size);
        }
        ok = head.ok && tag.ok && (!mine || aki__onnx_fill(c));
        if (ok && mine)
            emit(s, c->data, c->size);
        if (made && c->data) {
            aki__free_aligned((void *)(uintptr_t)c->data);
            c->data = NULL;
            c->owned = false;
        }
        aki__buf_free(&head.buf);
        aki__buf_free(&tag.buf);
    }
    return ok;
}

static bool write_model(struct writer *w, struct sink *s, const char *name)
{
    struct message head = { .ok = true }, graph = { .ok = true }, opset = { .ok = true };
    uint64_t size = 0;

    for (size_t i = 0; i < w->o->node_count; i++)
        put_node(&graph, w->o, i);
    put_text(&graph, 2, name);
    for (int i = 0; i < w->o->input_count; i++)
        put_port(&graph, 11, &w->o->inputs[i]);
    for (int i = 0; i < w->o->output_count; i++)
        put_port(&graph, 12, &w->o->outputs[i]);
    put_int(&head, 1, IR_VERSION);
    put_text(&head, 2, "akiembed");
    put_text(&head, 3, aki_version());
    put_text(&opset, 1, "");
    put_int(&opset, 2, OPSET);
    put_message(&head, 8, &opset);
    bool ok = initializers_size(w, &size) && head.ok && graph.ok;
    put_tag(&head, 7, BYTES);
    put_varint(&head, graph.buf.size + size);
    if (ok && s->memory)
        ok = aki__buf_reserve(s->memory, head.buf.size + graph.buf.size + (size_t)size, SIZE_MAX);
    emit(s, head.buf.data, head.buf.size);
    emit(s, graph.buf.data, graph.buf.size);
    ok = ok && head.ok && write_weights(w, s, false);
    aki__buf_free(&head.buf);
    aki__buf_free(&graph.buf);
    return ok;
}

/* ---------------------------------------------------------------- face ------------------------------------------ */

aki_status aki__onnx_to_memory(struct aki__onnx *o, struct aki__buf *out, aki_error *err)
{
    struct writer w = { .o = o };
    struct sink s = { .memory = out, .ok = true };

    return write_model(&w, &s, "akiembed") && s.ok ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "graph");
}

/* One of the two files. */
static aki_status write_file(struct writer *w, const char *path, const char *name, bool beside, aki_error *err)
{
    struct sink s = { .f = aki__file_create(path), .ok = true };
    int why = errno;

    if (!s.f)
        return aki__fail(err, AKI_E_IO, "%s: cannot write: %s", path, aki__error_text(why));
    bool memory = beside ? write_weights(w, &s, true) : write_model(w, &s, name);
    why = errno;
    if (fclose(s.f) != 0) {
        s.ok = false;
        why = errno;
    }
    if (memory && s.ok)
        return AKI_OK;
    if (aki__is_file(path))                 /* a device is not ours to take away */
        aki__file_remove(path);
    return memory ? aki__fail(err, AKI_E_IO, "%s: cannot write: %s", path, aki__error_text(why)) : aki__fail(err, AKI_E_NOMEM, "%s", path);
}

aki_status aki__onnx_to_file(struct aki__onnx *o, const char *path, const char *name, uint64_t most, aki_error *err)
{
    const char *file = aki__last_part(path);
    struct writer w = { .o = o };
    struct aki__buf side = { 0 };
    uint64_t size = 0;

    for (size_t i = 0; i < o->constant_count; i++)
        size += o->constants[i].size;
    if (size <= most)
        return write_file(&w, path, name, false, err);
    if (!aki__buf_append(&side, path, strlen(path), SIZE_MAX) || !aki__buf_append(&side, ".data", 6, SIZE_MAX)) {
        aki__buf_free(&side);
        return aki__fail(err, AKI_E_NOMEM, "%s", path);
    }
    w.side = side.data + (file - path);
    aki_status rc = write_file(&w, side.data, name, true, err);
    if (!rc) {
        rc = write_file(&w, path, name, false, err);
        if (rc)
            aki__file_remove(side.data);
    }
    aki__buf_free(&side);
    return rc;
}
