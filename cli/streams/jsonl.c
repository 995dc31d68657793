/* Unit jsonl: one JSON value in one line, by the reader of util/json.h. See jsonl.h. */
#include "jsonl.h"

#include "util/json.h"

#include <stdio.h>
#include <string.h>

/* Numbers in arrays are passed on as they are spelled, or counted: a row with a vector for every token may have millions. */
enum { HOW = AKI_JSON_REPEATED_KEYS | AKI_JSON_COUNT_NUMBERS };

static bool bad(struct jsonl_problem *problem, size_t at, const char *what)
{
    problem->at = at;
    snprintf(problem->what, sizeof problem->what, "%s", what);
    return false;
}

static bool no_memory(struct jsonl_problem *problem)
{
    return bad(problem, 0, "");
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_reserved(const struct aki__json *key, const char *const *reserved)
{
    for (; reserved && *reserved; reserved++)
        if (aki__json_equals(key, *reserved))
            return true;
    return false;
}

/* Where a member's spelling ends, behind which stand blanks, the byte before `next`, and blanks again: a comma, or the end of the object. */
static size_t end_before(const char *line, size_t next)
{
    while (is_blank(line[next - 1]))
        next--;
    for (next--; is_blank(line[next - 1]);)
        next--;
    return next;
}

/* "WHAT "field" MORE" as the problem. */
static bool bad_field(struct jsonl_problem *problem, size_t at, const char *before, const char *field, const char *behind)
{
    problem->at = at;
    snprintf(problem->what, sizeof problem->what, "%s\"%.60s\"%s", before, field, behind);
    return false;
}

static bool read_text(const struct aki__json *key, const struct aki__json *value, const char *field, bool *has_text, struct aki__buf *text,
                      struct jsonl_problem *problem)
{
    if (*has_text)
        return bad_field(problem, key->offset, "a second ", field, "");
    if (value->kind != AKI_JSON_STRING)
        return bad_field(problem, value->offset, "", field, " is not a string");
    *has_text = true;
    return aki__buf_append(text, value->text, value->size, CLI_CEILING) || no_memory(problem);
}

static bool read_members(const char *line, size_t size, const struct aki__json *object, const char *field, const char *const *reserved, struct aki__buf *text,
                         struct aki__buf *extra, size_t *dropped, struct jsonl_problem *problem)
{
    const struct aki__json *key = object + 1;
    const size_t begin = extra->size;
    bool has_text = false;

    for (uint32_t i = 0; i < object->size; i++) {
        const struct aki__json *value = key + 1, *next = aki__json_next(value);
        size_t from = key->offset, end = end_before(line, i + 1 < object->size ? next->offset : size);
        if (aki__json_equals(key, field)) {
            if (!read_text(key, value, field, &has_text, text, problem))
                return false;
        } else if (is_reserved(key, reserved)) {
            ++*dropped;
        } else if ((extra->size > begin && !aki__buf_append(extra, ",", 1, CLI_CEILING)) ||
                   !aki__buf_append(extra, line + from, end - from, CLI_CEILING)) {
            return no_memory(problem);
        }
        key = next;
    }
    return has_text || bad_field(problem, 0, "the object has no ", field, strcmp(field, "text") ? "" : " (--field NAME reads another member)");
}

bool jsonl_read(const char *line, size_t size, const char *field, const char *const *reserved, struct aki__buf *text, struct aki__buf *extra, size_t *dropped,
                struct jsonl_problem *problem)
{
    struct aki__json_problem p;
    struct aki__json_doc doc;
    bool ok;

    if (!aki__json_read(&doc, line, size, HOW, AKI_JSON_MAX_DEPTH, &p))
        ok = bad(problem, p.offset, p.error == AKI_JSON_NO_MEMORY ? "" : aki__json_words(p.error));
    else if (doc.nodes->kind == AKI_JSON_STRING)
        ok = aki__buf_append(text, doc.nodes->text, doc.nodes->size, CLI_CEILING) || no_memory(problem);
    else if (doc.nodes->kind == AKI_JSON_OBJECT)
        ok = read_members(line, size, doc.nodes, field ? field : "text", reserved, text, extra, dropped, problem);
    else
        ok = bad(problem, doc.nodes->offset, "a line is a JSON string, or an object with the text in a member");
    aki__json_free(&doc);
    return ok;
}

bool jsonl_pair(const char *line, size_t size, struct aki__buf *text, size_t *first_size, struct jsonl_problem *problem)
{
    struct aki__json_problem p;
    struct aki__json_doc doc;
    bool ok;

    if (!aki__json_read(&doc, line, size, 0, AKI_JSON_MAX_DEPTH, &p)) {
        ok = bad(problem, p.offset, p.error == AKI_JSON_NO_MEMORY ? "" : aki__json_words(p.error));
    } else if (doc.nodes->kind != AKI_JSON_ARRAY || doc.nodes->size != 2 || doc.nodes[1].kind != AKI_JSON_STRING || doc.nodes[2].kind != AKI_JSON_STRING) {
        ok = bad(problem, doc.nodes->offset, "a pair is a JSON array of two strings");
    } else {
        const struct aki__json *first = doc.nodes + 1, *second = doc.nodes + 2;
        *first_size = first->size;
        ok = (aki__buf_append(text, first->text, first->size, CLI_CEILING) && aki__buf_append(text, second->text, second->size, CLI_CEILING)) || no_memory(problem);
    }
    aki__json_free(&doc);
    return ok;
}

bool jsonl_row(const char *line, size_t size, const char *array, int64_t *index, size_t *count)
{
    struct aki__json_problem p;
    struct aki__json_doc doc;

    bool ok = aki__json_read(&doc, line, size, HOW, AKI_JSON_MAX_DEPTH, &p);
    if (ok) {
        const struct aki__json *rows = aki__json_get(doc.nodes, array);
        ok = aki__json_is(rows, AKI_JSON_ARRAY) && aki__json_int_in(aki__json_get(doc.nodes, "index"), 0, INT64_MAX, index);
        if (ok)
            *count = rows->size;
    }
    aki__json_free(&doc);
    return ok;
}
