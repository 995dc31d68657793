/* Unit fetch: HTTP(S) with redirects, retries and several connections. See fetch.h. */
#include "fetch.h"

#include "cli/shell/progress.h"
#include "cli/shell/system.h"

#include <akiembed.h>

#include <curl/curl.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PARALLEL = 8, REDIRECTS = 8, TRIES = 6, CONNECT_TRIES = 3, WRONG_TRIES = 3, LONGEST_WAIT = 300, CONNECT_SECONDS = 20 };

struct fetch_state {
    CURL              *easy;               /* while a request runs */
    struct curl_slist *headers;
    const struct fetch_hub *hub;
    char              *url;                /* of this request: redirects change it */
    int                redirects, tries, wrong;
    bool               linked;             /* X-Linked-ETag was seen */
    bool               done, elsewhere;    /* elsewhere: url is not the hub's origin */
    double             due;                /* not before then */
    uint64_t           best;               /* the most bytes that were ever there: progress pays for tries */
    uint64_t           starts;             /* where the answer's first byte stands */
    bool               body;               /* a piece of it has come */
    int                rc;                 /* of a callback that ended the request */
    char               error[CURL_ERROR_SIZE];
};

/* ---------------------------------------------------------------- addresses ------------------------------------- */

char *fetch_escape(const char *path, bool slashes_too)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = malloc(strlen(path) * 3 + 1), *to = out;

    for (const char *s = path; out && *s; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-._~", c) || (c == '/' && !slashes_too)) {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        }
    }
    if (out)
        *to = '\0';
    return out;
}

static char *part(CURLU *u, CURLUPart which, unsigned flags)
{
    char *text = NULL;

    return curl_url_get(u, which, &text, flags) ? NULL : text;
}

/* Scheme, host and port are the same. False for what is no address. */
static bool same_origin(const char *a, const char *b)
{
    static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };
    CURLU *x = curl_url(), *y = curl_url();
    bool same = x && y && !curl_url_set(x, CURLUPART_URL, a, 0) && !curl_url_set(y, CURLUPART_URL, b, 0);

    for (size_t i = 0; i < sizeof parts / sizeof *parts && same; i++) {
        char *s = part(x, parts[i], CURLU_DEFAULT_PORT), *t = part(y, parts[i], CURLU_DEFAULT_PORT);
        same = s && t && !strcasecmp(s, t);
        curl_free(s);
        curl_free(t);
    }
    curl_url_cleanup(x);
    curl_url_cleanup(y);
    return same;
}

static bool is_https(const char *url)
{
    return !strncasecmp(url, "https://", 8);
}

/* ---------------------------------------------------------------- answers --------------------------------------- */

static bool is_header(const char *line, size_t size, const char *name, const char **value, size_t *value_size)
{
    size_t n = strlen(name);

    if (size <= n || strncasecmp(line, name, n) || line[n] != ':')
        return false;
    *value = line + n + 1;
    *value_size = size - n - 1;
    while (*value_size && strchr(" \t", **value))
        ++*value, --*value_size;
    while (*value_size && strchr(" \t\r\n", (*value)[*value_size - 1]))
        --*value_size;
    return true;
}

/* Digits at text; false: none, or too many. *end: behind them. */
static bool read_number(const char *text, size_t size, uint64_t *out, size_t *end)
{
    *out = 0;
    for (*end = 0; *end < size && text[*end] >= '0' && text[*end] <= '9' && *end < 18; ++*end)
        *out = *out * 10 + (uint64_t)(text[*end] - '0');
    return *end > 0;
}

static size_t on_header(char *line, size_t one, size_t size, void *user)
{
    struct fetch *f = user;
    struct fetch_state *s = f->state;
    const char *value;
    size_t n, end;
    uint64_t bytes;

    (void)one;
    if (size > 5 && !strncasecmp(line, "HTTP/", 5)) {
        s->starts = 0;                     /* another answer begins: a redirect's or a proxy's was before it */
    } else if (is_header(line, size, "X-Linked-ETag", &value, &n)) {
        if (hub_etag(f->etag, value, n))
            s->linked = true;
    } else if (is_header(line, size, "ETag", &value, &n)) {
        if (!s->linked && !hub_etag(f->etag, value, n))
            f->etag[0] = '\0';
    } else if (is_header(line, size, "X-Linked-Size", &value, &n)) {
        if (read_number(value, n, &bytes, &end) && end == n)
            f->size = bytes;
    } else if (is_header(line, size, "X-Repo-Commit", &value, &n)) {
        if (n < sizeof f->commit)
            snprintf(f->commit, sizeof f->commit, "%.*s", (int)n, value);
    } else if (is_header(line, size, "X-Error-Code", &value, &n)) {
        if (n < sizeof f->problem)
            snprintf(f->problem, sizeof f->problem, "%.*s", (int)n, value);
    } else if (is_header(line, size, "Content-Range", &value, &n)) {
        if (n > 6 && !strncasecmp(value, "bytes ", 6) && read_number(value + 6, n - 6, &bytes, &end))
            s->starts = bytes;
    }
    return size;
}

static long status_of(const struct fetch_state *s)
{
    long status = 0;

    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static size_t on_body(char *data, size_t one, size_t size, void *user)
{
    struct fetch *f = user;
    struct fetch_state *s = f->state;
    long status = status_of(s);

    (void)one;
    /* What comes with an error or a redirect is a page for people. */
    if (status != 200 && status != 206)
        return size;
    if (!s->body && s->starts != f->at)
        s->rc = s->starts || !f->rewind ? FETCH_ANEW : f->rewind(f);
    s->body = true;
    if (!s->rc)
        s->rc = f->write(f, data, size);
    return s->rc ? CURL_WRITEFUNC_ERROR : size;
}

/* ---------------------------------------------------------------- one request ----------------------------------- */

static void stop(struct fetch_state *s, CURLM *multi)
{
    if (s->easy) {
        curl_multi_remove_handle(multi, s->easy);
        curl_easy_cleanup(s->easy);
    }
    s->easy = NULL;
    curl_slist_free_all(s->headers);
    s->headers = NULL;
}

static bool add_header(struct fetch_state *s, const char *text)
{
    struct curl_slist *more = curl_slist_append(s->headers, text);

    if (more)
        s->headers = more;
    return more != NULL;
}

/* Sends the request for s->url. */
static int send_request(struct fetch *f, CURLM *multi)
{
    struct fetch_state *s = f->state;
    char text[64];
    const char *ca = getenv("SSL_CERT_FILE");

    s->easy = curl_easy_init();
    s->rc = CLI_OK;
    s->body = false;
    s->error[0] = '\0';
    s->elsewhere = !same_origin(s->url, s->hub->endpoint);
    if (!s->easy)
        return cli_no_memory();
    CURL *e = s->easy;
    bool ok = !curl_easy_setopt(e, CURLOPT_URL, s->url) && !curl_easy_setopt(e, CURLOPT_PRIVATE, f) &&
              !curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") && !curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) &&
              !curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L) && !curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L) &&
              !curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) && !curl_easy_setopt(e, CURLOPT_ERRORBUFFER, s->error) &&
              !curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS) && !curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L) &&
              !curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)s->hub->stall) && !curl_easy_setopt(e, CURLOPT_NOBODY, f->head ? 1L : 0L) &&
              !curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) && !curl_easy_setopt(e, CURLOPT_HEADERDATA, f) &&
              !curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) && !curl_easy_setopt(e, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "akiembed");
    if (ca && *ca)
        ok = ok && !curl_easy_setopt(e, CURLOPT_CAINFO, ca);
    if (f->at && !f->head) {
        snprintf(text, sizeof text, "%" PRIu64 "-", f->at);
        ok = ok && !curl_easy_setopt(e, CURLOPT_RANGE, text);
    }
    if (s->hub->token && !s->elsewhere) {
        char *bearer = cli_format("Authorization: Bearer %s", s->hub->token);
        ok = ok && bearer && add_header(s, bearer);
        free(bearer);
    }
    ok = ok && !curl_easy_setopt(e, CURLOPT_HTTPHEADER, s->headers) && !curl_multi_add_handle(multi, e);
    if (!ok) {
        curl_easy_cleanup(e);
        s->easy = NULL;
        stop(s, multi);
        return cli_fail(CLI_INTERNAL, "%s: libcurl cannot be set up", f->name);
    }
    return CLI_OK;
}

/* A try from the hub's own address on. */
static int start(struct fetch *f, CURLM *multi, double now)
{
    struct fetch_state *s = f->state;

    int rc = f->begin ? f->begin(f) : CLI_OK;
    f->anew = false;
    if (rc == FETCH_WAIT)
        s->due = now + 0.2;
    s->done = rc == FETCH_SKIP;
    if (rc)
        return rc < 0 ? CLI_OK : rc;
    free(s->url);
    s->url = strdup(f->url);
    s->redirects = 0;
    s->linked = false;
    f->size = f->head ? FETCH_UNKNOWN : f->size;
    f->etag[0] = f->problem[0] = '\0';
    if (f->at > s->best)
        s->best = f->at;
    return s->url ? send_request(f, multi) : cli_no_memory();
}

/* ---------------------------------------------------------------- failures -------------------------------------- */

/* Why it did not work, for people. */
static const char *reason(char out[CURL_ERROR_SIZE + 80], const struct fetch_state *s, CURLcode code, long status)
{
    if (code)
        snprintf(out, CURL_ERROR_SIZE + 80, "%s", s->error[0] ? s->error : curl_easy_strerror(code));
    else
        snprintf(out, CURL_ERROR_SIZE + 80, "status %ld%s", status, s->elsewhere ? " from where the hub sent us" : " from the hub");
    return out;
}

static bool may_pass(CURLcode code, long status, bool elsewhere)
{
    switch (code) {
    case CURLE_OK:
        /* Where a hub sends us, addresses are signed and run out: a new one may work. */
        return status == 408 || status == 425 || status == 429 || status >= 500 || status == 416 || elsewhere;
    case CURLE_UNSUPPORTED_PROTOCOL: case CURLE_URL_MALFORMAT: case CURLE_OUT_OF_MEMORY: case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE: case CURLE_SSL_CERTPROBLEM: case CURLE_SSL_ISSUER_ERROR: case CURLE_FAILED_INIT:
        return false;
    default:
        return true;
    }
}

/* Answers that another try would not change. The message has the name that the caller gave (the model's), not the URL. */
static int fail_for_good(struct fetch *f, CURLcode code, long status)
{
    struct fetch_state *s = f->state;
    char why[CURL_ERROR_SIZE + 80];
    bool gated = !strcasecmp(f->problem, "GatedRepo");

    reason(why, s, code, status);
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return cli_fail(CLI_IO, "%s: %s; certificates are always verified: one of your own goes into a file that SSL_CERT_FILE names", f->name, why);
    if (code)
        return cli_fail(CLI_IO, "%s: %s", f->name, why);
    if (gated || (status == 403 && !f->problem[0]))
        return cli_fail(CLI_NO_MODEL, "%s: the hub lets only some people have it (%s): accept its terms on its page at %s, then set HF_TOKEN to a "
                        "token of yours", f->name, why, s->hub->endpoint);
    if (status == 401 || status == 403)
        return cli_fail(CLI_NO_MODEL, "%s: there is no such model, or it is private (%s)%s", f->name, why,
                        s->hub->token ? "; the token that was sent does not open it" : "; no token was sent: set HF_TOKEN to one of yours");
    if (status == 404 && !strcasecmp(f->problem, "RevisionNotFound"))
        return cli_fail(CLI_NO_MODEL, "%s: the model has no such revision (%s)", f->name, why);
    if (status == 404)
        return cli_fail(CLI_NO_MODEL, "%s: there is no such model or file at %s (%s)", f->name, s->hub->endpoint, why);
    return cli_fail(CLI_IO, "%s: %s", f->name, why);
}

/* After a failure: schedules the next try, or ends with the failure. */
static int retry(struct fetch *f, CURLcode code, long status, double now)
{
    struct fetch_state *s = f->state;
    char why[CURL_ERROR_SIZE + 80];
    curl_off_t after = 0;
    bool connecting = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY;

    if (!may_pass(code, status, s->elsewhere))
        return fail_for_good(f, code, status);
    if (f->at > s->best)
        s->tries = 0;                      /* a connection that breaks, but brings more each time, gets there */
    reason(why, s, code, status);
    if (++s->tries >= (connecting ? CONNECT_TRIES : TRIES))
        return cli_fail(CLI_IO, "%s: %s; tried %d times. What is there is kept: the same command goes on behind it", f->name, why, s->tries);
    double wait = 0.5 * (double)(1 << (s->tries - 1));
    if (!code)
        curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &after);
    if (after > LONGEST_WAIT)
        return cli_fail(CLI_IO, "%s: %s, which asks to come back in %" PRId64 " s", f->name, why, (int64_t)after);
    if ((double)after > wait)
        wait = (double)after;
    s->due = now + wait;
    f->anew = !code && status == 416;
    if (wait > 3)
        cli_warn("%s: %s; trying again in %.0f s", f->name, why, wait);
    else
        cli_note("%s: %s; trying again in %.1f s", f->name, why, wait);
    return CLI_OK;
}

/* What came is not what the hub promised. */
static int fetch_anew(struct fetch *f, double now)
{
    struct fetch_state *s = f->state;

    if (++s->wrong >= WRONG_TRIES)
        return cli_fail(CLI_CHECK, "%s: is not what the hub says it is, %d times in a row; what came is thrown away", f->name, s->wrong);
    f->anew = true;
    s->due = now + 0.2;
    return CLI_OK;
}

static int redirect(struct fetch *f, CURLM *multi)
{
    struct fetch_state *s = f->state;
    char *to = NULL;

    curl_easy_getinfo(s->easy, CURLINFO_REDIRECT_URL, &to);
    char *next = to ? strdup(to) : NULL;
    bool downgrade = next && is_https(s->hub->endpoint) && !is_https(next);
    stop(s, multi);
    if (!next || ++s->redirects > REDIRECTS || downgrade) {
        int rc = cli_fail(CLI_IO, "%s: the hub sends us %s", f->name, !next ? "elsewhere, but not where" : downgrade ? "from https to http" : "round in circles");
        free(next);
        return rc;
    }
    free(s->url);
    s->url = next;
    return send_request(f, multi);
}

/* A request has ended. */
static int finish(struct fetch *f, CURLM *multi, CURLcode code, double now)
{
    struct fetch_state *s = f->state;
    long status = status_of(s);
    bool moved = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    curl_off_t length = -1;
    int rc;

    if (s->rc) {                           /* write had enough */
        stop(s, multi);
        return s->rc == FETCH_ANEW ? fetch_anew(f, now) : s->rc;
    }
    if (!code && moved && !(f->head && s->linked))
        return redirect(f, multi);
    if (code || !(status == 200 || status == 206 || moved)) {
        rc = retry(f, code, status, now);
        stop(s, multi);
        return rc;
    }
    curl_easy_getinfo(s->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (f->head && f->size == FETCH_UNKNOWN && !moved && length >= 0)
        f->size = (uint64_t)length;
    stop(s, multi);
    rc = f->end ? f->end(f) : CLI_OK;
    s->done = rc == CLI_OK;
    return rc == FETCH_ANEW ? fetch_anew(f, now) : rc;
}

/* ---------------------------------------------------------------- all of them ----------------------------------- */

/* Starts what is due, reads what has arrived, reports what has ended. */
static int step(const struct fetch_hub *hub, struct fetch **list, size_t count, bool *done)
{
    CURLM *multi = hub->multi;
    size_t active = 0;
    double now = aki__seconds();
    bool ended = false;
    int rc = CLI_OK, running, left;

    *done = true;
    for (size_t i = 0; i < count; i++)
        active += list[i]->state->easy != NULL;
    for (size_t i = 0; i < count && !rc; i++) {
        struct fetch_state *s = list[i]->state;
        if (!s->done && !s->easy && s->due <= now && active < PARALLEL) {
            rc = start(list[i], multi, now);
            active += s->easy != NULL;
        }
        *done &= s->done;
    }
    if (rc || *done)
        return rc;
    if (curl_multi_perform(multi, &running))
        return cli_fail(CLI_INTERNAL, "libcurl has failed");
    for (CURLMsg *m; !rc && (m = curl_multi_info_read(multi, &left)); ended = true) {
        char *f = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &f);
        rc = finish((struct fetch *)(void *)f, multi, m->data.result, now);
    }
    if (hub->progress)
        hub->progress(hub->user);
    if (!rc && !ended)                     /* what has ended may have begun something else, which poll does not know yet */
        curl_multi_poll(multi, NULL, 0, 100, NULL);
    return rc;
}

int fetch_run(struct fetch_hub *hub, struct fetch **list, size_t count)
{
    struct fetch_state *states = count ? calloc(count, sizeof *states) : NULL;
    bool done = count == 0;
    int rc = CLI_OK;

    if (count && (!states || (!hub->multi && (curl_global_init(CURL_GLOBAL_DEFAULT) || !(hub->multi = curl_multi_init())))))
        rc = cli_no_memory();
    for (size_t i = 0; i < count && !rc; i++) {
        states[i].hub = hub;
        list[i]->state = &states[i];
    }
    while (!rc && !done)
        rc = cli_signal ? CLI_STOPPED + cli_signal : step(hub, list, count, &done);
    for (size_t i = 0; i < count; i++) {
        if (states) {
            stop(&states[i], hub->multi);
            free(states[i].url);
        }
        list[i]->state = NULL;
        free(list[i]->url);
        list[i]->url = NULL;
    }
    free(states);
    return rc;
}

void fetch_close(struct fetch_hub *hub)
{
    if (hub->multi) {
        curl_multi_cleanup(hub->multi);
        curl_global_cleanup();
    }
    hub->multi = NULL;
}
