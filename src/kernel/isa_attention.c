/* Unit kernel: attention over texts laid end to end: blocks of keys, online softmax, sums in f32. See attention_layout.h.
 * With a->bf16 the factors of both products are rounded to bf16, two in a float, and one instruction multiplies pairs of them. */
#include "kernel/attention_layout.h"
#include "kernel/isa.h"
#include "kernel/isa_half.h"
#include "kernel/isa_math.h"

#include <float.h>
#include <math.h>

/* sum + a * b, of floats or of pairs of bf16, of which both products are added. */
AKI_INLINE vf multiply_add(vf sum, vf a, vf b, bool bf16)
{
    return BF16_PRODUCTS && bf16 ? bf16_dot(sum, a, b) : sum + a * b;
}

/* The float at p, or its pair of bf16, in every lane. */
AKI_INLINE vf vset_place(const float *p)
{
    int32_t bits;
    memcpy(&bits, p, sizeof bits);
    return (vf)(bits - (vi){0});
}

/* pairs[n / 2] of x[n], n a multiple of 16; pairs may be x. */
AKI_INLINE void pair_row(float *pairs, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += AKI_LANES) {
        vh h = bf16_rounded(vload(x + i));
        memcpy(pairs + i / 2, &h, sizeof h);
    }
}

/* pairs[n] of two rows, n a multiple of 16. */
AKI_INLINE void pair_rows(float *pairs, const float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i += AKI_LANES) {
        vi first = __builtin_convertvector(bf16_rounded(vload(x + i)), vi), second = __builtin_convertvector(bf16_rounded(vload(y + i)), vi);
        vstore(pairs + i, (vf)(first | second << 16));
    }
}

/* ---------------------------------------------------------------- prepare --------------------------------------- */

/* x *= gamma * by / sqrt(mean(x^2) + eps) */
AKI_INLINE void head_norm(float *x, size_t n, const float *gamma, float eps, float by)
{
    vf part[2] = {{0}};
    float total = 0, factor;
    size_t i = 0;

    for (; i + 2 * AKI_LANES <= n; i += 2 * AKI_LANES) {
        vf v = vload(x + i), w = vload(x + i + AKI_LANES);
        part[0] = part[0] + v * v;
        part[1] = part[1] + w * w;
    }
    for (; i < n; i++)
        total += x[i] * x[i];
    total = (total + lanes_sum(part[0] + part[1])) / (float)n;
    factor = total <= FLT_MAX ? by / sqrtf(total + eps) : NAN;      /* an overflow must not become zeros */
    AKI_SIMD
    for (size_t j = 0; j < n; j++)
        x[j] = x[j] * factor * gamma[j];
}

AKI_INLINE void head_rotate(float *x, size_t n, const float *rope)
{
    size_t half = n / 2;

    AKI_SIMD
    for (size_t i = 0; i < half; i++) {
        float a = x[i], b = x[i + half], c = rope[i], s = rope[i + half];
        x[i] = a * c - b * s;
        x[i + half] = b * c + a * s;
    }
}

/* How the heads of one of the three inputs are prepared. */
struct heads {
    const struct aki__rows *rows;
    const float *gamma, *rope;              /* or NULL; rope is the row of the token */
    float eps, scale;
    size_t n, depth;
};

/* Prepares one head of one row. */
static void head_load(float *x, const struct heads *h, size_t row, size_t head)
{
    const float *from = h->rows->f32 + row * h->rows->stride + head * h->n;
    float scale = h->gamma ? 1.0f : h->scale;

    AKI_SIMD
    for (size_t i = 0; i < h->n; i++)
        x[i] = (from[i] + (from[i] - from[i])) * scale;     /* an infinity becomes NaN: as a score of -infinity it would have no effect */
    if (h->gamma)
        head_norm(x, h->n, h->gamma, h->eps, h->scale);
    if (h->rope)
        head_rotate(x, h->n, h->rope);
    for (size_t i = h->n; i < h->depth; i++)
        x[i] = 0;
}

AKI_INLINE v4 load4(const float *p)
{
    v4 v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* k[d][t] = x[t][d] for 16 rows x, four by four. The columns n … depth are zeros; they are read but not written. */
static void turn_panel(float *restrict k, const float *restrict x, size_t n, size_t depth)
{
    for (size_t d = 0; d < n; d += 4)
        for (size_t t = 0; t < PANEL; t += 4) {
            const float *from = x + t * depth + d;
            v4 a = load4(from), b = load4(from + depth), c = load4(from + 2 * depth), e = load4(from + 3 * depth), out[4];
            v4 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
            v4 ce_low = __builtin_shufflevector(c, e, 0, 4, 1, 5), ce_high = __builtin_shufflevector(c, e, 2, 6, 3, 7);
            out[0] = __builtin_shufflevector(ab_low, ce_low, 0, 1, 4, 5);
            out[1] = __builtin_shufflevector(ab_low, ce_low, 2, 3, 6, 7);
            out[2] = __builtin_shufflevector(ab_high, ce_high, 0, 1, 4, 5);
            out[3] = __builtin_shufflevector(ab_high, ce_high, 2, 3, 6, 7);
            AKI_UNROLL
            for (size_t i = 0; i < 4; i++)
                if (d + i < n)
                    memcpy(k + (d + i) * PANEL + t, &out[i], sizeof out[i]);
        }
}

/* The keys of a panel, or their values: cached ones first, then those of the text. */
struct keys {
    struct heads heads;
    const float *kept;                      /* cached, of the panel's first key; or NULL */
    const float *rope;                      /* of the first row, or NULL */
    size_t stride;                          /* floats between cached keys */
    size_t row;                             /* index of the panel's first key among those of the text */
    size_t old, count;
};

/* x[depth]: a head of key t of the panel. Zeros if there is no such key: masked keys must be numbers. */
static void key_load(float *x, struct keys *k, size_t head, size_t t)
{
    size_t n = k->heads.n;

    if (t >= k->old && t < k->count) {
        k->heads.rope = k->rope ? k->rope + (k->row + t) * n : NULL;
        head_load(x, &k->heads, k->row + t, head);
        return;
    }
    memset(x, 0, k->heads.depth * sizeof *x);
    if (t < k->old)
        memcpy(x, k->kept + t * k->stride + head * n, n * sizeof *x);
}

static void prepare_keys(const struct aki__attention *a, size_t unit, float *scratch)
{
    size_t text = att_find(att_starts(a), a->texts, PANEL, unit), depth = att_depth(a), n = a->head_dim, stride = a->kv_heads * n;
    size_t first = (unit - att_panel_of(a, text)) * PANEL, keys = att_keys(a, text), kept = att_kept(a, text);
    size_t count = first >= keys ? 0 : keys - first < PANEL ? keys - first : PANEL;
    size_t old = first >= kept ? 0 : kept - first < count ? kept - first : count;
    struct keys k = { .heads = { .rows = &a->k, .gamma = a->k_norm, .eps = a->norm_eps, .scale = 1, .n = n, .depth = depth },
                      .rope = a->rope,
                      .kept = old ? a->kept[text].k + first * stride : NULL, .stride = stride, .row = (size_t)a->starts[text] + first - kept, .old = old, .count = count };
    struct keys v = k;

    v.heads = (struct heads){ .rows = &a->v, .scale = 1, .n = n, .depth = depth };
    v.rope = NULL;
    v.kept = old ? a->kept[text].v + first * stride : NULL;
    for (size_t h = 0; count && h < a->kv_heads; h++) {
        float *to = att_v(a, h, unit);              /* V's memory holds the keys until they are transposed */
        for (size_t t = 0; t < PANEL; t++) {
            float *x = a->bf16 ? scratch : to + t * depth;
            key_load(x, &k, h, t);
            if (a->bf16)
                pair_row(to + t * depth / 2, x, depth);
        }
        turn_panel(att_k(a, h, unit), to, att_key(a), att_row(a));
        for (size_t t = 0; t < PANEL && !a->bf16; t++)
            key_load(to + t * depth, &v, h, t);
        for (size_t t = 0; t < PANEL && a->bf16; t += 2) {
            key_load(scratch, &v, h, t);
            key_load(scratch + depth, &v, h, t + 1);
            pair_rows(to + t / 2 * depth, scratch, scratch + depth, depth);
        }
    }
}

/* The high or the low one of two bf16 in a float. */
AKI_INLINE float half_of(const float *pair, size_t high) { return bits_float(high ? float_bits(*pair) & 0xffff0000u : float_bits(*pair) << 16); }

void ISA(attention_keep)(const struct aki__attention *a, size_t text, size_t first, size_t count, float *k, float *v)
{
    size_t n = a->head_dim, width = a->kv_heads * n;

    for (size_t t = 0; t < count; t++)
        for (size_t h = 0; h < a->kv_heads; h++) {
            size_t panel = att_panel_of(a, text) + (first + t) / PANEL, lane = (first + t) % PANEL;
            const float *key = att_k(a, h, panel) + lane, *value = att_v(a, h, panel) + (a->bf16 ? lane / 2 : lane) * att_depth(a);
            float *to_k = k + t * width + h * n, *to_v = v + t * width + h * n;
            for (size_t i = 0; i < n; i++) {
                to_k[i] = a->bf16 ? half_of(key + i / 2 * PANEL, i % 2) : key[i * PANEL];
                to_v[i] = a->bf16 ? half_of(value + i, lane % 2) : value[i];
            }
        }
}

static void prepare_queries(const struct aki__attention *a, size_t unit, float *scratch)
{
    size_t end = (unit + 1) * PANEL < a->queries ? (unit + 1) * PANEL : a->queries, group = att_group(a);
    /* scores are exponents of 2 */
    struct heads queries = { .rows = &a->q, .gamma = a->q_norm, .eps = a->norm_eps, .scale = a->scale * 1.44269504f,
                             .n = a->head_dim, .depth = att_depth(a) };

    for (size_t r = unit * PANEL; r < end; r++) {
        size_t token = a->query_rows ? (size_t)a->query_rows[r] : r;
        queries.rope = a->rope ? a->rope + token * a->head_dim : NULL;
        for (size_t h = 0; h < a->heads; h++) {
            float *to = att_q(a, h / group, r) + h % group * att_row(a), *x = a->bf16 ? scratch : to;
            head_load(x, &queries, r, h);
            if (a->bf16)
                pair_row(to, x, queries.depth);
        }
    }
}

void ISA(attention_prepare)(const struct aki__attention *a, size_t begin, size_t end, float *scratch)
{
    size_t panels = att_panels(a);

    for (size_t unit = begin; unit < end; unit++)
        if (unit < panels)
            prepare_keys(a, unit, scratch);
        else
            prepare_queries(a, unit - panels, scratch);
}

/* ---------------------------------------------------------------- products -------------------------------------- */

/* Columns are in groups of 16; a tile of TILE_ROWS x TILE_GROUPS groups is held in registers. */
#if AKI_LANES == 16
#  define TILE_ROWS 8
#  define TILE_GROUPS 2
#elif AKI_LANES == 8 || defined(__aarch64__)
#  define TILE_ROWS 4
#  define TILE_GROUPS 1
#else
#  define TILE_ROWS 2
#  define TILE_GROUPS 1
#endif
#define GROUP_VECTORS (16 / AKI_LANES)

/* c[r][g * 16 + j] = (keep ? c * keep[r] : 0) + sum over d < depth of a[r][d] * b[g * b_group + d * b_stride + j]. The order of
 * the sum over d is the same for every element and tile, so the result for a row does not depend on other rows. */
AKI_INLINE void tile(float *c, size_t c_stride, const float *keep, const float *a, size_t a_stride, const float *b, size_t b_group,
                     size_t b_stride, size_t depth, int rows, int groups, bool bf16)
{
    vf sum[TILE_ROWS][TILE_GROUPS * GROUP_VECTORS];

    AKI_UNROLL
    for (int r = 0; r < rows; r++)
        AKI_UNROLL
        for (int v = 0; v < groups * GROUP_VECTORS; v++)
            sum[r][v] = (vf){0};
    for (size_t d = 0; d < depth; d++) {
        vf column[TILE_GROUPS * GROUP_VECTORS];
        AKI_UNROLL
        for (int v = 0; v < groups * GROUP_VECTORS; v++)
            column[v] = vload(b + v / GROUP_VECTORS * b_group + d * b_stride + v % GROUP_VECTORS * AKI_LANES);
        AKI_UNROLL
        for (int r = 0; r < rows; r++) {
            vf x = vset_place(a + r * a_stride + d);
            AKI_UNROLL
            for (int v = 0; v < groups * GROUP_VECTORS; v++)
                sum[r][v] = multiply_add(sum[r][v], x, column[v], bf16);
        }
    }
    AKI_UNROLL
    for (int r = 0; r < rows; r++)
        AKI_UNROLL
        for (int v = 0; v < groups * GROUP_VECTORS; v++) {
            float *to = c + r * c_stride + v * AKI_LANES;
            vstore(to, keep ? vload(to) * vset(keep[r]) + sum[r][v] : sum[r][v]);
        }
}

/* The same for any number of rows and groups; bf16, and whether keep is NULL, are constants in each call. */
AKI_INLINE void product(float *c, size_t c_stride, const float *keep, const float *a, size_t a_stride, const float *b, size_t b_group,
                        size_t b_stride, size_t depth, size_t rows, size_t groups, bool bf16)
{
    for (size_t g = 0; g < groups;) {
        int wide = groups - g >= TILE_GROUPS ? TILE_GROUPS : 1;
        for (size_t r = 0; r < rows;) {
            size_t left = rows - r;
            float *to = c + r * c_stride + g * 16;
            const float *from = a + r * a_stride, *k = keep ? keep + r : NULL, *p = b + g * b_group;
#define TILE_CASE(n)                                                                                \
            if (left >= n && n <= TILE_ROWS) {                                                      \
                if (wide == TILE_GROUPS)                                                            \
                    tile(to, c_stride, k, from, a_stride, p, b_group, b_stride, depth, n < TILE_ROWS ? n : TILE_ROWS, TILE_GROUPS, bf16); \
                else                                                                                \
                    tile(to, c_stride, k, from, a_stride, p, b_group, b_stride, depth, n < TILE_ROWS ? n : TILE_ROWS, 1, bf16);           \
                r += n;                                                                             \
                continue;                                                                           \
            }
            TILE_CASE(8)
            TILE_CASE(4)
            TILE_CASE(2)
            TILE_CASE(1)
        }
        g += (size_t)wide;
    }
}

static __attribute__((noinline)) void product_new(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b,
                                                  size_t b_group, size_t b_stride, size_t depth, size_t rows, size_t groups, bool bf16)
{
    if (BF16_PRODUCTS && bf16)
        product(c, c_stride, NULL, a, a_stride, b, b_group, b_stride, depth, rows, groups, true);
    else
        product(c, c_stride, NULL, a, a_stride, b, b_group, b_stride, depth, rows, groups, false);
}

static __attribute__((noinline)) void product_keep(float *c, size_t c_stride, const float *keep, const float *a, size_t a_stride,
                                                   const float *b,
                                                   size_t b_group, size_t b_stride, size_t depth, size_t rows, size_t groups, bool bf16)
{
    if (BF16_PRODUCTS && bf16)
        product(c, c_stride, keep, a, a_stride, b, b_group, b_stride, depth, rows, groups, true);
    else
        product(c, c_stride, keep, a, a_stride, b, b_group, b_stride, depth, rows, groups, false);
}

/* ---------------------------------------------------------------- softmax --------------------------------------- */

/* exp2_fast of isa_math.h for a vector, so that the sum is computed in the same loop. */
AKI_INLINE vf vexp2(vf t)
{
    vf c = vmax(vset(-127.0f), t), k = c + AKI_ROUND, f = c - (k - AKI_ROUND), p = vset(0.0013269522f);

    p = p * f + 0.009671291f;
    p = p * f + 0.05550711f;
    p = p * f + 0.24022247f;
    p = p * f + 0.693147f;
    p = p * f + 1.0f;
    return p * (vf)(((vi)k + 127) << 23);
}

struct key_range { size_t low, high; };          /* keys to which a query attends */

/* Masks the scores of the keys from `first` on with -infinity. */
AKI_INLINE vf mask(vf score, size_t first, struct key_range seen)
{
    static const int32_t lanes[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    vi key, in;

    memcpy(&key, lanes, sizeof key);
    key = key + (int32_t)first;
    in = (key >= (int32_t)seen.low) & (key < (int32_t)seen.high);
    return (vf)(((vi)score & in) | ((vi)vset(-INFINITY) & ~in));
}

/* Replaces rows of scores of n keys (a multiple of 16) by 2^(s - max), as pairs of bf16 if wanted; keep: the factors for the
 * previous sums. In three loops over the rows, because the maximum and the sum of a row have a long latency. */
AKI_INLINE void softmax_step(float *scores, size_t n, size_t rows, const struct key_range *seen, float *max, float *weight,
                             float *keep, bool bf16)
{
    float before[STRIP];

    for (size_t r = 0; r < rows; r++) {
        float *s = scores + r * KEY_BLOCK;
        vf most = vset(-INFINITY);
        for (size_t i = 0; i < n; i += AKI_LANES) {
            vf v = vload(s + i);
            if (i < seen[r].low || i + AKI_LANES > seen[r].high) {
                v = mask(v, i, seen[r]);
                vstore(s + i, v);
            }
            most = vmax(v, most);
        }
        float top = lanes_max(most);
        before[r] = max[r];
        max[r] = top > before[r] ? top : before[r];
    }
    AKI_SIMD
    for (size_t r = 0; r < rows; r++)
        keep[r] = exp2_fast(before[r] - max[r]);
    for (size_t r = 0; r < rows; r++) {
        float *s = scores + r * KEY_BLOCK;
        vf top = vset(max[r]), part = {0};
        for (size_t i = 0; i < n; i += AKI_LANES) {
            vf p = vexp2(vload(s + i) - top);
            vstore(s + i, p);
            part = part + p;
        }
        weight[r] = weight[r] * keep[r] + lanes_sum(part);
        if (bf16)
            pair_row(s, s, n);
    }
}

/* ---------------------------------------------------------------- run ------------------------------------------- */

/* The index of the query's own key among the keys of the text. */
AKI_INLINE size_t position(const struct aki__attention *a, size_t text, size_t query)
{
    return (a->query_rows ? (size_t)a->query_rows[query] : query) - (size_t)a->starts[text] + att_kept(a, text);
}

/* Range of the text's keys to which a query attends. */
AKI_INLINE struct key_range visible(const struct aki__attention *a, size_t text, size_t query)
{
    size_t keys = att_keys(a, text), i = position(a, text, query);
    struct key_range s = { 0, keys };

    if (a->window && i + 1 > a->window)
        s.low = i + 1 - a->window;
    if (a->causal)
        s.high = i + 1;
    else if (a->window && i + a->window < keys)
        s.high = i + a->window;
    return s;
}

struct task {
    size_t text, head;                      /* head: of K and V */
    size_t first, count;                    /* queries */
    float *sum, *max, *weight, *scores;     /* [rows][depth], [rows], [rows], [STRIP][KEY_BLOCK] */
};

/* score[i] += the bias of the distance first + i, i < n. */
static void add_bias(float *score, int64_t n, const float *bias, int64_t reach, int64_t first)
{
    int64_t near = first >= -reach ? 0 : -reach - first < n ? -reach - first : n;
    int64_t far = first > reach ? 0 : reach + 1 - first < n ? reach + 1 - first : n;

    AKI_SIMD
    for (int64_t i = 0; i < near; i++)
        score[i] += bias[0];
    AKI_SIMD
    for (int64_t i = near; i < far; i++)
        score[i] += bias[first + reach + i];
    AKI_SIMD
    for (int64_t i = far; i < n; i++)
        score[i] += bias[2 * reach];
}

/* Computes rows at … at + rows of the task for n keys from `block` on. */
static void bias_strip(const struct aki__attention *a, const struct task *t, size_t at, size_t rows, size_t block, size_t n)
{
    size_t group = att_group(a);

    for (size_t r = 0; r < rows; r++) {
        size_t query = position(a, t->text, t->first + (at + r) / group), head = t->head * group + (at + r) % group;
        add_bias(t->scores + r * KEY_BLOCK, (int64_t)n, a->bias + head * (2 * a->reach + 1), (int64_t)a->reach,
                 (int64_t)block - (int64_t)query);
    }
}

/* Computes rows at … at + rows of the task for the keys of one block. */
static void run_strip(const struct aki__attention *a, const struct task *t, size_t at, size_t rows, size_t block)
{
    size_t group = att_group(a), depth = att_depth(a), low = SIZE_MAX, high = 0, n, panel;
    struct key_range span[STRIP];
    float keep[STRIP];

    for (size_t r = 0; r < rows; r++) {
        span[r] = visible(a, t->text, t->first + (at + r) / group);
        low = span[r].low < low ? span[r].low : low;
        high = span[r].high > high ? span[r].high : high;
    }
    if (high <= block || low >= block + KEY_BLOCK)
        return;
    n = high - block < KEY_BLOCK ? high - block : KEY_BLOCK;
    panel = att_panel_of(a, t->text) + block / PANEL;
    product_new(t->scores, KEY_BLOCK, att_q(a, t->head, t->first) + at * att_row(a), att_row(a), att_k(a, t->head, panel),
                PANEL * att_key(a), PANEL,
                att_key(a), rows, (n + PANEL - 1) / PANEL, a->bf16);
    if (a->bias)
        bias_strip(a, t, at, rows, block, n);
    for (size_t r = 0; r < rows; r++)
        span[r] = (struct key_range){ span[r].low < block ? 0 : span[r].low - block, span[r].high < block ? 0 : span[r].high - block };
    softmax_step(t->scores, (n + PANEL - 1) / PANEL * PANEL, rows, span, t->max + at, t->weight + at, keep, a->bf16);
    product_keep(t->sum + at * depth, depth, keep, t->scores, KEY_BLOCK, att_v(a, t->head, panel), 16, depth,
                 a->bf16 ? (n + 1) / 2 : n, rows, depth / 16, a->bf16);
}

static void run_task(const struct aki__attention *a, const struct task *t)
{
    size_t group = att_group(a), depth = att_depth(a), rows = t->count * group;
    size_t low = visible(a, t->text, t->first).low, high = 0;

    for (size_t q = 0; q < t->count; q++) {         /* query_rows may have any order */
        struct key_range s = visible(a, t->text, t->first + q);
        low = s.low < low ? s.low : low;
        high = s.high > high ? s.high : high;
    }
    memset(t->sum, 0, rows * depth * sizeof *t->sum);
    for (size_t r = 0; r < rows; r++) {
        t->max[r] = -FLT_MAX;                       /* not -infinity: a block without any key that a query attends to must change nothing */
        t->weight[r] = 0;
    }
    for (size_t block = low / KEY_BLOCK * KEY_BLOCK; block < high; block += KEY_BLOCK)
        for (size_t at = 0; at < rows; at += STRIP)
            run_strip(a, t, at, rows - at < STRIP ? rows - at : STRIP, block);
    for (size_t r = 0; r < rows; r++) {
        float *out = a->out.f32 + (t->first + r / group) * a->out.stride + (t->head * group + r % group) * a->head_dim;
        const float *sum = t->sum + r * depth;
        float by = 1.0f / t->weight[r];
        AKI_SIMD
        for (size_t i = 0; i < a->head_dim; i++)
            out[i] = sum[i] * by;
    }
}

void ISA(attention_run)(const struct aki__attention *a, size_t begin, size_t end, float *scratch)
{
    size_t rows = att_rows(a);
    struct task t = { .sum = scratch, .scores = scratch + rows * att_depth(a) };

    t.max = t.scores + STRIP * KEY_BLOCK;
    t.weight = t.max + rows;
    for (size_t i = begin; i < end; i++) {
        size_t first, blocks, block, stop;
        t.text = att_find(a->query_starts, a->texts, att_block(a), i / a->kv_heads);
        first = att_block_of(a, t.text) * a->kv_heads;
        blocks = att_block_of(a, t.text + 1) - att_block_of(a, t.text);
        t.head = (i - first) / blocks;
        block = blocks - 1 - (i - first) % blocks;          /* causal: the longest tasks first */
        t.first = (size_t)a->query_starts[t.text] + block * att_block(a);
        stop = (size_t)a->query_starts[t.text + 1];
        if (t.first < stop) {
            t.count = stop - t.first < att_block(a) ? stop - t.first : att_block(a);
            run_task(a, &t);
        }
    }
}
