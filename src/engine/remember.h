/* Unit remember: what a device's self-test found, kept in a small file of the cache folder, so that the next open need not test again.
 * The file is named by a hash of all that the figures depend on. One that is torn, of another key or holds what no test can have found is
 * as good as none; and only figures are kept: what they mean is judged anew. */
#ifndef AKI_REMEMBER_H
#define AKI_REMEMBER_H

#include "engine/engine.h"

struct aki__figures {
    double cosine;                          /* the least */
    double seconds;                         /* a text; not kept: 0 where it was not measured */
    int    bad, zero;                       /* vectors with NaN, and of zeros */
    int    nodes, elsewhere, partitions;    /* as aki__session_info's */
};

/* Hash of the contents of all of the model's files. 0: one cannot be read. */
uint64_t aki__remember_model(const aki_model *m);
/* Where figures of the model on the device are kept, to be freed with aki__free. NULL: there is no place; nothing is kept then. */
char *aki__remember_path(const aki_model *m, uint64_t content, const struct aki__device *d);
/* vectors: how many the test has. false: nothing that can be believed. */
bool  aki__remember_read(const char *place, int vectors, struct aki__figures *out);
/* Where it cannot be written nothing is kept. */
void  aki__remember_write(const char *place, const struct aki__figures *f);

#endif
