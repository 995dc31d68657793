/* Unit server, listening: the addresses of a host's name, or a socket in the file system. See listen.h. */
#include "listen.h"

#include "log.h"
#include "system.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

/* Milliseconds until a failed accept is tried again. */
enum { TICK = 20 };

/* How often a socket in the file system has to refuse until it counts as left behind, and milliseconds between. */
enum { PROBES = 4, PROBE_PAUSE = 50 };

int server_fail(const char *option, const char *what, const char *why)
{
    log_event("error", "%s%s%s: %s", option, *option ? " " : "", what, why);
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

static void say_listening(const char *url)
{
    struct aki__buf members = { 0 };

    buf_text(&members, ",\"url\":");
    json_text(&members, url);
    log_members("listening", &members, "%s", url);
}

static bool only_here(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr)
                                          : ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
}

/* Tells the address; answers its port in network order. */
static in_port_t say_address(const struct server *s, int fd)
{
    struct sockaddr_storage address = { 0 };
    socklen_t size = sizeof address;
    char name[80], url[96];

    if (getsockname(fd, (struct sockaddr *)&address, &size))
        return 0;
    log_address(name, sizeof name, (struct sockaddr *)&address);
    snprintf(url, sizeof url, "%s://%s", s->o->tls_cert ? "https" : "http", name);
    say_listening(url);
    if (!s->o->keys_file && !only_here((struct sockaddr *)&address))
        log_event("warning", "%s: whoever reaches this address may use the service, as there is no --api-keys", url);
    return address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port : ((struct sockaddr_in *)&address)->sin_port;
}

/* All addresses of the name: "localhost" is ::1 and 127.0.0.1, and clients may try either. Those that this machine does not have are left
 * out; one that somebody else listens on is not. */
int listen_tcp(struct server *s)
{
    const struct server_options *o = s->o;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list = NULL;
    char port[16], name[80];
    in_port_t taken = 0;
    int error = 0;

    snprintf(port, sizeof port, "%d", o->port);
    int rc = getaddrinfo(o->host, port, &hints, &list);
    if (rc)
        return server_fail("--host", o->host, gai_strerror(rc));
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
    snprintf(name, sizeof name, "%.60s --port %d", o->host, o->port);
    return server_fail("--host", name, strerror(error));
}

/* Hands the connections of the addresses beyond the first to libmicrohttpd, which listens on one. */
static void *accept_more(void *argument)
{
    struct server *s = argument;
    const struct timespec tick = { .tv_nsec = TICK * 1000000 };
    struct pollfd fds[MORE_LISTENERS];
    struct sockaddr_storage address;

    for (size_t i = 0; i < s->more_count; i++)
        fds[i] = (struct pollfd){ .fd = s->more[i], .events = POLLIN };
    while (!atomic_load(&s->draining)) {
        int ready = poll(fds, (nfds_t)s->more_count, 5 * TICK);
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

int start_accepting(struct server *s)
{
    if (s->more_count && pthread_create(&s->acceptor, NULL, accept_more, s))
        return server_fail("", "thread", "cannot be started");
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
int listen_unix(struct server *s)
{
    const char *path = s->o->unix_path;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char url[sizeof address.sun_path + 8];
    struct stat st;

    if (strlen(path) >= sizeof address.sun_path)
        return server_fail("--unix", path, "too long for a socket's path");
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (probe_unix(&address))
        return server_fail("--unix", path, errno == EADDRINUSE ? "another server listens there" : strerror(errno));
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
    s->listener = system_socket(AF_UNIX, SOCK_STREAM, 0);
    if (s->listener < 0)
        return server_fail("--unix", path, strerror(errno));
    /* Made with nobody's rights, then given those it shall have: there is no moment at which others could connect. */
    mode_t old = umask(0777);
    int rc = bind(s->listener, (struct sockaddr *)&address, sizeof address);
    umask(old);
    s->bound = !rc;
    if (rc || chmod(path, (mode_t)s->o->unix_mode) || listen(s->listener, BACKLOG))
        return server_fail("--unix", path, strerror(errno));
    snprintf(url, sizeof url, "unix:%s", path);
    say_listening(url);
    return SERVER_OK;
}
