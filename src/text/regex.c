/* Unit regex: split and replace patterns that are not well known, compiled and matched by PCRE2. See stages.h. */
#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

#define MATCH_LIMIT    10000000u       /* steps of one match, and 16 for each byte of the text */
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
    size_t               interpreted;   /* bytes of the longest text that was interpreted: PCRE2 keeps the frames */
};

#define FRAME_BYTES 128                 /* about: of the interpreter, for each backtracking point */

aki_status aki__regex_compile(struct aki__regex **out, struct aki__reader *r, const char *regex, size_t size)
{
    struct aki__regex_translation t;
    struct aki__regex *x = aki__zalloc(1, sizeof *x);
    aki_status rc = AKI_OK;
    int error = 0;
    size_t at = 0;
    char what[120];

    *out = NULL;
    aki__regex_translate(&t, regex, size);
    if (!x || t.no_memory) {
        rc = aki__read_fail(r, AKI_E_NOMEM, NULL, "regular expression: no memory, or too large");
        goto done;
    }
    if (t.unsupported) {
        snprintf(what, sizeof what, "regular expression, near byte %zu: %s is not supported", t.offset, t.unsupported);
        rc = aki__read_fail(r, AKI_E_UNSUPPORTED, NULL, what);
        goto done;
    }
    x->code = pcre2_compile((PCRE2_SPTR)(t.pattern.data ? t.pattern.data : ""), t.pattern.size,
                            PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_MULTILINE,
                            &error, &at, NULL);
    if (!x->code) {
        PCRE2_UCHAR message[80] = { 0 };
        pcre2_get_error_message(error, message, sizeof message);
        snprintf(what, sizeof what, "regular expression: %s", (const char *)message);
        rc = aki__read_fail(r, error == PCRE2_ERROR_HEAP_FAILED ? AKI_E_NOMEM : AKI_E_UNSUPPORTED, NULL, what);
        goto done;
    }
    x->jit = pcre2_jit_compile(x->code, PCRE2_JIT_COMPLETE) == 0;      /* without a JIT, the interpreter matches */
    *out = x;
    x = NULL;
done:
    aki__buf_free(&t.pattern);
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

int aki__regex_find(const struct aki__regex *x, struct aki__work *w, const char *text, size_t size, size_t from, size_t *begin,
                    size_t *end)
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
    if (n == PCRE2_ERROR_NOMEMORY) {
        aki__nomem(w);
        return -1;
    }
    if (n < 0) {
        w->failure = "the tokenizer's pattern takes too long on this text";
        return -2;
    }
    const PCRE2_SIZE *match = pcre2_get_ovector_pointer(w->regex->match);
    *begin = match[0];
    *end = match[1];
    return 1;
}
