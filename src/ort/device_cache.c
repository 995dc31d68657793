/* Unit device_cache: folders of compiled programs. See device_cache.h. */
#include "ort/device_cache.h"

#include <stdio.h>
#include <stdlib.h>

static const char lock_suffix[] = ".lock";

/* ---------------------------------------------------------------- one program ----------------------------------- */

static char *lock_path(const char *folder)
{
    const size_t size = strlen(folder) + sizeof lock_suffix;
    char *out = aki__alloc(size, 1);

    if (out)
        snprintf(out, size, "%s%s", folder, lock_suffix);
    return out;
}

static bool acquire(struct aki__file_lock *l, const char *folder, enum aki__lock_kind kind)
{
    char *path = lock_path(folder);
    bool ok = path && aki__file_lock_acquire(l, path, kind);

    aki__free(path);
    return ok;
}

/* What the marker says, and when the program was last used; false: there is none. used NULL: not asked for, and it is used now. */
static bool read_marker(const char *folder, uint64_t *size, int64_t *used)
{
    struct aki__map map = { 0 };
    char *path = aki__join(folder, "complete"), *end = NULL, text[24];
    uint64_t bytes;
    int64_t changed;
    bool ok = path && aki__file_stamp(path, &bytes, used ? used : &changed) && aki__map_open(&map, path, NULL) == AKI_OK && map.size > 1 && map.size < sizeof text;

    if (ok) {
        snprintf(text, sizeof text, "%.*s", (int)map.size, map.data);
        *size = strtoull(text, &end, 10);
        ok = *end == '\n';
    }
    if (ok && !used)
        aki__file_touch(path);
    aki__map_close(&map);
    aki__free(path);
    return ok;
}

static bool write_marker(const char *folder)
{
    char text[24], *path = aki__join(folder, "complete");
    int count = snprintf(text, sizeof text, "%llu\n", (unsigned long long)aki__folder_size(folder));
    bool ok = path && aki__file_replace(path, text, (size_t)count);

    aki__free(path);
    return ok;
}

/* With its lock held alone, which ends: the marker goes first, so that half of it is never taken for a whole one, and the lock's file last. */
static bool remove_program(const char *folder, struct aki__file_lock *l)
{
    char *marker = aki__join(folder, "complete"), *lock = lock_path(folder);
    bool gone = marker && lock && aki__remove_all(marker) && aki__remove_all(folder);

    if (gone)
        aki__file_remove(lock);
    aki__file_lock_release(l);
    aki__free(lock);
    aki__free(marker);
    return gone;
}

/* ---------------------------------------------------------------- all programs ---------------------------------- */

struct program { char *folder; uint64_t size; int64_t used; bool in_use; };
struct programs { const char *root; struct program *list; size_t count, capacity; };

static void add_program(void *user, const char *name)
{
    struct programs *p = user;
    const size_t size = strlen(name), suffix = sizeof lock_suffix - 1;
    char *folder = name[0] == '.' || (size > suffix && strcmp(name + size - suffix, lock_suffix) == 0) ? NULL : aki__join(p->root, name);

    if (folder && aki__grow((void **)&p->list, &p->capacity, p->count + 1, sizeof *p->list))
        p->list[p->count++] = (struct program){ .folder = folder };
    else
        aki__free(folder);
}

/* Those that are whole. What is not, and in nobody's hands, was left by somebody who was killed: it is removed. Adds the bytes of what clear takes
 * away as well to *freed. */
static void find_programs(struct programs *p, const char *root, bool clear, uint64_t *freed)
{
    size_t kept = 0;

    *p = (struct programs){ .root = root };
    aki__folder_each(root, add_program, p);
    for (size_t i = 0; i < p->count; i++) {
        struct program one = p->list[i];
        struct aki__file_lock l;
        one.in_use = !acquire(&l, one.folder, AKI_LOCK_ALONE_NOW);
        bool whole = read_marker(one.folder, &one.size, &one.used);
        uint64_t size = !clear || one.in_use ? 0 : whole ? one.size : aki__folder_size(one.folder);
        if (!one.in_use && (clear || !whole) && remove_program(one.folder, &l)) {
            *freed += size;
            whole = false;
        }
        aki__file_lock_release(&l);
        if (whole || one.in_use)
            p->list[kept++] = one;
        else
            aki__free(one.folder);
    }
    p->count = kept;
}

static void free_programs(struct programs *p)
{
    for (size_t i = 0; i < p->count; i++)
        aki__free(p->list[i].folder);
    aki__free(p->list);
}

static int older_first(const void *a, const void *b)
{
    const struct program *x = a, *y = b;

    return (x->used > y->used) - (x->used < y->used);
}

/* Down to the ceiling. */
static void sweep(const char *root)
{
    struct programs p;
    uint64_t sum = 0, freed = 0;

    find_programs(&p, root, false, &freed);
    for (size_t i = 0; i < p.count; i++)
        sum += p.list[i].size;
    qsort(p.list, p.count, sizeof *p.list, older_first);
    for (size_t i = 0; i < p.count && sum > AKI_DEVICE_CACHE_MOST; i++) {
        struct aki__file_lock l;
        if (acquire(&l, p.list[i].folder, AKI_LOCK_ALONE_NOW) && remove_program(p.list[i].folder, &l))
            sum -= p.list[i].size;
        aki__file_lock_release(&l);
    }
    free_programs(&p);
}

char *aki__device_cache_look(int *programs, uint64_t *size)
{
    char *root = aki__cache_folder("coreml", false);
    struct programs p = { 0 };
    uint64_t freed = 0;

    *programs = 0;
    *size = 0;
    if (root)
        find_programs(&p, root, false, &freed);
    for (size_t i = 0; i < p.count; i++) {
        *programs += p.list[i].size != 0;
        *size += p.list[i].size;
    }
    free_programs(&p);
    return root;
}

int aki__device_cache_clear(uint64_t *freed)
{
    char *root = aki__cache_folder("coreml", false);
    struct programs p = { 0 };

    if (root)
        find_programs(&p, root, true, freed);
    int left = (int)p.count;
    free_programs(&p);
    aki__free(root);
    return left;
}

/* ---------------------------------------------------------------- a session's ----------------------------------- */

void aki__device_cache_close(struct aki__device_cache *c)
{
    aki__file_lock_release(&c->lock);
    aki__free(c->folder);
    *c = (struct aki__device_cache){ 0 };
}

bool aki__device_cache_open(struct aki__device_cache *c, const char *key)
{
    char *root = aki__cache_folder("coreml", true);
    uint64_t size;

    *c = (struct aki__device_cache){ .folder = root ? aki__join(root, key) : NULL };
    aki__free(root);
    bool ok = c->folder && acquire(&c->lock, c->folder, AKI_LOCK_SHARED);
    c->whole = ok && read_marker(c->folder, &size, NULL);
    if (ok && !c->whole) {
        aki__file_lock_release(&c->lock);   /* waiting for more with a part in hand would be waiting for each other */
        ok = acquire(&c->lock, c->folder, AKI_LOCK_ALONE);
        c->whole = ok && read_marker(c->folder, &size, NULL);       /* somebody else's work, meanwhile */
        ok = ok && (c->whole ? aki__file_lock_change(&c->lock, AKI_LOCK_SHARED) : aki__remove_all(c->folder) && aki__make_folder(c->folder, NULL) == AKI_OK);
    }
    if (!ok)
        aki__device_cache_close(c);
    return ok;
}

bool aki__device_cache_finish(struct aki__device_cache *c, bool made)
{
    if (!c->folder)
        return false;
    if (!made) {
        /* One that was whole may be in others' use, and is then left to them. */
        const bool again = (!c->whole || aki__file_lock_change(&c->lock, AKI_LOCK_ALONE_NOW)) && remove_program(c->folder, &c->lock) && c->whole;
        aki__device_cache_close(c);
        return again;
    }
    if (!c->whole && !(write_marker(c->folder) && aki__file_lock_change(&c->lock, AKI_LOCK_SHARED)))
        aki__file_lock_release(&c->lock);   /* without a marker it is of no use to anybody else, and removed by the next */
    char *root = aki__cache_folder("coreml", true);
    if (root)
        sweep(root);
    aki__free(root);
    return false;
}
