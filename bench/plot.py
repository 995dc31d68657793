#!/usr/bin/env python3
"""A run's results as pictures: cost against length and against batch size, ours beside the peers; resident memory over requests.

    plot.py [bench/results [docs]]      writes bench-qwen3.svg, bench-minilm.svg, bench-memory.svg"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [p for p in sys.path if os.path.abspath(p) != HERE] + [HERE]      # after the standard modules, one of which bench/tokenize.py would hide
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from results import Results

plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "akiembed", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
OURS = {"akiembed int8": "#c0392b", "akiembed f32": "#e08e79"}
GREYS = ["#1f3b57", "#3f6b94", "#7a9cc0", "#4c8577", "#8fb8a8", "#777777", "#aaaaaa"]
LENGTHS, BATCHES = ["1x8", "1x32", "1x128", "1x256", "1x512", "1x2048"], ["1x8", "8x8", "32x8"]


def curves(axes, r, model, engines, names, position, xlabel):
    for engine, colour in engines.items():
        points = [(position(n), r.rows[model, engine, n, ""]) for n in names if (model, engine, n, "") in r.rows]
        if points:
            axes.plot([x for x, _ in points], [p["median_ms"] / p["tokens"] for _, p in points], "o-", color=colour, label=engine,
                      linewidth=2.2 if engine in OURS else 1.1, markersize=4)
    axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel="ms a token")
    axes.set_xticks([position(n) for n in names if any((model, e, n, "") in r.rows for e in engines)])
    axes.get_xaxis().set_major_formatter(matplotlib.ticker.ScalarFormatter())
    axes.minorticks_off()


def bars(axes, r, model, engines):
    bulk = r.bulk_row(model)
    rate = r.texts_per_s if model == "minilm" else r.tokens_per_s
    found = []
    for engine, colour in engines.items():
        for variant in r.variants(model, engine, bulk):
            found.append((rate(model, engine, bulk, variant), f"{engine}{', ' if variant else ''}{variant}", colour))
    found.sort(key=lambda f: f[0])
    axes.barh([f[1] for f in found], [f[0] for f in found], color=[f[2] for f in found])
    for i, f in enumerate(found):
        axes.text(f[0], i, f" {f[0]:.0f}", va="center")
    axes.set(xlabel=("texts" if model == "minilm" else "tokens") + f" a second, {bulk[4:]} descriptions" if bulk.startswith("bulk") else "tokens a second, 32 x 8")


def model_picture(r, model, title, path):
    greys = iter(GREYS * 2)
    engines = {e: OURS.get(e) or next(greys) for e in r.engines(model)}
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    curves(axes[0], r, model, engines, LENGTHS, lambda n: int(n[2:]), "tokens of one text")
    curves(axes[1], r, model, engines, BATCHES, lambda n: int(n[:-2]), "texts of 8 tokens in a call")
    bars(axes[2], r, model, engines)
    axes[0].legend(frameon=False, fontsize=7)
    m = r.about["machine"]
    figure.suptitle(f"{title}. {m['cpu']}, {m['cores']} cores, {r.about['threads']} threads, {r.about['date']}", fontsize=10)
    figure.savefig(path, metadata={"Date": None})


def memory_picture(r, path):
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    for engine, colour in zip(dict.fromkeys(m["engine"] for m in r.memory), ("#c0392b", "#1f3b57")):
        samples = [m for m in r.memory if m["engine"] == engine]
        axes.plot([int(m["requests"]) for m in samples], [int(m["private_kb"]) / 1024 for m in samples], color=colour, label=engine)
    axes.set(xlabel="requests of random length and batch", ylabel="private memory, MiB", ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "results")
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(HERE), "docs")
    r = Results(folder)
    model_picture(r, "qwen3", "Qwen3-Embedding-0.6B's shape, random weights", os.path.join(out, "bench-qwen3.svg"))
    model_picture(r, "minilm", "all-MiniLM-L6-v2", os.path.join(out, "bench-minilm.svg"))
    if r.memory:
        memory_picture(r, os.path.join(out, "bench-memory.svg"))


main()
