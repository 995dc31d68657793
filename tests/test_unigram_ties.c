/* Equal paths of a Unigram model: which one wins hangs on the last bit of the scores, which Hugging Face (serde_json) does not read
 * exactly. Ids are those of tokenizers 0.23.3 for tests/data/tokenizer/t5.json, whose pieces of x are "x" and twelve of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/tokenizer.h"

enum { MOST = 24 };

/* before times x, a character that is no piece, behind times x. */
static const struct { int before, behind; int32_t ids[MOST]; } rows[] = {
    { 3, 47, { 778, 48, 48, 2, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 1181, 1181, 1181, 48 } },
    { 18, 32, { 778, 48, 48, 48, 48, 48, 1181, 2, 48, 48, 48, 48, 48, 48, 48, 1181, 1181, 48 } },
    { 18, 35, { 778, 48, 48, 48, 48, 48, 1181, 2, 48, 48, 48, 48, 48, 48, 48, 1181, 1181, 48, 48, 48, 48 } },
    { 3, 57, { 778, 48, 48, 2, 48, 48, 48, 48, 48, 48, 48, 48, 48, 1181, 1181, 1181, 1181 } },
};

static void test_ties(void **state)
{
    struct aki__tokenizer *t = NULL;
    struct aki__encoding e = { 0 };
    struct aki__encode_options options = { .parse_special = true };
    aki_error error;
    char text[128];

    (void)state;
    assert_int_equal(aki__tokenizer_open(&t, AKI_SOURCE_DIR "/tests/data/tokenizer/t5.json", NULL, &error), AKI_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t before = (size_t)rows[i].before, behind = (size_t)rows[i].behind;
        memset(text, 'x', sizeof text);
        memcpy(text + before, "\xF2\xBE\x98\xA0", 4);
        assert_int_equal(aki__tokenizer_encode(t, text, before + 4 + behind, &options, &e, &error), AKI_OK);
        for (size_t k = 0; k < MOST; k++)
            if ((k < e.count ? e.ids[k] : 0) != rows[i].ids[k])
                fail_msg("row %zu: id %zu is %d, not %d", i, k, k < e.count ? e.ids[k] : 0, rows[i].ids[k]);
    }
    aki__encoding_free(&e);
    aki__tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_ties) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
