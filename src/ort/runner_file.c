/* Unit runner: an .onnx file, and the pooling and Dense modules behind its rows. See runner.h. */
#include "ort/padded.h"
#include "ort/runner.h"

enum { LIGHT_TOKENS = 512 };

struct file {
    struct aki__runner     runner;
    struct aki__onnx_file *file;
    struct aki__head      *head;            /* NULL: it gives no hidden rows */
    int32_t                pad_id;
    size_t                 max_batch_tokens;
};

/* A run's padded runs. */
struct work { struct file *f; bool pooled, beside; };

/* As many texts as it takes where it takes one shape only. Else what padding costs decides: with few weights more than a second look at them. */
static size_t group_size(const struct file *f, const struct aki__padded_group *g)
{
    const struct aki__onnx_file_info *info = aki__onnx_file_info(f->file);
    const size_t length = aki__padded_tokens(g, 0), least = info->rows || info->length ? 1 : info->light ? length : length - length / 4;
    const size_t limit = info->light && f->max_batch_tokens > LIGHT_TOKENS ? LIGHT_TOKENS : f->max_batch_tokens;

    return aki__padded_take(g, info->rows ? (size_t)info->rows : limit / (info->length ? (size_t)info->length : length), least);
}

static aki_status run_group(void *user, struct aki__padded_group *g, float *out, aki_error *err)
{
    const struct work *w = user;

    g->count = group_size(w->f, g);
    return aki__onnx_file_run(w->f->file, g, w->pooled, w->f->pad_id, w->beside, out, err);
}

static aki_status run(struct aki__runner *r, const struct aki__batch *b, bool beside, float *out, size_t columns, aki_error *err)
{
    struct work w = { .f = (struct file *)r, .pooled = b->pooled, .beside = beside };

    return aki__padded_run(run_group, &w, w.f->head, b, out, columns, err);
}

static bool spread(struct aki__runner *r) { return aki__onnx_file_spread(((struct file *)r)->file); }

static void info(struct aki__runner *r, struct aki__session_info *out)
{
    const struct file *f = (const struct file *)r;
    const struct aki__onnx_file_info *i = aki__onnx_file_info(f->file);

    out->hidden = (size_t)i->hidden;
    out->vectors = i->pooled ? (size_t)i->pooled : aki__head_columns(f->head, true);
    out->nodes = i->nodes;
}

static void close_runner(struct aki__runner *r)
{
    struct file *f = (struct file *)r;

    aki__onnx_file_close(f->file);
    aki__head_close(f->head);
    aki__free(f);
}

aki_status aki__runner_open_file(struct aki__runner **out, const struct aki__graph *g, const struct aki__session_options *options, aki_error *err)
{
    static const struct aki__runner_kind kind = { .info = info, .run = run, .spread = spread, .close = close_runner };
    struct file *f = aki__zalloc(1, sizeof *f);

    *out = NULL;
    if (!f)
        return aki__fail(err, AKI_E_NOMEM, "session");
    *f = (struct file){ .runner.kind = &kind, .pad_id = g->model->pad_id, .max_batch_tokens = options->max_batch_tokens };
    aki_status rc = aki__onnx_file_info(options->file)->hidden ? aki__head_open(&f->head, g, err) : AKI_OK;
    if (rc) {
        close_runner(&f->runner);
        return rc;
    }
    f->file = options->file;
    *out = &f->runner;
    return AKI_OK;
}
