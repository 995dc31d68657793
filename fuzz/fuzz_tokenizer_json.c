/* Fuzzes tokenizer.json: parse the bytes; a tokenizer that opens must encode, decode and answer about its vocabulary. */
#include "fuzz.h"

#include "text/tokenizer.h"

static const char text[] = "Hello, World! [SEP] <s>\xC3\xA9" "e\xCC\x81 \xE4\xBD\xA0\xE5\xA5\xBD 123\t\n \xF0\x9F\x98\x80</s>";

static void use(struct aki__tokenizer *t)
{
    struct aki__encoding e = { .want_spans = true };
    struct aki__buf back = { 0 };
    aki_error error;

    for (int row = 0; row < 4; row++) {
        struct aki__encode_options options = {
            .special = row & 1, .parse_special = row & 2, .max_tokens = row == 3 ? 5 : 0, .truncate = AKI_TRUNCATE_LEFT };
        if (aki__tokenizer_encode(t, text, sizeof text - 1, &options, &e, &error) != AKI_OK)
            continue;
        FUZZ_CHECK(!options.max_tokens || e.count <= options.max_tokens || e.count <= aki__tokenizer_special_count(t));
        for (size_t i = 0; i < e.count; i++) {
            FUZZ_CHECK(e.ids[i] >= 0 && (size_t)e.ids[i] < aki__tokenizer_vocabulary(t));
            FUZZ_CHECK(e.spans[2 * i] <= e.spans[2 * i + 1] && e.spans[2 * i + 1] <= (int64_t)sizeof text - 1);
        }
        back.size = 0;
        (void)aki__tokenizer_decode(t, e.ids, e.count, row & 1, &back, &error);
        (void)aki__tokenizer_encode_pair(t, text, 9, text + 9, 12, &options, &e, &error);
    }
    size_t size;
    (void)aki__tokenizer_piece(t, (int32_t)aki__tokenizer_vocabulary(t), &size);
    (void)aki__tokenizer_piece(t, -1, &size);
    (void)aki__tokenizer_piece(t, 0, &size);
    (void)aki__tokenizer_id(t, "the", 3);
    aki__buf_free(&back);
    aki__encoding_free(&e);
}

static void keep_first(void *user, const aki_error *why)
{
    aki_error *first = user;

    FUZZ_CHECK(why->status && why->message[0]);
    if (!first->status)
        *first = *why;
}

/* Told of all faults, the first is the one that ends the reading else. */
static void examine(const uint8_t *data, size_t size, const aki_error *error)
{
    aki_error first = { 0 }, last = { 0 };
    struct aki__report report = { .callback = keep_first, .user = &first };
    struct aki__tokenizer *t = NULL;
    aki_status rc = aki__tokenizer_examine(&t, (const char *)data, size, "fuzz.json", NULL, &report, &last);

    FUZZ_CHECK((int32_t)rc == error->status && first.status == error->status && strcmp(first.message, error->message) == 0);
    FUZZ_CHECK((t != NULL) == (rc == AKI_OK) && (report.count == 0) == (rc == AKI_OK));
    aki__tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct aki__tokenizer *t = NULL;
    aki_error error = { 0 };
    aki_status rc = aki__tokenizer_parse(&t, (const char *)data, size, "fuzz.json", &error);

    FUZZ_CHECK((rc == AKI_OK) == (t != NULL));
    FUZZ_CHECK(rc == AKI_OK || (error.status == (int32_t)rc && error.message[0]));
    if (t)
        use(t);
    aki__tokenizer_free(t);
    examine(data, size, &error);
    return 0;
}
