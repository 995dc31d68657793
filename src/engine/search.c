/* Unit search: aki_search and aki_duplicates: stored vectors against a query, and against each other. */
#include "engine/engine.h"

#include "base/pool.h"
#include "kernel/kernel.h"

#include <math.h>

enum { DIM_MOST = 1 << 20, PART = 512, SLAB = 32 * PART, SMALL = 1 << 20 /* elements that are read faster than a thread starts */ };
/* Columns and rows of a product of rows with earlier rows. */
enum { BLOCK = 1024, STEP = 504 };

void aki_vectors_init(void *vectors, size_t size) { aki_embed_options_init(vectors, size); }

/* What both functions read of aki_vectors. */
struct stored {
    aki_vectors        v;
    struct aki__stored rows;
    float             *steps;           /* [2, dim] base and step, of bytes */
    struct aki__pool  *pool;            /* NULL: the calling thread alone */
};

static void stored_close(struct stored *s)
{
    aki__pool_close(s->pool);
    aki__free(s->steps);
}

/* The middle of bucket u is base + step * u; row.c has the buckets. */
static aki_status read_ranges(struct stored *s, aki_error *err)
{
    const size_t dim = s->rows.dim;
    const float *ranges = s->v.ranges;

    if (!ranges)
        return aki__fail(err, AKI_E_INVALID, "vectors of int8 and uint8 need the ranges that they were made with");
    s->steps = aki__alloc(dim, 2 * sizeof *s->steps);
    if (!s->steps)
        return aki__fail(err, AKI_E_NOMEM, "ranges of %zu elements", dim);
    for (size_t i = 0; i < dim; i++) {
        float step = (ranges[dim + i] - ranges[i]) / 255.0f;
        if (!isfinite(step) || step < 0)
            return aki__fail(err, AKI_E_INVALID, "ranges: element %zu has no least and greatest value", i);
        s->steps[dim + i] = step == 0 ? 1 : step;
        s->steps[i] = ranges[i] + 0.5f * s->steps[dim + i];
    }
    s->rows.base = s->steps;
    s->rows.step = s->steps + dim;
    return AKI_OK;
}

/* *s is zeroed, and stored_close is due also after a failure. */
static aki_status stored_open(struct stored *s, const aki_vectors *v, aki_error *err)
{
    static const enum aki__stored_dtype dtypes[] = { AKI_STORED_F32, AKI_STORED_F16, AKI_STORED_BYTES, AKI_STORED_BYTES, AKI_STORED_BITS, AKI_STORED_BITS };
    size_t bytes, work;

    if (!v || v->struct_size < offsetof(aki_vectors, progress_user))
        return aki__fail(err, AKI_E_INVALID, "vectors: initialise them with aki_vectors_init");
    memcpy(&s->v, v, v->struct_size < sizeof s->v ? v->struct_size : sizeof s->v);
    v = &s->v;
    if (v->dtype < 0 || v->dtype > AKI_DTYPE_UBINARY)
        return aki__fail(err, AKI_E_INVALID, "vectors.dtype is %d", (int)v->dtype);
    if (v->dim < 1 || v->dim > DIM_MOST)
        return aki__fail(err, AKI_E_INVALID, "vectors.dim is %d, not 1 to %d", (int)v->dim, DIM_MOST);
    if (v->threads < 0 || v->threads > 1024)
        return aki__fail(err, AKI_E_INVALID, "vectors.threads is %d, not 0 to 1024", (int)v->threads);
    s->rows = (struct aki__stored){ .rows = v->rows, .dim = (size_t)v->dim, .row_size = aki__row_size(v->dtype, (size_t)v->dim), .dtype = dtypes[v->dtype],
                                    .flip = v->dtype == AKI_DTYPE_INT8 || v->dtype == AKI_DTYPE_BINARY ? 0x80 : 0 };
    if ((!v->rows && v->count) || !aki__mul(v->count, s->rows.row_size, &bytes) || !aki__mul(v->count, s->rows.dim, &work))
        return aki__fail(err, AKI_E_INVALID, "vectors: no rows, or more than there is memory for");
    aki_status rc = s->rows.dtype == AKI_STORED_BYTES ? read_ranges(s, err) : AKI_OK;
    if (!rc)
        rc = aki__kernels_ready(err);
    const int threads = v->threads ? v->threads : aki__cores();
    if (rc || threads == 1 || work < SMALL)
        return rc;
    return aki__pool_open(&s->pool, threads, err);
}

static aki_status progress(const struct stored *s, double done, aki_error *err)
{
    return s->v.progress && s->v.progress(s->v.progress_user, done) ? aki__fail(err, AKI_E_CANCELLED, "cancelled") : AKI_OK;
}

/* ---------------------------------------------------------------- a query --------------------------------------- */

static bool is_worse(const aki_hit *a, const aki_hit *b) { return a->score < b->score || (a->score == b->score && a->row > b->row); }

/* Moves the hit at i down in a heap whose first is the worst. */
static void sink(aki_hit *heap, size_t count, size_t i)
{
    for (size_t child; (child = 2 * i + 1) < count; i = child) {
        child += child + 1 < count && is_worse(&heap[child + 1], &heap[child]);
        if (!is_worse(&heap[child], &heap[i]))
            return;
        aki_hit other = heap[i];
        heap[i] = heap[child];
        heap[child] = other;
    }
}

/* Keeps the best `top` of what is offered; rows are offered in order. */
static void offer(aki_hit *heap, size_t *count, size_t top, aki_hit hit)
{
    if (*count == top) {
        if (!top || !(hit.score > heap[0].score))
            return;
        heap[0] = hit;
        sink(heap, top, 0);
    } else if (hit.score == hit.score) {
        size_t i = (*count)++;
        for (; i && is_worse(&hit, &heap[(i - 1) / 2]); i = (i - 1) / 2)
            heap[i] = heap[(i - 1) / 2];
        heap[i] = hit;
    }
}

/* A heap becomes an array, the best first. */
static void sort(aki_hit *heap, size_t count)
{
    for (size_t left = count; left > 1; left--) {
        aki_hit worst = heap[0];
        heap[0] = heap[left - 1];
        heap[left - 1] = worst;
        sink(heap, left - 1, 0);
    }
}

struct slab {
    const struct stored *s;
    size_t       begin, end;            /* rows of it */
    const float *query;                 /* [dim] */
    float       *scratch;               /* [SLAB / PART, dim] */
    float       *scores;                /* [SLAB] */
};

static void score_part(void *user, size_t i)
{
    const struct slab *a = user;
    size_t begin = a->begin + i * PART, end = a->end - begin < PART ? a->end : begin + PART;

    aki__kernels()->search(&a->s->rows, a->query, a->scores + i * PART, begin, end, a->scratch + i * a->s->rows.dim);
}

static aki_status search(struct slab *a, size_t top, aki_hit *hits, size_t *found, aki_error *err)
{
    const size_t count = a->s->v.count;
    aki_status rc = AKI_OK;

    for (a->begin = 0; a->begin < count && !rc; a->begin = a->end) {
        a->end = count - a->begin < SLAB ? count : a->begin + SLAB;
        aki__pool_each(a->s->pool, (a->end - a->begin + PART - 1) / PART, score_part, a);
        for (size_t i = a->begin; i < a->end; i++)
            offer(hits, found, top, (aki_hit){ .row = i, .score = a->scores[i - a->begin] });
        rc = progress(a->s, (double)a->end / (double)count, err);
    }
    sort(hits, *found);
    return rc;
}

aki_status aki_search(const aki_vectors *vectors, const float *query, size_t top, aki_hit *hits, size_t *count, aki_error *error)
{
    struct stored s = { 0 };
    double squares = 0;
    size_t found = 0;
    aki_status rc = stored_open(&s, vectors, error);
    const size_t dim = s.rows.dim;

    if (!rc && (!query || !count || (!hits && top)))
        rc = aki__fail(error, AKI_E_INVALID, "aki_search: a NULL argument");
    for (size_t i = 0; i < dim && !rc; i++)
        squares += (double)query[i] * query[i];
    if (!rc && !(squares > 0 && isfinite(squares)))
        rc = aki__fail(error, AKI_E_INVALID, "the query's vector is all zero, or not finite");
    float *unit = rc ? NULL : aki__alloc(1 + SLAB / PART, dim * sizeof *unit), *scores = rc ? NULL : aki__alloc(SLAB, sizeof *scores);
    if (!rc && (!unit || !scores))
        rc = aki__fail(error, AKI_E_NOMEM, "search over vectors of %zu elements", dim);
    if (!rc) {
        for (size_t i = 0; i < dim; i++)
            unit[i] = (float)(query[i] / sqrt(squares));
        rc = search(&(struct slab){ .s = &s, .query = unit, .scratch = unit + dim, .scores = scores }, top, hits, &found, error);
        *count = found;
    }
    aki__free(scores);
    aki__free(unit);
    stored_close(&s);
    return rc;
}

/* ---------------------------------------------------------------- duplicates ------------------------------------ */

/* Work memory of a thread. */
struct share {
    float   *rows;                      /* [STEP, dim] earlier rows */
    float   *scores;                    /* [STEP, BLOCK] */
    float   *best;                      /* [BLOCK] */
    int32_t *at;                        /* [BLOCK] */
    void    *scratch;                   /* of the product */
};

/* The rows `begin` … end - 1, packed as a product's weights, against all rows before them; each share takes a run of steps. */
struct block {
    const struct stored *s;
    size_t begin, end;
    float *unpacked, *packed;           /* [BLOCK, dim] */
    struct aki__packed weights;
    struct share *shares;               /* [count] */
    size_t count;
    float  threshold;
};

static void compare_step(struct block *b, struct share *h, size_t first, size_t last)
{
    const struct aki__kernels *k = aki__kernels();
    struct aki__product product = { .x = h->rows, .w = &b->weights, .out = h->scores, .rows = last - first };

    k->unpack(&b->s->rows, h->rows, first, last);
    k->product(&product, 0, aki__product_count(&product), h->scratch);
    for (size_t r = first; r < last; r++) {
        /* A row is not compared with itself, nor with earlier ones. */
        size_t from = r < b->begin ? 0 : r - b->begin + 1;
        if (from < b->weights.n)
            k->keep_best(h->scores + (r - first) * b->weights.n + from, b->weights.n - from, (int32_t)r, h->best + from, h->at + from);
    }
}

static void compare_share(void *user, size_t i)
{
    struct block *b = user;
    struct share *h = &b->shares[i];
    const size_t steps = (b->end + STEP - 1) / STEP;

    for (size_t c = 0; c < BLOCK; c++) {
        h->best[c] = b->threshold;
        h->at[c] = -1;
    }
    for (size_t step = steps * i / b->count; step < steps * (i + 1) / b->count; step++)
        compare_step(b, h, step * STEP, (step + 1) * STEP < b->end ? (step + 1) * STEP : b->end);
}

static void compare_block(struct block *b, aki_hit *hits)
{
    const struct aki__kernels *k = aki__kernels();
    const size_t dim = b->s->rows.dim, n = b->end - b->begin;

    b->weights = (struct aki__packed){ .data = b->packed, .n = n, .k = dim };
    memset(b->packed, 0, aki__packed_size(n, dim, sizeof *b->packed));
    k->unpack(&b->s->rows, b->unpacked, b->begin, b->end);
    k->pack_float(&(struct aki__pack){ .w = { .data = b->unpacked, .dtype = AKI_TABLE_F32 }, .k = dim, .out = b->packed }, 0, n);
    aki__pool_each(b->s->pool, b->count, compare_share, b);
    for (size_t c = 0; c < n; c++) {
        aki_hit best = { .row = UINT64_MAX };
        /* Shares are in the order of rows, so that of equals the earliest stays. */
        for (size_t i = 0; i < b->count; i++)
            if (b->shares[i].at[c] >= 0 && (best.row == UINT64_MAX || b->shares[i].best[c] > best.score))
                best = (aki_hit){ .row = (uint64_t)b->shares[i].at[c], .score = b->shares[i].best[c] };
        hits[b->begin + c] = best;
    }
}

static bool block_open(struct block *b)
{
    const size_t dim = b->s->rows.dim;
    const struct aki__packed weights = { .n = BLOCK, .k = dim };
    const size_t scratch = aki__kernels()->product_scratch_size(&(struct aki__product){ .w = &weights, .rows = STEP });
    bool ok = (b->unpacked = aki__alloc_aligned(BLOCK, dim * sizeof(float))) && (b->packed = aki__alloc_aligned(BLOCK, dim * sizeof(float))) &&
              (b->shares = aki__zalloc(b->count, sizeof *b->shares));

    for (size_t i = 0; i < b->count && ok; i++) {
        struct share *h = &b->shares[i];
        ok = (h->rows = aki__alloc_aligned(STEP, dim * sizeof *h->rows)) && (h->scores = aki__alloc_aligned(STEP, BLOCK * sizeof *h->scores)) &&
             (h->best = aki__alloc(BLOCK, sizeof *h->best)) && (h->at = aki__alloc(BLOCK, sizeof *h->at)) &&
             (h->scratch = aki__alloc_aligned(1, scratch + 1));
    }
    return ok;
}

static void block_close(struct block *b)
{
    for (size_t i = 0; b->shares && i < b->count; i++) {
        aki__free_aligned(b->shares[i].rows);
        aki__free_aligned(b->shares[i].scores);
        aki__free_aligned(b->shares[i].scratch);
        aki__free(b->shares[i].best);
        aki__free(b->shares[i].at);
    }
    aki__free(b->shares);
    aki__free_aligned(b->packed);
    aki__free_aligned(b->unpacked);
}

aki_status aki_duplicates(const aki_vectors *vectors, float threshold, aki_hit *hits, aki_error *error)
{
    struct stored s = { 0 };
    struct block b = { .s = &s, .count = 1 };
    aki_status rc = stored_open(&s, vectors, error);
    const size_t count = s.v.count;

    if (!rc && ((!hits && count) || !isfinite(threshold)))
        rc = aki__fail(error, AKI_E_INVALID, "aki_duplicates: hits is NULL, or threshold not finite");
    if (!rc && count > INT32_MAX)
        rc = aki__fail(error, AKI_E_UNSUPPORTED, "%zu rows: duplicates are found among at most %d", count, INT32_MAX);
    b.count = s.pool ? (size_t)aki__pool_threads(s.pool) : 1;
    /* The kernel keeps what is greater. */
    b.threshold = nextafterf(threshold, -INFINITY);
    if (!rc && !block_open(&b))
        rc = aki__fail(error, AKI_E_NOMEM, "duplicates among vectors of %zu elements", s.rows.dim);
    for (b.begin = 0; b.begin < count && !rc; b.begin = b.end) {
        b.end = count - b.begin < BLOCK ? count : b.begin + BLOCK;
        compare_block(&b, hits);
        rc = progress(&s, (double)b.end / (double)count * (double)b.end / (double)count, error);
    }
    block_close(&b);
    stored_close(&s);
    return rc;
}
