/* Unit weights: the safetensors files of a folder: one file, or shards with an index. */
#include "model/weights.h"

#include <stdio.h>
#include <stdlib.h>

#define SINGLE "model.safetensors"
#define INDEX  "model.safetensors.index.json"

/* ---------------------------------------------------------------- files ----------------------------------------- */

/* Owns path from now on, also on failure. */
static aki_status add_file(struct aki__weights_file **out, struct aki__weights *w, char *path, size_t folder_size, aki_error *err)
{
    struct aki__weights_file *f = aki__zalloc(1, sizeof *f);

    *out = NULL;
    if (!path || !f || !aki__grow((void **)&w->files, &w->file_capacity, w->file_count + 1, sizeof *w->files)) {
        aki__free(path);
        aki__free(f);
        return aki__fail(err, AKI_E_NOMEM, "the list of weight files");
    }
    f->path = path;
    f->name = path + folder_size;
    w->files[w->file_count++] = f;
    *out = f;
    return AKI_OK;
}

static aki_status map_file(struct aki__weights_file **out, struct aki__weights *w, const char *folder, const char *part, const char *name,
                           size_t name_size, aki_error *err)
{
    size_t folder_size = strlen(folder), part_size = strlen(part);

    while (folder_size > 1 && folder[folder_size - 1] == '/')
        folder_size--;
    char *path = aki__alloc(folder_size + part_size + name_size + 2, 1);
    if (path) {
        memcpy(path, folder, folder_size);
        path[folder_size] = '/';
        memcpy(path + folder_size + 1, part, part_size);
        memcpy(path + folder_size + 1 + part_size, name, name_size);
        path[folder_size + 1 + part_size + name_size] = '\0';
    }
    aki_status rc = add_file(out, w, path, folder_size + 1, err);
    if (!rc)
        rc = aki__map_open(&(*out)->map, (*out)->path, err);
    if (!rc)
        (*out)->size = (*out)->map.size;
    return rc;
}

static int compare_strings(const void *a, const void *b)
{
    const struct aki__json *x = *(const struct aki__json *const *)a, *y = *(const struct aki__json *const *)b;

    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return memcmp(x->text, y->text, x->size);
}

/* Lists the distinct files of weight_map in *shards [*count]. */
static aki_status list_shards(struct aki__weights *w, const struct aki__json ***shards, size_t *count,
                              const struct aki__weights_file *index, const struct aki__json *map,
                              aki_error *err)
{
    const struct aki__json *key = map + 1;
    const struct aki__json **list = aki__alloc(map->size, sizeof *list);
    size_t good = 0;

    *count = 0;
    *shards = list;
    if (!list)
        return aki__fail(err, AKI_E_NOMEM, "%s", index->name);
    for (uint32_t i = 0; i < map->size; i++, key = aki__json_next(key + 1)) {
        const struct aki__json *value = key + 1;
        if (!aki__json_is(value, AKI_JSON_STRING) || !aki__name_is_inside(value->text, value->size)) {
            aki__fail(err, AKI_E_INVALID, "%s: weight_map.%.*s names no file inside the folder (byte %u)", index->name,
                      (int)(key->size < 100 ? key->size : 100), key->text, value->offset);
            if (err)
                err->offset = value->offset;
            if (!aki__weights_pass(w, AKI_E_INVALID, err))
                return AKI_E_INVALID;
            continue;
        }
        list[good++] = value;
    }
    qsort(list, good, sizeof *list, compare_strings);
    for (size_t i = 0; i < good; i++)
        if (i == 0 || compare_strings(&list[i - 1], &list[i]) != 0)
            list[(*count)++] = list[i];
    return AKI_OK;
}

/* Checks that every tensor of the index is in the shard that the index names. */
static aki_status check_index(struct aki__weights *w, const struct aki__weights_file *index, const struct aki__json *map, size_t part_size,
                              aki_error *err)
{
    const struct aki__json *key = map + 1;

    for (uint32_t i = 0; i < map->size; i++, key = aki__json_next(key + 1)) {
        const struct aki__tensor *t = memchr(key->text, '\0', key->size) ? NULL : aki__weights_find_sized(w, key->text, key->size);
        const char *name = t ? aki__weights_file_of(t)->name + part_size : "";
        if (!t || strlen(name) != key[1].size || memcmp(name, key[1].text, key[1].size) != 0) {
            aki__fail(err, AKI_E_INVALID, "%s: weight_map.%.*s: the shard %.*s has no such tensor (byte %u): download the files again",
                      index->name, (int)(key->size < 90 ? key->size : 90), key->text, (int)(key[1].size < 60 ? key[1].size : 60),
                      key[1].text, key->offset);
            if (err)
                err->offset = key->offset;
            if (!aki__weights_pass(w, AKI_E_INVALID, err))
                return AKI_E_INVALID;
        }
    }
    return AKI_OK;
}

static aki_status open_shards(struct aki__weights *w, const char *folder, const char *part, aki_error *err)
{
    struct aki__json_doc doc = { 0 };
    const struct aki__json **shards = NULL;
    size_t count = 0;
    struct aki__weights_file *index, *shard;

    aki_status rc = map_file(&index, w, folder, part, INDEX, sizeof INDEX - 1, err);
    if (rc)
        goto done;
    if ((rc = aki__json_parse(&doc, index->map.data, index->map.size, index->name, err)))
        goto done;
    const struct aki__json *map = aki__json_get(doc.nodes, "weight_map");
    if (!aki__json_is(map, AKI_JSON_OBJECT) || map->size == 0) {
        rc = aki__fail(err, AKI_E_INVALID, "%s: weight_map is missing, empty or no object", index->name);
        goto done;
    }
    if ((rc = list_shards(w, &shards, &count, index, map, err)))
        goto done;
    for (size_t i = 0; i < count && !rc; i++) {
        rc = map_file(&shard, w, folder, part, shards[i]->text, shards[i]->size, err);
        if (rc == AKI_E_NOT_FOUND)
            aki__fail(err, rc, "%s: missing, though %s names it: download it too", shard->name, index->name);
        else if (!rc)
            rc = aki__weights_read_header(w, shard, err);
        if (rc && aki__weights_pass(w, rc, err))
            rc = AKI_OK;
    }
    if (!rc && !w->faults)
        rc = aki__weights_index(w, err);
    if (!rc && !w->faults)
        rc = check_index(w, index, map, strlen(part), err);
done:
    aki__free(shards);
    aki__json_free(&doc);
    return rc;
}

/* Fails with what the folder has instead of the missing file. */
static aki_status none_found(const char *folder, const char *part, aki_error *err)
{
    static const struct { const char *file, *how; } others[] = {
        { "pytorch_model.bin", "a pickle, which is not read" },
        { "pytorch_model.bin.index.json", "pickles, which are not read" },
    };
    char name[300];

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(name, sizeof name, "%.200s%s", part, others[i].file);
        char *path = aki__join(folder, name);
        bool there = path && aki__is_file(path);
        aki__free(path);
        if (!path)
            return aki__fail(err, AKI_E_NOMEM, "%s", name);
        if (!there)
            continue;
        if (*part)
            return aki__fail(err, AKI_E_UNSUPPORTED,
                             "%s: %s; convert it: python -c \"import torch, safetensors.torch as s; "
                             "s.save_file(torch.load('pytorch_model.bin', weights_only=True), 'model.safetensors')\" there",
                             name, others[i].how);
        return aki__fail(err, AKI_E_UNSUPPORTED, "%s: %s; convert it: python -c \"from transformers import AutoModel; "
                         "AutoModel.from_pretrained('.').save_pretrained('.')\" in the folder", name, others[i].how);
    }
    return aki__fail(err, AKI_E_NOT_FOUND, "%s: no %s" SINGLE " and no %s" INDEX, folder, part, part);
}

static void free_parts(struct aki__weights *w)
{
    for (size_t i = 0; i < w->file_count; i++) {
        aki__map_close(&w->files[i]->map);      /* a borrowed map has no handle, so this has no effect */
        aki__free(w->files[i]->names);
        aki__free(w->files[i]->path);
        aki__free(w->files[i]);
    }
    aki__free(w->files);
    aki__free(w->tensors);
    aki__free(w->slots);
}

/* *found: folder/part + name exists. A broken link counts: opening it reports the error. */
static aki_status is_there(bool *found, const char *folder, const char *part, const char *name, aki_error *err)
{
    struct aki__weights w = { 0 };
    struct aki__weights_file *f;
    aki_error why;

    aki_status rc = map_file(&f, &w, folder, part, name, strlen(name), &why);
    free_parts(&w);
    *found = rc != AKI_E_NOT_FOUND;
    return rc == AKI_E_NOMEM ? aki__fail(err, rc, "%s", why.message) : AKI_OK;
}

aki_status aki__weights_open_in(struct aki__weights **out, const char *folder, const char *part, struct aki__report *report,
                                aki_error *err)
{
    struct aki__weights *w = aki__zalloc(1, sizeof *w);
    struct aki__weights_file *f;
    bool single, sharded;
    aki_status rc;

    *out = NULL;
    if (!w) { rc = aki__fail(err, AKI_E_NOMEM, "%s", folder); goto done; }
    w->report = report;
    if ((rc = is_there(&single, folder, part, SINGLE, err)) || (rc = is_there(&sharded, folder, part, INDEX, err)))
        goto done;
    if (single) {
        if (!(rc = map_file(&f, w, folder, part, SINGLE, sizeof SINGLE - 1, err)) && !(rc = aki__weights_read_header(w, f, err)))
            rc = aki__weights_index(w, err);
    } else {
        rc = sharded ? open_shards(w, folder, part, err) : none_found(folder, part, err);
    }
    if (!rc && w->faults)
        rc = AKI_E_INVALID;                     /* all errors have been reported */
    if (rc)
        goto done;
    *out = w;
    w = NULL;
done:
    aki__weights_close(w);
    return rc;
}

aki_status aki__weights_open(struct aki__weights **out, const char *folder, aki_error *err)
{
    return aki__weights_open_in(out, folder, "", NULL, err);
}

aki_status aki__safetensors_check(const char *bytes, size_t size, const char *name, aki_error *err)
{
    struct aki__weights w = { 0 };
    struct aki__weights_file *f;

    aki_status rc = add_file(&f, &w, aki__copy_string(name, strlen(name)), 0, err);
    if (!rc) {
        f->map.data = bytes;
        f->map.size = size;
        f->size = size;
        rc = aki__weights_read_header(&w, f, err);
    }
    if (!rc)
        rc = aki__weights_index(&w, err);
    free_parts(&w);
    return rc;
}

void aki__weights_close(struct aki__weights *w)
{
    if (!w)
        return;
    free_parts(w);
    aki__free(w);
}
