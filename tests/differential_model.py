#!/usr/bin/env python3
"""Vectors of random models against sentence-transformers: other widths, heads, activations, dtypes, poolings and limits each time.

Run by hand where sentence-transformers is installed (the reference of tests/data/golden):
    differential_model.py build/akiembed build/checkpoints [--count 30] [--seed N]
Takes tokenizers from tests/make_checkpoints.py's folders. Prints a line a model; exit 1 where one is further than 2e-5 or 1e-6 in cosine."""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel, Qwen3Config, Qwen3Model, XLMRobertaConfig, XLMRobertaModel

HERE = os.path.dirname(os.path.abspath(__file__))
OLD_KEYS = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
            "weightedmean": "weightedmean_tokens", "lasttoken": "lasttoken"}


def network(r, family, vocabulary):
    heads, head_dim = r.choice([1, 2, 3, 5, 6, 8]), r.choice([4, 6, 8, 10, 12, 16, 20, 32])
    shape = dict(vocab_size=vocabulary, num_hidden_layers=r.choice([1, 2, 3, 5]), num_attention_heads=heads,
                 intermediate_size=r.choice([20, 36, 64, 100, 130]), initializer_range=r.choice([0.02, 0.1, 0.3]),
                 hidden_act=r.choice(["gelu", "gelu_new", "relu", "silu", "gelu_pytorch_tanh"]))
    if family == "bert":
        return BertModel(BertConfig(hidden_size=heads * head_dim, max_position_embeddings=r.choice([64, 512]), **shape), add_pooling_layer=r.choice([True, False]))
    if family == "xlmr":
        return XLMRobertaModel(XLMRobertaConfig(hidden_size=heads * head_dim, max_position_embeddings=r.choice([130, 514]), pad_token_id=1, bos_token_id=0,
                                                eos_token_id=2, type_vocab_size=1, layer_norm_eps=1e-5, **shape))
    kv_heads = r.choice([k for k in range(1, heads + 1) if heads % k == 0])
    return Qwen3Model(Qwen3Config(hidden_size=r.choice([24, 32, 50, 64]), num_key_value_heads=kv_heads, head_dim=head_dim, attention_bias=r.choice([True, False]),
                                  rope_theta=r.choice([1e4, 1e6]), max_position_embeddings=2048, pad_token_id=None, **shape))


def write_model(r, checkpoints, family, folder):
    with open(os.path.join(checkpoints, family, "config.json"), encoding="utf-8") as f:
        vocabulary = json.load(f)["vocab_size"]
    torch.manual_seed(r.randrange(1 << 30))
    model = network(r, family, vocabulary)
    for p in model.parameters():
        if p.dim() == 1:            # norms and biases that say nothing would hide a mistake
            p.data += torch.randn_like(p) * 0.1
    dtype = r.choice([torch.float32, torch.float16, torch.bfloat16])
    model.to(dtype).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if os.path.exists(os.path.join(checkpoints, family, name)):
            shutil.copy(os.path.join(checkpoints, family, name), folder)
    limit = min(model.config.max_position_embeddings - (2 if family == "xlmr" else 0), r.choice([30, 60, 512]))
    mode, normalize, hidden = r.choice(sorted(OLD_KEYS)), r.choice([True, False]), model.config.hidden_size
    pooling = ({"embedding_dimension": hidden, "pooling_mode": mode, "include_prompt": True} if r.random() < 0.5 else
               {"word_embedding_dimension": hidden, **{"pooling_mode_" + k: name == mode for name, k in OLD_KEYS.items()}})
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")] + ([("2_Normalize", "Normalize")] if normalize else [])
    os.makedirs(os.path.join(folder, "1_Pooling"))
    for name, value in (("sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False}), ("1_Pooling/config.json", pooling),
                        ("modules.json", [{"idx": i, "name": str(i), "path": p, "type": "sentence_transformers.models." + t} for i, (p, t) in enumerate(modules)])):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            json.dump(value, f)
    return normalize, f"{family} hidden {hidden}, {model.config.num_attention_heads} heads, {model.config.num_hidden_layers} layers, {dtype}, {mode}, limit {limit}"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program")
    p.add_argument("checkpoints")
    p.add_argument("--count", type=int, default=30)
    p.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    a = p.parse_args()
    print("seed", a.seed)
    r = random.Random(a.seed)
    torch.set_num_threads(1)
    with open(os.path.join(HERE, "data", "texts.json"), encoding="utf-8") as f:
        texts = [t for t in json.load(f) if t.strip()]
    bad = 0
    for _ in range(a.count):
        with tempfile.TemporaryDirectory() as folder:
            normalize, what = write_model(r, a.checkpoints, r.choice(["bert", "xlmr", "qwen3"]), folder)
            reference = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": torch.float32})
            want = np.stack([reference.encode(t, batch_size=1, show_progress_bar=False) for t in texts])
            run = subprocess.run([a.program, "embed", "-m", folder, "--jsonl", "--quiet", "-f", "-"], input="\n".join(map(json.dumps, texts)),
                                 capture_output=True, text=True)
            if run.returncode:
                print("BAD", what, run.stderr.strip())
                bad += 1
                continue
            have = np.array([json.loads(line)["embedding"] for line in run.stdout.splitlines()], np.float32)
            distance = np.abs(have - want).max() / (1 if normalize else max(1, np.abs(want).max()))
            cosine = ((have * want).sum(1) / np.linalg.norm(have, axis=1) / np.linalg.norm(want, axis=1)).min()
            fine = distance < 2e-5 and cosine > 0.999999
            bad += not fine
            print("ok " if fine else "BAD", what, "distance %.1e, cosine %.7f" % (distance, cosine), flush=True)
    print(a.count - bad, "of", a.count)
    sys.exit(bad > 0)


main()
