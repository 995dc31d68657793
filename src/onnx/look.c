/* Unit look: an .onnx file before ONNX Runtime opens it. See look.h. */
#include "onnx/look.h"

#include "base/os.h"
#include "model/reader.h"

struct look { const char *path, *name; aki_status rc; aki_error *err; struct aki__onnx_text last; };

/* A file of the model's folder that may be missing; shown: what messages call it. *map is to be closed. */
static aki_status look_at(struct aki__map *map, const char *path, const char *shown, aki_error *err)
{
    aki_error why;
    aki_status rc = aki__map_open(map, path, &why);

    if (rc == AKI_E_NOT_FOUND)
        return AKI_OK;
    if (rc)
        return aki__fail(err, rc, "%s", why.message);
    return aki__is_lfs_pointer(map->data, map->size) ? aki__fail(err, AKI_E_INVALID, "%s: " AKI_LFS_POINTER, shown) : AKI_OK;
}

/* location is relative to the file's folder. Names that lead out of it are refused by ONNX Runtime. */
static void look_at_external(void *user, struct aki__onnx_text location)
{
    struct look *l = user;
    const char *slash = strrchr(l->path, '/');
    size_t folder = slash ? (size_t)(slash - l->path) + 1 : 0;
    struct aki__map map = { 0 };

    if (l->rc || (location.size == l->last.size && memcmp(location.data, l->last.data, location.size) == 0))
        return;
    l->last = location;             /* all tensors of a model mostly lie in one file */
    if (!aki__name_is_inside(location.data, location.size))
        return;
    char *path = aki__alloc(folder + location.size + 1, 1);
    if (!path) {
        l->rc = aki__fail(l->err, AKI_E_NOMEM, "%s", l->name);
        return;
    }
    memcpy(path, l->path, folder);
    memcpy(path + folder, location.data, location.size);
    path[folder + location.size] = '\0';
    l->rc = look_at(&map, path, path + folder, l->err);
    aki__map_close(&map);
    aki__free(path);
}

aki_status aki__onnx_look(struct aki__onnx_weights *out, const char *path, const char *name, aki_error *err)
{
    struct look l = { .path = path, .name = name, .err = err };
    struct aki__map map = { 0 };

    *out = (struct aki__onnx_weights){ 0 };
    l.rc = look_at(&map, path, name, err);
    if (!l.rc) {
        aki__onnx_count_weights(out, map.data, map.size);
        aki__onnx_external(map.data, map.size, look_at_external, &l);
    }
    aki__map_close(&map);
    return l.rc;
}
