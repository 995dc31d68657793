/* Unit export: aki_export: a model's network as an ONNX file. */
#include "engine/engine.h"

#include "arch/arch.h"
#include "graph/portable.h"

void aki_export_options_init(void *options, size_t size) { aki_embed_options_init(options, size); }

static aki_status check_options(const aki_export_options *o, const struct aki__model *f, aki_error *err)
{
    int32_t most = f->positions - f->position_offset;

    if (o->pooled && o->device_form)
        return aki__fail(err, AKI_E_INVALID, "pooled: the device form ends at last_hidden_state; what feeds it pools as well");
    if (o->batch < 0 || o->batch > 16384)
        return aki__fail(err, AKI_E_INVALID, "batch: %d is not in 0 … 16384", o->batch);
    if (o->length < 0 || o->length > most)
        return aki__fail(err, AKI_E_INVALID, "length: %d is not in 0 … %d, the positions of the model", o->length, most);
    return AKI_OK;
}

aki_status aki_export(const char *folder, const char *out, const aki_export_options *options, aki_error *err)
{
    struct aki__model *f = NULL;
    struct aki__graph g = { 0 };
    struct aki__onnx onnx = { 0 };
    aki_export_options o;

    if (!folder || !out)
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", folder ? "out" : "folder");
    aki_status rc = aki__options_read(&o, sizeof o, options, "aki_export_options", err);
    if (!rc) rc = aki__model_folder_open(&f, folder, aki__families, err);
    if (!rc) rc = check_options(&o, f, err);
    if (!rc) {
        aki__graph_init(&g, f, err);
        rc = aki__arch_build(&g, f);
    }
    const bool scores = !rc && f->labels.count && !o.device_form;     /* nothing else of a classifier is of use */
    const struct aki__portable_options how = { .f16 = o.f16, .client = !o.device_form, .pooled = o.pooled || scores, .batch = o.batch,
                                               .sequence = o.length };
    if (!rc) rc = aki__portable_build(&onnx, &g, &how, err);
    if (!rc) rc = aki__onnx_to_file(&onnx, out, f->name, AKI_ONNX_FILE_MOST, err);
    aki__onnx_free(&onnx);
    aki__graph_free(&g);
    aki__model_folder_close(f);
    return rc;
}
