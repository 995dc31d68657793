/* Unit added_tokens: strings that are tokens whatever the algorithm is ("[SEP]", "<|endoftext|>"), and the search for them in a
 * text.
 *
 * The search finds the leftmost match, and the longest one there, and continues after it. The strings are sorted, so a search
 * narrows the range of those that match so far; a table of first bytes skips most positions. */
#include "text/stages.h"

#include <stdlib.h>

/* ---------------------------------------------------------------- reading --------------------------------------- */

static aki_status parse_token(struct aki__reader *r, const struct aki__json *node, struct aki__added_token *t)
{
    const char *content = NULL;
    aki_status rc = aki__read_id(r, node, "id", &t->id);

    if (!rc)
        rc = aki__read_string(r, node, "content", &content, &t->size);
    if (!rc)
        rc = aki__read_bool(r, node, "single_word", true, &t->single_word);
    if (!rc)
        rc = aki__read_bool(r, node, "lstrip", true, &t->lstrip);
    if (!rc)
        rc = aki__read_bool(r, node, "rstrip", true, &t->rstrip);
    if (!rc)
        rc = aki__read_bool(r, node, "normalized", true, &t->normalized);
    if (!rc)
        rc = aki__read_bool(r, node, "special", true, &t->special);
    if (rc)
        return rc;
    if (t->size > AKI_PIECE_LIMIT)
        return aki__read_fail(r, AKI_E_UNSUPPORTED, "content", "more than 512 bytes are not supported");
    t->content = aki__copy_string(content, t->size);
    return t->content ? AKI_OK : aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
}

static int by_text(const void *x, const void *y)
{
    const struct aki__added_key *a = x, *b = y;
    size_t size = a->size < b->size ? a->size : b->size;
    int c = size ? memcmp(a->text, b->text, size) : 0;

    if (c == 0)
        c = a->size < b->size ? -1 : a->size > b->size;
    return c ? c : a->token < b->token ? -1 : a->token > b->token;
}

static bool same(const struct aki__added_key *a, const struct aki__added_key *b)
{
    return a->size == b->size && memcmp(a->text, b->text, a->size) == 0;
}

/* Of tokens with equal contents, the first determines the position and the last the properties. Empty contents are removed. */
static aki_status unite(struct aki__added *a, struct aki__reader *r)
{
    size_t n = 0;

    a->contents = aki__alloc(a->count, sizeof *a->contents);
    if (!a->contents)
        return aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
    for (size_t i = 0; i < a->count; i++)
        a->contents[i] = (struct aki__added_key){ a->tokens[i].content, a->tokens[i].size, (uint32_t)i };
    if (a->count)
        qsort(a->contents, a->count, sizeof *a->contents, by_text);
    for (size_t i = 1, head = 0; i < a->count; i++) {
        struct aki__added_token *first = &a->tokens[a->contents[head].token], *t = &a->tokens[a->contents[i].token];
        if (!same(&a->contents[head], &a->contents[i])) {
            head = i;
            continue;
        }
        first->single_word = t->single_word;
        first->lstrip = t->lstrip;
        first->rstrip = t->rstrip;
        first->normalized = t->normalized;
        first->special |= t->special;
        t->size = 0;
    }
    for (size_t i = 0; i < a->count; i++) {
        struct aki__added_token t = a->tokens[i];
        if (t.size)
            a->tokens[n++] = t;
        else
            aki__free(t.content);
    }
    a->count = n;
    for (size_t i = 0; i < n; i++)
        a->contents[i] = (struct aki__added_key){ a->tokens[i].content, a->tokens[i].size, (uint32_t)i };
    if (n)
        qsort(a->contents, n, sizeof *a->contents, by_text);
    return AKI_OK;
}

struct id_key { int32_t id; uint32_t token; };

static int by_id(const void *x, const void *y)
{
    const struct id_key *a = x, *b = y;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return a->token < b->token ? -1 : a->token > b->token;
}

static aki_status sort_ids(struct aki__added *a, struct aki__reader *r)
{
    struct id_key *keys = aki__alloc(a->count, sizeof *keys);

    a->by_id = aki__alloc(a->count, sizeof *a->by_id);
    if (keys && a->by_id) {
        for (size_t i = 0; i < a->count; i++)
            keys[i] = (struct id_key){ a->tokens[i].id, (uint32_t)i };
        if (a->count)
            qsort(keys, a->count, sizeof *keys, by_id);
        for (size_t i = 0; i < a->count; i++)
            a->by_id[i] = keys[i].token;
    }
    aki__free(keys);
    return keys && a->by_id ? AKI_OK : aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
}

aki_status aki__added_parse(struct aki__added *a, struct aki__reader *r, const struct aki__json *list,
                            const struct aki__algorithm *model, size_t vocabulary)
{
    const struct aki__json *e;
    aki_status rc = AKI_OK;

    if (list && !aki__json_is(list, AKI_JSON_ARRAY))
        return aki__read_fail(r, AKI_E_INVALID, NULL, "expected an array");
    a->tokens = aki__zalloc(list ? list->size : 0, sizeof *a->tokens);
    if (!a->tokens)
        return aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
    e = list ? aki__json_first(list) : NULL;
    for (uint32_t i = 0; list && i < list->size && aki__read_on(r, rc); i++, e = aki__json_next(e)) {
        size_t reported = aki__read_reported(r), back = aki__path_index(r, i);
        a->count++;
        rc = aki__also(rc, aki__read_end(r, back, reported, parse_token(r, e, &a->tokens[i])));
    }
    if (rc || !model)
        return rc;
    rc = unite(a, r);
    for (size_t i = 0; i < a->count && !rc; i++) {
        struct aki__added_token *t = &a->tokens[i];
        t->id = aki__algorithm_id(model, t->content, t->size);
        if (t->id < 0 && vocabulary >= INT32_MAX - 1)
            rc = aki__read_fail(r, AKI_E_INVALID, NULL, "no ids left");
        else if (t->id < 0)
            t->id = (int32_t)vocabulary++;
    }
    return rc ? rc : sort_ids(a, r);
}

aki_status aki__added_index(struct aki__added *a, struct aki__reader *r)
{
    for (int list = 0; list < 2; list++) {
        struct aki__added_key *keys = a->lists[list] = aki__alloc(a->count, sizeof *keys);
        size_t n = 0;
        if (!keys)
            return aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
        for (size_t i = 0; i < a->count; i++) {
            const struct aki__added_token *t = &a->tokens[i];
            if (t->normalized != (list == 1))
                continue;
            bool other = list == 1 && t->normalized_content;
            keys[n++] = (struct aki__added_key){ other ? t->normalized_content : t->content, other ? t->normalized_size : t->size, (uint32_t)i };
        }
        if (n)
            qsort(keys, n, sizeof *keys, by_text);
        a->sizes[list] = n;
        a->only[list] = n && keys[0].size ? (unsigned char)keys[0].text[0] : -1;
        for (size_t i = 0; i < n; i++) {
            /* Of equal strings Hugging Face selects one at random; empty ones make it panic. */
            if (keys[i].size == 0)
                return aki__read_fail(r, AKI_E_UNSUPPORTED, NULL, "a token that the normaliser leaves nothing of is not supported");
            if (i && same(&keys[i - 1], &keys[i]))
                return aki__read_fail(r, AKI_E_UNSUPPORTED, NULL, "two tokens that the normaliser makes equal are not supported");
            if (keys[i].size > AKI_PIECE_LIMIT)
                return aki__read_fail(r, AKI_E_UNSUPPORTED, NULL,
                                      "a token that the normaliser makes longer than 512 bytes is not supported");
            a->first[list][(unsigned char)keys[i].text[0]] = true;
            if ((unsigned char)keys[i].text[0] != a->only[list])
                a->only[list] = -1;
        }
    }
    return AKI_OK;
}

void aki__added_free(struct aki__added *a)
{
    for (size_t i = 0; i < a->count; i++) {
        aki__free(a->tokens[i].content);
        aki__free(a->tokens[i].normalized_content);
    }
    aki__free(a->tokens);
    aki__free(a->contents);
    aki__free(a->lists[0]);
    aki__free(a->lists[1]);
    aki__free(a->by_id);
    *a = (struct aki__added){ 0 };
}

const struct aki__added_token *aki__added_by_id(const struct aki__added *a, int32_t id)
{
    size_t low = 0, high = a->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (a->tokens[a->by_id[middle]].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < a->count && a->tokens[a->by_id[low]].id == id ? &a->tokens[a->by_id[low]] : NULL;
}

const struct aki__added_token *aki__added_by_content(const struct aki__added *a, const char *content, size_t size)
{
    struct aki__added_key key = { content, size, 0 };
    size_t low = 0, high = a->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (by_text(&a->contents[middle], &key) < 0 && !same(&a->contents[middle], &key))
            low = middle + 1;
        else
            high = middle;
    }
    return low < a->count && same(&a->contents[low], &key) ? &a->tokens[a->contents[low].token] : NULL;
}

/* ---------------------------------------------------------------- searching ------------------------------------- */

/* The longest key with which text[at …) begins. */
static const struct aki__added_key *longest(const struct aki__added_key *keys, size_t count, const char *text, size_t size)
{
    const struct aki__added_key *best = NULL;
    size_t low = 0, high = count;

    for (size_t depth = 0; low < high; depth++) {
        /* If a key ends here, it is the first of the range. */
        if (keys[low].size == depth)
            best = &keys[low++];
        if (depth == size || low == high)
            break;
        unsigned char byte = (unsigned char)text[depth];
        size_t a = low, b = high;
        while (a < b) {
            size_t m = (a + b) / 2;
            if ((unsigned char)keys[m].text[depth] < byte)
                a = m + 1;
            else
                b = m;
        }
        low = a;
        for (b = high; a < b;) {
            size_t m = (a + b) / 2;
            if ((unsigned char)keys[m].text[depth] <= byte)
                a = m + 1;
            else
                b = m;
        }
        high = a;
    }
    return best;
}

static const struct aki__added_key *next_match(const struct aki__added_search *s, size_t *at)
{
    const struct aki__added_key *keys = s->a->lists[s->list];
    size_t count = s->a->sizes[s->list], i = *at;

    for (; count && i < s->size; i++) {
        if (s->a->only[s->list] >= 0) {
            const char *p = memchr(s->text + i, s->a->only[s->list], s->size - i);
            if (!p)
                break;
            i = (size_t)(p - s->text);
        } else if (!s->a->first[s->list][(unsigned char)s->text[i]]) {
            continue;
        }
        const struct aki__added_key *k = longest(keys, count, s->text + i, s->size - i);
        if (k) {
            *at = i;
            return k;
        }
    }
    return NULL;
}

static size_t back_one(const char *text, size_t at)
{
    do
        at--;
    while (at && (text[at] & 0xC0) == 0x80);
    return at;
}

static bool has_at(const char *text, size_t at, uint32_t flags)
{
    const char *p = text + at;
    return aki__unicode_has(aki__utf8_next(&p), flags);
}

bool aki__added_next(struct aki__added_search *s, struct aki__added_match *out)
{
    const struct aki__added_key *k;
    size_t at = s->from;

    if (s->held_any) {
        s->held_any = false;
        *out = s->held;
        return true;
    }
    for (; (k = next_match(s, &at)) != NULL; at = s->from) {
        const struct aki__added_token *t = &s->a->tokens[k->token];
        size_t begin = at, end = at + k->size;
        s->from = end;
        if (t->special && !s->specials)
            continue;
        if (t->single_word && ((begin && has_at(s->text, back_one(s->text, begin), AKI_U_WORD)) ||
                               (end < s->size && has_at(s->text, end, AKI_U_WORD))))
            continue;
        if (t->lstrip) {
            while (begin && has_at(s->text, back_one(s->text, begin), AKI_U_WHITE))
                begin = back_one(s->text, begin);
            if (begin < s->done)
                begin = s->done;        /* the token before has consumed them */
        }
        while (t->rstrip && end < s->size && has_at(s->text, end, AKI_U_WHITE)) {
            const char *p = s->text + end;
            aki__utf8_next(&p);
            end = (size_t)(p - s->text);
        }
        struct aki__added_match match = { t, begin, end };
        size_t done = s->done;
        s->done = end;
        s->held = match;
        s->held_any = begin < end;      /* nothing is left of a match whose blanks the token before has consumed */
        *out = (struct aki__added_match){ NULL, done, begin };
        if (done < begin)
            return true;
        if (!s->held_any)
            continue;
        s->held_any = false;
        *out = match;
        return true;
    }
    if (s->done >= s->size)
        return false;
    *out = (struct aki__added_match){ NULL, s->done, s->size };
    s->done = s->size;
    s->from = s->size;
    return true;
}
