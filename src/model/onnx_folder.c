/* Unit onnx_folder: model folders whose network is an .onnx file: finds the file, and reads the files beside it. ONNX Runtime
 * reads the .onnx file. */
#include "model/parts.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST_FILES = 64, DEFAULT_TOKENS = 512, LIST_SIZE = 150 };

/* ---------------------------------------------------------------- which file ------------------------------------ */

struct file_list { char *names[MOST_FILES]; size_t count; const char *part; bool no_memory; };

static bool ends_with(const char *name, const char *tail)
{
    size_t size = strlen(name), tail_size = strlen(tail);

    return size > tail_size && strcmp(name + size - tail_size, tail) == 0;
}

/* At most MOST_FILES are listed; others can still be opened by name. */
static void add(void *user, const char *name)
{
    struct file_list *l = user;

    if (!ends_with(name, ".onnx") || name[0] == '.' || l->count == MOST_FILES)
        return;
    l->names[l->count] = *l->part ? aki__join(l->part, name) : aki__copy_string(name, strlen(name));
    l->no_memory |= !l->names[l->count];
    l->count += l->names[l->count] != NULL;
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool read_list(struct file_list *l, const char *folder)
{
    char *sub = aki__join(folder, "onnx");

    *l = (struct file_list){ .part = "" };
    aki__folder_each(folder, add, l);
    l->part = "onnx";
    if (sub)
        aki__folder_each(sub, add, l);
    l->no_memory |= !sub;
    aki__free(sub);
    if (l->count)
        qsort(l->names, l->count, sizeof *l->names, compare);
    return !l->no_memory;
}

static void free_list(struct file_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        aki__free(l->names[i]);
}

bool aki__onnx_list(const char *folder, void (*callback)(void *user, const char *file), void *user)
{
    struct file_list l;
    bool ok = read_list(&l, folder);

    for (size_t i = 0; i < l.count && ok; i++)
        callback(user, l.names[i]);
    free_list(&l);
    return ok;
}

static bool has(const char *folder, const char *name)
{
    char *path = aki__join(folder, name);
    bool there = path && aki__is_file(path);

    aki__free(path);
    return there;
}

bool aki__has_safetensors(const char *folder) { return has(folder, "model.safetensors") || has(folder, "model.safetensors.index.json"); }

static aki_status choose_one(char **file, const char *folder, aki_error *err)
{
    static const char *const preferred[] = { "onnx/model.onnx", "model.onnx" };
    const char *found = NULL;
    char names[LIST_SIZE] = "";
    struct file_list l;
    size_t at = 0;

    aki_status rc = read_list(&l, folder) ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "%s", folder);
    for (size_t i = 0; i < 2 && !found; i++)
        for (size_t k = 0; k < l.count; k++)
            if (strcmp(l.names[k], preferred[i]) == 0)
                found = preferred[i];
    if (l.count == 1)
        found = l.names[0];
    for (size_t i = 0; i < l.count && at < sizeof names; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", l.names[i]);
    if (!rc && l.count && !found)
        rc = aki__fail(err, AKI_E_INVALID, "%.60s: several .onnx files; choose one by name: %s", folder, names);
    if (!rc && found && !(*file = aki__copy_string(found, strlen(found))))
        rc = aki__fail(err, AKI_E_NOMEM, "%s", folder);
    free_list(&l);
    return rc;
}

static bool has_onnx(const char *folder)
{
    struct file_list l;
    bool any = read_list(&l, folder) && l.count;

    free_list(&l);
    return any;
}

/* Splits path, which is an .onnx file or a folder of such files. *folder: the folder that has the tokenizer: that of the file,
 * or its parent. *file: relative to it; if path is a folder, NULL or the name of the subfolder. */
static bool split(char **folder, char **file, const char *path)
{
    char *above = NULL, *slash;
    const bool is_file = ends_with(path, ".onnx") && aki__is_file(path);
    bool ok = true;

    *folder = aki__copy_string(path, strlen(path));
    /* Links are not followed: in the cache of a hub, each file is a link to a blob. */
    if (is_file && *folder) {
        const char *name = aki__last_part(*folder);
        slash = name > *folder ? *folder + (name - *folder) - 1 : NULL;
        ok = (*file = aki__copy_string(name, strlen(name))) != NULL;
        if (slash)
            slash[slash == *folder] = '\0';
        else
            memcpy(*folder, ".", 2);
    }
    if (ok && *folder && (is_file || has_onnx(path)) && !has(*folder, "tokenizer.json") && (above = aki__real_path(*folder)) &&
        (slash = strrchr(above, '/')) && slash > above) {
        *slash = '\0';
        if (has(above, "tokenizer.json")) {
            char *name = *file ? aki__join(slash + 1, *file) : aki__copy_string(slash + 1, strlen(slash + 1));
            aki__free(*file);
            aki__free(*folder);
            *file = name;
            *folder = above;
            above = NULL;
            ok = name != NULL;
        }
    }
    aki__free(above);
    return ok && *folder;
}

aki_status aki__onnx_choose(char **folder, char **file, const char *path, const char *name, aki_error *err)
{
    aki_status rc = AKI_OK;

    *folder = *file = NULL;
    if (!split(folder, file, path)) {
        rc = aki__fail(err, AKI_E_NOMEM, "%s", path);
        goto done;
    }
    if (*file && !ends_with(*file, ".onnx")) {      /* the subfolder: the file that its parent would choose */
        aki__free(*file);
        *file = NULL;
        rc = choose_one(file, *folder, err);
        if (rc)
            goto done;
    }
    if (name) {
        aki__free(*file);
        *file = NULL;
        if (!aki__name_is_inside(name, strlen(name)) || !ends_with(name, ".onnx"))
            rc = aki__fail(err, AKI_E_INVALID, "file: \"%.100s\" is not the name of an .onnx file from the model's folder on", name);
        else if (!has(*folder, name))
            rc = aki__fail(err, AKI_E_NOT_FOUND, "%s: no %s in this folder", *folder, name);
        else if (!(*file = aki__copy_string(name, strlen(name))))
            rc = aki__fail(err, AKI_E_NOMEM, "%s", path);
    } else if (!*file && !aki__has_safetensors(*folder)) {
        rc = choose_one(file, *folder, err);
    }
done:
    if (rc) {
        aki__free(*folder);
        aki__free(*file);
        *folder = *file = NULL;
    }
    return rc;
}

/* ---------------------------------------------------------------- what the files say ---------------------------- */

/* Reads pad_token of tokenizer_config.json: a string, or an object that has it as content. */
static aki_status read_pad_token(struct aki__model *m, aki_error *err)
{
    struct aki__json_file f;

    aki_status rc = aki__json_file_open(&f, m, "tokenizer_config.json", AKI_JSON_OBJECT, true, err);
    const struct aki__json *pad = rc || !f.doc.nodes ? NULL : aki__key(f.doc.nodes, "pad_token");
    if (aki__json_is(pad, AKI_JSON_OBJECT))
        pad = aki__key(pad, "content");
    if (!rc && aki__json_is(pad, AKI_JSON_STRING) && !(m->pad_token = aki__copy_string(pad->text, pad->size)))
        rc = aki__fail(err, AKI_E_NOMEM, "%s", f.name);
    aki__json_file_close(&f);
    return rc;
}

struct beside { struct aki__model *m; const char *folder, *name; aki_status rc; aki_error *err; };

/* Adds the file and its external data, which exporters name after it: model.onnx_data, model.onnx.data, model.onnx_data_1. */
static void note_beside(void *user, const char *name)
{
    struct beside *b = user;
    struct aki__map map;

    if (b->rc || strncmp(name, b->name, strlen(b->name)) != 0)
        return;
    char *path = aki__join(b->folder, name);
    b->rc = path ? AKI_OK : aki__fail(b->err, AKI_E_NOMEM, "%s", name);
    if (path && aki__is_file(path) && aki__map_open(&map, path, NULL) == AKI_OK) {
        b->rc = aki__note_file(b->m, path, map.size, b->err);
        aki__map_close(&map);
    }
    aki__free(path);
}

static aki_status note_files(struct aki__model *m, aki_error *err)
{
    char *path = aki__join(m->path, m->onnx);
    char *slash = path ? strrchr(path, '/') : NULL;
    struct beside b = { .m = m, .err = err };

    if (!path)
        return aki__fail(err, AKI_E_NOMEM, "%s", m->path);
    *slash = '\0';
    b.folder = path;
    b.name = slash + 1;
    aki__folder_each(path, note_beside, &b);
    aki__free(path);
    return b.rc;
}

/* A vector a text that is no sentence_embedding may be the logits of a classifier: config.json says whether. */
static aki_status read_labels(struct aki__model *m, const struct aki__onnx_facts *facts, aki_error *err)
{
    if (!facts->pooled || facts->hidden || facts->sentence)
        return AKI_OK;
    aki_status rc = aki__labels_read(m, err);
    if (!rc && facts->logits && !m->labels.count)
        rc = aki__fail(err, AKI_E_UNSUPPORTED, "%.100s gives logits, but config.json names no ...ForSequenceClassification: what they mean is not known", m->onnx);
    if (!rc && m->labels.count && m->labels.count != facts->pooled)
        rc = aki__fail(err, AKI_E_INVALID, "config.json: %d labels, but the graph of %.100s gives %d", m->labels.count, m->onnx, facts->pooled);
    return rc;
}

aki_status aki__onnx_describe(struct aki__model *m, const char *file, const struct aki__onnx_facts *facts, aki_error *err)
{
    m->onnx = aki__copy_string(file, strlen(file));
    if (!m->onnx)
        return aki__fail(err, AKI_E_NOMEM, "%s", m->path);
    m->hidden = facts->hidden;
    m->pooled = facts->pooled;
    m->hidden_rows = facts->hidden != 0;
    m->causal = facts->causal;
    m->pooling = facts->causal ? AKI_POOLING_LAST : AKI_POOLING_MEAN;
    aki_status rc = aki__config_read_sizes(m, err);
    if (rc)
        return rc;
    if (!m->hidden)
        m->hidden = facts->pooled;
    if (!m->positions)
        m->positions = INT32_MAX;
    if (facts->length && facts->length < m->positions - m->position_offset)
        m->positions = facts->length + m->position_offset;
    if (m->position_offset >= m->positions)
        return aki__fail(err, AKI_E_INVALID, "config.json: pad_token_id leaves no position below max_position_embeddings");
    rc = read_labels(m, facts, err);
    if (rc)
        return rc;
    rc = aki__tokenizer_config_read(m, err);
    rc = aki__also(rc, aki__sentence_read(m, AKI_ALSO(rc, err)));
    if (!rc && m->pooled && m->dense_inside && m->dim != m->pooled)
        rc = aki__fail(err, AKI_E_INVALID, "modules.json: vectors of %d elements, but the graph of %.100s gives %d", m->dim, file,
                       m->pooled);
    if (!rc && m->pad_id < 0) rc = read_pad_token(m, err);
    if (rc)
        return rc;
    if (m->pooled)
        m->dim = m->pooled;
    /* No file specifies a limit: that of most encoders. Longer texts are truncated, which is reported; max_tokens can raise the limit. */
    if (m->positions == INT32_MAX && m->max_tokens == m->positions - m->position_offset)
        m->max_tokens = DEFAULT_TOKENS;
    return note_files(m, err);
}
