/* Unit ops: the custom operators of domain "aki": thin adapters from ONNX Runtime's tensors to kernel/. Their inputs, outputs and constants: graph/plans.h. */
#ifndef AKI_OPS_H
#define AKI_OPS_H

#include "base/pool.h"
#include "graph/plans.h"
#include "ort/runtime.h"

/* Operators that run on this thread from now on split their work between this pool's threads; NULL: they do not. */
void aki__ops_use(struct aki__pool *pool);

/* Bytes of the one-node model that a session starts from: it imports the domains '' (opset 21) and 'aki'. */
const void *aki__ops_base_model(size_t *size);
/* A domain with all operators, to be added to session options; *out lives as long as the process. */
aki_status aki__ops_domain(const struct aki__runtime *rt, OrtCustomOpDomain **out, aki_error *err);

#endif
