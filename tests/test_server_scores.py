#!/usr/bin/env python3
"""Tests of `akiembed serve` with rerankers and classifiers: each route's shape, its limits, and the numbers of the verbs. Standard Python only.

    test_server_scores.py PROGRAM CHECKPOINTS [unittest arguments]
"""
import json
import subprocess
import threading

from server_harness import PROGRAM, Shared, embed, environment, folder, main

QUERY, DOCUMENTS = "one two", ["two three four", "the cat sat", "one", "", "two three four"]


def verb(*arguments, lines):
    done = subprocess.run([PROGRAM, *arguments], input="".join(json.dumps(x) + "\n" for x in lines).encode(), capture_output=True, env=environment(), timeout=600, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def rerank(*options, model="scores-bert"):
    return verb("rerank", "-q", "-m", folder(model), "--jsonl", *options, QUERY, lines=DOCUMENTS)


class Scores(Shared):
    models = ("scores-bert", "scores-bert-nli", "bert")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in cls.models:            # opened by the first request, which waits for it
            while cls.server.post("/classify", {"model": name, "input": "x"})[0] == 503:
                pass

    def test_tei_rerank(self):
        body = {"query": QUERY, "texts": DOCUMENTS}
        self.assertEqual(self.ok("/rerank", body), rerank())
        self.assertEqual(self.ok("/rerank", dict(body, raw_scores=True)), rerank("--raw"))
        self.assertEqual([r["text"] for r in self.ok("/rerank", dict(body, return_text=True))], [DOCUMENTS[r["index"]] for r in rerank()])

    def test_cohere_rerank(self):
        wanted = [(r["index"], r["score"]) for r in rerank()]
        for path in "/rerank", "/v1/rerank", "/v2/rerank", "/reranking", "/v1/reranking":
            answer = self.ok(path, {"model": "scores-bert", "query": QUERY, "documents": DOCUMENTS})
            self.assertEqual([(r["index"], r["relevance_score"]) for r in answer["results"]], wanted)
            self.assertEqual(answer["model"], "scores-bert")
            self.assertGreater(answer["usage"]["total_tokens"], 10)
        body = {"query": QUERY, "documents": [{"text": d} for d in DOCUMENTS], "top_n": 2, "return_documents": True}
        answer = self.ok("/v1/rerank", body)
        self.assertEqual([(r["index"], r["relevance_score"]) for r in answer["results"]], wanted[:2])
        self.assertEqual([r["document"] for r in answer["results"]], [{"text": DOCUMENTS[i]} for i, _ in wanted[:2]])
        self.assertEqual(len(self.ok("/v1/rerank", dict(body, top_n=100))["results"]), len(DOCUMENTS))

    def test_predict_and_classify(self):
        pairs = [["one"], ["one two", "three"], ["x", "y"]]
        wanted = [[{"score": e["score"], "label": e["label"]} for e in r["labels"]]
                  for r in verb("classify", "-q", "-m", folder("scores-bert-nli"), "--jsonl", lines=[p if len(p) == 2 else p[0] for p in pairs])]
        self.assertEqual(self.ok("/predict", {"model": "scores-bert-nli", "inputs": pairs}), wanted)
        self.assertEqual(self.ok("/predict", {"model": "scores-bert-nli", "inputs": "one"}), wanted[0])
        answer = self.ok("/classify", {"model": "scores-bert-nli", "input": ["one"]})
        self.assertEqual((answer["data"][0]["label"], max(answer["data"][0]["probs"])), (wanted[0][0]["label"], wanted[0][0]["score"]))
        self.assertEqual(answer["data"][0]["num_classes"], 3)

    def test_score(self):
        wanted = [r["score"] for r in rerank("--no-sort")]
        for body in {"queries": QUERY, "documents": DOCUMENTS}, {"text_1": QUERY, "text_2": DOCUMENTS}, {"queries": [QUERY] * 5, "documents": DOCUMENTS}:
            self.assertEqual([d["score"] for d in self.ok("/v1/score", body)["data"]], wanted)
        self.refused(422, "/v1/score", {"queries": ["a", "b"], "documents": ["c"] * 3}, "queries", shape="openai")

    def test_other_models(self):
        """Each route refuses the models that it is not for, and a rerank finds no embedding."""
        for model in "bert", "scores-bert-nli":
            self.refused(424, "/rerank", {"model": model, "query": "a", "texts": ["b"]}, "not a re-ranker", kind="Backend")
        for path, body in ("/predict", {"inputs": "a"}), ("/classify", {"input": "a"}), ("/score", {"queries": "a", "documents": "b"}):
            self.assertEqual(self.server.post(path, dict(body, model="bert"))[0], 424)
        for path, body in ("/embed", {"inputs": "a"}), ("/v1/embeddings", {"input": "a"}), ("/api/embed", {"input": "a"}):
            self.assertEqual(self.server.post(path, dict(body, model="scores-bert"))[0], 424)

    def test_limits(self):
        long = "one " * 300
        self.assertEqual(len(self.ok("/rerank", {"query": long, "texts": [long, ""]})), 2)
        self.refused(422, "/rerank", {"query": long, "texts": [long], "truncate": False}, "must have less than")
        self.refused(422, "/rerank", {"query": "a", "texts": ["b"] * 33}, "batch size 33 > maximum allowed batch size 32")
        self.assertEqual(self.server.post("/v1/rerank", {"query": "a", "documents": ["b"] * 10000})[0], 422)
        self.assertEqual(len(self.ok("/v1/rerank", {"query": "a", "documents": ["b"] * 100})["results"]), 100)
        self.refused(400, "/rerank", {"query": "", "texts": ["b"]}, "`query` cannot be empty", kind="Empty")
        self.refused(400, "/rerank", {"query": "a", "texts": []}, "`texts` cannot be empty", kind="Empty")
        self.refused(400, "/rerank", {"query": "a", "texts": ["b"], "documents": ["b"]}, "exclude each other")
        for bad in {}, {"query": "a"}, {"texts": ["b"]}, {"query": 1, "texts": ["b"]}, {"query": "a", "texts": "b"}, {"query": "a", "texts": [1]}, {"query": "a", "texts": [["b"]]}:
            self.assertEqual(self.server.post("/rerank", bad)[0], 422)
        for bad in {"documents": [{"title": "b"}]}, {"documents": ["b"], "top_n": -1}, {"documents": ["b"], "top_n": "1"}, {"documents": ["b"], "top_n": 1.5}:
            self.assertEqual(self.server.post("/v1/rerank", dict(bad, query="a"))[0], 422)
        self.refused(422, "/predict", {"inputs": [["a", "b", "c"]]})

    def test_beside_each_other(self):
        """Many requests of all kinds at a time: each answer has the bits that it has alone."""
        jobs = [("/rerank", {"query": QUERY, "texts": DOCUMENTS}), ("/rerank", {"query": "x", "texts": DOCUMENTS, "raw_scores": True}),
                ("/predict", {"model": "scores-bert-nli", "inputs": [["a"], ["b", "c"]]}), ("/predict", {"inputs": "a"}), ("/embed", {"model": "bert", "inputs": DOCUMENTS[:3]})]
        wanted, bad = [self.ok(*j) for j in jobs], []
        self.assertEqual(wanted[-1], embed(DOCUMENTS[:3]))

        def ask(k):
            for i in range(20):
                job = (i + k) % len(jobs)
                if self.server.post(*jobs[job])[2] != wanted[job]:
                    bad.append(job)
        threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(bad, [])

    def test_counted(self):
        count = lambda: sum(float(line.rsplit(" ", 1)[1]) for line in self.server.ask("GET", "/metrics")[2].decode().splitlines() if line.startswith("te_request_count"))
        before = count()
        self.ok("/rerank", {"query": "a", "texts": ["b", "c"]})
        self.assertEqual(count(), before + 1)
        _, headers, _ = self.server.post("/rerank", {"query": "a", "texts": ["b", "c"]})
        self.assertGreater(int(headers["x-compute-tokens"]), 4)


if __name__ == "__main__":
    main("test_server_scores.py")
