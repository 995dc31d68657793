/* Unit runtime: ONNX Runtime's environment. See runtime.h. */
#include "ort/runtime.h"

#include "base/os.h"
#include "ort/allocator.h"

#include <stdio.h>
#include <stdlib.h>

aki_status aki__ort_status(const struct aki__runtime *rt, OrtStatus *status, const char *what, aki_error *err)
{
    if (!status)
        return AKI_OK;
    OrtErrorCode code = rt->api->GetErrorCode(status);
    const char *message = rt->api->GetErrorMessage(status);
    aki_status rc = AKI_E_INTERNAL;
    if (code == ORT_NO_SUCHFILE)
        rc = AKI_E_NOT_FOUND;
    else if (code == ORT_NOT_IMPLEMENTED)
        rc = AKI_E_UNSUPPORTED;
    else if (strstr(message, "bad_alloc") || strstr(message, "Failed to allocate memory") || strstr(message, "Memory allocation failed") ||
             strstr(message, "Deserialize tensor") ||   /* our constants lie in memory: nothing else can fail there */
             strstr(message, "custom_create_thread_fn")) /* start_thread got no memory, or the system has no more threads */
        rc = AKI_E_NOMEM;
    /* The reason stands behind the place in its source, "/path/file.cc:line function(arguments) reason", and behind a node's name of 100 letters
     * or more, "Non-zero status code … Status Message: reason": only that is for our users. */
    static const char before[] = "Status Message: ";
    for (const char *next; (next = strstr(message, before)) != NULL;)
        message = next + strlen(before);
    const char *reason = message[0] == '/' ? strchr(message, ')') : NULL;
    aki__fail(err, rc, "%s: ONNX Runtime: %s", what, reason && reason[1] ? reason + 1 + strspn(reason + 1, " ") : message);
    rt->api->ReleaseStatus(status);
    return rc;
}

static aki_status make_environment(struct aki__runtime *rt, aki_error *err)
{
    OrtStatus *st = rt->api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "akiembed", &rt->env);

    /* Nothing is reported to its makers from here on. What 1.32 does before (a device's id in the cache folder) only ORT_DISABLE_TELEMETRY
     * in the environment prevents, which is the host program's to set; ours does. */
    if (!st) st = rt->api->DisableTelemetryEvents(rt->env);
    if (!st) st = rt->api->CreateMemoryInfo("Cpu", OrtArenaAllocator, 0, OrtMemTypeDefault, &rt->cpu);
    aki_status rc = aki__ort_status(rt, st, "environment", err);
    return rc ? rc : aki__ort_status(rt, aki__allocator_register(rt->api, AKI_ORT_API, rt->env), "allocator", err);
}

static aki_status make_runtime(struct aki__runtime *rt, aki_error *err)
{
    const OrtApiBase *base = OrtGetApiBase();
    const char *version = base->GetVersionString();
    int major = 0, minor = 0;

    /* Asking an old library for a newer API prints to stderr: look at the version first. */
    if (sscanf(version, "%d.%d", &major, &minor) != 2 || major != 1 || minor < AKI_ORT_API)
        return aki__fail(err, AKI_E_UNAVAILABLE, "ONNX Runtime %.40s is loaded; 1.%d or newer (below 2) is needed", version, AKI_ORT_API);
    snprintf(rt->version, sizeof rt->version, "%.31s", version);
    rt->api = base->GetApi(AKI_ORT_API);
    rt->editor = rt->api ? rt->api->GetModelEditorApi() : NULL;
    if (!rt->editor)
        return aki__fail(err, AKI_E_UNAVAILABLE, "ONNX Runtime %.40s: a minimal build, without the Model Editor API", version);
    rt->newer = minor >= 24 ? base->GetApi(24) : NULL;
    return make_environment(rt, err);
}

static OrtCustomThreadHandle start_thread(void *options, OrtThreadWorkerFn body, void *user)
{
    struct aki__thread *t = aki__alloc(1, sizeof *t);

    (void)options;
    if (t && !aki__thread_start(t, body, user)) {
        aki__free(t);
        t = NULL;
    }
    return (OrtCustomThreadHandle)t;        /* NULL: the session is not made, and says why */
}

static void join_thread(OrtCustomThreadHandle thread)
{
    struct aki__thread *t = (struct aki__thread *)(uintptr_t)thread;

    aki__thread_join(t);
    aki__free(t);
}

OrtStatus *aki__ort_own_threads(const struct aki__runtime *rt, OrtSessionOptions *options)
{
    OrtStatus *st = rt->api->SessionOptionsSetCustomCreateThreadFn(options, start_thread);

    return st ? st : rt->api->SessionOptionsSetCustomJoinThreadFn(options, join_thread);
}

aki_status aki__runtime_get(const struct aki__runtime **out, int threads, aki_error *err)
{
    static struct aki__lock lock;           /* guards runtime and ready */
    static struct aki__runtime runtime;
    static bool ready;
    aki_status rc = AKI_OK;

    *out = NULL;
    aki__lock_acquire(&lock);
    if (!ready) {
        struct aki__signals before;
        aki__signals_block(&before);        /* the environment has a thread */
        rc = make_runtime(&runtime, err);
        aki__signals_restore(&before);
        ready = rc == AKI_OK;
    }
    if (!rc && !runtime.threads && threads >= 0)
        runtime.threads = threads > 0 ? threads : aki__cores();
    if (!rc && threads > 0 && threads != runtime.threads) {
        rc = aki__fail(err, AKI_E_INVALID, "threads: %d asked for, but the first model of this process was opened with %d", threads, runtime.threads);
    }
    if (!rc)
        *out = &runtime;
    aki__lock_release(&lock);
    return rc;
}
