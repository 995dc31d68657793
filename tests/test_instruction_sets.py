#!/usr/bin/env python3
"""Every instruction set of this processor: vectors agree, int8 folders of one open in all, and a name that is none is an error. Standard Python only.

    test_instruction_sets.py PROGRAM CHECKPOINTS [unittest arguments]     CHECKPOINTS: the folder that make_checkpoints.py wrote

AKIEMBED_OTHER: a command that runs another machine's build (in qemu: docs/testing.md). MiniLM's vectors of its sets are compared with those of this one's.
"""
import itertools
import json
import math
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

from test_cli import CHECKPOINTS, PROGRAM, Case, environment, run

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MINILM = os.path.join(ROOT, "third_party/models/all-MiniLM-L6-v2")
DESCRIPTIONS = os.path.join(ROOT, "third_party/texts/descriptions.jsonl")
OTHER = shlex.split(os.environ.get("AKIEMBED_OTHER", ""))
with open(os.path.join(ROOT, "tests/data/texts.json"), encoding="utf-8") as f:
    TEXTS = [t for t in json.load(f) if t.strip() and "\0" not in t]
# The products are exact, so what differs between sets is the f32 between them (fused multiply-adds, polynomials, the order of sums), where it moves an
# activation over the edge of a rounding to u8; and avx512bf16 rounds the factors of attention. What was seen: docs/testing.md.
LEAST, LEAST_BF16, LEAST_ENGLISH, LEAST_F32 = 0.9995, 0.999, 0.9995, 0.999999


def verify_texts():
    """The built-in texts of `verify`, read as the C that they are."""
    with open(os.path.join(ROOT, "cli/judging/verify_texts.c"), encoding="utf-8") as f:
        literals = re.findall(r'(?:"(?:[^"\\]|\\.)*"\s*)+(?=,)', f.read().partition("verify_texts[] = {")[2])
    return ["".join(json.loads(part.replace("\\x", "\\u00")) for part in re.findall(r'"(?:[^"\\]|\\.)*"', one)) for one in literals]


def in_set(name, **more):
    return environment(AKIEMBED_ISA=name, **more)


def sets(command):
    done = subprocess.run([*command, "info"], env=in_set("none"), stderr=subprocess.PIPE)
    return re.search(r"have ([a-z0-9, ]+)$", done.stderr.decode().strip()).group(1).split(", ")


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


class InstructionSets(Case):
    @classmethod
    def setUpClass(cls):
        cls.sets = sets([PROGRAM])
        cls.others = ["other " + name for name in sets(OTHER)] if OTHER else []
        cls.work = tempfile.mkdtemp(prefix="akiembed-test-")
        cls.addClassCleanup(shutil.rmtree, cls.work)

    def vectors(self, name, model, texts):
        command = OTHER if name in self.others else [PROGRAM]
        done = subprocess.run([*command, "embed", "-q", "-m", model, "--format", "jsonl", "--jsonl"], input="".join(json.dumps(t) + "\n" for t in texts).encode(),
                              env=in_set(name.split()[-1]), capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        vectors = [json.loads(line)["embedding"] for line in done.stdout.splitlines()]
        self.assertEqual(len(vectors), len(texts))
        return vectors

    def agree(self, model, texts, least, least_bf16, others=[]):
        """Any two sets' vectors of a text."""
        found = {name: self.vectors(name, model, texts) for name in [*self.sets, *others]}
        for a, b in itertools.combinations(found, 2):
            cosines = list(map(cosine, found[a], found[b]))
            print("%s, %d texts: %s, %s: least %.5f, mean %.5f" % (os.path.basename(model), len(texts), a, b, min(cosines), sum(cosines) / len(cosines)), flush=True)
            self.assertGreaterEqual(min(cosines), least_bf16 if "avx512bf16" in (a, b) else least, (model, a, b))

    def quantised(self, model, name):
        """The folder that is written in that set."""
        out = os.path.join(self.work, os.path.basename(model) + "-" + name)
        if not os.path.exists(out):
            self.ok("quantize", "-q", "--by-weights", model, out, env=in_set(name))
        with open(os.path.join(out, "config.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["quantization_config"]["bits"], 8)
        return out

    def test_folders_of_each_open_in_all(self):
        for writer in self.sets:
            for model in ["bert", "qwen3-outliers"]:
                self.agree(self.quantised(os.path.join(CHECKPOINTS, model), writer), TEXTS, LEAST, LEAST_BF16)

    def test_f32(self):
        for model in ["bert", "qwen3", "roberta"]:
            self.agree(os.path.join(CHECKPOINTS, model), TEXTS, LEAST_F32, LEAST_F32)

    def test_weights_keep_their_type(self):
        """A folder of 16 bits, and the same numbers as f32, all or some: the same bits of vectors in every set; of half the memory."""
        for model, precision in itertools.product(["qwen3", "bert-tanh-max-f16"], ["f32", "int8"]):
            source = os.path.join(CHECKPOINTS, model)
            some, every = self.widened(source, "some", ["k_proj", ".key.", "layers.1."]), self.widened(source, "every", [""])
            embed, lines = ["embed", "-q", "--precision", precision, "--format", "raw", "--jsonl", "-m"], "".join(json.dumps(t) + "\n" for t in TEXTS).encode()
            for name in self.sets:
                wanted = self.ok(*embed, every, stdin=lines, env=in_set(name)).stdout
                for folder in source, some:
                    self.assertTrue(self.ok(*embed, folder, stdin=lines, env=in_set(name)).stdout == wanted, (folder, precision, name))
            if precision == "f32":
                sizes = [json.loads(self.ok("info", "--json", "-m", folder).stdout) for folder in (source, some, every)]
                self.assertEqual([s["weights_size"] == s["weights_16bit_size"] for s in sizes], [True, False, False])
                self.assertEqual((sizes[0]["weights_size"] * 2, 0), (sizes[2]["weights_size"], sizes[2]["weights_16bit_size"]))
                self.assertTrue(0 < sizes[1]["weights_16bit_size"] < sizes[0]["weights_size"] < sizes[1]["weights_size"], sizes[1])

    def widened(self, source, name, parts):
        """The same folder, where tensors whose names have one of the parts are f32."""
        out = os.path.join(self.work, os.path.basename(source) + "-" + name)
        if os.path.exists(out):
            return out
        shutil.copytree(source, out)
        with open(out + "/model.safetensors", "rb") as f:
            header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
            data, header = f.read(), {k: v for k, v in header.items() if k != "__metadata__"}
        numbers = b""
        for tensor, entry in header.items():
            raw = data[slice(*entry["data_offsets"])]
            if any(part in tensor for part in parts):
                count = len(raw) // 2
                values = struct.unpack("<%de" % count, raw) if entry["dtype"] == "F16" else [h << 16 for h in struct.unpack("<%dH" % count, raw)]
                raw, entry["dtype"] = struct.pack("<%d%s" % (count, "f" if entry["dtype"] == "F16" else "I"), *values), "F32"
            entry["data_offsets"] = [len(numbers), len(numbers) + len(raw)]
            numbers += raw
        with open(out + "/model.safetensors", "wb") as f:
            text = json.dumps(header).encode()
            f.write(struct.pack("<Q", len(text)) + text + numbers)
        return out

    def test_bf16(self):
        """Where the set has its products; elsewhere an error that names the set."""
        bert = os.path.join(CHECKPOINTS, "bert")
        for name in self.sets:
            if name == "avx512bf16":
                self.ok("verify", "-q", "-m", bert, "--precision", "bf16", env=in_set(name))
                self.fails(4, ["quantised to int8; bf16 needs the folder"], "embed", "-m", self.quantised(bert, name), "--precision", "bf16", "a", env=in_set(name))
            else:
                self.fails(5, ["bf16: no products of it here: the instruction set is " + name], "embed", "-m", bert, "--precision", "bf16", "a", env=in_set(name))

    def test_folders_of_7_bits(self):
        """Older versions wrote them; the number is all that tells them apart."""
        out = self.path("seven")
        shutil.copytree(self.quantised(os.path.join(CHECKPOINTS, "bert"), "baseline"), out)
        os.remove(out + "/SHA256SUMS")
        with open(out + "/config.json", encoding="utf-8") as f:
            text = f.read()
        with open(out + "/config.json", "w", encoding="utf-8") as f:
            f.write(text.replace('"bits": 8', '"bits": 7'))
        for name in self.sets:
            self.vectors(name, out, TEXTS)

    @unittest.skipUnless(os.path.exists(MINILM), "scripts/fetch minilm")
    def test_minilm(self):
        folder = self.quantised(MINILM, self.sets[0])
        self.agree(folder, TEXTS + verify_texts(), LEAST, LEAST_BF16, self.others)
        for name in self.sets:
            self.ok("verify", "-q", "-m", folder, "--against", MINILM, env=in_set(name))

    @unittest.skipUnless(os.path.exists(MINILM) and os.path.exists(DESCRIPTIONS), "scripts/fetch minilm, bench/corpus.py")
    def test_minilm_of_english(self):
        with open(DESCRIPTIONS, encoding="utf-8") as f:
            texts = [json.loads(line)["text"] for line in itertools.islice(f, 24 if OTHER else 256)]
        self.agree(self.quantised(MINILM, self.sets[0]), texts, LEAST_ENGLISH, LEAST_ENGLISH, self.others)

    def test_no_such_set(self):
        bert = os.path.join(CHECKPOINTS, "bert")
        for arguments in [("info",), ("embed", "a cat"), ("similarity", "a", "b"), ("verify", "-m", bert, "--precision", "int8", "--against", bert), ("bench",), ("serve", "--port", "0"),
                          ("quantize", bert, self.path("out"))]:
            self.fails(5, ["AKIEMBED_ISA: no instruction set .{1,2}sse9.{1,2} here; .* have .*baseline"], *arguments, env=in_set("sse9"))
        self.assertFalse(os.path.exists(self.path("out")))
        self.ok("embed", "a cat", env=in_set(""))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
