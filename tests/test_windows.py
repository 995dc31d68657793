#!/usr/bin/env python3
"""The program for Windows, in Wine, beside this machine's own: the same answers, with names that are not ASCII. Standard Python only.

    test_windows.py WINE PROGRAM OWN CHECKPOINTS [unittest arguments]
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

WINE, PROGRAM, OWN, CHECKPOINTS = sys.argv[1:5]
LINES = "größe\r\nzwei\n\x1a drei 日本\n".encode()        # ^Z ends a file that is read as text


class Windows(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="akiembed-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.model = self.path("mö del 日本")
        shutil.copytree(os.path.join(CHECKPOINTS, "bert"), self.model)
        with open(self.path("süß.txt"), "wb") as f:
            f.write(LINES)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_one(self, command, arguments, code, variables, **more):
        env = {k: v for k, v in os.environ.items() if k == "AKIEMBED_ISA" or not k.startswith(("AKIEMBED_", "HF_", "XDG_"))}
        # To files: Wine's own processes outlive the program and keep a pipe open.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            done = subprocess.run([*command, *arguments], stdout=out, stderr=err, timeout=300, cwd=self.folder, env={**env, **variables}, **more)
            for f in (out, err):
                f.seek(0)
            said = err.read().decode()
            self.assertEqual(done.returncode, code, (arguments, said))
            return out.read(), said

    def there(self, *arguments, code=0, stdin=subprocess.DEVNULL, **variables):
        return self.run_one([WINE, PROGRAM], arguments, code, variables, stdin=stdin)

    def same(self, *arguments, stdin=b"", **variables):
        """What both programs answer, where it is the same."""
        answers = []
        for command in ([WINE, PROGRAM], [OWN]):
            with tempfile.TemporaryFile() as f:
                f.write(stdin)
                f.seek(0)
                answers.append(self.run_one(command, arguments, 0, variables, stdin=f)[0])
        self.assertEqual(*answers)
        return answers[0]

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def test_vectors(self):
        for precision in "f32", "int8":
            for format in "jsonl", "csv", "npy", "raw":
                self.same("embed", "-q", "-m", "mö del 日本", "-f", "süß.txt", "--precision", precision, "--format", format)
        answer = self.same("embed", "-q", "-m", "mö del 日本", stdin=LINES)
        self.assertEqual(len(answer.splitlines()), 3)
        self.same("embed", "-q", "größe 日本", "a b", AKIEMBED_MODEL="mö del 日本")
        for _ in range(2):                         # tested, and remembered
            self.same("embed", "-q", "-m", "mö del 日本", "-f", "süß.txt", "--device", "portable", XDG_CACHE_HOME=self.folder)
        self.same("tokenize", "-m", "mö del 日本", "größe \U0001F600")
        self.same("embed", "-q", "-m", "mö del 日本", *["a b c " * 50] * 40)

    def test_files(self):
        arguments = ["embed", "-q", "-m", self.model, "-f", "süß.txt", "--format"]
        for format in "jsonl", "npy":
            self.there(*arguments, format, "-o", "größe." + format)
            self.assertEqual(self.read("größe." + format), self.same(*arguments, format))
        with open(self.path("teil ß.jsonl"), "wb") as f:
            f.write(self.read("größe.jsonl")[:-5])
        self.there(*arguments, "jsonl", "-o", "teil ß.jsonl", "--resume")
        self.assertEqual(self.read("teil ß.jsonl"), self.read("größe.jsonl"))
        self.assertIn("texts are read from", self.there(*arguments, "jsonl", "-o", "süß.txt", code=2)[1])
        self.assertEqual(self.read("süß.txt"), LINES)
        self.assertIn("nö.txt", self.there("embed", "-m", self.model, "-f", "nö.txt", code=6)[1])
        self.assertIn("nö", self.there("embed", "-m", "nö", "a", code=3)[1])

    def test_appending(self):
        arguments = ["embed", "-q", "-m", self.model, "--format", "npy", "a", "b"]
        wanted = self.same(*arguments)
        for how in "ab", "r+b":                    # as others' shells append, and as Windows' do
            with open(self.path("before"), "wb") as f:
                f.write(b"before")
            with open(self.path("before"), how) as f:
                f.seek(0, os.SEEK_END)
                self.assertEqual(subprocess.run([WINE, PROGRAM, *arguments], stdout=f, stderr=subprocess.DEVNULL, timeout=300).returncode, 0)
            self.assertEqual(self.read("before"), b"before" + wanted)

    def test_written_models(self):
        self.there("quantize", "--by-weights", self.model, "kö")
        self.there("embed", "-q", "-m", "kö", "--check-files", "a")
        self.assertIn("0 problems", self.there("check", "kö")[0].decode())
        wanted, _ = self.run_one([OWN], ["quantize", "--by-weights", self.model, "own"], 0, {})
        self.assertEqual(sorted(os.listdir(self.path("kö"))), sorted(os.listdir(self.path("own"))))
        for name in "SHA256SUMS", "model.safetensors":
            self.assertEqual(self.read("kö/" + name), self.read("own/" + name))
        self.there("export", self.model, "grö.onnx")
        os.rename(self.path("grö.onnx"), self.path("mö del 日本/grö.onnx"))
        self.same("embed", "-q", "-m", "mö del 日本/grö.onnx", "a b")
        self.assertEqual(self.there("embed", "-q", "-m", "mö del 日本\\grö.onnx", "a b")[0], self.same("embed", "-q", "-m", "mö del 日本/grö.onnx", "a b"))

    def test_cache(self):
        repository = self.path("hüb/models--org--name")
        shutil.copytree(self.model, repository + "/snapshots/0123abc")
        os.makedirs(repository + "/refs")
        with open(repository + "/refs/main", "w") as f:
            f.write("0123abc")
        variables = {"HF_HUB_CACHE": self.path("hüb")}
        self.same("embed", "-q", "-m", "org/name", "a", **variables)
        listed = json.loads(self.there("models", "--json", **variables)[0])
        self.assertEqual([(m["name"], m["embedder"]) for m in listed], [("org/name", True)])
        self.there("rm", "org/name", **variables)
        self.assertEqual(os.listdir(self.path("hüb")), [])

    def test_verbs_that_are_left_out(self):
        for verb in "serve", "pull":
            self.assertIn("no verb '%s'" % verb, self.there(verb, code=2)[1])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[5:]])
