#!/usr/bin/env python3
"""Tests of `akiembed serve` when things go wrong: overload, deadlines, clients that leave, signals, broken vectors, models that come and
go, no descriptors, no disk."""
import http.client
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import unittest
import warnings

from server_harness import PROGRAM, SCRATCH, TEXTS, Server, embed, environment, folder, gauge, main


class Load(unittest.TestCase):
    """A model that is slow enough for a queue."""
    @classmethod
    def setUpClass(cls):
        cls.model = os.path.join(SCRATCH, "slow")
        subprocess.run([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "make_checkpoints.py"), cls.model,
                        "--shape", "qwen3", "--hidden", "256", "--layers", "6"], check=True, stdout=subprocess.DEVNULL)
        cls.text = "word " * 60

    def start(self, *options):
        return Server(*options, models=("slow=" + self.model,))

    def send(self, server, count=32):
        s = server.connect()
        body = json.dumps({"inputs": ["%d %s" % (i, self.text) for i in range(count)], "dimensions": 4}).encode()
        s.sendall(b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        return s

    def status(self, s):
        r = http.client.HTTPResponse(s)
        r.begin()
        self.answer = r.read()
        s.close()
        return r.status, r.headers

    def test_overload(self):
        server = self.start("--max-queue-tokens", "6000")
        try:
            got = []
            for s in [self.send(server) for _ in range(20)]:
                got.append(self.status(s))
                if got[-1][0] == 429:
                    self.assertEqual(json.loads(self.answer), {"error": "Model is overloaded", "error_type": "Overloaded"})
            statuses = [s for s, _ in got]
            self.assertEqual(set(statuses), {200, 429}, statuses)
            for s, headers in got:
                if s == 429:
                    self.assertGreaterEqual(int(headers["Retry-After"]), 1)
            self.assertEqual(self.status(self.send(server))[0], 200)
            self.assertEqual(gauge(server, "te_queue_size"), 0)
            self.assertEqual(gauge(server, "akiembed_queue_tokens"), 0)
        finally:
            self.assertEqual(server.stop(), 0)

    def test_terminated_under_load(self):
        server = self.start("--drain", "600", "--deadline", "600")         # however slow the machine is
        sockets = [self.send(server) for _ in range(8)]
        until = time.time() + 600
        while gauge(server, "te_queue_size") < 32 and time.time() < until:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        got = [self.status(s) for s in sockets]
        self.assertEqual([s for s, _ in got], [200] * 8)
        self.assertIn("close", [h["Connection"] for _, h in got])
        self.assertEqual(server.stop(), 0)
        with self.assertRaises(OSError):
            server.connect(2)

    def test_nobody_new_while_it_ends(self):
        """Who connects while others are still answered is refused at once, and does not wait for the end."""
        server = self.start("--drain", "600")
        body = json.dumps({"inputs": ["a"], "dimensions": 4}).encode()
        begun = server.connect()
        begun.sendall(b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:5])
        while gauge(server, "akiembed_requests_in_flight") < 2:        # it, and the one that asks
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        until, refused, waiting = time.time() + 60, False, []
        while not refused and time.time() < until:
            try:
                waiting.append(server.connect(2))
                time.sleep(0.05)
            except ConnectionRefusedError:
                refused = True
            except ConnectionResetError:                    # in the listener's queue when it ended
                pass
        begun.sendall(body[5:])
        self.assertEqual(self.status(begun)[0], 200)
        self.assertEqual(server.stop(), 0)
        for s in waiting:
            s.close()
        self.assertTrue(refused)

    def test_a_second_signal(self):
        server = self.start()
        sockets = [self.send(server) for _ in range(30)]
        until = time.time() + 600
        while gauge(server, "te_queue_size") < 32 and time.time() < until:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        while not any(e.get("event") == "stopping" for e in list(server.log)) and time.time() < until:
            time.sleep(0.01)
        self.assertEqual(server.stop(), 0)
        # Who got no vectors was told, and the answer was not cut off.
        self.assertEqual({s for s, _ in map(self.status, sockets)} - {200, 429}, {503})       # 429: too much at once

    def test_clients_leave(self):
        server = self.start()
        try:
            stay = self.send(server)
            gone = [self.send(server) for _ in range(10)]
            until = time.time() + 600
            while gauge(server, "te_queue_size") < 32 and time.time() < until:
                time.sleep(0.01)
            for s in gone:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))     # no doubt about it: a reset
                s.close()
            self.assertEqual(self.status(stay)[0], 200)
            while gauge(server, "akiembed_requests_in_flight") > 1 and time.time() < until:
                time.sleep(0.02)
            self.assertEqual(gauge(server, "te_queue_size"), 0)
            self.assertGreater(gauge(server, "akiembed_clients_gone_total"), 0)
            self.assertEqual(self.status(self.send(server, 1))[0], 200)
        finally:
            self.assertEqual(server.stop(), 0)

    def test_deadline(self):
        server = self.start("--deadline", "1")
        try:
            sockets = [self.send(server) for _ in range(30)]
            until = time.time() + 600
            while gauge(server, "te_queue_size") < 32 and time.time() < until:
                time.sleep(0.01)
            server.process.send_signal(signal.SIGSTOP)      # however fast the machine is
            time.sleep(1.2)
            server.process.send_signal(signal.SIGCONT)
            got = [self.status(s)[0] for s in sockets]
            self.assertIn(503, got)
            self.assertLessEqual(set(got), {200, 429, 503}, got)           # 429: it would be late anyway
            self.assertEqual(self.status(self.send(server, 1))[0], 200)
        finally:
            self.assertEqual(server.stop(), 0)

    def test_a_deadline_within_a_run(self):
        """The library asks between two parts of a run whether anybody still waits for it."""
        for deadline in (1, 4, 16, 64):                     # where tokenising alone takes longer, no run begins
            server = self.start("--deadline", str(deadline), "--max-batch-tokens", "1000000", "--max-queue-tokens", "1000000", "--max-inputs", "2000")
            try:
                s = self.send(server, 2000)
                while gauge(server, "akiembed_runs_total") < 1 and not select.select([s], [], [], 0)[0]:
                    time.sleep(0.01)
                server.process.send_signal(signal.SIGSTOP)      # however fast the machine is
                time.sleep(deadline + 0.2)
                server.process.send_signal(signal.SIGCONT)
                self.assertEqual(self.status(s)[0], 503)
                runs = gauge(server, "akiembed_runs_total")
                self.assertEqual(self.status(self.send(server, 1))[0], 200)
            finally:
                self.assertEqual(server.stop(), 0)
            if runs:
                break
        self.assertEqual(runs, 1)

    def test_a_small_one_is_not_behind_large_ones(self):
        """It is in the next run, though ten requests of many runs each are before it."""
        server = self.start("--max-inputs", "200")
        try:
            large = [self.send(server, 150) for _ in range(10)]
            until = time.time() + 600
            while gauge(server, "te_queue_size") < 1000 and time.time() < until:
                time.sleep(0.01)
            before = gauge(server, "akiembed_runs_total")
            self.assertEqual(self.status(self.send(server, 1))[0], 200)
            self.assertLess(gauge(server, "akiembed_runs_total") - before, 6)
            self.assertGreater(gauge(server, "akiembed_requests_in_flight"), 10)    # ten, and this question
            for s in large:
                s.close()
        finally:
            self.assertEqual(server.stop(), 0)


class Life(unittest.TestCase):
    def test_unix_socket(self):
        path = os.path.join(SCRATCH, "socket")
        server = Server("--unix", path, "--unix-mode", "600")
        try:
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(600)
            s.connect(path)
            s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200 OK", s.recv(65536))
            s.close()
            second = Server("--unix", path, wait=False)
            self.assertEqual(second.process.wait(600), 6)
            second.stop()
        finally:
            self.assertEqual(server.stop(signal.SIGINT), 0)
        self.assertFalse(os.path.exists(path))
        bad = Server("--unix", path, "--tls-cert", PROGRAM, "--tls-key", PROGRAM, wait=False)
        self.assertEqual(bad.process.wait(600), 6)
        bad.stop()
        self.assertFalse(os.path.exists(path))
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)                                                            # left behind: nobody listens
        server = Server("--unix", path)
        self.assertEqual((os.stat(path).st_mode & 0o777, server.stop()), (0o660, 0))
        with open(path, "w"):
            pass
        bad = Server("--unix", path, wait=False)                                    # no socket: somebody's file
        self.assertEqual(bad.process.wait(600), 6)
        bad.stop()
        self.assertTrue(os.path.exists(path))

    def test_a_port_in_use(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen(1)
            server = Server("--port", str(s.getsockname()[1]), wait=False)
            self.assertEqual(server.process.wait(600), 6)
            server.stop()

    def test_no_model(self):
        done = subprocess.run([PROGRAM, "serve", "--model", os.path.join(SCRATCH, "nothing"), "--port", "0"], capture_output=True, env=environment())
        self.assertEqual(done.returncode, 3)
        said = json.loads(done.stderr)                                               # one line, as those of the running service
        self.assertEqual((said["level"], said["event"]), ("error", "error"))
        self.assertIn("no such folder", said["message"])
        empty = os.path.join(SCRATCH, "empty")
        os.makedirs(empty, exist_ok=True)
        done = subprocess.run([PROGRAM, "serve", "--model", empty, "--port", "0"], capture_output=True, env=environment())
        self.assertEqual(done.returncode, 3, done.stderr)

    def test_usage(self):
        for arguments in ["x"], ["--unix-mode", "9"], ["--tls-cert", "x"], ["--port", "70000"], ["--model", "a=" + folder("bert"), "--model", "a=" + folder("qwen3")]:
            done = subprocess.run([PROGRAM, "serve", *(arguments if "--model" in arguments else ["--model", folder("bert"), *arguments])],
                                  capture_output=True, env=environment(), timeout=600)
            self.assertEqual(done.returncode, 2, (arguments, done.stderr))

    def test_lazy_and_idle(self):
        server = Server("--idle-close", "1", models=("bert", "qwen3"))
        try:
            listed = [(m["state"], m["kind"]) for m in server.ask("GET", "/v1/models")[2]["data"]]
            self.assertEqual(listed, [("open", "embedding"), ("closed", None)])
            got = []
            clients = [threading.Thread(target=lambda: got.append(server.post("/embed", {"inputs": TEXTS, "model": "qwen3"})[::2])) for _ in range(8)]
            for c in clients:
                c.start()
            for c in clients:
                c.join()
            self.assertEqual(got, [(200, embed(TEXTS, model="qwen3"))] * 8)          # all waited for it to be opened
            until = time.time() + 600
            while len([e for e in list(server.log) if e.get("event") == "closed"]) < 2 and time.time() < until:
                for path in "/health", "/api/tags", "/v1/models":
                    self.assertEqual(server.ask("GET", path)[0], 200)           # which is no use of the model
                time.sleep(0.05)
            metrics = server.ask("GET", "/metrics")[2].decode()
            for model in "bert", "qwen3":
                self.assertIn('akiembed_model_open{model="%s"} 0' % model, metrics)
                self.assertIn('akiembed_model_weights_bytes{model="%s"} 0' % model, metrics)
            self.assertEqual(server.post("/embed", {"inputs": TEXTS})[::2], (200, embed(TEXTS)))
            self.assertIn('akiembed_model_open{model="bert"} 1', server.ask("GET", "/metrics")[2].decode())
        finally:
            self.assertEqual(server.stop(), 0)

    def test_preload(self):
        server = Server("--preload", models=("bert", "qwen3"))
        try:
            until = time.time() + 600
            while server.ask("GET", "/health")[0] != 200 and time.time() < until:
                time.sleep(0.01)
            self.assertEqual([m["state"] for m in server.ask("GET", "/v1/models")[2]["data"]], ["open", "open"])
        finally:
            self.assertEqual(server.stop(), 0)
        # One that cannot be opened ends it, as the first does without the option.
        empty = os.path.join(SCRATCH, "empty")
        os.makedirs(empty, exist_ok=True)
        server = Server("--preload", models=("bert", "empty=" + empty), wait=False)
        self.assertEqual(server.process.wait(600), 3)
        server.stop()
        self.assertIn(("error", "empty"), [(e["level"], e.get("model")) for e in server.log])

    def test_models_by_variable(self):
        env = {"AKIEMBED_MODEL": "a=%s,b=%s" % (folder("bert"), folder("qwen3")), "AKIEMBED_PRELOAD": "1"}
        server = Server(models=(), more_environment=env)
        try:
            self.assertEqual([m["id"] for m in server.ask("GET", "/v1/models")[2]["data"]], ["a", "b"])
            self.assertEqual(server.post("/embed", {"inputs": TEXTS, "model": "b"})[::2], (200, embed(TEXTS, model="qwen3")))
        finally:
            self.assertEqual(server.stop(), 0)

    def test_everybody_without_keys(self):
        path = os.path.join(SCRATCH, "front-door")
        with open(path, "w") as f:
            f.write("k\n")
        for options, warned in ((), 1), (("--api-keys", path), 0):
            server = Server("--host", "0.0.0.0", *options)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(len([e for e in server.log if e["event"] == "warning" and "--api-keys" in e["message"]]), warned)

    def test_any_model_and_cors(self):
        server = Server("--any-model", "--cors", "https://a.example", "--quiet")
        try:
            status, headers, answer = server.post("/v1/embeddings", {"input": "a", "model": "text-embedding-3-small"})
            self.assertEqual((status, answer["model"], headers["Access-Control-Allow-Origin"]), (200, "bert", "https://a.example"))
            status, headers, _ = server.ask("OPTIONS", "/v1/embeddings")
            self.assertEqual((status, headers["Access-Control-Allow-Methods"]), (204, "GET, POST, OPTIONS"))
        finally:
            self.assertEqual(server.stop(), 0)
        self.assertFalse([e for e in server.log if e.get("event") == "request"])

    def test_few_descriptors(self):
        server = Server("--max-connections", "1000", "--quiet", preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (110, 110)))
        try:
            held = []
            for _ in range(150):
                held.append(server.connect())
            for s in held:
                s.close()
            self.assertEqual(server.post("/embed", {"inputs": "a"})[0], 200)
        finally:
            self.assertEqual(server.stop(), 0)

    def test_a_full_disk_for_the_log(self):
        """The log's file may not grow beyond a few lines: what is written then is lost, and the service goes on."""
        path, log = os.path.join(SCRATCH, "full-socket"), os.path.join(SCRATCH, "full-log")
        with open(log, "wb") as f:
            process = subprocess.Popen([PROGRAM, "serve", "--model", folder("bert"), "--unix", path], stderr=f, env=environment(),
                                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)))
        until, answer = time.time() + 600, b""
        while b"200 OK" not in answer and time.time() < until:
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(10)
                    s.connect(path)
                    s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                    answer = s.recv(65536)
            except OSError:
                time.sleep(0.02)
        self.assertIn(b"200 OK", answer)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(600), 0)
        self.assertEqual(os.path.getsize(log), 300)

    def test_nothing_is_written(self):
        """Neither by the server nor by what it is built on (ONNX Runtime would report to its makers, by way of a database in the cache)."""
        home = os.path.join(SCRATCH, "home")
        os.makedirs(home)
        server = Server(more_environment={"HOME": home, "TMPDIR": home})
        self.assertEqual(server.post("/embed", {"inputs": TEXTS})[0], 200)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(os.listdir(home), [])

    def test_many_bodies_at_once(self):
        """What requests hold together has a limit, 512 bodies of full size: beyond it the next are told to come again, and then all is well."""
        server = Server("--max-body", "20000", "--quiet")
        held = []
        try:
            head = b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 19999\r\n\r\n"
            refused = b""
            for _ in range(600):
                s = server.connect()
                s.sendall(head + b'{"inputs": "' + b"a" * 19000)
                held.append(s)
            for s in held[-20:]:
                s.sendall(b"a" * (19999 - 19000 - 14) + b'"}')
                refused += s.recv(65536)
            self.assertEqual(refused.count(b"HTTP/1.1 429"), 20, refused[:300])
            self.assertIn(b"Retry-After", refused)
            for s in held:
                s.close()
            until = time.time() + 600
            while server.post("/embed", {"inputs": "a"})[0] != 200 and time.time() < until:
                time.sleep(0.02)
            self.assertEqual(server.post("/embed", {"inputs": TEXTS})[2], embed(TEXTS))
            self.assertRegex(server.ask("GET", "/metrics")[2].decode(), 'akiembed_rejected_total{reason="memory"} [1-9]')
        finally:
            self.assertEqual(server.stop(), 0)

    def test_a_folder_removed(self):
        path = os.path.join(SCRATCH, "copy")
        shutil.copytree(folder("bert"), path)
        server = Server(models=("copy=" + path,))
        try:
            shutil.rmtree(path)
            self.assertEqual(server.post("/embed", {"inputs": TEXTS})[2], embed(TEXTS))
        finally:
            self.assertEqual(server.stop(), 0)

    def test_a_model_that_cannot_be_opened_again(self):
        """Closed for idleness, then its folder is away for a while: requests are refused, the server stays, and it opens when it can."""
        path = os.path.join(SCRATCH, "again")
        shutil.copytree(folder("bert"), path)
        server = Server("--idle-close", "1", models=("again=" + path,))
        try:
            until = time.time() + 600
            while not any(e.get("event") == "closed" for e in list(server.log)) and time.time() < until:
                time.sleep(0.02)
            self.assertIn("akiembed_model_open{model=\"again\"} 0", server.ask("GET", "/metrics")[2].decode())
            self.assertEqual(server.ask("GET", "/health")[0], 200)
            os.rename(path, path + "-away")
            message = ""
            while "could not be opened" not in message and time.time() < until:
                status, headers, answer = server.post("/embed", {"inputs": TEXTS})
                self.assertEqual((status, answer["error_type"]), (503, "Unhealthy"))
                message = answer["error"]
                time.sleep(0.02)
            self.assertEqual(headers["Retry-After"], "5")
            said = [e["message"] for e in server.log if e.get("event") == "error"]
            self.assertIn("no such folder", said[0])                        # a line of the log as all others
            self.assertEqual([e for e in server.log if "raw" in e], [])
            self.assertEqual([server.ask("GET", p)[0] for p in ("/health", "/ping")], [503, 200])
            os.rename(path + "-away", path)
            while server.post("/embed", {"inputs": TEXTS})[0] == 503 and time.time() < until:
                time.sleep(0.1)
            self.assertEqual(server.post("/embed", {"inputs": TEXTS})[2], embed(TEXTS))
        finally:
            self.assertEqual(server.stop(), 0)

    def test_tls(self):
        key, cert = os.path.join(SCRATCH, "key.pem"), os.path.join(SCRATCH, "cert.pem")
        try:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj",
                            "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        except FileNotFoundError:
            self.skipTest("no openssl command")
        server = Server("--tls-cert", cert, "--tls-key", key)
        try:
            context = ssl.create_default_context(cafile=cert)
            for _ in range(3):
                c = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=600)
                c.sock = context.wrap_socket(server.connect(), server_hostname="localhost")
                self.assertEqual(server.post("/embed", {"inputs": TEXTS}, connection=c)[2], embed(TEXTS))
                c.close()
            old = ssl.create_default_context(cafile=cert)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                old.set_ciphers("ALL:@SECLEVEL=0")
                old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            with server.connect() as s, self.assertRaises(OSError):
                old.wrap_socket(s, server_hostname="localhost")
            with server.connect() as s:                            # no TLS at all
                s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertNotIn(b"200 OK", s.recv(65536))
        finally:
            self.assertEqual(server.stop(), 0)
        server = Server("--tls-cert", key, "--tls-key", cert, wait=False)
        self.assertEqual(server.process.wait(600), 6)
        server.stop()


def poison(path, token):
    """Makes a token's row of the embedding table NaN: texts that hold it have no vector."""
    file = os.path.join(path, "model.safetensors")
    with open(file, "r+b") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        tensors = json.loads(f.read(size))
        name = [n for n in tensors if n.endswith("word_embeddings.weight")][0]
        row = tensors[name]["shape"][1] * 4
        assert tensors[name]["dtype"] == "F32"
        f.seek(8 + size + tensors[name]["data_offsets"][0] + token * row)
        f.write(struct.pack("<f", float("nan")) * (row // 4))


class Broken(unittest.TestCase):
    def test_a_request_fails_alone(self):
        """Texts of many requests are computed together; those with a broken vector fail their own request, and say which text it is."""
        path = os.path.join(SCRATCH, "poisoned")
        shutil.copytree(folder("bert"), path)
        ids = lambda text: json.loads(subprocess.run([PROGRAM, "tokenize", "-m", path, text], capture_output=True, env=environment(), check=True).stdout)
        token = [i for i in ids("dog") if i not in ids("cat")][0]
        poison(path, token)
        bad, good = "the dog", ["cat", "a bird saw", "the the the"]
        self.assertTrue(token in ids(bad) and not any(token in ids(t) for t in good))
        want = embed(good, model=path)
        server = Server(models=("poisoned=" + path,))
        wrong, count = [], [0]

        def client(k):
            c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
            for i in range(30):
                texts = [good[(k + n) % 3] for n in range(1 + (k + i) % 4)]
                expect = [want[(k + n) % 3] for n in range(len(texts))]
                at = (k * 7 + i) % (3 * len(texts))                # a third of the requests holds a bad text
                if at < len(texts):
                    texts[at] = bad
                status, _, answer = server.post("/embed", {"inputs": texts}, connection=c)
                count[0] += 1
                if at < len(texts):
                    if status != 424 or answer["error_type"] != "Backend" or not re.search(r"\b(text|row) %d\b" % at, answer["error"]):
                        wrong.append((status, answer, at))
                elif (status, answer) != (200, expect):
                    wrong.append((status, answer if status != 200 else "values"))
            c.close()
        try:
            threads = [threading.Thread(target=client, args=(k,)) for k in range(16)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(wrong[:3], [])
            self.assertLess(gauge(server, "akiembed_runs_total"), count[0])    # they did share runs
        finally:
            self.assertEqual(server.stop(), 0)


    def test_a_text_without_tokens(self):
        path = os.path.join(SCRATCH, "bare")
        shutil.copytree(folder("bert"), path)
        with open(os.path.join(path, "tokenizer.json"), "r+") as f:
            tokenizer = json.load(f)
            f.seek(0)
            f.truncate()
            json.dump({**tokenizer, "post_processor": None}, f)
        server = Server(models=("bare=" + path,))
        try:
            status, _, answer = server.post("/embed", {"inputs": ["a", " "]})
            self.assertEqual((status, answer), (422, {"error": "Tokenizer error: text 1 has no tokens", "error_type": "Tokenizer"}))
            self.assertEqual(server.post("/embed", {"inputs": "a"})[0], 200)
            self.assertIn('te_request_failure{err="tokenization"} 1\n', server.ask("GET", "/metrics")[2].decode())
        finally:
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main("test_server_faults.py")
