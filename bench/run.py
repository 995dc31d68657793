#!/usr/bin/env python3
"""The comparison: every engine in a process of its own, one after the other, in one run on one machine. See bench/README.md.

    run.py --python PEERS_PYTHON [--build build] [--out bench/results] [--quick | --long | --table] [--only WORD] [--skip WORD,WORD] [--seconds 5] [--threads 2]

Writes run.json (machine, versions, date) and CSV files to OUT as it goes: rows.csv (calls), process.csv (start to exit), products.csv (matrix
products alone), values.csv (tokenising, fidelity, retrieval, memory …), memory.csv (resident memory over requests). Standard Python only: a
child's peak memory is its own then, and read by itself."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "peers")       # bench/tokenize.py would hide a standard module
import argparse
import csv
import datetime
import json
import platform
import re
import statistics
import subprocess
import time

ROOT = os.path.dirname(HERE)
THIRD = os.path.join(ROOT, "third_party")
MADE = os.path.join(THIRD, "bench")
MINILM = os.path.join(THIRD, "models", "all-MiniLM-L6-v2")
REAL = {"MiniLM": MINILM, **{name: os.path.join(os.environ.get("AKIEMBED_REAL", os.path.join(THIRD, "real")), name)
                             for name in ("bge-small-en", "e5-small", "paraphrase-l3", "splade-tiny")}}
# AKIEMBED_ISA=avx2 where the processor has more: our kernels are held to AVX2, so the peers are. bench/setup has made what is in HELD.
HELD = os.path.join(THIRD, "bench-avx2")
HOLD = {"PYTHONPATH": HELD, "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
HOLDABLE = ("ours", "st", "ort", "llama")       # the others know no such limit, and are left out
FIELDS = {"rows": "model engine row variant texts tokens calls best_ms median_ms", "process": "model engine open_s wall_s peak_mb",
          "products": "model kind rows k n gops", "values": "what subject value", "memory": "engine requests resident_kb private_kb"}


def made(name):
    return os.path.join(MADE, name)


class Run:
    def __init__(self, args):
        self.args, self.begin, self.versions, self.failed, self.isa = args, time.monotonic(), {}, [], None
        self.held = os.environ.get("AKIEMBED_ISA") == "avx2" and any(i.startswith("avx512") or i == "avx_vnni" for i in machine()["isa"])
        os.makedirs(args.out, exist_ok=True)
        for name, fields in FIELDS.items():
            with open(os.path.join(args.out, name + ".csv"), "w", newline="") as f:
                csv.writer(f, lineterminator="\n").writerow(fields.split())

    def put(self, name, rows):
        with open(os.path.join(self.args.out, name + ".csv"), "a", newline="") as f:
            csv.DictWriter(f, FIELDS[name].split(), extrasaction="ignore", lineterminator="\n").writerows(rows)

    def value(self, what, subject, value):
        self.put("values", [{"what": what, "subject": subject, "value": value}])

    def say(self, text):
        print(f"[{time.monotonic() - self.begin:6.0f} s] {text}", file=sys.stderr, flush=True)

    def call(self, name, command, seconds=1200, timed=True):
        """The JSON line that the command prints last, with wall_s; None where it failed, which is said and ends nothing."""
        if self.args.only and self.args.only not in name or any(word in name for word in self.args.skip):
            return None
        program = command[1 if command[0] == self.args.python else 0]
        if self.held and os.path.dirname(program) == os.path.join(HERE, "peers") and not os.path.basename(program).startswith(HOLDABLE):
            self.say(f"{name}: left out, as it cannot be held to AVX2")
            return None
        self.say(name)
        begin = time.monotonic()
        try:
            done = subprocess.run(self.args.under * timed + command, capture_output=True, text=True, timeout=seconds, cwd=ROOT, env={**os.environ, **(HOLD if self.held else {})})
            wall = time.monotonic() - begin
            if done.returncode == 0:
                out = json.loads(done.stdout.strip().splitlines()[-1])
                out["wall_s"] = round(wall, 4)
                if "engine" in out:
                    self.versions[out["engine"]] = out.get("version", "")
                    if out["engine"].startswith("akiembed"):
                        self.isa = out["version"].rsplit(", ", 1)[1]
                return out
            why = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        except (subprocess.TimeoutExpired, json.JSONDecodeError, IndexError) as e:
            why = str(e)
        self.failed.append(name)
        self.say(f"{name} FAILED: {why[:300]}")
        return None


# ---------------------------------------------------------------- engines

class Engine:
    def __init__(self, key, workload, program, model, *more, note=""):
        self.key, self.workload, self.program, self.model, self.more, self.note = key, workload, program, model, list(more), note

    def command(self, args, *more):
        suffix = "-quick" if args.quick else ""
        start = [os.path.join(ROOT, args.build, "tests", "bench_embed")] if self.program == "ours" else [args.python, os.path.join(HERE, "peers", self.program)]
        return start + ["--model", self.model, "--workload", made(f"workloads/{self.workload}{suffix}.txt"), "--threads", str(args.threads),
                        "--seconds", str(args.seconds), *self.more, *more]


def engines():
    q = made("qwen3")
    all_of_them = [
        Engine("ours minilm f32", "minilm", "ours", MINILM, "--precision", "f32"),
        Engine("ours minilm int8", "minilm", "ours", MINILM, "--precision", "int8"),
        Engine("ours minilm quantised", "minilm", "ours", made("minilm-quantised"), note=", quantised folder"),
        Engine("st", "minilm", "st.py", MINILM),
        Engine("ort f32", "minilm", "ort.py", made("minilm-f32"), "--variant", "f32"),
        Engine("ort int8 file", "minilm", "ort.py", made("minilm-int8-file"), "--variant", "int8 file"),
        Engine("ort int8 dynamic", "minilm", "ort.py", made("minilm-int8-dynamic"), "--variant", "int8 dynamic"),
        Engine("libembedding", "minilm", "libemb.py", made("minilm-int8-file"), "--variant", "int8 file"),
        Engine("ours qwen3 int8", "qwen3", "ours", q, "--precision", "int8"),
        Engine("ours qwen3 f32", "qwen3", "ours", q, "--precision", "f32"),
        Engine("ours qwen3 f32 copy", "qwen3", "ours", made("qwen3-f32"), "--precision", "f32", "--rows", "1x8", note=", f32 folder"),
        Engine("ours qwen3 quantised", "qwen3", "ours", made("qwen3-quantised"), note=", quantised folder"),
        Engine("llama q8", "qwen3", "llamacpp.py", made("qwen3-q8_0.gguf"), "--variant", "Q8_0"),
        Engine("nbits8", "qwen3", "nbits.py", made("qwen3-nbits8.onnx"), "--variant", "MatMulNBits int8"),
        Engine("nbits4", "qwen3", "nbits.py", made("qwen3-nbits4.onnx"), "--variant", "MatMulNBits int4"),
        Engine("openvino", "qwen3", "nbits.py", made("qwen3-nbits8.onnx"), "--variant", "openvino int8"),
        Engine("openvino plain", "qwen3", "nbits.py", made("qwen3-plain8.onnx"), "--variant", "openvino int8, plain attention"),
        Engine("torch bf16", "qwen3", "torch_qwen3.py", q, "--variant", "bf16"),
        Engine("torch f32", "qwen3", "torch_qwen3.py", q, "--variant", "f32"),
    ]
    return {e.key: e for e in all_of_them}


# What is measured in turn; ours and the products more than once, since machines drift: the best of each counts.
ORDER = ["products", "ours minilm int8", "st", "ort f32", "ours minilm f32", "ort int8 file", "ort int8 dynamic", "ours minilm int8", "libembedding",
         "ours minilm f32", "ort f32", "st", "ours qwen3 int8", "products", "llama q8", "nbits8", "ours qwen3 int8", "openvino", "openvino plain", "nbits4", "torch bf16",
         "torch f32", "ours qwen3 f32", "ours qwen3 f32 copy", "ours qwen3 int8", "products"]
QUICK = ["products", "ours minilm int8", "ours minilm f32", "st", "ort f32", "ort int8 file", "ours qwen3 int8", "llama q8", "ours qwen3 int8"]
ONCE = ["ours minilm f32", "ours minilm int8", "ours minilm quantised", "st", "ort f32", "ort int8 file", "libembedding", "ours qwen3 int8", "ours qwen3 quantised",
        "ours qwen3 f32", "ours qwen3 f32 copy",
        "llama q8", "nbits8", "torch bf16"]
# The rows of the floors that depend on the instruction set: step, rows. Each ends within 90 seconds on two cores of a Zen 4.
TABLE = [("ours minilm int8", "title,bulk512"), ("ours minilm f32", "title,bulk512"), ("ort f32", "title,bulk512"), ("st", "title,bulk512"), ("ort int8 dynamic", "title,bulk512"),
         ("ours minilm int8", "title,bulk512"), ("ours minilm f32", "title,bulk512"), ("ort f32", "title,bulk512"), ("ours qwen3 int8", "1x8,32x8,bulk64"),
         ("llama q8", "1x8,32x8"), ("llama q8", "bulk64"), ("ours qwen3 f32", "1x8"), ("ours qwen3 f32 copy", "1x8"), ("ours qwen3 int8", "1x8,32x8,bulk64"),
         ("ours qwen3 f32", "1x8"), ("ours qwen3 f32 copy", "1x8")]
ONCE_TABLE = ["ours qwen3 f32", "ours qwen3 f32 copy"]
ONCE_QUICK = ["ours minilm f32", "ours minilm int8", "ours minilm quantised", "st", "ort int8 file", "ours qwen3 int8", "ours qwen3 quantised", "llama q8"]


def products(run):
    out = run.call("products", [run.args.python, os.path.join(HERE, "gemm_peak.py"), "--threads", str(run.args.threads), "--seconds",
                                "0.3" if run.args.quick else "0.7"])
    if out:
        run.put("products", out["products"])
        for subject, figures in out["models"].items():
            run.value("products tokens_per_s", subject, figures["tokens_per_s"])
            run.value("products gops", subject, figures["gops"])


def rows(run, all_of_them):
    for key, wanted in TABLE if run.args.table else [(key, "") for key in (QUICK if run.args.quick else ORDER)]:
        if key == "products":
            products(run)
            continue
        e = all_of_them[key]
        out = run.call(key, e.command(run.args, *(["--rows", wanted] if wanted else [])))
        if out:
            run.put("rows", [{"model": e.workload, "engine": out["engine"] + e.note, **r} for r in out["rows"]])
    if run.args.long:
        for key in ("ours minilm int8", "ours minilm f32"):
            command = all_of_them[key].command(run.args)
            command[command.index("--workload") + 1] = made("workloads/minilm-long.txt")
            out = run.call(key + ", 20,000 texts", command)
            if out:
                run.put("rows", [{"model": "minilm", "engine": out["engine"], **r} for r in out["rows"]])


def processes(run, all_of_them):
    """Start, open, one vector, exit: the median of three, files in the page cache (the first run brings them there, and is not counted)."""
    for key in ONCE_TABLE if run.args.table else ONCE_QUICK if run.args.quick else ONCE:
        e, outs = all_of_them[key], []
        for i in range(2 if run.args.quick else 4):
            out = run.call(f"process {key}", e.command(run.args, "--once"))
            if not out:
                break
            outs += [out] * (i > 0)
        if outs:
            middle = lambda field: statistics.median(o[field] for o in outs)
            run.put("process", [{"model": e.workload, "engine": outs[0]["engine"] + e.note, "open_s": middle("open_s"), "wall_s": middle("wall_s"),
                                 "peak_mb": middle("peak_mb")}])


# ---------------------------------------------------------------- all but speed of calls

def tokenising(run):
    if run.args.only and run.args.only not in "tokenising":
        return
    run.say("tokenising")
    done = subprocess.run([run.args.python, os.path.join(HERE, "tokenize.py"), os.path.join(run.args.build, "tests", "bench_tokenize"),
                           made("workloads/texts.txt"), os.path.join(MINILM, "tokenizer.json"), os.path.join(THIRD, "models", "qwen3-tokenizer", "tokenizer.json")],
                          capture_output=True, text=True, cwd=ROOT)
    found = re.findall(r"([\d.]+) MB/s, ours ([\d.]+) MB/s", done.stdout)
    for subject, (theirs, ours) in zip(("minilm", "qwen3"), found):
        run.value("tokenising MB/s", f"{subject} tokenizers", theirs)
        run.value("tokenising MB/s", f"{subject} akiembed", ours)
    if len(found) != 2:
        run.failed.append("tokenising")
        run.say("tokenising FAILED: " + (done.stderr.strip().splitlines() or ["no figures"])[-1])


def kernels(run):
    """Our products alone, one thread, of what the processor does with their instructions in registers: the shapes of each model at 512 rows, together."""
    if run.args.only and run.args.only not in "kernels":
        return
    tests = os.path.join(ROOT, run.args.build, "tests")
    peak = run.isa and run.call("peak", [os.path.join(tests, "bench_peak"), run.isa])
    if not peak:
        return
    run.say("our products alone")
    done = subprocess.run([*run.args.under, os.path.join(tests, "bench_kernels"), run.isa, "product 512"], capture_output=True, text=True, cwd=ROOT)
    work, time_of = {}, {}
    for n, k, kind, us in re.findall(r"product 512 x (\d+) x (\d+) (\w+) +([\d.]+) us", done.stdout):
        subject = ("minilm" if min(int(n), int(k)) == 384 else "qwen3") + " " + kind
        work[subject] = work.get(subject, 0) + 2e-9 * 512 * int(n) * int(k)
        time_of[subject] = time_of.get(subject, 0) + 1e-6 * float(us)
    for subject in work:
        limit = peak.get(subject.split()[1])
        run.value("our products alone, GOP/s", subject, round(work[subject] / time_of[subject], 1))
        if limit:
            run.value("our products alone, % of the register peak", subject, round(100 * work[subject] / time_of[subject] / limit, 1))


def real_models(run):
    """int8 beside f32 on the texts of `verify`, and how many products stay f32; of the models that are there."""
    program = os.path.join(ROOT, run.args.build, "akiembed")
    if run.args.only and run.args.only not in "real models":
        return
    for name, folder in REAL.items():
        if not os.path.isdir(folder):
            run.say(f"{name}: not there ({folder}), not measured")
            continue
        run.say(f"verify {name}")
        for verb, members in (("verify", "checks"), ("info", None)):
            done = subprocess.run([program, verb, "-m", folder, "--precision", "int8", "--json"], capture_output=True, text=True, cwd=ROOT)
            try:
                out = json.loads(done.stdout)
            except json.JSONDecodeError:
                run.failed.append(f"{verb} {name}")
                run.say(f"{verb} {name} FAILED: {done.stderr.strip()[:300]}")
                continue
            figures = {c["name"]: c["value"] for c in out[members]} if members else {"products": out["products"], "products_f32": out["products_f32"]}
            for what in ("cosine_least", "cosine_mean") if members else figures:
                if what in figures:
                    run.value(f"{verb}, int8: {what}", name, figures[what])


def quality(run):
    program = os.path.join(ROOT, run.args.build, "tests", "bench_embed")
    for name in ("fidelity",) if run.args.table else ("fidelity", "outliers", "retrieval"):
        out = run.call(name, [run.args.python, os.path.join(HERE, name + ".py"), program, *(["--ours"] if run.args.table else [])], timed=False)
        for what, subject, value in out["values"] if out else []:
            run.value(what, subject, value)


def memory(run):
    for model, folder in (("minilm int8", MINILM), ("qwen3 int8", made("qwen3-quantised"))):
        out = run.call(f"memory {model}", [run.args.python, os.path.join(HERE, "memory.py"), os.path.join(ROOT, run.args.build, "tests", "bench_embed"), folder,
                                           "--threads", str(run.args.threads)], timed=False)
        if out:
            run.put("memory", [{"engine": model, **m} for m in out["memory"]])
            for what, subject, value in out["values"]:
                run.value(what, model, value)


def machine():
    cpu = {}
    with open("/proc/cpuinfo") as f:
        for line in f:
            key, _, value = line.partition(":")
            cpu.setdefault(key.strip(), value.strip())
    flags = set(cpu.get("flags", "").split())
    with open("/proc/meminfo") as f:
        total = int(f.readline().split()[1])
    return {"cpu": cpu.get("model name", platform.machine()), "cores": len(os.sched_getaffinity(0)), "memory_gib": round(total / 2**20, 1),
            "isa": [i for i in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8") if i in flags], "system": platform.platform()}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--python", required=True)
    p.add_argument("--build", default="build")
    p.add_argument("--out")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--long", action="store_true", help="20,000 texts through ours too")
    p.add_argument("--table", action="store_true", help="only the rows of floors that depend on the instruction set: ten minutes")
    p.add_argument("--under", default="", help="a command that runs each step that is timed, such as one that stops all else")
    p.add_argument("--only", default="", help="steps whose name holds this")
    p.add_argument("--skip", default="", help="but not those whose name holds one of these words")
    p.add_argument("--seconds", type=float, help="timed calls of a row end then (5; quick: 1.5)")
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args()
    args.skip, args.under = args.skip.split(",") if args.skip else [], args.under.split()
    args.seconds = args.seconds or (1.5 if args.quick else 5)
    args.python = os.path.abspath(args.python)
    isa = os.environ.get("AKIEMBED_ISA", "")
    args.out = os.path.abspath(args.out or os.path.join(HERE, "results", "tmp" if args.quick or args.only or args.table and not isa else isa))
    run = Run(args)
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    load = os.getloadavg()[0]
    all_of_them = engines()
    rows(run, all_of_them)
    processes(run, all_of_them)
    if not args.table:
        tokenising(run)
    if not args.quick:
        kernels(run)
        real_models(run)
        quality(run)
    if not args.quick and not args.table:
        memory(run)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    about = {"date": date, "commit": commit, "threads": args.threads, "isa": run.isa, "peers": "held to AVX2" if run.held else "as they are", "kind": "table" if args.table else "quick" if args.quick else "full", "seconds": round(time.monotonic() - run.begin),
             "load_before": round(load, 2), "machine": machine(), "versions": run.versions, "failed": run.failed}
    with open(os.path.join(args.out, "run.json"), "w") as f:
        json.dump(about, f, indent=1)
        f.write("\n")
    run.say(f"ran on {run.isa}, peers {about['peers']}")
    run.say(f"done: {args.out}" + (f"; failed: {', '.join(run.failed)}" if run.failed else ""))
    return bool(run.failed)


if __name__ == "__main__":
    sys.exit(main())
