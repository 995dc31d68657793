/* Unit chunk: cuts a text into pieces of at most so many tokens. See chunk.h. */
#include "chunk.h"

#include <stdlib.h>
#include <string.h>

/* Tokens of text with the options e; SIZE_MAX on failure. */
static size_t count_tokens(const aki_model *model, const aki_embed_options *e, const char *text, size_t size, aki_error *error)
{
    aki_embed_options whole = *e;
    size_t count = 0;

    whole.max_tokens = 0;
    whole.dtype = AKI_DTYPE_F32;                              /* the ranges of another may not be there yet */
    aki_status status = aki_tokenize(model, text, size, &whole, NULL, NULL, 0, &count, error);
    return status == AKI_OK || status == AKI_E_TOO_SMALL ? count : SIZE_MAX;
}

int chunk_open(struct chunker *c, const aki_model *model, const aki_embed_options *options, int chunk, int overlap, int limit)
{
    aki_error error;

    c->model = model;
    c->options = options;
    c->limit = (size_t)chunk;
    c->overlap = (size_t)overlap;
    c->fixed = count_tokens(model, options, "", 0, &error);
    if (c->fixed == SIZE_MAX)
        return cli_fail(CLI_INPUT, "%s", error.message);
    if (chunk > limit)
        return cli_fail(CLI_USAGE, "--chunk is at most %d here, not '%d'", limit, chunk);
    if (c->limit <= c->fixed)
        return cli_fail(CLI_USAGE, "--chunk is %zu or more here (prompt and special tokens take %zu), not '%d'", c->fixed + 1, c->fixed, chunk);
    if (c->overlap >= c->limit - c->fixed)
        return cli_fail(CLI_USAGE, "--overlap is less than the %zu tokens of a text that a chunk holds, not '%d'", c->limit - c->fixed, overlap);
    return CLI_OK;
}

void chunk_free(struct chunker *c)
{
    free(c->ids);
    free(c->spans);
    free(c->cuts);
    memset(c, 0, sizeof *c);
}

/* The text's own tokens, with their bytes. */
static aki_status find_tokens(struct chunker *c, const char *text, size_t size, aki_error *error)
{
    aki_embed_options plain;

    aki_embed_options_init(&plain, sizeof plain);
    plain.prompt = "";
    plain.no_special = 1;
    plain.no_parse_special = c->options->no_parse_special;
    aki_status status = aki_tokenize(c->model, text, size, &plain, c->ids, c->spans, c->capacity, &c->count, error);
    if (status != AKI_E_TOO_SMALL)
        return status;
    int32_t *ids = aki__realloc(c->ids, c->count, sizeof *ids);
    if (ids)
        c->ids = ids;
    int64_t *spans = aki__realloc(c->spans, c->count, 2 * sizeof *spans);
    if (spans)
        c->spans = spans;
    if (!ids || !spans) {
        error->status = AKI_E_NOMEM;
        memcpy(error->message, "out of memory", sizeof "out of memory");
        return AKI_E_NOMEM;
    }
    c->capacity = c->count;
    return aki_tokenize(c->model, text, size, &plain, c->ids, c->spans, c->capacity, &c->count, error);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* Tokens of a byte-level vocabulary may end inside a character: a cut may not. */
static size_t whole_before(const char *text, size_t at)
{
    while (at && ((unsigned char)text[at] & 0xC0) == 0x80)
        at--;
    return at;
}

static size_t whole_behind(const char *text, size_t size, size_t at)
{
    while (at < size && ((unsigned char)text[at] & 0xC0) == 0x80)
        at++;
    return at;
}

static size_t begin_of(const struct chunker *c, const char *text, size_t size, size_t token)
{
    size_t at = (size_t)c->spans[2 * token];

    return token == 0 ? 0 : at < size ? whole_before(text, at) : size;
}

/* Where the tokens before `token` end. */
static size_t end_of(const struct chunker *c, const char *text, size_t size, size_t token)
{
    size_t at = (size_t)c->spans[2 * token - 1];

    return token == c->count ? size : whole_behind(text, size, at);
}

/* The token to cut before, at most `last`: the first of a word, if one is in the last quarter of the chunk and behind `least`. */
static size_t between_words(const struct chunker *c, const char *text, size_t first, size_t least, size_t last)
{
    for (size_t k = last; k > least && k > last - (last - first) / 4; k--) {
        size_t at = (size_t)c->spans[2 * k];
        if (at && (is_blank(text[at]) || is_blank(text[at - 1])))
            return k;
    }
    return last;
}

static bool add_cut(struct chunker *c, size_t begin, size_t end)
{
    if (c->cut_count == c->cut_capacity) {
        size_t capacity = c->cut_capacity ? c->cut_capacity * 2 : 64;
        struct cut *cuts = aki__realloc(c->cuts, capacity, sizeof *cuts);
        if (!cuts)
            return false;
        c->cuts = cuts;
        c->cut_capacity = capacity;
    }
    c->cuts[c->cut_count++] = (struct cut){ begin, end < begin ? begin : end };
    return true;
}

/* The chunk that begins with token first: its cut, and in *next the first token behind it (before: behind the chunk before it). */
static bool one_chunk(struct chunker *c, const char *text, size_t size, size_t first, size_t *next, aki_error *error)
{
    size_t room = c->limit - c->fixed, last = c->count - first > room ? first + room : c->count, begin = begin_of(c, text, size, first), end;

    if (last < c->count)
        last = between_words(c, text, first, *next, last);
    for (;;) {
        end = end_of(c, text, size, last);
        /* Alone, a piece of text may give more tokens than it did inside: a word that is cut apart does. */
        size_t count = end > begin ? count_tokens(c->model, c->options, text + begin, end - begin, error) : 0;
        if (count == SIZE_MAX)
            return false;
        if (count <= c->limit || last == first + 1)
            break;
        last = last - first > count - c->limit ? last - (count - c->limit) : first + 1;
    }
    while (last < c->count && (size_t)c->spans[2 * last + 1] <= end)
        last++;
    *next = last;
    return add_cut(c, begin, end);
}

int chunk_split(struct chunker *c, const char *text, size_t size, aki_error *error)
{
    size_t first = 0, next = 0, whole = count_tokens(c->model, c->options, text, size, error);

    c->cut_count = 0;
    if (whole == SIZE_MAX)
        return error->status;
    if (whole > c->limit && find_tokens(c, text, size, error))
        return error->status;
    if (whole <= c->limit || c->count == 0)
        return add_cut(c, 0, size) ? AKI_OK : AKI_E_NOMEM;
    error->status = AKI_E_NOMEM;
    memcpy(error->message, "out of memory", sizeof "out of memory");
    do {
        if (!one_chunk(c, text, size, first, &next, error))
            return error->status;
        /* So much overlap that nothing was added: begin later. */
        if (c->cut_count > 1 && c->cuts[c->cut_count - 1].end <= c->cuts[c->cut_count - 2].end) {
            c->cut_count--;
            first++;
            continue;
        }
        size_t back = next > c->overlap ? next - c->overlap : 0;
        if (back <= first)
            back = first + 1;
        while (back < next && begin_of(c, text, size, back) == begin_of(c, text, size, back - 1))
            back++;
        first = next == c->count ? next : back;
    } while (first < c->count);
    return AKI_OK;
}
