/* Tests of what is done for CoreML alone, with a provider that stands in for Apple's (fake_provider.c): programs that are compared at their first
 * run, half precision as devices have it, ONNX Runtimes that are too old for it, free shapes, the folder of compiled models. */
#include "golden.h"

#include "base/os.h"
#include "ort/device_rules.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIM = 48, MOST_TEXTS = 40 };

static char scratch[64];                    /* a folder of this run alone; its cache/ is the cache folder */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

/* "coreml" with these options, each "KEY=VALUE", up to a NULL. */
static aki_status open_coreml(aki_model **m, const char *checkpoint, int32_t precision, const char *const *options, aki_error *e)
{
    char path[512];
    aki_model_options o;

    snprintf(path, sizeof path, CHECKPOINTS "%s", checkpoint);
    aki_model_options_init(&o, sizeof o);
    o.device_plugin = "CoreMLExecutionProvider=" AKI_FAKE_PROVIDER;
    o.device = "coreml";
    o.precision = precision;
    o.device_options = options;
    while (options[o.device_option_count])
        o.device_option_count++;
    *e = (aki_error){ 0 };
    return aki_model_open(path, &o, m, e);
}

/* Texts of about as many tokens as words, each another one. */
static aki_status embed_texts(aki_model *m, size_t count, int words, float *out, aki_error *e)
{
    static char texts[MOST_TEXTS][1024];
    const char *list[MOST_TEXTS];

    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)snprintf(texts[i], sizeof texts[i], "%zu", i);
        for (int k = 1; k < words; k++)
            at += (size_t)snprintf(texts[i] + at, sizeof texts[i] - at, k % 3 ? " cat" : " house");
        list[i] = texts[i];
    }
    *e = (aki_error){ 0 };
    return aki_embed(m, list, NULL, count, NULL, out, count * DIM * sizeof *out, NULL, NULL, e);
}

static void expect_near(const float *got, const float *wanted, size_t count, float bound)
{
    for (size_t i = 0; i < count * DIM; i++)
        if (!(fabsf(got[i] - wanted[i]) <= bound))
            fail_msg("text %zu: %g, not %g", i / DIM, (double)got[i], (double)wanted[i]);
}

static const char *refused_of(const aki_model *m)
{
    aki_model_info info;

    aki_model_info_init(&info, sizeof info);
    assert_int_equal(aki_model_get_info(m, &info, NULL), AKI_OK);
    return info.device_refused;
}

/* ---------------------------------------------------------------- programs that are compared -------------------- */

/* Shapes that the self-test has not seen; wrong in one of them, CoreML computes with another option set, or in a smaller shape, or not at all. */
static void test_first_runs(void **state)
{
    static const struct { const char *fault, *refused; } cases[] = {
        { "fault=none", NULL },
        { "fault=ALL:noise@32x16 CPUAndGPU:none", "32 x 16 tokens, MLComputeUnits=ALL: cosine " },
        { "fault=ALL:nan@32x16 CPUAndGPU:zeros@32x16 CPUAndNeuralEngine:none", "32 x 16 tokens, MLComputeUnits=ALL: cosine " },
        { "fault=ALL:error@32x16 CPUAndGPU:none", "32 x 16 tokens, MLComputeUnits=ALL: " },
        { "fault=ALL:late@32x16 CPUAndGPU:none", "32 x 16 tokens, MLComputeUnits=ALL: cosine " },        /* as the GPU of macOS 26.2 */
        { "fault=noise@32x16", "32 x 16 tokens, MLComputeUnits=ALL: cosine " },        /* in every set: 8 texts go together */
    };
    static float got[MOST_TEXTS * DIM], wanted[MOST_TEXTS * DIM];
    aki_model *cpu = open_model(CHECKPOINTS "bert", AKI_PRECISION_F32), *m = NULL;
    aki_error e;
    (void)state;
    assert_int_equal(embed_texts(cpu, 40, 5, wanted, &e), AKI_OK);
    for (int again = 0; again < 2; again++)         /* tested, and remembered */
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            if (open_coreml(&m, "bert", AKI_PRECISION_F32, (const char *const[]){ cases[i].fault, NULL }, &e))
                fail_msg("%s: %s", cases[i].fault, e.message);
            assert_null(refused_of(m));
            for (int call = 0; call < 2; call++)
                if (embed_texts(m, 40, 5, got, &e))
                    fail_msg("%s: %s", cases[i].fault, e.message);
            expect_near(got, wanted, 40, 2e-5f);
            const char *refused = refused_of(m);
            if (!refused != !cases[i].refused || (refused && !strstr(refused, cases[i].refused)))
                fail_msg("%s: refused %s", cases[i].fault, refused ? refused : "nothing");
            aki_model_close(m);
        }
    /* No set, and no smaller shape: the call fails and says why. Others go on. */
    assert_int_equal(open_coreml(&m, "qwen3", AKI_PRECISION_F32, (const char *const[]){ "fault=noise@1x128", NULL }, &e), AKI_OK);
    assert_int_equal(embed_texts(m, 1, 5, got, &e), AKI_OK);
    assert_int_equal(embed_texts(m, 8, 5, got, &e), AKI_OK);        /* the two that are resident now are far smaller */
    for (int call = 0; call < 2; call++) {
        assert_int_equal(embed_texts(m, 1, 60, got, &e), AKI_E_UNAVAILABLE);
        assert_non_null(strstr(e.message, "device \"coreml\" has no right program of this shape: 1 x 128 tokens, MLComputeUnits=CPUAndNeuralEngine: cosine "));
        assert_non_null(strstr(e.message, "(bound 0.99999)"));
    }
    assert_int_equal(embed_texts(m, 1, 10, got, &e), AKI_OK);
    aki_model_close(m);
    /* A wrong first shape is the self-test's to see. */
    assert_int_equal(open_coreml(&m, "bert", AKI_PRECISION_F32, (const char *const[]){ "fault=noise@1x16", NULL }, &e), AKI_E_UNAVAILABLE);
    assert_non_null(strstr(e.message, "failed its self-test"));
    aki_model_close(cpu);
}

/* ---------------------------------------------------------------- half precision -------------------------------- */

/* Norms whose epsilon is 0 on the device: no row without variance may reach one, padding and rows without a text included. */
static void test_half_precision(void **state)
{
    static const char *const names[] = { "bert", "bert-dense", "bert-relu-mean", "roberta", "xlmr", "camembert", "qwen3", "qwen3-window" };
    static float got[MOST_TEXTS * DIM], wanted[MOST_TEXTS * DIM];
    aki_model *m = NULL;
    aki_error e;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (open_coreml(&m, names[i], AKI_PRECISION_F16, (const char *const[]){ "fault=none", "flush=1", NULL }, &e))
            fail_msg("%s: %s", names[i], e.message);
        if (i == 0) {
            aki_model *cpu = open_model(CHECKPOINTS "bert", AKI_PRECISION_F32);
            assert_int_equal(embed_texts(m, 11, 10, got, &e), AKI_OK);
            assert_int_equal(embed_texts(cpu, 11, 10, wanted, &e), AKI_OK);
            expect_near(got, wanted, 11, 5e-3f);
            aki_model_close(cpu);
        }
        aki_model_close(m);
    }
}

static void test_old_runtimes(void **state)
{
    (void)state;
    assert_false(aki__device_takes_f16(aki__device_rule_of("coreml"), "1.23.2"));
    assert_true(aki__device_takes_f16(aki__device_rule_of("coreml"), "1.24.0"));
    assert_true(aki__device_takes_f16(aki__device_rule_of("coreml"), "1.32.0"));
    assert_true(aki__device_takes_f16(aki__device_rule_of("coreml"), "2.0.0"));
    assert_true(aki__device_takes_f16(aki__device_rule_of("openvino"), "1.23.0"));
}

static void test_free_shapes(void **state)
{
    aki_model *m = NULL;
    aki_error e;
    (void)state;
    assert_int_equal(open_coreml(&m, "bert", AKI_PRECISION_F32, (const char *const[]){ "fault=none", "aki.shapes=free", NULL }, &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "device \"coreml\" takes no free shapes"));
    assert_int_equal(open_coreml(&m, "bert", AKI_PRECISION_F32, (const char *const[]){ "fault=none", "aki.shapes=fixed", NULL }, &e), AKI_OK);
    aki_model_close(m);
}

static int make_scratch(void **state)
{
    char cache[80];

    (void)state;
    snprintf(scratch, sizeof scratch, "/tmp/akiembed-coreml.XXXXXX");
    if (!mkdtemp(scratch))
        return -1;
    snprintf(cache, sizeof cache, "%s/cache", scratch);
    return aki__make_folder(cache, NULL) || setenv("XDG_CACHE_HOME", cache, 1);
}

static int remove_scratch(void **state)
{
    (void)state;
    return nftw(scratch, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_runs), cmocka_unit_test(test_half_precision), cmocka_unit_test(test_old_runtimes), cmocka_unit_test(test_free_shapes),
    };

    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
