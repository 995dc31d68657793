/* Unit fidelity: how near two sets of vectors of the same texts are. */
#ifndef AKI_CLI_FIDELITY_H
#define AKI_CLI_FIDELITY_H

#include <stdbool.h>
#include <stddef.h>

/* Of some of the texts. */
struct figure {
    double least, sum;
    size_t count, worst;                   /* worst: the text that the least is of */
};

/* a, b: [count, dim]. All false: no memory. */

/* Cosines of a's and b's vectors; apart: [count] those that are counted in *others, not in *out. */
bool fidelity_cosine(const float *a, const float *b, const bool *apart, size_t count, size_t dim, struct figure *out, struct figure *others);
/* The mean of a's vectors taken from each of a, and b's from each of b, so that what all texts have in common cannot hide the error of what
 * they differ in. */
bool fidelity_centred(const float *a, const float *b, size_t count, size_t dim, struct figure *out);
/* What share of each text's `top` nearest other texts is the same by a as by b. */
bool fidelity_overlap(const float *a, const float *b, size_t count, size_t dim, size_t top, struct figure *out);
/* Of all pairs of the texts, the share whose first scores have the same order by a as by b. */
double fidelity_order(const float *a, const float *b, size_t count, size_t dim);
/* The share of the texts whose largest score is of the same label. */
double fidelity_best(const float *a, const float *b, size_t count, size_t dim);
/* Vectors that differ in any bit, and the largest difference of two elements. */
size_t fidelity_difference(const float *a, const float *b, size_t count, size_t dim, double *most);

#endif
