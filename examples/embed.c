/* Example in C: how alike are texts? Prints the cosine of each text with the first.
 *
 *   cc embed.c $(pkg-config --cflags --libs akiembed) -o embed
 *   ./embed MODEL_FOLDER "a query" "a text" "another text"
 */
#include <akiembed.h>

#include <stdio.h>
#include <stdlib.h>

static int report(const aki_error *error)
{
    fprintf(stderr, "%s: %s\n", aki_status_name(error->status), error->message);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    int result = EXIT_FAILURE;
    aki_model *model = NULL;
    aki_model_info info;
    aki_error error;
    float *vectors = NULL, *cosines = NULL;

    if (argc < 4) {
        fprintf(stderr, "usage: %s MODEL_FOLDER QUERY TEXT...\n", argv[0]);
        return EXIT_FAILURE;
    }
    const char *const *texts = (const char *const *)argv + 2;
    size_t count = (size_t)argc - 2;

    if (aki_model_open(argv[1], NULL, &model, &error) != AKI_OK)
        return report(&error);
    aki_model_info_init(&info, sizeof info);
    if (aki_model_get_info(model, &info, &error) != AKI_OK) {
        report(&error);
        goto done;
    }

    size_t size = aki_embed_bound(model, count, NULL);
    vectors = malloc(size);
    cosines = malloc(count * sizeof *cosines);
    if (!vectors || !cosines) {
        fprintf(stderr, "out of memory\n");
        goto done;
    }
    if (aki_embed(model, texts, NULL, count, NULL, vectors, size, NULL, NULL, &error) != AKI_OK) {
        report(&error);
        goto done;
    }
    aki_similarity(vectors, 1, vectors, count, (size_t)info.dim, cosines);
    for (size_t i = 1; i < count; i++)
        printf("%.4f  %s\n", cosines[i], texts[i]);
    result = EXIT_SUCCESS;
done:
    free(cosines);
    free(vectors);
    aki_model_close(model);
    return result;
}
