"""Tokenising on one thread beside Hugging Face tokenizers: the same texts, ids on both sides compared, the ratio.

    cmake --build build --target bench_tokenize
    python3 bench/tokenize.py build/tests/bench_tokenize TEXTS tokenizer.json...        TEXTS: one a line

Hugging Face: encode_batch of all texts, TOKENIZERS_PARALLELISM=false. Both: the best of several passes, in turns, since machines are shared."""
import json
import os
import struct
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
# This file's own name hides the standard module that others import.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import tokenizers

ROUNDS = 3


def differing(path, expected):
    """How many texts have other ids in the file that bench_tokenize wrote."""
    with open(path, "rb") as f:
        data = f.read()
    at, wrong = 0, 0
    for ids in expected:
        (n,) = struct.unpack_from("<I", data, at)
        wrong += list(struct.unpack_from(f"<{n}I", data, at + 4)) != ids
        at += 4 + 4 * n
    return wrong + (at != len(data))


def compare(program, path, texts_path, texts):
    theirs = tokenizers.Tokenizer.from_file(path)
    theirs.no_padding()
    theirs.no_truncation()
    size = sum(len(t.encode()) for t in texts)
    best, ours, expected = float("inf"), None, None
    with tempfile.TemporaryDirectory() as folder:
        ids = os.path.join(folder, "ids")
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            encodings = theirs.encode_batch(texts)
            best = min(best, time.perf_counter() - begin)
            expected = expected or [e.ids for e in encodings]
            del encodings
            result = json.loads(subprocess.run([program, path, texts_path, "5", ids], check=True, capture_output=True, text=True).stdout)
            if ours is None or result["seconds"] < ours["seconds"]:
                ours = result
        wrong = differing(ids, expected)
    rate = size * 1e-6 / best
    print(f"{path}\n  {len(texts)} texts, {size * 1e-6:.2f} MB, {ours['tokens']} tokens, {wrong} texts differ\n"
          f"  tokenizers {tokenizers.__version__} {rate:.2f} MB/s, ours {ours['mb_per_s']:.2f} MB/s, ratio {ours['mb_per_s'] / rate:.1f}, "
          f"load {ours['load_ms']:.0f} ms", flush=True)
    return wrong


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    program, texts_path, paths = sys.argv[1], sys.argv[2], sys.argv[3:]
    with open(texts_path, encoding="utf-8", newline="\n") as f:
        texts = f.read().split("\n")
    if texts[-1] == "":
        texts.pop()
    return sum(compare(program, p, texts_path, texts) for p in paths) != 0


if __name__ == "__main__":
    sys.exit(main())
