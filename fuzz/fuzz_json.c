/* Fuzzes the JSON reader: the tree it builds is whole, and written out and read again it is the same tree. */
#include "fuzz.h"

#include "base/json.h"

#include <stdio.h>

#define CEILING ((size_t)1 << 28)

static void write(struct aki__buf *b, const void *bytes, size_t size) { FUZZ_CHECK(aki__buf_append(b, bytes, size, CEILING)); }

static void write_string(struct aki__buf *b, const struct aki__json *node)
{
    char escaped[8];

    write(b, "\"", 1);
    for (uint32_t i = 0; i < node->size; i++) {
        unsigned char c = (unsigned char)node->text[i];
        if (c < 0x20 || c == '"' || c == '\\')
            write(b, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", c));
        else
            write(b, &node->text[i], 1);
    }
    write(b, "\"", 1);
}

/* The value at node; answers the node behind it, which must be node + skip. */
static const struct aki__json *write_value(struct aki__buf *b, const struct aki__json *node)
{
    static const char *const words[] = { "null", "false", "true" };
    const struct aki__json *e = node + 1;

    switch ((enum aki__json_kind)node->kind) {
    case AKI_JSON_NULL: case AKI_JSON_FALSE: case AKI_JSON_TRUE:
        write(b, words[node->kind], strlen(words[node->kind]));
        break;
    case AKI_JSON_NUMBER:
        write(b, node->text, node->size);
        break;
    case AKI_JSON_STRING:
        write_string(b, node);
        break;
    case AKI_JSON_ARRAY: case AKI_JSON_OBJECT:
        write(b, node->kind == AKI_JSON_ARRAY ? "[" : "{", 1);
        for (uint32_t i = 0; i < node->size; i++) {
            if (i)
                write(b, ",", 1);
            if (node->kind == AKI_JSON_OBJECT) {
                FUZZ_CHECK(e->kind == AKI_JSON_STRING);
                e = write_value(b, e);
                write(b, ":", 1);
            }
            e = write_value(b, e);
        }
        write(b, node->kind == AKI_JSON_ARRAY ? "]" : "}", 1);
        break;
    }
    FUZZ_CHECK(e == node + node->skip);
    return e;
}

static void check_same(const struct aki__json_doc *a, const struct aki__json_doc *b)
{
    FUZZ_CHECK(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct aki__json *x = &a->nodes[i], *y = &b->nodes[i];
        FUZZ_CHECK(x->kind == y->kind && x->size == y->size && x->skip == y->skip);
        if (x->kind == AKI_JSON_NUMBER || x->kind == AKI_JSON_STRING)
            FUZZ_CHECK(memcmp(x->text, y->text, x->size) == 0);
    }
}

/* Whatever a node is, asking it anything is fine; what it answers must agree. */
static void check_readers(const struct aki__json_doc *doc, size_t source_size)
{
    for (size_t i = 0; i < doc->count; i++) {
        const struct aki__json *n = &doc->nodes[i];
        int64_t whole;
        double number;
        bool truth;
        FUZZ_CHECK(n->offset < source_size);
        FUZZ_CHECK(!aki__json_int(n, &whole) || (aki__json_double(n, &number) && number == (double)whole));
        FUZZ_CHECK(aki__json_bool(n, &truth) == (n->kind == AKI_JSON_TRUE || n->kind == AKI_JSON_FALSE));
        FUZZ_CHECK(!aki__json_get(n, "a") || n->kind == AKI_JSON_OBJECT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct aki__json_doc doc, again;
    struct aki__buf out = { 0 };
    aki_error e = { 0 };

    aki_status rc = aki__json_parse(&doc, (const char *)data, size, "fuzz.json", &e);
    if (rc) {
        FUZZ_CHECK(rc == AKI_E_INVALID && e.offset <= size && e.message[0]);
    } else {
        check_readers(&doc, size);
        FUZZ_CHECK(write_value(&out, doc.nodes) == doc.nodes + doc.count);
        FUZZ_CHECK(aki__json_parse(&again, out.data, out.size, "again.json", &e) == AKI_OK);
        check_same(&doc, &again);
        aki__json_free(&again);
        aki__buf_free(&out);
    }
    aki__json_free(&doc);
    return 0;
}
