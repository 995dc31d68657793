/* Unit onnx_file: an .onnx file that somebody exported, as ONNX Runtime reads it: its inputs and outputs judged, padded runs of it on the cpu. */
#ifndef AKI_ONNX_FILE_H
#define AKI_ONNX_FILE_H

#include "base/base.h"

struct aki__onnx_file;          /* any number of threads may run it */
struct aki__padded_group;

struct aki__onnx_file_info {
    int32_t hidden;             /* columns of its row a token; 0: it gives none */
    int32_t pooled;             /* columns of its vector a text; 0: it gives none */
    int32_t rows, length;       /* the only shape that it takes; 0: any */
    bool    sentence, logits;   /* its vector a text is called sentence_embedding, or logits */
    bool    causal;             /* it has a cache of keys and values, which is fed empty */
    int32_t precision;          /* AKI_PRECISION_*: that of most of its weights */
    int64_t parameters;         /* its weights; a packed byte is one */
    bool    light;              /* runs may go side by side: weights so few that there may be two copies of them */
    int     nodes;              /* 0: not known */
    char    ports[200];         /* "input_ids, attention_mask -> last_hidden_state" */
};

/* name: what messages call it. Errors: INVALID (broken, or external data is missing), UNSUPPORTED (an input or output that is not an
 * embedding model's, by name), NOT_FOUND, NOMEM. report: of each faulty input and output, or NULL; with it, err must not be NULL. */
aki_status aki__onnx_file_open(struct aki__onnx_file **out, const char *path, const char *name, int threads, struct aki__report *report, aki_error *err);
void       aki__onnx_file_close(struct aki__onnx_file *f);
const struct aki__onnx_file_info *aki__onnx_file_info(const struct aki__onnx_file *f);

/* Makes ready for runs beside each other, each on its caller's thread, with a second copy of the weights; false: it cannot be (not light, no memory,
 * the file is gone or was replaced). By one thread at a time. */
bool aki__onnx_file_spread(struct aki__onnx_file *f);

/* Runs g's texts, padded with pad_id to rows and length that it says in g (g->count is at most info.rows, the longest at most info.length, where these
 * are set). pooled: out is the batch's [texts, info.pooled], and the vectors of these texts are written; else out is [row_count, info.hidden], and the rows
 * that the pooling reads of these texts are. beside: on this thread alone, where the file was made ready for it; else on all, one run after the other. */
aki_status aki__onnx_file_run(struct aki__onnx_file *f, struct aki__padded_group *g, bool pooled, int32_t pad_id, bool beside, float *out, aki_error *err);

#endif
