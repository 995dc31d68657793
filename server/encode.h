/* Unit encode: from a request's texts to ids that can be computed, as the library has them. */
#ifndef AKI_SERVER_ENCODE_H
#define AKI_SERVER_ENCODE_H

#include "exchange.h"

/* What the request says of its texts. Strings are borrowed from it. */
aki_embed_options encode_options(const struct exchange *x);
/* Fills x->job: its group, ids, starts and prompts. Everything that can be refused is refused here, before the queue; false: *p says why. The job
 * owns what was allocated also then. */
bool encode_job(struct exchange *x, struct problem *p);
/* The ids [from, from + keep) of an input that is tokenised already; out: [keep]. All of them are checked. */
bool encode_ids(const struct exchange *x, const struct request_input *in, size_t from, size_t keep, int32_t *out, struct problem *p);
/* An error of the library about one text, for *p; answers false. Messages say what and where, never the text itself. */
bool encode_refuse(const struct exchange *x, struct problem *p, const aki_error *error);

#endif
