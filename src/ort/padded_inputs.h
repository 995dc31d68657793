/* Unit padded: the tensors that a run of the portable dialect's device form takes (portable.h): embeddings, masks, rotations, biases. */
#ifndef AKI_PADDED_INPUTS_H
#define AKI_PADDED_INPUTS_H

#include "graph/portable.h"
#include "ort/padded.h"

struct aki__runtime;
struct OrtValue;

/* What a graph needs, and what of it is the same in every run. */
struct aki__padded_inputs {
    const struct aki__graph    *graph;      /* borrowed */
    struct aki__portable_needs  needs;
    bool                        f16;        /* of the tensors */
    float *inverse[AKI_PORTABLE_ROPES], *biases[AKI_PORTABLE_BIASES];      /* frequencies, and tables by distance */
};

/* The tensors of a run, each in memory of its own. */
struct aki__padded_tensors {
    const char      *names[AKI_ONNX_MAX_IO];
    float           *data[AKI_ONNX_MAX_IO];     /* f16 is written as f32, and rounded where it lies */
    size_t           elements[AKI_ONNX_MAX_IO];
    struct OrtValue *values[AKI_ONNX_MAX_IO];
    size_t           count;
};

/* in: zeroed; to be closed, also on failure. Errors: UNSUPPORTED, NOMEM. */
aki_status aki__padded_inputs_open(struct aki__padded_inputs *in, const struct aki__graph *g, bool f16, aki_error *err);
void       aki__padded_inputs_close(struct aki__padded_inputs *in);

/* t: zeroed; to be freed, also on failure. Errors: NOMEM. */
aki_status aki__padded_fill(const struct aki__padded_inputs *in, const struct aki__runtime *rt, const struct aki__padded_group *g, struct aki__padded_tensors *t, aki_error *err);
void       aki__padded_tensors_free(const struct aki__runtime *rt, struct aki__padded_tensors *t);

#endif
