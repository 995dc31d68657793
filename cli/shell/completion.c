/* Unit completion: the verb `completion`: scripts for bash, zsh and fish, written from the table of options. */
#include "options.h"
#include "sink.h"

#include <stdio.h>
#include <string.h>

/* Options whose value is a file or folder are completed with file names. */
static bool is_path(const struct option *option)
{
    return option->value && (!strncmp(option->value, "FILE", 4) || !strcmp(option->value, "PATH") || !strcmp(option->value, "MODEL"));
}

static void verb_names(struct sink *out)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        sink_printf(out, "%s%s", i ? " " : "", verbs[i].name);
}

/* Words "a|b|c" with blanks between. */
static void choices(struct sink *out, const char *value)
{
    for (; *value; value++)
        sink_printf(out, "%c", *value == '|' ? ' ' : *value);
}

static void option_choices(struct sink *out, const struct option *option)
{
    char value[OPTION_VALUE_SIZE];

    choices(out, option_value(option, value));
}

static void bash(struct sink *out)
{
    sink_printf(out, "# bash completion for akiembed\n"
                     "_akiembed() {\n"
                     "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}\n"
                     "    COMPREPLY=()\n"
                     "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                     "        COMPREPLY=($(compgen -W '");
    verb_names(out);
    sink_printf(out, " help --help --version' -- \"$cur\"))\n        return\n    fi\n    case $prev in\n");
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if (!option->verbs || option->kind == OPTION_FLAG || (i && !strcmp(option->name, option_table[i - 1].name)))
            continue;
        sink_printf(out, "    --%s", option->name);
        if (option->letter)
            sink_printf(out, "|-%c", option->letter);
        if (option->kind == OPTION_CHOICE) {
            sink_printf(out, ") COMPREPLY=($(compgen -W '");
            option_choices(out, option);
            sink_printf(out, "' -- \"$cur\")); return ;;\n");
        } else {
            sink_printf(out, ") %sreturn ;;\n", is_path(option) ? "compopt -o default 2>/dev/null; " : "");
        }
    }
    sink_printf(out, "    esac\n    case $verb in\n");
    for (size_t v = 0; v < VERB_COUNT; v++) {
        sink_printf(out, "    %s) COMPREPLY=($(compgen -W '", verbs[v].name);
        for (size_t i = 0; i < option_count; i++)
            if (option_is_of(&option_table[i], &verbs[v]))
                sink_printf(out, "--%s ", option_table[i].name);
        if (v == VERB_COMPLETION)
            choices(out, verbs[v].synopsis);
        sink_printf(out, "' -- \"$cur\")) ;;\n");
    }
    sink_printf(out, "    esac\n}\ncomplete -F _akiembed akiembed\n");
}

/* Help text inside single quotes, with the characters that mean something to _arguments taken away. */
static void zsh_help(struct sink *out, const char *help)
{
    for (; *help; help++) {
        if (*help == '\'')
            sink_printf(out, "'\\''");
        else if (strchr("[]:\\", *help))
            sink_printf(out, "\\%c", *help);
        else
            sink_printf(out, "%c", *help);
    }
}

static void zsh_option(struct sink *out, const struct option *option)
{
    char text[OPTION_HELP_SIZE];

    sink_printf(out, " \\\n            ");
    if (option->letter)
        sink_printf(out, "{-%c,--%s}", option->letter, option->name);
    else
        sink_printf(out, "--%s", option->name);
    sink_printf(out, "'[");
    option_help(text, option);
    zsh_help(out, text);
    sink_printf(out, "]");
    if (option->kind == OPTION_CHOICE) {
        sink_printf(out, ":%s:(", option->name);
        option_choices(out, option);
        sink_printf(out, ")");
    } else if (option->kind != OPTION_FLAG) {
        sink_printf(out, ":%s:%s", option->value, is_path(option) ? "_files" : " ");
    }
    sink_printf(out, "'");
}

static void zsh(struct sink *out)
{
    sink_printf(out, "#compdef akiembed\n"
                     "_akiembed() {\n"
                     "    local -a verbs\n"
                     "    verbs=(\n");
    for (size_t v = 0; v < VERB_COUNT; v++) {
        sink_printf(out, "        '%s:", verbs[v].name);
        zsh_help(out, verbs[v].summary);
        sink_printf(out, "'\n");
    }
    sink_printf(out, "        'help:what a verb does and takes'\n"
                     "    )\n"
                     "    if (( CURRENT == 2 )); then\n"
                     "        _describe verb verbs\n"
                     "        return\n"
                     "    fi\n"
                     "    local verb=$words[2]\n"
                     "    shift words\n"
                     "    (( CURRENT-- ))\n"
                     "    case $verb in\n");
    for (size_t v = 0; v < VERB_COUNT; v++) {
        sink_printf(out, "    %s)\n        _arguments -s", verbs[v].name);
        for (size_t i = 0; i < option_count; i++)
            if (option_is_of(&option_table[i], &verbs[v]))
                zsh_option(out, &option_table[i]);
        if (v == VERB_COMPLETION) {
            sink_printf(out, " \\\n            '1:shell:(");
            choices(out, verbs[v].synopsis);
            sink_printf(out, ")'");
        }
        sink_printf(out, " ;;\n");
    }
    sink_printf(out, "    esac\n}\n"
                     "if [ \"$funcstack[1]\" = _akiembed ]; then _akiembed \"$@\"; else compdef _akiembed akiembed; fi\n");
}

static void fish_help(struct sink *out, const char *help)
{
    sink_printf(out, "'");
    for (; *help; help++)
        sink_printf(out, strchr("'\\", *help) ? "\\%c" : "%c", *help);
    sink_printf(out, "'\n");
}

static void fish(struct sink *out)
{
    sink_printf(out, "# fish completion for akiembed\n"
                     "complete -c akiembed -f\n"
                     "complete -c akiembed -n __fish_use_subcommand -l help -d 'the verbs'\n"
                     "complete -c akiembed -n __fish_use_subcommand -a help -d 'what a verb does and takes'\n"
                     "complete -c akiembed -n __fish_use_subcommand -l version -d 'the version'\n");
    for (size_t v = 0; v < VERB_COUNT; v++) {
        sink_printf(out, "complete -c akiembed -n __fish_use_subcommand -a %s -d ", verbs[v].name);
        fish_help(out, verbs[v].summary);
    }
    for (size_t v = 0; v < VERB_COUNT; v++) {
        for (size_t i = 0; i < option_count; i++) {
            const struct option *option = &option_table[i];
            char text[OPTION_HELP_SIZE];
            if (!option_is_of(option, &verbs[v]))
                continue;
            sink_printf(out, "complete -c akiembed -n '__fish_seen_subcommand_from %s' -l %s", verbs[v].name, option->name);
            if (option->letter)
                sink_printf(out, " -s %c", option->letter);
            if (option->kind != OPTION_FLAG)
                sink_printf(out, is_path(option) ? " -r -F" : " -x");
            if (option->kind == OPTION_CHOICE) {
                sink_printf(out, " -a '");
                option_choices(out, option);
                sink_printf(out, "'");
            }
            sink_printf(out, " -d ");
            option_help(text, option);
            fish_help(out, text);
        }
    }
    sink_printf(out, "complete -c akiembed -n '__fish_seen_subcommand_from completion' -a '");
    choices(out, verbs[VERB_COMPLETION].synopsis);
    sink_printf(out, "'\n");
}

int completion_run(const struct options *o)
{
    static const struct { const char *name; void (*write)(struct sink *out); } shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };
    struct sink out;

    if (o->word_count != 1)
        return cli_fail(CLI_USAGE, "completion needs the name of one shell: bash, zsh or fish");
    /* Not a shell, and not in --help: for the installation, which puts it where man looks. */
    if (!strcmp(o->words[0], "man"))
        return manual_print();
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (!strcmp(o->words[0], shells[i].name)) {
            int rc = sink_open_stdout(&out);
            shells[i].write(&out);
            return sink_close(&out, rc);
        }
    }
    return cli_fail(CLI_USAGE, "no completion for '%s': bash, zsh or fish", o->words[0]);
}
