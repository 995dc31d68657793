/* Unit quantize: the verb `quantize`: an int8 copy of a model's folder, with a SHA256SUMS. */
#include "cli/streams/input.h"
#include "cli/shell/machine.h"
#include "cli/shell/progress.h"
#include "cli/hub/model.h"
#include "cli/hub/sums.h"
#include "cli/shell/system.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_LIMIT = 8192, MOST_TEXTS = 2000, MOST_TRIALS = 64 };

/* Of the trials that were near enough, the one with the fewest products in f32; -1: none yet. */
struct best { int32_t fewest; double least; };

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

/* ---------------------------------------------------------------- measuring ------------------------------------- */

/* The texts of the file. *count: of them, MOST_TEXTS at most. */
static int read_texts(struct input *in, struct batch *b, const struct options *o, size_t *count)
{
    const char *path = o->quantize.calibrate;
    int rc = input_open_beside(in, path, o);

    in->batch_texts = MOST_TEXTS;
    in->batch_bytes = CLI_CEILING;
    if (!rc)
        rc = input_batch(in, b);
    if (!rc && !b->count)
        rc = cli_fail(CLI_INPUT, "%s: no texts to measure with", path);
    if (!rc && b->count == MOST_TEXTS)
        cli_warn("%s: only the first %d texts are used", path, MOST_TEXTS);
    *count = b->count < MOST_TEXTS ? b->count : MOST_TEXTS;
    return rc;
}

static int tell_trial(void *user, const aki_quantize_trial *trial)
{
    struct best *b = user;

    cli_note("%d of %d products in f32: least cosine %.6f%s", trial->products_f32, trial->products, trial->cosine_least, trial->good ? "" : ", too little");
    progress_share((double)trial->number / MOST_TRIALS);
    if (trial->good && (b->fewest < 0 || trial->products_f32 <= b->fewest)) {
        b->fewest = trial->products_f32;
        b->least = trial->cosine_least;
    }
    return cli_signal != 0;
}

static int quantize(const struct options *o, const char *folder, const char *out)
{
    struct input in = { .fd = -1 };
    struct batch texts = { 0 };
    struct best best = { .fewest = -1 };
    aki_quantize_options q;
    aki_error error;
    char where[512];
    int rc = CLI_OK;

    if (o->quantize.by_weights)
        return aki_quantize(folder, out, &error) ? model_failed(&error, NULL) : CLI_OK;
    aki_quantize_options_init(&q, sizeof q);
    if (o->quantize.calibrate)
        rc = read_texts(&in, &texts, o, &q.text_count);
    q.texts = texts.texts;
    q.sizes = texts.sizes;
    q.tell = tell_trial;
    q.tell_user = &best;
    error.item = -1;
    progress_start();
    if (!rc && aki_quantize_measured(folder, out, &q, &error))
        rc = model_failed(&error, error.item >= 0 && in.name ? input_where(&in, (uint64_t)error.item, where, sizeof where) : NULL);
    progress_end();
    if (!rc && best.fewest >= 0)
        cli_warn("measured: least cosine to f32 %.4f", best.least);
    batch_free(&texts);
    input_close(&in);
    return rc;
}

/* What of the copy is not int8, as it opens. */
static int tell_precision(const char *out)
{
    aki_model *m = NULL;
    aki_model_info info;
    aki_error error;

    aki_model_info_init(&info, sizeof info);
    if (aki_model_open(out, NULL, &m, &error) || aki_model_get_info(m, &info, &error)) {
        aki_model_close(m);
        return model_failed(&error, NULL);
    }
    cli_warn("%s: int8%s%s", out, info.precision_note ? ", but " : " in all products", info.precision_note ? info.precision_note : "");
    if (info.precision_advice)
        cli_warn("%s", info.precision_advice);
    aki_model_close(m);
    return CLI_OK;
}

static int write_copy(const struct options *o, const char *folder, const char *out)
{
    struct stat st;
    bool made = system_stat(out, &st) != 0 && errno == ENOENT;

    int rc = quantize(o, folder, out);
    if (rc)
        return rc;
    cli_warn("writing %s/SHA256SUMS", out);
    rc = cli_signal ? CLI_STOPPED + cli_signal : sums_write(out);
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
        rc = write_copy(o, folder, o->words[1]);
    }
    if (!rc)
        rc = tell_precision(o->words[1]);
    if (!rc)
        rc = weights_size(o->words[1], &new_size);
    if (!rc)
        cli_warn("%s: weights of %s, %.0f %% of %s, in %.1f s", o->words[1], machine_size_text(after, sizeof after, new_size),
                 old_size ? 100.0 * (double)new_size / (double)old_size : 0, before, aki__seconds() - start);
    free(folder);
    return rc;
}
