/* Unit judge: which products of an int8 model need more than int8. */
#ifndef AKI_JUDGE_H
#define AKI_JUDGE_H

#include "engine/engine.h"
#include "graph/outliers.h"

/* What was found. choice points to f32: [blocks of the network's graph]. Zeroed means empty. */
struct aki__judged { bool *f32; struct aki__choice choice; };

/* Measures the folder's model in int8 beside f32 on the built-in texts and the options'. On one machine the outcome depends on the
 * folder and the texts only. Errors: as aki_model_open and aki_embed, CANCELLED. */
aki_status aki__judge(struct aki__judged *out, const char *folder, const aki_quantize_options *o, aki_error *err);
void       aki__judged_free(struct aki__judged *judged);

/* Sets m->precision_note and m->precision_advice; m->run is set. */
void       aki__tell_precision(aki_model *m);

#endif
