/* Unit runner: what computes a session's runs, of three kinds: the cpu dialect in this process's ONNX Runtime (runner_cpu.c), the portable dialect
 * on a device (runner_device.c), an .onnx file (runner_file.c). The latter two run padded texts (padded.h). */
#ifndef AKI_RUNNER_H
#define AKI_RUNNER_H

#include "base/pool.h"
#include "ort/runtime.h"
#include "ort/session.h"

struct aki__runner { const struct aki__runner_kind *kind; };      /* the first member of each kind's own struct; any number of threads may run one */

struct aki__runner_kind {
    /* Fills in what it knows; the session has set the rest. */
    void       (*info)(struct aki__runner *r, struct aki__session_info *out);
    /* As aki__session_run. beside: other runs go on, on other threads of the session, and this one has its caller's alone. */
    aki_status (*run)(struct aki__runner *r, const struct aki__batch *b, bool beside, float *out, size_t columns, aki_error *err);
    /* Makes ready for runs beside each other; false: they go one after the other. By one thread at a time. */
    bool       (*spread)(struct aki__runner *r);
    /* As aki__session_know; NULL: it compiles nothing. */
    void       (*know)(struct aki__runner *r, const struct aki__known *known);
    void       (*close)(struct aki__runner *r);
};

/* Graph, options and pool (NULL: none) as the session's. */
aki_status aki__runner_open_cpu(struct aki__runner **out, const struct aki__runtime *rt, const struct aki__graph *g, const struct aki__session_options *options, struct aki__pool *pool, aki_error *err);
aki_status aki__runner_open_device(struct aki__runner **out, const struct aki__runtime *rt, const struct aki__graph *g, const struct aki__session_options *options, aki_error *err);
/* options->file is the runner's, once it has opened. */
aki_status aki__runner_open_file(struct aki__runner **out, const struct aki__graph *g, const struct aki__session_options *options, aki_error *err);

#endif
