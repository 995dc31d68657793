/* Unit reader: the JSON files of a model's folder, and keys of them with their errors: what every part of the description is read by. */
#ifndef AKI_MODEL_READER_H
#define AKI_MODEL_READER_H

#include "model/model.h"
#include "base/json.h"

/* No model is near this; products of two dimensions stay inside 63 bits. */
#define AKI_MAX_DIMENSION (INT32_C(1) << 24)

/* A JSON file of the folder. Zeroed means closed. */
struct aki__json_file {
    const char          *name;      /* as messages call it, relative to the folder; borrowed */
    struct aki__map      map;
    struct aki__json_doc doc;
    struct aki__report  *report;        /* of the folder */
};

/* Opens folder/name, whose root must be of the kind. A missing file is AKI_OK with doc.nodes = NULL where it is optional.
 * The file is added to m->files. name must live as long as *out. */
aki_status aki__json_file_open(struct aki__json_file *out, struct aki__model *m, const char *name, enum aki__json_kind kind, bool optional,
                               aki_error *err);
void       aki__json_file_close(struct aki__json_file *f);
/* Notes that folder/name was read, for info. */
aki_status aki__note_file(struct aki__model *m, const char *path, uint64_t size, aki_error *err);

/* A key that names a value of the wrong kind is INVALID, naming file and key; null counts as missing. */
#define AKI_REQUIRED INT64_MIN
aki_status aki__key_int(int32_t *out, const struct aki__json_file *f, const struct aki__json *object, const char *key, int64_t least,
                        int64_t most, int64_t missing, aki_error *err);
aki_status aki__key_double(double *out, const struct aki__json_file *f, const struct aki__json *object, const char *key, double missing,
                           aki_error *err);
aki_status aki__key_bool(bool *out, const struct aki__json_file *f, const struct aki__json *object, const char *key, bool missing,
                         aki_error *err);
/* The value, or NULL where the key is missing or null. */
const struct aki__json *aki__key(const struct aki__json *object, const char *key);

/* For keys that do not depend on each other: all of them are read, each error is reported, and *err describes the first:
 *     rc = aki__also(rc, aki__key_int(…, AKI_ALSO(rc, err))); */
#define AKI_ALSO(rc, err) ((rc) ? NULL : (err))

/* "file: key: what (byte N)"; value NULL where there is none. For a string, the value is told too. Answers status. */
aki_status aki__key_fail(const struct aki__json_file *f, const struct aki__json *value, const char *key, aki_status status, aki_error *err,
                         const char *what);
/* The key, where given, must be this word; else UNSUPPORTED. */
aki_status aki__key_expect(const struct aki__json_file *f, const struct aki__json *object, const char *key, const char *word, aki_error *err);

/* NOT_FOUND "no such folder", or what else there is at this path. */
aki_status aki__no_folder(const char *path, aki_error *err);
/* NOT_FOUND: the folder has no tokenizer.json. Where it has files that one can be made of, the message says how. */
aki_status aki__no_tokenizer(const char *folder, aki_error *err);

/* A relative name that stays inside its folder: no "..", no empty part, not absolute. */
bool aki__name_is_inside(const char *name, size_t size);

/* A description with what only this unit owns. aki__model_folder_open hands out &folder->m. */
struct aki__folder {
    struct aki__model     m;            /* first: the pointers are the same */
    struct aki__weights **dense;        /* [m.dense_count], the file of each Dense module */
    size_t                file_capacity, prompt_capacity, dense_capacity;
    char                 *prefix;       /* m.prefix */
    char                 *architecture; /* m.architecture, where it is no static one */
    void                 *keys;         /* m.keys */
    const struct aki__family *const *families;      /* all that there are, NULL behind the last */
    struct aki__report    report;
};
static inline struct aki__folder *aki__folder_of(struct aki__model *m) { return (struct aki__folder *)m; }

#endif
