/* Unit config: reads config.json. A value that would change vectors but is not implemented is an error, with the file and the key. */
#include "model/parts.h"

#include <stdio.h>

/* All defaults, here and in arch/, are those of transformers 5.23. */

/* gelu_fast and gelu_accurate are the same formula as gelu_new. */
static const struct { const char *name; enum aki__activation activation; } activations[] = {
    { "gelu", AKI_ACT_GELU },                   { "gelu_python", AKI_ACT_GELU },            { "gelu_new", AKI_ACT_GELU_TANH },
    { "gelu_pytorch_tanh", AKI_ACT_GELU_TANH }, { "gelu_python_tanh", AKI_ACT_GELU_TANH },  { "gelu_fast", AKI_ACT_GELU_TANH },
    { "gelu_accurate", AKI_ACT_GELU_TANH },     { "relu", AKI_ACT_RELU },                   { "silu", AKI_ACT_SILU },
    { "swish", AKI_ACT_SILU },                  { "tanh", AKI_ACT_TANH },
};

/* ---------------------------------------------------------------- all families ---------------------------------- */

const struct aki__family *aki__family_find(const struct aki__family *const *families, const struct aki__json *type,
                                           const char **name)
{
    for (; *families; families++)
        for (size_t i = 0; i < sizeof (*families)->types / sizeof *(*families)->types && (*families)->types[i]; i++)
            if (aki__json_equals(type, (*families)->types[i])) {
                *name = (*families)->types[i];
                return *families;
            }
    return NULL;
}

/* Lists the names of the implemented families: "a, b and c". */
static void list_types(char *out, size_t size, const struct aki__family *const *families)
{
    const char *last = NULL;
    size_t at = 0;

    out[0] = '\0';
    for (; *families; families++)
        for (size_t i = 0; i < sizeof (*families)->types / sizeof *(*families)->types && (*families)->types[i]; i++) {
            if (last && at < size)
                at += (size_t)snprintf(out + at, size - at, "%s%s", at ? ", " : "", last);
            last = (*families)->types[i];
        }
    if (last && at < size)
        snprintf(out + at, size - at, "%s%s", at ? " and " : "", last);
}

static aki_status find_family(const struct aki__family **out, const char **name, const struct aki__json_file *f,
                              const struct aki__family *const *families, aki_error *err)
{
    const struct aki__json *type = aki__key(f->doc.nodes, "model_type");
    char types[200], what[240];

    *out = NULL;
    if (!aki__json_is(type, AKI_JSON_STRING))
        return aki__key_fail(f, type, "model_type", AKI_E_INVALID, err, "missing or no string");
    if ((*out = aki__family_find(families, type, name)))
        return AKI_OK;
    list_types(types, sizeof types, families);
    snprintf(what, sizeof what, "%s are implemented", types);
    return aki__key_fail(f, type, "model_type", AKI_E_UNSUPPORTED, err, what);
}

/* Keys that change the arithmetic in ways that are not implemented. */
static aki_status refuse_variants(const struct aki__json_file *f, aki_error *err)
{
    static const struct { const char *key, *why; } objects[] = {
        { "auto_map", "the model runs code of its own, which is not implemented" },
        { "pruned_heads", "pruned heads are not implemented" },
    };
    static const struct { const char *key, *why; } flags[] = {
        { "is_decoder", "decoders of this family are not implemented" },
        { "add_cross_attention", "cross-attention is not implemented" },
        { "is_encoder_decoder", "encoder-decoder models are not implemented" },
        { "use_bidirectional_attention", "not implemented for this family; is_causal is" },
    };
    const struct aki__json *root = f->doc.nodes, *value;

    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        value = aki__key(root, objects[i].key);
        if (value && !(value->size == 0 && (value->kind == AKI_JSON_OBJECT || value->kind == AKI_JSON_ARRAY)))
            return aki__key_fail(f, value, objects[i].key, AKI_E_UNSUPPORTED, err, objects[i].why);
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        bool set;
        aki_status rc = aki__key_bool(&set, f, root, flags[i].key, false, err);
        if (rc)
            return rc;
        if (set)
            return aki__key_fail(f, aki__key(root, flags[i].key), flags[i].key, AKI_E_UNSUPPORTED, err, flags[i].why);
    }
    value = aki__key(root, "position_embedding_type");
    if (value && !aki__json_equals(value, "absolute"))
        return aki__key_fail(f, value, "position_embedding_type", AKI_E_UNSUPPORTED, err, "only absolute is implemented");
    return AKI_OK;
}

/* The only quantisation that can be read is that of aki_quantize. */
static aki_status read_quantisation(struct aki__model *m, const struct aki__json_file *f, aki_error *err)
{
    const struct aki__json *value = aki__key(f->doc.nodes, "quantization_config");

    if (!value || (value->size == 0 && value->kind == AKI_JSON_OBJECT))
        return AKI_OK;
    if (!aki__json_equals(aki__key(value, "quant_method"), "akiembed"))
        return aki__key_fail(f, value, "quantization_config", AKI_E_UNSUPPORTED, err,
                             "weights quantised by others are not read; take the unquantised model");
    if (!aki__json_equals(aki__key(value, "format"), "rotated-w8a8-3"))
        return aki__key_fail(f, value, "quantization_config.format", AKI_E_UNSUPPORTED, err,
                             "only rotated-w8a8-3 is read; quantise the model again");
    return aki__key_int(&m->int8_bits, f, value, "bits", 7, 8, AKI_REQUIRED, err);
}

static aki_status read_activation(struct aki__model *m, const struct aki__json_file *f, enum aki__activation missing,
                                  aki_error *err)
{
    const struct aki__json *value = aki__key(f->doc.nodes, "hidden_act");

    m->activation = missing;
    if (!value)
        return AKI_OK;
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (aki__json_equals(value, activations[i].name)) {
            m->activation = activations[i].activation;
            return AKI_OK;
        }
    return aki__key_fail(f, value, "hidden_act", AKI_E_UNSUPPORTED, err, "this activation is not implemented");
}

static aki_status read_sizes(struct aki__model *m, const struct aki__json_file *f, aki_error *err)
{
    const struct { const char *key; int32_t *out; int64_t most; } sizes[] = {
        { "hidden_size", &m->hidden, AKI_MAX_DIMENSION },       { "num_hidden_layers", &m->layers, 4096 },
        { "num_attention_heads", &m->heads, AKI_MAX_DIMENSION }, { "intermediate_size", &m->intermediate, AKI_MAX_DIMENSION },
        { "vocab_size", &m->vocabulary, INT32_MAX },
    };

    aki_status rc = AKI_OK;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        rc = aki__also(rc, aki__key_int(sizes[i].out, f, f->doc.nodes, sizes[i].key, 1, sizes[i].most, AKI_REQUIRED, AKI_ALSO(rc, err)));
    return rc;
}

/* ---------------------------------------------------------------- keys of several families ---------------------- */

aki_status aki__key_eps(double *out, const struct aki__json_file *f, const char *key, double missing, aki_error *err)
{
    aki_status rc = aki__key_double(out, f, f->doc.nodes, key, missing, err);

    if (!rc && !(*out >= 0 && *out < 1))
        rc = aki__key_fail(f, aki__key(f->doc.nodes, key), key, AKI_E_INVALID, err, "out of range");
    return rc;
}

/* rope_parameters in newer files, rope_scaling in older ones; rope_theta is inside it or at top level. */
aki_status aki__key_rope(struct aki__model *m, const struct aki__json_file *f, aki_error *err)
{
    const struct aki__json *root = f->doc.nodes, *rope = NULL, *value;
    const char *key = NULL;
    static const char *const keys[] = { "rope_scaling", "rope_parameters" };
    static const char *const kinds[] = { "rope_type", "type" };
    double factor;
    aki_status rc;

    for (int i = 0; i < 2 && (!rope || rope->size == 0); i++)
        rope = aki__key(root, key = keys[i]);
    if (rope && rope->kind != AKI_JSON_OBJECT)
        return aki__key_fail(f, rope, key, AKI_E_INVALID, err, "no object");
    for (int i = 0; i < 2; i++)
        if ((value = aki__key(rope, kinds[i])) && !aki__json_equals(value, "default"))
            return aki__key_fail(f, value, key, AKI_E_UNSUPPORTED, err, "this kind of RoPE is not implemented, only default is");
    value = rope ? rope + 2 : NULL;
    for (uint32_t i = 0; rope && i < rope->size; i++, value = aki__json_next(value) + 1)
        if (value->kind == AKI_JSON_OBJECT)
            return aki__key_fail(f, value, key, AKI_E_UNSUPPORTED, err, "RoPE of its own for each kind of layer is not implemented");
    if ((rc = aki__key_double(&m->rope_theta, f, root, "rope_theta", 10000.0, err)) ||
        (rc = aki__key_double(&m->rope_theta, f, rope, "rope_theta", m->rope_theta, err)))
        return rc;
    if (!(m->rope_theta >= 1 && m->rope_theta <= 1e15))
        return aki__key_fail(f, NULL, "rope_theta", AKI_E_INVALID, err, "out of range");
    if ((rc = aki__key_double(&factor, f, root, "partial_rotary_factor", 1.0, err)) ||
        (rc = aki__key_double(&factor, f, rope, "partial_rotary_factor", factor, err)))
        return rc;
    if (factor != 1.0)
        return aki__key_fail(f, NULL, "partial_rotary_factor", AKI_E_UNSUPPORTED, err, "only 1 is implemented");
    return AKI_OK;
}

/* ---------------------------------------------------------------- the whole ------------------------------------- */

/* The pooling of sentence-transformers for a folder without modules.json: the mean, but the last token for a causal language
 * model. */
static void read_default_pooling(struct aki__model *m, const struct aki__json_file *f)
{
    static const char causal[] = "ForCausalLM";
    const struct aki__json *names = aki__key(f->doc.nodes, "architectures");
    const struct aki__json *first = aki__json_is(names, AKI_JSON_ARRAY) ? aki__json_first(names) : NULL;
    size_t size = sizeof causal - 1;

    m->pooling = AKI_POOLING_MEAN;
    if (m->causal && aki__json_is(first, AKI_JSON_STRING) && first->size >= size &&
        memcmp(first->text + first->size - size, causal, size) == 0)
        m->pooling = AKI_POOLING_LAST;
}

/* The folder may specify the pooling itself, with keys that serving programs read. */
static aki_status read_matryoshka(struct aki__model *m, const struct aki__json_file *f, aki_error *err)
{
    const struct aki__json *dims = aki__key(f->doc.nodes, "matryoshka_dimensions");
    aki_status rc = aki__key_bool(&m->mrl, f, f->doc.nodes, "is_matryoshka", false, err);

    if (!rc && aki__json_is(dims, AKI_JSON_ARRAY) && dims->size)
        m->mrl = true;
    return rc;
}

/* Reads a size, whose key is the first of these names that is present; 0: none. */
static aki_status read_size(int32_t *out, const struct aki__json_file *f, const char *const *names, aki_error *err)
{
    aki_status rc = AKI_OK;

    *out = 0;
    for (size_t i = 0; i < 4 && names[i] && !rc && !*out; i++)
        rc = aki__key_int(out, f, f->doc.nodes, names[i], 1, INT32_MAX, 0, err);
    return rc;
}

/* For an .onnx file, model_type may be any string. What is known of a family is used too. */
static aki_status read_type(struct aki__model *m, const struct aki__json_file *f, aki_error *err)
{
    const struct aki__json *type = aki__key(f->doc.nodes, "model_type");

    if (!aki__json_is(type, AKI_JSON_STRING))
        return AKI_OK;
    if ((m->family = aki__family_find(aki__folder_of(m)->families, type, &m->architecture))) {
        m->position_offset = m->family->traits & AKI_FAMILY_POSITIONS_AFTER_PAD && m->pad_id >= 0 ? m->pad_id + 1 : 0;
        m->causal |= (m->family->traits & AKI_FAMILY_CAUSAL) != 0;
        return AKI_OK;
    }
    if (memchr(type->text, '\0', type->size))
        return aki__key_fail(f, type, "model_type", AKI_E_INVALID, err, "holds a NUL");
    m->architecture = aki__folder_of(m)->architecture = aki__copy_string(type->text, type->size);
    return m->architecture ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "%s", f->name);
}

aki_status aki__config_read_sizes(struct aki__model *m, aki_error *err)
{
    struct aki__json_file f;
    int32_t hidden = 0;
    const struct { int32_t *out; const char *names[4]; } sizes[] = {
        { &hidden, { "hidden_size", "dim", "d_model", "n_embd" } },     { &m->layers, { "num_hidden_layers", "n_layers", "num_layers", "n_layer" } },
        { &m->heads, { "num_attention_heads", "n_heads", "n_head" } },  { &m->kv_heads, { "num_key_value_heads" } },
        { &m->vocabulary, { "vocab_size" } },                           { &m->positions, { "max_position_embeddings", "n_positions" } },
    };

    m->architecture = "onnx";
    m->pad_id = -1;
    aki_status rc = aki__json_file_open(&f, m, "config.json", AKI_JSON_OBJECT, true, err);
    if (rc || !f.doc.nodes)
        goto done;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        rc = aki__also(rc, read_size(sizes[i].out, &f, sizes[i].names, AKI_ALSO(rc, err)));
    rc = aki__also(rc, aki__key_int(&m->pad_id, &f, f.doc.nodes, "pad_token_id", -1, INT32_MAX - 1, -1, AKI_ALSO(rc, err)));
    rc = aki__also(rc, read_matryoshka(m, &f, AKI_ALSO(rc, err)));
    if (!rc) rc = read_type(m, &f, err);
    if (!rc && m->hidden && hidden && m->hidden != hidden)
        rc = aki__fail(err, AKI_E_INVALID, "config.json: hidden_size %d, but the graph of %.100s gives %d columns", hidden, m->onnx,
                       m->hidden);
    if (rc)
        goto done;
    m->hidden = m->hidden ? m->hidden : hidden;
    m->kv_heads = m->kv_heads ? m->kv_heads : m->heads;
    read_default_pooling(m, &f);
done:
    aki__json_file_close(&f);
    return rc;
}

aki_status aki__config_read(struct aki__model *m, aki_error *err)
{
    struct aki__folder *folder = aki__folder_of(m);
    const struct aki__family *family;
    struct aki__json_file f;
    const char *name;

    aki_status rc = aki__json_file_open(&f, m, "config.json", AKI_JSON_OBJECT, false, err);
    if (rc || (rc = find_family(&family, &name, &f, folder->families, err)))
        goto done;
    rc = refuse_variants(&f, err);
    rc = aki__also(rc, read_quantisation(m, &f, AKI_ALSO(rc, err)));
    rc = aki__also(rc, read_sizes(m, &f, AKI_ALSO(rc, err)));
    rc = aki__also(rc, read_activation(m, &f, family->activation, AKI_ALSO(rc, err)));
    rc = aki__also(rc, read_matryoshka(m, &f, AKI_ALSO(rc, err)));
    if (rc)
        goto done;
    if (!(m->keys = folder->keys = aki__zalloc(1, family->keys_size))) {
        rc = aki__fail(err, AKI_E_NOMEM, "%s", f.name);
        goto done;
    }
    m->architecture = name;
    m->family = family;
    rc = family->read(m, folder->keys, &f, err);
    if (!rc)
        read_default_pooling(m, &f);
done:
    aki__json_file_close(&f);
    return rc;
}
