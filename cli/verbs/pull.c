/* Unit pull: the verb `pull`: a model from a hub into the Hugging Face cache. */
#include "cli/hub/blob.h"
#include "cli/hub/known.h"
#include "cli/shell/machine.h"
#include "cli/shell/options.h"
#include "cli/shell/progress.h"
#include "cli/shell/sink.h"
#include "cli/shell/system.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { LISTING_LIMIT = 64 << 20, FILE_LIMIT = 16 << 20, STALL_SECONDS = 20 };
static const char default_endpoint[] = "https://huggingface.co";

struct pull {
    struct fetch_hub  hub;
    struct cache_name name;
    const char       *weights;             /* --file, or NULL */
    char              endpoint[1024], token[1024];
    struct blob_place place;
    struct names      listed;              /* at the hub */
    struct blob      *files;               /* [count] wanted */
    size_t            count;
    uint64_t          total;               /* bytes of all files */
};

/* ---------------------------------------------------------------- small answers --------------------------------- */

struct text {
    struct aki__buf bytes;
    size_t       limit;
};

static int begin_text(struct fetch *fetch)
{
    struct text *t = fetch->user;

    t->bytes.size = 0;
    return CLI_OK;
}

static int write_text(struct fetch *fetch, const char *data, size_t size)
{
    struct text *t = fetch->user;

    if (size > t->limit - t->bytes.size)
        return cli_fail(CLI_INPUT, "%s: more than %zu bytes", fetch->name, t->limit);
    return aki__buf_append(&t->bytes, data, size, CLI_CEILING) ? CLI_OK : cli_no_memory();
}

static int read_listing(struct pull *p)
{
    struct text t = { .limit = LISTING_LIMIT };
    struct fetch f = { .name = p->name.model, .begin = begin_text, .write = write_text, .user = &t };
    char why[HUB_WHY], *model = fetch_escape(p->name.model, false), *revision = fetch_escape(p->name.revision, true);

    f.url = model && revision ? cli_format("%s/api/models/%s/revision/%s", p->hub.endpoint, model, revision) : NULL;
    int rc = f.url ? fetch_run(&p->hub, &(struct fetch *){ &f }, 1) : cli_no_memory();
    if (!rc && !aki__buf_append(&t.bytes, "", 1, CLI_CEILING))
        rc = cli_no_memory();
    if (!rc) {
        rc = hub_read_listing(&p->listed, p->place.commit, t.bytes.data, t.bytes.size - 1, why);
        if (rc)
            cli_fail(rc, "%s: %s", p->name.model, why);
    }
    aki__buf_free(&t.bytes);
    free(model);
    free(revision);
    return rc;
}

/* ---------------------------------------------------------------- many files ------------------------------------ */

static struct blob *find_file(const struct pull *p, const char *path)
{
    for (size_t i = 0; i < p->count; i++)
        if (!strcmp(p->files[i].path, path))
            return &p->files[i];
    return NULL;
}

static char *file_url(const struct pull *p, const char *path)
{
    char *model = fetch_escape(p->name.model, false), *name = fetch_escape(path, false);
    char *url = model && name ? cli_format("%s/%s/resolve/%s/%s", p->hub.endpoint, model, p->place.commit, name) : NULL;

    free(model);
    free(name);
    return url;
}

/* Hash and size from the hub's headers. */
static int end_head(struct fetch *fetch)
{
    struct blob *f = fetch->user;

    if (!fetch->etag[0])
        return cli_fail(CLI_IO, "%s: the hub gives no ETag that could be a file's name: is this a hub's endpoint?", f->path);
    if (fetch->commit[0] && strcmp(fetch->commit, f->place->commit))
        return cli_fail(CLI_IO, "%s: the hub answers with another commit than was asked for", f->path);
    memcpy(f->etag, fetch->etag, sizeof f->etag);
    f->size = fetch->size;
    f->file = cli_format("%s/blobs/%s", f->place->repository, f->etag);
    f->incomplete = cli_format("%s/blobs/%s.incomplete", f->place->repository, f->etag);
    return f->file && f->incomplete ? CLI_OK : cli_no_memory();
}

/* Adds the paths that are not there yet, and asks what they are. */
static int add_files(struct pull *p, const struct names *paths)
{
    struct fetch **list = calloc(paths->count + 1, sizeof *list);
    struct blob *files = aki__realloc(p->files, p->count + paths->count, sizeof *files);
    size_t first = p->count;
    int rc = list && files ? CLI_OK : cli_no_memory();

    if (files)
        p->files = files;
    for (size_t i = 0; i < paths->count && !rc; i++) {
        if (find_file(p, paths->list[i]))
            continue;
        struct blob *f = &p->files[p->count++];
        *f = (struct blob){ .place = &p->place, .fd = -1, .lock = -1 };
        for (size_t k = 0; k < p->listed.count && !f->path; k++)
            if (!strcmp(p->listed.list[k], paths->list[i]))
                f->path = p->listed.list[k];
        f->fetch = (struct fetch){ .url = file_url(p, f->path), .name = f->path, .head = true, .end = end_head };
        rc = f->fetch.url ? CLI_OK : cli_no_memory();
    }
    for (size_t i = first; i < p->count; i++) {
        p->files[i].fetch.user = &p->files[i];
        if (list)
            list[i - first] = &p->files[i].fetch;
    }
    if (!rc)
        rc = fetch_run(&p->hub, list, p->count - first);
    free(list);
    return rc;
}

static void show_progress(void *user)
{
    const struct pull *p = user;
    uint64_t bytes = 0;

    if (!p->total)
        return;
    for (size_t i = 0; i < p->count; i++)
        if (p->files[i].size != FETCH_UNKNOWN)
            bytes += p->files[i].done ? p->files[i].size : p->files[i].fetch.at;
    progress_bytes(bytes, p->total);
}

/* What is left to fetch has to fit. */
static int check_space(struct pull *p)
{
    uint64_t needed = 0, there = 0;
    uint64_t room;
    struct stat st;
    char need[32], have[32];

    p->total = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct blob *f = &p->files[i];
        uint64_t size = f->size == FETCH_UNKNOWN ? 0 : f->size, part = 0;
        if (f->done || blob_is_there(f))
            part = size;
        else if (stat(f->incomplete, &st) == 0 && (uint64_t)st.st_size <= size)
            part = (uint64_t)st.st_size;
        if (__builtin_add_overflow(p->total, size, &p->total))
            return cli_fail(CLI_INPUT, "%s: sizes that no disk has", p->name.model);
        needed += size - part;
        there += part;
    }
    progress_skip(there);
    if (!needed || !system_room(p->place.repository, &room))
        return CLI_OK;
    cli_note("%s at commit %s: %zu files, %s to fetch", p->name.model, p->place.commit, p->count, machine_size_text(need, sizeof need, needed));
    return room >= needed ? CLI_OK
                          : cli_fail(CLI_IO, "%s: %s are needed and %s are free in %s", p->name.model, machine_size_text(need, sizeof need, needed),
                                     machine_size_text(have, sizeof have, room), p->place.repository);
}

/* Fetches what is not there and links all. */
static int fetch_files(struct pull *p)
{
    struct fetch **list = calloc(p->count + 1, sizeof *list);
    size_t count = 0;
    int rc = list ? check_space(p) : cli_no_memory();

    for (size_t i = 0; i < p->count && !rc; i++) {
        struct blob *f = &p->files[i];
        if (f->done)
            continue;
        if (blob_is_there(f)) {
            rc = blob_done(f);
            continue;
        }
        blob_fetch(f, file_url(p, f->path));
        list[count++] = &f->fetch;
        rc = f->fetch.url ? CLI_OK : cli_no_memory();
    }
    if (!rc)
        rc = fetch_run(&p->hub, list, count);
    free(list);
    return rc;
}

/* A small file's content, with a spare byte behind it. path NULL: there is no such file. */
static int read_small(struct aki__buf *out, const char *path)
{
    const char *why = "";
    FILE *f = path ? system_fopen_regular(path, &why) : NULL;
    size_t n = 1;
    int rc = CLI_OK;

    if (path && !f)
        rc = cli_fail(CLI_IO, "cannot read %s: %s", path, why);
    while (f && n && !rc) {
        if (out->size > FILE_LIMIT)
            rc = cli_fail(CLI_INPUT, "%s: more than %d bytes", path, FILE_LIMIT);
        else if (!aki__buf_reserve(out, 65536, CLI_CEILING))
            rc = cli_no_memory();
        else
            out->size += n = fread(out->data + out->size, 1, 65536, f);
    }
    if (f && !rc && ferror(f))
        rc = cli_fail(CLI_IO, "cannot read %s: %s", path, strerror(errno));
    if (f)
        fclose(f);
    return !rc && path && !aki__buf_reserve(out, 1, CLI_CEILING) ? cli_no_memory() : rc;
}

/* The files that a model is opened from, of those that are listed. modules, index: paths of these two files, or NULL. */
static int choose(struct names *wanted, const struct pull *p, const char *modules, const char *index)
{
    struct aki__buf a = { 0 }, b = { 0 };
    char why[HUB_WHY];

    int rc = read_small(&a, modules);
    if (!rc)
        rc = read_small(&b, index);
    if (!rc) {
        rc = hub_select(wanted, &p->listed, p->weights, modules ? &(struct hub_text){ a.data, a.size } : NULL,
                        index ? &(struct hub_text){ b.data, b.size } : NULL, why);
        if (rc)
            cli_fail(rc, "%s: %s", p->name.model, why);
    }
    aki__buf_free(&a);
    aki__buf_free(&b);
    return rc;
}

/* ---------------------------------------------------------------- the verb -------------------------------------- */

/* Two rounds: modules.json and the index of the weights say what else belongs to the model. */
static int fetch_model(struct pull *p)
{
    struct names wanted = { 0 }, first = { 0 };
    char snapshot[CACHE_PATH * 2], blobs[CACHE_PATH + 16];
    const char *index_name;

    int rc = read_listing(p);
    if (!rc)
        rc = choose(&wanted, p, NULL, NULL);           /* before anything is written: is it a model at all? */
    names_free(&wanted);
    snprintf(snapshot, sizeof snapshot, "%s/snapshots/%s", p->place.repository, p->place.commit);
    snprintf(blobs, sizeof blobs, "%s/blobs", p->place.repository);
    if (rc || (rc = blob_make_folders(blobs)) || (rc = blob_make_folders(snapshot)) || (rc = blob_make_folders(p->place.locks)))
        return rc;
    index_name = hub_index_of(&p->listed, p->weights);
    if (names_have(&p->listed, "modules.json") && !names_add(&first, "modules.json"))
        rc = cli_no_memory();
    if (!rc && index_name && !names_add(&first, index_name))
        rc = cli_no_memory();
    if (!rc)
        rc = add_files(p, &first);
    if (!rc)
        rc = fetch_files(p);
    if (!rc) {
        const struct blob *modules = find_file(p, "modules.json"), *index = index_name ? find_file(p, index_name) : NULL;
        rc = choose(&wanted, p, modules ? modules->file : NULL, index ? index->file : NULL);
    }
    if (!rc)
        rc = add_files(p, &wanted);
    if (!rc)
        rc = fetch_files(p);
    if (!rc)
        rc = blob_write_ref(&p->place, p->name.revision);
    names_free(&first);
    names_free(&wanted);
    return rc;
}

/* What is in the cache has to do, and to be whole. */
static int find_offline(struct pull *p, const char *text, char *folder)
{
    struct names wanted = { 0 };
    char modules[CACHE_PATH + 64], index[CACHE_PATH + 1100];
    const char *index_name;

    int rc = cache_find(text, folder);
    if (rc)
        return rc == CLI_NO_MODEL ? cli_fail(rc, "%s is not in the cache, and --offline (HF_HUB_OFFLINE) lets nothing be fetched", text) : rc;
    rc = names_read(&p->listed, folder);
    index_name = hub_index_of(&p->listed, p->weights);
    snprintf(modules, sizeof modules, "%s/modules.json", folder);
    snprintf(index, sizeof index, "%s/%.1024s", folder, index_name ? index_name : "");
    if (!rc && choose(&wanted, p, names_have(&p->listed, "modules.json") ? modules : NULL,
                      index_name && names_have(&p->listed, index_name) ? index : NULL))
        rc = cli_fail(CLI_NO_MODEL, "%s is in the cache, but not whole; without --offline, pull fetches the rest", text);
    names_free(&wanted);
    return rc;
}

/* Without blanks around it. false: it holds what no token holds. */
static bool set_token(struct pull *p, const char *text)
{
    size_t size;

    text += strspn(text, " \t\r\n");
    size = strcspn(text, " \t\r\n");
    if (size >= sizeof p->token || text[size + strspn(text + size, " \t\r\n")])
        return false;
    for (size_t i = 0; i < size; i++)
        if (text[i] < 0x21 || text[i] > 0x7E)
            return false;
    snprintf(p->token, sizeof p->token, "%.*s", (int)size, text);
    p->hub.token = size ? p->token : NULL;
    return true;
}

/* $HF_TOKEN, or what `hf auth login` has written. */
static int find_token(struct pull *p)
{
    const char *token = cache_variable("HF_TOKEN"), *path = cache_variable("HF_TOKEN_PATH");
    char home[CACHE_PATH], file[CACHE_PATH + 16], text[1024] = "";

    if (!token)
        token = cache_variable("HUGGING_FACE_HUB_TOKEN");
    if (token)
        return set_token(p, token) ? CLI_OK : cli_fail(CLI_USAGE, "HF_TOKEN is not a token: it holds blanks or other characters that no token has");
    if (path && !cache_path(file, sizeof file, path))
        return cli_fail(CLI_USAGE, "HF_TOKEN_PATH: a path too long");
    if (!path && cache_home(home, sizeof home))
        snprintf(file, sizeof file, "%s/token", home);
    else if (!path)
        *file = '\0';
    path = *file ? file : NULL;
    FILE *f = path ? fopen(path, "r") : NULL;
    bool ok = !f || !fgets(text, sizeof text, f) || set_token(p, text);
    if (f)
        fclose(f);
    return ok ? CLI_OK : cli_fail(CLI_INPUT, "%s: the first line is no token", path);
}

static bool is_true(const char *value)
{
    static const char *const words[] = { "1", "on", "yes", "true" };

    for (size_t i = 0; value && i < sizeof words / sizeof *words; i++)
        if (!strcasecmp(value, words[i]))
            return true;
    return false;
}

static int set_up(struct pull *p, const char *text)
{
    const char *endpoint = cache_variable("HF_ENDPOINT"), *stall = cache_variable("HF_HUB_DOWNLOAD_TIMEOUT");
    char cache[CACHE_PATH];

    if (!cache_name_read(&p->name, text))
        return cli_fail(CLI_USAGE, "'%s' is no model's name: ORG/NAME, NAME@REVISION or one of 'akiembed models --known'", text);
    const struct known *known = known_find(p->name.model);
    if (known) {
        snprintf(p->name.model, sizeof p->name.model, "%s", known->name);
        if (!p->name.has_revision)
            snprintf(p->name.revision, sizeof p->name.revision, "%s", known->revision);
    }
    int n = snprintf(p->endpoint, sizeof p->endpoint, "%s", endpoint ? endpoint : default_endpoint);
    if (n < 0 || n >= (int)sizeof p->endpoint || (strncasecmp(p->endpoint, "https://", 8) && strncasecmp(p->endpoint, "http://", 7)))
        return cli_fail(CLI_USAGE, "HF_ENDPOINT is an address of https or http, not '%.200s'", p->endpoint);
    while (n && p->endpoint[n - 1] == '/')
        p->endpoint[--n] = '\0';
    if (!cache_folder(cache, sizeof cache) || !cache_repository(p->place.repository, cache, p->name.model) ||
        !cache_locks(p->place.locks, cache, p->name.model))
        return cli_fail(CLI_USAGE, "no place for the cache: set HF_HOME");
    long seconds = stall ? strtol(stall, NULL, 10) : 0;
    p->hub = (struct fetch_hub){ .endpoint = p->endpoint, .stall = seconds > 0 && seconds < 86400 ? (int)seconds : STALL_SECONDS,
                                 .progress = show_progress, .user = p };
    return find_token(p);
}

static int print_folder(const char *folder)
{
    struct sink out;
    int rc = sink_open_stdout(&out);

    sink_printf(&out, "%s\n", folder);
    return sink_close(&out, rc);
}

static int pull_model(struct pull *p, char folder[CACHE_PATH])
{
    char size[32];
    double start = aki__seconds();

    progress_start();
    int rc = fetch_model(p);
    progress_end();
    if (rc > CLI_STOPPED)
        cli_warn("stopped; the same command goes on from here");
    if (rc)
        return rc;
    cli_note("%s: %zu files, %s, in %.1f s", p->name.model, p->count, machine_size_text(size, sizeof size, p->total), aki__seconds() - start);
    int n = snprintf(folder, CACHE_PATH, "%s/snapshots/%s", p->place.repository, p->place.commit);
    return n > 0 && n < CACHE_PATH ? CLI_OK : cli_fail(CLI_IO, "%s: a path too long", p->place.repository);
}

int pull_run(const struct options *o)
{
    const char *text = o->word_count ? o->words[0] : OPTIONS_MODEL;
    struct pull *p = calloc(1, sizeof *p);
    char folder[CACHE_PATH];

    if (o->word_count > 1) {
        free(p);
        return cli_fail(CLI_USAGE, "pull takes one model's name");
    }
    int rc = p ? set_up(p, text) : cli_no_memory();
    if (!rc) {
        p->weights = o->weights;
        rc = o->pull.offline || is_true(cache_variable("HF_HUB_OFFLINE")) ? find_offline(p, text, folder) : pull_model(p, folder);
    }
    if (!rc)
        rc = print_folder(folder);
    for (size_t i = 0; p && i < p->count; i++) {
        blob_close(&p->files[i]);
        free(p->files[i].file);
        free(p->files[i].incomplete);
    }
    if (p) {
        fetch_close(&p->hub);
        names_free(&p->listed);
        free(p->files);
    }
    free(p);
    return rc;
}
