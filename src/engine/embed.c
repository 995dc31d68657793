/* Unit embed: aki_embed, aki_score, aki_embed_rows and the like: encodes texts, queues them for runs, and writes the result rows. */
#include "engine/engine.h"

/* The texts of a call, or its pairs. */
struct texts {
    const char *const *first, *const *second;           /* [count]; second NULL: no pairs */
    const size_t      *first_sizes, *second_sizes;      /* [count], or NULL: the texts are NUL-terminated */
    size_t             count;
};

/* The state of one call. */
struct job {
    aki_model            *m;
    struct aki__request   r;
    struct aki__runs      runs;
    struct aki__input     input;
    size_t               *same;             /* [count] index of the first equal text, or of the text itself; NULL: no reuse */
    size_t                row_size;
    aki_error            *err;
};

static void close_job(struct job *j)
{
    aki__request_close(&j->r);
    aki__runs_free(&j->runs);
    aki__input_free(&j->input);
    aki__free(j->same);
}

static void start_runs(struct job *j, void *out, bool typed)
{
    j->runs = (struct aki__runs){ .m = j->m, .r = &j->r, .out = out, .row_size = j->row_size, .typed = typed };
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

/* Sets same[i] to the first text that equals text i, with an open-addressing table of indices. */
static aki_status find_equal(struct job *j, const char *const *texts, const size_t *sizes, size_t count)
{
    size_t slots = 16, *table = NULL;
    uint64_t seed = 0;

    while (slots < count * 2)
        slots *= 2;
    j->same = aki__alloc(count, sizeof *j->same);
    table = aki__zalloc(slots, sizeof *table);      /* index + 1 */
    if (!j->same || !table) {
        aki__free(table);
        return aki__fail(j->err, AKI_E_NOMEM, "%zu texts", count);
    }
    seed = (uintptr_t)table;                        /* texts may be hostile: nobody should know which of them collide */
    for (size_t i = 0; i < count; i++) {
        size_t size = size_of(texts, sizes, i), s = (size_t)aki__hash(texts[i], size, seed) & (slots - 1);
        while (table[s] && (size_of(texts, sizes, table[s] - 1) != size || memcmp(texts[table[s] - 1], texts[i], size) != 0))
            s = (s + 1) & (slots - 1);
        if (!table[s])
            table[s] = i + 1;
        j->same[i] = table[s] - 1;
    }
    aki__free(table);
    return AKI_OK;
}

/* Encodes text i and queues it. */
static aki_status add_text(struct job *j, const struct texts *t, size_t i)
{
    const struct aki__encoding *e = &j->input.tokens;
    const char *second = t->second ? t->second[i] : NULL;
    aki_status rc = aki__encode(j->m, &j->r, t->first[i], size_of(t->first, t->first_sizes, i), second,
                                second ? size_of(t->second, t->second_sizes, i) : 0, &j->input, j->err);

    if (!rc && !e->count)
        rc = aki__fail(j->err, AKI_E_INVALID, "text %zu: the tokenizer gives no token for it", i);
    if (rc)
        return aki__name_item(j->err, rc, i);
    return aki__runs_add(&j->runs, &(struct aki__row){ .ids = e->ids, .types = j->runs.typed ? e->types : NULL, .count = e->count,
                                                       .skip = j->r.skips ? j->input.prompt_tokens : 0, .item = i }, j->err);
}

static aki_status check_texts(const struct texts *t, aki_error *err)
{
    if (t->count && !t->first)
        return aki__fail(err, AKI_E_INVALID, "texts is NULL");
    for (size_t i = 0; i < t->count; i++)
        if (!t->first[i] || (t->second && !t->second[i]))
            return aki__fail_at(err, AKI_E_INVALID, i, 0, "%s[%zu] is NULL", t->first[i] ? "seconds" : "texts", i);
    return AKI_OK;
}

/* Copies the results of equal texts; returns their number. */
static size_t copy_equal(const struct job *j, size_t count, char *out, int32_t *tokens, uint8_t *truncated)
{
    size_t reused = 0;

    for (size_t i = 0; i < count && j->same; i++) {
        size_t first = j->same[i];
        if (first == i)
            continue;
        memcpy(out + i * j->row_size, out + first * j->row_size, j->row_size);
        if (tokens) tokens[i] = tokens[first];
        if (truncated) truncated[i] = truncated[first];
        reused++;
    }
    return reused;
}

/* The request is open. */
static aki_status run_texts(struct job *j, const struct texts *t, void *out, size_t out_size, int32_t *tokens, uint8_t *truncated)
{
    aki_model *m = j->m;

    j->row_size = aki__row_size(j->r.dtype, j->r.dim);
    aki_status rc = check_texts(t, j->err);
    if (!rc) rc = check_output(j, out, out_size, t->count, j->err);
    if (!rc && j->r.reuse && t->count > 1 && !t->second) rc = find_equal(j, t->first, t->first_sizes, t->count);
    j->input.tokens.want_types = aki__has_types(m) && aki__tokenizer_has_types(m->tokenizer, t->second != NULL);
    start_runs(j, out, j->input.tokens.want_types);
    for (size_t i = 0; i < t->count && !rc; i++) {
        if (j->same && j->same[i] != i)
            continue;
        rc = add_text(j, t, i);
        if (!rc && tokens) tokens[i] = (int32_t)j->input.tokens.count;
        if (!rc && truncated) truncated[i] = j->input.tokens.full_count > j->input.tokens.count;
    }
    if (!rc) rc = aki__runs_finish(&j->runs, j->err);
    if (!rc) {
        atomic_fetch_add_explicit(&m->texts_reused, copy_equal(j, t->count, out, tokens, truncated), memory_order_relaxed);
        atomic_fetch_add_explicit(&m->texts, t->count, memory_order_relaxed);
    }
    return rc;
}

aki_status aki_embed(aki_model *m, const char *const *texts, const size_t *sizes, size_t count, const aki_embed_options *options,
                     void *out, size_t out_size, int32_t *tokens, uint8_t *truncated, aki_error *err)
{
    const struct texts t = { .first = texts, .first_sizes = sizes, .count = count };
    struct job j = { .m = m, .err = err };

    aki_status rc = aki__request_open(&j.r, m, options, err);
    if (rc)
        return rc;
    if (j.r.output != AKI_OUTPUT_VECTOR)
        rc = aki__fail(err, AKI_E_INVALID, "output: aki_embed gives a vector a text; aki_score, and aki_encode and aki_embed_rows give the others");
    if (!rc) rc = run_texts(&j, &t, out, out_size, tokens, truncated);
    close_job(&j);
    return rc;
}

aki_status aki_score(aki_model *m, const char *const *texts, const size_t *sizes, const char *const *seconds, const size_t *second_sizes,
                     size_t count, const aki_embed_options *options, float *out, size_t out_size, int32_t *tokens, uint8_t *truncated,
                     aki_error *err)
{
    const struct texts t = { .first = texts, .first_sizes = sizes, .second = seconds, .second_sizes = second_sizes, .count = count };
    struct job j = { .m = m, .err = err };
    aki_embed_options o;

    aki_status rc = aki__options_read(&o, sizeof o, options, "aki_embed_options", err);
    o.struct_size = sizeof o;
    o.output = AKI_OUTPUT_SCORES;
    if (!rc) rc = aki__request_open(&j.r, m, &o, err);
    if (rc)
        return rc;
    rc = run_texts(&j, &t, out, out_size, tokens, truncated);
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

static aki_status check_row(const struct job *j, const aki_rows *rows, size_t i, aki_error *err)
{
    const struct aki__model *f = j->m->folder;
    int64_t begin = rows->starts[i], end = rows->starts[i + 1];

    if (end <= begin || (uint64_t)(end - begin) > j->r.encode.max_tokens)
        return aki__fail_at(err, AKI_E_INVALID, i, 0, "row %zu: %lld ids; 1 … %zu are allowed", i,
                            end <= begin ? 0LL : (long long)(end - begin), j->r.encode.max_tokens);
    for (int64_t k = begin; k < end; k++) {
        if (rows->ids[k] < 0 || rows->ids[k] >= f->vocabulary)
            return aki__fail_at(err, AKI_E_INVALID, i, (uint64_t)(k - begin), "row %zu: id %d is outside the vocabulary of %d", i,
                                rows->ids[k], f->vocabulary);
        if (j->runs.typed && (rows->types[k] < 0 || (f->types && rows->types[k] >= f->types)))
            return aki__fail_at(err, AKI_E_INVALID, i, (uint64_t)(k - begin), "row %zu: token type %d, but the model has %d", i,
                                rows->types[k], f->types);
    }
    if (rows->prompt_tokens && rows->prompt_tokens[i] < 0)
        return aki__fail_at(err, AKI_E_INVALID, i, 0, "row %zu: prompt_tokens: %d", i, rows->prompt_tokens[i]);
    return AKI_OK;
}

/* Starts must increase from 0, which is checked before two of them are subtracted. */
static aki_status check_rows(const struct job *j, const aki_rows *rows, aki_error *err)
{
    if (rows->count && (!rows->ids || !rows->starts))
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", rows->ids ? "starts" : "ids");
    if (rows->count && rows->starts[0] != 0)
        return aki__fail(err, AKI_E_INVALID, "starts[0] is %lld, not 0", (long long)rows->starts[0]);
    for (size_t i = 0; i < rows->count; i++) {
        aki_status rc = check_row(j, rows, i, err);
        if (rc)
            return rc;
    }
    return AKI_OK;
}

aki_status aki_embed_rows(aki_model *m, const aki_rows *given, const aki_embed_options *options, void *out, size_t out_size,
                          aki_error *err)
{
    struct job j = { .m = m, .err = err };
    aki_embed_options o;
    aki_rows rows = { 0 };

    aki_status rc = aki__request_open(&j.r, m, options, err);
    if (rc)
        return rc;
    rc = given ? aki__options_read(&rows, sizeof rows, given, "aki_rows", err) : aki__fail(err, AKI_E_INVALID, "rows is NULL");
    /* The ids are the whole text: the model's default prompt is not added, and a requested prompt cannot be. */
    if (!rc) rc = aki__options_read(&o, sizeof o, options, "aki_embed_options", err);
    if (!rc && (o.prompt || o.instruction || o.prompt_name || o.kind))
        rc = aki__fail(err, AKI_E_INVALID, "prompt options cannot be used with ids: put the prompt's ids before each row's");
    j.r.skips = rows.prompt_tokens && !m->folder->include_prompt && j.r.output == AKI_OUTPUT_VECTOR;
    if (!rc) rc = aki__request_check_graph(&j.r, m->folder, err);
    j.row_size = aki__row_size(j.r.dtype, j.r.dim);
    start_runs(&j, out, rows.types && aki__has_types(m));
    if (!rc) rc = check_rows(&j, &rows, err);
    if (!rc) rc = check_output(&j, out, out_size,
                               aki__output_rows(j.r.output, rows.count, rows.count ? (size_t)rows.starts[rows.count] : 0), err);
    for (size_t i = 0; i < rows.count && !rc; i++)
        rc = aki__runs_add(&j.runs, &(struct aki__row){ .ids = rows.ids + rows.starts[i],
                                                        .types = j.runs.typed ? rows.types + rows.starts[i] : NULL,
                                                        .count = (size_t)(rows.starts[i + 1] - rows.starts[i]),
                                                        .skip = j.r.skips ? (size_t)rows.prompt_tokens[i] : 0, .item = i }, err);
    if (!rc) rc = aki__runs_finish(&j.runs, err);
    if (!rc) atomic_fetch_add_explicit(&m->texts, rows.count, memory_order_relaxed);
    close_job(&j);
    return rc;
}

static aki_status embed_ids(aki_model *m, const int32_t *ids, const int64_t *starts, size_t count, const aki_embed_options *options,
                            int32_t output, void *out, size_t out_size, aki_error *err)
{
    const aki_rows rows = { .struct_size = sizeof rows, .ids = ids, .starts = starts, .count = count };
    aki_embed_options o;

    aki_status rc = aki__options_read(&o, sizeof o, options, "aki_embed_options", err);
    o.struct_size = sizeof o;
    o.output = output;
    return rc ? rc : aki_embed_rows(m, &rows, &o, out, out_size, err);
}

aki_status aki_embed_ids(aki_model *m, const int32_t *ids, const int64_t *starts, size_t count, const aki_embed_options *options,
                         void *out, size_t out_size, aki_error *err)
{
    return embed_ids(m, ids, starts, count, options, AKI_OUTPUT_VECTOR, out, out_size, err);
}

aki_status aki_embed_tokens(aki_model *m, const int32_t *ids, const int64_t *starts, size_t count, const aki_embed_options *options,
                            float *out, size_t out_size, aki_error *err)
{
    return embed_ids(m, ids, starts, count, options, AKI_OUTPUT_TOKENS, out, out_size, err);
}
