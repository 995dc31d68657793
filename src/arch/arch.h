/* Unit arch: architectures: one file each, which describes the network in the vocabulary of ort/graph.h, and a row in arch.c's table. */
#ifndef AKI_ARCH_H
#define AKI_ARCH_H

#include "ort/graph.h"

/* Describes the model's network in g. Errors: UNSUPPORTED (no such architecture), else as aki__model_tensor's. */
aki_status aki__arch_build(struct aki__graph *g, const struct aki__model *m);

void aki__arch_bert(struct aki__graph *g, const struct aki__model *m);
void aki__arch_qwen3(struct aki__graph *g, const struct aki__model *m);

#endif
