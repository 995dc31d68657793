/* Unit output: rows of vectors in the formats that embed writes. See output.h. */
#include "output.h"

#include "npy.h"
#include "cli/shell/number.h"
#include "cli/shell/options.h"
#include "resume.h"
#include "cli/shell/system.h"

#include <akiembed.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_number(struct sink *s, const struct layout *layout, const void *vector, size_t i)
{
    switch (layout->dtype) {
    case AKI_DTYPE_F32:
        sink_f32(s, ((const float *)vector)[i]);
        break;
    case AKI_DTYPE_F16:
        sink_f32(s, number_half(((const uint16_t *)vector)[i]));
        break;
    case AKI_DTYPE_INT8:
    case AKI_DTYPE_BINARY:
        sink_int(s, ((const int8_t *)vector)[i]);
        break;
    default:
        sink_int(s, ((const uint8_t *)vector)[i]);
        break;
    }
}

static void write_numbers(struct sink *s, const struct layout *layout, const void *vector)
{
    for (size_t i = 0; i < layout->elements; i++) {
        if (i)
            sink_bytes(s, ",", 1);
        write_number(s, layout, vector, i);
    }
}

/* ---------------------------------------------------------------- json ------------------------------------------ */

static void json_token_members(struct sink *s, const struct layout *layout, const struct row *row)
{
    const float *vectors = row->vector;

    sink_printf(s, ",\"ids\":[");
    for (int64_t i = 0; i < row->tokens; i++)
        sink_printf(s, i ? ",%d" : "%d", row->ids[i]);
    sink_printf(s, "],\"pieces\":[");
    for (int64_t i = 0; i < row->tokens; i++) {
        sink_bytes(s, ",", i > 0);
        sink_json(s, row->pieces[i], row->piece_sizes[i]);
    }
    sink_printf(s, "],\"spans\":[");
    for (int64_t i = 0; i < row->tokens; i++)
        sink_printf(s, "%s[%lld,%lld]", i ? "," : "", (long long)row->spans[2 * i], (long long)row->spans[2 * i + 1]);
    sink_printf(s, "],\"embeddings\":[");
    for (int64_t i = 0; i < row->tokens; i++) {
        sink_bytes(s, ",[", i ? 2 : 0);
        sink_bytes(s, "[", i ? 0 : 1);
        write_numbers(s, layout, vectors + (size_t)i * layout->elements);
        sink_bytes(s, "]", 1);
    }
    sink_bytes(s, "]}", 2);
}

static void json_row(struct sink *s, const struct layout *layout, const struct row *row)
{
    sink_printf(s, "{\"index\":%llu", (unsigned long long)row->index);
    if (layout->chunks)
        sink_printf(s, ",\"chunk\":%llu,\"begin\":%llu,\"end\":%llu", (unsigned long long)row->chunk, (unsigned long long)row->begin,
                    (unsigned long long)row->end);
    sink_printf(s, ",\"tokens\":%lld", (long long)row->tokens);
    if (layout->chunk_counts)
        sink_printf(s, ",\"chunks\":%llu", (unsigned long long)row->chunk);
    if (row->extra_size) {
        sink_bytes(s, ",", 1);
        sink_bytes(s, row->extra, row->extra_size);
    }
    if (layout->tokens) {
        json_token_members(s, layout, row);
        return;
    }
    sink_printf(s, ",\"embedding\":[");
    write_numbers(s, layout, row->vector);
    sink_bytes(s, "]}", 2);
}

/* ---------------------------------------------------------------- csv ------------------------------------------- */

static void csv_row(struct sink *s, const struct layout *layout, const struct row *row)
{
    sink_printf(s, "%llu,", (unsigned long long)row->index);
    if (layout->chunks)
        sink_printf(s, "%llu,%llu,%llu,", (unsigned long long)row->chunk, (unsigned long long)row->begin, (unsigned long long)row->end);
    sink_printf(s, "%lld,", (long long)row->tokens);
    if (layout->chunk_counts)
        sink_printf(s, "%llu,", (unsigned long long)row->chunk);
    write_numbers(s, layout, row->vector);
    sink_bytes(s, "\n", 1);
}

/* ---------------------------------------------------------------- all formats ----------------------------------- */

static void npy_heading(struct sink *s, const struct layout *layout, uint64_t rows)
{
    char header[NPY_HEADER];

    npy_header(header, layout_npy_type(layout), rows, layout->elements);
    sink_bytes(s, header, sizeof header);
}

int output_open(struct output *out, const char *path, const struct layout *layout, uint64_t keep)
{
    struct kept kept = { 0 };
    int rc = CLI_OK;

    memset(out, 0, sizeof *out);
    out->sink.fd = out->spill.fd = -1;
    out->layout = *layout;
    if (keep)
        rc = resume_examine(path, layout, keep, &kept);
    if (rc)
        return rc;
    rc = path ? sink_open_file(&out->sink, path, kept.bytes, kept.rows) : sink_open_stdout(&out->sink);
    if (rc)
        return rc;
    out->rows = out->kept = kept.rows;
    if (keep)
        cli_note("%s has %llu whole rows", path, (unsigned long long)kept.rows);
    if (layout->format == FORMAT_NPY && !out->sink.seekable) {
        out->spilling = true;
        return sink_open_spill(&out->spill);
    }
    if (kept.bytes)
        return CLI_OK;
    if (layout->format == FORMAT_NPY)
        npy_heading(&out->sink, layout, 0);
    else if (layout->format == FORMAT_CSV)
        layout_csv_heading(&out->sink, layout);
    else if (layout->format == FORMAT_JSON)
        sink_bytes(&out->sink, "[", 1);
    return sink_flush(&out->sink);
}

void output_row(struct output *out, const struct row *row)
{
    const struct layout *layout = &out->layout;
    struct sink *s = out->spilling ? &out->spill : &out->sink;
    uint64_t vectors = layout->tokens ? (uint64_t)row->tokens : 1;

    switch (layout->format) {
    case FORMAT_JSONL:
        json_row(s, layout, row);
        sink_bytes(s, "\n", 1);
        break;
    case FORMAT_JSON:
        sink_bytes(s, out->rows ? ",\n" : "\n", out->rows ? 2 : 1);
        json_row(s, layout, row);
        break;
    case FORMAT_CSV:
        csv_row(s, layout, row);
        break;
    default:
        sink_bytes(s, row->vector, layout->elements * layout->element_size * (size_t)vectors);
        break;
    }
    sink_row(s);
    out->rows += layout->format == FORMAT_NPY ? vectors : 1;
}

int output_flush(struct output *out)
{
    return sink_flush(out->spilling ? &out->spill : &out->sink);
}

/* npy for a pipe: heading and rows, now that the count is known. */
static int pour(struct output *out)
{
    char block[1 << 16];
    uint64_t left;
    int rc = sink_flush(&out->spill);

    if (rc)
        return rc;
    npy_heading(&out->sink, &out->layout, out->rows);
    if (lseek(out->spill.fd, 0, SEEK_SET) < 0)
        return cli_fail(CLI_IO, "cannot read %s: %s", out->spill.name, strerror(errno));
    for (left = out->spill.base; left && !rc;) {
        ssize_t n = read(out->spill.fd, block, left < sizeof block ? (size_t)left : sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return cli_fail(CLI_IO, "cannot read %s: %s", out->spill.name, n ? strerror(errno) : "it ends early");
        sink_bytes(&out->sink, block, (size_t)n);
        left -= (uint64_t)n;
        rc = sink_flush(&out->sink);
    }
    return rc;
}

/* The count in the heading of a seekable npy: of the rows that the file holds, also where the work was cut short. */
static int patch_count(struct output *out)
{
    const struct layout *layout = &out->layout;
    struct sink *s = &out->sink;
    char header[NPY_HEADER];

    npy_header(header, layout_npy_type(layout), (s->base - NPY_HEADER) / (layout->elements * layout->element_size), layout->elements);
    if (s->base < NPY_HEADER || system_write_at(s->fd, header, sizeof header, s->start))
        return CLI_OK;
    return cli_fail(CLI_IO, "cannot write %s: %s", s->name, strerror(errno));
}

int output_close(struct output *out, int rc)
{
    if (out->sink.fd >= 0) {
        int failed = output_flush(out);
        if (out->layout.format == FORMAT_JSON)
            sink_bytes(&out->sink, out->rows ? "\n]\n" : "]\n", out->rows ? 3 : 2);
        if (out->layout.format == FORMAT_NPY && !out->spilling && !out->sink.error)
            failed = patch_count(out);
        rc = rc ? rc : failed;
        /* A pipe gets a whole npy or nothing. */
        if (out->spilling && !rc)
            rc = pour(out);
    }
    rc = sink_close(&out->spill, rc);
    return sink_close(&out->sink, rc);
}
