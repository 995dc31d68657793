/* Tests of a host program that uses ONNX Runtime itself: its environment was there first. */
#include "golden.h"

#include <onnxruntime_c_api.h>

static void test_host_came_first(void **state)
{
    const OrtApi *api = OrtGetApiBase()->GetApi(23);
    OrtEnv *env = NULL;
    struct golden g;
    float v[256];
    aki_error e = { 0 };
    (void)state;

    assert_non_null(api);
    assert_null(api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "host", &env));
    aki_model *m = open_model(CHECKPOINTS "qwen3", AKI_PRECISION_F32);
    golden_open(&g, "qwen3");
    struct golden_case c = golden_at(&g, 5);
    assert_int_equal(aki_embed(m, &c.text, &c.size, 1, NULL, v, sizeof v, NULL, NULL, &e), AKI_OK);
    assert_true(golden_distance(&c, v, g.dim) < 2e-5);
    golden_close(&g);
    aki_model_close(m);
    api->ReleaseEnv(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_host_came_first) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
