/* Tests of the server's reader and writer of JSON: what RFC 8259 takes and refuses, with the place, and requests read from it. */
#include "embedded.h"
#include "http.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A body in a block of its own size and one byte, so that the sanitizers see a step past it. */
static char *copy_of(const char *text, size_t size)
{
    char *copy = malloc(size + 1);

    assert_non_null(copy);
    memcpy(copy, text, size);
    copy[size] = 'X';
    return copy;
}

static void test_refused(void **state)
{
    static const struct { const char *text; size_t offset, line, column; const char *what; } rows[] = {
        { "", 0, 1, 1, "EOF while parsing a value" },       { "  ", 2, 1, 3, "EOF while parsing a value" },
        { "x", 0, 1, 1, "expected value" },                 { "nul", 0, 1, 1, "expected value" },
        { "NaN", 0, 1, 1, "expected value" },               { "[1,]", 3, 1, 4, "expected value" },
        { "[1 2]", 3, 1, 4, "expected `,` or `]`" },        { "[1", 2, 1, 3, "EOF while parsing a list" },
        { "{\"a\":1", 6, 1, 7, "EOF while parsing an object" }, { "{\"a\" 1}", 5, 1, 6, "expected `:`" },
        { "{a:1}", 1, 1, 2, "key must be a string" },       { "{\"a\":1,}", 7, 1, 8, "key must be a string" },
        { "{\"a\":1,\n \"a\":2}", 9, 2, 2, "duplicate field" },
        { "[\"\\n\\n\",\n\"\\n\\q\"]", 12, 2, 4, "invalid escape" }, { "[\"\\n\\n\",\n\"\\n\",x]", 14, 2, 6, "expected value" },
        { "{\"a\":\"\\n\",\n \"a\":\"\\n\"}", 12, 2, 2, "duplicate field" }, { "{\"a\":1,\"\\u0061\":2}", 7, 1, 8, "duplicate field" },
        { "01", 0, 1, 1, "invalid number" },                { "-", 0, 1, 1, "invalid number" },
        { "1.", 0, 1, 1, "invalid number" },                { "1e", 0, 1, 1, "invalid number" },
        { ".5", 0, 1, 1, "expected value" },                { "+1", 0, 1, 1, "expected value" },
        { "1 2", 2, 1, 3, "trailing characters" },          { "\"a", 2, 1, 3, "EOF while parsing a string" },
        { "\"\n\"", 1, 1, 2, "control character while parsing a string" },
        { "\"\\q\"", 1, 1, 2, "invalid escape" },           { "\"\\", 1, 1, 2, "invalid escape" },
        { "\"\\u12", 1, 1, 2, "invalid escape" },           { "\"\\ud800\"", 1, 1, 2, "lone surrogate in an escape" },
        { "\"\\udc00\"", 1, 1, 2, "lone surrogate in an escape" }, { "\"\\ud800\\u0041\"", 1, 1, 2, "lone surrogate in an escape" },
        { "\"a\xff\"", 2, 1, 3, "invalid unicode code point" }, { "\"\xed\xa0\x80\"", 1, 1, 2, "invalid unicode code point" },
        { "\"\xc0\x80\"", 1, 1, 2, "invalid unicode code point" }, { "\"\xf4\x90\x80\x80\"", 1, 1, 2, "invalid unicode code point" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aki__json_doc doc;
        struct aki__json_problem p;
        char *body = copy_of(rows[i].text, strlen(rows[i].text));
        if (aki__json_read_in_place(&doc, body, strlen(rows[i].text), 0, JSON_DEPTH, &p))
            fail_msg("accepted: %s", rows[i].text);
        if (strcmp(json_words(p.error), rows[i].what) || p.offset != rows[i].offset || p.line != rows[i].line || p.column != rows[i].column)
            fail_msg("%s: %s at %zu, %zu:%zu", rows[i].text, json_words(p.error), p.offset, p.line, p.column);
        aki__json_free(&doc);
        free(body);
    }
}

static void test_depth(void **state)
{
    (void)state;
    for (int depth = JSON_DEPTH - 1; depth <= JSON_DEPTH + 1; depth++) {
        struct aki__json_doc doc;
        struct aki__json_problem p;
        char body[2 * (JSON_DEPTH + 1) + 1];
        memset(body, '[', (size_t)depth);
        memset(body + depth, ']', (size_t)depth);
        bool ok = aki__json_read_in_place(&doc, body, 2 * (size_t)depth, 0, JSON_DEPTH, &p);
        assert_int_equal(ok, depth <= JSON_DEPTH);
        aki__json_free(&doc);
    }
}

static void test_values(void **state)
{
    static const char text[] = " {\"s\": \"a\\u00e4\\ud83d\\ude00\\n\\u0000b\", \"e\":[], \"a\":[1,[2,3],{\"x\":null}], \"t\":true, \"n\":-1.5e3 } ";
    static const char want[] = "a\xc3\xa4\xf0\x9f\x98\x80\n\0b";
    struct aki__json_doc doc;
    struct aki__json_problem p;
    char *body = copy_of(text, sizeof text - 1);
    int64_t n;

    (void)state;
    assert_true(aki__json_read_in_place(&doc, body, sizeof text - 1, 0, JSON_DEPTH, &p));
    const struct aki__json *s = aki__json_get(doc.nodes, "s"), *a = aki__json_get(doc.nodes, "a");
    assert_int_equal(s->kind, AKI_JSON_STRING);
    assert_int_equal(s->size, sizeof want - 1);
    assert_memory_equal(s->text, want, sizeof want);                  /* the NUL behind it too */
    assert_int_equal(aki__json_get(doc.nodes, "e")->size, 0);
    assert_int_equal(a->size, 3);
    assert_int_equal(a[1].kind, AKI_JSON_NUMBER);
    assert_int_equal(a[2].size, 2);
    assert_int_equal(a[2].skip, 3);
    assert_int_equal(aki__json_get(a + 5, "x")->kind, AKI_JSON_NULL);
    assert_int_equal(aki__json_get(doc.nodes, "t")->kind, AKI_JSON_TRUE);
    assert_true(aki__json_int_in(aki__json_get(doc.nodes, "n"), -2000, 0, &n));
    assert_int_equal(n, -1500);
    assert_null(aki__json_get(doc.nodes, "x"));
    assert_null(aki__json_get(a, "x"));
    assert_null(aki__json_get(NULL, "x"));
    aki__json_free(&doc);
    free(body);
}

static void test_int(void **state)
{
    static const struct { const char *text; bool ok; int64_t value; } rows[] = {
        { "0", true, 0 }, { "8.0", true, 8 }, { "1e2", true, 100 }, { "-0", true, 0 }, { "1.5", false, 0 }, { "1e400", false, 0 },
        { "9007199254740993", false, 0 }, { "101", false, 0 }, { "-1", false, 0 }, { "\"1\"", false, 0 }, { "true", false, 0 },
        { "0000", false, 0 }, { "1000000000000000000000000000000000000000000000000000000", false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aki__json_doc doc;
        struct aki__json_problem p;
        char *body = copy_of(rows[i].text, strlen(rows[i].text));
        int64_t value = -7;
        bool ok = aki__json_read_in_place(&doc, body, strlen(rows[i].text), 0, JSON_DEPTH, &p) && aki__json_int_in(doc.nodes, 0, 100, &value);
        assert_int_equal(ok, rows[i].ok);
        assert_int_equal(value, rows[i].ok ? rows[i].value : -7);
        aki__json_free(&doc);
        free(body);
    }
}

static size_t write_f32(char *out, float value)
{
    return (size_t)snprintf(out, 32, "%.9g", (double)value);
}

static void test_written(void **state)
{
    static const float values[] = { 1.5f, -FLT_MAX, FLT_TRUE_MIN, 0 };
    struct aki__buf b = { 0 };

    (void)state;
    json_string(&b, "a\"\\\x01\x7f\n\xc3\xa4", 8);
    json_floats(&b, values, 4, write_f32);
    json_base64(&b, values, 1);
    json_base64(&b, values, 2);
    json_base64(&b, values, 3);
    json_base64(&b, values, 0);
    assert_false(b.failed);
    buf_add(&b, "", 1);
    assert_string_equal(b.data, "\"a\\\"\\\\\\u0001\\u007f\\n\xc3\xa4\"[1.5,-3.40282347e+38,1.40129846e-45,0]\"AADAPw==\"\"AADAP///f/8=\""
                                "\"AADAP///f/8BAAAA\"\"\"");
    aki__buf_free(&b);
}

static bool read_request(struct request *r, enum body_kind kind, const char *text, char **body, struct problem *p)
{
    const struct request_limits limits = { 3, 4 };

    memset(p, 0, sizeof *p);
    *body = copy_of(text, strlen(text));
    return request_read(r, kind, *body, strlen(text), &limits, p);
}

static void test_requests(void **state)
{
    static const struct { enum body_kind kind; const char *text; int status; enum family family; size_t count; } rows[] = {
        { BODY_EMBED, "{\"inputs\":\"a\"}", 0, FAMILY_TEI, 1 },
        { BODY_EMBED, "{\"inputs\":[\"a\",[1,2],\"b\"]}", 0, FAMILY_TEI, 3 },
        { BODY_EMBED, "{\"inputs\":[1,2,3,4,5]}", 0, FAMILY_TEI, 1 },
        { BODY_EMBED, "{\"texts\":[\"a\"],\"inputs\":null}", 0, FAMILY_AKIDB, 1 },
        { BODY_EMBED, "{\"texts\":[[1]]}", 422, FAMILY_AKIDB, 0 },
        { BODY_EMBED, "{\"texts\":[],\"inputs\":[]}", 400, FAMILY_TEI, 0 },
        { BODY_EMBED, "{\"inputs\":[\"a\",\"b\",\"c\",\"d\"]}", 422, FAMILY_TEI, 0 },
        { BODY_EMBED, "{\"inputs\":[[]]}", 400, FAMILY_TEI, 0 },
        { BODY_EMBED, "{\"inputs\":{}}", 422, FAMILY_TEI, 0 },
        { BODY_EMBED, "{\"inputs\":\"a\",\"normalize\":1}", 422, FAMILY_TEI, 0 },
        { BODY_EMBED, "7", 422, FAMILY_TEI, 0 },
        { BODY_OPENAI, "{\"input\":[\"a\",\"b\",\"c\",\"d\"]}", 0, FAMILY_OPENAI, 4 },
        { BODY_OPENAI, "{\"input\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}", 422, FAMILY_OPENAI, 0 },
        { BODY_OPENAI, "{", 400, FAMILY_OPENAI, 0 },
        { BODY_OLLAMA, "{\"input\":\"\"}", 0, FAMILY_OLLAMA, 0 },
        { BODY_OLLAMA, "{}", 0, FAMILY_OLLAMA, 0 },
        { BODY_OLLAMA_OLD, "{\"prompt\":\"a\"}", 0, FAMILY_OLLAMA, 1 },
        { BODY_OLLAMA, "{\"input\":[1]}", 422, FAMILY_OLLAMA, 0 },
        { BODY_SIMILARITY, "{\"inputs\":{\"source_sentence\":\"a\",\"sentences\":[\"b\",\"c\"]}}", 0, FAMILY_TEI, 3 },
        { BODY_SIMILARITY, "{\"inputs\":{\"source_sentence\":\"a\",\"sentences\":[1,2]}}", 422, FAMILY_TEI, 0 },
        { BODY_SIMILARITY, "{\"inputs\":\"a\"}", 422, FAMILY_TEI, 0 },
        { BODY_DECODE, "{\"ids\":[[1],[2,3]]}", 0, FAMILY_TEI, 2 },
        { BODY_DECODE, "{\"ids\":[]}", 400, FAMILY_TEI, 0 },
        { BODY_DECODE, "{\"ids\":[\"a\"]}", 422, FAMILY_TEI, 0 },
        { BODY_SHOW, "{\"name\":\"x\"}", 0, FAMILY_OLLAMA, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct request r;
        struct problem p;
        char *body;
        bool ok = read_request(&r, rows[i].kind, rows[i].text, &body, &p);
        if (ok != !rows[i].status || p.status != rows[i].status || r.family != rows[i].family || (ok && r.count != rows[i].count))
            fail_msg("%s: %d %s, family %d, %zu inputs", rows[i].text, p.status, p.message, (int)r.family, r.count);
        request_free(&r);
        free(body);
    }
}

/* ---------------------------------------------------------------- openapi.json ---------------------------------- */

static bool says(const char *name, const struct aki__json *properties)
{
    const struct aki__json *found = aki__json_get(properties, name);

    return found && found->kind == AKI_JSON_OBJECT;
}

/* The members of one schema are those that its route's reader knows. */
static void compare_members(const char *path, const struct aki__json *properties, unsigned bodies, const struct aki__json *also)
{
    assert_non_null(properties);
    for (size_t i = 0; i < member_count; i++)
        if (member_table[i].bodies & bodies && !says(member_table[i].name, properties) && !says(member_table[i].name, also))
            fail_msg("%s: `%s` is read and not described", path, member_table[i].name);
    const struct aki__json *key = properties + 1;
    for (uint32_t i = 0; i < properties->size; i++) {
        bool known = false;
        for (size_t k = 0; k < member_count; k++)
            known |= member_table[k].bodies & bodies && !strcmp(member_table[k].name, key->text);
        if (!known)
            fail_msg("%s: `%s` is described and not read", path, key->text);
        key += 1 + key[1].skip;
    }
}

static const struct aki__json *schema_at(const struct aki__json *top, const struct aki__json *node)
{
    const struct aki__json *ref = aki__json_get(node, "$ref");

    assert_non_null(ref);
    return aki__json_get(aki__json_get(aki__json_get(top, "components"), "schemas"), strrchr(ref->text, '/') + 1);
}

static void compare_route(const struct aki__json *top, const struct route *r)
{
    const struct aki__json *post = aki__json_get(aki__json_get(aki__json_get(top, "paths"), r->path), "post");
    const struct aki__json *content = aki__json_get(aki__json_get(aki__json_get(post, "requestBody"), "content"), "application/json");
    const struct aki__json *schema = aki__json_get(content, "schema"), *choice = aki__json_get(schema, "oneOf"), *other = NULL;

    if (!schema)
        fail_msg("%s: not described", r->path);
    if (choice) {
        assert_int_equal(choice->size, 2);
        other = aki__json_get(schema_at(top, choice + 1 + choice[1].skip), "properties");
    }
    const struct aki__json *properties = aki__json_get(schema_at(top, choice ? choice + 1 : schema), "properties");
    compare_members(r->path, properties, 1u << r->body, other);
    if (other)
        compare_members(r->path, other, 1u << r->body, properties);
    const struct aki__json *parameters = aki__json_get(aki__json_get(properties, "parameters"), "properties");
    if (r->body == BODY_SIMILARITY)
        compare_members("/similarity: parameters", parameters, 1u << r->body, properties);
}

/* /openapi.json describes every member that a route reads, and no other. */
static void test_openapi(void **state)
{
    struct aki__json_doc doc;
    struct aki__json_problem problem;
    char *body = copy_of((const char *)embedded_openapi, embedded_openapi_size);
    size_t compared = 0;

    (void)state;
    assert_true(aki__json_read_in_place(&doc, body, embedded_openapi_size, 0, JSON_DEPTH, &problem));
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &route_table[i];
        bool other_kind = !strcmp(r->path, "/embed_sparse");
        if (strcmp(r->method, "POST") || other_kind)
            continue;
        compare_route(doc.nodes, r);
        compared++;
    }
    assert_int_equal(compared, 21);
    aki__json_free(&doc);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_depth),   cmocka_unit_test(test_values),
        cmocka_unit_test(test_int),     cmocka_unit_test(test_written), cmocka_unit_test(test_requests),
        cmocka_unit_test(test_openapi),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
