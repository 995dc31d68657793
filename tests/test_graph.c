/* Tests of the graph's vocabulary: small networks out of all blocks in any order, at random, in every dialect, against a slow and obvious evaluator
 * in double precision. With AKIEMBED_ISA set (graph.cmake) in one instruction set after the other. */
#include "golden.h"

#include "arch/arch.h"
#include "kernel/kernel.h"
#include "graph/cpu.h"
#include "graph/portable.h"
#include "ort/runtime.h"
#include "ort/session.h"

#define FOLDER AKI_BINARY_DIR "/graph-tensors"

enum { HEAD = 16, WORDS = 50, MOST_TOKENS = 40, TYPES = 3, MOST_TEXTS = 4, MOST_BLOCKS = 64, BUCKETS = 8, REACH = 20 };
static const int widths[] = { 32, 48, 96 };

/* ---------------------------------------------------------------- random values --------------------------------- */

static uint64_t state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545F4914F6CDD1Dull;
}

static int below(int n) { return (int)((next() >> 33) % (uint64_t)n); }
static bool chance(int percent) { return below(100) < percent; }

static float normal(void)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += (double)(next() >> 40) / (double)(1 << 24) - 0.5;
    return (float)(sum * 1.4142135623730951);
}

/* ---------------------------------------------------------------- tensors --------------------------------------- */

static struct { struct aki__written list[256]; char names[256][48]; size_t count; } written;

/* An output and an input of some linears that are far larger than the others. */
static float outlier(const char *name, size_t row, size_t column)
{
    if (strncmp(name, "large.", 6) == 0)
        return row == 7 || column == 5 ? 25 : 0.3f;
    return strcmp(name, "fused.32.48.weight") == 0 && row == 40 ? 20 : 1;
}

/* NAME[rows, columns] (columns 0: a vector) of middle + normal * deviation, in one dtype after the other. */
static float *put(const char *name, int rows, int columns, float middle, float deviation)
{
    static const enum aki__dtype dtypes[] = { AKI_F32, AKI_BF16, AKI_F16 };
    const size_t i = written.count++, n = (size_t)rows * (columns ? (size_t)columns : 1);
    const enum aki__dtype dtype = dtypes[i % 3];
    float *x = malloc(n * sizeof *x);
    uint16_t *halves = malloc(n * sizeof *halves);

    snprintf(written.names[i], sizeof written.names[i], "%s", name);
    for (size_t k = 0; k < n; k++) {
        uint32_t bits;
        x[k] = middle + deviation * normal();
        x[k] *= columns ? outlier(name, k / (size_t)columns, k % (size_t)columns) : 1;
        memcpy(&bits, x + k, sizeof bits);
        halves[k] = dtype == AKI_BF16 ? (uint16_t)(bits >> 16) : aki__f32_to_f16(x[k]);
    }
    written.list[i] = (struct aki__written){ .name = written.names[i], .suffix = "", .dtype = dtype, .rank = columns ? 2 : 1, .shape = { rows, columns },
                                             .data = dtype == AKI_F32 ? (void *)x : halves, .size = n * aki__dtype_size(dtype) };
    free(dtype == AKI_F32 ? (void *)halves : x);
    return dtype == AKI_F32 ? x : NULL;
}

static void put_linear(const char *name, int rows, int columns)
{
    char full[64];

    snprintf(full, sizeof full, "%s.weight", name);
    put(full, rows, columns, 0, 1.0f / sqrtf((float)columns));
    snprintf(full, sizeof full, "%s.bias", name);
    put(full, rows, 0, 0, 0.3f);
}

/* Every tensor that a network here may ask for, in a file. */
static int write_tensors(void **unused)
{
    char name[48];
    aki_error e = { 0 };
    (void)unused;

    state = 88172645463325252ull;
    for (int i = 0; i < 3; i++) {
        const int w = widths[i];
        snprintf(name, sizeof name, "words.%d.weight", w);
        put(name, WORDS, w, 0, 1);
        snprintf(name, sizeof name, "positions.%d.weight", w);
        put(name, MOST_TOKENS, w, 0, 0.5f);
        snprintf(name, sizeof name, "types.%d.weight", w);
        put(name, TYPES, w, 0, 0.5f);
        snprintf(name, sizeof name, "norm.%d.weight", w);
        put(name, w, 0, 1, 0.3f);
        snprintf(name, sizeof name, "norm.%d.bias", w);
        put(name, w, 0, 0, 0.3f);
        snprintf(name, sizeof name, "buckets.%d.weight", w / HEAD);
        put(name, BUCKETS, w / HEAD, 0, 1);
        for (int k = 0; k < 3; k++) {
            snprintf(name, sizeof name, "linear.%d.%d", w, widths[k]);
            put_linear(name, w, widths[k]);
            snprintf(name, sizeof name, "large.%d.%d", w, widths[k]);
            put_linear(name, w, widths[k]);
            snprintf(name, sizeof name, "fused.%d.%d", w, widths[k]);
            put_linear(name, 3 * w, widths[k]);
        }
    }
    put("head.q", HEAD, 0, 1, 0.3f);
    put("head.k", HEAD, 0, 1, 0.3f);
    assert_int_equal(aki__make_folder(FOLDER, &e), AKI_OK);
    assert_int_equal(aki__safetensors_write(FOLDER "/model.safetensors", written.list, written.count, "{\"format\":\"pt\"}", &e), AKI_OK);
    for (size_t i = 0; i < written.count; i++)
        free((void *)(uintptr_t)written.list[i].data);
    return 0;
}

/* ---------------------------------------------------------------- the evaluator --------------------------------- */

/* A network, what goes in, and what each block gives. */
struct net {
    struct aki__model model;
    struct aki__graph g;
    aki_error err;
    int      texts, starts[MOST_TEXTS + 1];
    int32_t  ids[MOST_TEXTS * MOST_TOKENS], positions[MOST_TEXTS * MOST_TOKENS], types[MOST_TEXTS * MOST_TOKENS];
    int32_t  rows[MOST_TEXTS * MOST_TOKENS], query_starts[MOST_TEXTS + 1], weight_from[MOST_TEXTS];    /* what the pooling reads */
    bool     typed;
    int      window, bias_heads, bias_reach;        /* the kinds that its attentions choose from: a device's inputs are few */
    double   theta;
    double  *value[MOST_BLOCKS];
};

static double element(const struct aki__tensor *t, size_t at)
{
    float x;

    aki__tensor_read(&x, t, at, 1);
    return x;
}

static int rows_in(const struct net *n, const struct aki__block *b)
{
    return b->rows == AKI_ROWS_TOKENS ? n->starts[n->texts] : b->rows == AKI_ROWS_READ ? n->query_starts[n->texts] : n->texts;
}

static double activated(enum aki__activation act, double x)
{
    switch (act) {
    case AKI_ACT_GELU:       return 0.5 * x * (1 + erf(x / sqrt(2)));
    case AKI_ACT_GELU_TANH:  return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case AKI_ACT_RELU:       return x > 0 ? x : 0;
    case AKI_ACT_SILU:       return x / (1 + exp(-x));
    case AKI_ACT_TANH:       return tanh(x);
    case AKI_ACT_LOG1P_RELU: return log(1 + (x > 0 ? x : 0));
    default:                 return x;
    }
}

static void eval_norm(const struct aki__block *b, const double *x, double *y)
{
    const int n = (int)b->columns;
    double mean = 0, variance = 0;

    for (int i = 0; i < n && !b->norm.rms; i++)
        mean += x[i] / n;
    for (int i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean) / n;
    for (int i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(variance + b->norm.eps) * (element(b->weight, (size_t)i) + (double)b->norm.shift) + (b->bias ? element(b->bias, (size_t)i) : 0);
}

static void eval_linear(const struct net *n, const struct aki__block *b, const double *x, double *y)
{
    const int64_t k = n->g.blocks[b->in[0]].columns;

    for (int64_t j = 0; j < b->columns; j++) {
        y[j] = b->bias ? element(b->bias, (size_t)(b->first + j)) : 0;
        for (int64_t i = 0; i < k; i++)
            y[j] += x[i] * element(b->weight, (size_t)((b->first + j) * k + i));
    }
}

/* A head of q or k at its position. */
static void eval_head(const struct aki__g_attention *a, const double *from, const struct aki__tensor *gamma, int position, double *to)
{
    const int n = a->head_dim;
    double square = 0, x[256];

    for (int i = 0; i < n; i++)
        square += from[i] * from[i] / n;
    for (int i = 0; i < n; i++)
        x[i] = gamma ? from[i] / sqrt(square + a->norm_eps) * (element(gamma, (size_t)i) + (double)a->norm_shift) : from[i];
    for (int i = 0; i < n / 2; i++) {
        double frequency = a->frequencies ? a->frequencies[i] : a->rope_theta != 0 ? pow(a->rope_theta, -2.0 * i / n) : 0;
        double c = cos(position * frequency), s = sin(position * frequency);
        to[i] = x[i] * c - x[i + n / 2] * s;
        to[i + n / 2] = x[i + n / 2] * c + x[i] * s;
    }
}

/* As the paper's program has it: the powers' slopes, and between them those of twice as many heads. */
static double alibi_slope(int head, int heads)
{
    if ((heads & (heads - 1)) == 0)
        return pow(2, -8.0 / heads * (head + 1));
    int least = 1;
    while (least * 2 < heads)
        least *= 2;
    return head < least ? alibi_slope(head, least) : alibi_slope(2 * (head - least), 2 * least);
}

/* relative: key - query. As T5's _relative_position_bucket. */
static double eval_bias(const struct aki__g_attention *a, int head, int relative)
{
    int bucket = 0, distance = abs(relative);

    if (a->bias.reach == 0)
        return 0;
    if (!a->bias.buckets)
        return -alibi_slope(head, a->heads) * distance;
    if (relative > 0)
        bucket = BUCKETS / 2;
    if (distance < BUCKETS / 4) {
        bucket += distance;
    } else {
        int far = BUCKETS / 4 + (int)(log(distance / (BUCKETS / 4.0)) / log(a->bias.reach / (BUCKETS / 4.0)) * (BUCKETS / 4));
        bucket += far < BUCKETS / 2 ? far : BUCKETS / 2 - 1;
    }
    return element(a->bias.buckets, (size_t)(bucket * a->heads + head));
}

/* One head of one query: text, token in it. */
static void eval_query(const struct net *n, const struct aki__block *b, const double *query, int text, int token, int head, double *out)
{
    const struct aki__g_attention *a = &b->attention;
    const int start = n->starts[text], tokens = n->starts[text + 1] - start, d = a->head_dim, kv = head / (a->heads / a->kv_heads);
    const double *k = n->value[b->in[1]] + (size_t)start * (size_t)(a->kv_heads * d), *v = n->value[b->in[2]] + (size_t)start * (size_t)(a->kv_heads * d);
    const double scale = a->scale != 0 ? a->scale : 1 / sqrt(d);
    double q[256], key[256], weights[MOST_TOKENS], most = -INFINITY, sum = 0;

    eval_head(a, query + head * d, a->q_norm, token, q);
    for (int j = 0; j < tokens; j++) {
        bool seen = a->causal ? j <= token && (!a->window || token - j < a->window) : !a->window || abs(token - j) < a->window;
        eval_head(a, k + (j * a->kv_heads + kv) * d, a->k_norm, j, key);
        weights[j] = eval_bias(a, head, j - token);
        for (int i = 0; i < d; i++)
            weights[j] += q[i] * key[i] * scale;
        weights[j] = seen ? weights[j] : -INFINITY;
        most = fmax(most, weights[j]);
    }
    for (int j = 0; j < tokens; j++)
        sum += weights[j] = exp(weights[j] - most);
    for (int i = 0; i < d; i++)
        for (int j = 0; j < tokens; j++)
            out[head * d + i] += weights[j] / sum * v[(j * a->kv_heads + kv) * d + i];
}

static void eval_attention(const struct net *n, const struct aki__block *b, double *y)
{
    const bool read = b->rows == AKI_ROWS_READ;

    for (int text = 0; text < n->texts; text++)
        for (int r = read ? n->query_starts[text] : n->starts[text]; r < (read ? n->query_starts[text + 1] : n->starts[text + 1]); r++)
            for (int h = 0; h < b->attention.heads; h++)
                eval_query(n, b, n->value[b->in[0]] + r * b->columns, text, (read ? n->rows[r] : r) - n->starts[text], h, y + r * b->columns);
}

static void eval_pool(const struct net *n, const struct aki__block *b, const double *x, double *y)
{
    const int32_t pooling = n->model.pooling;

    for (int text = 0; text < n->texts; text++)
        for (int64_t i = 0; i < b->columns; i++) {
            double sum = 0, most = -INFINITY, weights = 0;
            int first = n->query_starts[text], count = n->query_starts[text + 1] - first;
            for (int r = first; r < first + count; r++) {
                double v = activated(b->act, x[r * b->columns + i]), w = pooling == AKI_POOLING_WEIGHTEDMEAN ? r - first + 1 : 1;
                sum += w * v;
                weights += w;
                most = fmax(most, v);
            }
            y[text * b->columns + i] = pooling == AKI_POOLING_MAX ? most : pooling == AKI_POOLING_MEAN_SQRT_LEN ? sum / sqrt(count) : sum / weights;
        }
}

static void eval_embed(const struct net *n, const struct aki__block *b, double *y)
{
    const struct aki__g_embed *e = &b->embed;

    for (int t = 0; t < n->starts[n->texts]; t++)
        for (int64_t i = 0; i < b->columns; i++)
            y[t * b->columns + i] = element(e->words, (size_t)(n->ids[t] * b->columns + i)) * (e->scale != 0 ? e->scale : 1) +
                                    (e->positions ? element(e->positions, (size_t)(n->positions[t] * b->columns + i)) : 0) +
                                    (e->types ? element(e->types, (size_t)((n->typed ? n->types[t] : 0) * b->columns + i)) : 0);
}

/* What the last block gives. */
static void evaluate(struct net *n)
{
    const size_t at = n->g.count - 1;
    const struct aki__block *b = &n->g.blocks[at];
    const int rows = rows_in(n, b);
    const int64_t c = b->columns;
    const double *x = b->in_count ? n->value[b->in[0]] : NULL, *x2 = b->in_count > 1 ? n->value[b->in[1]] : NULL;
    double *y = n->value[at] = calloc((size_t)rows * (size_t)c, sizeof *y);

    for (int r = 0; r < rows; r++)
        switch (b->op) {
        case AKI_G_NORM:   eval_norm(b, x + r * c, y + r * c); break;
        case AKI_G_LINEAR: eval_linear(n, b, x + r * n->g.blocks[b->in[0]].columns, y + r * c); break;
        case AKI_G_ROWS:   memcpy(y + r * c, x + n->rows[r] * c, (size_t)c * sizeof *y); break;
        case AKI_G_ADD:
        case AKI_G_ACT:
        case AKI_G_GATE:
            for (int64_t i = r * c; i < (r + 1) * c; i++)
                y[i] = b->op == AKI_G_ADD ? x[i] + x2[i] : activated(b->act, x[i]) * (b->op == AKI_G_GATE ? x2[i] : 1);
            break;
        default: break;
        }
    if (b->op == AKI_G_EMBED)
        eval_embed(n, b, y);
    if (b->op == AKI_G_ATTENTION)
        eval_attention(n, b, y);
    if (b->op == AKI_G_POOL)
        eval_pool(n, b, x, y);
}

/* ---------------------------------------------------------------- random networks ------------------------------- */

static const enum aki__activation acts[] = { AKI_ACT_GELU, AKI_ACT_GELU_TANH, AKI_ACT_RELU, AKI_ACT_SILU, AKI_ACT_TANH, AKI_ACT_LOG1P_RELU };

static const struct aki__block *at(const struct net *n, aki__blk x) { return &n->g.blocks[x]; }

/* A block of these columns (0: any) and rows, mostly a late one; -1: there is none. */
static aki__blk some_block(const struct net *n, int64_t columns, enum aki__g_rows rows)
{
    aki__blk found = -1;

    for (aki__blk i = 0; i < (aki__blk)n->g.count; i++)
        if ((!columns || at(n, i)->columns == columns) && at(n, i)->rows == rows && (found < 0 || chance(60)))
            found = i;
    return found;
}

static aki__blk some_attention(struct net *n, aki__blk x)
{
    static const float frequencies[HEAD / 2] = { 1, 0.5f, 0.3f, 0.1f, 0.03f, 0, 0, 0 };
    struct aki__g_attention a = { .heads = (int)at(n, x)->columns / HEAD, .head_dim = HEAD, .causal = chance(20) ? !n->model.causal : n->model.causal };
    aki__blk k = -1, v;

    for (int i = 0; i < 8 && k < 0; i++) {
        int width = widths[below(3)];
        if (a.heads % (width / HEAD) == 0)
            k = some_block(n, width, AKI_ROWS_TOKENS);
    }
    if (k < 0)
        return -1;
    a.kv_heads = (int)at(n, k)->columns / HEAD;
    v = some_block(n, at(n, k)->columns, AKI_ROWS_TOKENS);
    a.window = chance(50) ? n->window : 0;
    a.scale = chance(30) ? 0.1 + 0.4 * below(3) : 0;
    if (chance(60))
        a.rope_theta = n->theta;
    if (chance(20))
        a.frequencies = frequencies;
    if (a.heads == n->bias_heads && chance(70))
        a.bias.reach = n->bias_reach;
    if (a.bias.reach == REACH)
        a.bias.buckets = aki__g_tensor(&n->g, BUCKETS, a.heads, "buckets.%d.weight", a.heads);
    if (chance(40)) {
        a.q_norm = aki__g_tensor(&n->g, HEAD, 0, "head.q");
        a.k_norm = aki__g_tensor(&n->g, HEAD, 0, "head.k");
        a.norm_shift = chance(50) ? 1 : 0;
        a.norm_eps = chance(50) ? 0.01 : 0;
    }
    return aki__g_attention(&n->g, x, k, v, &a);
}

static aki__blk some_linear(struct net *n, aki__blk x)
{
    const int out = widths[below(3)], in = (int)at(n, x)->columns;

    if (chance(40))
        return aki__g_linear_part(&n->g, x, chance(50) ? out : below(2 * out), out, 3 * out, chance(50), "fused.%d.%d", out, in);
    return aki__g_linear(&n->g, x, out, chance(50), "%s.%d.%d", chance(20) ? "large" : "linear", out, in);
}

static aki__blk some_norm(struct net *n, aki__blk x)
{
    const struct aki__g_norm spec = { .rms = chance(50), .bias = chance(50), .eps = chance(30) ? 0.01 : 0, .shift = chance(30) ? 1 : 0 };

    return aki__g_norm(&n->g, x, &spec, "norm.%d", (int)at(n, x)->columns);
}

static aki__blk evaluated(struct net *n, aki__blk x)
{
    evaluate(n);
    return x;
}

/* Linears of one input that are read together: those that a dialect makes one product of. */
static aki__blk some_together(struct net *n, aki__blk x, enum aki__activation act)
{
    const int in = (int)at(n, x)->columns, heads = widths[below(3)] / HEAD;
    const struct aki__g_attention a = { .heads = heads, .kv_heads = heads, .head_dim = HEAD, .rope_theta = chance(50) ? n->theta : 0, .window = chance(50) ? n->window : 0 };
    aki__blk y[3];

    for (int i = 0; i < 3; i++)
        y[i] = evaluated(n, aki__g_linear_part(&n->g, x, i * heads * HEAD, heads * HEAD, 3 * heads * HEAD, chance(50), "fused.%d.%d", heads * HEAD, in));
    if (chance(20) || at(n, x)->rows != AKI_ROWS_TOKENS)
        return aki__g_gate(&n->g, y[below(3)], y[below(3)], act);
    x = aki__g_attention(&n->g, y[0], y[1], y[2], &a);
    if (chance(40))
        return x;
    /* Some are read once more: where they lie now is in a wider product. */
    evaluate(n);
    return some_norm(n, chance(50) ? evaluated(n, aki__g_add(&n->g, x, y[below(3)])) : y[below(3)]);
}

/* One block more, of any kind that fits there; false: none did. */
static bool add_some(struct net *n, bool pooled)
{
    const size_t before = n->g.count;
    aki__blk x = some_block(n, 0, pooled ? AKI_ROWS_VECTORS : chance(25) ? AKI_ROWS_READ : AKI_ROWS_TOKENS), y = -1;

    if (x < 0)
        return false;
    const enum aki__activation act = acts[below(6)];
    const int kind = below(pooled ? 5 : 9);
    const aki__blk other = some_block(n, at(n, x)->columns, at(n, x)->rows);
    switch (kind) {
    case 0: y = some_norm(n, x); break;
    case 1: y = aki__g_add(&n->g, x, other); break;
    case 2: y = some_linear(n, x); break;
    case 3: y = aki__g_act(&n->g, x, act); break;
    case 4: y = aki__g_gate(&n->g, x, other, act); break;
    case 5: y = some_attention(n, x); break;
    case 6: y = aki__g_rows(&n->g, x); break;
    default:
        if (n->g.count + 8 < MOST_BLOCKS)
            y = some_together(n, x, act);
        break;
    }
    assert_int_equal(n->g.rc, AKI_OK);
    if (y < 0 || n->g.count == before)
        return false;
    assert_int_equal(y, n->g.count - 1);
    evaluate(n);
    /* What is too large, or nearly nothing, makes errors of rounding into large ones: not here. */
    double most = 0, square = 0;
    const int64_t count = rows_in(n, at(n, y)) * at(n, y)->columns;
    for (int64_t i = 0; i < count; i++) {
        most = fmax(most, fabs(n->value[y][i]));
        square += n->value[y][i] * n->value[y][i] / (double)count;
    }
    if (most < 25 && square > 0.01)
        return true;
    free(n->value[y]);
    n->value[y] = NULL;
    n->g.count--;
    return false;
}

static void some_texts(struct net *n)
{
    const bool one = n->model.pooling == AKI_POOLING_CLS || n->model.pooling == AKI_POOLING_LAST;

    n->texts = 1 + below(MOST_TEXTS);
    for (int text = 0; text < n->texts; text++) {
        int start = n->starts[text], tokens = 1 + below(chance(30) ? MOST_TOKENS : 10);
        n->starts[text + 1] = start + tokens;
        n->query_starts[text + 1] = n->query_starts[text] + (one ? 1 : tokens);
        for (int t = 0; t < tokens; t++) {
            n->ids[start + t] = below(WORDS);
            n->positions[start + t] = t;
            n->types[start + t] = below(TYPES);
        }
        for (int r = n->query_starts[text]; r < n->query_starts[text + 1]; r++)
            n->rows[r] = one ? (n->model.pooling == AKI_POOLING_CLS ? start : start + tokens - 1) : start + r - n->query_starts[text];
    }
}

static void start_net(struct net *n, struct aki__weights *weights)
{
    static const int32_t poolings[] = { AKI_POOLING_MEAN, AKI_POOLING_CLS, AKI_POOLING_LAST, AKI_POOLING_MAX, AKI_POOLING_MEAN_SQRT_LEN, AKI_POOLING_WEIGHTEDMEAN };
    static char path[] = FOLDER;

    memset(n, 0, sizeof *n);
    n->model = (struct aki__model){ .path = path, .prefix = "", .weights = weights, .architecture = "test", .hidden = widths[below(3)], .positions = MOST_TOKENS, .norm_eps = 1e-5,
                                    .causal = chance(50), .pooling = poolings[below(6)] };
    aki__graph_init(&n->g, &n->model, &n->err);
    n->window = 1 + below(8);
    n->bias_heads = widths[below(3)] / HEAD;
    n->bias_reach = chance(60) ? REACH : MOST_TOKENS - 1;
    n->theta = chance(50) ? 10000 : 160;
    some_texts(n);
}

static void some_embed(struct net *n)
{
    const int w = widths[below(3)];
    struct aki__g_embed e = { .columns = chance(50) ? w : 0 };
    const int columns = e.columns ? w : n->model.hidden;

    e.words = aki__g_tensor(&n->g, WORDS, columns, "words.%d.weight", columns);
    if (chance(50))
        e.positions = aki__g_tensor(&n->g, MOST_TOKENS, columns, "positions.%d.weight", columns);
    if (chance(60))
        e.types = aki__g_tensor(&n->g, TYPES, columns, "types.%d.weight", columns);
    n->typed = e.types && chance(50);
    e.scale = chance(30) ? 1.7 : 0;
    aki__g_embed(&n->g, &e);
    evaluate(n);
}

static void finish_net(struct net *n, int heads)
{
    aki__blk pooled = aki__g_pool(&n->g, some_block(n, 0, chance(50) && some_block(n, 0, AKI_ROWS_READ) >= 0 ? AKI_ROWS_READ : AKI_ROWS_TOKENS), chance(30) ? acts[below(6)] : AKI_ACT_NONE);

    if (pooled > 0 && !n->value[pooled - 1]) {      /* rows that the pooling asked for itself */
        n->g.count--;
        evaluate(n);
        n->g.count++;
    }
    evaluate(n);
    for (int i = 0; i < heads; i++)
        add_some(n, true);
    aki__g_result(&n->g, AKI_RESULT_HIDDEN, pooled);
    if (n->g.count - 1 > (size_t)pooled)
        aki__g_result(&n->g, AKI_RESULT_VECTORS, (aki__blk)n->g.count - 1);
    assert_int_equal(n->g.rc, AKI_OK);
}

static void free_net(struct net *n)
{
    for (int i = 0; i < MOST_BLOCKS; i++)
        free(n->value[i]);
    aki__graph_free(&n->g);
}

/* ---------------------------------------------------------------- the dialects ---------------------------------- */

static const char *op_name(enum aki__block_op op)
{
    static const char *const names[] = { "embed", "norm", "add", "linear", "act", "gate", "attention", "rows", "pool" };

    return names[op];
}

static void describe(const struct net *n)
{
    for (size_t i = 0; i < n->g.count; i++) {
        const struct aki__block *b = &n->g.blocks[i];
        print_message("%3zu %-9s %3d columns, rows %d:", i, op_name(b->op), (int)b->columns, (int)b->rows);
        for (int k = 0; k < b->in_count; k++)
            print_message(" %d", b->in[k]);
        print_message(" act %d %s", (int)b->act, b->name);
        if (b->op == AKI_G_NORM)
            print_message(" rms %d, bias %d, eps %g, shift %g", b->norm.rms, b->norm.bias, b->norm.eps, (double)b->norm.shift);
        if (b->op == AKI_G_ATTENTION)
            print_message(" causal %d, window %d, scale %g, theta %g, frequencies %d, bias %d %d, norms %d, shift %g", b->attention.causal, b->attention.window, b->attention.scale,
                          b->attention.rope_theta, b->attention.frequencies != NULL, b->attention.bias.reach, b->attention.bias.buckets != NULL, b->attention.q_norm != NULL,
                          (double)b->attention.norm_shift);
        print_message("\n");
    }
    print_message("pooling %d, types %d, causal %d, texts", (int)n->model.pooling, n->typed, n->model.causal);
    for (int i = 0; i < n->texts; i++)
        print_message(" %d", n->starts[i + 1] - n->starts[i]);
    print_message("\n");
}

/* Largest error, and 1 - cosine, of all vectors together. */
static void compare(const struct net *n, aki__blk result, const float *got, double bound, double least_cosine, const char *what, int round)
{
    const double *want = n->value[result];
    const int64_t count = n->texts * at(n, result)->columns;
    double most = 0, ww = 1e-30, gg = 1e-30, wg = 0;

    for (int64_t i = 0; i < count; i++) {
        double error = fabs(got[i] - want[i]);
        most = error <= most ? most : error;        /* NaN is more */
        ww += want[i] * want[i];
        gg += (double)got[i] * got[i];
        wg += want[i] * got[i];
    }
    if (most <= bound * (1 + sqrt(ww / (double)count)) && wg / sqrt(ww * gg) >= least_cosine)
        return;
    describe(n);
    fail_msg("%s, round %d: error %g, cosine %.8f", what, round, most, wg / sqrt(ww * gg));
}

static enum aki__pool_mode mode_of(int32_t pooling)
{
    return pooling == AKI_POOLING_MAX ? AKI_POOL_MAX : pooling == AKI_POOLING_MEAN_SQRT_LEN ? AKI_POOL_MEAN_SQRT_LEN :
           pooling == AKI_POOLING_WEIGHTEDMEAN ? AKI_POOL_WEIGHTEDMEAN : AKI_POOL_MEAN;
}

static void run(const struct net *n, const struct aki__session_options *options, bool dense, float *out, size_t columns)
{
    struct aki__session *s;
    struct aki__prefix_use uses[MOST_TEXTS] = { { 0 } };
    aki_error e = { 0 };
    const struct aki__batch b = { .ids = n->ids, .positions = n->positions, .types = n->typed ? n->types : NULL, .starts = n->starts, .query_starts = n->query_starts,
        .key_starts = n->starts, .prefixes = uses, .rows = n->rows, .pool_starts = n->query_starts, .weight_from = n->weight_from, .mode = (int32_t)mode_of(n->model.pooling),
        .tokens = (size_t)n->starts[n->texts], .texts = (size_t)n->texts, .row_count = (size_t)n->query_starts[n->texts], .vectors = (size_t)n->texts, .dense = dense };

    aki_status rc = aki__session_open(&s, &n->g, options, &e);
    if (!rc) rc = aki__session_run(s, &b, out, columns, &e);
    if (rc) {
        describe(n);
        fail_msg("%s", e.message);
    }
    aki__session_close(s);
}

/* The client form, pooled, in one padded run. */
static void run_client(const struct net *n, bool f16, float *out, size_t columns)
{
    static const char *const names[] = { "input_ids", "attention_mask" }, *const output = "sentence_embedding";
    static int64_t ids[MOST_TEXTS * MOST_TOKENS], mask[MOST_TEXTS * MOST_TOKENS];
    int64_t shape[2] = { n->texts, 0 };
    const struct aki__runtime *rt;
    struct aki__onnx o = { 0 };
    struct aki__buf bytes = { 0 };
    OrtSessionOptions *options = NULL;
    OrtSession *session = NULL;
    OrtValue *inputs[2] = { 0 }, *result = NULL;
    const float *data;
    aki_error e = { 0 };

    for (int i = 0; i < n->texts; i++)
        shape[1] = n->starts[i + 1] - n->starts[i] > shape[1] ? n->starts[i + 1] - n->starts[i] : shape[1];
    memset(ids, 0, sizeof ids);
    memset(mask, 0, sizeof mask);
    for (int i = 0; i < n->texts; i++)
        for (int t = n->starts[i]; t < n->starts[i + 1]; t++) {
            ids[i * shape[1] + t - n->starts[i]] = n->ids[t];
            mask[i * shape[1] + t - n->starts[i]] = 1;
        }
    assert_int_equal(aki__runtime_get(&rt, 0, &e), AKI_OK);
    aki_status rc = aki__portable_build(&o, &n->g, &(struct aki__portable_options){ .client = true, .pooled = true, .f16 = f16 }, &e);
    if (!rc) rc = aki__onnx_to_memory(&o, &bytes, &e);
    if (rc)
        fail_msg("%s", e.message);
    assert_null(rt->api->CreateSessionOptions(&options));
    OrtStatus *st = rt->api->CreateSessionFromArray(rt->env, bytes.data, bytes.size, options, &session);
    if (!st) st = rt->api->CreateTensorWithDataAsOrtValue(rt->cpu, ids, (size_t)(shape[0] * shape[1]) * 8, shape, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &inputs[0]);
    if (!st) st = rt->api->CreateTensorWithDataAsOrtValue(rt->cpu, mask, (size_t)(shape[0] * shape[1]) * 8, shape, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &inputs[1]);
    if (!st) st = rt->api->Run(session, NULL, names, (const OrtValue *const *)inputs, 2, &output, 1, &result);
    if (st) {
        describe(n);
        fail_msg("%s", rt->api->GetErrorMessage(st));
    }
    assert_null(rt->api->GetTensorMutableData(result, (void **)(uintptr_t)&data));
    memcpy(out, data, (size_t)n->texts * columns * sizeof *out);
    rt->api->ReleaseValue(result);
    rt->api->ReleaseValue(inputs[0]);
    rt->api->ReleaseValue(inputs[1]);
    rt->api->ReleaseSession(session);
    rt->api->ReleaseSessionOptions(options);
    aki__buf_free(&bytes);
    aki__onnx_free(&o);
}

/* One network in every dialect. */
static void check_net(const struct net *n, int round)
{
    const struct aki__device portable = { .name = "portable" };
    const struct aki__session_options f32 = { .threads = 1 }, int8 = { .threads = 1, .int8 = true };
    const struct aki__session_options padded = { .threads = 1, .device = &portable, .max_buckets = 1, .max_tokens = MOST_TOKENS, .max_batch_tokens = 4 * MOST_TOKENS };
    static float out[MOST_TEXTS * 96];
    const aki__blk hidden = aki__graph_result(&n->g, AKI_RESULT_HIDDEN), vectors = aki__graph_result(&n->g, AKI_RESULT_VECTORS), last = vectors < 0 ? hidden : vectors;
    const size_t columns = (size_t)at(n, last)->columns;

    run(n, &f32, true, out, columns);
    compare(n, last, out, 3e-4, 0.999999, "f32", round);
    run(n, &int8, true, out, columns);
    compare(n, last, out, 1.0, 0.95, "int8", round);
    run(n, &f32, false, out, (size_t)at(n, hidden)->columns);
    compare(n, hidden, out, 3e-4, 0.999999, "f32, hidden", round);
    run(n, &padded, false, out, (size_t)at(n, hidden)->columns);
    compare(n, hidden, out, 3e-4, 0.999999, "padded, hidden", round);
    run(n, &padded, true, out, columns);
    compare(n, last, out, 3e-4, 0.999999, "padded", round);
    if (n->typed)
        return;                         /* the client form has type 0 only */
    run_client(n, false, out, columns);
    compare(n, last, out, 3e-4, 0.999999, "client form", round);
    run_client(n, true, out, columns);
    compare(n, last, out, 0.3, 0.99, "client form in f16", round);
}

/* Which block read which, in all networks. */
static int pairs[AKI_G_POOL + 1][AKI_G_POOL + 1];

static void count_pairs(const struct net *n)
{
    for (size_t i = 0; i < n->g.count; i++)
        for (int k = 0; k < n->g.blocks[i].in_count; k++)
            pairs[n->g.blocks[i].op][at(n, n->g.blocks[i].in[k])->op]++;
}

static void test_random_networks(void **unused)
{
    const char *many = getenv("AKI_GRAPH_ROUNDS");
    const int rounds = many ? atoi(many) : 150;
    static struct net n;
    struct aki__weights *weights;
    aki_error e = { 0 };
    (void)unused;

    assert_int_equal(aki__weights_open(&weights, FOLDER, &e), AKI_OK);
    for (int round = 0; round < rounds; round++) {
        state = 0x9E3779B97F4A7C15ull * (uint64_t)(round + 1);
        start_net(&n, weights);
        some_embed(&n);
        for (int i = 3 + below(22); i > 0 && n.g.count < MOST_BLOCKS - 8; i--)
            add_some(&n, false);
        finish_net(&n, below(5));
        check_net(&n, round);
        count_pairs(&n);
        free_net(&n);
    }
    aki__weights_close(weights);
    for (int op = AKI_G_NORM; op <= AKI_G_POOL; op++)
        for (int in = AKI_G_EMBED; in <= AKI_G_POOL; in++)
            if (!pairs[op][in] && !(op == AKI_G_POOL && in != AKI_G_ROWS) && !(in == AKI_G_ROWS && op == AKI_G_ROWS) && !(in == AKI_G_POOL && op >= AKI_G_ATTENTION))
                fail_msg("no network has %s of %s", op_name((enum aki__block_op)op), op_name((enum aki__block_op)in));
}

/* ---------------------------------------------------------------- one by one ------------------------------------ */

/* Nodes of this operator in the cpu's graph. */
static int nodes(const struct aki__graph *g, const char *op, bool int8)
{
    struct aki__onnx o = { 0 };
    struct aki__keep keep = { 0 };
    aki_error e = { 0 };
    int count = 0;

    assert_int_equal(aki__cpu_build(&o, &keep, g, &(struct aki__cpu_options){ .int8 = int8 }, &e), AKI_OK);
    for (size_t i = 0; i < o.node_count; i++)
        count += !op || strcmp(o.nodes[i].op, op) == 0;
    aki__onnx_free(&o);
    aki__keep_free(&keep);
    return count;
}

/* A network of one linear that many read: its product is computed once; and what nobody reads is not. */
static void test_computed_once(void **unused)
{
    static struct net n;
    struct aki__weights *weights;
    aki_error e = { 0 };
    (void)unused;

    assert_int_equal(aki__weights_open(&weights, FOLDER, &e), AKI_OK);
    state = 1;
    start_net(&n, weights);
    aki__blk x = aki__g_embed(&n.g, &(struct aki__g_embed){ .words = aki__g_tensor(&n.g, WORDS, 48, "words.48.weight"), .columns = 48 });
    aki__blk y = aki__g_linear(&n.g, x, 48, true, "linear.48.48"), unread = aki__g_linear(&n.g, y, 48, true, "large.48.48");
    const struct aki__g_attention a = { .heads = 3, .kv_heads = 3, .head_dim = HEAD };
    aki__g_layer_norm(&n.g, unread, "norm.48");
    aki__blk z = aki__g_attention(&n.g, y, y, y, &a);
    z = aki__g_rms_norm(&n.g, aki__g_add(&n.g, z, y), "norm.48");
    aki__g_finish(&n.g, aki__g_gate(&n.g, z, y, AKI_ACT_SILU));
    assert_int_equal(n.g.rc, AKI_OK);
    for (int int8 = 0; int8 < 2; int8++) {
        assert_int_equal(nodes(&n.g, "Product", int8), 1);
        assert_int_equal(nodes(&n.g, "Norm", int8), 1);
        assert_int_equal(nodes(&n.g, "Add", int8), 0);
    }
    free_net(&n);
    aki__weights_close(weights);
}

/* Outputs of a part of a tensor that are outliers: counted from the part's first, their weights as they are in the file. */
static void test_outliers_of_a_part(void **unused)
{
    static struct net n;
    struct aki__weights *weights;
    struct aki__onnx o = { 0 };
    struct aki__keep keep = { 0 };
    aki_error e = { 0 };
    (void)unused;

    assert_int_equal(aki__weights_open(&weights, FOLDER, &e), AKI_OK);
    state = 1;
    start_net(&n, weights);
    aki__blk x = aki__g_embed(&n.g, &(struct aki__g_embed){ .words = aki__g_tensor(&n.g, WORDS, 48, "words.48.weight"), .columns = 48 });
    aki__g_finish(&n.g, aki__g_linear_part(&n.g, x, 33, 32, 96, true, "fused.32.48"));
    assert_int_equal(aki__cpu_build(&o, &keep, &n.g, &(struct aki__cpu_options){ .int8 = true }, &e), AKI_OK);
    assert_int_equal(keep.product_count, 1);
    assert_string_equal(keep.products[0].name, "fused.32.48:33");
    assert_int_equal(keep.products[0].rows.count, 1);
    assert_int_equal(keep.products[0].rows.columns[0], 7);
    for (size_t i = 0; i < 48; i++)
        assert_float_equal(keep.products[0].exact[i], element(aki__weights_find(weights, "fused.32.48.weight"), 40 * 48 + i), 0);
    aki__onnx_free(&o);
    aki__keep_free(&keep);
    free_net(&n);
    aki__weights_close(weights);
}

/* The fusions that the networks of today rest on: nodes of a network of 3 layers. */
static void test_fusions(void **unused)
{
    static const struct { const char *name; int f32, int8, products; } rows[] = { { "bert", 29, 30, 13 }, { "qwen3", 31, 31, 13 } };
    struct aki__model *m;
    struct aki__graph g;
    aki_error e = { 0 };
    (void)unused;

    for (size_t i = 0; i < 2; i++) {
        char path[300];
        snprintf(path, sizeof path, CHECKPOINTS "%s", rows[i].name);
        assert_int_equal(aki__model_folder_open(&m, path, aki__families, &e), AKI_OK);
        aki__graph_init(&g, m, &e);
        assert_int_equal(aki__arch_build(&g, m), AKI_OK);
        assert_int_equal(nodes(&g, NULL, false), rows[i].f32);
        assert_int_equal(nodes(&g, NULL, true), rows[i].int8);
        assert_int_equal(nodes(&g, "Product", true), rows[i].products);
        aki__graph_free(&g);
        aki__model_folder_close(m);
    }
}

/* Where T5's and MPNet's buckets of 32 begin, up to 128 tokens: as transformers has them. */
static void test_buckets(void **unused)
{
    static const int first[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91 };
    static float weight[32], table[2 * 128 + 1];
    const struct aki__tensor t = { .dtype = AKI_F32, .rank = 2, .shape = { 32, 1 }, .data = weight, .size = sizeof weight };
    const struct aki__g_attention a = { .heads = 1, .bias = { .reach = 128, .buckets = &t } };
    (void)unused;

    for (int i = 0; i < 32; i++)
        weight[i] = (float)i;
    aki__g_bias_table(table, &a, 2);
    for (int d = -128; d <= 128; d++) {
        int bucket = 15;
        while (first[bucket] > abs(d))
            bucket--;
        assert_float_equal(table[d + 128], 2 * (bucket + (d > 0 ? 16 : 0)), 0);
    }
}

/* Embeddings are scaled by what transformers multiplies with: sqrt(768) as a number of the table's dtype. */
static void test_scale_is_rounded(void **unused)
{
    static const struct { enum aki__dtype dtype; double scale; } rows[] = { { AKI_F32, 27.712812423706055 }, { AKI_F16, 27.71875 }, { AKI_BF16, 27.75 } };
    const struct aki__model m = { .hidden = 768 };
    (void)unused;

    for (size_t i = 0; i < 3; i++) {
        const struct aki__tensor t = { .dtype = rows[i].dtype };
        struct aki__graph g;
        aki__graph_init(&g, &m, NULL);
        aki__g_embed(&g, &(struct aki__g_embed){ .words = &t, .scale = sqrt(768) });
        assert_int_equal(g.rc, AKI_OK);
        assert_float_equal(g.blocks[0].embed.scale, rows[i].scale, 1e-12);
        aki__graph_free(&g);
    }
}

/* Networks that cannot be are refused when they are described. */
static void test_impossible(void **unused)
{
    static struct net n;
    struct aki__weights *weights;
    aki_error e = { 0 };
    (void)unused;

    assert_int_equal(aki__weights_open(&weights, FOLDER, &e), AKI_OK);
    state = 1;
    for (int i = 0; i < 10; i++) {
        const struct aki__g_attention two = { .heads = 2, .kv_heads = 2, .head_dim = HEAD }, uneven = { .heads = 3, .kv_heads = 2, .head_dim = HEAD };
        start_net(&n, weights);
        aki__blk x = aki__g_embed(&n.g, &(struct aki__g_embed){ .words = aki__g_tensor(&n.g, WORDS, 48, "words.48.weight"), .columns = 48 });
        aki__blk y = aki__g_linear(&n.g, x, 32, true, "linear.32.48"), read = aki__g_rows(&n.g, x), pooled = aki__g_pool(&n.g, x, AKI_ACT_NONE);
        assert_int_equal(n.g.rc, AKI_OK);
        switch (i) {
        case 0: aki__g_add(&n.g, x, y); break;
        case 1: aki__g_add(&n.g, x, read); break;
        case 2: aki__g_gate(&n.g, x, pooled, AKI_ACT_GELU); break;
        case 3: aki__g_attention(&n.g, x, y, y, &two); break;
        case 4: aki__g_attention(&n.g, x, y, y, &uneven); break;
        case 5: aki__g_attention(&n.g, y, aki__g_rows(&n.g, y), y, &two); break;
        case 6: aki__g_pool(&n.g, pooled, AKI_ACT_NONE); break;
        case 7: aki__g_result(&n.g, AKI_RESULT_HIDDEN, x); break;
        case 8: aki__g_result(&n.g, AKI_RESULT_HIDDEN, pooled); aki__g_result(&n.g, AKI_RESULT_HIDDEN, pooled); break;
        case 9: aki__g_linear_part(&n.g, x, 65, 32, 96, true, "fused.32.48"); break;
        }
        if (n.g.rc != AKI_E_INTERNAL || !strstr(n.err.message, "block "))
            fail_msg("case %d: %d %s", i, (int)n.g.rc, n.err.message);
        free_net(&n);
    }
    aki__weights_close(weights);
}

/* More windows than a device's graph has inputs for: only the cpu computes it. */
static void test_many_kinds(void **unused)
{
    static struct net n;
    struct aki__weights *weights;
    struct aki__portable_needs needs;
    aki_error e = { 0 };
    (void)unused;

    assert_int_equal(aki__weights_open(&weights, FOLDER, &e), AKI_OK);
    state = 1;
    for (int kinds = AKI_PORTABLE_MASKS; kinds <= AKI_PORTABLE_MASKS + 1; kinds++) {
        start_net(&n, weights);
        aki__blk x = aki__g_embed(&n.g, &(struct aki__g_embed){ .words = aki__g_tensor(&n.g, WORDS, 32, "words.32.weight"), .columns = 32 });
        for (int i = 0; i < kinds; i++)
            x = aki__g_attention(&n.g, x, x, x, &(struct aki__g_attention){ .heads = 2, .kv_heads = 2, .head_dim = HEAD, .window = i });
        aki__g_finish(&n.g, x);
        assert_int_equal(aki__portable_needs(&needs, &n.g, &e), kinds > AKI_PORTABLE_MASKS ? AKI_E_UNSUPPORTED : AKI_OK);
        if (kinds == AKI_PORTABLE_MASKS) {
            assert_string_equal(needs.masks[0].name, "mask");
            assert_string_equal(needs.masks[1].name, "window_mask");
            assert_string_equal(needs.masks[3].name, "window_mask3");
        }
        assert_int_equal(nodes(&n.g, "Attention", false), kinds);
        free_net(&n);
    }
    aki__weights_close(weights);
}

/* No types are those that are all 0, bit for bit; others are not. */
static void test_types(void **unused)
{
    static struct net n;
    static float none[MOST_TEXTS * 48], zeros[MOST_TEXTS * 48], some[MOST_TEXTS * 48];
    struct aki__weights *weights;
    aki_error e = { 0 };
    (void)unused;

    assert_int_equal(aki__weights_open(&weights, FOLDER, &e), AKI_OK);
    state = 7;
    start_net(&n, weights);
    const struct aki__g_embed tables = { .words = aki__g_tensor(&n.g, WORDS, 48, "words.48.weight"), .types = aki__g_tensor(&n.g, TYPES, 48, "types.48.weight"), .columns = 48 };
    aki__g_finish(&n.g, aki__g_layer_norm(&n.g, aki__g_embed(&n.g, &tables), "norm.48"));
    for (int device = 0; device < 2; device++) {
        const struct aki__device portable = { .name = "portable" };
        const struct aki__session_options options = { .threads = 1, .device = device ? &portable : NULL, .max_buckets = 1, .max_tokens = MOST_TOKENS, .max_batch_tokens = 160 };
        n.typed = true;
        run(&n, &options, false, some, 48);
        int32_t types[MOST_TEXTS * MOST_TOKENS];
        memcpy(types, n.types, sizeof types);
        memset(n.types, 0, sizeof n.types);
        run(&n, &options, false, zeros, 48);
        memcpy(n.types, types, sizeof types);
        n.typed = false;
        run(&n, &options, false, none, 48);
        assert_memory_equal(none, zeros, sizeof none);
        assert_memory_not_equal(none, some, sizeof none);
    }
    free_net(&n);
    aki__weights_close(weights);
}

/* Vectors that are made of another pooling than that of the hidden rows: a device's network ends at these. */
static void test_two_poolings(void **unused)
{
    static struct net n;
    struct aki__weights *weights;
    struct aki__session *s;
    const struct aki__device portable = { .name = "portable" };
    const struct aki__session_options options = { .threads = 1, .device = &portable, .max_buckets = 1, .max_tokens = MOST_TOKENS, .max_batch_tokens = 160 };
    aki_error e = { 0 };
    (void)unused;

    assert_int_equal(aki__weights_open(&weights, FOLDER, &e), AKI_OK);
    for (int first = 0; first < 2; first++) {
        state = 11;
        start_net(&n, weights);
        aki__blk x = aki__g_embed(&n.g, &(struct aki__g_embed){ .words = aki__g_tensor(&n.g, WORDS, 48, "words.48.weight"), .columns = 48 });
        aki__blk a = aki__g_pool(&n.g, x, AKI_ACT_NONE), b = aki__g_pool(&n.g, aki__g_layer_norm(&n.g, x, "norm.48"), AKI_ACT_NONE);
        aki__g_result(&n.g, AKI_RESULT_HIDDEN, first ? b : a);
        aki__g_result(&n.g, AKI_RESULT_VECTORS, first ? a : aki__g_add(&n.g, a, b));
        assert_int_equal(n.g.rc, AKI_OK);
        assert_int_equal(aki__session_open(&s, &n.g, &options, &e), AKI_E_UNSUPPORTED);
        assert_non_null(strstr(e.message, "more than the pooled hidden rows"));
        assert_null(s);
        free_net(&n);
    }
    aki__weights_close(weights);
}

/* Rows and vectors of other widths than the model's hidden: whoever runs a network says of how many columns they are. */
static void test_columns(void **unused)
{
    static struct net n;
    struct aki__weights *weights;
    struct aki__session_info info;
    struct aki__session *s;
    const struct aki__device portable = { .name = "portable" };
    aki_error e = { 0 };
    (void)unused;

    assert_int_equal(aki__weights_open(&weights, FOLDER, &e), AKI_OK);
    for (int device = 0; device < 2; device++)
        for (int dense = 0; dense < 2; dense++) {
            const struct aki__session_options options = { .threads = 1, .device = device ? &portable : NULL, .max_buckets = 1, .max_tokens = MOST_TOKENS, .max_batch_tokens = 160 };
            start_net(&n, weights);
            n.model.hidden = 32;
            aki__blk x = aki__g_embed(&n.g, &(struct aki__g_embed){ .words = aki__g_tensor(&n.g, WORDS, 48, "words.48.weight"), .columns = 48 });
            x = aki__g_pool(&n.g, aki__g_linear(&n.g, x, 96, true, "linear.96.48"), AKI_ACT_NONE);
            aki__g_result(&n.g, AKI_RESULT_HIDDEN, x);
            if (dense)
                aki__g_result(&n.g, AKI_RESULT_VECTORS, aki__g_linear(&n.g, x, 48, false, "linear.48.96"));
            if (aki__session_open(&s, &n.g, &options, &e))
                fail_msg("%s", e.message);
            aki__session_info(s, &info);
            assert_int_equal(info.hidden, 96);
            assert_int_equal(info.vectors, dense ? 48 : 96);
            aki__session_close(s);
            free_net(&n);
        }
    aki__weights_close(weights);
}

/* ---------------------------------------------------------------- quantised folders ----------------------------- */

#ifdef AKI_WRAPS
/* An architecture out of a BERT checkpoint's tensors, whose linears are parts of some: what a file keeps together and what it does not. */
static aki_status build_parts(struct aki__graph *g, const struct aki__model *m)
{
    const int64_t h = m->hidden, all = m->intermediate;
    const struct aki__g_attention a = { .heads = m->heads, .kv_heads = m->heads, .head_dim = m->head_dim };
    const struct aki__g_embed tables = { .words = aki__g_tensor(g, m->vocabulary, h, "embeddings.word_embeddings.weight") };
    aki__blk x = aki__g_layer_norm(g, aki__g_embed(g, &tables), "embeddings.LayerNorm");

    aki__blk q = aki__g_linear_part(g, x, 0, h, all, true, "encoder.layer.0.intermediate.dense");
    aki__blk k = aki__g_linear_part(g, x, 7, h, all, true, "encoder.layer.0.intermediate.dense");
    aki__blk v = aki__g_linear(g, x, h, true, "encoder.layer.0.attention.self.value");
    x = aki__g_layer_norm(g, aki__g_add(g, x, aki__g_attention(g, q, k, v, &a)), "encoder.layer.0.output.LayerNorm");
    aki__blk read = aki__g_rows(g, x);
    q = aki__g_linear_part(g, read, 0, h, all, true, "encoder.layer.1.intermediate.dense");
    k = aki__g_linear_part(g, x, 1, h, all, false, "encoder.layer.1.intermediate.dense");
    v = aki__g_linear_part(g, x, 2, h, all, true, "encoder.layer.1.intermediate.dense");
    x = aki__g_add(g, read, aki__g_linear(g, aki__g_attention(g, q, k, v, &a), h, true, "encoder.layer.1.attention.output.dense"));
    aki__g_finish(g, aki__g_layer_norm(g, x, "encoder.layer.1.output.LayerNorm"));
    return g->rc;
}

aki_status __real_aki__arch_build(struct aki__graph *g, const struct aki__model *m);
aki_status __wrap_aki__arch_build(struct aki__graph *g, const struct aki__model *m);
static bool parts;              /* build_parts in place of the model's own architecture */

aki_status __wrap_aki__arch_build(struct aki__graph *g, const struct aki__model *m) { return parts ? build_parts(g, m) : __real_aki__arch_build(g, m); }

/* Vectors of a folder, in int8. */
static void int8_vectors(const char *folder, bool stored, float *out, int64_t *parameters)
{
    static struct net n;
    struct aki__model *m;
    aki_error e = { 0 };

    assert_int_equal(aki__model_folder_open(&m, folder, aki__families, &e), AKI_OK);
    state = 5;
    start_net(&n, NULL);
    aki__graph_init(&n.g, m, &e);
    if (__wrap_aki__arch_build(&n.g, m))
        fail_msg("%s", e.message);
    *parameters = aki__graph_parameters(&n.g);
    assert_int_equal(aki__weights_find(m->weights, "encoder.layer.0.intermediate.dense:0.int8") != NULL, stored);
    assert_int_equal(aki__weights_find(m->weights, "encoder.layer.1.intermediate.dense:0.int8") != NULL, stored);
    assert_int_equal(aki__weights_find(m->weights, "encoder.layer.1.intermediate.dense:1.int8") != NULL, stored);
    assert_null(aki__weights_find(m->weights, stored ? "encoder.layer.1.intermediate.dense.weight" : "encoder.layer.1.intermediate.dense:0.int8"));
    run(&n, &(struct aki__session_options){ .threads = 1, .int8 = true }, false, out, (size_t)m->hidden);
    free_net(&n);
    aki__model_folder_close(m);
}

static void test_quantised_parts(void **unused)
{
    static const char *const folders[] = { "bert", "bert-outliers" };
    static float fresh[MOST_TEXTS * 96], stored[MOST_TEXTS * 96];
    (void)unused;

    parts = true;
    for (size_t i = 0; i < 2; i++) {
        char source[300], to[300];
        aki_error e = { 0 };
        int64_t parameters, again;
        snprintf(source, sizeof source, CHECKPOINTS "%s", folders[i]);
        snprintf(to, sizeof to, AKI_BINARY_DIR "/graph-parts-%s-%ld", folders[i], (long)aki__process());
        if (aki_quantize(source, to, &e))
            fail_msg("%s", e.message);
        memset(fresh, 0, sizeof fresh);
        memset(stored, 0, sizeof stored);
        int8_vectors(source, false, fresh, &parameters);
        int8_vectors(to, true, stored, &again);
        assert_memory_equal(fresh, stored, sizeof fresh);
        assert_true(fresh[0] != 0);
        char command[400];
        snprintf(command, sizeof command, "rm -r '%s'", to);
        assert_int_equal(system(command), 0);
    }
    parts = false;
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_networks), cmocka_unit_test(test_computed_once), cmocka_unit_test(test_outliers_of_a_part), cmocka_unit_test(test_fusions), cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_scale_is_rounded), cmocka_unit_test(test_impossible), cmocka_unit_test(test_many_kinds), cmocka_unit_test(test_types), cmocka_unit_test(test_two_poolings), cmocka_unit_test(test_columns),
#ifdef AKI_WRAPS
        cmocka_unit_test(test_quantised_parts),
#endif
    };

    aki_error e;
    if (aki__kernels_ready(&e)) {           /* AKIEMBED_ISA names a set that this processor lacks */
        puts(e.message);
        return 77;
    }
    return cmocka_run_group_tests(tests, write_tensors, NULL);
}
