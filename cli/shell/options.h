/* Unit options: the one table of verbs and options (options_table.c) and its parser (options.c). Parsing, defaults, bounds, environment
 * variables, --help, the completion scripts and the manual page are all made from the table, so that nothing is written twice. */
#ifndef AKI_CLI_OPTIONS_H
#define AKI_CLI_OPTIONS_H

#include "cli.h"

#include <akiembed.h>

enum verb_id { VERB_EMBED, VERB_TOKENIZE, VERB_SIMILARITY, VERB_RERANK, VERB_CLASSIFY, VERB_INFO, VERB_QUANTIZE, VERB_EXPORT, VERB_VERIFY, VERB_BENCH, VERB_DEVICES,
#ifdef CLI_SERVE                           /* built for Linux */
               VERB_SERVE,
#endif
#ifdef CLI_PULL                            /* built with libcurl */
               VERB_PULL,
#endif
               VERB_MODELS, VERB_RM, VERB_CHECK, VERB_COMPLETION, VERB_COUNT };

struct verb {
    const char *name;
    const char *summary;                   /* after "akiembed NAME: " */
    const char *synopsis;                  /* lines, each after "akiembed NAME " */
    const char *examples;                  /* lines */
    const char *notes;                     /* paragraphs under the options; may be empty */
    int       (*run)(const struct options *o);
};
extern const struct verb verbs[VERB_COUNT];

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_NUMBER, OPTION_CHOICE, OPTION_LIST };

/* A row of the table. A row whose verbs are none (they are not built in) counts for nothing. */
struct option {
    const char *name;
    char        letter;                    /* 0: none */
    unsigned char kind;                    /* enum option_kind */
    unsigned    verbs;                     /* bit 1 << verb_id */
    const char *group;                     /* heading in --help */
    const char *value;                     /* what stands for the value in help; NULL: a flag, or a choice */
    const char *const *choices;            /* of a choice, NULL-ended */
    size_t      field;                     /* offset in struct options */
    const char *library;                   /* a number of aki_option_bounds, whose bounds and preset are this row's; NULL: none */
    int         least, most;               /* of a number; with library: most is the library's, least the larger of both */
    const char *preset;                    /* the value where none is given, as it would be typed; NULL: none, or the library's */
    const char *preset_note;               /* a word about that: "0: never", or what happens where there is no preset; NULL: none */
    int         rivals;                    /* options with the same number (not 0) exclude each other */
    const char *suffix;                    /* a value that ends so goes to suffix_field instead; NULL: none */
    size_t      suffix_field;
    const char *help;                      /* without bounds and preset: see option_help */
};
extern const struct option option_table[];
extern const size_t option_count;

enum { OPTION_LIMIT = 128, DEVICE_OPTION_LIMIT = 16, MODEL_LIMIT = 32, OPTION_NUMBER_SIZE = 24, OPTION_VALUE_SIZE = 96, OPTION_HELP_SIZE = 512 };

/* The model that is meant where none is named. */
#define OPTIONS_MODEL "Qwen/Qwen3-Embedding-0.6B"

/* Values of the choices, counted from 1 as they stand in the table; 0: not given, and no preset. */
enum { FORM_PORTABLE = 1, FORM_COREML };
enum { FORMAT_JSONL = 1, FORMAT_JSON, FORMAT_NPY, FORMAT_RAW, FORMAT_CSV };

/* Fields that several verbs read; then, in structs of their names, those of one verb. Numbers without a preset: 0 is not given. Strings
 * are borrowed from main's arguments and from the environment. */
struct options {
    const struct verb *verb;
    const char *const *words;              /* arguments that are no options: borrowed from main */
    size_t             word_count;
    unsigned char      source[OPTION_LIMIT];       /* for each row of the table: where the value came from */

    const char *model, *weights, *device, *device_plugin;          /* weights: the file of the model's folder, --file NAME */
    const char *device_options[DEVICE_OPTION_LIMIT];
    int         device_option_count;
    int         precision, device_fallback, test_cache, max_buckets, threads, max_batch_tokens, prefix_cache, check_files;
    const char *file, *output;
    int         jsonl, null, csv;
    const char *column, *field;
    const char *prompt, *prompt_name, *instruction;
    int         kind, max_tokens, truncate, no_parse_special, pooling, dim;
    int         json, quiet, verbose, help, version;

    struct {
        const char *ranges, *calibrate;
        int         chunk, overlap, chunk_pool, no_normalize, dtype, tokens, format, resume, force;
    } embed;
    struct {
        int decode, pieces, no_special;
    } tokenize;
    struct {
        int         top, no_prompts, duplicates;
        const char *vectors, *texts, *threshold;
    } similarity;
    struct {
        int pairs, raw, no_sort;
    } rerank;
    struct {
        int f16, pooled, form, batch, length;
    } export;
    struct {
        const char *calibrate;
        int         by_weights;
    } quantize;
    struct {
        const char *against;
    } verify;
    struct {
        const char *texts, *threads;       /* threads: one number, or several */
        int         seconds;
    } bench;
    struct {
        int offline;
    } pull;
    struct {
        int known;
    } models;
    struct {
        int compiled;
    } rm;
    struct {
        const char *models[MODEL_LIMIT];   /* "NAME=MODEL" or "MODEL" */
        int         model_count;
        const char *host, *unix_path, *unix_mode, *api_keys, *tls_cert, *tls_key, *cors;
        int         port, any_model, preload, max_inputs, max_inputs_openai, max_body, max_answer, max_queue_tokens, max_connections, http_threads;
        int         idle_close, deadline, idle_timeout, header_timeout, body_timeout, write_timeout, drain;               /* seconds */
    } serve;
};

/* Reads the arguments behind the verb, then the environment for what they leave open. On failure the message is out. */
int options_parse(struct options *o, const struct verb *verb, int count, char **arguments);
/* True where the option whose value is o->FIELD was given on the command line; the environment does not count. */
#define OPTIONS_TYPED(o, FIELD) options_typed(o, offsetof(struct options, FIELD))
bool options_typed(const struct options *o, size_t field);

/* Appends "--NAME: VALUE\n" for each option of a group (its heading in --help) that has a value. */
void options_write(const struct options *o, const char *group, struct aki__buf *out);

/* Checks the numbers that were given against this model's bounds. Answers CLI_OK, or CLI_USAGE with the message out. */
int options_check_model(const struct options *o, const aki_model *model);

/* The variable of an option: "AKIEMBED_MAX_TOKENS". false: it has none (help and version ask for a text, and set nothing). */
bool option_variable(char out[64], const struct option *option);
/* What a number may be, for this model or (NULL) any. */
void option_bounds(const struct option *option, const aki_model *model, int *least, int *most);
/* Its default as it would be typed, in out or static; NULL: there is none. */
const char *option_preset(const struct option *option, char out[OPTION_NUMBER_SIZE]);
/* Its help with bounds and default: "port to listen on (0 to 65535; default: 8080; 0: any free one)". */
void option_help(char out[OPTION_HELP_SIZE], const struct option *option);
bool option_is_of(const struct option *option, const struct verb *verb);
/* What stands for its value in help, "FILE" or "a|b|c"; NULL: it has none. */
const char *option_value(const struct option *option, char out[OPTION_VALUE_SIZE]);
/* What a choice is called, counted from 1: OPTION_CHOICE_NAME(pooling, AKI_POOLING_CLS) is "cls"; "default" for 0, "unknown" beyond. */
#define OPTION_CHOICE_NAME(FIELD, choice) option_choice_name(offsetof(struct options, FIELD), choice)
const char *option_choice_name(size_t field, int choice);

const struct verb *verb_find(const char *name);
/* The table's name nearest to a mistyped one, or NULL where none is near. */
const char *verb_near(const char *name);

/* Help. verb NULL: the program's. To stdout; answers the exit code. */
int help_print(const struct verb *verb);
/* The manual page in roff. To stdout; answers the exit code. */
int manual_print(void);

#endif
