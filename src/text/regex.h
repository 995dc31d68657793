/* Unit regex, inside: what its files share. regex_translate.c translates expressions, regex.c compiles and matches them with
 * PCRE2. */
#ifndef AKI_REGEX_H
#define AKI_REGEX_H

#include "text/stages.h"

struct aki__regex_translation {
    struct aki__buf pattern;        /* in PCRE2's syntax; to be freed by the caller */
    const char     *unsupported;    /* static text: the first part that is not supported; NULL: none */
    size_t          offset;         /* byte of the expression behind that part */
    bool            no_memory;      /* or the result is too large */
};
void aki__regex_translate(struct aki__regex_translation *out, const char *regex, size_t size);

#endif
