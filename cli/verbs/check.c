/* Unit check: the verb `check`: all that is wrong with a model's files, by the library's aki_check and by the hashes that are known. */
#include "cli/shell/machine.h"
#include "cli/hub/model.h"
#include "cli/shell/progress.h"
#include "cli/shell/sink.h"
#include "cli/hub/sums.h"
#include "cli/shell/system.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct finding {
    int      kind;                         /* AKI_CHECK_* */
    char    *path, *message;
    uint64_t size;
    const char *hash;                      /* of a file that was read: what its hash was compared with; static; NULL: nothing */
};

struct report {
    const char     *folder;
    struct finding *list;
    size_t          count, capacity;
    size_t          problems;
    bool            no_memory;
};

static bool add(struct report *r, int kind, const char *path, const char *message, uint64_t size)
{
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? r->capacity * 2 : 32;
        struct finding *list = aki__realloc(r->list, capacity, sizeof *list);
        if (!list)
            return false;
        r->list = list;
        r->capacity = capacity;
    }
    struct finding f = { .kind = kind, .path = strdup(path), .message = strdup(message), .size = size };
    if (!f.path || !f.message) {
        free(f.path);
        free(f.message);
        return false;
    }
    r->list[r->count++] = f;
    r->problems += kind == AKI_CHECK_PROBLEM;
    return true;
}

static int on_event(void *user, const aki_check_event *event)
{
    struct report *r = user;

    if (event->kind == AKI_CHECK_PROGRESS)
        progress_bytes(event->size, event->total);
    else if (!add(r, event->kind, event->path, event->message, event->size))
        r->no_memory = true;
    return r->no_memory || cli_signal;
}

/* ---------------------------------------------------------------- hashes ---------------------------------------- */

/* In a hub's cache a file is a link to a blob that is named by its hash. Others, and where that says nothing: CLI_OK, *known false. */
static int check_blob(const char *path, bool *known, bool *same)
{
    char target[4096];

    *known = false;
    if (!system_read_link(path, target, sizeof target))
        return CLI_OK;
    const char *name = strrchr(target, '/');
    if (!name || !strstr(target, "blobs/") || !(sums_is(name + 1, 64) || sums_is(name + 1, 40)))
        return CLI_OK;
    *known = true;
    return sums_of_name(path, name + 1, same);
}

static int check_blobs(struct report *r)
{
    static const char problem[] = "is not the file that the hub has: another hash; after 'akiembed rm', pull the model again";
    struct names files;
    int rc = names_read(&files, r->folder);

    for (size_t i = 0; i < files.count && !rc; i++) {
        bool known = false, same = true;
        char *path = cli_format("%s/%s", r->folder, files.list[i]);
        rc = path ? check_blob(path, &known, &same) : cli_no_memory();
        free(path);
        for (size_t k = 0; k < r->count && known; k++)
            if (r->list[k].kind == AKI_CHECK_READ && !strcmp(r->list[k].path, files.list[i]))
                r->list[k].hash = "the hub's";
        if (!rc && !same && !add(r, AKI_CHECK_PROBLEM, files.list[i], problem, 0))
            rc = cli_no_memory();
    }
    names_free(&files);
    return rc;
}

static int on_sum(void *user, const char *name, const char *problem)
{
    struct report *r = user;

    for (size_t i = 0; i < r->count; i++)
        if (r->list[i].kind == AKI_CHECK_READ && !strcmp(r->list[i].path, name))
            r->list[i].hash = "SHA256SUMS";
    return !problem || add(r, AKI_CHECK_PROBLEM, name, problem, 0) ? CLI_OK : cli_no_memory();
}

static int check_sums(struct report *r)
{
    char *path = cli_format("%s/SHA256SUMS", r->folder);
    struct stat st;
    int rc = path ? CLI_OK : cli_no_memory();

    if (path && !system_stat(path, &st))
        rc = sums_each(r->folder, on_sum, r);
    free(path);
    return rc;
}

/* ---------------------------------------------------------------- telling --------------------------------------- */

static void print_text(const struct report *r, struct sink *out)
{
    char size[32];
    uint64_t sum = 0;
    size_t files = 0;

    sink_printf(out, "%-44s %10s  %-11s  %s\n", "FILE", "SIZE", "HASH", "WHAT IT HOLDS");
    for (size_t i = 0; i < r->count; i++) {
        const struct finding *f = &r->list[i];
        if (f->kind != AKI_CHECK_READ)
            continue;
        sink_printf(out, "%-44s %10s  %-11s  %s\n", f->path, machine_size_text(size, sizeof size, f->size), f->hash ? f->hash : "-", f->message);
        sum += f->size;
        files++;
    }
    sink_printf(out, "%zu files, %s: %zu problem%s\n", files, machine_size_text(size, sizeof size, sum), r->problems, r->problems == 1 ? "" : "s");
    for (int kind = AKI_CHECK_PROBLEM; kind >= AKI_CHECK_NOTE; kind--)
        for (size_t i = 0; i < r->count; i++) {
            const struct finding *f = &r->list[i];
            if (f->kind == kind)
                sink_printf(out, "%s: %s%s%s\n", kind == AKI_CHECK_PROBLEM ? "problem" : "note", f->path, *f->path ? ": " : "", f->message);
        }
}

static void print_list(const struct report *r, struct sink *out, int kind, const char *name)
{
    bool first = true;

    sink_printf(out, ",\n  \"%s\": [", name);
    for (size_t i = 0; i < r->count; i++) {
        const struct finding *f = &r->list[i];
        if (f->kind != kind)
            continue;
        sink_printf(out, "%s\n    {\"path\": ", first ? "" : ",");
        sink_json_string(out, f->path);
        sink_printf(out, ", \"message\": ");
        sink_json_string(out, f->message);
        if (kind == AKI_CHECK_READ) {
            sink_printf(out, ", \"size\": %" PRIu64 ", \"hash\": ", f->size);
            sink_json_string(out, f->hash);
        }
        sink_printf(out, "}");
        first = false;
    }
    sink_printf(out, "%s]", first ? "" : "\n  ");
}

static int print_report(const struct report *r, bool json)
{
    struct sink out;
    int rc = sink_open_stdout(&out);

    if (json) {
        sink_printf(&out, "{\n  \"folder\": ");
        sink_json_string(&out, r->folder);
        print_list(r, &out, AKI_CHECK_PROBLEM, "problems");
        print_list(r, &out, AKI_CHECK_NOTE, "notes");
        print_list(r, &out, AKI_CHECK_READ, "files");
        sink_printf(&out, "\n}\n");
    } else {
        print_text(r, &out);
    }
    return sink_close(&out, rc);
}

int check_run(const struct options *o)
{
    struct report r = { 0 };
    aki_error error;
    char *folder = NULL;

    if (o->word_count != 1)
        return cli_fail(CLI_USAGE, "check takes one model's folder, or its name in the cache");
    int rc = model_find(o->words[0], &folder);
    r.folder = folder;
    progress_start();
    aki_status status = rc ? AKI_OK : aki_check(folder, on_event, &r, &error);
    progress_end();
    if (!rc && r.no_memory)
        rc = cli_no_memory();
    /* INVALID is in the report. */
    if (!rc && status && status != AKI_E_INVALID)
        rc = model_failed(&error, NULL);
    if (!rc)
        rc = check_blobs(&r);
    if (!rc)
        rc = check_sums(&r);
    if (!rc)
        rc = print_report(&r, o->json);
    if (!rc && r.problems)
        rc = cli_fail(CLI_CHECK, "%s: %zu problem%s", folder, r.problems, r.problems == 1 ? "" : "s");
    for (size_t i = 0; i < r.count; i++) {
        free(r.list[i].path);
        free(r.list[i].message);
    }
    free(r.list);
    free(folder);
    return rc;
}
