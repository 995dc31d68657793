/* Unit bpe: byte-pair encoding: symbols, then the merge of lowest rank, leftmost first, until none is left (Sennrich et al. 2016). */
#include "text/words.h"

#define SHORT_WORD 48       /* symbols up to which searching all ranks beats a queue */
#define NO_MERGE   INT32_MAX

/* ---------------------------------------------------------------- merges ---------------------------------------- */

static inline size_t first_slot(const struct aki__bpe *b, int32_t left, int32_t right)
{
    return (size_t)(((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15) >> b->shift);
}

/* The merge of a pair, or the free slot where it would go. */
static inline struct aki__merge *slot_of(const struct aki__bpe *b, int32_t left, int32_t right)
{
    size_t i = first_slot(b, left, right);

    while (b->merges[i].left >= 0 && (b->merges[i].left != left || b->merges[i].right != right))
        i = (i + 1) & b->mask;
    return &b->merges[i];
}

static inline int32_t rank_of(const struct aki__bpe *b, int32_t left, int32_t right)
{
    const struct aki__merge *m = slot_of(b, left, right);

    return m->left < 0 ? NO_MERGE : (int32_t)m->rank;
}

static bool allocate_merges(struct aki__bpe *b, size_t count)
{
    unsigned bits = 4;

    while (((size_t)1 << bits) < count + count / 2)
        bits++;
    b->shift = 64 - bits;
    b->mask = ((size_t)1 << bits) - 1;
    b->merges = aki__alloc(b->mask + 1, sizeof *b->merges);
    if (b->merges)
        memset(b->merges, 0xFF, (b->mask + 1) * sizeof *b->merges);
    return b->merges != NULL;
}

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
    /* The prefix is cut from the right piece by its length alone, as Hugging Face does. A merge that adds nothing would
     * make two merges of one place look alike: no real file has one. */
    if (left.size == 0 || right.size <= b->prefix_size)
        return aki__fail(r->err, AKI_E_UNSUPPORTED, "%s: model.merges[%u]: it adds nothing to its left or right piece", r->name, (unsigned)i);
    joined->size = 0;
    if (!aki__buf_append(joined, left.data, left.size, SIZE_MAX)
        || !aki__buf_append(joined, right.data + b->prefix_size, right.size - b->prefix_size, SIZE_MAX))
        return aki__fail(r->err, AKI_E_NOMEM, "%s: model.merges", r->name);
    /* Trained files number the pieces in the order of their merges: mostly the next id is the one. */
    size_t size;
    const char *guess = aki__vocabulary_piece(v, *last + 1, &size);
    if (guess && size == joined->size && memcmp(guess, joined->data, size) == 0)
        id = *last + 1;
    else
        id = aki__vocabulary_id(v, joined->data, joined->size);
    if (id < 0)
        return unknown_piece(r, i, (struct text){ joined->data, joined->size });
    *last = id;
    *slot_of(b, left_id, right_id) = (struct aki__merge){ left_id, right_id, i, id };
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
    if (!allocate_merges(&a->of.bpe, merges->size))
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
    /* One symbol for one byte needs no spelling; what looks at the spelling gets it. */
    a->respell = a->byte_level && (b->prefix_size || b->suffix_size || a->byte_fallback);
    for (unsigned c = 0; c < 256; c++) {
        char ascii = (char)c;
        b->symbol[c] = -1;
        if (a->byte_level && !a->respell)
            b->symbol[c] = aki__vocabulary_id(&a->vocabulary, a->spelled[c], a->spelled_size[c]);
        else if (c < 0x80)
            b->symbol[c] = aki__vocabulary_id(&a->vocabulary, &ascii, 1);
    }
    return AKI_OK;
}

void aki__bpe_free(struct aki__bpe *b)
{
    aki__free(b->merges);
    aki__free(b->prefix);
    aki__free(b->suffix);
}

/* ---------------------------------------------------------------- symbols --------------------------------------- */

static bool reserve_symbols(struct aki__algorithm_scratch *s, size_t count)
{
    return aki__grow((void **)&s->ids, &s->ids_capacity, count, sizeof *s->ids)
        && aki__grow((void **)&s->sizes, &s->sizes_capacity, count, sizeof *s->sizes);
}

static inline void push(struct aki__algorithm_scratch *s, int32_t id, uint32_t size)
{
    s->ids[s->symbols] = id;
    s->sizes[s->symbols++] = size;
}

/* The bytes of an unknown character as symbols; false: one of them has none, and nothing was added. */
static bool push_bytes(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (a->byte_id[(unsigned char)text[i]] < 0)
            return false;
    for (size_t i = 0; i < size; i++)
        push(s, a->byte_id[(unsigned char)text[i]], 1);
    return true;
}

/* The next symbol of the word: its spelling with prefix and suffix. The result lies in the word or in s->spelling. */
static bool spell_symbol(const struct aki__bpe *b, struct aki__algorithm_scratch *s, const char *word, size_t size, size_t at, size_t bytes,
                         struct text *out)
{
    bool prefix = at && b->prefix_size, suffix = at + bytes == size && b->suffix_size;
    struct aki__buf *spelling = &s->spelling;

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

/* Takes the word apart into s->ids and s->sizes. An unknown token waits until the next known symbol and, where fuse_unk,
 * takes in the unknown characters behind it; bytes of a fallback do not end the wait, so they come before it: Hugging Face's order. */
static bool take_apart(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size, const char **failed)
{
    const struct aki__bpe *b = &a->of.bpe;
    bool raw = a->byte_level && !a->respell;
    uint32_t waiting = 0;       /* bytes of the unknown token that waits */
    struct text symbol;

    s->symbols = 0;
    for (size_t at = 0, bytes; at < size; at += bytes) {
        unsigned char c = (unsigned char)word[at];
        int32_t id;
        bytes = raw || c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        /* Room for this symbol's bytes and the one that waits. */
        if (!reserve_symbols(s, s->symbols + b->prefix_size + b->suffix_size + 6) || !spell_symbol(b, s, word, size, at, bytes, &symbol))
            return false;
        if (bytes == 1 && symbol.size == 1)
            id = b->symbol[c];
        else
            id = aki__vocabulary_id(&a->vocabulary, symbol.data, symbol.size);
        if (id >= 0) {
            if (waiting)
                push(s, a->unk, waiting);
            waiting = 0;
            push(s, id, (uint32_t)bytes);
            continue;
        }
        if ((a->byte_fallback && push_bytes(a, s, symbol.data, symbol.size)) || !a->has_unk)
            continue;
        if (a->unk < 0) {
            *failed = "a character is unknown, and the unknown token is not in the vocabulary";
            return false;
        }
        if (waiting && !b->fuse_unk) {
            push(s, a->unk, waiting);
            waiting = 0;
        }
        waiting += (uint32_t)bytes;
    }
    if (waiting)
        push(s, a->unk, waiting);
    return true;
}

/* ---------------------------------------------------------------- merging --------------------------------------- */

/* Symbols lie close together; after each merge those behind it move up. */
static void merge_short(const struct aki__bpe *b, struct aki__algorithm_scratch *s)
{
    int32_t ranks[SHORT_WORD], *ids = s->ids;
    uint32_t *sizes = s->sizes;
    size_t n = s->symbols;

    if (n < 2)
        return;
    for (size_t i = 0; i + 1 < n; i++)
        ranks[i] = rank_of(b, ids[i], ids[i + 1]);
    ranks[n - 1] = NO_MERGE;
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (ranks[i] < ranks[best])
                best = i;
        if (ranks[best] == NO_MERGE)
            break;
        ids[best] = slot_of(b, ids[best], ids[best + 1])->id;
        sizes[best] += sizes[best + 1];
        n--;
        memmove(ids + best + 1, ids + best + 2, (n - best - 1) * sizeof *ids);
        memmove(sizes + best + 1, sizes + best + 2, (n - best - 1) * sizeof *sizes);
        memmove(ranks + best + 1, ranks + best + 2, (n - best - 1) * sizeof *ranks);
        ranks[best] = best + 1 < n ? rank_of(b, ids[best], ids[best + 1]) : NO_MERGE;
        if (best)
            ranks[best - 1] = rank_of(b, ids[best - 1], ids[best]);
    }
    s->symbols = n;
}

/* A heap of rank << 32 | place: the smallest is the merge of lowest rank, leftmost first. */
static void sift_down(uint64_t *heap, size_t count, size_t i)
{
    uint64_t top = heap[i];

    for (size_t child; (child = 2 * i + 1) < count; i = child) {
        if (child + 1 < count && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= top)
            break;
        heap[i] = heap[child];
    }
    heap[i] = top;
}

static bool enqueue(const struct aki__bpe *b, struct aki__algorithm_scratch *s, size_t left, size_t right)
{
    int32_t rank = rank_of(b, s->ids[left], s->ids[right]);

    if (rank == NO_MERGE)
        return true;
    if (!aki__grow((void **)&s->queue, &s->queue_capacity, s->queued + 1, sizeof *s->queue))
        return false;
    uint64_t entry = (uint64_t)rank << 32 | left;
    size_t i = s->queued++;
    for (; i && s->queue[(i - 1) / 2] > entry; i = (i - 1) / 2)
        s->queue[i] = s->queue[(i - 1) / 2];
    s->queue[i] = entry;
    return true;
}

/* n log n: a word may be a whole text. A symbol of size 0 was taken in by the one before it. */
static bool merge_long(const struct aki__bpe *b, struct aki__algorithm_scratch *s)
{
    size_t n = s->symbols, kept = 0;

    s->queued = 0;
    if (!aki__grow((void **)&s->previous, &s->previous_capacity, n + 1, sizeof *s->previous)
        || !aki__grow((void **)&s->next, &s->next_capacity, n + 1, sizeof *s->next))
        return false;
    for (size_t i = 0; i < n; i++) {
        s->previous[i] = (uint32_t)i - 1;
        s->next[i] = (uint32_t)i + 1;
        if (i + 1 < n && !enqueue(b, s, i, i + 1))
            return false;
    }
    while (s->queued) {
        size_t left = (uint32_t)s->queue[0], right = s->next[left];
        uint32_t rank = (uint32_t)(s->queue[0] >> 32);
        s->queue[0] = s->queue[--s->queued];
        sift_down(s->queue, s->queued, 0);
        if (!s->sizes[left] || right == n)
            continue;
        const struct aki__merge *m = slot_of(b, s->ids[left], s->ids[right]);
        if (m->left < 0 || m->rank != rank)
            continue;       /* out of date: one of the two has been merged since */
        s->ids[left] = m->id;
        s->sizes[left] += s->sizes[right];
        s->sizes[right] = 0;
        s->next[left] = s->next[right];
        s->previous[s->next[left]] = (uint32_t)left;
        if ((left && !enqueue(b, s, s->previous[left], left)) || (s->next[left] < n && !enqueue(b, s, left, s->next[left])))
            return false;
    }
    for (size_t i = 0; i < n; i++)
        if (s->sizes[i]) {
            s->ids[kept] = s->ids[i];
            s->sizes[kept++] = s->sizes[i];
        }
    s->symbols = kept;
    return true;
}

/* The id of a whole word, which ignore_merges prefers to merging. */
static bool whole_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size, int32_t *id)
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
    if (!take_apart(a, s, word, size, failed))
        return false;
    if (s->symbols <= SHORT_WORD)
        merge_short(b, s);
    else if (!merge_long(b, s))
        return false;
    if (out->capacity - out->count < s->symbols
        && !aki__grow((void **)&out->data, &out->capacity, out->count + s->symbols, sizeof *out->data))
        return false;
    for (size_t i = 0; i < s->symbols; i++) {
        /* Symbols of an affix's bytes have no place in the word: Hugging Face counts them, so the end is passed. */
        size_t end = begin + s->sizes[i] < size ? begin + s->sizes[i] : size;
        out->data[out->count++] = (struct aki__token){ s->ids[i], (uint32_t)begin, (uint32_t)end };
        begin = end;
    }
    return true;
}
