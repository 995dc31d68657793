#!/usr/bin/env bash
# Runs the examples on the real model; what they print is what sentence-transformers 6.2 gives for the same texts.
#   tests/examples.sh SOURCE_FOLDER COMMAND…      one command of an example a word, without its arguments
set -euo pipefail
source=$1
shift
model=$source/third_party/models/all-MiniLM-L6-v2
[ -f "$model/config.json" ] || { echo "no model: run scripts/fetch minilm" >&2; exit 1; }
texts=('How do I reset my password?' 'Click on "Forgot password" on the sign-in page.' 'The cat sleeps on the warm windowsill.'
    'Ich habe mein Kennwort vergessen. 你好')
expected='0.6708 0.0804 0.0462'

for command in "$@"; do
    output=$($command "$model" "${texts[@]}")
    awk -v expected="$expected" '
        BEGIN { n = split(expected, want, " ") }
        { d = $1 - want[NR]; if (d > 0.00015 || d < -0.00015) { print "line " NR ": " $1 ", not " want[NR]; bad = 1 } }
        END { if (NR != n) { print NR " lines, not " n; bad = 1 } exit bad }' <<<"$output" || { echo "$command: $output"; exit 1; }
    # The text stands behind its score, whole.
    [ "$(tail -n 1 <<<"$output" | cut -c 9-)" = "${texts[3]}" ] || { echo "$command: $output"; exit 1; }
    # A folder that is not there: a message that names it, and a failure.
    if message=$($command /nonexistent a b 2>&1); then echo "$command: no failure without a model"; exit 1; fi
    case $message in */nonexistent*) ;; *) echo "$command: $message"; exit 1 ;; esac
    echo "ok: $command"
done
