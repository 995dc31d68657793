/* Unit padded: a batch's texts as padded runs, for networks that take rectangles of tokens: a graph on a device, an .onnx file.
 *
 * In a batch the texts lie end to end; in a padded run each has a row, and all rows are as long. The longest texts go first, and together with
 * those that are not much shorter:
 *
 *     batch            ids  | a a a | b b b b b b b | c c | d d d d d d |        starts  0 3 10 12 18
 *
 *     group {b, d}     <--- length --->            group {a, c}     <- length ->
 *                  ^   b b b b b b b .                          ^   a a a .
 *             rows |   d d d d d d . .                     rows v   c c . .
 *                  v   . . . . . . . .   no text
 *
 * A dot is padding: the mask hides it, and what the network gives for it is not read. Length and rows are those of the texts, rounded up, or
 * a shape that the network has been made for. A row without a text shows one key, since no row may be without any.
 * What comes back, a row a token, goes to the batch's order again: the rows that the pooling reads. They are pooled here (head.h). */
#ifndef AKI_PADDED_H
#define AKI_PADDED_H

#include "ort/head.h"

/* Some of the batch's texts, in one padded run. */
struct aki__padded_group {
    const struct aki__batch *b;
    const size_t *texts;                    /* [count] numbers in the batch, longest first */
    size_t count, rows, length;             /* rows × length: of the tensors */
};

/* Tokens of a row; 0: it is without a text. */
static inline size_t aki__padded_tokens(const struct aki__padded_group *g, size_t row)
{
    return row < g->count ? (size_t)(g->b->starts[g->texts[row] + 1] - g->b->starts[g->texts[row]]) : 0;
}

/* Where in the batch's tokens a row begins that has a text. */
static inline size_t aki__padded_start(const struct aki__padded_group *g, size_t row) { return (size_t)g->b->starts[g->texts[row]]; }

/* How many of the group's first texts go together: `most` at most, none of fewer tokens than `least`, and one at least. */
size_t aki__padded_take(const struct aki__padded_group *g, size_t most, size_t least);

/* x: [rows, length, columns], f32 or f16. The rows that the pooling reads of the group's texts to rows_out, [row_count, columns] of the batch. */
void aki__padded_rows(const struct aki__padded_group *g, const void *x, bool f16, size_t columns, float *rows_out);
/* x: [rows, columns], a vector a text. The group's to out, [texts, columns] of the batch. */
void aki__padded_vectors(const struct aki__padded_group *g, const void *x, bool f16, size_t columns, float *out);

/* Runs the first of g->texts, as many as go together, and says in g->count how many these were. out: of the batch, [row_count, hidden];
 * [vectors, columns] where the network pools itself (b->pooled). */
typedef aki_status aki__padded_network(void *user, struct aki__padded_group *g, float *out, aki_error *err);

/* All texts of a batch, group by group, and what the head makes of the rows. head: NULL where b->pooled is always set. out: [vectors, columns]. */
aki_status aki__padded_run(aki__padded_network *network, void *user, const struct aki__head *head, const struct aki__batch *b, float *out, size_t columns, aki_error *err);

#endif
