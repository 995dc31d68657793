#!/usr/bin/env python3
"""Writes the workloads of the comparison: texts of exact token counts, real titles and descriptions, distinct throughout.

    workloads.py OUT        OUT/{minilm,qwen3}.txt, OUT/{minilm,qwen3}-quick.txt, OUT/minilm-long.txt, OUT/texts.txt; format: peers/common.py

Texts of N tokens are random words that are one token each; the ids are checked against the tokenizer. Needs tokenizers."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "peers")       # bench/tokenize.py would hide a standard module
import json
import random

import tokenizers

THIRD = os.path.join(os.path.dirname(HERE), "third_party")
INSTRUCTION = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
# name: texts, tokens a text, calls (the first warms up), calls of the quick run (0: left out)
SIZES = {"1x8": (1, 8, 301, 61), "1x32": (1, 32, 101, 0), "1x128": (1, 128, 41, 11), "8x8": (8, 8, 61, 0), "32x8": (32, 8, 31, 5)}
LONGEST = {"minilm": {"1x256": (1, 256, 25, 0)}, "qwen3": {"1x512": (1, 512, 12, 0), "1x2048": (1, 2048, 5, 0)}}


class Maker:
    def __init__(self, path, limit):
        self.tokenizer = tokenizers.Tokenizer.from_file(path)
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        if limit:
            self.tokenizer.enable_truncation(limit)
        self.specials = len(self.ids(""))
        space = "\u0120" if self.specials == 1 else ""
        vocabulary = self.tokenizer.get_vocab()
        self.words = sorted(w[len(space):] for w in vocabulary if w.startswith(space) and w[len(space):].isascii() and w[len(space):].isalpha()
                            and w[len(space):].islower() and 3 <= len(w) - len(space) <= 9)
        self.random, self.seen = random.Random(5), set()

    def ids(self, text):
        return self.tokenizer.encode(text).ids

    def text(self, tokens):
        while True:
            text = " " + " ".join(self.random.choices(self.words, k=tokens - self.specials))
            if text not in self.seen and len(self.ids(text)) == tokens:
                self.seen.add(text)
                return text


def row(out, name, calls, maker):
    """calls: lists of texts, equally many each."""
    out.append(f"row {name} {len(calls[0])} {len(calls)}")
    for text in (t for call in calls for t in call):
        out.append(" ".join(map(str, maker.ids(text))) + "\t" + text)


def dealt(texts, maker, size, calls):
    """Calls of equal work: by length, dealt like cards."""
    texts = sorted(texts[:size * calls], key=lambda t: len(maker.ids(t)))
    return [[texts[i * calls + (i + c) % calls] for i in range(size)] for c in range(calls)]


def write(folder, name, lines):
    with open(os.path.join(folder, name), "w", encoding="utf-8", newline="\n") as f:
        f.writelines(line + "\n" for line in lines)


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(THIRD, "texts", "descriptions.jsonl"), encoding="utf-8") as f:
        pairs = [json.loads(line) for line in f]
    titles = list(dict.fromkeys(p["title"] for p in pairs if 20 <= len(p["title"]) <= 60))
    texts = [" ".join(p["text"].split()) for p in pairs]
    texts = list(dict.fromkeys(texts))
    for model, folder, limit in (("minilm", "models/all-MiniLM-L6-v2", 256), ("qwen3", "bench/qwen3", 0)):
        maker = Maker(os.path.join(THIRD, folder, "tokenizer.json"), limit)
        for quick in (False, True):
            lines = []
            row(lines, "once", [titles[-1:]], maker)
            for name, (count, tokens, *calls) in {**SIZES, **LONGEST[model]}.items():
                if calls[quick]:
                    row(lines, name, [[maker.text(tokens) for _ in range(count)] for _ in range(calls[quick])], maker)
            if model == "minilm":
                row(lines, "title", [[t] for t in titles[:101 if quick else 401]], maker)
                row(lines, "bulk128" if quick else "bulk512", [texts[:128 if quick else 512]], maker)
            else:
                query(lines, maker, 41 if quick else 201)
                if not quick:
                    row(lines, "bulk64", dealt(texts, maker, 64, 3), maker)
            write(out, model + ("-quick" if quick else "") + ".txt", lines)
        if model == "minilm":
            lines = []
            row(lines, "bulk20000", [texts[:20000]], maker)
            write(out, "minilm-long.txt", lines)
    write(out, "texts.txt", texts[:5000])


def query(lines, maker, calls):
    """8 tokens behind the default instruction; the text is given without it, in the ids it is there."""
    lines.append(f"row query 1 {calls}")
    prompt = maker.ids(INSTRUCTION)[:-maker.specials]
    for _ in range(calls):
        text = maker.text(8)
        ids = maker.ids(INSTRUCTION + text)
        if ids != prompt + maker.ids(text):
            sys.exit("workloads.py: the instruction tokenises otherwise with this text")
        lines.append(" ".join(map(str, ids)) + "\t" + text)


main()
