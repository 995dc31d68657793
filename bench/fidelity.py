#!/usr/bin/env python3
"""MiniLM over 256 package descriptions: our int8 against our f32, beside weight-only int8 and W8A8 without rotation (numpy).

    fidelity.py BENCH_EMBED [--texts 256] [--ours]      one JSON line; --ours: without the emulations"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "peers")       # bench/tokenize.py would hide a standard module
sys.path.append(HERE)
import argparse
import json

import quality
import numpy as np
import tokenizers
from checkpoint import Checkpoint

MODEL = os.path.join(os.path.dirname(HERE), "third_party", "models", "all-MiniLM-L6-v2")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("--texts", type=int, default=256)
    p.add_argument("--ours", action="store_true")
    a = p.parse_args()
    t = tokenizers.Tokenizer.from_file(os.path.join(MODEL, "tokenizer.json"))
    t.no_padding()
    t.enable_truncation(256)
    with open(os.path.join(HERE, "..", "third_party", "bench", "workloads", "texts.txt"), encoding="utf-8") as f:
        texts = f.read().split("\n")[:a.texts]
    rows = [(t.encode(x).ids, x) for x in texts]
    f32 = quality.vectors(a.program, MODEL, rows, "f32", 384)
    checkpoint, values = Checkpoint(MODEL), quality.report("fidelity", "MiniLM int8, rotated (ours)", f32, quality.vectors(a.program, MODEL, rows, "int8", 384))
    for subject, kind in () if a.ours else (("weight-only int8 (numpy)", "weight"), ("W8A8 without rotation (numpy)", "w8a8"), ("f32 (numpy)", "f32")):
        model, some = quality.Bert(checkpoint, kind), rows if kind != "f32" else rows[:32]      # the last shows that numpy's are right
        values += quality.report("fidelity", "MiniLM " + subject, f32[:len(some)], np.stack([model(ids) for ids, _ in some]))
    print(json.dumps({"values": values}))


main()
