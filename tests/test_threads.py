#!/usr/bin/env python3
"""Any number of threads gives the same vectors, to the bit: fewer than this machine's cores and many more. Standard Python only.

    test_threads.py PROGRAM CHECKPOINTS [unittest arguments]     CHECKPOINTS: the folder that make_checkpoints.py wrote
"""
import json
import os
import sys
import unittest

from test_cli import CHECKPOINTS, Case

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MINILM = os.path.join(ROOT, "third_party/models/all-MiniLM-L6-v2")
with open(os.path.join(ROOT, "tests/data/texts.json"), encoding="utf-8") as f:
    TEXTS = [json.dumps(t) + "\n" for t in json.load(f) if t.strip() and "\0" not in t]


class Threads(Case):
    def vectors(self, model, precision, threads, lines):
        return self.ok("embed", "-q", "-m", model, "--precision", precision, "--threads", str(threads), "--format", "raw", "--jsonl", stdin="".join(lines).encode()).stdout

    def test_same_bits(self):
        """One process a number, since the first model fixes it: one text, whose operators are split, and many, which are computed side by side."""
        for model in [os.path.join(CHECKPOINTS, "qwen3-outliers"), *[MINILM] * os.path.isdir(MINILM)]:
            for precision in ["f32", "int8"]:
                for lines in [[json.dumps("words of one longer text " * 12) + "\n"], TEXTS * 4]:
                    one = self.vectors(model, precision, 1, lines)
                    self.assertGreater(len(one), 0)
                    for threads in 2, 3, 64:
                        self.assertEqual(self.vectors(model, precision, threads, lines) == one, True, (model, precision, threads, len(lines)))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
