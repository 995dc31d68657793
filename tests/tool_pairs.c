/* Driver of test_onnx.py: tool_pairs MODEL reads pairs from stdin, a line each, the two texts with a tab between (or one text), and computes them
 * in one call, not normalised. A line of JSON each on stdout: ids and types as aki_encode gives them, and the vectors with these types and without. */
#include "akiembed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 1 << 14, MOST_PAIRS = 64 };

static aki_error err;

static int fail(const char *what)
{
    fprintf(stderr, "tool_pairs: %s: %s\n", what, err.message);
    return 2;
}

static void put_integers(const char *name, const int32_t *x, int64_t count)
{
    printf("\"%s\": [", name);
    for (int64_t i = 0; i < count; i++)
        printf("%s%d", i ? ", " : "", (int)x[i]);
    printf("], ");
}

static void put_vector(const char *name, const float *x, size_t dim, const char *end)
{
    printf("\"%s\": [", name);
    for (size_t i = 0; i < dim; i++)
        printf("%s%.9g", i ? ", " : "", (double)x[i]);
    printf("]%s", end);
}

int main(int argc, char **argv)
{
    static int32_t ids[MOST_TOKENS], types[MOST_TOKENS];
    static char line[1 << 16];
    int64_t starts[MOST_PAIRS + 1] = { 0 };
    aki_model *m = NULL;
    aki_embed_options o;
    aki_rows rows;
    size_t count = 0;

    if (argc != 2 || aki_model_open(argv[1], NULL, &m, &err))
        return fail(argc == 2 ? argv[1] : "usage: tool_pairs MODEL");
    for (; count < MOST_PAIRS && fgets(line, sizeof line, stdin); count++) {
        aki_encoded x;
        line[strcspn(line, "\n")] = '\0';
        char *second = strchr(line, '\t');
        if (second)
            *second++ = '\0';
        aki_encoded_init(&x, sizeof x);
        x.ids = ids + starts[count];
        x.types = types + starts[count];
        x.capacity = (size_t)(MOST_TOKENS - starts[count]);
        if (aki_encode(m, line, strlen(line), second, second ? strlen(second) : 0, NULL, &x, &err))
            return fail("encode");
        starts[count + 1] = starts[count] + (int64_t)x.count;
    }
    aki_embed_options_init(&o, sizeof o);
    o.normalize = AKI_NORMALIZE_OFF;
    aki_rows_init(&rows, sizeof rows);
    rows.ids = ids;
    rows.starts = starts;
    rows.count = count;
    const size_t size = aki_embed_bound(m, count, &o), dim = count ? size / count / sizeof(float) : 0;
    float *typed = malloc(size + 1), *untyped = malloc(size + 1);
    if (!typed || !untyped || aki_embed_rows(m, &rows, &o, untyped, size, &err))
        return fail("without types");
    rows.types = types;
    if (aki_embed_rows(m, &rows, &o, typed, size, &err))
        return fail("with types");
    for (size_t i = 0; i < count; i++) {
        printf("{");
        put_integers("ids", ids + starts[i], starts[i + 1] - starts[i]);
        put_integers("types", types + starts[i], starts[i + 1] - starts[i]);
        put_vector("typed", typed + i * dim, dim, ", ");
        put_vector("untyped", untyped + i * dim, dim, "}\n");
    }
    free(typed);
    free(untyped);
    aki_model_close(m);
    return 0;
}
