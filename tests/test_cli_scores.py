#!/usr/bin/env python3
"""Tests of the verbs for classifiers and cross-encoders: rerank, classify, and what the other verbs make of such models. Standard Python only.

    test_cli_scores.py PROGRAM CHECKPOINTS [unittest arguments]     CHECKPOINTS: the folder that make_checkpoints.py wrote

Expected scores are those of sentence-transformers' CrossEncoder: tests/data/golden/scores-*.json.
"""
import json
import math
import os
import sys
import unittest

from test_cli import CHECKPOINTS, Case, joined, rows

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
RERANKERS = ["scores-bert", "scores-bert-raw", "scores-roberta", "scores-saved", "scores-qwen3", "scores-logit", "scores-logit-true", "scores-logit-card"]
CLASSIFIERS = RERANKERS + ["scores-bert-nli", "scores-xlmr", "scores-camembert"]


def golden(name):
    """Pairs of texts, scores and logits."""
    with open(os.path.join(DATA, "texts.json"), encoding="utf-8") as f:
        texts = json.load(f)
    with open(os.path.join(DATA, "golden", name + ".json"), encoding="utf-8") as f:
        cases = json.load(f)["cases"]
    return [[texts[i] for i in c["pair"]] for c in cases], [c["scores"] for c in cases], [c["logits"] for c in cases]


def model(name):
    return ["-m", os.path.join(CHECKPOINTS, name)]


class Scores(Case):
    def near(self, got, wanted, most=2e-5):
        self.assertEqual(len(got), len(wanted))
        for a, b in zip(got, wanted):
            self.assertAlmostEqual(a, b, delta=most)

    def test_pairs(self):
        for name in RERANKERS:
            pairs, scores, logits = golden(name)
            lines = joined(json.dumps(p) for p in pairs)
            for arguments, wanted in ([], scores), (["--raw"], logits):
                got = rows(self.ok("rerank", *model(name), "--pairs", *arguments, stdin=lines).stdout)
                self.assertEqual([r["index"] for r in got], list(range(len(pairs))))
                self.near([r["score"] for r in got], [w[0] for w in wanted])

    def test_rerank(self):
        """The best first; --top, --no-sort and texts from any form of input tell the same scores."""
        for name in RERANKERS:
            pairs, _, _ = golden(name)
            query, texts = pairs[0][0], sorted({p[1] for p in pairs if "\n" not in p[1] and "\r" not in p[1] and "\0" not in p[1]})
            alone = rows(self.ok("rerank", *model(name), "--pairs", stdin=joined(json.dumps([query, t]) for t in texts)).stdout)
            wanted = sorted(alone, key=lambda r: (-r["score"], r["index"]))
            lines = joined(texts)
            self.assertEqual(rows(self.ok("rerank", *model(name), query, stdin=lines).stdout), wanted)
            self.assertEqual(rows(self.ok("rerank", *model(name), query, "--jsonl", stdin=joined(json.dumps({"text": t}) for t in texts)).stdout), wanted)
            self.assertEqual(rows(self.ok("rerank", *model(name), query, "--top", "3", stdin=lines).stdout), wanted[:3])
            self.assertEqual(rows(self.ok("rerank", *model(name), query, "--no-sort", stdin=lines).stdout), alone)
            self.assertEqual(rows(self.ok("rerank", *model(name), query, "--top", "3", "--no-sort", stdin=lines).stdout), sorted(wanted[:3], key=lambda r: r["index"]))
        self.assertEqual(self.ok("rerank", *model("scores-bert"), "query", stdin=b"").stdout, b"")

    def test_classify(self):
        """Probabilities of all labels, the best first, of the logits that the reference has."""
        for name in CLASSIFIERS:
            pairs, _, logits = golden(name)
            with open(os.path.join(CHECKPOINTS, name, "config.json")) as f:
                config = json.load(f)
            many = config.get("problem_type") == "multi_label_classification" or len(logits[0]) == 1
            got = rows(self.ok("classify", *model(name), "--jsonl", stdin=joined(json.dumps(p) for p in pairs)).stdout)
            for i, (row, x) in enumerate(zip(got, logits)):
                sigmoid, total = [1 / (1 + math.exp(-v)) for v in x], sum(math.exp(v) for v in x)
                wanted = {config.get("id2label", {}).get(str(k), "LABEL_%d" % k): sigmoid[k] if many else math.exp(x[k]) / total for k in range(len(x))}
                self.assertEqual((row["index"], {e["label"] for e in row["labels"]}), (i, set(wanted)))
                self.near([e["score"] for e in row["labels"]], sorted(wanted.values(), reverse=True))
                self.near([e["score"] for e in row["labels"]], [wanted[e["label"]] for e in row["labels"]])

    def test_classify_forms(self):
        """Texts and pairs in one file, each as it is alone."""
        lines = ['["one", "two"]', '"one"', ' ["three","four"]', '{"text": "one"}', '["one", ""]']
        got = rows(self.ok("classify", *model("scores-bert-nli"), "--jsonl", stdin=joined(lines)).stdout)
        for i, line in enumerate(lines):
            self.assertEqual(dict(rows(self.ok("classify", *model("scores-bert-nli"), "--jsonl", stdin=joined([line])).stdout)[0], index=i), got[i])
        self.assertEqual(got[1]["labels"], got[3]["labels"])
        self.assertNotEqual(got[0]["labels"], got[1]["labels"])
        self.assertEqual(rows(self.ok("classify", *model("scores-bert-nli"), "one").stdout)[0]["labels"], got[1]["labels"])

    def test_long_pairs(self):
        """Cut, and told; --truncate error names the text."""
        done = self.ok("rerank", *model("scores-bert"), "one " * 100, "two " * 100, "three")
        self.assertIn("2 of 2 texts cut", done.err)
        self.fails(4, "text 2", "rerank", *model("scores-bert"), "--truncate", "error", "one", "two", "two " * 100)

    def test_refusals(self):
        bert, nli, embedder = model("scores-bert"), model("scores-bert-nli"), model("bert")
        self.fails(4, "akiembed rerank QUERY TEXT", "embed", *bert, "x")
        self.fails(4, "akiembed classify TEXT", "embed", *nli, "x")
        self.fails(4, "gives scores, no vectors", "similarity", *nli, "x", "y")
        self.fails(4, "akiembed similarity", "rerank", *embedder, "x", "y")
        self.fails(4, "akiembed similarity", "classify", *embedder, "x")
        self.fails(4, "3 labels, no reranker", "rerank", *nli, "x", "y")
        self.fails(2, "needs a QUERY", "rerank", *bert)
        self.fails(2, "takes no QUERY", "rerank", *bert, "--pairs", "x")
        self.fails(2, "takes no QUERY", "rerank", *bert, "--pairs", "--top", "2")
        for line, byte in ('["a"]', 1), ('["a","b","c"]', 1), ('["a",5]', 1), ('"a"', 1), ('["a","b"', 9), ('["a","b"]x', 10):
            self.fails(4, "line 2, byte %d" % byte, "rerank", *bert, "--pairs", stdin=joined(['["a","b"]', line]))
        self.fails(4, "line 1", "classify", *nli, "--jsonl", stdin=b'["a", "b", "c"]\n')
        self.fails(4, "query, byte 2", "rerank", *bert, b"a\xff", "x")
        self.fails(4, "text 2", "rerank", *bert, "a", "x", b"\xff")

    def test_info(self):
        self.assertIn("scores of labels (classify), logits", self.ok("info", *model("scores-bert-nli")).stdout.decode())
        self.assertIn("a score of a pair (rerank), sigmoid", self.ok("info", *model("scores-bert")).stdout.decode())
        info = json.loads(self.ok("info", "--json", *model("scores-bert-nli")).stdout)
        self.assertEqual((info["gives"], info["labels"], info["label_count"]), ("scores", ["label 0", "label 1", "label 2"], 3))
        info = json.loads(self.ok("info", "--json", *model("bert")).stdout)
        self.assertEqual((info["gives"], info["labels"], info["label_count"]), ("vectors", [], 0))

    def test_quantised(self):
        """quantize measures, verify judges, and the scores are near."""
        for name in CLASSIFIERS:
            out = self.path("int8-" + name)
            self.ok("quantize", os.path.join(CHECKPOINTS, name), out)
            verdict = json.loads(self.ok("verify", "--json", "-m", out, "--against", os.path.join(CHECKPOINTS, name)).stdout)
            checks = {c["name"]: c for c in verdict["checks"]}
            self.assertTrue(verdict["pass"])
            self.assertLess(0, checks["probability_difference"]["value"])
            self.assertIn("order_agreement" if name in RERANKERS else "best_label_agreement", checks)

    def test_bench(self):
        bench = json.loads(self.ok("bench", "--json", "--seconds", "1", *model("scores-bert")).stdout)
        for row in bench["rows"]:
            self.assertGreater(row["tokens"], 8 * row["texts"])      # a query stands before each text


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
