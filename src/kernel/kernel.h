/* Unit kernel: the arithmetic that ONNX Runtime lacks, on plain arrays. No runtime types, no threads, no allocation, no errors.
 *
 * Every function computes a range [begin, end) of rows (or tasks) and uses scratch memory of the caller, so that the caller can
 * split the work between threads as it likes: the result for a row never depends on the split or on other rows. The sources are
 * compiled once for each instruction set (see kernel/isa.h); aki__kernels() is the best set for this processor. */
#ifndef AKI_KERNEL_H
#define AKI_KERNEL_H

#include "base/base.h"

/* ---- input and output rows ---- */

/* f32 rows, which may be some columns of wider rows: value[t][n] = f32[t * stride + n]. */
struct aki__rows {
    const float *f32;                   /* NULL: none */
    size_t       stride;                /* elements between rows */
};

/* Columns of int8 rows, or of a weight, that are far larger than the others, and with a common scale would leave too few digits
 * for them. They are replaced by zeros before rows are rotated and quantised, and are multiplied in f32. */
#define AKI_MOST_OUTLIERS ((size_t)16)
struct aki__outliers { const int32_t *columns; size_t count; };     /* increasing */

/* The output of a function: f32 rows, or rotated and quantised rows for the next int8 product, or both (NULL: not needed).
 * Quantised: x' = blockwise Walsh-Hadamard of x (orthonormal, blocks of `block` columns, 1: no rotation; see aki__rotation_shape),
 * row_scale = max|x'| / 127, u8 = 128 + round_to_nearest_even(x' / row_scale). A row of zeros (all below 1e-30) has row_scale 0 and
 * u8 128; a row with NaN or infinity has row_scale NaN and u8 128, unless that element is in `side`. */
struct aki__out {
    float   *f32;                       /* [rows, stride] */
    uint8_t *u8;                        /* [rows, stride] */
    float   *row_scale;                 /* [rows], with u8 */
    size_t   stride;                    /* elements between rows */
    size_t   block;                     /* of the rotation: a power of two that divides the columns */
    struct aki__outliers outliers;
    float   *side;                      /* [rows, outliers.count], with u8: the values of these columns */
};

/* ---- embedding rows ---- */

enum aki__table_dtype { AKI_TABLE_F32, AKI_TABLE_F16, AKI_TABLE_BF16 };
struct aki__table { const void *data; enum aki__table_dtype dtype; };   /* [rows, hidden]; data NULL: no table. The data may be unaligned, since the header of a file may have any length */

/* out[t] = words[ids[t]] * scale + positions[position_ids[t]] + types[type_ids[t]]; type_ids NULL: row 0. The caller has
 * checked the ids. */
struct aki__embed {
    float           *out;               /* [tokens, hidden] */
    const int32_t   *ids, *position_ids, *type_ids;
    struct aki__table words, positions, types;
    size_t           hidden;
    float            scale;             /* 0: none */
};

/* ---- norm, with residual ---- */

/* s = x + add (either may be absent: x NULL, or add.f32 NULL); sum (if not NULL) = s
 * layer: y = (s - mean) / sqrt(variance + eps) * gamma + beta; rms: y = s / sqrt(mean(s^2) + eps) * gamma. Statistics in double or
 * by pairwise/vector sums (error far below f32's). */
struct aki__norm {
    const float     *x;                 /* [rows, hidden] or NULL */
    struct aki__rows add;
    float           *sum;               /* [rows, hidden] or NULL; may be x */
    const float     *gamma, *beta;      /* [hidden]; beta NULL: none */
    struct aki__out  out;
    size_t           hidden;
    float            eps;
    bool             rms;
};

/* ---- activation, with gate ---- */

enum aki__kernel_act { AKI_KACT_NONE, AKI_KACT_GELU, AKI_KACT_GELU_TANH, AKI_KACT_RELU, AKI_KACT_SILU, AKI_KACT_TANH, AKI_KACT_LOG1P_RELU };

/* out = act(x), or act(x) * gate if there is a gate (both from one product: x is the first half of its columns, gate the second). */
struct aki__act {
    struct aki__rows x, gate;           /* gate.f32 NULL: none */
    struct aki__out  out;
    size_t           columns;
    enum aki__kernel_act act;
};

/* ---- attention over texts laid end to end ---- */

/* cos and sin of rotary positions as transformers computes them: angle = position * theta^(-2i/head_dim), in f32.
 * out: [rows, head_dim]: head_dim/2 cosines, then head_dim/2 sines. */
struct aki__rope {
    float         *out;
    const int32_t *positions;           /* [rows] */
    const float   *inverse;             /* [head_dim / 2] = theta^(-2i/head_dim) in f32 */
    size_t         head_dim;
};

/* Keys and values of earlier tokens, from attention_keep: [tokens, kv_heads*head_dim] each. */
struct aki__kept { const float *k, *v; };

/* Grouped-query attention. Text b has the keys starts[b] … starts[b+1]-1 (rows of k and v) and the queries query_starts[b] …
 * query_starts[b+1]-1 (rows of q). Query row r is token query_rows[r] (a row of k, in the same text; NULL: r itself, and
 * query_starts equals starts). Prepare: RMS norm of q and k for each head, RoPE (rotate-half), scale; once for each token. Run:
 * online softmax over blocks of keys; memory is linear in tokens. A task is some queries of one text and one kv head, so it
 * cannot quantise whole rows: if u8 is needed, call quantise_rows on out.f32 afterwards. Cached keys and values come before
 * those of the text: the text then has key_starts[b+1] - key_starts[b] keys, the cached ones first, at positions 0, 1 …, and
 * the rope rows of its tokens are those of the positions after them. The result is bit-identical to that of the whole text. The
 * keys of a text are split into blocks from its first token on: the result for a query does not depend on the other texts, on
 * the other queries, or on the split into tasks. */
struct aki__attention {
    struct aki__rows q, k, v;           /* [queries, heads*head_dim], [tokens, kv_heads*head_dim] x 2 */
    const int32_t *starts;              /* [texts + 1] */
    const int32_t *query_starts;        /* [texts + 1] */
    const int32_t *query_rows;          /* [queries] or NULL */
    size_t         texts, tokens, queries, heads, kv_heads, head_dim;
    bool           causal;
    size_t         window;              /* a query at token i attends to keys j with i - j < window (and, if not causal, j - i < window); 0: to all */
    float          scale;               /* of the scores, usually 1 / sqrt(head_dim) */
    const float   *bias;                /* [heads, 2 * reach + 1] added to the scores, times log2(e), since scores are exponents of 2: by the distance
                                         * key - query, from -reach on; greater distances have the bias at the end; or NULL */
    size_t         reach;
    const float   *q_norm, *k_norm;     /* [head_dim] RMS gamma or NULL */
    float          norm_eps;
    const float   *rope;                /* [tokens, head_dim] of aki__rope or NULL */
    struct aki__out out;                /* [queries, heads*head_dim]; run writes out.f32 only */
    float         *work;                /* aki__attention_work_size() floats, 64-byte aligned; shared by prepare and run */
    const int32_t *key_starts;          /* [texts + 1] starts with the cached keys counted, or NULL: starts */
    const struct aki__kept *kept;       /* [texts] cached keys and values; read if a text has more keys than tokens */
    bool           bf16;                /* q, k, v and the weights of v are rounded to bf16, sums are f32; only if aki__kernels.bf16 */
};

/* ---- pooling ---- */

enum aki__pool_mode { AKI_POOL_MEAN, AKI_POOL_MAX, AKI_POOL_MEAN_SQRT_LEN, AKI_POOL_WEIGHTEDMEAN };
/* Vector i pools rows starts[i] … starts[i+1]-1 of x (one row: cls, last and tokens are a mean of one row).
 * weightedmean: weights weight_from[i] + 1, +2 … (sentence-transformers counts from the text's first token); sums in double. */
struct aki__pooling {
    float         *out;                 /* [count, hidden] */
    const float   *x;                   /* [rows, hidden] */
    const int32_t *starts;              /* [count + 1] */
    const int32_t *weight_from;         /* [count] or NULL: 0 */
    size_t         hidden;
    enum aki__pool_mode mode;
    enum aki__kernel_act act;           /* of the rows, before pooling */
};

/* ---- products ---- */

#define AKI_PANEL ((size_t)32)          /* output columns of a panel */

/* A matrix [n, k] (output channels are rows, as in the file) in the order in which a product reads it, padded with zeros. A step
 * of 128 bytes has as many inputs as fit:
 *     f32   [panels][k][32]              element: column panel * 32 + j, input i
 *     bf16  [panels][k / 2][32][2]       the last: two neighbouring inputs; k rounded up to 2
 *     f16   [panels][k / 2][2][2][16]    sixteen columns of an input, then of its neighbour, then the other sixteen columns
 *     s8    [panels][k / 4][32][4]       the last: four neighbouring inputs; k rounded up to 4
 * bf16 and f16 are widened to f32 in registers: the sums are those of f32, to the bit. s8 is rotated like the activations and quantised per output channel: s8 = round(w' / scale), scale = max|w'| / 127, the same
 * in every instruction set. scale, sum and bias are padded to whole panels as well. */
struct aki__packed {
    const void    *data;
    enum aki__table_dtype dtype;        /* of data; without scale */
    bool           bf16;                /* rows are rounded to bf16, as data are; only if aki__kernels.bf16 */
    const float   *scale;               /* [n]; NULL: not s8 */
    const int32_t *sum;                 /* [n] of each column's s8; with scale */
    const float   *bias;                /* [n] or NULL */
    size_t         n, k;
    struct aki__outliers outliers;      /* inputs that are zeros in s8; s8 only */
    const float   *side;                /* [panels][outliers.count][32]: their weights */
};

/* out[t][n] = sum over i of x[t][i] * w[n][i] + bias[n]; of u8 rows: (sum over i of (x[t][i] - 128) * s8[n][i]) * x_scale[t] *
 * scale[n] + bias[n], where the inner sum is an exact integer, for k up to AKI_INT8_MOST_INPUTS; and + the sum over outliers c
 * of x_side[t][c] * side[n][c]. With bf16, x is rounded to the nearest (ties: to the even) bf16, pairs of inputs are added to a
 * sum in f32 in the order of i, and what is below the least normal number counts as 0. */
#define AKI_INT8_MOST_INPUTS ((size_t)65536)       /* 65536 * 255 * 127 < 2^31 */
struct aki__product {
    const void               *x;        /* [rows, k] f32, or u8 where w has scales */
    const float              *x_scale;  /* [rows]; u8 only */
    const float              *x_side;   /* [rows, outliers of w] */
    const struct aki__packed *w;
    float                    *out;      /* [rows, n] */
    size_t                    rows;
};

/* Packs rows of a file's matrix as the columns from `column` on of a packed matrix, whose last panel is zeroed before. */
struct aki__pack {
    struct aki__table w;                /* [rows, k] */
    size_t   k, column, block;          /* block: of the rotation; s8 only */
    void    *out;
    enum aki__table_dtype dtype;        /* of out, but for s8: f32, bf16 or the file's */
    float   *scale;                     /* [n]; s8 only */
    int32_t *sum;                       /* [n]; s8 only */
    struct aki__outliers outliers;      /* s8 only */
    float   *side;                      /* as in aki__packed */
};

/* Sums of squares of the rows of a file's matrix [.., k], of every step-th row, and of its columns over these rows. */
struct aki__squares {
    struct aki__table w;
    size_t   k, step;
    float   *rows;                      /* one for each row that is read */
};

static inline size_t aki__panels(size_t n) { return (n + AKI_PANEL - 1) / AKI_PANEL; }
/* Bytes of a weight. */
static inline size_t aki__weight_size(enum aki__table_dtype dtype) { return dtype == AKI_TABLE_F32 ? 4 : 2; }
static inline size_t aki__packed_weight_size(const struct aki__packed *w) { return w->scale ? 1 : aki__weight_size(w->dtype); }
/* Inputs of a packed matrix, and its bytes, padding included, for weights of `size` bytes. */
static inline size_t aki__packed_inputs(size_t k, size_t size) { return (k * size + 3) / 4 * 4 / size; }
static inline size_t aki__packed_size(size_t n, size_t k, size_t size) { return aki__panels(n) * AKI_PANEL * aki__packed_inputs(k, size) * size; }
/* Rows for which the weights are read once: whole tiles of every instruction set. */
#define AKI_PRODUCT_ROWS ((size_t)504)

/* Number of units of a product. */
static inline size_t aki__product_count(const struct aki__product *a)
{
    return (a->rows + AKI_PRODUCT_ROWS - 1) / AKI_PRODUCT_ROWS * aki__panels(a->w->n);
}

/* ---- stored vectors ---- */

enum aki__stored_dtype { AKI_STORED_F32, AKI_STORED_F16, AKI_STORED_BYTES, AKI_STORED_BITS };
/* Vectors as they lie in a file. An element of bytes: base[i] + step[i] * u8; of bits: 1 or -1, the most significant bit first. */
struct aki__stored {
    const void  *rows;                  /* [count, row_size] bytes; f32 and f16 at multiples of their size */
    size_t       dim, row_size;
    enum aki__stored_dtype dtype;
    const float *base, *step;           /* [dim], of bytes */
    uint8_t      flip;                  /* bytes and bits: each byte is ^ flip */
};

struct aki__kernels {
    const char *isa;                    /* "avx512bf16", "avx512", "avxvnni", "avx2", "i8mm", "dotprod", "baseline" */
    bool bf16;                          /* it has bf16 products */
    void (*embed)(const struct aki__embed *a, size_t begin, size_t end);
    /* scratch: [hidden] floats, 64-byte aligned, for each thread */
    void (*norm)(const struct aki__norm *a, size_t begin, size_t end, float *scratch);
    void (*act)(const struct aki__act *a, size_t begin, size_t end, float *scratch);      /* scratch: [columns] */
    void (*rope)(const struct aki__rope *a, size_t begin, size_t end);
    /* units; scratch as for run */
    void (*attention_prepare)(const struct aki__attention *a, size_t begin, size_t end, float *scratch);
    /* tasks; scratch: aki__attention_scratch_size() floats */
    void (*attention_run)(const struct aki__attention *a, size_t begin, size_t end, float *scratch);
    /* Copies the keys first … first+count-1 of a text (counted from its first key) and their values from the work memory that prepare filled:
     * k, v: [count, kv_heads*head_dim], for `kept` of a later call. */
    void (*attention_keep)(const struct aki__attention *a, size_t text, size_t first, size_t count, float *k, float *v);
    /* scratch: [columns] */
    void (*quantise_rows)(const struct aki__rows *x, size_t columns, const struct aki__out *out, size_t begin, size_t end, float *scratch);
    /* units: see aki__product_count; scratch: product_scratch_size() bytes */
    void (*product)(const struct aki__product *a, size_t begin, size_t end, void *scratch);
    size_t (*product_scratch_size)(const struct aki__product *a);
    /* Rows of the file's matrix. Split at multiples of AKI_PANEL, so that most cache lines are written by one thread. */
    void (*pack_float)(const struct aki__pack *a, size_t begin, size_t end);
    /* scratch: [k] floats and as many bytes, k rounded up to 4 */
    void (*pack_s8)(const struct aki__pack *a, size_t begin, size_t end, float *scratch);
    void (*squares)(const struct aki__squares *a, size_t begin, size_t end, float *columns);   /* columns: [k], added to */
    /* scratch: [hidden] doubles; with an activation also as many floats */
    void (*pool)(const struct aki__pooling *a, size_t begin, size_t end, double *scratch);
    /* scores: [end - begin] cosines of rows and query ([dim], of length 1); 0 for a row of zeros, NaN for one that is not finite.
     * scratch: [dim] floats */
    void (*search)(const struct aki__stored *a, const float *query, float *scores, size_t begin, size_t end, float *scratch);
    /* out: [end - begin, dim] rows in f32, of length 1 */
    void (*unpack)(const struct aki__stored *a, float *out, size_t begin, size_t end);
    /* best[i] = scores[i] and at[i] = row where that is greater. [columns] each */
    void (*keep_best)(const float *scores, size_t columns, int32_t row, float *best, int32_t *at);
};

/* The best set for this processor, or the one that the environment variable AKIEMBED_ISA names (for tests). Selected at the
 * first call, then always the same. Thread-safe. */
const struct aki__kernels *aki__kernels(void);
/* UNAVAILABLE: AKIEMBED_ISA names a set that this build or processor lacks; the message lists those there are. To be called
 * before other work. */
aki_status aki__kernels_ready(aki_error *err);
/* UNAVAILABLE: the set in use has no bf16 products; the message tells what it is. */
aki_status aki__kernels_bf16(aki_error *err);
/* A set by name; NULL: this build or this processor lacks it. */
const struct aki__kernels *aki__kernels_named(const char *isa);

size_t aki__attention_work_size(const struct aki__attention *a);        /* floats */
size_t aki__attention_scratch_size(const struct aki__attention *a);     /* floats, for each thread */
size_t aki__attention_prepare_count(const struct aki__attention *a);    /* units of attention_prepare */
size_t aki__attention_task_count(const struct aki__attention *a);       /* units of attention_run */

/* Largest rotation block for k columns: the greatest power of two that divides k, at most 128. */
size_t aki__rotation_block(size_t k);

/* The columns of a block, chosen so that butterflies combine whole vectors. Weights, activations and folders of quantised
 * weights must use the same. block = cross * near. The rotation is the product of the butterflies (x[i], x[i+d]) -> (x[i] +
 * x[i+d], x[i] - x[i+d]), for each i with i / d even, at the distances
 *     d = n / cross, 2 n / cross, 4 n / cross … n / 2    and    d = 1, 2, 4 … near / 2,
 * and of 1 / sqrt(block). cross is as large as whole groups of 16 columns allow, near is the rest (at most 16). If 16 does not
 * divide n, near is the whole block. */
static inline void aki__rotation_shape(size_t n, size_t block, size_t *cross, size_t *near)
{
    *cross = 1;
    while (*cross < block && (n & (32 * *cross - 1)) == 0)      /* 32 * cross divides n */
        *cross *= 2;
    *near = block / *cross;
}

#endif
