/* Unit device_cache: the public functions about what devices keep on the disk. */
#include "ort/device_cache.h"

#include "engine/engine.h"

#include <stdio.h>

void aki_device_cache_init(void *cache, size_t size) { aki_embed_options_init(cache, size); }

aki_status aki_device_cache_get(aki_device_cache *cache, aki_error *err)
{
    aki_device_cache full = { .most_size = AKI_DEVICE_CACHE_MOST };
    int programs;

    if (!cache || cache->struct_size < sizeof cache->struct_size || cache->struct_size > 4096)
        return aki__fail(err, AKI_E_INVALID, "aki_device_cache is NULL, or not initialised with aki_device_cache_init");
    char *folder = aki__device_cache_look(&programs, &full.size);
    full.struct_size = cache->struct_size;
    full.programs = programs;
    snprintf(full.folder, sizeof full.folder, "%s", folder ? folder : "");
    aki__free(folder);
    memset(cache, 0, full.struct_size);
    memcpy(cache, &full, full.struct_size < sizeof full ? full.struct_size : sizeof full);
    return AKI_OK;
}

aki_status aki_device_cache_clear(uint64_t *freed, aki_error *err)
{
    uint64_t own = 0;
    int left = aki__device_cache_clear(&own);

    if (freed)
        *freed = own;
    return left ? aki__fail(err, AKI_E_IO, "%d of the compiled programs are in use", left) : AKI_OK;
}
