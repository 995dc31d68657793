#!/usr/bin/env python3
"""Tests of folders whose network is an .onnx file, against Python's onnxruntime on the same files. Needs the packages of tests/requirements.txt.

    test_onnx.py PROGRAM CHECKPOINTS MODELS PAIRS [unittest arguments]     MODELS: third_party/models, whose real models are skipped where not
                                                                           fetched; PAIRS: the program of tool_pairs.c
"""
import json
import os
import random
import shutil
import subprocess
import sys
import unittest

MODELS, PAIRS = sys.argv.pop(3), sys.argv.pop(3)

import numpy as np
import onnx
import onnxruntime

import make_checkpoints
import make_onnx
from test_cli import CHECKPOINTS, Case, joined, run, texts

TEXTS = ["a cat", "", "The capital city of the river is not in the mountain house", "query", "日本語 and Ελληνικά, mixed: 1234 !?"] + texts(20)
FAMILIES = [o["name"] for o in make_checkpoints.CHECKPOINTS if o["name"] in ("bert", "bert-dense", "roberta", "xlmr", "qwen3")]


def sizes(folder, hidden=None):
    """What make_onnx needs to know of a folder, as its config.json says."""
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    return {"vocabulary": config["vocab_size"], "hidden": hidden or config["hidden_size"]}


class Onnx(Case):
    def without_weights(self, base="bert", config=True, sentence=True):
        """A checkpoint's folder without its weights."""
        out = self.path("folder%d" % len(os.listdir(self.folder)))
        os.makedirs(os.path.join(out, "onnx"))
        for root, _, names in os.walk(os.path.join(CHECKPOINTS, base)):
            part = os.path.relpath(root, os.path.join(CHECKPOINTS, base))
            for name in names:
                tokenizer = name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
                if (part == "." and name.endswith(".safetensors")) or not (tokenizer or (config if name == "config.json" and part == "." else sentence)):
                    continue
                os.makedirs(os.path.join(out, part), exist_ok=True)
                shutil.copy(os.path.join(root, name), os.path.join(out, part))
        return out

    def vectors(self, folder, *arguments, lines=TEXTS):
        raw = self.ok("embed", "-m", folder, "--prompt", "", "--format", "raw", *arguments, stdin=joined(lines)).stdout
        return np.frombuffer(raw, np.float32).reshape(len(lines), -1)

    def ids(self, folder, limit=None):
        limit = limit or json.loads(self.ok("info", "--json", "-m", folder).stdout)["max_tokens"]
        done = self.ok("tokenize", "-m", folder, "--prompt", "", "--max-tokens", str(limit), stdin=joined(TEXTS))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def hidden(self, path, ids, output, types=None):
        """Python's onnxruntime, one text at a time and without padding. types: of each text's tokens; None: all 0."""
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        out = []
        for row, row_types in zip(ids, types or [[0] * len(row) for row in ids]):
            feeds = {}
            for i in session.get_inputs():
                if i.name.startswith("past"):
                    feeds[i.name] = np.zeros((1, i.shape[1], 0, i.shape[3]), np.float16 if "float16" in i.type else np.float32)
                    continue
                values = {"input_ids": row, "attention_mask": [1] * len(row), "token_type_ids": row_types, "position_ids": range(len(row))}[i.name]
                feeds[i.name] = np.array([list(values)], np.int64 if "int64" in i.type else np.int32)
            out.append(session.run([output], feeds)[0][0].astype(np.float32))
        return out

    def hide_weights(self, path):
        """Makes constants of a file's initializers, which nobody counts."""
        model = onnx.load(path)
        for i, t in enumerate(model.graph.initializer):
            model.graph.node.insert(i, onnx.helper.make_node("Constant", [], [t.name], value=t))
        del model.graph.initializer[:]
        onnx.save(model, path)

    def near(self, got, wanted, most=2e-6, where=""):
        self.assertEqual(got.shape, wanted.shape)
        self.assertLessEqual(np.abs(got - wanted).max(), most * max(1, np.abs(wanted).max()), where)

    def unit(self, x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    # ------------------------------------------------------------ layouts

    def test_encoders(self):
        for i, options in enumerate([{}, {"integer": "int32"}, {"types": False, "output": "token_embeddings"}, {"output": "anything"}, {"dtype": "f16"}]):
            folder = self.without_weights(sentence=False)
            path = os.path.join(folder, "model.onnx")
            make_onnx.encoder(path, **sizes(folder), **options)
            rows = self.hidden(path, self.ids(folder), options.get("output", "last_hidden_state"))
            most = 2e-3 if "dtype" in options else 2e-6
            self.near(self.vectors(folder, "--no-normalize"), np.stack([r.mean(0) for r in rows]), most, options)
            self.near(self.vectors(folder, "--no-normalize", "--pooling", "cls"), np.stack([r[0] for r in rows]), most)
            self.near(self.vectors(folder, "--no-normalize", "--pooling", "max", "--max-batch-tokens", "40"), np.stack([r.max(0) for r in rows]), most)
            done = self.ok("embed", "-m", folder, "--prompt", "", "--tokens", stdin=joined(TEXTS))
            for line, row in zip(done.stdout.splitlines(), rows):
                self.near(np.array(json.loads(line)["embeddings"], np.float32), row, most)
            info = json.loads(self.ok("info", "--json", "-m", folder).stdout)
            self.assertEqual((info["dim"], info["precision"], info["device"]), (sizes(folder)["hidden"], "f16" if "dtype" in options else "f32", "cpu"))

    def test_token_types(self):
        """Pairs through aki_encode and aki_embed_rows: the file is fed what the template says of types, in rows of several lengths in a run, with few
        weights (texts of a length together) and where nobody can count them (padded)."""
        pairs = ["a cat\ttwo dogs", "the river\ta house in the city and what lies behind the mountain", "query", "house\tcat", "\ta"]
        for options in {}, {"integer": "int32"}, {"dtype": "f16"}:
            for light in True, False:
                folder = self.without_weights(sentence=False)
                path = os.path.join(folder, "model.onnx")
                make_onnx.encoder(path, **sizes(folder), **options)
                if not light:
                    self.hide_weights(path)
                done = subprocess.run([PAIRS, folder], input=joined(pairs), capture_output=True, check=True)
                got = [json.loads(line) for line in done.stdout.splitlines()]
                self.assertEqual([sorted(set(g["types"])) for g in got], [[0, 1], [0, 1], [0], [0, 1], [0, 1]])
                ids, types = [g["ids"] for g in got], [g["types"] for g in got]
                most = 2e-3 if "dtype" in options else 2e-6
                for name, rows in ("typed", self.hidden(path, ids, "last_hidden_state", types)), ("untyped", self.hidden(path, ids, "last_hidden_state")):
                    self.near(np.array([g[name] for g in got], np.float32), np.stack([r.mean(0) for r in rows]), most, (options, light, name))
                self.assertGreater(np.abs(np.array(got[0]["typed"]) - np.array(got[0]["untyped"])).max(), 1e-2)

    def test_decoder_of_57_inputs(self):
        for dtype, most in ("f32", 2e-6), ("f16", 2e-3):
            folder = self.without_weights("qwen3")
            path = os.path.join(folder, "onnx", "model.onnx")
            make_onnx.decoder(path, sizes(folder)["vocabulary"], size=sizes(folder)["hidden"] // 8, dtype=dtype)
            model = onnx.load(path)
            self.assertEqual((len(model.graph.input), len(model.graph.output)), (59, 57))
            rows = self.hidden(path, self.ids(folder), "last_hidden_state")
            self.near(self.vectors(folder, "--pooling", "last", "--no-normalize"), np.stack([r[-1] for r in rows]), most)

    def test_other_outputs(self):
        """Outputs of the same shapes before the one that counts, which is taken by its name; a pooler's vector beside rows is none."""
        folder = self.without_weights(sentence=False)
        path = os.path.join(folder, "model.onnx")
        for name in "last_hidden_state", "token_embeddings":
            for pooled in False, True:
                make_onnx.encoder(path, **sizes(folder), output=name, pooled=pooled)
                model = onnx.load(path)
                model.graph.node.append(onnx.helper.make_node("Neg", [name], ["attentions"]))
                model.graph.node.append(onnx.helper.make_node("ReduceMax", [name], ["pooler_output"], axes=[1], keepdims=0))
                for other, shape in ("attentions", ["batch", "tokens", "hidden"]), ("pooler_output", ["batch", "hidden"]):
                    model.graph.output.insert(0, onnx.helper.make_tensor_value_info(other, onnx.TensorProto.FLOAT, shape))
                onnx.save(model, path)
                rows = self.hidden(path, self.ids(folder), "sentence_embedding" if pooled else name)
                self.near(self.vectors(folder, "--no-normalize"), np.stack([r if pooled else r.mean(0) for r in rows]), where=(name, pooled))

    def test_threads(self):
        """Texts side by side, however many threads and however small the runs; without initializers (whose weights nobody can count) padded instead."""
        folder = self.without_weights(sentence=False)
        path = os.path.join(folder, "model.onnx")
        make_onnx.encoder(path, **sizes(folder))
        rows = self.hidden(path, self.ids(folder), "last_hidden_state")
        wanted = np.stack([r.mean(0) for r in rows])
        self.assertGreater(len(set(map(len, rows))), 5)
        for _ in range(2):
            info = json.loads(self.ok("info", "--json", "-m", folder).stdout)
            for options in ["1"], ["2"], ["3"], ["2", "--max-batch-tokens", "64"], ["3", "--max-batch-tokens", "200"]:
                self.near(self.vectors(folder, "--no-normalize", "--threads", *options), wanted, where=options)
            self.assertEqual(info["parameters"] > 0, bool(onnx.load(path).graph.initializer))
            self.hide_weights(path)

    def test_waste(self):
        """How texts are laid out: a quarter of a run is padding at most, and where weights are few none; a run holds no more than --max-batch-tokens."""
        folder = self.without_weights(config=False, sentence=False)
        words = "river house mountain city".split()
        lines = [" ".join(["river"] * (n - 1) + [words[i % 4]]) for i, n in enumerate([1, 2, 2, 3, 5, 8, 9, 10, 11, 12, 12, 12, 13, 20, 27, 28, 40, 41, 60, 61, 100, 130, 300])]
        random.Random(3).shuffle(lines)
        for light in False, True:
            make_onnx.witness(os.path.join(folder, "model.onnx"), light)
            for most in 64, 400, 16384:
                got = self.vectors(folder, "--no-normalize", "--max-batch-tokens", str(most), "--threads", "2", lines=lines)
                for rows, length, shown, texts in got:
                    self.assertEqual(rows, texts)
                    self.assertGreaterEqual(shown, rows * length * (1 if light else 0.75), got)
                    self.assertTrue(rows == 1 or rows * length <= most)
                self.assertGreater(got[:, 0].max(), 1)

    def test_fixed_rows_stay_together(self):
        """A file of fixed rows computes all of them in any run: a call of so many texts is one run, however many threads there are."""
        folder = self.without_weights(config=False, sentence=False)
        make_onnx.witness(os.path.join(folder, "model.onnx"), True, (4, 64))
        lines = [" ".join(["river"] * n) for n in (40, 41, 42, 43)]
        self.assertEqual(self.vectors(folder, "--no-normalize", "--threads", "2", lines=lines)[:, [0, 1, 3]].tolist(), [[4, 64, 4]] * 4)
        self.assertEqual(sorted(self.vectors(folder, "--no-normalize", "--threads", "2", lines=lines + ["house"])[:, 3]), [1, 4, 4, 4, 4])

    def test_pooled_by_the_graph(self):
        folder = self.without_weights(sentence=False)
        path = os.path.join(folder, "onnx", "model.onnx")
        make_onnx.encoder(path, **sizes(folder), output="token_embeddings", pooled=True)
        pooled, rows = (self.hidden(path, self.ids(folder), o) for o in ("sentence_embedding", "token_embeddings"))
        self.near(self.vectors(folder), np.stack(pooled))
        self.near(self.vectors(folder, "--dim", "8"), np.stack(pooled)[:, :8])
        self.near(self.vectors(folder, "--pooling", "cls"), np.stack([r[0] for r in rows]))
        for name in True, "vectors":            # alone, and of any name
            make_onnx.encoder(path, **sizes(folder), output=None, pooled=name)
            self.near(self.vectors(folder), np.stack(pooled))
            self.fails(4, "pools its vectors itself", "embed", "-m", folder, "--pooling", "cls", "a")
            self.fails(4, "none a token", "embed", "-m", folder, "--tokens", "a")

    def test_without_config(self):
        folder = self.without_weights(config=False, sentence=False)
        os.remove(os.path.join(folder, "tokenizer_config.json")) if os.path.exists(os.path.join(folder, "tokenizer_config.json")) else None
        path = os.path.join(folder, "model.onnx")
        for columns in None, "columns":         # where the graph does not say how many, a run does
            make_onnx.encoder(path, 2000, columns=columns)
            rows = self.hidden(path, self.ids(folder, 512), "last_hidden_state")
            self.near(self.vectors(folder), np.stack([r.mean(0) for r in rows]))
        self.assertEqual(json.loads(self.ok("info", "--json", "-m", folder).stdout)["max_tokens"], 512)

    def test_weights(self):
        """Precision and parameters by the types of most weights, whatever the file is called."""
        folder = self.without_weights(sentence=False)
        path = os.path.join(folder, "model.onnx")
        for kind, precision in (onnx.TensorProto.INT8, "int8"), (onnx.TensorProto.UINT8, "int8"), (onnx.TensorProto.FLOAT16, "f16"), (onnx.TensorProto.FLOAT, "f32"):
            make_onnx.encoder(path, **sizes(folder))
            model = onnx.load(path)
            before = sum(int(np.prod(t.dims)) for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT)
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((200, 1000), onnx.helper.tensor_dtype_to_np_dtype(kind)), "more"))
            model.graph.node.append(onnx.helper.make_node("Cast", ["more"], ["unused"], to=onnx.TensorProto.FLOAT))
            onnx.save(model, path)
            info = json.loads(self.ok("info", "--json", "-m", folder).stdout)
            self.assertEqual((info["precision"], info["parameters"]), (precision, before + 200000))
            self.ok("embed", "-m", folder, "--precision", precision, "a")

    def test_fixed_shapes(self):
        folder = self.without_weights(sentence=False)
        path = os.path.join(folder, "model.onnx")
        make_onnx.encoder(path, **sizes(folder))
        free = self.vectors(folder, "--max-tokens", "12")
        make_onnx.encoder(path, **sizes(folder), shape=(3, 12))
        self.near(self.vectors(folder), free)
        self.assertEqual(json.loads(self.ok("info", "--json", "-m", folder).stdout)["max_tokens"], 12)
        # Rows without a text are numbers too: what is computed over all of them, as quantisation does, stays as it is.
        model = onnx.load(path)
        model.graph.node[-1].output[0] = "rows"
        for op, *names in ("ReduceSum", "rows", "sum"), ("Mul", "sum", "zero", "nothing"), ("Add", "rows", "nothing", "last_hidden_state"):
            model.graph.node.append(onnx.helper.make_node(op, names[:-1], names[-1:]))
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0, np.float32), "zero"))
        onnx.save(model, path)
        self.near(self.vectors(folder, lines=TEXTS[:1]), free[:1])

    def test_pad_id(self):
        """A graph that sees what is padding by the ids, as RoBERTa's do, and not by the mask."""
        folder = self.without_weights("roberta", sentence=False)
        path = os.path.join(folder, "model.onnx")
        make_onnx.encoder(path, **sizes(folder))
        wanted = self.vectors(folder)
        make_onnx.encoder(path, **sizes(folder), shape=(4, 60))
        model = onnx.load(path)
        with open(os.path.join(folder, "config.json")) as f:
            pad = json.load(f)["pad_token_id"]
        self.assertGreater(pad, 0)
        for node in model.graph.node:
            node.input[:] = ["seen" if name == "attention_mask" else name for name in node.input]
        for i, (op, *names) in enumerate([("Equal", "input_ids", "pad", "is pad"), ("Not", "is pad", "is none"), ("Cast", "is none", "seen")]):
            model.graph.node.insert(i, onnx.helper.make_node(op, names[:-1], names[-1:], **({"to": onnx.TensorProto.INT64} if op == "Cast" else {})))
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(pad, np.int64), "pad"))
        onnx.save(model, path)
        self.near(self.vectors(folder), wanted)

    def test_external_data(self):
        folder = self.without_weights(sentence=False)
        path = os.path.join(folder, "onnx", "model.onnx")
        make_onnx.encoder(path, **sizes(folder))
        wanted = self.vectors(folder)
        make_onnx.encoder(path, **sizes(folder), save_as_external_data=True, location="model.onnx_data", size_threshold=100)
        self.near(self.vectors(folder), wanted, 0)
        names = [os.path.basename(f["path"]) for f in json.loads(self.ok("info", "--json", "-m", folder).stdout)["files"]]
        self.assertIn("model.onnx_data", names)
        os.remove(path + "_data")
        self.fails(4, "onnx/model.onnx", "embed", "-m", folder, "a")
        self.assertEqual(run("check", folder).returncode, 7)

    def test_no_regular_file(self):
        """Opening a FIFO waits for a writer: it is refused by name, as the file and as its data; so is what Git LFS leaves."""
        folder = self.without_weights(sentence=False)
        path = os.path.join(folder, "onnx", "model.onnx")
        data = path + "_data"
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 9\n" % 0

        def refused(code, file, what):
            self.fails(code, "%s.*%s" % (os.path.basename(file), what), "embed", "-m", folder, "a")
            self.fails(code, "%s.*%s" % (os.path.basename(file), what), "embed", "-m", path, "a") if os.path.isfile(path) else None
            told = json.loads(run("check", "--json", folder).stdout)["problems"]
            self.assertTrue(any(what in p["message"] and file.endswith(p["path"]) for p in told), told)

        for file, external in (path, False), (data, True):
            make_onnx.encoder(path, **sizes(folder), **(dict(save_as_external_data=True, location="model.onnx_data", size_threshold=100) if external else {}))
            os.remove(file)
            os.mkfifo(file)
            refused(6, file, "not a regular file")
            os.remove(file)
            os.mkdir(file)
            refused(6, file, "not a regular file")
            os.rmdir(file)
            os.symlink("nowhere", file)
            refused(6, file, "a link to a file that is missing")
            os.remove(file)
            with open(file, "wb") as f:
                f.write(pointer)
            refused(4, file, "Git LFS")
            os.remove(file)

    # ------------------------------------------------------------ which file

    def test_choice(self):
        folder = self.without_weights(sentence=False)
        files = {"onnx/model_a.onnx": 8, "onnx/model_b.onnx": 16, "model.onnx": 24, "onnx/model.onnx": 32}
        dim = lambda *more, model=folder, **env: json.loads(self.ok("info", "--json", "-m", model, *more, **env).stdout)["dim"]
        with open(os.path.join(folder, "config.json")) as f:
            config = json.load(f)
        words = config["vocab_size"]
        del config["hidden_size"]
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump(config, f)
        for count, (name, hidden) in enumerate(files.items(), 1):
            make_onnx.encoder(os.path.join(folder, name), words, hidden)
            if count == 2:
                self.fails(4, "onnx/model_a.onnx, onnx/model_b.onnx", "info", "-m", folder)
            else:
                self.assertEqual(dim(), hidden)
        for name, hidden in files.items():
            self.assertEqual(dim("--file", name), hidden)
            self.assertEqual(dim(model=os.path.join(folder, name)), hidden)
            self.assertEqual(self.vectors(folder, "--file", name).shape[1], hidden)
            self.assertEqual(len(json.loads(run("embed", "-m", folder, "a", env=self.environment(AKIEMBED_FILE=name)).stdout)["embedding"]), hidden)
        self.assertEqual(dim(model=os.path.join(folder, "onnx")), 32)
        self.fails(3, "onnx/none.onnx", "info", "-m", folder, "--file", "onnx/none.onnx")
        self.fails(4, "../model.onnx", "info", "-m", folder, "--file", "../model.onnx")
        self.assertEqual(self.ok("tokenize", "-m", os.path.join(folder, "model.onnx"), "a cat").stdout, self.ok("tokenize", "-m", folder, "a cat").stdout)

    def environment(self, **more):
        from test_cli import environment
        return environment(**more)

    def test_safetensors_first(self):
        folder = self.path("both")
        shutil.copytree(os.path.join(CHECKPOINTS, "bert"), folder)
        wanted = self.vectors(folder)
        make_onnx.encoder(os.path.join(folder, "model.onnx"), **sizes(folder))
        self.near(self.vectors(folder), wanted, 0)
        self.assertGreater(np.abs(self.vectors(folder, "--file", "model.onnx") - wanted).max(), 0.01)

    def test_export_reopened(self):
        for name in FAMILIES:
            wanted = self.vectors(os.path.join(CHECKPOINTS, name))
            for options in [], ["--pooled"], ["--f16"], ["--batch", "2", "--length", "48"]:
                folder = self.without_weights(name)
                self.ok("export", os.path.join(CHECKPOINTS, name), os.path.join(folder, "onnx", "model.onnx"), *options)
                limit = ["--max-tokens", "48"] if "--length" in options else []
                self.near(self.vectors(folder), self.vectors(os.path.join(CHECKPOINTS, name), *limit) if limit else wanted, 5e-3 if "--f16" in options else 2e-5, (name, options))

    def test_prompts_and_dimensions(self):
        """The same as the safetensors they were exported from."""
        for name in "xlmr", "qwen3":
            source, folder = os.path.join(CHECKPOINTS, name), self.without_weights(name)
            self.ok("export", source, os.path.join(folder, "model.onnx"))
            seen = []
            for options in ["--kind", "query"], ["--kind", "document"], ["--kind", "query", "--dim", "8"], ["--prompt", "so: "]:
                got, wanted = (np.frombuffer(self.ok("embed", "-m", m, "--format", "raw", *options, stdin=joined(TEXTS)).stdout, np.float32) for m in (folder, source))
                self.near(got, wanted, 2e-5, (name, options))
                self.assertFalse(any(np.array_equal(got, s) for s in seen), (name, options))
                seen.append(got)

    # ------------------------------------------------------------ refusals

    def test_refused_by_name(self):
        folder = self.without_weights(sentence=False)
        path = os.path.join(folder, "model.onnx")

        def changed(change):
            make_onnx.encoder(path, **sizes(folder))
            model = onnx.load(path)
            change(model.graph)
            onnx.save(model, path)

        def renamed(old, new):
            def change(graph):
                for i in list(graph.input) + list(graph.output):
                    if i.name == old:
                        i.name = new
                for n in graph.node:
                    for names in n.input, n.output:
                        names[:] = [new if x == old else x for x in names]
            return change

        past = lambda shape: lambda g: g.input.append(onnx.helper.make_tensor_value_info("past_key_values.0.key", onnx.TensorProto.FLOAT, shape))
        rows = [
            (renamed("token_type_ids", "pixel_values"), "pixel_values"),
            (renamed("input_ids", "inputs"), "inputs"),
            (lambda g: g.input.append(onnx.helper.make_tensor_value_info("use_cache_branch", onnx.TensorProto.BOOL, [1])), "use_cache_branch"),
            (past(["b", 2 ** 40, "p", 4]), "past_key_values.0.key"),
            (past(["b", "heads", "p", 4]), "past_key_values.0.key"),
            (past(["b", 2, 7, 4]), "past_key_values.0.key"),
            (past(["b", 2]), "past_key_values.0.key"),
        ]
        for change, name in rows:
            changed(change)
            done = self.fails(4, name, "embed", "-m", folder, "a")
            self.assertIn("model.onnx", done.err)
            self.assertEqual(run("check", folder).returncode, 7)
        for shape in (2 ** 60, 2 ** 60), (1, 2 ** 40):
            changed(lambda g: [i.type.CopyFrom(onnx.helper.make_tensor_type_proto(onnx.TensorProto.INT64, shape)) for i in g.input])
            self.fails(4, "model.onnx", "embed", "-m", folder, "a")
        make_onnx.encoder(path, **sizes(folder))
        self.fails(5, "cpu", "embed", "-m", folder, "--device", "portable", "a")
        self.fails(4, "f32", "embed", "-m", folder, "--precision", "int8", "a")
        make_onnx.encoder(path, 3, sizes(folder)["hidden"])               # a table that is smaller than config.json says
        self.fails(1, "model.onnx", "embed", "-m", folder, "the cat sat")

    def test_broken_files(self):
        folder = self.without_weights(sentence=False)
        path = os.path.join(folder, "onnx", "model.onnx")
        make_onnx.encoder(path, **sizes(folder), pooled=True)
        with open(path, "rb") as f:
            good = f.read()
        r = random.Random(5)
        broken = [b"", b"\n", b"not a model", b"\xff" * 1000, b"\x08" * 999] + [good[:len(good) * i // 12] for i in range(1, 12)]
        for data in broken:
            with open(path, "wb") as f:
                f.write(data)
            self.fails(4, "onnx/model.onnx", "embed", "-m", folder, "a")
        nodes = good.find(b"c0\x42") if b"c0\x42" in good else 2000
        for _ in range(60):                      # changed bytes, among the nodes: an error or vectors, never a crash
            data = bytearray(good)
            for _ in range(r.randint(1, 6)):
                data[r.randrange(min(nodes, 2000))] = r.randrange(256)
            with open(path, "wb") as f:
                f.write(data)
            done = run("embed", "-m", folder, "a", "b c d")
            self.assertIn(done.returncode, (0, 1, 3, 4), done.err)
        os.remove(path)
        os.mkdir(path)
        self.assertIn(run("embed", "-m", folder, "a").returncode, (3, 4, 6))

    # ------------------------------------------------------------ verbs

    def test_check_and_verify(self):
        folder = self.without_weights(sentence=False)
        make_onnx.encoder(os.path.join(folder, "onnx", "model.onnx"), **sizes(folder))
        done = self.ok("check", "--json", folder)
        report = json.loads(done.stdout)
        self.assertEqual(report["problems"], [])
        self.assertIn("input_ids, attention_mask, token_type_ids -> last_hidden_state, f32", [f["message"] for f in report["files"] if f["path"] == "onnx/model.onnx"])
        model = onnx.load(os.path.join(folder, "onnx", "model.onnx"))
        for name, kind, shape in ("pixels", onnx.TensorProto.FLOAT, [1]), ("position_ids", onnx.TensorProto.INT64, [1]), ("past_key_values.0.key", onnx.TensorProto.INT64, ["b", 2, "p", 4]):
            model.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, shape))
        onnx.save(model, os.path.join(folder, "onnx", "broken.onnx"))
        del model.graph.input[0:1]                              # input_ids
        for node in model.graph.node:
            node.input[:] = ["position_ids" if x == "input_ids" else x for x in node.input]
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
        model.graph.node.append(onnx.helper.make_node("Cast", ["last_hidden_state"], ["whole"], to=onnx.TensorProto.INT64))
        model.graph.output[0].name = "whole"
        onnx.save(model, os.path.join(folder, "onnx", "worse.onnx"))
        told = [p["path"] + ": " + p["message"] for p in json.loads(run("check", "--json", folder).stdout)["problems"]]
        ports = ["input pixels is not known", "input position_ids is of 1 dimensions", "input past_key_values.0.key is not"]
        wanted = [("broken", p) for p in ports] + [("worse", p) for p in ports + ["no input is called input_ids", "no output is"]]
        self.assertEqual(len(told), len(wanted), told)
        for name, message in wanted:
            self.assertTrue(any(t.startswith("onnx/%s.onnx: %s" % (name, message)) for t in told), (name, message, told))
        os.remove(os.path.join(folder, "onnx", "broken.onnx"))
        os.remove(os.path.join(folder, "onnx", "worse.onnx"))
        self.ok("verify", "-m", folder)
        self.ok("bench", "-m", folder, "--seconds", "1", "--json")

    def test_real_minilm_in_int8(self):
        file, base = os.path.join(MODELS, "minilm-int8-onnx", "model.onnx"), os.path.join(MODELS, "all-MiniLM-L6-v2")
        if not os.path.exists(file) or not os.path.exists(base):
            self.skipTest("scripts/fetch minilm-int8-onnx minilm")
        folder = self.path("minilm")
        shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.safetensors"))
        shutil.copy(file, folder)
        rows = self.hidden(file, self.ids(folder), "last_hidden_state")
        self.near(self.vectors(folder), self.unit(np.stack([r.mean(0) for r in rows])), 2e-6)
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "test_onnx.py")) as f:
            long = f.read()                      # above the limit of 256
        self.vectors(folder, lines=[long.replace("\n", " ")])


if __name__ == "__main__":
    unittest.main(argv=["test_onnx.py"] + sys.argv[3:])
