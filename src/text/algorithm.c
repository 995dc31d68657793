/* Unit algorithm: reads "model" of tokenizer.json, caches words, and calls the algorithm for words that are not cached. See
 * algorithm.h. */
#include "text/words.h"

#include <stdio.h>

#define WORD_SETS 16384         /* sets of two words: 2 MiB for each thread; only pages with entries use memory */

/* ---------------------------------------------------------------- reading --------------------------------------- */

aki_status aki__model_string(const struct aki__model_reader *r, const char *key, bool required, const char **text, size_t *size)
{
    const struct aki__json *node = aki__json_get(r->model, key);

    *text = NULL;
    *size = 0;
    if (!required && (!node || aki__json_is(node, AKI_JSON_NULL)))
        return AKI_OK;
    if (!aki__json_is(node, AKI_JSON_STRING))
        return aki__fail(r->err, AKI_E_INVALID, "%s: model.%s: expected a string", r->name, key);
    *text = node->text;
    *size = node->size;
    return AKI_OK;
}

aki_status aki__model_flag(const struct aki__model_reader *r, const char *key, bool *out)
{
    const struct aki__json *node = aki__json_get(r->model, key);

    *out = false;
    if (!node || aki__json_is(node, AKI_JSON_NULL) || aki__json_bool(node, out))
        return AKI_OK;
    return aki__fail(r->err, AKI_E_INVALID, "%s: model.%s: expected true or false", r->name, key);
}

aki_status aki__model_unknown(const struct aki__model_reader *r, struct aki__algorithm *a, bool required)
{
    const char *text;
    size_t size;
    aki_status rc = aki__model_string(r, "unk_token", required, &text, &size);

    a->has_unk = text != NULL;
    a->unk = text ? aki__vocabulary_id(&a->vocabulary, text, size) : -1;
    return rc;
}

void aki__model_byte_ids(struct aki__algorithm *a)
{
    char code[8];

    for (unsigned b = 0; b < 256; b++) {
        snprintf(code, sizeof code, "<0x%02X>", b);
        a->byte_id[b] = aki__vocabulary_id(&a->vocabulary, code, 6);
    }
}

/* Reads an id; -1: not one. It has plain digits in every real file, so no floating-point number is parsed. */
static int64_t read_id(const struct aki__json *node)
{
    int64_t id = 0;

    if (!aki__json_is(node, AKI_JSON_NUMBER))
        return -1;
    if (node->size > 8)
        return aki__json_int(node, &id) ? id : -1;
    for (uint32_t i = 0; i < node->size; i++) {
        if (node->text[i] < '0' || node->text[i] > '9')
            return aki__json_int(node, &id) ? id : -1;
        id = id * 10 + (node->text[i] - '0');
    }
    return id;
}

aki_status aki__model_vocabulary(const struct aki__model_reader *r, struct aki__algorithm *a)
{
    const struct aki__json *object = aki__json_get(r->model, "vocab"), *e;
    size_t bytes = 0, limit = 0;

    if (!aki__json_is(object, AKI_JSON_OBJECT))
        return aki__fail(r->err, AKI_E_INVALID, "%s: model.vocab: expected an object", r->name);
    e = aki__json_first(object);
    for (uint32_t i = 0; i < object->size; i++, e = aki__json_next(e + 1)) {
        int64_t id = read_id(e + 1);
        if (id < 0 || id >= AKI_VOCABULARY_LIMIT)
            return aki__fail(r->err, AKI_E_INVALID, "%s: model.vocab: \"%.*s\": expected an id from 0 to %d", r->name,
                             (int)(e->size < 60 ? e->size : 60), e->text, AKI_VOCABULARY_LIMIT - 1);
        bytes += e->size;
        if ((size_t)id >= limit)
            limit = (size_t)id + 1;
    }
    if (!aki__vocabulary_init(&a->vocabulary, object->size, bytes, limit))
        return aki__fail(r->err, AKI_E_NOMEM, "%s: model.vocab", r->name);
    e = aki__json_first(object);
    for (uint32_t i = 0; i < object->size; i++, e = aki__json_next(e + 1)) {
        int32_t id = (int32_t)read_id(e + 1);
        const char *what = a->vocabulary.pieces[id].size_1 ? "its id is taken by another piece" : "stands twice";
        if (a->vocabulary.pieces[id].size_1 || !aki__vocabulary_add(&a->vocabulary, id, e->text, e->size, false))
            return aki__fail(r->err, AKI_E_INVALID, "%s: model.vocab: \"%.*s\" (%d): %s", r->name,
                             (int)(e->size < 60 ? e->size : 60), e->text, (int)id, what);
    }
    return AKI_OK;
}

/* The kind of the algorithm; -1: unknown. Files from before 2020 have no type: it follows from the members, checked in Hugging
 * Face's order. */
static int read_kind(const struct aki__json *model)
{
    static const char *const names[] = { "BPE", "WordPiece", "Unigram", "WordLevel" };
    const struct aki__json *type = aki__json_get(model, "type"), *vocab = aki__json_get(model, "vocab");

    for (int i = 0; type && i < 4; i++)
        if (aki__json_equals(type, names[i]))
            return i;
    if (type)
        return -1;
    if (aki__json_get(model, "merges"))
        return AKI_BPE;
    if (aki__json_is(vocab, AKI_JSON_ARRAY))
        return AKI_UNIGRAM;
    if (!aki__json_is(vocab, AKI_JSON_OBJECT))
        return -1;
    return aki__json_get(model, "max_input_chars_per_word") ? AKI_WORDPIECE : AKI_WORDLEVEL;
}

static void spell_bytes(struct aki__algorithm *a)
{
    uint32_t next = 0x100;

    /* Printable Latin-1 characters represent themselves, every other byte the next character from U+0100 on (GPT-2, Radford et al. 2019). */
    for (uint32_t b = 0; b < 256; b++) {
        char bytes[4];
        bool itself = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        a->spelled_size[b] = (uint8_t)aki__utf8_encode(itself ? b : next++, bytes);
        memcpy(a->spelled[b], bytes, a->spelled_size[b]);
    }
}

static aki_status wordlevel_parse(struct aki__algorithm *a, const struct aki__model_reader *r)
{
    aki_status rc = aki__model_vocabulary(r, a);

    return rc ? rc : aki__model_unknown(r, a, true);
}

aki_status aki__algorithm_parse(struct aki__algorithm **out, const struct aki__json *model, bool byte_level, const char *name,
                                aki_error *err)
{
    struct aki__model_reader r = { model, name, err };
    struct aki__algorithm *a = aki__zalloc(1, sizeof *a);
    aki_status rc;
    int kind;

    *out = NULL;
    if (!a) { rc = aki__fail(err, AKI_E_NOMEM, "%s: model", name); goto done; }
    if (!aki__json_is(model, AKI_JSON_OBJECT)) { rc = aki__fail(err, AKI_E_INVALID, "%s: model: expected an object", name); goto done; }
    if ((kind = read_kind(model)) < 0) {
        rc = aki__fail(err, AKI_E_UNSUPPORTED, "%s: model.type: expected BPE, WordPiece, Unigram or WordLevel", name);
        goto done;
    }
    a->kind = (enum aki__algorithm_kind)kind;
    a->byte_level = a->respell = byte_level;
    a->unk = -1;
    spell_bytes(a);
    switch (a->kind) {
    case AKI_BPE:       rc = aki__bpe_parse(a, &r); break;
    case AKI_WORDPIECE: rc = aki__wordpiece_parse(a, &r); break;
    case AKI_UNIGRAM:   rc = aki__unigram_parse(a, &r); break;
    default:            rc = wordlevel_parse(a, &r); break;
    }
    if (rc)
        goto done;
    *out = a;
    a = NULL;
done:
    aki__algorithm_free(a);
    return rc;
}

void aki__algorithm_free(struct aki__algorithm *a)
{
    if (!a)
        return;
    if (a->kind == AKI_BPE)
        aki__bpe_free(&a->of.bpe);
    if (a->kind == AKI_UNIGRAM)
        aki__unigram_free(&a->of.unigram);
    aki__trie_free(&a->trie);
    aki__vocabulary_free(&a->vocabulary);
    aki__free(a);
}

size_t aki__algorithm_size(const struct aki__algorithm *a) { return a->vocabulary.limit; }

const char *aki__algorithm_piece(const struct aki__algorithm *a, int32_t id, size_t *size)
{
    return aki__vocabulary_piece(&a->vocabulary, id, size);
}

int32_t aki__algorithm_id(const struct aki__algorithm *a, const char *piece, size_t size)
{
    return aki__vocabulary_id(&a->vocabulary, piece, size);
}

/* ---------------------------------------------------------------- words ----------------------------------------- */

struct aki__algorithm_scratch *aki__algorithm_scratch_new(const struct aki__algorithm *a)
{
    struct aki__algorithm_scratch *s = aki__zalloc(1, sizeof *s);

    if (!s || a->kind == AKI_WORDLEVEL)
        return s;
    /* New zero pages use no memory until they are written; aki__alloc_aligned would have to clear them. */
    s->words_block = aki__zalloc(2 * WORD_SETS + 1, sizeof *s->words);
    if (!s->words_block) {
        aki__free(s);
        return NULL;
    }
    s->words = (struct aki__word *)(((uintptr_t)s->words_block + sizeof *s->words - 1) & ~(uintptr_t)(sizeof *s->words - 1));
    return s;
}

void aki__algorithm_scratch_free(struct aki__algorithm_scratch *s)
{
    if (!s)
        return;
    aki__free(s->words_block);
    aki__buf_free(&s->respelled);
    aki__buf_free(&s->spelling);
    aki__free(s->places);
    aki__row_free(&s->row);
    aki__free(s->nodes);
    aki__free(s);
}

size_t aki__algorithm_scratch_size(const struct aki__algorithm_scratch *s)
{
    return s->respelled.capacity + s->spelling.capacity + s->places_capacity * sizeof *s->places + s->row.capacity * sizeof *s->row.symbols
           + s->row.keys_capacity * sizeof *s->row.keys + s->nodes_capacity * sizeof *s->nodes;
}

static uint64_t load(const char *p, size_t size)
{
    uint64_t word = 0;

    memcpy(&word, p, size);
    return word;
}

/* Loads up to 8 bytes, padded with zeros, without reading beyond the end. */
static inline uint64_t load_short(const char *p, size_t size)
{
    if (size >= 4)
        return load(p, 4) | load(p + size - 4, 4) << (size - 4) * 8;
    if (size >= 2)
        return load(p, 2) | load(p + size - 2, 2) << (size - 2) * 8;
    return (unsigned char)*p;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t p = (__uint128_t)a * b;

    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* The key of a word, and its hash. size: 1 … AKI_WORD_BYTES. */
static inline uint64_t make_key(const char *word, size_t size, uint64_t key[4])
{
    uint64_t hash = UINT64_C(0x9E3779B97F4A7C15) * size;

    key[0] = key[1] = key[2] = key[3] = 0;
    if (size <= 8) {
        key[0] = load_short(word, size);
    } else {
        size_t full = (size - 1) / 8;
        for (size_t i = 0; i < full; i++)
            key[i] = load(word + 8 * i, 8);
        key[full] = load(word + size - 8, 8) >> (8 * full + 8 - size) * 8;
        for (size_t i = 0; i < full; i++)
            hash = mix(hash ^ key[i], UINT64_C(0xD6E8FEB86659FD93));
        return mix(hash ^ key[full], UINT64_C(0xA0761D6478BD642F));
    }
    return mix(hash ^ key[0], UINT64_C(0xA0761D6478BD642F));
}

static void remember(struct aki__word *set, const uint64_t key[4], size_t size, const struct aki__token *tokens, size_t count)
{
    struct aki__word word = { .size = (uint8_t)size, .count = (uint8_t)count };

    memcpy(word.key, key, sizeof word.key);
    for (size_t i = 0; i < count; i++) {
        /* An entry has only the ends of tokens, so words whose tokens are not contiguous (those of a byte fallback) are not cached. */
        if (tokens[i].begin != (i ? tokens[i - 1].end : 0))
            return;
        word.ids[i] = tokens[i].id;
        word.ends[i] = (uint8_t)tokens[i].end;
    }
    set[1] = set[0];
    set[0] = word;
}

static bool one_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                     struct aki__tokens *out, const char **failed)
{
    switch (a->kind) {
    case AKI_BPE:       return aki__bpe_word(a, s, word, size, out, failed);
    case AKI_WORDPIECE: return aki__wordpiece_word(a, word, size, out, failed);
    case AKI_UNIGRAM:   return aki__unigram_word(a, s, word, size, out, failed);
    default: break;
    }
    int32_t id = aki__vocabulary_id(&a->vocabulary, word, size);
    if (id < 0 && (id = a->unk) < 0) {
        *failed = "the word is not in the vocabulary, and neither is the unknown token";
        return false;
    }
    return aki__token_add(out, id, 0, size);
}

/* Spells the word in the byte alphabet for the algorithm, and converts the offsets of the tokens back to bytes of the word. */
static bool respelled_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                           struct aki__tokens *out, const char **failed)
{
    size_t first = out->count, n = 0;

    s->respelled.size = 0;
    if (!aki__buf_reserve(&s->respelled, 2 * size + 1, UINT32_MAX)
        || !aki__grow((void **)&s->places, &s->places_capacity, 2 * size + 1, sizeof *s->places))
        return false;
    for (size_t i = 0; i < size; i++) {
        unsigned char b = (unsigned char)word[i];
        for (int k = 0; k < a->spelled_size[b]; k++) {
            s->places[n] = (uint32_t)i + (k != 0);
            s->respelled.data[n++] = a->spelled[b][k];
        }
    }
    s->places[n] = (uint32_t)size;
    if (!one_word(a, s, s->respelled.data, n, out, failed))
        return false;
    for (size_t i = first; i < out->count; i++) {
        /* Half a character, which byte fallback can produce, is the byte itself. */
        uint32_t begin = out->data[i].begin;
        bool inside = begin < n && ((unsigned char)s->respelled.data[begin] & 0xC0) == 0x80;
        out->data[i].begin = s->places[begin] - inside;
        out->data[i].end = s->places[out->data[i].end];
    }
    return true;
}

/* Encodes a word, with the cache. Offsets of its tokens count from `from`. */
static bool cached_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size, uint32_t from,
                        struct aki__tokens *out, const char **failed)
{
    uint64_t key[4];
    struct aki__word *set = NULL;
    size_t first = out->count;

    if (size <= AKI_WORD_BYTES && s->words) {
        set = &s->words[2 * (make_key(word, size, key) & (WORD_SETS - 1))];
        for (int way = 0; way < 2; way++) {
            const struct aki__word *w = &set[way];
            if (w->size != size || w->key[0] != key[0] || w->key[1] != key[1] || w->key[2] != key[2] || w->key[3] != key[3])
                continue;
            if (out->capacity - out->count < w->count
                && !aki__grow((void **)&out->data, &out->capacity, out->count + w->count, sizeof *out->data))
                return false;
            uint32_t begin = from;
            for (unsigned i = 0; i < w->count; i++) {
                out->data[out->count++] = (struct aki__token){ w->ids[i], begin, from + w->ends[i] };
                begin = from + w->ends[i];
            }
            return true;
        }
    }
    if (!(a->respell ? respelled_word(a, s, word, size, out, failed) : one_word(a, s, word, size, out, failed)))
        return false;
    if (set && out->count - first <= AKI_WORD_TOKENS)
        remember(set, key, size, out->data + first, out->count - first);
    for (size_t i = from ? first : out->count; i < out->count; i++) {
        out->data[i].begin += from;
        out->data[i].end += from;
    }
    return true;
}

/* Splits a text that BPE gets as one word where this does not change its tokens. */
static bool cut_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                     struct aki__tokens *out, const char **failed)
{
    for (size_t at = 0, part; at < size; at += part) {
        part = aki__bpe_cut(&a->of.bpe, word + at, size - at);
        if (!cached_word(a, s, word + at, part, (uint32_t)at, out, failed))
            return false;
    }
    return true;
}

bool aki__algorithm_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                         struct aki__tokens *out, const char **failed)
{
    size_t first = out->count;
    bool done;

    *failed = NULL;
    if (size == 0 && a->kind != AKI_WORDLEVEL)
        return true;
    if (size > UINT32_MAX / 2)
        return false;
    if (a->kind == AKI_BPE && a->of.bpe.splits)
        done = cut_word(a, s, word, size, out, failed);
    else
        done = cached_word(a, s, word, size, 0, out, failed);
    if (!done)
        out->count = first;
    return done;
}
