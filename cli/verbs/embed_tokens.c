/* Unit embed: --tokens: a vector a token. See embed.h. */
#include "embed.h"

#include <stdlib.h>
#include <string.h>

enum { GROUP_TOKENS = 8192 };              /* a group ends with the text that reaches them: bounds the vectors in memory */

/* Texts that are computed together; grown as needed, kept for a batch. */
struct group {
    int32_t     *ids;                      /* [capacity] */
    int64_t     *spans;                    /* [capacity, 2] */
    const char **pieces;                   /* [capacity] */
    size_t      *piece_sizes;              /* [capacity] */
    float       *vectors;                  /* [vector_capacity, hidden] */
    int64_t      starts[BATCH_TEXTS + 1];
    size_t       capacity, vector_capacity, count, first;      /* first: its first text in the batch */
};

static bool grow(struct group *g, size_t need)
{
    size_t capacity = g->capacity + g->capacity / 2 > need ? g->capacity + g->capacity / 2 : need;

    if (need <= g->capacity)
        return true;
    int32_t *ids = aki__realloc(g->ids, capacity, sizeof *ids);
    if (ids)
        g->ids = ids;
    int64_t *spans = aki__realloc(g->spans, capacity, 2 * sizeof *spans);
    if (spans)
        g->spans = spans;
    const char **pieces = aki__realloc(g->pieces, capacity, sizeof *pieces);
    if (pieces)
        g->pieces = pieces;
    size_t *piece_sizes = aki__realloc(g->piece_sizes, capacity, sizeof *piece_sizes);
    if (piece_sizes)
        g->piece_sizes = piece_sizes;
    if (!ids || !spans || !pieces || !piece_sizes)
        return false;
    g->capacity = capacity;
    return true;
}

/* Tokens of a text of the batch behind those of the group. */
static int add_text(struct job *j, struct group *g, size_t text)
{
    size_t at = (size_t)g->starts[g->count];
    aki_status status = AKI_E_TOO_SMALL;
    aki_encoded e;
    aki_error error;

    aki_encoded_init(&e, sizeof e);
    while (status == AKI_E_TOO_SMALL) {
        if (!grow(g, at + e.count))
            return cli_no_memory();
        e.ids = g->ids + at;
        e.spans = g->spans + 2 * at;
        e.capacity = g->capacity - at;
        status = aki_encode(j->model.handle, j->batch.texts[text], j->batch.sizes[text], NULL, 0, &j->options, &e, &error);
    }
    if (status)
        return job_failed(j, &error, j->batch.first + text);
    j->cut += e.full_count > e.count;
    g->starts[g->count + 1] = (int64_t)(at + e.count);
    g->count++;
    return CLI_OK;
}

static int compute(struct job *j, struct group *g)
{
    size_t tokens = (size_t)g->starts[g->count], hidden = j->layout.elements;
    aki_error error;

    if (tokens > g->vector_capacity) {
        float *vectors = aki__realloc(g->vectors, tokens, hidden * sizeof *vectors);
        if (!vectors)
            return cli_no_memory();
        g->vectors = vectors;
        g->vector_capacity = tokens;
    }
    aki_embed_options e = j->options;
    e.kind = 0;
    e.prompt = e.instruction = e.prompt_name = NULL;
    if (aki_embed_tokens(j->model.handle, g->ids, g->starts, g->count, &e, g->vectors, tokens * hidden * sizeof *g->vectors, &error))
        return error.item < 0 ? model_failed(&error, NULL) : job_failed(j, &error, j->batch.first + g->first + (uint64_t)error.item);
    for (size_t i = 0; i < tokens; i++)
        g->pieces[i] = aki_token_piece(j->model.handle, g->ids[i], &g->piece_sizes[i]);
    j->done += g->count;
    j->tokens_done += tokens;
    job_progress(j);
    return CLI_OK;
}

static int write_group(struct job *j, struct group *g)
{
    int rc = g->count ? compute(j, g) : CLI_OK;

    for (size_t i = 0; i < g->count && !rc; i++) {
        const struct piece *piece = &j->batch.pieces[g->first + i];
        size_t at = (size_t)g->starts[i];
        struct row row = { .index = j->batch.first + g->first + i, .tokens = g->starts[i + 1] - g->starts[i],
                           .extra = j->batch.data.data + piece->extra, .extra_size = piece->extra_size, .vector = g->vectors + at * j->layout.elements,
                           .ids = g->ids + at, .pieces = g->pieces + at, .piece_sizes = g->piece_sizes + at, .spans = g->spans + 2 * at };
        if (j->row++ >= j->output.kept)
            output_row(&j->output, &row);
    }
    g->first += g->count;
    g->count = 0;
    return rc;
}

int job_tokens(struct job *j)
{
    struct group *g = calloc(1, sizeof *g);
    int rc = g && grow(g, GROUP_TOKENS) ? CLI_OK : cli_no_memory();

    for (size_t i = 0; i < j->batch.count && !rc; i++) {
        rc = add_text(j, g, i);
        if (!rc && (g->starts[g->count] >= GROUP_TOKENS || i + 1 == j->batch.count))
            rc = write_group(j, g);
        if (!rc && cli_signal)
            rc = CLI_STOPPED + cli_signal;
    }
    if (g) {
        free(g->ids);
        free(g->spans);
        free(g->pieces);
        free(g->piece_sizes);
        free(g->vectors);
    }
    free(g);
    return rc;
}
