/* Unit reader: reads the JSON files of a model folder and their keys, with error messages. Every part of the description is
 * read with it. */
#ifndef AKI_MODEL_READER_H
#define AKI_MODEL_READER_H

#include "model/model.h"
#include "base/json.h"

/* Far above every model; the product of two dimensions fits in 63 bits. */
#define AKI_MAX_DIMENSION (INT32_C(1) << 24)

/* A JSON file of the folder. Zeroed means closed. */
struct aki__json_file {
    const char          *name;      /* relative to the folder, for messages; borrowed */
    struct aki__map      map;
    struct aki__json_doc doc;
    struct aki__report  *report;        /* the folder's report */
};

/* Opens folder/name, whose root must be of this kind, and adds it to m->files. If the file is missing and optional, the result
 * is AKI_OK and doc.nodes is NULL. name must be valid as long as *out. */
aki_status aki__json_file_open(struct aki__json_file *out, struct aki__model *m, const char *name, enum aki__json_kind kind, bool optional,
                               aki_error *err);
void       aki__json_file_close(struct aki__json_file *f);
/* Adds a file to m->files. */
aki_status aki__note_file(struct aki__model *m, const char *path, uint64_t size, aki_error *err);

/* Read a key to *out; `missing` is its value if it is missing or null, and AKI_REQUIRED makes that an error. A value of the
 * wrong kind or out of range is INVALID; the message names file and key. */
#define AKI_REQUIRED INT64_MIN
aki_status aki__key_int(int32_t *out, const struct aki__json_file *f, const struct aki__json *object, const char *key, int64_t least,
                        int64_t most, int64_t missing, aki_error *err);
aki_status aki__key_double(double *out, const struct aki__json_file *f, const struct aki__json *object, const char *key, double missing,
                           aki_error *err);
aki_status aki__key_bool(bool *out, const struct aki__json_file *f, const struct aki__json *object, const char *key, bool missing,
                         aki_error *err);
/* The value of a key; NULL: the key is missing or null. */
const struct aki__json *aki__key(const struct aki__json *object, const char *key);

/* For keys that do not depend on each other: all of them are read, each error is reported, and *err describes the first:
 *     rc = aki__also(rc, aki__key_int(…, AKI_ALSO(rc, err))); */
#define AKI_ALSO(rc, err) ((rc) ? NULL : (err))

/* Fails with "file: key: what (byte N)", with the value if it is a string; value may be NULL. Returns status. */
aki_status aki__key_fail(const struct aki__json_file *f, const struct aki__json *value, const char *key, aki_status status, aki_error *err,
                         const char *what);
/* UNSUPPORTED: the key is present and not this word. */
aki_status aki__key_expect(const struct aki__json_file *f, const struct aki__json *object, const char *key, const char *word,
                           aki_error *err);

/* Fails because path is not a folder: NOT_FOUND, or INVALID for a file. */
aki_status aki__no_folder(const char *path, aki_error *err);
/* Fails with NOT_FOUND because there is no tokenizer.json. If the folder has files from which it can be made, the message says
 * how. */
aki_status aki__no_tokenizer(const char *folder, aki_error *err);

/* true: the name is relative and inside its folder: no "..", no empty component. */
bool aki__name_is_inside(const char *name, size_t size);

/* A description with private fields. aki__model_folder_open returns &folder->m. */
struct aki__folder {
    struct aki__model     m;            /* first: the pointers are the same */
    struct aki__weights **dense;        /* [m.dense_count] the weights of each Dense module */
    struct aki__tensor    logit;        /* the weight of AKI_HEAD_LOGIT, which no file has */
    size_t                file_capacity, prompt_capacity, dense_capacity;
    char                 *prefix;       /* m.prefix */
    char                 *architecture; /* m.architecture, unless it is static */
    void                 *keys;         /* m.keys */
    const struct aki__family *const *families;      /* all families, ending with NULL */
    struct aki__report    report;
};
static inline struct aki__folder *aki__folder_of(struct aki__model *m) { return (struct aki__folder *)m; }

#endif
