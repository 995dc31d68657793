/* Unit http: one request from its first line to its answer. See http.h.
 *
 * libmicrohttpd calls back from its threads: http_begin at the request line, http_access with the headers, then with pieces of the
 * body, then once more when it is whole, and http_end when the answer is out. While a job is in the queue its connection is suspended;
 * the job's end resumes it, and http_access is called again. */
#include "exchange.h"
#include "keys.h"
#include "log.h"
#include "metrics.h"
#include "naming.h"
#include "system.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A refused body is read to its end, so that the client reads the answer and not a reset; but not for ever. */
enum { DROP_LIMIT = 16 << 20 };

/* What requests may hold together, in bodies of full size, so that clients which send many of these, or read their answers slowly,
 * cannot take the machine's memory. A request that finds nothing held is taken whatever its size. */
enum { HELD_BODIES = 512 };

static void set_state(struct exchange *x, int state)
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
    metrics_count(COUNT_REJECT_MEMORY, 1);
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

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
    MHD_add_response_header(r, name, value);
}

static void add_number(struct MHD_Response *r, const char *name, double value)
{
    char text[32];

    snprintf(text, sizeof text, "%.0f", value);
    add_header(r, name, text);
}

/* TEI's: milliseconds, as it rounds them. */
static void add_times(struct exchange *x, struct MHD_Response *r)
{
    const struct job *j = &x->job;
    double now = seconds_now();

    add_header(r, "x-compute-type", x->info.device);
    add_number(r, "x-compute-time", (now - x->start) * 1e3);
    add_number(r, "x-compute-characters", (double)x->characters);
    add_number(r, "x-compute-tokens", (double)j->starts[j->count]);
    add_number(r, "x-total-time", (now - x->start) * 1e3);
    add_number(r, "x-tokenization-time", (x->tokenised - x->parsed) * 1e3);
    add_number(r, "x-queue-time", (j->started - j->queued) * 1e3);
    add_number(r, "x-inference-time", j->inference * 1e3);
}

static void add_cors(struct exchange *x, struct MHD_Response *r)
{
    const char *origin = x->server->o->cors_origin;

    if (!origin)
        return;
    add_header(r, "Access-Control-Allow-Origin", origin);
    if (strcmp(origin, "*"))
        add_header(r, "Vary", "Origin");
    add_header(r, "Access-Control-Expose-Headers", "*");
    if (!strcmp(x->method, "OPTIONS")) {
        add_header(r, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
        /* Clients in pages send headers of their own (x-stainless-…); the star means all but the one that is named. */
        add_header(r, "Access-Control-Allow-Headers", "*, Authorization");
        add_header(r, "Access-Control-Max-Age", "600");
    }
}

static void send_answer(struct exchange *x, int status, struct aki__buf *body, const char *type, const struct problem *p)
{
    static char no_memory[] = "{\"error\":\"out of memory\",\"error_type\":\"Unhealthy\"}";
    struct MHD_Response *r = NULL;

    x->answered = true;
    if (!body->failed)
        r = MHD_create_response_from_buffer(body->size, body->data, MHD_RESPMEM_MUST_FREE);
    if (r) {
        x->sent = body->size;
    } else {
        aki__buf_free(body);
        status = 503;
        r = MHD_create_response_from_buffer(sizeof no_memory - 1, no_memory, MHD_RESPMEM_PERSISTENT);
    }
    memset(body, 0, sizeof *body);
    x->status = status;
    if (!r)
        return;
    add_header(r, "Content-Type", type);
    add_header(r, "X-Request-Id", x->id);
    if (x->allow[0])
        add_header(r, "Allow", x->allow);
    if (p && p->retry_after)
        add_number(r, "Retry-After", p->retry_after);
    if (status == 401)
        add_header(r, "WWW-Authenticate", "Bearer");
    if (status == 200 && x->waits)
        add_times(x, r);
    add_cors(x, r);
    if (atomic_load(&x->server->draining) || x->too_large || x->closes)
        add_header(r, "Connection", "close");
    set_state(x, PEER_ANSWERS);
    MHD_queue_response(x->connection, (unsigned)status, r);
    MHD_destroy_response(r);
}

void http_answer(struct exchange *x, int status, struct aki__buf *body, const char *type)
{
    send_answer(x, status, body, type, NULL);
}

void http_refuse(struct exchange *x, const struct problem *p)
{
    static const struct { const char *type; enum counter counter; } counters[] = {
        { type_validation, COUNT_FAIL_VALIDATION }, { type_empty, COUNT_FAIL_EMPTY }, { type_tokenizer, COUNT_FAIL_TOKENIZER },
        { type_backend, COUNT_FAIL_BACKEND }, { type_overloaded, COUNT_FAIL_OVERLOADED }, { type_unhealthy, COUNT_FAIL_UNHEALTHY },
    };
    struct aki__buf body = { 0 };

    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        if (counters[i].type == p->type)
            metrics_count(counters[i].counter, 1);
    x->error_type = p->type;
    problem_write(&body, p, x->family);
    send_answer(x, p->status, &body, "application/json", p);
}

bool http_fits(const struct exchange *x, size_t bytes, struct problem *p)
{
    size_t most = x->server->o->max_answer;

    return bytes <= most || refuse(p, 422, type_validation, "Input validation error: the answer would have about %zu bytes, above the limit of %zu "
                                   "(--max-answer)", bytes, most);
}

bool http_hold_answer(struct exchange *x, struct aki__buf *body)
{
    let_go(x);
    if (hold(x, body->size))
        return true;
    aki__buf_free(body);
    http_refuse(x, &x->problem);
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
    http_refuse(x, &p);
}

bool http_find_model(struct exchange *x, const char *name)
{
    x->served = find_model(x->server, name, x->family == FAMILY_OLLAMA);
    if (!x->served)
        refuse_model(x, name);
    return x->served != NULL;
}

bool http_use_model(struct exchange *x, const char *name)
{
    struct problem p = { 0 };
    int state;

    if (!http_find_model(x, name))
        return false;
    x->model = served_use(x->served, &x->info, &state);
    if (x->model)
        return true;
    metrics_count(COUNT_REJECT_LOADING, 1);
    p.retry_after = state == SERVED_FAILED ? SERVED_RETRY : 1;
    p.code = "model_not_ready";
    refuse(&p, 503, type_unhealthy, state == SERVED_FAILED ? "the model could not be opened; the server's log says why" : "the model is loading");
    http_refuse(x, &p);
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
    struct exchange *x = user;

    MHD_resume_connection(x->connection);
}

void http_submit(struct exchange *x)
{
    const struct server_options *o = x->server->o;
    struct problem p = { .code = "rate_limit_exceeded" };
    struct job *j = &x->job;
    size_t floats = group_rows(&j->group, j->count, (size_t)j->starts[j->count]) * j->width;

    let_go(x);
    if (!hold(x, (size_t)j->starts[j->count] * sizeof *j->ids + floats * (sizeof *j->out + FLOAT_TEXT))) {
        http_refuse(x, &x->problem);
        return;
    }
    j->out = malloc((floats + 1) * sizeof *j->out);
    if (!j->out) {
        refuse(&p, 503, type_unhealthy, "out of memory");
        http_refuse(x, &p);
        return;
    }
    x->job.client = client;
    x->job.finish = job_through;
    x->job.user = x;
    x->job.deadline = o->deadline ? x->start + o->deadline : 0;
    x->waits = true;
    /* Suspended first: the job may be through before batch_submit is back. */
    MHD_suspend_connection(x->connection);
    if (batch_submit(x->served, &x->job, &p.retry_after))
        return;
    x->waits = false;
    MHD_resume_connection(x->connection);
    metrics_count(COUNT_REJECT_QUEUE, 1);
    refuse(&x->problem, 429, type_overloaded, "Model is overloaded");
    x->problem.code = p.code;
    x->problem.retry_after = p.retry_after;
}

/* ---------------------------------------------------------------- the headers ----------------------------------- */

static const char *header(struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

static bool has_key(struct exchange *x)
{
    const char *bearer = header(x, "Authorization"), *key = header(x, "X-Api-Key");

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
    static const char json[] = "application/json";

    /* Also "application/vnd.x+json": what follows the type are parameters. */
    if (!type)
        return false;
    size_t size = strcspn(type, "; \t");
    return (size == strlen(json) && !strncasecmp(type, json, size)) ||
           (size > 17 && !strncasecmp(type, "application/", 12) && !strncasecmp(type + size - 5, "+json", 5));
}

static void check_type(struct exchange *x)
{
    const char *encoding = header(x, "Content-Encoding");

    if (x->problem.status || strcmp(x->route->method, "POST"))
        return;
    if (!(x->route->flags & ANY_TYPE) && !is_json(header(x, "Content-Type")))
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
    metrics_count(COUNT_REJECT_KEY, 1);
    x->problem = (struct problem){ .code = "invalid_api_key" };
    refuse(&x->problem, 401, type_validation, "a valid API key is needed: Authorization: Bearer KEY");
}

static uint64_t declared_length(struct exchange *x)
{
    const char *length = header(x, "Content-Length");

    return length ? strtoull(length, NULL, 10) : 0;          /* libmicrohttpd has checked it */
}

/* What the headers say of the body's end: the first length, whether another one differs from it, and the transfer codings. */
struct framing {
    const char *length;
    bool        differ, chunked;
    size_t      codings;                   /* header lines of Transfer-Encoding */
};

static enum MHD_Result read_framing(void *user, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct framing *f = user;

    (void)kind;
    if (!value)
        return MHD_YES;
    if (!strcasecmp(name, "Content-Length")) {
        f->differ |= f->length && strcmp(f->length, value);
        f->length = f->length ? f->length : value;
    } else if (!strcasecmp(name, "Transfer-Encoding")) {
        f->chunked = !strcasecmp(value, "chunked");
        f->codings++;
    }
    return MHD_YES;
}

/* Where a body ends has to be beyond doubt: a proxy in front may have believed the other of two lengths, and taken what follows for the
 * next request, of somebody else (RFC 9112, 6.3). So the connection ends with the answer. Of another coding than "chunked" alone the end
 * is not known at all. */
static void check_framing(struct exchange *x)
{
    struct framing f = { 0 };
    const char *what = NULL;

    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, read_framing, &f);
    if (f.codings && f.length)
        what = "`Transfer-Encoding` and `Content-Length` at once";
    else if (f.codings && (f.codings > 1 || !f.chunked))
        what = "a `Transfer-Encoding` other than `chunked`";
    else if (f.differ)
        what = "two values of `Content-Length`";
    if (!what)
        return;
    x->closes = true;
    x->endless = f.codings > 0;
    if (!x->problem.status)
        refuse(&x->problem, 400, type_validation, "%s", what);
}

static void check_size(struct exchange *x)
{
    if (!x->too_large)
        return;
    metrics_count(COUNT_REJECT_SIZE, 1);
    refuse(&x->problem, 413, type_validation, "Failed to buffer the request body: length limit exceeded");
}

/* The client's id where it is a plain one, else a fresh one. */
static void set_id(struct exchange *x)
{
    const char *given = header(x, "X-Request-Id");
    size_t size = 0;

    while (given && size < sizeof x->id && (isalnum((unsigned char)given[size]) || (given[size] && strchr("._:-", given[size]))))
        size++;
    if (size && size < sizeof x->id && !given[size]) {
        memcpy(x->id, given, size);
        return;
    }
    snprintf(x->id, sizeof x->id, "%016llx", (unsigned long long)system_random());
}

/* What can be refused before the body is in. */
static void read_headers(struct exchange *x, const char *method)
{
    x->begun = true;
    snprintf(x->method, sizeof x->method, "%.*s", (int)sizeof x->method - 1, method);
    atomic_fetch_add(&x->server->in_flight, 1);
    set_id(x);
    find_route(x, x->path);
    check_key(x);
    check_type(x);
    check_framing(x);
    x->too_large = declared_length(x) > x->server->o->max_body;
    if (!x->problem.status)
        check_size(x);
    set_state(x, PEER_BODY);
}

/* ---------------------------------------------------------------- libmicrohttpd's calls ------------------------- */

static struct exchange *new_exchange(struct server *s, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct exchange *x = info && info->socket_context ? calloc(1, sizeof *x) : NULL;

    if (!x)
        return NULL;
    x->server = s;
    x->connection = c;
    x->peer = info->socket_context;
    x->start = x->parsed = x->tokenised = seconds_now();
    set_state(x, PEER_HEADERS);
    return x;
}

void *http_begin(void *user, const char *uri, struct MHD_Connection *c)
{
    (void)uri;
    return new_exchange(user, c);
}

static void preflight(struct exchange *x)
{
    struct aki__buf none = { 0 };

    x->allow[0] = '\0';
    send_answer(x, 204, &none, "text/plain", NULL);
}

static void run_route(struct exchange *x)
{
    struct problem p = { 0 };

    if (x->server->o->cors_origin && !strcmp(x->method, "OPTIONS")) {
        preflight(x);
        return;
    }
    /* Where the answer is a refusal that was known early, or that the queue made. */
    if (x->problem.status) {
        http_refuse(x, &x->problem);
        return;
    }
    if (!x->waits)
        set_state(x, PEER_WORKS);
    x->route->run(x);
    if (!x->answered && !x->waits && !x->problem.status) {
        refuse(&p, 500, type_backend, "no answer was made");
        http_refuse(x, &p);
    }
}

enum MHD_Result http_access(void *user, struct MHD_Connection *c, const char *path, const char *method, const char *version, const char *data,
                            size_t *size, void **context)
{
    struct exchange *x = *context;

    (void)version;
    if (!x && !(x = *context = new_exchange(user, c)))
        return MHD_NO;
    if (!x->begun) {
        if (!(x->path = strdup(path_of(path))))
            return MHD_NO;
        read_headers(x, method);
        /* A client that asks before it sends gets its refusal at once; so does one that would send far too much, or without an end. */
        bool asks = header(x, "Expect") && x->problem.status;
        if (asks || x->endless || declared_length(x) > x->server->o->max_body + DROP_LIMIT)
            run_route(x);
        return MHD_YES;
    }
    if (*size) {
        x->received += *size;
        if (!x->problem.status && x->received > x->server->o->max_body) {
            x->too_large = true;
            check_size(x);
        }
        if (x->received > x->server->o->max_body + DROP_LIMIT)
            return MHD_NO;
        if (!x->problem.status && hold(x, *size))
            buf_add(&x->body, data, *size);
        if (x->problem.status)
            let_go(x);
        if (x->body.failed)
            return MHD_NO;
        *size = 0;
        return MHD_YES;
    }
    if (!x->answered)
        run_route(x);
    return MHD_YES;
}

static void observe(const struct exchange *x)
{
    const struct job *j = &x->job;
    bool batch = x->texts > 1;
    double total = seconds_now() - x->start, queue = j->started - j->queued, tokenization = x->tokenised - x->parsed;

    metrics_count(batch ? COUNT_REQUEST_SUCCESS_BATCH : COUNT_REQUEST_SUCCESS_SINGLE, 1);
    metrics_count(COUNT_EMBED_SUCCESS, x->texts);
    metrics_count(COUNT_TOKENS, (uint64_t)j->starts[j->count]);
    metrics_observe(TIME_REQUEST, total);
    metrics_observe(TIME_REQUEST_TOKENIZATION, tokenization);
    metrics_observe(TIME_REQUEST_QUEUE, queue);
    metrics_observe(TIME_REQUEST_INFERENCE, j->inference);
    for (size_t i = 0; i < x->texts; i++) {
        metrics_observe(TIME_EMBED, total);
        metrics_observe(TIME_EMBED_TOKENIZATION, tokenization / (double)x->texts);
        metrics_observe(TIME_EMBED_QUEUE, queue);
        metrics_observe(TIME_EMBED_INFERENCE, j->inference);
    }
}

void http_end(void *user, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode why)
{
    struct exchange *x = *context;

    (void)user;
    (void)c;
    if (!x)
        return;
    *context = NULL;
    if (x->waits && x->status == 200)
        observe(x);
    /* libmicrohttpd may see by itself, when the connection is resumed, that nobody is there. */
    if (x->waits && (x->job.status == JOB_GONE || !x->answered))
        metrics_count(COUNT_GONE, 1);
    if (x->begun && !x->server->o->quiet)
        log_request(x, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    if (x->model)
        served_release(x->served);
    set_state(x, PEER_IDLE);
    if (x->begun)
        atomic_fetch_sub(&x->server->in_flight, 1);
    let_go(x);
    free(x->path);
    free(x->asked);
    if (x->job.lost)                                          /* its run still goes on */
        return;
    free(x->job.ids);
    free(x->job.starts);
    free(x->job.prompts);
    free(x->job.out);
    free(x);
}

static void set_address(struct peer *p, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    log_address(p->address, sizeof p->address, info ? info->client_addr : NULL);
}

void http_connection(void *user, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what)
{
    struct server *s = user;
    struct peer *p = *context;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        p = info ? calloc(1, sizeof *p) : NULL;
        *context = p;
        if (!p)
            return;                                           /* its requests get no exchange, so it is closed */
        p->fd = info->connect_fd;
        p->since = seconds_now();
        set_address(p, c);
        pthread_mutex_lock(&s->lock);
        p->next = s->peers;
        if (p->next)
            p->next->prev = p;
        s->peers = p;
        s->peer_count++;
        pthread_mutex_unlock(&s->lock);
        return;
    }
    *context = NULL;
    if (!p)
        return;
    pthread_mutex_lock(&s->lock);
    *(p->prev ? &p->prev->next : &s->peers) = p->next;
    if (p->next)
        p->next->prev = p->prev;
    s->peer_count--;
    pthread_mutex_unlock(&s->lock);
    free(p);
}
