/* Unit check, inside: what its files share. check.c reports, and checks JSON, the tokenizer and .onnx files; check_weights.c
 * checks tensors. */
#ifndef AKI_CHECK_H
#define AKI_CHECK_H

#include "engine/engine.h"

struct aki__check {
    const char *folder;
    const struct aki__model *model;     /* while its network is recorded */
    int       (*callback)(void *user, const aki_check_event *event);
    void       *user;
    aki_error  *err;
    aki_status  rc;                     /* NOMEM, CANCELLED: ends the check */
    size_t      problems;
    uint64_t   *seen;                   /* [seen_size], a power of 2: hash table of the hashes of all problems; 0: free. Each is reported once */
    size_t      seen_size;
    struct aki__checked_file { char *path; size_t problems; } *files;      /* [file_count] with problems */
    size_t      file_count, file_capacity;
    uint64_t    done, total;            /* bytes of weights */
    const struct aki__tensor **used;    /* [used_count], sorted: what the network reads */
    size_t      used_count, used_capacity;
};

/* Calls the callback, unless the check has ended, or the problem was reported before, or the file has too many. */
void aki__check_report(struct aki__check *c, int kind, const char *path, const char *message, uint64_t size, uint64_t total);
/* The same with a format and no sizes. */
void aki__check_reportf(struct aki__check *c, int kind, const char *path, const char *format, ...) AKI_PRINTF(4, 5);
/* Reports an error of another unit as a problem. user: struct aki__check. */
void aki__check_fault(void *user, const aki_error *why);

/* Records the network with the folder's tensors, and reports each that is missing or wrong. */
void     aki__check_network(struct aki__check *c, const struct aki__model *m);
/* Reports a tensor that the network does not read. After aki__check_network. */
void     aki__check_leftover(struct aki__check *c, const struct aki__model *m, const struct aki__tensor *t);
/* Reads all numbers of the tensors. w: NULL is allowed. */
void     aki__check_weights(struct aki__check *c, const struct aki__weights *w);
uint64_t aki__weights_bytes(const struct aki__weights *w);

#endif
