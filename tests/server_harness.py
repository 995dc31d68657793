"""What the tests of `akiembed serve` share: a running server to ask, and the program's own `embed` to compare with. Standard Python only.
The test's command line is PROGRAM CHECKPOINTS [unittest arguments]; CHECKPOINTS is the folder that make_checkpoints.py wrote.
"""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM, CHECKPOINTS = sys.argv[1:3]
SCRATCH = tempfile.mkdtemp(prefix="akiembed-server-")
TEXTS = ["a cat", "the dog saw a bird \u00e4\u00f6 \u4f60\u597d", "x", "many words of one text that is a little longer than the others are"]


def folder(name):
    return os.path.join(CHECKPOINTS, name)


def environment():
    env = {k: v for k, v in os.environ.items() if k == "AKIEMBED_ISA" or not k.startswith(("AKIEMBED_", "HF_", "XDG_"))}
    env.update(AKIEMBED_THREADS="1", LC_ALL="C.UTF-8")
    return env


def embed(texts, *options, model="bert"):
    """What the program's own verb says: a list of vectors, as parsed numbers."""
    lines = "".join(json.dumps(t) + "\n" for t in texts).encode()
    done = subprocess.run([PROGRAM, "embed", "-m", folder(model), "--jsonl", "-q", *options], input=lines, capture_output=True,
                          env=environment(), timeout=600, check=True)
    return [json.loads(line)["embedding"] for line in done.stdout.splitlines()]


class Server:
    """A running server; its log lines are in self.log."""

    def __init__(self, *options, models=("bert",), wait=True, preexec=None, more_environment={}):
        arguments = [PROGRAM, "serve", "--port", "0", *options]
        for model in models:
            arguments += ["--model", model if "=" in model else "%s=%s" % (model, folder(model))]
        self.process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        env={**environment(), **more_environment}, preexec_fn=preexec)
        self.log, self.port = [], None
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        until = time.time() + 600
        while wait and not any(e.get("event") == "model" for e in list(self.log)):
            if self.process.poll() is not None or time.time() > until:
                raise RuntimeError("no server: %s" % self.log)
            time.sleep(0.01)
        while not wait and not [e for e in list(self.log) if e.get("event") != "start"] and self.process.poll() is None:
            time.sleep(0.005)

    def read(self):
        for line in self.process.stderr:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"raw": line.decode(errors="replace")}
            if entry.get("event") == "listening" and "://" in entry["message"]:
                self.port = int(entry["message"].rsplit(":", 1)[1])
            self.log.append(entry)

    def connect(self, timeout=600):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def ask(self, method, path, body=None, headers=None, connection=None):
        """(status, headers, body): parsed where it is JSON."""
        c = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        if headers is None:
            headers = {"Content-Type": "application/json"} if body is not None else {}
        c.request(method, path, body, headers)
        r = c.getresponse()
        raw = r.read()
        if not connection:
            c.close()
        if raw and r.headers["Content-Type"] == "application/json":
            raw = json.loads(raw)
        return r.status, r.headers, raw

    def post(self, path, body, **more):
        return self.ask("POST", path, body, **more)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(600)
        self.reader.join(600)
        self.process.stderr.close()
        return code


def gauge(server, name):
    """A metric's value, of all models together."""
    lines = [line.rsplit(" ", 1) for line in server.ask("GET", "/metrics")[2].decode().splitlines() if re.match(name + "[ {]", line)]
    return sum(float(value) for _, value in lines)


class Shared(unittest.TestCase):
    """One server for the tests of a class, which must end with 0 and have said nothing but JSON."""
    options, models = (), ("bert",)

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.options, models=cls.models)

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        raw = [e["raw"] for e in cls.server.log if "raw" in e]
        assert code == 0 and not raw, (code, raw[:20])

    def ok(self, path, body, **more):
        status, headers, answer = self.server.post(path, body, **more)
        self.assertEqual(status, 200, answer)
        return answer

    def refused(self, status, path, body, say="", shape="tei", kind="Validation", **more):
        got, headers, answer = self.server.post(path, body, **more)
        self.assertEqual(got, status, answer)
        if shape == "openai":
            self.assertEqual(set(answer["error"]), {"message", "type", "param", "code"})
            message = answer["error"]["message"]
        else:
            self.assertEqual(set(answer), {"error", "error_type"} if shape == "tei" else {"error"})
            message = answer["error"]
        if shape == "tei":
            self.assertEqual(answer["error_type"], kind)
        self.assertIn(say, message)
        return headers, answer


def main(name):
    try:
        unittest.main(argv=[name] + sys.argv[3:])
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)
