/* Unit json: a strict, read-only JSON reader: one pass, one array of nodes in document order, strings left where they are. It serves tokenizer.json
 * files with 300,000 strings as well as the bodies of requests and lines of texts.
 * Why our own: measured on Qwen3's 11 MB, jansson needs 405 ms and 66 MB. */
#ifndef AKI_UTIL_JSON_H
#define AKI_UTIL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum aki__json_kind { AKI_JSON_NULL, AKI_JSON_FALSE, AKI_JSON_TRUE, AKI_JSON_NUMBER, AKI_JSON_STRING, AKI_JSON_ARRAY, AKI_JSON_OBJECT };

/* A node: a value, in document order. An object's children alternate key, value. */
struct aki__json {
    const char *text;       /* a string's bytes (decoded, may hold NUL; a final NUL in place only) or a number's spelling; borrowed */
    uint32_t    size;       /* bytes of text; of arrays and objects the number of elements (pairs) */
    uint32_t    kind;
    uint32_t    skip;       /* nodes of this value, its children included: node + skip is the next sibling */
    uint32_t    offset;     /* byte in the source where the value begins */
};

struct aki__json_doc {
    struct aki__json *nodes;        /* nodes[0] is the root */
    size_t            count, capacity;
    char             *decoded;      /* strings that held escapes, where they are not decoded in place */
};

#define AKI_JSON_MAX_DEPTH 128
/* What a hostile text can make us allocate: a node of 24 bytes for every two of its own ("[0,0,…"), and the decoded strings. The largest
 * tokenizer.json there is has a million pieces: 3 million nodes in 60 MB. */
#define AKI_JSON_MAX_NODES ((size_t)1 << 23)
#define AKI_JSON_MAX_SIZE  (UINT32_C(1) << 28)

enum aki__json_error {
    AKI_JSON_FINE,
    AKI_JSON_NO_MEMORY,
    AKI_JSON_TOO_LONG, AKI_JSON_TOO_MANY, AKI_JSON_TOO_DEEP,                    /* above a limit */
    AKI_JSON_BYTE_ORDER_MARK, AKI_JSON_NOT_UTF8,
    AKI_JSON_ENDS, AKI_JSON_ENDS_IN_ARRAY, AKI_JSON_ENDS_IN_OBJECT,             /* where a value is due; behind an element; in an object else */
    AKI_JSON_ENDS_AT_COLON, AKI_JSON_ENDS_IN_STRING,
    AKI_JSON_NO_VALUE, AKI_JSON_NO_NUMBER, AKI_JSON_NO_FRACTION,                /* of a number: its whole part, or what follows it */
    AKI_JSON_NO_KEY, AKI_JSON_NO_COLON, AKI_JSON_NO_COMMA_IN_ARRAY, AKI_JSON_NO_COMMA_IN_OBJECT,
    AKI_JSON_CONTROL, AKI_JSON_ESCAPE, AKI_JSON_SURROGATE,                      /* in a string */
    AKI_JSON_TWICE,                                                             /* a key */
    AKI_JSON_BEHIND,                                                            /* more text behind the value */
};
/* What is wrong, in words. */
const char *aki__json_words(enum aki__json_error error);

struct aki__json_problem {
    enum aki__json_error error;
    size_t               offset;            /* byte of the text */
    size_t               line, column;      /* the same, from 1 on; the column counts bytes */
};

/* How a text is read; 0 is strict RFC 8259: no lone surrogates, no duplicate keys. */
enum {
    AKI_JSON_VOCABULARY    = 1,     /* the reader notices itself what stands twice: large objects of numbers alone are left to it */
    AKI_JSON_REPEATED_KEYS = 2,     /* a key may stand twice in an object */
    AKI_JSON_COUNT_NUMBERS = 8,     /* numbers in arrays are checked and counted (size), but have no nodes; the text may be longer, up to 4 GiB */
    AKI_JSON_LONE_HALVES   = 4,     /* half a surrogate pair is read as U+FFFD, as Go's reader does: clients that cut strings by UTF-16 units send it */
};

/* text: [size] bytes of UTF-8 without a byte order mark, borrowed as long as the doc is used. depth: of arrays and objects in one another, at
 * most AKI_JSON_MAX_DEPTH. false: *problem says what and where. The doc is valid to free, and due to be, either way. */
bool aki__json_read(struct aki__json_doc *doc, const char *text, size_t size, unsigned how, int depth, struct aki__json_problem *problem);
/* The same, but strings are decoded where they stand, with a NUL behind them: the text is changed. */
bool aki__json_read_in_place(struct aki__json_doc *doc, char *text, size_t size, unsigned how, int depth, struct aki__json_problem *problem);
void aki__json_free(struct aki__json_doc *doc);

/* Value of a key, or NULL; NULL too where node is NULL or no object. */
const struct aki__json *aki__json_get(const struct aki__json *node, const char *key);
/* First child (NULL where there is none), and the sibling behind a child. Use with node->size as the loop's bound:
 *     const struct aki__json *e = aki__json_first(array);
 *     for (uint32_t i = 0; i < array->size; i++, e = aki__json_next(e)) …
 * In an object the first child is a key, its sibling the value. */
const struct aki__json *aki__json_first(const struct aki__json *node);
static inline const struct aki__json *aki__json_next(const struct aki__json *node) { return node + node->skip; }

static inline bool aki__json_is(const struct aki__json *node, enum aki__json_kind kind) { return node && node->kind == (uint32_t)kind; }
/* node is a string equal to text. */
bool aki__json_equals(const struct aki__json *node, const char *text);
/* false where node is no number that fits (an integer may be spelled 1.0 or 1e3). */
bool aki__json_int(const struct aki__json *node, int64_t *out);
bool aki__json_int_in(const struct aki__json *node, int64_t least, int64_t most, int64_t *out);
bool aki__json_double(const struct aki__json *node, double *out);
bool aki__json_bool(const struct aki__json *node, bool *out);

#endif
