/* Unit hub: what a hub's answers say, none of it trusted: the files of a repository, and which of them a model is opened from.
 * Pure: no network, no files. */
#ifndef AKI_CLI_HUB_H
#define AKI_CLI_HUB_H

#include "names.h"

#include <stdint.h>

enum { HUB_COMMIT = 65, HUB_ETAG = 130, HUB_WHY = 400 };

/* A path that stays inside the folder that it is put into: no empty, "." or ".." part, no \, no control characters. */
bool hub_path_is_safe(const char *path, size_t size);
/* A commit, or a header's ETag without its quotes: a plain file name. */
bool hub_word_is_safe(const char *word);
/* '"abc"', 'W/"abc"' or 'abc' to 'abc'. false: too long or not safe. */
bool hub_etag(char out[HUB_ETAG], const char *text, size_t size);

/* The functions below answer an exit code; why then says what is wrong with the text, and nothing is printed. text: [size] bytes and
 * one more of room, changed in place. */

/* The answer of api/models/NAME/revision/REVISION: its commit and all its files, sorted. */
int  hub_read_listing(struct names *files, char commit[HUB_COMMIT], char *text, size_t size, char why[HUB_WHY]);

/* The list of weights: index.json of what `weights` (--file, or NULL) asks for; NULL: it is one file. */
const char *hub_index_of(const struct names *files, const char *weights);
/* The files to fetch, sorted. modules, index: the content of modules.json and of the index, [size] and one more of room each; NULL where
 * the repository has none. */
struct hub_text {
    char  *data;
    size_t size;
};
int  hub_select(struct names *wanted, const struct names *files, const char *weights, const struct hub_text *modules,
                const struct hub_text *index, char why[HUB_WHY]);

#endif
