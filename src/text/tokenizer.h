/* Unit tokenizer: the interface of text/: encodes UTF-8 texts to token ids as a tokenizer.json specifies, and decodes ids.
 *
 * The stages of a text are: split at added tokens -> normaliser -> split at normalised added tokens -> pre-tokeniser ->
 * algorithm (BPE | WordPiece | Unigram | WordLevel) -> truncation -> post-processor (template). The results equal those of
 * Hugging Face tokenizers 0.23 on every text. A part of a file that is not implemented is refused at open, with its JSON path. */
#ifndef AKI_TOKENIZER_H
#define AKI_TOKENIZER_H

#include "base/base.h"

/* Most bytes of a text, before and after the normaliser: offsets have 32 bits, and sums of two must not overflow. */
#define AKI_TEXT_LIMIT ((size_t)1 << 30)

struct aki__tokenizer;      /* immutable after open; any number of threads may encode at once */

/* path: a tokenizer.json. Its "padding" is ignored, and its "truncation" except for the direction. The file is not read after
 * the call. normalizer: JSON as in a tokenizer.json, used instead of the file's own if the file's model is a WordPiece; or
 * NULL.
 * Errors: NOT_FOUND, IO, INVALID (file and byte or JSON path), UNSUPPORTED (JSON path of the unknown part), NOMEM. */
aki_status aki__tokenizer_open(struct aki__tokenizer **out, const char *path, const char *normalizer, aki_error *err);
/* The same from memory, with the file's own normaliser. name: for messages. */
aki_status aki__tokenizer_parse(struct aki__tokenizer **out, const char *json, size_t size, const char *name, aki_error *err);
/* The same for aki_check: continues after an error, and reports all errors that do not follow from another (in "model" only the
 * first). err must not be NULL. */
aki_status aki__tokenizer_examine(struct aki__tokenizer **out, const char *json, size_t size, const char *name, const char *normalizer,
                                  struct aki__report *report, aki_error *err);
void       aki__tokenizer_free(struct aki__tokenizer *t);

struct aki__encode_options {
    bool    special;            /* add the special tokens of the post-processor */
    bool    parse_special;      /* the spelling of a special token in the text is that token, as in Hugging Face */
    size_t  max_tokens;         /* special tokens included; 0: no limit */
    int     truncate;           /* AKI_TRUNCATE_LEFT removes the beginning, ERROR fails with INVALID, any other value removes the end */
    size_t  prompt_size;        /* bytes at the start of the text that its writer does not know: offsets in errors do not count them */
};

/* An encoded text. Zeroed means empty; the next call reuses the arrays. */
struct aki__encoding {
    int32_t *ids;               /* [count] */
    int64_t *spans;             /* [count, 2] bytes [begin, end) of the text; special tokens 0, 0. Only if want_spans */
    int32_t *types;             /* [count] token types, from the template. Only if want_types */
    int8_t  *sequences;         /* [count] 0: the text, 1: the second text, -1: a special token. Only if want_types */
    size_t   count, capacity, spans_capacity, types_capacity;
    size_t   full_count;        /* the number of tokens without truncation */
    size_t   first_count, first_kept;   /* tokens of the (first) text without special ones; how many of them truncation left */
    bool     want_spans, want_types;    /* set by the caller; without them encoding is faster */
};
void aki__encoding_free(struct aki__encoding *e);

/* text: [size] bytes, which may include NUL. Errors: INVALID (not UTF-8 at byte err->offset, or too long), NOMEM. */
aki_status aki__tokenizer_encode(struct aki__tokenizer *t, const char *text, size_t size, const struct aki__encode_options *options,
                                 struct aki__encoding *out, aki_error *err);
/* Encodes a pair of texts with the post-processor's template for pairs. Truncation shortens the longer text first, as
 * longest_first does in Hugging Face. Spans of the second text count from its own beginning. */
aki_status aki__tokenizer_encode_pair(struct aki__tokenizer *t, const char *a, size_t a_size, const char *b, size_t b_size,
                                      const struct aki__encode_options *options, struct aki__encoding *out, aki_error *err);

/* Decodes ids and appends the text to out. skip_special: leaves special added tokens out. Errors: INVALID (an unknown id, at
 * index err->offset), NOMEM. */
aki_status aki__tokenizer_decode(const struct aki__tokenizer *t, const int32_t *ids, size_t count, bool skip_special,
                                 struct aki__buf *out, aki_error *err);

size_t      aki__tokenizer_vocabulary(const struct aki__tokenizer *t);                       /* one above the highest id */
const char *aki__tokenizer_piece(const struct aki__tokenizer *t, int32_t id, size_t *size);  /* spelling in the file; NULL: no such id */
int32_t     aki__tokenizer_id(const struct aki__tokenizer *t, const char *piece, size_t size);   /* -1: none */
size_t      aki__tokenizer_special_count(const struct aki__tokenizer *t);                    /* special tokens of the template for one text */
bool        aki__tokenizer_has_types(const struct aki__tokenizer *t, bool pair);             /* the template has a token type other than 0 */
bool        aki__tokenizer_cuts_left(const struct aki__tokenizer *t);                       /* truncation.direction is "Left" */
/* Adds this id to the end of the templates, for a tokenizer.json that lost its post-processor. */
void        aki__tokenizer_append(struct aki__tokenizer *t, int32_t id);

#endif
