/* Unit known: a known text at several lengths. See known.h. */
#include "engine/known.h"

enum { FIRST_LENGTH = 16, MOST_LENGTH = 512, TEXT_BYTES = 8 * MOST_LENGTH };

struct aki__known_text {
    struct aki__plan  plan;
    struct aki__batch batch;                /* of the plan */
    float            *vectors;              /* [plan.vectors, columns] */
    size_t            columns;
};

void aki__known_close(struct aki__known_text *k, aki_model *m)
{
    if (!k)
        return;
    aki__plan_free(&k->plan, m);
    aki__free(k->vectors);
    aki__free(k);
}

/* The text again and again, so that it fills the greatest length. */
static char *repeat(const char *text)
{
    const size_t size = strlen(text);
    char *out = aki__alloc(TEXT_BYTES, 1);

    for (size_t i = 0; out && i < TEXT_BYTES; i++)
        out[i] = i % (size + 1) == size ? ' ' : text[i % (size + 1)];
    return out;
}

static aki_status add_lengths(struct aki__known_text *k, aki_model *m, const struct aki__request *r, const char *text, aki_error *err)
{
    const size_t most = r->encode.max_tokens < MOST_LENGTH ? r->encode.max_tokens : MOST_LENGTH;
    struct aki__encode_options encode = r->encode;
    struct aki__encoding e = { 0 };
    aki_status rc = AKI_OK;

    for (size_t length = 0; length < most && !rc;) {
        length = length ? 2 * length : FIRST_LENGTH;
        length = length < most ? length : most;
        encode.max_tokens = length;
        rc = aki__tokenizer_encode(m->tokenizer, text, TEXT_BYTES, &encode, &e, err);
        if (!rc) rc = aki__plan_add(&k->plan, m, r, &(struct aki__row){ .ids = e.ids, .count = e.count }, err);
    }
    aki__encoding_free(&e);
    return rc;
}

aki_status aki__known_open(struct aki__known_text **out, aki_model *m, const struct aki__request *r, const char *text, aki_error *err)
{
    struct aki__known_text *k = aki__zalloc(1, sizeof *k);
    char *all = repeat(text);
    aki_status rc = k && all ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "the known text");

    *out = NULL;
    if (!rc) rc = add_lengths(k, m, r, all, err);
    if (!rc) {
        k->batch = aki__plan_batch(&k->plan, m, r);
        k->columns = r->columns;
        k->vectors = aki__alloc(k->plan.vectors, k->columns * sizeof *k->vectors);
        rc = k->vectors ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "the known text's vectors");
    }
    aki__free(all);
    if (rc)
        aki__known_close(k, m);
    else
        *out = k;
    return rc;
}

aki_status aki__known_compute(struct aki__known_text *k, aki_model *m, const struct aki__request *r, aki_error *err)
{
    aki_status rc = aki__plan_run(&k->plan, m, r, err);

    if (!rc)
        memcpy(k->vectors, k->plan.out, k->plan.vectors * k->columns * sizeof *k->vectors);
    return rc;
}

float *aki__known_vectors(const struct aki__known_text *k, size_t *count)
{
    *count = k->plan.vectors * k->columns;
    return k->vectors;
}

void aki__known_expect(const struct aki__known_text *k, aki_model *m, double bound)
{
    aki__session_know(m->session, &(struct aki__known){ .batch = &k->batch, .vectors = k->vectors, .columns = k->columns, .bound = bound });
}
