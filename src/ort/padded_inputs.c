/* Unit padded: what the portable dialect's device form is given in a run. See padded_inputs.h. */
#include "ort/padded_inputs.h"

#include "kernel/kernel.h"
#include "graph/cpu.h"
#include "ort/runtime.h"

aki_status aki__padded_inputs_open(struct aki__padded_inputs *in, const struct aki__graph *g, bool f16, aki_error *err)
{
    const struct aki__portable_needs *needs = &in->needs;
    aki_status rc = aki__portable_needs(&in->needs, g, err);
    bool ok = true;

    in->graph = g;
    in->f16 = f16;
    if (rc)
        return rc;
    for (int i = 0; i < needs->rope_count && ok; i++) {
        in->inverse[i] = aki__alloc((size_t)needs->ropes[i]->head_dim / 2, sizeof *in->inverse[i]);
        ok = in->inverse[i] != NULL;
        if (ok)
            aki__g_frequencies(in->inverse[i], needs->ropes[i]);
    }
    for (int i = 0; i < needs->bias_count && ok; i++) {
        const struct aki__g_attention *a = needs->biases[i];
        in->biases[i] = aki__alloc((size_t)a->heads * (2 * (size_t)a->bias.reach + 1), sizeof *in->biases[i]);
        ok = in->biases[i] != NULL;
        if (ok)
            aki__g_bias_table(in->biases[i], a, 1.0f);
    }
    return ok ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "session");
}

void aki__padded_inputs_close(struct aki__padded_inputs *in)
{
    for (int i = 0; i < AKI_PORTABLE_ROPES; i++)
        aki__free(in->inverse[i]);
    for (int i = 0; i < AKI_PORTABLE_BIASES; i++)
        aki__free(in->biases[i]);
    *in = (struct aki__padded_inputs){ 0 };
}

/* [rows, length, columns]. Padding, and rows without a text, repeat rows that there are: among zeros, a norm has no variance to divide by, and
 * what it gives for them on a device (NaN) would reach the texts through the scores, masked or not. */
static void fill_embeds(const struct aki__padded_inputs *in, const struct aki__padded_group *g, float *out)
{
    const struct aki__block *b = &in->graph->blocks[in->needs.embed];
    const struct aki__g_embed *e = &b->embed;
    const size_t columns = (size_t)b->columns;
    struct aki__embed a = { .words = aki__table_of(e->words), .positions = aki__table_of(e->positions), .types = aki__table_of(e->types), .hidden = columns, .scale = (float)e->scale };

    for (size_t i = 0; i < g->rows; i++) {
        const size_t text = i < g->count ? i : 0, start = aki__padded_start(g, text), tokens = aki__padded_tokens(g, text);
        a.out = out + i * g->length * columns;
        a.ids = g->b->ids + start;
        a.position_ids = g->b->positions + start;
        a.type_ids = g->b->types ? g->b->types + start : NULL;
        aki__kernels()->embed(&a, 0, tokens);
        for (size_t t = tokens; t < g->length; t++)
            memcpy(a.out + t * columns, a.out, columns * sizeof *out);
    }
}

/* A row without a text sees its first key. */
static size_t keys_of(const struct aki__padded_group *g, size_t row) { return row < g->count ? aki__padded_tokens(g, row) : 1; }

/* [1 or rows, 1, queries, length] */
static void fill_mask(const struct aki__portable_mask *m, const struct aki__padded_group *g, float *out, size_t batch, size_t queries)
{
    const size_t window = (size_t)m->window;

    for (size_t t = 0; t < batch; t++)
        for (size_t i = 0; i < queries; i++)
            for (size_t j = 0; j < g->length; j++, out++) {
                bool hidden = m->causal ? j > i : j >= keys_of(g, t);
                if (window)
                    hidden |= j + window <= i || (!m->causal && i + window <= j);
                *out = hidden ? AKI_PORTABLE_HIDDEN : 0.0f;
            }
}

/* [1, heads, length, length], out of the table by distance. */
static void fill_bias(const struct aki__g_attention *a, const float *table, const struct aki__padded_group *g, float *out)
{
    const int64_t reach = a->bias.reach, length = (int64_t)g->length;

    for (int h = 0; h < a->heads; h++, table += 2 * reach + 1)
        for (int64_t i = 0; i < length; i++)
            for (int64_t j = 0; j < length; j++) {
                int64_t distance = j - i < -reach ? -reach : j - i > reach ? reach : j - i;
                *out++ = table[distance + reach];
            }
}

static aki_status fill_rotation(size_t head_dim, const float *inverse, const struct aki__padded_group *g, float *cos, float *sin, aki_error *err)
{
    const size_t half = head_dim / 2;
    int32_t *positions = aki__alloc(g->length, sizeof *positions);
    float *angles = aki__alloc(g->length, 2 * half * sizeof *angles);

    if (positions && angles) {
        for (size_t i = 0; i < g->length; i++)
            positions[i] = (int32_t)i;
        aki__kernels()->rope(&(struct aki__rope){ .out = angles, .positions = positions, .inverse = inverse, .head_dim = head_dim }, 0, g->length);
        for (size_t i = 0; i < g->length; i++)
            for (size_t k = 0; k < half; k++) {
                float c = angles[2 * half * i + k], s = angles[2 * half * i + half + k];
                cos[2 * half * i + k] = cos[2 * half * i + half + k] = c;
                sin[2 * half * i + k] = -s;
                sin[2 * half * i + half + k] = s;
            }
    }
    aki_status rc = positions && angles ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "a run of %zu x %zu tokens", g->rows, g->length);
    aki__free(positions);
    aki__free(angles);
    return rc;
}

static float *add_tensor(const struct aki__padded_inputs *in, const struct aki__runtime *rt, struct aki__padded_tensors *t, const char *name, int rank, const int64_t *shape, aki_status *rc, aki_error *err)
{
    size_t elements = 1, bytes = 0;
    bool fits = true;

    for (int i = 0; i < rank; i++)
        fits = fits && aki__mul(elements, (size_t)shape[i], &elements);
    fits = fits && aki__mul(elements, sizeof(float), &bytes);
    size_t i = t->count++;
    t->names[i] = name;
    t->elements[i] = elements;
    t->data[i] = *rc || !fits ? NULL : aki__alloc_aligned(bytes, 1);
    if (!*rc && !t->data[i])
        *rc = aki__fail(err, AKI_E_NOMEM, "a run's %s", name);
    if (!*rc)
        *rc = aki__ort_status(rt, rt->api->CreateTensorWithDataAsOrtValue(rt->cpu, t->data[i], in->f16 ? bytes / 2 : bytes, shape, (size_t)rank,
                                                                          in->f16 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &t->values[i]), name, err);
    return *rc ? NULL : t->data[i];
}

static void round_to_f16(float *data, size_t elements)
{
    for (size_t i = 0; i < elements; i++) {
        uint16_t h = aki__f32_to_f16(data[i]);
        memcpy((char *)data + i * sizeof h, &h, sizeof h);
    }
}

aki_status aki__padded_fill(const struct aki__padded_inputs *in, const struct aki__runtime *rt, const struct aki__padded_group *g, struct aki__padded_tensors *t, aki_error *err)
{
    const int64_t rows = (int64_t)g->rows, length = (int64_t)g->length;
    const struct aki__portable_needs *needs = &in->needs;
    aki_status rc = AKI_OK;

    float *embeds = add_tensor(in, rt, t, "inputs_embeds", 3, (int64_t[]){ rows, length, in->graph->blocks[needs->embed].columns }, &rc, err);
    if (!rc)
        fill_embeds(in, g, embeds);
    for (int i = 0; i < needs->mask_count && !rc; i++) {
        const struct aki__portable_mask *m = &needs->masks[i];
        const int64_t batch = m->causal ? 1 : rows, queries = m->causal || m->window ? length : 1;
        float *mask = add_tensor(in, rt, t, m->name, 4, (int64_t[]){ batch, 1, queries, length }, &rc, err);
        if (!rc)
            fill_mask(m, g, mask, (size_t)batch, (size_t)queries);
    }
    for (int i = 0; i < needs->rope_count && !rc; i++) {
        const int64_t head_dim = needs->ropes[i]->head_dim;
        float *cos = add_tensor(in, rt, t, aki__portable_cos(i), 3, (int64_t[]){ length, 1, head_dim }, &rc, err);
        float *sin = add_tensor(in, rt, t, aki__portable_sin(i), 3, (int64_t[]){ length, 1, head_dim }, &rc, err);
        if (!rc) rc = fill_rotation((size_t)head_dim, in->inverse[i], g, cos, sin, err);
    }
    for (int i = 0; i < needs->bias_count && !rc; i++) {
        float *bias = add_tensor(in, rt, t, aki__portable_bias(i), 4, (int64_t[]){ 1, needs->biases[i]->heads, length, length }, &rc, err);
        if (!rc)
            fill_bias(needs->biases[i], in->biases[i], g, bias);
    }
    for (size_t i = 0; i < t->count && in->f16 && !rc; i++)
        round_to_f16(t->data[i], t->elements[i]);
    return rc;
}

void aki__padded_tensors_free(const struct aki__runtime *rt, struct aki__padded_tensors *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->values[i])
            rt->api->ReleaseValue(t->values[i]);
        aki__free_aligned(t->data[i]);
    }
    t->count = 0;
}
