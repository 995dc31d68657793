#!/usr/bin/env python3
"""A Qwen3-shaped checkpoint as an ONNX graph of ONNX Runtime's own operators: MatMulNBits (block 32), GroupQueryAttention,
SkipSimplifiedLayerNormalization. q/k/v are one product and gate/up are one, as its model builder writes them.

    make_onnx.py CHECKPOINT OUT.onnx 8 | 4 [plain]      bits; inputs: input_ids [B,S], seqlens_k [B], total [1], past [B,KV,0,D] (empty, of every layer)

plain: attention in standard operators, which OpenVINO computes in batches; input_ids is the only input then. Texts are padded on the right, so the
causal mask is all that the last token of each needs."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "peers")       # bench/tokenize.py would hide a standard module
sys.path.append(HERE)
import numpy as np
import onnx
from checkpoint import Checkpoint
from onnx import TensorProto, helper

BLOCK, MS, POSITIONS = 32, "com.microsoft", 2304


class Builder:
    def __init__(self, path):
        self.nodes, self.weights, self.path = [], [], os.path.basename(path) + ".data"
        self.data, self.at = open(path + ".data", "wb"), 0

    def weight(self, name, values):
        """In the file beside the graph, at an aligned place."""
        values = np.ascontiguousarray(values)
        pad = -self.at % 4096
        self.data.write(bytes(pad))
        self.at += pad
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(values.dtype), dims=values.shape, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", self.path), ("offset", self.at), ("length", values.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        self.data.write(values.tobytes())
        self.at += values.nbytes
        self.weights.append(tensor)
        return name

    def constant(self, name, values):
        self.weights.append(onnx.numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, op, inputs, outputs, domain="", **attributes):
        self.nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], domain=domain, **attributes))
        return outputs[0]

    def linear(self, x, name, values, bits):
        n, k = values.shape
        blocks = values.reshape(n, k // BLOCK, BLOCK)
        top = (1 << (bits - 1)) - 1
        scales = np.abs(blocks).max(2) / top
        q = (np.rint(blocks / np.maximum(scales, 1e-30)[:, :, None]) + top + 1).astype(np.uint8)
        if bits == 4:
            q = q[:, :, 0::2] | q[:, :, 1::2] << 4
        return self.node("MatMulNBits", [x, self.weight(name + ".q", q), self.weight(name + ".scales", scales.astype(np.float32))],
                         [name], MS, K=k, N=n, bits=bits, block_size=BLOCK, accuracy_level=4)


def rope(head_dim, theta):
    angle = np.arange(POSITIONS)[:, None] * theta ** (-np.arange(0, head_dim, 2) / head_dim)[None, :]
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def plain_constants(b, heads, kv, d, cos, sin):
    """cos, sin and mask cut to the length of the input."""
    b.weight("cos_all", np.concatenate([cos, cos], 1)[None, :, None])
    b.weight("sin_all", np.concatenate([-sin, sin], 1)[None, :, None])
    b.weight("mask_all", np.triu(np.full((POSITIONS, POSITIONS), -1e9, np.float32), 1)[None, None, None])
    for name, values in (("zero", [0]), ("zeros", [0, 0]), ("one_axis", [1]), ("two_axes", [3, 4]), ("grouped", [0, 0, kv, heads // kv, d]),
                         ("alone", [0, 0, kv, 1, d]), ("flat", [0, 0, heads * d]), ("halves", [d // 2, d // 2])):
        b.constant(name, np.array(values, np.int64))
    b.constant("scale", np.float32(d ** -0.5))
    b.node("Shape", ["input_ids"], ["length"], start=1, end=2)
    b.node("Concat", ["length", "length"], ["lengths"], axis=0)
    for name in ("cos", "sin"):
        b.node("Slice", [name + "_all", "zero", "length", "one_axis"], [name])
    b.node("Slice", ["mask_all", "zeros", "lengths", "two_axes"], ["mask"])


def plain_attention(b, p, q, k):
    """q, k: [B,S,heads x D], normed. Heads that share a key are an axis of their own."""
    parts = []
    for n, x, shape, order in (("q", q, "grouped", [0, 2, 3, 1, 4]), ("k", k, "alone", [0, 2, 3, 4, 1])):
        heads = b.node("Reshape", [x, n + "_heads"], [p + n + "h"])
        b.node("Split", [heads, "halves"], [p + n + "a", p + n + "b"], axis=-1)
        turned = b.node("Concat", [p + n + "b", p + n + "a"], [p + n + "turned"], axis=-1)
        y = b.node("Add", [b.node("Mul", [heads, "cos"], [p + n + "cos"]), b.node("Mul", [turned, "sin"], [p + n + "sin"])], [p + n + "rope"])
        parts.append(b.node("Transpose", [b.node("Reshape", [y, shape], [p + n + "5"])], [p + n + "t"], perm=order))
    scores = b.node("Mul", [b.node("MatMul", parts, [p + "dots"]), "scale"], [p + "scaled"])
    weights = b.node("Softmax", [b.node("Add", [scores, "mask"], [p + "masked"])], [p + "weights"], axis=-1)
    value = b.node("Transpose", [b.node("Reshape", [p + "v", "alone"], [p + "v5"])], [p + "vt"], perm=[0, 2, 3, 1, 4])
    mixed = b.node("Transpose", [b.node("MatMul", [weights, value], [p + "mixed"])], [p + "mixed_t"], perm=[0, 3, 1, 2, 4])
    return b.node("Reshape", [mixed, "flat"], [p + "attention"])


def main():
    folder, path, bits, plain = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:] == ["plain"]
    w = Checkpoint(folder)
    c, b = w.config, Builder(path)
    heads, kv, d, eps = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"], c["rms_norm_eps"]
    cos, sin = rope(d, c["rope_parameters"]["rope_theta"])
    if plain:
        plain_constants(b, heads, kv, d, cos, sin)
    else:
        b.weight("cos", cos)
        b.weight("sin", sin)
    b.constant("split_qkv", np.array([heads * d, kv * d, kv * d], np.int64))
    b.constant("split_gate", np.array([c["intermediate_size"]] * 2, np.int64))
    for name, count in (("q", heads), ("k", kv)):
        b.constant(name + "_heads", np.array([0, 0, count, d], np.int64))
        b.constant(name + "_flat", np.array([0, 0, count * d], np.int64))
    x = b.node("Gather", [b.weight("embed", w["embed_tokens.weight"].astype(np.float16)), "input_ids"], ["rows16"])
    x = b.node("Cast", [x], ["rows"], to=TensorProto.FLOAT)
    normed = b.node("SimplifiedLayerNormalization", [x, b.weight("norm0", w["layers.0.input_layernorm.weight"])], ["first"], epsilon=eps, axis=-1)
    for i in range(c["num_hidden_layers"]):
        p = f"l{i}."
        weight = lambda name: w[f"layers.{i}.{name}.weight"]
        qkv = b.linear(normed, p + "qkv", np.concatenate([weight(f"self_attn.{n}_proj") for n in "qkv"]), bits)
        b.node("Split", [qkv, "split_qkv"], [p + "q", p + "k", p + "v"], axis=-1)
        parts = []
        for n in "qk":
            y = b.node("Reshape", [p + n, n + "_heads"], [p + n + "4"])
            y = b.node("SimplifiedLayerNormalization", [y, b.weight(p + n + "norm", weight(f"self_attn.{n}_norm"))], [p + n + "n"], epsilon=eps, axis=-1)
            parts.append(b.node("Reshape", [y, n + "_flat"], [p + n + "r"]))
        if plain:
            a = plain_attention(b, p, *parts)
        else:
            a = b.node("GroupQueryAttention", [*parts, p + "v", "past", "past", "seqlens_k", "total", "cos", "sin"],
                       [p + "attention", p + "key", p + "value"], MS, num_heads=heads, kv_num_heads=kv, do_rotary=1, scale=d ** -0.5)
        o = b.linear(a, p + "o", weight("self_attn.o_proj"), bits)
        b.node("SkipSimplifiedLayerNormalization", [x, o, b.weight(p + "post", weight("post_attention_layernorm"))],
               [p + "postn", "", "", p + "mid"], MS, epsilon=eps)
        both = b.linear(p + "postn", p + "gate_up", np.concatenate([weight("mlp.gate_proj"), weight("mlp.up_proj")]), bits)
        b.node("Split", [both, "split_gate"], [p + "gate", p + "up"], axis=-1)
        s = b.node("Sigmoid", [p + "gate"], [p + "sigmoid"])
        s = b.node("Mul", [p + "gate", s], [p + "silu"])
        s = b.node("Mul", [s, p + "up"], [p + "product"])
        down = b.linear(s, p + "down", weight("mlp.down_proj"), bits)
        last = i + 1 == c["num_hidden_layers"]
        following = w["norm.weight"] if last else w[f"layers.{i + 1}.input_layernorm.weight"]
        x = p + "out"
        normed = b.node("SkipSimplifiedLayerNormalization", [p + "mid", down, b.weight(p + "next", following)],
                        ["hidden"] if last else [p + "normed", "", "", x], MS, epsilon=eps)
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["B", "S"]), helper.make_tensor_value_info("seqlens_k", TensorProto.INT32, ["B"]),
              helper.make_tensor_value_info("total", TensorProto.INT32, [1]), helper.make_tensor_value_info("past", TensorProto.FLOAT, ["B", kv, "P", d])]
    inputs = inputs[:1] if plain else inputs
    graph = helper.make_graph(b.nodes, "qwen3", inputs, [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["B", "S", c["hidden_size"]])], b.weights)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(MS, 1)])
    b.data.close()
    onnx.save(model, path)


main()
