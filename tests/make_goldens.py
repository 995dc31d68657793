#!/usr/bin/env python3
"""Writes tests/data/golden/NAME.json: what sentence-transformers answers for tests/data/texts.json on make_checkpoints.py's folders.

Run by hand, when a checkpoint or the texts change, where sentence-transformers is installed:
    make_checkpoints.py /tmp/checkpoints && make_goldens.py /tmp/checkpoints
Float32 on the CPU, one text at a time; a text for each of the model's prompts too, and one without its default prompt.
"""
import json
import os
import sys

import sentence_transformers
import tokenizers
import torch
import transformers
from sentence_transformers import SentenceTransformer

HERE = os.path.dirname(os.path.abspath(__file__))
VERSIONS = {"sentence-transformers": sentence_transformers.__version__, "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__, "torch": torch.__version__}


def case(model, texts, i, prompt_name):
    """prompt_name: None for a call that names none (the default prompt then counts)."""
    prompt = model._resolve_prompt(None, prompt_name)
    features = model.preprocess([texts[i]], prompt=prompt)
    row = {"text": i, "prompt_name": prompt_name, "ids": features["input_ids"][0].tolist() if features["input_ids"].shape[1] else []}
    if row["ids"]:
        vector = model.encode([texts[i]], prompt_name=prompt_name, batch_size=1, show_progress_bar=False)[0]
        row["vector"] = [float("%.9g" % x) for x in vector.tolist()]
    return row


def main():
    folder = sys.argv[1]
    names = sys.argv[2:] or sorted(os.listdir(folder))
    texts = json.load(open(os.path.join(HERE, "data", "texts.json"), encoding="utf-8"))
    torch.set_num_threads(1)
    for name in names:
        model = SentenceTransformer(os.path.join(folder, name), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32})
        with open(os.path.join(folder, name, "config.json"), encoding="utf-8") as f:
            assert json.load(f)["model_type"] == model.transformers_model.config.model_type
        assert all(p.dtype == torch.float32 for p in model.parameters())
        saved = os.path.join(folder, name, "config_sentence_transformers.json")
        prompts = json.load(open(saved, encoding="utf-8"))["prompts"] if os.path.exists(saved) else {}
        rows = [case(model, texts, i, None) for i in range(len(texts))]
        rows += [case(model, texts, i, p) for p in sorted(prompts) for i in (0, 1, 2, 9, 20)]
        out = {"about": "sentence-transformers on tests/make_checkpoints.py's folder of this name: float32, one text at a time; "
                        "text is an index into tests/data/texts.json",
               "versions": VERSIONS, "checkpoint": name, "dim": model.get_embedding_dimension(), "cases": rows}
        path = os.path.join(HERE, "data", "golden", name + ".json")
        with open(path, "w", encoding="utf-8", newline="\n") as f:
            head, cases = json.dumps({k: v for k, v in out.items() if k != "cases"}, indent=1), ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows)
            f.write(head[:-2] + ',\n "cases": [\n' + cases + "\n ]\n}\n")
        print("%s: %d cases, at most %d tokens" % (name, len(rows), max(len(r["ids"]) for r in rows)))


if __name__ == "__main__":
    main()
