/* Unit reader: reads the JSON files of a model folder and their keys. See reader.h. */
#include "model/reader.h"

#include "util/path.h"

/* ---------------------------------------------------------------- files ----------------------------------------- */

aki_status aki__note_file(struct aki__model *m, const char *path, uint64_t size, aki_error *err)
{
    for (size_t i = 0; i < m->file_count; i++)
        if (strcmp(m->files[i].path, path) == 0)        /* some files are read twice */
            return AKI_OK;
    char *copy = aki__copy_string(path, strlen(path));
    if (!copy || !aki__grow((void **)&m->files, &aki__folder_of(m)->file_capacity, m->file_count + 1, sizeof *m->files)) {
        aki__free(copy);
        return aki__fail(err, AKI_E_NOMEM, "the list of files");
    }
    m->files[m->file_count++] = (aki_file){ .path = copy, .size = size };
    return AKI_OK;
}

aki_status aki__json_file_open(struct aki__json_file *out, struct aki__model *m, const char *name, enum aki__json_kind kind, bool optional,
                               aki_error *err)
{
    struct aki__report *report = &aki__folder_of(m)->report;
    aki_error why, own;
    aki_status rc;

    err = err ? err : &own;
    *out = (struct aki__json_file){ .name = name, .report = report };
    char *path = aki__join(m->path, name);
    if (!path)
        return aki__fail(err, AKI_E_NOMEM, "%s", name);
    rc = aki__map_open(&out->map, path, &why);
    if (rc == AKI_E_NOT_FOUND) {
        rc = optional ? AKI_OK : aki__fail(err, rc, "%s: no %s in this folder", m->path, name);
        goto done;
    }
    if (rc) {
        rc = aki__fail(err, rc, "%s", why.message);
        goto done;
    }
    if ((rc = aki__note_file(m, path, out->map.size, err)) || (rc = aki__json_parse(&out->doc, out->map.data, out->map.size, name, err)))
        goto done;
    if (!aki__json_is(out->doc.nodes, kind))
        rc = aki__fail(err, AKI_E_INVALID, "%s: not a JSON %s", name, kind == AKI_JSON_OBJECT ? "object" : "array");
done:
    if (rc)
        aki__report_error(report, err);
    aki__free(path);
    return rc;
}

void aki__json_file_close(struct aki__json_file *f)
{
    aki__json_free(&f->doc);
    aki__map_close(&f->map);
}

/* ---------------------------------------------------------------- keys ------------------------------------------ */

aki_status aki__key_fail(const struct aki__json_file *f, const struct aki__json *value, const char *key, aki_status status, aki_error *err,
                         const char *what)
{
    aki_error own, *to = err ? err : &own;

    if (!value)
        aki__fail(to, status, "%s: %s: %s", f->name, key, what);
    else if (value->kind == AKI_JSON_STRING)
        aki__fail(to, status, "%s: %s \"%.*s\": %s (byte %u)", f->name, key, (int)(value->size < 80 ? value->size : 80), value->text, what,
                  value->offset);
    else
        aki__fail(to, status, "%s: %s: %s (byte %u)", f->name, key, what, value->offset);
    to->offset = value ? value->offset : 0;
    aki__report_error(f->report, to);
    return status;
}

const struct aki__json *aki__key(const struct aki__json *object, const char *key)
{
    const struct aki__json *value = aki__json_get(object, key);

    return aki__json_is(value, AKI_JSON_NULL) ? NULL : value;
}

aki_status aki__key_int(int32_t *out, const struct aki__json_file *f, const struct aki__json *object, const char *key, int64_t least,
                        int64_t most, int64_t missing, aki_error *err)
{
    const struct aki__json *value = aki__key(object, key);
    int64_t number;

    if (!value && missing == AKI_REQUIRED)
        return aki__key_fail(f, NULL, key, AKI_E_INVALID, err, "missing, and needed");
    if (!value)
        number = missing;
    else if (!aki__json_int(value, &number))
        return aki__key_fail(f, value, key, AKI_E_INVALID, err, "not a whole number");
    else if (number < least || number > most)
        return aki__key_fail(f, value, key, AKI_E_INVALID, err, "out of range");
    *out = (int32_t)number;
    return AKI_OK;
}

aki_status aki__key_double(double *out, const struct aki__json_file *f, const struct aki__json *object, const char *key, double missing,
                           aki_error *err)
{
    const struct aki__json *value = aki__key(object, key);

    *out = missing;
    if (value && !aki__json_double(value, out))
        return aki__key_fail(f, value, key, AKI_E_INVALID, err, "not a number");
    return AKI_OK;
}

aki_status aki__key_bool(bool *out, const struct aki__json_file *f, const struct aki__json *object, const char *key, bool missing,
                         aki_error *err)
{
    const struct aki__json *value = aki__key(object, key);

    *out = missing;
    if (value && !aki__json_bool(value, out))
        return aki__key_fail(f, value, key, AKI_E_INVALID, err, "neither true nor false");
    return AKI_OK;
}

aki_status aki__key_expect(const struct aki__json_file *f, const struct aki__json *object, const char *key, const char *word,
                              aki_error *err)
{
    const struct aki__json *value = aki__key(object, key);

    if (!value || aki__json_equals(value, word))
        return AKI_OK;
    return aki__key_fail(f, value, key, AKI_E_UNSUPPORTED, err, "not implemented");
}

bool aki__name_is_inside(const char *name, size_t size)
{
    return !memchr(name, ':', size) && aki__path_is_inside(name, size, false);      /* "C:" leads out too */
}

aki_status aki__no_folder(const char *path, aki_error *err)
{
    struct aki__map map;
    aki_error why;

    aki_status rc = aki__map_open(&map, path, &why);
    if (rc)
        return aki__fail(err, rc, rc == AKI_E_NOT_FOUND ? "%s: no such folder" : "%s", rc == AKI_E_NOT_FOUND ? path : why.message);
    aki__map_close(&map);
    return aki__fail(err, AKI_E_INVALID,
                     "%s: a file; the folder of a model is needed, as Hugging Face has them, or an .onnx file in one", path);
}

aki_status aki__no_tokenizer(const char *folder, aki_error *err)
{
    static const char *const others[] = { "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model" };

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char *path = aki__join(folder, others[i]);
        bool there = path && aki__is_file(path);
        aki__free(path);
        if (!path)
            return aki__fail(err, AKI_E_NOMEM, "%s", folder);
        if (there)
            return aki__fail(err, AKI_E_NOT_FOUND,
                             "%s/tokenizer.json: missing, but there is %s; convert it: python -c \"from transformers import AutoTokenizer; "
                             "AutoTokenizer.from_pretrained('.').save_pretrained('.')\" in the folder", folder, others[i]);
    }
    return aki__fail(err, AKI_E_NOT_FOUND, "%s/tokenizer.json: missing", folder);
}
