/* Unit check: the verb `check`: all that is wrong with a model's files. */
#include "options.h"

int check_run(const struct options *o)
{
    (void)o;
    return cli_fail(CLI_INTERNAL, "not there yet");
}
