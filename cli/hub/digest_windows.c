/* Unit digest by Windows' CNG. See digest.h. */
#include "digest.h"

#include <stdlib.h>
#include <windows.h>
#include <bcrypt.h>

struct digest {
    BCRYPT_ALG_HANDLE  algorithm;
    BCRYPT_HASH_HANDLE hash;
    size_t             size;
};

struct digest *digest_begin(enum digest_kind kind)
{
    struct digest *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->size = kind == DIGEST_SHA1 ? 20 : 32;
    if (BCryptOpenAlgorithmProvider(&d->algorithm, kind == DIGEST_SHA1 ? BCRYPT_SHA1_ALGORITHM : BCRYPT_SHA256_ALGORITHM, NULL, 0) ||
        BCryptCreateHash(d->algorithm, &d->hash, NULL, 0, NULL, 0, 0)) {
        digest_end(d, NULL);
        return NULL;
    }
    return d;
}

bool digest_add(struct digest *d, const void *bytes, size_t size)
{
    bool ok = true;

    for (const char *at = bytes; size && ok;) {       /* its sizes have 32 bits */
        ULONG part = size < 1u << 30 ? (ULONG)size : 1u << 30;
        ok = !BCryptHashData(d->hash, (PUCHAR)(uintptr_t)at, part, 0);
        at += part;
        size -= part;
    }
    return ok;
}

size_t digest_end(struct digest *d, unsigned char *out)
{
    size_t size = d && out && !BCryptFinishHash(d->hash, out, (ULONG)d->size, 0) ? d->size : 0;

    if (d && d->hash)
        BCryptDestroyHash(d->hash);
    if (d && d->algorithm)
        BCryptCloseAlgorithmProvider(d->algorithm, 0);
    free(d);
    return size;
}
