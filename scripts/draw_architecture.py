#!/usr/bin/env python3
"""Draws docs/architecture.svg, the picture in README.md: what a text and a model's folder go through. Standard Python only.

    draw_architecture.py [FILE.svg]"""
import os
import sys
from xml.sax.saxutils import escape

HERE = os.path.dirname(os.path.abspath(__file__))
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f; text-anchor: middle }
.small { font-size: 11px; fill: #57606a }
.box { fill: #f6f8fa; stroke: #8c959f }
.ours { fill: #ddf4ff; stroke: #0969da }
.frame { fill: none; stroke: #0969da; stroke-dasharray: 4 3 }
.arrow { stroke: #57606a; stroke-width: 1.4; fill: none; marker-end: url(#head) }
#head path { fill: #57606a }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9da7b3 }
  .box { fill: #161b22; stroke: #6e7681 } .ours { fill: #0c2d4d; stroke: #58a6ff } .frame { stroke: #58a6ff }
  .arrow { stroke: #9da7b3 } #head path { fill: #9da7b3 }
}"""
WIDTH, HEIGHT = 800, 330
# left, top, width, height, class, title, what it does
BOXES = [
    (10, 44, 130, 50, "box", "akiembed", "the program"),
    (10, 104, 130, 50, "box", "akiembed serve", "the HTTP service"),
    (10, 164, 130, 50, "box", "your program", "C, C++, Python …"),
    (190, 84, 120, 70, "ours", "text/", "text to token ids"),
    (340, 84, 120, 70, "ours", "engine/", "ids to batches"),
    (490, 84, 120, 70, "ours", "kernel/", "the arithmetic"),
    (680, 94, 110, 50, "box", "vectors", "or scores"),
    (190, 184, 120, 50, "ours", "model/", "reads, checks"),
    (340, 184, 120, 50, "ours", "arch/, graph/", "the network"),
    (490, 184, 120, 50, "ours", "ort/", "ONNX Runtime"),
    (190, 270, 420, 50, "box", "a Hugging Face folder, as it is", "config.json · tokenizer.json · model.safetensors"),
]
ARROWS = [
    "M140 69 C165 69 165 109 188 112", "M140 129 C165 129 165 121 188 120", "M140 189 C165 189 165 131 188 128",
    "M310 119 H338", "M460 119 H488", "M610 119 H678", "M310 209 H338", "M460 209 H488", "M550 184 V156", "M250 184 V156", "M250 270 V236",
]


def label(x, y, text, small):
    return f'<text x="{x}" y="{y}"{" class=" + chr(34) + "small" + chr(34) if small else ""}>{escape(text)}</text>'


def picture():
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
           "<title>Texts come from the program, the service or any program; the library turns them into vectors by a network that it builds "
           "from a model's folder.</title>", f"<style>{STYLE}\n</style>",
           '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>',
           '<rect class="frame" x="172" y="40" width="456" height="210" rx="8"/>', label(400, 62, "libakiembed, one shared library", False)]
    for left, top, width, height, kind, title, note in BOXES:
        middle = left + width // 2
        out += [f'<rect class="{kind}" x="{left}" y="{top}" width="{width}" height="{height}" rx="6"/>',
                label(middle, top + height // 2 - 3, title, False), label(middle, top + height // 2 + 14, note, True)]
    out += [f'<path class="arrow" d="{d}"/>' for d in ARROWS]
    out += [label(75, 34, "texts come from", True), "</svg>"]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    with open(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "docs", "architecture.svg"), "w", encoding="utf-8") as f:
        f.write(picture())
