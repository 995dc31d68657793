/* Unit wordpiece: the longest piece first, repeatedly (Wu et al. 2016), with a trie. */
#include "text/words.h"

aki_status aki__wordpiece_parse(struct aki__algorithm *a, const struct aki__model_reader *r)
{
    struct aki__wordpiece *w = &a->of.wordpiece;
    const char *prefix;
    size_t size;
    int64_t most;
    aki_status rc;

    if ((rc = aki__model_vocabulary(r, a)) || (rc = aki__model_unknown(r, a, true))
        || (rc = aki__model_string(r, "continuing_subword_prefix", true, &prefix, &size)))
        return rc;
    if (!aki__json_int(aki__json_get(r->model, "max_input_chars_per_word"), &most) || most < 0)
        return aki__fail(r->err, AKI_E_INVALID, "%s: model.max_input_chars_per_word: expected a count", r->name);
    w->max_characters = (size_t)most;
    if (a->vocabulary.longest > AKI_PIECE_LIMIT)
        return aki__fail(r->err, AKI_E_UNSUPPORTED, "%s: model.vocab: a piece of %zu bytes; %d are the most that is supported", r->name,
                         a->vocabulary.longest, AKI_PIECE_LIMIT);
    if (!aki__trie_build(&a->trie, &a->vocabulary))
        return aki__fail(r->err, AKI_E_NOMEM, "%s: model.vocab", r->name);
    w->inner = 0;
    w->has_inner = true;
    for (size_t i = 0; i < size && w->has_inner; i++)
        w->has_inner = aki__trie_step(&a->trie, &w->inner, (unsigned char)prefix[i]);
    return AKI_OK;
}

static size_t count_characters(const char *word, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)word[i] & 0xC0) != 0x80;
    return count;
}

bool aki__wordpiece_word(const struct aki__algorithm *a, const char *word, size_t size, struct aki__tokens *out,
                         const char **failed)
{
    const struct aki__wordpiece *w = &a->of.wordpiece;
    size_t first = out->count, begin = 0;

    if (size > w->max_characters && count_characters(word, size) > w->max_characters)
        goto unknown;
    while (begin < size) {
        uint32_t node = begin ? w->inner : 0;
        size_t end = begin;
        int32_t id = -1, found;
        if (begin && !w->has_inner)
            goto unknown;
        for (size_t i = begin; i < size && aki__trie_step(&a->trie, &node, (unsigned char)word[i]); i++)
            if ((found = aki__trie_id(&a->trie, node)) >= 0) {
                id = found;
                end = i + 1;
            }
        if (id < 0)
            goto unknown;
        if (!aki__token_add(out, id, begin, end))
            return false;
        begin = end;
    }
    return true;
unknown:
    out->count = first;
    if (a->unk < 0) {
        *failed = "a word is unknown, and the unknown token is not in the vocabulary";
        return false;
    }
    return aki__token_add(out, a->unk, 0, size);
}
