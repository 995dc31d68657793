#!/usr/bin/env python3
"""Writes small .onnx files in the layouts that exporters of embedding models use, with random weights. Needs onnx and numpy.

    make_onnx.py OUT.onnx encoder|decoder [KEY=VALUE…]     see the two functions below
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto as T, helper, numpy_helper

INTEGERS = {"int64": T.INT64, "int32": T.INT32}
FLOATS = {"f32": (T.FLOAT, np.float32), "f16": (T.FLOAT16, np.float16)}


class Graph:
    def __init__(self):
        self.nodes, self.inputs, self.outputs, self.constants = [], [], [], []
        self.random = np.random.default_rng(7)

    def node(self, op, *inputs, out=None, **attributes):
        out = out or "x%d" % len(self.nodes)
        self.nodes.append(helper.make_node(op, list(inputs), [out], **attributes))
        return out

    def input(self, name, kind, shape):
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name, kind, shape):
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def constant(self, values, dtype=None):
        name = "c%d" % len(self.constants)
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def table(self, rows, columns, dtype):
        return self.constant(self.random.uniform(-1, 1, (rows, columns)), dtype)

    def save(self, path, **more):
        graph = helper.make_graph(self.nodes, "small", self.inputs, self.outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tests")
        onnx.checker.check_model(model)
        onnx.save(model, path, **more)


def witness(path, light, shape=("batch", "tokens")):
    """Every row says how the run was laid out: texts and tokens of its shape, tokens that the mask shows, texts of which it shows more than one. light: it has a
    weight, so that few weights are seen."""
    g = Graph()
    ids, mask = (g.input(name, T.INT64, shape) for name in ("input_ids", "attention_mask"))
    x = g.node("Unsqueeze", g.node("Sub", *[g.node("Cast", ids, to=T.FLOAT)] * 2), g.constant([2], np.int64))
    shown = g.node("ReduceSum", mask, g.constant([1], np.int64), keepdims=0)
    texts = g.node("ReduceSum", g.node("Cast", g.node("Greater", shown, g.constant([1], np.int64)), to=T.INT64), keepdims=1)
    seen = g.node("Concat", g.node("Shape", ids), g.node("ReduceSum", shown, keepdims=1), texts, axis=0)
    numbers = g.node("Cast", seen, to=T.FLOAT)
    g.node("Add", x, g.node("Mul", numbers, g.constant([1], np.float32)) if light else numbers, out="last_hidden_state")
    g.output("last_hidden_state", T.FLOAT, [*shape, 4])
    g.save(path)


def encoder(path, vocabulary=300, hidden=32, integer="int64", dtype="f32", output="last_hidden_state", pooled=False, types=True, shape=("batch", "tokens"), columns=None, **more):
    """Each row is its token's, plus the mean of all rows that the mask shows. pooled: also (output None: only) sentence_embedding, that mean."""
    g, (kind, numpy) = Graph(), FLOATS[dtype]
    ids = g.input("input_ids", INTEGERS[integer], shape)
    mask = g.node("Unsqueeze", g.node("Cast", g.input("attention_mask", INTEGERS[integer], shape), to=kind), g.constant([2], np.int64))
    x = g.node("Gather", g.table(vocabulary, hidden, numpy), ids)
    if types:
        x = g.node("Add", x, g.node("Gather", g.table(2, hidden, numpy), g.input("token_type_ids", INTEGERS[integer], shape)))
    axis = g.constant([1], np.int64)
    sums = g.node("ReduceSum", g.node("Mul", x, mask), axis, keepdims=1)
    mean = g.node("Div", sums, g.node("ReduceSum", mask, axis, keepdims=1))
    columns = hidden if columns is None else columns
    if output:
        g.node("Add", x, mean, out=output)
        g.output(output, kind, [*shape, columns])
    if pooled:
        g.node("Squeeze", mean, axis, out=pooled if isinstance(pooled, str) else "sentence_embedding")
        g.output(pooled if isinstance(pooled, str) else "sentence_embedding", kind, [shape[0], columns])
    g.save(path, **more)


def decoder(path, vocabulary=300, layers=28, heads=8, size=4, dtype="f32", integer="int64", **more):
    """The inputs and outputs of onnx-community's Qwen3: input_ids, attention_mask, position_ids and a past of keys and values a layer; a row
    is the sum of the rows up to it, so that only the last one has seen the whole text."""
    g, (kind, numpy) = Graph(), FLOATS[dtype]
    hidden = heads * size
    ids, mask, positions = (g.input(name, INTEGERS[integer], ["batch_size", length]) for name, length in
                            (("input_ids", "sequence_length"), ("attention_mask", "total_sequence_length"), ("position_ids", "sequence_length")))
    x = g.node("Add", g.node("Gather", g.table(vocabulary, hidden, numpy), ids), g.node("Gather", g.table(512, hidden, numpy), positions))
    x = g.node("Mul", x, g.node("Unsqueeze", g.node("Cast", mask, to=kind), g.constant([2], np.int64)))
    x = g.node("Cast", x, to=T.FLOAT)
    x = g.node("Cast", g.node("CumSum", x, g.constant(1, np.int64)), to=kind)
    g.node("Identity", x, out="last_hidden_state")
    g.output("last_hidden_state", kind, ["batch_size", "sequence_length", hidden])
    rows = g.node("Transpose", g.node("Reshape", x, g.constant([0, 0, heads, size], np.int64)), perm=[0, 2, 1, 3])
    for i in range(layers):
        for part in "key", "value":
            past = g.input("past_key_values.%d.%s" % (i, part), kind, ["batch_size", heads, "past_sequence_length", size])
            g.node("Concat", past, rows, axis=2, out="present.%d.%s" % (i, part))
            g.output("present.%d.%s" % (i, part), kind, ["batch_size", heads, "total_sequence_length", size])
    g.save(path, **more)


if __name__ == "__main__":
    values = dict(a.split("=", 1) for a in sys.argv[3:])
    {"encoder": encoder, "decoder": decoder}[sys.argv[2]](sys.argv[1], **{k: int(v) if v.isdigit() else v for k, v in values.items()})
