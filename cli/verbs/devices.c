/* Unit devices: the verb `devices`: where models can be computed on this machine, and why not elsewhere. */
#include "cli/hub/model.h"
#include "cli/shell/machine.h"
#include "cli/shell/sink.h"

#include <inttypes.h>

static void write_devices_json(const aki_device *devices, size_t count, const aki_device_cache *cache, struct sink *out)
{
    sink_printf(out, "{\"devices\":[");
    for (size_t i = 0; i < count; i++) {
        sink_printf(out, "%s\n{\"name\":", i ? "," : "");
        sink_json_string(out, devices[i].name);
        sink_printf(out, ",\"description\":");
        sink_json_string(out, devices[i].description);
        sink_printf(out, ",\"usable\":%s,\"reason\":", devices[i].reason ? "false" : "true");
        sink_json_string(out, devices[i].reason);
        sink_printf(out, "}");
    }
    sink_printf(out, "\n],\n\"compiled\":{\"programs\":%d,\"size\":%" PRIu64 ",\"most_size\":%" PRIu64 ",\"folder\":", cache->programs, cache->size, cache->most_size);
    sink_json_string(out, cache->folder);
    sink_printf(out, "}}\n");
}

static void write_devices(const aki_device *devices, size_t count, const aki_device_cache *cache, struct sink *out)
{
    char text[64], most[64];

    for (size_t i = 0; i < count; i++) {
        sink_printf(out, "%-10s%-9s%s\n", devices[i].name, devices[i].reason ? "no" : "usable", devices[i].description ? devices[i].description : "");
        if (devices[i].reason)
            sink_printf(out, "%-19s%s\n", "", devices[i].reason);
    }
    if (cache->programs)
        sink_printf(out, "compiled  %d programs, %s of at most %s, in %s\n", cache->programs, machine_size_text(text, sizeof text, cache->size),
                    machine_size_text(most, sizeof most, cache->most_size), cache->folder);
}

int devices_run(const struct options *o)
{
    const aki_device *devices = NULL;
    size_t count = 0;
    aki_device_cache cache;
    struct sink out;
    aki_error error;

    if (o->word_count)
        return cli_fail(CLI_USAGE, "devices takes no texts ('%s')", o->words[0]);
    if (o->device_plugin && aki_load_device_plugin(o->device_plugin, &error))
        return cli_fail(CLI_DEVICE, "%s", error.message);
    aki_device_cache_init(&cache, sizeof cache);
    if (aki_devices(&devices, &count, &error) || aki_device_cache_get(&cache, &error))
        return model_failed(&error, NULL);
    int rc = sink_open_stdout(&out);
    if (o->json)
        write_devices_json(devices, count, &cache, &out);
    else
        write_devices(devices, count, &cache, &out);
    return sink_close(&out, rc);
}
