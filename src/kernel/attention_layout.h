/* Unit kernel: the layout of attention's work memory, and its units and tasks. Independent of the instruction set.
 *
 * Q: [kv_heads][queries][group][depth]     the queries of a kv head are rows: token-major, then the heads that share it
 * K: [kv_heads][panels][head_dim][16]      16 keys side by side, so that a vector has one dimension of 16 keys
 * V: [kv_heads][panels][16][depth]
 *
 * depth is head_dim rounded up to 16. With bf16, a float holds two numbers: neighbours in a row of Q and of K (so that Q's rows
 * are half as long, and K has half as many), and rows 2j and 2j + 1 of V (which has half as many).
 * Each text begins at a new panel: the panels of text b begin at key_starts[b] / 16 + b, which leaves at most one panel per text
 * unused and needs no table. Blocks of queries are numbered in the same way. */
#ifndef AKI_KERNEL_ATTENTION_LAYOUT_H
#define AKI_KERNEL_ATTENTION_LAYOUT_H

#include "kernel/kernel.h"

#define PANEL ((size_t)16)                  /* keys of a panel */
#define KEY_BLOCK ((size_t)128)             /* keys between two steps of the online softmax */
#define TASK_ROWS ((size_t)64)              /* queries times heads of a task, which share the keys and values that are read */
#define STRIP ((size_t)8)                   /* rows whose scores are held at the same time */

static inline size_t att_depth(const struct aki__attention *a) { return (a->head_dim + 15) / 16 * 16; }
/* Floats of a head of a row in Q and in V, and in K; with bf16 a float holds two numbers. */
static inline size_t att_row(const struct aki__attention *a) { return a->bf16 ? att_depth(a) / 2 : att_depth(a); }
static inline size_t att_key(const struct aki__attention *a) { return a->bf16 ? (a->head_dim + 1) / 2 : a->head_dim; }
static inline size_t att_group(const struct aki__attention *a) { return a->heads / a->kv_heads; }
static inline const int32_t *att_starts(const struct aki__attention *a) { return a->key_starts ? a->key_starts : a->starts; }
static inline size_t att_keys(const struct aki__attention *a, size_t text)
{
    return (size_t)(att_starts(a)[text + 1] - att_starts(a)[text]);
}
/* The number of cached keys of a text. */
static inline size_t att_kept(const struct aki__attention *a, size_t text)
{
    return att_keys(a, text) - (size_t)(a->starts[text + 1] - a->starts[text]);
}
static inline size_t att_panel_of(const struct aki__attention *a, size_t text) { return (size_t)att_starts(a)[text] / PANEL + text; }
static inline size_t att_panels(const struct aki__attention *a)
{
    return (a->key_starts ? (size_t)a->key_starts[a->texts] : a->tokens) / PANEL + a->texts;
}

static inline float *att_q(const struct aki__attention *a, size_t kv_head, size_t query)
{
    return a->work + (kv_head * a->queries + query) * att_group(a) * att_row(a);
}
static inline float *att_k(const struct aki__attention *a, size_t kv_head, size_t panel)
{
    return a->work + a->queries * a->heads * att_row(a) + (kv_head * att_panels(a) + panel) * PANEL * att_key(a);
}
static inline float *att_v(const struct aki__attention *a, size_t kv_head, size_t panel)
{
    return att_k(a, a->kv_heads, 0) + (kv_head * att_panels(a) + panel) * PANEL * att_row(a);
}

/* Queries of a task. */
static inline size_t att_block(const struct aki__attention *a)
{
    return att_group(a) >= TASK_ROWS ? 1 : TASK_ROWS / att_group(a);
}
static inline size_t att_block_of(const struct aki__attention *a, size_t text)
{
    return (size_t)a->query_starts[text] / att_block(a) + text;
}

/* Floats of a task: sums [rows][depth], their maximum and weight [rows] each, and the scores of a strip. */
static inline size_t att_rows(const struct aki__attention *a) { return att_block(a) * att_group(a); }

/* The text of a unit: the last text b whose first unit, starts[b] / size + b, is at most `unit`. */
static inline size_t att_find(const int32_t *starts, size_t texts, size_t size, size_t unit)
{
    size_t low = 0, high = texts;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if ((size_t)starts[middle] / size + middle <= unit)
            low = middle;
        else
            high = middle;
    }
    return low;
}

#endif
