/* Unit cache: the Hugging Face cache, shared with Python's huggingface_hub: models--ORG--NAME/{blobs,refs,snapshots} and .locks. */
#ifndef AKI_CLI_CACHE_H
#define AKI_CLI_CACHE_H

#include "cli/shell/cli.h"

/* What fetches a model, for messages: the name follows. */
#ifdef CLI_PULL
#  define CACHE_PULL "akiembed pull"
#else
#  define CACHE_PULL "hf download"         /* built without libcurl: Python's huggingface_hub fills the same cache */
#endif
enum { CACHE_PATH = 8192, CACHE_NAME = 200 };

/* "ORG/NAME@REVISION" taken apart. */
struct cache_name {
    char model[CACHE_NAME];                /* "ORG/NAME" or "NAME" */
    char revision[CACHE_NAME];             /* "main" where none was said */
    bool has_revision;
};
/* false: nothing in the cache, or on a hub, can be called so. Nothing in what is accepted can leave the cache's folder. */
bool cache_name_read(struct cache_name *out, const char *text);

/* Variable that is set to something, else NULL. */
const char *cache_variable(const char *name);
/* A variable's value that is a path, with "~/", $NAME and ${NAME} expanded as Python's huggingface_hub does. false: it does not fit, or
 * there is no home. */
bool cache_path(char *out, size_t size, const char *value);
/* Where Hugging Face keeps what is its own ($HF_HOME, ~/.cache/huggingface), and the cache in it ($HF_HUB_CACHE). false: it does not
 * fit, or there is no home. */
bool cache_home(char *out, size_t size);
bool cache_folder(char *out, size_t size);

/* out: CACHE_PATH bytes. The folder models--ORG--NAME, whether it is there or not; and that of its locks. false: it does not fit. */
bool cache_repository(char *out, const char *cache, const char *model);
bool cache_locks(char *out, const char *cache, const char *model);

/* The repository of a name that is there: itself, a known model's (known.h), or the one ORG/NAME that ends so. CLI_NO_MODEL: there is
 * none, nothing said yet. */
int  cache_find_repository(const struct cache_name *name, char *out);
/* The commit that a repository's branch or tag stands at; false: no such ref. */
bool cache_read_ref(const char *repository, const char *revision, char *out, size_t size);
/* How many snapshots a name's repository has, whatever their names; commit: one of these. */
size_t cache_commits(const struct cache_name *name, char commit[CACHE_NAME]);
/* The snapshot's folder behind "NAME@REVISION". As above. */
int  cache_find(const char *text, char *out);

#endif
