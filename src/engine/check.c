/* Unit check: aki_check reports all that is wrong with a model folder. It opens what can be opened, and continues after every
 * error. */
#include "engine/check.h"

#include "arch/arch.h"
#include "base/json.h"
#include "base/os.h"
#include "model/parts.h"
#include "util/names.h"

#include <stdarg.h>
#include <stdio.h>

enum { MOST_OF_A_FILE = 20 };           /* problems that are reported one by one */

/* ---------------------------------------------------------------- reporting -------------------------------------- */

/* The entry of a file, or of problems that belong to no file (path ""); NULL: no memory. */
static struct aki__checked_file *file_of(struct aki__check *c, const char *path)
{
    for (size_t i = 0; i < c->file_count; i++)
        if (strcmp(c->files[i].path, path) == 0)
            return &c->files[i];
    char *copy = aki__copy_string(path, strlen(path));
    if (!copy || !aki__grow((void **)&c->files, &c->file_capacity, c->file_count + 1, sizeof *c->files)) {
        aki__free(copy);
        return NULL;
    }
    c->files[c->file_count] = (struct aki__checked_file){ .path = copy };
    return &c->files[c->file_count++];
}

/* false: the problem was reported before, or there is no memory (c->rc). */
static bool is_new(struct aki__check *c, uint64_t hash)
{
    if (2 * c->problems >= c->seen_size) {       /* never more than half full */
        size_t size = c->seen_size ? 2 * c->seen_size : 64;
        uint64_t *seen = aki__zalloc(size, sizeof *seen), *old = c->seen;
        if (!seen) {
            c->rc = aki__fail(c->err, AKI_E_NOMEM, "the list of faults");
            return false;
        }
        for (size_t i = 0, at; i < c->seen_size; i++) {
            for (at = old[i] & (size - 1); old[i] && seen[at]; at = (at + 1) & (size - 1))
                ;
            if (old[i])
                seen[at] = old[i];
        }
        aki__free(old);
        c->seen = seen;
        c->seen_size = size;
    }
    hash += !hash;
    size_t at = hash & (c->seen_size - 1);
    while (c->seen[at] && c->seen[at] != hash)
        at = (at + 1) & (c->seen_size - 1);
    bool found = c->seen[at] != 0;
    c->seen[at] = hash;
    return !found;
}

void aki__check_report(struct aki__check *c, int kind, const char *path, const char *message, uint64_t size, uint64_t total)
{
    const aki_check_event event = { .struct_size = sizeof event, .kind = kind, .path = path, .message = message, .size = size,
                                    .total = total };

    if (c->rc)
        return;
    if (kind == AKI_CHECK_PROBLEM) {
        uint64_t hash = aki__hash(message, strlen(message), aki__hash(path, strlen(path), 0));
        if (!is_new(c, hash))
            return;
        struct aki__checked_file *file = file_of(c, path);
        if (!file) {
            c->rc = aki__fail(c->err, AKI_E_NOMEM, "the list of faults");
            return;
        }
        if (c->problems == 0)
            aki__fail(c->err, AKI_E_INVALID, "%s%s%s", path, *path ? ": " : "", message);
        c->problems++;
        if (++file->problems > MOST_OF_A_FILE)
            return;
    }
    if (c->callback(c->user, &event))
        c->rc = aki__fail(c->err, AKI_E_CANCELLED, "%s: the check was ended by its caller", c->folder);
}

/* Reports how many problems more there are, for each file with too many. */
static void report_rest(struct aki__check *c)
{
    for (size_t i = 0; i < c->file_count && !c->rc; i++) {
        char message[60];
        const aki_check_event event = { .struct_size = sizeof event, .kind = AKI_CHECK_PROBLEM, .path = c->files[i].path,
                                        .message = message };
        if (c->files[i].problems <= MOST_OF_A_FILE)
            continue;
        snprintf(message, sizeof message, "and %zu more problems", c->files[i].problems - MOST_OF_A_FILE);
        if (c->callback(c->user, &event))
            c->rc = aki__fail(c->err, AKI_E_CANCELLED, "%s: the check was ended by its caller", c->folder);
    }
}

void aki__check_reportf(struct aki__check *c, int kind, const char *path, const char *format, ...)
{
    char message[400];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    aki__check_report(c, kind, path, message, 0, 0);
}

/* The message begins with the path of a file in the folder, if it is about one: "config.json: …". */
void aki__check_fault(void *user, const aki_error *why)
{
    struct aki__check *c = user;
    const char *message = why->message, *colon;
    size_t size = strlen(c->folder);
    char path[240];

    if (why->status == AKI_E_NOMEM) {
        c->rc = aki__fail(c->err, AKI_E_NOMEM, "%s", why->message);
        return;
    }
    if (strncmp(message, c->folder, size) == 0 && (message[size] == '/' || message[size] == ':'))
        message += size + (message[size] == '/' ? 1 : 2);
    colon = strstr(message, ": ");
    if (!colon || memchr(message, ' ', (size_t)(colon - message)) || !memchr(message, '.', (size_t)(colon - message))) {
        aki__check_report(c, AKI_CHECK_PROBLEM, "", message, 0, 0);
        return;
    }
    snprintf(path, sizeof path, "%.*s", (int)(colon - message), message);
    aki__check_report(c, AKI_CHECK_PROBLEM, path, colon + 2, 0, 0);
}

/* ---------------------------------------------------------------- files ----------------------------------------- */

/* A JSON file. Opening a model does not read all of them, nor to their ends. */
static void check_json(struct aki__check *c, const char *name)
{
    struct aki__map map;
    struct aki__json_doc doc = { 0 };
    aki_error why;
    char *path = aki__join(c->folder, name);

    if (!path) {
        c->rc = aki__fail(c->err, AKI_E_NOMEM, "%s", name);
        return;
    }
    aki_status rc = aki__map_open(&map, path, &why);
    if (rc && rc != AKI_E_NOT_FOUND) {
        aki__check_fault(c, &why);
    } else if (!rc) {
        rc = aki__json_parse(&doc, map.data, map.size, name, &why);
        if (!rc)
            aki__check_report(c, AKI_CHECK_READ, name, "JSON", map.size, 0);
        else
            aki__check_fault(c, &why);
        aki__json_free(&doc);
        aki__map_close(&map);
    }
    aki__free(path);
}

/* ---------------------------------------------------------------- the tokenizer --------------------------------- */

static void check_tokenizer(struct aki__check *c, const struct aki__model *m)
{
    struct aki__report report = { .callback = aki__check_fault, .user = c };
    struct aki__tokenizer *t = NULL;
    struct aki__map map;
    aki_error why;
    char *path = aki__join(c->folder, "tokenizer.json");

    if (!path) {
        c->rc = aki__fail(c->err, AKI_E_NOMEM, "tokenizer.json");
        return;
    }
    aki_status rc = aki__map_open(&map, path, &why);
    if (rc == AKI_E_NOT_FOUND)
        aki__no_tokenizer(c->folder, &why);
    if (rc) {
        aki__check_fault(c, &why);
    } else {
        aki__tokenizer_examine(&t, map.data, map.size, path, NULL, &report, &why);
        aki__map_close(&map);
    }
    if (t && m && m->architecture) {
        size_t ids = aki__tokenizer_vocabulary(t), special = aki__tokenizer_special_count(t);
        if (m->onnx && !m->vocabulary)
            aki__check_reportf(c, AKI_CHECK_NOTE, "tokenizer.json",
                               "%zu ids; no config.json says how many rows the embedding table has", ids);
        else if (ids > (size_t)m->vocabulary)
            aki__check_reportf(c, AKI_CHECK_PROBLEM, "tokenizer.json", "ids up to %zu, but config.json has vocab_size %d", ids - 1,
                               m->vocabulary);
        else if (ids < (size_t)m->vocabulary)
            aki__check_reportf(c, AKI_CHECK_NOTE, "tokenizer.json", "%zu ids of %d rows of the embedding table", ids, m->vocabulary);
        if (m->max_tokens && (size_t)m->max_tokens <= special)
            aki__check_reportf(c, AKI_CHECK_PROBLEM, "", "texts may have %d tokens, but tokenizer.json adds %zu to each",
                               m->max_tokens, special);
    }
    aki__tokenizer_free(t);
    aki__free(path);
}

/* ---------------------------------------------------------------- .onnx files ----------------------------------- */

/* The .onnx file whose network is checked if there are no safetensors: the first one that opens, else the first one. */
struct onnx_check { struct aki__check *c; char *file; bool opened; struct aki__onnx_facts facts; };

static void report_onnx(struct aki__check *c, const char *path, const char *file, const struct aki__onnx_file_info *info)
{
    struct aki__map map;
    char text[260];

    if (aki__map_open(&map, path, NULL) != AKI_OK)
        return;
    snprintf(text, sizeof text, "%.199s, %s", info->ports,
             info->precision == AKI_PRECISION_INT8 ? "quantised" : info->precision == AKI_PRECISION_F16 ? "f16" : "f32");
    aki__check_report(c, AKI_CHECK_READ, file, text, map.size, 0);
    aki__map_close(&map);
}

static void check_onnx(void *user, const char *file)
{
    struct onnx_check *o = user;
    struct aki__report report = { .callback = aki__check_fault, .user = o->c };
    struct aki__onnx_file *f = NULL;
    char *path = aki__join(o->c->folder, file), *copy = aki__copy_string(file, strlen(file));
    aki_error why = { 0 };

    aki_status rc = path && copy ? aki__onnx_file_open(&f, path, file, -1, &report, &why) : aki__fail(&why, AKI_E_NOMEM, "%s", file);
    if (rc && !report.count)
        aki__check_fault(o->c, &why);
    else if (!rc)
        report_onnx(o->c, path, file, aki__onnx_file_info(f));
    if (!o->file || (f && !o->opened)) {
        aki__free(o->file);
        o->file = copy;
        copy = NULL;
        o->opened = f != NULL;
        if (f)
            o->facts = aki__facts_of(aki__onnx_file_info(f));
    }
    aki__onnx_file_close(f);
    aki__free(copy);
    aki__free(path);
}

/* ---------------------------------------------------------------- the whole ------------------------------------- */

static void check_model(struct aki__check *c, const struct aki__model *m)
{
    if (m->architecture && m->pooling_assumed)
        aki__check_reportf(c, AKI_CHECK_NOTE, "",
                           "no modules.json, and nothing else says how to pool: %s, as sentence-transformers would",
                           m->pooling == AKI_POOLING_LAST ? "the last token" : "the mean");
    struct aki__weights **dense = aki__folder_of((struct aki__model *)(uintptr_t)m)->dense;

    aki_error why;
    if (aki__frame_check(m, &why))
        aki__check_fault(c, &why);
    if (m->prefix)
        aki__check_network(c, m);
    for (size_t i = 0; m->prefix && i < aki__weights_count(m->weights) && !c->rc; i++)
        aki__check_leftover(c, m, aki__weights_at(m->weights, i));
    c->total = aki__weights_bytes(m->weights);
    for (size_t i = 0; i < m->dense_count; i++)
        c->total += aki__weights_bytes(dense[i]);
    aki__check_weights(c, m->weights);
    for (size_t i = 0; i < m->dense_count && !c->rc; i++)
        aki__check_weights(c, dense[i]);
}

/* All JSON files that describe the model, its tokenizer, its modules or its weights. */
static void check_all_json(struct aki__check *c, const struct aki__model *m)
{
    for (size_t i = 0; i < AKI_JSON_FILES && !c->rc; i++)
        check_json(c, aki__json_files[i]);
    if (!c->rc)
        check_json(c, "model.safetensors.index.json");
    /* Those of the modules. */
    for (size_t i = 0; i < m->file_count && !c->rc; i++) {
        const char *name = aki__part_below(m->path, m->files[i].path);
        if (strchr(name, '/') && strlen(name) > 5 && strcmp(name + strlen(name) - 5, ".json") == 0)
            check_json(c, name);
    }
}

aki_status aki_check(const char *folder, int (*tell)(void *user, const aki_check_event *event), void *user, aki_error *err)
{
    struct aki__check c = { .folder = folder, .callback = tell, .user = user, .err = err };
    struct aki__model *m = NULL;

    if (!folder || !tell)
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", folder ? "tell" : "folder");
    if (!aki__is_folder(folder))
        return aki__no_folder(folder, err);
    struct onnx_check onnx = { .c = &c };
    if (aki__onnx_list(folder, check_onnx, &onnx))
        aki__model_folder_examine(&m, folder, aki__has_safetensors(folder) ? NULL : onnx.file, &onnx.facts, aki__families,
                                  (struct aki__report){ .callback = aki__check_fault, .user = &c });
    aki__free(onnx.file);
    if (!m)
        return aki__fail(err, AKI_E_NOMEM, "%s", folder);
    if (!c.rc) check_tokenizer(&c, m);
    if (!c.rc) check_model(&c, m);
    if (!c.rc) check_all_json(&c, m);
    if (!c.rc) report_rest(&c);
    aki__model_folder_close(m);
    for (size_t i = 0; i < c.file_count; i++)
        aki__free(c.files[i].path);
    aki__free(c.files);
    aki__free(c.used);
    aki__free(c.seen);
    if (!c.rc && c.problems)
        c.rc = AKI_E_INVALID;
    return c.rc;
}
