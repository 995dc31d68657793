/* Unit hub: reads a hub's answers and picks a model's files. See hub.h. */
#include "hub.h"

#include "cli/shell/cli.h"

#include "util/json.h"
#include "util/names.h"
#include "util/path.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { FILES_LIMIT = 100000, WANTED_LIMIT = 1024, PATH_LIMIT = 1024, DEPTH_LIMIT = 32 };

#define SINGLE "model.safetensors"
#define INDEX  "model.safetensors.index.json"

/* ---------------------------------------------------------------- words ----------------------------------------- */

bool hub_path_is_safe(const char *path, size_t size)
{
    if (size == 0 || size > PATH_LIMIT || aki__utf8_check(path, size) != AKI_UTF8_VALID)
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)path[i] < 0x20 || path[i] == 0x7F)
            return false;
    return aki__path_is_inside(path, size, true);
}

bool hub_word_is_safe(const char *word)
{
    size_t size = strlen(word);

    if (size == 0 || size >= HUB_ETAG || word[0] == '.')
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)word[i]) && !strchr("._-", word[i]))
            return false;
    return true;
}

bool hub_etag(char out[HUB_ETAG], const char *text, size_t size)
{
    while (size && strchr(" \t\r\n", text[size - 1]))
        size--;
    while (size && strchr(" \t", *text))
        text++, size--;
    if (size > 2 && !memcmp(text, "W/", 2))
        text += 2, size -= 2;
    if (size >= 2 && text[0] == '"' && text[size - 1] == '"')
        text++, size -= 2;
    if (size >= HUB_ETAG || memchr(text, '\0', size))
        return false;
    memcpy(out, text, size);
    out[size] = '\0';
    return hub_word_is_safe(out);
}

/* ---------------------------------------------------------------- JSON ------------------------------------------ */

static int parse(struct aki__json_doc *doc, const char *what, char *text, size_t size, char why[HUB_WHY])
{
    struct aki__json_problem problem;

    if (aki__json_read_in_place(doc, text, size, 0, DEPTH_LIMIT, &problem))
        return CLI_OK;
    aki__json_free(doc);
    if (problem.error == AKI_JSON_NO_MEMORY)
        return snprintf(why, HUB_WHY, "out of memory"), CLI_INTERNAL;
    snprintf(why, HUB_WHY, "%s is no valid JSON: byte %zu: %s", what, problem.offset, aki__json_words(problem.error));
    return CLI_INPUT;
}

/* A name as a message may show it: hostile ones hold anything. */
static const char *shown(char out[100], const struct aki__json *name)
{
    size_t at = 0;

    for (size_t i = 0; i < name->size && at < 80; i++) {
        unsigned char c = (unsigned char)name->text[i];
        if (c >= 0x20 && c < 0x7F)
            out[at++] = (char)c;
        else
            at += (size_t)snprintf(out + at, 8, "\\x%02x", c);
    }
    out[at] = '\0';
    return out;
}

static int refuse(const struct aki__json *name, const char *where, char why[HUB_WHY])
{
    char text[100];

    snprintf(why, HUB_WHY, "%s names a file '%s', which could be put outside the model's folder: refused, nothing of it is fetched", where,
             aki__json_is(name, AKI_JSON_STRING) ? shown(text, name) : "");
    return CLI_INPUT;
}

/* ---------------------------------------------------------------- the listing ----------------------------------- */

static int read_siblings(struct names *files, const struct aki__json *siblings, char why[HUB_WHY])
{
    const struct aki__json *e = siblings + 1;

    if (siblings->size > FILES_LIMIT)
        return snprintf(why, HUB_WHY, "the hub lists %u files, more than %d", (unsigned)siblings->size, FILES_LIMIT), CLI_INPUT;
    for (uint32_t i = 0; i < siblings->size; i++, e += e->skip) {
        const struct aki__json *name = aki__json_get(e, "rfilename");
        if (!aki__json_is(name, AKI_JSON_STRING) || !hub_path_is_safe(name->text, name->size))
            return refuse(name, "the hub's list", why);
        if (!names_add(files, name->text))
            return snprintf(why, HUB_WHY, "out of memory"), CLI_INTERNAL;
    }
    names_sort(files);
    return CLI_OK;
}

int hub_read_listing(struct names *files, char commit[HUB_COMMIT], char *text, size_t size, char why[HUB_WHY])
{
    struct aki__json_doc doc;

    int rc = parse(&doc, "the hub's list", text, size, why);
    if (rc)
        return rc;
    const struct aki__json *sha = aki__json_get(doc.nodes, "sha");
    const struct aki__json *siblings = aki__json_get(doc.nodes, "siblings");
    if (!aki__json_is(sha, AKI_JSON_STRING) || sha->size >= HUB_COMMIT || strlen(sha->text) != sha->size || !hub_word_is_safe(sha->text)) {
        snprintf(why, HUB_WHY, "the hub's list has no commit (\"sha\"): is this a hub's endpoint?");
        rc = CLI_INPUT;
    } else if (!aki__json_is(siblings, AKI_JSON_ARRAY)) {
        snprintf(why, HUB_WHY, "the hub's list has no files (\"siblings\"): is this a hub's endpoint?");
        rc = CLI_INPUT;
    } else {
        memcpy(commit, sha->text, sha->size + 1);
        rc = read_siblings(files, siblings, why);
    }
    aki__json_free(&doc);
    return rc;
}

/* ---------------------------------------------------------------- choosing -------------------------------------- */

static bool ends(const char *name, const char *tail)
{
    size_t size = strlen(name), tail_size = strlen(tail);

    return size >= tail_size && !strcmp(name + size - tail_size, tail);
}

static int want(struct names *wanted, const char *name, char why[HUB_WHY])
{
    for (size_t i = 0; i < wanted->count; i++)
        if (!strcmp(wanted->list[i], name))
            return CLI_OK;
    if (wanted->count == WANTED_LIMIT)
        return snprintf(why, HUB_WHY, "a model of more than %d files", WANTED_LIMIT), CLI_INPUT;
    return names_add(wanted, name) ? CLI_OK : (snprintf(why, HUB_WHY, "out of memory"), CLI_INTERNAL);
}

const char *hub_index_of(const struct names *files, const char *weights)
{
    if (weights)
        return ends(weights, ".safetensors.index.json") ? weights : NULL;
    return !names_have(files, SINGLE) && names_have(files, INDEX) ? INDEX : NULL;
}

/* The shards of an index, which lie beside it. */
static int select_shards(struct names *wanted, const struct names *files, const char *name, const struct hub_text *index, char why[HUB_WHY])
{
    const char *slash = strrchr(name, '/');
    int folder = slash ? (int)(slash + 1 - name) : 0;
    char path[2 * PATH_LIMIT], text[100];
    struct aki__json_doc doc;

    int rc = parse(&doc, name, index->data, index->size, why);
    if (rc)
        return rc;
    const struct aki__json *map = aki__json_get(doc.nodes, "weight_map"), *key = map ? map + 1 : NULL;
    if (!aki__json_is(map, AKI_JSON_OBJECT) || !map->size) {
        snprintf(why, HUB_WHY, "%.200s: weight_map is missing, empty or no object", name);
        rc = CLI_INPUT;
    }
    for (uint32_t i = 0; !rc && i < map->size; i++, key += 1 + key[1].skip) {
        const struct aki__json *shard = key + 1;
        if (!aki__json_is(shard, AKI_JSON_STRING) || !hub_path_is_safe(shard->text, shard->size)) {
            rc = refuse(shard, name, why);
        } else if (snprintf(path, sizeof path, "%.*s%s", folder, name, shard->text), !names_have(files, path)) {
            snprintf(why, HUB_WHY, "%.150s names the shard '%s', which the hub does not have", name, shown(text, shard));
            rc = CLI_INPUT;
        } else {
            rc = want(wanted, path, why);
        }
    }
    aki__json_free(&doc);
    return rc;
}

/* "onnx/model.onnx" brings "onnx/model.onnx_data" and "onnx/model.onnx.data" along: how exporters name external data. */
static int select_data(struct names *wanted, const struct names *files, const char *name, char why[HUB_WHY])
{
    size_t size = strlen(name);
    int rc = CLI_OK;

    for (size_t i = 0; ends(name, ".onnx") && i < files->count && !rc; i++) {
        const char *other = files->list[i];
        if (!strncmp(other, name, size) && (other[size] == '_' || other[size] == '.') && !strchr(other + size, '/'))
            rc = want(wanted, other, why);
    }
    return rc;
}

/* What --file could name, for a message. */
static void list_weights(const struct names *files, char why[HUB_WHY])
{
    size_t at = strlen(why);
    int listed = 0;

    for (size_t i = 0; i < files->count && at + 80 < HUB_WHY; i++) {
        const char *name = files->list[i];
        if ((ends(name, ".safetensors") || ends(name, ".onnx")) && strlen(name) < 70)
            at += (size_t)snprintf(why + at, HUB_WHY - at, "%s%s", listed++ ? ", " : "; --file can be ", name);
    }
}

static int select_weights(struct names *wanted, const struct names *files, const char *weights, const struct hub_text *index,
                          char why[HUB_WHY])
{
    const char *name = weights ? weights : names_have(files, SINGLE) ? SINGLE : hub_index_of(files, NULL);

    if (name && names_have(files, name)) {
        int rc = want(wanted, name, why);
        if (!rc && index)
            rc = select_shards(wanted, files, name, index, why);
        return rc ? rc : select_data(wanted, files, name, why);
    }
    if (weights)
        snprintf(why, HUB_WHY, "it has no file %.100s", weights);
    else if (names_have(files, "pytorch_model.bin") || names_have(files, "pytorch_model.bin.index.json"))
        snprintf(why, HUB_WHY, "it has no " SINGLE ", only pickles (pytorch_model.bin), which are not read: convert it as docs/models.md says");
    else
        snprintf(why, HUB_WHY, "it has no " SINGLE);
    list_weights(files, why);
    return CLI_INPUT;
}

/* The folders that modules.json names (1_Pooling, 2_Dense …): their configuration and weights. */
static int select_modules(struct names *wanted, const struct names *files, const struct hub_text *modules, char why[HUB_WHY])
{
    struct aki__json_doc doc;

    int rc = parse(&doc, "modules.json", modules->data, modules->size, why);
    if (rc)
        return rc;
    const struct aki__json *e = doc.nodes + 1;
    for (uint32_t i = 0; aki__json_is(doc.nodes, AKI_JSON_ARRAY) && !rc && i < doc.nodes->size; i++, e += e->skip) {
        const struct aki__json *path = aki__json_get(e, "path");
        if (!aki__json_is(path, AKI_JSON_STRING) || !path->size)
            continue;                      /* the root; what else is wrong with it is found when the model is opened */
        if (!hub_path_is_safe(path->text, path->size)) {
            rc = refuse(path, "modules.json", why);
            break;
        }
        for (size_t k = 0; k < files->count && !rc; k++) {
            const char *name = files->list[k];
            if (!strncmp(name, path->text, path->size) && name[path->size] == '/' && !strchr(name + path->size + 1, '/') &&
                (ends(name, ".json") || ends(name, ".safetensors")))
                rc = want(wanted, name, why);
        }
    }
    aki__json_free(&doc);
    return rc;
}

int hub_select(struct names *wanted, const struct names *files, const char *weights, const struct hub_text *modules,
               const struct hub_text *index, char why[HUB_WHY])
{
    static const char *const besides[] = { "adapter_config.json", "README.md", "chat_template.jinja" };
    int rc = CLI_OK;

    for (size_t i = 0; i < AKI_NEEDED_FILES && !rc; i++)
        if (!names_have(files, aki__json_files[i])) {
            snprintf(why, HUB_WHY, "it has no %s, so it is no model that can be opened here", aki__json_files[i]);
            rc = CLI_INPUT;
        }
    for (size_t i = 0; i < AKI_JSON_FILES && !rc; i++)
        if (names_have(files, aki__json_files[i]))
            rc = want(wanted, aki__json_files[i], why);
    for (size_t i = 0; i < sizeof besides / sizeof *besides && !rc; i++)
        if (names_have(files, besides[i]))
            rc = want(wanted, besides[i], why);
    if (!rc && modules)
        rc = select_modules(wanted, files, modules, why);
    if (!rc)
        rc = select_weights(wanted, files, weights, index, why);
    names_sort(wanted);
    return rc;
}
