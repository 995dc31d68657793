/* Unit regex: translates a regular expression of Oniguruma's Ruby syntax, which Hugging Face uses, to PCRE2's. See regex.h.
 *
 * Each class becomes a set of code points from our tables (PCRE2's follow another version of Unicode), \b is written out, and ^
 * and $ match at lines. What the two libraries read differently, and is not written out here, is refused. */
#include "text/regex.h"

#include "text/code_points.h"

#include <stdio.h>

#define PATTERN_LIMIT  ((size_t)1 << 20)   /* bytes of the result */
#define DEPTH_LIMIT    64

struct translator {
    const char     *p, *end;
    struct aki__buf out;
    const char     *unsupported;    /* the first part that is not supported; NULL: none */
    bool            no_memory;
    bool            any_case;       /* inside (?i: …) */
    uint32_t        before;         /* under any_case, the previous literal; 0: none */
    int             depth;
};

static bool refuse(struct translator *t, const char *what)
{
    if (!t->unsupported)
        t->unsupported = what;
    return false;
}

static void emit(struct translator *t, const char *text)
{
    if (!aki__buf_append(&t->out, text, strlen(text), PATTERN_LIMIT))
        t->no_memory = true;
}

static void emit_code(struct translator *t, uint32_t c)
{
    char text[16];

    snprintf(text, sizeof text, "\\x{%x}", (unsigned)c);
    emit(t, text);
}

static void emit_set(struct translator *t, struct aki__code_points *s)
{
    aki__code_points_sort(s);
    t->no_memory |= s->failed;
    emit(t, s->count ? "[" : "(?!)");
    for (size_t i = 0; i < s->count; i++) {
        /* No text contains surrogates, and PCRE2 refuses them as ends of a range. */
        uint32_t first = s->ranges[i].first, last = s->ranges[i].last;
        first = first >= 0xD800 && first <= 0xDFFF ? 0xE000 : first;
        last = last >= 0xD800 && last <= 0xDFFF ? 0xD7FF : last;
        if (first > last)
            continue;
        emit_code(t, first);
        if (last > first) {
            emit(t, "-");
            emit_code(t, last);
        }
    }
    if (s->count)
        emit(t, "]");
}

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

/* Up to `most` hexadecimal digits at t->p. */
static uint32_t read_hex(struct translator *t, int most)
{
    uint32_t c = 0;

    for (int i = 0; i < most && t->p < t->end && hex(*t->p) >= 0; i++)
        c = c << 4 | (uint32_t)hex(*t->p++);
    return c;
}

enum { NOTHING, CLASS, CHARACTER };     /* what an escape or an atom is */

static bool is_surrogate(uint32_t c) { return c >= 0xD800 && c <= 0xDFFF; }

/* \p{NAME}, \p{^NAME}, \P{NAME}: t->p is at the letter. */
static int property_escape(struct translator *t, struct aki__code_points *s)
{
    struct aki__code_points one = { 0 };
    const char *name = t->p + 2, *close = t->p + 1 < t->end ? memchr(t->p, '}', (size_t)(t->end - t->p)) : NULL;
    bool negated = *t->p == 'P';

    if (!close || t->p[1] != '{')
        return NOTHING;
    if (*name == '^') {
        negated = !negated;
        name++;
    }
    bool known = aki__code_points_from_property(&one, name, (size_t)(close - name));
    if (known) {
        aki__code_points_join(s, &one, negated);
        t->p = close + 1;
    } else {
        refuse(t, "a property that is not known");
    }
    aki__free(one.ranges);
    return known ? CLASS : NOTHING;
}

/* \xHH, \x{HHHH}, \uHHHH: t->p is at the letter. */
static int code_escape(struct translator *t, uint32_t *c)
{
    if (*t->p++ == 'u') {
        *c = read_hex(t, 4);
        return is_surrogate(*c) ? NOTHING : CHARACTER;
    }
    if (t->p >= t->end || *t->p != '{') {
        *c = read_hex(t, 2);
        return *c > 0x7F ? NOTHING : CHARACTER;     /* in Oniguruma, a byte of a character */
    }
    t->p++;
    *c = read_hex(t, 8);
    if (t->p >= t->end || *t->p != '}' || *c > 0x10FFFF || is_surrogate(*c))
        return NOTHING;
    t->p++;
    return CHARACTER;
}

/* \s, \w, \d, and their complements in upper case: t->p is at the letter. */
static int class_escape(struct translator *t, struct aki__code_points *s, uint32_t categories, uint32_t flags)
{
    struct aki__code_points one = { 0 };
    char letter = *t->p++;

    aki__code_points_from_table(&one, categories, flags);
    aki__code_points_join(s, &one, letter >= 'A' && letter <= 'Z');
    aki__free(one.ranges);
    return CLASS;
}

static int control_escape(struct translator *t, uint32_t *c, uint32_t value)
{
    t->p++;
    *c = value;
    return CHARACTER;
}

/* Reads what follows a backslash: a class into s, or a character into *c. */
static int escape(struct translator *t, struct aki__code_points *s, uint32_t *c, bool bracketed)
{
    char e = *t->p;

    switch (e) {
    case 's': case 'S': return class_escape(t, s, 0, AKI_U_ONIG_SPACE);
    case 'w': case 'W': return class_escape(t, s, 0, bracketed ? AKI_U_ONIG_CLASS_WORD : AKI_U_ONIG_WORD);
    case 'd': case 'D': return class_escape(t, s, 1u << AKI_ND, 0);
    case 'p': case 'P': return property_escape(t, s);
    case 'x': case 'u': return code_escape(t, c);
    case 'r': return control_escape(t, c, '\r');
    case 'n': return control_escape(t, c, '\n');
    case 't': return control_escape(t, c, '\t');
    case 'f': return control_escape(t, c, '\f');
    case 'v': return control_escape(t, c, '\v');
    case 'a': return control_escape(t, c, 7);
    case 'e': return control_escape(t, c, 27);
    default:
        if ((e >= '0' && e <= '9') || (e >= 'a' && e <= 'z') || (e >= 'A' && e <= 'Z'))
            return NOTHING;
        *c = aki__utf8_next(&t->p);
        return CHARACTER;
    }
}

/* ---------------------------------------------------------------- bracket classes ------------------------------- */

static bool bracket(struct translator *t, struct aki__code_points *s);

static bool nested_class(struct translator *t, struct aki__code_points *s)
{
    struct aki__code_points inner = { 0 };

    t->p++;
    bool ok = bracket(t, &inner);
    aki__code_points_join(s, &inner, false);
    aki__free(inner.ranges);
    return ok;
}

/* A character, or an escape. */
static int class_atom(struct translator *t, struct aki__code_points *s, uint32_t *c)
{
    if (*t->p != '\\') {
        *c = aki__utf8_next(&t->p);
        return CHARACTER;
    }
    if (++t->p >= t->end)
        return NOTHING;
    int kind = escape(t, s, c, true);
    if (kind == NOTHING)
        refuse(t, "an escape in a class");
    return kind;
}

/* The end of a range that begins with c; c itself if there is no "-". */
static bool range_end(struct translator *t, struct aki__code_points *s, uint32_t c, uint32_t *last)
{
    *last = c;
    if (t->end - t->p < 2 || *t->p != '-' || t->p[1] == ']')
        return true;
    t->p++;
    if (*t->p == '[' || (*t->p == '\\' && t->p + 1 < t->end && strchr("swdpSWDP", t->p[1])))
        return refuse(t, "a range without an end");
    if (class_atom(t, s, last) != CHARACTER)
        return refuse(t, "an escape in a class");
    return *last >= c || refuse(t, "a range that ends before it begins");
}

static bool class_item(struct translator *t, struct aki__code_points *s)
{
    uint32_t c = 0, last;

    if (t->end - t->p >= 2 && (memcmp(t->p, "&&", 2) == 0 || memcmp(t->p, "[:", 2) == 0))
        return refuse(t, *t->p == '&' ? "&& in a class" : "[: :]");
    if (*t->p == '[')
        return nested_class(t, s);
    int kind = class_atom(t, s, &c);
    if (kind != CHARACTER)
        return kind == CLASS;
    if (!range_end(t, s, c, &last))
        return false;
    if (t->any_case && last > 0x7F)
        return refuse(t, "characters beyond ASCII in any case");
    aki__code_points_add(s, c, last);
    return true;
}

/* Reads a bracket class into s. t->p is behind its "[", and then behind its "]". */
static bool bracket(struct translator *t, struct aki__code_points *s)
{
    struct aki__code_points all = { 0 };
    bool negated = t->p < t->end && *t->p == '^', first = true, ok = false;

    if (++t->depth > DEPTH_LIMIT)
        return refuse(t, "too deep");
    t->p += negated;
    while (t->p < t->end && !all.failed && !ok) {
        if (*t->p == ']' && !first) {
            t->p++;
            ok = true;
        } else if (!class_item(t, &all)) {
            break;
        }
        first = false;
    }
    t->depth--;
    if (!ok && !all.failed)
        refuse(t, "a class without its end");
    aki__code_points_join(s, &all, negated);
    aki__free(all.ranges);
    return ok && !s->failed;
}

/* ---------------------------------------------------------------- expressions ----------------------------------- */

/* Under (?i), Oniguruma also matches strings of different lengths, such as "ss" and U+00DF. Letters that it could match so are
 * refused. */
static bool literal(struct translator *t, uint32_t c)
{
    if (t->any_case) {
        uint32_t a = t->before | 32, b = c | 32;
        if (c > 0x7F || (t->before && ((a == 's' && (b == 's' || b == 't')) || (a == 'f' && (b == 'f' || b == 'i' || b == 'l')))))
            return refuse(t, "such letters in any case");
        t->before = c;
    }
    emit_code(t, c);
    return true;
}

/* Copies a quantifier * + ? {n,m} with its suffix, if there is one. */
static bool quantifier(struct translator *t)
{
    char text[32];
    unsigned low = 0, high = 0;
    int n = 0;

    if (t->p >= t->end)
        return true;
    char c = *t->p;
    if (c == '*' || c == '+' || c == '?') {
        emit(t, (char[]){ c, 0 });
        t->p++;
        if (t->p < t->end && (*t->p == '?' || *t->p == '+')) {
            emit(t, (char[]){ *t->p, 0 });
            t->p++;
        }
    } else if (c == '{') {
        size_t left = (size_t)(t->end - t->p) < sizeof text - 1 ? (size_t)(t->end - t->p) : sizeof text - 1;
        memcpy(text, t->p, left);
        text[left] = '\0';
        if (sscanf(text, "{%5u,%5u}%n", &low, &high, &n) == 2 && n > 0 && low <= high)
            snprintf(text, sizeof text, "{%u,%u}", low, high);
        else if (n = 0, sscanf(text, "{%5u,}%n", &low, &n) == 1 && n > 0)
            snprintf(text, sizeof text, "{%u,}", low);
        else if (n = 0, sscanf(text, "{,%5u}%n", &high, &n) == 1 && n > 0)
            snprintf(text, sizeof text, "{0,%u}", high);
        else if (n = 0, sscanf(text, "{%5u}%n", &low, &n) == 1 && n > 0)
            snprintf(text, sizeof text, "{%u}", low);
        else
            return refuse(t, "such braces");
        emit(t, text);
        t->p += n;
        if (t->p < t->end && *t->p == '?') {
            if (!strchr(text, ','))
                return refuse(t, "a lazy fixed count");      /* optional there */
            emit(t, "?");
            t->p++;
        } else if (t->p < t->end && *t->p == '+') {
            return refuse(t, "a count of a count");         /* possessive in PCRE2 */
        }
    } else {
        return true;
    }
    t->before = 0;
    if (t->p < t->end && (*t->p == '*' || *t->p == '+' || *t->p == '?' || *t->p == '{'))
        return refuse(t, "a count of a count");
    return true;
}

static bool alternatives(struct translator *t);

static bool group(struct translator *t)
{
    static const char *const plain[] = { "?:", "?=", "?!", "?<=", "?<!", "?>" };
    bool any_case = t->any_case;
    size_t left = (size_t)(t->end - t->p);
    const char *open = NULL;

    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (left >= strlen(plain[i]) && memcmp(t->p, plain[i], strlen(plain[i])) == 0)
            open = plain[i];
    if (open) {
        t->p += strlen(open);
    } else if (left >= 3 && memcmp(t->p, "?i:", 3) == 0) {
        open = "?i:";
        t->p += 3;
        t->any_case = true;
    } else if (left && *t->p == '?') {
        return refuse(t, "such a group");
    } else {
        open = "?:";        /* no back reference can refer to it */
    }
    emit(t, "(");
    emit(t, open);
    t->before = 0;
    if (++t->depth > DEPTH_LIMIT)
        return refuse(t, "too deep");
    if (!alternatives(t))
        return false;
    t->depth--;
    if (t->p >= t->end)
        return refuse(t, "a group without its end");
    t->p++;
    emit(t, ")");
    t->any_case = any_case;
    t->before = 0;
    return true;
}

/* Writes \b and \B out with our own word characters. */
static void word_bound(struct translator *t, bool bound)
{
    struct aki__code_points word = { 0 };
    const char *const parts[2][4] = { { "(?:(?<!", ")(?!", ")|(?<=", ")(?=" }, { "(?:(?<=", ")(?!", ")|(?<!", ")(?=" } };

    aki__code_points_from_table(&word, 0, AKI_U_ONIG_WORD);
    for (int i = 0; i < 4; i++) {
        emit(t, parts[bound][i]);
        emit_set(t, &word);
    }
    emit(t, "))");
    aki__free(word.ranges);
}

static bool backslash(struct translator *t)
{
    struct aki__code_points s = { 0 };
    uint32_t c = 0;

    if (++t->p >= t->end)
        return refuse(t, "a backslash at the end");
    if (*t->p == 'b' || *t->p == 'B') {
        word_bound(t, *t->p++ == 'b');
        t->before = 0;
        return true;
    }
    if (*t->p == 'A' || *t->p == 'z' || *t->p == 'Z') {
        emit(t, (char[]){ '\\', *t->p++, 0 });
        t->before = 0;
        return true;
    }
    int kind = escape(t, &s, &c, false);
    if (kind == CLASS) {
        emit_set(t, &s);
        t->before = 0;
    }
    aki__free(s.ranges);
    if (kind == CHARACTER)
        return literal(t, c);
    return kind == CLASS || refuse(t, "such an escape");
}

/* Translates up to the end of the expression, or to the ")" of an enclosing group. */
static bool alternatives(struct translator *t)
{
    while (t->p < t->end && *t->p != ')' && !t->no_memory) {
        struct aki__code_points s = { 0 };
        bool ok = true;
        switch (*t->p) {
        case '|': case '^': case '$': case '.':
            emit(t, (char[]){ *t->p, 0 });
            t->before = 0;
            if (*t->p++ != '.')
                continue;
            break;
        case '(':
            t->p++;
            ok = group(t);
            break;
        case '[':
            t->p++;
            ok = bracket(t, &s);
            emit_set(t, &s);
            aki__free(s.ranges);
            t->before = 0;
            break;
        case '\\':
            ok = backslash(t);
            break;
        case '*': case '+': case '?': case '{':
            return refuse(t, "a count of nothing");
        default:
            ok = literal(t, aki__utf8_next(&t->p));
        }
        if (!ok || !quantifier(t))
            return false;
    }
    return true;
}

void aki__regex_translate(struct aki__regex_translation *out, const char *regex, size_t size)
{
    struct translator t = { .p = regex, .end = regex + size };

    if (alternatives(&t) && t.p < t.end)
        refuse(&t, "a \")\" without its group");
    *out = (struct aki__regex_translation){ .pattern = t.out, .unsupported = t.unsupported,
                                            .offset = (size_t)(t.p - regex), .no_memory = t.no_memory };
}
