/* Unit device: providers, built in and of plugins, and the rules of each. See device.h. */
#include "ort/device.h"

#include "base/os.h"
#include "ort/runtime.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_LISTED = 48, MOST_SETTINGS = 32, NAME_LIMIT = 64, TEXT_LIMIT = 200 };

/* What is known of a device beforehand; others are taken as they come, with fixed shapes. */
static const struct rule {
    const char *name;
    const char *provider;                   /* as ONNX Runtime lists it; NULL: its own kernels for processors */
    const char *append;                     /* as the call wants it; NULL: a call of its own */
    const char *description;
    bool        fixed;                      /* shapes */
    bool        plain_memory;               /* no memory pattern */
    GraphOptimizationLevel level;           /* beyond BASIC, ONNX Runtime makes operators that only its own kernels have */
    const char *settings[6][2];
    const char *sets[4][3];                 /* "KEY=VALUE" that are taken together, tried in turn until the self-test is passed */
} rules[] = {
    { "portable", NULL, NULL, "the graph that devices get, on this machine's processors: for comparing", false, false, ORT_ENABLE_ALL, { { 0 } }, { { 0 } } },
    { "coreml", "CoreMLExecutionProvider", "CoreML", "GPU and Neural Engine of Apple, through CoreML", true, false, ORT_ENABLE_BASIC,
      { { "ModelFormat", "MLProgram" }, { "RequireStaticInputShapes", "0" }, { "EnableOnSubgraphs", "0" } },
      /* Not CPUOnly: whoever asks for CoreML does not mean the processors, which "cpu" uses better. */
      { { "MLComputeUnits=ALL" }, { "MLComputeUnits=CPUAndGPU" }, { "MLComputeUnits=CPUAndNeuralEngine" } } },
    { "cuda", "CUDAExecutionProvider", NULL, "GPUs of NVIDIA, through CUDA", false, false, ORT_ENABLE_ALL, { { "arena_extend_strategy", "kSameAsRequested" } }, { { 0 } } },
    { "dml", "DmlExecutionProvider", "DML", "GPUs of Windows, through DirectML", true, true, ORT_ENABLE_BASIC, { { 0 } }, { { 0 } } },
    { "webgpu", "WebGpuExecutionProvider", "WebGPU", "GPUs, through WebGPU", true, false, ORT_ENABLE_BASIC, { { 0 } }, { { 0 } } },
    /* Left to itself it computes in bf16 where the processor has it. */
    { "openvino", "OpenVINOExecutionProvider", "OpenVINO", "processors and GPUs of Intel, through OpenVINO", false, false, ORT_ENABLE_BASIC,
      { { "device_type", "CPU" }, { "precision", "ACCURACY" } }, { { 0 } } },
};
enum { RULES = sizeof rules / sizeof *rules, MOST_SETS = sizeof rules->sets / sizeof *rules->sets };
static const struct rule stranger = { .fixed = true, .level = ORT_ENABLE_BASIC };

static bool same(const char *a, const char *b)
{
    while (*a && tolower((unsigned char)*a) == tolower((unsigned char)*b))
        a++, b++;
    return tolower((unsigned char)*a) == tolower((unsigned char)*b);
}

static const struct rule *rule_of(const char *name)
{
    for (size_t i = 0; i < RULES; i++)
        if (same(rules[i].name, name))
            return &rules[i];
    return &stranger;
}

/* "WebGpuExecutionProvider" is also called "webgpu". */
static bool is_called(const char *provider, const char *name)
{
    size_t size = strlen(name);

    if (same(provider, name))
        return true;
    if (strlen(provider) != size + strlen("ExecutionProvider") || !same(provider + size, "ExecutionProvider"))
        return false;
    for (size_t i = 0; i < size; i++)
        if (tolower((unsigned char)provider[i]) != tolower((unsigned char)name[i]))
            return false;
    return true;
}

/* ---------------------------------------------------------------- finding --------------------------------------- */

/* Libraries that were loaded; guarded by the list's lock. */
static struct { char name[NAME_LIMIT]; char *path; } plugins[16];
static int plugins_loaded;

/* A device of a provider that is not this library's own kernels; NULL: none. */
static const OrtEpDevice *find_ep_device(const struct aki__runtime *rt, const char *name)
{
    const struct rule *rule = rule_of(name);
    const OrtEpDevice *const *devices = NULL;
    size_t count = 0;
    OrtStatus *st = rt->api->GetEpDevices(rt->env, &devices, &count);

    if (st) {
        rt->api->ReleaseStatus(st);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const char *provider = rt->api->EpDevice_EpName(devices[i]);
        if (strcmp(provider, "CPUExecutionProvider") != 0 && (is_called(provider, name) || (rule->provider && strcmp(provider, rule->provider) == 0)))
            return devices[i];
    }
    return NULL;
}

/* The provider's name in this build; "" where it has none of that name. */
static void find_provider(const struct aki__runtime *rt, const char *name, char out[NAME_LIMIT])
{
    const struct rule *rule = rule_of(name);
    char **providers = NULL;
    int count = 0;
    OrtStatus *st = rt->api->GetAvailableProviders(&providers, &count);

    out[0] = '\0';
    for (int i = 0; i < count && !st; i++)
        if (strcmp(providers[i], "CPUExecutionProvider") != 0 && (rule->provider ? strcmp(providers[i], rule->provider) == 0 : is_called(providers[i], name)))
            snprintf(out, NAME_LIMIT, "%.63s", providers[i]);
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

/* Where a device is: a plugin's first, because it was asked for; then what is built in. */
struct found { const OrtEpDevice *device; char provider[NAME_LIMIT]; char reason[TEXT_LIMIT]; };

static bool find(const struct aki__runtime *rt, const char *name, struct found *out)
{
    const struct rule *rule = rule_of(name);

    memset(out, 0, sizeof *out);
    if (rule != &stranger && !rule->provider)
        return true;
    out->device = find_ep_device(rt, name);
    if (!plugins_loaded || !out->device) {
        find_provider(rt, name, out->provider);
        if (out->provider[0])
            out->device = NULL;
    }
    if (out->device && is_virtual(rt, out->device))
        snprintf(out->reason, sizeof out->reason, "a virtual device, which compiles for other machines and computes nothing");
    else if (!out->device && !out->provider[0])
        snprintf(out->reason, sizeof out->reason, "%.60s is not in this ONNX Runtime (%s)%s", rule->provider ? rule->provider : "that device", rt->version,
                 plugins_loaded ? ", nor in the plugins" : "");
    return !out->reason[0];
}

/* ---------------------------------------------------------------- the list -------------------------------------- */

/* What aki_devices hands out stays as it is until the process ends, since others may be reading it: a plugin makes a new list. There are as
 * many as plugins were loaded, and one. */
struct list {
    aki_device   devices[MOST_LISTED];
    struct { char name[NAME_LIMIT], description[TEXT_LIMIT], reason[TEXT_LIMIT]; } strings[MOST_LISTED];
    size_t       count;
    struct list *before;
};

static struct aki__lock list_lock;          /* guards latest, and the plugins */
static struct list *latest;

static void put(struct list *l, const struct aki__runtime *rt, const char *name, const char *description)
{
    struct found f;

    for (size_t i = 0; i < l->count; i++)
        if (same(l->devices[i].name, name))
            return;
    if (l->count == MOST_LISTED)
        return;
    size_t i = l->count++;
    bool usable = strcmp(name, "cpu") == 0 || find(rt, name, &f);
    snprintf(l->strings[i].name, NAME_LIMIT, "%.63s", name);
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
    char name[NAME_LIMIT];
    size_t size = strlen(provider), tail = strlen("ExecutionProvider");

    for (size_t i = 0; i < RULES; i++)
        if (rules[i].provider && strcmp(rules[i].provider, provider) == 0)
            return;
    if (size > tail && strcmp(provider + size - tail, "ExecutionProvider") == 0)
        size -= tail;
    snprintf(name, sizeof name, "%.*s", (int)(size < NAME_LIMIT ? size : NAME_LIMIT - 1), provider);
    for (char *s = name; *s; s++)
        *s = (char)tolower((unsigned char)*s);
    /* Azure's is for calling a service, CPU's is what "cpu" is. */
    if (strcmp(name, "azure") != 0 && strcmp(name, "cpu") != 0)
        put(l, rt, name, description);
}

static void put_all(struct list *l, const struct aki__runtime *rt)
{
    static const char *const kinds[] = { "CPU", "GPU", "NPU" };
    const OrtEpDevice *const *devices = NULL;
    char **providers = NULL, text[TEXT_LIMIT];
    size_t count = 0;
    int built = 0;

    put(l, rt, "cpu", "this machine's processors");
    for (size_t i = 0; i < RULES; i++)
        put(l, rt, rules[i].name, rules[i].description);
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
    aki__lock_take(&list_lock);
    put_all(now, rt);
    if (!latest || !same_list(latest, now)) {
        now->before = latest;
        latest = now;
        now = NULL;
    }
    *devices = latest->devices;
    *count = latest->count;
    aki__lock_drop(&list_lock);
    aki__free(now);
    return AKI_OK;
}

/* ---------------------------------------------------------------- plugins --------------------------------------- */

/* The name to register a library by: what stands before '=', or the file's own without lib and ending. */
static void plugin_name(char out[NAME_LIMIT], const char *what, const char **path)
{
    const char *slash = strrchr(what, '/'), *equals = strchr(what, '=');

    if (equals && (!slash || equals < strchr(what, '/'))) {
        snprintf(out, NAME_LIMIT, "%.*s", (int)(equals - what < NAME_LIMIT ? equals - what : NAME_LIMIT - 1), what);
        *path = equals + 1;
        return;
    }
    const char *file = slash ? slash + 1 : what;
    if (strncmp(file, "lib", 3) == 0)
        file += 3;
    snprintf(out, NAME_LIMIT, "%.*s", (int)strcspn(file, "."), file);
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
    ORTCHAR_T *native = aki__native_path(real);
    aki_status rc = native ? aki__ort_status(rt, rt->api->RegisterExecutionProviderLibrary(rt->env, name, native), "device plugin", err)
                           : aki__fail(err, AKI_E_NOMEM, "device plugin %.150s", path);
    aki__free(native);
    if (rc) {
        aki__free(real);
        if (err)
            err->status = AKI_E_UNAVAILABLE;
        return AKI_E_UNAVAILABLE;
    }
    snprintf(plugins[plugins_loaded].name, NAME_LIMIT, "%s", name);
    plugins[plugins_loaded++].path = real;
    return AKI_OK;
}

aki_status aki__device_plugin(const char *what, aki_error *err)
{
    const struct aki__runtime *rt;
    char name[NAME_LIMIT];
    const char *path;

    plugin_name(name, what, &path);
    aki_status rc = aki__runtime_get(&rt, -1, err);
    if (rc)
        return rc;
    aki__lock_take(&list_lock);
    rc = load_plugin(rt, name, path, err);
    aki__lock_drop(&list_lock);
    return rc;
}

/* ---------------------------------------------------------------- checking -------------------------------------- */

/* Our own settings, which the provider does not see. */
static const char *own_setting(const struct aki__device *d, const char *key)
{
    size_t size = strlen(key);

    for (int i = 0; i < d->option_count; i++)
        if (strncmp(d->options[i], key, size) == 0 && d->options[i][size] == '=')
            return d->options[i] + size + 1;
    return NULL;
}

bool aki__device_is_fixed(const struct aki__device *d)
{
    const char *shapes = own_setting(d, "aki.shapes");

    return shapes ? strcmp(shapes, "fixed") == 0 : rule_of(d->name)->fixed;
}

static aki_status check_settings(const struct aki__device *d, aki_error *err)
{
    const char *shapes = own_setting(d, "aki.shapes");

    if (d->option_count > MOST_SETTINGS - 8)
        return aki__fail(err, AKI_E_INVALID, "device options: %d are too many", d->option_count);
    for (int i = 0; i < d->option_count; i++) {
        const char *equals = strchr(d->options[i], '=');
        if (!equals || equals == d->options[i])
            return aki__fail(err, AKI_E_INVALID, "device option \"%.60s\" is not KEY=VALUE", d->options[i]);
        if (same(d->name, "portable") && strncmp(d->options[i], "aki.", 4) != 0)
            return aki__fail(err, AKI_E_INVALID, "device option \"%.60s\": \"portable\" has no provider to give it to", d->options[i]);
        if (strncmp(d->options[i], "aki.", 4) == 0 && strncmp(d->options[i], "aki.shapes=", 11) != 0)
            return aki__fail(err, AKI_E_INVALID, "device option \"%.60s\" is not known; there is aki.shapes", d->options[i]);
    }
    if (shapes && strcmp(shapes, "fixed") != 0 && strcmp(shapes, "free") != 0)
        return aki__fail(err, AKI_E_INVALID, "device option aki.shapes is fixed or free, not \"%.60s\"", shapes);
    return AKI_OK;
}

aki_status aki__device_check(const struct aki__device *d, aki_error *err)
{
    const aki_device *devices;
    const struct aki__runtime *rt;
    struct found f;
    char names[120] = "";
    size_t count, at = 0;

    aki_status rc = check_settings(d, err);
    if (!rc) rc = aki__runtime_get(&rt, -1, err);
    if (!rc) rc = aki__devices(&devices, &count, err);
    if (rc)
        return rc;
    aki__lock_take(&list_lock);
    bool usable = find(rt, d->name, &f);
    for (size_t i = 0; i < count; i++)
        if (!devices[i].reason && at < sizeof names)
            at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "", devices[i].name);
    aki__lock_drop(&list_lock);
    return usable ? AKI_OK : aki__fail(err, AKI_E_UNAVAILABLE, "device \"%.40s\" is not available: %s; available: %s", d->name, f.reason, names);
}

/* ---------------------------------------------------------------- sessions -------------------------------------- */

struct settings { const char *keys[MOST_SETTINGS], *values[MOST_SETTINGS]; char own[MOST_SETTINGS][NAME_LIMIT]; size_t count; };

static void set(struct settings *s, const char *key, const char *value)
{
    size_t i = 0;

    while (i < s->count && strcmp(s->keys[i], key) != 0)
        i++;
    if (i == MOST_SETTINGS)
        return;
    if (i == s->count) {
        snprintf(s->own[i], NAME_LIMIT, "%.63s", key);
        s->keys[i] = s->own[i];
        s->count++;
    }
    s->values[i] = value;
}

static void set_option(struct settings *s, const char *option)
{
    const char *equals = strchr(option, '=');
    char key[NAME_LIMIT];

    snprintf(key, sizeof key, "%.*s", (int)(equals - option < NAME_LIMIT ? equals - option : NAME_LIMIT - 1), option);
    if (strncmp(key, "aki.", 4) != 0)
        set(s, key, equals + 1);
}

static void collect(struct settings *s, const struct rule *rule, const struct aki__device *d)
{
    s->count = 0;
    for (size_t i = 0; i < sizeof rule->settings / sizeof *rule->settings && rule->settings[i][0]; i++)
        set(s, rule->settings[i][0], rule->settings[i][1]);
    for (const char *const *option = rule->sets[d->set]; *option; option++)
        set_option(s, *option);
    for (int i = 0; i < d->option_count; i++)
        set_option(s, d->options[i]);
}

int aki__device_sets(const struct aki__device *d)
{
    const struct rule *rule = rule_of(d->name);
    int count = 0;

    for (; count < MOST_SETS && rule->sets[count][0]; count++)
        for (const char *const *option = rule->sets[count]; *option; option++)
            for (int i = 0; i < d->option_count; i++)
                if (strncmp(d->options[i], *option, strcspn(*option, "=") + 1) == 0)
                    return 1;               /* who chooses it himself gets what he chose */
    return count ? count : 1;
}

void aki__device_set_name(const struct aki__device *d, char *out, size_t size)
{
    size_t at = 0;

    out[0] = '\0';
    for (const char *const *option = rule_of(d->name)->sets[d->set]; *option && at < size; option++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", at ? " " : "", *option);
}

/* CoreML compiles a model at every start unless it may keep what it made; the place is named by the content, so that another model can never
 * be taken for it. NULL: there is no place, and it does without. */
static char *cache_folder(const struct aki__runtime *rt, const void *bytes, size_t count)
{
    char rest[96];

    snprintf(rest, sizeof rest, "coreml/%016llx%016llx-%s", (unsigned long long)aki__hash(bytes, count, 1), (unsigned long long)aki__hash(bytes, count, 2), rt->version);
    return aki__cache_folder(rest);
}

static OrtStatus *append_cuda(const struct aki__runtime *rt, OrtSessionOptions *options, const struct settings *s)
{
    OrtCUDAProviderOptionsV2 *cuda = NULL;

    OrtStatus *st = rt->api->CreateCUDAProviderOptions(&cuda);
    if (!st) st = rt->api->UpdateCUDAProviderOptions(cuda, s->keys, s->values, s->count);
    if (!st) st = rt->api->SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda);
    if (cuda)
        rt->api->ReleaseCUDAProviderOptions(cuda);
    return st;
}

static OrtStatus *append(const struct aki__runtime *rt, OrtSessionOptions *options, const struct rule *rule, const struct found *f, const struct settings *s)
{
    if (f->device)
        return rt->api->SessionOptionsAppendExecutionProvider_V2(options, rt->env, &f->device, 1, s->keys, s->values, s->count);
    if (!f->provider[0])
        return NULL;
    if (strcmp(f->provider, "CUDAExecutionProvider") == 0)
        return append_cuda(rt, options, s);
    return rt->api->SessionOptionsAppendExecutionProvider(options, rule->append ? rule->append : f->provider, s->keys, s->values, s->count);
}

static OrtStatus *make_options(const struct aki__runtime *rt, const struct rule *rule, bool other, OrtSessionOptions **out)
{
    const OrtApi *api = rt->api;

    OrtStatus *st = api->CreateSessionOptions(out);
    if (!st) st = api->SetSessionGraphOptimizationLevel(*out, rule->level);
    if (!st) st = api->SetSessionExecutionMode(*out, ORT_SEQUENTIAL);
    if (!st && rule->plain_memory) st = api->DisableMemPattern(*out);
    if (!st) st = api->SetIntraOpNumThreads(*out, rt->threads);
    if (!st) st = aki__ort_own_threads(rt, *out);
    if (!st) st = api->SetInterOpNumThreads(*out, 1);
    if (!st) st = api->AddSessionConfigEntry(*out, "session.use_env_allocators", "1");
    if (!st) st = api->AddSessionConfigEntry(*out, "session.force_spinning_stop", "1");
    if (!st && other && rt->newer)
        st = api->AddSessionConfigEntry(*out, "session.record_ep_graph_assignment_info", "1");
    /* An older one cannot tell where nodes went: there the device has to take all of them. */
    if (!st && other && !rt->newer)
        st = api->AddSessionConfigEntry(*out, "session.disable_cpu_ep_fallback", "1");
    return st;
}

/* Providers that compile take several nodes at once: each such piece is a partition. Those that run node by node have one if all is theirs. */
static OrtStatus *count_nodes(const struct aki__runtime *rt, const OrtSession *session, struct aki__device_nodes *out)
{
    const OrtEpAssignedSubgraph *const *pieces = NULL;
    size_t count = 0;
    bool compiles = false;
    int on_device = 0;

    *out = (struct aki__device_nodes){ 0 };
    OrtStatus *st = rt->newer->Session_GetEpGraphAssignmentInfo(session, &pieces, &count);
    for (size_t i = 0; i < count && !st; i++) {
        const OrtEpAssignedNode *const *nodes;
        const char *provider = "";
        size_t n = 0;
        st = rt->newer->EpAssignedSubgraph_GetEpName(pieces[i], &provider);
        if (!st) st = rt->newer->EpAssignedSubgraph_GetNodes(pieces[i], &nodes, &n);
        bool elsewhere = strcmp(provider, "CPUExecutionProvider") == 0;
        *(elsewhere ? &out->elsewhere : &out->on_device) += (int)n;
        compiles |= !elsewhere && n > 1;
        on_device += !elsewhere;
    }
    out->partitions = compiles ? on_device : out->elsewhere ? 0 : 1;
    return st;
}

aki_status aki__device_session(OrtSession **out, struct aki__device_nodes *nodes, const struct aki__runtime *rt, const struct aki__device *d,
                               const void *bytes, size_t size, aki_error *err)
{
    const struct rule *rule = rule_of(d->name);
    OrtSessionOptions *options = NULL;
    struct settings settings;
    struct found f;
    char *cache = NULL;

    *out = NULL;
    aki__lock_take(&list_lock);
    bool usable = find(rt, d->name, &f);
    aki__lock_drop(&list_lock);
    if (!usable)
        return aki__fail(err, AKI_E_UNAVAILABLE, "device \"%.40s\": %s", d->name, f.reason);
    bool other = f.device || f.provider[0];
    collect(&settings, rule, d);
    if (strcmp(f.provider, "CoreMLExecutionProvider") == 0 && !own_setting(d, "ModelCacheDirectory"))
        cache = cache_folder(rt, bytes, size);
    if (cache)
        set(&settings, "ModelCacheDirectory", cache);
    OrtStatus *st = make_options(rt, rule, other, &options);
    if (!st) st = append(rt, options, rule, &f, &settings);
    if (!st) st = rt->api->CreateSessionFromArray(rt->env, bytes, size, options, out);
    *nodes = (struct aki__device_nodes){ .on_device = -1 };
    if (!st && other && rt->newer)
        st = count_nodes(rt, *out, nodes);
    if (options)
        rt->api->ReleaseSessionOptions(options);
    aki__free(cache);
    if (!st)
        return AKI_OK;
    char what[NAME_LIMIT + 16];
    snprintf(what, sizeof what, "device \"%.40s\"", d->name);
    aki_status rc = aki__ort_status(rt, st, what, err);
    if (rc != AKI_E_NOMEM)
        rc = AKI_E_UNAVAILABLE;
    if (err)
        err->status = rc;
    return rc;
}

/* ---------------------------------------------------------------- identity -------------------------------------- */

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
    bool ok = true;

    for (int i = 0; i < plugins_loaded && ok; i++) {
        uint64_t size = 0;
        int64_t changed = 0;
        aki__file_stamp(plugins[i].path, &size, &changed);
        ok = put_string(out, plugins[i].name) && put_string(out, plugins[i].path) && put_number(out, (long long)size) && put_number(out, changed);
    }
    return ok;
}

bool aki__device_identity(struct aki__buf *out, const struct aki__device *d)
{
    const struct aki__runtime *rt;
    struct settings settings;
    char system[512];

    if (aki__runtime_get(&rt, -1, NULL))
        return false;
    aki__system_name(system, sizeof system);
    collect(&settings, rule_of(d->name), d);
    bool ok = put_string(out, rt->version) && put_string(out, rt->api->GetBuildInfoString()) && put_string(out, system) && put_string(out, d->name) &&
              put_number(out, aki__device_is_fixed(d));
    for (size_t i = 0; i < settings.count && ok; i++)
        ok = put_string(out, settings.keys[i]) && put_string(out, settings.values[i]);
    aki__lock_take(&list_lock);
    ok = ok && put_machine(out, rt) && put_plugins(out);
    aki__lock_drop(&list_lock);
    return ok;
}
