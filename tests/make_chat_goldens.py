#!/usr/bin/env python3
"""Writes tests/data/golden/chat.json: what transformers' apply_chat_template makes of a pair with templates of each form that is implemented.

Run by hand where transformers is installed. "with": with an instruction as system message; "without": without. Templates in "refused" are Jinja, but not implemented.
"""
import json
import os

import transformers
from transformers import PreTrainedTokenizerFast
from tokenizers import Tokenizer, models

HERE = os.path.dirname(os.path.abspath(__file__))
QUERY, DOCUMENT, SYSTEM = "who built {{ it }}?", " Äpfel, 'quoted' \"text\"\n{% set x %} ", "Find it"

BY_ROLE = '{{ messages | selectattr("role", "eq", "%s") | map(attribute="content") | first }}'
PAIR = BY_ROLE % "query" + "|" + BY_ROLE % "document"
TEMPLATES = [
    PAIR, PAIR + "\n", PAIR + "\n\n", "\n" + PAIR, "",  "plain text\n",
    '{{ messages | selectattr("role", "eq", "system") | map(attribute="content") | first | default("none") }}' + PAIR,
    "{{(messages|selectattr('role','==','query')|first).content}}{{ (messages | rejectattr('role', 'equalto', 'query') | list | last)['content'] }}",
    "{%- set q = messages | selectattr('role', 'eq', 'query') | map(attribute='content') | first -%}\n  Query: {{ q }} \n{%- set d = messages[-1].content %}\n\nDocument: {{- d -}}   \n end",
    "a\n  {% set x = 'y' %}\n  b {% set z = x ~ '!' + \"?\" %} c\n{# a comment #}\nd {#- another -#} e\n{{ z }}{%+ set w = 1 %}f\n  {%+ set v = 2 +%}\ng\n",
    "{% if messages[0].role == 'system' %}S {{ messages[0].content }}{% elif messages[0]['role'] == \"query\" %}Q{% else %}?{% endif %}\n{{ messages[-1].content }}",
    "  {% if not add_generation_prompt and messages %}\n    yes\n  {% endif %}\n{% if add_generation_prompt or false %}no{% else -%}   \n never {%- endif %}",
    "{% if q is defined %}1{% endif %}{% set q = messages[1] %}{% if q is defined %}2{% endif %}{% if messages[2] is not defined %}3{{ messages[7] }}{% endif %}".replace("{% if q is defined %}1{% endif %}", ""),
    r"""{{ 'it\'s' }}{{ "a \"b\" \\ \n\t" }}{{ 'x' ~ ("y" ~ 'z') }}{{ '' | default('empty', true) }}{{ '' | default("none") }}""",
    "{% if a_b != 'c' %}{% endif %}".replace("a_b", "'d'") + "{% if 'a' == 'a' and not ('a' == 'b') %}same{% endif %}{% if 1 == 1 %}one{% endif %}{% if messages[0].name is not defined %}no name{% endif %}",
    "{% if false %}{{ messages[9].content }}{% if true %}in{% endif %}{% set k = 'no' %}{% else %}{% set k = 'ok' %}{% endif %}{{ k }}",
    "{ { }} %} {{ '{{' }} #} {",
]
REFUSED = ["{% for m in messages %}{{ m.content }}{% endfor %}", "{{ messages | tojson }}", "{{ bos_token }}", "{{ messages[0].content.strip() }}", "{{ raise_exception('x') }}",
           "{{ 1 + 1 }}", "{{ 'a' if true else 'b' }}", "{% macro f() %}{% endmacro %}", "{{ messages[0].content[0] }}", "{{ messages[0].content | trim }}", "{{ messages }}",
           "{% raw %}{{ x }}{% endraw %}", "{% if true %}open", "{{ 'open }}", "{{ }}", "{{ messages | selectattr('role') | first }}", "{{ messages[0].content is string }}",
           "{{ [1, 2] }}", "{% endif %}", "{{ 'a' ~ 1 }}", "{{ unknown }}", "{{ '\\x41' }}"]


def main():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, "a")))
    pair = [{"role": "query", "content": QUERY}, {"role": "document", "content": DOCUMENT}]

    def render(template, messages):
        return tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False)

    rows = [{"template": t, "with": render(t, [{"role": "system", "content": SYSTEM}] + pair), "without": render(t, pair)} for t in TEMPLATES]
    out = {"about": "transformers' apply_chat_template on the templates of tests/make_chat_goldens.py", "versions": {"transformers": transformers.__version__},
           "system": SYSTEM, "query": QUERY, "document": DOCUMENT, "cases": rows, "refused": REFUSED}
    with open(os.path.join(HERE, "data", "golden", "chat.json"), "w", encoding="utf-8", newline="\n") as f:
        json.dump(out, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
