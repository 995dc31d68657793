/* Bench embed: our side of the comparison, over the public header: one JSON line with what was measured.
 * usage: bench_embed FOLDER TEXTS TITLES [precision [rounds]]   (files: one text a line) */
#include "akiembed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct texts { char **lines; size_t *sizes; size_t count; };

static void die(const char *what, const aki_error *e)
{
    fprintf(stderr, "bench_embed: %s: %s\n", what, e ? e->message : "failed");
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct texts read_lines(const char *path)
{
    struct texts t = { 0 };
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    FILE *f = fopen(path, "r");

    if (!f)
        die(path, NULL);
    while ((n = getline(&line, &capacity, f)) > 0) {
        if (line[n - 1] == '\n')
            line[--n] = '\0';
        t.lines = realloc(t.lines, (t.count + 1) * sizeof *t.lines);
        t.sizes = realloc(t.sizes, (t.count + 1) * sizeof *t.sizes);
        if (!t.lines || !t.sizes || !(t.lines[t.count] = strdup(line)))
            die("memory", NULL);
        t.sizes[t.count++] = (size_t)n;
    }
    free(line);
    fclose(f);
    return t;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    aki_model *model;
    aki_error error;
    aki_model_options options;
    aki_embed_options embed;
    aki_model_info info;

    if (argc < 4)
        return 2;
    aki_model_options_init(&options, sizeof options);
    aki_embed_options_init(&embed, sizeof embed);
    embed.no_reuse = 1;
    options.precision = argc > 4 && strcmp(argv[4], "int8") == 0 ? AKI_PRECISION_INT8 : AKI_PRECISION_F32;
    int rounds = argc > 5 ? atoi(argv[5]) : 3;
    struct texts texts = read_lines(argv[2]), titles = read_lines(argv[3]);

    double begin = now();
    if (aki_model_open(argv[1], &options, &model, &error))
        die("open", &error);
    double opened = now() - begin;
    aki_model_info_init(&info, sizeof info);
    aki_model_get_info(model, &info, NULL);
    size_t most = texts.count > titles.count ? texts.count : titles.count;
    size_t out_size = most * (size_t)info.dim * sizeof(float);
    float *out = malloc(out_size);
    double *times = malloc(titles.count * sizeof *times), best = 0;
    if (!out || !times)
        die("memory", NULL);

    for (int round = 0; round <= rounds; round++) {     /* the first warms up */
        begin = now();
        if (aki_embed(model, (const char *const *)texts.lines, texts.sizes, texts.count, &embed, out, out_size, NULL, NULL, &error))
            die("embed", &error);
        double rate = (double)texts.count / (now() - begin);
        if (round && rate > best)
            best = rate;
    }
    uint64_t before = 0, tokens;
    aki_model_get_info(model, &info, NULL);
    before = info.tokens;
    for (size_t i = 0; i < titles.count; i++) {
        begin = now();
        if (aki_embed(model, (const char *const *)titles.lines + i, titles.sizes + i, 1, &embed, out, out_size, NULL, NULL, &error))
            die("embed", &error);
        times[i] = now() - begin;
    }
    tokens = before / (uint64_t)(rounds + 1);
    qsort(times, titles.count, sizeof *times, compare);
    printf("{\"engine\": \"akiembed %s\", \"open_s\": %.4f, \"texts_per_s\": %.2f, \"tokens_per_s\": %.1f, \"one_p50_ms\": %.3f, \"one_p95_ms\": %.3f, \"runtime\": \"%s\", \"threads\": %d}\n",
           options.precision == AKI_PRECISION_INT8 ? "int8" : "f32", opened, best, best * (double)tokens / (double)texts.count,
           times[titles.count / 2] * 1e3, times[titles.count * 95 / 100] * 1e3, info.runtime, info.threads);
    aki_model_close(model);
    return 0;
}
