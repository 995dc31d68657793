/* Unit resume: finds the last whole row of an output that was interrupted, and refuses files of another kind. */
#ifndef AKI_CLI_RESUME_H
#define AKI_CLI_RESUME_H

#include "layout.h"

/* What an earlier run left. */
struct kept {
    uint64_t bytes, rows;
};

/* The first `most` rows that are whole. A file that is not there is an empty one. Nothing is changed. On failure the message is out. */
int resume_examine(const char *path, const struct layout *layout, uint64_t most, struct kept *kept);

#endif
