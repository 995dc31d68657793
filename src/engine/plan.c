/* Unit plan: lays the texts of a run end to end, and determines which rows the pooling reads. See struct aki__plan in engine.h
 * for a picture. */
#include "engine/engine.h"

#include "kernel/kernel.h"

void aki__plan_clear(struct aki__plan *p, aki_model *m, bool done)
{
    for (size_t i = 0; i < p->texts; i++) {
        if (p->reused[i])
            aki__prefix_release(&m->prefixes, p->reused[i]);
        if (p->kept[i])
            aki__prefix_publish(&m->prefixes, p->kept[i], done);
    }
    p->tokens = p->texts = p->vectors = p->row_count = p->skipped = 0;
}

void aki__plan_free(struct aki__plan *p, aki_model *m)
{
    aki__plan_clear(p, m, false);
    aki__free(p->ids);
    aki__free(p->positions);
    aki__free(p->types);
    aki__free(p->rows);
    aki__free(p->starts);
    aki__free(p->query_starts);
    aki__free(p->key_starts);
    aki__free(p->prefixes);
    aki__free(p->reused);
    aki__free(p->kept);
    aki__free(p->pool_starts);
    aki__free(p->weight_from);
    aki__free(p->items);
    aki__free(p->out);
    *p = (struct aki__plan){ 0 };
}

/* Grows several arrays that have one capacity. */
static bool grow(void **const *arrays, const size_t *sizes, size_t n, size_t *capacity, size_t need)
{
    size_t grown = *capacity;

    for (size_t i = 0; i < n; i++) {
        size_t own = *capacity;
        if (!aki__grow(arrays[i], &own, need, sizes[i]))
            return false;
        grown = own;
    }
    *capacity = grown;
    return true;
}

static bool reserve(struct aki__plan *p, size_t tokens, size_t vectors)
{
    void **const of_tokens[] = { (void **)&p->ids, (void **)&p->positions, (void **)&p->types, (void **)&p->rows };
    void **const of_texts[] = { (void **)&p->starts, (void **)&p->query_starts, (void **)&p->key_starts, (void **)&p->prefixes,
                                (void **)&p->reused, (void **)&p->kept };
    void **const of_vectors[] = { (void **)&p->pool_starts, (void **)&p->weight_from, (void **)&p->items };
    static const size_t four[] = { 4, 4, 4, 4 }, items[] = { 4, 4, sizeof(size_t) };
    static const size_t texts[] = { 4, 4, 4, sizeof(struct aki__prefix_use), sizeof(void *), sizeof(void *) };

    return grow(of_tokens, four, 4, &p->token_capacity, p->tokens + tokens) && grow(of_texts, texts, 6, &p->text_capacity, p->texts + 2) &&
           grow(of_vectors, items, 3, &p->vector_capacity, p->vectors + vectors + 1);
}

/* Looks up a text in the prefix cache, and returns how many tokens are skipped: at most `limit`, since the pooling reads the
 * tokens from there on. */
static size_t use_prefix(struct aki__plan *p, aki_model *m, const int32_t *ids, size_t count, size_t limit)
{
    struct aki__prefix_entry **reuse = &p->reused[p->texts], **keep = &p->kept[p->texts];
    size_t tokens;

    aki__prefix_look(&m->prefixes, ids, count, limit, reuse, &tokens, keep);
    p->prefixes[p->texts] = (struct aki__prefix_use){ .reuse = *reuse ? &(*reuse)->prefix : NULL, .keep = *keep ? &(*keep)->prefix : NULL };
    p->skipped += tokens;
    return tokens;
}

/* RoBERTa: a pad token inside a text has the position of padding and is not counted. */
static void number_positions(int32_t *positions, const int32_t *ids, size_t count, int32_t first, const struct aki__model *m)
{
    int32_t next = m->position_offset + first;

    for (size_t i = 0; i < count; i++)
        positions[i] = m->position_offset && ids[i] == m->pad_id ? m->pad_id : next++;
}

aki_status aki__plan_add(struct aki__plan *p, aki_model *m, const struct aki__request *r, const struct aki__row *row,
                         aki_error *err)
{
    bool   each = r->output == AKI_OUTPUT_TOKENS;
    size_t count = row->count, first = row->skip, last = count;

    if (first >= count)
        return aki__fail_at(err, AKI_E_INVALID, row->item, 0, "text %zu: nothing is left to pool behind the prompt's %zu tokens",
                            row->item, row->skip);
    /* As in transformers: padding is told by its id, even where a text ends with it. */
    while (r->output == AKI_OUTPUT_SCORES && last > 1 && row->ids[last - 1] == m->folder->labels.pad_id)
        last--;
    if (!reserve(p, count, each ? count : 1))
        return aki__fail(err, AKI_E_NOMEM, "a run of %zu tokens", p->tokens + count);
    if (!each && r->pooling == AKI_POOLING_CLS)
        last = first + 1;
    else if (!each && r->pooling == AKI_POOLING_LAST)
        first = last - 1;
    if (!p->texts)
        p->starts[0] = p->query_starts[0] = p->key_starts[0] = p->pool_starts[0] = 0;

    size_t skip = use_prefix(p, m, row->ids, count, first);
    memcpy(p->ids + p->tokens, row->ids + skip, (count - skip) * sizeof *p->ids);
    if (row->types)
        memcpy(p->types + p->tokens, row->types + skip, (count - skip) * sizeof *p->types);
    p->typed = row->types != NULL;          /* all texts of a run have types, or none has */
    number_positions(p->positions + p->tokens, row->ids + skip, count - skip, (int32_t)skip, m->folder);
    for (size_t i = first; i < last; i++) {
        p->rows[p->row_count++] = (int32_t)(p->tokens + i - skip);
        if (each || i + 1 == last) {
            p->weight_from[p->vectors] = (int32_t)first;
            p->items[p->vectors] = row->item;
            p->pool_starts[++p->vectors] = (int32_t)p->row_count;
        }
    }
    p->tokens += count - skip;
    p->starts[++p->texts] = (int32_t)p->tokens;
    p->key_starts[p->texts] = p->key_starts[p->texts - 1] + (int32_t)count;
    p->query_starts[p->texts] = (int32_t)p->row_count;
    return AKI_OK;
}

static int32_t mode_of(int32_t pooling)
{
    switch (pooling) {
    case AKI_POOLING_MAX:           return AKI_POOL_MAX;
    case AKI_POOLING_MEAN_SQRT_LEN: return AKI_POOL_MEAN_SQRT_LEN;
    case AKI_POOLING_WEIGHTEDMEAN:  return AKI_POOL_WEIGHTEDMEAN;
    default:                        return AKI_POOL_MEAN;       /* cls, last, and token vectors: the mean of one row */
    }
}

struct aki__batch aki__plan_batch(const struct aki__plan *p, const aki_model *m, const struct aki__request *r)
{
    const bool each = r->output == AKI_OUTPUT_TOKENS;

    return (struct aki__batch){ .ids = p->ids, .positions = p->positions, .types = p->typed ? p->types : NULL,
        .starts = p->starts, .query_starts = p->query_starts, .key_starts = p->key_starts, .prefixes = p->prefixes, .rows = p->rows,
        .pool_starts = p->pool_starts, .weight_from = p->weight_from, .mode = each ? AKI_POOL_MEAN : mode_of(r->pooling),
        .tokens = p->tokens, .texts = p->texts, .row_count = p->row_count, .vectors = p->vectors,
        .pooled = !each && aki__request_is_pooled(r, m->folder), .dense = !each && !r->hidden };
}

aki_status aki__plan_run(struct aki__plan *p, aki_model *m, const struct aki__request *r, aki_error *err)
{
    size_t need;

    if (!p->vectors)
        return AKI_OK;
    if (!aki__mul(p->vectors, r->columns, &need) || !aki__grow((void **)&p->out, &p->out_capacity, need, sizeof *p->out))
        return aki__fail(err, AKI_E_NOMEM, "%zu vectors", p->vectors);
    const struct aki__batch b = aki__plan_batch(p, m, r);
    aki_status rc = aki__session_run(m->session, &b, p->out, r->columns, err);
    if (!rc) {
        atomic_fetch_add_explicit(&m->tokens, p->tokens, memory_order_relaxed);
        atomic_fetch_add_explicit(&m->tokens_reused, p->skipped, memory_order_relaxed);
    }
    return rc;
}
