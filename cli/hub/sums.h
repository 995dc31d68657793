/* Unit sums: sha256 of files, and the SHA256SUMS of a folder as sha256sum writes and checks it. */
#ifndef AKI_CLI_SUMS_H
#define AKI_CLI_SUMS_H

#include "cli/shell/cli.h"
#include "names.h"

enum { SUMS_TEXT = 65 };                   /* 64 hexadecimal digits and a NUL */

/* All answer an exit code; on failure the message is out. */
int sums_file(const char *path, char out[SUMS_TEXT]);
/* Whether a file is what a hub's ETag says: sha256 where word has 64 hexadecimal digits, git's sha1 (or the plain one) where it has 40;
 * *same is true for other words, which say nothing. */
int sums_of_name(const char *path, const char *word, bool *same);
/* So many hexadecimal digits. */
bool sums_is(const char *word, size_t digits);

/* Writes folder/SHA256SUMS of all files under the folder but itself. */
int sums_write(const char *folder);
/* Checks a folder by its SHA256SUMS: each file that is named has the sum, and each that a model could be read from is named. CLI_CHECK:
 * not so; CLI_INPUT: there is no SHA256SUMS, or it is none. */
int sums_check(const char *folder);
/* The same, but every file is looked at: tell is called for each that is named (problem NULL where it is right) or should be. What it
 * answers, if not 0, ends the check and is answered. */
int sums_each(const char *folder, int (*tell)(void *user, const char *name, const char *problem), void *user);

#endif
