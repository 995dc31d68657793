/* Tests of cli/options: the table keeps its own rules, and the parser fills in what it says. */
#include "cli/shell/options.h"
#include "cli/shell/system.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The verbs are not run here. */
#define STUB(name) int name(const struct options *o) { (void)o; return CLI_OK; }
STUB(embed_run) STUB(tokenize_run) STUB(similarity_run) STUB(rerank_run) STUB(classify_run) STUB(info_run) STUB(quantize_run) STUB(export_run) STUB(verify_run) STUB(bench_run)
STUB(devices_run) STUB(serve_run) STUB(pull_run) STUB(models_run) STUB(rm_run) STUB(check_run) STUB(completion_run)

/* The environment: one variable. */
static const char *variable_name = "";
static char variable_value[64];

char *system_variable(const char *name)
{
    return strcmp(name, variable_name) ? NULL : variable_value;
}

static char message[800];

static void listen(const char *event, const char *text)
{
    (void)event;
    snprintf(message, sizeof message, "%s", text);
}

static int parse(struct options *o, const char *verb, const char *a, const char *b)
{
    char *arguments[2] = { (char *)a, (char *)b };

    message[0] = '\0';
    return options_parse(o, verb_find(verb), !!a + !!b, arguments);
}

static const void *field_of(const struct options *o, const struct option *option)
{
    return (const char *)o + option->field;
}

static void rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        char help[OPTION_HELP_SIZE], number[OPTION_NUMBER_SIZE], value[OPTION_VALUE_SIZE];
        int least, most;

        option_help(help, option);
        assert_true(strlen(help) < OPTION_HELP_SIZE - 1);
        assert_int_equal(option->kind == OPTION_FLAG, !option_value(option, value));
        assert_int_equal(option->kind == OPTION_CHOICE, option->choices != NULL);
        assert_true(option->kind != OPTION_FLAG || !option_preset(option, number));
        if (option->library) {
            assert_int_equal(option->kind, OPTION_NUMBER);
            assert_int_equal(aki_option_bounds(NULL, option->library, NULL, NULL, NULL, NULL), AKI_OK);
            assert_true(!option->most && !option->preset);
        }
        option_bounds(option, NULL, &least, &most);
        assert_true(option->kind == OPTION_NUMBER ? least < most : !least && !most);
        for (size_t k = 0; k < i; k++) {
            if (!(option->verbs & option_table[k].verbs))
                continue;
            assert_string_not_equal(option->name, option_table[k].name);
            assert_true(!option->letter || option->letter != option_table[k].letter);
        }
    }
}

/* Without arguments, each field has the default that --help prints. */
static void presets(void **state)
{
    size_t checked = 0;

    (void)state;
    for (size_t v = 0; v < VERB_COUNT; v++) {
        struct options o;
        assert_int_equal(parse(&o, verbs[v].name, NULL, NULL), CLI_OK);
        for (size_t i = 0; i < option_count; i++) {
            const struct option *option = &option_table[i];
            char number[OPTION_NUMBER_SIZE], value[OPTION_NUMBER_SIZE];
            const char *preset = option_preset(option, number);
            if (!preset || !option_is_of(option, &verbs[v]))
                continue;
            checked++;
            if (option->kind == OPTION_NUMBER) {
                snprintf(value, sizeof value, "%d", *(const int *)field_of(&o, option));
                assert_string_equal(value, preset);
            } else if (option->kind == OPTION_CHOICE) {
                assert_string_equal(option_choice_name(option->field, *(const int *)field_of(&o, option)), preset);
            } else {
                assert_string_equal(*(const char *const *)field_of(&o, option), preset);
            }
            assert_false(options_typed(&o, option->field));
        }
    }
    assert_true(checked > 20);
}

static void given(void **state)
{
    struct options o;

    (void)state;
    assert_int_equal(parse(&o, "embed", "--prefix-cache=0", "-fx.onnx"), CLI_OK);
    assert_int_equal(o.prefix_cache, 0);
    assert_string_equal(o.weights, "x.onnx");
    assert_null(o.file);
    assert_int_equal(parse(&o, "embed", "--dtype=ubinary", "--overlap=3"), CLI_OK);
    assert_string_equal(OPTION_CHOICE_NAME(embed.dtype, o.embed.dtype), "ubinary");
    assert_int_equal(o.embed.overlap, 3);
    assert_true(OPTIONS_TYPED(&o, embed.overlap) && !OPTIONS_TYPED(&o, embed.chunk));
    assert_int_equal(parse(&o, "embed", "--quiet", "--verbose"), CLI_USAGE);
    assert_string_equal(message, "--quiet and --verbose exclude each other");
    assert_int_equal(parse(&o, "embed", "--threads=1025", NULL), CLI_USAGE);
    assert_string_equal(message, "--threads is a number from 1 to 1024, not '1025'");
    assert_int_equal(parse(&o, "bench", "--nonsense", NULL), CLI_USAGE);
    assert_true(parse(&o, "bench", "--version", "--nonsense") == CLI_OK && o.version);
#ifdef CLI_SERVE
    assert_int_equal(parse(&o, "serve", "--port=0", "--model=a=b"), CLI_OK);
    assert_int_equal(o.serve.port, 0);
    assert_int_equal(o.serve.model_count, 1);
    assert_string_equal(o.serve.models[0], "a=b");
    variable_name = "AKIEMBED_DEADLINE";
    strcpy(variable_value, "0");
    assert_int_equal(parse(&o, "serve", NULL, NULL), CLI_OK);
    assert_int_equal(o.serve.deadline, 0);
    assert_int_equal(parse(&o, "serve", "--deadline", "7"), CLI_OK);
    assert_int_equal(o.serve.deadline, 7);
#endif
    variable_name = "";
}

/* What a model does not allow is refused by the name under which it was given. Without a model all that parses is allowed. */
static void of_model(void **state)
{
    struct options o;

    (void)state;
    assert_int_equal(parse(&o, "embed", "--dim=2147483647", "--max-tokens=1"), CLI_OK);
    assert_int_equal(options_check_model(&o, NULL), CLI_OK);
    o.dim = -1;
    assert_int_equal(options_check_model(&o, NULL), CLI_USAGE);
    assert_non_null(strstr(message, "--dim is a number from 1 to"));
    variable_name = "AKIEMBED_DIM";
    strcpy(variable_value, "5");
    assert_int_equal(parse(&o, "embed", NULL, NULL), CLI_OK);
    o.dim = -1;
    assert_int_equal(options_check_model(&o, NULL), CLI_USAGE);
    assert_non_null(strstr(message, "AKIEMBED_DIM is a number from 1 to"));
    variable_name = "";
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(rows), cmocka_unit_test(presets), cmocka_unit_test(given), cmocka_unit_test(of_model) };

    cli_listen(listen);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
