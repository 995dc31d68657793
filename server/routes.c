/* Unit routes: the table of routes and what each does. See exchange.h. */
#include "answer.h"
#include "embedded.h"
#include "encode.h"
#include "metrics.h"
#include "tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- embedding ------------------------------------- */

static void answer_job(struct exchange *x)
{
    struct problem p = { 0 };
    struct aki__buf out = { 0 };

    switch (x->job.status) {
    case JOB_DONE:
        (body_scores(x->route->body) ? answer_scores : answer_vectors)(x, &out);
        exchange_answer(x, 200, &out, json_type);
        return;
    case JOB_FAILED:
        /* The request was checked before: what fails now is the model, whatever the library calls it. */
        if (x->job.error.status == AKI_E_INVALID && x->job.error.item >= 0)
            refuse(&p, 424, type_backend, "Backend error: text %d: %s", (int)x->job.error.item, x->job.error.message);
        else
            encode_refuse(x, &p, &x->job.error);
        break;
    case JOB_LATE:
        metrics_count(COUNT_REJECT_DEADLINE);
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
    exchange_refuse(x, &p);
}

static void refuse_full(struct exchange *x, int wait)
{
    struct problem p = { .retry_after = wait, .code = "rate_limit_exceeded" };

    metrics_count(COUNT_REJECT_QUEUE);
    refuse(&p, 429, type_overloaded, "Model is overloaded");
    exchange_refuse(x, &p);
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
    if (!exchange_read_body(x, &p)) {
        exchange_refuse(x, &p);
        return;
    }
    x->texts = x->request.count;
    x->base64 = x->request.base64;
    x->single = x->request.single;
    x->top = (size_t)x->request.top;
    if (!exchange_use_model(x, x->request.model))
        return;
    x->asked = x->request.model ? strdup(x->request.model) : NULL;
    metrics_count_model(&x->served->metrics, x->texts > 1 ? COUNT_REQUEST_BATCH : COUNT_REQUEST_SINGLE, 1);
    if (batch_is_full(x->served, &wait)) {
        refuse_full(x, wait);
        return;
    }
    bool ok = encode_job(x, &p);
    x->tokenised = seconds_now();
    if (!ok) {
        exchange_refuse(x, &p);
    } else if (!x->job.count) {
        answer_vectors(x, &out);
        exchange_answer(x, 200, &out, json_type);
    } else {
        metrics_count_model(&x->served->metrics, COUNT_EMBED, x->texts);
        metrics_count_model(&x->served->metrics, COUNT_TRUNCATED, x->truncated);
        for (size_t i = 0; i < x->job.count; i++)
            metrics_observe(&x->served->metrics, SIZE_INPUT, (double)(x->job.starts[i + 1] - x->job.starts[i]));
        exchange_submit(x);
    }
}

/* ---------------------------------------------------------------- the others ------------------------------------ */

static void health(struct exchange *x)
{
    struct problem p = { .retry_after = 1 };
    struct aki__buf out = { 0 };

    const struct server *s = x->server;
    const struct served *bad = NULL;
    bool begun = atomic_load(&s->begun);

    /* The models that it begins with. No use of them: a balancer that asks every second does not keep them from being closed. */
    for (size_t i = 0; i < (s->o->preload ? s->o->model_count : 1) && !bad; i++)
        bad = served_is_ready(&s->models[i]) ? NULL : &s->models[i];
    if (begun && !bad) {
        exchange_answer(x, 200, &out, json_type);
        return;
    }
    refuse(&p, 503, type_unhealthy, "the model '%.100s' is not open; the server's log says more", (bad ? bad : s->models)->name);
    exchange_refuse(x, &p);
}

static void ping(struct exchange *x)
{
    struct aki__buf out = { 0 };

    exchange_answer(x, 200, &out, json_type);
}

static void info(struct exchange *x)
{
    struct aki__buf out = { 0 };

    if (!exchange_use_model(x, http_query(x, "model")))
        return;
    answer_info(x, &out);
    exchange_answer(x, 200, &out, json_type);
}

static void models(struct exchange *x)
{
    const char *name = strlen(x->path) > strlen("/v1/models/") ? x->path + strlen("/v1/models/") : NULL;
    struct aki__buf out = { 0 };

    if (name && !exchange_find_model(x, name))
        return;
    answer_models_openai(x->server, x->served, &out);
    exchange_answer(x, 200, &out, json_type);
}

static void tags(struct exchange *x)
{
    struct aki__buf out = { 0 };

    answer_models_ollama(x->server, false, &out);
    exchange_answer(x, 200, &out, json_type);
}

/* The models that are open. */
static void processes(struct exchange *x)
{
    struct aki__buf out = { 0 };

    answer_models_ollama(x->server, true, &out);
    exchange_answer(x, 200, &out, json_type);
}

/* Clients make sure of their model before they use it: one that is served is there. Nothing is fetched. */
static void pull(struct exchange *x)
{
    struct problem p = { 0 };
    struct aki__buf out = { 0 };

    if (!exchange_read_body(x, &p)) {
        exchange_refuse(x, &p);
        return;
    }
    if (!exchange_find_model(x, x->request.model))
        return;
    buf_text(&out, x->request.stream ? "{\"status\":\"success\"}\n" : "{\"status\":\"success\"}");
    exchange_answer(x, 200, &out, x->request.stream ? "application/x-ndjson" : json_type);
}

static void show(struct exchange *x)
{
    struct problem p = { 0 };
    struct aki__buf out = { 0 };

    if (!exchange_read_body(x, &p)) {
        exchange_refuse(x, &p);
        return;
    }
    if (!exchange_use_model(x, x->request.model))
        return;
    answer_show(x, &out);
    exchange_answer(x, 200, &out, json_type);
}

static void version(struct exchange *x)
{
    struct aki__buf out = { 0 };

    buf_format(&out, "{\"version\":\"%s\"}", aki_version());
    exchange_answer(x, 200, &out, json_type);
}

static void metrics(struct exchange *x)
{
    struct aki__buf out = { 0 };

    answer_metrics(x->server, &out);
    exchange_answer(x, 200, &out, "text/plain; charset=utf-8; version=0.0.4");
}

/* TEI's route for models of another kind. */
static void other_kind(struct exchange *x)
{
    struct problem p = { 0 };

    refuse(&p, 424, type_backend, "Backend error: Model is not an embedding model with SPLADE pooling");
    exchange_refuse(x, &p);
}

static void page(struct exchange *x)
{
    struct aki__buf out = { 0 };

    buf_add(&out, embedded_page, embedded_page_size);
    exchange_answer(x, 200, &out, "text/html; charset=utf-8");
}

static void docs(struct exchange *x)
{
    struct aki__buf out = { 0 };

    buf_add(&out, embedded_docs, embedded_docs_size);
    exchange_answer(x, 200, &out, "text/html; charset=utf-8");
}

static void openapi(struct exchange *x)
{
    struct aki__buf out = { 0 };

    buf_add(&out, embedded_openapi, embedded_openapi_size);
    exchange_answer(x, 200, &out, json_type);
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
    { "/tokenize",       "POST", FAMILY_TEI,    BODY_TOKENIZE,   0,                       tokens_answer },
    { "/decode",         "POST", FAMILY_TEI,    BODY_DECODE,     0,                       tokens_answer },
    { "/rerank",         "POST", FAMILY_TEI,    BODY_RERANK,     0,                       embed },
    { "/v1/rerank",      "POST", FAMILY_COHERE, BODY_RERANK,     0,                       embed },
    { "/v2/rerank",      "POST", FAMILY_COHERE, BODY_RERANK,     0,                       embed },
    { "/reranking",      "POST", FAMILY_COHERE, BODY_RERANK,     0,                       embed },
    { "/v1/reranking",   "POST", FAMILY_COHERE, BODY_RERANK,     0,                       embed },
    { "/predict",        "POST", FAMILY_TEI,    BODY_PREDICT,    0,                       embed },
    { "/score",          "POST", FAMILY_OPENAI, BODY_SCORE,      0,                       embed },
    { "/v1/score",       "POST", FAMILY_OPENAI, BODY_SCORE,      0,                       embed },
    { "/classify",       "POST", FAMILY_OPENAI, BODY_CLASSIFY,   0,                       embed },
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
    { "/",               "GET",  FAMILY_TEI,    0,               NEEDS_NO_KEY,            page },
    { "/docs",           "GET",  FAMILY_TEI,    0,               NEEDS_NO_KEY,            docs },
    { "/openapi.json",   "GET",  FAMILY_TEI,    0,               NEEDS_NO_KEY,            openapi },
};
// clang-format on
const size_t route_count = sizeof route_table / sizeof *route_table;
