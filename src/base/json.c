/* Unit json: strict JSON reader. See json.h. */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct reader {
    struct aki__json_doc *doc;
    const char           *begin, *p, *end;
    char                 *decoded;      /* where the next decoded string goes */
    bool                  vocabulary;   /* see aki__json_parse_vocabulary */
    aki_error            *err;
};

static aki_status bad(struct reader *r, const char *at, const char *what)
{
    size_t line = 1;

    for (const char *s = r->begin; s < at; s++)
        line += *s == '\n';
    aki_status rc = aki__fail(r->err, AKI_E_INVALID, "%s: JSON, line %zu, byte %zu: %s", r->doc->name, line, (size_t)(at - r->begin), what);
    if (r->err)
        r->err->offset = (uint64_t)(at - r->begin);
    return rc;
}

static void space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

static aki_status add(struct reader *r, enum aki__json_kind kind, uint32_t *index)
{
    struct aki__json_doc *d = r->doc;

    if (d->count == AKI_JSON_MAX_NODES)
        return bad(r, r->p, "more than 8388608 values, the most that is read");
    if (!aki__grow((void **)&d->nodes, &d->capacity, d->count + 1, sizeof *d->nodes))
        return aki__fail(r->err, AKI_E_NOMEM, "%s: JSON", d->name);
    *index = (uint32_t)d->count;
    d->nodes[d->count++] = (struct aki__json){ .kind = (uint32_t)kind, .skip = 1, .offset = (uint32_t)(r->p - r->begin) };
    return AKI_OK;
}

static int hex4(const char *s)
{
    int v = 0;

    for (int i = 0; i < 4; i++) {
        char c = s[i];
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* Decodes the escape at p (behind the backslash) to r->decoded; answers the byte behind it, or NULL. */
static const char *escape(struct reader *r, const char *p)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *known;

    if (p < r->end && *p && (known = strchr(from, *p))) {
        *r->decoded++ = to[known - from];
        return p + 1;
    }
    if (r->end - p < 5 || *p != 'u')
        return NULL;
    int c = hex4(p + 1);
    p += 5;
    if (c < 0 || (c >= 0xDC00 && c <= 0xDFFF))
        return NULL;
    if (c >= 0xD800 && c <= 0xDBFF) {
        if (r->end - p < 6 || p[0] != '\\' || p[1] != 'u')
            return NULL;
        int low = hex4(p + 2);
        if (low < 0xDC00 || low > 0xDFFF)
            return NULL;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        p += 6;
    }
    r->decoded += aki__utf8_encode((uint32_t)c, r->decoded);
    return p;
}

static aki_status string(struct reader *r)
{
    uint32_t index;
    aki_status rc = add(r, AKI_JSON_STRING, &index);
    if (rc)
        return rc;

    const char *begin = ++r->p, *p = begin;
    char *decoded = NULL;
    for (;;) {
        const char *run = p;
        while (p < r->end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
            p++;
        if (p == r->end)
            return bad(r, p, "the string does not end");
        if ((unsigned char)*p < 0x20)
            return bad(r, p, "a control character in a string");
        if (decoded) {
            memcpy(r->decoded, run, (size_t)(p - run));
            r->decoded += p - run;
        }
        if (*p == '"')
            break;
        if (!decoded) {
            if (!r->doc->decoded) {     /* decoding never makes a string longer: the source's size is room for all */
                if (!(r->doc->decoded = aki__alloc((size_t)(r->end - r->begin), 1)))
                    return aki__fail(r->err, AKI_E_NOMEM, "%s: JSON", r->doc->name);
                r->decoded = r->doc->decoded;
            }
            decoded = r->decoded;
            memcpy(r->decoded, begin, (size_t)(p - begin));
            r->decoded += p - begin;
        }
        const char *after = escape(r, p + 1);
        if (!after)
            return bad(r, p, "not a valid escape");
        p = after;
    }
    struct aki__json *node = &r->doc->nodes[index];
    node->text = decoded ? decoded : begin;
    node->size = (uint32_t)(decoded ? r->decoded - decoded : p - begin);
    r->p = p + 1;
    return AKI_OK;
}

static bool digits(struct reader *r)
{
    const char *begin = r->p;

    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return r->p > begin;
}

static aki_status number(struct reader *r)
{
    uint32_t index;
    aki_status rc = add(r, AKI_JSON_NUMBER, &index);
    if (rc)
        return rc;

    const char *begin = r->p;
    if (r->p < r->end && *r->p == '-')
        r->p++;
    const char *first = r->p;
    if (!digits(r) || (*first == '0' && r->p - first > 1))
        return bad(r, begin, "not a valid value");
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (!digits(r))
            return bad(r, begin, "not a valid number");
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
            r->p++;
        if (!digits(r))
            return bad(r, begin, "not a valid number");
    }
    r->doc->nodes[index].text = begin;
    r->doc->nodes[index].size = (uint32_t)(r->p - begin);
    return AKI_OK;
}

static aki_status literal(struct reader *r, const char *word, enum aki__json_kind kind)
{
    uint32_t index;
    size_t size = strlen(word);

    if ((size_t)(r->end - r->p) < size || memcmp(r->p, word, size) != 0)
        return bad(r, r->p, "not a valid value");
    aki_status rc = add(r, kind, &index);
    r->p += size;
    return rc;
}

static aki_status fail_twice(struct reader *r, const struct aki__json *key)
{
    return bad(r, r->begin + key->offset, "the key stands twice in its object");
}

/* A table of hashes, which take their seed from an address: whoever writes a file does not know it, and cannot make its keys collide. */
static aki_status check_many_keys(struct reader *r, const struct aki__json *object)
{
    const struct aki__json *key = object + 1;
    size_t slots = 256;

    while (slots < (size_t)object->size * 2)
        slots *= 2;
    struct { uint32_t hash, node; } *table = aki__zalloc(slots, sizeof *table);     /* node: behind the object; 0: free */
    if (!table)
        return aki__fail(r->err, AKI_E_NOMEM, "%s: JSON", r->doc->name);
    aki_status rc = AKI_OK;
    for (uint32_t i = 0; i < object->size && !rc; i++, key = aki__json_next(key + 1)) {
        uint64_t hash = aki__hash(key->text, key->size, (uintptr_t)table);
        size_t s = (size_t)hash & (slots - 1);
        for (; table[s].node && !rc; s = (s + 1) & (slots - 1)) {
            const struct aki__json *other = object + table[s].node;
            if (table[s].hash == hash >> 32 && other->size == key->size && memcmp(other->text, key->text, key->size) == 0)
                rc = fail_twice(r, key);
        }
        table[s].hash = (uint32_t)(hash >> 32);
        table[s].node = (uint32_t)(key - object);
    }
    aki__free(table);
    return rc;
}

static bool only_numbers(const struct aki__json *object)
{
    if (object->skip != 1 + 2 * (uint64_t)object->size)
        return false;
    for (uint32_t i = 0; i < object->size; i++)
        if (object[2 + 2 * (size_t)i].kind != AKI_JSON_NUMBER)
            return false;
    return true;
}

static aki_status check_keys(struct reader *r, uint32_t index)
{
    const struct aki__json *object = &r->doc->nodes[index], *a = object + 1;

    if (object->size > 32)
        return r->vocabulary && only_numbers(object) ? AKI_OK : check_many_keys(r, object);
    for (uint32_t i = 0; i < object->size; i++, a = aki__json_next(a + 1)) {
        const struct aki__json *b = object + 1;
        for (uint32_t k = 0; k < i; k++, b = aki__json_next(b + 1))
            if (a->size == b->size && memcmp(a->text, b->text, a->size) == 0)
                return fail_twice(r, a);
    }
    return AKI_OK;
}

/* An explicit stack in place of recursion: the depth is bounded, and so is the machine stack. */
static aki_status parse(struct aki__json_doc *doc, const char *text, size_t size, const char *name, bool vocabulary, aki_error *err)
{
    struct reader r = { .doc = doc, .begin = text, .p = text, .end = text + size, .vocabulary = vocabulary, .err = err };
    uint32_t stack[AKI_JSON_MAX_DEPTH];
    int depth = 0;
    aki_status rc;

    *doc = (struct aki__json_doc){ .name = name };
    if (size >= AKI_JSON_MAX_SIZE)
        return aki__fail(err, AKI_E_INVALID, "%s: JSON of %zu bytes, above the limit of %u", name, size, (unsigned)AKI_JSON_MAX_SIZE);
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        return bad(&r, text, "a byte order mark, which JSON has none of (Python's reader refuses it too): save the file without");
    size_t wrong = aki__utf8_check(text, size);
    if (wrong != AKI_UTF8_VALID)
        return bad(&r, text + wrong, "not valid UTF-8");
    if (aki__is_lfs_pointer(text, size))
        return bad(&r, text, AKI_LFS_POINTER);

    bool value = true;      /* a value is due, not a comma or an end */
    bool empty = false;     /* the container was just opened: it may end at once */
    for (;;) {
        space(&r);
        if (r.p == r.end)
            return bad(&r, r.p, "the text ends too early");
        struct aki__json *top = depth ? &doc->nodes[stack[depth - 1]] : NULL;
        bool object = top && top->kind == AKI_JSON_OBJECT;
        if (top && (empty || !value) && *r.p == (object ? '}' : ']')) {
            r.p++;
            top->skip = (uint32_t)doc->count - stack[--depth];
            if (object && (rc = check_keys(&r, stack[depth])))
                return rc;
            value = empty = false;
        } else if (!value) {
            if (*r.p != ',')
                return bad(&r, r.p, "expected a comma or the end of the container");
            r.p++;
            value = true;
            continue;
        } else {
            if (object) {
                if (*r.p != '"')
                    return bad(&r, r.p, "expected a key");
                if ((rc = string(&r)))
                    return rc;
                space(&r);
                if (r.p == r.end || *r.p != ':')
                    return bad(&r, r.p, "expected a colon");
                r.p++;
                space(&r);
                if (r.p == r.end)
                    return bad(&r, r.p, "the text ends too early");
            }
            if (top)
                doc->nodes[stack[depth - 1]].size++;
            value = empty = false;
            uint32_t index;
            switch (*r.p) {
            case '{':
            case '[':
                if (depth == AKI_JSON_MAX_DEPTH)
                    return bad(&r, r.p, "nested too deeply");
                if ((rc = add(&r, *r.p == '{' ? AKI_JSON_OBJECT : AKI_JSON_ARRAY, &index)))
                    return rc;
                stack[depth++] = index;
                r.p++;
                value = empty = true;
                continue;
            case '"': rc = string(&r); break;
            case 't': rc = literal(&r, "true", AKI_JSON_TRUE); break;
            case 'f': rc = literal(&r, "false", AKI_JSON_FALSE); break;
            case 'n': rc = literal(&r, "null", AKI_JSON_NULL); break;
            default:  rc = number(&r); break;
            }
            if (rc)
                return rc;
        }
        if (depth == 0)
            break;
    }
    space(&r);
    return r.p == r.end ? AKI_OK : bad(&r, r.p, "text behind the end");
}

aki_status aki__json_parse(struct aki__json_doc *doc, const char *text, size_t size, const char *name, aki_error *err)
{
    return parse(doc, text, size, name, false, err);
}

aki_status aki__json_parse_vocabulary(struct aki__json_doc *doc, const char *text, size_t size, const char *name, aki_error *err)
{
    return parse(doc, text, size, name, true, err);
}

void aki__json_free(struct aki__json_doc *doc)
{
    aki__free(doc->nodes);
    aki__free(doc->decoded);
    *doc = (struct aki__json_doc){ 0 };
}

const struct aki__json *aki__json_first(const struct aki__json *node)
{
    return node->size ? node + 1 : NULL;
}

const struct aki__json *aki__json_get(const struct aki__json *node, const char *key)
{
    if (!aki__json_is(node, AKI_JSON_OBJECT))
        return NULL;
    const struct aki__json *e = node + 1;
    for (uint32_t i = 0; i < node->size; i++, e = aki__json_next(e + 1))
        if (aki__json_equals(e, key))
            return e + 1;
    return NULL;
}

bool aki__json_equals(const struct aki__json *node, const char *text)
{
    return aki__json_is(node, AKI_JSON_STRING) && node->size == strlen(text) && memcmp(node->text, text, node->size) == 0;
}

bool aki__json_double(const struct aki__json *node, double *out)
{
    char spelling[64];

    if (!aki__json_is(node, AKI_JSON_NUMBER) || node->size >= sizeof spelling)
        return false;
    memcpy(spelling, node->text, node->size);
    spelling[node->size] = '\0';
    /* strtod follows the host program's locale: where the decimal point is not '.', put that one in. */
    char *end, *point = strchr(spelling, '.');
    *out = strtod(spelling, &end);
    if (*end && point && end == point) {
        char probe[8];
        snprintf(probe, sizeof probe, "%.1f", 0.5);
        *point = probe[1];
        *out = strtod(spelling, &end);
    }
    return *end == '\0' && isfinite(*out);
}

bool aki__json_int(const struct aki__json *node, int64_t *out)
{
    double d;

    if (!aki__json_double(node, &d) || d != floor(d) || fabs(d) > 0x1p53)
        return false;
    *out = (int64_t)d;
    return true;
}

bool aki__json_bool(const struct aki__json *node, bool *out)
{
    if (!aki__json_is(node, AKI_JSON_TRUE) && !aki__json_is(node, AKI_JSON_FALSE))
        return false;
    *out = node->kind == AKI_JSON_TRUE;
    return true;
}
