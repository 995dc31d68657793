/* Unit tokenizer: opens a tokenizer.json and strings its stages together. See tokenizer.h. */
#include "text/tokenizer.h"

#include "base/os.h"
#include "text/stages.h"

#include <stdio.h>

/* Work memory that has grown above this is not kept. */
#define RETAINED_LIMIT ((size_t)16 << 20)

/* The lock guards free alone; it is never held while anything is computed. */
struct pool { struct aki__lock lock; struct aki__work *free; };

struct aki__tokenizer {
    struct aki__algorithm    *model;
    struct aki__added         added;
    struct aki__normalizer   *normalizer;
    struct aki__pretokenizer *pretokenizer;
    struct aki__post          post;
    struct aki__decoder      *decoder;
    bool                      track_always;     /* maps are kept even where no spans are wanted */
    bool                      cuts_left;        /* truncation.direction */
    bool                      raw_bytes;        /* words go to the algorithm as bytes, not in the byte alphabet */
    int32_t                   raw_unknown;      /* Unigram's unknown token, whose text is the text's own; -1: none */
    size_t                    vocabulary;
    struct pool              *pool;
};

/* ---------------------------------------------------------------- work memory ----------------------------------- */

static void free_work(struct aki__work *w)
{
    if (!w)
        return;
    aki__algorithm_scratch_free(w->algorithm);
    aki__free(w->tokens.data);
    aki__free(w->spans);
    for (int i = 0; i < 2; i++) {
        aki__buf_free(&w->normalized[i].text);
        aki__free(w->normalized[i].map.data);
    }
    for (size_t i = 0; w->steps && i < w->n_steps; i++) {
        aki__buf_free(&w->steps[i].text);
        aki__free(w->steps[i].map.data);
    }
    aki__free(w->steps);
    aki__free(w->pending);
    aki__free(w->sorted);
    aki__regex_work_free(w->regex);
    aki__free(w);
}

static struct aki__work *acquire_work(const struct aki__tokenizer *t)
{
    struct aki__work *w;

    aki__lock_take(&t->pool->lock);
    w = t->pool->free;
    if (w)
        t->pool->free = w->next;
    aki__lock_drop(&t->pool->lock);
    if (!w) {
        w = aki__zalloc(1, sizeof *w);
        if (!w)
            return NULL;
        w->owner = t;
        w->n_steps = aki__pretokenizer_buffers(t->pretokenizer);
        w->steps = aki__zalloc(w->n_steps, sizeof *w->steps);
        w->algorithm = aki__algorithm_scratch_new(t->model);
        if (!w->steps || !w->algorithm) {
            free_work(w);
            return NULL;
        }
    }
    w->next = NULL;
    w->failure = NULL;
    w->tokens.count = 0;
    return w;
}

static size_t work_size(const struct aki__work *w)
{
    size_t size = w->tokens.capacity * sizeof *w->tokens.data + w->spans_capacity * sizeof *w->spans
                  + (w->pending_capacity + w->sorted_capacity) * sizeof *w->pending + aki__algorithm_scratch_size(w->algorithm)
                  + aki__regex_work_size(w->regex);

    for (int i = 0; i < 2; i++)
        size += w->normalized[i].text.capacity + w->normalized[i].map.capacity * sizeof(struct aki__extent);
    for (size_t i = 0; i < w->n_steps; i++)
        size += w->steps[i].text.capacity + w->steps[i].map.capacity * sizeof(struct aki__extent);
    return size;
}

static void release_work(const struct aki__tokenizer *t, struct aki__work *w)
{
    if (!w)
        return;
    if (work_size(w) > RETAINED_LIMIT) {
        free_work(w);
        return;
    }
    aki__lock_take(&t->pool->lock);
    w->next = t->pool->free;
    t->pool->free = w;
    aki__lock_drop(&t->pool->lock);
}

/* ---------------------------------------------------------------- opening --------------------------------------- */

/* Added tokens that match in normalised text are normalised once, by the same normaliser. */
static aki_status normalize_added(struct aki__tokenizer *t, struct aki__reader *r)
{
    struct aki__work *w = acquire_work(t);
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
    release_work(t, w);
    return rc;
}

/* whole: no part before is faulty, so that these tokens can be normalised. */
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

/* normalizer and pre_tokenizer */
static aki_status parse_cutting(struct aki__tokenizer *t, struct aki__reader *r, const struct aki__json *root)
{
    size_t reported = aki__read_reported(r), back = aki__path_key(r, "normalizer");
    const bool other = r->normalizer && aki__json_equals(aki__json_get(aki__json_get(root, "model"), "type"), "WordPiece");
    bool changed_before, asks;

    aki_status rc = aki__read_end(r, back, reported, aki__normalizer_parse(&t->normalizer, r, other ? r->normalizer : aki__json_get(root, "normalizer")));
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

/* Part by part. Where all faults are asked for, a part behind a faulty one is read all the same, but for what depends on that one. */
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
        rc = aki__also(rc, aki__read_end(r, back, reported, aki__post_parse(&t->post, r, aki__json_get(root, "post_processor"), t->vocabulary)));
    }
    if (aki__read_on(r, rc)) {
        reported = aki__read_reported(r);
        aki__path_key(r, "decoder");
        rc = aki__also(rc, aki__read_end(r, back, reported, aki__decoder_parse(&t->decoder, r, aki__json_get(root, "decoder"))));
    }
    return rc;
}

aki_status aki__tokenizer_examine(struct aki__tokenizer **out, const char *json, size_t size, const char *name, const char *normalizer, struct aki__report *report, aki_error *err)
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
    while (t->pool && t->pool->free) {
        struct aki__work *w = t->pool->free;
        t->pool->free = w->next;
        free_work(w);
    }
    aki__free(t->pool);
    aki__decoder_free(t->decoder);
    aki__post_free(&t->post);
    aki__added_free(&t->added);
    aki__algorithm_free(t->model);
    aki__pretokenizer_free(t->pretokenizer);
    aki__normalizer_free(t->normalizer);
    aki__free(t);
}

/* ---------------------------------------------------------------- one text -------------------------------------- */

/* White space that a token's text begins and ends with; a blank may be spelled in the byte alphabet (U+0120). */
static void count_white(const char *text, size_t size, struct aki__token_span *span)
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

/* The same of bytes that the algorithm spells itself: of those only the blank is spelled as white space. */
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
                count_white(word->data + token->begin, token->end - token->begin, &w->spans[i]);
            else if (piece)
                count_white(piece, size, &w->spans[i]);
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
        count_white(text->data + m->begin, m->end - m->begin, &w->spans[k->count - 1]);
    return AKI_OK;
}

/* What stands between two added tokens of the raw text. */
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

static aki_status encode_text(const struct aki__tokenizer *t, struct aki__work *w, const char *text, size_t size, const struct aki__encode_options *options, aki_error *err)
{
    struct aki__added_search s = { .a = &t->added, .text = text, .size = size, .specials = options->parse_special };
    struct aki__text whole = { text, size, NULL };
    struct aki__added_match m;
    aki_status rc = AKI_OK;
    size_t bad;

    if (size > AKI_TEXT_LIMIT)
        return aki__fail(err, AKI_E_INVALID, "text of %zu bytes, above the limit of 1 GiB", size);
    bad = aki__utf8_check(text, size);
    if (bad != AKI_UTF8_VALID) {
        rc = aki__fail(err, AKI_E_INVALID, "text is not UTF-8 at byte %zu", bad);
        if (err)
            err->offset = bad;
        return rc;
    }
    w->source = text;
    w->source_size = size;
    while (!rc && aki__added_next(&s, &m))
        rc = m.token ? add_added_token(w, &whole, &m) : encode_part(t, w, aki__text_part(&whole, m.begin, m.end), options->parse_special);
    return rc ? aki__fail(err, rc, "tokenizer: %s", w->failure ? w->failure : "failed") : AKI_OK;
}

/* ---------------------------------------------------------------- putting together ------------------------------ */

/* As Hugging Face trims: in characters of the text, whatever the token's own characters were. */
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

/* What the template says of the next `count` tokens. */
static void put_types(struct aki__encoding *out, size_t count, int32_t type, int8_t sequence)
{
    for (size_t i = 0; out->want_types && i < count; i++) {
        out->types[out->count + i] = type;
        out->sequences[out->count + i] = sequence;
    }
}

static void put_sequence(const struct aki__tokenizer *t, struct aki__work *w, const struct sequence *s, bool from_left, struct aki__encoding *out)
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

static aki_status put_together(const struct aki__tokenizer *t, struct aki__work *w, struct sequence *s, bool pair, const struct aki__encode_options *options,
                               struct aki__encoding *out, aki_error *err)
{
    const struct aki__post_template *post = pair ? &t->post.pair : &t->post.single;
    size_t specials = options->special ? post->specials : 0, total = 0;

    out->full_count = specials;
    for (size_t i = 0; i < post->count; i++)
        if (post->items[i].id < 0)
            out->full_count += s[-1 - post->items[i].id].count;
    if (options->max_tokens && options->max_tokens < specials + 1)
        return aki__fail(err, AKI_E_INVALID, "a limit of %zu tokens leaves no room beside %zu special tokens", options->max_tokens, specials);
    if (options->max_tokens && options->truncate == AKI_TRUNCATE_ERROR && out->full_count > options->max_tokens)
        return aki__fail(err, AKI_E_INVALID, "text has %zu tokens, above the limit of %zu", out->full_count, options->max_tokens);
    s[0].kept = s[0].count;
    s[1].kept = s[1].count;
    if (options->max_tokens)
        aki__post_truncate(options->max_tokens - specials, &s[0].kept, &s[1].kept, pair);
    for (size_t i = 0; i < post->count; i++)
        if (!aki__add(total, post->items[i].id < 0 ? s[-1 - post->items[i].id].kept : 1, &total))
            return aki__fail(err, AKI_E_NOMEM, "tokenizer: no memory");
    if (!grow_encoding(out, total))
        return aki__fail(err, AKI_E_NOMEM, "tokenizer: no memory");
    for (size_t i = 0; i < post->count; i++) {
        int32_t id = post->items[i].id, type = post->items[i].type;
        if (id < 0) {
            put_types(out, s[-1 - id].kept, type, (int8_t)(-1 - id));
            put_sequence(t, w, &s[-1 - id], options->truncate == AKI_TRUNCATE_LEFT, out);
        } else if (options->special) {
            put_types(out, 1, type, -1);
            out->ids[out->count] = id;
            if (out->want_spans)
                out->spans[2 * out->count] = out->spans[2 * out->count + 1] = 0;
            out->count++;
        }
    }
    return AKI_OK;
}

static aki_status encode(struct aki__tokenizer *t, struct sequence s[2], bool pair, const struct aki__encode_options *options, struct aki__encoding *out, aki_error *err)
{
    struct aki__work *w = acquire_work(t);
    aki_status rc = w ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "tokenizer: no memory");

    out->count = out->full_count = 0;
    if (w) {
        w->spans_wanted = out->want_spans;
        w->track = out->want_spans || t->track_always;
    }
    for (int i = 0; i < (pair ? 2 : 1) && !rc; i++) {
        s[i].first = w->tokens.count;
        rc = encode_text(t, w, s[i].text, s[i].size, options, err);
        s[i].count = w->tokens.count - s[i].first;
    }
    if (!rc)
        rc = put_together(t, w, s, pair, options, out, err);
    if (rc)
        out->count = 0;
    release_work(t, w);
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

/* ---------------------------------------------------------------- back, and the vocabulary ---------------------- */

aki_status aki__tokenizer_decode(const struct aki__tokenizer *t, const int32_t *ids, size_t count, bool skip_special, struct aki__buf *out, aki_error *err)
{
    struct aki__parts parts = { 0 };
    struct aki__work *w = acquire_work(t);
    aki_status rc = w ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "tokenizer: no memory");

    for (size_t i = 0; i < count && !rc; i++) {
        const struct aki__added_token *a = aki__added_by_id(&t->added, ids[i]);
        size_t size = a ? a->normalized_content ? a->normalized_size : a->size : 0;
        const char *text = a ? a->normalized_content ? a->normalized_content : a->content : aki__algorithm_piece(t->model, ids[i], &size);
        if (!text) {
            rc = aki__fail(err, AKI_E_INVALID, "token %zu: no such id: %d", i, (int)ids[i]);
            if (err)
                err->offset = i;
            break;
        }
        if (skip_special && (a = aki__added_by_content(&t->added, text, size)) != NULL && a->special)
            continue;
        if (!aki__parts_add(&parts, text, size))
            rc = aki__fail(err, AKI_E_NOMEM, "tokenizer: no memory");
    }
    if (!rc) {
        rc = aki__decode(t->decoder, w, &parts, out);
        if (rc)
            aki__fail(err, rc, "tokenizer: %s", w->failure ? w->failure : "failed");
    }
    aki__parts_free(&parts);
    release_work(t, w);
    return rc;
}

size_t aki__tokenizer_vocabulary(const struct aki__tokenizer *t) { return t->vocabulary; }

const char *aki__tokenizer_piece(const struct aki__tokenizer *t, int32_t id, size_t *size)
{
    const struct aki__added_token *a = aki__added_by_id(&t->added, id);

    if (!a)
        return aki__algorithm_piece(t->model, id, size);
    *size = a->size;
    return a->content;
}

int32_t aki__tokenizer_id(const struct aki__tokenizer *t, const char *piece, size_t size)
{
    const struct aki__added_token *a = aki__added_by_content(&t->added, piece, size);

    return a ? a->id : aki__algorithm_id(t->model, piece, size);
}

size_t aki__tokenizer_special_count(const struct aki__tokenizer *t) { return t->post.single.specials; }

bool aki__tokenizer_has_types(const struct aki__tokenizer *t, bool pair)
{
    const struct aki__post_template *post = pair ? &t->post.pair : &t->post.single;

    for (size_t i = 0; i < post->count; i++)
        if (post->items[i].type)
            return true;
    return false;
}
bool aki__tokenizer_cuts_left(const struct aki__tokenizer *t) { return t->cuts_left; }

void aki__tokenizer_append(struct aki__tokenizer *t, int32_t id)
{
    struct aki__post_template *both[2] = { &t->post.single, &t->post.pair };

    for (int i = 0; i < 2; i++) {
        both[i]->items[both[i]->count++] = (struct aki__post_item){ id, 0 };
        both[i]->specials++;
    }
}
