/* Tests of the ModelProto writer on what no exported checkpoint is large enough for: weights in a second file. */
#include "golden.h"

#include "arch/arch.h"
#include "graph/portable.h"
#include "ort/runtime.h"

#include "host.h"

enum { TOKENS = 16, HIDDEN = 48 };

/* Writes the checkpoint "qwen3" to path, weights above `most` bytes beside it. */
static aki_status write_to(const char *path, uint64_t most, aki_error *err)
{
    const struct aki__portable_options options = { .client = true };
    struct aki__model *m;
    struct aki__graph g;
    struct aki__onnx o = { 0 };

    assert_int_equal(aki__model_folder_open(&m, CHECKPOINTS "qwen3", aki__families, err), AKI_OK);
    aki__graph_init(&g, m, err);
    assert_int_equal(aki__arch_build(&g, m), AKI_OK);
    assert_int_equal(aki__portable_build(&o, &g, &options, err), AKI_OK);
    aki_status rc = aki__onnx_to_file(&o, path, "qwen3", most, err);
    aki__onnx_free(&o);
    aki__graph_free(&g);
    aki__model_folder_close(m);
    return rc;
}

/* Runs a file on ONNX Runtime. */
static void run_file(const char *path, float out[TOKENS * HIDDEN])
{
    static const char *const names[] = { "input_ids", "attention_mask" }, *const output = "last_hidden_state";
    static int64_t ids[TOKENS], mask[TOKENS];
    const int64_t shape[] = { 1, TOKENS };
    const struct aki__runtime *rt;
    OrtSessionOptions *options = NULL;
    OrtSession *session = NULL;
    OrtValue *inputs[2] = { 0 }, *result = NULL;
    const float *data;

    assert_int_equal(aki__runtime_get(&rt, 0, NULL), AKI_OK);
    for (int i = 0; i < TOKENS; i++) {
        ids[i] = 7 + 11 * i;
        mask[i] = i < 12;
    }
    assert_null(rt->api->CreateSessionOptions(&options));
    ORTCHAR_T *native = aki__native_path(path);
    OrtStatus *st = rt->api->CreateSession(rt->env, native, options, &session);
    aki__free(native);
    if (st)
        fail_msg("%s: %s", path, rt->api->GetErrorMessage(st));
    assert_null(rt->api->CreateTensorWithDataAsOrtValue(rt->cpu, ids, sizeof ids, shape, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &inputs[0]));
    assert_null(rt->api->CreateTensorWithDataAsOrtValue(rt->cpu, mask, sizeof mask, shape, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &inputs[1]));
    assert_null(rt->api->Run(session, NULL, names, (const OrtValue *const *)inputs, 2, &output, 1, &result));
    assert_null(rt->api->GetTensorMutableData(result, (void **)&data));
    memcpy(out, data, sizeof(float) * TOKENS * HIDDEN);
    rt->api->ReleaseValue(result);
    rt->api->ReleaseValue(inputs[0]);
    rt->api->ReleaseValue(inputs[1]);
    rt->api->ReleaseSession(session);
    rt->api->ReleaseSessionOptions(options);
}

static void test_second_file(void **state)
{
    static const char one[] = AKI_BINARY_DIR "/one.onnx", two[] = AKI_BINARY_DIR "/two.onnx", side[] = AKI_BINARY_DIR "/two.onnx.data";
    static float a[TOKENS * HIDDEN], b[TOKENS * HIDDEN];
    struct aki__map first, second;
    aki_error e = { 0 };
    (void)state;

    unlink(side);
    assert_int_equal(write_to(one, AKI_ONNX_FILE_MOST, &e), AKI_OK);
    assert_false(aki__is_file(AKI_BINARY_DIR "/one.onnx.data"));
    assert_int_equal(write_to(two, 1000, &e), AKI_OK);
    assert_int_equal(aki__map_open(&first, two, &e), AKI_OK);
    assert_int_equal(aki__map_open(&second, side, &e), AKI_OK);
    assert_true(second.size > 4 * first.size);
    aki__map_close(&first);
    aki__map_close(&second);
    run_file(one, a);
    run_file(two, b);
    assert_memory_equal(a, b, sizeof a);
    assert_true(a[0] != 0 && isfinite(a[0]));
    unlink(one);
    unlink(two);
    unlink(side);
}

/* What cannot be written leaves nothing, the second file neither. */
static void test_failures(void **state)
{
    aki_error e = { 0 };
    (void)state;

    assert_int_equal(write_to(AKI_BINARY_DIR "/no/such/folder/x.onnx", 1000, &e), AKI_E_IO);
    assert_non_null(strstr(e.message, "x.onnx.data"));
    assert_int_equal(write_to(AKI_BINARY_DIR "/no/such/folder/x.onnx", AKI_ONNX_FILE_MOST, &e), AKI_E_IO);
    /* A folder stands where the file is to go: the weights are written first, and taken back. */
    assert_int_equal(aki__make_folder(AKI_BINARY_DIR "/blocked.onnx", &e), AKI_OK);
    assert_int_equal(write_to(AKI_BINARY_DIR "/blocked.onnx", 1000, &e), AKI_E_IO);
    assert_false(aki__is_file(AKI_BINARY_DIR "/blocked.onnx.data"));
    rmdir(AKI_BINARY_DIR "/blocked.onnx");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_second_file), cmocka_unit_test(test_failures) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
