/* Unit fetch: gets several things from one hub at once over HTTP(S), again where that may help. One thread; libcurl.
 *
 * The token goes to the hub's own origin (scheme, host, port) alone, whatever redirects say; certificates are always verified. */
#ifndef AKI_CLI_FETCH_H
#define AKI_CLI_FETCH_H

#include "cli/shell/cli.h"
#include "hub.h"

/* What callbacks may answer besides exit codes: try later, nothing to do, and: what came was wrong, get it anew from its first byte. */
enum { FETCH_WAIT = -1, FETCH_SKIP = -2, FETCH_ANEW = -3 };
#define FETCH_UNKNOWN UINT64_MAX

struct fetch_hub {
    const char *endpoint;                  /* "https://…", without a final / */
    const char *token;                     /* or NULL */
    int         stall;                     /* seconds without a byte after which a connection is closed */
    void      (*progress)(void *user);     /* called often */
    void       *user;
    void       *multi;                     /* of fetch.c: the connections, which later calls use again; see fetch_close */
};

/* One thing to get. Zeroed, then set; url is malloc'd and freed by fetch_run, strings are borrowed. */
struct fetch {
    char       *url;
    const char *name;                      /* for messages */
    bool        head;                      /* no body; a redirect with X-Linked-ETag is an answer */
    uint64_t    at;                        /* bytes got so far: where the next one belongs. Kept by the callbacks */
    bool        anew;                      /* set before begin: what is there is no good */
    int       (*begin)(struct fetch *f);   /* before each try; NULL: nothing to do */
    int       (*rewind)(struct fetch *f);  /* the answer begins at byte 0, though `at` was asked for */
    int       (*write)(struct fetch *f, const char *data, size_t size);
    int       (*end)(struct fetch *f);     /* all of it came */
    void       *user;

    /* From the answer's headers. */
    uint64_t    size;                      /* X-Linked-Size, else the length; or FETCH_UNKNOWN */
    char        etag[HUB_ETAG];            /* X-Linked-ETag, else ETag; "" where there is none that is safe */
    char        commit[HUB_COMMIT];        /* X-Repo-Commit */
    char        problem[64];               /* X-Error-Code */

    struct fetch_state *state;             /* of fetch.c */
};

/* Gets all, up to eight at a time. Answers an exit code; the message is out. After a failure the others stop too: what their callbacks
 * opened is the caller's to close. */
int  fetch_run(struct fetch_hub *hub, struct fetch **list, size_t count);
void fetch_close(struct fetch_hub *hub);

/* A path's bytes, but for letters, digits and -._~/ as %XX; malloc'd. */
char *fetch_escape(const char *path, bool slashes_too);

#endif
