/* Tests of model/: what a folder's files mean, what is refused by file and key, and the generated checkpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "base/json.h"
#include "model/model.h"
#include "host.h"

#include <stdio.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- a folder made here ---------------------------- */

static char folder[256];

static void put(const char *name, const char *bytes, size_t size)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

/* NULL removes the file. */
static void put_text(const char *name, const char *text)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (text)
        put(name, text, strlen(text));
    else
        unlink(path);
}

/* A safetensors file of zeros: "name:rows,columns name:rows …", f32. */
static void put_weights(const char *file, const char *tensors)
{
    char header[1000], name[100];
    long at = 0, rows, columns;
    int used, n = 0;

    for (const char *p = tensors; sscanf(p, " %99[^:]:%ld%n", name, &rows, &used) == 2; p += used) {
        int more = 0;
        columns = 1;
        bool matrix = sscanf(p + used, ",%ld%n", &columns, &more) == 1;
        used += more;
        n += snprintf(header + n, sizeof header - (size_t)n, "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[%ld", n ? ',' : '{', name, rows);
        if (matrix)
            n += snprintf(header + n, sizeof header - (size_t)n, ",%ld", columns);
        n += snprintf(header + n, sizeof header - (size_t)n, "],\"data_offsets\":[%ld,%ld]}", at, at + rows * columns * 4);
        at += rows * columns * 4;
    }
    n += snprintf(header + n, sizeof header - (size_t)n, "}");
    char *bytes = calloc(8 + (size_t)n + (size_t)at, 1);
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)((uint64_t)n >> (8 * i));
    memcpy(bytes + 8, header, (size_t)n);
    put(file, bytes, 8 + (size_t)n + (size_t)at);
    free(bytes);
}

static const char bert_config[] =
    "{\"model_type\": \"bert\", \"hidden_size\": 8, \"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"intermediate_size\": 16, "
    "\"vocab_size\": 30, \"max_position_embeddings\": 40, \"pad_token_id\": 3}";
static const char qwen3_config[] =
    "{\"model_type\": \"qwen3\", \"hidden_size\": 8, \"num_hidden_layers\": 4, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
    "\"head_dim\": 6, \"intermediate_size\": 16, \"vocab_size\": 30, \"max_position_embeddings\": 40}";
#define TRANSFORMER "{\"path\": \"\", \"type\": \"sentence_transformers.models.Transformer\"}"
#define POOLING     "{\"path\": \"1_Pooling\", \"type\": \"sentence_transformers.models.Pooling\"}"
#define DENSE       "{\"path\": \"2_Dense\", \"type\": \"sentence_transformers.models.Dense\"}"
#define NORMALIZE   "{\"path\": \"3_Normalize\", \"type\": \"sentence_transformers.models.Normalize\"}"
static const char all_modules[] = "[" TRANSFORMER ", " POOLING ", " DENSE ", " NORMALIZE "]";
static const char dense_config[] = "{\"in_features\": 8, \"out_features\": 5, \"bias\": true, \"activation_function\": "
                                   "\"torch.nn.modules.activation.Tanh\"}";

/* A complete folder; each row below spoils one file of it. */
static void fill_folder(const char *config)
{
    static const char *const others[] = { "tokenizer.json", "adapter_config.json", "README.md", "3_Normalize/config.json",
                                          "pytorch_model.bin" };

    put_text("config.json", config);
    put_weights("model.safetensors", config == qwen3_config ? "embed_tokens.weight:30,8 norm.weight:8"
                                                            : "embeddings.word_embeddings.weight:30,8 embeddings.LayerNorm.weight:8");
    put_text("modules.json", all_modules);
    put_text("1_Pooling/config.json",
             "{\"word_embedding_dimension\": 8, \"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": false}");
    put_text("2_Dense/config.json", dense_config);
    put_weights("2_Dense/model.safetensors", "linear.weight:5,8 linear.bias:5");
    put_text("sentence_bert_config.json", "{\"max_seq_length\": 20, \"do_lower_case\": false}");
    put_text("config_sentence_transformers.json", "{\"prompts\": {\"query\": \"q: \", \"none\": null}, \"default_prompt_name\": null}");
    put_text("tokenizer_config.json", "{\"model_max_length\": 30}");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        put_text(others[i], NULL);
}

static int make_folder(void **state)
{
    char path[300];

    (void)state;
    snprintf(folder, sizeof folder, "%s/model.XXXXXX", AKI_BINARY_DIR);
    if (!mkdtemp(folder))
        return -1;
    for (int i = 1; i <= 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, i == 1 ? "1_Pooling" : i == 2 ? "2_Dense" : "3_Normalize");
        if (mkdir(path, 0700) != 0)
            return -1;
    }
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    return host_drop(folder);
}

static struct aki__model *open_folder(const char *row)
{
    struct aki__model *m;
    aki_error e = { .status = 77 };

    if (aki__model_folder_open(&m, folder, aki__families, &e) != AKI_OK)
        fail_msg("%s: %s", row, e.message);
    assert_int_equal(e.status, 77);     /* filled on failure only, though optional files were missing */
    return m;
}

/* text with its first `from` replaced; "" puts `to` in at the front of the object. */
static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = *from ? strstr(text, from) : text + 1;
    size_t size = strlen(text) + strlen(to) + 3;
    char *out = malloc(size);

    assert_non_null(at);
    snprintf(out, size, "%.*s%s%s%s", (int)(at - text), text, to, *from ? "" : ", ", at + strlen(from));
    return out;
}

/* ---------------------------------------------------------------- what is read ---------------------------------- */

static void test_bert(void **state)
{
    (void)state;
    fill_folder(bert_config);
    struct aki__model *m = open_folder("bert");

    assert_string_equal(m->path, folder);
    assert_string_equal(m->name, strrchr(folder, '/') + 1);
    assert_string_equal(m->architecture, "bert");
    assert_int_equal(m->hidden, 8);
    assert_int_equal(m->layers, 2);
    assert_int_equal(m->heads, 2);
    assert_int_equal(m->kv_heads, 2);
    assert_int_equal(m->head_dim, 4);
    assert_int_equal(m->intermediate, 16);
    assert_int_equal(m->vocabulary, 30);
    assert_int_equal(m->positions, 40);
    assert_int_equal(m->position_offset, 0);
    assert_int_equal(m->types, 2);
    assert_int_equal(m->pad_id, 3);
    assert_true(m->norm_eps == 1e-12);
    assert_int_equal(m->activation, AKI_ACT_GELU);
    assert_false(m->causal);
    assert_int_equal(m->pooling, AKI_POOLING_CLS);
    assert_true(m->include_prompt);
    assert_true(m->normalize);
    assert_false(m->mrl);
    assert_int_equal(m->max_tokens, 20);
    assert_int_equal(m->dim, 5);
    assert_int_equal(m->dense_count, 1);
    assert_int_equal(m->dense[0].activation, AKI_ACT_TANH);
    assert_int_equal(m->dense[0].weight->shape[0], 5);
    assert_int_equal(m->dense[0].weight->shape[1], 8);
    assert_int_equal(m->dense[0].bias->shape[0], 5);
    assert_int_equal(m->prompt_count, 2);
    assert_string_equal(m->prompts[0].name, "query");
    assert_string_equal(m->prompts[0].text, "q: ");
    assert_string_equal(m->prompts[1].text, "");
    assert_null(m->default_prompt_name);
    assert_string_equal(m->prefix, "");
    assert_int_equal(m->file_count, 9);
    assert_false(m->pooling_assumed);
    for (size_t i = 0; i < m->file_count; i++) {
        struct stat st;
        assert_int_equal(stat(m->files[i].path, &st), 0);
        assert_int_equal(st.st_size, m->files[i].size);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(m->files[i].path, m->files[k].path);
    }
    aki__model_folder_close(m);
    aki__model_folder_close(NULL);
}

static void test_qwen3(void **state)
{
    (void)state;
    fill_folder(qwen3_config);
    struct aki__model *m = open_folder("qwen3");

    assert_string_equal(m->architecture, "qwen3");
    assert_int_equal(m->kv_heads, 2);
    assert_int_equal(m->head_dim, 6);
    assert_int_equal(m->position_offset, 0);
    assert_true(m->norm_eps == 1e-6);
    assert_true(m->rope_theta == 10000.0);
    assert_true(m->causal);
    const struct aki__qwen3_keys *keys = m->keys;
    assert_false(keys->attention_bias);
    assert_int_equal(m->activation, AKI_ACT_SILU);
    assert_int_equal(keys->sliding_window, 0);
    aki__model_folder_close(m);
}

/* One number of the description that a change to config.json (of the family) must give. */
static void test_config_rows(void **state)
{
#define FIELD(f)       false, offsetof(struct aki__model, f)
#define KEY(family, f) true, offsetof(struct aki__##family##_keys, f)
    static const struct { const char *config, *from, *to; bool own; size_t field; int32_t value; } rows[] = {
        { bert_config, "\"bert\"", "\"roberta\"", FIELD(position_offset), 4 },
        { bert_config, "\"bert\"", "\"xlm-roberta\"", FIELD(position_offset), 4 },
        { bert_config, "\"bert\"", "\"camembert\"", FIELD(position_offset), 4 },
        { bert_config, "bert\"", "roberta\", \"type_vocab_size\": 1", FIELD(types), 1 },
        { bert_config, ", \"pad_token_id\": 3", "", FIELD(pad_id), 0 },
        { bert_config, "3}", "null}", FIELD(pad_id), 0 },
        { bert_config, "40", "512.0", FIELD(positions), 512 },
        { bert_config, ", \"max_position_embeddings\": 40", "", FIELD(positions), 512 },
        { bert_config, "", "\"hidden_act\": \"gelu_new\"", FIELD(activation), AKI_ACT_GELU_TANH },
        { bert_config, "", "\"hidden_act\": \"gelu_pytorch_tanh\"", FIELD(activation), AKI_ACT_GELU_TANH },
        { bert_config, "", "\"hidden_act\": \"gelu_fast\"", FIELD(activation), AKI_ACT_GELU_TANH },
        { bert_config, "", "\"hidden_act\": \"relu\"", FIELD(activation), AKI_ACT_RELU },
        { bert_config, "", "\"hidden_act\": \"swish\"", FIELD(activation), AKI_ACT_SILU },
        { bert_config, "", "\"hidden_act\": \"tanh\"", FIELD(activation), AKI_ACT_TANH },
        { bert_config, "", "\"position_embedding_type\": \"absolute\", \"is_decoder\": false, \"quantization_config\": null, \"auto_map\": {}",
          FIELD(hidden), 8 },
        { qwen3_config, "\"head_dim\": 6, ", "", FIELD(head_dim), 128 },
        { qwen3_config, "\"num_key_value_heads\": 2", "\"num_key_value_heads\": null", FIELD(kv_heads), 4 },
        { qwen3_config, "\"num_attention_heads\": 4, \"num_key_value_heads\": 2", "\"num_attention_heads\": 64", FIELD(kv_heads), 32 },
        /* the window: only with use_sliding_window, from max_window_layers on */
        { qwen3_config, "", "\"sliding_window\": 9, \"max_window_layers\": 1", KEY(qwen3, sliding_window), 0 },
        { qwen3_config, "", "\"use_sliding_window\": true, \"sliding_window\": 9, \"max_window_layers\": 1", KEY(qwen3, sliding_window), 9 },
        { qwen3_config, "", "\"use_sliding_window\": true, \"sliding_window\": 9, \"max_window_layers\": 1", KEY(qwen3, first_sliding_layer), 1 },
        { qwen3_config, "", "\"use_sliding_window\": true, \"max_window_layers\": 0", KEY(qwen3, sliding_window), 4096 },
        { qwen3_config, "", "\"use_sliding_window\": true, \"sliding_window\": null, \"max_window_layers\": 0", KEY(qwen3, sliding_window), 0 },
        { qwen3_config, "", "\"use_sliding_window\": true, \"sliding_window\": 9", KEY(qwen3, sliding_window), 0 },
        { qwen3_config, "", "\"use_sliding_window\": true, \"sliding_window\": 9, \"max_window_layers\": 0, \"layer_types\": "
          "[\"full_attention\", \"full_attention\", \"sliding_attention\", \"sliding_attention\"]", KEY(qwen3, first_sliding_layer), 2 },
        { qwen3_config, "", "\"use_sliding_window\": true, \"sliding_window\": 9, \"max_window_layers\": 0, \"layer_types\": "
          "[\"full_attention\", \"full_attention\", \"full_attention\", \"full_attention\"]", KEY(qwen3, sliding_window), 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *config = replaced(rows[i].config, rows[i].from, rows[i].to);
        fill_folder(rows[i].config);
        put_text("config.json", config);
        struct aki__model *m = open_folder(config);
        int32_t value;
        memcpy(&value, (rows[i].own ? (const char *)m->keys : (const char *)m) + rows[i].field, sizeof value);
        if (value != rows[i].value)
            fail_msg("row %zu: %d, not %d", i, value, rows[i].value);
        aki__model_folder_close(m);
        free(config);
    }
}

static void test_rope_theta(void **state)
{
    static const struct { const char *to; double theta; } rows[] = {
        { "\"rope_theta\": 5e5", 5e5 },
        { "\"rope_theta\": 5e5, \"rope_scaling\": null", 5e5 },
        { "\"rope_theta\": 5e5, \"rope_scaling\": {\"type\": \"default\"}", 5e5 },
        { "\"rope_parameters\": {\"rope_theta\": 7e5, \"rope_type\": \"default\"}", 7e5 },
        { "\"rope_theta\": 5e5, \"rope_parameters\": {\"rope_theta\": 7e5, \"rope_type\": \"default\"}", 7e5 },
        { "\"rope_theta\": 5e5, \"rope_parameters\": {\"rope_type\": \"default\"}, \"rope_scaling\": {}", 5e5 },
        { "\"partial_rotary_factor\": 1.0", 1e4 },
    };

    (void)state;
    fill_folder(qwen3_config);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *config = replaced(qwen3_config, "", rows[i].to);
        put_text("config.json", config);
        struct aki__model *m = open_folder(config);
        if (m->rope_theta != rows[i].theta)
            fail_msg("row %zu: %g", i, m->rope_theta);
        aki__model_folder_close(m);
        free(config);
    }
}

static void test_flags_of_qwen3(void **state)
{
    (void)state;
    fill_folder(qwen3_config);
    char *config = replaced(qwen3_config, "", "\"attention_bias\": true, \"is_causal\": false");
    put_text("config.json", config);
    struct aki__model *m = open_folder("flags");
    assert_true(((const struct aki__qwen3_keys *)m->keys)->attention_bias);
    assert_false(m->causal);
    aki__model_folder_close(m);
    free(config);
}

static void test_pooling_rows(void **state)
{
    static const struct { const char *config; int32_t pooling; bool include_prompt; } rows[] = {
        { "{}", AKI_POOLING_MEAN, true },
        { "{\"word_embedding_dimension\": 8, \"pooling_mode_cls_token\": true}", AKI_POOLING_CLS, true },
        { "{\"word_embedding_dimension\": 8, \"pooling_mode_mean_tokens\": true, \"include_prompt\": false}", AKI_POOLING_MEAN, false },
        { "{\"pooling_mode_max_tokens\": true}", AKI_POOLING_MAX, true },
        { "{\"pooling_mode_mean_sqrt_len_tokens\": true}", AKI_POOLING_MEAN_SQRT_LEN, true },
        { "{\"pooling_mode_weightedmean_tokens\": true}", AKI_POOLING_WEIGHTEDMEAN, true },
        { "{\"pooling_mode_lasttoken\": true, \"include_prompt\": null}", AKI_POOLING_LAST, true },
        { "{\"embedding_dimension\": 8, \"pooling_mode\": \"cls\"}", AKI_POOLING_CLS, true },
        { "{\"embedding_dimension\": 8, \"pooling_mode\": [\"max\"]}", AKI_POOLING_MAX, true },
        { "{\"pooling_mode\": \"mean\"}", AKI_POOLING_MEAN, true },
        { "{\"pooling_mode\": \"mean_sqrt_len_tokens\"}", AKI_POOLING_MEAN_SQRT_LEN, true },
        { "{\"pooling_mode\": \"weightedmean\"}", AKI_POOLING_WEIGHTEDMEAN, true },
        { "{\"pooling_mode\": \"lasttoken\", \"pooling_mode_cls_token\": true}", AKI_POOLING_LAST, true },
    };

    (void)state;
    fill_folder(bert_config);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_text("1_Pooling/config.json", rows[i].config);
        struct aki__model *m = open_folder(rows[i].config);
        if (m->pooling != rows[i].pooling || m->include_prompt != rows[i].include_prompt)
            fail_msg("row %zu: %d", i, m->pooling);
        aki__model_folder_close(m);
    }
}

static void test_modules_rows(void **state)
{
#define NEW(path, where) \
    "{\"idx\": 0, \"name\": \"x\", \"path\": \"" path "\", \"type\": \"sentence_transformers." where "\", \"kwargs\": []}"
    static const struct { const char *modules; int32_t pooling; bool normalize; int32_t dim; } rows[] = {
        { NULL, AKI_POOLING_MEAN, false, 8 },
        { "[" TRANSFORMER ", " POOLING "]", AKI_POOLING_CLS, false, 8 },
        { "[" TRANSFORMER ", " POOLING ", " NORMALIZE "]", AKI_POOLING_CLS, true, 8 },
        { "[" TRANSFORMER ", " POOLING ", " DENSE "]", AKI_POOLING_CLS, false, 5 },
        { "[" TRANSFORMER ", " POOLING ", " NORMALIZE ", " NORMALIZE "]", AKI_POOLING_CLS, true, 8 },
        { "[" NEW("", "base.modules.transformer.Transformer") ", " NEW("1_Pooling", "sentence_transformer.modules.pooling.Pooling") ", "
          NEW("4", "sentence_transformer.modules.dropout.Dropout") ", " NEW("2_Dense", "base.modules.dense.Dense") ", "
          NEW("3_Normalize", "base.modules.normalize.Normalize") "]", AKI_POOLING_CLS, true, 5 },
    };

    (void)state;
    fill_folder(bert_config);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_text("modules.json", rows[i].modules);
        struct aki__model *m = open_folder(rows[i].modules ? rows[i].modules : "no modules.json");
        if (m->pooling != rows[i].pooling || m->normalize != rows[i].normalize || m->dim != rows[i].dim)
            fail_msg("row %zu", i);
        assert_int_equal(m->prompt_count, rows[i].modules ? 2 : 0);
        aki__model_folder_close(m);
    }
}

/* Without modules.json: the last token for causal language models, the mean for all else; never normalised. */
static void test_default_pooling(void **state)
{
    static const struct { const char *to; int32_t pooling; } rows[] = {
        { "\"architectures\": [\"Qwen3ForCausalLM\"]", AKI_POOLING_LAST },
        { "\"architectures\": [\"Qwen3ForCausalLM\"], \"is_causal\": false", AKI_POOLING_MEAN },
        { "\"architectures\": [\"Qwen3Model\"]", AKI_POOLING_MEAN },
        { "\"architectures\": [\"Qwen3Model\", \"Qwen3ForCausalLM\"]", AKI_POOLING_MEAN },
        { "\"architectures\": []", AKI_POOLING_MEAN },
        { "\"architectures\": null", AKI_POOLING_MEAN },
    };

    (void)state;
    fill_folder(qwen3_config);
    put_text("modules.json", NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *config = replaced(qwen3_config, "", rows[i].to);
        put_text("config.json", config);
        struct aki__model *m = open_folder(config);
        if (m->pooling != rows[i].pooling || m->normalize)
            fail_msg("row %zu: %d", i, m->pooling);
        aki__model_folder_close(m);
        free(config);
    }
}

static void test_dense_rows(void **state)
{
    static const struct { const char *from, *to, *weights; enum aki__activation activation; bool bias; } rows[] = {
        { "modules.activation.Tanh", "modules.linear.Identity", "linear.weight:5,8 linear.bias:5", AKI_ACT_NONE, true },
        { "modules.activation.Tanh", "modules.activation.ReLU", "linear.weight:5,8 linear.bias:5", AKI_ACT_RELU, true },
        { "modules.activation.Tanh", "modules.activation.GELU", "linear.weight:5,8 linear.bias:5", AKI_ACT_GELU, true },
        { "modules.activation.Tanh", "modules.activation.SiLU", "linear.weight:5,8 linear.bias:5", AKI_ACT_SILU, true },
        { "\"bias\": true", "\"bias\": false", "linear.weight:5,8", AKI_ACT_TANH, false },
        { "\"bias\": true, ", "", "linear.weight:5,8 linear.bias:5", AKI_ACT_TANH, true },
        { ", \"activation_function\": \"torch.nn.modules.activation.Tanh\"", "", "linear.weight:5,8 linear.bias:5", AKI_ACT_TANH, true },
        { "", "\"use_residual\": false, \"module_input_name\": \"sentence_embedding\", \"module_output_name\": null",
          "linear.bias:5 linear.weight:5,8", AKI_ACT_TANH, true },
    };

    (void)state;
    fill_folder(bert_config);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *config = replaced(dense_config, rows[i].from, rows[i].to);
        put_text("2_Dense/config.json", config);
        put_weights("2_Dense/model.safetensors", rows[i].weights);
        struct aki__model *m = open_folder(config);
        if (m->dense[0].activation != rows[i].activation || !m->dense[0].bias == rows[i].bias)
            fail_msg("row %zu", i);
        aki__model_folder_close(m);
        free(config);
    }
}

static void test_two_dense_modules(void **state)
{
    (void)state;
    fill_folder(bert_config);
    put_text("modules.json",
             "[" TRANSFORMER ", " POOLING ", " DENSE ", {\"path\": \"3_Normalize\", \"type\": \"sentence_transformers.models.Dense\"}]");
    put_text("3_Normalize/config.json", "{\"in_features\": 5, \"out_features\": 3, \"bias\": false}");
    put_weights("3_Normalize/model.safetensors", "linear.weight:3,5");
    struct aki__model *m = open_folder("two");
    assert_int_equal(m->dense_count, 2);
    assert_int_equal(m->dim, 3);
    assert_int_equal(m->dense[1].weight->shape[0], 3);
    aki__model_folder_close(m);
    put_text("3_Normalize/model.safetensors", NULL);
}

static void test_limits(void **state)
{
    /* positions are 40; a RoBERTa with pad_id 3 has 36 */
    static const struct { const char *type, *sentence, *tokenizer; int32_t limit; } rows[] = {
        { "bert", "{\"max_seq_length\": 20}", "{\"model_max_length\": 30}", 20 },
        { "bert", "{\"max_seq_length\": 35}", "{\"model_max_length\": 30}", 35 },
        { "bert", "{\"max_seq_length\": 41}", "{\"model_max_length\": 30}", 40 },
        { "bert", "{\"max_seq_length\": null}", "{\"model_max_length\": 30}", 30 },
        { "bert", "{}", "{\"model_max_length\": 30}", 30 },
        { "bert", NULL, "{\"model_max_length\": 30}", 30 },
        { "bert", NULL, "{\"model_max_length\": 41}", 40 },
        { "bert", NULL, "{\"model_max_length\": 1000000000000000019884624838656}", 40 },
        { "bert", NULL, "{}", 40 },
        { "bert", NULL, NULL, 40 },
        { "roberta", NULL, NULL, 36 },
        { "roberta", NULL, "{\"model_max_length\": 40}", 36 },
        { "roberta", "{\"max_seq_length\": 40}", NULL, 36 },
        { "roberta", "{\"max_seq_length\": 10}", NULL, 10 },
    };

    (void)state;
    fill_folder(bert_config);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *config = replaced(bert_config, "bert", rows[i].type);
        put_text("config.json", config);
        put_text("sentence_bert_config.json", rows[i].sentence);
        put_text("tokenizer_config.json", rows[i].tokenizer);
        struct aki__model *m = open_folder(config);
        if (m->max_tokens != rows[i].limit)
            fail_msg("row %zu: %d", i, m->max_tokens);
        aki__model_folder_close(m);
        free(config);
    }
}

static void test_prompts(void **state)
{
    static const struct { const char *config; size_t count; const char *chosen; } rows[] = {
        { NULL, 0, NULL },
        { "{}", 0, NULL },
        { "{\"prompts\": null}", 0, NULL },
        { "{\"prompts\": {\"a\": \"x\", \"b\": \"\"}, \"default_prompt_name\": \"b\", \"model_type\": \"SentenceTransformer\"}", 2, "b" },
        { "{\"prompts\": {}, \"default_prompt_name\": \"query\", \"truncate_dim\": null, \"similarity_fn_name\": \"dot\"}", 0, NULL },
        { "{\"prompts\": {\"query\": \"q\"}, \"default_prompt_name\": \"document\", \"truncate_dim\": 5}", 1, NULL },
    };

    (void)state;
    fill_folder(bert_config);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_text("config_sentence_transformers.json", rows[i].config);
        struct aki__model *m = open_folder(rows[i].config ? rows[i].config : "none");
        assert_int_equal(m->prompt_count, rows[i].count);
        if (rows[i].chosen)
            assert_string_equal(m->default_prompt_name, rows[i].chosen);
        else
            assert_null(m->default_prompt_name);
        aki__model_folder_close(m);
    }
}

static void test_matryoshka(void **state)
{
    static const char last[] = "{\"pooling_mode\": \"lasttoken\"}";
    static const char instruct[] = "{\"prompts\": {\"query\": \"Instruct: Find it\\nQuery:\"}}";
    static const struct { const char *to, *readme, *pooling, *prompts; bool mrl; } rows[] = {
        { "\"x\": 1", NULL, last, "{}", false },
        { "\"x\": 1", NULL, last, instruct, true },
        { "\"x\": 1", NULL, "{}", instruct, false },
        { "\"x\": 1", "A model. MatMatryoshkaLoss", last, "{}", true },
        { "\"x\": 1", "A model. Matryoshk", last, "{}", false },
        { "\"is_matryoshka\": true", NULL, "{}", "{}", true },
        { "\"matryoshka_dimensions\": [4, 8]", NULL, "{}", "{}", true },
        { "\"is_matryoshka\": false, \"matryoshka_dimensions\": []", NULL, "{}", "{}", false },
    };

    (void)state;
    fill_folder(qwen3_config);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *config = replaced(qwen3_config, "", rows[i].to);
        put_text("config.json", config);
        put_text("README.md", rows[i].readme);
        put_text("1_Pooling/config.json", rows[i].pooling);
        put_text("config_sentence_transformers.json", rows[i].prompts);
        struct aki__model *m = open_folder(config);
        if (m->mrl != rows[i].mrl)
            fail_msg("row %zu", i);
        aki__model_folder_close(m);
        free(config);
    }
}

static void test_lower_case(void **state)
{
    static const struct { const char *tokenizer; aki_status status; } rows[] = {
        { "{\"normalizer\": {\"type\": \"Lowercase\"}}", AKI_OK },
        { "{\"normalizer\": {\"type\": \"BertNormalizer\", \"lowercase\": true}}", AKI_OK },
        { "{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {\"type\": \"Lowercase\"}]}}", AKI_OK },
        { "{\"normalizer\": {\"type\": \"BertNormalizer\", \"lowercase\": false}}", AKI_E_UNSUPPORTED },
        { "{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": []}}", AKI_E_UNSUPPORTED },
        { "{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, 3]}}", AKI_E_UNSUPPORTED },
        { "{\"normalizer\": null}", AKI_E_UNSUPPORTED },
        { "{}", AKI_E_UNSUPPORTED },
        { NULL, AKI_E_NOT_FOUND },
    };

    (void)state;
    fill_folder(bert_config);
    put_text("sentence_bert_config.json", "{\"do_lower_case\": true}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aki__model *m;
        put_text("tokenizer.json", rows[i].tokenizer);
        assert_int_equal(aki__model_folder_open(&m, folder, aki__families, NULL), rows[i].status);
        aki__model_folder_close(m);
    }
}

/* Where the tokenizer's class builds the normaliser, sentence-transformers' do_lower_case is judged by that one. */
static void test_lower_case_of_class(void **state)
{
#define WORDPIECE "\"model\": {\"type\": \"WordPiece\"}, \"normalizer\": {\"type\": \"BertNormalizer\", \"lowercase\": "
    static const struct { const char *class, *tokenizer; aki_status status; } rows[] = {
        { "{\"tokenizer_class\": \"BertTokenizer\"}", "{" WORDPIECE "false}}", AKI_OK },
        { "{\"tokenizer_class\": \"BertTokenizer\", \"do_lower_case\": false}", "{" WORDPIECE "true}}", AKI_E_UNSUPPORTED },
        { "{\"tokenizer_class\": \"PreTrainedTokenizerFast\", \"do_lower_case\": false}", "{" WORDPIECE "true}}", AKI_OK },
        { "{\"tokenizer_class\": \"BertTokenizer\"}", "{\"model\": {\"type\": \"BPE\"}, \"normalizer\": null}", AKI_E_UNSUPPORTED },
    };

    (void)state;
    fill_folder(bert_config);
    put_text("sentence_bert_config.json", "{\"do_lower_case\": true}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aki__model *m;
        put_text("tokenizer_config.json", rows[i].class);
        put_text("tokenizer.json", rows[i].tokenizer);
        assert_int_equal(aki__model_folder_open(&m, folder, aki__families, NULL), rows[i].status);
        aki__model_folder_close(m);
    }
}

/* What the tokenizers that AutoTokenizer of transformers 5.24 makes of such folders have: to_str()'s normalizer where it is not the file's own,
 * and truncation_side. chinese, accents, lower: as BertNormalizer spells them. (Without tokenizer_config.json it takes BertTokenizer's defaults;
 * here tokenizer.json is then followed as it is.) */
static void test_tokenizer_config(void **state)
{
#define MADE(chinese, accents, lower) "{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":" chinese ",\"strip_accents\":" accents ",\"lowercase\":" lower "}"
    static const char named[] = "\"tokenizer_class\": \"PreTrainedTokenizerFast\"";
    static const struct { const char *config, *to, *file, *normalizer; bool side, left; } rows[] = {
        { bert_config, NULL, NULL, "", false, false },
        { bert_config, NULL, "{}", MADE("true", "null", "true"), false, false },
        { bert_config, named, "{}", "", false, false },
        { bert_config, "\"tokenizer_class\": \"BertTokenizer\"", "{\"do_lower_case\": false}", MADE("true", "null", "false"), false, false },
        { bert_config, named, "{\"tokenizer_class\": \"BertTokenizer\", \"strip_accents\": false}", MADE("true", "false", "true"), false, false },
        { bert_config, NULL, "{\"tokenizer_class\": \"BertTokenizerFast\", \"tokenize_chinese_chars\": false, \"strip_accents\": null}", MADE("false", "null", "true"), false, false },
        { bert_config, NULL, "{\"tokenizer_class\": \"MPNetTokenizer\", \"strip_accents\": true}", MADE("true", "true", "true"), false, false },
        { bert_config, NULL, "{\"tokenizer_class\": \"ElectraTokenizerFast\", \"do_lower_case\": false}", MADE("true", "null", "false"), false, false },
        { bert_config, NULL, "{\"tokenizer_class\": \"ConvBertTokenizer\", \"do_lower_case\": false}", "", false, false },
        { bert_config, NULL, "{\"tokenizer_class\": \"PreTrainedTokenizerFast\", \"do_lower_case\": false}", "", false, false },
        { bert_config, NULL, "{\"tokenizer_class\": \"BertTokenizerFaster\"}", "", false, false },
        { qwen3_config, NULL, "{\"do_lower_case\": 7}", "", false, false },
        { qwen3_config, NULL, "{\"truncation_side\": \"left\"}", "", true, true },
        { bert_config, named, "{\"truncation_side\": \"right\"}", "", true, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aki__tokenizer_config alone;
        char *config = replaced(rows[i].config, "", rows[i].to ? rows[i].to : "\"x\": 1");
        aki_error e;
        fill_folder(rows[i].config);
        put_text("config.json", config);
        put_text("tokenizer_config.json", rows[i].file);
        struct aki__model *m = open_folder(config);
        if (strcmp(m->tokenizer.normalizer, rows[i].normalizer) != 0 || m->tokenizer.side != rows[i].side || m->tokenizer.left != rows[i].left)
            fail_msg("row %zu: %s", i, m->tokenizer.normalizer);
        assert_int_equal(aki__tokenizer_config_of(&alone, folder, aki__families, &e), AKI_OK);
        assert_memory_equal(&alone, &m->tokenizer, sizeof alone);
        aki__model_folder_close(m);
        free(config);
    }
}

static void test_pooling_assumed(void **state)
{
    (void)state;
    fill_folder(bert_config);
    put_text("modules.json", NULL);
    struct aki__model *m = open_folder("no modules.json");
    assert_true(m->pooling_assumed);
    aki__model_folder_close(m);
}

/* ---------------------------------------------------------------- what is refused ------------------------------- */

static void refuse(size_t row, aki_status status, const char *file, const char *says)
{
    struct aki__model *m;
    aki_error e = { 0 };
    aki_status rc = aki__model_folder_open(&m, folder, aki__families, &e);

    if (rc != status || strncmp(e.message, file, strlen(file)) != 0 || !strstr(e.message, says))
        fail_msg("row %zu: %d %s", row, rc, e.message);
    assert_int_equal(e.status, rc);
    assert_null(m);
    assert_int_equal(aki__model_folder_open(&m, folder, aki__families, NULL), rc);
}

static void test_refused_configs(void **state)
{
    static const struct { const char *config, *from, *to; aki_status status; const char *says; } rows[] = {
        { bert_config, "\"bert\"", "\"new\"", AKI_E_UNSUPPORTED, "model_type \"new\"" },
        { bert_config, "\"bert\"", "\"modernbert\"", AKI_E_UNSUPPORTED, "model_type \"modernbert\": bert, roberta, xlm-roberta, camembert and qwen3 are implemented" },
        { bert_config, "\"bert\"", "7", AKI_E_INVALID, "model_type" },
        { bert_config, "\"model_type\": \"bert\", ", "", AKI_E_INVALID, "model_type" },
        { bert_config, "", "\"position_embedding_type\": \"relative_key\"", AKI_E_UNSUPPORTED, "position_embedding_type \"relative_key\"" },
        { bert_config, "", "\"position_embedding_type\": \"alibi\"", AKI_E_UNSUPPORTED, "position_embedding_type" },
        { bert_config, "", "\"is_decoder\": true", AKI_E_UNSUPPORTED, "is_decoder" },
        { bert_config, "", "\"is_decoder\": 1", AKI_E_INVALID, "is_decoder: neither true nor false (byte 15)" },
        { bert_config, "", "\"add_cross_attention\": true", AKI_E_UNSUPPORTED, "add_cross_attention" },
        { bert_config, "", "\"is_encoder_decoder\": true", AKI_E_UNSUPPORTED, "is_encoder_decoder" },
        { bert_config, "", "\"quantization_config\": {\"quant_method\": \"gptq\"}", AKI_E_UNSUPPORTED, "quantization_config" },
        { bert_config, "", "\"auto_map\": {\"AutoModel\": \"x.Y\"}", AKI_E_UNSUPPORTED, "auto_map" },
        { bert_config, "", "\"pruned_heads\": {\"0\": [1]}", AKI_E_UNSUPPORTED, "pruned_heads" },
        { bert_config, "", "\"hidden_act\": \"quick_gelu\"", AKI_E_UNSUPPORTED, "hidden_act \"quick_gelu\"" },
        { bert_config, "", "\"hidden_act\": 1", AKI_E_UNSUPPORTED, "hidden_act" },
        { bert_config, "\"hidden_size\": 8, ", "", AKI_E_INVALID, "hidden_size: missing" },
        { bert_config, "\"hidden_size\": 8", "\"hidden_size\": 0", AKI_E_INVALID, "hidden_size: out of range" },
        { bert_config, "\"hidden_size\": 8", "\"hidden_size\": -8", AKI_E_INVALID, "hidden_size: out of range" },
        { bert_config, "\"hidden_size\": 8", "\"hidden_size\": 8.5", AKI_E_INVALID, "hidden_size: not a whole number" },
        { bert_config, "\"hidden_size\": 8", "\"hidden_size\": \"8\"", AKI_E_INVALID, "hidden_size \"8\": not a whole number" },
        { bert_config, "\"hidden_size\": 8", "\"hidden_size\": 4294967304", AKI_E_INVALID, "hidden_size: out of range" },
        { bert_config, "\"hidden_size\": 8", "\"hidden_size\": 1e300", AKI_E_INVALID, "hidden_size" },
        { bert_config, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 5000", AKI_E_INVALID, "num_hidden_layers" },
        { bert_config, "\"num_attention_heads\": 2", "\"num_attention_heads\": 3", AKI_E_INVALID, "num_attention_heads: does not divide" },
        { bert_config, "\"num_attention_heads\": 2", "\"num_attention_heads\": null", AKI_E_INVALID, "num_attention_heads: missing" },
        { bert_config, "\"vocab_size\": 30", "\"vocab_size\": 2147483648", AKI_E_INVALID, "vocab_size" },
        { bert_config, "3}", "30}", AKI_E_INVALID, "pad_token_id" },
        { bert_config, "3}", "-1}", AKI_E_INVALID, "pad_token_id" },
        { bert_config, "", "\"type_vocab_size\": 0", AKI_E_INVALID, "type_vocab_size" },
        { bert_config, "", "\"layer_norm_eps\": -1", AKI_E_INVALID, "layer_norm_eps" },
        { bert_config, "", "\"layer_norm_eps\": \"1e-5\"", AKI_E_INVALID, "layer_norm_eps" },
        { bert_config, "bert\"", "roberta\", \"max_position_embeddings\": 4, \"old\"", AKI_E_INVALID, "" },
        { bert_config, "\"bert\"", "\"bert\", \"model_type\": \"roberta\"", AKI_E_INVALID, "twice" },
        { bert_config, "}", "", AKI_E_INVALID, "ends too early" },
        { qwen3_config, "", "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0}", AKI_E_UNSUPPORTED, "rope_scaling \"yarn\"" },
        { qwen3_config, "", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0}", AKI_E_UNSUPPORTED, "rope_scaling \"linear\"" },
        { qwen3_config, "", "\"rope_parameters\": {\"rope_type\": \"dynamic\"}", AKI_E_UNSUPPORTED, "rope_parameters \"dynamic\"" },
        { qwen3_config, "", "\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\"}}", AKI_E_UNSUPPORTED, "rope_parameters" },
        { qwen3_config, "", "\"rope_parameters\": []", AKI_E_INVALID, "" },
        { qwen3_config, "", "\"rope_parameters\": 7", AKI_E_INVALID, "rope_parameters: no object" },
        { qwen3_config, "", "\"rope_theta\": 0", AKI_E_INVALID, "rope_theta" },
        { qwen3_config, "", "\"rope_theta\": \"x\"", AKI_E_INVALID, "rope_theta" },
        { qwen3_config, "", "\"partial_rotary_factor\": 0.5", AKI_E_UNSUPPORTED, "partial_rotary_factor" },
        { qwen3_config, "", "\"rope_parameters\": {\"partial_rotary_factor\": 0.5}", AKI_E_UNSUPPORTED, "partial_rotary_factor" },
        { qwen3_config, "", "\"use_bidirectional_attention\": true", AKI_E_UNSUPPORTED, "use_bidirectional_attention" },
        { qwen3_config, "", "\"layer_types\": [\"full_attention\"]", AKI_E_INVALID, "layer_types" },
        { qwen3_config, "", "\"layer_types\": \"full_attention\"", AKI_E_INVALID, "layer_types" },
        { qwen3_config, "", "\"layer_types\": [\"full_attention\", \"full_attention\", \"full_attention\", \"linear_attention\"]", AKI_E_UNSUPPORTED,
          "layer_types \"linear_attention\"" },
        { qwen3_config, "", "\"layer_types\": [\"full_attention\", \"full_attention\", \"full_attention\", \"sliding_attention\"]", AKI_E_INVALID,
          "layer_types \"sliding_attention\": needs sliding_window" },
        { qwen3_config, "", "\"use_sliding_window\": true, \"layer_types\": [\"sliding_attention\", \"full_attention\", \"full_attention\", "
          "\"sliding_attention\"]", AKI_E_UNSUPPORTED, "a full layer above a sliding one" },
        { qwen3_config, "", "\"use_sliding_window\": true, \"sliding_window\": 0", AKI_E_INVALID, "sliding_window" },
        { qwen3_config, "", "\"use_sliding_window\": true, \"max_window_layers\": 1, \"is_causal\": false", AKI_E_UNSUPPORTED, "is_causal" },
        { qwen3_config, "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", AKI_E_INVALID, "num_key_value_heads" },
        { qwen3_config, "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 8", AKI_E_INVALID, "num_key_value_heads" },
        { qwen3_config, "\"num_key_value_heads\": 2, ", "", AKI_E_INVALID, "num_key_value_heads" },
        { qwen3_config, "\"head_dim\": 6", "\"head_dim\": 7", AKI_E_INVALID, "head_dim: odd" },
        { qwen3_config, "\"head_dim\": 6", "\"head_dim\": 8388608", AKI_E_INVALID, "head_dim" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *config = replaced(rows[i].config, rows[i].from, rows[i].to);
        fill_folder(rows[i].config);
        put_text("config.json", config);
        refuse(i, rows[i].status, "config.json: ", rows[i].says);
        free(config);
    }
}

static void test_refused_files(void **state)
{
#define MODULES "modules.json"
#define SETTINGS "config_sentence_transformers.json"
#define SENTENCE "sentence_bert_config.json"
#define TOKENIZER "tokenizer_config.json"
    static const struct { const char *file, *text; aki_status status; const char *says; } rows[] = {
        { MODULES, "{}", AKI_E_INVALID, "not a JSON array" },
        { MODULES, "[]", AKI_E_UNSUPPORTED, "without a Transformer and a Pooling" },
        { MODULES, "[1]", AKI_E_INVALID, "type: missing" },
        { MODULES, "[{\"type\": 1}]", AKI_E_INVALID, "type: missing" },
        { MODULES, "[" TRANSFORMER "]", AKI_E_UNSUPPORTED, "without" },
        { MODULES, "[" POOLING "]", AKI_E_UNSUPPORTED, "type \"sentence_transformers.models.Pooling\"" },
        { MODULES, "[" TRANSFORMER ", " DENSE "]", AKI_E_UNSUPPORTED, "models.Dense" },
        { MODULES, "[" TRANSFORMER ", " POOLING ", " POOLING "]", AKI_E_UNSUPPORTED, "models.Pooling" },
        { MODULES, "[" TRANSFORMER ", " POOLING ", " NORMALIZE ", " DENSE "]", AKI_E_UNSUPPORTED, "models.Dense" },
        { MODULES, "[" TRANSFORMER ", " TRANSFORMER "]", AKI_E_UNSUPPORTED, "models.Transformer" },
        { MODULES, "[{\"path\": \"\", \"type\": \"sentence_transformers.models.CLIPModel\"}]", AKI_E_UNSUPPORTED, "models.CLIPModel" },
        { MODULES, "[{\"path\": \"\", \"type\": \"custom_st.Transformer\"}]", AKI_E_UNSUPPORTED, "custom_st.Transformer" },
        { MODULES, "[" TRANSFORMER ", " POOLING ", {\"path\": \"2\", \"type\": \"sentence_transformers.models.WordWeights\"}]", AKI_E_UNSUPPORTED,
          "models.WordWeights" },
        { MODULES, "[{\"path\": \"0_Transformer\", \"type\": \"sentence_transformers.models.Transformer\"}]", AKI_E_UNSUPPORTED,
          "a subfolder (0_Transformer/) is not implemented: move its files up" },
        { MODULES, "[" TRANSFORMER ", {\"path\": \"../1_Pooling\", \"type\": \"sentence_transformers.models.Pooling\"}]", AKI_E_INVALID,
          "path \"../1_Pooling\"" },
        { MODULES, "[" TRANSFORMER ", {\"path\": \"/etc\", \"type\": \"sentence_transformers.models.Pooling\"}]", AKI_E_INVALID, "path \"/etc\"" },
        { MODULES, "[" TRANSFORMER ", {\"path\": 1, \"type\": \"sentence_transformers.models.Pooling\"}]", AKI_E_INVALID, "path: no string" },
        { MODULES, "[" TRANSFORMER ", {\"path\": \"9_Pooling\", \"type\": \"sentence_transformers.models.Pooling\"}]", AKI_E_NOT_FOUND, "" },
        { "1_Pooling/config.json", "{\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": true}", AKI_E_UNSUPPORTED, "end to end" },
        { "1_Pooling/config.json", "{\"pooling_mode\": [\"cls\", \"mean\"]}", AKI_E_UNSUPPORTED, "pooling_mode: several" },
        { "1_Pooling/config.json", "{\"pooling_mode\": []}", AKI_E_UNSUPPORTED, "pooling_mode" },
        { "1_Pooling/config.json", "{\"pooling_mode\": \"latent\"}", AKI_E_UNSUPPORTED, "pooling_mode \"latent\"" },
        { "1_Pooling/config.json", "{\"pooling_mode\": 3}", AKI_E_UNSUPPORTED, "pooling_mode" },
        { "1_Pooling/config.json", "{\"pooling_mode_latent_tokens\": true}", AKI_E_UNSUPPORTED, "pooling_mode_latent_tokens" },
        { "1_Pooling/config.json", "{\"pooling_mode_cls_token\": \"yes\"}", AKI_E_INVALID, "pooling_mode_cls_token" },
        { "1_Pooling/config.json", "{\"word_embedding_dimension\": 9}", AKI_E_INVALID, "word_embedding_dimension" },
        { "1_Pooling/config.json", "{\"embedding_dimension\": 9}", AKI_E_INVALID, "embedding_dimension" },
        { "1_Pooling/config.json", "[", AKI_E_INVALID, "ends too early" },
        { "2_Dense/config.json", "{\"in_features\": 8, \"bias\": true}", AKI_E_INVALID, "out_features: missing" },
        { "2_Dense/config.json", "{\"in_features\": 7, \"out_features\": 5}", AKI_E_INVALID, "in_features" },
        { "2_Dense/config.json", "{\"in_features\": 8, \"out_features\": 5, \"activation_function\": \"torch.nn.modules.activation.Sigmoid\"}",
          AKI_E_UNSUPPORTED, "activation_function \"torch.nn.modules.activation.Sigmoid\"" },
        { "2_Dense/config.json", "{\"in_features\": 8, \"out_features\": 5, \"use_residual\": true}", AKI_E_UNSUPPORTED, "use_residual" },
        { "2_Dense/config.json", "{\"in_features\": 8, \"out_features\": 5, \"module_input_name\": \"token_embeddings\"}", AKI_E_UNSUPPORTED,
          "module_input_name \"token_embeddings\"" },
        { "2_Dense/config.json", "{\"in_features\": 8, \"out_features\": 6}", AKI_E_INVALID, "" },
        { "3_Normalize/config.json", "{\"module_input_name\": \"token_embeddings\"}", AKI_E_UNSUPPORTED, "module_input_name" },
        { TOKENIZER, "{\"truncation_side\": \"Left\"}", AKI_E_INVALID, "truncation_side \"Left\": neither \"left\" nor \"right\"" },
        { TOKENIZER, "{\"truncation_side\": null}", AKI_E_INVALID, "truncation_side: neither" },
        { TOKENIZER, "{\"do_lower_case\": null}", AKI_E_INVALID, "do_lower_case: neither true nor false" },
        { TOKENIZER, "{\"tokenizer_class\": \"BertTokenizer\", \"tokenize_chinese_chars\": 0}", AKI_E_INVALID, "tokenize_chinese_chars: neither" },
        { TOKENIZER, "{\"strip_accents\": \"no\"}", AKI_E_INVALID, "strip_accents \"no\": neither" },
        { TOKENIZER, "{\"tokenizer_class\": 3}", AKI_E_INVALID, "tokenizer_class: no string" },
        { TOKENIZER, "version https://git-lfs.github.com/spec/v1\n", AKI_E_INVALID, "Git LFS" },
        { SETTINGS, "[]", AKI_E_INVALID, "not a JSON object" },
        { SETTINGS, "{\"prompts\": []}", AKI_E_INVALID, "prompts: no object" },
        { SETTINGS, "{\"prompts\": {\"a\": 1}}", AKI_E_INVALID, "prompts: no string" },
        { SETTINGS, "{\"prompts\": {\"a\": \"x\\u0000y\"}}", AKI_E_INVALID, "holds a NUL" },
        { SETTINGS, "{\"default_prompt_name\": \"a\"}", AKI_E_INVALID, "default_prompt_name \"a\": no such prompt" },
        { SETTINGS, "{\"default_prompt_name\": 1}", AKI_E_INVALID, "default_prompt_name" },
        { SETTINGS, "{\"model_type\": \"SparseEncoder\"}", AKI_E_UNSUPPORTED, "model_type \"SparseEncoder\"" },
        { SETTINGS, "{\"truncate_dim\": 4}", AKI_E_UNSUPPORTED, "truncate_dim" },
        { SENTENCE, "{\"max_seq_length\": 0}", AKI_E_INVALID, "max_seq_length" },
        { SENTENCE, "{\"max_seq_length\": \"20\"}", AKI_E_INVALID, "max_seq_length \"20\"" },
        { SENTENCE, "{\"transformer_task\": \"fill-mask\"}", AKI_E_UNSUPPORTED, "transformer_task \"fill-mask\"" },
        { SENTENCE, "{\"module_output_name\": \"sentence_embedding\"}", AKI_E_UNSUPPORTED, "module_output_name" },
        { SENTENCE, "{\"modality_config\": {\"message\": {}}}", AKI_E_UNSUPPORTED, "modality_config" },
        { SENTENCE, "{\"modality_config\": {\"text\": {\"method\": \"encode\"}}}", AKI_E_UNSUPPORTED, "method \"encode\"" },
        { SENTENCE, "{\"query_length\": 32}", AKI_E_UNSUPPORTED, "query_length" },
        { SENTENCE, "{\"processing_kwargs\": {\"text\": {\"max_length\": 9}}}", AKI_E_UNSUPPORTED, "processing_kwargs" },
        { SENTENCE, "{\"config_args\": {\"is_causal\": false}}", AKI_E_UNSUPPORTED, "config_args \"is_causal\"" },
        { SENTENCE, "{\"tokenizer_args\": {\"model_max_length\": 9}}", AKI_E_UNSUPPORTED, "tokenizer_args \"model_max_length\"" },
        { SENTENCE, "{\"model_args\": 3}", AKI_E_INVALID, "model_args: no object" },
        { "tokenizer_config.json", "{\"model_max_length\": 0}", AKI_E_INVALID, "" },
        { "tokenizer_config.json", "{\"model_max_length\": \"x\"}", AKI_E_INVALID, "" },
        { "adapter_config.json", "{}", AKI_E_UNSUPPORTED, "merge" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fill_folder(bert_config);
        if (strncmp(rows[i].file, "tokenizer", 9) == 0)
            put_text(SENTENCE, NULL);
        put_text(rows[i].file, rows[i].text);
        /* where the text says nothing of its own, the error may name the file that contradicts it */
        refuse(i, rows[i].status, *rows[i].says ? rows[i].file : "", rows[i].says);
    }
}

static void test_missing_files(void **state)
{
    static const struct { const char *file; aki_status status; const char *says; } rows[] = {
        { "config.json", AKI_E_NOT_FOUND, "no config.json" },
        { "1_Pooling/config.json", AKI_E_NOT_FOUND, "no 1_Pooling/config.json" },
        { "2_Dense/config.json", AKI_E_NOT_FOUND, "no 2_Dense/config.json" },
        { "2_Dense/model.safetensors", AKI_E_NOT_FOUND, "no 2_Dense/model.safetensors" },
        { "model.safetensors", AKI_E_NOT_FOUND, "no model.safetensors" },
    };
    struct aki__model *m;
    aki_error e;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fill_folder(bert_config);
        put_text(rows[i].file, NULL);
        refuse(i, rows[i].status, "", rows[i].says);
    }
    static const struct { const char *tensors; aki_status status; const char *says; } dense[] = {
        { "linear.weight:5,8 linear.bias:5 residual.weight:5,8", AKI_E_INVALID, "tensors beside those" },
        { "linear.weight:5,8", AKI_E_NOT_FOUND, "no tensor linear.bias" },
        { "linear.bias:5", AKI_E_NOT_FOUND, "no tensor linear.weight" },
        { "linear.weight:8,5 linear.bias:5", AKI_E_INVALID, "linear.weight is [8, 5], the configuration asks for [5, 8]" },
        { "linear.weight:5,8 linear.bias:8", AKI_E_INVALID, "linear.bias is [8], the configuration asks for [5]" },
    };
    for (size_t i = 0; i < sizeof dense / sizeof *dense; i++) {
        fill_folder(bert_config);
        put_weights("2_Dense/model.safetensors", dense[i].tensors);
        refuse(i, dense[i].status, "2_Dense/model.safetensors: ", dense[i].says);
    }
    fill_folder(bert_config);
    put_text("2_Dense/model.safetensors", NULL);
    put_text("2_Dense/pytorch_model.bin", "PK");
    refuse(0, AKI_E_UNSUPPORTED, "2_Dense/pytorch_model.bin: ", "save_file(torch.load");
    put_text("2_Dense/pytorch_model.bin", NULL);

    /* What old versions wrote: then it is not config.json that is missing. */
    fill_folder(bert_config);
    put_text("config.json", NULL);
    put_text("modules.json", "[{\"path\": \"0_Transformer\", \"type\": \"sentence_transformers.models.Transformer\"}]");
    refuse(0, AKI_E_UNSUPPORTED, "modules.json: ", "0_Transformer/");

    /* A hub cache whose download broke off has links to nothing: that is no folder without modules. */
    char path[512];
#if !defined(_WIN32)
    fill_folder(bert_config);
    put_text("modules.json", NULL);
    snprintf(path, sizeof path, "%s/modules.json", folder);
    assert_int_equal(symlink("../blobs/none", path), 0);
    refuse(1, AKI_E_IO, "", "modules.json: a link to a file that is missing");
    unlink(path);
#endif

    assert_int_equal(aki__model_folder_open(&m, "/nowhere/at/all", aki__families, &e), AKI_E_NOT_FOUND);
    assert_null(m);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(aki__model_folder_open(&m, path, aki__families, &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "config.json: a file; the folder of a model is needed"));
}

/* ---------------------------------------------------------------- tensors --------------------------------------- */

static void test_prefixes(void **state)
{
    static const struct { const char *config, *tensors, *prefix; aki_status status; } rows[] = {
        { bert_config, "embeddings.word_embeddings.weight:30,8", "", AKI_OK },
        { bert_config, "bert.embeddings.word_embeddings.weight:30,8", "bert.", AKI_OK },
        { bert_config, "0.auto_model.embeddings.word_embeddings.weight:30,8", "0.auto_model.", AKI_OK },
        { bert_config, "xembeddings.word_embeddings.weight:30,8", NULL, AKI_E_NOT_FOUND },
        { bert_config, "word_embeddings.weight:30,8", NULL, AKI_E_NOT_FOUND },
        { bert_config, "a.embeddings.word_embeddings.weight:30,8 b.embeddings.word_embeddings.weight:30,8", NULL, AKI_E_UNSUPPORTED },
        { qwen3_config, "embed_tokens.weight:30,8", "", AKI_OK },
        { qwen3_config, "model.embed_tokens.weight:30,8 lm_head.weight:30,8", "model.", AKI_OK },
        { qwen3_config, "embeddings.word_embeddings.weight:30,8", NULL, AKI_E_NOT_FOUND },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aki__model *m;
        fill_folder(rows[i].config);
        put_weights("model.safetensors", rows[i].tensors);
        assert_int_equal(aki__model_folder_open(&m, folder, aki__families, NULL), rows[i].status);
        if (m)
            assert_string_equal(m->prefix, rows[i].prefix);
        aki__model_folder_close(m);
    }
}

static void test_tensors_are_checked(void **state)
{
    const struct aki__tensor *t;
    aki_error e;

    (void)state;
    fill_folder(bert_config);
    put_weights("model.safetensors",
                "bert.embeddings.word_embeddings.weight:30,8 bert.embeddings.LayerNorm.gamma:8 bert.embeddings.LayerNorm.beta:8 "
                "bert.x.LayerNorm.weight:8 bert.x.LayerNorm.gamma:8");
    struct aki__model *m = open_folder("tensors");

    assert_int_equal(aki__model_tensor(m, &t, &e, "embeddings.word_embeddings.weight", 2, m->vocabulary, m->hidden), AKI_OK);
    assert_string_equal(t->name, "bert.embeddings.word_embeddings.weight");
    assert_int_equal(aki__model_tensor(m, &t, &e, "embeddings.word_embeddings.weight", 2, 30, 9), AKI_E_INVALID);
    assert_null(t);
    assert_non_null(strstr(e.message, "model.safetensors: tensor bert.embeddings.word_embeddings.weight is [30, 8], "));
    assert_non_null(strstr(e.message, "[30, 9]"));
    assert_int_equal(aki__model_tensor(m, &t, &e, "embeddings.word_embeddings.weight", 1, 30), AKI_E_INVALID);
    assert_int_equal(aki__model_tensor(m, &t, &e, "embeddings.word_embeddings.weight", 0), AKI_E_INVALID);
    assert_int_equal(aki__model_tensor(m, &t, &e, "pooler.dense.weight", 2, 8, 8), AKI_E_NOT_FOUND);
    assert_non_null(strstr(e.message, "model.safetensors: no tensor bert.pooler.dense.weight"));
    assert_int_equal(aki__model_tensor_maybe(m, &t, &e, "pooler.dense.weight", 2, 8, 8), AKI_OK);
    assert_null(t);
    assert_int_equal(aki__model_tensor_maybe(m, &t, &e, "embeddings.word_embeddings.weight", 2, 30, 9), AKI_E_INVALID);
    /* the old names of a norm's two tensors */
    assert_int_equal(aki__model_tensor(m, &t, &e, "embeddings.LayerNorm.weight", 1, 8), AKI_OK);
    assert_string_equal(t->name, "bert.embeddings.LayerNorm.gamma");
    assert_int_equal(aki__model_tensor(m, &t, &e, "embeddings.LayerNorm.bias", 1, 8), AKI_OK);
    assert_string_equal(t->name, "bert.embeddings.LayerNorm.beta");
    assert_int_equal(aki__model_tensor(m, &t, &e, "x.LayerNorm.weight", 1, 8), AKI_OK);
    assert_string_equal(t->name, "bert.x.LayerNorm.weight");
    assert_int_equal(aki__model_tensor(m, &t, &e, "x.LayerNorm.bias", 1, 8), AKI_E_NOT_FOUND);
    aki__model_folder_close(m);

    static const char integers[] = "{\"embeddings.word_embeddings.weight\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    char bytes[sizeof integers + 8] = { sizeof integers - 1 };
    memcpy(bytes + 8, integers, sizeof integers - 1);
    put("model.safetensors", bytes, sizeof integers + 8);
    m = open_folder("integers");
    assert_int_equal(aki__model_tensor(m, &t, &e, "embeddings.word_embeddings.weight", 1, 1), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "is i8; f32, f16 or bf16"));
    aki__model_folder_close(m);
}

/* ---------------------------------------------------------------- the generated checkpoints --------------------- */

static void check_layer(const struct aki__model *m, int layer)
{
    const bool qwen3 = m->family == &aki__family_qwen3;
    const int h = m->hidden, i = m->intermediate, q = m->heads * m->head_dim, kv = m->kv_heads * m->head_dim;
    const struct { const char *name; int out, in; } encoder[] = {
        { "encoder.layer.%d.attention.self.query", h, h }, { "encoder.layer.%d.attention.self.value", h, h },
        { "encoder.layer.%d.intermediate.dense", i, h }, { "encoder.layer.%d.output.dense", h, i },
    }, decoder[] = {
        { "layers.%d.self_attn.q_proj", q, h }, { "layers.%d.self_attn.k_proj", kv, h },
        { "layers.%d.self_attn.o_proj", h, q }, { "layers.%d.mlp.down_proj", h, i },
    };

    for (int k = 0; k < 4; k++) {
        const struct aki__tensor *t;
        char stem[100], name[120];
        aki_error e;
        snprintf(stem, sizeof stem, qwen3 ? decoder[k].name : encoder[k].name, layer);
        snprintf(name, sizeof name, "%s.weight", stem);
        if (aki__model_tensor(m, &t, &e, name, 2, qwen3 ? decoder[k].out : encoder[k].out, qwen3 ? decoder[k].in : encoder[k].in) != AKI_OK)
            fail_msg("%s", e.message);
        snprintf(name, sizeof name, "%s.bias", stem);
        assert_int_equal(aki__model_tensor_maybe(m, &t, &e, name, 1, qwen3 ? decoder[k].out : encoder[k].out), AKI_OK);
        assert_int_equal(t != NULL, !qwen3 || (((const struct aki__qwen3_keys *)m->keys)->attention_bias && k < 3));
    }
}

static void test_checkpoints(void **state)
{
    static const struct {
        const char     *name, *architecture, *prefix;
        int32_t         max_tokens, pooling;
        bool            normalize;
        enum aki__dtype dtype;
    } rows[] = {
        { "bert", "bert", "", 64, AKI_POOLING_CLS, true, AKI_F32 },
        { "bert-plain", "bert", "", 40, AKI_POOLING_MEAN, false, AKI_F32 },
        { "bert-relu-mean", "bert", "", 64, AKI_POOLING_MEAN, false, AKI_F32 },
        { "bert-tanh-max-f16", "bert", "bert.", 64, AKI_POOLING_MAX, true, AKI_F16 },
        { "bert-dense", "bert", "", 64, AKI_POOLING_MEAN, true, AKI_F32 },
        { "bert-sqrtlen", "bert", "", 64, AKI_POOLING_MEAN_SQRT_LEN, false, AKI_F32 },
        { "roberta", "roberta", "roberta.", 62, AKI_POOLING_CLS, true, AKI_F32 },
        { "xlmr", "xlm-roberta", "", 64, AKI_POOLING_MEAN, true, AKI_F32 },
        { "xlmr-no-prompt", "xlm-roberta", "", 64, AKI_POOLING_MEAN, true, AKI_F32 },
        { "camembert", "camembert", "", 64, AKI_POOLING_MEAN, true, AKI_F32 },
        { "qwen3", "qwen3", "", 160, AKI_POOLING_LAST, true, AKI_BF16 },
        { "qwen3-bias", "qwen3", "model.", 64, AKI_POOLING_MEAN, true, AKI_F32 },
        { "qwen3-weightedmean", "qwen3", "", 64, AKI_POOLING_WEIGHTEDMEAN, false, AKI_BF16 },
        { "qwen3-window", "qwen3", "", 64, AKI_POOLING_LAST, true, AKI_BF16 },
        { "qwen3-bidirectional", "qwen3", "", 64, AKI_POOLING_MEAN, true, AKI_BF16 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[512];
        struct aki__model *m;
        struct aki__map map;
        struct aki__json_doc doc;
        int64_t dim;
        aki_error e;
        snprintf(path, sizeof path, "%s/checkpoints/%s", AKI_BINARY_DIR, rows[i].name);
        if (aki__model_folder_open(&m, path, aki__families, &e) != AKI_OK)
            fail_msg("%s (made by tests/make_checkpoints.py)", e.message);
        assert_string_equal(m->name, rows[i].name);
        assert_string_equal(m->architecture, rows[i].architecture);
        assert_string_equal(m->prefix, rows[i].prefix);
        assert_int_equal(m->max_tokens, rows[i].max_tokens);
        assert_int_equal(m->pooling, rows[i].pooling);
        assert_int_equal(m->normalize, rows[i].normalize);
        assert_int_equal(aki__weights_at(m->weights, 0)->dtype, rows[i].dtype);
        for (int layer = 0; layer < m->layers; layer++)
            check_layer(m, layer);

        snprintf(path, sizeof path, "%s/tests/data/golden/%s.json", AKI_SOURCE_DIR, rows[i].name);
        assert_int_equal(aki__map_open(&map, path, &e), AKI_OK);
        assert_int_equal(aki__json_parse(&doc, map.data, map.size, rows[i].name, &e), AKI_OK);
        assert_true(aki__json_int(aki__json_get(doc.nodes, "dim"), &dim));
        assert_int_equal(dim, m->dim);
        aki__json_free(&doc);
        aki__map_close(&map);
        aki__model_folder_close(m);
    }
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_bert),
        IN_FOLDER(test_qwen3),
        IN_FOLDER(test_config_rows),
        IN_FOLDER(test_rope_theta),
        IN_FOLDER(test_flags_of_qwen3),
        IN_FOLDER(test_pooling_rows),
        IN_FOLDER(test_modules_rows),
        IN_FOLDER(test_default_pooling),
        IN_FOLDER(test_dense_rows),
        IN_FOLDER(test_two_dense_modules),
        IN_FOLDER(test_limits),
        IN_FOLDER(test_prompts),
        IN_FOLDER(test_matryoshka),
        IN_FOLDER(test_lower_case),
        IN_FOLDER(test_lower_case_of_class),
        IN_FOLDER(test_tokenizer_config),
        IN_FOLDER(test_pooling_assumed),
        IN_FOLDER(test_refused_configs),
        IN_FOLDER(test_refused_files),
        IN_FOLDER(test_missing_files),
        IN_FOLDER(test_prefixes),
        IN_FOLDER(test_tensors_are_checked),
        cmocka_unit_test(test_checkpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
