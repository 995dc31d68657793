/* Unit modules: reads modules.json and the modules that it names: pooling, Dense modules, normalisation. */
#include "model/parts.h"

#include <stdio.h>

/* The last module that was read; modules must have this order. */
enum stage { AT_TRANSFORMER, AT_POOLING, AT_DENSE, AT_END };

/* The folder of a module: its path with a slash at the end (empty for the root), and the name of its config.json. */
struct module {
    char part[220];
    char config[240];
};

static bool ends_with(const struct aki__json *string, const char *tail)
{
    size_t size = strlen(tail);

    return string->size >= size && memcmp(string->text + string->size - size, tail, size) == 0;
}

/* ---------------------------------------------------------------- pooling --------------------------------------- */

static const struct { const char *word, *flag; int32_t pooling; } poolings[] = {
    { "cls", "pooling_mode_cls_token", AKI_POOLING_CLS },
    { "max", "pooling_mode_max_tokens", AKI_POOLING_MAX },
    { "mean", "pooling_mode_mean_tokens", AKI_POOLING_MEAN },
    { "mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", AKI_POOLING_MEAN_SQRT_LEN },
    { "weightedmean", "pooling_mode_weightedmean_tokens", AKI_POOLING_WEIGHTEDMEAN },
    { "lasttoken", "pooling_mode_lasttoken", AKI_POOLING_LAST },
};
#define POOLINGS (sizeof poolings / sizeof *poolings)

/* A key that sentence-transformers does not know may change vectors, so it is an error. */
static aki_status check_pooling_keys(const struct aki__json_file *f, aki_error *err)
{
    static const char *const others[] = { "embedding_dimension", "word_embedding_dimension", "pooling_mode", "include_prompt" };
    const struct aki__json *root = f->doc.nodes, *key = root + 1;
    char name[80];

    for (uint32_t i = 0; i < root->size; i++, key = aki__json_next(key + 1)) {
        bool known = false;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++)
            known |= aki__json_equals(key, others[k]);
        for (size_t k = 0; k < POOLINGS; k++)
            known |= aki__json_equals(key, poolings[k].flag);
        if (!known) {
            snprintf(name, sizeof name, "%.*s", (int)(key->size < 79 ? key->size : 79), key->text);
            return aki__key_fail(f, key + 1, name, AKI_E_UNSUPPORTED, err, "this key of a pooling module is not implemented");
        }
    }
    return AKI_OK;
}

/* New files name the mode (a word or a list); old files have a flag for each. */
static aki_status read_pooling_mode(int32_t *pooling, const struct aki__json_file *f, aki_error *err)
{
    const struct aki__json *root = f->doc.nodes, *mode = aki__key(root, "pooling_mode"), *last = NULL;
    int active = 0;

    if (mode && mode->kind == AKI_JSON_ARRAY) {
        if (mode->size != 1)
            return aki__key_fail(f, mode, "pooling_mode", AKI_E_UNSUPPORTED, err, "several pooled vectors end to end are not implemented");
        mode = aki__json_first(mode);
    }
    if (mode) {
        for (size_t i = 0; i < POOLINGS; i++)
            if (aki__json_equals(mode, poolings[i].word)) {
                *pooling = poolings[i].pooling;
                return AKI_OK;
            }
        return aki__key_fail(f, mode, "pooling_mode", AKI_E_UNSUPPORTED, err, "this pooling is not implemented");
    }
    *pooling = AKI_POOLING_MEAN;        /* as in sentence-transformers if no flag is set */
    for (size_t i = 0; i < POOLINGS; i++) {
        bool set;
        aki_status rc = aki__key_bool(&set, f, root, poolings[i].flag, false, err);
        if (rc)
            return rc;
        if (set) {
            *pooling = poolings[i].pooling;
            last = aki__key(root, poolings[i].flag);
            if (++active > 1)
                return aki__key_fail(f, last, poolings[i].flag, AKI_E_UNSUPPORTED, err,
                                     "several pooled vectors end to end are not implemented");
        }
    }
    return AKI_OK;
}

static aki_status read_pooling(struct aki__model *m, const struct module *module, aki_error *err)
{
    struct aki__json_file f;
    int32_t dim;

    aki_status rc = aki__json_file_open(&f, m, module->config, AKI_JSON_OBJECT, false, err);
    if (rc || (rc = check_pooling_keys(&f, err)) || (rc = read_pooling_mode(&m->pooling, &f, err)) ||
        (rc = aki__key_bool(&m->include_prompt, &f, f.doc.nodes, "include_prompt", true, err)))
        goto done;
    const char *key = aki__key(f.doc.nodes, "embedding_dimension") ? "embedding_dimension" : "word_embedding_dimension";
    rc = aki__key_int(&dim, &f, f.doc.nodes, key, 1, AKI_MAX_DIMENSION, m->hidden, err);
    if (!rc && dim != m->hidden)
        rc = aki__key_fail(&f, aki__key(f.doc.nodes, key), key, AKI_E_INVALID, err, "not the hidden_size of config.json");
done:
    aki__json_file_close(&f);
    return rc;
}

/* ---------------------------------------------------------------- dense ----------------------------------------- */

static aki_status read_dense_activation(struct aki__dense *d, const struct aki__json_file *f, aki_error *err)
{
    static const struct { const char *name; enum aki__activation activation; } known[] = {
        { "torch.nn.modules.activation.Tanh", AKI_ACT_TANH }, { "torch.nn.modules.linear.Identity", AKI_ACT_NONE },
        { "torch.nn.modules.activation.ReLU", AKI_ACT_RELU }, { "torch.nn.modules.activation.GELU", AKI_ACT_GELU },
        { "torch.nn.modules.activation.SiLU", AKI_ACT_SILU }, { "torch.nn.Tanh", AKI_ACT_TANH }, { "torch.nn.Identity", AKI_ACT_NONE },
        { "torch.nn.ReLU", AKI_ACT_RELU }, { "torch.nn.GELU", AKI_ACT_GELU }, { "torch.nn.SiLU", AKI_ACT_SILU },
    };
    const struct aki__json *value = aki__key(f->doc.nodes, "activation_function");

    d->activation = AKI_ACT_TANH;
    if (!value)
        return AKI_OK;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (aki__json_equals(value, known[i].name)) {
            d->activation = known[i].activation;
            return AKI_OK;
        }
    return aki__key_fail(f, value, "activation_function", AKI_E_UNSUPPORTED, err, "this activation is not implemented");
}

/* Opens the weights of a Dense module, m->dense[m->dense_count - 1]. */
static aki_status open_dense(struct aki__model *m, const struct module *module, int32_t in, int32_t out, bool bias,
                             aki_error *err)
{
    struct aki__folder *folder = aki__folder_of(m);
    struct aki__dense *d = &m->dense[m->dense_count - 1];
    struct aki__weights **w = &folder->dense[m->dense_count - 1];
    const struct { const struct aki__tensor **out; const char *name; int rank; int64_t dims[2]; } wanted[] = {
        { &d->weight, "linear.weight", 2, { out, in } }, { &d->bias, "linear.bias", 1, { out } },
    };
    size_t before = folder->report.count;
    aki_error own;
    const char *path;
    uint64_t size;

    err = err ? err : &own;
    aki_status rc = aki__weights_open_in(w, m->path, module->part, &folder->report, err);
    for (size_t i = 0; !rc && (path = aki__weights_path(*w, i, &size)); i++)
        rc = aki__note_file(m, path, size, err);
    if (rc && folder->report.count == before)
        aki__report_error(&folder->report, err);
    for (size_t i = 0; *w && i < 1u + bias; i++) {
        aki_status one = aki__weights_tensor(*w, wanted[i].out, false, wanted[i].name, wanted[i].rank, wanted[i].dims, err);
        if (one && !aki__report_error(&folder->report, err))
            return one;
        rc = aki__also(rc, one);
    }
    if (!rc && aki__weights_count(*w) != 1u + bias) {
        rc = aki__fail(err, AKI_E_INVALID, "%smodel.safetensors: tensors beside those that %s asks for", module->part, module->config);
        aki__report_error(&folder->report, err);
    }
    return rc;
}

aki_status aki__dense_add(struct aki__model *m, const char *what, aki_error *err)
{
    struct aki__folder *folder = aki__folder_of(m);
    size_t capacity = folder->dense_capacity;

    /* Both arrays have the same capacity and grow together. */
    if (!aki__grow((void **)&m->dense, &capacity, m->dense_count + 1, sizeof *m->dense) ||
        !aki__grow((void **)&folder->dense, &folder->dense_capacity, m->dense_count + 1, sizeof *folder->dense))
        return aki__fail(err, AKI_E_NOMEM, "%s", what);
    m->dense[m->dense_count] = (struct aki__dense){ 0 };
    folder->dense[m->dense_count++] = NULL;
    return AKI_OK;
}

/* The last Dense module of a cross-encoder gives scores, any other a vector. */
static aki_status check_dense_output(const struct aki__model *m, const struct aki__json_file *f, aki_error *err)
{
    const struct aki__json *name = aki__key(f->doc.nodes, "module_output_name");

    if (m->labels.head == AKI_HEAD_DENSE && aki__json_equals(name, "scores"))
        return AKI_OK;
    return aki__key_expect(f, f->doc.nodes, "module_output_name", "sentence_embedding", err);
}

static aki_status read_dense(struct aki__model *m, const struct module *module, aki_error *err)
{
    struct aki__json_file f;
    int32_t in, out;
    bool bias, residual;

    aki_status rc = aki__json_file_open(&f, m, module->config, AKI_JSON_OBJECT, false, err);
    if (rc || (rc = aki__key_int(&in, &f, f.doc.nodes, "in_features", 1, AKI_MAX_DIMENSION, AKI_REQUIRED, err)) ||
        (rc = aki__key_int(&out, &f, f.doc.nodes, "out_features", 1, AKI_MAX_DIMENSION, AKI_REQUIRED, err)) ||
        (rc = aki__key_bool(&bias, &f, f.doc.nodes, "bias", true, err)) ||
        (rc = aki__key_bool(&residual, &f, f.doc.nodes, "use_residual", false, err)) ||
        (rc = aki__key_expect(&f, f.doc.nodes, "module_input_name", "sentence_embedding", err)) ||
        (rc = check_dense_output(m, &f, err)))
        goto done;
    if (residual) {
        rc = aki__key_fail(&f, aki__key(f.doc.nodes, "use_residual"), "use_residual", AKI_E_UNSUPPORTED, err, "not implemented");
        goto done;
    }
    if (in != m->dim) {
        rc = aki__key_fail(&f, aki__key(f.doc.nodes, "in_features"), "in_features", AKI_E_INVALID, err,
                           "not the size of the vector before it");
        goto done;
    }
    if (m->pooled) {                    /* the graph's vectors include this module */
        m->dense_inside = true;
        m->dim = out;
        goto done;
    }
    if ((rc = aki__dense_add(m, f.name, err)))
        goto done;
    rc = read_dense_activation(&m->dense[m->dense_count - 1], &f, err);
    if (!rc)
        rc = open_dense(m, module, in, out, bias, err);
    m->dim = out;
done:
    aki__json_file_close(&f);
    return rc;
}

/* ---------------------------------------------------------------- modules.json ---------------------------------- */

static const char package[] = "sentence_transformers.";

static aki_status read_normalize(struct aki__model *m, const struct module *module, aki_error *err)
{
    struct aki__json_file f;

    aki_status rc = aki__json_file_open(&f, m, module->config, AKI_JSON_OBJECT, true, err);
    if (!rc && !(rc = aki__key_expect(&f, f.doc.nodes, "module_input_name", "sentence_embedding", err)))
        rc = aki__key_expect(&f, f.doc.nodes, "module_output_name", "sentence_embedding", err);
    m->normalize = true;
    aki__json_file_close(&f);
    return rc;
}

static bool is_transformer(const struct aki__json *type)
{
    return type->size >= sizeof package - 1 && memcmp(type->text, package, sizeof package - 1) == 0 && ends_with(type, ".Transformer");
}

static aki_status refuse_subfolder(const struct aki__json_file *f, const struct aki__json *type, const struct module *module,
                                   aki_error *err)
{
    char what[320];

    snprintf(what, sizeof what, "a transformer in a subfolder (%s) is not implemented: move its files up, and make its path \"\"",
             module->part);
    return aki__key_fail(f, type, "type", AKI_E_UNSUPPORTED, err, what);
}

static aki_status read_module(struct aki__model *m, enum stage *stage, const struct aki__json_file *f, const struct aki__json *type,
                              const struct module *module, aki_error *err)
{
    bool ours = type->size >= sizeof package - 1 && memcmp(type->text, package, sizeof package - 1) == 0;

    if (is_transformer(type) && *stage == AT_TRANSFORMER) {
        if (*module->part)
            return refuse_subfolder(f, type, module, err);
        *stage = AT_POOLING;
        return AKI_OK;
    }
    if (ours && ends_with(type, ".Pooling") && *stage == AT_POOLING) {
        *stage = AT_DENSE;
        return read_pooling(m, module, err);
    }
    if (ours && ends_with(type, ".Dense") && *stage == AT_DENSE)
        return read_dense(m, module, err);
    if (ours && ends_with(type, ".LogitScore") && *stage == AT_POOLING && m->labels.head == AKI_HEAD_LOGIT) {
        *stage = AT_END;
        return aki__logit_read(m, module->config, err);
    }
    if (ours && ends_with(type, ".Normalize") && !m->labels.head && (*stage == AT_DENSE || *stage == AT_END)) {
        *stage = AT_END;
        return read_normalize(m, module, err);
    }
    if (ours && ends_with(type, ".Dropout") && *stage != AT_TRANSFORMER)
        return AKI_OK;      /* has no effect after training */
    return aki__key_fail(f, type, "type", AKI_E_UNSUPPORTED, err,
                         "only Transformer, Pooling, Dense, Normalize, in this order, are implemented");
}

static aki_status module_path(struct module *out, const struct aki__json_file *f, const struct aki__json *path, aki_error *err)
{
    out->part[0] = '\0';
    if (path && path->kind != AKI_JSON_STRING)
        return aki__key_fail(f, path, "path", AKI_E_INVALID, err, "no string");
    if (path && path->size > 200)
        return aki__key_fail(f, path, "path", AKI_E_INVALID, err, "too long");
    if (path && path->size) {
        if (!aki__name_is_inside(path->text, path->size))
            return aki__key_fail(f, path, "path", AKI_E_INVALID, err, "names no folder inside this one");
        snprintf(out->part, sizeof out->part, "%.*s/", (int)path->size, path->text);
    }
    snprintf(out->config, sizeof out->config, "%sconfig.json", out->part);
    return AKI_OK;
}

aki_status aki__modules_in_place(struct aki__model *m, aki_error *err)
{
    struct aki__json_file f;
    struct module module;

    aki_status rc = aki__json_file_open(&f, m, "modules.json", AKI_JSON_ARRAY, true, err);
    const struct aki__json *first = !rc && f.doc.nodes && f.doc.nodes->size ? aki__json_first(f.doc.nodes) : NULL;
    const struct aki__json *type = aki__key(first, "type");
    if (aki__json_is(type, AKI_JSON_STRING) && is_transformer(type) && !module_path(&module, &f, aki__key(first, "path"), err) &&
        *module.part)
        rc = refuse_subfolder(&f, type, &module, err);
    aki__json_file_close(&f);
    return rc;
}

aki_status aki__modules_read(struct aki__model *m, bool *found, aki_error *err)
{
    struct aki__json_file f;
    enum stage stage = AT_TRANSFORMER;
    struct module module;

    aki_status rc = aki__json_file_open(&f, m, "modules.json", AKI_JSON_ARRAY, true, err);
    *found = !rc && f.doc.nodes;
    if (rc || !*found)
        goto done;
    const struct aki__json *e = aki__json_first(f.doc.nodes);
    for (uint32_t i = 0; (!rc || f.report->callback) && i < f.doc.nodes->size; i++, e = aki__json_next(e)) {
        const struct aki__json *type = aki__key(e, "type");
        aki_error *to = AKI_ALSO(rc, err);
        aki_status one = module_path(&module, &f, aki__key(e, "path"), to);
        if (!aki__json_is(type, AKI_JSON_STRING))
            one = aki__key_fail(&f, type ? type : e, "type", AKI_E_INVALID, to, "missing or no string");
        else if (!one)
            one = read_module(m, &stage, &f, type, &module, to);
        rc = aki__also(rc, one);
    }
    if (!rc && stage < AT_DENSE)
        rc = aki__fail(err, AKI_E_UNSUPPORTED, "modules.json: without a Transformer and a Pooling, which are needed");
done:
    aki__json_file_close(&f);
    return rc;
}
