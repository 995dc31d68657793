/* Unit regex: split and replace patterns that are not well known, by PCRE2.
 *
 * Hugging Face runs them by Oniguruma in its Ruby syntax. The pattern is read here and written again in PCRE2's: every class becomes
 * a set of code points out of our tables (PCRE2's own know another version of Unicode), \b is spelled out, ^ and $ are about lines.
 * What is read differently by the two and is not spelled out here is refused at open. */
#include "text/stages.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#define PATTERN_LIMIT  ((size_t)1 << 20)
#define DEPTH_LIMIT    64
#define MATCH_LIMIT    10000000u       /* steps of one match, and 16 a byte of text */
#define HEAP_LIMIT     (256u << 10)     /* KiB */
#define STACK_LIMIT    (1u << 20)       /* of the JIT */

struct aki__regex {
    pcre2_code *code;
    bool        jit;
};

struct aki__regex_work {
    pcre2_match_data    *match;
    pcre2_match_context *context;       /* limits and the JIT's stack, which belongs to one thread */
    pcre2_jit_stack     *stack;
    size_t               interpreted;   /* the longest text that the interpreter was given, whose frames PCRE2 keeps */
};

#define FRAME_BYTES 128                 /* of the interpreter for a place that it may go back to, about */

/* ---------------------------------------------------------------- sets of code points --------------------------- */

struct set { struct aki__unicode_range *ranges; size_t count, capacity; bool failed; };

static void set_add(struct set *s, uint32_t first, uint32_t last)
{
    if (first > last || s->failed)
        return;
    if (!aki__grow((void **)&s->ranges, &s->capacity, s->count + 1, sizeof *s->ranges)) {
        s->failed = true;
        return;
    }
    s->ranges[s->count++] = (struct aki__unicode_range){ first, last };
}

static int by_first(const void *a, const void *b)
{
    uint32_t x = ((const struct aki__unicode_range *)a)->first, y = ((const struct aki__unicode_range *)b)->first;
    return x < y ? -1 : x > y;
}

/* Sorted, without overlap. */
static void set_tidy(struct set *s)
{
    size_t n = 0;

    if (s->count)
        qsort(s->ranges, s->count, sizeof *s->ranges, by_first);
    for (size_t i = 0; i < s->count; i++) {
        if (n && s->ranges[i].first <= s->ranges[n - 1].last + 1) {
            if (s->ranges[i].last > s->ranges[n - 1].last)
                s->ranges[n - 1].last = s->ranges[i].last;
        } else {
            s->ranges[n++] = s->ranges[i];
        }
    }
    s->count = n;
}

/* from, or all that from lacks, into s. */
static void set_join(struct set *s, struct set *from, bool negated)
{
    uint32_t next = 0;

    s->failed |= from->failed;
    set_tidy(from);
    for (size_t i = 0; i < from->count; i++) {
        if (!negated)
            set_add(s, from->ranges[i].first, from->ranges[i].last);
        else if (from->ranges[i].first > next)
            set_add(s, next, from->ranges[i].first - 1);
        next = from->ranges[i].last + 1;
    }
    if (negated && next <= 0x10FFFF)
        set_add(s, next, 0x10FFFF);
}

static void set_from_table(struct set *s, uint32_t categories, uint32_t flags)
{
    uint32_t first = 0;
    bool in = false;

    for (uint32_t c = 0; c <= 0x110000; c++) {
        bool now = c < 0x110000 && (aki__unicode_in(c, categories) || aki__unicode_has(c, flags));
        if (now && !in)
            first = c;
        else if (!now && in)
            set_add(s, first, c - 1);
        in = now;
    }
}

/* ---------------------------------------------------------------- properties ------------------------------------ */

static const struct { const char *name; uint32_t categories; } properties[] = {
    { "l", AKI_IN_L }, { "letter", AKI_IN_L }, { "lu", 1u << AKI_LU }, { "uppercaseletter", 1u << AKI_LU }, { "ll", 1u << AKI_LL },
    { "lowercaseletter", 1u << AKI_LL }, { "lt", 1u << AKI_LT }, { "titlecaseletter", 1u << AKI_LT }, { "lm", 1u << AKI_LM },
    { "modifierletter", 1u << AKI_LM }, { "lo", 1u << AKI_LO }, { "otherletter", 1u << AKI_LO }, { "m", AKI_IN_M }, { "mark", AKI_IN_M },
    { "mn", 1u << AKI_MN }, { "nonspacingmark", 1u << AKI_MN }, { "mc", 1u << AKI_MC }, { "spacingmark", 1u << AKI_MC },
    { "me", 1u << AKI_ME }, { "enclosingmark", 1u << AKI_ME }, { "n", AKI_IN_N }, { "number", AKI_IN_N }, { "nd", 1u << AKI_ND },
    { "decimalnumber", 1u << AKI_ND }, { "nl", 1u << AKI_NL }, { "letternumber", 1u << AKI_NL }, { "no", 1u << AKI_NO },
    { "othernumber", 1u << AKI_NO },
    { "p", 1u << AKI_PC | 1u << AKI_PD | 1u << AKI_PS | 1u << AKI_PE | 1u << AKI_PI | 1u << AKI_PF | 1u << AKI_PO },
    { "punctuation", 1u << AKI_PC | 1u << AKI_PD | 1u << AKI_PS | 1u << AKI_PE | 1u << AKI_PI | 1u << AKI_PF | 1u << AKI_PO },
    { "pc", 1u << AKI_PC }, { "pd", 1u << AKI_PD }, { "ps", 1u << AKI_PS }, { "pe", 1u << AKI_PE }, { "pi", 1u << AKI_PI },
    { "pf", 1u << AKI_PF }, { "po", 1u << AKI_PO },
    { "s", 1u << AKI_SM | 1u << AKI_SC | 1u << AKI_SK | 1u << AKI_SO }, { "symbol", 1u << AKI_SM | 1u << AKI_SC | 1u << AKI_SK | 1u << AKI_SO },
    { "sm", 1u << AKI_SM }, { "sc", 1u << AKI_SC }, { "sk", 1u << AKI_SK }, { "so", 1u << AKI_SO },
    { "z", 1u << AKI_ZS | 1u << AKI_ZL | 1u << AKI_ZP }, { "separator", 1u << AKI_ZS | 1u << AKI_ZL | 1u << AKI_ZP },
    { "zs", 1u << AKI_ZS }, { "zl", 1u << AKI_ZL }, { "zp", 1u << AKI_ZP },
    { "c", 1u << AKI_CN | 1u << AKI_CC | 1u << AKI_CF | 1u << AKI_CO | 1u << AKI_CS },
    { "other", 1u << AKI_CN | 1u << AKI_CC | 1u << AKI_CF | 1u << AKI_CO | 1u << AKI_CS },
    { "cc", 1u << AKI_CC }, { "cf", 1u << AKI_CF }, { "cn", 1u << AKI_CN }, { "co", 1u << AKI_CO },
};

/* Names are compared without case, blanks, "-" and "_". */
static bool set_property(struct set *s, const char *name, size_t size)
{
    char plain[32];
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        if (c == ' ' || c == '-' || c == '_')
            continue;
        if (n + 1 >= sizeof plain)
            return false;
        plain[n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    plain[n] = '\0';
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        if (strcmp(properties[i].name, plain) == 0) {
            set_from_table(s, properties[i].categories, 0);
            return true;
        }
    for (size_t i = 0; i < aki__unicode_script_count; i++)
        if (strcmp(aki__unicode_scripts[i].name, plain) == 0) {
            for (size_t k = aki__unicode_scripts[i].begin; k < aki__unicode_scripts[i].end; k++)
                set_add(s, aki__unicode_script_ranges[k].first, aki__unicode_script_ranges[k].last);
            return true;
        }
    return false;
}

/* ---------------------------------------------------------------- translation ----------------------------------- */

struct translator {
    const char     *p, *end;
    struct aki__buf out;
    const char     *what;           /* what is not supported; NULL: nothing yet */
    bool            nomem;
    bool            any_case;       /* inside (?i: … ) */
    uint32_t        before;         /* under any_case, the literal before; 0: none */
    int             depth;
};

static bool refuse(struct translator *t, const char *what)
{
    if (!t->what)
        t->what = what;
    return false;
}

static void emit(struct translator *t, const char *text)
{
    if (!aki__buf_append(&t->out, text, strlen(text), PATTERN_LIMIT))
        t->nomem = true;
}

static void emit_code(struct translator *t, uint32_t c)
{
    char text[16];

    snprintf(text, sizeof text, "\\x{%x}", (unsigned)c);
    emit(t, text);
}

static void emit_set(struct translator *t, struct set *s)
{
    set_tidy(s);
    t->nomem |= s->failed;
    emit(t, s->count ? "[" : "(?!)");
    for (size_t i = 0; i < s->count; i++) {
        /* Surrogates are in no text, and PCRE2 does not take them as ends. */
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

/* Behind a backslash: a class into s (answers 1), a character into *c (2), neither (0; t->p stays). */
static int escape(struct translator *t, struct set *s, uint32_t *c, bool bracketed)
{
    struct set one = { 0 };
    char e = *t->p;
    int kind = 2;

    switch (e) {
    case 's': case 'S': set_from_table(&one, 0, AKI_U_ONIG_SPACE); kind = 1; break;
    case 'w': case 'W': set_from_table(&one, 0, bracketed ? AKI_U_ONIG_CLASS_WORD : AKI_U_ONIG_WORD); kind = 1; break;
    case 'd': case 'D': set_from_table(&one, 1u << AKI_ND, 0); kind = 1; break;
    case 'p': case 'P': {
        const char *name = t->p + 2, *close = t->p + 1 < t->end ? memchr(t->p, '}', (size_t)(t->end - t->p)) : NULL;
        bool negated = e == 'P';
        if (!close || t->p[1] != '{')
            return 0;
        if (*name == '^') {
            negated = !negated;
            name++;
        }
        if (!set_property(&one, name, (size_t)(close - name))) {
            refuse(t, "a property that is not known");
            aki__free(one.ranges);
            return 0;
        }
        set_join(s, &one, negated);
        aki__free(one.ranges);
        t->p = close + 1;
        return 1;
    }
    case 'r': *c = '\r'; break;
    case 'n': *c = '\n'; break;
    case 't': *c = '\t'; break;
    case 'f': *c = '\f'; break;
    case 'v': *c = '\v'; break;
    case 'a': *c = 7; break;
    case 'e': *c = 27; break;
    case 'x':
        t->p++;
        if (t->p < t->end && *t->p == '{') {
            t->p++;
            *c = read_hex(t, 8);
            if (t->p >= t->end || *t->p != '}' || *c > 0x10FFFF || (*c >= 0xD800 && *c <= 0xDFFF))
                return 0;
            t->p++;
        } else {
            *c = read_hex(t, 2);
            if (*c > 0x7F)      /* a byte of a character, in Oniguruma */
                return 0;
        }
        return 2;
    case 'u':
        t->p++;
        *c = read_hex(t, 4);
        return *c >= 0xD800 && *c <= 0xDFFF ? 0 : 2;
    default:
        if ((e >= '0' && e <= '9') || (e >= 'a' && e <= 'z') || (e >= 'A' && e <= 'Z'))
            return 0;
        *c = aki__utf8_next(&t->p);
        return 2;
    }
    if (kind == 1) {
        set_join(s, &one, e >= 'A' && e <= 'Z');
        aki__free(one.ranges);
    }
    t->p++;
    return kind;
}

/* A bracket class from behind its "[" to behind its "]", into s. */
static bool bracket(struct translator *t, struct set *s)
{
    struct set all = { 0 };
    bool negated = t->p < t->end && *t->p == '^', first = true, ok = false;

    if (++t->depth > DEPTH_LIMIT)
        return refuse(t, "too deep");
    t->p += negated;
    while (t->p < t->end && !all.failed) {
        uint32_t c = 0;
        if (*t->p == ']' && !first) {
            t->p++;
            ok = true;
            break;
        }
        if (t->end - t->p >= 2 && (memcmp(t->p, "&&", 2) == 0 || memcmp(t->p, "[:", 2) == 0)) {
            refuse(t, *t->p == '&' ? "&& in a class" : "[: :]");
            break;
        }
        if (*t->p == '[') {
            struct set inner = { 0 };
            t->p++;
            bool good = bracket(t, &inner);
            set_join(&all, &inner, false);
            aki__free(inner.ranges);
            if (!good)
                break;
            first = false;
            continue;
        }
        first = false;
        if (*t->p == '\\') {
            if (++t->p >= t->end)
                break;
            int kind = escape(t, &all, &c, true);
            if (!kind) {
                refuse(t, "an escape in a class");
                break;
            }
            if (kind == 1)
                continue;
        } else {
            c = aki__utf8_next(&t->p);
        }
        uint32_t last = c;
        if (t->end - t->p >= 2 && *t->p == '-' && t->p[1] != ']') {
            t->p++;
            if (*t->p == '[' || (*t->p == '\\' && t->p + 1 < t->end && strchr("swdpSWDP", t->p[1]))) {
                refuse(t, "a range without an end");
                break;
            }
            if (*t->p == '\\') {
                if (++t->p >= t->end || escape(t, &all, &last, true) != 2) {
                    refuse(t, "an escape in a class");
                    break;
                }
            } else {
                last = aki__utf8_next(&t->p);
            }
            if (last < c) {
                refuse(t, "a range that ends before it begins");
                break;
            }
        }
        if (t->any_case && last > 0x7F) {
            refuse(t, "characters beyond ASCII in any case");
            break;
        }
        set_add(&all, c, last);
    }
    t->depth--;
    if (!ok && !all.failed)
        refuse(t, "a class without its end");
    set_join(s, &all, negated);
    aki__free(all.ranges);
    return ok && !s->failed;
}

/* Under (?i), Oniguruma also equates strings of different lengths, as "ss" and U+00DF: refused where it could. */
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

/* One of * + ? {n,m} and what follows it, as it stands; nothing: fine too. */
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
        open = "?:";        /* nothing refers to it */
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

/* \b and \B by our own word characters. */
static void word_bound(struct translator *t, bool bound)
{
    struct set word = { 0 };
    const char *const parts[2][4] = { { "(?:(?<!", ")(?!", ")|(?<=", ")(?=" }, { "(?:(?<=", ")(?!", ")|(?<!", ")(?=" } };

    set_from_table(&word, 0, AKI_U_ONIG_WORD);
    for (int i = 0; i < 4; i++) {
        emit(t, parts[bound][i]);
        emit_set(t, &word);
    }
    emit(t, "))");
    aki__free(word.ranges);
}

static bool backslash(struct translator *t)
{
    struct set s = { 0 };
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
    if (kind == 1) {
        emit_set(t, &s);
        t->before = 0;
    }
    aki__free(s.ranges);
    if (kind == 2)
        return literal(t, c);
    return kind ? true : refuse(t, "such an escape");
}

/* Everything up to the end, or to a ")" that is not its own. */
static bool alternatives(struct translator *t)
{
    while (t->p < t->end && *t->p != ')' && !t->nomem) {
        struct set s = { 0 };
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

/* ---------------------------------------------------------------- compiling and matching ------------------------ */

aki_status aki__regex_compile(struct aki__regex **out, struct aki__reader *r, const char *regex, size_t size)
{
    struct translator t = { .p = regex, .end = regex + size };
    struct aki__regex *x = aki__zalloc(1, sizeof *x);
    aki_status rc = AKI_OK;
    int error = 0;
    size_t at = 0;
    char what[120];

    *out = NULL;
    if (alternatives(&t) && t.p < t.end)
        refuse(&t, "a \")\" without its group");
    if (!x || t.nomem) {
        rc = aki__read_fail(r, AKI_E_NOMEM, NULL, "regular expression: no memory, or too large");
        goto done;
    }
    if (t.what) {
        snprintf(what, sizeof what, "regular expression, near byte %zu: %s is not supported", (size_t)(t.p - regex), t.what);
        rc = aki__read_fail(r, AKI_E_UNSUPPORTED, NULL, what);
        goto done;
    }
    x->code = pcre2_compile((PCRE2_SPTR)(t.out.data ? t.out.data : ""), t.out.size, PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_MULTILINE,
                            &error, &at, NULL);
    if (!x->code) {
        PCRE2_UCHAR message[80] = { 0 };
        pcre2_get_error_message(error, message, sizeof message);
        snprintf(what, sizeof what, "regular expression: %s", (const char *)message);
        rc = aki__read_fail(r, AKI_E_UNSUPPORTED, NULL, what);
        goto done;
    }
    x->jit = pcre2_jit_compile(x->code, PCRE2_JIT_COMPLETE) == 0;      /* where there is none, the interpreter does */
    *out = x;
    x = NULL;
done:
    aki__buf_free(&t.out);
    aki__regex_free(x);
    return rc;
}

void aki__regex_free(struct aki__regex *x)
{
    if (!x)
        return;
    pcre2_code_free(x->code);
    aki__free(x);
}

bool aki__regex_matches_empty(const struct aki__regex *x)
{
    uint32_t answer = 0;

    return pcre2_pattern_info(x->code, PCRE2_INFO_MATCHEMPTY, &answer) != 0 || answer != 0;
}

static bool begin_work(struct aki__work *w)
{
    struct aki__regex_work *k = w->regex;

    if (k)
        return true;
    k = aki__zalloc(1, sizeof *k);
    if (!k)
        return false;
    k->match = pcre2_match_data_create(1, NULL);
    k->context = pcre2_match_context_create(NULL);
    k->stack = pcre2_jit_stack_create(32 << 10, STACK_LIMIT, NULL);     /* NULL without a JIT */
    if (!k->match || !k->context) {
        aki__regex_work_free(k);
        return false;
    }
    pcre2_set_heap_limit(k->context, HEAP_LIMIT);
    if (k->stack)
        pcre2_jit_stack_assign(k->context, NULL, k->stack);
    w->regex = k;
    return true;
}

void aki__regex_work_free(struct aki__regex_work *k)
{
    if (!k)
        return;
    pcre2_match_data_free(k->match);
    pcre2_match_context_free(k->context);
    pcre2_jit_stack_free(k->stack);
    aki__free(k);
}

size_t aki__regex_work_size(const struct aki__regex_work *k) { return k ? k->interpreted * FRAME_BYTES : 0; }

int aki__regex_find(const struct aki__regex *x, struct aki__work *w, const char *text, size_t size, size_t from, size_t *begin, size_t *end)
{
    if (!begin_work(w)) {
        aki__nomem(w);
        return -1;
    }
    pcre2_set_match_limit(w->regex->context, size < UINT32_MAX / 16 - MATCH_LIMIT ? MATCH_LIMIT + 16 * (uint32_t)size : UINT32_MAX);
    int n = pcre2_match(x->code, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK, w->regex->match, w->regex->context);
    bool interpreted = !x->jit || n == PCRE2_ERROR_JIT_STACKLIMIT;
    if (interpreted && size > w->regex->interpreted)
        w->regex->interpreted = size;
    if (n == PCRE2_ERROR_JIT_STACKLIMIT)
        n = pcre2_match(x->code, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, w->regex->match, w->regex->context);
    if (n == PCRE2_ERROR_NOMATCH)
        return 0;
    if (n < 0) {
        w->failure = "the tokenizer's pattern takes too long on this text";
        return -2;
    }
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(w->regex->match);
    *begin = place[0];
    *end = place[1];
    return 1;
}
