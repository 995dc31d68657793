/* Unit request: checks the caller's options and fills in defaults. See engine.h. */
#include "engine/engine.h"

void aki_embed_options_init(void *options, size_t size)
{
    if (!options || size < sizeof(uint32_t))
        return;
    memset(options, 0, size);
    *(uint32_t *)options = (uint32_t)size;
}

void aki_model_options_init(void *options, size_t size) { aki_embed_options_init(options, size); }

void aki_model_info_init(void *info, size_t size) { aki_embed_options_init(info, size); }

void aki_rows_init(void *rows, size_t size) { aki_embed_options_init(rows, size); }

void aki_encoded_init(void *encoded, size_t size) { aki_embed_options_init(encoded, size); }

/* The struct of an older caller is shorter: missing fields are 0. That of a newer caller is longer: unknown fields must be 0. */
aki_status aki__options_read(void *out, size_t size, const void *options, const char *what, aki_error *err)
{
    uint32_t given;

    memset(out, 0, size);
    if (!options)
        return AKI_OK;
    memcpy(&given, options, sizeof given);
    if (given < sizeof given || given > 4096)
        return aki__fail(err, AKI_E_INVALID, "%s.struct_size is %u: initialise options with their _init function", what, (unsigned)given);
    for (size_t i = size; i < given; i++)
        if (((const char *)options)[i])
            return aki__fail(err, AKI_E_UNSUPPORTED, "%s: a field that this version (%s) does not know is set", what, aki_version());
    memcpy(out, options, given < size ? given : size);
    return AKI_OK;
}

/* ---------------------------------------------------------------- prompt ---------------------------------------- */

static const aki_prompt *find_prompt(const aki_model *m, const char *name)
{
    for (size_t i = 0; i < m->folder->prompt_count; i++)
        if (strcmp(m->folder->prompts[i].name, name) == 0)
            return &m->folder->prompts[i];
    return NULL;
}

/* The names that sentence-transformers looks for, in its order. */
static const aki_prompt *prompt_of_kind(const aki_model *m, int32_t kind)
{
    static const char *const of_document[] = { "document", "passage", "corpus" };

    if (kind == AKI_KIND_QUERY)
        return find_prompt(m, "query");
    for (size_t i = 0; kind == AKI_KIND_DOCUMENT && i < 3; i++) {
        const aki_prompt *p = find_prompt(m, of_document[i]);
        if (p)
            return p;
    }
    return NULL;
}

static aki_status set_prompt(struct aki__request *r, const char *a, size_t a_size, const char *b, size_t b_size, const char *c,
                             aki_error *err)
{
    if (a_size + b_size + strlen(c) > AKI_PROMPT_CEILING)      /* the sum cannot overflow: the strings are in memory */
        return aki__fail(err, AKI_E_INVALID, "the prompt is longer than %d bytes", AKI_PROMPT_CEILING);
    if (!aki__buf_append(&r->prompt, a, a_size, AKI_PROMPT_CEILING) || !aki__buf_append(&r->prompt, b, b_size, AKI_PROMPT_CEILING) ||
        !aki__buf_append(&r->prompt, c, strlen(c), AKI_PROMPT_CEILING))
        return aki__fail(err, AKI_E_NOMEM, "prompt of %zu bytes", a_size + b_size + strlen(c));
    size_t bad = aki__utf8_check(r->prompt.data, r->prompt.size);
    if (bad != AKI_UTF8_VALID)
        return aki__fail(err, AKI_E_INVALID, "the prompt is not valid UTF-8 at byte %zu", bad);
    return AKI_OK;
}

/* The prompt "Instruct: T\n…" with another T. */
static aki_status set_instruction(struct aki__request *r, const aki_model *m, const char *instruction, aki_error *err)
{
    static const char head[] = "Instruct: ";
    const aki_prompt *query = prompt_of_kind(m, AKI_KIND_QUERY);
    const char *tail = query && strncmp(query->text, head, sizeof head - 1) == 0 ? strchr(query->text, '\n') : NULL;

    if (m->folder->labels.template)         /* it has a place for the instruction */
        return set_prompt(r, NULL, 0, NULL, 0, instruction, err);
    if (!tail)
        return aki__fail(err, AKI_E_INVALID,
                         "instruction: %s has no query prompt of the form \"Instruct: …\"; give the whole prompt instead", m->folder->name);
    return set_prompt(r, head, sizeof head - 1, instruction, strlen(instruction), tail, err);
}

static aki_status resolve_prompt(struct aki__request *r, const aki_model *m, const aki_embed_options *o, aki_error *err)
{
    const aki_prompt *p = NULL;

    if (o->prompt)
        return set_prompt(r, NULL, 0, NULL, 0, o->prompt, err);
    if (o->instruction)
        return set_instruction(r, m, o->instruction, err);
    if (o->prompt_name) {
        if (!(p = find_prompt(m, o->prompt_name)))
            return aki__fail(err, AKI_E_NOT_FOUND, "prompt_name: %s has no prompt \"%.60s\" (aki_model_get_info lists them)",
                             m->folder->name, o->prompt_name);
    } else if (o->kind) {
        p = prompt_of_kind(m, o->kind);
    } else if (m->folder->default_prompt_name) {
        p = find_prompt(m, m->folder->default_prompt_name);
    }
    return p ? set_prompt(r, NULL, 0, NULL, 0, p->text, err) : AKI_OK;
}

/* Encodes the prompt alone and counts its tokens, without a special token at the end, as sentence-transformers does. */
aki_status aki__request_count_prompt(struct aki__request *r, const aki_model *m, aki_error *err)
{
    struct aki__encoding e = { .want_types = true };
    const struct aki__encode_options o = { .special = r->encode.special, .parse_special = r->encode.parse_special };

    if (!r->prompt.size)
        return AKI_OK;
    aki_status rc = aki__tokenizer_encode(m->tokenizer, r->prompt.data, r->prompt.size, &o, &e, err);
    while (!rc && r->prompt_specials < e.count && e.sequences[r->prompt_specials] < 0)
        r->prompt_specials++;
    if (!rc && e.count)
        r->prompt_tokens = e.count - (e.sequences[e.count - 1] < 0);
    aki__encoding_free(&e);
    return rc;
}

/* ---------------------------------------------------------------- numbers --------------------------------------- */

static aki_status check_numbers(const aki_model *m, const aki_embed_options *o, aki_error *err)
{
    aki_status rc = aki__check_embed_numbers(m, o, err);

    if (!rc && (o->dtype == AKI_DTYPE_INT8 || o->dtype == AKI_DTYPE_UINT8) && !o->ranges)
        rc = aki__fail(err, AKI_E_INVALID, "ranges: int8 and uint8 need the least and largest value of every element");
    if (!rc && o->output == AKI_OUTPUT_TOKENS && (o->dtype != AKI_DTYPE_F32 || o->dim))
        rc = aki__fail(err, AKI_E_INVALID, "token vectors are whole f32 rows: dtype and dim cannot be set");
    if (!rc && o->output == AKI_OUTPUT_SCORES && (o->dtype != AKI_DTYPE_F32 || o->dim || o->pooling || o->normalize))
        rc = aki__fail(err, AKI_E_INVALID, "scores are f32 numbers: dtype, dim, pooling and normalize cannot be set");
    return rc;
}

/* A model gives vectors or scores, by its head. */
static aki_status check_kind(const aki_model *m, const aki_embed_options *o, aki_error *err)
{
    const struct aki__model *f = m->folder;

    if (f->labels.count && o->output == AKI_OUTPUT_VECTOR)
        return aki__fail(err, AKI_E_UNSUPPORTED, "%s is a classifier: it gives scores (aki_score; akiembed rerank, classify), no vectors", f->name);
    if (!f->labels.count && o->output == AKI_OUTPUT_SCORES)
        return aki__fail(err, AKI_E_UNSUPPORTED, "%s gives vectors, no scores: it is no classifier and no cross-encoder", f->name);
    return AKI_OK;
}

bool aki__request_is_pooled(const struct aki__request *r, const struct aki__model *f) { return f->pooled && r->pooling == f->pooling && !r->skips; }

/* A graph that pools: any other pooling is computed from its rows, if it has them as an output, and if they are not changed
 * before its own pooling. */
aki_status aki__request_check_graph(const struct aki__request *r, const struct aki__model *f, aki_error *err)
{
    if (r->output == AKI_OUTPUT_TOKENS && f->onnx && !f->hidden_rows)
        return aki__fail(err, AKI_E_UNSUPPORTED, "%.100s gives a vector a text only, none a token", f->onnx);
    if (r->output == AKI_OUTPUT_TOKENS || !f->pooled || aki__request_is_pooled(r, f))
        return AKI_OK;
    if (!f->hidden_rows || f->dense_inside || f->hidden != f->pooled)
        return aki__fail(err, AKI_E_UNSUPPORTED,
                         "%.100s pools its vectors itself: another pooling, or one without the prompt, is not possible", f->onnx);
    return AKI_OK;
}

/* limit: of tokens, if the options do not set one; 0: none. */
static void set_encoding(struct aki__request *r, const aki_model *m, const aki_embed_options *o, int32_t limit)
{
    r->encode = (struct aki__encode_options){ .special = !o->no_special, .parse_special = !o->no_parse_special && !m->splits_special,
                                              .truncate = aki__truncate_of(m, o),
                                              .max_tokens = (size_t)(o->max_tokens ? o->max_tokens : limit) };
}

/* Sets the properties of result rows. */
static void set_output(struct aki__request *r, const aki_model *m, const aki_embed_options *o)
{
    const struct aki__model *f = m->folder;
    bool tokens = o->output == AKI_OUTPUT_TOKENS;

    r->activation = o->activation ? o->activation : f->labels.activation;
    if (r->activation == AKI_ACTIVATION_PROBABILITY)
        r->activation = f->labels.exclusive ? AKI_ACTIVATION_SOFTMAX : AKI_ACTIVATION_SIGMOID;
    r->template = f->labels.template;
    r->output = o->output;
    r->pooling = o->pooling ? o->pooling : f->pooling;
    r->normalize = o->normalize || tokens ? o->normalize == AKI_NORMALIZE_ON : f->normalize;
    r->columns = tokens ? m->run.hidden : m->run.vectors;
    r->dim = o->dim ? (size_t)o->dim : r->columns;
    r->dtype = o->dtype;
    r->ranges = o->ranges;
}

aki_status aki__request_open(struct aki__request *out, const aki_model *m, const aki_embed_options *options, aki_error *err)
{
    aki_embed_options o;

    *out = (struct aki__request){ 0 };
    if (!m)
        return aki__fail(err, AKI_E_INVALID, "model is NULL");
    if (!m->session)
        return aki__fail(err, AKI_E_UNSUPPORTED, "only the tokenizer was opened: it cannot embed");
    aki_status rc = aki__options_read(&o, sizeof o, options, "aki_embed_options", err);
    if (!rc) rc = check_kind(m, &o, err);
    if (!rc) rc = check_numbers(m, &o, err);
    if (rc)
        return rc;
    set_output(out, m, &o);
    out->reuse = !o.no_reuse;
    set_encoding(out, m, &o, m->max_tokens);
    out->cancel = o.cancel;
    out->cancel_user = o.cancel_user;
    rc = resolve_prompt(out, m, &o, err);
    out->encode.prompt_size = out->template ? 0 : out->prompt.size;
    out->skips = out->prompt.size && !m->folder->include_prompt && !out->template;
    if (!rc && out->template && o.no_parse_special)
        rc = aki__fail(err, AKI_E_UNSUPPORTED, "no_parse_special: %s frames its texts with special tokens that it reads from the text", m->folder->name);
    if (!rc && out->skips)
        rc = aki__request_count_prompt(out, m, err);
    if (!rc) rc = aki__request_check_graph(out, m->folder, err);
    if (rc)
        aki__request_close(out);
    return rc;
}

aki_status aki__request_open_tokens(struct aki__request *out, const aki_model *m, const aki_embed_options *options,
                                    aki_error *err)
{
    aki_embed_options o;

    *out = (struct aki__request){ 0 };
    aki_status rc = aki__options_read(&o, sizeof o, options, "aki_embed_options", err);
    if (!rc && m->folder) {                 /* the tokens are the same whatever is computed from them */
        o.struct_size = sizeof o;
        o.output = m->folder->labels.count ? AKI_OUTPUT_SCORES : o.output;
        return aki__request_open(out, m, &o, err);
    }
    if (!rc) rc = aki__check_embed_numbers(m, &o, err);
    if (!rc && (o.instruction || o.prompt_name || o.kind))
        rc = aki__fail(err, AKI_E_UNSUPPORTED, "only the tokenizer was opened: it has no prompts");
    if (!rc && o.prompt)
        rc = set_prompt(out, NULL, 0, NULL, 0, o.prompt, err);
    set_encoding(out, m, &o, 0);
    out->encode.prompt_size = out->prompt.size;
    return rc;
}

void aki__request_close(struct aki__request *r)
{
    aki__buf_free(&r->prompt);
}
