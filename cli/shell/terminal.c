/* Unit terminal: how wide texts are on a terminal, and bars. See terminal.h. */
#include "terminal.h"

#include "cli.h"
#include "system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

size_t terminal_width(int fd)
{
    const char *columns = getenv("COLUMNS");
    long width = (long)system_columns(fd);

    if (width <= 0 && columns)
        width = strtol(columns, NULL, 10);
    if (width <= 0 || width > 10000)
        width = 80;
    return width < 20 ? 20 : (size_t)width;
}

static bool locale_is_utf8(void)
{
    static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) {
            const char *dot = strchr(value, '.');
            return dot && (!strncasecmp(dot + 1, "utf-8", 5) || !strncasecmp(dot + 1, "utf8", 4));
        }
    }
    return false;
}

size_t terminal_cut(const char *text, size_t size, size_t width, size_t *used)
{
    size_t at = 0, columns = 0;

    while (at < size) {
        const char *next = text + at;
        uint32_t code = aki__utf8_next(&next);
        int cells = code < 0x80 ? 1 : system_cells(code);
        if (cells < 0)
            cells = 1;
        if (columns + (size_t)cells > width)
            break;
        columns += (size_t)cells;
        at = (size_t)(next - text);
    }
    if (used)
        *used = columns;
    return at;
}

void terminal_bar(char *out, size_t size, double share, size_t width, bool dots)
{
    static const char *const parts[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
    bool blocks = locale_is_utf8();
    size_t at = 0, eighths = (size_t)((share < 0 ? 0 : share > 1 ? 1 : share) * (double)(width * 8) + 0.5), cell = 0;

    for (; cell < width && at + 8 < size; cell++) {
        const char *piece = dots ? "·" : " ";
        if (!blocks)
            piece = cell < (eighths + 4) / 8 ? "#" : dots ? "." : " ";
        else if ((cell + 1) * 8 <= eighths)
            piece = "█";
        else if (cell * 8 < eighths)
            piece = parts[eighths % 8];
        at += (size_t)snprintf(out + at, size - at, "%s", piece);
    }
}
