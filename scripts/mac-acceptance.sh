#!/usr/bin/env bash
# What a Mac has to show for the device coreml, in one file to send: docs/coreml.md says how to prepare it.
#
#   scripts/mac-acceptance.sh [MODEL…]      folders or names of models; default: the fetched all-MiniLM-L6-v2
#
# AKIEMBED names the program (default: build/akiembed), SECONDS_EACH how long each bench takes (default: 20), REPORT the file (default:
# akiembed-mac-DATE.txt here). Every step is a process of its own and runs whatever became of the one before, a crash of the system's libraries
# included; one that takes longer than MINUTES_EACH (default: 30) is ended. The last lines count what failed. Compiled models and remembered
# self-tests are this run's alone. For bash 3.2 and the commands that macOS has; nothing of the report is sent by the script.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
program=${AKIEMBED:-$root/build/akiembed}
seconds=${SECONDS_EACH:-20}
limit=$((${MINUTES_EACH:-30} * 60))
report=${REPORT:-$PWD/akiembed-mac-$(date -u +%Y%m%d-%H%M%S).txt}
[ $# -gt 0 ] || set -- "$root/third_party/models/all-MiniLM-L6-v2"
work=$(mktemp -d "${TMPDIR:-/tmp}/akiembed.XXXXXX") || exit 1
running=''
failed=0
trap 'rm -rf "$work"' EXIT
# Models by name stay where they are.
export HF_HOME=${HF_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/huggingface}
export XDG_CACHE_HOME=$work

section() { printf '\n==== %s ====\n' "$*"; }

# limited COMMAND…: it and its children end after the limit.
limited() {
    local end=$(($(date +%s) + limit)) status=0
    "$@" 2>&1 &
    running=$!
    while kill -0 "$running" 2>/dev/null; do
        if [ "$(date +%s)" -gt "$end" ]; then
            echo "ended: it took longer than $limit s"
            pkill -9 -P "$running"
            kill -9 "$running"
        fi
        sleep 0.2
    done
    wait "$running" || status=$?
    running=''
    return $status
}

# step COMMAND…: runs it with both outputs in the report, its time and its exit status.
step() {
    local begin status=0
    printf '\n$ %s\n' "$*"
    begin=$(date +%s)
    limited "$@" || status=$?
    printf '[exit status %d, %d s, cache %s KiB]\n' "$status" $(($(date +%s) - begin)) "$(du -sk "$XDG_CACHE_HOME" | cut -f 1)"
    [ "$status" = 0 ] || failed=$((failed + 1))
    return 0
}

# sized COMMAND…: and its memory, where the system's time tells it.
sized() { if /usr/bin/time -l true >/dev/null 2>&1; then /usr/bin/time -l "$@"; else "$@"; fi; }

# units COMMAND…: what CoreML's plan says of each operator, counted: how many, which operator, on what, the sum of their estimated costs.
# The provider asks for the plan in the background, and for the log: the command has to go on for a while.
units() {
    local status=0
    "$@" >"$work/plan" 2>&1 || status=$?
    if ! grep -q 'Operation: ' "$work/plan" && command -v log >/dev/null 2>&1; then
        log show --last 5m --style compact --predicate 'process == "akiembed"' >>"$work/plan" 2>/dev/null
    fi
    grep -v 'Operation: ' "$work/plan" | tail -n 20
    sed -n 's/.*Operation: \(.*\), Device Usage: \(.*\), Estimated Cost: \(.*\)/\1 \2 \3/p' "$work/plan" | sed 's/: 0x[0-9a-f]*//' |
        awk '{ k = $1 " " $2; n[k]++; cost[k] += $NF } END { for (k in n) printf "%6d %s %.6f\n", n[k], k, cost[k] }' | sort -rn >"$work/units"
    cat "$work/units"
    [ -s "$work/units" ] || { echo "no operator was told of (macOS 14.4 or newer does)"; status=1; }
    return $status
}

# same_bits MODEL: vectors on the cpu do not depend on threads, nor on what is in a call.
same_bits() {
    local i
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "text number $i, which is not $((i * 7))"; done >"$work/lines"
    "$program" embed --quiet -m "$1" -f "$work/lines" --format raw >"$work/all" &&
        "$program" embed --quiet -m "$1" -f "$work/lines" --format raw --threads 1 >"$work/one" && cmp "$work/all" "$work/one" || return 1
    while IFS= read -r i; do echo "$i" | "$program" embed --quiet -m "$1" -f - --format raw || return 1; done <"$work/lines" >"$work/each"
    cmp "$work/all" "$work/each" && echo "the same bytes: all threads, one thread, one text a call"
}

# at_once MODEL PRECISION: three processes that want the same compiled model, after one was killed that made it.
at_once() {
    local pids='' pid status=0 i
    "$program" info -m "$1" --device coreml --precision "$2" --test-cache renew >/dev/null 2>&1 &
    pid=$!
    sleep 1
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    for i in 1 2 3; do
        "$program" info -m "$1" --device coreml --precision "$2" --test-cache renew >"$work/once.$i" 2>&1 &
        pids="$pids $!"
    done
    for pid in $pids; do wait "$pid" || status=$?; done
    grep -h -e note -e error -e akiembed: "$work"/once.?
    return $status
}

# serve MODEL: a vector by HTTP from the device; the service ends in good order.
serve() {
    local log=$work/serve.log pid url='' answer='' status=0
    "$program" serve -m "$1" --device coreml --port 0 2>"$log" &
    pid=$!
    while [ -z "$url" ] && kill -0 $pid 2>/dev/null; do
        sleep 0.2
        url=$(sed -n 's/.*"event":"listening".*"message":"\(http[^"]*\)".*/\1/p' "$log")
    done
    while [ -n "$url" ] && kill -0 $pid 2>/dev/null && ! curl -sf -o /dev/null "$url/health"; do sleep 0.2; done
    [ -z "$url" ] || answer=$(curl -s "$url/embed" -H 'Content-Type: application/json' -d '{"inputs": "A cat sits on the mat."}')
    kill -TERM $pid 2>/dev/null
    wait $pid || status=$?
    cat "$log"
    printf '%.100s\n' "$answer"
    case $answer in '[['*) return $status ;; esac
    return 1
}

machine() {
    section machine
    date -u
    uname -a
    sw_vers
    for name in machdep.cpu.brand_string hw.model hw.memsize hw.physicalcpu hw.perflevel0.physicalcpu hw.perflevel1.physicalcpu \
        hw.optional.arm.FEAT_DotProd hw.optional.arm.FEAT_I8MM hw.optional.arm.FEAT_BF16 hw.optional.arm.FEAT_SME; do
        printf '%s: %s\n' "$name" "$(sysctl -n "$name" 2>&1)"
    done
    system_profiler SPDisplaysDataType 2>/dev/null | sed -n '1,20p'
    pmset -g batt 2>/dev/null
    xcrun --show-sdk-version 2>/dev/null
    git -C "$root" log -1 --format='commit %H %cd' 2>/dev/null
    otool -L "$program" 2>/dev/null
}

# model MODEL: all that is asked of one model.
model() {
    section "$1: cpu"
    step sized "$program" info -v -m "$1"
    step "$program" bench -m "$1" --seconds "$seconds"
    step "$program" bench -m "$1" --precision int8 --seconds "$seconds"
    step same_bits "$1"
    for precision in f32 f16; do
        section "$1: coreml, $precision: the first start compiles, the second takes it out of the cache"
        step sized "$program" info -v -m "$1" --device coreml --precision $precision
        step sized "$program" info -m "$1" --device coreml --precision $precision --json
        step "$program" verify -m "$1" --device coreml --precision $precision
        step "$program" bench -m "$1" --device coreml --precision $precision --seconds "$seconds"
        section "$1: coreml, $precision: which unit has each operator; each option alone (info, above, tried them in turn)"
        for units in ALL CPUAndGPU CPUAndNeuralEngine CPUOnly; do
            step units "$program" bench -m "$1" --device coreml --precision $precision --seconds "$seconds" --device-option MLComputeUnits=$units --device-option ProfileComputePlan=1
        done
        for option in SpecializationStrategy=FastPrediction AllowLowPrecisionAccumulationOnGPU=1; do
            step "$program" bench -m "$1" --device coreml --precision $precision --seconds "$seconds" --device-option $option
        done
    done
    section "$1: processes at once, one killed; a cache with a blank in its name; auto; the service"
    XDG_CACHE_HOME="$work/at once"
    mkdir -p "$XDG_CACHE_HOME"
    step at_once "$1" f32
    XDG_CACHE_HOME=$work
    step "$program" info -m "$1" --device auto
    if "$program" serve --help >/dev/null 2>&1; then step serve "$1"; else echo "built without serve (Homebrew: libmicrohttpd)"; fi
}

all() {
    trap '[ -z "$running" ] || kill "$running" 2>/dev/null; exit 130' INT TERM
    machine
    section "the program, and what it can use"
    step "$program" --version
    step "$program" devices
    section "threads and locks"
    if [ -x "$root/build/tests/test_base" ]; then step "$root/build/tests/test_base"; else echo "test_base is not built (Homebrew: cmocka)"; fi
    for name; do model "$name"; done

    section "what must be refused"
    if "$program" info -m "$1" --device no-such-device >/dev/null 2>&1; then
        echo "an unknown device was accepted"
        failed=$((failed + 1))
    else
        echo "an unknown device is refused"
    fi
    section "reports of crashes"
    find "$HOME/Library/Logs/DiagnosticReports" -name 'akiembed*' -newer "$work/begin" 2>/dev/null | while IFS= read -r crash; do
        echo "$crash"
        head -n 80 "$crash"
    done
    section summary
    echo "$failed steps failed"
    [ "$failed" = 0 ]
}

touch "$work/begin"
all "$@" 2>&1 | tee "$report"
status=${PIPESTATUS[0]}
echo "Please send this file: $report"
exit "$status"
