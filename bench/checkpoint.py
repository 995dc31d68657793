"""Reads a safetensors checkpoint of ours as f32 arrays, one tensor at a time. For the scripts that write it in the peers' formats."""
import json
import os
import struct

import numpy as np


class Checkpoint:
    def __init__(self, folder):
        path = os.path.join(folder, "model.safetensors")
        with open(path, "rb") as f:
            (size,) = struct.unpack("<Q", f.read(8))
            self.header = json.loads(f.read(size))
        self.map, self.base = np.memmap(path, np.uint8, "r"), 8 + size
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
            self.config = json.load(f)

    def __getitem__(self, name):
        entry = self.header[name]
        begin, end = entry["data_offsets"]
        raw = self.map[self.base + begin:self.base + end]
        if entry["dtype"] == "BF16":
            return (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])
        return raw.view({"F32": np.float32, "F16": np.float16}[entry["dtype"]]).astype(np.float32).reshape(entry["shape"])
