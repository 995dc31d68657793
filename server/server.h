/* Unit server: the HTTP service of `akiembed serve`. Sees akiembed.h only. */
#ifndef AKI_SERVER_H
#define AKI_SERVER_H

#include <akiembed.h>

#include <stddef.h>
#include <stdint.h>

enum { SERVER_ALSO = 4 };

struct server_model {
    const char *name, *path;               /* what clients call it, and what open gets */
    const char *also[SERVER_ALSO];         /* other names that it answers to where no other model has them; NULL: none */
};

/* All numbers are set: the program's table of options has the defaults. */
struct server_options {
    const char *host, *unix_path;          /* unix_path not NULL: a socket in the file system in place of host and port */
    int         port, unix_mode;           /* port 0: any, told in the log */
    const struct server_model *models;     /* [model_count], at least one; the first is opened at once and is the default */
    size_t      model_count;
    const char *keys_file, *cors_origin, *tls_cert, *tls_key;                /* NULL: none */
    int         any_model;                 /* an unknown model's name means the default */
    int         preload;                   /* all models are opened at once, and it has begun when they are open */
    size_t      max_body, max_answer, max_inputs, max_inputs_openai, max_queue_tokens;
    int         max_connections, http_threads;
    int         deadline, idle_timeout, header_timeout, body_timeout, write_timeout, idle_close, drain;   /* seconds */
    int         quiet;                     /* no line a request */
    int       (*open)(void *user, const char *path, aki_model **out);        /* 0, or an exit code, the message said */
    void       *open_user;
    uint64_t  (*resident)(void);           /* bytes of this process in memory; 0: not known */
    size_t    (*write_f32)(char *out, float value);                          /* into 32 bytes of room; its length */
};

/* Serves until SIGTERM or SIGINT, then answers what it has and ends. Answers the exit code: 0, that of open where the first model (preload:
 * one of them) cannot be opened, or SERVER_IO where it cannot listen; the message is out. */
enum { SERVER_OK = 0, SERVER_INTERNAL = 1, SERVER_IO = 6 };
int server_run(const struct server_options *options);

/* A line of the server's log, from any thread. */
void server_say(const char *event, const char *text);

#endif
