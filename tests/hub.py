"""A small hub for tests: the endpoints of the Hugging Face hub that clients fetch models through, and a second server that plays its
CDN, on two ports of this machine. Standard Python only.

Faults are asked for by path: hub.faults["model.safetensors"] = {...}, see class Fault. Everything that came in is in hub.requests.
"""
import hashlib
import json
import re
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LFS_SIZE = 4096  # larger files are LFS files, as weights are


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Fault:
    """What goes wrong with a file's bytes: each for `times` answers (-1: always).

    drop: the connection breaks after so many bytes · corrupt: that byte is changed · status, headers: an answer instead of the file ·
    length: told instead of the length that comes · more: bytes behind the file's end · no_range: ranges are ignored ·
    hang: seconds of silence before the body · rate: bytes a second
    """

    def __init__(self, times=1, drop=None, corrupt=None, status=None, headers=None, length=None, more=b"", no_range=False, hang=0, rate=0,
                 body=None, method="GET"):
        self.times, self.drop, self.corrupt, self.status, self.headers = times, drop, corrupt, status, headers or {}
        self.length, self.more, self.no_range, self.hang, self.rate, self.body, self.method = length, more, no_range, hang, rate, body, method


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.handle_any("HEAD")

    def do_GET(self):
        self.handle_any("GET")

    def handle_any(self, method):
        hub = self.server.hub
        with hub.lock:
            hub.requests.append((self.server.role, method, self.path, dict(self.headers.items())))
        try:
            (self.cdn if self.server.role == "cdn" else self.hub)(method, hub)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def answer(self, status, body=b"", headers=(), method="GET", length=None):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if method == "GET":
            self.wfile.write(body)

    def error(self, method, status, code, message):
        self.answer(status, json.dumps({"error": message}).encode(), {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"}, method)

    def hub(self, method, hub):
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        fault = hub.take("api", method) if path.startswith("/api/") else None
        if fault and fault.status:
            return self.answer(fault.status, b"{}" if fault.body is None else fault.body, fault.headers, method)
        m = re.fullmatch(r"/api/models/(.+?)/(revision|tree)/(.+)", url.path)
        if m:
            name, what, revision = m[1], m[2], urllib.parse.unquote(m[3])
        else:
            m = re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", url.path)
            if not m:
                return self.error(method, 404, "EntryNotFound", "Not found")
            name, what, revision = m[1], "resolve", urllib.parse.unquote(m[2])
        moved = hub.moved.get(name)
        if moved:
            return self.answer(307, b"", {"Location": self.path.replace(name, moved, 1)}, method)
        repo = hub.repos.get(name)
        token = (self.headers.get("Authorization") or "").replace("Bearer ", "")
        if not repo or (repo.private and token != hub.token):
            return self.error(method, 404 if token and not repo else 401, "RepoNotFound", "Repository not found")
        if repo.gated and token != hub.token and what == "resolve":
            return self.error(method, 403 if token else 401, "GatedRepo", "Access to model %s is restricted" % name)
        commit = repo.refs.get(revision, revision)
        if commit not in repo.commits:
            return self.error(method, 404, "RevisionNotFound", "Invalid rev id: " + revision)
        files = repo.commits[commit]
        if what == "revision":
            siblings = [{"rfilename": n} for n in repo.listing or sorted(files)]
            if "blobs" in url.query:
                for s in siblings:
                    data = files[s["rfilename"]]
                    s.update(size=len(data), blobId=git_sha1(data))
                    if len(data) > LFS_SIZE:
                        s["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            body = fault.body if fault and fault.body is not None else json.dumps({
                "_id": "0", "id": name, "modelId": name, "private": repo.private, "gated": repo.gated, "disabled": False, "sha": commit,
                "tags": ["sentence-transformers"], "config": {"architectures": ["BertModel"]}, "siblings": siblings}).encode()
            return self.answer(200, body, {"Content-Type": "application/json"}, method)
        if what == "tree":
            rows = []
            for n, data in sorted(files.items()):
                row = {"type": "file", "oid": git_sha1(data), "size": len(data), "path": n}
                if len(data) > LFS_SIZE:
                    row["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
                rows.append(row)
            return self.answer(200, json.dumps(rows).encode(), {"Content-Type": "application/json"}, method)
        name_of_file = urllib.parse.unquote(m[3])
        data = files.get(name_of_file)
        if data is None:
            return self.error(method, 404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes", "ETag": '"%s"' % git_sha1(data)}
        if len(data) > LFS_SIZE:
            sha = hashlib.sha256(data).hexdigest()
            headers.update({"X-Linked-ETag": '"%s"' % sha, "X-Linked-Size": str(len(data)), "ETag": '"%s"' % git_sha1(data)})
            headers["Location"] = "%s/cdn/%s?file=%s&signature=x" % (hub.cdn_url, sha, urllib.parse.quote(name_of_file))
            return self.answer(302, b"Found. Redirecting", headers, method)
        self.body(method, name_of_file, data, headers)

    def cdn(self, method, hub):
        url = urllib.parse.urlsplit(self.path)
        name = urllib.parse.parse_qs(url.query)["file"][0]
        sha = url.path.rsplit("/", 1)[1]
        for repo in hub.repos.values():
            for files in repo.commits.values():
                if name in files and hashlib.sha256(files[name]).hexdigest() == sha:
                    return self.body(method, name, files[name], {"ETag": '"cdn-%s"' % sha[:8], "Accept-Ranges": "bytes"})
        self.answer(404, b"", {}, method)

    def body(self, method, name, data, headers):
        hub = self.server.hub
        with hub.lock:
            hub.busy += 1
            hub.most = max(hub.most, hub.busy)
        try:
            self.send_file(method, name, data, headers)
        finally:
            with hub.lock:
                hub.busy -= 1

    def send_file(self, method, name, data, headers):
        hub, whole = self.server.hub, len(data)
        fault = hub.take(name, method) or Fault(rate=hub.rate)
        if fault.status:
            return self.answer(fault.status, fault.body or b"no", {**headers, **fault.headers}, method)
        status, begin = 200, 0
        m = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if m and not fault.no_range:
            begin = int(m[1])
            if begin >= whole:
                return self.answer(416, b"", {"Content-Range": "bytes */%d" % whole}, method)
            status = 206
            headers["Content-Range"] = "bytes %d-%d/%d" % (begin, whole - 1, whole)
        if fault.corrupt is not None and fault.corrupt >= begin:
            data = data[:fault.corrupt] + bytes([data[fault.corrupt] ^ 1]) + data[fault.corrupt + 1:]
        data = data[begin:] + fault.more
        self.send_response(status)
        for n, value in {**headers, **fault.headers}.items():
            self.send_header(n, value)
        length = len(data) if fault.length is None else fault.length
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if method == "HEAD":
            return
        if fault.hang:
            time.sleep(fault.hang)
        data = data[:length]
        if fault.drop is not None:
            data = data[:fault.drop]
        step = max(1, fault.rate // 100) if fault.rate else len(data) or 1
        for at in range(0, len(data), step):
            self.wfile.write(data[at:at + step])
            if fault.rate:
                time.sleep(0.01)
        with hub.lock:
            hub.sent[name] = hub.sent.get(name, 0) + len(data)
        if fault.drop is not None:
            # As a machine that dies: a reset.
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, address):
        pass                               # clients are killed, and connections reset, on purpose


class Repo:
    def __init__(self, files, commit=None, private=False, gated=False, listing=None):
        commit = commit or hashlib.sha1(b"".join(sorted(n.encode() + hashlib.sha1(d).digest() for n, d in files.items()))).hexdigest()
        self.commits, self.refs = {commit: files}, {"main": commit}
        self.private, self.gated, self.listing = private, gated, listing

    @property
    def commit(self):
        return self.refs["main"]


class Hub:
    token = "hf_secret"

    def __init__(self, certificate=None):
        self.repos, self.moved, self.faults, self.requests, self.sent = {}, {}, {}, [], {}
        self.busy, self.most = 0, 0        # bodies on their way now, and at most so far
        self.lock, self.rate = threading.Lock(), 0
        self.servers = []
        for role in ("hub", "cdn"):
            server = Server(("127.0.0.1", 0), Handler)
            server.hub, server.role = self, role
            if certificate:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*certificate)
                server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            self.servers.append(server)
        scheme = "https" if certificate else "http"
        self.url = "%s://127.0.0.1:%d" % (scheme, self.servers[0].server_port)
        self.cdn_url = "%s://127.0.0.1:%d" % (scheme, self.servers[1].server_port)

    def take(self, name, method):
        with self.lock:
            fault = self.faults.get(name)
            if not fault or fault.times == 0 or fault.method != method:
                return None
            fault.times -= fault.times > 0
            return fault

    def count(self, role, method, part=""):
        return sum(r == role and m == method and part in urllib.parse.unquote(p) for r, m, p, _ in self.requests)

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
