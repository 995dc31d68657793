/* Unit unicode: mappings, composition and grapheme clusters, from the generated tables. See unicode.h. */
#include "text/unicode.h"

enum { S_BASE = 0xAC00, L_BASE = 0x1100, V_BASE = 0x1161, T_BASE = 0x11A7, L_COUNT = 19, V_COUNT = 21, T_COUNT = 28,
       S_COUNT = L_COUNT * V_COUNT * T_COUNT };

static const struct aki__unicode_map *map_of(uint32_t c)
{
    return &aki__unicode_maps[aki__unicode_map_second[(size_t)aki__unicode_map_first[c >> 6] << 6 | (c & 63)]];
}

static const char *pooled(uint16_t offset, size_t *size)
{
    if (!offset)
        return NULL;
    *size = aki__unicode_pool[offset];
    return (const char *)&aki__unicode_pool[offset + 1];
}

const char *aki__unicode_lower(uint32_t c, size_t *size) { return pooled(map_of(c)->lower, size); }

size_t aki__unicode_decompose(uint32_t c, bool compatible, uint32_t out[AKI_DECOMPOSED_MAX])
{
    if (c - S_BASE < S_COUNT) {
        uint32_t s = c - S_BASE, t = s % T_COUNT;
        out[0] = L_BASE + s / (V_COUNT * T_COUNT);
        out[1] = V_BASE + s % (V_COUNT * T_COUNT) / T_COUNT;
        out[2] = T_BASE + t;
        return t ? 3 : 2;
    }
    const struct aki__unicode_map *m = map_of(c);
    size_t size = 0, count = 0;
    const char *p = pooled(compatible ? m->nfkd : m->nfd, &size);
    if (!p) {
        out[0] = c;
        return 1;
    }
    for (const char *end = p + size; p < end && count < AKI_DECOMPOSED_MAX;)
        out[count++] = aki__utf8_next(&p);
    return count;
}

uint32_t aki__unicode_compose(uint32_t first, uint32_t second)
{
    if (first - L_BASE < L_COUNT && second - V_BASE < V_COUNT)
        return S_BASE + ((first - L_BASE) * V_COUNT + (second - V_BASE)) * T_COUNT;
    if (first - S_BASE < S_COUNT && (first - S_BASE) % T_COUNT == 0 && second - (T_BASE + 1) < T_COUNT - 1)
        return first + (second - T_BASE);
    size_t low = 0, high = aki__unicode_pair_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct aki__unicode_pair *p = &aki__unicode_pairs[middle];
        if (p->first < first || (p->first == first && p->second < second))
            low = middle + 1;
        else
            high = middle;
    }
    const struct aki__unicode_pair *p = &aki__unicode_pairs[low];
    return low < aki__unicode_pair_count && p->first == first && p->second == second ? p->composed : 0;
}

/* Rules GB3 … GB999 of UAX #29, except for those that look back further than one code point. */
static bool breaks_between(uint8_t a, uint8_t b)
{
    if (a == AKI_G_CR && b == AKI_G_LF)
        return false;
    if (a == AKI_G_CONTROL || a == AKI_G_CR || a == AKI_G_LF || b == AKI_G_CONTROL || b == AKI_G_CR || b == AKI_G_LF)
        return true;
    switch (b) {
    case AKI_G_EXTEND: case AKI_G_ZWJ: case AKI_G_SPACING: return false;
    case AKI_G_L: case AKI_G_LV: case AKI_G_LVT: return a != AKI_G_L && a != AKI_G_PREPEND;
    case AKI_G_V: return a != AKI_G_L && a != AKI_G_LV && a != AKI_G_V && a != AKI_G_PREPEND;
    case AKI_G_T: return a != AKI_G_LV && a != AKI_G_V && a != AKI_G_LVT && a != AKI_G_T && a != AKI_G_PREPEND;
    default: return a != AKI_G_PREPEND;
    }
}

bool aki__cluster_begins(struct aki__clusters *s, const struct aki__unicode *u)
{
    uint8_t b = u->cluster;
    bool begins = !s->started || breaks_between(s->before, b);

    if (begins && s->started
        && ((b == AKI_G_CONSONANT && s->conjunct == 2) || (b == AKI_G_PICTOGRAPHIC && s->pictograph == 2)
            || (b == AKI_G_REGIONAL && s->before == AKI_G_REGIONAL && s->regional_odd)))
        begins = false;
    s->regional_odd = b == AKI_G_REGIONAL && !(s->before == AKI_G_REGIONAL && s->started && s->regional_odd);
    if (b == AKI_G_PICTOGRAPHIC)
        s->pictograph = 1;
    else if (s->pictograph == 1 && b == AKI_G_ZWJ)
        s->pictograph = 2;
    else if (!(s->pictograph == 1 && b == AKI_G_EXTEND))
        s->pictograph = 0;
    if (b == AKI_G_CONSONANT)
        s->conjunct = 1;
    else if (s->conjunct && (u->flags & AKI_U_LINKER))
        s->conjunct = 2;
    else if (!(u->flags & AKI_U_INCB_EXTEND))
        s->conjunct = 0;
    s->before = b;
    s->started = true;
    return begins;
}
