/* Unit unfinished: FILE.resume, which stands beside an output while it is not finished, and says of what it is made: by whom, of which model,
 * with which options, and of which texts so far. It is there before the first row and goes with the last one, whatever happens between. */
#ifndef AKI_CLI_UNFINISHED_H
#define AKI_CLI_UNFINISHED_H

#include "input.h"

struct unfinished {
    const char     *output;                /* borrowed */
    char           *path;                  /* malloc'd; NULL: there is nothing to be kept (stdout, a pipe) */
    int             fd;
    uint64_t        mark_at;               /* offset of the mark in the file */
    uint64_t        texts, rows, hash;     /* the earlier run's last mark: so many texts gave so many rows; texts 0: none */
    uint64_t        seen, hash_seen;       /* of the texts of this run */
};

enum unfinished_how { UNFINISHED_NEW, UNFINISHED_RESUME, UNFINISHED_FORCE };

/* Refuses where an earlier run left something that this call would spoil: a half-done output without --resume or --force, or one that was made
 * of something else. made_of: lines "name: value\n". format_resumes: this format can be gone on with. An exit code; the message is out. */
int unfinished_open(struct unfinished *u, const char *output, const struct aki__buf *made_of, enum unfinished_how how, bool format_resumes);
/* Counts the texts of a batch, and refuses where an earlier run had others. */
int unfinished_texts(struct unfinished *u, const struct batch *b);
/* All texts so far gave `rows` rows, which are written. */
int unfinished_mark(struct unfinished *u, uint64_t rows);
/* Takes the file away if rc is 0 or there are no rows. Answers rc. */
int unfinished_close(struct unfinished *u, int rc, bool has_rows);

#endif
