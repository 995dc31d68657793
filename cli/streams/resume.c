/* Unit resume: finds the last whole row of an output that was interrupted. See resume.h. */
#include "resume.h"

#include "jsonl.h"
#include "npy.h"
#include "cli/shell/options.h"
#include "cli/shell/system.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 20 };

static int refuse(const char *path, const char *why)
{
    return cli_fail(CLI_USAGE, "--resume: %s %s; nothing is changed", path, why);
}

/* Walks the whole lines of a file of any size. */
struct lines {
    const char   *path;
    int           fd;
    struct aki__buf  buffer;
    size_t        scanned;                 /* end of the last line in the buffer */
    uint64_t      offset;                  /* of the buffer in the file */
};

/* The next whole line; *line NULL at the end, when what is left in the buffer is a torn one. */
static int next_line(struct lines *l, const char **line, size_t *size)
{
    size_t begin = l->scanned;

    *line = NULL;
    *size = 0;
    for (;;) {
        char *found = l->buffer.size > l->scanned ? memchr(l->buffer.data + l->scanned, '\n', l->buffer.size - l->scanned) : NULL;
        if (found) {
            *line = l->buffer.data + begin;
            *size = (size_t)(found - *line);
            l->scanned = (size_t)(found - l->buffer.data) + 1;
            return CLI_OK;
        }
        l->scanned = l->buffer.size - begin;
        if (begin) {
            memmove(l->buffer.data, l->buffer.data + begin, l->scanned);
            l->buffer.size = l->scanned;
            l->offset += begin;
            begin = 0;
        }
        if (!aki__buf_reserve(&l->buffer, READ_SIZE, CLI_CEILING))
            return cli_no_memory();
        ssize_t n = read(l->fd, l->buffer.data + l->buffer.size, l->buffer.capacity - l->buffer.size);
        if (n < 0)
            return cli_fail(CLI_IO, "cannot read %s: %s", l->path, strerror(errno));
        if (n == 0) {
            l->scanned = 0;
            return CLI_OK;
        }
        l->buffer.size += (size_t)n;
    }
}

/* True where the torn text could have become what wanted begins with. */
static bool could_be(const struct aki__buf *torn, const char *wanted, size_t size)
{
    return torn->size <= size ? !memcmp(torn->data, wanted, torn->size) : !memcmp(torn->data, wanted, size);
}

static bool is_row(const struct layout *layout, const char *line, size_t size, int64_t *index)
{
    size_t count;

    return jsonl_row(line, size, layout->tokens ? "embeddings" : "embedding", index, &count) && (layout->tokens || count == layout->elements);
}

/* Every row is counted; the first and the last are looked into. */
static int examine_jsonl(struct lines *l, const struct layout *layout, uint64_t most, struct kept *kept)
{
    static const char beginning[] = "{\"index\":0,";
    struct aki__buf last = { 0 };
    const char *line;
    size_t size;
    int64_t index = 0;
    int rc = CLI_OK;

    while (kept->rows < most && !(rc = next_line(l, &line, &size)) && line) {
        if (!kept->rows && !is_row(layout, line, size, &index)) {
            rc = refuse(l->path, "does not begin with a row of this format and dimension");
            goto done;
        }
        kept->rows++;
        kept->bytes = l->offset + l->scanned;
        last.size = 0;
        if (!aki__buf_append(&last, line, size, CLI_CEILING)) {
            rc = cli_no_memory();
            goto done;
        }
    }
    if (rc)
        goto done;
    if (!kept->rows && l->buffer.size && !could_be(&l->buffer, beginning, sizeof beginning - 1))
        rc = refuse(l->path, "does not begin with a row of this format");
    else if (kept->rows && (!is_row(layout, last.data, last.size, &index) || (!layout->chunks && (uint64_t)index + 1 != kept->rows)))
        rc = refuse(l->path, "does not end with the row that belongs there");
done:
    aki__buf_free(&last);
    return rc;
}

static int examine_csv(struct lines *l, const struct layout *layout, uint64_t most, struct kept *kept)
{
    struct sink heading = { .fd = -1 };
    const char *line;
    size_t size;
    int rc = CLI_OK;

    layout_csv_heading(&heading, layout);
    if (heading.error) {
        rc = cli_no_memory();
        goto done;
    }
    rc = next_line(l, &line, &size);
    if (rc)
        goto done;
    bool fits = line ? size + 1 == heading.buffer.size && !memcmp(line, heading.buffer.data, size)
                     : !l->buffer.size || could_be(&l->buffer, heading.buffer.data, heading.buffer.size);
    if (!fits) {
        rc = refuse(l->path, "does not begin with the heading of this format and dimension");
        goto done;
    }
    while (line && !rc) {
        kept->bytes = l->offset + l->scanned;
        if (kept->rows == most)
            break;
        rc = next_line(l, &line, &size);
        kept->rows += !rc && line;
    }
done:
    sink_close(&heading, CLI_OK);
    return rc;
}

static int examine_fixed(int fd, const char *path, const struct layout *layout, uint64_t size, uint64_t most, struct kept *kept)
{
    size_t row = layout->elements * layout->element_size, head = layout->format == FORMAT_NPY ? NPY_HEADER : 0;
    char header[NPY_HEADER], own[NPY_HEADER];

    if (head) {
        ssize_t n = read(fd, header, sizeof header);
        if (n < 0)
            return cli_fail(CLI_IO, "cannot read %s: %s", path, strerror(errno));
        npy_header(own, layout_npy_type(layout), 0, layout->elements);
        if ((size_t)n < sizeof header)
            return memcmp(header, own, (size_t)n) ? refuse(path, "is not a .npy file of this type and dimension") : CLI_OK;
        if (!npy_same(header, layout_npy_type(layout), layout->elements))
            return refuse(path, "is not a .npy file of this type and dimension, as written here");
    }
    kept->rows = (size - head) / row < most ? (size - head) / row : most;
    kept->bytes = head + kept->rows * row;
    return CLI_OK;
}

int resume_examine(const char *path, const struct layout *layout, uint64_t most, struct kept *kept)
{
    struct stat st;
    const char *why = "";
    struct lines l = { .path = path, .fd = system_open_regular(path, &why) };
    int rc = CLI_OK;

    memset(kept, 0, sizeof *kept);
    if (l.fd < 0 && errno == ENOENT)
        return CLI_OK;
    if (l.fd < 0)
        return system_stat(path, &st) == 0 && !S_ISREG(st.st_mode) ? refuse(path, "is not a regular file")
                                                                   : cli_fail(CLI_IO, "cannot read %s: %s", path, why);
    if (fstat(l.fd, &st))
        rc = cli_fail(CLI_IO, "cannot read %s: %s", path, strerror(errno));
    else if (layout->format == FORMAT_JSONL)
        rc = examine_jsonl(&l, layout, most, kept);
    else if (layout->format == FORMAT_CSV)
        rc = examine_csv(&l, layout, most, kept);
    else
        rc = examine_fixed(l.fd, path, layout, (uint64_t)st.st_size, most, kept);
    aki__buf_free(&l.buffer);
    close(l.fd);
    return rc;
}
