/* Unit tokens: what /tokenize and /decode answer. See tokens.h. */
#include "tokens.h"

#include "encode.h"

#include <stdlib.h>

/* start and stop count bytes of prompt and text; a token's text is what stands there. */
static void write_token(struct exchange *x, struct aki__buf *out, const aki_encoded *e, size_t i)
{
    size_t begin = (size_t)e->spans[2 * i], end = (size_t)e->spans[2 * i + 1], size = 0;
    const char *piece = aki_token_piece(x->model, e->ids[i], &size);

    buf_format(out, "{\"id\":%d,\"text\":", e->ids[i]);
    if (e->sequences[i] < 0) {
        if (piece && aki__utf8_check(piece, size) == AKI_UTF8_VALID)
            json_string(out, piece, size);
        else
            buf_text(out, "\"\"");
        buf_text(out, ",\"special\":true,\"start\":null,\"stop\":null}");
        return;
    }
    /* Offsets cross an interface: whatever they are, an answer holds nothing but the text. */
    end = end < e->text_size ? end : e->text_size;
    begin = begin < end ? begin : end;
    /* A token of bytes may begin or end within a character: its text is the characters it touches. */
    size_t from = begin, to = end;
    while (from && ((unsigned char)e->text[from] & 0xC0) == 0x80)
        from--;
    while (to < e->text_size && ((unsigned char)e->text[to] & 0xC0) == 0x80)
        to++;
    json_string(out, e->text + from, to - from);
    buf_format(out, ",\"special\":false,\"start\":%zu,\"stop\":%zu}", from, to);
}

/* The arrays of e for so many tokens and bytes, at least one of each. The caller frees them. */
static bool grow_encoded(aki_encoded *e, size_t tokens, size_t bytes)
{
    free(e->ids);
    free(e->spans);
    free(e->sequences);
    free(e->text);
    e->ids = malloc(tokens * sizeof *e->ids);
    e->spans = malloc(tokens * 2 * sizeof *e->spans);
    e->sequences = malloc(tokens * sizeof *e->sequences);
    e->text = malloc(bytes);
    e->capacity = tokens;
    e->text_capacity = bytes;
    return e->ids && e->spans && e->sequences && e->text;
}

static bool write_tokens(struct exchange *x, struct aki__buf *out, const struct request_input *in, struct problem *p)
{
    aki_embed_options o = encode_options(x);
    aki_status rc = AKI_E_TOO_SMALL;
    aki_encoded e;
    aki_error error;

    aki_encoded_init(&e, sizeof e);
    e.whole = 1;
    e.count = in->size / 3 + 64;
    e.text_size = in->size;
    while (rc == AKI_E_TOO_SMALL) {
        if (grow_encoded(&e, e.count ? e.count : 1, e.text_size ? e.text_size : 1))
            rc = aki_encode(x->model, in->text, in->size, NULL, 0, &o, &e, &error);
        else
            rc = error.status = AKI_E_NOMEM;
    }
    bool fits = rc || exchange_fits(x, out->size + e.count * TOKEN_TEXT + e.text_size, p);
    buf_text(out, "[");
    for (size_t i = 0; i < e.count && !rc && fits; i++) {
        buf_text(out, i ? "," : "");
        write_token(x, out, &e, i);
    }
    buf_text(out, "]");
    free(e.ids);
    free(e.spans);
    free(e.sequences);
    free(e.text);
    return rc ? encode_refuse(x, p, &error) : fits;
}

static bool decode(const struct exchange *x, const int32_t *ids, size_t count, struct aki__buf *out, struct problem *p)
{
    const int skip_special = !x->request.keep_special;
    struct aki__buf text = { 0 };
    aki_error error;
    size_t size = 0;
    aki_status rc = aki_detokenize(x->model, ids, count, skip_special, NULL, 0, &size, &error);
    bool ok = rc && rc != AKI_E_TOO_SMALL ? encode_refuse(x, p, &error) : exchange_fits(x, out->size + size, p);

    if (ok && !buf_reserve(&text, size + 1))
        ok = refuse(p, 503, type_unhealthy, "out of memory");
    if (ok && aki_detokenize(x->model, ids, count, skip_special, text.data, size, &size, &error))
        ok = encode_refuse(x, p, &error);
    if (ok && aki__utf8_check(text.data, size) != AKI_UTF8_VALID)
        ok = refuse(p, 422, type_tokenizer, "Tokenizer error: the ids are not a text");
    if (ok)
        json_string(out, text.data, size);
    aki__buf_free(&text);
    return ok;
}

static bool write_decoded(const struct exchange *x, struct aki__buf *out, const struct request_input *in, struct problem *p)
{
    int32_t *ids = malloc((in->count + 1) * sizeof *ids);
    bool ok = ids ? encode_ids(x, in, 0, in->count, ids, p) : refuse(p, 503, type_unhealthy, "out of memory");

    ok = ok && decode(x, ids, in->count, out, p);
    free(ids);
    return ok;
}

void tokens_answer(struct exchange *x)
{
    struct problem p = { 0 };
    struct aki__buf out = { 0 };
    bool ok = exchange_read_body(x, &p);

    if (!ok) {
        exchange_refuse(x, &p);
        return;
    }
    if (!exchange_use_model(x, x->request.model))
        return;
    x->texts = x->request.count;
    buf_text(&out, "[");
    for (size_t i = 0; i < x->request.count && ok; i++) {
        if (i)
            buf_text(&out, ",");
        ok = x->route->body == BODY_DECODE ? write_decoded(x, &out, &x->request.inputs[i], &p)
                                           : write_tokens(x, &out, &x->request.inputs[i], &p);
        ok = ok && exchange_fits(x, out.size, &p);
    }
    buf_text(&out, "]");
    if (ok) {
        if (exchange_hold_answer(x, &out))
            exchange_answer(x, 200, &out, json_type);
    } else {
        aki__buf_free(&out);
        exchange_refuse(x, &p);
    }
}
