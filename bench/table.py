#!/usr/bin/env python3
"""A run's results as Markdown, to be pasted.

    table.py [bench/results]"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [p for p in sys.path if os.path.abspath(p) != HERE] + [HERE]      # after the standard modules, one of which bench/tokenize.py would hide
from results import Results


def cell(value, form):
    return "-" if value is None else form.format(value)


def calls(r, model, names):
    bulk = r.bulk_row(model)
    unit = "texts/s" if model == "minilm" else "tokens/s"
    print(f"| engine | {' | '.join(n.replace('x', ' x ') if n[0].isdigit() else n for n in names)} | {bulk}, {unit} |\n|---{'|---' * len(names)}|---|")
    for engine in r.engines(model):
        variants = r.variants(model, engine, bulk) or [""]
        rate = r.texts_per_s if model == "minilm" else r.tokens_per_s
        best = max(variants, key=lambda v: rate(model, engine, bulk, v) or 0)
        times = " | ".join(cell(r.ms(model, engine, n), "{:.2f} ms") for n in names)
        print(f"| {engine} | {times} | {cell(rate(model, engine, bulk, best), '{:.1f}')}{f' ({best})' if best else ''} |")


def main():
    r = Results(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "results"))
    m = r.about["machine"]
    print(f"{r.about['date']}, {m['cpu']}, {m['cores']} cores ({', '.join(m['isa'])}), {m['memory_gib']} GiB, {r.about['threads']} threads, "
          f"ours on {r.about['isa']}, peers {r.about['peers']}; commit {r.about['commit']}. "
          f"Medians of single calls; bulk: the best of several. Versions: {'; '.join(f'{e} {v}' for e, v in r.about['versions'].items())}.\n")
    print("### Qwen3-Embedding-0.6B's shape, random weights\n")
    calls(r, "qwen3", ["1x8", "1x32", "1x128", "1x512", "1x2048", "8x8", "32x8", "query"])
    print("\n### all-MiniLM-L6-v2\n")
    calls(r, "minilm", ["title", "1x8", "1x32", "1x128", "1x256", "8x8", "32x8"])
    print("\n### Whole process: start, open, one vector, exit\n\n| model | engine | wall | peak memory | of which opening |\n|---|---|---|---|---|")
    for (model, engine), p in r.process.items():
        print(f"| {model} | {engine} | {p['wall_s']:.3f} s | {p['peak_mb']:.0f} MiB | {p['open_s']:.3f} s |")
    print("\n### All else\n\n| what | subject | value |\n|---|---|---|")
    for (what, subject), value in r.values.items():
        print(f"| {what} | {subject} | {value:g} |")


main()
