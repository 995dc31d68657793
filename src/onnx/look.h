/* Unit look: an .onnx file before ONNX Runtime opens it. */
#ifndef AKI_ONNX_LOOK_H
#define AKI_ONNX_LOOK_H

#include "onnx/read.h"

/* Counts the weights of the file at path and looks at it and at each file of external data that it names: what is there has to be a regular file
 * (opening a FIFO would wait for ever) and more than the pointer that Git LFS leaves. What is missing or broken is ONNX Runtime's to tell.
 * name: what messages call the file. Errors: INVALID, IO, NOMEM. */
aki_status aki__onnx_look(struct aki__onnx_weights *out, const char *path, const char *name, aki_error *err);

#endif
