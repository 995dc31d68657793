#!/usr/bin/env python3
"""Looks at what CoreML's provider is offered, in memory, after all that ONNX Runtime does to a graph: a provider under its name writes it down
(tool_offer.c, fake_provider.c). Every family, shape and precision is held against the rules of ONNX Runtime 1.23 to 1.32 (coreml_rules.py), and rebuilt as
an ML Program where coremltools is installed (coreml_program.py). Needs the packages of tests/requirements.txt.

    test_coreml.py PROGRAM CHECKPOINTS TOOL FAKE [unittest arguments]     CHECKPOINTS: the folder that make_checkpoints.py wrote
AKI_COREML=all: every shape of every family; else some. AKI_COREML_RUNTIME: the folder of another libonnxruntime for the tool.
"""
import os
import subprocess
import sys
import unittest

import numpy as np
import onnx

TOOL, FAKE = sys.argv.pop(3), sys.argv.pop(3)
import coreml_rules as rules  # noqa: E402
import make_checkpoints  # noqa: E402
from test_cli import CHECKPOINTS, Case, environment  # noqa: E402: it reads the arguments

try:
    import coreml_program
except ImportError:
    coreml_program = None

HERE = os.path.dirname(os.path.abspath(__file__))
ALL = os.environ.get("AKI_COREML") == "all"
SHAPES = [(batch, length) for batch in (1, 8, 32) for length in (16, 32, 64, 128, 256, 512, 1024, 2048)] if ALL else [(1, 16), (8, 128), (32, 2048)]
# The widths of models that people use; a small vocabulary, which is not in the graph, and two layers stand for many.
REAL = [("all-MiniLM-L6-v2", "bert --hidden 384 --heads 12 --intermediate 1536 --positions 512"),
        ("e5-large", "xlm-roberta --hidden 1024 --heads 16 --intermediate 4096 --positions 512"),
        ("Qwen3-0.6B", "qwen3 --hidden 1024 --heads 16 --kv-heads 8 --head-dim 128 --intermediate 3072 --positions 32768")]


def gemms(g):
    """Products whose weights the provider writes into the program's text (builders/impl/gemm_op_builder.cc: AddConstantImpl)."""
    return [n.name for n in g.nodes if n.op_type == "Gemm"]


def lost_epsilons(g):
    """Norms whose epsilon the provider makes 0 (builders/impl/normalization_op_builder.cc: MLFloat16)."""
    return [n.name for n in g.nodes if n.op_type == "LayerNormalization" and g.types[n.input[0]][0] == rules.F16
            and np.float16(g.attribute(n, "epsilon", 1e-5)) == 0]


class CoreML(Case):
    def offered(self, folder, precision, shapes):
        """The graphs, by shape; those of the last call are gone then."""
        out = self.path("offered")
        os.makedirs(out, exist_ok=True)
        env = environment(XDG_CACHE_HOME=self.path("cache"))
        if os.environ.get("AKI_COREML_RUNTIME"):
            env["LD_LIBRARY_PATH"] = os.environ["AKI_COREML_RUNTIME"]
        done = subprocess.run([TOOL, folder, precision, FAKE, out, *("%dx%d" % s for s in shapes)], env=env, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        graphs = {}
        for line, shape in zip(done.stdout.splitlines(), shapes):
            name, nodes, elsewhere, partitions, handed_over = line.split()
            graphs[shape] = g = rules.Graph(onnx.load(os.path.join(out, name + ".onnx")))
            # Node for node what was made: ONNX Runtime has added and taken nothing.
            self.assertEqual(len(g.nodes), int(handed_over), "%s %s %s" % (folder, precision, name))
            if int(nodes) >= 0:                 # 1.23 does not tell, and fails where it cannot take all
                self.assertEqual((int(nodes), int(elsewhere), int(partitions)), (int(handed_over), 0, 1), "%s %s %s" % (folder, precision, name))
            self.assertGreater(len(g.nodes), 10)
        self.assertEqual(len(graphs), len(shapes))
        return graphs

    def check(self, folder, shapes):
        for precision in ("f32", "f16"):
            for shape, g in self.offered(folder, precision, shapes).items():
                where = "%s, %d x %d, %s" % (os.path.basename(folder), *shape, precision)
                for minor in range(24 if precision == "f16" else 23, rules.NEWEST + 1):
                    found = rules.faults(g, minor)
                    self.assertFalse(found, "%s, ONNX Runtime 1.%d: %d of %d nodes\n%s" % (where, minor, len(found), len(g.nodes), "\n".join(found[:20])))
                self.assertEqual((gemms(g), lost_epsilons(g)), ([], []), where)
                kind = rules.F16 if precision == "f16" else rules.F32
                self.assertEqual({g.types[v.name][0] for v in [*g.model.graph.input, *g.model.graph.output]}, {kind}, where)
                self.assertNotIn("Cast", {n.op_type for n in g.nodes}, where)
                if coreml_program:
                    self.assertEqual(coreml_program.faults(g), [], where)

    def test_every_family(self):
        for o in make_checkpoints.CHECKPOINTS:
            self.check(os.path.join(CHECKPOINTS, o["name"]), SHAPES)

    def test_real_sizes(self):
        for name, arguments in REAL:
            folder = self.path(name)
            subprocess.run([sys.executable, os.path.join(HERE, "make_checkpoints.py"), folder, "--shape", *arguments.split(), "--layers", "2"], check=True)
            self.check(folder, SHAPES if ALL else [(8, 512)])

    def test_the_document_has_the_operators(self):
        with open(os.path.join(HERE, "..", "docs", "coreml.md"), encoding="utf-8") as f:
            section = f.read().split("## CoreML: operators")[1].split("\n## ")[0]
        for name in rules.OPERATORS:
            self.assertIn("\n| %s |" % name, section)

    def test_the_rules_bite(self):
        bert = os.path.join(CHECKPOINTS, "bert")
        model = {p: self.offered(bert, p, [(1, 16)])[(1, 16)].model for p in ("f32", "f16")}
        first = lambda m, op: next(n for n in m.graph.node if n.op_type == op)      # noqa: E731

        def computed(m):
            name = first(m, "Reshape").input[1]
            m.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, [4]))
            m.graph.initializer.remove(next(t for t in m.graph.initializer if t.name == name))

        def free(m):
            next(v for v in m.graph.input if v.name == "inputs_embeds").type.tensor_type.shape.dim[0].ClearField("dim_value")
            for v in m.graph.value_info:
                v.type.tensor_type.shape.dim[0].ClearField("dim_value")

        def cast_input(m):
            m.graph.node.insert(0, onnx.helper.make_node("Cast", ["mask"], ["mask_too"], to=rules.F32))

        def six(m):
            next(v for v in m.graph.value_info if v.name == first(m, "Softmax").input[0]).type.tensor_type.shape.dim.add().dim_value = 1
            next(v for v in m.graph.value_info if v.name == first(m, "Softmax").input[0]).type.tensor_type.shape.dim.add().dim_value = 1

        for precision, minor, change, wanted in [
                ("f32", 32, lambda m: setattr(first(m, "Softmax"), "op_type", "Hardmax"), "not an operator"),
                ("f32", 32, computed, "input 1 is not a constant"),
                ("f32", 32, free, "free dimensions"),
                ("f32", 32, six, "6 dimensions"),
                ("f32", 26, cast_input, "no node has made"),
                ("f16", 23, lambda m: None, "type FLOAT16")]:
            broken = onnx.ModelProto.FromString(model[precision].SerializeToString())
            change(broken)
            found = rules.faults(rules.Graph(broken), minor)
            self.assertTrue(any(wanted in line for line in found), (wanted, found[:5]))
        lost = onnx.ModelProto.FromString(model["f16"].SerializeToString())
        next(a for a in first(lost, "LayerNormalization").attribute if a.name == "epsilon").f = 1e-12
        self.assertEqual(len(lost_epsilons(rules.Graph(lost))), 1)
        first(lost, "MatMul").op_type = "Gemm"
        self.assertEqual(len(gemms(rules.Graph(lost))), 1)
        if coreml_program:
            wrong = onnx.ModelProto.FromString(model["f32"].SerializeToString())
            del first(wrong, "Transpose").attribute[0].ints[:]
            first(wrong, "Transpose").attribute[0].ints.extend([0, 1, 2, 3])
            self.assertTrue(coreml_program.faults(rules.Graph(wrong)))
        # The client form has a vocabulary, integers and what CoreML lacks.
        out = self.path("client.onnx")
        self.ok("export", "-q", bert, out, "--batch", "1", "--length", "16")
        self.assertTrue(any("Gather" in line for line in rules.faults(rules.Graph(onnx.shape_inference.infer_shapes(onnx.load(out))), 32)))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
