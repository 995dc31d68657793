#!/usr/bin/env python3
"""The devices of this machine's ONNX Runtime beside the cpu: `akiembed bench` on each, turn by turn, as Markdown.

    bench/devices.py MODEL… [--program build/akiembed] [--seconds 20] [--rounds 2] [--runtime FOLDER] [--precision f16]

--runtime names a folder with another libonnxruntime.so.1 (that of onnxruntime-openvino, say) for the devices; the cpu is measured on the
program's own. Best of the rounds: machines drift. docs/performance.md keeps what was measured.
"""
import argparse
import json
import os
import subprocess
import sys


def run(program, arguments, runtime):
    env = dict(os.environ)
    if runtime:
        env["LD_LIBRARY_PATH"] = runtime
    done = subprocess.run([program, *arguments], capture_output=True, text=True, env=env)
    if done.returncode:
        print("%s: %s" % (" ".join(arguments), done.stderr.strip()), file=sys.stderr)
    return json.loads(done.stdout) if done.returncode == 0 else None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="+")
    p.add_argument("--program", default="build/akiembed")
    p.add_argument("--seconds", default="20")
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--runtime")
    p.add_argument("--precision", choices=["f32", "f16"], default="f32")
    a = p.parse_args()
    listed = run(a.program, ["devices", "--json"], a.runtime) or {"devices": []}
    devices = [d["name"] for d in listed["devices"] if d["usable"] and d["name"] != "cpu"]
    for model in a.models:
        found = {}
        for _ in range(a.rounds):
            for device in ["cpu", *devices]:
                more = ["--device", device, "--precision", a.precision] if device != "cpu" else []
                got = run(a.program, ["bench", "-q", "--json", "-m", model, "--seconds", a.seconds, *more], a.runtime if more else None)
                for row in got["rows"] if got else []:
                    best = found.setdefault(row["name"], {}).setdefault(device, row)
                    if row["texts_per_second"] > best["texts_per_second"]:
                        found[row["name"]][device] = row
        print("\n%s\n\n| row | %s |\n|---|%s" % (model, " | ".join(["cpu", *devices]), "---|" * (1 + len(devices))))
        for name, row in found.items():
            cells = ["%.1f texts/s, %.2f ms" % (row[d]["texts_per_second"], row[d]["p50_ms"]) if d in row else "-" for d in ["cpu", *devices]]
            print("| %s | %s |" % (name, " | ".join(cells)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
