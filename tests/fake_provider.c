/* A provider library for the tests: it takes a model's whole graph and computes it wrongly, in the way that its option `fault` says:
 *   nan, zeros, noise    what it writes for hidden states
 *   error                its run fails
 *   few                  right, but it takes the Erf nodes only, and leaves the rest to the cpu
 *   none                 right: it takes the nodes that it can compute, which are more than half of a BERT's
 * Or it depends on another option: `fault` is "ALL:nan CPUAndGPU:none" for what MLComputeUnits may be. The provider bears the name that the
 * library is registered by: as CoreMLExecutionProvider it stands in for Apple's.
 * It is built on ONNX Runtime's plugin interface, as real devices' libraries are. */
#include <onnxruntime_c_api.h>

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if !defined(_WIN32)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT __declspec(dllexport)
#endif

static const OrtApi *api;
static const OrtEpApi *ep_api;

enum op { WHOLE, ADD, MUL, MATMUL, ERF, OPS };
static const char *const op_names[OPS] = { "", "Add", "Mul", "MatMul", "Erf" };

struct factory { OrtEpFactory base; char name[64]; };
struct provider;
struct compute { OrtNodeComputeInfo base; const struct provider *provider; enum op op; };
struct provider { OrtEp base; const char *name; char fault[128]; struct compute computes[OPS]; };

/* ---------------------------------------------------------------- tensors --------------------------------------- */

struct tensor { int64_t shape[8]; size_t rank; float *data; };

static size_t elements_of(const struct tensor *t)
{
    size_t n = 1;

    for (size_t i = 0; i < t->rank; i++)
        n *= (size_t)t->shape[i];
    return n;
}

/* The dimension counted from the last one; what is not there is 1. */
static size_t dimension(const struct tensor *t, size_t from_end) { return from_end < t->rank ? (size_t)t->shape[t->rank - 1 - from_end] : 1; }

static OrtStatus *read_input(OrtKernelContext *context, size_t i, struct tensor *out)
{
    const OrtValue *input = NULL;
    const void *data = NULL;
    OrtTensorTypeAndShapeInfo *info = NULL;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;

    OrtStatus *st = api->KernelContext_GetInput(context, i, &input);
    if (!st) st = api->GetTensorTypeAndShape(input, &info);
    if (!st) st = api->GetTensorElementType(info, &type);
    if (!st && type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) st = api->CreateStatus(ORT_FAIL, "fake: not f32");
    if (!st) st = api->GetDimensionsCount(info, &out->rank);
    if (!st && out->rank > 8) st = api->CreateStatus(ORT_FAIL, "fake: too many dimensions");
    if (!st) st = api->GetDimensions(info, out->shape, out->rank);
    if (!st) st = api->GetTensorData(input, &data);
    if (info)
        api->ReleaseTensorTypeAndShapeInfo(info);
    out->data = (float *)(uintptr_t)data;
    return st;
}

static OrtStatus *make_output(OrtKernelContext *context, struct tensor *t)
{
    OrtValue *output = NULL;

    OrtStatus *st = api->KernelContext_GetOutput(context, 0, t->shape, t->rank, &output);
    return st ? st : api->GetTensorMutableData(output, (void **)&t->data);
}

/* ---------------------------------------------------------------- right ----------------------------------------- */

/* Where element `index` of the result's dimensions from `from_end` on lies in t, which may have 1 there: in elements of t's same dimensions. */
static size_t place_in(const struct tensor *t, const struct tensor *result, size_t index, size_t from_end)
{
    size_t at = 0, stride = 1;

    for (size_t d = from_end; d < result->rank; d++) {
        size_t n = dimension(result, d), own = dimension(t, d);
        at += (own == 1 ? 0 : index % n) * stride;
        index /= n;
        stride *= own;
    }
    return at;
}

static void result_shape(struct tensor *out, const struct tensor *a, const struct tensor *b, size_t from_end)
{
    out->rank = a->rank > b->rank ? a->rank : b->rank;
    for (size_t d = from_end; d < out->rank; d++)
        out->shape[out->rank - 1 - d] = (int64_t)(dimension(a, d) > dimension(b, d) ? dimension(a, d) : dimension(b, d));
}

static OrtStatus *elementwise(OrtKernelContext *context, enum op op, const struct tensor *a, const struct tensor *b)
{
    struct tensor y = { .rank = 0 };

    result_shape(&y, a, b, 0);
    OrtStatus *st = make_output(context, &y);
    for (size_t i = 0, n = elements_of(&y); i < n && !st; i++) {
        float left = a->data[place_in(a, &y, i, 0)], right = b->data[place_in(b, &y, i, 0)];
        y.data[i] = op == ERF ? erff(left) : op == ADD ? left + right : left * right;
    }
    return st;
}

static OrtStatus *product(OrtKernelContext *context, const struct tensor *a, const struct tensor *b)
{
    const size_t rows = dimension(a, 1), inner = dimension(a, 0), columns = dimension(b, 0);
    struct tensor y = { .rank = 0 };

    result_shape(&y, a, b, 2);
    y.shape[y.rank - 2] = (int64_t)rows;
    y.shape[y.rank - 1] = (int64_t)columns;
    OrtStatus *st = make_output(context, &y);
    for (size_t i = 0, n = st ? 0 : elements_of(&y); i < n; i++) {
        const size_t matrix = i / (rows * columns), row = i / columns % rows, column = i % columns;
        const float *left = a->data + (place_in(a, &y, matrix, 2) * rows + row) * inner, *right = b->data + place_in(b, &y, matrix, 2) * inner * columns + column;
        double sum = 0;
        for (size_t k = 0; k < inner; k++)
            sum += (double)left[k] * right[k * columns];
        y.data[i] = (float)sum;
    }
    return st;
}

static OrtStatus *compute_node(OrtKernelContext *context, enum op op)
{
    struct tensor a, b;
    size_t count = 0;

    OrtStatus *st = api->KernelContext_GetInputCount(context, &count);
    if (!st) st = read_input(context, 0, &a);
    if (!st) st = read_input(context, count > 1 ? 1 : 0, &b);
    if (st)
        return st;
    return op == MATMUL ? product(context, &a, &b) : elementwise(context, op, &a, &b);
}

/* ---------------------------------------------------------------- wrong ----------------------------------------- */

static OrtStatus *compute_wrongly(OrtKernelContext *context, const char *fault)
{
    struct tensor y = { .rank = 0 };
    size_t count = 0;

    if (strcmp(fault, "error") == 0)
        return api->CreateStatus(ORT_FAIL, "fake: broken on purpose");
    OrtStatus *st = api->KernelContext_GetInputCount(context, &count);
    /* As the hidden states: [texts, tokens, hidden] (cos and sin have a 1 in the middle, masks four dimensions). */
    for (size_t i = 0; i < count && !st && !(y.rank == 3 && y.shape[1] != 1); i++)
        st = read_input(context, i, &y);
    if (!st) st = make_output(context, &y);
    for (size_t i = 0, n = st ? 0 : elements_of(&y); i < n; i++)
        y.data[i] = strcmp(fault, "nan") == 0 ? NAN : strcmp(fault, "zeros") == 0 ? 0.0f : sinf((float)i * (float)i);
    return st;
}

static OrtStatus *create_state(OrtNodeComputeInfo *self, OrtNodeComputeContext *context, void **state)
{
    (void)context;
    *state = self;
    return NULL;
}

static void release_state(OrtNodeComputeInfo *self, void *state)
{
    (void)self;
    (void)state;
}

static OrtStatus *compute(OrtNodeComputeInfo *self, void *state, OrtKernelContext *context)
{
    const struct compute *c = state;

    (void)self;
    return c->op == WHOLE ? compute_wrongly(context, c->provider->fault) : compute_node(context, c->op);
}

/* ---------------------------------------------------------------- provider -------------------------------------- */

static const char *provider_name(const OrtEp *self) { return ((const struct provider *)self)->name; }

/* WHOLE: it cannot be computed rightly. */
static OrtStatus *op_of(const OrtNode *node, enum op *out)
{
    const char *name = NULL;
    OrtStatus *st = api->Node_GetOperatorType(node, &name);

    *out = WHOLE;
    for (int i = 1; i < OPS && !st; i++)
        if (strcmp(name, op_names[i]) == 0)
            *out = (enum op)i;
    return st;
}

static OrtStatus *get_capability(OrtEp *self, const OrtGraph *graph, OrtEpGraphSupportInfo *support)
{
    const struct provider *p = (const struct provider *)self;
    const bool few = strcmp(p->fault, "few") == 0, right = few || strcmp(p->fault, "none") == 0;
    OrtNodeFusionOptions fusion = { .ort_version_supported = ORT_API_VERSION };
    size_t count = 0;

    OrtStatus *st = api->Graph_GetNumNodes(graph, &count);
    const OrtNode **nodes = calloc(count ? count : 1, sizeof *nodes);
    if (!st) st = api->Graph_GetNodes(graph, nodes, count);
    if (!st && !right)
        st = ep_api->EpGraphSupportInfo_AddNodesToFuse(support, nodes, count, &fusion);
    for (size_t i = 0; i < count && !st && right; i++) {
        enum op op;
        st = op_of(nodes[i], &op);
        if (!st && op != WHOLE && (!few || op == ERF))
            st = ep_api->EpGraphSupportInfo_AddNodesToFuse(support, &nodes[i], 1, &fusion);
    }
    free(nodes);
    return st;
}

static OrtStatus *compile(OrtEp *self, const OrtGraph **graphs, const OrtNode **fused, size_t count, OrtNodeComputeInfo **infos, OrtNode **contexts)
{
    struct provider *p = (struct provider *)self;
    OrtStatus *st = NULL;

    (void)fused;
    (void)contexts;
    for (size_t i = 0; i < count && !st; i++) {
        const OrtNode *node = NULL;
        enum op op = WHOLE;
        size_t nodes = 0;
        st = api->Graph_GetNumNodes(graphs[i], &nodes);
        if (!st && nodes == 1) st = api->Graph_GetNodes(graphs[i], &node, 1);
        if (!st && node) st = op_of(node, &op);
        infos[i] = &p->computes[op].base;
    }
    return st;
}

static void release_infos(OrtEp *self, OrtNodeComputeInfo **infos, size_t count)
{
    (void)self;
    (void)infos;
    (void)count;
}

/* ---------------------------------------------------------------- factory --------------------------------------- */

static const char *factory_name(const OrtEpFactory *self) { return ((const struct factory *)self)->name; }

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

/* A setting of a session, which ONNX Runtime keeps as "ep.NAME.KEY". */
static OrtStatus *read_option(const char *name, const char *key, const OrtSessionOptions *options, char *out, size_t size)
{
    char entry[96];

    snprintf(entry, sizeof entry, "ep.%s.%s", name, key);
    for (char *s = entry + 3; *s != '.'; s++)
        *s = (char)tolower((unsigned char)*s);
    return api->GetSessionConfigEntry(options, entry, out, &size);
}

/* "ALL:nan CPUAndGPU:none" and "CPUAndGPU" give "none". */
static void choose_fault(char *fault, const char *units)
{
    char *found = strstr(fault, units);

    if (found && found[strlen(units)] == ':') {
        found += strlen(units) + 1;
        size_t n = strcspn(found, " ");
        memmove(fault, found, n);
        fault[n] = '\0';
    }
}

static OrtStatus *create_provider(OrtEpFactory *self, const OrtHardwareDevice *const *devices, const OrtKeyValuePairs *const *metadata, size_t count,
                                  const OrtSessionOptions *options, const OrtLogger *logger, OrtEp **out)
{
    struct provider *p = calloc(1, sizeof *p);
    char units[32];

    (void)devices;
    (void)metadata;
    (void)count;
    (void)logger;
    *out = NULL;
    if (!p)
        return api->CreateStatus(ORT_FAIL, "fake: no memory");
    p->name = ((const struct factory *)self)->name;
    p->base = (OrtEp){ .ort_version_supported = ORT_API_VERSION, .GetName = provider_name, .GetCapability = get_capability, .Compile = compile,
                       .ReleaseNodeComputeInfos = release_infos };
    for (int i = 0; i < OPS; i++)
        p->computes[i] = (struct compute){ .base = { .ort_version_supported = ORT_API_VERSION, .CreateState = create_state, .Compute = compute, .ReleaseState = release_state },
                                           .provider = p, .op = (enum op)i };
    OrtStatus *st = read_option(p->name, "fault", options, p->fault, sizeof p->fault);
    if (!st && strchr(p->fault, ':')) {
        st = read_option(p->name, "MLComputeUnits", options, units, sizeof units);
        if (!st) choose_fault(p->fault, units);
    }
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
    static struct factory factories_made[4];
    static size_t made;

    (void)logger;
    (void)most;
    struct factory *factory = &factories_made[made++ % 4];
    snprintf(factory->name, sizeof factory->name, "%s", name);
    api = base->GetApi(ORT_API_VERSION);
    ep_api = api->GetEpApi();
    factory->base = (OrtEpFactory){ .ort_version_supported = ORT_API_VERSION, .GetName = factory_name, .GetVendor = factory_vendor, .GetVendorId = factory_vendor_id,
                                   .GetVersion = factory_version, .GetSupportedDevices = get_supported_devices, .CreateEp = create_provider, .ReleaseEp = release_provider,
                                   .CreateAllocator = create_allocator, .ReleaseAllocator = release_allocator, .CreateDataTransfer = create_data_transfer,
                                   .IsStreamAware = is_stream_aware };
    factories[0] = &factory->base;
    *count = 1;
    return NULL;
}

OrtStatus *ReleaseEpFactory(OrtEpFactory *factory)
{
    (void)factory;
    return NULL;
}
