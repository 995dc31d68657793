/* A provider library for the tests: it takes a model's whole graph and computes it wrongly, in the way that its option `fault` says:
 *   nan, zeros, noise    what it writes for hidden states
 *   error                its run fails
 *   few                  right, but it takes the Erf nodes only, and leaves the rest to the cpu
 * It is built on ONNX Runtime's plugin interface, as real devices' libraries are. */
#include <onnxruntime_c_api.h>

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#if !defined(_WIN32)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT __declspec(dllexport)
#endif

static const OrtApi *api;
static const OrtEpApi *ep_api;

struct factory { OrtEpFactory base; };
struct provider { OrtEp base; OrtNodeComputeInfo compute; char fault[16]; };

/* ---------------------------------------------------------------- computing ------------------------------------- */

static OrtStatus *create_state(OrtNodeComputeInfo *self, OrtNodeComputeContext *context, void **state)
{
    (void)context;
    *state = (char *)self - offsetof(struct provider, compute);
    return NULL;
}

static void release_state(OrtNodeComputeInfo *self, void *state)
{
    (void)self;
    (void)state;
}

/* The shape of the input that stands for the hidden states: [texts, tokens, hidden] (cos and sin have a 1 in the middle, masks four dimensions). */
static OrtStatus *find_shape(OrtKernelContext *context, int64_t shape[4], size_t *rank, const float **data)
{
    size_t count = 0;
    OrtStatus *st = api->KernelContext_GetInputCount(context, &count);

    for (size_t i = 0; i < count && !st; i++) {
        const OrtValue *input = NULL;
        OrtTensorTypeAndShapeInfo *info = NULL;
        st = api->KernelContext_GetInput(context, i, &input);
        if (!st) st = api->GetTensorTypeAndShape(input, &info);
        if (!st) st = api->GetDimensionsCount(info, rank);
        if (!st && *rank <= 4) st = api->GetDimensions(info, shape, *rank);
        if (!st) st = api->GetTensorData(input, (const void **)data);
        if (info)
            api->ReleaseTensorTypeAndShapeInfo(info);
        if (*rank == 3 && shape[1] != 1)
            return st;
    }
    return st ? st : api->CreateStatus(ORT_FAIL, "fake: no hidden states among the inputs");
}

static OrtStatus *compute(OrtNodeComputeInfo *self, void *state, OrtKernelContext *context)
{
    const struct provider *p = state;
    int64_t shape[4];
    size_t rank = 0, elements = 1;
    const float *x = NULL;
    OrtValue *output = NULL;
    float *y = NULL;

    (void)self;
    if (strcmp(p->fault, "error") == 0)
        return api->CreateStatus(ORT_FAIL, "fake: broken on purpose");
    OrtStatus *st = find_shape(context, shape, &rank, &x);
    if (!st) st = api->KernelContext_GetOutput(context, 0, shape, rank, &output);
    if (!st) st = api->GetTensorMutableData(output, (void **)&y);
    for (size_t i = 0; i < rank; i++)
        elements *= (size_t)shape[i];
    for (size_t i = 0; i < elements && !st; i++)
        y[i] = strcmp(p->fault, "few") == 0 ? erff(x[i]) : strcmp(p->fault, "nan") == 0 ? NAN : strcmp(p->fault, "zeros") == 0 ? 0.0f : sinf((float)i * (float)i);
    return st;
}

/* ---------------------------------------------------------------- provider -------------------------------------- */

static const char *provider_name(const OrtEp *self)
{
    (void)self;
    return "fake";
}

static OrtStatus *get_capability(OrtEp *self, const OrtGraph *graph, OrtEpGraphSupportInfo *support)
{
    const struct provider *p = (const struct provider *)self;
    const bool few = strcmp(p->fault, "few") == 0;
    OrtNodeFusionOptions fusion = { .ort_version_supported = ORT_API_VERSION };
    size_t count = 0;

    OrtStatus *st = api->Graph_GetNumNodes(graph, &count);
    const OrtNode **nodes = calloc(count ? count : 1, sizeof *nodes);
    if (!st) st = api->Graph_GetNodes(graph, nodes, count);
    if (!st && !few)
        st = ep_api->EpGraphSupportInfo_AddNodesToFuse(support, nodes, count, &fusion);
    for (size_t i = 0; i < count && !st && few; i++) {
        const char *op = NULL;
        st = api->Node_GetOperatorType(nodes[i], &op);
        if (!st && strcmp(op, "Erf") == 0)
            st = ep_api->EpGraphSupportInfo_AddNodesToFuse(support, &nodes[i], 1, &fusion);
    }
    free(nodes);
    return st;
}

static OrtStatus *compile(OrtEp *self, const OrtGraph **graphs, const OrtNode **fused, size_t count, OrtNodeComputeInfo **infos, OrtNode **contexts)
{
    (void)graphs;
    (void)fused;
    (void)contexts;
    for (size_t i = 0; i < count; i++)
        infos[i] = &((struct provider *)self)->compute;
    return NULL;
}

static void release_infos(OrtEp *self, OrtNodeComputeInfo **infos, size_t count)
{
    (void)self;
    (void)infos;
    (void)count;
}

/* ---------------------------------------------------------------- factory --------------------------------------- */

static const char *factory_name(const OrtEpFactory *self)
{
    (void)self;
    return "fake";
}

static const char *factory_vendor(const OrtEpFactory *self)
{
    (void)self;
    return "AkiEmbed's tests";
}

static const char *factory_version(const OrtEpFactory *self)
{
    (void)self;
    return "1.0.0";
}

static uint32_t factory_vendor_id(const OrtEpFactory *self)
{
    (void)self;
    return 0;
}

static OrtStatus *get_supported_devices(OrtEpFactory *self, const OrtHardwareDevice *const *devices, size_t count, OrtEpDevice **out, size_t most, size_t *found)
{
    *found = 0;
    for (size_t i = 0; i < count && *found < most && !*found; i++)
        if (api->HardwareDevice_Type(devices[i]) == OrtHardwareDeviceType_CPU) {
            OrtStatus *st = ep_api->CreateEpDevice(self, devices[i], NULL, NULL, &out[0]);
            if (st)
                return st;
            *found = 1;
        }
    return NULL;
}

static OrtStatus *create_provider(OrtEpFactory *self, const OrtHardwareDevice *const *devices, const OrtKeyValuePairs *const *metadata, size_t count,
                                  const OrtSessionOptions *options, const OrtLogger *logger, OrtEp **out)
{
    struct provider *p = calloc(1, sizeof *p);
    size_t size = sizeof p->fault;

    (void)self;
    (void)devices;
    (void)metadata;
    (void)count;
    (void)logger;
    *out = NULL;
    if (!p)
        return api->CreateStatus(ORT_FAIL, "fake: no memory");
    p->base = (OrtEp){ .ort_version_supported = ORT_API_VERSION, .GetName = provider_name, .GetCapability = get_capability, .Compile = compile,
                       .ReleaseNodeComputeInfos = release_infos };
    p->compute = (OrtNodeComputeInfo){ .ort_version_supported = ORT_API_VERSION, .CreateState = create_state, .Compute = compute, .ReleaseState = release_state };
    OrtStatus *st = api->GetSessionConfigEntry(options, "ep.fake.fault", p->fault, &size);
    if (st) {
        free(p);
        return st;
    }
    *out = &p->base;
    return NULL;
}

static void release_provider(OrtEpFactory *self, OrtEp *ep)
{
    (void)self;
    free(ep);
}

/* It computes in the cpu's memory: ONNX Runtime asks all the same. */
static OrtStatus *create_allocator(OrtEpFactory *self, const OrtMemoryInfo *info, const OrtKeyValuePairs *options, OrtAllocator **out)
{
    (void)self;
    (void)info;
    (void)options;
    *out = NULL;
    return NULL;
}

static void release_allocator(OrtEpFactory *self, OrtAllocator *allocator)
{
    (void)self;
    (void)allocator;
}

static OrtStatus *create_data_transfer(OrtEpFactory *self, OrtDataTransferImpl **out)
{
    (void)self;
    *out = NULL;
    return NULL;
}

static bool is_stream_aware(const OrtEpFactory *self)
{
    (void)self;
    return false;
}

EXPORT OrtStatus *CreateEpFactories(const char *name, const OrtApiBase *base, const OrtLogger *logger, OrtEpFactory **factories, size_t most, size_t *count);
EXPORT OrtStatus *ReleaseEpFactory(OrtEpFactory *factory);

OrtStatus *CreateEpFactories(const char *name, const OrtApiBase *base, const OrtLogger *logger, OrtEpFactory **factories, size_t most, size_t *count)
{
    static struct factory factory;

    (void)name;
    (void)logger;
    (void)most;
    api = base->GetApi(ORT_API_VERSION);
    ep_api = api->GetEpApi();
    factory.base = (OrtEpFactory){ .ort_version_supported = ORT_API_VERSION, .GetName = factory_name, .GetVendor = factory_vendor, .GetVendorId = factory_vendor_id,
                                   .GetVersion = factory_version, .GetSupportedDevices = get_supported_devices, .CreateEp = create_provider, .ReleaseEp = release_provider,
                                   .CreateAllocator = create_allocator, .ReleaseAllocator = release_allocator, .CreateDataTransfer = create_data_transfer,
                                   .IsStreamAware = is_stream_aware };
    factories[0] = &factory.base;
    *count = 1;
    return NULL;
}

OrtStatus *ReleaseEpFactory(OrtEpFactory *factory)
{
    (void)factory;
    return NULL;
}
