/* Unit device: which devices there are: providers, built in and of plugin libraries. See device.h and device_find.h. */
#include "ort/device_find.h"

#include "base/os.h"
#include "ort/device_rules.h"

#include <ctype.h>
#include <stdio.h>

enum { MOST_LISTED = 48, TEXT_LIMIT = AKI_DEVICE_TEXT };

/* ---------------------------------------------------------------- finding --------------------------------------- */

static struct aki__lock list_lock;          /* guards the plugins, and the latest list of devices */

/* Libraries that were loaded. */
static struct { char name[AKI_DEVICE_NAME]; char *path; } plugins[16];
static int plugins_loaded;
/* How many devices ONNX Runtime listed before the first of them: theirs stand behind those. */
static size_t first_of_plugins = SIZE_MAX;

/* A device of a provider that is not ONNX Runtime's own kernels, the from-th of the list or one behind it; NULL: none. */
static const OrtEpDevice *find_ep_device(const struct aki__runtime *rt, const char *name, size_t from)
{
    const struct aki__device_rule *rule = aki__device_rule_of(name);
    const OrtEpDevice *const *devices = NULL;
    size_t count = 0;
    OrtStatus *st = rt->api->GetEpDevices(rt->env, &devices, &count);

    if (st) {
        rt->api->ReleaseStatus(st);
        return NULL;
    }
    for (size_t i = from; i < count; i++) {
        const char *provider = rt->api->EpDevice_EpName(devices[i]);
        if (strcmp(provider, "CPUExecutionProvider") != 0 && (aki__device_is_called(provider, name) || (rule->provider && strcmp(provider, rule->provider) == 0)))
            return devices[i];
    }
    return NULL;
}

/* The provider's name in this build; "" where it has none of that name. */
static void find_provider(const struct aki__runtime *rt, const char *name, char out[AKI_DEVICE_NAME])
{
    const struct aki__device_rule *rule = aki__device_rule_of(name);
    char **providers = NULL;
    int count = 0;
    OrtStatus *st = rt->api->GetAvailableProviders(&providers, &count);

    out[0] = '\0';
    for (int i = 0; i < count && !st; i++)
        if (strcmp(providers[i], "CPUExecutionProvider") != 0 && (rule->provider ? strcmp(providers[i], rule->provider) == 0 : aki__device_is_called(providers[i], name)))
            snprintf(out, AKI_DEVICE_NAME, "%.63s", providers[i]);
    if (!st)
        st = rt->api->ReleaseAvailableProviders(providers, count);
    if (st)
        rt->api->ReleaseStatus(st);
}

/* Compiles only: what it makes runs on another machine. */
static bool is_virtual(const struct aki__runtime *rt, const OrtEpDevice *device)
{
    const OrtKeyValuePairs *more = rt->api->HardwareDevice_Metadata(rt->api->EpDevice_Device(device));
    const char *value = more ? rt->api->GetKeyValue(more, "is_virtual") : NULL;

    return value && strcmp(value, "1") == 0;
}

/* With the list held. */
static bool find(const struct aki__runtime *rt, const char *name, struct aki__device_found *out)
{
    const struct aki__device_rule *rule = aki__device_rule_of(name);

    memset(out, 0, sizeof *out);
    if (rule->name && !rule->provider)
        return true;
    /* What is built in may be listed as devices too (CoreML's units, by 1.32), of which a session could have one, and without a cache: it is
     * taken as a provider, with plugins as without. */
    out->device = find_ep_device(rt, name, first_of_plugins);
    if (!out->device)
        find_provider(rt, name, out->provider);
    if (!out->device && !out->provider[0])
        out->device = find_ep_device(rt, name, 0);
    if (out->device && is_virtual(rt, out->device))
        snprintf(out->reason, sizeof out->reason, "a virtual device, which compiles for other machines and computes nothing");
    else if (!out->device && !out->provider[0])
        snprintf(out->reason, sizeof out->reason, "%.60s is not in this ONNX Runtime (%s)%s", rule->provider ? rule->provider : "that device", rt->version,
                 plugins_loaded ? ", nor in the plugins" : "");
    return !out->reason[0];
}

bool aki__device_find(const struct aki__runtime *rt, const char *name, struct aki__device_found *out)
{
    aki__lock_acquire(&list_lock);
    bool usable = find(rt, name, out);
    aki__lock_release(&list_lock);
    return usable;
}

/* ---------------------------------------------------------------- the list -------------------------------------- */

/* What aki_devices hands out stays as it is until the process ends, since others may be reading it: a plugin makes a new list. There are as
 * many as plugins were loaded, and one. */
struct list {
    aki_device   devices[MOST_LISTED];
    struct { char name[AKI_DEVICE_NAME], description[TEXT_LIMIT], reason[TEXT_LIMIT]; } strings[MOST_LISTED];
    size_t       count;
    struct list *before;
};

static struct list *latest;

static void put(struct list *l, const struct aki__runtime *rt, const char *name, const char *description)
{
    struct aki__device_found f;

    for (size_t i = 0; i < l->count; i++)
        if (aki__device_same(l->devices[i].name, name))
            return;
    if (l->count == MOST_LISTED)
        return;
    size_t i = l->count++;
    bool usable = strcmp(name, "cpu") == 0 || find(rt, name, &f);
    snprintf(l->strings[i].name, AKI_DEVICE_NAME, "%.63s", name);
    snprintf(l->strings[i].description, TEXT_LIMIT, "%.199s", description);
    if (!usable)
        snprintf(l->strings[i].reason, TEXT_LIMIT, "%.199s", f.reason);
    l->devices[i] = (aki_device){ .name = l->strings[i].name, .description = l->strings[i].description, .reason = usable ? NULL : l->strings[i].reason };
}

/* Strings and all, since what they hold no more is zero. */
static bool same_list(const struct list *a, const struct list *b)
{
    return a->count == b->count && memcmp(a->strings, b->strings, sizeof a->strings) == 0;
}

/* A provider without a rule, by the name it is chosen by. */
static void put_provider(struct list *l, const struct aki__runtime *rt, const char *provider, const char *description)
{
    const struct aki__device_rule *rule;
    char name[AKI_DEVICE_NAME];
    size_t size = strlen(provider), tail = strlen("ExecutionProvider");

    for (size_t i = 0; (rule = aki__device_rule_at(i)); i++)
        if (rule->provider && strcmp(rule->provider, provider) == 0)
            return;
    if (size > tail && strcmp(provider + size - tail, "ExecutionProvider") == 0)
        size -= tail;
    snprintf(name, sizeof name, "%.*s", (int)(size < AKI_DEVICE_NAME ? size : AKI_DEVICE_NAME - 1), provider);
    for (char *s = name; *s; s++)
        *s = (char)tolower((unsigned char)*s);
    /* Azure's is for calling a service, CPU's is what "cpu" is. */
    if (strcmp(name, "azure") != 0 && strcmp(name, "cpu") != 0)
        put(l, rt, name, description);
}

static void put_all(struct list *l, const struct aki__runtime *rt)
{
    static const char *const kinds[] = { "CPU", "GPU", "NPU" };
    const struct aki__device_rule *rule;
    const OrtEpDevice *const *devices = NULL;
    char **providers = NULL, text[TEXT_LIMIT];
    size_t count = 0;
    int built = 0;

    put(l, rt, "cpu", "this machine's processors");
    for (size_t i = 0; (rule = aki__device_rule_at(i)); i++)
        put(l, rt, rule->name, rule->description);
    OrtStatus *st = rt->api->GetAvailableProviders(&providers, &built);
    for (int i = 0; i < built && !st; i++)
        put_provider(l, rt, providers[i], "a provider of this ONNX Runtime");
    if (!st) st = rt->api->ReleaseAvailableProviders(providers, built);
    if (!st) st = rt->api->GetEpDevices(rt->env, &devices, &count);
    for (size_t i = 0; i < count && !st; i++) {
        const OrtHardwareDevice *hardware = rt->api->EpDevice_Device(devices[i]);
        int kind = (int)rt->api->HardwareDevice_Type(hardware);
        snprintf(text, sizeof text, "%s of %.40s, through a plugin of %.40s", kind >= 0 && kind < 3 ? kinds[kind] : "device",
                 rt->api->HardwareDevice_Vendor(hardware), rt->api->EpDevice_EpVendor(devices[i]));
        put_provider(l, rt, rt->api->EpDevice_EpName(devices[i]), text);
    }
    if (st)
        rt->api->ReleaseStatus(st);
}

aki_status aki__devices(const aki_device **devices, size_t *count, aki_error *err)
{
    const struct aki__runtime *rt;
    aki_status rc = aki__runtime_get(&rt, -1, err);

    if (rc)
        return rc;
    struct list *now = aki__zalloc(1, sizeof *now);
    if (!now)
        return aki__fail(err, AKI_E_NOMEM, "the list of devices");
    aki__lock_acquire(&list_lock);
    put_all(now, rt);
    if (!latest || !same_list(latest, now)) {
        now->before = latest;
        latest = now;
        now = NULL;
    }
    *devices = latest->devices;
    *count = latest->count;
    aki__lock_release(&list_lock);
    aki__free(now);
    return AKI_OK;
}

/* ---------------------------------------------------------------- plugins --------------------------------------- */

/* The name to register a library by: what stands before '=', or the file's own without lib and ending. */
static void plugin_name(char out[AKI_DEVICE_NAME], const char *what, const char **path)
{
    const char *slash = strrchr(what, '/'), *equals = strchr(what, '=');

    if (equals && (!slash || equals < strchr(what, '/'))) {
        snprintf(out, AKI_DEVICE_NAME, "%.*s", (int)(equals - what < AKI_DEVICE_NAME ? equals - what : AKI_DEVICE_NAME - 1), what);
        *path = equals + 1;
        return;
    }
    const char *file = slash ? slash + 1 : what;
    if (strncmp(file, "lib", 3) == 0)
        file += 3;
    snprintf(out, AKI_DEVICE_NAME, "%.*s", (int)strcspn(file, "."), file);
    *path = what;
}

static aki_status load_plugin(const struct aki__runtime *rt, const char *name, const char *path, aki_error *err)
{
    for (int i = 0; i < plugins_loaded; i++)
        if (strcmp(plugins[i].name, name) == 0)
            return AKI_OK;
    if (plugins_loaded == sizeof plugins / sizeof *plugins)
        return aki__fail(err, AKI_E_UNAVAILABLE, "device plugin %.100s: %d are loaded already", path, plugins_loaded);
    char *real = aki__real_path(path);
    if (!real)
        return aki__fail(err, AKI_E_UNAVAILABLE, "device plugin %.150s: no such file", path);
    const OrtEpDevice *const *devices;
    ORTCHAR_T *native = aki__native_path(real);
    OrtStatus *st = plugins_loaded ? NULL : rt->api->GetEpDevices(rt->env, &devices, &first_of_plugins);
    if (!st && native)
        st = rt->api->RegisterExecutionProviderLibrary(rt->env, name, native);
    aki_status rc = st || native ? aki__ort_status(rt, st, "device plugin", err) : aki__fail(err, AKI_E_NOMEM, "device plugin %.150s", path);
    aki__free(native);
    if (rc) {
        aki__free(real);
        if (err)
            err->status = AKI_E_UNAVAILABLE;
        return AKI_E_UNAVAILABLE;
    }
    snprintf(plugins[plugins_loaded].name, AKI_DEVICE_NAME, "%s", name);
    plugins[plugins_loaded++].path = real;
    return AKI_OK;
}

void aki__device_list_take(void) { aki__lock_acquire(&list_lock); }
void aki__device_list_drop(void) { aki__lock_release(&list_lock); }

bool aki__device_plugin_at(size_t i, const char **name, const char **path)
{
    if (i >= (size_t)plugins_loaded)
        return false;
    *name = plugins[i].name;
    *path = plugins[i].path;
    return true;
}

aki_status aki__device_plugin(const char *what, aki_error *err)
{
    const struct aki__runtime *rt;
    char name[AKI_DEVICE_NAME];
    const char *path;

    plugin_name(name, what, &path);
    aki_status rc = aki__runtime_get(&rt, -1, err);
    if (rc)
        return rc;
    aki__lock_acquire(&list_lock);
    rc = load_plugin(rt, name, path, err);
    aki__lock_release(&list_lock);
    return rc;
}

/* ---------------------------------------------------------------- checking ---------------------------------------- */

aki_status aki__device_check(const struct aki__device *d, aki_error *err)
{
    const aki_device *devices;
    const struct aki__runtime *rt;
    struct aki__device_found f;
    char names[120] = "";
    size_t count, at = 0;

    aki_status rc = aki__device_check_options(d, err);
    if (!rc) rc = aki__runtime_get(&rt, -1, err);
    if (!rc) rc = aki__devices(&devices, &count, err);
    if (rc)
        return rc;
    aki__lock_acquire(&list_lock);
    bool usable = find(rt, d->name, &f);
    for (size_t i = 0; i < count; i++)
        if (!devices[i].reason && at < sizeof names)
            at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "", devices[i].name);
    aki__lock_release(&list_lock);
    return usable ? AKI_OK : aki__fail(err, AKI_E_UNAVAILABLE, "device \"%.40s\" is not available: %s; available: %s", d->name, f.reason, names);
}

aki_status aki__device_check_f16(const struct aki__device *d, aki_error *err)
{
    const struct aki__device_rule *rule = aki__device_rule_of(d->name);
    const struct aki__runtime *rt;
    aki_status rc = aki__runtime_get(&rt, -1, err);

    if (rc || aki__device_takes_f16(rule, rt->version))
        return rc;
    return aki__fail(err, AKI_E_UNAVAILABLE, "device \"%.40s\": half precision needs ONNX Runtime 1.%d or newer, and this is %s", d->name, rule->f16_since, rt->version);
}
