/* Unit npy: NumPy's file format, as far as vectors need it. See npy.h. */
#include "npy.h"

#include "cli/shell/system.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC_SIZE = 10 };                                     /* magic, version 1.0, two bytes of length */
static const char magic[] = "\x93NUMPY\x01\x00\x76\x00";
enum { RANGES_HEADER_LIMIT = 1 << 16 };

void npy_header(char out[NPY_HEADER], const char *type, uint64_t rows, uint64_t columns)
{
    int size;

    memcpy(out, magic, MAGIC_SIZE);
    size = snprintf(out + MAGIC_SIZE, NPY_HEADER - MAGIC_SIZE, "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRIu64 ", %" PRIu64 "), }",
                    type, rows, columns);
    memset(out + MAGIC_SIZE + size, ' ', (size_t)(NPY_HEADER - MAGIC_SIZE - size));
    out[NPY_HEADER - 1] = '\n';
}

bool npy_same(const char header[NPY_HEADER], const char *type, uint64_t columns)
{
    char own[NPY_HEADER], text[NPY_HEADER + 1];
    uint64_t rows = 0;

    memcpy(text, header, NPY_HEADER);
    text[NPY_HEADER] = '\0';
    const char *shape = memcmp(text, magic, MAGIC_SIZE) ? NULL : strstr(text + MAGIC_SIZE, "'shape': (");
    if (!shape)
        return false;
    rows = strtoull(shape + strlen("'shape': ("), NULL, 10);
    npy_header(own, type, rows, columns);
    return !memcmp(own, header, NPY_HEADER);
}

/* The value behind 'name': in the header's dictionary, or "". */
static const char *entry(const char *header, const char *name)
{
    const char *at = strstr(header, name);

    if (!at)
        return "";
    at += strlen(name);
    return at + strspn(at, " :");
}

/* The shape is "(2, dim)". */
static bool shape_fits(const char *at, size_t dim)
{
    char *end;

    if (*at++ != '(' || strtoull(at, &end, 10) != 2 || *end++ != ',')
        return false;
    return strtoull(end, &end, 10) == dim && end[strspn(end, ", ")] == ')';
}

/* Reads the header into header and leaves f behind it. */
static bool read_header(FILE *f, char **header)
{
    unsigned char start[12];

    if (fread(start, 1, MAGIC_SIZE, f) != MAGIC_SIZE || memcmp(start, magic, 6) || start[6] < 1 || start[6] > 3)
        return false;
    size_t size = (size_t)start[8] | (size_t)start[9] << 8;
    if (start[6] > 1) {
        if (fread(start + 10, 1, 2, f) != 2)
            return false;
        size |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    }
    if (size > RANGES_HEADER_LIMIT || !(*header = malloc(size + 1)) || fread(*header, 1, size, f) != size)
        return false;
    (*header)[size] = '\0';
    return true;
}

int npy_write_ranges(const char *path, size_t dim, const float *values)
{
    char header[NPY_HEADER];
    FILE *f = system_fopen(path, "wb");

    npy_header(header, "<f4", 2, dim);
    bool written = f && fwrite(header, sizeof header, 1, f) == 1 && fwrite(values, sizeof *values, 2 * dim, f) == 2 * dim;
    if (f)
        written &= fclose(f) == 0;
    return written ? CLI_OK : cli_fail(CLI_IO, "cannot write %s: %s", path, strerror(errno));
}

int npy_read_ranges(const char *path, size_t dim, float **values)
{
    FILE *f = system_fopen(path, "rb");
    char *header = NULL;
    float *data = NULL;
    int rc = CLI_OK;

    *values = NULL;
    if (!f)
        return cli_fail(CLI_IO, "cannot read %s: %s", path, strerror(errno));
    if (!read_header(f, &header)) {
        rc = cli_fail(CLI_INPUT, "%s: not a .npy file", path);
        goto done;
    }
    bool wide = strncmp(entry(header, "'descr'"), "'<f8'", 5) == 0;
    if ((!wide && strncmp(entry(header, "'descr'"), "'<f4'", 5)) || strncmp(entry(header, "'fortran_order'"), "False", 5) ||
        !shape_fits(entry(header, "'shape'"), dim)) {
        rc = cli_fail(CLI_INPUT, "%s: ranges are float32 or float64 (<f4, <f8) of shape (2, %zu), rows in C order", path, dim);
        goto done;
    }
    data = aki__realloc(NULL, dim, 2 * sizeof *data);
    if (!data) {
        rc = cli_no_memory();
        goto done;
    }
    for (size_t i = 0; i < 2 * dim; i++) {
        double value;
        if (fread(wide ? (void *)&value : (void *)&data[i], wide ? sizeof value : sizeof *data, 1, f) != 1) {
            rc = cli_fail(ferror(f) ? CLI_IO : CLI_INPUT, "%s: shorter than its header says", path);
            goto done;
        }
        if (wide)
            data[i] = (float)value;
    }
    for (size_t i = 0; i < dim; i++) {
        if (!isfinite(data[i]) || !isfinite(data[dim + i]) || data[i] > data[dim + i]) {
            rc = cli_fail(CLI_INPUT, "%s: element %zu: the first row holds the least, the second the largest value, both finite", path, i);
            goto done;
        }
    }
    *values = data;
    data = NULL;
done:
    free(data);
    free(header);
    fclose(f);
    return rc;
}

/* The shape is "(rows, columns)". */
static bool read_shape(const char *at, uint64_t *rows, uint64_t *columns)
{
    char *end;

    if (*at++ != '(')
        return false;
    *rows = strtoull(at, &end, 10);
    if (end == at || *end++ != ',')
        return false;
    *columns = strtoull(end, &end, 10);
    return *columns && end[strspn(end, ", ")] == ')';
}

static int read_array(struct npy *a, const char *path, const char *header, size_t offset)
{
    static const struct { const char *type; size_t size; } types[] = { { "'<f4'", 4 }, { "'<f2'", 2 }, { "'|i1'", 1 }, { "'|u1'", 1 } };
    const char *type = entry(header, "'descr'");
    size_t size = 0, bytes;

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!strncmp(type, types[i].type, 5)) {
            size = types[i].size;
            memcpy(a->type, type + 1, 3);
        }
    }
    if (!size)
        return cli_fail(CLI_INPUT, "%s: elements of %.*s; float32, float16, int8 and uint8 are read (numpy: a.astype('float32'))", path, (int)strcspn(type, ","), type);
    if (strncmp(entry(header, "'fortran_order'"), "False", 5) || !read_shape(entry(header, "'shape'"), &a->rows, &a->columns))
        return cli_fail(CLI_INPUT, "%s: not an array of rows and columns in C order", path);
    if (a->rows > SIZE_MAX || a->columns > SIZE_MAX || !aki__mul((size_t)a->rows, (size_t)a->columns, &bytes) || !aki__mul(bytes, size, &bytes) ||
        bytes > a->map_size - offset)
        return cli_fail(CLI_INPUT, "%s: shorter than its header says", path);
    if (offset % size)
        return cli_fail(CLI_INPUT, "%s: its header has an odd size", path);
    a->data = (const char *)a->map + offset;
    return CLI_OK;
}

int npy_map(struct npy *a, const char *path)
{
    const char *why = "";
    char *header = NULL;
    FILE *f = system_fopen_regular(path, &why);
    int rc = CLI_OK;

    memset(a, 0, sizeof *a);
    if (!f)
        return cli_fail(CLI_IO, "cannot read %s: %s", path, why);
    long offset = read_header(f, &header) ? ftell(f) : -1;
    if (offset < 0)
        rc = cli_fail(CLI_INPUT, "%s: not a .npy file, as embed -o FILE.npy writes them", path);
    else if (!(a->map = system_map(fileno(f), &a->map_size)))
        rc = cli_fail(CLI_IO, "cannot map %s: %s", path, strerror(errno));
    else
        rc = read_array(a, path, header, (size_t)offset);
    free(header);
    fclose(f);
    return rc;
}

void npy_unmap(struct npy *a)
{
    if (a->map)
        system_unmap(a->map, a->map_size);
    memset(a, 0, sizeof *a);
}
