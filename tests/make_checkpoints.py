#!/usr/bin/env python3
"""Writes small random checkpoints in the Hugging Face layout, one folder each, for the tests. Standard Python only.

    make_checkpoints.py OUT [NAME…]             the named ones, or all; the same bytes on every machine
    make_checkpoints.py OUT --shape qwen3 --hidden 1024 --layers 4 …    one of another size, in OUT itself (long texts, speed)

Weights are whole numbers times a power of two, so that each is exact in its dtype; numbers come from an integer generator.
Expected vectors of these folders are in tests/data/golden (make_goldens.py); changing a checkpoint changes those.
"""
import argparse
import json
import os
import struct
import sys
import zlib

MASK = (1 << 64) - 1


class Numbers:
    """xorshift64*: the state is seeded from a name."""

    def __init__(self, name):
        self.state = (zlib.crc32(name.encode()) * 0x9E3779B97F4A7C15 | 1) & MASK

    def next(self):
        x = self.state
        x ^= x >> 12
        x ^= x << 25 & MASK
        x ^= x >> 27
        self.state = x
        return x * 0x2545F4914F6CDD1D & MASK


# ---------------------------------------------------------------- weights

ALL = -1

# dtype: bytes, and the bits of each of the four uniform numbers whose sum is a weight (4 * 2^bits fits the significand).
DTYPES = {"F32": (4, 16), "F16": (2, 8), "BF16": (2, 5)}


def pack(values, dtype):
    if dtype == "F16":
        return struct.pack("<%de" % len(values), *values)
    raw = struct.pack("<%df" % len(values), *values)
    if dtype == "F32":
        return raw
    half = bytearray(2 * len(values))
    half[0::2] = raw[2::4]
    half[1::2] = raw[3::4]
    return bytes(half)


def random_values(numbers, count, dtype, deviation):
    bits = DTYPES[dtype][1]
    top = (1 << bits) - 1
    middle = 2 * top
    spread = (((top + 1) ** 2 - 1) / 3.0) ** 0.5  # of the sum of four
    scale = 1.0
    while spread * scale > deviation:
        scale /= 2
    out = []
    for _ in range(count):
        x = numbers.next()
        out.append(((x & top) + (x >> 16 & top) + (x >> 32 & top) + (x >> 48 & top) - middle) * scale)
    return out


def norm_values(numbers, count):
    """Around 1, in steps of 1/128: exact in every dtype."""
    return [1 + ((numbers.next() >> 40) % 65 - 32) / 128.0 for _ in range(count)]


class Weights:
    """Tensors in file order: (name, shape, how)."""

    def __init__(self, name, dtype, tile=0, plants=()):
        self.name, self.dtype, self.tile, self.list = name, dtype, tile, []
        self.blocks = {}
        self.plants = {tensor: plant for tensor, *plant in plants}      # tensor: (row or ALL, columns or ALL, factor, a power of two)

    def linear(self, name, out, inner, bias=True):
        self.list.append((name + ".weight", [out, inner], inner ** -0.5))
        if bias:
            self.list.append((name + ".bias", [out], 0.1))

    def table(self, name, rows, width):
        self.list.append((name + ".weight", [rows, width], 0.5))

    def norm(self, name, width, bias=True):
        self.list.append((name + ".weight", [width], None))
        if bias:
            self.list.append((name + ".bias", [width], 0.1))

    def planted(self, name, width, values):
        row, columns, factor = self.plants[name]
        for i in range(len(values)):
            if row in (ALL, i // width) and (columns == ALL or i % width in columns):
                values[i] *= factor
        return values

    def bytes_of(self, name, count, deviation, width):
        if name in self.plants:
            numbers = Numbers(self.name + name)
            return pack(self.planted(name, width, norm_values(numbers, count) if deviation is None else random_values(numbers, count, self.dtype, deviation)), self.dtype)
        if deviation is None:
            return pack(norm_values(Numbers(self.name + name), count), self.dtype)
        if not self.tile or count < self.tile:
            return pack(random_values(Numbers(self.name + name), count, self.dtype, deviation), self.dtype)
        # A block whose length is prime, begun elsewhere for each tensor: no two rows are alike.
        key = deviation
        if key not in self.blocks:
            self.blocks[key] = pack(random_values(Numbers("block"), self.tile, self.dtype, deviation), self.dtype)
        size = DTYPES[self.dtype][0]
        start = Numbers(name).next() % self.tile * size
        block = self.blocks[key][start:] + self.blocks[key][:start]
        times, rest = divmod(count, self.tile)
        return block * times + block[: rest * size]

    def write(self, folder, shards=1, prefix=""):
        size = DTYPES[self.dtype][0]
        each = (len(self.list) + shards - 1) // shards
        weight_map, total = {}, 0
        for shard in range(shards):
            part = self.list[shard * each : (shard + 1) * each]
            file = "model.safetensors" if shards == 1 else "model-%05d-of-%05d.safetensors" % (shard + 1, shards)
            header, at = {"__metadata__": {"format": "pt"}}, 0
            for name, shape, _ in part:
                count = 1
                for d in shape:
                    count *= d
                name = name[1:] if name[0] == "/" else prefix + name        # heads are outside the body
                header[name] = {"dtype": self.dtype, "shape": shape, "data_offsets": [at, at + count * size]}
                weight_map[name] = file
                at += count * size
            total += at
            text = json.dumps(header, separators=(",", ":")).encode()
            text += b" " * (-len(text) % 8)
            with open(os.path.join(folder, file), "wb") as f:
                f.write(struct.pack("<Q", len(text)) + text)
                for name, shape, deviation in part:
                    count = 1
                    for d in shape:
                        count *= d
                    f.write(self.bytes_of(name, count, deviation, shape[-1]))
        if shards > 1:
            write_json(folder, "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})


def bert_weights(w, c, positions):
    h, i = c["hidden_size"], c["intermediate_size"]
    w.table("embeddings.word_embeddings", c["vocab_size"], h)
    w.table("embeddings.position_embeddings", positions, h)
    w.table("embeddings.token_type_embeddings", c["type_vocab_size"], h)
    w.norm("embeddings.LayerNorm", h)
    for n in range(c["num_hidden_layers"]):
        p = "encoder.layer.%d." % n
        for part in ("query", "key", "value"):
            w.linear(p + "attention.self." + part, h, h)
        w.linear(p + "attention.output.dense", h, h)
        w.norm(p + "attention.output.LayerNorm", h)
        w.linear(p + "intermediate.dense", i, h)
        w.linear(p + "output.dense", h, i)
        w.norm(p + "output.LayerNorm", h)


def qwen3_weights(w, c):
    h, i, d = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv, bias = c["num_attention_heads"] * d, c["num_key_value_heads"] * d, c["attention_bias"]
    w.table("embed_tokens", c["vocab_size"], h)
    for n in range(c["num_hidden_layers"]):
        p = "layers.%d." % n
        w.norm(p + "input_layernorm", h, False)
        w.linear(p + "self_attn.q_proj", q, h, bias)
        w.linear(p + "self_attn.k_proj", kv, h, bias)
        w.linear(p + "self_attn.v_proj", kv, h, bias)
        w.linear(p + "self_attn.o_proj", h, q, bias)
        w.norm(p + "self_attn.q_norm", d, False)
        w.norm(p + "self_attn.k_norm", d, False)
        w.norm(p + "post_attention_layernorm", h, False)
        w.linear(p + "mlp.gate_proj", i, h, False)
        w.linear(p + "mlp.up_proj", i, h, False)
        w.linear(p + "mlp.down_proj", h, i, False)
    w.norm("norm", h, False)


# The heads of sequence classifiers: `labels` logits from the row that is pooled.
def classifier_weights(w, family, h, labels, pooler):
    if family == "qwen3":
        w.linear("/score", labels, h, False)
    elif family == "bert":
        if pooler:
            w.linear("pooler.dense", h, h)
        w.linear("/classifier", labels, h)
    else:
        w.linear("/classifier.dense", h, h)
        w.linear("/classifier.out_proj", labels, h)


# ---------------------------------------------------------------- tokenizers

WORDS = """the of and to in is that it was for on are as with his they at be this have from or one had by word but not what all were we
when your can said there use an each which she do how their if will up other about out many then them these so some her would make like
him into time has look two more write go see number no way could people my than first water been call who oil its now find long down day
did get come made may part query document passage search model vector text token embedding language machine learning capital city river
mountain house garden bread cheese music winter summer morning evening""".split()
PIECES = "s ing ed er ly tion al est ment ness able un re pre ity ive ful less ous ism ist age ance ence th he in an on or en ar".split()
LETTERS = "äöüßéèçñøåłąęžαβγδελμνοπρστωабвгдежиклмнопрстуяあいうカタナ日本語中文你好世界한국אבגمرحबाहท"
TRAINING = " ".join(WORDS[i * 7 % len(WORDS)] + PIECES[i * 5 % len(PIECES)] * (i % 3 == 0) for i in range(700))


def special(ids, lstrip=()):
    return [{"id": i, "content": c, "single_word": False, "lstrip": c in lstrip, "rstrip": False, "normalized": False, "special": True}
            for c, i in ids]


def template(begin, end, second=0):
    """second: the token type of a pair's second text."""
    side = lambda t, n: [{"SpecialToken": {"id": t[0], "type_id": n}}] if t else []
    tokens = [t for t in (begin, end) if t]
    a, b = [{"Sequence": {"id": "A", "type_id": 0}}], [{"Sequence": {"id": "B", "type_id": second}}]
    return {"type": "TemplateProcessing", "single": side(begin, 0) + a + side(end, 0), "pair": side(begin, 0) + a + side(end, 0) + b + side(end, second),
            "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in sorted(tokens)}}


def tokenizer(model, added, normalizer, pre, post, decoder):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer, "pre_tokenizer": pre,
            "post_processor": post, "decoder": decoder, "model": model}


def wordpiece():
    first = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = [chr(c) for c in range(33, 127) if not chr(c).isupper()] + list(LETTERS)
    pieces = characters + ["##" + c for c in characters if c.isalnum()] + WORDS + ["##" + p for p in PIECES if len(p) > 1]
    vocab = {}
    for piece in first + pieces:
        vocab.setdefault(piece, len(vocab))
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab}
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    return tokenizer(model, special([(c, vocab[c]) for c in first]), normalizer, {"type": "BertPreTokenizer"},
                     template(("[CLS]", 2), ("[SEP]", 3), 1), {"type": "WordPiece", "prefix": "##", "cleanup": True}), len(vocab)


def byte_letters():
    """GPT-2's printable stand-in for each byte."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    out, extra = {}, 0
    for b in range(256):
        if b in plain:
            out[b] = chr(b)
        else:
            out[b] = chr(256 + extra)
            extra += 1
    return out


def train_merges(count):
    """Byte-pair merges of the words above; the most frequent pair first, of equals the least."""
    letters = byte_letters()
    words = {}
    for i, word in enumerate(TRAINING.split(" ")):
        key = tuple(letters[b] for b in ((" " if i else "") + word).encode())
        words[key] = words.get(key, 0) + 1
    merges = []
    while len(merges) < count:
        pairs = {}
        for word, times in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] = pairs.get(pair, 0) + times
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        merged = {}
        for word, times in words.items():
            out, i = [], 0
            while i < len(word):
                if i + 1 < len(word) and (word[i], word[i + 1]) == best:
                    out.append(word[i] + word[i + 1])
                    i += 2
                else:
                    out.append(word[i])
                    i += 1
            merged[tuple(out)] = merged.get(tuple(out), 0) + times
        words = merged
    return merges


def byte_level(kind, more=()):
    letters, merges = byte_letters(), train_merges(220)
    first = ["<s>", "<pad>", "</s>", "<unk>"] if kind == "roberta" else []
    last = ["<mask>"] if kind == "roberta" else ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocab = {}
    for piece in first + [letters[b] for b in range(256)] + [a + b for a, b in merges] + list(more):
        vocab.setdefault(piece, len(vocab))
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
             "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": [list(m) for m in merges]}
    if kind == "roberta":
        added = special([(c, vocab[c]) for c in first] + [("<mask>", len(vocab))], ("<mask>",))
        vocab["<mask>"] = len(vocab)
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        post = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True, "add_prefix_space": False}
        return tokenizer(model, added, None, level, post, level), len(vocab)
    added = special([(c, len(vocab) + i) for i, c in enumerate(last)])
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    pre = {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}, level]}
    post = {"type": "Sequence", "processors": [level, template(None, ("<|endoftext|>", added[0]["id"]))]}
    return tokenizer(model, added, {"type": "NFC"}, pre, post, level), len(vocab) + len(last)


def unigram():
    first = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = ["\u2581"] + ["\u2581" + w for w in WORDS] + PIECES + [chr(c) for c in range(33, 127)] + list(LETTERS)
    seen, vocab = set(first), [[c, 0.0] for c in first]
    for piece in pieces:
        if piece not in seen:
            seen.add(piece)
            # Exact in binary, no two alike: no ties for a tokenizer to break.
            vocab.append([piece, -(2.0 + len(vocab) / 64.0 + (4.0 if len(piece) == 1 else 0.0))])
    vocab.append(["<mask>", 0.0])
    model = {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": False}
    space = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    normalizer = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}
    added = special([(c, i) for i, c in enumerate(first)] + [("<mask>", len(vocab) - 1)], ("<mask>",))
    return tokenizer(model, added, normalizer, {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, space]},
                     template(("<s>", 0), ("</s>", 2)), space), len(vocab)


# ---------------------------------------------------------------- folders

def write_json(folder, name, value):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        json.dump(value, f, ensure_ascii=False, indent=1)
        f.write("\n")


FLAGS = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
         "weightedmean": "weightedmean_tokens", "lasttoken": "lasttoken"}


# Where version 6 of sentence-transformers says that a module is; older ones say sentence_transformers.models.
NEW_MODULES = {"Transformer": "sentence_transformers.base.modules.transformer.", "Dense": "sentence_transformers.base.modules.dense.",
               "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.", "Normalize": "sentence_transformers.base.modules.normalize."}


def pooling_config(style, dim, mode, include_prompt):
    if style == "old":
        return {"word_embedding_dimension": dim, **{"pooling_mode_" + flag: m == mode for m, flag in FLAGS.items()}, "include_prompt": include_prompt}
    return {"embedding_dimension": dim, "pooling_mode": [mode] if style == "list" else mode, "include_prompt": include_prompt}


def write_sentence_files(folder, o, dim):
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    write_json(folder, "1_Pooling/config.json", pooling_config(o.get("style", "old"), dim, o["pooling"], o.get("include_prompt", True)))
    for i, (out, activation, bias) in enumerate(o.get("dense", [])):
        part = "%d_Dense" % (i + 2)
        modules.append((part, "Dense"))
        write_json(folder, part + "/config.json", {"in_features": dim, "out_features": out, "bias": bias, "activation_function": activation})
        w = Weights(o["name"] + part, "F32")
        w.linear("linear", out, dim, bias)
        w.write(os.path.join(folder, part))
        dim = out
    if o.get("normalize", True):
        modules.append(("%d_Normalize" % len(modules), "Normalize"))
    package = NEW_MODULES if o.get("style", "old") != "old" else dict.fromkeys(NEW_MODULES, "sentence_transformers.models.")
    write_json(folder, "modules.json", [{"idx": i, "name": str(i), "path": path, "type": package[kind] + kind}
                                        for i, (path, kind) in enumerate(modules)])
    if "max_seq_length" in o:
        write_json(folder, "sentence_bert_config.json", {"max_seq_length": o["max_seq_length"], "do_lower_case": False})
    write_json(folder, "config_sentence_transformers.json", {"prompts": o.get("prompts", {}), "default_prompt_name": o.get("default_prompt"),
                                                             "similarity_fn_name": "cosine"})


# A language model that ranks: "modules" with LogitScore or Dense as sentence-transformers saves them, or "card" as it was published without.
def write_ranker(folder, o, config, tok, w):
    prompts = {"prompts": o.get("prompts", {}), "default_prompt_name": o.get("default_prompt"), "activation_fn": o.get("activation", IDENTITY), "model_type": "CrossEncoder"}
    vocab = tok["model"]["vocab"]
    config["architectures"] = ["Qwen3Model" if o["logit"] == "dense" else "Qwen3ForCausalLM"]
    if not config["tie_word_embeddings"]:
        w.table("/lm_head", config["vocab_size"], config["hidden_size"])
    if o["logit"] == "card":
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "README.md"), "w", encoding="utf-8", newline="\n") as f:
            f.write("---\nlicense: apache-2.0\npipeline_tag: text-ranking\n---\n# A model of the tests\n")
        return
    text = {"method": "forward", "method_output_name": "last_hidden_state" if o["logit"] == "dense" else "logits"}
    modalities = {"text": text, "message": {**text, "format": "flat"}}
    package, cross = "sentence_transformers.base.modules.", "sentence_transformers.cross_encoder.modules."
    modules = [("", package + "transformer.Transformer")]
    if o["logit"] == "dense":
        modules += [("1_Pooling", NEW_MODULES["Pooling"] + "Pooling"), ("2_Dense", package + "dense.Dense")]
        write_json(folder, "1_Pooling/config.json", pooling_config("new", config["hidden_size"], "lasttoken", True))
        write_json(folder, "2_Dense/config.json", {"in_features": config["hidden_size"], "out_features": 1, "bias": True, "activation_function": IDENTITY,
                                                   "module_input_name": "sentence_embedding", "module_output_name": "scores"})
        head = Weights(o["name"] + "2_Dense", "F32")
        head.linear("linear", 1, config["hidden_size"])
        head.write(os.path.join(folder, "2_Dense"))
    else:
        modules.append(("1_LogitScore", cross + "logit_score.LogitScore"))
        write_json(folder, "1_LogitScore/config.json", {"true_token_id": vocab["th"], "false_token_id": vocab["or"] if o["logit"] == "both" else None,
                                                        "module_input_name": "causal_logits"})
    write_json(folder, "modules.json", [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(modules)])
    write_json(folder, "sentence_bert_config.json", {"transformer_task": "feature-extraction" if o["logit"] == "dense" else "text-generation", "modality_config": modalities,
                                                     "module_output_name": "token_embeddings" if o["logit"] == "dense" else "causal_logits"})
    write_json(folder, "config_sentence_transformers.json", prompts)


def bert_like(o, model_type, tokens, pad, offset):
    config = {"architectures": [{"bert": "BertModel", "roberta": "RobertaModel", "xlm-roberta": "XLMRobertaModel",
                                 "camembert": "CamembertModel"}[model_type]],
              "model_type": model_type, "hidden_size": o.get("hidden", 48), "num_hidden_layers": o.get("layers", 2),
              "num_attention_heads": o.get("heads", 4), "intermediate_size": o.get("intermediate", 96), "hidden_act": o.get("act", "gelu"),
              "layer_norm_eps": 1e-12 if model_type == "bert" else 1e-05, "max_position_embeddings": o.get("positions", 96) + offset,
              "type_vocab_size": 2 if model_type == "bert" else 1, "pad_token_id": pad, "vocab_size": o.get("vocabulary", tokens)}
    w = Weights(o["name"], o.get("dtype", "F32"), o.get("tile", 0), o.get("plants", ()))
    bert_weights(w, config, config["max_position_embeddings"])
    return config, w


def qwen3_like(o, tokens):
    config = {"architectures": ["Qwen3Model"], "model_type": "qwen3", "hidden_size": o.get("hidden", 48), "num_hidden_layers": o.get("layers", 3),
              "num_attention_heads": o.get("heads", 6), "num_key_value_heads": o.get("kv_heads", 2), "head_dim": o.get("head_dim", 16),
              "intermediate_size": o.get("intermediate", 80), "hidden_act": "silu", "rms_norm_eps": 1e-06,
              "max_position_embeddings": o.get("positions", 256), "attention_bias": o.get("bias", False), "vocab_size": o.get("vocabulary", tokens),
              "tie_word_embeddings": True, "use_sliding_window": False, "sliding_window": None}
    if o.get("rope_old"):
        config.update(rope_theta=10000.0, rope_scaling=None)
    else:
        config["rope_parameters"] = {"rope_theta": o.get("theta", 1000000.0), "rope_type": "default"}
    config.update(o.get("config", {}))
    w = Weights(o["name"], o.get("dtype", "BF16"), o.get("tile", 0), o.get("plants", ()))
    qwen3_weights(w, config)
    return config, w


def write_cross_encoder_files(folder, prompts):
    """As CrossEncoder.save_pretrained of sentence-transformers 6.2 does; the first prompt is the default."""
    write_json(folder, "modules.json", [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}])
    write_json(folder, "config_sentence_transformers.json", {"__version__": {"pytorch": "2.15.0", "sentence_transformers": "6.2.0", "transformers": "5.23.0"},
               "activation_fn": "torch.nn.modules.linear.Identity", "default_prompt_name": next(iter(prompts)), "model_type": "CrossEncoder", "prompts": prompts})
    write_json(folder, "sentence_bert_config.json", {"transformer_task": "sequence-classification", "module_output_name": "scores",
               "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}}})


def write(folder, o):
    family = o["family"]
    if family == "bert":
        tok, tokens = wordpiece()
        config, w = bert_like(o, "bert", tokens, 0, 0)
        named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    elif family in ("roberta", "xlm-roberta", "camembert"):
        tok, tokens = byte_level("roberta") if family == "roberta" else unigram()
        config, w = bert_like(o, family, tokens, 1, 2)
        named = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
    else:
        tok, tokens = byte_level("qwen3", ("yes", "no") if o.get("logit") == "card" else ())
        config, w = qwen3_like(o, tokens)
        named = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
    if o.get("logit"):
        write_ranker(folder, o, config, tok, w)
    if o.get("labels"):
        config["architectures"] = [config["architectures"][0].replace("Model", "ForSequenceClassification")]
        config["id2label"] = {str(i): "label %d" % i for i in range(o["labels"])}
        config["label2id"] = {"label %d" % i: i for i in range(o["labels"])}
        config.update(o.get("config", {}))
        classifier_weights(w, family, config["hidden_size"], o["labels"], o.get("pooler", True))
    tok.update(o.get("tokenizer", {}))
    os.makedirs(folder, exist_ok=True)
    if "template" in o:
        with open(os.path.join(folder, "chat_template.jinja"), "w", encoding="utf-8", newline="\n") as f:
            f.write(o["template"])
    write_json(folder, "config.json", {**config, "dtype": {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[w.dtype]})
    write_json(folder, "tokenizer.json", tok)
    names = ["input_ids", "token_type_ids", "attention_mask"] if family == "bert" else ["input_ids", "attention_mask"]
    write_json(folder, "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": names,
                                                 "model_max_length": o.get("model_max_length", 10**30), **named})
    w.write(folder, o.get("shards", 1), o.get("prefix", ""))
    if o.get("saved"):
        write_cross_encoder_files(folder, o["saved"])
    if o.get("pooling"):
        write_sentence_files(folder, o, config["hidden_size"])


TANH, IDENTITY = "torch.nn.modules.activation.Tanh", "torch.nn.modules.linear.Identity"
INSTRUCT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
PASSAGES = {"query": "query: ", "document": "passage: "}
# As all-MiniLM-L6-v2's tokenizer.json has them: both are to be ignored.
PADDED = {"truncation": {"direction": "Right", "max_length": 12, "strategy": "LongestFirst", "stride": 0},
          "padding": {"strategy": {"Fixed": 12}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}}

CHECKPOINTS = [
    dict(name="bert", family="bert", layers=3, pooling="cls", max_seq_length=64, tokenizer=PADDED),
    dict(name="bert-plain", family="bert", layers=1, model_max_length=40),
    dict(name="bert-relu-mean", family="bert", hidden=60, heads=5, intermediate=100, act="relu", pooling="mean", normalize=False, max_seq_length=64),
    dict(name="bert-tanh-max-f16", family="bert", dtype="F16", act="gelu_new", pooling="max", style="new", prefix="bert.", max_seq_length=64),
    dict(name="bert-dense", family="bert", pooling="mean", dense=[(40, TANH, True), (24, IDENTITY, False)], max_seq_length=64),
    dict(name="bert-sqrtlen", family="bert", pooling="mean_sqrt_len_tokens", normalize=False, max_seq_length=64),
    dict(name="roberta", family="roberta", pooling="cls", prefix="roberta.", positions=62, model_max_length=62),
    dict(name="xlmr", family="xlm-roberta", pooling="mean", prompts=PASSAGES, default_prompt="query", max_seq_length=64),
    dict(name="xlmr-no-prompt", family="xlm-roberta", layers=1, pooling="mean", prompts=PASSAGES, include_prompt=False, max_seq_length=64),
    dict(name="camembert", family="camembert", layers=1, pooling="mean", style="list", max_seq_length=64),
    dict(name="qwen3", family="qwen3", pooling="lasttoken", style="new", prompts={"query": INSTRUCT, "document": ""}, max_seq_length=160),
    dict(name="qwen3-bias", family="qwen3", dtype="F32", bias=True, prefix="model.", shards=2, pooling="mean", rope_old=True, model_max_length=64),
    dict(name="qwen3-weightedmean", family="qwen3", layers=2, kv_heads=6, pooling="weightedmean", normalize=False, max_seq_length=64),
    dict(name="qwen3-window", family="qwen3", layers=3, pooling="lasttoken", max_seq_length=64,
         config={"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}),
    dict(name="qwen3-bidirectional", family="qwen3", layers=2, pooling="mean", max_seq_length=64, config={"is_causal": False}),
]

# What int8 has to leave in f32, planted: inputs of products 256 times as large as the others, whose weights undo it, and the reverse; outputs too.
BIG, SMALL = 256, 2.0**-8
Q, K, V, O, GATE, UP, DOWN = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
CHECKPOINTS += [
    dict(name="qwen3-outliers", family="qwen3", pooling="lasttoken", max_seq_length=160,
         plants=[("layers.%d.%s.weight" % (layer, part), row, columns, factor) for layer, part, row, columns, factor in [
             (0, "input_layernorm", ALL, (5,), BIG), *((0, part, ALL, (5,), SMALL) for part in (Q, K, V)),
             (0, UP, 9, ALL, BIG), (0, DOWN, ALL, (9,), SMALL),
             (1, V, 3, ALL, BIG), (1, O, ALL, (3, 19, 35), SMALL),      # three heads read the row
             (1, "post_attention_layernorm", ALL, (6, 40), SMALL), *((1, part, ALL, (6, 40), BIG) for part in (GATE, UP)),
             (2, "input_layernorm", ALL, (5,), BIG), *((2, part, ALL, (5,), SMALL) for part in (Q, K, V))]]),
    # Little but these two is left of a vector: what they depend on has to be exact.
    dict(name="qwen3-extreme", family="qwen3", pooling="lasttoken", max_seq_length=160, plants=[("layers.1.mlp.down_proj.weight", ALL, (9, 33), 1024)]),
    dict(name="bert-outliers", family="bert", pooling="mean", max_seq_length=64,
         plants=[("encoder.layer.%d.%s" % (layer, part), row, columns, factor) for layer, part, row, columns, factor in [
             (0, "attention.self.value.weight", 40, ALL, BIG), (0, "attention.self.value.bias", ALL, (40,), BIG), (0, "attention.output.dense.weight", ALL, (40,), SMALL),
             (0, "output.LayerNorm.weight", ALL, (11,), SMALL), (0, "output.LayerNorm.bias", ALL, (11,), SMALL),
             *((1, "attention.self.%s.weight" % part, ALL, (11,), BIG) for part in ("query", "key", "value"))]]),
]

# Classifiers and cross-encoders, as transformers and sentence-transformers save them; bert's prefix is that of the body.
CHECKPOINTS += [
    dict(name="scores-bert", family="bert", labels=1, prefix="bert.", model_max_length=64),
    dict(name="scores-bert-raw", family="bert", labels=1, prefix="bert.", dtype="F16", model_max_length=40,
         config={"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.0.1"}}),
    dict(name="scores-bert-nli", family="bert", labels=3, prefix="bert.", positions=80, model_max_length=10**30,
         config={"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}),
    dict(name="scores-roberta", family="roberta", labels=1, prefix="roberta.", positions=62, model_max_length=62),
    dict(name="scores-xlmr", family="xlm-roberta", labels=2, prefix="roberta.", model_max_length=64, config={"problem_type": "multi_label_classification"}),
    dict(name="scores-camembert", family="camembert", labels=5, prefix="roberta.", layers=1, model_max_length=64),
    dict(name="scores-saved", family="roberta", labels=1, prefix="roberta.", positions=62, model_max_length=40, saved={"q": "query: ", "other": "one "}),
    dict(name="scores-qwen3", family="qwen3", labels=1, prefix="model.", dtype="F32", model_max_length=64, config={"pad_token_id": 476}),
]

# Causal rerankers. The templates have between them what the evaluator of templates implements.
PAIR = """<|im_start|>system
Judge whether the Document meets the requirements.<|im_end|>
<|im_start|>user
<Instruct>: {{ messages | selectattr("role", "eq", "system") | map(attribute="content") | first | default("Find passages that answer") }}
<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}
<Document>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}<|im_end|>
<|im_start|>assistant
<think>

</think>


"""
SETS = """{#- Set, joined and compared. -#}
{%- set q = (messages | selectattr('role', '==', 'query') | first).content -%}
{%- set d = (messages | selectattr("role", "equalto", "document") | list | last)["content"] %}
{% if messages[0].role == 'system' and not add_generation_prompt %}
{{ "<|im_start|>" ~ "system\\n" ~ messages[0]['content'] + '<|im_end|>' }}
{% elif q is not defined %}{{ 'none' }}{% else %}
  no instruction {# a comment #}
   {%- endif %}
question: {{ q }}
  {% if d %}document: {{ d }}{% endif %}

<|im_start|>assistant
{{- '\\n' }}"""
CHECKPOINTS += [
    dict(name="scores-logit", family="qwen3", logit="both", template=PAIR, prefix="model.", model_max_length=160, activation="torch.nn.modules.activation.Sigmoid",
         prompts={"query": "Given a query, find the documents about it"}, default_prompt="query"),
    dict(name="scores-logit-true", family="qwen3", logit="true", template=SETS, prefix="model.", dtype="F32", model_max_length=64, config={"tie_word_embeddings": False}),
    dict(name="scores-logit-dense", family="qwen3", logit="dense", template=PAIR, model_max_length=128),
    dict(name="scores-logit-card", family="qwen3", logit="card", prefix="model.", model_max_length=256),
]

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("names", nargs="*")
    p.add_argument("--shape", choices=["bert", "roberta", "xlm-roberta", "qwen3"])
    p.add_argument("--pooling")
    p.add_argument("--dtype", choices=sorted(DTYPES))
    for key in ("hidden", "layers", "heads", "kv-heads", "head-dim", "intermediate", "vocabulary", "positions", "shards"):
        p.add_argument("--" + key, type=int)
    a = p.parse_args()
    if a.shape:
        o = dict(name="shape", family=a.shape, pooling="lasttoken" if a.shape == "qwen3" else "mean", tile=65521,
                 **({"prompts": {"query": INSTRUCT, "document": ""}} if a.shape == "qwen3" else {}))
        o.update({k: v for k, v in vars(a).items() if v is not None and k not in ("out", "names", "shape")})
        write(a.out, o)
        return 0
    unknown = set(a.names) - {o["name"] for o in CHECKPOINTS}
    if unknown:
        p.error("no such checkpoint: " + ", ".join(sorted(unknown)))
    for o in CHECKPOINTS:
        if not a.names or o["name"] in a.names:
            write(os.path.join(a.out, o["name"]), o)
    return 0


if __name__ == "__main__":
    sys.exit(main())
