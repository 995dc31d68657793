/* Unit routes: the table of routes and what each does. See http.h. */
#include "answer.h"
#include "embedded.h"
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char json_type[] = "application/json";

/* ---------------------------------------------------------------- tokenising ------------------------------------ */

static aki_embed_options text_options(const struct exchange *x)
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

/* An error of the library about one text. Messages say what and where, never the text itself. */
static bool refuse_library(const struct exchange *x, struct problem *p, const aki_error *error)
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
    int32_t *ids;
    int64_t *starts;                       /* [texts + 1] */
    int32_t *prompts;                      /* [texts] */
    size_t   count, capacity;
};

static bool ids_reserve(struct ids *t, size_t more, struct problem *p)
{
    if (t->capacity - t->count >= more)
        return true;
    size_t capacity = t->count + more + t->capacity / 2;
    int32_t *ids = realloc(t->ids, capacity * sizeof *ids);
    if (!ids)
        return refuse(p, 503, type_unhealthy, "out of memory");
    t->ids = ids;
    t->capacity = capacity;
    return true;
}

/* Tokenises behind what is there, cut to the model's limit; e: what the library says of the text. */
static bool encode_text(struct exchange *x, struct ids *t, const struct input *in, aki_encoded *e, struct problem *p)
{
    aki_embed_options o = text_options(x);
    aki_status rc;
    aki_error error;

    aki_encoded_init(e, sizeof *e);
    e->count = in->size / 3 + 64;
    do {
        if (!ids_reserve(t, e->count, p))
            return false;
        e->ids = t->ids + t->count;
        e->capacity = t->capacity - t->count;
        rc = aki_encode(x->model, in->text, in->size, NULL, 0, &o, e, &error);
    } while (rc == AKI_E_TOO_SMALL);
    return rc ? refuse_library(x, p, &error) : true;
}

/* The ids of an input that is tokenised already, cut on the side that texts would be. */
static bool copy_ids(struct exchange *x, struct ids *t, const struct input *in, size_t keep, struct problem *p)
{
    const int truncate = x->request.truncate;
    size_t from = truncate == AKI_TRUNCATE_LEFT || (truncate == AKI_TRUNCATE_DEFAULT && x->info.truncates_left) ? in->count - keep : 0;
    int64_t id;

    if (!ids_reserve(t, keep, p))
        return false;
    for (size_t i = 0; i < in->count; i++)
        if (!aki__json_int_in(in->ids + i, 0, x->info.vocabulary - 1, &id))
            return refuse(p, 422, type_validation, "Input validation error: a token id is outside of the vocabulary of %d", x->info.vocabulary);
    for (size_t i = 0; i < keep; i++) {
        aki__json_int_in(in->ids + from + i, 0, INT32_MAX, &id);
        t->ids[t->count + i] = (int32_t)id;
    }
    return true;
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
    const struct input *in = &x->request.inputs[i];
    size_t limit = (size_t)x->info.max_tokens;
    aki_encoded e = { .count = in->count < limit ? in->count : limit, .full_count = in->count };

    if (in->text && !encode_text(x, t, in, &e, p))
        return false;
    if (e.full_count > e.count && !x->request.cut)
        return refuse_long(x, e.full_count, p);
    if (!in->text && !copy_ids(x, t, in, e.count, p))
        return false;
    if (!e.count)
        return refuse(p, 422, type_tokenizer, "Tokenizer error: text %zu has no tokens", i);
    x->truncated += e.full_count > e.count;
    x->characters += in->text ? aki__utf8_count(in->text, in->size) : 0;
    t->prompts[i] = (int32_t)e.prompt_tokens;
    t->count += e.count;
    return true;
}

static bool set_group(struct exchange *x, struct problem *p)
{
    struct request *r = &x->request;
    struct group *g = &x->job.group;
    bool tokens = x->route->body == BODY_ALL;

    p->param = "dimensions";
    if (r->has_dimensions && r->dimensions == 0)
        return refuse(p, 422, type_validation, "Input validation error: `dimensions` should be positive");
    if (r->has_dimensions && r->dimensions > x->info.dim)
        return refuse(p, 422, type_validation, "Input validation error: `dimensions` should be smaller than the maximum embedding dimension.");
    p->param = NULL;
    *g = (struct group){ .pooling = r->pooling ? r->pooling : x->info.pooling, .normalize = r->normalize, .dim = r->has_dimensions ? (int32_t)r->dimensions : x->info.dim };
    if (tokens)
        *g = (struct group){ .normalize = AKI_NORMALIZE_OFF, .output = AKI_OUTPUT_TOKENS };
    x->job.width = (size_t)(tokens ? x->info.hidden : g->dim);
    return true;
}

/* Whether the vectors of so many rows may be answered, and so computed. */
static bool rows_fit(const struct exchange *x, size_t rows, struct problem *p)
{
    size_t floats = x->route->body == BODY_SIMILARITY ? 1 : x->job.width, size = x->base64 ? FLOAT_BASE64 : FLOAT_TEXT;

    return http_fits(x, rows > SIZE_MAX / size / floats ? SIZE_MAX : rows * size * floats, p);
}

/* Everything that can be refused is refused here, before the queue. The job owns what was allocated also on failure. */
static bool make_job(struct exchange *x, struct problem *p)
{
    struct job *j = &x->job;
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
    j->starts = t.starts;
    j->prompts = t.prompts;
    return ok;
}

/* ---------------------------------------------------------------- embedding ------------------------------------- */

static bool read_body(struct exchange *x, struct problem *p)
{
    const struct request_limits limits = { x->server->o->max_inputs, x->server->o->max_inputs_openai };
    bool ok = buf_reserve(&x->body, 1) && request_read(&x->request, x->route->body, x->body.data, x->body.size, &limits, p);

    x->family = ok || x->request.family ? x->request.family : x->route->family;
    x->parsed = seconds_now();
    if (!ok && !p->status)
        refuse(p, 503, type_unhealthy, "out of memory");
    return ok;
}

static void answer_job(struct exchange *x)
{
    struct problem p = { 0 };
    struct aki__buf out = { 0 };

    switch (x->job.status) {
    case JOB_DONE:
        answer_vectors(x, &out);
        http_answer(x, 200, &out, json_type);
        return;
    case JOB_FAILED:
        /* The request was checked before: what fails now is the model, whatever the library calls it. */
        if (x->job.error.status == AKI_E_INVALID && x->job.error.item >= 0)
            refuse(&p, 424, type_backend, "Backend error: text %d: %s", (int)x->job.error.item, x->job.error.message);
        else
            refuse_library(x, &p, &x->job.error);
        break;
    case JOB_LATE:
        metrics_count(COUNT_REJECT_DEADLINE, 1);
        p.retry_after = 1;
        p.code = "deadline_exceeded";
        refuse(&p, 503, type_overloaded, "the request's deadline of %d s passed before it was computed", x->server->o->deadline);
        break;
    case JOB_GONE:
        refuse(&p, 499, type_validation, "the client left");
        break;
    default:
        p.retry_after = 1;
        refuse(&p, 503, type_unhealthy, "the server ends");
    }
    http_refuse(x, &p);
}

static void refuse_full(struct exchange *x, int wait)
{
    struct problem p = { .retry_after = wait, .code = "rate_limit_exceeded" };

    metrics_count(COUNT_REJECT_QUEUE, 1);
    refuse(&p, 429, type_overloaded, "Model is overloaded");
    http_refuse(x, &p);
}

static void embed(struct exchange *x)
{
    struct problem p = { 0 };
    struct aki__buf out = { 0 };
    int wait;

    if (x->waits) {
        answer_job(x);
        return;
    }
    if (!read_body(x, &p)) {
        http_refuse(x, &p);
        return;
    }
    x->texts = x->request.count;
    x->base64 = x->request.base64;
    x->asked = x->request.model ? strdup(x->request.model) : NULL;
    metrics_count(x->texts > 1 ? COUNT_REQUEST_BATCH : COUNT_REQUEST_SINGLE, 1);
    if (!http_use_model(x, x->request.model))
        return;
    if (batch_is_full(x->served, &wait)) {
        refuse_full(x, wait);
        return;
    }
    bool ok = make_job(x, &p);
    x->tokenised = seconds_now();
    if (!ok) {
        http_refuse(x, &p);
    } else if (!x->job.count) {
        answer_vectors(x, &out);
        http_answer(x, 200, &out, json_type);
    } else {
        metrics_count(COUNT_EMBED, x->texts);
        metrics_count(COUNT_TRUNCATED, x->truncated);
        for (size_t i = 0; i < x->job.count; i++)
            metrics_observe(SIZE_INPUT, (double)(x->job.starts[i + 1] - x->job.starts[i]));
        http_submit(x);
    }
}

/* ---------------------------------------------------------------- tokens ---------------------------------------- */

/* start and stop count bytes of prompt and text; a token's text is what stands there. */
static void write_token(struct exchange *x, struct aki__buf *out, const aki_encoded *e, size_t i)
{
    size_t begin = (size_t)e->spans[2 * i], end = (size_t)e->spans[2 * i + 1], size = 0;
    const char *piece = aki_token_piece(x->model, e->ids[i], &size);

    buf_format(out, "{\"id\":%d,\"text\":", e->ids[i]);
    if (e->sequences[i] < 0) {
        if (piece && aki__utf8_check(piece, size) == AKI_UTF8_VALID)
            json_string(out, piece, size);
        else
            buf_text(out, "\"\"");
        buf_text(out, ",\"special\":true,\"start\":null,\"stop\":null}");
        return;
    }
    /* Offsets cross an interface: whatever they are, an answer holds nothing but the text. */
    end = end < e->text_size ? end : e->text_size;
    begin = begin < end ? begin : end;
    /* A token of bytes may begin or end within a character: its text is the characters it touches. */
    size_t from = begin, to = end;
    while (from && ((unsigned char)e->text[from] & 0xC0) == 0x80)
        from--;
    while (to < e->text_size && ((unsigned char)e->text[to] & 0xC0) == 0x80)
        to++;
    json_string(out, e->text + from, to - from);
    buf_format(out, ",\"special\":false,\"start\":%zu,\"stop\":%zu}", from, to);
}

/* The arrays of e for so many tokens and bytes. The caller frees them. */
static bool grow_encoded(aki_encoded *e, size_t tokens, size_t bytes)
{
    free(e->ids);
    free(e->spans);
    free(e->sequences);
    free(e->text);
    e->ids = malloc((tokens + 1) * sizeof *e->ids);
    e->spans = malloc((tokens + 1) * 2 * sizeof *e->spans);
    e->sequences = malloc((tokens + 1) * sizeof *e->sequences);
    e->text = malloc(bytes + 1);
    e->capacity = tokens;
    e->text_capacity = bytes;
    return e->ids && e->spans && e->sequences && e->text;
}

static bool write_tokens(struct exchange *x, struct aki__buf *out, const struct input *in, struct problem *p)
{
    aki_embed_options o = text_options(x);
    aki_status rc = AKI_E_TOO_SMALL;
    aki_encoded e;
    aki_error error;

    aki_encoded_init(&e, sizeof e);
    e.whole = 1;
    e.count = in->size / 3 + 64;
    e.text_size = in->size;
    while (rc == AKI_E_TOO_SMALL) {
        if (grow_encoded(&e, e.count, e.text_size))
            rc = aki_encode(x->model, in->text, in->size, NULL, 0, &o, &e, &error);
        else
            rc = error.status = AKI_E_NOMEM;
    }
    bool fits = rc || http_fits(x, out->size + e.count * TOKEN_TEXT + e.text_size, p);
    buf_text(out, "[");
    for (size_t i = 0; i < e.count && !rc && fits; i++) {
        buf_text(out, i ? "," : "");
        write_token(x, out, &e, i);
    }
    buf_text(out, "]");
    free(e.ids);
    free(e.spans);
    free(e.sequences);
    free(e.text);
    return rc ? refuse_library(x, p, &error) : fits;
}

static bool write_decoded(struct exchange *x, struct aki__buf *out, const struct input *in, struct problem *p)
{
    struct ids t = { 0 };
    struct aki__buf text = { 0 };
    aki_error error;
    size_t size = 0;
    bool ok = copy_ids(x, &t, in, in->count, p);

    if (ok) {
        aki_status rc = aki_detokenize(x->model, t.ids, in->count, !x->request.keep_special, NULL, 0, &size, &error);
        ok = rc && rc != AKI_E_TOO_SMALL ? refuse_library(x, p, &error) : http_fits(x, out->size + size, p);
    }
    if (ok && !buf_reserve(&text, size + 1))
        ok = refuse(p, 503, type_unhealthy, "out of memory");
    if (ok && aki_detokenize(x->model, t.ids, in->count, !x->request.keep_special, text.data, size, &size, &error))
        ok = refuse_library(x, p, &error);
    if (ok && aki__utf8_check(text.data, size) != AKI_UTF8_VALID)
        ok = refuse(p, 422, type_tokenizer, "Tokenizer error: the ids are not a text");
    if (ok)
        json_string(out, text.data, size);
    free(t.ids);
    aki__buf_free(&text);
    return ok;
}

/* /tokenize and /decode: an array with an element for each input. */
static void each_input(struct exchange *x)
{
    struct problem p = { 0 };
    struct aki__buf out = { 0 };
    bool ok = read_body(x, &p);

    if (!ok) {
        http_refuse(x, &p);
        return;
    }
    if (!http_use_model(x, x->request.model))
        return;
    x->texts = x->request.count;
    buf_text(&out, "[");
    for (size_t i = 0; i < x->request.count && ok; i++) {
        if (i)
            buf_text(&out, ",");
        ok = x->route->body == BODY_DECODE ? write_decoded(x, &out, &x->request.inputs[i], &p)
                                           : write_tokens(x, &out, &x->request.inputs[i], &p);
        ok = ok && http_fits(x, out.size, &p);
    }
    buf_text(&out, "]");
    if (ok) {
        if (http_hold_answer(x, &out))
            http_answer(x, 200, &out, json_type);
    } else {
        aki__buf_free(&out);
        http_refuse(x, &p);
    }
}

/* ---------------------------------------------------------------- the others ------------------------------------ */

static void health(struct exchange *x)
{
    struct problem p = { .retry_after = 1 };
    struct aki__buf out = { 0 };

    /* No use of the model: a balancer that asks every second does not keep it from being closed. */
    if (served_is_ready(x->server->models)) {
        http_answer(x, 200, &out, json_type);
        return;
    }
    refuse(&p, 503, type_unhealthy, "the model is not open; the server's log says more");
    http_refuse(x, &p);
}

static void ping(struct exchange *x)
{
    struct aki__buf out = { 0 };

    http_answer(x, 200, &out, json_type);
}

static void info(struct exchange *x)
{
    struct aki__buf out = { 0 };

    if (!http_use_model(x, NULL))
        return;
    answer_info(x, &out);
    http_answer(x, 200, &out, json_type);
}

static void models(struct exchange *x)
{
    const char *name = strlen(x->path) > strlen("/v1/models/") ? x->path + strlen("/v1/models/") : NULL;
    struct aki__buf out = { 0 };

    if (name && !http_find_model(x, name))
        return;
    answer_models_openai(x->server, x->served, &out);
    http_answer(x, 200, &out, json_type);
}

static void tags(struct exchange *x)
{
    struct aki__buf out = { 0 };

    answer_models_ollama(x->server, false, &out);
    http_answer(x, 200, &out, json_type);
}

/* The models that are open. */
static void processes(struct exchange *x)
{
    struct aki__buf out = { 0 };

    answer_models_ollama(x->server, true, &out);
    http_answer(x, 200, &out, json_type);
}

/* Clients make sure of their model before they use it: one that is served is there. Nothing is fetched. */
static void pull(struct exchange *x)
{
    struct problem p = { 0 };
    struct aki__buf out = { 0 };

    if (!read_body(x, &p)) {
        http_refuse(x, &p);
        return;
    }
    if (!http_find_model(x, x->request.model))
        return;
    buf_text(&out, x->request.stream ? "{\"status\":\"success\"}\n" : "{\"status\":\"success\"}");
    http_answer(x, 200, &out, x->request.stream ? "application/x-ndjson" : json_type);
}

static void show(struct exchange *x)
{
    struct problem p = { 0 };
    struct aki__buf out = { 0 };

    if (!read_body(x, &p)) {
        http_refuse(x, &p);
        return;
    }
    if (!http_use_model(x, x->request.model))
        return;
    answer_show(x, &out);
    http_answer(x, 200, &out, json_type);
}

static void version(struct exchange *x)
{
    struct aki__buf out = { 0 };

    buf_format(&out, "{\"version\":\"%s\"}", aki_version());
    http_answer(x, 200, &out, json_type);
}

static void metrics(struct exchange *x)
{
    struct aki__buf out = { 0 };

    answer_gauges(x->server, &out);
    http_answer(x, 200, &out, "text/plain; charset=utf-8; version=0.0.4");
}

/* TEI's routes for models of other kinds. */
static void other_kind(struct exchange *x)
{
    struct problem p = { 0 };

    refuse(&p, 424, type_backend, "Backend error: %s",
           !strcmp(x->path, "/rerank") ? "model is not a re-ranker model"
           : !strcmp(x->path, "/predict") ? "Model is not a classifier model" : "Model is not an embedding model with SPLADE pooling");
    http_refuse(x, &p);
}

static void page(struct exchange *x)
{
    struct aki__buf out = { 0 };

    buf_add(&out, embedded_page, embedded_page_size);
    http_answer(x, 200, &out, "text/html; charset=utf-8");
}

static void openapi(struct exchange *x)
{
    struct aki__buf out = { 0 };

    buf_add(&out, embedded_openapi, embedded_openapi_size);
    http_answer(x, 200, &out, json_type);
}

// clang-format off
const struct route route_table[] = {
    { "/v1/embeddings",  "POST", FAMILY_OPENAI, BODY_OPENAI,     0,                       embed },
    { "/embeddings",     "POST", FAMILY_OPENAI, BODY_OPENAI,     0,                       embed },
    { "/v1/models",      "GET",  FAMILY_OPENAI, 0,               0,                       models },
    { "/v1/models/",     "GET",  FAMILY_OPENAI, 0,               PREFIX,                  models },
    { "/embed",          "POST", FAMILY_TEI,    BODY_EMBED,      0,                       embed },
    { "/",               "POST", FAMILY_TEI,    BODY_EMBED,      0,                       embed },
    { "/embed_all",      "POST", FAMILY_TEI,    BODY_ALL,        0,                       embed },
    { "/similarity",     "POST", FAMILY_TEI,    BODY_SIMILARITY, 0,                       embed },
    { "/tokenize",       "POST", FAMILY_TEI,    BODY_TOKENIZE,   0,                       each_input },
    { "/decode",         "POST", FAMILY_TEI,    BODY_DECODE,     0,                       each_input },
    { "/rerank",         "POST", FAMILY_TEI,    0,               0,                       other_kind },
    { "/predict",        "POST", FAMILY_TEI,    0,               0,                       other_kind },
    { "/embed_sparse",   "POST", FAMILY_TEI,    0,               0,                       other_kind },
    { "/info",           "GET",  FAMILY_TEI,    0,               0,                       info },
    { "/health",         "GET",  FAMILY_TEI,    0,               NEEDS_NO_KEY,            health },
    { "/ping",           "GET",  FAMILY_TEI,    0,               NEEDS_NO_KEY,            ping },
    { "/metrics",        "GET",  FAMILY_TEI,    0,               0,                       metrics },
    { "/api/embed",      "POST", FAMILY_OLLAMA, BODY_OLLAMA,     ANY_TYPE,                embed },
    { "/api/embeddings", "POST", FAMILY_OLLAMA, BODY_OLLAMA_OLD, ANY_TYPE,                embed },
    { "/api/show",       "POST", FAMILY_OLLAMA, BODY_SHOW,       ANY_TYPE,                show },
    { "/api/pull",       "POST", FAMILY_OLLAMA, BODY_PULL,       ANY_TYPE,                pull },
    { "/api/tags",       "GET",  FAMILY_OLLAMA, 0,               0,                       tags },
    { "/api/ps",         "GET",  FAMILY_OLLAMA, 0,               0,                       processes },
    { "/api/version",    "GET",  FAMILY_OLLAMA, 0,               0,                       version },
    { "/",               "GET",  FAMILY_TEI,    0,               0,                       page },
    { "/openapi.json",   "GET",  FAMILY_TEI,    0,               0,                       openapi },
};
// clang-format on
const size_t route_count = sizeof route_table / sizeof *route_table;
