/* Unit devices: the verb `devices`: where models can be computed on this machine, and why not elsewhere. */
#include "cli/hub/model.h"
#include "cli/shell/sink.h"

static void write_devices_json(const aki_device *devices, size_t count, struct sink *out)
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
    sink_printf(out, "\n]}\n");
}

static void write_devices(const aki_device *devices, size_t count, struct sink *out)
{
    for (size_t i = 0; i < count; i++) {
        sink_printf(out, "%-10s%-9s%s\n", devices[i].name, devices[i].reason ? "no" : "usable", devices[i].description ? devices[i].description : "");
        if (devices[i].reason)
            sink_printf(out, "%-19s%s\n", "", devices[i].reason);
    }
}

int devices_run(const struct options *o)
{
    const aki_device *devices = NULL;
    size_t count = 0;
    struct sink out;
    aki_error error;

    if (o->word_count)
        return cli_fail(CLI_USAGE, "devices takes no texts ('%s')", o->words[0]);
    if (o->device_plugin && aki_load_device_plugin(o->device_plugin, &error))
        return cli_fail(CLI_DEVICE, "%s", error.message);
    if (aki_devices(&devices, &count, &error))
        return model_failed(&error, NULL);
    int rc = sink_open_stdout(&out);
    if (o->json)
        write_devices_json(devices, count, &out);
    else
        write_devices(devices, count, &out);
    return sink_close(&out, rc);
}
