/* akiembed: the program. Finds the verb, reads its options, minds the signals, runs it; its exit status is a contract (cli.h). */
#include "options.h"
#include "sink.h"
#include "system.h"

#include <akiembed.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int print_version(void)
{
    struct sink out;
    int rc = sink_open_stdout(&out);

    sink_printf(&out, "akiembed %s\n", aki_version());
    return sink_close(&out, rc);
}

static int fail_verb(const char *word)
{
    const char *near = verb_near(word);
    char names[256] = "";
    size_t at = 0;

    for (size_t i = 0; i < VERB_COUNT; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", verbs[i].name);
    if (word[0] == '-')
        return cli_fail(CLI_USAGE, "the verb comes before the options: akiembed VERB [OPTIONS]; verbs are %s", names);
    if (near)
        return cli_fail(CLI_USAGE, "no verb '%s'; did you mean '%s'? Verbs are %s", word, near, names);
    return cli_fail(CLI_USAGE, "no verb '%s'; verbs are %s", word, names);
}

/* "akiembed help VERB". */
static int help_about(int count, char **words)
{
    const struct verb *verb = count ? verb_find(words[0]) : NULL;

    if (count > 1)
        return cli_fail(CLI_USAGE, "help takes one verb: akiembed help VERB");
    /* "help help" and "help --help" ask for the same as help alone. */
    return verb || !count || !strcmp(words[0], "help") || words[0][0] == '-' ? help_print(verb) : fail_verb(words[0]);
}

int main(int count, char **arguments)
{
    struct options o;
    const struct verb *verb;
    int rc;

    system_begin(&count, &arguments);
    /* ONNX Runtime 1.32 reports its use to its makers unless told otherwise: no program that works offline should. */
    system_default("ORT_DISABLE_TELEMETRY", "1");

    if (count < 2)
        return cli_fail(CLI_USAGE, "what is to be done? See akiembed --help");
    if (!strcmp(arguments[1], "--help") || !strcmp(arguments[1], "-h"))
        return help_print(NULL);
    if (!strcmp(arguments[1], "help"))
        return help_about(count - 2, arguments + 2);
    if (!strcmp(arguments[1], "--version"))
        return print_version();
    verb = verb_find(arguments[1]);
    if (!verb)
        return fail_verb(arguments[1]);
    rc = options_parse(&o, verb, count - 2, arguments + 2);
    if (rc)
        return rc;
    if (o.help)
        return help_print(verb);
    if (o.version)
        return print_version();
    cli_set_voice(o.quiet, o.verbose);
    return verb->run(&o);
}
