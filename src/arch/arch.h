/* Unit arch: families of architectures, a file each: its keys of config.json, its network in the vocabulary of graph/graph.h, and a row that says
 * the rest (model/family.h). The row's name stands here and in arch.c's list. */
#ifndef AKI_ARCH_H
#define AKI_ARCH_H

#include "model/family.h"
#include "graph/graph.h"

extern const struct aki__family *const aki__families[];        /* all of them; NULL behind the last */

/* Describes the model's network in g. Errors: as aki__model_tensor's. The model has a family. */
aki_status aki__arch_build(struct aki__graph *g, const struct aki__model *m);

struct aki__qwen3_keys {
    bool    attention_bias;             /* q, k, v and o have biases */
    int32_t sliding_window;             /* keys a query sees at most, itself included; 0: all */
    int32_t first_sliding_layer;        /* layers from here on have the window */
};

extern const struct aki__family aki__family_bert, aki__family_roberta, aki__family_qwen3;

#endif
