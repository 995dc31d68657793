#!/usr/bin/env python3
"""Resident memory over 10,000 requests of random length and batch, and the idle process's CPU after them.

    memory.py BENCH_EMBED FOLDER [--requests 10000] [--threads 2] [--precision int8]

One JSON line: the samples, and what became of them: the trend from request 500 on, the largest private (anonymous) memory, idle CPU in percent."""
import argparse
import json
import subprocess
import sys


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("folder")
    p.add_argument("--requests", type=int, default=10000)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--precision", default="int8")
    a = p.parse_args()
    out = json.loads(subprocess.run([a.program, "--model", a.folder, "--precision", a.precision, "--threads", str(a.threads), "--memory", str(a.requests)],
                                    check=True, stdout=subprocess.PIPE, text=True).stdout)
    samples = out["memory"]
    late = [s for s in samples if s["requests"] >= min(500, a.requests // 2)]
    third = max(1, len(late) // 3)
    mean = lambda part, key: sum(s[key] for s in part) / len(part)
    trend = lambda key: round(100 * (mean(late[-third:], key) / mean(late[:third], key) - 1), 2)     # a request's own memory comes and goes: no two samples say much
    values = [("memory: private, largest after the first 500 requests, MB", "", round(max(s["private_kb"] for s in late) / 1024, 1)),
              ("memory: private, mean of the last third against the first after request 500, %", "", trend("private_kb")),
              ("memory: resident, mean of the last third against the first after request 500, %", "", trend("resident_kb")),
              ("memory: idle CPU after the last request, %", "", out["idle_cpu_percent"])]
    print(json.dumps({"engine": out["engine"], "version": out["version"], "memory": samples, "values": values}))
    return 0


sys.exit(main())
