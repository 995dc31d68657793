#!/usr/bin/env python3
"""Writes tests/data/golden/scores-NAME.json: what sentence-transformers' CrossEncoder answers on make_checkpoints.py's classifiers.

Run by hand, when a checkpoint or the texts change, where sentence-transformers is installed:
    make_checkpoints.py /tmp/checkpoints && make_score_goldens.py /tmp/checkpoints
Float32 on the CPU, one pair at a time. A pair is two indices into tests/data/texts.json. scores: with the model's own activation; logits: without any.
"""
import json
import os
import sys

import torch
from sentence_transformers import CrossEncoder

from make_goldens import HERE, VERSIONS

PAIRS = [(1, 2), (2, 3), (3, 2), (3, 1), (4, 5), (6, 7), (8, 9), (10, 11), (2, 0), (0, 2), (12, 13), (14, 15), (16, 17), (18, 19), (20, 21), (20, 20), (3, 20), (20, 3)]


def main():
    folder = sys.argv[1]
    texts = json.load(open(os.path.join(HERE, "data", "texts.json"), encoding="utf-8"))
    torch.set_num_threads(1)
    for name in sorted(n for n in os.listdir(folder) if n.startswith("scores-")):
        model = CrossEncoder(os.path.join(folder, name), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32})
        rows = []
        for a, b in PAIRS:
            ids = model.preprocess([[texts[a], texts[b]]], prompt=(model.prompts or {}).get(model.default_prompt_name))["input_ids"][0].tolist()
            numbers = lambda **o: [float("%.9g" % x) for x in model.predict([[texts[a], texts[b]]], show_progress_bar=False, **o).reshape(-1).tolist()]
            rows.append({"pair": [a, b], "ids": ids, "scores": numbers(), "logits": numbers(activation_fn=torch.nn.Identity())})
        out = {"about": "sentence-transformers' CrossEncoder on tests/make_checkpoints.py's folder of this name: float32, one pair at a time",
               "versions": VERSIONS, "checkpoint": name, "labels": model.num_labels}
        with open(os.path.join(HERE, "data", "golden", name + ".json"), "w", encoding="utf-8", newline="\n") as f:
            f.write(json.dumps(out, indent=1)[:-2] + ',\n "cases": [\n' + ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows) + "\n ]\n}\n")
        print("%s: %d labels, at most %d tokens" % (name, model.num_labels, max(len(r["ids"]) for r in rows)))


if __name__ == "__main__":
    main()
