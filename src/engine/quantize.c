/* Unit quantize: aki_quantize: an int8 copy of a model folder. The format is described in docs/quantised-folder.md. */
#include "engine/judge.h"

#include "arch/arch.h"
#include "base/json.h"
#include "base/os.h"
#include "graph/cpu.h"

#include <errno.h>
#include <stdio.h>

/* A file written so far, to be removed on failure. */
struct written { char *path; size_t folder; };      /* bytes of a path before the name in the folder; aki__join removes slashes */

struct copy {
    const char  *to;                        /* folder */
    struct written *written;
    size_t       count, capacity;
    bool         made;                      /* the folder `to` was made by this call */
    aki_error   *err;
};

/* Joins to/name, and makes its subfolder. c owns the result. NULL: c->err is set. */
static const char *add_path(struct copy *c, const char *name, aki_status *rc)
{
    char *path = aki__join(c->to, name), *slash;
    size_t folder = path ? strlen(path) - strlen(name) : 0;

    *rc = path ? AKI_OK : aki__fail(c->err, AKI_E_NOMEM, "%s", name);
    if (path && (slash = strrchr(path + folder, '/'))) {
        *slash = '\0';
        *rc = aki__make_folder(path, c->err);
        *slash = '/';
    }
    if (!*rc && !aki__grow((void **)&c->written, &c->capacity, c->count + 1, sizeof *c->written))
        *rc = aki__fail(c->err, AKI_E_NOMEM, "%s", name);
    if (*rc) {
        aki__free(path);
        return NULL;
    }
    c->written[c->count++] = (struct written){ path, folder };
    return path;
}

static aki_status write_file(struct copy *c, const char *name, const struct aki__buf *parts, size_t count)
{
    aki_status rc;
    const char *path = add_path(c, name, &rc);

    if (rc)
        return rc;
    FILE *f = aki__file_create(path);
    bool ok = f != NULL;
    for (size_t i = 0; i < count && ok; i++)
        ok = fwrite(parts[i].data, 1, parts[i].size, f) == parts[i].size;
    int why = errno;
    if (f && fclose(f) != 0) {
        ok = false;
        why = errno;
    }
    return ok ? AKI_OK : aki__fail(c->err, AKI_E_IO, "%s: cannot write: %s", path, aki__error_text(why));
}

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/* Finds the quantisation in config.json: the bytes of its value, or if there is none the beginning of the object in which to
 * insert it. false: there is no such object. */
static bool find_note(const struct aki__json_doc *doc, const char *text, size_t size, size_t *begin, size_t *end)
{
    const struct aki__json *root = doc->nodes, *key = aki__json_first(root);

    *begin = *end = root->offset + 1;
    for (uint32_t i = 0; i < root->size; i++, key = aki__json_next(key + 1)) {
        if (!aki__json_equals(key, "quantization_config"))
            continue;
        /* The value ends before the comma or the brace after it. */
        *begin = key[1].offset;
        *end = i + 1 < root->size ? aki__json_next(key + 1)->offset : size;
        while (*end > *begin && is_blank(text[*end - 1]))
            --*end;
        --*end;
        while (*end > *begin && is_blank(text[*end - 1]))
            --*end;
        return true;
    }
    return false;
}

/* Writes config.json with the quantisation. */
static aki_status copy_config(struct copy *c, const struct aki__map *m, const char *name)
{
    struct aki__json_doc doc;
    char note[160];
    size_t begin, end;

    aki_status rc = aki__json_parse(&doc, m->data, m->size, name, c->err);
    if (!rc) {
        bool there = find_note(&doc, m->data, m->size, &begin, &end);
        int n = snprintf(note, sizeof note, "%s{\"quant_method\": \"akiembed\", \"format\": \"rotated-w8a8-3\", \"bits\": 8}%s",
                         there ? "" : "\n  \"quantization_config\": ", there || !doc.nodes->size ? "" : ",");
        struct aki__buf parts[3] = { { .data = (char *)(uintptr_t)m->data, .size = begin }, { .data = note, .size = (size_t)n },
                                     { .data = (char *)(uintptr_t)m->data + end, .size = m->size - end } };
        rc = write_file(c, name, parts, 3);
    }
    aki__json_free(&doc);
    return rc;
}

static aki_status copy_file(struct copy *c, const char *path, const char *name)
{
    struct aki__map m;

    aki_status rc = aki__map_open(&m, path, c->err);
    if (rc)
        return rc;
    struct aki__buf whole = { .data = (char *)(uintptr_t)m.data, .size = m.size };
    rc = strcmp(name, "config.json") == 0 ? copy_config(c, &m, name) : write_file(c, name, &whole, 1);
    aki__map_close(&m);
    return rc;
}

/* Copies the files from which the model was opened, except for its weights. */
static aki_status copy_files(struct copy *c, const struct aki__model *f)
{
    aki_status rc = AKI_OK;

    for (size_t i = 0; i < f->file_count && !rc; i++) {
        const char *name = aki__part_below(f->path, f->files[i].path);
        if (strchr(name, '/') || !strstr(name, ".safetensors"))
            rc = copy_file(c, f->files[i].path, name);
    }
    return rc;
}

/* ---------------------------------------------------------------- tensors --------------------------------------- */

struct tensor_list { struct aki__written *data; size_t count, capacity; };

static bool push(struct tensor_list *l, struct aki__written t)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->data[i].name, t.name) == 0 && strcmp(l->data[i].suffix, t.suffix) == 0)
            return true;
    if (!aki__grow((void **)&l->data, &l->capacity, l->count + 1, sizeof *l->data))
        return false;
    l->data[l->count++] = t;
    return true;
}

/* Heads may have names without the prefix. */
static bool push_tensor(struct tensor_list *l, const struct aki__tensor *t, const struct aki__model *m)
{
    const size_t prefix = strlen(m->prefix);

    return !t || push(l, (struct aki__written){ .name = t->name + (strncmp(t->name, m->prefix, prefix) == 0 ? prefix : 0), .suffix = "", .dtype = t->dtype, .rank = t->rank,
                                                 .shape = { t->shape[0], t->rank > 1 ? t->shape[1] : 0 }, .data = t->data, .size = t->size });
}

/* Adds the parts of a product that stay f32. */
static bool push_outliers(struct tensor_list *l, const struct aki__keep_product *p)
{
    const struct aki__packed *w = p->packed;
    const int64_t columns = (int64_t)w->outliers.count, rows = (int64_t)p->rows.count, panels = (int64_t)aki__panels(w->n), k = (int64_t)w->k;

    return (!columns || (push(l, (struct aki__written){ .name = p->name, .suffix = ".int8_columns", .dtype = AKI_I32, .rank = 1,
                                                        .shape = { columns },
                                                         .data = w->outliers.columns, .size = w->outliers.count * sizeof(int32_t) }) &&
                         push(l, (struct aki__written){ .name = p->name, .suffix = ".int8_side", .dtype = AKI_F32, .rank = 3,
                                                        .shape = { panels, columns, (int64_t)AKI_PANEL },
                                                         .data = w->side, .size = aki__panels(w->n) * AKI_PANEL * w->outliers.count * sizeof(float) }))) &&
           (!rows || (push(l, (struct aki__written){ .name = p->name, .suffix = ".int8_rows", .dtype = AKI_I32, .rank = 1,
                                                     .shape = { rows },
                                                      .data = p->rows.columns, .size = p->rows.count * sizeof(int32_t) }) &&
                      push(l, (struct aki__written){ .name = p->name, .suffix = ".int8_exact", .dtype = AKI_F32, .rank = 2,
                                                     .shape = { rows, k },
                                                      .data = p->exact, .size = p->rows.count * w->k * sizeof(float) })));
}

/* Adds all tensors that the network reads: products as the dialect packs them, everything else, a classifier's head included, as in the file.
 * Dense modules have their own files. */
static bool collect(struct tensor_list *l, const struct aki__graph *g, const struct aki__keep *keep)
{
    const struct aki__model *m = g->model;
    bool ok = true;

    for (size_t i = 0; i < g->count && ok; i++) {
        const struct aki__block *b = &g->blocks[i];
        const struct aki__g_embed *e = &b->embed;
        const bool head = b->rows == AKI_ROWS_VECTORS;          /* f32, and a Dense module has its own file */
        if (head && (m->labels.head == AKI_HEAD_NONE || m->labels.head == AKI_HEAD_DENSE))
            continue;
        ok = push_tensor(l, e->words, m) && push_tensor(l, e->positions, m) && push_tensor(l, e->types, m) &&
             push_tensor(l, b->op == AKI_G_LINEAR && !head && !keep->f32[i] ? NULL : b->weight, m) && push_tensor(l, b->bias, m) &&
             push_tensor(l, b->attention.q_norm, m) && push_tensor(l, b->attention.k_norm, m) &&
             push_tensor(l, b->attention.bias.buckets, m);
    }
    for (size_t i = 0; i < keep->product_count && ok; i++) {
        const char *name = keep->products[i].name;
        const struct aki__packed *w = keep->products[i].packed;
        if (!w->scale)
            continue;                       /* part of a Dense module, or added already */
        const int64_t n = (int64_t)w->n, panels = (int64_t)aki__panels(w->n), depth = (int64_t)aki__packed_inputs(w->k, 1);
        ok = push(l, (struct aki__written){ .name = name, .suffix = ".int8", .dtype = AKI_I8, .rank = 4,
                                            .shape = { panels, depth / 4, (int64_t)AKI_PANEL, 4 },
                                             .data = w->data, .size = aki__packed_size(w->n, w->k, 1) }) &&
             push(l, (struct aki__written){ .name = name, .suffix = ".int8_scale", .dtype = AKI_F32, .rank = 1, .shape = { n },
                                            .data = w->scale, .size = w->n * sizeof(float) }) &&
             push(l, (struct aki__written){ .name = name, .suffix = ".int8_sum", .dtype = AKI_I32, .rank = 1, .shape = { n },
                                            .data = w->sum, .size = w->n * sizeof(int32_t) });
        ok = ok && push_outliers(l, &keep->products[i]);
    }
    return ok;
}

/* Sorts the tensors: first weights, whose sizes are multiples of a cache line, then by the size of their elements. So each is
 * aligned to its elements (weights to cache lines) without gaps, which the format forbids. */
static bool by_size(struct tensor_list *sorted, const struct tensor_list *l)
{
    static const size_t sizes[] = { 1, 4, 2 };
    bool ok = true;

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t i = 0; i < l->count && ok; i++)
            if (aki__dtype_size(l->data[i].dtype) == sizes[s])
                ok = push(sorted, l->data[i]);
    return ok;
}

static aki_status write_weights(struct copy *c, const struct aki__graph *g, const struct aki__keep *keep)
{
    struct tensor_list l = { 0 }, sorted = { 0 };
    aki_status rc = collect(&l, g, keep) && by_size(&sorted, &l) ? AKI_OK : aki__fail(c->err, AKI_E_NOMEM, "the list of tensors");
    const char *path = rc ? NULL : add_path(c, "model.safetensors", &rc);

    if (!rc)
        rc = aki__safetensors_write(path, sorted.data, sorted.count, "{\"format\":\"rotated-w8a8-3\"}", c->err);
    aki__free(l.data);
    aki__free(sorted.data);
    return rc;
}

/* ---------------------------------------------------------------- the folder ------------------------------------ */

static void close_copy(struct copy *c, bool failed)
{
    for (size_t i = c->count; i-- > 0;) {
        char *path = c->written[i].path, *slash = strrchr(path + c->written[i].folder, '/');
        if (failed)
            aki__file_remove(path);
        if (failed && slash) {
            *slash = '\0';
            aki__file_remove(path);               /* the subfolder, if it is empty */
        }
        aki__free(path);
    }
    if (failed && c->made)
        aki__file_remove(c->to);
    aki__free(c->written);
}

/* measure NULL: what stays f32 is judged by the weights. */
static aki_status quantize(const char *folder, const char *out, const aki_quantize_options *measure, aki_error *err)
{
    struct copy c = { .to = out, .err = err };
    struct aki__model *f = NULL;
    struct aki__graph g = { 0 };
    struct aki__onnx o = { 0 };
    struct aki__keep keep = { 0 };
    struct aki__pool *pool = NULL;
    struct aki__judged judged = { 0 };

    if (!folder || !out)
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", folder ? "out" : "folder");
    aki_status rc = aki__kernels_ready(err);
    if (!rc) rc = aki__model_folder_open(&f, folder, aki__families, err);
    if (!rc && f->int8_bits)
        rc = aki__fail(err, AKI_E_INVALID, "%s: quantised already", folder);
    if (!rc && aki__is_folder(out) && !aki__folder_is_empty(out))
        rc = aki__fail(err, AKI_E_INVALID, "%s: not empty; name a new folder", out);
    if (!rc) {
        aki__graph_init(&g, f, err);
        rc = aki__arch_build(&g, f);
    }
    if (!rc && measure) rc = aki__judge(&judged, folder, measure, err);
    if (!rc) rc = aki__pool_open(&pool, aki__cores(), err);
    if (!rc && aki__pool_acquire(pool)) {
        rc = aki__cpu_build(&o, &keep, &g, &(struct aki__cpu_options){ .int8 = true, .choice = measure ? &judged.choice : NULL, .pool = pool }, err);
        aki__pool_release(pool);
    }
    if (!rc) {
        bool there = aki__is_folder(out);
        rc = aki__make_folder(out, err);
        c.made = !rc && !there;             /* a file that was there before is not removed */
    }
    if (!rc) rc = copy_files(&c, f);
    if (!rc) rc = write_weights(&c, &g, &keep);
    close_copy(&c, rc != AKI_OK);
    aki__pool_close(pool);
    aki__onnx_free(&o);
    aki__keep_free(&keep);
    aki__graph_free(&g);
    aki__model_folder_close(f);
    aki__judged_free(&judged);
    return rc;
}

aki_status aki_quantize(const char *folder, const char *out, aki_error *err) { return quantize(folder, out, NULL, err); }

aki_status aki_quantize_measured(const char *folder, const char *out, const aki_quantize_options *options, aki_error *err)
{
    aki_quantize_options o;

    aki_status rc = aki__options_read(&o, sizeof o, options, "aki_quantize_options", err);
    if (!rc && o.text_count && !o.texts)
        rc = aki__fail(err, AKI_E_INVALID, "texts is NULL, and text_count %zu", o.text_count);
    return rc ? rc : quantize(folder, out, &o, err);
}
