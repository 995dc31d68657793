/* Unit options: the parser that walks the table of options (options_table.c), and what others ask about its rows. See options.h. */
#include "options.h"

#include "system.h"

#include "util/names.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define AT(name) offsetof(struct options, name)

enum { SOURCE_NONE, SOURCE_ENVIRONMENT, SOURCE_TYPED };

/* ---------------------------------------------------------------- names ----------------------------------------- */

const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (!strcmp(verbs[i].name, name))
            return &verbs[i];
    return NULL;
}

/* Edits (insert, delete, replace) from a to b; long words are far from everything. */
static size_t distance(const char *a, const char *b)
{
    size_t row[33], a_size = strlen(a), b_size = strlen(b);

    if (a_size > 32 || b_size > 32)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t change = corner + (a[i - 1] != b[j - 1]), least = row[j] < row[j - 1] ? row[j] : row[j - 1];
            corner = row[j];
            row[j] = least + 1 < change ? least + 1 : change;
        }
    }
    return row[b_size];
}

/* Near is what a slip of the hand makes, or a beginning that was not finished. */
static bool nearer(const char *typed, const char *name, size_t *best)
{
    size_t edits = distance(typed, name), size = strlen(typed);

    if (size >= 2 && !strncmp(typed, name, size))
        edits = 0;
    if (edits > 1 + size / 4 || edits >= *best)
        return false;
    *best = edits;
    return true;
}

const char *verb_near(const char *name)
{
    const char *found = NULL;
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < VERB_COUNT; i++)
        if (nearer(name, verbs[i].name, &best))
            found = verbs[i].name;
    return found;
}

bool option_is_of(const struct option *option, const struct verb *verb)
{
    return option->verbs & 1u << (verb - verbs);
}

static const struct option *find_long(const struct verb *verb, const char *name, size_t size)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if (option_is_of(option, verb) && strlen(option->name) == size && !memcmp(option->name, name, size))
            return option;
    }
    return NULL;
}

static const struct option *find_letter(const struct verb *verb, char letter)
{
    for (size_t i = 0; i < option_count; i++)
        if (option_is_of(&option_table[i], verb) && option_table[i].letter == letter)
            return &option_table[i];
    return NULL;
}

static int fail_unknown(const struct verb *verb, const char *name)
{
    const char *found = NULL;
    size_t best = SIZE_MAX;
    bool elsewhere = false;

    for (size_t i = 0; i < option_count; i++) {
        if (!option_is_of(&option_table[i], verb))
            elsewhere |= !strcmp(option_table[i].name, name);
        else if (nearer(name, option_table[i].name, &best))
            found = option_table[i].name;
    }
    if (elsewhere)
        return cli_fail(CLI_USAGE, "--%s is not an option of %s; see 'akiembed %s --help'", name, verb->name, verb->name);
    if (found)
        return cli_fail(CLI_USAGE, "no option --%s; did you mean --%s? See 'akiembed %s --help'", name, found, verb->name);
    return cli_fail(CLI_USAGE, "no option --%s; see 'akiembed %s --help' (a text that begins with - goes behind --)", name, verb->name);
}

bool option_variable(char out[64], const struct option *option)
{
    size_t at = (size_t)snprintf(out, 64, "AKIEMBED_");

    for (const char *s = option->name; *s && at < 63; s++)
        out[at++] = *s == '-' ? '_' : (char)toupper((unsigned char)*s);
    out[at] = '\0';
    return option->field != AT(help) && option->field != AT(version);
}

const char *option_value(const struct option *option, char out[OPTION_VALUE_SIZE])
{
    size_t at = 0;

    if (!option->choices)
        return option->value;
    for (size_t i = 0; option->choices[i] && at < OPTION_VALUE_SIZE; i++)
        at += (size_t)snprintf(out + at, OPTION_VALUE_SIZE - at, "%s%s", i ? "|" : "", option->choices[i]);
    return out;
}

const char *option_choice_name(size_t field, int choice)
{
    const struct option *option = option_table;

    if (!choice)
        return "default";
    while (option->field != field)
        option++;
    for (int i = 0; option->choices[i]; i++)
        if (i + 1 == choice)
            return option->choices[i];
    return "unknown";
}

/* ---------------------------------------------------------------- rows ------------------------------------------ */

void option_bounds(const struct option *option, const aki_model *model, int *least, int *most)
{
    int64_t library_least = option->least, library_most = option->most;

    if (option->library)
        aki_option_bounds(model, option->library, &library_least, &library_most, NULL, NULL);
    *least = library_least > option->least ? (int)library_least : option->least;
    *most = library_most < INT_MAX ? (int)library_most : INT_MAX;
}

const char *option_preset(const struct option *option, char out[OPTION_NUMBER_SIZE])
{
    int64_t preset = 0;

    if (option->preset || !option->library)
        return option->preset;
    /* 0: it depends on the model or on the machine. */
    if (aki_option_bounds(NULL, option->library, NULL, NULL, &preset, NULL) || !preset)
        return NULL;
    snprintf(out, OPTION_NUMBER_SIZE, "%lld", (long long)preset);
    return out;
}

void option_help(char out[OPTION_HELP_SIZE], const struct option *option)
{
    char number[OPTION_NUMBER_SIZE], range[64] = "";
    const char *preset = option_preset(option, number), *note = option->preset_note;
    int least, most;

    option_bounds(option, NULL, &least, &most);
    if (option->kind == OPTION_NUMBER && most < INT_MAX)
        snprintf(range, sizeof range, "%d to %d", least, most);
    if (!*range && !preset && !note)
        snprintf(out, OPTION_HELP_SIZE, "%s", option->help);
    else
        snprintf(out, OPTION_HELP_SIZE, "%s (%s%s%s%s%s%s)", option->help, range, *range && (preset || note) ? "; " : "",
                 preset || note ? "default: " : "", preset ? preset : "", preset && note ? "; " : "", note ? note : "");
}

/* ---------------------------------------------------------------- values ---------------------------------------- */

static void *field_of(struct options *o, const struct option *option)
{
    return (char *)o + option->field;
}

static int set_flag(int *field, const char *where, const char *value)
{
    static const char *const yes[] = { "1", "true", "yes", "on" }, *const no[] = { "0", "false", "no", "off" };

    for (size_t i = 0; value && i < sizeof yes / sizeof *yes; i++) {
        if (!strcasecmp(value, yes[i]) || !strcasecmp(value, no[i])) {
            *field = !strcasecmp(value, yes[i]);
            return CLI_OK;
        }
    }
    if (value)
        return cli_fail(CLI_USAGE, "%s is 1 or 0, not '%s'", where, value);
    *field = 1;
    return CLI_OK;
}

static int set_number(int *field, const struct option *option, const char *where, const char *value)
{
    char *end;
    int least, most;

    errno = 0;
    long number = strtol(value, &end, 10);
    option_bounds(option, NULL, &least, &most);
    if (end != value && !*end && !errno && !isspace((unsigned char)*value) && number >= least && number <= most) {
        *field = (int)number;
        return CLI_OK;
    }
    if (most == INT_MAX)
        return cli_fail(CLI_USAGE, "%s is a number of %d or more, not '%s'", where, least, value);
    return cli_fail(CLI_USAGE, "%s is a number from %d to %d, not '%s'", where, least, most, value);
}

static int set_choice(int *field, const struct option *option, const char *where, const char *value)
{
    char choices[OPTION_VALUE_SIZE];

    for (int i = 0; option->choices[i]; i++) {
        if (!strcmp(value, option->choices[i])) {
            *field = i + 1;
            return CLI_OK;
        }
    }
    return cli_fail(CLI_USAGE, "%s is one of %s, not '%s'", where, option_value(option, choices), value);
}

static int set_device_option(struct options *o, const char *where, const char *value)
{
    const char *equals = strchr(value, '=');

    if (!equals || equals == value)
        return cli_fail(CLI_USAGE, "%s is KEY=VALUE, not '%s'", where, value);
    if (o->device_option_count == DEVICE_OPTION_LIMIT)
        return cli_fail(CLI_USAGE, "%s: at most %d of them", where, DEVICE_OPTION_LIMIT);
    o->device_options[o->device_option_count++] = value;
    return CLI_OK;
}

static int set_model(struct options *o, const char *where, const char *value)
{
    if (!*value)
        return cli_fail(CLI_USAGE, "%s is MODEL or NAME=MODEL", where);
    if (o->serve.model_count == MODEL_LIMIT)
        return cli_fail(CLI_USAGE, "%s: at most %d of them", where, MODEL_LIMIT);
    o->serve.models[o->serve.model_count++] = value;
    return CLI_OK;
}

/* A value with the row's suffix is meant for another field: no file of texts is called NAME.onnx. */
static bool has_suffix(const struct option *option, const char *value)
{
    size_t size = strlen(value), suffix_size = option->suffix ? strlen(option->suffix) : 0;

    return suffix_size && size > suffix_size && !strcmp(value + size - suffix_size, option->suffix);
}

/* where: what to call the option in an error, "--dim" or "AKIEMBED_DIM". */
static int set(struct options *o, const struct option *option, const char *where, const char *value, unsigned char source)
{
    void *field = field_of(o, option);

    if (option->kind == OPTION_TEXT && has_suffix(option, value)) {
        *(const char **)((char *)o + option->suffix_field) = value;
        return CLI_OK;
    }
    o->source[option - option_table] = source;
    switch (option->kind) {
    case OPTION_FLAG:   return set_flag(field, where, value);
    case OPTION_NUMBER: return set_number(field, option, where, value);
    case OPTION_CHOICE: return set_choice(field, option, where, value);
    case OPTION_LIST:   return option->field == AT(serve.models) ? set_model(o, where, value) : set_device_option(o, where, value);
    default:
        *(const char **)field = value;
        return CLI_OK;
    }
}

/* ---------------------------------------------------------------- parsing --------------------------------------- */

/* What remains of the arguments. */
struct words {
    char **next, **end;
};

static int take_value(struct words *w, const char *where, const char **value)
{
    if (w->next == w->end)
        return cli_fail(CLI_USAGE, "%s needs a value", where);
    *value = *w->next++;
    return CLI_OK;
}

static int parse_long(struct options *o, struct words *w, const char *word)
{
    const char *equals = strchr(word, '='), *value = equals ? equals + 1 : NULL;
    size_t size = equals ? (size_t)(equals - word) : strlen(word);
    const struct option *option = find_long(o->verb, word, size);
    char where[64];
    int rc = CLI_OK;

    snprintf(where, sizeof where, "--%.*s", size > 60 ? 60 : (int)size, word);
    if (!option)
        return fail_unknown(o->verb, where + 2);
    if (option->kind != OPTION_FLAG && !value)
        rc = take_value(w, where, &value);
    return rc ? rc : set(o, option, where, value, SOURCE_TYPED);
}

/* "-qv", "-f-", "-f FILE". */
static int parse_letters(struct options *o, struct words *w, const char *word)
{
    for (const char *s = word; *s; s++) {
        const struct option *option = find_letter(o->verb, *s);
        const char *value = NULL;
        char where[4] = { '-', *s, '\0', '\0' };
        int rc = CLI_OK;

        if (!option)
            return cli_fail(CLI_USAGE, "no option -%.8s; see 'akiembed %s --help' (a text that begins with - goes behind --)", s,
                            o->verb->name);
        if (option->kind == OPTION_FLAG) {
            rc = set(o, option, where, NULL, SOURCE_TYPED);
        } else {
            value = s[1] ? s + 1 : NULL;
            rc = value ? CLI_OK : take_value(w, where, &value);
            return rc ? rc : set(o, option, where, value, SOURCE_TYPED);
        }
        if (rc)
            return rc;
    }
    return CLI_OK;
}

static bool is_set(const struct options *o, size_t i)
{
    const struct option *option = &option_table[i];

    return o->source[i] && (option->kind != OPTION_FLAG || *(const int *)((const char *)o + option->field));
}

/* The rival of row i that is set, or NULL. */
static const struct option *find_rival(const struct options *o, size_t i)
{
    for (size_t k = 0; k < option_count; k++)
        if (k != i && option_table[k].rivals && option_table[k].rivals == option_table[i].rivals && is_set(o, k))
            return &option_table[k];
    return NULL;
}

/* What is typed wins over the environment, also where it excludes it: a variable is then passed over, not an error. */
static int read_environment(struct options *o)
{
    bool has_texts = o->word_count > (o->verb == &verbs[VERB_SIMILARITY] || o->verb == &verbs[VERB_RERANK]);

    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        const struct option *rival = find_rival(o, i);
        char name[64];
        int rc = CLI_OK;

        if (!option_is_of(option, o->verb) || !option_variable(name, option))
            continue;
        char *value = system_variable(name);
        if (value && has_suffix(option, value)) {
            const char **other = (const char **)((char *)o + option->suffix_field);
            *other = *other ? *other : value;
            continue;
        }
        if (o->source[i])
            continue;
        if (!value || !*value || (rival && o->source[rival - option_table] == SOURCE_TYPED))
            continue;
        if (has_texts && (option->field == AT(file) || option->field == AT(jsonl) || option->field == AT(null) || option->field == AT(csv) ||
                          option->field == AT(column) || option->field == AT(field)))
            continue;
        if (option->kind != OPTION_LIST)
            rc = set(o, option, name, value, SOURCE_ENVIRONMENT);
        else
            for (char *rest, *part = strtok_r(value, ",", &rest); part && !rc; part = strtok_r(NULL, ",", &rest))
                rc = set(o, option, name, part, SOURCE_ENVIRONMENT);
        if (rc)
            return rc;
    }
    return CLI_OK;
}

/* Rows that neither the command line nor the environment set get the table's preset. */
static int set_presets(struct options *o)
{
    int rc = CLI_OK;

    for (size_t i = 0; i < option_count && !rc; i++) {
        const struct option *option = &option_table[i];
        char number[OPTION_NUMBER_SIZE];
        const char *preset = option_is_of(option, o->verb) && !o->source[i] ? option_preset(option, number) : NULL;
        if (preset)
            rc = set(o, option, option->name, preset, SOURCE_NONE);
    }
    return rc;
}

/* Options with the same rivals that are both set. */
static int check_rivals(const struct options *o)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *rival = is_set(o, i) ? find_rival(o, i) : NULL;
        if (rival)
            return cli_fail(CLI_USAGE, "--%s and --%s exclude each other", option_table[i].name, rival->name);
    }
    return CLI_OK;
}

int options_parse(struct options *o, const struct verb *verb, int count, char **arguments)
{
    struct words w = { arguments, arguments + count };
    const char **words = (const char **)arguments;      /* words are moved to the front: there are never more than were read */
    int rc = CLI_OK;

    memset(o, 0, sizeof *o);
    o->verb = verb;
    o->words = words;
    while (w.next < w.end && !rc) {
        const char *word = *w.next++;
        if (!strcmp(word, "--")) {
            while (w.next < w.end)
                words[o->word_count++] = *w.next++;
        } else if (word[0] == '-' && word[1] == '-') {
            rc = parse_long(o, &w, word + 2);
        } else if (word[0] == '-' && word[1]) {
            rc = parse_letters(o, &w, word + 1);
        } else {
            words[o->word_count++] = word;
        }
    }
    if (o->help || o->version || rc)
        return o->help || o->version ? CLI_OK : rc;
    rc = read_environment(o);
    if (!rc)
        rc = check_rivals(o);
    return rc ? rc : set_presets(o);
}

int options_check_model(const struct options *o, const aki_model *model)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        char name[64];
        int least, most;

        if (o->source[i] == SOURCE_NONE || !option->library || !option_is_of(option, o->verb))
            continue;
        int value = *(const int *)((const char *)o + option->field);
        option_bounds(option, model, &least, &most);
        if (value >= least && value <= most)
            continue;
        if (o->source[i] == SOURCE_TYPED)
            snprintf(name, sizeof name, "--%s", option->name);
        else
            option_variable(name, option);
        return cli_fail(CLI_USAGE, "%s is a number from %d to %d for this model, not '%d'", name, least, most, value);
    }
    return CLI_OK;
}

void options_write(const struct options *o, const char *group, struct aki__buf *out)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        const void *field = (const char *)o + option->field;
        char number[24];

        if (!option_is_of(option, o->verb) || strcmp(option->group, group))
            continue;
        const bool is_text = option->kind == OPTION_TEXT;
        const char *text = is_text ? *(const char *const *)field : NULL;
        const int value = is_text ? 0 : *(const int *)field;
        if (!text && !value)
            continue;
        if (option->kind == OPTION_CHOICE)
            text = option->choices[value - 1];
        else if (!is_text)
            snprintf(number, sizeof number, "%d", value);
        text = text ? text : number;
        aki__buf_append(out, "--", 2, CLI_CEILING);
        aki__buf_append(out, option->name, strlen(option->name), CLI_CEILING);
        aki__buf_append(out, ": ", 2, CLI_CEILING);
        aki__buf_json(out, text, strlen(text), CLI_CEILING);
        aki__buf_append(out, "\n", 1, CLI_CEILING);
    }
}

bool options_typed(const struct options *o, size_t field)
{
    for (size_t i = 0; i < option_count; i++)
        if (option_table[i].field == field && o->source[i] == SOURCE_TYPED)
            return true;
    return false;
}
