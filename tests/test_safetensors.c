/* Tests of model/safetensors: every broken header is refused where it is broken, tensors are found and read, shards are joined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"
#include "host.h"

#include <stdio.h>
#include <stdlib.h>

/* A whole file: header length, header, zeros as data. In a block of exactly its size, so that a sanitizer sees a read behind it. */
static char *make_file(const char *header, size_t header_size, size_t data_size, size_t *size)
{
    *size = 8 + header_size + data_size;
    char *bytes = calloc(*size, 1);

    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(header_size >> (8 * i));
    memcpy(bytes + 8, header, header_size);
    return bytes;
}

#define ONE(dtype, shape, offsets) "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define F32X2 "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":"

static void test_headers_that_are_fine(void **state)
{
    static const struct { const char *header; size_t data; } rows[] = {
        { "{}", 0 },
        { "{\"__metadata__\":{\"format\":\"pt\"}}", 0 },
        { "{\"__metadata__\":{}}   ", 0 },
        { ONE("\"F32\"", "[2,3]", "[0,24]"), 24 },
        { ONE("\"F32\"", "[]", "[0,4]"), 4 },
        { ONE("\"F32\"", "[0]", "[0,0]"), 0 },
        { ONE("\"F32\"", "[0,9223372036854775807]", "[0,0]"), 0 },
        { ONE("\"BF16\"", "[1,1,1,1,1,1,1,3]", "[0,6]"), 6 },
        { ONE("\"F4\"", "[4]", "[0,2]"), 2 },
        { ONE("\"F6_E2M3\"", "[4]", "[0,3]"), 3 },
        { ONE("\"NEW_KIND\"", "[3]", "[0,7]"), 7 },                     /* unknown: fine until somebody asks for it */
        { "{\"t\":{\"data_offsets\":[0,1],\"shape\":[1],\"dtype\":\"BOOL\",\"more\":[{}]}}", 1 },
        { "{\"b\":" F32X2 "[8,16]},\"a\":" F32X2 "[0,8]}}", 16 },       /* offsets need no order */
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"b\":" F32X2 "[1,9]}}", 9 },     /* not aligned */
        { "{\"e\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[8,8]},\"a\":" F32X2 "[0,8]},\"b\":" F32X2 "[8,16]}}", 16 },
        { "{\"\\u0061\":" F32X2 "[0,8]}}", 8 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aki_error e;
        size_t size;
        char *bytes = make_file(rows[i].header, strlen(rows[i].header), rows[i].data, &size);
        if (aki__safetensors_check(bytes, size, "m.safetensors", &e) != AKI_OK)
            fail_msg("row %zu: %s", i, e.message);
        free(bytes);
    }
}

static void test_headers_that_are_broken(void **state)
{
    /* at: a piece of the header at whose first byte the error is; NULL: not looked at. */
    static const struct { const char *header; size_t data; aki_status status; const char *says, *at; } rows[] = {
        { "[]", 0, AKI_E_INVALID, "no JSON object", "[]" },
        { " {}", 0, AKI_E_INVALID, "no JSON object", " {}" },
        { "{", 0, AKI_E_INVALID, "ends too early", NULL },
        { "{}x", 0, AKI_E_INVALID, "behind the end", "x" },
        { "{\"a\":1}", 0, AKI_E_INVALID, "tensor a: is no object", "1}" },
        { "{\"t\":[]}", 0, AKI_E_INVALID, "is no object", "[]" },
        { "{\"t\":{}}", 0, AKI_E_INVALID, "dtype is missing", "\"t\"" },
        { "{\"a\\u0000b\":" F32X2 "[0,8]}}", 8, AKI_E_INVALID, "holds a NUL", NULL },
        { "{\"__metadata__\":[]}", 0, AKI_E_INVALID, "__metadata__ is no object", NULL },
        { "{\"__metadata__\":{\"a\":1}}", 0, AKI_E_INVALID, "__metadata__ holds", NULL },
        { ONE("7", "[2]", "[0,8]"), 8, AKI_E_INVALID, "dtype is missing or no string", "7" },
        { ONE("\"F32\"", "2", "[0,8]"), 8, AKI_E_INVALID, "shape is missing or no array", "2,\"data" },
        { ONE("\"F32\"", "[-2]", "[0,8]"), 8, AKI_E_INVALID, "whole number", "-2" },
        { ONE("\"F32\"", "[2.0]", "[0,8]"), 8, AKI_E_INVALID, "whole number", "2.0" },
        { ONE("\"F32\"", "[1e3]", "[0,8]"), 8, AKI_E_INVALID, "whole number", "1e3" },
        { ONE("\"F32\"", "[\"2\"]", "[0,8]"), 8, AKI_E_INVALID, "whole number", "\"2\"" },
        { ONE("\"F32\"", "[true]", "[0,8]"), 8, AKI_E_INVALID, "whole number", "true" },
        { ONE("\"F32\"", "[9223372036854775808]", "[0,8]"), 8, AKI_E_INVALID, "whole number", NULL },
        { ONE("\"F32\"", "[99999999999999999999]", "[0,8]"), 8, AKI_E_INVALID, "whole number", NULL },
        { ONE("\"F32\"", "[18446744073709551618]", "[0,8]"), 8, AKI_E_INVALID, "whole number from 0", NULL },     /* 2 in 64 bits */
        { ONE("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0, AKI_E_INVALID, "beyond 64 bits", NULL },
        { ONE("\"F32\"", "[4611686018427387904]", "[0,0]"), 0, AKI_E_INVALID, "whole number of bytes, or too many", NULL },
        { ONE("\"F4\"", "[3]", "[0,1]"), 1, AKI_E_INVALID, "whole number of bytes", NULL },
        { ONE("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, AKI_E_UNSUPPORTED, "more than 8 dimensions", "[1,1" },
        { ONE("\"F32\"", "[2]", "8"), 8, AKI_E_INVALID, "no pair", "8}" },
        { ONE("\"F32\"", "[2]", "[8]"), 8, AKI_E_INVALID, "no pair", "[8]" },
        { ONE("\"F32\"", "[2]", "[0,8,8]"), 8, AKI_E_INVALID, "no pair", "[0,8,8]" },
        { ONE("\"F32\"", "[2]", "[0,8.0]"), 8, AKI_E_INVALID, "no pair", "[0,8.0]" },
        { ONE("\"F32\"", "[2]", "[-8,0]"), 8, AKI_E_INVALID, "no pair", "[-8,0]" },
        { ONE("\"F32\"", "[2]", "[8,0]"), 8, AKI_E_INVALID, "out of order", "[8,0]" },
        { ONE("\"F32\"", "[2]", "[0,8]"), 7, AKI_E_INVALID, "cut short", "[0,8]" },
        { ONE("\"F32\"", "[2]", "[9999999999,10000000007]"), 8, AKI_E_INVALID, "cut short", NULL },
        { ONE("\"F32\"", "[2]", "[0,4]"), 4, AKI_E_INVALID, "do not span", "[0,4]" },
        { ONE("\"F16\"", "[2]", "[0,8]"), 8, AKI_E_INVALID, "do not span", "[0,8]" },
        { ONE("\"F32\"", "[2]", "[0,8]"), 9, AKI_E_INVALID, "1 bytes behind the last tensor", NULL },
        { ONE("\"F32\"", "[2]", "[4,12]"), 12, AKI_E_INVALID, "behind a hole", NULL },
        { "{}", 3, AKI_E_INVALID, "3 bytes behind", NULL },
        { "{\"a\":" F32X2 "[0,8]},\"b\":" F32X2 "[4,12]}}", 12, AKI_E_INVALID, "tensor b: its data overlaps", NULL },
        { "{\"a\":" F32X2 "[0,8]},\"b\":" F32X2 "[0,8]}}", 8, AKI_E_INVALID, "overlaps", NULL },
        { "{\"a\":" F32X2 "[0,8]},\"b\":" F32X2 "[12,20]}}", 20, AKI_E_INVALID, "tensor b: its data begins behind a hole", NULL },
        { "{\"a\":" F32X2 "[0,8]},\"a\":" F32X2 "[8,16]}}", 16, AKI_E_INVALID, "stands twice", NULL },
        { "{\"a\":" F32X2 "[0,8]},\"\\u0061\":" F32X2 "[8,16]}}", 16, AKI_E_INVALID, "stands twice", NULL },
        { "{\"\xC3\x28\":" F32X2 "[0,8]}}", 8, AKI_E_INVALID, "UTF-8", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aki_error e = { 0 };
        size_t size;
        char *bytes = make_file(rows[i].header, strlen(rows[i].header), rows[i].data, &size);
        aki_status rc = aki__safetensors_check(bytes, size, "m.safetensors", &e);
        if (rc != rows[i].status || !strstr(e.message, rows[i].says) || strncmp(e.message, "m.safetensors: ", 15) != 0)
            fail_msg("row %zu: %d %s", i, rc, e.message);
        if (rows[i].at && e.offset != 8 + (uint64_t)(strstr(rows[i].header, rows[i].at) - rows[i].header))
            fail_msg("row %zu: byte %d: %s", i, (int)e.offset, e.message);
        assert_int_equal(aki__safetensors_check(bytes, size, "m.safetensors", NULL), rc);
        free(bytes);
    }
}

static void test_every_cut_is_refused(void **state)
{
    static const char header[] = "{\"a\":" F32X2 "[0,8]},\"b\":" F32X2 "[8,16]}}";
    size_t size;
    char *bytes = make_file(header, sizeof header - 1, 16, &size);

    (void)state;
    assert_int_equal(aki__safetensors_check(bytes, size, "m", NULL), AKI_OK);
    for (size_t cut = 0; cut < size; cut++) {
        char *part = malloc(cut ? cut : 1);
        aki_error e;
        memcpy(part, bytes, cut);
        assert_int_equal(aki__safetensors_check(part, cut, "m", &e), AKI_E_INVALID);
        free(part);
    }
    free(bytes);
}

static void test_header_lengths(void **state)
{
    static const struct { uint64_t length; const char *says; } rows[] = {
        { 0, "no JSON object" }, { 101, "cut short" }, { 100000000, "cut short" }, { 100000001, "limit" }, { UINT64_MAX, "limit" },
        { UINT64_MAX - 7, "limit" }, { (uint64_t)1 << 63, "limit" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char bytes[108] = { 0 };
        aki_error e;
        memcpy(bytes, &rows[i].length, 8);
        assert_int_equal(aki__safetensors_check(bytes, sizeof bytes, "m", &e), AKI_E_INVALID);
        if (!strstr(e.message, rows[i].says))
            fail_msg("row %zu: %s", i, e.message);
    }
    aki_error e;
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    assert_int_equal(aki__safetensors_check(pointer, sizeof pointer - 1, "m", &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "git lfs pull"));
}

/* ---------------------------------------------------------------- folders --------------------------------------- */

static char folder[256];

static void put(const char *name, const char *bytes, size_t size)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static void put_tensors(const char *name, const char *header, const void *data, size_t data_size)
{
    size_t size;
    char *bytes = make_file(header, strlen(header), data_size, &size);

    memcpy(bytes + size - data_size, data, data_size);
    put(name, bytes, size);
    free(bytes);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/safetensors.XXXXXX", AKI_BINARY_DIR);
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
    (void)state;
    return host_drop(folder);
}

static void test_values_are_read(void **state)
{
    static const char     header[] = "{\"odd\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                                     "\"f\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[1,17]},"
                                     "\"h\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[17,23]},\"b\":{\"dtype\":\"BF16\",\"shape\":[3],"
                                     "\"data_offsets\":[23,29]}}";
    static const float f32[4] = { 1.5f, -2.25f, 3e38f, 0.0f };
    static const uint16_t f16[3] = { 0x3C00, 0xC100, 0x0001 }, bf16[3] = { 0x3F80, 0xC020, 0x7F7F };
    char data[29] = { 7 };
    struct aki__weights *w;
    float out[3];
    aki_error e;

    (void)state;
    memcpy(data + 1, f32, 16);
    memcpy(data + 17, f16, 6);
    memcpy(data + 23, bf16, 6);
    put_tensors("model.safetensors", header, data, sizeof data);
    if (aki__weights_open(&w, folder, &e) != AKI_OK)
        fail_msg("%s", e.message);
    assert_int_equal(aki__weights_count(w), 4);
    const struct aki__tensor *t = aki__weights_find(w, "f");
    assert_non_null(t);
    assert_string_equal(t->name, "f");
    assert_int_equal(t->dtype, AKI_F32);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->shape[0], 2);
    assert_int_equal(t->size, 16);
    assert_ptr_equal(t->data, t->map->data + t->map->size - 28);
    aki__tensor_read(out, t, 1, 2);
    assert_memory_equal(out, f32 + 1, 8);
    aki__tensor_read(out, aki__weights_find(w, "h"), 0, 3);
    assert_true(out[0] == 1.0f && out[1] == -2.5f && out[2] == 0x1p-24f);
    aki__tensor_read(out, aki__weights_find(w, "b"), 1, 2);
    assert_true(out[0] == -2.5f && out[1] == 0x1.fep127f);
    assert_null(aki__weights_find(w, ""));
    assert_null(aki__weights_find(w, "od"));
    assert_null(aki__weights_find(w, "oddx"));
    for (size_t i = 0; i < 4; i++)
        assert_ptr_equal(aki__weights_find(w, aki__weights_at(w, i)->name), aki__weights_at(w, i));
    aki__weights_close(w);
    aki__weights_close(NULL);
}

static void test_many_tensors(void **state)
{
    enum { COUNT = 200000 };
    struct aki__buf b = { 0 };
    struct aki__weights *w;
    aki_error e;
    char line[120];

    (void)state;
    for (int i = 0; i < COUNT; i++) {       /* names that differ at their end only, offsets from the end */
        int n = snprintf(line, sizeof line, "%c\"layers.weight.%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                         i ? ',' : '{', i, COUNT - 1 - i, COUNT - i);
        assert_true(aki__buf_append(&b, line, (size_t)n, 1u << 30));
    }
    assert_true(aki__buf_append(&b, "}", 2, 1u << 30));
    char *data = calloc(COUNT, 1);
    put_tensors("model.safetensors", b.data, data, COUNT);
    free(data);
    aki__buf_free(&b);
    if (aki__weights_open(&w, folder, &e) != AKI_OK)
        fail_msg("%s", e.message);
    assert_int_equal(aki__weights_count(w), COUNT);
    for (int i = 0; i < COUNT; i++) {
        snprintf(line, sizeof line, "layers.weight.%d", i);
        const struct aki__tensor *t = aki__weights_find(w, line);
        assert_non_null(t);
        assert_ptr_equal(t->data, t->map->data + t->map->size - 1 - i);
    }
    aki__weights_close(w);
}

#define INDEX(map) "{\"metadata\":{\"total_size\":16},\"weight_map\":" map "}"
#define BOTH INDEX("{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}")

static void put_shards(const char *index)
{
    static const float data[2] = { 1, 2 };

    put_tensors("one.safetensors", "{\"a\":" F32X2 "[0,8]}}", data, 8);
    put_tensors("two.safetensors", "{\"b\":" F32X2 "[0,8]}}", data, 8);
    put_tensors("same.safetensors", "{\"a\":" F32X2 "[0,8]},\"b\":" F32X2 "[8,16]}}", (float[4]){ 0 }, 16);
    put_tensors("none.safetensors", "{}", data, 0);
    put_tensors("none.safetensors.x", "{\"a\":" F32X2 "[0,8]},\"b\":" F32X2 "[8,16]}}", (float[4]){ 0 }, 16);
    put("model.safetensors.index.json", index, strlen(index));
}

static void test_shards(void **state)
{
    struct aki__weights *w;
    aki_error e;

    (void)state;
    put_shards(BOTH);
    if (aki__weights_open(&w, folder, &e) != AKI_OK)
        fail_msg("%s", e.message);
    assert_int_equal(aki__weights_count(w), 2);
    assert_ptr_not_equal(aki__weights_find(w, "a")->map, aki__weights_find(w, "b")->map);
    aki__weights_close(w);
}

#if !defined(_WIN32)
static void test_shards_through_links(void **state)
{
    char from[512], to[512];
    struct aki__weights *w;
    aki_error e;

    (void)state;
    put_shards(BOTH);
    snprintf(from, sizeof from, "%s/one.safetensors", folder);
    snprintf(to, sizeof to, "%s/blob", folder);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(symlink("./blob", from), 0);
    if (aki__weights_open(&w, folder, &e) != AKI_OK)
        fail_msg("%s", e.message);
    aki__weights_close(w);
    unlink(from);
    assert_int_equal(symlink("one.safetensors", from), 0);      /* a circle */
    assert_int_equal(aki__weights_open(&w, folder, &e), AKI_E_IO);
    assert_null(w);
}
#endif

static void test_broken_indexes(void **state)
{
    static const struct { const char *index; aki_status status; const char *says; } rows[] = {
        { "", AKI_E_INVALID, "ends too early" },
        { "[]", AKI_E_INVALID, "weight_map is missing" },
        { "{}", AKI_E_INVALID, "weight_map is missing" },
        { INDEX("[]"), AKI_E_INVALID, "weight_map is missing" },
        { INDEX("{}"), AKI_E_INVALID, "weight_map is missing" },
        { INDEX("{\"a\":1}"), AKI_E_INVALID, "weight_map.a names no file" },
        { INDEX("{\"a\":\"\"}"), AKI_E_INVALID, "names no file inside" },
        { INDEX("{\"a\":\"../one.safetensors\"}"), AKI_E_INVALID, "names no file inside" },
        { INDEX("{\"a\":\"x/../../one.safetensors\"}"), AKI_E_INVALID, "names no file inside" },
        { INDEX("{\"a\":\"x/..\"}"), AKI_E_INVALID, "names no file inside" },
        { INDEX("{\"a\":\"/etc/passwd\"}"), AKI_E_INVALID, "names no file inside" },
        { INDEX("{\"a\":\"..\\\\one.safetensors\"}"), AKI_E_INVALID, "names no file inside" },
        { INDEX("{\"a\":\"C:one.safetensors\"}"), AKI_E_INVALID, "names no file inside" },
        { INDEX("{\"a\":\"one.safetensors\\u0000\"}"), AKI_E_INVALID, "names no file inside" },
        { INDEX("{\"a\":\"one.safetensors\",\"b\":\"three.safetensors\"}"), AKI_E_NOT_FOUND, "three.safetensors: missing" },
        { INDEX("{\"a\":\"one.safetensors\",\"c\":\"two.safetensors\"}"), AKI_E_INVALID, "weight_map.c: the shard two.safetensors has no such" },
        { INDEX("{\"a\":\"one.safetensors\",\"\\u0000\":\"two.safetensors\"}"), AKI_E_INVALID, "has no such tensor" },
        { INDEX("{\"a\":\"two.safetensors\",\"b\":\"one.safetensors\"}"), AKI_E_INVALID, "the shard two.safetensors has no such" },
        { INDEX("{\"a\":\"none.safetensors.x\",\"b\":\"none.safetensors\"}"), AKI_E_INVALID, "the shard none.safetensors has no such" },
        { INDEX("{\"a\":\"one.safetensors\",\"b\":\"same.safetensors\"}"), AKI_E_INVALID, "tensor a stands there twice (also in" },
        { INDEX("{\"a\":\"one.safetensors\",\"b\":\"model.safetensors.index.json\"}"), AKI_E_INVALID, "model.safetensors.index.json: a header" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aki__weights *w;
        aki_error e = { 0 };
        put_shards(rows[i].index);
        aki_status rc = aki__weights_open(&w, folder, &e);
        if (rc != rows[i].status || !strstr(e.message, rows[i].says))
            fail_msg("row %zu: %d %s", i, rc, e.message);
        assert_null(w);
        assert_int_equal(aki__weights_open(&w, folder, NULL), rc);
    }
}

static void test_other_files(void **state)
{
    struct aki__weights *w;
    aki_error e;

    (void)state;
    assert_int_equal(aki__weights_open(&w, folder, &e), AKI_E_NOT_FOUND);
    assert_non_null(strstr(e.message, "no model.safetensors and no model.safetensors.index.json"));
    put("pytorch_model.bin", "PK", 2);
    assert_int_equal(aki__weights_open(&w, folder, &e), AKI_E_UNSUPPORTED);
    assert_non_null(strstr(e.message, "pytorch_model.bin"));
    assert_non_null(strstr(e.message, "save_pretrained('.')\" in the folder"));     /* the advice is not cut off */
    put("model.safetensors", "", 0);
    assert_int_equal(aki__weights_open(&w, folder, &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "model.safetensors: 0 bytes"));

    char path[512];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(aki__weights_open(&w, folder, &e), AKI_E_IO);
    assert_null(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_that_are_fine),
        cmocka_unit_test(test_headers_that_are_broken),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_header_lengths),
        cmocka_unit_test_setup_teardown(test_values_are_read, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_many_tensors, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_shards, make_folder, drop_folder),
#if !defined(_WIN32)
        cmocka_unit_test_setup_teardown(test_shards_through_links, make_folder, drop_folder),
#endif
        cmocka_unit_test_setup_teardown(test_broken_indexes, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_other_files, make_folder, drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
