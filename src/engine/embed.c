/* Unit embed: aki_embed, aki_embed_ids, aki_embed_tokens: texts to tokens to runs to rows. */
#include "engine/engine.h"

/* One call. */
struct job {
    aki_model            *m;
    struct aki__request   r;
    struct aki__runs      runs;
    struct aki__encoding  encoding;
    struct aki__buf       joined;           /* prompt + text */
    size_t               *same;             /* [count] index of the first equal text (its own: it is the first); NULL: not looked for */
    size_t                row_size;
    aki_error            *err;
};

static void close_job(struct job *j)
{
    aki__request_close(&j->r);
    aki__runs_free(&j->runs);
    aki__encoding_free(&j->encoding);
    aki__buf_free(&j->joined);
    aki__free(j->same);
}

static void start_runs(struct job *j, void *out, bool every_token)
{
    j->runs = (struct aki__runs){ .m = j->m, .r = &j->r, .out = out, .row_size = j->row_size, .every_token = every_token };
}

static aki_status check_output(const struct job *j, const void *out, size_t out_size, size_t rows, aki_error *err)
{
    size_t need;

    if (!aki__mul(rows, j->row_size, &need))
        return aki__fail(err, AKI_E_INVALID, "count: %zu vectors are more than memory can hold", rows);
    if (out_size < need || (need && !out))
        return aki__fail(err, AKI_E_TOO_SMALL, "out_size: %zu bytes given, %zu needed", out_size, need);
    return AKI_OK;
}

/* ---------------------------------------------------------------- texts ----------------------------------------- */

static size_t size_of(const char *const *texts, const size_t *sizes, size_t i) { return sizes ? sizes[i] : strlen(texts[i]); }

/* Finds equal texts: same[i] = the first of them. An open table of indices, hashed by content. */
static aki_status find_equal(struct job *j, const char *const *texts, const size_t *sizes, size_t count)
{
    size_t slots = 16, *table = NULL;

    while (slots < count * 2)
        slots *= 2;
    j->same = aki__alloc(count, sizeof *j->same);
    table = aki__zalloc(slots, sizeof *table);      /* index + 1 */
    if (!j->same || !table) {
        aki__free(table);
        return aki__fail(j->err, AKI_E_NOMEM, "%zu texts", count);
    }
    for (size_t i = 0; i < count; i++) {
        size_t size = size_of(texts, sizes, i), s = (size_t)aki__hash(texts[i], size, 0) & (slots - 1);
        while (table[s] && (size_of(texts, sizes, table[s] - 1) != size || memcmp(texts[table[s] - 1], texts[i], size) != 0))
            s = (s + 1) & (slots - 1);
        if (!table[s])
            table[s] = i + 1;
        j->same[i] = table[s] - 1;
    }
    aki__free(table);
    return AKI_OK;
}

static aki_status encode(struct job *j, const char *text, size_t size, size_t item)
{
    size_t prompt = j->r.prompt.size;

    if (prompt) {
        j->joined.size = 0;
        if (!aki__buf_append(&j->joined, j->r.prompt.data, prompt, SIZE_MAX) || !aki__buf_append(&j->joined, text, size, SIZE_MAX))
            return aki__fail_at(j->err, AKI_E_NOMEM, item, 0, "text %zu: %zu bytes", item, size);
        text = j->joined.data;
        size += prompt;
    }
    aki_status rc = aki__tokenizer_encode(j->m->tokenizer, text, size, &j->r.encode, &j->encoding, j->err);
    if (rc && j->err && j->err->offset >= prompt)
        j->err->offset -= prompt;           /* the caller knows the text, not the prompt before it */
    if (!rc && !j->encoding.count)
        rc = aki__fail(j->err, AKI_E_INVALID, "text %zu: the tokenizer gives no token for it", item);
    return aki__name_item(j->err, rc, item);
}

aki_status aki_embed(aki_model *m, const char *const *texts, const size_t *sizes, size_t count, const aki_embed_options *options,
                     void *out, size_t out_size, int32_t *tokens, uint8_t *truncated, aki_error *err)
{
    struct job j = { .m = m, .err = err };
    aki_embed_options o;
    size_t reused = 0;

    aki_status rc = aki__request_open(&j.r, m, options, err);
    if (rc)
        return rc;
    j.row_size = aki__row_size(j.r.dtype, j.r.dim);
    rc = aki__options_read(&o, sizeof o, options, "aki_embed_options", err);
    if (!rc && o.skip_tokens)
        rc = aki__fail(err, AKI_E_INVALID, "skip_tokens: %d, but that is for ids: of texts, a prompt's tokens are left out where the model says so", (int)o.skip_tokens);
    if (!rc && count && !texts)
        rc = aki__fail(err, AKI_E_INVALID, "texts is NULL");
    for (size_t i = 0; i < count && !rc; i++)
        if (!texts[i])
            rc = aki__fail_at(err, AKI_E_INVALID, i, 0, "texts[%zu] is NULL", i);
    if (!rc) rc = check_output(&j, out, out_size, count, err);
    if (!rc && j.r.reuse && count > 1) rc = find_equal(&j, texts, sizes, count);
    start_runs(&j, out, false);

    for (size_t i = 0; i < count && !rc; i++) {
        if (j.same && j.same[i] != i) {
            reused++;
            continue;
        }
        rc = encode(&j, texts[i], size_of(texts, sizes, i), i);
        if (!rc) rc = aki__runs_add(&j.runs, j.encoding.ids, j.encoding.count, i, err);
        if (!rc && tokens) tokens[i] = (int32_t)j.encoding.count;
        if (!rc && truncated) truncated[i] = j.encoding.full_count > j.encoding.count;
    }
    if (!rc) rc = aki__runs_finish(&j.runs, err);
    for (size_t i = 0; i < count && !rc && reused; i++) {
        size_t first = j.same[i];
        if (first == i)
            continue;
        memcpy((char *)out + i * j.row_size, (char *)out + first * j.row_size, j.row_size);
        if (tokens) tokens[i] = tokens[first];
        if (truncated) truncated[i] = truncated[first];
    }
    if (!rc) {
        atomic_fetch_add_explicit(&m->texts, count, memory_order_relaxed);
        atomic_fetch_add_explicit(&m->texts_reused, reused, memory_order_relaxed);
    }
    close_job(&j);
    return rc;
}

size_t aki_embed_bound(const aki_model *m, size_t count, const aki_embed_options *options)
{
    struct aki__request r;
    size_t bytes;

    if (aki__request_open(&r, m, options, NULL))
        return 0;
    aki__request_close(&r);
    return aki__mul(count, aki__row_size(r.dtype, r.dim), &bytes) ? bytes : 0;
}

/* ---------------------------------------------------------------- ids ------------------------------------------- */

static aki_status check_ids(const struct job *j, const int32_t *ids, const int64_t *starts, size_t count, aki_error *err)
{
    int32_t vocabulary = j->m->folder->vocabulary;

    if (count && (!ids || !starts))
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", ids ? "starts" : "ids");
    if (count && starts[0] != 0)
        return aki__fail(err, AKI_E_INVALID, "starts[0] is %lld, not 0", (long long)starts[0]);
    for (size_t i = 0; i < count; i++) {
        int64_t size = starts[i + 1] > starts[i] ? starts[i + 1] - starts[i] : 0;     /* no difference of what is out of order: it may overflow */
        if (!size || (uint64_t)size > j->r.encode.max_tokens)
            return aki__fail_at(err, AKI_E_INVALID, i, 0, "row %zu: %lld ids; 1 … %zu are allowed", i, (long long)size, j->r.encode.max_tokens);
        for (int64_t k = starts[i]; k < starts[i + 1]; k++)
            if (ids[k] < 0 || ids[k] >= vocabulary)
                return aki__fail_at(err, AKI_E_INVALID, i, (uint64_t)(k - starts[i]), "row %zu: id %d is outside the vocabulary of %d", i, ids[k], vocabulary);
    }
    return AKI_OK;
}

static aki_status embed_rows(aki_model *m, const int32_t *ids, const int64_t *starts, size_t count, const aki_embed_options *options,
                             void *out, size_t out_size, bool every_token, aki_error *err)
{
    struct job j = { .m = m, .err = err };

    aki_status rc = aki__request_open(&j.r, m, options, err);
    if (rc)
        return rc;
    /* The ids are the whole text: a prompt that the model would add by itself is not there, one that was asked for cannot be. */
    aki_embed_options o;
    rc = aki__options_read(&o, sizeof o, options, "aki_embed_options", err);
    if (!rc && (o.prompt || o.instruction || o.prompt_name || o.kind))
        rc = aki__fail(err, AKI_E_INVALID, "prompt options cannot be used with ids: put the prompt's ids before each row's");
    if (!rc && (o.skip_tokens < 0 || (o.skip_tokens && every_token)))
        rc = aki__fail(err, AKI_E_INVALID, "skip_tokens: %d", (int)o.skip_tokens);
    j.r.skip = (size_t)o.skip_tokens;
    if (!rc) rc = aki__request_check_graph(&j.r, m->folder, err);
    if (!rc && every_token && m->folder->onnx && !m->folder->hidden_rows)
        rc = aki__fail(err, AKI_E_UNSUPPORTED, "%.100s gives a vector a text only, none a token", m->folder->onnx);
    if (every_token) {
        j.r.normalize = o.normalize == AKI_NORMALIZE_ON;
        if (!rc && (o.dtype != AKI_DTYPE_F32 || o.dim))
            rc = aki__fail(err, AKI_E_INVALID, "token vectors are whole f32 rows: dtype and dim cannot be set");
        j.r.dim = (size_t)m->folder->hidden;
    }
    j.row_size = aki__row_size(j.r.dtype, j.r.dim);
    if (!rc) rc = check_ids(&j, ids, starts, count, err);
    if (!rc) rc = check_output(&j, out, out_size, every_token && count ? (size_t)starts[count] : count, err);
    start_runs(&j, out, every_token);
    for (size_t i = 0; i < count && !rc; i++)
        rc = aki__runs_add(&j.runs, ids + starts[i], (size_t)(starts[i + 1] - starts[i]), i, err);
    if (!rc) rc = aki__runs_finish(&j.runs, err);
    if (!rc) atomic_fetch_add_explicit(&m->texts, count, memory_order_relaxed);
    close_job(&j);
    return rc;
}

aki_status aki_embed_ids(aki_model *m, const int32_t *ids, const int64_t *starts, size_t count, const aki_embed_options *options,
                         void *out, size_t out_size, aki_error *err)
{
    return embed_rows(m, ids, starts, count, options, out, out_size, false, err);
}

aki_status aki_embed_tokens(aki_model *m, const int32_t *ids, const int64_t *starts, size_t count, const aki_embed_options *options,
                            float *out, size_t out_size, aki_error *err)
{
    return embed_rows(m, ids, starts, count, options, out, out_size, true, err);
}
