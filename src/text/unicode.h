/* Unit unicode: properties of code points, as Hugging Face tokenizers has them (each in the version of the standard that it
 * uses there: see scripts/generate_unicode_tables.py). */
#ifndef AKI_UNICODE_H
#define AKI_UNICODE_H

#include "base/base.h"
#include "text/unicode_tables.h"

/* Bits of aki__unicode.flags; the generator's list in the same order. */
enum {
    AKI_U_WHITE       = 1 << 0,     /* White_Space */
    AKI_U_CONTROL     = 1 << 1,     /* removed by BertNormalizer's clean_text */
    AKI_U_BERT_MN     = 1 << 2,     /* removed by BertNormalizer's strip_accents */
    AKI_U_MARK        = 1 << 3,     /* removed by StripAccents */
    AKI_U_PUNCT       = 1 << 4,     /* Punctuation, BertPreTokenizer */
    AKI_U_NUMERIC     = 1 << 5,     /* Digits */
    AKI_U_WORD        = 1 << 6,     /* \w of the regex crate: Whitespace, single_word */
    AKI_U_ONIG_SPACE  = 1 << 7,     /* \s of Split and Replace patterns */
    AKI_U_ONIG_WORD   = 1 << 8,     /* \w of these patterns */
    AKI_U_CHINESE     = 1 << 9,     /* BertNormalizer's handle_chinese_chars */
    AKI_U_LOWER       = 1 << 10,    /* lower case differs */
    AKI_U_NFD         = 1 << 11,    /* canonical decomposition differs */
    AKI_U_NFKD        = 1 << 12,    /* compatibility decomposition differs */
    AKI_U_NFC_NO      = 1 << 13,    /* differs from its NFC */
    AKI_U_NFKC_NO     = 1 << 14,    /* differs from its NFKC */
    AKI_U_SECOND      = 1 << 15,    /* may compose with the code point before it */
    AKI_U_LINKER      = 1 << 16,    /* Indic conjunct break: linker */
    AKI_U_INCB_EXTEND = 1 << 17,    /* Indic conjunct break: extend or linker */
    AKI_U_ONIG_CLASS_WORD = 1 << 18 /* \w of these patterns inside brackets, where Oniguruma lacks some */
};

enum aki__category {
    AKI_CN, AKI_CC, AKI_CF, AKI_CO, AKI_CS, AKI_LU, AKI_LL, AKI_LT, AKI_LM, AKI_LO, AKI_MN, AKI_MC, AKI_ME, AKI_ND, AKI_NL, AKI_NO,
    AKI_PC, AKI_PD, AKI_PS, AKI_PE, AKI_PI, AKI_PF, AKI_PO, AKI_SM, AKI_SC, AKI_SK, AKI_SO, AKI_ZS, AKI_ZL, AKI_ZP
};
/* Sets of categories, one bit each. */
#define AKI_IN_L (UINT32_C(1) << AKI_LU | 1u << AKI_LL | 1u << AKI_LT | 1u << AKI_LM | 1u << AKI_LO)
#define AKI_IN_M (UINT32_C(1) << AKI_MN | 1u << AKI_MC | 1u << AKI_ME)
#define AKI_IN_N (UINT32_C(1) << AKI_ND | 1u << AKI_NL | 1u << AKI_NO)

/* Grapheme cluster break classes. */
enum aki__cluster {
    AKI_G_ANY, AKI_G_CR, AKI_G_LF, AKI_G_CONTROL, AKI_G_EXTEND, AKI_G_ZWJ, AKI_G_REGIONAL, AKI_G_PREPEND, AKI_G_SPACING,
    AKI_G_L, AKI_G_V, AKI_G_T, AKI_G_LV, AKI_G_LVT, AKI_G_PICTOGRAPHIC, AKI_G_CONSONANT
};

static inline const struct aki__unicode *aki__unicode(uint32_t c)
{
    return &aki__unicode_records[aki__unicode_second[(size_t)aki__unicode_first[c >> 6] << 6 | (c & 63)]];
}

static inline bool aki__unicode_has(uint32_t c, uint32_t flags) { return (aki__unicode(c)->flags & flags) != 0; }
static inline bool aki__unicode_in(uint32_t c, uint32_t categories) { return categories >> aki__unicode(c)->category & 1; }

/* The lower case of c: *size bytes of UTF-8; NULL: c itself. */
const char *aki__unicode_lower(uint32_t c, size_t *size);

/* Full decomposition: writes 1 … AKI_DECOMPOSED_MAX code points and returns their number. */
#define AKI_DECOMPOSED_MAX 18
size_t aki__unicode_decompose(uint32_t c, bool compatible, uint32_t out[AKI_DECOMPOSED_MAX]);

/* The primary composite of a pair; 0: none. */
uint32_t aki__unicode_compose(uint32_t first, uint32_t second);

/* The state of splitting a text into grapheme clusters. Zeroed at the beginning of a text; every code point is passed once. */
struct aki__clusters {
    uint8_t before;             /* enum aki__cluster of the previous code point */
    bool    started;
    bool    regional_odd;       /* the number of regional indicators before is odd */
    uint8_t pictograph;         /* 1: after a pictograph and extenders; 2: and a joiner */
    uint8_t conjunct;           /* 1: after a consonant and extenders; 2: with a linker among them */
};
/* true: a cluster begins with this code point. */
bool aki__cluster_begins(struct aki__clusters *s, const struct aki__unicode *u);

#endif
