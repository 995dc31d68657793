/* Unit progress: how far the work is. One per process, like the terminal it draws on. See progress.h. */
#include "progress.h"

#include "cli.h"
#include "machine.h"
#include "system.h"
#include "terminal.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SILENT_SECONDS = 1, LINE_SECONDS = 5 };

static struct {
    bool     running, terminal, drawn, plain;   /* plain: bytes, neither texts nor tokens */
    double   start, shown;                /* seconds; shown: when the last figures were printed */
    uint64_t texts, tokens, bytes, total, skipped;
} state;

/* Clears the line that the bar is drawn in. */
static void clear_bar(void)
{
    if (state.drawn) {
        fputs("\r\033[K", stderr);
        state.drawn = false;
    }
}

void progress_start(void)
{
    memset(&state, 0, sizeof state);
    state.running = !cli_quiet();
    state.terminal = isatty(STDERR_FILENO);
    cli_before_message(clear_bar);
    state.start = state.shown = aki__seconds();
}

/* "1234 texts, 567 texts/s, 8.9k tokens/s" */
static void figures(char *out, size_t size, double elapsed)
{
    double texts = (double)state.texts / elapsed, tokens = (double)state.tokens / elapsed;

    if (state.plain) {
        char done[32], all[32], rate[32];
        machine_size_text(done, sizeof done, state.bytes);
        machine_size_text(all, sizeof all, state.total);
        machine_size_text(rate, sizeof rate, state.bytes > state.skipped ? (uint64_t)((double)(state.bytes - state.skipped) / elapsed) : 0);
        snprintf(out, size, "%s of %s, %s/s", done, all, rate);
        return;
    }
    /* In the first batch no text is done, but tokens are. */
    if (!state.texts)
        snprintf(out, size, "%" PRIu64 " tokens, %.0f tokens/s", state.tokens, tokens);
    else
        snprintf(out, size, "%" PRIu64 " text%s, %.*f texts/s, %.0f tokens/s", state.texts, state.texts == 1 ? "" : "s", texts < 10 ? 1 : 0,
                 texts, tokens);
}

static void time_left(char *out, size_t size, double seconds)
{
    if (seconds < 100)
        snprintf(out, size, "%.0f s left", seconds);
    else if (seconds < 6000)
        snprintf(out, size, "%.0f min left", seconds / 60);
    else
        snprintf(out, size, "%.1f h left", seconds / 3600);
}

static void draw(double now)
{
    char text[160], left[48] = "";
    double elapsed = now - state.start, share = state.total ? (double)state.bytes / (double)state.total : 0;

    if (share > 1)
        share = 1;
    figures(text, sizeof text, elapsed);
    if (state.total > state.bytes && state.bytes > state.skipped)
        time_left(left, sizeof left, elapsed * (double)(state.total - state.bytes) / (double)(state.bytes - state.skipped));
    if (!state.terminal) {
        if (state.total && left[0])
            fprintf(stderr, "akiembed: %s, %.0f %%, %s\n", text, share * 100, left);
        else
            fprintf(stderr, "akiembed: %s\n", text);
        return;
    }
    char line[512];
    size_t width = terminal_width(STDERR_FILENO), at = 0;
    if (state.total && (state.texts || state.plain) && width >= 60) {
        char bar[128];
        terminal_bar(bar, sizeof bar, share, 20, true);
        at = (size_t)snprintf(line, sizeof line, "%s %3.0f %%  ", bar, share * 100);
    }
    snprintf(line + at, sizeof line - at, "%s%s%s", text, left[0] ? ", " : "", left);
    line[terminal_cut(line, strlen(line), width - 1, NULL)] = '\0';
    fprintf(stderr, "\r\033[K%s", line);
    fflush(stderr);
    state.drawn = true;
}

static void show(void)
{
    double now = aki__seconds();

    if (!state.running || now - state.start < SILENT_SECONDS)
        return;
    if (now - state.shown < (state.terminal ? 0.1 : LINE_SECONDS))
        return;
    state.shown = now;
    draw(now);
}

void progress_show(uint64_t texts, uint64_t tokens, uint64_t bytes, uint64_t total)
{
    state.texts = texts;
    state.tokens = tokens;
    state.bytes = bytes;
    state.total = total;
    show();
}

void progress_bytes(uint64_t bytes, uint64_t total)
{
    state.plain = true;
    state.bytes = bytes;
    state.total = total;
    show();
}

void progress_skip(uint64_t bytes)
{
    state.skipped = bytes;
}

void progress_tick(uint64_t tokens)
{
    if (tokens > state.tokens)
        state.tokens = tokens;
    show();
}

void progress_end(void)
{
    double elapsed = aki__seconds() - state.start;

    if (state.running && (state.drawn || (!state.terminal && state.shown > state.start))) {
        char text[160];
        clear_bar();
        figures(text, sizeof text, elapsed);
        fprintf(stderr, "akiembed: %s, %.1f s\n", text, elapsed);
    }
    state.running = false;
}
