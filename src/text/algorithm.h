/* Unit algorithm: tokenizer.json's "model": one pre-token to ids by BPE, WordPiece, Unigram or WordLevel. */
#ifndef AKI_ALGORITHM_H
#define AKI_ALGORITHM_H

#include "base/base.h"
#include "base/json.h"

/* The longest string of a file that is compared at every place of a text, in bytes: far above what real ones hold, and what bounds the time
 * that a hostile file makes a text take. */
#define AKI_PIECE_LIMIT 512

struct aki__algorithm;      /* immutable after parse, but for appended vocabulary (algorithm_add) */

/* What a call needs beside the algorithm: work memory and a cache of words met before. One thread at a time; zeroed is valid. */
struct aki__algorithm_scratch;

struct aki__token { int32_t id; uint32_t begin, end; };     /* bytes in the word that the caller passed */
struct aki__tokens { struct aki__token *data; size_t count, capacity; };

/* model: the file's "model" object. byte_level: words come as raw bytes and the vocabulary is spelled in the ByteLevel alphabet
 * (the file's pre-tokeniser or normaliser is ByteLevel); the vocabulary is then matched by raw bytes.
 * name: the file, for messages: "tokenizer.json: model.merges[12]: …". doc and its text may be freed afterwards. */
aki_status aki__algorithm_parse(struct aki__algorithm **out, const struct aki__json *model, bool byte_level, const char *name, aki_error *err);
void       aki__algorithm_free(struct aki__algorithm *a);

struct aki__algorithm_scratch *aki__algorithm_scratch_new(const struct aki__algorithm *a);    /* NULL: no memory */
void                           aki__algorithm_scratch_free(struct aki__algorithm_scratch *s);
size_t                         aki__algorithm_scratch_size(const struct aki__algorithm_scratch *s);      /* bytes that grow with the longest word */

/* Appends the tokens of one word (a pre-token: [size] bytes of UTF-8, or of anything where byte_level) to out.
 * False: no memory. A word without any token (unknown, and the model has no unknown token) appends none, as Hugging Face does;
 * where Hugging Face reports an error, so does this: *failed is set to a static text and the call answers false. */
bool aki__algorithm_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                         struct aki__tokens *out, const char **failed);

size_t      aki__algorithm_size(const struct aki__algorithm *a);                                  /* one above the highest id */
const char *aki__algorithm_piece(const struct aki__algorithm *a, int32_t id, size_t *size);       /* as spelled in the file; NULL: none */
int32_t     aki__algorithm_id(const struct aki__algorithm *a, const char *piece, size_t size);    /* by the file's spelling; -1: none */

#endif
