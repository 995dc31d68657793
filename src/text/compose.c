/* Unit compose: the Unicode normal forms. Text that is already in the form, the usual case, is only scanned. Otherwise a run is
 * processed: from the last safe starter before a code point that may change to the next one after it. */
#include "text/stages.h"

/* Returns the offset up to which the text is in the form and cannot be changed by what follows: its end, or the last safe
 * starter before the first code point that may change. *stop: the offset of that code point. */
static size_t quick(const char *text, size_t size, size_t at, uint32_t unsafe, size_t *stop)
{
    size_t start = at;
    uint8_t before = 0;

    while (at < size) {
        if ((unsigned char)text[at] < 0x80) {
            uint64_t eight;
            while (at + 8 <= size && (memcpy(&eight, text + at, 8), !(eight & UINT64_C(0x8080808080808080))))
                at += 8;
            while (at < size && (unsigned char)text[at] < 0x80)
                at++;
            start = at - 1;
            before = 0;
            continue;
        }
        const char *p = text + at;
        const struct aki__unicode *u = aki__unicode(aki__utf8_next(&p));
        if ((u->flags & unsafe) || (u->combining && u->combining < before)) {
            *stop = at;
            return start;
        }
        before = u->combining;
        if (!u->combining)
            start = at;
        at = (size_t)(p - text);
    }
    *stop = size;
    return size;
}

static uint32_t unsafe_flags(bool compose, bool compatible)
{
    if (compose)
        return AKI_U_SECOND | (compatible ? AKI_U_NFKC_NO : AKI_U_NFC_NO);
    return compatible ? AKI_U_NFKD : AKI_U_NFD;
}

bool aki__normal_form_quick(const char *text, size_t size, bool compose, bool compatible)
{
    size_t stop;

    quick(text, size, 0, unsafe_flags(compose, compatible), &stop);
    return stop == size;
}

/* Real runs have a few marks, which insertion sorts; hostile runs of millions are sorted by counting. */
bool aki__sort_marks(struct aki__work *w, struct aki__pending *run, size_t count)
{
    if (count <= 24) {
        for (size_t i = 1; i < count; i++) {
            struct aki__pending x = run[i];
            size_t k = i;
            for (; k && run[k - 1].combining > x.combining; k--)
                run[k] = run[k - 1];
            run[k] = x;
        }
        return true;
    }
    size_t index[257] = { 0 };
    if (!aki__grow((void **)&w->sorted, &w->sorted_capacity, count, sizeof *w->sorted))
        return false;
    for (size_t i = 0; i < count; i++)
        index[run[i].combining + 1]++;
    for (size_t i = 1; i < 257; i++)
        index[i] += index[i - 1];
    for (size_t i = 0; i < count; i++)
        w->sorted[index[run[i].combining]++] = run[i];
    memcpy(run, w->sorted, count * sizeof *run);
    return true;
}

/* Composes in place; returns the number of code points left. The change of a composed pair says that it consumed one code point
 * of the input. */
static size_t compose_run(struct aki__pending *p, size_t count)
{
    size_t n = 0, starter = SIZE_MAX;
    int last = -1;

    for (size_t i = 0; i < count; i++) {
        struct aki__pending x = p[i];
        if (starter != SIZE_MAX && last < x.combining) {
            uint32_t whole = aki__unicode_compose(p[starter].c, x.c);
            if (whole) {
                p[starter].c = whole;
                p[starter].change += x.change - 1;
                continue;
            }
        }
        if (x.combining == 0) {
            starter = n;
            last = -1;
        } else if (starter != SIZE_MAX) {
            last = x.combining;
        }
        p[n++] = x;
    }
    return n;
}

static bool decompose_run(struct aki__work *w, const char *text, size_t size, bool compatible, size_t *count)
{
    const char *end = text + size;
    size_t n = 0, marks = 0;            /* marks: the index of the first mark at the end */

    while (text < end) {
        uint32_t parts[AKI_DECOMPOSED_MAX];
        size_t k = aki__unicode_decompose(aki__utf8_next(&text), compatible, parts);
        if (!aki__grow((void **)&w->pending, &w->pending_capacity, n + k, sizeof *w->pending))
            return false;
        for (size_t i = 0; i < k; i++) {
            uint8_t combining = aki__unicode(parts[i])->combining;
            if (!combining) {
                if (n - marks > 1 && !aki__sort_marks(w, w->pending + marks, n - marks))
                    return false;
                marks = n + 1;
            }
            w->pending[n++] = (struct aki__pending){ parts[i], i > 0, combining };
        }
    }
    *count = n;
    return n <= marks || aki__sort_marks(w, w->pending + marks, n - marks);
}

void aki__normal_form(struct aki__sink *s, bool compose, bool compatible)
{
    const char *text = s->in.data;
    size_t size = s->in.size, done = 0;
    uint32_t unsafe = unsafe_flags(compose, compatible);

    while (done < size && !s->failed) {
        size_t stop, start = quick(text, size, done, unsafe, &stop), count;
        aki__sink_copy(s, text + done, start - done);
        done = start;
        if (stop == size)
            continue;
        const char *p = text + stop;
        aki__utf8_next(&p);
        while (p < text + size) {
            const char *next = p;
            const struct aki__unicode *u = aki__unicode(aki__utf8_next(&next));
            if (!u->combining && !(u->flags & unsafe))
                break;
            p = next;
        }
        stop = (size_t)(p - text);
        if (!decompose_run(s->w, text + start, stop - start, compatible, &count)) {
            s->failed = true;
            return;
        }
        if (compose)
            count = compose_run(s->w->pending, count);
        for (size_t i = 0; i < count; i++)
            aki__sink_put(s, s->w->pending[i].c, s->w->pending[i].change);
        done = stop;
    }
}
