#!/usr/bin/env python3
"""Example in Python, through ctypes and nothing else: prints the cosine of each text with the first.

    python3 embed.py MODEL_FOLDER "a query" "a text" "another text"

LD_LIBRARY_PATH (or AKIEMBED_LIBRARY, a path) says where libakiembed lies, where it is not installed for all programs.
"""
import ctypes
import os
import sys


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int32), ("item", ctypes.c_int32), ("offset", ctypes.c_uint64), ("message", ctypes.c_char * 240)]


lib = ctypes.CDLL(os.environ.get("AKIEMBED_LIBRARY", "libakiembed.dylib" if sys.platform == "darwin" else "libakiembed.so.0"))
lib.aki_model_open.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(Error)]
lib.aki_model_close.argtypes = [ctypes.c_void_p]
lib.aki_model_close.restype = None
lib.aki_embed_bound.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
lib.aki_embed_bound.restype = ctypes.c_size_t
lib.aki_embed.argtypes = [
    ctypes.c_void_p, ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(ctypes.c_size_t), ctypes.c_size_t, ctypes.c_void_p,
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(Error)]


class Model:
    """An open model: with Model(folder) as model: vectors = model.embed(texts)."""

    def __init__(self, folder):
        self.handle, error = ctypes.c_void_p(), Error()
        if lib.aki_model_open(os.fsencode(folder), None, self.handle, error):
            raise RuntimeError(error.message.decode())

    def embed(self, texts):
        if not texts:
            return []
        raw = [text.encode() for text in texts]
        count, error = len(raw), Error()
        out = (ctypes.c_float * (lib.aki_embed_bound(self.handle, count, None) // 4))()
        if lib.aki_embed(self.handle, (ctypes.c_char_p * count)(*raw), (ctypes.c_size_t * count)(*map(len, raw)), count, None,
                         out, ctypes.sizeof(out), None, None, error):
            raise RuntimeError(error.message.decode())
        dim = len(out) // count
        return [out[i * dim:(i + 1) * dim] for i in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.aki_model_close(self.handle)


def main():
    if len(sys.argv) < 4:
        sys.exit(f"usage: {sys.argv[0]} MODEL_FOLDER QUERY TEXT...")
    texts = sys.argv[2:]
    with Model(sys.argv[1]) as model:
        query, *others = model.embed(texts)
    for text, vector in zip(texts[1:], others):
        print(f"{sum(a * b for a, b in zip(query, vector)):.4f}  {text}")


if __name__ == "__main__":
    main()
