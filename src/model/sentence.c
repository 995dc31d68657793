/* Unit sentence: reads the sentence-transformers files other than the modules: prompts, the limit of tokens, shortened vectors. */
#include "model/parts.h"
#include "util/names.h"

#include <stdio.h>

/* ---------------------------------------------------------------- helpers --------------------------------------- */

static bool empty(const struct aki__json *value)
{
    return (value->kind == AKI_JSON_OBJECT || value->kind == AKI_JSON_ARRAY) && value->size == 0;
}

/* Copies a JSON string to a C string; the caller frees *out. */
static aki_status copy_text(char **out, const struct aki__json_file *f, const struct aki__json *value, const char *key,
                            aki_error *err)
{
    *out = NULL;
    if (!aki__json_is(value, AKI_JSON_STRING) || memchr(value->text, '\0', value->size))
        return aki__key_fail(f, value, key, AKI_E_INVALID, err, "no string, or one that holds a NUL");
    *out = aki__copy_string(value->text, value->size);
    return *out ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "%s: %s", f->name, key);
}

/* ---------------------------------------------------------------- prompts --------------------------------------- */

static aki_status add_prompt(struct aki__model *m, const struct aki__json_file *f, const struct aki__json *key, aki_error *err)
{
    char *name = NULL, *text = NULL;

    aki_status rc = copy_text(&name, f, key, "prompts", err);
    if (!rc)
        rc = aki__json_is(key + 1, AKI_JSON_NULL) ? AKI_OK : copy_text(&text, f, key + 1, "prompts", err);
    if (!rc && !text && !(text = aki__copy_string("", 0)))
        rc = aki__fail(err, AKI_E_NOMEM, "%s: prompts", f->name);
    if (!rc && !aki__grow((void **)&m->prompts, &aki__folder_of(m)->prompt_capacity, m->prompt_count + 1, sizeof *m->prompts))
        rc = aki__fail(err, AKI_E_NOMEM, "%s: prompts", f->name);
    if (rc)
        goto done;
    m->prompts[m->prompt_count++] = (aki_prompt){ .name = name, .text = text };
    name = text = NULL;
done:
    aki__free(name);
    aki__free(text);
    return rc;
}

static aki_status read_prompts(struct aki__model *m, const struct aki__json_file *f, aki_error *err)
{
    const struct aki__json *prompts = aki__key(f->doc.nodes, "prompts"), *chosen = aki__key(f->doc.nodes, "default_prompt_name");
    aki_status rc = AKI_OK;

    if (prompts && prompts->kind != AKI_JSON_OBJECT)
        return aki__key_fail(f, prompts, "prompts", AKI_E_INVALID, err, "no object");
    const struct aki__json *key = prompts ? prompts + 1 : NULL;
    for (uint32_t i = 0; prompts && !rc && i < prompts->size; i++, key = aki__json_next(key + 1))
        rc = add_prompt(m, f, key, err);
    if (rc || !chosen)
        return rc;
    if (chosen->kind != AKI_JSON_STRING)
        return aki__key_fail(f, chosen, "default_prompt_name", AKI_E_INVALID, err, "no string");
    for (size_t i = 0; i < m->prompt_count; i++)
        if (aki__json_equals(chosen, m->prompts[i].name))
            m->default_prompt_name = m->prompts[i].name;
    /* In sentence-transformers every model has these two prompts, which are empty by default. */
    if (!m->default_prompt_name && !aki__json_equals(chosen, "query") && !aki__json_equals(chosen, "document"))
        return aki__key_fail(f, chosen, "default_prompt_name", AKI_E_INVALID, err, "no such prompt");
    return AKI_OK;
}

static aki_status read_settings(struct aki__model *m, aki_error *err)
{
    struct aki__json_file f;
    int32_t dim;

    aki_status rc = aki__json_file_open(&f, m, "config_sentence_transformers.json", AKI_JSON_OBJECT, true, err);
    if (rc || !f.doc.nodes)
        goto done;
    if ((rc = aki__key_expect(&f, f.doc.nodes, "model_type", m->labels.count ? "CrossEncoder" : "SentenceTransformer", err)) ||
        (rc = aki__key_int(&dim, &f, f.doc.nodes, "truncate_dim", 1, INT32_MAX, m->dim, err)))
        goto done;
    if (dim < m->dim)
        rc = aki__key_fail(&f, aki__key(f.doc.nodes, "truncate_dim"), "truncate_dim", AKI_E_UNSUPPORTED, err,
                           "not implemented; take the key out and ask for the dimension at each call");
    else
        rc = read_prompts(m, &f, err);
done:
    aki__json_file_close(&f);
    return rc;
}

/* ---------------------------------------------------------------- sentence_bert_config.json --------------------- */

/* sentence-transformers lowercases the text itself if tokenizer.json does not; that would be a second normaliser. */
static aki_status check_lower_case(struct aki__model *m, const struct aki__json_file *f, aki_error *err)
{
    struct aki__json_file t;
    bool lower, set, own;

    aki_status rc = aki__key_bool(&set, f, f->doc.nodes, "do_lower_case", false, err);
    if (rc || !set)
        return rc;
    if ((rc = aki__json_file_open(&t, m, "tokenizer.json", AKI_JSON_OBJECT, false, err)))
        goto done;
    own = *m->tokenizer.normalizer && aki__json_equals(aki__key(aki__key(t.doc.nodes, "model"), "type"), "WordPiece");
    lower = own && m->tokenizer.lowercase;
    const struct aki__json *normalizer = own ? NULL : aki__key(t.doc.nodes, "normalizer"), *list = aki__key(normalizer, "normalizers");
    const struct aki__json *e = aki__json_is(list, AKI_JSON_ARRAY) ? aki__json_first(list) : normalizer;
    for (uint32_t i = 0; e && i < (e == normalizer ? 1 : list->size) && !lower; i++) {
        bool also = false;
        lower = aki__json_equals(aki__key(e, "type"), "Lowercase") ||
                (aki__json_equals(aki__key(e, "type"), "BertNormalizer") && aki__json_bool(aki__key(e, "lowercase"), &also) && also);
        if (e == normalizer)
            break;
        e = aki__json_next(e);
    }
    if (!lower)
        rc = aki__key_fail(f, aki__key(f->doc.nodes, "do_lower_case"), "do_lower_case", AKI_E_UNSUPPORTED, err,
                           "true, but tokenizer.json has no Lowercase normalizer: add it there");
done:
    aki__json_file_close(&t);
    return rc;
}

/* Checks an object of keyword arguments: those that change no vector are listed, others are an error. */
static aki_status check_arguments(const struct aki__json_file *f, const char *key, const char *harmless, aki_error *err)
{
    const struct aki__json *value = aki__key(f->doc.nodes, key), *name;
    char word[64];

    if (!value)
        return AKI_OK;
    if (value->kind != AKI_JSON_OBJECT)
        return aki__key_fail(f, value, key, AKI_E_INVALID, err, "no object");
    name = value + 1;
    for (uint32_t i = 0; i < value->size; i++, name = aki__json_next(name + 1)) {
        bool known = name->size < sizeof word - 3;
        if (known) {
            snprintf(word, sizeof word, " %.*s ", (int)name->size, name->text);
            known = strstr(harmless, word) != NULL;
        }
        if (!known)
            return aki__key_fail(f, name, key, AKI_E_UNSUPPORTED, err, "this argument is not implemented");
    }
    return AKI_OK;
}

static aki_status check_modality(const struct aki__model *m, const struct aki__json_file *f, aki_error *err)
{
    const struct aki__json *value = aki__key(f->doc.nodes, "modality_config"), *text = aki__key(value, "text");
    aki_status rc;

    if (!value)
        return AKI_OK;
    if (value->kind != AKI_JSON_OBJECT || value->size != 1 || !text)
        return aki__key_fail(f, value, "modality_config", AKI_E_UNSUPPORTED, err, "only plain text is implemented");
    if ((rc = aki__key_expect(f, text, "method", "forward", err)))
        return rc;
    return aki__key_expect(f, text, "method_output_name", m->labels.count ? "logits" : "last_hidden_state", err);
}

static aki_status check_transformer_keys(const struct aki__model *m, const struct aki__json_file *f, aki_error *err)
{
    static const char *const known[] = {
        "max_seq_length", "do_lower_case", "unpad_inputs", "transformer_task", "module_output_name", "modality_config", "model_args",
        "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs",
    };
    static const struct { const char *key, *harmless; } arguments[] = {
        { "model_args", " torch_dtype dtype attn_implementation device_map low_cpu_mem_usage use_safetensors trust_remote_code " },
        { "model_kwargs", " torch_dtype dtype attn_implementation device_map low_cpu_mem_usage use_safetensors trust_remote_code " },
        { "tokenizer_args", " padding_side use_fast trust_remote_code " },
        { "processor_kwargs", " padding_side use_fast trust_remote_code " },
        { "config_args", " use_cache trust_remote_code " },
        { "config_kwargs", " use_cache trust_remote_code " },
    };
    const struct aki__json *root = f->doc.nodes, *key = root + 1;
    char name[80];
    aki_status rc = AKI_OK;

    for (uint32_t i = 0; i < root->size; i++, key = aki__json_next(key + 1)) {
        bool fine = aki__json_is(key + 1, AKI_JSON_NULL) || empty(key + 1);
        for (size_t k = 0; k < sizeof known / sizeof *known && !fine; k++)
            fine = aki__json_equals(key, known[k]);
        snprintf(name, sizeof name, "%.*s", (int)(key->size < 79 ? key->size : 79), key->text);
        if (!fine)
            return aki__key_fail(f, key + 1, name, AKI_E_UNSUPPORTED, err, "this key is not implemented");
    }
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments && !rc; i++)
        rc = check_arguments(f, arguments[i].key, arguments[i].harmless, err);
    if (rc || (rc = aki__key_expect(f, root, "transformer_task", m->labels.count ? "sequence-classification" : "feature-extraction", err)) ||
        (rc = aki__key_expect(f, root, "module_output_name", m->labels.count ? "scores" : "token_embeddings", err)))
        return rc;
    return check_modality(m, f, err);
}

/* *limit: max_seq_length; 0: not specified. */
static aki_status read_transformer(struct aki__model *m, int32_t *limit, aki_error *err)
{
    struct aki__json_file f = { 0 };
    aki_status rc = AKI_OK;

    *limit = 0;
    for (size_t i = 0; i < AKI_SENTENCE_FILES && !rc && !f.doc.nodes; i++) {
        aki__json_file_close(&f);
        rc = aki__json_file_open(&f, m, aki__sentence_files[i], AKI_JSON_OBJECT, true, err);
    }
    if (rc || !f.doc.nodes)
        goto done;
    if (!(rc = check_transformer_keys(m, &f, err)) && !(rc = check_lower_case(m, &f, err)))
        rc = aki__key_int(limit, &f, f.doc.nodes, "max_seq_length", 1, INT32_MAX, 0, err);
done:
    aki__json_file_close(&f);
    return rc;
}

/* ---------------------------------------------------------------- the limit ------------------------------------- */

/* Reads model_max_length of tokenizer_config.json, if there is one; "none" is a number of 30 digits. */
static aki_status read_tokenizer_limit(struct aki__model *m, int32_t *limit, aki_error *err)
{
    struct aki__json_file f;
    double length;

    aki_status rc = aki__json_file_open(&f, m, "tokenizer_config.json", AKI_JSON_OBJECT, true, err);
    if (rc || !f.doc.nodes || (rc = aki__key_double(&length, &f, f.doc.nodes, "model_max_length", INT32_MAX, err)))
        goto done;
    if (!(length >= 1))
        rc = aki__key_fail(&f, aki__key(f.doc.nodes, "model_max_length"), "model_max_length", AKI_E_INVALID, err, "out of range");
    else
        *limit = length < INT32_MAX ? (int32_t)length : INT32_MAX;
done:
    aki__json_file_close(&f);
    return rc;
}

static aki_status set_limit(struct aki__model *m, aki_error *err)
{
    int32_t most = m->positions - m->position_offset, limit;

    aki_status rc = read_transformer(m, &limit, err);
    if (!rc && limit == 0) {
        limit = most;
        rc = read_tokenizer_limit(m, &limit, err);
    }
    m->max_tokens = limit < most ? limit : most;
    return rc;
}

/* ---------------------------------------------------------------- shorter vectors ------------------------------- */

/* No file specifies whether a model was trained for shortened vectors (MRL). It is assumed if config.json has is_matryoshka or
 * matryoshka_dimensions, if the model card mentions Matryoshka (sentence-transformers writes the loss there), and for models
 * like Qwen3-Embedding: this family, last-token pooling, normalised, with
 * a query prompt "Instruct: …". Only a warning depends on it. */
static aki_status guess_matryoshka(struct aki__model *m, aki_error *err)
{
    static const char word[] = "matryoshka";
    struct aki__map map;

    if (m->family && m->family->traits & AKI_FAMILY_MRL && m->pooling == AKI_POOLING_LAST && m->normalize)
        for (size_t i = 0; i < m->prompt_count; i++)
            m->mrl |= strncmp(m->prompts[i].text, "Instruct: ", 10) == 0;
    if (m->mrl)
        return AKI_OK;
    char *path = aki__join(m->path, "README.md");
    if (!path)
        return aki__fail(err, AKI_E_NOMEM, "README.md");
    if (aki__map_open(&map, path, NULL) != AKI_OK)
        goto done;
    size_t size = map.size < (1u << 20) ? map.size : (1u << 20), matched = 0;
    for (size_t i = 0; i < size && matched < sizeof word - 1; i++) {
        char c = (char)(map.data[i] >= 'A' && map.data[i] <= 'Z' ? map.data[i] + 32 : map.data[i]);
        matched = c == word[matched] ? matched + 1 : c == word[0];
    }
    m->mrl = matched == sizeof word - 1;
    aki__map_close(&map);
done:
    aki__free(path);
    return AKI_OK;
}

aki_status aki__sentence_read(struct aki__model *m, aki_error *err)
{
    bool modules = true;
    aki_status rc = AKI_OK;

    m->dim = m->labels.count ? m->labels.count : m->hidden;
    m->include_prompt = true;
    if (m->labels.count)                    /* its head reads the first token, or the last one of a causal model */
        m->pooling = m->causal ? AKI_POOLING_LAST : AKI_POOLING_CLS;
    else
        rc = aki__modules_read(m, &modules, err);
    m->pooling_assumed = !modules && !m->pooled;
    /* Without modules.json, sentence-transformers does not read the prompts. */
    if (modules)
        rc = aki__also(rc, read_settings(m, AKI_ALSO(rc, err)));
    rc = aki__also(rc, set_limit(m, AKI_ALSO(rc, err)));
    return rc ? rc : guess_matryoshka(m, err);
}
