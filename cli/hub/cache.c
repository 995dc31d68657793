/* Unit cache: names and places in the Hugging Face cache. See cache.h. */
#include "cache.h"

#include "known.h"
#include "cli/shell/system.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_folder(const char *path)
{
    struct stat st;

    return system_stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Letters, digits and ._- in parts that are not empty, begin with no dot and hold no "..". */
static bool is_plain(const char *text, size_t size, size_t most_slashes)
{
    size_t slashes = 0;

    for (size_t i = 0; i < size; i++) {
        slashes += text[i] == '/';
        if (!isalnum((unsigned char)text[i]) && !strchr("/._-", text[i]))
            return false;
        if ((i == 0 || text[i - 1] == '/') && (text[i] == '/' || text[i] == '.'))
            return false;
        if (i && text[i] == '.' && text[i - 1] == '.')
            return false;
    }
    return size > 0 && size < CACHE_NAME && slashes <= most_slashes && text[size - 1] != '/';
}

bool cache_name_read(struct cache_name *out, const char *text)
{
    const char *at = strchr(text, '@');
    size_t size = at ? (size_t)(at - text) : strlen(text);

    out->has_revision = at != NULL;
    if (!is_plain(text, size, 1) || (at && !is_plain(at + 1, strlen(at + 1), 8)))
        return false;
    snprintf(out->model, sizeof out->model, "%.*s", (int)size, text);
    snprintf(out->revision, sizeof out->revision, "%s", at ? at + 1 : "main");
    return true;
}

const char *cache_variable(const char *name)
{
    const char *value = system_variable(name);

    return value && *value ? value : NULL;
}

/* The name of the variable at a '$' as Python finds it, "$NAME" or "${NAME}"; answers the bytes of all that, 0: it is none. */
static size_t variable_at(const char *text, char name[128])
{
    const bool braces = text[1] == '{';
    const char *begin = text + 1 + braces, *end = begin;

    if (braces)
        end += strcspn(begin, "}");
    else
        while ((*end >= '0' && *end <= '9') || (*end >= 'A' && *end <= 'Z') || (*end >= 'a' && *end <= 'z') || *end == '_')
            end++;
    if (end == begin || end - begin >= 128 || (braces && !*end))
        return 0;
    snprintf(name, 128, "%.*s", (int)(end - begin), begin);
    return (size_t)(end - text) + braces;
}

/* With the variables in it, which env files and units leave as they are; one that is not set stays, as in Python. */
static bool expand(char *out, size_t size, const char *text)
{
    char name[128];
    size_t n = 0;

    while (*text) {
        size_t taken = *text == '$' ? variable_at(text, name) : 0;
        const char *value = taken ? system_variable(name) : NULL;
        size_t count = value ? strlen(value) : taken ? taken : 1;
        if (count >= size - n)
            return false;
        memcpy(out + n, value ? value : text, count);
        n += count;
        text += taken ? taken : 1;
    }
    out[n] = '\0';
    return true;
}

/* first + behind, with a "~/" and variables as Python's expanduser and expandvars understand them. */
static bool put(char *out, size_t size, const char *first, const char *behind)
{
    const char *home = system_home();
    char text[CACHE_PATH];
    int n = -1;

    if (!first && home)
        n = snprintf(text, sizeof text, "%s/.cache%s", home, behind);
    else if (first && first[0] == '~' && (!first[1] || first[1] == '/'))
        n = home ? snprintf(text, sizeof text, "%s%s%s", home, first + 1, behind) : -1;
    else if (first)
        n = snprintf(text, sizeof text, "%s%s", first, behind);
    return n >= 0 && (size_t)n < sizeof text && expand(out, size, text);
}

bool cache_path(char *out, size_t size, const char *value)
{
    return put(out, size, value, "");
}

bool cache_home(char *out, size_t size)
{
    const char *home = cache_variable("HF_HOME");

    return home ? put(out, size, home, "") : put(out, size, cache_variable("XDG_CACHE_HOME"), "/huggingface");
}

bool cache_folder(char *out, size_t size)
{
    const char *hub = cache_variable("HF_HUB_CACHE"), *old = cache_variable("HUGGINGFACE_HUB_CACHE"), *home = cache_variable("HF_HOME");

    if (hub || old)
        return put(out, size, hub ? hub : old, "");
    return home ? put(out, size, home, "/hub") : put(out, size, cache_variable("XDG_CACHE_HOME"), "/huggingface/hub");
}

static bool place(char *out, const char *cache, const char *between, const char *model)
{
    const char *slash = strchr(model, '/');
    int n = slash ? snprintf(out, CACHE_PATH, "%s%smodels--%.*s--%s", cache, between, (int)(slash - model), model, slash + 1)
                  : snprintf(out, CACHE_PATH, "%s%smodels--%s", cache, between, model);

    return n > 0 && n < CACHE_PATH;
}

bool cache_repository(char *out, const char *cache, const char *model)
{
    return place(out, cache, "/", model);
}

bool cache_locks(char *out, const char *cache, const char *model)
{
    return place(out, cache, "/.locks/", model);
}

/* The one repository of the cache that ends in --NAME. */
static int find_by_end(const char *cache, const char *name, char *out)
{
    struct system_folder *folder = system_folder_open(cache);
    int rc = CLI_NO_MODEL;

    for (const char *entry; folder && (entry = system_folder_next(folder));) {
        const char *part = strncmp(entry, "models--", 8) ? NULL : strstr(entry + 8, "--");
        if (!part || strcmp(part + 2, name))
            continue;
        if (!rc) {
            rc = cli_fail(CLI_USAGE, "the cache has '%s' of several organisations: write ORG/%s", name, name);
            break;
        }
        int n = snprintf(out, CACHE_PATH, "%s/%s", cache, entry);
        rc = n > 0 && n < CACHE_PATH ? CLI_OK : CLI_NO_MODEL;
    }
    if (folder)
        system_folder_close(folder);
    return rc;
}

int cache_find_repository(const struct cache_name *name, char *out)
{
    const struct known *known = known_find(name->model);
    char cache[CACHE_PATH];

    if (!cache_folder(cache, sizeof cache))
        return CLI_NO_MODEL;
    if (cache_repository(out, cache, name->model) && is_folder(out))
        return CLI_OK;
    if (known && cache_repository(out, cache, known->name) && is_folder(out))
        return CLI_OK;
    return strchr(name->model, '/') ? CLI_NO_MODEL : find_by_end(cache, name->model, out);
}

bool cache_read_ref(const char *repository, const char *revision, char *out, size_t size)
{
    char path[CACHE_PATH + CACHE_NAME + 8];

    snprintf(path, sizeof path, "%s/refs/%s", repository, revision);
    const char *why;
    FILE *f = system_fopen_regular(path, &why);
    bool ok = f && fgets(out, (int)size, f);
    if (f)
        fclose(f);
    if (!ok)
        return false;
    out[strcspn(out, "\r\n")] = '\0';
    for (const char *s = out; *s; s++)
        if (!isalnum((unsigned char)*s))
            return false;
    return *out != '\0';
}

int cache_find(const char *text, char *out)
{
    struct cache_name name;
    char repository[CACHE_PATH], commit[CACHE_NAME];

    if (!cache_name_read(&name, text))
        return CLI_NO_MODEL;
    int rc = cache_find_repository(&name, repository);
    if (rc)
        return rc;
    if (!cache_read_ref(repository, name.revision, commit, sizeof commit))
        snprintf(commit, sizeof commit, "%s", name.has_revision ? name.revision : "");
    int n = snprintf(out, CACHE_PATH, "%s/snapshots/%s", repository, commit);
    return *commit && !strchr(commit, '/') && n > 0 && n < CACHE_PATH && is_folder(out) ? CLI_OK : CLI_NO_MODEL;
}

size_t cache_commits(const struct cache_name *name, char commit[CACHE_NAME])
{
    char repository[CACHE_PATH], folder[CACHE_PATH + 16], path[CACHE_PATH * 2];
    struct system_folder *d = NULL;
    size_t count = 0;

    if (cache_find_repository(name, repository) == CLI_OK) {
        snprintf(folder, sizeof folder, "%s/snapshots", repository);
        d = system_folder_open(folder);
    }
    for (const char *entry; d && (entry = system_folder_next(d));)
        if (is_plain(entry, strlen(entry), 0) && snprintf(path, sizeof path, "%s/%s", folder, entry) < (int)sizeof path && is_folder(path)) {
            snprintf(commit, CACHE_NAME, "%s", entry);
            count++;
        }
    if (d)
        system_folder_close(d);
    return count;
}
