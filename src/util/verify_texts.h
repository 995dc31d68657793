/* Unit verify_texts: the texts with which the fidelity of int8 is measured, by `verify` and by aki_quantize_measured. */
#ifndef AKI_UTIL_VERIFY_TEXTS_H
#define AKI_UTIL_VERIFY_TEXTS_H

#include <stdbool.h>
#include <stddef.h>

extern const char *const aki__verify_texts[];   /* UTF-8; one of them is empty */
extern const size_t aki__verify_text_count;

/* The least cosine to f32 that int8 is held to. */
#define AKI_INT8_LEAST 0.999

/* true: a token of this spelling stands for what the tokenizer does not know. A text of which half or more are such tokens has a vector that
 * says nothing of it, and leaves rounding little to average over: it is not held to the least cosine. */
bool aki__is_unknown_piece(const char *piece, size_t size);

#endif
