/* Unit pattern: a "pattern" of tokenizer.json: a string, a well-known expression, or another one. */
#include "text/stages.h"

struct aki__pattern {
    enum { STRING, SCAN, REGEX } kind;
    char              *string;
    size_t             size;
    struct aki__scan   scan;
    struct aki__regex *regex;
};

static const struct aki__pattern gpt2 = { .kind = SCAN, .scan = { .kind = AKI_SCAN_GPT2 } };

const struct aki__pattern *aki__pattern_gpt2(void) { return &gpt2; }

aki_status aki__pattern_parse(struct aki__pattern **out, struct aki__reader *r, const struct aki__json *node)
{
    const struct aki__json *string = aki__json_get(node, "String"), *regex = aki__json_get(node, "Regex");
    struct aki__pattern *p = NULL;
    aki_status rc = AKI_OK;

    *out = NULL;
    if (!aki__json_is(node, AKI_JSON_OBJECT) || node->size != 1 || !aki__json_is(string ? string : regex, AKI_JSON_STRING))
        return aki__read_fail(r, AKI_E_INVALID, NULL, "expected {\"String\": …} or {\"Regex\": …}");
    p = aki__zalloc(1, sizeof *p);
    if (!p)
        return aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
    if (string && string->size > AKI_PIECE_LIMIT) {
        rc = aki__read_fail(r, AKI_E_UNSUPPORTED, "String", "more than 512 bytes are not supported");
    } else if (string) {
        p->kind = STRING;
        p->size = string->size;
        p->string = aki__copy_string(string->text, string->size);
        if (!p->string)
            rc = aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
    } else if (aki__scan_known(&p->scan, regex->text, regex->size)) {
        p->kind = SCAN;
    } else {
        size_t back = aki__path_key(r, "Regex");
        p->kind = REGEX;
        rc = aki__regex_compile(&p->regex, r, regex->text, regex->size);
        if (!rc)
            aki__path_back(r, back);
    }
    if (rc)
        aki__pattern_free(p);
    else
        *out = p;
    return rc;
}

void aki__pattern_free(struct aki__pattern *p)
{
    if (!p)
        return;
    aki__regex_free(p->regex);
    aki__free(p->string);
    aki__free(p);
}

bool aki__pattern_matches_empty(const struct aki__pattern *p)
{
    return p->kind == STRING ? p->size == 0 : p->kind == REGEX && aki__regex_matches_empty(p->regex);
}

/* Finds the first match at or after `from`. */
static int find(const struct aki__finder *f, size_t from, size_t *begin, size_t *end)
{
    const struct aki__pattern *p = f->pattern;

    if (p->kind == REGEX)
        return aki__regex_find(p->regex, f->w, f->text, f->size, from, begin, end);
    if (p->kind == SCAN) {
        *begin = from;
        if (from >= f->size)
            return 0;
        *end = aki__scan_end(&p->scan, f->text, f->size, from);
        return 1;
    }
    const char *at = f->text + from, *stop = f->text + f->size;
    for (; p->size; at++) {
        if ((size_t)(stop - at) < p->size || !(at = memchr(at, p->string[0], (size_t)(stop - at) - p->size + 1)))
            return 0;
        if (memcmp(at, p->string, p->size) == 0)
            break;
    }
    *begin = (size_t)(at - f->text);
    *end = *begin + p->size;
    return 1;
}

bool aki__find_next(struct aki__finder *f, size_t *begin, size_t *end, aki_status *rc)
{
    while (f->from <= f->size) {
        int found = find(f, f->from, begin, end);
        if (found < 0)
            *rc = found == -1 ? AKI_E_NOMEM : AKI_E_INVALID;
        if (found <= 0)
            return false;
        if (*begin != *end || f->last != *end) {
            f->from = f->last = *end;
            return true;
        }
        /* An empty match at the end of the previous match does not count: the search continues one character later. */
        f->from++;
        while (f->from < f->size && (f->text[f->from] & 0xC0) == 0x80)
            f->from++;
    }
    return false;
}
