/* Driver of differential_tokenizer.py: tool_tokenize TOKENIZER.JSON reads requests from stdin and answers on stdout, all numbers
 * little-endian as the machine's.
 * Request: u8 flags (1 special tokens, 2 special strings parsed, 4 spans, 8 decoded, 16 pair, 32 truncate left, 64 types), u32 max_tokens,
 * u32 size, bytes, and for a pair u32 size, bytes again.
 * Answer: i32 status, u32 count, i32 ids[count], then i64 spans[2 * count] if asked, then i32 types[count], i8 sequences[count] if asked, then if asked twice (all, without special
 * tokens) u32 size, bytes; on failure i32 status, u32 size, message. Spans are not asked for twice: ids with and without must agree. */
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>

static bool get(void *to, size_t size) { return fread(to, 1, size, stdin) == size; }
static void put(const void *from, size_t size) { if (size) fwrite(from, 1, size, stdout); }

static char *get_text(uint32_t *size)
{
    char *text;

    if (!get(size, sizeof *size) || !(text = malloc(*size + 1)))
        exit(2);
    if (!get(text, *size))
        exit(2);
    return text;
}

static void decoded(struct aki__tokenizer *t, const struct aki__encoding *e, bool skip)
{
    struct aki__buf out = { 0 };
    aki_error err = { 0 };

    if (aki__tokenizer_decode(t, e->ids, e->count, skip, &out, &err)) {
        fprintf(stderr, "decode: %s\n", err.message);
        exit(3);
    }
    put(&(uint32_t){ (uint32_t)out.size }, 4);
    put(out.data, out.size);
    aki__buf_free(&out);
}

int main(int argc, char **argv)
{
    struct aki__tokenizer *t = NULL;
    struct aki__encoding e = { 0 }, plain = { 0 };
    aki_error err = { 0 };
    uint8_t flags;

    if (argc != 2 || aki__tokenizer_open(&t, argv[1], NULL, &err)) {
        fprintf(stderr, "tool_tokenize: %s\n", argc == 2 ? err.message : "usage: tool_tokenize TOKENIZER.JSON");
        return 2;
    }
    while (get(&flags, 1)) {
        uint32_t max = 0, a_size = 0, b_size = 0;
        if (!get(&max, 4))
            return 2;
        char *a = get_text(&a_size), *b = flags & 16 ? get_text(&b_size) : NULL;
        struct aki__encode_options options = { .special = flags & 1, .parse_special = (flags & 2) != 0, .max_tokens = max,
                                               .truncate = flags & 32 ? AKI_TRUNCATE_LEFT : AKI_TRUNCATE_RIGHT };
        aki_status rc;
        e.want_spans = flags & 4;
        e.want_types = flags & 64;
        if (flags & 16)
            rc = aki__tokenizer_encode_pair(t, a, a_size, b, b_size, &options, &e, &err);
        else
            rc = aki__tokenizer_encode(t, a, a_size, &options, &e, &err);
        if (!rc && e.want_spans && !(flags & 16)) {
            rc = aki__tokenizer_encode(t, a, a_size, &options, &plain, &err);
            if (!rc && (plain.count != e.count || (e.count && memcmp(plain.ids, e.ids, e.count * 4) != 0))) {
                rc = AKI_E_INTERNAL;
                snprintf(err.message, sizeof err.message, "ids with and without spans differ");
            }
        }
        free(a);
        free(b);
        put(&(int32_t){ rc }, 4);
        if (rc) {
            put(&(uint32_t){ (uint32_t)strlen(err.message) }, 4);
            put(err.message, strlen(err.message));
        } else {
            put(&(uint32_t){ (uint32_t)e.count }, 4);
            put(e.ids, e.count * 4);
            if (flags & 4)
                put(e.spans, e.count * 16);
            if (flags & 64) {
                put(e.types, e.count * 4);
                put(e.sequences, e.count);
            }
            if (flags & 8) {
                decoded(t, &e, false);
                decoded(t, &e, true);
            }
        }
        fflush(stdout);
    }
    aki__encoding_free(&e);
    aki__encoding_free(&plain);
    aki__tokenizer_free(t);
    return 0;
}
