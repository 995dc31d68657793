/* Unit pretokenize: splits a normalised text into words, with the stages of pre_tokenizer in tokenizer.json.
 *
 * A stage passes each piece to the next stage as soon as it is found, so no list of pieces is stored. The order is the same as
 * if every stage ran to its end first, because the result for a piece depends only on the piece. */
#include "text/stages.h"

enum kind { BERT, BYTE_LEVEL, SPLIT, METASPACE, WHITESPACE, WHITESPACE_SPLIT, PUNCTUATION, DIGITS, DELIMITER, FIXED_LENGTH, SEQUENCE };
static const char *const names[] = { "BertPreTokenizer", "ByteLevel", "Split", "Metaspace", "Whitespace", "WhitespaceSplit", "Punctuation",
                                     "Digits", "CharDelimiterSplit", "FixedLength", "Sequence", NULL };

enum behavior { REMOVED, ISOLATED, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, CONTIGUOUS };
static const char *const behaviors[] = { "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous", NULL };

enum scheme { ALWAYS, NEVER, FIRST };
static const char *const schemes[] = { "always", "never", "first", NULL };

struct stage {
    enum kind             kind;
    enum behavior         behavior;         /* SPLIT, PUNCTUATION, DIGITS */
    struct aki__pattern  *pattern;          /* SPLIT */
    bool                  invert;
    enum scheme           scheme;           /* METASPACE */
    bool                  split;
    uint32_t              character;        /* METASPACE's replacement, DELIMITER's delimiter */
    char                  bytes[4];         /* replacement in UTF-8 */
    size_t                size;
    bool                  prefix_space, use_regex;      /* BYTE_LEVEL */
    size_t                length;           /* FIXED_LENGTH */
};

struct aki__pretokenizer {
    struct stage *stages;
    size_t count, capacity;
    bool   spell;                           /* ByteLevel writes the byte alphabet; false: it passes bytes on */
};

static aki_status run(const struct aki__pretokenizer *p, struct aki__work *w, size_t i, const struct aki__text *t);

static aki_status part(const struct aki__pretokenizer *p, struct aki__work *w, size_t i, const struct aki__text *t, size_t begin,
                       size_t end)
{
    struct aki__text piece = aki__text_part(t, begin, end);
    return run(p, w, i, &piece);
}

/* ---------------------------------------------------------------- behaviours ------------------------------------ */

/* Receives the matches and the text between them, in order, and passes on the pieces that the behaviour makes of them. */
struct cutter {
    const struct aki__pretokenizer *p;
    struct aki__work               *w;
    size_t                          next;       /* the stage that receives the pieces */
    const struct aki__text         *t;
    enum behavior                   behavior;
    bool                            held, previous;     /* a piece is held; it was a match */
    size_t                          begin, end;         /* the piece that is held */
};

static aki_status release(struct cutter *k)
{
    bool held = k->held;

    k->held = false;
    return held ? part(k->p, k->w, k->next, k->t, k->begin, k->end) : AKI_OK;
}

static aki_status hold(struct cutter *k, size_t begin, size_t end)
{
    aki_status rc = release(k);

    k->held = true;
    k->begin = begin;
    k->end = end;
    return rc;
}

static aki_status cut(struct cutter *k, size_t begin, size_t end, bool match)
{
    aki_status rc = AKI_OK;
    bool joins = false;

    switch (k->behavior) {
    case REMOVED:
        return match ? AKI_OK : part(k->p, k->w, k->next, k->t, begin, end);
    case ISOLATED:
        return part(k->p, k->w, k->next, k->t, begin, end);
    case CONTIGUOUS:
        joins = match == k->previous;
        break;
    case MERGED_WITH_PREVIOUS:
        joins = match && !k->previous;
        break;
    case MERGED_WITH_NEXT:      /* only a match is held, for text that is no match */
        joins = !match && k->previous;
        break;
    }
    k->previous = match;
    if (joins && k->held)
        k->end = end;
    else
        rc = hold(k, begin, end);
    if (!rc && k->behavior == MERGED_WITH_NEXT && !match)
        rc = release(k);
    return rc;
}

typedef bool (*predicate)(const struct stage *s, uint32_t c);

static bool is_punctuation(const struct stage *s, uint32_t c) { (void)s; return aki__unicode_has(c, AKI_U_PUNCT); }
static bool is_numeric(const struct stage *s, uint32_t c) { (void)s; return aki__unicode_has(c, AKI_U_NUMERIC); }
static bool is_white(const struct stage *s, uint32_t c) { (void)s; return aki__unicode_has(c, AKI_U_WHITE); }
static bool is_delimiter(const struct stage *s, uint32_t c) { return c == s->character; }

static aki_status by_character(const struct aki__pretokenizer *p, struct aki__work *w, size_t i, const struct aki__text *t,
                               enum behavior behavior, predicate matches)
{
    struct cutter k = { .p = p, .w = w, .next = i + 1, .t = t, .behavior = behavior };
    const char *at = t->data, *end = at + t->size;
    size_t begin = 0;
    aki_status rc = AKI_OK;

    while (at < end && !rc) {
        size_t here = (size_t)(at - t->data);
        if (!matches(&p->stages[i], aki__utf8_next(&at)))
            continue;
        if (begin < here)
            rc = cut(&k, begin, here, false);
        begin = (size_t)(at - t->data);
        if (!rc)
            rc = cut(&k, here, begin, true);
    }
    if (!rc && begin < t->size)
        rc = cut(&k, begin, t->size, false);
    return rc ? rc : release(&k);
}

static aki_status by_pattern(const struct aki__pretokenizer *p, struct aki__work *w, size_t next, const struct aki__text *t,
                             const struct aki__pattern *pattern, enum behavior behavior, bool invert)
{
    struct cutter k = { .p = p, .w = w, .next = next, .t = t, .behavior = behavior };
    struct aki__finder f = aki__find_in(pattern, w, t->data, t->size);
    size_t done = 0, begin, end;
    aki_status rc = AKI_OK;

    while (!rc && aki__find_next(&f, &begin, &end, &rc)) {
        if (done != begin)
            rc = cut(&k, done, begin, invert);
        if (!rc)
            rc = cut(&k, begin, end, !invert);
        done = end;
    }
    if (!rc && done != t->size)
        rc = cut(&k, done, t->size, invert);
    return rc ? rc : release(&k);
}

/* ---------------------------------------------------------------- stages ---------------------------------------- */

enum { WHITE = 1, PUNCT = 2 };

static inline unsigned bert_class(const char **p)
{
    uint32_t flags = aki__unicode(aki__utf8_next(p))->flags;
    return (flags & AKI_U_WHITE ? WHITE : 0) | (flags & AKI_U_PUNCT ? PUNCT : 0);
}

static aki_status bert(const struct aki__pretokenizer *p, struct aki__work *w, size_t i, const struct aki__text *t)
{
    const char *at = t->data, *end = at + t->size, *word = at;
    aki_status rc = AKI_OK;

    while (at < end && !rc) {
        const char *here = at;
        unsigned class = bert_class(&at);
        if (!class)
            continue;
        if (word < here)
            rc = part(p, w, i + 1, t, (size_t)(word - t->data), (size_t)(here - t->data));
        word = at;
        if (!rc && !(class & WHITE))
            rc = part(p, w, i + 1, t, (size_t)(here - t->data), (size_t)(at - t->data));
    }
    return rc || word == end ? rc : part(p, w, i + 1, t, (size_t)(word - t->data), t->size);
}

/* \w+|[^\w\s]+; everything else is removed. */
static aki_status words(const struct aki__pretokenizer *p, struct aki__work *w, size_t i, const struct aki__text *t)
{
    const char *at = t->data, *end = at + t->size, *begin = at;
    uint32_t before = AKI_U_WHITE;
    aki_status rc = AKI_OK;

    while (at < end && !rc) {
        const char *here = at;
        uint32_t class = aki__unicode(aki__utf8_next(&at))->flags & (AKI_U_WORD | AKI_U_WHITE);
        class = class & AKI_U_WORD ? AKI_U_WORD : class;
        if (class == before)
            continue;
        if (before != AKI_U_WHITE)
            rc = part(p, w, i + 1, t, (size_t)(begin - t->data), (size_t)(here - t->data));
        begin = here;
        before = class;
    }
    return rc || before == AKI_U_WHITE ? rc : part(p, w, i + 1, t, (size_t)(begin - t->data), t->size);
}

static aki_status fixed_length(const struct aki__pretokenizer *p, struct aki__work *w, size_t i, const struct aki__text *t)
{
    const char *at = t->data, *end = at + t->size;
    aki_status rc = AKI_OK;

    while (at < end && !rc) {
        const char *begin = at;
        for (size_t n = 0; n < p->stages[i].length && at < end; n++)
            aki__utf8_next(&at);
        rc = part(p, w, i + 1, t, (size_t)(begin - t->data), (size_t)(at - t->data));
    }
    return rc;
}

static bool begins_with(const struct aki__text *t, const char *bytes, size_t size) { return t->size >= size && memcmp(t->data, bytes, size) == 0; }

/* Replaces blanks by the replacement, and prepends one if the scheme requires it. */
static aki_status metaspace_text(const struct stage *s, struct aki__work *w, const struct aki__text *t,
                                 struct aki__stage_buffer *b, struct aki__text *out)
{
    bool front = !(t->data[0] == ' ' || begins_with(t, s->bytes, s->size))
                 && (s->scheme == ALWAYS || (s->scheme == FIRST && aki__text_extent(w, t, 0).begin == 0));
    struct aki__sink sink;
    size_t done = 0;

    aki__sink_begin(&sink, w, t, b, 0, t->size + 8);
    if (front)
        aki__sink_insert(&sink, s->bytes, s->size, 1);
    for (;;) {
        const char *blank = memchr(t->data + done, ' ', t->size - done);
        size_t at = blank ? (size_t)(blank - t->data) : t->size;
        aki__sink_copy(&sink, t->data + done, at - done);
        if (!blank)
            break;
        aki__sink_replace(&sink, s->bytes, s->size, at + 1);
        done = at + 1;
    }
    *out = aki__sink_text(&sink);
    return sink.failed ? aki__nomem(w) : AKI_OK;
}

static aki_status metaspace(const struct aki__pretokenizer *p, struct aki__work *w, size_t i, const struct aki__text *t)
{
    const struct stage *s = &p->stages[i];
    struct aki__text text;
    aki_status rc = metaspace_text(s, w, t, &w->steps[2 * i], &text);
    size_t begin = 0;

    /* Each replacement begins a piece; if two are adjacent, the first is a piece of its own. */
    for (size_t at = begins_with(&text, s->bytes, s->size) ? s->size : 0; !rc && s->split && at + s->size <= text.size;) {
        const char *mark = memchr(text.data + at, s->bytes[0], text.size - at);
        if (!mark)
            break;
        at = (size_t)(mark - text.data);
        if (text.size - at < s->size || memcmp(mark, s->bytes, s->size) != 0) {
            at++;
            continue;
        }
        rc = part(p, w, i + 1, &text, begin, at);
        begin = at;
        at += s->size;
    }
    return rc ? rc : part(p, w, i + 1, &text, begin, text.size);
}

/* Writes a piece in the byte alphabet. */
static aki_status spelled(const struct aki__pretokenizer *p, struct aki__work *w, size_t i, const struct aki__text *t)
{
    struct aki__sink sink;

    if (!p->spell)
        return run(p, w, i + 1, t);
    aki__sink_begin(&sink, w, t, &w->steps[2 * i + 1], 0, 2 * t->size);
    for (size_t k = 0; k < t->size && !sink.failed; k++)
        aki__sink_put(&sink, aki__byte_to_code((uint8_t)t->data[k]), (t->data[k] & 0xC0) == 0x80);
    if (sink.failed)
        return aki__nomem(w);
    struct aki__text text = aki__sink_text(&sink);
    return run(p, w, i + 1, &text);
}

static aki_status byte_level(const struct aki__pretokenizer *p, struct aki__work *w, size_t i, const struct aki__text *t)
{
    const struct stage *s = &p->stages[i];
    struct aki__text text = *t;
    aki_status rc = AKI_OK;

    if (s->prefix_space && t->data[0] != ' ') {
        struct aki__sink sink;
        aki__sink_begin(&sink, w, t, &w->steps[2 * i], 0, t->size + 1);
        aki__sink_insert(&sink, " ", 1, 1);
        aki__sink_copy(&sink, t->data, t->size);
        if (sink.failed)
            return aki__nomem(w);
        text = aki__sink_text(&sink);
    }
    if (!s->use_regex)
        return spelled(p, w, i, &text);
    struct aki__finder f = aki__find_in(aki__pattern_gpt2(), w, text.data, text.size);
    for (size_t begin, end; !rc && aki__find_next(&f, &begin, &end, &rc);) {
        struct aki__text piece = aki__text_part(&text, begin, end);
        rc = spelled(p, w, i, &piece);
    }
    return rc;
}

static aki_status run(const struct aki__pretokenizer *p, struct aki__work *w, size_t i, const struct aki__text *t)
{
    const struct stage *s;

    if (t->size == 0)
        return AKI_OK;
    if (!p || i == p->count)
        return aki__encode_word(w, t);
    s = &p->stages[i];
    switch (s->kind) {
    case BERT:             return bert(p, w, i, t);
    case BYTE_LEVEL:       return byte_level(p, w, i, t);
    case SPLIT:            return by_pattern(p, w, i + 1, t, s->pattern, s->behavior, s->invert);
    case METASPACE:        return metaspace(p, w, i, t);
    case WHITESPACE:       return words(p, w, i, t);
    case WHITESPACE_SPLIT: return by_character(p, w, i, t, REMOVED, is_white);
    case PUNCTUATION:      return by_character(p, w, i, t, s->behavior, is_punctuation);
    case DIGITS:           return by_character(p, w, i, t, s->behavior, is_numeric);
    case DELIMITER:        return by_character(p, w, i, t, REMOVED, is_delimiter);
    default:               return fixed_length(p, w, i, t);
    }
}

aki_status aki__pretokenize(const struct aki__pretokenizer *p, struct aki__work *w, const struct aki__text *text) { return run(p, w, 0, text); }

/* ---------------------------------------------------------------- reading --------------------------------------- */

/* Reads a member that is one of these words; if it is absent, *out does not change. */
static aki_status read_word(struct aki__reader *r, const struct aki__json *node, const char *key, const char *const *words_,
                            bool required, int *out)
{
    const struct aki__json *m = aki__json_get(node, key);

    if (!m && !required)
        return AKI_OK;
    for (int i = 0; words_[i]; i++)
        if (aki__json_equals(m, words_[i])) {
            *out = i;
            return AKI_OK;
        }
    return aki__read_fail(r, aki__json_is(m, AKI_JSON_STRING) ? AKI_E_UNSUPPORTED : AKI_E_INVALID, key, "not one of the known words");
}

static aki_status parse_metaspace(struct aki__reader *r, const struct aki__json *node, struct stage *s)
{
    bool prefix = true;
    int scheme = ALWAYS;
    aki_status rc = aki__read_character(r, node, "replacement", &s->character);

    s->split = true;
    if (!rc)
        rc = aki__read_bool(r, node, "add_prefix_space", false, &prefix);
    if (!rc)
        rc = read_word(r, node, "prepend_scheme", schemes, false, &scheme);
    if (!rc)
        rc = aki__read_bool(r, node, "split", false, &s->split);
    /* The key of old files. Hugging Face does not open a file whose new key contradicts it. */
    if (!rc && !prefix && scheme != NEVER)
        rc = aki__read_fail(r, AKI_E_INVALID, "add_prefix_space", "does not agree with prepend_scheme");
    s->scheme = (enum scheme)scheme;
    return rc;
}

static aki_status parse_stage(struct aki__reader *r, const struct aki__json *node, struct stage *s)
{
    int behavior = ISOLATED;
    bool individual = false, ignored = false;
    aki_status rc = AKI_OK;
    size_t back;

    switch (s->kind) {
    case BYTE_LEVEL:
        s->use_regex = true;
        rc = aki__read_bool(r, node, "add_prefix_space", true, &s->prefix_space);
        if (!rc)
            rc = aki__read_bool(r, node, "trim_offsets", true, &ignored);
        if (!rc)
            rc = aki__read_bool(r, node, "use_regex", false, &s->use_regex);
        break;
    case SPLIT:
        back = aki__path_key(r, "pattern");
        rc = aki__pattern_parse(&s->pattern, r, aki__json_get(node, "pattern"));
        if (!rc)
            aki__path_back(r, back);
        if (!rc)
            rc = read_word(r, node, "behavior", behaviors, true, &behavior);
        if (!rc)
            rc = aki__read_bool(r, node, "invert", true, &s->invert);
        break;
    case METASPACE:
        rc = parse_metaspace(r, node, s);
        break;
    case PUNCTUATION:
        rc = read_word(r, node, "behavior", behaviors, false, &behavior);
        break;
    case DIGITS:
        rc = aki__read_bool(r, node, "individual_digits", true, &individual);
        behavior = individual ? ISOLATED : CONTIGUOUS;
        break;
    case DELIMITER:
        rc = aki__read_character(r, node, "delimiter", &s->character);
        break;
    case FIXED_LENGTH:
        s->length = 5;
        rc = aki__read_size(r, node, "length", false, &s->length);
        if (!rc && s->length == 0)
            rc = aki__read_fail(r, AKI_E_INVALID, "length", "expected a whole number from 1");
        break;
    default:
        break;
    }
    s->behavior = (enum behavior)behavior;
    s->size = aki__utf8_encode(s->character, s->bytes);
    return rc;
}

static aki_status add_stage(void *user, struct aki__reader *r, const struct aki__json *node, int kind)
{
    struct aki__pretokenizer *list = user;

    /* A stage calls the next one, so a limit of their number bounds the stack. */
    if (list->count == 64)
        return aki__read_fail(r, AKI_E_UNSUPPORTED, NULL, "more than 64 stages are not supported");
    if (!aki__grow((void **)&list->stages, &list->capacity, list->count + 1, sizeof *list->stages))
        return aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
    struct stage *s = &list->stages[list->count++];
    *s = (struct stage){ .kind = (enum kind)kind };
    return parse_stage(r, node, s);
}

aki_status aki__pretokenizer_parse(struct aki__pretokenizer **out, struct aki__reader *r, const struct aki__json *node)
{
    struct aki__pretokenizer *p = aki__zalloc(1, sizeof *p);
    aki_status rc = AKI_OK;

    *out = NULL;
    if (!p)
        return aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
    if (node && !aki__json_is(node, AKI_JSON_NULL))
        rc = aki__read_sequence(r, node, names, "pretokenizers", add_stage, p);
    if (rc)
        aki__pretokenizer_free(p);
    else
        *out = p;
    return rc;
}

void aki__pretokenizer_free(struct aki__pretokenizer *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++)
        aki__pattern_free(p->stages[i].pattern);
    aki__free(p->stages);
    aki__free(p);
}

bool aki__pretokenizer_has_bytes(const struct aki__pretokenizer *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->stages[i].kind == BYTE_LEVEL)
            return true;
    return false;
}

bool aki__pretokenizer_raw_bytes(const struct aki__pretokenizer *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->count; i++)
        n += p->stages[i].kind == BYTE_LEVEL;
    return n == 1 && p->stages[p->count - 1].kind == BYTE_LEVEL;
}

void aki__pretokenizer_spell(struct aki__pretokenizer *p) { p->spell = true; }

bool aki__pretokenizer_asks_origin(const struct aki__pretokenizer *p, bool *changed_before)
{
    *changed_before = false;
    for (size_t i = 0; i < p->count; i++) {
        if (p->stages[i].kind == METASPACE && p->stages[i].scheme == FIRST)
            return true;
        *changed_before |= p->stages[i].kind == METASPACE || p->stages[i].kind == BYTE_LEVEL;
    }
    return false;
}

size_t aki__pretokenizer_buffers(const struct aki__pretokenizer *p) { return 2 * p->count; }
