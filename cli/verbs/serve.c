/* Unit serve: the verb `serve`: finds the models and hands them, with the limits, to server/. */
#include "cli/hub/cache.h"
#include "cli/hub/known.h"
#include "cli/shell/machine.h"
#include "cli/hub/model.h"
#include "cli/shell/number.h"
#include "cli/shell/system.h"

#include "server/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct service {
    const struct options *o;
    struct server_model models[MODEL_LIMIT];
    char               *names[MODEL_LIMIT], *paths[MODEL_LIMIT], *also[MODEL_LIMIT][SERVER_ALSO];   /* malloc'd; models borrows them */
    size_t              count;
};

/* The server's threads open models through this, one at a time or several at once. */
static int open_model_at(void *user, const char *path, aki_model **out)
{
    const struct service *j = user;
    struct options o = *j->o;
    struct model m = { 0 };

    o.model = path;
    char text[256];
    int rc = model_open(&m, &o, false);
    const char *cost = rc ? NULL : model_int8_cost(&m.info, text, sizeof text);

    if (cost)
        cli_tell("%s: %s", path, cost);
    *out = m.handle;
    m.handle = NULL;
    if (rc && *out) {
        aki_model_close(*out);
        *out = NULL;
    }
    model_close(&m);
    return rc;
}

/* The last part of a path, without the slashes behind it. */
static const char *last_part(const char *path, size_t *size)
{
    *size = strlen(path);
    while (*size > 1 && path[*size - 1] == '/')
        --*size;
    for (size_t i = *size; i > 1; i--) {
        if (path[i - 2] == '/') {
            *size -= i - 1;
            return path + i - 1;
        }
    }
    return path;
}

/* The path to call a model by, malloc'd: where it ends in . or .., that of the folder which these are. NULL: no memory. */
static char *telling_path(const char *path)
{
    size_t size;
    const char *last = last_part(path, &size);
    bool dots = !strncmp(last, "..", size) && size <= 2;
    char *whole = dots ? system_whole_path(path) : NULL;

    return whole ? whole : strdup(path);
}

/* "ORG/NAME" of a folder in the cache, ".../models--ORG--NAME/snapshots/COMMIT"; or of a known model whose folder is called as at the hub.
 * false: it has no name there. */
static bool hub_name(char out[CACHE_NAME], const char *path, const char *folder)
{
    static const char mark[] = "models--";
    const char *at = strstr(path, mark);
    const struct known *known = known_find(folder);

    if (at && strstr(at, "/snapshots/")) {
        at += strlen(mark);
        const char *middle = strstr(at, "--"), *end = strchr(at, '/');
        bool parts = middle && middle < end;
        return snprintf(out, CACHE_NAME, "%.*s%s%.*s", (int)((parts ? middle : end) - at), at, parts ? "/" : "", parts ? (int)(end - middle - 2) : 0,
                        parts ? middle + 2 : "") < CACHE_NAME;
    }
    if (!known || strcasecmp(strchr(known->name, '/') + 1, folder))
        return false;
    return snprintf(out, CACHE_NAME, "%s", known->name) < CACHE_NAME;
}

/* What else clients may call it: as it was typed, by its folder, and by its name at the hub, whole or its last part. */
static bool add_also(struct service *j, const char *model)
{
    char **also = j->also[j->count], name[CACHE_NAME], *path = telling_path(j->paths[j->count]);
    size_t size = 0;
    const char *folder = path ? last_part(path, &size) : NULL;

    also[0] = strdup(model);
    also[1] = folder ? strndup(folder, size) : NULL;
    bool ok = also[0] && also[1];
    if (ok && hub_name(name, path, also[1])) {
        also[2] = strdup(name);
        also[3] = strdup(strchr(name, '/') ? strchr(name, '/') + 1 : name);
        ok = also[2] && also[3];
    }
    free(path);
    if (!ok)
        return false;
    for (int i = 0; i < SERVER_ALSO; i++) {
        bool utf8 = also[i] && aki__utf8_check(also[i], strlen(also[i])) == AKI_UTF8_VALID;
        j->models[j->count].also[i] = utf8 ? also[i] : NULL;
    }
    return true;
}

/* A path beginning with . or / is called by its last part, other text by itself; malloc'd. NULL: no memory. */
static char *name_of(const char *text)
{
    char *path = telling_path(text), *name;
    size_t size = path ? strlen(path) : 0;
    const char *from = path;

    if (path && path[0] && strchr("./", path[0]))
        from = last_part(path, &size);
    while (size > 1 && from[size - 1] == '/')
        size--;
    name = path ? strndup(from, size) : NULL;
    free(path);
    return name;
}

/* "NAME=MODEL", or "MODEL". What exists by the whole text is that, though it has a = in it. */
static int add_model(struct service *j, const char *text)
{
    struct stat st;
    const char *equals = system_stat(text, &st) ? strchr(text, '=') : NULL, *model = equals && equals > text ? equals + 1 : text;

    j->names[j->count] = model > text ? strndup(text, (size_t)(equals - text)) : name_of(text);
    if (!j->names[j->count])
        return cli_no_memory();
    size_t size = strlen(j->names[j->count]);
    if (aki__utf8_check(j->names[j->count], size) != SIZE_MAX)
        return cli_fail(CLI_USAGE, "--model: the name is not UTF-8");
    for (size_t i = 0; i < j->count; i++)
        if (!strcmp(j->names[i], j->names[j->count]))
            return cli_fail(CLI_USAGE, "--model: two models are called '%s'; give names: NAME=MODEL", j->names[i]);
    int rc = model_find(model, &j->paths[j->count]);
    if (rc)
        return rc;
    j->models[j->count] = (struct server_model){ .name = j->names[j->count], .path = j->paths[j->count] };
    if (!add_also(j, model))
        return cli_no_memory();
    j->count++;
    return CLI_OK;
}

static int read_mode(const char *text, int *mode)
{
    char *end;
    long value = strtol(text, &end, 8);

    if (end == text || *end || value < 0 || value > 0777)
        return cli_fail(CLI_USAGE, "--unix-mode is octal rights such as 660, not '%s'", text);
    *mode = (int)value;
    return CLI_OK;
}

static int run(struct service *j, const struct options *o)
{
    struct server_options s = {
        .host = o->serve.host, .unix_path = o->serve.unix_path, .port = o->serve.port,
        .models = j->models, .model_count = j->count, .any_model = o->serve.any_model, .preload = o->serve.preload,
        .keys_file = o->serve.api_keys, .cors_origin = o->serve.cors, .tls_cert = o->serve.tls_cert, .tls_key = o->serve.tls_key,
        .max_body = (size_t)o->serve.max_body, .max_answer = (size_t)o->serve.max_answer,
        .max_inputs = (size_t)o->serve.max_inputs, .max_inputs_openai = (size_t)o->serve.max_inputs_openai,
        .max_queue_tokens = (size_t)o->serve.max_queue_tokens, .max_connections = o->serve.max_connections,
        .http_threads = o->serve.http_threads, .deadline = o->serve.deadline,
        .idle_timeout = o->serve.idle_timeout, .header_timeout = o->serve.header_timeout, .body_timeout = o->serve.body_timeout,
        .write_timeout = o->serve.write_timeout, .idle_close = o->serve.idle_close, .drain = o->serve.drain, .quiet = o->quiet,
        .open = open_model_at, .open_user = j, .resident = machine_resident, .write_f32 = number_f32,
    };

    if (!o->serve.tls_cert != !o->serve.tls_key)
        return cli_fail(CLI_USAGE, "--tls-cert and --tls-key go together");
    int rc = read_mode(o->serve.unix_mode, &s.unix_mode);
    if (rc)
        return rc;
    return server_run(&s);
}

int serve_run(const struct options *o)
{
    struct service j = { .o = o };
    int rc = CLI_OK;

    /* What is said from here on, also by the threads that open models, is a line of the log. */
    cli_listen(server_say);
    if (o->word_count)
        rc = cli_fail(CLI_USAGE, "serve takes no arguments, only options; models go behind --model");
    for (int i = 0; i < o->serve.model_count && !rc; i++)
        rc = add_model(&j, o->serve.models[i]);
    if (!rc)
        rc = run(&j, o);
    for (size_t i = 0; i <= j.count && i < MODEL_LIMIT; i++) {
        free(j.names[i]);
        free(j.paths[i]);
        for (int k = 0; k < SERVER_ALSO; k++)
            free(j.also[i][k]);
    }
    cli_listen(NULL);
    return rc;
}
