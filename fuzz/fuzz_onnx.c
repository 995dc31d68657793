/* Fuzzes the walk through an .onnx file's weights and the names of its external data: it stays inside the bytes, and what stands twice counts twice. */
#include "fuzz.h"

#include "onnx/read.h"

#include <stdlib.h>

/* Reads each byte that it is told, and counts the texts. */
static void count_texts(void *user, struct aki__onnx_text location)
{
    volatile char sum = 0;

    for (size_t i = 0; i < location.size; i++)
        sum = (char)(sum ^ location.data[i]);
    ++*(size_t *)user;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct aki__onnx_weights once, twice;
    char *copy = malloc(2 * size + 1);      /* of exactly that size: a step behind it is seen */

    FUZZ_CHECK(copy != NULL);
    memcpy(copy, data, size);
    memcpy(copy + size, data, size);
    aki__onnx_count_weights(&once, (const char *)data, size);
    aki__onnx_count_weights(&twice, copy, 2 * size);
    size_t once_told = 0, twice_told = 0;
    aki__onnx_external((const char *)data, size, count_texts, &once_told);
    aki__onnx_external(copy, 2 * size, count_texts, &twice_told);
    FUZZ_CHECK(twice_told >= once_told);
    FUZZ_CHECK(twice.f32 >= once.f32 && twice.f16 >= once.f16 && twice.quantised >= once.quantised);
    free(copy);
    return 0;
}
