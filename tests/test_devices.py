#!/usr/bin/env python3
"""Tests of the program's devices: what is listed, refused, said and computed; with a provider library that computes wrongly on purpose, and
with the OpenVINO inside onnxruntime-openvino where tests/requirements.txt is installed. Standard Python only.

    test_devices.py PROGRAM CHECKPOINTS FAKE [unittest arguments]     FAKE: the library made of fake_provider.c
"""
import glob
import json
import os
import socket
import subprocess
import sys
import time
import unittest
import urllib.request

FAKE = sys.argv.pop(3)
from test_cli import CHECKPOINTS, PROGRAM, Case, environment, floats, joined, texts  # noqa: E402: it reads the arguments

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MINILM = os.path.join(ROOT, "third_party/models/all-MiniLM-L6-v2")
FAULTY = ["--device", "fake", "--device-plugin", "fake=" + FAKE, "--device-option"]


def openvino():
    """The folder of an ONNX Runtime with OpenVINO, made to be found by the loader; or None."""
    for library in glob.glob(os.path.join(ROOT, ".venv-tests/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.1.*")):
        folder = os.path.dirname(library)
        link = os.path.join(folder, "libonnxruntime.so.1")
        if os.path.exists(os.path.join(folder, "libonnxruntime_providers_openvino.so")):
            if not os.path.exists(link):
                os.symlink(os.path.basename(library), link)
            return folder
    return None


class Devices(Case):
    def vectors(self, *arguments, **more):
        return floats(self.ok("embed", "--format", "raw", *arguments, stdin=joined(texts(24)), **more).stdout)

    def near(self, got, wanted, bound):
        self.assertEqual(len(got), len(wanted))
        self.assertLessEqual(max(abs(a - b) for a, b in zip(got, wanted)), bound)

    def test_absent_devices_are_refused(self):
        for name in ["cuda", "dml", "webgpu"] + ["coreml"] * (sys.platform != "darwin"):
            for verb in [["embed", "a"], ["info"], ["verify"], ["bench", "--seconds", "1"], ["similarity", "a", "b"]]:
                done = self.fails(5, ['"%s" is not available' % name, "ExecutionProvider is not in this ONNX Runtime", "available: cpu, portable"], *verb, "--device", name)
                self.assertEqual(done.stdout, b"")
        self.fails(5, "not available", "embed", "a", env=environment(AKIEMBED_DEVICE="cuda"))
        self.fails(5, "no such file", "devices", "--device-plugin", self.path("x.so"))
        self.fails(5, "x.so", "devices", "--device-plugin", self.path("x.so", b"no library"))

    def test_lists(self):
        listed = {d["name"]: d for d in json.loads(self.ok("devices", "--json", "--device-plugin", "fake=" + FAKE).stdout)["devices"]}
        self.assertTrue(listed["cpu"]["usable"] and listed["portable"]["usable"] and listed["fake"]["usable"])
        self.assertIn("plugin of AkiEmbed's tests", listed["fake"]["description"])
        for name in ["coreml", "cuda", "dml", "webgpu", "openvino"]:
            self.assertEqual(listed[name]["usable"], listed[name]["reason"] is None)

    def test_portable(self):
        for name in ["bert-dense", "qwen3", "xlmr"]:
            folder = os.path.join(CHECKPOINTS, name)
            wanted = self.vectors("-m", folder)
            for more in [(), ("--device-option", "aki.shapes=fixed"), ("--device-option", "aki.shapes=fixed", "--max-buckets", "1", "--max-batch-tokens", "40")]:
                self.near(self.vectors("-m", folder, "--device", "portable", *more), wanted, 2e-5)
            info = json.loads(self.ok("info", "--json", "-m", folder, "--device", "portable", "--precision", "f16").stdout)
            self.assertEqual((info["device"], info["precision"], info["nodes"]["elsewhere"], info["fell_back"]), ("portable", "f16", 0, False))
            self.assertIn("least cosine", info["device_note"])
            for precision in ["f32", "f16"]:
                done = self.ok("verify", "-m", folder, "--device", "portable", "--precision", precision, "--json")
                self.assertTrue(json.loads(done.stdout)["pass"])
        self.fails(5, "int8 is for the cpu", "embed", "a", "--device", "portable", "--precision", "int8")
        for more in [[], ["--device", "cpu"]]:
            self.fails(2, "f16 is for other devices", "embed", "a", "--precision", "f16", *more)

    def test_wrong_devices_are_refused(self):
        for fault, says in [("nan", "18 vectors with NaN"), ("zeros", "18 of zeros"), ("noise", "least cosine"), ("error", "broken on purpose"), ("few", "106 on the cpu")]:
            done = self.fails(5, ["failed its self-test", says], "embed", "a", *FAULTY, "fault=" + fault)
            self.assertEqual(done.stdout, b"")
        wanted = self.vectors()
        done = self.ok("embed", "--format", "raw", *FAULTY, "fault=noise", "--device-fallback", stdin=joined(texts(24)))
        self.assertEqual(floats(done.stdout), wanted)
        self.assertRegex(done.err, "least cosine.*computing on the cpu instead")
        info = json.loads(self.ok("info", "--json", *FAULTY, "fault=nan", "--device-fallback").stdout)
        self.assertEqual((info["device"], info["fell_back"]), ("cpu", True))
        self.assertIn("18 vectors with NaN", info["device_note"])
        self.assertIn("18 vectors with NaN", self.ok("info", *FAULTY, "fault=nan", "--device-fallback").stdout.decode())

    def test_remembered(self):
        note = lambda *more, **env: json.loads(self.ok("info", "--json", "--device", "portable", *more, env=environment(**env)).stdout)["device_note"]
        again = "remembered: test_cache renew tests again"
        self.assertNotIn(again, note("--max-batch-tokens", "77"))
        self.assertIn(again, note("--max-batch-tokens", "77"))
        self.assertIn(again, note("--max-batch-tokens", "77", "--test-cache", "on"))
        for how in ["renew", "off"]:
            self.assertNotIn(again, note("--max-batch-tokens", "77", "--test-cache", how))
            self.assertNotIn(again, note("--max-batch-tokens", "77", AKIEMBED_TEST_CACHE=how))
        self.assertNotIn(again, note("--max-batch-tokens", "77", XDG_CACHE_HOME=self.path("another")))
        self.fails(2, "test-cache", "info", "--test-cache", "x")
        for remembered in [False, True]:
            done = self.fails(5, "failed its self-test", "embed", "a", *FAULTY, "fault=nan", "--max-batch-tokens", "77")
            self.assertEqual(again in done.err, remembered)

    def test_auto(self):
        done = self.ok("info", "--json", "--device", "auto", "--device-plugin", "fake=" + FAKE)
        info = json.loads(done.stdout)
        self.assertEqual((info["device"], info["fell_back"]), ("cpu", False))
        self.assertRegex(info["device_note"], r"^auto: cpu [0-9.]+ ms a text, fake failed$")
        self.fails(4, "auto", "info", "--device", "auto", "--device-option", "a=b")

    def test_the_service_tells(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        server = subprocess.Popen([PROGRAM, "serve", "-q", "--port", str(port), *FAULTY, "fault=zeros", "--device-fallback"], env=environment(), stderr=subprocess.DEVNULL)
        try:
            info = json.loads(self.fetch(server, port, "/info"))
            self.assertEqual((info["device"], info["device_fell_back"]), ("cpu", True))
            self.assertIn("18 of zeros", info["device_note"])
            self.assertIn("\nakiembed_device_fallback{model=\"bert\"} 1\n", self.fetch(server, port, "/metrics"))
        finally:
            server.terminate()
            server.wait(60)

    def fetch(self, server, port, path):
        while True:
            try:
                with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path)) as answer:
                    return answer.read().decode()
            except OSError:
                self.assertIsNone(server.poll(), "the service has ended")
                time.sleep(0.05)

    @unittest.skipUnless(openvino(), "no onnxruntime-openvino in .venv-tests")
    def test_openvino(self):
        env = environment(LD_LIBRARY_PATH=openvino())
        listed = {d["name"]: d for d in json.loads(self.ok("devices", "--json", env=env).stdout)["devices"]}
        self.assertTrue(listed["openvino"]["usable"])
        for folder in [os.path.join(CHECKPOINTS, n) for n in ("bert", "qwen3", "roberta")] + [MINILM] * os.path.exists(MINILM):
            wanted = self.vectors("-m", folder)
            # The same library, on the cpu of another ONNX Runtime, and on OpenVINO.
            self.near(self.vectors("-m", folder, env=env), wanted, 1e-6)
            self.near(self.vectors("-m", folder, "--device", "openvino", env=env), wanted, 2e-5)
            info = json.loads(self.ok("info", "--json", "-m", folder, "--device", "openvino", env=env).stdout)
            self.assertEqual((info["device"], info["nodes"]["elsewhere"], info["partitions"], info["fell_back"]), ("openvino", 0, 1, False))
            self.assertGreater(info["nodes"]["openvino"], 50)
            self.assertIn("remembered", info["device_note"])
            self.assertRegex(info["runtime"], r"ONNX Runtime 1\.24")
        self.assertTrue(json.loads(self.ok("verify", "--json", "--device", "openvino", "-m", os.path.join(CHECKPOINTS, "bert"), env=env).stdout)["pass"])
        self.assertEqual(json.loads(self.ok("bench", "--json", "--seconds", "1", "--device", "openvino", env=env).stdout)["device"], "openvino")
        self.fails(5, "OpenVINO", "info", "--device", "openvino", "--device-option", "device_type=NPU", env=env)
        self.fails(5, "OpenVINO", "info", "--device", "openvino", "--device-option", "no_such_key=1", env=env)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
