/* Unit words: what algorithm.c and the algorithms share: bpe.c, wordpiece.c, unigram.c. */
#ifndef AKI_WORDS_H
#define AKI_WORDS_H

#include "text/algorithm.h"
#include "text/merges.h"
#include "text/trie.h"

enum aki__algorithm_kind { AKI_BPE, AKI_WORDPIECE, AKI_UNIGRAM, AKI_WORDLEVEL };

struct aki__byte_pair { int32_t key, joined; };     /* key: as in aki__symbols, with index 0 */

struct aki__bpe {
    struct aki__merges merges;
    struct aki__byte_pair *byte_pairs;      /* [256 * 256]; NULL: words are not raw bytes */
    char              *prefix, *suffix;     /* continuing_subword_prefix, end_of_word_suffix; never NULL */
    size_t             prefix_size, suffix_size;
    bool               fuse_unk, ignore_merges;
    bool               splits;              /* aki__bpe_cut may split words */
    bool               joins[256];          /* a piece that ends in this byte merges with one that begins with U+2581 */
    int32_t            symbol[256];         /* the id of each byte (raw words) or each ASCII character; -1: none */
};

struct aki__wordpiece {
    uint32_t inner;                         /* node of the trie after continuing_subword_prefix */
    bool     has_inner;
    size_t   max_characters;
};

struct aki__unigram {
    double *scores;                         /* [vocabulary.limit] */
    double  unk_score;
};

struct aki__algorithm {
    enum aki__algorithm_kind kind;
    struct aki__vocabulary   vocabulary;
    struct aki__trie         trie;          /* WordPiece, Unigram */
    bool     byte_level;                    /* words are raw bytes, and the vocabulary is spelled in the byte alphabet */
    bool     respell;                       /* words are spelled in the byte alphabet for the algorithm; false: it reads raw bytes */
    bool     has_unk;                       /* the file names an unknown token, which may not exist (unk -1): an error at the first use */
    int32_t  unk;
    bool     byte_fallback;
    int32_t  byte_id[256];                  /* ids of "<0x00>" … "<0xFF>"; -1: none */
    char     spelled[256][2];               /* the byte alphabet in UTF-8 */
    uint8_t  spelled_size[256];
    union {
        struct aki__bpe       bpe;
        struct aki__wordpiece wordpiece;
        struct aki__unigram   unigram;
    } of;
};

/* An entry of the word cache: a word and its tokens, in one cache line. */
#define AKI_WORD_BYTES  32
#define AKI_WORD_TOKENS 6
struct aki__word {
    uint64_t key[AKI_WORD_BYTES / 8];       /* the bytes of the word, padded with zeros */
    uint8_t  size, count;                   /* size 0: a free entry */
    uint8_t  ends[AKI_WORD_TOKENS];
    int32_t  ids[AKI_WORD_TOKENS];
};

/* A node of the Unigram lattice, for an offset in the word: the last token of the best segmentation up to it. */
struct aki__lattice_node { double score; int32_t id; uint32_t begin; };

struct aki__algorithm_scratch {
    struct aki__word *words;                /* the cache: sets of two entries, aligned to their size; NULL: no cache */
    void             *words_block;
    struct aki__buf   respelled, spelling;  /* a word in the byte alphabet; a symbol with prefix and suffix */
    uint32_t         *places;               /* offset in the word of each respelled byte */
    size_t            places_capacity;
    struct aki__symbols   row;                  /* BPE */
    /* Unigram */
    struct aki__lattice_node  *nodes;
    size_t            nodes_capacity;
};

struct aki__model_reader { const struct aki__json *model; const char *name; aki_error *err; };

/* Members of the model object; null counts as absent. If absent: *text is NULL, or INVALID if required. */
aki_status aki__model_string(const struct aki__model_reader *r, const char *key, bool required, const char **text, size_t *size);
aki_status aki__model_flag(const struct aki__model_reader *r, const char *key, bool *out);
/* Reads unk_token, byte_fallback and their ids. */
aki_status aki__model_unknown(const struct aki__model_reader *r, struct aki__algorithm *a, bool required);
void       aki__model_byte_ids(struct aki__algorithm *a);
/* Reads an object that maps pieces to ids. */
aki_status aki__model_vocabulary(const struct aki__model_reader *r, struct aki__algorithm *a);

/* Bytes of the character that begins with c, at most `left`, the rest of the word: a word that is not UTF-8 is not read beyond
 * its end. */
static inline size_t aki__character_size(unsigned char c, size_t left)
{
    size_t size = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;

    return size < left ? size : left;
}

static inline bool aki__token_add(struct aki__tokens *out, int32_t id, size_t begin, size_t end)
{
    if (out->count == out->capacity && !aki__grow((void **)&out->data, &out->capacity, out->count + 1, sizeof *out->data))
        return false;
    out->data[out->count++] = (struct aki__token){ id, (uint32_t)begin, (uint32_t)end };
    return true;
}

aki_status aki__bpe_parse(struct aki__algorithm *a, const struct aki__model_reader *r);
void       aki__bpe_free(struct aki__bpe *b);
/* The first offset at which a word can be split without changing its tokens; size: none. */
size_t     aki__bpe_cut(const struct aki__bpe *b, const char *word, size_t size);
bool       aki__bpe_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                         struct aki__tokens *out, const char **failed);

aki_status aki__wordpiece_parse(struct aki__algorithm *a, const struct aki__model_reader *r);
bool       aki__wordpiece_word(const struct aki__algorithm *a, const char *word, size_t size, struct aki__tokens *out,
                               const char **failed);

aki_status aki__unigram_parse(struct aki__algorithm *a, const struct aki__model_reader *r);
void       aki__unigram_free(struct aki__unigram *u);
bool       aki__unigram_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                             struct aki__tokens *out, const char **failed);

#endif
