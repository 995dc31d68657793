/* Unit read: what ONNX Runtime does not tell of an .onnx file: how many weights of which types it holds, and which files hold the rest. No
 * runtime types. */
#ifndef AKI_ONNX_READ_H
#define AKI_ONNX_READ_H

#include "base/base.h"

/* Elements of initializers. */
struct aki__onnx_weights { uint64_t f32, f16, quantised; };     /* f16: bf16 too; quantised: of 8 bits or fewer, packed ones counted as bytes */

/* bytes: [size] of a ModelProto. What cannot be read is not counted: ONNX Runtime is who judges a file. */
void aki__onnx_count_weights(struct aki__onnx_weights *out, const char *bytes, size_t size);

/* A text of the file, borrowed. */
struct aki__onnx_text { const char *data; size_t size; };
/* The location of every initializer whose data lies in another file, in the file's order, as often as it stands there. */
void aki__onnx_external(const char *bytes, size_t size, void (*tell)(void *user, struct aki__onnx_text location), void *user);

#endif
