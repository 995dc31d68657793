/* Unit model: builds the description of a folder from its files, in the order in which they are needed; finds tensors by
 * canonical name. */
#include "model/parts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define PREFIX_LIMIT 128
#define NAME_LIMIT   512

/* ---------------------------------------------------------------- tensors --------------------------------------- */

/* The prefix of all canonical names in this file is the prefix of the token embeddings' name. */
static aki_status find_prefix(struct aki__model *m, aki_error *err)
{
    const char *anchor = m->family->anchor, *found = NULL;
    size_t anchor_size = strlen(anchor);

    for (size_t i = 0; i < aki__weights_count(m->weights); i++) {
        const char *name = aki__weights_at(m->weights, i)->name;
        size_t size = strlen(name);
        if (size < anchor_size || strcmp(name + size - anchor_size, anchor) != 0 ||
            (size > anchor_size && name[size - anchor_size - 1] != '.'))
            continue;
        if (found)
            return aki__fail(err, AKI_E_UNSUPPORTED, "%s: two tensors end in %s: %.60s and %.60s; one model was expected", m->path, anchor,
                             found, name);
        if (size - anchor_size > PREFIX_LIMIT)
            return aki__fail(err, AKI_E_INVALID, "%s: tensor %.100s…: the name is too long", m->path, name);
        found = name;
    }
    if (!found)
        return aki__fail(err, AKI_E_NOT_FOUND, "%s: no tensor ends in %s, so these are not the weights of a %s model", m->path, anchor,
                         m->architecture);
    aki__folder_of(m)->prefix = aki__copy_string(found, strlen(found) - anchor_size);
    if (!(m->prefix = aki__folder_of(m)->prefix))
        return aki__fail(err, AKI_E_NOMEM, "%s", m->path);
    return AKI_OK;
}

/* Old files, converted from TensorFlow, name the weight and bias of a norm gamma and beta. transformers renames them too. */
static bool old_norm_name(char *name)
{
    static const char *const pairs[][2] = { { "LayerNorm.weight", "LayerNorm.gamma" }, { "LayerNorm.bias", "LayerNorm.beta" } };
    size_t size = strlen(name);

    for (int i = 0; i < 2; i++) {
        size_t tail = strlen(pairs[i][0]);
        if (size >= tail && strcmp(name + size - tail, pairs[i][0]) == 0) {
            memcpy(name + size - tail, pairs[i][1], strlen(pairs[i][1]) + 1);      /* gamma is shorter than weight, and beta than bias */
            return true;
        }
    }
    return false;
}

/* Writes the name that a canonical name has in the file. false: it is too long. */
static bool name_in_file(char *out, const struct aki__model *m, const char *name, const char *suffix)
{
    bool root = *name == '/';

    return snprintf(out, NAME_LIMIT, "%s%s%s", root ? "" : m->prefix, name + root, suffix) < NAME_LIMIT;
}

bool aki__model_has(const struct aki__model *m, const char *name)
{
    char full[NAME_LIMIT];

    return name_in_file(full, m, name, "") && aki__weights_find(m->weights, full);
}

static aki_status get_tensor(const struct aki__model *m, const struct aki__tensor **out, bool maybe, const char *name, int rank,
                             va_list args, aki_error *err)
{
    char full[NAME_LIMIT], old[NAME_LIMIT];
    int64_t dims[8];

    *out = NULL;
    for (int i = 0; i < rank; i++)
        dims[i] = va_arg(args, int);
    if (!name_in_file(full, m, name, ""))
        return aki__fail(err, AKI_E_INTERNAL, "a tensor name of more than %d bytes", NAME_LIMIT);
    memcpy(old, full, sizeof old);
    if (!aki__weights_find(m->weights, full) && old_norm_name(old) && aki__weights_find(m->weights, old))
        return aki__weights_tensor(m->weights, out, maybe, old, rank, dims, err);
    return aki__weights_tensor(m->weights, out, maybe, full, rank, dims, err);
}

aki_status aki__model_tensor(const struct aki__model *m, const struct aki__tensor **out, aki_error *err, const char *name,
                             int rank, ...)
{
    va_list args;

    va_start(args, rank);
    aki_status rc = get_tensor(m, out, false, name, rank, args, err);
    va_end(args);
    return rc;
}

aki_status aki__model_tensor_maybe(const struct aki__model *m, const struct aki__tensor **out, aki_error *err, const char *name, int rank,
                                   ...)
{
    va_list args;

    va_start(args, rank);
    aki_status rc = get_tensor(m, out, true, name, rank, args, err);
    va_end(args);
    return rc;
}

/* Finds the tensor prefix + name + suffix with this dtype, rank and shape. If the first dimension is 0, the tensor may be
 * missing (*data is NULL then), or it is a vector whose length is written there. */
static aki_status stored(const struct aki__model *m, const void **data, const char *name, const char *suffix,
                         enum aki__dtype dtype, int rank, int64_t *shape, aki_error *err)
{
    char full[NAME_LIMIT];

    *data = NULL;
    if (!name_in_file(full, m, name, suffix))
        return aki__fail(err, AKI_E_INTERNAL, "a tensor name of more than %d bytes", NAME_LIMIT);
    const struct aki__tensor *t = aki__weights_find(m->weights, full);
    if (!t)
        return shape[0] == 0 ? AKI_OK : aki__fail(err, AKI_E_NOT_FOUND, "%s: no tensor %.100s: quantise the model again", m->path, full);
    bool same = t->dtype == dtype && t->rank == rank && (uintptr_t)t->data % aki__dtype_size(dtype) == 0;
    if (same && shape[0] == 0)
        shape[0] = t->shape[0];
    for (int i = 0; i < rank && same; i++)
        same = t->shape[i] == shape[i];
    if (!same)
        return aki__fail(err, AKI_E_INVALID,
                         "%s: tensor %.100s is not of the dtype and shape that the format wants: quantise the model again", m->path, full);
    *data = t->data;
    return AKI_OK;
}

/* Checks a list of increasing numbers below `limit`, if there is one. */
static aki_status stored_list(const struct aki__model *m, const int32_t **list, size_t *count, const char *name,
                              const char *suffix, int64_t most, size_t limit, aki_error *err)
{
    int64_t found = 0;
    const void *data;

    aki_status rc = stored(m, &data, name, suffix, AKI_I32, 1, &found, err);
    if (rc || !data)
        return rc;
    *list = data;
    *count = (size_t)found;
    bool good = found >= 1 && found <= most;
    for (int64_t i = 0; i < found && good; i++)
        good = (*list)[i] > (i ? (*list)[i - 1] : -1) && (size_t)(*list)[i] < limit;
    if (good)
        return AKI_OK;
    return aki__fail(err, AKI_E_INVALID, "%s: tensor %s%.100s%s: not 1 to %d increasing numbers below %zu: quantise the model again",
                     m->path, m->prefix, name, suffix, (int)most, limit);
}

aki_status aki__model_int8_outliers(const struct aki__model *m, struct aki__model_int8 *out, aki_error *err, const char *name,
                                    size_t k, size_t n)
{
    *out = (struct aki__model_int8){ 0 };
    aki_status rc = stored_list(m, &out->columns, &out->column_count, name, ".int8_columns", 16, k, err);
    return rc ? rc : stored_list(m, &out->rows, &out->row_count, name, ".int8_rows", 48, n, err);
}

/* NaN is checked here, since it may not reach the vector, where it would be detected: max(0, NaN) may be 0. */
static aki_status all_numbers(const struct aki__model *m, const float *x, size_t count, float least, const char *name,
                              const char *what, aki_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!(x[i] >= least && isfinite(x[i])))
            return aki__fail(err, AKI_E_INVALID, "%s: tensor %s%.100s.int8_%s %zu is no finite number%s: quantise the model again",
                             m->path, m->prefix, name, what, i,
                             least == 0 ? " of 0 or more" : "");
    return AKI_OK;
}

/* The possible sums of k weights of 8 bits. Others would overflow 32 bits in a product. */
static aki_status all_sums(const struct aki__model *m, const int32_t *sum, size_t count, size_t k, const char *name,
                           aki_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (sum[i] > (int64_t)k * 127 || sum[i] < (int64_t)k * -128)
            return aki__fail(err, AKI_E_INVALID,
                             "%s: tensor %s%.100s.int8_sum: sum %zu is %d, which %zu weights of 8 bits cannot have: quantise the model again",
                             m->path, m->prefix, name, i,
                             (int)sum[i], k);
    return AKI_OK;
}

aki_status aki__model_int8(const struct aki__model *m, struct aki__model_int8 *out, aki_error *err, const char *name, size_t k,
                           size_t n)
{
    const size_t panels = (n + 31) / 32;
    int64_t packed[4] = { (int64_t)panels, (int64_t)((k + 3) / 4), 32, 4 }, columns = (int64_t)n;
    const void *data, *scale, *sum, *side = NULL, *exact = NULL;

    aki_status rc = aki__model_int8_outliers(m, out, err, name, k, n);
    int64_t side_shape[3] = { (int64_t)panels, (int64_t)out->column_count, 32 }, exact_shape[2] = { (int64_t)out->row_count, (int64_t)k };
    if (!rc) rc = stored(m, &data, name, ".int8", AKI_I8, 4, packed, err);
    if (!rc) rc = stored(m, &scale, name, ".int8_scale", AKI_F32, 1, &columns, err);
    if (!rc) rc = stored(m, &sum, name, ".int8_sum", AKI_I32, 1, &columns, err);
    if (!rc && out->column_count) rc = stored(m, &side, name, ".int8_side", AKI_F32, 3, side_shape, err);
    if (!rc && out->row_count) rc = stored(m, &exact, name, ".int8_exact", AKI_F32, 2, exact_shape, err);
    if (rc)
        return rc;
    out->data = data;
    out->scale = scale;
    out->sum = sum;
    out->side = side;
    out->exact = exact;
    rc = all_numbers(m, out->scale, n, 0, name, "scale: scale", err);
    if (!rc) rc = all_sums(m, out->sum, n, k, name, err);
    if (!rc) rc = all_numbers(m, out->side, panels * 32 * out->column_count, -INFINITY, name, "side: value", err);
    return rc ? rc : all_numbers(m, out->exact, out->row_count * k, -INFINITY, name, "exact: value", err);
}

/* ---------------------------------------------------------------- the folder ------------------------------------ */

static char *folder_name(const char *folder)
{
    char *real = aki__real_path(folder);
    const char *path = real ? real : folder, *slash = strrchr(path, '/'), *last = slash && slash[1] ? slash + 1 : path;
    char *name = aki__copy_string(last, strlen(last));

    aki__free(real);
    return name;
}

/* The folder of an adapter has a difference to another model: with its weights alone, the vectors would be wrong. */
static aki_status refuse_adapter(const struct aki__model *m, aki_error *err)
{
    char *path = aki__join(m->path, "adapter_config.json");
    struct aki__map map = { 0 };
    aki_status rc = path ? aki__map_open(&map, path, NULL) : AKI_E_NOMEM;

    aki__map_close(&map);
    aki__free(path);
    if (rc == AKI_E_NOMEM)
        return aki__fail(err, AKI_E_NOMEM, "%s", m->path);
    return rc != AKI_E_NOT_FOUND ? aki__fail(err, AKI_E_UNSUPPORTED,
                             "adapter_config.json: adapters are not implemented; merge the adapter into its model (peft: "
                             "merge_and_unload) and save that")
                 : AKI_OK;
}

/* tokenizer.json is read by the engine, but is one of the model's files. */
static aki_status note_tokenizer(struct aki__model *m, aki_error *err)
{
    struct aki__map map;
    char *path = aki__join(m->path, "tokenizer.json");
    aki_status rc = path ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "%s", m->path);

    if (!rc && aki__map_open(&map, path, NULL) == AKI_OK) {
        rc = aki__note_file(m, path, map.size, err);
        aki__map_close(&map);
    }
    aki__free(path);
    return rc;
}

static aki_status describe(struct aki__model *m, aki_error *err)
{
    const char *path;
    uint64_t size;
    aki_status rc;

    if ((rc = aki__modules_in_place(m, err)) || (rc = aki__config_read(m, err)) || (rc = aki__labels_read(m, err)) ||
        (rc = aki__tokenizer_config_read(m, err)) || (rc = aki__sentence_read(m, err)) || (rc = aki__weights_open(&m->weights, m->path, err)) || (rc = find_prefix(m, err)))
        return rc;
    for (size_t i = 0; !rc && (path = aki__weights_path(m->weights, i, &size)); i++)
        rc = aki__note_file(m, path, size, err);
    return rc;
}

/* file NULL: safetensors. */
static aki_status open_folder(struct aki__model **out, const char *folder, const char *file, const struct aki__onnx_facts *facts,
                              const struct aki__family *const *families, aki_error *err)
{
    struct aki__folder *f = aki__zalloc(1, sizeof *f);
    struct aki__model *m = f ? &f->m : NULL;
    aki_status rc;

    *out = NULL;
    if (!m || !(m->path = aki__copy_string(folder, strlen(folder))) || !(m->name = folder_name(folder))) {
        rc = aki__fail(err, AKI_E_NOMEM, "%s", folder);
        goto done;
    }
    f->families = families;
    if (!aki__is_folder(folder)) {
        rc = aki__no_folder(folder, err);
        goto done;
    }
    if ((rc = refuse_adapter(m, err)) || (rc = file ? aki__onnx_describe(m, file, facts, err) : describe(m, err)) ||
        (rc = note_tokenizer(m, err)))
        goto done;
    *out = m;
    m = NULL;
done:
    aki__model_folder_close(m);
    return rc;
}

aki_status aki__model_folder_open(struct aki__model **out, const char *folder, const struct aki__family *const *families,
                                  aki_error *err)
{
    return open_folder(out, folder, NULL, NULL, families, err);
}

aki_status aki__onnx_folder_open(struct aki__model **out, const char *folder, const char *file,
                                 const struct aki__onnx_facts *facts, const struct aki__family *const *families, aki_error *err)
{
    return open_folder(out, folder, file, facts, families, err);
}

/* Reports an error that aki__key_fail has not reported yet; true: there is one. */
static bool failed(struct aki__report *t, size_t before, aki_status rc, const aki_error *why)
{
    if (rc && t->count == before)
        aki__report_error(t, why);
    return rc != AKI_OK;
}

void aki__model_folder_examine(struct aki__model **out, const char *folder, const char *onnx, const struct aki__onnx_facts *facts,
                               const struct aki__family *const *families, struct aki__report report)
{
    struct aki__folder *f = aki__zalloc(1, sizeof *f);
    struct aki__model *m = *out = f ? &f->m : NULL;
    struct aki__report *t = f ? &f->report : NULL;
    aki_error why;

    if (!m)
        return;
    *t = report;
    f->families = families;
    m->path = aki__copy_string(folder, strlen(folder));
    m->name = m->path ? folder_name(folder) : NULL;
    if (!m->name) {
        aki__model_folder_close(m);
        *out = NULL;
        return;
    }
    failed(t, t->count, refuse_adapter(m, &why), &why);
    size_t before = t->count;
    if (onnx) {
        if (failed(t, before, aki__onnx_describe(m, onnx, facts, &why), &why))
            m->architecture = NULL;
        return;
    }
    aki_status rc = aki__modules_in_place(m, &why);
    failed(t, before, rc, &why);
    before = t->count;
    if (rc == AKI_E_UNSUPPORTED || failed(t, before, aki__config_read(m, &why), &why))
        m->architecture = NULL;
    before = t->count;
    if (m->architecture && failed(t, before, aki__labels_read(m, &why), &why))
        m->architecture = NULL;
    before = t->count;
    failed(t, before, aki__tokenizer_config_read(m, &why), &why);
    before = t->count;
    if (m->architecture)
        failed(t, before, aki__sentence_read(m, &why), &why);
    before = t->count;
    failed(t, before, aki__weights_open_in(&m->weights, folder, "", t, &why), &why);
    if (m->architecture && m->weights)
        failed(t, t->count, find_prefix(m, &why), &why);
}

void aki__model_folder_close(struct aki__model *m)
{
    if (!m)
        return;
    struct aki__folder *f = aki__folder_of(m);
    for (size_t i = 0; i < m->dense_count; i++)
        aki__weights_close(f->dense[i]);
    for (int32_t i = 0; i < m->labels.count && m->labels.names; i++)
        aki__free(m->labels.names[i]);
    aki__free(m->labels.names);
    for (size_t i = 0; i < m->prompt_count; i++) {
        aki__free((void *)m->prompts[i].name);
        aki__free((void *)m->prompts[i].text);
    }
    for (size_t i = 0; i < m->file_count; i++)
        aki__free((void *)m->files[i].path);
    aki__weights_close(m->weights);
    aki__free(f->dense);
    aki__free(m->dense);
    aki__free(m->prompts);
    aki__free(m->files);
    aki__free(f->prefix);
    aki__free(f->keys);
    aki__free(f->architecture);
    aki__free(m->onnx);
    aki__free(m->pad_token);
    aki__free(m->name);
    aki__free(m->path);
    aki__free(f);
}

aki_status aki__tokenizer_config_of(struct aki__tokenizer_config *out, const char *folder,
                                    const struct aki__family *const *families, aki_error *err)
{
    struct aki__folder *f = aki__zalloc(1, sizeof *f);
    aki_status rc;

    *out = (struct aki__tokenizer_config){ 0 };
    if (!f || !(f->m.path = aki__copy_string(folder, strlen(folder)))) {
        rc = aki__fail(err, AKI_E_NOMEM, "%s", folder);
    } else {
        f->families = families;
        rc = aki__tokenizer_config_read(&f->m, err);
        *out = f->m.tokenizer;
    }
    aki__model_folder_close(f ? &f->m : NULL);
    return rc;
}
