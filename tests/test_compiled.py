#!/usr/bin/env python3
"""Tests of the folder of compiled programs, with a provider that stands in for CoreML's: whole programs are used, processes wait for each other, what
a killed one left is never believed, what was not used for longest goes. Standard Python only.

    test_compiled.py PROGRAM CHECKPOINTS FAKE [unittest arguments]     FAKE: the library made of fake_provider.c
AKI_KILLS: processes that are killed while they compile (12).
"""
import glob
import json
import os
import random
import signal
import subprocess
import sys
import time
import unittest

FAKE = sys.argv.pop(3)
from test_cli import CHECKPOINTS, PROGRAM, Case, environment  # noqa: E402: it reads the arguments

KILLS = int(os.environ.get("AKI_KILLS", "12"))
BERT = os.path.join(CHECKPOINTS, "bert")


class Compiled(Case):
    def setUp(self):
        super().setUp()
        self.env = environment(XDG_CACHE_HOME=self.path("cache"))
        self.root = self.path("cache/akiembed/coreml")

    def arguments(self, *options, model=BERT):
        words = ["embed", "a", "-m", model, "--device", "coreml", "--device-plugin", "CoreMLExecutionProvider=" + FAKE, "--test-cache", "off"]
        for option in ("fault=none", *options):
            words += ["--device-option", option]
        return words

    def run_once(self, *options, **more):
        return self.ok(*self.arguments(*options, **more), env=self.env)

    def start(self, *options):
        return subprocess.Popen([PROGRAM, *self.arguments(*options)], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def programs(self):
        """The folders, and those of them that are whole."""
        folders = [f for f in glob.glob(self.root + "/*") if os.path.isdir(f)]
        return folders, [f for f in folders if os.path.exists(f + "/complete")]

    def all_whole(self, count):
        folders, whole = self.programs()
        self.assertEqual((len(folders), len(whole)), (count, count))
        for folder in folders:
            with open(folder + "/program/model") as f:
                self.assertTrue(f.read(5) == "whole")
        # A lock for each, and nothing else.
        self.assertEqual(sorted(os.listdir(self.root)), sorted(os.path.basename(f) + end for f in folders for end in ("", ".lock")))

    def test_kept_and_told(self):
        self.run_once()
        self.all_whole(4)
        made = {f: os.stat(f + "/program/model").st_ino for f in self.programs()[1]}
        self.run_once()
        self.assertEqual(made, {f: os.stat(f + "/program/model").st_ino for f in self.programs()[1]})
        told = json.loads(self.ok("devices", "--json", env=self.env).stdout)["compiled"]
        self.assertEqual((told["programs"], told["size"], told["most_size"], told["folder"]), (4, 4 * 6, 16 << 30, self.root))
        self.assertIn("4 programs, 24 bytes of at most 16.0 GiB", self.ok("devices", env=self.env).stdout.decode())
        self.assertIn("4 programs of devices, 24 bytes of at most 16.0 GiB", self.ok("info", "-m", BERT, env=self.env).stdout.decode())
        # Other settings, and another model, are other programs.
        self.run_once("flush=1")
        self.all_whole(8)
        self.assertIn("48 bytes freed", self.ok("rm", "--compiled", env=self.env).err)
        self.assertEqual(os.listdir(self.root), [])
        self.fails(2, "not both", "rm", "--compiled", "minilm", env=self.env)

    def test_broken_programs_are_made_again(self):
        self.run_once()
        for folder in self.programs()[1]:
            with open(folder + "/program/model", "w") as f:
                f.write("half")
        self.run_once()
        self.all_whole(4)
        # What fails leaves nothing.
        self.fails(5, "cannot write the compiled mode", *self.arguments("weights=-1"), env=self.env)
        self.all_whole(4)

    def test_two_at_once(self):
        both = [self.start("compile_ms=150") for _ in range(2)]
        for p in both:
            self.assertEqual(p.wait(), 0, p.stderr.read())
            p.stdout.close()
            p.stderr.close()
        self.all_whole(4)

    def test_killed_while_compiling(self):
        numbers, broken = random.Random(1), 0
        for _ in range(KILLS):
            p = self.start("compile_ms=60")
            time.sleep(numbers.uniform(0.02, 0.5))
            p.send_signal(signal.SIGKILL)
            p.communicate()
            folders, whole = self.programs()
            broken += len(folders) > len(whole)
            if numbers.random() < 0.3:
                for folder in whole:
                    subprocess.run(["rm", "-r", folder], check=True)         # so that there is something to compile
        self.assertGreater(broken, 0, "no process was killed while it compiled")
        # Whoever looks takes away what was left; whoever computes makes it again.
        self.ok("devices", env=self.env)
        folders, whole = self.programs()
        self.assertEqual(len(folders), len(whole))
        self.run_once("compile_ms=60")
        self.all_whole(4)

    def test_ceiling(self):
        """Sparse files of 5 GiB: three fit."""
        self.run_once("weights=%d" % (5 << 30))
        self.all_whole(3)
        for i, folder in enumerate(sorted(self.programs()[0])):
            os.utime(folder + "/complete", (1000 * i + 1000, 1000 * i + 1000))
        oldest = sorted(self.programs()[0])[0]
        self.run_once("weights=%d" % (5 << 30), "flush=1")
        self.all_whole(3)
        self.assertFalse(os.path.exists(oldest))
        size = json.loads(self.ok("devices", "--json", env=self.env).stdout)["compiled"]["size"]
        self.assertEqual(size, 3 * 5 << 30)

    def test_in_use(self):
        """Programs of a session that is open are nobody's to remove."""
        p = subprocess.Popen([PROGRAM, *self.arguments()[:1], *self.arguments()[2:]], env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdin.write(b"a cat\n" * 3000)        # more than the program reads before it computes
        p.stdin.flush()
        self.assertTrue(p.stdout.read(1))
        self.fails(6, "in use", "rm", "--compiled", env=self.env)
        self.assertTrue(self.programs()[1])
        p.communicate()
        self.assertEqual(p.returncode, 0)
        self.ok("rm", "--compiled", env=self.env)
        self.assertEqual(self.programs()[0], [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
