/* Unit json: reads the body of a request into nodes in the order of the text; strings are decoded where they stand. */
#ifndef AKI_SERVER_JSON_H
#define AKI_SERVER_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

enum { JSON_DEPTH = 32 };                  /* of arrays and objects in one another: requests need four */

struct json {
    const char *text;                      /* JSON_STRING: decoded, NUL behind it (and maybe inside); JSON_NUMBER: as spelled */
    uint32_t    size;                      /* bytes of text; elements of an array; members of an object, whose keys are nodes too */
    uint32_t    skip;                      /* nodes to the next value: 1, or more where there are elements */
    uint32_t    offset;                    /* byte of the body where the value begins */
    uint8_t     kind;                      /* enum json_kind */
};

struct json_doc {
    struct json *nodes;                    /* [count]; node 0 is the body's value */
    size_t       count, capacity;
};

struct json_problem {
    size_t      offset;                    /* byte of the body */
    size_t      line, column;              /* the same, from 1 on */
    const char *what;                      /* static; NULL: no memory */
};

/* body: [size] bytes and one more of room, changed in place; the nodes point into it. A false answer leaves nothing to free.
 * Refused: what RFC 8259 refuses, invalid UTF-8, halves of surrogate pairs, deeper than JSON_DEPTH, a key that stands twice
 * in an object. */
bool json_parse(struct json_doc *doc, char *body, size_t size, struct json_problem *problem);
/* The same, but half a surrogate pair is read as U+FFFD, as Go's reader does: clients that cut strings by UTF-16 units send it. */
bool json_parse_loose(struct json_doc *doc, char *body, size_t size, struct json_problem *problem);
/* The same for files, whose objects may be tables: equal keys are refused among an object's first 256 only. */
bool json_parse_tables(struct json_doc *doc, char *body, size_t size, struct json_problem *problem);
void json_free(struct json_doc *doc);

/* The member of an object, or NULL. */
const struct json *json_get(const struct json *object, const char *key);
/* Whole numbers (also spelled 8.0 or 1e3) from least to most. */
bool json_int(const struct json *node, int64_t least, int64_t most, int64_t *out);

#endif
