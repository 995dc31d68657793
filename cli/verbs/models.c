/* Unit models: the verbs `models` and `rm`: what is in the Hugging Face cache, and out with it. */
#include "cli/hub/cache.h"
#include "cli/hub/known.h"
#include "cli/shell/machine.h"
#include "cli/hub/names.h"
#include "cli/shell/options.h"
#include "cli/shell/sink.h"
#include "cli/shell/system.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- the known ones -------------------------------- */

static int print_known(const struct options *o, struct sink *out)
{
    if (o->json)
        sink_printf(out, "[");
    else
        sink_printf(out, "%-16s%-58s%-12s%10s\n", "SHORT NAME", "NAME", "LICENCE", "ELEMENTS");
    for (size_t i = 0; i < known_count; i++) {
        const struct known *k = &known_models[i];
        if (o->json)
            sink_printf(out, "%s\n  {\"alias\": \"%s\", \"name\": \"%s\", \"revision\": \"%s\", \"licence\": \"%s\", \"dim\": %d}", i ? "," : "", k->alias,
                        k->name, k->revision, k->licence, k->dim);
        else
            sink_printf(out, "%-16s%-58s%-12s%10d\n", k->alias, k->name, k->licence, k->dim);
    }
    if (o->json)
        sink_printf(out, "\n]\n");
    return CLI_OK;
}

/* ---------------------------------------------------------------- the cached ones ------------------------------- */

/* The names in a folder, sorted; one that is not there is empty. */
static int read_entries(struct names *n, const char *folder)
{
    struct system_folder *d = system_folder_open(folder);
    int rc = CLI_OK;

    *n = (struct names){ 0 };
    for (const char *name; d && !rc && (name = system_folder_next(d));)
        if (name[0] != '.' && !names_add(n, name))
            rc = cli_no_memory();
    if (d)
        system_folder_close(d);
    names_sort(n);
    return rc;
}

/* The files under a folder; none where it is not there. */
static int read_files(struct names *n, const char *folder)
{
    struct stat st;

    *n = (struct names){ 0 };
    return system_stat(folder, &st) ? CLI_OK : names_read(n, folder);
}

/* The refs that stand at a commit, with blanks between. */
static int refs_of(struct aki__buf *out, const char *repository, const char *commit)
{
    char folder[CACHE_PATH + 8], at[CACHE_NAME];
    struct names refs;

    snprintf(folder, sizeof folder, "%s/refs", repository);
    int rc = read_files(&refs, folder);
    for (size_t i = 0; i < refs.count && !rc; i++)
        if (cache_read_ref(repository, refs.list[i], at, sizeof at) && !strcmp(at, commit) &&
            !((!out->size || aki__buf_append(out, " ", 1, CLI_CEILING)) && aki__buf_append(out, refs.list[i], strlen(refs.list[i]), CLI_CEILING)))
            rc = cli_no_memory();
    names_free(&refs);
    return rc || aki__buf_append(out, "", 1, CLI_CEILING) ? rc : cli_no_memory();
}

/* Bytes of a snapshot's files, and whether a model could be opened from them. */
static int measure_snapshot(const char *snapshot, uint64_t *size, bool *opens)
{
    char path[CACHE_PATH * 2];
    struct names n;
    struct stat st;
    bool weights = false;
    int rc = names_read(&n, snapshot);

    *size = 0;
    for (size_t i = 0; i < n.count && !rc; i++) {
        size_t length = strlen(n.list[i]);
        weights |= (length > 12 && !strcmp(n.list[i] + length - 12, ".safetensors")) || (length > 5 && !strcmp(n.list[i] + length - 5, ".onnx"));
        if (snprintf(path, sizeof path, "%s/%s", snapshot, n.list[i]) < (int)sizeof path && system_stat(path, &st) == 0)
            *size += (uint64_t)st.st_size;
    }
    *opens = weights && names_have(&n, "config.json") && names_have(&n, "tokenizer.json");
    names_free(&n);
    return rc;
}

/* models--ORG--NAME to ORG/NAME. */
static void model_name(char out[CACHE_NAME + 64], const char *entry)
{
    const char *dashes = strstr(entry + 8, "--");

    if (dashes)
        snprintf(out, CACHE_NAME + 64, "%.*s/%.200s", (int)(dashes - entry - 8 < 200 ? dashes - entry - 8 : 200), entry + 8, dashes + 2);
    else
        snprintf(out, CACHE_NAME + 64, "%.200s", entry + 8);
}

static int print_snapshot(const struct options *o, struct sink *out, const char *name, const char *repository, const char *commit, bool first)
{
    char snapshot[CACHE_PATH + 300], text[32];
    struct aki__buf refs = { 0 };
    uint64_t size = 0;
    bool opens = false;

    snprintf(snapshot, sizeof snapshot, "%s/snapshots/%s", repository, commit);
    int rc = refs_of(&refs, repository, commit);
    if (!rc)
        rc = measure_snapshot(snapshot, &size, &opens);
    if (rc)
        goto done;
    if (o->json) {
        sink_printf(out, "%s\n  {\"name\": ", first ? "" : ",");
        sink_json_string(out, name);
        sink_printf(out, ", \"refs\": ");
        sink_json_string(out, refs.data);
        sink_printf(out, ", \"commit\": ");
        sink_json_string(out, commit);
        sink_printf(out, ", \"size\": %" PRIu64 ", \"embedder\": %s, \"folder\": ", size, opens ? "true" : "false");
        sink_json_string(out, snapshot);
        sink_printf(out, "}");
    } else {
        sink_printf(out, "%-58s %-12s %-12.12s %10s%s\n", name, refs.data, commit, machine_size_text(text, sizeof text, size),
                    opens ? "" : "  (no embedder's files, or not all)");
    }
done:
    aki__buf_free(&refs);
    return rc;
}

static int print_cached(const struct options *o, struct sink *out)
{
    char cache[CACHE_PATH], repository[CACHE_PATH], folder[CACHE_PATH + 16], name[CACHE_NAME + 64];
    struct names repositories, snapshots = { 0 };
    size_t count = 0;

    if (!cache_folder(cache, sizeof cache))
        return cli_fail(CLI_USAGE, "no place for the cache: set HF_HOME");
    int rc = read_entries(&repositories, cache);
    if (o->json)
        sink_printf(out, "[");
    for (size_t i = 0; i < repositories.count && !rc; i++) {
        if (strncmp(repositories.list[i], "models--", 8))
            continue;
        model_name(name, repositories.list[i]);
        if (!cache_repository(repository, cache, name))
            continue;
        snprintf(folder, sizeof folder, "%s/snapshots", repository);
        rc = read_entries(&snapshots, folder);
        for (size_t k = 0; k < snapshots.count && !rc; k++)
            rc = print_snapshot(o, out, name, repository, snapshots.list[k], count++ == 0);
        names_free(&snapshots);
    }
    if (o->json)
        sink_printf(out, "\n]\n");
    else if (!rc && !count)
        cli_warn("no models in %s", cache);
    names_free(&repositories);
    return rc;
}

int models_run(const struct options *o)
{
    struct sink out;

    if (o->word_count)
        return cli_fail(CLI_USAGE, "models takes no names, only options");
    int rc = sink_open_stdout(&out);
    if (!rc)
        rc = o->models.known ? print_known(o, &out) : print_cached(o, &out);
    return sink_close(&out, rc);
}

/* ---------------------------------------------------------------- rm -------------------------------------------- */

static bool find_locks(char folder[CACHE_PATH], const char *model)
{
    char cache[CACHE_PATH];

    return cache_folder(cache, sizeof cache) && cache_locks(folder, cache, model);
}

static bool is_locked(const char *folder, const char *name, const char *suffix)
{
    char path[CACHE_PATH * 2];

    return snprintf(path, sizeof path, "%s/%s%s", folder, name, suffix) < (int)sizeof path && system_is_locked(path);
}

/* Someone who fetches holds a lock of the repository; blobs under their hands are not taken away. */
static int check_locks(const char *model)
{
    char folder[CACHE_PATH];
    struct names locks;
    bool busy = false;

    if (!find_locks(folder, model))
        return CLI_OK;
    int rc = read_entries(&locks, folder);
    for (size_t i = 0; i < locks.count && !rc && !busy; i++)
        busy = is_locked(folder, locks.list[i], "");
    names_free(&locks);
    return busy ? cli_fail(CLI_IO, "%s: another process is fetching it", model) : rc;
}

/* The blobs that a repository's snapshots link to. */
static int blobs_in_use(struct names *used, const char *repository)
{
    char folder[CACHE_PATH + 16], path[CACHE_PATH * 3], target[CACHE_PATH];
    struct names files;

    snprintf(folder, sizeof folder, "%s/snapshots", repository);
    int rc = read_files(&files, folder);
    for (size_t i = 0; i < files.count && !rc; i++) {
        if (snprintf(path, sizeof path, "%s/%s", folder, files.list[i]) >= (int)sizeof path)
            continue;
        if (!system_read_link(path, target, sizeof target))
            continue;
        const char *slash = strrchr(target, '/');
        rc = names_add(used, slash ? slash + 1 : target) ? CLI_OK : cli_no_memory();
    }
    names_free(&files);
    names_sort(used);
    return rc;
}

/* One snapshot, the refs that stand at it, and the blobs that nothing links to then, but for those that are being fetched. */
static int remove_snapshot(const char *repository, const char *model, const char *commit, uint64_t *freed)
{
    char path[CACHE_PATH + CACHE_NAME + 16], at[CACHE_NAME], locks[CACHE_PATH];
    bool has_locks = find_locks(locks, model);
    struct names list = { 0 }, used = { 0 };

    snprintf(path, sizeof path, "snapshots/%s", commit);
    int rc = system_remove_tree(repository, path, freed);
    snprintf(path, sizeof path, "%s/refs", repository);
    if (!rc)
        rc = read_files(&list, path);
    for (size_t i = 0; i < list.count && !rc; i++)
        if (cache_read_ref(repository, list.list[i], at, sizeof at) && !strcmp(at, commit)) {
            snprintf(path, sizeof path, "refs/%.*s", CACHE_PATH, list.list[i]);
            rc = system_remove_tree(repository, path, freed);
        }
    names_free(&list);
    if (!rc)
        rc = blobs_in_use(&used, repository);
    snprintf(path, sizeof path, "%s/blobs", repository);
    if (!rc)
        rc = read_entries(&list, path);
    for (size_t i = 0; i < list.count && !rc; i++)
        if (!names_have(&used, list.list[i]) && !(has_locks && is_locked(locks, list.list[i], ".lock"))) {
            snprintf(path, sizeof path, "blobs/%.*s", CACHE_PATH, list.list[i]);
            rc = system_remove_tree(repository, path, freed);
        }
    names_free(&list);
    names_free(&used);
    return rc;
}

/* All of it: put aside under a name that is no model's, so that whoever begins to fetch it now begins anew, and looked for someone who began
 * before that. */
static int remove_repository(const char *cache, const char *entry, const char *model, uint64_t *freed)
{
    char from[CACHE_PATH], aside[CACHE_PATH], to[CACHE_PATH * 2];

    if (snprintf(from, sizeof from, "%s/%s", cache, entry) >= (int)sizeof from || snprintf(aside, sizeof aside, ".%s.removed", entry) >= (int)sizeof aside)
        return cli_fail(CLI_IO, "%s: a path too long", cache);
    snprintf(to, sizeof to, "%s/%s", cache, aside);
    int rc = system_remove_tree(cache, aside, freed);         /* what one that was stopped has left */
    if (!rc && system_rename(from, to))
        rc = cli_fail(CLI_IO, "cannot remove %s: %s", from, strerror(errno));
    if (rc)
        return rc;
    rc = check_locks(model);
    if (rc && system_rename(to, from))
        cli_warn("what was of %s before is in %s", model, to);
    return rc ? rc : system_remove_tree(cache, aside, freed);
}

/* What devices keep. */
static int remove_compiled(void)
{
    char text[32];
    uint64_t freed = 0;
    aki_error error;
    aki_status status = aki_device_cache_clear(&freed, &error);

    cli_warn("compiled programs: %s freed", machine_size_text(text, sizeof text, freed));
    return status ? cli_fail(CLI_IO, "%s", error.message) : CLI_OK;
}

int rm_run(const struct options *o)
{
    char repository[CACHE_PATH], snapshot[CACHE_PATH], text[32], name[CACHE_NAME + 64];
    struct cache_name parts;
    uint64_t freed = 0;

    if (o->rm.compiled && !o->word_count)
        return remove_compiled();
    if (o->word_count != 1 || o->rm.compiled)
        return cli_fail(CLI_USAGE, o->rm.compiled ? "rm takes the name of a model or --compiled, not both" : "rm takes the name of one model of the cache");
    if (!cache_name_read(&parts, o->words[0]))
        return cli_fail(CLI_USAGE, "'%s' is no model's name; rm takes models out of the cache, not folders", o->words[0]);
    int rc = cache_find_repository(&parts, repository);
    if (!rc && parts.has_revision)
        rc = cache_find(o->words[0], snapshot);
    if (rc == CLI_NO_MODEL)
        return cli_fail(rc, "%s is not in the cache", o->words[0]);
    if (rc)
        return rc;
    char *slash = strrchr(repository, '/');
    model_name(name, slash + 1);
    rc = check_locks(name);
    if (rc)
        return rc;
    if (parts.has_revision) {
        rc = remove_snapshot(repository, name, strrchr(snapshot, '/') + 1, &freed);
    } else {
        *slash = '\0';
        rc = remove_repository(repository, slash + 1, name, &freed);
    }
    if (!rc)
        cli_warn("%s%s%s: %s freed", name, parts.has_revision ? "@" : "", parts.has_revision ? parts.revision : "",
                 machine_size_text(text, sizeof text, freed));
    return rc;
}
