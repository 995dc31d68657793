/* Unit export: the verb `export`: a model's network as an ONNX file. */
#include "cli/shell/machine.h"
#include "cli/hub/model.h"
#include "cli/shell/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of OUT and of the weights beside it. */
static uint64_t size_of(const char *out)
{
    char side[8192];
    struct stat st;
    uint64_t size = system_stat(out, &st) ? 0 : (uint64_t)st.st_size;

    if (snprintf(side, sizeof side, "%s.data", out) < (int)sizeof side && !system_stat(side, &st))
        size += (uint64_t)st.st_size;
    return size;
}

static int write_onnx(const struct options *o, const char *folder, const char *out)
{
    aki_export_options e;
    aki_error error;
    char size[64];
    double start = aki__seconds();

    aki_export_options_init(&e, sizeof e);
    e.f16 = o->export.f16;
    e.pooled = o->export.pooled;
    e.device_form = o->export.form == FORM_COREML;
    e.batch = o->export.batch ? o->export.batch : e.device_form;
    e.length = o->export.length ? o->export.length : e.device_form ? 128 : 0;
    if (aki_export(folder, out, &e, &error))
        return model_failed(&error, NULL);
    cli_warn("%s: %s, in %.1f s", out, machine_size_text(size, sizeof size, size_of(out)), aki__seconds() - start);
    return CLI_OK;
}

int export_run(const struct options *o)
{
    char *folder = NULL;

    if (o->word_count != 2)
        return cli_fail(CLI_USAGE, "export needs a model's FOLDER and the OUT.onnx to write, and nothing else");
    if (o->export.pooled && o->export.form == FORM_COREML)
        return cli_fail(CLI_USAGE, "--pooled is for clients; what --for coreml writes ends at last_hidden_state");
    int rc = model_find_folder(o, o->words[0], &folder);
    if (!rc)
        rc = write_onnx(o, folder, o->words[1]);
    free(folder);
    return rc;
}
