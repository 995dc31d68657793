/* Unit json: strict JSON reader. See json.h. */
#include "util/json.h"

#include "util/hash.h"
#include "util/memory.h"
#include "util/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct reader {
    struct aki__json_doc     *doc;
    const char               *begin, *p, *end;
    char                     *writable;     /* begin, where strings are decoded in place; else NULL */
    char                     *decoded;      /* else: where the next decoded string goes */
    unsigned                  how;
    /* An explicit stack in place of recursion: the depth is bounded, and so is the machine stack. */
    uint32_t                  stack[AKI_JSON_MAX_DEPTH];
    int                       depth, most_depth;
    struct aki__json_problem *problem;
};

const char *aki__json_words(enum aki__json_error error)
{
    switch (error) {
    case AKI_JSON_FINE:               return "nothing is wrong";
    case AKI_JSON_NO_MEMORY:          return "out of memory";
    case AKI_JSON_TOO_LONG:           return "longer than 256 MiB, the most that is read";
    case AKI_JSON_TOO_MANY:           return "more than 8388608 values, the most that is read";
    case AKI_JSON_TOO_DEEP:           return "nested too deeply";
    case AKI_JSON_BYTE_ORDER_MARK:    return "a byte order mark, which JSON has none of (Python's reader refuses it too): save the file without";
    case AKI_JSON_NOT_UTF8:           return "not valid UTF-8";
    case AKI_JSON_ENDS:
    case AKI_JSON_ENDS_IN_ARRAY:
    case AKI_JSON_ENDS_IN_OBJECT:     return "the text ends too early";
    case AKI_JSON_ENDS_IN_STRING:     return "the string does not end";
    case AKI_JSON_NO_VALUE:
    case AKI_JSON_NO_NUMBER:          return "not a valid value";
    case AKI_JSON_NO_FRACTION:        return "not a valid number";
    case AKI_JSON_NO_KEY:             return "expected a key";
    case AKI_JSON_ENDS_AT_COLON:
    case AKI_JSON_NO_COLON:           return "expected a colon";
    case AKI_JSON_NO_COMMA_IN_ARRAY:
    case AKI_JSON_NO_COMMA_IN_OBJECT: return "expected a comma or the end of the container";
    case AKI_JSON_CONTROL:            return "a control character in a string";
    case AKI_JSON_ESCAPE:             return "not a valid escape";
    case AKI_JSON_SURROGATE:          return "not a valid escape: half of a surrogate pair";
    case AKI_JSON_TWICE:              return "the key stands twice in its object";
    case AKI_JSON_BEHIND:             return "text behind the end";
    }
    return "not valid";
}

/* Counts lines, for a message. Strings hold no line ends but those that were decoded in place: the bytes of such are passed over. */
static void find_line(const struct reader *r, struct aki__json_problem *problem)
{
    const struct aki__json *node = r->doc->nodes, *end = node ? node + r->doc->count : NULL;
    size_t line_start = 0;

    problem->line = 1;
    for (size_t i = 0; i < problem->offset; i++) {
        while (node < end && (node->offset < i || node->kind != AKI_JSON_STRING))
            node++;
        if (r->writable && node < end && node->offset == i) {
            if (!node->text)
                break;                      /* the string in which reading ended */
            i = (size_t)(node->text + node->size - r->begin);
        } else if (r->begin[i] == '\n') {
            problem->line++;
            line_start = i + 1;
        }
    }
    problem->column = problem->offset - line_start + 1;
}

static bool fail(struct reader *r, const char *at, enum aki__json_error error)
{
    *r->problem = (struct aki__json_problem){ .error = error, .offset = (size_t)(at - r->begin) };
    if (error == AKI_JSON_TOO_LONG || error == AKI_JSON_NO_MEMORY)
        r->problem->line = r->problem->column = 1;
    else
        find_line(r, r->problem);
    return false;
}

static inline void space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

/* A node for the value at r->p; NULL: it failed. Valid until the next one. */
static inline struct aki__json *add(struct reader *r, enum aki__json_kind kind)
{
    struct aki__json_doc *d = r->doc;

    if (d->count == AKI_JSON_MAX_NODES)
        return fail(r, r->p, AKI_JSON_TOO_MANY), NULL;
    if (d->count == d->capacity && !aki__grow((void **)&d->nodes, &d->capacity, d->count + 1, sizeof *d->nodes))
        return fail(r, r->p, AKI_JSON_NO_MEMORY), NULL;
    struct aki__json *node = &d->nodes[d->count++];
    *node = (struct aki__json){ .kind = (uint32_t)kind, .skip = 1, .offset = (uint32_t)(r->p - r->begin) };
    return node;
}

/* ---------------------------------------------------------------- strings --------------------------------------- */

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

/* Decodes the escape at p (its backslash) to *to, which moves; answers the byte behind it, or NULL: it is none. */
static const char *escape(struct reader *r, const char *p, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    const char c = r->end - p > 1 ? p[1] : '\0', *known = c ? strchr(from, c) : NULL, *next = p + 6;
    int code, low = -1;

    if (known) {
        *(*to)++ = into[known - from];
        return p + 2;
    }
    if (c != 'u' || r->end - p < 6 || (code = hex4(p + 2)) < 0)
        return fail(r, p, AKI_JSON_ESCAPE), NULL;
    if (code >= 0xD800 && code <= 0xDFFF) {
        if (code <= 0xDBFF && r->end - next >= 6 && next[0] == '\\' && next[1] == 'u')
            low = hex4(next + 2);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            next += 6;
        } else if (r->how & AKI_JSON_LONE_HALVES) {
            code = 0xFFFD;                  /* what stands behind it is read by itself */
        } else {
            return fail(r, p, AKI_JSON_SURROGATE), NULL;
        }
    }
    *to += aki__utf8_encode((uint32_t)code, *to);
    return next;
}

/* The first escape of a string was met, which begins with plain bytes, begin to p: where the byte behind these is decoded to, or NULL. Decoding
 * never makes a string longer: its own place is room enough, and the source's size is for all strings together. */
static char *begin_decoding(struct reader *r, const char *begin, const char *p)
{
    struct aki__json_doc *d = r->doc;
    size_t size = (size_t)(p - begin);

    if (r->writable)
        return r->writable + (p - r->begin);
    if (!d->decoded) {
        if (!(d->decoded = aki__alloc((size_t)(r->end - r->begin), 1)))
            return fail(r, p, AKI_JSON_NO_MEMORY), NULL;
        r->decoded = d->decoded;
    }
    memcpy(r->decoded, begin, size);
    return r->decoded + size;
}

static bool string(struct reader *r)
{
    struct aki__json *node = add(r, AKI_JSON_STRING);

    if (!node)
        return false;
    const char *begin = ++r->p, *p = begin, *text = begin;
    char *to = NULL;                        /* behind what was decoded; NULL: nothing had to be */
    for (;;) {
        const char *run = p;
        while (p < r->end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
            p++;
        if (p == r->end)
            return fail(r, p, AKI_JSON_ENDS_IN_STRING);
        if ((unsigned char)*p < 0x20)
            return fail(r, p, AKI_JSON_CONTROL);
        if (to) {
            memmove(to, run, (size_t)(p - run));
            to += p - run;
        }
        if (*p == '"')
            break;
        if (!to) {
            if (!(to = begin_decoding(r, begin, p)))
                return false;
            text = r->writable ? begin : r->decoded;
        }
        if (!(p = escape(r, p, &to)))
            return false;
    }
    node->text = text;
    node->size = (uint32_t)((to ? to : p) - text);
    r->p = p + 1;
    if (r->writable)
        r->writable[text + node->size - r->begin] = '\0';
    else if (to)
        r->decoded = to;
    return true;
}

/* ---------------------------------------------------------------- numbers and words ----------------------------- */

static bool digits(struct reader *r)
{
    const char *begin = r->p;

    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return r->p > begin;
}

static bool is_only_counted(const struct reader *r)
{
    return r->how & AKI_JSON_COUNT_NUMBERS && r->depth && r->doc->nodes[r->stack[r->depth - 1]].kind == AKI_JSON_ARRAY;
}

static bool number(struct reader *r)
{
    const char *begin = r->p;
    struct aki__json *node = NULL;

    if (!is_only_counted(r) && !(node = add(r, AKI_JSON_NUMBER)))
        return false;
    if (r->p < r->end && *r->p == '-')
        r->p++;
    const char *first = r->p;
    if (!digits(r) || (*first == '0' && r->p - first > 1))
        return fail(r, begin, r->p > begin ? AKI_JSON_NO_NUMBER : AKI_JSON_NO_VALUE);
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (!digits(r))
            return fail(r, begin, AKI_JSON_NO_FRACTION);
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
            r->p++;
        if (!digits(r))
            return fail(r, begin, AKI_JSON_NO_FRACTION);
    }
    if (node) {
        node->text = begin;
        node->size = (uint32_t)(r->p - begin);
    }
    return true;
}

static bool literal(struct reader *r, const char *word, enum aki__json_kind kind)
{
    size_t size = strlen(word);

    if ((size_t)(r->end - r->p) < size || memcmp(r->p, word, size) != 0)
        return fail(r, r->p, AKI_JSON_NO_VALUE);
    if (!add(r, kind))
        return false;
    r->p += size;
    return true;
}

/* ---------------------------------------------------------------- keys ------------------------------------------ */

static bool fail_twice(struct reader *r, const struct aki__json *key)
{
    return fail(r, r->begin + key->offset, AKI_JSON_TWICE);
}

/* A table of hashes, which take their seed from an address: whoever writes a text does not know it, and cannot make its keys collide. */
static bool check_many_keys(struct reader *r, const struct aki__json *object)
{
    const struct aki__json *key = object + 1;
    size_t slots = 256;

    while (slots < (size_t)object->size * 2)
        slots *= 2;
    struct { uint32_t hash, node; } *table = aki__zalloc(slots, sizeof *table);     /* node: behind the object; 0: free */
    if (!table)
        return fail(r, r->p, AKI_JSON_NO_MEMORY);
    bool ok = true;
    for (uint32_t i = 0; i < object->size && ok; i++, key = aki__json_next(key + 1)) {
        uint64_t hash = aki__hash(key->text, key->size, (uintptr_t)table);
        size_t s = (size_t)hash & (slots - 1);
        for (; table[s].node && ok; s = (s + 1) & (slots - 1)) {
            const struct aki__json *other = object + table[s].node;
            if (table[s].hash == hash >> 32 && other->size == key->size && memcmp(other->text, key->text, key->size) == 0)
                ok = fail_twice(r, key);
        }
        table[s].hash = (uint32_t)(hash >> 32);
        table[s].node = (uint32_t)(key - object);
    }
    aki__free(table);
    return ok;
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

static bool check_keys(struct reader *r, const struct aki__json *object)
{
    const struct aki__json *a = object + 1;

    if (r->how & AKI_JSON_REPEATED_KEYS)
        return true;
    if (object->size > 32)
        return (r->how & AKI_JSON_VOCABULARY && only_numbers(object)) || check_many_keys(r, object);
    for (uint32_t i = 0; i < object->size; i++, a = aki__json_next(a + 1)) {
        const struct aki__json *b = object + 1;
        for (uint32_t k = 0; k < i; k++, b = aki__json_next(b + 1))
            if (a->size == b->size && memcmp(a->text, b->text, a->size) == 0)
                return fail_twice(r, a);
    }
    return true;
}

/* ---------------------------------------------------------------- values ---------------------------------------- */

/* A key, its colon, and the space behind. */
static inline bool read_key(struct reader *r)
{
    if (*r->p != '"')
        return fail(r, r->p, AKI_JSON_NO_KEY);
    if (!string(r))
        return false;
    space(r);
    if (r->p == r->end)
        return fail(r, r->p, AKI_JSON_ENDS_AT_COLON);
    if (*r->p != ':')
        return fail(r, r->p, AKI_JSON_NO_COLON);
    r->p++;
    space(r);
    return r->p < r->end || fail(r, r->p, AKI_JSON_ENDS);
}

static bool enter(struct reader *r, enum aki__json_kind kind)
{
    if (r->depth == r->most_depth)
        return fail(r, r->p, AKI_JSON_TOO_DEEP);
    struct aki__json *node = add(r, kind);
    if (!node)
        return false;
    r->stack[r->depth++] = (uint32_t)(node - r->doc->nodes);
    r->p++;
    return true;
}

static inline bool leave(struct reader *r)
{
    uint32_t index = r->stack[--r->depth];
    struct aki__json *node = &r->doc->nodes[index];

    r->p++;
    node->skip = (uint32_t)r->doc->count - index;
    return node->kind != AKI_JSON_OBJECT || check_keys(r, node);
}

static inline bool scalar(struct reader *r)
{
    switch (*r->p) {
    case '"': return string(r);
    case 't': return literal(r, "true", AKI_JSON_TRUE);
    case 'f': return literal(r, "false", AKI_JSON_FALSE);
    case 'n': return literal(r, "null", AKI_JSON_NULL);
    default:  return number(r);
    }
}

/* What may come next: a value; that or the end of the container, which was just opened; a comma or that end. */
enum due { VALUE, FIRST, COMMA };

static bool fail_end(struct reader *r, const struct aki__json *container, enum due due)
{
    if (!aki__json_is(container, AKI_JSON_OBJECT))
        return fail(r, r->p, due == COMMA ? AKI_JSON_ENDS_IN_ARRAY : AKI_JSON_ENDS);
    return fail(r, r->p, AKI_JSON_ENDS_IN_OBJECT);
}

/* The root, with all that is in it. */
static bool values(struct reader *r)
{
    enum due due = VALUE;

    do {
        struct aki__json *top = r->depth ? &r->doc->nodes[r->stack[r->depth - 1]] : NULL;
        bool object = top && top->kind == AKI_JSON_OBJECT;
        space(r);
        if (r->p == r->end)
            return fail_end(r, top, due);
        if (top && due != VALUE && *r->p == (object ? '}' : ']')) {
            if (!leave(r))
                return false;
            due = COMMA;
        } else if (due == COMMA) {
            if (*r->p != ',')
                return fail(r, r->p, object ? AKI_JSON_NO_COMMA_IN_OBJECT : AKI_JSON_NO_COMMA_IN_ARRAY);
            r->p++;
            due = VALUE;
        } else {
            if (top)
                top->size++;
            if (object && !read_key(r))
                return false;
            bool opens = *r->p == '{' || *r->p == '[';
            if (opens ? !enter(r, *r->p == '{' ? AKI_JSON_OBJECT : AKI_JSON_ARRAY) : !scalar(r))
                return false;
            due = opens ? FIRST : COMMA;
        }
    } while (r->depth);
    return true;
}

static bool read_all(struct reader *r)
{
    size_t size = (size_t)(r->end - r->begin);

    *r->doc = (struct aki__json_doc){ 0 };
    *r->problem = (struct aki__json_problem){ .error = AKI_JSON_FINE };
    if (size >= (r->how & AKI_JSON_COUNT_NUMBERS ? UINT32_MAX : AKI_JSON_MAX_SIZE))
        return fail(r, r->begin, AKI_JSON_TOO_LONG);
    if (size >= 3 && memcmp(r->begin, "\xEF\xBB\xBF", 3) == 0)
        return fail(r, r->begin, AKI_JSON_BYTE_ORDER_MARK);
    size_t wrong = aki__utf8_check(r->begin, size);
    if (wrong != AKI_UTF8_VALID)
        return fail(r, r->begin + wrong, AKI_JSON_NOT_UTF8);
    if (!values(r))
        return false;
    space(r);
    return r->p == r->end || fail(r, r->p, AKI_JSON_BEHIND);
}

bool aki__json_read(struct aki__json_doc *doc, const char *text, size_t size, unsigned how, int depth, struct aki__json_problem *problem)
{
    struct reader r = { .doc = doc, .begin = text, .p = text, .end = text + size, .how = how, .most_depth = depth, .problem = problem };

    return read_all(&r);
}

bool aki__json_read_in_place(struct aki__json_doc *doc, char *text, size_t size, unsigned how, int depth, struct aki__json_problem *problem)
{
    struct reader r = { .doc = doc, .begin = text, .p = text, .end = text + size, .writable = text, .how = how, .most_depth = depth, .problem = problem };

    return read_all(&r);
}

void aki__json_free(struct aki__json_doc *doc)
{
    aki__free(doc->nodes);
    aki__free(doc->decoded);
    *doc = (struct aki__json_doc){ 0 };
}

/* ---------------------------------------------------------------- asking ---------------------------------------- */

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

bool aki__json_int_in(const struct aki__json *node, int64_t least, int64_t most, int64_t *out)
{
    int64_t value;

    if (!aki__json_int(node, &value) || value < least || value > most)
        return false;
    *out = value;
    return true;
}
