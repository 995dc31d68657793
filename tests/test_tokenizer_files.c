/* Tests tokenizer's files: what a tokenizer.json may not say, each refused with its JSON path; hostile files and patterns; every
 * allocation failing in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/os.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>

#define DATA AKI_SOURCE_DIR "/tests/data/tokenizer/"

static const struct aki__encode_options usual = { .special = true, .parse_special = true, .truncate = AKI_TRUNCATE_RIGHT };

/* ---------------------------------------------------------------- failing allocations --------------------------- */

#ifdef AKI_TEST_WRAP
static long allocations_left = -1;      /* -1: no limit */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

static long blocks_allocated;

static bool allowed(void)
{
    blocks_allocated++;
    if (allocations_left > 0)
        allocations_left--;
    return allocations_left != 0;
}

void *__wrap_malloc(size_t size) { return allowed() ? __real_malloc(size) : NULL; }
void *__wrap_calloc(size_t count, size_t size) { return allowed() ? __real_calloc(count, size) : NULL; }
void *__wrap_realloc(void *block, size_t size) { return allowed() ? __real_realloc(block, size) : NULL; }

static const char small[] =
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":0,\"content\":\"[U]\",\"single_word\":true,\"lstrip\":true,\"rstrip\":true,\"normalized\":false,\"special\":true},"
    "{\"id\":5,\"content\":\"\\u00c9T\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":true,\"special\":false}],"
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true},"
    "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"b{2,3}\"},\"content\":\"b\"},{\"type\":\"Prepend\",\"prepend\":\"x\"},{\"type\":\"NFKC\"}]},"
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{P}+\"},\"behavior\":\"Isolated\",\"invert\":false},"
    "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\",\"split\":true},{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}]},"
    "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[U]\",0],\"cls\":[\"a\",1]},"
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true},{\"type\":\"ByteFallback\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"A\"},"
    "{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[U]\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,"
    "\"vocab\":{\"[U]\":0,\"a\":1,\"_a\":2,\"##b\":3,\",\":4}}}";

/* Opens, encodes and decodes with `left` allocations; true where that was enough. */
static bool round_trip(long left)
{
    static const char text[] = "Abb,, [U] \xC3\x89t b\xE3\x80\xAE\xF0\x9D\x85\xAD  \xEF\xAC\x81";
    struct aki__tokenizer *t = NULL;
    struct aki__encoding e = { .want_spans = true };
    struct aki__buf out = { 0 };
    aki_error err = { 0 };
    aki_status rc;

    allocations_left = left;
    rc = aki__tokenizer_parse(&t, small, sizeof small - 1, "small.json", &err);
    if (!rc)
        rc = aki__tokenizer_encode(t, text, sizeof text - 1, &usual, &e, &err);
    if (!rc)
        rc = aki__tokenizer_decode(t, e.ids, e.count, true, &out, &err);
    bool enough = allocations_left != 0;
    allocations_left = -1;
    if (rc && (enough || rc != AKI_E_NOMEM))
        fail_msg("with %ld allocations: status %d, %s", left, rc, err.message);
    aki__tokenizer_free(t);
    aki__encoding_free(&e);
    aki__buf_free(&out);
    return enough;
}

static void no_memory(void **state)
{
    long left = 1;

    (void)state;
    while (!round_trip(left))
        left++;
    assert_true(left > 60);
}
#endif

/* ---------------------------------------------------------------- refusals -------------------------------------- */

#define ANY "{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":{\"a\":0,\"b\":1}}"

struct refusal { const char *members; aki_status status; const char *message; };

static void expect_refusal(const struct refusal *r)
{
    struct aki__tokenizer *t = NULL;
    struct aki__buf json = { 0 };
    aki_error err = { 0 };
    aki_status rc;

    assert_true(aki__buf_append(&json, "{", 1, SIZE_MAX) && aki__buf_append(&json, r->members, strlen(r->members), SIZE_MAX));
    if (!strstr(r->members, "\"model\""))
        assert_true(aki__buf_append(&json, ",\"model\":" ANY, strlen(",\"model\":" ANY), SIZE_MAX));
    assert_true(aki__buf_append(&json, "}", 1, SIZE_MAX));
    rc = aki__tokenizer_parse(&t, json.data, json.size, "f.json", &err);
    if (rc != r->status || (rc && !strstr(err.message, r->message)))
        fail_msg("%s\n  status %d (not %d): %s\n  expected: %s", r->members, rc, r->status, err.message, r->message);
    assert_true(rc || t);
    aki__tokenizer_free(t);
    aki__buf_free(&json);
}

#define SPLIT(regex) "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"Isolated\",\"invert\":false}"
#define TEMPLATE(single, specials) "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[" single "],\"pair\":[],\"special_tokens\":{" specials "}}"
#define TOKEN(more) "\"added_tokens\":[{\"content\":\"x\",\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":false" more "}]"

static const struct refusal refusals[] = {
    { "\"version\":\"1.0\"", AKI_OK, "" },
    { "\"version\":\"2.0\"", AKI_E_UNSUPPORTED, "f.json: version" },
    { "\"model\":3", AKI_E_INVALID, "f.json: model" },
    { "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Shout\"}]}", AKI_E_UNSUPPORTED, "f.json: normalizer.normalizers[1].type: \"Shout\"" },
    { "\"normalizer\":{\"type\":\"Sequence\"}", AKI_E_INVALID, "f.json: normalizer.normalizers: expected an array" },
    { "\"normalizer\":7", AKI_E_INVALID, "f.json: normalizer: expected an object" },
    { "\"normalizer\":{}", AKI_E_INVALID, "f.json: normalizer.type: expected a string" },
    { "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":1}", AKI_E_INVALID, "f.json: normalizer.clean_text: expected true or false" },
    { "\"normalizer\":{\"type\":\"Strip\",\"strip_left\":true}", AKI_E_INVALID, "f.json: normalizer.strip_right" },
    { "\"normalizer\":{\"type\":\"Replace\",\"pattern\":\"x\",\"content\":\"\"}", AKI_E_INVALID, "f.json: normalizer.pattern: expected {" },
    { "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"x\"},\"content\":null}", AKI_E_INVALID, "f.json: normalizer.content: expected a string" },
    { "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(a)\\\\1\"},\"content\":\"\"}", AKI_E_UNSUPPORTED, "f.json: normalizer.pattern.Regex: regular expression, near byte 4" },
    { "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"^\"},\"content\":\"_\"}", AKI_OK, "" },
    { "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"x*\"},\"content\":\"_\"},{\"type\":\"NFC\"}]}", AKI_E_UNSUPPORTED, "f.json: normalizer: a stage behind" },
    { "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"_\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true}", AKI_E_UNSUPPORTED, "f.json: pre_tokenizer: ByteLevel behind" },
    { "\"normalizer\":{\"type\":\"Prepend\"}", AKI_E_INVALID, "f.json: normalizer.prepend" },
    { "\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}", AKI_E_UNSUPPORTED, "f.json: pre_tokenizer.type: \"UnicodeScripts\"" },
    { "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Metaspace\",\"replacement\":\"ab\"}]}", AKI_E_INVALID, "f.json: pre_tokenizer.pretokenizers[0].replacement: expected one character" },
    { "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"often\"}", AKI_E_UNSUPPORTED, "f.json: pre_tokenizer.prepend_scheme" },
    { "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false}", AKI_E_INVALID, "f.json: pre_tokenizer.add_prefix_space" },
    { "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false,\"prepend_scheme\":\"never\"}", AKI_OK, "" },
    { "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Eaten\",\"invert\":false}", AKI_E_UNSUPPORTED, "f.json: pre_tokenizer.behavior" },
    { "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Removed\"}", AKI_E_INVALID, "f.json: pre_tokenizer.invert" },
    { "\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":0}", AKI_E_INVALID, "f.json: pre_tokenizer.length" },
    { "\"pre_tokenizer\":{\"type\":\"ByteLevel\"}", AKI_E_INVALID, "f.json: pre_tokenizer.add_prefix_space" },
    { SPLIT("a[b"), AKI_E_UNSUPPORTED, "pre_tokenizer.pattern.Regex: regular expression" },
    { SPLIT("(a"), AKI_E_UNSUPPORTED, "a group without its end" },
    { SPLIT("a)"), AKI_E_UNSUPPORTED, "without its group" },
    { SPLIT("*"), AKI_E_UNSUPPORTED, "a count of nothing" },
    { SPLIT("a**"), AKI_E_UNSUPPORTED, "a count of a count" },
    { SPLIT("a{2}+"), AKI_E_UNSUPPORTED, "a count of a count" },
    { SPLIT("a{5,2}"), AKI_E_UNSUPPORTED, "such braces" },
    { SPLIT("\\\\p{Klingon}"), AKI_E_UNSUPPORTED, "a property that is not known" },
    { SPLIT("\\\\p{L"), AKI_E_UNSUPPORTED, "such an escape" },
    { SPLIT("\\\\h"), AKI_E_UNSUPPORTED, "such an escape" },
    { SPLIT("[a&&b]"), AKI_E_UNSUPPORTED, "&& in a class" },
    { SPLIT("[[:alpha:]]"), AKI_E_UNSUPPORTED, "[: :]" },
    { SPLIT("[b-a]"), AKI_E_UNSUPPORTED, "a range" },
    { SPLIT("[a-\\\\d]"), AKI_E_UNSUPPORTED, "a range" },
    { SPLIT("(?i:strasse)"), AKI_E_UNSUPPORTED, "such letters in any case" },
    { SPLIT("(?m)a"), AKI_E_UNSUPPORTED, "such a group" },
    { SPLIT("(?<=a*)b"), AKI_E_UNSUPPORTED, "regular expression: lookbehind" },
    { SPLIT("\\\\"), AKI_E_UNSUPPORTED, "a backslash at the end" },
    { SPLIT("\\\\x{110000}"), AKI_E_UNSUPPORTED, "such an escape" },
    { SPLIT("\\\\uD800"), AKI_E_UNSUPPORTED, "such an escape" },
    { SPLIT(""), AKI_OK, "" },
    { TEMPLATE("{\"SpecialToken\":{\"id\":\"[X]\",\"type_id\":0}}", ""), AKI_E_INVALID, "f.json: post_processor.single[0].SpecialToken.id" },
    { TEMPLATE("{\"SpecialToken\":{\"id\":\"x\",\"type_id\":0}}", "\"x\":{\"id\":\"x\",\"ids\":[9],\"tokens\":[\"x\"]}"), AKI_E_INVALID, "its id is not in the vocabulary" },
    { TEMPLATE("{\"SpecialToken\":{\"id\":\"x\",\"type_id\":0}}", "\"x\":{\"id\":\"x\",\"ids\":[-1],\"tokens\":[\"x\"]}"), AKI_E_INVALID, "expected a token id" },
    { TEMPLATE("{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}", ""), AKI_E_INVALID, "f.json: post_processor.single[0].Sequence.id" },
    { TEMPLATE("{\"Text\":{}}", ""), AKI_E_INVALID, "f.json: post_processor.single[0]: expected" },
    { "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"a\",5],\"cls\":[\"a\",0]}", AKI_E_INVALID, "f.json: post_processor.sep: its id" },
    { "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"a\"],\"cls\":[\"a\",0]}", AKI_E_INVALID, "f.json: post_processor.sep: expected" },
    { "\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"BertProcessing\",\"sep\":[\"a\",0],\"cls\":[\"a\",0]},{\"type\":\"BertProcessing\",\"sep\":[\"a\",0],\"cls\":[\"a\",0]}]}",
      AKI_E_UNSUPPORTED, "f.json: post_processor.processors[1]" },
    { "\"decoder\":{\"type\":\"CTC\"}", AKI_E_UNSUPPORTED, "f.json: decoder.type: \"CTC\"" },
    { "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Strip\",\"content\":\"a\",\"start\":-1,\"stop\":0}]}", AKI_E_INVALID, "f.json: decoder.decoders[0].start" },
    { "\"added_tokens\":{}", AKI_E_INVALID, "f.json: added_tokens: expected an array" },
    { "\"added_tokens\":[1]", AKI_E_INVALID, "f.json: added_tokens[0].id" },
    { TOKEN(",\"id\":2,\"single_word\":\"no\""), AKI_E_INVALID, "f.json: added_tokens[0].single_word" },
    { TOKEN(",\"id\":2"), AKI_E_INVALID, "f.json: added_tokens[0].single_word" },
    { TOKEN(",\"id\":2,\"single_word\":false"), AKI_OK, "" },
    { "\"normalizer\":{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true},\"added_tokens\":[{\"id\":2,\"content\":\" \",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
      "\"normalized\":true,\"special\":false}]", AKI_E_UNSUPPORTED, "f.json: added_tokens: a token that the normaliser leaves nothing of" },
    { "\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"\"}", AKI_E_INVALID, "f.json: normalizer.precompiled_charsmap: cut off" },
    { "\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA*AAA\"}", AKI_E_INVALID, "not base64" },
    { "\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAAAAAA\"}", AKI_E_INVALID, "cut off" },
    { "\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"/////wAAAAAA\"}", AKI_E_INVALID, "cut off" },
    { "\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"BAAAAAAAAAD/\"}", AKI_E_INVALID, "no UTF-8" },
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        expect_refusal(&refusals[i]);
}

/* Sequences as deep as the reader allows, and more stages than the stack may hold. */
static void deep(void **state)
{
    struct refusal r = { NULL, AKI_OK, "" };
    struct aki__buf text = { 0 };
    static const char open[] = "{\"type\":\"Sequence\",\"normalizers\":[", shallow[] = "{\"type\":\"WhitespaceSplit\"},";

    (void)state;
    for (int depth = 50; depth <= 500; depth += 450) {
        text.size = 0;
        assert_true(aki__buf_append(&text, "\"normalizer\":", 13, SIZE_MAX));
        for (int i = 0; i < depth; i++)
            assert_true(aki__buf_append(&text, open, sizeof open - 1, SIZE_MAX));
        assert_true(aki__buf_append(&text, "{\"type\":\"NFC\"}", 14, SIZE_MAX));
        for (int i = 0; i < depth; i++)
            assert_true(aki__buf_append(&text, "]}", 2, SIZE_MAX));
        assert_true(aki__buf_append(&text, "", 1, SIZE_MAX));
        r = (struct refusal){ text.data, depth > 128 ? AKI_E_INVALID : AKI_OK, "f.json" };
        expect_refusal(&r);
    }
    text.size = 0;
    assert_true(aki__buf_append(&text, "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[", 52, SIZE_MAX));
    for (int i = 0; i < 65; i++)
        assert_true(aki__buf_append(&text, shallow, sizeof shallow - (i == 64 ? 2 : 1), SIZE_MAX));
    assert_true(aki__buf_append(&text, "]}", 3, SIZE_MAX));
    r = (struct refusal){ text.data, AKI_E_UNSUPPORTED, "f.json: pre_tokenizer.pretokenizers[64]: more than 64" };
    expect_refusal(&r);
    text.size = 0;
    assert_true(aki__buf_append(&text, "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"", 52, SIZE_MAX));
    for (int i = 0; i < 5000; i++)
        assert_true(aki__buf_append(&text, "(", 1, SIZE_MAX));
    assert_true(aki__buf_append(&text, "\"},\"behavior\":\"Isolated\",\"invert\":false}", 41, SIZE_MAX));
    r = (struct refusal){ text.data, AKI_E_UNSUPPORTED, "too deep" };
    expect_refusal(&r);
    aki__buf_free(&text);
}

/* What every text would be compared with, or go through, has a limit. */
static void bounded(void **state)
{
    static const char stage[] = "{\"type\":\"NFC\"},", item[] = "{\"SpecialToken\":{\"id\":\"x\",\"type_id\":0}},";
    static const struct { const char *before, *behind, *message; } long_ones[] = {
        { "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"", "\"},\"content\":\"\"}", "f.json: normalizer.pattern.String: more than 512 bytes" },
        { "\"added_tokens\":[{\"id\":2,\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":false,\"content\":\"", "\"}]",
          "f.json: added_tokens[0].content: more than 512 bytes" },
        { "\"decoder\":{\"type\":\"BPEDecoder\",\"suffix\":\"", "\"}", "f.json: decoder.suffix: more than 512 bytes" },
    };
    static const char steps[] = "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[", items[] = "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[";
    static const char behind[] = "],\"pair\":[],\"special_tokens\":{\"x\":{\"id\":\"x\",\"ids\":[],\"tokens\":[]}}}";
    struct aki__buf text = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++)
        for (int size = 512; size <= 513; size++) {
            char members[1000], bytes[514];
            memset(bytes, 'a', sizeof bytes);
            snprintf(members, sizeof members, "%s%.*s%s", long_ones[i].before, size, bytes, long_ones[i].behind);
            expect_refusal(&(struct refusal){ members, size > 512 ? AKI_E_UNSUPPORTED : AKI_OK, long_ones[i].message });
        }
    /* A short one that the normaliser makes long. */
    char content[600] = "", members[1400];
    memset(content, 'b', 513);
    snprintf(members, sizeof members, "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"x\"},\"content\":\"%s\"},\"added_tokens\":[{\"id\":2,\"content\":\"x\","
             "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":true,\"special\":false}]", content);
    expect_refusal(&(struct refusal){ members, AKI_E_UNSUPPORTED, "f.json: added_tokens: a token that the normaliser makes longer" });
    for (int count = 255; count <= 256; count++) {
        text.size = 0;
        assert_true(aki__buf_append(&text, steps, sizeof steps - 1, SIZE_MAX));
        for (int i = 0; i < count; i++)
            assert_true(aki__buf_append(&text, stage, sizeof stage - (i + 1 == count ? 2 : 1), SIZE_MAX));
        assert_true(aki__buf_append(&text, "]}", 3, SIZE_MAX));
        expect_refusal(&(struct refusal){ text.data, count > 255 ? AKI_E_UNSUPPORTED : AKI_OK, "f.json: normalizer.normalizers[255]: more than 256 stages" });
    }
    /* Items that give no token are looked up all the same. */
    for (int count = 1024; count <= 1025; count++) {
        text.size = 0;
        assert_true(aki__buf_append(&text, items, sizeof items - 1, SIZE_MAX));
        for (int i = 0; i < count; i++)
            assert_true(aki__buf_append(&text, item, sizeof item - (i + 1 == count ? 2 : 1), SIZE_MAX));
        assert_true(aki__buf_append(&text, behind, sizeof behind, SIZE_MAX));
        expect_refusal(&(struct refusal){ text.data, count > 1024 ? AKI_E_UNSUPPORTED : AKI_OK, "f.json: post_processor.single: more than 1024 items" });
    }
    aki__buf_free(&text);
}

#ifdef AKI_TEST_WRAP
/* Work memory that a long word of one algorithm made grow goes back when the text is done: no block of it is left. */
static void long_words_are_not_kept(void **state)
{
    static const char *const files[] = { "xlmr", "llama2" };
    size_t size = 2 << 20;
    char *text = malloc(size);

    (void)state;
    assert_non_null(text);
    memset(text, 'a', size);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct aki__tokenizer *t = NULL;
        struct aki__encoding e = { 0 };
        aki_error err = { 0 };
        char path[512];
        snprintf(path, sizeof path, DATA "%s.json", files[i]);
        assert_int_equal(aki__tokenizer_open(&t, path, NULL, &err), AKI_OK);
        assert_int_equal(aki__tokenizer_encode(t, text, 3, &usual, &e, &err), AKI_OK);
        long before = blocks_allocated;
        assert_int_equal(aki__tokenizer_encode(t, text, 3, &usual, &e, &err), AKI_OK);
        assert_int_equal(blocks_allocated, before);         /* kept: a short text needs nothing new */
        assert_int_equal(aki__tokenizer_encode(t, text, size, &usual, &e, &err), AKI_OK);
        before = blocks_allocated;
        assert_int_equal(aki__tokenizer_encode(t, text, 3, &usual, &e, &err), AKI_OK);
        assert_true(blocks_allocated > before);             /* what the long one took is gone */
        aki__encoding_free(&e);
        aki__tokenizer_free(t);
    }
    free(text);
}
#endif

/* ---------------------------------------------------------------- hostile content ------------------------------- */

static struct aki__tokenizer *open_with(const char *members)
{
    struct aki__tokenizer *t = NULL;
    struct aki__buf json = { 0 };
    aki_error err = { 0 };

    assert_true(aki__buf_append(&json, "{\"model\":" ANY ",", strlen("{\"model\":" ANY ","), SIZE_MAX) && aki__buf_append(&json, members, strlen(members), SIZE_MAX)
                && aki__buf_append(&json, "}", 1, SIZE_MAX));
    if (aki__tokenizer_parse(&t, json.data, json.size, "f.json", &err))
        fail_msg("%s", err.message);
    aki__buf_free(&json);
    return t;
}

static void regex_bomb(void **state)
{
    struct aki__tokenizer *t = open_with(SPLIT("(?:a|aa)+(?:a|a)+[bc]"));
    struct aki__encoding e = { 0 };
    aki_error err = { 0 };
    char text[64];

    (void)state;
    memset(text, 'a', sizeof text);
    assert_int_equal(aki__tokenizer_encode(t, text, sizeof text, &usual, &e, &err), AKI_E_INVALID);
    assert_non_null(strstr(err.message, "pattern"));
    assert_int_equal(aki__tokenizer_encode(t, "b", 1, &usual, &e, &err), AKI_OK);
    assert_int_equal(e.count, 1);
    aki__encoding_free(&e);
    aki__tokenizer_free(t);
}

/* Charsmaps of random units: whatever they point at, the answer is whole characters. */
static void random_charsmaps(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char text[] = "ab\xC3\xA9\xEF\xBC\xA1\xCC\x81 \r\n\xE0\xA4\x95\xE0\xA5\x8D\xE0\xA4\x95 x\x7F\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA\xC2\xA9\xE2\x80\x8D\xC2\xA9";
    uint64_t seed = 42;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        unsigned char raw[4 + 4 * 1024 + 32] = { 0, 16, 0, 0 };
        char members[8000] = "\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"";
        for (size_t i = 4; i < 4 + 4 * 1024; i += 4) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            /* Small offsets and labels that often fit; sometimes anything. */
            uint32_t unit = (uint32_t)(seed >> 33) % 1024 << 10 | (uint32_t)(((i - 4) / 4) & 0xFF) | ((uint32_t)(seed >> 60) & 1) << 8;
            if (seed >> 61 == 7)
                unit = (uint32_t)(seed >> 20);
            memcpy(raw + i, &unit, 4);
        }
        memcpy(raw + 4 + 4 * 1024, "a\0\xC3\xA9\0\xF0\x9F\x87\xA9\0xyz", 13);
        size_t size = 4 + 4 * 1024 + 14, n = strlen(members);
        for (size_t i = 0; i < size; i += 3) {
            uint32_t three = (uint32_t)raw[i] << 16 | (uint32_t)raw[i + 1] << 8 | raw[i + 2];
            for (int k = 18; k >= 0; k -= 6)
                members[n++] = digits[three >> k & 63];
        }
        memcpy(members + n, "\"}", 3);
        struct aki__tokenizer *t = open_with(members);
        struct aki__encoding e = { .want_spans = round % 2 };
        aki_error err;
        assert_int_equal(aki__tokenizer_encode(t, text, sizeof text - 1, &usual, &e, &err), AKI_OK);
        for (size_t i = 0; e.want_spans && i < e.count; i++)
            assert_true(e.spans[2 * i] >= 0 && e.spans[2 * i + 1] <= (int64_t)sizeof text - 1);
        aki__encoding_free(&e);
        aki__tokenizer_free(t);
    }
}

/* Every committed file with one byte changed or cut off: opened or refused, and used if opened. */
static void broken_files(void **state)
{
    static const char *const files[] = { "xlmr", "deepseek", "wordpiece-added", "llama2", "clip" };
    uint64_t seed = 7;

    (void)state;
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        struct aki__map map;
        aki_error err = { 0 };
        char path[512];
        snprintf(path, sizeof path, DATA "%s.json", files[f]);
        assert_int_equal(aki__map_open(&map, path, &err), AKI_OK);
        /* The parts before "model" are this test's; the model's reader has its own. */
        const char *model = strstr(map.data, "\"model\":");
        assert_non_null(model);
        for (int round = 0; round < 150; round++) {
            struct aki__tokenizer *t = NULL;
            struct aki__encoding e = { .want_spans = true };
            char *copy = aki__copy_string(map.data, map.size);
            assert_non_null(copy);
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t at = (size_t)(seed >> 20) % (size_t)(model - map.data);
            copy[at] = (char)("\"{}[]:,0a \\"[(seed >> 8) % 11]);
            if (aki__tokenizer_parse(&t, copy, round % 10 ? map.size : at, "broken.json", &err) == AKI_OK) {
                aki__tokenizer_encode(t, "A b\xC3\xA9 <s>", 9, &usual, &e, &err);
                aki__encoding_free(&e);
            } else {
                assert_non_null(strstr(err.message, "broken.json"));
                assert_null(t);
            }
            aki__tokenizer_free(t);
            aki__free(copy);
        }
        aki__map_close(&map);
    }
}

static void no_file(void **state)
{
    struct aki__tokenizer *t;
    aki_error err = { 0 };

    (void)state;
    assert_int_equal(aki__tokenizer_open(&t, DATA "none.json", NULL, &err), AKI_E_NOT_FOUND);
    assert_null(t);
    assert_int_equal(aki__tokenizer_parse(&t, "[]", 2, "f.json", &err), AKI_E_INVALID);
    assert_int_equal(aki__tokenizer_parse(&t, "", 0, "f.json", &err), AKI_E_INVALID);
    aki__tokenizer_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused), cmocka_unit_test(deep), cmocka_unit_test(bounded), cmocka_unit_test(regex_bomb), cmocka_unit_test(random_charsmaps),
        cmocka_unit_test(broken_files), cmocka_unit_test(no_file),
#ifdef AKI_TEST_WRAP
        cmocka_unit_test(no_memory), cmocka_unit_test(long_words_are_not_kept),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
