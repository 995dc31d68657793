/* Unit server: listens, sets libmicrohttpd up, minds signals and slow clients, and ends in good order. See server.h. */
#include "server.h"

#include "http.h"
#include "keys.h"
#include "log.h"
#include "metrics.h"
#include "system.h"

#include "util/names.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Memory of a connection for its headers and what it reads and writes at a time; longer headers are refused. */
enum { CONNECTION_MEMORY = 32 << 10, BACKLOG = 1024, PEM_LIMIT = 1 << 20 };

/* Milliseconds from one look at clients and deadlines to the next, and while the service ends. */
enum { TICK = 500, LAST_TICK = 20 };

/* How often a socket in the file system has to refuse until it counts as left behind, and milliseconds between. */
enum { PROBES = 4, PROBE_PAUSE = 50 };

/* ---------------------------------------------------------------- listening ------------------------------------- */

static int fail(const char *what, const char *why)
{
    log_event("error", "%s: %s", what, why);
    return SERVER_IO;
}

static int open_listener(const struct addrinfo *a, bool alone)
{
    int one = 1, fd = system_socket(a->ai_family, a->ai_socktype, a->ai_protocol);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (a->ai_family == AF_INET6 && !alone)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, BACKLOG)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void set_port(struct sockaddr *address, in_port_t port)
{
    if (address->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = port;
    else
        ((struct sockaddr_in *)address)->sin_port = port;
}

static bool was_listed(const struct addrinfo *list, const struct addrinfo *a)
{
    for (; list != a; list = list->ai_next)
        if (list->ai_addrlen == a->ai_addrlen && !memcmp(list->ai_addr, a->ai_addr, a->ai_addrlen))
            return true;
    return false;
}

/* Tells the address; answers its port in network order. */
static in_port_t say_address(const struct server *s, int fd)
{
    struct sockaddr_storage address = { 0 };
    socklen_t size = sizeof address;
    char name[80];

    if (getsockname(fd, (struct sockaddr *)&address, &size))
        return 0;
    log_address(name, sizeof name, (struct sockaddr *)&address);
    log_event("listening", "%s://%s", s->o->tls_cert ? "https" : "http", name);
    return address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port : ((struct sockaddr_in *)&address)->sin_port;
}

/* All addresses of the name: "localhost" is ::1 and 127.0.0.1, and clients may try either. Those that this machine does not have are left
 * out; one that somebody else listens on is not. */
static int listen_tcp(struct server *s)
{
    const struct server_options *o = s->o;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list = NULL;
    char port[16], name[80];
    in_port_t taken = 0;
    int error = 0;

    snprintf(port, sizeof port, "%d", o->port);
    int rc = getaddrinfo(o->host, port, &hints, &list);
    if (rc)
        return fail(o->host, gai_strerror(rc));
    for (const struct addrinfo *a = list; a && s->more_count < MORE_LISTENERS; a = a->ai_next) {
        if (was_listed(list, a))
            continue;
        if (taken)
            set_port(a->ai_addr, taken);                     /* port 0: the same for all */
        int fd = open_listener(a, !list->ai_next);
        if (fd < 0) {
            error = errno == EADDRINUSE || !error ? errno : error;
            continue;
        }
        if (s->listener < 0)
            s->listener = fd;
        else
            s->more[s->more_count++] = fd;
        taken = say_address(s, fd);
    }
    freeaddrinfo(list);
    if (s->listener >= 0 && error != EADDRINUSE)
        return SERVER_OK;
    snprintf(name, sizeof name, "%.60s port %d", o->host, o->port);
    return fail(name, strerror(error));
}

/* Hands the connections of the addresses beyond the first to libmicrohttpd, which listens on one. */
static void *accept_more(void *argument)
{
    struct server *s = argument;
    const struct timespec tick = { .tv_nsec = LAST_TICK * 1000000 };
    struct pollfd fds[MORE_LISTENERS];
    struct sockaddr_storage address;

    for (size_t i = 0; i < s->more_count; i++)
        fds[i] = (struct pollfd){ .fd = s->more[i], .events = POLLIN };
    while (!atomic_load(&s->draining)) {
        int ready = poll(fds, (nfds_t)s->more_count, 5 * LAST_TICK);
        for (size_t i = 0; i < s->more_count && ready > 0; i++) {
            socklen_t size = sizeof address;
            int fd = fds[i].revents ? system_accept(s->more[i], (struct sockaddr *)&address, &size) : -1;
            if (fd >= 0)
                MHD_add_connection(s->daemon, fd, (struct sockaddr *)&address, size);      /* which closes it where it has no place for it */
            else if (fds[i].revents && errno != EAGAIN)
                nanosleep(&tick, NULL);                      /* no descriptor is free */
        }
    }
    return NULL;
}

static int start_accepting(struct server *s)
{
    if (s->more_count && pthread_create(&s->acceptor, NULL, accept_more, s))
        return fail("thread", "cannot be started");
    s->accepts = s->more_count > 0;
    return SERVER_OK;
}

/* 0: nobody listens there. -1: errno is EADDRINUSE where somebody does, else why that cannot be known. A server too busy to take another
 * connection is somebody: Linux says EAGAIN then, but macOS refuses as where nobody listens, so a refusal counts only when it is repeated. */
static int probe_unix(const struct sockaddr_un *address)
{
    const struct timespec pause = { .tv_nsec = PROBE_PAUSE * 1000000L };

    for (int i = 0; i < PROBES; i++) {
        int fd = system_socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0)
            return -1;
        int rc = connect(fd, (const struct sockaddr *)address, sizeof *address), error = errno;
        close(fd);
        errno = rc == 0 || error == EAGAIN || error == EINPROGRESS ? EADDRINUSE : error;
        if (errno != ECONNREFUSED)
            return errno == ENOENT ? 0 : -1;
        if (i + 1 < PROBES)
            nanosleep(&pause, NULL);
    }
    return 0;
}

/* A socket that a server left behind is replaced; one that answers is not, nor one whose server is too busy to take another connection. */
static int listen_unix(struct server *s)
{
    const char *path = s->o->unix_path;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat st;

    if (strlen(path) >= sizeof address.sun_path)
        return fail(path, "too long for a socket's path");
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (probe_unix(&address))
        return fail(path, errno == EADDRINUSE ? "another server listens there" : strerror(errno));
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
    s->listener = system_socket(AF_UNIX, SOCK_STREAM, 0);
    if (s->listener < 0)
        return fail(path, strerror(errno));
    /* Made with nobody's rights, then given those it shall have: there is no moment at which others could connect. */
    mode_t old = umask(0777);
    int rc = bind(s->listener, (struct sockaddr *)&address, sizeof address);
    umask(old);
    s->bound = !rc;
    if (rc || chmod(path, (mode_t)s->o->unix_mode) || listen(s->listener, BACKLOG))
        return fail(path, strerror(errno));
    log_event("listening", "unix:%s", path);
    return SERVER_OK;
}

/* ---------------------------------------------------------------- libmicrohttpd --------------------------------- */

static void free_pem(char *text)
{
    if (text)
        system_wipe(text, PEM_LIMIT);
    free(text);
}

static char *read_pem(const char *path)
{
    char *text = calloc(1, PEM_LIMIT);
    FILE *f = text ? fopen(path, "r") : NULL;

    if (f)
        setvbuf(f, NULL, _IONBF, 0);                          /* no copy of a key in a buffer of stdio's */
    if (f && fread(text, 1, PEM_LIMIT - 1, f) > 0 && feof(f)) {
        fclose(f);
        return text;
    }
    fail(path, f ? "not a PEM file that can be read" : strerror(errno));
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
        cert = read_pem(o->tls_cert);
        key = cert ? read_pem(o->tls_key) : NULL;
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
        rc = fail("libmicrohttpd", o->tls_cert ? "does not start (are --tls-cert and --tls-key right?)" : "does not start");
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
            metrics_count(COUNT_CUT, 1);
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
        log_event("error", "%s: %s; the old keys stay", s->o->keys_file, problem);
}

/* The model's thread calls this, and only it changes the state. Without its first model the server does not begin. */
static void model_changed(void *user, struct served *m)
{
    struct server *s = user;
    double resident = (double)s->o->resident() / (1 << 20);

    if (m->state == SERVED_OPEN && m->info.pooling_assumed)
        log_event("warning", "%s: no file says how to pool (there is no modules.json): what sentence-transformers would do is done", m->name);
    if (m->state == SERVED_OPEN && m->info.precision_advice)
        log_event("warning", "%s: %s: %s", m->name, m->info.precision_note, m->info.precision_advice);
    if (m->state == SERVED_OPEN)
        log_event("model", "%s: open, %s, %s%s%s, %d dimensions, at most %d tokens; %.0f MiB resident", m->name, m->info.architecture,
                  aki__precision_name(m->info.precision), m->info.precision_note ? ", but " : "", m->info.precision_note ? m->info.precision_note : "", m->info.dim, m->info.max_tokens, resident);
    else if (m->state == SERVED_CLOSED)
        log_event("closed", "%s: nobody used it for %d s; %.0f MiB resident", m->name, s->o->idle_close, resident);
    else
        log_event("error", "%s: cannot be opened", m->name);
    if (m != s->models)
        return;
    if (m->state == SERVED_FAILED && !atomic_load(&s->begun)) {
        atomic_store(&s->exit_code, m->failure);
        pthread_kill(s->main_thread, SIGUSR1);
    }
    atomic_store(&s->begun, true);
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
        return fail("memory", "none");
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
            return fail("thread", "cannot be started");
    }
    served_want(&s->models[0]);
    return SERVER_OK;
}

void server_say(const char *event, const char *text)
{
    log_event(event, "%s", text);
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
        return fail("memory", "none for a lock");
    }
    if (o->keys_file && !keys_read(o->keys_file, problem, sizeof problem))
        rc = fail(o->keys_file, problem);
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
