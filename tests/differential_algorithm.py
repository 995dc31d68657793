"""Words through tool_algorithm and through Hugging Face's model of the same tokenizer.json; every id and place must be equal.

    cmake --build build --target tool_algorithm
    python3 tests/differential_algorithm.py build/tests/tool_algorithm TEXTS tokenizer.json... [--words N] [--seed S]

TEXTS: a file of texts, one a line. Without a seed a fresh one is taken, and printed. Beside the files given, small models are trained
on the texts: byte fallback, fuse_unk, ignore_merges, prefix and suffix, with alphabets too small for the words."""
import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from make_algorithm_goldens import ALPHABET, reference

FALLBACK = [f"<0x{b:02X}>" for b in range(256)]


def is_byte_level(spec):
    return '"type": "ByteLevel"' in json.dumps([spec.get("pre_tokenizer"), spec.get("normalizer")])


def trained(texts):
    """(name, byte_level, model) of models trained on the texts."""
    def train(model, trainer, pre):
        t = Tokenizer(model)
        t.pre_tokenizer = pre
        t.train_from_iterator(texts, trainer)
        return json.loads(t.to_str())["model"]

    space = pre_tokenizers.WhitespaceSplit()
    meta = pre_tokenizers.Metaspace()
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    quiet = {"show_progress": False}
    for fuse in (False, True):
        yield f"bpe, fuse_unk {fuse}", False, train(
            models.BPE(unk_token="?", fuse_unk=fuse), trainers.BpeTrainer(vocab_size=1500, limit_alphabet=60, special_tokens=["?"], **quiet), space)
    for kept in (256, 230):
        yield f"bpe, byte fallback for {kept} bytes", False, train(
            models.BPE(unk_token="?", fuse_unk=True, byte_fallback=True),
            trainers.BpeTrainer(vocab_size=3000, limit_alphabet=80, special_tokens=["?"] + FALLBACK[:kept], **quiet), meta)
    yield "bpe, prefix and suffix", False, train(
        models.BPE(unk_token="?", continuing_subword_prefix="##", end_of_word_suffix="</w>"),
        trainers.BpeTrainer(vocab_size=2000, limit_alphabet=70, special_tokens=["?"], continuing_subword_prefix="##",
                            end_of_word_suffix="</w>", **quiet), space)
    yield "bpe, suffix", False, train(
        models.BPE(end_of_word_suffix="</w>"), trainers.BpeTrainer(vocab_size=2000, limit_alphabet=70, end_of_word_suffix="</w>", **quiet), space)
    model = train(models.BPE(), trainers.BpeTrainer(vocab_size=2000, initial_alphabet=ALPHABET, **quiet), level)
    yield "bpe of bytes", True, model
    words = {"".join(ALPHABET[b] for b in w.encode()) for t in texts[:200] for w in t.split()[:5]} - set(model["vocab"])
    yield "bpe of bytes, ignore_merges", True, {
        **model, "ignore_merges": True, "vocab": {**model["vocab"], **{w: 5000 + i for i, w in enumerate(sorted(words))}}}
    yield "wordpiece", False, train(models.WordPiece(unk_token="?"),
                                    trainers.WordPieceTrainer(vocab_size=2000, limit_alphabet=70, special_tokens=["?"], **quiet), space)
    unigram = train(models.Unigram(), trainers.UnigramTrainer(vocab_size=8000, special_tokens=["?"], unk_token="?", **quiet), meta)
    yield "unigram", False, unigram
    yield "unigram, byte fallback", False, {**unigram, "byte_fallback": True, "vocab": unigram["vocab"] + [[b, -20.0] for b in FALLBACK]}
    yield "unigram, rounded scores", False, {**unigram, "vocab": [[p, round(s)] for p, s in unigram["vocab"]]}


def make_words(rng, texts, count):
    """Words, their mutations and splices; whole texts, as models without a pre-tokeniser get them."""
    seeds = [w for t in rng.sample(texts, min(len(texts), 2000)) for w in t.split()] or ["a"]
    out = list(FALLBACK[:3]) + ["", "?", "</w>", "##"]
    for _ in range(count):
        kind, w = rng.randrange(8), rng.choice(seeds)
        if kind == 0:
            w = rng.choice(texts)[:400].replace(" ", "▁")
        elif kind == 1:
            w = "▁" + w
        elif kind == 2:
            w = " " + w
        elif kind == 3:
            at = rng.randint(0, len(w))
            w = w[:at] + chr(rng.choice([rng.randint(32, 126), rng.randint(0xA0, 0x2FFF), 0x2581, rng.randint(0x4E00, 0x9FFF), 0x1F642])) + w[at:]
        elif kind == 4:
            v = rng.choice(seeds)
            w = w[:rng.randint(0, len(w))] + v[rng.randint(0, len(v)):]
        elif kind == 5:
            w = (w * 40)[:rng.randint(1, 300)]
        out.append(w)
    return [w.encode() for w in out]


def compare(tool, name, byte_level, model, words):
    tokenizer = Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as f:
        json.dump({"model": model}, f, ensure_ascii=False)
        f.flush()
        out = subprocess.run([tool] + ["--byte-level"] * byte_level + [f.name], check=True, stdout=subprocess.PIPE,
                             input=b"".join(struct.pack("<I", len(w)) + w for w in words)).stdout
    # Where characters are dropped, Hugging Face's later places mean nothing in a word of raw bytes; else they are compared too.
    at, wrong = 0, 0
    for w in words:
        (n,) = struct.unpack_from("<I", out, at)
        ours, at = (None, at + 4) if n == 0xFFFFFFFF else (list(struct.unpack_from(f"<{3 * n}I", out, at + 4)), at + 4 + 12 * n)
        theirs = reference(tokenizer, w, byte_level)
        if ours != theirs:
            wrong += 1
            if wrong <= 3:
                print(f"  {w!r}\n    ours   {ours}\n    theirs {theirs}")
    print(f"{name}: {len(words)} words, {wrong} differ", flush=True)
    return wrong


def main():
    p = argparse.ArgumentParser()
    p.add_argument("tool")
    p.add_argument("texts")
    p.add_argument("files", nargs="*")
    p.add_argument("--words", type=int, default=20000)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    args = p.parse_args()
    print("seed", args.seed)
    rng = random.Random(args.seed)
    texts = [t for t in open(args.texts, encoding="utf-8").read().split("\n") if t]
    wrong = 0
    for path in args.files:
        spec = json.load(open(path, encoding="utf-8"))
        wrong += compare(args.tool, path, is_byte_level(spec), spec["model"], make_words(rng, texts, args.words))
    for name, byte_level, model in trained(rng.sample(texts, min(len(texts), 1500))):
        wrong += compare(args.tool, name, byte_level, model, make_words(rng, texts, args.words))
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
