/* Unit known: embedding models that are known to work here, with short names. */
#ifndef AKI_CLI_KNOWN_H
#define AKI_CLI_KNOWN_H

#include <stddef.h>

struct known {
    const char *alias;
    const char *name;                      /* at the hub */
    const char *revision;
    const char *licence;                   /* SPDX, of the weights, as their card states it */
    int         dim;
};
extern const struct known known_models[];
extern const size_t known_count;

/* By alias, by the whole name or by its last part, whatever the case; NULL: not known. */
const struct known *known_find(const char *name);

#endif
