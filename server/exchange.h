/* Unit exchange: one request from its first line to its answer, apart from its carrier: libmicrohttpd's connections (http.c), or a fuzz target.
 * The routes see nothing else. */
#ifndef AKI_SERVER_EXCHANGE_H
#define AKI_SERVER_EXCHANGE_H

#include "batch.h"
#include "request.h"
#include "server.h"

#include <stdatomic.h>

enum peer_state { PEER_IDLE, PEER_HEADERS, PEER_BODY, PEER_WORKS, PEER_ANSWERS };

/* A connection. */
struct peer {
    struct peer *prev, *next;
    int          fd;
    int          state;                    /* enum peer_state */
    double       since;                    /* of that state */
    bool         ended;                    /* since then, the last look found that it sends nothing more */
    char         address[64];
};

struct MHD_Connection;
struct MHD_Daemon;
struct exchange;
/* Answers the request, or leaves a job waiting (exchange->waits). */
typedef void route_fn(struct exchange *x);

enum { NEEDS_NO_KEY = 1, ANY_TYPE = 2, PREFIX = 4 };

struct route {
    const char  *path;
    const char  *method;                   /* "GET" or "POST" */
    enum family  family;
    enum body_kind body;
    int          flags;
    route_fn    *run;
};
extern const struct route route_table[];
extern const size_t route_count;

extern const char json_type[];

enum { MORE_LISTENERS = 7 };

struct server {
    const struct server_options *o;
    struct served  *models;                /* [o->model_count] */
    struct MHD_Daemon *daemon;
    int             listener, more[MORE_LISTENERS];          /* more: the host name's other addresses */
    size_t          more_count;
    pthread_t       acceptor;              /* of more's connections */
    bool            accepts;
    uint64_t        start_time;            /* seconds since 1970 */
    pthread_t       main_thread;
    _Atomic int     exit_code;             /* -1: go on */
    _Atomic bool    draining, begun;       /* begun: the models that it starts with were open once */
    bool            bound;                 /* the socket in the file system is ours */
    _Atomic size_t  needed_open;           /* of these models, so far */
    _Atomic size_t  in_flight;             /* requests whose headers are in and whose answers are not out */
    _Atomic size_t  held;                  /* bytes that requests hold: bodies, jobs, answers */

    pthread_mutex_t lock;                  /* guards peers; held while a descriptor in the list is used, so that it is not another's */
    struct peer    *peers;
    size_t          peer_count;
};

struct exchange {
    struct server         *server;
    struct MHD_Connection *connection;
    struct peer           *peer;
    const struct route    *route;          /* NULL: none of that path and method */
    enum family            family;
    char                   method[16];
    char                   id[65];
    char                  *path;           /* malloc'd; of any length */
    bool                   begun, waits, answered, too_large;
    bool                   read, parked, awaited;                       /* the body was; it waits for its model to be opened, or did */
    bool                   closes, endless;                             /* the connection, with the answer; where its body ends is in doubt */
    struct problem         problem;        /* known before the body is in; in the end, what was answered */
    char                   allow[32];
    struct aki__buf             body;
    struct request         request;
    char                  *asked;          /* the model's name as the client wrote it, or NULL; malloc'd */
    bool                   base64, single; /* as of the request, which is gone when the job is through, unless its texts are answered */
    size_t                 top;
    struct served         *served;
    struct served_waiter   waiter;         /* for it to be opened */
    aki_model             *model;          /* in use; given back at the end */
    aki_model_info         info;
    struct batch_job             job;
    size_t                 texts, truncated, characters, received, held;
    double                 start, parsed, tokenised;
    int                    status;
    size_t                 sent;
};

enum { FLOAT_TEXT = 12, FLOAT_BASE64 = 6, TOKEN_TEXT = 72 };            /* about the bytes of one in an answer */

/* May an answer have so many bytes? Asked before it is made; false: *p says why not. */
bool exchange_fits(const struct exchange *x, size_t bytes, struct problem *p);
/* The same when the answer is made, in place of what the request held so far: with others' it may be too much. false: answered already, *body
 * is gone. */
bool exchange_hold_answer(struct exchange *x, struct aki__buf *body);

/* Sends and forgets *body. type: the content type. */
void exchange_answer(struct exchange *x, int status, struct aki__buf *body, const char *type);
/* Sends the problem in the family's shape. */
void exchange_refuse(struct exchange *x, const struct problem *p);
/* Hands the exchange's job to the batcher; the route runs again when it is through (x->job.status). The body is gone by then. */
void exchange_submit(struct exchange *x);

/* Who answers: the model of that name (NULL: the first) becomes x->served, and is taken into use. false: answered already, or, of use_model,
 * the route runs again when the model may be open. */
bool exchange_find_model(struct exchange *x, const char *name);
bool exchange_use_model(struct exchange *x, const char *name);

/* Reads x->body into x->request, once. false: *p says why not. */
bool exchange_read_body(struct exchange *x, struct problem *p);

/* ---------------------------------------------------------------- for the carrier ------------------------------- */

/* The steps of an exchange, which begins zeroed but for its server, connection, peer and times. First the request line and the headers: what can
 * be refused before the body is in becomes x->problem, which exchange_run sends. false: no memory. */
bool exchange_head(struct exchange *x, const char *method, const char *target);
/* Then the length that the headers declare, 0: none. false: no such body is read to its end, even to be dropped. */
bool exchange_length(struct exchange *x, uint64_t length);
/* Then pieces of the body. false: the connection is to be cut. */
bool exchange_body(struct exchange *x, const char *data, size_t size);
/* Then the answer is made, or a job is left in the queue (x->waits); in that case it is called again after http_resume. */
void exchange_run(struct exchange *x);
/* At the end, answered or not; sent: the answer went out whole. Frees x. */
void exchange_end(struct exchange *x, bool sent);
void exchange_state(struct exchange *x, int state);

/* What the carrier provides. http_header, http_query: the value, or NULL. http_send: takes *body over, and sets x->answered and x->status; p: the problem that
 * is told, or NULL. http_suspend: exchange_run is not called until http_resume, which comes from any thread. */
const char *http_header(const struct exchange *x, const char *name);
const char *http_query(const struct exchange *x, const char *name);
void        http_send(struct exchange *x, int status, struct aki__buf *body, const char *type, const struct problem *p);
void        http_suspend(struct exchange *x);
void        http_resume(struct exchange *x);

#endif
