/* Tests of devices: the portable dialect in padded runs against what sentence-transformers answers (tests/data/golden), in free and in fixed
 * shapes, f32 and f16; devices that are refused: absent ones, and a provider library that computes wrongly on purpose (fake_provider.c); what is
 * remembered of self-tests, and option sets that are tried in turn. */
#include "golden.h"

#include "base/os.h"
#include "ort/session.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* Pairs, as aki_encode gives them: token types reach the device, of each text in a run of several its own. */
static void test_pairs(void **state)
{
    static const char *const pairs[][2] = { { "a cat", "two dogs" }, { "the river", "a house in the city and what lies behind the mountain" }, { "query", NULL } };
    enum { PAIRS = sizeof pairs / sizeof *pairs, MOST = 256 };
    static float got[PAIRS * MOST_DIM], wanted[PAIRS * MOST_DIM], untyped[PAIRS * MOST_DIM];
    int32_t ids[MOST], types[MOST];
    int64_t starts[PAIRS + 1] = { 0 };
    aki_rows rows;
    aki_error e = { 0 };
    (void)state;

    aki_model *cpu = open_model(CHECKPOINTS "bert", AKI_PRECISION_F32);
    for (size_t i = 0; i < PAIRS; i++) {
        aki_encoded x;
        aki_encoded_init(&x, sizeof x);
        x.ids = ids + starts[i];
        x.types = types + starts[i];
        x.capacity = (size_t)(MOST - starts[i]);
        if (aki_encode(cpu, pairs[i][0], strlen(pairs[i][0]), pairs[i][1], pairs[i][1] ? strlen(pairs[i][1]) : 0, NULL, &x, &e))
            fail_msg("%s", e.message);
        starts[i + 1] = starts[i] + (int64_t)x.count;
    }
    aki_rows_init(&rows, sizeof rows);
    rows.ids = ids;
    rows.starts = starts;
    rows.count = PAIRS;
    const size_t size = aki_embed_bound(cpu, PAIRS, NULL), dim = size / PAIRS / sizeof *got;
    assert_int_equal(aki_embed_rows(cpu, &rows, NULL, untyped, size, &e), AKI_OK);
    rows.types = types;
    assert_int_equal(aki_embed_rows(cpu, &rows, NULL, wanted, size, &e), AKI_OK);
    assert_true(fabsf(wanted[0] - untyped[0]) > 1e-4f && fabsf(wanted[dim] - untyped[dim]) > 1e-4f);
    assert_memory_equal(wanted + 2 * dim, untyped + 2 * dim, dim * sizeof *wanted);
    for (int32_t buckets = 0; buckets < 2; buckets++) {
        aki_model *device = open_portable("bert", AKI_PRECISION_F32, buckets);
        assert_int_equal(aki_embed_rows(device, &rows, NULL, got, size, &e), AKI_OK);
        for (size_t i = 0; i < PAIRS * dim; i++)
            assert_float_equal(got[i], wanted[i], 2e-5);
        aki_model_close(device);
    }
    aki_model_close(cpu);
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

/* ---------------------------------------------------------------- remembered tests ------------------------------ */

static char scratch[64];                    /* a folder of this run alone; its cache/ is the cache folder */
static char self_tests[128];                /* where figures are kept in it */

static int opened_on_cpu;                   /* sessions of the cpu since count_references: the reference that a remembered test saves */

#if defined(AKI_COUNTS)
aki_status __real_aki__session_open(struct aki__session **out, const struct aki__graph *g, const struct aki__session_options *options, aki_error *err);
aki_status __wrap_aki__session_open(struct aki__session **out, const struct aki__graph *g, const struct aki__session_options *options, aki_error *err);

aki_status __wrap_aki__session_open(struct aki__session **out, const struct aki__graph *g, const struct aki__session_options *options, aki_error *err)
{
    opened_on_cpu += !options->device;
    return __real_aki__session_open(out, g, options, err);
}
#endif

/* Opens it as the options say, expecting success or a refusal; answers how often the reference was opened. */
static int count_references(const char *folder, const aki_model_options *o, aki_status status, char note[400])
{
    aki_model *m = NULL;
    aki_model_info info;
    aki_error e = { 0 };

    opened_on_cpu = 0;
    aki_status rc = aki_model_open(folder, o, &m, &e);
    if (rc != status)
        fail_msg("%d, not %d: %s", rc, status, e.message);
    snprintf(note, 400, "%s", e.message);
    aki_model_info_init(&info, sizeof info);
    if (!rc) {
        assert_int_equal(aki_model_get_info(m, &info, NULL), AKI_OK);
        snprintf(note, 400, "%s", info.device_note);
    }
    aki_model_close(m);
    return opened_on_cpu;
}

/* Tested (or not) is also what the note says. */
static void expect(const char *folder, const aki_model_options *o, aki_status status, bool tested, const char *what)
{
    char note[400];
    int references = count_references(folder, o, status, note);

    if (!strstr(note, "remembered: test_cache renew tests again") != tested)
        fail_msg("%s: \"%s\"", what, note);
#if defined(AKI_COUNTS)
    if (references != tested)
        fail_msg("%s: the reference was opened %d times", what, references);
#else
    (void)references;
#endif
}

static void tell_name(void *user, const char *name)
{
    if (name[0] != '.')
        snprintf(user, 256, "%s/%s", self_tests, name);
}

static void count_name(void *user, const char *name) { *(int *)user += name[0] != '.'; }

static int files_kept(void)
{
    int count = 0;

    aki__folder_each(self_tests, count_name, &count);
    return count;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void forget(void) { nftw(self_tests, remove_one, 8, FTW_DEPTH | FTW_PHYS); }

/* A copy of the checkpoint "bert" that can be changed. */
static void copy_model(char folder[128])
{
    static const char *const names[] = { "config.json", "model.safetensors", "tokenizer.json" };

    snprintf(folder, 128, "%s/model", scratch);
    assert_int_equal(aki__make_folder(folder, NULL), AKI_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char from[512], to[256];
        struct aki__map map;
        snprintf(from, sizeof from, CHECKPOINTS "bert/%s", names[i]);
        snprintf(to, sizeof to, "%s/%s", folder, names[i]);
        assert_int_equal(aki__map_open(&map, from, NULL), AKI_OK);
        assert_true(aki__file_replace(to, map.data, map.size));
        aki__map_close(&map);
    }
}

static void test_remembered(void **state)
{
    char folder[128], path[256];
    aki_model_options o;
    (void)state;
    copy_model(folder);
    forget();
    aki_model_options_init(&o, sizeof o);
    o.device = "portable";
    o.test_cache = AKI_TEST_CACHE_OFF;
    expect(folder, &o, AKI_OK, true, "off");
    assert_int_equal(files_kept(), 0);
    o.test_cache = AKI_TEST_CACHE_DEFAULT;
    expect(folder, &o, AKI_OK, true, "the first time");
    assert_int_equal(files_kept(), 1);
    expect(folder, &o, AKI_OK, false, "the second time");
    o.test_cache = AKI_TEST_CACHE_RENEW;
    expect(folder, &o, AKI_OK, true, "renew");
    o.test_cache = AKI_TEST_CACHE_OFF;
    expect(folder, &o, AKI_OK, true, "off, though there is something");
    o.test_cache = AKI_TEST_CACHE_DEFAULT;
    expect(folder, &o, AKI_OK, false, "once more");
    assert_int_equal(files_kept(), 1);
    o.test_cache = 3;
    check_refusal(&o, AKI_E_INVALID, (const char *const[]){ "test_cache", NULL });
    o.test_cache = 0;

    /* Whatever the figures depend on makes it another test. */
    o.precision = AKI_PRECISION_F16;
    expect(folder, &o, AKI_OK, true, "f16");
    o.precision = AKI_PRECISION_F32;
    o.max_tokens = 20;
    expect(folder, &o, AKI_OK, true, "shorter texts");
    o.max_tokens = 0;
    o.max_batch_tokens = 100;
    expect(folder, &o, AKI_OK, true, "smaller runs");
    o.max_batch_tokens = 0;
    o.device_options = fixed_shapes;
    o.device_option_count = 1;
    expect(folder, &o, AKI_OK, true, "fixed shapes");
    expect(folder, &o, AKI_OK, false, "fixed shapes again");
    o.device_option_count = 0;
    expect(folder, &o, AKI_OK, false, "as at first");
    snprintf(path, sizeof path, "%s/config.json", folder);
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs("\n", f);
    fclose(f);
    expect(folder, &o, AKI_OK, true, "a file of the model");
    snprintf(path, sizeof path, "%s/another", scratch);
    assert_int_equal(rename(folder, path), 0);
    expect(path, &o, AKI_OK, false, "the same elsewhere");
}

/* Nowhere to keep anything: no error, only no memory. */
static void test_no_cache_folder(void **state)
{
    static const char *const places[] = { "/proc/none", "/dev/null", "relative", NULL };
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME");
    char *old_home = home ? strdup(home) : NULL, *old_xdg = strdup(xdg);
    aki_model_options o;
    (void)state;
    aki_model_options_init(&o, sizeof o);
    o.device = "portable";
    unsetenv("HOME");
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (places[i])
            setenv("XDG_CACHE_HOME", places[i], 1);
        else
            unsetenv("XDG_CACHE_HOME");
        for (int k = 0; k < 2; k++)
            expect(CHECKPOINTS "bert", &o, AKI_OK, true, places[i] ? places[i] : "no home");
    }
    if (old_home)
        setenv("HOME", old_home, 1);
    setenv("XDG_CACHE_HOME", old_xdg, 1);
    free(old_home);
    free(old_xdg);
}

/* What is no answer of this test is not believed, and replaced. KEY stands for the file's own. */
static void test_hostile_memory(void **state)
{
    static const struct { const char *text; bool believed; aki_status status; } files[] = {
        { "{\"key\":\"KEY\",\"cosine_e9\":999999000,\"nan\":0,\"zeros\":0,\"nodes\":103,\"elsewhere\":0,\"partitions\":0}\n", true, AKI_OK },
        { "{\"key\":\"KEY\",\"cosine_e9\":999999000,\"nan\":18,\"zeros\":0,\"nodes\":103,\"elsewhere\":0,\"partitions\":0}", true, AKI_E_UNAVAILABLE },
        { "{\"key\":\"KEY\",\"cosine_e9\":999989999,\"nan\":0,\"zeros\":0,\"nodes\":103,\"elsewhere\":0,\"partitions\":0}", true, AKI_E_UNAVAILABLE },
        { "", false, AKI_OK },
        { "{\"key\":\"KEY\",\"cosine_e9\":999999000,\"nan\":0,\"zeros\":0,\"nodes\":103,\"elsewhere\":0,\"part", false, AKI_OK },
        { "{\"key\":\"KEY\",\"cosine_e9\":999999000,\"nan\":0,\"zeros\":0,\"nodes\":103,\"elsewhere\":0}", false, AKI_OK },
        { "{\"key\":\"0123456789abcdef0123456789abcdef\",\"cosine_e9\":999999000,\"nan\":0,\"zeros\":0,\"nodes\":103,\"elsewhere\":0,\"partitions\":0}", false, AKI_OK },
        { "{\"key\":\"KEY\",\"cosine_e9\":999999000,\"nan\":0,\"zeros\":0,\"nodes\":103,\"elsewhere\":0,\"partitions\":0} and more", false, AKI_OK },
        { "{\"key\":\"KEY\",\"cosine_e9\":9e30,\"nan\":0,\"zeros\":0,\"nodes\":103,\"elsewhere\":0,\"partitions\":0}", false, AKI_OK },
        { "{\"key\":\"KEY\",\"cosine_e9\":1500000000,\"nan\":0,\"zeros\":0,\"nodes\":103,\"elsewhere\":0,\"partitions\":0}", false, AKI_OK },
        { "{\"key\":\"KEY\",\"cosine_e9\":999999000,\"nan\":19,\"zeros\":0,\"nodes\":103,\"elsewhere\":0,\"partitions\":0}", false, AKI_OK },
        { "{\"key\":\"KEY\",\"cosine_e9\":999999000,\"nan\":-1,\"zeros\":0,\"nodes\":103,\"elsewhere\":0,\"partitions\":0}", false, AKI_OK },
        { "{\"key\":\"KEY\",\"cosine_e9\":\"999999000\",\"nan\":0,\"zeros\":0,\"nodes\":103,\"elsewhere\":0,\"partitions\":0}", false, AKI_OK },
        { "{\"key\":\"KEY\",\"cosine_e9\":999999000,\"nan\":0,\"zeros\":0,\"nodes\":102,\"elsewhere\":0,\"partitions\":0}", false, AKI_OK },   /* not what the session has */
        { "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", false, AKI_OK },
        { "FIFO", false, AKI_OK }, { "FOLDER", false, AKI_OK },
    };
    char path[256] = "";
    aki_model_options o;
    (void)state;
    forget();
    aki_model_options_init(&o, sizeof o);
    o.device = "portable";
    expect(CHECKPOINTS "bert", &o, AKI_OK, true, "the first time");
    assert_int_equal(files_kept(), 1);
    aki__folder_each(self_tests, tell_name, path);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char text[512];
        const char *key = strstr(files[i].text, "KEY");
        const bool fifo = strcmp(files[i].text, "FIFO") == 0, directory = strcmp(files[i].text, "FOLDER") == 0;
        snprintf(text, sizeof text, "%s", files[i].text);
        if (key)
            snprintf(text, sizeof text, "%.*s%.32s%s", (int)(key - files[i].text), files[i].text, strrchr(path, '/') + 1, key + 3);
        unlink(path);
        assert_true(fifo ? mkfifo(path, 0600) == 0 : directory ? mkdir(path, 0700) == 0 : aki__file_replace(path, text, strlen(text)));
        expect(CHECKPOINTS "bert", &o, files[i].status, !files[i].believed, files[i].text);
        if (!files[i].believed && !directory)
            expect(CHECKPOINTS "bert", &o, AKI_OK, false, "replaced");
    }
}

/* A device that computed wrongly is not asked again until something is different; one that failed for another reason is. */
static void test_remembered_refusals(void **state)
{
    char copy[128], plugin[160];
    struct aki__map map;
    aki_model_options o;
    (void)state;
    forget();
    aki_model_options_init(&o, sizeof o);
    o.device_plugin = "fake=" AKI_FAKE_PROVIDER;
    o.device = "fake";
    o.device_option_count = 1;
    for (int i = 0; i < 2; i++) {
        o.device_options = (const char *const[]){ "fault=nan" };
        expect(CHECKPOINTS "bert", &o, AKI_E_UNAVAILABLE, i == 0, "nan");
        o.device_options = (const char *const[]){ "fault=none" };
        expect(CHECKPOINTS "bert", &o, AKI_OK, i == 0, "none");
        o.device_options = (const char *const[]){ "fault=error" };
        expect(CHECKPOINTS "bert", &o, AKI_E_UNAVAILABLE, true, "error");
    }
    o.device_options = (const char *const[]){ "fault=nan" };
    check_refusal(&o, AKI_E_UNAVAILABLE, (const char *const[]){ "failed its self-test", "18 vectors with NaN", "109 nodes on the device", "test_cache renew tests again", NULL });
    o.test_cache = AKI_TEST_CACHE_RENEW;
    expect(CHECKPOINTS "bert", &o, AKI_E_UNAVAILABLE, true, "renew");
    o.test_cache = 0;
    expect(CHECKPOINTS "qwen3", &o, AKI_E_UNAVAILABLE, true, "another model");

    /* The library itself is a part of the key. */
    snprintf(copy, sizeof copy, "%s/copy.so", scratch);
    snprintf(plugin, sizeof plugin, "copied=%s", copy);
    assert_int_equal(aki__map_open(&map, AKI_FAKE_PROVIDER, NULL), AKI_OK);
    assert_true(aki__file_replace(copy, map.data, map.size));
    aki__map_close(&map);
    o.device_plugin = plugin;
    o.device = "copied";
    o.device_options = (const char *const[]){ "fault=zeros" };
    for (int i = 0; i < 2; i++)
        expect(CHECKPOINTS "bert", &o, AKI_E_UNAVAILABLE, i == 0, "a copy of the library");
    assert_int_equal(utimensat(AT_FDCWD, copy, (const struct timespec[]){ { .tv_sec = 1000000 }, { .tv_sec = 1000000 } }, 0), 0);
    for (int i = 0; i < 2; i++)
        expect(CHECKPOINTS "bert", &o, AKI_E_UNAVAILABLE, i == 0, "the library was changed");
}

/* ---------------------------------------------------------------- option sets ----------------------------------- */

/* The row of coreml, with a provider that stands in for Apple's. */
static void test_option_sets(void **state)
{
    aki_model_options o;
    char note[400];
    (void)state;
    forget();
    aki_model_options_init(&o, sizeof o);
    o.device_plugin = "CoreMLExecutionProvider=" AKI_FAKE_PROVIDER;
    o.device = "coreml";
    o.device_option_count = 1;
    o.device_options = (const char *const[]){ "fault=ALL:nan CPUAndGPU:none CPUAndNeuralEngine:zeros" };
    for (int i = 0; i < 2; i++) {
        int references = count_references(CHECKPOINTS "bert", &o, AKI_OK, note);
        assert_non_null(strstr(note, "; options: MLComputeUnits=CPUAndGPU; refused: MLComputeUnits=ALL: 18 NaN"));
        assert_true(!strstr(note, "remembered") == (i == 0));
#if defined(AKI_COUNTS)
        assert_int_equal(references, i == 0);      /* one for all sets */
#else
        (void)references;
#endif
    }
    o.device_options = (const char *const[]){ "fault=ALL:none CPUAndGPU:nan" };
    count_references(CHECKPOINTS "bert", &o, AKI_OK, note);
    assert_non_null(strstr(note, "; options: MLComputeUnits=ALL"));
    assert_null(strstr(note, "refused"));

    /* None passes: each says why. */
    o.device_options = (const char *const[]){ "fault=ALL:nan CPUAndGPU:error CPUAndNeuralEngine:few" };
    check_refusal(&o, AKI_E_UNAVAILABLE, (const char *const[]){ "\"coreml\" failed its self-test (bound 0.99999): MLComputeUnits=ALL: 18 NaN; MLComputeUnits=CPUAndGPU: fake: broken on purpose; ",
                                                                "MLComputeUnits=CPUAndNeuralEngine: 100 of 103 nodes on the cpu", NULL });
    check_refusal(&o, AKI_E_UNAVAILABLE, (const char *const[]){ "(bound 0.99999; remembered: test_cache renew tests again): MLComputeUnits=ALL: 18 NaN", NULL });

    /* Who chooses gets what he chose, and no other. */
    o.device_option_count = 2;
    o.device_options = (const char *const[]){ "fault=ALL:nan CPUAndGPU:none CPUOnly:none", "MLComputeUnits=ALL" };
    check_refusal(&o, AKI_E_UNAVAILABLE, (const char *const[]){ "failed its self-test: 9 texts", "18 vectors with NaN", NULL });
    o.device_options = (const char *const[]){ "fault=ALL:nan CPUAndGPU:none CPUOnly:none", "MLComputeUnits=CPUOnly" };
    count_references(CHECKPOINTS "bert", &o, AKI_OK, note);
    assert_null(strstr(note, "options"));
}

/* What was listed before a plugin was loaded stays as it was, for who still reads it. */
static void test_lists_stay(void **state)
{
    const aki_device *before, *again, *after;
    size_t count, count_again, count_after, found = 0;
    (void)state;
    assert_int_equal(aki_devices(&before, &count, NULL), AKI_OK);
    assert_int_equal(aki_devices(&again, &count_again, NULL), AKI_OK);
    assert_ptr_equal(before, again);
    assert_int_equal(count, count_again);
    assert_int_equal(aki_load_device_plugin("CoreMLExecutionProvider=" AKI_FAKE_PROVIDER, NULL), AKI_OK);
    assert_int_equal(aki_devices(&after, &count_after, NULL), AKI_OK);
    for (size_t i = 0; i < count_after; i++)
        found += strcmp(after[i].name, "coreml") == 0 && !after[i].reason;
    for (size_t i = 0; i < count; i++)
        found += strcmp(before[i].name, "coreml") == 0 && before[i].reason && strstr(before[i].reason, "CoreMLExecutionProvider is not in");
    assert_int_equal(found, 2);
}

static int make_scratch(void **state)
{
    char cache[80];

    (void)state;
    snprintf(scratch, sizeof scratch, "/tmp/akiembed-devices.XXXXXX");
    if (!mkdtemp(scratch))
        return -1;
    snprintf(cache, sizeof cache, "%s/cache", scratch);
    snprintf(self_tests, sizeof self_tests, "%s/akiembed/self-tests", cache);
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
        cmocka_unit_test(test_goldens), cmocka_unit_test(test_against_cpu), cmocka_unit_test(test_pairs), cmocka_unit_test(test_threads), cmocka_unit_test(test_absent), cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_remembered), cmocka_unit_test(test_no_cache_folder), cmocka_unit_test(test_hostile_memory), cmocka_unit_test(test_wrong_vectors),
        cmocka_unit_test(test_remembered_refusals),
        cmocka_unit_test(test_lists_stay), cmocka_unit_test(test_option_sets),      /* the last: from there on there is a coreml */
    };

    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
