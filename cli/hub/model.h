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
/* What int8 costs on this processor, in a line; NULL: the model is not int8. */
const char *model_int8_cost(const aki_model_info *info, char *out, size_t size);
/* A hash of what the model is read from: sizes, beginnings and ends of its files, wherever they lie. */
int  model_hash(const struct model *m, uint64_t *hash);

/* CLI_INPUT, message out, where the model gives vectors and scores are wanted, or scores and vectors are. */
int  model_gives(const struct model *m, bool scores);

/* The exit code of a failed library call, whose message is said; where: what to call the thing at fault, or NULL. */
int  model_failed(const aki_error *error, const char *where);

/* value, or what its 0 stands for in this model: of "dim", "max_tokens", "pooling", "normalize", "truncate" (aki_option_bounds). */
int64_t model_setting(const struct model *m, const char *option, int64_t value);

/* Bytes of the prompt that the library puts before a text with these options; 0: it has none. Its errors are about the prompt. */
aki_status model_prompt_size(const struct model *m, const aki_embed_options *e, size_t *size, aki_error *error);

/* Sets what --kind, --prompt…, --truncate, --max-tokens and their like say. Answers CLI_USAGE or CLI_INPUT, message out, where the
 * model cannot do it. */
int  model_embed_options(const struct model *m, const struct options *o, aki_embed_options *e);

#endif
