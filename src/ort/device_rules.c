/* Unit device_rules: the providers that are known, and the settings that a device's sessions get. See device_rules.h. */
#include "ort/device_rules.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* Others are taken as they come, with fixed shapes. */
static const struct aki__device_rule rules[] = {
    { "portable", NULL, NULL, "the graph that devices get, on this machine's processors: for comparing", false, false, ORT_ENABLE_ALL, { { 0 } }, { { 0 } }, false, 0 },
    /* Not even BASIC: it makes Gemm of a product and its bias, whose weights CoreML's provider writes into the program's text instead of beside it:
     * 27 MiB for all-MiniLM-L6-v2, 768 for a large encoder, where 2 GiB is the end. */
    { "coreml", "CoreMLExecutionProvider", "CoreML", "GPU and Neural Engine of Apple, through CoreML", true, false, ORT_DISABLE_ALL,
      { { "ModelFormat", "MLProgram" }, { "RequireStaticInputShapes", "0" }, { "EnableOnSubgraphs", "0" } },
      /* Not CPUOnly: whoever asks for CoreML does not mean the processors, which "cpu" uses better. */
      { { "MLComputeUnits=ALL" }, { "MLComputeUnits=CPUAndGPU" }, { "MLComputeUnits=CPUAndNeuralEngine" } }, true, 24 },
    { "cuda", "CUDAExecutionProvider", NULL, "GPUs of NVIDIA, through CUDA", false, false, ORT_ENABLE_ALL, { { "arena_extend_strategy", "kSameAsRequested" } }, { { 0 } }, false, 0 },
    { "dml", "DmlExecutionProvider", "DML", "GPUs of Windows, through DirectML", true, true, ORT_ENABLE_BASIC, { { 0 } }, { { 0 } }, false, 0 },
    { "webgpu", "WebGpuExecutionProvider", "WebGPU", "GPUs, through WebGPU", true, false, ORT_ENABLE_BASIC, { { 0 } }, { { 0 } }, false, 0 },
    /* Left to itself it computes in bf16 where the processor has it. */
    { "openvino", "OpenVINOExecutionProvider", "OpenVINO", "processors and GPUs of Intel, through OpenVINO", false, false, ORT_ENABLE_BASIC,
      { { "device_type", "CPU" }, { "precision", "ACCURACY" } }, { { 0 } }, false, 0 },
};
enum { RULES = sizeof rules / sizeof *rules, MOST_SETS = sizeof rules->sets / sizeof *rules->sets };
static const struct aki__device_rule stranger = { .fixed = true, .level = ORT_ENABLE_BASIC };

bool aki__device_same(const char *a, const char *b)
{
    while (*a && tolower((unsigned char)*a) == tolower((unsigned char)*b))
        a++, b++;
    return tolower((unsigned char)*a) == tolower((unsigned char)*b);
}

const struct aki__device_rule *aki__device_rule_of(const char *name)
{
    for (size_t i = 0; i < RULES; i++)
        if (aki__device_same(rules[i].name, name))
            return &rules[i];
    return &stranger;
}

const struct aki__device_rule *aki__device_rule_at(size_t i) { return i < RULES ? &rules[i] : NULL; }

bool aki__device_is_called(const char *provider, const char *name)
{
    size_t size = strlen(name);

    if (aki__device_same(provider, name))
        return true;
    if (strlen(provider) != size + strlen("ExecutionProvider") || !aki__device_same(provider + size, "ExecutionProvider"))
        return false;
    for (size_t i = 0; i < size; i++)
        if (tolower((unsigned char)provider[i]) != tolower((unsigned char)name[i]))
            return false;
    return true;
}

bool aki__device_takes_f16(const struct aki__device_rule *rule, const char *version)
{
    return strncmp(version, "1.", 2) != 0 || strtol(version + 2, NULL, 10) >= rule->f16_since;
}

const char *aki__device_option(const struct aki__device *d, const char *key)
{
    size_t size = strlen(key);

    for (int i = 0; i < d->option_count; i++)
        if (strncmp(d->options[i], key, size) == 0 && d->options[i][size] == '=')
            return d->options[i] + size + 1;
    return NULL;
}

bool aki__device_is_fixed(const struct aki__device *d)
{
    const char *shapes = aki__device_option(d, "aki.shapes");

    return shapes ? strcmp(shapes, "fixed") == 0 : aki__device_rule_of(d->name)->fixed;
}

aki_status aki__device_check_options(const struct aki__device *d, aki_error *err)
{
    const char *shapes = aki__device_option(d, "aki.shapes");

    if (d->option_count > AKI_DEVICE_SETTINGS - 8)
        return aki__fail(err, AKI_E_INVALID, "device options: %d are too many", d->option_count);
    for (int i = 0; i < d->option_count; i++) {
        const char *equals = strchr(d->options[i], '=');
        if (!equals || equals == d->options[i])
            return aki__fail(err, AKI_E_INVALID, "device option \"%.60s\" is not KEY=VALUE", d->options[i]);
        if (aki__device_same(d->name, "portable") && strncmp(d->options[i], "aki.", 4) != 0)
            return aki__fail(err, AKI_E_INVALID, "device option \"%.60s\": \"portable\" has no provider to give it to", d->options[i]);
        if (strncmp(d->options[i], "aki.", 4) == 0 && strncmp(d->options[i], "aki.shapes=", 11) != 0)
            return aki__fail(err, AKI_E_INVALID, "device option \"%.60s\" is not known; there is aki.shapes", d->options[i]);
    }
    if (shapes && strcmp(shapes, "fixed") != 0 && strcmp(shapes, "free") != 0)
        return aki__fail(err, AKI_E_INVALID, "device option aki.shapes is fixed or free, not \"%.60s\"", shapes);
    if (shapes && strcmp(shapes, "free") == 0 && aki__device_rule_of(d->name)->compiles)
        return aki__fail(err, AKI_E_INVALID, "device \"%.40s\" takes no free shapes: with aki.shapes=free it would leave each Reshape to the cpu, and compute in a part for "
                         "each piece between them", d->name);
    return AKI_OK;
}

void aki__device_set(struct aki__device_settings *s, const char *key, const char *value)
{
    size_t i = 0;

    while (i < s->count && strcmp(s->keys[i], key) != 0)
        i++;
    if (i == AKI_DEVICE_SETTINGS)
        return;
    if (i == s->count) {
        snprintf(s->own[i], AKI_DEVICE_NAME, "%.63s", key);
        s->keys[i] = s->own[i];
        s->count++;
    }
    s->values[i] = value;
}

static void set_option(struct aki__device_settings *s, const char *option)
{
    const char *equals = strchr(option, '=');
    char key[AKI_DEVICE_NAME];

    snprintf(key, sizeof key, "%.*s", (int)(equals - option < AKI_DEVICE_NAME ? equals - option : AKI_DEVICE_NAME - 1), option);
    if (strncmp(key, "aki.", 4) != 0)
        aki__device_set(s, key, equals + 1);
}

void aki__device_collect(struct aki__device_settings *s, const struct aki__device *d)
{
    const struct aki__device_rule *rule = aki__device_rule_of(d->name);

    s->count = 0;
    for (size_t i = 0; i < sizeof rule->settings / sizeof *rule->settings && rule->settings[i][0]; i++)
        aki__device_set(s, rule->settings[i][0], rule->settings[i][1]);
    for (const char *const *option = rule->sets[d->set]; *option; option++)
        set_option(s, *option);
    for (int i = 0; i < d->option_count; i++)
        set_option(s, d->options[i]);
}

int aki__device_sets(const struct aki__device *d)
{
    const struct aki__device_rule *rule = aki__device_rule_of(d->name);
    int count = 0;

    for (; count < MOST_SETS && rule->sets[count][0]; count++)
        for (const char *const *option = rule->sets[count]; *option; option++)
            for (int i = 0; i < d->option_count; i++)
                if (strncmp(d->options[i], *option, strcspn(*option, "=") + 1) == 0)
                    return 1;               /* who chooses it himself gets what he chose */
    return count ? count : 1;
}

void aki__device_set_name(const struct aki__device *d, char *out, size_t size)
{
    size_t at = 0;

    out[0] = '\0';
    for (const char *const *option = aki__device_rule_of(d->name)->sets[d->set]; *option && at < size; option++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", at ? " " : "", *option);
}
