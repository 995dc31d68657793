/* Unit tokens: encodes and decodes texts: aki_encode, aki_tokenize, aki_detokenize. */
#include "engine/engine.h"

/* ---------------------------------------------------------------- one text -------------------------------------- */

bool aki__has_types(const aki_model *m) { return m->folder && (m->folder->types > 1 || m->folder->onnx); }

void aki__input_free(struct aki__input *in)
{
    aki__encoding_free(&in->tokens);
    aki__buf_free(&in->joined);
    aki__free(in->frame.suffix);
    *in = (struct aki__input){ 0 };
}

/* The number of tokens at the start, after truncation, that belong to the prompt or are special tokens before it. If the limit left only the
 * prompt, a special token after it does not belong to the text either; in a pair, the second text follows the first. */
static size_t count_prompt(const struct aki__request *r, const struct aki__encoding *e, bool pair)
{
    /* A prompt may have no token of its own: two special ones are there then, and one of them is counted. */
    size_t before = r->prompt_specials < r->prompt_tokens ? r->prompt_specials : r->prompt_tokens;
    size_t own = r->prompt_tokens - before, cut = e->first_count - e->first_kept;
    bool left = r->encode.truncate == AKI_TRUNCATE_LEFT;

    if (cut && left && own <= cut)
        return 0;
    if (cut && !left && !pair && own >= e->first_kept)
        return e->count;
    own -= left ? cut : 0;
    own = own < e->first_kept ? own : e->first_kept;
    return before + own;
}

/* A template may use token types for which the model has no row. */
static aki_status check_types(const aki_model *m, const struct aki__encoding *e, aki_error *err)
{
    for (size_t i = 0; i < e->count && m->folder->types; i++)
        if (e->types[i] >= m->folder->types)
            return aki__fail(err, AKI_E_INVALID, "token %zu has the type %d, but the model has %d", i, (int)e->types[i], m->folder->types);
    return AKI_OK;
}

static aki_status join(const struct aki__request *r, const char *text, size_t size, struct aki__input *in, aki_error *err)
{
    in->text = text ? text : "";
    in->text_size = size;
    if (!r->prompt.size || size > AKI_TEXT_LIMIT)        /* the tokenizer refuses it: no copy before */
        return AKI_OK;
    in->joined.size = 0;
    if (!aki__buf_append(&in->joined, r->prompt.data, r->prompt.size, SIZE_MAX) || !aki__buf_append(&in->joined, text, size, SIZE_MAX))
        return aki__fail(err, AKI_E_NOMEM, "a text of %zu bytes", size);
    in->text = in->joined.data;
    in->text_size = in->joined.size;
    return AKI_OK;
}

aki_status aki__encode(const aki_model *m, const struct aki__request *r, const char *text, size_t size, const char *second,
                       size_t second_size, struct aki__input *in, aki_error *err)
{
    struct aki__encoding *e = &in->tokens;

    if (r->template)
        return aki__encode_framed(m, r, text, size, second, second_size, in, err);
    aki_status rc = join(r, text, size, in, err);

    in->prompt_tokens = 0;
    if (!rc && second)
        rc = aki__tokenizer_encode_pair(m->tokenizer, in->text, in->text_size, second, second_size, &r->encode, e, err);
    else if (!rc)
        rc = aki__tokenizer_encode(m->tokenizer, in->text, in->text_size, &r->encode, e, err);
    if (!rc && e->want_types && aki__has_types(m))
        rc = check_types(m, e, err);
    if (!rc && r->prompt_tokens)
        in->prompt_tokens = count_prompt(r, e, second != NULL);
    return rc;
}

/* ---------------------------------------------------------------- the public calls ------------------------------ */

static void copy(void *to, const void *from, size_t count, size_t size)
{
    if (to && count)
        memcpy(to, from, count * size);
}

static aki_status copy_out(const struct aki__request *r, const struct aki__input *in, aki_encoded *out, aki_error *err)
{
    const struct aki__encoding *e = &in->tokens;

    out->count = e->count;
    out->full_count = e->full_count;
    out->prompt_tokens = in->prompt_tokens;
    out->prompt_size = r->template ? in->frame.prefix_size : r->prompt.size;
    out->text_size = in->text_size;
    if ((out->ids || out->types || out->sequences || out->spans) && e->count > out->capacity)
        return aki__fail(err, AKI_E_TOO_SMALL, "capacity: %zu ids given, %zu needed", out->capacity, e->count);
    if (out->text && in->text_size > out->text_capacity)
        return aki__fail(err, AKI_E_TOO_SMALL, "text_capacity: %zu bytes given, %zu needed", out->text_capacity, in->text_size);
    copy(out->ids, e->ids, e->count, sizeof *out->ids);
    copy(out->types, e->types, e->count, sizeof *out->types);
    copy(out->sequences, e->sequences, e->count, sizeof *out->sequences);
    copy(out->spans, e->spans, e->count, 2 * sizeof *out->spans);
    copy(out->text, in->text, in->text_size, 1);
    return AKI_OK;
}

aki_status aki_encode(const aki_model *m, const char *text, size_t size, const char *second, size_t second_size,
                      const aki_embed_options *options, aki_encoded *encoded, aki_error *err)
{
    struct aki__request r = { 0 };
    struct aki__input in = { 0 };
    aki_encoded out;

    if (!m || !encoded || (size && !text))
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", !m ? "model" : !encoded ? "encoded" : "text");
    aki_status rc = aki__options_read(&out, sizeof out, encoded, "aki_encoded", err);
    if (!rc) rc = aki__request_open_tokens(&r, m, options, err);
    if (!rc) rc = aki__request_count_prompt(&r, m, err);
    if (out.whole)
        r.encode.max_tokens = 0;
    in.tokens.want_spans = out.spans != NULL;
    in.tokens.want_types = out.types || out.sequences;
    if (!rc) rc = aki__encode(m, &r, text, size, second, second_size, &in, err);
    if (!rc) rc = copy_out(&r, &in, &out, err);
    if (!rc || rc == AKI_E_TOO_SMALL)
        memcpy(encoded, &out, out.struct_size < sizeof out ? out.struct_size : sizeof out);
    aki__input_free(&in);
    aki__request_close(&r);
    return rc;
}

aki_status aki_tokenize(const aki_model *m, const char *text, size_t size, const aki_embed_options *options,
                        int32_t *ids, int64_t *spans, size_t capacity, size_t *count, aki_error *err)
{
    struct aki__input in = { .tokens.want_spans = spans != NULL };
    aki_encoded out = { .ids = ids, .spans = spans, .capacity = capacity };
    struct aki__request r;
    aki_embed_options o;

    if (!m || !count || (size && !text) || (capacity && !ids))
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", !m ? "model" : !count ? "count" : size && !text ? "text" : "ids");
    *count = 0;
    aki_status rc = aki__request_open_tokens(&r, m, options, err);
    if (!rc) rc = aki__options_read(&o, sizeof o, options, "aki_embed_options", err);
    if (!rc) {
        r.template = NULL;                      /* the text alone */
        r.encode.max_tokens = (size_t)o.max_tokens;
        rc = aki__encode(m, &r, text, size, NULL, 0, &in, err);
    }
    if (!rc) rc = copy_out(&r, &in, &out, err);
    if (!rc && out.count > capacity)            /* without arrays, only the count is requested */
        rc = aki__fail(err, AKI_E_TOO_SMALL, "capacity: %zu ids given, %zu needed", capacity, out.count);
    *count = out.count;
    aki__input_free(&in);
    aki__request_close(&r);
    return rc;
}

aki_status aki_detokenize(const aki_model *m, const int32_t *ids, size_t count, int skip_special, char *out, size_t out_size,
                          size_t *size, aki_error *err)
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
