#!/usr/bin/env python3
"""Tests of the program's verbs quantize, verify and bench, and of --check-files and --prefix-cache. Standard Python only.

    test_cli_check.py PROGRAM CHECKPOINTS [unittest arguments]     CHECKPOINTS: the folder that make_checkpoints.py wrote
"""
import array
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

from test_cli import CHECKPOINTS, MODEL, Case, environment, joined, run, texts

QWEN3 = os.path.join(CHECKPOINTS, "qwen3")


def files(folder):
    return sorted(os.path.relpath(os.path.join(where, name), folder) for where, _, names in os.walk(folder) for name in names)


class Quantize(Case):
    def quantize(self, model, name="out", *arguments, **more):
        """By the weights, so that its vectors are those of int8."""
        self.ok("quantize", "--by-weights", model, self.path(name), *arguments, **more)
        return self.path(name)

    def test_vectors_are_those_of_int8(self):
        stdin = joined(texts(30))
        for model, f32 in [("bert", 0), ("bert-dense", 2), ("qwen3-bias", 0), ("xlmr", 0), ("qwen3-extreme", 8)]:
            source = os.path.join(CHECKPOINTS, model)
            out = self.quantize(source, model)
            self.assertEqual(self.ok("embed", "-m", out, "--format", "raw", stdin=stdin).stdout,
                             self.ok("embed", "-m", source, "--precision", "int8", "--format", "raw", stdin=stdin).stdout, model)
            for words in (["-m", out], ["-m", source, "--precision", "int8"]):
                info = json.loads(self.ok("info", "--json", *words).stdout)
                self.assertEqual((info["precision"], info["products_f32"]), ("int8", f32))
                said = self.ok("info", *words).stdout.decode()
                self.assertIn("int8, but f32 in %d of %d products, " % (f32, info["products"]) if f32 else "precision     int8\n", said)
            self.fails(4, "quantised to int8", "embed", "-m", out, "--precision", "f32", "a")

    def test_what_is_measured(self):
        """What int8 alone does not keep stays f32, and hardly more. Rows that are extreme, but are undone by nothing, and a model of random
        weights that is too small for int8; the texts of a file are held to the bound as well."""
        texts_file = self.path("texts", joined(texts(40)))
        for model in ["bert", "qwen3-extreme", "xlmr"]:
            source, out = os.path.join(CHECKPOINTS, model), self.path(model)
            said = self.ok("quantize", "-v", "--calibrate", texts_file, source, out).err
            trials = [(int(f32), float(least), bool(bad)) for f32, least, bad in re.findall(r"(\d+) of \d+ products in f32: least cosine ([0-9.]+)(, too little)?", said)]
            info = json.loads(self.ok("info", "--json", "-m", out).stdout)
            self.assertEqual(info["products_f32"], min(f32 for f32, _, bad in trials if not bad), said)
            self.assertTrue(all((least < 0.9991) == bad for _, least, bad in trials), said)
            self.assertIn("int8, but %s\n" % info["precision_note"] if info["products_f32"] else "int8 in all products\n", said)
            self.assertEqual(info["f32_share"] > 0.25, "int8 gains little here" in said, said)
            for words in ([], ["-f", texts_file]):
                checks = json.loads(run("verify", "--json", "-m", out, "--against", source, *words).stdout)["checks"]
                self.assertGreaterEqual([c["value"] for c in checks if c["name"] == "cosine_least"][0], 0.999)
        # Without measuring it has too little of int8 or of f32.
        by_weights = json.loads(self.ok("info", "--json", "-m", os.path.join(CHECKPOINTS, "bert"), "--precision", "int8").stdout)
        self.assertEqual((by_weights["products_f32"], by_weights["f32_share"], by_weights["precision_note"]), (0, 0, None))
        self.fails(2, "--by-weights", "quantize", "--by-weights", "--calibrate", texts_file, MODEL, self.path("again"))
        self.fails(4, "line 2", "quantize", "--calibrate", self.path("bad", b"a\n\xff\n"), MODEL, self.path("again"))
        self.fails(4, "no texts to measure with", "quantize", "--calibrate", self.path("none", b""), MODEL, self.path("again"))
        self.assertFalse(os.path.exists(self.path("again")))

    def test_a_wide_last_product(self):
        """One column of 1024 that is 57 times as large as the others leaves a sum that is never small; one of 2000 times does not."""
        make = os.path.join(os.path.dirname(os.path.abspath(__file__)), "make_checkpoints.py")
        source = self.path("wide")
        subprocess.run([sys.executable, make, source, "--shape", "bert", "--dtype", "F32", "--hidden", "48", "--layers", "3", "--heads", "4", "--intermediate", "1024"], check=True)
        path = os.path.join(source, "model.safetensors")
        with open(path, "rb") as f:
            plain = f.read()
        size, = struct.unpack("<Q", plain[:8])
        entry = json.loads(plain[8:8 + size])["encoder.layer.2.output.dense.weight"]
        begin, end = (8 + size + at for at in entry["data_offsets"])
        for factor, f32 in [(1, 0), (57, 0), (2000, 13)]:
            weight = array.array("f", plain[begin:end])
            for row in range(48):
                weight[1024 * row + 7] *= factor
            with open(path, "wb") as f:
                f.write(plain[:begin] + weight.tobytes() + plain[end:])
            info = json.loads(self.ok("info", "--json", "-m", source, "--precision", "int8").stdout)
            self.assertEqual((info["products"], info["products_f32"]), (13, f32), factor)

    def test_who_tells(self):
        """Every door says what of int8 is f32, and warns where it is much."""
        extreme = os.path.join(CHECKPOINTS, "qwen3-extreme")
        note, advice = "f32 in 8 of 13 products, 67 % of the arithmetic", "int8 gains little here"
        for words in (["info"], ["embed", "a cat"], ["bench", "--seconds", "1"]):
            self.assertRegex(run(*words, "-m", extreme, "--precision", "int8").err, "%s: %s.*quantise the folder" % (note, advice))
        self.assertIn("precision     int8, but %s\n" % note, self.ok("info", "-m", extreme, "--precision", "int8").stdout.decode())
        self.assertIn("int8, but %s on cpu" % note, self.ok("embed", "-v", "-m", extreme, "--precision", "int8", "a cat").err)
        self.assertIn("int8, but %s on cpu" % note, self.ok("bench", "--seconds", "1", "-m", extreme, "--precision", "int8").stdout.decode())
        self.assertNotIn(advice, self.ok("info", "-m", extreme).err)

    def test_threads_do_not_change_a_bit(self):
        stdin = joined(texts(60))
        for model in ["bert", "qwen3", "qwen3-extreme"]:
            for folder in [os.path.join(CHECKPOINTS, model), self.quantize(os.path.join(CHECKPOINTS, model), model)]:
                got = {self.ok("embed", "-m", folder, "--precision", "int8", "--format", "raw", "--threads", n, stdin=stdin).stdout for n in "124"}
                self.assertEqual(len(got), 1, folder)
                self.assertEqual(len(got.pop()), 60 * 48 * 4)

    def test_odd_sizes(self):
        """Products of an odd number of weights: what stands behind them in the file is still where its numbers may be read."""
        make = os.path.join(os.path.dirname(os.path.abspath(__file__)), "make_checkpoints.py")
        for shape, dtype, more in [("bert", "F32", []), ("bert", "F16", []), ("qwen3", "BF16", ["--kv-heads", "1", "--head-dim", "6"])]:
            source, out = self.path(shape + dtype), self.path(shape + dtype + "8")
            subprocess.run([sys.executable, make, source, "--shape", shape, "--dtype", dtype, "--hidden", "21", "--layers", "2", "--heads", "3",
                            "--intermediate", "33", *more], check=True)
            self.ok("quantize", "-q", "--by-weights", source, out)
            self.assertEqual(self.ok("embed", "-m", out, "a cat", "").stdout, self.ok("embed", "-m", source, "--precision", "int8", "a cat", "").stdout)

    def test_sums_and_what_is_told(self):
        done = run("quantize", MODEL, self.path("out"))
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        self.assertRegex(done.err, r"quantising .*: weights of [0-9.]+ KiB\n(.*\n)*.*out: weights of [0-9.]+ KiB, \d+ % of [0-9.]+ KiB, in [0-9.]+ s\n$")
        out = self.path("out")
        self.assertIn("model.safetensors", files(out))
        self.assertIn("tokenizer.json", files(out))
        wanted = ""
        for name in files(out):
            if name != "SHA256SUMS":
                wanted += "%s  %s\n" % (hashlib.sha256(self.read("out/" + name)).hexdigest(), name)
        self.assertEqual(self.read("out/SHA256SUMS").decode(), wanted)
        if shutil.which("sha256sum"):
            subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=out, check=True)
        self.assertEqual(self.ok("quantize", "-q", MODEL, self.path("quiet")).err, "")
        os.mkdir(self.path("empty"))
        self.ok("quantize", MODEL, self.path("empty"))
        self.assertEqual(self.read("empty/SHA256SUMS").decode(), wanted)

    def test_refusals(self):
        out = self.quantize(MODEL)
        before = {name: self.read("out/" + name) for name in files(out)}
        self.fails(4, "not empty", "quantize", MODEL, out)
        self.fails(4, "quantised already", "quantize", out, self.path("again"))
        self.assertEqual({name: self.read("out/" + name) for name in files(out)}, before)
        self.fails(4, "not a model's folder", "quantize", os.path.join(MODEL, "tokenizer.json"), self.path("again"))
        self.fails(3, "akiembed pull org/name", "quantize", "org/name", self.path("again"))
        self.fails(3, "no config.json", "quantize", self.folder, self.path("again"))
        self.fails(6, "cannot make the folder", "quantize", MODEL, self.path("no/such/folder"))
        self.fails(6, "cannot make the folder", "quantize", MODEL, self.path("file", b"is kept"))
        self.assertEqual(self.read("file"), b"is kept")
        self.fails(4, "SHA256SUMS", "quantize", "--check-files", MODEL, self.path("again"))
        for words in ([], [MODEL], [MODEL, self.path("a"), self.path("b")]):
            self.fails(2, "FOLDER and the OUT folder", "quantize", *words)
        self.assertEqual(sorted(os.listdir(self.folder)), ["file", "out"])

    def test_no_room(self):
        """At each length that a file may have, nothing is left behind of a failure."""
        sizes = sorted({os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(self.quantize(os.path.join(CHECKPOINTS, "bert-dense"), "whole"))
                        for name in names})
        for limit in [0, 100] + sizes:
            def small_files():
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

            for made in (False, True):
                out = self.path("out")
                if made:
                    os.mkdir(out)
                done = run("quantize", "--by-weights", os.path.join(CHECKPOINTS, "bert-dense"), out, preexec_fn=small_files)
                if limit == sizes[-1]:
                    self.assertEqual(done.returncode, 0, done.err)
                    self.assertEqual(files(out), files(self.path("whole")))
                    shutil.rmtree(out)
                    continue
                self.assertEqual(done.returncode, 6, (limit, done.err))
                self.assertRegex(done.err, "cannot write.*File too large")
                self.assertEqual(os.path.exists(out), made, (limit, done.err))
                if made:
                    self.assertEqual(os.listdir(out), [])
                    os.rmdir(out)

    @unittest.skipUnless(os.path.exists("/proc/self/status"), "needs /proc")
    def test_stopped(self):
        """A signal while it works: all is taken away. Nobody reads what it says at first, so it cannot end before the signal comes."""
        for model, made in [("bert-dense", False), ("bert-dense", True), ("qwen3", False)]:
            out = self.path("out")
            if made:
                os.mkdir(out)
            reader, writer = os.pipe()
            os.set_blocking(writer, False)
            try:
                while True:
                    os.write(writer, b"x")
            except BlockingIOError:
                os.set_blocking(writer, True)
            child = subprocess.Popen([sys.argv[1], "quantize", os.path.join(CHECKPOINTS, model), out], stderr=writer, env=environment())
            os.close(writer)
            while not self.minds_signals(child.pid):
                time.sleep(0.001)
            child.send_signal(signal.SIGTERM)
            while os.read(reader, 65536):
                pass
            os.close(reader)
            self.assertEqual(child.wait(60), 143)
            self.assertEqual(os.path.exists(out), made)
            if made:
                self.assertEqual(os.listdir(out), [])
                os.rmdir(out)

    def minds_signals(self, pid):
        with open("/proc/%d/status" % pid) as f:
            caught = [line for line in f if line.startswith("SigCgt:")][0]
        return int(caught.split()[1], 16) >> signal.SIGTERM - 1 & 1


class CheckFiles(Case):
    def setUp(self):
        super().setUp()
        self.model = self.path("model")
        shutil.copytree(MODEL, self.model)
        lines = ["%s  %s\n" % (hashlib.sha256(self.read("model/" + name)).hexdigest(), name) for name in files(self.model)]
        self.sums = "".join(lines)
        self.write("SHA256SUMS", self.sums.encode())

    def write(self, name, data):
        self.path("model/" + name, data)

    def checked(self, code, message, *arguments):
        return self.fails(code, message, "embed", "-m", self.model, "--check-files", *arguments, "a")

    def test_all_as_it_is(self):
        for arguments in (["embed", "a"], ["tokenize", "a"], ["similarity", "a", "b"], ["info"], ["verify"], ["bench", "--seconds", "1"]):
            done = self.ok(arguments[0], "-m", self.model, "--check-files", "-v", *arguments[1:])
            self.assertIn("are as", done.err)
        self.ok("quantize", "--check-files", self.model, self.path("out"))
        self.ok("embed", "--check-files", "-m", self.path("out"), "a")
        self.ok("verify", "--check-files", "-m", self.path("out"), "--against", self.model, "-f", self.path("few", b"a cat\ndogs\n"))
        self.ok("embed", "a", env=environment(AKIEMBED_CHECK_FILES="1", AKIEMBED_MODEL=self.model))
        self.write("README.md", b"may be there")
        for other in [re.sub("(?m)^.{64}", lambda m: m[0].upper(), self.sums), self.sums.replace("  ", " *"), self.sums.replace("  ", "  ./"),
                      self.sums.replace("\n", "\r\n"), self.sums.rstrip("\n")]:
            self.write("SHA256SUMS", other.encode())
            self.ok("embed", "-m", self.model, "--check-files", "a")

    def test_a_changed_file(self):
        for name in files(self.model):
            if name == "SHA256SUMS":
                continue
            before = self.read("model/" + name)
            self.write(name, before[:-1] + bytes([before[-1] ^ 1]))
            self.checked(7, [os.path.basename(name), "sha256"])
            os.remove(self.path("model/" + name))
            self.checked(7, [os.path.basename(name), "missing"])
            self.write(name, before)
        self.ok("embed", "-m", self.model, "--check-files", "a")

    def test_a_file_that_is_not_named(self):
        for name in ["model-00001-of-00001.safetensors", "modules2.json", "1_Pooling/other.json"]:
            self.write(name, b"{}")
            self.checked(7, ["does not name", os.path.basename(name)])
            os.remove(self.path("model/" + name))
        first = self.sums.splitlines(True)
        self.write("SHA256SUMS", "".join(first[1:]).encode())
        self.checked(7, "does not name")
        self.write("SHA256SUMS", b"")
        self.checked(7, "does not name")

    def test_what_is_no_file(self):
        """A pipe would be waited for, a device read, for ever; links of folders may lead in circles, or to the same one many times over."""
        os.mkfifo(self.path("model/pipe.bin"))
        os.symlink("/dev/zero", self.path("model/zero.bin"))
        for name in ["pipe.bin", "zero.bin", "1_Pooling"]:
            self.write("SHA256SUMS", (self.sums + "0" * 64 + "  %s\n" % name).encode())
            self.checked(7, [name, "not a regular file, but SHA256SUMS names it"])
        report = json.loads(run("check", "--json", self.model).stdout)
        self.assertIn(("1_Pooling", "not a regular file, but SHA256SUMS names it"), [(p["path"], p["message"]) for p in report["problems"]])
        os.remove(self.path("model/SHA256SUMS"))
        os.mkfifo(self.path("model/SHA256SUMS"))
        self.checked(6, "SHA256SUMS: not a regular file")

    def test_links_of_folders(self):
        for i in range(20):
            os.symlink(".", self.path("model/circle%02d" % i))
            os.symlink("..", self.path("model/1_Pooling/circle%02d" % i))
        self.ok("embed", "-m", self.model, "--check-files", "a")
        self.path("model/1_Pooling/more.json", b"{}")
        self.checked(7, "1_Pooling/more.json: is there, but SHA256SUMS does not name it")
        os.remove(self.path("model/1_Pooling/more.json"))
        # No circle, and 20 to the seventh files.
        for i in range(7):
            os.mkdir(self.path("model/deep%d" % i))
            for k in range(20):
                os.symlink("../deep%d" % (i + 1) if i < 6 else "../1_Pooling", self.path("model/deep%d/%02d" % (i, k)))
        self.checked(4, "more than 100000 files and folders")

    def test_no_sums(self):
        os.remove(self.path("model/SHA256SUMS"))
        self.checked(4, ["no such file", "sha256sum"])
        self.fails(4, "SHA256SUMS", "embed", "a", env=environment(AKIEMBED_CHECK_FILES="1"))
        self.fails(4, "needs the folder", "tokenize", "--check-files", "-m", os.path.join(MODEL, "tokenizer.json"), "a")
        os.mkdir(self.path("model/SHA256SUMS"))
        self.checked(6, "cannot read")

    def test_bad_sums(self):
        good = self.sums.splitlines()[0]
        for line in ["", "x", good[1:], good[:64], good[:65] + "x", good[:66], good[:64] + " ", "0" * 63 + "g  config.json", "0" * 64 + "  /etc/passwd",
                     "0" * 64 + "  ../x", "0" * 64 + "  a/../../x", "0" * 64 + "  ..", "0" * 65 + "  config.json"]:
            with self.subTest(line):
                self.write("SHA256SUMS", (good + "\n" + line + "\n").encode())
                self.checked(4, "line 2")
        self.write("SHA256SUMS", b"\xff\0\x01" * 1000)
        self.checked(4, "line 1")

    def test_odd_names(self):
        self.write("odd\nna\\me.json", b"{}")
        sum = hashlib.sha256(b"{}").hexdigest()
        self.checked(7, "does not name")
        self.write("SHA256SUMS", (self.sums + "\\%s  odd\\nna\\\\me.json\n" % sum).encode())
        self.ok("embed", "-m", self.model, "--check-files", "a")


class Verify(Case):
    def verify(self, *arguments, code=0):
        done = run("verify", "--json", *arguments)
        self.assertEqual(done.returncode, code, done.err)
        got = json.loads(done.stdout)
        checks = {c["name"]: c for c in got["checks"]}
        self.assertEqual(got["pass"], None if code == 8 else code == 0)
        return got, checks, done.err

    def test_f32(self):
        for model in ["bert", "qwen3", "xlmr", "roberta"]:
            got, checks, _ = self.verify("-m", os.path.join(CHECKPOINTS, model))
            self.assertEqual((got["precision"], got["device"], got["file"]), ("f32", "cpu", None))
            self.assertGreaterEqual(got["texts"], 64)
            self.assertEqual({n: c.get("least", c.get("most")) for n, c in checks.items() if "pass" in c},
                             {"without_vector": 0, "alone_difference": 2e-05, "reversed_difference": 2e-05, "cosine_least": 0.99999,
                              "centred_cosine_least": 0.99, "top10_overlap_mean": 0.98})
            self.assertGreater(checks["cosine_mean"]["value"], 0.999999)

    def test_int8(self):
        # Bounds are for real models: random weights of width 48 may miss those of int8, but never the bits.
        for model in ["bert", "qwen3", "xlmr"]:
            done = run("verify", "--json", "--precision", "int8", "-m", os.path.join(CHECKPOINTS, model))
            got = json.loads(done.stdout)
            checks = {c["name"]: c for c in got["checks"]}
            self.assertEqual(done.returncode, 0 if got["pass"] else 7)
            self.assertEqual(got["pass"], all(c["pass"] for c in checks.values() if "pass" in c))
            for name, bound in [("cosine_least", 0.999), ("centred_cosine_least", 0.99), ("top10_overlap_mean", 0.98)]:
                self.assertEqual(checks[name]["least"], bound)
                self.assertEqual(checks[name]["pass"], checks[name]["value"] >= bound)
            for name in ["alone_other_bits", "reversed_other_bits", "without_vector"]:
                self.assertEqual((checks[name]["value"], checks[name]["most"], checks[name]["pass"]), (0, 0, True))
            self.assertGreater(checks["cosine_mean"]["value"], 0.99)
            self.assertLess(checks["cosine_least"]["value"], 0.9999999)

    def test_a_quantised_folder(self):
        out, other = self.path("out"), os.path.join(CHECKPOINTS, "bert-sqrtlen")
        self.ok("quantize", "-q", "--by-weights", MODEL, out)
        got, checks, err = self.verify("-m", out, code=8)
        self.assertRegex(err, "not verified: .* compared with itself only; --against")
        self.assertEqual((got["against"], sorted(checks)), (None, ["alone_other_bits", "reversed_other_bits", "without_vector"]))
        self.assertIn("itself only", self.fails(8, "not verified", "verify", "-m", out).stdout.decode())
        done = run("verify", "--json", "-m", out, "--against", MODEL)
        got = json.loads(done.stdout)
        same = json.loads(run("verify", "--json", "--precision", "int8").stdout)
        self.assertEqual((got["against"], got["checks"]), (MODEL, same["checks"]))
        # Another model's vectors are found out.
        done = run("verify", "-m", out, "--against", other)
        self.assertEqual(done.returncode, 7)
        self.assertRegex(done.stdout.decode(), r"cosine, least +-?0\.\d+ +>= 0\.999 +FAIL")
        self.assertRegex(done.err, r"\d of \d checks failed")
        self.fails(4, "quantised itself", "verify", "-m", out, "--against", out)
        self.fails(4, "elements", "verify", "-m", out, "--against", os.path.join(CHECKPOINTS, "bert-relu-mean"))
        self.fails(3, "pull org/name", "verify", "-m", out, "--against", "org/name")

    def test_texts_of_a_file(self):
        got, checks, _ = self.verify("-f", self.path("t", joined(texts(29))))
        self.assertEqual((got["texts"], got["file"]), (29, self.path("t")))
        self.assertEqual((checks["top10_overlap_mean"]["value"], "pass" in checks["top10_overlap_mean"]), (None, False))
        self.assertIn("30 texts", checks["top10_overlap_mean"]["skipped"])
        self.assertRegex(self.ok("verify", "-f", self.path("t")).stdout.decode(), r"top-10 overlap, mean +- +not meaningful")
        _, checks, _ = self.verify("-f", self.path("t", joined(texts(30))))
        self.assertTrue(checks["top10_overlap_mean"]["pass"])
        _, checks, _ = self.verify("-f", self.path("t", b"one"))
        self.assertIsNone(checks["centred_cosine_least"]["value"])
        _, checks, _ = self.verify("-f", self.path("t", b"same\n" * 40))
        self.assertEqual(checks["centred_cosine_least"]["value"], 1)
        # What the tokenizer has no words for is told apart.
        _, checks, _ = self.verify("-f", self.path("t", "\nድመቷ\n".encode()))
        self.assertIn("knows none", checks["cosine_least"]["skipped"])
        self.assertGreater(checks["cosine_least_unknown"]["value"], 0.999)
        got, _, _ = self.verify("--jsonl", "-f", self.path("t", b'"a"\n{"text":"b"}\n'))
        self.assertEqual(got["texts"], 2)
        self.assertEqual(self.verify("-f", self.path("t", joined(texts(2500))))[0]["texts"], 2000)
        self.fails(4, "line 2, byte 1", "verify", "-f", self.path("t", b"a\n\xff\n"))
        self.fails(4, "no texts", "verify", "-f", self.path("t", b""))
        self.fails(6, "No such file", "verify", "-f", self.path("none"))
        self.fails(2, "--file", "verify", "a")
        self.fails(2, "--jsonl is for texts", "verify", "--jsonl")
        self.fails(5, "cuda", "verify", "--device", "cuda")

    def test_no_vector(self):
        """Weights that hold NaN: each text is named, and the exit status tells."""
        broken = self.path("broken")
        shutil.copytree(QWEN3, broken)
        with open(os.path.join(broken, "model.safetensors"), "r+b") as f:
            f.seek(-2, os.SEEK_END)             # the last norm's last weight
            f.write(b"\xff\xff")
        for precision in ["f32", "int8"]:
            done = self.fails(7, ["line 1: .*NaN", "line 2: .*NaN"], "verify", "-m", broken, "--precision", precision, "-f", self.path("t", b"a\nb\n"))
            self.assertRegex(done.stdout.decode(), r"texts without a vector +2 +<= 0 +FAIL")
        # Where only the reference has none, that is a failure, too.
        self.fails(7, "NaN", "verify", "-m", QWEN3, "--against", broken, "-f", self.path("t"))


class Bench(Case):
    ROWS = ["single_8", "single_32", "single_128", "query", "batch_8", "batch_32", "bulk"]

    def bench(self, *arguments):
        return json.loads(self.ok("bench", "--json", "--seconds", "1", *arguments).stdout)

    def test_rows(self):
        got = self.bench("-m", QWEN3, "--precision", "int8")
        self.assertEqual([r["name"] for r in got["rows"]], self.ROWS)
        self.assertEqual((got["precision"], got["device"], got["threads"]), ("int8", "cpu", 1))
        by_name = {r["name"]: r for r in got["rows"]}
        for r in got["rows"]:
            self.assertGreaterEqual(r["calls"], 3)
            self.assertTrue(0 < r["p50_ms"] <= r["p95_ms"] <= r["p99_ms"], r)
            self.assertGreater(r["texts_per_second"], 0)
            # Nothing is reused where that would not be what is measured, but where made-up texts happen to begin with the same letters.
            self.assertEqual(r["tokens_reused"] > r["tokens"] // 50, r["name"] == "query", r)
        for name, tokens in [("single_8", 8), ("single_32", 32), ("single_128", 128)]:
            self.assertTrue(0.8 * tokens <= by_name[name]["tokens"] / by_name[name]["texts"] <= tokens, by_name[name])
        self.assertEqual(by_name["batch_32"]["texts"], 32 * by_name["batch_32"]["calls"])
        self.assertTrue(0 < got["memory"]["before"] < got["memory"]["opened"] <= got["memory"]["peak"])
        off = self.bench("-m", QWEN3, "--prefix-cache", "0")
        self.assertEqual({r["tokens_reused"] for r in off["rows"]}, {0})

    def test_what_a_model_does_not_have(self):
        names = [r["name"] for r in self.bench()["rows"]]             # limit 64, no prompts
        self.assertEqual(names, [n for n in self.ROWS if n not in ("single_128", "query")])

    def test_texts(self):
        got = self.bench("--texts", self.path("t", joined(texts(40))))["rows"][-1]
        self.assertEqual((got["name"], got["texts"]), ("bulk", 40))
        text = self.ok("bench", "--seconds", "1").stdout.decode()
        for part in ["one text, 8 tokens", "p99", "memory: ", "ONNX Runtime"]:
            self.assertIn(part, text)
        self.fails(4, "no texts", "bench", "--seconds", "1", "--texts", self.path("t", b""))
        self.fails(6, "No such file", "bench", "--seconds", "1", "--texts", self.path("none"))
        self.fails(2, "--texts FILE", "bench", "a")
        self.fails(2, "1 to 86400", "bench", "--seconds", "0")

    def test_threads(self):
        got = self.bench("--threads", "1,3,2")
        self.assertEqual([p["threads"] for p in got["curve"]], [1, 3, 2])
        for p in got["curve"]:
            self.assertTrue(p["single_p50_ms"] > 0 and p["bulk_texts_per_second"] > 0, p)
        self.assertEqual(self.bench("--threads", "3")["threads"], 3)
        self.assertRegex(self.ok("bench", "--seconds", "1", "--threads", "2,1").stdout.decode(), r"\n +2 .* 1\.00 .* 1\.00\n +1 ")
        for wrong in ["0", "1025", "x", "1,", ",1", "1,,2", "1 2"]:
            self.fails(2, "1 to 1024", "bench", "--threads", wrong)
        self.fails(3, "no such folder", "bench", "--threads", "1,2", "-m", "/no/such", "--seconds", "1")


class PrefixCache(Case):
    def test_option(self):
        stdin = joined(texts(30))
        vectors = {}
        for mib in [None, "0", "1", "64"]:
            done = self.ok("embed", "-v", "-m", QWEN3, "--precision", "int8", "--kind", "query", "--format", "raw", "--max-batch-tokens", "200",
                           *([] if mib is None else ["--prefix-cache", mib]), stdin=stdin)
            vectors[mib] = done.stdout
            self.assertEqual("tokens were in the prefix cache" in done.err, mib != "0", (mib, done.err))
        self.assertEqual(len(set(vectors.values())), 1)
        off = self.ok("embed", "-v", "-m", QWEN3, "--kind", "query", "--max-batch-tokens", "200", stdin=stdin, env=environment(AKIEMBED_PREFIX_CACHE="0"))
        self.assertNotIn("prefix cache", off.err)
        self.assertIn("equal to another", self.ok("embed", "-v", "a", "a").err)
        self.fails(2, "--prefix-cache", "embed", "--prefix-cache", "-1", "a")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
