/* Unit quantize: the verb `quantize`: an int8 copy of a model's folder, with a SHA256SUMS. */
#include "cli/shell/machine.h"
#include "cli/hub/model.h"
#include "cli/hub/sums.h"
#include "cli/shell/system.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_LIMIT = 8192 };

/* Bytes of the weights under a folder. */
static int weights_size(const char *folder, uint64_t *size)
{
    struct names n;
    char path[PATH_LIMIT];
    struct stat st;
    int rc = names_read(&n, folder);

    *size = 0;
    for (size_t i = 0; i < n.count && !rc; i++) {
        size_t length = strlen(n.list[i]);
        if (length >= 12 && !strcmp(n.list[i] + length - 12, ".safetensors") &&
            snprintf(path, sizeof path, "%s/%s", folder, n.list[i]) < (int)sizeof path && !system_stat(path, &st))
            *size += (uint64_t)st.st_size;
    }
    names_free(&n);
    return rc;
}

/* Takes away what aki_quantize wrote, where a later step fails: out was empty or absent before, so that all in it is ours. */
static void take_back(const char *out, bool made)
{
    struct names n;
    char path[PATH_LIMIT];

    if (!names_read(&n, out))
        for (size_t i = n.count; i-- > 0;) {
            snprintf(path, sizeof path, "%s/%s", out, n.list[i]);
            system_remove(path);
            /* Sorted, so that a subfolder's first file is the last to go, and its folder with it. */
            for (char *slash = strrchr(path, '/'); slash > path + strlen(out); slash = strrchr(path, '/')) {
                *slash = '\0';
                if (system_remove(path))
                    break;
            }
        }
    names_free(&n);
    if (made)
        system_remove(out);
}

static int write_copy(const char *folder, const char *out)
{
    struct stat st;
    aki_error error;
    bool made = system_stat(out, &st) != 0 && errno == ENOENT;

    if (aki_quantize(folder, out, &error))
        return model_failed(&error, NULL);
    cli_warn("writing %s/SHA256SUMS", out);
    int rc = cli_signal ? CLI_STOPPED + cli_signal : sums_write(out);
    if (rc)
        take_back(out, made);
    return rc;
}

int quantize_run(const struct options *o)
{
    char *folder = NULL, before[64], after[64];
    uint64_t old_size = 0, new_size = 0;
    double start = aki__seconds();

    if (o->word_count != 2)
        return cli_fail(CLI_USAGE, "quantize needs a model's FOLDER and the OUT folder to write, and nothing else");
    int rc = model_find_folder(o, o->words[0], &folder);
    if (!rc)
        rc = weights_size(folder, &old_size);
    if (!rc) {
        cli_warn("quantising %s: weights of %s", folder, machine_size_text(before, sizeof before, old_size));
        rc = write_copy(folder, o->words[1]);
    }
    if (!rc)
        rc = weights_size(o->words[1], &new_size);
    if (!rc)
        cli_warn("%s: weights of %s, %.0f %% of %s, in %.1f s", o->words[1], machine_size_text(after, sizeof after, new_size),
                 old_size ? 100.0 * (double)new_size / (double)old_size : 0, before, aki__seconds() - start);
    free(folder);
    return rc;
}
