/* Bench tokenize: a file of texts, one a line, through a tokenizer.json on one thread: the best pass of several, and the ids for tokenize.py.
 * usage: bench_tokenize TOKENIZER.JSON TEXTS [passes [IDS]]      IDS: for each text its count and its ids, 32 bits each */
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct texts { char *bytes; size_t *ends; size_t count; };

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool read_texts(struct texts *t, const char *path)
{
    FILE *f = fopen(path, "rb");
    char *line = NULL;
    size_t capacity = 0, size = 0;
    ssize_t n;

    while (f && (n = getline(&line, &capacity, f)) > 0) {
        n -= line[n - 1] == '\n';
        char *bytes = realloc(t->bytes, size + (size_t)n + 1);
        size_t *ends = realloc(t->ends, (t->count + 1) * sizeof *ends);
        t->bytes = bytes ? bytes : t->bytes;
        t->ends = ends ? ends : t->ends;
        if (!bytes || !ends)
            break;
        memcpy(bytes + size, line, (size_t)n);
        t->ends[t->count++] = size += (size_t)n;
    }
    bool done = f && feof(f);
    free(line);
    if (f)
        fclose(f);
    return done;
}

/* One pass; ids go to f where there is one. Answers the seconds, or a negative number. */
static double pass(struct aki__tokenizer *t, const struct texts *texts, struct aki__encoding *e, FILE *f, size_t *tokens, aki_error *err)
{
    const struct aki__encode_options options = { .special = true, .parse_special = true };
    double begin = now();

    *tokens = 0;
    for (size_t i = 0; i < texts->count; i++) {
        size_t from = i ? texts->ends[i - 1] : 0;
        if (aki__tokenizer_encode(t, texts->bytes + from, texts->ends[i] - from, &options, e, err))
            return -1;
        *tokens += e->count;
        uint32_t count = (uint32_t)e->count;
        if (f && (fwrite(&count, sizeof count, 1, f) != 1 || fwrite(e->ids, sizeof *e->ids, count, f) != count))
            return -1;
    }
    return now() - begin;
}

int main(int argc, char **argv)
{
    struct aki__tokenizer *t = NULL;
    struct aki__encoding e = { 0 };
    struct texts texts = { 0 };
    aki_error err = { .message = "cannot read the texts or write the ids" };
    double best = 0, begin = now(), load;
    size_t tokens = 0;
    FILE *ids = argc > 4 ? fopen(argv[4], "wb") : NULL;
    int passes = argc > 3 ? atoi(argv[3]) : 10, rc = 1;

    if (argc < 3) {
        fprintf(stderr, "usage: bench_tokenize TOKENIZER.JSON TEXTS [passes [IDS]]\n");
        return 2;
    }
    if (aki__tokenizer_open(&t, argv[1], NULL, &err))
        goto done;
    load = now() - begin;
    if (!read_texts(&texts, argv[2]) || (argc > 4 && !ids) || (ids && pass(t, &texts, &e, ids, &tokens, &err) < 0))
        goto done;
    for (int i = 0; i < passes; i++) {
        double seconds = pass(t, &texts, &e, NULL, &tokens, &err);
        if (seconds < 0)
            goto done;
        if (i == 0 || seconds < best)
            best = seconds;
    }
    size_t bytes = texts.count ? texts.ends[texts.count - 1] : 0;
    printf("{\"texts\": %zu, \"bytes\": %zu, \"tokens\": %zu, \"load_ms\": %.1f, \"seconds\": %.6f, \"mb_per_s\": %.2f}\n", texts.count, bytes, tokens,
           load * 1e3, best, best > 0 ? (double)bytes * 1e-6 / best : 0);
    rc = 0;
done:
    if (rc)
        fprintf(stderr, "bench_tokenize: %s\n", err.message);
    if (ids && fclose(ids))
        rc = 1;
    free(texts.bytes);
    free(texts.ends);
    aki__encoding_free(&e);
    aki__tokenizer_free(t);
    return rc;
}
