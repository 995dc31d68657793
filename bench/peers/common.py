"""What the peers' programs share: command line, workload file, timing, the line of results.

    PEER.py --model PATH --workload FILE [--threads 2] [--seconds 6] [--rows a,b] [--variant NAME] [--once | --vectors OUT]

A workload file (bench/workloads.py) has rows: `row NAME TEXTS CALLS`, then TEXTS x CALLS lines `ids<TAB>text`; the ids are the
model's own, special tokens included, of exactly that text. A row of one call is repeated, any other's calls are each run once: no engine
sees a text twice. Engines that take ids are given ids, but for rows named in TEXT_ROWS, where tokenising is part of the work.
"""
import argparse
import array
import json
import os
import statistics
import sys
import time

TEXT_ROWS = ("title", "bulk512", "bulk128", "bulk64")
REPEATS = 4         # of a row with one call, the first of which warms up
FEWEST = 2          # timed calls, however long they take
LONG = 20           # seconds: a call that takes longer counts alone
FIRST = 8           # texts at most of the call that warms up


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("--model", required=True)
    p.add_argument("--workload", required=True)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seconds", type=float, default=6.0, help="timed calls of a row end then")
    p.add_argument("--rows", default="", help="only these, separated by commas")
    p.add_argument("--variant", default="")
    p.add_argument("--once", action="store_true", help="one vector, then exit; the caller takes the time")
    p.add_argument("--vectors", default="", help="write the vectors of every text, f32, one after the other; nothing is timed")
    a = p.parse_args()
    os.environ.update(OMP_NUM_THREADS=str(a.threads), TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error",
                      HF_HUB_DISABLE_PROGRESS_BARS="1")
    return a


class Row:
    def __init__(self, name, texts):
        self.name, self.texts, self.calls = name, texts, []     # calls: [(ids of each text, the texts)]


def read_workload(path, only=""):
    rows, wanted = [], set(filter(None, only.split(",")))
    with open(path, encoding="utf-8", newline="\n") as f:
        for line in f:
            _, name, texts, calls = line.split()
            row = Row(name, int(texts))
            for _ in range(int(calls)):
                lines = [f.readline().rstrip("\n").split("\t", 1) for _ in range(row.texts)]
                row.calls.append(([[int(i) for i in ids.split()] for ids, _ in lines], [text for _, text in lines]))
            if not wanted or name in wanted:
                rows.append(row)
    return rows


def run(row, embed, seconds, variant=""):
    """embed(ids, texts) -> vectors. One result: the fields of bench/results/rows.csv."""
    calls = row.calls if len(row.calls) > 1 else row.calls * REPEATS
    embed(*(part[:FIRST] for part in calls[0]))
    times, tokens, end = [], [], time.perf_counter() + seconds
    for ids, texts in calls[1:]:
        begin = time.perf_counter()
        out = embed(ids, texts)
        now = time.perf_counter()
        if len(out) != row.texts:
            sys.exit(f"{row.name}: {len(out)} vectors for {row.texts} texts")
        times.append(now - begin)
        tokens.append(sum(map(len, ids)))
        if now > end and (len(times) >= FEWEST or now - begin > LONG):
            break
    return {"row": row.name, "variant": variant, "texts": row.texts, "tokens": round(sum(tokens) / len(tokens), 1), "calls": len(times),
            "best_ms": round(min(times) * 1e3, 4), "median_ms": round(statistics.median(times) * 1e3, 4)}


def peak_mb():
    """VmHWM of this process: what it ever held, mapped files included."""
    with open("/proc/self/status") as f:
        return round(next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024, 1)


def finish(engine, version, results, open_s):
    print(json.dumps({"engine": engine, "version": version, "open_s": round(open_s, 4), "peak_mb": peak_mb(), "rows": results}), flush=True)


def write_vectors(args, embed):
    with open(args.vectors, "wb") as f:
        for row in read_workload(args.workload, args.rows):
            for ids, texts in row.calls:
                for vector in embed(ids, texts, row):
                    f.write(array.array("f", [float(x) for x in vector]).tobytes())


def main(engine, version, args, open_model, strategies=None):
    """open_model() -> embed(ids, texts, row). strategies(embed) -> {variant: embed}, for the bulk rows."""
    begin = time.perf_counter()
    embed = open_model()
    opened = time.perf_counter() - begin
    if args.once:
        rows = read_workload(args.workload, "once")
        embed(*rows[0].calls[0], rows[0])
        return finish(engine, version, [], opened)
    if args.vectors:
        return write_vectors(args, embed)
    results = []
    for row in read_workload(args.workload, args.rows):
        if row.name == "once":
            continue
        bulk = row.name.startswith("bulk") and strategies
        for variant, how in (strategies(embed) if bulk else {"": embed}).items():
            results.append(run(row, lambda ids, texts: how(ids, texts, row), args.seconds, variant))
    finish(engine, version, results, opened)


def by_length(ids, size):
    """Index lists of batches of this size, sorted by length."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    return [order[i:i + size] for i in range(0, len(order), size)]
