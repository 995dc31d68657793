/* Fuzzes what pull believes of a hub: the first byte chooses --file; then come the list of files, modules.json and the index of the
 * weights, with a byte 0xFF between two, which no JSON has. Whatever they say, no path leads out of the model's folder. */
#include "fuzz.h"

#include "cli/shell/cli.h"
#include "cli/hub/hub.h"

#include <stdlib.h>
#include <string.h>

/* A copy with a byte of room, of what lies before the next 0xFF. */
static struct hub_text next_text(const uint8_t **data, size_t *size)
{
    const uint8_t *end = memchr(*data, 0xFF, *size);
    size_t n = end ? (size_t)(end - *data) : *size;
    struct hub_text text = { malloc(n + 1), n };

    FUZZ_CHECK(text.data);
    memcpy(text.data, *data, n);
    *data += n + (end != NULL);
    *size -= n + (end != NULL);
    return text;
}

/* By other means than hub.c's. */
static void check_path(const char *path)
{
    FUZZ_CHECK(*path && *path != '/' && !strchr(path, '\\') && !strchr(path, '\n'));
    FUZZ_CHECK(strcmp(path, "..") && strncmp(path, "../", 3) && !strstr(path, "/../") && !strstr(path, "//"));
    FUZZ_CHECK(strlen(path) < 3 || strcmp(path + strlen(path) - 3, "/.."));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const choices[] = { NULL, "onnx/model.onnx", "a/b.safetensors.index.json", "model.safetensors" };
    struct names files = { 0 }, wanted = { 0 };
    char commit[HUB_COMMIT] = "", why[HUB_WHY] = "", etag[HUB_ETAG];

    if (!size)
        return 0;
    const char *weights = choices[data[0] & 3];
    if (hub_etag(etag, (const char *)data, size))
        FUZZ_CHECK(hub_word_is_safe(etag) && !strchr(etag, '/') && etag[0] != '.' && strlen(etag) < HUB_ETAG);
    data++, size--;
    struct hub_text listing = next_text(&data, &size), modules = next_text(&data, &size), index = next_text(&data, &size);
    int rc = hub_read_listing(&files, commit, listing.data, listing.size, why);
    if (!rc) {
        FUZZ_CHECK(*commit && !strchr(commit, '/') && commit[0] != '.');
        for (size_t i = 0; i < files.count; i++)
            check_path(files.list[i]);
        rc = hub_select(&wanted, &files, weights, modules.size ? &modules : NULL, hub_index_of(&files, weights) ? &index : NULL, why);
        for (size_t i = 0; i < wanted.count; i++)
            FUZZ_CHECK(names_have(&files, wanted.list[i]));
    }
    FUZZ_CHECK(!rc || (*why && aki__utf8_check(why, strlen(why)) == AKI_UTF8_VALID));
    names_free(&files);
    names_free(&wanted);
    free(listing.data);
    free(modules.data);
    free(index.data);
    return 0;
}
