/* Unit device: what a device's results depend on besides the model. See device.h. */
#include "base/os.h"
#include "ort/device_find.h"
#include "ort/device_rules.h"

#include <stdio.h>

enum { MOST_IDENTITY = 1 << 20, MOST_HARDWARE = 64 };

/* With its NUL, so that no two lists of strings look the same. */
static bool put_string(struct aki__buf *out, const char *text)
{
    return aki__buf_append(out, text ? text : "", text ? strlen(text) + 1 : 1, MOST_IDENTITY);
}

static bool put_number(struct aki__buf *out, long long number)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", number);
    return put_string(out, text);
}

static bool put_pairs(struct aki__buf *out, const struct aki__runtime *rt, const OrtKeyValuePairs *pairs)
{
    const char *const *keys = NULL, *const *values = NULL;
    size_t count = 0;
    bool ok = true;

    if (pairs)
        rt->api->GetKeyValuePairs(pairs, &keys, &values, &count);
    for (size_t i = 0; i < count && ok; i++)
        ok = put_string(out, keys[i]) && put_string(out, values[i]);
    return ok;
}

static bool put_hardware(struct aki__buf *out, const struct aki__runtime *rt, const OrtHardwareDevice *h)
{
    return put_number(out, rt->api->HardwareDevice_Type(h)) && put_number(out, rt->api->HardwareDevice_VendorId(h)) && put_number(out, rt->api->HardwareDevice_DeviceId(h)) &&
           put_string(out, rt->api->HardwareDevice_Vendor(h)) && put_pairs(out, rt, rt->api->HardwareDevice_Metadata(h));
}

/* All devices that this process's ONNX Runtime sees, with the versions and drivers that their providers tell. */
static bool put_machine(struct aki__buf *out, const struct aki__runtime *rt)
{
    const OrtEpDevice *const *devices = NULL;
    const OrtHardwareDevice *hardware[MOST_HARDWARE];
    size_t count = 0, pieces = 0;
    bool ok = true;

    OrtStatus *st = rt->api->GetEpDevices(rt->env, &devices, &count);
    for (size_t i = 0; i < count && !st && ok; i++)
        ok = put_string(out, rt->api->EpDevice_EpName(devices[i])) && put_string(out, rt->api->EpDevice_EpVendor(devices[i])) &&
             put_pairs(out, rt, rt->api->EpDevice_EpMetadata(devices[i])) && put_hardware(out, rt, rt->api->EpDevice_Device(devices[i]));
    /* Also those that no provider has taken for its own: built-in ones find theirs by themselves. */
    if (!st && rt->newer)
        st = rt->newer->GetNumHardwareDevices(rt->env, &pieces);
    if (!st && rt->newer && pieces <= MOST_HARDWARE)
        st = rt->newer->GetHardwareDevices(rt->env, hardware, pieces);
    for (size_t i = 0; i < pieces && !st && ok && pieces <= MOST_HARDWARE; i++)
        ok = put_hardware(out, rt, hardware[i]);
    if (st)
        rt->api->ReleaseStatus(st);
    return ok;
}

static bool put_plugins(struct aki__buf *out)
{
    const char *name, *path;
    bool ok = true;

    for (size_t i = 0; ok && aki__device_plugin_at(i, &name, &path); i++) {
        uint64_t size = 0;
        int64_t changed = 0;
        aki__file_stamp(path, &size, &changed);
        ok = put_string(out, name) && put_string(out, path) && put_number(out, (long long)size) && put_number(out, changed);
    }
    return ok;
}

bool aki__device_identity(struct aki__buf *out, const struct aki__device *d)
{
    const struct aki__runtime *rt;
    struct aki__device_settings settings;
    char system[512];

    if (aki__runtime_get(&rt, -1, NULL))
        return false;
    aki__system_name(system, sizeof system);
    aki__device_collect(&settings, d);
    bool ok = put_string(out, rt->version) && put_string(out, rt->api->GetBuildInfoString()) && put_string(out, system) && put_string(out, d->name) &&
              put_number(out, aki__device_is_fixed(d));
    for (size_t i = 0; i < settings.count && ok; i++)
        ok = put_string(out, settings.keys[i]) && put_string(out, settings.values[i]);
    aki__device_list_take();
    ok = ok && put_machine(out, rt) && put_plugins(out);
    aki__device_list_drop();
    return ok;
}
