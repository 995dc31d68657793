/* Unit info: the verb `info`: what a model is, its files with their sha256, and how it runs here. */
#include "cli/shell/machine.h"
#include "cli/hub/model.h"
#include "cli/shell/sink.h"
#include "cli/hub/sums.h"
#include "util/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- text ------------------------------------------ */

static void field(struct sink *out, const char *name, const char *format, ...) AKI_PRINTF(3, 4);
static void field(struct sink *out, const char *name, const char *format, ...)
{
    char value[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    sink_printf(out, "%-14s%s\n", name, value);
}

/* A file's path from the model's folder on. */
static const char *inside(const struct model *m, const char *path)
{
    size_t size = strlen(m->path);

    if (strncmp(path, m->path, size) || !path[size])
        return path;
    return path + size + strspn(path + size, "/");
}

/* Vectors; or what kind of scores, and their labels' names, of many the first. */
static void write_what(const aki_model_info *info, struct sink *out)
{
    static const char *const behind[] = { "", "logits", "sigmoid", "softmax", "probabilities" };       /* AKI_ACTIVATION_* */
    char names[512] = "";
    size_t at = 0;

    if (!info->label_count) {
        field(out, "vector", "%d elements%s%s", info->dim, info->mrl ? ", shorter ones allowed (MRL)" : "", info->normalize ? ", length 1" : "");
        return;
    }
    for (int i = 0; i < info->label_count && info->labels && at < sizeof names - 64; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%.60s", i ? ", " : ": ", info->labels[i]);
    field(out, "gives", "%s, %s", info->label_count == 1 ? "a score of a pair (rerank)" : "scores of labels (classify)", behind[info->activation]);
    field(out, "labels", "%d%s%s", info->label_count, names, at < sizeof names - 64 ? "" : ", …");
}

static int write_info(const struct model *m, struct sink *out)
{
    const aki_model_info *info = &m->info;
    char number[64], peak[64], hash[SUMS_TEXT], text[256];
    aki_device_cache cache;
    int rc = CLI_OK;

    field(out, "model", "%s", m->name);
    if (strcmp(m->name, m->path))
        field(out, "folder", "%s", m->path);
    field(out, "architecture", "%s, %d layers, hidden %d, %d heads (%d for keys), vocabulary %d", info->architecture, info->layers, info->hidden,
          info->heads, info->kv_heads, info->vocabulary);
    field(out, "parameters", "%s", machine_count_text(number, sizeof number, (double)info->parameters));
    write_what(info, out);
    field(out, "max tokens", "%d%s", info->max_tokens, info->truncates_left ? ", longer texts lose their beginning" : "");
    if (!info->label_count)
        field(out, "pooling", "%s%s", OPTION_CHOICE_NAME(pooling, info->pooling), info->pooling_assumed ? " (assumed: no file says)" : "");
    for (int i = 0; i < info->prompt_count; i++) {
        sink_printf(out, "%-14s%s%s: ", i ? "" : "prompts", info->prompts[i].name,
                    info->default_prompt_name && !strcmp(info->default_prompt_name, info->prompts[i].name) ? " (default)" : "");
        sink_json_string(out, info->prompts[i].text);
        sink_bytes(out, "\n", 1);
    }
    if (!info->prompt_count)
        field(out, "prompts", "none");
    if (info->pairs_only)
        field(out, "template", "frames a query and a document, with an instruction");
    field(out, "precision", "%s%s%s", OPTION_CHOICE_NAME(precision, info->precision), info->precision_note ? ", but " : "",
          info->precision_note ? info->precision_note : "");
    const char *cost = model_int8_cost(info, text, sizeof text);
    if (cost)
        field(out, "int8", "%s", cost);
    field(out, "instructions", "%s", info->instructions);
    field(out, "device", "%s, %d threads, %d tokens at once", info->device, info->threads,
          info->max_batch_tokens);
    field(out, "runtime", "%s", info->runtime);
    if (info->device_note)
        field(out, "note", "%s", info->device_note);
    if (info->device_refused)
        field(out, "refused", "%s", info->device_refused);
    field(out, "graph", "%d nodes on %s, %d elsewhere", info->nodes, info->device, info->nodes_elsewhere);
    if (info->sessions > 1)
        field(out, "sessions", "%d, of a shape each", info->sessions);
    aki_device_cache_init(&cache, sizeof cache);
    if (!aki_device_cache_get(&cache, NULL) && cache.programs)
        field(out, "compiled", "%d programs of devices, %s of at most %s, in %s", cache.programs, machine_size_text(number, sizeof number, cache.size),
              machine_size_text(peak, sizeof peak, cache.most_size), cache.folder);
    field(out, "weights", "%s in memory%s%s%s; embedding tables are read from the file", machine_size_text(number, sizeof number, info->weights_size),
          info->weights_16bit_size ? ", " : "", info->weights_16bit_size ? machine_size_text(peak, sizeof peak, info->weights_16bit_size) : "",
          info->weights_16bit_size ? " of it in the folder's 16 bits" : "");
    field(out, "memory", "%s (%s at its peak)", machine_size_text(number, sizeof number, machine_resident()),
          machine_size_text(peak, sizeof peak, machine_peak()));
    sink_printf(out, "files\n");
    for (int i = 0; i < info->file_count && !rc; i++) {
        rc = sums_file(info->files[i].path, hash);
        if (!rc)
            sink_printf(out, "  %s  %10s  %s\n", hash, machine_size_text(number, sizeof number, info->files[i].size), inside(m, info->files[i].path));
    }
    return rc;
}

/* ---------------------------------------------------------------- json ------------------------------------------ */

static void text_member(struct sink *out, const char *name, const char *value)
{
    sink_printf(out, ",\n  \"%s\": ", name);
    sink_json_string(out, value);
}

static void number_member(struct sink *out, const char *name, int64_t value)
{
    sink_printf(out, ",\n  \"%s\": %" PRId64, name, value);
}

static void flag_member(struct sink *out, const char *name, int value)
{
    sink_printf(out, ",\n  \"%s\": %s", name, value ? "true" : "false");
}

static void write_prompts(const aki_model_info *info, struct sink *out)
{
    sink_printf(out, ",\n  \"prompts\": {");
    for (int i = 0; i < info->prompt_count; i++) {
        sink_printf(out, "%s", i ? ", " : "");
        sink_json_string(out, info->prompts[i].name);
        sink_printf(out, ": ");
        sink_json_string(out, info->prompts[i].text);
    }
    sink_printf(out, "}");
    text_member(out, "default_prompt_name", info->default_prompt_name);
    flag_member(out, "pairs_only", info->pairs_only);
}

static int64_t compiled_size(void)
{
    aki_device_cache cache;

    aki_device_cache_init(&cache, sizeof cache);
    return aki_device_cache_get(&cache, NULL) ? 0 : (int64_t)cache.size;
}

static void write_gives(const aki_model_info *info, struct sink *out)
{
    number_member(out, "dim", info->dim);
    text_member(out, "gives", info->label_count ? "scores" : "vectors");
    sink_printf(out, ",\n  \"labels\": [");
    for (int i = 0; i < info->label_count && info->labels; i++) {
        sink_printf(out, "%s", i ? ", " : "");
        sink_json_string(out, info->labels[i]);
    }
    sink_printf(out, "]");
    number_member(out, "label_count", info->label_count);
}

static int write_info_json(const struct model *m, struct sink *out)
{
    const aki_model_info *info = &m->info;
    char hash[SUMS_TEXT];
    int rc = CLI_OK;

    sink_printf(out, "{\n  \"version\": ");
    sink_json_string(out, aki_version());
    text_member(out, "model", m->name);
    text_member(out, "folder", m->path);
    text_member(out, "name", info->name);
    text_member(out, "architecture", info->architecture);
    number_member(out, "parameters", info->parameters);
    write_gives(info, out);
    number_member(out, "hidden", info->hidden);
    number_member(out, "layers", info->layers);
    number_member(out, "heads", info->heads);
    number_member(out, "kv_heads", info->kv_heads);
    number_member(out, "vocabulary", info->vocabulary);
    number_member(out, "max_tokens", info->max_tokens);
    flag_member(out, "truncates_left", info->truncates_left);
    text_member(out, "pooling", OPTION_CHOICE_NAME(pooling, info->pooling));
    flag_member(out, "pooling_assumed", info->pooling_assumed);
    flag_member(out, "normalize", info->normalize);
    flag_member(out, "mrl", info->mrl);
    write_prompts(info, out);
    text_member(out, "precision", OPTION_CHOICE_NAME(precision, info->precision));
    text_member(out, "instructions", info->instructions);
    text_member(out, "device", info->device);
    text_member(out, "runtime", info->runtime);
    number_member(out, "threads", info->threads);
    number_member(out, "max_batch_tokens", info->max_batch_tokens);
    sink_printf(out, ",\n  \"nodes\": {");
    sink_json_string(out, info->device);
    sink_printf(out, ": %d, \"elsewhere\": %d}", info->nodes, info->nodes_elsewhere);
    number_member(out, "partitions", info->partitions);
    number_member(out, "sessions", info->sessions);
    number_member(out, "products", info->products);
    number_member(out, "products_f32", info->products_f32);
    sink_printf(out, ",\n  \"f32_share\": %.4f", info->f32_share);
    text_member(out, "precision_note", info->precision_note);
    text_member(out, "precision_advice", info->precision_advice);
    text_member(out, "device_note", info->device_note);
    text_member(out, "device_refused", info->device_refused);
    flag_member(out, "fell_back", info->fell_back);
    number_member(out, "compiled_size", compiled_size());
    number_member(out, "weights_size", (int64_t)info->weights_size);
    number_member(out, "weights_16bit_size", (int64_t)info->weights_16bit_size);
    number_member(out, "resident_size", (int64_t)machine_resident());
    number_member(out, "peak_size", (int64_t)machine_peak());
    sink_printf(out, ",\n  \"files\": [");
    for (int i = 0; i < info->file_count && !rc; i++) {
        rc = sums_file(info->files[i].path, hash);
        sink_printf(out, "%s\n    {\"path\": ", i ? "," : "");
        sink_json_string(out, info->files[i].path);
        sink_printf(out, ", \"size\": %" PRIu64 ", \"sha256\": \"%s\"}", info->files[i].size, rc ? "" : hash);
    }
    sink_printf(out, "\n  ]\n}\n");
    return rc;
}

int info_run(const struct options *o)
{
    struct model m = { 0 };
    struct sink out = { .fd = -1 };
    int rc = CLI_OK;

    if (o->word_count)
        return cli_fail(CLI_USAGE, "info takes no texts ('%s'); the model is named with -m", o->words[0]);
    rc = model_open(&m, o, false);
    if (!rc)
        rc = sink_open_stdout(&out);
    if (!rc)
        rc = o->json ? write_info_json(&m, &out) : write_info(&m, &out);
    rc = sink_close(&out, rc);
    model_close(&m);
    return rc;
}
