/* Unit unigram: the segmentation with the highest total score (Kudo 2018), by the Viterbi algorithm over the characters of the
 * text. */
#include "text/words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define UNKNOWN_PENALTY 10.0

static aki_status bad_entry(const struct aki__model_reader *r, uint32_t i)
{
    return aki__fail(r->err, AKI_E_INVALID, "%s: model.vocab[%u]: expected [piece, score]", r->name, (unsigned)i);
}

/* The double nearest to 10^n, 0 <= n <= 308. */
static double power_of_ten(int64_t n)
{
    static const double exact[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
                                    1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    char spelling[24];

    if (n < (int64_t)(sizeof exact / sizeof *exact))
        return exact[n];
    snprintf(spelling, sizeof spelling, "1e%lld", (long long)n);
    return strtod(spelling, NULL);
}

/* Reads a score as Hugging Face does (serde_json without exact floats): the digits as an integer, multiplied or divided by a
 * power of ten, which can differ from the nearest double in its last bit. Which of two paths with equal scores wins can depend
 * on that bit. false: not a finite number. */
static bool read_score(const struct aki__json *number, double *out)
{
    const char *p = number->text, *end = p + number->size;
    bool negative = *p == '-', fraction = false, full = false;
    uint64_t digits = 0;
    int64_t exponent = 0, written = 0;

    for (p += negative; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            fraction = true;
            continue;
        }
        unsigned digit = (unsigned)(*p - '0');
        full |= digits > (UINT64_MAX - digit) / 10;
        if (!full)
            digits = digits * 10 + digit;       /* digits after the last that fits are ignored */
        exponent += full ? !fraction : -(int64_t)fraction;
    }
    if (p < end) {
        bool down = *++p == '-';
        for (p += down || *p == '+'; p < end && written < 100000; p++)
            written = written * 10 + (*p - '0');
        exponent += down ? -written : written;
    }
    double value = (double)digits;
    for (; exponent < -308 && value != 0; exponent += 308)
        value /= 1e308;
    if (value != 0)
        value = exponent < 0 ? value / power_of_ten(-exponent) : exponent > 308 ? INFINITY : value * power_of_ten(exponent);
    *out = negative ? -value : value;
    return isfinite(*out);
}

/* Reads vocab, an array of [piece, score]; the index is the id. If a spelling occurs twice, the last one counts, as in Hugging
 * Face. */
static aki_status read_vocabulary(struct aki__algorithm *a, const struct aki__model_reader *r)
{
    const struct aki__json *array = aki__json_get(r->model, "vocab"), *e;
    struct aki__unigram *u = &a->of.unigram;
    size_t bytes = 0;

    if (!aki__json_is(array, AKI_JSON_ARRAY))
        return aki__fail(r->err, AKI_E_INVALID, "%s: model.vocab: expected an array", r->name);
    if (array->size > AKI_VOCABULARY_LIMIT)
        return aki__fail(r->err, AKI_E_INVALID, "%s: model.vocab: %u pieces, above the limit of %d", r->name, (unsigned)array->size,
                         AKI_VOCABULARY_LIMIT);
    e = aki__json_first(array);
    for (uint32_t i = 0; i < array->size; i++, e = aki__json_next(e)) {
        if (e->kind != AKI_JSON_ARRAY || e->size != 2 || e[1].kind != AKI_JSON_STRING || e[2].kind != AKI_JSON_NUMBER)
            return bad_entry(r, i);
        if (e[1].size > AKI_PIECE_LIMIT)
            return aki__fail(r->err, AKI_E_UNSUPPORTED,
                             "%s: model.vocab[%u]: a piece of %u bytes; %d are the most that is supported", r->name,
                             (unsigned)i, (unsigned)e[1].size, AKI_PIECE_LIMIT);
        bytes += e[1].size;
    }
    u->scores = aki__alloc(array->size, sizeof *u->scores);
    if (!u->scores || !aki__vocabulary_init(&a->vocabulary, array->size, bytes, array->size))
        return aki__fail(r->err, AKI_E_NOMEM, "%s: model.vocab", r->name);
    double lowest = INFINITY;
    e = aki__json_first(array);
    for (uint32_t i = 0; i < array->size; i++, e = aki__json_next(e)) {
        if (!read_score(e + 2, &u->scores[i]))
            return bad_entry(r, i);
        aki__vocabulary_add(&a->vocabulary, (int32_t)i, e[1].text, e[1].size, true);
        if (u->scores[i] < lowest)
            lowest = u->scores[i];
    }
    u->unk_score = lowest - UNKNOWN_PENALTY;
    return AKI_OK;
}

aki_status aki__unigram_parse(struct aki__algorithm *a, const struct aki__model_reader *r)
{
    const struct aki__json *unk = aki__json_get(r->model, "unk_id");
    int64_t id;
    aki_status rc;

    if ((rc = read_vocabulary(a, r)) || (rc = aki__model_flag(r, "byte_fallback", &a->byte_fallback)))
        return rc;
    if (unk && !aki__json_is(unk, AKI_JSON_NULL)) {
        if (!aki__json_int(unk, &id) || id < 0 || (size_t)id >= a->vocabulary.limit)
            return aki__fail(r->err, AKI_E_INVALID, "%s: model.unk_id: expected null or an id below %zu", r->name, a->vocabulary.limit);
        a->unk = (int32_t)id;
    }
    aki__model_byte_ids(a);
    if (!aki__trie_build(&a->trie, &a->vocabulary))
        return aki__fail(r->err, AKI_E_NOMEM, "%s: model.vocab", r->name);
    return AKI_OK;
}

void aki__unigram_free(struct aki__unigram *u) { aki__free(u->scores); }

static const char missing_unk[] = "a character is unknown, and the model has no unk_id";

/* Computes nodes[1 … size]. Among equal scores the first one found is used, and shorter pieces are found before longer ones. */
static bool find_ways(const struct aki__algorithm *a, struct aki__lattice_node *nodes, const char *word, size_t size,
                      const char **failed)
{
    const struct aki__unigram *u = &a->of.unigram;

    nodes[0] = (struct aki__lattice_node){ 0, -1, 0 };
    for (size_t i = 1; i <= size; i++)
        nodes[i].begin = UINT32_MAX;
    for (size_t at = 0, bytes; at < size; at += bytes) {
        double so_far = nodes[at].score;
        unsigned char c = (unsigned char)word[at];
        bool single = false;
        uint32_t node = 0;
        bytes = aki__character_size(c, size - at);
        for (size_t i = at; i < size && aki__trie_step(&a->trie, &node, (unsigned char)word[i]); i++) {
            int32_t id = aki__trie_id(&a->trie, node);
            if (id < 0)
                continue;
            struct aki__lattice_node *way = &nodes[i + 1];
            double score = u->scores[id] + so_far;
            if (way->begin == UINT32_MAX || score > way->score)
                *way = (struct aki__lattice_node){ score, id, (uint32_t)at };
            single |= i + 1 - at == bytes;
        }
        if (single)
            continue;
        struct aki__lattice_node *way = &nodes[at + bytes];
        double score = u->unk_score + so_far;
        if (way->begin == UINT32_MAX || score > way->score) {
            if (a->unk < 0) {
                *failed = missing_unk;
                return false;
            }
            *way = (struct aki__lattice_node){ score, a->unk, (uint32_t)at };
        }
    }
    return true;
}

/* A run of unknown pieces is one piece: with its own id if it has one, else with the ids of its bytes, else unknown. */
static bool add_unknown(const struct aki__algorithm *a, const char *word, size_t begin, size_t end, struct aki__tokens *out)
{
    int32_t id = aki__vocabulary_id(&a->vocabulary, word + begin, end - begin);
    bool bytes = id < 0 && a->byte_fallback;

    for (size_t i = begin; bytes && i < end; i++)
        bytes = a->byte_id[(unsigned char)word[i]] >= 0;
    if (!bytes)
        return aki__token_add(out, id < 0 ? a->unk : id, begin, end);
    for (size_t i = begin; i < end; i++)
        if (!aki__token_add(out, a->byte_id[(unsigned char)word[i]], begin, end))
            return false;
    return true;
}

bool aki__unigram_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                       struct aki__tokens *out, const char **failed)
{
    if (!aki__grow((void **)&s->nodes, &s->nodes_capacity, size + 1, sizeof *s->nodes) || !find_ways(a, s->nodes, word, size, failed))
        return false;
    /* Follows the best path backwards and reverses it: nodes[k].begin becomes the end of the piece that begins at k. */
    struct aki__lattice_node *nodes = s->nodes;
    size_t end = size;
    uint32_t after = (uint32_t)size;
    while (end > 0) {
        uint32_t begin = nodes[end].begin;
        nodes[end].begin = after;
        after = (uint32_t)end;
        end = begin;
    }
    nodes[0].begin = after;
    for (size_t begin = 0; begin < size; ) {
        size_t stop = nodes[begin].begin;
        if (nodes[stop].id != a->unk) {
            if (!aki__token_add(out, nodes[stop].id, begin, stop))
                return false;
        } else {
            while (stop < size && nodes[nodes[stop].begin].id == a->unk)
                stop = nodes[stop].begin;
            if (!add_unknown(a, word, begin, stop, out))
                return false;
        }
        begin = stop;
    }
    return true;
}
