/* Unit buf: a buffer that grows, and JSON written into it. A failed growth sticks: writers go on and the end looks once. */
#ifndef AKI_SERVER_BUF_H
#define AKI_SERVER_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed means empty and valid. */
struct buf {
    char  *data;
    size_t size, capacity;
    bool   failed;                         /* no memory, or past BUF_CEILING: what data holds is not whole */
};
#define BUF_CEILING ((size_t)1 << 30)

void buf_free(struct buf *b);
/* Room for more bytes behind size. */
bool buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *data, size_t size);
void buf_text(struct buf *b, const char *text);
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void buf_format(struct buf *b, const char *format, ...);

/* Prints a float into 32 bytes of room and answers the length: given by the program, so that all its verbs print the same digits. */
typedef size_t write_f32_fn(char *out, float value);

/* A quoted JSON string. text: UTF-8. */
void json_string(struct buf *b, const char *text, size_t size);
void json_text(struct buf *b, const char *text);
/* "[1.5,…]" of count floats. */
void json_floats(struct buf *b, const float *values, size_t count, write_f32_fn *write);
/* The floats' bytes, little-endian, in base64 within quotes. */
void json_base64(struct buf *b, const float *values, size_t count);

/* UTF-8. Offset of the first byte that is not valid, or SIZE_MAX; and the number of code points of valid text. */
size_t text_check(const char *text, size_t size);
size_t text_count(const char *text, size_t size);

#endif
