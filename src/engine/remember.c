/* Unit remember: stores the figures of self-tests in files. See remember.h. */
#include "engine/remember.h"

#include "base/json.h"

#include <math.h>
#include <stdio.h>

/* KEY_SIZE: without the final NUL. */
enum { KEY_SIZE = 32, MOST_BYTES = 512, MOST_KEY = 1 << 21, MOST_NODES = 1 << 20, DIGITS = 8 /* of a float */ };

uint64_t aki__remember_model(const aki_model *m)
{
    uint64_t hash = 1;

    for (size_t i = 0; i < m->folder->file_count && hash; i++) {
        struct aki__map map;
        if (aki__map_open(&map, m->folder->files[i].path, NULL))
            return 0;
        hash = aki__hash(map.data, map.size, hash);
        aki__map_close(&map);
    }
    return hash;
}

char *aki__remember_path(const aki_model *m, uint64_t content, const struct aki__device *d)
{
    char text[160], name[KEY_SIZE + 8];
    struct aki__buf key = { 0 };
    char *folder = NULL, *path = NULL;

    if (!content)
        return NULL;
    snprintf(text, sizeof text, "%s %016llx %d %d %d", aki_version(), (unsigned long long)content, m->precision, m->max_tokens,
             m->max_batch_tokens);
    if (aki__buf_append(&key, text, strlen(text) + 1, MOST_KEY) && aki__device_identity(&key, d))
        folder = aki__cache_folder("self-tests", true);
    if (folder) {
        snprintf(name, sizeof name, "%016llx%016llx.json", (unsigned long long)aki__hash(key.data, key.size, 1),
                 (unsigned long long)aki__hash(key.data, key.size, 2));
        path = aki__join(folder, name);
    }
    aki__buf_free(&key);
    aki__free(folder);
    return path;
}

/* The key: the name of the file without its extension. */
static const char *key_of(const char *path) { return path + strlen(path) - KEY_SIZE - strlen(".json"); }

static bool read_int(const struct aki__json *root, const char *key, int64_t least, int64_t most, int *out)
{
    int64_t number = 0;

    if (!aki__json_int(aki__json_get(root, key), &number) || number < least || number > most)
        return false;
    *out = (int)number;
    return true;
}

static bool read_figures(const struct aki__json *root, const char *key, int vectors, struct aki__figures *out)
{
    int cosine = 0;
    const struct aki__json *name = aki__json_get(root, "key");

    bool ok = aki__json_is(name, AKI_JSON_STRING) && name->size == KEY_SIZE && memcmp(name->text, key, KEY_SIZE) == 0;
    ok = ok && read_int(root, "cosine_e9", -1000000001, 1000000001, &cosine) && read_int(root, "nan", 0, vectors, &out->bad) &&
         read_int(root, "zeros", 0, vectors, &out->zero) && read_int(root, "nodes", 0, MOST_NODES, &out->nodes) &&
         read_int(root, "elsewhere", 0, MOST_NODES, &out->elsewhere) && read_int(root, "partitions", 0, MOST_NODES, &out->partitions);
    out->cosine = cosine / 1e9;
    return ok;
}

/* Floats as the digits of their bits, which JSON's numbers would not keep. */
static bool read_known(const struct aki__json *digits, float *known, size_t count)
{
    bool ok = aki__json_is(digits, AKI_JSON_STRING) && digits->size == DIGITS * count;

    for (size_t i = 0; i < count && ok; i++) {
        uint32_t bits = 0;
        for (size_t k = 0; k < DIGITS && ok; k++) {
            const char c = digits->text[DIGITS * i + k];
            const char *found = c ? strchr("0123456789abcdef", c) : NULL;
            ok = found != NULL;
            bits = bits << 4 | (ok ? (uint32_t)(found - "0123456789abcdef") : 0);
        }
        memcpy(&known[i], &bits, sizeof bits);
        ok = ok && isfinite(known[i]);
    }
    return ok;
}

bool aki__remember_read(const char *path, int vectors, struct aki__figures *out, float *known, size_t count, bool *whole)
{
    struct aki__json_doc doc = { 0 };
    struct aki__map map = { 0 };
    struct aki__figures found = { 0 };

    bool ok = path && aki__map_open(&map, path, NULL) == AKI_OK && map.size <= MOST_BYTES + DIGITS * count &&
        aki__json_parse(&doc, map.data, map.size, path, NULL) == AKI_OK &&
              read_figures(doc.nodes, key_of(path), vectors, &found);
    *whole = ok && (!count || read_known(aki__json_get(doc.nodes, "known"), known, count));
    aki__json_free(&doc);
    aki__map_close(&map);
    if (ok)
        *out = found;
    return ok;
}

void aki__remember_write(const char *path, const struct aki__figures *f, const float *known, size_t count)
{
    struct aki__buf text = { 0 };

    if (!path)
        return;
    /* Rounded down, so that the stored figure is never better than the measured one. */
    aki__buf_format(&text, MOST_KEY, "{\"key\":\"%.*s\",\"cosine_e9\":%.0f,\"nan\":%d,\"zeros\":%d,\"nodes\":%d,\"elsewhere\":%d,\"partitions\":%d", KEY_SIZE, key_of(path),
                    floor(f->cosine * 1e9), f->bad, f->zero, f->nodes, f->elsewhere, f->partitions);
    if (count)
        aki__buf_format(&text, MOST_KEY, ",\"known\":\"");
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &known[i], sizeof bits);
        aki__buf_format(&text, MOST_KEY, "%08x", (unsigned)bits);
    }
    aki__buf_format(&text, MOST_KEY, "%s}\n", count ? "\"" : "");
    if (!text.failed)
        aki__file_replace(path, text.data, text.size);
    aki__buf_free(&text);
}
