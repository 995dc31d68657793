/* Tests algorithm: ids and places of words equal Hugging Face's (data/algorithm.json, made by make_algorithm_goldens.py);
 * what a model object may not say; failing allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/os.h"
#include "text/algorithm.h"
#include "text/merges.h"

#include <stdio.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- failing allocations --------------------------- */

#ifdef AKI_TEST_WRAP
static long allocations_left = -1;      /* -1: no limit. Beyond it every allocation fails */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

static bool allowed(void)
{
    if (allocations_left > 0)
        allocations_left--;
    else if (allocations_left == 0)
        return false;
    return true;
}

void *__wrap_malloc(size_t size) { return allowed() ? __real_malloc(size) : NULL; }
void *__wrap_calloc(size_t count, size_t size) { return allowed() ? __real_calloc(count, size) : NULL; }
void *__wrap_realloc(void *block, size_t size) { return allowed() ? __real_realloc(block, size) : NULL; }
#endif

/* ---------------------------------------------------------------- goldens --------------------------------------- */

struct goldens { struct aki__map map; struct aki__json_doc doc; };

static int open_goldens(void **state)
{
    static struct goldens g;
    aki_error err;

    *state = &g;
    return aki__map_open(&g.map, AKI_SOURCE_DIR "/tests/data/algorithm.json", &err)
        || aki__json_parse(&g.doc, g.map.data, g.map.size, "algorithm.json", &err);
}

static int close_goldens(void **state)
{
    struct goldens *g = *state;

    aki__json_free(&g->doc);
    aki__map_close(&g->map);
    return 0;
}

/* A word of the file as bytes: hexadecimal where raw. A block of its own size, so that ASan sees a read beyond the end. */
static char *word_bytes(const struct aki__json *node, bool raw, size_t *size)
{
    *size = raw ? node->size / 2 : node->size;
    char *bytes = malloc(*size ? *size : 1);
    for (size_t i = 0; raw && i < *size; i++) {
        char digits[3] = { node->text[2 * i], node->text[2 * i + 1], 0 };
        bytes[i] = (char)strtol(digits, NULL, 16);
    }
    if (!raw)
        memcpy(bytes, node->text, *size);
    return bytes;
}

static void check_word(const struct aki__json *item, struct aki__algorithm *a, struct aki__algorithm_scratch *s, bool raw, bool ids_only,
                       struct aki__tokens *out)
{
    const struct aki__json *word = aki__json_first(item), *expected = aki__json_next(word), *e = aki__json_first(expected);
    const char *failed = NULL;
    size_t size, before = out->count;
    char *bytes = word_bytes(word, raw, &size);

    bool done = aki__algorithm_word(a, s, bytes, size, out, &failed);
    free(bytes);
    assert_int_equal(done, expected->kind != AKI_JSON_NULL);
    assert_int_equal(failed != NULL, !done);
    if (!done)
        assert_int_equal(out->count, before);
    else
        assert_int_equal((out->count - before) * 3, expected->size);
    for (uint32_t i = 0; done && i < expected->size; i++, e = aki__json_next(e)) {
        const struct aki__token *t = &out->data[before + i / 3];
        int64_t value;
        assert_true(aki__json_int(e, &value));
        if (i % 3 == 0 || !ids_only)
            assert_int_equal(value, i % 3 == 0 ? t->id : i % 3 == 1 ? (int64_t)t->begin : (int64_t)t->end);
    }
}

static void test_goldens(void **state)
{
    struct goldens *g = *state;
    const struct aki__json *c = aki__json_first(g->doc.nodes);
    size_t words = 0;

    assert_true(g->doc.nodes->size >= 45);
    for (uint32_t i = 0; i < g->doc.nodes->size; i++, c = aki__json_next(c)) {
        bool raw = aki__json_get(c, "byte_level")->kind == AKI_JSON_TRUE, ids_only = aki__json_get(c, "ids_only")->kind == AKI_JSON_TRUE;
        const struct aki__json *list = aki__json_get(c, "words"), *item;
        struct aki__algorithm *a;
        struct aki__tokens out = { 0 };
        aki_error err;
        if (aki__algorithm_parse(&a, aki__json_get(c, "model"), raw, "tokenizer.json", &err))
            fail_msg("%s", err.message);
        struct aki__algorithm_scratch *s = aki__algorithm_scratch_new(a);
        assert_non_null(s);
        print_message("%.*s\n", (int)aki__json_get(c, "name")->size, aki__json_get(c, "name")->text);
        /* Twice: the second time most words come out of the cache. */
        for (int pass = 0; pass < 2; pass++) {
            item = aki__json_first(list);
            for (uint32_t k = 0; k < list->size; k++, item = aki__json_next(item), words++)
                check_word(item, a, s, raw, ids_only, &out);
        }
        free(out.data);
        aki__algorithm_scratch_free(s);
        aki__algorithm_free(a);
    }
    assert_true(words > 6000);
}

/* ---------------------------------------------------------------- small models ---------------------------------- */

static aki_status parse(const char *json, bool byte_level, struct aki__algorithm **a, aki_error *err)
{
    struct aki__json_doc doc;
    aki_status rc = aki__json_parse_vocabulary(&doc, json, strlen(json), "tokenizer.json", err);

    *a = NULL;
    if (!rc)
        rc = aki__algorithm_parse(a, doc.nodes, byte_level, "tokenizer.json", err);
    aki__json_free(&doc);
    return rc;
}

static uint32_t random_bits(void)
{
    static uint64_t state = 20;

    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 40);
}

#define BPE(vocab, merges, more) "{\"type\":\"BPE\",\"vocab\":" vocab ",\"merges\":" merges more "}"
#define AB "{\"a\":0,\"b\":1,\"ab\":2}"
#define WORDPIECE(vocab, more) "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\",\"vocab\":" vocab more "}"

static void test_pieces(void **state)
{
    struct aki__algorithm *a;
    aki_error err;
    size_t size;

    (void)state;
    assert_int_equal(parse(BPE("{\"a\":0,\"\xC4\xA0\":7,\"\xE4\xB8\x96\":3}", "[]", ""), true, &a, &err), AKI_OK);
    assert_int_equal(aki__algorithm_size(a), 8);
    const char *piece = aki__algorithm_piece(a, 7, &size);
    assert_true(size == 2 && memcmp(piece, "\xC4\xA0", 2) == 0);
    assert_int_equal(aki__algorithm_id(a, "\xC4\xA0", 2), 7);
    assert_int_equal(aki__algorithm_id(a, "\xE4\xB8\x96", 3), 3);
    assert_int_equal(aki__algorithm_id(a, " ", 1), -1);
    assert_int_equal(aki__algorithm_id(a, "", 0), -1);
    assert_int_equal(aki__algorithm_id(a, "a much longer string than any piece", 35), -1);
    assert_null(aki__algorithm_piece(a, 1, &size));
    assert_null(aki__algorithm_piece(a, -1, &size));
    assert_null(aki__algorithm_piece(a, 8, &size));
    assert_null(aki__algorithm_piece(a, INT32_MAX, &size));
    aki__algorithm_free(a);
    aki__algorithm_free(NULL);
    aki__algorithm_scratch_free(NULL);
}

/* Files from before the model named its type, in the order that Hugging Face tries. */
static void test_untyped(void **state)
{
    static const struct { const char *json, *word; int32_t id; } rows[] = {
        { "{\"vocab\":" AB ",\"merges\":[\"a b\"]}", "ab", 2 },
        { "{\"vocab\":" AB ",\"unk_token\":\"a\",\"continuing_subword_prefix\":\"\",\"max_input_chars_per_word\":5}", "ab", 2 },
        { "{\"vocab\":" AB ",\"unk_token\":\"b\"}", "aba", 1 },
        { "{\"vocab\":[[\"a\",-1],[\"aba\",-2]],\"unk_id\":0}", "aba", 1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aki__algorithm *a;
        struct aki__tokens out = { 0 };
        const char *failed;
        aki_error err;
        assert_int_equal(parse(rows[i].json, false, &a, &err), AKI_OK);
        struct aki__algorithm_scratch *s = aki__algorithm_scratch_new(a);
        assert_true(aki__algorithm_word(a, s, rows[i].word, strlen(rows[i].word), &out, &failed));
        assert_int_equal(out.count, 1);
        assert_int_equal(out.data[0].id, rows[i].id);
        free(out.data);
        aki__algorithm_scratch_free(s);
        aki__algorithm_free(a);
    }
}

static void test_refused(void **state)
{
    static const struct { const char *json; aki_status status; const char *says; } rows[] = {
        { "[]", AKI_E_INVALID, "model: expected an object" },
        { "{}", AKI_E_UNSUPPORTED, "model.type" },
        { "{\"type\":null,\"vocab\":{},\"merges\":[]}", AKI_E_UNSUPPORTED, "model.type" },
        { "{\"type\":\"Bytes\",\"vocab\":{},\"merges\":[]}", AKI_E_UNSUPPORTED, "model.type" },
        { BPE("[]", "[]", ""), AKI_E_INVALID, "model.vocab: expected an object" },
        { BPE("{\"a\":-1}", "[]", ""), AKI_E_INVALID, "model.vocab: \"a\": expected an id" },
        { BPE("{\"a\":1.5}", "[]", ""), AKI_E_INVALID, "model.vocab: \"a\": expected an id" },
        { BPE("{\"a\":\"1\"}", "[]", ""), AKI_E_INVALID, "model.vocab: \"a\": expected an id" },
        { BPE("{\"a\":16777215}", "[]", ""), AKI_E_INVALID, "model.vocab: \"a\": expected an id" },
        { BPE("{\"a\":1e300}", "[]", ""), AKI_E_INVALID, "model.vocab: \"a\": expected an id" },
        { BPE("{\"a\":99999999999999999999}", "[]", ""), AKI_E_INVALID, "model.vocab: \"a\": expected an id" },
        { BPE("{\"a\":1,\"b\":1}", "[]", ""), AKI_E_INVALID, "model.vocab: \"b\" (1): its id is taken" },
        { BPE(AB, "{}", ""), AKI_E_INVALID, "model.merges: expected an array" },
        { "{\"type\":\"BPE\",\"vocab\":" AB "}", AKI_E_INVALID, "model.merges" },
        { BPE(AB, "[\"a b\",\"a c\"]", ""), AKI_E_INVALID, "model.merges[1]: \"c\" is not in the vocabulary" },
        { BPE(AB, "[\"c a\"]", ""), AKI_E_INVALID, "model.merges[0]: \"c\" is not in the vocabulary" },
        { BPE(AB, "[[\"b\",\"a\"]]", ""), AKI_E_INVALID, "model.merges[0]: \"ba\" is not in the vocabulary" },
        { BPE(AB, "[\"ab\"]", ""), AKI_E_INVALID, "model.merges[0]: expected" },
        { BPE(AB, "[\"a b a\"]", ""), AKI_E_INVALID, "model.merges[0]: expected" },
        { BPE(AB, "[\"a \"]", ""), AKI_E_INVALID, "model.merges[0]: \"\" is not in the vocabulary" },
        { BPE("{\"a\":0,\"\":1}", "[\"a \"]", ""), AKI_E_UNSUPPORTED, "model.merges[0]: it adds nothing" },
        { BPE("{\"a\":0,\"##\":1}", "[\"a ##\"]", ",\"continuing_subword_prefix\":\"##\""), AKI_E_UNSUPPORTED, "model.merges[0]: it adds" },
        { BPE(AB, "[[\"a\"]]", ""), AKI_E_INVALID, "model.merges[0]: expected" },
        { BPE(AB, "[[\"a\",1]]", ""), AKI_E_INVALID, "model.merges[0]: expected" },
        { BPE(AB, "[7]", ""), AKI_E_INVALID, "model.merges[0]: expected" },
        { BPE(AB, "[[[[[\"a\"]]]]]", ""), AKI_E_INVALID, "model.merges[0]: expected" },
        { BPE(AB, "[]", ",\"dropout\":0.1"), AKI_E_UNSUPPORTED, "model.dropout" },
        { BPE(AB, "[]", ",\"dropout\":2"), AKI_E_INVALID, "model.dropout" },
        { BPE(AB, "[]", ",\"dropout\":\"x\""), AKI_E_INVALID, "model.dropout" },
        { BPE(AB, "[]", ",\"unk_token\":1"), AKI_E_INVALID, "model.unk_token" },
        { BPE(AB, "[]", ",\"fuse_unk\":1"), AKI_E_INVALID, "model.fuse_unk" },
        { BPE(AB, "[]", ",\"byte_fallback\":\"no\""), AKI_E_INVALID, "model.byte_fallback" },
        { BPE(AB, "[]", ",\"ignore_merges\":[]"), AKI_E_INVALID, "model.ignore_merges" },
        { BPE(AB, "[]", ",\"end_of_word_suffix\":{}"), AKI_E_INVALID, "model.end_of_word_suffix" },
        { BPE(AB, "[]", ",\"continuing_subword_prefix\":0"), AKI_E_INVALID, "model.continuing_subword_prefix" },
        { WORDPIECE(AB, ""), AKI_E_INVALID, "model.max_input_chars_per_word" },
        { WORDPIECE(AB, ",\"max_input_chars_per_word\":-1"), AKI_E_INVALID, "model.max_input_chars_per_word" },
        { WORDPIECE("{\"a\":null}", ",\"max_input_chars_per_word\":9"), AKI_E_INVALID, "model.vocab: \"a\"" },
        { "{\"type\":\"WordPiece\",\"vocab\":{},\"unk_token\":\"x\",\"max_input_chars_per_word\":9}", AKI_E_INVALID, "continuing_subword_prefix" },
        { "{\"type\":\"WordPiece\",\"vocab\":{},\"continuing_subword_prefix\":\"\",\"max_input_chars_per_word\":9}", AKI_E_INVALID, "unk_token" },
        { "{\"type\":\"WordLevel\",\"vocab\":{}}", AKI_E_INVALID, "model.unk_token" },
        { "{\"type\":\"Unigram\",\"vocab\":{}}", AKI_E_INVALID, "model.vocab: expected an array" },
        { "{\"type\":\"Unigram\",\"vocab\":[[\"a\",0],[\"b\"]]}", AKI_E_INVALID, "model.vocab[1]" },
        { "{\"type\":\"Unigram\",\"vocab\":[[\"a\",0],{}]}", AKI_E_INVALID, "model.vocab[1]" },
        { "{\"type\":\"Unigram\",\"vocab\":[[\"a\",\"0\"]]}", AKI_E_INVALID, "model.vocab[0]" },
        { "{\"type\":\"Unigram\",\"vocab\":[[[],0]]}", AKI_E_INVALID, "model.vocab[0]" },
        { "{\"type\":\"Unigram\",\"vocab\":[[\"a\",1e999]]}", AKI_E_INVALID, "model.vocab[0]" },
        { "{\"type\":\"Unigram\",\"vocab\":[[\"a\",null]]}", AKI_E_INVALID, "model.vocab[0]" },
        { "{\"type\":\"Unigram\",\"vocab\":[[\"a\",0]],\"unk_id\":1}", AKI_E_INVALID, "model.unk_id" },
        { "{\"type\":\"Unigram\",\"vocab\":[[\"a\",0]],\"unk_id\":-1}", AKI_E_INVALID, "model.unk_id" },
        { "{\"type\":\"Unigram\",\"vocab\":[],\"unk_id\":0}", AKI_E_INVALID, "model.unk_id" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aki__algorithm *a;
        aki_error err = { 0 };
        aki_status rc = parse(rows[i].json, i % 2, &a, &err);
        if (rc != rows[i].status || !strstr(err.message, rows[i].says) || strncmp(err.message, "tokenizer.json: model", 21) != 0)
            fail_msg("%s\n  gave %d, %s", rows[i].json, (int)rc, err.message);
        assert_null(a);
    }
}

/* The JSON reader leaves a vocabulary to us. */
static void test_repeated_key(void **state)
{
    struct aki__algorithm *a;
    aki_error err = { 0 };
    char json[4096] = "{\"type\":\"BPE\",\"merges\":[],\"vocab\":{";
    size_t size = strlen(json);

    (void)state;
    for (int i = 0; i < 70; i++)
        size += (size_t)snprintf(json + size, sizeof json - size, "%s\"p%d\":%d", i ? "," : "", i == 69 ? 3 : i, i);
    snprintf(json + size, sizeof json - size, "}}");
    assert_int_equal(parse(json, false, &a, &err), AKI_E_INVALID);
    assert_non_null(strstr(err.message, "model.vocab: \"p3\" (69): stands twice"));
}

/* What is compared at every place of a text may not be long: a text of its letters would take the product of both. */
static void test_long_pieces(void **state)
{
    static const struct { const char *before, *behind, *says; } rows[] = {
        { "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",0],[\"", "\",-1]]}", "model.vocab[1]: a piece of 513 bytes" },
        { "{\"type\":\"WordPiece\",\"unk_token\":\"?\",\"max_input_chars_per_word\":9,\"continuing_subword_prefix\":\"\",\"vocab\":{\"?\":0,\"", "\":1}}", "model.vocab: a piece of 513 bytes" },
        { "{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"continuing_subword_prefix\":\"", "\"}", "model.continuing_subword_prefix: 513 bytes" },
        { "{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"end_of_word_suffix\":\"", "\"}", "model.end_of_word_suffix: 513 bytes" },
    };
    char json[1200], piece[AKI_PIECE_LIMIT + 2] = "";

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t size = AKI_PIECE_LIMIT; size <= AKI_PIECE_LIMIT + 1; size++) {
            struct aki__algorithm *a;
            aki_error err = { 0 };
            memset(piece, 'a', size);
            piece[size] = '\0';
            snprintf(json, sizeof json, "%s%s%s", rows[i].before, piece, rows[i].behind);
            aki_status rc = parse(json, false, &a, &err);
            if (size > AKI_PIECE_LIMIT ? rc != AKI_E_UNSUPPORTED || !strstr(err.message, rows[i].says) : rc != AKI_OK)
                fail_msg("row %zu, %zu bytes: %d, %s", i, size, (int)rc, err.message);
            aki__algorithm_free(a);
        }
}

/* Merges whose places in the table were chosen to be one: noticed when there are some hundred of them, not after hours. */
static void test_colliding_merges(void **state)
{
    struct aki__merges m = { 0 };
    int32_t count = 0;

    (void)state;
    assert_true(aki__merges_init(&m, 1 << 20));
    for (int32_t left = 0; left < 1 << 12 && count < 100000; left++)
        for (int32_t right = 0; right < 1 << 12 && count < 100000; right++)
            if (aki__merges_hash(left, right) >> (m.shift + 2) == 0) {      /* one of the first four slots */
                count++;
                if (!aki__merges_add(&m, (struct aki__merge){ left, right, 0, (uint32_t)count }))
                    goto noticed;
            }
noticed:
    aki__merges_free(&m);
    /* As many that were not chosen are fine. */
    assert_true(aki__merges_init(&m, 1 << 20));
    for (int32_t i = 0; i < 1 << 20; i++)
        assert_true(aki__merges_add(&m, (struct aki__merge){ i % 30000, i / 7, 0, (uint32_t)i }));
    assert_true(m.probes < 8 * m.count);
    aki__merges_free(&m);
}

/* What a long word made grow is known, so that it need not be kept. */
static void test_scratch_size(void **state)
{
    static const char *const models[] = {
        BPE(AB, "[\"a b\"]", ""),
        "{\"type\":\"Unigram\",\"vocab\":[[\"?\",0],[\"a\",-1]],\"unk_id\":0}",
    };
    static char word[1 << 20];

    (void)state;
    memset(word, 'a', sizeof word);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct aki__algorithm *a;
        struct aki__tokens out = { 0 };
        const char *failed;
        aki_error err;
        assert_int_equal(parse(models[i], false, &a, &err), AKI_OK);
        struct aki__algorithm_scratch *s = aki__algorithm_scratch_new(a);
        assert_true(aki__algorithm_word(a, s, "aaa", 3, &out, &failed));
        assert_in_range(aki__algorithm_scratch_size(s), 1, 65536);
        assert_true(aki__algorithm_word(a, s, word, sizeof word, &out, &failed));
        assert_true(aki__algorithm_scratch_size(s) >= 16 * sizeof word);
        free(out.data);
        aki__algorithm_scratch_free(s);
        aki__algorithm_free(a);
    }
}

/* ---------------------------------------------------------------- long words ------------------------------------ */

static const char *const merges[][3] = {
    { "c", "d", "cd" }, { "b", "c", "bc" }, { "a", "b", "ab" }, { "a", "a", "aa" }, { "d", "d", "dd" }, { "ab", "cd", "abcd" },
    { "dd", "aa", "ddaa" }, { "cd", "ab", "cdab" }, { "aa", "bc", "aabc" }, { "bc", "bc", "bcbc" }, { "abcd", "abcd", "abcdabcd" },
    { "ddaa", "ddaa", "ddaaddaa" }, { "d", "bcbc", "dbcbc" },
};
#define MERGES (sizeof merges / sizeof *merges)

/* What merging means, spelled out: over and over the lowest rank, leftmost. */
static size_t merge_slowly(const struct aki__algorithm *a, int32_t *ids, size_t n)
{
    for (;;) {
        size_t best = MERGES, at = 0;
        for (size_t i = 0; i + 1 < n; i++)
            for (size_t m = 0; m < best; m++)
                if (ids[i] == aki__algorithm_id(a, merges[m][0], strlen(merges[m][0]))
                    && ids[i + 1] == aki__algorithm_id(a, merges[m][1], strlen(merges[m][1]))) {
                    best = m;
                    at = i;
                }
        if (best == MERGES)
            return n;
        ids[at] = aki__algorithm_id(a, merges[best][2], strlen(merges[best][2]));
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

static void test_long_words(void **state)
{
    struct aki__algorithm *a;
    struct aki__tokens out = { 0 };
    char word[5000], json[2000];
    int32_t ids[5000];
    const char *failed;
    aki_error err;

    (void)state;
    int size = snprintf(json, sizeof json, "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":100");
    for (size_t m = 0; m < MERGES; m++)
        size += snprintf(json + size, sizeof json - (size_t)size, ",\"%s\":%zu", merges[m][2], 4 + m);
    size += snprintf(json + size, sizeof json - (size_t)size, "},\"merges\":[");
    for (size_t m = 0; m < MERGES; m++)
        size += snprintf(json + size, sizeof json - (size_t)size, "%s\"%s %s\"", m ? "," : "", merges[m][0], merges[m][1]);
    snprintf(json + size, sizeof json - (size_t)size, "]}");
    assert_int_equal(parse(json, false, &a, &err), AKI_OK);
    struct aki__algorithm_scratch *s = aki__algorithm_scratch_new(a);
    static const size_t sizes[] = { 1, 2, 33, 63, 64, 65, 127, 128, 129, 500, 700, 900, 4096, 4097, 4200 };
    /* Every second round is thin: little but letters that never merge, so that no later merge nearby mends a wrong minimum. */
    for (size_t k = 0; k < 2 * (sizeof sizes / sizeof *sizes) + 300; k++) {
        size_t length = k / 2 < sizeof sizes / sizeof *sizes ? sizes[k / 2] : 200;
        bool thin = k % 2 || length == 200;
        for (size_t i = 0; i < length; i++) {
            ids[i] = thin && (i + 3) % 64 > 6 ? 100 : (int32_t)(random_bits() & 3);
            word[i] = ids[i] == 100 ? 'e' : (char)('a' + ids[i]);
        }
        size_t n = merge_slowly(a, ids, length);
        out.count = 0;
        assert_true(aki__algorithm_word(a, s, word, length, &out, &failed));
        assert_int_equal(out.count, n);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(out.data[i].id, ids[i]);
        assert_int_equal(out.data[n - 1].end, length);
    }
    free(out.data);
    aki__algorithm_scratch_free(s);
    aki__algorithm_free(a);
}

/* 10 MB without a space, in every kind: it ends, and covers the text. */
static void test_huge_word(void **state)
{
    static const char *const models[] = {
        BPE("{\"a\":0,\"b\":1,\"ab\":2,\"aa\":3,\"aaaa\":4}", "[\"a b\",\"a a\",\"aa aa\"]", ",\"unk_token\":\"b\""),
        BPE("{\"a\":0,\"?\":1}", "[]", ",\"unk_token\":\"?\",\"fuse_unk\":true"),
        WORDPIECE("{\"[UNK]\":0,\"a\":1,\"##a\":2,\"##aaaa\":3}", ",\"max_input_chars_per_word\":100000000"),
        "{\"type\":\"Unigram\",\"vocab\":[[\"?\",0],[\"a\",-1],[\"aaa\",-2]],\"unk_id\":0}",
        "{\"type\":\"Unigram\",\"vocab\":[[\"?\",0],[\"b\",-1]],\"unk_id\":0}",
    };
    size_t size = 10 << 20;
    char *word = malloc(size);

    (void)state;
    assert_non_null(word);
    memset(word, 'a', size);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct aki__algorithm *a;
        struct aki__tokens out = { 0 };
        const char *failed;
        aki_error err;
        assert_int_equal(parse(models[i], false, &a, &err), AKI_OK);
        struct aki__algorithm_scratch *s = aki__algorithm_scratch_new(a);
        assert_true(aki__algorithm_word(a, s, word, size, &out, &failed));
        assert_int_equal(out.data[0].begin, 0);
        assert_int_equal(out.data[out.count - 1].end, size);
        free(out.data);
        aki__algorithm_scratch_free(s);
        aki__algorithm_free(a);
    }
    free(word);
}

/* ---------------------------------------------------------------- trie and cache -------------------------------- */

#define PIECES 4000

/* A trie over many random pieces finds what looking up every length finds. */
static void test_random_pieces(void **state)
{
    static const char *const letters[] = { "a", "b", "c", "d", "e", "f", "g", "\xC3\xA9", "\xC3\xAA", "\xD0\xBF", "\xE4\xB8\x96", "\xE4\xB9\x96" };
    struct aki__algorithm *a;
    struct aki__tokens out = { 0 };
    char *json = malloc(PIECES * 40 + 200), word[64];
    size_t size = (size_t)sprintf(json, "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"\","
                                        "\"max_input_chars_per_word\":100,\"vocab\":{\"[UNK]\":0");
    aki_error err;

    (void)state;
    /* Repeated spellings would be refused: each piece ends in its own number of "a" to "g". */
    for (unsigned i = 0; i < PIECES; i++) {
        size += (size_t)sprintf(json + size, ",\"");
        for (unsigned n = random_bits() % 3; n > 0; n--)
            size += (size_t)sprintf(json + size, "%s", letters[7 + random_bits() % 5]);
        for (unsigned rest = i; ; rest = rest / 7 - 1) {
            json[size++] = (char)('a' + rest % 7);
            if (rest < 7)
                break;
        }
        size += (size_t)sprintf(json + size, "\":%u", i + 1);
    }
    sprintf(json + size, "}}");
    assert_int_equal(parse(json, false, &a, &err), AKI_OK);
    struct aki__algorithm_scratch *s = aki__algorithm_scratch_new(a);
    for (int k = 0; k < 20000; k++) {
        const char *failed;
        size_t at = 0, t = 0;
        size = 0;
        for (unsigned n = 1 + random_bits() % 12; n > 0; n--)
            size += (size_t)sprintf(word + size, "%s", letters[random_bits() % 12]);
        out.count = 0;
        assert_true(aki__algorithm_word(a, s, word, size, &out, &failed));
        for (size_t end = size; at < size; end = size) {
            while (end > at && aki__algorithm_id(a, word + at, end - at) < 0)
                end--;
            if (end == at)
                break;
            if (out.data[0].id)
                assert_int_equal(out.data[t++].id, aki__algorithm_id(a, word + at, end - at));
            at = end;
        }
        assert_int_equal(out.data[0].id == 0, at < size);
    }
    free(out.data);
    free(json);
    aki__algorithm_scratch_free(s);
    aki__algorithm_free(a);
}

/* Words that differ in one place only, far more than the cache holds: none is taken for another. */
static void test_cache(void **state)
{
    struct aki__algorithm *a;
    struct aki__tokens out = { 0 };
    char *json = malloc(30000), word[40] = "";
    size_t size = (size_t)sprintf(json, "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",-1],[\"x\",-1]");
    const char *failed;
    aki_error err;

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        size += (size_t)sprintf(json + size, ",[\"%03u\",-1]", i);
    sprintf(json + size, ",[\"xxxxxxxx\",-1],[\"xxxxxxxxxxxxxxxx\",-1],[\"xxxxxxxxxxxxxxxxxxxxxxxx\",-1]]}");
    assert_int_equal(parse(json, false, &a, &err), AKI_OK);
    struct aki__algorithm_scratch *s = aki__algorithm_scratch_new(a);
    for (unsigned k = 0; k < 400000; k++) {
        unsigned number = random_bits() % 1000000, before = 8 * (k % 4), behind = k / 4 % 4;
        size = (size_t)sprintf(word, "%.*s%06u%.*s", (int)before, "xxxxxxxxxxxxxxxxxxxxxxxx", number, (int)behind, "xxx");
        if (size > 32)
            continue;
        out.count = 0;
        assert_true(aki__algorithm_word(a, s, word, size, &out, &failed));
        assert_int_equal(out.count, (before > 0) + 2 + behind);
        assert_int_equal(out.data[before > 0].id, 2 + number / 1000);
        assert_int_equal(out.data[(before > 0) + 1].id, 2 + number % 1000);
        assert_int_equal(out.data[(before > 0) + 1].end, before + 6);
    }
    free(out.data);
    free(json);
    aki__algorithm_scratch_free(s);
    aki__algorithm_free(a);
}

/* ---------------------------------------------------------------- no memory ------------------------------------- */

#ifdef AKI_TEST_WRAP
/* Every allocation fails in turn, at parse and at words; the tokens that come at last are the right ones. */
static void starve(const struct aki__json *c, bool raw)
{
    const struct aki__json *list = aki__json_get(c, "words"), *item;
    struct aki__algorithm *a = NULL;
    struct aki__algorithm_scratch *s = NULL;
    struct aki__tokens out = { 0 };
    aki_error err;
    aki_status rc = AKI_E_NOMEM;

    for (long n = 0; rc; n++) {
        allocations_left = n;
        rc = aki__algorithm_parse(&a, aki__json_get(c, "model"), raw, "tokenizer.json", &err);
        allocations_left = -1;
        assert_true(rc == AKI_OK || (rc == AKI_E_NOMEM && !a));
    }
    for (long n = 0; !s; n++) {
        allocations_left = n;
        s = aki__algorithm_scratch_new(a);
        allocations_left = -1;
    }
    item = aki__json_first(list);
    for (uint32_t k = 0; k < list->size; k++, item = aki__json_next(item)) {
        const struct aki__json *expected = aki__json_next(aki__json_first(item));
        const char *failed = NULL;
        size_t size;
        char *bytes = word_bytes(aki__json_first(item), raw, &size);
        bool done = false;
        /* Fresh tokens and, now and then, a fresh scratch, so that there is something to allocate. */
        free(out.data);
        out = (struct aki__tokens){ 0 };
        if (k % 8 == 0) {
            aki__algorithm_scratch_free(s);
            s = aki__algorithm_scratch_new(a);
        }
        for (long n = 0; !done && !failed; n++) {
            allocations_left = n;
            done = aki__algorithm_word(a, s, bytes, size, &out, &failed);
            allocations_left = -1;
            assert_true(done || out.count == 0);
        }
        assert_int_equal(done, expected->kind != AKI_JSON_NULL);
        if (done)
            assert_int_equal(out.count * 3, expected->size);
        free(bytes);
    }
    free(out.data);
    aki__algorithm_scratch_free(s);
    aki__algorithm_free(a);
}

static void test_no_memory(void **state)
{
    struct goldens *g = *state;
    const struct aki__json *c = aki__json_first(g->doc.nodes);

    for (uint32_t i = 0; i < g->doc.nodes->size; i++, c = aki__json_next(c))
        starve(c, aki__json_get(c, "byte_level")->kind == AKI_JSON_TRUE);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_untyped),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long_pieces), cmocka_unit_test(test_colliding_merges), cmocka_unit_test(test_scratch_size), cmocka_unit_test(test_repeated_key),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_huge_word),
        cmocka_unit_test(test_random_pieces),
        cmocka_unit_test(test_cache),
#ifdef AKI_TEST_WRAP
        cmocka_unit_test(test_no_memory),
#endif
    };
    return cmocka_run_group_tests(tests, open_goldens, close_goldens);
}
