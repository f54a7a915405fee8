#!/usr/bin/env bash
# What docs/gpu-checks.md lists, on a machine with an NVIDIA GPU, nvcc, CMake and Python (no Node): builds what the named steps need, then
# runs them in order; without names all of them. A file a step lands in $OUT (default ./gpu-results) beside device.csv and build.log.
# Each is written as soon as its step ends and replaces that of an earlier run: tables, and archives of bundles for
# `attnscope import-bundle`.
#   scripts/gpu-checks.sh [check] [capture] [run] [time] [peers] [ratios] [captured] [sanitize] [--captured FOLDER] [--plan FILE ...]
# GPU_CHECK_SECONDS is what the whole call may take (570 with named steps, 1800 without): steps end in time and keep what they have, those
# that no time is left for say so. GPU_CHECK_ARCH names the target to build for (default: the GPU's own). GPU_CHECK_TOKENS names the prompt
# lengths of run (8192,32768). FOLDER holds the vectors that `attnscope time --capture DIR --export FOLDER` writes where Node is, FILE is a
# plan that `attnscope capture --export` wrote, for capture to check instead of random models.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "${OUT:=gpu-results}"
out=$(cd "$OUT" && pwd)
work=build/gpu-checks
build=$work/cmake
steps=() captured= plans=()
while [ $# -gt 0 ]; do
  case $1 in
    --captured) captured=${2:?--captured needs a folder}; shift ;;
    --plan) plans+=("${2:?--plan needs a file}"); shift ;;
    check | capture | run | time | peers | ratios | captured | sanitize) steps+=("$1") ;;
    *) echo "unknown step $1: check, capture, run, time, peers, ratios, captured, sanitize"; exit 2 ;;
  esac
  shift
done
limit=${GPU_CHECK_SECONDS:-570}
if [ ${#steps[@]} -eq 0 ]; then
  steps=(check capture run time peers ratios captured sanitize) limit=${GPU_CHECK_SECONDS:-1800}
fi
mkdir -p "$work"
nvidia-smi --query-gpu=name,driver_version,compute_cap,clocks.sm,clocks.max.sm,temperature.gpu --format=csv | tee "$out/device.csv"

# Seconds left for a step that may take $1 and must leave $2 for what comes after it; 0 where none are.
left() {
  local seconds=$((limit - SECONDS - $2))
  [ "$seconds" -lt "$1" ] || seconds=$1
  [ "$seconds" -gt 0 ] || seconds=0
  echo "$seconds"
}

# Once, for the steps that run our own programs. The log says more than the screen.
built=
build() {
  [ -z "$built" ] || return 0
  # A folder that another checkout or machine configured holds its paths and its processor's instructions.
  local here
  here="$(pwd -P) $(uname -n) $(grep -m 1 'model name' /proc/cpuinfo || true)"
  [ "$(cat "$work/configured" 2>/dev/null)" = "$here" ] || rm -rf "$build"
  echo "$here" >"$work/configured"
  local cap arch=${GPU_CHECK_ARCH:-}
  cap=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1)
  # What is made for 8.0 runs on every 8.x; what is made for 9.0 alone may use all that 9.0 has.
  [ -n "$arch" ] || case $cap in 8.*) arch=80-real ;; 9.0) arch=90a-real ;; *) arch=${cap/./}-real ;; esac
  echo "building for $arch"
  if ! { cmake -S native -B "$build" -DATTNSCOPE_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES="$arch" -DCMAKE_BUILD_TYPE=Release &&
    cmake --build "$build" --target attnscope_cuda attnscope-check attnscope-run attnscope-time --parallel "$(nproc)"; } >"$out/build.log" 2>&1; then
    tail -n 40 "$out/build.log"
    echo "the build failed after $SECONDS s; $out/build.log says why"
    exit 1
  fi
  built=yes
  echo "built, $SECONDS s"
}

# Runs "$@" for $1 seconds at most, then asks it to stop. 124: stopped.
within() {
  local seconds=$1
  shift
  timeout --kill-after=15 "$seconds" "$@"
}

# A bundle is many small files: one archive travels better. $1: its name.
pack() {
  [ ! -f "$work/$1/index.json" ] || tar -C "$work" -czf "$out/$1.tar.gz" "$1"
}

status=0
failed() {
  status=1
  echo "FAILED: $*"
}

# Small shapes of everything first; then large ones, an operation at a time, each with its share of what time is left. The table is
# long: the screen shows what failed and the sums.
step_check() {
  build
  local code=0 operation operations seconds
  within "$(left 180 10)" "$build/attnscope-check" --device cuda --size small --markdown >"$out/check.md" || code=$?
  grep -v -e '| passed |$' -e '^$' "$out/check.md" || true
  [ $code -eq 0 ] || failed "check, small shapes (status $code)"
  local end=$((SECONDS + ${GPU_CHECK_FULL_SECONDS:-75}))
  read -r -a operations < <("$build/attnscope-check" --help | sed -n 's/.*one operation of: *//p')
  local waiting=${#operations[@]}
  for operation in "${operations[@]}"; do
    seconds=$(left $(((end - SECONDS) / waiting)) 10) code=0 waiting=$((waiting - 1))
    if [ "$seconds" -lt 2 ]; then
      echo "$operation, large shapes: not run, no time left" | tee -a "$out/check.md"
      continue
    fi
    within "$seconds" "$build/attnscope-check" --device cuda --size full --only "$operation" --markdown >"$work/one.md" || code=$?
    if [ $code -eq 124 ] || [ $code -eq 137 ]; then
      echo "$operation, large shapes: stopped, no time left" | tee -a "$out/check.md"
    else
      { echo; cat "$work/one.md"; } >>"$out/check.md"
      grep FAILED "$work/one.md" || true
      tail -n 1 "$work/one.md" | sed "s/^/$operation, large shapes: /"
      [ $code -eq 0 ] || failed "check, $operation, large shapes (status $code)"
    fi
  done
}

# Whole captures on the GPU against the same plans on the CPU: odd shapes and lengths in both precisions, then a model of 60 million
# weights, resident and streamed. Then runs with policies of every family.
step_capture() {
  build
  local models=$work/random plan seconds code
  local -a jobs=() with_policies=()
  if [ ${#plans[@]} -gt 0 ]; then
    for plan in "${plans[@]}"; do jobs+=("$plan|auto"); done
  else
    local -a make=(python3 scripts/random-model.py) odd=(--decode 5 --forced --logits --levels full --cell 2)
    { "${make[@]}" tiny --tokens 1,63,300 "${odd[@]}" --out "$models/bf16" &&
      "${make[@]}" tiny --tokens 1500 "${odd[@]}" --vectors f16 --out "$models/f16" &&
      "${make[@]}" small --tokens 2000 --decode 20 --forced --levels replay --out "$models" &&
      "${make[@]}" small --tokens 1000 --decode 0 --levels full --out "$models"; } >"$work/random.log" 2>&1 || { cat "$work/random.log"; failed "capture: no random models"; return 0; }
    for plan in "$models"/bf16/tiny-{1,63,300}-full.txt "$models"/f16/tiny-1500-full.txt "$models"/small-2000-replay.txt; do jobs+=("$plan|resident"); done
    jobs+=("$models/small-1000-full.txt|streamed")
    with_policies=("$models/f16/tiny-1500-full.txt" "$models/small-1000-full.txt")
  fi
  : >"$out/capture.md"
  local end=$((SECONDS + ${GPU_CHECK_CAPTURE_SECONDS:-120}))
  for plan in "${jobs[@]}"; do
    seconds=$(left $((end - SECONDS)) 10) code=0
    [ "$seconds" -ge 5 ] || { echo "${plan%|*}: not run, no time left" | tee -a "$out/capture.md"; continue; }
    within "$seconds" "$build/attnscope-check" capture --device cuda --plan "${plan%|*}" --weights "${plan#*|}" --markdown >"$work/one.md" 2>&1 || code=$?
    cat "$work/one.md" >>"$out/capture.md"
    echo "$(basename "${plan%|*}" .txt), weights ${plan#*|}:"
    grep -e FAILED -e ': all [0-9]* columns' -e ': E_' -e '^the ' "$work/one.md" | sed 's/^/  /' || true
    case $code in
      0) ;;
      124 | 137) echo "  stopped, no time left" | tee -a "$out/capture.md" ;;
      *) failed "capture, ${plan%|*} (status $code)" ;;
    esac
  done
  : >"$out/policies.md"
  end=$((SECONDS + ${GPU_CHECK_POLICY_SECONDS:-60}))
  for plan in ${with_policies[@]+"${with_policies[@]}"}; do
    seconds=$(left $((end - SECONDS)) 10) code=0
    [ "$seconds" -ge 5 ] || { echo "policies, $plan: not run, no time left" | tee -a "$out/policies.md"; continue; }
    # Written as it comes: what a stopped run found stays.
    within "$seconds" stdbuf -oL "$build/attnscope-check" policies --device cuda --plan "$plan" >"$work/one.md" 2>&1 || code=$?
    cat "$work/one.md" >>"$out/policies.md"
    echo "policies, $(basename "$plan" .txt):"
    sed 's/^/  /' "$work/one.md"
    case $code in
      0) ;;
      124 | 137) echo "  stopped, no time left" ;;
      *) failed "policies, $plan (status $code)" ;;
    esac
  done
}

# Prefill alone, capturing at level replay, decoding, and the same in transformers: an 8B shape of random weights. "written" is replay with
# its bundle on the disk, which is removed again; the others write nothing to speak of.
step_run() {
  build
  local models=$work/random runs=$work/runs lengths=${GPU_CHECK_TOKENS:-8192,32768} shape=${GPU_CHECK_SHAPE:-8b} tokens seconds name code
  local -a done_plans=()
  local end=$((SECONDS + ${GPU_CHECK_RUN_SECONDS:-150}))
  rm -rf "$runs"
  mkdir -p "$runs"
  { python3 scripts/random-model.py "$shape" --tokens "$lengths" --levels plain --decode 64 --out "$models" &&
    python3 scripts/random-model.py "$shape" --tokens "$lengths" --levels replay --out "$models"; } >"$work/random.log" 2>&1 || { cat "$work/random.log"; failed "run: no random model"; return 0; }
  # One run: its name, what is left for those after it, its plan, and the options that tell it from others.
  one() {
    name=$1 seconds=$(left $((end - SECONDS)) 10) code=0
    [ "$seconds" -ge 10 ] || { echo "$name: not run, no time left"; return 1; }
    within "$seconds" "$build/attnscope-run" --plan "$models/$2.txt" --device cuda --threads 0 --quiet --summary "$runs/$name.json" "${@:3}" >"$work/one.log" 2>&1 || code=$?
    sed 's/^/  /' "$work/one.log"
    case $code in
      0) return 0 ;;
      124 | 137) echo "$name: stopped, no time left" ;;
      *) failed "run, $name (status $code)" ;;
    esac
    return 1
  }
  for tokens in ${lengths//,/ }; do
    if one "$shape-$tokens-plain" "$shape-$tokens-plain" --out "$runs/$shape-$tokens-plain"; then done_plans+=("$models/$shape-$tokens-plain.txt"); fi
    one "$shape-$tokens-replay" "$shape-$tokens-replay" --discard || true
  done
  tokens=${lengths%%,*}
  one "$shape-$tokens-streamed" "$shape-$tokens-plain" --discard --weights streamed || true
  for tokens in ${lengths//,/ }; do
    [ "$tokens" -le 32768 ] || continue  # 30 GB at 128K
    one "$shape-$tokens-written" "$shape-$tokens-replay" --out "$runs/$shape-$tokens-written" || true
    rm -rf "$runs/$shape-$tokens-written"
  done
  # A plan that was begun is ended: the last one begins when half of the time is left.
  seconds=$(left $((end - SECONDS)) 10)
  if [ "$seconds" -lt 20 ] || ! within "$seconds" python3 scripts/transformers-speed.py --plans "${done_plans[@]}" --runs "$runs" --budget-seconds "$((seconds / 2))" >"$out/run.md" 2>"$work/run.err"; then
    tail -n 5 "$work/run.err" 2>/dev/null || true
    echo "transformers: not run or stopped after $seconds s"
    python3 scripts/transformers-speed.py --runs "$runs" >"$out/run.md" || failed "run: transformers-speed.py"
  fi
  cat "$out/run.md"
}

step_time() {
  build
  local seconds code=0
  seconds=$(left 420 25)
  [ "$seconds" -ge 20 ] || { echo "not run: no time left"; return 0; }
  rm -rf "$work/timings"
  # A measurement that was begun may end up to 15 s later.
  within $((seconds + 15)) "$build/attnscope-time" --device cuda --preset gpu --budget-seconds "$seconds" --out "$work/timings" >"$work/timings.log" 2>"$work/timings.err" || code=$?
  pack timings
  # Rows are in the bundle; the screen shows the last ones, and what ended the run or was left out last.
  tail -n 12 "$work/timings.log"
  { grep -v '^[0-9]* of [0-9]*: ' "$work/timings.err" || true; } | tail -n 12
  case $code in 0 | 130 | 124) ;; *) failed "time (status $code)" ;; esac
}

step_peers() {
  local seconds code=0
  seconds=$(left 240 25)
  [ "$seconds" -ge 20 ] || { echo "not run: no time left"; return 0; }
  rm -rf "$work/peers"
  within $((seconds + 15)) python3 scripts/peers.py --device cuda --preset gpu --budget-seconds "$seconds" --out "$work/peers" >"$work/peers.log" 2>&1 || code=$?
  pack peers
  tail -n 40 "$work/peers.log"
  case $code in 0 | 124 | 130) ;; *) failed "peers (status $code)" ;; esac
}

# Of what this call or an earlier one measured, here or as it came back.
step_ratios() {
  local bundles=() name
  for name in timings peers; do
    if [ -f "$work/$name/index.json" ]; then bundles+=("$work/$name"); elif [ -f "$out/$name.tar.gz" ]; then bundles+=("$out/$name.tar.gz"); fi
  done
  [ ${#bundles[@]} -gt 0 ] || { echo "not run: neither time nor peers has measured anything here"; return 0; }
  python3 scripts/ratios.py "${bundles[@]}" | tee "$out/ratios.md" || failed ratios
}

step_captured() {
  [ -n "$captured" ] || { echo "not run: --captured names no folder of vectors"; return 0; }
  build
  local seconds code=0
  seconds=$(left 60 25)
  [ "$seconds" -ge 10 ] || { echo "not run: no time left"; return 0; }
  rm -rf "$work/captured"
  within $((seconds + 15)) "$build/attnscope-time" --device cuda --preset gpu --captured "$captured" --budget-seconds "$seconds" --out "$work/captured" >"$work/captured.log" 2>&1 || code=$?
  pack captured
  tail -n 20 "$work/captured.log"
  case $code in 0 | 130 | 124) ;; *) failed "captured (status $code)" ;; esac
}

step_sanitize() {
  command -v compute-sanitizer >/dev/null || { echo "not run: no compute-sanitizer on PATH"; return 0; }
  build
  local tool seconds code
  : >"$out/sanitize.log"
  for tool in memcheck racecheck synccheck initcheck; do
    seconds=$(left 200 10) code=0
    [ "$seconds" -ge 10 ] || { echo "$tool: not run, no time left"; continue; }
    within "$seconds" compute-sanitizer --tool "$tool" --error-exitcode 9 "$build/attnscope-check" --device cuda --size small >"$work/$tool.log" 2>&1 || code=$?
    { echo "== $tool"; head -c 2000000 "$work/$tool.log"; } >>"$out/sanitize.log"
    if grep -q 'Device not supported' "$work/$tool.log"; then
      echo "$tool: not run, compute-sanitizer does not support this device or driver here"
    elif [ $code -eq 124 ] || [ $code -eq 137 ]; then
      echo "$tool: stopped after $seconds s, $(grep -c 'Error:\|hazard' "$work/$tool.log" || true) lines of errors until then"
    else
      tail -n 1 "$work/$tool.log" | sed "s/^/$tool: /"
      [ $code -eq 0 ] || failed "$tool (status $code)"
    fi
  done
}

for step in "${steps[@]}"; do
  echo "== $step ($SECONDS s of $limit)"
  "step_$step"
done
exit $status
