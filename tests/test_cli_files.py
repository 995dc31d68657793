#!/usr/bin/env python3
"""Tests of what the program reads texts from: CSV, JSON lines, names of files; and of search in the vectors that it wrote. Standard Python only.

    test_cli_files.py PROGRAM CHECKPOINTS [unittest arguments]     CHECKPOINTS: the folder that make_checkpoints.py wrote
"""
import array
import csv
import io
import json
import math
import os
import random
import struct
import subprocess
import sys
import unittest

from test_cli import CHECKPOINTS, PROGRAM, Case, environment, floats, joined, npy, rows, texts

TABLE = [["id", "a text", "note"], ["1", "the cat sat", "x"], ["2", 'two "dogs", old', ""], ["3", "far\nover\r\nhills", "é"], ["4", "", "last, one"]]


def as_csv(table, **how):
    out = io.StringIO(newline="")
    csv.writer(out, **how).writerows(table)
    return out.getvalue().encode()


class Csv(Case):
    QWEN = ["-m", os.path.join(CHECKPOINTS, "qwen3")]        # its tokenizer sees each byte

    def ids(self, *arguments, **more):
        return rows(self.ok("tokenize", *self.QWEN, *arguments, **more).stdout)

    def test_column(self):
        """As Python's own writer has it: quotes, doubled quotes, separators and line breaks in fields, CRLF, BOM."""
        wanted = self.ids("--null", stdin="\0".join(row[1] for row in TABLE[1:]).encode() + b"\0")
        for name, how in [("a.csv", {}), ("b.csv", {"lineterminator": "\n"}), ("c.CSV", {"quoting": csv.QUOTE_ALL}), ("d.tsv", {"delimiter": "\t"})]:
            for mark in [b"", b"\xef\xbb\xbf"]:
                data = mark + as_csv(TABLE, **how)
                for cut in [data, data.rstrip(b"\r\n")]:
                    self.assertEqual(self.ids("-f", self.path(name, cut), "--column", "a text"), wanted, (name, cut))
        self.assertEqual(self.ids("--column", "a text", stdin=as_csv(TABLE)), wanted)
        self.assertEqual(self.ids("--csv", "--column", "a text", "-f", self.path("x", as_csv(TABLE))), wanted)
        # A pipe may give the mark and a quote in pieces.
        child = subprocess.Popen([PROGRAM, "tokenize", *self.QWEN, "--column", "a text"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
        for byte in b"\xef\xbb\xbf" + as_csv(TABLE, quoting=csv.QUOTE_ALL):
            child.stdin.write(bytes([byte]))
            child.stdin.flush()
        self.assertEqual(rows(child.communicate()[0]), wanted)
        # Empty lines are no rows, but where there is one column they are empty texts.
        self.assertEqual(self.ids("--column", "a", stdin=b"a,b\n\nx,y\n\n"), self.ids("x"))
        self.assertEqual(self.ids("--column", "a", stdin=b"a\n\nx\n"), self.ids("", "x"))
        self.assertEqual(self.ids("--column", "a", stdin=b"a,b\n"), [])
        self.assertEqual(self.ids("--column", "a", stdin=b'a,b\nx"y,z\n'), self.ids('x"y'))

    def test_random_tables(self):
        picks = random.Random(5)
        for _ in range(20):
            table = [["a", "b"]] + [["".join(picks.choice('xé",\n\r ') for _ in range(picks.randrange(9))) for _ in "ab"] for _ in range(60)]
            parsed = list(csv.reader(io.StringIO(as_csv(table).decode(), newline="")))
            self.assertEqual(parsed, table)
            self.assertEqual(self.ids("--column", "b", stdin=as_csv(table)), self.ids("--null", stdin="\0".join(row[1] for row in table[1:]).encode() + b"\0"))

    def test_other_columns_stay(self):
        got = rows(self.ok("embed", "-q", "--dim", "2", "-f", self.path("t.csv", as_csv(TABLE)), "--column", "a text").stdout)
        self.assertEqual([(r["id"], r["note"], r["index"]) for r in got], [(row[0], row[2], i) for i, row in enumerate(TABLE[1:])])
        self.assertNotIn("a text", got[0])
        done = self.ok("embed", "--column", "a", stdin=b"a,index\nx,7\n")
        self.assertEqual(rows(done.stdout)[0]["index"], 0)
        self.assertIn("left out", done.err)

    def test_errors(self):
        path = self.path("t.csv", as_csv(TABLE))
        self.fails(2, ["--column NAME", "id, a text, note", "-f - <"], "embed", "-f", path)
        self.fails(2, ["no column 'text'", "id, a text, note"], "embed", "-f", path, "--column", "text")
        self.fails(2, "more than one column 'a'", "embed", "--column", "a", stdin=b"a,a\n")
        for data, says in [(b'a,b\nx,y\nx\n', "line 3, byte 1: the row has 1 field, the heading 2"), (b'a,b\n"x\ny",z\n"q"r,s\n', "line 4, byte 4: behind a field's closing"),
                           (b'a,b\nx,"y\nz\n', "line 2, byte 3: a quoted field begins that does not end"), (b'a,b\n"\n\n",\xff\n', "line 4, byte 3: not UTF-8"),
                           (b'a,b\nx,y,z\n', "3 fields, the heading 2")]:
            self.fails(4, says, "tokenize", "--column", "a", stdin=data)
        self.fails(4, "row 2", "embed", "--truncate", "error", "--column", "a", stdin=b"a,b\nx,\n" + b"cat " * 100 + b",\n")
        self.assertEqual(len(rows(self.ok("embed", "-q", stdin=as_csv(TABLE)).stdout)), 7)       # lines as they are

    def test_memory_does_not_grow_with_the_input(self):
        def peak(count):
            path = self.path("t.csv", b"id,text\n" + b"".join(b'%d,"a ""cat""\n%d"\n' % (i, i % 50) for i in range(count)))
            with open(os.devnull, "wb") as null:
                child = subprocess.Popen([PROGRAM, "tokenize", "-f", path, "--column", "text"], stdout=null, env=environment())
                _, status, usage = os.wait4(child.pid, 0)
                child.returncode = status
            self.assertEqual(status, 0)
            return usage.ru_maxrss

        self.assertLess(peak(400000), peak(40000) + 8 * 1024)


class Json(Case):
    def test_names_say_what_files_are(self):
        wanted = rows(self.ok("tokenize", "a cat", "dogs").stdout)
        for name in ["a.jsonl", "b.ndjson", "c.JSONL"]:
            path = self.path(name, b'{"text":"a cat"}\n"dogs"\n')
            self.assertEqual(rows(self.ok("tokenize", "-f", path).stdout), wanted)
        lines = self.path("lines.txt", b"a cat\ndogs\n")
        self.assertEqual(rows(self.ok("tokenize", "-f", lines).stdout), wanted)
        for name, says in [("a.json", "one JSON document"), ("a.parquet", "Parquet is not read"), ("a.xlsx", "save it as CSV"), ("a.npy", "not texts")]:
            path = self.path(name, b'"a cat"\n"dogs"\n')
            for verb in ["embed", "verify", "similarity"]:
                self.fails(2, [says, "-f - <"], verb, *["q"][:verb == "similarity"], "-f", path)
        self.assertEqual(rows(self.ok("tokenize", "--jsonl", "-f", self.path("a.json")).stdout), wanted)

    def test_field(self):
        stdin = b'{"id":7,"text":"dogs","body":"a cat"}\n"a cat"\n'
        got = rows(self.ok("embed", "-q", "--field", "body", "--dim", "2", stdin=stdin).stdout)
        self.assertEqual((got[0]["id"], got[0]["text"], got[0]["embedding"]), (7, "dogs", got[1]["embedding"]))
        self.fails(4, 'line 2, byte 1: the object has no "body"$', "embed", "--field", "body", stdin=stdin.splitlines(True)[0] + b'{"text":"x"}\n')
        self.fails(4, r'has no "text" \(--field NAME', "embed", "--jsonl", stdin=b'{"body":"x"}\n')
        self.fails(4, '"n" is not a string', "embed", "--field", "n", stdin=b'{"n":1}\n')

    def test_second_files(self):
        """--calibrate and --texts go by their own names, whatever the texts are."""
        lines, table = self.path("l.txt", joined(texts(50))), self.path("t.csv", as_csv([["n", "t"]] + [[str(i), t] for i, t in enumerate(texts(50))]))
        wanted = self.ok("embed", "--dtype", "int8", "--format", "raw", "--calibrate", lines, "a cat").stdout
        got = self.ok("embed", "--dtype", "int8", "--format", "raw", "--calibrate", table, "--column", "t", stdin=b"t\na cat\n").stdout
        self.assertEqual(got, wanted)
        self.assertEqual(self.ok("embed", "--dtype", "int8", "--format", "raw", "--calibrate", lines, "--jsonl", stdin=b'"a cat"').stdout, wanted)


def normal(v):
    length = math.sqrt(sum(x * x for x in v))
    return [x / length for x in v]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


class Search(Case):
    LINES = texts(2500, seed=4)
    QUERY = "the cat sat on a warm mat"

    def setUp(self):
        super().setUp()
        self.lines = self.path("lines.txt", joined(self.LINES))

    def embed(self, name, *arguments):
        self.ok("embed", "-q", "-f", self.lines, "-o", self.path(name), *arguments)
        return self.path(name)

    def search(self, path, *arguments, query=QUERY):
        return json.loads(self.ok("similarity", query, "--vectors", path, "--json", *arguments).stdout)["results"]

    def values(self, name):
        """A file's rows as numbers, by NumPy's definition of the types and the middles of int8's buckets."""
        kind, (count, columns), raw = npy(self.read(name))
        ranges = floats(npy(self.read(name + ".ranges.npy"))[2]) if os.path.exists(self.path(name + ".ranges.npy")) else None
        out = []
        for i in range(count):
            if kind in ("<f4", "<f2"):
                out.append(struct.unpack_from("<%d%s" % (columns, "fe"[kind == "<f2"]), raw, i * columns * int(kind[2])))
                continue
            row = [(b + 128) & 255 if kind == "|i1" else b for b in raw[i * columns:(i + 1) * columns]]
            if ranges:
                steps = [(ranges[columns + k] - ranges[k]) / 255 or 1 for k in range(columns)]
                out.append([ranges[k] + (row[k] + 0.5) * steps[k] for k in range(columns)])
            else:
                out.append([1 if b >> (7 - k) & 1 else -1 for b in row for k in range(8)])
        return [normal(v) for v in out]

    def test_every_type(self):
        query = normal(rows(self.ok("embed", "-q", self.QUERY).stdout)[0]["embedding"])
        for name, arguments in [("f32.npy", []), ("f16.npy", ["--dtype", "f16"]), ("int8.npy", ["--dtype", "int8", "--calibrate", self.lines]),
                                ("uint8.npy", ["--dtype", "uint8", "--calibrate", self.lines]), ("binary.npy", ["--dtype", "binary"]),
                                ("ubinary.npy", ["--dtype", "ubinary"])]:
            with self.subTest(name):
                path = self.embed(name, *arguments)
                scores = sorted(((dot(query, v), -i) for i, v in enumerate(self.values(name))), reverse=True)
                for more in ([], ["--threads", "2"], ["--texts", self.lines], ["--top", "2500"], ["--top", "1"]):
                    got = self.search(path, *more)
                    self.assertEqual(len(got), int(more[1]) if more[:1] == ["--top"] else 10)
                    for hit, (score, at) in zip(got, scores):
                        self.assertAlmostEqual(hit["score"], score, 5)
                        self.assertEqual(hit["line"], hit["index"] + 1)
                        self.assertEqual(hit.get("text"), self.LINES[hit["index"]] if "--texts" in more else None)
                    self.assertEqual(len({hit["index"] for hit in got}), len(got))
                if name == "f32.npy":
                    embedded = json.loads(self.ok("similarity", self.QUERY, "-f", self.lines, "--top", "10", "--json").stdout)["results"]
                    for a, b in zip(embedded, got if len(got) == 10 else self.search(path)):
                        self.assertAlmostEqual(a["score"], b["score"], 6)

    def test_lines(self):
        path = self.embed("v.npy")
        plain = self.ok("similarity", self.LINES[3], "--vectors", path, "--top", "1").stdout.decode()
        self.assertEqual(plain, "1.000000\t4\n")
        self.assertEqual(self.ok("similarity", self.LINES[3], "--vectors", path, "--texts", self.lines, "--top", "1").stdout.decode(), "1.000000\t4\t%s\n" % self.LINES[3])

    def test_ranges_are_kept(self):
        path = self.embed("v.npy", "--dtype", "int8", "--calibrate", self.lines)
        wide = floats(self.ok("embed", "-q", "-f", self.lines, "--format", "raw").stdout)
        columns = [wide[i::48] for i in range(48)]
        kind, shape, raw = npy(self.read("v.npy.ranges.npy"))
        self.assertEqual((kind, shape, list(floats(raw))), ("<f4", (2, 48), [min(c) for c in columns] + [max(c) for c in columns]))
        wanted = self.search(path)
        os.rename(self.path("v.npy.ranges.npy"), self.path("kept.npy"))
        self.fails(2, "without their ranges: there is no .*v.npy.ranges.npy", "similarity", "a", "--vectors", path)
        self.assertEqual(self.search(path, "--ranges", self.path("kept.npy")), wanted)
        # With the ranges that are there no texts are needed.
        self.ok("embed", "-q", "-f", self.lines, "-o", self.path("w.npy"), "--dtype", "int8", "--ranges", self.path("kept.npy"))
        self.assertEqual((self.read("w.npy"), self.read("w.npy.ranges.npy")), (self.read("v.npy"), self.read("kept.npy")))

    def test_what_does_not_fit(self):
        path = self.embed("v.npy")
        self.fails(4, "vectors of 6 elements, the model's have 48", "similarity", "a", "--vectors", self.embed("cut.npy", "--dim", "6"))
        self.search(self.path("cut.npy"), "--dim", "6")
        fewer = self.path("fewer.txt", joined(self.LINES[:-1]))
        self.fails(4, "2499 texts, .* 2500 rows", "similarity", "a", "--vectors", path, "--texts", fewer)
        self.fails(4, "2499 texts, .* 2500 rows", "similarity", "--duplicates", "--vectors", path, "--texts", fewer)
        self.fails(6, "No such file", "similarity", "a", "--vectors", self.path("none.npy"))
        self.fails(2, "--threshold is a number", "similarity", "--duplicates", "--threshold", "much", "--vectors", path)
        self.fails(2, "is for --duplicates", "similarity", "--threshold", "0.5", "a", "--vectors", path)
        data = self.read("v.npy")
        for name, broken, says in [("text", b"hello", "not a .npy file"), ("short", data[:-1], "shorter than its header"), ("empty", b"", "not a .npy file"),
                                   ("f8", data.replace(b"<f4", b"<f8"), "float32"), ("order", data.replace(b"False", b"True "), "C order"),
                                   ("huge", data.replace(b"(2500, 48)", b"(%d, 48)" % (1 << 62)), "shorter|C order"), ("flat", data.replace(b"(2500, 48)", b"(120000,) "), "C order")]:
            with self.subTest(name):
                self.fails(4, says, "similarity", "a", "--vectors", self.path("broken.npy", broken))
        # Another model with as many elements is noticed by the texts.
        other = self.ok("similarity", "a cat", "--vectors", path, "--texts", self.lines, "-m", os.path.join(CHECKPOINTS, "xlmr"))
        self.assertIn("is not the vector that this model gives its text", other.err)
        self.assertEqual(self.ok("similarity", "a cat", "--vectors", path, "--texts", self.lines).err, "")

    def test_duplicates(self):
        lines = self.LINES[:1500] + self.LINES[100:110] + ["THE Cat sat"] + self.LINES[:1]
        self.lines = self.path("lines.txt", joined(lines))
        for name, arguments in [("f32.npy", []), ("int8.npy", ["--dtype", "int8", "--calibrate", self.lines]), ("bits.npy", ["--dtype", "ubinary"])]:
            path = self.embed(name, *arguments)
            values = [array.array("d", v) for v in self.values(name)]
            for threshold in ["0.999", "0.8"]:
                got = json.loads(self.ok("similarity", "--duplicates", "--threshold", threshold, "--vectors", path, "--texts", self.lines, "--json").stdout)
                self.assertEqual(got["rows"], len(lines))
                found = {d["index"]: d for d in got["duplicates"]}
                for i in list(range(0, 1500, 67)) + list(range(1480, len(lines))):
                    scores = [dot(values[i], values[k]) for k in range(i)]
                    best = max(scores, default=-2)
                    if abs(best - float(threshold)) < 1e-5:
                        continue
                    self.assertEqual(i in found, best >= float(threshold), (name, i, best))
                    if i in found:
                        self.assertAlmostEqual(found[i]["score"], best, 5)
                        self.assertAlmostEqual(scores[found[i]["of"]], best, 5)
                        self.assertEqual((found[i]["line"], found[i]["of_line"], found[i]["text"]), (i + 1, found[i]["of"] + 1, lines[i]))
        last = self.ok("similarity", "--duplicates", "--vectors", self.path("f32.npy"), "--texts", self.lines).stdout.decode().splitlines()[-1].split("\t")
        self.assertEqual((last[1], last[3]), (str(len(lines)), lines[0]))

    def test_no_rows(self):
        self.lines = self.path("lines.txt", b"")
        path = self.embed("v.npy")
        self.assertEqual(self.search(path), [])
        self.assertEqual(json.loads(self.ok("similarity", "--duplicates", "--json", "--vectors", path).stdout), {"rows": 0, "duplicates": []})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
