/* Unit digest: sha256 and sha1 of bytes that come in pieces: by OpenSSL (digest.c), or by macOS or
 * Windows itself where OpenSSL is not (digest_apple.c, digest_windows.c). */
#ifndef AKI_CLI_DIGEST_H
#define AKI_CLI_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

enum digest_kind { DIGEST_SHA1, DIGEST_SHA256 };
enum { DIGEST_LIMIT = 32 };                /* bytes of the longest */

struct digest;
/* NULL: it cannot be computed here, or there is no memory. */
struct digest *digest_begin(enum digest_kind kind);
bool           digest_add(struct digest *d, const void *bytes, size_t size);
/* Frees d (NULL: does nothing), and answers the size of the digest in out (DIGEST_LIMIT bytes; NULL: not wanted); 0: it failed. */
size_t         digest_end(struct digest *d, unsigned char *out);

#endif
