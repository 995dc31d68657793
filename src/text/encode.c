/* Unit tokenizer: encodes a text: runs it through the stages, truncates, and applies the post-processor's template. See
 * tokenizer.h. */
#include "text/tokenizer_parts.h"

/* ---------------------------------------------------------------- one text -------------------------------------- */

/* Counts the white space at the beginning and the end of a token; a blank may be spelled in the byte alphabet (U+0120). */
static void count_white_space(const char *text, size_t size, struct aki__token_span *span)
{
    const char *p = text, *end = text + size;
    bool front = true;

    span->leading = span->trailing = 0;
    while (p < end) {
        uint32_t c = aki__utf8_next(&p);
        bool white = c == 0x120 || aki__unicode_has(c, AKI_U_WHITE);
        front = front && white;
        span->leading += front;
        span->trailing = white ? span->trailing + 1 : 0;
    }
}

/* The same for raw bytes: of the characters of the byte alphabet, only the blank counts as white space. */
static void count_blanks(const char *bytes, size_t size, struct aki__token_span *span)
{
    uint32_t leading = 0, trailing = 0;

    while (leading < size && bytes[leading] == ' ')
        leading++;
    while (trailing < size && bytes[size - 1 - trailing] == ' ')
        trailing++;
    span->leading = leading;
    span->trailing = trailing;
}

static struct aki__token_span span_of(const struct aki__work *w, const struct aki__text *t, size_t begin, size_t end)
{
    struct aki__token_span span = { 0, 0, 0, 0 };

    if (begin >= end || end > t->size) {
        uint32_t origin = t->size ? aki__text_extent(w, t, 0).begin : 0;
        span.begin = origin + (uint32_t)begin;
        span.end = origin + (uint32_t)end;
    } else {
        span.begin = aki__text_extent(w, t, begin).begin;
        span.end = aki__text_extent(w, t, end - 1).end;
    }
    return span;
}

aki_status aki__encode_word(struct aki__work *w, const struct aki__text *word)
{
    const struct aki__tokenizer *t = w->owner;
    size_t first = w->tokens.count;
    const char *failed = NULL;

    if (!aki__algorithm_word(t->model, w->algorithm, word->data, word->size, &w->tokens, &failed)) {
        if (!failed)
            return aki__nomem(w);
        w->failure = failed;
        return AKI_E_INVALID;
    }
    if (!w->spans_wanted)
        return AKI_OK;
    if (!aki__grow((void **)&w->spans, &w->spans_capacity, w->tokens.count, sizeof *w->spans))
        return aki__nomem(w);
    for (size_t i = first; i < w->tokens.count; i++) {
        const struct aki__token *token = &w->tokens.data[i];
        w->spans[i] = span_of(w, word, token->begin, token->end);
        if (t->post.trim) {
            size_t size = 0;
            const char *piece = aki__algorithm_piece(t->model, token->id, &size);
            if (token->id == t->raw_unknown && t->raw_bytes)
                count_blanks(word->data + token->begin, token->end - token->begin, &w->spans[i]);
            else if (token->id == t->raw_unknown)
                count_white_space(word->data + token->begin, token->end - token->begin, &w->spans[i]);
            else if (piece)
                count_white_space(piece, size, &w->spans[i]);
        }
    }
    return AKI_OK;
}

static aki_status add_added_token(struct aki__work *w, const struct aki__text *text, const struct aki__added_match *m)
{
    struct aki__tokens *k = &w->tokens;

    if (!aki__grow((void **)&k->data, &k->capacity, k->count + 1, sizeof *k->data))
        return aki__nomem(w);
    k->data[k->count++] = (struct aki__token){ m->token->id, 0, 0 };
    if (!w->spans_wanted)
        return AKI_OK;
    if (!aki__grow((void **)&w->spans, &w->spans_capacity, k->count, sizeof *w->spans))
        return aki__nomem(w);
    w->spans[k->count - 1] = span_of(w, text, m->begin, m->end);
    if (w->owner->post.trim)
        count_white_space(text->data + m->begin, m->end - m->begin, &w->spans[k->count - 1]);
    return AKI_OK;
}

/* Encodes the text between two added tokens of the raw text. */
static aki_status encode_part(const struct aki__tokenizer *t, struct aki__work *w, struct aki__text text, bool specials)
{
    struct aki__added_match m;
    aki_status rc = aki__normalize(t->normalizer, w, &text, (uint32_t)(text.data - w->source));
    struct aki__added_search s = { .a = &t->added, .text = text.data, .size = text.size, .list = 1, .specials = specials };

    while (!rc && aki__added_next(&s, &m)) {
        struct aki__text part = aki__text_part(&text, m.begin, m.end);
        rc = m.token ? add_added_token(w, &text, &m) : aki__pretokenize(t->pretokenizer, w, &part);
    }
    return rc;
}

/* bad: the byte, counted with the prompt before the text. */
static aki_status fail_bytes(size_t bad, bool second, const struct aki__encode_options *options, aki_error *err)
{
    size_t at = second ? bad : bad - options->prompt_size;
    aki_status rc = aki__fail(err, AKI_E_INVALID, "%stext is not UTF-8 at byte %zu", second ? "the second " : "", at);

    if (err)
        err->offset = at;
    return rc;
}

static aki_status encode_text(const struct aki__tokenizer *t, struct aki__work *w, const char *text, size_t size, bool second,
                              const struct aki__encode_options *options, aki_error *err)
{
    struct aki__added_search s = { .a = &t->added, .text = text, .size = size, .specials = options->parse_special };
    struct aki__text whole = { text, size, NULL };
    struct aki__added_match m;
    aki_status rc = AKI_OK;
    size_t bad;

    if (size > AKI_TEXT_LIMIT)
        return aki__fail(err, AKI_E_INVALID, "text of %zu bytes, above the limit of 1 GiB", size);
    bad = aki__utf8_check(text, size);
    if (bad != AKI_UTF8_VALID)
        return fail_bytes(bad, second, options, err);
    w->source = text;
    w->source_size = size;
    while (!rc && aki__added_next(&s, &m))
        rc = m.token ? add_added_token(w, &whole, &m) : encode_part(t, w, aki__text_part(&whole, m.begin, m.end), options->parse_special);
    return rc ? aki__fail(err, rc, "tokenizer: %s", w->failure ? w->failure : "failed") : AKI_OK;
}

/* ---------------------------------------------------------------- from tokens to an encoding ---------------------- */

/* Trims the white space from a span as Hugging Face does: by so many characters of the text, whatever the characters of the
 * token are. */
static void trim(const struct aki__tokenizer *t, const char *text, size_t size, struct aki__token_span *p, bool first)
{
    size_t leading = p->leading, trailing = p->trailing;

    if ((first || p->begin == 0) && t->post.trim_prefix && leading == 1)
        leading = 0;
    for (; leading && p->begin < p->end; leading--)
        do
            p->begin++;
        while (p->begin < size && (text[p->begin] & 0xC0) == 0x80);
    uint32_t end = p->end, floor = p->begin;
    for (; trailing && end; trailing--)
        do
            end--;
        while (end && (text[end] & 0xC0) == 0x80);
    if (!trailing)
        p->end = end > floor ? end : floor;
}

struct sequence { const char *text; size_t size, first, count, kept; };

static bool grow_encoding(struct aki__encoding *e, size_t count)
{
    size_t types = e->types_capacity;

    if (!aki__grow((void **)&e->ids, &e->capacity, count, sizeof *e->ids))
        return false;
    if (e->want_spans && !aki__grow((void **)&e->spans, &e->spans_capacity, count, 2 * sizeof *e->spans))
        return false;
    if (!e->want_types)
        return true;
    return aki__grow((void **)&e->types, &types, count, sizeof *e->types) &&
           aki__grow((void **)&e->sequences, &e->types_capacity, count, sizeof *e->sequences);
}

/* Writes the type and the sequence of the next `count` tokens. */
static void add_types(struct aki__encoding *out, size_t count, int32_t type, int8_t sequence)
{
    for (size_t i = 0; out->want_types && i < count; i++) {
        out->types[out->count + i] = type;
        out->sequences[out->count + i] = sequence;
    }
}

static void add_sequence(const struct aki__tokenizer *t, struct aki__work *w, const struct sequence *s, bool from_left,
                         struct aki__encoding *out)
{
    size_t first = s->first + (from_left ? s->count - s->kept : 0);

    for (size_t i = 0; i < s->kept; i++)
        out->ids[out->count + i] = w->tokens.data[first + i].id;
    for (size_t i = 0; out->want_spans && i < s->kept; i++) {
        struct aki__token_span p = w->spans[first + i];
        if (t->post.trim)
            trim(t, s->text, s->size, &p, i == 0);
        out->spans[2 * (out->count + i)] = p.begin;
        out->spans[2 * (out->count + i) + 1] = p.end;
    }
    out->count += s->kept;
}

static aki_status build_encoding(const struct aki__tokenizer *t, struct aki__work *w, struct sequence *s, bool pair,
                                 const struct aki__encode_options *options,
                               struct aki__encoding *out, aki_error *err)
{
    const struct aki__post_template *post = pair ? &t->post.pair : &t->post.single;
    size_t specials = options->special ? post->specials : 0, total = 0;

    out->full_count = specials;
    for (size_t i = 0; i < post->count; i++)
        if (post->items[i].id < 0)
            out->full_count += s[-1 - post->items[i].id].count;
    if (options->max_tokens && options->max_tokens < specials + 1)
        return aki__fail(err, AKI_E_INVALID, "a limit of %zu tokens leaves no room beside %zu special tokens", options->max_tokens,
                         specials);
    if (options->max_tokens && options->truncate == AKI_TRUNCATE_ERROR && out->full_count > options->max_tokens)
        return aki__fail(err, AKI_E_INVALID, "text has %zu tokens, above the limit of %zu", out->full_count, options->max_tokens);
    s[0].kept = s[0].count;
    s[1].kept = s[1].count;
    if (options->max_tokens)
        aki__post_truncate(options->max_tokens - specials, &s[0].kept, &s[1].kept, pair);
    out->first_count = s[0].count;
    out->first_kept = s[0].kept;
    for (size_t i = 0; i < post->count; i++)
        if (!aki__add(total, post->items[i].id < 0 ? s[-1 - post->items[i].id].kept : 1, &total))
            return aki__fail(err, AKI_E_NOMEM, "tokenizer: no memory");
    if (!grow_encoding(out, total))
        return aki__fail(err, AKI_E_NOMEM, "tokenizer: no memory");
    for (size_t i = 0; i < post->count; i++) {
        int32_t id = post->items[i].id, type = post->items[i].type;
        if (id < 0) {
            add_types(out, s[-1 - id].kept, type, (int8_t)(-1 - id));
            add_sequence(t, w, &s[-1 - id], options->truncate == AKI_TRUNCATE_LEFT, out);
        } else if (options->special) {
            add_types(out, 1, type, -1);
            out->ids[out->count] = id;
            if (out->want_spans)
                out->spans[2 * out->count] = out->spans[2 * out->count + 1] = 0;
            out->count++;
        }
    }
    return AKI_OK;
}

static aki_status encode(struct aki__tokenizer *t, struct sequence s[2], bool pair, const struct aki__encode_options *options,
                         struct aki__encoding *out, aki_error *err)
{
    struct aki__work *w = aki__work_acquire(t);
    aki_status rc = w ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "tokenizer: no memory");

    out->count = out->full_count = 0;
    if (w) {
        w->spans_wanted = out->want_spans;
        w->track = out->want_spans || t->track_always;
    }
    for (int i = 0; i < (pair ? 2 : 1) && !rc; i++) {
        s[i].first = w->tokens.count;
        rc = encode_text(t, w, s[i].text, s[i].size, i == 1, options, err);
        s[i].count = w->tokens.count - s[i].first;
    }
    if (!rc)
        rc = build_encoding(t, w, s, pair, options, out, err);
    if (rc)
        out->count = 0;
    aki__work_release(t, w);
    return rc;
}

aki_status aki__tokenizer_encode(struct aki__tokenizer *t, const char *text, size_t size, const struct aki__encode_options *options,
                                 struct aki__encoding *out, aki_error *err)
{
    struct sequence s[2] = { { .text = text ? text : "", .size = size }, { .text = "" } };

    return encode(t, s, false, options, out, err);
}

aki_status aki__tokenizer_encode_pair(struct aki__tokenizer *t, const char *a, size_t a_size, const char *b, size_t b_size,
                                      const struct aki__encode_options *options, struct aki__encoding *out, aki_error *err)
{
    struct sequence s[2] = { { .text = a ? a : "", .size = a_size }, { .text = b ? b : "", .size = b_size } };

    return encode(t, s, true, options, out, err);
}

void aki__encoding_free(struct aki__encoding *e)
{
    aki__free(e->ids);
    aki__free(e->spans);
    aki__free(e->types);
    aki__free(e->sequences);
    *e = (struct aki__encoding){ 0 };
}
