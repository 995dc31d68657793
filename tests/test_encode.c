/* Tests of a text as the network sees it: aki_encode against aki_tokenize and aki_embed, prompts, truncation, pairs; rows of ids with what
 * belongs to them; bounds of options. Ids, types and sequences of pairs are held against the reference by differential_tokenizer.py. */
#include "golden.h"

enum { MOST = 4096, MOST_DIM = 256 };

static aki_model *open_checkpoint(const char *name)
{
    char path[512];

    snprintf(path, sizeof path, CHECKPOINTS "%s", name);
    return open_model(path, AKI_PRECISION_F32);
}

static aki_model_info info_of(const aki_model *m)
{
    aki_model_info info;
    aki_error e = { 0 };

    aki_model_info_init(&info, sizeof info);
    assert_int_equal(aki_model_get_info(m, &info, &e), AKI_OK);
    return info;
}

/* Everything that aki_encode can fill. */
struct encoded {
    int32_t ids[MOST], types[MOST];
    int8_t  sequences[MOST];
    int64_t spans[2 * MOST];
    char    text[1 << 16];
    aki_encoded e;
};

static aki_status encode(aki_model *m, const char *text, const char *second, const aki_embed_options *o, int whole, struct encoded *x, aki_error *error)
{
    aki_encoded_init(&x->e, sizeof x->e);
    x->e.ids = x->ids;
    x->e.types = x->types;
    x->e.sequences = x->sequences;
    x->e.spans = x->spans;
    x->e.capacity = MOST;
    x->e.text = x->text;
    x->e.text_capacity = sizeof x->text;
    x->e.whole = whole;
    return aki_encode(m, text, strlen(text), second, second ? strlen(second) : 0, o, &x->e, error);
}

/* ---------------------------------------------------------------- prompts --------------------------------------- */

struct prompt_case {
    const char *model;
    int32_t     kind;
    const char *prompt, *instruction, *name;
    const char *want;                       /* the text that goes before */
};

#define QWEN_TAIL "\nQuery:"
static const struct prompt_case prompt_cases[] = {
    { "bert", 0, NULL, NULL, NULL, "" },
    { "bert", AKI_KIND_QUERY, NULL, NULL, NULL, "" },
    { "bert", 0, "a prompt: ", NULL, NULL, "a prompt: " },
    { "qwen3", 0, NULL, NULL, NULL, "" },
    { "qwen3", AKI_KIND_QUERY, NULL, NULL, NULL, "Instruct: Given a web search query, retrieve relevant passages that answer the query" QWEN_TAIL },
    { "qwen3", AKI_KIND_DOCUMENT, NULL, NULL, NULL, "" },
    { "qwen3", 0, NULL, "find \xC3\xA4", NULL, "Instruct: find \xC3\xA4" QWEN_TAIL },
    { "qwen3", AKI_KIND_DOCUMENT, "x ", "y", "query", "x " },
    { "xlmr", 0, NULL, NULL, NULL, "query: " },                    /* the model's default */
    { "xlmr", AKI_KIND_DOCUMENT, NULL, NULL, NULL, "passage: " },
    { "xlmr", 0, "", NULL, NULL, "" },
    { "xlmr", 0, NULL, NULL, "document", "passage: " },
    { "xlmr-no-prompt", AKI_KIND_QUERY, NULL, NULL, NULL, "query: " },
};

/* The prompt, its size and its tokens are what was put before the text, and no span lies outside of both. */
static void test_prompts(void **state)
{
    static const char text[] = "two c\xC3\xA4ts, one \xE7\x8C\xAB";
    static struct encoded x;
    (void)state;

    for (size_t i = 0; i < sizeof prompt_cases / sizeof *prompt_cases; i++) {
        const struct prompt_case *c = &prompt_cases[i];
        aki_model *m = open_checkpoint(c->model);
        aki_embed_options o;
        int32_t ids[MOST];
        size_t count, prompt = strlen(c->want);
        aki_error e = { 0 };

        aki_embed_options_init(&o, sizeof o);
        o.kind = c->kind;
        o.prompt = c->prompt;
        o.instruction = c->instruction;
        o.prompt_name = c->name;
        assert_int_equal(encode(m, text, NULL, &o, 0, &x, &e), AKI_OK);
        assert_int_equal(x.e.prompt_size, prompt);
        assert_int_equal(x.e.text_size, prompt + sizeof text - 1);
        assert_memory_equal(x.text, c->want, prompt);
        assert_memory_equal(x.text + prompt, text, sizeof text - 1);
        assert_int_equal(aki_tokenize(m, text, sizeof text - 1, &o, ids, NULL, MOST, &count, &e), AKI_OK);
        assert_int_equal(count, x.e.count);
        assert_memory_equal(ids, x.ids, count * sizeof *ids);
        for (size_t k = 0; k < count; k++) {
            assert_in_range(x.spans[2 * k], 0, x.spans[2 * k + 1]);
            assert_in_range(x.spans[2 * k + 1], 0, x.e.text_size);
            assert_true(x.sequences[k] == 0 || (x.sequences[k] == -1 && x.spans[2 * k + 1] == 0));
        }
        /* The last of the prompt's tokens begins in it, the next one does not end there. */
        assert_int_equal(x.e.prompt_tokens > 0, prompt > 0);
        if (prompt) {
            assert_true(x.spans[2 * (x.e.prompt_tokens - 1)] < (int64_t)prompt);
            assert_true(x.spans[2 * x.e.prompt_tokens + 1] > (int64_t)prompt);
        }
        aki_model_close(m);
    }
}

/* ---------------------------------------------------------------- truncation ------------------------------------ */

static char *long_text(size_t words)
{
    char *text = malloc(words * 8 + 1), *at = text;

    assert_non_null(text);
    *at = '\0';
    for (size_t i = 0; i < words; i++)
        at += sprintf(at, "w%zu ", i % 1000);
    return text;
}

static void test_truncation(void **state)
{
    static struct encoded cut, whole;
    char *text = long_text(200);
    aki_model *m = open_checkpoint("bert");
    const int32_t limit = info_of(m).max_tokens;
    aki_embed_options o;
    aki_error e = { 0 };
    (void)state;

    aki_embed_options_init(&o, sizeof o);
    assert_int_equal(encode(m, text, NULL, &o, 1, &whole, &e), AKI_OK);
    assert_true(whole.e.count > 200 && whole.e.full_count == whole.e.count);
    assert_int_equal(encode(m, text, NULL, &o, 0, &cut, &e), AKI_OK);
    assert_int_equal(cut.e.count, limit);
    assert_int_equal(cut.e.full_count, whole.e.count);
    assert_memory_equal(cut.ids, whole.ids, (size_t)(limit - 1) * sizeof *cut.ids);
    o.truncate = AKI_TRUNCATE_LEFT;
    o.max_tokens = 5;
    assert_int_equal(encode(m, text, NULL, &o, 0, &cut, &e), AKI_OK);
    assert_int_equal(cut.e.count, 5);
    assert_memory_equal(cut.ids + 1, whole.ids + whole.e.count - 4, 4 * sizeof *cut.ids);
    o.truncate = AKI_TRUNCATE_ERROR;
    assert_int_equal(encode(m, text, NULL, &o, 0, &cut, &e), AKI_E_INVALID);
    aki_model_close(m);
    free(text);
}

/* What is pooled of a model that leaves prompts out: the rows of all kept tokens that are not the prompt's. */
static void check_pooled(aki_model *m, const char *text, const aki_embed_options *o, size_t prompt_tokens)
{
    static struct encoded x;
    static float rows[MOST * MOST_DIM];
    const size_t dim = (size_t)info_of(m).dim;
    float v[MOST_DIM];
    double mean[MOST_DIM] = { 0 }, square = 0, distance = 0;
    aki_embed_options plain;
    aki_error e = { 0 };

    assert_int_equal(encode(m, text, NULL, o, 0, &x, &e), AKI_OK);
    assert_int_equal(x.e.prompt_tokens, prompt_tokens);
    const int64_t starts[] = { 0, (int64_t)x.e.count };
    aki_embed_options_init(&plain, sizeof plain);
    assert_int_equal(aki_embed_tokens(m, x.ids, starts, 1, &plain, rows, sizeof rows, &e), AKI_OK);
    for (size_t i = prompt_tokens; i < x.e.count; i++)
        for (size_t k = 0; k < dim; k++)
            mean[k] += rows[i * dim + k];
    for (size_t k = 0; k < dim; k++)
        square += mean[k] * mean[k];
    if (aki_embed(m, &text, NULL, 1, o, v, sizeof v, NULL, NULL, &e))
        fail_msg("%s", e.message);
    for (size_t k = 0; k < dim; k++)
        distance = fmax(distance, fabs(mean[k] / sqrt(square) - v[k]));
    if (distance > 1e-5)
        fail_msg("%zu tokens of the prompt: %g away", prompt_tokens, distance);

    /* The same rows by ids. */
    float by_ids[MOST_DIM];
    const int32_t prompts[] = { (int32_t)prompt_tokens };
    aki_rows r;
    aki_rows_init(&r, sizeof r);
    r.ids = x.ids;
    r.starts = starts;
    r.count = 1;
    r.prompt_tokens = prompts;
    assert_int_equal(aki_embed_rows(m, &r, &plain, by_ids, sizeof by_ids, &e), AKI_OK);
    assert_memory_equal(by_ids, v, dim * sizeof *v);
}

/* Cut on the left, the prompt goes first: its tokens are no longer there to be left out. */
static void test_prompt_cut_away(void **state)
{
    char *text = long_text(300);
    aki_model *m = open_checkpoint("xlmr-no-prompt");
    aki_embed_options o;
    static struct encoded x;
    aki_error e = { 0 };
    (void)state;

    assert_int_equal(info_of(m).skips_prompt, 1);
    aki_embed_options_init(&o, sizeof o);
    o.prompt = "one two three four five: ";
    assert_int_equal(encode(m, "a cat", NULL, &o, 0, &x, &e), AKI_OK);
    const size_t prompt = x.e.prompt_tokens;        /* <s> among them */
    const int32_t short_count = (int32_t)x.e.count;
    assert_true(prompt > 5);
    check_pooled(m, "a cat", &o, prompt);
    check_pooled(m, text, &o, prompt);              /* the end goes */
    o.truncate = AKI_TRUNCATE_LEFT;
    check_pooled(m, "a cat", &o, prompt);           /* nothing goes */
    check_pooled(m, text, &o, 0);                   /* all of the prompt goes */
    o.max_tokens = short_count - 2;
    check_pooled(m, "a cat", &o, prompt - 2);       /* two of its tokens go */
    o.max_tokens = 4;
    check_pooled(m, "a cat", &o, 0);
    aki_model_close(m);
    free(text);
}

/* ---------------------------------------------------------------- pairs ----------------------------------------- */

static void test_pairs(void **state)
{
    static struct encoded x;
    aki_model *m = open_checkpoint("bert");
    aki_error e = { 0 };
    (void)state;

    assert_int_equal(encode(m, "a cat", "two dogs", NULL, 0, &x, &e), AKI_OK);
    size_t first = 0, second = 0, special = 0;
    for (size_t i = 0; i < x.e.count; i++) {
        first += x.sequences[i] == 0;
        second += x.sequences[i] == 1;
        special += x.sequences[i] == -1;
        assert_int_equal(x.types[i], second > 0);       /* the second text and what stands behind it */
        if (x.sequences[i] == 1)
            assert_true(x.spans[2 * i + 1] <= 8);
    }
    assert_true(first >= 2 && second >= 2 && special == 3);
    aki_model_close(m);
    m = open_checkpoint("roberta");
    assert_int_equal(encode(m, "a cat", "two dogs", NULL, 0, &x, &e), AKI_OK);
    for (size_t i = 0; i < x.e.count; i++)
        assert_int_equal(x.types[i], 0);
    aki_model_close(m);
}

/* Special tokens before the text and those tokens that begin in the prompt, counted one by one. */
static size_t prompt_tokens_of(const struct encoded *x)
{
    size_t before = 0, own = 0;

    while (before < x->e.count && x->sequences[before] < 0)
        before++;
    for (size_t i = 0; i < x->e.count; i++)
        own += x->sequences[i] == 0 && (size_t)x->spans[2 * i] < x->e.prompt_size;
    return own ? before + own : 0;
}

/* Of a pair the longer text is cut: what goes of the second is not gone of the prompt, and what stands behind a cut prompt is not it. */
static void test_prompt_of_pairs(void **state)
{
    static struct encoded x;
    static const char *const models[] = { "bert", "qwen3", "xlmr" };
    const char *seconds[] = { "one", NULL };
    char *text = long_text(40);
    aki_embed_options o;
    aki_error e = { 0 };
    (void)state;

    seconds[1] = text;
    for (size_t i = 0; i < 3; i++) {
        aki_model *m = open_checkpoint(models[i]);
        aki_embed_options_init(&o, sizeof o);
        o.prompt = "two words: ";
        for (int pair = 0; pair < 2; pair++)
            for (int left = 0; left < 2; left++)
                for (o.max_tokens = 5; o.max_tokens < 60; o.max_tokens++) {
                    o.truncate = left ? AKI_TRUNCATE_LEFT : AKI_TRUNCATE_RIGHT;
                    if (encode(m, "a cat, a dog", seconds[pair], &o, 0, &x, &e))
                        fail_msg("%s", e.message);
                    if (x.e.prompt_tokens != prompt_tokens_of(&x))
                        fail_msg("%s, second %d, left %d, %d tokens: %zu of the prompt, not %zu", models[i], pair, left, (int)o.max_tokens,
                                 x.e.prompt_tokens, prompt_tokens_of(&x));
                }
        aki_model_close(m);
    }
    free(text);
}

/* Which text, and which of its bytes: the caller's, whatever stands before. */
static void test_invalid_bytes(void **state)
{
    static struct encoded x;
    static const struct { const char *first, *second, *prompt; uint64_t at; const char *message; } rows[] = {
        { "ab\xFF", NULL, NULL, 2, "text is not UTF-8 at byte 2" },
        { "ab\xFF", NULL, "four", 2, "text is not UTF-8 at byte 2" },
        { "ab\xFF", "c", "four", 2, "text is not UTF-8 at byte 2" },
        { "ab", "c\xFF", NULL, 1, "the second text is not UTF-8 at byte 1" },
        { "ab", "c\xFF", "four", 1, "the second text is not UTF-8 at byte 1" },
        { "ab", "cdefgh\xFF", "four", 6, "the second text is not UTF-8 at byte 6" },
    };
    aki_model *m = open_checkpoint("bert");
    aki_embed_options o;
    (void)state;

    aki_embed_options_init(&o, sizeof o);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aki_error e = { 0 };
        o.prompt = rows[i].prompt;
        assert_int_equal(encode(m, rows[i].first, rows[i].second, &o, 0, &x, &e), AKI_E_INVALID);
        assert_int_equal(e.offset, rows[i].at);
        assert_string_equal(e.message, rows[i].message);
    }
    aki_model_close(m);
}

/* A prompt may have no token of its own, and text may be cut away behind it. */
static void test_prompt_without_tokens(void **state)
{
    char *text = long_text(200);
    aki_model *m = open_checkpoint("bert");
    aki_embed_options o;
    static struct encoded x;
    aki_error e = { 0 };
    (void)state;

    aki_embed_options_init(&o, sizeof o);
    o.prompt = " ";
    assert_int_equal(encode(m, text, NULL, &o, 0, &x, &e), AKI_OK);
    assert_int_equal(x.e.prompt_tokens, 1);             /* as sentence-transformers counts */
    o.truncate = AKI_TRUNCATE_LEFT;
    assert_int_equal(encode(m, text, NULL, &o, 0, &x, &e), AKI_OK);
    assert_int_equal(x.e.prompt_tokens, 0);
    aki_model_close(m);
    free(text);
}

/* ---------------------------------------------------------------- buffers and rows ------------------------------ */

static void test_buffers(void **state)
{
    aki_model *m = open_checkpoint("qwen3");
    aki_embed_options o;
    aki_encoded x;
    int32_t ids[MOST];
    char text[MOST];
    aki_error e = { 0 };
    (void)state;

    aki_embed_options_init(&o, sizeof o);
    o.kind = AKI_KIND_QUERY;
    aki_encoded_init(&x, sizeof x);
    assert_int_equal(aki_encode(m, "a cat", 5, NULL, 0, &o, &x, &e), AKI_OK);          /* nothing wanted but the counts */
    const size_t count = x.count, size = x.text_size;
    assert_true(count > 10 && size > 50);
    x.ids = ids;
    x.capacity = count - 1;
    assert_int_equal(aki_encode(m, "a cat", 5, NULL, 0, &o, &x, &e), AKI_E_TOO_SMALL);
    assert_int_equal(x.count, count);
    x.capacity = count;
    x.text = text;
    x.text_capacity = size - 1;
    assert_int_equal(aki_encode(m, "a cat", 5, NULL, 0, &o, &x, &e), AKI_E_TOO_SMALL);
    x.text_capacity = size;
    assert_int_equal(aki_encode(m, "a cat", 5, NULL, 0, &o, &x, &e), AKI_OK);
    assert_int_equal(aki_encode(m, "a \xFF", 3, NULL, 0, &o, &x, &e), AKI_E_INVALID);
    assert_int_equal(e.offset, 2);              /* in the caller's text, not behind the prompt */
    assert_int_equal(aki_encode(m, "a", SIZE_MAX, NULL, 0, &o, &x, &e), AKI_E_INVALID);       /* not read, and not copied behind the prompt */
    assert_int_equal(aki_encode(m, NULL, 3, NULL, 0, &o, &x, &e), AKI_E_INVALID);
    assert_int_equal(aki_encode(m, "a", 1, NULL, 0, &o, NULL, &e), AKI_E_INVALID);
    x.struct_size = 3;
    assert_int_equal(aki_encode(m, "a", 1, NULL, 0, &o, &x, &e), AKI_E_INVALID);
    aki_model_close(m);
}

static void test_rows(void **state)
{
    static const int32_t ids[] = { 2, 7, 9, 3 }, zero[4] = { 0 }, wrong[] = { 0, 0, 2, 0 }, negative[] = { -1 };
    static const int64_t starts[] = { 0, 4 }, overflow[] = { 0, INT64_MAX, INT64_MIN };
    aki_model *m = open_checkpoint("bert");
    float v[2][MOST_DIM];
    aki_embed_options o;
    aki_rows r;
    aki_error e = { 0 };
    (void)state;

    aki_embed_options_init(&o, sizeof o);
    aki_rows_init(&r, sizeof r);
    r.ids = ids;
    r.starts = starts;
    r.count = 1;
    assert_int_equal(aki_embed_rows(m, &r, &o, v[0], sizeof v[0], &e), AKI_OK);
    r.types = zero;
    assert_int_equal(aki_embed_rows(m, &r, &o, v[1], sizeof v[1], &e), AKI_OK);
    assert_memory_equal(v[0], v[1], (size_t)info_of(m).dim * sizeof **v);
    r.types = wrong;
    assert_int_equal(aki_embed_rows(m, &r, &o, v[1], sizeof v[1], &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "type"));
    assert_int_equal(e.offset, 2);
    assert_int_equal(aki_embed_rows(m, NULL, &o, v[1], sizeof v[1], &e), AKI_E_INVALID);
    r.types = NULL;
    r.prompt_tokens = negative;
    assert_int_equal(aki_embed_rows(m, &r, &o, v[1], sizeof v[1], &e), AKI_E_INVALID);
    r.prompt_tokens = NULL;
    r.starts = overflow;
    r.count = 2;
    assert_int_equal(aki_embed_rows(m, &r, &o, v[1], sizeof v[1], &e), AKI_E_INVALID);
    r.count = 1;
    r.starts = starts;
    o.output = AKI_OUTPUT_TOKENS;
    assert_int_equal(aki_embed_bound(m, 4, &o), 4 * (size_t)info_of(m).hidden * sizeof(float));
    o.dim = 2;
    assert_int_equal(aki_embed_rows(m, &r, &o, v[1], sizeof v[1], &e), AKI_E_INVALID);
    assert_int_equal(info_of(m).outputs, 1u << AKI_OUTPUT_VECTOR | 1u << AKI_OUTPUT_TOKENS);
    aki_model_close(m);
}

/* ---------------------------------------------------------------- bounds ---------------------------------------- */

struct number { const char *name; size_t offset; };
static const struct number numbers[] = {
    { "kind", offsetof(aki_embed_options, kind) },             { "pooling", offsetof(aki_embed_options, pooling) },
    { "normalize", offsetof(aki_embed_options, normalize) },   { "dim", offsetof(aki_embed_options, dim) },
    { "dtype", offsetof(aki_embed_options, dtype) },           { "truncate", offsetof(aki_embed_options, truncate) },
    { "max_tokens", offsetof(aki_embed_options, max_tokens) }, { "output", offsetof(aki_embed_options, output) },
    { "activation", offsetof(aki_embed_options, activation) },
};

static aki_status set_and_ask(aki_model *m, const struct number *n, int64_t value)
{
    static float ranges[2 * MOST_DIM];
    aki_embed_options o;
    int32_t v = (int32_t)value;

    for (size_t i = 0; i < MOST_DIM; i++)
        ranges[MOST_DIM + i] = 1;
    aki_embed_options_init(&o, sizeof o);
    memcpy((char *)&o + n->offset, &v, sizeof v);
    o.ranges = ranges;
    return aki_embed_bound(m, 1, &o) ? AKI_OK : AKI_E_INVALID;
}

/* What the library says is allowed is, and nothing beyond. */
static void test_bounds(void **state)
{
    aki_model *m = open_checkpoint("bert");
    int64_t least, most, preset;
    aki_error e = { 0 };
    (void)state;

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const struct number *n = &numbers[i];
        assert_int_equal(aki_option_bounds(m, n->name, &least, &most, &preset, &e), AKI_OK);
        assert_true(least <= preset && preset <= most);
        if (set_and_ask(m, n, least) || set_and_ask(m, n, most) || !set_and_ask(m, n, least == 1 ? -1 : least - 1) || !set_and_ask(m, n, most + 1))
            fail_msg("%s is not in %lld … %lld", n->name, (long long)least, (long long)most);
    }
    assert_int_equal(aki_option_bounds(m, "dim", NULL, &most, NULL, &e), AKI_OK);
    assert_int_equal(most, info_of(m).dim);
    assert_int_equal(aki_option_bounds(m, "max_tokens", &least, NULL, &preset, &e), AKI_OK);
    assert_int_equal(least, 3);                 /* [CLS], [SEP] and one */
    assert_int_equal(preset, info_of(m).max_tokens);
    assert_int_equal(aki_option_bounds(NULL, "threads", &least, &most, &preset, &e), AKI_OK);
    assert_true(least == 0 && most == 1024 && preset == 0);
    assert_int_equal(aki_option_bounds(NULL, "text_size", NULL, &most, NULL, &e), AKI_OK);
    assert_int_equal(most, 1 << 30);
    assert_int_equal(aki_option_bounds(m, "colour", NULL, NULL, NULL, &e), AKI_E_NOT_FOUND);
    assert_non_null(strstr(e.message, "colour"));
    aki_model_close(m);

    aki_model_options o;
    aki_model_options_init(&o, sizeof o);
    o.threads = 1025;
    assert_int_equal(aki_model_open(CHECKPOINTS "bert", &o, &m, &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "threads: 1025"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_prompts), cmocka_unit_test(test_truncation), cmocka_unit_test(test_prompt_cut_away),
                                        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_prompt_of_pairs),
        cmocka_unit_test(test_prompt_without_tokens),
        cmocka_unit_test(test_invalid_bytes), cmocka_unit_test(test_buffers), cmocka_unit_test(test_rows), cmocka_unit_test(test_bounds) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
