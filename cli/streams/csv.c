/* Unit csv: splits a stream into records and a record into fields. See csv.h. */
#include "csv.h"

#include <stdlib.h>
#include <string.h>

enum { BEGINNING, PLAIN, QUOTED, QUOTE /* in a quoted field: its end, or the first of two */ };

static unsigned char next_state(unsigned char state, char c, char separator)
{
    if (state == QUOTED)
        return c == '"' ? QUOTE : QUOTED;
    if (c == separator)
        return BEGINNING;
    if (c == '"' && state != PLAIN)
        return QUOTED;
    return PLAIN;
}

size_t csv_scan(struct csv_scan *s, const char *data, size_t from, size_t size, char separator)
{
    for (; from < size; from++) {
        if (data[from] == '\n' && s->state != QUOTED) {
            s->state = BEGINNING;
            return from;
        }
        s->state = next_state(s->state, data[from], separator);
    }
    return size;
}

static bool end_field(struct csv_record *out)
{
    if (!cli_room_for_one(&out->ends, out->count, &out->capacity, sizeof *out->ends))
        return false;
    out->ends[out->count++] = out->data.size;
    return true;
}

bool csv_split(struct csv_record *out, const char *record, size_t size, char separator, size_t *at, const char **what)
{
    unsigned char state = BEGINNING;
    size_t opened = 0;

    *what = NULL;
    out->count = out->data.size = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char next = next_state(state, record[i], separator);
        if (state == QUOTE && next == PLAIN) {
            *at = i;
            *what = "behind a field's closing quote stands neither a separator nor a line's end (a quote in a quoted field is written twice)";
            return false;
        }
        if (next == QUOTED && state == BEGINNING)
            opened = i;
        /* What is left out: quotes around a field, and the first of two in it. */
        bool kept = state == QUOTED ? next == QUOTED : next == PLAIN || (state == QUOTE && next == QUOTED);
        if ((kept && !aki__buf_append(&out->data, record + i, 1, CLI_CEILING)) || (next == BEGINNING && !end_field(out)))
            return false;
        state = next;
    }
    if (state == QUOTED) {
        *at = opened;
        *what = "a quoted field begins that does not end";
        return false;
    }
    return end_field(out);
}

const char *csv_field(const struct csv_record *record, size_t i, size_t *size)
{
    size_t begin = i ? record->ends[i - 1] : 0;

    *size = record->ends[i] - begin;
    return record->data.data ? record->data.data + begin : "";
}

void csv_free(struct csv_record *record)
{
    aki__buf_free(&record->data);
    free(record->ends);
    memset(record, 0, sizeof *record);
}
