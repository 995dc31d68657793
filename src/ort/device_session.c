/* Unit device: sessions on a device, by its rules. See device.h. */
#include "ort/device_cache.h"
#include "ort/device_find.h"
#include "ort/device_rules.h"

#include <stdio.h>

/* A device that compiles does so at every start unless it may keep what it made; the place is named by the content, so that another model can never
 * be taken for it, and by all settings. Without a place it does without. */
static void open_cache(struct aki__device_cache *cache, struct aki__device_settings *s, const struct aki__runtime *rt, const void *bytes, size_t size)
{
    uint64_t hash[2] = { aki__hash(bytes, size, 1), aki__hash(bytes, size, 2) };
    char key[96];

    for (size_t i = 0; i < s->count; i++)
        for (int k = 0; k < 2; k++)         /* with their NULs, so that no two lists look the same */
            hash[k] = aki__hash(s->values[i], strlen(s->values[i]) + 1, aki__hash(s->keys[i], strlen(s->keys[i]) + 1, hash[k]));
    snprintf(key, sizeof key, "%016llx%016llx-%s", (unsigned long long)hash[0], (unsigned long long)hash[1], rt->version);
    if (aki__device_cache_open(cache, key))
        aki__device_set(s, "ModelCacheDirectory", cache->folder);
}

static OrtStatus *append_cuda(const struct aki__runtime *rt, OrtSessionOptions *options, const struct aki__device_settings *s)
{
    OrtCUDAProviderOptionsV2 *cuda = NULL;

    OrtStatus *st = rt->api->CreateCUDAProviderOptions(&cuda);
    if (!st) st = rt->api->UpdateCUDAProviderOptions(cuda, s->keys, s->values, s->count);
    if (!st) st = rt->api->SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda);
    if (cuda)
        rt->api->ReleaseCUDAProviderOptions(cuda);
    return st;
}

static OrtStatus *append(const struct aki__runtime *rt, OrtSessionOptions *options, const struct aki__device_rule *rule, const struct aki__device_found *f, const struct aki__device_settings *s)
{
    if (f->device)
        return rt->api->SessionOptionsAppendExecutionProvider_V2(options, rt->env, &f->device, 1, s->keys, s->values, s->count);
    if (!f->provider[0])
        return NULL;
    if (strcmp(f->provider, "CUDAExecutionProvider") == 0)
        return append_cuda(rt, options, s);
    return rt->api->SessionOptionsAppendExecutionProvider(options, rule->append ? rule->append : f->provider, s->keys, s->values, s->count);
}

static OrtStatus *make_options(const struct aki__runtime *rt, const struct aki__device_rule *rule, bool other, OrtSessionOptions **out)
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

static OrtStatus *make_session(OrtSession **out, struct aki__device_nodes *nodes, const struct aki__runtime *rt, const struct aki__device_rule *rule,
                               const struct aki__device_found *f, const struct aki__device_settings *settings, const void *bytes, size_t size)
{
    const bool other = f->device || f->provider[0];
    OrtSessionOptions *options = NULL;

    OrtStatus *st = make_options(rt, rule, other, &options);
    if (!st) st = append(rt, options, rule, f, settings);
    if (!st) st = rt->api->CreateSessionFromArray(rt->env, bytes, size, options, out);
    *nodes = (struct aki__device_nodes){ .on_device = -1 };
    if (!st && other && rt->newer)
        st = count_nodes(rt, *out, nodes);
    if (options)
        rt->api->ReleaseSessionOptions(options);
    return st;
}

aki_status aki__device_session(OrtSession **out, struct aki__device_nodes *nodes, struct aki__device_cache *cache, const struct aki__runtime *rt,
                               const struct aki__device *d, const void *bytes, size_t size, aki_error *err)
{
    const struct aki__device_rule *rule = aki__device_rule_of(d->name);
    struct aki__device_settings settings;
    struct aki__device_found f;
    OrtStatus *st = NULL;
    bool again = true;

    *out = NULL;
    *cache = (struct aki__device_cache){ 0 };
    if (!aki__device_find(rt, d->name, &f))
        return aki__fail(err, AKI_E_UNAVAILABLE, "device \"%.40s\": %s", d->name, f.reason);
    while (again) {                         /* once more where it was what lay on the disk that failed */
        if (st)
            rt->api->ReleaseStatus(st);
        aki__device_collect(&settings, d);
        if (rule->compiles && !aki__device_option(d, "ModelCacheDirectory"))
            open_cache(cache, &settings, rt, bytes, size);
        st = make_session(out, nodes, rt, rule, &f, &settings, bytes, size);
        again = aki__device_cache_finish(cache, !st);
    }
    if (!st)
        return AKI_OK;
    char what[AKI_DEVICE_NAME + 16];
    snprintf(what, sizeof what, "device \"%.40s\"", d->name);
    aki_status rc = aki__ort_status(rt, st, what, err);
    if (rc != AKI_E_NOMEM)
        rc = AKI_E_UNAVAILABLE;
    if (err)
        err->status = rc;
    return rc;
}
