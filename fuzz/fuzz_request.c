/* Fuzzes the server's readers of request bodies: the first byte says which route's, the rest is the body. */
#include "fuzz.h"

#include "request.h"

#include <stdlib.h>
#include <string.h>

static void check_input(const struct request_input *in, const char *body, size_t size)
{
    if (in->text) {
        FUZZ_CHECK(in->text >= body && in->text + in->size <= body + size);
        FUZZ_CHECK(in->text[in->size] == '\0' && text_check(in->text, in->size) == SIZE_MAX);
        return;
    }
    for (size_t i = 0; i < in->count; i++) {
        int64_t id;
        FUZZ_CHECK(json_int(in->ids + i, 0, INT32_MAX, &id));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct request_limits limits = { 8, 64 };
    struct problem p = { 0 };
    struct request r;
    struct buf out = { 0 };

    if (!size)
        return 0;
    enum body_kind kind = (enum body_kind)(data[0] % (BODY_SHOW + 1));
    char *body = malloc(size);                               /* the body, and a byte of room */
    FUZZ_CHECK(body);
    memcpy(body, data + 1, size - 1);
    if (request_read(&r, kind, body, size - 1, &limits, &p)) {
        FUZZ_CHECK(!p.status && r.count <= 65);
        for (size_t i = 0; i < r.count; i++)
            check_input(&r.inputs[i], body, size);
    } else {
        FUZZ_CHECK(p.status >= 400 && p.status < 500 && p.type && p.message[0]);
        FUZZ_CHECK(text_check(p.message, strlen(p.message)) == SIZE_MAX);
        /* What is said of it is JSON itself. */
        struct json_doc doc;
        struct json_problem j;
        problem_write(&out, &p, r.family);
        buf_add(&out, "", 1);
        FUZZ_CHECK(json_parse(&doc, out.data, out.size - 1, &j));
        json_free(&doc);
    }
    request_free(&r);
    buf_free(&out);
    free(body);
    return 0;
}
