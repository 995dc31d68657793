/* Unit input: the texts of a call, batch by batch, in memory that a batch and the longest text bound. See input.h. */
#include "input.h"

#include "jsonl.h"
#include "cli/shell/system.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 16, PATIENCE_MS = 20 };

/* Not an exit code: a batch is ready and more is not there yet. */
enum { NOTHING_YET = -1 };

static void find_total(struct input *in)
{
    struct stat st;
    off_t at = lseek(in->fd, 0, SEEK_CUR);

    if (fstat(in->fd, &st) == 0 && S_ISREG(st.st_mode) && at >= 0 && st.st_size > at)
        in->total = (uint64_t)(st.st_size - at);
}

static void clear(struct input *in)
{
    memset(in, 0, sizeof *in);
    in->fd = -1;
    in->batch_texts = BATCH_TEXTS;
    in->batch_bytes = BATCH_BYTES;
}

void input_set_pace(struct input *in, int64_t parameters)
{
    enum { EASY = 25 << 20, MOST = 16 };                      /* parameters that are computed fast; the largest division */
    size_t by = parameters > EASY ? (size_t)(parameters / EASY) : 1;

    in->batch_texts = BATCH_TEXTS / (by < MOST ? by : MOST);
    in->batch_bytes = BATCH_BYTES / (by < MOST ? by : MOST);
}

int input_open_file(struct input *in, const char *path, enum input_form form)
{
    clear(in);
    in->form = form;
    in->name = path;
    in->fd = STDIN_FILENO;
    if (strcmp(path, "-")) {
        in->fd = system_open(path, O_RDONLY | O_CLOEXEC);
        if (in->fd < 0)
            return cli_fail(CLI_IO, "cannot read %s: %s", path, strerror(errno));
        in->owned = true;
    } else {
        in->name = "standard input";
        if (isatty(in->fd))
            cli_warn("reading texts from the terminal, one a line; Ctrl-D ends");
    }
    find_total(in);
    return CLI_OK;
}

int input_open(struct input *in, const struct options *o, size_t skip)
{
    if (o->word_count <= skip)
        return input_open_file(in, o->file ? o->file : "-", o->jsonl ? INPUT_JSONL : o->null ? INPUT_NULL : INPUT_LINES);
    clear(in);
    in->name = "arguments";
    in->words = o->words + skip;
    in->word_count = o->word_count - skip;
    if (o->file)
        return cli_fail(CLI_USAGE, "texts come from the command line or from --file, not from both");
    if (o->jsonl || o->null)
        return cli_fail(CLI_USAGE, "--%s is for texts from --file or standard input", o->jsonl ? "jsonl" : "null");
    for (size_t i = 0; i < in->word_count; i++)
        in->total += strlen(in->words[i]);
    return CLI_OK;
}

void input_close(struct input *in)
{
    if (in->owned)
        close(in->fd);
    aki__buf_free(&in->buffer);
    clear(in);
}

void batch_free(struct batch *b)
{
    aki__buf_free(&b->data);
    free(b->pieces);
    free(b->texts);
    free(b->sizes);
    memset(b, 0, sizeof *b);
}

const char *input_where(const struct input *in, uint64_t text, char *out, size_t size)
{
    if (in->words)
        snprintf(out, size, "text %" PRIu64, text + 1);
    else
        snprintf(out, size, "%s: %s %" PRIu64, in->name, in->form == INPUT_NULL ? "text" : "line", text + 1);
    return out;
}

bool input_is(const struct input *in, const char *path)
{
    return in->fd >= 0 && system_same_file(in->fd, path);
}

/* ---------------------------------------------------------------- records --------------------------------------- */

static int fail_too_long(const struct input *in)
{
    char where[512];

    return cli_fail(CLI_INPUT, "%s: longer than %d MiB, the most for one text", input_where(in, in->taken, where, sizeof where),
                    TEXT_LIMIT >> 20);
}

/* Reads more behind the unread bytes. may_wait false: NOTHING_YET rather than wait long. */
static int refill(struct input *in, bool may_wait)
{
    if (!may_wait && !system_readable(in->fd, PATIENCE_MS))
        return NOTHING_YET;
    if (in->begin && in->begin * 2 >= in->buffer.size) {
        memmove(in->buffer.data, in->buffer.data + in->begin, in->buffer.size - in->begin);
        in->buffer.size -= in->begin;
        in->scanned -= in->begin;
        in->begin = 0;
    }
    if (in->buffer.size - in->begin > TEXT_LIMIT)
        return fail_too_long(in);
    if (!aki__buf_reserve(&in->buffer, READ_SIZE, CLI_CEILING))
        return cli_no_memory();
    ssize_t n = -1;
    do {
        if (cli_signal)
            return CLI_STOPPED + cli_signal;
        n = read(in->fd, in->buffer.data + in->buffer.size, in->buffer.capacity - in->buffer.size);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return cli_fail(CLI_IO, "cannot read %s: %s", in->name, strerror(errno));
    in->ended = n == 0;
    in->buffer.size += (size_t)n;
    return CLI_OK;
}

/* What Windows' editors begin a file with: no part of its first text. */
static char *behind_mark(const struct input *in, char *start, const char *stop)
{
    return !in->consumed && stop - start >= 3 && !memcmp(start, "\xEF\xBB\xBF", 3) ? start + 3 : start;
}

/* The next record, NULL at the end. It stays valid until the next call. */
static int next_record(struct input *in, bool may_wait, const char **record, size_t *size)
{
    const char end = in->form == INPUT_NULL ? '\0' : '\n';

    *record = NULL;
    for (;;) {
        char *found = in->scanned < in->buffer.size ? memchr(in->buffer.data + in->scanned, end, in->buffer.size - in->scanned) : NULL;
        if (found || (in->ended && in->begin < in->buffer.size)) {
            char *begin = in->buffer.data + in->begin;
            char *stop = found ? found : in->buffer.data + in->buffer.size;
            char *start = behind_mark(in, begin, stop);
            in->begin = in->scanned = (size_t)(stop - in->buffer.data) + (found != NULL);
            in->consumed += (size_t)(stop - begin) + (found != NULL);
            if (!found && start == stop)
                return CLI_OK;             /* a file of the mark alone */
            if (found && end == '\n' && stop > start && stop[-1] == '\r')
                stop--;
            *record = start;
            *size = (size_t)(stop - start);
            return CLI_OK;
        }
        if (in->ended)
            return CLI_OK;
        in->scanned = in->buffer.size;
        int rc = refill(in, may_wait);
        if (rc)
            return rc;
    }
}

/* ---------------------------------------------------------------- batches --------------------------------------- */

static bool room_for_one(struct batch *b)
{
    if (b->count < b->capacity)
        return true;
    size_t capacity = b->capacity ? b->capacity * 2 : 64;
    if (!cli_resize(&b->pieces, capacity, sizeof *b->pieces) || !cli_resize(&b->texts, capacity, sizeof *b->texts) ||
        !cli_resize(&b->sizes, capacity, sizeof *b->sizes))
        return false;
    b->capacity = capacity;
    return true;
}

static int read_json(struct input *in, struct batch *b, struct piece *piece, const char *record, size_t size)
{
    struct aki__buf extra = { 0 };
    struct jsonl_problem problem = { 0, NULL };
    char where[512];
    int rc = CLI_OK;

    if (!jsonl_read(record, size, in->reserved, &b->data, &extra, &in->dropped, &problem)) {
        rc = !problem.what ? cli_no_memory()
                           : cli_fail(CLI_INPUT, "%s, byte %zu: %s", input_where(in, in->taken, where, sizeof where), problem.at + 1, problem.what);
    } else {
        piece->text_size = b->data.size - piece->text;
        piece->extra = b->data.size;
        piece->extra_size = extra.size;
        if (!aki__buf_append(&b->data, extra.data, extra.size, CLI_CEILING))
            rc = cli_no_memory();
    }
    aki__buf_free(&extra);
    return rc;
}

static int add_record(struct input *in, struct batch *b, const char *record, size_t size)
{
    struct piece piece = { .text = b->data.size, .text_size = size };
    size_t invalid = aki__utf8_check(record, size);
    char where[512];
    int rc = CLI_OK;

    if (size > TEXT_LIMIT)
        return fail_too_long(in);
    if (invalid != SIZE_MAX)
        return cli_fail(CLI_INPUT, "%s, byte %zu: not UTF-8 (0x%02X)", input_where(in, in->taken, where, sizeof where), invalid + 1,
                        (unsigned char)record[invalid]);
    if (!room_for_one(b))
        return cli_no_memory();
    if (in->form == INPUT_JSONL && !in->raw)
        rc = read_json(in, b, &piece, record, size);
    else if (!aki__buf_append(&b->data, record, size, CLI_CEILING))
        rc = cli_no_memory();
    if (rc)
        return rc;
    b->pieces[b->count++] = piece;
    in->taken++;
    return CLI_OK;
}

static int take_words(struct input *in, struct batch *b)
{
    int rc = CLI_OK;

    while (in->taken < in->word_count && b->count < in->batch_texts && b->data.size < in->batch_bytes && !rc) {
        const char *word = in->words[in->taken];
        in->consumed += strlen(word);
        rc = add_record(in, b, word, strlen(word));
    }
    return rc;
}

int input_batch(struct input *in, struct batch *b)
{
    int rc = CLI_OK;

    b->data.size = 0;
    b->count = 0;
    b->first = in->taken;
    if (in->words)
        rc = take_words(in, b);
    while (!in->words && !rc && b->count < in->batch_texts && b->data.size < in->batch_bytes) {
        const char *record;
        size_t size;
        rc = next_record(in, !in->eager || !b->count, &record, &size);
        if (!rc && !record)
            break;
        if (!rc)
            rc = add_record(in, b, record, size);
    }
    if (rc == NOTHING_YET)
        rc = CLI_OK;
    /* The bytes may have moved while the batch grew: point at them only now. */
    if (!aki__buf_reserve(&b->data, 1, CLI_CEILING))
        rc = rc ? rc : cli_no_memory();
    for (size_t i = 0; i < b->count && !rc; i++) {
        b->texts[i] = b->data.data + b->pieces[i].text;
        b->sizes[i] = b->pieces[i].text_size;
    }
    return rc;
}
