/* Fuzzes texts: the first byte picks a tokenizer and the options, the rest is the text. */
#include "fuzz.h"

#include "text/tokenizer.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 64 };
static struct aki__tokenizer *tokenizers[MOST];
static size_t                 tokenizer_count;

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

/* The small tokenizers of fuzz/tokenizers, in the order of their names, so that a corpus stays meaningful. */
static void load(void)
{
    static const char folder[] = AKI_SOURCE_DIR "/fuzz/tokenizers";
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, by_name);

    for (int i = 0; i < count; i++) {
        char path[1024];
        const char *end = strrchr(entries[i]->d_name, '.');
        struct aki__tokenizer *t;
        if (end && strcmp(end, ".json") == 0 && tokenizer_count < MOST) {
            snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
            FUZZ_CHECK(aki__tokenizer_open(&t, path, NULL, NULL) == AKI_OK);
            tokenizers[tokenizer_count++] = t;
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    FUZZ_CHECK(tokenizer_count > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct aki__encoding e = { .want_spans = true };
    aki_error error = { 0 };

    if (!tokenizer_count)
        load();
    if (size < 2)
        return 0;
    struct aki__tokenizer *t = tokenizers[data[0] % tokenizer_count];
    struct aki__encode_options options = {
        .special = data[1] & 1, .parse_special = data[1] & 2, .max_tokens = data[1] >> 4, .truncate = data[1] >> 2 & 3 };
    if (!options.truncate)
        options.truncate = AKI_TRUNCATE_RIGHT;

    const char *text = (const char *)data + 2;
    size_t text_size = size - 2, wrong = aki__utf8_check(text, text_size);
    aki_status rc = aki__tokenizer_encode(t, text, text_size, &options, &e, &error);
    if (wrong != AKI_UTF8_VALID)
        FUZZ_CHECK(rc == AKI_E_INVALID && error.offset == wrong);
    if (rc != AKI_OK)
        return 0;
    for (size_t i = 0; i < e.count; i++) {
        int64_t begin = e.spans[2 * i], end = e.spans[2 * i + 1];
        FUZZ_CHECK(e.ids[i] >= 0 && (size_t)e.ids[i] < aki__tokenizer_vocabulary(t));
        FUZZ_CHECK(begin >= 0 && begin <= end && end <= (int64_t)text_size);
    }
    struct aki__buf back = { 0 };
    FUZZ_CHECK(aki__tokenizer_decode(t, e.ids, e.count, data[1] & 1, &back, &error) == AKI_OK);
    aki__buf_free(&back);
    return 0;
}
