/* Tool algorithm: words in, ids and places out, through one tokenizer.json's model alone. differential_algorithm.py drives it.
 *     tool_algorithm [--byte-level] tokenizer.json < words > tokens      words: u32 size, bytes; tokens: u32 count (0xFFFFFFFF: an
 *     error), then id, begin, end of each, 32 bits
 *     tool_algorithm [--byte-level] --time tokenizer.json < words        best of several passes over the words, with the cache warm */
#include "base/json.h"
#include "base/os.h"
#include "text/algorithm.h"
#include "util/clock.h"

#include <stdio.h>
#include <stdlib.h>

static bool read_all(struct aki__buf *b)
{
    size_t got;

    do {
        if (!aki__buf_reserve(b, 1 << 20, SIZE_MAX))
            return false;
        got = fread(b->data + b->size, 1, 1 << 20, stdin);
        b->size += got;
    } while (got);
    return true;
}

/* One pass over the words; answers their bytes. */
static size_t pass(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const struct aki__buf *words, bool write, size_t *tokens)
{
    struct aki__tokens out = { 0 };
    size_t bytes = 0;
    uint32_t size;

    for (size_t at = 0; at + 4 <= words->size; at += 4 + size) {
        const char *failed;
        memcpy(&size, words->data + at, 4);
        out.count = 0;
        bool done = aki__algorithm_word(a, s, words->data + at + 4, size, &out, &failed);
        uint32_t count = done ? (uint32_t)out.count : UINT32_MAX;
        bytes += size;
        *tokens += out.count;
        if (write) {
            fwrite(&count, 4, 1, stdout);
            fwrite(out.data, sizeof *out.data, done ? out.count : 0, stdout);
        }
    }
    aki__free(out.data);
    return bytes;
}

int main(int argc, char **argv)
{
    struct aki__map map = { 0 };
    struct aki__json_doc doc = { 0 };
    struct aki__algorithm *a = NULL;
    struct aki__algorithm_scratch *s = NULL;
    struct aki__buf words = { 0 };
    aki_error err = { 0 };
    bool byte_level = false, timed = false;
    int rc = 1;

    for (; argc > 2; argc--, argv++) {
        byte_level |= strcmp(argv[1], "--byte-level") == 0;
        timed |= strcmp(argv[1], "--time") == 0;
    }
    if (argc != 2 || aki__map_open(&map, argv[1], &err) || aki__json_parse(&doc, map.data, map.size, argv[1], &err))
        goto done;
    double begin = aki__seconds();
    if (aki__algorithm_parse(&a, aki__json_get(doc.nodes, "model"), byte_level, argv[1], &err))
        goto done;
    double load = aki__seconds() - begin;
    if (!(s = aki__algorithm_scratch_new(a)) || !read_all(&words))
        goto done;
    size_t tokens = 0;
    if (!timed) {
        pass(a, s, &words, true, &tokens);
    } else {
        double best = 1e9;
        for (int i = 0; i < 30; i++) {
            tokens = 0;
            begin = aki__seconds();
            size_t bytes = pass(a, s, &words, false, &tokens);
            double rate = (aki__seconds() - begin) / (double)bytes;
            best = rate < best ? rate : best;
        }
        printf("load %.1f ms, %zu tokens, %.1f MB/s\n", load * 1e3, tokens, 1e-6 / best);
    }
    rc = 0;
done:
    if (rc)
        fprintf(stderr, "tool_algorithm: %s\n", err.message);
    aki__buf_free(&words);
    aki__algorithm_scratch_free(s);
    aki__algorithm_free(a);
    aki__json_free(&doc);
    aki__map_close(&map);
    return rc;
}
