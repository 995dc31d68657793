/* Unit log: JSON lines on standard error. See log.h. */
#include "log.h"

#include "metrics.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATH_LIMIT = 128 };                 /* bytes of a request's path that are logged */

static const char *level_of(const char *event)
{
    return !strcmp(event, "error") || !strcmp(event, "warning") ? event : !strcmp(event, "note") ? "debug" : "info";
}

static void begin(struct aki__buf *line, const char *level, const char *event)
{
    struct timespec now;
    struct tm tm;
    char text[40];

    clock_gettime(CLOCK_REALTIME, &now);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &tm));
    buf_format(line, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"event\":\"%s\"", text, now.tv_nsec / 1000000, level, event);
}

/* One write a line, so that lines of several threads do not mix. */
static void end(struct aki__buf *line)
{
    buf_text(line, "}\n");
    if (!line->failed && write(STDERR_FILENO, line->data, line->size) < 0)
        line->failed = true;                                     /* a full disk or a closed pipe must not stop the service */
    aki__buf_free(line);
}

static void write_event(const char *event, const struct aki__buf *members, const char *format, va_list args)
{
    struct aki__buf line = { 0 };
    char text[800];

    vsnprintf(text, sizeof text, format, args);
    size_t bad = aki__utf8_check(text, strnlen(text, sizeof text));
    if (bad != AKI_UTF8_VALID)
        text[bad] = '\0';
    begin(&line, level_of(event), event);
    buf_text(&line, ",\"message\":");
    json_text(&line, text);
    if (members && !members->failed)
        buf_add(&line, members->data, members->size);
    end(&line);
}

void log_event(const char *event, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_event(event, NULL, format, args);
    va_end(args);
}

void log_members(const char *event, struct aki__buf *members, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_event(event, members, format, args);
    va_end(args);
    aki__buf_free(members);
}

void log_address(char *out, size_t size, const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (address && address->sa_family == AF_INET) {
        const struct sockaddr_in *a = (const struct sockaddr_in *)address;
        snprintf(out, size, "%s:%d", inet_ntop(AF_INET, &a->sin_addr, text, sizeof text), ntohs(a->sin_port));
    } else if (address && address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)address;
        snprintf(out, size, "[%s]:%d", inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof text), ntohs(a->sin6_port));
    } else {
        snprintf(out, size, "unix");
    }
}

void log_request(const struct exchange *x, bool sent)
{
    const struct batch_job *j = &x->job;
    struct aki__buf line = { 0 };
    size_t path = strnlen(x->path, PATH_LIMIT), bad = aki__utf8_check(x->path, path);

    begin(&line, x->status < 400 ? "info" : x->status < 500 ? "warning" : "error", "request");
    buf_text(&line, ",\"id\":");
    json_text(&line, x->id);
    buf_text(&line, ",\"peer\":");
    json_text(&line, x->peer->address);
    buf_text(&line, ",\"method\":");
    json_string(&line, x->method, aki__utf8_check(x->method, strlen(x->method)) == AKI_UTF8_VALID ? strnlen(x->method, 16) : 0);
    buf_text(&line, ",\"path\":");
    json_string(&line, x->path, bad == AKI_UTF8_VALID ? path : bad);
    buf_format(&line, ",\"status\":%d,\"sent\":%s,\"received\":%zu,\"bytes\":%zu", x->status, sent ? "true" : "false", x->received, x->sent);
    if (x->status >= 400 && x->problem.status) {
        buf_format(&line, ",\"error\":\"%s\",\"message\":", x->problem.type);
        json_text(&line, x->problem.message);
    }
    if (x->served) {
        buf_text(&line, ",\"model\":");
        json_text(&line, x->served->name);
    }
    if (x->waits)
        buf_format(&line, ",\"texts\":%zu,\"tokens\":%lld,\"truncated\":%zu,\"tokenize_ms\":%.2f,\"queue_ms\":%.2f,\"inference_ms\":%.2f", x->texts,
                     (long long)j->starts[j->count], x->truncated, (x->tokenised - x->parsed) * 1e3,
                     j->started ? (j->started - j->queued) * 1e3 : 0.0, j->inference * 1e3);
    buf_format(&line, ",\"total_ms\":%.2f", (seconds_now() - x->start) * 1e3);
    end(&line);
}
