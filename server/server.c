/* Unit server: sets libmicrohttpd up, minds signals and slow clients, and ends in good order. See server.h. */
#include "server.h"

#include "http.h"
#include "keys.h"
#include "listen.h"
#include "log.h"
#include "metrics.h"
#include "system.h"

#include "util/names.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Memory of a connection for its headers and what it reads and writes at a time; longer headers are refused. */
enum { CONNECTION_MEMORY = 32 << 10, PEM_LIMIT = 1 << 20 };

/* Milliseconds from one look at clients and deadlines to the next, and while the service ends. */
enum { TICK = 500, LAST_TICK = 20 };

/* ---------------------------------------------------------------- libmicrohttpd --------------------------------- */

static void free_pem(char *text)
{
    if (text)
        system_wipe(text, PEM_LIMIT);
    free(text);
}

static char *read_pem(const char *option, const char *path)
{
    char *text = calloc(1, PEM_LIMIT);
    FILE *f = text ? fopen(path, "r") : NULL;

    if (f)
        setvbuf(f, NULL, _IONBF, 0);                          /* no copy of a key in a buffer of stdio's */
    if (f && fread(text, 1, PEM_LIMIT - 1, f) > 0 && feof(f)) {
        fclose(f);
        return text;
    }
    server_fail(option, path, f ? "not a PEM file that can be read" : strerror(errno));
    if (f)
        fclose(f);
    free_pem(text);
    return NULL;
}

/* Descriptors for the connections, and some for files and the listener. */
static unsigned connection_limit(const struct server_options *o)
{
    struct rlimit limit = { .rlim_cur = 1024 };
    unsigned most = (unsigned)o->max_connections;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < most + 64ull) {
        limit.rlim_cur = limit.rlim_max < most + 64ull ? limit.rlim_max : most + 64ull;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);                     /* which may be less than was asked for */
    }
    if (limit.rlim_cur >= most + 64ull)
        return most;
    unsigned fewer = limit.rlim_cur > 72 ? (unsigned)limit.rlim_cur - 64 : 8;
    log_event("warning", "the limit of open files (%llu) allows %u connections", (unsigned long long)limit.rlim_cur, fewer);
    return fewer;
}

static int start_daemon(struct server *s)
{
    const struct server_options *o = s->o;
    char *cert = NULL, *key = NULL;
    int rc = SERVER_OK;
    unsigned connections = connection_limit(o), threads = (unsigned)o->http_threads;
    static char priorities[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1";          /* older than TLS 1.2 is not safe any more */
    struct MHD_OptionItem tls[] = { { MHD_OPTION_END, 0, NULL }, { MHD_OPTION_END, 0, NULL }, { MHD_OPTION_END, 0, NULL }, { MHD_OPTION_END, 0, NULL } };

    const unsigned loop = MHD_is_feature_supported(MHD_FEATURE_EPOLL) == MHD_YES ? MHD_USE_EPOLL_INTERNAL_THREAD : MHD_USE_POLL_INTERNAL_THREAD;

    if (threads > connections / 2)
        threads = connections / 2 ? connections / 2 : 1;
    if (o->tls_cert) {
        cert = read_pem("--tls-cert", o->tls_cert);
        key = cert ? read_pem("--tls-key", o->tls_key) : NULL;
        if (!key) {
            rc = SERVER_IO;
            goto done;
        }
        tls[0] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, cert };
        tls[1] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, key };
        tls[2] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0, priorities };
    }
    s->daemon = MHD_start_daemon(loop | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | (o->tls_cert ? MHD_USE_TLS : 0), 0,
                                 NULL, NULL, http_access, s,
                                 MHD_OPTION_LISTEN_SOCKET, s->listener,
                                 MHD_OPTION_THREAD_POOL_SIZE, threads > 1 ? threads : 0,
                                 MHD_OPTION_THREAD_STACK_SIZE, (size_t)SYSTEM_STACK,
                                 MHD_OPTION_CONNECTION_LIMIT, connections,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)o->idle_timeout,
                                 MHD_OPTION_URI_LOG_CALLBACK, http_begin, s,
                                 MHD_OPTION_NOTIFY_COMPLETED, http_end, s,
                                 MHD_OPTION_NOTIFY_CONNECTION, http_connection, s,
                                 MHD_OPTION_ARRAY, tls,
                                 MHD_OPTION_END);
    if (!s->daemon)
        rc = server_fail("", "libmicrohttpd", o->tls_cert ? "does not start (are --tls-cert and --tls-key right?)" : "does not start");
done:
    free_pem(cert);
    free_pem(key);
    return rc;
}

/* ---------------------------------------------------------------- while it runs --------------------------------- */

/* Cuts connections that take too long over what is their turn. libmicrohttpd itself cuts those on which nothing happens at all. */
static void cut_slow(struct server *s)
{
    const struct server_options *o = s->o;
    const double limits[] = { [PEER_IDLE] = o->idle_timeout + o->header_timeout, [PEER_HEADERS] = o->header_timeout,
                              [PEER_BODY] = o->body_timeout, [PEER_WORKS] = 0, [PEER_ANSWERS] = o->write_timeout };
    double now = seconds_now();

    pthread_mutex_lock(&s->lock);
    for (struct peer *p = s->peers; p; p = p->next) {
        if (limits[p->state] > 0 && now - p->since > limits[p->state]) {
            shutdown(p->fd, SHUT_RDWR);
            metrics_count(COUNT_CUT);
            p->since = now;
        }
    }
    pthread_mutex_unlock(&s->lock);
}

/* Closes connections whose client ended its sending while more of a request, or another one, was awaited: libmicrohttpd, told of a socket's
 * changes only, does not see an end that came right behind data. Two looks, as what it read last may be a whole request that it has just
 * begun to answer. */
static void close_ended(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct peer *p = s->peers; p; p = p->next) {
        bool awaits = p->state == PEER_IDLE || p->state == PEER_HEADERS || p->state == PEER_BODY, before = p->ended;
        p->ended = awaits && system_at_end(p->fd);
        if (p->ended && before)
            shutdown(p->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&s->lock);
}

/* What is done now and then. */
static void look_round(struct server *s)
{
    cut_slow(s);
    close_ended(s);
    for (size_t i = 0; i < s->o->model_count; i++)
        served_expire(&s->models[i]);
}

static void reread_keys(struct server *s)
{
    char problem[160];

    if (!s->o->keys_file)
        return;
    if (keys_read(s->o->keys_file, problem, sizeof problem))
        log_event("keys", "read again");
    else
        log_event("error", "--api-keys %s: %s; the old keys stay", s->o->keys_file, problem);
}

/* Models that it begins with. */
static size_t needed(const struct server *s)
{
    return s->o->preload ? s->o->model_count : 1;
}

/* Notes what a model that is needed to begin has come to: without it the server does not begin. */
static void note_begin(struct server *s, const struct served *m)
{
    if (m >= s->models + needed(s) || atomic_load(&s->begun))
        return;
    if (m->state == SERVED_FAILED) {
        atomic_store(&s->exit_code, m->failure);
        pthread_kill(s->main_thread, SIGUSR1);
    } else if (m->state == SERVED_OPEN && m->opens == 1 && atomic_fetch_add(&s->needed_open, 1) + 1 == needed(s)) {
        atomic_store(&s->begun, true);
    }
}

/* The members of a line about a model, and what it is where it is open. */
static struct aki__buf about_model(const struct served *m, uint64_t resident)
{
    struct aki__buf b = { 0 };

    buf_text(&b, ",\"model\":");
    json_text(&b, m->name);
    if (m->state == SERVED_OPEN) {
        buf_format(&b, ",\"kind\":\"%s\",\"architecture\":", served_kind(m));
        json_text(&b, m->info.architecture);
        buf_format(&b, ",\"precision\":\"%s\",\"device\":", aki__precision_name(m->info.precision));
        json_text(&b, m->info.device);
        buf_format(&b, ",\"dimension\":%d,\"max_tokens\":%d", m->info.dim, m->info.max_tokens);
    }
    buf_format(&b, ",\"resident_bytes\":%llu", (unsigned long long)resident);
    return b;
}

/* The model's thread calls this, and only it changes the state. */
static void model_changed(void *user, struct served *m)
{
    struct server *s = user;
    uint64_t bytes = s->o->resident();
    double resident = (double)bytes / (1 << 20);
    struct aki__buf members = about_model(m, bytes);

    if (m->state == SERVED_OPEN && m->info.pooling_assumed)
        log_event("warning", "%s: no file says how to pool (there is no modules.json): what sentence-transformers would do is done", m->name);
    if (m->state == SERVED_OPEN && m->info.precision_advice)
        log_event("warning", "%s: %s: %s", m->name, m->info.precision_note, m->info.precision_advice);
    if (m->state == SERVED_OPEN)
        log_members("model", &members, "%s: open, %s, %s%s%s, %d dimensions, at most %d tokens; %.0f MiB resident", m->name, m->info.architecture,
                    aki__precision_name(m->info.precision), m->info.precision_note ? ", but " : "", m->info.precision_note ? m->info.precision_note : "",
                    m->info.dim, m->info.max_tokens, resident);
    else if (m->state == SERVED_CLOSED)
        log_members("closed", &members, "%s: nobody used it for %d s; %.0f MiB resident", m->name, s->o->idle_close, resident);
    else
        log_members("error", &members, "%s: cannot be opened", m->name);
    note_begin(s, m);
}

static void fill_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1);
}

/* Until it shall end. */
static void mind(struct server *s)
{
    sigset_t set;

    fill_signals(&set);
    while (atomic_load(&s->exit_code) < 0) {
        int number = system_signal(&set, TICK);
        if (number == SIGHUP)
            reread_keys(s);
        else if (number == SIGTERM || number == SIGINT)
            return;
        look_round(s);
    }
}

/* New connections are refused, those that are there get their answers. A second signal, or the time for it, ends the waiting. */
static void drain(struct server *s)
{
    double end = seconds_now() + s->o->drain, calm = 0;
    sigset_t set;

    atomic_store(&s->draining, true);
    log_event("stopping", "%zu requests to answer", atomic_load(&s->in_flight));
    if (s->accepts)
        pthread_join(s->acceptor, NULL);
    MHD_quiesce_daemon(s->daemon);
    /* Closed when libmicrohttpd's threads have ended: they may still look at it. */
    system_refuse(s->listener);
    for (size_t i = 0; i < s->more_count; i++)
        system_refuse(s->more[i]);
    fill_signals(&set);
    /* A moment of calm, so that a request which is on its way on an open connection is answered too. */
    while (seconds_now() < end && calm < 0.1) {
        int number = system_signal(&set, LAST_TICK);
        if (number == SIGTERM || number == SIGINT)
            break;
        calm = atomic_load(&s->in_flight) ? 0 : calm + LAST_TICK * 1e-3;
        look_round(s);
    }
    cut_slow(s);
}

/* Every model's thread ends within a second, or is left to itself: it may be within one long text, or opening a model. */
static bool end_models(struct server *s)
{
    const struct timespec tick = { .tv_nsec = 10 * 1000000 };
    const size_t count = s->models ? s->o->model_count : 0;
    double until = seconds_now() + 1;
    bool all = true;

    for (size_t i = 0; i < count; i++)
        served_stop(&s->models[i]);
    for (size_t i = 0; i < count; i++) {
        while (!served_has_ended(&s->models[i]) && seconds_now() < until)
            nanosleep(&tick, NULL);
        if (served_has_ended(&s->models[i]))
            continue;
        log_event("stopping", "%s: what it does is given up", s->models[i].name);
        served_lose(&s->models[i]);
        all = false;
    }
    return all;
}

/* What is told to those that got no vectors reaches them, if they take it. */
static void wait_sent(struct server *s)
{
    const struct timespec tick = { .tv_nsec = 10 * 1000000 };

    for (int i = 0; i < 100 && atomic_load(&s->in_flight); i++)
        nanosleep(&tick, NULL);
}

/* ---------------------------------------------------------------- beginning and end ----------------------------- */

static int start_models(struct server *s)
{
    const struct server_options *o = s->o;

    s->models = calloc(o->model_count, sizeof *s->models);
    if (!s->models)
        return server_fail("", "memory", "none");
    for (size_t i = 0; i < o->model_count; i++) {
        struct served *m = &s->models[i];
        m->name = o->models[i].name;
        m->path = o->models[i].path;
        m->open = o->open;
        m->open_user = o->open_user;
        m->changed = model_changed;
        m->changed_user = s;
        m->idle_close = o->idle_close;
        m->most_tokens = o->max_queue_tokens;
        m->most_jobs = (size_t)o->max_connections / 2;        /* the others can be told that they come too much */
        m->patience = o->deadline;
        if (!served_start(m))
            return server_fail("", "thread", "cannot be started");
    }
    for (size_t i = 0; i < needed(s); i++)
        served_want(&s->models[i]);
    return SERVER_OK;
}

void server_say(const char *event, const char *text)
{
    log_event(event, "%s", text);
}

static void say_start(void)
{
    struct aki__buf members = { 0 };

    buf_format(&members, ",\"version\":\"%s\",\"pid\":%ld", aki_version(), (long)getpid());
    log_members("start", &members, "akiembed %s", aki_version());
}

int server_run(const struct server_options *o)
{
    struct server s = { .o = o, .listener = -1, .start_time = (uint64_t)time(NULL), .main_thread = pthread_self(), .exit_code = -1 };
    sigset_t set, old;
    char problem[160];
    int rc = SERVER_OK;

    /* Blocked in every thread that starts from here on; mind() waits for them. */
    fill_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    if (pthread_mutex_init(&s.lock, NULL)) {
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        return server_fail("", "memory", "none for a lock");
    }
    say_start();
    if (o->keys_file && !keys_read(o->keys_file, problem, sizeof problem))
        rc = server_fail("--api-keys", o->keys_file, problem);
    if (!rc) rc = o->unix_path ? listen_unix(&s) : listen_tcp(&s);
    if (!rc) rc = start_models(&s);
    if (!rc) rc = start_daemon(&s);
    if (!rc) rc = start_accepting(&s);
    if (!rc) {
        mind(&s);
        drain(&s);
        rc = atomic_load(&s.exit_code) < 0 ? SERVER_OK : atomic_load(&s.exit_code);
    }
    bool ended = end_models(&s);
    if (s.daemon) {
        wait_sent(&s);
        MHD_stop_daemon(s.daemon);
    }
    if (!ended) {
        /* A thread still computes in this process' memory: nothing may be freed, nor ONNX Runtime's end be run. */
        if (s.bound)
            unlink(o->unix_path);
        _exit(rc);
    }
    for (size_t i = 0; s.models && i < o->model_count; i++)
        served_close(&s.models[i]);
    if (s.listener >= 0)
        close(s.listener);
    for (size_t i = 0; i < s.more_count; i++)
        close(s.more[i]);
    if (s.bound)
        unlink(o->unix_path);
    free(s.models);
    keys_forget();
    pthread_mutex_destroy(&s.lock);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}
