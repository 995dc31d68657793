"""What the quality scripts share: vectors of texts or ids from our engine, cosines, and int8 as others do it, in numpy.

Text files are workloads (peers/common.py) of one row. To be imported before numpy: its threads wait busily, and cost more than they give here."""
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import subprocess
import tempfile

import numpy as np


def vectors(program, folder, rows, precision, dim, text=True):
    """rows: [(ids, text)], 64 of ids at most for a call. From text: one call for all; from ids: calls of one text each."""
    with tempfile.TemporaryDirectory() as temp:
        workload, out = os.path.join(temp, "w"), os.path.join(temp, "v")
        write_workload(workload, rows, text)
        subprocess.run([program, "--model", folder, "--workload", workload, "--precision", precision, "--vectors", out], check=True, stdout=subprocess.DEVNULL)
        return np.fromfile(out, np.float32).reshape(-1, dim)


def write_workload(path, rows, text=True):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.write(f"row bulk {len(rows)} 1\n" if text else f"row ids 1 {len(rows)}\n")
        f.writelines(" ".join(map(str, ids)) + "\t" + line + "\n" for ids, line in rows)


def unit(v):
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def cosines(a, b):
    return (unit(a) * unit(b)).sum(1)


def centred(a, b):
    """Cosines with the mean over the texts removed from both sides, so that what all vectors share hides no error."""
    a, b = unit(a.astype(np.float64)), unit(b.astype(np.float64))
    return cosines(a - a.mean(0), b - b.mean(0))


def report(what, subject, a, b):
    c, d = cosines(a.astype(np.float64), b.astype(np.float64)), centred(a, b)
    return [(f"{what}: {kind} cosine", subject, round(float(value), 6))
            for kind, value in (("least", c.min()), ("mean", c.mean()), ("least centred", d.min()), ("mean centred", d.mean()))]


# ---------------------------------------------------------------- linear layers

def round_weights(w):
    """[out, in] to s8 with a scale for each output channel, and back."""
    scale = np.maximum(np.abs(w).max(1, keepdims=True) / 127, 1e-30)
    return np.rint(w / scale) * scale


def round_rows(x):
    """Activations to s8 with a scale for each token, and back."""
    scale = np.maximum(np.abs(x).max(-1, keepdims=True) / 127, 1e-30)
    return np.rint(x / scale) * scale


class Linear:
    """kind: f32; weight (weights rounded, activations not); w8a8 (both rounded, not rotated)."""

    def __init__(self, w, bias, kind):
        self.w = (w if kind == "f32" else round_weights(w)).T.astype(np.float32)
        self.bias, self.round = bias, kind == "w8a8"

    def __call__(self, x):
        y = (round_rows(x) if self.round else x).astype(np.float32) @ self.w
        return y if self.bias is None else y + self.bias


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(q, k, v, causal):
    """[heads, tokens, width] each; k and v may have fewer heads."""
    times = len(q) // len(k)
    k, v = np.repeat(k, times, 0), np.repeat(v, times, 0)
    scores = q @ k.transpose(0, 2, 1) * np.float32(q.shape[-1] ** -0.5)
    if causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, np.float32(-np.inf))
    return softmax(scores) @ v


def split(x, heads):
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)


def joined(x):
    return x.transpose(1, 0, 2).reshape(x.shape[1], -1)


class Bert:
    def __init__(self, checkpoint, kind):
        c, t = checkpoint.config, checkpoint
        self.heads, self.eps = c["num_attention_heads"], c["layer_norm_eps"]
        self.words, self.places, self.types = (t[f"embeddings.{n}_embeddings.weight"] for n in ("word", "position", "token_type"))
        norm = lambda name: (t[name + ".weight"], t[name + ".bias"])
        linear = lambda name: Linear(t[name + ".weight"], t[name + ".bias"], kind)
        self.first = norm("embeddings.LayerNorm")
        self.layers = []
        for i in range(c["num_hidden_layers"]):
            p = f"encoder.layer.{i}."
            self.layers.append([*(linear(p + f"attention.self.{n}") for n in ("query", "key", "value")), linear(p + "attention.output.dense"),
                                norm(p + "attention.output.LayerNorm"), linear(p + "intermediate.dense"), linear(p + "output.dense"),
                                norm(p + "output.LayerNorm")])

    def norm(self, x, weights):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * weights[0] + weights[1]

    def __call__(self, ids):
        from scipy.special import erf

        x = self.norm(self.words[ids] + self.places[:len(ids)] + self.types[0], self.first)
        for q, k, v, o, norm1, up, down, norm2 in self.layers:
            a = joined(attention(*(split(n(x), self.heads) for n in (q, k, v)), False))
            x = self.norm(x + o(a), norm1)
            h = up(x)
            x = self.norm(x + down(h * 0.5 * (1 + erf(h * 0.5 ** 0.5))), norm2)
        return x.mean(0)


class Qwen3:
    def __init__(self, checkpoint, kind):
        c, t = checkpoint.config, checkpoint
        self.heads, self.kv, self.eps = c["num_attention_heads"], c["num_key_value_heads"], c["rms_norm_eps"]
        self.angles = c["rope_parameters"]["rope_theta"] ** (-np.arange(0, c["head_dim"], 2) / c["head_dim"])
        self.words, self.last, self.layers = t["embed_tokens.weight"], t["norm.weight"], []
        for i in range(c["num_hidden_layers"]):
            p = f"layers.{i}."
            linear = lambda name: Linear(t[p + name + ".weight"], None, kind)
            self.layers.append([t[p + "input_layernorm.weight"], *(linear(f"self_attn.{n}_proj") for n in "qkvo"), t[p + "self_attn.q_norm.weight"],
                                t[p + "self_attn.k_norm.weight"], t[p + "post_attention_layernorm.weight"],
                                *(linear(f"mlp.{n}_proj") for n in ("gate", "up", "down"))])

    def norm(self, x, weight):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * weight

    def rope(self, x):
        angles = np.arange(x.shape[1])[:, None] * self.angles[None]
        cos, sin = (np.concatenate([f(angles)] * 2, 1).astype(np.float32) for f in (np.cos, np.sin))
        half = x.shape[-1] // 2
        return x * cos + np.concatenate([-x[..., half:], x[..., :half]], -1) * sin

    def __call__(self, ids):
        x = self.words[ids]
        for norm1, q, k, v, o, q_norm, k_norm, norm2, gate, up, down in self.layers:
            h = self.norm(x, norm1)
            query, key = self.rope(self.norm(split(q(h), self.heads), q_norm)), self.rope(self.norm(split(k(h), self.kv), k_norm))
            x = x + o(joined(attention(query, key, split(v(h), self.kv), True)))
            h = self.norm(x, norm2)
            g = gate(h)
            x = x + down(g / (1 + np.exp(-g)) * up(h))
        return self.norm(x[-1:], self.last)[0]
