#!/usr/bin/env bash
# scripts/mac-acceptance.sh, run to its end where there is no Mac: mac_acceptance.sh SOURCE PROGRAM MODEL SCRATCH
# The device "portable" stands in for CoreML. The script finds only commands that macOS has, with options that these have there, and paths with
# blanks; macOS' own commands answer in a few words.
set -u
source=$1 program=$2 model=$3 scratch="$4/a Mac's own"
rm -rf "$scratch"
mkdir -p "$scratch/bin" "$scratch/tmp dir" "$scratch/home"
cp -R "$model" "$scratch/a model"

# As macOS' manual pages have them; %: of no option at all.
while read -r name options; do
    real=$(command -v "$name") || { echo "mac_acceptance: no $name here"; exit 1; }
    cat >"$scratch/bin/$name" <<STUB
#!/bin/bash
name=$name options=$options
while getopts ":\$options" option; do
    case \$option in '?' | :) echo "$name: -\$OPTARG is not for macOS" | tee -a "\$REFUSALS" >&2; exit 64 ;; esac
done
[ "\$name \${*: -1}" = "\${*: -1}" ] || case "\$name \${*: -1}" in "date +"*%N*) echo "date: %N is not for macOS" >>"\$REFUSALS" ;; esac
POSIXLY_CORRECT=1 PATH=/usr/bin:/bin exec $real "\$@"
STUB
done <<'OPTIONS'
awk F:v:f:
bash c:enux
cat belnstuv
cmp lsxz
curl o:sfH:d:
cut b:c:d:f:nsw
date jnRuI:r:v:f:z:
dirname %
du AHLPasd:cghkmnrxI:t:B:
git C:
grep abcDEFGHhIiJLlmnOopqRSsUVvwxZzA:B:C:e:f:
head n:c:
mkdir pvm:
mktemp dqut:p:
pkill 0123456789P:
rm dfiPRrvWxI
sed Ealnruse:f:i:
sleep %
sort bCcdfghiMmnRrsuVzk:o:t:S:T:
tail Ffrqvb:c:n:
tee ai
touch acfhmr:t:d:A:
uname amnoprsv
OPTIONS
cat >"$scratch/bin/find" <<'STUB'
#!/bin/bash
case " $* " in *" -printf "* | *" -regextype "* | " -"*) echo "find: $* is not for macOS" >>"$REFUSALS"; exit 64 ;; esac
PATH=/usr/bin:/bin exec find "$@"
STUB
printf '#!/bin/bash\nprintf "ProductName:\\t\\tmacOS\\nProductVersion:\\t\\t15.1\\n"\n' >"$scratch/bin/sw_vers"
printf '#!/bin/bash\n[ "$1 $#" = "-n 2" ] && echo 4\n' >"$scratch/bin/sysctl"
for name in system_profiler pmset xcrun otool log; do printf '#!/bin/bash\necho "%s $*"\n' $name >"$scratch/bin/$name"; done
# On coreml, the device "portable", which takes no options; the plan as ONNX Runtime 1.32 writes it.
cat >"$scratch/bin/akiembed" <<'STUB'
#!/bin/bash
words=()
while [ $# -gt 0 ]; do
    case $1 in
    coreml)          words+=(portable) ;;
    --device-option) shift ;;
    *)               words+=("$1") ;;
    esac
    if [ "$1" = ProfileComputePlan=1 ]; then
        for i in 1 2 3; do
            echo "2026-12-01 12:00:00.000 akiembed[1:2] Operation: ios18.matmul, Device Usage: <MLGPUComputeDevice: 0x60000$i>, Estimated Cost: 0.250000" >&2
        done
    fi
    shift
done
exec "$PROGRAM" "${words[@]}"
STUB
chmod +x "$scratch"/bin/*

cd "$scratch" || exit 1
export REFUSALS=$scratch/refusals PROGRAM=$program
env -u XDG_CACHE_HOME HOME="$scratch/home" TMPDIR="$scratch/tmp dir" PATH="$scratch/bin" AKIEMBED="$scratch/bin/akiembed" SECONDS_EACH=1 REPORT="$scratch/the report.txt" \
    /bin/bash "$source/scripts/mac-acceptance.sh" "$scratch/a model" >out 2>err
status=$?
cat out err
fail() { echo "mac_acceptance: $*"; exit 1; }
[ "$status" = 0 ] || fail "exit status $status"
[ ! -s refusals ] || fail "$(cat refusals)"
[ ! -s err ] || fail "it says this past its report: $(cat err)"
[ "$(tail -n 1 out)" = "Please send this file: $scratch/the report.txt" ] || fail "the last line names no file"
grep -q '^0 steps failed$' 'the report.txt' || fail "steps failed"
[ "$(grep -c '^ *3 ios18.matmul <MLGPUComputeDevice> 0.75' 'the report.txt')" = 8 ] || fail "the plans are not counted"
! grep -n 'command not found' 'the report.txt' || fail "it wants a command that macOS has not"
[ -z "$(ls -A "$scratch/tmp dir")" ] || fail "it leaves things in the temporary folder"
