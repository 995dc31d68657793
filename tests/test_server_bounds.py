#!/usr/bin/env python3
"""Tests of `akiembed serve`'s bounds: what models are called, what an answer may take, when a request is over, and how the service ends."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

from server_harness import PROGRAM, SCRATCH, TEXTS, Server, Shared, embed, environment, folder, main


def copy_of(model, name, **changes):
    """A copy of a checkpoint, with changed members of its config.json."""
    path = os.path.join(SCRATCH, name)
    shutil.copytree(folder(model), path)
    with open(os.path.join(path, "config.json"), "r+") as f:
        config = {**json.load(f), **changes}
        f.seek(0)
        f.truncate()
        json.dump(config, f)
    return path


def head(path, size, *headers):
    return b"".join(h + b"\r\n" for h in (b"POST %s HTTP/1.1" % path, b"Host: x", b"Content-Type: application/json",
                                          b"Content-Length: %d" % size, *headers)) + b"\r\n"


def gauge(server, name):
    for line in server.ask("GET", "/metrics")[2].decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])


def wait_for(what, seconds=600):
    until = time.time() + seconds
    while not what():
        if time.time() > until:
            raise AssertionError("it did not come to be")
        time.sleep(0.02)


class Names(unittest.TestCase):
    """A model answers to its name, and to what else clients may know it by."""

    def test_of_a_folder(self):
        path = os.path.join(SCRATCH, "some", "all-MiniLM-L6-v2")
        shutil.copytree(folder("bert"), path)
        for typed in path, os.path.relpath(path), path + "/":
            server = Server("-m", typed, models=())
            try:
                for name in "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "all-MiniLM-L6-v2:latest", typed:
                    self.assertEqual(server.post("/v1/embeddings", {"input": "a", "model": name})[0], 200, (typed, name))
                    self.assertEqual(server.post("/api/embed", {"input": "a", "model": name})[0], 200, (typed, name))
                    self.assertEqual(server.ask("GET", "/v1/models/" + name.lstrip("/"))[0], 404 if name[0] == "/" else 200, (typed, name))
                # Ollama does not tell small letters from capitals, the others do.
                self.assertEqual(server.post("/api/embed", {"input": "a", "model": "ALL-minilm-L6-V2"})[0], 200)
                self.assertEqual(server.post("/v1/embeddings", {"input": "a", "model": "ALL-minilm-L6-V2"})[0], 404)
            finally:
                self.assertEqual(server.stop(), 0)

    def test_out_of_the_cache(self):
        hub, commit = os.path.join(SCRATCH, "hub"), "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
        repository = os.path.join(hub, "models--acme--tiny")
        os.makedirs(os.path.join(repository, "refs"))
        with open(os.path.join(repository, "refs", "main"), "w") as f:
            f.write(commit)
        shutil.copytree(folder("bert"), os.path.join(repository, "snapshots", commit))
        for typed in "acme/tiny", "acme/tiny@main", "tiny", "mine=acme/tiny":
            server = Server("-m", typed, models=(), more_environment={"HF_HUB_CACHE": hub})
            try:
                for name in "tiny", "acme/tiny", typed.split("=")[0]:
                    self.assertEqual(server.post("/v1/embeddings", {"input": "a", "model": name})[0], 200, (typed, name))
            finally:
                self.assertEqual(server.stop(), 0)

    def test_several(self):
        """A name that two models answer to is neither's, unless it is one's own."""
        for parent in "x", "y":
            shutil.copytree(folder("bert"), os.path.join(SCRATCH, parent, "same"))
        long = "n" * 200
        server = Server(models=["%s=%s/same" % (n, os.path.join(SCRATCH, p)) for n, p in (("Small", "x"), ("small", "y"), (long, "x"))])
        try:
            status, _, answer = server.post("/v1/embeddings", {"input": "a", "model": "same"})
            self.assertEqual(status, 404)
            for told in "The model 'same' does not exist", "served: Small, small, nnn", "--any-model":
                self.assertIn(told, answer["error"]["message"])
            self.assertIn("model 'same' not found", server.post("/api/embed", {"input": "a", "model": "same"})[2]["error"])
            self.assertEqual(server.post("/v1/embeddings", {"input": "a", "model": "Small"})[2]["model"], "Small")
            self.assertEqual(server.post("/api/embed", {"input": "a", "model": "SMALL"})[0], 404)
            for name in "small", long, "small:latest":
                self.assertEqual(server.ask("GET", "/v1/models/" + name)[2]["id"], name.split(":")[0])
            self.assertEqual(server.ask("GET", "/v1/models/same")[2]["error"]["code"], "model_not_found")
            self.assertEqual(server.post("/api/pull", {"model": "small"}, headers={})[2], b'{"status":"success"}\n')
            self.assertEqual(server.post("/api/pull", {"model": "none"}, headers={})[0], 404)
            self.assertEqual([m["name"] for m in server.ask("GET", "/api/ps")[2]["models"]], ["Small:latest"])     # the one that is open
            wait_for(lambda: server.post("/v1/embeddings", {"input": "a", "model": "small"})[0] == 200)
        finally:
            self.assertEqual(server.stop(), 0)

    def test_equals(self):
        path = os.path.join(SCRATCH, "a=b")
        shutil.copytree(folder("bert"), path)
        for typed, name in (path, "a=b"), ("c=" + path, "c"):
            server = Server("-m", typed, models=())
            self.assertEqual(server.ask("GET", "/v1/models")[2]["data"][0]["id"], name)
            self.assertEqual(server.stop(), 0)


class Answers(unittest.TestCase):
    def test_strings_of_a_folder(self):
        """An architecture's name is whatever config.json of an .onnx folder calls it."""
        for kind in 'a"b\\c\u00e4\t', "x" * 2000:
            path = copy_of("bert", "kind%d" % len(kind))
            subprocess.run([PROGRAM, "export", "-q", path, os.path.join(path, "model.onnx")], check=True)
            os.unlink(os.path.join(path, "model.safetensors"))
            with open(os.path.join(path, "config.json"), "r+") as f:
                config = {**json.load(f), "model_type": kind}
                f.seek(0)
                f.truncate()
                json.dump(config, f)
            server = Server(models=("m=" + path,))
            try:
                self.assertEqual(server.ask("GET", "/info")[2]["architecture"], kind)
                show = server.post("/api/show", {"model": "m"})[2]
                self.assertEqual((show["details"]["family"], show["model_info"]["general.architecture"]), (kind, kind))
                self.assertGreater(show["model_info"][kind + ".embedding_length"], 0)
                self.assertEqual(server.ask("GET", "/api/tags")[2]["models"][0]["details"]["family"], kind)
                self.assertEqual(server.post("/embed", {"inputs": "a"})[0], 200)
            finally:
                self.assertEqual(server.stop(), 0)

    def test_ollamas_older_route(self):
        """It hands out what the model gives; the newer one, and all others, vectors of length 1."""
        path = copy_of("bert", "unnormalised")
        with open(os.path.join(path, "modules.json")) as f:
            modules = [m for m in json.load(f) if not m["type"].endswith("Normalize")]
        with open(os.path.join(path, "modules.json"), "w") as f:
            json.dump(modules, f)
        plain, unit = embed(TEXTS[:1], "--no-normalize", model=path)[0], embed(TEXTS[:1], model="bert")[0]
        self.assertEqual(embed(TEXTS[:1], model=path)[0], plain)
        server = Server(models=("m=" + path,))
        try:
            old = lambda **more: server.post("/api/embeddings", {"model": "m", "prompt": TEXTS[0], **more})[2]["embedding"]
            self.assertEqual([old(), old(normalize=None), old(normalize=True), old(normalize=False)], [plain, plain, unit, plain])
            self.assertEqual(server.post("/api/embed", {"model": "m", "input": TEXTS[0]})[2]["embeddings"], [unit])
            self.assertEqual(server.post("/embed", {"inputs": TEXTS[0]})[2], [unit])
        finally:
            self.assertEqual(server.stop(), 0)

    def test_half_a_surrogate_pair(self):
        """Ollama reads U+FFFD there, as Go does; a batch does not fail for it."""
        server = Server()
        try:
            for text, read in (b'cut \\ud83d', "cut \ufffd"), (b'\\ude00 x', "\ufffd x"), (b'\\ud83d\\ud83d\\ude00', "\ufffd\U0001f600"), (b'\\ud83d\\u0041', "\ufffdA"), \
                    (b'\\ud83d\\n', "\ufffd\n"), (b'\\uD83D\\uDE00', "\U0001f600"):
                status, _, answer = server.post("/api/embed", b'{"model":"bert","input":["good","%s"]}' % text)
                self.assertEqual((status, answer["embeddings"]), (200, embed(["good", read])), text)
                self.assertEqual(server.post("/api/embeddings", b'{"model":"bert","prompt":"%s"}' % text)[2]["embedding"], embed([read])[0])
            self.assertEqual(server.post("/api/embed", b'{"model":"bert","input":"\\ud83d\\u00"}')[0], 400)
            self.assertEqual(server.post("/v1/embeddings", b'{"input":"\\ud83d"}')[0], 400)
        finally:
            self.assertEqual(server.stop(), 0)


class Sizes(Shared):
    """What an answer would take is asked before it is computed."""
    options = ("--max-answer", "20000")

    def test_refused(self):
        long, ids = "word " * 2000, list(range(5, 60)) * 300
        for path, body, shape in (("/tokenize", {"inputs": long}, "tei"), ("/tokenize", {"inputs": ["a " * 150] * 3}, "tei"), ("/decode", {"ids": [ids] * 3}, "tei"),
                                  ("/embed_all", {"inputs": [long]}, "tei"), ("/v1/embeddings", {"input": ["a"] * 40}, "openai"),
                                  ("/api/embed", {"input": ["a"] * 40}, "plain")):
            runs = gauge(self.server, "akiembed_runs_total")
            status, _, answer = self.server.post(path, body)
            self.assertEqual(status, 422, (path, str(answer)[:200]))
            error = answer["error"]["message"] if shape == "openai" else answer["error"]
            self.assertRegex(error, r"the answer would have about \d+ bytes, above the limit of 20000 \(--max-answer\)")
            self.assertEqual(gauge(self.server, "akiembed_runs_total"), runs, path)

    def test_taken(self):
        ids = [t["id"] for t in self.ok("/tokenize", {"inputs": "a cat " * 50})[0]]
        self.ok("/decode", {"ids": [ids] * 10})
        self.ok("/embed_all", {"inputs": ["a b c"] * 5})
        self.ok("/v1/embeddings", {"input": ["a"] * 34})
        self.ok("/v1/embeddings", {"input": ["a"] * 60, "encoding_format": "base64"})
        self.ok("/v1/embeddings", {"input": ["a"] * 400, "dimensions": 4})
        self.ok("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["a"] * 32}})


class Held(unittest.TestCase):
    def test_answers_that_nobody_reads(self):
        """Tokens are many times their text: answers of /tokenize that wait for slow readers count in what requests may hold together."""
        server = Server("--max-body", "100000", "--quiet")                             # 51 MB together
        held = []
        try:
            body = json.dumps({"inputs": "a " * 45000}).encode()                       # 3 MB each
            for _ in range(60):
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.settimeout(600)
                s.connect(("127.0.0.1", server.port))
                s.sendall(head(b"/tokenize", len(body)) + body)
                held.append(s)
            statuses = [s.recv(12) for s in held]
            self.assertEqual(set(statuses), {b"HTTP/1.1 200", b"HTTP/1.1 429"})
            self.assertGreater(statuses.count(b"HTTP/1.1 429"), 10)
            self.assertGreater(gauge(server, 'akiembed_rejected_total{reason="memory"}'), 10)
            self.assertLess(gauge(server, "akiembed_resident_memory_bytes"), 150e6 + 2 * 51e6)
            for s in held:
                s.close()
            wait_for(lambda: server.post("/tokenize", body)[0] == 200)
        finally:
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main("test_server_bounds.py")
