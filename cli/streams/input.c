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

/* The form of a file, by options and by the end of its name. Nothing is read as lines that is certainly something else. */
static int find_form(struct input *in, const char *path, const struct options *o)
{
    static const struct { const char *end, *says; enum input_form form; char separator; } ends[] = {
        { ".jsonl", NULL, INPUT_JSONL, 0 }, { ".ndjson", NULL, INPUT_JSONL, 0 }, { ".csv", NULL, INPUT_CSV, ',' }, { ".tsv", NULL, INPUT_CSV, '\t' },
        { ".json", "one JSON document is not read; write a line for each text (pandas: to_json(orient='records', lines=True)), with --jsonl if it has them", INPUT_LINES, 0 },
        { ".parquet", "Parquet is not read; write CSV or JSON lines (pandas: to_json(orient='records', lines=True))", INPUT_LINES, 0 },
        { ".xlsx", "spreadsheets are not read; save it as CSV", INPUT_LINES, 0 }, { ".npy", "an array, not texts", INPUT_LINES, 0 },
    };
    const char *says = NULL;

    in->form = o->null ? INPUT_NULL : o->csv || o->column ? INPUT_CSV : o->jsonl || o->field ? INPUT_JSONL : INPUT_LINES;
    in->separator = ',';
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (!cli_has_end(path, ends[i].end))
            continue;
        says = ends[i].says;
        if (in->form == INPUT_LINES)
            in->form = ends[i].form;
        if (ends[i].separator)
            in->separator = ends[i].separator;
    }
    if (says && in->form == INPUT_LINES)
        return cli_fail(CLI_USAGE, "%s: %s (lines as they are: -f - < %s)", path, says, path);
    if (o->column && (o->jsonl || o->field || o->null))
        return cli_fail(CLI_USAGE, "--column is for CSV; it does not go with --%s", o->jsonl ? "jsonl" : o->field ? "field" : "null");
    if (o->field && in->form != INPUT_JSONL)
        return cli_fail(CLI_USAGE, "--field is for JSON lines; it does not go with --%s", o->csv ? "csv" : "null");
    in->field = in->form == INPUT_CSV ? o->column : o->field;
    return CLI_OK;
}

int input_open_file(struct input *in, const char *path, const struct options *o)
{
    clear(in);
    int rc = find_form(in, path, o);
    if (rc)
        return rc;
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

int input_open_beside(struct input *in, const char *path, const struct options *o)
{
    struct options own = *o;

    own.jsonl = own.null = own.csv = 0;
    if (!cli_has_end(path, ".csv") && !cli_has_end(path, ".tsv"))
        own.column = NULL;
    if (!cli_has_end(path, ".jsonl") && !cli_has_end(path, ".ndjson"))
        own.field = NULL;
    return input_open_file(in, path, &own);
}

int input_open(struct input *in, const struct options *o, size_t skip)
{
    if (o->word_count <= skip)
        return input_open_file(in, o->file ? o->file : "-", o);
    clear(in);
    in->name = "arguments";
    in->words = o->words + skip;
    in->word_count = o->word_count - skip;
    if (o->file)
        return cli_fail(CLI_USAGE, "texts come from the command line or from --file, not from both");
    const char *form = o->jsonl ? "jsonl" : o->null ? "null" : o->csv ? "csv" : o->column ? "column" : o->field ? "field" : NULL;
    if (form)
        return cli_fail(CLI_USAGE, "--%s is for texts from --file or standard input", form);
    for (size_t i = 0; i < in->word_count; i++)
        in->total += strlen(in->words[i]);
    return CLI_OK;
}

void input_close(struct input *in)
{
    if (in->owned)
        close(in->fd);
    aki__buf_free(&in->buffer);
    csv_free(&in->heading);
    csv_free(&in->record);
    clear(in);
}

void batch_free(struct batch *b)
{
    aki__buf_free(&b->data);
    free(b->pieces);
    free(b->texts);
    free(b->sizes);
    free(b->seconds);
    free(b->second_sizes);
    memset(b, 0, sizeof *b);
}

const char *input_where(const struct input *in, uint64_t text, char *out, size_t size)
{
    if (in->words)
        snprintf(out, size, "text %" PRIu64, text + 1);
    else
        snprintf(out, size, "%s: %s %" PRIu64, in->name, in->form == INPUT_NULL ? "text" : in->form == INPUT_CSV ? "row" : "line", text + 1);
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

/* The end of the record at hand; NULL: it is not there yet. */
static char *find_end(struct input *in)
{
    char *data = in->buffer.data;

    if (in->form != INPUT_CSV)
        return in->scanned < in->buffer.size ? memchr(data + in->scanned, in->form == INPUT_NULL ? '\0' : '\n', in->buffer.size - in->scanned) : NULL;
    /* A quote behind the mark opens the first field. */
    if (!in->consumed && !in->scanned && in->buffer.size)
        in->scanned = (size_t)(behind_mark(in, data, data + in->buffer.size) - data);
    size_t end = csv_scan(&in->scan, data, in->scanned, in->buffer.size, in->separator);
    return end < in->buffer.size ? data + end : NULL;
}

/* The next record, NULL at the end. It stays valid until the next call. */
static int next_record(struct input *in, bool may_wait, const char **record, size_t *size)
{
    *record = NULL;
    for (;;) {
        /* Fewer bytes than a mark has do not tell whether it is there. */
        char *found = in->consumed || in->buffer.size >= 3 || in->ended || in->form != INPUT_CSV ? find_end(in) : NULL;
        if (found || (in->ended && in->begin < in->buffer.size)) {
            char *begin = in->buffer.data + in->begin;
            char *stop = found ? found : in->buffer.data + in->buffer.size;
            char *start = behind_mark(in, begin, stop);
            in->begin = in->scanned = (size_t)(stop - in->buffer.data) + (found != NULL);
            in->consumed += (size_t)(stop - begin) + (found != NULL);
            if (!found && start == stop)
                return CLI_OK;             /* a file of the mark alone */
            if ((found || in->form == INPUT_CSV) && in->form != INPUT_NULL && stop > start && stop[-1] == '\r')
                stop--;
            *record = start;
            *size = (size_t)(stop - start);
            return CLI_OK;
        }
        if (in->ended)
            return CLI_OK;
        if (in->form != INPUT_CSV || in->consumed || in->buffer.size >= 3)
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
        !cli_resize(&b->sizes, capacity, sizeof *b->sizes) || !cli_resize(&b->seconds, capacity, sizeof *b->seconds) ||
        !cli_resize(&b->second_sizes, capacity, sizeof *b->second_sizes))
        return false;
    b->capacity = capacity;
    return true;
}

static int read_json(struct input *in, struct batch *b, struct piece *piece, const char *record, size_t size)
{
    struct aki__buf extra = { 0 };
    struct jsonl_problem problem = { 0 };
    char where[512];
    int rc = CLI_OK;

    size_t blanks = 0;
    while (blanks < size && (record[blanks] == ' ' || record[blanks] == '\t'))
        blanks++;
    piece->is_pair = in->pairs == INPUT_ONLY_PAIRS || (in->pairs == INPUT_ALSO_PAIRS && blanks < size && record[blanks] == '[');
    if (!(piece->is_pair ? jsonl_pair(record, size, &b->data, &piece->text_size, &problem)
                         : jsonl_read(record, size, in->field, in->reserved, &b->data, &extra, &in->dropped, &problem))) {
        rc = !*problem.what ? cli_no_memory()
                           : cli_fail(CLI_INPUT, "%s, byte %zu: %s", input_where(in, in->taken, where, sizeof where), problem.at + 1, problem.what);
    } else if (piece->is_pair) {
        piece->second = piece->text + piece->text_size;
        piece->second_size = b->data.size - piece->second;
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

/* A place in the record at hand, by its line and byte. */
static int fail_at(const struct input *in, const char *record, size_t at, const char *what)
{
    uint64_t line = in->line;
    size_t begin = 0;

    for (size_t i = 0; i < at; i++) {
        if (record[i] == '\n') {
            line++;
            begin = i + 1;
        }
    }
    return cli_fail(CLI_INPUT, "%s: line %" PRIu64 ", byte %zu: %s", in->name, line + 1, at - begin + 1, what);
}

/* The names of a heading, for a message. */
static const char *column_names(const struct csv_record *heading, char *out, size_t size)
{
    size_t at = 0;

    for (size_t i = 0; i < heading->count && at < size; i++) {
        size_t name_size;
        const char *name = csv_field(heading, i, &name_size);
        at += (size_t)snprintf(out + at, size - at, "%s%.*s", i ? ", " : "", name_size > 60 ? 60 : (int)name_size, name);
    }
    return out;
}

static int read_heading(struct input *in, const char *record, size_t size)
{
    char names[400];
    size_t found = 0, at, name_size;
    const char *what;

    if (!csv_split(&in->heading, record, size, in->separator, &at, &what))
        return what ? fail_at(in, record, at, what) : cli_no_memory();
    for (size_t i = 0; i < in->heading.count && in->field; i++) {
        const char *name = csv_field(&in->heading, i, &name_size);
        if (name_size == strlen(in->field) && !memcmp(name, in->field, name_size)) {
            in->column = i;
            found++;
        }
    }
    column_names(&in->heading, names, sizeof names);
    if (!in->field)
        return cli_fail(CLI_USAGE, "%s: a CSV: --column NAME says which of its columns has the texts: %s (lines as they are: -f - < %s)", in->name, names, in->name);
    if (found != 1)
        return cli_fail(CLI_USAGE, "%s: %s column '%s'; its heading has: %s", in->name, found ? "more than one" : "no", in->field, names);
    return CLI_OK;
}

static bool is_reserved(const struct input *in, const char *name, size_t size)
{
    for (const char *const *r = in->reserved; *r; r++)
        if (strlen(*r) == size && !memcmp(*r, name, size))
            return true;
    return false;
}

/* The other columns, as JSON members with strings. */
static void add_members(struct input *in, struct batch *b, struct piece *piece)
{
    piece->extra = b->data.size;
    for (size_t i = 0; i < in->record.count && in->reserved; i++) {
        size_t name_size, value_size;
        const char *name = csv_field(&in->heading, i, &name_size), *value = csv_field(&in->record, i, &value_size);
        if (i == in->column)
            continue;
        if (is_reserved(in, name, name_size)) {
            in->dropped++;
            continue;
        }
        aki__buf_append(&b->data, ",", b->data.size > piece->extra, CLI_CEILING);
        aki__buf_json(&b->data, name, name_size, CLI_CEILING);
        aki__buf_append(&b->data, ":", 1, CLI_CEILING);
        aki__buf_json(&b->data, value, value_size, CLI_CEILING);
    }
    piece->extra_size = b->data.size - piece->extra;
}

/* *is_text false: the heading, or an empty line. */
static int read_csv(struct input *in, struct batch *b, struct piece *piece, const char *record, size_t size, bool *is_text)
{
    size_t at, text_size;
    const char *what, *text;
    char says[96];

    *is_text = false;
    if (!in->heading.count)
        return read_heading(in, record, size);
    if (!size && in->heading.count > 1)
        return CLI_OK;
    if (!csv_split(&in->record, record, size, in->separator, &at, &what))
        return what ? fail_at(in, record, at, what) : cli_no_memory();
    snprintf(says, sizeof says, "the row has %zu field%s, the heading %zu", in->record.count, in->record.count == 1 ? "" : "s", in->heading.count);
    if (in->record.count != in->heading.count)
        return fail_at(in, record, 0, says);
    text = csv_field(&in->record, in->column, &text_size);
    piece->text_size = text_size;
    *is_text = true;
    if (!aki__buf_append(&b->data, text, text_size, CLI_CEILING))
        return cli_no_memory();
    add_members(in, b, piece);
    return b->data.failed ? cli_no_memory() : CLI_OK;
}

static uint64_t line_breaks(const char *record, size_t size)
{
    uint64_t count = 1;                                       /* the one that ends it */

    for (size_t i = 0; i < size; i++)
        count += record[i] == '\n';
    return count;
}

static int add_record(struct input *in, struct batch *b, const char *record, size_t size)
{
    bool is_text = true;
    struct piece piece = { .text = b->data.size, .text_size = size };
    size_t invalid = aki__utf8_check(record, size);
    char where[512];
    int rc = CLI_OK;

    if (size > TEXT_LIMIT)
        return fail_too_long(in);
    if (invalid != SIZE_MAX && in->form == INPUT_CSV)
        return fail_at(in, record, invalid, "not UTF-8");
    if (invalid != SIZE_MAX)
        return cli_fail(CLI_INPUT, "%s, byte %zu: not UTF-8 (0x%02X)", input_where(in, in->taken, where, sizeof where), invalid + 1,
                        (unsigned char)record[invalid]);
    if (!room_for_one(b))
        return cli_no_memory();
    if (in->form == INPUT_JSONL && !in->raw)
        rc = read_json(in, b, &piece, record, size);
    else if (in->form == INPUT_CSV)
        rc = read_csv(in, b, &piece, record, size, &is_text);
    else if (!aki__buf_append(&b->data, record, size, CLI_CEILING))
        rc = cli_no_memory();
    if (rc)
        return rc;
    in->line += in->form == INPUT_CSV ? line_breaks(record, size) : 0;
    if (!is_text)
        return CLI_OK;
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
        b->seconds[i] = b->pieces[i].is_pair ? b->data.data + b->pieces[i].second : NULL;
        b->second_sizes[i] = b->pieces[i].second_size;
    }
    return rc;
}
