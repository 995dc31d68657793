/* Unit sums: sha256 of files, and the SHA256SUMS of a folder as sha256sum writes and checks it. */
#ifndef AKI_CLI_SUMS_H
#define AKI_CLI_SUMS_H

#include "cli.h"

enum { SUMS_TEXT = 65 };                   /* 64 hexadecimal digits and a NUL */

/* All answer an exit code; on failure the message is out. */
int sums_file(const char *path, char out[SUMS_TEXT]);

/* The files under a folder, its subfolders' included, by their paths from the folder on, sorted. names_free is due also after a failure. */
struct names {
    char  **list;                          /* [count], malloc'd */
    size_t  count, capacity;
};
int  names_read(struct names *n, const char *folder);
void names_free(struct names *n);

/* Writes folder/SHA256SUMS of all files under the folder but itself. */
int sums_write(const char *folder);
/* Checks a folder by its SHA256SUMS: each file that is named has the sum, and each that a model could be read from is named. CLI_CHECK:
 * not so; CLI_INPUT: there is no SHA256SUMS, or it is none. */
int sums_check(const char *folder);

#endif
