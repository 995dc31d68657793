#!/usr/bin/env bash
# What a Mac has to show for the device coreml, in one report on standard output: docs/coreml.md says how to prepare it.
#
#   scripts/mac-acceptance.sh [MODEL…] > report.txt      folders or names of models; default: the fetched all-MiniLM-L6-v2
#
# AKIEMBED names the program (default: build/akiembed), SECONDS_EACH how long each bench takes (default: 20), DEVICE another device than coreml:
# with "portable" the script runs anywhere, to try it. Every step is a process of its own and runs whatever became of the one before, a crash
# of the system's libraries included; the last lines count what failed. Compiled models and remembered self-tests are this run's alone.
set -u
cd "$(dirname "$0")/.."
program=${AKIEMBED:-build/akiembed}
seconds=${SECONDS_EACH:-20}
device=${DEVICE:-coreml}
[ $# -gt 0 ] || set -- third_party/models/all-MiniLM-L6-v2
failed=0
# Models by name stay where they are.
export HF_HOME=${HF_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/huggingface}
XDG_CACHE_HOME=$(mktemp -d)
export XDG_CACHE_HOME
trap 'rm -rf "$XDG_CACHE_HOME"' EXIT

section() { printf '\n==== %s ====\n' "$*"; }
# step COMMAND…: runs it with both outputs in the report, its time and its exit status.
step() {
    local begin end status=0
    printf '\n$ %s\n' "$*"
    begin=$(date +%s)
    "$@" 2>&1 || status=$?
    end=$(date +%s)
    printf '[exit status %d, %d s]\n' "$status" $((end - begin))
    [ "$status" = 0 ] || failed=$((failed + 1))
    return 0
}

# serve MODEL: a vector by HTTP from the device; the service ends in good order.
serve() {
    local log=$XDG_CACHE_HOME/serve.log pid url='' answer='' status=0
    "$program" serve -m "$1" --device "$device" --port 0 2>"$log" &
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

section machine
date -u
uname -a
if command -v sw_vers >/dev/null 2>&1; then
    sw_vers
    sysctl -n machdep.cpu.brand_string hw.memsize hw.perflevel0.physicalcpu hw.perflevel1.physicalcpu 2>/dev/null
    system_profiler SPDisplaysDataType 2>/dev/null | sed -n '1,20p'
fi
git log -1 --format='commit %H %cd' 2>/dev/null

section devices
step "$program" --version
step "$program" devices

for model in "$@"; do
    section "$model: cpu"
    step "$program" info -m "$model"
    step "$program" bench -m "$model" --seconds "$seconds"
    for precision in f32 f16; do
        section "$model: $device, $precision: first start compiles, the second takes it out of the cache"
        step "$program" info -v -m "$model" --device "$device" --precision "$precision"
        step "$program" info -m "$model" --device "$device" --precision "$precision" --json
        step "$program" verify -m "$model" --device "$device" --precision "$precision"
        step "$program" bench -m "$model" --device "$device" --precision "$precision" --seconds "$seconds"
    done
    # Each set alone; `info` without options, above, has tried them in turn.
    if [ "$device" = coreml ]; then
        section "$model: option sets"
        for units in ALL CPUAndNeuralEngine CPUAndGPU CPUOnly; do
            for static in 0 1; do
                step "$program" info -m "$model" --device "$device" --precision f16 --device-option MLComputeUnits=$units --device-option RequireStaticInputShapes=$static
            done
        done
    fi
    section "$model: auto"
    step "$program" info -m "$model" --device auto
    section "$model: the service on $device"
    if "$program" serve --help >/dev/null 2>&1; then
        step serve "$model"
    else
        echo "built without serve (Homebrew: libmicrohttpd)"
    fi
done

section "what must be refused"
if "$program" info -m "$1" --device no-such-device >/dev/null 2>&1; then
    echo "an unknown device was accepted"
    failed=$((failed + 1))
else
    echo "an unknown device is refused"
fi

section summary
echo "$failed steps failed"
[ "$failed" = 0 ]
