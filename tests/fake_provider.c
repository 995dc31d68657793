/* A provider library for the tests: it takes a model's whole graph, and computes it rightly or wrongly, as its option `fault` says:
 *   none                 right, by a session of ONNX Runtime's own kernels
 *   nan, zeros, noise    what it writes for hidden states
 *   error                its run fails
 *   late                 right for the first ten texts, and noise behind them
 *   few                  right, but it takes the Erf nodes only, and leaves the rest to the cpu
 * noise@8x32 is wrong for 8 texts of 32 tokens, and right for the rest. Or it depends on another option: `fault` is "ALL:nan CPUAndGPU:none" for what
 * MLComputeUnits may be. More options:
 *   dump=FOLDER          the graph that it is offered is written there, as 8x32.onnx
 *   flush=1              the epsilon of norms in half precision is what a device has that knows no numbers below the least normal one;
 *                        NaN in any row, padding too, is then an error
 *   compile_ms, weights  how long it takes to compile, and bytes of what it leaves in ModelCacheDirectory, as CoreML does
 * The provider bears the name that the library is registered by: as CoreMLExecutionProvider it stands in for Apple's.
 * It is built on ONNX Runtime's plugin interface, as real devices' libraries are; of version 1.23, which is the oldest that it is run with. */
#include "fake_graph.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT __declspec(dllexport)
#endif

enum { API_VERSION = 23, MOST_PORTS = 16, MOST_RANK = 8 };

static const OrtApi *api;
static const OrtEpApi *ep_api;

struct factory { OrtEpFactory base; char name[64]; };
struct provider { OrtEp base; const char *name; char fault[128], dump[256], cache[512], compile_ms[16], weights[24], flush[4]; };

/* A piece of a graph, compiled. session: NULL where it computes wrongly. */
struct compiled {
    OrtNodeComputeInfo base;
    char        fault[16];
    bool        flush;
    OrtSession *session;
    char       *inputs[MOST_PORTS], *outputs[MOST_PORTS];
    size_t      input_count, output_count;
};

/* ---------------------------------------------------------------- running --------------------------------------- */

/* Its type and shape. */
static OrtStatus *look(const OrtValue *value, ONNXTensorElementDataType *type, int64_t shape[MOST_RANK], size_t *rank)
{
    OrtTensorTypeAndShapeInfo *info = NULL;
    OrtStatus *st = api->GetTensorTypeAndShape(value, &info);

    if (!st) st = api->GetTensorElementType(info, type);
    if (!st) st = api->GetDimensionsCount(info, rank);
    if (!st && *rank > MOST_RANK) st = api->CreateStatus(ORT_FAIL, "fake: too many dimensions");
    if (!st) st = api->GetDimensions(info, shape, *rank);
    if (info)
        api->ReleaseTensorTypeAndShapeInfo(info);
    return st;
}

/* What is wrong with a right result. */
static OrtStatus *spoil(const struct compiled *c, ONNXTensorElementDataType type, const int64_t shape[MOST_RANK], size_t rank, void *data)
{
    const bool half = type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
    size_t elements = 1, right;

    for (size_t i = 0; i < rank; i++)
        elements *= (size_t)shape[i];
    right = strcmp(c->fault, "late") == 0 && rank && shape[0] > 10 ? elements / (size_t)shape[0] * 10 : elements;
    for (size_t i = right; i < elements && !half; i++)
        ((float *)data)[i] = sinf((float)i * (float)i);
    for (size_t i = 0; i < elements && half && c->flush; i++)
        if ((((const uint16_t *)data)[i] & 0x7FFF) > 0x7C00)
            return api->CreateStatus(ORT_FAIL, "fake: NaN in a row");
    return NULL;
}

static OrtStatus *compute_rightly(const struct compiled *c, OrtKernelContext *context)
{
    const OrtValue *inputs[MOST_PORTS];
    OrtValue *outputs[MOST_PORTS] = { NULL };
    OrtStatus *st = NULL;

    for (size_t i = 0; i < c->input_count && !st; i++)
        st = api->KernelContext_GetInput(context, i, &inputs[i]);
    if (!st) st = api->Run(c->session, NULL, (const char *const *)c->inputs, inputs, c->input_count, (const char *const *)c->outputs, c->output_count, outputs);
    for (size_t i = 0; i < c->output_count && !st; i++) {
        ONNXTensorElementDataType type;
        int64_t shape[MOST_RANK];
        size_t rank, size;
        const void *from = NULL;
        void *to = NULL;
        OrtValue *output = NULL;
        st = look(outputs[i], &type, shape, &rank);
        if (!st) st = api->KernelContext_GetOutput(context, i, shape, rank, &output);
        if (!st) st = api->GetTensorSizeInBytes(outputs[i], &size);
        if (!st) st = api->GetTensorData(outputs[i], &from);
        if (!st) st = api->GetTensorMutableData(output, &to);
        if (!st)
            memcpy(to, from, size);
        if (!st) st = spoil(c, type, shape, rank, to);
    }
    for (size_t i = 0; i < c->output_count; i++)
        if (outputs[i])
            api->ReleaseValue(outputs[i]);
    return st;
}

static OrtStatus *compute_wrongly(const struct compiled *c, OrtKernelContext *context)
{
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    int64_t shape[MOST_RANK];
    size_t count = 0, rank = 0, elements = 1;
    const OrtValue *input = NULL;
    OrtValue *output = NULL;
    void *data = NULL;

    if (strcmp(c->fault, "error") == 0)
        return api->CreateStatus(ORT_FAIL, "fake: broken on purpose");
    OrtStatus *st = api->KernelContext_GetInputCount(context, &count);
    /* As the hidden states: [texts, tokens, hidden] (cos and sin have a 1 in the middle, masks four dimensions). */
    for (size_t i = 0; i < count && !st && !(rank == 3 && shape[1] != 1); i++) {
        st = api->KernelContext_GetInput(context, i, &input);
        if (!st) st = look(input, &type, shape, &rank);
    }
    if (!st) st = api->KernelContext_GetOutput(context, 0, shape, rank, &output);
    if (!st) st = api->GetTensorMutableData(output, &data);
    for (size_t i = 0; i < rank; i++)
        elements *= (size_t)shape[i];
    for (size_t i = 0; i < elements && !st; i++) {
        float x = strcmp(c->fault, "nan") == 0 ? NAN : strcmp(c->fault, "zeros") == 0 ? 0.0f : sinf((float)i * (float)i);
        uint16_t half = (uint16_t)(x == 0 ? 0 : x > 0 ? 0x3800 + i % 512 : x < 0 ? 0xB800 + i % 512 : 0x7E00);
        if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16)
            ((uint16_t *)data)[i] = half;
        else
            ((float *)data)[i] = x;
    }
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
    const struct compiled *c = state;

    (void)self;
    return c->session ? compute_rightly(c, context) : compute_wrongly(c, context);
}

/* ---------------------------------------------------------------- compiling ------------------------------------- */

/* Texts and tokens of a graph, by the shape of inputs_embeds; 0: it has none. */
static OrtStatus *texts_and_tokens(const OrtGraph *graph, int64_t out[2])
{
    const OrtValueInfo *inputs[MOST_PORTS];
    size_t count = 0;
    OrtStatus *st = api->Graph_GetNumInputs(graph, &count);

    out[0] = out[1] = 0;
    if (!st && count > MOST_PORTS)
        return NULL;
    if (!st) st = api->Graph_GetInputs(graph, inputs, count);
    for (size_t i = 0; i < count && !st; i++) {
        const char *name = NULL;
        const OrtTypeInfo *type = NULL;
        const OrtTensorTypeAndShapeInfo *info = NULL;
        int64_t shape[3];
        st = api->GetValueInfoName(inputs[i], &name);
        if (st || strcmp(name, "inputs_embeds") != 0)
            continue;
        st = api->GetValueInfoTypeInfo(inputs[i], &type);
        if (!st) st = api->CastTypeInfoToTensorInfo(type, &info);
        if (!st) st = api->GetDimensions(info, shape, 3);
        if (!st)
            memcpy(out, shape, 2 * sizeof *out);
    }
    return st;
}

/* What stands before '@' where the shape is the one behind it; else "none". */
static void fault_of_shape(char out[16], const char *fault, const int64_t shape[2])
{
    const char *at = strchr(fault, '@');
    char wanted[48];

    snprintf(wanted, sizeof wanted, "@%lldx%lld", (long long)shape[0], (long long)shape[1]);
    const char *chosen = at && strcmp(at, wanted) != 0 ? "none" : fault;
    snprintf(out, 16, "%.*s", (int)strcspn(chosen, "@"), chosen);
}

#if !defined(_WIN32)
/* As CoreML's provider: a folder that is there is taken for a compiled model; it is made, and then filled. */
static OrtStatus *use_cache(const struct provider *p)
{
    static const char whole[] = "whole";
    char folder[600], path[640], found[8] = "";
    const long ms = atol(p->compile_ms);

    snprintf(folder, sizeof folder, "%s/program", p->cache);
    snprintf(path, sizeof path, "%s/model", folder);
    if (mkdir(folder, 0777) != 0) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        bool good = fd >= 0 && read(fd, found, sizeof found) >= (ssize_t)sizeof whole && strcmp(found, whole) == 0;
        if (fd >= 0)
            close(fd);
        return good ? NULL : api->CreateStatus(ORT_FAIL, "fake: the compiled model is broken");
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
    bool done = fd >= 0 && write(fd, whole, sizeof whole) == sizeof whole && (!p->weights[0] || ftruncate(fd, atoll(p->weights)) == 0);
    if (fd >= 0)
        close(fd);
    return done ? NULL : api->CreateStatus(ORT_FAIL, "fake: cannot write the compiled model");
}
#else
static OrtStatus *use_cache(const struct provider *p)
{
    (void)p;
    return NULL;
}
#endif

static OrtStatus *copy_names(char **out, size_t *count, const OrtNode *fused, bool inputs)
{
    const OrtValueInfo *values[MOST_PORTS];
    OrtStatus *st = inputs ? api->Node_GetNumInputs(fused, count) : api->Node_GetNumOutputs(fused, count);

    if (!st && *count > MOST_PORTS) st = api->CreateStatus(ORT_FAIL, "fake: many inputs or outputs");
    if (!st) st = inputs ? api->Node_GetInputs(fused, values, *count) : api->Node_GetOutputs(fused, values, *count);
    for (size_t i = 0; i < *count && !st; i++) {
        const char *name = NULL;
        st = api->GetValueInfoName(values[i], &name);
        out[i] = st ? NULL : malloc(strlen(name) + 1);
        if (out[i])
            strcpy(out[i], name);
    }
    return st;
}

/* A session of ONNX Runtime's own kernels for a piece. */
static OrtStatus *open_session(struct compiled *c, const struct provider *p, const OrtGraph *graph)
{
    struct fake_bytes bytes = { 0 };
    OrtSessionOptions *options = NULL;
    static OrtEnv *env;                     /* the process's, held by whoever loaded this library as well */

    OrtStatus *st = fake_graph_write(api, graph, p->flush[0] == '1', &bytes);
    if (!st && !env) st = api->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "fake", &env);
    if (!st) st = api->CreateSessionOptions(&options);
    /* What was optimised once has names that a second time would make again. */
    if (!st) st = api->SetSessionGraphOptimizationLevel(options, ORT_DISABLE_ALL);
    if (!st) st = api->SetIntraOpNumThreads(options, 1);
    if (!st) st = api->CreateSessionFromArray(env, bytes.data, bytes.size, options, &c->session);
    if (options)
        api->ReleaseSessionOptions(options);
    free(bytes.data);
    return st;
}

static OrtStatus *compile(OrtEp *self, const OrtGraph **graphs, const OrtNode **fused, size_t count, OrtNodeComputeInfo **infos, OrtNode **contexts)
{
    const struct provider *p = (const struct provider *)self;
    OrtStatus *st = p->cache[0] ? use_cache(p) : NULL;

    (void)contexts;
    for (size_t i = 0; i < count && !st; i++) {
        struct compiled *c = calloc(1, sizeof *c);
        int64_t shape[2];
        if (!c)
            return api->CreateStatus(ORT_FAIL, "fake: no memory");
        infos[i] = &c->base;
        c->base = (OrtNodeComputeInfo){ .ort_version_supported = API_VERSION, .CreateState = create_state, .Compute = compute, .ReleaseState = release_state };
        st = texts_and_tokens(graphs[i], shape);
        if (!st) st = copy_names(c->inputs, &c->input_count, fused[i], true);
        if (!st) st = copy_names(c->outputs, &c->output_count, fused[i], false);
        fault_of_shape(c->fault, p->fault, shape);
        c->flush = p->flush[0] == '1';
        if (!st && (strcmp(c->fault, "none") == 0 || strcmp(c->fault, "few") == 0 || strcmp(c->fault, "late") == 0))
            st = open_session(c, p, graphs[i]);
    }
    return st;
}

static void release_infos(OrtEp *self, OrtNodeComputeInfo **infos, size_t count)
{
    (void)self;
    for (size_t i = 0; i < count; i++) {
        struct compiled *c = (struct compiled *)infos[i];
        for (size_t k = 0; c && k < MOST_PORTS; k++) {
            free(c->inputs[k]);
            free(c->outputs[k]);
        }
        if (c && c->session)
            api->ReleaseSession(c->session);
        free(c);
    }
}

/* ---------------------------------------------------------------- provider -------------------------------------- */

static const char *provider_name(const OrtEp *self) { return ((const struct provider *)self)->name; }

static OrtStatus *dump(const struct provider *p, const OrtGraph *graph)
{
    struct fake_bytes bytes = { 0 };
    char path[400];
    int64_t shape[2];

    OrtStatus *st = texts_and_tokens(graph, shape);
    if (!st) st = fake_graph_write(api, graph, false, &bytes);
    snprintf(path, sizeof path, "%s/%lldx%lld.onnx", p->dump, (long long)shape[0], (long long)shape[1]);
    FILE *f = st ? NULL : fopen(path, "wb");
    if (!st && (!f || fwrite(bytes.data, 1, bytes.size, f) != bytes.size)) st = api->CreateStatus(ORT_FAIL, "fake: cannot write what was offered");
    if (f)
        fclose(f);
    free(bytes.data);
    return st;
}

static OrtStatus *get_capability(OrtEp *self, const OrtGraph *graph, OrtEpGraphSupportInfo *support)
{
    const struct provider *p = (const struct provider *)self;
    const bool few = strcmp(p->fault, "few") == 0;
    OrtNodeFusionOptions fusion = { .ort_version_supported = API_VERSION, .drop_constant_initializers = true };
    size_t count = 0;

    OrtStatus *st = p->dump[0] ? dump(p, graph) : NULL;
    if (!st) st = api->Graph_GetNumNodes(graph, &count);
    const OrtNode **nodes = calloc(count ? count : 1, sizeof *nodes);
    if (!st && !nodes) st = api->CreateStatus(ORT_FAIL, "fake: no memory");
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

/* A setting of a session, which ONNX Runtime keeps as "ep.NAME.KEY"; "" where it is not set. */
static OrtStatus *read_option(const char *name, const char *key, const OrtSessionOptions *options, char *out, size_t size)
{
    char entry[96];
    int set = 0;

    snprintf(entry, sizeof entry, "ep.%s.%s", name, key);
    for (char *s = entry + 3; *s != '.'; s++)
        *s = (char)tolower((unsigned char)*s);
    out[0] = '\0';
    OrtStatus *st = api->HasSessionConfigEntry(options, entry, &set);
    return st || !set ? st : api->GetSessionConfigEntry(options, entry, out, &size);
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

static OrtStatus *read_options(struct provider *p, const OrtSessionOptions *options)
{
    const struct { const char *key; char *out; size_t size; } wanted[] = {
        { "fault", p->fault, sizeof p->fault }, { "dump", p->dump, sizeof p->dump }, { "flush", p->flush, sizeof p->flush }, { "weights", p->weights, sizeof p->weights },
        { "compile_ms", p->compile_ms, sizeof p->compile_ms }, { "ModelCacheDirectory", p->cache, sizeof p->cache },
    };
    char units[32];
    OrtStatus *st = NULL;

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && !st; i++)
        st = read_option(p->name, wanted[i].key, options, wanted[i].out, wanted[i].size);
    if (!st && !p->fault[0]) st = api->CreateStatus(ORT_FAIL, "fake: no option `fault`");
    if (!st) st = read_option(p->name, "MLComputeUnits", options, units, sizeof units);
    if (!st && strchr(p->fault, ':'))
        choose_fault(p->fault, units);
    return st;
}

static OrtStatus *create_provider(OrtEpFactory *self, const OrtHardwareDevice *const *devices, const OrtKeyValuePairs *const *metadata, size_t count,
                                  const OrtSessionOptions *options, const OrtLogger *logger, OrtEp **out)
{
    struct provider *p = calloc(1, sizeof *p);

    (void)devices;
    (void)metadata;
    (void)count;
    (void)logger;
    *out = NULL;
    if (!p)
        return api->CreateStatus(ORT_FAIL, "fake: no memory");
    p->name = ((const struct factory *)self)->name;
    p->base = (OrtEp){ .ort_version_supported = API_VERSION, .GetName = provider_name, .GetCapability = get_capability, .Compile = compile,
                       .ReleaseNodeComputeInfos = release_infos };
    OrtStatus *st = read_options(p, options);
    if (st)
        free(p);
    else
        *out = &p->base;
    return st;
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
    api = base->GetApi(API_VERSION);
    ep_api = api->GetEpApi();
    factory->base = (OrtEpFactory){ .ort_version_supported = API_VERSION, .GetName = factory_name, .GetVendor = factory_vendor, .GetVendorId = factory_vendor_id,
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
