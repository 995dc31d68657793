/* Unit buf: answers as they are written: a growing buffer with the service's ceiling, and the JSON of vectors. A failed growth sticks: writers
 * go on and the end looks once (b->failed). */
#ifndef AKI_SERVER_BUF_H
#define AKI_SERVER_BUF_H

#include "util/buf.h"

#define BUF_CEILING ((size_t)1 << 30)

/* Room for more bytes behind size. */
static inline bool buf_reserve(struct aki__buf *b, size_t more) { return aki__buf_room(b, more, BUF_CEILING); }
static inline void buf_add(struct aki__buf *b, const void *data, size_t size) { aki__buf_write(b, data, size, BUF_CEILING); }
static inline void buf_text(struct aki__buf *b, const char *text) { buf_add(b, text, strlen(text)); }
#define buf_format(b, ...) aki__buf_format(b, BUF_CEILING, __VA_ARGS__)

/* A quoted JSON string. */
static inline void json_string(struct aki__buf *b, const char *text, size_t size) { aki__buf_json(b, text, size, BUF_CEILING); }
static inline void json_text(struct aki__buf *b, const char *text) { json_string(b, text, strlen(text)); }

/* Prints a float into 32 bytes of room and answers the length: given by the program, so that all its verbs print the same digits. */
typedef size_t write_f32_fn(char *out, float value);

/* "[1.5,…]" of count floats. */
void json_floats(struct aki__buf *b, const float *values, size_t count, write_f32_fn *write);
/* The floats' bytes, little-endian, in base64 within quotes. */
void json_base64(struct aki__buf *b, const float *values, size_t count);

#endif
