/* Tests of classifiers and cross-encoders on generated checkpoints, against what sentence-transformers' CrossEncoder answers for them
 * (tests/data/golden/scores-*.json): ids, scores and logits, alone and in any batch; activations; what each kind of model refuses. */
#include "golden.h"
#include "host.h"

#include <unistd.h>

enum { MOST_PAIRS = 32, MOST_LABELS = 8 };

static const char *const classifiers[] = { "scores-bert", "scores-bert-raw", "scores-bert-nli", "scores-roberta", "scores-xlmr", "scores-camembert", "scores-saved",
                                           "scores-qwen3", "scores-logit", "scores-logit-true", "scores-logit-dense", "scores-logit-card" };
enum { CLASSIFIERS = sizeof classifiers / sizeof *classifiers };

static aki_model *open_checkpoint(const char *name, int32_t precision)
{
    char path[512];

    snprintf(path, sizeof path, CHECKPOINTS "%s", name);
    return open_model(path, precision);
}

/* The pairs of a golden file. */
struct pairs {
    struct aki__map      map, texts_map;
    struct aki__json_doc doc, texts;
    size_t      count;
    int64_t     labels;
    const char *first[MOST_PAIRS], *second[MOST_PAIRS];
    size_t      first_sizes[MOST_PAIRS], second_sizes[MOST_PAIRS];
    const struct aki__json *cases[MOST_PAIRS];
};

static const struct aki__json *element(const struct aki__json *list, int64_t i)
{
    const struct aki__json *e = aki__json_first(list);

    while (i-- > 0)
        e = aki__json_next(e);
    return e;
}

/* key: "cases", or "instructed". */
static void pairs_open_list(struct pairs *p, const char *name, const char *key)
{
    char path[512];
    aki_error e = { 0 };

    *p = (struct pairs){ 0 };
    snprintf(path, sizeof path, "%s/tests/data/golden/%s.json", AKI_SOURCE_DIR, name);
    assert_int_equal(aki__map_open(&p->map, path, &e), AKI_OK);
    assert_int_equal(aki__json_parse(&p->doc, p->map.data, p->map.size, path, &e), AKI_OK);
    assert_int_equal(aki__map_open(&p->texts_map, AKI_SOURCE_DIR "/tests/data/texts.json", &e), AKI_OK);
    assert_int_equal(aki__json_parse(&p->texts, p->texts_map.data, p->texts_map.size, "texts.json", &e), AKI_OK);
    assert_true(aki__json_int(aki__json_get(p->doc.nodes, "labels"), &p->labels));
    const struct aki__json *cases = aki__json_get(p->doc.nodes, key);
    assert_in_range(cases->size, 1, MOST_PAIRS);
    for (; p->count < cases->size; p->count++) {
        const struct aki__json *c = p->cases[p->count] = element(cases, (int64_t)p->count), *pair = aki__json_get(c, "pair"), *text;
        int64_t at;
        assert_true(aki__json_int(element(pair, 0), &at));
        text = element(p->texts.nodes, at);
        p->first[p->count] = text->text;
        p->first_sizes[p->count] = text->size;
        assert_true(aki__json_int(element(pair, 1), &at));
        text = element(p->texts.nodes, at);
        p->second[p->count] = text->text;
        p->second_sizes[p->count] = text->size;
    }
}

static void pairs_open(struct pairs *p, const char *name) { pairs_open_list(p, name, "cases"); }

static void pairs_close(struct pairs *p)
{
    aki__json_free(&p->doc);
    aki__json_free(&p->texts);
    aki__map_close(&p->map);
    aki__map_close(&p->texts_map);
}

static void check_numbers(const struct pairs *p, size_t i, const char *key, const float *got, double most, const char *name)
{
    const struct aki__json *list = aki__json_get(p->cases[i], key);

    assert_int_equal(list->size, p->labels);
    for (int64_t k = 0; k < p->labels; k++) {
        double wanted;
        assert_true(aki__json_double(element(list, k), &wanted));
        if (!(fabs(wanted - got[k]) <= most))
            fail_msg("%s, pair %zu: %s %d is %.7g, not %.7g", name, i, key, (int)k, (double)got[k], wanted);
    }
}

static void check_ids(aki_model *m, const struct pairs *p, size_t i, const aki_embed_options *options, const char *name)
{
    const struct aki__json *wanted = aki__json_get(p->cases[i], "ids");
    int32_t ids[512];
    aki_encoded out;
    aki_error e = { 0 };

    aki_encoded_init(&out, sizeof out);
    out.ids = ids;
    out.capacity = 512;
    if (aki_encode(m, p->first[i], p->first_sizes[i], p->second[i], p->second_sizes[i], options, &out, &e))
        fail_msg("%s, pair %zu: %s", name, i, e.message);
    assert_int_equal(out.count, wanted->size);
    for (size_t k = 0; k < out.count; k++) {
        int64_t id;
        assert_true(aki__json_int(element(wanted, (int64_t)k), &id));
        if (id != ids[k])
            fail_msg("%s, pair %zu: token %zu is %d, not %lld", name, i, k, ids[k], (long long)id);
    }
}

static void score(aki_model *m, const struct pairs *p, int32_t activation, float *out, int32_t *tokens)
{
    aki_embed_options o;
    aki_error e = { 0 };

    aki_embed_options_init(&o, sizeof o);
    o.activation = activation;
    if (aki_score(m, p->first, p->first_sizes, p->second, p->second_sizes, p->count, &o, out, p->count * (size_t)p->labels * sizeof *out, tokens, NULL, &e))
        fail_msg("%s", e.message);
}

static void test_goldens(void **state)
{
    (void)state;
    for (size_t k = 0; k < CLASSIFIERS; k++) {
        aki_model *m = open_checkpoint(classifiers[k], AKI_PRECISION_F32);
        float scores[MOST_PAIRS * MOST_LABELS], logits[MOST_PAIRS * MOST_LABELS];
        int32_t tokens[MOST_PAIRS];
        struct pairs p;

        pairs_open(&p, classifiers[k]);
        score(m, &p, AKI_ACTIVATION_DEFAULT, scores, tokens);
        score(m, &p, AKI_ACTIVATION_NONE, logits, NULL);
        for (size_t i = 0; i < p.count; i++) {
            check_ids(m, &p, i, NULL, classifiers[k]);
            assert_int_equal(tokens[i], aki__json_get(p.cases[i], "ids")->size);
            check_numbers(&p, i, "scores", scores + i * (size_t)p.labels, 2e-5, classifiers[k]);
            check_numbers(&p, i, "logits", logits + i * (size_t)p.labels, 2e-5, classifiers[k]);
        }
        pairs_close(&p);
        aki_model_close(m);
    }
}

/* One pair at a time gives the bits of all in one call. */
static void test_alone(void **state)
{
    (void)state;
    for (size_t k = 0; k < CLASSIFIERS; k++)
        for (int32_t precision = AKI_PRECISION_F32; precision <= AKI_PRECISION_INT8; precision++) {
            aki_model *m = open_checkpoint(classifiers[k], precision);
            float all[MOST_PAIRS * MOST_LABELS], alone[MOST_LABELS];
            struct pairs p;
            aki_error e = { 0 };

            pairs_open(&p, classifiers[k]);
            score(m, &p, AKI_ACTIVATION_DEFAULT, all, NULL);
            for (size_t i = 0; i < p.count; i++) {
                size_t size = (size_t)p.labels * sizeof *alone;
                assert_int_equal(aki_score(m, p.first + i, p.first_sizes + i, p.second + i, p.second_sizes + i, 1, NULL, alone, size, NULL, NULL, &e), AKI_OK);
                assert_memory_equal(alone, all + i * (size_t)p.labels, size);
            }
            pairs_close(&p);
            aki_model_close(m);
        }
}

static const char *const rerankers[] = { "scores-logit", "scores-logit-true", "scores-logit-dense", "scores-logit-card" };
enum { RERANKERS = sizeof rerankers / sizeof *rerankers };

static void test_instruction(void **state)
{
    (void)state;
    for (size_t k = 0; k < RERANKERS; k++) {
        aki_model *m = open_checkpoint(rerankers[k], AKI_PRECISION_F32);
        float logits[MOST_PAIRS];
        char instruction[128] = { 0 };
        struct pairs p;
        aki_embed_options o;
        aki_error e = { 0 };

        pairs_open_list(&p, rerankers[k], "instructed");
        const struct aki__json *text = aki__json_get(p.doc.nodes, "instruction");
        memcpy(instruction, text->text, text->size);
        aki_embed_options_init(&o, sizeof o);
        o.activation = AKI_ACTIVATION_NONE;
        for (int way = 0; way < 2; way++) {
            o.instruction = way ? NULL : instruction;
            o.prompt = way ? instruction : NULL;
            if (aki_score(m, p.first, p.first_sizes, p.second, p.second_sizes, p.count, &o, logits, p.count * sizeof *logits, NULL, NULL, &e))
                fail_msg("%s: %s", rerankers[k], e.message);
            for (size_t i = 0; i < p.count; i++) {
                check_ids(m, &p, i, &o, rerankers[k]);
                check_numbers(&p, i, "logits", logits + i, 2e-5, rerankers[k]);
            }
        }
        pairs_close(&p);
        aki_model_close(m);
    }
}

/* Twenty documents behind one query. */
struct ranked { const char *queries[20], *documents[20]; };

static void fill_ranked(struct ranked *r, char documents[20][64])
{
    for (int i = 0; i < 20; i++) {
        snprintf(documents[i], 64, "document %d about the river and %s", i, i % 3 ? "bread" : "a language model");
        r->queries[i] = "which river goes by the old city in the mountain";
        r->documents[i] = documents[i];
    }
}

/* What all pairs of a call begin with is computed once, which changes no bit; also where they come as rows of ids. */
static void test_shared(void **state)
{
    char documents[20][64];
    struct ranked r;
    aki_error e = { 0 };

    (void)state;
    fill_ranked(&r, documents);
    for (size_t k = 0; k < RERANKERS; k++)
        for (int32_t precision = AKI_PRECISION_F32; precision <= AKI_PRECISION_INT8; precision++) {
            aki_model *m = open_checkpoint(rerankers[k], precision), *without = NULL;
            float cached[20], plain[20], rows[20];
            int32_t tokens[20], ids[20 * 256];
            int64_t starts[21] = { 0 };
            char path[512];
            size_t total = 0, shared = SIZE_MAX;
            aki_model_options off;
            aki_embed_options o;
            aki_model_info info;

            snprintf(path, sizeof path, CHECKPOINTS "%s", rerankers[k]);
            aki_model_options_init(&off, sizeof off);
            off.precision = precision;
            off.prefix_cache_mb = -1;
            assert_int_equal(aki_model_open(path, &off, &without, &e), AKI_OK);
            assert_int_equal(aki_score(without, r.queries, NULL, r.documents, NULL, 20, NULL, plain, sizeof plain, NULL, NULL, &e), AKI_OK);
            assert_int_equal(aki_score(m, r.queries, NULL, r.documents, NULL, 20, NULL, cached, sizeof cached, tokens, NULL, &e), AKI_OK);
            assert_memory_equal(plain, cached, sizeof plain);
            for (size_t i = 0; i < 20; i++) {
                aki_encoded out;
                aki_encoded_init(&out, sizeof out);
                out.ids = ids + starts[i];
                out.capacity = 256;
                assert_int_equal(aki_encode(m, r.queries[i], strlen(r.queries[i]), documents[i], strlen(documents[i]), NULL, &out, &e), AKI_OK);
                assert_int_equal(out.count, tokens[i]);
                assert_in_range(out.prompt_tokens, 8, out.count - 30);
                starts[i + 1] = starts[i] + (int64_t)out.count;
                total += out.count;
                size_t same = 0;
                while (same < out.count && ids[same] == out.ids[same])
                    same++;
                shared = i && same < shared ? same : shared;
            }
            aki_model_info_init(&info, sizeof info);
            assert_int_equal(aki_model_get_info(m, &info, &e), AKI_OK);
            assert_int_equal(info.tokens_reused, 19 * shared);
            assert_int_equal(info.tokens, total - 19 * shared);
            aki_embed_options_init(&o, sizeof o);
            o.output = AKI_OUTPUT_SCORES;
            const aki_rows given = { .struct_size = sizeof given, .ids = ids, .starts = starts, .count = 20 };
            assert_int_equal(aki_embed_rows(m, &given, &o, rows, sizeof rows, &e), AKI_OK);
            assert_memory_equal(plain, rows, sizeof plain);
            assert_int_equal(aki_model_get_info(m, &info, &e), AKI_OK);
            assert_int_equal(info.tokens_reused, 39 * shared);
            aki_model_close(without);
            aki_model_close(m);
        }
}

static aki_status encode_limited(aki_model *m, int32_t truncate, int32_t limit, int32_t *ids, aki_encoded *out, aki_error *e)
{
    static const char query[] = "a query", document[] = "one two three four five six seven eight nine ten eleven twelve";
    aki_embed_options o;

    aki_embed_options_init(&o, sizeof o);
    o.truncate = truncate;
    o.max_tokens = limit;
    aki_encoded_init(out, sizeof *out);
    out->ids = ids;
    out->capacity = 256;
    return aki_encode(m, query, sizeof query - 1, document, sizeof document - 1, &o, out, e);
}

/* The document is cut, never what follows it. */
static void test_limits(void **state)
{
    aki_model *m = open_checkpoint("scores-logit", AKI_PRECISION_F32);
    const char *text = "alone";
    float out[1];
    int32_t whole[256], cut[256];
    aki_embed_options o;
    aki_encoded all, less;
    aki_error e = { 0 };

    (void)state;
    assert_int_equal(encode_limited(m, 0, 0, whole, &all, &e), AKI_OK);
    const int32_t limit = (int32_t)all.count - 10;
    assert_int_equal(encode_limited(m, AKI_TRUNCATE_RIGHT, limit, cut, &less, &e), AKI_OK);
    assert_int_equal(less.count, limit);
    assert_int_equal(less.full_count, all.count);
    assert_memory_equal(cut + limit - 12, whole + all.count - 12, 12 * sizeof *cut);
    assert_memory_equal(cut, whole, (size_t)(limit - 60) * sizeof *cut);
    assert_int_equal(encode_limited(m, AKI_TRUNCATE_LEFT, limit, cut, &less, &e), AKI_OK);
    assert_memory_equal(cut, whole + 10, (size_t)limit * sizeof *cut);
    assert_int_equal(less.prompt_tokens + 10, all.prompt_tokens);
    assert_int_equal(encode_limited(m, AKI_TRUNCATE_ERROR, limit, cut, &less, &e), AKI_E_INVALID);
    assert_int_equal(encode_limited(m, 0, 4, cut, &less, &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "no room"));
    assert_int_equal(aki_score(m, &text, NULL, NULL, NULL, 1, NULL, out, sizeof out, NULL, NULL, &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "single text"));
    const char *bad = "a\xFF";
    assert_int_equal(aki_score(m, &text, NULL, &bad, NULL, 1, NULL, out, sizeof out, NULL, NULL, &e), AKI_E_INVALID);
    assert_int_equal(e.offset, 1);
    aki_embed_options_init(&o, sizeof o);
    o.no_parse_special = 1;
    assert_int_equal(aki_score(m, &text, NULL, &text, NULL, 1, &o, out, sizeof out, NULL, NULL, &e), AKI_E_UNSUPPORTED);
    aki_model_close(m);
}

static int tell_nothing(void *user, const aki_check_event *event)
{
    (void)event;
    return user != NULL;
}

/* Folders of causal rerankers that cannot be scored are refused when they are opened, by what is wrong; aki_check says so too. */
static void test_folders(void **state)
{
    static const struct { const char *name, *edit; aki_status rc; const char *words; } folders[] = {
        { "scores-logit", "true", AKI_OK, NULL },
        { "scores-logit-true", "true", AKI_OK, NULL },
        { "scores-logit-dense", "true", AKI_OK, NULL },
        { "scores-logit-card", "true", AKI_OK, NULL },
        { "scores-logit", "rm chat_template.jinja", AKI_E_UNSUPPORTED, "no chat template for the roles" },
        { "scores-logit", "printf \"'query' 'document' {%% for x in y %%}\" > chat_template.jinja", AKI_E_UNSUPPORTED, "the statement for" },
        { "scores-logit", "printf \"{{ messages[-2].content }} 'query' 'document'\" > chat_template.jinja", AKI_E_INVALID, "leaves out the document" },
        { "scores-logit", "sed -i 's/\"true_token_id\": [0-9]*/\"true_token_id\": 99999/' 1_LogitScore/config.json", AKI_E_INVALID, "true_token_id" },
        { "scores-logit", "sed -i 's/causal_logits/other/' 1_LogitScore/config.json", AKI_E_UNSUPPORTED, "module_input_name" },
        { "scores-logit", "sed -i 's/\"tie_word_embeddings\": true/\"tie_word_embeddings\": false/' config.json", AKI_E_NOT_FOUND, "lm_head.weight" },
        { "scores-logit", "sed -i 's/flat/structured/' sentence_bert_config.json", AKI_E_UNSUPPORTED, "format" },
        { "scores-logit-dense", "sed -i 's/\"in_features\": 48/\"in_features\": 47/' 2_Dense/config.json", AKI_E_INVALID, "in_features" },
        { "scores-logit-card", "sed -i 's/\"yes\"/\"yess\"/' tokenizer.json", AKI_E_INVALID, "model.vocab" },
    };
    char work[] = "/tmp/akiembed-score-XXXXXX", command[1024], path[64];

    (void)state;
    assert_non_null(mkdtemp(work));
    snprintf(path, sizeof path, "%s/m", work);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        aki_model *m = NULL;
        aki_error e = { 0 };

        snprintf(command, sizeof command, "rm -rf %s && cp -r " CHECKPOINTS "%s %s && cd %s && %s", path, folders[i].name, path, path, folders[i].edit);
        assert_int_equal(system(command), 0);
        aki_status rc = aki_model_open(path, NULL, &m, &e);
        if (rc != folders[i].rc || (rc && !strstr(e.message, folders[i].words)))
            fail_msg("%s, %s: %d, %s", folders[i].name, folders[i].edit, rc, e.message);
        aki_model_close(m);
        rc = aki_check(path, tell_nothing, NULL, &e);
        if (!rc != !folders[i].rc)
            fail_msg("%s, %s: aki_check: %d, %s", folders[i].name, folders[i].edit, rc, e.message);
    }
    snprintf(command, sizeof command, "rm -rf %s", work);
    assert_int_equal(system(command), 0);
}

/* A language model whose card does not say that it ranks texts is what it always was. */
static void test_card(void **state)
{
    static const char *const cards[] = { "---\npipeline_tag: feature-extraction\n---\n", "# Text\npipeline_tag: text-ranking\n", "---\nlicense: mit\n---\npipeline_tag: text-ranking\n",
                                         "---\npipeline_tag: text-ranking", "---\ntags:\n- text-ranking\npipeline_tag: 'text-ranking'\n---\n" };
    char work[] = "/tmp/akiembed-score-XXXXXX", command[1024], path[64];

    (void)state;
    assert_non_null(mkdtemp(work));
    snprintf(command, sizeof command, "cp -r " CHECKPOINTS "scores-logit-card/* %s", work);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/README.md", work);
    for (size_t i = 0; i < sizeof cards / sizeof *cards; i++) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fputs(cards[i], f);
        assert_int_equal(fclose(f), 0);
        aki_model *m = open_model(work, AKI_PRECISION_F32);
        aki_model_info info;
        aki_model_info_init(&info, sizeof info);
        assert_int_equal(aki_model_get_info(m, &info, NULL), AKI_OK);
        assert_int_equal(info.label_count, i == 4);
        assert_int_equal(info.pooling, AKI_POOLING_LAST);
        assert_int_equal(!(info.outputs & 1u << AKI_OUTPUT_SCORES), i != 4);
        aki_model_close(m);
    }
    snprintf(command, sizeof command, "rm -rf %s", work);
    assert_int_equal(system(command), 0);
}

static void test_activations(void **state)
{
    aki_model *m = open_checkpoint("scores-bert-nli", AKI_PRECISION_F32);
    float raw[MOST_PAIRS * 3], each[MOST_PAIRS * 3], shares[MOST_PAIRS * 3], probable[MOST_PAIRS * 3];
    struct pairs p;

    (void)state;
    pairs_open(&p, "scores-bert-nli");
    score(m, &p, AKI_ACTIVATION_NONE, raw, NULL);
    score(m, &p, AKI_ACTIVATION_SIGMOID, each, NULL);
    score(m, &p, AKI_ACTIVATION_SOFTMAX, shares, NULL);
    score(m, &p, AKI_ACTIVATION_PROBABILITY, probable, NULL);
    assert_memory_equal(shares, probable, p.count * 3 * sizeof *shares);        /* exactly one of three labels applies */
    for (size_t i = 0; i < p.count; i++) {
        const float *x = raw + 3 * i;
        double sum = exp(x[0]) + exp(x[1]) + exp(x[2]);
        for (size_t k = 0; k < 3; k++) {
            assert_true(fabs(shares[3 * i + k] - exp(x[k]) / sum) < 1e-6);
            assert_true(fabs(each[3 * i + k] - 1 / (1 + exp(-x[k]))) < 1e-6);
        }
    }
    pairs_close(&p);
    aki_model_close(m);
}

static void test_info(void **state)
{
    aki_model *m = open_checkpoint("scores-bert-nli", AKI_PRECISION_F32);
    aki_model_info info;
    aki_error e = { 0 };

    (void)state;
    aki_model_info_init(&info, sizeof info);
    assert_int_equal(aki_model_get_info(m, &info, &e), AKI_OK);
    assert_int_equal(info.label_count, 3);
    assert_string_equal(info.labels[2], "label 2");
    assert_int_equal(info.activation, AKI_ACTIVATION_NONE);
    assert_int_equal(info.labels_exclusive, 1);
    assert_int_equal(info.outputs & 1u << AKI_OUTPUT_VECTOR, 0);
    assert_true(info.outputs & 1u << AKI_OUTPUT_SCORES);
    assert_int_equal(aki_model_check(m, &e), AKI_OK);
    aki_model_close(m);
}

/* A quantised folder gives the bits of int8, has its head as it was, and has no error that aki_check finds. */
static int no_problem(void *user, const aki_check_event *event)
{
    (void)user;
    if (event->kind == AKI_CHECK_PROBLEM)
        fail_msg("%s: %s", event->path, event->message);
    return 0;
}

static void test_quantised(void **state)
{
    (void)state;
    for (size_t k = 0; k < CLASSIFIERS; k++) {
        float wanted[MOST_PAIRS * MOST_LABELS], got[MOST_PAIRS * MOST_LABELS];
        char folder[512], out[512], command[600];
        struct pairs p;
        aki_error e = { 0 };

        snprintf(folder, sizeof folder, CHECKPOINTS "%s", classifiers[k]);
        snprintf(out, sizeof out, "%s/scores-XXXXXX", AKI_BINARY_DIR);
        assert_non_null(mkdtemp(out));
        if (aki_quantize(folder, out, &e))
            fail_msg("%s: %s", classifiers[k], e.message);
        pairs_open(&p, classifiers[k]);
        aki_model *a = open_checkpoint(classifiers[k], AKI_PRECISION_INT8), *b = open_model(out, AKI_PRECISION_DEFAULT);
        score(a, &p, AKI_ACTIVATION_NONE, wanted, NULL);
        score(b, &p, AKI_ACTIVATION_NONE, got, NULL);
        assert_memory_equal(got, wanted, p.count * (size_t)p.labels * sizeof *got);
        assert_int_equal(aki_check(out, no_problem, NULL, &e), AKI_OK);
        aki_model_close(a);
        aki_model_close(b);
        pairs_close(&p);
        snprintf(command, sizeof command, "rm -rf '%s'", out);
        assert_int_equal(system(command), 0);
    }
}

/* A classifier gives no vectors, an embedding model no scores; single texts are scored as well as pairs. */
static void test_kinds(void **state)
{
    aki_model *classifier = open_checkpoint("scores-bert", AKI_PRECISION_F32), *embedder = open_checkpoint("bert", AKI_PRECISION_F32);
    const char *texts[] = { "one", "one two" }, *holes[] = { "one", NULL };
    float out[64];
    aki_embed_options o;
    aki_error e = { 0 };

    (void)state;
    assert_int_equal(aki_embed(classifier, texts, NULL, 1, NULL, out, sizeof out, NULL, NULL, &e), AKI_E_UNSUPPORTED);
    assert_non_null(strstr(e.message, "aki_score"));
    assert_int_equal(aki_score(embedder, texts, NULL, NULL, NULL, 1, NULL, out, sizeof out, NULL, NULL, &e), AKI_E_UNSUPPORTED);
    assert_int_equal(aki_score(classifier, texts, NULL, NULL, NULL, 2, NULL, out, 2 * sizeof *out, NULL, NULL, &e), AKI_OK);
    assert_int_equal(aki_score(classifier, texts, NULL, holes, NULL, 2, NULL, out, 2 * sizeof *out, NULL, NULL, &e), AKI_E_INVALID);
    assert_int_equal(e.item, 1);
    assert_int_equal(aki_score(classifier, texts, NULL, NULL, NULL, 2, NULL, out, sizeof *out, NULL, NULL, &e), AKI_E_TOO_SMALL);
    aki_embed_options_init(&o, sizeof o);
    o.dtype = AKI_DTYPE_F16;
    assert_int_equal(aki_score(classifier, texts, NULL, NULL, NULL, 1, &o, out, sizeof out, NULL, NULL, &e), AKI_E_INVALID);
    aki_model_close(embedder);
    aki_model_close(classifier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens), cmocka_unit_test(test_alone), cmocka_unit_test(test_instruction), cmocka_unit_test(test_shared),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_quantised), cmocka_unit_test(test_folders), cmocka_unit_test(test_card), cmocka_unit_test(test_activations), cmocka_unit_test(test_info),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
