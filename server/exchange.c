/* Unit exchange: one request from its first line to its answer. See exchange.h. */
#include "exchange.h"

#include "keys.h"
#include "log.h"
#include "metrics.h"
#include "naming.h"
#include "system.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char json_type[] = "application/json";

/* A refused body is read to its end, so that the client reads the answer and not a reset; but not for ever. */
enum { DROP_LIMIT = 16 << 20 };

/* What requests may hold together, in bodies of full size, so that clients which send many of these, or read their answers slowly,
 * cannot take the machine's memory. A request that finds nothing held is taken whatever its size. */
enum { HELD_BODIES = 512 };

void exchange_state(struct exchange *x, int state)
{
    pthread_mutex_lock(&x->server->lock);
    x->peer->state = state;
    x->peer->since = seconds_now();
    x->peer->ended = false;
    pthread_mutex_unlock(&x->server->lock);
}

/* false: it is too much, and refused. */
static bool hold(struct exchange *x, size_t bytes)
{
    size_t others = atomic_fetch_add(&x->server->held, bytes) - x->held;

    x->held += bytes;
    if (!others || others + x->held <= HELD_BODIES * x->server->o->max_body)
        return true;
    metrics_count(COUNT_REJECT_MEMORY);
    x->problem = (struct problem){ .code = "rate_limit_exceeded", .retry_after = 1 };
    return refuse(&x->problem, 429, type_overloaded, "Model is overloaded");
}

static void let_go(struct exchange *x)
{
    atomic_fetch_sub(&x->server->held, x->held);
    x->held = 0;
    aki__buf_free(&x->body);
    request_free(&x->request);
}

/* ---------------------------------------------------------------- answering ------------------------------------- */

void exchange_answer(struct exchange *x, int status, struct aki__buf *body, const char *type)
{
    http_send(x, status, body, type, NULL);
}

void exchange_refuse(struct exchange *x, const struct problem *p)
{
    static const struct { const char *type; enum counter counter; } counters[] = {
        { type_validation, COUNT_FAIL_VALIDATION }, { type_empty, COUNT_FAIL_EMPTY }, { type_tokenizer, COUNT_FAIL_TOKENIZER },
        { type_backend, COUNT_FAIL_BACKEND }, { type_overloaded, COUNT_FAIL_OVERLOADED }, { type_unhealthy, COUNT_FAIL_UNHEALTHY },
    };
    struct aki__buf body = { 0 };

    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        if (counters[i].type == p->type)
            metrics_count(counters[i].counter);
    if (p != &x->problem)
        x->problem = *p;
    problem_write(&body, p, x->family);
    http_send(x, p->status, &body, json_type, p);
}

bool exchange_fits(const struct exchange *x, size_t bytes, struct problem *p)
{
    size_t most = x->server->o->max_answer;

    return bytes <= most || refuse(p, 422, type_validation, "Input validation error: the answer would have about %zu bytes, above the limit of %zu "
                                   "(--max-answer)", bytes, most);
}

bool exchange_hold_answer(struct exchange *x, struct aki__buf *body)
{
    let_go(x);
    if (hold(x, body->size))
        return true;
    aki__buf_free(body);
    exchange_refuse(x, &x->problem);
    return false;
}

/* ---------------------------------------------------------------- models and jobs ------------------------------- */

static void refuse_model(struct exchange *x, const char *name)
{
    const struct server_options *o = x->server->o;
    struct problem p = { .param = "model", .code = "model_not_found" };
    char names[480] = "";
    size_t at = 0;

    for (size_t i = 0; i < o->model_count && at < sizeof names; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", o->models[i].name);
    if (at >= sizeof names)
        memcpy(names + sizeof names - sizeof "...", "...", sizeof "...");
    refuse(&p, 404, type_validation,
           x->family == FAMILY_OLLAMA ? "model '%.100s' not found (with --any-model, any name means the first); served: %s"
                                      : "The model '%.100s' does not exist (with --any-model, any name means the first); served: %s", name, names);
    exchange_refuse(x, &p);
}

bool exchange_find_model(struct exchange *x, const char *name)
{
    x->served = find_model(x->server, name, x->family == FAMILY_OLLAMA);
    if (!x->served)
        refuse_model(x, name);
    return x->served != NULL;
}

static void opened(void *user)
{
    http_resume(user);
}

/* Once the service has begun, a request waits for a model that is opened for it, as for its place in the queue. Before, it is refused, so that
 * what stands in front goes to another instance. Once a request: when the model is closed again at once, or was not opened in time, it is told. */
static bool await_model(struct exchange *x, int state)
{
    const int deadline = x->server->o->deadline;

    if (x->awaited || state == SERVED_FAILED || !atomic_load(&x->server->begun))
        return false;
    x->waiter = (struct served_waiter){ .deadline = deadline ? x->start + deadline : 0, .resume = opened, .user = x };
    x->awaited = x->parked = true;
    /* Suspended first: it may be resumed before served_await is back. */
    http_suspend(x);
    if (!served_await(x->served, &x->waiter))
        http_resume(x);
    return true;
}

bool exchange_use_model(struct exchange *x, const char *name)
{
    struct problem p = { 0 };
    int state;

    if (!exchange_find_model(x, name))
        return false;
    x->model = served_use(x->served, &x->info, &state);
    if (x->model || await_model(x, state))
        return x->model != NULL;
    metrics_count(COUNT_REJECT_LOADING);
    p.retry_after = state == SERVED_FAILED ? SERVED_RETRY : 1;
    p.code = "model_not_ready";
    refuse(&p, 503, type_unhealthy, state == SERVED_FAILED ? "the model could not be opened; the server's log says why" : "the model is loading");
    exchange_refuse(x, &p);
    return false;
}

/* Asked before a run. */
static enum system_client client(void *user)
{
    const struct exchange *x = user;

    return system_client(x->peer->fd);
}

static void job_through(void *user)
{
    http_resume(user);
}

void exchange_submit(struct exchange *x)
{
    const struct server_options *o = x->server->o;
    struct problem p = { .code = "rate_limit_exceeded" };
    struct batch_job *j = &x->job;
    size_t floats = group_rows(&j->group, j->count, (size_t)j->starts[j->count]) * j->width;

    if (!x->request.return_text)
        let_go(x);
    if (!hold(x, (size_t)j->starts[j->count] * (sizeof *j->ids + sizeof *j->types) + floats * (sizeof *j->out + FLOAT_TEXT))) {
        exchange_refuse(x, &x->problem);
        return;
    }
    j->out = malloc((floats + 1) * sizeof *j->out);
    if (!j->out) {
        refuse(&p, 503, type_unhealthy, "out of memory");
        exchange_refuse(x, &p);
        return;
    }
    x->job.client = client;
    x->job.finish = job_through;
    x->job.user = x;
    x->job.deadline = o->deadline ? x->start + o->deadline : 0;
    x->waits = true;
    /* Suspended first: the job may be through before batch_submit is back. */
    http_suspend(x);
    if (batch_submit(x->served, &x->job, &p.retry_after))
        return;
    x->waits = false;
    http_resume(x);
    metrics_count(COUNT_REJECT_QUEUE);
    refuse(&x->problem, 429, type_overloaded, "Model is overloaded");
    x->problem.code = p.code;
    x->problem.retry_after = p.retry_after;
}

bool exchange_read_body(struct exchange *x, struct problem *p)
{
    const struct request_limits limits = { x->server->o->max_inputs, x->server->o->max_inputs_openai };

    if (x->read)
        return true;
    bool ok = buf_reserve(&x->body, 1) && request_read(&x->request, x->route->body, x->body.data, x->body.size, &limits, p);

    x->family = ok || x->request.family ? x->request.family : x->route->family;
    x->parsed = seconds_now();
    x->read = ok;
    if (!ok && !p->status)
        refuse(p, 503, type_unhealthy, "out of memory");
    return ok;
}

/* ---------------------------------------------------------------- its head -------------------------------------- */

static bool has_key(struct exchange *x)
{
    const char *bearer = http_header(x, "Authorization"), *key = http_header(x, "X-Api-Key");

    if (bearer && !strncasecmp(bearer, "Bearer ", 7) && keys_check(bearer + 7))
        return true;
    return key && keys_check(key);
}

/* The family of a path that is no route: whose client that probably is. */
static enum family guess_family(const char *path)
{
    return !strncmp(path, "/v1", 3) ? FAMILY_OPENAI : !strncmp(path, "/api/", 5) ? FAMILY_OLLAMA : FAMILY_TEI;
}

static bool same_path(const struct route *r, const char *path)
{
    return r->flags & PREFIX ? !strncmp(r->path, path, strlen(r->path)) && path[strlen(r->path)] : !strcmp(r->path, path);
}

/* Also of "http://host/path", which every server has to understand. */
static const char *path_of(const char *target)
{
    size_t scheme = !strncasecmp(target, "http://", 7) ? 7 : !strncasecmp(target, "https://", 8) ? 8 : 0;
    const char *path = scheme ? strchr(target + scheme, '/') : target;

    return path ? path : "/";
}

static void find_route(struct exchange *x, const char *path)
{
    const char *method = !strcmp(x->method, "HEAD") ? "GET" : x->method;
    struct problem *p = &x->problem;

    x->family = guess_family(path);
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &route_table[i];
        if (!same_path(r, path))
            continue;
        x->family = r->family;
        if (!strcmp(r->method, method)) {
            x->route = r;
            x->allow[0] = '\0';
            return;
        }
        size_t at = strlen(x->allow);
        snprintf(x->allow + at, sizeof x->allow - at, "%s%s", at ? ", " : "", !strcmp(r->method, "GET") ? "GET, HEAD" : "POST");
    }
    if (x->allow[0])
        refuse(p, 405, type_validation, "this path answers %s only", x->allow);
    else
        refuse(p, 404, type_validation, "there is no such path");
}

static bool is_json(const char *type)
{
    /* Also "application/vnd.x+json": what follows the type are parameters. */
    if (!type)
        return false;
    size_t size = strcspn(type, "; \t");
    return (size == strlen(json_type) && !strncasecmp(type, json_type, size)) ||
           (size > 17 && !strncasecmp(type, "application/", 12) && !strncasecmp(type + size - 5, "+json", 5));
}

static void check_type(struct exchange *x)
{
    const char *encoding = http_header(x, "Content-Encoding");

    if (x->problem.status || strcmp(x->route->method, "POST"))
        return;
    if (!(x->route->flags & ANY_TYPE) && !is_json(http_header(x, "Content-Type")))
        refuse(&x->problem, 415, type_validation, "Expected request with `Content-Type: application/json`");
    else if (encoding && strcasecmp(encoding, "identity"))
        refuse(&x->problem, 415, type_validation, "compressed bodies are not read: send it without `Content-Encoding`");
}

static void check_key(struct exchange *x)
{
    if (!x->server->o->keys_file || (x->route && x->route->flags & NEEDS_NO_KEY) || has_key(x))
        return;
    /* Whoever has no key learns nothing of the paths either. */
    x->allow[0] = '\0';
    metrics_count(COUNT_REJECT_KEY);
    x->problem = (struct problem){ .code = "invalid_api_key" };
    refuse(&x->problem, 401, type_validation, "a valid API key is needed: Authorization: Bearer KEY");
}

static void check_size(struct exchange *x)
{
    if (!x->too_large)
        return;
    metrics_count(COUNT_REJECT_SIZE);
    refuse(&x->problem, 413, type_validation, "Failed to buffer the request body: length limit exceeded");
}

/* The client's id where it is a plain one, else a fresh one. */
static void set_id(struct exchange *x)
{
    const char *given = http_header(x, "X-Request-Id");
    size_t size = 0;

    while (given && size < sizeof x->id && (isalnum((unsigned char)given[size]) || (given[size] && strchr("._:-", given[size]))))
        size++;
    if (size && size < sizeof x->id && !given[size]) {
        memcpy(x->id, given, size);
        return;
    }
    snprintf(x->id, sizeof x->id, "%016llx", (unsigned long long)system_random());
}

bool exchange_head(struct exchange *x, const char *method, const char *target)
{
    x->path = strdup(path_of(target));
    if (!x->path)
        return false;
    x->begun = true;
    snprintf(x->method, sizeof x->method, "%.*s", (int)sizeof x->method - 1, method);
    atomic_fetch_add(&x->server->in_flight, 1);
    set_id(x);
    find_route(x, x->path);
    check_key(x);
    check_type(x);
    return true;
}

bool exchange_length(struct exchange *x, uint64_t length)
{
    x->too_large = length > x->server->o->max_body;
    if (!x->problem.status)
        check_size(x);
    exchange_state(x, PEER_BODY);
    return length <= x->server->o->max_body + DROP_LIMIT;
}

/* ---------------------------------------------------------------- its body, and its answer ---------------------- */

bool exchange_body(struct exchange *x, const char *data, size_t size)
{
    x->received += size;
    if (!x->problem.status && x->received > x->server->o->max_body) {
        x->too_large = true;
        check_size(x);
    }
    if (x->received > x->server->o->max_body + DROP_LIMIT)
        return false;
    if (!x->problem.status && hold(x, size))
        buf_add(&x->body, data, size);
    if (x->problem.status)
        let_go(x);
    return !x->body.failed;
}

static void preflight(struct exchange *x)
{
    struct aki__buf none = { 0 };

    x->allow[0] = '\0';
    http_send(x, 204, &none, "text/plain", NULL);
}

void exchange_run(struct exchange *x)
{
    struct problem p = { 0 };

    if (x->server->o->cors_origin && !strcmp(x->method, "OPTIONS")) {
        preflight(x);
        return;
    }
    /* Where the answer is a refusal that was known early, or that the queue made. */
    if (x->problem.status) {
        exchange_refuse(x, &x->problem);
        return;
    }
    if (!x->waits)
        exchange_state(x, PEER_WORKS);
    x->parked = false;
    x->route->run(x);
    if (!x->answered && !x->waits && !x->parked && !x->problem.status) {
        refuse(&p, 500, type_backend, "no answer was made");
        exchange_refuse(x, &p);
    }
}

static void observe(const struct exchange *x)
{
    const struct batch_job *j = &x->job;
    struct model_metrics *of = &x->served->metrics;
    bool batch = x->texts > 1;
    double total = seconds_now() - x->start, queue = j->started - j->queued, tokenization = x->tokenised - x->parsed;

    metrics_count_model(of, batch ? COUNT_REQUEST_SUCCESS_BATCH : COUNT_REQUEST_SUCCESS_SINGLE, 1);
    metrics_count_model(of, COUNT_EMBED_SUCCESS, x->texts);
    metrics_count_model(of, COUNT_TOKENS, (uint64_t)j->starts[j->count]);
    metrics_observe(of, TIME_REQUEST, total);
    metrics_observe(of, TIME_REQUEST_TOKENIZATION, tokenization);
    metrics_observe(of, TIME_REQUEST_QUEUE, queue);
    metrics_observe(of, TIME_REQUEST_INFERENCE, j->inference);
    for (size_t i = 0; i < x->texts; i++) {
        metrics_observe(of, TIME_EMBED, total);
        metrics_observe(of, TIME_EMBED_TOKENIZATION, tokenization / (double)x->texts);
        metrics_observe(of, TIME_EMBED_QUEUE, queue);
        metrics_observe(of, TIME_EMBED_INFERENCE, j->inference);
    }
}

void exchange_end(struct exchange *x, bool sent)
{
    if (x->waits && x->status == 200)
        observe(x);
    /* The carrier may see by itself, when the connection is resumed, that nobody is there. */
    if (x->waits && (x->job.status == JOB_GONE || !x->answered))
        metrics_count(COUNT_GONE);
    if (x->begun && !x->server->o->quiet)
        log_request(x, sent);
    if (x->model)
        served_release(x->served);
    exchange_state(x, PEER_IDLE);
    if (x->begun)
        atomic_fetch_sub(&x->server->in_flight, 1);
    let_go(x);
    free(x->path);
    free(x->asked);
    if (x->job.lost)                                          /* its run still goes on */
        return;
    free(x->job.ids);
    free(x->job.types);
    free(x->job.starts);
    free(x->job.prompts);
    free(x->job.out);
    free(x);
}
