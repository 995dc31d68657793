/* Unit safetensors_write: writes one safetensors file. */
#include "model/model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static const char *dtype_name(enum aki__dtype dtype)
{
    switch (dtype) {
    case AKI_F32:  return "F32";
    case AKI_F16:  return "F16";
    case AKI_BF16: return "BF16";
    case AKI_I32:  return "I32";
    default:       return "I8";
    }
}

/* Names consist of tensor names that were read and of our own suffixes, so none needs escapes in JSON. */
static bool header(struct aki__buf *b, const struct aki__written *tensors, size_t count, const char *metadata)
{
    enum { CEILING = 64 << 20 };
    char line[400];
    uint64_t at = 0;
    bool ok = aki__buf_append(b, "{\"__metadata__\":", 16, CEILING) && aki__buf_append(b, metadata, strlen(metadata), CEILING);

    for (size_t i = 0; i < count && ok; i++) {
        const struct aki__written *t = &tensors[i];
        int n = snprintf(line, sizeof line, ",\"%s%s\":{\"dtype\":\"%s\",\"shape\":[%" PRId64, t->name, t->suffix,
                         dtype_name(t->dtype), t->shape[0]);
        for (int d = 1; d < t->rank && n > 0 && (size_t)n < sizeof line; d++)
            n += snprintf(line + n, sizeof line - (size_t)n, ",%" PRId64, t->shape[d]);
        if (n > 0 && (size_t)n < sizeof line)
            n += snprintf(line + n, sizeof line - (size_t)n, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, at + t->size);
        ok = n > 0 && (size_t)n < sizeof line && aki__buf_append(b, line, (size_t)n, CEILING);
        at += t->size;
    }
    ok = ok && aki__buf_append(b, "}", 1, CEILING);
    while (ok && b->size % 64 != 56)       /* so that the tensors begin at a cache line */
        ok = aki__buf_append(b, " ", 1, CEILING);
    return ok;
}

aki_status aki__safetensors_write(const char *path, const struct aki__written *tensors, size_t count, const char *metadata,
                                  aki_error *err)
{
    struct aki__buf b = { 0 };
    unsigned char size[8];
    aki_status rc = AKI_OK;

    if (!header(&b, tensors, count, metadata)) {
        aki__buf_free(&b);
        return aki__fail(err, AKI_E_NOMEM, "%s: header", path);
    }
    for (int i = 0; i < 8; i++)
        size[i] = (unsigned char)((uint64_t)b.size >> (8 * i));
    FILE *f = aki__file_create(path);
    bool ok = f && fwrite(size, 1, 8, f) == 8 && fwrite(b.data, 1, b.size, f) == b.size;
    for (size_t i = 0; i < count && ok; i++)
        ok = fwrite(tensors[i].data, 1, tensors[i].size, f) == tensors[i].size;
    int why = errno;
    if (f && fclose(f) != 0) {
        ok = false;
        why = errno;
    }
    if (!ok) {
        rc = aki__fail(err, AKI_E_IO, "%s: cannot write: %s", path, aki__error_text(why));
        if (f)
            aki__file_remove(path);
    }
    aki__buf_free(&b);
    return rc;
}
