/* Tests of the templates that frame pairs, against what transformers makes of them (tests/data/golden/chat.json), and of what is refused. */
#include "golden.h"

#include "text/chat.h"

static struct aki__map map;
static struct aki__json_doc doc;

static int open_golden(void **state)
{
    aki_error e = { 0 };

    (void)state;
    return aki__map_open(&map, AKI_SOURCE_DIR "/tests/data/golden/chat.json", &e) || aki__json_parse(&doc, map.data, map.size, "chat.json", &e);
}

static int close_golden(void **state)
{
    (void)state;
    aki__json_free(&doc);
    aki__map_close(&map);
    return 0;
}

static struct aki__message message(const char *role)
{
    const struct aki__json *text = aki__json_get(doc.nodes, role);

    return (struct aki__message){ role, text->text, text->size };
}

static aki_status render(const struct aki__json *template, bool system, struct aki__buf *out, aki_error *e)
{
    const struct aki__message messages[] = { message("system"), message("query"), message("document") };
    char text[4096] = { 0 };

    assert_in_range(template->size, 0, sizeof text - 1);
    memcpy(text, template->text, template->size);
    out->size = 0;
    return aki__chat_render(out, text, messages + !system, 3 - !system, e);
}

static void test_rendered(void **state)
{
    const struct aki__json *cases = aki__json_get(doc.nodes, "cases"), *c = aki__json_first(cases);
    struct aki__buf out = { 0 };
    aki_error e = { 0 };

    (void)state;
    assert_true(cases->size > 10);
    for (uint32_t i = 0; i < cases->size; i++, c = aki__json_next(c))
        for (int system = 0; system < 2; system++) {
            const struct aki__json *wanted = aki__json_get(c, system ? "with" : "without");
            if (render(aki__json_get(c, "template"), system, &out, &e))
                fail_msg("template %u: %s", i, e.message);
            if (out.size != wanted->size || (out.size && memcmp(out.data, wanted->text, out.size) != 0))
                fail_msg("template %u: \"%.*s\", not \"%.*s\"", i, (int)out.size, out.data ? out.data : "", (int)wanted->size, wanted->text);
        }
    aki__buf_free(&out);
}

static void test_refused(void **state)
{
    const struct aki__json *list = aki__json_get(doc.nodes, "refused"), *t = aki__json_first(list);
    struct aki__buf out = { 0 };

    (void)state;
    for (uint32_t i = 0; i < list->size; i++, t = aki__json_next(t)) {
        aki_error e = { 0 };
        aki_status rc = render(t, true, &out, &e);
        if (rc != AKI_E_UNSUPPORTED && rc != AKI_E_INVALID)
            fail_msg("refused %u: %.*s: %d", i, (int)t->size, t->text, rc);
        assert_non_null(strstr(e.message, "chat template: "));
    }
    aki__buf_free(&out);
}

/* What doubles with each step ends. */
static void test_bounds(void **state)
{
    struct aki__message messages[] = { { "query", "q", 1 }, { "document", "d", 1 } };
    struct aki__buf text = { 0 }, out = { 0 };
    aki_error e = { 0 };

    (void)state;
    aki__buf_format(&text, SIZE_MAX, "{%% set x = 'xxxxxxxxxxxxxxxx' %%}");
    for (int i = 0; i < 100; i++)
        aki__buf_format(&text, SIZE_MAX, "{%% set x = x ~ x %%}");
    assert_true(aki__buf_append(&text, "", 1, SIZE_MAX));
    assert_int_equal(aki__chat_render(&out, text.data, messages, 2, &e), AKI_E_INVALID);
    text.size = 0;
    aki__buf_format(&text, SIZE_MAX, "{{ %0100d", 0);
    memset(text.data + 3, '(', 100);
    assert_true(aki__buf_append(&text, "", 1, SIZE_MAX));
    assert_int_equal(aki__chat_render(&out, text.data, messages, 2, &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "too deep"));
    aki__buf_free(&text);
    aki__buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rendered), cmocka_unit_test(test_refused), cmocka_unit_test(test_bounds) };

    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
