/* Unit charsmap: the Precompiled normaliser: the compiled replacement table of SentencePiece.
 *
 * The table is a 32-bit size, a double-array trie of so many bytes, and NUL-terminated replacements, whose offsets are the
 * trie's values. Hugging Face applies it to grapheme clusters: a cluster of less than 6 bytes is replaced as a whole if a key
 * is a prefix of it (the shortest such key; the rest of the cluster is lost), any other code point by code point. For equal
 * vectors this does the same. */
#include "text/stages.h"

struct aki__charsmap {
    uint32_t      *units;
    size_t         unit_count;
    char          *replacements;
    size_t         replacement_size;
    unsigned char *bytes;               /* the decoded file, which `replacements` is a part of */
    bool           plain[128];          /* ASCII that begins no key and is no control character: unchanged before ASCII */
};

static int base64_digit(unsigned char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* out: [size / 4 * 3]. SIZE_MAX: not base64. */
static size_t base64_decode(unsigned char *out, const char *text, size_t size)
{
    size_t n = 0, pad = 0;

    if (size % 4)
        return SIZE_MAX;
    while (pad < 2 && pad < size && text[size - 1 - pad] == '=')
        pad++;
    for (size_t i = 0; i < size; i += 4) {
        uint32_t four = 0;
        for (size_t k = 0; k < 4; k++) {
            int digit = i + k >= size - pad ? 0 : base64_digit((unsigned char)text[i + k]);
            if (digit < 0)
                return SIZE_MAX;
            four = four << 6 | (uint32_t)digit;
        }
        out[n++] = (unsigned char)(four >> 16);
        out[n++] = (unsigned char)(four >> 8);
        out[n++] = (unsigned char)four;
    }
    return n - pad;
}

static uint32_t read32(const unsigned char *p) { return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }

static uint32_t unit_offset(uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }

/* The replacement of the shortest key that is a prefix of key[size], *out_size bytes; NULL: none. Whatever the file contains,
 * nothing outside of it is read, and the result is whole characters. */
static const char *find(const struct aki__charsmap *m, const char *key, size_t size, size_t *out_size)
{
    uint32_t at = unit_offset(m->units[0]);

    for (size_t i = 0; i < size && key[i]; i++) {
        unsigned char byte = (unsigned char)key[i];
        at ^= byte;
        if (at >= m->unit_count)
            return NULL;
        uint32_t unit = m->units[at];
        if ((unit & (UINT32_C(1) << 31 | 0xFF)) != byte)
            return NULL;
        at ^= unit_offset(unit);
        if (!(unit >> 8 & 1))
            continue;
        if (at >= m->unit_count)
            return NULL;
        size_t value = m->units[at] & ~(UINT32_C(1) << 31);
        if (value > m->replacement_size || (value < m->replacement_size && ((unsigned char)m->replacements[value] & 0xC0) == 0x80))
            return NULL;
        const char *end = value < m->replacement_size ? memchr(m->replacements + value, 0, m->replacement_size - value) : NULL;
        *out_size = (end ? (size_t)(end - m->replacements) : m->replacement_size) - value;
        return m->replacements + value;
    }
    return NULL;
}

aki_status aki__charsmap_parse(struct aki__charsmap **out, struct aki__reader *r, const struct aki__json *node)
{
    static const char key[] = "precompiled_charsmap";
    struct aki__charsmap *m = aki__zalloc(1, sizeof *m);
    const char *text = NULL;
    size_t size = 0, ignored;
    aki_status rc;

    *out = NULL;
    rc = m ? aki__read_string(r, node, key, &text, &size) : aki__read_fail(r, AKI_E_NOMEM, NULL, "charsmap");
    if (rc)
        goto done;
    m->bytes = aki__alloc(size / 4 * 3, 1);
    if (!m->bytes) {
        rc = aki__read_fail(r, AKI_E_NOMEM, NULL, "charsmap");
        goto done;
    }
    size = base64_decode(m->bytes, text, size);
    if (size == SIZE_MAX || size < 8 || read32(m->bytes) > size - 4 || read32(m->bytes) < 4) {
        rc = aki__read_fail(r, AKI_E_INVALID, key, size == SIZE_MAX ? "not base64" : "cut off");
        goto done;
    }
    m->unit_count = read32(m->bytes) / 4;
    m->replacements = (char *)m->bytes + 4 + m->unit_count * 4;
    m->replacement_size = size - 4 - m->unit_count * 4;
    if (aki__utf8_check(m->replacements, m->replacement_size) != AKI_UTF8_VALID) {
        rc = aki__read_fail(r, AKI_E_INVALID, key, "its replacements are no UTF-8");
        goto done;
    }
    m->units = aki__alloc(m->unit_count, sizeof *m->units);
    if (!m->units) {
        rc = aki__read_fail(r, AKI_E_NOMEM, NULL, "charsmap");
        goto done;
    }
    for (size_t i = 0; i < m->unit_count; i++)
        m->units[i] = read32(m->bytes + 4 + i * 4);
    for (int c = 0x20; c < 0x7F; c++)
        m->plain[c] = !find(m, &(char){ (char)c }, 1, &ignored);
    *out = m;
    m = NULL;
done:
    aki__charsmap_free(m);
    return rc;
}

void aki__charsmap_free(struct aki__charsmap *m)
{
    if (!m)
        return;
    aki__free(m->units);
    aki__free(m->bytes);
    aki__free(m);
}

/* A code point is held until the next one: a replacement shorter than its source changes the previous one. */
struct held { bool any; uint32_t c; int32_t change; };

static void put(struct aki__sink *s, struct held *h, uint32_t c, int32_t change)
{
    if (h->any)
        aki__sink_put(s, h->c, h->change);
    *h = (struct held){ true, c, change };
}

static void replace(struct aki__sink *s, struct held *h, size_t old_count, const char *bytes, size_t size)
{
    const char *end = bytes + size;
    size_t count = 0, i = 0;

    for (const char *p = bytes; p < end; count++)
        aki__utf8_next(&p);
    for (; bytes < end; i++)
        put(s, h, aki__utf8_next(&bytes), count > old_count && i >= old_count ? 1 : 0);
    if (count < old_count && h->any)
        h->change -= (int32_t)(old_count - count);
}

static void cluster(const struct aki__charsmap *m, struct aki__sink *s, struct held *h, const char *p, const char *end)
{
    size_t size, count = 0;
    const char *to;

    if (end - p < 6 && (to = find(m, p, (size_t)(end - p), &size)) != NULL) {
        for (const char *q = p; q < end; count++)
            aki__utf8_next(&q);
        replace(s, h, count, to, size);
        return;
    }
    while (p < end) {
        const char *part = p;
        uint32_t c = aki__utf8_next(&p);
        to = find(m, part, (size_t)(p - part), &size);
        if (to)
            replace(s, h, 1, to, size);
        else
            put(s, h, c, 0);
    }
}

void aki__charsmap_run(const struct aki__charsmap *m, struct aki__sink *s)
{
    const char *p = s->in.data, *end = p + s->in.size, *begin = p;
    struct aki__clusters state = { 0 };
    struct held h = { 0 };

    while (p < end && !s->failed) {
        /* ASCII before ASCII is a cluster of its own, which does not change. */
        const char *run = p;
        while ((begin == p || state.before != AKI_G_PREPEND) && end - p >= 2 && (signed char)p[0] >= 0 && (signed char)p[1] >= 0 &&
               m->plain[(unsigned char)p[0]])
            p++;
        if (p > run) {
            if (begin < run)
                cluster(m, s, &h, begin, run);
            if (h.any)
                aki__sink_put(s, h.c, h.change);
            aki__sink_copy(s, run, (size_t)(p - 1 - run));
            h = (struct held){ true, (unsigned char)p[-1], 0 };
            begin = p;
            state = (struct aki__clusters){ .before = AKI_G_ANY, .started = true };
        }
        const char *at = p;
        if (aki__cluster_begins(&state, aki__unicode(aki__utf8_next(&p))) && at > begin) {
            cluster(m, s, &h, begin, at);
            begin = at;
        }
    }
    if (begin < end && !s->failed)
        cluster(m, s, &h, begin, end);
    if (h.any)
        aki__sink_put(s, h.c, h.change);
}
