#!/usr/bin/env bash
# The checks themselves must be able to fail: each is given a small tree that breaks one rule.
set -euo pipefail
root=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
count=0

# row CHECK yes|no FILE TEXT: does the check accept a tree of this one file?
row() {
    rm -rf "$tree/t"
    mkdir -p "$tree/t/src/util" "$tree/t/src/base" "$tree/t/src/text" "$tree/t/src/ort" "$tree/t/$(dirname "$3")"
    touch "$tree/t/src/base/base.h" "$tree/t/src/text/own.h"
    printf "$4" >"$tree/t/$3"
    local got=yes
    "$root/scripts/check_$1" "$tree/t" >/dev/null 2>&1 || got=no
    [ $got = "$2" ] || { echo "check_$1 says $got, not $2, to $3: $4"; exit 1; }
    count=$((count + 1))
}
row includes yes src/text/a.c '#include "base/base.h"\n#include "own.h"\n#include <stdio.h>\n'
row includes yes src/ort/a.c '#include <onnxruntime_c_api.h>\n#include "base/base.h"\n'
row includes no  src/graph/a.c '#include <onnxruntime_c_api.h>\n'
row includes no  src/ort/a.c '#include "text/own.h"\n'
row includes no  src/text/a.c '#include "model/model.h"\n'
row includes no  src/base/a.c '#include "text/own.h"\n'
row includes yes src/base/a.c '#include "util/buf.h"\n'
row includes no  src/util/a.c '#include "base/base.h"\n'
row includes yes cli/hub/a.c '#include "util/json.h"\n'
row includes no  cli/hub/a.c '#include "server/server.h"\n'
row includes yes server/a.c '#include "util/json.h"\n'
row includes no  src/ort/a.c '#include "arch/arch.h"\n'
row includes no  src/arch/a.c '  #  include <onnxruntime_c_api.h>\n'
row includes no  src/kernel/a.c '#include "onnxruntime_c_api.h"\n'
row includes no  src/text/a.c '#include "../base/base.h"\n'
row includes no  src/text/a.c '#include "elsewhere.h"\n'
row includes yes cli/verbs/a.c '#include "akiembed.h"\n'
row includes no  cli/verbs/a.c '#include "base/base.h"\n'
row includes no  server/a.c '#include "cli/shell/cli.h"\n'
row includes no  cli/shell/a.c '#include "cli/hub/names.h"\n'
row includes no  cli/judging/a.c '#include "cli/verbs/embed.h"\n'
row includes no  server/a.c '#include "base/base.h"\n'
row includes yes cli/verbs/a.c '#include "server/server.h"\n'
row includes no  include/akiembed.h '#include <stdio.h>\n'
row banned yes src/text/a.c '/* never abort() here */\nint f(void) { return g("exit(1)") + t->free(x); }\n'
row banned yes src/text/a.c 'int snprintf(void); int aki__free(void *);\n'
row banned yes src/base/a.c 'void *f(void) { return malloc(1); }\n'
row banned yes src/util/a.c 'void *f(void) { return malloc(1); }\n'
row banned yes cli/verbs/a.c 'int f(void) { return printf("x"); }\n'
row banned no  src/text/a.c 'void *f(void) { return malloc(1); }\n'
row banned no  src/text/a.c 'void f(void) { abort(); }\n'
row banned no  src/base/a.c 'void f(void) {\n    printf("x");\n}\n'
row banned no  src/base/a.c '/* a */ void f(void) { exit (1); } /* b */\n'
row banned no  cli/verbs/a.c 'int f(char *s) { return atoi(s); }\n'
row banned no  cli/verbs/a.c 'void f(char *s) { strcpy(s, "x"); }\n'
# A family's name: in arch/ only, and of a tree that has one.
named() {
    rm -rf "$tree/t"
    mkdir -p "$tree/t/src/arch" "$tree/t/src/$1"
    printf 'const struct f a = { .types = { "one" } };\nconst struct f b = { .types = { "two", "three" }, .x = 1 };\n' >"$tree/t/src/arch/a.c"
    printf "$3" >"$tree/t/src/$1/b.c"
    local got=yes
    "$root/scripts/check_banned" "$tree/t" >/dev/null 2>&1 || got=no
    [ $got = "$2" ] || { echo "check_banned says $got, not $2, to $1: $3"; exit 1; }
    count=$((count + 1))
}
named model yes 'int f(void); /* "one" and "two" */\nint g(const char *s) { return s == "threefold"; }\n'
named model no  'int f(const char *s) { return strcmp(s, "three") == 0; }\n'
named engine no 'int f(const char *s) { return strcmp(s, "one") == 0; }\n'
named arch yes  'int f(const char *s) { return strcmp(s, "two") == 0; }\n'

# Sizes: a body of so many lines; a function of 60 lines has 57 in its body.
lines() { printf '    x++;\\n%.0s' $(seq "$1"); }
row sizes yes src/base/a.c "void f(void)\n{\n$(lines 57)}\n"
row sizes no  src/base/a.c "void f(void)\n{\n$(lines 58)}\n"
row sizes no  src/base/a.c "int g;\n\nvoid f(int a,\n       int b)\n{\n$(lines 57)}\n"
row sizes yes src/base/a.c "/* $(lines 580)*/\n"
row sizes no  server/a.c "/* $(lines 600)*/\n"
row sizes yes src/text/x_table.h "/* $(lines 600)*/\n"

# Symbols: a library with one too many, and one too few.
if command -v cc >/dev/null; then
    printf '#define AKI_API\nAKI_API int one(void);\nAKI_API const char *two(int a,\n    int b);\n' >"$tree/h.h"
    printf 'int one(void) { return 1; } const char *two(int a, int b) { return a + b ? "" : 0; }\n' >"$tree/ok.c"
    printf 'int three;\n' | cat "$tree/ok.c" - >"$tree/more.c"
    printf 'int one(void) { return 1; }\n' >"$tree/less.c"
    for name in ok more less; do cc -shared -fPIC -o "$tree/$name.so" "$tree/$name.c"; done
    "$root/scripts/check_symbols" "$tree/ok.so" "$tree/h.h" >/dev/null
    for name in more less; do
        if "$root/scripts/check_symbols" "$tree/$name.so" "$tree/h.h" >/dev/null 2>&1; then
            echo "check_symbols accepts a library with a symbol $name"
            exit 1
        fi
    done
    count=$((count + 3))
fi
echo "$count rows"
