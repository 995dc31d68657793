#!/usr/bin/env python3
"""Exact search in stored vectors beside NumPy's, in one process: search.py [LIBRARY] [ROWS] [DIM]. Needs NumPy; on its own, not part of `make bench`.

Random rows in every type of element, mapped from files; milliseconds of a search for the ten nearest, median and least.
"""
import ctypes
import pathlib
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBRARY = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build" / "libakiembed.so.0")
ROWS, DIM = (int(a) for a in (sys.argv[2:] + ["100000", "384"][len(sys.argv[2:]):]))
TOP, CALLS, ROUNDS = 10, 25, 2
F32, F16, INT8, UBINARY = 0, 1, 2, 5


class Vectors(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("dtype", ctypes.c_int32), ("rows", ctypes.c_void_p), ("count", ctypes.c_size_t), ("dim", ctypes.c_int32),
                ("threads", ctypes.c_int32), ("ranges", ctypes.c_void_p), ("progress", ctypes.c_void_p), ("progress_user", ctypes.c_void_p)]


class Hit(ctypes.Structure):
    _fields_ = [("row", ctypes.c_uint64), ("score", ctypes.c_float)]


def search(library, array, dtype, query, threads, ranges):
    vectors = Vectors(ctypes.sizeof(Vectors), dtype, array.ctypes.data, len(array), DIM, threads, ranges.ctypes.data, None, None)
    hits, count = (Hit * TOP)(), ctypes.c_size_t()
    status = library.aki_search(ctypes.byref(vectors), ctypes.c_void_p(query.ctypes.data), ctypes.c_size_t(TOP), hits, ctypes.byref(count), None)
    assert status == 0, status
    return [hit.row for hit in hits]


def numpy_search(array, query):
    scores = array @ query
    best = np.argpartition(-scores, TOP)[:TOP]
    return list(best[np.argsort(-scores[best])])


def timed(call):
    call()
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return "%6.2f %6.2f" % (sorted(times)[CALLS // 2], min(times))


def main():
    library = ctypes.CDLL(LIBRARY)
    numbers = np.random.default_rng(1)
    rows = numbers.standard_normal((ROWS, DIM), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    query = numbers.standard_normal(DIM, dtype=np.float32)
    query /= np.linalg.norm(query)
    ranges = np.stack([rows.min(0), rows.max(0)])
    buckets = np.clip(np.floor((rows - ranges[0]) / ((ranges[1] - ranges[0]) / 255)), 0, 255)
    with tempfile.TemporaryDirectory() as folder:
        arrays = {}
        for name, dtype, array in [("f32", F32, rows), ("f16", F16, rows.astype(np.float16)), ("int8", INT8, (buckets - 128).astype(np.int8)),
                                   ("ubinary", UBINARY, np.packbits(rows > 0, axis=1))]:
            np.save(f"{folder}/{name}.npy", array)
            arrays[name] = dtype, np.load(f"{folder}/{name}.npy", mmap_mode="r")
        assert numpy_search(arrays["f32"][1], query) == search(library, arrays["f32"][1], F32, query, 0, ranges)
        print(f"{ROWS} x {DIM}, NumPy {np.__version__}; milliseconds, median and least of {CALLS}")
        for _ in range(ROUNDS):
            print("numpy f32:              ", timed(lambda: numpy_search(arrays["f32"][1], query)))
            for threads in (1, 2):
                for name, (dtype, array) in arrays.items():
                    print("%-8s %d thread%s       " % (name, threads, " s"[threads > 1]), timed(lambda: search(library, array, dtype, query, threads, ranges)))


if __name__ == "__main__":
    main()
