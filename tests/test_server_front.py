#!/usr/bin/env python3
"""Tests of what stands in front of `akiembed serve`: the page at / in headless Chromium, and nginx before two instances with the
configuration of packaging/server, one of which is killed under load. Each is left out where its Debian package (chromium, nginx-light)
is not installed; CI installs both. And what systemd says of the unit, where it is there. AKIEMBED_SCREENSHOT=FOLDER keeps pictures of the page."""
import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest
import zlib

from server_harness import PROGRAM, SCRATCH, Server, Shared, embed, main

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Browser:
    """Chromium, asked over its DevTools protocol: a WebSocket, of which text frames are enough."""

    def __init__(self, program):
        profile = os.path.join(SCRATCH, "chromium")
        self.process = subprocess.Popen([program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                                         "--window-size=1000,900", "--remote-debugging-port=0", "--user-data-dir=" + profile, "about:blank"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "HOME": SCRATCH})
        port = None
        for line in self.process.stderr:
            found = re.search(rb"DevTools listening on ws://[^:]+:(\d+)/", line)
            if found:
                port = int(found.group(1))
                break
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()
        import urllib.request
        until = time.time() + 600
        pages = []
        while not pages and time.time() < until:
            with urllib.request.urlopen("http://127.0.0.1:%d/json" % port, timeout=600) as r:
                pages = [p for p in json.load(r) if p["type"] == "page"]
        self.socket = socket.create_connection(("127.0.0.1", port), 600)
        path = pages[0]["webSocketDebuggerUrl"].split(str(port), 1)[1]
        self.socket.sendall(("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                             "Sec-WebSocket-Version: 13\r\n\r\n" % (path, port, base64.b64encode(os.urandom(16)).decode())).encode())
        self.file = self.socket.makefile("rb")
        while self.file.readline().strip():
            pass
        self.number, self.events = 0, []

    def message(self):
        whole, last = b"", False
        while not last:
            first, size = self.file.read(2)
            last, size = first & 0x80, size & 0x7f
            size = struct.unpack(">H", self.file.read(2))[0] if size == 126 else struct.unpack(">Q", self.file.read(8))[0] if size == 127 else size
            whole += self.file.read(size)
        return json.loads(whole)

    def ask(self, method, **parameters):
        self.number += 1
        data = json.dumps({"id": self.number, "method": method, "params": parameters}).encode()
        size = struct.pack(">BH", 0x80 | 126, len(data)) if 125 < len(data) < 65536 else bytes([0x80 | len(data)])
        self.socket.sendall(b"\x81" + size + b"\0\0\0\0" + data)         # a mask of zeros leaves the data as it is
        while True:
            m = self.message()
            if m.get("id") == self.number:
                assert "error" not in m, m
                return m["result"]
            self.events.append(m)

    def value(self, expression):
        r = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in r, r
        return r["result"].get("value")

    def wait(self, expression):
        until = time.time() + 600
        while not self.value(expression):
            assert time.time() < until, (expression, self.value("document.body.innerText"))
            time.sleep(0.05)

    def close(self):
        self.process.terminate()
        self.process.wait(600)
        self.socket.close()


def colours(png):
    """The number of different colours in a PNG of 8 bits a channel."""
    at, data, width, kind = 8, b"", 0, 0
    while at < len(png):
        size, name = struct.unpack(">I4s", png[at:at + 8])
        if name == b"IHDR":
            width, _, _, kind = struct.unpack(">IIBB", png[at + 8:at + 18])
        data += png[at + 8:at + 8 + size] if name == b"IDAT" else b""
        at += 12 + size
    raw, step = zlib.decompress(data), {2: 3, 6: 4}[kind]
    row = width * step + 1
    return len({raw[i + 1 + x:i + 1 + x + step] for i in range(0, len(raw), row) for x in range(0, row - 1, step)})


class Page(Shared):
    @classmethod
    def setUpClass(cls):
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if not program:
            raise unittest.SkipTest("no chromium")
        super().setUpClass()
        cls.browser = Browser(program)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        super().tearDownClass()

    def test_page(self):
        b = self.browser
        b.events.clear()
        for domain in "Page", "Runtime", "Network", "Log":
            b.ask(domain + ".enable")
        b.ask("Page.navigate", url="http://127.0.0.1:%d/" % self.server.port)
        b.wait("!!document.querySelector('#matrix td')")
        self.assertRegex(b.value("document.querySelector('#model').textContent"), r"^bert · bert, f32 on cpu, \d+ threads? · \d+ dimensions, at most 64 tokens$")

        texts = ["a cat", "the dog saw a bird <b>&\u4f60\u597d", "x"]
        b.value("document.querySelector('#texts').value = %s; document.querySelector('#go').click()" % json.dumps("\n".join(texts)))
        b.wait("document.querySelectorAll('#matrix tbody tr').length == 3 && !document.querySelector('#go').disabled")
        rows = b.value("[...document.querySelectorAll('#matrix tbody tr')].map(r => [...r.cells].map(c => c.textContent))")
        vectors = embed(texts)
        tokens = [len(t) for t in self.ok("/tokenize", {"inputs": texts})]
        for i, row in enumerate(rows):
            self.assertEqual(row[0], "%d  %s" % (i + 1, texts[i]))                # as text, never as markup
            for k in range(3):
                self.assertAlmostEqual(float(row[1 + k]), sum(x * y for x, y in zip(vectors[i], vectors[k])), delta=0.0051)
            self.assertEqual(row[4], str(tokens[i]))
        backgrounds = b.value("[...document.querySelectorAll('#matrix tbody td:not(.tokens)')].map(c => c.style.background)")
        self.assertGreater(len(set(backgrounds)), 2)
        self.assertRegex(b.value("document.querySelector('#says').textContent"),
                         r"^3 texts, %d tokens, %d dimensions · [\d.]+ ms here and back, \d+ ms computing, \d+ ms waiting$" % (sum(tokens), len(vectors[0])))

        png = base64.b64decode(b.ask("Page.captureScreenshot", format="png")["data"])
        self.assertGreater(colours(png), 100)

        b.value("document.querySelector('#texts').value = Array(33).fill('a').join('\\n'); document.querySelector('#go').click()")
        b.wait("document.querySelector('#says').className == 'bad'")
        self.assertIn("batch size 33", b.value("document.querySelector('#says').textContent"))
        self.assertEqual(b.value("document.querySelectorAll('#matrix td').length"), 0)                 # not the one of other texts

        # On a telephone: long texts leave room for the matrix, and nothing but it can be moved sideways.
        b.ask("Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=True)
        for count, seen in (2, 2), (12, 3):
            texts = ["%d %s" % (i, "many words " * 30) for i in range(count)]
            b.value("document.querySelector('#texts').value = %s; document.querySelector('#go').click()" % json.dumps("\n".join(texts)))
            b.wait("document.querySelectorAll('#matrix tbody tr').length == %d && !document.querySelector('#go').disabled" % count)
            cells = "[...document.querySelector('#matrix tbody tr').cells].map(c => c.getBoundingClientRect())"
            self.assertGreaterEqual(b.value(cells + ".filter((r, i) => i && r.right <= 400).length"), seen)
            self.assertEqual(b.value("document.documentElement.scrollWidth"), 400)
            b.value("document.querySelector('#matrix').scrollLeft = 9999")
            self.assertLess(b.value(cells + "[0].left"), 40)                                         # which text it is stays to be seen
        asked = [e["params"]["request"]["url"] for e in b.events if e["method"] == "Network.requestWillBeSent"]
        self.assertTrue(asked)
        self.assertEqual([u for u in asked if not u.startswith("http://127.0.0.1:%d/" % self.server.port)], [])     # nothing from elsewhere
        said = [e["params"] for e in b.events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
        self.assertEqual([s for s in said if "422" not in str(s)], [])
        b.ask("Emulation.clearDeviceMetricsOverride")

    def open(self, server, path="/", ready="!!document.querySelector('#matrix td') && !document.querySelector('#go').disabled"):
        self.browser.ask("Page.navigate", url="http://127.0.0.1:%d%s" % (server.port, path))
        self.browser.wait("location.port == '%d' && document.readyState == 'complete'" % server.port)
        if ready:
            self.browser.wait(ready)

    def run_snippets(self, environment={}):
        """What the page shows of each language, run as it is: the lines that it prints."""
        b, said = self.browser, {}
        for language, program in ("curl", ["bash"]), ("Python", ["python3", "-"]), ("Node", ["node", "--input-type=module"]):
            if not shutil.which(program[0]) or (language == "curl" and not shutil.which("curl")):
                continue
            b.value("[...document.querySelectorAll('#tabs button')].find(e => e.textContent == '%s').click()" % language)
            done = subprocess.run(program, input=b.value("document.querySelector('#code').textContent").encode(), capture_output=True,
                                  env={**os.environ, **environment}, timeout=600)
            self.assertEqual(done.returncode, 0, (language, done.stderr))
            said[language] = done.stdout.decode()
        return said

    def test_keys_and_programs(self):
        """A service with keys asks for one in the page, does not show it, and the programs that the page writes are let in with it."""
        b, path = self.browser, os.path.join(SCRATCH, "front-keys")
        with open(path, "w") as f:
            f.write("secret-key\n")
        server = Server("--api-keys", path)
        try:
            self.open(server, ready="!document.querySelector('#lock').hidden")
            for key, seen in ("wrong", "!document.querySelector('#lock').hidden && document.querySelector('#model').textContent.includes('valid API key')"), \
                    ("secret-key", "!!document.querySelector('#matrix td') && document.querySelector('#lock').hidden"):
                b.value("document.querySelector('#model').textContent = ''; document.querySelector('#key').value = '%s'; "
                        "document.querySelector('#lock').requestSubmit()" % key)
                b.wait(seen)
            texts = ["it's \"quoted\" $HOME `x` \\ \u00e4\u4f60", "two"]
            b.value("document.querySelector('#texts').value = %s; document.querySelector('#go').click()" % json.dumps("\n".join(texts)))
            b.wait("document.querySelectorAll('#matrix tbody tr').length == 2 && !document.querySelector('#go').disabled")
            self.assertNotIn("secret-key", b.value("document.body.innerText"))
            said = self.run_snippets({"AKIEMBED_KEY": "secret-key"})
            want = embed(texts)
            self.assertEqual([d["embedding"] for d in json.loads(said.pop("curl"))["data"]], want)
            self.assertEqual(set(said.values()), {"2 vectors of %d numbers\n" % len(want[0])})
            b.ask("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
            b.ask("Emulation.setFocusEmulationEnabled", enabled=True)          # the clipboard is the focused page's
            b.value("document.querySelector('#copy').click()")
            b.wait("document.querySelector('#copy').textContent == 'Copied'")
            self.assertEqual(b.value("navigator.clipboard.readText().then(JSON.parse)"), want)
            self.open(server, "/docs", "document.querySelectorAll('details').length > 20")          # readable by who has no key yet, too
            b.ask("Page.navigate", url="about:blank")
        finally:
            self.assertEqual(server.stop(), 0)

    def test_kinds(self):
        """A reranker is asked with a query, a classifier for labels; the model is chosen in the page."""
        b = self.browser
        server = Server(models=("bert", "scores-bert", "scores-bert-nli"))
        try:
            self.open(server)
            for model, path, rows, label in ("scores-bert", "v1/rerank", 3, "Rank"), ("scores-bert-nli", "predict", 9, "Classify"), ("bert", "v1/embeddings", 3, "Compare"):
                b.wait("document.querySelector('#which').options.length == 3")
                b.value("document.querySelector('#which').value = '%s'; document.querySelector('#which').dispatchEvent(new Event('change'))" % model)
                b.wait("document.querySelector('#model').textContent.startsWith('%s ·') && !document.querySelector('#go').disabled && "
                       "document.querySelector('#go').textContent == '%s' && !!document.querySelector('#matrix td')" % (model, label))
                if model == "bert":
                    b.value("document.querySelector('#texts').value = 'a\\nb\\nc'; document.querySelector('#go').click()")
                    b.wait("!document.querySelector('#go').disabled && document.querySelectorAll('#matrix tbody tr').length == 3")
                self.assertEqual(b.value("document.querySelectorAll('#matrix tbody tr').length"), rows)
                self.assertIn(path, b.value("document.querySelector('#code').textContent"))
                shown = b.value("[...document.querySelectorAll('#matrix tbody tr')].map(r => [...r.cells].map(c => c.textContent))")
                said = self.run_snippets()
                for language in set(said) & {"Python", "Node"}:
                    first = said[language].splitlines()[0]
                    if model == "scores-bert":
                        self.assertTrue(first.endswith(shown[0][0]) and abs(float(first.split()[0]) - float(shown[0][1])) < 0.01, (first, shown))
                    elif model == "scores-bert-nli":
                        self.assertTrue(first.startswith(shown[0][1]) and first.endswith(shown[0][0]), (first, shown))
            b.ask("Page.navigate", url="about:blank")
        finally:
            self.assertEqual(server.stop(), 0)

    def test_widths(self):
        """Nothing is wider than the window, light or dark. AKIEMBED_SCREENSHOT=FOLDER keeps the pictures."""
        b, folder = self.browser, os.environ.get("AKIEMBED_SCREENSHOT")
        real = os.path.join(ROOT, "third_party", "models", "all-MiniLM-L6-v2")
        server = Server("--port", "8080", models=("all-MiniLM-L6-v2=" + real,)) if folder else Server()
        try:
            for width, scheme, path in [(w, s, p) for w in (1200, 400) for s in ("light", "dark") for p in ("/", "/docs")]:
                b.ask("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width == 400)
                b.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
                self.open(server, path, *["!!document.querySelector('details')"] * (path == "/docs"))
                if path == "/docs":
                    b.value("document.querySelectorAll('details').forEach(d => { d.open = true; })")
                self.assertLessEqual(b.value("document.documentElement.scrollWidth"), width, (width, path))
                dark = b.value("getComputedStyle(document.querySelector('h1')).color") != "rgb(0, 0, 0)"
                self.assertEqual(dark, scheme == "dark")
                if path == "/" and folder:
                    height = b.value("document.documentElement.scrollHeight")
                    b.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width == 400)
                    with open(os.path.join(folder, "page-%d-%s.png" % (width, scheme)), "wb") as f:
                        f.write(base64.b64decode(b.ask("Page.captureScreenshot", format="png")["data"]))
            b.ask("Emulation.clearDeviceMetricsOverride")
            b.ask("Page.navigate", url="about:blank")
        finally:
            self.assertEqual(server.stop(), 0)

    def test_another_origin(self):
        """A page from elsewhere asks as the clients in pages do, with a key and headers of their own, and reads the answer's."""
        path = os.path.join(SCRATCH, "page-keys")
        with open(path, "w") as f:
            f.write("k\n")
        server = Server("--cors", "http://127.0.0.1:%d" % self.server.port, "--api-keys", path)
        b = self.browser
        try:
            b.ask("Page.navigate", url="http://127.0.0.1:%d/" % self.server.port)
            b.wait("!!document.querySelector('#matrix td')")
            ask = """fetch('http://127.0.0.1:%d/v1/embeddings', {method: 'POST', body: '{"input": "a"}', headers: {
                     'Content-Type': 'application/json', 'Authorization': 'Bearer %%s', 'X-Stainless-OS': 'Linux'}})
                     .then(async r => r.status + ' ' + r.headers.get('x-compute-tokens') + ' ' + Object.keys(await r.json()), e => '' + e)""" % server.port
            self.assertEqual(b.value(ask % "k"), "200 3 object,data,model,usage")
            self.assertEqual(b.value(ask % "x"), "401 null error")
            b.ask("Page.navigate", url="about:blank")
        finally:
            self.assertEqual(server.stop(), 0)


class Nginx(unittest.TestCase):
    """packaging/server/nginx.conf, its ports changed."""

    options = ()

    def setUp(self):
        program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if not program:
            self.skipTest("no nginx")
        self.servers = [Server(*self.options), Server(*self.options)]
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        with open(os.path.join(ROOT, "packaging", "server", "nginx.conf")) as f:
            ours = f.read()
        for old, new in zip(("127.0.0.1:8081", "127.0.0.1:8082", "listen 8080;"),
                            ["127.0.0.1:%d" % s.port for s in self.servers] + ["listen 127.0.0.1:%d;" % self.port]):
            self.assertIn(old, ours)
            ours = ours.replace(old, new)
        folder = os.path.join(SCRATCH, "nginx")
        os.makedirs(folder, exist_ok=True)
        os.chmod(SCRATCH, 0o755)
        with open(os.path.join(folder, "nginx.conf"), "w") as f:
            f.write("daemon off; pid %s/pid; error_log %s/error.log;\n%sevents {}\nhttp {\naccess_log off;\n" % (folder, folder, "user root;\n" if os.geteuid() == 0 else ""))
            f.writelines("%s_temp_path %s/%s;\n" % (k, folder, k) for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            f.write(ours + "}\n")
        self.nginx = subprocess.Popen([program, "-e", folder + "/error.log", "-c", folder + "/nginx.conf"], stderr=subprocess.PIPE)
        until = time.time() + 600
        while time.time() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                self.assertIsNone(self.nginx.poll(), self.nginx.stderr)
                time.sleep(0.02)

    def tearDown(self):
        self.nginx.terminate()
        self.nginx.wait(600)
        self.nginx.stderr.close()
        for s in self.servers:
            s.stop()

    def run_load(self, while_it_runs):
        texts = ["text %d %s" % (i, "w " * (i % 40)) for i in range(48)]
        want, wrong, done, end = embed(texts), [], [0], threading.Event()
        front = Server.__new__(Server)
        front.port = self.port

        def client(k):
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
            i = 0
            while not end.is_set():
                first = (k * 7 + i) % 40
                try:
                    status, headers, answer = front.post("/embed", {"inputs": texts[first:first + 8]}, connection=c)
                except (OSError, http.client.HTTPException) as e:
                    status, answer = repr(e), None
                if (status, answer) != (200, want[first:first + 8]):
                    wrong.append((status, answer if status != 200 else "values"))
                i += 1
                done[0] += 1
            c.close()
        threads = [threading.Thread(target=client, args=(k,)) for k in range(16)]
        for t in threads:
            t.start()
        try:
            while_it_runs(done)
        finally:
            end.set()
            for t in threads:
                t.join()
        self.assertEqual(wrong[:3], [])
        return done[0]

    def wait_for(self, done, more):
        until = time.time() + 600
        goal = done[0] + more
        while done[0] < goal and time.time() < until:
            time.sleep(0.01)

    def test_one_is_killed(self):
        def kill(done):
            self.wait_for(done, 300)
            self.servers[0].process.send_signal(signal.SIGKILL)
            self.wait_for(done, 600)
        self.run_load(kill)
        self.assertEqual(self.servers[0].process.wait(600), -signal.SIGKILL)

    def test_one_is_replaced(self):
        """SIGTERM answers what is there; nginx goes to the other one until its port is taken again."""
        def replace(done):
            self.wait_for(done, 300)
            self.assertEqual(self.servers[0].stop(), 0)
            self.wait_for(done, 300)
            port = str(self.servers[0].port)
            self.servers[0] = Server("--port", port)
            until = time.time() + 600
            while not any(e.get("event") == "request" for e in list(self.servers[0].log)) and time.time() < until:
                time.sleep(0.02)
            self.wait_for(done, 300)
        self.run_load(replace)
        self.assertTrue(any(e.get("event") == "request" for e in self.servers[0].log))     # it is back in use


class NginxOverload(Nginx):
    """Both instances are full most of the time: nginx passes on what they say of it, and takes none of them for gone."""
    options = ("--max-queue-tokens", "300")
    test_one_is_killed = test_one_is_replaced = None

    def test_overload(self):
        got = []

        def client():
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
            for _ in range(20):
                c.request("POST", "/embed", json.dumps({"inputs": ["w " * 60] * 8}), {"Content-Type": "application/json"})
                r = c.getresponse()
                r.read()
                got.append((r.status, r.headers["Retry-After"] is not None))
            c.close()
        threads = [threading.Thread(target=client) for _ in range(32)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(set(got), {(200, False), (429, True)})


class Unit(unittest.TestCase):
    def test_systemd(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("no systemd-analyze")
        with open(os.path.join(ROOT, "packaging", "akiembed.service.in")) as f:
            ours = f.read()
        installed = "@prefix@/@CMAKE_INSTALL_BINDIR@/akiembed"
        self.assertIn("ExecStart=%s serve" % installed, ours)
        path = os.path.join(SCRATCH, "akiembed.service")
        with open(path, "w") as f:
            f.write(ours.replace(installed, os.path.abspath(PROGRAM)))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", path], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-300:])              # exposure at most 2.0


if __name__ == "__main__":
    main("test_server_front.py")
