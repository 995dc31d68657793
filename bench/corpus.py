#!/usr/bin/env python3
"""Real texts for benches and differential tests: Debian's package descriptions, fetched with apt-get into an ignored folder.

Writes to third_party/texts/:
  descriptions.jsonl   {"title", "text"} of English packages, in a fixed random order
  many.txt             one description a line, in some twenty languages, in a fixed random order
Standard Python only. Does nothing where the files are there already."""
import json
import os
import random
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "third_party", "texts")
LISTS = os.path.join(ROOT, "third_party", "lists")
LANGUAGES = "en cs da de el eo es eu fi fr hr hu id it ja km ko nl pl pt_BR ro ru sk sr sv tr uk vi zh_CN zh_TW".split()


def update():
    os.makedirs(os.path.join(LISTS, "partial"), exist_ok=True)
    command = ["apt-get", "update", "-qq", "-o", f"Dir::State::lists={LISTS}", "-o", "Acquire::Languages=" + ",".join(LANGUAGES), "-o", "APT::Sandbox::User=root"]
    for language in LANGUAGES:
        command += ["-o", f"Acquire::Languages::={language}"]
    subprocess.run(command, check=True)


def stanzas(path):
    text = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", path], check=True, capture_output=True).stdout.decode("utf-8")
    for stanza in text.split("\n\n"):
        match = re.search(r"^Description-(?!md5:)[\w%]+: (.*(?:\n .*)*)", stanza, re.M)
        if match:
            title, _, rest = match.group(1).partition("\n")
            paragraphs = [""]
            for line in rest.split("\n"):
                if line.strip() == ".":
                    paragraphs.append("")
                else:
                    paragraphs[-1] += (" " if paragraphs[-1] else "") + line.strip()
            yield title.strip(), " ".join(p for p in paragraphs if p)


def main():
    english, many = os.path.join(OUT, "descriptions.jsonl"), os.path.join(OUT, "many.txt")
    if os.path.exists(english) and os.path.exists(many):
        return
    update()
    os.makedirs(OUT, exist_ok=True)
    rows, lines = {}, set()
    for name in sorted(os.listdir(LISTS)):
        match = re.search(r"_main_i18n_Translation-([\w%]+)", name)
        if not match:
            continue
        for title, text in stanzas(os.path.join(LISTS, name)):
            if match.group(1) == "en" and len(text) >= 40:
                rows.setdefault(text, title)
            elif text:
                lines.add(text)
    pairs = sorted((title, text) for text, title in rows.items())
    shuffled = sorted(lines)
    random.Random(1).shuffle(pairs)
    random.Random(2).shuffle(shuffled)
    if not pairs or not shuffled:
        sys.exit("bench/corpus.py: apt-get gave no translations; look at third_party/lists")
    for path, content in ((english, (json.dumps({"title": t, "text": x}, ensure_ascii=False) for t, x in pairs)), (many, shuffled)):
        with open(path + ".part", "w", encoding="utf-8") as f:
            f.writelines(line + "\n" for line in content)
        os.replace(path + ".part", path)


main()
