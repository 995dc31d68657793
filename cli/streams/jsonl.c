/* Unit jsonl: a reader for one JSON value in one line: checks the grammar of all of it, keeps what is asked for. See jsonl.h. */
#include "jsonl.h"

#include <string.h>

enum { DEPTH_LIMIT = 200 };

struct reader {
    const char *start, *at, *end;
    int depth;
    struct jsonl_problem *problem;
};

static bool bad(struct reader *r, const char *what)
{
    r->problem->at = (size_t)(r->at - r->start);
    r->problem->what = what;
    return false;
}

static void blanks(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool take(struct reader *r, char c)
{
    blanks(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* Four hexadecimal digits. */
static bool hex4(struct reader *r, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        char c = r->at < r->end ? *r->at : 0;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0)
            return bad(r, "\\u needs four hexadecimal digits");
        *code = *code << 4 | (uint32_t)digit;
    }
    return true;
}

/* Behind the backslash. Writes what the escape stands for. */
static bool escape(struct reader *r, char out[4], size_t *length)
{
    static const char letters[] = "\"\"\\\\//b\bf\fn\nr\rt\t";    /* pairs */
    char c = r->at < r->end ? *r->at : 0;
    uint32_t code, second;

    if (c != 'u') {
        for (const char *e = letters; *e; e += 2) {
            if (*e == c) {
                out[0] = e[1];
                *length = 1;
                r->at++;
                return true;
            }
        }
        return bad(r, "no such escape in a string");
    }
    r->at++;
    if (!hex4(r, &code))
        return false;
    if (code >= 0xD800 && code < 0xDC00) {
        if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
            return bad(r, "half of a surrogate pair");
        r->at += 2;
        if (!hex4(r, &second))
            return false;
        if (second < 0xDC00 || second > 0xDFFF)
            return bad(r, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
        return bad(r, "half of a surrogate pair");
    }
    *length = utf8_put(out, code);
    return true;
}

/* A string, at its quote. out NULL: only checked. */
static bool string(struct reader *r, struct bytes *out)
{
    if (r->at == r->end || *r->at != '"')
        return bad(r, "a string is expected here");
    r->at++;
    while (r->at < r->end && *r->at != '"') {
        const char *run = r->at;
        while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20)
            r->at++;
        if (out && !bytes_append(out, run, (size_t)(r->at - run)))
            return bad(r, NULL);
        if (r->at < r->end && *r->at == '\\') {
            char piece[4];
            size_t length;
            r->at++;
            if (!escape(r, piece, &length))
                return false;
            if (out && !bytes_append(out, piece, length))
                return bad(r, NULL);
        } else if (r->at < r->end && *r->at != '"') {
            return bad(r, "a control character in a string");
        }
    }
    if (r->at == r->end)
        return bad(r, "the string has no end");
    r->at++;
    return true;
}

static bool digits(struct reader *r)
{
    if (r->at == r->end || *r->at < '0' || *r->at > '9')
        return bad(r, "a digit is expected here");
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return true;
}

static bool number(struct reader *r)
{
    if (*r->at == '-')
        r->at++;
    if (r->at < r->end && *r->at == '0')
        r->at++;
    else if (!digits(r))
        return false;
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!digits(r))
            return false;
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        return digits(r);
    }
    return true;
}

static bool word(struct reader *r, const char *name)
{
    size_t size = strlen(name);

    if ((size_t)(r->end - r->at) < size || memcmp(r->at, name, size))
        return bad(r, "not JSON");
    r->at += size;
    return true;
}

static bool value(struct reader *r);

/* count (NULL allowed): the elements. */
static bool array(struct reader *r, size_t *count)
{
    size_t elements = 0;

    r->at++;
    if (!take(r, ']')) {
        do {
            if (!value(r))
                return false;
            elements++;
        } while (take(r, ','));
        if (!take(r, ']'))
            return bad(r, "',' or ']' is expected here");
    }
    if (count)
        *count = elements;
    return true;
}

static bool object(struct reader *r)
{
    r->at++;
    if (take(r, '}'))
        return true;
    do {
        blanks(r);
        if (!string(r, NULL))
            return false;
        if (!take(r, ':'))
            return bad(r, "':' is expected here");
        if (!value(r))
            return false;
    } while (take(r, ','));
    return take(r, '}') || bad(r, "',' or '}' is expected here");
}

static bool value(struct reader *r)
{
    bool ok;

    blanks(r);
    if (r->at == r->end)
        return bad(r, "a value is expected here");
    if (r->depth == DEPTH_LIMIT)
        return bad(r, "nested too deep");
    r->depth++;
    switch (*r->at) {
    case '"': ok = string(r, NULL); break;
    case '[': ok = array(r, NULL); break;
    case '{': ok = object(r); break;
    case 't': ok = word(r, "true"); break;
    case 'f': ok = word(r, "false"); break;
    case 'n': ok = word(r, "null"); break;
    default:  ok = (*r->at == '-' || (*r->at >= '0' && *r->at <= '9')) ? number(r) : bad(r, "not JSON"); break;
    }
    r->depth--;
    return ok;
}

static bool only_blanks_left(struct reader *r)
{
    blanks(r);
    return r->at == r->end || bad(r, "more behind the value");
}

static bool named(const struct bytes *key, const char *name)
{
    return key->size == strlen(name) && !memcmp(key->data, name, key->size);
}

static bool is_reserved(const struct bytes *key, const char *const *reserved)
{
    for (; reserved && *reserved; reserved++)
        if (named(key, *reserved))
            return true;
    return false;
}

/* A member whose key stands before r->at; from: where the key begins. */
static bool member(struct reader *r, const char *from, const struct bytes *key, const char *const *reserved, struct bytes *text,
                   bool *has_text, struct bytes *extra, size_t *dropped)
{
    blanks(r);
    if (named(key, "text")) {
        if (*has_text)
            return bad(r, "a second \"text\"");
        *has_text = true;
        return r->at < r->end && *r->at == '"' ? string(r, text) : bad(r, "\"text\" is not a string");
    }
    if (!value(r))
        return false;
    if (is_reserved(key, reserved)) {
        ++*dropped;
        return true;
    }
    if ((extra->size && !bytes_append(extra, ",", 1)) || !bytes_append(extra, from, (size_t)(r->at - from)))
        return bad(r, NULL);
    return true;
}

bool jsonl_read(const char *line, size_t size, const char *const *reserved, struct bytes *text, struct bytes *extra, size_t *dropped,
                struct jsonl_problem *problem)
{
    struct reader r = { line, line, line + size, 0, problem };
    struct bytes key = { 0 }, members = { 0 };
    bool has_text = false, ok = false;

    blanks(&r);
    if (r.at < r.end && *r.at == '"') {
        ok = string(&r, text) && only_blanks_left(&r);
        goto done;
    }
    if (r.at == r.end || *r.at != '{') {
        bad(&r, "a line is a JSON string or an object with \"text\"");
        goto done;
    }
    r.at++;
    if (!take(&r, '}')) {
        do {
            blanks(&r);
            const char *from = r.at;
            key.size = 0;
            if (!string(&r, &key))
                goto done;
            if (!take(&r, ':')) {
                bad(&r, "':' is expected here");
                goto done;
            }
            if (!member(&r, from, &key, reserved, text, &has_text, &members, dropped))
                goto done;
        } while (take(&r, ','));
        if (!take(&r, '}')) {
            bad(&r, "',' or '}' is expected here");
            goto done;
        }
    }
    if (!only_blanks_left(&r))
        goto done;
    if (!has_text) {
        r.at = r.start;
        bad(&r, "the object has no \"text\"");
        goto done;
    }
    ok = bytes_append(extra, members.data, members.size) || bad(&r, NULL);
done:
    bytes_free(&members);
    bytes_free(&key);
    return ok;
}

bool jsonl_row(const char *line, size_t size, const char *wanted, int64_t *index, size_t *count)
{
    struct jsonl_problem problem;
    struct reader r = { line, line, line + size, 0, &problem };
    struct bytes key = { 0 };
    bool has_index = false, has_array = false, ok = false;

    if (!take(&r, '{'))
        return false;
    do {
        blanks(&r);
        key.size = 0;
        if (!string(&r, &key) || !take(&r, ':'))
            goto done;
        blanks(&r);
        if (named(&key, wanted) && r.at < r.end && *r.at == '[') {
            has_array = true;
            if (!array(&r, count))
                goto done;
            continue;
        }
        const char *from = r.at;
        if (!value(&r))
            goto done;
        if (named(&key, "index")) {
            *index = 0;
            has_index = r.at - from < 19;
            for (; from < r.at && has_index; from++) {
                has_index = *from >= '0' && *from <= '9';
                *index = *index * 10 + (*from - '0');
            }
        }
    } while (take(&r, ','));
    ok = take(&r, '}') && only_blanks_left(&r) && has_index && has_array;
done:
    bytes_free(&key);
    return ok;
}
