/* Unit names: a list of file names, read from a folder or added one by one. */
#ifndef AKI_CLI_NAMES_H
#define AKI_CLI_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed means empty. */
struct names {
    char  **list;                          /* [count], malloc'd */
    size_t  count, capacity;
};
/* A copy of name behind the others; false: no memory. */
bool names_add(struct names *n, const char *name);
void names_sort(struct names *n);
/* In a sorted list. */
bool names_have(const struct names *n, const char *name);
void names_free(struct names *n);

/* The files under a folder, its subfolders' included, by their paths from the folder on, sorted. names_free is due also after a failure.
 * Answers an exit code; the message is out. */
int  names_read(struct names *n, const char *folder);

#endif
