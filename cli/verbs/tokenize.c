/* Unit tokenize: the verb `tokenize`: texts to ids or pieces, and ids back to texts. */
#include "cli/streams/input.h"
#include "cli/hub/model.h"
#include "cli/shell/sink.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct tokenize_job {
    const struct options *o;
    struct model      model;
    aki_embed_options options;
    struct input      input;
    struct batch      batch;
    struct sink       out;
    int32_t          *ids;                 /* [capacity] of the text at hand */
    size_t            count, capacity;
    struct aki__buf      text;                /* of --decode */
};

static bool reserve_ids(struct tokenize_job *j, size_t count)
{
    if (count <= j->capacity)
        return true;
    count += count / 2 + 64;
    if (!cli_resize(&j->ids, count, sizeof *j->ids))
        return false;
    j->capacity = count;
    return true;
}

static void write_pieces(struct tokenize_job *j)
{
    for (size_t i = 0; i < j->count; i++) {
        size_t size = 0;
        const char *piece = aki_token_piece(j->model.handle, j->ids[i], &size);
        sink_bytes(&j->out, ",", i > 0);
        sink_json(&j->out, piece, piece ? size : 0);
    }
}

static void write_ids(struct tokenize_job *j)
{
    for (size_t i = 0; i < j->count; i++) {
        sink_bytes(&j->out, ",", i > 0);
        sink_int(&j->out, j->ids[i]);
    }
}

static int encode(struct tokenize_job *j, size_t i)
{
    aki_error error;
    aki_status status;
    char where[512];

    while ((status = aki_tokenize(j->model.handle, j->batch.texts[i], j->batch.sizes[i], &j->options, j->ids, NULL, j->capacity, &j->count,
                                  &error)) == AKI_E_TOO_SMALL)
        if (!reserve_ids(j, j->count))
            return cli_no_memory();
    if (status)
        return model_failed(&error, input_where(&j->input, j->batch.first + i, where, sizeof where));
    sink_bytes(&j->out, "[", 1);
    if (j->o->tokenize.pieces)
        write_pieces(j);
    else
        write_ids(j);
    sink_bytes(&j->out, "]\n", 2);
    sink_row(&j->out);
    return CLI_OK;
}

/* "[1,2,3]", "1 2 3": numbers with blanks or commas between. The text is NUL-ended behind size. */
static bool read_ids(struct tokenize_job *j, const char *text, size_t size, size_t *at)
{
    const char *s = text, *end = text + size;
    bool bracket;

    j->count = 0;
    s += strspn(s, " \t\r");
    bracket = *s == '[';
    s += bracket;
    for (;;) {
        s += strspn(s, " \t\r,");
        *at = (size_t)(s - text);
        if (s >= end || (bracket && *s == ']'))
            break;
        char *behind;
        errno = 0;
        long id = strtol(s, &behind, 10);
        if (behind == s || errno || id < 0 || id > INT32_MAX || !reserve_ids(j, j->count + 1))
            return false;
        j->ids[j->count++] = (int32_t)id;
        s = behind;
    }
    if (bracket) {
        if (s >= end)
            return false;
        s++;
        s += strspn(s, " \t\r");
        *at = (size_t)(s - text);
    }
    return s == end;
}

static int decode(struct tokenize_job *j, size_t i)
{
    struct aki__buf line = { 0 };
    aki_error error;
    aki_status status = AKI_OK;
    size_t at = 0, size = 0;
    char where[512];
    int rc = CLI_OK;

    input_where(&j->input, j->batch.first + i, where, sizeof where);
    if (!aki__buf_append(&line, j->batch.texts[i], j->batch.sizes[i], CLI_CEILING) || !aki__buf_append(&line, "", 1, CLI_CEILING))
        rc = cli_no_memory();
    else if (!read_ids(j, line.data, line.size - 1, &at))
        rc = cli_fail(CLI_INPUT, "%s, byte %zu: ids are numbers with blanks or commas between", where, at + 1);
    while (!rc && (status = aki_detokenize(j->model.handle, j->ids, j->count, 1, j->text.data, j->text.capacity, &size, &error)) == AKI_E_TOO_SMALL)
        if (!aki__buf_reserve(&j->text, size, CLI_CEILING))
            rc = cli_no_memory();
    aki__buf_free(&line);
    if (!rc && status)
        rc = model_failed(&error, where);
    if (rc)
        return rc;
    if (j->o->jsonl)
        sink_json(&j->out, j->text.data, size);
    else
        sink_bytes(&j->out, j->text.data, size);
    sink_bytes(&j->out, j->o->null ? "" : "\n", 1);
    sink_row(&j->out);
    return CLI_OK;
}

static int open_all(struct tokenize_job *j)
{
    const struct options *o = j->o;
    int rc = model_open(&j->model, o, true);

    if (!rc)
        rc = model_embed_options(&j->model, o, &j->options);
    if (!rc)
        rc = input_open(&j->input, o, 0);
    if (!rc && o->output && input_is(&j->input, o->output))
        rc = cli_fail(CLI_USAGE, "-o %s is the file that the texts are read from", o->output);
    if (!rc)
        rc = o->output ? sink_open_file(&j->out, o->output, 0, 0) : sink_open_stdout(&j->out);
    j->input.eager = !o->output;
    j->input.raw = o->tokenize.decode;
    return rc;
}

int tokenize_run(const struct options *o)
{
    struct tokenize_job j = { .o = o, .input.fd = -1, .out.fd = -1 };
    int rc = open_all(&j);

    while (!rc && !(rc = input_batch(&j.input, &j.batch)) && j.batch.count) {
        for (size_t i = 0; i < j.batch.count && !rc; i++)
            rc = o->tokenize.decode ? decode(&j, i) : encode(&j, i);
        if (!rc)
            rc = sink_flush(&j.out);
        if (!rc && cli_signal)
            rc = CLI_STOPPED + cli_signal;
    }
    rc = sink_close(&j.out, rc);
    batch_free(&j.batch);
    input_close(&j.input);
    aki__buf_free(&j.text);
    free(j.ids);
    model_close(&j.model);
    return rc;
}
