/* Slow, obvious twins of src/kernel: one loop per formula, sums in double, the C library's functions. To compare with. */
#ifndef KERNEL_REFERENCE_H
#define KERNEL_REFERENCE_H

#include "kernel/kernel.h"

/* value[t][n] of rows, as documented at struct aki__rows; 0 where there are none. */
double reference_value(const struct aki__rows *r, size_t t, size_t n);
double reference_table(const struct aki__table *t, size_t at);
double reference_act(enum aki__kernel_act act, double x);
/* The row s = x + add, and y. Both [hidden]. */
void   reference_norm(double *sum, double *y, const struct aki__norm *a, size_t row);
/* out [queries, heads * head_dim]. Every score of a query is held at once. */
void   reference_attention(double *out, const struct aki__attention *a);
void   reference_pool(double *out, const struct aki__pooling *a, size_t vector);
/* y = rotated x, by the matrix: no butterflies. */
void   reference_rotate(double *y, const double *x, size_t n, size_t block);

#endif
