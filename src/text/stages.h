/* Unit stages: the interfaces of the tokenizer's stages, in the order in which a text meets them. tokenizer.c strings them together.
 * Each has a parse (from its part of tokenizer.json; r->path is that part) and a free (NULL is fine); all are immutable between. */
#ifndef AKI_STAGES_H
#define AKI_STAGES_H

#include "text/pipeline.h"

/* ---- patterns: where something stands in a text (pattern.c, scan.c, regex.c) */

struct aki__pattern;
/* node: {"String": …} or {"Regex": …}. */
aki_status aki__pattern_parse(struct aki__pattern **out, struct aki__reader *r, const struct aki__json *node);
void       aki__pattern_free(struct aki__pattern *p);
/* It can match an empty string. */
bool       aki__pattern_matches_empty(const struct aki__pattern *p);
/* The pattern of ByteLevel's use_regex (GPT-2's); static, not to be freed. */
const struct aki__pattern *aki__pattern_gpt2(void);

struct aki__finder {
    const struct aki__pattern *pattern;
    struct aki__work          *w;
    const char                *text;
    size_t                     size, from;
    size_t                     last;        /* end of the match before; SIZE_MAX: none */
};
static inline struct aki__finder aki__find_in(const struct aki__pattern *p, struct aki__work *w, const char *text, size_t size)
{
    return (struct aki__finder){ p, w, text, size, 0, SIZE_MAX };
}
/* The next match (it may be empty). False: none, or *rc says why it failed. */
bool aki__find_next(struct aki__finder *f, size_t *begin, size_t *end, aki_status *rc);

/* Well-known split patterns, which match at every place of any text. */
struct aki__scan {
    enum { AKI_SCAN_GPT2, AKI_SCAN_CL100K, AKI_SCAN_O200K } kind;
    bool    marks;              /* CL100K: marks belong to words */
    bool    contractions;       /* O200K: a word takes its 's, 're … with it */
    bool    slashes;            /* O200K: so does punctuation its slashes */
    uint8_t digits;             /* at most so many digits a piece; 0: any */
};
/* True where the text is the regular expression of one of them. */
bool   aki__scan_known(struct aki__scan *out, const char *regex, size_t size);
/* Where the piece that begins at `at` ends. at < size. */
size_t aki__scan_end(const struct aki__scan *s, const char *text, size_t size, size_t at);

/* Any other expression: PCRE2 over our own classes. */
struct aki__regex;
aki_status aki__regex_compile(struct aki__regex **out, struct aki__reader *r, const char *regex, size_t size);
void       aki__regex_free(struct aki__regex *x);
bool       aki__regex_matches_empty(const struct aki__regex *x);
/* 1: the first match from `from`; 0: none; -1: no memory, -2: no answer: w->failure says so. */
int        aki__regex_find(const struct aki__regex *x, struct aki__work *w, const char *text, size_t size, size_t from, size_t *begin, size_t *end);
void       aki__regex_work_free(struct aki__regex_work *work);
size_t     aki__regex_work_size(const struct aki__regex_work *work);      /* bytes that grow with the text; NULL is fine */

/* ---- added tokens */

struct aki__added_token {
    char   *content;
    size_t  size;
    char   *normalized_content;         /* what the normaliser makes of it; NULL: the same */
    size_t  normalized_size;
    int32_t id;
    bool    single_word, lstrip, rstrip, normalized, special;
};
struct aki__added_key { const char *text; size_t size; uint32_t token; };     /* borrowed from the token */
struct aki__added {
    struct aki__added_token *tokens;        /* in the file's order; contents are unique */
    size_t                   count;
    struct aki__added_key   *contents;      /* [count], sorted */
    struct aki__added_key   *lists[2];      /* what is matched in raw, in normalised text; sorted */
    size_t                   sizes[2];
    bool                     first[2][256]; /* a key of that list begins with this byte */
    int                      only[2];       /* the one first byte of all; -1: several */
    uint32_t                *by_id;         /* [count] tokens sorted by id */
};
/* list: the file's "added_tokens" (NULL: none); vocabulary: how many entries the model's has. Ids are what Hugging Face gives: the
 * model's where it knows the string, else the next free ones in the file's order. */
aki_status aki__added_parse(struct aki__added *a, struct aki__reader *r, const struct aki__json *list, const struct aki__algorithm *model, size_t vocabulary);
/* To be called once every normalized_content is set, before searching. */
aki_status aki__added_index(struct aki__added *a, struct aki__reader *r);
void       aki__added_free(struct aki__added *a);
const struct aki__added_token *aki__added_by_id(const struct aki__added *a, int32_t id);
const struct aki__added_token *aki__added_by_content(const struct aki__added *a, const char *content, size_t size);

struct aki__added_match { const struct aki__added_token *token; size_t begin, end; };   /* token NULL: text between */
struct aki__added_search {
    const struct aki__added *a;
    const char *text;
    size_t      size, from, done;
    int         list;                   /* 0: raw text, 1: normalised */
    bool        specials;               /* special tokens match too */
    bool        held_any;
    struct aki__added_match held;       /* a match, while the text before it is handed out */
};
/* The next part of the text: a token or what stands between two. False at the end. */
bool aki__added_next(struct aki__added_search *s, struct aki__added_match *out);

/* ---- normaliser */

struct aki__normalizer;
aki_status aki__normalizer_parse(struct aki__normalizer **out, struct aki__reader *r, const struct aki__json *node);
void       aki__normalizer_free(struct aki__normalizer *n);
/* It puts something where nothing stood. Hugging Face's map then has text that came from nowhere, over which most later stages stumble
 * (they repeat text, or panic): such files are refused. */
bool       aki__normalizer_inserts(const struct aki__normalizer *n);
/* It writes the byte alphabet. */
bool       aki__normalizer_spells(const struct aki__normalizer *n);
/* Replaces *text by what the normaliser makes of it; origin: where it begins in the caller's text. Valid until the next call. */
aki_status aki__normalize(const struct aki__normalizer *n, struct aki__work *w, struct aki__text *text, uint32_t origin);

/* NFC, NFD, NFKC, NFKD (compose.c). Quick: true where the text is surely in that form. */
bool aki__normal_form_quick(const char *text, size_t size, bool compose, bool compatible);
void aki__normal_form(struct aki__sink *s, bool compose, bool compatible);
/* Puts a run of marks into canonical order, stably. False: no memory. */
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
/* Its last stage is ByteLevel and no other is: words are then handed over as raw bytes, unless spell is set. */
bool       aki__pretokenizer_raw_bytes(const struct aki__pretokenizer *p);
void       aki__pretokenizer_spell(struct aki__pretokenizer *p);
/* A stage asks where a piece began in the caller's text, so maps must be kept where something changes the text before: a normaliser,
 * or (*changed_before) an earlier stage. */
bool       aki__pretokenizer_asks_origin(const struct aki__pretokenizer *p, bool *changed_before);
size_t     aki__pretokenizer_buffers(const struct aki__pretokenizer *p);      /* what w->n_steps must be */
/* Cuts the text into words and hands each to aki__encode_word. */
aki_status aki__pretokenize(const struct aki__pretokenizer *p, struct aki__work *w, const struct aki__text *text);
/* tokenizer.c: a word goes to the algorithm. */
aki_status aki__encode_word(struct aki__work *w, const struct aki__text *word);

/* ---- post-processor */

struct aki__post_item { int32_t id, type; };    /* a token's id, or AKI_POST_FIRST, AKI_POST_SECOND; the token type of what stands there */
enum { AKI_POST_FIRST = -1, AKI_POST_SECOND = -2 };
struct aki__post_template { struct aki__post_item *items; size_t count, specials; };
struct aki__post {
    struct aki__post_template single, pair;
    bool trim, trim_prefix;                 /* spans without the white space of their piece; the file's add_prefix_space */
};
/* node may be NULL or null. One more item fits each template (aki__tokenizer_append). */
aki_status aki__post_parse(struct aki__post *p, struct aki__reader *r, const struct aki__json *node, size_t vocabulary);
void       aki__post_free(struct aki__post *p);
/* Lengths that are left of a and b (b 0 for one text) when together they may be limit. */
void       aki__post_truncate(size_t limit, size_t *a, size_t *b, bool pair);

/* ---- decoder */

struct aki__decoder;
aki_status aki__decoder_parse(struct aki__decoder **out, struct aki__reader *r, const struct aki__json *node);
void       aki__decoder_free(struct aki__decoder *d);
struct aki__parts {                         /* tokens' texts, end to end */
    struct aki__buf bytes;
    size_t         *ends;
    size_t          count, capacity;
};
bool aki__parts_add(struct aki__parts *p, const char *bytes, size_t size);     /* false: no memory */
void aki__parts_free(struct aki__parts *p);
/* d may be NULL (tokens are joined by blanks). Appends to out. */
aki_status aki__decode(const struct aki__decoder *d, struct aki__work *w, struct aki__parts *tokens, struct aki__buf *out);

#endif
