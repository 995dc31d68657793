/* Unit embed: --chunk: a vector a chunk, or the mean of a text's chunks. See embed.h. */
#include "embed.h"

#include "cli/shell/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Chunks that are computed together. They are gathered from the batch's first text on, so that a resumed run forms the same groups. */
struct chunk_group {
    const char *texts[BATCH_TEXTS];
    size_t      sizes[BATCH_TEXTS];
    uint64_t    numbers[BATCH_TEXTS];      /* of the text in the input */
    size_t      pieces[BATCH_TEXTS];       /* of the text in the batch */
    uint64_t    chunks[BATCH_TEXTS];       /* of the chunk in its text */
    size_t      begins[BATCH_TEXTS];
    bool        last[BATCH_TEXTS];         /* the last of its text */
    size_t      count;
};

/* The mean that is being taken; chunks of one text follow each other. */
struct mean {
    float   *vector;                       /* [dim] */
    double  *sum;                          /* [dim] */
    uint64_t chunks;
    int64_t  tokens;
};

static int finish_mean(struct embed_job *j, struct mean *m, uint64_t number)
{
    size_t dim = j->layout.elements;
    bool normalize = model_setting(&j->model, "normalize", j->options.normalize) == AKI_NORMALIZE_ON;
    double square = 0, scale = 1 / (double)m->chunks;
    char where[512];

    for (size_t i = 0; i < dim; i++)
        square += m->sum[i] * m->sum[i];
    if (square == 0 || !isfinite(square))
        return cli_fail(CLI_INPUT, "%s: the mean of its chunks has no direction", input_where(&j->input, number, where, sizeof where));
    if (normalize)
        scale = 1 / sqrt(square);
    for (size_t i = 0; i < dim; i++)
        m->vector[i] = (float)(m->sum[i] * scale);
    return CLI_OK;
}

static void start_row(struct embed_job *j, const struct chunk_group *g, size_t i, struct row *row)
{
    const struct piece *piece = &j->batch.pieces[g->pieces[i]];

    *row = (struct row){ .index = g->numbers[i], .tokens = j->tokens[i], .chunk = g->chunks[i], .begin = g->begins[i],
                         .end = g->begins[i] + g->sizes[i], .extra = j->batch.data.data + piece->extra, .extra_size = piece->extra_size };
}

static int add_to_mean(struct embed_job *j, const struct chunk_group *g, size_t i, struct mean *m)
{
    const float *vector = (const float *)j->vectors + i * j->layout.elements;
    struct row row;
    int rc = CLI_OK;

    if (g->chunks[i] == 0) {
        m->chunks = 0;
        m->tokens = 0;
        memset(m->sum, 0, j->layout.elements * sizeof *m->sum);
    }
    for (size_t k = 0; k < j->layout.elements; k++)
        m->sum[k] += (double)vector[k];
    m->chunks++;
    m->tokens += j->tokens[i];
    if (!g->last[i])
        return CLI_OK;
    rc = finish_mean(j, m, g->numbers[i]);
    start_row(j, g, i, &row);
    row.tokens = m->tokens;
    row.chunk = m->chunks;
    row.vector = m->vector;
    if (!rc && j->row >= j->output.kept)
        output_row(&j->output, &row);
    j->row++;
    return rc;
}

static int compute_group(struct embed_job *j, struct chunk_group *g, struct mean *m)
{
    size_t vector_size = j->layout.elements * j->layout.element_size;
    int rc = CLI_OK;

    if (j->layout.chunks && j->row + g->count <= j->output.kept) {
        j->row += g->count;
        progress_skip(j->input.consumed);
    } else if (g->count) {
        rc = embed_compute(j, g->texts, g->sizes, g->numbers, g->count);
        for (size_t i = 0; i < g->count && !rc; i++) {
            struct row row;
            if (j->layout.chunk_counts) {
                rc = add_to_mean(j, g, i, m);
                continue;
            }
            start_row(j, g, i, &row);
            row.vector = j->vectors + i * vector_size;
            if (j->row++ >= j->output.kept)
                output_row(&j->output, &row);
        }
    }
    g->count = 0;
    return rc;
}

static int gather(struct embed_job *j, struct chunk_group *g, struct mean *m)
{
    const struct batch *b = &j->batch;
    aki_error error;
    int rc = CLI_OK;

    for (size_t p = 0; p < b->count && !rc; p++) {
        if (chunk_split(&j->chunker, b->texts[p], b->sizes[p], &error))
            return embed_failed(j, &error, b->first + p);
        for (size_t c = 0; c < j->chunker.cut_count && !rc; c++) {
            const struct cut *cut = &j->chunker.cuts[c];
            size_t i = g->count++;
            g->texts[i] = b->texts[p] + cut->begin;
            g->sizes[i] = cut->end - cut->begin;
            g->numbers[i] = b->first + p;
            g->pieces[i] = p;
            g->chunks[i] = c;
            g->begins[i] = cut->begin;
            g->last[i] = c + 1 == j->chunker.cut_count;
            if (g->count == BATCH_TEXTS)
                rc = compute_group(j, g, m);
        }
    }
    return rc ? rc : compute_group(j, g, m);
}

int embed_chunks(struct embed_job *j)
{
    size_t dim = j->layout.elements;
    struct mean m = { .vector = aki__realloc(NULL, dim, sizeof *m.vector), .sum = aki__realloc(NULL, dim, sizeof *m.sum) };
    struct chunk_group *g = calloc(1, sizeof *g);
    int rc = m.vector && m.sum && g ? gather(j, g, &m) : cli_no_memory();

    free(g);
    free(m.sum);
    free(m.vector);
    return rc;
}
