/* Bench embed: our side of the comparison, over the public header alone. One JSON line, as the peers' programs print it (peers/common.py).
 *
 *   bench_embed --model FOLDER --workload FILE [--precision f32|int8|bf16] [--threads N] [--seconds S] [--rows a,b]
 *               --dim N           vectors cut to N numbers
 *               --once            one vector, then exit; the caller takes the time
 *               --vectors FILE    the vectors of every text of the workload, f32, one after the other; nothing is timed
 *               --memory N        N requests of random length and batch instead of a workload: resident memory now and then, then idle CPU */
#include "akiembed.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct settings {
    const char *model, *workload, *rows, *vectors;
    int precision, threads, dim, once, memory;
    double seconds;
};

/* One row of a workload: calls of `texts` texts each, with the ids of each text beside it. */
struct row {
    char     name[32];
    size_t   texts, calls;
    int32_t *ids;               /* of all texts, one after the other */
    int64_t *starts;            /* [texts * calls + 1] */
    char   **lines;
    size_t  *sizes;
};

enum { REPEATS = 4, FEWEST = 2, LONG = 20, FIRST = 8 };     /* as in peers/common.py */

static void die(const char *what, const aki_error *e)
{
    fprintf(stderr, "bench_embed: %s: %s\n", what, e ? e->message : "failed");
    exit(1);
}

static void *grown(void *p, size_t size)
{
    p = realloc(p, size);
    if (!p)
        die("memory", NULL);
    return p;
}

static double seconds_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

/* ---------------------------------------------------------------- workload */

static void read_row(FILE *f, struct row *r)
{
    size_t count = r->texts * r->calls, capacity = 0, room = 0;
    char *line = NULL;

    r->starts = grown(NULL, (count + 1) * sizeof *r->starts);
    r->lines = grown(NULL, count * sizeof *r->lines);
    r->sizes = grown(NULL, count * sizeof *r->sizes);
    r->ids = NULL;
    r->starts[0] = 0;
    for (size_t i = 0; i < count; i++) {
        ssize_t n = getline(&line, &capacity, f);
        int64_t used = r->starts[i];
        char *at = line;

        if (n <= 0)
            die("workload ends early", NULL);
        if (line[n - 1] == '\n')
            line[--n] = '\0';
        for (; *at && *at != '\t'; used++) {
            char *end;

            if ((size_t)used == room)
                r->ids = grown(r->ids, (room = 2 * room + 4096) * sizeof *r->ids);
            r->ids[used] = (int32_t)strtol(at, &end, 10);
            if (end == at)
                die("no ids where the workload should have them", NULL);
            at = end;
        }
        if (*at)
            at++;
        r->starts[i + 1] = used;
        r->sizes[i] = (size_t)(n - (at - line));
        r->lines[i] = grown(NULL, r->sizes[i] + 1);
        memcpy(r->lines[i], at, r->sizes[i] + 1);
    }
    free(line);
}

static void free_row(struct row *r)
{
    for (size_t i = 0; i < r->texts * r->calls; i++)
        free(r->lines[i]);
    free(r->lines);
    free(r->sizes);
    free(r->starts);
    free(r->ids);
}

static int wanted(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || !at[n]))
            return 1;
    return !*list;
}

/* Rows in which tokenising is part of the work; all others are given as ids. */
static int from_text(const struct row *r)
{
    return strncmp(r->name, "bulk", 4) == 0 || strcmp(r->name, "title") == 0 || strcmp(r->name, "once") == 0;
}

/* ---------------------------------------------------------------- calls */

struct bench {
    aki_model        *model;
    aki_embed_options options;
    aki_model_info    info;
    float            *out;
    size_t            out_size;
};

static void embed(struct bench *b, const struct row *r, size_t call)
{
    size_t first = call * r->texts;
    int64_t tokens = 0, base = r->starts[first];
    int32_t counts[32];         /* looked at where they fit */
    int64_t starts[1 + 64];
    aki_error error;

    if (from_text(r)) {
        int32_t *ask = r->texts <= 32 ? counts : NULL;
        if (aki_embed(b->model, (const char *const *)r->lines + first, r->sizes + first, r->texts, &b->options, b->out, b->out_size, ask, NULL, &error))
            die(r->name, &error);
        for (size_t i = 0; ask && i < r->texts; i++)
            tokens += counts[i];
        if (ask && r->starts[first + r->texts] != base && tokens != r->starts[first + r->texts] - base)
            die("tokens other than the workload's", NULL);
        return;
    }
    if (r->texts > 64)
        die("too many texts in a row of ids", NULL);
    for (size_t i = 0; i <= r->texts; i++)
        starts[i] = r->starts[first + i] - base;
    if (aki_embed_ids(b->model, r->ids + base, starts, r->texts, &b->options, b->out, b->out_size, &error))
        die(r->name, &error);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void time_row(struct bench *b, const struct row *r, double seconds, int first)
{
    size_t calls = r->calls > 1 ? r->calls : REPEATS, n = 0;
    double *times = grown(NULL, calls * sizeof *times), end;
    int64_t tokens = 0;
    struct row some = *r;

    some.texts = r->texts < FIRST ? r->texts : FIRST;
    embed(b, &some, 0);
    end = now() + seconds;
    for (size_t call = 1; call < calls; call++) {
        size_t which = r->calls > 1 ? call : 0;
        double begin = now();

        embed(b, r, which);
        times[n++] = now() - begin;
        tokens += r->starts[(which + 1) * r->texts] - r->starts[which * r->texts];
        if (now() > end && (n >= FEWEST || times[n - 1] > LONG))
            break;
    }
    qsort(times, n, sizeof *times, compare);
    double median = n % 2 ? times[n / 2] : (times[n / 2 - 1] + times[n / 2]) / 2;
    printf("%s{\"row\": \"%s\", \"variant\": \"\", \"texts\": %zu, \"tokens\": %.1f, \"calls\": %zu, \"best_ms\": %.4f, \"median_ms\": %.4f}",
           first ? "" : ", ", r->name, r->texts, (double)tokens / (double)n, n, times[0] * 1e3, median * 1e3);
    free(times);
}

static void write_vectors(struct bench *b, const struct row *r, FILE *f)
{
    for (size_t call = 0; call < r->calls; call++) {
        embed(b, r, call);
        if (fwrite(b->out, (size_t)b->info.dim * sizeof(float), r->texts, f) != r->texts)
            die("writing vectors", NULL);
    }
}

/* ---------------------------------------------------------------- memory */

/* KiB of one line of /proc/self/status. */
static long status(const char *key)
{
    char line[256];
    long value = -1;
    FILE *f = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtol(line + strlen(key) + 1, NULL, 10);
    if (f)
        fclose(f);
    return value;
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

/* Mostly one short text; one in ten a small batch, one in a hundred long texts, one in five hundred a text as long as the model takes. */
static size_t random_request(uint64_t *state, int64_t *starts, size_t longest)
{
    uint64_t kind = random_next(state) % 500;
    size_t count = kind < 5 ? 1 + random_next(state) % 4 : kind < 55 ? 2 + random_next(state) % 15 : 1;
    size_t most = kind == 0 ? longest : kind < 5 ? 300 : kind < 55 ? 32 : 16;

    starts[0] = 0;
    for (size_t i = 0; i < count; i++) {
        size_t tokens = kind == 0 ? longest - random_next(state) % 64 : 1 + random_next(state) % most;
        starts[i + 1] = starts[i] + (int64_t)(tokens < longest ? tokens : longest);
        if (kind == 0)
            return 1;
    }
    return count;
}

static void measure_memory(struct bench *b, int requests)
{
    size_t longest = b->info.max_tokens < 2048 ? (size_t)b->info.max_tokens : 2048;
    int32_t *ids = grown(NULL, 16 * 2048 * sizeof *ids);
    int64_t starts[17];
    uint64_t state = 88172645463325252u;
    aki_error error;

    printf("\"memory\": [");
    for (int i = 0; i <= requests; i++) {
        if (i % (requests / 100 ? requests / 100 : 1) == 0)
            printf("%s{\"requests\": %d, \"resident_kb\": %ld, \"private_kb\": %ld}", i ? ", " : "", i, status("VmRSS"), status("RssAnon"));
        if (i == requests)
            break;
        size_t count = random_request(&state, starts, longest);
        for (int64_t t = 0; t < starts[count]; t++)
            ids[t] = (int32_t)(1000 + random_next(&state) % (uint64_t)(b->info.vocabulary - 2000));
        if (aki_embed_ids(b->model, ids, starts, count, &b->options, b->out, b->out_size, &error))
            die("memory", &error);
    }
    double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), begin = now();
    sleep(10);
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("], \"idle_cpu_percent\": %.4f, ", 100 * cpu / (now() - begin));
    free(ids);
}

/* ---------------------------------------------------------------- program */

static void run_workload(struct bench *b, const struct settings *s)
{
    FILE *f = fopen(s->workload, "r"), *vectors = s->vectors ? fopen(s->vectors, "wb") : NULL;
    struct row r;
    char *line = NULL;
    size_t capacity = 0;
    int printed = 0;

    if (!f || (s->vectors && !vectors))
        die(f ? s->vectors : s->workload, NULL);
    while (getline(&line, &capacity, f) > 0) {
        if (sscanf(line, "row %31s %zu %zu", r.name, &r.texts, &r.calls) != 3 || !r.texts || !r.calls)
            die("not a row of a workload", NULL);
        int is_once = strcmp(r.name, "once") == 0;
        read_row(f, &r);
        if (r.texts * (size_t)b->info.dim * sizeof(float) > b->out_size)
            b->out = grown(b->out, b->out_size = r.texts * (size_t)b->info.dim * sizeof(float));
        if (vectors && wanted(s->rows, r.name))
            write_vectors(b, &r, vectors);
        else if (s->once && is_once)
            embed(b, &r, 0);
        else if (!vectors && !s->once && !is_once && wanted(s->rows, r.name))
            time_row(b, &r, s->seconds, !printed++);
        free_row(&r);
        if (s->once)
            break;
    }
    free(line);
    fclose(f);
    if (vectors && fclose(vectors))
        die("writing vectors", NULL);
}

static struct settings parse(int argc, char **argv)
{
    static const struct option options[] = {
        { "model", 1, NULL, 'm' }, { "workload", 1, NULL, 'w' }, { "precision", 1, NULL, 'p' }, { "threads", 1, NULL, 't' }, { "seconds", 1, NULL, 's' },
        { "rows", 1, NULL, 'r' }, { "dim", 1, NULL, 'd' }, { "once", 0, NULL, 'o' }, { "vectors", 1, NULL, 'v' }, { "memory", 1, NULL, 'y' }, { NULL, 0, NULL, 0 },
    };
    struct settings s = { .rows = "", .seconds = 6, .threads = 2 };

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (c) {
        case 'm': s.model = optarg; break;
        case 'w': s.workload = optarg; break;
        case 'p': s.precision = strcmp(optarg, "int8") == 0 ? AKI_PRECISION_INT8 : strcmp(optarg, "bf16") == 0 ? AKI_PRECISION_BF16 : strcmp(optarg, "f32") == 0 ? AKI_PRECISION_F32 : AKI_PRECISION_DEFAULT; break;
        case 't': s.threads = atoi(optarg); break;
        case 's': s.seconds = atof(optarg); break;
        case 'r': s.rows = optarg; break;
        case 'd': s.dim = atoi(optarg); break;
        case 'o': s.once = 1; break;
        case 'v': s.vectors = optarg; break;
        case 'y': s.memory = atoi(optarg); break;
        default: exit(2);
        }
    if (!s.model || (!s.workload && !s.memory)) {
        fputs("usage: bench_embed --model FOLDER --workload FILE [--precision f32|int8|bf16] [--threads N] [--seconds S] [--rows a,b] [--dim N] [--once] "
              "[--vectors FILE] [--memory N]\n", stderr);
        exit(2);
    }
    return s;
}

int main(int argc, char **argv)
{
    struct settings s = parse(argc, argv);
    struct bench b = { 0 };
    aki_model_options options;
    aki_error error;

    aki_model_options_init(&options, sizeof options);
    aki_embed_options_init(&b.options, sizeof b.options);
    b.options.no_reuse = 1;
    b.options.dim = s.dim;
    options.precision = s.precision;
    options.threads = s.threads;
    double begin = now();
    if (aki_model_open(s.model, &options, &b.model, &error))
        die("open", &error);
    double opened = now() - begin;
    aki_model_info_init(&b.info, sizeof b.info);
    aki_model_get_info(b.model, &b.info, NULL);
    b.out = grown(NULL, b.out_size = 64 * (size_t)b.info.dim * sizeof(float));

    printf("{\"engine\": \"akiembed %s\", \"version\": \"%s, %s, %s\", \"open_s\": %.4f, ", b.info.precision == AKI_PRECISION_INT8 ? "int8" : b.info.precision == AKI_PRECISION_BF16 ? "bf16" : "f32",
           aki_version(), b.info.runtime, b.info.instructions, opened);
    if (s.memory) {
        measure_memory(&b, s.memory);
        printf("\"rows\": [");
    } else {
        printf("\"rows\": [");
        run_workload(&b, &s);
    }
    aki_model_get_info(b.model, &b.info, NULL);
    printf("], \"tokens_reused\": %llu, \"peak_mb\": %.1f}\n", (unsigned long long)b.info.tokens_reused, (double)status("VmHWM") / 1024);
    aki_model_close(b.model);
    free(b.out);
    return 0;
}
