/* Unit blob: a file on its way from a hub into the cache.
 *
 * It is written to blobs/ETAG.incomplete, which an interrupted pull leaves behind and the next one goes on with; checked against the
 * hub's hash; renamed to blobs/ETAG; linked from snapshots/COMMIT/PATH. Locks are those of huggingface_hub. */
#ifndef AKI_CLI_BLOB_H
#define AKI_CLI_BLOB_H

#include "cache.h"
#include "digest.h"
#include "fetch.h"

/* Where a revision of a model goes. */
struct blob_place {
    char repository[CACHE_PATH], locks[CACHE_PATH];
    char commit[HUB_COMMIT];
};

struct blob {
    const struct blob_place *place;
    const char  *path;                     /* in the model's folder, safe (hub.h); borrowed */
    struct fetch fetch;
    char         etag[HUB_ETAG];
    uint64_t     size;                     /* or FETCH_UNKNOWN */
    char        *file, *incomplete;        /* paths of the blob; malloc'd */
    int          fd, lock;                 /* -1: not open */
    struct digest *digest;                 /* sha256 of what is written so far; NULL: the ETag is none */
    bool         waiting, done;
};

/* All ints answered are exit codes; the message is out. */

/* Makes path and the folders above it. */
int  blob_make_folders(const char *path);
/* refs/REVISION holds the commit: last of all, so that a name never stands for half a model. */
int  blob_write_ref(const struct blob_place *p, const char *revision);
/* The whole file is in the cache, by name and size. */
bool blob_is_there(const struct blob *f);
/* Links it: f->done. */
int  blob_done(struct blob *f);
/* Sets f->fetch, which gets the file from url (malloc'd, taken over) and ends in blob_done. */
void blob_fetch(struct blob *f, char *url);
void blob_close(struct blob *f);

#endif
