/* Unit pipeline: what the stages of a tokenizer share: reading their JSON, the text between two stages, the work memory of a
 * call.
 *
 * Between two stages a text consists of its bytes and, if spans are wanted, of a map: for each byte, the range of the caller's
 * text from which it came. Hugging Face has the same map and derives spans from it, so every stage updates the map as theirs
 * does: see aki__sink. */
#ifndef AKI_PIPELINE_H
#define AKI_PIPELINE_H

#include "base/base.h"
#include "base/json.h"
#include "text/algorithm.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

/* ---------------------------------------------------------------- reading tokenizer.json ------------------------ */

struct aki__reader {
    const char *name;           /* name of the file, for messages */
    aki_error  *err;            /* not NULL if there is a report */
    struct aki__report *report; /* of all errors; NULL: only the first is wanted */
    size_t      stages;         /* stages read so far by aki__read_sequence */
    const struct aki__json *normalizer;     /* replaces that of a WordPiece file; NULL: the file's own */
    size_t      size;           /* bytes of path */
    char        path[160];      /* "pre_tokenizer.pretokenizers[1]" */
};
/* Appends ".key" or "[index]" to the path; returns its old size, for aki__path_back. */
size_t aki__path_key(struct aki__reader *r, const char *key);
size_t aki__path_index(struct aki__reader *r, uint32_t index);
void   aki__path_back(struct aki__reader *r, size_t size);
/* Fails with "NAME: PATH: what". key: appended to the path, or NULL. */
aki_status aki__read_fail(struct aki__reader *r, aki_status status, const char *key, const char *what);
/* Ends a part, or an element of a list, that was read with the status rc: restores the path to `back`, and reports the error
 * unless one inside the part was reported already. reported: aki__read_reported before the part. Returns rc. */
static inline size_t aki__read_reported(const struct aki__reader *r) { return r->report ? r->report->count : 0; }
aki_status aki__read_end(struct aki__reader *r, size_t back, size_t reported, aki_status rc);
/* Whether to read the next part after one with the status rc: with a report, reading continues after errors, but the result is
 * not used. */
static inline bool aki__read_on(const struct aki__reader *r, aki_status rc) { return !rc || (r->report && rc != AKI_E_NOMEM); }

/* Reads a member of node. If it is missing or null: INVALID if required, else *out does not change. */
aki_status aki__read_bool(struct aki__reader *r, const struct aki__json *node, const char *key, bool required, bool *out);
aki_status aki__read_size(struct aki__reader *r, const struct aki__json *node, const char *key, bool required, size_t *out);
aki_status aki__read_id(struct aki__reader *r, const struct aki__json *node, const char *key, int32_t *out);
/* The string is borrowed from the document. */
aki_status aki__read_string(struct aki__reader *r, const struct aki__json *node, const char *key, const char **out, size_t *size);
aki_status aki__read_character(struct aki__reader *r, const struct aki__json *node, const char *key, uint32_t *out);
aki_status aki__read_list(struct aki__reader *r, const struct aki__json *node, const char *key, const struct aki__json **out);
/* Reads "type" of node as an index into names, which end with NULL. UNSUPPORTED: the type is not among them. */
aki_status aki__read_type(struct aki__reader *r, const struct aki__json *node, const char *const *names, int *out);
/* Calls add for node with the index of its type in names. If the type is "Sequence", does so for each element under key, in
 * order and at any depth. */
aki_status aki__read_sequence(struct aki__reader *r, const struct aki__json *node, const char *const *names, const char *key,
                              aki_status (*add)(void *user, struct aki__reader *r, const struct aki__json *node, int type), void *user);

/* The byte alphabet of GPT-2: the code point that represents a byte, and the byte of a code point (-1: none). */
uint32_t aki__byte_to_code(uint8_t byte);
int      aki__byte_from_code(uint32_t c);

/* ---------------------------------------------------------------- the text between two stages ------------------- */

struct aki__extent { uint32_t begin, end; };        /* bytes [begin, end) of the caller's text */

struct aki__text {
    const char               *data;
    size_t                    size;
    const struct aki__extent *map;      /* [size]; NULL: data is part of the caller's text, or no spans are wanted */
};

struct aki__extents { struct aki__extent *data; size_t capacity; };

struct aki__stage_buffer {              /* the output of a stage; map only if tracked */
    struct aki__buf     text;
    struct aki__extents map;
};

struct aki__token_span { uint32_t begin, end, leading, trailing; };      /* leading, trailing: characters of white space in the token */

struct aki__pending { uint32_t c; int32_t change; uint8_t combining; };

struct aki__tokenizer;

/* The work memory of a call, see aki__work_acquire. */
struct aki__work {
    struct aki__work                *next;          /* in the free list */
    const struct aki__tokenizer     *owner;
    const char                      *source;        /* the caller's text */
    size_t                           source_size;
    bool                             track;         /* maintain maps */
    bool                             spans_wanted;
    const char                      *failure;       /* static text: the error of a stage */
    struct aki__algorithm_scratch   *algorithm;
    struct aki__tokens               tokens;
    struct aki__token_span               *spans;        /* [tokens.count] where spans_wanted */
    size_t                           spans_capacity;
    struct aki__stage_buffer         normalized[2];
    int                              turn;          /* the index that the next normaliser writes */
    struct aki__stage_buffer        *steps;         /* [n_steps] the outputs of the pre-tokeniser's stages */
    size_t                           n_steps;
    struct aki__pending             *pending, *sorted;
    size_t                           pending_capacity, sorted_capacity;
    struct aki__regex_work          *regex;
};

aki_status aki__nomem(struct aki__work *w);         /* sets w->failure; returns NOMEM */

/* The range of the caller's text from which byte `at` came. at < t->size. */
struct aki__extent aki__text_extent(const struct aki__work *w, const struct aki__text *t, size_t at);
/* The part [begin, end) of a text. */
static inline struct aki__text aki__text_part(const struct aki__text *t, size_t begin, size_t end)
{
    return (struct aki__text){ t->data + begin, end - begin, t->map ? t->map + begin : NULL };
}

/* A sink receives the output of a stage for the input `in`, code point by code point, each with a change as Hugging Face
 * defines it: 0 replaces the next code point of the input, a positive one inserts after the previous one, and -n replaces the
 * next one and removes n more. */
struct aki__sink {
    struct aki__work         *w;
    struct aki__text          in;
    struct aki__stage_buffer *out;
    size_t                    at;           /* bytes of the input consumed; only if tracked */
    uint32_t                  origin;       /* offset of the input in the caller's text */
    bool                      failed;       /* no memory, or the output is above the limit */
};
/* room: expected bytes of output. */
void aki__sink_begin(struct aki__sink *s, struct aki__work *w, const struct aki__text *in, struct aki__stage_buffer *out,
                     uint32_t origin, size_t room);
void aki__sink_put(struct aki__sink *s, uint32_t c, int32_t change);
void aki__sink_drop(struct aki__sink *s, size_t characters);
/* Copies the next [size] bytes of the input. */
void aki__sink_copy(struct aki__sink *s, const char *bytes, size_t size);
/* Inserts bytes, whose range is that of the input byte before `end`. */
void aki__sink_insert(struct aki__sink *s, const char *bytes, size_t size, size_t end);
/* Replaces the input up to end: inserts bytes as aki__sink_insert does, and consumes the input. */
void aki__sink_replace(struct aki__sink *s, const char *bytes, size_t size, size_t end);
struct aki__text aki__sink_text(const struct aki__sink *s);

#endif
