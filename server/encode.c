/* Unit encode: from a request's texts to ids that can be computed. See encode.h. */
#include "encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

aki_embed_options encode_options(const struct exchange *x)
{
    aki_embed_options o;

    aki_embed_options_init(&o, sizeof o);
    o.kind = x->request.kind;
    o.prompt_name = x->request.prompt_name;
    o.instruction = x->request.instruction;
    o.truncate = x->request.truncate;
    o.no_special = x->request.no_special;
    return o;
}

static bool refuse_prompt(const struct exchange *x, struct problem *p)
{
    char names[160] = "none";
    size_t at = 0;

    for (int i = 0; i < x->info.prompt_count && at < sizeof names; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", x->info.prompts[i].name);
    p->param = "prompt_name";
    return refuse(p, 422, type_validation, "Input validation error: the model has no prompt `%.60s`; its prompts: %s",
                  x->request.prompt_name ? x->request.prompt_name : "", names);
}

bool encode_refuse(const struct exchange *x, struct problem *p, const aki_error *error)
{
    switch (error->status) {
    case AKI_E_NOT_FOUND:
        return refuse_prompt(x, p);
    case AKI_E_INVALID:
        return refuse(p, 422, type_validation, "Input validation error: %s", error->message);
    case AKI_E_NOMEM:
        return refuse(p, 503, type_unhealthy, "out of memory");
    default:
        return refuse(p, 424, type_backend, "Backend error: %s", error->message);
    }
}

/* Growing arrays: the texts' ids end to end, and of each text where it starts and how many first tokens are its prompt's. */
struct ids {
    int32_t *ids, *types;
    int64_t *starts;                       /* [texts + 1] */
    int32_t *prompts;                      /* [texts] */
    size_t   count, capacity;
};

static bool ids_reserve(struct ids *t, size_t more, struct problem *p)
{
    if (t->capacity - t->count >= more)
        return true;
    size_t capacity = t->count + more + t->capacity / 2;
    int32_t *ids = realloc(t->ids, capacity * sizeof *ids), *types = ids ? realloc(t->types, capacity * sizeof *types) : NULL;
    t->ids = ids ? ids : t->ids;
    t->types = types ? types : t->types;
    if (!types)
        return refuse(p, 503, type_unhealthy, "out of memory");
    t->capacity = capacity;
    return true;
}

/* Tokenises behind what is there, cut to the model's limit; e: what the library says of the text. */
static bool encode_text(struct exchange *x, struct ids *t, const struct request_input *in, aki_encoded *e, struct problem *p)
{
    aki_embed_options o = encode_options(x);
    aki_status rc;
    aki_error error;

    aki_encoded_init(e, sizeof *e);
    e->count = (in->size + in->second_size) / 3 + 64;
    do {
        if (!ids_reserve(t, e->count, p))
            return false;
        e->ids = t->ids + t->count;
        e->types = t->types + t->count;
        e->capacity = t->capacity - t->count;
        rc = aki_encode(x->model, in->text, in->size, in->second, in->second_size, &o, e, &error);
    } while (rc == AKI_E_TOO_SMALL);
    return rc ? encode_refuse(x, p, &error) : true;
}

bool encode_ids(const struct exchange *x, const struct request_input *in, size_t from, size_t keep, int32_t *out, struct problem *p)
{
    int64_t id;

    for (size_t i = 0; i < in->count; i++) {
        if (!aki__json_int_in(in->ids + i, 0, x->info.vocabulary - 1, &id))
            return refuse(p, 422, type_validation, "Input validation error: a token id is outside of the vocabulary of %d", x->info.vocabulary);
        if (i >= from && i - from < keep)
            out[i - from] = (int32_t)id;
    }
    return true;
}

/* An input that is tokenised already, cut on the side that texts would be. */
static bool add_ids(struct exchange *x, struct ids *t, const struct request_input *in, size_t keep, struct problem *p)
{
    const int truncate = x->request.truncate;
    bool left = truncate == AKI_TRUNCATE_LEFT || (truncate == AKI_TRUNCATE_DEFAULT && x->info.truncates_left);

    if (!ids_reserve(t, keep, p))
        return false;
    memset(t->types + t->count, 0, keep * sizeof *t->types);
    return encode_ids(x, in, left ? in->count - keep : 0, keep, t->ids + t->count, p);
}

static bool refuse_long(struct exchange *x, size_t tokens, struct problem *p)
{
    p->code = "context_length_exceeded";
    /* What Ollama says there, and clients look for. */
    if (x->family == FAMILY_OLLAMA)
        return refuse(p, 400, type_validation, "the input length exceeds the context length");
    return refuse(p, 422, type_validation, "Input validation error: `inputs` must have less than %d tokens. Given: %zu", x->info.max_tokens, tokens);
}

static bool add_input(struct exchange *x, struct ids *t, size_t i, struct problem *p)
{
    const struct request_input *in = &x->request.inputs[i];
    size_t limit = (size_t)x->info.max_tokens;
    aki_encoded e = { .count = in->count < limit ? in->count : limit, .full_count = in->count };

    if (in->text && !encode_text(x, t, in, &e, p))
        return false;
    if (e.full_count > e.count && !x->request.cut)
        return refuse_long(x, e.full_count, p);
    if (!in->text && !add_ids(x, t, in, e.count, p))
        return false;
    if (!e.count)
        return refuse(p, 422, type_tokenizer, "Tokenizer error: text %zu has no tokens", i);
    x->truncated += e.full_count > e.count;
    x->characters += in->text ? aki__utf8_count(in->text, in->size) : 0;
    x->characters += in->second ? aki__utf8_count(in->second, in->second_size) : 0;
    t->prompts[i] = (int32_t)e.prompt_tokens;
    t->count += e.count;
    return true;
}

/* A rerank needs one score a pair, and its activation makes it a number from 0 to 1, as in TEI and at Cohere. */
static bool set_scores(struct exchange *x, struct problem *p)
{
    const bool rerank = x->route->body == BODY_RERANK;

    if (!x->info.label_count || (rerank && x->info.label_count != 1))
        return refuse(p, 424, type_backend, "Backend error: %s", rerank ? "model is not a re-ranker model" : "Model is not a classifier model");
    x->job.group = (struct batch_group){ .output = AKI_OUTPUT_SCORES,
        .activation = x->request.raw ? AKI_ACTIVATION_NONE : x->route->body == BODY_SCORE ? AKI_ACTIVATION_DEFAULT : AKI_ACTIVATION_PROBABILITY };
    x->job.width = (size_t)x->info.label_count;
    return true;
}

static bool set_group(struct exchange *x, struct problem *p)
{
    struct request *r = &x->request;
    struct batch_group *g = &x->job.group;
    bool tokens = x->route->body == BODY_ALL;

    if (body_scores(x->route->body))
        return set_scores(x, p);
    if (x->info.label_count)
        return refuse(p, 424, type_backend, "Backend error: Model is not an embedding model");

    p->param = "dimensions";
    if (r->has_dimensions && r->dimensions == 0)
        return refuse(p, 422, type_validation, "Input validation error: `dimensions` should be positive");
    if (r->has_dimensions && r->dimensions > x->info.dim)
        return refuse(p, 422, type_validation, "Input validation error: `dimensions` should be smaller than the maximum embedding dimension.");
    p->param = NULL;
    *g = (struct batch_group){ .pooling = r->pooling ? r->pooling : x->info.pooling, .normalize = r->normalize, .dim = r->has_dimensions ? (int32_t)r->dimensions : x->info.dim };
    if (tokens)
        *g = (struct batch_group){ .normalize = AKI_NORMALIZE_OFF, .output = AKI_OUTPUT_TOKENS };
    x->job.width = (size_t)(tokens ? x->info.hidden : g->dim);
    return true;
}

/* Whether the vectors of so many rows may be answered, and so computed. */
static bool rows_fit(const struct exchange *x, size_t rows, struct problem *p)
{
    size_t floats = x->route->body == BODY_SIMILARITY ? 1 : x->job.width, size = x->base64 ? FLOAT_BASE64 : FLOAT_TEXT;

    return exchange_fits(x, rows > SIZE_MAX / size / floats ? SIZE_MAX : rows * size * floats, p);
}

bool encode_job(struct exchange *x, struct problem *p)
{
    struct batch_job *j = &x->job;
    struct ids t = { 0 };
    bool ok = set_group(x, p), given = x->request.prompt_name || x->request.instruction || x->request.kind;

    j->count = x->request.count;
    ok = ok && rows_fit(x, j->count, p);
    t.starts = malloc((j->count + 1) * sizeof *t.starts);
    t.prompts = malloc((j->count + 1) * sizeof *t.prompts);
    if (ok && (!t.starts || !t.prompts))
        ok = refuse(p, 503, type_unhealthy, "out of memory");
    for (size_t i = 0; i < j->count && ok; i++) {
        t.starts[i] = (int64_t)t.count;
        if (given && !x->request.inputs[i].text)
            ok = refuse(p, 422, type_validation, "Input validation error: a prompt cannot be put before token ids");
        else
            ok = add_input(x, &t, i, p);
        ok = ok && (j->group.output != AKI_OUTPUT_TOKENS || rows_fit(x, t.count, p));
    }
    if (ok)
        t.starts[j->count] = (int64_t)t.count;
    j->ids = t.ids;
    j->types = t.types;
    j->starts = t.starts;
    j->prompts = t.prompts;
    return ok;
}
