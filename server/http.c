/* Unit http: exchanges on libmicrohttpd's connections and threads. See http.h.
 *
 * libmicrohttpd calls back from its threads: http_begin at the request line, http_access with the headers, then with pieces of the
 * body, then once more when it is whole, and http_end when the answer is out. While a job is in the queue its connection is suspended;
 * the job's end resumes it, and http_access is called again. */
#include "http.h"

#include "log.h"
#include "metrics.h"
#include "system.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
    const struct batch_job *j = &x->job;
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

void http_send(struct exchange *x, int status, struct aki__buf *body, const char *type, const struct problem *p)
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
    exchange_state(x, PEER_ANSWERS);
    MHD_queue_response(x->connection, (unsigned)status, r);
    MHD_destroy_response(r);
}

void http_suspend(struct exchange *x)
{
    MHD_suspend_connection(x->connection);
}

void http_resume(struct exchange *x)
{
    MHD_resume_connection(x->connection);
}

/* ---------------------------------------------------------------- the headers ----------------------------------- */

const char *http_header(const struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

const char *http_query(const struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
}

static uint64_t declared_length(struct exchange *x)
{
    const char *length = http_header(x, "Content-Length");

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
    exchange_state(x, PEER_HEADERS);
    return x;
}

void *http_begin(void *user, const char *uri, struct MHD_Connection *c)
{
    (void)uri;
    return new_exchange(user, c);
}

enum MHD_Result http_access(void *user, struct MHD_Connection *c, const char *path, const char *method, const char *version, const char *data,
                            size_t *size, void **context)
{
    struct exchange *x = *context;

    (void)version;
    if (!x && !(x = *context = new_exchange(user, c)))
        return MHD_NO;
    if (!x->begun) {
        if (!exchange_head(x, method, path))
            return MHD_NO;
        check_framing(x);
        bool bearable = exchange_length(x, declared_length(x));
        /* A client that asks before it sends gets its refusal at once; so does one that would send far too much, or without an end. */
        if ((http_header(x, "Expect") && x->problem.status) || x->endless || !bearable)
            exchange_run(x);
        return MHD_YES;
    }
    if (*size) {
        if (!exchange_body(x, data, *size))
            return MHD_NO;
        *size = 0;
    } else if (!x->answered) {
        exchange_run(x);
    }
    return MHD_YES;
}

void http_end(void *user, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode why)
{
    struct exchange *x = *context;

    (void)user;
    (void)c;
    *context = NULL;
    if (x)
        exchange_end(x, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
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
