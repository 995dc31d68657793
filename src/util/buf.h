/* Unit buf: a buffer of bytes that grows (by halves) up to a ceiling stated at the call. */
#ifndef AKI_UTIL_BUF_H
#define AKI_UTIL_BUF_H

#include "util/memory.h"

#if defined(__GNUC__)
#  define AKI_PRINTF(string_at, first) __attribute__((format(printf, string_at, first)))
#else
#  define AKI_PRINTF(string_at, first)
#endif

/* Zeroed means empty and valid. */
struct aki__buf {
    char  *data;
    size_t size, capacity;
    bool   failed;              /* of the writers below: what data holds is not whole */
};
void aki__buf_free(struct aki__buf *b);

/* Room for `more` bytes behind data[size]; false: no memory, or size + more > ceiling. The buffer is then as it was. */
bool aki__buf_reserve(struct aki__buf *b, size_t more, size_t ceiling);
bool aki__buf_append(struct aki__buf *b, const void *bytes, size_t size, size_t ceiling);

/* Writers: a failure sticks in b->failed, so that they go on (writing nothing) and the end looks once. */
bool aki__buf_room(struct aki__buf *b, size_t more, size_t ceiling);
void aki__buf_write(struct aki__buf *b, const void *bytes, size_t size, size_t ceiling);
void aki__buf_format(struct aki__buf *b, size_t ceiling, const char *format, ...) AKI_PRINTF(3, 4);
/* A quoted JSON string, all of it escaped that is not printed: it can stand in a line. text: any bytes; what is not UTF-8 becomes U+FFFD. */
void aki__buf_json(struct aki__buf *b, const char *text, size_t size, size_t ceiling);

#endif
