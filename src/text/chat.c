/* Unit chat: renders the template of a causal reranker. See chat.h. The template is read and rendered in one go: there is no tree. */
#include "text/chat.h"

enum { MOST_VARIABLES = 32, MOST_DEPTH = 32, MOST_IFS = 16, MOST_NAME = 63 };

enum kind { NOTHING, BOOLEAN, NUMBER, STRING, MESSAGE, MESSAGES, CONTENTS };       /* CONTENTS: of a list of messages */
enum field { CONTENT, ROLE };

struct value {
    enum kind   kind;
    const char *text;                   /* STRING: [size]; borrowed from the template, the messages or a joined string */
    size_t      size;
    int64_t     number;                 /* BOOLEAN, NUMBER */
    unsigned char list[AKI_CHAT_MESSAGES], count;       /* MESSAGE (one), MESSAGES, CONTENTS: numbers of messages */
    enum field  field;                  /* CONTENTS: what is taken of each */
};

struct name { const char *text; size_t size; };
struct joined { struct joined *next; char text[]; };
struct branch { bool outer, taken; };   /* an {% if %}: whether it is rendered at all; whether one of its branches was */

struct render {
    const char *start, *p, *end;        /* the template; what is left of it */
    const struct aki__message *messages;
    size_t      count;
    struct aki__buf *out;
    struct { struct name name; struct value value; } variables[MOST_VARIABLES];
    size_t      variable_count;
    struct branch branches[MOST_IFS];
    size_t      branch_count;
    bool        skips;                  /* in a branch that is not taken: only read */
    int         depth;
    struct joined *joined;
    size_t      room;                   /* bytes that joined strings may still take */
    aki_status  rc;
    aki_error  *err;
};

/* ---------------------------------------------------------------- errors ---------------------------------------- */

static struct value fail(struct render *r, aki_status status, const char *what, struct name name)
{
    if (!r->rc)
        r->rc = aki__fail(r->err, status, "chat template: %s%s%.*s (byte %zu)", what, name.size ? " " : "",
                          (int)(name.size < MOST_NAME ? name.size : MOST_NAME), name.text ? name.text : "", (size_t)(r->p - r->start));
    r->p = r->end;
    return (struct value){ .kind = NOTHING };
}

static struct value refuse(struct render *r, const char *what, struct name name) { return fail(r, AKI_E_UNSUPPORTED, what, name); }
static struct value invalid(struct render *r, const char *what) { return fail(r, AKI_E_INVALID, what, (struct name){ 0 }); }

/* What is wrong in a branch that is not taken is no error. */
static struct value misuse(struct render *r, const char *what) { return r->skips ? (struct value){ .kind = NOTHING } : invalid(r, what); }

/* ---------------------------------------------------------------- words ----------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }

static void skip_space(struct render *r)
{
    while (r->p < r->end && is_space(*r->p))
        r->p++;
}

/* Takes this sign, if it is next. */
static bool take(struct render *r, const char *sign)
{
    size_t size = strlen(sign);

    skip_space(r);
    if ((size_t)(r->end - r->p) < size || memcmp(r->p, sign, size) != 0)
        return false;
    r->p += size;
    return true;
}

static void expect(struct render *r, const char *sign)
{
    if (!take(r, sign))
        fail(r, AKI_E_UNSUPPORTED, "something else where this is expected:", (struct name){ sign, strlen(sign) });
}

static struct name take_name(struct render *r)
{
    skip_space(r);
    struct name n = { r->p, 0 };
    while (r->p < r->end && (is_letter(*r->p) || (n.size && is_digit(*r->p)))) {
        r->p++;
        n.size++;
    }
    return n;
}

static bool is(struct name n, const char *word) { return n.size == strlen(word) && memcmp(n.text, word, n.size) == 0; }

/* Takes this word, if it is next and no part of a longer one. */
static bool take_word(struct render *r, const char *word)
{
    const char *before = r->p;

    if (is(take_name(r), word))
        return true;
    r->p = before;
    return false;
}

/* ---------------------------------------------------------------- strings --------------------------------------- */

static char *new_string(struct render *r, size_t size)
{
    struct joined *j = size <= r->room ? aki__alloc(sizeof *j + size, 1) : NULL;

    if (!j) {
        fail(r, size <= r->room ? AKI_E_NOMEM : AKI_E_INVALID, size <= r->room ? "no memory" : "its strings are too long", (struct name){ 0 });
        return NULL;
    }
    r->room -= size;
    j->next = r->joined;
    r->joined = j;
    return j->text;
}

static struct value string(const char *text, size_t size) { return (struct value){ .kind = STRING, .text = text, .size = size }; }

static struct value join(struct render *r, struct value a, struct value b)
{
    if (a.kind != STRING || b.kind != STRING)
        return misuse(r, "what is joined is no string");
    char *text = new_string(r, a.size + b.size);
    if (!text)
        return (struct value){ .kind = NOTHING };
    memcpy(text, a.text, a.size);
    memcpy(text + a.size, b.text, b.size);
    return string(text, a.size + b.size);
}

static struct value literal(struct render *r)
{
    static const char from[] = "ntr\\'\"", to[] = "\n\t\r\\'\"";
    const char quote = *r->p++, *begin = r->p, *at;
    size_t size = 0;

    while (r->p < r->end && *r->p != quote)
        r->p += *r->p == '\\' && r->end - r->p > 1 ? 2 : 1;
    if (r->p >= r->end)
        return invalid(r, "a string without an end");
    const char *end = r->p++;
    if (!memchr(begin, '\\', (size_t)(end - begin)))
        return string(begin, (size_t)(end - begin));
    char *text = new_string(r, (size_t)(end - begin));
    for (const char *c = begin; text && c < end; c++) {
        if (*c == '\\' && (!(at = memchr(from, c[1], sizeof from - 1))))
            return refuse(r, "the escape", (struct name){ c, 2 });
        text[size++] = *c == '\\' ? to[memchr(from, *++c, sizeof from - 1) ? at - from : 0] : *c;
    }
    return string(text ? text : "", size);
}

/* ---------------------------------------------------------------- values ---------------------------------------- */

static struct value expression(struct render *r);

static struct value field_of(struct render *r, int message, enum field field)
{
    const struct aki__message *m = &r->messages[message];

    return field == ROLE ? string(m->role, strlen(m->role)) : string(m->content, m->size);
}

static bool is_list(struct value v) { return v.kind == MESSAGES || v.kind == CONTENTS; }

/* Element i of a list; from its end where i is negative. */
static struct value element(struct render *r, struct value v, int64_t i)
{
    if (!is_list(v))
        return misuse(r, "no list, where an element is taken");
    i += i < 0 ? v.count : 0;
    if (i < 0 || i >= v.count)
        return (struct value){ .kind = NOTHING };
    if (v.kind == CONTENTS)
        return field_of(r, v.list[i], v.field);
    return (struct value){ .kind = MESSAGE, .list = { v.list[i] }, .count = 1 };
}

/* What a message has by name, as attribute or as key. */
static struct value member(struct render *r, struct value v, struct name n)
{
    skip_space(r);
    if (r->p < r->end && *r->p == '(')
        return refuse(r, "the method", n);
    if (v.kind != MESSAGE)
        return misuse(r, "no message, where a part of one is taken");
    if (is(n, "content") || is(n, "role"))
        return field_of(r, v.list[0], is(n, "role") ? ROLE : CONTENT);
    return (struct value){ .kind = NOTHING };
}

static struct value subscript(struct render *r, struct value v)
{
    struct value key = expression(r);

    expect(r, "]");
    if (r->rc || (key.kind != STRING && key.kind != NUMBER))
        return misuse(r, "neither a number nor a string in brackets");
    if (key.kind == NUMBER)
        return v.kind == STRING ? refuse(r, "a letter or part of a string", (struct name){ 0 }) : element(r, v, key.number);
    return member(r, v, (struct name){ key.text, key.size });
}

static bool equal(struct value a, struct value b)
{
    if (a.kind != b.kind)
        return false;
    return a.kind == STRING ? a.size == b.size && memcmp(a.text, b.text, a.size) == 0 : a.number == b.number;
}

static bool truth(struct value v)
{
    return v.kind == STRING ? v.size > 0 : is_list(v) ? v.count > 0 : v.kind == MESSAGE || v.number != 0;
}

/* ---------------------------------------------------------------- filters --------------------------------------- */

static enum field field_named(struct render *r, struct value v)
{
    if (v.kind != STRING || !(is((struct name){ v.text, v.size }, "content") || is((struct name){ v.text, v.size }, "role")))
        misuse(r, "only content and role are parts of a message");
    return v.kind == STRING && v.size == 4 ? ROLE : CONTENT;
}

/* selectattr("role", "eq", "query"), and rejectattr. */
static struct value select_messages(struct render *r, struct value v, bool reject)
{
    struct value kept = { .kind = MESSAGES };

    expect(r, "(");
    enum field field = field_named(r, expression(r));
    expect(r, ",");
    struct value test = expression(r);
    expect(r, ",");
    struct value wanted = expression(r);
    expect(r, ")");
    struct name t = { test.text, test.kind == STRING ? test.size : 0 };
    if (!r->rc && !is(t, "eq") && !is(t, "==") && !is(t, "equalto"))
        return refuse(r, "the test of selectattr", t);
    if (v.kind != MESSAGES)
        return misuse(r, "no messages, where some are selected");
    for (int i = 0; i < v.count; i++)
        if (equal(field_of(r, v.list[i], field), wanted) != reject)
            kept.list[kept.count++] = v.list[i];
    return kept;
}

static struct value map_messages(struct render *r, struct value v)
{
    expect(r, "(");
    struct name n = take_name(r);
    if (!r->rc && !is(n, "attribute"))
        return refuse(r, "the argument of map", n);
    expect(r, "=");
    enum field field = field_named(r, expression(r));
    expect(r, ")");
    if (v.kind != MESSAGES)
        return misuse(r, "no messages, where map is applied");
    v.kind = CONTENTS;
    v.field = field;
    return v;
}

static struct value preset(struct render *r, struct value v)
{
    bool also = false;

    expect(r, "(");
    struct value other = expression(r);
    if (take(r, ","))
        also = truth(expression(r));
    expect(r, ")");
    return v.kind == NOTHING || (also && !truth(v)) ? other : v;
}

static struct value filter(struct render *r, struct value v)
{
    struct name n = take_name(r);

    if (is(n, "selectattr") || is(n, "rejectattr"))
        return select_messages(r, v, is(n, "rejectattr"));
    if (is(n, "map"))
        return map_messages(r, v);
    if (is(n, "default") || is(n, "d"))
        return preset(r, v);
    if (is(n, "first"))
        return element(r, v, 0);
    if (is(n, "last"))
        return element(r, v, -1);
    if (is(n, "list") && (is_list(v) || r->skips))
        return v;
    return refuse(r, "the filter", n);
}

/* ---------------------------------------------------------------- expressions ----------------------------------- */

static struct value truth_value(bool b) { return (struct value){ .kind = BOOLEAN, .number = b }; }

static struct value variable(struct render *r, struct name n)
{
    struct value all = { .kind = MESSAGES, .count = (unsigned char)r->count, .list = { 0, 1, 2 } };

    for (size_t i = 0; i < r->variable_count; i++)
        if (r->variables[i].name.size == n.size && memcmp(r->variables[i].name.text, n.text, n.size) == 0)
            return r->variables[i].value;
    if (is(n, "messages"))
        return all;
    if (is(n, "true") || is(n, "True") || is(n, "false") || is(n, "False"))
        return truth_value(*n.text == 't' || *n.text == 'T');
    /* What transformers passes besides, and what it leaves undefined. */
    if (is(n, "add_generation_prompt"))
        return truth_value(false);
    if (is(n, "enable_thinking") || is(n, "task"))
        return (struct value){ .kind = NOTHING };
    return refuse(r, "the name", n);
}

static struct value primary(struct render *r)
{
    struct value v;

    skip_space(r);
    if (r->p >= r->end)
        return invalid(r, "it ends where a value is expected");
    if (*r->p == '"' || *r->p == '\'')
        return literal(r);
    if (take(r, "(")) {
        v = expression(r);
        expect(r, ")");
        return v;
    }
    bool minus = take(r, "-");
    if (r->p < r->end && is_digit(*r->p)) {
        int64_t number = 0;
        for (int i = 0; i < 9 && r->p < r->end && is_digit(*r->p); i++)
            number = number * 10 + (*r->p++ - '0');
        return (struct value){ .kind = NUMBER, .number = minus ? -number : number };
    }
    struct name n = take_name(r);
    if (!n.size || minus)
        return refuse(r, "no value that is implemented", (struct name){ 0 });
    return variable(r, n);
}

/* A value with what follows it: members, elements, filters, tests. */
static struct value operand(struct render *r)
{
    struct value v = primary(r);

    while (!r->rc) {
        if (take(r, "."))
            v = member(r, v, take_name(r));
        else if (take(r, "["))
            v = subscript(r, v);
        else if (take(r, "|"))
            v = filter(r, v);
        else if (take_word(r, "is")) {
            bool no = take_word(r, "not");
            struct name n = take_name(r);
            if (!is(n, "defined"))
                return refuse(r, "the test", n);
            v = truth_value((v.kind != NOTHING) != no);
        } else
            return v;
    }
    return v;
}

static bool at_end_of_tag(const struct render *r) { return r->end - r->p > 2 && (r->p[0] == '-' || r->p[0] == '+') && r->p[2] == '}'; }

static struct value sum(struct render *r)
{
    struct value v = operand(r);

    for (;;) {
        skip_space(r);
        if (r->rc || at_end_of_tag(r) || !(take(r, "~") || take(r, "+")))
            return v;
        v = join(r, v, operand(r));
    }
}

static struct value comparison(struct render *r)
{
    bool opposite = take_word(r, "not");
    struct value v = sum(r);
    bool same = !r->rc && take(r, "==");
    if (same || (!r->rc && take(r, "!=")))
        v = truth_value(equal(v, sum(r)) == same);
    return opposite ? truth_value(!truth(v)) : v;
}

static struct value expression(struct render *r)
{
    if (++r->depth > MOST_DEPTH)
        return invalid(r, "expressions too deep in one another");
    struct value v = comparison(r);
    while (!r->rc) {
        bool all = take_word(r, "and");
        if (!all && !take_word(r, "or"))
            break;
        struct value next = comparison(r);
        v = truth(v) == all ? next : v;
    }
    r->depth--;
    return v;
}

/* ---------------------------------------------------------------- statements ------------------------------------ */

static void set_variable(struct render *r)
{
    struct name n = take_name(r);

    expect(r, "=");
    struct value v = expression(r);
    size_t i = 0;
    while (i < r->variable_count && !(r->variables[i].name.size == n.size && memcmp(r->variables[i].name.text, n.text, n.size) == 0))
        i++;
    if (r->rc || r->skips)
        return;
    if (i == MOST_VARIABLES) {
        invalid(r, "too many variables");
        return;
    }
    r->variables[i].name = n;
    r->variables[i].value = v;
    r->variable_count += i == r->variable_count;
}

static void branch(struct render *r, bool condition)
{
    struct branch *b = &r->branches[r->branch_count - 1];

    r->skips = b->outer || b->taken || !condition;
    b->taken = b->taken || condition;
}

static void statement(struct render *r)
{
    struct name n = take_name(r);
    bool inside = r->branch_count > 0;

    if (is(n, "set")) {
        set_variable(r);
    } else if (is(n, "if") && r->branch_count < MOST_IFS) {
        bool condition = truth(expression(r));
        r->branches[r->branch_count++] = (struct branch){ .outer = r->skips };
        branch(r, condition);
    } else if (is(n, "elif") && inside) {
        bool skipped = r->skips;
        r->skips = r->branches[r->branch_count - 1].outer || r->branches[r->branch_count - 1].taken;
        bool condition = truth(expression(r));
        r->skips = skipped;
        branch(r, condition);
    } else if (is(n, "else") && inside) {
        branch(r, true);
    } else if (is(n, "endif") && inside) {
        r->skips = r->branches[--r->branch_count].outer;
    } else {
        refuse(r, "the statement", n);
    }
}

/* The end of a tag, and the white space behind it: all of it after "-", else the end of the line after a statement. */
static void end_tag(struct render *r, const char *sign, bool line)
{
    bool all = take(r, "-"), keep = !all && take(r, "+");

    expect(r, sign);
    if (r->rc)
        return;
    if (all)
        skip_space(r);
    else if (line && !keep && r->p < r->end && *r->p == '\n')
        r->p++;
}

/* Writes the text before a tag: without the white space at its end if the tag begins with "-", and without the blanks between the beginning of
 * a line and a statement. */
static void write_text(struct render *r, const char *begin, const char *tag)
{
    const char *end = tag;
    bool to_end = tag == r->end, statement_tag = !to_end && tag[1] != '{';

    if (!to_end && tag[2] == '-') {
        while (end > begin && is_space(end[-1]))
            end--;
    } else if (statement_tag && tag[2] != '+') {
        while (end > begin && end[-1] != '\n' && is_space(end[-1]))
            end--;
        if (end > r->start && end[-1] != '\n')
            end = tag;
    }
    if (!r->skips && !aki__buf_append(r->out, begin, (size_t)(end - begin), SIZE_MAX))
        fail(r, AKI_E_NOMEM, "no memory", (struct name){ 0 });
}

static void output(struct render *r)
{
    struct value v = expression(r);

    if (r->rc || r->skips || v.kind == NOTHING)
        return;
    if (v.kind != STRING)
        refuse(r, "output of what is no string", (struct name){ 0 });
    else if (!aki__buf_append(r->out, v.text, v.size, SIZE_MAX))
        fail(r, AKI_E_NOMEM, "no memory", (struct name){ 0 });
}

static void tag(struct render *r, char kind)
{
    r->p += 2 + (r->end - r->p > 2 && (r->p[2] == '-' || r->p[2] == '+'));
    r->depth = 0;
    if (kind == '{') {
        output(r);
        end_tag(r, "}}", false);
    } else if (kind == '%') {
        statement(r);
        end_tag(r, "%}", true);
    } else {
        while (r->end - r->p > 1 && memcmp(r->p, "#}", 2) != 0)
            r->p++;
        if (r->p[-1] == '-' || r->p[-1] == '+')
            r->p--;
        end_tag(r, "#}", true);
    }
}

static bool is_tag(const struct render *r, const char *p) { return r->end - p > 2 && p[0] == '{' && (p[1] == '{' || p[1] == '%' || p[1] == '#'); }

aki_status aki__chat_render(struct aki__buf *out, const char *template, const struct aki__message *messages, size_t count, aki_error *err)
{
    size_t size = strlen(template);
    struct render r = { .start = template, .p = template, .messages = messages, .count = count, .out = out, .err = err };

    size -= size && template[size - 1] == '\n';         /* as Jinja does */
    r.end = template + size;
    r.room = AKI_CHAT_TEMPLATE_LIMIT;
    for (size_t i = 0; i < count; i++)
        r.room += 4 * messages[i].size;
    if (size > AKI_CHAT_TEMPLATE_LIMIT || memchr(template, '\r', size) || count > AKI_CHAT_MESSAGES)
        return aki__fail(err, AKI_E_UNSUPPORTED, "chat template: above 64 KiB, or with carriage returns");
    while (!r.rc && r.p < r.end) {
        const char *begin = r.p, *at = begin;
        while (at < r.end && !is_tag(&r, at))
            at++;
        write_text(&r, begin, at);
        r.p = at;
        if (!r.rc && at < r.end)
            tag(&r, at[1]);
    }
    if (!r.rc && r.branch_count)
        invalid(&r, "an if without endif");
    while (r.joined) {
        struct joined *next = r.joined->next;
        aki__free(r.joined);
        r.joined = next;
    }
    return r.rc;
}
