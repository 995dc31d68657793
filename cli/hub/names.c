/* Unit names: lists of file names. See names.h. */
#include "names.h"

#include "cli/shell/cli.h"
#include "cli/shell/system.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A folder of a model, or the snapshots of one, has some dozens. */
enum { PATH_LIMIT = 8192, DEPTH_LIMIT = 8, ENTRIES_LIMIT = 100000 };

bool names_add(struct names *n, const char *name)
{
    if (n->count == n->capacity) {
        size_t capacity = n->capacity ? n->capacity * 2 : 32;
        char **list = aki__realloc(n->list, capacity, sizeof *list);
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

/* Links are followed, as opening a model does. So a folder may hold itself, or the same one many times over: what it is in is not entered
 * again, and the entries that are looked at are counted. */
struct walk {
    struct names *names;
    const char   *folder;
    size_t        entries;
    struct stat   above[DEPTH_LIMIT + 1];  /* the folders that are being read; no st_ino (Windows): none is known again */
};

static bool is_above(const struct walk *w, const struct stat *st, int depth)
{
    for (int i = 0; i <= depth; i++)
        if (st->st_ino && w->above[i].st_ino == st->st_ino && w->above[i].st_dev == st->st_dev)
            return true;
    return false;
}

/* part: the subfolder's path from the folder on, "" or "a/b/". */
static int read_folder(struct walk *w, const char *part, int depth)
{
    char path[PATH_LIMIT], name[PATH_LIMIT];
    const char *folder = w->folder;
    struct stat st;
    int rc = CLI_OK;

    if (snprintf(path, sizeof path, "%s/%s", folder, part) >= (int)sizeof path)
        return cli_fail(CLI_IO, "%s: a path too long", folder);
    struct system_folder *d = system_stat(path, &w->above[depth]) ? NULL : system_folder_open(path);
    if (!d)
        return cli_fail(CLI_IO, "cannot read %s: %s", path, strerror(errno));
    for (const char *entry; !rc && (entry = system_folder_next(d));) {
        if (!strcmp(entry, ".") || !strcmp(entry, ".."))
            continue;
        if (++w->entries > ENTRIES_LIMIT)
            rc = cli_fail(CLI_INPUT, "%s: more than %d files and folders", folder, ENTRIES_LIMIT);
        else if (snprintf(name, sizeof name, "%s%s", part, entry) >= (int)sizeof name - 1 ||
            snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
            rc = cli_fail(CLI_IO, "%s: a path too long", folder);
        else if (system_stat(path, &st))
            continue;                      /* a link to nothing */
        else if (S_ISREG(st.st_mode))
            rc = names_add(w->names, name) ? CLI_OK : cli_no_memory();
        else if (S_ISDIR(st.st_mode) && depth < DEPTH_LIMIT && !is_above(w, &st, depth)) {
            memcpy(name + strlen(name), "/", 2);
            rc = read_folder(w, name, depth + 1);
        }
    }
    system_folder_close(d);
    return rc;
}

int names_read(struct names *n, const char *folder)
{
    struct walk w = { .names = n, .folder = folder };

    *n = (struct names){ 0 };
    int rc = read_folder(&w, "", 0);
    names_sort(n);
    return rc;
}
