#!/usr/bin/env python3
"""A copy of this environment's onnxruntime that believes the processor has nothing newer than AVX2.

    hold.py OUT     OUT/onnxruntime; it is used where PYTHONPATH begins with OUT

ONNX Runtime asks the processor and has no switch. So each cpuid instruction of the copy becomes one that is undefined (both have two bytes), and a
handler answers in its place (peers/hide_avx512.c)."""
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "peers")       # bench/tokenize.py would hide a standard module
CPUID, UNDEFINED = b"\x0f\xa2", b"\x0f\x0b"
LOAD = 'import ctypes as _ctypes, os as _os\n_ctypes.CDLL(_os.path.join(_os.path.dirname(__file__), "hide_avx512.so"))\n'


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def patch(path):
    """The number of instructions replaced."""
    text = re.search(r"\s\.text\s+PROGBITS\s+([0-9a-f]+)\s+([0-9a-f]+)", output("readelf", "-SW", path))
    shift = int(text[2], 16) - int(text[1], 16)
    found = [int(a, 16) + shift for a in re.findall(r"^\s*([0-9a-f]+):\s+cpuid", output("objdump", "-d", "--no-show-raw-insn", "-j", ".text", path), re.M)]
    with open(path, "r+b") as f:
        for at in found:
            f.seek(at)
            if f.read(2) != CPUID:
                sys.exit(f"{path}: no cpuid at {at}")
            f.seek(at)
            f.write(UNDEFINED)
    return len(found)


def main():
    import importlib.util

    theirs, ours = os.path.dirname(importlib.util.find_spec("onnxruntime").origin), os.path.join(sys.argv[1], "onnxruntime")
    shutil.rmtree(ours, ignore_errors=True)
    shutil.copytree(theirs, ours, ignore=shutil.ignore_patterns("transformers", "__pycache__", "libonnxruntime.so*"))
    capi = os.path.join(ours, "capi")
    library, = (f for f in os.listdir(capi) if f.startswith("onnxruntime_pybind11_state"))
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", os.path.join(ours, "hide_avx512.so"), os.path.join(HERE, "peers", "hide_avx512.c")], check=True)
    print(f"{library}: {patch(os.path.join(capi, library))} instructions")
    begin = os.path.join(ours, "__init__.py")
    with open(begin, encoding="utf-8") as f:
        rest = f.read()
    with open(begin, "w", encoding="utf-8") as f:
        f.write(LOAD + rest)


main()
