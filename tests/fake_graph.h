/* What a provider library is offered, as a file: writes ONNX Runtime's OrtGraph as a ModelProto (onnx.proto names the fields). */
#ifndef AKI_FAKE_GRAPH_H
#define AKI_FAKE_GRAPH_H

#include <onnxruntime_c_api.h>

#include <stdbool.h>
#include <stddef.h>

struct fake_bytes { unsigned char *data; size_t size, capacity; bool full; };     /* full: there was no memory for all */

/* out: zeroed; out->data is freed by the caller, also on failure. flush: the epsilon of a norm in half precision is what a device has that knows
 * no numbers below the least normal one. */
OrtStatus *fake_graph_write(const OrtApi *api, const OrtGraph *graph, bool flush, struct fake_bytes *out);

#endif
