/* Unit cli: messages, memory and UTF-8 for the program's parts. See cli.h. */
#include "cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void cli_note(const char *format, ...)
{
    va_list args;

    if (!voice_verbose)
        return;
    va_start(args, format);
    say("note", format, args);
    va_end(args);
}

void *cli_grow(void *block, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return realloc(block, total ? total : 1);
}

bool cli_resize(void *pointer, size_t count, size_t size)
{
    void *block;

    memcpy(&block, pointer, sizeof block);
    block = cli_grow(block, count, size);
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

bool bytes_reserve(struct bytes *b, size_t more)
{
    size_t need;

    if (__builtin_add_overflow(b->size, more, &need) || need > CLI_CEILING)
        return false;
    if (need <= b->capacity)
        return true;
    size_t capacity = b->capacity + b->capacity / 2;
    if (capacity < need)
        capacity = need < 256 ? 256 : need;
    char *data = realloc(b->data, capacity);
    if (!data)
        return false;
    b->data = data;
    b->capacity = capacity;
    return true;
}

bool bytes_append(struct bytes *b, const void *data, size_t size)
{
    if (!bytes_reserve(b, size))
        return false;
    if (size)
        memcpy(b->data + b->size, data, size);
    b->size += size;
    return true;
}

void bytes_free(struct bytes *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
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

size_t utf8_check(const char *text, size_t size)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t i = 0;

    while (i < size) {
        uint64_t eight;
        if (size - i >= 8 && (memcpy(&eight, s + i, 8), !(eight & 0x8080808080808080u))) {
            i += 8;
            continue;
        }
        unsigned char c = s[i];
        size_t more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
        if (more) {
            /* The second byte's range shuts out overlong forms, surrogates and what lies above 0x10FFFF. */
            unsigned char low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80, high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
            if (c < 0xC2 || c > 0xF4 || size - i <= more || s[i + 1] < low || s[i + 1] > high)
                return i;
            for (size_t k = 2; k <= more; k++)
                if ((s[i + k] & 0xC0) != 0x80)
                    return i;
        }
        i += more + 1;
    }
    return SIZE_MAX;
}

size_t utf8_next(const char *text, uint32_t *code)
{
    const unsigned char *s = (const unsigned char *)text;

    if (s[0] < 0x80) {
        *code = s[0];
        return 1;
    }
    if (s[0] < 0xE0) {
        *code = (uint32_t)(s[0] & 0x1F) << 6 | (s[1] & 0x3F);
        return 2;
    }
    if (s[0] < 0xF0) {
        *code = (uint32_t)(s[0] & 0x0F) << 12 | (uint32_t)(s[1] & 0x3F) << 6 | (s[2] & 0x3F);
        return 3;
    }
    *code = (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3F) << 12 | (uint32_t)(s[2] & 0x3F) << 6 | (s[3] & 0x3F);
    return 4;
}

size_t utf8_put(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = { 0, 0xC0, 0xE0, 0xF0 };
    for (size_t i = more; i; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(lead[more] | code);
    return more + 1;
}
