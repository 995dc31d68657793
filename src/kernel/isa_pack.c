/* Unit kernel: packs a file's weights in the order in which products read them. See struct aki__packed in kernel.h. */
#include "kernel/isa.h"

/* The inputs of a row that are packed at a time: the rows of a panel are then in the first-level cache together. */
#define STRETCH ((size_t)64)

static void pack_f32(const struct aki__pack *a, size_t row, size_t i, size_t count)
{
    float part[STRETCH], *to = (float *)a->out + (a->column + row) / AKI_PANEL * AKI_PANEL * a->k + i * AKI_PANEL + (a->column + row) % AKI_PANEL;

    ISA(table_row)(part, &a->w, row * a->k + i, count);
    for (size_t j = 0; j < count; j++)
        to[j * AKI_PANEL] = part[j];
}

static uint16_t rounded_to_bf16(float f)
{
    const uint32_t bits = float_bits(f);
    return (uint16_t)(f != f ? bits >> 16 | 0x40 : (bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/* The same for types of 16 bits: the file's, or bf16 of another. */
static void pack_halves(const struct aki__pack *a, size_t row, size_t i, size_t count)
{
    const size_t column = (a->column + row) % AKI_PANEL, bf16 = a->dtype == AKI_TABLE_BF16, second = bf16 ? 1 : 16;
    uint16_t part[STRETCH + 1], *to = (uint16_t *)a->out + (a->column + row) / AKI_PANEL * AKI_PANEL * aki__packed_inputs(a->k, sizeof *to) +
                                      i * AKI_PANEL + (bf16 ? column * 2 : column / 16 * 32 + column % 16);

    if (a->w.dtype == a->dtype) {
        memcpy(part, (const char *)a->w.data + (row * a->k + i) * sizeof *part, count * sizeof *part);
    } else {
        float wide[STRETCH];
        ISA(table_row)(wide, &a->w, row * a->k + i, count);
        for (size_t j = 0; j < count; j++)
            part[j] = rounded_to_bf16(wide[j]);
    }
    part[count] = 0;                        /* the neighbour of the last of an odd number */
    for (size_t j = 0; j < count; j += 2) {
        to[j * AKI_PANEL] = part[j];
        to[j * AKI_PANEL + second] = part[j + 1];
    }
}

void ISA(pack_float)(const struct aki__pack *a, size_t begin, size_t end)
{
    for (size_t i = 0; i < a->k; i += STRETCH)
        for (size_t r = begin; r < end; r++)
            (a->dtype == AKI_TABLE_F32 ? pack_f32 : pack_halves)(a, r, i, a->k - i < STRETCH ? a->k - i : STRETCH);
}

void ISA(pack_s8)(const struct aki__pack *a, size_t begin, size_t end, float *scratch)
{
    int8_t *row = (int8_t *)(scratch + a->k);
    size_t depth = aki__packed_inputs(a->k, sizeof *row);

    memset(row, 0, depth);
    for (size_t r = begin; r < end; r++) {
        size_t column = a->column + r;
        int8_t *to = (int8_t *)a->out + column / AKI_PANEL * AKI_PANEL * depth + column % AKI_PANEL * 4;
        ISA(table_row)(scratch, &a->w, r * a->k, a->k);
        for (size_t c = 0, count = a->outliers.count; c < count; c++) {
            float *w = scratch + a->outliers.columns[c];
            a->side[(column / AKI_PANEL * count + c) * AKI_PANEL + column % AKI_PANEL] = *w;
            *w = 0;
        }
        a->scale[column] = ISA(quantise_weights)(row, scratch, a->k, a->block, &a->sum[column]);
        for (size_t i = 0; i < depth; i += 4)
            memcpy(to + i * AKI_PANEL, row + i, 4);
    }
}
