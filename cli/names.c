/* Unit names: lists of file names. See names.h. */
#include "names.h"

#include "cli.h"
#include "system.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_LIMIT = 8192, DEPTH_LIMIT = 8 };

bool names_add(struct names *n, const char *name)
{
    if (n->count == n->capacity) {
        size_t capacity = n->capacity ? n->capacity * 2 : 32;
        char **list = cli_grow(n->list, capacity, sizeof *list);
        if (!list)
            return false;
        n->list = list;
        n->capacity = capacity;
    }
    n->list[n->count] = strdup(name);
    return n->list[n->count] ? n->count++, true : false;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_sort(struct names *n)
{
    if (n->count)
        qsort(n->list, n->count, sizeof *n->list, compare_names);
}

bool names_have(const struct names *n, const char *name)
{
    return n->count && bsearch(&name, n->list, n->count, sizeof *n->list, compare_names);
}

void names_free(struct names *n)
{
    while (n->count)
        free(n->list[--n->count]);
    free(n->list);
    *n = (struct names){ 0 };
}

/* part: the subfolder's path from the folder on, "" or "a/b/". Links are followed, as opening a model does; the depth bounds their circles. */
static int read_folder(struct names *n, const char *folder, const char *part, int depth)
{
    char path[PATH_LIMIT], name[PATH_LIMIT];
    struct stat st;
    int rc = CLI_OK;

    if (snprintf(path, sizeof path, "%s/%s", folder, part) >= (int)sizeof path)
        return cli_fail(CLI_IO, "%s: a path too long", folder);
    struct system_folder *d = system_folder_open(path);
    if (!d)
        return cli_fail(CLI_IO, "cannot read %s: %s", path, strerror(errno));
    for (const char *entry; !rc && (entry = system_folder_next(d));) {
        if (!strcmp(entry, ".") || !strcmp(entry, ".."))
            continue;
        if (snprintf(name, sizeof name, "%s%s", part, entry) >= (int)sizeof name - 1 ||
            snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
            rc = cli_fail(CLI_IO, "%s: a path too long", folder);
        else if (system_stat(path, &st))
            continue;                      /* a link to nothing */
        else if (S_ISREG(st.st_mode))
            rc = names_add(n, name) ? CLI_OK : cli_no_memory();
        else if (S_ISDIR(st.st_mode) && depth < DEPTH_LIMIT) {
            memcpy(name + strlen(name), "/", 2);
            rc = read_folder(n, folder, name, depth + 1);
        }
    }
    system_folder_close(d);
    return rc;
}

int names_read(struct names *n, const char *folder)
{
    *n = (struct names){ 0 };
    int rc = read_folder(n, folder, "", 0);
    names_sort(n);
    return rc;
}
