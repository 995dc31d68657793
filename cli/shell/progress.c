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
    bool     running, terminal, drawn;
    enum { TEXTS, BYTES, SHARE } measure;
    double   start, shown;                /* seconds; shown: when the last figures were printed */
    uint64_t texts, tokens, bytes, total, skipped;
    uint64_t step_bytes, step_ticks, ticks;    /* where the step at hand began, and its tokens by progress_tick */
    double   share;
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

/* "1234 texts, 567 texts/s, 8901 tokens/s" */
static void figures(char *out, size_t size, double elapsed)
{
    double texts = (double)state.texts / elapsed, tokens = (double)state.tokens / elapsed;

    if (state.measure == SHARE) {
        out[0] = '\0';
        return;
    }
    if (state.measure == BYTES) {
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

/* What matters most comes first, so that it is there on a narrow terminal. */
static void draw(double now)
{
    char text[160], line[512] = "", left[48];
    double elapsed = now - state.start, begun = 0, done = state.share;
    size_t width = terminal_width(STDERR_FILENO), at = 0;

    if (state.measure != SHARE && state.total) {
        done = (double)state.bytes / (double)state.total;
        begun = (double)state.skipped / (double)state.total;
    }
    done = done > 1 ? 1 : done;
    if (done > 0 && state.terminal && width >= 60) {
        terminal_bar(line, sizeof line, done, 20, true);
        at = strlen(line);
    }
    if (done > 0)
        at += (size_t)snprintf(line + at, sizeof line - at, "%s%.0f %%", at ? " " : "", done * 100);
    if (done > begun && done < 1) {
        time_left(left, sizeof left, elapsed * (1 - done) / (done - begun));
        at += (size_t)snprintf(line + at, sizeof line - at, ", %s", left);
    }
    figures(text, sizeof text, elapsed);
    if (*text)
        snprintf(line + at, sizeof line - at, "%s%s", at ? ", " : "", text);
    if (!*line)
        return;
    if (!state.terminal) {
        fprintf(stderr, "akiembed: %s\n", line);
        return;
    }
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
    state.bytes = state.step_bytes = bytes;
    state.step_ticks = state.ticks;
    state.total = total;
    show();
}

void progress_bytes(uint64_t bytes, uint64_t total)
{
    state.measure = BYTES;
    state.bytes = bytes;
    state.total = total;
    show();
}

void progress_skip(uint64_t bytes)
{
    state.skipped = state.step_bytes = bytes;
}

void progress_tick(uint64_t tokens, uint64_t reached)
{
    enum { BYTES_PER_TOKEN = 4 };          /* until some are counted */
    double rate = state.step_ticks ? (double)(state.step_bytes - state.skipped) / (double)state.step_ticks : BYTES_PER_TOKEN;
    uint64_t bytes = tokens > state.step_ticks ? state.step_bytes + (uint64_t)(rate * (double)(tokens - state.step_ticks)) : state.step_bytes;

    state.ticks = tokens;
    state.bytes = bytes < reached ? bytes : reached;
    if (tokens > state.tokens)
        state.tokens = tokens;
    show();
}

void progress_share(double done)
{
    state.measure = SHARE;
    state.share = done;
    show();
}

void progress_end(void)
{
    double elapsed = aki__seconds() - state.start;

    if (state.running && (state.drawn || (!state.terminal && state.shown > state.start))) {
        char text[160];
        clear_bar();
        figures(text, sizeof text, elapsed);
        fprintf(stderr, "akiembed: %s%s%.1f s\n", text, *text ? ", " : "", elapsed);
    }
    state.running = false;
}
