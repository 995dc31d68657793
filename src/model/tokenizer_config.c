/* Unit tokenizer_config: what a tokenizer's class changes of its tokenizer.json, the side on which long texts are truncated, and whether special
 * strings in a text are special. */
#include "model/parts.h"

#include <stdio.h>

/* Classes of transformers 5.24 that build a BERT normaliser from their arguments, whatever tokenizer.json has; "Fast" may
 * follow. (Classes that inherit BertTokenizer without an __init__ of their own, such as ConvBertTokenizer, use the file's.) */
static const char *const bert_classes[] = {
    "BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "LayoutLMTokenizer", "LxmertTokenizer", "MobileBertTokenizer", "MPNetTokenizer",
    "SplinterTokenizer", "SqueezeBertTokenizer",
};

static bool is_bert_class(const struct aki__json *name)
{
    for (size_t i = 0; i < sizeof bert_classes / sizeof *bert_classes; i++) {
        size_t size = strlen(bert_classes[i]);
        if (name->size >= size && memcmp(name->text, bert_classes[i], size) == 0 &&
            (name->size == size || (name->size == size + 4 && memcmp(name->text + size, "Fast", 4) == 0)))
            return true;
    }
    return false;
}

/* Reads an argument of the class, for which null is not a bool: 0, 1, or `missing`. */
static aki_status read_argument(int *out, const struct aki__json_file *f, const char *key, int missing, bool nullable,
                                aki_error *err)
{
    const struct aki__json *value = aki__json_get(f->doc.nodes, key);
    bool set;

    *out = missing;
    if (!value || (nullable && aki__json_is(value, AKI_JSON_NULL)))
        return AKI_OK;
    if (!aki__json_bool(value, &set))
        return aki__key_fail(f, value, key, AKI_E_INVALID, err, "neither true nor false");
    *out = set;
    return AKI_OK;
}

static aki_status read_normalizer(struct aki__tokenizer_config *out, const struct aki__json_file *f, aki_error *err)
{
    static const char *const words[] = { "null", "false", "true" };
    int lower, strip, chinese;

    aki_status rc = read_argument(&lower, f, "do_lower_case", 1, false, err);
    if (!rc) rc = read_argument(&strip, f, "strip_accents", -1, true, err);
    if (!rc) rc = read_argument(&chinese, f, "tokenize_chinese_chars", 1, false, err);
    if (rc)
        return rc;
    out->lowercase = lower;
    snprintf(out->normalizer, sizeof out->normalizer,
             "{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":%s,\"strip_accents\":%s,\"lowercase\":%s}",
             words[1 + chinese], words[1 + strip], words[1 + lower]);
    return AKI_OK;
}

static aki_status read_side(struct aki__tokenizer_config *out, const struct aki__json_file *f, aki_error *err)
{
    const struct aki__json *side = aki__json_get(f->doc.nodes, "truncation_side");

    if (!side)
        return AKI_OK;
    out->left = aki__json_equals(side, "left");
    out->side = true;
    if (out->left || aki__json_equals(side, "right"))
        return AKI_OK;
    return aki__key_fail(f, side, "truncation_side", AKI_E_INVALID, err, "neither \"left\" nor \"right\"");
}

static aki_status read_split(struct aki__tokenizer_config *out, const struct aki__json_file *f, aki_error *err)
{
    int split;
    aki_status rc = read_argument(&split, f, "split_special_tokens", 0, false, err);

    out->splits_special = !rc && split;
    return rc;
}

/* The class, if tokenizer_config.json names none: that of config.json, or of its model_type. */
static aki_status read_config(bool *bert, struct aki__model *m, aki_error *err)
{
    struct aki__json_file f;
    const char *name;

    aki_status rc = aki__json_file_open(&f, m, "config.json", AKI_JSON_OBJECT, true, err);
    const struct aki__json *class = rc ? NULL : aki__key(f.doc.nodes, "tokenizer_class"), *type = rc ? NULL : aki__key(f.doc.nodes, "model_type");
    const struct aki__family *family = aki__json_is(type, AKI_JSON_STRING) ? aki__family_find(aki__folder_of(m)->families, type, &name) : NULL;

    *bert = aki__json_is(class, AKI_JSON_STRING) ? is_bert_class(class) : !class && family && family->traits & AKI_FAMILY_BERT_TOKENIZER;
    aki__json_file_close(&f);
    return rc;
}

aki_status aki__tokenizer_config_read(struct aki__model *m, aki_error *err)
{
    struct aki__tokenizer_config *out = &m->tokenizer;
    struct aki__json_file f;
    bool bert = false;

    aki_status rc = aki__json_file_open(&f, m, "tokenizer_config.json", AKI_JSON_OBJECT, true, err);
    if (rc || !f.doc.nodes)         /* a tokenizer.json without such a file is used as it is */
        goto done;
    const struct aki__json *class = aki__key(f.doc.nodes, "tokenizer_class");
    if (aki__json_is(class, AKI_JSON_STRING))
        bert = is_bert_class(class);
    else
        rc = class ? aki__key_fail(&f, class, "tokenizer_class", AKI_E_INVALID, err, "no string") : read_config(&bert, m, err);
    rc = aki__also(rc, read_side(out, &f, AKI_ALSO(rc, err)));
    rc = aki__also(rc, read_split(out, &f, AKI_ALSO(rc, err)));
    if (bert)
        rc = aki__also(rc, read_normalizer(out, &f, AKI_ALSO(rc, err)));
done:
    aki__json_file_close(&f);
    return rc;
}
