/* Unit check: the tensors of a folder: those that its network lacks, those that nothing reads, and the numbers in them. See
 * check.h. */
#include "engine/check.h"

#include "arch/arch.h"
#include "graph/cpu.h"
#include "model/parts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK = 1 << 20 };               /* elements between two events of progress */

/* ---------------------------------------------------------------- tensors --------------------------------------- */

static bool use(struct aki__check *c, const struct aki__tensor *t)
{
    if (!t)
        return true;
    if (!aki__grow((void **)&c->used, &c->used_capacity, c->used_count + 1, sizeof *c->used))
        return false;
    c->used[c->used_count++] = t;
    return true;
}

static int compare_pointers(const void *a, const void *b)
{
    const struct aki__tensor *x = *(const struct aki__tensor *const *)a, *y = *(const struct aki__tensor *const *)b;

    return x < y ? -1 : x > y;
}

/* Reports a tensor of the network that is missing or wrong. A wrong one counts as used, so that it is not also reported as left
 * over. */
static void on_tensor_fault(void *user, const char *name, const aki_error *why)
{
    struct aki__check *c = user;
    char full[300];

    aki__check_fault(c, why);
    if (snprintf(full, sizeof full, "%s%s", c->model->prefix, name) < (int)sizeof full &&
        !use(c, aki__weights_find(c->model->weights, full)))
        c->rc = aki__fail(c->err, AKI_E_NOMEM, "the list of tensors");
}

/* Dense modules are left out: their tensors are checked when their configurations are read. */
void aki__check_network(struct aki__check *c, const struct aki__model *m)
{
    struct aki__model encoder = *m;
    struct aki__graph g;
    struct aki__onnx o = { 0 };
    struct aki__keep keep = { 0 };
    aki_error why;
    bool ok = true;

    encoder.dense_count = 0;
    c->model = m;
    aki__graph_init(&g, &encoder, &why);
    g.on_fault = on_tensor_fault;
    g.fault_user = c;
    if (aki__arch_build(&g, &encoder))
        aki__check_fault(c, &why);
    for (size_t i = 0; i < g.count && ok; i++) {
        const struct aki__block *b = &g.blocks[i];
        ok = use(c, b->embed.words) && use(c, b->embed.positions) && use(c, b->embed.types) && use(c, b->weight) && use(c, b->bias) &&
             use(c, b->attention.q_norm) && use(c, b->attention.k_norm) && use(c, b->attention.bias.buckets);
    }
    if (ok && m->labels.head == AKI_HEAD_LOGIT)         /* its row is in a quantised folder, or made of the table's rows */
        ok = use(c, aki__weights_find(m->weights, "logit_score.weight")) && (m->labels.tied || use(c, aki__weights_find(m->weights, "lm_head.weight")));
    if (!ok)
        c->rc = aki__fail(c->err, AKI_E_NOMEM, "the list of tensors");
    /* The dialect assembles the products of a quantised folder, and continues after those that are wrong or missing. */
    if (ok && m->int8_bits && !g.rc && aki__cpu_build(&o, &keep, &g, &(struct aki__cpu_options){ .int8 = true }, &why))
        aki__check_fault(c, &why);
    if (c->used_count)
        qsort(c->used, c->used_count, sizeof *c->used, compare_pointers);
    aki__onnx_free(&o);
    aki__keep_free(&keep);
    aki__graph_free(&g);
}

/* The number after "layers." or "layer." in the name of a tensor; -1: none. */
static long layer_of(const char *name)
{
    static const char *const words[] = { "layers.", "layer." };

    for (size_t i = 0; i < 2; i++) {
        const char *s = strstr(name, words[i]);
        if (s && isdigit((unsigned char)s[strlen(words[i])]))
            return strtol(s + strlen(words[i]), NULL, 10);
    }
    return -1;
}

/* Tensors that checkpoints have in addition to the encoder: heads for other tasks, and tables that are computed. */
static bool is_harmless(const char *name)
{
    static const char *const parts[] = { "pooler.", "lm_head.", "cls.", "position_ids", "token_type_ids", "rotary_emb.inv_freq",
                                         "masked_bias" };

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(name, parts[i]))
            return true;
    return false;
}

void aki__check_leftover(struct aki__check *c, const struct aki__model *m, const struct aki__tensor *t)
{
    uint64_t size;
    const char *tail = strrchr(t->name, '.'), *file = aki__tensor_file(t, &size);
    long layer = layer_of(t->name);

    if (bsearch(&t, c->used, c->used_count, sizeof *c->used, compare_pointers) || (m->int8_bits && tail && strncmp(tail, ".int8", 5) == 0))
        return;
    if (layer >= m->layers)
        aki__check_reportf(c, AKI_CHECK_PROBLEM, file, "tensor %.120s is of layer %ld, but config.json has num_hidden_layers %d",
                           t->name, layer, m->layers);
    else if (is_harmless(t->name))
        aki__check_reportf(c, AKI_CHECK_NOTE, file, "tensor %.120s is not read", t->name);
    else
        aki__check_reportf(c, AKI_CHECK_PROBLEM, file, "tensor %.120s is left over: nothing in a %s model reads it", t->name,
                           m->architecture);
}

/* ---------------------------------------------------------------- numbers --------------------------------------- */

/* Whether element i is NaN or infinite: all bits of its exponent are set. */
static bool is_bad(const struct aki__tensor *t, size_t i)
{
    uint16_t half;
    uint32_t whole;

    if (t->dtype == AKI_F32) {
        memcpy(&whole, (const char *)t->data + 4 * i, 4);
        return (whole & 0x7F800000u) == 0x7F800000u;
    }
    memcpy(&half, (const char *)t->data + 2 * i, 2);
    return t->dtype == AKI_F16 ? (half & 0x7C00u) == 0x7C00u : (half & 0x7F80u) == 0x7F80u;
}

/* Reads all numbers of a tensor. Its pages are released, so that a file larger than memory can be read. */
static void check_numbers(struct aki__check *c, const struct aki__tensor *t)
{
    bool numbers = t->dtype == AKI_F32 || t->dtype == AKI_F16 || t->dtype == AKI_BF16;
    size_t element = numbers ? aki__dtype_size(t->dtype) : 1, count = t->size / element, bad = 0, first = 0;
    volatile char touched = 0;
    uint64_t size;

    for (size_t begin = 0; begin < count && !c->rc; begin += BLOCK) {
        size_t end = count - begin < BLOCK ? count : begin + BLOCK;
        for (size_t i = begin; i < end; i += numbers ? 1 : 4096) {
            if (!numbers)
                touched = ((const char *)t->data)[i];      /* every integer is valid, but the disk may fail to read it */
            else if (is_bad(t, i) && bad++ == 0)
                first = i;
        }
        aki__map_release(t->map, (const char *)t->data + begin * element, (end - begin) * element);
        c->done += (end - begin) * element;
        aki__check_report(c, AKI_CHECK_PROGRESS, aki__tensor_file(t, &size), "", c->done, c->total);
    }
    (void)touched;
    if (bad)
        aki__check_reportf(c, AKI_CHECK_PROBLEM, aki__tensor_file(t, &size),
                           "tensor %.120s: %zu of %zu numbers are NaN or infinite, the first is number %zu", t->name, bad, count,
            first);
}

/* The sums of a product's weights [panels, k / 4, 32, 4]; NULL: t is not such weights, or there are no sums for it. */
static const struct aki__tensor *sums_of(const struct aki__weights *w, const struct aki__tensor *t)
{
    char name[512];
    int length = snprintf(name, sizeof name, "%s_sum", t->name);
    const char *tail = strrchr(t->name, '.');

    if (!tail || strcmp(tail, ".int8") != 0 || length >= (int)sizeof name || t->dtype != AKI_I8 || t->rank != 4 ||
        t->shape[2] != 32 || t->shape[3] != 4)
        return NULL;
    const struct aki__tensor *sums = aki__weights_find(w, name);
    return sums && sums->dtype == AKI_I32 && sums->rank == 1 && (sums->shape[0] + 31) / 32 == t->shape[0] ? sums : NULL;
}

/* As check_numbers. Each column must add up to its stored sum; otherwise all its outputs are shifted. */
static void check_sums(struct aki__check *c, const struct aki__tensor *t, const struct aki__tensor *sums)
{
    const char *data = t->data;
    size_t panel_size = (size_t)t->shape[1] * 128, columns = (size_t)sums->shape[0], bad = 0, first = 0, read = 0;
    int32_t stored, first_stored = 0;
    int64_t first_sum = 0;
    uint64_t size;

    for (size_t column = 0; column < columns && !c->rc; column += 32) {
        int64_t sum[32] = { 0 };
        const signed char *panel = (const signed char *)t->data + column / 32 * panel_size;
        for (size_t i = 0; i < panel_size; i++)
            sum[i / 4 % 32] += panel[i];
        for (size_t j = 0; j < 32 && column + j < columns; j++) {
            memcpy(&stored, (const char *)sums->data + 4 * (column + j), sizeof stored);
            if (stored != sum[j] && bad++ == 0) {
                first = column + j;
                first_stored = stored;
                first_sum = sum[j];
            }
        }
        read += panel_size;
        if (read >= BLOCK || column + 32 >= columns) {
            aki__map_release(t->map, data, read);
            data += read;
            c->done += read;
            read = 0;
            aki__check_report(c, AKI_CHECK_PROGRESS, aki__tensor_file(t, &size), "", c->done, c->total);
        }
    }
    if (bad)
        aki__check_reportf(c, AKI_CHECK_PROBLEM, aki__tensor_file(t, &size),
                           "tensor %.120s: %zu of %zu sums are not their columns', the first is number %zu: %d, where its weights give %lld",
                           sums->name, bad,
            columns, first, (int)first_stored, (long long)first_sum);
}

/* Reports each file of the weights with the number of its tensors, by type. */
static void report_weights(struct aki__check *c, const struct aki__weights *w)
{
    char text[200];
    uint64_t size;

    for (size_t begin = 0, end; begin < aki__weights_count(w); begin = end) {
        const struct aki__tensor *t = aki__weights_at(w, begin);
        size_t counts[AKI_DTYPE_OTHER + 1] = { 0 }, at;
        for (end = begin; end < aki__weights_count(w) && aki__weights_at(w, end)->map == t->map; end++)
            counts[aki__weights_at(w, end)->dtype]++;
        at = (size_t)snprintf(text, sizeof text, "%zu tensor%s:", end - begin, end - begin == 1 ? "" : "s");
        for (size_t i = 0; i <= AKI_DTYPE_OTHER; i++)
            if (counts[i])
                at += (size_t)snprintf(text + at, sizeof text - at, " %zu %s", counts[i],
                                       i == AKI_DTYPE_OTHER ? "others" : aki__dtype_name((enum aki__dtype)i));
        const char *file = aki__tensor_file(t, &size);
        aki__check_report(c, AKI_CHECK_READ, file, text, size, 0);
    }
}

uint64_t aki__weights_bytes(const struct aki__weights *w)
{
    uint64_t sum = 0;

    for (size_t i = 0; w && i < aki__weights_count(w); i++)
        sum += aki__weights_at(w, i)->size;
    return sum;
}

void aki__check_weights(struct aki__check *c, const struct aki__weights *w)
{
    for (size_t i = 0; w && i < aki__weights_count(w) && !c->rc; i++) {
        const struct aki__tensor *t = aki__weights_at(w, i), *sums = sums_of(w, t);
        if (sums)
            check_sums(c, t, sums);
        else
            check_numbers(c, t);
    }
    if (w && !c->rc)
        report_weights(c, w);
}
