/* Unit code_points: sets of code points. See code_points.h. */
#include "text/code_points.h"

#include <stdlib.h>

void aki__code_points_add(struct aki__code_points *s, uint32_t first, uint32_t last)
{
    if (first > last || s->failed)
        return;
    if (!aki__grow((void **)&s->ranges, &s->capacity, s->count + 1, sizeof *s->ranges)) {
        s->failed = true;
        return;
    }
    s->ranges[s->count++] = (struct aki__unicode_range){ first, last };
}

static int by_first(const void *a, const void *b)
{
    uint32_t x = ((const struct aki__unicode_range *)a)->first, y = ((const struct aki__unicode_range *)b)->first;
    return x < y ? -1 : x > y;
}

void aki__code_points_sort(struct aki__code_points *s)
{
    size_t n = 0;

    if (s->count)
        qsort(s->ranges, s->count, sizeof *s->ranges, by_first);
    for (size_t i = 0; i < s->count; i++) {
        if (n && s->ranges[i].first <= s->ranges[n - 1].last + 1) {
            if (s->ranges[i].last > s->ranges[n - 1].last)
                s->ranges[n - 1].last = s->ranges[i].last;
        } else {
            s->ranges[n++] = s->ranges[i];
        }
    }
    s->count = n;
}

void aki__code_points_join(struct aki__code_points *s, struct aki__code_points *from, bool negated)
{
    uint32_t next = 0;

    s->failed |= from->failed;
    aki__code_points_sort(from);
    for (size_t i = 0; i < from->count; i++) {
        if (!negated)
            aki__code_points_add(s, from->ranges[i].first, from->ranges[i].last);
        else if (from->ranges[i].first > next)
            aki__code_points_add(s, next, from->ranges[i].first - 1);
        next = from->ranges[i].last + 1;
    }
    if (negated && next <= 0x10FFFF)
        aki__code_points_add(s, next, 0x10FFFF);
}

void aki__code_points_from_table(struct aki__code_points *s, uint32_t categories, uint32_t flags)
{
    uint32_t first = 0;
    bool in = false;

    for (uint32_t c = 0; c <= 0x110000; c++) {
        bool now = c < 0x110000 && (aki__unicode_in(c, categories) || aki__unicode_has(c, flags));
        if (now && !in)
            first = c;
        else if (!now && in)
            aki__code_points_add(s, first, c - 1);
        in = now;
    }
}

/* ---------------------------------------------------------------- properties ------------------------------------ */

static const struct { const char *name; uint32_t categories; } properties[] = {
    { "l", AKI_IN_L }, { "letter", AKI_IN_L }, { "lu", 1u << AKI_LU }, { "uppercaseletter", 1u << AKI_LU }, { "ll", 1u << AKI_LL },
    { "lowercaseletter", 1u << AKI_LL }, { "lt", 1u << AKI_LT }, { "titlecaseletter", 1u << AKI_LT }, { "lm", 1u << AKI_LM },
    { "modifierletter", 1u << AKI_LM }, { "lo", 1u << AKI_LO }, { "otherletter", 1u << AKI_LO }, { "m", AKI_IN_M }, { "mark", AKI_IN_M },
    { "mn", 1u << AKI_MN }, { "nonspacingmark", 1u << AKI_MN }, { "mc", 1u << AKI_MC }, { "spacingmark", 1u << AKI_MC },
    { "me", 1u << AKI_ME }, { "enclosingmark", 1u << AKI_ME }, { "n", AKI_IN_N }, { "number", AKI_IN_N }, { "nd", 1u << AKI_ND },
    { "decimalnumber", 1u << AKI_ND }, { "nl", 1u << AKI_NL }, { "letternumber", 1u << AKI_NL }, { "no", 1u << AKI_NO },
    { "othernumber", 1u << AKI_NO },
    { "p", 1u << AKI_PC | 1u << AKI_PD | 1u << AKI_PS | 1u << AKI_PE | 1u << AKI_PI | 1u << AKI_PF | 1u << AKI_PO },
    { "punctuation", 1u << AKI_PC | 1u << AKI_PD | 1u << AKI_PS | 1u << AKI_PE | 1u << AKI_PI | 1u << AKI_PF | 1u << AKI_PO },
    { "pc", 1u << AKI_PC }, { "pd", 1u << AKI_PD }, { "ps", 1u << AKI_PS }, { "pe", 1u << AKI_PE }, { "pi", 1u << AKI_PI },
    { "pf", 1u << AKI_PF }, { "po", 1u << AKI_PO },
    { "s", 1u << AKI_SM | 1u << AKI_SC | 1u << AKI_SK | 1u << AKI_SO }, { "symbol", 1u << AKI_SM | 1u << AKI_SC | 1u << AKI_SK | 1u << AKI_SO },
    { "sm", 1u << AKI_SM }, { "sc", 1u << AKI_SC }, { "sk", 1u << AKI_SK }, { "so", 1u << AKI_SO },
    { "z", 1u << AKI_ZS | 1u << AKI_ZL | 1u << AKI_ZP }, { "separator", 1u << AKI_ZS | 1u << AKI_ZL | 1u << AKI_ZP },
    { "zs", 1u << AKI_ZS }, { "zl", 1u << AKI_ZL }, { "zp", 1u << AKI_ZP },
    { "c", 1u << AKI_CN | 1u << AKI_CC | 1u << AKI_CF | 1u << AKI_CO | 1u << AKI_CS },
    { "other", 1u << AKI_CN | 1u << AKI_CC | 1u << AKI_CF | 1u << AKI_CO | 1u << AKI_CS },
    { "cc", 1u << AKI_CC }, { "cf", 1u << AKI_CF }, { "cn", 1u << AKI_CN }, { "co", 1u << AKI_CO },
};

bool aki__code_points_from_property(struct aki__code_points *s, const char *name, size_t size)
{
    char plain[32];
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        if (c == ' ' || c == '-' || c == '_')
            continue;
        if (n + 1 >= sizeof plain)
            return false;
        plain[n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    plain[n] = '\0';
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        if (strcmp(properties[i].name, plain) == 0) {
            aki__code_points_from_table(s, properties[i].categories, 0);
            return true;
        }
    for (size_t i = 0; i < aki__unicode_script_count; i++)
        if (strcmp(aki__unicode_scripts[i].name, plain) == 0) {
            for (size_t k = aki__unicode_scripts[i].begin; k < aki__unicode_scripts[i].end; k++)
                aki__code_points_add(s, aki__unicode_script_ranges[k].first, aki__unicode_script_ranges[k].last);
            return true;
        }
    return false;
}
