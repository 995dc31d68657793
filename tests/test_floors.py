#!/usr/bin/env python3
"""bench/floors.py: which floors are asked for, by the instruction set of a run, and what becomes of figures that are not there. Nothing is timed.

    test_floors.py [unittest arguments]
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADS = {"rows": "model,engine,row,variant,texts,tokens,calls,best_ms,median_ms", "process": "model,engine,open_s,wall_s,peak_mb", "values": "what,subject,value",
         "memory": "engine,requests,resident_kb,private_kb"}


class Floors(unittest.TestCase):
    def floors(self, isa, **files):
        """(exit status, {floor: (measured, verdict)})"""
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "run.json"), "w", encoding="utf-8") as f:
                json.dump({"isa": isa, "peers": "as they are", "kind": "full", "date": "today"}, f)
            for name, head in HEADS.items():
                with open(os.path.join(folder, name + ".csv"), "w", encoding="utf-8") as f:
                    f.write("\n".join([head, *files.get(name, [])]) + "\n")
            done = subprocess.run([sys.executable, os.path.join(ROOT, "bench/floors.py"), folder], capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        lines = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
        return done.returncode, {line[0][2:]: (line[2], line[3].rstrip(" |")) for line in lines}

    def test_sets(self):
        """AVX2 has floors of its own; those of VNNI hold on every set that has it, and on no other; some hold everywhere."""
        avx2, vnni, none = "products alone, qwen3 int8, of the register peak", "MiniLM int8, one title", "e5-small int8, products in f32, of 49"
        for isa, expected in {"avx2": {avx2, none}, "avxvnni": {vnni, none}, "avx512": {vnni, none}, "avx512bf16": {vnni, none}, "baseline": {none}, "dotprod": {none}}.items():
            code, found = self.floors(isa)
            self.assertEqual(code, 0, isa)
            self.assertEqual(expected, {avx2, vnni, none} & set(found), isa)
            self.assertEqual({verdict for _, verdict in found.values() if not re.match("not measured", verdict)}, set(), isa)

    def test_verdicts(self):
        row = "minilm,{},bulk512,{},512,40000,3,{},{}".format
        rows = [row("akiembed int8", "", 1000, 1100), row("akiembed int8", "", 1200, 1300), row("akiembed f32", "", 1400, 1400), row("onnxruntime f32", '"8, sorted"', 1600, 1600)]
        files = {"rows": rows, "values": ['"verify, int8: cosine_least",e5-small,0.9985', '"info, int8: products_f32",e5-small,3'],
                 "process": ["qwen3,akiembed f32,1,2,1500", 'qwen3,"akiembed f32, f32 folder",1,2,3000']}
        code, found = self.floors("avx2", **files)
        self.assertEqual(code, 1)
        self.assertEqual(found["MiniLM int8, bulk, times own f32"], ("1.40 x", "reached"))          # the better of two runs
        self.assertEqual(found["MiniLM f32, bulk, times onnxruntime f32, sorted eights"], ("1.14 x", "MISSED"))
        self.assertEqual(found["e5-small int8, texts of verify, least cosine"], ("0.99850", "MISSED"))
        self.assertEqual(found["bge-small-en int8, texts of verify, least cosine"], ("-", "not measured"))
        self.assertEqual(found["e5-small int8, products in f32, of 49"], ("3", "reached"))
        self.assertEqual(found["Qwen3 shape f32, peak memory, from a bf16 folder, of that from an f32 one"], ("0.50 x", "reached"))
        self.assertNotIn("MiniLM int8, bulk, times own f32", self.floors("avx512", **files)[1])


if __name__ == "__main__":
    unittest.main()
