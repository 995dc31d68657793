#!/usr/bin/env python3
"""Tests of what the program makes of folders as people have them: what their files say against each other, what is missing, what stands elsewhere.
Standard Python only.

    test_folders.py PROGRAM CHECKPOINTS [unittest arguments]     CHECKPOINTS: the folder that make_checkpoints.py wrote

The expected sides and normalisers are those that transformers 5.24 gives its tokenizer for such files (AutoTokenizer, then truncation_side and
to_str()); ids and vectors are then compared with a folder that says the same in tokenizer.json alone.
"""
import json
import os
import shutil
import subprocess
import sys
import unittest

from test_cli import CHECKPOINTS, PROGRAM, Case, environment, rows, run

LONG = " ".join("word%d" % (i % 7) for i in range(90)) + " the cat sat on a warm mat"


class Folder(Case):
    def model(self, name="bert"):
        folder = self.path("model")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(os.path.join(CHECKPOINTS, name), folder)
        return folder

    def change(self, name, change):
        path = self.path("model/" + name)
        with open(path) as f:
            value = json.load(f)
        change(value)
        with open(path, "w") as f:
            json.dump(value, f)

    def vector(self, *options, text=LONG):
        done = self.ok("embed", "-m", self.path("model"), *options, text)
        return rows(done.stdout)[0]["embedding"], done.err

    def ids(self, text="A Cat \u00c4rger \u65e5\u672c"):
        return json.loads(self.ok("tokenize", "-m", self.path("model"), text).stdout)


class Truncation(Folder):
    def test_side(self):
        """tokenizer_config.json's truncation_side, else tokenizer.json's direction; --truncate wins over both."""
        truncation = {"direction": "Left", "max_length": 12, "strategy": "LongestFirst", "stride": 0}
        for name in "bert", "qwen3":
            for config, direction, left in (
                    (None, None, False), ("left", None, True), ("right", None, False), (None, "Left", True), (None, "Right", False), ("right", "Left", False), ("left", "Right", True)):
                self.model(name)
                right, _ = self.vector("--truncate", "right", "--max-tokens", "20")
                other, _ = self.vector("--truncate", "left", "--max-tokens", "20")
                self.assertNotEqual(right, other)
                self.change("tokenizer_config.json", lambda c: c.update(truncation_side=config) if config else None)
                self.change("tokenizer.json", lambda t: t.update(truncation=dict(truncation, direction=direction) if direction else None))
                got, err = self.vector("--max-tokens", "20")
                self.assertEqual(got, other if left else right, (name, config, direction))
                self.assertIn("on the left" if left else "on the right", err)
                self.assertEqual(self.vector("--truncate", "right", "--max-tokens", "20")[0], right)
                self.assertEqual(self.vector("--truncate", "left", "--max-tokens", "20")[0], other)
                info = json.loads(self.ok("info", "--json", "-m", self.path("model")).stdout)
                self.assertEqual(info["truncates_left"], left)
                # A tokenizer alone cuts as the model does.
                whole = self.ids(LONG)
                cut = json.loads(self.ok("tokenize", "-m", self.path("model"), "--max-tokens", "20", LONG).stdout)
                self.assertEqual(len(cut), 20)
                self.assertEqual(cut[-5:] == whole[-5:], left)
                if not config:          # the file alone: its own direction
                    alone = json.loads(self.ok("tokenize", "-m", self.path("model/tokenizer.json"), "--max-tokens", "20", LONG).stdout)
                    self.assertEqual(alone, cut)


class Normaliser(Folder):
    def test_class_builds_its_own(self):
        plain = {"lowercase": True, "strip_accents": None, "handle_chinese_chars": True, "clean_text": True}
        for keys, of_file, expected in (
                ({"do_lower_case": False}, {}, {"lowercase": False}),
                ({"strip_accents": False}, {}, {"strip_accents": False}),
                ({"tokenize_chinese_chars": False}, {}, {"handle_chinese_chars": False}),
                ({}, {"lowercase": False, "clean_text": False}, {}),
                ({"do_lower_case": False, "strip_accents": True}, {"handle_chinese_chars": False}, {"lowercase": False, "strip_accents": True})):
            for name in "BertTokenizer", "DistilBertTokenizerFast", None:        # none: config.json's model_type has BertTokenizer
                self.model()
                self.change("tokenizer_config.json", lambda c: c.update(tokenizer_class="PreTrainedTokenizerFast"))
                self.change("tokenizer.json", lambda t: t["normalizer"].update(dict(plain, **expected)))
                wanted = self.ids()
                self.model()
                self.change("tokenizer_config.json", lambda c: (c.pop("tokenizer_class"), c.update(keys, **({"tokenizer_class": name} if name else {}))))
                self.change("tokenizer.json", lambda t: t["normalizer"].update(dict(plain, **of_file)))
                self.assertEqual(self.ids(), wanted, (name, keys))
                self.assertEqual(rows(self.ok("embed", "-m", self.path("model"), "A Cat").stdout)[0]["tokens"], len(self.ids("A Cat")))

    def test_other_classes(self):
        """They read tokenizer.json as it is; and what is no WordPiece is left alone."""
        for model, name in ("bert", "PreTrainedTokenizerFast"), ("bert", "ConvBertTokenizer"), ("bert", "NobodysTokenizer"), ("xlmr", "BertTokenizer"), ("qwen3", "Qwen2Tokenizer"):
            self.model(model)
            wanted = self.ids()
            self.change("tokenizer_config.json", lambda c: c.update(tokenizer_class=name, do_lower_case=False))
            self.assertEqual(self.ids(), wanted, name)

    def test_split_special_tokens(self):
        """Special strings in a text are plain text then, and those that the template adds are there all the same."""
        for name, text in ("bert", "a [SEP] cat"), ("qwen3", "a <|endoftext|> cat"), ("xlmr", "a </s> cat"):
            self.model(name)
            special, plain = self.ids(text), json.loads(self.ok("tokenize", "-m", self.path("model"), "--no-parse-special", text).stdout)
            self.assertNotEqual(special, plain)
            for value, wanted in (False, special), (True, plain):
                self.change("tokenizer_config.json", lambda c: c.update(split_special_tokens=value))
                self.assertEqual(self.ids(text), wanted, (name, value))
                self.assertEqual(rows(self.ok("embed", "-m", self.path("model"), "--prompt", "", text).stdout)[0]["tokens"], len(wanted))
            self.change("tokenizer_config.json", lambda c: c.update(split_special_tokens="yes"))
            self.fails(4, "split_special_tokens", "embed", "-m", self.path("model"), "a")

    def test_wrong_kind(self):
        self.model()
        self.change("tokenizer_config.json", lambda c: c.update(tokenizer_class="BertTokenizer", do_lower_case="no"))
        for verb in "embed", "tokenize":
            self.fails(4, "tokenizer_config.json: do_lower_case", verb, "-m", self.path("model"), "a")
        self.assertIn("do_lower_case", run("check", self.path("model")).stdout.decode())


class Missing(Folder):
    def test_no_tokenizer(self):
        folder = self.model()
        os.remove(os.path.join(folder, "tokenizer.json"))
        for verb in "embed", "tokenize":
            self.fails(3, "tokenizer.json: missing\n", verb, "-m", folder, "a")
        self.path("model/vocab.txt", b"[PAD]\n")
        for verb in "embed", "tokenize":
            self.fails(3, r"tokenizer.json: missing, but there is vocab.txt; convert it: .*AutoTokenizer.*save_pretrained", verb, "-m", folder, "a")
        self.assertIn("save_pretrained", run("check", folder).stdout.decode())
        os.mkdir(os.path.join(folder, "tokenizer.json"))
        self.fails(6, "tokenizer.json: not a regular file", "embed", "-m", folder, "a")
        self.assertIn("not a regular file", run("check", folder).stdout.decode())

    def test_no_folder(self):
        self.fails(4, "x.gguf: a file; the folder of a model is needed", "embed", "-m", self.path("x.gguf", b"GGUF"), "a")
        self.fails(4, "x.gguf: a file; the folder of a model is needed", "info", "-m", self.path("x.gguf"))
        os.mkfifo(self.path("fifo.onnx"))
        self.fails(6, "fifo.onnx: not a regular file", "embed", "-m", self.path("fifo.onnx"), "a")

    def test_subfolder(self):
        folder = self.model()
        os.mkdir(os.path.join(folder, "0_Transformer"))
        for name in "config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "sentence_bert_config.json":
            os.rename(os.path.join(folder, name), os.path.join(folder, "0_Transformer", name))
        self.change("modules.json", lambda m: m[0].update(path="0_Transformer"))
        self.fails(4, r"modules.json: .*subfolder \(0_Transformer/\)", "embed", "-m", folder, "a")
        report = json.loads(run("check", "--json", folder).stdout)["problems"]
        self.assertTrue(any("0_Transformer/" in p["message"] for p in report), report)
        self.assertFalse(any("config.json" in p["message"] for p in report if p["path"] != "modules.json"), report)

    def test_git_lfs(self):
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 17082730\n" % 0
        for name in "model.safetensors", "tokenizer.json", "config.json", "1_Pooling/config.json":
            folder = self.model()
            self.path("model/" + name, pointer)
            self.fails(4, "%s.*Git LFS" % name, "embed", "-m", folder, "a")
            self.assertIn("Git LFS", run("check", folder).stdout.decode())

    def test_adapter(self):
        folder = self.model()
        os.mkdir(os.path.join(folder, "adapter_config.json"))
        self.fails(4, "adapter_config.json: adapters are not implemented", "embed", "-m", folder, "a")


class Assumed(Folder):
    def test_pooling(self):
        """Without modules.json the pooling is a guess, and told, but where the caller names one."""
        folder = self.model()
        self.assertNotIn("pool", self.vector(text="a")[1])
        os.remove(os.path.join(folder, "modules.json"))
        self.assertIn("no file says how to pool", self.vector(text="a")[1])
        self.assertNotIn("pool", self.vector("--pooling", "cls", text="a")[1])
        self.assertEqual(self.vector("-q", text="a")[1], "")
        self.assertTrue(json.loads(self.ok("info", "--json", "-m", folder).stdout)["pooling_assumed"])
        self.assertIn("mean (assumed: no file says)", self.ok("info", "-q", "-m", folder).stdout.decode())
        self.assertIn("no modules.json", self.ok("check", folder).stdout.decode())
        if run("serve", "--help").returncode == 0:
            server = subprocess.Popen([PROGRAM, "serve", "-m", folder, "--port", "0"], stderr=subprocess.PIPE, env=environment())
            said = [json.loads(server.stderr.readline()) for _ in range(2)]
            while said[-1]["event"] != "model":
                said.append(json.loads(server.stderr.readline()))
            server.terminate()
            server.stderr.read()
            server.stderr.close()
            self.assertEqual(server.wait(), 0)
            self.assertTrue(any(e["event"] == "warning" and "no file says how to pool" in e["message"] for e in said), said)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
