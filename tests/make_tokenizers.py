#!/usr/bin/env python3
"""Makes tests/data/tokenizer/*.json: small tokenizer.json files of every kind that embedding models use, trained by Hugging Face
`tokenizers` 0.23 on the differential test's corpus, and golden.json: what it answers for texts.json with each of them.
Run with a Python that has tokenizers; files change whenever the corpus does, so goldens are written in the same run."""
import json
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "scripts"))

from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models as M, normalizers as N, pre_tokenizers as P, processors as X, trainers as T

from differential_tokenizer import corpus
from generate_unicode_tables import charsmap_bytes

OUT = HERE / "data" / "tokenizer"
TEXTS = [t for t in corpus() if len(t) < 2000][:12000]
COMMON = {c for c, _ in Counter("".join(TEXTS)).most_common(450)}
PLAIN = [t for t in TEXTS if set(t) <= COMMON]             # what a small Unigram can spell
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
CL100K = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = "|".join((r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+" + CONTRACTIONS + "?", r"[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + "*" + CONTRACTIONS + "?",
                  r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"))
TEKKEN = "|".join((r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+", r"[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + "*", r"\p{N}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"))
QWEN35 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
DEEPSEEK = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def charsmap():
    """A small table in the manner of sentencepiece's nmt_nfkc: blanks, full-width letters, ligatures, one key of two code points, one
    that vanishes."""
    keys = {c: " " for c in "\t\n\r\u00a0\u3000\u2003\u200b\ufeff"}
    keys.update({chr(0xFF01 + i): chr(0x21 + i) for i in range(94)})
    keys.update({"ﬁ": "fi", "ﬂ": "fl", "½": "1⁄2", "™": "TM", "Ⅷ": "VIII", "²": "2", "e\u0301": "é", "\u00ad": "", "\u0008": "", "㌀": "アパート", "ｶ": "カ", "ﾞ": "\u3099"})
    return charsmap_bytes(keys)


def bpe(size, alphabet, specials, **more):
    return T.BpeTrainer(vocab_size=size, initial_alphabet=sorted(alphabet), special_tokens=specials, show_progress=False, limit_alphabet=600, **more)


def byte_bpe(size, specials, pre, **model):
    t = Tokenizer(M.BPE(**model))
    t.pre_tokenizer = pre
    t.decoder = D.ByteLevel()
    t.train_from_iterator(TEXTS, bpe(size, P.ByteLevel.alphabet(), specials))
    return t


def split(pattern, behavior="isolated", invert=False):
    return P.Sequence([P.Split(Regex(pattern), behavior, invert), P.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])


def sentencepiece_bpe(size, normalizer, pre, specials, **model):
    t = Tokenizer(M.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True, **model))
    t.normalizer = normalizer
    t.pre_tokenizer = P.Sequence([P.Metaspace(split=True)]) if pre is None else pre
    fallback = ["<0x%02X>" % i for i in range(256)]
    t.train_from_iterator(TEXTS, bpe(size, [], specials + fallback))
    d = json.loads(t.to_str())
    d["added_tokens"] = [a for a in d["added_tokens"] if not a["content"].startswith("<0x")]
    d["pre_tokenizer"] = None if pre is None else d["pre_tokenizer"]
    t = Tokenizer.from_str(json.dumps(d))
    t.decoder = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
    return t


def unigram(size, normalizer, pre, specials):
    t = Tokenizer(M.Unigram())
    t.normalizer = normalizer
    t.pre_tokenizer = pre
    t.train_from_iterator(PLAIN, T.UnigramTrainer(vocab_size=size, special_tokens=specials, unk_token="<unk>", show_progress=False, max_piece_length=12, shrinking_factor=0.6))
    t.decoder = D.Metaspace()
    return t


def ids(t, *tokens):
    return [(x, t.token_to_id(x)) for x in tokens]


def template(t, single, pair, *tokens):
    t.post_processor = X.TemplateProcessing(single=single, pair=pair, special_tokens=ids(t, *tokens))
    return t


def wordpiece(normalizer, size, post="template"):
    t = Tokenizer(M.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizer
    t.pre_tokenizer = P.BertPreTokenizer()
    t.train_from_iterator(TEXTS, T.WordPieceTrainer(vocab_size=size, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False, limit_alphabet=700))
    t.decoder = D.WordPiece()
    if post == "bert":
        t.post_processor = X.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        return t
    return template(t, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", "[CLS]", "[SEP]")


def make():
    gpt2 = byte_bpe(1500, ["<|endoftext|>"], P.ByteLevel(add_prefix_space=False))
    gpt2.post_processor = X.ByteLevel(trim_offsets=True)
    yield "gpt2", gpt2

    roberta = byte_bpe(1500, ["<s>", "<pad>", "</s>", "<unk>"], P.ByteLevel(add_prefix_space=True))
    roberta.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    roberta.post_processor = X.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=True)
    yield "roberta", roberta

    llama3 = byte_bpe(1500, ["<|begin_of_text|>", "<|end_of_text|>"], split(CL100K), ignore_merges=True)
    llama3.add_special_tokens(["<|reserved_special_token_%d|>" % i for i in range(250)])
    template(llama3, "<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|>:1 $B:1", "<|begin_of_text|>")
    llama3.post_processor = X.Sequence([X.ByteLevel(trim_offsets=False), llama3.post_processor])
    yield "llama3", llama3

    qwen = byte_bpe(1500, ["<|endoftext|>", "<|im_start|>"], split(CL100K.replace("{1,3}", "")))
    qwen.normalizer = N.NFC()
    yield "qwen3", template(qwen, "$A <|endoftext|>", "$A $B:1 <|endoftext|>:1", "<|endoftext|>")
    newer = byte_bpe(1000, ["<|endoftext|>"], split(QWEN35))
    newer.normalizer = N.NFC()
    yield "qwen35", newer
    yield "o200k", byte_bpe(1000, ["<|endoftext|>"], split(O200K))
    yield "tekken", byte_bpe(1000, ["<s>"], split(TEKKEN))
    yield "deepseek", byte_bpe(1000, ["<｜begin▁of▁sentence｜>"], P.Sequence([P.Split(Regex(r"\p{N}{1,3}"), "isolated"), P.Split(Regex("[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
                                                                                P.Split(Regex(DEEPSEEK), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)]))
    yield "starcoder", byte_bpe(1000, ["<|endoftext|>", "<fim_prefix>"], P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False)]))

    clip = Tokenizer(M.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>", continuing_subword_prefix=""))
    clip.normalizer = N.Sequence([N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()])
    clip.pre_tokenizer = P.Sequence([P.Split(Regex(CLIP), "removed", invert=True), P.ByteLevel(add_prefix_space=False)])
    clip.train_from_iterator(TEXTS, bpe(1500, P.ByteLevel.alphabet(), ["<|startoftext|>", "<|endoftext|>"], end_of_word_suffix="</w>"))
    clip.post_processor = X.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0), trim_offsets=False, add_prefix_space=False)
    clip.decoder = D.ByteLevel()
    yield "clip", clip

    llama2 = sentencepiece_bpe(1800, N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), None, ["<unk>", "<s>", "</s>"])
    yield "llama2", template(llama2, "<s> $A", "<s> $A <s>:1 $B:1", "<s>")
    llama2b = sentencepiece_bpe(1500, None, P.Metaspace(prepend_scheme="first", split=False), ["<unk>", "<s>", "</s>"])
    yield "llama2-metaspace", template(llama2b, "<s> $A </s>", "<s> $A </s> <s>:1 $B:1 </s>:1", "<s>", "</s>")
    gemma = sentencepiece_bpe(1800, N.Replace(" ", "▁"), P.Split(" ", "merged_with_previous"), ["<pad>", "<eos>", "<bos>", "<unk>"])
    gemma.add_tokens([AddedToken("▁" * i, normalized=False) for i in range(2, 20)] + [AddedToken("\n" * i, normalized=False) for i in range(2, 20)]
                     + [AddedToken("<unused%d>" % i, normalized=False) for i in range(100)])
    gemma.decoder = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse()])
    yield "gemma", template(gemma, "<bos> $A <eos>", "<bos> $A <eos> <bos>:1 $B:1 <eos>:1", "<bos>", "<eos>")

    xlmr = unigram(2000, N.Sequence([N.Precompiled(charsmap()), N.Replace(Regex(" {2,}"), " ")]), P.Sequence([P.WhitespaceSplit(), P.Metaspace()]), ["<s>", "<pad>", "</s>", "<unk>"])
    xlmr.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    yield "xlmr", template(xlmr, "<s> $A </s>", "<s> $A </s> </s> $B </s>", "<s>", "</s>")
    t5 = unigram(1500, N.Sequence([N.Precompiled(charsmap()), N.Strip(left=False, right=True), N.Replace(Regex(" {2,}"), "▁")]), P.Metaspace(prepend_scheme="always"), ["<pad>", "</s>", "<unk>"])
    yield "t5", template(t5, "$A </s>", "$A </s> $B </s>", "</s>")
    albert = unigram(1500, N.Sequence([N.Replace("``", '"'), N.Replace("''", '"'), N.NFKD(), N.StripAccents(), N.Lowercase(), N.Precompiled(charsmap())]), P.Metaspace(), ["<pad>", "<unk>", "[CLS]", "[SEP]"])
    yield "albert", template(albert, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", "[CLS]", "[SEP]")
    nmt = unigram(1200, N.Sequence([N.Nmt(), N.NFKC(), N.Replace(Regex(" {2,}"), " ")]), P.Metaspace(prepend_scheme="first"), ["<unk>", "<s>", "</s>"])
    yield "nmt", nmt

    yield "bert", wordpiece(N.BertNormalizer(lowercase=True), 2500)
    yield "bert-cased", wordpiece(N.BertNormalizer(lowercase=False, strip_accents=False), 2500, "bert")
    mpnet = wordpiece(N.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=True, lowercase=False), 1500)
    mpnet.add_tokens([AddedToken("Debian"), AddedToken("Straße", single_word=True), AddedToken("naïve", lstrip=True, rstrip=True), AddedToken("über ", normalized=False)])
    yield "wordpiece-added", mpnet

    words = Tokenizer(M.WordLevel(unk_token="[UNK]"))
    words.normalizer = N.Sequence([N.NFD(), N.Lowercase(), N.StripAccents(), N.Strip()])
    words.pre_tokenizer = P.Sequence([P.Whitespace(), P.Digits(individual_digits=False), P.Punctuation("contiguous")])
    words.train_from_iterator(TEXTS, T.WordLevelTrainer(vocab_size=1500, special_tokens=["[UNK]"], show_progress=False))
    yield "wordlevel", words

    alphabet = Tokenizer(M.BPE())
    alphabet.normalizer = N.Sequence([N.NFC(), N.ByteLevel()])
    alphabet.train_from_iterator([t[:40] for t in TEXTS[:3000]], bpe(900, P.ByteLevel.alphabet(), []))
    alphabet.decoder = D.ByteLevel()
    yield "byte-normalizer", alphabet


def places(text):
    at, result = 0, [0]
    for c in text:
        at += len(c.encode())
        result.append(at)
    return result


def goldens(texts):
    """Per file: ids of every text, then, of the short ones, spans in bytes (flat) and the text decoded without special tokens."""
    golden = {}
    for path in sorted(OUT.glob("*.json")):
        if path.stem in ("texts", "golden", "reference", "stages"):
            continue
        t = Tokenizer.from_file(str(path))
        all_ids, spans, decoded = [], [], []
        for text in texts:
            e = t.encode(text)
            all_ids.append(e.ids)
            if len(text) <= 60:
                p = places(text)
                spans.append([p[x] for pair in e.offsets for x in pair])
                decoded.append(t.decode(e.ids, skip_special_tokens=True))
        golden[path.stem] = {"ids": all_ids, "spans": spans, "decoded": decoded}
    rows = ['"%s": %s' % (k, json.dumps(v, separators=(",", ":"), ensure_ascii=False)) for k, v in golden.items()]
    (OUT / "golden.json").write_text("{" + ",\n".join(rows) + "}\n", "utf-8")


STAGE_TEXTS = ["a\u030d\u0301 a\u0301\u030d e\u0327\u0301 \u0344 \u1100\u1161\u11a8\u11a8 \uac00\u11a8", "Ａ́b Ａ\u0301\u0302c", "\u00a9\u200d\u00a9\u0301 \u00a9\u0301\u200d\u00a9\u0301 x\u200d\u00a9\u0301",
               "\u0915\u094d\u0915\u0301 \u0915\u094d\u200d\u0915\u0301 \u0915\u093e\u0915\u0301", "\u0600Ａ \u0600ab \r\n\r\t \U0001f1e9\U0001f1ea\U0001f1eb\u0301", "it\u2019s 'S'\u017f I'LL we'Ve x'd 'T's '",
               "中AB 中ABc ABCdef ÀÉÎx \u0301AB x\u0301Y ǅa ªA", "1234567 ½²³ ٣٤٥ ⅻx 12a34", "  a   b\t\tc \n\n d  \n e\r\n\r\nf   ", "!!!\n\n?a//b /\n/ ((x)) ,y .\u00a0z", "don't_stop a_b-c ¾r x²y \u00b2\u00b3", "\u3000\u2003x\u0085y\u200bz\ufeff",
               "the AND The cats and THE", "aa-bb--cc - dd", "", " ", "\n", "İıßẞ ŉ ǰ Ϊ́ ﬁ", "日本ハナ語ab漢 ㍻㌀ﾞｶﾞ", "\u302e\U0001d165\u302f\U0001d16d\u302e", "xxxyxx", "``q'' a\u00adb\u0000c\u0007\ufffd\u2028"]


def stages():
    """stages.json: what single normalisers and pre-tokenisers do, so that a fault is seen where it is."""
    small = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None,
             "model": {"type": "WordLevel", "unk_token": "u", "vocab": {"u": 0}}}
    normal = [N.NFC(), N.NFD(), N.NFKC(), N.NFKD(), N.Lowercase(), N.StripAccents(), N.Strip(), N.Strip(right=False), N.Nmt(), N.ByteLevel(), N.Prepend("▁x"), N.Replace("a", ""), N.Replace("", "-"),
              N.Replace(Regex(r"\s+"), "_"), N.Replace(Regex("x*"), "."), N.Replace(Regex("^|$"), "|"), N.Precompiled(charsmap()), N.Precompiled(charsmap_bytes({"\u00a9": "Z", "\u0915": "K", "\u0600": "P"})), N.BertNormalizer(), N.BertNormalizer(lowercase=False),
              N.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=True), N.BertNormalizer(lowercase=False, strip_accents=True),
              N.Sequence([N.NFKD(), N.StripAccents(), N.Lowercase(), N.NFC()])]
    pre = [P.BertPreTokenizer(), P.ByteLevel(), P.ByteLevel(add_prefix_space=False, use_regex=False), P.Whitespace(), P.WhitespaceSplit(), P.Digits(True), P.Digits(False), P.CharDelimiterSplit("a"),
           P.Metaspace(), P.Metaspace(prepend_scheme="never"), P.Metaspace(replacement="_", prepend_scheme="first"), P.Metaspace(split=False), P.FixedLength(3),
           P.Sequence([P.WhitespaceSplit(), P.Metaspace(prepend_scheme="first")]), P.Sequence([P.Punctuation(), P.ByteLevel(), P.FixedLength(2)])]
    behaviors = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
    pre += [P.Punctuation(b) for b in behaviors] + [P.Split("a", b, i) for b in behaviors for i in (False, True)] + [P.Split(Regex("x*"), b) for b in behaviors]
    pre += [P.Split(Regex(x), "isolated") for x in (CL100K, CL100K.replace("{1,3}", ""), QWEN35, O200K, TEKKEN, DEEPSEEK, CLIP, r"[^\W_]+", r"\w+", r"(?i:THE|and)", r"(?<=\w)-(?=\w)", r"\d{1,3}(?=(?:\d{3})*\b)",
                                                          r"\p{Han}+|\p{^L}", r"^\s|\s$", r"[^\P{Lu}A]", r"a|b|\r?\n", r"\x{301}|\u0302|[\x{3040}-ン]", r"[a-c[x-z]]+", r".x", r"\Aa|z\z", r"a{,2}b|x{2}|y{1,}?", r"\Bt")]
    result = {"normalizers": [], "pre_tokenizers": []}
    for n in normal:
        d = json.loads(Tokenizer.from_str(json.dumps(small)).to_str())
        t = Tokenizer.from_str(json.dumps(d))
        t.normalizer = n
        result["normalizers"].append({"file": json.loads(t.to_str()), "cases": [n.normalize_str(x) for x in STAGE_TEXTS]})
    for p in pre:
        t = Tokenizer.from_str(json.dumps(small))
        t.pre_tokenizer = p
        result["pre_tokenizers"].append({"file": json.loads(t.to_str()), "cases": [[places(x)[o] for pair in t.encode(x).offsets for o in pair] for x in STAGE_TEXTS]})
    result["texts"] = STAGE_TEXTS
    rows = ['"%s": [\n%s]' % (k, ",\n".join(json.dumps(r, separators=(",", ":")) for r in v)) for k, v in result.items()]
    (OUT / "stages.json").write_text("{" + ",\n".join(rows) + "}\n", "utf-8")


def main():
    """With --goldens the files stay as they are."""
    if "--goldens" not in sys.argv:
        for name, t in make():
            t.save(str(OUT / (name + ".json")), pretty=False)
            print(name, t.get_vocab_size(), (OUT / (name + ".json")).stat().st_size)
    stages()
    goldens(json.loads((OUT / "texts.json").read_text("utf-8")))


if __name__ == "__main__":
    main()
