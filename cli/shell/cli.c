/* Unit cli: messages for the program's parts. See cli.h. */
#include "cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

volatile sig_atomic_t cli_signal;

static bool voice_quiet, voice_verbose;
static cli_listener *listener;
static void (*clear_line)(void);

void cli_set_voice(bool quiet, bool verbose)
{
    voice_quiet = quiet;
    voice_verbose = verbose;
}

bool cli_quiet(void)
{
    return voice_quiet;
}

void cli_listen(cli_listener *own)
{
    listener = own;
}

void cli_before_message(void (*clear)(void))
{
    clear_line = clear;
}

static void say(const char *event, const char *format, va_list args)
{
    char text[800];

    if (listener) {
        vsnprintf(text, sizeof text, format, args);
        listener(event, text);
        return;
    }
    if (clear_line)
        clear_line();
    fputs("akiembed: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int cli_fail(int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say("error", format, args);
    va_end(args);
    return code;
}

int cli_no_memory(void)
{
    return cli_fail(CLI_INTERNAL, "out of memory");
}

void cli_warn(const char *format, ...)
{
    va_list args;

    if (voice_quiet)
        return;
    va_start(args, format);
    say("warning", format, args);
    va_end(args);
}

void cli_tell(const char *format, ...)
{
    va_list args;

    if (voice_quiet)
        return;
    va_start(args, format);
    say("note", format, args);
    va_end(args);
}

void cli_note(const char *format, ...)
{
    va_list args;

    if (!voice_verbose)
        return;
    va_start(args, format);
    say("note", format, args);
    va_end(args);
}

bool cli_resize(void *pointer, size_t count, size_t size)
{
    void *block;

    memcpy(&block, pointer, sizeof block);
    block = aki__realloc(block, count, size);
    if (block)
        memcpy(pointer, &block, sizeof block);
    return block;
}

bool cli_room_for_one(void *pointer, size_t count, size_t *capacity, size_t size)
{
    size_t more = *capacity ? *capacity * 2 : 64;

    if (count < *capacity)
        return true;
    if (!cli_resize(pointer, more, size))
        return false;
    *capacity = more;
    return true;
}

bool cli_has_end(const char *path, const char *end)
{
    size_t size = strlen(path), end_size = strlen(end);

    return size > end_size && !strcasecmp(path + size - end_size, end);
}

char *cli_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    int size = vasprintf(&text, format, args);
    va_end(args);
    return size < 0 ? NULL : text;
}
