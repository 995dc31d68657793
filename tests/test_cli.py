#!/usr/bin/env python3
"""Tests of the program: its words, formats, exit statuses, resuming, and what it does with bad input. Standard Python only.

    test_cli.py PROGRAM CHECKPOINTS [unittest arguments]     CHECKPOINTS: the folder that make_checkpoints.py wrote
"""
import array
import atexit
import ctypes
import glob
import hashlib
import json
import math
import os
import pty
import select
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, CHECKPOINTS = sys.argv[1:3]
MODEL = os.path.join(CHECKPOINTS, "bert")
VERBS = ["embed", "tokenize", "similarity", "rerank", "classify", "info", "quantize", "export", "verify", "bench", "devices", "serve", "pull", "models", "rm", "check", "completion"]
with open(PROGRAM, "rb") as program:
    SANITIZED = bool(re.search(b"__[at]san_init", program.read()))
if subprocess.run([PROGRAM, "pull", "--help"], capture_output=True).returncode:
    VERBS.remove("pull")                   # built without libcurl
WORDS = "the cat sat on a warm mat and saw two dogs run far over old hills by night while rain fell".split()


# What is cached is this run's alone.
CACHE = tempfile.mkdtemp()
atexit.register(shutil.rmtree, CACHE, True)


def environment(**more):
    env = {k: v for k, v in os.environ.items() if k == "AKIEMBED_ISA" or not k.startswith(("AKIEMBED_", "HF_", "XDG_"))}
    env.update(XDG_CACHE_HOME=CACHE, AKIEMBED_MODEL=MODEL, AKIEMBED_THREADS="1", LC_ALL="C.UTF-8", COLUMNS="100")
    env.update(more)
    return {k: v for k, v in env.items() if v is not None}


def run(*arguments, stdin=b"", env=None, **more):
    """A finished run: its returncode, stdout and stderr."""
    done = subprocess.run([PROGRAM, *arguments], input=stdin, env=env or environment(), capture_output=True, timeout=300, **more)
    done.err = done.stderr.decode()
    return done


def texts(count, seed=1):
    out = []
    for i in range(count):
        n = (i * 7 + seed) % 11
        out.append(" ".join(WORDS[(i * 5 + k * k + seed) % len(WORDS)] for k in range(n)) + (" %d" % i if n else ""))
    return out


def joined(lines):
    return "".join(line + "\n" for line in lines).encode()


def rows(output):
    return [json.loads(line) for line in output.splitlines()]


def floats(raw):
    values = array.array("f")
    values.frombytes(raw)
    return values


def f32(values):
    """What a reader gets who parses to float32."""
    return array.array("f", [float(v) for v in values])


def npy(raw):
    """type, (rows, columns), data of a .npy file."""
    assert raw[:8] == b"\x93NUMPY\x01\x00", raw[:16]
    size = struct.unpack("<H", raw[8:10])[0]
    header = eval(raw[10:10 + size].decode(), {})
    assert header["fortran_order"] is False and (10 + size) % 64 == 0
    return header["descr"], header["shape"], raw[10 + size:]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="akiembed-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name, data=None):
        path = os.path.join(self.folder, name)
        if data is not None:
            with open(path, "wb") as f:
                f.write(data)
        return path

    def read(self, name):
        with open(os.path.join(self.folder, name), "rb") as f:
            return f.read()

    def ok(self, *arguments, **more):
        done = run(*arguments, **more)
        self.assertEqual(done.returncode, 0, (arguments, done.err))
        return done

    def fails(self, code, message, *arguments, **more):
        """message: regular expressions that stderr must match."""
        done = run(*arguments, **more)
        self.assertEqual(done.returncode, code, (arguments, done.err))
        for part in [message] if isinstance(message, str) else message:
            self.assertRegex(done.err, part)
        return done


class Words(Case):
    """Help, usage errors, and all that is made from the table of options."""

    def options(self, verb):
        return sorted(set(re.findall(r"^ +(?:-\w, )?--([a-z0-9-]+)", self.ok(verb, "--help").stdout.decode(), re.M)))

    def test_help(self):
        done = self.ok("--help")
        for verb in VERBS:
            self.assertIn("\n  %s " % verb, done.stdout.decode())
            text = self.ok(verb, "--help").stdout.decode()
            self.assertEqual(text, self.ok(verb, "-h").stdout.decode())
        self.assertEqual(done.err, "")
        self.assertIn("--chunk-pool", self.options_text())

    def test_help_fits_the_terminal(self):
        """Examples stay whole lines, to be copied, and an option's name stays with its choices."""
        for width, most in [("40", 40), ("64", 64), ("80", 80), ("100", 100), ("200", 100), (None, 80)]:
            for words in [["--help"]] + [[verb, "--help"] for verb in VERBS]:
                lines = self.ok(*words, env=environment(COLUMNS=width)).stdout.decode().splitlines()
                longest = max((line for line in lines if not re.match(r"  (akiembed|echo) | +(-\w, )?--|\s*\S*$", line)), key=len)
                self.assertLessEqual(len(longest), most, (width, words, longest))
                self.assertTrue(most < 100 or words[0] != "embed" or len(longest) > 80, (width, words, longest))

    def options_text(self):
        return self.ok("embed", "--help").stdout.decode()

    def entries(self, verb):
        """What --help says of each of the verb's options, in one line."""
        text = self.ok(verb, "--help").stdout.decode()
        found = re.findall(r"^ {2,6}(?:-\w, )?--([a-z0-9-]+)(?: (\S+))?\s+(.*\n(?: {28}.*\n)*)", text, re.M)
        return {name: " ".join(said.split()) for name, value, said in found}

    def bounds(self, said):
        """Least, most and default (text) of an option in its help; None where it says none."""
        found = re.search(r" \((?:(\d+) to (\d+))?(?:; )?(?:default: (.*))?\)$", said)
        return (found[1] and int(found[1]), found[2] and int(found[2]), found[3]) if found else (None, None, None)

    def test_help_of_a_verb(self):
        self.assertEqual(self.ok("help").stdout, self.ok("--help").stdout)
        for verb in VERBS:
            self.assertEqual(self.ok("help", verb).stdout, self.ok(verb, "--help").stdout)
        self.fails(2, "did you mean 'embed'", "help", "embde")
        self.fails(2, "one verb", "help", "embed", "info")

    def test_defaults_are_everywhere_the_same(self):
        """The table has each default and each bound once: --help, the manual, the completions and docs/http.md say the same."""
        manual = self.ok("completion", "man").stdout.decode().replace("\\-", "-")
        fish = self.ok("completion", "fish").stdout.decode()
        for verb in VERBS:
            entries = self.entries(verb)
            self.assertEqual(sorted(entries), self.options(verb))
            for name, said in entries.items():
                with self.subTest(verb + " --" + name):
                    self.assertIn("%s.\nFor" % said, manual)
                    self.assertRegex(fish, r"(?m)from %s' -l %s .*-d '%s'$" % (verb, name, re.escape(said.replace("'", "\\'"))))
        serve = self.entries("serve")
        self.assertEqual(self.bounds(serve["port"]), (0, 65535, "8080; 0: any free one"))
        self.assertEqual(self.bounds(serve["max-body"]), (1, 1 << 30, "2000000"))
        self.assertEqual(self.bounds(serve["host"]), (None, None, "127.0.0.1"))
        with open(os.path.join(os.path.dirname(__file__), "..", "docs", "http.md"), encoding="utf-8") as f:
            told = dict(re.findall(r"^\| `--([a-z-]+)(?: \S+)?` \| (.*) \|$", f.read(), re.M))
        first, last = list(serve).index("host"), list(serve).index("drain")
        self.assertEqual(sorted(told), sorted(list(serve)[first:last + 1]))
        for name, row in told.items():
            least, most, default = self.bounds(serve[name])
            meaning = re.sub(r" \([^()]*\)$", "", serve[name]) if least is not None or default else serve[name]
            self.assertEqual(row.split(" | "), [meaning, default or "", "" if least is None else "%d to %d" % (least, most)], name)

    def test_bounds_hold(self):
        """What --help says a number may be is what is refused beyond, and, of a number of the library, what the library says."""
        seen = {}
        for verb in VERBS:
            for name, said in self.entries(verb).items():
                least, most, default = self.bounds(said)
                if least is None or name in seen:
                    continue
                seen[name] = (least, most, default)
                for value in [str(least - 1), str(most + 1)]:
                    self.fails(2, "--%s is a number from %d to %d, not '%s'" % (name, least, most, value), verb, "--%s=%s" % (name, value))
        self.assertGreaterEqual(len(seen), 15)
        libraries = glob.glob(os.path.join(os.path.dirname(PROGRAM), "libakiembed.*"))
        if SANITIZED or not any(re.search(r"\.(so|dylib)$", path) for path in libraries):
            return
        library = ctypes.CDLL(next(path for path in libraries if re.search(r"\.(so|dylib)$", path)))
        entries = self.entries("embed")
        for name, number in [("threads", b"threads"), ("max-buckets", b"max_buckets"), ("max-batch-tokens", b"max_batch_tokens"), ("prefix-cache", b"prefix_cache_mb")]:
            bounds = [ctypes.c_int64() for _ in range(3)]
            self.assertEqual(library.aki_option_bounds(None, number, *map(ctypes.byref, bounds), None), 0)
            least, most, preset = (b.value for b in bounds)
            said = self.bounds(entries[name])
            if most < 2**31 - 1:
                self.assertEqual(said[1], most, name)
            if preset:
                self.assertEqual(said[2].split(";")[0], str(preset), name)

    def test_version(self):
        version = self.ok("--version").stdout.decode()
        self.assertRegex(version, r"^akiembed \d+\.\d+\.\d+\n$")
        for verb in VERBS:
            self.assertEqual(self.ok(verb, "--version").stdout.decode(), version)
        self.assertEqual(self.ok("embed", "-m", "/nonexistent", "--version", "--chnk").stdout.decode(), version)

    def test_verbs_that_are_none(self):
        self.fails(2, "--help")
        self.fails(2, ["did you mean 'embed'", "tokenize, similarity"], "embde")
        self.fails(2, ", ".join(VERBS), "frobnicate")
        self.fails(2, "verb comes before", "--model", MODEL, "embed")

    def test_usage_errors_say_what_is_allowed(self):
        for arguments, message in [
            (["embed", "--chnk", "3", "a"], "did you mean --chunk"),
            (["embed", "--top", "3", "a"], "not an option of embed"),
            (["embed", "-Z", "a"], "no option -Z"),
            (["embed", "--dim"], "--dim needs a value"),
            (["embed", "--dim", "0", "a"], "1 or more"),
            (["embed", "--dim", "49", "a"], "1 to 48"),
            (["embed", "--dim", "4x", "a"], "4x"),
            (["embed", "--dim", "99999999999999999999", "a"], "--dim"),
            (["embed", "--threads", "0", "a"], "1 to 1024"),
            (["embed", "--pooling", "sum", "a"], r"cls\|mean\|max"),
            (["embed", "--truncate", "up", "a"], r"right\|left\|error"),
            (["embed", "--max-tokens", "2", "a"], "3"),
            (["embed", "--max-tokens", "100000", "a"], "max.tokens"),
            (["embed", "--dtype", "int8", "a"], "--ranges FILE.npy or --calibrate"),
            (["embed", "--dtype", "uint8", "a"], "--ranges FILE.npy or --calibrate"),
            (["embed", "--calibrate", "x", "a"], "int8"),
            (["embed", "--overlap", "3", "a"], "--chunk"),
            (["embed", "--chunk", "10", "--overlap", "8", "a"], "--overlap"),
            (["embed", "--chunk", "2", "a"], "3 or more"),
            (["embed", "--chunk", "65", "a"], "at most 64"),
            (["embed", "--chunk", "9", "--tokens", "a"], "exclude"),
            (["embed", "--tokens", "--dim", "3", "a"], "--dim"),
            (["embed", "--tokens", "--format", "csv", "a"], "jsonl"),
            (["embed", "--tokens", "--format", "npy", "a", "b"], "one text"),
            (["embed", "--resume"], "-o FILE"),
            (["embed", "--resume", "-o", "x.json"], "not with json"),
            (["embed", "--resume", "--force", "-o", "x.npy"], "exclude"),
            (["embed", "-o", "x.parquet", "a"], r"'.parquet'; there are .jsonl, .json, .npy, .raw and .csv"),
            (["embed", "-o", "dir.d/x.txt", "a"], "'.txt'"),
            (["embed", "--csv", "--jsonl"], "exclude"),
            (["embed", "--column", "a", "--field", "b"], "exclude"),
            (["embed", "--column", "a", "--jsonl"], "does not go with --jsonl"),
            (["embed", "--field", "a", "--null"], "does not go with --null"),
            (["embed", "--column", "x", "a"], "--column is for texts from"),
            (["similarity", "--duplicates"], "--vectors"),
            (["similarity", "--texts", "x", "a"], "--vectors"),
            (["similarity", "--vectors", "x.npy", "a", "b"], "takes the place of texts"),
            (["embed", "--jsonl", "a"], "--jsonl"),
            (["embed", "--jsonl", "--null"], "exclude"),
            (["embed", "-f", "x", "a"], "both"),
            (["embed", "--device-option", "x", "a"], "KEY=VALUE"),
            (["similarity"], "QUERY"),
            (["info", "x"], "-m"),
            (["completion", "tcsh"], "bash, zsh or fish"),
        ]:
            with self.subTest(arguments):
                done = self.fails(2, message, *arguments)
                self.assertEqual(done.stdout, b"")

    def test_texts_behind_two_dashes(self):
        self.assertEqual(self.ok("tokenize", "--", "--dim").stdout, self.ok("tokenize", stdin=b"--dim").stdout)

    def test_environment(self):
        def dim(*arguments, **variables):
            return len(rows(self.ok("embed", "-q", "a cat", *arguments, env=environment(**variables)).stdout)[0]["embedding"])

        self.assertEqual(dim(), 48)
        self.assertEqual(dim(AKIEMBED_DIM="5"), 5)
        self.assertEqual(dim("--dim", "7", AKIEMBED_DIM="5"), 7)
        self.assertEqual(dim(AKIEMBED_DIM=""), 48)
        self.fails(2, "AKIEMBED_DIM", "embed", "a", env=environment(AKIEMBED_DIM="x"))
        self.fails(2, "AKIEMBED_QUIET is 1 or 0", "embed", "a", env=environment(AKIEMBED_QUIET="maybe"))
        self.assertEqual(self.ok("embed", "a", "--dim", "3", env=environment(AKIEMBED_QUIET="1")).err, "")
        # What is typed wins over a variable that it excludes, and texts on the command line over a file.
        self.ok("embed", "a", env=environment(AKIEMBED_JSONL="1", AKIEMBED_FILE="/nonexistent"))
        self.ok("embed", "--null", stdin=b"a\0b", env=environment(AKIEMBED_JSONL="1"))
        self.fails(5, "device", "embed", "a", env=environment(AKIEMBED_DEVICE_OPTION="a=1,b=2"))

    def test_manual_page(self):
        page = self.ok("completion", "man").stdout
        plain = page.decode().replace("\\-", "-")
        for verb in VERBS:
            for option in self.options(verb):
                self.assertIn("--" + option, plain)
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z"], input=page, capture_output=True)
            self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_completion(self):
        for shell, check in [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])]:
            script = self.path("script", self.ok("completion", shell).stdout)
            for verb in VERBS:
                for option in self.options(verb):
                    self.assertIn(option, self.read("script").decode())
            if shutil.which(check[0]):
                subprocess.run([*check, script], check=True)
        asked = "source %s; COMP_WORDS=(akiembed embed --pooling w); COMP_CWORD=3; _akiembed; echo ${COMPREPLY[@]}; " \
                "COMP_WORDS=(akiembed t); COMP_CWORD=1; _akiembed; echo ${COMPREPLY[@]}; " \
                "COMP_WORDS=(akiembed similarity --t); COMP_CWORD=2; _akiembed; echo ${COMPREPLY[@]}"
        script = self.path("script", self.ok("completion", "bash").stdout)
        done = subprocess.run(["bash", "-c", asked % script], capture_output=True, check=True)
        self.assertEqual(done.stdout, b"weightedmean\ntokenize\n--texts --test-cache --threads --truncate --top --threshold\n")


class Input(Case):
    def ids(self, *arguments, **more):
        return rows(self.ok("tokenize", *arguments, **more).stdout)

    def test_lines(self):
        # A byte-level tokenizer sees each byte; that of BERT would pass over a carriage return.
        model = ["-m", os.path.join(CHECKPOINTS, "qwen3")]
        for stdin, words in [(b"a\r\n\r\nb\r\r\n", ["a", "", "b\r"]), (b"a\n\rb\nc\r", ["a", "\rb", "c\r"]), (b"\n\n", ["", ""])]:
            self.assertEqual(self.ids(*model, stdin=stdin), self.ids(*model, "--", *words))
        wanted = self.ids("a cat", "", "dogs", "the end")
        for stdin in [b"a cat\n\ndogs\nthe end\n", b"a cat\r\n\r\ndogs\nthe end", b"a cat\n\ndogs\nthe end\r\n"]:
            self.assertEqual(self.ids(stdin=stdin), wanted)
            self.assertEqual(self.ids("-f", "-", stdin=stdin), wanted)
            self.assertEqual(self.ids("-f", self.path("t", stdin)), wanted)
        self.assertEqual(self.ids(stdin=b""), [])
        self.assertEqual(self.ids(stdin=b"\n"), self.ids(""))
        self.assertEqual(self.ids("--null", stdin=b"a cat\0\0dogs\0the end"), wanted)
        self.assertEqual(self.ids("--null", stdin=b"a cat\0\0dogs\0the end\0"), wanted)
        self.assertEqual(len(self.ids("--null", stdin=b"a\r\nb\n\0c")), 2)
        self.assertEqual(len(self.ids(stdin=b"a\0cat\n")), 1)
        self.assertEqual([r["index"] for r in rows(self.ok("embed", stdin=b"a\n\nb").stdout)], [0, 1, 2])

    def test_byte_order_mark(self):
        """Files saved on Windows begin with one: it is no part of the first text. Anywhere else it is a character as any other."""
        model = ["-m", os.path.join(CHECKPOINTS, "qwen3")]
        mark, wanted = b"\xef\xbb\xbf", self.ids(*model, "a cat", "two dogs")
        for stdin in [b"a cat\r\ntwo dogs\r\n", b"a cat\ntwo dogs"]:
            self.assertEqual(self.ids(*model, stdin=mark + stdin), wanted)
            self.assertEqual(self.ids(*model, "-f", self.path("t", mark + stdin)), wanted)
        self.assertEqual(self.ids(*model, "--null", stdin=mark + b"a cat\0two dogs"), wanted)
        self.assertEqual(self.ids(*model, "--jsonl", stdin=mark + b'{"text":"a cat"}\n"two dogs"\n'), wanted)
        self.assertEqual(self.ids(*model, stdin=mark), [])
        self.assertEqual(self.ids(*model, stdin=mark + b"\n"), self.ids(*model, ""))
        self.assertEqual(len(self.ids(*model, stdin=mark + mark + b"a")[0]), len(self.ids(*model, "a")[0]) + len(self.ids(*model, "\ufeff")[0]) - len(self.ids(*model, "")[0]))
        self.assertNotEqual(self.ids(*model, stdin=b"a cat\n" + mark + b"two dogs\n"), wanted)
        self.assertNotEqual(self.ids(*model, "\ufeffa cat", "two dogs"), wanted)
        self.assertEqual(self.ids(*model, stdin=mark[:2] + b"\xbea\n"), self.ids(*model, "\ufefea"))

    def test_many_batches_keep_the_order(self):
        lines = texts(3000)
        got = rows(self.ok("embed", stdin=joined(lines), env=environment(AKIEMBED_DIM="4", AKIEMBED_QUIET="1")).stdout)
        self.assertEqual([r["index"] for r in got], list(range(3000)))
        for i in (0, 1023, 1024, 2048, 2999):
            one = rows(self.ok("embed", "-q", "--dim", "4", "--", lines[i]).stdout)[0]
            self.assertLess(max(abs(a - b) for a, b in zip(one["embedding"], got[i]["embedding"])), 1e-5)

    def test_invalid_utf8(self):
        for line, byte in [(b"\xff", 1), (b"ab\xc3", 3), (b"a\xed\xa0\x80", 2), (b"\xc0\x80", 1), (b"abc\xf5\x80\x80\x80", 4), (b"\xe2\x82", 1)]:
            for verb in ["embed", "tokenize"]:
                done = self.fails(4, ["line 3, byte %d" % byte, "UTF-8"], verb, stdin=b"fine\n\n" + line + b"\nmore")
            self.fails(4, "line 2, byte", "embed", "--jsonl", stdin=b'"a"\n"' + line + b'"\n')
            self.fails(4, ["text 2, byte %d" % byte], "embed", "a", line)
            self.fails(4, ["text 2, byte %d" % byte], "embed", "--null", stdin=b"a\0" + line)
        self.fails(4, "query", "similarity", b"\xff", "a")
        self.fails(4, "line 1", "similarity", "a", stdin=b"\xff\n")

    def test_jsonl(self):
        stdin = b'{"id" : 7,"text":"a cat","tags":["x", {"y":1.50}]}\n"dogs \\u0041\\ud83d\\ude00\\n"\n{"te\\u0078t":"","\xc3\xa9":null}\r\n'
        done = self.ok("embed", "--jsonl", "--dim", "2", "-q", stdin=stdin)
        lines = done.stdout.decode().splitlines()
        self.assertRegex(lines[0], r'^\{"index":0,"tokens":\d+,"id" : 7,"tags":\["x", \{"y":1.50\}\],"embedding":\[[^]]*\]\}$')
        self.assertRegex(lines[1], r'^\{"index":1,"tokens":\d+,"embedding":')
        self.assertRegex(lines[2], r'^\{"index":2,"tokens":2,"é":null,"embedding":')
        self.assertEqual(self.ids("--jsonl", stdin=stdin), self.ids("--null", stdin="a cat\0dogs A😀\n\0\0".encode()))
        # Members that rows have themselves are left out, and this is told.
        done = self.ok("embed", "--jsonl", stdin=b'{"text":"a","index":5,"tokens":1,"embedding":[]}')
        self.assertEqual(rows(done.stdout)[0]["index"], 0)
        self.assertEqual(done.stdout.count(b'"index"'), 1)
        self.assertIn("left out", done.err)

    def test_bad_jsonl(self):
        for line in [b"", b"{}", b"[]", b"1", b"null", b"{", b'{"text"', b'{"text":', b'{"text":"a"', b'{"text":"a",}', b'{"text":1}', b'{"text":null}',
                     b'{"text":"a"}}', b'"a" "b"', b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\u0041"', b'"\\x"', b'"\\u12"', b'"a\tb"', b'"a', b'{"a":01,"text":""}',
                     b'{"a":1.,"text":""}', b'{"a":-,"text":""}', b'{"a":+1,"text":""}', b'{"a":1e,"text":""}', b'{"a":nul,"text":""}', b'{"text":"a","text":"b"}',
                     b'{a:1,"text":""}', b"{'text':'a'}", b'{"a":' + b"[" * 100000 + b',"text":""}', b'{"a":' + b"[" * 300 + b"]" * 300 + b',"text":""}', b'{"b":{"text":"a"}}']:
            with self.subTest(line[:40]):
                self.fails(4, "line 2", "embed", "--jsonl", stdin=b'"fine"\n' + line + b'\n"fine"\n')

    def test_unreadable(self):
        self.fails(6, "No such file", "embed", "-f", self.path("none"))
        self.fails(6, "directory", "embed", "-f", self.folder)
        same = self.path("same", b"a\nb\n")
        self.fails(2, "read from", "embed", "-f", same, "-o", same)
        self.assertEqual(self.read("same"), b"a\nb\n")

    def test_a_line_too_long(self):
        path = self.path("long", b"fine\n")
        with open(path, "r+b") as f:
            f.truncate((65 << 20) + 10)
        self.fails(4, ["line 2", "64 MiB"], "tokenize", "-f", path)

    @unittest.skipIf(SANITIZED, "sanitizers keep freed memory")
    def test_memory_does_not_grow_with_the_input(self):
        def peak(count):
            path = self.path("lines", b"".join(b"%s %d\n" % (WORDS[i % 20].encode(), i % 50) for i in range(count)))
            with open(os.devnull, "wb") as null:
                child = subprocess.Popen([PROGRAM, "embed", "-q", "-f", path, "--format", "raw"], stdout=null, env=environment())
                _, status, usage = os.wait4(child.pid, 0)
                child.returncode = status
            self.assertEqual(status, 0)
            return usage.ru_maxrss

        self.assertLess(peak(120000), peak(20000) + 16 * 1024)

    def test_a_stream_is_answered_before_it_ends(self):
        child = subprocess.Popen([PROGRAM, "embed", "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
        for i in range(3):
            child.stdin.write(b"a cat\n")
            child.stdin.flush()
            self.assertEqual(json.loads(child.stdout.readline())["index"], i)
        child.stdin.close()
        self.assertEqual(child.wait(60), 0)
        child.stdout.close()

    def test_typed_texts_are_answered_line_by_line(self):
        master, slave = pty.openpty()
        child = subprocess.Popen([PROGRAM, "embed", "-q"], stdin=slave, stdout=subprocess.PIPE, env=environment())
        os.close(slave)
        for i in range(3):
            os.write(master, b"a cat\n")
            self.assertTrue(select.select([child.stdout], [], [], 60)[0], "no answer to line %d" % i)
            self.assertEqual(json.loads(child.stdout.readline())["index"], i)
        os.write(master, b"\x04")
        self.assertEqual(child.wait(60), 0)
        child.stdout.close()
        os.close(master)


class Formats(Case):
    LINES = texts(40)

    def embed(self, *arguments):
        return self.ok("embed", "-q", *arguments, stdin=joined(self.LINES)).stdout

    def test_formats_agree(self):
        raw = self.embed("--format", "raw")
        self.assertEqual(len(raw), 40 * 48 * 4)
        wanted = floats(raw)
        jsonl = rows(self.embed())
        self.assertEqual(jsonl, rows(self.embed("--format", "jsonl")))
        self.assertEqual(f32(v for r in jsonl for v in r["embedding"]), wanted)
        self.assertEqual(json.loads(self.embed("--format", "json")), jsonl)
        lines = self.embed("--format", "csv").decode().splitlines()
        self.assertEqual(lines[0].split(","), ["index", "tokens"] + ["e%d" % i for i in range(48)])
        self.assertEqual(f32(v for line in lines[1:] for v in line.split(",")[2:]), wanted)
        self.assertEqual([[int(v) for v in line.split(",")[:2]] for line in lines[1:]], [[r["index"], r["tokens"]] for r in jsonl])
        self.assertEqual(npy(self.embed("--format", "npy")), ("<f4", (40, 48), raw))
        for format in ["jsonl", "json", "npy", "raw", "csv"]:
            self.embed("-o", self.path("out." + format))
            self.assertEqual(self.read("out." + format), self.embed("--format", format), format)
            with open(self.path("redirected"), "wb") as f:
                subprocess.run([PROGRAM, "embed", "-q", "--format", format], input=joined(self.LINES), stdout=f, env=environment(), check=True)
            self.assertEqual(self.read("redirected"), self.read("out." + format), format)
        self.path("appended", b"before")
        with open(self.path("appended"), "ab") as f:
            subprocess.run([PROGRAM, "embed", "-q", "--format", "npy"], input=joined(self.LINES), stdout=f, env=environment(), check=True)
        self.assertEqual(self.read("appended"), b"before" + self.read("out.npy"))

    def test_nothing_in(self):
        for format, wanted in [("jsonl", b""), ("json", b"[]\n"), ("raw", b"")]:
            self.assertEqual(self.ok("embed", "--format", format).stdout, wanted)
        self.assertEqual(npy(self.ok("embed", "--format", "npy").stdout), ("<f4", (0, 48), b""))
        self.assertEqual(self.ok("embed", "--format", "csv").stdout.count(b"\n"), 1)

    def test_dtypes(self):
        wanted = floats(self.embed("--format", "raw", "--dim", "20"))
        halves = self.embed("--format", "raw", "--dim", "20", "--dtype", "f16")
        self.assertEqual(len(halves), 40 * 20 * 2)
        for a, b in zip(struct.unpack("<800e", halves), wanted):
            self.assertLess(abs(a - b), 1e-3)
        self.assertEqual([v for r in rows(self.embed("--dim", "20", "--dtype", "f16")) for v in f32(r["embedding"])],
                         list(array.array("f", struct.unpack("<800e", halves))))
        bits = self.embed("--format", "raw", "--dim", "20", "--dtype", "ubinary")
        packed = bytearray()
        for i in range(40):
            text = "".join("1" if v > 0 else "0" for v in wanted[20 * i:20 * i + 20]) + "0000"
            packed += bytes(int(text[k:k + 8], 2) for k in (0, 8, 16))
        self.assertEqual(bits, bytes(packed))
        self.assertEqual(bytes((v + 128) & 255 for v in self.embed("--format", "raw", "--dim", "20", "--dtype", "binary")), bits)
        self.assertEqual(npy(self.embed("--format", "npy", "--dim", "20", "--dtype", "ubinary")), ("|u1", (40, 3), bits))
        self.assertEqual(npy(self.embed("--format", "npy", "--dim", "20", "--dtype", "binary"))[:2], ("|i1", (40, 3)))
        self.assertEqual(npy(self.embed("--format", "npy", "--dim", "20", "--dtype", "f16")), ("<f2", (40, 20), halves))

    def test_ranges(self):
        raw = self.embed("--format", "raw")
        columns = [floats(raw)[i::48] for i in range(48)]
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 48), }"
        data = struct.pack("<96f", *[min(c) for c in columns], *[max(c) for c in columns])

        def file(name, head=header, body=data, version=1):
            head = head.ljust(117) + b"\n"
            size = struct.pack("<H" if version == 1 else "<I", len(head))
            return self.path(name, b"\x93NUMPY" + bytes([version, 0]) + size + head + body)

        calibrated = self.embed("--format", "raw", "--dtype", "uint8", "--calibrate", self.path("texts", joined(self.LINES)))
        self.assertEqual(self.embed("--format", "raw", "--dtype", "uint8", "--ranges", file("ranges.npy")), calibrated)
        self.assertEqual(self.embed("--format", "raw", "--dtype", "uint8", "--ranges", file("two.npy", version=2)), calibrated)
        self.assertEqual((min(calibrated), max(calibrated)), (0, 255))
        signed = self.embed("--format", "raw", "--dtype", "int8", "--ranges", file("ranges.npy"))
        self.assertEqual(bytes((v + 128) & 255 for v in signed), calibrated)
        self.assertEqual([v for r in rows(self.embed("--dtype", "uint8", "--ranges", file("ranges.npy"))) for v in r["embedding"]], list(calibrated))
        wide = file("wide.npy", header.replace(b"<f4", b"<f8"), struct.pack("<96d", *struct.unpack("<96f", data)))
        self.assertEqual(self.embed("--format", "raw", "--dtype", "uint8", "--ranges", wide), calibrated)
        for name, path in [("type", file("a", header.replace(b"<f4", b"<i4"))), ("shape", file("b", header.replace(b"48", b"47"))),
                           ("order", file("c", header.replace(b"False", b"True"))), ("short", file("d", body=data[:-1])), ("empty", self.path("e", b"")),
                           ("text", self.path("f", b"hello world, this is no array")), ("nan", file("g", body=struct.pack("<f", math.nan) + data[4:])),
                           ("turned", file("h", body=data[192:] + data[:192]))]:
            with self.subTest(name):
                self.fails(4, os.path.basename(path), "embed", "--dtype", "int8", "--ranges", path, "a")
        self.fails(6, "No such file", "embed", "--dtype", "int8", "--ranges", self.path("none"), "a")
        self.fails(4, "no texts", "embed", "--dtype", "int8", "--calibrate", self.path("empty", b""), "a")

    def test_ranges_of_one_point(self):
        """As sentence-transformers has it: a step of 1, so 0 (int8: -128). Texts that give such ranges are warned of."""
        self.assertNotIn("--calibrate", self.ok("embed", "--dtype", "uint8", "--calibrate", self.path("many", joined(self.LINES)), "a").err)
        for lines, says in [(b"one\n", "48 of 48 elements are the same in its 1 text, "), (b"one\none\n", "the same in its 2 texts, ")]:
            for dtype, zero in [("uint8", 0), ("int8", -128)]:
                done = self.ok("embed", "--dtype", dtype, "--calibrate", self.path("one", lines), "another text")
                self.assertIn(says, done.err)
                self.assertEqual(set(rows(done.stdout)[0]["embedding"]), {zero})

    def test_options_of_vectors(self):
        def vector(*arguments):
            return rows(self.ok("embed", "-q", "the cat sat", *arguments).stdout)[0]["embedding"]

        length = lambda v: math.sqrt(sum(x * x for x in v))
        self.assertAlmostEqual(length(vector()), 1, 5)
        self.assertAlmostEqual(length(vector("--dim", "5")), 1, 5)
        self.assertNotAlmostEqual(length(vector("--no-normalize")), 1, 2)
        poolings = {p: [round(x, 3) for x in vector("--pooling", p)] for p in "cls mean max mean_sqrt_len weightedmean last".split()}
        self.assertEqual(poolings.pop("mean_sqrt_len"), poolings["mean"])      # another length, the same direction
        self.assertEqual(len(set(map(str, poolings.values()))), 5)
        self.assertEqual(vector("--pooling", "cls"), vector())
        self.assertIn("MRL", self.ok("embed", "a", "--dim", "5").err)
        self.assertEqual(self.ok("embed", "a", "--dim", "48").err, "")

    def test_truncation(self):
        stdin = b"a cat\n" + b"the cat " * 60 + b"\nb\n" + b"dogs run " * 60
        done = self.ok("embed", stdin=stdin)
        self.assertRegex(done.err, r"2 of 4 texts cut to 64 tokens, on the right")
        self.assertEqual([r["tokens"] for r in rows(done.stdout)][1::2], [64, 64])
        self.assertRegex(self.ok("embed", "--truncate", "left", "--max-tokens", "10", stdin=stdin).err, r"cut to 10 tokens, on the left")
        self.assertEqual(self.ok("embed", "-q", stdin=stdin).err, "")
        self.fails(4, "line 2", "embed", "--truncate", "error", stdin=stdin)
        self.fails(4, "text 2", "embed", "--truncate", "error", "a", "cat " * 100)
        self.fails(4, "line 2", "embed", "--truncate", "error", "--tokens", stdin=stdin)
        self.assertIn("cut to 64", self.ok("embed", "--tokens", stdin=stdin).err)

    def test_prompts(self):
        model = os.path.join(CHECKPOINTS, "xlmr")
        vector = lambda *a: self.ok("embed", "-m", model, *a).stdout
        # This model's default prompt is that of a query.
        self.assertEqual(vector("a cat"), vector("--kind", "query", "a cat"))
        self.assertEqual(vector("a cat"), vector("--prompt-name", "query", "a cat"))
        self.assertEqual(vector("a cat"), vector("--prompt", "query: ", "a cat"))
        self.assertEqual(vector("a cat"), vector("--prompt", "", "query: a cat"))
        self.assertEqual(vector("--kind", "document", "a cat"), vector("--prompt", "passage: ", "a cat"))
        self.assertNotEqual(vector("a cat"), vector("--kind", "document", "a cat"))
        self.fails(4, ["no prompt 'x'", "query, document"], "embed", "-m", model, "--prompt-name", "x", "a")
        self.fails(4, "Instruct", "embed", "-m", model, "--instruction", "x", "a")
        self.fails(4, "UTF-8", "embed", "--prompt", b"\xff", "a")
        model = os.path.join(CHECKPOINTS, "qwen3")
        self.assertEqual(vector("--instruction", "Find cats", "a cat"), vector("--prompt", "Instruct: Find cats\nQuery:", "a cat"))
        self.assertIn("no prompt for a query", self.ok("embed", "-v", "--kind", "query", "a").err)


class Chunks(Case):
    TEXT = "  " + " ".join(WORDS[(i * i + i // 3) % len(WORDS)] for i in range(300)) + "  Ünïcode 你好 tail "

    def check(self, model, chunk, overlap):
        more = ["-m", os.path.join(CHECKPOINTS, model), "-q", "--prompt", ""]
        stdin = "a cat\n\n%s\nthe end" % self.TEXT
        got = rows(self.ok("embed", *more, "--chunk", str(chunk), "--overlap", str(overlap), stdin=stdin.encode()).stdout)
        self.assertEqual(sorted({r["index"] for r in got}), [0, 1, 2, 3])
        self.assertEqual([(r["index"], r["chunk"]) for r in got], sorted((r["index"], r["chunk"]) for r in got))
        for r in (got[0], got[1], got[-1]):
            self.assertEqual((r["chunk"], r["begin"], r["end"]), (0, 0, len(stdin.split("\n")[r["index"]].encode())))
        raw, mine = self.TEXT.encode(), [r for r in got if r["index"] == 2]
        self.assertGreater(len(mine), 3)
        self.assertEqual((mine[0]["begin"], mine[-1]["end"]), (0, len(raw)))
        self.assertLessEqual(max(r["tokens"] for r in mine), chunk)
        for a, b in zip(mine, mine[1:]):
            self.assertLess(a["begin"], b["begin"])
            self.assertLess(a["end"], b["end"])
            self.assertFalse(raw[a["end"]:b["begin"]].strip())          # nothing is lost between them
            self.assertTrue(overlap or b["begin"] >= a["end"])
        if overlap:                                                        # a character of many tokens may stand in its way
            self.assertGreaterEqual(sum(b["begin"] < a["end"] for a, b in zip(mine, mine[1:])), len(mine) * 0.8)
        pieces = [raw[r["begin"]:r["end"]].decode() for r in mine]
        # A chunk's vector is that of its text alone.
        alone = rows(self.ok("embed", *more, "--null", stdin="\0".join(pieces).encode()).stdout)
        for r, s in zip(mine, alone):
            self.assertEqual(r["tokens"], s["tokens"])
            self.assertLess(max(abs(x - y) for x, y in zip(r["embedding"], s["embedding"])), 1e-5)
        pooled = rows(self.ok("embed", *more, "--chunk", str(chunk), "--overlap", str(overlap), "--chunk-pool", "mean", stdin=stdin.encode()).stdout)
        self.assertEqual([r["chunks"] for r in pooled], [1, 1, len(mine), 1])
        self.assertEqual(pooled[2]["tokens"], sum(r["tokens"] for r in mine))
        mean = [sum(c) for c in zip(*(r["embedding"] for r in mine))]
        length = math.sqrt(sum(x * x for x in mean))
        self.assertLess(max(abs(x / length - y) for x, y in zip(mean, pooled[2]["embedding"])), 1e-5)

    def test_chunks(self):
        for model in ["bert", "qwen3", "xlmr", "roberta"]:
            for chunk, overlap in [(20, 0), (20, 5), (8, 2), (32, 29)]:
                with self.subTest(model=model, chunk=chunk, overlap=overlap):
                    self.check(model, chunk, overlap)

    def test_a_prompt_counts(self):
        got = rows(self.ok("embed", "--prompt", "the cat sat on a mat ", "--chunk", "16", self.TEXT).stdout)
        self.assertLessEqual(max(r["tokens"] for r in got), 16)
        self.fails(2, "or more", "embed", "--prompt", "the cat sat on a mat ", "--chunk", "7", self.TEXT)

    def test_formats(self):
        got = rows(self.ok("embed", "--chunk", "20", self.TEXT, "a").stdout)
        lines = self.ok("embed", "--chunk", "20", self.TEXT, "a", "--format", "csv").stdout.decode().splitlines()
        self.assertTrue(lines[0].startswith("index,chunk,begin,end,tokens,e0,"))
        self.assertEqual([[int(v) for v in line.split(",")[:5]] for line in lines[1:]], [[r[k] for k in ("index", "chunk", "begin", "end", "tokens")] for r in got])
        self.assertEqual(npy(self.ok("embed", "--chunk", "20", self.TEXT, "a", "--format", "npy").stdout)[1], (len(got), 48))


class Tokens(Case):
    def test_vectors_of_tokens(self):
        got = rows(self.ok("embed", "--tokens", "the cat sat", "", "--no-parse-special").stdout)
        for r, text in zip(got, ["the cat sat", ""]):
            self.assertEqual([r["ids"]], rows(self.ok("tokenize", text).stdout))
            self.assertEqual([r["pieces"]], rows(self.ok("tokenize", "--pieces", text).stdout))
            self.assertEqual({r["tokens"]}, {len(r["ids"]), len(r["spans"]), len(r["embeddings"])})
            self.assertEqual({len(v) for v in r["embeddings"]}, {48})
        self.assertEqual(got[0]["spans"][0], [0, 0])
        self.assertEqual("the cat sat"[got[0]["spans"][1][0]:got[0]["spans"][1][1]][:1], "t")
        kind, shape, raw = npy(self.ok("embed", "--tokens", "--format", "npy", "the cat sat").stdout)
        self.assertEqual((kind, shape), ("<f4", (got[0]["tokens"], 48)))
        self.assertEqual(floats(raw), f32(v for vector in got[0]["embeddings"] for v in vector))
        # The model pools by cls and normalises: its vector is the first token's, scaled.
        first = got[0]["embeddings"][0]
        length = math.sqrt(sum(v * v for v in first))
        pooled = rows(self.ok("embed", "the cat sat").stdout)[0]["embedding"]
        self.assertLess(max(abs(a / length - b) for a, b in zip(first, pooled)), 1e-5)
        self.assertEqual(json.loads(self.ok("embed", "--tokens", "--format", "json", "the cat sat", "").stdout), got)

    def test_what_does_not_go_with_them(self):
        """A finished file is not touched, and what would be passed over is said."""
        out = self.path("out.json")
        self.ok("embed", "-q", "--tokens", "--format", "json", "-o", out, "a cat", "b")
        before = self.read("out.json")
        self.fails(2, "--resume goes with", "embed", "--tokens", "--format", "json", "-o", out, "--resume", "a cat", "b")
        self.assertEqual(self.read("out.json"), before)
        done = self.fails(2, "--resume needs -o", "embed", "--tokens", "--resume", "a cat")
        self.assertNotIn("null", done.err)
        self.fails(2, "--resume does not go", "embed", "--tokens", "--format", "npy", "-o", self.path("out.npy"), "--resume", "a")
        self.fails(2, "--chunk and --tokens exclude each other", "embed", "--tokens", "--chunk", "8", "a cat")
        for option, value in [("--overlap", "2"), ("--chunk-pool", "mean")]:
            self.fails(2, option + " does not go with --tokens", "embed", "--tokens", option, value, "a cat")
        # A default of the environment is for other calls.
        self.ok("embed", "--tokens", "a cat", env=environment(AKIEMBED_CHUNK="8"))

    def test_many(self):
        lines = texts(1500)
        got = rows(self.ok("embed", "--tokens", stdin=joined(lines)).stdout)
        self.assertEqual([r["index"] for r in got], list(range(1500)))
        self.assertEqual([r["ids"] for r in got], rows(self.ok("tokenize", stdin=joined(lines)).stdout))

    def test_tokenize(self):
        only = os.path.join(MODEL, "tokenizer.json")
        alone = self.path("alone")
        os.mkdir(alone)
        shutil.copy(only, alone)
        wanted = self.ok("tokenize", "the cat sat").stdout
        self.assertRegex(wanted, rb"^\[\d+(,\d+)+\]\n$")
        for model in [MODEL, only, alone]:
            self.assertEqual(self.ok("tokenize", "-m", model, "the cat sat").stdout, wanted)
        ids = json.loads(wanted)
        self.assertEqual(rows(self.ok("tokenize", "--no-special", "the cat sat").stdout), [ids[1:-1]])
        self.assertEqual(rows(self.ok("tokenize", "--max-tokens", "3", "the cat sat").stdout), [[ids[0], ids[1], ids[-1]]])
        self.assertEqual(rows(self.ok("tokenize", "--max-tokens", "3", "--truncate", "left", "the cat sat").stdout), [[ids[0], ids[-2], ids[-1]]])
        self.fails(4, "line 2", "tokenize", "--max-tokens", "3", "--truncate", "error", stdin=b"\nthe cat sat on a mat\n")
        self.fails(2, "--max-tokens: .* 2 special tokens", "tokenize", "--max-tokens", "2", "a")
        self.assertGreater(len(json.loads(self.ok("tokenize", "cat " * 500).stdout)), 400)   # not cut to the model's limit
        self.ok("tokenize", "the cat sat", "-o", self.path("out"))
        self.assertEqual(self.read("out"), wanted)
        self.assertNotEqual(run("embed", "-m", only, "a").returncode, 0)

    def test_decode(self):
        for model in ["bert", "qwen3", "xlmr", "roberta"]:
            env = environment(AKIEMBED_MODEL=os.path.join(CHECKPOINTS, model))
            ids = self.ok("tokenize", stdin=b"the cat sat\n\ntwo dogs", env=env).stdout
            self.assertEqual(self.ok("tokenize", "--decode", stdin=ids, env=env).stdout, b"the cat sat\n\ntwo dogs\n")
        ids = json.loads(self.ok("tokenize", "the cat").stdout)
        for spelling in ["%s" % ids, " ".join(map(str, ids)), ",".join(map(str, ids)), " [ %s ] " % " , ".join(map(str, ids))]:
            self.assertEqual(self.ok("tokenize", "--decode", stdin=spelling.encode()).stdout, b"the cat\n")
            self.assertEqual(self.ok("tokenize", "--decode", spelling).stdout, b"the cat\n")
        self.assertEqual(self.ok("tokenize", "--decode", "--jsonl", stdin=str(ids).encode()).stdout, b'"the cat"\n')
        self.assertEqual(self.ok("tokenize", "--decode", "--null", stdin=str(ids).encode()).stdout, b"the cat\0")
        for bad in [b"x", b"[1", b"[1,2]]", b"1.5", b"-1", b"99999999999", b"[1,\"a\"]"]:
            self.fails(4, "line 2, byte", "tokenize", "--decode", stdin=b"1\n" + bad + b"\n")
        self.fails(4, "line 1", "tokenize", "--decode", stdin=b"2000000000")
        self.fails(2, "exclude", "tokenize", "--decode", "--pieces")


class Resume(Case):
    LINES = texts(2500, seed=3)                   # three batches
    FORMATS = ["jsonl", "csv", "npy", "raw"]

    def setUp(self):
        super().setUp()
        self.input = self.path("input", joined(self.LINES))

    def command(self, out, *arguments):
        return ["embed", "-q", "-f", self.input, "-o", self.path(out), *arguments]

    def begun(self, out, *arguments, marked=2048):
        """Killed with -9 when two batches are written and the third waits for texts. What it leaves beside its rows."""
        path = self.path(out)
        for old in [path, path + ".resume"]:
            if os.path.exists(old):
                os.remove(old)
        child = subprocess.Popen([PROGRAM, "embed", "-q", "-o", path, *arguments], stdin=subprocess.PIPE, env=environment())
        with open(self.input, "rb") as f:
            child.stdin.write(f.read())
        child.stdin.flush()
        def mark():
            with open(path + ".resume", "rb") as f:
                return int((re.search(rb"mark: (\d+)", f.read()) or [0, 0])[1])
        while child.poll() is None and (not os.path.exists(path + ".resume") or mark() < marked):
            time.sleep(0.005)
        child.kill()
        child.communicate()
        return self.read(out + ".resume")

    def check(self, format, arguments, cuts):
        self.ok(*self.command("whole." + format, *arguments))
        self.assertFalse(os.path.exists(self.path("whole." + format + ".resume")))
        whole = self.read("whole." + format)
        heading = self.ok("embed", "--format", format, "-q", *arguments).stdout if format == "npy" else b""
        mark = self.begun("begun." + format, *arguments)
        for cut in cuts(len(whole)):
            with self.subTest(format=format, cut=cut, arguments=arguments):
                # The heading of a .npy has no count before the end.
                self.path("torn." + format, (whole if format != "npy" else heading + whole[128:])[:cut])
                self.path("torn." + format + ".resume", mark)
                self.ok(*self.command("torn." + format, "--resume", *arguments))
                self.assertTrue(self.read("torn." + format) == whole)
                self.assertFalse(os.path.exists(self.path("torn." + format + ".resume")))

    def test_torn_anywhere(self):
        for format in self.FORMATS:
            self.check(format, ["--dim", "6"], lambda n: [0, 1, 5, 100, 127, 128, 129, 500, n // 3, n // 2, n // 2 + 1, 2 * n // 3 + 7, n - 1, n])

    def test_torn_chunks_and_types(self):
        for arguments in [["--chunk", "6", "--overlap", "1"], ["--chunk", "6", "--chunk-pool", "mean"], ["--dtype", "ubinary"], ["--dtype", "f16"]]:
            for format in self.FORMATS:
                self.check(format, arguments, lambda n: [200, n // 2 + 1, n - 1, n])
        self.check("jsonl", ["--tokens"], lambda n: [7, n // 2, n])
        # What a model remembers of a prompt, within a run, must not show.
        self.check("raw", ["-m", os.path.join(CHECKPOINTS, "qwen3"), "--kind", "query"], lambda n: [1000, n // 2 + 1, n - 1])

    def test_jsonl_members(self):
        self.input = self.path("rows", b"".join(json.dumps({"text": t, "embedding": 1, "id": {"index": i}}).encode() + b"\n" for i, t in enumerate(self.LINES)))
        self.check("jsonl", ["--jsonl", "--dim", "3"], lambda n: [20, n // 2, n])

    def test_where_there_is_no_file(self):
        for format in self.FORMATS:
            self.ok(*self.command("a." + format))
            self.ok(*self.command("b." + format, "--resume"))
            self.assertTrue(self.read("a." + format) == self.read("b." + format))

    def test_other_files_are_refused_and_kept(self):
        self.ok(*self.command("rows.jsonl", "--dim", "6"))
        self.ok(*self.command("rows.csv", "--dim", "6"))
        self.ok(*self.command("rows.npy", "--dim", "6"))
        files = {"letter": b"Dear Sir,\nplease find\n", "half": b"Dear", "json": b'{"index":0}\n', "array": b"[\n]\n"}
        files.update({name: self.read(name) for name in ("rows.jsonl", "rows.csv", "rows.npy")})
        files["gap"] = b"".join(self.read("rows.jsonl").splitlines(True)[:1] + self.read("rows.jsonl").splitlines(True)[2:3])
        files["late"] = b"".join(self.read("rows.jsonl").splitlines(True)[1:])
        for format in ["jsonl", "csv", "npy"]:
            for name, data in files.items():
                for dim in ["6", "7"]:
                    if name == "rows." + format and dim == "6":
                        continue
                    with self.subTest(format=format, name=name, dim=dim):
                        self.path("file", data)
                        self.fails(2, "nothing is changed", *self.command("file", "--resume", "--format", format, "--dim", dim))
                        self.assertTrue(self.read("file") == data)
        self.path("file", files["rows.npy"])
        self.fails(2, "regular", "embed", "-f", self.input, "-o", "/dev/null", "--resume")

    def test_another_file_beside_the_mark(self):
        for format, says in [("jsonl", "row of this format"), ("csv", "heading of this format"), ("npy", "not a .npy file")]:
            mark = self.begun("begun." + format, "--dim", "6")
            for data in [b"Dear Sir,\nplease find\n" * 20, b"Dear"]:
                self.path("file." + format, data)
                self.path("file." + format + ".resume", mark)
                self.fails(2, [says, "nothing is changed"], *self.command("file." + format, "--resume", "--dim", "6"))
                self.assertEqual(self.read("file." + format), data)

    def test_what_differs_is_named(self):
        """A half-done file is gone on with by the same model, options and texts only, and is not overwritten without a word."""
        mark = self.begun("rows.npy", "--dim", "6", "--prompt", "the ")
        same = ["--dim", "6", "--prompt", "the ", "--resume"]
        before = self.read("rows.npy")
        model = self.path("model")
        shutil.copytree(MODEL, model)
        config = os.path.join(model, "tokenizer.json")
        with open(config, "ab") as f:
            f.write(b"\n")
        for arguments, says in [(["--dim", "7", *same[2:]], r"begun with --dim \"6\", now it is \"7\""), ([*same[:2], "--resume"], r"--prompt \"the \", now it is not given"),
                                ([*same, "--no-normalize"], "--no-normalize not given, now it is"), ([*same, "--dtype", "f16"], "--dtype"),
                                ([*same, "--precision", "int8"], "precision f32, now it is int8"), ([*same, "-m", model], "model bert"),
                                ([*same, "--format", "raw"], "format npy, now it is raw"), ([*same, "--max-tokens", "9"], "--max-tokens"),
                                ([*same, "--jsonl"], "texts as lines , now it is jsonl")]:
            with self.subTest(arguments):
                self.fails(2, [says, "nothing is changed", "--force"], *self.command("rows.npy", *arguments))
                self.assertEqual((self.read("rows.npy"), self.read("rows.npy.resume")), (before, mark))
        self.fails(2, "half done, with 2048 rows: --resume goes on with it, --force", *self.command("rows.npy", *same[:-1]))
        self.assertEqual(self.read("rows.npy"), before)
        # Other texts, where rows were made of them; what came behind does not matter.
        wanted, lines = self.input, list(self.LINES)
        lines[700] += "x"
        self.input = self.path("other", joined(lines))
        self.fails(2, "first 2048 texts are not those", *self.command("rows.npy", *same))
        self.input = wanted
        self.path("rows.npy", before)
        self.ok(*self.command("rows.npy", *same, "--threads", "2", "-m", CHECKPOINTS + "/./bert"))
        self.ok(*self.command("whole.npy", *same[:-1]))
        self.assertEqual(self.read("rows.npy"), self.read("whole.npy"))
        # A finished file is written anew, and --force does it with a half-done one.
        self.ok(*self.command("rows.npy"))
        self.begun("rows.npy")
        self.ok(*self.command("rows.npy", "--force"))
        self.assertFalse(os.path.exists(self.path("rows.npy.resume")))

    def test_what_no_mark_says(self):
        self.ok(*self.command("rows.npy"))
        self.fails(2, "finished, or not of akiembed: no .*rows.npy.resume", *self.command("rows.npy", "--resume"))
        self.path("empty.npy", b"")
        self.ok(*self.command("empty.npy", "--resume"))
        for notes in (b"my own notes, and more than one line of them, which nobody may overwrite, so that they can be read tomorrow as well\n", b"notes\n"):
            self.path("rows.npy.resume", notes)
            self.fails(2, "not of akiembed", *self.command("rows.npy"))
            self.fails(2, "not of akiembed", *self.command("rows.npy", "--resume"))

    def test_more_rows_than_texts(self):
        self.begun("rows.jsonl")
        self.input = self.path("input", b"a\nb\n")
        self.fails(4, "another input", *self.command("rows.jsonl", "--resume"))

    def test_killed(self):
        """kill -9 while rows are being written, as often as it takes."""
        for format in self.FORMATS:
            self.ok(*self.command("whole." + format))
            whole = self.read("whole." + format)
            path = self.path("killed." + format)
            for i in range(6):
                child = subprocess.Popen([PROGRAM, *self.command("killed." + format, "--resume")], env=environment())
                before = os.path.getsize(path) if os.path.exists(path) else 0
                while child.poll() is None and (not os.path.exists(path) or os.path.getsize(path) <= before):
                    time.sleep(0.001)
                child.kill()
                child.wait()
            if not os.path.exists(path) or os.path.exists(path + ".resume"):
                self.ok(*self.command("killed." + format, "--resume"))
            self.assertTrue(self.read("killed." + format) == whole, format)


class Ends(Case):
    """Exit statuses, and what is left behind."""

    def test_no_model(self):
        self.fails(3, "akiembed pull org/name", "embed", "-m", "org/name", "a")
        self.fails(3, "akiembed pull Qwen/Qwen3-Embedding-0.6B", "embed", "a", env=environment(AKIEMBED_MODEL=None, HF_HUB_CACHE=self.folder))
        self.fails(3, "/nonexistent", "embed", "-m", "/nonexistent", "a")
        for verb in (["tokenize", "a"], ["similarity", "a", "b"], ["info"]):
            self.fails(3, "akiembed pull org/name", verb[0], "-m", "org/name", *verb[1:])
        for name in ["../x", "a/../b", "a//b", "", ".", "x" * 5000]:
            done = run("embed", "-m", name, "a", env=environment(HF_HUB_CACHE=self.folder, AKIEMBED_MODEL=None))
            self.assertIn(done.returncode, (3, 4), (name, done.err))

    def test_broken_model(self):
        broken = self.path("broken")
        shutil.copytree(MODEL, broken)
        with open(os.path.join(broken, "model.safetensors"), "r+b") as f:
            f.truncate(1000)
        self.fails(4, "model.safetensors", "embed", "-m", broken, "a")
        os.remove(os.path.join(broken, "model.safetensors"))
        self.fails(3, "model.safetensors|safetensors", "embed", "-m", broken, "a")

    def test_cached_names(self):
        for variables, root in [({"HF_HUB_CACHE": self.path("hub")}, "hub"), ({"HF_HOME": self.path("home")}, "home/hub"),
                                ({"HOME": self.path("user")}, "user/.cache/huggingface/hub"), ({"XDG_CACHE_HOME": self.path("xdg")}, "xdg/huggingface/hub")]:
            repository = os.path.join(self.folder, root, "models--org--name")
            os.makedirs(repository + "/refs")
            os.makedirs(repository + "/snapshots")
            os.symlink(MODEL, repository + "/snapshots/0123abc")
            with open(repository + "/refs/main", "w") as f:
                f.write("0123abc")
            env = environment(**{"XDG_CACHE_HOME": None, **variables})
            wanted = self.ok("embed", "a cat").stdout
            for name in ["org/name", "name", "org/name@0123abc", "org/name@main"]:
                self.assertEqual(self.ok("embed", "-m", name, "a cat", env=env).stdout, wanted)
            self.assertEqual(self.ok("embed", "a cat", env={**env, "AKIEMBED_MODEL": "org/name"}).stdout, wanted)
            self.fails(3, ["akiembed pull org/name@other", "has no 'other' of it, but its commit 0123abc: write org/name@0123abc"],
                       "embed", "-m", "org/name@other", "a", env=env)
            self.assertEqual(json.loads(self.ok("info", "--json", "-m", "org/name", env=env).stdout)["model"], "org/name")
            with open(repository + "/refs/main", "w") as f:
                f.write("../../../../../" + MODEL)
            self.fails(3, "pull", "embed", "-m", "org/name", "a", env=env)
            os.makedirs(os.path.join(self.folder, root, "models--other--name"))
            self.fails(2, "ORG/name", "embed", "-m", "name", "a", env=env)

    def test_a_cache_without_branches(self):
        """Filled by commit, or copied without refs/: what is there is named."""
        repository = self.path("hub/models--org--name")
        os.makedirs(repository + "/snapshots")
        env = environment(HF_HUB_CACHE=self.path("hub"))
        self.fails(3, "neither as a folder nor in the cache", "embed", "-m", "org/name", "a", env=env)
        os.symlink(MODEL, repository + "/snapshots/0123abc")
        for name in ["org/name", "name"]:
            self.fails(3, ["no 'main' of it, but its commit 0123abc", "write %s@0123abc" % name], "embed", "-m", name, "a", env=env)
        self.ok("embed", "-m", "name@0123abc", "a", env=env)
        os.symlink(MODEL, repository + "/snapshots/4567def")
        self.fails(3, "2 commits, one of them org/name@(0123abc|4567def)", "embed", "-m", "org/name", "a", env=env)
        os.mkdir(repository + "/refs")
        os.mkfifo(repository + "/refs/main")
        self.fails(3, "2 commits", "embed", "-m", "org/name", "a", env=env)

    def test_variables_in_homes(self):
        """As huggingface_hub expands them, since env files and units do not."""
        repository = self.path("hf/hub/models--org--name")
        os.makedirs(repository + "/refs")
        os.makedirs(repository + "/snapshots")
        os.symlink(MODEL, repository + "/snapshots/0123abc")
        self.path("hf/hub/models--org--name/refs/main", b"0123abc")
        os.rename(self.path("hf"), self.path("huggingface"))
        os.symlink("huggingface", self.path("hf"))
        more = {"HOME": self.folder, "HERE": "hf", "TWO": self.folder + "/$HERE", "XDG_CACHE_HOME": None}
        for name, value in [("HF_HOME", "~/hf"), ("HF_HOME", "$HOME/hf"), ("HF_HOME", "${HOME}/$HERE"), ("HF_HOME", "~/${HERE}/"), ("HF_HUB_CACHE", "$HOME/hf/hub"),
                            ("HUGGINGFACE_HUB_CACHE", "${HOME}/hf/hub"), ("XDG_CACHE_HOME", "$HOME")]:
            self.ok("tokenize", "-m", "org/name", "a", env=environment(**{**more, name: value}))
        # What is not set, or no variable, or in a variable, stays as it is.
        for value in ["$NONE/hf", "${NONE}/hf", "$/hf", "${}/hf", "${HOME", "$TWO", "a$", "$HOMER/hf"]:
            self.fails(3, "no model", "tokenize", "-m", "org/name", "a", env=environment(**{**more, "HF_HOME": value}), cwd=self.folder)
        os.makedirs(self.path("$NONE"))
        os.symlink(self.path("hf"), self.path("$NONE/hf"))
        self.ok("tokenize", "-m", "org/name", "a", env=environment(**{**more, "HF_HOME": "$NONE/hf"}), cwd=self.folder)

    def test_a_text_is_numbered_once(self):
        model = self.path("model")
        shutil.copytree(os.path.join(CHECKPOINTS, "xlmr-no-prompt"), model)
        for name in ["lines.txt: line 1", "text 1"]:
            self.path("lines.txt", b"a cat\n")
            where = ["-f", "lines.txt"] if name.startswith("lines") else ["a cat"]
            done = run("embed", "-m", model, "--prompt", "w " * 3000, *where, cwd=self.folder)
            self.assertEqual(done.returncode, 4, done.err)
            self.assertRegex(done.err, "^akiembed: %s: nothing is left" % re.escape(name))

    def test_devices_and_their_options(self):
        self.fails(5, "cuda", "embed", "--device", "cuda", "a")
        self.fails(5, "nosuchdevice", "embed", "--device", "nosuchdevice", "a")
        done = self.ok("embed", "--device", "cuda", "--device-fallback", "a")
        self.assertRegex(done.err, "cpu instead")
        self.fails(5, "device", "embed", "--device-option", "a=b", "a")
        self.fails(5, "plugin", "embed", "--device-plugin", "x.so", "a")
        self.ok("embed", "--device", "cpu", "--device-fallback", "a")
        listed = json.loads(self.ok("devices", "--json").stdout)["devices"]
        self.assertIn({"name": "cpu", "usable": True, "reason": None}, [{k: d[k] for k in ("name", "usable", "reason")} for d in listed])
        for d in listed:
            self.assertEqual(d["usable"], d["reason"] is None)
            self.assertIn(d["name"], self.ok("devices").stdout.decode())

    def test_no_room(self):
        for arguments in (["embed", "a"], ["embed", "a", "--format", "npy"], ["tokenize", "a"], ["--help"], ["embed", "--help"], ["--version"], ["info"],
                          ["devices"], ["similarity", "a", "b"], ["verify"], ["completion", "bash"]):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, env=environment())
            self.assertEqual(done.returncode, 6, arguments)
            self.assertIn(b"No space left", done.stderr)
        self.fails(6, "No space left", "embed", "a", "-o", "/dev/full")
        self.fails(6, "cannot write", "embed", "a", "-o", self.path("no/such/folder"))

    def test_a_full_disk_leaves_whole_rows(self):
        lines = joined(texts(3000))
        limit = 300000

        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

        for format in ["jsonl", "csv", "raw", "npy"]:
            path = self.path("out." + format)
            done = run("embed", "-q", "-o", path, stdin=lines, preexec_fn=small_files)
            self.assertEqual(done.returncode, 6, done.err)
            good = int(re.search(r"\((\d+) rows are whole\)", done.err).group(1))
            data = self.read("out." + format)
            self.assertGreater(good, 10)
            if format == "jsonl":
                self.assertEqual([r["index"] for r in rows(data)], list(range(good)))
            elif format == "csv":
                self.assertEqual((data.count(b"\n"), data[-1:]), (good + 1, b"\n"))
            else:
                self.assertEqual(len(data), good * 48 * 4 + (128 if format == "npy" else 0))
            self.ok("embed", "-q", "-o", path, "--resume", stdin=lines)
            self.ok("embed", "-q", "-o", self.path("whole." + format), stdin=lines)
            self.assertTrue(self.read("out." + format) == self.read("whole." + format))

    def test_a_reader_that_leaves(self):
        for arguments in (["embed", "-q"], ["tokenize"]):
            child = subprocess.Popen([PROGRAM, *arguments, "-f", self.path("lines", joined(texts(20000)))], stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, env=environment())
            child.stdout.readline()
            child.stdout.close()
            self.assertEqual((child.wait(60), child.stderr.read()), (6, b""))
            child.stderr.close()

    def stopped(self, number, *arguments):
        """Runs with a pipe as input, sends the signal when the first rows are out and the program waits for more."""
        path = arguments[arguments.index("-o") + 1]
        child = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        child.stdin.write(joined(texts(1500)))
        child.stdin.flush()
        while child.poll() is None and (not os.path.exists(path) or os.path.getsize(path) < 1000):
            time.sleep(0.01)
        child.send_signal(number)
        code = child.wait(60)
        child.stdin.close()
        err = child.stderr.read().decode()
        child.stderr.close()
        return code, err

    def test_stopped(self):
        for number, code in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
            for format in ["jsonl", "json", "npy", "csv"]:
                path = self.path("out." + format)
                got, err = self.stopped(number, "embed", "-o", path)
                self.assertEqual(got, code, err)
                data = self.read("out." + format)
                if format == "npy":
                    self.assertEqual(npy(data)[1], (1024, 48))
                elif format == "json":
                    self.assertEqual(len(json.loads(data)), 1024)
                else:
                    self.assertEqual(data.count(b"\n"), 1024 + (format == "csv"))
                self.assertIn("1024 rows", err)
                os.remove(path)

    def on_terminal(self, *arguments, slowly=False):
        """stdout and stderr on a terminal; what it shows."""
        master, slave = pty.openpty()
        child = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=slave, stderr=slave, env=environment())
        os.close(slave)
        shown = b""
        if slowly:
            child.stdin.write(b"a cat\n")
            child.stdin.flush()
            while b'"index":0' not in shown:
                shown += os.read(master, 65536)
            time.sleep(1.2)
            child.stdin.write(b"dogs\n")
        child.stdin.close()
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:
                part = b""
            if not part:
                break
            shown += part
        os.close(master)
        self.assertEqual(child.wait(60), 0, shown)
        return shown.decode()

    def test_terminal(self):
        self.assertRegex(self.on_terminal("embed", slowly=True), r"2 texts, [0-9.]+ texts/s, [0-9.]+ tokens/s")
        self.assertNotIn("texts/s", self.on_terminal("embed", "-q", slowly=True))
        self.assertNotIn("texts/s", self.on_terminal("embed", "a"))
        shown = self.on_terminal("similarity", "-q", "a cat", "a cat", "\x1b[31mred\x07\n" + "你好" * 50, "dogs")
        lines = shown.splitlines()
        self.assertEqual(len(lines), 3, shown)
        self.assertRegex(lines[0], r"^ 1\.0000 1 █+ +a cat$")
        self.assertNotIn("\x1b", shown)
        wide = [line for line in lines if "你" in line][0]
        self.assertTrue(wide.endswith("…"))
        self.assertLessEqual(sum(2 if c in "你好" else 1 for c in wide), 100)

    def test_similarity(self):
        done = self.ok("similarity", "a cat", "dogs run", "a cat", "the\tend\n", "")
        lines = [line.split("\t") for line in done.stdout.decode().splitlines()]
        self.assertEqual(lines[0], ["1.000000", "2", "a cat"])
        self.assertEqual(sorted(line[1:] for line in lines), [["1", "dogs run"], ["2", "a cat"], ["3", "the end "], ["4", ""]])
        self.assertEqual([float(line[0]) for line in lines], sorted((float(line[0]) for line in lines), reverse=True))
        got = json.loads(self.ok("similarity", "a cat", "--json", "-f", self.path("t", b"dogs run\na cat\nthe end")).stdout)
        self.assertEqual(got["query"], "a cat")
        self.assertEqual({k: v for k, v in got["results"][0].items() if k != "score"}, {"index": 1, "line": 2, "text": "a cat"})
        self.assertEqual(json.loads(self.ok("similarity", "a", "--json", stdin=b"").stdout)["results"], [])
        # The best of many are the best of all.
        lines = joined(texts(3000))
        every = json.loads(self.ok("similarity", "a cat", "--json", stdin=lines).stdout)["results"]
        self.assertEqual(json.loads(self.ok("similarity", "a cat", "--json", "--top", "5", stdin=lines).stdout)["results"], every[:5])
        # Prompts: of a query and of documents, unless they are switched off.
        env = environment(AKIEMBED_MODEL=os.path.join(CHECKPOINTS, "xlmr"))
        score = lambda *a: json.loads(self.ok("similarity", "--json", "a cat", "a cat", *a, env=env).stdout)["results"][0]["score"]
        self.assertLess(score(), 0.99999)
        self.assertGreater(score("--no-prompts"), 0.99999)

    def test_info(self):
        got = json.loads(self.ok("info", "--json").stdout)
        self.assertEqual({k: got[k] for k in ("architecture", "dim", "layers", "max_tokens", "pooling", "precision", "device", "normalize", "mrl", "threads")},
                         {"architecture": "bert", "dim": 48, "layers": 3, "max_tokens": 64, "pooling": "cls", "precision": "f32", "device": "cpu",
                          "normalize": True, "mrl": False, "threads": 1})
        self.assertIn("model.safetensors", [os.path.basename(f["path"]) for f in got["files"]])
        for file in got["files"]:
            with open(file["path"], "rb") as f:
                data = f.read()
            self.assertEqual((file["size"], file["sha256"]), (len(data), hashlib.sha256(data).hexdigest()))
        self.assertGreater(got["resident_size"], 1 << 20)
        self.assertGreater(got["nodes"]["cpu"], 0)
        text = self.ok("info").stdout.decode()
        for part in ["bert", "48 elements", "cls", got["files"][0]["sha256"], "ONNX Runtime"]:
            self.assertIn(part, text)
        got = json.loads(self.ok("info", "--json", "-m", os.path.join(CHECKPOINTS, "xlmr")).stdout)
        self.assertEqual((got["prompts"], got["default_prompt_name"]), ({"query": "query: ", "document": "passage: "}, "query"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
