/* Unit digest by OpenSSL's libcrypto. See digest.h. */
#include "digest.h"

#include <openssl/evp.h>

struct digest *digest_begin(enum digest_kind kind)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (context && !EVP_DigestInit_ex(context, kind == DIGEST_SHA1 ? EVP_sha1() : EVP_sha256(), NULL)) {
        EVP_MD_CTX_free(context);
        context = NULL;
    }
    return (struct digest *)context;
}

bool digest_add(struct digest *d, const void *bytes, size_t size)
{
    return EVP_DigestUpdate((EVP_MD_CTX *)d, bytes, size);
}

size_t digest_end(struct digest *d, unsigned char *out)
{
    unsigned int size = 0;

    if (d && out && !EVP_DigestFinal_ex((EVP_MD_CTX *)d, out, &size))
        size = 0;
    EVP_MD_CTX_free((EVP_MD_CTX *)d);
    return size;
}
