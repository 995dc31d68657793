/* Unit tokenizer: the face of text/: UTF-8 text to token ids as a tokenizer.json says, and back.
 *
 * A text goes through: added tokens cut out -> normaliser -> added tokens (normalised ones) cut out -> pre-tokeniser ->
 * algorithm (BPE | WordPiece | Unigram | WordLevel) -> truncation -> post-processor (template). Equal to Hugging Face
 * tokenizers 0.23 on every text; what a file asks for that is not implemented is refused at open with its JSON path. */
#ifndef AKI_TOKENIZER_H
#define AKI_TOKENIZER_H

#include "base/base.h"

/* Bytes of one text, and of what normalisers make of it: positions are 32 bits wide, with room for sums. */
#define AKI_TEXT_LIMIT ((size_t)1 << 30)

struct aki__tokenizer;      /* immutable after open; any number of threads may encode at once */

/* path: a tokenizer.json. Its "padding" is ignored, and of its "truncation" all but the direction. The file is not needed afterwards.
 * normalizer (JSON as in a tokenizer.json; NULL: none): stands in place of the file's own where the file's model is a WordPiece.
 * Errors: NOT_FOUND, IO, INVALID (file and byte or JSON path), UNSUPPORTED (JSON path of the unknown part), NOMEM. */
aki_status aki__tokenizer_open(struct aki__tokenizer **out, const char *path, const char *normalizer, aki_error *err);
/* The same from memory, with its own normaliser; name stands in messages. */
aki_status aki__tokenizer_parse(struct aki__tokenizer **out, const char *json, size_t size, const char *name, aki_error *err);
/* The same for aki_check: continues after an error, and reports all errors that do not follow from another (in "model" only the first).
 * err must not be NULL. */
aki_status aki__tokenizer_examine(struct aki__tokenizer **out, const char *json, size_t size, const char *name, const char *normalizer,
                                  struct aki__report *report, aki_error *err);
void       aki__tokenizer_free(struct aki__tokenizer *t);

struct aki__encode_options {
    bool    special;            /* add the post-processor's special tokens */
    bool    parse_special;      /* special strings in the text match as in Hugging Face */
    size_t  max_tokens;         /* special tokens included; 0: no limit */
    int     truncate;           /* AKI_TRUNCATE_LEFT: the beginning goes; ERROR: fails with INVALID and the token count; else the end */
};

/* The result; zeroed means empty. Arrays grow and are reused by the next call. */
struct aki__encoding {
    int32_t *ids;               /* [count] */
    int64_t *spans;             /* [count, 2] byte begin and end in the text; special tokens 0, 0. Only where want_spans */
    int32_t *types;             /* [count] token types, as the template gives them. Only where want_types */
    int8_t  *sequences;         /* [count] 0: of the text, 1: of the second one, -1: a special token. Only where want_types */
    size_t   count, capacity, spans_capacity, types_capacity;
    size_t   full_count;        /* what count would be without max_tokens */
    bool     want_spans, want_types;    /* set by the caller; ids alone are faster */
};
void aki__encoding_free(struct aki__encoding *e);

/* text: [size] bytes, any bytes, NUL included. Invalid UTF-8 -> INVALID, err->offset the byte. */
aki_status aki__tokenizer_encode(struct aki__tokenizer *t, const char *text, size_t size, const struct aki__encode_options *options,
                                 struct aki__encoding *out, aki_error *err);
/* A pair of texts through the post-processor's pair template; truncation takes from the longer one first, as Hugging Face's
 * longest_first does. spans of the second text count from its own begin. */
aki_status aki__tokenizer_encode_pair(struct aki__tokenizer *t, const char *a, size_t a_size, const char *b, size_t b_size,
                                      const struct aki__encode_options *options, struct aki__encoding *out, aki_error *err);

/* Appends the text of ids to out. skip_special: special added tokens are left out. An unknown id -> INVALID, err->offset its index. */
aki_status aki__tokenizer_decode(const struct aki__tokenizer *t, const int32_t *ids, size_t count, bool skip_special,
                                 struct aki__buf *out, aki_error *err);

size_t      aki__tokenizer_vocabulary(const struct aki__tokenizer *t);                       /* ids are below this */
const char *aki__tokenizer_piece(const struct aki__tokenizer *t, int32_t id, size_t *size);  /* the file's spelling; NULL: no such id */
int32_t     aki__tokenizer_id(const struct aki__tokenizer *t, const char *piece, size_t size);   /* -1: none */
size_t      aki__tokenizer_special_count(const struct aki__tokenizer *t);                    /* tokens the single template adds */
bool        aki__tokenizer_has_types(const struct aki__tokenizer *t, bool pair);             /* some token type of that template is not 0 */
bool        aki__tokenizer_cuts_left(const struct aki__tokenizer *t);                       /* the file's truncation has the direction "Left" */
/* Makes the single template add this id at the end of every text (for tokenizer.json files that lost their post-processor). */
void        aki__tokenizer_append(struct aki__tokenizer *t, int32_t id);

#endif
