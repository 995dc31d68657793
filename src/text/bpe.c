/* Unit bpe: byte-pair encoding: merges the pair of symbols with the lowest rank, leftmost first, until no pair merges (Sennrich
 * et al. 2016). */
#include "text/words.h"

/* ---------------------------------------------------------------- merges ---------------------------------------- */

#define SPACE "\xE2\x96\x81"     /* U+2581, the space of SentencePiece */

struct text { const char *data; size_t size; };

/* A merge is "a b" or ["a", "b"]. */
static bool split_merge(const struct aki__json *e, struct text *a, struct text *b)
{
    const struct aki__json *first = e + 1;

    if (e->kind == AKI_JSON_STRING) {
        const char *space = memchr(e->text, ' ', e->size);
        if (!space)
            return false;
        *a = (struct text){ e->text, (size_t)(space - e->text) };
        *b = (struct text){ space + 1, e->size - a->size - 1 };
        return !memchr(b->data, ' ', b->size);
    }
    if (e->kind != AKI_JSON_ARRAY || e->size != 2 || !aki__json_is(first, AKI_JSON_STRING) || !aki__json_is(first + 1, AKI_JSON_STRING))
        return false;
    *a = (struct text){ first->text, first->size };
    *b = (struct text){ first[1].text, first[1].size };
    return true;
}

static aki_status unknown_piece(const struct aki__model_reader *r, uint32_t i, struct text piece)
{
    return aki__fail(r->err, AKI_E_INVALID, "%s: model.merges[%u]: \"%.*s\" is not in the vocabulary", r->name, (unsigned)i,
                     (int)(piece.size < 60 ? piece.size : 60), piece.data);
}

static aki_status add_merge(struct aki__algorithm *a, const struct aki__model_reader *r, uint32_t i, struct text left, struct text right,
                            struct aki__buf *joined, int32_t *last)
{
    struct aki__bpe *b = &a->of.bpe;
    const struct aki__vocabulary *v = &a->vocabulary;
    int32_t left_id = aki__vocabulary_id(v, left.data, left.size), right_id = aki__vocabulary_id(v, right.data, right.size), id;

    if (left_id < 0 || right_id < 0)
        return unknown_piece(r, i, left_id < 0 ? left : right);
    /* The prefix is removed from the right piece by its length only, as in Hugging Face. A merge that adds nothing
     * would make two merges at one position indistinguishable; no real file has one. */
    if (left.size == 0 || right.size <= b->prefix_size)
        return aki__fail(r->err, AKI_E_UNSUPPORTED, "%s: model.merges[%u]: it adds nothing to its left or right piece", r->name,
                         (unsigned)i);
    joined->size = 0;
    if (!aki__buf_append(joined, left.data, left.size, SIZE_MAX)
        || !aki__buf_append(joined, right.data + b->prefix_size, right.size - b->prefix_size, SIZE_MAX))
        return aki__fail(r->err, AKI_E_NOMEM, "%s: model.merges", r->name);
    /* Trained files number pieces in the order of their merges, so the next id is mostly the right one. */
    size_t size;
    const char *guess = aki__vocabulary_piece(v, *last + 1, &size);
    if (guess && size == joined->size && memcmp(guess, joined->data, size) == 0)
        id = *last + 1;
    else
        id = aki__vocabulary_id(v, joined->data, joined->size);
    if (id < 0)
        return unknown_piece(r, i, (struct text){ joined->data, joined->size });
    *last = id;
    if (!aki__merges_add(&b->merges, (struct aki__merge){ left_id, right_id, id, i }))
        return aki__fail(r->err, AKI_E_UNSUPPORTED,
                         "%s: model.merges[%u]: so many collide in their table that texts would take for ever", r->name, (unsigned)i);
    if (right.size >= 3 && memcmp(right.data, SPACE, 3) == 0)
        b->joins[(unsigned char)left.data[left.size - 1]] = true;
    return AKI_OK;
}

static aki_status read_merges(struct aki__algorithm *a, const struct aki__model_reader *r)
{
    const struct aki__json *merges = aki__json_get(r->model, "merges"), *e;
    struct aki__buf joined = { 0 };
    int32_t last = -1;
    aki_status rc = AKI_OK;

    if (!aki__json_is(merges, AKI_JSON_ARRAY))
        return aki__fail(r->err, AKI_E_INVALID, "%s: model.merges: expected an array", r->name);
    if (merges->size > AKI_MERGES_LIMIT)
        return aki__fail(r->err, AKI_E_INVALID, "%s: model.merges: %u of them, above the limit of %d", r->name, (unsigned)merges->size,
                         AKI_MERGES_LIMIT);
    if (!aki__merges_init(&a->of.bpe.merges, merges->size))
        return aki__fail(r->err, AKI_E_NOMEM, "%s: model.merges", r->name);
    e = aki__json_first(merges);
    for (uint32_t i = 0; i < merges->size && !rc; i++, e = aki__json_next(e)) {
        static const char comment[] = "#version";
        struct text left, right;
        if (e->kind == AKI_JSON_STRING && e->size >= sizeof comment - 1 && memcmp(e->text, comment, sizeof comment - 1) == 0)
            continue;
        if (split_merge(e, &left, &right))
            rc = add_merge(a, r, i, left, right, &joined, &last);
        else
            rc = aki__fail(r->err, AKI_E_INVALID, "%s: model.merges[%u]: expected \"a b\" or [\"a\", \"b\"]", r->name, (unsigned)i);
    }
    aki__buf_free(&joined);
    return rc;
}

/* ---------------------------------------------------------------- parse ----------------------------------------- */

static aki_status read_affix(const struct aki__model_reader *r, const char *key, char **out, size_t *size)
{
    const char *text;
    aki_status rc = aki__model_string(r, key, false, &text, size);

    if (!rc && *size > AKI_PIECE_LIMIT)
        return aki__fail(r->err, AKI_E_UNSUPPORTED, "%s: model.%s: %zu bytes; %d are the most that is supported", r->name, key,
                         *size, AKI_PIECE_LIMIT);
    if (!rc && !(*out = aki__copy_string(text ? text : "", *size)))
        rc = aki__fail(r->err, AKI_E_NOMEM, "%s: model.%s", r->name, key);
    return rc;
}

static aki_status read_dropout(const struct aki__model_reader *r)
{
    const struct aki__json *node = aki__json_get(r->model, "dropout");
    double p;

    if (!node || aki__json_is(node, AKI_JSON_NULL))
        return AKI_OK;
    if (!aki__json_double(node, &p) || p < 0 || p > 1)
        return aki__fail(r->err, AKI_E_INVALID, "%s: model.dropout: expected null or a number from 0 to 1", r->name);
    return p == 0 ? AKI_OK : aki__fail(r->err, AKI_E_UNSUPPORTED, "%s: model.dropout: %g: only 0 gives the same ids each time", r->name, p);
}

static void read_symbols(struct aki__algorithm *a)
{
    for (unsigned c = 0; c < 256; c++) {
        char ascii = (char)c;
        int32_t *symbol = &a->of.bpe.symbol[c];
        *symbol = -1;
        if (a->byte_level && !a->respell)
            *symbol = aki__vocabulary_id(&a->vocabulary, a->spelled[c], a->spelled_size[c]);
        else if (c < 0x80)
            *symbol = aki__vocabulary_id(&a->vocabulary, &ascii, 1);
    }
}

/* The merges of all pairs of bytes, which are half of all lookups, in a table whose frequently used part is small. */
static bool pair_bytes(struct aki__bpe *b)
{
    if (!(b->byte_pairs = aki__alloc(1 << 16, sizeof *b->byte_pairs)))
        return false;
    for (size_t i = 0; i < 1 << 16; i++) {
        int32_t left = b->symbol[i >> 8], right = b->symbol[i & 255];
        const struct aki__merge *merge = left < 0 || right < 0 ? NULL : aki__merges_find(&b->merges, left, right);
        b->byte_pairs[i] = merge ? (struct aki__byte_pair){ (int32_t)(merge->rank << 6), merge->id }
                                 : (struct aki__byte_pair){ AKI_NO_KEY, -1 };
    }
    return true;
}

/* Determines whether a word can be split before U+2581. Files of SentencePiece have no merge of "a" and "▁b", so the symbols
 * before never merge with those after, and a text that is one word splits into words that repeat. `joins` has the bytes after
 * which they do merge. An unknown character is spelled as the unknown token or as "<0x..>". */
static bool can_split(const struct aki__algorithm *a)
{
    const struct aki__bpe *b = &a->of.bpe;
    size_t size;
    const char *unk = aki__vocabulary_piece(&a->vocabulary, a->unk, &size);

    return !a->byte_level && !b->ignore_merges && !b->prefix_size && !b->suffix_size && aki__vocabulary_id(&a->vocabulary, SPACE, 3) >= 0
        && unk && size && !b->joins[(unsigned char)unk[size - 1]] && !(a->byte_fallback && b->joins['>']);
}

size_t aki__bpe_cut(const struct aki__bpe *b, const char *word, size_t size)
{
    for (size_t at = 1; b->splits && at + 3 <= size; at++) {
        const char *found = memchr(word + at, SPACE[0], size - at - 2);
        if (!found)
            break;
        at = (size_t)(found - word);
        if (memcmp(found, SPACE, 3) == 0 && !b->joins[(unsigned char)found[-1]])
            return at;
    }
    return size;
}

aki_status aki__bpe_parse(struct aki__algorithm *a, const struct aki__model_reader *r)
{
    struct aki__bpe *b = &a->of.bpe;
    aki_status rc;

    if ((rc = aki__model_vocabulary(r, a)) || (rc = aki__model_unknown(r, a, false)) || (rc = read_dropout(r))
        || (rc = read_affix(r, "continuing_subword_prefix", &b->prefix, &b->prefix_size))
        || (rc = read_affix(r, "end_of_word_suffix", &b->suffix, &b->suffix_size))
        || (rc = aki__model_flag(r, "fuse_unk", &b->fuse_unk)) || (rc = aki__model_flag(r, "byte_fallback", &a->byte_fallback))
        || (rc = aki__model_flag(r, "ignore_merges", &b->ignore_merges)) || (rc = read_merges(a, r)))
        return rc;
    aki__model_byte_ids(a);
    /* A single byte needs no spelling, except for code that reads the spelling. */
    a->respell = a->byte_level && (b->prefix_size || b->suffix_size || a->byte_fallback);
    read_symbols(a);
    if (a->byte_level && !a->respell && !pair_bytes(b))
        return aki__fail(r->err, AKI_E_NOMEM, "%s: model.merges", r->name);
    b->splits = can_split(a);
    return AKI_OK;
}

void aki__bpe_free(struct aki__bpe *b)
{
    aki__merges_free(&b->merges);
    aki__free(b->byte_pairs);
    aki__free(b->prefix);
    aki__free(b->suffix);
}

/* ---------------------------------------------------------------- symbols --------------------------------------- */

static inline void push(struct aki__symbols *row, int32_t id, uint32_t size)
{
    row->symbols[row->count].id = id;
    row->symbols[row->count++].size = size;
}

/* Adds the bytes of an unknown character as symbols; false: one of them has no symbol, and nothing was added. */
static bool push_bytes(const struct aki__algorithm *a, struct aki__symbols *row, struct text symbol)
{
    for (size_t i = 0; i < symbol.size; i++)
        if (a->byte_id[(unsigned char)symbol.data[i]] < 0)
            return false;
    for (size_t i = 0; i < symbol.size; i++)
        push(row, a->byte_id[(unsigned char)symbol.data[i]], 1);
    return true;
}

/* Spells the symbol of the character at [at, at + bytes): with the prefix unless first, and with the suffix if last. */
static bool spell_symbol(const struct aki__bpe *b, struct aki__buf *spelling, const char *word, size_t size, size_t at, size_t bytes,
                         struct text *out)
{
    bool prefix = at && b->prefix_size, suffix = at + bytes == size && b->suffix_size;

    *out = (struct text){ word + at, bytes };
    if (!prefix && !suffix)
        return true;
    spelling->size = 0;
    if ((prefix && !aki__buf_append(spelling, b->prefix, b->prefix_size, SIZE_MAX))
        || !aki__buf_append(spelling, word + at, bytes, SIZE_MAX)
        || (suffix && !aki__buf_append(spelling, b->suffix, b->suffix_size, SIZE_MAX)))
        return false;
    *out = (struct text){ spelling->data, spelling->size };
    return true;
}

static bool reserve_row(const struct aki__algorithm *a, struct aki__symbols *row, size_t size)
{
    const struct aki__bpe *b = &a->of.bpe;
    size_t most = size;

    /* A character gives one symbol, or one for each byte of its spelling. */
    if (a->byte_fallback && (!aki__mul(size, 1 + b->prefix_size, &most) || !aki__add(most, b->suffix_size, &most)))
        return false;
    row->count = 0;
    return most < INT32_MAX && aki__row_reserve(row, most + 1);
}

/* Splits the word into symbols. An unknown token is held until the next known symbol; with fuse_unk it absorbs the unknown
 * characters after it. Bytes of a fallback do not end this, so they come before it: the order of Hugging Face. */
static bool take_apart(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                       const char **failed)
{
    const struct aki__bpe *b = &a->of.bpe;
    struct aki__symbols *row = &s->row;
    bool raw = a->byte_level && !a->respell;
    uint32_t waiting = 0;       /* bytes of the unknown token that is held */
    struct text symbol;

    if (!reserve_row(a, row, size))
        return false;
    for (size_t at = 0, bytes; at < size; at += bytes) {
        unsigned char c = (unsigned char)word[at];
        bytes = raw ? 1 : aki__character_size(c, size - at);
        if (!spell_symbol(b, &s->spelling, word, size, at, bytes, &symbol))
            return false;
        int32_t id = symbol.size == 1 ? b->symbol[c] : aki__vocabulary_id(&a->vocabulary, symbol.data, symbol.size);
        if (id >= 0) {
            if (waiting)
                push(row, a->unk, waiting);
            waiting = 0;
            push(row, id, (uint32_t)bytes);
            continue;
        }
        if ((a->byte_fallback && push_bytes(a, row, symbol)) || !a->has_unk)
            continue;
        if (a->unk < 0) {
            *failed = "a character is unknown, and the unknown token is not in the vocabulary";
            return false;
        }
        if (waiting && !b->fuse_unk) {
            push(row, a->unk, waiting);
            waiting = 0;
        }
        waiting += (uint32_t)bytes;
    }
    if (waiting)
        push(row, a->unk, waiting);
    for (size_t i = 0; i + 1 < row->count; i++)
        aki__row_pair(row, &b->merges, i, i + 1);
    return true;
}

/* The same for raw bytes that are all known, from tables only. *done: they were. */
static bool take_bytes(const struct aki__algorithm *a, struct aki__symbols *row, const char *word, size_t size, bool *done)
{
    const struct aki__bpe *b = &a->of.bpe;

    if (size > INT32_MAX - 1 || !aki__row_reserve(row, size))
        return false;
    *done = true;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)word[i];
        row->symbols[i].id = b->symbol[c];
        row->symbols[i].size = 1;
        *done &= b->symbol[c] >= 0;
        if (i + 1 < size) {
            struct aki__byte_pair pair = b->byte_pairs[c << 8 | (unsigned char)word[i + 1]];
            row->keys[i] = pair.key == AKI_NO_KEY ? pair.key : pair.key | (int32_t)(i & 63);
            row->symbols[i].joined = pair.joined;
        }
    }
    row->count = size;
    return true;
}

/* The id of the whole word, which ignore_merges prefers to merging. */
static bool whole_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                       int32_t *id)
{
    if (!a->byte_level || a->respell) {
        *id = aki__vocabulary_id(&a->vocabulary, word, size);
        return true;
    }
    *id = -1;
    if (size > a->vocabulary.longest)
        return true;
    s->spelling.size = 0;
    if (!aki__buf_reserve(&s->spelling, 2 * size, SIZE_MAX))
        return false;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)word[i];
        memcpy(s->spelling.data + s->spelling.size, a->spelled[c], a->spelled_size[c]);
        s->spelling.size += a->spelled_size[c];
    }
    *id = aki__vocabulary_id(&a->vocabulary, s->spelling.data, s->spelling.size);
    return true;
}

bool aki__bpe_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                   struct aki__tokens *out, const char **failed)
{
    const struct aki__bpe *b = &a->of.bpe;
    size_t begin = 0;
    int32_t id = -1;

    if (b->ignore_merges && !whole_word(a, s, word, size, &id))
        return false;
    if (id >= 0)
        return aki__token_add(out, id, 0, size);
    bool taken = false;
    if (b->byte_pairs && !take_bytes(a, &s->row, word, size, &taken))
        return false;
    if (!taken && !take_apart(a, s, word, size, failed))
        return false;
    aki__row_merge(&s->row, &b->merges);
    for (size_t i = 0; i < s->row.count; i = s->row.symbols[i].next) {
        /* Symbols of a prefix or suffix have no bytes in the word, but Hugging Face counts them, so offsets can exceed the word. */
        size_t end = begin + s->row.symbols[i].size < size ? begin + s->row.symbols[i].size : size;
        if (!aki__token_add(out, s->row.symbols[i].id, begin, end))
            return false;
        begin = end;
    }
    return true;
}
