#!/usr/bin/env python3
"""Load on `akiembed serve`, in int8, with every answer compared with what `akiembed embed` says: one JSON line a scenario, and exit 1
where an answer was wrong or missing. Standard Python only (titles: and wrk).

    serve.py PROGRAM mix [--seconds 60]        64 keep-alive clients, texts of 1 … 2,000 tokens, 1,000 idle connections beside them
    serve.py PROGRAM overload [--seconds 15]   requests at 5 times the capacity, then none, then one now and then
    serve.py PROGRAM memory [--requests 10000] resident memory over requests of random length and kind
    serve.py PROGRAM titles [--seconds 15]     MiniLM, 64 clients, a title a request: beside the library's own rate for these titles

mix, overload and memory use a random model of 6 layers x 384 with 2,048 positions (tests/make_checkpoints.py)."""
import sys

sys.path.pop(0)         # bench/tokenize.py would hide a standard module
import argparse
import asyncio
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
THIRD = os.path.join(os.path.dirname(HERE), "third_party")
CLIENTS, IDLE, LONGEST = 64, 1000, 2000


def environment(threads):
    env = {k: v for k, v in os.environ.items() if k == "AKIEMBED_ISA" or not k.startswith("AKIEMBED_")}
    return {**env, **({"AKIEMBED_THREADS": str(threads)} if threads else {})}


class Server:
    def __init__(self, a, model, *options):
        self.process = subprocess.Popen([a.program, "serve", "--model", "m=" + model, "--port", "0", "--precision", "int8", "--quiet", *options],
                                        stderr=subprocess.PIPE, env=environment(a.threads))
        self.port = int(self.wait_for("listening")["url"].rsplit(":", 1)[1])
        self.wait_for("model")
        self.noise = []                                          # what is no line of the log: a sanitizer's report
        threading.Thread(target=lambda: self.noise.extend(l for l in self.process.stderr if not l.startswith(b"{")), daemon=True).start()

    def wait_for(self, event):
        for line in self.process.stderr:
            if json.loads(line)["event"] == event:
                return json.loads(line)
        raise RuntimeError("the server ended before the line '%s'" % event)

    def status(self, name):
        with open("/proc/%d/status" % self.process.pid) as f:
            return int(re.search(r"^%s:\s+(\d+)" % name, f.read(), re.M).group(1))

    def cpu(self):
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        return self.process.wait(120)


def ask_bytes(path, body):
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (path, len(body), body)


class Text:
    """A request of one text, the answer it should get, and how many tokens it has."""
    def __init__(self, text, row):
        entry = json.loads(row)
        self.tokens = entry["tokens"]
        self.request = ask_bytes(b"/embed", json.dumps({"inputs": text}).encode())
        self.answer = b"[" + row[row.index(b'"embedding":') + 12:].strip()[:-1] + b"]"
        self.ids = None


def texts_of(a, model, texts):
    lines = "".join(json.dumps(t) + "\n" for t in texts).encode()
    done = subprocess.run([a.program, "embed", "-m", model, "--precision", "int8", "--jsonl", "-q"], input=lines, stdout=subprocess.PIPE,
                          env=environment(a.threads), check=True)
    return [Text(t, row) for t, row in zip(texts, done.stdout.splitlines())]


def words_of(a, model):
    """Words of one token each."""
    with open(os.path.join(model, "tokenizer.json")) as f:
        vocabulary = json.load(f)["model"]["vocab"]
    return sorted(w for w in vocabulary if w.isalpha() and w.isascii() and w.islower())


def random_model(a):
    model = os.path.join(a.scratch, "model")
    subprocess.run([sys.executable, os.path.join(os.path.dirname(HERE), "tests", "make_checkpoints.py"), model, "--shape", "bert", "--hidden", "384",
                    "--layers", "6", "--heads", "12", "--intermediate", "1536", "--positions", "2048"], check=True, stdout=subprocess.DEVNULL)
    return model


def random_texts(a, model, count, longest=LONGEST):
    """Lengths spread evenly over their logarithm: as many of 1 … 10 tokens as of 200 … 2,000."""
    r, words = random.Random(a.seed), words_of(a, model)
    return texts_of(a, model, [" ".join(r.choices(words, k=max(1, round(longest ** r.random()) - 2))) for _ in range(count)])


async def answer(reader):
    """(status, body)"""
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head).group(1))
    return int(head[9:12]), await reader.readexactly(size)


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else None


def milliseconds(values):
    return {"p50_ms": round(1e3 * quantile(values, .5), 1), "p99_ms": round(1e3 * quantile(values, .99), 1), "max_ms": round(1e3 * max(values), 1)}


class Count:
    def __init__(self):
        self.errors, self.wrong, self.latencies, self.tokens, self.in_flight, self.area, self.at = [], 0, [], 0, 0, 0.0, time.perf_counter()

    def flight(self, tokens):
        now = time.perf_counter()
        self.area += self.in_flight * (now - self.at)
        self.in_flight, self.at = self.in_flight + tokens, now


async def client(port, texts, until, count):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    i = 0
    while i == 0 or time.perf_counter() < until:
        text = texts[i % len(texts)]
        i += 1
        start = time.perf_counter()
        count.flight(text.tokens)
        try:
            writer.write(text.request)
            status, body = await answer(reader)
        except (OSError, EOFError) as e:
            count.errors.append(repr(e))
            count.flight(-text.tokens)
            break
        count.flight(-text.tokens)
        count.latencies.append(time.perf_counter() - start)
        count.tokens += text.tokens
        if status != 200:
            count.errors.append(body[:200].decode())
        elif body != text.answer:
            count.wrong += 1
    writer.close()


async def crowd(port, texts, seconds, clients=CLIENTS):
    """Each client has texts of its own, so that no text is in flight twice."""
    count, start = Count(), time.perf_counter()
    await asyncio.gather(*[client(port, texts[k::clients], start + seconds, count) for k in range(clients)])
    count.seconds = time.perf_counter() - start
    return count


def mix(a):
    model = random_model(a)
    texts, server = random_texts(a, model, CLIENTS * a.texts), Server(a, model)

    async def run():
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(a.idle)]
        count = await crowd(server.port, texts, a.seconds)
        alive = 0
        for reader, writer in idle:                              # they were held all the time: each still gets an answer
            writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            alive += (await answer(reader))[0] == 200
            writer.close()
        return count, alive
    count, alive = asyncio.run(run())
    cpu, code = server.cpu(), server.stop()
    rate = count.tokens / count.seconds
    bound = 1.5 * count.area / count.seconds / rate + .05
    p99 = quantile(count.latencies, .99)
    return not (count.errors or count.wrong or code or server.noise or alive != a.idle), {
        "scenario": "mix", "clients": CLIENTS, "idle_connections": a.idle, "idle_alive": alive, "seconds": round(count.seconds, 1),
        "requests": len(count.latencies), "errors": len(count.errors), "first_errors": count.errors[:3], "not_bit_identical": count.wrong,
        "tokens_per_s": round(rate), "tokens_in_flight": round(count.area / count.seconds), **milliseconds(count.latencies),
        "p99_bound_ms": round(bound * 1e3, 1), "p99_over_bound": round(p99 / bound, 3), "server_cpu_s": round(cpu, 1), "exit": code}


def overload(a):
    """Open loop: requests come when they come, at 5 times what 64 clients were answered, each on a connection that is free."""
    model = random_model(a)
    texts, server = random_texts(a, model, CLIENTS * a.texts), Server(a, model, "--max-queue-tokens", str(a.queue))

    async def run():
        calm = await crowd(server.port, texts[:1], 1, 1)
        capacity = await crowd(server.port, texts, 5)
        rate = 5 * len(capacity.latencies) / capacity.seconds
        free, writers, accepted, refused, other, wrong, tasks = [], [], [], [], [], [0], set()

        async def one(text):
            start = time.perf_counter()
            try:
                if not free:
                    free.append(await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 20))
                    writers.append(free[-1][1])
                reader, writer = free.pop()
                writer.write(text.request)
                status, body = await answer(reader)
                free.append((reader, writer))
            except (OSError, EOFError) as e:
                other.append(repr(e))
                return
            took = time.perf_counter() - start
            (accepted if status == 200 else refused if status == 429 else other).append(took if status in (200, 429) else body[:200].decode())
            wrong[0] += status == 200 and body != text.answer
        start, sent = time.perf_counter(), 0
        while time.perf_counter() - start < a.seconds:
            while sent < (time.perf_counter() - start) * rate:
                task = asyncio.ensure_future(one(texts[sent % len(texts)]))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                sent += 1
            await asyncio.sleep(.002)
        # It stops as load generators do: those that still wait hang up. Then one client asks for a second, as in the calm.
        left, stopped = len(tasks), time.perf_counter()
        for task in list(tasks):
            task.cancel()
        for writer in writers:
            writer.close()
        again = await crowd(server.port, texts[:1], 0, 1)
        recovered = time.perf_counter() - stopped
        after = await crowd(server.port, texts[:1], 1, 1)
        bound = a.queue / (capacity.tokens / capacity.seconds)
        good = not (other or wrong[0] or calm.errors or again.errors or after.errors) and len(refused) > 0
        return good, {"scenario": "overload", "capacity_requests_per_s": round(rate / 5, 1), "sent_per_s": round(sent / a.seconds, 1), "sent": sent,
                      "accepted": len(accepted), "refused_429": len(refused), "other": len(other), "first_other": other[:3],
                      "not_bit_identical": wrong[0], "queue_tokens": a.queue, "queue_seconds": round(bound, 2),
                      "accepted_ms": milliseconds(accepted), "refused_ms": milliseconds(refused or [0]), "left_when_it_stopped": left, "first_answer_after_s": round(recovered, 3),
                      "calm_p50_ms": round(1e3 * quantile(calm.latencies, .5), 2), "after_p50_ms": round(1e3 * quantile(after.latencies, .5), 2)}
    good, row = asyncio.run(run())
    row["exit"] = server.stop()
    return good and row["exit"] == 0, row


def memory(a):
    model = random_model(a)
    r, texts, server = random.Random(a.seed), random_texts(a, model, 500, 300) + random_texts(a, model, 10), Server(a, model)
    bodies = [t.request for t in texts]
    words = words_of(a, model)
    for _ in range(150):                                          # larger requests of all kinds
        batch = [" ".join(r.choices(words, k=r.randrange(1, 20))) for _ in range(r.randrange(1, 33))]
        path, body = r.choice([(b"/v1/embeddings", {"input": batch, "encoding_format": r.choice(["float", "base64"])}), (b"/embed", {"inputs": batch}),
                               (b"/api/embed", {"input": batch}), (b"/embed_all", {"inputs": batch[:4]}), (b"/tokenize", {"inputs": batch}),
                               (b"/embed", {"texts": batch, "pooling": r.choice(["mean", "cls"])}), (b"/embed", {"inputs": [""]})])
        bodies.append(ask_bytes(path, json.dumps(body).encode()))
    resident, done, errors = [], [0], []

    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 22)
        while done[0] < a.requests:
            done[0] += 1
            if done[0] % (a.requests // 100) == 0:
                resident.append(server.status("VmRSS"))
            writer.write(r.choice(bodies))
            status, body = await answer(reader)
            if status not in (200, 400):
                errors.append(body[:200].decode())
        writer.close()

    async def run():
        await asyncio.gather(*[one() for _ in range(8)])
    asyncio.run(run())
    code, tail = server.stop(), resident[len(resident) // 5:]
    half = len(tail) // 2
    return not (errors or code), {
        "scenario": "memory", "requests": done[0], "errors": len(errors), "first_errors": errors[:3], "resident_mib_after_a_fifth": round(tail[0] / 1024, 1),
        "resident_mib_at_end": round(tail[-1] / 1024, 1), "most_mib": round(max(resident) / 1024, 1),
        "first_half_mean_mib": round(sum(tail[:half]) / half / 1024, 2), "second_half_mean_mib": round(sum(tail[half:]) / (len(tail) - half) / 1024, 2)}


def titles(a):
    """wrk asks, so that the client takes little of the cores; in turns with the library (bench_embed, all titles in one call)."""
    model = os.path.join(THIRD, "models", "all-MiniLM-L6-v2")
    with open(os.path.join(THIRD, "texts", "descriptions.jsonl"), encoding="utf-8") as f:
        all_titles = list(dict.fromkeys(t["title"] for t in map(json.loads, f) if 20 <= len(t["title"]) <= 60))[:a.titles]
    texts, server = texts_of(a, model, all_titles), Server(a, model)
    with open(os.path.join(a.scratch, "bodies"), "w") as f:
        f.writelines(json.dumps({"inputs": t}) + "\n" for t in all_titles)
    ids = subprocess.run([a.program, "tokenize", "-m", model], input="\n".join(all_titles).encode(), stdout=subprocess.PIPE, check=True).stdout
    with open(os.path.join(a.scratch, "workload"), "w") as f:
        f.write("row bulk %d 1\n" % len(all_titles))
        f.writelines(" ".join(map(str, json.loads(i))) + "\t" + t + "\n" for i, t in zip(ids.splitlines(), all_titles))
    rounds = []
    for _ in range(a.rounds):
        bulk = json.loads(subprocess.run([a.bench_embed, "--model", model, "--workload", os.path.join(a.scratch, "workload"), "--precision", "int8"],
                                         stdout=subprocess.PIPE, env=environment(a.threads), check=True).stdout)
        cpu = server.cpu()
        out = subprocess.run(["wrk", "-t1", "-c%d" % CLIENTS, "-d%d" % a.seconds, "--latency", "-s", os.path.join(HERE, "serve.lua"),
                              "http://127.0.0.1:%d" % server.port, "--", os.path.join(a.scratch, "bodies")], stdout=subprocess.PIPE, text=True, check=True).stdout
        cpu = server.cpu() - cpu
        requests, seconds = re.search(r"(\d+) requests in ([\d.]+)s", out).groups()
        rounds.append({"bulk": bulk, "requests_per_s": round(int(requests) / float(seconds), 1), "per_cpu_s": round(int(requests) / cpu, 1),
                       "p50": re.search(r"50%\s+(\S+)", out).group(1), "p99": re.search(r"99%\s+(\S+)", out).group(1),
                       "not_2xx": (re.search(r"Non-2xx.*: (\d+)", out) or [0, 0])[1]})
    count = asyncio.run(crowd(server.port, texts, 3))             # wrk does not look at the answers
    code = server.stop()
    return not (count.errors or count.wrong or code), {"scenario": "titles", "titles": len(all_titles), "tokens": sum(t.tokens for t in texts),
                                                       "errors": len(count.errors), "not_bit_identical": count.wrong, "rounds": rounds}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program")
    p.add_argument("scenario", choices=["mix", "overload", "memory", "titles"])
    p.add_argument("--seconds", type=int, default=0)
    p.add_argument("--requests", type=int, default=10000)
    p.add_argument("--idle", type=int, default=IDLE)
    p.add_argument("--queue", type=int, default=65536, help="overload: --max-queue-tokens of the server")
    p.add_argument("--texts", type=int, default=4, help="mix, overload: different texts of each client")
    p.add_argument("--titles", type=int, default=2000)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--threads", type=int, default=0, help="of the model's pool; default the program's own")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--bench-embed", default="build/tests/bench_embed")
    a = p.parse_args()
    a.seconds = a.seconds or {"mix": 60, "overload": 15, "titles": 15}.get(a.scenario, 0)
    a.scratch = tempfile.mkdtemp(prefix="akiembed-serve-")
    try:
        good, row = globals()[a.scenario](a)
    finally:
        shutil.rmtree(a.scratch, ignore_errors=True)
    print(json.dumps(row))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
