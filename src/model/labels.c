/* Unit labels: finds out whether a folder is a sequence classifier (a cross-encoder is one), and reads its labels. */
#include "model/parts.h"

#include <stdio.h>

enum { MOST_LABELS = 4096 };

static bool ends_with(const struct aki__json *string, const char *tail)
{
    size_t size = strlen(tail);

    return aki__json_is(string, AKI_JSON_STRING) && string->size >= size && memcmp(string->text + string->size - size, tail, size) == 0;
}

/* The names of id2label, by number. */
static aki_status read_names(struct aki__model *m, const struct aki__json_file *f, const struct aki__json *map, aki_error *err)
{
    struct aki__labels *l = &m->labels;
    char number[16];

    if (!(l->names = aki__zalloc((size_t)l->count, sizeof *l->names)))
        return aki__fail(err, AKI_E_NOMEM, "%s: id2label", f->name);
    for (int32_t i = 0; i < l->count; i++) {
        snprintf(number, sizeof number, "%d", (int)i);
        const struct aki__json *name = aki__key(map, number);
        if (!aki__json_is(name, AKI_JSON_STRING) || memchr(name->text, '\0', name->size))
            return aki__key_fail(f, name ? name : map, "id2label", AKI_E_INVALID, err, "not a string for each number from 0 on");
        if (!(l->names[i] = aki__copy_string(name->text, name->size)))
            return aki__fail(err, AKI_E_NOMEM, "%s: id2label", f->name);
    }
    return AKI_OK;
}

/* As in transformers: num_labels, or the length of id2label, or 2. */
static aki_status read_labels(struct aki__model *m, const struct aki__json_file *f, aki_error *err)
{
    const struct aki__json *root = f->doc.nodes, *map = aki__key(root, "id2label"), *problem = aki__key(root, "problem_type");
    struct aki__labels *l = &m->labels;

    if (map && (map->kind != AKI_JSON_OBJECT || map->size < 1 || map->size > MOST_LABELS))
        return aki__key_fail(f, map, "id2label", AKI_E_INVALID, err, "no object of 1 to 4096 labels");
    const int32_t named = map ? (int32_t)map->size : 0;
    aki_status rc = aki__key_int(&l->count, f, root, "num_labels", 1, MOST_LABELS, map ? named : 2, err);
    if (!rc && map && l->count != named)
        rc = aki__key_fail(f, aki__key(root, "num_labels"), "num_labels", AKI_E_INVALID, err, "not the number of labels in id2label");
    l->pad_id = m->causal && aki__key(root, "pad_token_id") ? m->pad_id : -1;
    l->exclusive = l->count > 1 && !aki__json_equals(problem, "multi_label_classification");
    return rc || !map ? rc : read_names(m, f, map, err);
}

/* Like sentence-transformers, which ignores every function that is not torch's; of torch's, these are known. */
static aki_status read_activation(struct aki__model *m, const struct aki__json_file *f, const struct aki__json *value, const char *key,
                                  aki_error *err)
{
    static const struct { const char *name; int32_t activation; } known[] = {
        { "torch.nn.modules.linear.Identity", AKI_ACTIVATION_NONE }, { "torch.nn.Identity", AKI_ACTIVATION_NONE },
        { "torch.nn.modules.activation.Sigmoid", AKI_ACTIVATION_SIGMOID }, { "torch.nn.Sigmoid", AKI_ACTIVATION_SIGMOID },
    };

    if (!value || (aki__json_is(value, AKI_JSON_STRING) && (value->size < 6 || memcmp(value->text, "torch.", 6) != 0)))
        return AKI_OK;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (aki__json_equals(value, known[i].name)) {
            m->labels.activation = known[i].activation;
            return AKI_OK;
        }
    return aki__key_fail(f, value, key, AKI_E_UNSUPPORTED, err, "this activation of scores is not implemented");
}

/* Of the three places, the first wins. */
static aki_status read_activations(struct aki__model *m, const struct aki__json_file *config, const struct aki__json_file *settings,
                                   aki_error *err)
{
    const struct aki__json *root = config->doc.nodes, *own = aki__key(settings->doc.nodes, "activation_fn");
    const struct aki__json *inner = aki__key(aki__key(root, "sentence_transformers"), "activation_fn");

    if (own)
        return read_activation(m, settings, own, "activation_fn", err);
    if (inner)
        return read_activation(m, config, inner, "sentence_transformers.activation_fn", err);
    return read_activation(m, config, aki__key(root, "sbert_ce_default_activation_function"), "sbert_ce_default_activation_function", err);
}

/* Other heads, without modules.json to say that only the body counts: what the folder is for cannot be computed. */
static aki_status refuse_other_heads(const struct aki__json_file *f, const struct aki__json *architecture, aki_error *err)
{
    static const char *const others[] = { "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice", "ForNextSentencePrediction" };

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (ends_with(architecture, others[i]))
            return aki__key_fail(f, architecture, "architectures", AKI_E_UNSUPPORTED, err,
                                 "no embedding model and no sequence classifier, and this head is not implemented");
    return AKI_OK;
}

/* The head that modules behind the transformer are; NONE: there are none of these, and the head is the transformer's own. */
static enum aki__head_kind head_of_modules(const struct aki__json *modules)
{
    const struct aki__json *e = aki__json_first(modules);
    enum aki__head_kind head = AKI_HEAD_NONE;

    for (uint32_t i = 0; i < modules->size; i++, e = aki__json_next(e)) {
        const struct aki__json *type = aki__key(e, "type");
        head = ends_with(type, ".LogitScore") ? AKI_HEAD_LOGIT : ends_with(type, ".Dense") ? AKI_HEAD_DENSE : head;
    }
    return head;
}

aki_status aki__labels_read(struct aki__model *m, aki_error *err)
{
    struct aki__json_file config, modules = { 0 }, settings = { 0 };

    aki_status rc = aki__json_file_open(&config, m, "config.json", AKI_JSON_OBJECT, m->onnx != NULL, err);
    if (!rc) rc = aki__json_file_open(&modules, m, "modules.json", AKI_JSON_ARRAY, true, err);
    if (!rc) rc = aki__json_file_open(&settings, m, "config_sentence_transformers.json", AKI_JSON_OBJECT, true, err);
    if (rc)
        goto done;
    const struct aki__json *names = aki__key(config.doc.nodes, "architectures");
    const struct aki__json *first = aki__json_is(names, AKI_JSON_ARRAY) && names->size ? aki__json_first(names) : NULL;
    struct aki__labels *l = &m->labels;
    const bool scores = aki__json_equals(aki__key(settings.doc.nodes, "model_type"), "CrossEncoder");
    if (modules.doc.nodes && !scores)
        goto done;
    l->pad_id = l->true_id = l->false_id = -1;
    l->head = modules.doc.nodes ? head_of_modules(modules.doc.nodes) : AKI_HEAD_NONE;
    if (!modules.doc.nodes && ends_with(first, "ForCausalLM"))
        rc = aki__ranking_read(m, err);
    if (rc || (!l->head && ends_with(first, "ForCausalLM")))
        goto done;
    if (l->head) {
        l->count = 1;
        rc = aki__key_bool(&l->tied, &config, config.doc.nodes, "tie_word_embeddings", false, err);
        if (!rc) rc = read_activations(m, &config, &settings, err);
    } else if (!ends_with(first, "ForSequenceClassification"))
        rc = refuse_other_heads(&config, first, err);
    else if (!m->onnx && !m->family->classify)
        rc = aki__key_fail(&config, first, "architectures", AKI_E_UNSUPPORTED, err, "the classifier of this family is not implemented");
    else if (!(rc = read_labels(m, &config, err))) {
        l->head = AKI_HEAD_CLASSIFIER;
        rc = read_activations(m, &config, &settings, err);
    }
done:
    aki__json_file_close(&settings);
    aki__json_file_close(&modules);
    aki__json_file_close(&config);
    return rc;
}
