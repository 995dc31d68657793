/* Fuzzes the templates that frame pairs: whatever the bytes are, rendering ends with a text or an error. */
#include "fuzz.h"

#include "text/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct aki__message messages[] = { { "system", "Find it", 7 }, { "query", "a query", 7 }, { "document", "{{ a }}", 7 } };
    char *template = size <= AKI_CHAT_TEMPLATE_LIMIT ? aki__copy_string((const char *)data, size) : NULL;
    struct aki__buf out = { 0 };
    aki_error error;

    for (size_t first = 0; template && first < 2; first++)
        if (aki__chat_render(&out, template, messages + first, 3 - first, &error) != AKI_OK)
            FUZZ_CHECK(strncmp(error.message, "chat template: ", 15) == 0);
    aki__free(template);
    aki__buf_free(&out);
    return 0;
}
