/* Unit json: reads the body of a request. See json.h. */
#include "json.h"

#include "buf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct json_doc     *doc;
    char                *body;
    size_t               size, at;
    bool                 tables;           /* objects may be long */
    bool                 loose;            /* half a surrogate pair is U+FFFD */
    size_t               line, line_start; /* strings hold no raw line ends: skip_space meets them all */
    struct json_problem *problem;
};

static bool fail(struct reader *r, size_t offset, const char *what)
{
    r->problem->offset = offset;
    r->problem->line = r->line + 1;
    r->problem->column = offset - r->line_start + 1;
    r->problem->what = what;
    return false;
}

static void skip_space(struct reader *r)
{
    while (r->at < r->size && (r->body[r->at] == ' ' || r->body[r->at] == '\n' || r->body[r->at] == '\r' || r->body[r->at] == '\t')) {
        if (r->body[r->at++] == '\n') {
            r->line++;
            r->line_start = r->at;
        }
    }
}

static bool add(struct reader *r, int kind, size_t *index)
{
    struct json_doc *d = r->doc;

    if (d->count == d->capacity) {
        size_t capacity = d->capacity ? d->capacity + d->capacity / 2 : 64;
        struct json *nodes = realloc(d->nodes, capacity * sizeof *nodes);    /* a body's bytes bound the nodes */
        if (!nodes)
            return fail(r, r->at, NULL);
        d->nodes = nodes;
        d->capacity = capacity;
    }
    *index = d->count++;
    d->nodes[*index] = (struct json){ .kind = (uint8_t)kind, .skip = 1, .offset = (uint32_t)r->at };
    return true;
}

/* ---------------------------------------------------------------- strings --------------------------------------- */

static bool hex4(struct reader *r, uint32_t *out)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++, r->at++) {
        char c = r->at < r->size ? r->body[r->at] : 'x';
        if (c >= '0' && c <= '9')
            value = value * 16 + (uint32_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            value = value * 16 + (uint32_t)((c | 32) - 'a' + 10);
        else
            return fail(r, r->at, "invalid escape");
    }
    *out = value;
    return true;
}

static size_t put(char *out, uint32_t code)
{
    static const unsigned char lead[] = { 0, 0xC0, 0xE0, 0xF0 };
    size_t more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;

    for (size_t i = more; i; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(lead[more] | code);
    return more + 1;
}

/* Half a surrogate pair; what stands behind its escape, from end on, is read by itself. */
static bool lone_surrogate(struct reader *r, size_t start, size_t end, uint32_t *code)
{
    if (!r->loose)
        return fail(r, start, "lone surrogate in an escape");
    *code = 0xFFFD;
    r->at = end;
    return true;
}

/* Behind "\u": one code point, of one escape or of the two of a surrogate pair. */
static bool unicode(struct reader *r, uint32_t *code)
{
    size_t start = r->at - 2, end;
    uint32_t low;

    if (!hex4(r, code))
        return false;
    if (*code < 0xD800 || *code > 0xDFFF)
        return true;
    end = r->at;
    if (*code > 0xDBFF || r->size - r->at < 2 || r->body[r->at] != '\\' || r->body[r->at + 1] != 'u')
        return lone_surrogate(r, start, end, code);
    r->at += 2;
    if (!hex4(r, &low))
        return false;
    if (low < 0xDC00 || low > 0xDFFF)
        return lone_surrogate(r, start, end, code);
    *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

static bool escape(struct reader *r, size_t *to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    char c = r->at + 1 < r->size ? r->body[r->at + 1] : '\0';
    const char *found = c ? strchr(from, c) : NULL;
    uint32_t code;

    r->at += 2;
    if (found) {
        r->body[(*to)++] = into[found - from];
        return true;
    }
    if (c != 'u')
        return fail(r, r->at - 2, "invalid escape");
    if (!unicode(r, &code))
        return false;
    *to += put(r->body + *to, code);
    return true;
}

/* An escape is never shorter than what it stands for, so the text shrinks in its place; the closing quote makes room for a NUL. */
static bool read_string(struct reader *r)
{
    size_t index, start = r->at + 1, to = start;

    if (!add(r, JSON_STRING, &index))
        return false;
    r->at++;
    for (;;) {
        size_t run = r->at;
        while (r->at < r->size && r->body[r->at] != '"' && r->body[r->at] != '\\' && (unsigned char)r->body[r->at] >= 0x20)
            r->at++;
        size_t length = r->at - run, bad = text_check(r->body + run, length);
        if (bad != SIZE_MAX)
            return fail(r, run + bad, "invalid unicode code point");
        memmove(r->body + to, r->body + run, length);
        to += length;
        if (r->at == r->size)
            return fail(r, r->at, "EOF while parsing a string");
        if (r->body[r->at] == '"')
            break;
        if (r->body[r->at] != '\\')
            return fail(r, r->at, "control character while parsing a string");
        if (!escape(r, &to))
            return false;
    }
    r->at++;
    r->body[to] = '\0';
    r->doc->nodes[index].text = r->body + start;
    r->doc->nodes[index].size = (uint32_t)(to - start);
    return true;
}

/* ---------------------------------------------------------------- numbers and words ----------------------------- */

static size_t digits(struct reader *r)
{
    size_t start = r->at;

    while (r->at < r->size && r->body[r->at] >= '0' && r->body[r->at] <= '9')
        r->at++;
    return r->at - start;
}

static bool read_number(struct reader *r)
{
    size_t index, start = r->at;

    if (!add(r, JSON_NUMBER, &index))
        return false;
    r->at += r->body[r->at] == '-';
    bool zero = r->at < r->size && r->body[r->at] == '0';
    size_t whole = digits(r);
    if (!whole || (zero && whole > 1))
        return fail(r, start, "invalid number");
    if (r->at < r->size && r->body[r->at] == '.') {
        r->at++;
        if (!digits(r))
            return fail(r, start, "invalid number");
    }
    if (r->at < r->size && (r->body[r->at] | 32) == 'e') {
        r->at++;
        if (r->at < r->size && (r->body[r->at] == '+' || r->body[r->at] == '-'))
            r->at++;
        if (!digits(r))
            return fail(r, start, "invalid number");
    }
    r->doc->nodes[index].text = r->body + start;
    r->doc->nodes[index].size = (uint32_t)(r->at - start);
    return true;
}

static bool read_word(struct reader *r)
{
    static const struct { const char *word; int kind; } words[] = { { "null", JSON_NULL }, { "false", JSON_FALSE }, { "true", JSON_TRUE } };
    size_t index;

    for (size_t i = 0; i < 3; i++) {
        size_t size = strlen(words[i].word);
        if (r->size - r->at < size || memcmp(r->body + r->at, words[i].word, size))
            continue;
        if (!add(r, words[i].kind, &index))
            return false;
        r->at += size;
        return true;
    }
    return fail(r, r->at, "expected value");
}

/* ---------------------------------------------------------------- values ---------------------------------------- */

static bool read_value(struct reader *r, int depth);

static bool read_array(struct reader *r, int depth)
{
    size_t index;
    uint32_t count = 0;

    if (!add(r, JSON_ARRAY, &index))
        return false;
    r->at++;
    skip_space(r);
    if (r->at < r->size && r->body[r->at] == ']') {
        r->at++;
        return true;
    }
    for (;;) {
        if (!read_value(r, depth + 1))
            return false;
        count++;
        skip_space(r);
        if (r->at == r->size)
            return fail(r, r->at, "EOF while parsing a list");
        char c = r->body[r->at++];
        if (c == ']')
            break;
        if (c != ',')
            return fail(r, r->at - 1, "expected `,` or `]`");
    }
    r->doc->nodes[index].size = count;
    r->doc->nodes[index].skip = (uint32_t)(r->doc->count - index);
    return true;
}

/* A key again: two readers of the same body could see two requests. */
static bool is_known(const struct json_doc *d, size_t object, size_t key)
{
    const struct json *k = &d->nodes[key];

    for (size_t i = object + 1; i < key;) {
        const struct json *old = &d->nodes[i];
        if (old->size == k->size && !memcmp(old->text, k->text, k->size))
            return true;
        i += 1 + old[1].skip;
    }
    return false;
}

enum { MEMBER_LIMIT = 256 };               /* bounds the time that the search for equal keys takes */

static bool read_object(struct reader *r, int depth)
{
    size_t index;
    uint32_t count = 0;

    if (!add(r, JSON_OBJECT, &index))
        return false;
    r->at++;
    skip_space(r);
    if (r->at < r->size && r->body[r->at] == '}') {
        r->at++;
        return true;
    }
    for (;;) {
        size_t key = r->doc->count, key_at;
        skip_space(r);
        key_at = r->at;
        if (r->at == r->size)
            return fail(r, r->at, "EOF while parsing an object");
        if (r->body[r->at] != '"')
            return fail(r, r->at, "key must be a string");
        if (count == MEMBER_LIMIT && !r->tables)
            return fail(r, r->at, "too many members in an object");
        if (!read_string(r))
            return false;
        if (count < MEMBER_LIMIT && is_known(r->doc, index, key))
            return fail(r, key_at, "duplicate field");
        skip_space(r);
        if (r->at == r->size)
            return fail(r, r->at, "EOF while parsing an object");
        if (r->body[r->at++] != ':')
            return fail(r, r->at - 1, "expected `:`");
        if (!read_value(r, depth + 1))
            return false;
        count++;
        skip_space(r);
        if (r->at == r->size)
            return fail(r, r->at, "EOF while parsing an object");
        char c = r->body[r->at++];
        if (c == '}')
            break;
        if (c != ',')
            return fail(r, r->at - 1, "expected `,` or `}`");
    }
    r->doc->nodes[index].size = count;
    r->doc->nodes[index].skip = (uint32_t)(r->doc->count - index);
    return true;
}

static bool read_value(struct reader *r, int depth)
{
    skip_space(r);
    if (r->at == r->size)
        return fail(r, r->at, "EOF while parsing a value");
    if (depth >= JSON_DEPTH)
        return fail(r, r->at, "recursion limit exceeded");
    switch (r->body[r->at]) {
    case '[': return read_array(r, depth);
    case '{': return read_object(r, depth);
    case '"': return read_string(r);
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return read_number(r);
    default:
        return read_word(r);
    }
}

static bool parse(struct reader r)
{
    struct json_doc *doc = r.doc;
    bool ok;

    memset(doc, 0, sizeof *doc);
    memset(r.problem, 0, sizeof *r.problem);
    if (r.size > UINT32_MAX)
        ok = fail(&r, 0, "too long");
    else
        ok = read_value(&r, 0);
    if (ok) {
        skip_space(&r);
        ok = r.at == r.size || fail(&r, r.at, "trailing characters");
    }
    if (!ok)
        json_free(doc);
    return ok;
}

bool json_parse(struct json_doc *doc, char *body, size_t size, struct json_problem *problem)
{
    return parse((struct reader){ .doc = doc, .body = body, .size = size, .problem = problem });
}

bool json_parse_loose(struct json_doc *doc, char *body, size_t size, struct json_problem *problem)
{
    return parse((struct reader){ .doc = doc, .body = body, .size = size, .problem = problem, .loose = true });
}

bool json_parse_tables(struct json_doc *doc, char *body, size_t size, struct json_problem *problem)
{
    return parse((struct reader){ .doc = doc, .body = body, .size = size, .problem = problem, .tables = true });
}

void json_free(struct json_doc *doc)
{
    free(doc->nodes);
    memset(doc, 0, sizeof *doc);
}

/* ---------------------------------------------------------------- asking ---------------------------------------- */

const struct json *json_get(const struct json *object, const char *key)
{
    size_t size = strlen(key);

    if (!object || object->kind != JSON_OBJECT)
        return NULL;
    const struct json *node = object + 1;
    for (uint32_t i = 0; i < object->size; i++) {
        if (node->size == size && !memcmp(node->text, key, size))
            return node + 1;
        node += 1 + node[1].skip;
    }
    return NULL;
}

bool json_int(const struct json *node, int64_t least, int64_t most, int64_t *out)
{
    char text[40];

    if (!node || node->kind != JSON_NUMBER || node->size >= sizeof text)
        return false;
    memcpy(text, node->text, node->size);
    text[node->size] = '\0';
    double value = strtod(text, NULL);
    /* Below 2^53 a double is exact. */
    if (!(fabs(value) < 9007199254740992.0) || value != floor(value) || value < (double)least || value > (double)most)
        return false;
    *out = (int64_t)value;
    return true;
}
