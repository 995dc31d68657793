#!/usr/bin/env python3
"""Writes tests/data/golden/scores-NAME.json: what sentence-transformers' CrossEncoder answers on make_checkpoints.py's classifiers.

Run by hand, when a checkpoint or the texts change, where sentence-transformers is installed:
    make_checkpoints.py /tmp/checkpoints && make_score_goldens.py /tmp/checkpoints [NAME…]
Float32 on the CPU, one pair at a time. A pair is two indices into tests/data/texts.json. scores: with the model's own activation; logits: without any.
instructed: the same with an instruction, of causal rerankers.
"""
import json
import os
import sys

import torch
from sentence_transformers import CrossEncoder

from make_goldens import HERE, VERSIONS

PAIRS = [(1, 2), (2, 3), (3, 2), (3, 1), (4, 5), (6, 7), (8, 9), (10, 11), (2, 0), (0, 2), (12, 13), (14, 15), (16, 17), (18, 19), (20, 21), (20, 20), (3, 20), (20, 3)]


# A causal reranker that was published without modules has no template either; its card says how the text is made.
CARD = """<|im_start|>system
Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>
<|im_start|>user
<Instruct>: {%- if messages[0].role == "system" %} {{ messages[0].content }}{% else %} Given a web search query, retrieve relevant passages that answer the query{% endif +%}
<Query>: {{ (messages | selectattr("role", "eq", "query") | first).content }}
<Document>: {{ (messages | selectattr("role", "eq", "document") | first).content }}<|im_end|>
<|im_start|>assistant
<think>

</think>


"""
INSTRUCTION = "Given a title, find the passage of the book"


def rows_of(model, texts, prompt):
    numbers = lambda **o: [float("%.9g" % x) for x in model.predict([pair], show_progress_bar=False, prompt=prompt, **o).reshape(-1).tolist()]
    for a, b in PAIRS:
        pair = [texts[a], texts[b]]
        ids = model.preprocess([pair], prompt=model._resolve_prompt(prompt, None))["input_ids"][0].tolist()
        yield {"pair": [a, b], "ids": ids, "scores": numbers(), "logits": numbers(activation_fn=torch.nn.Identity())}


def main():
    folder = sys.argv[1]
    texts = json.load(open(os.path.join(HERE, "data", "texts.json"), encoding="utf-8"))
    torch.set_num_threads(1)
    lines = lambda rows: "[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows) + "\n ]"
    for name in sys.argv[2:] or sorted(n for n in os.listdir(folder) if n.startswith("scores-")):
        more = {"processor_kwargs": {"chat_template": CARD}} if name == "scores-logit-card" else {}
        model = CrossEncoder(os.path.join(folder, name), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32}, **more)
        rows = list(rows_of(model, texts, None))
        out = {"about": "sentence-transformers' CrossEncoder on tests/make_checkpoints.py's folder of this name: float32, one pair at a time",
               "versions": VERSIONS, "checkpoint": name, "labels": model.num_labels}
        text = json.dumps(out, indent=1)[:-2] + ',\n "cases": ' + lines(rows)
        if name.startswith("scores-logit"):
            text += ',\n "instruction": %s,\n "instructed": %s' % (json.dumps(INSTRUCTION), lines(rows_of(model, texts, INSTRUCTION)))
        with open(os.path.join(HERE, "data", "golden", name + ".json"), "w", encoding="utf-8", newline="\n") as f:
            f.write(text + "\n}\n")
        print("%s: %d labels, at most %d tokens" % (name, model.num_labels, max(len(r["ids"]) for r in rows)))


if __name__ == "__main__":
    main()
