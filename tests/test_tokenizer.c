/* Tests of unit tokenizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/tokenizer.h"

static const char small[] =
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":0,\"content\":\"[UNK]\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
    "\"normalized\":false,\"special\":true}],\"normalizer\":{\"type\":\"Lowercase\"},\"pre_tokenizer\":{\"type\":\"Whitespace\"},"
    "\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"[UNK]\",\"vocab\":{\"[UNK]\":0,\"a\":1,\"b\":2}}}";

static void encodes(void **state)
{
    struct aki__tokenizer *t;
    struct aki__encoding e = { .want_spans = true };
    aki_error err;

    (void)state;
    assert_int_equal(aki__tokenizer_parse(&t, small, sizeof small - 1, "t.json", &err), AKI_OK);
    assert_int_equal(aki__tokenizer_encode(t, "A  b", 4, &(struct aki__encode_options){ .special = true, .parse_special = true }, &e, &err), AKI_OK);
    assert_int_equal(e.count, 2);
    assert_int_equal(e.ids[0], 1);
    assert_int_equal(e.spans[2], 3);
    assert_int_equal(e.spans[3], 4);
    aki__encoding_free(&e);
    aki__tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(encodes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
