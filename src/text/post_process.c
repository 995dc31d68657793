/* Unit post_process: the post-processor: the special tokens around a text, and spans without white space. */
#include "text/stages.h"

enum kind { TEMPLATE, BERT, ROBERTA, BYTE_LEVEL, SEQUENCE };
static const char *const names[] = { "TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel", "Sequence", NULL };

/* Far more tokens around a text than in any model; bounds the templates of a hostile file. */
#define ITEMS_LIMIT 1024
/* Far more than the rows of any model's table of types. */
#define TYPES_LIMIT 1024

static aki_status add_item(struct aki__post_template *t, struct aki__reader *r, int32_t id, int32_t type)
{
    if (t->count == ITEMS_LIMIT)
        return aki__read_fail(r, AKI_E_UNSUPPORTED, NULL, "more than 1024 items are not supported");
    t->specials += id >= 0;
    t->items[t->count++] = (struct aki__post_item){ id, type };
    return AKI_OK;
}

/* ---------------------------------------------------------------- TemplateProcessing ---------------------------- */

/* Reads the ids of a special token of the template. */
static aki_status add_special(struct aki__post_template *t, struct aki__reader *r, const struct aki__json *specials,
                              const struct aki__json *id, int32_t type, size_t vocabulary)
{
    const struct aki__json *key = aki__json_is(specials, AKI_JSON_OBJECT) ? aki__json_first(specials) : NULL, *ids = NULL, *e;
    aki_status rc = AKI_OK;

    if (!aki__json_is(id, AKI_JSON_STRING))
        return aki__read_fail(r, AKI_E_INVALID, "id", "expected a string");
    for (uint32_t i = 0; key && i < specials->size && !ids; i++, key = aki__json_next(key + 1))
        if (key->size == id->size && memcmp(key->text, id->text, key->size) == 0)
            ids = aki__json_get(key + 1, "ids");
    if (!aki__json_is(ids, AKI_JSON_ARRAY))
        return aki__read_fail(r, AKI_E_INVALID, "id", "special_tokens does not give its ids");
    e = aki__json_first(ids);
    for (uint32_t i = 0; i < ids->size && !rc; i++, e = aki__json_next(e)) {
        int32_t number = 0;
        rc = aki__read_id(r, e, NULL, &number);
        if (!rc && (size_t)number >= vocabulary)
            rc = aki__read_fail(r, AKI_E_INVALID, "id", "its id is not in the vocabulary");
        if (!rc)
            rc = add_item(t, r, number, type);
    }
    return rc;
}

static aki_status parse_item(struct aki__post_template *t, struct aki__reader *r, const struct aki__json *item,
                             const struct aki__json *specials, size_t vocabulary, bool pair)
{
    const struct aki__json *sequence = aki__json_get(item, "Sequence"), *special = aki__json_get(item, "SpecialToken");
    const struct aki__json *id = aki__json_get(sequence ? sequence : special, "id");
    const struct aki__json *type_id = aki__json_get(sequence ? sequence : special, "type_id");
    size_t back = aki__path_key(r, sequence ? "Sequence" : "SpecialToken");
    int64_t type = 0;
    aki_status rc;

    if (!sequence && !special) {
        aki__path_back(r, back);
        return aki__read_fail(r, AKI_E_INVALID, NULL, "expected {\"Sequence\": …} or {\"SpecialToken\": …}");
    }
    if (type_id && (!aki__json_int(type_id, &type) || type < 0 || type > TYPES_LIMIT))
        rc = aki__read_fail(r, AKI_E_INVALID, "type_id", "expected a small number");
    else if (special)
        rc = add_special(t, r, specials, id, (int32_t)type, vocabulary);
    else if (aki__json_equals(id, "A"))
        rc = add_item(t, r, AKI_POST_FIRST, (int32_t)type);
    else if (aki__json_equals(id, "B") && pair)
        rc = add_item(t, r, AKI_POST_SECOND, (int32_t)type);
    else
        rc = aki__read_fail(r, AKI_E_INVALID, "id", pair ? "expected \"A\" or \"B\"" : "expected \"A\"");
    if (!rc)
        aki__path_back(r, back);
    return rc;
}

static aki_status parse_template(struct aki__post_template *t, struct aki__reader *r, const struct aki__json *node,
                                 const char *key, size_t vocabulary, bool pair)
{
    const struct aki__json *list, *e;
    aki_status rc = aki__read_list(r, node, key, &list);

    if (rc)
        return rc;
    if (list->size > ITEMS_LIMIT)       /* also if it has no ids: each token is looked up */
        return aki__read_fail(r, AKI_E_UNSUPPORTED, key, "more than 1024 items are not supported");
    t->count = t->specials = 0;
    size_t back = aki__path_key(r, key);
    e = aki__json_first(list);
    for (uint32_t i = 0; i < list->size && aki__read_on(r, rc); i++, e = aki__json_next(e)) {
        size_t reported = aki__read_reported(r), inner = aki__path_index(r, i);
        rc = aki__also(rc, aki__read_end(r, inner, reported, parse_item(t, r, e, aki__json_get(node, "special_tokens"), vocabulary, pair)));
    }
    aki__path_back(r, back);
    return rc;
}

/* ---------------------------------------------------------------- the others ------------------------------------ */

/* ["[SEP]", 102] */
static aki_status read_pair(struct aki__reader *r, const struct aki__json *node, const char *key, size_t vocabulary, int32_t *id)
{
    const struct aki__json *list;
    aki_status rc = aki__read_list(r, node, key, &list);
    int64_t number;

    if (rc)
        return rc;
    const struct aki__json *name = aki__json_first(list);
    if (list->size != 2 || !aki__json_is(name, AKI_JSON_STRING) || !aki__json_int(aki__json_next(name), &number) || number < 0)
        return aki__read_fail(r, AKI_E_INVALID, key, "expected [token, id]");
    if ((uint64_t)number >= vocabulary)
        return aki__read_fail(r, AKI_E_INVALID, key, "its id is not in the vocabulary");
    *id = (int32_t)number;
    return AKI_OK;
}

/* second: the token type of the second text and of the tokens after it. */
static aki_status fill(struct aki__post_template *t, struct aki__reader *r, const int32_t *ids, size_t count, int32_t second)
{
    int32_t type = 0;

    aki_status rc = AKI_OK;

    t->count = t->specials = 0;
    for (size_t i = 0; i < count && !rc; i++) {
        type = ids[i] == AKI_POST_SECOND ? second : type;
        rc = add_item(t, r, ids[i], type);
    }
    return rc;
}

static aki_status parse_bert(struct aki__post *p, struct aki__reader *r, const struct aki__json *node, size_t vocabulary,
                             bool roberta)
{
    int32_t sep = 0, cls = 0;
    aki_status rc = read_pair(r, node, "sep", vocabulary, &sep);

    if (!rc)
        rc = read_pair(r, node, "cls", vocabulary, &cls);
    if (!rc && roberta) {
        rc = aki__read_bool(r, node, "trim_offsets", true, &p->trim);
        if (!rc)
            rc = aki__read_bool(r, node, "add_prefix_space", true, &p->trim_prefix);
    }
    if (!rc)
        rc = fill(&p->single, r, (int32_t[]){ cls, AKI_POST_FIRST, sep }, 3, 0);
    if (!rc)
        rc = roberta ? fill(&p->pair, r, (int32_t[]){ cls, AKI_POST_FIRST, sep, sep, AKI_POST_SECOND, sep }, 6, 0)
                     : fill(&p->pair, r, (int32_t[]){ cls, AKI_POST_FIRST, sep, AKI_POST_SECOND, sep }, 5, 1);
    return rc;
}

/* templates: the number of parts so far that add special tokens. */
static aki_status parse(struct aki__post *p, struct aki__reader *r, const struct aki__json *node, size_t vocabulary,
                        int *templates, int *trims)
{
    int kind = 0;
    aki_status rc = aki__read_type(r, node, names, &kind);
    const struct aki__json *all, *e;
    bool trim = false;
    size_t back, reported;

    if (rc)
        return rc;
    if (kind != SEQUENCE && kind != BYTE_LEVEL && ++*templates > 1)
        return aki__read_fail(r, AKI_E_UNSUPPORTED, NULL, "a second part that places special tokens is not supported");
    switch (kind) {
    case TEMPLATE:
        back = r->size;
        reported = aki__read_reported(r);
        rc = aki__read_end(r, back, reported, parse_template(&p->single, r, node, "single", vocabulary, false));
        return aki__read_on(r, rc) ? aki__also(rc, parse_template(&p->pair, r, node, "pair", vocabulary, true)) : rc;
    case BERT: case ROBERTA:
        rc = parse_bert(p, r, node, vocabulary, kind == ROBERTA);
        if (!rc && kind == ROBERTA && p->trim)
            ++*trims;
        break;
    case BYTE_LEVEL:
        rc = aki__read_bool(r, node, "trim_offsets", true, &trim);
        if (!rc && trim) {
            ++*trims;
            p->trim = true;
            rc = aki__read_bool(r, node, "add_prefix_space", true, &p->trim_prefix);
        }
        break;
    default:
        rc = aki__read_list(r, node, "processors", &all);
        if (rc)
            return rc;
        back = aki__path_key(r, "processors");
        e = aki__json_first(all);
        for (uint32_t i = 0; i < all->size && aki__read_on(r, rc); i++, e = aki__json_next(e)) {
            size_t inner = aki__path_index(r, i);
            reported = aki__read_reported(r);
            rc = aki__also(rc, aki__read_end(r, inner, reported, parse(p, r, e, vocabulary, templates, trims)));
        }
        aki__path_back(r, back);
    }
    if (!rc && *trims > 1)
        rc = aki__read_fail(r, AKI_E_UNSUPPORTED, NULL, "trimming spans twice is not supported");
    return rc;
}

aki_status aki__post_parse(struct aki__post *p, struct aki__reader *r, const struct aki__json *node, size_t vocabulary)
{
    int templates = 0, trims = 0;
    aki_status rc;

    *p = (struct aki__post){ 0 };
    /* Capacity for one more item, so that aki__tokenizer_append cannot fail. */
    p->single.items = aki__alloc(ITEMS_LIMIT + 1, sizeof *p->single.items);
    p->pair.items = aki__alloc(ITEMS_LIMIT + 1, sizeof *p->pair.items);
    if (!p->single.items || !p->pair.items)
        return aki__read_fail(r, AKI_E_NOMEM, NULL, "no memory");
    rc = fill(&p->single, r, (int32_t[]){ AKI_POST_FIRST }, 1, 0);
    if (!rc)
        rc = fill(&p->pair, r, (int32_t[]){ AKI_POST_FIRST, AKI_POST_SECOND }, 2, 1);
    return rc || !node || aki__json_is(node, AKI_JSON_NULL) ? rc : parse(p, r, node, vocabulary, &templates, &trims);
}

void aki__post_free(struct aki__post *p)
{
    aki__free(p->single.items);
    aki__free(p->pair.items);
    *p = (struct aki__post){ 0 };
}

void aki__post_truncate(size_t limit, size_t *a, size_t *b, bool pair)
{
    if (*a + *b <= limit)
        return;
    if (!pair) {
        *a = limit;
        return;
    }
    /* The longer text is shortened first. If both are longer than half of the limit, each gets half of it, and the longer one the rest. */
    size_t short_one = *a <= *b ? *a : *b, long_one;
    if (short_one > limit)
        long_one = short_one;
    else
        long_one = limit - short_one > short_one ? limit - short_one : short_one;
    if (short_one + long_one > limit) {
        short_one = limit / 2;
        long_one = short_one + limit % 2;
    }
    bool swapped = *a > *b;
    *a = swapped ? long_one : short_one;
    *b = swapped ? short_one : long_one;
}
