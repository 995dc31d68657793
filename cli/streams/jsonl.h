/* Unit jsonl: reads one line of --jsonl: a JSON string, or an object with "text" whose other members pass through as they are. */
#ifndef AKI_CLI_JSONL_H
#define AKI_CLI_JSONL_H

#include "cli/shell/cli.h"

struct jsonl_problem {
    size_t      at;                        /* byte of the line */
    char        what[160];
};

/* line: valid UTF-8. Appends the text, which is the member `field` (NULL: "text"), to *text, and the members that are neither it nor named in
 * reserved (NULL-ended, may be NULL) to *extra, as they are spelled, with commas between. *dropped counts those that reserved keeps out.
 * false: *problem says what; an empty problem->what: no memory. */
bool jsonl_read(const char *line, size_t size, const char *field, const char *const *reserved, struct aki__buf *text, struct aki__buf *extra, size_t *dropped,
                struct jsonl_problem *problem);

/* The same of a line that is an array of two strings, a pair: appends both to *text; *first_size: bytes of the first. */
bool jsonl_pair(const char *line, size_t size, struct aki__buf *text, size_t *first_size, struct jsonl_problem *problem);

/* Looks into a row that embed wrote: its "index", and how many elements the array of that name has. false: not such a row. */
bool jsonl_row(const char *line, size_t size, const char *array, int64_t *index, size_t *count);

#endif
