#!/usr/bin/env python3
"""What onnxruntime's matrix products alone reach on the models' shapes: MatMulInteger (u8 with zero point 128, s8) and Gemm in f32.

    gemm_peak.py [--threads 2] [--rows 1024] [--seconds 1]     rows: tokens of a run of ours

One JSON line: GOP/s of each product, and the tokens a second of a model whose every other part costs nothing. Of the Qwen3 shape's last
layer only q/k/v is needed for every token, so only that counts."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "peers")       # bench/tokenize.py would hide a standard module
import argparse
import json
import time

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

# model: (K, N, how often for a token)
SHAPES = {"minilm": [(384, 1152, 6), (384, 384, 6), (384, 1536, 6), (1536, 384, 6)],
          "qwen3": [(1024, 4096, 28), (2048, 1024, 27), (1024, 6144, 27), (3072, 1024, 27)]}


def session(k, n, integer, threads):
    random = np.random.default_rng(1)
    if integer:
        weights = [numpy_helper.from_array(random.integers(-127, 128, (k, n), dtype=np.int8), "b"),
                   numpy_helper.from_array(np.uint8(128), "za"), numpy_helper.from_array(np.int8(0), "zb")]
        node, a, c = helper.make_node("MatMulInteger", ["a", "b", "za", "zb"], ["c"]), TensorProto.UINT8, TensorProto.INT32
    else:
        weights = [numpy_helper.from_array(random.standard_normal((n, k)).astype(np.float32), "b")]
        node, a, c = helper.make_node("Gemm", ["a", "b"], ["c"], transB=1), TensorProto.FLOAT, TensorProto.FLOAT
    graph = helper.make_graph([node], "peak", [helper.make_tensor_value_info("a", a, ["m", k])],
                              [helper.make_tensor_value_info("c", c, ["m", n])], weights)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def best_seconds(k, n, integer, threads, rows, seconds):
    """The output stays in one place: a new one for each call would cost page faults that no product is to blame for."""
    s = session(k, n, integer, threads)
    random = np.random.default_rng(2)
    a = random.integers(0, 256, (rows, k), dtype=np.uint8) if integer else random.standard_normal((rows, k)).astype(np.float32)
    c = np.zeros((rows, n), np.int32 if integer else np.float32)
    io = s.io_binding()
    io.bind_cpu_input("a", a)
    io.bind_output("c", "cpu", 0, c.dtype, c.shape, c.ctypes.data)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        s.run_with_iobinding(io)
        best = min(best, time.perf_counter() - begin)
    return best


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rows", type=int, default=1024)
    p.add_argument("--seconds", type=float, default=1)
    a = p.parse_args()
    products, models = [], {}
    for model, shapes in SHAPES.items():
        for kind in ("int8", "f32"):
            total = operations = 0
            for k, n, times in shapes:
                s = best_seconds(k, n, kind == "int8", a.threads, a.rows, a.seconds)
                products.append({"model": model, "kind": kind, "rows": a.rows, "k": k, "n": n, "gops": round(2e-9 * a.rows * k * n / s, 1)})
                total += s * times
                operations += 2 * a.rows * k * n * times
            models[f"{model} {kind}"] = {"gops": round(operations * 1e-9 / total, 1), "tokens_per_s": round(a.rows / total, 1)}
    print(json.dumps({"engine": "onnxruntime products alone", "version": ort.__version__, "products": products, "models": models}))


main()
