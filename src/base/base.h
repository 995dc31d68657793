/* Unit base: what every other unit of the library stands on: util/, errors, half floats. */
#ifndef AKI_BASE_H
#define AKI_BASE_H

#include "akiembed.h"
#include "util/buf.h"
#include "util/hash.h"
#include "util/memory.h"
#include "util/utf8.h"

/* Fills *err (NULL allowed) and answers status, so that a failure is one line: return aki__fail(err, AKI_E_IO, "%s: …", path);
 * The message says what and where; it never holds the content of a text. aki__fail_at also names the text and the byte. */
aki_status aki__fail(aki_error *err, aki_status status, const char *format, ...) AKI_PRINTF(3, 4);
aki_status aki__fail_at(aki_error *err, aki_status status, size_t item, uint64_t offset, const char *format, ...) AKI_PRINTF(5, 6);
/* Names the text in an error that came from a unit that sees one text only. */
aki_status aki__name_item(aki_error *err, aki_status status, size_t item);
/* The first failure of two. */
static inline aki_status aki__also(aki_status first, aki_status second) { return first ? first : second; }

/* A report of all errors of a folder, for aki_check. A reader with a report continues after an error; one without (NULL, or no
 * callback) returns the first. */
struct aki__report {
    void (*callback)(void *user, const aki_error *error);   /* NULL: no report */
    void  *user;
    size_t count;                       /* errors reported so far */
};
/* Adds an error to the report, if there is one. */
static inline bool aki__report_error(struct aki__report *r, const aki_error *error)
{
    if (!r || !r->callback)
        return false;
    r->count++;
    r->callback(r->user, error);
    return true;
}

/* What git clone leaves of a large file where Git LFS is not installed: a few lines that name it. */
#define AKI_LFS_POINTER "only a pointer to the file, as Git LFS leaves it: run git lfs pull"
bool aki__is_lfs_pointer(const char *bytes, size_t size);

/* Half floats. */
static inline float aki__bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
float    aki__f16_to_f32(uint16_t h);
uint16_t aki__f32_to_f16(float f);                        /* round to nearest even */

#endif
