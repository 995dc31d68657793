#!/usr/bin/env python3
"""Massive activations: a random Qwen3-shaped model with outliers planted, int8 against f32 in three ways.

    outliers.py BENCH_EMBED [--seeds 7,13] [--factors 100,1000] [--folder OUT] [--texts 96]
                                                               one JSON line; OUT keeps the models (default: a temporary folder)
    outliers.py BENCH_EMBED --seeds 7,11,12,13,14,21,22,23 --factors 30,100,300,1000 --table       the table of docs/performance.md

8 layers, hidden 256, weights of deviation 0.02, a model for each seed. Plants in layer 2, channels 7 and 100, times each factor:
  down_proj rows     the layer writes these channels of the residual that much larger
  down_proj columns  the MLP's inner channels 7 and 100 weigh that much
  residual           the token table's own channels: the residual carries them from the first layer to the last"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "peers")       # bench/tokenize.py would hide a standard module
sys.path.append(HERE)
import argparse
import json
import shutil
import struct
import tempfile

import quality
import numpy as np
from checkpoint import Checkpoint

HIDDEN, LAYERS, HEADS, KV, WIDTH, INNER, TOKENS = 256, 8, 4, 2, 64, 768, 1000
CHANNELS, LAYER = [7, 100], 2
CONFIG = {"architectures": ["Qwen3Model"], "model_type": "qwen3", "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
          "num_key_value_heads": KV, "head_dim": WIDTH, "intermediate_size": INNER, "hidden_act": "silu", "rms_norm_eps": 1e-6,
          "max_position_embeddings": 512, "attention_bias": False, "vocab_size": TOKENS, "tie_word_embeddings": True, "use_sliding_window": False,
          "sliding_window": None, "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}, "dtype": "float32"}


OURS = "rotated int8 (ours)"
EMULATED = {"W8A8 without rotation (numpy)": "w8a8", "weight-only int8 (numpy)": "weight"}


def tensors(seed, plant, factor):
    random = np.random.default_rng(seed)
    normal = lambda *shape: (random.standard_normal(shape) * 0.02).astype(np.float32)
    out = {"embed_tokens.weight": normal(TOKENS, HIDDEN), "norm.weight": np.ones(HIDDEN, np.float32)}
    for i in range(LAYERS):
        p = f"layers.{i}."
        for name, size in (("input_layernorm", HIDDEN), ("post_attention_layernorm", HIDDEN), ("self_attn.q_norm", WIDTH), ("self_attn.k_norm", WIDTH)):
            out[p + name + ".weight"] = np.ones(size, np.float32)
        for name, shape in (("self_attn.q_proj", (HEADS * WIDTH, HIDDEN)), ("self_attn.k_proj", (KV * WIDTH, HIDDEN)), ("self_attn.v_proj", (KV * WIDTH, HIDDEN)),
                            ("self_attn.o_proj", (HIDDEN, HEADS * WIDTH)), ("mlp.gate_proj", (INNER, HIDDEN)), ("mlp.up_proj", (INNER, HIDDEN)),
                            ("mlp.down_proj", (HIDDEN, INNER))):
            out[p + name + ".weight"] = normal(*shape)
    down = out[f"layers.{LAYER}.mlp.down_proj.weight"]
    if plant == "down_proj rows":
        down[CHANNELS] *= factor
    elif plant == "down_proj columns":
        down[:, CHANNELS] *= factor
    elif plant == "residual":
        out["embed_tokens.weight"][:, CHANNELS] *= factor
    return out


def write(folder, seed, plant, factor):
    os.makedirs(os.path.join(folder, "1_Pooling"), exist_ok=True)
    every, header, at = tensors(seed, plant, factor), {}, 0
    for name, values in every.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(v.tobytes() for v in every.values()))
    modules = [{"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + kind}
               for i, (path, kind) in enumerate((("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")))]
    pooling = {"word_embedding_dimension": HIDDEN, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False, "pooling_mode_lasttoken": True}
    for name, value in (("config.json", CONFIG), ("modules.json", modules), ("1_Pooling/config.json", pooling)):
        with open(os.path.join(folder, name), "w") as f:
            json.dump(value, f, indent=1)
    # Only ids are given; a tokenizer has to be there all the same, and any whose ids the vocabulary holds will do.
    vocab = {"<|endoftext|>": 0, **{chr(0x4E00 + i): i for i in range(1, TOKENS)}}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None,
                 "added_tokens": [{"id": 0, "content": "<|endoftext|>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}],
                 "model": {"type": "WordPiece", "unk_token": "<|endoftext|>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab}}
    with open(os.path.join(folder, "tokenizer.json"), "w") as f:
        json.dump(tokenizer, f)


def table(values, seeds):
    """Of each plant over all seeds: the least of the least and the mean of the means, plain and centred."""
    found = {(what, subject): value for what, subject, value in values}
    print("| plant | " + " | ".join((OURS, *EMULATED)) + " |\n|" + "---|" * (len(EMULATED) + 2))
    for plant in dict.fromkeys(subject.split(", ")[0] for _, subject, _ in values):
        cells = []
        for how in (OURS, *EMULATED):
            of = lambda kind: [found[f"outliers: {how}: {kind} cosine", f"{plant}, seed {seed}"] for seed in seeds]
            cells.append(f"{min(of('least')):.4f}, {np.mean(of('mean')):.4f}; {min(of('least centred')):.4f}, {np.mean(of('mean centred')):.4f}")
        print(f"| {plant} | " + " | ".join(cells) + " |")


def main():
    numbers = lambda text: [int(n) for n in text.split(",")]
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("--seeds", type=numbers, default=[7, 13])
    p.add_argument("--factors", type=numbers, default=[100, 1000])
    p.add_argument("--folder")
    p.add_argument("--texts", type=int, default=96)
    p.add_argument("--table", action="store_true")
    a = p.parse_args()
    out, values = a.folder or tempfile.mkdtemp(), []
    random = np.random.default_rng(3)
    rows = [(random.integers(1, TOKENS, random.integers(4, 65)).tolist(), "") for _ in range(a.texts)]
    variants = [("none", 1)] + [(plant, factor) for plant in ("down_proj rows", "down_proj columns", "residual") for factor in a.factors]
    try:
        for seed in a.seeds:
            for plant, factor in variants:
                name = f"{plant if factor == 1 else f'{plant} x {factor}'}, seed {seed}"
                folder = os.path.join(out, name.replace(",", "").replace(" ", "-"))
                write(folder, seed, plant, factor)
                checkpoint = Checkpoint(folder)
                reference = quality.Qwen3(checkpoint, "f32")
                f32 = np.stack([reference(ids) for ids, _ in rows])
                values += quality.report("outliers: f32 (ours)", name, f32, quality.vectors(a.program, folder, rows, "f32", HIDDEN, text=False))
                values += quality.report("outliers: " + OURS, name, f32, quality.vectors(a.program, folder, rows, "int8", HIDDEN, text=False))
                for subject, kind in EMULATED.items():
                    model = quality.Qwen3(checkpoint, kind)
                    values += quality.report("outliers: " + subject, name, f32, np.stack([model(ids) for ids, _ in rows]))
                if not a.folder:
                    shutil.rmtree(folder)
    finally:
        if not a.folder:
            shutil.rmtree(out)
    if a.table:
        table(values, a.seeds)
    else:
        print(json.dumps({"values": values}))


main()
