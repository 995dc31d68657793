/* Replays a fuzz target's corpus without libFuzzer: every file named, and every file of a folder named. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int replay_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    /* Exactly as long as the input, so that a sanitizer sees a read behind its end. */
    uint8_t *bytes = malloc(size ? size : 1);
    int failed = !f || !bytes || fread(bytes, 1, size, f) != size;

    if (failed)
        fprintf(stderr, "%s: cannot be read\n", path);
    else
        LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    if (f)
        fclose(f);
    return failed;
}

static int replay(const char *path, int *count)
{
    struct stat st;
    struct dirent *entry;
    int failed = 0;

    if (stat(path, &st) != 0) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return 1;
    }
    if (!S_ISDIR(st.st_mode)) {
        ++*count;
        return replay_file(path, (size_t)st.st_size);
    }
    DIR *folder = opendir(path);
    if (!folder)
        return 1;
    while ((entry = readdir(folder))) {
        char inner[4096];
        if (entry->d_name[0] != '.' && snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) < (int)sizeof inner)
            failed |= replay(inner, count);
    }
    closedir(folder);
    return failed;
}

int main(int argc, char **argv)
{
    int count = 0, failed = 0;

    for (int i = 1; i < argc; i++)
        failed |= replay(argv[i], &count);
    printf("%d inputs replayed\n", count);
    return failed || count == 0;
}
