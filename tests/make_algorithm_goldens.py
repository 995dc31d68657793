"""Makes tests/data/algorithm.json: small models, words, and what Hugging Face tokenizers (0.23.3) makes of them.

    python3 tests/make_algorithm_goldens.py        needs the package `tokenizers`; the result is committed

Each case: name, byte_level, ids_only, model, words: [[word, [id, begin, end, id, begin, end, ...] or null for an error], ...];
a word of raw bytes is in hexadecimal."""
import json
import os
import random

import tokenizers
from tokenizers import Tokenizer, models, trainers, pre_tokenizers

TEXT = """Une belle journée à la montagne; eine schöne Straße, größer als früher. Привет, мир! Как дела сегодня?
The quick brown fox jumps over the lazy dog, and the dog sleeps on. Unbelievable tokenizers tokenize tokens untokenized.
你好,世界。今天天气很好。こんにちは世界。 0123456789 3.14159 foo_bar(baz) => qux; aaaa aaaaa abababab naïve café 🙂🙂 👩‍👩‍👧"""


def alphabet():
    """The ByteLevel character of each byte."""
    out, following = [], 0x100
    for b in range(256):
        if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE:
            out.append(chr(b))
        else:
            out.append(chr(following))
            following += 1
    return out


ALPHABET = alphabet()


def load(model):
    return Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))


def reference(tokenizer, word, byte_level):
    """Tokens with places in bytes of the word; None: an error."""
    text = "".join(ALPHABET[b] for b in word) if byte_level else word.decode()
    try:
        tokens = tokenizer.model.tokenize(text)
    except Exception:
        return None
    spelled = text.encode()
    lead = [0]
    for b in spelled:
        lead.append(lead[-1] + ((b & 0xC0) != 0x80))
    size, out = len(spelled), []
    for t in tokens:
        begin, end = (min(x, size) for x in t.offsets)
        if byte_level:
            inside = begin < size and (spelled[begin] & 0xC0) == 0x80
            begin, end = lead[begin] - inside, lead[end]
        out += [t.id, begin, end]
    return out


def bpe(vocab, merges, **more):
    base = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    return {**base, **more, "vocab": vocab if isinstance(vocab, dict) else {p: i for i, p in enumerate(vocab)}, "merges": merges}


def trained(model, trainer, byte_level=False):
    t = Tokenizer(model)
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False) if byte_level else pre_tokenizers.WhitespaceSplit()
    t.train_from_iterator(TEXT.split("\n"), trainer)
    return json.loads(t.to_str())["model"]


def wordpiece(vocab, **more):
    return {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 8, **more,
            "vocab": {p: i for i, p in enumerate(vocab)}}


def unigram(vocab, unk_id=0, **more):
    return {"type": "Unigram", "unk_id": unk_id, "vocab": vocab, **more}


def cases():
    fallback = [f"<0x{b:02X}>" for b in range(256)]
    yield "wordpiece", False, wordpiece(["[UNK]", "un", "##aff", "##able", "a", "##b", "##é", "é", "世", "##世", "able", "##", "unaff", "##界"])
    yield "wordpiece without prefix", False, wordpiece(["[UNK]", "un", "aff", "able", "a"], continuing_subword_prefix="")
    yield "wordpiece, prefix not in any piece", False, wordpiece(["[UNK]", "un", "a", "able"], continuing_subword_prefix="@@")
    yield "wordpiece without its unknown token", False, wordpiece(["un", "##able", "a"])
    yield "wordpiece, nothing allowed", False, wordpiece(["[UNK]", "a"], max_input_chars_per_word=0)
    yield "wordpiece trained", False, {**trained(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(
        vocab_size=200, special_tokens=["[UNK]"], show_progress=False)), "max_input_chars_per_word": 12}
    yield "wordpiece of bytes", True, wordpiece(["[UNK]", "a", "Ġa", "##b", "Ã", "##©", "un"])
    yield "wordlevel", False, {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[UNK]": 5, "un": 1, "the": 3}}
    yield "wordlevel without its unknown token", False, {"type": "WordLevel", "unk_token": "x", "vocab": {"un": 1, "": 2}}

    level = trained(models.BPE(), trainers.BpeTrainer(vocab_size=360, initial_alphabet=ALPHABET, show_progress=False), True)
    yield "bpe of bytes", True, level
    yield "bpe of bytes, ignore_merges", True, {**level, "ignore_merges": True, "vocab": {**level["vocab"], "Ġqxz": 1000, "世界": 1001}}
    few = {p: i for p, i in level["vocab"].items() if p not in "xyzÃĠ"}
    kept = [m for m in level["merges"] if all(x in few for x in (m[0], m[1], m[0] + m[1]))]
    yield "bpe of some bytes", True, {**level, "vocab": few, "merges": kept}
    yield "bpe of some bytes, unknown token", True, {**level, "vocab": {**few, "?": 900}, "merges": kept, "unk_token": "?"}
    yield "bpe of some bytes, fuse_unk", True, {**level, "vocab": {**few, "?": 900}, "merges": kept, "unk_token": "?", "fuse_unk": True}
    yield "bpe of some bytes, byte_fallback", True, {**level, "vocab": {**few, **{p: 1000 + i for i, p in enumerate(fallback)}},
                                                     "merges": kept, "byte_fallback": True}
    yield "bpe of bytes, suffix", True, bpe(["a", "b", "b</w>", "ab</w>", "Ġ", "Ġab</w>"], ["a b</w>", "Ġ ab</w>"], end_of_word_suffix="</w>")

    yield "bpe: ranks and ties", False, bpe(["a", "b", "c", "ab", "bc", "abc", "aa", "aaa", "aaaa", "cc"],
                                            ["b c", "a b", "a bc", "ab c", "a a", "aa a", "aa aa", "c c"])
    yield "bpe: a merge that stands twice", False, bpe(["a", "b", "c", "ab", "bc"], ["a b", "b c", "a b"])
    yield "bpe: version line and pairs", False, bpe(["a", "b", "c", " ", "ab", "b c"], ["#version: 0.2", "a b"])
    yield "bpe: pieces with spaces", False, bpe(["a", "b", " ", "a ", "a b"], [["a", " "], ["a ", "b"]])
    yield "bpe without unknown token", False, bpe(["a", "b", "ab"], ["a b"])
    yield "bpe, unknown token not in vocabulary", False, bpe(["a", "b", "ab"], ["a b"], unk_token="?")
    yield "bpe, unknown token", False, bpe(["?", "a", "b", "ab", "?a"], ["a b", "? a"], unk_token="?")
    yield "bpe, fuse_unk", False, bpe(["?", "a", "b", "ab", "??"], ["a b", "? ?"], unk_token="?", fuse_unk=True)
    yield "bpe, byte_fallback", False, bpe(["?", "a", "b", "ab"] + fallback + ["<0xC3><0xA9>"], ["a b", "<0xC3> <0xA9>"],
                                           unk_token="?", fuse_unk=True, byte_fallback=True)
    some = [p for p in fallback if p not in ("<0x96>", "<0x9F>")]
    for fuse in (False, True):
        yield f"bpe, fallback for some bytes, fuse_unk {fuse}", False, bpe(["?", "a", "b", "ab"] + some, ["a b"], unk_token="?",
                                                                         fuse_unk=fuse, byte_fallback=True)
    yield "bpe, prefix", False, bpe(["a", "b", "##b", "##c", "ab", "abc", "##a", "##ba", "?"], ["a ##b", "ab ##c", "##b ##a"],
                                    continuing_subword_prefix="##", unk_token="?")
    yield "bpe, suffix", False, bpe(["a", "b", "b</w>", "ab</w>", "ab", "c</w>", "é</w>", "?"], ["a b", "a b</w>"],
                                    end_of_word_suffix="</w>", unk_token="?", fuse_unk=True)
    yield "bpe, prefix, suffix and byte_fallback", False, bpe(
        ["?", "a", "##b", "##b$", "a$", "ab$"] + fallback, ["a ##b$"], continuing_subword_prefix="##", end_of_word_suffix="$",
        unk_token="?", byte_fallback=True)
    yield "bpe trained with prefix and suffix", False, trained(
        models.BPE(unk_token="?", continuing_subword_prefix="##", end_of_word_suffix="</w>"),
        trainers.BpeTrainer(vocab_size=260, special_tokens=["?"], continuing_subword_prefix="##", end_of_word_suffix="</w>",
                            limit_alphabet=60, show_progress=False))
    pieces = ["<unk>", "▁", "a", "b", "c", "▁a", "ab", "▁ab", "▁▁", "▁▁▁▁", "▁b", "é", "é▁", "é▁b"]
    yield "bpe, texts of words", False, bpe(pieces + fallback, ["▁ a", "a b", "▁ ab", "▁a b", "▁ ▁", "▁▁ ▁▁", "▁ b"],
                                            unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    yield "bpe, texts of words that merge", False, bpe(pieces + fallback, ["▁ a", "a b", "▁ ab", "▁ ▁", "▁ b", "é ▁b"],
                                                       unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    yield "bpe, texts of words whose unknowns merge", False, bpe(
        pieces + ["<unk>▁", "<unk>▁a"], ["▁ a", "<unk> ▁", "<unk> ▁a", "▁ ▁"], unk_token="<unk>", fuse_unk=True)
    yield "bpe, texts of words, ignore_merges", False, bpe(pieces, ["a b"], unk_token="<unk>", ignore_merges=True)

    letters = [["<unk>", 0.0], ["a", -1.0], ["b", -1.5], ["c", -2.0], ["▁", -0.5]]
    yield "unigram", False, unigram(letters + [["ab", -2.5], ["bc", -3.5], ["abc", -4.5], ["▁a", -1.5], ["世界", -3.0], ["é", -2.0]])
    yield "unigram, equal ways", False, unigram(letters + [["ab", -2.5], ["bc", -3.5], ["abc", -4.5], ["aa", -2.0], ["aaa", -3.0]])
    yield "unigram without unk_id", False, unigram(letters[1:] + [["xy", -0.25]], None)
    yield "unigram, byte_fallback", False, unigram(letters + [[p, -9.0] for p in fallback], byte_fallback=True)
    yield "unigram, fallback for some bytes", False, unigram(letters + [[p, -9.0] for p in some], byte_fallback=True)
    yield "unigram, a piece that stands twice", False, unigram(letters + [["ab", -9.0], ["ab", -1.0], ["<unk>", -1.0]])
    yield "unigram, high scores", False, unigram([["<unk>", 30.0], ["a", 25.0], ["xy", 1.0], ["xyz", 40.0]])
    # "axyzb": "ax", "yz" cost 16 in all; "xy" and an unknown "z" cost 8 + 10. A smaller penalty would turn that round.
    yield "unigram, the unknown's penalty", False, unigram([["<unk>", 0.0], ["a", 0.0], ["b", 0.0], ["xy", 0.0], ["ax", -8.0], ["yz", -8.0]])
    yield "unigram, unknown token that is a letter", False, unigram([["a", -1.0], ["b", -1.0], ["", 5.0], ["bb", -3.0]], 1)
    yield "unigram of bytes", True, unigram([["<unk>", 0.0], ["Ġ", -1.0], ["Ġa", -1.5], ["Ã", -2.0], ["Ã©", -2.5], ["a", -1.0]])
    yield "unigram trained", False, trained(models.Unigram(), trainers.UnigramTrainer(
        vocab_size=150, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False))


def words(rng, byte_level, trained_on_text):
    out = ["", "a", "b", "ab", "abc", "aab", "aaaaaaa", "aaaaaaaaa", "abcab", "bcabc", "unaffable", "unable", "un", "xyz", "xyab", "axyzb", "é", "éab",
           "ab▁a", "▁a▁▁ab", "▁▁▁▁▁a▁b", "é▁b", "x▁a", "▁", "▁a▁b▁ab▁c▁abx▁a", "世界", "a世界b", "xя世a", "я\u0416a世x", "\u0416\u0416ab\u0416", "<unk>",
           "a<unk>a", "##b", "[UNK]", "the", " a", " ab", "?", "a?a", "🙂", "aя🙂\u0416b", "ab" * 35, "a" * 70, "xyza" * 20, "▁ab" * 12, "b c"]
    if trained_on_text:
        out += TEXT.split() + [" " + w for w in TEXT.split()[::3]] + [TEXT.replace(" ", "▁")]
    letters = "abcabcxé▁▁世я\u0416?#" + ("" if byte_level else "🙂")
    out += ["".join(rng.choice(letters) for _ in range(rng.randint(1, 30))) for _ in range(20)]
    out = [w.encode() for w in out]
    if byte_level:
        out += [bytes(rng.randrange(256) for _ in range(rng.randint(1, 30))) for _ in range(10)]
    return out


def main():
    assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
    rng = random.Random(20)
    lines = []
    for name, byte_level, model in cases():
        tokenizer = load(model)
        found = [[w.hex() if byte_level else w.decode(), reference(tokenizer, w, byte_level)]
                 for w in words(rng, byte_level, "trained" in name or name == "bpe of bytes")]
        # Without unknown token, characters are dropped and later places mean nothing in a byte-level word: ids alone count there.
        ids_only = byte_level and model["type"] == "BPE" and not model["unk_token"] and not model["byte_fallback"]
        lines.append(json.dumps({"name": name, "byte_level": byte_level, "ids_only": ids_only, "model": model, "words": found},
                                ensure_ascii=False, separators=(",", ":")))
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "algorithm.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(lines) + "\n]\n")
    print(path, os.path.getsize(path), "bytes,", len(lines), "models")


if __name__ == "__main__":
    main()
