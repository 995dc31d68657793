#!/usr/bin/env python3
"""Resident memory over 10,000 requests of random length and batch, and the idle process's CPU after them.

    memory.py BENCH_EMBED FOLDER [--requests 10000] [--threads 2] [--precision int8]

One JSON line: the samples, and what became of them: the growth from request 500 on, the largest private (anonymous) memory, idle CPU in percent."""
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
    early = next(s for s in samples if s["requests"] >= min(500, a.requests // 2))
    late = [s for s in samples if s["requests"] >= early["requests"]]
    values = [("memory: private, largest after the first 500 requests, MB", "", round(max(s["private_kb"] for s in late) / 1024, 1)),
              ("memory: private, growth from request 500 to the last, MB", "", round((late[-1]["private_kb"] - early["private_kb"]) / 1024, 1)),
              ("memory: resident, growth from request 500 to the last, MB", "", round((late[-1]["resident_kb"] - early["resident_kb"]) / 1024, 1)),
              ("memory: idle CPU after the last request, %", "", out["idle_cpu_percent"])]
    print(json.dumps({"engine": out["engine"], "version": out["version"], "memory": samples, "values": values}))
    return 0


sys.exit(main())
