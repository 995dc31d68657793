/* Unit open: opens and closes a model; its info and health check; the devices. */
#include "engine/judge.h"
#include "engine/known.h"

#include "arch/arch.h"
#include "kernel/kernel.h"
#include "model/reader.h"
#include "util/names.h"

#include <stdio.h>

static aki_status check_options(const aki_model_options *o, aki_error *err)
{
    if (o->device_option_count && !o->device_options)
        return aki__fail(err, AKI_E_INVALID, "device_options: %d of them", o->device_option_count);
    for (int32_t i = 0; i < o->device_option_count; i++)
        if (!o->device_options[i])
            return aki__fail(err, AKI_E_INVALID, "device_options[%d] is NULL", i);
    return aki__check_model_numbers(o, err);
}

/* Opens the folder. If the network is an .onnx file, also the file, which specifies part of the description. */
static aki_status open_folder(aki_model *m, const char *path, const aki_model_options *o, aki_error *err)
{
    char *folder = NULL, *file = NULL, *full = NULL;

    aki_status rc = aki__onnx_choose(&folder, &file, path, o->file, err);
    if (!rc && !file) rc = aki__model_folder_open(&m->folder, folder, aki__families, err);
    if (rc || !file)
        goto done;
    full = aki__join(folder, file);
    rc = full ? aki__onnx_file_open(&m->file, full, file, o->threads, NULL, err) : aki__fail(err, AKI_E_NOMEM, "%s", path);
    if (rc)
        goto done;
    const struct aki__onnx_facts facts = aki__facts_of(aki__onnx_file_info(m->file));
    rc = aki__onnx_folder_open(&m->folder, folder, file, &facts, aki__families, err);
done:
    aki__free(folder);
    aki__free(file);
    aki__free(full);
    return rc;
}

/* By default, the folder determines the precision. A quantised folder has no f32 weights. */
static aki_status set_precision(aki_model *m, const aki_model_options *o, aki_error *err)
{
    const struct aki__model *f = m->folder;

    if (f->onnx) {
        m->precision = aki__onnx_file_info(m->file)->precision;
        if (o->precision && o->precision != m->precision)
            return aki__fail(err, AKI_E_UNSUPPORTED, "%.100s: %s, as it was exported: it computes in no other precision", f->onnx,
                             m->precision == AKI_PRECISION_INT8 ? "quantised" : m->precision == AKI_PRECISION_F16 ? "quantised to f16" : "f32");
        return AKI_OK;
    }

    m->precision = f->int8_bits ? AKI_PRECISION_INT8 : o->precision ? o->precision : AKI_PRECISION_F32;
    if (o->precision && o->precision != AKI_PRECISION_INT8 && f->int8_bits)
        return aki__fail(err, AKI_E_UNSUPPORTED, "%s: a folder quantised to int8; %s needs the folder it was made from", f->path,
                         aki__precision_name(o->precision));
    return m->precision == AKI_PRECISION_BF16 ? aki__kernels_bf16(err) : AKI_OK;
}

static aki_status open_tokenizer_file(aki_model *m, const char *path, const struct aki__tokenizer_config *c, aki_error *err)
{
    aki_status rc = aki__tokenizer_open(&m->tokenizer, path, *c->normalizer ? c->normalizer : NULL, err);

    m->splits_special = c->splits_special;
    m->cuts_left = c->side ? c->left : !rc && aki__tokenizer_cuts_left(m->tokenizer);
    return rc;
}

static aki_status open_tokenizer(aki_model *m, const char *folder, const struct aki__tokenizer_config *c, aki_error *err)
{
    char *path = aki__join(folder, "tokenizer.json");
    aki_status rc = path ? open_tokenizer_file(m, path, c, err) : aki__fail(err, AKI_E_NOMEM, "%s", folder);

    if (rc == AKI_E_NOT_FOUND)
        rc = aki__no_tokenizer(folder, err);
    aki__free(path);
    return rc;
}

/* Ids are indices into the embedding table, so a tokenizer with larger ids does not belong to these weights. */
static aki_status check_tokenizer(const aki_model *m, aki_error *err)
{
    size_t ids = aki__tokenizer_vocabulary(m->tokenizer);

    if (!m->folder->vocabulary)             /* an .onnx file without config.json: the size of its table is unknown */
        m->folder->vocabulary = (int32_t)ids;
    if (ids > (size_t)m->folder->vocabulary)
        return aki__fail(err, AKI_E_INVALID, "%s/tokenizer.json: ids up to %zu, but the embedding table has %d rows",
                         m->folder->path, ids - 1, m->folder->vocabulary);
    return AKI_OK;
}

/* The id with which runs of an .onnx file pad rows. The mask hides it, but it must be a valid id, and RoBERTa graphs derive
 * positions from it. */
static aki_status set_pad(aki_model *m, aki_error *err)
{
    struct aki__model *f = m->folder;

    if (f->pad_id < 0 && f->pad_token)
        f->pad_id = aki__tokenizer_id(m->tokenizer, f->pad_token, strlen(f->pad_token));
    if (f->pad_id < 0)                      /* no file specifies one; as it is hidden, any id will do */
        f->pad_id = 0;
    return f->pad_id < f->vocabulary ? AKI_OK : aki__fail(err, AKI_E_INVALID, "config.json: pad_token_id %d is outside the vocabulary of %d",
                                                          f->pad_id, f->vocabulary);
}

/* Some families are pooled at an end token that the post-processors of older files lack. Without it, every vector would be wrong. */
static void append_end(aki_model *m, const struct aki__model *folder)
{
    const char *end = folder->family ? folder->family->end : NULL;
    int32_t id = end ? aki__tokenizer_id(m->tokenizer, end, strlen(end)) : -1;

    if (id < 0 || aki__tokenizer_special_count(m->tokenizer) || folder->pooling != AKI_POOLING_LAST)
        return;
    aki__tokenizer_append(m->tokenizer, id);
    m->end_appended = true;
}

static aki_status set_limits(aki_model *m, const aki_model_options *o, aki_error *err)
{
    int32_t special = (int32_t)aki__tokenizer_special_count(m->tokenizer);

    m->most_tokens = m->folder->positions - m->folder->position_offset;
    m->max_tokens = o->max_tokens ? o->max_tokens : m->folder->max_tokens;
    m->max_batch_tokens = o->max_batch_tokens ? o->max_batch_tokens : AKI_DEFAULT_BATCH_TOKENS;
    if (m->max_tokens <= special || m->max_tokens > m->most_tokens)
        return aki__fail(err, AKI_E_INVALID, "max_tokens: %d is not in %d … %d", m->max_tokens, special + 1, m->most_tokens);
    return AKI_OK;
}

aki_status aki_model_open(const char *folder, const aki_model_options *options, aki_model **out, aki_error *err)
{
    aki_model_options o;

    if (!out || !folder)
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", out ? "folder" : "out");
    *out = NULL;
    aki_status rc = aki__options_read(&o, sizeof o, options, "aki_model_options", err);
    if (!rc) rc = check_options(&o, err);
    if (!rc) rc = aki__kernels_ready(err);
    if (!rc) rc = aki__locks_check(err);
    if (rc)
        return rc;
    aki_model *m = aki__zalloc(1, sizeof *m);
    if (!m)
        return aki__fail(err, AKI_E_NOMEM, "%s", folder);
    rc = open_folder(m, folder, &o, err);
    if (!rc) rc = set_precision(m, &o, err);
    if (!rc) rc = open_tokenizer(m, m->folder->path, &m->folder->tokenizer, err);
    if (!rc) rc = check_tokenizer(m, err);
    if (!rc && m->folder->onnx) rc = set_pad(m, err);
    if (!rc) append_end(m, m->folder);
    if (!rc) rc = set_limits(m, &o, err);
    if (!rc && m->file) m->parameters = aki__onnx_file_info(m->file)->parameters;
    if (!rc) rc = aki__open_session(m, &o, err);
    if (!rc) {
        aki__tell_precision(m);
        *out = m;
        m = NULL;
    }
    aki_model_close(m);
    return rc;
}

static void ignore(void *user, const aki_error *why)
{
    (void)user;
    (void)why;
}

/* For a tokenizer that is opened alone: appends the end token as the model in the folder would. The other files of the folder
 * may be invalid. */
static aki_status append_end_alone(aki_model *m, const char *path, aki_error *err)
{
    const struct aki__onnx_facts facts = { 0 };
    char *folder = NULL, *file = NULL;
    struct aki__model *f = NULL;
    aki_status rc = AKI_OK;

    if (aki__tokenizer_special_count(m->tokenizer) || aki__onnx_choose(&folder, &file, path, NULL, NULL))
        return AKI_OK;
    aki__model_folder_examine(&f, folder, file, &facts, aki__families, (struct aki__report){ .callback = ignore });
    if (!f)
        rc = aki__fail(err, AKI_E_NOMEM, "%s", path);
    else if (f->architecture)
        append_end(m, f);
    aki__model_folder_close(f);
    aki__free(folder);
    aki__free(file);
    return rc;
}

static aki_status open_tokenizer_alone(aki_model *m, const char *folder, aki_error *err)
{
    struct aki__tokenizer_config c;

    aki_status rc = aki__tokenizer_config_of(&c, folder, aki__families, err);
    if (!rc) rc = open_tokenizer(m, folder, &c, err);
    return rc ? rc : append_end_alone(m, folder, err);
}

aki_status aki_tokenizer_open(const char *path, aki_model **out, aki_error *err)
{
    if (!out || !path)
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", out ? "path" : "out");
    *out = NULL;
    aki_status rc = aki__locks_check(err);
    if (rc)
        return rc;
    aki_model *m = aki__zalloc(1, sizeof *m);
    if (!m)
        return aki__fail(err, AKI_E_NOMEM, "%s", path);
    char *folder = NULL, *file = NULL;
    size_t size = strlen(path);
    if (size > 5 && strcmp(path + size - 5, ".onnx") == 0)
        rc = aki__onnx_choose(&folder, &file, path, NULL, err);
    const char *source = folder ? folder : path;
    if (!rc) rc = aki__is_folder(source) ? open_tokenizer_alone(m, source, err)
                                         : open_tokenizer_file(m, source, &(struct aki__tokenizer_config){ 0 }, err);
    if (!rc) {
        *out = m;
        m = NULL;
    }
    aki__free(folder);
    aki__free(file);
    aki_model_close(m);
    return rc;
}

void aki_model_close(aki_model *m)
{
    if (!m)
        return;
    aki__session_close(m->session);
    aki__known_close(m->known, m);
    aki__onnx_file_close(m->file);
    aki__prefix_free(&m->prefixes);
    aki__tokenizer_free(m->tokenizer);
    aki__model_folder_close(m->folder);
    aki__free(m);
}

/* The size of an .onnx file and of its external data. */
static uint64_t file_weights(const struct aki__model *f)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < f->file_count; i++)
        sum += strstr(f->files[i].path, f->onnx) ? f->files[i].size : 0;
    return sum;
}

aki_status aki_model_get_info(const aki_model *m, aki_model_info *info, aki_error *err)
{
    if (!m || !info)
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", m ? "info" : "model");
    if (info->struct_size < sizeof info->struct_size || info->struct_size > 4096)
        return aki__fail(err, AKI_E_INVALID, "aki_model_info.struct_size is %u: initialise it with aki_model_info_init",
                         (unsigned)info->struct_size);
    if (!m->folder)
        return aki__fail(err, AKI_E_UNSUPPORTED, "only the tokenizer was opened: it has no model info");
    const struct aki__model *f = m->folder;
    struct aki__session_info run;           /* sessions of a device are opened and closed while texts are computed */
    aki__session_info(m->session, &run);
    const aki_model_info full = { .struct_size = info->struct_size, .dim = f->dim, .name = f->name, .architecture = f->architecture,
                                  .parameters = m->parameters,
        .hidden = m->run.hidden ? (int32_t)m->run.hidden : f->hidden, .layers = f->layers, .heads = f->heads, .kv_heads = f->kv_heads, .vocabulary = f->vocabulary, .max_tokens = m->max_tokens,
        .pooling = f->pooling, .normalize = f->normalize, .precision = m->precision, .mrl = f->mrl, .device = m->device, .runtime = m->run.runtime,
        .threads = m->run.threads, .end_appended = m->end_appended, .max_batch_tokens = m->max_batch_tokens, .nodes = run.nodes, .nodes_elsewhere = run.nodes_elsewhere,
        .prompt_count = (int32_t)f->prompt_count, .prompts = f->prompts, .default_prompt_name = f->default_prompt_name,
        .file_count = (int32_t)f->file_count, .skips_prompt = !f->include_prompt, .files = f->files, .weights_size = f->onnx ? file_weights(f) : run.weights_size, .texts = m->texts,
        .texts_reused = m->texts_reused, .tokens = m->tokens, .tokens_reused = m->tokens_reused,
        .device_note = m->note[0] ? m->note : NULL, .fell_back = m->fell_back, .partitions = run.partitions, .sessions = run.sessions,
        .products = run.products, .products_f32 = run.products_f32, .f32_share = run.f32_share,
        .precision_note = m->precision_note[0] ? m->precision_note : NULL, .precision_advice = m->precision_advice,
        .outputs = 1u << (f->labels.count ? AKI_OUTPUT_SCORES : AKI_OUTPUT_VECTOR) | (f->onnx && !f->hidden_rows ? 0 : 1u << AKI_OUTPUT_TOKENS),
        .truncates_left = m->cuts_left, .pooling_assumed = f->pooling_assumed,
        .label_count = f->labels.count, .labels = (const char *const *)f->labels.names, .activation = f->labels.activation,
        .labels_exclusive = f->labels.exclusive, .weights_16bit_size = run.weights_16bit_size,
        .instructions = aki__kernels()->isa, .device_refused = run.refused };
    memset(info, 0, full.struct_size);
    memcpy(info, &full, full.struct_size < sizeof full ? full.struct_size : sizeof full);
    return AKI_OK;
}

aki_status aki_model_check(aki_model *m, aki_error *err)
{
    const char *text = "health";
    aki_embed_options o;

    aki_embed_options_init(&o, sizeof o);
    const bool scores = m && m->folder && m->folder->labels.count;
    o.output = scores ? AKI_OUTPUT_SCORES : AKI_OUTPUT_VECTOR;
    size_t size = m ? aki_embed_bound(m, 1, &o) : 0;
    void *out = aki__alloc(size ? size : 1, 1);
    aki_status rc = !out ? aki__fail(err, AKI_E_NOMEM, "health check")
                  : scores ? aki_score(m, &text, NULL, &text, NULL, 1, &o, out, size, NULL, NULL, err)
                           : aki_embed(m, &text, NULL, 1, &o, out, size, NULL, NULL, err);
    aki__free(out);
    return rc;
}

aki_status aki_devices(const aki_device **devices, size_t *count, aki_error *err)
{
    if (!devices || !count)
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", devices ? "count" : "devices");
    return aki__devices(devices, count, err);
}

aki_status aki_load_device_plugin(const char *library, aki_error *err)
{
    return library ? aki__device_plugin(library, err) : aki__fail(err, AKI_E_INVALID, "library is NULL");
}
