"""Reads what run.py wrote. An engine measured more than once counts with the best of each figure."""
import csv
import json
import os


class Results:
    def __init__(self, folder):
        with open(os.path.join(folder, "run.json"), encoding="utf-8") as f:
            self.about = json.load(f)
        self.rows, self.process, self.values = {}, {}, {}
        for r in self.read(folder, "rows"):
            key = r["model"], r["engine"], r["row"], r["variant"]
            new = {k: float(r[k]) for k in ("texts", "tokens", "best_ms", "median_ms")}
            old = self.rows.get(key, new)
            self.rows[key] = {**new, **{k: min(old[k], new[k]) for k in ("best_ms", "median_ms")}}
        for r in self.read(folder, "process"):
            self.process[r["model"], r["engine"]] = {k: float(r[k]) for k in ("open_s", "wall_s", "peak_mb")}
        for r in self.read(folder, "values"):
            key, value = (r["what"], r["subject"]), float(r["value"])
            self.values[key] = max(self.values.get(key, value), value)
        self.memory = self.read(folder, "memory")

    def read(self, folder, name):
        with open(os.path.join(folder, name + ".csv"), newline="", encoding="utf-8") as f:
            return list(csv.DictReader(f))

    def ms(self, model, engine, row, field="median_ms", variant=""):
        r = self.rows.get((model, engine, row, variant))
        return r and r[field]

    def tokens_per_s(self, model, engine, row, variant=""):
        r = self.rows.get((model, engine, row, variant))
        return r and r["tokens"] / r["best_ms"] * 1e3

    def texts_per_s(self, model, engine, row, variant=""):
        r = self.rows.get((model, engine, row, variant))
        return r and r["texts"] / r["best_ms"] * 1e3

    def bulk_row(self, model):
        """The bulk row that there is: bulk512, or bulk128 of a quick run; of the Qwen3 shape bulk64, or 32 x 8."""
        names = {row for m, _, row, _ in self.rows if m == model}
        return next((n for n in (("bulk512", "bulk128") if model == "minilm" else ("bulk64", "32x8")) if n in names), None)

    def engines(self, model):
        return list(dict.fromkeys(e for m, e, _, _ in self.rows if m == model))

    def variants(self, model, engine, row):
        return [v for m, e, r, v in self.rows if (m, e, r) == (model, engine, row)]
