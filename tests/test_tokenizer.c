/* Tests tokenizer: ids, spans and decoded texts equal Hugging Face's (data/tokenizer/golden.json, made by make_tokenizers.py), options,
 * pairs, truncation, and threads. Refusals and hostile files are in test_tokenizer_files.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/pool.h"
#include "base/os.h"
#include "text/stages.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>

#define DATA AKI_SOURCE_DIR "/tests/data/tokenizer/"

static const struct aki__encode_options usual = { .special = true, .parse_special = true, .truncate = AKI_TRUNCATE_RIGHT };

struct document { struct aki__map map; struct aki__json_doc doc; };

static void read_document(struct document *d, const char *path)
{
    aki_error err;

    memset(d, 0, sizeof *d);
    assert_int_equal(aki__map_open(&d->map, path, &err), AKI_OK);
    assert_int_equal(aki__json_parse(&d->doc, d->map.data, d->map.size, path, &err), AKI_OK);
}

static void close_document(struct document *d)
{
    aki__json_free(&d->doc);
    aki__map_close(&d->map);
}

static struct aki__tokenizer *open_tokenizer(const char *path)
{
    struct aki__tokenizer *t = NULL;
    aki_error err = { 0 };

    if (aki__tokenizer_open(&t, path, NULL, &err))
        fail_msg("%s", err.message);
    return t;
}

static void encode(struct aki__tokenizer *t, const char *text, size_t size, const struct aki__encode_options *o, struct aki__encoding *e)
{
    aki_error err = { 0 };

    if (aki__tokenizer_encode(t, text, size, o, e, &err))
        fail_msg("%s", err.message);
}

/* ---------------------------------------------------------------- goldens --------------------------------------- */

static void expect_ids(const char *name, size_t i_text, const struct aki__encoding *e, const struct aki__json *ids)
{
    const struct aki__json *x = aki__json_first(ids);

    if (e->count != ids->size)
        fail_msg("%s, text %zu: %zu tokens, not %u", name, i_text, e->count, ids->size);
    for (uint32_t i = 0; i < ids->size; i++, x = aki__json_next(x)) {
        int64_t id = -1;
        assert_true(aki__json_int(x, &id));
        if (e->ids[i] != id)
            fail_msg("%s, text %zu, token %u: id %d, not %d", name, i_text, i, (int)e->ids[i], (int)id);
    }
}

static void expect_short(const char *name, size_t i_text, struct aki__tokenizer *t, const struct aki__encoding *e, const struct aki__json *spans, const struct aki__json *decoded)
{
    const struct aki__json *x = aki__json_first(spans);
    struct aki__buf out = { 0 };
    aki_error err;

    assert_int_equal(spans->size, 2 * e->count);
    for (uint32_t i = 0; i < spans->size; i++, x = aki__json_next(x)) {
        int64_t at = -1;
        assert_true(aki__json_int(x, &at));
        if (e->spans[i] != at)
            fail_msg("%s, text %zu, token %u: span %s %d, not %d", name, i_text, i / 2, i % 2 ? "end" : "begin", (int)e->spans[i], (int)at);
    }
    assert_int_equal(aki__tokenizer_decode(t, e->ids, e->count, true, &out, &err), AKI_OK);
    if (out.size != decoded->size || (out.size && memcmp(out.data, decoded->text, out.size) != 0))
        fail_msg("%s, text %zu: decoded otherwise", name, i_text);
    aki__buf_free(&out);
}

static void goldens(void **state)
{
    struct document golden, texts;
    struct aki__encoding mapped = { .want_spans = true }, plain = { 0 };

    (void)state;
    read_document(&golden, DATA "golden.json");
    read_document(&texts, DATA "texts.json");
    const struct aki__json *key = aki__json_first(golden.doc.nodes);
    assert_true(golden.doc.nodes->size > 20);
    for (uint32_t k = 0; k < golden.doc.nodes->size; k++, key = aki__json_next(key + 1)) {
        char path[512], name[64];
        snprintf(name, sizeof name, "%.*s", (int)key->size, key->text);
        snprintf(path, sizeof path, DATA "%s.json", name);
        struct aki__tokenizer *t = open_tokenizer(path);
        const struct aki__json *ids = aki__json_first(aki__json_get(key + 1, "ids")), *spans = aki__json_first(aki__json_get(key + 1, "spans")),
                               *decoded = aki__json_first(aki__json_get(key + 1, "decoded")), *text = aki__json_first(texts.doc.nodes);
        for (uint32_t i = 0; i < texts.doc.nodes->size; i++, text = aki__json_next(text), ids = aki__json_next(ids)) {
            size_t characters = 0;
            for (const char *p = text->text; p < text->text + text->size; characters++)
                aki__utf8_next(&p);
            encode(t, text->text, text->size, &usual, &mapped);
            encode(t, text->text, text->size, &usual, &plain);
            expect_ids(name, i, &mapped, ids);
            expect_ids(name, i, &plain, ids);
            if (characters > 60)
                continue;
            expect_short(name, i, t, &mapped, spans, decoded);
            spans = aki__json_next(spans);
            decoded = aki__json_next(decoded);
        }
        aki__tokenizer_free(t);
    }
    aki__encoding_free(&mapped);
    aki__encoding_free(&plain);
    close_document(&golden);
    close_document(&texts);
}

/* ---------------------------------------------------------------- single stages --------------------------------- */

/* The file of a row of stages.json, as text again: a tokenizer of one unknown word and one stage. */
static struct aki__tokenizer *open_row(const struct document *d, const struct aki__json *row)
{
    const struct aki__json *file = aki__json_get(row, "file");
    const char *begin = d->map.data + file->offset, *end = d->map.data + aki__json_get(row, "cases")->offset;
    struct aki__tokenizer *t = NULL;
    aki_error err = { 0 };

    while (*--end != '}')
        ;
    if (aki__tokenizer_parse(&t, begin, (size_t)(end - begin) + 1, "stages.json", &err))
        fail_msg("%.*s: %s", (int)(end - begin), begin, err.message);
    return t;
}

static const struct aki__json *item(const struct aki__json *list, uint32_t index)
{
    const struct aki__json *e = aki__json_first(list);

    for (assert_true(index < list->size); index; index--)
        e = aki__json_next(e);
    return e;
}

static void expect_normalized(const struct document *d, const struct aki__json *row, uint32_t i_text, const struct aki__json *text, bool track)
{
    const struct aki__json *want = item(aki__json_get(row, "cases"), i_text);
    struct aki__reader r = { .name = "stages.json" };
    struct aki__work w = { .source = text->text, .source_size = text->size, .track = track };
    struct aki__text t = { text->text, text->size, NULL };
    struct aki__normalizer *n;

    (void)d;
    assert_int_equal(aki__normalizer_parse(&n, &r, aki__json_get(aki__json_get(row, "file"), "normalizer")), AKI_OK);
    assert_int_equal(aki__normalize(n, &w, &t, 0), AKI_OK);
    if (t.size != want->size || (t.size && memcmp(t.data, want->text, t.size) != 0))
        fail_msg("normaliser of byte %u, text %u: %.*s, not %.*s", row->offset, i_text, (int)t.size, t.data, (int)want->size, want->text);
    aki__normalizer_free(n);
    for (int i = 0; i < 2; i++) {
        aki__buf_free(&w.normalized[i].text);
        aki__free(w.normalized[i].map.data);
    }
    aki__free(w.pending);
    aki__free(w.sorted);
    aki__regex_work_free(w.regex);
}

static void stages(void **state)
{
    struct document d;
    struct aki__encoding e = { .want_spans = true };

    (void)state;
    read_document(&d, DATA "stages.json");
    const struct aki__json *texts = aki__json_get(d.doc.nodes, "texts"), *rows = aki__json_get(d.doc.nodes, "normalizers");
    for (uint32_t i = 0; i < rows->size; i++)
        for (uint32_t k = 0; k < 2 * texts->size; k++)
            expect_normalized(&d, item(rows, i), k / 2, item(texts, k / 2), k % 2);
    rows = aki__json_get(d.doc.nodes, "pre_tokenizers");
    for (uint32_t i = 0; i < rows->size; i++) {
        struct aki__tokenizer *t = open_row(&d, item(rows, i));
        for (uint32_t k = 0; k < texts->size; k++) {
            const struct aki__json *want = item(aki__json_get(item(rows, i), "cases"), k), *text = item(texts, k), *x = aki__json_first(want);
            encode(t, text->text, text->size, &usual, &e);
            if (2 * e.count != want->size)
                fail_msg("pre-tokeniser of byte %u, text %u: %zu pieces, not %u", item(rows, i)->offset, k, e.count, want->size / 2);
            for (uint32_t at = 0; at < want->size; at++, x = aki__json_next(x)) {
                int64_t place = -1;
                assert_true(aki__json_int(x, &place));
                if (e.spans[at] != place)
                    fail_msg("pre-tokeniser of byte %u, text %u, piece %u: %d, not %d", item(rows, i)->offset, k, at / 2, (int)e.spans[at], (int)place);
            }
        }
        aki__tokenizer_free(t);
    }
    aki__encoding_free(&e);
    close_document(&d);
}

/* The real files, where they have been fetched. */
static void real_file(const char *path, const char *name, int32_t append)
{
    struct document reference, texts;
    struct aki__encode_options options = usual;
    struct aki__encoding e = { 0 };

    if (!aki__is_file(path))
        skip();
    struct aki__tokenizer *t = open_tokenizer(path);
    if (append >= 0) {
        size_t before = aki__tokenizer_special_count(t);
        aki__tokenizer_append(t, append);
        assert_int_equal(aki__tokenizer_special_count(t), before + 1);
    }
    options.max_tokens = 256;
    read_document(&reference, DATA "reference.json");
    read_document(&texts, DATA "texts.json");
    const struct aki__json *all = aki__json_get(reference.doc.nodes, name), *ids = aki__json_first(all), *text = aki__json_first(texts.doc.nodes);
    assert_true(all->size > 60);
    for (uint32_t i = 0; i < all->size; i++, text = aki__json_next(text), ids = aki__json_next(ids)) {
        encode(t, text->text, text->size, &options, &e);
        expect_ids(name, i, &e, ids);
    }
    aki__encoding_free(&e);
    aki__tokenizer_free(t);
    close_document(&reference);
    close_document(&texts);
}

static void real_minilm(void **state)
{
    (void)state;
    real_file(AKI_SOURCE_DIR "/third_party/models/all-MiniLM-L6-v2/tokenizer.json", "all-MiniLM-L6-v2", -1);
}

/* That file lost its post-processor: <|endoftext|> is appended. */
static void real_qwen3(void **state)
{
    (void)state;
    real_file(AKI_SOURCE_DIR "/third_party/models/qwen3-tokenizer/tokenizer.json", "qwen3", 151643);
}

/* ---------------------------------------------------------------- options --------------------------------------- */

static const char words[] =
    "{\"version\":\"1.0\",\"truncation\":{\"max_length\":1},\"padding\":{\"length\":9},"
    "\"added_tokens\":[{\"id\":0,\"content\":\"[C]\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true},"
    "{\"id\":2,\"content\":\"+\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":false}],"
    "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"c\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
    "{\"SpecialToken\":{\"id\":\"s\",\"type_id\":0}}],\"pair\":[{\"SpecialToken\":{\"id\":\"c\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
    "{\"SpecialToken\":{\"id\":\"s\",\"type_id\":0}},{\"Sequence\":{\"id\":\"B\",\"type_id\":1}},{\"SpecialToken\":{\"id\":\"s\",\"type_id\":1}}],"
    "\"special_tokens\":{\"c\":{\"id\":\"c\",\"ids\":[0],\"tokens\":[\"[C]\"]},\"s\":{\"id\":\"s\",\"ids\":[1],\"tokens\":[\"[S]\"]}}},"
    "\"decoder\":null,\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"[C]\":0,\"[S]\":1,\"+\":2,\"?\":3,\"a\":4,\"b\":5,\"c\":6,\"d\":7,\"e\":8}}}";

static struct aki__tokenizer *open_words(void)
{
    struct aki__tokenizer *t = NULL;
    aki_error err = { 0 };

    if (aki__tokenizer_parse(&t, words, sizeof words - 1, "words.json", &err))
        fail_msg("%s", err.message);
    return t;
}

#define EXPECT(e, ...) do { \
    const int32_t want_[] = { __VA_ARGS__ }; \
    assert_int_equal((e)->count, sizeof want_ / sizeof *want_); \
    assert_memory_equal((e)->ids, want_, sizeof want_); } while (0)

static void options(void **state)
{
    struct aki__tokenizer *t = open_words();
    struct aki__encode_options o = usual;
    struct aki__encoding e = { .want_spans = true };
    aki_error err;

    (void)state;
    assert_int_equal(aki__tokenizer_special_count(t), 2);
    encode(t, "a [C] b+x", 9, &o, &e);
    EXPECT(&e, 0, 4, 0, 5, 2, 3, 1);
    assert_int_equal(e.full_count, 7);
    assert_int_equal(e.spans[0] + e.spans[1], 0);
    assert_int_equal(e.spans[4], 2);
    assert_int_equal(e.spans[5], 5);
    o.parse_special = false;        /* "+" is an added token too, but no special one */
    encode(t, "a [C] b+x", 9, &o, &e);
    EXPECT(&e, 0, 4, 0, 5, 2, 3, 1);    /* [C] is a word of the vocabulary here */
    encode(t, "a[C]", 4, &o, &e);
    EXPECT(&e, 0, 3, 1);
    o = usual;
    o.special = false;
    encode(t, "a b", 3, &o, &e);
    EXPECT(&e, 4, 5);
    encode(t, "", 0, &o, &e);
    assert_int_equal(e.count, 0);
    o = usual;
    encode(t, "", 0, &o, &e);
    EXPECT(&e, 0, 1);
    o.max_tokens = 4;
    encode(t, "a b c d", 7, &o, &e);
    EXPECT(&e, 0, 4, 5, 1);
    assert_int_equal(e.full_count, 6);
    o.truncate = AKI_TRUNCATE_LEFT;
    encode(t, "a b c d", 7, &o, &e);
    EXPECT(&e, 0, 6, 7, 1);
    assert_int_equal(e.spans[2], 4);
    o.truncate = AKI_TRUNCATE_ERROR;
    assert_int_equal(aki__tokenizer_encode(t, "a b c d", 7, &o, &e, &err), AKI_E_INVALID);
    assert_non_null(strstr(err.message, "6 tokens"));
    encode(t, "a b", 3, &o, &e);
    EXPECT(&e, 0, 4, 5, 1);
    o.max_tokens = 2;
    assert_int_equal(aki__tokenizer_encode(t, "a", 1, &o, &e, &err), AKI_E_INVALID);
    assert_int_equal(aki__tokenizer_encode(t, "a \xC3(", 4, &usual, &e, &err), AKI_E_INVALID);
    assert_int_equal(err.offset, 2);
    assert_int_equal(e.count, 0);
    encode(t, "a\0b", 3, &usual, &e);       /* NUL is a character as others */
    EXPECT(&e, 0, 3, 1);
    aki__encoding_free(&e);
    aki__tokenizer_free(t);
}

static void pairs(void **state)
{
    struct aki__tokenizer *t = open_words();
    struct aki__encode_options o = usual;
    struct aki__encoding e = { .want_spans = true };
    aki_error err;

    (void)state;
    assert_int_equal(aki__tokenizer_encode_pair(t, "a b", 3, "c", 1, &o, &e, &err), AKI_OK);
    EXPECT(&e, 0, 4, 5, 1, 6, 1);
    assert_int_equal(e.spans[8], 0);
    assert_int_equal(e.spans[9], 1);
    /* The longer one gives way first; then both have half, the second the odd one. */
    o.max_tokens = 6;
    assert_int_equal(aki__tokenizer_encode_pair(t, "a b c d", 7, "e", 1, &o, &e, &err), AKI_OK);
    EXPECT(&e, 0, 4, 5, 1, 8, 1);
    o.max_tokens = 8;
    assert_int_equal(aki__tokenizer_encode_pair(t, "a b c d", 7, "e d c b a", 9, &o, &e, &err), AKI_OK);
    EXPECT(&e, 0, 4, 5, 1, 8, 7, 6, 1);
    assert_int_equal(e.full_count, 12);
    o.max_tokens = 3;
    assert_int_equal(aki__tokenizer_encode_pair(t, "a", 1, "b", 1, &o, &e, &err), AKI_E_INVALID);
    assert_int_equal(aki__tokenizer_encode_pair(t, "a", 1, "\xFF", 1, &usual, &e, &err), AKI_E_INVALID);
    aki__encoding_free(&e);
    aki__tokenizer_free(t);
}

static void vocabulary(void **state)
{
    struct aki__tokenizer *t = open_words();
    struct aki__buf out = { 0 };
    size_t size = 0;
    aki_error err = { 0 };

    (void)state;
    assert_int_equal(aki__tokenizer_vocabulary(t), 9);
    assert_int_equal(aki__tokenizer_id(t, "+", 1), 2);
    assert_int_equal(aki__tokenizer_id(t, "zz", 2), -1);
    assert_memory_equal(aki__tokenizer_piece(t, 0, &size), "[C]", 3);
    assert_int_equal(size, 3);
    assert_null(aki__tokenizer_piece(t, 9, &size));
    assert_null(aki__tokenizer_piece(t, -1, &size));
    assert_int_equal(aki__tokenizer_decode(t, (int32_t[]){ 0, 4, 5 }, 3, false, &out, &err), AKI_OK);
    assert_int_equal(out.size, 7);
    assert_memory_equal(out.data, "[C] a b", 7);
    out.size = 0;
    assert_int_equal(aki__tokenizer_decode(t, (int32_t[]){ 0, 4, 5 }, 3, true, &out, &err), AKI_OK);
    assert_memory_equal(out.data, "a b", 3);
    assert_int_equal(aki__tokenizer_decode(t, (int32_t[]){ 4, 99 }, 2, true, &out, &err), AKI_E_INVALID);
    assert_int_equal(err.offset, 1);
    aki__buf_free(&out);
    aki__tokenizer_free(t);
}

/* ---------------------------------------------------------------- threads and size ------------------------------ */

struct crowd { struct aki__tokenizer *t; const char *text; size_t size; struct aki__encoding all[64]; };

static void one_of_crowd(void *user, size_t i)
{
    struct crowd *c = user;
    aki_error err;

    c->all[i].want_spans = i % 2;
    for (int k = 0; k < 20; k++)
        if (aki__tokenizer_encode(c->t, c->text, c->size, &usual, &c->all[i], &err))
            c->all[i].count = 0;
}

static void threads(void **state)
{
    static struct crowd c;
    struct aki__pool *pool;
    static const char text[] = "Ünïcödé und Straßen — 123456 日本語のテキスト <|endoftext|> it's  fine\n\n";

    (void)state;
    for (const char *const *path = (const char *const[]){ DATA "qwen3.json", DATA "xlmr.json", DATA "bert.json", DATA "deepseek.json", NULL }; *path; path++) {
        c = (struct crowd){ .t = open_tokenizer(*path), .text = text, .size = sizeof text - 1 };
        assert_int_equal(aki__pool_open(&pool, 4, NULL), AKI_OK);
        aki__pool_each(pool, 64, one_of_crowd, &c);
        aki__pool_close(pool);
        assert_true(c.all[0].count > 10);
        for (int i = 1; i < 64; i++) {
            assert_int_equal(c.all[i].count, c.all[0].count);
            assert_memory_equal(c.all[i].ids, c.all[0].ids, c.all[0].count * sizeof(int32_t));
        }
        for (int i = 0; i < 64; i++)
            aki__encoding_free(&c.all[i]);
        aki__tokenizer_free(c.t);
    }
}

/* Texts of a megabyte that would never end were anything quadratic. */
static void long_texts(void **state)
{
    static const char *const units[] = { " ", "\n ", "a", "<", "\xCC\x81\xCC\x96", "\xE3\x80\xAE\xF0\x9D\x85\xAD", "A\xE4\xB8\xAD", "\xEF\xBC\xA1\xCC\x81", "'", "\xE2\x80\x8D" };
    static const char *const files[] = { "bert", "qwen3", "o200k", "deepseek", "xlmr", "gemma", "roberta" };
    struct aki__encoding e = { 0 };
    struct aki__buf text = { 0 };

    (void)state;
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        char path[512];
        snprintf(path, sizeof path, DATA "%s.json", files[f]);
        struct aki__tokenizer *t = open_tokenizer(path);
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            text.size = 0;
            while (text.size < 1000000)
                assert_true(aki__buf_append(&text, units[u], strlen(units[u]), SIZE_MAX));
            e.want_spans = u % 2;
            encode(t, text.data, text.size, &usual, &e);
        }
        aki__tokenizer_free(t);
    }
    aki__encoding_free(&e);
    aki__buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens), cmocka_unit_test(stages), cmocka_unit_test(real_minilm), cmocka_unit_test(real_qwen3), cmocka_unit_test(options), cmocka_unit_test(pairs),
        cmocka_unit_test(vocabulary), cmocka_unit_test(threads), cmocka_unit_test(long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
