#!/usr/bin/env python3
"""Tests of `akiembed serve`: its routes against the program's own `embed`, every status code, hostile and slow clients, keys."""
import array
import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

import server_harness
from server_harness import PROGRAM, SCRATCH, TEXTS, Server, Shared, embed, environment, folder, main


class Routes(Shared):
    models = ("bert", "qwen3", "xlmr-no-prompt")

    def test_tei(self):
        want = embed(TEXTS)
        self.assertEqual(self.ok("/embed", {"inputs": TEXTS}), want)
        self.assertEqual(self.ok("/", {"inputs": TEXTS}), want)
        self.assertEqual(self.ok("/embed", {"inputs": TEXTS[0]}), want[:1])
        self.assertEqual(self.ok("/embed", {"inputs": TEXTS, "normalize": False}), embed(TEXTS, "--no-normalize"))
        self.assertEqual(self.ok("/embed", {"inputs": TEXTS, "dimensions": 7, "foo": 1}), embed(TEXTS, "--dim", "7"))
        self.assertEqual(self.ok("/embed", {"inputs": TEXTS, "prompt_name": None, "truncate": None}), want)

    def test_headers(self):
        status, headers, answer = self.server.post("/embed", {"inputs": ["hello", "w\u00f6rld"]}, headers={
            "Content-Type": "application/json; charset=utf-8", "X-Request-Id": "abc-1.2"})
        self.assertEqual((status, headers["X-Request-Id"], headers["x-compute-characters"]), (200, "abc-1.2", "10"))
        for name in "x-total-time", "x-tokenization-time", "x-queue-time", "x-inference-time", "x-compute-time":
            self.assertRegex(headers[name], r"^\d+$")
        tokens = sum(len(t) for t in self.ok("/tokenize", {"inputs": ["hello", "w\u00f6rld"]}))
        self.assertEqual(int(headers["x-compute-tokens"]), tokens)
        bad = self.server.ask("GET", "/ping", headers={"X-Request-Id": "a b\"c"})[1]["X-Request-Id"]
        self.assertRegex(bad, r"^[0-9a-f]{16}$")

    def test_openai(self):
        want = embed(TEXTS, "--dim", "5")
        for path in "/v1/embeddings", "/embeddings":
            answer = self.ok(path, {"input": TEXTS, "model": "bert", "dimensions": 5, "user": "me", "encoding_format": "float"})
            self.assertEqual([d["embedding"] for d in answer["data"]], want)
            self.assertEqual([(d["object"], d["index"]) for d in answer["data"]], [("embedding", i) for i in range(len(TEXTS))])
            tokens = sum(len(t) for t in self.ok("/tokenize", {"inputs": TEXTS}))
            self.assertEqual((answer["object"], answer["model"], answer["usage"]), ("list", "bert", {"prompt_tokens": tokens, "total_tokens": tokens}))
        answer = self.ok("/v1/embeddings", {"input": TEXTS, "dimensions": 5, "encoding_format": "base64"})
        for d, vector in zip(answer["data"], want):
            self.assertEqual(base64.b64decode(d["embedding"]), array.array("f", vector).tobytes())

    def test_ids(self):
        ids = [[t["id"] for t in text] for text in self.ok("/tokenize", {"inputs": TEXTS})]
        want = embed(TEXTS)
        self.assertEqual([d["embedding"] for d in self.ok("/v1/embeddings", {"input": ids})["data"]], want)
        self.assertEqual([d["embedding"] for d in self.ok("/v1/embeddings", {"input": ids[0]})["data"]], want[:1])
        self.assertEqual(self.ok("/embed", {"inputs": [ids[1], TEXTS[0]]}), [want[1], want[0]])
        self.refused(422, "/v1/embeddings", {"input": [1, 10 ** 6]}, "vocabulary", shape="openai")
        self.refused(422, "/v1/embeddings", {"input": [1, 1.5]}, shape="openai")
        self.refused(422, "/v1/embeddings", {"input": [1, -1]}, shape="openai")
        self.refused(422, "/embed", {"inputs": [ids[0]], "input_type": "query"}, "prompt")

    def test_akidb(self):
        answer = self.ok("/embed", {"texts": TEXTS, "model": "bert"})
        self.assertEqual(answer["embeddings"], embed(TEXTS))
        self.assertEqual((answer["model"], answer["dimension"]), ("bert", len(answer["embeddings"][0])))
        self.assertEqual(set(answer["usage"]), {"total_tokens", "duration_ms"})
        for pooling in "mean", "last", "max":
            self.assertEqual(self.ok("/embed", {"texts": TEXTS, "pooling": pooling})["embeddings"], embed(TEXTS, "--pooling", pooling))
        self.refused(400, "/embed", {"texts": [""]}, "texts", shape="plain")
        self.refused(422, "/embed", {"texts": TEXTS, "pooling": "sum"}, "pooling", shape="plain")
        self.refused(400, "/embed", {"texts": TEXTS, "inputs": TEXTS}, "exclude")

    def test_ollama(self):
        for headers in {}, {"Content-Type": "application/x-www-form-urlencoded"}:
            answer = self.ok("/api/embed", {"model": "bert:latest", "input": TEXTS, "truncate": True, "options": {}}, headers=headers)
            self.assertEqual(answer["embeddings"], embed(TEXTS))
            self.assertEqual(set(answer), {"model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"})
        self.assertEqual(self.ok("/api/embeddings", {"model": "bert", "prompt": TEXTS[0]}), {"embedding": embed(TEXTS[:1])[0]})
        self.assertEqual(self.ok("/api/embed", {"model": "bert", "input": []})["embeddings"], [])
        self.assertEqual(self.ok("/api/embed", {"model": "bert", "input": ""})["embeddings"], [])
        self.assertEqual(self.ok("/api/embeddings", {"model": "bert", "prompt": ""}), {"embedding": []})
        self.assertEqual(self.ok("/api/embed", {"model": "bert", "input": ["", "x"]})["embeddings"], embed(["", "x"]))
        self.refused(404, "/api/embed", {"model": "none", "input": "x"}, "not found", shape="plain")
        self.refused(400, "/api/embed", {"model": "bert", "input": "x y " * 400, "truncate": False}, "context length", shape="plain")
        self.assertEqual(self.ok("/api/show", {"model": "bert"})["capabilities"], ["embedding"])
        tags = self.server.ask("GET", "/api/tags")[2]["models"]
        self.assertEqual([m["name"] for m in tags], [m + ":latest" for m in self.models])
        for m in tags:
            self.assertEqual((m["model"], self.server.post("/api/show", {"model": m["name"]})[0]), (m["name"], 200))
        self.assertEqual([len(m["digest"]) for m in tags], [64] * len(tags))          # `ollama list` reads the first 12 of it, or crashes
        self.assertRegex(self.server.ask("GET", "/api/version")[2]["version"], r"^\d+\.\d+\.\d+$")

    def test_prompts(self):
        for model in "qwen3", "xlmr-no-prompt":
            info = json.loads(subprocess.run([PROGRAM, "info", "-m", folder(model), "--json"], capture_output=True, env=environment()).stdout)
            names = [p["name"] if isinstance(p, dict) else p for p in info["prompts"]]
            self.assertTrue(names)
            for name in names:
                self.assertEqual(self.ok("/embed", {"inputs": TEXTS, "model": model, "prompt_name": name}),
                                 embed(TEXTS, "--prompt-name", name, model=model), (model, name))
            for kind in "query", "document":
                self.assertEqual(self.ok("/embed", {"inputs": TEXTS, "model": model, "input_type": kind}),
                                 embed(TEXTS, "--kind", kind, model=model), (model, kind))
        self.assertEqual(self.ok("/v1/embeddings", {"input": TEXTS[0], "model": "qwen3", "instruction": "find birds"})["data"][0]["embedding"],
                         embed(TEXTS[:1], "--instruction", "find birds", model="qwen3")[0])
        self.refused(422, "/embed", {"inputs": "a", "prompt_name": "x"}, "the model has no prompt `x`; its prompts: none")
        self.refused(422, "/embed", {"inputs": "a", "prompt_name": "x", "model": "qwen3"}, "its prompts: query, document")
        self.refused(422, "/embed", {"inputs": "a", "input_type": "x"}, "query|document")
        self.refused(422, "/embed", {"inputs": "a", "instruction": "x"}, "instruction")
        self.refused(422, "/embed", {"inputs": "a", "prompt_name": "a\0b"}, "NUL")

    def test_truncation(self):
        long = "w%d " * 300 % tuple(range(300))
        for direction, option in ("Right", "right"), ("Left", "left"):
            self.assertEqual(self.ok("/embed", {"inputs": [long, "x"], "truncation_direction": direction}), embed([long, "x"], "--truncate", option))
        self.refused(422, "/embed", {"inputs": long, "truncate": False}, "must have less than 64 tokens. Given: ")

    def test_tokens(self):
        text = "the c\u00e4t [SEP]"
        tokens = self.ok("/tokenize", {"inputs": text})[0]
        done = subprocess.run([PROGRAM, "tokenize", "-m", folder("bert"), text], capture_output=True, env=environment(), check=True)
        self.assertEqual([t["id"] for t in tokens], json.loads(done.stdout))
        self.assertEqual((tokens[0]["special"], tokens[0]["start"], tokens[-1]["special"]), (True, None, True))
        for t in tokens[1:-1]:
            self.assertEqual(text.encode()[t["start"]:t["stop"]].decode(), t["text"])
        bare = self.ok("/tokenize", {"inputs": [text], "add_special_tokens": False})[0]
        self.assertEqual(bare, tokens[1:-1])
        ids = [t["id"] for t in self.ok("/tokenize", {"inputs": "hello world"})[0]]
        self.assertEqual(self.ok("/decode", {"ids": ids}), ["hello world"])
        self.assertEqual(self.ok("/decode", {"ids": [ids, ids[1:2]]})[0], "hello world")
        self.assertIn("[CLS]", self.ok("/decode", {"ids": ids, "skip_special_tokens": False})[0])
        self.refused(422, "/decode", {"ids": ["a"]})
        self.refused(422, "/decode", {"ids": [10 ** 8]}, "vocabulary")

    def test_tokens_behind_prompts(self):
        """Whatever prompt the library puts before a text, tokens are of that and the text, and of nothing else."""
        qwen = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
        text = "c\u00e4t"
        for model, options, prompt in (
                ("bert", {}, ""), ("bert", {"input_type": "query"}, ""), ("bert", {"input_type": "document"}, ""),
                ("qwen3", {}, ""), ("qwen3", {"input_type": "query"}, qwen), ("qwen3", {"input_type": "document"}, ""),
                ("qwen3", {"prompt_name": "query"}, qwen), ("qwen3", {"prompt_name": "query", "input_type": "document"}, qwen),
                ("qwen3", {"instruction": "x" * 50000}, "Instruct: %s\nQuery:" % ("x" * 50000)),
                ("xlmr-no-prompt", {"input_type": "query"}, "query: "), ("xlmr-no-prompt", {"prompt_name": "document"}, "passage: "),
                ("xlmr-no-prompt", {}, "")):
            with self.subTest(model=model, options=str(options)[:60]):
                whole = (prompt + text).encode()
                tokens = [t for t in self.ok("/tokenize", {"inputs": text, "model": model, **options})[0] if not t["special"]]
                end = 0
                for t in tokens:
                    self.assertEqual(whole[t["start"]:t["stop"]].decode(), t["text"])
                    self.assertLessEqual(t["stop"], len(whole))
                    end = max(end, t["stop"])
                self.assertEqual(end, len(whole))
        self.refused(422, "/tokenize", {"inputs": text, "instruction": "x"}, "instruction")

    def test_embed_all(self):
        lines = "".join(json.dumps(t) + "\n" for t in TEXTS).encode()
        done = subprocess.run([PROGRAM, "embed", "-m", folder("bert"), "--jsonl", "--tokens", "-q"], input=lines, capture_output=True,
                              env=environment(), check=True)
        want = [json.loads(line)["embeddings"] for line in done.stdout.splitlines()]
        self.assertEqual(self.ok("/embed_all", {"inputs": TEXTS}), want)

    def test_similarity(self):
        scores = self.ok("/similarity", {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS[:3]}})
        a = embed(TEXTS[:3])
        for i in range(3):
            self.assertAlmostEqual(scores[i], sum(x * y for x, y in zip(a[0], a[i])), places=5)
        self.refused(400, "/similarity", {"inputs": {"source_sentence": "", "sentences": ["x"]}}, "source_sentence", kind="Empty")
        self.refused(400, "/similarity", {"inputs": {"source_sentence": "x", "sentences": []}}, "sentences", kind="Empty")
        self.refused(422, "/similarity", {"inputs": {"source_sentence": "x", "sentences": "y"}})
        self.refused(422, "/similarity", {"inputs": "x"})

    def test_models(self):
        status, _, answer = self.server.ask("GET", "/v1/models")
        self.assertEqual([m["id"] for m in answer["data"]], list(self.models))
        self.assertEqual((answer["data"][0]["state"], answer["data"][0]["kind"]), ("open", "embedding"))
        self.assertEqual(self.server.ask("GET", "/v1/models/qwen3")[2]["id"], "qwen3")
        self.assertEqual(self.server.ask("GET", "/v1/models/none")[0], 404)
        info = self.server.ask("GET", "/info")[2]
        self.assertEqual((info["model_id"], info["model_dtype"], info["max_input_length"], info["max_client_batch_size"]), ("bert", "float32", 64, 32))
        self.assertEqual(info["model_type"], {"embedding": {"pooling": "cls"}})
        info = self.server.ask("GET", "/info?model=qwen3")[2]
        self.assertEqual((info["model_id"], list(info["model_type"])), ("qwen3", ["embedding"]))
        self.assertEqual(self.server.ask("GET", "/info?model=none")[0], 404)
        self.assertEqual(self.ok("/embed", {"inputs": TEXTS, "model": "qwen3"}), embed(TEXTS, model="qwen3"))

    def test_statuses(self):
        self.assertEqual([self.server.ask("GET", p)[0] for p in ("/health", "/ping")], [200, 200])
        self.refused(400, "/embed", {"inputs": []}, "`inputs` cannot be empty", kind="Empty")
        self.refused(400, "/embed", {"inputs": ["a", ""]}, "`inputs` cannot be empty", kind="Empty")
        self.refused(400, "/v1/embeddings", {"input": ""}, "`input` cannot be empty", shape="openai")
        self.refused(422, "/embed", {}, "missing field `inputs`")
        self.refused(422, "/embed", {"inputs": 5})
        self.refused(422, "/embed", {"inputs": ["a", 5]})
        self.refused(422, "/embed", {"inputs": [[]  , ["a"]]})
        self.refused(422, "/embed", [1], "not an object")
        self.refused(422, "/embed", {"inputs": ["a"] * 33}, "batch size 33 > maximum allowed batch size 32")
        self.refused(422, "/v1/embeddings", {"input": ["a"] * 2049}, "batch size 2049", shape="openai")
        self.refused(422, "/embed", {"inputs": "a", "dimensions": 0}, "should be positive")
        self.refused(422, "/embed", {"inputs": "a", "dimensions": 1000}, "smaller than the maximum")
        for bad in -1, 1.5, "3", 1e300:
            self.refused(422, "/embed", {"inputs": "a", "dimensions": bad})
        self.refused(422, "/v1/embeddings", {"input": "a", "encoding_format": "hex"}, "float|base64", shape="openai")
        _, answer = self.refused(404, "/v1/embeddings", {"input": "a", "model": "none"}, shape="openai")
        self.assertEqual((answer["error"]["code"], answer["error"]["param"]), ("model_not_found", "model"))
        self.refused(404, "/embed", {"inputs": "a", "model": "none"})
        for path, body in ("/rerank", {"query": "a", "texts": ["b"]}), ("/predict", {"inputs": "a"}), ("/embed_sparse", {"inputs": "a"}):
            self.refused(424, path, body, kind="Backend")
        self.refused(404, "/v1/nothing", {}, shape="openai")
        self.refused(404, "/api/nothing", {}, shape="plain")
        self.refused(404, "/nothing", {})
        self.refused(415, "/embed", "{}", headers={"Content-Type": "text/plain"})
        self.refused(415, "/embed", "{}", headers={})
        self.refused(415, "/v1/embeddings", "{}", headers={"Content-Type": "text/plain"}, shape="openai")
        self.refused(415, "/embed", "{}", "compressed", headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
        for method, path, allow in ("GET", "/embed", "POST"), ("DELETE", "/", "POST, GET, HEAD"), ("POST", "/info", "GET, HEAD"), ("OPTIONS", "/embed", "POST"):
            status, headers, answer = self.server.ask(method, path)
            self.assertEqual((status, headers["Allow"]), (405, allow))
            self.assertEqual(headers["Access-Control-Allow-Origin"], None)
        status, headers, answer = self.server.ask("HEAD", "/info")
        self.assertEqual((status, answer), (200, b""))
        self.assertGreater(int(headers["Content-Length"]), 100)

    def test_hostile_json(self):
        rows = [b'{"inputs": "a"', b"hello", b"", b"\xff", b'{"inputs":"\xff"}', b'{"inputs":"\\ud800"}', b'{"inputs":"\\ud800\\u0041"}',
                b'{"inputs":"a","inputs":"b"}', b'{"inputs":NaN}', b'{"inputs":"a","dimensions":NaN}', b'{"inputs":"a"}x', b'{"inputs":"a\nb"}',
                b"[" * 100000, b'{"a":' * 100000, b'{"inputs":01}', b'{"inputs":"\\x"}', b'{"inputs":"a",}', b"\xef\xbb\xbf{}"]
        for row in rows:
            self.refused(400, "/embed", row, "Failed to parse the request body as JSON: ")
            self.refused(400, "/v1/embeddings", row, "Failed to parse", shape="openai")
        self.refused(422, "/embed", b'{"inputs":"a","dimensions":1e999}')
        _, answer = self.refused(400, "/embed", b'{\n "inputs": "a" "b"}')
        self.assertTrue(answer["error"].endswith("at line 2 column 16"), answer)
        self.assertEqual(self.ok("/embed", b'{"inputs":"\\ud83d\\ude00 \\u00e4\\n\\/"}'), embed(["\U0001f600 \u00e4\n/"]))
        self.assertEqual(self.ok("/embed", b'{"inputs":"a\\u0000b"}'), embed(["a\0b"]))

    def test_size(self):
        big = b'{"inputs":"' + b"a" * 2100000 + b'"}'
        headers, _ = self.refused(413, "/embed", big)
        self.assertEqual(headers["Connection"].lower(), "close")
        with self.server.connect() as s:
            s.sendall(b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900000000\r\n"
                      b"Expect: 100-continue\r\n\r\n")
            self.assertIn(b" 413 ", s.recv(65536).split(b"\r\n")[0])
        with self.server.connect() as s:
            s.sendall(b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(21):
                s.sendall(b"186a0\r\n" + b"a" * 100000 + b"\r\n")
            s.sendall(b"0\r\n\r\n")
            self.assertIn(b" 413 ", s.recv(65536).split(b"\r\n")[0])

    def test_strange_requests(self):
        """Legal but rare, or what servers have been tricked with."""
        body = b'{"inputs":"a b"}'
        want = json.dumps(embed(["a b"]), separators=(",", ":")).encode()

        def says(line, *headers, sent=b"%s" % body):
            with self.server.connect() as s:
                s.sendall(line + b"\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n" + b"".join(h + b"\r\n" for h in headers) + b"\r\n" + sent)
                got = b""
                while part := s.recv(65536):
                    got += part
            return got
        length = b"Content-Length: %d" % len(body)
        chunks = b'6;a=b;c="d"\r\n%s\r\nA\r\n%s\r\n0\r\nX-Trailer: y\r\n\r\n' % (body[:6], body[6:])
        for got in (says(b"POST http://example.com/embed HTTP/1.1", length), says(b"POST https://example.com:8080/embed?a HTTP/1.1", length),
                    says(b"POST /%65mbed?a=b&&c&=d HTTP/1.1", length), says(b"POST /embed HTTP/1.0", length), says(b"POST /embed HTTP/1.1", length, length),
                    says(b"POST /embed HTTP/1.1", b"Transfer-Encoding: Chunked", sent=chunks),
                    says(b"POST /embed HTTP/1.1", length, b"Content-Encoding: identity"), says(b"POST /embed HTTP/1.1", length, b"Expect: 100-continue")):
            self.assertTrue(got.endswith(want), got)
        self.assertIn(b"text/html", says(b"GET http://example.com HTTP/1.1", sent=b""))
        # Of two lengths a proxy may have believed the other: what follows is not read as a request.
        got = says(b"POST /embed HTTP/1.1", b"Content-Length: 3", length, sent=body + b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual((got.count(b"HTTP/1.1 "), got[9:12]), (1, b"400"), got)
        # Neither of a length beside chunks, nor of codings whose end nobody knows; the connection ends, though the client would keep it.
        next_one = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
        for headers in ([b"Transfer-Encoding: chunked", length], [length, b"transfer-encoding: chunked"], [b"Transfer-Encoding: gzip, chunked"],
                        [b"Transfer-Encoding: identity"], [b"Transfer-Encoding: xchunked"], [b"Transfer-Encoding: chunked"] * 2):
            with self.server.connect() as s:
                s.sendall(b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + b"".join(h + b"\r\n" for h in headers) +
                          b"\r\n" + chunks + next_one)
                got = b""
                while part := s.recv(65536):
                    got += part
            self.assertEqual((got.count(b"HTTP/1.1 "), got[9:12], b"Connection: close" in got), (1, b"400", True), (headers, got))

    def test_pipelined(self):
        one = b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n" + b'{"inputs":"a b"}'
        with self.server.connect() as s:
            s.sendall(one * 8)
            got = b""
            while got.count(b"]]") < 8:
                part = s.recv(65536)
                self.assertTrue(part, got[-300:])
                got += part
        self.assertEqual(got.count(b"HTTP/1.1 200 OK"), 8)

    def test_keep_alive(self):
        c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=600)
        want = embed(TEXTS)
        for i in range(20):
            status, _, answer = self.server.post("/embed", {"inputs": TEXTS[i % 4]}, connection=c)
            self.assertEqual((status, answer), (200, [want[i % 4]]))
        c.close()

    def test_many_at_once(self):
        """Requests of all kinds at the same time: each gets its own answer."""
        texts = ["text %d %s" % (i, "w " * (i * 7 % 50)) for i in range(64)]
        want = {(n, d): embed(texts, "--dim", str(d), *([] if n else ["--no-normalize"])) for n in (True, False) for d in (3, 48)}
        wrong = []

        def client(k):
            c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=600)
            for i in range(12):
                first, count = (k * 5 + i * 3) % 40, 1 + (k + i) % 24
                n, d = (k + i) % 2 == 0, 3 if i % 3 else 48
                status, _, answer = self.server.post("/embed", {"inputs": texts[first:first + count], "normalize": n, "dimensions": d}, connection=c)
                if (status, answer) != (200, want[n, d][first:first + count]):
                    wrong.append((k, i, status, answer if status != 200 else "values"))
            c.close()
        threads = [threading.Thread(target=client, args=(k,)) for k in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong[:3], [])

    def test_a_large_request(self):
        texts = ["t%d" % i for i in range(2048)]
        answer = self.ok("/v1/embeddings", {"input": texts, "dimensions": 2})
        self.assertEqual([d["embedding"] for d in answer["data"]], embed(texts, "--dim", "2"))

    def test_metrics(self):
        self.ok("/embed", {"inputs": ["a", "b"]})
        time.sleep(0.05)                                      # counted when the answer is out
        status, headers, text = self.server.ask("GET", "/metrics")
        self.assertTrue(headers["Content-Type"].startswith("text/plain"))
        values, types, helped = {}, set(), set()
        for line in text.decode().splitlines():
            if line.startswith("# HELP "):
                self.assertNotIn(line.split()[2], helped)
                self.assertGreater(len(line.split()), 4)
                helped.add(line.split()[2])
            elif line.startswith("# TYPE "):
                self.assertNotIn(line, types)
                types.add(line)
            else:
                self.assertRegex(line, r'^[a-z_]+(\{[^}]*\})? [-+0-9.e]+(inf)?$')
                values[line.rsplit(" ", 1)[0]] = float(line.rsplit(" ", 1)[1])
        for name in ("te_embed_success", "te_request_count", "te_request_success", "te_request_failure", "te_embed_count", "te_queue_size",
                     "te_request_queue_duration", "te_embed_duration", "te_batch_next_tokens", "te_embed_tokenization_duration",
                     "te_request_inference_duration", "te_embed_queue_duration", "te_request_tokenization_duration",
                     "te_embed_inference_duration", "te_request_input_length", "te_request_duration", "te_batch_next_size"):
            self.assertTrue(any(t.split()[2] == name for t in types), name)
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        for path in "docs/http.md", "packaging/server/akiembed-alerts.yml":         # what is told of them, and what alarms rely on
            with open(os.path.join(root, path)) as f:
                told = f.read()
            names = set(re.findall(r"\b(?:te|akiembed)_[a-z_]+[a-z]", told)) - {"akiembed_"}
            self.assertGreaterEqual(len(names), 3)
            self.assertLessEqual({re.sub("_bucket$", "", n) for n in names}, {t.split()[2] for t in types}, path)
        for row in ['akiembed_rejected_total{reason="%s"}' % r for r in ("queue_full", "deadline", "memory", "loading", "key", "body_size")] + \
                ['te_request_failure{err="%s"}' % e for e in ("backend", "validation", "empty", "tokenization", "overloaded", "unhealthy")]:
            self.assertIn(row, values)
        self.assertTrue(any(v.startswith("akiembed_build_info{version=") for v in values))
        self.assertEqual(helped, {t.split()[2] for t in types})
        self.assertIn('akiembed_model_info{kind="embedding",precision="float32",device="cpu",model="bert"}', values)
        counted = 'te_request_success{method="single",model="qwen3"}'
        before = values[counted], values['te_request_success{method="single",model="bert"}']
        self.assertGreaterEqual(values['te_request_success{method="batch",model="bert"}'], 1)
        for model in self.models:
            self.assertEqual(values['te_queue_size{model="%s"}' % model], 0)
            self.assertEqual(values['te_request_duration_bucket{le="+Inf",model="%s"}' % model], values['te_request_duration_count{model="%s"}' % model])
        self.ok("/embed", {"inputs": "a", "model": "qwen3"})
        time.sleep(0.05)
        text = self.server.ask("GET", "/metrics")[2].decode()
        self.assertTrue("%s %d\n" % (counted, before[0] + 1) in text)               # each model's own
        self.assertTrue('te_request_success{method="single",model="bert"} %d\n' % before[1] in text)
        if shutil.which("promtool"):
            done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True)
            said = [s for s in (done.stdout + done.stderr).decode().splitlines() if "_total" not in s and "_count" not in s]
            self.assertEqual(said, [])                       # but for TEI's names, which are not ours to choose
        self.assertGreater(values["akiembed_resident_memory_bytes"], 1e6)

    def test_page_and_spec(self):
        status, headers, page = self.server.ask("GET", "/")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertNotRegex(page.decode(), r"(src|href)=[\"']?(https?:)?//")
        status, headers, page = self.server.ask("GET", "/docs")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertNotRegex(page.decode(), r"(src|href)=[\"']?(https?:)?//")
        spec = self.server.ask("GET", "/openapi.json")[2]
        self.assertTrue(spec["openapi"].startswith("3."))
        for path, methods in spec["paths"].items():
            for method in methods:
                status = self.server.ask(method.upper(), path.replace("{model}", "bert"))[0]
                self.assertNotIn(status, (404, 405), (method, path))

    def test_log(self):
        self.server.post("/embed?q=secret-query", {"inputs": "secret-text"}, headers={"Content-Type": "application/json", "X-Request-Id": "log-1"})
        until = time.time() + 600
        while not any(e.get("id") == "log-1" for e in list(self.server.log)) and time.time() < until:
            time.sleep(0.01)
        entry = [e for e in self.server.log if e.get("id") == "log-1"][0]
        self.assertEqual((entry["method"], entry["path"], entry["status"], entry["texts"], entry["model"]), ("POST", "/embed", 200, 1, "bert"))
        self.assertNotIn("secret", json.dumps(self.server.log))
        for number, body, level, says in (1, {"inputs": "a"}, "info", None), (2, {"inputs": "a", "model": "none"}, "warning", "served: bert, qwen3"), \
                (3, {"inputs": ""}, "warning", "cannot be empty"):
            self.server.post("/embed", body, headers={"Content-Type": "application/json", "X-Request-Id": "level-%d" % number})
            while not any(e.get("id") == "level-%d" % number for e in list(self.server.log)) and time.time() < until:
                time.sleep(0.01)
            entry = [e for e in self.server.log if e.get("id") == "level-%d" % number][0]
            self.assertEqual((entry["level"], "message" in entry), (level, says is not None))
            self.assertIn(says or "", entry.get("message", ""))
        start, listening = self.server.log[:2]
        self.assertEqual((start["event"], start["version"], start["pid"], start["level"]),
                         ("start", self.server.ask("GET", "/api/version")[2]["version"], self.server.process.pid, "info"))
        self.assertEqual((listening["event"], listening["url"]), ("listening", "http://127.0.0.1:%d" % self.server.port))
        model = [e for e in self.server.log if e["event"] == "model"][0]
        self.assertEqual([model[k] for k in ("model", "kind", "architecture", "precision", "device", "dimension", "max_tokens")],
                         ["bert", "embedding", "bert", "f32", "cpu", 48, 64])
        self.assertFalse([e for e in self.server.log if not {"time", "level", "event"} <= set(e)])
        self.assertFalse([e for e in self.server.log if e["event"] == "warning" and "--api-keys" in e["message"]])       # 127.0.0.1: nobody else


class RoutesOfOnnx(Routes):
    """The same of the same models as .onnx files, and what only these may answer."""

    @classmethod
    def setUpClass(cls):
        checkpoints, server_harness.CHECKPOINTS = server_harness.CHECKPOINTS, os.path.join(SCRATCH, "onnx")
        cls.addClassCleanup(setattr, server_harness, "CHECKPOINTS", checkpoints)
        for name in cls.models + ("pooled", "rows"):
            base = os.path.join(checkpoints, name if name in cls.models else "bert")
            shutil.copytree(base, folder(name), ignore=shutil.ignore_patterns("*.safetensors*"))
            subprocess.run([PROGRAM, "export", "-q", base, os.path.join(folder(name), "model.onnx"), *["--pooled"] * (name == "pooled")], check=True)
        with open(os.path.join(folder("rows"), "config.json")) as f:
            config = json.load(f)
        with open(os.path.join(folder("rows"), "config.json"), "w") as f:
            json.dump({**config, "vocab_size": 9999}, f)
        super().setUpClass()

    def test_details(self):
        for model in self.models:
            self.assertEqual(self.ok("/api/show", {"model": model})["details"]["format"], "onnx")
        self.assertEqual([m["details"]["format"] for m in self.server.ask("GET", "/api/tags")[2]["models"]], ["onnx"] * len(self.models))

    def test_what_a_file_cannot(self):
        server = Server(models=("pooled", "rows"))
        try:
            self.assertEqual(server.post("/embed", {"inputs": TEXTS, "model": "pooled"})[2], embed(TEXTS, model="pooled"))
            for path, body in ("/embed_all", {"inputs": TEXTS}), ("/embed", {"texts": TEXTS, "pooling": "max"}):
                status, _, answer = server.post(path, body)
                self.assertEqual(status, 424, answer)
                self.assertIn("model.onnx", answer["error"])
            # An id that config.json allows and the file's table does not have: that request fails, those after it do not.
            for _ in range(3):
                status, _, answer = server.post("/embed", {"inputs": [[1, 9000], "a cat"], "model": "rows"})
                self.assertEqual(status, 424, answer)
                self.assertEqual(server.post("/embed", {"inputs": TEXTS, "model": "rows"})[2], embed(TEXTS))
        finally:
            self.assertEqual(server.stop(), 0)


class Slow(Shared):
    options = ("--header-timeout", "1", "--body-timeout", "1", "--idle-timeout", "2")

    def closes(self, first, drip=None, within=600):
        """The connection ends though (or because) the client goes on like that."""
        with self.server.connect(1) as s:
            s.sendall(first)
            until = time.time() + within
            while time.time() < until:
                try:
                    if drip:
                        s.sendall(drip)
                        s.settimeout(0.3)
                    if not s.recv(65536):
                        return True
                except socket.timeout:
                    continue
                except OSError:
                    return True
        return False

    def test_idle(self):
        self.assertTrue(self.closes(b""))

    def test_half_line(self):
        self.assertTrue(self.closes(b"POST /em"))

    def test_dripping_headers(self):
        self.assertTrue(self.closes(b"POST /embed HTTP/1.1\r\nHost: x\r\nX-A: ", b"a"))

    def test_dripping_line(self):
        self.assertTrue(self.closes(b"POST /", b"a"))

    def test_dripping_body(self):
        self.assertTrue(self.closes(b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n", b"a"))

    def test_others_are_served(self):
        slow = [self.server.connect() for _ in range(50)]
        for s in slow:
            s.sendall(b"POST /embed HTTP/1.1\r\n")
        self.assertEqual(self.ok("/embed", {"inputs": "a"}), embed(["a"]))
        for s in slow:
            s.close()

    def test_garbage(self):
        for junk in b"\0" * 1000, b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"POST /embed HTTP/9.9\r\n\r\n", b"A" * 100000, \
                b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n", \
                b"POST /embed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n":
            self.assertTrue(self.closes(junk))
        self.assertEqual(self.server.ask("GET", "/health")[0], 200)


class Keys(unittest.TestCase):
    def test_keys(self):
        path = os.path.join(SCRATCH, "keys")
        with open(path, "w") as f:
            f.write("# ours\n\nfirst-key\nsecond-key\n")
        server = Server("--api-keys", path)

        def status(key=None, path="/info", name="Authorization", scheme="Bearer "):
            return server.ask("GET", path, headers={name: scheme + key} if key else {})[0]
        try:
            self.assertEqual([status("first-key"), status("second-key"), status("second-key", name="X-Api-Key", scheme="")], [200] * 3)
            self.assertEqual([status(), status("third"), status("first-ke"), status("first-key "), status("# ours"), status("x" * 300),
                              status("first-key", scheme="Basic "), status(path="/nothing"), status(path="/v1/models"), status(path="/metrics")],
                             [401] * 10)
            self.assertEqual([status(path=p) for p in ("/health", "/ping", "/", "/docs", "/openapi.json")], [200] * 5)
            self.assertEqual(server.post("/", {"inputs": "a"})[0], 401)          # the page is everybody's, what it asks is not
            code, headers, answer = server.post("/v1/embeddings", {"input": "a"})
            self.assertEqual((code, answer["error"]["code"], headers["WWW-Authenticate"]), (401, "invalid_api_key", "Bearer"))
            for text, want in ("third\n", [200, 401]), ("# none\n", [200, 401]):
                with open(path, "w") as f:
                    f.write(text)
                before = len(server.log)
                server.process.send_signal(signal.SIGHUP)
                until = time.time() + 600
                while not [e for e in server.log[before:] if e["event"] in ("keys", "error")] and time.time() < until:
                    time.sleep(0.01)
                self.assertEqual([status("third"), status("first-key")], want)
            self.assertNotIn("third", json.dumps(server.log))
        finally:
            self.assertEqual(server.stop(), 0)

    def test_a_file_without_keys(self):
        path = os.path.join(SCRATCH, "nokeys")
        open(path, "w").close()
        server = Server("--api-keys", path, wait=False)
        self.assertEqual(server.process.wait(600), 6)
        server.stop()
        self.assertEqual(server.log[-1]["message"], "--api-keys %s: holds no key" % path)


if __name__ == "__main__":
    main("test_server.py")
