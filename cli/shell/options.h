/* Unit options: the one table of verbs and options. Parsing, environment variables, --help, the completion scripts and the
 * manual page are all made from it, so that nothing is written twice. */
#ifndef AKI_CLI_OPTIONS_H
#define AKI_CLI_OPTIONS_H

#include "cli.h"

enum verb_id { VERB_EMBED, VERB_TOKENIZE, VERB_SIMILARITY, VERB_INFO, VERB_QUANTIZE, VERB_EXPORT, VERB_VERIFY, VERB_BENCH, VERB_DEVICES,
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

struct option {
    const char *name;
    char        letter;                    /* 0: none */
    unsigned char kind;                    /* enum option_kind */
    unsigned    verbs;                     /* bit 1 << verb_id */
    const char *group;                     /* heading in --help */
    const char *value;                     /* what stands for the value in help; of a choice: the choices, "a|b|c" */
    size_t      field;                     /* offset in struct options */
    int         least, most;               /* of a count */
    int         rivals;                    /* options with the same number (not 0) exclude each other */
    const char *help;
};
extern const struct option option_table[];
extern const size_t option_count;

enum { OPTION_LIMIT = 96, DEVICE_OPTION_LIMIT = 16, MODEL_LIMIT = 32 };

/* Values of the choices, counted from 1 as they stand in the table; 0: not given. */
enum { FORM_PORTABLE = 1, FORM_COREML };
enum { FORMAT_JSONL = 1, FORMAT_JSON, FORMAT_NPY, FORMAT_RAW, FORMAT_CSV };

struct options {
    const struct verb *verb;
    const char *const *words;              /* arguments that are no options: borrowed from main */
    size_t             word_count;
    const char *model, *device, *device_plugin, *file, *onnx, *output, *prompt, *prompt_name, *instruction, *ranges, *calibrate,
        *against, *texts, *host, *unix_path, *unix_mode, *api_keys, *cors, *tls_cert, *tls_key;
    const char *device_options[DEVICE_OPTION_LIMIT];
    int device_option_count;
    const char *models[MODEL_LIMIT];       /* of serve: "NAME=MODEL" or "MODEL" */
    int model_count;
    int port, max_body, max_answer, max_inputs, max_inputs_openai, max_queue_tokens, max_connections, http_threads, deadline, idle_timeout,
        header_timeout, body_timeout, write_timeout, idle_close, drain;                               /* of serve */
    int max_buckets, threads, max_batch_tokens, max_tokens, chunk, overlap, dim, top, seconds;                     /* 0: not given */
    int prefix_cache;                                                                                 /* 0 is a value: see OPTIONS_GIVEN */
    int precision, test_cache, kind, truncate, chunk_pool, pooling, dtype, format;                                /* choices */
    int batch, length, form;                                                                          /* of export; form: a choice */
    int f16, pooled;
    int device_fallback, quiet, verbose, help, jsonl, null, no_parse_special, no_normalize, tokens, resume, json,
        no_special, pieces, decode, no_prompts, check_files, any_model, offline, known;                                          /* flags */
    unsigned char source[OPTION_LIMIT];    /* for each row of the table: where the value came from */
};

/* Reads the arguments behind the verb, then the environment for what they leave open. On failure the message is out. */
int options_parse(struct options *o, const struct verb *verb, int count, char **arguments);
/* True where the option whose value is o->FIELD was given on the command line; the environment does not count. */
#define OPTIONS_TYPED(o, FIELD) options_typed(o, offsetof(struct options, FIELD))
bool options_typed(const struct options *o, size_t field);

/* True where it was given in either way: for options whose 0 is a value. */
#define OPTIONS_GIVEN(o, FIELD) options_given(o, offsetof(struct options, FIELD))
bool options_given(const struct options *o, size_t field);

/* The variable of an option: "AKIEMBED_MAX_TOKENS". */
void option_variable(char out[64], const struct option *option);
/* Calls back for each choice of an option of that kind. */
size_t option_choice(const struct option *option, size_t i, const char **text);   /* its length; 0 behind the last */

const struct verb *verb_find(const char *name);
/* The table's name nearest to a mistyped one, or NULL where none is near. */
const char *verb_near(const char *name);

/* Help. verb NULL: the program's. To stdout; answers the exit code. */
int help_print(const struct verb *verb);
/* The manual page in roff. To stdout; answers the exit code. */
int manual_print(void);

#endif
