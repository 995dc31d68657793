#!/usr/bin/env python3
"""The rows of the plan by which AkiDB chose its embedding engine, on Qwen3-Embedding-0.6B's shape (random weights, made by bench/setup): one text, 8, 32,
texts a second, 768 numbers a vector; with the plan's own text, "test text", and with package titles, each different from all others.

    plan.py BENCH_EMBED [--model third_party/bench/qwen3-quantised] [--seconds 4]       a table in Markdown; medians of calls"""
import argparse
import json
import os
import subprocess
import tempfile

THIRD = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "third_party")
# texts a call: wanted with CoreML on a Mac, and what was reached there by way of Python; ms
PLAN = {1: (20, 118), 8: (60, 391), 32: (180, 1288)}
CALLS = {1: 301, 8: 101, 32: 41}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program")
    p.add_argument("--model", default=os.path.join(THIRD, "bench", "qwen3-quantised"))
    p.add_argument("--seconds", default="4")
    args = p.parse_args()
    with open(os.path.join(THIRD, "texts", "descriptions.jsonl"), encoding="utf-8") as f:
        titles = iter(dict.fromkeys(t for t in (json.loads(line)["title"] for line in f) if 20 <= len(t) <= 60))
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as w:
        for kind in ("own", "titles"):
            for texts, calls in CALLS.items():
                w.write(f"row bulk-{kind}-{texts} {texts} {calls}\n")      # "bulk": from text
                w.writelines(f"\t{'test text' if kind == 'own' else next(titles)}\n" for _ in range(texts * calls))
        w.flush()
        done = subprocess.run([args.program, "--model", args.model, "--workload", w.name, "--dim", "768", "--seconds", args.seconds], check=True, capture_output=True, text=True)
    ms = {row["row"]: row["median_ms"] for row in json.loads(done.stdout)["rows"]}
    print("| | planned | reached then | \"test text\" | titles |\n|---|---|---|---|---|")
    for texts, (planned, reached) in PLAN.items():
        own, other = (ms[f"bulk-{kind}-{texts}"] for kind in ("own", "titles"))
        print(f"| {texts} text{'s' if texts > 1 else ''} | < {planned} ms | {reached} ms | {own:.1f} ms | {other:.1f} ms |")
    own, other = (32e3 / ms[f"bulk-{kind}-32"] for kind in ("own", "titles"))
    print(f"| texts a second | > 50 | 25 | {own:.0f} | {other:.0f} |\n| numbers a vector | 768 | 768 | 768 | 768 |")


main()
