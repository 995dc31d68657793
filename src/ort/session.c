/* Unit session: opens the runner that is meant, watches its files, and spreads runs over its threads. See session.h. */
#include "ort/session.h"

#include "base/os.h"
#include "model/parts.h"
#include "ort/runner.h"

#include <stdatomic.h>
#include <stdio.h>

/* A file that is mapped while the model is open: by the model (map), or by ONNX Runtime, beside which it is mapped here (own). */
struct watched { const char *name; const struct aki__map *map; struct aki__map own; };

struct aki__session {
    const struct aki__runtime *rt;
    struct aki__runner *runner;
    struct aki__pool *pool;                 /* NULL: runs go one after the other */
    _Atomic bool     beside;                /* runs of a call go side by side at the moment */
    struct watched  *files;                 /* [file_count] */
    size_t           file_count, file_capacity;
    int              threads;
    long             process;               /* that opened it */
};

/* ---------------------------------------------------------------- files ----------------------------------------- */

static struct watched *add_file(struct aki__session *s, const char *name, aki_error *err)
{
    if (!aki__grow((void **)&s->files, &s->file_capacity, s->file_count + 1, sizeof *s->files)) {
        aki__fail(err, AKI_E_NOMEM, "the list of weight files");
        return NULL;
    }
    s->files[s->file_count] = (struct watched){ .name = name };
    return &s->files[s->file_count++];
}

/* Embedding tables, and the weights of a quantised folder, are read where they lie in the model's files; so are the weights beside an .onnx
 * file, by ONNX Runtime. */
static aki_status note_files(struct aki__session *s, const struct aki__model *m, aki_error *err)
{
    const struct aki__map *last = NULL;
    struct watched *file;
    uint64_t size;

    for (size_t i = 0; m->weights && i < aki__weights_count(m->weights); i++) {
        const struct aki__tensor *t = aki__weights_at(m->weights, i);
        if (t->map == last)
            continue;                       /* a file's tensors follow each other */
        if (!(file = add_file(s, aki__tensor_file(t, &size), err)))
            return AKI_E_NOMEM;
        file->map = last = t->map;
    }
    for (size_t i = 0; m->onnx && i < m->file_count; i++) {
        const char *path = m->files[i].path, *end = strrchr(path, '.');
        if (end && (strcmp(end, ".json") == 0 || strcmp(end, ".onnx") == 0))
            continue;                       /* read when it was opened */
        if (!(file = add_file(s, aki__part_below(m->path, path), err)))
            return AKI_E_NOMEM;
        aki_status rc = aki__map_watch(&file->own, path, err);
        if (rc)
            return rc;
    }
    return AKI_OK;
}

/* A file that is being written into is noticed here, before a run reads behind its end. */
static aki_status check_files(const struct aki__session *s, aki_error *err)
{
    for (size_t i = 0; i < s->file_count; i++) {
        const struct aki__map *map = s->files[i].map ? s->files[i].map : &s->files[i].own;
        uint64_t size;
        if (!aki__map_is_whole(map, &size))
            return aki__fail(err, AKI_E_IO, "%s: has %llu bytes, and had %zu when the model was opened: somebody writes into it; replace it by "
                             "renaming, and open the model again", s->files[i].name, (unsigned long long)size, map->size);
    }
    return AKI_OK;
}

/* ---------------------------------------------------------------- life ------------------------------------------ */

/* A device has threads of its own; an .onnx file whose weights are many takes all of them for one run. */
static bool wants_pool(const struct aki__session_options *o, int threads)
{
    return o->file ? aki__onnx_file_info(o->file)->light && threads > 1 : !o->device;
}

static aki_status open_runner(struct aki__session *s, const struct aki__graph *g, const struct aki__session_options *o, aki_error *err)
{
    if (o->file)
        return aki__runner_open_file(&s->runner, g, o, err);
    if (o->device)
        return aki__runner_open_device(&s->runner, s->rt, g, o, err);
    return aki__runner_open_cpu(&s->runner, s->rt, g, o, s->pool, err);
}

aki_status aki__session_open(struct aki__session **out, const struct aki__graph *g, const struct aki__session_options *options, aki_error *err)
{
    struct aki__session *s = aki__zalloc(1, sizeof *s);
    aki_status rc;

    *out = NULL;
    if (!s)
        return aki__fail(err, AKI_E_NOMEM, "session");
    s->process = aki__process();
    rc = aki__runtime_get(&s->rt, options->threads, err);
    if (!rc) rc = note_files(s, g->model, err);
    if (!rc)
        s->threads = s->rt->threads;
    if (!rc && wants_pool(options, s->threads))
        rc = aki__pool_open(&s->pool, s->threads, err);
    if (!rc) rc = open_runner(s, g, options, err);      /* the last, since it takes options->file over */
    if (rc)
        aki__session_close(s);
    else
        *out = s;
    return rc;
}

void aki__session_close(struct aki__session *s)
{
    /* In a child after fork, the threads to wait for, ours and ONNX Runtime's, are the parent's: all stays as it is until the process ends. */
    if (!s || s->process != aki__process())
        return;
    if (s->runner)
        s->runner->kind->close(s->runner);
    aki__pool_close(s->pool);
    for (size_t i = 0; i < s->file_count; i++)
        aki__map_close(&s->files[i].own);
    aki__free(s->files);
    aki__free(s);
}

void aki__session_know(struct aki__session *s, const struct aki__known *known)
{
    if (s->runner->kind->know)
        s->runner->kind->know(s->runner, known);
}

void aki__session_info(const struct aki__session *s, struct aki__session_info *out)
{
    *out = (struct aki__session_info){ .threads = s->threads, .lanes = s->pool ? s->threads : 1, .sessions = 1 };
    snprintf(out->runtime, sizeof out->runtime, "ONNX Runtime %s", s->rt->version);
    s->runner->kind->info(s->runner, out);
}

/* ---------------------------------------------------------------- run ------------------------------------------- */

void aki__session_each(struct aki__session *s, size_t count, void (*body)(void *user, size_t i), void *user)
{
    bool taken = s->pool && count > 1 && aki__pool_acquire(s->pool), beside = taken && s->runner->kind->spread(s->runner);

    if (beside)
        atomic_store(&s->beside, true);
    aki__pool_each(beside ? s->pool : NULL, count, body, user);
    if (beside)
        atomic_store(&s->beside, false);
    if (taken)
        aki__pool_release(s->pool);
}

aki_status aki__session_run(struct aki__session *s, const struct aki__batch *b, float *out, size_t columns, aki_error *err)
{
    aki_status rc = check_files(s, err);

    return rc ? rc : s->runner->kind->run(s->runner, b, atomic_load(&s->beside), out, columns, err);
}
