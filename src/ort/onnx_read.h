/* Unit onnx_read: how many weights of which types an .onnx file holds: the one thing that ONNX Runtime does not tell. No runtime types. */
#ifndef AKI_ONNX_READ_H
#define AKI_ONNX_READ_H

#include "base/base.h"

/* Elements of initializers. */
struct aki__onnx_weights { uint64_t f32, f16, quantised; };     /* f16: bf16 too; quantised: of 8 bits or fewer, packed ones counted as bytes */

/* bytes: [size] of a ModelProto. What cannot be read is not counted: ONNX Runtime is who judges a file. */
void aki__onnx_count_weights(struct aki__onnx_weights *out, const char *bytes, size_t size);

#endif
