/* Unit normalize: the normaliser of tokenizer.json, as a list of steps.
 *
 * Every step has an implementation with a sink, code point by code point, as Hugging Face defines it. BertNormalizer and
 * Lowercase also have a fast one without a map, and steps that change nothing are skipped. Tests compare the implementations. */
#include "text/stages.h"

enum kind { BERT, NFC, NFD, NFKC, NFKD, LOWERCASE, STRIP_ACCENTS, STRIP, REPLACE, PREPEND, CHARSMAP, NMT, BYTE_LEVEL, SEQUENCE };
static const char *const names[] = { "BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Replace",
                                     "Prepend", "Precompiled", "Nmt", "ByteLevel", "Sequence", NULL };

struct normalizer_step {
    enum kind kind;
    bool clean, chinese, accents, lower;        /* BERT: the flags of code points that it removes */
    bool left, right;                           /* STRIP */
    unsigned char ascii[128];                   /* BERT, LOWERCASE: the result for each ASCII character; 0xFF: removed */
    struct aki__pattern  *pattern;              /* REPLACE */
    char                 *content;              /* REPLACE, PREPEND */
    size_t                content_size;
    struct aki__charsmap *charsmap;
};

struct aki__normalizer {
    struct normalizer_step *steps;
    size_t count, capacity;
};

/* ---------------------------------------------------------------- over a sink ----------------------------------- */

static void lower(struct aki__sink *s)
{
    const char *p = s->in.data, *end = p + s->in.size;

    while (p < end && !s->failed) {
        uint32_t c = aki__utf8_next(&p);
        size_t size = 0;
        const char *to = aki__unicode_lower(c, &size), *stop = to ? to + size : NULL;
        if (!to)
            aki__sink_put(s, c, 0);
        for (int32_t change = 0; to && to < stop; change = 1)
            aki__sink_put(s, aki__utf8_next(&to), change);
    }
}

/* Removes code points that have one of these flags. */
static void filter(struct aki__sink *s, uint32_t flags)
{
    const char *p = s->in.data, *end = p + s->in.size;

    while (p < end && !s->failed) {
        uint32_t c = aki__utf8_next(&p);
        if (aki__unicode_has(c, flags))
            aki__sink_drop(s, 1);
        else
            aki__sink_put(s, c, 0);
    }
}

static void clean(struct aki__sink *s)
{
    const char *p = s->in.data, *end = p + s->in.size;

    while (p < end && !s->failed) {
        uint32_t c = aki__utf8_next(&p);
        const struct aki__unicode *u = aki__unicode(c);
        if (u->flags & AKI_U_CONTROL)
            aki__sink_drop(s, 1);
        else
            aki__sink_put(s, u->flags & AKI_U_WHITE ? ' ' : c, 0);
    }
}

static void space_chinese(struct aki__sink *s)
{
    const char *p = s->in.data, *end = p + s->in.size;

    while (p < end && !s->failed) {
        uint32_t c = aki__utf8_next(&p);
        bool chinese = aki__unicode_has(c, AKI_U_CHINESE);
        if (chinese)
            aki__sink_put(s, ' ', 0);
        aki__sink_put(s, c, chinese);
        if (chinese)
            aki__sink_put(s, ' ', 1);
    }
}

static void nmt(struct aki__sink *s)
{
    const char *p = s->in.data, *end = p + s->in.size;

    while (p < end && !s->failed) {
        uint32_t c = aki__utf8_next(&p);
        if ((c >= 1 && c <= 8) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F)
            aki__sink_drop(s, 1);
        else if (c == 9 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028
                 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD)
            aki__sink_put(s, ' ', 0);
        else
            aki__sink_put(s, c, 0);
    }
}

static void byte_level(struct aki__sink *s)
{
    const unsigned char *p = (const unsigned char *)s->in.data, *end = p + s->in.size;

    for (; p < end && !s->failed; p++)
        aki__sink_put(s, aki__byte_to_code(*p), (*p & 0xC0) == 0x80);
}

static void strip(struct aki__sink *s, bool left, bool right)
{
    const char *p = s->in.data, *end = p + s->in.size;
    size_t dropped = 0;

    while (left && p < end) {
        const char *next = p;
        if (!aki__unicode_has(aki__utf8_next(&next), AKI_U_WHITE))
            break;
        p = next;
        dropped++;
    }
    while (right && p < end) {
        const char *last = end - 1, *q;
        while (((unsigned char)*last & 0xC0) == 0x80)
            last--;
        q = last;
        if (!aki__unicode_has(aki__utf8_next(&q), AKI_U_WHITE))
            break;
        end = last;
    }
    aki__sink_drop(s, dropped);
    aki__sink_copy(s, p, (size_t)(end - p));
}

static aki_status replace(struct aki__sink *s, const struct normalizer_step *n)
{
    struct aki__finder f = aki__find_in(n->pattern, s->w, s->in.data, s->in.size);
    size_t done = 0, begin, end;
    aki_status rc = AKI_OK;

    while (!s->failed && aki__find_next(&f, &begin, &end, &rc)) {
        aki__sink_copy(s, s->in.data + done, begin - done);
        aki__sink_replace(s, n->content, n->content_size, end);
        done = end;
    }
    aki__sink_copy(s, s->in.data + done, s->in.size - done);
    return rc;
}

/* ---------------------------------------------------------------- the fast way ---------------------------------- */


static bool put_lower(struct aki__buf *b, uint32_t c, bool lowered)
{
    size_t size = 0;
    const char *to = lowered ? aki__unicode_lower(c, &size) : NULL;

    if (to)
        return aki__buf_append(b, to, size, AKI_TEXT_LIMIT);
    if (!aki__buf_reserve(b, 4, AKI_TEXT_LIMIT))
        return false;
    b->size += aki__utf8_encode(c, b->data + b->size);
    return true;
}

/* Marks that remain after accents are stripped are held in w->pending until the next starter, to be sorted. */
static bool flush_marks(struct aki__work *w, struct aki__buf *b, size_t *count, bool lowered)
{
    if (!aki__sort_marks(w, w->pending, *count))
        return false;
    for (size_t i = 0; i < *count; i++)
        if (!put_lower(b, w->pending[i].c, lowered))
            return false;
    *count = 0;
    return true;
}

/* Runs one code point above ASCII through the four stages of BERT at once. */
static bool bert_character(struct aki__work *w, struct aki__buf *b, const struct normalizer_step *n, uint32_t c, size_t *marks)
{
    const struct aki__unicode *u = aki__unicode(c);
    uint32_t parts[AKI_DECOMPOSED_MAX];
    size_t count = 1;

    if (n->clean && u->flags & AKI_U_CONTROL)
        return true;
    bool white = n->clean && u->flags & AKI_U_WHITE, spaced = n->chinese && u->flags & AKI_U_CHINESE;
    if ((white || spaced) && ((*marks && !flush_marks(w, b, marks, n->lower)) || !aki__buf_append(b, " ", 1, AKI_TEXT_LIMIT)))
        return false;
    if (white)
        return true;
    parts[0] = c;
    if (n->accents && u->flags & AKI_U_NFD)
        count = aki__unicode_decompose(c, false, parts);
    for (size_t i = 0; i < count; i++) {
        const struct aki__unicode *d = aki__unicode(parts[i]);
        if (n->accents && !d->combining && *marks && !flush_marks(w, b, marks, n->lower))
            return false;
        if (n->accents && d->flags & AKI_U_BERT_MN)
            continue;
        if (n->accents && d->combining) {
            if (!aki__grow((void **)&w->pending, &w->pending_capacity, *marks + 1, sizeof *w->pending))
                return false;
            w->pending[(*marks)++] = (struct aki__pending){ parts[i], 0, d->combining };
        } else if (!put_lower(b, parts[i], n->lower && d->flags & AKI_U_LOWER)) {
            return false;
        }
    }
    return !spaced || aki__buf_append(b, " ", 1, AKI_TEXT_LIMIT);
}

/* BERT and LOWERCASE without a map. false: no memory. */
static bool fast(struct aki__work *w, const struct normalizer_step *n, const struct aki__text *in, struct aki__buf *b)
{
    const unsigned char *p = (const unsigned char *)in->data, *end = p + in->size;
    size_t marks = 0;

    b->size = 0;
    while (p < end) {
        while (marks && p < end && *p < 0x80 && n->ascii[*p] == 0xFF)
            p++;
        if (marks && p < end && *p < 0x80 && !flush_marks(w, b, &marks, n->lower))
            return false;
        if (!aki__buf_reserve(b, (size_t)(end - p), AKI_TEXT_LIMIT))
            return false;
        char *to = b->data + b->size;
        while (p < end && *p < 0x80) {
            unsigned char c = n->ascii[*p++];
            *to = (char)c;
            to += c != 0xFF;
        }
        b->size = (size_t)(to - b->data);
        if (p == end)
            break;
        const char *q = (const char *)p;
        if (!bert_character(w, b, n, aki__utf8_next(&q), &marks))
            return false;
        p = (const unsigned char *)q;
    }
    return flush_marks(w, b, &marks, n->lower);
}

/* ---------------------------------------------------------------- running --------------------------------------- */

/* true: the step would not change the text. false if that is not known cheaply. */
static bool idle(const struct normalizer_step *n, const struct aki__text *t)
{
    switch (n->kind) {
    case NFC:  return aki__normal_form_quick(t->data, t->size, true, false);
    case NFD:  return aki__normal_form_quick(t->data, t->size, false, false);
    case NFKC: return aki__normal_form_quick(t->data, t->size, true, true);
    case NFKD: return aki__normal_form_quick(t->data, t->size, false, true);
    case PREPEND: return t->size == 0 || n->content_size == 0;
    default:   return t->size == 0;
    }
}

static aki_status pass(struct aki__work *w, struct aki__text *t, uint32_t origin, const struct normalizer_step *n,
                       void (*what)(struct aki__sink *))
{
    struct aki__sink s;
    aki_status rc = AKI_OK;

    aki__sink_begin(&s, w, t, &w->normalized[w->turn], origin, t->size + 16);
    if (what)
        what(&s);
    else switch (n->kind) {
    case NFC:  aki__normal_form(&s, true, false); break;
    case NFD: case BERT: aki__normal_form(&s, false, false); break;
    case NFKC: aki__normal_form(&s, true, true); break;
    case NFKD: aki__normal_form(&s, false, true); break;
    case STRIP_ACCENTS: filter(&s, AKI_U_MARK); break;
    case STRIP: strip(&s, n->left, n->right); break;
    case REPLACE: rc = replace(&s, n); break;
    case PREPEND:
        aki__sink_insert(&s, n->content, n->content_size, 1);
        aki__sink_copy(&s, t->data, t->size);
        break;
    case CHARSMAP: aki__charsmap_run(n->charsmap, &s); break;
    case NMT: nmt(&s); break;
    case BYTE_LEVEL: byte_level(&s); break;
    default: lower(&s); break;
    }
    if (rc)
        return rc;
    if (s.failed)
        return aki__nomem(w);
    w->turn ^= 1;
    *t = aki__sink_text(&s);
    return AKI_OK;
}

static void filter_bert(struct aki__sink *s) { filter(s, AKI_U_BERT_MN); }

static aki_status bert_mapped(struct aki__work *w, struct aki__text *t, uint32_t origin, const struct normalizer_step *n)
{
    aki_status rc = AKI_OK;

    if (n->clean)
        rc = pass(w, t, origin, n, clean);
    if (!rc && n->chinese)
        rc = pass(w, t, origin, n, space_chinese);
    if (!rc && n->accents)
        rc = pass(w, t, origin, n, NULL);
    if (!rc && n->accents)
        rc = pass(w, t, origin, n, filter_bert);
    if (!rc && n->lower)
        rc = pass(w, t, origin, n, lower);
    return rc;
}

aki_status aki__normalize(const struct aki__normalizer *n, struct aki__work *w, struct aki__text *text, uint32_t origin)
{
    aki_status rc = AKI_OK;

    for (size_t i = 0; n && i < n->count && !rc; i++) {
        const struct normalizer_step *step = &n->steps[i];
        if (idle(step, text))
            continue;
        if ((step->kind == BERT || step->kind == LOWERCASE) && !w->track) {
            struct aki__buf *b = &w->normalized[w->turn].text;
            if (!fast(w, step, text, b))
                return aki__nomem(w);
            w->turn ^= 1;
            *text = (struct aki__text){ b->data, b->size, NULL };
        } else {
            rc = step->kind == BERT ? bert_mapped(w, text, origin, step) : pass(w, text, origin, step, NULL);
        }
    }
    return rc;
}

/* ---------------------------------------------------------------- reading --------------------------------------- */

static void fill_ascii(struct normalizer_step *n)
{
    for (uint32_t c = 0; c < 128; c++) {
        const struct aki__unicode *u = aki__unicode(c);
        n->ascii[c] = (unsigned char)c;
        if (n->clean && u->flags & AKI_U_CONTROL)
            n->ascii[c] = 0xFF;
        else if (n->clean && u->flags & AKI_U_WHITE)
            n->ascii[c] = ' ';
        else if (n->lower && c >= 'A' && c <= 'Z')
            n->ascii[c] = (unsigned char)(c + 32);
    }
}

static aki_status read_content(struct aki__reader *r, const struct aki__json *node, const char *key, struct normalizer_step *n)
{
    const char *text;
    aki_status rc = aki__read_string(r, node, key, &text, &n->content_size);

    if (rc)
        return rc;
    n->content = aki__copy_string(text, n->content_size);
    return n->content ? AKI_OK : aki__read_fail(r, AKI_E_NOMEM, key, "no memory");
}

static aki_status parse_step(struct aki__reader *r, const struct aki__json *node, struct normalizer_step *n)
{
    aki_status rc = AKI_OK;
    size_t back;

    switch (n->kind) {
    case BERT:
        n->clean = n->chinese = n->lower = true;
        rc = aki__read_bool(r, node, "clean_text", true, &n->clean);
        if (!rc)
            rc = aki__read_bool(r, node, "handle_chinese_chars", true, &n->chinese);
        if (!rc)
            rc = aki__read_bool(r, node, "lowercase", true, &n->lower);
        n->accents = n->lower;
        if (!rc)
            rc = aki__read_bool(r, node, "strip_accents", false, &n->accents);
        break;
    case LOWERCASE:
        n->lower = true;
        break;
    case STRIP:
        rc = aki__read_bool(r, node, "strip_left", true, &n->left);
        if (!rc)
            rc = aki__read_bool(r, node, "strip_right", true, &n->right);
        break;
    case REPLACE:
        back = aki__path_key(r, "pattern");
        rc = aki__pattern_parse(&n->pattern, r, aki__json_get(node, "pattern"));
        if (!rc)
            aki__path_back(r, back);
        if (!rc)
            rc = read_content(r, node, "content", n);
        break;
    case PREPEND:
        rc = read_content(r, node, "prepend", n);
        break;
    case CHARSMAP:
        rc = aki__charsmap_parse(&n->charsmap, r, node);
        break;
    default:
        break;
    }
    fill_ascii(n);
    return rc;
}

static aki_status add_step(void *user, struct aki__reader *r, const struct aki__json *node, int kind)
{
    struct aki__normalizer *list = user;

    if (!aki__grow((void **)&list->steps, &list->capacity, list->count + 1, sizeof *list->steps))
        return aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
    struct normalizer_step *n = &list->steps[list->count++];
    *n = (struct normalizer_step){ .kind = (enum kind)kind };
    return parse_step(r, node, n);
}

static bool inserts_here(const struct normalizer_step *s) { return s->kind == REPLACE && aki__pattern_matches_empty(s->pattern); }

bool aki__normalizer_inserts(const struct aki__normalizer *n)
{
    for (size_t i = 0; n && i < n->count; i++)
        if (inserts_here(&n->steps[i]))
            return true;
    return false;
}

aki_status aki__normalizer_parse(struct aki__normalizer **out, struct aki__reader *r, const struct aki__json *node)
{
    struct aki__normalizer *n;
    aki_status rc;

    *out = NULL;
    if (!node || aki__json_is(node, AKI_JSON_NULL))
        return AKI_OK;
    n = aki__zalloc(1, sizeof *n);
    rc = n ? aki__read_sequence(r, node, names, "normalizers", add_step, n) : aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
    for (size_t i = 0, inserts = 0; !rc && i < n->count; i++) {
        if (inserts && n->steps[i].kind != REPLACE && n->steps[i].kind != PREPEND)
            rc = aki__read_fail(r, AKI_E_UNSUPPORTED, NULL, "a stage behind the replacement of an empty match is not supported");
        inserts |= inserts_here(&n->steps[i]);
    }
    if (rc)
        aki__normalizer_free(n);
    else
        *out = n;
    return rc;
}

bool aki__normalizer_spells(const struct aki__normalizer *n)
{
    for (size_t i = 0; n && i < n->count; i++)
        if (n->steps[i].kind == BYTE_LEVEL)
            return true;
    return false;
}

void aki__normalizer_free(struct aki__normalizer *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->count; i++) {
        aki__pattern_free(n->steps[i].pattern);
        aki__charsmap_free(n->steps[i].charsmap);
        aki__free(n->steps[i].content);
    }
    aki__free(n->steps);
    aki__free(n);
}
