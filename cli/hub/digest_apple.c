/* Unit digest by macOS' CommonCrypto. See digest.h. */
#include "digest.h"

#include <CommonCrypto/CommonDigest.h>
#include <stdlib.h>

struct digest {
    enum digest_kind kind;
    CC_SHA1_CTX   sha1;
    CC_SHA256_CTX sha256;
};

struct digest *digest_begin(enum digest_kind kind)
{
    struct digest *d = malloc(sizeof *d);

    if (d) {
        d->kind = kind;
        CC_SHA1_Init(&d->sha1);
        CC_SHA256_Init(&d->sha256);
    }
    return d;
}

bool digest_add(struct digest *d, const void *bytes, size_t size)
{
    for (const char *at = bytes; size;) {       /* its sizes have 32 bits */
        CC_LONG part = size < 1u << 30 ? (CC_LONG)size : 1u << 30;
        if (d->kind == DIGEST_SHA1)
            CC_SHA1_Update(&d->sha1, at, part);
        else
            CC_SHA256_Update(&d->sha256, at, part);
        at += part;
        size -= part;
    }
    return true;
}

size_t digest_end(struct digest *d, unsigned char *out)
{
    size_t size = 0;

    if (d && out) {
        size = d->kind == DIGEST_SHA1 ? CC_SHA1_DIGEST_LENGTH : CC_SHA256_DIGEST_LENGTH;
        if (d->kind == DIGEST_SHA1)
            CC_SHA1_Final(out, &d->sha1);
        else
            CC_SHA256_Final(out, &d->sha256);
    }
    free(d);
    return size;
}
