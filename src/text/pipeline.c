/* Unit pipeline: reads the stages' JSON, with the path for messages, and writes texts with their maps. See pipeline.h. */
#include "text/pipeline.h"

#include <stdio.h>

/* ---------------------------------------------------------------- reading --------------------------------------- */

size_t aki__path_key(struct aki__reader *r, const char *key)
{
    size_t before = r->size;
    int n = snprintf(r->path + r->size, sizeof r->path - r->size, "%s%s", r->size ? "." : "", key);

    if (n > 0)
        r->size += (size_t)n < sizeof r->path - r->size ? (size_t)n : sizeof r->path - r->size - 1;
    return before;
}

size_t aki__path_index(struct aki__reader *r, uint32_t index)
{
    size_t before = r->size;
    int n = snprintf(r->path + r->size, sizeof r->path - r->size, "[%u]", (unsigned)index);

    if (n > 0)
        r->size += (size_t)n < sizeof r->path - r->size ? (size_t)n : sizeof r->path - r->size - 1;
    return before;
}

void aki__path_back(struct aki__reader *r, size_t size)
{
    r->size = size;
    r->path[size] = '\0';
}

aki_status aki__read_fail(struct aki__reader *r, aki_status status, const char *key, const char *what)
{
    return aki__fail(r->err, status, "%s: %s%s%s: %s", r->name, r->path, key && r->size ? "." : "", key ? key : "", what);
}

aki_status aki__read_end(struct aki__reader *r, size_t back, size_t reported, aki_status rc)
{
    aki__path_back(r, back);
    if (rc && aki__read_reported(r) == reported)
        aki__report_error(r->report, r->err);
    return rc;
}

static const struct aki__json *member(const struct aki__json *node, const char *key)
{
    const struct aki__json *m = aki__json_get(node, key);

    return aki__json_is(m, AKI_JSON_NULL) ? NULL : m;
}

aki_status aki__read_bool(struct aki__reader *r, const struct aki__json *node, const char *key, bool required, bool *out)
{
    const struct aki__json *m = member(node, key);

    if ((!m && !required) || (m && aki__json_bool(m, out)))
        return AKI_OK;
    return aki__read_fail(r, AKI_E_INVALID, key, "expected true or false");
}

aki_status aki__read_size(struct aki__reader *r, const struct aki__json *node, const char *key, bool required, size_t *out)
{
    const struct aki__json *m = member(node, key);
    int64_t value;

    if (!m && !required)
        return AKI_OK;
    if (!m || !aki__json_int(m, &value) || value < 0 || value > INT32_MAX)
        return aki__read_fail(r, AKI_E_INVALID, key, "expected a whole number from 0");
    *out = (size_t)value;
    return AKI_OK;
}

aki_status aki__read_id(struct aki__reader *r, const struct aki__json *node, const char *key, int32_t *out)
{
    int64_t value;

    if (!aki__json_int(key ? aki__json_get(node, key) : node, &value) || value < 0 || value >= INT32_MAX)
        return aki__read_fail(r, AKI_E_INVALID, key, "expected a token id");
    *out = (int32_t)value;
    return AKI_OK;
}

aki_status aki__read_string(struct aki__reader *r, const struct aki__json *node, const char *key, const char **out, size_t *size)
{
    const struct aki__json *m = aki__json_get(node, key);

    if (!aki__json_is(m, AKI_JSON_STRING))
        return aki__read_fail(r, AKI_E_INVALID, key, "expected a string");
    *out = m->text;
    *size = m->size;
    return AKI_OK;
}

aki_status aki__read_character(struct aki__reader *r, const struct aki__json *node, const char *key, uint32_t *out)
{
    const char *text = NULL;
    size_t size = 0;
    aki_status rc = aki__read_string(r, node, key, &text, &size);

    if (rc)
        return rc;
    const char *end = text + size;
    if (size)
        *out = aki__utf8_next(&text);
    return size && text == end ? AKI_OK : aki__read_fail(r, AKI_E_INVALID, key, "expected one character");
}

aki_status aki__read_list(struct aki__reader *r, const struct aki__json *node, const char *key, const struct aki__json **out)
{
    *out = aki__json_get(node, key);
    return aki__json_is(*out, AKI_JSON_ARRAY) ? AKI_OK : aki__read_fail(r, AKI_E_INVALID, key, "expected an array");
}

aki_status aki__read_type(struct aki__reader *r, const struct aki__json *node, const char *const *names, int *out)
{
    const struct aki__json *type = aki__json_get(node, "type");
    char what[80];

    if (!aki__json_is(node, AKI_JSON_OBJECT))
        return aki__read_fail(r, AKI_E_INVALID, NULL, "expected an object");
    if (!aki__json_is(type, AKI_JSON_STRING))
        return aki__read_fail(r, AKI_E_INVALID, "type", "expected a string");
    for (int i = 0; names[i]; i++)
        if (aki__json_equals(type, names[i])) {
            *out = i;
            return AKI_OK;
        }
    snprintf(what, sizeof what, "\"%.*s\" is not supported", (int)(type->size < 40 ? type->size : 40), type->text);
    return aki__read_fail(r, AKI_E_UNSUPPORTED, "type", what);
}

/* Every stage processes every text, so a limit bounds the time with a hostile file. Real files have a dozen. */
#define STAGES_LIMIT 256

aki_status aki__read_sequence(struct aki__reader *r, const struct aki__json *node, const char *const *names, const char *key,
                              aki_status (*add)(void *user, struct aki__reader *r, const struct aki__json *node, int type), void *user)
{
    const struct aki__json *all;
    int type = 0;
    aki_status rc = aki__read_type(r, node, names, &type);

    if (!rc && ++r->stages > STAGES_LIMIT)
        rc = aki__read_fail(r, AKI_E_UNSUPPORTED, NULL, "more than 256 stages are not supported");
    if (rc || strcmp(names[type], "Sequence") != 0)
        return rc ? rc : add(user, r, node, type);
    if ((rc = aki__read_list(r, node, key, &all)))
        return rc;
    size_t back = aki__path_key(r, key);
    const struct aki__json *e = aki__json_first(all);
    for (uint32_t i = 0; i < all->size && aki__read_on(r, rc); i++, e = aki__json_next(e)) {
        size_t reported = aki__read_reported(r), inner = aki__path_index(r, i);
        rc = aki__also(rc, aki__read_end(r, inner, reported, aki__read_sequence(r, e, names, key, add, user)));
    }
    aki__path_back(r, back);
    return rc;
}

/* ---------------------------------------------------------------- the byte alphabet ----------------------------- */

/* Printable Latin-1 characters represent themselves; the other bytes are numbered from U+0100 on. */
static bool printable(unsigned byte) { return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE; }

/* The order of the numbers: bytes below 0x21; 0x7F … 0xA0; 0xAD. */
uint32_t aki__byte_to_code(uint8_t byte)
{
    if (printable(byte))
        return byte;
    return byte < 0x21 ? 0x100u + byte : byte <= 0xA0 ? 0x121u + (byte - 0x7Fu) : 0x143u;
}

int aki__byte_from_code(uint32_t c)
{
    if (c < 0x100)
        return printable(c) ? (int)c : -1;
    if (c < 0x121)
        return (int)(c - 0x100);
    return c < 0x143 ? (int)(c - 0x121 + 0x7F) : c == 0x143 ? 0xAD : -1;
}

/* ---------------------------------------------------------------- text ------------------------------------------ */

aki_status aki__nomem(struct aki__work *w)
{
    w->failure = "out of memory, or above the limit of 1 GiB";
    return AKI_E_NOMEM;
}

struct aki__extent aki__text_extent(const struct aki__work *w, const struct aki__text *t, size_t at)
{
    if (t->map)
        return t->map[at];
    size_t begin = (size_t)(t->data - w->source) + at, end = begin + 1;
    while (begin && (w->source[begin] & 0xC0) == 0x80)
        begin--;
    while (end < w->source_size && (w->source[end] & 0xC0) == 0x80)
        end++;
    return (struct aki__extent){ (uint32_t)begin, (uint32_t)end };
}

void aki__sink_begin(struct aki__sink *s, struct aki__work *w, const struct aki__text *in, struct aki__stage_buffer *out,
                     uint32_t origin, size_t room)
{
    *s = (struct aki__sink){ .w = w, .in = *in, .out = out, .origin = origin };
    out->text.size = 0;
    s->failed = !aki__buf_reserve(&out->text, room, AKI_TEXT_LIMIT);
}

/* Reserves memory for `size` more bytes of text and, if tracked, of map. */
static bool room(struct aki__sink *s, size_t size)
{
    struct aki__stage_buffer *o = s->out;

    if (s->failed || !aki__buf_reserve(&o->text, size, AKI_TEXT_LIMIT)
        || (s->w->track && !aki__grow((void **)&o->map.data, &o->map.capacity, o->text.size + size, sizeof *o->map.data)))
        s->failed = true;
    return !s->failed;
}

static size_t width(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

void aki__sink_drop(struct aki__sink *s, size_t characters)
{
    for (; s->w->track && characters && s->at < s->in.size; characters--)
        s->at += width((unsigned char)s->in.data[s->at]);
}

/* Appends bytes that have the same range. */
static void append(struct aki__sink *s, const char *bytes, size_t size, struct aki__extent from)
{
    struct aki__stage_buffer *o = s->out;

    if (!room(s, size))
        return;
    for (size_t i = 0; s->w->track && i < size; i++)
        o->map.data[o->text.size + i] = from;
    if (size)
        memcpy(o->text.data + o->text.size, bytes, size);
    o->text.size += size;
}

static struct aki__extent before(const struct aki__sink *s, size_t end)
{
    if (!s->w->track || end == 0 || s->in.size == 0)
        return (struct aki__extent){ s->origin, s->origin };
    return aki__text_extent(s->w, &s->in, (end < s->in.size ? end : s->in.size) - 1);
}

void aki__sink_put(struct aki__sink *s, uint32_t c, int32_t change)
{
    struct aki__extent from = { 0, 0 };
    char bytes[4];

    if (s->w->track) {
        from = change > 0 || s->at >= s->in.size ? before(s, s->at) : aki__text_extent(s->w, &s->in, s->at);
        if (change <= 0)
            aki__sink_drop(s, 1 + (size_t)-(int64_t)change);
    }
    append(s, bytes, aki__utf8_encode(c, bytes), from);
}

void aki__sink_copy(struct aki__sink *s, const char *bytes, size_t size)
{
    struct aki__stage_buffer *o = s->out;

    if (!room(s, size))
        return;
    /* The map follows the input's offset, which may differ from that of these bytes: as in Hugging Face. */
    for (size_t i = 0; s->w->track && i < size;) {
        size_t n = width((unsigned char)bytes[i]);
        struct aki__extent from = s->at < s->in.size ? aki__text_extent(s->w, &s->in, s->at) : before(s, s->at);
        for (size_t k = 0; k < n; k++)
            o->map.data[o->text.size + i + k] = from;
        aki__sink_drop(s, 1);
        i += n;
    }
    if (size)
        memcpy(o->text.data + o->text.size, bytes, size);
    o->text.size += size;
}

void aki__sink_insert(struct aki__sink *s, const char *bytes, size_t size, size_t end) { append(s, bytes, size, before(s, end)); }

void aki__sink_replace(struct aki__sink *s, const char *bytes, size_t size, size_t end)
{
    aki__sink_insert(s, bytes, size, end);
    s->at = end;
}

struct aki__text aki__sink_text(const struct aki__sink *s)
{
    return (struct aki__text){ s->out->text.data, s->out->text.size, s->w->track ? s->out->map.data : NULL };
}
