#!/usr/bin/env python3
"""Writes src/text/unicode_tables.c by asking Hugging Face `tokenizers` about every code point.

Why ask: the package uses five Unicode libraries of different versions (Rust's own, regex, Oniguruma,
unicode-normalization 9.0, unicode_categories), and a table made from any one release of the standard
would differ from it in thousands of code points. So each predicate here is what the package itself
answers. Run in an environment with tokenizers 0.23.x:   scripts/generate_unicode_tables.py
"""
import struct
import sys
import unicodedata
from pathlib import Path

import tokenizers
from tokenizers import Regex, normalizers as N, pre_tokenizers as P

OUT = Path(__file__).resolve().parent.parent / "src" / "text" / "unicode_tables.c"
TOP = 0x110000
ALL = [c for c in range(TOP) if not 0xD800 <= c < 0xE000]
BLOCK = 64

CATEGORIES = "Cn Cc Cf Co Cs Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp".split()
SCRIPTS = "Arabic Armenian Bengali Cyrillic Devanagari Georgian Greek Han Hangul Hebrew Hiragana Katakana Khmer Lao Latin Tamil Telugu Thai Tibetan".split()

# Must agree with enum flags in unicode.h.
WHITE, CONTROL, BERT_MN, MARK, PUNCT, NUMERIC, WORD, ONIG_SPACE, ONIG_WORD, CHINESE, \
    LOWER, NFD, NFKD, NFC_NO, NFKC_NO, SECOND, LINKER, INCB_EXTEND, ONIG_CLASS_WORD = (1 << i for i in range(19))
GCB = "ANY CR LF CONTROL EXTEND ZWJ REGIONAL PREPEND SPACING L V T LV LVT PICTOGRAPHIC CONSONANT".split()


def onig_set(pattern):
    """Code points that an Oniguruma pattern for one character matches."""
    split = P.Split(Regex(pattern), "removed")
    matched = set()
    for at in range(0, len(ALL), 8192):
        chunk = ALL[at:at + 8192]
        left = set()
        for _, (begin, end) in split.pre_tokenize_str("".join(map(chr, chunk))):
            left.update(chunk[begin:end])
        matched.update(c for c in chunk if c not in left)
    return matched


def charsmap_bytes(keys):
    """A sentencepiece charsmap (double-array trie, then replacements) for a few keys. A node has a base of its own; its child by a
    byte stands at base ^ byte, its value at base."""
    nodes, leaves = [{}], [None]
    for key, value in keys.items():
        n = 0
        for byte in key.encode():
            if byte not in nodes[n]:
                nodes.append({})
                leaves.append(None)
                nodes[n][byte] = len(nodes) - 1
            n = nodes[n][byte]
        leaves[n] = value
    units, blob, taken, bases, place, label = {}, b"", {0}, set(), {0: 0}, {0: 0}
    for i, children in enumerate(nodes):
        wanted = list(children) + ([0] if leaves[i] is not None else [])
        base = next(x for x in range(1, 1 << 20) if x not in bases and not any(x ^ byte in taken for byte in wanted))
        bases.add(base)
        taken.update(base ^ byte for byte in wanted)
        for byte, j in children.items():
            place[j], label[j] = base ^ byte, byte
        units[place[i]] = (place[i] ^ base) << 10 | label[i]
        if leaves[i] is not None:
            units[place[i]] |= 1 << 8
            units[base] = len(blob) | 1 << 31
            blob += leaves[i].encode() + b"\0"
    size = (max(units) | 255) + 1
    return struct.pack("<I", 4 * size) + struct.pack("<%dI" % size, *(units.get(i, 0) for i in range(size))) + blob


def charsmap(keys):
    return N.Precompiled(charsmap_bytes(keys))


def grapheme_classes():
    """Grapheme break classes, from where Precompiled puts cluster bounds: a cluster of under 6 bytes that begins with a key is
    replaced whole, a longer one character by character; so what is swallowed shows where the cluster ended."""
    acute, circumflex, virama, ka, zwj = "\u0301", "\u0302", "\u094d", "\u0915", "\u200d"
    on_a, on_acute, on_copy, on_ka = (charsmap({k: "Z"}) for k in ("a", acute, "\u00a9", ka))
    on_v, on_t, on_l = (charsmap({k: "Z"}) for k in ("\u1161", "\u11a8", "\u1100"))
    result, flags = {}, {}
    for c in ALL:
        s = chr(c)
        # Key inside c's own spelling would answer the wrong question.
        joins_before = on_a.normalize_str("a" + s) == "Z" if s != "a" else False
        breaks_after = on_acute.normalize_str(s + acute + circumflex).endswith("Z") if s != acute else False
        linker = on_ka.normalize_str(ka + s + ka + acute).endswith("Z" + acute) if s != ka else False
        incb = on_ka.normalize_str(ka + virama + s + ka + acute).endswith("Z" + acute) if s != ka else False
        flags[c] = (LINKER if linker and joins_before else 0) | (INCB_EXTEND if incb and joins_before else 0)
        if c == 0x0D:
            kind = "CR"
        elif c == 0x0A:
            kind = "LF"
        elif s == zwj:
            kind = "ZWJ"
        elif 0x1F1E6 <= c <= 0x1F1FF:
            kind = "REGIONAL"
        elif breaks_after:
            kind = "CONTROL"
        elif joins_before:
            # Extend may stand between a pictograph and ZWJ, a spacing mark may not.
            plain = on_copy.normalize_str("\u00a9" + s + zwj + "\u00a9" + acute)
            kind = "EXTEND" if plain.endswith("Z" + acute) else "SPACING"
        else:
            with_v = on_v.normalize_str(s + "\u1161" + acute).endswith("Z" + acute)
            with_t = on_t.normalize_str(s + "\u11a8" + acute).endswith("Z" + acute)
            with_l = on_l.normalize_str(s + "\u1100" + acute).endswith("Z" + acute)
            if with_v and with_t and with_l:
                kind = "PREPEND"
            elif with_l:
                kind = "L"
            elif with_v and with_t:
                # V or LV: an L alone joins with both, another V too; V T joins T, so ask what may stand before: LV follows only L.
                before = charsmap({s: "Z"}).normalize_str("\u1161" + s + acute)
                kind = "V" if len(s.encode()) > 3 or before.endswith("Z" + acute) else "LV"
            elif with_t:
                before = charsmap({s: "Z"}).normalize_str("\u11a8" + s + acute)
                kind = "T" if before.endswith("Z" + acute) else "LVT"
            elif on_copy.normalize_str("\u00a9" + zwj + s).startswith("Z" + zwj):
                kind = "PICTOGRAPHIC"
            elif on_ka.normalize_str(s + virama + ka + acute).endswith("Z" + acute):
                kind = "CONSONANT"
            else:
                kind = "ANY"
        result[c] = kind
    return result, flags


def combining_classes(nfd):
    """Classes from the order in which NFD puts c and marks of known class."""
    ladder = {}
    for c in ALL:
        k = unicodedata.combining(chr(c))
        # A mark newer than the package's table has class 0 there: it is no step.
        if k and k not in ladder and nfd(chr(c)) == chr(c) and (c == 0x345 or nfd("\u0345" + chr(c)) != "\u0345" + chr(c)):
            ladder[k] = chr(c)
    steps = sorted(ladder)
    low, high = ladder[steps[0]], ladder[steps[-1]]
    result = {}
    for c in ALL:
        s = chr(c)
        if nfd(s) != s:
            result[c] = 0
            continue
        if nfd(high + s) == high + s and nfd(s + low) == s + low and s not in (low, high):
            # Either no mark, or of the lowest class's and highest class's order at once, which cannot be.
            result[c] = 0
            continue
        at = [k for k in steps if nfd(ladder[k] + s) == ladder[k] + s and nfd(s + ladder[k]) == s + ladder[k]]
        assert len(at) == 1, (hex(c), at)
        result[c] = at[0]
    return result


def numbers(values, width=32):
    return ",\n".join(",".join(map(str, values[i:i + width])) for i in range(0, len(values), width))


def two_stage(values):
    """Blocks of BLOCK values, equal blocks once."""
    blocks, index, first = [], {}, []
    for at in range(0, TOP, BLOCK):
        block = tuple(values[at:at + BLOCK])
        if block not in index:
            index[block] = len(blocks)
            blocks.append(block)
        first.append(index[block])
    return first, [v for b in blocks for v in b]


def main():
    nfd, nfkd, nfc, nfkc = (x().normalize_str for x in (N.NFD, N.NFKD, N.NFC, N.NFKC))
    lower, accents = N.Lowercase().normalize_str, N.StripAccents().normalize_str
    clean = N.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False).normalize_str
    chinese = N.BertNormalizer(clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False).normalize_str
    strip = N.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False).normalize_str
    white, punct, digits, word = (x.pre_tokenize_str for x in (P.WhitespaceSplit(), P.Punctuation("isolated"), P.Digits(True), P.Whitespace()))

    print("predicates", file=sys.stderr)
    flags = [0] * TOP
    lowers, nfds, nfkds = {}, {}, {}
    hangul = range(0xAC00, 0xD7A4)
    for c in ALL:
        s = chr(c)
        f = 0
        if len(white("a" + s + "a")) == 2: f |= WHITE
        if clean("a" + s + "a") == "aa": f |= CONTROL
        if chinese(s) == " " + s + " ": f |= CHINESE
        if nfd(s) == s and strip("a" + s) == "a": f |= BERT_MN
        if accents(s) == "": f |= MARK
        if len(punct("a" + s + "a")) == 3: f |= PUNCT
        if len(digits("a" + s + "a")) == 3: f |= NUMERIC
        if len(word("a" + s + "a")) == 1: f |= WORD
        if lower(s) != s: f |= LOWER; lowers[c] = lower(s)
        if nfd(s) != s: f |= NFD; nfds[c] = nfd(s)
        if nfkd(s) != s: f |= NFKD; nfkds[c] = nfkd(s)
        if nfc(s) != s: f |= NFC_NO
        if nfkc(s) != s: f |= NFKC_NO
        # BERT turns white space into a blank after it has removed controls: nothing may be both kept and changed otherwise.
        if not f & CONTROL: assert clean("a" + s + "a") == ("a a" if f & WHITE or c in (9, 10, 13) else "a" + s + "a"), hex(c)
        flags[c] = f

    print("Oniguruma", file=sys.stderr)
    category = [0] * TOP
    for i, name in enumerate(CATEGORIES):
        if name == "Cs": continue
        for c in onig_set(r"\p{%s}" % name): category[c] = i
    for c in range(0xD800, 0xE000): category[c] = CATEGORIES.index("Cs")
    for c in onig_set(r"\s"): flags[c] |= ONIG_SPACE
    for c in onig_set(r"\w"): flags[c] |= ONIG_WORD
    for c in onig_set(r"[\w]"): flags[c] |= ONIG_CLASS_WORD       # six superscripts and fractions less
    assert onig_set(r"[\W]") == {c for c in ALL if not flags[c] & ONIG_CLASS_WORD}
    assert onig_set(r"[\s]") == {c for c in ALL if flags[c] & ONIG_SPACE}
    assert onig_set(r"\d") == onig_set(r"[\d]") == {c for c in ALL if CATEGORIES[category[c]] == "Nd"}
    scripts = {name: sorted(onig_set(r"\p{%s}" % name)) for name in SCRIPTS}

    print("composition", file=sys.stderr)
    pairs = []
    for c in ALL:
        s = chr(c)
        if c in hangul or not flags[c] & NFD or flags[c] & NFC_NO or len(nfds[c]) < 2: continue
        first, last = nfc(nfds[c][:-1]), nfds[c][-1]
        assert len(first) == 1 and nfc(first + last) == s, hex(c)
        pairs.append((ord(first), ord(last), c))
    pairs.sort()
    for _, second, _ in pairs: flags[second] |= SECOND
    for c in list(range(0x1161, 0x1176)) + list(range(0x11A8, 0x11C3)): flags[c] |= SECOND

    print("combining classes", file=sys.stderr)
    classes = combining_classes(nfd)
    print("grapheme clusters", file=sys.stderr)
    breaks, more = grapheme_classes()

    records, record_of, stage = {}, [], [0] * TOP
    for c in range(TOP):
        key = (flags[c] | more.get(c, 0), category[c], GCB.index(breaks.get(c, "CONTROL")), classes.get(c, 0))
        if key not in records:
            records[key] = len(records)
            record_of.append(key)
        stage[c] = records[key]

    pool, offsets = bytearray(b"\0"), {}
    def put(text):
        if text not in offsets:
            raw = text.encode()
            offsets[text] = len(pool)
            pool.extend(bytes([len(raw)]) + raw)
        return offsets[text]
    maps, map_of, map_stage = {(0, 0, 0): 0}, [(0, 0, 0)], [0] * TOP
    for c in ALL:
        if c in hangul or not flags[c] & (LOWER | NFD | NFKD): continue
        key = (put(lowers[c]) if c in lowers else 0, put(nfds[c]) if c in nfds else 0, put(nfkds[c]) if c in nfkds else 0)
        if key not in maps:
            maps[key] = len(maps)
            map_of.append(key)
        map_stage[c] = maps[key]
    assert len(pool) < 65536 and len(maps) < 65536 and len(records) < 256

    first, second = two_stage(stage)
    map_first, map_second = two_stage(map_stage)
    with OUT.open("w") as f:
        w = f.write
        w("/* Unit unicode_tables: what Hugging Face tokenizers %s answers about every code point. Generated by\n"
          " * scripts/generate_unicode_tables.py: do not edit. See unicode.h for the meaning. */\n" % tokenizers.__version__)
        w('#include "text/unicode_tables.h"\n\n')
        w("const struct aki__unicode aki__unicode_records[] = {\n")
        for key in record_of: w("{%d,%d,%d,%d},\n" % key)
        w("};\n\nconst uint16_t aki__unicode_first[] = {\n%s};\n" % numbers(first))
        w("\nconst uint8_t aki__unicode_second[] = {\n%s};\n" % numbers(second))
        w("\nconst uint16_t aki__unicode_map_first[] = {\n%s};\n" % numbers(map_first))
        w("\nconst uint16_t aki__unicode_map_second[] = {\n%s};\n" % numbers(map_second))
        w("\nconst struct aki__unicode_map aki__unicode_maps[] = {\n%s};\n" % ",\n".join("{%d,%d,%d}" % k for k in map_of))
        w("\nconst unsigned char aki__unicode_pool[] = {\n%s};\n" % numbers(list(pool)))
        w("\nconst struct aki__unicode_pair aki__unicode_pairs[] = {\n%s};\n" % ",\n".join("{%d,%d,%d}" % p for p in pairs))
        w("const size_t aki__unicode_pair_count = %d;\n" % len(pairs))
        ranges, where = [], []
        for name in SCRIPTS:
            begin = len(ranges)
            for c in scripts[name]:
                if len(ranges) > begin and ranges[-1][1] == c - 1: ranges[-1][1] = c
                else: ranges.append([c, c])
            where.append((name.lower(), begin, len(ranges)))
        w("\nconst struct aki__unicode_range aki__unicode_script_ranges[] = {\n%s};\n" % ",".join("{%d,%d}" % tuple(r) for r in ranges))
        w("const struct aki__unicode_script aki__unicode_scripts[] = {\n%s};\n" % ",\n".join('{"%s",%d,%d}' % s for s in where))
        w("const size_t aki__unicode_script_count = %d;\n" % len(where))
    print("records %d, maps %d, pool %d, pairs %d, %d bytes" % (len(records), len(maps), len(pool), len(pairs), OUT.stat().st_size), file=sys.stderr)


if __name__ == "__main__":
    main()
