/* Unit sink: buffered bytes to a file or to stdout. See sink.h. */
#include "sink.h"

#include "number.h"
#include "system.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLUSH_SIZE = 1 << 18, WRITE_SIZE = 1 << 30 /* macOS refuses more than INT_MAX bytes at once */ };

static void examine(struct sink *s)
{
    struct stat st;
    off_t at = lseek(s->fd, 0, SEEK_CUR);

    s->seekable = fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode) && (s->owned || !system_appends(s->fd)) && at >= 0;
    s->start = s->seekable ? (uint64_t)at : 0;
}

int sink_open_stdout(struct sink *s)
{
    memset(s, 0, sizeof *s);
    s->fd = STDOUT_FILENO;
    s->name = "standard output";
    examine(s);
    return CLI_OK;
}

int sink_open_file(struct sink *s, const char *path, uint64_t keep, uint64_t rows)
{
    memset(s, 0, sizeof *s);
    s->name = path;
    s->fd = system_open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (keep ? 0 : O_TRUNC));
    if (s->fd < 0)
        return cli_fail(CLI_IO, "cannot write %s: %s", path, strerror(errno));
    s->owned = true;
    if (keep && (ftruncate(s->fd, (off_t)keep) || lseek(s->fd, (off_t)keep, SEEK_SET) < 0))
        return cli_fail(CLI_IO, "cannot go on in %s: %s", path, strerror(errno));
    examine(s);
    s->start = 0;
    s->base = keep;
    s->rows = rows;
    return CLI_OK;
}

int sink_open_spill(struct sink *s)
{
    char path[4096];

    memset(s, 0, sizeof *s);
    s->name = "a temporary file";
    s->fd = system_open_spill(path, sizeof path);
    if (s->fd < 0)
        return cli_fail(CLI_IO, "cannot make a temporary file %s: %s", path, strerror(errno));
    s->owned = true;
    examine(s);
    return CLI_OK;
}

/* Cuts off the row that was being written, and forgets what cannot be written. written: bytes of the buffer that were. */
static void retreat(struct sink *s, size_t written)
{
    size_t whole = 0, rows = 0;

    while (rows < s->end_count && s->ends[rows] <= written)
        whole = s->ends[rows++];
    s->rows += rows;
    s->base += whole;
    if (s->seekable && s->owned && ftruncate(s->fd, (off_t)s->base))
        cli_warn("%s may end with a part of a row: %s", s->name, strerror(errno));
}

static int complain(struct sink *s)
{
    if (!s->error)
        return CLI_OK;
    if (s->told)
        return CLI_IO;
    s->told = true;
    if (s->error == ENOMEM)
        return cli_no_memory();
    /* The reader has gone, as `head` does: nothing to complain about. */
    if (s->error == EPIPE)
        return CLI_IO;
    if (s->rows || s->end_count)
        return cli_fail(CLI_IO, "cannot write %s: %s (%" PRIu64 " rows are whole)", s->name, strerror(s->error), s->rows);
    return cli_fail(CLI_IO, "cannot write %s: %s", s->name, strerror(s->error));
}

static void push(struct sink *s)
{
    size_t at = 0;

    while (at < s->buffer.size && !s->error) {
        const size_t left = s->buffer.size - at;
        ssize_t n = write(s->fd, s->buffer.data + at, left < WRITE_SIZE ? left : WRITE_SIZE);
        if (n > 0)
            at += (size_t)n;
        else if (n == 0 || errno != EINTR)
            s->error = n == 0 ? EIO : errno;
    }
    if (s->error) {
        retreat(s, at);
        return;
    }
    s->base += at;
    s->rows += s->end_count;
    s->end_count = 0;
    s->buffer.size = 0;
}

int sink_flush(struct sink *s)
{
    if (!s->error)
        push(s);
    return complain(s);
}

int sink_close(struct sink *s, int rc)
{
    int failed = CLI_OK;

    if (s->fd >= 0)
        failed = sink_flush(s);
    if (s->owned && close(s->fd) && !s->error) {
        s->error = errno;
        failed = complain(s);
    }
    aki__buf_free(&s->buffer);
    free(s->ends);
    memset(s, 0, sizeof *s);
    s->fd = -1;
    return rc ? rc : failed;
}

/* Room for size more bytes, or NULL after an error. */
static char *room(struct sink *s, size_t size)
{
    if (s->error)
        return NULL;
    if (!aki__buf_reserve(&s->buffer, size, CLI_CEILING)) {
        s->error = ENOMEM;
        return NULL;
    }
    return s->buffer.data + s->buffer.size;
}

void sink_bytes(struct sink *s, const void *data, size_t size)
{
    char *out = room(s, size);

    if (out && size) {
        memcpy(out, data, size);
        s->buffer.size += size;
    }
}

void sink_printf(struct sink *s, const char *format, ...)
{
    va_list args;
    char small[256];

    va_start(args, format);
    int size = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (size < 0)
        return;
    if ((size_t)size < sizeof small) {
        sink_bytes(s, small, (size_t)size);
        return;
    }
    char *out = room(s, (size_t)size + 1);
    if (out) {
        va_start(args, format);
        vsnprintf(out, (size_t)size + 1, format, args);
        va_end(args);
        s->buffer.size += (size_t)size;
    }
}

void sink_json(struct sink *s, const char *text, size_t size)
{
    if (s->error)
        return;
    aki__buf_json(&s->buffer, text, size, CLI_CEILING);
    if (s->buffer.failed)
        s->error = ENOMEM;
}

void sink_json_string(struct sink *s, const char *text)
{
    if (text)
        sink_json(s, text, strlen(text));
    else
        sink_bytes(s, "null", 4);
}

void sink_f32(struct sink *s, float value)
{
    char *out = room(s, NUMBER_SIZE);

    if (out)
        s->buffer.size += number_f32(out, value);
}

void sink_int(struct sink *s, int64_t value)
{
    char *out = room(s, NUMBER_SIZE);

    if (out)
        s->buffer.size += number_int(out, value);
}

void sink_row(struct sink *s)
{
    if (s->error)
        return;
    if (!cli_room_for_one(&s->ends, s->end_count, &s->end_capacity, sizeof *s->ends)) {
        s->error = ENOMEM;
        return;
    }
    s->ends[s->end_count++] = s->buffer.size;
    if (s->buffer.size >= FLUSH_SIZE)
        push(s);
}
