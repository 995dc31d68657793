#!/usr/bin/env python3
"""A Qwen3-shaped checkpoint as .gguf for llama.cpp: linear layers and the token table in Q8_0 or Q4_0, last token pooled.

    make_gguf.py CHECKPOINT OUT.gguf Q8_0"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "peers")       # bench/tokenize.py would hide a standard module
sys.path.append(HERE)
import json

import gguf
import numpy as np
from checkpoint import Checkpoint

LAYER = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
         "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def tokenizer(w, folder, count):
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
        t = json.load(f)
    tokens, types = [f"[PAD{i}]" for i in range(count)], [gguf.TokenType.UNUSED] * count
    for token, i in t["model"]["vocab"].items():
        tokens[i], types[i] = token, gguf.TokenType.NORMAL
    for added in t["added_tokens"]:
        tokens[added["id"]] = added["content"]
        types[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in t["model"]["merges"]])
    last = tokens.index("<|endoftext|>")
    w.add_eos_token_id(last)
    w.add_pad_token_id(last)
    w.add_add_eos_token(True)
    w.add_add_bos_token(False)


def main():
    folder, out, kind = sys.argv[1:]
    checkpoint = Checkpoint(folder)
    c, kind = checkpoint.config, getattr(gguf.GGMLQuantizationType, kind)
    w = gguf.GGUFWriter(out, "qwen3", use_temp_file=False)
    w.add_name("qwen3-shape")
    w.add_block_count(c["num_hidden_layers"])
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_head_count_kv(c["num_key_value_heads"])
    w.add_key_length(c["head_dim"])
    w.add_value_length(c["head_dim"])
    w.add_rope_freq_base(c.get("rope_theta") or c["rope_parameters"]["rope_theta"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_pooling_type(gguf.PoolingType.LAST)
    tokenizer(w, folder, c["vocab_size"])

    def add(to, name):
        values = checkpoint[name + ".weight"]
        if values.ndim == 1:
            w.add_tensor(to + ".weight", np.ascontiguousarray(values))
        else:
            w.add_tensor(to + ".weight", gguf.quants.quantize(values, kind), raw_dtype=kind)

    add("token_embd", "embed_tokens")
    for layer in range(c["num_hidden_layers"]):
        for name, to in LAYER.items():
            add(f"blk.{layer}.{to}", f"layers.{layer}.{name}")
    add("output_norm", "norm")
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


main()
