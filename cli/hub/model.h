/* Unit model: from what -m says to an open model, and from the library's errors to exit codes. */
#ifndef AKI_CLI_MODEL_H
#define AKI_CLI_MODEL_H

#include "cli/shell/options.h"

#include <akiembed.h>

struct model {
    aki_model      *handle;
    aki_model_info  info;                  /* as of the opening */
    char           *path;                  /* what was opened */
    const char     *name;                  /* what -m said, or the default */
};

/* The path behind a model's name (a folder, or a name in the cache), malloc'd. CLI_NO_MODEL: the message has the command that fetches it. */
int model_find(const char *name, char **path);
/* For verbs that make something of a model's files: its folder, malloc'd, with --check-files checked. On failure *folder may be set too. */
int model_find_folder(const struct options *o, const char *name, char **folder);

/* Zeroed *m is valid for model_close. On failure the message is out. tokenizer_only: also a tokenizer.json will do. */
int  model_open(struct model *m, const struct options *o, bool tokenizer_only);
/* name as it is, in f32 on the cpu. CLI_CHECK, nothing said: its folder is quantised. */
int  model_open_reference(struct model *m, const struct options *o, const char *name);
void model_close(struct model *m);

/* The exit code of a failed library call, whose message is said; where: what to call the thing at fault, or NULL. */
int  model_failed(const aki_error *error, const char *where);


/* Sets what --kind, --prompt…, --truncate, --max-tokens and their like say. Answers CLI_USAGE or CLI_INPUT, message out, where the
 * model cannot do it. */
int  model_embed_options(const struct model *m, const struct options *o, aki_embed_options *e);

#endif
