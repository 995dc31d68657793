/* Allocation failure: the n-th allocation of our code fails, for n = 1, 2, 3 … until a call goes through without a failure, in
 * two ways: that one alone (a crowded moment), and all from there on (memory has run out). Each call must say NOMEM or succeed,
 * publish nothing on failure, leak nothing (under ASan), and leave what it worked with usable.
 *
 * The linker's --wrap sends the calls of our objects here; ONNX Runtime's and the C library's own are left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "akiembed.h"
#include "base/json.h"

#include <stdatomic.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };     /* a sanitizer's shadow needs more addresses than any limit */
#else
enum { SANITIZED = 0 };
#endif

/* ---------------------------------------------------------------- the failing allocator ------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

/* Atomic: the runtime's threads call our operators too. */
static atomic_long until_failure = -1;      /* allocations that still succeed; negative: never fails */
static atomic_bool and_all_behind, failed;

static bool fails(void)
{
    long before = atomic_load(&until_failure);

    if (before < 0)
        return false;
    while (before > 0)
        if (atomic_compare_exchange_weak(&until_failure, &before, before - 1))
            return false;
    if (!atomic_load(&and_all_behind))
        atomic_store(&until_failure, -1);
    atomic_store(&failed, true);
    return true;
}

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return fails() ? NULL : __real_calloc(count, size); }
void *__wrap_realloc(void *block, size_t size) { return fails() ? NULL : __real_realloc(block, size); }

/* ---------------------------------------------------------------- the frame ------------------------------------- */

/* One call under test. attempt: makes the call; what it opened goes to *made, which undo takes back; check: everything still works. */
struct subject {
    const char *name;
    void       *with;
    aki_status (*attempt)(struct subject *s, void **made, aki_error *error);
    void       (*undo)(void *made);
    void       (*check)(struct subject *s);
    bool        sparse;         /* so many allocations that only every so many-th is tried, the later the rarer */
};

static void torture(struct subject *s)
{
    for (int all = 0; all < 2; all++) {
        long n = 0, survived = 0;
        for (;; n += s->sparse ? 1 + n / 16 : 1) {
            void *made = NULL;
            aki_error error = { 0 };
            atomic_store(&failed, false);
            atomic_store(&and_all_behind, all != 0);
            atomic_store(&until_failure, n);
            aki_status rc = s->attempt(s, &made, &error);
            atomic_store(&until_failure, -1);
            if (rc != AKI_OK) {
                if (!atomic_load(&failed))
                    fail_msg("%s: fails without a failed allocation: %s", s->name, error.message);
                if (rc != AKI_E_NOMEM)
                    fail_msg("%s: allocation %ld fails, and the answer is \"%s\": %s", s->name, n + 1, aki_status_name(rc), error.message);
                assert_int_equal(error.status, rc);
                assert_true(error.message[0] != '\0');
                assert_null(made);
            } else {
                survived += atomic_load(&failed);
                if (made && s->undo)
                    s->undo(made);
            }
            if (s->check && (n < 50 || n % 10 == 0))
                s->check(s);
            if (!atomic_load(&failed))
                break;
        }
        assert_true(n > 0);         /* else nothing was tried */
        print_message("%s: %ld allocations%s failed%s, %ld of them survived\n", s->name, n, s->sparse ? " (some of them)" : "", all ? " with all behind them" : "", survived);
    }
}

/* ---------------------------------------------------------------- json ------------------------------------------ */

static aki_status json_attempt(struct subject *s, void **made, aki_error *error)
{
    static const char text[] = "{\"a\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18],\"b\\n\":\"\\u4f60\",\"c\":{\"d\":[[],[]]}}";
    struct aki__json_doc doc;
    aki_status rc = aki__json_parse(&doc, text, sizeof text - 1, "t.json", error);

    (void)s, (void)made;
    aki__json_free(&doc);
    return rc;
}

static void test_json(void **state)
{
    (void)state;
    torture(&(struct subject){ .name = "json", .attempt = json_attempt });
}

/* ---------------------------------------------------------------- tokenizers ------------------------------------ */

static const char text[] = "Hello, World! \xC3\x9C" "ber-Stra\xC3\x9F" "e caf\x65\xCC\x81 \xE4\xBD\xA0\xE5\xA5\xBD [SEP] <s> 12345 \xF0\x9F\x98\x80\n\n  end";

static void close_model(void *made) { aki_model_close(made); }

static aki_status tokenizer_open_attempt(struct subject *s, void **made, aki_error *error)
{
    aki_model *m = NULL;
    aki_status rc = aki_tokenizer_open(s->with, &m, error);

    *made = m;
    return rc;
}

/* A pair behind a prompt, everything wanted. */
static aki_status encode_attempt(aki_model *m, aki_error *error)
{
    static int32_t ids[256], types[256];
    static int8_t sequences[256];
    static int64_t spans[512];
    static char joined[1024];
    aki_embed_options o;
    aki_encoded e;

    aki_embed_options_init(&o, sizeof o);
    o.prompt = "a prompt: ";
    aki_encoded_init(&e, sizeof e);
    e.ids = ids;
    e.types = types;
    e.sequences = sequences;
    e.spans = spans;
    e.capacity = 256;
    e.text = joined;
    e.text_capacity = sizeof joined;
    return aki_encode(m, text, sizeof text - 1, "and a second", 12, &o, &e, error);
}

static aki_status tokenize_attempt(struct subject *s, void **made, aki_error *error)
{
    int32_t ids[256];
    int64_t spans[512];
    size_t count, size;
    char back[1024];
    aki_status rc = aki_tokenize(s->with, text, sizeof text - 1, NULL, ids, spans, 256, &count, error);

    (void)made;
    if (!rc)
        rc = aki_detokenize(s->with, ids, count, 1, back, sizeof back, &size, error);
    if (!rc)
        rc = encode_attempt(s->with, error);
    return rc;
}

static void tokenize_check(struct subject *s)
{
    void *made;
    aki_error error;

    assert_int_equal(tokenize_attempt(s, &made, &error), AKI_OK);
}

static void torture_tokenizer(const char *path)
{
    char name[300];
    aki_model *m = NULL;
    aki_error error;

    snprintf(name, sizeof name, "open %.200s", path);
    torture(&(struct subject){ .name = name, .with = (void *)(uintptr_t)path, .attempt = tokenizer_open_attempt, .undo = close_model });
    if (aki_tokenizer_open(path, &m, &error) != AKI_OK)
        fail_msg("%s", error.message);
    snprintf(name, sizeof name, "tokenize %.200s", path);
    torture(&(struct subject){ .name = name, .with = m, .attempt = tokenize_attempt, .check = tokenize_check });
    aki_model_close(m);
}

static const char *const folders[] = { AKI_BINARY_DIR "/checkpoints/bert", AKI_BINARY_DIR "/checkpoints/xlmr", AKI_BINARY_DIR "/checkpoints/qwen3-outliers" };

static void test_tokenizers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        torture_tokenizer(folders[i]);
}

/* ---------------------------------------------------------------- models ---------------------------------------- */

enum { TEXTS = 5 };
static const char *const texts[TEXTS] = { text, "", "a cat", text, "the quick brown fox jumps over the lazy dog, again and again and again" };

struct trial {
    aki_model        *model;
    aki_embed_options options;
    char             *out, *expected;
    size_t            size;
};

static aki_model_options model_options;

static aki_status model_open_attempt(struct subject *s, void **made, aki_error *error)
{
    aki_model *m = NULL;
    aki_status rc = aki_model_open(s->with, &model_options, &m, error);

    *made = m;
    return rc;
}

static aki_status embed_attempt(struct subject *s, void **made, aki_error *error)
{
    struct trial *t = s->with;
    int32_t tokens[TEXTS];
    uint8_t truncated[TEXTS];

    (void)made;
    return aki_embed(t->model, texts, NULL, TEXTS, &t->options, t->out, t->size, tokens, truncated, error);
}

static void embed_check(struct subject *s)
{
    struct trial *t = s->with;
    void *made;
    aki_error error;

    memset(t->out, 0x55, t->size);
    if (embed_attempt(s, &made, &error) != AKI_OK)
        fail_msg("%s: not usable any more: %s", s->name, error.message);
    assert_memory_equal(t->out, t->expected, t->size);
}

static aki_status ids_attempt(struct subject *s, void **made, aki_error *error)
{
    static const int32_t ids[] = { 1, 2, 3, 4, 5, 6 };
    static const int64_t starts[] = { 0, 2, 6 };
    struct trial *t = s->with;
    float *out = __real_malloc(1 << 20);
    aki_status rc = aki_embed_ids(t->model, ids, starts, 2, NULL, out, 1 << 20, error);

    (void)made;
    if (!rc)
        rc = aki_embed_tokens(t->model, ids, starts, 2, NULL, out, 1 << 20, error);
    free(out);
    return rc;
}

static void torture_embed(const char *folder, aki_model *m, const aki_embed_options *options)
{
    char name[300];
    aki_error error;
    void *made;
    struct trial t = { .model = m, .options = *options, .size = aki_embed_bound(m, TEXTS, options) };

    snprintf(name, sizeof name, "embed %.200s dtype %d", folder, options->dtype);
    t.out = malloc(t.size);
    t.expected = malloc(t.size);
    assert_true(t.size > 0 && t.out && t.expected);
    struct subject s = { .name = name, .with = &t, .attempt = embed_attempt, .check = embed_check };
    if (embed_attempt(&s, &made, &error) != AKI_OK)
        fail_msg("%s: %s", name, error.message);
    memcpy(t.expected, t.out, t.size);
    torture(&s);
    s.name = "embed ids and tokens";
    s.attempt = ids_attempt;
    s.check = NULL;
    torture(&s);
    free(t.out);
    free(t.expected);
}

static void torture_models(int32_t precision)
{
    aki_model_options_init(&model_options, sizeof model_options);
    model_options.precision = precision;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char name[300];
        aki_model *m = NULL;
        aki_error error;
        aki_embed_options options;
        snprintf(name, sizeof name, "open model %.200s, precision %d", folders[i], precision);
        torture(&(struct subject){ .name = name, .with = (void *)(uintptr_t)folders[i], .attempt = model_open_attempt, .undo = close_model });
        if (aki_model_open(folders[i], &model_options, &m, &error) != AKI_OK)
            fail_msg("%s", error.message);
        aki_embed_options_init(&options, sizeof options);
        options.prompt = "a prompt: ";
        torture_embed(folders[i], m, &options);
        options.dtype = AKI_DTYPE_UBINARY;
        options.prompt = NULL;
        options.max_tokens = 6;
        torture_embed(folders[i], m, &options);
        aki_model_close(m);
    }
}

static void test_models(void **state)
{
    (void)state;
    torture_models(AKI_PRECISION_F32);
}

static void test_int8_models(void **state)
{
    (void)state;
    torture_models(AKI_PRECISION_INT8);
}

/* ---------------------------------------------------------------- scores, search, quantising -------------------- */

static aki_status score_attempt(struct subject *s, void **made, aki_error *error)
{
    float out[TEXTS * 8];
    int32_t tokens[TEXTS];
    uint8_t truncated[TEXTS];
    aki_embed_options options;

    (void)made;
    aki_embed_options_init(&options, sizeof options);
    options.prompt = "a prompt: ";
    return aki_score(s->with, texts, NULL, texts, NULL, TEXTS, &options, out, sizeof out, tokens, truncated, error);
}

static void test_scores(void **state)
{
    static const char *const classifiers[] = { AKI_BINARY_DIR "/checkpoints/scores-bert-nli", AKI_BINARY_DIR "/checkpoints/scores-qwen3" };

    (void)state;
    aki_model_options_init(&model_options, sizeof model_options);
    for (size_t i = 0; i < sizeof classifiers / sizeof *classifiers; i++) {
        aki_model *m = NULL;
        aki_error error;
        torture(&(struct subject){ .name = classifiers[i], .with = (void *)(uintptr_t)classifiers[i], .attempt = model_open_attempt, .undo = close_model });
        if (aki_model_open(classifiers[i], &model_options, &m, &error) != AKI_OK)
            fail_msg("%s", error.message);
        torture(&(struct subject){ .name = "scores", .with = m, .attempt = score_attempt });
        aki_model_close(m);
    }
}

/* So many rows that threads share them. */
enum { ROWS = 2048, DIM = 512 };

static aki_status search_attempt(struct subject *s, void **made, aki_error *error)
{
    const aki_vectors *v = s->with;
    aki_hit hits[10];
    size_t count;

    (void)made;
    return aki_search(v, v->ranges + DIM, 10, hits, &count, error);
}

static aki_status duplicates_attempt(struct subject *s, void **made, aki_error *error)
{
    static aki_hit hits[ROWS];

    (void)made;
    return aki_duplicates(s->with, 0.9f, hits, error);
}

static void test_search(void **state)
{
    static uint8_t rows[ROWS][DIM];
    static float ranges[2][DIM];
    aki_vectors v;

    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        for (size_t k = 0; k < DIM; k++)
            rows[i][k] = (uint8_t)(i * 31 + k * (i % 7 + 1));
    for (size_t k = 0; k < DIM; k++)
        ranges[1][k] = (float)(k + 1);
    aki_vectors_init(&v, sizeof v);
    v.dtype = AKI_DTYPE_UINT8;
    v.rows = rows;
    v.count = ROWS;
    v.dim = DIM;
    v.threads = 2;
    v.ranges = ranges[0];
    torture(&(struct subject){ .name = "search", .with = &v, .attempt = search_attempt });
    torture(&(struct subject){ .name = "duplicates", .with = &v, .attempt = duplicates_attempt });
}

#define QUANTISED AKI_BINARY_DIR "/torture-int8"

static aki_status quantize_attempt(struct subject *s, void **made, aki_error *error)
{
    aki_quantize_options options;

    (void)made;
    aki_quantize_options_init(&options, sizeof options);
    options.texts = texts;
    options.text_count = TEXTS;
    aki_status rc = aki_quantize_measured(s->with, QUANTISED, &options, error);
    assert_int_equal(access(QUANTISED, F_OK) == 0, rc == AKI_OK);
    assert_int_equal(rc == AKI_OK ? system("rm -r '" QUANTISED "'") : 0, 0);
    return rc;
}

static void test_quantize(void **state)
{
    (void)state;
    torture(&(struct subject){ .name = "quantize", .with = (void *)(uintptr_t)folders[2], .attempt = quantize_attempt, .sparse = true });
}

/* ---------------------------------------------------------------- checking -------------------------------------- */

static int ignore_event(void *user, const aki_check_event *event)
{
    (void)user, (void)event;
    return 0;
}

static aki_status check_attempt(struct subject *s, void **made, aki_error *error)
{
    (void)made;
    return aki_check(s->with, ignore_event, NULL, error);
}

static void test_check(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        torture(&(struct subject){ .name = folders[i], .with = (void *)(uintptr_t)folders[i], .attempt = check_attempt });
}

/* Padded runs, with room for one session only, so that it is made anew all the time. */
static void test_device(void **state)
{
    static const char *const shapes[] = { "aki.shapes=fixed" };
    static const char folder[] = AKI_BINARY_DIR "/checkpoints/bert-dense";
    aki_embed_options options;
    aki_model *m = NULL;
    aki_error error;

    (void)state;
    aki_model_options_init(&model_options, sizeof model_options);
    model_options.device = "portable";
    model_options.device_options = shapes;
    model_options.device_option_count = 1;
    model_options.max_buckets = 1;
    if (aki_model_open(folder, &model_options, &m, &error) != AKI_OK)
        fail_msg("%s", error.message);
    /* Its self-test is remembered now; the test itself is thousands of allocations of the cpu's, which are tried above. */
    torture(&(struct subject){ .name = "open on a device that is remembered", .with = (void *)(uintptr_t)folder, .attempt = model_open_attempt, .undo = close_model });
    aki_embed_options_init(&options, sizeof options);
    torture_embed("on a device", m, &options);
    aki_model_close(m);
}

static aki_status export_attempt(struct subject *s, void **made, aki_error *error)
{
    static const char out[] = AKI_BINARY_DIR "/torture.onnx";
    aki_export_options o;

    (void)made;
    aki_export_options_init(&o, sizeof o);
    o.pooled = 1;
    aki_status rc = aki_export(s->with, out, &o, error);
    assert_int_equal(access(out, F_OK) == 0, rc == AKI_OK);
    unlink(out);
    return rc;
}

static void test_export(void **state)
{
    (void)state;
    torture(&(struct subject){ .name = "export", .with = (void *)(uintptr_t)AKI_BINARY_DIR "/checkpoints/qwen3", .attempt = export_attempt });
}

/* A real limit, which ONNX Runtime's own allocations meet too: the process may have so many pages more than it has now. */
static void test_address_limit(void **state)
{
    enum { WORDS = 60, MANY = 2000, STEP = 1 << 20, MOST = 512 };
    static char words[WORDS * 8 + 1];
    const char *rows[MANY];
    struct rlimit before, limit;
    aki_model *m = NULL;
    aki_embed_options options;
    aki_error error = { 0 };
    long pages = 0;
    int refused = 0;
    aki_status rc = AKI_E_NOMEM;

    (void)state;
    if (SANITIZED)
        skip();
    for (int i = 0; i < WORDS; i++)
        memcpy(words + i * 8, "letters ", 8);
    for (int i = 0; i < MANY; i++)
        rows[i] = words;
    aki_model_options_init(&model_options, sizeof model_options);
    model_options.max_batch_tokens = 1 << 20;
    assert_int_equal(aki_model_open(folders[2], &model_options, &m, &error), AKI_OK);
    aki_embed_options_init(&options, sizeof options);
    options.no_reuse = 1;
    size_t size = aki_embed_bound(m, MANY, &options);
    void *out = malloc(size);
    assert_true(size > 0 && out);
    /* A thread's first work registers thread-local destructors with glibc, which ends the process where it finds no memory: let the pool's
     * threads have worked once, before memory ends. */
    for (int i = 0; i < 200; i++)
        assert_int_equal(aki_embed(m, rows, NULL, 2, &options, out, size, NULL, NULL, &error), AKI_OK);

    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    for (int extra = 0; rc == AKI_E_NOMEM && extra < MOST; extra++) {
        FILE *f = fopen("/proc/self/statm", "re");
        assert_true(f && fscanf(f, "%ld", &pages) == 1);
        fclose(f);
        limit = before;
        limit.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (rlim_t)extra * STEP;
        assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
        rc = aki_embed(m, rows, NULL, MANY, &options, out, size, NULL, NULL, &error);
        assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
        refused += rc == AKI_E_NOMEM;
    }
    if (rc != AKI_OK)
        fail_msg("%s: %s", aki_status_name(rc), error.message);
    assert_true(refused > 0);
    print_message("refused under %d limits\n", refused);
    free(out);
    aki_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_tokenizers),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_int8_models),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_quantize),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_device),
        cmocka_unit_test(test_export),
        cmocka_unit_test(test_address_limit),
    };

    /* So that a limit is one: what was freed does not serve again, and no thread has address space in reserve. */
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 32 * 1024);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
