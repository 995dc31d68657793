/* Tests of util/: what the program and the service read and write by, beside what the library does (test_base.c, test_json.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "akiembed.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/names.h"
#include "util/path.h"
#include "util/utf8.h"

#include <stdlib.h>

/* Reads a copy that has exactly its size, so that a sanitizer sees a read behind the end; in place where asked. */
static bool read_copy(struct aki__json_doc *doc, char **copy, const char *text, size_t size, bool in_place, unsigned how, struct aki__json_problem *p)
{
    *copy = malloc(size ? size : 1);
    assert_non_null(*copy);
    memcpy(*copy, text, size);
    return in_place ? aki__json_read_in_place(doc, *copy, size, how, 8, p) : aki__json_read(doc, *copy, size, how, 8, p);
}

/* Strings are the same in place and beside it; in place they end in a NUL. */
static void test_json_in_place(void **state)
{
    static const char text[] = "{\"k\\u00e9\":\"a\\n\\ud83d\\ude00b\",\"plain\":\"\\u0000\",\"\":[\"x\",\"\\t\",\"\"],\"n\":-1.5e3}";

    (void)state;
    for (int in_place = 0; in_place < 2; in_place++) {
        struct aki__json_problem p;
        struct aki__json_doc doc;
        char *copy;
        assert_true(read_copy(&doc, &copy, text, sizeof text - 1, in_place, 0, &p));
        const struct aki__json *a = aki__json_get(doc.nodes, "k\xC3\xA9"), *list = aki__json_get(doc.nodes, "");
        assert_true(aki__json_equals(a, "a\n\xF0\x9F\x98\x80" "b"));
        assert_int_equal(aki__json_get(doc.nodes, "plain")->size, 1);
        assert_true(aki__json_equals(list + 1, "x") && aki__json_equals(list + 2, "\t") && aki__json_equals(list + 3, ""));
        if (in_place) {
            assert_true(a->text[a->size] == '\0' && list[1].text[1] == '\0' && list[3].text[0] == '\0');
            assert_true(a->text > copy && a->text < copy + sizeof text);
            assert_null(doc.decoded);
        }
        aki__json_free(&doc);
        free(copy);
    }
}

static void test_json_places(void **state)
{
    static const struct { const char *text; enum aki__json_error error; size_t offset, line, column; } rows[] = {
        { "[\"\\n\\n\",\n\n \"\\n\" 1]", AKI_JSON_NO_COMMA_IN_ARRAY, 16, 3, 7 }, { "{\"\\n\":\n\"\\n\\n\\", AKI_JSON_ESCAPE, 12, 2, 6 },
        { "{\"\\n\":1,\n\"\\n\":2}", AKI_JSON_TWICE, 9, 2, 1 },             { "\n\n\"\\n\"\n!", AKI_JSON_BEHIND, 7, 4, 1 },
        { "[[[[[[[[[", AKI_JSON_TOO_DEEP, 8, 1, 9 },                        { "\n\"a\xFF\"", AKI_JSON_NOT_UTF8, 3, 2, 3 },
        { "{\"a\":1", AKI_JSON_ENDS_IN_OBJECT, 6, 1, 7 },                   { "[1", AKI_JSON_ENDS_IN_ARRAY, 2, 1, 3 },
        { "[", AKI_JSON_ENDS, 1, 1, 2 },                                    { "{\"a\"", AKI_JSON_ENDS_AT_COLON, 4, 1, 5 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int in_place = 0; in_place < 2; in_place++) {
            struct aki__json_problem p;
            struct aki__json_doc doc;
            char *copy;
            assert_false(read_copy(&doc, &copy, rows[i].text, strlen(rows[i].text), in_place, 0, &p));
            if (p.error != rows[i].error || p.offset != rows[i].offset || p.line != rows[i].line || p.column != rows[i].column)
                fail_msg("row %zu: %d (%s) at %zu, %zu:%zu", i, p.error, aki__json_words(p.error), p.offset, p.line, p.column);
            aki__json_free(&doc);
            free(copy);
        }
}

static void test_json_ways(void **state)
{
    struct aki__json_problem p;
    struct aki__json_doc doc;
    char *copy;

    (void)state;
    assert_true(read_copy(&doc, &copy, "{\"a\":1,\"a\":2}", 13, false, AKI_JSON_REPEATED_KEYS, &p));
    assert_int_equal(doc.nodes->size, 2);
    aki__json_free(&doc);
    free(copy);

    /* Half a pair is one U+FFFD; what stands behind it is read by itself. */
    static const char halves[] = "[\"\\ud800\",\"\\udc00x\",\"\\ud800\\u0041\",\"\\ud800\\ud83d\\ude00\"]";
    assert_false(read_copy(&doc, &copy, halves, sizeof halves - 1, true, 0, &p));
    assert_int_equal(p.error, AKI_JSON_SURROGATE);
    aki__json_free(&doc);
    free(copy);
    assert_true(read_copy(&doc, &copy, halves, sizeof halves - 1, true, AKI_JSON_LONE_HALVES, &p));
    assert_true(aki__json_equals(doc.nodes + 1, "\xEF\xBF\xBD") && aki__json_equals(doc.nodes + 2, "\xEF\xBF\xBDx"));
    assert_true(aki__json_equals(doc.nodes + 3, "\xEF\xBF\xBD" "A") && aki__json_equals(doc.nodes + 4, "\xEF\xBF\xBD\xF0\x9F\x98\x80"));
    aki__json_free(&doc);
    free(copy);

    /* Numbers in arrays are counted; those of members, and all else, are there. */
    static const char counted[] = "{\"i\":7,\"v\":[1,2.5e1,-3],\"m\":[[1,2],[\"s\",3]],\"e\":[]}";
    assert_true(read_copy(&doc, &copy, counted, sizeof counted - 1, false, AKI_JSON_COUNT_NUMBERS, &p));
    int64_t i = 0;
    const struct aki__json *m = aki__json_get(doc.nodes, "m");
    assert_true(aki__json_int_in(aki__json_get(doc.nodes, "i"), 7, 7, &i) && !aki__json_int_in(aki__json_get(doc.nodes, "i"), 8, 9, &i));
    assert_int_equal(aki__json_get(doc.nodes, "v")->size, 3);
    assert_int_equal(aki__json_get(doc.nodes, "v")->skip, 1);
    assert_true(m->size == 2 && m[1].size == 2 && m[2].size == 2 && aki__json_equals(m + 3, "s"));
    assert_true(aki__json_is(aki__json_get(doc.nodes, "e"), AKI_JSON_ARRAY));
    aki__json_free(&doc);
    free(copy);
    assert_false(read_copy(&doc, &copy, "[1,02]", 6, false, AKI_JSON_COUNT_NUMBERS, &p));
    assert_int_equal(p.offset, 3);
    aki__json_free(&doc);
    free(copy);
}

static void test_writers(void **state)
{
    struct aki__buf b = { 0 };

    (void)state;
    aki__buf_json(&b, "a\"\\/\b\f\n\r\t\x01\x7F\xC3\xA4", 13, 100);
    aki__buf_json(&b, "\xFF" "a\xC3", 3, 100);                       /* each byte that is none is one U+FFFD */
    aki__buf_json(&b, "", 0, 100);
    aki__buf_write(&b, "", 1, 100);
    assert_false(b.failed);
    assert_string_equal(b.data, "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f\xC3\xA4\"\"\xEF\xBF\xBD" "a\xEF\xBF\xBD\"\"\"");
    b.size = 0;
    aki__buf_format(&b, 1000, "%0300d", 7);
    aki__buf_format(&b, 1000, "%s", "x");
    assert_true(!b.failed && b.size == 301 && b.data[299] == '7' && b.data[300] == 'x');
    /* A failure sticks, and nothing is written behind it; a reader's own reservations are another matter. */
    aki__buf_write(&b, "0123456789", 10, 310);
    assert_true(b.failed && b.size == 301);
    aki__buf_write(&b, "1", 1, 310);
    aki__buf_format(&b, 310, "%d", 1);
    aki__buf_json(&b, "x", 1, 310);
    assert_int_equal(b.size, 301);
    assert_true(aki__buf_append(&b, "1", 1, 310));
    aki__buf_free(&b);
    assert_false(b.failed);
}

static void test_paths(void **state)
{
    static const struct { const char *path; bool inside, plain; } rows[] = {
        { "a", true, true }, { "a/b.c/d", true, true }, { "..a/b..", true, true }, { ".a", true, true }, { "...", true, true },
        { "./a", true, false }, { "a/.", true, false }, { "", false, false }, { "/a", false, false }, { "a/", false, false }, { "a//b", false, false },
        { "..", false, false }, { "../a", false, false }, { "a/../b", false, false }, { "a/..", false, false }, { "a\\b", false, false }, { "/", false, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *path = rows[i].path;
        if (aki__path_is_inside(path, strlen(path), false) != rows[i].inside || aki__path_is_inside(path, strlen(path), true) != rows[i].plain)
            fail_msg("%s", path);
    }
    assert_false(aki__path_is_inside("a\0b", 3, false));
    char part[2 + AKI_PATH_PART_LIMIT + 1] = "a/";
    memset(part + 2, 'b', AKI_PATH_PART_LIMIT + 1);
    assert_true(aki__path_is_inside(part, 2 + AKI_PATH_PART_LIMIT, true) && aki__path_is_inside(part, sizeof part, false));
    assert_false(aki__path_is_inside(part, sizeof part, true));
    assert_string_equal(aki__last_part("a/b/c"), "c");
    assert_string_equal(aki__part_below("a/b//", "a/b/c/d"), "c/d");
    char *joined = aki__join("a//", "b");
    assert_string_equal(joined, "a/b");
    aki__free(joined);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(AKI_POOLING_CHOICES, "cls|mean|max|mean_sqrt_len|weightedmean|last");
    assert_string_equal(AKI_PRECISION_CHOICES, "f32|int8|f16|bf16");
    assert_string_equal(AKI_KIND_CHOICES, "query|document");
    assert_string_equal(aki__pooling_name(AKI_POOLING_LAST), "last");
    assert_string_equal(aki__pooling_name(AKI_POOLING_DEFAULT), "default");
    assert_string_equal(aki__pooling_name(7), "unknown");
    assert_string_equal(aki__pooling_name(-1), "unknown");
    assert_string_equal(aki__precision_name(AKI_PRECISION_F16), "f16");
    assert_string_equal(aki__precision_name(5), "unknown");
    assert_string_equal(aki__json_files[AKI_NEEDED_FILES - 1], "tokenizer.json");
    assert_string_equal(aki__json_files[AKI_JSON_FILES - 1], aki__sentence_files[AKI_SENTENCE_FILES - 1]);
}

static void test_counts_and_clock(void **state)
{
    double before = aki__seconds(), after = aki__seconds();

    (void)state;
    assert_int_equal(aki__utf8_count("a\xC3\xA4\xF0\x9F\x98\x80\0b", 9), 5);
    assert_int_equal(aki__utf8_count("", 0), 0);
    assert_true(before <= after && after - before < 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_in_place), cmocka_unit_test(test_json_places), cmocka_unit_test(test_json_ways), cmocka_unit_test(test_writers),
        cmocka_unit_test(test_paths), cmocka_unit_test(test_names), cmocka_unit_test(test_counts_and_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
