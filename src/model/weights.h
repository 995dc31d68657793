/* Unit weights, inside: what safetensors.c (headers and tensors) and weights.c (files, index and shards) share. */
#ifndef AKI_MODEL_WEIGHTS_H
#define AKI_MODEL_WEIGHTS_H

#include "model/parts.h"

struct aki__weights_file {
    char           *path;
    const char     *name;           /* part of path, relative to the folder, for messages */
    uint64_t        size;
    struct aki__map map;
    char           *names;          /* names of its tensors, in one block */
};

struct aki__weights {
    struct aki__weights_file **files;   /* each in its own block, because tensors point to their maps */
    size_t              file_count, file_capacity;
    struct aki__tensor *tensors;
    size_t              count, capacity;
    uint32_t           *slots;      /* a hash table of tensor numbers + 1; 0: free */
    size_t              slot_count; /* a power of two */
    uint64_t            seed;
    struct aki__report *report;     /* of all errors; NULL: only the first is wanted */
    size_t              faults;     /* errors reported so far */
};

static inline const struct aki__weights_file *aki__weights_file_of(const struct aki__tensor *t)
{
    return (const struct aki__weights_file *)((const char *)t->map - offsetof(struct aki__weights_file, map));
}

/* Reports an error after which others may follow; true: it was reported, and reading continues. */
bool aki__weights_pass(struct aki__weights *w, aki_status rc, const aki_error *err);
/* Checks the header of a mapped file and adds its tensors to w's. */
aki_status aki__weights_read_header(struct aki__weights *w, struct aki__weights_file *f, aki_error *err);
/* Builds the table of tensors by name. After the last header. */
aki_status aki__weights_index(struct aki__weights *w, aki_error *err);
const struct aki__tensor *aki__weights_find_sized(const struct aki__weights *w, const char *name, size_t size);

#endif
