#!/usr/bin/env python3
"""Tests of `akiembed serve`'s bounds: what models are called, what an answer may take, when a request is over, and how the service ends."""
import ctypes
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

from server_harness import PROGRAM, SCRATCH, TEXTS, Server, Shared, embed, environment, folder, gauge, main


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


def wait_for(what, seconds=120):
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

    def test_of_a_folder_called_by_dots(self):
        path = os.path.join(SCRATCH, "dots", "model-of-dots")
        shutil.copytree(folder("bert"), path)
        os.makedirs(os.path.join(path, "more"))
        for typed in path + "/.", path + "/./", path + "/more/..", os.path.relpath(path) + "/.":
            server = Server("-m", typed, models=())
            try:
                self.assertEqual([m["id"] for m in server.ask("GET", "/v1/models")[2]["data"]], ["model-of-dots"], typed)
                for name in "model-of-dots", typed:
                    self.assertEqual(server.post("/v1/embeddings", {"input": "a", "model": name})[0], 200, (typed, name))
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
    def test_what_of_int8_is_f32(self):
        for model, share, note in [("qwen3-extreme", 0.6667, "f32 in 8 of 13 products, 67 % of the arithmetic"), ("bert", 0, None)]:
            server = Server("--precision", "int8", models=(model,))
            try:
                info = server.ask("GET", "/info")[2]
                self.assertEqual((info["model_dtype"], info["f32_share"], info["precision_note"]), ("int8", share, note))
                said = json.dumps(server.log)
                self.assertEqual("int8, but %s" % note in said, note is not None)
                self.assertEqual("int8 gains little here" in said, note is not None)
            finally:
                self.assertEqual(server.stop(), 0)

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
        server = Server("--max-body", "100000", "--quiet", *("--body-timeout", "600", "--write-timeout", "600", "--header-timeout", "600"))   # 51 MB together
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
            for s in held:
                s.close()
            wait_for(lambda: server.post("/tokenize", body)[0] == 200)
        finally:
            self.assertEqual(server.stop(), 0)


class Ends(unittest.TestCase):
    """A client's end of its stream: right behind what it sent, in the middle of it, or behind a whole request that it wants answered."""

    def test_behind_half_a_request(self):
        server = Server()
        try:
            for _ in range(40):
                s = server.connect()
                s.sendall(head(b"/embed", 100) + b'{"inputs":')
                s.close()                                     # both are there before the server reads
            s = server.connect()
            s.sendall(b"POST /em")
            s.close()
            wait_for(lambda: gauge(server, "akiembed_requests_in_flight") == 1, 20)         # this question; --body-timeout is 30
            wait_for(lambda: gauge(server, "akiembed_connections") == 1, 20)                # --idle-timeout 75
        finally:
            self.assertEqual(server.stop(), 0)

    def test_of_the_sending_side_alone(self):
        """RFC 9112 does not take it for a client that lost its interest."""
        server = Server()
        want = json.dumps(embed(["a cat"]), separators=(",", ":")).encode()
        body = b'{"inputs":"a cat"}'
        try:
            for _ in range(20):
                with server.connect(20) as s:
                    s.sendall(head(b"/embed", len(body)) + body)
                    s.shutdown(socket.SHUT_WR)
                    got = b""
                    while part := s.recv(65536):              # and the connection ends, as nothing more can come
                        got += part
                    self.assertTrue(got.startswith(b"HTTP/1.1 200 OK") and got.endswith(want), got)
        finally:
            self.assertEqual(server.stop(), 0)


class Front(unittest.TestCase):
    """Where the service listens, and its files of keys."""

    def listens(self, name, addresses, **more):
        server = Server("--host", name, **more)
        try:
            told = {e["message"].rsplit(":", 1)[0] for e in server.log if e["event"] == "listening"}
            self.assertEqual(told, {"http://[%s]" % a if ":" in a else "http://" + a for a in addresses})
            for a in addresses:
                c = http.client.HTTPConnection(a, server.port, timeout=60)
                for _ in range(3):
                    self.assertEqual(server.post("/embed", {"inputs": TEXTS}, connection=c)[2], embed(TEXTS))
                c.close()
            self.assertEqual({e["peer"].rsplit(".", 1)[0] for e in server.log if e["event"] == "request" and "." in e["peer"]}, {"127.0.0"})
        finally:
            self.assertEqual(server.stop(), 0)

    def test_all_addresses_of_a_name(self):
        self.listens("localhost", {a[4][0] for a in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)})

    def test_several_addresses(self):
        """Two of a name, by an /etc/hosts that only this server sees."""
        hosts, libc = os.path.join(SCRATCH, "hosts").encode(), ctypes.CDLL(None, use_errno=True)
        with open(hosts, "w") as f:
            f.write("127.0.0.1 two\n127.0.0.2 two\n127.0.0.1 two\n")

        def private():
            if libc.unshare(0x20000) or libc.mount(None, b"/", None, 0x44000, None) or libc.mount(hosts, b"/etc/hosts", None, 0x1000, None):
                os._exit(77)
        probe = subprocess.run(["true"], preexec_fn=private)
        if probe.returncode == 77:
            self.skipTest("no mounts of its own for a process")
        self.listens("two", {"127.0.0.1", "127.0.0.2"}, preexec=private)
        with socket.socket() as s:
            s.bind(("127.0.0.2", 0))
            s.listen(1)
            server = Server("--host", "two", "--port", str(s.getsockname()[1]), wait=False, preexec=private)
            self.assertEqual(server.process.wait(60), 6)                     # half of the name would be somebody else's
            server.stop()

    def test_a_socket_whose_server_is_busy(self):
        """Nobody takes the connections that wait there; it is not for another server to remove."""
        path, held = os.path.join(SCRATCH, "busy"), []
        with socket.socket(socket.AF_UNIX) as busy:
            busy.bind(path)
            busy.listen(0)
            for _ in range(8):
                s = socket.socket(socket.AF_UNIX)
                s.setblocking(False)
                held.append(s)
                if s.connect_ex(path):
                    break
            server = Server("--unix", path, wait=False)
            self.assertEqual(server.process.wait(60), 6)
            server.stop()
            self.assertIn("another server listens there", json.dumps(server.log))
            self.assertTrue(os.path.exists(path))
            for s in held:
                s.close()
        os.unlink(path)

    def test_a_file_of_many_keys(self):
        """Saved on Windows, with as many keys as there may be, of the greatest length."""
        path = os.path.join(SCRATCH, "many-keys")
        keys = ["first", *["%d-" % i + "k" * (255 - len("%d-" % i)) for i in range(1022)], "last"]
        with open(path, "wb") as f:
            f.write(b"\xef\xbb\xbf" + "\r\n".join(keys).encode())
        server = Server("--api-keys", path)
        try:
            get = lambda key: server.ask("GET", "/v1/models", headers={"Authorization": "Bearer " + key})[0]
            self.assertEqual([get(k) for k in ("first", "last", keys[500], keys[1], "firs", "first2", keys[500][:-1], "x" * 255)], [200] * 4 + [401] * 4)
        finally:
            self.assertEqual(server.stop(), 0)

    def test_the_key_of_a_certificate(self):
        """Its text is not left behind in the service's memory."""
        key, cert = os.path.join(SCRATCH, "bounds-key.pem"), os.path.join(SCRATCH, "bounds-cert.pem")
        try:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"],
                           check=True, capture_output=True)
        except FileNotFoundError:
            self.skipTest("no openssl command")
        with open(key, "rb") as f:
            line = b"\n".join(f.read().splitlines()[5:7])      # with the line's end, as only the file's text has it: GnuTLS decodes a copy
        server = Server("--tls-cert", cert, "--tls-key", key, more_environment={"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "1073741824"})
        try:
            found = 0
            with open("/proc/%d/maps" % server.process.pid) as maps, open("/proc/%d/mem" % server.process.pid, "rb", 0) as memory:
                for m in maps:
                    bounds, rights = m.split()[:2]
                    begin, end = (int(b, 16) for b in bounds.split("-"))
                    if not rights.startswith("rw") or end - begin > 1 << 28:           # of a sanitizer
                        continue
                    try:
                        memory.seek(begin)
                        found += memory.read(end - begin).count(line)
                    except (OSError, OverflowError):
                        continue
            self.assertEqual(found, 0)
        except PermissionError:
            self.skipTest("memory of other processes cannot be read here")
        finally:
            self.assertEqual(server.stop(), 0)


class Long(unittest.TestCase):
    """A model whose runs take long: one text is computed in one."""

    @classmethod
    def setUpClass(cls):
        cls.path = os.path.join(SCRATCH, "long")
        subprocess.run([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "make_checkpoints.py"), cls.path,
                        "--shape", "qwen3", "--hidden", "256", "--layers", "6"], check=True, stdout=subprocess.DEVNULL)
        for name in "config.json", "sentence_bert_config.json", "tokenizer_config.json":
            path = os.path.join(cls.path, name)
            if os.path.exists(path):
                with open(path, "r+") as f:
                    c = {k: 1 << 18 if k in ("max_position_embeddings", "max_seq_length", "model_max_length") else v for k, v in json.load(f).items()}
                    f.seek(0)
                    f.truncate()
                    json.dump(c, f)

    def start(self, *options):
        server = Server("--max-body", "4000000", *options, models=("long=" + self.path,))
        self.assertGreater(server.ask("GET", "/info")[2]["max_input_length"], 200000)
        return server

    def send(self, server, texts, path=b"/embed"):
        s, body = server.connect(), json.dumps({"inputs": texts}).encode()
        s.sendall(head(path, len(body)) + body)
        return s

    def send_long(self, server):
        s = self.send(server, "word " * 100000)
        wait_for(lambda: gauge(server, "akiembed_runs_total") >= 1)
        return s

    def status(self, s):
        r = http.client.HTTPResponse(s)
        r.begin()
        self.answer = json.loads(r.read())
        s.close()
        return r.status, r.headers["Retry-After"]

    def test_the_deadline_of_what_waits(self):
        """It is told 503 when its time is over, whatever is computed meanwhile."""
        server = self.start("--deadline", "5", "--drain", "1")
        long = self.send_long(server)
        short = [self.send(server, "short"), self.send(server, ["some", "more"])]
        for s in short:
            self.assertEqual(self.status(s), (503, "1"))
            self.assertIn("deadline of 5 s", self.answer["error"])
        self.assertEqual((gauge(server, "te_queue_size"), gauge(server, "akiembed_queue_tokens")), (0, 0))
        self.assertEqual((gauge(server, "akiembed_runs_total"), gauge(server, 'akiembed_rejected_total{reason="deadline"}')), (1, 2))
        long.close()
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.stop(), 0)

    def test_the_end_during_a_run(self):
        """When the time to drain is over what is computed is given up; its client and those who wait are told."""
        server = self.start("--drain", "1")
        sockets = [self.send_long(server), self.send(server, ["short"] * 3), self.send(server, "short")]
        wait_for(lambda: gauge(server, "akiembed_requests_in_flight") == 4)           # and this question
        server.process.send_signal(signal.SIGTERM)
        for s in sockets:
            self.assertEqual(self.status(s), (503, "1"))
            self.assertEqual(self.answer["error"], "the server ends")
        self.assertEqual(server.process.wait(600), 0)
        self.assertEqual(server.stop(), 0)
        self.assertTrue(any("given up" in e.get("message", "") for e in server.log), server.log[-3:])

    def test_the_end_between_texts(self):
        """Of a run of many texts, the rest is given up."""
        server = self.start("--drain", "0", "--max-batch-tokens", "1000000", "--max-queue-tokens", "1000000", "--max-inputs", "4000")
        s = self.send(server, ["%d %s" % (i, "word " * 60) for i in range(4000)])
        wait_for(lambda: gauge(server, "akiembed_runs_total") >= 1)
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual((self.status(s), self.answer["error"]), ((503, "1"), "the server ends"))
        self.assertEqual(server.stop(), 0)

    def test_clients_that_may_have_left(self):
        """Who ended its sending is in nobody's way, but is answered where nobody else waits."""
        server = self.start("--deadline", "0")
        try:
            first = self.send(server, ["word " * 500] * 4)
            wait_for(lambda: gauge(server, "akiembed_runs_total") >= 1)
            silent, waits = [self.send(server, ["word " * 500] * 20) for _ in range(3)], self.send(server, "short")
            wait_for(lambda: gauge(server, "akiembed_requests_in_flight") == 6 and gauge(server, "te_queue_size") >= 61)
            for s in silent:
                s.shutdown(socket.SHUT_WR)
            self.assertEqual([self.status(s)[0] for s in (first, waits)], [200, 200])
            for s in silent:                                  # told, or closed before
                try:
                    self.assertEqual(self.status(s)[0], 499)
                except ConnectionError:
                    s.close()
            wait_for(lambda: gauge(server, "akiembed_requests_in_flight") == 1)
            self.assertEqual(gauge(server, "akiembed_clients_gone_total"), 3)
        finally:
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main("test_server_bounds.py")
