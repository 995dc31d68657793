/* Unit answer: what the routes answer. See answer.h. */
#include "answer.h"

#include "metrics.h"

#include "util/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---------------------------------------------------------------- vectors --------------------------------------- */

static const float *row_of(const struct batch_job *j, size_t i)
{
    return j->out + i * j->width;
}

/* "[[…],[…]]" */
static void rows(struct exchange *x, struct aki__buf *out, size_t first, size_t count)
{
    buf_text(out, "[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_text(out, ",");
        json_floats(out, row_of(&x->job, first + i), x->job.width, x->server->o->write_f32);
    }
    buf_text(out, "]");
}

static void openai(struct exchange *x, struct aki__buf *out)
{
    const struct batch_job *j = &x->job;

    buf_text(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < j->count; i++) {
        buf_format(out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i ? "," : "", i);
        if (x->base64)
            json_base64(out, row_of(j, i), j->width);
        else
            json_floats(out, row_of(j, i), j->width, x->server->o->write_f32);
        buf_text(out, "}");
    }
    buf_text(out, "],\"model\":");
    json_text(out, x->served->name);
    buf_format(out, ",\"usage\":{\"prompt_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64 "}}", j->starts[j->count], j->starts[j->count]);
}

static void akidb(struct exchange *x, struct aki__buf *out)
{
    const struct batch_job *j = &x->job;

    buf_text(out, "{\"embeddings\":");
    rows(x, out, 0, j->count);
    buf_text(out, ",\"model\":");
    json_text(out, x->served->name);
    buf_format(out, ",\"dimension\":%zu,\"usage\":{\"total_tokens\":%" PRId64 ",\"duration_ms\":%.0f}}", j->width, j->starts[j->count],
                 (seconds_now() - x->start) * 1e3);
}

static void ollama(struct exchange *x, struct aki__buf *out)
{
    const struct batch_job *j = &x->job;

    if (x->route->body == BODY_OLLAMA_OLD) {
        buf_text(out, "{\"embedding\":");
        if (j->count)
            json_floats(out, row_of(j, 0), j->width, x->server->o->write_f32);
        else
            buf_text(out, "[]");
        buf_text(out, "}");
        return;
    }
    buf_text(out, "{\"model\":");
    json_text(out, x->asked ? x->asked : x->served->name);
    buf_text(out, ",\"embeddings\":");
    rows(x, out, 0, j->count);
    buf_format(out, ",\"total_duration\":%.0f,\"load_duration\":0,\"prompt_eval_count\":%" PRId64 "}", (seconds_now() - x->start) * 1e9,
                 j->count ? j->starts[j->count] : 0);
}

/* A list of rows for each text. */
static void token_rows(struct exchange *x, struct aki__buf *out)
{
    const struct batch_job *j = &x->job;

    buf_text(out, "[");
    for (size_t i = 0; i < j->count; i++) {
        if (i)
            buf_text(out, ",");
        rows(x, out, (size_t)j->starts[i], (size_t)(j->starts[i + 1] - j->starts[i]));
    }
    buf_text(out, "]");
}

static void similarity(struct exchange *x, struct aki__buf *out)
{
    const struct batch_job *j = &x->job;
    float *scores = calloc(j->count, sizeof *scores);

    if (scores) {
        aki_similarity(j->out, 1, row_of(j, 1), j->count - 1, j->width, scores);
        json_floats(out, scores, j->count - 1, x->server->o->write_f32);
    }
    out->failed |= !scores;
    free(scores);
}

void answer_vectors(struct exchange *x, struct aki__buf *out)
{
    if (x->route->body == BODY_ALL)
        token_rows(x, out);
    else if (x->route->body == BODY_SIMILARITY)
        similarity(x, out);
    else if (x->family == FAMILY_OPENAI)
        openai(x, out);
    else if (x->family == FAMILY_AKIDB)
        akidb(x, out);
    else if (x->family == FAMILY_OLLAMA)
        ollama(x, out);
    else
        rows(x, out, 0, x->job.count);
}

/* ---------------------------------------------------------------- models ---------------------------------------- */

static const char *precision_name(int precision)
{
    return precision == AKI_PRECISION_INT8 ? "int8" : precision == AKI_PRECISION_F16 ? "float16" : precision == AKI_PRECISION_BF16 ? "bfloat16" : "float32";
}

/* TEI's: what kind of model it is, with the pooling of one that gives vectors, else with the labels both ways. */
static void model_type(const struct exchange *x, struct aki__buf *out)
{
    char own[LABEL_SIZE];

    buf_format(out, ",\"model_type\":{\"%s\":{", served_kind(x->served));
    if (!x->info.label_count)
        buf_format(out, "\"pooling\":\"%s\"", aki__pooling_name(x->info.pooling));
    for (int turned = 0; turned < 2 && x->info.label_count; turned++) {
        buf_text(out, turned ? "},\"label2id\":{" : "\"id2label\":{");
        for (int i = 0; i < x->info.label_count; i++) {
            const char *label = answer_label(x, (size_t)i, own);
            buf_format(out, turned ? "%s" : "%s\"%d\":", i ? "," : "", i);
            json_text(out, label);
            if (turned)
                buf_format(out, ":%d", i);
        }
    }
    buf_text(out, x->info.label_count ? "}}}" : "}}");
}

void answer_info(struct exchange *x, struct aki__buf *out)
{
    const struct server_options *o = x->server->o;
    const aki_model_info *info = &x->info;

    buf_text(out, "{\"model_id\":");
    json_text(out, x->served->name);
    buf_format(out, ",\"model_sha\":null,\"model_dtype\":\"%s\",\"served_model_name\":", precision_name(info->precision));
    json_text(out, x->served->name);
    model_type(x, out);
    buf_format(out, ",\"max_concurrent_requests\":%d,\"max_input_length\":%d,\"max_batch_tokens\":%d,\"max_batch_requests\":null"
                      ",\"max_client_batch_size\":%zu,\"auto_truncate\":true,\"tokenization_workers\":%d,\"version\":\"%s\",\"sha\":null"
                      ",\"docker_label\":null",
                 o->max_connections, info->max_tokens, info->max_batch_tokens, o->max_inputs, o->http_threads, aki_version());
    buf_format(out, ",\"dimension\":%d,\"architecture\":", info->dim);
    json_text(out, info->architecture);
    buf_text(out, ",\"device\":");
    json_text(out, info->device);
    buf_format(out, ",\"threads\":%d,\"runtime\":", info->threads);
    json_text(out, info->runtime);
    buf_format(out, ",\"device_fell_back\":%s,\"device_note\":", info->fell_back ? "true" : "false");
    if (info->device_note)
        json_text(out, info->device_note);
    else
        buf_text(out, "null");
    buf_format(out, ",\"f32_share\":%.4f,\"precision_note\":", info->f32_share);
    if (info->precision_note)
        json_text(out, info->precision_note);
    else
        buf_text(out, "null");
    buf_format(out, ",\"weights_bytes\":%" PRIu64 ",\"resident_bytes\":%" PRIu64 ",\"prompts\":[", info->weights_size, o->resident());
    for (int i = 0; i < info->prompt_count; i++) {
        if (i)
            buf_text(out, ",");
        json_text(out, info->prompts[i].name);
    }
    buf_text(out, "],\"default_prompt_name\":");
    if (info->default_prompt_name)
        json_text(out, info->default_prompt_name);
    else
        buf_text(out, "null");
    buf_text(out, "}");
}

/* OpenAI's members, and two of ours. */
static void model_openai(const struct server *s, struct served *m, struct aki__buf *out)
{
    static const char *const states[] = { [SERVED_CLOSED] = "closed", [SERVED_OPENING] = "opening", [SERVED_OPEN] = "open", [SERVED_FAILED] = "failed" };

    pthread_mutex_lock(&m->lock);
    const char *kind = served_kind(m), *state = states[m->state];
    pthread_mutex_unlock(&m->lock);
    buf_text(out, "{\"id\":");
    json_text(out, m->name);
    buf_format(out, ",\"object\":\"model\",\"created\":%" PRIu64 ",\"owned_by\":\"akiembed\",\"state\":\"%s\",\"kind\":", s->start_time, state);
    if (kind)
        json_text(out, kind);
    else
        buf_text(out, "null");
    buf_text(out, "}");
}

void answer_models_openai(const struct server *s, struct served *only, struct aki__buf *out)
{
    if (only) {
        model_openai(s, only, out);
        return;
    }
    buf_text(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < s->o->model_count; i++) {
        if (i)
            buf_text(out, ",");
        model_openai(s, &s->models[i], out);
    }
    buf_text(out, "]}");
}

/* What the weights lie in. */
static const char *format_of(const aki_model_info *info)
{
    for (int i = 0; i < info->file_count; i++) {
        const char *dot = strrchr(info->files[i].path, '.');
        if (dot && !strcmp(dot, ".onnx"))
            return "onnx";
    }
    return "safetensors";
}

static void details(const aki_model_info *info, struct aki__buf *out)
{
    char size[32];

    snprintf(size, sizeof size, "%.1fM", (double)info->parameters / 1e6);
    buf_format(out, "{\"parent_model\":\"\",\"format\":\"%s\",\"family\":", format_of(info));
    json_text(out, info->architecture ? info->architecture : "unknown");
    buf_text(out, ",\"families\":[");
    json_text(out, info->architecture ? info->architecture : "unknown");
    buf_format(out, "],\"parameter_size\":\"%s\",\"quantization_level\":\"%s\"}", info->architecture ? size : "",
                 !info->architecture ? "" : info->precision == AKI_PRECISION_INT8 ? "I8" : info->precision == AKI_PRECISION_F16 ? "F16" : info->precision == AKI_PRECISION_BF16 ? "BF16" : "F32");
}

static void json_joined(struct aki__buf *out, const char *text, const char *end)
{
    struct aki__buf whole = { 0 };

    buf_text(&whole, text);
    buf_text(&whole, end);
    if (!whole.failed)
        json_string(out, whole.data, whole.size);
    out->failed |= whole.failed;
    aki__buf_free(&whole);
}

/* Ollama lists every name with its tag, and clients look for the name with it. */
static void tagged(struct aki__buf *out, const char *name)
{
    const char *last = strrchr(name, '/');

    json_joined(out, name, strchr(last ? last : name, ':') ? "" : ":latest");
}

static void member_time(struct aki__buf *out, const char *name, time_t when)
{
    char text[40];
    struct tm tm;

    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &tm));
    buf_format(out, ",\"%s\":\"%s\"", name, text);
}

/* When a model is closed if nobody uses it; one that stays, in a hundred years. */
static time_t closes_at(const struct served *m)
{
    return time(NULL) + (m->idle_close > 0 ? (time_t)(m->used + m->idle_close - seconds_now()) : (time_t)100 * 365 * 86400);
}

/* A model that is closed is listed too, with what can be said of it without opening it. A digest is not known; clients cut it to 12 digits.
 * m->lock is held. */
static void model_ollama(const struct server *s, const struct served *m, bool loaded, struct aki__buf *out)
{
    aki_model_info info = { 0 };
    uint64_t size = 0;

    if (m->state == SERVED_OPEN)
        info = m->info;
    for (int i = 0; i < info.file_count; i++)
        size += info.files[i].size;
    buf_text(out, "{\"name\":");
    tagged(out, m->name);
    buf_text(out, ",\"model\":");
    tagged(out, m->name);
    if (!loaded)
        member_time(out, "modified_at", (time_t)s->start_time);
    buf_format(out, ",\"size\":%" PRIu64 ",\"digest\":\"%064d\",\"details\":", size, 0);
    details(&info, out);
    if (loaded) {
        member_time(out, "expires_at", closes_at(m));
        buf_text(out, ",\"size_vram\":0");
    }
    buf_text(out, "}");
}

void answer_models_ollama(struct server *s, bool loaded, struct aki__buf *out)
{
    bool first = true;

    buf_text(out, "{\"models\":[");
    for (size_t i = 0; i < s->o->model_count; i++) {
        struct served *m = &s->models[i];
        /* Locked to the end, as the model, whose texts these are, may close; but no use: who lists models every second does not keep them open. */
        pthread_mutex_lock(&m->lock);
        if (!loaded || m->state == SERVED_OPEN) {
            buf_text(out, first ? "" : ",");
            model_ollama(s, m, loaded, out);
            first = false;
        }
        pthread_mutex_unlock(&m->lock);
    }
    buf_text(out, "]}");
}

void answer_show(const struct exchange *x, struct aki__buf *out)
{
    const aki_model_info *info = &x->info;
    const struct { const char *end; int value; } numbers[] = {
        { ".embedding_length", info->dim }, { ".context_length", info->max_tokens }, { ".block_count", info->layers },
    };

    buf_text(out, "{\"modelfile\":\"\",\"parameters\":\"\",\"template\":\"\",\"details\":");
    details(info, out);
    buf_text(out, ",\"model_info\":{\"general.architecture\":");
    json_text(out, info->architecture);
    buf_format(out, ",\"general.parameter_count\":%" PRId64, info->parameters);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        buf_text(out, ",");
        json_joined(out, info->architecture, numbers[i].end);
        buf_format(out, ":%d", numbers[i].value);
    }
    buf_text(out, info->label_count ? "},\"capabilities\":[]}" : "},\"capabilities\":[\"embedding\"]}");
}

/* ---------------------------------------------------------------- metrics --------------------------------------- */

void answer_metrics(struct server *s, struct aki__buf *out)
{
    struct model_gauges *models = calloc(s->o->model_count, sizeof *models);
    struct gauges g = { .requests = atomic_load(&s->in_flight), .resident = s->o->resident(), .models = models, .model_count = s->o->model_count };

    out->failed |= !models;
    for (size_t i = 0; models && i < g.model_count; i++) {
        struct served *m = &s->models[i];
        struct model_gauges *to = &models[i];
        *to = (struct model_gauges){ .counted = &m->metrics, .name = m->name };
        pthread_mutex_lock(&m->lock);
        to->queue_size = m->queue_count;
        to->queue_tokens = m->queue_tokens;
        if (m->state == SERVED_OPEN) {
            to->open = 1;
            to->kind = served_kind(m);
            to->precision = precision_name(m->info.precision);
            to->fell_back = m->info.fell_back;
            to->weights = m->info.weights_size;
            snprintf(to->device, sizeof to->device, "%s", m->info.device);     /* the model may close */
        }
        pthread_mutex_unlock(&m->lock);
    }
    pthread_mutex_lock(&s->lock);
    g.connections = s->peer_count;
    pthread_mutex_unlock(&s->lock);
    if (models)
        metrics_write(out, &g);
    free(models);
}
