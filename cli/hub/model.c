/* Unit model: finds the model that -m names, opens it, and turns the library's errors into exit codes. See model.h. */
#include "model.h"

#include "cache.h"
#include "sums.h"
#include "cli/shell/system.h"
#include "util/names.h"

#include "util/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool exists(const char *path)
{
    struct stat st;

    return system_stat(path, &st) == 0;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return system_stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The cache has the model, but not what was asked for of it: a folder that was filled by commit has no branches. */
static int name_another(const char *name)
{
    char commit[CACHE_NAME];
    struct cache_name parts;
    size_t count = cache_name_read(&parts, name) ? cache_commits(&parts, commit) : 0;

    if (!count)
        return cli_fail(CLI_NO_MODEL, "no model '%s', neither as a folder nor in the cache; fetch it with: " CACHE_PULL " %s", name, name);
    if (count == 1)
        return cli_fail(CLI_NO_MODEL, "no model '%s': the cache has no '%s' of it, but its commit %s: write %s@%s, or fetch with: " CACHE_PULL " %s",
                        name, parts.revision, commit, parts.model, commit, name);
    return cli_fail(CLI_NO_MODEL, "no model '%s': the cache has no '%s' of it, but %zu commits, one of them %s@%s; or fetch with: " CACHE_PULL " %s", name,
                    parts.revision, count, parts.model, commit, name);
}

int model_find(const char *name, char **path)
{
    char found[CACHE_PATH];
    struct cache_name parts;

    *path = NULL;
    int rc = exists(name) ? CLI_OK : cache_find(name, found);
    if (rc == CLI_NO_MODEL && cache_name_read(&parts, name))
        return name_another(name);
    if (rc == CLI_NO_MODEL)
        return cli_fail(rc, "no model '%s': there is no such folder; models with a name are fetched with: " CACHE_PULL " NAME", name);
    if (rc)
        return rc;
    *path = strdup(exists(name) ? name : found);
    return *path ? CLI_OK : cli_no_memory();
}

int model_find_folder(const struct options *o, const char *name, char **folder)
{
    int rc = model_find(name, folder);

    if (!rc && !is_folder(*folder))
        rc = cli_fail(CLI_INPUT, "%s: a file, not a model's folder", *folder);
    return rc || !o->check_files ? rc : sums_check(*folder);
}

/* ---------------------------------------------------------------- opening --------------------------------------- */

/* The message without the text's number, which the library counts from 0 in its call: where says it better. */
static const char *unnumbered(const aki_error *error)
{
    static const char *const words[] = { "text", "row" };
    char number[32];

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        int size = snprintf(number, sizeof number, "%s %d: ", words[i], (int)error->item);
        if (error->item >= 0 && !strncmp(error->message, number, (size_t)size))
            return error->message + size;
    }
    return error->message;
}

int model_failed(const aki_error *error, const char *where)
{
    static const struct { int status, code; } codes[] = {
        { AKI_E_INVALID, CLI_INPUT }, { AKI_E_NOT_FOUND, CLI_NO_MODEL }, { AKI_E_UNAVAILABLE, CLI_DEVICE }, { AKI_E_IO, CLI_IO },
        { AKI_E_UNSUPPORTED, CLI_INPUT },
    };
    int code = CLI_INTERNAL;

    if (error->status == AKI_E_CANCELLED)
        return CLI_STOPPED + (cli_signal ? cli_signal : SIGINT);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == error->status)
            code = codes[i].code;
    return where ? cli_fail(code, "%s: %s", where, unnumbered(error)) : cli_fail(code, "%s", error->message);
}

static int open_on(struct model *m, const struct options *o)
{
    aki_model_options options;
    aki_error error;

    aki_model_options_init(&options, sizeof options);
    options.precision = o->precision;
    options.device = o->device;
    options.threads = o->threads;
    options.max_batch_tokens = o->max_batch_tokens;
    options.prefix_cache_mb = o->prefix_cache ? o->prefix_cache : -1;       /* the option's 0 is none, the library's is its default */
    options.device_fallback = o->device_fallback;
    options.device_options = o->device_options;
    options.device_option_count = o->device_option_count;
    options.device_plugin = o->device_plugin;
    options.max_buckets = o->max_buckets;
    options.test_cache = o->test_cache ? o->test_cache - 1 : AKI_TEST_CACHE_DEFAULT;
    options.file = o->weights;
    if (aki_model_open(m->path, &options, &m->handle, &error) == AKI_OK)
        return CLI_OK;
    /* Well-formed each, but not together: f16 on the cpu is a wrong use, int8 on a device is what the device cannot do. */
    if (error.status == AKI_E_UNSUPPORTED && !strncmp(error.message, "precision", 9))
        return cli_fail(CLI_USAGE, "%s", error.message);
    if (error.status == AKI_E_UNSUPPORTED && o->device && strcmp(o->device, "cpu") && !strncmp(error.message, "device", 6))
        return cli_fail(CLI_DEVICE, "%s", error.message);
    return model_failed(&error, NULL);
}

/* A file is none of the folders that have a SHA256SUMS. */
static int check_files(const struct model *m, const struct options *o)
{
    if (o->check_files && !is_folder(m->path))
        return cli_fail(CLI_INPUT, "%s: a file; --check-files needs the folder of a model", m->path);
    return o->check_files ? sums_check(m->path) : CLI_OK;
}

static int read_info(struct model *m, const struct options *o)
{
    aki_error error;

    if (aki_model_get_info(m->handle, &m->info, &error))
        return model_failed(&error, NULL);
    if (m->info.fell_back)
        cli_warn("%s; computing on the cpu instead (--device-fallback)", m->info.device_note);
    else if (m->info.device_note)
        cli_note("%s", m->info.device_note);
    if (m->info.end_appended)
        cli_warn("%s: tokenizer.json does not end texts with <|endoftext|>, which the model is pooled at: it is added to each", m->path);
    if (m->info.pooling_assumed && !o->pooling)
        cli_warn("%s: no file says how to pool (there is no modules.json): the %s, as sentence-transformers would", m->path,
                 m->info.pooling == AKI_POOLING_LAST ? "last token" : "mean");
    if (m->info.precision_advice)
        cli_warn("%s: %s: %s", m->path, m->info.precision_note, m->info.precision_advice);
    cli_note("model %s (%s), %s%s%s on %s (%s), %d threads, %s", m->path, m->info.architecture, aki__precision_name(m->info.precision),
             m->info.precision_note ? ", but " : "", m->info.precision_note ? m->info.precision_note : "", m->info.device, m->info.instructions,
             m->info.threads, m->info.runtime);
    return CLI_OK;
}

int model_open_reference(struct model *m, const struct options *o, const char *name)
{
    aki_model_options options;
    aki_error error;

    m->name = name;
    aki_model_info_init(&m->info, sizeof m->info);
    aki_model_options_init(&options, sizeof options);
    options.precision = AKI_PRECISION_F32;
    options.threads = o->threads;
    options.max_batch_tokens = o->max_batch_tokens;
    options.file = o->verify.against ? NULL : o->weights;
    int rc = model_find(name, &m->path);
    if (!rc)
        rc = check_files(m, o);
    if (rc)
        return rc;
    aki_status status = aki_model_open(m->path, &options, &m->handle, &error);
    /* A folder that opened already but not in f32 is a quantised one. */
    if (status == AKI_E_UNSUPPORTED && strstr(error.message, "quantised"))
        return CLI_CHECK;
    return status ? model_failed(&error, NULL) : read_info(m, o);
}

int model_open(struct model *m, const struct options *o, bool tokenizer_only)
{
    aki_error error;
    char config[CACHE_PATH + 16];
    int rc = CLI_OK;

    m->name = o->model;
    aki_model_info_init(&m->info, sizeof m->info);
    rc = model_find(m->name, &m->path);
    if (!rc)
        rc = check_files(m, o);
    if (rc)
        return rc;
    /* A tokenizer knows no prompts: those of a folder need its model. */
    snprintf(config, sizeof config, "%s/config.json", m->path);
    if (tokenizer_only && !((o->kind || o->prompt_name || o->instruction) && exists(config)))
        return aki_tokenizer_open(m->path, &m->handle, &error) ? model_failed(&error, NULL) : CLI_OK;
    rc = open_on(m, o);
    return rc ? rc : read_info(m, o);
}

const char *model_int8_cost(const aki_model_info *info, char *out, size_t size)
{
    if (info->precision != AKI_PRECISION_INT8)
        return NULL;
    snprintf(out, size, "8-bit products on %s; of the 10 texts nearest to a text by f32 it finds 97 to 99 %% with all-MiniLM-L6-v2: 'akiembed verify "
             "--precision int8' measures a model", info->instructions);
    return out;
}

int model_hash(const struct model *m, uint64_t *hash)
{
    enum { END = 1 << 16 };
    char *part = malloc(2 * END);
    int rc = part ? CLI_OK : cli_no_memory();

    *hash = 0;
    for (int i = 0; i < m->info.file_count && !rc; i++) {
        const aki_file *file = &m->info.files[i];
        FILE *f = system_fopen(file->path, "rb");
        size_t size = f ? fread(part, 1, END, f) : 0;
        if (f && file->size > END && !fseek(f, -(long)(file->size - END < END ? file->size - END : END), SEEK_END))
            size += fread(part + size, 1, END, f);
        if (!f || ferror(f))
            rc = cli_fail(CLI_IO, "cannot read %s: %s", file->path, strerror(errno));
        if (f)
            fclose(f);
        *hash = aki__hash(part, size, aki__hash(&file->size, sizeof file->size, *hash));
    }
    free(part);
    return rc;
}

int model_gives(const struct model *m, bool scores)
{
    if (scores == (m->info.label_count > 0))
        return CLI_OK;
    if (scores)
        return cli_fail(CLI_INPUT, "%s gives vectors, no scores: akiembed similarity QUERY TEXT..., or -m a cross-encoder or classifier", m->name);
    return cli_fail(CLI_INPUT, "%s is a %s: it gives scores, no vectors: akiembed %s, or -m an embedding model", m->name,
                    m->info.label_count == 1 ? "cross-encoder" : "classifier", m->info.label_count == 1 ? "rerank QUERY TEXT..." : "classify TEXT...");
}

void model_close(struct model *m)
{
    aki_model_info now;

    aki_model_info_init(&now, sizeof now);
    if (m->handle && !aki_model_get_info(m->handle, &now, NULL) && now.device_refused)
        cli_warn("a program of the device was refused: %s", now.device_refused);
    aki_model_close(m->handle);
    free(m->path);
    memset(m, 0, sizeof *m);
}

/* ---------------------------------------------------------------- options --------------------------------------- */

int64_t model_setting(const struct model *m, const char *option, int64_t value)
{
    int64_t preset = 0;

    if (!value)
        aki_option_bounds(m->handle, option, NULL, NULL, &preset, NULL);
    return value ? value : preset;
}

aki_status model_prompt_size(const struct model *m, const aki_embed_options *e, size_t *size, aki_error *error)
{
    aki_encoded encoded;

    aki_encoded_init(&encoded, sizeof encoded);
    encoded.whole = 1;
    aki_status status = aki_encode(m->handle, "", 0, m->info.pairs_only ? "" : NULL, 0, e, &encoded, error);
    *size = encoded.prompt_size;
    return status;
}

static int fail_no_such_prompt(const struct model *m, const char *name)
{
    char names[512] = "";
    size_t at = 0;

    for (int i = 0; i < m->info.prompt_count && at < sizeof names; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", m->info.prompts[i].name);
    return cli_fail(CLI_INPUT, "the model has no prompt '%s'; it has %s", name, at ? names : "none");
}

/* The library resolves the prompt, once and before any text, so that a mistake is not said of the first text. */
static int check_prompt(const struct model *m, const struct options *o, const aki_embed_options *e)
{
    aki_error error;
    size_t size = 0;
    aki_status status = model_prompt_size(m, e, &size, &error);

    if (status == AKI_E_NOT_FOUND)
        return fail_no_such_prompt(m, o->prompt_name);
    if (status)
        return model_failed(&error, NULL);
    if (o->kind && !size && !o->prompt && !o->prompt_name)
        cli_note("the model has no prompt for a %s: none is added", o->kind == AKI_KIND_QUERY ? "query" : "document");
    return CLI_OK;
}

/* What the library itself finds out of range is a mistake in the command line: no text is at fault yet. */
static int check_numbers(const struct model *m, const aki_embed_options *e)
{
    aki_embed_options plain = *e;
    aki_error error;
    size_t count = 0;
    aki_status status;

    plain.kind = AKI_KIND_NONE;                               /* the prompt is check_prompt's */
    plain.prompt = "";
    plain.instruction = plain.prompt_name = NULL;
    if (m->info.label_count)
        status = aki_score(m->handle, NULL, NULL, NULL, NULL, 0, &plain, NULL, 0, NULL, NULL, &error);
    else if (m->info.dim)
        status = aki_embed(m->handle, NULL, NULL, 0, &plain, NULL, 0, NULL, NULL, &error);
    else
        status = aki_tokenize(m->handle, "", 0, &plain, NULL, NULL, 0, &count, &error);
    if (status == AKI_E_INVALID)
        return cli_fail(CLI_USAGE, "%s%s", m->info.dim ? "" : "--max-tokens: ", error.message);
    return status && status != AKI_E_TOO_SMALL ? model_failed(&error, NULL) : CLI_OK;
}

int model_embed_options(const struct model *m, const struct options *o, aki_embed_options *e)
{
    static const int truncate[] = { AKI_TRUNCATE_DEFAULT, AKI_TRUNCATE_RIGHT, AKI_TRUNCATE_LEFT, AKI_TRUNCATE_ERROR };     /* as the option's list */
    aki_embed_options plain;
    int rc = options_check_model(o, m->handle);

    if (rc)
        return rc;
    if (o->dim && o->dim < model_setting(m, "dim", 0) && !m->info.mrl)
        cli_warn("this model is not known to allow shorter vectors (MRL): --dim %d may cost quality", o->dim);
    aki_embed_options_init(e, sizeof *e);
    e->no_parse_special = o->no_parse_special;
    e->no_special = o->tokenize.no_special;
    e->kind = o->kind;
    e->prompt = o->prompt;
    e->prompt_name = o->prompt_name;
    e->instruction = o->instruction;
    e->pooling = o->pooling;
    e->normalize = o->embed.no_normalize ? AKI_NORMALIZE_OFF : AKI_NORMALIZE_DEFAULT;
    e->dim = o->dim;
    e->truncate = truncate[o->truncate];
    e->max_tokens = o->max_tokens;
    plain = *e;                                               /* without a dtype: its ranges come later */
    e->dtype = o->embed.dtype ? o->embed.dtype - 1 : AKI_DTYPE_F32;
    rc = check_numbers(m, &plain);
    return rc ? rc : check_prompt(m, o, &plain);
}
