/* Unit request: from a body to what it asks for. See request.h. */
#include "request.h"

#include "util/names.h"

#include <akiembed.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char type_validation[] = "Validation", type_empty[] = "Empty", type_tokenizer[] = "Tokenizer", type_backend[] = "Backend",
           type_overloaded[] = "Overloaded", type_unhealthy[] = "Unhealthy";

/* ---------------------------------------------------------------- problems -------------------------------------- */

/* Cuts what a message quotes to whole code points. */
static void end_whole(char *text)
{
    size_t bad = aki__utf8_check(text, strlen(text));

    if (bad != AKI_UTF8_VALID)
        text[bad] = '\0';
}

bool refuse(struct problem *p, int status, const char *type, const char *format, ...)
{
    va_list args;

    p->status = status;
    p->type = type;
    va_start(args, format);
    vsnprintf(p->message, sizeof p->message, format, args);
    va_end(args);
    end_whole(p->message);
    return false;
}

static bool refuse_member(struct problem *p, const char *member, const char *what)
{
    p->param = member;
    return refuse(p, 422, type_validation, "Failed to deserialize the JSON body into the target type: `%s` %s", member, what);
}

static const char *openai_type(int status)
{
    switch (status) {
    case 401: return "authentication_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    default:  return status < 500 && status != 424 ? "invalid_request_error" : "server_error";
    }
}

static void write_or_null(struct aki__buf *out, const char *text)
{
    if (text)
        json_text(out, text);
    else
        buf_text(out, "null");
}

void problem_write(struct aki__buf *out, const struct problem *p, enum family family)
{
    buf_text(out, family == FAMILY_OPENAI ? "{\"error\":{\"message\":" : "{\"error\":");
    json_text(out, p->message);
    if (family == FAMILY_OPENAI) {
        buf_format(out, ",\"type\":\"%s\",\"param\":", openai_type(p->status));
        write_or_null(out, p->param);
        buf_text(out, ",\"code\":");
        write_or_null(out, p->code);
        buf_text(out, "}");
    } else if (family == FAMILY_COHERE) {
        buf_text(out, ",\"message\":");
        json_text(out, p->message);
    } else if (family == FAMILY_TEI) {
        buf_text(out, ",\"error_type\":");
        json_text(out, p->type);
    }
    buf_text(out, "}");
}

/* ---------------------------------------------------------------- members --------------------------------------- */

/* Members that are null count as absent, as they do where these bodies come from. */
static const struct aki__json *member(const struct aki__json *object, const char *name)
{
    const struct aki__json *node = aki__json_get(object, name);

    return node && node->kind != AKI_JSON_NULL ? node : NULL;
}

enum { NOT_SAID, YES, NO };

static bool read_flag(const struct aki__json *object, const char *name, int *out, struct problem *p)
{
    const struct aki__json *node = member(object, name);

    if (!node)
        return true;
    if (node->kind != AKI_JSON_TRUE && node->kind != AKI_JSON_FALSE)
        return refuse_member(p, name, "is true or false");
    *out = node->kind == AKI_JSON_TRUE ? YES : NO;
    return true;
}

/* A name: a string that C can hold. */
static bool read_name(const struct aki__json *object, const char *name, const char **out, struct problem *p)
{
    const struct aki__json *node = member(object, name);

    if (!node)
        return true;
    if (node->kind != AKI_JSON_STRING)
        return refuse_member(p, name, "is a string");
    if (memchr(node->text, '\0', node->size))
        return refuse_member(p, name, "holds a NUL character");
    *out = node->text;
    return true;
}

/* One of the names in the list, "a|b|c": its place from 1 on; *out as it is where the member is absent. */
static bool read_choice(const struct aki__json *object, const char *name, const char *list, int *out, struct problem *p)
{
    const char *text = NULL;
    char what[160];
    int place = 1;

    if (!read_name(object, name, &text, p))
        return false;
    if (!text)
        return true;
    for (const char *s = list; s; s = strchr(s, '|') ? strchr(s, '|') + 1 : NULL, place++) {
        if (strlen(text) == strcspn(s, "|") && !strncmp(text, s, strlen(text))) {
            *out = place;
            return true;
        }
    }
    snprintf(what, sizeof what, "is one of %s", list);
    return refuse_member(p, name, what);
}

/* ---------------------------------------------------------------- inputs ---------------------------------------- */

static bool is_id(const struct aki__json *node)
{
    int64_t id;

    return aki__json_int_in(node, 0, INT32_MAX, &id);
}

/* A string, or an array of ids. */
static bool read_input(const struct aki__json *node, struct request_input *in, const char *name, bool texts_only, struct problem *p)
{
    if (node->kind == AKI_JSON_STRING) {
        *in = (struct request_input){ .text = node->text, .size = node->size };
        return true;
    }
    if (node->kind != AKI_JSON_ARRAY || texts_only)
        return refuse_member(p, name, texts_only ? "is a string or an array of strings" : "is a string, an array of strings, or ids");
    for (uint32_t i = 0; i < node->size; i++)
        if (!is_id(node + 1 + i))
            return refuse_member(p, name, "holds something that is neither a string nor a token id");
    *in = (struct request_input){ .ids = node + 1, .count = node->size };
    return true;
}

static bool read_inputs(struct request *r, const struct aki__json *node, const char *name, bool texts_only, size_t most, struct problem *p)
{
    r->single = node->kind != AKI_JSON_ARRAY || (node->size && node[1].kind == AKI_JSON_NUMBER);
    r->count = r->single ? 1 : node->size;
    if (r->count > most) {
        p->param = name;
        return refuse(p, 422, type_validation, "batch size %zu > maximum allowed batch size %zu", r->count, most);
    }
    r->inputs = calloc(r->count + 1, sizeof *r->inputs);
    if (!r->inputs)
        return refuse(p, 503, type_unhealthy, "out of memory");
    if (r->single)
        return read_input(node, r->inputs, name, texts_only, p);
    const struct aki__json *element = node + 1;
    for (size_t i = 0; i < r->count; i++) {
        if (!read_input(element, &r->inputs[i], name, texts_only, p))
            return false;
        element += element->skip;
    }
    return true;
}

static bool check_filled(const struct request *r, const char *name, struct problem *p)
{
    bool filled = r->count > 0;

    for (size_t i = 0; i < r->count; i++)
        filled &= r->inputs[i].size + r->inputs[i].count > 0;
    if (filled)
        return true;
    p->param = name;
    p->code = "empty_input";
    return refuse(p, 400, type_empty, "Input validation error: `%s` cannot be empty", name);
}

/* ---------------------------------------------------------------- the table of members -------------------------- */

/* What a body said. */
struct said {
    const char *model, *name, *prompt_name, *instruction;                    /* NULL: not said */
    int         normalize, truncate, add_special, skip_special, stream, raw, activation, return_text;    /* YES, NO, NOT_SAID */
    int         kind, pooling, direction, format;                            /* places in their lists from 1 on; 0: not said */
};

#define OPENAI     (1u << BODY_OPENAI)
#define EMBED      (1u << BODY_EMBED)
#define OLLAMA     (1u << BODY_OLLAMA)
#define OLLAMA_OLD (1u << BODY_OLLAMA_OLD)
#define ALL        (1u << BODY_ALL)
#define SIMILARITY (1u << BODY_SIMILARITY)
#define TOKENIZE   (1u << BODY_TOKENIZE)
#define DECODE     (1u << BODY_DECODE)
#define SHOW       (1u << BODY_SHOW)
#define PULL       (1u << BODY_PULL)
#define RERANK     (1u << BODY_RERANK)
#define PREDICT    (1u << BODY_PREDICT)
#define SCORE      (1u << BODY_SCORE)
#define CLASSIFY   (1u << BODY_CLASSIFY)
#define SCORES     (RERANK | PREDICT | SCORE | CLASSIFY)
#define VECTORS    (OPENAI | EMBED | OLLAMA | OLLAMA_OLD | ALL | SIMILARITY)
#define AT(F)      offsetof(struct said, F)

// clang-format off
const struct member member_table[] = {
    { "model",                VECTORS | SCORES | TOKENIZE | DECODE | SHOW | PULL, MEMBER_NAME, AT(model), NULL },
    { "name",                 SHOW | PULL,                       MEMBER_NAME,   AT(name),        NULL },
    { "prompt_name",          VECTORS | SCORES | TOKENIZE,       MEMBER_NAME,   AT(prompt_name), NULL },
    { "instruction",          VECTORS | SCORES | TOKENIZE,       MEMBER_NAME,   AT(instruction), NULL },
    { "input_type",           VECTORS | TOKENIZE,                MEMBER_CHOICE, AT(kind),        AKI_KIND_CHOICES },
    { "pooling",              VECTORS,                           MEMBER_CHOICE, AT(pooling),     AKI_POOLING_CHOICES },
    { "normalize",            VECTORS,                           MEMBER_FLAG,   AT(normalize),   NULL },
    { "truncate",             VECTORS | SCORES,                  MEMBER_FLAG,   AT(truncate),    NULL },
    { "truncation",           RERANK,                            MEMBER_FLAG,   AT(truncate),    NULL },
    { "raw_scores",           SCORES,                            MEMBER_FLAG,   AT(raw),         NULL },
    { "use_activation",       SCORES,                            MEMBER_FLAG,   AT(activation),  NULL },
    { "return_text",          RERANK,                            MEMBER_FLAG,   AT(return_text), NULL },
    { "return_documents",     RERANK,                            MEMBER_FLAG,   AT(return_text), NULL },
    { "truncation_direction", VECTORS | SCORES,                  MEMBER_CHOICE, AT(direction),   "Right|Left|right|left" },
    { "encoding_format",      OPENAI,                            MEMBER_CHOICE, AT(format),      "float|base64" },
    { "add_special_tokens",   TOKENIZE,                          MEMBER_FLAG,   AT(add_special), NULL },
    { "skip_special_tokens",  DECODE,                            MEMBER_FLAG,   AT(skip_special), NULL },
    { "stream",               PULL,                              MEMBER_FLAG,   AT(stream),      NULL },
    { "dimensions",           VECTORS,                           MEMBER_INPUT,  0,               NULL },
    { "input",                OPENAI | OLLAMA | CLASSIFY,        MEMBER_INPUT,  0,               NULL },
    { "inputs",               EMBED | ALL | SIMILARITY | TOKENIZE | PREDICT, MEMBER_INPUT, 0,    NULL },
    { "texts",                EMBED | RERANK,                    MEMBER_INPUT,  0,               NULL },
    { "query",                RERANK,                            MEMBER_INPUT,  0,               NULL },
    { "documents",            RERANK | SCORE,                    MEMBER_INPUT,  0,               NULL },
    { "queries",              SCORE,                             MEMBER_INPUT,  0,               NULL },
    { "text_1",               SCORE,                             MEMBER_INPUT,  0,               NULL },
    { "text_2",               SCORE,                             MEMBER_INPUT,  0,               NULL },
    { "top_n",                RERANK,                            MEMBER_INPUT,  0,               NULL },
    { "top_k",                RERANK,                            MEMBER_INPUT,  0,               NULL },
    { "rank_fields",          RERANK,                            MEMBER_UNUSED, 0,               NULL },
    { "max_chunks_per_doc",   RERANK,                            MEMBER_UNUSED, 0,               NULL },
    { "prompt",               OLLAMA_OLD,                        MEMBER_INPUT,  0,               NULL },
    { "ids",                  DECODE,                            MEMBER_INPUT,  0,               NULL },
    { "parameters",           SIMILARITY,                        MEMBER_INPUT,  0,               NULL },
    { "user",                 OPENAI,                            MEMBER_UNUSED, 0,               NULL },
    { "options",              OLLAMA | OLLAMA_OLD,               MEMBER_UNUSED, 0,               NULL },
    { "keep_alive",           OLLAMA | OLLAMA_OLD,               MEMBER_UNUSED, 0,               NULL },
    { "verbose",              SHOW,                              MEMBER_UNUSED, 0,               NULL },
    { "insecure",             PULL,                              MEMBER_UNUSED, 0,               NULL },
};
// clang-format on
const size_t member_count = sizeof member_table / sizeof *member_table;

/* ---------------------------------------------------------------- bodies ---------------------------------------- */

/* Reads the members of a body of that kind by the table, but for the inputs themselves. */
static bool read_members(struct request *r, const struct aki__json *body, enum body_kind kind, struct problem *p)
{
    struct said said = { 0 };

    for (size_t i = 0; i < member_count; i++) {
        const struct member *m = &member_table[i];
        void *out = (char *)&said + m->field;
        if (!(m->bodies & 1u << kind))
            continue;
        if ((m->type == MEMBER_NAME && !read_name(body, m->name, out, p)) || (m->type == MEMBER_FLAG && !read_flag(body, m->name, out, p)) ||
            (m->type == MEMBER_CHOICE && !read_choice(body, m->name, m->choices, out, p)))
            return false;
    }
    const struct aki__json *dimensions = VECTORS & 1u << kind ? member(body, "dimensions") : NULL;
    if (dimensions && !aki__json_int_in(dimensions, 0, INT32_MAX, &r->dimensions))
        return refuse_member(p, "dimensions", "is a whole number, 1 or more");
    r->has_dimensions = dimensions != NULL;
    r->model = said.model ? said.model : said.name;
    r->prompt_name = said.prompt_name;
    r->instruction = said.instruction;
    r->kind = said.kind;
    r->pooling = said.pooling;
    /* Ollama's older route hands out what the model gives, all others vectors of length 1. */
    r->normalize = said.normalize == NO ? AKI_NORMALIZE_OFF : said.normalize == YES || kind != BODY_OLLAMA_OLD ? AKI_NORMALIZE_ON : AKI_NORMALIZE_DEFAULT;
    r->cut = said.truncate != NO;
    r->truncate = !said.direction ? AKI_TRUNCATE_DEFAULT : said.direction % 2 ? AKI_TRUNCATE_RIGHT : AKI_TRUNCATE_LEFT;
    r->base64 = said.format == 2;
    r->no_special = said.add_special == NO;
    r->keep_special = said.skip_special == NO;
    r->stream = said.stream != NO;
    r->raw = said.raw == YES || said.activation == NO;
    r->return_text = said.return_text == YES;
    return true;
}

static const struct aki__json *need(const struct aki__json *body, const char *name, struct problem *p)
{
    const struct aki__json *node = member(body, name);

    if (!node) {
        p->param = name;
        refuse(p, 422, type_validation, "Failed to deserialize the JSON body into the target type: missing field `%s`", name);
    }
    return node;
}

static bool read_openai(struct request *r, const struct aki__json *body, size_t most, struct problem *p)
{
    const struct aki__json *input = need(body, "input", p);

    return input && read_members(r, body, BODY_OPENAI, p) && read_inputs(r, input, "input", false, most, p) && check_filled(r, "input", p);
}

/* TEI's {"inputs"} and AkiDB's {"texts"} come to the same routes. */
static bool read_embed(struct request *r, const struct aki__json *body, size_t most, struct problem *p)
{
    bool texts = member(body, "texts"), inputs = member(body, "inputs");
    const char *name = texts ? "texts" : "inputs";

    if (texts && inputs)
        return refuse(p, 400, type_validation, "`inputs` and `texts` exclude each other: a body is TEI's or AkiDB's");
    r->family = texts ? FAMILY_AKIDB : FAMILY_TEI;
    const struct aki__json *node = need(body, name, p);
    return node && read_members(r, body, BODY_EMBED, p) && read_inputs(r, node, name, texts, most, p) && check_filled(r, name, p);
}

/* An empty input is no error there: no vectors come of it. */
static bool read_ollama(struct request *r, const struct aki__json *body, enum body_kind kind, size_t most, struct problem *p)
{
    const char *name = kind == BODY_OLLAMA ? "input" : "prompt";
    const struct aki__json *node = member(body, name);

    if (!read_members(r, body, kind, p))
        return false;
    if (!node)
        return true;
    if (!read_inputs(r, node, name, true, most, p))
        return false;
    if (r->single && !r->inputs[0].size)
        r->count = 0;
    return true;
}

/* {"inputs": {"source_sentence", "sentences"}, "parameters": {…}}: the source becomes input 0. */
static bool read_similarity(struct request *r, const struct aki__json *body, size_t most, struct problem *p)
{
    const struct aki__json *inputs = need(body, "inputs", p), *parameters = member(body, "parameters");
    const struct aki__json *source, *sentences;
    struct request_input first;

    if (!inputs || !(source = need(inputs, "source_sentence", p)) || !(sentences = need(inputs, "sentences", p)))
        return false;
    if (sentences->kind != AKI_JSON_ARRAY)
        return refuse_member(p, "sentences", "is an array of strings");
    if (parameters && parameters->kind != AKI_JSON_OBJECT)
        return refuse_member(p, "parameters", "is an object");
    if (!read_members(r, parameters ? parameters : body, BODY_SIMILARITY, p) || !read_name(body, "model", &r->model, p) ||
        !read_input(source, &first, "source_sentence", true, p) || !read_inputs(r, sentences, "sentences", true, most, p))
        return false;
    if (r->single)
        return refuse_member(p, "sentences", "is an array of strings");
    if (!r->count || !check_filled(r, "sentences", p))
        return check_filled(r, "sentences", p);
    memmove(r->inputs + 1, r->inputs, r->count * sizeof *r->inputs);          /* read_inputs keeps room for one more */
    r->inputs[0] = first;
    r->count++;
    return check_filled(r, "source_sentence", p);
}

/* ---------------------------------------------------------------- bodies of scores ------------------------------ */

/* A document: a string, or Cohere's object with a text. */
static bool read_document(const struct aki__json *node, struct request_input *in, const char *name, struct problem *p)
{
    const struct aki__json *text = node->kind == AKI_JSON_OBJECT ? member(node, "text") : node;

    if (!text || text->kind != AKI_JSON_STRING)
        return refuse_member(p, name, "is an array of strings, or of objects with a `text`");
    in->second = text->text;
    in->second_size = text->size;
    return true;
}

static bool room_for_inputs(struct request *r, const char *name, size_t count, size_t most, struct problem *p)
{
    if (count > most) {
        p->param = name;
        return refuse(p, 422, type_validation, "batch size %zu > maximum allowed batch size %zu", count, most);
    }
    r->count = count;
    r->inputs = calloc(count + 1, sizeof *r->inputs);
    return r->inputs ? true : refuse(p, 503, type_unhealthy, "out of memory");
}

/* Pairs: one query with each document, or as many queries as documents. */
static bool read_pairs(struct request *r, const struct aki__json *queries, const char *query_name, const struct aki__json *documents, const char *name,
                       size_t most, struct problem *p)
{
    const bool many = queries->kind == AKI_JSON_ARRAY && queries->size != 1, listed = documents->kind == AKI_JSON_ARRAY;
    const size_t count = listed ? documents->size : 1;
    const struct aki__json *query = queries->kind == AKI_JSON_ARRAY && queries->size ? queries + 1 : queries, *document = listed ? documents + 1 : documents;

    if (many && queries->size != count)
        return refuse_member(p, query_name, "is one string, or as many as there are documents");
    if (!room_for_inputs(r, name, count, most, p))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!read_input(query, &r->inputs[i], query_name, true, p) || !read_document(document, &r->inputs[i], name, p))
            return false;
        if (!r->inputs[i].size) {
            p->param = query_name;
            p->code = "empty_input";
            return refuse(p, 400, type_empty, "Input validation error: `%s` cannot be empty", query_name);
        }
        query += many ? query->skip : 0;
        document += document->skip;
    }
    return count || check_filled(r, name, p);
}

/* TEI's {"query", "texts"}; {"query", "documents"} of Cohere, Jina, vLLM and llama.cpp. */
static bool read_rerank(struct request *r, const struct aki__json *body, const struct request_limits *limits, struct problem *p)
{
    const bool texts = member(body, "texts");
    const char *name = texts ? "texts" : "documents", *most = member(body, "top_k") ? "top_k" : "top_n";

    r->family = texts ? FAMILY_TEI : FAMILY_COHERE;
    if (texts && member(body, "documents"))
        return refuse(p, 400, type_validation, "`texts` and `documents` exclude each other: a body is TEI's or Cohere's");
    const struct aki__json *query = need(body, "query", p), *documents = query ? need(body, name, p) : NULL, *top = member(body, most);
    if (!documents || !read_members(r, body, BODY_RERANK, p))
        return false;
    if (query->kind != AKI_JSON_STRING)
        return refuse_member(p, "query", "is a string");
    if (documents->kind != AKI_JSON_ARRAY)
        return refuse_member(p, name, "is an array of strings");
    if (top && !aki__json_int_in(top, texts ? 1 : 0, INT32_MAX, &r->top))
        return refuse_member(p, most, "is a whole number, 1 or more");
    return read_pairs(r, query, "query", documents, name, texts ? limits->inputs : limits->inputs_openai, p);
}

/* vLLM's {"queries", "documents"}, and its older {"text_1", "text_2"}. */
static bool read_score(struct request *r, const struct aki__json *body, size_t most, struct problem *p)
{
    const bool old = member(body, "text_1");
    const char *first = old ? "text_1" : "queries", *second = old ? "text_2" : "documents";
    const struct aki__json *queries = need(body, first, p), *documents = queries ? need(body, second, p) : NULL;

    return documents && read_members(r, body, BODY_SCORE, p) && read_pairs(r, queries, first, documents, second, most, p);
}

/* One text or pair of TEI's /predict: ["a"] or ["a", "b"]. */
static bool read_sequence(const struct aki__json *node, struct request_input *in, struct problem *p)
{
    if (node->kind != AKI_JSON_ARRAY || node->size < 1 || node->size > 2)
        return refuse_member(p, "inputs", "is a string, a pair of strings, or an array of texts and pairs, each an array");
    if (!read_input(node + 1, in, "inputs", true, p))
        return false;
    return node->size == 1 || read_document(node + 1 + node[1].skip, in, "inputs", p);
}

static bool read_predict(struct request *r, const struct aki__json *body, size_t most, struct problem *p)
{
    const struct aki__json *inputs = need(body, "inputs", p), *element;

    if (!inputs || !read_members(r, body, BODY_PREDICT, p))
        return false;
    r->single = inputs->kind != AKI_JSON_ARRAY || (inputs->size && inputs[1].kind == AKI_JSON_STRING);
    if (!room_for_inputs(r, "inputs", r->single ? 1 : inputs->size, most, p))
        return false;
    if (r->single)
        return (inputs->kind == AKI_JSON_STRING ? read_input(inputs, r->inputs, "inputs", true, p) : read_sequence(inputs, r->inputs, p)) &&
               check_filled(r, "inputs", p);
    element = inputs + 1;
    for (size_t i = 0; i < r->count; i++, element += element->skip)
        if (!read_sequence(element, &r->inputs[i], p))
            return false;
    return check_filled(r, "inputs", p);
}

/* Texts, and nothing else to be read by hand; of BODY_ALL also ids. */
static bool read_plain(struct request *r, const struct aki__json *body, enum body_kind kind, const char *name, size_t most, struct problem *p)
{
    const struct aki__json *inputs = need(body, name, p);

    return inputs && read_members(r, body, kind, p) && read_inputs(r, inputs, name, kind != BODY_ALL, most, p) && check_filled(r, name, p);
}

static bool read_decode(struct request *r, const struct aki__json *body, size_t most, struct problem *p)
{
    const struct aki__json *ids = need(body, "ids", p);

    if (!ids || !read_members(r, body, BODY_DECODE, p) || !read_inputs(r, ids, "ids", false, most, p))
        return false;
    for (size_t i = 0; i < r->count; i++)
        if (r->inputs[i].text)
            return refuse_member(p, "ids", "is an array of token ids, or of such arrays");
    return r->count ? true : check_filled(r, "ids", p);
}

const char *json_words(enum aki__json_error error)
{
    switch (error) {
    case AKI_JSON_TOO_LONG:           return "too long";
    case AKI_JSON_TOO_MANY:           return "too many values";
    case AKI_JSON_TOO_DEEP:           return "recursion limit exceeded";
    case AKI_JSON_NOT_UTF8:           return "invalid unicode code point";
    case AKI_JSON_ENDS:               return "EOF while parsing a value";
    case AKI_JSON_ENDS_IN_ARRAY:      return "EOF while parsing a list";
    case AKI_JSON_ENDS_AT_COLON:
    case AKI_JSON_ENDS_IN_OBJECT:     return "EOF while parsing an object";
    case AKI_JSON_ENDS_IN_STRING:     return "EOF while parsing a string";
    case AKI_JSON_BYTE_ORDER_MARK:
    case AKI_JSON_NO_VALUE:           return "expected value";
    case AKI_JSON_NO_NUMBER:
    case AKI_JSON_NO_FRACTION:        return "invalid number";
    case AKI_JSON_NO_KEY:             return "key must be a string";
    case AKI_JSON_NO_COLON:           return "expected `:`";
    case AKI_JSON_NO_COMMA_IN_ARRAY:  return "expected `,` or `]`";
    case AKI_JSON_NO_COMMA_IN_OBJECT: return "expected `,` or `}`";
    case AKI_JSON_CONTROL:            return "control character while parsing a string";
    case AKI_JSON_ESCAPE:             return "invalid escape";
    case AKI_JSON_SURROGATE:          return "lone surrogate in an escape";
    case AKI_JSON_TWICE:              return "duplicate field";
    case AKI_JSON_BEHIND:             return "trailing characters";
    case AKI_JSON_FINE:
    case AKI_JSON_NO_MEMORY:          break;
    }
    return aki__json_words(error);
}

static bool refuse_json(const struct aki__json_problem *j, struct problem *p)
{
    if (j->error == AKI_JSON_NO_MEMORY)
        return refuse(p, 503, type_unhealthy, "out of memory");
    return refuse(p, 400, type_validation, "Failed to parse the request body as JSON: %s at line %zu column %zu", json_words(j->error), j->line, j->column);
}

bool request_read(struct request *r, enum body_kind kind, char *body, size_t size, const struct request_limits *limits, struct problem *p)
{
    static const enum family families[] = { [BODY_OPENAI] = FAMILY_OPENAI, [BODY_OLLAMA] = FAMILY_OLLAMA, [BODY_OLLAMA_OLD] = FAMILY_OLLAMA,
                                            [BODY_SHOW] = FAMILY_OLLAMA, [BODY_PULL] = FAMILY_OLLAMA, [BODY_SCORE] = FAMILY_OPENAI, [BODY_CLASSIFY] = FAMILY_OPENAI };
    struct aki__json_problem j;

    memset(r, 0, sizeof *r);
    r->family = kind < sizeof families / sizeof *families ? families[kind] : FAMILY_TEI;
    r->cut = true;
    if (!aki__json_read_in_place(&r->doc, body, size, r->family == FAMILY_OLLAMA ? AKI_JSON_LONE_HALVES : 0, JSON_DEPTH, &j))
        return refuse_json(&j, p);
    const struct aki__json *top = r->doc.nodes;
    if (top->kind != AKI_JSON_OBJECT)
        return refuse(p, 422, type_validation, "Failed to deserialize the JSON body into the target type: the body is not an object");
    switch (kind) {
    case BODY_OPENAI:     return read_openai(r, top, limits->inputs_openai, p);
    case BODY_EMBED:      return read_embed(r, top, limits->inputs, p);
    case BODY_OLLAMA:     return read_ollama(r, top, kind, limits->inputs_openai, p);
    case BODY_OLLAMA_OLD: return read_ollama(r, top, kind, 1, p);
    case BODY_SIMILARITY: return read_similarity(r, top, limits->inputs, p);
    case BODY_TOKENIZE:   return read_plain(r, top, kind, "inputs", limits->inputs, p);
    case BODY_DECODE:     return read_decode(r, top, limits->inputs, p);
    case BODY_RERANK:     return read_rerank(r, top, limits, p);
    case BODY_PREDICT:    return read_predict(r, top, limits->inputs, p);
    case BODY_SCORE:      return read_score(r, top, limits->inputs_openai, p);
    case BODY_CLASSIFY:   return read_plain(r, top, kind, "input", limits->inputs_openai, p);
    case BODY_SHOW:
    case BODY_PULL:       return read_members(r, top, kind, p);
    case BODY_ALL:        break;
    }
    return read_plain(r, top, BODY_ALL, "inputs", limits->inputs, p);
}

void request_free(struct request *r)
{
    free(r->inputs);
    aki__json_free(&r->doc);
    memset(r, 0, sizeof *r);
}
