#!/usr/bin/env python3
"""Differential test of the tokenizers: ids, spans and decoded text of tool_tokenize against Hugging Face `tokenizers`.

  differential_tokenizer.py TOOL [--count N] [--seed S] [--random-pipelines K] [--sweep] TOKENIZER.JSON …

Texts are mutations of real text in many languages (Debian's application descriptions where apt has them, else the sample beside this
file), splices of the file's added tokens, and random code points; --sweep adds every code point, alone, between letters and behind an
apostrophe. Half of the calls differ in special tokens, truncation or pairs. --random-pipelines makes up tokenizer.json files of
random stages over small models and tests those too. Needs a Python with tokenizers 0.23. Exit 1 at the first difference, printed
with the seed.
"""
import argparse
import copy
import glob
import gzip
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
SPECIAL, PARSE, SPANS, DECODE, PAIR, LEFT, TYPES = 1, 2, 4, 8, 16, 32, 64


# ------------------------------------------------------------------ texts

def corpus():
    texts = json.loads((HERE / "data" / "tokenizer" / "texts.json").read_text("utf-8"))
    found = glob.glob("/var/lib/apt/lists/*dep11_Components*.yml.gz")
    for path in found[:1]:
        with gzip.open(path, "rt", encoding="utf-8") as f:
            lines = [re.sub(r"^\s*[\w@-]+: ", "", line.rstrip("\n")) for line in f if len(line) > 30]
        picked = random.Random(7).sample(lines, min(20000, len(lines)))
        texts += [re.sub(r"<[^>]+>", "", t) for t in picked] + picked[:200]
    return texts


def any_code_point(rng):
    while True:
        roll = rng.random()
        if roll < 0.3: c = rng.randrange(0x20, 0x250)
        elif roll < 0.5: c = rng.randrange(0x300, 0x370)
        elif roll < 0.8: c = rng.randrange(0x10000)
        elif roll < 0.9: c = rng.choice((0x200B, 0x200C, 0x200D, 0xFE0F, 0xFEFF, 0xA0, 0x3000, 0x85, 0x2028, 0, 9, 10, 13, 0x0B, 0xAD, 0x2581,
                                         0x110, 0x17F, 0x130, 0x1E9E, 0xDF, 0xFB01, 0x1100, 0x1161, 0x11A8, 0xAC00, 0x93C, 0x94D, 0x915, 0x309A, 0xFF9E, 0x345, 0x302E, 0x1D165))
        else: c = rng.randrange(0x110000)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


MARKS = [chr(c) for c in list(range(0x300, 0x370)) + list(range(0x591, 0x5C8)) + list(range(0x64B, 0x660)) + [0x93C, 0x94D, 0x9BE, 0xE31, 0xE38, 0x302A, 0x302E, 0x3099, 0x309A, 0x20D0, 0x1D165, 0x1D16D]]
BLANKS = ["  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u3000", " \r", "\u2003 "]


def mutate(rng, texts, tokens):
    t = rng.choice(texts)
    if len(t) > 300:
        at = rng.randrange(len(t) - 200)
        t = t[at:at + rng.randrange(20, 200)]
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(t) + 1)
        roll = rng.random()
        if roll < 0.18: t = t[:at] + any_code_point(rng) + t[at:]
        elif roll < 0.30: t = t[:at] + "".join(any_code_point(rng) for _ in range(rng.randrange(1, 8))) + t[at:]
        elif roll < 0.42: t = t[:at] + "".join(rng.choice(MARKS) for _ in range(rng.randrange(1, 5))) + t[at:]
        elif roll < 0.54: t = t[:at] + rng.choice(BLANKS) + t[at:]
        elif roll < 0.70 and tokens:
            t = t[:at] + rng.choice(("", "", " ", "  ", "\n", "x")) + rng.choice(tokens) + rng.choice(("", "", " ", " \t", "x", rng.choice(tokens))) + t[at:]
        elif roll < 0.78: t = t[:at] + t[at + rng.randrange(1, 6):]
        elif roll < 0.84: t = t[:at] + rng.choice(("'s", "'LL", "'Ve", "'\u017f", "123456", "3.14", "!!!", "\u2026", "//", "_a_", "`` ''", "<0x0A>", "ﬁ", "Ａ́", "﷼", "ﷺ")) + t[at:]
        elif roll < 0.90: t = t.upper() if rng.random() < 0.5 else t.title()
        elif roll < 0.95: t = t[:at] + t[at:] * rng.randrange(1, 3)
        else: t = t[:at] + rng.choice(texts)[:60] + t[at:]
    return t if rng.random() > 0.01 else ""


# ------------------------------------------------------------------ both sides

class Ours:
    def __init__(self, tool, path):
        self.p = subprocess.Popen([tool, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, flags, limit, a, b=None):
        w, r = self.p.stdin, self.p.stdout
        m = struct.pack("<BII", flags, limit, len(a)) + a
        if b is not None:
            m += struct.pack("<I", len(b)) + b
        w.write(m)
        w.flush()
        head = r.read(8)
        if len(head) != 8:
            raise RuntimeError("the tool ended with %s" % self.p.wait())
        rc, n = struct.unpack("<iI", head)
        if rc:
            return rc, r.read(n).decode(), None, None, None
        ids = list(struct.unpack("<%di" % n, r.read(4 * n)))
        spans = struct.unpack("<%dq" % (2 * n), r.read(16 * n)) if flags & SPANS else ()
        types = (list(struct.unpack("<%di" % n, r.read(4 * n))), list(struct.unpack("<%db" % n, r.read(n)))) if flags & TYPES else ()
        texts = []
        for _ in range(2 if flags & DECODE else 0):
            size, = struct.unpack("<I", r.read(4))
            texts.append(r.read(size).decode())
        return 0, ids, list(zip(spans[::2], spans[1::2])), types, texts

    def close(self):
        self.p.stdin.close()
        return self.p.wait()


class Theirs:
    def __init__(self, path):
        self.t = Tokenizer.from_file(path)
        self.t.no_padding()

    def ask(self, flags, limit, a, b=None):
        self.t.encode_special_tokens = not flags & PARSE
        if limit:
            self.t.enable_truncation(limit, direction="left" if flags & LEFT else "right")
        else:
            self.t.no_truncation()
        e = self.t.encode(a, b, add_special_tokens=bool(flags & SPECIAL))
        texts = [self.t.decode(e.ids, skip_special_tokens=s) for s in (False, True)] if flags & DECODE else []
        types = (e.type_ids, [-1 if s is None else s for s in e.sequence_ids]) if flags & TYPES else ()
        return e.ids, e.offsets, types, e.sequence_ids, texts


def byte_places(text):
    places, at = [0], 0
    for c in text:
        at += len(c.encode())
        places.append(at)
    return places


def spans_equal(ours, theirs, sequences, a, b):
    places = (byte_places(a), byte_places(b or ""))
    for mine, his, sequence in zip(ours, theirs, sequences):
        p = places[sequence or 0]
        want = tuple(p[x] if x < len(p) else -1 for x in his)
        # Behind the text's end, and for empty ranges there, theirs leaves bytes unconverted.
        if mine != want and mine != tuple(his):
            return False
    return True


def shown(t):
    return json.dumps(t)


def compare(ours, theirs, flags, limit, a, b, where):
    try:
        want = theirs.ask(flags, limit, a, b)
    except BaseException as e:              # their panics are no answers
        if isinstance(e, KeyboardInterrupt):
            raise
        ours.ask(flags, limit, a.encode(), None if b is None else b.encode())
        return "panic"
    rc, ids, spans, types, texts = ours.ask(flags, limit, a.encode(), None if b is None else b.encode())
    problem = None
    if rc:
        problem = "error %d: %s" % (rc, ids)
    elif ids != want[0]:
        at = next((i for i, (x, y) in enumerate(zip(ids, want[0])) if x != y), min(len(ids), len(want[0])))
        problem = "ids differ at %d: ours %s, theirs %s" % (at, ids[at:at + 6], want[0][at:at + 6])
    elif not spans_equal(spans, want[1], want[3], a, b):
        at = next((i for i in range(len(ids)) if not spans_equal(spans[i:i + 1], want[1][i:i + 1], want[3][i:i + 1], a, b)), 0)
        problem = "spans differ at %d (id %d): ours %s, theirs, in characters, %s" % (at, ids[at], spans[at:at + 4], want[1][at:at + 4])
    elif types != want[2]:
        problem = "types and sequences: ours %s, theirs %s" % (types, want[2])
    elif texts != want[4]:
        problem = "decoded: ours %s, theirs %s" % (shown(texts), shown(want[4]))
    if problem:
        print("%s\n  flags %d limit %d\n  text %s\n  pair %s\n  %s" % (where, flags, limit, shown(a), shown(b), problem))
    return problem


# ------------------------------------------------------------------ made-up pipelines

def random_pipeline(rng, bases):
    """A tokenizer.json of random stages over a random model of the given files."""
    d = copy.deepcopy(rng.choice(bases))
    charsmaps = [n["precompiled_charsmap"] for b in bases for n in ([b["normalizer"]] + (b["normalizer"] or {}).get("normalizers", []) if b["normalizer"] else []) if n["type"] == "Precompiled"]
    patterns = [r"\s+", r" {2,}", r"\d{1,3}(?=(?:\d{3})*\b)", r"[^\s\p{L}\p{N}]+", r"\p{Lu}?\p{Ll}+|\p{N}", r"[\p{L}\p{M}]+", r"(?i:THE|and|'s)", r"[一-龥぀-ゟ゠-ヿ]+",
                r"^\s|\s$", r"(?<=\w)-(?=\w)", r"\p{P}", r"[^\W_]+", r"x*", r"\p{Han}|\p{Hiragana}+", r"a|b|\r?\n", r"\bt\w*"]
    pick = rng.choice

    def pattern():
        return {"String": pick((" ", "e", "▁", "in", "  ", "é"))} if rng.random() < 0.4 else {"Regex": pick(patterns)}

    def normalizer():
        k = pick("BertNormalizer NFC NFD NFKC NFKD Lowercase StripAccents Strip Replace Prepend Precompiled Nmt ByteLevel".split())
        n = {"type": k}
        if k == "BertNormalizer":
            n.update(clean_text=pick((True, False)), handle_chinese_chars=pick((True, False)), strip_accents=pick((None, True, False)), lowercase=pick((True, False)))
        elif k == "Strip": n.update(strip_left=pick((True, False)), strip_right=pick((True, False)))
        elif k == "Replace": n.update(pattern=pattern(), content=pick(("", " ", "▁", "xyz", "é")))
        elif k == "Prepend": n.update(prepend=pick(("▁", " ", "é\u0301")))
        elif k == "Precompiled":
            if not charsmaps: return normalizer()
            n.update(precompiled_charsmap=pick(charsmaps))
        return n

    def pretokenizer():
        k = pick("BertPreTokenizer ByteLevel Split Split Metaspace Whitespace WhitespaceSplit Punctuation Digits CharDelimiterSplit FixedLength".split())
        behaviors = "Removed Isolated MergedWithPrevious MergedWithNext Contiguous".split()
        p = {"type": k}
        if k == "ByteLevel": p.update(add_prefix_space=pick((True, False)), trim_offsets=True, use_regex=pick((True, False)))
        elif k == "Split": p.update(pattern=pattern(), behavior=pick(behaviors), invert=pick((True, False)))
        elif k == "Metaspace": p.update(replacement=pick("▁▁_"), prepend_scheme=pick(("always", "never", "first")), split=pick((True, False)))
        elif k == "Punctuation": p.update(behavior=pick(behaviors))
        elif k == "Digits": p.update(individual_digits=pick((True, False)))
        elif k == "CharDelimiterSplit": p.update(delimiter=pick(" e,"))
        elif k == "FixedLength": p.update(length=rng.randrange(1, 9))
        return p

    def decoder():
        k = pick("ByteLevel WordPiece Metaspace Replace Fuse Strip ByteFallback BPEDecoder".split())
        p = {"type": k}
        if k == "ByteLevel": p.update(add_prefix_space=True, trim_offsets=True, use_regex=True)
        elif k == "WordPiece": p.update(prefix="##", cleanup=pick((True, False)))
        elif k == "Metaspace": p.update(replacement="▁", prepend_scheme=pick(("always", "never", "first")), split=True)
        elif k == "Replace": p.update(pattern=pattern(), content=pick(("", " ", "ab")))
        elif k == "Strip": p.update(content=pick(" e▁"), start=rng.randrange(3), stop=rng.randrange(2))
        elif k == "BPEDecoder": p.update(suffix="</w>")
        return p

    def some(make, key, top, kind="Sequence"):
        n = pick((0, 1, 1, 2, 3))
        return None if n == 0 else make() if n == 1 else {"type": kind, key: [make() for _ in range(n)]}

    if rng.random() < 0.7: d["normalizer"] = some(normalizer, "normalizers", 3)
    if rng.random() < 0.7: d["pre_tokenizer"] = some(pretokenizer, "pretokenizers", 3)
    if rng.random() < 0.5: d["decoder"] = some(decoder, "decoders", 3)
    if rng.random() < 0.5:
        vocab = d["model"]["vocab"]
        size = len(vocab) + len(d["added_tokens"])
        one, two = ["x", rng.randrange(len(vocab))], ["y", rng.randrange(len(vocab))]
        k = pick(("BertProcessing", "RobertaProcessing", "ByteLevel", "Sequence", None))
        if k == "BertProcessing": d["post_processor"] = {"type": k, "sep": one, "cls": two}
        elif k == "RobertaProcessing": d["post_processor"] = {"type": k, "sep": one, "cls": two, "trim_offsets": pick((True, False)), "add_prefix_space": pick((True, False))}
        elif k == "ByteLevel": d["post_processor"] = {"type": k, "add_prefix_space": pick((True, False)), "trim_offsets": pick((True, False)), "use_regex": True}
        elif k == "Sequence" and d["post_processor"] and d["post_processor"]["type"] == "TemplateProcessing":
            d["post_processor"] = {"type": k, "processors": [{"type": "ByteLevel", "add_prefix_space": pick((True, False)), "trim_offsets": True, "use_regex": True}, d["post_processor"]]}
        elif k is None: d["post_processor"] = None
    base = max([t["id"] for t in d["added_tokens"]] + [len(d["model"]["vocab"]) - 1]) + 1
    for content in rng.sample(("<x>", "the", " ", "  ", "<x>y", "é", "É", "in", "▁▁", "\n\n", "ation", "[X]", "'s", "İ", "中", "<x><x>"), rng.randrange(6)):
        if all(t["content"] != content for t in d["added_tokens"]):
            d["added_tokens"].append({"id": base, "content": content, "single_word": pick((True, False)), "lstrip": pick((True, False)), "rstrip": pick((True, False)),
                                      "normalized": pick((True, False)), "special": pick((True, False))})
            base += 1
    return d


# ------------------------------------------------------------------ running

def run(tool, path, count, rng, texts, sweep, where):
    try:
        theirs = Theirs(path)
    except BaseException as e:
        if isinstance(e, KeyboardInterrupt):
            raise
        code = subprocess.run([tool, path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if code.returncode not in (0, 2):
            print("%s: the tool ended with %d on a file that theirs refuses (%s)" % (where, code.returncode, e))
            return 1, 0
        return 0, 0
    probe = subprocess.run([tool, path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if probe.returncode == 2:
        print("%s: refused: %s" % (where, probe.stderr.decode().strip()))
        return (0, 0) if where.startswith("random") and "supported" in probe.stderr.decode() else (1, 0)
    ours = Ours(tool, path)
    file = json.loads(Path(path).read_text("utf-8"))
    tokens = [t["content"] for t in file["added_tokens"]]
    specials = theirs.t.num_special_tokens_to_add(False), theirs.t.num_special_tokens_to_add(True)
    done = panics = 0
    if sweep:
        for c in range(0x110000):
            if 0xD800 <= c < 0xE000: continue
            for t in (chr(c), "a" + chr(c) + "b", "'" + chr(c), "Ａ" + chr(c)):
                problem = compare(ours, theirs, SPECIAL | PARSE | SPANS | DECODE, 0, t, None, where)
                done += 1
                if problem and problem != "panic":
                    return 1, done
    for _ in range(count):
        a, b, flags, limit = mutate(rng, texts, tokens), None, SPECIAL | PARSE | SPANS | DECODE, 0
        if rng.random() < 0.5:
            flags = rng.randrange(4) | SPANS | DECODE | TYPES
            if rng.random() < 0.3:
                b = mutate(rng, texts, tokens)
                flags |= PAIR
            if rng.random() < 0.4:
                limit = (specials[b is not None] if flags & SPECIAL else 0) + rng.randrange(1, 40)
                flags |= rng.choice((0, LEFT))
        problem = compare(ours, theirs, flags, limit, a, b, where)
        done += 1
        panics += problem == "panic"
        if problem and problem != "panic":
            return 1, done
    code = ours.close()
    if code:
        print("%s: the tool ended with %d" % (where, code))
    if panics:
        print("%s: %d texts on which theirs panics" % (where, panics))
    return (1 if code else 0), done


def main():
    p = argparse.ArgumentParser()
    p.add_argument("tool")
    p.add_argument("files", nargs="*")
    p.add_argument("--count", type=int, default=100000, help="texts, divided among the files")
    p.add_argument("--seed", type=int)
    p.add_argument("--random-pipelines", type=int, default=0)
    p.add_argument("--per-pipeline", type=int, default=150)
    p.add_argument("--sweep", action="store_true")
    p.add_argument("--keep-going", action="store_true")
    o = p.parse_intermixed_args()
    seed = o.seed if o.seed is not None else int.from_bytes(os.urandom(4), "little")
    print("seed %d" % seed, flush=True)
    texts = corpus()
    files = o.files or sorted(map(str, (HERE / "data" / "tokenizer").glob("*.json")))
    files = [f for f in files if Path(f).name not in ("texts.json", "golden.json", "reference.json", "stages.json")]
    bad = total = 0
    for f in files:
        b, n = run(o.tool, f, o.count // max(1, len(files)), random.Random("%d %s" % (seed, Path(f).name)), texts, o.sweep, f)
        bad += b
        total += n
        print("%s: %d texts, %s" % (f, n, "DIFFERENT" if b else "equal"), flush=True)
        if bad and not o.keep_going:
            return 1
    bases = [json.loads(Path(f).read_text("utf-8")) for f in files if Path(f).stat().st_size < 1 << 20]
    with tempfile.TemporaryDirectory() as folder:
        for i in range(o.random_pipelines if bases else 0):
            rng = random.Random("%d pipeline %d" % (seed, i))
            d = random_pipeline(rng, bases)
            path = os.path.join(folder, "tokenizer.json")
            Path(path).write_text(json.dumps(d), "utf-8")
            b, n = run(o.tool, path, o.per_pipeline, rng, texts, False, "random %d" % i)
            bad += b
            total += n
            if b:
                d["model"] = {"type": d["model"].get("type")}
                d["added_tokens"] = d["added_tokens"][-6:]
                print(re.sub(r'("precompiled_charsmap": ")[^"]*', r"\1", json.dumps(d)))
                if not o.keep_going:
                    return 1
    print("%d texts, %s" % (total, "%d DIFFERENCES" % bad if bad else "all equal"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
