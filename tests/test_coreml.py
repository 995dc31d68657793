#!/usr/bin/env python3
"""Holds every node of the device form of every architecture against the table of operators in docs/coreml.md: what CoreML would not
take as it stands. Needs the packages of tests/requirements.txt.

    test_coreml.py PROGRAM CHECKPOINTS [unittest arguments]     CHECKPOINTS: the folder that make_checkpoints.py wrote
"""
import os
import re
import subprocess
import sys
import unittest

import onnx

import make_checkpoints
from test_cli import CHECKPOINTS, Case

HERE = os.path.dirname(os.path.abspath(__file__))
MOST_DIMENSION, MOST_RANK = 16384, 5
FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}


def operators():
    """operator: the inputs that must be constants."""
    with open(os.path.join(HERE, "..", "docs", "coreml.md"), encoding="utf-8") as f:
        section = f.read().split("## CoreML: operators")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([A-Z][A-Za-z]+) \| ([\d, ]*)\|", section, re.M)
    return {name: [int(i) for i in inputs.replace(",", " ").split()] for name, inputs in rows}


def faults(model):
    """What CoreML would not take: a line each."""
    table, out = operators(), []
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    constants = {t.name: t for t in model.graph.initializer}
    values = {v.name: v.type.tensor_type for v in [*model.graph.input, *model.graph.output, *model.graph.value_info]}

    def check(where, dims, kind):
        if len(dims) > MOST_RANK:
            out.append("%s: %d dimensions" % (where, len(dims)))
        if any(d <= 0 or d > MOST_DIMENSION for d in dims):
            out.append("%s: dimensions %s" % (where, list(dims)))
        if kind not in FLOATS:
            out.append("%s: type %s" % (where, onnx.TensorProto.DataType.Name(kind)))

    for node in model.graph.node:
        where = "%s (%s)" % (node.name, node.op_type)
        if node.domain or node.op_type not in table:
            out.append(where + ": not an operator of the table")
            continue
        fixed = table[node.op_type]
        out += ["%s: input %d is not a constant" % (where, i) for i in fixed if i < len(node.input) and node.input[i] not in constants]
        for i, name in enumerate(node.input):
            if name in constants:
                t = constants[name]
                # Shapes, axes and the like are integers, and constants.
                check("%s, input %d" % (where, i), t.dims or [1], onnx.TensorProto.FLOAT if i in fixed and t.data_type == onnx.TensorProto.INT64 else t.data_type)
            else:
                check("%s, input %d" % (where, i), [d.dim_value for d in values[name].shape.dim], values[name].elem_type)
        for name in node.output:
            if name not in values:
                out.append(where + ": its output's shape is not known")
            else:
                check(where, [d.dim_value for d in values[name].shape.dim], values[name].elem_type)
    return out


class CoreML(Case):
    def export(self, folder, batch, length, *more):
        out = self.path("out.onnx")
        self.ok("export", "-q", folder, out, "--for", "coreml", "--batch", str(batch), "--length", str(length), *more)
        return onnx.load(out)

    def ready(self, folder, shapes):
        for batch, length in shapes:
            for more in [(), ("--f16",)]:
                model = self.export(folder, batch, length, *more)
                self.assertGreater(len(model.graph.node), 10)
                found = faults(model)
                self.assertFalse(found, "%s, %d x %d %s: %d of %d nodes\n%s" % (os.path.basename(folder), batch, length, more, len(found), len(model.graph.node),
                                                                               "\n".join(found[:20])))

    def test_every_family(self):
        for o in make_checkpoints.CHECKPOINTS:
            self.ready(os.path.join(CHECKPOINTS, o["name"]), [(1, 16), (8, 32), (32, 16), (1, 60)])

    def test_real_sizes(self):
        """The widths of models that people use; a small vocabulary, which is not in the graph, and two layers stand for many."""
        for name, arguments, shapes in [
                ("all-MiniLM-L6-v2", "bert --hidden 384 --heads 12 --intermediate 1536 --positions 512", [(1, 16), (8, 256), (1, 512)]),
                ("e5-large", "xlm-roberta --hidden 1024 --heads 16 --intermediate 4096 --positions 512", [(8, 64), (8, 512)]),
                ("Qwen3-0.6B", "qwen3 --hidden 1024 --heads 16 --kv-heads 8 --head-dim 128 --intermediate 3072 --positions 32768", [(1, 16), (8, 128), (1, 8192)])]:
            folder = self.path(name)
            subprocess.run([sys.executable, os.path.join(HERE, "make_checkpoints.py"), folder, "--shape", *arguments.split(), "--layers", "2"], check=True)
            self.ready(folder, shapes)

    def test_the_check_bites(self):
        bert = os.path.join(CHECKPOINTS, "bert")
        model = self.export(bert, 1, 16)
        softmax = [i for i, n in enumerate(model.graph.node) if n.op_type == "Softmax"][0]
        reshape = [n for n in model.graph.node if n.op_type == "Reshape"][0].input[1]

        def computed(g):
            g.input.append(onnx.helper.make_tensor_value_info(reshape, onnx.TensorProto.INT64, [4]))
            g.initializer.remove([t for t in g.initializer if t.name == reshape][0])

        for change, wanted in [
                (lambda g: setattr(g.node[softmax], "op_type", "Hardmax"), "not an operator of the table"),
                (lambda g: g.input[0].type.tensor_type.shape.dim[0].ClearField("dim_value"), "dimensions"),
                (computed, "input 1 is not a constant")]:
            broken = onnx.ModelProto.FromString(model.SerializeToString())
            change(broken.graph)
            found = faults(broken)
            self.assertTrue(any(wanted in line for line in found), (wanted, found[:5]))
        # The client form has a vocabulary, integers and what CoreML lacks.
        out = self.path("client.onnx")
        self.ok("export", "-q", bert, out, "--batch", "1", "--length", "16")
        self.assertTrue(any("Gather" in line for line in faults(onnx.load(out))))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
