/* Tests of plugins beside providers that are built into ONNX Runtime: what a name means then. In a process of its own, as plugins stay loaded. */
#include "akiembed.h"

#include "ort/device_find.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* What a build for a Mac answers; openvino, to have a second one that is built in. */
static OrtStatus *providers(char ***out, int *count)
{
    static char coreml[] = "CoreMLExecutionProvider", openvino[] = "OpenVINOExecutionProvider", cpu[] = "CPUExecutionProvider", *names[] = { coreml, openvino, cpu };

    *out = names;
    *count = 3;
    return NULL;
}

static OrtStatus *release_providers(char **names, int count)
{
    (void)names;
    (void)count;
    return NULL;
}

/* device: an entry of ONNX Runtime's list is taken; else provider is. "": neither. */
static void check_found(const struct aki__runtime *rt, const char *name, const char *device, const char *provider)
{
    struct aki__device_found f;

    assert_int_equal(aki__device_find(rt, name, &f), *device || *provider);
    assert_string_equal(f.device ? rt->api->EpDevice_EpName(f.device) : "", device);
    assert_string_equal(f.provider, provider);
}

static void test_who_comes_first(void **state)
{
    const struct aki__runtime *rt;
    struct aki__runtime mac;
    OrtApi api;

    (void)state;
    assert_int_equal(aki__runtime_get(&rt, -1, NULL), AKI_OK);
    mac = *rt;
    api = *rt->api;
    api.GetAvailableProviders = providers;
    api.ReleaseAvailableProviders = release_providers;
    mac.api = &api;
    check_found(rt, "coreml", "", "");
    check_found(&mac, "coreml", "", "CoreMLExecutionProvider");

    /* ONNX Runtime's own list has devices of it, as that of 1.32 on a Mac: registered past the library, by the provider that the tests have. */
    assert_null(rt->api->RegisterExecutionProviderLibrary(rt->env, "CoreMLExecutionProvider", AKI_FAKE_PROVIDER));
    check_found(&mac, "coreml", "", "CoreMLExecutionProvider");
    check_found(rt, "coreml", "CoreMLExecutionProvider", "");

    /* A plugin of another name changes nothing about it; nor does a second one. */
    const char *const plugins[] = { "fake=" AKI_FAKE_PROVIDER, "other=" AKI_FAKE_PROVIDER };
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(aki_load_device_plugin(plugins[i], NULL), AKI_OK);
        check_found(&mac, "coreml", "", "CoreMLExecutionProvider");
        check_found(rt, "coreml", "CoreMLExecutionProvider", "");
        check_found(&mac, "openvino", "", "OpenVINOExecutionProvider");
        check_found(&mac, "fake", "fake", "");
    }
    check_found(&mac, "other", "other", "");

    /* One that bears its name was asked for. */
    assert_int_equal(aki_load_device_plugin("OpenVINOExecutionProvider=" AKI_FAKE_PROVIDER, NULL), AKI_OK);
    check_found(&mac, "openvino", "OpenVINOExecutionProvider", "");
    check_found(&mac, "coreml", "", "CoreMLExecutionProvider");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_who_comes_first) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
