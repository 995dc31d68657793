/* Unit remember: stores the figures of a device's self-test in a small file of the cache folder, so that the next open can skip
 * the test. The name of the file is a hash of everything that the figures depend on. A file that is incomplete, has another
 * key, or contains impossible figures is ignored. Only figures are stored; the decision is made again at each open. With them
 * are the vectors of the known text, where the device is compared with these at later runs. */
#ifndef AKI_REMEMBER_H
#define AKI_REMEMBER_H

#include "engine/engine.h"

struct aki__figures {
    double cosine;                          /* the least of all texts */
    double seconds;                         /* for a text; 0: not measured */
    int    bad, zero;                       /* vectors with NaN or infinity, and vectors of zeros */
    int    nodes, elsewhere, partitions;    /* as in aki__session_info */
};

/* Hash of the contents of all files of the model. 0: one cannot be read. */
uint64_t aki__remember_model(const aki_model *m);
/* Path of the file for this model and device, to be freed with aki__free. NULL: there is no cache folder; nothing is stored then. */
char *aki__remember_path(const aki_model *m, uint64_t content, const struct aki__device *d);
/* vectors: number of vectors of the test. known: [count] floats, those of the known text (known.h); 0: none are wanted. Figures
 * without these are valid too, for refusing: *whole is false then. false: there is no valid file. */
bool  aki__remember_read(const char *path, int vectors, struct aki__figures *out, float *known, size_t count, bool *whole);
/* Does nothing if the file cannot be written. */
void  aki__remember_write(const char *path, const struct aki__figures *f, const float *known, size_t count);

#endif
