/* Unit words: what algorithm.c shares with the algorithms themselves: bpe.c, wordpiece.c, unigram.c. */
#ifndef AKI_WORDS_H
#define AKI_WORDS_H

#include "text/algorithm.h"
#include "text/merges.h"
#include "text/trie.h"

enum aki__algorithm_kind { AKI_BPE, AKI_WORDPIECE, AKI_UNIGRAM, AKI_WORDLEVEL };

struct aki__byte_pair { int32_t key, joined; };     /* key: with place 0, see merges.h */

struct aki__bpe {
    struct aki__merges merges;
    struct aki__byte_pair *byte_pairs;      /* [256 * 256]; NULL where words are not raw */
    char              *prefix, *suffix;     /* continuing_subword_prefix, end_of_word_suffix; never NULL */
    size_t             prefix_size, suffix_size;
    bool               fuse_unk, ignore_merges;
    bool               splits;              /* aki__bpe_cut may cut */
    bool               joins[256];          /* a piece that ends in this byte merges with one that begins with U+2581 */
    int32_t            symbol[256];         /* the id of each byte (raw words) or each ASCII character; -1: none */
};

struct aki__wordpiece {
    uint32_t inner;                         /* the trie's node behind continuing_subword_prefix */
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
    bool     byte_level;                    /* words come as raw bytes, the vocabulary is spelled in the byte alphabet */
    bool     respell;                       /* … and words are spelled so too before the algorithm sees them; else it takes raw bytes */
    bool     has_unk;                       /* an unknown token is named; it need not exist (unk -1): Hugging Face notices at the first use */
    int32_t  unk;
    bool     byte_fallback;
    int32_t  byte_id[256];                  /* of "<0x00>" … "<0xFF>"; -1: none */
    char     spelled[256][2];               /* the byte alphabet in UTF-8 */
    uint8_t  spelled_size[256];
    union {
        struct aki__bpe       bpe;
        struct aki__wordpiece wordpiece;
        struct aki__unigram   unigram;
    } of;
};

/* A word met before and its tokens, in one cache line. */
#define AKI_WORD_BYTES  32
#define AKI_WORD_TOKENS 6
struct aki__word {
    uint64_t key[AKI_WORD_BYTES / 8];       /* its bytes, zeros behind them */
    uint8_t  size, count;                   /* size 0: free */
    uint8_t  ends[AKI_WORD_TOKENS];
    int32_t  ids[AKI_WORD_TOKENS];
};

/* A place in a word for Unigram: the best way to get there. */
struct aki__lattice_node { double score; int32_t id; uint32_t begin; };

struct aki__algorithm_scratch {
    struct aki__word *words;                /* sets of two, aligned to their size; NULL: none are kept */
    void             *words_block;
    struct aki__buf   respelled, spelling;  /* a word in the byte alphabet; a symbol with its prefix and suffix */
    uint32_t         *places;               /* of respelled bytes in the word */
    size_t            places_capacity;
    struct aki__symbols   row;                  /* BPE */
    /* Unigram */
    struct aki__lattice_node  *nodes;
    size_t            nodes_capacity;
};

struct aki__model_reader { const struct aki__json *model; const char *name; aki_error *err; };

/* Members of the model object; null counts as absent. Absent: *text is NULL, or INVALID where required. */
aki_status aki__model_string(const struct aki__model_reader *r, const char *key, bool required, const char **text, size_t *size);
aki_status aki__model_flag(const struct aki__model_reader *r, const char *key, bool *out);
/* unk_token, byte_fallback and the ids that belong to them. */
aki_status aki__model_unknown(const struct aki__model_reader *r, struct aki__algorithm *a, bool required);
void       aki__model_byte_ids(struct aki__algorithm *a);
/* An object of piece: id. */
aki_status aki__model_vocabulary(const struct aki__model_reader *r, struct aki__algorithm *a);

/* Bytes of the character that begins with c, of which [left] bytes are there. Words are UTF-8; were one not, nothing is read beyond it. */
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
/* Where a word may be cut without changing its tokens; size: nowhere. */
size_t     aki__bpe_cut(const struct aki__bpe *b, const char *word, size_t size);
bool       aki__bpe_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                         struct aki__tokens *out, const char **failed);

aki_status aki__wordpiece_parse(struct aki__algorithm *a, const struct aki__model_reader *r);
bool       aki__wordpiece_word(const struct aki__algorithm *a, const char *word, size_t size, struct aki__tokens *out, const char **failed);

aki_status aki__unigram_parse(struct aki__algorithm *a, const struct aki__model_reader *r);
void       aki__unigram_free(struct aki__unigram *u);
bool       aki__unigram_word(const struct aki__algorithm *a, struct aki__algorithm_scratch *s, const char *word, size_t size,
                             struct aki__tokens *out, const char **failed);

#endif
