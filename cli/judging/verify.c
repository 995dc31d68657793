/* Unit verify: the verb `verify`: the vectors of a precision and device against f32 on the cpu, and against themselves. */
#include "fidelity.h"
#include "cli/streams/input.h"
#include "cli/hub/model.h"
#include "cli/shell/progress.h"
#include "cli/shell/sink.h"
#include "util/names.h"
#include "util/verify_texts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TEXTS = 2000, TOP = 10, LEAST_FOR_TOP = 30, CHECK_LIMIT = 12 };

struct check {
    const char *name, *json;
    double      value, bound;
    bool        below;                     /* the value is to be at most the bound, not at least */
    bool        bounded;                   /* else it is reported without a verdict */
    const char *skipped;                   /* why it was not made; NULL: it was */
    bool        whole;                     /* a count */
};

struct verify_job {
    const struct options *o;
    struct input   input;
    struct aki__buf   data;                   /* of FILE's texts */
    const char   **texts;                  /* [count] */
    size_t        *sizes;                  /* [count] */
    uint64_t      *numbers;                /* [count] of each text in what they come from */
    size_t         count, given;           /* given: before those without a vector were removed */
    bool           more;                   /* FILE has more texts than are taken */
    struct model   model;                  /* to be verified; closed before the reference is opened */
    size_t         dim;                    /* of a vector; of a classifier, its labels */
    bool           scores;
    const char   **queries;                /* [given] of a classifier: the same before each text */
    int            precision;
    char           device[64];
    const char    *name, *against;         /* of the models */
    float         *alone, *together, *backward, *reference;    /* [given, dim] each */
    size_t         bad;                    /* texts without a vector */
    bool          *unknown;                /* [count] see is_unknown */
    bool           compared;               /* there is a reference */
    struct check   checks[CHECK_LIMIT];
    size_t         check_count;
    uint64_t       computed;               /* texts, for the progress */
};

/* ---------------------------------------------------------------- texts ----------------------------------------- */

static bool grow_texts(struct verify_job *j, size_t count)
{
    return cli_resize(&j->unknown, count, sizeof *j->unknown) && cli_resize(&j->texts, count, sizeof *j->texts) &&
           cli_resize(&j->sizes, count, sizeof *j->sizes) && cli_resize(&j->numbers, count, sizeof *j->numbers);
}

static int read_texts(struct verify_job *j)
{
    struct batch b = { 0 };
    int rc = input_open_file(&j->input, j->o->file, j->o);

    while (!rc && !j->more && !(rc = input_batch(&j->input, &b)) && b.count) {
        size_t take = b.count < MOST_TEXTS - j->count ? b.count : MOST_TEXTS - j->count;
        if (!grow_texts(j, j->count + b.count))
            rc = cli_no_memory();
        for (size_t i = 0; i < take && !rc; i++) {
            j->sizes[j->count] = b.sizes[i];
            j->numbers[j->count] = j->count;
            j->count++;
            if (!aki__buf_append(&j->data, b.texts[i], b.sizes[i], CLI_CEILING))
                rc = cli_no_memory();
        }
        j->more = take < b.count;
    }
    batch_free(&b);
    if (!rc && !j->count)
        rc = cli_fail(CLI_INPUT, "%s: no texts to verify with", j->input.name);
    if (!rc && j->more)
        cli_warn("%s: only the first %d texts are used", j->input.name, MOST_TEXTS);
    size_t at = 0;
    for (size_t i = 0; i < j->count && !rc; at += j->sizes[i++])
        j->texts[i] = j->data.data ? j->data.data + at : "";
    return rc;
}

static int built_in_texts(struct verify_job *j)
{
    if (!grow_texts(j, aki__verify_text_count))
        return cli_no_memory();
    for (; j->count < aki__verify_text_count; j->count++) {
        j->texts[j->count] = aki__verify_texts[j->count];
        j->sizes[j->count] = strlen(aki__verify_texts[j->count]);
        j->numbers[j->count] = j->count;
    }
    return CLI_OK;
}

static const char *where(const struct verify_job *j, size_t i, char *out, size_t size)
{
    if (j->o->file)
        return input_where(&j->input, j->numbers[i], out, size);
    snprintf(out, size, "built-in text %" PRIu64, j->numbers[i] + 1);
    return out;
}

static void drop_text(struct verify_job *j, size_t i)
{
    j->count--;
    memmove(j->texts + i, j->texts + i + 1, (j->count - i) * sizeof *j->texts);
    memmove(j->sizes + i, j->sizes + i + 1, (j->count - i) * sizeof *j->sizes);
    memmove(j->numbers + i, j->numbers + i + 1, (j->count - i) * sizeof *j->numbers);
    memmove(j->unknown + i, j->unknown + i + 1, (j->count - i) * sizeof *j->unknown);
}

/* Half of the text's tokens or more stand for what the tokenizer does not know, or it has none. Such a vector says nothing of the text, and
 * the few tokens that are the same again leave rounding nothing to average over: all-MiniLM-L6-v2 in int8 has cosines of 0.9987 to 0.9989
 * for the empty text and for Tamil, Amharic and emoji, of which it sees [UNK] only, and above 0.999 for what it can read. The least cosine
 * of these texts is a row of its own, reported without a bound; all other rows include them, too. */
static bool is_unknown(struct verify_job *j, size_t i, int32_t **ids, size_t *capacity, bool *out)
{
    aki_embed_options e;
    size_t count = 0, unknown = 0;

    aki_embed_options_init(&e, sizeof e);
    e.no_special = 1;
    e.prompt = "";
    if (aki_tokenize(j->model.handle, j->texts[i], j->sizes[i], &e, *ids, NULL, *capacity, &count, NULL) == AKI_E_TOO_SMALL) {
        if (!cli_resize(ids, count, sizeof **ids))
            return false;
        *capacity = count;
        aki_tokenize(j->model.handle, j->texts[i], j->sizes[i], &e, *ids, NULL, *capacity, &count, NULL);
    }
    for (size_t k = 0; k < count && k < *capacity; k++) {
        size_t size = 0;
        const char *piece = aki_token_piece(j->model.handle, (*ids)[k], &size);
        unknown += aki__is_unknown_piece(piece, size);
    }
    *out = 2 * unknown >= count;
    return true;
}

/* Some tokenizers have no token for the empty text: of the built-in ones it is left out then. */
static int look_at_tokens(struct verify_job *j)
{
    int32_t *ids = NULL;
    size_t capacity = 0;
    char text[512];
    int rc = CLI_OK;

    for (size_t i = j->count; i-- > 0 && !rc;) {
        size_t tokens = 0;
        aki_error error = { 0 };
        aki_status status = aki_tokenize(j->model.handle, j->texts[i], j->sizes[i], NULL, NULL, NULL, 0, &tokens, &error);
        if (status && status != AKI_E_TOO_SMALL)
            rc = model_failed(&error, where(j, i, text, sizeof text));
        else if (!tokens && j->o->file)
            rc = cli_fail(CLI_INPUT, "%s: the tokenizer gives no token for it", where(j, i, text, sizeof text));
        else if (!tokens)
            drop_text(j, i);
        else if (!is_unknown(j, i, &ids, &capacity, &j->unknown[i]))
            rc = cli_no_memory();
    }
    j->given = j->count;
    free(ids);
    return rc;
}

/* ---------------------------------------------------------------- vectors --------------------------------------- */

static int cancel(void *user)
{
    struct verify_job *j = user;

    /* Each text is computed four times. */
    progress_share((double)j->computed / (4.0 * (double)j->given));
    return cli_signal != 0;
}

/* Of a classifier: probabilities of a query with each text. */
static aki_status embed(struct verify_job *j, const char *const *texts, const size_t *sizes, size_t count, float *out, aki_error *error)
{
    aki_embed_options e;

    aki_embed_options_init(&e, sizeof e);
    e.no_reuse = 1;                        /* equal texts are to be computed in different places */
    e.normalize = j->scores ? AKI_NORMALIZE_DEFAULT : AKI_NORMALIZE_ON;      /* so that one bound fits every model */
    e.activation = AKI_ACTIVATION_PROBABILITY;
    e.cancel = cancel;
    e.cancel_user = j;
    const size_t size = count * j->dim * sizeof *out;
    aki_status status = j->scores ? aki_score(j->model.handle, j->queries, NULL, texts, sizes, count, &e, out, size, NULL, NULL, error)
                                  : aki_embed(j->model.handle, texts, sizes, count, &e, out, size, NULL, NULL, error);
    j->computed += count;
    return status;
}

/* Computes each text alone. Those that have no vector are reported and removed. */
static int embed_alone(struct verify_job *j)
{
    aki_error error;
    char text[512];

    for (size_t i = 0; i < j->count;) {
        aki_status status = embed(j, j->texts + i, j->sizes + i, 1, j->alone + i * j->dim, &error);
        if (status == AKI_E_INVALID) {
            cli_fail(CLI_CHECK, "%s: %s", where(j, i, text, sizeof text), error.message);
            drop_text(j, i);
            j->bad++;
        } else if (status) {
            return model_failed(&error, where(j, i, text, sizeof text));
        } else {
            i++;
        }
        cancel(j);
    }
    return CLI_OK;
}

static int embed_together(struct verify_job *j, float *out)
{
    aki_error error;
    char text[512];
    aki_status status = embed(j, j->texts, j->sizes, j->count, out, &error);

    if (status == AKI_E_INVALID && error.item >= 0 && (size_t)error.item < j->count)
        return cli_fail(CLI_CHECK, "%s, in a batch: %s", where(j, (size_t)error.item, text, sizeof text), error.message);
    return status ? model_failed(&error, NULL) : CLI_OK;
}

static void reverse_texts(struct verify_job *j)
{
    for (size_t i = 0, k = j->count; i + 1 < k; i++) {
        const char *text = j->texts[i];
        size_t size = j->sizes[i];
        k--;
        j->texts[i] = j->texts[k];
        j->sizes[i] = j->sizes[k];
        j->texts[k] = text;
        j->sizes[k] = size;
    }
}

static void reverse_rows(float *v, size_t count, size_t dim)
{
    for (size_t i = 0; i < count / 2; i++)
        for (size_t k = 0; k < dim; k++) {
            float x = v[i * dim + k];
            v[i * dim + k] = v[(count - 1 - i) * dim + k];
            v[(count - 1 - i) * dim + k] = x;
        }
}

static int compute_checked(struct verify_job *j)
{
    float **const sets[] = { &j->alone, &j->together, &j->backward, &j->reference };

    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (!(*sets[i] = aki__realloc(NULL, j->given, j->dim * sizeof **sets[i])))
            return cli_no_memory();
    if (!(j->queries = aki__realloc(NULL, j->given, sizeof *j->queries)))
        return cli_no_memory();
    for (size_t i = 0; i < j->given; i++)
        j->queries[i] = "how do I find the passage that answers a question";
    int rc = embed_alone(j);
    if (!rc)
        rc = embed_together(j, j->together);
    if (rc)
        return rc;
    reverse_texts(j);
    rc = embed_together(j, j->backward);
    reverse_texts(j);
    reverse_rows(j->backward, j->count, j->dim);
    return rc;
}

/* In place of the model that was verified, so that memory holds one of them at a time. */
static int compute_reference(struct verify_job *j)
{
    struct model other = { 0 };
    int rc;

    model_close(&j->model);
    rc = model_open_reference(&other, j->o, j->o->verify.against ? j->o->verify.against : j->name);
    if (rc == CLI_CHECK && !j->o->verify.against) {
        rc = CLI_OK;
    } else if (rc == CLI_CHECK) {
        rc = cli_fail(CLI_INPUT, "--against %s: quantised itself; it is to be the folder that was quantised", j->o->verify.against);
    } else if (!rc && (size_t)other.info.dim != j->dim) {
        rc = cli_fail(CLI_INPUT, "--against %s: another model: its vectors have %d elements, not %zu", other.name, other.info.dim, j->dim);
    } else if (!rc) {
        j->against = other.name;
        j->compared = true;
        j->model = other;
        return embed_together(j, j->reference);
    }
    model_close(&other);
    return rc;
}

/* ---------------------------------------------------------------- checks ---------------------------------------- */

static struct check *add_check(struct verify_job *j, const char *name, const char *json, double value)
{
    struct check *c = &j->checks[j->check_count++];

    *c = (struct check){ .name = name, .json = json, .value = value };
    return c;
}

static void at_least(struct check *c, double bound)
{
    c->bounded = true;
    c->bound = bound;
}

static void at_most(struct check *c, double bound)
{
    c->bounded = c->below = true;
    c->bound = bound;
}

/* int8 sums are exact, and bf16 sums of one order, so that a text's bits cannot depend on its batch; f32 sums may in the last digits. */
static void check_same(struct verify_job *j, const float *other, const char *bits, const char *bits_json, const char *most, const char *most_json)
{
    double difference;
    size_t differing = fidelity_difference(other, j->together, j->count, j->dim, &difference);

    if (j->precision == AKI_PRECISION_INT8 || j->precision == AKI_PRECISION_BF16) {
        struct check *c = add_check(j, bits, bits_json, (double)differing);
        c->whole = true;
        at_most(c, 0);
    } else {
        at_most(add_check(j, most, most_json, difference), j->precision == AKI_PRECISION_F16 ? 2e-3 : 2e-5);
    }
}

static int check_reference(struct verify_job *j)
{
    static const char few[] = "not meaningful with fewer than 30 texts";
    struct figure plain = { 0 }, centred = { 0 }, overlap = { 0 }, unknown = { 0 };

    if (!fidelity_cosine(j->together, j->reference, j->unknown, j->count, j->dim, &plain, &unknown) ||
        !fidelity_centred(j->together, j->reference, j->count, j->dim, &centred) ||
        (j->count >= LEAST_FOR_TOP && !fidelity_overlap(j->together, j->reference, j->count, j->dim, TOP, &overlap)))
        return cli_no_memory();
    struct check *c = add_check(j, "cosine, least", "cosine_least", plain.least);
    at_least(c, j->precision == AKI_PRECISION_INT8 ? AKI_INT8_LEAST : j->precision == AKI_PRECISION_F32 ? 0.99999 : 0.9999);
    if (!plain.count)
        c->skipped = "the tokenizer knows none of the texts";
    if (unknown.count)
        add_check(j, "cosine, least, of unknown words", "cosine_least_unknown", unknown.least);
    add_check(j, "cosine, mean", "cosine_mean", (plain.sum + unknown.sum) / (double)j->count);
    c = add_check(j, "centred cosine, least", "centred_cosine_least", centred.least);
    at_least(c, 0.99);
    add_check(j, "centred cosine, mean", "centred_cosine_mean", centred.sum / (double)j->count);
    if (j->count < 2)
        j->checks[j->check_count - 1].skipped = c->skipped = "not meaningful with one text";
    c = add_check(j, "top-10 overlap, mean", "top10_overlap_mean", overlap.sum / (double)j->count);
    at_least(c, 0.98);
    if (j->count < LEAST_FOR_TOP)
        c->skipped = few;
    char text[512];
    if (plain.count)
        cli_note("least cosine: %s", where(j, plain.worst, text, sizeof text));
    cli_note("least centred cosine: %s", where(j, centred.worst, text, sizeof text));
    return CLI_OK;
}

static int check_scores(struct verify_job *j)
{
    double most;

    fidelity_difference(j->together, j->reference, j->count, j->dim, &most);
    at_most(add_check(j, "probability, difference to f32", "probability_difference", most),
            j->precision == AKI_PRECISION_INT8 ? 0.05 : j->precision == AKI_PRECISION_F32 ? 2e-5 : 0.01);
    struct check *c = j->dim == 1 ? add_check(j, "pairs of texts in the same order", "order_agreement", fidelity_order(j->together, j->reference, j->count, j->dim))
                                  : add_check(j, "texts with the same best label", "best_label_agreement", fidelity_best(j->together, j->reference, j->count, j->dim));
    at_least(c, j->precision == AKI_PRECISION_INT8 ? 0.95 : 0.98);
    if (j->count < LEAST_FOR_TOP)
        c->skipped = "not meaningful with fewer than 30 texts";
    return CLI_OK;
}

static int check_all(struct verify_job *j)
{
    struct check *c = add_check(j, "texts without a vector", "without_vector", (double)j->bad);

    c->whole = true;
    at_most(c, 0);
    if (!j->count)
        return CLI_OK;
    check_same(j, j->alone, "alone, other bits than in a batch", "alone_other_bits", "alone, difference to a batch", "alone_difference");
    check_same(j, j->backward, "reversed, other bits", "reversed_other_bits", "reversed, difference", "reversed_difference");
    return !j->compared ? CLI_OK : j->scores ? check_scores(j) : check_reference(j);
}

static bool passes(const struct check *c)
{
    /* So that NaN passes nowhere. */
    return !c->bounded || c->skipped || (c->below ? c->value <= c->bound : c->value >= c->bound);
}

/* ---------------------------------------------------------------- output ---------------------------------------- */

static void write_checks(const struct verify_job *j, struct sink *out)
{
    sink_printf(out, "%s: %s on %s, against %s%s\n", j->name, OPTION_CHOICE_NAME(precision, j->precision), j->device,
                j->compared ? "f32 on the cpu of " : "itself only",
                !j->compared ? "" : strcmp(j->against, j->name) ? j->against : "the same");
    sink_printf(out, "%zu texts %s%s\n\n%-36s%12s   %-12s\n", j->given, j->o->file ? "of " : "built in", j->o->file ? j->input.name : "", "check",
                "value", "bound");
    for (size_t i = 0; i < j->check_count; i++) {
        const struct check *c = &j->checks[i];
        if (c->skipped) {
            sink_printf(out, "%-36s%12s   %s\n", c->name, "-", c->skipped);
            continue;
        }
        sink_printf(out, c->whole ? "%-36s%12.0f" : c->below ? "%-36s%12.1e" : "%-36s%12.6f", c->name, c->value);
        if (c->bounded)
            sink_printf(out, "   %s %-9.5g%s", c->below ? "<=" : ">=", c->bound, passes(c) ? "pass" : "FAIL");
        sink_printf(out, "\n");
    }
}

static void write_checks_json(const struct verify_job *j, bool pass, struct sink *out)
{
    sink_printf(out, "{\n  \"version\": ");
    sink_json_string(out, aki_version());
    sink_printf(out, ",\n  \"model\": ");
    sink_json_string(out, j->name);
    sink_printf(out, ",\n  \"precision\": \"%s\",\n  \"device\": ", OPTION_CHOICE_NAME(precision, j->precision));
    sink_json_string(out, j->device);
    sink_printf(out, ",\n  \"against\": ");
    sink_json_string(out, j->compared ? j->against : NULL);
    sink_printf(out, ",\n  \"texts\": %zu,\n  \"file\": ", j->given);
    sink_json_string(out, j->o->file);
    sink_printf(out, ",\n  \"checks\": [");
    for (size_t i = 0; i < j->check_count; i++) {
        const struct check *c = &j->checks[i];
        sink_printf(out, "%s\n    {\"name\": \"%s\", \"value\": ", i ? "," : "", c->json);
        if (c->skipped || c->value != c->value)
            sink_printf(out, "null");
        else
            sink_printf(out, "%.9g", c->value);
        if (c->bounded && !c->skipped)
            sink_printf(out, ", \"%s\": %.9g, \"pass\": %s", c->below ? "most" : "least", c->bound, passes(c) ? "true" : "false");
        if (c->skipped)
            sink_printf(out, ", \"skipped\": \"%s\"", c->skipped);
        sink_printf(out, "}");
    }
    /* Without a reference nothing is known that could pass. */
    sink_printf(out, "\n  ],\n  \"pass\": %s\n}\n", !pass ? "false" : j->compared ? "true" : "null");
}

static int report_checks(struct verify_job *j)
{
    struct sink out;
    size_t failed = 0;

    for (size_t i = 0; i < j->check_count; i++)
        failed += !passes(&j->checks[i]);
    int rc = sink_open_stdout(&out);
    if (j->o->json)
        write_checks_json(j, !failed, &out);
    else
        write_checks(j, &out);
    rc = sink_close(&out, rc);
    if (!rc && !failed && !j->compared)
        return cli_fail(CLI_UNVERIFIED, "not verified: %s was compared with itself only; --against FOLDER names the model it was made from", j->name);
    return !rc && failed ? cli_fail(CLI_CHECK, "%zu of %zu checks failed: search would find other texts than with f32 on the cpu more often than is usual; "
                                                             "docs/verify-and-bench.md says what each row means and what to do", failed, j->check_count) : rc;
}

/* ---------------------------------------------------------------- the verb -------------------------------------- */

static int open_and_read(struct verify_job *j)
{
    const struct options *o = j->o;

    if (o->word_count)
        return cli_fail(CLI_USAGE, "verify takes no texts ('%s'); they come from --file, one a line", o->words[0]);
    if ((o->jsonl || o->null) && !o->file)
        return cli_fail(CLI_USAGE, "--%s is for texts from --file", o->jsonl ? "jsonl" : "null");
    int rc = o->file ? read_texts(j) : built_in_texts(j);
    if (!rc)
        rc = model_open(&j->model, o, false);
    if (rc)
        return rc;
    j->dim = (size_t)j->model.info.dim;
    j->scores = j->model.info.label_count > 0;
    j->precision = j->model.info.precision;
    j->name = j->model.name;
    snprintf(j->device, sizeof j->device, "%s", j->model.info.device);
    return look_at_tokens(j);
}

int verify_run(const struct options *o)
{
    struct verify_job j = { .o = o, .input.fd = -1 };
    int rc = open_and_read(&j);

    progress_start();
    if (!rc)
        rc = compute_checked(&j);
    if (!rc)
        rc = compute_reference(&j);
    progress_end();
    if (!rc)
        rc = check_all(&j);
    if (!rc)
        rc = report_checks(&j);
    free(j.alone);
    free(j.together);
    free(j.backward);
    free(j.reference);
    free(j.queries);
    free(j.texts);
    free(j.sizes);
    free(j.numbers);
    free(j.unknown);
    aki__buf_free(&j.data);
    input_close(&j.input);
    model_close(&j.model);
    return rc;
}
