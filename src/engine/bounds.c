/* Unit bounds: the bounds of numeric options: one table, for the checks and for aki_option_bounds. See engine.h. */
#include "engine/engine.h"

/* A numeric option: an int32_t at this offset. bounds_of has the bounds that depend on the model. */
struct number {
    const char *name;
    size_t      offset;
    int32_t     least, most, preset;
};

#define EMBED(field, ...) { #field, offsetof(aki_embed_options, field), __VA_ARGS__ }
static const struct number of_embed[] = {
    EMBED(kind, AKI_KIND_NONE, AKI_KIND_DOCUMENT, AKI_KIND_NONE),
    EMBED(pooling, AKI_POOLING_DEFAULT, AKI_POOLING_LAST, AKI_POOLING_DEFAULT),
    EMBED(normalize, AKI_NORMALIZE_DEFAULT, AKI_NORMALIZE_OFF, AKI_NORMALIZE_DEFAULT),
    EMBED(dim, 1, INT32_MAX, 0),
    EMBED(dtype, AKI_DTYPE_F32, AKI_DTYPE_UBINARY, AKI_DTYPE_F32),
    EMBED(truncate, AKI_TRUNCATE_DEFAULT, AKI_TRUNCATE_RIGHT, AKI_TRUNCATE_DEFAULT),
    EMBED(max_tokens, 1, INT32_MAX, 0),
    EMBED(output, AKI_OUTPUT_VECTOR, AKI_OUTPUT_SCORES, AKI_OUTPUT_VECTOR),
    EMBED(activation, AKI_ACTIVATION_DEFAULT, AKI_ACTIVATION_PROBABILITY, AKI_ACTIVATION_DEFAULT),
};

#define MODEL(field, ...) { #field, offsetof(aki_model_options, field), __VA_ARGS__ }
static const struct number of_opening[] = {
    MODEL(precision, AKI_PRECISION_DEFAULT, AKI_PRECISION_BF16, AKI_PRECISION_DEFAULT),
    MODEL(threads, 0, 1024, 0),
    MODEL(max_batch_tokens, 1, INT32_MAX, AKI_DEFAULT_BATCH_TOKENS),
    MODEL(max_tokens, 1, INT32_MAX, 0),
    MODEL(prefix_cache_mb, -1, INT32_MAX, AKI_DEFAULT_PREFIX_MIB),
    MODEL(max_buckets, 1, AKI_MOST_BUCKETS, AKI_DEFAULT_BUCKETS),
    MODEL(test_cache, AKI_TEST_CACHE_DEFAULT, AKI_TEST_CACHE_OFF, AKI_TEST_CACHE_DEFAULT),
    MODEL(device_option_count, 0, INT32_MAX, 0),
};

enum { EMBED_COUNT = sizeof of_embed / sizeof *of_embed, OPENING_COUNT = sizeof of_opening / sizeof *of_opening };

static const struct number *find(const struct number *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static struct aki__bounds bounds_of(const struct number *n, const aki_model *m)
{
    struct aki__bounds b = { n->least, n->most, n->preset };

    if (!m || !m->folder)
        return b;
    if (strcmp(n->name, "dim") == 0)
        b.most = b.preset = m->folder->dim;
    else if (strcmp(n->name, "pooling") == 0)
        b.preset = m->folder->pooling;
    else if (strcmp(n->name, "normalize") == 0)
        b.preset = m->folder->normalize ? AKI_NORMALIZE_ON : AKI_NORMALIZE_OFF;
    else if (strcmp(n->name, "truncate") == 0)
        b.preset = m->cuts_left ? AKI_TRUNCATE_LEFT : AKI_TRUNCATE_RIGHT;
    else if (strcmp(n->name, "activation") == 0)
        b.preset = m->folder->labels.activation;
    else if (strcmp(n->name, "max_tokens") == 0)
        b = (struct aki__bounds){ m->tokenizer ? (int64_t)aki__tokenizer_special_count(m->tokenizer) + 1 : 1, m->most_tokens,
                                  m->max_tokens };
    else if (strcmp(n->name, "max_batch_tokens") == 0)
        b.preset = m->max_batch_tokens;
    return b;
}

bool aki__bounds_of(const aki_model *m, const char *option, struct aki__bounds *out)
{
    const struct number *n = find(of_embed, EMBED_COUNT, option);

    if (!n)
        n = find(of_opening, OPENING_COUNT, option);
    if (n)
        *out = bounds_of(n, m);
    else if (strcmp(option, "prompt_size") == 0)
        *out = (struct aki__bounds){ 0, AKI_PROMPT_CEILING, 0 };
    else if (strcmp(option, "text_size") == 0)
        *out = (struct aki__bounds){ 0, AKI_TEXT_LIMIT, 0 };
    else
        return false;
    return true;
}

/* 0 selects the default of every option, even if it is out of bounds. */
static aki_status check(const struct number *n, const aki_model *m, const void *options, aki_error *err)
{
    const struct aki__bounds b = bounds_of(n, m);
    int32_t value;

    memcpy(&value, (const char *)options + n->offset, sizeof value);
    if (!value || (value >= b.least && value <= b.most))
        return AKI_OK;
    return aki__fail(err, AKI_E_INVALID, "%s: %d is not in %lld … %lld", n->name, (int)value, (long long)b.least, (long long)b.most);
}

aki_status aki__check_embed_numbers(const aki_model *m, const aki_embed_options *o, aki_error *err)
{
    aki_status rc = AKI_OK;

    for (size_t i = 0; i < EMBED_COUNT && !rc; i++)
        rc = check(&of_embed[i], m, o, err);
    return rc;
}

aki_status aki__check_model_numbers(const aki_model_options *o, aki_error *err)
{
    aki_status rc = AKI_OK;

    for (size_t i = 0; i < OPENING_COUNT && !rc; i++)
        rc = check(&of_opening[i], NULL, o, err);
    return rc;
}

aki_status aki_option_bounds(const aki_model *m, const char *option, int64_t *least, int64_t *most, int64_t *preset,
                             aki_error *err)
{
    struct aki__bounds b;

    if (!option)
        return aki__fail(err, AKI_E_INVALID, "option is NULL");
    if (!aki__bounds_of(m, option, &b))
        return aki__fail(err, AKI_E_NOT_FOUND, "option: there is no number \"%.60s\"", option);
    if (least)
        *least = b.least;
    if (most)
        *most = b.most;
    if (preset)
        *preset = b.preset;
    return AKI_OK;
}
