/* Unit check: aki_check: all that is wrong with a model folder. It opens what can be opened and goes on behind every fault. */
#include "engine/engine.h"

#include "arch/arch.h"
#include "base/json.h"
#include "base/os.h"
#include "model/parts.h"
#include "graph/cpu.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BLOCK = 1 << 20,                    /* elements between two looks at the caller */
    MOST_OF_A_FILE = 20                 /* problems that are told one by one */
};

struct of_file { char *path; size_t problems; };

struct check {
    const char *folder;
    const struct aki__model *model;     /* while its network is recorded */
    int       (*tell)(void *user, const aki_check_event *event);
    void       *user;
    aki_error  *err;
    aki_status  rc;                     /* NOMEM, CANCELLED: ends the check */
    size_t      problems;
    uint64_t   *met;                    /* [met_size], a power of 2: hash table of the hashes of all problems; 0: free. A fault met twice is told once */
    size_t      met_size;
    struct of_file *files;              /* [file_count] with problems */
    size_t      file_count, file_capacity;
    uint64_t    done, total;            /* bytes of weights */
    const struct aki__tensor **used;    /* [used_count], sorted: what the network reads */
    size_t      used_count, used_capacity;
};

/* ---------------------------------------------------------------- telling --------------------------------------- */

/* Of the file's problems, or of those of none in particular (path ""); NULL: no memory. */
static struct of_file *file_of(struct check *c, const char *path)
{
    for (size_t i = 0; i < c->file_count; i++)
        if (strcmp(c->files[i].path, path) == 0)
            return &c->files[i];
    char *copy = aki__copy_string(path, strlen(path));
    if (!copy || !aki__grow((void **)&c->files, &c->file_capacity, c->file_count + 1, sizeof *c->files)) {
        aki__free(copy);
        return NULL;
    }
    c->files[c->file_count] = (struct of_file){ .path = copy };
    return &c->files[c->file_count++];
}

/* false: it was met before, or there is no memory to know (c->rc). */
static bool is_new(struct check *c, uint64_t hash)
{
    if (2 * c->problems >= c->met_size) {       /* never more than half full */
        size_t size = c->met_size ? 2 * c->met_size : 64;
        uint64_t *met = aki__zalloc(size, sizeof *met), *old = c->met;
        if (!met) {
            c->rc = aki__fail(c->err, AKI_E_NOMEM, "the list of faults");
            return false;
        }
        for (size_t i = 0, at; i < c->met_size; i++) {
            for (at = old[i] & (size - 1); old[i] && met[at]; at = (at + 1) & (size - 1))
                ;
            if (old[i])
                met[at] = old[i];
        }
        aki__free(old);
        c->met = met;
        c->met_size = size;
    }
    hash += !hash;
    size_t at = hash & (c->met_size - 1);
    while (c->met[at] && c->met[at] != hash)
        at = (at + 1) & (c->met_size - 1);
    bool found = c->met[at] != 0;
    c->met[at] = hash;
    return !found;
}

static void tell(struct check *c, int kind, const char *path, const char *message, uint64_t size, uint64_t total)
{
    const aki_check_event event = { .struct_size = sizeof event, .kind = kind, .path = path, .message = message, .size = size, .total = total };

    if (c->rc)
        return;
    if (kind == AKI_CHECK_PROBLEM) {
        uint64_t hash = aki__hash(message, strlen(message), aki__hash(path, strlen(path), 0));
        if (!is_new(c, hash))
            return;
        struct of_file *file = file_of(c, path);
        if (!file) {
            c->rc = aki__fail(c->err, AKI_E_NOMEM, "the list of faults");
            return;
        }
        if (c->problems == 0)
            aki__fail(c->err, AKI_E_INVALID, "%s%s%s", path, *path ? ": " : "", message);
        c->problems++;
        if (++file->problems > MOST_OF_A_FILE)
            return;
    }
    if (c->tell(c->user, &event))
        c->rc = aki__fail(c->err, AKI_E_CANCELLED, "%s: the check was ended by its caller", c->folder);
}

/* Of files with too many: how many more. */
static void tell_rest(struct check *c)
{
    for (size_t i = 0; i < c->file_count && !c->rc; i++) {
        char message[60];
        const aki_check_event event = { .struct_size = sizeof event, .kind = AKI_CHECK_PROBLEM, .path = c->files[i].path, .message = message };
        if (c->files[i].problems <= MOST_OF_A_FILE)
            continue;
        snprintf(message, sizeof message, "and %zu more problems", c->files[i].problems - MOST_OF_A_FILE);
        if (c->tell(c->user, &event))
            c->rc = aki__fail(c->err, AKI_E_CANCELLED, "%s: the check was ended by its caller", c->folder);
    }
}

static void say(struct check *c, int kind, const char *path, const char *format, ...) AKI_PRINTF(4, 5);
static void say(struct check *c, int kind, const char *path, const char *format, ...)
{
    char message[400];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    tell(c, kind, path, message, 0, 0);
}

/* A fault of another unit. Its message begins with the file's name, as far as the folder knows it: "config.json: …". */
static void on_fault(void *user, const aki_error *why)
{
    struct check *c = user;
    const char *message = why->message, *colon;
    size_t size = strlen(c->folder);
    char path[240];

    if (why->status == AKI_E_NOMEM) {
        c->rc = aki__fail(c->err, AKI_E_NOMEM, "%s", why->message);
        return;
    }
    if (strncmp(message, c->folder, size) == 0 && (message[size] == '/' || message[size] == ':'))
        message += size + (message[size] == '/' ? 1 : 2);
    colon = strstr(message, ": ");
    if (!colon || memchr(message, ' ', (size_t)(colon - message)) || !memchr(message, '.', (size_t)(colon - message))) {
        tell(c, AKI_CHECK_PROBLEM, "", message, 0, 0);
        return;
    }
    snprintf(path, sizeof path, "%.*s", (int)(colon - message), message);
    tell(c, AKI_CHECK_PROBLEM, path, colon + 2, 0, 0);
}

/* ---------------------------------------------------------------- files ----------------------------------------- */

/* Files that opening a model does not read to their end, or not at all: all JSON is. */
static void check_json(struct check *c, const char *name)
{
    struct aki__map map;
    struct aki__json_doc doc = { 0 };
    aki_error why;
    char *path = aki__join(c->folder, name);

    if (!path) {
        c->rc = aki__fail(c->err, AKI_E_NOMEM, "%s", name);
        return;
    }
    aki_status rc = aki__map_open(&map, path, &why);
    if (rc && rc != AKI_E_NOT_FOUND) {
        on_fault(c, &why);
    } else if (!rc) {
        rc = aki__json_parse(&doc, map.data, map.size, name, &why);
        if (!rc)
            tell(c, AKI_CHECK_READ, name, "JSON", map.size, 0);
        else
            on_fault(c, &why);
        aki__json_free(&doc);
        aki__map_close(&map);
    }
    aki__free(path);
}

/* ---------------------------------------------------------------- tensors --------------------------------------- */

static bool use(struct check *c, const struct aki__tensor *t)
{
    if (!t)
        return true;
    if (!aki__grow((void **)&c->used, &c->used_capacity, c->used_count + 1, sizeof *c->used))
        return false;
    c->used[c->used_count++] = t;
    return true;
}

static int compare_pointers(const void *a, const void *b)
{
    const struct aki__tensor *x = *(const struct aki__tensor *const *)a, *y = *(const struct aki__tensor *const *)b;

    return x < y ? -1 : x > y;
}

/* A tensor of the network that is missing, or there but wrong: then it is not left over too. */
static void on_tensor_fault(void *user, const char *name, const aki_error *why)
{
    struct check *c = user;
    char full[300];

    on_fault(c, why);
    if (snprintf(full, sizeof full, "%s%s", c->model->prefix, name) < (int)sizeof full && !use(c, aki__weights_find(c->model->weights, full)))
        c->rc = aki__fail(c->err, AKI_E_NOMEM, "the list of tensors");
}

/* Records the network with this folder's tensors: each that is missing or wrong is told. */
static void check_network(struct check *c, const struct aki__model *m)
{
    struct aki__model encoder = *m;     /* alone: tensors of Dense modules were checked when their configurations were read */
    struct aki__graph g;
    struct aki__onnx o = { 0 };
    struct aki__keep keep = { 0 };
    aki_error why;
    bool ok = true;

    encoder.dense_count = 0;
    c->model = m;
    aki__graph_init(&g, &encoder, &why);
    g.on_fault = on_tensor_fault;
    g.fault_user = c;
    if (aki__arch_build(&g, &encoder))
        on_fault(c, &why);
    for (size_t i = 0; i < g.count && ok; i++) {
        const struct aki__block *b = &g.blocks[i];
        ok = use(c, b->embed.words) && use(c, b->embed.positions) && use(c, b->embed.types) && use(c, b->weight) && use(c, b->bias) &&
             use(c, b->attention.q_norm) && use(c, b->attention.k_norm) && use(c, b->attention.bias.buckets);
    }
    if (!ok)
        c->rc = aki__fail(c->err, AKI_E_NOMEM, "the list of tensors");
    /* Products of a quantised folder are put together by the dialect, which goes on behind those that are faulty or missing. */
    if (ok && m->int8_bits && !g.rc && aki__cpu_build(&o, &keep, &g, &(struct aki__cpu_options){ .int8 = true }, &why))
        on_fault(c, &why);
    if (c->used_count)
        qsort(c->used, c->used_count, sizeof *c->used, compare_pointers);
    aki__onnx_free(&o);
    aki__keep_free(&keep);
    aki__graph_free(&g);
}

/* The number behind "layers." or "layer." in a tensor's name, or -1. */
static long layer_of(const char *name)
{
    static const char *const words[] = { "layers.", "layer." };

    for (size_t i = 0; i < 2; i++) {
        const char *s = strstr(name, words[i]);
        if (s && isdigit((unsigned char)s[strlen(words[i])]))
            return strtol(s + strlen(words[i]), NULL, 10);
    }
    return -1;
}

/* What checkpoints carry along beside the encoder: other tasks' heads, tables that are computed. */
static bool is_harmless(const char *name)
{
    static const char *const parts[] = { "pooler.", "lm_head.", "cls.", "position_ids", "token_type_ids", "rotary_emb.inv_freq", "masked_bias" };

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(name, parts[i]))
            return true;
    return false;
}

static void check_leftover(struct check *c, const struct aki__model *m, const struct aki__tensor *t)
{
    uint64_t size;
    const char *tail = strrchr(t->name, '.'), *file = aki__tensor_file(t, &size);
    long layer = layer_of(t->name);

    if (bsearch(&t, c->used, c->used_count, sizeof *c->used, compare_pointers) || (m->int8_bits && tail && strncmp(tail, ".int8", 5) == 0))
        return;
    if (layer >= m->layers)
        say(c, AKI_CHECK_PROBLEM, file, "tensor %.120s is of layer %ld, but config.json has num_hidden_layers %d", t->name, layer, m->layers);
    else if (is_harmless(t->name))
        say(c, AKI_CHECK_NOTE, file, "tensor %.120s is not read", t->name);
    else
        say(c, AKI_CHECK_PROBLEM, file, "tensor %.120s is left over: nothing in a %s model reads it", t->name, m->architecture);
}

/* ---------------------------------------------------------------- numbers --------------------------------------- */

/* Whether element i is NaN or infinite: all bits of its exponent are set. */
static bool is_bad(const struct aki__tensor *t, size_t i)
{
    uint16_t half;
    uint32_t whole;

    if (t->dtype == AKI_F32) {
        memcpy(&whole, (const char *)t->data + 4 * i, 4);
        return (whole & 0x7F800000u) == 0x7F800000u;
    }
    memcpy(&half, (const char *)t->data + 2 * i, 2);
    return t->dtype == AKI_F16 ? (half & 0x7C00u) == 0x7C00u : (half & 0x7F80u) == 0x7F80u;
}

/* Reads all of a tensor. Its pages are given back, so that a file larger than memory can be read. */
static void check_numbers(struct check *c, const struct aki__tensor *t)
{
    bool numbers = t->dtype == AKI_F32 || t->dtype == AKI_F16 || t->dtype == AKI_BF16;
    size_t element = numbers ? aki__dtype_size(t->dtype) : 1, count = t->size / element, bad = 0, first = 0;
    volatile char touched = 0;
    uint64_t size;

    for (size_t begin = 0; begin < count && !c->rc; begin += BLOCK) {
        size_t end = count - begin < BLOCK ? count : begin + BLOCK;
        for (size_t i = begin; i < end; i += numbers ? 1 : 4096) {
            if (!numbers)
                touched = ((const char *)t->data)[i];      /* integers are never wrong, but the disk may fail to give them */
            else if (is_bad(t, i) && bad++ == 0)
                first = i;
        }
        aki__map_release(t->map, (const char *)t->data + begin * element, (end - begin) * element);
        c->done += (end - begin) * element;
        tell(c, AKI_CHECK_PROGRESS, aki__tensor_file(t, &size), "", c->done, c->total);
    }
    (void)touched;
    if (bad)
        say(c, AKI_CHECK_PROBLEM, aki__tensor_file(t, &size), "tensor %.120s: %zu of %zu numbers are NaN or infinite, the first is number %zu", t->name, bad, count,
            first);
}

/* The sums that belong to a product's weights [panels, k / 4, 32, 4]; NULL: it is none, or they are none for it. */
static const struct aki__tensor *sums_of(const struct aki__weights *w, const struct aki__tensor *t)
{
    char name[512];
    int length = snprintf(name, sizeof name, "%s_sum", t->name);
    const char *tail = strrchr(t->name, '.');

    if (!tail || strcmp(tail, ".int8") != 0 || length >= (int)sizeof name || t->dtype != AKI_I8 || t->rank != 4 || t->shape[2] != 32 || t->shape[3] != 4)
        return NULL;
    const struct aki__tensor *sums = aki__weights_find(w, name);
    return sums && sums->dtype == AKI_I32 && sums->rank == 1 && (sums->shape[0] + 31) / 32 == t->shape[0] ? sums : NULL;
}

/* As check_numbers: reads all of it. Every column must add up to its stored sum, or all its outputs are shifted. */
static void check_sums(struct check *c, const struct aki__tensor *t, const struct aki__tensor *sums)
{
    const char *data = t->data;
    size_t panel_size = (size_t)t->shape[1] * 128, columns = (size_t)sums->shape[0], bad = 0, first = 0, read = 0;
    int32_t stored, first_stored = 0;
    int64_t first_sum = 0;
    uint64_t size;

    for (size_t column = 0; column < columns && !c->rc; column += 32) {
        int64_t sum[32] = { 0 };
        const signed char *panel = (const signed char *)t->data + column / 32 * panel_size;
        for (size_t i = 0; i < panel_size; i++)
            sum[i / 4 % 32] += panel[i];
        for (size_t j = 0; j < 32 && column + j < columns; j++) {
            memcpy(&stored, (const char *)sums->data + 4 * (column + j), sizeof stored);
            if (stored != sum[j] && bad++ == 0) {
                first = column + j;
                first_stored = stored;
                first_sum = sum[j];
            }
        }
        read += panel_size;
        if (read >= BLOCK || column + 32 >= columns) {
            aki__map_release(t->map, data, read);
            data += read;
            c->done += read;
            read = 0;
            tell(c, AKI_CHECK_PROGRESS, aki__tensor_file(t, &size), "", c->done, c->total);
        }
    }
    if (bad)
        say(c, AKI_CHECK_PROBLEM, aki__tensor_file(t, &size), "tensor %.120s: %zu of %zu sums are not their columns', the first is number %zu: %d, where its weights give %lld", sums->name, bad,
            columns, first, (int)first_stored, (long long)first_sum);
}

static const char *const dtype_names[] = { "f32", "f16", "bf16", "i8", "u8", "i32", "i64", "others" };

/* One event for each file of the weights: how many tensors, and of which types. */
static void tell_weights(struct check *c, const struct aki__weights *w)
{
    char text[200];
    uint64_t size;

    for (size_t begin = 0, end; begin < aki__weights_count(w); begin = end) {
        const struct aki__tensor *t = aki__weights_at(w, begin);
        size_t counts[AKI_DTYPE_OTHER + 1] = { 0 }, at;
        for (end = begin; end < aki__weights_count(w) && aki__weights_at(w, end)->map == t->map; end++)
            counts[aki__weights_at(w, end)->dtype]++;
        at = (size_t)snprintf(text, sizeof text, "%zu tensor%s:", end - begin, end - begin == 1 ? "" : "s");
        for (size_t i = 0; i <= AKI_DTYPE_OTHER; i++)
            if (counts[i])
                at += (size_t)snprintf(text + at, sizeof text - at, " %zu %s", counts[i], dtype_names[i]);
        const char *file = aki__tensor_file(t, &size);
        tell(c, AKI_CHECK_READ, file, text, size, 0);
    }
}

static uint64_t weights_bytes(const struct aki__weights *w)
{
    uint64_t sum = 0;

    for (size_t i = 0; w && i < aki__weights_count(w); i++)
        sum += aki__weights_at(w, i)->size;
    return sum;
}

static void check_weights(struct check *c, const struct aki__weights *w)
{
    for (size_t i = 0; w && i < aki__weights_count(w) && !c->rc; i++) {
        const struct aki__tensor *t = aki__weights_at(w, i), *sums = sums_of(w, t);
        if (sums)
            check_sums(c, t, sums);
        else
            check_numbers(c, t);
    }
    if (w && !c->rc)
        tell_weights(c, w);
}

/* ---------------------------------------------------------------- the tokenizer --------------------------------- */

static void check_tokenizer(struct check *c, const struct aki__model *m)
{
    struct aki__report report = { .callback = on_fault, .user = c };
    struct aki__tokenizer *t = NULL;
    struct aki__map map;
    aki_error why;
    char *path = aki__join(c->folder, "tokenizer.json");

    if (!path) {
        c->rc = aki__fail(c->err, AKI_E_NOMEM, "tokenizer.json");
        return;
    }
    aki_status rc = aki__map_open(&map, path, &why);
    if (rc == AKI_E_NOT_FOUND)
        aki__no_tokenizer(c->folder, &why);
    if (rc) {
        on_fault(c, &why);
    } else {
        aki__tokenizer_examine(&t, map.data, map.size, path, NULL, &report, &why);
        aki__map_close(&map);
    }
    if (t && m && m->architecture) {
        size_t ids = aki__tokenizer_vocabulary(t), special = aki__tokenizer_special_count(t);
        if (m->onnx && !m->vocabulary)
            say(c, AKI_CHECK_NOTE, "tokenizer.json", "%zu ids; no config.json says how many rows the embedding table has", ids);
        else if (ids > (size_t)m->vocabulary)
            say(c, AKI_CHECK_PROBLEM, "tokenizer.json", "ids up to %zu, but config.json has vocab_size %d", ids - 1, m->vocabulary);
        else if (ids < (size_t)m->vocabulary)
            say(c, AKI_CHECK_NOTE, "tokenizer.json", "%zu ids of %d rows of the embedding table", ids, m->vocabulary);
        if (m->max_tokens && (size_t)m->max_tokens <= special)
            say(c, AKI_CHECK_PROBLEM, "", "texts may have %d tokens, but tokenizer.json adds %zu to each", m->max_tokens, special);
    }
    aki__tokenizer_free(t);
    aki__free(path);
}

/* ---------------------------------------------------------------- .onnx files ----------------------------------- */

/* The first one that opens stands for the network where there are no safetensors; where none does, the first. */
struct onnx_check { struct check *c; char *file; bool opened; struct aki__onnx_facts facts; };

static void tell_onnx(struct check *c, const char *path, const char *file, const struct aki__onnx_file_info *info)
{
    struct aki__map map;
    char text[260];

    if (aki__map_open(&map, path, NULL) != AKI_OK)
        return;
    snprintf(text, sizeof text, "%.199s, %s", info->ports, info->precision == AKI_PRECISION_INT8 ? "quantised" : info->precision == AKI_PRECISION_F16 ? "f16" : "f32");
    tell(c, AKI_CHECK_READ, file, text, map.size, 0);
    aki__map_close(&map);
}

static void check_onnx(void *user, const char *file)
{
    struct onnx_check *o = user;
    struct aki__report report = { .callback = on_fault, .user = o->c };
    struct aki__onnx_file *f = NULL;
    char *path = aki__join(o->c->folder, file), *copy = aki__copy_string(file, strlen(file));
    aki_error why = { 0 };

    aki_status rc = path && copy ? aki__onnx_file_open(&f, path, file, -1, &report, &why) : aki__fail(&why, AKI_E_NOMEM, "%s", file);
    if (rc && !report.count)
        on_fault(o->c, &why);
    else if (!rc)
        tell_onnx(o->c, path, file, aki__onnx_file_info(f));
    if (!o->file || (f && !o->opened)) {
        aki__free(o->file);
        o->file = copy;
        copy = NULL;
        o->opened = f != NULL;
        if (f)
            o->facts = aki__facts_of(aki__onnx_file_info(f));
    }
    aki__onnx_file_close(f);
    aki__free(copy);
    aki__free(path);
}

/* ---------------------------------------------------------------- the whole ------------------------------------- */

static void check_model(struct check *c, const struct aki__model *m)
{
    if (m->architecture && m->pooling_assumed)
        say(c, AKI_CHECK_NOTE, "", "no modules.json, and nothing else says how to pool: %s, as sentence-transformers would", m->pooling == AKI_POOLING_LAST ? "the last token" : "the mean");
    struct aki__weights **dense = aki__folder_of((struct aki__model *)(uintptr_t)m)->dense;

    if (m->prefix)
        check_network(c, m);
    for (size_t i = 0; m->prefix && i < aki__weights_count(m->weights) && !c->rc; i++)
        check_leftover(c, m, aki__weights_at(m->weights, i));
    c->total = weights_bytes(m->weights);
    for (size_t i = 0; i < m->dense_count; i++)
        c->total += weights_bytes(dense[i]);
    check_weights(c, m->weights);
    for (size_t i = 0; i < m->dense_count && !c->rc; i++)
        check_weights(c, dense[i]);
}

/* JSON that was not told as read yet: what sentence-transformers or the weights are described by. */
static void check_all_json(struct check *c, const struct aki__model *m)
{
    static const char *const names[] = {
        "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "modules.json", "config_sentence_transformers.json",
        "sentence_bert_config.json", "sentence_roberta_config.json", "sentence_camembert_config.json", "sentence_xlm-roberta_config.json",
        "model.safetensors.index.json",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names && !c->rc; i++)
        check_json(c, names[i]);
    /* The modules' own. */
    for (size_t i = 0; i < m->file_count && !c->rc; i++) {
        const char *name = aki__part_below(m->path, m->files[i].path);
        if (strchr(name, '/') && strlen(name) > 5 && strcmp(name + strlen(name) - 5, ".json") == 0)
            check_json(c, name);
    }
}

aki_status aki_check(const char *folder, int (*tell_user)(void *user, const aki_check_event *event), void *user, aki_error *err)
{
    struct check c = { .folder = folder, .tell = tell_user, .user = user, .err = err };
    struct aki__model *m = NULL;

    if (!folder || !tell_user)
        return aki__fail(err, AKI_E_INVALID, "%s is NULL", folder ? "tell" : "folder");
    if (!aki__is_folder(folder))
        return aki__no_folder(folder, err);
    struct onnx_check onnx = { .c = &c };
    if (aki__onnx_list(folder, check_onnx, &onnx))
        aki__model_folder_examine(&m, folder, aki__has_safetensors(folder) ? NULL : onnx.file, &onnx.facts, aki__families,
                                  (struct aki__report){ .callback = on_fault, .user = &c });
    aki__free(onnx.file);
    if (!m)
        return aki__fail(err, AKI_E_NOMEM, "%s", folder);
    if (!c.rc) check_tokenizer(&c, m);
    if (!c.rc) check_model(&c, m);
    if (!c.rc) check_all_json(&c, m);
    if (!c.rc) tell_rest(&c);
    aki__model_folder_close(m);
    for (size_t i = 0; i < c.file_count; i++)
        aki__free(c.files[i].path);
    aki__free(c.files);
    aki__free(c.used);
    aki__free(c.met);
    if (!c.rc && c.problems)
        c.rc = AKI_E_INVALID;
    return c.rc;
}
