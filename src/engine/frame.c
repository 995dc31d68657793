/* Unit frame: encodes pairs that a model's template frames: system, instruction, query, document and what follows them. */
#include "engine/engine.h"

#include "text/chat.h"

static aki_status render(const struct aki__request *r, const char *query, size_t query_size, const char *document, size_t document_size,
                         struct aki__buf *out, aki_error *err)
{
    const struct aki__message messages[] = { { "system", r->prompt.data, r->prompt.size }, { "query", query, query_size },
                                             { "document", document, document_size } };
    const size_t first = r->prompt.size ? 0 : 1;

    out->size = 0;
    return aki__chat_render(out, r->template, messages + first, 3 - first, err);
}

/* What is wrong with a template is found before any pair comes: with an instruction and without, both texts have to be in what is rendered. */
aki_status aki__frame_check(const struct aki__model *f, aki_error *err)
{
    static const char *const pairs[][2] = { { "a", "b" }, { "c", "b" }, { "a", "d" } };
    char instruction[] = "e";
    struct aki__buf texts[3] = { 0 };
    aki_status rc = AKI_OK;

    for (size_t prompt = 0; prompt < 2 && f->labels.template; prompt++) {
        const struct aki__request r = { .template = f->labels.template, .prompt = { .data = instruction, .size = prompt } };
        for (int i = 0; i < 3 && !rc; i++)
            rc = render(&r, pairs[i][0], 1, pairs[i][1], 1, &texts[i], err);
        for (int i = 1; i < 3 && !rc; i++)
            if (texts[i].size == texts[0].size && memcmp(texts[i].data, texts[0].data, texts[0].size) == 0)
                rc = aki__fail(err, AKI_E_INVALID, "%s: its chat template leaves out the %s", f->path, i == 1 ? "query" : "document");
    }
    for (int i = 0; i < 3; i++)
        aki__buf_free(&texts[i]);
    return rc;
}

/* The ids of a rendered text: its special tokens are in it, none are added. */
static aki_status encode(const aki_model *m, const struct aki__request *r, const struct aki__buf *text, struct aki__encoding *e, aki_error *err)
{
    const struct aki__encode_options o = { .parse_special = r->encode.parse_special };

    return aki__tokenizer_encode(m->tokenizer, text->data, text->size, &o, e, err);
}

/* As sentence-transformers finds it: two pairs with nothing in common are framed, and what their ends share belongs to the template. */
static aki_status find_frame(const aki_model *m, const struct aki__request *r, struct aki__frame *f, aki_error *err)
{
    static const char *const fillers[] = { "0", "1 2 3 4" };
    struct aki__buf texts[2] = { 0 };
    struct aki__encoding ids[2] = { 0 };
    size_t least, tokens, begin = 0, end = 0, bytes = 0;
    aki_status rc = AKI_OK;

    for (int i = 0; i < 2 && !rc; i++) {
        rc = render(r, fillers[i], strlen(fillers[i]), fillers[i], strlen(fillers[i]), &texts[i], err);
        if (!rc) rc = encode(m, r, &texts[i], &ids[i], err);
    }
    if (rc)
        goto done;
    least = ids[0].count < ids[1].count ? ids[0].count : ids[1].count;
    tokens = texts[0].size < texts[1].size ? texts[0].size : texts[1].size;
    while (begin < least && ids[0].ids[begin] == ids[1].ids[begin])
        begin++;
    while (end < least && ids[0].ids[ids[0].count - 1 - end] == ids[1].ids[ids[1].count - 1 - end])
        end++;
    while (bytes < tokens && texts[0].data[bytes] == texts[1].data[bytes])
        bytes++;
    *f = (struct aki__frame){ .known = true, .suffix_count = end, .prefix_tokens = begin, .prefix_size = bytes };
    f->suffix = aki__alloc(end ? end : 1, sizeof *f->suffix);
    if (f->suffix)
        memcpy(f->suffix, ids[0].ids + ids[0].count - end, end * sizeof *f->suffix);
    else
        rc = aki__fail(err, AKI_E_NOMEM, "the model's template");
done:
    for (int i = 0; i < 2; i++) {
        aki__buf_free(&texts[i]);
        aki__encoding_free(&ids[i]);
    }
    return rc;
}

static aki_status check_text(const char *text, size_t size, const char *which, aki_error *err)
{
    size_t bad;

    if (size > AKI_TEXT_LIMIT / 2)
        return aki__fail(err, AKI_E_INVALID, "%stext of %zu bytes, above the limit of 512 MiB", which, size);
    if ((bad = aki__utf8_check(text, size)) == AKI_UTF8_VALID)
        return AKI_OK;
    aki__fail(err, AKI_E_INVALID, "%stext is not UTF-8 at byte %zu", which, bad);
    if (err)
        err->offset = bad;
    return AKI_E_INVALID;
}

/* Cuts tokens [at, at + count) out. */
static void cut_out(struct aki__encoding *e, size_t at, size_t count)
{
    const size_t rest = e->count - at - count;

    memmove(e->ids + at, e->ids + at + count, rest * sizeof *e->ids);
    if (e->want_spans)
        memmove(e->spans + 2 * at, e->spans + 2 * (at + count), rest * 2 * sizeof *e->spans);
    if (e->want_types) {
        memmove(e->types + at, e->types + at + count, rest * sizeof *e->types);
        memmove(e->sequences + at, e->sequences + at + count, rest * sizeof *e->sequences);
    }
    e->count -= count;
}

/* The end of the document is cut, and where that is not enough the end of the query, never what follows them: the score is read there. */
static aki_status fit(const struct aki__request *r, struct aki__input *in, aki_error *err)
{
    struct aki__encoding *e = &in->tokens;
    const struct aki__frame *f = &in->frame;
    const size_t most = r->encode.max_tokens;

    e->full_count = e->count;
    in->prompt_tokens = f->prefix_tokens;
    if (!most || e->count <= most)
        return AKI_OK;
    if (r->encode.truncate == AKI_TRUNCATE_ERROR)
        return aki__fail(err, AKI_E_INVALID, "text has %zu tokens, above the limit of %zu", e->count, most);
    if (most <= f->suffix_count)
        return aki__fail(err, AKI_E_INVALID, "a limit of %zu tokens leaves no room beside the %zu with which the model's template ends", most,
                         f->suffix_count);
    const size_t cut = e->count - most;
    const bool left = r->encode.truncate == AKI_TRUNCATE_LEFT;
    cut_out(e, left ? 0 : most - f->suffix_count, cut);
    memcpy(e->ids + most - f->suffix_count, f->suffix, f->suffix_count * sizeof *e->ids);
    if (left)
        in->prompt_tokens -= cut < in->prompt_tokens ? cut : in->prompt_tokens;
    return AKI_OK;
}

aki_status aki__encode_framed(const aki_model *m, const struct aki__request *r, const char *text, size_t size, const char *second,
                              size_t second_size, struct aki__input *in, aki_error *err)
{
    if (!second)
        return aki__fail(err, AKI_E_INVALID, "%s scores pairs, of a query and a document: its template has no place for a single text", m->folder->name);
    aki_status rc = check_text(text, size, "", err);
    if (!rc) rc = check_text(second, second_size, "the second ", err);
    if (!rc && !in->frame.known) rc = find_frame(m, r, &in->frame, err);
    if (!rc) rc = render(r, text, size, second, second_size, &in->joined, err);
    in->text = in->joined.data;
    in->text_size = in->joined.size;
    if (!rc) rc = encode(m, r, &in->joined, &in->tokens, err);
    if (!rc) rc = fit(r, in, err);
    if (in->prompt_tokens > in->tokens.count)
        in->prompt_tokens = in->tokens.count;
    return rc;
}
