/* Unit algorithm: "model" of tokenizer.json: splits a word (pre-token) into tokens with BPE, WordPiece, Unigram or WordLevel. */
#ifndef AKI_ALGORITHM_H
#define AKI_ALGORITHM_H

#include "base/base.h"
#include "base/json.h"

/* Most bytes of a string that is compared at every position of a text. Real files have far shorter ones; the limit bounds the
 * time for a text with a hostile file. */
#define AKI_PIECE_LIMIT 512

struct aki__algorithm;      /* immutable after parse */

/* Work memory of a call, and a cache of words. For one thread at a time. */
struct aki__algorithm_scratch;

struct aki__token { int32_t id; uint32_t begin, end; };     /* bytes [begin, end) of the word */
struct aki__tokens { struct aki__token *data; size_t count, capacity; };

/* model: the "model" object of the file. byte_level: words are raw bytes, and the vocabulary is spelled in the byte alphabet,
 * because the pre-tokeniser or normaliser of the file is ByteLevel. name: the file, for messages: "tokenizer.json:
 * model.merges[12]: …". The document may be freed after the call. */
aki_status aki__algorithm_parse(struct aki__algorithm **out, const struct aki__json *model, bool byte_level, const char *name,
                                aki_error *err);
void       aki__algorithm_free(struct aki__algorithm *a);

struct aki__algorithm_scratch *aki__algorithm_scratch_new(const struct aki__algorithm *a);    /* NULL: no memory */
void                           aki__algorithm_scratch_free(struct aki__algorithm_scratch *s);
size_t                         aki__algorithm_scratch_size(const struct aki__algorithm_scratch *s);      /* bytes that grew with the longest word */

/* Appends the tokens of a word to out. word: [size] bytes of UTF-8, or any bytes if byte_level. A word that is unknown to a
 * model without an unknown token has no tokens, as in Hugging Face. false: no memory; or Hugging Face would report an error
 * too, and *failed is a static text. */
bool aki__algorithm_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                         struct aki__tokens *out, const char **failed);

size_t      aki__algorithm_size(const struct aki__algorithm *a);                                  /* one above the highest id */
const char *aki__algorithm_piece(const struct aki__algorithm *a, int32_t id, size_t *size);       /* spelling in the file; NULL: none */
int32_t     aki__algorithm_id(const struct aki__algorithm *a, const char *piece, size_t size);    /* of a spelling; -1: none */

#endif
