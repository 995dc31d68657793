/* Unit decode: decodes tokens to text, with the steps of the decoder of tokenizer.json. */
#include "text/stages.h"

enum kind { BPE, BYTE_LEVEL, WORDPIECE, METASPACE, REPLACE, FUSE, STRIP, BYTE_FALLBACK, SEQUENCE };
static const char *const names[] = { "BPEDecoder", "ByteLevel", "WordPiece", "Metaspace", "Replace", "Fuse", "Strip",
                                     "ByteFallback", "Sequence", NULL };

struct decoder_step {
    enum kind            kind;
    char                *text;              /* the suffix of BPE, the prefix of WORDPIECE, the content of REPLACE */
    size_t               size;
    struct aki__pattern *pattern;
    uint32_t             character;         /* METASPACE, STRIP */
    bool                 cleanup, prepends;
    size_t               start, stop;
};

struct aki__decoder {
    struct decoder_step *steps;
    size_t count, capacity;
};

#define REPLACEMENT "\xEF\xBF\xBD"

/* ---------------------------------------------------------------- parts ----------------------------------------- */

bool aki__parts_add(struct aki__parts *p, const char *bytes, size_t size)
{
    if (!aki__grow((void **)&p->ends, &p->capacity, p->count + 1, sizeof *p->ends) ||
        !aki__buf_append(&p->bytes, bytes, size, AKI_TEXT_LIMIT))
        return false;
    p->ends[p->count++] = p->bytes.size;
    return true;
}

void aki__parts_free(struct aki__parts *p)
{
    aki__buf_free(&p->bytes);
    aki__free(p->ends);
    *p = (struct aki__parts){ 0 };
}

static const char *get(const struct aki__parts *p, size_t i, size_t *size)
{
    size_t begin = i ? p->ends[i - 1] : 0;

    *size = p->ends[i] - begin;
    return p->bytes.data ? p->bytes.data + begin : "";
}

static bool put(struct aki__parts *p, const char *bytes, size_t size) { return aki__buf_append(&p->bytes, bytes, size, AKI_TEXT_LIMIT); }

/* Ends the part that is being written. */
static bool finish(struct aki__parts *p) { return aki__parts_add(p, "", 0); }

/* ---------------------------------------------------------------- UTF-8 with errors ----------------------------- */

/* As from_utf8_lossy in Rust: each longest incomplete beginning of a character, and each other invalid byte, becomes U+FFFD. */
static bool put_lossy(struct aki__parts *out, const char *bytes, size_t size)
{
    while (size) {
        size_t good = aki__utf8_check(bytes, size);
        if (good == AKI_UTF8_VALID)
            return put(out, bytes, size);
        if (!put(out, bytes, good) || !put(out, REPLACEMENT, 3))
            return false;
        bytes += good;
        size -= good;
        const unsigned char *s = (const unsigned char *)bytes;
        size_t n = 1;
        unsigned low = 0x80, high = 0xBF, more = s[0] >= 0xC2 && s[0] <= 0xDF ? 1
            : s[0] >= 0xE0 && s[0] <= 0xEF ? 2 : s[0] >= 0xF0 && s[0] <= 0xF4 ? 3 : 0;
        if (s[0] == 0xE0) low = 0xA0;
        if (s[0] == 0xED) high = 0x9F;
        if (s[0] == 0xF0) low = 0x90;
        if (s[0] == 0xF4) high = 0x8F;
        while (more-- && n < size && s[n] >= low && s[n] <= high) {
            n++;
            low = 0x80;
            high = 0xBF;
        }
        bytes += n;
        size -= n;
    }
    return true;
}

/* ---------------------------------------------------------------- steps ----------------------------------------- */

/* Replaces every `from`; appends to out. */
static bool put_replaced(struct aki__buf *out, const char *text, size_t size, const char *from, size_t from_size, const char *to,
                         size_t to_size)
{
    size_t done = 0;

    for (size_t at = 0; from_size && at + from_size <= size;) {
        if (memcmp(text + at, from, from_size) != 0) {
            at++;
            continue;
        }
        if (!aki__buf_append(out, text + done, at - done, AKI_TEXT_LIMIT) || !aki__buf_append(out, to, to_size, AKI_TEXT_LIMIT))
            return false;
        done = at += from_size;
    }
    return aki__buf_append(out, text + done, size - done, AKI_TEXT_LIMIT);
}

/* The cleanup of one token in WordPiece, rule after rule. */
static bool put_clean(struct aki__parts *out, const char *text, size_t size)
{
    static const char *const rules[][2] = { { " .", "." }, { " ?", "?" }, { " !", "!" }, { " ,", "," }, { " ' ", "'" }, { " n't", "n't" },
                                            { " 'm", "'m" }, { " do not", " don't" }, { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" } };
    struct aki__buf now = { 0 }, next = { 0 };
    bool ok = aki__buf_append(&now, text, size, AKI_TEXT_LIMIT);

    for (size_t i = 0; ok && i < sizeof rules / sizeof *rules; i++) {
        next.size = 0;
        ok = put_replaced(&next, now.data, now.size, rules[i][0], strlen(rules[i][0]), rules[i][1], strlen(rules[i][1]));
        struct aki__buf t = now;
        now = next;
        next = t;
    }
    ok = ok && put(out, now.data, now.size);
    aki__buf_free(&now);
    aki__buf_free(&next);
    return ok;
}

static bool wordpiece(const struct decoder_step *s, size_t i, const char *text, size_t size, struct aki__parts *out)
{
    struct aki__buf token = { 0 };
    bool ok = true;

    if (i && size >= s->size && memcmp(text, s->text, s->size) == 0) {
        text += s->size;
        size -= s->size;
    } else if (i) {
        ok = aki__buf_append(&token, " ", 1, AKI_TEXT_LIMIT);
    }
    ok = ok && aki__buf_append(&token, text, size, AKI_TEXT_LIMIT);
    /* Every rule begins with a blank. */
    if (ok && s->cleanup && token.size && memchr(token.data, ' ', token.size))
        ok = put_clean(out, token.data, token.size);
    else
        ok = ok && put(out, token.data, token.size);
    aki__buf_free(&token);
    return ok;
}

static bool metaspace(const struct decoder_step *s, size_t i, const char *text, size_t size, struct aki__parts *out)
{
    const char *end = text + size;
    bool ok = true;

    while (text < end && ok) {
        const char *from = text;
        if (aki__utf8_next(&text) != s->character)
            ok = put(out, from, (size_t)(text - from));
        else if (i || !s->prepends)
            ok = put(out, " ", 1);
    }
    return ok;
}

static bool replace(const struct decoder_step *s, struct aki__work *w, const char *text, size_t size, struct aki__parts *out,
                    aki_status *rc)
{
    struct aki__finder f = aki__find_in(s->pattern, w, text, size);
    size_t done = 0, begin, end;
    bool ok = true;

    while (size && ok && aki__find_next(&f, &begin, &end, rc)) {
        ok = put(out, text + done, begin - done) && put(out, s->text, s->size);
        done = end;
    }
    return ok && put(out, text + done, size - done);
}

static bool strip(const struct decoder_step *s, const char *text, size_t size, struct aki__parts *out)
{
    const char *end = text + size, *p = text;

    for (size_t i = 0; i < s->start && p < end; i++) {
        const char *next = p;
        if (aki__utf8_next(&next) != s->character)
            break;
        p = next;
    }
    for (size_t i = 0; i < s->stop && end > p; i++) {
        const char *last = end - 1, *next;
        while (((unsigned char)*last & 0xC0) == 0x80)
            last--;
        next = last;
        if (aki__utf8_next(&next) != s->character)
            break;
        end = last;
    }
    return put(out, p, (size_t)(end - p));
}

/* The bytes that a token's characters represent in the byte alphabet, or the token's own bytes if one represents none. */
static bool byte_level(const char *text, size_t size, struct aki__buf *out)
{
    const char *p = text, *end = text + size;
    size_t before = out->size;

    if (!aki__buf_reserve(out, size, AKI_TEXT_LIMIT))
        return false;
    while (p < end) {
        int byte = aki__byte_from_code(aki__utf8_next(&p));
        if (byte < 0) {
            out->size = before;
            return aki__buf_append(out, text, size, AKI_TEXT_LIMIT);
        }
        out->data[out->size++] = (char)byte;
    }
    return true;
}

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

/* The byte of "<0x0A>"; -1: not such a token. As in Rust, a sign is allowed. */
static int fallback_byte(const char *t, size_t size)
{
    if (size != 6 || memcmp(t, "<0x", 3) != 0 || t[5] != '>' || hex(t[4]) < 0)
        return -1;
    if (t[3] == '+')
        return hex(t[4]);
    return hex(t[3]) < 0 ? -1 : hex(t[3]) << 4 | hex(t[4]);
}

static bool flush_bytes(struct aki__buf *bytes, struct aki__parts *out)
{
    bool ok = true;

    if (bytes->size && aki__utf8_check(bytes->data, bytes->size) == AKI_UTF8_VALID)
        ok = aki__parts_add(out, bytes->data, bytes->size);
    else
        for (size_t i = 0; i < bytes->size && ok; i++)
            ok = aki__parts_add(out, REPLACEMENT, 3);
    bytes->size = 0;
    return ok;
}

/* Steps that work on the whole list, since they change the number of tokens. */
static bool run_whole(const struct decoder_step *s, const struct aki__parts *in, struct aki__parts *out)
{
    struct aki__buf bytes = { 0 };
    bool ok = true;

    for (size_t i = 0; i < in->count && ok; i++) {
        size_t size;
        const char *text = get(in, i, &size);
        if (s->kind == BYTE_LEVEL) {
            ok = byte_level(text, size, &bytes);
        } else if (s->kind == FUSE) {
            ok = put(out, text, size);
        } else {
            int byte = fallback_byte(text, size);
            ok = byte >= 0 ? aki__buf_append(&bytes, &(char){ (char)byte }, 1, AKI_TEXT_LIMIT)
                           : flush_bytes(&bytes, out) && aki__parts_add(out, text, size);
        }
    }
    if (s->kind == BYTE_LEVEL)
        ok = ok && put_lossy(out, bytes.data, bytes.size) && finish(out);
    else
        ok = ok && (s->kind == FUSE ? finish(out) : flush_bytes(&bytes, out));
    aki__buf_free(&bytes);
    return ok;
}

static bool run_each(const struct decoder_step *s, struct aki__work *w, const struct aki__parts *in, struct aki__parts *out,
                     aki_status *rc)
{
    bool ok = true;

    for (size_t i = 0; i < in->count && ok && !*rc; i++) {
        size_t size;
        const char *text = get(in, i, &size);
        switch (s->kind) {
        case BPE:       ok = put_replaced(&out->bytes, text, size, s->text, s->size, " ", i + 1 < in->count); break;
        case WORDPIECE: ok = wordpiece(s, i, text, size, out); break;
        case METASPACE: ok = metaspace(s, i, text, size, out); break;
        case REPLACE:   ok = replace(s, w, text, size, out, rc); break;
        default:        ok = strip(s, text, size, out); break;
        }
        ok = ok && finish(out);
    }
    return ok;
}

aki_status aki__decode(const struct aki__decoder *d, struct aki__work *w, struct aki__parts *tokens, struct aki__buf *out)
{
    struct aki__parts next = { 0 };
    aki_status rc = AKI_OK;
    bool ok = true;

    for (size_t i = 0; d && i < d->count && ok && !rc; i++) {
        const struct decoder_step *s = &d->steps[i];
        next.count = next.bytes.size = 0;
        ok = s->kind == BYTE_LEVEL || s->kind == FUSE || s->kind == BYTE_FALLBACK ? run_whole(s, tokens, &next)
                                                                                  : run_each(s, w, tokens, &next, &rc);
        struct aki__parts t = *tokens;
        *tokens = next;
        next = t;
    }
    for (size_t i = 0; i < tokens->count && ok && !rc; i++) {
        size_t size;
        const char *text = get(tokens, i, &size);
        ok = (d || !i || aki__buf_append(out, " ", 1, AKI_TEXT_LIMIT)) && aki__buf_append(out, text, size, AKI_TEXT_LIMIT);
    }
    aki__parts_free(&next);
    return rc ? rc : ok ? AKI_OK : aki__nomem(w);
}

/* ---------------------------------------------------------------- reading --------------------------------------- */

static aki_status read_text(struct aki__reader *r, const struct aki__json *node, const char *key, struct decoder_step *s)
{
    const char *text;
    aki_status rc = aki__read_string(r, node, key, &text, &s->size);

    if (rc)
        return rc;
    s->text = aki__copy_string(text, s->size);
    return s->text ? AKI_OK : aki__read_fail(r, AKI_E_NOMEM, key, "no memory");
}

static aki_status parse_step(struct aki__reader *r, const struct aki__json *node, struct decoder_step *s)
{
    bool prefix = true;
    aki_status rc = AKI_OK;
    size_t back;

    switch (s->kind) {
    case BPE:
        rc = read_text(r, node, "suffix", s);
        if (!rc && s->size > AKI_PIECE_LIMIT)
            rc = aki__read_fail(r, AKI_E_UNSUPPORTED, "suffix", "more than 512 bytes are not supported");
        return rc;
    case WORDPIECE:
        rc = read_text(r, node, "prefix", s);
        return rc ? rc : aki__read_bool(r, node, "cleanup", true, &s->cleanup);
    case METASPACE:
        rc = aki__read_character(r, node, "replacement", &s->character);
        if (!rc)
            rc = aki__read_bool(r, node, "add_prefix_space", false, &prefix);
        s->prepends = prefix && !aki__json_equals(aki__json_get(node, "prepend_scheme"), "never");
        return rc;
    case REPLACE:
        back = aki__path_key(r, "pattern");
        rc = aki__pattern_parse(&s->pattern, r, aki__json_get(node, "pattern"));
        if (!rc)
            aki__path_back(r, back);
        return rc ? rc : read_text(r, node, "content", s);
    case STRIP:
        rc = aki__read_character(r, node, "content", &s->character);
        if (!rc)
            rc = aki__read_size(r, node, "start", true, &s->start);
        return rc ? rc : aki__read_size(r, node, "stop", true, &s->stop);
    default:
        return AKI_OK;
    }
}

static aki_status add_step(void *user, struct aki__reader *r, const struct aki__json *node, int kind)
{
    struct aki__decoder *list = user;

    if (!aki__grow((void **)&list->steps, &list->capacity, list->count + 1, sizeof *list->steps))
        return aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
    struct decoder_step *s = &list->steps[list->count++];
    *s = (struct decoder_step){ .kind = (enum kind)kind };
    return parse_step(r, node, s);
}

aki_status aki__decoder_parse(struct aki__decoder **out, struct aki__reader *r, const struct aki__json *node)
{
    struct aki__decoder *d;
    aki_status rc;

    *out = NULL;
    if (!node || aki__json_is(node, AKI_JSON_NULL))
        return AKI_OK;
    d = aki__zalloc(1, sizeof *d);
    rc = d ? aki__read_sequence(r, node, names, "decoders", add_step, d) : aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
    if (rc)
        aki__decoder_free(d);
    else
        *out = d;
    return rc;
}

void aki__decoder_free(struct aki__decoder *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->count; i++) {
        aki__free(d->steps[i].text);
        aki__pattern_free(d->steps[i].pattern);
    }
    aki__free(d->steps);
    aki__free(d);
}
