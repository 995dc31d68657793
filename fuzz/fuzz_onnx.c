/* Fuzzes the walk through an .onnx file's weights: it stays inside the bytes, and what stands twice counts twice. */
#include "fuzz.h"

#include "ort/onnx_read.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct aki__onnx_weights once, twice;
    char *copy = malloc(2 * size + 1);      /* of exactly that size: a step behind it is seen */

    FUZZ_CHECK(copy != NULL);
    memcpy(copy, data, size);
    memcpy(copy + size, data, size);
    aki__onnx_count_weights(&once, (const char *)data, size);
    aki__onnx_count_weights(&twice, copy, 2 * size);
    FUZZ_CHECK(twice.f32 >= once.f32 && twice.f16 >= once.f16 && twice.quantised >= once.quantised);
    free(copy);
    return 0;
}
