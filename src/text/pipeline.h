/* Unit pipeline: what the stages of a tokenizer share: reading their JSON, a text on its way, a call's work memory.
 *
 * A text on its way is bytes and, where spans are wanted, the range of the caller's text that each byte came from ("map").
 * Hugging Face keeps the same map, and spans are what it says, so every stage moves it as theirs do: see aki__sink. */
#ifndef AKI_PIPELINE_H
#define AKI_PIPELINE_H

#include "base/base.h"
#include "base/json.h"
#include "text/algorithm.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

/* ---------------------------------------------------------------- reading tokenizer.json ------------------------ */

struct aki__reader {
    const char *name;           /* of the file, for messages */
    aki_error  *err;            /* not NULL if there is a report */
    struct aki__report *report; /* of all errors; NULL: only the first is wanted */
    size_t      stages;         /* read so far by aki__read_sequence */
    const struct aki__json *normalizer;     /* in place of a WordPiece file's own; NULL: its own */
    size_t      size;           /* of path */
    char        path[160];      /* "pre_tokenizer.pretokenizers[1]" */
};
/* Lengthens the path by ".key" or "[index]"; answers what to give to aki__path_back. */
size_t aki__path_key(struct aki__reader *r, const char *key);
size_t aki__path_index(struct aki__reader *r, uint32_t index);
void   aki__path_back(struct aki__reader *r, size_t size);
/* "NAME: PATH: what", where key, if not NULL, is the path's last part. */
aki_status aki__read_fail(struct aki__reader *r, aki_status status, const char *key, const char *what);
/* Ends a part, or an element of a list, that was read with the status rc: restores the path to `back`, and reports the error unless one
 * inside the part was reported already. reported: aki__read_reported before the part. Returns rc. */
static inline size_t aki__read_reported(const struct aki__reader *r) { return r->report ? r->report->count : 0; }
aki_status aki__read_end(struct aki__reader *r, size_t back, size_t reported, aki_status rc);
/* Whether to read the next part after one with the status rc: with a report, reading continues after errors, but the result is not used. */
static inline bool aki__read_on(const struct aki__reader *r, aki_status rc) { return !rc || (r->report && rc != AKI_E_NOMEM); }

/* A member of node. Where it is missing or null: INVALID if required, else *out is left as it is. */
aki_status aki__read_bool(struct aki__reader *r, const struct aki__json *node, const char *key, bool required, bool *out);
aki_status aki__read_size(struct aki__reader *r, const struct aki__json *node, const char *key, bool required, size_t *out);
aki_status aki__read_id(struct aki__reader *r, const struct aki__json *node, const char *key, int32_t *out);
/* borrowed from the document */
aki_status aki__read_string(struct aki__reader *r, const struct aki__json *node, const char *key, const char **out, size_t *size);
aki_status aki__read_character(struct aki__reader *r, const struct aki__json *node, const char *key, uint32_t *out);
aki_status aki__read_list(struct aki__reader *r, const struct aki__json *node, const char *key, const struct aki__json **out);
/* node's "type" as an index into names (NULL ends them); UNSUPPORTED names an unknown one. */
aki_status aki__read_type(struct aki__reader *r, const struct aki__json *node, const char *const *names, int *out);
/* Calls add for node with its type (its index in names), or where that is "Sequence" for each of the elements under key, in order and at any depth. */
aki_status aki__read_sequence(struct aki__reader *r, const struct aki__json *node, const char *const *names, const char *key,
                              aki_status (*add)(void *user, struct aki__reader *r, const struct aki__json *node, int type), void *user);

/* The byte alphabet of GPT-2: the code point that stands for a byte, and back (-1: for none). */
uint32_t aki__byte_to_code(uint8_t byte);
int      aki__byte_from_code(uint32_t c);

/* ---------------------------------------------------------------- a text on its way ----------------------------- */

struct aki__extent { uint32_t begin, end; };        /* bytes in the caller's text */

struct aki__text {
    const char               *data;
    size_t                    size;
    const struct aki__extent *map;      /* [size]; NULL: data lies in the caller's text, or nobody wants spans */
};

struct aki__extents { struct aki__extent *data; size_t capacity; };

struct aki__stage_buffer {              /* what a stage writes: text and, where tracked, map */
    struct aki__buf     text;
    struct aki__extents map;
};

struct aki__token_span { uint32_t begin, end, leading, trailing; };      /* a token's span; white space its piece begins and ends with */

struct aki__pending { uint32_t c; int32_t change; uint8_t combining; };

struct aki__tokenizer;

/* A call's work memory: from the tokenizer's free list, given back to it. */
struct aki__work {
    struct aki__work                *next;          /* in the free list */
    const struct aki__tokenizer     *owner;
    const char                      *source;        /* the caller's text */
    size_t                           source_size;
    bool                             track;         /* keep maps */
    bool                             spans_wanted;
    const char                      *failure;       /* static text: why a stage failed */
    struct aki__algorithm_scratch   *algorithm;
    struct aki__tokens               tokens;
    struct aki__token_span               *spans;        /* [tokens.count] where spans_wanted */
    size_t                           spans_capacity;
    struct aki__stage_buffer         normalized[2];
    int                              turn;          /* the one that the next normaliser writes */
    struct aki__stage_buffer        *steps;         /* [n_steps] of the pre-tokeniser's stages */
    size_t                           n_steps;
    struct aki__pending             *pending, *sorted;
    size_t                           pending_capacity, sorted_capacity;
    struct aki__regex_work          *regex;
};

aki_status aki__nomem(struct aki__work *w);         /* says so in w->failure */

/* The caller's range that byte `at` of the text came from. at < size. */
struct aki__extent aki__text_extent(const struct aki__work *w, const struct aki__text *t, size_t at);
/* The part [begin, end) of a text. */
static inline struct aki__text aki__text_part(const struct aki__text *t, size_t begin, size_t end)
{
    return (struct aki__text){ t->data + begin, end - begin, t->map ? t->map + begin : NULL };
}

/* A sink takes the code points that a stage makes of `in`, each with a change as Hugging Face counts them: 0 replaces the next
 * code point of the input, above 0 is new beside the one before, below 0 replaces and drops so many more behind it. */
struct aki__sink {
    struct aki__work         *w;
    struct aki__text          in;
    struct aki__stage_buffer *out;
    size_t                    at;           /* bytes of the input consumed; kept only where tracked */
    uint32_t                  origin;       /* where the input begins in the caller's text */
    bool                      failed;       /* no memory, or above the limit */
};
/* room: bytes expected. */
void aki__sink_begin(struct aki__sink *s, struct aki__work *w, const struct aki__text *in, struct aki__stage_buffer *out, uint32_t origin, size_t room);
void aki__sink_put(struct aki__sink *s, uint32_t c, int32_t change);
void aki__sink_drop(struct aki__sink *s, size_t characters);
/* Bytes that stay as they are: [size] from the input's present place. */
void aki__sink_copy(struct aki__sink *s, const char *bytes, size_t size);
/* Bytes that stand for the input's range of the byte before `end` (insertions). */
void aki__sink_insert(struct aki__sink *s, const char *bytes, size_t size, size_t end);
/* A replaced range: bytes as aki__sink_insert, and the input is consumed up to end. */
void aki__sink_replace(struct aki__sink *s, const char *bytes, size_t size, size_t end);
struct aki__text aki__sink_text(const struct aki__sink *s);

#endif
