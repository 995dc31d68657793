/* Unit allocator: the memory of runs: ONNX Runtime's tensors and the operators' scratch.
 *
 * ONNX Runtime's own arena keeps a region for every size it ever saw (measured: MiniLM, 400 requests of random length: 221 MB and growing,
 * against 66 MB without an arena), and plain malloc maps and clears pages for every tensor (6 % of int8's time). This one keeps blocks that
 * were given back, hands out the best fitting one if it wastes at most half of it, and holds at most a quarter more than the most that was ever in use at once. */
#ifndef AKI_ALLOCATOR_H
#define AKI_ALLOCATOR_H

#include "base/base.h"

struct OrtApi;
struct OrtEnv;
struct OrtStatus;

/* Registers the process's allocator with the environment; once a process, before any other use. version: of the API that is handed in. NULL: done. */
struct OrtStatus *aki__allocator_register(const struct OrtApi *api, uint32_t version, struct OrtEnv *env);

/* The same memory for the operators' scratch: 64-byte aligned; NULL: none left. Thread-safe. */
void *aki__allocator_take(size_t size);
/* For weights, which are read from end to end again and again, and live long: in huge pages where the system has them, beside other weights. NULL: none left,
 * or more than a region of these holds (32 MiB). */
void *aki__allocator_reserve(size_t size);
void  aki__allocator_give(void *data);      /* NULL is fine */

#endif
