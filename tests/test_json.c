/* Tests of base/json: what is accepted, what is refused and where, and how nodes are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

/* Parses exactly size bytes in a block of that size, so that a sanitizer sees a read behind the end. */
static aki_status parse(struct aki__json_doc *doc, char **copy, const char *text, size_t size, aki_error *e)
{
    *copy = malloc(size ? size : 1);
    assert_non_null(*copy);
    memcpy(*copy, text, size);
    return aki__json_parse(doc, *copy, size, "t.json", e);
}

static void drop(struct aki__json_doc *doc, char *copy)
{
    aki__json_free(doc);
    assert_null(doc->nodes);
    free(copy);
}

static void test_valid_rows(void **state)
{
    static const struct { const char *text; enum aki__json_kind kind; uint32_t size; } rows[] = {
        { "null", AKI_JSON_NULL, 0 }, { "true", AKI_JSON_TRUE, 0 }, { "false", AKI_JSON_FALSE, 0 },
        { "0", AKI_JSON_NUMBER, 1 }, { "-0", AKI_JSON_NUMBER, 2 }, { "-12.50e+3", AKI_JSON_NUMBER, 9 }, { "1E9", AKI_JSON_NUMBER, 3 },
        { "\"\"", AKI_JSON_STRING, 0 }, { " \t\r\n\"a\" ", AKI_JSON_STRING, 1 },
        { "\"\xF0\x9F\x98\x80\"", AKI_JSON_STRING, 4 }, { "\"\x7F\"", AKI_JSON_STRING, 1 },
        { "[]", AKI_JSON_ARRAY, 0 }, { "[ ]", AKI_JSON_ARRAY, 0 }, { "[1]", AKI_JSON_ARRAY, 1 }, { "[[],{},[[]]]", AKI_JSON_ARRAY, 3 },
        { "{}", AKI_JSON_OBJECT, 0 }, { "{ }", AKI_JSON_OBJECT, 0 }, { "{\"a\":1}", AKI_JSON_OBJECT, 1 },
        { "{ \"a\" : [ ] , \"b\" : { } }", AKI_JSON_OBJECT, 2 }, { "{\"\":null}", AKI_JSON_OBJECT, 1 },
        { "{\"a\":{\"a\":1},\"b\":{\"a\":1}}", AKI_JSON_OBJECT, 2 },      /* the same key in other objects */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aki__json_doc doc;
        aki_error e;
        char *copy;
        if (parse(&doc, &copy, rows[i].text, strlen(rows[i].text), &e) != AKI_OK)
            fail_msg("row %zu: %s", i, e.message);
        assert_int_equal(doc.nodes[0].kind, rows[i].kind);
        assert_int_equal(doc.nodes[0].size, rows[i].size);
        assert_int_equal(doc.nodes[0].skip, doc.count);
        drop(&doc, copy);
    }
}

static void test_strings_are_decoded(void **state)
{
    static const struct { const char *text, *decoded; size_t size; } rows[] = {
        { "\"a\\nb\"", "a\nb", 3 },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8 },
        { "\"\\u0041\\u00e9\\u4f60\"", "A\xC3\xA9\xE4\xBD\xA0", 6 },
        { "\"\\ud83d\\ude00\"", "\xF0\x9F\x98\x80", 4 },
        { "\"\\uDBFF\\uDFFF!\"", "\xF4\x8F\xBF\xBF!", 5 },
        { "\"a\\u0000b\"", "a\0b", 3 },
        { "\"\\uFFFF\\ue000\"", "\xEF\xBF\xBF\xEE\x80\x80", 6 },
        { "\"tail \\t of plain text\"", "tail \t of plain text", 20 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aki__json_doc doc;
        aki_error e;
        char *copy;
        if (parse(&doc, &copy, rows[i].text, strlen(rows[i].text), &e) != AKI_OK)
            fail_msg("row %zu: %s", i, e.message);
        assert_int_equal(doc.nodes[0].size, rows[i].size);
        assert_memory_equal(doc.nodes[0].text, rows[i].decoded, rows[i].size);
        drop(&doc, copy);
    }
}

/* Several decoded strings share one block, and an escape may stand in a key. */
static void test_decoded_strings_stay_apart(void **state)
{
    static const char text[] = "{\"k\\u00e9y\":\"one\\n\",\"plain\":\"two\",\"x\":[\"\\t\",\"\\u4f60\\u597d\"]}";
    struct aki__json_doc doc;
    aki_error e;
    char *copy;

    (void)state;
    assert_int_equal(parse(&doc, &copy, text, sizeof text - 1, &e), AKI_OK);
    assert_true(aki__json_equals(aki__json_get(doc.nodes, "k\xC3\xA9y"), "one\n"));
    assert_true(aki__json_equals(aki__json_get(doc.nodes, "plain"), "two"));
    const struct aki__json *x = aki__json_first(aki__json_get(doc.nodes, "x"));
    assert_true(aki__json_equals(x, "\t"));
    assert_true(aki__json_equals(aki__json_next(x), "\xE4\xBD\xA0\xE5\xA5\xBD"));
    drop(&doc, copy);
}

static void test_invalid_rows_name_the_byte(void **state)
{
    static const struct { const char *text; size_t size, at; const char *what; } rows[] = {
        { "version https://git-lfs.github.com/spec/v1\noid", 46, 0, "only a pointer to the file, as Git LFS leaves it: run git lfs pull" },
        { "", 0, 0, "ends too early" }, { "  \n ", 4, 4, "ends too early" },
        { "nul", 3, 0, "not a valid value" }, { "True", 4, 0, "not a valid value" }, { "nan", 3, 0, "not a valid value" },
        { "'a'", 3, 0, "not a valid value" }, { "+1", 2, 0, "not a valid value" }, { "-", 1, 0, "not a valid value" },
        { "01", 2, 0, "not a valid value" }, { "-01", 3, 0, "not a valid value" }, { ".5", 2, 0, "not a valid value" },
        { "1.", 2, 0, "not a valid number" }, { "1.e5", 4, 0, "not a valid number" }, { "1e", 2, 0, "not a valid number" },
        { "1e+", 3, 0, "not a valid number" }, { "0x10", 4, 1, "behind the end" }, { "1 2", 3, 2, "behind the end" },
        { "{} x", 4, 3, "behind the end" }, { "[] ]", 4, 3, "behind the end" }, { "null\0", 5, 4, "behind the end" },
        { "[", 1, 1, "ends too early" }, { "[1", 2, 2, "ends too early" }, { "[1,", 3, 3, "ends too early" },
        { "[1,]", 4, 3, "not a valid value" }, { "[,1]", 4, 1, "not a valid value" }, { "[1 2]", 5, 3, "expected a comma" },
        { "[1}", 3, 2, "expected a comma" }, { "{]", 2, 1, "expected a key" }, { "]", 1, 0, "not a valid value" },
        { "{", 1, 1, "ends too early" }, { "{1:2}", 5, 1, "expected a key" }, { "{a:1}", 5, 1, "expected a key" },
        { "{\"a\"}", 5, 4, "expected a colon" }, { "{\"a\" 1}", 7, 5, "expected a colon" }, { "{\"a\":}", 6, 5, "not a valid value" },
        { "{\"a\":", 5, 5, "ends too early" }, { "{\"a\"", 4, 4, "expected a colon" }, { "{\"a\":1,}", 8, 7, "expected a key" },
        { "{\"a\":1 \"b\":2}", 13, 7, "expected a comma" }, { "{\"a\":1,\"a\":2}", 13, 7, "stands twice" },
        { "{\"b\":0,\"\\u0061\":1,\"a\":2}", 24, 18, "stands twice" },
        { "\"", 1, 1, "does not end" }, { "\"abc", 4, 4, "does not end" }, { "\"a\\", 3, 2, "not a valid escape" },
        { "\"\\x\"", 4, 1, "not a valid escape" }, { "\"\\u12\"", 6, 1, "not a valid escape" },
        { "\"\\u12g4\"", 8, 1, "not a valid escape" }, { "\"\\u", 3, 1, "not a valid escape" }, { "\"\\u123", 6, 1, "not a valid escape" },
        { "\"\\ud83d\"", 8, 1, "not a valid escape" }, { "\"\\ud83d\\n\"", 10, 1, "not a valid escape" },
        { "\"\\ud83d\\u0041\"", 14, 1, "not a valid escape" }, { "\"x\\ude00\"", 9, 2, "not a valid escape" },
        { "\"a\nb\"", 5, 2, "control character" }, { "\"a\0b\"", 5, 2, "control character" }, { "\"\\n\x1F\"", 5, 3, "control character" },
        { "\"a\xFF\"", 4, 2, "not valid UTF-8" }, { "[\"\xC0\x80\"]", 6, 2, "not valid UTF-8" }, { "\xEF\xBB\xBF{}", 5, 0, "a byte order mark" },
        { "/* */1", 6, 0, "not a valid value" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aki__json_doc doc;
        aki_error e = { 0 };
        char *copy, where[40];
        if (parse(&doc, &copy, rows[i].text, rows[i].size, &e) != AKI_E_INVALID)
            fail_msg("row %zu is accepted", i);
        snprintf(where, sizeof where, "byte %zu: ", rows[i].at);
        if (e.offset != rows[i].at || !strstr(e.message, where) || !strstr(e.message, rows[i].what) || strncmp(e.message, "t.json: ", 8) != 0)
            fail_msg("row %zu: expected byte %zu, %s; got: %s", i, rows[i].at, rows[i].what, e.message);
        drop(&doc, copy);
    }
}

static void test_messages_name_the_line(void **state)
{
    static const char text[] = "{\n  \"a\": 1,\n  \"b\": x\n}";
    struct aki__json_doc doc;
    aki_error e;
    char *copy;

    (void)state;
    assert_int_equal(parse(&doc, &copy, text, sizeof text - 1, &e), AKI_E_INVALID);
    assert_string_equal(e.message, "t.json: JSON, line 3, byte 19: not a valid value");
    drop(&doc, copy);
    assert_int_equal(parse(&doc, &copy, text, sizeof text - 1, NULL), AKI_E_INVALID);
    drop(&doc, copy);
}

static void test_depth_has_a_limit(void **state)
{
    char text[2 * AKI_JSON_MAX_DEPTH + 8];

    (void)state;
    for (int depth = AKI_JSON_MAX_DEPTH - 1; depth <= AKI_JSON_MAX_DEPTH + 1; depth++) {
        struct aki__json_doc doc;
        aki_error e = { 0 };
        char *copy;
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        aki_status rc = parse(&doc, &copy, text, 2 * (size_t)depth, &e);
        assert_int_equal(rc, depth <= AKI_JSON_MAX_DEPTH ? AKI_OK : AKI_E_INVALID);
        if (rc) {
            assert_int_equal(e.offset, AKI_JSON_MAX_DEPTH);
            assert_non_null(strstr(e.message, "nested too deeply"));
        }
        drop(&doc, copy);
    }
}

/* A megabyte of opening brackets ends at the limit, whatever stands behind. */
static void test_hostile_depth(void **state)
{
    size_t size = 1 << 20;
    char *text = malloc(size), *copy;
    struct aki__json_doc doc;
    aki_error e;

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < size; i++)
        text[i] = "[{\"a\":"[i % 6];
    assert_int_equal(parse(&doc, &copy, text, size, &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "nested too deeply"));
    drop(&doc, copy);
    free(text);
}

/* An object of so many members, whose last key is the first one again where twice. */
static size_t many_keys(char *text, size_t room, int members, const char *value, bool twice)
{
    size_t size = 0;

    for (int i = 0; i < members; i++)
        size += (size_t)snprintf(text + size, room - size, "%s\"k%d\":%s", i ? "," : "{", twice && i == members - 1 ? 0 : i, value);
    text[size++] = '}';
    return size;
}

/* The second of two keys is named, however large the object is; a vocabulary is left to its reader where all its values are numbers. */
static void test_duplicates(void **state)
{
    static const int sizes[] = { 2, 32, 33, 64, 65, 300, 100000 };
    size_t room = 3000000;
    char *text = malloc(room);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int twice = 0; twice < 2; twice++)
            for (int number = 0; number < 2; number++) {
                size_t size = many_keys(text, room, sizes[i], number ? "0" : "null", twice);
                struct aki__json_doc doc;
                aki_error e = { 0 };
                assert_int_equal(aki__json_parse(&doc, text, size, "t.json", &e), twice ? AKI_E_INVALID : AKI_OK);
                if (twice) {
                    const char *last = text + size - strlen(number ? "\"k0\":0}" : "\"k0\":null}");
                    assert_int_equal(e.offset, last - text);
                    assert_non_null(strstr(e.message, "the key stands twice"));
                }
                aki__json_free(&doc);
                bool left = number && sizes[i] > 32;
                assert_int_equal(aki__json_parse_vocabulary(&doc, text, size, "t.json", &e), twice && !left ? AKI_E_INVALID : AKI_OK);
                aki__json_free(&doc);
            }
    free(text);
}

/* Two bytes of a file are a node of ours: there is an end to that. */
static void test_nodes_have_a_limit(void **state)
{
    size_t size = 2 * AKI_JSON_MAX_NODES + 1;
    char *text = malloc(size);
    struct aki__json_doc doc;
    aki_error e = { 0 };

    (void)state;
    assert_non_null(text);
    text[0] = '[';
    for (size_t i = 1; i < size; i += 2)
        memcpy(text + i, "0,", 2);
    text[size - 1] = ']';
    assert_int_equal(aki__json_parse(&doc, text, size, "t.json", &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "more than 8388608 values"));
    assert_int_equal(doc.count, AKI_JSON_MAX_NODES);
    aki__json_free(&doc);
    text[size - 3] = ']';
    assert_int_equal(aki__json_parse(&doc, text, size - 2, "t.json", &e), AKI_OK);
    aki__json_free(&doc);
    free(text);
}

static void test_walking(void **state)
{
    static const char text[] = "{\"a\":[1,[2,3],{\"x\":{}}],\"b\":{\"c\":\"d\"},\"e\":null}";
    struct aki__json_doc doc;
    aki_error e;
    char *copy;

    (void)state;
    assert_int_equal(parse(&doc, &copy, text, sizeof text - 1, &e), AKI_OK);
    const struct aki__json *a = aki__json_get(doc.nodes, "a"), *b = aki__json_get(doc.nodes, "b"), *child;
    assert_int_equal(a->size, 3);
    assert_int_equal(a->offset, 5);
    child = aki__json_first(a);
    assert_int_equal(child->kind, AKI_JSON_NUMBER);
    child = aki__json_next(child);
    assert_int_equal(child->kind, AKI_JSON_ARRAY);
    child = aki__json_next(child);
    assert_int_equal(child->kind, AKI_JSON_OBJECT);
    assert_ptr_equal(aki__json_next(a)->text, aki__json_first(doc.nodes)[a->skip + 1].text);
    assert_true(aki__json_equals(aki__json_next(a), "b"));
    assert_true(aki__json_equals(aki__json_get(b, "c"), "d"));
    assert_false(aki__json_equals(aki__json_get(b, "c"), "dd"));
    assert_false(aki__json_equals(a, "a"));
    assert_true(aki__json_is(aki__json_get(doc.nodes, "e"), AKI_JSON_NULL));

    assert_null(aki__json_get(doc.nodes, "x"));
    assert_null(aki__json_get(doc.nodes, ""));
    assert_null(aki__json_get(a, "a"));
    assert_null(aki__json_get(NULL, "a"));
    assert_false(aki__json_is(NULL, AKI_JSON_NULL));
    assert_false(aki__json_equals(NULL, ""));
    assert_null(aki__json_first(aki__json_get(aki__json_first(a) + 4, "x")));
    drop(&doc, copy);
}

static void test_numbers(void **state)
{
    static const struct { const char *text; bool is_int, is_double; int64_t i; double d; } rows[] = {
        { "0", true, true, 0, 0 }, { "-7", true, true, -7, -7 }, { "1.0", true, true, 1, 1 }, { "1e3", true, true, 1000, 1000 },
        { "2.5", false, true, 0, 2.5 }, { "1e-5", false, true, 0, 1e-5 }, { "9007199254740992", true, true, 9007199254740992, 9007199254740992.0 },
        { "9007199254740994", false, true, 0, 9007199254740994.0 }, { "1e308", false, true, 0, 1e308 }, { "1e309", false, false, 0, 0 },
        { "-1e400", false, false, 0, 0 }, { "123456789012345678901234567890", false, true, 0, 123456789012345678901234567890.0 },
        { "0.0000000000000000000000000000000000000000000000000000000000001", false, true, 0, 1e-61 },
        { "0.00000000000000000000000000000000000000000000000000000000000001", false, false, 0, 0 },     /* 64 bytes: too long */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aki__json_doc doc;
        aki_error e;
        char *copy;
        int64_t whole = -99;
        double real = -99;
        assert_int_equal(parse(&doc, &copy, rows[i].text, strlen(rows[i].text), &e), AKI_OK);
        bool is_int = aki__json_int(doc.nodes, &whole), is_double = aki__json_double(doc.nodes, &real);
        if (is_int != rows[i].is_int || is_double != rows[i].is_double || (is_int && whole != rows[i].i) || (is_double && real != rows[i].d))
            fail_msg("row %zu: %d %d %lld %g", i, is_int, is_double, (long long)whole, real);
        drop(&doc, copy);
    }
}

static void test_values_of_the_wrong_kind(void **state)
{
    struct aki__json_doc doc;
    aki_error e;
    char *copy;
    int64_t i;
    double d;
    bool b;

    (void)state;
    assert_int_equal(parse(&doc, &copy, "[true,\"1\",1]", 12, &e), AKI_OK);
    const struct aki__json *truth = doc.nodes + 1, *text = doc.nodes + 2, *one = doc.nodes + 3;
    assert_true(aki__json_bool(truth, &b) && b);
    assert_false(aki__json_bool(one, &b) || aki__json_bool(text, &b) || aki__json_bool(NULL, &b));
    assert_false(aki__json_int(text, &i) || aki__json_int(truth, &i) || aki__json_int(NULL, &i));
    assert_false(aki__json_double(text, &d) || aki__json_double(NULL, &d));
    drop(&doc, copy);
}

/* The host program's locale must not change what a file says. */
static void test_numbers_under_a_comma_locale(void **state)
{
    static const char *const names[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "nl_NL.UTF-8" };
    const char *set = NULL;
    struct aki__json_doc doc;
    aki_error e;
    char *copy;
    double d = 0;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names && !set; i++)
        set = setlocale(LC_NUMERIC, names[i]);
    if (!set)
        skip();                 /* no such locale on this machine */
    assert_int_equal(parse(&doc, &copy, "2.5e1", 5, &e), AKI_OK);
    bool ok = aki__json_double(doc.nodes, &d);
    setlocale(LC_NUMERIC, "C");
    assert_true(ok && d == 25.0);
    drop(&doc, copy);
}

/* Every prefix of a valid text is refused without a read behind it. */
static void test_every_prefix(void **state)
{
    static const char text[] = "{\"a\": [1.5e3, \"\\u4f60\\n\", {\"b\": true}], \"c\": null, \"\xC3\xA9\": \"\\ud83d\\ude00\"}";

    (void)state;
    for (size_t size = 0; size < sizeof text; size++) {
        struct aki__json_doc doc;
        aki_error e;
        char *copy;
        aki_status rc = parse(&doc, &copy, text, size, &e);
        assert_int_equal(rc, size == sizeof text - 1 ? AKI_OK : AKI_E_INVALID);
        assert_true(!rc || e.offset <= size);
        drop(&doc, copy);
    }
}

static void test_size_has_a_limit(void **state)
{
    struct aki__json_doc doc;
    aki_error e;

    (void)state;
    assert_int_equal(aki__json_parse(&doc, "", AKI_JSON_MAX_SIZE, "huge.json", &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "huge.json: JSON of 268435456 bytes"));
    aki__json_free(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_rows),
        cmocka_unit_test(test_strings_are_decoded),
        cmocka_unit_test(test_decoded_strings_stay_apart),
        cmocka_unit_test(test_invalid_rows_name_the_byte),
        cmocka_unit_test(test_messages_name_the_line),
        cmocka_unit_test(test_depth_has_a_limit),
        cmocka_unit_test(test_hostile_depth),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_nodes_have_a_limit),
        cmocka_unit_test(test_walking),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_values_of_the_wrong_kind),
        cmocka_unit_test(test_numbers_under_a_comma_locale),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_size_has_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
