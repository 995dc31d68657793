#!/usr/bin/env python3
"""Tests of `akiembed serve` with the clients that people have: the official packages openai, ollama and huggingface_hub, and schemathesis,
which asks what /openapi.json says can be asked. Runs with the Python of scripts/venv."""
import asyncio
import os
import subprocess
import sys
import unittest

import numpy
import ollama
import openai
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from server_harness import SCRATCH, TEXTS, Server, Shared, embed, main


def f32(vectors):
    return numpy.array(vectors, numpy.float32)


class Clients(Shared):
    models = ("bert", "qwen3")

    @classmethod
    def setUpClass(cls):
        os.environ.update(HF_HOME=os.path.join(SCRATCH, "hf"), HF_HUB_DISABLE_TELEMETRY="1")
        super().setUpClass()
        cls.url = "http://127.0.0.1:%d" % cls.server.port

    def same(self, got, want):
        numpy.testing.assert_array_equal(f32(got), f32(want))

    def test_openai(self):
        client = openai.OpenAI(base_url=self.url + "/v1", api_key="none")
        for more in {}, {"encoding_format": "float"}, {"encoding_format": "base64"}:
            answer = client.embeddings.create(model="bert", input=TEXTS, **more)
            if more.get("encoding_format") == "base64":
                import base64
                got = [numpy.frombuffer(base64.b64decode(d.embedding), "<f4") for d in answer.data]
            else:
                got = [d.embedding for d in answer.data]
            self.same(got, embed(TEXTS))
            self.assertEqual([d.index for d in answer.data], list(range(len(TEXTS))))
            self.assertGreater(answer.usage.prompt_tokens, 0)
        self.same([client.embeddings.create(model="bert", input=TEXTS[0], dimensions=8, user="me").data[0].embedding],
                  embed(TEXTS[:1], "--dim", "8"))
        self.assertEqual(client.embeddings.create(model="bert", input=[[2, 3], [4]]).usage.total_tokens, 3)
        # Extra members go through: the model's own prompts. The first request for it waits until it is open.
        self.same([client.embeddings.create(model="qwen3", input=TEXTS[0], extra_body={"input_type": "query"}).data[0].embedding],
                  embed(TEXTS[:1], "--kind", "query", model="qwen3"))
        self.assertEqual([m.id for m in client.models.list()], ["bert", "qwen3"])
        self.assertEqual(client.models.retrieve("qwen3").id, "qwen3")
        self.assertGreater(int(client.embeddings.with_raw_response.create(model="bert", input="x").headers["x-compute-tokens"]), 0)

    def test_openai_errors(self):
        client = openai.OpenAI(base_url=self.url + "/v1", api_key="none", max_retries=0)
        with self.assertRaises(openai.NotFoundError) as e:
            client.embeddings.create(model="none", input="x")
        self.assertEqual((e.exception.code, e.exception.param), ("model_not_found", "model"))
        with self.assertRaises(openai.BadRequestError) as e:
            client.embeddings.create(model="bert", input="")
        self.assertEqual(e.exception.type, "invalid_request_error")
        with self.assertRaises(openai.UnprocessableEntityError):
            client.embeddings.create(model="bert", input="x", dimensions=100000)

    def test_openai_asynchronous(self):
        async def all_at_once():
            async with openai.AsyncOpenAI(base_url=self.url + "/v1", api_key="none") as client:
                return await asyncio.gather(*[client.embeddings.create(model="bert", input=TEXTS[i % 4]) for i in range(40)])
        want = f32(embed(TEXTS))
        for i, answer in enumerate(asyncio.run(all_at_once())):
            self.same([answer.data[0].embedding], want[[i % 4]])

    def test_openai_key(self):
        path = os.path.join(SCRATCH, "openai-keys")
        with open(path, "w") as f:
            f.write("sk-right\n")
        server = Server("--api-keys", path)
        try:
            url = "http://127.0.0.1:%d/v1" % server.port
            self.assertEqual(len(openai.OpenAI(base_url=url, api_key="sk-right").embeddings.create(model="bert", input="x").data), 1)
            with self.assertRaises(openai.AuthenticationError):
                openai.OpenAI(base_url=url, api_key="sk-wrong").embeddings.create(model="bert", input="x")
        finally:
            self.assertEqual(server.stop(), 0)

    def test_ollama(self):
        client = ollama.Client(host=self.url)
        answer = client.embed(model="bert", input=TEXTS, truncate=True, dimensions=None, keep_alive="5m", options={"num_ctx": 64})
        self.same(answer.embeddings, embed(TEXTS))
        self.assertEqual(answer.model, "bert")
        self.assertGreater(answer.prompt_eval_count, 0)
        self.same(client.embed(model="bert:latest", input=TEXTS[0]).embeddings, embed(TEXTS[:1]))
        self.same(client.embed(model="bert", input=TEXTS[0], dimensions=4).embeddings, embed(TEXTS[:1], "--dim", "4"))
        self.same([client.embeddings(model="bert", prompt=TEXTS[1]).embedding], embed(TEXTS[1:2]))
        self.assertEqual([m.model for m in client.list().models], ["bert:latest", "qwen3:latest"])
        self.assertEqual([m.model for m in client.ps().models][0], "bert:latest")
        self.assertEqual([client.pull("bert").status, [p.status for p in client.pull("Bert", stream=True)]], ["success", ["success"]])
        show = client.show("bert")
        self.assertEqual(show.capabilities, ["embedding"])
        self.assertGreater(show.modelinfo["bert.embedding_length"], 0)
        with self.assertRaises(ollama.ResponseError) as e:
            client.embed(model="none", input="x")
        self.assertEqual((e.exception.status_code, "not found" in e.exception.error), (404, True))
        with self.assertRaises(ollama.ResponseError) as e:
            client.embed(model="bert", input="x y " * 400, truncate=False)
        self.assertEqual((e.exception.status_code, e.exception.error), (400, "the input length exceeds the context length"))

    def test_ollama_asynchronous(self):
        async def all_at_once():
            client = ollama.AsyncClient(host=self.url)
            return await asyncio.gather(*[client.embed(model="bert", input=TEXTS[i % 4]) for i in range(40)])
        want = f32(embed(TEXTS))
        for i, answer in enumerate(asyncio.run(all_at_once())):
            self.same(answer.embeddings, want[[i % 4]])

    def test_huggingface_hub(self):
        for url in self.url, self.url + "/embed":
            client = InferenceClient(base_url=url)
            self.same(client.feature_extraction(TEXTS[0]), embed(TEXTS[:1]))
            self.same(client.feature_extraction(TEXTS), embed(TEXTS))
            self.same(client.feature_extraction(TEXTS[0], normalize=False), embed(TEXTS[:1], "--no-normalize"))
            self.same(client.feature_extraction("w " * 500, truncate=True, truncation_direction="left"), embed(["w " * 500], "--truncate", "left"))
            with self.assertRaises(HfHubHTTPError) as e:
                client.feature_extraction("w " * 500, truncate=False)
            self.assertEqual(e.exception.response.status_code, 422)
            with self.assertRaises(HfHubHTTPError):
                client.feature_extraction("a", prompt_name="none")
        scores = InferenceClient(base_url=self.url + "/similarity").sentence_similarity(TEXTS[0], other_sentences=TEXTS[1:])
        a = f32(embed(TEXTS))
        numpy.testing.assert_allclose(scores, a[1:] @ a[0], atol=1e-6)

    def test_schemathesis(self):
        """No 5xx, no answer that its schema does not describe, no invalid body that is taken. positive_data_acceptance is left out: whether
        a prompt's name or a number of dimensions is right depends on the model, which the schema does not know."""
        done = subprocess.run([sys.executable, "-m", "schemathesis.cli", "run", self.url + "/openapi.json", "--max-examples", "30", "--seed", "1",
                               "--no-color", "--exclude-checks", "positive_data_acceptance"], cwd=SCRATCH, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-8000:] + done.stderr[-2000:])
        self.assertIn("Tested: 32", done.stdout)


if __name__ == "__main__":
    main("test_server_clients.py")
