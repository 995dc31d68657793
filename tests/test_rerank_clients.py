#!/usr/bin/env python3
"""Tests of `akiembed serve` with the reranking clients that people have. Their packages are many and large, so they have a place of their own; one
command makes it and runs this:

    scripts/rerank_clients PROGRAM CHECKPOINTS [unittest arguments]

Every client is to give the order and the scores of the program's own `rerank`.
"""
import json
import os
import subprocess

os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", HAYSTACK_TELEMETRY_ENABLED="False", DO_NOT_TRACK="1")

import cohere
import litellm
import requests
from haystack import Document as HaystackDocument
from langchain_cohere import CohereRerank
from langchain_community.document_compressors import JinaRerank
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank as LlamaCohereRerank
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

from server_harness import PROGRAM, Server, Shared, environment, folder, main

QUERY, DOCUMENTS, MODEL = "one two", ["two three four", "the cat sat", "one", "many words of one text"], "scores-bert"


class Clients(Shared):
    models = (MODEL,)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.url = "http://127.0.0.1:%d" % cls.server.port
        done = subprocess.run([PROGRAM, "rerank", "-q", "-m", folder(MODEL), QUERY, *DOCUMENTS], capture_output=True, env=environment(), check=True)
        cls.wanted = [(r["index"], r["score"]) for r in map(json.loads, done.stdout.splitlines())]

    def same(self, got, count=None):
        """Pairs of index and score."""
        got, wanted = list(got), self.wanted[:count]
        self.assertEqual([i for i, _ in got], [i for i, _ in wanted])
        for (_, a), (_, b) in zip(got, wanted):
            self.assertAlmostEqual(a, b, places=6)

    def by_text(self, pairs, count=None):
        self.same(((DOCUMENTS.index(text), score) for text, score in pairs), count)

    def test_cohere(self):
        for client in cohere.Client("none", base_url=self.url), cohere.ClientV2("none", base_url=self.url):
            for top in None, 2:
                answer = client.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS, **({"top_n": top} if top else {}))
                self.same(((r.index, r.relevance_score) for r in answer.results), top)
                self.assertTrue(answer.id)
        answer = cohere.Client("none", base_url=self.url).rerank(model=MODEL, query=QUERY, documents=[{"text": d} for d in DOCUMENTS], return_documents=True)
        self.by_text((r.document.text, r.relevance_score) for r in answer.results)

    def test_cohere_errors(self):
        with self.assertRaises(cohere.NotFoundError):
            cohere.ClientV2("none", base_url=self.url).rerank(model="none", query="a", documents=["b"])
        with self.assertRaises(cohere.UnprocessableEntityError):
            cohere.ClientV2("none", base_url=self.url).rerank(model=MODEL, query="a", documents=["b"] * 10000)

    def test_langchain(self):
        documents = [Document(page_content=d) for d in DOCUMENTS]
        found = CohereRerank(cohere_api_key="none", base_url=self.url, model=MODEL, top_n=3).compress_documents(documents, QUERY)
        self.by_text(((d.page_content, d.metadata["relevance_score"]) for d in found), 3)
        jina = JinaRerank(jina_api_key="none", model=MODEL, top_n=3)
        jina.session = type("Session", (), {"post": lambda s, url, **more: requests.post(self.url + "/v1/rerank", **more)})()      # its address is fixed
        self.by_text(((d.page_content, d.metadata["relevance_score"]) for d in jina.compress_documents(documents, QUERY)), 3)

    def test_llama_index(self):
        nodes = [NodeWithScore(node=TextNode(text=d)) for d in DOCUMENTS]
        for ranker in LlamaCohereRerank(api_key="none", model=MODEL, base_url=self.url, top_n=3), TextEmbeddingInference(base_url=self.url, top_n=3, model_name=MODEL):
            found = ranker.postprocess_nodes(nodes, query_str=QUERY)
            self.by_text(((n.node.get_content(), n.score) for n in found), 3)

    def test_litellm(self):
        # Infinity has a plain string where Cohere and Jina have {"text"}, in answer to the same request: its form goes without documents.
        for provider, base in ("cohere", "/v2/rerank"), ("jina_ai", "/v1/rerank"), ("infinity", ""), ("huggingface", ""), ("hosted_vllm", ""):
            answer = litellm.rerank(model="%s/%s" % (provider, MODEL), query=QUERY, documents=DOCUMENTS, top_n=3, api_base=self.url + base, api_key="none", return_documents=provider != "infinity")
            # Hugging Face's form sends no top_n that TEI would know.
            self.same([(r["index"], r["relevance_score"]) for r in answer.results][:3], 3)

    def test_haystack(self):
        from haystack.components.rankers import HuggingFaceTEIRanker
        ranker = HuggingFaceTEIRanker(url=self.url, top_k=3)
        found = ranker.run(query=QUERY, documents=[HaystackDocument(content=d) for d in DOCUMENTS])["documents"]
        self.by_text(((d.content, d.score) for d in found), 3)

    def test_shapes(self):
        """What Open WebUI's external reranker, Dify's and RAGFlow's OpenAI-compatible ones send and read: the bodies of Cohere and Jina, as their documents describe them."""
        for path, body in [("/v1/rerank", {"model": MODEL, "query": QUERY, "documents": DOCUMENTS, "top_n": len(DOCUMENTS)}),
                           ("/v1/rerank", {"model": MODEL, "query": QUERY, "documents": DOCUMENTS, "top_n": len(DOCUMENTS), "return_documents": True}),
                           ("/rerank", {"model": MODEL, "query": QUERY, "documents": DOCUMENTS})]:
            answer = requests.post(self.url + path, json=body, headers={"Authorization": "Bearer none"}).json()
            self.same((r["index"], r["relevance_score"]) for r in answer["results"])
            if body.get("return_documents"):
                self.by_text((r["document"]["text"], r["relevance_score"]) for r in answer["results"])


if __name__ == "__main__":
    main("test_rerank_clients.py")
