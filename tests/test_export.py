#!/usr/bin/env python3
"""Tests of `akiembed export`: the files pass onnx's checker, run in Python's onnxruntime (and OpenVINO, where it is installed), and
give the library's vectors. Needs the packages of tests/requirements.txt.

    test_export.py PROGRAM CHECKPOINTS [unittest arguments]     CHECKPOINTS: the folder that make_checkpoints.py wrote
"""
import json
import os
import shutil
import stat
import sys
import unittest

import numpy as np
import onnx
import onnxruntime

import make_checkpoints
from test_cli import CHECKPOINTS, Case, joined, texts

FAMILIES = [o["name"] for o in make_checkpoints.CHECKPOINTS if not o["name"].startswith("scores-")]
CLASSIFIERS = [o["name"] for o in make_checkpoints.CHECKPOINTS if o["name"].startswith("scores-")]
TEXTS = ["a cat", "", "The capital city of the river is not in the mountain house", "query", "日本語 and Ελληνικά, mixed: 1234 !?"] + texts(6)


def config_of(folder):
    with open(os.path.join(folder, "config.json")) as f:
        return json.load(f)


def openvino():
    try:
        import openvino
        return openvino
    except ImportError:
        return None


class Export(Case):
    def export(self, name, *arguments):
        out = self.path(name + ".onnx")
        self.ok("export", os.path.join(CHECKPOINTS, name) if not os.path.isdir(name) else name, out, *arguments)
        return out

    def model(self, path):
        """Checked as the project promises it."""
        onnx.checker.check_model(path, full_check=True)
        m = onnx.load(path)
        self.assertEqual((m.ir_version, [(o.domain, o.version) for o in m.opset_import]), (10, [("", 21)]))
        self.assertTrue(m.graph.name)
        self.assertEqual({n.domain for n in m.graph.node}, {""})
        onnx.shape_inference.infer_shapes(m, check_type=True, strict_mode=True, data_prop=True)
        return m

    def rows(self, name, *arguments):
        """The ids of TEXTS as the library computes them, and its vectors."""
        folder, stdin = os.path.join(CHECKPOINTS, name), joined(TEXTS)
        limit = json.loads(self.ok("info", "--json", "-m", folder).stdout)["max_tokens"]
        done = self.ok("tokenize", "-m", folder, "--prompt", "", "--max-tokens", str(limit), stdin=stdin)
        ids = [json.loads(line) for line in done.stdout.splitlines()]
        raw = self.ok("embed", "-m", folder, "--prompt", "", "--format", "raw", *arguments, stdin=stdin).stdout
        return ids, np.frombuffer(raw, np.float32).reshape(len(TEXTS), -1), folder

    def feeds(self, ids, folder, left=False):
        pad, length = config_of(folder).get("pad_token_id") or 0, max(map(len, ids))
        table = np.full((len(ids), length), pad, np.int64)
        mask = np.zeros((len(ids), length), np.int64)
        for i, row in enumerate(ids):
            at = length - len(row) if left else 0
            table[i, at:at + len(row)] = row
            mask[i, at:at + len(row)] = 1
        return {"input_ids": table, "attention_mask": mask}

    def near(self, got, wanted, f16, where):
        if f16:
            cosine = (got * wanted).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(wanted, axis=1)
            self.assertGreaterEqual(cosine.min(), 0.9999, where)
        else:
            scale = np.maximum(1, np.abs(wanted).max(1, keepdims=True))
            self.assertLessEqual(np.abs((got - wanted) / scale).max(), 2e-5, where)

    def run_onnxruntime(self, path, feeds):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        # As fastembed does it: feeds what the model asks for.
        return session.run(None, {i.name: feeds[i.name] for i in session.get_inputs()})[0]

    def run_openvino(self, path, feeds):
        core = openvino().Core()
        compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return compiled([feeds[i.get_any_name()] for i in compiled.inputs])[0]

    def test_every_family_pooled(self):
        runs = [self.run_onnxruntime] + ([self.run_openvino] if openvino() else [])
        for name in FAMILIES:
            ids, wanted, folder = self.rows(name)
            for f16 in (False, True):
                path = self.export(name, "--pooled", *["--f16"] * f16)
                model = self.model(path)
                self.assertEqual([o.name for o in model.graph.output], ["sentence_embedding"])
                types = {t.data_type for t in model.graph.initializer if len(t.dims) == 2}
                self.assertIn(onnx.TensorProto.FLOAT16 if f16 else onnx.TensorProto.FLOAT, types)
                for run in runs:
                    where = "%s %s %s" % (name, "f16" if f16 else "f32", run.__name__)
                    self.near(run(path, self.feeds(ids, folder)), wanted, f16, where)
                    if name.startswith(("qwen3", "roberta")):
                        self.near(run(path, self.feeds(ids, folder, True)), wanted, f16, where + ", padding in front")
                    # Alone: no padding at all.
                    alone = np.concatenate([run(path, self.feeds([row], folder)) for row in ids[:3]])
                    self.near(alone, wanted[:3], f16, where + ", alone")

    def pairs(self, name):
        """What sentence-transformers makes of pairs: feeds of the graph, padded, and logits."""
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "golden", name + ".json"), encoding="utf-8") as f:
            cases = json.load(f)["cases"]
        ids = [c["ids"] for c in cases]
        feeds = self.feeds(ids, os.path.join(CHECKPOINTS, name))
        types = np.zeros_like(feeds["input_ids"])
        for i, row in enumerate(ids):
            types[i, row.index(row[-1]) + 1:len(row)] = 1        # behind the first [SEP]
        return dict(feeds, token_type_ids=types), np.array([c["logits"] for c in cases], np.float32)

    def test_classifiers(self):
        for name in CLASSIFIERS:
            feeds, wanted = self.pairs(name)
            for f16 in (False, True):
                path = self.export(name, *["--f16"] * f16)
                model = self.model(path)
                self.assertEqual([(o.name, o.type.tensor_type.shape.dim[1].dim_value) for o in model.graph.output], [("logits", wanted.shape[1])])
                self.assertEqual("token_type_ids" in [i.name for i in model.graph.input], "scores-bert" in name)
                got = self.run_onnxruntime(path, feeds)
                self.assertLessEqual(np.abs(got - wanted).max(), 1e-2 if f16 else 2e-5, (name, f16))

    def test_classifier_files_open(self):
        """As a folder of its own, a classifier's file gives the scores of the folder that it was exported from."""
        pairs = joined(json.dumps(p) for p in [["one two", "two three four"], ["three", "what is this"], ["x", ""]])
        for name in CLASSIFIERS:
            folder = os.path.join(CHECKPOINTS, name)
            copy = shutil.copytree(folder, self.path("onnx-" + name), ignore=shutil.ignore_patterns("*.safetensors"))
            os.rename(self.export(name), os.path.join(copy, "model.onnx"))
            scores = lambda f: [{l["label"]: l["score"] for l in json.loads(line)["labels"]} for line in self.ok("classify", "-m", f, "--jsonl", stdin=pairs).stdout.splitlines()]
            for a, b in zip(scores(folder), scores(copy)):
                self.assertEqual(set(a), set(b))
                for label in a:
                    self.assertAlmostEqual(a[label], b[label], delta=1e-5)
            self.fails(4, "gives scores, no vectors", "embed", "-m", copy, "x")
        copy = self.path("onnx-scores-qwen3")
        with open(os.path.join(copy, "config.json")) as f:
            config = json.load(f)
        for change, message in [({"id2label": {"0": "a", "1": "b", "2": "c"}}, "3 labels, but the graph of model.onnx gives 1"), ({"architectures": ["Qwen3Model"]}, "ForSequenceClassification"),
                                ({"architectures": ["BertForTokenClassification"]}, "architectures")]:
            with open(os.path.join(copy, "config.json"), "w") as f:
                json.dump(dict(config, **change), f)
            self.fails(4, message, "classify", "-m", copy, "x")
            self.fails(4, message, "embed", "-m", copy, "x")

    def test_hidden_states(self):
        for name in FAMILIES:
            folder = os.path.join(CHECKPOINTS, name)
            path = self.export(name)
            self.assertEqual([o.name for o in self.model(path).graph.output], ["last_hidden_state"])
            done = self.ok("embed", "-m", folder, "--prompt", "", "--tokens", stdin=joined(TEXTS))
            rows = [json.loads(line) for line in done.stdout.splitlines()]
            hidden = self.run_onnxruntime(path, self.feeds([r["ids"] for r in rows], folder))
            for i, r in enumerate(rows):
                self.near(hidden[i, :len(r["ids"])], np.array(r["embeddings"], np.float32), False, name)

    def test_device_form(self):
        for name in FAMILIES:
            for arguments, batch, length in [((), 1, 128), (("--batch", "4", "--length", "24", "--f16"), 4, 24)]:
                if length > config_of(os.path.join(CHECKPOINTS, name))["max_position_embeddings"] - 2:
                    continue
                model = self.model(self.export(name, "--for", "coreml", *arguments))
                shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
                self.assertEqual(shapes["inputs_embeds"][:2], [batch, length])
                self.assertNotIn("input_ids", shapes)
                self.assertEqual([d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim], shapes["inputs_embeds"])

    def test_fixed_dimensions(self):
        name = "bert"
        ids, wanted, folder = self.rows(name)
        path = self.export(name, "--pooled", "--batch", "2", "--length", "40")
        model = self.model(path)
        self.assertEqual([[d.dim_value for d in i.type.tensor_type.shape.dim] for i in model.graph.input], [[2, 40], [2, 40]])
        feeds = self.feeds([ids[0], ids[2]], folder)
        feeds = {k: np.pad(v, ((0, 0), (0, 40 - v.shape[1]))) for k, v in feeds.items()}
        self.near(self.run_onnxruntime(path, feeds), wanted[[0, 2]], False, name)

    def test_refusals_leave_nothing(self):
        bert, out = os.path.join(CHECKPOINTS, "bert"), self.path("out.onnx")
        self.fails(2, "FOLDER and the OUT.onnx", "export", bert)
        self.fails(2, "--pooled", "export", bert, out, "--pooled", "--for", "coreml")
        self.fails(4, "length", "export", bert, out, "--length", "97")
        self.fails(3, "config.json", "export", self.folder, out)
        self.fails(6, "no/such", "export", bert, self.path("no/such/out.onnx"))
        self.ok("quantize", bert, self.path("int8"))
        self.fails(4, "quantised to int8", "export", self.path("int8"), out)
        self.assertFalse(os.path.exists(out))
        if os.path.exists("/dev/full"):
            self.fails(6, "cannot write", "export", bert, "/dev/full")
            self.assertTrue(stat.S_ISCHR(os.stat("/dev/full").st_mode))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
