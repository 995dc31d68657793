/* Unit padded: groups of like lengths. See padded.h. */
#include "ort/padded.h"

#include <stdlib.h>

struct sized { size_t text, tokens; };

static int longer_first(const void *a, const void *b)
{
    const struct sized *x = a, *y = b;

    return x->tokens != y->tokens ? (x->tokens < y->tokens ? 1 : -1) : (x->text > y->text) - (x->text < y->text);
}

/* The batch's texts, longest first. */
static size_t *sort_texts(const struct aki__batch *b)
{
    struct sized *sorted = aki__alloc(b->texts, sizeof *sorted);
    size_t *texts = aki__alloc(b->texts, sizeof *texts);

    if (!sorted || !texts) {
        aki__free(sorted);
        aki__free(texts);
        return NULL;
    }
    for (size_t i = 0; i < b->texts; i++)
        sorted[i] = (struct sized){ .text = i, .tokens = (size_t)(b->starts[i + 1] - b->starts[i]) };
    qsort(sorted, b->texts, sizeof *sorted, longer_first);
    for (size_t i = 0; i < b->texts; i++)
        texts[i] = sorted[i].text;
    aki__free(sorted);
    return texts;
}

size_t aki__padded_take(const struct aki__padded_group *g, size_t most, size_t least)
{
    size_t n = 1;

    while (n < g->count && n < most && aki__padded_tokens(g, n) >= least)
        n++;
    return n;
}

static void take_row(float *out, const void *x, bool f16, size_t row, size_t columns)
{
    if (!f16)
        memcpy(out, (const float *)x + row * columns, columns * sizeof *out);
    else
        for (size_t k = 0; k < columns; k++)
            out[k] = aki__f16_to_f32(((const uint16_t *)x)[row * columns + k]);
}

void aki__padded_rows(const struct aki__padded_group *g, const void *x, bool f16, size_t columns, float *rows_out)
{
    const struct aki__batch *b = g->b;

    for (size_t i = 0; i < g->count; i++) {
        size_t text = g->texts[i];
        for (int32_t r = b->query_starts[text]; r < b->query_starts[text + 1]; r++)
            take_row(rows_out + (size_t)r * columns, x, f16, i * g->length + (size_t)(b->rows[r] - b->starts[text]), columns);
    }
}

void aki__padded_vectors(const struct aki__padded_group *g, const void *x, bool f16, size_t columns, float *out)
{
    for (size_t i = 0; i < g->count; i++)
        take_row(out + g->texts[i] * columns, x, f16, i, columns);
}

static aki_status run_groups(aki__padded_network *network, void *user, const struct aki__batch *b, float *out, aki_error *err)
{
    size_t *texts = sort_texts(b);
    aki_status rc = texts ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "a run of %zu texts", b->texts);

    for (size_t i = 0; i < b->texts && !rc;) {
        struct aki__padded_group g = { .b = b, .texts = texts + i, .count = b->texts - i };
        rc = network(user, &g, out, err);
        i += g.count;
    }
    aki__free(texts);
    return rc;
}

aki_status aki__padded_run(aki__padded_network *network, void *user, const struct aki__head *head, const struct aki__batch *b, float *out, size_t columns, aki_error *err)
{
    if (b->pooled)
        return run_groups(network, user, b, out, err);
    if (!head || columns != aki__head_columns(head, b->dense))
        return aki__fail(err, AKI_E_INTERNAL, "a run for vectors of %zu columns, which the network does not give", columns);
    float *rows = aki__alloc_aligned(b->row_count, aki__head_columns(head, false) * sizeof *rows);
    aki_status rc = rows ? run_groups(network, user, b, rows, err) : aki__fail(err, AKI_E_NOMEM, "a run of %zu rows", b->row_count);

    if (!rc) rc = aki__head_run(head, b, rows, out, err);
    aki__free_aligned(rows);
    return rc;
}
