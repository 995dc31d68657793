/* Unit json: a strict, read-only JSON reader for large files: one pass, one array of nodes, strings left where they are.
 * Why our own: tokenizer.json files hold 300,000 strings; measured on Qwen3's 11 MB, jansson needs 405 ms and 66 MB. */
#ifndef AKI_JSON_H
#define AKI_JSON_H

#include "base/base.h"

enum aki__json_kind { AKI_JSON_NULL, AKI_JSON_FALSE, AKI_JSON_TRUE, AKI_JSON_NUMBER, AKI_JSON_STRING, AKI_JSON_ARRAY, AKI_JSON_OBJECT };

/* A node: a value, in document order. An object's children alternate key, value. */
struct aki__json {
    const char *text;       /* a string's bytes (decoded, may hold NUL, no final NUL) or a number's spelling; borrowed */
    uint32_t    size;       /* bytes of text; of arrays and objects the number of elements (pairs) */
    uint32_t    kind : 8;
    uint32_t    spare : 24;
    uint32_t    skip;       /* nodes of this value, its children included: node + skip is the next sibling */
    uint32_t    offset;     /* byte in the source, for messages */
};

struct aki__json_doc {
    struct aki__json *nodes;        /* nodes[0] is the root */
    size_t            count, capacity;
    char             *decoded;      /* strings that held escapes */
    const char       *name;         /* of the file, for messages; borrowed */
};

#define AKI_JSON_MAX_DEPTH 128
/* What a hostile file can make us allocate: a node of 32 bytes for every two of its own ("[0,0,…"), and the decoded strings. The largest
 * tokenizer.json there is has a million pieces: 3 million nodes in 60 MB. */
#define AKI_JSON_MAX_NODES ((size_t)1 << 23)
#define AKI_JSON_MAX_SIZE  (UINT32_C(1) << 28)

/* text: [size] bytes, borrowed as long as the doc is used. Strict RFC 8259: UTF-8 only, without a byte order mark, no lone surrogates, no
 * duplicate keys, no trailing text.
 * Errors: INVALID with name and byte; NOMEM. The doc is valid to free either way. */
aki_status aki__json_parse(struct aki__json_doc *doc, const char *text, size_t size, const char *name, aki_error *err);
/* The same for a file with a vocabulary, whose reader notices itself what stands twice: large objects of numbers alone are left to it. */
aki_status aki__json_parse_vocabulary(struct aki__json_doc *doc, const char *text, size_t size, const char *name, aki_error *err);
void       aki__json_free(struct aki__json_doc *doc);

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
bool aki__json_double(const struct aki__json *node, double *out);
bool aki__json_bool(const struct aki__json *node, bool *out);

#endif
