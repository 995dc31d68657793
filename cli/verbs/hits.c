/* Unit hits: texts with scores. See hits.h. */
#include "hits.h"

#include "cli/shell/terminal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int earlier_first(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;

    return (x->index > y->index) - (x->index < y->index);
}

static int best_first(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return earlier_first(a, b);
}

bool hits_add(struct hits *h, const char *text, size_t size, uint64_t index, float score)
{
    if (!cli_room_for_one(&h->list, h->count, &h->capacity, sizeof *h->list))
        return false;
    struct hit *hit = &h->list[h->count];
    *hit = (struct hit){ .text = malloc(size + 1), .size = size, .index = index, .score = score };
    if (!hit->text)
        return false;
    memcpy(hit->text, text, size);
    h->count++;
    return true;
}

void hits_keep_best(struct hits *h, size_t top)
{
    if (h->count)
        qsort(h->list, h->count, sizeof *h->list, best_first);
    while (top && h->count > top)
        free(h->list[--h->count].text);
}

void hits_by_index(struct hits *h)
{
    if (h->count)
        qsort(h->list, h->count, sizeof *h->list, earlier_first);
}

void hits_free(struct hits *h)
{
    for (size_t i = 0; i < h->count; i++)
        free(h->list[i].text);
    free(h->list);
    *h = (struct hits){ 0 };
}

/* ---------------------------------------------------------------- the table ------------------------------------- */

char *hits_line(const char *text, size_t text_size, size_t *size)
{
    char *line = malloc(text_size + 1);
    size_t at = 0;

    for (size_t i = 0; line && i < text_size;) {
        const char *next = text + i;
        uint32_t code = aki__utf8_next(&next);
        size_t length = (size_t)(next - text) - i;
        bool steers = code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029 || (code >= 0x202A && code <= 0x202E) ||
                      (code >= 0x2066 && code <= 0x2069);
        if (steers)
            line[at++] = ' ';
        else
            memcpy(line + at, text + i, length);
        at += steers ? 0 : length;
        i += length;
    }
    *size = at;
    return line;
}

int hits_text(const char *text, size_t text_size, size_t width, struct sink *out)
{
    size_t size, cut;
    char *line = hits_line(text, text_size, &size);

    if (!line)
        return cli_no_memory();
    cut = terminal_cut(line, size, width, NULL);
    if (cut < size)
        cut = terminal_cut(line, size, width - 1, NULL);
    sink_bytes(out, line, cut);
    sink_printf(out, "%s\n", cut < size ? "…" : "");
    free(line);
    return CLI_OK;
}

static size_t digits(uint64_t number)
{
    size_t count = 1;

    while (number /= 10)
        count++;
    return count;
}

int hits_table(const struct hit *hits, size_t count, bool logits, struct sink *out)
{
    enum { BAR = 20 };
    size_t width = terminal_width(STDOUT_FILENO), numbers = 1, score_width = logits ? 8 : 7;
    int rc = CLI_OK;

    for (size_t i = 0; i < count; i++)
        numbers = digits(hits[i].index + 1) > numbers ? digits(hits[i].index + 1) : numbers;
    const bool bars = width >= 60;
    const size_t taken = score_width + 1 + numbers + (bars ? BAR + 3 : 2), room = width > taken ? width - taken : 1;
    for (size_t i = 0; i < count && !rc; i++) {
        const double score = (double)hits[i].score;
        char bar[128];
        terminal_bar(bar, sizeof bar, logits ? 1 / (1 + exp(-score)) : score, BAR, false);
        sink_printf(out, "%*.4f %*llu %s  ", (int)score_width, score, (int)numbers, (unsigned long long)hits[i].index + 1, bars ? bar : "");
        rc = hits_text(hits[i].text ? hits[i].text : "", hits[i].size, room, out);
    }
    return rc;
}
