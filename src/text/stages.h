/* Unit stages: the interfaces of the tokenizer's stages, in the order in which encode.c runs them. Each has a parse function
 * (from its part of tokenizer.json; r->path is that part) and a free function (NULL is allowed), and is immutable in between. */
#ifndef AKI_STAGES_H
#define AKI_STAGES_H

#include "text/pipeline.h"

/* ---- patterns, which are searched in a text (pattern.c, scan.c, regex.c) */

struct aki__pattern;
/* node: {"String": …} or {"Regex": …}. */
aki_status aki__pattern_parse(struct aki__pattern **out, struct aki__reader *r, const struct aki__json *node);
void       aki__pattern_free(struct aki__pattern *p);
/* true: the pattern can match an empty string. */
bool       aki__pattern_matches_empty(const struct aki__pattern *p);
/* The pattern of ByteLevel's use_regex (GPT-2's); static, not to be freed. */
const struct aki__pattern *aki__pattern_gpt2(void);

struct aki__finder {
    const struct aki__pattern *pattern;
    struct aki__work          *w;
    const char                *text;
    size_t                     size, from;
    size_t                     last;        /* end of the previous match; SIZE_MAX: none */
};
static inline struct aki__finder aki__find_in(const struct aki__pattern *p, struct aki__work *w, const char *text, size_t size)
{
    return (struct aki__finder){ p, w, text, size, 0, SIZE_MAX };
}
/* Finds the next match, which may be empty. false: there is none, or *rc is an error. */
bool aki__find_next(struct aki__finder *f, size_t *begin, size_t *end, aki_status *rc);

/* A well-known split pattern. They match at every position of any text. */
struct aki__scan {
    enum { AKI_SCAN_GPT2, AKI_SCAN_CL100K, AKI_SCAN_O200K } kind;
    bool    marks;              /* CL100K: marks are part of words */
    bool    contractions;       /* O200K: 's, 're … are part of the word before */
    bool    slashes;            /* O200K: slashes are part of the punctuation before */
    uint8_t digits;             /* most digits of a piece; 0: any number */
};
/* true: the regular expression is one of them. */
bool   aki__scan_known(struct aki__scan *out, const char *regex, size_t size);
/* Returns the end of the piece that begins at `at`. at < size. */
size_t aki__scan_end(const struct aki__scan *s, const char *text, size_t size, size_t at);

/* Any other expression, matched by PCRE2 with our own character classes. */
struct aki__regex;
aki_status aki__regex_compile(struct aki__regex **out, struct aki__reader *r, const char *regex, size_t size);
void       aki__regex_free(struct aki__regex *x);
bool       aki__regex_matches_empty(const struct aki__regex *x);
/* Searches from `from` on. Returns 1: found; 0: no match; -1: no memory; -2: the limit of steps was reached. Errors set
 * w->failure. */
int        aki__regex_find(const struct aki__regex *x, struct aki__work *w, const char *text, size_t size, size_t from,
                           size_t *begin, size_t *end);
void       aki__regex_work_free(struct aki__regex_work *work);
size_t     aki__regex_work_size(const struct aki__regex_work *work);      /* bytes that grew with the texts; NULL is allowed */

/* ---- added tokens */

struct aki__added_token {
    char   *content;
    size_t  size;
    char   *normalized_content;         /* after the normaliser; NULL: content itself */
    size_t  normalized_size;
    int32_t id;
    bool    single_word, lstrip, rstrip, normalized, special;
};
struct aki__added_key { const char *text; size_t size; uint32_t token; };     /* text is borrowed from the token */
struct aki__added {
    struct aki__added_token *tokens;        /* in the order of the file; contents are unique */
    size_t                   count;
    struct aki__added_key   *contents;      /* [count], sorted */
    struct aki__added_key   *lists[2];      /* keys that are matched in the raw and in the normalised text; sorted */
    size_t                   sizes[2];
    bool                     first[2][256]; /* whether a key of the list begins with this byte */
    int                      only[2];       /* the first byte that all keys share; -1: none */
    uint32_t                *by_id;         /* [count] tokens sorted by id */
};
/* list: "added_tokens" of the file, or NULL; vocabulary: number of entries in the model's vocabulary. A token gets the same id
 * as in Hugging Face: that of the model if its vocabulary has the string, else the next free one, in the order of the file. */
aki_status aki__added_parse(struct aki__added *a, struct aki__reader *r, const struct aki__json *list,
                            const struct aki__algorithm *model, size_t vocabulary);
/* Builds the lists. To be called when every normalized_content is set, before a search. */
aki_status aki__added_index(struct aki__added *a, struct aki__reader *r);
void       aki__added_free(struct aki__added *a);
const struct aki__added_token *aki__added_by_id(const struct aki__added *a, int32_t id);
const struct aki__added_token *aki__added_by_content(const struct aki__added *a, const char *content, size_t size);

struct aki__added_match { const struct aki__added_token *token; size_t begin, end; };   /* token NULL: text between tokens */
struct aki__added_search {
    const struct aki__added *a;
    const char *text;
    size_t      size, from, done;
    int         list;                   /* 0: search raw text, 1: normalised text */
    bool        specials;               /* match special tokens too */
    bool        held_any;
    struct aki__added_match held;       /* the next match, while the text before it is returned */
};
/* Returns the next part of the text: a token, or the text between two tokens. false: end of the text. */
bool aki__added_next(struct aki__added_search *s, struct aki__added_match *out);

/* ---- normaliser */

struct aki__normalizer;
aki_status aki__normalizer_parse(struct aki__normalizer **out, struct aki__reader *r, const struct aki__json *node);
void       aki__normalizer_free(struct aki__normalizer *n);
/* true: the normaliser can insert text at an empty match. In Hugging Face's map such text has no origin, and later stages
 * repeat text or panic, so files that combine these are refused. */
bool       aki__normalizer_inserts(const struct aki__normalizer *n);
/* true: the normaliser spells text in the byte alphabet. */
bool       aki__normalizer_spells(const struct aki__normalizer *n);
/* Normalises *text in place. origin: offset of *text in the caller's text. The result is valid until the next call. */
aki_status aki__normalize(const struct aki__normalizer *n, struct aki__work *w, struct aki__text *text, uint32_t origin);

/* NFC, NFD, NFKC, NFKD (compose.c). Quick: true only if the text is already in that form. */
bool aki__normal_form_quick(const char *text, size_t size, bool compose, bool compatible);
void aki__normal_form(struct aki__sink *s, bool compose, bool compatible);
/* Sorts a run of marks into canonical order, stably. false: no memory. */
bool aki__sort_marks(struct aki__work *w, struct aki__pending *run, size_t count);

/* sentencepiece's charsmap (charsmap.c). */
struct aki__charsmap;
aki_status aki__charsmap_parse(struct aki__charsmap **out, struct aki__reader *r, const struct aki__json *node);
void       aki__charsmap_free(struct aki__charsmap *m);
void       aki__charsmap_run(const struct aki__charsmap *m, struct aki__sink *s);

/* ---- pre-tokeniser */

struct aki__pretokenizer;
/* node may be NULL or null. */
aki_status aki__pretokenizer_parse(struct aki__pretokenizer **out, struct aki__reader *r, const struct aki__json *node);
void       aki__pretokenizer_free(struct aki__pretokenizer *p);
bool       aki__pretokenizer_has_bytes(const struct aki__pretokenizer *p);
/* true: only the last stage is ByteLevel. Words are then passed on as raw bytes, unless aki__pretokenizer_spell was called. */
bool       aki__pretokenizer_raw_bytes(const struct aki__pretokenizer *p);
void       aki__pretokenizer_spell(struct aki__pretokenizer *p);
/* true: a stage needs the offset of a piece in the caller's text, so maps are needed if the text was changed before it: by a
 * normaliser, or (*changed_before) by an earlier stage. */
bool       aki__pretokenizer_asks_origin(const struct aki__pretokenizer *p, bool *changed_before);
size_t     aki__pretokenizer_buffers(const struct aki__pretokenizer *p);      /* the value for w->n_steps */
/* Splits the text into words and calls aki__encode_word for each. */
aki_status aki__pretokenize(const struct aki__pretokenizer *p, struct aki__work *w, const struct aki__text *text);
/* encode.c: appends the tokens of a word to w->tokens. */
aki_status aki__encode_word(struct aki__work *w, const struct aki__text *word);

/* ---- post-processor */

struct aki__post_item { int32_t id, type; };    /* id: of a special token, or AKI_POST_FIRST, AKI_POST_SECOND */
enum { AKI_POST_FIRST = -1, AKI_POST_SECOND = -2 };
struct aki__post_template { struct aki__post_item *items; size_t count, specials; };
struct aki__post {
    struct aki__post_template single, pair;
    bool trim, trim_prefix;                 /* trim: spans exclude white space; trim_prefix: add_prefix_space of the file */
};
/* node may be NULL or null. Each template has capacity for one more item (aki__tokenizer_append). */
aki_status aki__post_parse(struct aki__post *p, struct aki__reader *r, const struct aki__json *node, size_t vocabulary);
void       aki__post_free(struct aki__post *p);
/* Shortens the lengths *a and *b so that their sum is at most `limit`; *b is 0 for one text. */
void       aki__post_truncate(size_t limit, size_t *a, size_t *b, bool pair);

/* ---- decoder */

struct aki__decoder;
aki_status aki__decoder_parse(struct aki__decoder **out, struct aki__reader *r, const struct aki__json *node);
void       aki__decoder_free(struct aki__decoder *d);
struct aki__parts {                         /* the texts of tokens, end to end */
    struct aki__buf bytes;
    size_t         *ends;
    size_t          count, capacity;
};
bool aki__parts_add(struct aki__parts *p, const char *bytes, size_t size);     /* false: no memory */
void aki__parts_free(struct aki__parts *p);
/* Appends the text to out. d may be NULL: tokens are then joined with blanks. */
aki_status aki__decode(const struct aki__decoder *d, struct aki__work *w, struct aki__parts *tokens, struct aki__buf *out);

#endif
