/* Tests of the engine on generated checkpoints (tests/make_checkpoints.py) against what sentence-transformers answers for them
 * (tests/data/golden): ids and vectors, whatever the batch; int8's bit-identity; options; errors; concurrency. */
#include "golden.h"

#define CHANGED AKI_BINARY_DIR "/changed/"      /* copies of checkpoints that a test damages: others read the originals meanwhile */

#include "base/os.h"

enum { MOST_DIM = 256, MOST_CASES = 64 };

static const char *const checkpoints[] = { "bert", "bert-plain", "bert-dense", "bert-relu-mean", "bert-sqrtlen", "bert-tanh-max-f16", "camembert", "roberta",
                                           "xlmr", "xlmr-no-prompt", "qwen3", "qwen3-bias", "qwen3-bidirectional", "qwen3-weightedmean", "qwen3-window",
                                           "bert-outliers", "qwen3-outliers", "qwen3-extreme" };
enum { CHECKPOINT_COUNT = sizeof checkpoints / sizeof *checkpoints };

static aki_model *open_checkpoint(const char *name, int32_t precision)
{
    char path[512];

    snprintf(path, sizeof path, CHECKPOINTS "%s", name);
    return open_model(path, precision);
}

/* ---------------------------------------------------------------- goldens --------------------------------------- */

static void check_ids(aki_model *m, const struct golden_case *c, const char *name, size_t i)
{
    aki_embed_options o = golden_options(c);
    int32_t ids[4096];
    size_t count = 0;
    aki_model_info info;
    aki_error e = { 0 };

    aki_model_info_init(&info, sizeof info);
    assert_int_equal(aki_model_get_info(m, &info, &e), AKI_OK);
    o.max_tokens = info.max_tokens;
    if (aki_tokenize(m, c->text, c->size, &o, ids, NULL, 4096, &count, &e))
        fail_msg("%s, case %zu: %s", name, i, e.message);
    assert_int_equal(count, c->ids->size);
    const struct aki__json *x = aki__json_first(c->ids);
    for (size_t k = 0; k < count; k++, x = aki__json_next(x)) {
        int64_t id;
        assert_true(aki__json_int(x, &id));
        if (id != ids[k])
            fail_msg("%s, case %zu: token %zu is %d, not %lld", name, i, k, ids[k], (long long)id);
    }
}

static void check_vector(const struct golden_case *c, const float *v, size_t dim, const char *name, size_t i)
{
    double distance = golden_distance(c, v, dim), cosine = golden_cosine(c, v, dim);

    if (distance > 2e-5 || cosine < 0.999999)
        fail_msg("%s, case %zu: %g away, cosine %.8f", name, i, distance, cosine);
}

static void test_goldens(void **state)
{
    (void)state;
    for (size_t k = 0; k < CHECKPOINT_COUNT; k++) {
        aki_model *m = open_checkpoint(checkpoints[k], AKI_PRECISION_F32);
        struct golden g;
        golden_open(&g, checkpoints[k]);
        for (size_t i = 0; i < g.count; i++) {
            struct golden_case c = golden_at(&g, i);
            aki_embed_options o = golden_options(&c);
            float v[MOST_DIM];
            int32_t tokens = 0;
            aki_error e = { 0 };

            check_ids(m, &c, checkpoints[k], i);
            aki_status rc = aki_embed(m, &c.text, &c.size, 1, &o, v, g.dim * sizeof *v, &tokens, NULL, &e);
            if (!c.vector) {
                assert_int_equal(rc, AKI_E_INVALID);
                continue;
            }
            if (rc)
                fail_msg("%s, case %zu: %s", checkpoints[k], i, e.message);
            assert_int_equal(tokens, c.ids->size);
            check_vector(&c, v, g.dim, checkpoints[k], i);
        }
        golden_close(&g);
        aki_model_close(m);
    }
}

/* The prompt-less cases of a checkpoint that have a vector, as arrays. */
struct batch { const char *texts[MOST_CASES]; size_t sizes[MOST_CASES]; struct golden_case cases[MOST_CASES]; size_t count; };

static void plain_cases(const struct golden *g, struct batch *b)
{
    b->count = 0;
    for (size_t i = 0; i < g->count; i++) {
        struct golden_case c = golden_at(g, i);
        if (!c.vector || c.prompt_name[0])
            continue;
        b->cases[b->count] = c;
        b->texts[b->count] = c.text;
        b->sizes[b->count++] = c.size;
    }
}

/* All texts in one call, forward and backward, in runs of several sizes. */
static void test_batches(void **state)
{
    static const int32_t run_sizes[] = { 0, 1, 64, 300 };
    (void)state;
    for (size_t k = 0; k < CHECKPOINT_COUNT; k++) {
        struct golden g;
        struct batch b, r;
        golden_open(&g, checkpoints[k]);
        plain_cases(&g, &b);
        r = b;
        for (size_t i = 0; i < b.count; i++) {
            r.texts[i] = b.texts[b.count - 1 - i];
            r.sizes[i] = b.sizes[b.count - 1 - i];
            r.cases[i] = b.cases[b.count - 1 - i];
        }
        for (size_t s = 0; s < sizeof run_sizes / sizeof *run_sizes; s++) {
            char path[512];
            aki_model_options mo;
            aki_model *m = NULL;
            static float v[MOST_CASES * MOST_DIM];
            aki_error e = { 0 };

            snprintf(path, sizeof path, CHECKPOINTS "%s", checkpoints[k]);
            aki_model_options_init(&mo, sizeof mo);
            mo.max_batch_tokens = run_sizes[s];
            assert_int_equal(aki_model_open(path, &mo, &m, &e), AKI_OK);
            const struct batch *const orders[] = { &b, &r };
            for (int o = 0; o < 2; o++) {
                if (aki_embed(m, orders[o]->texts, orders[o]->sizes, b.count, NULL, v, sizeof v, NULL, NULL, &e))
                    fail_msg("%s: %s", checkpoints[k], e.message);
                for (size_t i = 0; i < b.count; i++)
                    check_vector(&orders[o]->cases[i], v + i * g.dim, g.dim, checkpoints[k], i);
            }
            aki_model_close(m);
        }
        golden_close(&g);
    }
}

/* ---------------------------------------------------------------- int8 ------------------------------------------ */

static void test_int8(void **state)
{
    (void)state;
    for (size_t k = 0; k < CHECKPOINT_COUNT; k++) {
        aki_model *m = open_checkpoint(checkpoints[k], AKI_PRECISION_INT8);
        struct golden g;
        struct batch b;
        static float all[MOST_CASES * MOST_DIM], back[MOST_CASES * MOST_DIM];
        float one[MOST_DIM];
        aki_embed_options o;
        aki_error e = { 0 };
        double sum = 0;

        golden_open(&g, checkpoints[k]);
        plain_cases(&g, &b);
        aki_embed_options_init(&o, sizeof o);
        o.no_reuse = 1;
        assert_int_equal(aki_embed(m, b.texts, b.sizes, b.count, &o, all, sizeof all, NULL, NULL, &e), AKI_OK);
        for (size_t i = 0; i < b.count; i++) {
            assert_int_equal(aki_embed(m, b.texts + i, b.sizes + i, 1, &o, one, sizeof one, NULL, NULL, &e), AKI_OK);
            if (memcmp(one, all + i * g.dim, g.dim * sizeof *one))
                fail_msg("%s: text %zu alone differs from text %zu of %zu", checkpoints[k], i, i, b.count);
            sum += golden_cosine(&b.cases[i], one, g.dim);
        }
        for (size_t i = 0; i < b.count / 2; i++) {
            const char *t = b.texts[i];
            size_t s = b.sizes[i];
            b.texts[i] = b.texts[b.count - 1 - i];
            b.sizes[i] = b.sizes[b.count - 1 - i];
            b.texts[b.count - 1 - i] = t;
            b.sizes[b.count - 1 - i] = s;
        }
        assert_int_equal(aki_embed(m, b.texts, b.sizes, b.count, &o, back, sizeof back, NULL, NULL, &e), AKI_OK);
        for (size_t i = 0; i < b.count; i++)
            assert_memory_equal(back + (b.count - 1 - i) * g.dim, all + i * g.dim, g.dim * sizeof(float));
        /* Random weights of width 48 are the hardest case: real models are far closer (bench/). Without columns in f32 the two of outliers would
         * be at 0.82 and 0.991, without products in f32 the extreme one at 0.986, with its attention in bf16 at 0.9998. */
        if (sum / (double)b.count < (strstr(checkpoints[k], "extreme") ? 0.99995 : strstr(checkpoints[k], "outliers") ? 0.999 : 0.98))
            fail_msg("%s: mean cosine of int8 to f32 is %.5f", checkpoints[k], sum / (double)b.count);
        golden_close(&g);
        aki_model_close(m);
    }
}

/* ---------------------------------------------------------------- these tests can fail -------------------------- */

#if !defined(_WIN32)
/* Copies a checkpoint, edits one file with sed, and tells how far the vectors then are from the goldens. */
static double distance_after(const char *name, const char *file, const char *edit)
{
    char folder[512], command[2048], path[600];
    struct golden g;
    struct batch b;
    static float v[MOST_CASES * MOST_DIM];
    aki_error e = { 0 };
    double most = 0;

    snprintf(folder, sizeof folder, CHANGED "%s", name);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    snprintf(command, sizeof command, "mkdir -p '" CHANGED "' && rm -rf '%s' && cp -r '" CHECKPOINTS "%s' '%s' && LC_ALL=C sed -i '%s' '%s'", folder, name, folder, edit, path);
    assert_int_equal(system(command), 0);
    golden_open(&g, name);
    plain_cases(&g, &b);
    aki_model *m = open_model(folder, AKI_PRECISION_F32);
    assert_int_equal(aki_embed(m, b.texts, b.sizes, b.count, NULL, v, sizeof v, NULL, NULL, &e), AKI_OK);
    for (size_t i = 0; i < b.count; i++)
        most = fmax(most, golden_distance(&b.cases[i], v + i * g.dim, g.dim));
    aki_model_close(m);
    golden_close(&g);
    return most;
}

static void test_bound_bites(void **state)
{
    (void)state;
    assert_true(distance_after("qwen3", "config.json", "") < 2e-5);
    assert_true(distance_after("qwen3", "config.json", "s/\\(rope_theta[^0-9]*\\)[0-9.e+]*/\\110007.0/") > 1e-4);
    assert_true(distance_after("bert", "config.json", "s/\"gelu\"/\"relu\"/") > 1e-4);
    /* Two layers change places in the header: the same length, other offsets. */
    assert_true(distance_after("bert", "model.safetensors", "s/encoder\\.layer\\.0\\./encoder.layer.X./g;s/encoder\\.layer\\.1\\./encoder.layer.0./g;s/encoder\\.layer\\.X\\./encoder.layer.1./g") > 1e-3);
}

/* A Qwen3 folder whose tokenizer.json lost its post-processor: the end token comes back, and with it the vectors. */
static void test_end_appended(void **state)
{
    aki_model_info info;
    aki_error e = { 0 };
    (void)state;

    assert_true(distance_after("qwen3", "tokenizer.json", "s/\"post_processor\"/\"post_processor\": null, \"padding_of_old\"/") < 2e-5);
    aki_model *m = open_model(CHANGED "qwen3", AKI_PRECISION_F32);
    aki_model_info_init(&info, sizeof info);
    assert_int_equal(aki_model_get_info(m, &info, &e), AKI_OK);
    assert_int_equal(info.end_appended, 1);
    /* The tokenizer alone gives the ids that the model sees; its file by itself is of no model. */
    int32_t ids[3][16];
    size_t counts[3] = { 0 };
    assert_int_equal(aki_tokenize(m, "a cat", 5, NULL, ids[0], NULL, 16, &counts[0], &e), AKI_OK);
    aki_model_close(m);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(aki_tokenizer_open(i == 1 ? CHANGED "qwen3" : CHANGED "qwen3/tokenizer.json", &m, &e), AKI_OK);
        assert_int_equal(aki_tokenize(m, "a cat", 5, NULL, ids[i], NULL, 16, &counts[i], &e), AKI_OK);
        aki_model_close(m);
    }
    assert_true(counts[0] > 1 && counts[1] == counts[0] && counts[2] == counts[0] - 1);
    assert_memory_equal(ids[1], ids[0], counts[0] * sizeof **ids);
    m = open_checkpoint("qwen3", AKI_PRECISION_F32);
    assert_int_equal(aki_model_get_info(m, &info, &e), AKI_OK);
    assert_int_equal(info.end_appended, 0);
    aki_model_close(m);
}
#endif

/* The pooling's neighbours: last instead of cls, another mean. */
static void test_pooling_matters(void **state)
{
    struct golden g;
    struct batch b;
    aki_embed_options o;
    float v[MOST_DIM];
    aki_error e = { 0 };
    (void)state;

    aki_model *m = open_checkpoint("bert", AKI_PRECISION_F32);
    golden_open(&g, "bert");
    plain_cases(&g, &b);
    aki_embed_options_init(&o, sizeof o);
    for (int32_t pooling = AKI_POOLING_CLS; pooling <= AKI_POOLING_LAST; pooling++) {
        o.pooling = pooling;
        assert_int_equal(aki_embed(m, b.texts + 3, b.sizes + 3, 1, &o, v, sizeof v, NULL, NULL, &e), AKI_OK);
        double d = golden_distance(&b.cases[3], v, g.dim);
        if ((d < 2e-5) != (pooling == AKI_POOLING_CLS))
            fail_msg("pooling %d: %g away from cls", pooling, d);
    }
    golden_close(&g);
    aki_model_close(m);
}

/* ---------------------------------------------------------------- ids and tokens -------------------------------- */

static void test_ids_and_tokens(void **state)
{
    static float tokens[4096 * MOST_DIM];
    float by_text[MOST_DIM], by_ids[MOST_DIM], pooled[MOST_DIM] = { 0 };
    int32_t ids[4096];
    size_t count;
    const char *text = "two words and a number: 42";
    aki_embed_options o;
    aki_error e = { 0 };
    aki_model_info info;
    (void)state;

    aki_model *m = open_checkpoint("bert-relu-mean", AKI_PRECISION_F32);
    aki_model_info_init(&info, sizeof info);
    assert_int_equal(aki_model_get_info(m, &info, &e), AKI_OK);
    size_t dim = (size_t)info.dim;
    aki_embed_options_init(&o, sizeof o);
    assert_int_equal(aki_tokenize(m, text, strlen(text), &o, ids, NULL, 4096, &count, &e), AKI_OK);
    const int64_t starts[] = { 0, (int64_t)count };
    assert_int_equal(aki_embed(m, &text, NULL, 1, &o, by_text, sizeof by_text, NULL, NULL, &e), AKI_OK);
    assert_int_equal(aki_embed_ids(m, ids, starts, 1, &o, by_ids, sizeof by_ids, &e), AKI_OK);
    assert_memory_equal(by_text, by_ids, dim * sizeof(float));
    assert_int_equal(aki_embed_tokens(m, ids, starts, 1, &o, tokens, sizeof tokens, &e), AKI_OK);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < dim; k++)
            pooled[k] += tokens[i * dim + k] / (float)count;
    for (size_t k = 0; k < dim; k++)
        assert_true(fabs(pooled[k] - by_text[k]) < 1e-5);

    ids[0] = info.vocabulary;
    assert_int_equal(aki_embed_ids(m, ids, starts, 1, &o, by_ids, sizeof by_ids, &e), AKI_E_INVALID);
    assert_int_equal(e.item, 0);
    ids[0] = -1;
    assert_int_equal(aki_embed_ids(m, ids, starts, 1, &o, by_ids, sizeof by_ids, &e), AKI_E_INVALID);
    const int64_t empty[] = { 0, 0 };
    assert_int_equal(aki_embed_ids(m, ids, empty, 1, &o, by_ids, sizeof by_ids, &e), AKI_E_INVALID);
    aki_model_close(m);
}

/* ---------------------------------------------------------------- options and errors ---------------------------- */

static int stop_at_once(void *user)
{
    ++*(int *)user;
    return 1;
}

static void test_options(void **state)
{
    const char *texts[] = { "one", "two", "one", "one", "" };
    const char *bad = "fine so far \xFF";
    float v[5 * MOST_DIM], half[MOST_DIM];
    int32_t tokens[5];
    uint8_t truncated[5], bits[MOST_DIM];
    aki_embed_options o;
    aki_error e = { 0 };
    aki_model_info info;
    int asked = 0;
    (void)state;

    aki_model *m = open_checkpoint("bert", AKI_PRECISION_F32);
    aki_model_info_init(&info, sizeof info);
    assert_int_equal(aki_model_get_info(m, &info, NULL), AKI_OK);
    size_t dim = (size_t)info.dim;
    aki_embed_options_init(&o, sizeof o);
    assert_int_equal(aki_embed_bound(m, 5, &o), 5 * dim * sizeof(float));
    assert_int_equal(aki_embed(m, texts, NULL, 5, &o, v, sizeof v, tokens, truncated, &e), AKI_OK);
    assert_memory_equal(v, v + 2 * dim, dim * sizeof(float));
    assert_memory_equal(v, v + 3 * dim, dim * sizeof(float));
    assert_int_equal(tokens[0], tokens[3]);
    assert_int_equal(aki_model_get_info(m, &info, NULL), AKI_OK);
    assert_int_equal(info.texts, 5);
    assert_int_equal(info.texts_reused, 2);
    assert_int_equal(aki_embed(m, texts, NULL, 0, &o, NULL, 0, NULL, NULL, &e), AKI_OK);
    assert_int_equal(aki_embed(m, texts, NULL, 5, &o, v, 5 * dim * sizeof(float) - 1, NULL, NULL, &e), AKI_E_TOO_SMALL);

    assert_int_equal(aki_embed(m, &bad, NULL, 1, &o, v, sizeof v, NULL, NULL, &e), AKI_E_INVALID);
    assert_int_equal(e.offset, 12);
    o.prompt = "a prompt: ";
    assert_int_equal(aki_embed(m, &bad, NULL, 1, &o, v, sizeof v, NULL, NULL, &e), AKI_E_INVALID);
    assert_int_equal(e.offset, 12);
    o.prompt = NULL;
    o.prompt_name = "no such prompt";
    assert_int_equal(aki_embed(m, texts, NULL, 1, &o, v, sizeof v, NULL, NULL, &e), AKI_E_NOT_FOUND);
    o.prompt_name = NULL;
    o.dim = (int32_t)dim + 1;
    assert_int_equal(aki_embed_bound(m, 5, &o), 0);
    assert_int_equal(aki_embed(m, texts, NULL, 1, &o, v, sizeof v, NULL, NULL, &e), AKI_E_INVALID);
    o.dim = 5;
    assert_int_equal(aki_embed(m, texts, NULL, 1, &o, half, sizeof half, NULL, NULL, &e), AKI_OK);
    double norm = 0;
    for (int i = 0; i < 5; i++)
        norm += (double)half[i] * half[i];
    assert_true(fabs(norm - 1) < 1e-6);
    assert_true(fabs(half[1] / half[0] - v[1] / v[0]) < 1e-4);
    o.dtype = AKI_DTYPE_UBINARY;
    assert_int_equal(aki_embed_bound(m, 1, &o), 1);
    assert_int_equal(aki_embed(m, texts, NULL, 1, &o, bits, sizeof bits, NULL, NULL, &e), AKI_OK);
    for (int i = 0; i < 8; i++)
        assert_int_equal(bits[0] >> (7 - i) & 1, i < 5 && half[i] > 0);
    o.dtype = AKI_DTYPE_INT8;
    assert_int_equal(aki_embed(m, texts, NULL, 1, &o, bits, sizeof bits, NULL, NULL, &e), AKI_E_INVALID);
    o.dtype = 99;
    assert_int_equal(aki_embed(m, texts, NULL, 1, &o, v, sizeof v, NULL, NULL, &e), AKI_E_INVALID);
    o.dtype = AKI_DTYPE_F32;
    o.dim = 0;
    o.max_tokens = 2;
    assert_int_equal(aki_embed(m, texts, NULL, 1, &o, v, sizeof v, NULL, NULL, &e), AKI_E_INVALID);
    o.max_tokens = 3;
    const char *longer = "one two three";
    assert_int_equal(aki_embed(m, &longer, NULL, 1, &o, v, sizeof v, tokens, truncated, &e), AKI_OK);
    assert_int_equal(tokens[0], 3);
    assert_int_equal(truncated[0], 1);
    o.truncate = AKI_TRUNCATE_ERROR;
    assert_int_equal(aki_embed(m, &longer, NULL, 1, &o, v, sizeof v, tokens, truncated, &e), AKI_E_INVALID);
    assert_int_equal(e.item, 0);
    o.truncate = AKI_TRUNCATE_RIGHT;
    o.output = AKI_OUTPUT_TOKENS;               /* of rows of ids */
    assert_int_equal(aki_embed(m, texts, NULL, 5, &o, v, sizeof v, NULL, NULL, &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "output"));
    o.output = AKI_OUTPUT_VECTOR;
    o.cancel = stop_at_once;
    o.cancel_user = &asked;
    assert_int_equal(aki_embed(m, texts, NULL, 5, &o, v, sizeof v, NULL, NULL, &e), AKI_E_CANCELLED);
    assert_int_equal(asked, 1);
    assert_int_equal(aki_model_check(m, &e), AKI_OK);
    aki_model_close(m);
}

/* A caller of an older version (shorter struct) and of a newer one (longer, unknown field set or not). */
static void test_struct_sizes(void **state)
{
    struct { aki_embed_options o; char more[32]; } newer;
    float v[MOST_DIM];
    const char *text = "x";
    aki_error e = { 0 };
    (void)state;

    aki_model *m = open_checkpoint("bert", AKI_PRECISION_F32);
    aki_embed_options_init(&newer, sizeof newer);
    assert_int_equal(aki_embed(m, &text, NULL, 1, &newer.o, v, sizeof v, NULL, NULL, &e), AKI_OK);
    newer.more[7] = 1;
    assert_int_equal(aki_embed(m, &text, NULL, 1, &newer.o, v, sizeof v, NULL, NULL, &e), AKI_E_UNSUPPORTED);
    memset(&newer, 0xAA, sizeof newer);
    aki_embed_options_init(&newer, 8);
    assert_int_equal(aki_embed(m, &text, NULL, 1, &newer.o, v, sizeof v, NULL, NULL, &e), AKI_OK);
    memset(&newer, 0, sizeof newer);
    assert_int_equal(aki_embed(m, &text, NULL, 1, &newer.o, v, sizeof v, NULL, NULL, &e), AKI_E_INVALID);
    aki_model_close(m);
}

static void test_open_errors(void **state)
{
    aki_model_options o;
    aki_model *m = NULL;
    aki_error e = { 0 };
    (void)state;

    assert_int_equal(aki_model_open("/no/such/folder", NULL, &m, &e), AKI_E_NOT_FOUND);
    assert_null(m);
    aki_model_options_init(&o, sizeof o);
    o.device = "coreml";
    assert_int_equal(aki_model_open(CHECKPOINTS "bert", &o, &m, &e), AKI_E_UNAVAILABLE);
    o.device = NULL;
    o.max_tokens = 2;
    assert_int_equal(aki_model_open(CHECKPOINTS "bert", &o, &m, &e), AKI_E_INVALID);
    o.max_tokens = 0;
    o.threads = 7777;
    assert_int_equal(aki_model_open(CHECKPOINTS "bert", &o, &m, &e), AKI_E_INVALID);
    assert_int_equal(aki_tokenizer_open(CHECKPOINTS "bert", &m, &e), AKI_OK);
    float v[MOST_DIM];
    const char *text = "x";
    assert_int_equal(aki_embed(m, &text, NULL, 1, NULL, v, sizeof v, NULL, NULL, &e), AKI_E_UNSUPPORTED);
    aki_model_close(m);
}

#if !defined(_WIN32)
/* A model whose weights hold NaN: the vector is refused and the text named. */
static void test_not_a_number(void **state)
{
    const char *texts[] = { "a", "b" };
    float v[2 * MOST_DIM];
    aki_error e = { 0 };
    (void)state;

    /* The last bytes of the file are a tensor's last values. */
    assert_int_equal(system("mkdir -p '" CHANGED "' && rm -rf '" CHANGED "nan' && cp -r '" CHECKPOINTS "qwen3' '" CHANGED "nan' && cd '" CHANGED "nan' && "
                            "truncate -s -2 model.safetensors && printf '\\377\\377' >> model.safetensors"), 0);
    for (int32_t precision = AKI_PRECISION_F32; precision <= AKI_PRECISION_INT8; precision++) {
        aki_model *m = open_model(CHANGED "nan", precision);
        assert_int_equal(aki_embed(m, texts, NULL, 2, NULL, v, sizeof v, NULL, NULL, &e), AKI_E_INVALID);
        assert_int_equal(e.item, 0);
        assert_non_null(strstr(e.message, "NaN"));
        aki_model_close(m);
    }
}
#endif

/* Rows out of order, with starts whose difference no integer holds. */
static void test_starts_out_of_order(void **state)
{
    static const int64_t rows[][4] = { { 0, 2, INT64_MIN, 3 }, { 0, 2, 2, 3 }, { 0, 2, 1, 3 }, { 0, INT64_MAX, INT64_MIN, 3 }, { 0, -1, INT64_MAX, 3 } };
    static const int32_t ids[] = { 1, 2, 3, 4 };
    float v[3 * MOST_DIM];
    (void)state;

    aki_model *m = open_checkpoint("bert", AKI_PRECISION_F32);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aki_error e = { 0 };
        assert_int_equal(aki_embed_ids(m, ids, rows[i], 3, NULL, v, sizeof v, &e), AKI_E_INVALID);
        assert_int_equal(e.item, i == 3 || i == 4 ? 0 : 1);
        assert_int_equal(aki_embed_tokens(m, ids, rows[i], 3, NULL, v, sizeof v, &e), AKI_E_INVALID);
    }
    aki_model_close(m);
}

static void test_null_elements(void **state)
{
    static const char *const some[] = { "aki.shapes=free", NULL }, *const texts[] = { "a", NULL };
    static const char *const devices[] = { "portable", "cpu", "auto", "no such device" };
    float v[2 * MOST_DIM];
    aki_error e = { 0 };
    aki_model *m = NULL;
    (void)state;

    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        aki_model_options o;
        aki_model_options_init(&o, sizeof o);
        o.device = devices[i];
        o.device_options = some;
        o.device_option_count = 2;
        assert_int_equal(aki_model_open(CHECKPOINTS "bert", &o, &m, &e), AKI_E_INVALID);
        assert_null(m);
        assert_string_equal(e.message, "device_options[1] is NULL");
        o.device_options = some + 1;
        o.device_option_count = 1;
        assert_int_equal(aki_model_open(CHECKPOINTS "bert", &o, &m, &e), AKI_E_INVALID);
    }
    m = open_checkpoint("bert", AKI_PRECISION_F32);
    assert_int_equal(aki_embed(m, texts, NULL, 2, NULL, v, sizeof v, NULL, NULL, &e), AKI_E_INVALID);
    assert_int_equal(e.item, 1);
    aki_model_close(m);
}

#if !defined(_WIN32)
/* A file of the model's that is written into while the model is open, from which its table, or all of a quantised folder, is read. */
static void test_a_file_that_shrinks(void **state)
{
    const char *text = "zebra", *other = "the cat";
    float before[MOST_DIM], after[MOST_DIM];
    aki_error e = { 0 };
    (void)state;

    for (int quantised = 0; quantised < 2; quantised++) {
        assert_int_equal(system("mkdir -p '" CHANGED "' && rm -rf '" CHANGED "shrinks' && cp -r '" CHECKPOINTS "bert' '" CHANGED "shrinks'"), 0);
        if (quantised)
            assert_int_equal(system("rm -rf '" CHANGED "shrinks'") || aki_quantize(CHECKPOINTS "bert", CHANGED "shrinks", &e), 0);
        aki_model *m = open_model(CHANGED "shrinks", AKI_PRECISION_DEFAULT);
        assert_int_equal(aki_embed(m, &text, NULL, 1, NULL, before, sizeof before, NULL, NULL, &e), AKI_OK);
        assert_int_equal(system("truncate -s 4096 '" CHANGED "shrinks/model.safetensors'"), 0);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(aki_embed(m, i ? &text : &other, NULL, 1, NULL, after, sizeof after, NULL, NULL, &e), AKI_E_IO);
            assert_non_null(strstr(e.message, "model.safetensors: has 4096 bytes, and had "));
        }
        assert_int_equal(aki_model_check(m, &e), AKI_E_IO);
        aki_model_close(m);
    }
}

/* Renamed over or removed, a file stays what it was for who has it open. */
static void test_a_file_that_is_replaced(void **state)
{
    const char *text = "zebra";
    float before[MOST_DIM], after[MOST_DIM];
    aki_error e = { 0 };
    (void)state;

    assert_int_equal(system("mkdir -p '" CHANGED "' && rm -rf '" CHANGED "replaced' && cp -r '" CHECKPOINTS "bert' '" CHANGED "replaced'"), 0);
    aki_model *m = open_model(CHANGED "replaced", AKI_PRECISION_F32);
    assert_int_equal(aki_embed(m, &text, NULL, 1, NULL, before, sizeof before, NULL, NULL, &e), AKI_OK);
    assert_int_equal(system("cd '" CHANGED "replaced' && echo short > new && mv -f new model.safetensors && rm -f tokenizer.json"), 0);
    assert_int_equal(aki_embed(m, &text, NULL, 1, NULL, after, sizeof after, NULL, NULL, &e), AKI_OK);
    assert_memory_equal(before, after, 48 * sizeof *before);
    aki_model_close(m);
}
#endif

/* ---------------------------------------------------------------- threads --------------------------------------- */

struct worker { aki_model *m; const struct batch *b; const float *expected; size_t dim; int failed; };

static void work(void *arg)
{
    struct worker *w = arg;
    float v[MOST_DIM];

    for (size_t i = 0; i < w->b->count; i++) {
        aki_embed_options o = golden_options(&w->b->cases[i]);
        if (aki_embed(w->m, w->b->texts + i, w->b->sizes + i, 1, &o, v, sizeof v, NULL, NULL, NULL) || memcmp(v, w->expected + i * w->dim, w->dim * sizeof *v))
            w->failed++;
    }
}

static void test_threads(void **state)
{
    static float expected[MOST_CASES * MOST_DIM];
    struct golden g;
    struct batch b;
    struct aki__thread threads[6];
    struct worker workers[6];
    (void)state;

    aki_model *m = open_checkpoint("qwen3-outliers", AKI_PRECISION_INT8);
    golden_open(&g, "qwen3-outliers");
    plain_cases(&g, &b);
    assert_int_equal(aki_embed(m, b.texts, b.sizes, b.count, NULL, expected, sizeof expected, NULL, NULL, NULL), AKI_OK);
    for (int i = 0; i < 6; i++) {
        workers[i] = (struct worker){ .m = m, .b = &b, .expected = expected, .dim = g.dim };
        assert_true(aki__thread_start(&threads[i], work, &workers[i]));
    }
    for (int i = 0; i < 6; i++) {
        aki__thread_join(&threads[i]);
        assert_int_equal(workers[i].failed, 0);
    }
    golden_close(&g);
    aki_model_close(m);
}

/* ---------------------------------------------------------------- prefix cache ---------------------------------- */

/* Texts behind a long instruction, one call each and all in one call, with and without the cache: int8 to the bit, f32 within the bound. */
static void test_prefixes(void **state)
{
    static const char *const texts[] = { "first question", "second one", "a third, somewhat longer question about nothing", "", "first question again", "x" };
    enum { TEXTS = sizeof texts / sizeof *texts };
    static const char *const names[] = { "qwen3", "qwen3-bias", "qwen3-window", "qwen3-outliers", "qwen3-extreme" };
    float plain[TEXTS * MOST_DIM], cached[TEXTS * MOST_DIM];
    aki_error e = { 0 };
    (void)state;

    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (int32_t precision = AKI_PRECISION_F32; precision <= AKI_PRECISION_INT8; precision++) {
            char path[512];
            aki_model_options off;
            aki_model *without = NULL;
            aki_embed_options o;
            aki_model_info info;
            snprintf(path, sizeof path, CHECKPOINTS "%s", names[k]);
            aki_model_options_init(&off, sizeof off);
            off.precision = precision;
            off.prefix_cache_mb = -1;
            assert_int_equal(aki_model_open(path, &off, &without, &e), AKI_OK);
            aki_model *with = open_model(path, precision);
            aki_embed_options_init(&o, sizeof o);
            o.prompt = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:";
            o.pooling = AKI_POOLING_LAST;
            aki_model_info_init(&info, sizeof info);
            assert_int_equal(aki_model_get_info(with, &info, &e), AKI_OK);
            size_t dim = (size_t)info.dim, size = dim * sizeof(float);
            assert_int_equal(aki_embed(without, texts, NULL, TEXTS, &o, plain, sizeof plain, NULL, NULL, &e), AKI_OK);
            for (size_t i = 0; i < TEXTS; i++)
                assert_int_equal(aki_embed(with, texts + i, NULL, 1, &o, cached + i * dim, size, NULL, NULL, &e), AKI_OK);
            for (int round = 0; round < 2; round++) {
                for (size_t i = 0; i < TEXTS * dim; i++)
                    if (precision == AKI_PRECISION_INT8 ? memcmp(plain + i, cached + i, sizeof(float)) : fabs(plain[i] - cached[i]) > 2e-5)
                        fail_msg("%s, precision %d, text %zu: with a prefix %g, without %g", names[k], precision, i / dim, cached[i], plain[i]);
                assert_int_equal(aki_embed(with, texts, NULL, TEXTS, &o, cached, sizeof cached, NULL, NULL, &e), AKI_OK);
            }
            assert_int_equal(aki_model_get_info(with, &info, &e), AKI_OK);
            assert_true(info.tokens_reused > 100);
            assert_int_equal(aki_model_get_info(without, &info, &e), AKI_OK);
            assert_int_equal(info.tokens_reused, 0);
            /* Pooling that reads the prompt's rows cannot leave them out. */
            o.pooling = AKI_POOLING_MEAN;
            assert_int_equal(aki_embed(without, texts, NULL, TEXTS, &o, plain, sizeof plain, NULL, NULL, &e), AKI_OK);
            assert_int_equal(aki_embed(with, texts, NULL, TEXTS, &o, cached, sizeof cached, NULL, NULL, &e), AKI_OK);
            assert_memory_equal(plain, cached, TEXTS * size);
            aki_model_close(with);
            aki_model_close(without);
        }
}

static void test_similarity(void **state)
{
    const float a[] = { 3, 4, 0, 0 }, b[] = { 4, 3, 3, 4, 6, 8 };
    float out[6], ranges[4];
    (void)state;

    aki_similarity(a, 2, b, 3, 2, out);
    assert_true(fabs(out[0] - 0.96) < 1e-6 && fabs(out[1] - 1) < 1e-6 && fabs(out[2] - 1) < 1e-6);
    assert_true(out[3] == 0 && out[4] == 0 && out[5] == 0);
    const float endless[] = { INFINITY, 1 };
    aki_similarity(endless, 1, b, 1, 2, out);
    assert_true(isnan(out[0]));
    aki_ranges(b, 3, 2, ranges);
    assert_true(ranges[0] == 3 && ranges[1] == 3 && ranges[2] == 6 && ranges[3] == 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens), cmocka_unit_test(test_batches), cmocka_unit_test(test_int8),
        cmocka_unit_test(test_pooling_matters), cmocka_unit_test(test_ids_and_tokens), cmocka_unit_test(test_options),
        cmocka_unit_test(test_struct_sizes), cmocka_unit_test(test_open_errors),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_prefixes), cmocka_unit_test(test_similarity),
#if !defined(_WIN32)            /* a shell makes their folders */
        cmocka_unit_test(test_starts_out_of_order), cmocka_unit_test(test_null_elements), cmocka_unit_test(test_bound_bites), cmocka_unit_test(test_end_appended), cmocka_unit_test(test_not_a_number), cmocka_unit_test(test_a_file_that_shrinks), cmocka_unit_test(test_a_file_that_is_replaced),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
