/* Unit npy: NumPy's file format, as far as vectors need it: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#ifndef AKI_CLI_NPY_H
#define AKI_CLI_NPY_H

#include "cli/shell/cli.h"

/* The headers written here always have this size, so that the count of rows can be put in when it is known. */
enum { NPY_HEADER = 128 };

/* type: NumPy's code of an element, "<f4". */
void npy_header(char out[NPY_HEADER], const char *type, uint64_t rows, uint64_t columns);
/* Reads a header written here back. false: it is another kind of file, or of another type or number of columns. */
bool npy_same(const char header[NPY_HEADER], const char *type, uint64_t columns);
/* Writes ranges [2, dim] to a file. */
int  npy_write_ranges(const char *path, size_t dim, const float *values);
/* Reads a [2, dim] float32 file into *values (malloc'd, caller-owned). On failure the message is out. */
int  npy_read_ranges(const char *path, size_t dim, float **values);

/* A mapped array of two dimensions. Zeroed is valid for npy_unmap. */
struct npy {
    const void *map;
    size_t      map_size;
    const void *data;                      /* [rows, columns] */
    uint64_t    rows, columns;
    char        type[8];                   /* NumPy's code of an element: "<f4", "<f2", "|i1", "|u1" */
};
/* On failure the message is out. */
int  npy_map(struct npy *a, const char *path);
void npy_unmap(struct npy *a);

#endif
