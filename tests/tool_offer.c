/* Makes sessions on "coreml" for many shapes, as a model's runner does, and computes nothing: for looking at what the provider is offered.
 *
 *     tool_offer FOLDER f32|f16 FAKE OUT TEXTSxTOKENS…      FAKE: the library made of fake_provider.c, which writes OUT/TEXTSxTOKENS.onnx
 * Prints a line for each: nodes on the device, nodes elsewhere, partitions, nodes of the graph that was handed over. */
#include "arch/arch.h"
#include "graph/portable.h"
#include "ort/device.h"
#include "ort/device_cache.h"
#include "ort/runtime.h"

#include <stdio.h>
#include <stdlib.h>

/* false: the message is in *e. */
static bool offer(const struct aki__graph *g, const struct aki__device *d, bool f16, size_t texts, size_t tokens, aki_error *e)
{
    const struct aki__portable_options o = { .f16 = f16, .batch = (int64_t)texts, .sequence = (int64_t)tokens };
    const struct aki__runtime *rt;
    struct aki__onnx onnx = { 0 };
    struct aki__buf bytes = { 0 };
    struct aki__device_cache cache = { 0 };
    struct aki__device_nodes nodes = { 0 };
    OrtSession *session = NULL;

    aki_status rc = aki__runtime_get(&rt, 1, e);
    if (!rc) rc = aki__portable_build(&onnx, g, &o, e);
    if (!rc) rc = aki__onnx_to_memory(&onnx, &bytes, e);
    if (!rc) rc = aki__device_session(&session, &nodes, &cache, rt, d, bytes.data, bytes.size, e);
    if (!rc)
        printf("%zux%zu %d %d %d %d\n", texts, tokens, nodes.on_device, nodes.elsewhere, nodes.partitions, (int)onnx.node_count);
    if (session)
        rt->api->ReleaseSession(session);
    aki__device_cache_close(&cache);
    aki__onnx_free(&onnx);
    aki__buf_free(&bytes);
    return rc == AKI_OK;
}

int main(int argc, char **argv)
{
    char plugin[1024], dump[1024];
    const char *const options[] = { "fault=nan", dump };        /* it computes nothing: so it need not be able to */
    const struct aki__device d = { .name = "coreml", .options = options, .option_count = 2 };
    struct aki__model *m = NULL;
    struct aki__graph g;
    aki_error e = { 0 };

    if (argc < 6)
        return 2;
    snprintf(plugin, sizeof plugin, "CoreMLExecutionProvider=%s", argv[3]);
    snprintf(dump, sizeof dump, "dump=%s", argv[4]);
    bool ok = !aki__device_plugin(plugin, &e) && !aki__model_folder_open(&m, argv[1], aki__families, &e);
    if (ok) {
        aki__graph_init(&g, m, &e);
        ok = !aki__arch_build(&g, m);
        for (int i = 5; i < argc && ok; i++) {
            char *end;
            size_t texts = strtoul(argv[i], &end, 10);
            ok = offer(&g, &d, strcmp(argv[2], "f16") == 0, texts, strtoul(end + 1, NULL, 10), &e);
        }
        aki__graph_free(&g);
    }
    aki__model_folder_close(m);
    if (!ok)
        fprintf(stderr, "tool_offer: %s\n", e.message);
    return !ok;
}
