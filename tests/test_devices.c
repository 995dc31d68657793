/* Tests of devices: the portable dialect in padded runs against what sentence-transformers answers (tests/data/golden), in free and in fixed
 * shapes, f32 and f16; devices that are refused: absent ones, and a provider library that computes wrongly on purpose (fake_provider.c). */
#include "golden.h"

#include <pthread.h>

enum { MOST_DIM = 256, MOST_CASES = 64 };

static const char *const checkpoints[] = { "bert", "bert-plain", "bert-dense", "bert-relu-mean", "bert-sqrtlen", "bert-tanh-max-f16", "camembert", "roberta",
                                           "xlmr", "xlmr-no-prompt", "qwen3", "qwen3-bias", "qwen3-bidirectional", "qwen3-weightedmean", "qwen3-window" };
enum { CHECKPOINT_COUNT = sizeof checkpoints / sizeof *checkpoints };

static const char *const fixed_shapes[] = { "aki.shapes=fixed" };

/* On "portable"; buckets 0: free shapes. */
static aki_model *open_portable(const char *name, int32_t precision, int32_t buckets)
{
    char path[512];
    aki_model_options o;
    aki_model *m = NULL;
    aki_error e = { 0 };

    snprintf(path, sizeof path, CHECKPOINTS "%s", name);
    aki_model_options_init(&o, sizeof o);
    o.device = "portable";
    o.precision = precision;
    if (buckets) {
        o.device_options = fixed_shapes;
        o.device_option_count = 1;
        o.max_buckets = buckets;
    }
    if (aki_model_open(path, &o, &m, &e))
        fail_msg("%s: %s", name, e.message);
    return m;
}

static void check_vector(const struct golden_case *c, const float *v, size_t dim, int32_t precision, const char *name, size_t i)
{
    double distance = golden_distance(c, v, dim), cosine = golden_cosine(c, v, dim);

    if (precision == AKI_PRECISION_F16 ? cosine < 0.9999 : distance > 2e-5)
        fail_msg("%s, case %zu: %g away, cosine %.8f", name, i, distance, cosine);
}

/* Each case alone, then those without a prompt in one call: what stands beside a text does not change it. */
static void check_goldens(aki_model *m, const char *name, int32_t precision)
{
    static float alone[MOST_CASES * MOST_DIM], together[MOST_CASES * MOST_DIM];
    const char *texts[MOST_CASES];
    size_t sizes[MOST_CASES], count = 0;
    struct golden g;
    aki_error e = { 0 };

    golden_open(&g, name);
    for (size_t i = 0; i < g.count; i++) {
        struct golden_case c = golden_at(&g, i);
        aki_embed_options o = golden_options(&c);
        float *v = alone + count * g.dim;
        if (!c.vector)
            continue;
        if (aki_embed(m, &c.text, &c.size, 1, &o, v, g.dim * sizeof *v, NULL, NULL, &e))
            fail_msg("%s, case %zu: %s", name, i, e.message);
        check_vector(&c, v, g.dim, precision, name, i);
        if (c.prompt_name[0])
            continue;
        texts[count] = c.text;
        sizes[count++] = c.size;
    }
    assert_true(count > 4);
    if (aki_embed(m, texts, sizes, count, NULL, together, sizeof together, NULL, NULL, &e))
        fail_msg("%s: %s", name, e.message);
    for (size_t i = 0; i < count * g.dim && precision == AKI_PRECISION_F32; i++)
        if (fabsf(alone[i] - together[i]) > 1e-5f * fmaxf(1, fabsf(alone[i])))
            fail_msg("%s, text %zu: %g alone, %g in a batch", name, i / g.dim, (double)alone[i], (double)together[i]);
    golden_close(&g);
}

static void test_goldens(void **state)
{
    static const struct { int32_t precision, buckets; } ways[] = { { AKI_PRECISION_F32, 0 }, { AKI_PRECISION_F32, 1 }, { AKI_PRECISION_F32, 3 }, { AKI_PRECISION_F16, 0 } };
    (void)state;
    for (size_t k = 0; k < CHECKPOINT_COUNT; k++)
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
            aki_model *m = open_portable(checkpoints[k], ways[w].precision, ways[w].buckets);
            aki_model_info info;
            check_goldens(m, checkpoints[k], ways[w].precision);
            aki_model_info_init(&info, sizeof info);
            assert_int_equal(aki_model_get_info(m, &info, NULL), AKI_OK);
            assert_string_equal(info.device, "portable");
            assert_int_equal(info.precision, ways[w].precision);
            assert_true(info.nodes > 20 && info.nodes_elsewhere == 0 && info.weights_size > 0);
            assert_true(info.sessions >= 1 && info.sessions <= (ways[w].buckets ? ways[w].buckets : 1));
            assert_non_null(strstr(info.device_note, "least cosine"));
            aki_model_close(m);
        }
}

/* Texts of every length up to the limit and one above it, every pooling, and a vector a token: as on the cpu. */
static void test_against_cpu(void **state)
{
    static const char *const names[] = { "bert-dense", "qwen3" };
    static float got[64 * MOST_DIM], wanted[64 * MOST_DIM];
    char text[8 * 256] = "";
    const char *p = text;
    (void)state;
    for (size_t n = 0; n < 2; n++) {
        char path[512];
        snprintf(path, sizeof path, CHECKPOINTS "%s", names[n]);
        aki_model *device = open_portable(names[n], AKI_PRECISION_F32, 2), *cpu = open_model(path, AKI_PRECISION_F32);
        aki_error e = { 0 };
        aki_embed_options o;
        aki_embed_options_init(&o, sizeof o);
        for (int words = 1; words < 170; words += words < 40 ? 7 : 31) {
            text[0] = '\0';
            for (int i = 0; i < words; i++)
                strcat(text, i % 3 ? " cat" : " house");
            o.pooling = words % 7;
            size_t size = aki_embed_bound(cpu, 1, &o);
            assert_int_equal(aki_embed(cpu, &p, NULL, 1, &o, wanted, size, NULL, NULL, &e), AKI_OK);
            if (aki_embed(device, &p, NULL, 1, &o, got, size, NULL, NULL, &e))
                fail_msg("%s, %d words: %s", names[n], words, e.message);
            for (size_t i = 0; i < size / sizeof *got; i++)
                assert_float_equal(got[i], wanted[i], 2e-5);
        }
        const int32_t ids[] = { 5, 6, 7, 8, 9, 10, 11 };
        const int64_t starts[] = { 0, 2, 7 };
        assert_int_equal(aki_embed_tokens(cpu, ids, starts, 2, NULL, wanted, sizeof wanted, &e), AKI_OK);
        assert_int_equal(aki_embed_tokens(device, ids, starts, 2, NULL, got, sizeof got, &e), AKI_OK);
        for (size_t i = 0; i < 7 * 48; i++)
            assert_float_equal(got[i], wanted[i], 5e-5);
        aki_model_close(device);
        aki_model_close(cpu);
    }
}

/* ---------------------------------------------------------------- threads --------------------------------------- */

struct caller { aki_model *m; int words; float wanted[MOST_DIM]; aki_status rc; };

static void *call(void *user)
{
    struct caller *c = user;
    char text[1024] = "";
    const char *p = text;
    float v[MOST_DIM];

    for (int i = 0; i < c->words; i++)
        strcat(text, " river");
    for (int i = 0; i < 20 && !c->rc; i++) {
        c->rc = aki_embed(c->m, &p, NULL, 1, NULL, v, 48 * sizeof *v, NULL, NULL, NULL);
        for (int k = 0; k < 48 && !c->rc; k++)
            if (fabsf(v[k] - c->wanted[k]) > 1e-5f)
                c->rc = AKI_E_INTERNAL;
    }
    return NULL;
}

/* Callers of different lengths on one session place: sessions come and go below them. */
static void test_threads(void **state)
{
    aki_model *m = open_portable("bert", AKI_PRECISION_F32, 1), *cpu = open_model(CHECKPOINTS "bert", AKI_PRECISION_F32);
    struct caller callers[3] = { { .m = cpu, .words = 3 }, { .m = cpu, .words = 25 }, { .m = cpu, .words = 50 } };
    pthread_t threads[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        char text[1024] = "";
        const char *p = text;
        for (int k = 0; k < callers[i].words; k++)
            strcat(text, " river");
        assert_int_equal(aki_embed(cpu, &p, NULL, 1, NULL, callers[i].wanted, 48 * sizeof(float), NULL, NULL, NULL), AKI_OK);
        callers[i].m = m;
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].rc, AKI_OK);
    }
    aki_model_close(m);
    aki_model_close(cpu);
}

/* ---------------------------------------------------------------- refusals -------------------------------------- */

static void check_refusal(const aki_model_options *o, aki_status status, const char *const *parts)
{
    aki_model *m = NULL;
    aki_error e = { 0 };

    aki_status rc = aki_model_open(CHECKPOINTS "bert", o, &m, &e);
    assert_null(m);
    if (rc != status)
        fail_msg("%d, not %d: %s", rc, status, e.message);
    assert_int_equal(e.status, rc);
    for (; *parts; parts++)
        if (!strstr(e.message, *parts))
            fail_msg("\"%s\" does not say \"%s\"", e.message, *parts);
}

static void test_absent(void **state)
{
    static const char *const absent[] = { "coreml", "cuda", "dml", "webgpu", "no-such-thing", "CPUExecutionProvider", "" };
    aki_model_options o;
    (void)state;
    aki_model_options_init(&o, sizeof o);
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        o.device = absent[i];
        check_refusal(&o, AKI_E_UNAVAILABLE, (const char *const[]){ absent[i], "not in this ONNX Runtime", "available: cpu, portable", NULL });
    }
    o.device = "portable";
    o.precision = AKI_PRECISION_INT8;
    check_refusal(&o, AKI_E_UNSUPPORTED, (const char *const[]){ "portable", "int8 is for the cpu", NULL });
    o.device = "cpu";
    o.precision = AKI_PRECISION_F16;
    check_refusal(&o, AKI_E_UNSUPPORTED, (const char *const[]){ "f16", NULL });
    o.precision = AKI_PRECISION_F32;
    o.device_options = (const char *const[]){ "a=b" };
    o.device_option_count = 1;
    check_refusal(&o, AKI_E_UNAVAILABLE, (const char *const[]){ "a=b", NULL });
    o.device = "portable";
    o.device_options = (const char *const[]){ "novalue" };
    check_refusal(&o, AKI_E_INVALID, (const char *const[]){ "KEY=VALUE", NULL });
    o.device_options = (const char *const[]){ "MLComputeUnits=ALL" };
    check_refusal(&o, AKI_E_INVALID, (const char *const[]){ "MLComputeUnits", "portable", NULL });
    o.device_options = (const char *const[]){ "aki.shapes=round" };
    check_refusal(&o, AKI_E_INVALID, (const char *const[]){ "fixed or free", NULL });
    o.device_options = (const char *const[]){ "aki.shape=free" };
    check_refusal(&o, AKI_E_INVALID, (const char *const[]){ "aki.shapes", NULL });
    o.device_option_count = 0;
    o.device_plugin = AKI_SOURCE_DIR "/README.md";
    check_refusal(&o, AKI_E_UNAVAILABLE, (const char *const[]){ "plugin", NULL });
    o.device_plugin = "/no/such/library.so";
    check_refusal(&o, AKI_E_UNAVAILABLE, (const char *const[]){ "no such file", NULL });
}

/* Not asked for, nothing falls back; asked for, it says so. */
static void test_fallback(void **state)
{
    static float v[48], wanted[48];
    const char *text = "a cat";
    aki_model_options o;
    aki_model_info info;
    aki_model *m = NULL, *cpu = open_model(CHECKPOINTS "bert", AKI_PRECISION_F32);
    aki_error e = { 0 };
    (void)state;
    aki_model_options_init(&o, sizeof o);
    o.device = "coreml";
    o.device_fallback = 1;
    o.precision = AKI_PRECISION_F16;
    assert_int_equal(aki_model_open(CHECKPOINTS "bert", &o, &m, &e), AKI_OK);
    aki_model_info_init(&info, sizeof info);
    assert_int_equal(aki_model_get_info(m, &info, &e), AKI_OK);
    assert_string_equal(info.device, "cpu");
    assert_int_equal(info.fell_back, 1);
    assert_int_equal(info.precision, AKI_PRECISION_F32);
    assert_non_null(strstr(info.device_note, "coreml"));
    assert_int_equal(aki_embed(m, &text, NULL, 1, NULL, v, sizeof v, NULL, NULL, &e), AKI_OK);
    assert_int_equal(aki_embed(cpu, &text, NULL, 1, NULL, wanted, sizeof wanted, NULL, NULL, &e), AKI_OK);
    assert_memory_equal(v, wanted, sizeof v);
    aki_model_close(m);
    aki_model_close(cpu);
    o.precision = AKI_PRECISION_F32;
    o.device = "auto";
    assert_int_equal(aki_model_open(CHECKPOINTS "bert", &o, &m, &e), AKI_OK);
    assert_int_equal(aki_model_get_info(m, &info, &e), AKI_OK);
    assert_int_equal(info.fell_back, 0);
    assert_non_null(strstr(info.device_note, "auto: cpu"));
    aki_model_close(m);
}

/* A device that computes wrongly is refused with the figures, whatever it does wrong. */
static void test_wrong_vectors(void **state)
{
    static const struct { const char *option, *says[4]; } faults[] = {
        { "fault=nan", { "18 vectors with NaN", "109 nodes on the device in 1 partition, 0 on the cpu" } },
        { "fault=zeros", { "18 of zeros" } },
        { "fault=noise", { "least cosine", "bound 0.99999" } },
        { "fault=error", { "broken on purpose" } },
        { "fault=few", { "least cosine 1.0000000", "3 nodes on the device", "106 on the cpu" } },
    };
    const aki_device *devices;
    size_t count, found = 0;
    aki_model_options o;
    (void)state;
    aki_model_options_init(&o, sizeof o);
    o.device_plugin = "fake=" AKI_FAKE_PROVIDER;
    o.device = "fake";
    o.device_option_count = 1;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        o.device_options = &faults[i].option;
        const char *parts[8] = { "fake", "self-test" };
        memcpy(parts + 2, faults[i].says, sizeof faults[i].says);
        check_refusal(&o, AKI_E_UNAVAILABLE, parts);
    }
    o.device_options = (const char *const[]){ "other=1" };
    check_refusal(&o, AKI_E_UNAVAILABLE, (const char *const[]){ "fake", NULL });
    assert_int_equal(aki_devices(&devices, &count, NULL), AKI_OK);
    for (size_t i = 0; i < count; i++)
        found += strcmp(devices[i].name, "fake") == 0 && !devices[i].reason;
    assert_int_equal(found, 1);
    o.device_options = &faults[2].option;
    o.device_fallback = 1;
    aki_model *m = NULL;
    aki_model_info info;
    assert_int_equal(aki_model_open(CHECKPOINTS "bert", &o, &m, NULL), AKI_OK);
    aki_model_info_init(&info, sizeof info);
    assert_int_equal(aki_model_get_info(m, &info, NULL), AKI_OK);
    assert_true(info.fell_back && strcmp(info.device, "cpu") == 0 && strstr(info.device_note, "least cosine"));
    aki_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens), cmocka_unit_test(test_against_cpu), cmocka_unit_test(test_threads), cmocka_unit_test(test_absent), cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_wrong_vectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
