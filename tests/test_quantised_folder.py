#!/usr/bin/env python3
"""A reader of quantised folders, written from docs/quantised-folder.md and nothing else, and what it finds in folders that the program
writes: each weight is the original's to within the rounding. Standard Python only.

    test_quantised_folder.py PROGRAM CHECKPOINTS     CHECKPOINTS: the folder that make_checkpoints.py wrote
"""
import array
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM, CHECKPOINTS = sys.argv[1:3]


def tensors(folder):
    """name -> (dtype, shape, bytes) of a folder's weights at the top; and each file's metadata."""
    out, metadata = {}, []
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".safetensors"):
            continue
        with open(os.path.join(folder, name), "rb") as f:
            raw = f.read()
        size = struct.unpack("<Q", raw[:8])[0]
        header = json.loads(raw[8:8 + size])
        metadata.append((header.pop("__metadata__"), 8 + size))
        for key, t in header.items():
            begin, end = t["data_offsets"]
            out[key] = (t["dtype"], t["shape"], raw[8 + size + begin:8 + size + end], 8 + size + begin)
    return out, metadata


def floats(tensor):
    dtype, _, raw = tensor[:3]
    if dtype == "BF16":
        raw, dtype = b"".join(b"\0\0" + raw[i:i + 2] for i in range(0, len(raw), 2)), "F32"
    return array.array("f", struct.unpack("<%d%s" % (len(raw) // (4 if dtype == "F32" else 2), "f" if dtype == "F32" else "e"), raw))


def shape_of_rotation(k):
    block = 1
    while block < 128 and k % (2 * block) == 0:
        block *= 2
    cross = 1
    while cross < block and k % (32 * cross) == 0:
        cross *= 2
    near = block // cross
    distances = [k // cross << i for i in range(cross.bit_length() - 1)] + [1 << i for i in range(near.bit_length() - 1)]
    return block, distances


def rotate(row):
    block, distances = shape_of_rotation(len(row))
    row = list(row)
    for d in distances:
        for i in range(len(row)):
            if i // d % 2 == 0:
                row[i], row[i + d] = row[i] + row[i + d], row[i] - row[i + d]
    return [x / math.sqrt(block) for x in row]


def products(config):
    """NAME -> names of the linear layers that it holds."""
    layers, out = config["num_hidden_layers"], {}
    for i in range(layers):
        if config["model_type"] == "qwen3":
            q, k, v = ("layers.%d.self_attn.%s_proj" % (i, p) for p in "qkv")
            gate, up = ("layers.%d.mlp.%s_proj" % (i, p) for p in ("gate", "up"))
            alone = ["layers.%d.self_attn.o_proj" % i, "layers.%d.mlp.down_proj" % i]
            out[gate] = [gate, up]
        else:
            q, k, v = ("encoder.layer.%d.attention.self.%s" % (i, p) for p in ("query", "key", "value"))
            alone = ["encoder.layer.%d.%s.dense" % (i, p) for p in ("attention.output", "intermediate", "output")]
        if i < layers - 1:
            out[q] = [q, k, v]
        else:
            out[q], out[k] = [q], [k, v]
        out.update({name: [name] for name in alone})
    return out


class Folder(unittest.TestCase):
    has_outliers = False
    f32 = []        # products that stayed f32

    def check(self, source):
        with tempfile.TemporaryDirectory(prefix="akiembed-test-") as work:
            out = os.path.join(work, "out")
            subprocess.run([PROGRAM, "quantize", "-q", "--by-weights", source, out], check=True)
            self.check_files(source, out)
            self.check_weights(source, out)

    def check_files(self, source, out):
        for where, _, names in os.walk(out):
            for name in names:
                path = os.path.join(where, name)
                inside = os.path.relpath(path, out)
                if inside in ("SHA256SUMS", "model.safetensors"):
                    continue
                with open(path, "rb") as a, open(os.path.join(source, inside), "rb") as b:
                    ours, theirs = a.read(), b.read()
                if inside == "config.json":
                    self.config = json.loads(ours)
                    self.quantization = self.config.pop("quantization_config")
                    ours, theirs = self.config, json.loads(theirs)
                self.assertEqual(ours, theirs, inside)
        bits = self.quantization.pop("bits")
        self.assertEqual(self.quantization, {"quant_method": "akiembed", "format": "rotated-w8a8-3"})
        self.assertIn(bits, (7, 8))
        self.limit = {8: 127, 7: 63}[bits]

    def check_weights(self, source, out):
        found, metadata = tensors(out)
        original, _ = tensors(source)
        prefix = next(k for k in original if k.endswith(("word_embeddings.weight", "embed_tokens.weight")))
        prefix = prefix[:prefix.index("embed")]
        self.assertEqual([m for m, _ in metadata], [{"format": "rotated-w8a8-3"}])
        self.assertEqual(metadata[0][1] % 64, 0)
        for name, (dtype, _, _, at) in found.items():
            self.assertEqual(at % {"F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I8": 64}[dtype], 0, name)
        expected = products(self.config)
        for name in self.f32:                              # all weights of such a product are there under their own names
            for part in expected.pop(name):
                self.assertIn(part + ".weight", found)
        self.assertEqual(sorted(n[:-5] for n in found if n.endswith(".int8")), sorted(expected))
        self.assertEqual(sorted(n[:-11] for n in found if n.endswith(".int8_scale")), sorted(expected))
        self.assertEqual(sorted(n[:-9] for n in found if n.endswith(".int8_sum")), sorted(expected))
        held = [prefix + part + ".weight" for parts in expected.values() for part in parts]
        for name in original:                              # all else is as it was
            if name not in held:
                self.assertEqual(found[name[len(prefix):]][:3], original[name][:3], name)
        outliers = [n for n in found if n.endswith((".int8_columns", ".int8_side", ".int8_rows", ".int8_exact"))]
        self.assertEqual(len(found), len(original) - len(held) + 3 * len(expected) + len(outliers))
        self.assertEqual(bool(outliers), self.has_outliers)
        for name, parts in expected.items():
            self.check_product(name, found[name + ".int8"], found[name + ".int8_scale"], found[name + ".int8_sum"], [original[prefix + p + ".weight"] for p in parts], found)

    def numbers(self, tensor, most, limit):
        """A list of columns or rows; none where there is no tensor."""
        if tensor is None:
            return []
        found = array.array("i", tensor[2]).tolist()
        self.assertEqual(tensor[:2], ("I32", [len(found)]))
        self.assertTrue(1 <= len(found) <= most and found == sorted(set(found)) and 0 <= found[0] and found[-1] < limit, found)
        return found

    def check_product(self, name, weights, scales, sums, originals, found):
        (dtype, (panels, fours, side, four), raw), scale, sum_of = weights[:3], floats(scales), array.array("i", sums[2])
        n, k = len(scale), originals[0][1][1]
        self.assertEqual((dtype, side, four, panels, fours), ("I8", 32, 4, (n + 31) // 32, (k + 3) // 4))
        self.assertEqual((scales[:2], sums[:2]), (("F32", [n]), ("I32", [n])))
        rows = []
        for original in originals:
            values = floats(original)
            self.assertEqual(original[1][1], k)
            rows += [values[i * k:i * k + k] for i in range(original[1][0])]
        self.assertEqual(len(rows), n)
        exact = self.numbers(found.get(name + ".int8_rows"), 48, n)
        self.assertEqual(found[name + ".int8_exact"][1] if exact else [0, k], [len(exact), k])
        for i, j in enumerate(exact):
            self.assertEqual(floats(found[name + ".int8_exact"])[i * k:i * k + k], rows[j], (name, j))
        columns = self.numbers(found.get(name + ".int8_columns"), 16, k)
        side_of = floats(found[name + ".int8_side"]) if columns else []
        self.assertEqual(found[name + ".int8_side"][1] if columns else [panels, 0, 32], [panels, len(columns), 32])
        for j, row in enumerate(rows):                     # what stays f32 is taken out of the row
            for c, i in enumerate(columns):
                self.assertEqual(side_of[(j // 32 * len(columns) + c) * 32 + j % 32], row[i], (name, j, i))
                row[i] = 0
        s8 = array.array("b", raw)
        for j, row in enumerate(rows):
            column = [s8[((j // 32 * fours + i // 4) * 32 + j % 32) * 4 + i % 4] for i in range(k)]
            self.assertEqual(sum(column), sum_of[j], (name, j))
            self.assertEqual(max(abs(x) for x in column), self.limit, (name, j))
            for x, y in zip(column, rotate(row)):          # rounded to the nearest
                self.assertLess(abs(x * scale[j] - y), 0.501 * scale[j], (name, j))
            back = rotate([x * scale[j] for x in column])  # and back: the error is no larger for being turned
            error = math.sqrt(sum((a - b) ** 2 for a, b in zip(back, row)))
            self.assertLess(error, 0.501 * scale[j] * math.sqrt(k), (name, j))
            # The test can tell: taken as they stand, the numbers are far off.
            wrong = math.sqrt(sum((x * scale[j] - b) ** 2 for x, b in zip(column, row)))
            self.assertGreater(wrong, 5 * error, (name, j))

    def test_shapes(self):
        """The table of the document."""
        for k, block, distances in [(48, 16, [1, 2, 4, 8]), (60, 4, [1, 2]), (96, 32, [48, 1, 2, 4, 8]), (384, 128, [48, 96, 192, 1, 2, 4, 8]),
                                    (1024, 128, [16, 32, 64, 128, 256, 512, 1]), (1536, 128, [48, 96, 192, 384, 768, 1, 2]), (7, 1, [])]:
            self.assertEqual(shape_of_rotation(k), (block, distances))

    def test_checkpoints(self):
        for name in ["bert", "bert-relu-mean", "bert-tanh-max-f16", "bert-dense", "roberta", "xlmr", "qwen3", "qwen3-bias"]:
            with self.subTest(name):
                self.check(os.path.join(CHECKPOINTS, name))

    def test_outliers(self):
        for name in ["bert-outliers", "qwen3-outliers"]:
            with self.subTest(name):
                self.has_outliers = True
                self.check(os.path.join(CHECKPOINTS, name))

    def test_products_in_f32(self):
        self.f32 = ["layers.%d.%s" % (i, part) for i in (0, 1) for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")]
        self.check(os.path.join(CHECKPOINTS, "qwen3-extreme"))

    def test_wide_rotations(self):
        make = os.path.join(os.path.dirname(os.path.abspath(__file__)), "make_checkpoints.py")
        for shape, sizes in [("bert", ["--hidden", "128", "--intermediate", "512"]), ("bert", ["--hidden", "32", "--intermediate", "384"])]:
            with tempfile.TemporaryDirectory(prefix="akiembed-test-") as work:
                subprocess.run([sys.executable, make, work + "/m", "--shape", shape, "--layers", "1", "--heads", "2", *sizes], check=True)
                self.check(work + "/m")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
