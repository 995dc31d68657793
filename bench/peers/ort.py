"""onnxruntime + tokenizers in Python, mean pooling and normalising in numpy. --model: a folder with model.onnx and tokenizer.json.

--variant names the file (f32, int8 …). The bulk row is measured three ways: one text at a time, batches of 8 sorted by length, 32 sorted."""
import os

import common

args = common.arguments()


def open_model():
    import numpy as np
    import onnxruntime as ort
    import tokenizers

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = args.threads, 1
    session = ort.InferenceSession(os.path.join(args.model, "model.onnx"), options, providers=["CPUExecutionProvider"])
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(args.model, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    inputs = {i.name for i in session.get_inputs()}

    def batch(ids):
        width = max(map(len, ids))
        block, mask = np.zeros((len(ids), width), np.int64), np.zeros((len(ids), width), np.int64)
        for i, row in enumerate(ids):
            block[i, :len(row)], mask[i, :len(row)] = row, 1
        feeds = {"input_ids": block, "attention_mask": mask}
        if "token_type_ids" in inputs:
            feeds["token_type_ids"] = np.zeros_like(block)
        hidden = session.run(["last_hidden_state"], feeds)[0]
        pooled = (hidden * mask[:, :, None]).sum(1, dtype=np.float32) / mask.sum(1, dtype=np.float32)[:, None]
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)

    def embed(ids, texts, row, size=64):
        if row.name in common.TEXT_ROWS or row.name == "once":
            ids = [e.ids for e in tokenizer.encode_batch(texts)]
        if len(ids) == 1:
            return batch(ids)
        out = [None] * len(ids)
        for part in common.by_length(ids, size):
            for i, vector in zip(part, batch([ids[i] for i in part])):
                out[i] = vector
        return out

    return embed


def strategies(embed):
    return {name: lambda ids, texts, row, size=size: embed(ids, texts, row, size)
            for name, size in (("one at a time", 1), ("8, sorted", 8), ("32, sorted", 32))}


def version():
    from importlib.metadata import version
    return "onnxruntime " + version("onnxruntime") + ", tokenizers " + version("tokenizers")


common.main("onnxruntime " + args.variant, version(), args, open_model, strategies)
