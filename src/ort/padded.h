/* Unit padded: runs on a device: the texts of a batch, grouped by length and padded, through sessions of the portable dialect; pooling and
 * Dense modules here, with the same kernels as the cpu's.
 *
 * Where a device takes any shape there is one session. Where it wants fixed ones there is a session for each (texts, length) that is needed,
 * made when it is, and the one that was not used for longest goes when there are too many. */
#ifndef AKI_PADDED_H
#define AKI_PADDED_H

#include "ort/session.h"

struct aki__padded;             /* any number of threads may run it; a device computes for one at a time */
struct aki__runtime;

aki_status aki__padded_open(struct aki__padded **out, const struct aki__runtime *rt, const struct aki__graph *g, const struct aki__session_options *options, aki_error *err);
void       aki__padded_close(struct aki__padded *p);
/* Fills all but the runtime's name and threads. */
void       aki__padded_info(struct aki__padded *p, struct aki__session_info *out);
/* false: runs go one after the other. By one thread at a time. */
bool       aki__padded_spread(struct aki__padded *p);
/* As aki__session_run. beside: other runs, on other threads, which only an .onnx file has. */
aki_status aki__padded_run(struct aki__padded *p, const struct aki__batch *b, bool beside, float *out, size_t columns, aki_error *err);

#endif
