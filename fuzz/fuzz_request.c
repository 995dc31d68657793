/* Fuzzes the server's readers of request bodies: the first byte says which route's, the rest is the body. */
#include "fuzz.h"

#include "request.h"

#include <stdlib.h>
#include <string.h>

static void check_input(const struct request_input *in, const char *body, size_t size)
{
    if (in->text) {
        FUZZ_CHECK(in->text >= body && in->text + in->size <= body + size);
        FUZZ_CHECK(in->text[in->size] == '\0' && aki__utf8_check(in->text, in->size) == AKI_UTF8_VALID);
        return;
    }
    for (size_t i = 0; i < in->count; i++) {
        int64_t id;
        FUZZ_CHECK(aki__json_int_in(in->ids + i, 0, INT32_MAX, &id));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct request_limits limits = { 8, 64 };
    struct problem p = { 0 };
    struct request r;
    struct aki__buf out = { 0 };

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
        FUZZ_CHECK(aki__utf8_check(p.message, strlen(p.message)) == AKI_UTF8_VALID);
        /* What is said of it is JSON itself. */
        struct aki__json_doc doc;
        struct aki__json_problem j;
        problem_write(&out, &p, r.family);
        buf_add(&out, "", 1);
        FUZZ_CHECK(aki__json_read_in_place(&doc, out.data, out.size - 1, 0, JSON_DEPTH, &j));
        aki__json_free(&doc);
    }
    request_free(&r);
    aki__buf_free(&out);
    free(body);
    return 0;
}
