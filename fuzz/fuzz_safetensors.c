/* Fuzzes the safetensors header check: any bytes are a file. What it accepts must hold by a second, independent sum over the header. */
#include "fuzz.h"

#include "base/json.h"
#include "model/model.h"

/* The tensors of an accepted file fill its data exactly: the spans' sizes add up to it. */
static void check_sum(const char *bytes, size_t size)
{
    struct aki__json_doc doc;
    uint64_t header;
    size_t sum = 0;

    memcpy(&header, bytes, 8);
    FUZZ_CHECK(header <= size - 8);
    FUZZ_CHECK(aki__json_parse(&doc, bytes + 8, (size_t)header, "header", NULL) == AKI_OK);
    const struct aki__json *key = doc.nodes + 1;
    for (uint32_t i = 0; i < doc.nodes->size; i++, key = aki__json_next(key + 1)) {
        const struct aki__json *offsets = aki__json_get(key + 1, "data_offsets");
        int64_t begin, end;
        if (aki__json_equals(key, "__metadata__"))
            continue;
        FUZZ_CHECK(aki__json_int(offsets + 1, &begin) && aki__json_int(offsets + 2, &end));
        FUZZ_CHECK(begin >= 0 && begin <= end && (uint64_t)end <= size - 8 - header);
        sum += (size_t)(end - begin);
    }
    FUZZ_CHECK(sum == size - 8 - header);
    aki__json_free(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    aki_error e = { 0 };
    aki_status rc = aki__safetensors_check((const char *)data, size, "fuzz.safetensors", &e);

    FUZZ_CHECK(aki__safetensors_check((const char *)data, size, "fuzz.safetensors", NULL) == rc);
    if (rc)
        FUZZ_CHECK((rc == AKI_E_INVALID || rc == AKI_E_UNSUPPORTED) && e.status == (int32_t)rc && e.message[0] && e.offset <= size &&
                   aki__utf8_check(e.message, strlen(e.message)) == AKI_UTF8_VALID);
    else
        check_sum((const char *)data, size);
    return 0;
}
