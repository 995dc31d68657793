/* What every fuzz target includes: libFuzzer's entry and a check that is never compiled out. */
#ifndef AKI_FUZZ_H
#define AKI_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A defect found: stops the fuzzer (or the replay), which keeps the input. */
#define FUZZ_CHECK(condition) do { if (!(condition)) __builtin_trap(); } while (0)

#endif
