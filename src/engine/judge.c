/* Unit judge: which products of an int8 model need more than int8: measured on texts, beside the same model in f32, for
 * aki_quantize_measured; and what an open model's info says of them.
 *
 * Remedies are tried from the cheapest to the dearest, and the first that keeps the bound is taken: nothing; more inputs and outputs
 * in f32 beside int8 products; products in f32, as few as possible. These are searched for from a set that keeps the bound (the one
 * that the weights let one expect, or all): ever smaller parts of it are taken out, as long as the bound holds. So a single product
 * is found in some two steps for each halving, and a stretch of the network in hardly more. */
#include "engine/judge.h"

#include "arch/arch.h"
#include "graph/outliers.h"
#include "util/verify_texts.h"

#include <stdio.h>

/* What is measured has to be better than the bound by as much as other instruction sets of the same folder may be worse (docs/testing.md:
 * vectors of a folder differ by 0.0002 to 0.0006 between them, and their distance to f32 by a tenth of a thousandth). */
#define MARGIN 0.0001
/* A multiple of the median: the remedy of more f32 inputs and outputs. */
#define MORE_OUTLIERS 4.0f

/* 64 sets are measured at most, each on all texts. Fewer texts than FEW_TEXTS, of a tokenizer that hardly knows the built-in ones, say too
 * little for less than what the weights let one expect. */
enum { MOST_TRIALS = 64, FEW_TEXTS = 30 };

struct judge {
    aki_model   *m;
    aki_model_options options;
    const aki_quantize_options *o;
    const char **texts;                     /* [count] */
    size_t      *sizes;                     /* [count] */
    int32_t     *given;                     /* [count] index among the caller's; -1: built in */
    size_t       count, dim;
    float       *wanted, *got;              /* [count, dim] in f32; of a trial */
    struct aki__graph graph;
    bool        *f32;                       /* [graph.count] the linears of `kept` */
    aki__blk    *units;                     /* [unit_count] blocks whose rows linears read, in the order of the network */
    bool        *kept, *trial;              /* [unit_count] their linears are in f32 */
    size_t       unit_count;
    struct aki__choice choice;              /* of the last trial */
    double       least;                     /* of the last trial */
    int32_t      trials;
    aki_error   *err;
};

/* ---------------------------------------------------------------- texts ----------------------------------------- */

/* Adds a text, unless half or more of it are words that the tokenizer does not know, or it has no tokens. */
static aki_status add_text(struct judge *j, const char *text, size_t size, int32_t given)
{
    struct aki__encoding e = { 0 };
    const struct aki__encode_options plain = { .parse_special = true };
    size_t unknown = 0;

    aki_status rc = aki__tokenizer_encode(j->m->tokenizer, text, size, &plain, &e, j->err);
    for (size_t i = 0; i < e.count && !rc; i++) {
        size_t length = 0;
        const char *piece = aki_token_piece(j->m, e.ids[i], &length);
        unknown += aki__is_unknown_piece(piece, length);
    }
    if (!rc && 2 * unknown < e.count) {
        j->texts[j->count] = text;
        j->given[j->count] = given;
        j->sizes[j->count++] = size;
    }
    aki__encoding_free(&e);
    return rc;
}

static aki_status choose_texts(struct judge *j)
{
    const size_t most = aki__verify_text_count + j->o->text_count;
    aki_status rc = AKI_OK;

    j->texts = aki__zalloc(most, sizeof *j->texts);
    j->sizes = aki__zalloc(most, sizeof *j->sizes);
    j->given = aki__zalloc(most, sizeof *j->given);
    j->wanted = aki__zalloc(2 * most, j->dim * sizeof *j->wanted);
    if (!j->texts || !j->sizes || !j->given || !j->wanted)
        return aki__fail(j->err, AKI_E_NOMEM, "texts to measure with");
    j->got = j->wanted + most * j->dim;
    for (size_t i = 0; i < aki__verify_text_count && !rc; i++)
        rc = add_text(j, aki__verify_texts[i], strlen(aki__verify_texts[i]), -1);
    for (size_t i = 0; i < j->o->text_count && !rc; i++) {
        if (!j->o->texts[i])
            return aki__fail_at(j->err, AKI_E_INVALID, i, 0, "texts[%zu] is NULL", i);
        rc = add_text(j, j->o->texts[i], j->o->sizes ? j->o->sizes[i] : strlen(j->o->texts[i]), (int32_t)i);
        if (rc && j->err)
            j->err->item = (int32_t)i;
    }
    return rc;
}

/* What a classifier's head reads of each text, one at a time: its first token, or the last one of a causal model. */
static aki_status embed_states(struct judge *j, float *out)
{
    const struct aki__encode_options plain = { .special = true, .parse_special = true, .max_tokens = (size_t)j->m->max_tokens };
    float *rows = aki__alloc(plain.max_tokens, j->dim * sizeof *rows);
    struct aki__encoding e = { 0 };
    aki_status rc = rows ? AKI_OK : aki__fail(j->err, AKI_E_NOMEM, "texts to measure with");

    for (size_t i = 0; i < j->count && !rc; i++) {
        rc = aki__tokenizer_encode(j->m->tokenizer, j->texts[i], j->sizes[i], &plain, &e, j->err);
        if (!rc) rc = aki_embed_tokens(j->m, e.ids, (int64_t[]){ 0, (int64_t)e.count }, 1, NULL, rows, e.count * j->dim * sizeof *rows, j->err);
        if (!rc) memcpy(out + i * j->dim, rows + (j->m->folder->causal ? (e.count - 1) * j->dim : 0), j->dim * sizeof *rows);
    }
    aki__encoding_free(&e);
    aki__free(rows);
    return rc;
}

static aki_status embed(struct judge *j, float *out)
{
    aki_embed_options e;

    if (j->m->folder->labels.count)
        return embed_states(j, out);
    aki_embed_options_init(&e, sizeof e);
    e.normalize = AKI_NORMALIZE_ON;
    aki_status rc = aki_embed(j->m, j->texts, j->sizes, j->count, &e, out, j->count * j->dim * sizeof *out, NULL, NULL, j->err);
    if (rc && j->err && j->err->item >= 0)
        j->err->item = j->given[j->err->item];
    return rc;
}

/* ---------------------------------------------------------------- trials ---------------------------------------- */

static void mark(struct judge *j, const bool *kept)
{
    for (size_t i = 0; i < j->graph.count; i++) {
        const struct aki__block *b = &j->graph.blocks[i];
        if (b->op != AKI_G_LINEAR || b->rows == AKI_ROWS_VECTORS)
            continue;
        for (size_t u = 0; u < j->unit_count; u++)
            if (j->units[u] == aki__read_by(&j->graph, b))
                j->f32[i] = kept[u];
    }
}

/* Opens the model in int8 with these units in f32, and compares. *good: the bound is kept. */
static aki_status try(struct judge *j, const bool *kept, float far_above, bool *good)
{
    *good = false;
    if (j->trials >= MOST_TRIALS)
        return AKI_OK;
    mark(j, kept);
    j->choice = (struct aki__choice){ .f32 = j->f32, .far_above = far_above };
    aki__session_close(j->m->session);      /* memory holds one at a time */
    j->m->session = NULL;
    aki__prefix_free(&j->m->prefixes);
    j->m->precision = AKI_PRECISION_INT8;
    j->m->choice = &j->choice;
    aki_status rc = aki__open_session(j->m, &j->options, j->err);
    if (!rc) rc = embed(j, j->got);
    if (rc)
        return rc;
    j->least = 1;
    for (size_t i = 0; i < j->count; i++) {
        float cosine;
        aki_similarity(j->wanted + i * j->dim, 1, j->got + i * j->dim, 1, j->dim, &cosine);
        j->least = cosine >= (float)j->least ? j->least : (double)cosine;
    }
    *good = j->least >= AKI_INT8_LEAST + MARGIN;
    j->trials++;
    const aki_quantize_trial told = { .struct_size = sizeof told, .number = j->trials, .products = j->m->run.products,
                                      .products_f32 = j->m->run.products_f32, .cosine_least = j->least, .good = *good };
    if (j->o->tell && j->o->tell(j->o->tell_user, &told))
        rc = aki__fail(j->err, AKI_E_CANCELLED, "cancelled by the caller");
    return rc;
}

static bool any(const struct judge *j, const bool *kept)
{
    for (size_t i = 0; i < j->unit_count; i++)
        if (kept[i])
            return true;
    return false;
}

/* Takes parts out of j->kept, which keeps the bound, as long as it holds: halves, quarters …, single units. */
static aki_status reduce(struct judge *j)
{
    aki_status rc = AKI_OK;
    size_t most = 0;

    for (size_t i = 0; i < j->unit_count; i++)
        most += j->kept[i];
    for (size_t part = (most + 1) / 2; part && !rc; part = part > 1 ? (part + 1) / 2 : 0)
        for (size_t from = j->unit_count; from > 0 && !rc;) {
            size_t taken = 0;
            bool good = false;
            memcpy(j->trial, j->kept, j->unit_count * sizeof *j->trial);
            for (; from > 0 && taken < part; from--) {
                taken += j->trial[from - 1];
                j->trial[from - 1] = false;
            }
            if (taken && any(j, j->trial))      /* nothing at all was tried before */
                rc = try(j, j->trial, 0, &good);
            if (good)
                memcpy(j->kept, j->trial, j->unit_count * sizeof *j->kept);
        }
    return rc;
}

/* The units, and in j->kept those that the weights let one expect. */
static aki_status find_units(struct judge *j)
{
    const size_t count = j->graph.count;
    struct aki__found *found = aki__zalloc(count, sizeof *found);
    int32_t *columns = aki__zalloc(2 * AKI_MOST_OUTLIERS * count, sizeof *columns);

    j->f32 = aki__zalloc(count, sizeof *j->f32);
    j->units = aki__zalloc(count, sizeof *j->units);
    j->kept = aki__zalloc(2 * count, sizeof *j->kept);
    aki_status rc = found && columns && j->f32 && j->units && j->kept ? AKI_OK : aki__fail(j->err, AKI_E_NOMEM, "graph");
    if (!rc) rc = aki__outliers_find(found, j->f32, columns, &j->graph, NULL, NULL, j->err);
    for (size_t i = 0; i < count && !rc; i++) {
        const struct aki__block *b = &j->graph.blocks[i];
        size_t at = 0;
        if (b->op != AKI_G_LINEAR || b->rows == AKI_ROWS_VECTORS)
            continue;
        for (aki__blk from = aki__read_by(&j->graph, b); at < j->unit_count && j->units[at] != from;)
            at++;
        j->unit_count += at == j->unit_count;
        j->units[at] = aki__read_by(&j->graph, b);
        j->kept[at] = j->f32[i];
    }
    if (!rc)
        j->trial = j->kept + j->unit_count;
    aki__free(found);
    aki__free(columns);
    return rc;
}

static aki_status search(struct judge *j)
{
    const bool expected = any(j, j->kept), few = expected && j->count < FEW_TEXTS;
    bool good = false;

    aki_status rc = few ? AKI_OK : try(j, j->trial, 0, &good);      /* nothing in f32 */
    if (!rc && !good && !few)
        rc = try(j, j->trial, MORE_OUTLIERS, &good);
    if (rc || good)
        return rc;
    if (expected)
        rc = try(j, j->kept, 0, &good);
    if (rc || (good && few))
        return rc;
    for (size_t i = 0; i < j->unit_count && !good; i++)
        j->kept[i] = true;
    if (!rc) rc = reduce(j);
    mark(j, j->kept);
    j->choice.far_above = 0;
    return rc;
}

/* ---------------------------------------------------------------- the face -------------------------------------- */

void aki_quantize_options_init(void *options, size_t size) { aki_embed_options_init(options, size); }

void aki__judged_free(struct aki__judged *judged)
{
    aki__free(judged->f32);
    judged->f32 = NULL;
}

aki_status aki__judge(struct aki__judged *out, const char *folder, const aki_quantize_options *o, aki_error *err)
{
    struct judge j = { .o = o, .err = err };

    *out = (struct aki__judged){ 0 };
    aki_model_options_init(&j.options, sizeof j.options);
    j.options.precision = AKI_PRECISION_F32;
    aki_status rc = aki_model_open(folder, &j.options, &j.m, err);
    if (rc)
        return rc;
    j.options.precision = AKI_PRECISION_INT8;
    j.dim = (size_t)(j.m->folder->labels.count ? j.m->folder->hidden : j.m->folder->dim);
    aki__graph_init(&j.graph, j.m->folder, err);
    rc = aki__arch_build(&j.graph, j.m->folder);
    if (!rc) rc = choose_texts(&j);
    if (!rc) rc = find_units(&j);
    if (!rc) rc = embed(&j, j.wanted);
    if (!rc) rc = search(&j);
    if (!rc) {
        *out = (struct aki__judged){ .f32 = j.f32, .choice = j.choice };
        j.f32 = NULL;
    }
    aki__free(j.f32);
    aki__free(j.units);
    aki__free(j.kept);
    aki__free(j.texts);
    aki__free(j.sizes);
    aki__free(j.given);
    aki__free(j.wanted);
    aki_model_close(j.m);                   /* the graph's blocks are about its folder */
    aki__graph_free(&j.graph);
    return rc;
}

void aki__tell_precision(aki_model *m)
{
    const struct aki__session_info *run = &m->run;

    if (m->precision != AKI_PRECISION_INT8 || m->folder->onnx || !run->products_f32)
        return;
    snprintf(m->precision_note, sizeof m->precision_note, "f32 in %d of %d products, %.0f %% of the arithmetic", run->products_f32, run->products,
             100 * run->f32_share);
    if (run->f32_share > 0.25)
        m->precision_advice = m->folder->int8_bits
            ? "int8 gains little here: quantise the original folder again, with texts like yours to measure with, or use it in f32"
            : "int8 gains little here, judging by the weights: quantise the folder, which measures what really needs f32, or use f32";
}
