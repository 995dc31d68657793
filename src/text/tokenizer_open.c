/* Unit tokenizer: reads a tokenizer.json, part by part. See tokenizer.h. */
#include "text/tokenizer_parts.h"

/* Added tokens that are matched in normalised text are normalised once, with the same normaliser. */
static aki_status normalize_added(struct aki__tokenizer *t, struct aki__reader *r)
{
    struct aki__work *w = aki__work_acquire(t);
    aki_status rc = w ? AKI_OK : aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");

    for (size_t i = 0; i < t->added.count && !rc; i++) {
        struct aki__added_token *a = &t->added.tokens[i];
        struct aki__text text = { a->content, a->size, NULL };
        if (!a->normalized || !t->normalizer)
            continue;
        w->source = a->content;
        w->source_size = a->size;
        w->track = false;
        rc = aki__normalize(t->normalizer, w, &text, 0);
        if (rc) {
            rc = aki__read_fail(r, rc, NULL, w->failure);
        } else if (text.size != a->size || memcmp(text.data, a->content, a->size) != 0) {
            a->normalized_size = text.size;
            a->normalized_content = aki__copy_string(text.data, text.size);
            if (!a->normalized_content)
                rc = aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
        }
    }
    aki__work_release(t, w);
    return rc;
}

/* whole: all parts before are valid, so that these tokens can be normalised. */
static aki_status parse_added(struct aki__tokenizer *t, struct aki__reader *r, const struct aki__json *root, bool whole)
{
    const struct aki__json *list = aki__json_get(root, "added_tokens"), *vocab = aki__json_get(aki__json_get(root, "model"), "vocab");
    size_t reported = aki__read_reported(r), back = aki__path_key(r, "added_tokens");
    aki_status rc = aki__added_parse(&t->added, r, list, t->model, vocab ? vocab->size : 0);

    if (!rc && whole)
        rc = normalize_added(t, r);
    if (!rc && whole)
        rc = aki__added_index(&t->added, r);
    rc = aki__read_end(r, back, reported, rc);
    t->vocabulary = rc || !t->model ? SIZE_MAX : aki__algorithm_size(t->model);
    for (size_t i = 0; i < t->added.count && t->vocabulary != SIZE_MAX; i++)
        if ((size_t)t->added.tokens[i].id >= t->vocabulary)
            t->vocabulary = (size_t)t->added.tokens[i].id + 1;
    return rc;
}

static int32_t raw_unknown(const struct aki__json *model)
{
    int64_t id;

    /* Only Unigram has an unk_id. */
    return aki__json_int(aki__json_get(model, "unk_id"), &id) && id >= 0 && id < INT32_MAX ? (int32_t)id : -1;
}

/* Reads normalizer and pre_tokenizer. */
static aki_status parse_cutting(struct aki__tokenizer *t, struct aki__reader *r, const struct aki__json *root)
{
    size_t reported = aki__read_reported(r), back = aki__path_key(r, "normalizer");
    const bool other = r->normalizer && aki__json_equals(aki__json_get(aki__json_get(root, "model"), "type"), "WordPiece");
    bool changed_before, asks;

    aki_status rc = aki__read_end(r, back, reported,
                                  aki__normalizer_parse(&t->normalizer, r, other ? r->normalizer : aki__json_get(root, "normalizer")));
    if (!aki__read_on(r, rc))
        return rc;
    reported = aki__read_reported(r);
    aki__path_key(r, "pre_tokenizer");
    aki_status second = aki__pretokenizer_parse(&t->pretokenizer, r, aki__json_get(root, "pre_tokenizer"));
    if (!second && aki__normalizer_inserts(t->normalizer) && aki__pretokenizer_has_bytes(t->pretokenizer))
        second = aki__read_fail(r, AKI_E_UNSUPPORTED, NULL, "ByteLevel behind a normaliser that replaces an empty match is not supported");
    second = aki__read_end(r, back, reported, second);
    if (second)
        return aki__also(rc, second);
    t->raw_bytes = aki__pretokenizer_raw_bytes(t->pretokenizer) && !aki__normalizer_spells(t->normalizer);
    if (!t->raw_bytes)
        aki__pretokenizer_spell(t->pretokenizer);
    asks = aki__pretokenizer_asks_origin(t->pretokenizer, &changed_before);
    t->track_always = asks && (t->normalizer || changed_before);
    return rc;
}

/* Reads part by part. With a report, parts after an invalid one are read too, except for what depends on it. */
static aki_status parse_parts(struct aki__tokenizer *t, struct aki__reader *r, const struct aki__json *root)
{
    const struct aki__json *version = aki__json_get(root, "version"), *model = aki__json_get(root, "model");
    size_t back = r->size, reported;
    aki_status rc;

    if (!aki__json_is(root, AKI_JSON_OBJECT))
        return aki__fail(r->err, AKI_E_INVALID, "%s: expected an object", r->name);
    if (version && !aki__json_equals(version, "1.0"))
        return aki__fail(r->err, AKI_E_UNSUPPORTED, "%s: version: only \"1.0\" is supported", r->name);
    if (!aki__json_is(model, AKI_JSON_OBJECT))
        return aki__fail(r->err, AKI_E_INVALID, "%s: model: expected an object", r->name);
    t->cuts_left = aki__json_equals(aki__json_get(aki__json_get(root, "truncation"), "direction"), "Left");
    rc = parse_cutting(t, r, root);
    t->raw_unknown = raw_unknown(model);
    if (aki__read_on(r, rc)) {
        reported = aki__read_reported(r);
        rc = aki__also(rc, aki__read_end(r, back, reported, aki__algorithm_parse(&t->model, model, t->raw_bytes, r->name, r->err)));
    }
    if (aki__read_on(r, rc))
        rc = aki__also(rc, parse_added(t, r, root, rc == AKI_OK));
    if (aki__read_on(r, rc)) {
        reported = aki__read_reported(r);
        aki__path_key(r, "post_processor");
        rc = aki__also(rc, aki__read_end(r, back, reported,
                                         aki__post_parse(&t->post, r, aki__json_get(root, "post_processor"), t->vocabulary)));
    }
    if (aki__read_on(r, rc)) {
        reported = aki__read_reported(r);
        aki__path_key(r, "decoder");
        rc = aki__also(rc, aki__read_end(r, back, reported, aki__decoder_parse(&t->decoder, r, aki__json_get(root, "decoder"))));
    }
    return rc;
}

aki_status aki__tokenizer_examine(struct aki__tokenizer **out, const char *json, size_t size, const char *name,
                                  const char *normalizer, struct aki__report *report, aki_error *err)
{
    size_t reported = report ? report->count : 0;
    struct aki__json_doc doc = { 0 }, other = { 0 };
    struct aki__reader r = { .name = name, .report = report, .err = err };
    struct aki__tokenizer *t = NULL;
    aki_status rc;

    *out = NULL;
    rc = aki__json_parse_vocabulary(&doc, json, size, name, err);
    if (rc)
        goto done;
    if (normalizer && (rc = aki__json_parse(&other, normalizer, strlen(normalizer), "normalizer", err)))
        goto done;
    r.normalizer = other.nodes;
    t = aki__zalloc(1, sizeof *t);
    if (t)
        t->pool = aki__zalloc(1, sizeof *t->pool);
    if (!t || !t->pool) {
        rc = aki__fail(err, AKI_E_NOMEM, "%s: no memory", name);
        goto done;
    }
    rc = parse_parts(t, &r, doc.nodes);
    if (rc)
        goto done;
    *out = t;
    t = NULL;
done:
    if (rc && report && report->count == reported)
        aki__report_error(report, err);
    aki__tokenizer_free(t);
    aki__json_free(&other);
    aki__json_free(&doc);
    return rc;
}

aki_status aki__tokenizer_parse(struct aki__tokenizer **out, const char *json, size_t size, const char *name, aki_error *err)
{
    return aki__tokenizer_examine(out, json, size, name, NULL, NULL, err);
}

aki_status aki__tokenizer_open(struct aki__tokenizer **out, const char *path, const char *normalizer, aki_error *err)
{
    struct aki__map map = { 0 };
    aki_status rc;

    *out = NULL;
    rc = aki__map_open(&map, path, err);
    if (rc)
        return rc;
    rc = aki__tokenizer_examine(out, map.data, map.size, path, normalizer, NULL, err);
    aki__map_close(&map);
    return rc;
}

void aki__tokenizer_free(struct aki__tokenizer *t)
{
    if (!t)
        return;
    aki__work_pool_free(t->pool);
    aki__decoder_free(t->decoder);
    aki__post_free(&t->post);
    aki__added_free(&t->added);
    aki__algorithm_free(t->model);
    aki__pretokenizer_free(t->pretokenizer);
    aki__normalizer_free(t->normalizer);
    aki__free(t);
}
