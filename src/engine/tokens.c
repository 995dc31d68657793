/* Unit tokens: the public tokenizer functions. */
#include "engine/engine.h"

static aki_status copy_out(const struct aki__encoding *e, int32_t *ids, int64_t *spans, size_t capacity, size_t *count, aki_error *err)
{
    *count = e->count;
    if (e->count > capacity)
        return aki__fail(err, AKI_E_TOO_SMALL, "capacity: %zu ids given, %zu needed", capacity, e->count);
    if (e->count && ids)
        memcpy(ids, e->ids, e->count * sizeof *ids);
    if (e->count && spans)
        memcpy(spans, e->spans, e->count * 2 * sizeof *spans);
    return AKI_OK;
}

/* A tokenizer opened alone knows no prompts and no limits: only the switches count. */
static aki_status request_of(struct aki__request *r, const aki_model *m, const aki_embed_options *options, aki_error *err)
{
    aki_embed_options o;

    *r = (struct aki__request){ 0 };
    aki_status rc = aki__options_read(&o, sizeof o, options, "aki_embed_options", err);
    if (!rc && m->folder)
        rc = aki__request_open(r, m, options, err);
    else if (!rc && (o.instruction || o.prompt_name || o.kind))
        rc = aki__fail(err, AKI_E_UNSUPPORTED, "only the tokenizer was opened: it has no prompts");
    else if (!rc && o.prompt && !aki__buf_append(&r->prompt, o.prompt, strlen(o.prompt), SIZE_MAX))
        rc = aki__fail(err, AKI_E_NOMEM, "prompt");
    if (!rc && o.max_tokens < 0)
        rc = aki__fail(err, AKI_E_INVALID, "max_tokens: %d is negative", o.max_tokens);
    r->encode = (struct aki__encode_options){ .special = !o.no_special, .parse_special = !o.no_parse_special, .truncate = aki__truncate_of(m, &o), .max_tokens = (size_t)o.max_tokens };
    return rc;
}

aki_status aki_tokenize(const aki_model *m, const char *text, size_t size, const aki_embed_options *options,
                        int32_t *ids, int64_t *spans, size_t capacity, size_t *count, aki_error *err)
{
    struct aki__encoding e = { .want_spans = spans != NULL };
    struct aki__request r;

    if (!m || !count || (size && !text) || (capacity && !ids))
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", !m ? "model" : !count ? "count" : size && !text ? "text" : "ids");
    *count = 0;
    aki_status rc = request_of(&r, m, options, err);
    if (!rc && size && !aki__buf_append(&r.prompt, text, size, SIZE_MAX))
        rc = aki__fail(err, AKI_E_NOMEM, "a text of %zu bytes", size);
    if (!rc) rc = aki__tokenizer_encode(m->tokenizer, r.prompt.data ? r.prompt.data : "", r.prompt.size, &r.encode, &e, err);
    if (!rc) rc = copy_out(&e, ids, spans, capacity, count, err);
    aki__encoding_free(&e);
    aki__request_close(&r);
    return rc;
}

aki_status aki_detokenize(const aki_model *m, const int32_t *ids, size_t count, int skip_special, char *out, size_t out_size, size_t *size, aki_error *err)
{
    struct aki__buf text = { 0 };

    if (!m || !size || (count && !ids) || (out_size && !out))
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", !m ? "model" : !size ? "size" : count && !ids ? "ids" : "out");
    *size = 0;
    aki_status rc = aki__tokenizer_decode(m->tokenizer, ids, count, skip_special != 0, &text, err);
    if (!rc) {
        *size = text.size;
        if (text.size > out_size)
            rc = aki__fail(err, AKI_E_TOO_SMALL, "out_size: %zu bytes given, %zu needed", out_size, text.size);
        else if (text.size)
            memcpy(out, text.data, text.size);
    }
    aki__buf_free(&text);
    return rc;
}

const char *aki_token_piece(const aki_model *m, int32_t id, size_t *size)
{
    size_t bytes = 0;
    const char *piece = m ? aki__tokenizer_piece(m->tokenizer, id, &bytes) : NULL;

    if (size)
        *size = piece ? bytes : 0;
    return piece;
}
