#!/usr/bin/env python3
"""The floors, each against what a run measured: reached, missed, or not measured there.

    floors.py [bench/results]       exit status 1 where one is missed

Which floors of speed hold depends on the instruction set that our kernels ran with: those of the machines with VNNI, or those of AVX2. Single calls count with their median, bulk with the best call; both sides alike. Only ratios within one run mean anything."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [p for p in sys.path if os.path.abspath(p) != HERE] + [HERE]       # after the standard modules, one of which bench/tokenize.py would hide
from results import Results

VNNI = ("avxvnni", "avx512vnni", "avx512", "avx512bf16")
ORT_F32_BEFORE, TEI_BEFORE = 86.9, 41.7     # texts/s of one machine on one day: TEI, which is not run here, is scaled by the other


class Check:
    def __init__(self):
        self.lines, self.missed = [], 0

    def put(self, what, value, floor, fine, form="{:.2f}", note=""):
        if value is None:
            verdict, shown = "not measured", "-"
        else:
            verdict, shown = "reached" if fine(value) else "MISSED", form.format(value)
            self.missed += verdict == "MISSED"
        self.lines.append((what, floor, shown, verdict, note))

    def least(self, what, value, floor, form="{:.2f}", unit="", note=""):
        self.put(what, value, f"≥ {floor}{unit}", lambda v: v >= floor, form + unit, note)

    def most(self, what, value, limit, form="{:.2f}", unit="", note=""):
        self.put(what, value, f"≤ {limit}{unit}", lambda v: v <= limit, form + unit, note)


def ratio(a, b):
    return a / b if a and b else None


def vnni(c, r):
    qwen3(c, r)
    minilm(c, r)


def avx2(c, r):
    """On a processor that has no more, or with all engines held to AVX2."""
    bulk = r.bulk_row("minilm")
    rate = lambda engine, variant="": r.texts_per_s("minilm", engine, bulk, variant)
    title = lambda engine: r.ms("minilm", engine, "title")
    int8, f32, dynamic, sorted8 = "akiembed int8", "akiembed f32", "onnxruntime int8 dynamic", "8, sorted"
    c.least("MiniLM int8, bulk, times own f32", ratio(rate(int8), rate(f32)), 1.3, unit=" x")
    c.least("MiniLM f32, bulk, times onnxruntime f32, sorted eights", ratio(rate(f32), rate("onnxruntime f32", sorted8)), 1.2, unit=" x")
    c.least("MiniLM f32, bulk, times sentence-transformers", ratio(rate(f32), rate("sentence-transformers f32")), 1.8, unit=" x")
    c.least("MiniLM int8, bulk, times onnxruntime quantize_dynamic, sorted eights", ratio(rate(int8), rate(dynamic, sorted8)), 1.4, unit=" x")
    c.least("MiniLM int8, one title, times faster than onnxruntime quantize_dynamic", ratio(title(dynamic), title(int8)), 1.4, unit=" x")
    tokens = lambda engine, row: r.tokens_per_s("qwen3", engine, row)
    for row, what, floor in (("32x8", "32 x 8 tokens", 3.2), ("bulk64", "64 descriptions", 4.9)):
        c.least(f"Qwen3 shape int8, {what}, times llama.cpp Q8_0", ratio(tokens(int8, row), tokens("llama.cpp Q8_0", row)), floor, unit=" x")
    c.most("Qwen3 shape int8, one text of 8 tokens, of llama.cpp Q8_0's time", ratio(r.ms("qwen3", int8, "1x8"), r.ms("qwen3", "llama.cpp Q8_0", "1x8")), 0.27, unit=" x")
    for subject in ("minilm f32", "minilm int8", "qwen3 f32", "qwen3 int8"):
        c.least(f"products alone, {subject}, of the register peak", r.values.get(("our products alone, % of the register peak", subject)), 85, "{:.1f}", " %")


def qwen3(c, r):
    ours, rate, ms = "akiembed int8", (lambda e, row: r.tokens_per_s("qwen3", e, row)), (lambda e, row: r.ms("qwen3", e, row))
    for engine, floor in (("llama.cpp Q8_0", 5), ("onnxruntime MatMulNBits int8", 2.3), ("torch bf16", 2.2), ("openvino int8", 1.4),
                          ("openvino int8, plain attention", 1.4)):
        note = "one text at a time there: its GroupQueryAttention takes no batch" if engine == "openvino int8" else ""
        c.least(f"Qwen3 shape, 32 x 8 tokens, times {engine}", ratio(rate(ours, "32x8"), rate(engine, "32x8")), floor, unit=" x", note=note)
        c.least(f"Qwen3 shape, 64 descriptions, times {engine}", ratio(rate(ours, "bulk64"), rate(engine, "bulk64")), floor, unit=" x", note=note)
    c.most("Qwen3 shape, one text of 8 tokens", ms(ours, "1x8"), 18, unit=" ms")
    c.most("Qwen3 shape, one text of 8 tokens, of llama.cpp Q8_0's time", ratio(ms(ours, "1x8"), ms("llama.cpp Q8_0", "1x8")), 0.18, unit=" x")
    c.most("Qwen3 shape, 8 tokens behind the instruction, of the time without", ratio(ms(ours, "query"), ms(ours, "1x8")), 1.15, unit=" x")
    c.least("Qwen3 shape, 1 x 512, of the rate of 32 x 8", ratio(rate(ours, "1x512"), rate(ours, "32x8")), 0.85, unit=" x")
    c.least("Qwen3 shape, 1 x 2048, of the rate of 32 x 8", ratio(rate(ours, "1x2048"), rate(ours, "32x8")), 0.6, unit=" x")
    best = max(filter(None, (rate(ours, "bulk64"), rate(ours, "32x8"))), default=None)
    share = ratio(best, r.values.get(("products tokens_per_s", "qwen3 int8")))
    c.least("Qwen3 shape, bulk, of the products alone", share and 100 * share, 80, "{:.1f}", " %")


def minilm(c, r):
    row = r.bulk_row("minilm")
    rate = lambda engine, variant="": r.texts_per_s("minilm", engine, row, variant)
    int8, one = rate("akiembed int8"), rate("onnxruntime f32", "one at a time")
    c.least("MiniLM int8, bulk, times onnxruntime f32, one text at a time", ratio(int8, one), 4, unit=" x")
    peers = {(e, v): rate(e, v) for e in r.engines("minilm") if not e.startswith("akiembed") for v in r.variants("minilm", e, row)}
    best = max(peers, key=peers.get) if peers else ("", "")
    c.least("MiniLM int8, bulk, times the best of all peers here", ratio(int8, peers.get(best)), 4, unit=" x", note=", ".join(filter(None, best)))
    c.least("MiniLM int8, bulk, times TEI's default", ratio(int8, one and TEI_BEFORE * one / ORT_F32_BEFORE), 8, unit=" x",
            note="TEI is not run here: its 41.7 texts/s, scaled as onnxruntime f32 is to its 86.9 of that day")
    c.least("MiniLM f32, bulk, times sentence-transformers", ratio(rate("akiembed f32"), rate("sentence-transformers f32")), 1.8, unit=" x")
    c.most("MiniLM int8, one title", r.ms("minilm", "akiembed int8", "title"), 1, "{:.3f}", " ms")


def others(c, r):
    for model in ("minilm", "qwen3"):
        rate = [r.values.get(("tokenising MB/s", f"{model} {who}")) for who in ("akiembed", "tokenizers")]
        c.least(f"tokenising, {model}, times tokenizers", ratio(*rate), 10, "{:.1f}", " x")
    once = lambda model, engine, field: r.process.get((model, engine), {}).get(field)
    q8, llama = "akiembed int8, quantised folder", "llama.cpp Q8_0"
    c.most("Qwen3 shape, whole process, bf16 folder", once("qwen3", "akiembed int8", "wall_s"), 4, unit=" s")
    for field, what, limit in (("peak_mb", "peak memory", 0.57), ("wall_s", "time", 1)):
        c.most(f"Qwen3 shape, whole process, quantised folder, {what}, of llama.cpp's", ratio(once("qwen3", q8, field), once("qwen3", llama, field)), limit, unit=" x")
    for engine, most in (("akiembed f32", 150), ("akiembed int8", 100), (q8, 100)):
        wall = once("minilm", engine, "wall_s")
        c.most(f"MiniLM, whole process, {engine}", wall and 1e3 * wall, 150, "{:.0f}", " ms")
        c.most(f"MiniLM, whole process, {engine}, peak memory", once("minilm", engine, "peak_mb"), most, "{:.0f}", " MiB")
    for model in ("minilm int8", "qwen3 int8"):
        value = lambda what: r.values.get(("memory: " + what, model))
        if model == "qwen3 int8":
            c.most("memory, qwen3 int8, largest private after request 500", value("private, largest after the first 500 requests, MB"), 1024, "{:.0f}", " MiB")
        for kind in ("private", "resident"):
            c.most(f"memory, {model}, {kind}, last third against the first after request 500",
                   value(f"{kind}, mean of the last third against the first after request 500, %"), 5, "{:.1f}", " %")
        c.most(f"idle CPU, {model}", value("idle CPU after the last request, %"), 0.1, "{:.3f}", " %")
    c.put("server rows", None, "80 %, 90 %, 4 x TEI", None, note="measured with the server's own bench")


def every(c, r):
    for model in ("MiniLM", "bge-small-en", "e5-small", "paraphrase-l3", "splade-tiny"):
        c.least(f"{model} int8, texts of verify, least cosine", r.values.get(("verify, int8: cosine_least", model)), 0.999, "{:.5f}")
    c.most("e5-small int8, products in f32, of 49", r.values.get(("info, int8: products_f32", "e5-small")), 4, "{:.0f}")
    bf16, f32 = "akiembed f32", "akiembed f32, f32 folder"
    c.least("Qwen3 shape f32, one text of 8 tokens, from a bf16 folder, times faster than from an f32 one",
            ratio(r.ms("qwen3", f32, "1x8"), r.ms("qwen3", bf16, "1x8")), 1.5, unit=" x")
    peak = lambda engine: r.process.get(("qwen3", engine), {}).get("peak_mb")
    c.most("Qwen3 shape f32, peak memory, from a bf16 folder, of that from an f32 one", ratio(peak(bf16), peak(f32)), 0.6, unit=" x")


def fidelity(c, r):
    cosine = lambda kind: r.values.get((f"fidelity: {kind} cosine", "MiniLM int8, rotated (ours)"))
    c.least("fidelity, MiniLM int8, 256 descriptions, least cosine", cosine("least"), 0.9995, "{:.5f}")
    c.least("fidelity, MiniLM int8, 256 descriptions, mean cosine", cosine("mean"), 0.9996, "{:.5f}")
    ndcg = [r.values.get(("retrieval: nDCG@10", "akiembed " + p)) for p in ("f32", "int8")]
    c.most("retrieval, nDCG@10, int8 from f32", None if None in ndcg else abs(ndcg[0] - ndcg[1]), 0.002, "{:.5f}")
    for plant in dict.fromkeys(subject for what, subject in r.values if what.startswith("outliers")):
        value = lambda kind, how: r.values.get((f"outliers: {how}: {kind} cosine", plant))
        ours, plain = "rotated int8 (ours)", "W8A8 without rotation (numpy)"
        c.least(f"outliers, {plant}, least cosine", value("least", ours), 0.99, "{:.5f}")
        c.least(f"outliers, {plant}, mean cosine", value("mean", ours), 0.995, "{:.5f}")
        worse = max(value(kind, plain) - value(kind, ours) for kind in ("least", "mean"))
        c.most(f"outliers, {plant}, worse than without rotation by", worse, 0.002, "{:.5f}")


def main():
    r, c = Results(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "results")), Check()
    isa = r.about["isa"]
    for part in (*([vnni] if isa in VNNI else [avx2] if isa == "avx2" else []), others, every, fidelity):
        part(c, r)
    print("| floor | at least / most | measured | |\n|---|---|---|---|")
    for what, floor, shown, verdict, note in c.lines:
        print(f"| {what} | {floor} | {shown} | {verdict}{f' ({note})' if note else ''} |")
    print(f"\n{sum(l[3] == 'reached' for l in c.lines)} reached, {c.missed} missed, {sum(l[3] == 'not measured' for l in c.lines)} not measured "
          f"({r.about['kind']} run of {r.about['date']} on {isa}, peers {r.about['peers']})")
    return bool(c.missed)


sys.exit(main())
