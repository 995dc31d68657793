#!/usr/bin/env python3
"""Tests of the verb check: each kind of fault that a model's folder can have is told, several at a time. Standard Python only.

    test_check.py PROGRAM CHECKPOINTS [unittest arguments]     CHECKPOINTS: the folder that make_checkpoints.py wrote
"""
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import unittest

import make_checkpoints
from test_cli import CHECKPOINTS, Case, environment, run

MODELS = [o["name"] for o in make_checkpoints.CHECKPOINTS]         # and not what older builds left there


class Safetensors:
    """A file of tensors, to be changed and written again."""

    def __init__(self, path):
        with open(path, "rb") as f:
            raw = f.read()
        self.path, size = path, struct.unpack("<Q", raw[:8])[0]
        header = json.loads(raw[8:8 + size])
        self.metadata = header.pop("__metadata__", None)
        self.tensors = {n: [t["dtype"], t["shape"], raw[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]]] for n, t in header.items()}

    def write(self):
        header, at = {"__metadata__": self.metadata} if self.metadata else {}, 0
        for name, (dtype, shape, data) in self.tensors.items():
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
            at += len(data)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(self.path, "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in self.tensors.values()))


class Check(Case):
    def copy(self, model="bert"):
        folder = self.path("model")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(os.path.join(CHECKPOINTS, model), folder)
        return folder

    def change(self, name, **keys):
        path = self.path("model/" + name)
        with open(path) as f:
            value = json.load(f)
        for key, new in keys.items():
            value[key] = new
            if new is None:
                del value[key]
        with open(path, "w") as f:
            json.dump(value, f)

    def weights(self, name="model.safetensors"):
        return Safetensors(self.path("model/" + name))

    def problems(self, *messages, path="model"):
        """All these problems are told, and no others."""
        done = run("check", "--json", self.path(path))
        self.assertEqual(done.returncode, 7 if messages else 0, done.err)
        report = json.loads(done.stdout)
        told = ["%s: %s" % (p["path"], p["message"]) for p in report["problems"]]
        self.assertEqual(len(told), len(messages), told)
        for message in messages:
            self.assertTrue(any(re.search(message, t) for t in told), (message, told))
        text = run("check", self.path(path))
        self.assertEqual(text.returncode, done.returncode)
        self.assertEqual(text.stdout.decode().count("\nproblem: "), len(messages))
        return report

    def test_whole_models(self):
        self.assertGreater(len(MODELS), 10)
        for model in MODELS:
            done = run("check", "--json", os.path.join(CHECKPOINTS, model))
            report = json.loads(done.stdout)
            self.assertEqual((done.returncode, report["problems"]), (0, []), model)
            read = {f["path"]: f["size"] for f in report["files"]}
            there = {os.path.relpath(os.path.join(w, n), os.path.join(CHECKPOINTS, model)) for w, _, names in os.walk(os.path.join(CHECKPOINTS, model)) for n in names}
            self.assertEqual(set(read), {n for n in there if n.endswith((".json", ".safetensors"))}, model)
            for name, size in read.items():
                self.assertEqual(size, os.path.getsize(os.path.join(CHECKPOINTS, model, name)))

    def test_tensors(self):
        self.copy()
        w = self.weights()
        del w.tensors["encoder.layer.0.output.dense.bias"]
        w.tensors["encoder.layer.1.output.dense.bias"][1] = [1, len(w.tensors["encoder.layer.1.output.dense.bias"][2]) // 4]
        w.tensors["embeddings.LayerNorm.weight"][0] = "I32"
        w.tensors["stranger.weight"] = ["F32", [2], b"\0" * 8]
        w.tensors["encoder.layer.9.output.dense.bias"] = ["F32", [1], b"\0" * 4]
        w.tensors["pooler.dense.bias"] = ["F32", [1], b"\0" * 4]
        w.write()
        report = self.problems("no tensor encoder.layer.0.output.dense.bias", "encoder.layer.1.output.dense.bias is ", "LayerNorm.weight is i32",
                               "stranger.weight is left over", "encoder.layer.9.output.dense.bias is of layer 9, but config.json has num_hidden_layers")
        self.assertTrue(any("pooler.dense.bias is not read" in n["message"] for n in report["notes"]))

    def test_headers(self):
        """Each bad entry of a header, in each file, and each tensor that an index names and no file has."""
        self.copy()
        path, lies = self.path("model/model.safetensors"), {"dtype": 7, "shape": [-1], "data_offsets": [0, 10 ** 9]}
        with open(path, "rb") as f:
            raw = f.read()
        size = struct.unpack("<Q", raw[:8])[0]
        header = json.loads(raw[8:8 + size])
        names = [n for n in header if n != "__metadata__"][2:5]
        for name, (key, value) in zip(names, lies.items()):
            header[name][key] = value
        text = json.dumps(header).encode()
        with open(path, "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text + raw[8 + size:])
        self.problems(*("^model.safetensors: tensor %s: %s" % (re.escape(n), what) for n, what in zip(names, ("dtype", "a dimension", "data_offsets"))))
        self.copy("bert-dense")
        for name in "2_Dense/model.safetensors", "3_Dense/model.safetensors":
            w = self.weights(name)
            for t in w.tensors.values():
                t[0] = "I32"
            w.write()
        self.problems(*("^%s.safetensors: tensor linear.%s is i32" % p for p in (("2_Dense/model", "weight"), ("2_Dense/model", "bias"), ("3_Dense/model", "weight"))))
        self.copy("qwen3-bias")
        for name in sorted(n for n in os.listdir(self.path("model")) if n.endswith(".safetensors")):
            w = self.weights(name)
            for tensor in list(w.tensors)[:2]:
                w.tensors["other." + tensor] = w.tensors.pop(tensor)
            w.write()
        self.problems(*["^model.safetensors.index.json: weight_map.* has no such tensor"] * 4)

    def test_many(self):
        """Of a file with very many problems, twenty are told, and how many more there are."""
        self.copy()
        w = self.weights()
        for t in w.tensors.values():
            t[2] = b"\xff" * len(t[2])
        w.write()
        self.change("config.json", hidden_act="swoosh")
        self.problems(*["numbers are NaN"] * 20, "^model.safetensors: and %d more problems$" % (len(w.tensors) - 20), "hidden_act")

    def test_numbers(self):
        for model, dtype, bad in [("bert", "F32", [b"\0\0\xc0\x7f", b"\0\0\x80\xff"]), ("bert-tanh-max-f16", "F16", [b"\0\x7e", b"\0\x7c"]),
                                  ("qwen3", "BF16", [b"\xc0\x7f", b"\x80\xff"])]:
            self.copy(model)
            w = self.weights()
            names = [n for n, t in w.tensors.items() if t[0] == dtype][:2]
            for name, value in zip(names, bad):
                data = w.tensors[name][2]
                size = len(value)
                w.tensors[name][2] = data[:3 * size] + value + data[4 * size:-size] + value
            w.write()
            self.problems(*("%s: 2 of \\d+ numbers are NaN or infinite, the first is number 3" % re.escape(n) for n in names))
        self.copy("bert-dense")
        w = self.weights("2_Dense/model.safetensors")
        w.tensors["linear.weight"][2] = b"\xff" * len(w.tensors["linear.weight"][2])
        w.write()
        self.problems("2_Dense/model.safetensors: .*linear.weight: (\\d+) of \\1 numbers")

    def test_configurations(self):
        self.copy()
        self.change("config.json", hidden_act="swoosh", num_hidden_layers="two", vocab_size=-1, position_embedding_type="relative_key")
        self.problems("config.json: hidden_act", "config.json: num_hidden_layers", "config.json: vocab_size", "config.json: position_embedding_type")
        self.copy()
        self.change("config.json", layer_norm_eps=7, pad_token_id=100000, max_position_embeddings=0)
        self.problems("layer_norm_eps", "pad_token_id", "max_position_embeddings")
        self.copy()
        self.change("config.json", max_position_embeddings=1000)
        self.problems("position_embeddings.weight is ")
        self.copy()
        self.change("1_Pooling/config.json", word_embedding_dimension=7)
        self.change("config_sentence_transformers.json", default_prompt_name="nobody")
        self.change("sentence_bert_config.json", max_seq_length="long")
        self.problems("1_Pooling/config.json: word_embedding_dimension.*not the hidden_size", "config_sentence_transformers.json: default_prompt_name",
                      "sentence_bert_config.json: max_seq_length")
        self.copy("bert-dense")
        self.change("1_Pooling/config.json", pooling_mode="median")
        self.change("2_Dense/config.json", activation_function="os.system")
        os.remove(self.path("model/3_Dense/config.json"))
        self.problems("1_Pooling/config.json: pooling_mode", "2_Dense/config.json: activation_function", "no 3_Dense/config.json")

    def test_json(self):
        self.copy()
        for name in ["config.json", "tokenizer_config.json", "modules.json"]:
            with open(self.path("model/" + name), "a") as f:
                f.write("}")
        self.problems("^config.json: ", "^tokenizer_config.json: ", "^modules.json: ")
        os.remove(self.path("model/config.json"))
        os.remove(self.path("model/tokenizer.json"))
        self.problems("no config.json", "^tokenizer.json: missing", "^tokenizer_config.json: ", "^modules.json: ")

    def test_tokenizer(self):
        self.copy()
        with open(self.path("model/tokenizer.json")) as f:
            tokenizer = json.load(f)
        tokenizer["model"]["vocab"]["toolarge"] = 5000
        with open(self.path("model/tokenizer.json"), "w") as f:
            json.dump(tokenizer, f)
        self.problems("tokenizer.json: ids up to 5000, but config.json has vocab_size")
        tokenizer["model"]["type"] = "Nothing"
        with open(self.path("model/tokenizer.json"), "w") as f:
            json.dump(tokenizer, f)
        self.problems("^tokenizer.json: .*model")

    def test_tokenizer_parts(self):
        """Each part of tokenizer.json that is faulty, and each faulty element of a list; nothing that only follows from another fault."""
        self.copy()
        with open(self.path("model/tokenizer.json")) as f:
            good = json.load(f)

        def written(change):
            tokenizer = json.loads(json.dumps(good))
            change(tokenizer)
            with open(self.path("model/tokenizer.json"), "w") as f:
                json.dump(tokenizer, f)

        def everything(t):
            t["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Strange"}, {"type": "Lowercase"}, {"type": "Sequence", "normalizers": [{"type": "Strip"}, 7]}]}
            t["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False}
            t["model"]["unk_token"] = 7
            for i in 0, 2:
                t["added_tokens"][i]["special"] = "yes"
            t["post_processor"]["single"][0] = {"SpecialToken": {"id": "[NONE]", "type_id": 0}}
            t["post_processor"]["pair"][1] = {}
            t["decoder"] = {"type": "Strange"}

        written(everything)
        self.problems("normalizer.normalizers.0..type: .Strange", "normalizer.normalizers.2..normalizers.0..strip_left", "normalizer.normalizers.2..normalizers.1.: expected an object",
                      "pre_tokenizer.pattern.Regex", "model.unk_token", "added_tokens.0..special", "added_tokens.2..special", "post_processor.single.0..SpecialToken.id",
                      "post_processor.pair.1.: expected", "decoder.type: .Strange")
        for part in "normalizer", "pre_tokenizer", "decoder", "post_processor":
            written(lambda t: t[part].update(type="Strange"))
            self.problems("^tokenizer.json: %s.type" % part)
        written(lambda t: (t["model"].update(type="Strange"), t.update(added_tokens=[])))        # which ids there are, nobody knows then
        self.problems("^tokenizer.json: model.type")
        written(lambda t: t["added_tokens"][0].update(id="one"))
        self.problems("^tokenizer.json: added_tokens.0..id")
        written(lambda t: t["post_processor"]["special_tokens"]["[CLS]"].update(ids=[10 ** 6]))
        self.problems("post_processor.single.0.*not in the vocabulary", "post_processor.pair.0.*not in the vocabulary")

    def test_cut_and_missing_weights(self):
        self.copy()
        with open(self.path("model/model.safetensors"), "r+b") as f:
            f.truncate(5000)
        self.problems("^model.safetensors: ")
        self.copy("qwen3-bias")
        shards = sorted(n for n in os.listdir(self.path("model")) if n.endswith(".safetensors"))
        for name in shards:
            with open(self.path("model/" + name), "r+b") as f:
                f.truncate(1000)
        self.problems(*("^%s: " % re.escape(n) for n in shards))
        os.remove(self.path("model/" + shards[0]))
        self.problems("%s: missing" % re.escape(shards[0]), "^%s: " % re.escape(shards[1]))

    def test_hashes(self):
        folder = self.copy()
        names = ["config.json", "model.safetensors", "gone.json"]
        with open(folder + "/SHA256SUMS", "w") as f:
            for name in names:
                data = self.read("model/" + name) if name != "gone.json" else b""
                f.write("%s  %s\n" % (hashlib.sha256(data + b"!" * (name == "model.safetensors")).hexdigest(), name))
        report = json.loads(run("check", "--json", folder).stdout)
        told = sorted((p["path"], p["message"]) for p in report["problems"])
        self.assertEqual(told[0][0], "1_Pooling/config.json")
        self.assertIn(("gone.json", "missing, but SHA256SUMS names it"), told)
        self.assertTrue(any(p == "model.safetensors" and "is not the file that SHA256SUMS names" in m for p, m in told))
        self.assertEqual({f["path"] for f in report["files"] if f["hash"] == "SHA256SUMS"} & {"config.json", "model.safetensors"}, {"config.json", "model.safetensors"})
        quantised = self.path("quantised")
        self.ok("quantize", "-q", "--by-weights", os.path.join(CHECKPOINTS, "bert"), quantised)
        self.assertTrue(all(f["hash"] for f in self.problems(path="quantised")["files"]))
        w = Safetensors(quantised + "/model.safetensors")
        del w.tensors[next(n for n in w.tensors if n.endswith(".int8"))]
        w.write()
        self.problems("no tensor .*int8", "model.safetensors: is not the file that SHA256SUMS names", path="quantised")

    def test_quantised(self):
        """Each product that is faulty, beside other faults."""
        quantised = self.path("quantised")
        self.ok("quantize", "-q", "--by-weights", os.path.join(CHECKPOINTS, "bert"), quantised)
        os.remove(quantised + "/SHA256SUMS")
        w = Safetensors(quantised + "/model.safetensors")
        products = [n[:-5] for n in w.tensors if n.endswith(".int8")]
        self.assertGreater(len(products), 4)
        del w.tensors[products[0] + ".int8"], w.tensors[products[1] + ".int8_scale"]
        w.tensors[products[2] + ".int8_sum"][1].append(1)
        scale = w.tensors[products[3] + ".int8_scale"]
        scale[2] = struct.pack("<f", -1) + scale[2][4:]
        norm = next(n for n in w.tensors if n.endswith("LayerNorm.bias"))
        del w.tensors[norm]
        w.write()
        self.problems("^: no tensor %s.int8:" % re.escape(products[0]), "no tensor %s.int8_scale:" % re.escape(products[1]), "tensor %s.int8_sum is not of the dtype" % re.escape(products[2]),
                      "tensor %s.int8_scale: scale 0 is no finite number of 0 or more" % re.escape(products[3]), "no tensor " + re.escape(norm), path="quantised")

    def test_sums(self):
        """Of a quantised folder every column is added up."""
        quantised = self.path("quantised")
        self.ok("quantize", "-q", "--by-weights", os.path.join(CHECKPOINTS, "bert"), quantised)
        os.remove(quantised + "/SHA256SUMS")
        self.problems(path="quantised")
        w = Safetensors(quantised + "/model.safetensors")
        first, second, third = [n[:-5] for n in w.tensors if n.endswith(".int8")][:3]
        sums = w.tensors[first + ".int8_sum"]
        n = sums[1][0]
        at = struct.unpack("<%di" % n, sums[2])
        sums[2] = struct.pack("<%di" % n, *(s + (i in (5, n - 1)) for i, s in enumerate(at)))
        sums = w.tensors[second + ".int8_sum"]
        sums[2] = struct.pack("<i", -2**31) + sums[2][4:]
        data = w.tensors[third + ".int8"]
        changed = bytearray(data[2])
        changed[0] ^= 1                     # input 0 of output 0
        data[2] = bytes(changed)
        w.write()
        self.problems("tensor %s.int8_sum: 2 of %d sums are not their columns', the first is number 5: %d, where its weights give %d" % (re.escape(first), n, at[5] + 1, at[5]),
                      "tensor %s.int8_sum: 1 of .* number 0: -2147483648, where" % re.escape(second), "tensor %s.int8_sum: sum 0 is -2147483648, which 48 weights of 8 bits cannot have" % re.escape(second),
                      "tensor %s.int8_sum: 1 of .* the first is number 0: " % re.escape(third), path="quantised")

    def test_hub_cache(self):
        """A file of the cache is a link to a blob, whose name is its hash: sha256, or git's sha1."""
        folder = self.copy()
        store = self.path("hub/models--org--name")
        blobs, snapshot = store + "/blobs", store + "/snapshots/" + "a" * 40
        os.makedirs(blobs)
        os.makedirs(store + "/refs")
        with open(store + "/refs/main", "w") as f:
            f.write("a" * 40)
        for where, _, files in os.walk(folder):
            for name in files:
                path = os.path.relpath(os.path.join(where, name), folder)
                data = self.read("model/" + path)
                blob = hashlib.sha256(data).hexdigest() if len(data) > 4096 else hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
                shutil.copy(os.path.join(where, name), os.path.join(blobs, blob))
                os.makedirs(os.path.dirname(os.path.join(snapshot, path)), exist_ok=True)
                os.symlink("../" * (2 + path.count("/")) + "blobs/" + blob, os.path.join(snapshot, path))
        env = environment(HF_HUB_CACHE=self.path("hub"))
        report = json.loads(self.ok("check", "--json", "org/name", env=env).stdout)
        self.assertEqual({f["hash"] for f in report["files"]}, {"the hub's"})
        for name in ["config.json", "model.safetensors"]:
            with open(os.path.realpath(os.path.join(snapshot, name)), "r+b") as f:
                f.seek(-40 if name != "config.json" else -1, 2)
                f.write(b" ")
            with open(os.path.realpath(os.path.join(snapshot, name)), "ab") as f:
                f.write(b"}" if name == "config.json" else b"")
        done = run("check", "--json", "org/name", env=env)
        self.assertEqual(done.returncode, 7)
        self.assertEqual({p["path"] for p in json.loads(done.stdout)["problems"] if "another hash" in p["message"]}, {"config.json", "model.safetensors"})

    def test_usage(self):
        self.fails(2, "one model", "check")
        self.fails(2, "one model", "check", "a", "b")
        self.fails(3, "/nonexistent", "check", "/nonexistent")
        self.fails(3, "pull org/none", "check", "org/none")
        os.mkdir(self.path("empty"))
        self.assertIn("no config.json", run("check", self.path("empty")).stdout.decode())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
