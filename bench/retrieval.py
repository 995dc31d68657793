#!/usr/bin/env python3
"""Known-item search over package descriptions: the query is a package's one-line title, the answer its long description.

    retrieval.py BENCH_EMBED [--pairs 2000]     one JSON line: nDCG@10 and recall@10 for our f32 and int8 and sentence-transformers f32"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "peers")       # bench/tokenize.py would hide a standard module
sys.path.append(HERE)
import argparse
import json
import subprocess
import tempfile

import quality
import numpy as np

ROOT = os.path.dirname(HERE)
MODEL = os.path.join(ROOT, "third_party", "models", "all-MiniLM-L6-v2")


def pairs(count):
    """Titles and descriptions, each different from all others; a description that begins with its title gives the answer away."""
    titles, texts, out = set(), set(), []
    with open(os.path.join(ROOT, "third_party", "texts", "descriptions.jsonl"), encoding="utf-8") as f:
        for line in f:
            p = json.loads(line)
            title, text = p["title"], " ".join(p["text"].split())
            if title in titles or text in texts or text.lower().startswith(title.lower()):
                continue
            titles.add(title)
            texts.add(text)
            out.append((title, text))
            if len(out) == count:
                return out
    sys.exit(f"retrieval.py: only {len(out)} pairs")


def figures(queries, answers):
    scores = quality.unit(queries) @ quality.unit(answers).T
    rank = (scores > np.diag(scores)[:, None]).sum(1)       # of the one right answer
    found = rank < 10
    return float((found / np.log2(rank + 2)).mean()), float(found.mean())


def peer(rows):
    with tempfile.TemporaryDirectory() as temp:
        workload, out = os.path.join(temp, "w"), os.path.join(temp, "v")
        quality.write_workload(workload, rows)
        subprocess.run([sys.executable, os.path.join(HERE, "peers", "st.py"), "--model", MODEL, "--workload", workload, "--vectors", out], check=True)
        return np.fromfile(out, np.float32).reshape(-1, 384)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("--pairs", type=int, default=2000)
    a = p.parse_args()
    chosen, values = pairs(a.pairs), []
    rows = [([], title) for title, _ in chosen] + [([], text) for _, text in chosen]
    for subject, vectors in (("akiembed f32", lambda: quality.vectors(a.program, MODEL, rows, "f32", 384)),
                             ("akiembed int8", lambda: quality.vectors(a.program, MODEL, rows, "int8", 384)), ("sentence-transformers f32", lambda: peer(rows))):
        v = vectors()
        ndcg, recall = figures(v[:a.pairs], v[a.pairs:])
        values += [("retrieval: nDCG@10", subject, round(ndcg, 5)), ("retrieval: recall@10", subject, round(recall, 5))]
    print(json.dumps({"values": values}))


main()
