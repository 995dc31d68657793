/* Unit scan: the well-known split patterns of byte-level BPE, hand-written: finds what a backtracking engine would, in one
 * pass.
 *
 * Each pattern is an alternation of: contraction, word with one leading character, digits, punctuation with a leading blank,
 * line ends, white space. One of them matches at every position, so a text is split into pieces without gaps. */
#include "text/stages.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define REST(slash) "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n" slash "]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define HEAD "[^\\r\\n\\p{L}\\p{N}]?"

static const struct { const char *regex; struct aki__scan scan; } known[] = {
    { "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", { .kind = AKI_SCAN_GPT2 } },
    /* cl100k and Llama 3; Qwen 2 and 3; Qwen 3.5 */
    { CONTRACTIONS "|" HEAD "\\p{L}+|\\p{N}{1,3}" REST(""), { .kind = AKI_SCAN_CL100K, .digits = 3 } },
    { CONTRACTIONS "|" HEAD "\\p{L}+|\\p{N}" REST(""), { .kind = AKI_SCAN_CL100K, .digits = 1 } },
    { CONTRACTIONS "|" HEAD "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
      { .kind = AKI_SCAN_CL100K, .digits = 1, .marks = true } },
    /* o200k; Tekken */
    { HEAD UPPER "*" LOWER "+" CONTRACTIONS "?|" HEAD UPPER "+" LOWER "*" CONTRACTIONS "?|\\p{N}{1,3}" REST("/"),
      { .kind = AKI_SCAN_O200K, .digits = 3, .contractions = true, .slashes = true } },
    { HEAD UPPER "*" LOWER "+|" HEAD UPPER "+" LOWER "*|\\p{N}" REST("/"), { .kind = AKI_SCAN_O200K, .digits = 1, .slashes = true } },
};

bool aki__scan_known(struct aki__scan *out, const char *regex, size_t size)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].regex) == size && memcmp(known[i].regex, regex, size) == 0) {
            *out = known[i].scan;
            return true;
        }
    return false;
}

/* The classes of characters that the patterns distinguish. */
enum { SPACE = 1, LINE = 2, LETTER = 4, DIGIT = 8, MARK = 16, UP = 32, LOW = 64 };

static const uint8_t ascii[128] = {
    ['\t'] = SPACE, ['\n'] = SPACE | LINE, ['\v'] = SPACE, ['\f'] = SPACE, ['\r'] = SPACE | LINE, [' '] = SPACE,
    ['0'] = DIGIT, ['1'] = DIGIT, ['2'] = DIGIT, ['3'] = DIGIT, ['4'] = DIGIT, ['5'] = DIGIT, ['6'] = DIGIT, ['7'] = DIGIT, ['8'] = DIGIT, ['9'] = DIGIT,
#define U(c) [c] = LETTER | UP, [c + 32] = LETTER | LOW
    U('A'), U('B'), U('C'), U('D'), U('E'), U('F'), U('G'), U('H'), U('I'), U('J'), U('K'), U('L'), U('M'),
    U('N'), U('O'), U('P'), U('Q'), U('R'), U('S'), U('T'), U('U'), U('V'), U('W'), U('X'), U('Y'), U('Z'),
#undef U
};

static const uint8_t of_category[32] = {
    [AKI_LU] = LETTER | UP, [AKI_LT] = LETTER | UP, [AKI_LL] = LETTER | LOW, [AKI_LM] = LETTER | UP | LOW, [AKI_LO] = LETTER | UP | LOW,
    [AKI_MN] = MARK | UP | LOW, [AKI_MC] = MARK | UP | LOW, [AKI_ME] = MARK | UP | LOW, [AKI_ND] = DIGIT, [AKI_NL] = DIGIT, [AKI_NO] = DIGIT,
};

/* The class of the code point at p, and the end of it. */
static inline uint8_t class_at(const char *p, const char **next)
{
    if ((signed char)*p >= 0) {
        *next = p + 1;
        return ascii[(unsigned char)*p];
    }
    *next = p;
    const struct aki__unicode *u = aki__unicode(aki__utf8_next(next));
    return (uint8_t)(of_category[u->category] | (u->flags & AKI_U_ONIG_SPACE ? SPACE : 0));
}

static inline const char *while_in(const char *p, const char *end, uint8_t classes)
{
    const char *next;

    while (p < end && class_at(p, &next) & classes)
        p = next;
    return p;
}

static inline const char *while_not(const char *p, const char *end, uint8_t classes)
{
    const char *next;

    while (p < end && !(class_at(p, &next) & classes))
        p = next;
    return p;
}

/* The end of a contraction at p; p: there is none. Case is ignored, and the long s (U+017F) is an s. */
static const char *contraction(const char *p, const char *end, bool any_case)
{
    size_t left = (size_t)(end - p);
    unsigned char fold = any_case ? 0x20 : 0;

    if (left < 2 || *p != '\'')
        return p;
    unsigned char a = (unsigned char)p[1] | (p[1] >= 'A' && p[1] <= 'Z' ? fold : 0);
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return p + 2;
    if (left < 3)
        return p;
    unsigned char b = (unsigned char)p[2] | (p[2] >= 'A' && p[2] <= 'Z' ? fold : 0);
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') || (any_case && a == 0xC5 && b == 0xBF))
        return p + 3;
    return p;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ at white space; without `lines`, the first alternative is missing. */
static const char *white_space(const char *p, const char *end, bool lines)
{
    const char *at = p, *last = p, *line = NULL, *next;
    uint8_t c;

    while (at < end && (c = class_at(at, &next)) & SPACE) {
        last = at;
        at = next;
        if (c & LINE)
            line = at;
    }
    if (lines && line)
        return line;
    return at == end || last == p ? at : last;
}

static const char *digits(const char *p, const char *end, unsigned most)
{
    const char *next;

    if (!most)
        return while_in(p, end, DIGIT);
    for (unsigned i = 0; i < most && p < end && class_at(p, &next) & DIGIT; i++)
        p = next;
    return p;
}

static const char *gpt2(const char *p, const char *end)
{
    const char *to = contraction(p, end, false), *q = p, *next;
    uint8_t c;

    if (to > p)
        return to;
    if (*p == ' ' && p + 1 < end)
        q = p + 1;
    c = class_at(q, &next);
    if (c & LETTER)
        return while_in(next, end, LETTER);
    if (c & DIGIT)
        return while_in(next, end, DIGIT);
    if (!(c & SPACE))
        return while_not(next, end, SPACE | LETTER | DIGIT);
    return white_space(p, end, false);
}

static const char *line_ends(const char *p, const char *end, bool slashes)
{
    while (p < end && (*p == '\r' || *p == '\n' || (slashes && *p == '/')))
        p++;
    return p;
}

static const char *cl100k(const struct aki__scan *s, const char *p, const char *end)
{
    const uint8_t word = s->marks ? LETTER | MARK : LETTER;
    const char *next, *q, *to = contraction(p, end, true);
    uint8_t c;

    if (to > p)
        return to;
    c = class_at(p, &next);
    if (c & LETTER)
        return while_in(next, end, word);
    if (c & DIGIT)
        return digits(p, end, s->digits);
    if (!(c & LINE) && next < end && class_at(next, &q) & word)
        return while_in(q, end, word);
    if (c & word)
        return next;
    q = *p == ' ' ? p + 1 : p;
    if (q < end && !(class_at(q, &next) & (SPACE | DIGIT | word)))
        return line_ends(while_not(next, end, SPACE | DIGIT | word), end, false);
    return white_space(p, end, true);
}

/* UPPER* LOWER+ at p; p: no match. */
static const char *ends_low(const char *p, const char *end)
{
    const char *up = while_in(p, end, UP), *low = while_in(up, end, LOW), *next;

    if (low > up)
        return low;
    /* Backtracks until a character is both. */
    while (up > p) {
        const char *last = up - 1;
        while (((unsigned char)*last & 0xC0) == 0x80)
            last--;
        if (class_at(last, &next) & LOW)
            return up;
        up = last;
    }
    return p;
}

static const char *o200k(const struct aki__scan *s, const char *p, const char *end)
{
    const char *next, *to = p, *q;
    uint8_t c = class_at(p, &next);
    bool head = !(c & (LINE | LETTER | DIGIT));

    if (head && next < end) {
        to = ends_low(next, end);
        to = to == next ? p : to;
    }
    if (to == p)
        to = ends_low(p, end);
    if (to == p && head) {
        q = while_in(next, end, UP);
        to = q > next ? q : p;
    }
    if (to == p)
        to = while_in(p, end, UP);
    if (to > p)
        return s->contractions ? contraction(to, end, true) : to;
    if (c & DIGIT)
        return digits(p, end, s->digits);
    q = *p == ' ' ? p + 1 : p;
    if (q < end && !(class_at(q, &next) & (SPACE | LETTER | DIGIT)))
        return line_ends(while_not(next, end, SPACE | LETTER | DIGIT), end, s->slashes);
    return white_space(p, end, true);
}

size_t aki__scan_end(const struct aki__scan *s, const char *text, size_t size, size_t at)
{
    const char *p = text + at, *end = text + size;

    switch (s->kind) {
    case AKI_SCAN_GPT2:   return (size_t)(gpt2(p, end) - text);
    case AKI_SCAN_CL100K: return (size_t)(cl100k(s, p, end) - text);
    default:              return (size_t)(o200k(s, p, end) - text);
    }
}
