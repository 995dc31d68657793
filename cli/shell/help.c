/* Unit help: --help of the program and of each verb, and the manual page, written from the table of options. */
#include "options.h"
#include "sink.h"
#include "terminal.h"

#include <akiembed.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Longer lines are hard to read; on a narrow terminal an option's help stands under it. */
enum { MOST_WIDTH = 100, NARROW = 64, OPTION_COLUMN = 28, NARROW_COLUMN = 8 };
static size_t help_width = 80;

/* What is the same for --help and for the manual. */
static const struct { int code; const char *meaning; } exit_codes[] = {
    { CLI_OK, "all is done" }, { CLI_INTERNAL, "a defect, or no memory left" }, { CLI_USAGE, "the command line is not right" },
    { CLI_NO_MODEL, "no such model; the message has the command that fetches it" },
    { CLI_INPUT, "a text or a file's content is not valid" }, { CLI_DEVICE, "the device cannot be used" },
    { CLI_IO, "reading or writing failed" }, { CLI_CHECK, "a verification or check failed" },
    { CLI_UNVERIFIED, "not verified: there was nothing to compare with" },
    { 130, "stopped by Ctrl-C (143: by SIGTERM); rows already written are whole" },
};
static const char environment[] =
    "Each option has a variable that stands for it where it is not given: AKIEMBED_ and its name in capitals with _ for -, such as "
    "AKIEMBED_MODEL or AKIEMBED_MAX_TOKENS. Options without a value take 1 or 0; several settings of AKIEMBED_DEVICE_OPTION are separated "
    "by commas.";
static const char cache[] =
    "Names of models are looked up in the Hugging Face cache: $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub. "
    "NAME@REV takes another revision than main.";

/* Writes text from column on, broken at blanks; further lines are indented to indent. */
static void wrap(struct sink *out, const char *text, size_t column, size_t indent)
{
    while (*text) {
        size_t word = strcspn(text, " \n");
        if (column > indent && column + 1 + word > help_width) {
            sink_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            sink_printf(out, " ");
            column++;
        }
        sink_bytes(out, text, word);
        column += word;
        text += word;
        if (*text == '\n') {
            sink_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        }
        text += *text != '\0';
    }
    sink_printf(out, "\n");
}

/* Each line of lines, between before and after. */
static void each_line(struct sink *out, const char *before, const char *lines, const char *after)
{
    while (*lines) {
        size_t size = strcspn(lines, "\n");
        sink_printf(out, "%s%.*s%s", before, (int)size, lines, after);
        lines += size + (lines[size] == '\n');
    }
}

static void help_option(struct sink *out, const struct option *option)
{
    char left[160], text[OPTION_HELP_SIZE], buffer[OPTION_VALUE_SIZE];
    const char *value = option_value(option, buffer);
    int at = option->letter ? snprintf(left, sizeof left, "  -%c, --%s", option->letter, option->name)
                            : snprintf(left, sizeof left, "      --%s", option->name);

    if (value)
        at += snprintf(left + at, sizeof left - (size_t)at, " %s", value);
    const int column = help_width < NARROW ? NARROW_COLUMN : OPTION_COLUMN;
    if (at + 2 <= column)
        sink_printf(out, "%-*s", column, left);
    else
        sink_printf(out, "%s\n%*s", left, column, "");
    option_help(text, option);
    wrap(out, text, (size_t)column, (size_t)column);
}

static void help_verb(struct sink *out, const struct verb *verb)
{
    const char *group = "";
    char before[32];

    snprintf(before, sizeof before, "akiembed %s:", verb->name);
    sink_printf(out, "%s", before);
    wrap(out, verb->summary, strlen(before), 2);
    sink_printf(out, "\n");
    snprintf(before, sizeof before, "  akiembed %s ", verb->name);
    each_line(out, before, verb->synopsis, "\n");
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if (!option_is_of(option, verb))
            continue;
        if (strcmp(group, option->group))
            sink_printf(out, "\n%s\n", option->group);
        group = option->group;
        help_option(out, option);
    }
    sink_printf(out, "\nExamples\n");
    each_line(out, "  ", verb->examples, "\n");
    if (*verb->notes) {
        sink_printf(out, "\n");
        wrap(out, verb->notes, 0, 0);
    }
}

static void help_program(struct sink *out)
{
    sink_printf(out, "akiembed %s:", aki_version());
    wrap(out, "text in, embedding vectors out", strlen("akiembed :") + strlen(aki_version()), 2);
    sink_printf(out, "\n  akiembed VERB [OPTIONS] [TEXT...]\n\nVerbs\n");
    for (size_t i = 0; i < VERB_COUNT; i++) {
        sink_printf(out, "  %-12s", verbs[i].name);
        wrap(out, verbs[i].summary, 14, 14);
    }
    sink_printf(out, "\n  ");
    wrap(out, "akiembed VERB --help (or: akiembed help VERB) shows a verb's options and examples, akiembed --version the version.", 2, 2);
    sink_printf(out, "\nExamples\n"
                     "  akiembed embed \"a cat\" \"a dog\"\n"
                     "  akiembed embed -m all-MiniLM-L6-v2 -f lines.txt -o vectors.npy\n"
                     "  akiembed similarity \"how do cats purr\" -f lines.txt --top 10\n\nModels\n  ");
    wrap(out, cache, 2, 2);
    sink_printf(out, "\nEnvironment\n  ");
    wrap(out, environment, 2, 2);
    sink_printf(out, "\nExit status\n");
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++) {
        sink_printf(out, "  %3d  ", exit_codes[i].code);
        wrap(out, exit_codes[i].meaning, 7, 7);
    }
}

int help_print(const struct verb *verb)
{
    struct sink out;
    int rc = sink_open_stdout(&out);

    help_width = terminal_width(STDOUT_FILENO);
    help_width = help_width < MOST_WIDTH ? help_width : MOST_WIDTH;
    if (!rc) {
        if (verb)
            help_verb(&out, verb);
        else
            help_program(&out);
    }
    return sink_close(&out, rc);
}

/* ---------------------------------------------------------------- manual ---------------------------------------- */

/* Text in roff: - must not become a hyphen, \ nor a leading . or ' a command. */
static void roff(struct sink *out, const char *text)
{
    bool starts = true;

    for (; *text; text++) {
        if (starts && (*text == '.' || *text == '\''))
            sink_printf(out, "\\&");
        if (*text == '\\')
            sink_printf(out, "\\e");
        else if (*text == '-')
            sink_printf(out, "\\-");
        else
            sink_bytes(out, text, 1);
        starts = *text == '\n';
    }
}

static void roff_lines(struct sink *out, const char *text, const char *between)
{
    for (; *text; text++) {
        char one[2] = { *text, '\0' };
        if (*text == '\n')
            sink_printf(out, "\n%s\n", between);
        else
            roff(out, one);
    }
    sink_printf(out, "\n");
}

static void manual_option(struct sink *out, const struct option *option)
{
    char variable[64], text[OPTION_HELP_SIZE], buffer[OPTION_VALUE_SIZE];
    const char *value = option_value(option, buffer);

    sink_printf(out, ".TP\n.B ");
    if (option->letter)
        sink_printf(out, "\\-%c\\fR, \\fB", option->letter);
    sink_printf(out, "\\-\\-");
    roff(out, option->name);
    if (value) {
        sink_printf(out, " \\fI");
        roff(out, value);
        sink_printf(out, "\\fR");
    }
    sink_printf(out, "\n");
    option_help(text, option);
    roff(out, text);
    sink_printf(out, ".\nFor");
    bool first = true;
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (!option_is_of(option, &verbs[i]))
            continue;
        sink_printf(out, "%s \\fB%s\\fR", first ? "" : ",", verbs[i].name);
        first = false;
    }
    if (option_variable(variable, option))
        sink_printf(out, "; variable \\fB%s\\fR.\n", variable);
    else
        sink_printf(out, ".\n");
}

int manual_print(void)
{
    struct sink out;
    int rc = sink_open_stdout(&out);

    sink_printf(&out, ".\\\" Written by `akiembed completion man` from the table in cli/shell/options_table.c.\n"
                      ".TH AKIEMBED 1 \"\" \"akiembed %s\" \"User Commands\"\n.SH NAME\nakiembed \\- text in, embedding vectors out\n"
                      ".SH SYNOPSIS\n", aki_version());
    for (size_t i = 0; i < VERB_COUNT; i++) {
        char between[64];
        sink_printf(&out, "%s.B akiembed %s\n", i ? ".br\n" : "", verbs[i].name);
        snprintf(between, sizeof between, ".br\n.B akiembed %s", verbs[i].name);
        roff_lines(&out, verbs[i].synopsis, between);
    }
    sink_printf(&out, ".SH DESCRIPTION\nakiembed turns texts into embedding vectors. Results go to standard output, all else to standard "
                      "error.\n");
    for (size_t i = 0; i < VERB_COUNT; i++) {
        sink_printf(&out, ".TP\n.B %s\n", verbs[i].name);
        roff(&out, verbs[i].summary);
        sink_printf(&out, ".\n");
        if (*verbs[i].notes)
            roff_lines(&out, verbs[i].notes, ".IP");
    }
    sink_printf(&out, ".SH OPTIONS\n");
    for (size_t i = 0; i < option_count; i++)
        if (option_table[i].verbs)
            manual_option(&out, &option_table[i]);
    sink_printf(&out, ".SH MODELS\n");
    roff_lines(&out, cache, ".PP");
    sink_printf(&out, ".SH ENVIRONMENT\n");
    roff_lines(&out, environment, ".PP");
    sink_printf(&out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++) {
        sink_printf(&out, ".TP\n.B %d\n", exit_codes[i].code);
        roff_lines(&out, exit_codes[i].meaning, "");
    }
    sink_printf(&out, ".SH EXAMPLES\n.nf\n");
    for (size_t i = 0; i < VERB_COUNT; i++)
        roff_lines(&out, verbs[i].examples, "");
    sink_printf(&out, ".fi\n");
    return sink_close(&out, rc);
}
