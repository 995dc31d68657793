#!/usr/bin/env python3
"""Tests of the verbs pull, models and rm against a hub of our own (hub.py), and of its cache with huggingface_hub.

    test_pull.py PROGRAM CHECKPOINTS [unittest arguments]     CHECKPOINTS: the folder that make_checkpoints.py wrote
The classes Python… need huggingface_hub (tests/requirements.txt): they are skipped by a Python that lacks it.
"""
import fcntl
import hashlib
import importlib.util
import json
import os
import pty
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hub import Fault, Hub, Repo, git_sha1
from test_cli import CHECKPOINTS, PROGRAM, SANITIZED, Case, environment, run

KILLS = int(os.environ.get("AKI_TEST_KILLS", "50"))


def read_folder(folder):
    out = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as f:
                out[os.path.relpath(path, folder)] = f.read()
    return out


DENSE = read_folder(os.path.join(CHECKPOINTS, "bert-dense"))
EXTRA = {"pytorch_model.bin": b"pickle" * 2000, "onnx/model.onnx": b"o" * 9000, "onnx/model_int8.onnx": b"i" * 9000,
         "onnx/model_int8.onnx_data": b"d" * 5000, "tf_model.h5": b"h" * 5000, ".gitattributes": b"", "README.md": b"# card\n", "chat_template.jinja": b"{{ messages }}", "vocab.txt": b"a\n"}
BIG = random.Random(7).randbytes(3 << 20)


class PullCase(Case):
    certificate = None

    def setUp(self):
        super().setUp()
        self.hub = Hub(self.certificate)
        self.addCleanup(self.hub.close)
        self.cache = self.path("cache")
        self.env = environment(HF_ENDPOINT=self.hub.url, HF_HUB_CACHE=self.cache, HF_HOME=self.path("home"), AKIEMBED_MODEL=None,
                               http_proxy=None, https_proxy=None, no_proxy="*")

    def serve(self, files=None, name="org/name", **more):
        self.hub.repos[name] = Repo(dict(files or DENSE), **more)
        return self.hub.repos[name]

    def pull(self, *arguments, **more):
        env = more.pop("env", self.env)
        return self.ok("pull", *(arguments or ("org/name",)), env=env, **more)

    def refused(self, code, message, *arguments, **more):
        env = more.pop("env", self.env)
        return self.fails(code, message, "pull", *(arguments or ("org/name",)), env=env, **more)

    def store(self, name="org/name"):
        return os.path.join(self.cache, "models--" + name.replace("/", "--"))

    def snapshot(self, repo, name="org/name"):
        return os.path.join(self.store(name), "snapshots", repo.commit)

    def whole(self, repo, wanted, name="org/name"):
        """The snapshot holds these files, as links to blobs that are named by their hashes; nothing else lies about."""
        folder = self.snapshot(repo, name)
        got = read_folder(folder)
        self.assertEqual(sorted(got), sorted(wanted))
        for path, data in got.items():
            self.assertEqual(data, repo.commits[repo.commit][path], path)
            link = os.readlink(os.path.join(folder, path))
            etag = hashlib.sha256(data).hexdigest() if len(data) > 4096 else git_sha1(data)
            self.assertEqual(link, "../" * (2 + path.count("/")) + "blobs/" + etag)
            self.assertTrue(os.path.isfile(os.path.join(folder, path)) and not os.path.islink(os.path.join(self.store(name), "blobs", etag)))
        with open(os.path.join(self.store(name), "refs", "main")) as f:
            self.assertEqual(f.read(), repo.commit)
        left = [n for n in os.listdir(os.path.join(self.store(name), "blobs")) if "." in n]
        self.assertEqual(left, [])


class Pull(PullCase):
    def test_cold_and_again(self):
        repo = self.serve({**DENSE, **EXTRA})
        done = self.pull()
        self.assertEqual(done.stdout.decode(), self.snapshot(repo) + "\n")
        self.whole(repo, [*DENSE, "README.md", "chat_template.jinja"])
        self.assertEqual(self.ok("embed", "-m", "org/name", "a cat", env=self.env).stdout,
                         self.ok("embed", "-m", os.path.join(CHECKPOINTS, "bert-dense"), "a cat").stdout)
        gets = self.hub.count("hub", "GET", "/resolve/") + self.hub.count("cdn", "GET")
        self.pull()
        self.assertEqual(gets, self.hub.count("hub", "GET", "/resolve/") + self.hub.count("cdn", "GET"), "nothing is fetched twice")
        # Another commit shares what it has in common.
        files = {**repo.commits[repo.commit], "README.md": b"# another card\n"}
        repo.commits["b" * 40] = files
        repo.refs["main"] = "b" * 40
        self.pull()
        self.whole(repo, [*DENSE, "README.md", "chat_template.jinja"])
        self.assertEqual(self.hub.count("hub", "GET", "/resolve/") + self.hub.count("cdn", "GET"), gets + 1)

    def test_names_revisions_and_aliases(self):
        repo = self.serve(name="sentence-transformers/all-MiniLM-L6-v2")
        for name in ["minilm", "all-minilm-l6-v2", "sentence-transformers/all-MiniLM-L6-v2", "minilm@main", "minilm@" + repo.commit]:
            self.assertIn(repo.commit, self.pull(name).stdout.decode())
        self.assertEqual(os.listdir(os.path.join(self.store("sentence-transformers/all-MiniLM-L6-v2"), "refs")), ["main"])
        wanted = self.ok("embed", "-m", os.path.join(CHECKPOINTS, "bert-dense"), "a cat").stdout
        for name in ["minilm", "all-MiniLM-L6-v2"]:
            self.assertEqual(self.ok("embed", "-m", name, "a cat", env=self.env).stdout, wanted)
        repo.refs["refs/pr/1"] = repo.commit
        self.pull("minilm@refs/pr/1")
        self.assertEqual(self.ok("embed", "-m", "minilm@refs/pr/1", "a cat", env=self.env).stdout, wanted)
        default = self.serve(name="Qwen/Qwen3-Embedding-0.6B")
        done = run("pull", env=self.env)
        self.assertEqual((done.returncode, done.stdout.decode()), (0, self.snapshot(default, "Qwen/Qwen3-Embedding-0.6B") + "\n"), done.err)
        self.assertEqual(self.ok("embed", "a cat", env=self.env).stdout, wanted)
        legacy = self.serve(name="legacy")
        self.pull("legacy")
        self.whole(legacy, DENSE, "legacy")
        for bad in ["../x", "a/b/c", "", "a@", "a b", "a@../x", "a@b@c", ".a", "a/.b"]:
            self.refused(2, "no model's name", bad)
        self.refused(2, "one model's name", "a", "b")

    def test_choice_of_weights(self):
        repo = self.serve({**DENSE, **EXTRA})
        plain = [n for n in DENSE if n != "model.safetensors"] + ["README.md", "chat_template.jinja"]
        self.pull("--file", "onnx/model_int8.onnx", "org/name")
        self.whole(repo, plain + ["onnx/model_int8.onnx", "onnx/model_int8.onnx_data"])
        self.refused(4, ["no file onnx/none.onnx", "onnx/model_int8.onnx"], "--file", "onnx/none.onnx", "org/name")
        files = {n: d for n, d in {**DENSE, **EXTRA}.items() if n != "model.safetensors"}
        self.serve(files, "org/pickle")
        self.refused(4, ["pickle", "--file can be", "onnx/model.onnx"], "org/pickle")
        self.assertFalse(os.path.exists(self.store("org/pickle")))
        del files["tokenizer.json"]
        self.serve(files, "org/none")
        self.refused(4, "no tokenizer.json", "org/none")

    def test_shards(self):
        files = read_folder(os.path.join(CHECKPOINTS, "qwen3-bias"))
        shards = [n for n in files if n.endswith(".safetensors")]
        self.assertGreater(len(shards), 1)
        repo = self.serve({**files, "model-00009-of-00009.safetensors": b"x" * 9000, "original/consolidated.safetensors": b"x" * 9000})
        self.pull()
        self.whole(repo, files)
        self.serve({n: d for n, d in files.items() if n != shards[0]}, "org/less")
        self.refused(4, "shard '%s', which the hub does not have" % shards[0], "org/less")

    def test_parallel(self):
        shards = {"part-%d.safetensors" % i: b"%d" % i * 200000 for i in range(5)}
        index = {"weight_map": {"layers.%d.weight" % i: n for i, n in enumerate(shards)}}
        files = {n: d for n, d in DENSE.items() if n != "model.safetensors"}
        repo = self.serve({**files, **shards, "model.safetensors.index.json": json.dumps(index).encode()})
        self.hub.rate = 400000             # each takes half a second
        self.pull()
        self.whole(repo, [*files, *shards, "model.safetensors.index.json"])
        self.assertGreaterEqual(self.hub.most, 4)

    def test_homes(self):
        """Without HF_HUB_CACHE: in HF_HOME, else where the system keeps caches. HF_ENDPOINT may end in slashes."""
        repo = self.serve()
        wanted = self.ok("embed", "-m", os.path.join(CHECKPOINTS, "bert-dense"), "a cat").stdout
        for variables, root in [({"HF_HOME": self.path("other")}, "other/hub"), ({"XDG_CACHE_HOME": self.path("xdg")}, "xdg/huggingface/hub"),
                                ({"XDG_CACHE_HOME": None, "HOME": self.path("user")}, "user/.cache/huggingface/hub"),
                                ({"HOME": self.folder, "PART": "third", "HF_HOME": "$HOME/${PART}"}, "third/hub")]:
            env = {k: v for k, v in {**self.env, "HF_HUB_CACHE": None, "HF_HOME": None, "HF_ENDPOINT": self.hub.url + "//", **variables}.items() if v is not None}
            self.assertEqual(self.pull(env=env).stdout.decode(), os.path.join(self.path(root), "models--org--name", "snapshots", repo.commit) + "\n")
            self.assertEqual(self.ok("embed", "-m", "org/name", "a cat", env=env).stdout, wanted)
        self.assertFalse(os.path.exists(self.cache))

    def test_many_tensors_in_an_index(self):
        index = {"weight_map": {"layers.%d.weight" % i: "part-%d.safetensors" % (i % 3) for i in range(5000)}}
        files = {n: d for n, d in DENSE.items() if n != "model.safetensors"}
        files["model.safetensors.index.json"] = json.dumps(index).encode()
        repo = self.serve({**files, **{"part-%d.safetensors" % i: b"%d" % i * 5000 for i in range(4)}})
        self.pull()
        self.whole(repo, [*files, *("part-%d.safetensors" % i for i in range(3))])

    def test_moved_repository(self):
        repo = self.serve()
        self.hub.moved["old/name"] = "org/name"
        self.pull("old/name")
        self.assertTrue(os.path.isfile(os.path.join(self.store("old/name"), "snapshots", repo.commit, "config.json")))

    def test_quiet_and_verbose(self):
        self.serve()
        self.assertEqual(self.pull("-q", "org/name").err, "")
        self.assertRegex(self.pull("-v", "org/name").err, r"12 files, 268")


class Offline(PullCase):
    def test_no_network_at_all(self):
        repo = self.serve()
        for env, arguments in [(self.env, ["--offline", "org/name"]), ({**self.env, "HF_HUB_OFFLINE": "1"}, ["org/name"]),
                               ({**self.env, "AKIEMBED_OFFLINE": "1"}, ["org/name"])]:
            self.refused(3, "not in the cache", *arguments, env=env)
        self.assertEqual(self.hub.requests, [])
        self.pull()
        before = len(self.hub.requests)
        self.assertEqual(self.pull("--offline", "org/name").stdout.decode(), self.snapshot(repo) + "\n")
        os.remove(os.path.join(self.snapshot(repo), "model.safetensors"))
        self.refused(3, ["no model.safetensors", "not whole"], "--offline", "org/name")
        self.assertEqual(len(self.hub.requests), before)
        self.pull()
        self.whole(repo, DENSE)

    def test_no_hub(self):
        self.hub.close()
        self.refused(6, "org/name: .*[Cc]onnect", "org/name")
        self.assertFalse(os.path.exists(self.cache))


class Failures(PullCase):
    def big(self, **more):
        return self.serve({**DENSE, "model.safetensors": BIG}, **more)

    def test_dropped_connections(self):
        repo = self.big()
        self.hub.faults = {"model.safetensors": Fault(times=7, drop=400000), "config.json": Fault(times=2, drop=10)}
        self.pull()
        self.whole(repo, DENSE)
        # Each try went on behind the last: nothing came twice, but for what was on its way.
        self.assertLess(self.hub.sent["model.safetensors"], len(BIG) + 8 * 400000)

    def test_gives_up(self):
        self.big()
        self.hub.faults = {"model.safetensors": Fault(times=-1, drop=0)}
        self.refused(6, ["tried 6 times", "the same command"])
        self.assertFalse(os.path.exists(os.path.join(self.store(), "refs", "main")), "a name never stands for half a model")

    def test_statuses_that_pass(self):
        for role, fault in [("api", Fault(times=2, status=500)), ("api", Fault(times=1, status=429, headers={"Retry-After": "1"})),
                            ("model.safetensors", Fault(times=2, status=503)), ("model.safetensors", Fault(times=1, status=403)),
                            ("config.json", Fault(times=2, status=502)), ("config.json", Fault(times=1, status=500, method="HEAD"))]:
            repo = self.big()
            self.hub.faults = {role: fault}
            self.pull()
            self.assertEqual(fault.times, 0, (role, fault.status))
            self.whole(repo, DENSE)
            shutil.rmtree(self.cache)

    def test_retry_after(self):
        repo = self.serve()
        self.hub.faults = {"api": Fault(times=1, status=429, headers={"Retry-After": "4"})}
        done = self.pull()
        self.assertRegex(done.err, "429.*again in 4 s")
        self.hub.faults = {"api": Fault(times=1, status=429, headers={"Retry-After": "4000"})}
        self.refused(6, "come back in 4000 s")

    def test_statuses_that_do_not(self):
        self.serve(private=True, name="org/private")
        self.serve(gated="manual", name="org/gated")
        self.serve()
        token = {**self.env, "HF_TOKEN": self.hub.token}
        wrong = {**self.env, "HF_TOKEN": "hf_other"}
        self.refused(3, ["no such model, or it is private", "set HF_TOKEN"], "org/private")
        self.refused(3, "token that was sent", "org/private", env=wrong)
        self.pull("org/private", env=token)
        self.refused(3, ["accept its terms", "HF_TOKEN"], "org/gated")
        self.refused(3, "accept its terms", "org/gated", env=wrong)
        self.pull("org/gated", env=token)
        self.refused(3, "no such model", "org/none")
        self.refused(3, "no such model", "org/none", env=token)
        self.refused(3, "no such revision", "org/name@none")
        self.hub.faults = {"api": Fault(times=1, status=400)}
        self.refused(6, "status 400")
        self.assertEqual(self.hub.count("hub", "GET", "/revision/none"), 1, "what will not pass is not tried again")

    def test_corrupted_byte(self):
        repo = self.big()
        for name, at in [("model.safetensors", 2000000), ("config.json", 100), ("tokenizer.json", 5)]:
            self.hub.faults = {name: Fault(times=1, corrupt=at)}
            done = self.pull()
            self.assertRegex(done.err, re.escape(name) + ".*not what the hub says")
            self.whole(repo, DENSE)
            shutil.rmtree(self.cache)
        self.hub.faults = {"model.safetensors": Fault(times=-1, corrupt=1000)}
        self.refused(7, "model.safetensors: is not what the hub says it is, 3 times")
        self.assertEqual([n for n in os.listdir(os.path.join(self.store(), "blobs")) if "incomplete" in n], [])
        self.assertFalse(os.path.exists(os.path.join(self.snapshot(repo), "model.safetensors")))

    def test_wrong_length(self):
        repo = self.big()
        for fault in [Fault(times=1, length=len(BIG) - 7), Fault(times=1, more=b"!" * 9)]:
            self.hub.faults = {"model.safetensors": fault}
            self.assertRegex(self.pull().err, "not what the hub says|more bytes come")
            self.whole(repo, DENSE)
            shutil.rmtree(self.cache)
        self.hub.faults = {"model.safetensors": Fault(times=-1, more=b"!")}
        self.refused(7, "model.safetensors")
        self.hub.faults = {"model.safetensors": Fault(times=-1, length=len(BIG) - 7)}
        self.refused(7, "model.safetensors")
        # More is promised than comes: the connection is at fault, and what is there is whole.
        self.hub.faults = {"model.safetensors": Fault(times=1, length=len(BIG) + 7, drop=len(BIG))}
        self.pull()
        self.whole(repo, DENSE)

    def test_ranges(self):
        repo = self.big()
        blobs = os.path.join(self.store(), "blobs")
        part = os.path.join(blobs, hashlib.sha256(BIG).hexdigest() + ".incomplete")
        for left, fault, sent in [(BIG[:1000000], None, len(BIG) - 1000000), (BIG[:1000000], Fault(times=1, no_range=True), len(BIG)),
                                  (BIG, None, 0), (BIG + b"more", None, len(BIG)), (b"?" * 1000000, None, 2 * len(BIG) - 1000000),
                                  (b"?" * len(BIG), None, len(BIG)), (b"", None, len(BIG))]:
            os.makedirs(blobs)
            with open(part, "wb") as f:
                f.write(left)
            self.hub.faults = {"model.safetensors": fault} if fault else {}
            self.hub.sent = {}
            self.pull()
            self.whole(repo, DENSE)
            self.assertEqual(self.hub.sent.get("model.safetensors", 0), sent, (len(left), left[:1]))
            shutil.rmtree(self.cache)

    def test_silence(self):
        repo = self.serve()
        self.hub.faults = {"config.json": Fault(times=1, hang=30)}
        self.assertRegex(self.pull("-v", "org/name", env={**self.env, "HF_HUB_DOWNLOAD_TIMEOUT": "1"}).err, "config.json: Operation too slow.*trying again")
        self.whole(repo, DENSE)

    def test_full_disk(self):
        repo = self.big()

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        self.refused(6, "cannot write .*incomplete: File too large", preexec_fn=limit)
        self.assertFalse(os.path.exists(os.path.join(self.store(), "refs", "main")))
        self.pull()                        # and it goes on, once there is room
        self.whole(repo, DENSE)

    @unittest.skipUnless(hasattr(os, "geteuid") and os.geteuid() == 0, "mounting needs root")
    def test_small_disk(self):
        repo = self.big()
        os.mkdir(self.cache)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", self.cache], capture_output=True).returncode:
            self.skipTest("no tmpfs can be mounted here")
        try:
            self.refused(6, r"[0-9.]+ MiB are needed and [0-9.]+ [KM]iB are free")
            self.assertEqual(self.hub.sent.get("model.safetensors", 0), 0, "space is looked at first")
        finally:
            subprocess.run(["umount", self.cache], check=True)

    def test_unwritable(self):
        self.serve()
        with open(self.cache, "w") as f:
            f.write("a file")
        self.refused(6, "cannot make the folder")

    def test_hubs_that_are_none(self):
        self.serve()
        for body, message in [(b"<html>", "no valid JSON"), (b"[]", "no commit"), (b'{"sha":"../x","siblings":[]}', "no commit"), (b"{}", "no commit"),
                              (b'{"sha":"abc"}', "no files"), (b'{"sha":"abc","siblings":[{"rfilename":1}]}', "refused"), (b"", "no valid JSON"),
                              (b'{"sha":"abc","siblings":' + b"[" * 100000, "no valid JSON"), (b"\xff\xfe", "no valid JSON")]:
            self.hub.faults = {"api": Fault(times=1, status=200, body=body)}
            self.refused(4, message)
        self.hub.faults = {"api": Fault(times=1, status=302, headers={"Location": "file:///etc/passwd"})}
        self.refused(6, "org/name")
        self.hub.faults = {"api": Fault(times=1, status=302)}
        self.refused(6, "not where")
        self.hub.faults = {"api": Fault(times=-1, status=302, headers={"Location": "/api/models/org/name/revision/main"})}
        self.refused(6, "in circles")
        self.hub.faults = {"config.json": Fault(times=-1, method="HEAD", headers={"X-Repo-Commit": "c" * 40})}
        self.refused(6, "another commit")
        self.hub.faults = {"config.json": Fault(times=-1, method="HEAD", headers={"ETag": '"../../x"'})}
        self.refused(6, "no ETag")
        for endpoint in ["ftp://x", "file:///etc", "localhost"]:
            self.refused(2, "HF_ENDPOINT", env={**self.env, "HF_ENDPOINT": endpoint})


class Hostile(PullCase):
    NAMES = ["../evil.json", "/etc/evil.json", "a/../../evil.json", "a\\..\\evil.json", "nul\0.json", "a//b.json", "./a.json", "a/.", "..", "",
             "line\nbreak", "a" * 300, "/".join("a" * 200 for _ in range(8)), "esc\x1b[2J"]

    def refuse(self, files, message="refused", **more):
        self.serve(files, **more)
        self.refused(4, message)
        inside = [os.path.join(where, n) for where, _, names in os.walk(self.folder) for n in names]
        self.assertEqual([n for n in inside if "evil" in n], [])

    def test_listed_names(self):
        for name in self.NAMES:
            self.refuse(DENSE, listing=[*DENSE, name])
            self.assertFalse(os.path.exists(self.cache), repr(name))

    def test_modules_and_shards(self):
        for name in ["../evil", "/etc", "a/../../evil", "a\\b", "nul\0"]:
            modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                       {"idx": 1, "name": "1", "path": name, "type": "sentence_transformers.models.Pooling"}]
            self.refuse({**DENSE, "modules.json": json.dumps(modules).encode()})
            files = {n: d for n, d in DENSE.items() if n != "model.safetensors"}
            files["model.safetensors.index.json"] = json.dumps({"weight_map": {"a": name + ".safetensors"}}).encode()
            self.refuse(files)

    def test_links_in_the_way(self):
        """Someone put links where folders and files are to be: nothing is written through them."""
        repo = self.serve()
        outside = self.path("outside")
        os.mkdir(outside)
        os.makedirs(self.snapshot(repo))
        os.symlink(outside, os.path.join(self.snapshot(repo), "1_Pooling"))
        self.refused(6, "cannot make folders")
        self.assertEqual(os.listdir(outside), [])
        shutil.rmtree(self.cache)
        os.makedirs(os.path.join(self.store(), "blobs"))
        target = self.path("outside/target", b"precious")
        data = DENSE["model.safetensors"]
        os.symlink(target, os.path.join(self.store(), "blobs", hashlib.sha256(data).hexdigest() + ".incomplete"))
        self.refused(6, "incomplete")
        self.assertEqual(self.read("outside/target"), b"precious")

    def test_numbers(self):
        self.serve()
        for headers in [{"X-Linked-Size": "9" * 18}, {"X-Linked-Size": "-1"}, {"X-Linked-Size": "18446744073709551616"}]:
            self.hub.faults = {"config.json": Fault(times=-1, method="HEAD", headers=headers)}
            done = run("pull", "org/name", env=self.env)
            self.assertIn(done.returncode, (0, 6), done.err)


class Token(PullCase):
    def seen(self, role):
        return {h.get("Authorization") for r, _, _, h in self.hub.requests if r == role}

    def test_never_leaves_the_hub(self):
        self.serve(gated="auto")
        self.pull(env={**self.env, "HF_TOKEN": self.hub.token})
        self.assertEqual(self.seen("hub"), {"Bearer " + self.hub.token})
        self.assertEqual(self.seen("cdn"), {None})
        self.assertGreater(self.hub.count("cdn", "GET"), 2)

    def test_where_it_comes_from(self):
        self.serve(private=True)
        home = self.path("home")
        os.mkdir(home)
        for path, variables in [("home/token", {}), ("elsewhere", {"HF_TOKEN_PATH": self.path("elsewhere")}),
                                ("third", {"HF_TOKEN_PATH": "~/${FILE}", "HOME": self.folder, "FILE": "third"})]:
            self.path(path, self.hub.token.encode() + b"\n")
            self.pull(env={**self.env, **variables})
            os.remove(self.path(path))
            shutil.rmtree(self.cache)
        self.pull(env={**self.env, "HF_TOKEN": "  %s \n" % self.hub.token})
        self.hub.requests.clear()
        self.refused(2, "HF_TOKEN", env={**self.env, "HF_TOKEN": "a\r\nX-Evil: 1"})
        self.refused(2, "HF_TOKEN", env={**self.env, "HF_TOKEN": "two words"})
        self.assertEqual(self.hub.requests, [])


class Processes(PullCase):
    def setUp(self):
        super().setUp()
        self.repo = self.serve({**DENSE, "model.safetensors": BIG, "1_Pooling/config.json": DENSE["1_Pooling/config.json"]})

    def start(self, *arguments, **more):
        return subprocess.Popen([PROGRAM, "pull", *(arguments or ("org/name",))], env=more.pop("env", self.env), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **more)

    def test_killed_at_random_points(self):
        chance = random.Random(11)
        self.hub.rate = 4 << 20            # the whole takes about a second
        killed = 0
        for i in range(KILLS):
            with self.start() as process:
                time.sleep(chance.random() * (0.1 if chance.random() < 0.5 else 0.4))
                process.kill()
                killed += process.wait() == -signal.SIGKILL
            # At no time does the name stand for half a model, and no blob has a wrong content.
            if os.path.exists(os.path.join(self.store(), "refs", "main")):
                self.whole(self.repo, DENSE)
            blobs = os.path.join(self.store(), "blobs")
            for name in os.listdir(blobs) if os.path.isdir(blobs) else []:
                if "." not in name:
                    with open(os.path.join(blobs, name), "rb") as f:
                        data = f.read()
                    self.assertIn(name, (hashlib.sha256(data).hexdigest(), git_sha1(data)))
            if i % 10 == 9:
                shutil.rmtree(self.cache, ignore_errors=True)
        self.assertGreater(killed, KILLS // 2)
        self.hub.rate = 0
        self.pull()
        self.whole(self.repo, DENSE)

    def test_goes_on_after_a_kill(self):
        self.hub.rate = 1 << 20
        part = os.path.join(self.store(), "blobs", hashlib.sha256(BIG).hexdigest() + ".incomplete")
        with self.start() as process:
            while not os.path.exists(part) or os.path.getsize(part) < 500000:
                time.sleep(0.02)
            process.kill()
        size = os.path.getsize(part)
        self.hub.rate, self.hub.sent = 0, {}
        self.pull()
        self.whole(self.repo, DENSE)
        time.sleep(0.2)
        self.assertEqual([h.get("Range") for r, m, p, h in self.hub.requests if r == "cdn" and m == "GET" and "file=model.safetensors" in p],
                         [None, "bytes=%d-" % size])

    def test_interrupted(self):
        self.hub.rate = 1 << 20
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.start() as process:
                time.sleep(0.5)
                process.send_signal(number)
                err = process.communicate()[1].decode()
            self.assertEqual(process.returncode, 128 + number)
            self.assertIn("goes on from here", err)
        self.hub.rate = 0
        self.pull()
        self.whole(self.repo, DENSE)

    def test_several_at_once(self):
        self.hub.rate = 4 << 20
        pulls = [self.start("-v", "org/name") for _ in range(4)]
        for process in pulls:
            out, err = process.communicate(timeout=120)
            self.assertEqual((process.returncode, out.decode()), (0, self.snapshot(self.repo) + "\n"), err)
        self.whole(self.repo, DENSE)
        gets = [p for r, m, p, h in self.hub.requests if r == "cdn" and m == "GET" and "file=model.safetensors" in p]
        self.assertEqual(len(gets), 1, "one fetches, the others wait")

    def test_waits_for_the_lock(self):
        """huggingface_hub holds an flock of .locks/REPOSITORY/ETAG.lock while it fetches."""
        locks = os.path.join(self.cache, ".locks", "models--org--name")
        os.makedirs(locks)
        with open(os.path.join(locks, hashlib.sha256(BIG).hexdigest() + ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = self.start()
            while b"another process fetches it" not in process.stderr.readline():
                self.assertIsNone(process.poll())
            time.sleep(0.5)
            self.assertIsNone(process.poll())
            self.assertEqual(self.hub.sent.get("model.safetensors", 0), 0)
            self.fails(6, "another process is fetching", "rm", "org/name", env=self.env)
        self.assertEqual(process.communicate(timeout=60) and process.returncode, 0)
        self.whole(self.repo, DENSE)

    def test_progress(self):
        self.hub.rate = 1 << 20
        process = self.start()
        self.assertEqual(process.communicate()[1], b"", "short work is silent")
        shutil.rmtree(self.cache)
        master, slave = pty.openpty()
        env = {**self.env, "LC_ALL": "C"}
        process = subprocess.Popen([PROGRAM, "pull", "org/name"], env=env, stdout=subprocess.PIPE, stderr=slave)
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:
                piece = b""
            if not piece:
                break
            shown += piece
        process.communicate()
        os.close(master)
        self.assertEqual(process.returncode, 0)
        self.assertRegex(shown.decode(), r"#+\.* +\d+ %, \d+ s left, [0-9.]+ [KM]iB of 3\.\d MiB, [0-9.]+ [KM]iB/s")
        self.assertRegex(shown.decode(), r"akiembed: 3\.\d MiB of 3\.\d MiB, [0-9.]+ [KM]iB/s, \d+\.\d s")


class Certificates(PullCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("openssl"):
            raise unittest.SkipTest("no openssl to make a certificate with")
        import tempfile
        cls.keys = tempfile.mkdtemp(prefix="akiembed-test-")
        cls.addClassCleanup(shutil.rmtree, cls.keys)
        cls.certificate = (os.path.join(cls.keys, "cert.pem"), os.path.join(cls.keys, "key.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-keyout", cls.certificate[1], "-out", cls.certificate[0]], check=True, capture_output=True)

    def test_verified_always(self):
        repo = self.serve()
        self.refused(6, ["certificate", "SSL_CERT_FILE"])
        self.assertEqual(self.hub.requests, [])
        env = {**self.env, "SSL_CERT_FILE": self.certificate[0]}
        self.pull(env=env)
        self.whole(repo, DENSE)
        # The name has to be right too, and a redirect never leads to plain http.
        self.refused(6, "certificate|SSL", env={**env, "HF_ENDPOINT": self.hub.url.replace("127.0.0.1", "localhost")})
        self.hub.faults = {"api": Fault(times=1, status=302, headers={"Location": self.hub.url.replace("https", "http")})}
        self.refused(6, "from https to http", env=env)


class Models(PullCase):
    def test_list_and_remove(self):
        self.assertRegex(self.ok("models", env=self.env).err, "no models in")
        self.assertEqual(json.loads(self.ok("models", "--json", env=self.env).stdout), [])
        repo = self.serve()
        other = self.serve(read_folder(os.path.join(CHECKPOINTS, "qwen3")), "org/other")
        self.pull()
        self.pull("org/other")
        repo.commits["b" * 40] = {**DENSE, "config.json": DENSE["config.json"] + b"\n"}
        repo.refs["next"] = "b" * 40
        self.pull("org/name@next")
        rows = json.loads(self.ok("models", "--json", env=self.env).stdout)
        self.assertEqual([(r["name"], r["refs"], r["commit"], r["embedder"]) for r in rows],
                         sorted([("org/name", "main", repo.commit, True), ("org/name", "next", "b" * 40, True), ("org/other", "main", other.commit, True)],
                                key=lambda r: (r[0], r[2])))
        self.assertEqual(rows[0]["size"], sum(map(len, repo.commits[rows[0]["commit"]].values())))
        self.assertEqual(self.ok("models", env=self.env).stdout.decode().count("\n"), 3)
        blobs = set(os.listdir(os.path.join(self.store(), "blobs")))
        self.ok("rm", "org/name@next", env=self.env)
        self.assertEqual(blobs - set(os.listdir(os.path.join(self.store(), "blobs"))), {git_sha1(repo.commits["b" * 40]["config.json"])})
        self.assertEqual(os.listdir(os.path.join(self.store(), "refs")), ["main"])
        self.ok("embed", "-m", "org/name", "a cat", env=self.env)
        self.fails(3, "not in the cache", "rm", "org/name@next", env=self.env)
        self.assertRegex(self.ok("rm", "org/name", env=self.env).err, r"org/name: [0-9.]+ KiB freed")
        self.assertFalse(os.path.exists(self.store()))
        self.fails(3, "not in the cache", "rm", "org/name", env=self.env)
        self.fails(2, "not folders", "rm", "./folder", env=self.env)
        self.fails(2, "one model", "rm", env=self.env)
        self.ok("embed", "-m", "org/other", "a cat", env=self.env)

    def test_rm_beside_a_pull(self):
        """What another process fetches, or has begun to, is not taken away; what an rm that was killed has left goes with the next."""
        repo = self.serve()
        self.pull()
        locks = os.path.join(self.cache, ".locks", "models--org--name")
        loose = os.path.join(self.store(), "blobs", "0" * 40)
        for path in (loose, os.path.join(self.store(), "blobs", "1" * 40), os.path.join(locks, "0" * 40 + ".lock")):
            with open(path, "wb") as f:
                f.write(b"x")
        with open(os.path.join(locks, "0" * 40 + ".lock"), "rb+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.fails(6, "another process is fetching it", "rm", "org/name", env=self.env)
            self.fails(6, "another process is fetching it", "rm", "org/name@" + repo.commit, env=self.env)
        self.ok("embed", "-m", "org/name", "a cat", env=self.env)
        aside = os.path.join(self.cache, ".models--org--name.removed")
        os.makedirs(aside + "/blobs")
        self.assertEqual(json.loads(self.ok("models", "--json", env=self.env).stdout)[0]["name"], "org/name")
        self.ok("rm", "org/name", env=self.env)
        self.assertFalse(os.path.exists(self.store()) or os.path.exists(aside))

    def test_rm_follows_no_links(self):
        outside = self.path("outside")
        os.mkdir(outside)
        self.path("outside/precious", b"!")
        os.makedirs(os.path.join(self.store(), "snapshots"))
        os.symlink(outside, os.path.join(self.store(), "snapshots", "abc"))
        self.ok("rm", "org/name", env=self.env)
        self.assertEqual(self.read("outside/precious"), b"!")

    def test_known(self):
        rows = json.loads(self.ok("models", "--known", "--json", env=self.env).stdout)
        self.assertEqual((rows[0]["name"], rows[0]["dim"], rows[0]["licence"]), ("Qwen/Qwen3-Embedding-0.6B", 1024, "Apache-2.0"))
        self.assertEqual(len({r["alias"] for r in rows}), len(rows))
        text = self.ok("models", "--known", env=self.env).stdout.decode()
        self.assertTrue(all(r["alias"] in text and r["name"] in text for r in rows))


@unittest.skipUnless(importlib.util.find_spec("huggingface_hub"), "huggingface_hub is not there")
class Python(PullCase):
    """The cache is shared with huggingface_hub, both ways."""

    def python(self, code, **more):
        env = {**self.env, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1", **more}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode().strip()

    def test_python_reads_what_pull_wrote(self):
        repo = self.serve({**DENSE, "README.md": b"# card\n"})
        self.pull()
        self.assertEqual(self.python("from huggingface_hub import snapshot_download as s; print(s('org/name', local_files_only=True))"), self.snapshot(repo))
        code = ("from huggingface_hub import scan_cache_dir\nc = scan_cache_dir()\nassert not c.warnings, c.warnings\nr, = c.repos\n"
                "v, = r.revisions\nprint(r.repo_id, r.repo_type, r.nb_files, r.size_on_disk, v.commit_hash, *v.refs)")
        size = sum(map(len, repo.commits[repo.commit].values()))
        self.assertEqual(self.python(code).split(), ["org/name", "model", str(len(DENSE) + 1), str(size), repo.commit, "main"])
        before = self.hub.count("cdn", "GET") + self.hub.count("hub", "GET", "/resolve/")
        self.assertEqual(self.python("from huggingface_hub import snapshot_download as s; print(s('org/name'))"), self.snapshot(repo))
        self.assertEqual(self.python("from huggingface_hub import hf_hub_download as d; print(d('org/name', 'config.json'))"),
                         os.path.join(self.snapshot(repo), "config.json"))
        self.assertEqual(self.hub.count("cdn", "GET") + self.hub.count("hub", "GET", "/resolve/"), before, "it fetches nothing again")

    def test_pull_takes_what_python_wrote(self):
        repo = self.serve()
        self.python("from huggingface_hub import snapshot_download as s; s('org/name')")
        before = self.hub.count("cdn", "GET") + self.hub.count("hub", "GET", "/resolve/")
        self.assertEqual(self.pull().stdout.decode(), self.snapshot(repo) + "\n")
        self.assertEqual(self.hub.count("cdn", "GET") + self.hub.count("hub", "GET", "/resolve/"), before)
        self.whole(repo, DENSE)
        self.ok("embed", "-m", "org/name", "a cat", env={**self.env, "HF_HUB_OFFLINE": "1"})
        self.ok("rm", "org/name", env=self.env)

    def test_together(self):
        repo = self.serve({**DENSE, "model.safetensors": BIG})
        self.hub.rate = 4 << 20
        env = {**self.env, "HF_HUB_DISABLE_XET": "1"}
        python = subprocess.Popen([sys.executable, "-c", "from huggingface_hub import snapshot_download as s; s('org/name')"], env=env)
        pull = subprocess.Popen([PROGRAM, "pull", "-q", "org/name"], env=self.env, stdout=subprocess.DEVNULL)
        self.assertEqual((python.wait(120), pull.wait(120)), (0, 0))
        self.whole(repo, DENSE)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
