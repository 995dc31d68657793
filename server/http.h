/* Unit http: one request from its first line to its answer, on libmicrohttpd's threads. What the routes need of it. */
#ifndef AKI_SERVER_HTTP_H
#define AKI_SERVER_HTTP_H

#include "batch.h"
#include "request.h"
#include "server.h"

#include <microhttpd.h>
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
    _Atomic bool    draining, begun;       /* begun: the first model was open once */
    bool            bound;                 /* the socket in the file system is ours */
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
    bool                   closes, endless;                             /* the connection, with the answer; where its body ends is in doubt */
    struct problem         problem;        /* known before the body is in */
    char                   allow[32];
    struct aki__buf             body;
    struct request         request;
    char                  *asked;          /* the model's name as the client wrote it, or NULL; malloc'd */
    bool                   base64;
    struct served         *served;
    aki_model             *model;          /* in use; given back at the end */
    aki_model_info         info;
    struct job             job;
    size_t                 texts, truncated, characters, received, held;
    double                 start, parsed, tokenised;
    int                    status;
    size_t                 sent;
    const char            *error_type;
};

enum { FLOAT_TEXT = 12, FLOAT_BASE64 = 6, TOKEN_TEXT = 72 };            /* about the bytes of one in an answer */

/* May an answer have so many bytes? Asked before it is made; false: *p says why not. */
bool http_fits(const struct exchange *x, size_t bytes, struct problem *p);
/* The same when the answer is made, in place of what the request held so far: with others' it may be too much. false: answered already, *body
 * is gone. */
bool http_hold_answer(struct exchange *x, struct aki__buf *body);

/* Sends and forgets *body. type: the content type. */
void http_answer(struct exchange *x, int status, struct aki__buf *body, const char *type);
/* Sends the problem in the family's shape. */
void http_refuse(struct exchange *x, const struct problem *p);
/* Hands the exchange's job to the batcher; the route runs again when it is through (x->job.status). The body is gone by then. */
void http_submit(struct exchange *x);

/* Who answers: the model of that name (NULL: the first) becomes x->served, and is taken into use. false: answered already. */
bool http_find_model(struct exchange *x, const char *name);
bool http_use_model(struct exchange *x, const char *name);

#endif
