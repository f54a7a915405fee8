#!/usr/bin/env bash
# What docs/gpu-checks.md lists, on a machine with an NVIDIA GPU, nvcc and CMake (no Node): builds, then runs the named steps in
# order, or all. Results land in $OUT (default ./gpu-results): markdown tables, bundles for `attnscope import-bundle`, logs.
#   scripts/gpu-checks.sh [check] [sanitize] [time] [peers]
# GPU_CHECK_ARCH (90a-real) names the target to build for, GPU_CHECK_MINUTES (7) bounds the timing sweep.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-gpu-results}
build=build/cuda
steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(check sanitize time peers)
mkdir -p "$out"
nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,temperature.gpu --format=csv | tee "$out/device.csv"
cmake -S native -B "$build" -DATTNSCOPE_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES="${GPU_CHECK_ARCH:-90a-real}" -DCMAKE_BUILD_TYPE=Release >"$out/build.log" 2>&1
cmake --build "$build" --target attnscope_cuda attnscope-check attnscope-time --parallel "$(nproc)" >>"$out/build.log" 2>&1 || { tail -n 30 "$out/build.log"; exit 1; }

status=0
for step in "${steps[@]}"; do
  echo "== $step"
  case $step in
    check) "$build/attnscope-check" --device cuda --size full --markdown | tee "$out/check.md" || status=1 ;;
    sanitize)
      if ! command -v compute-sanitizer >/dev/null; then echo "no compute-sanitizer on PATH: not run"; continue; fi
      for tool in memcheck racecheck; do
        compute-sanitizer --tool "$tool" --error-exitcode 9 "$build/attnscope-check" --device cuda --size small >"$out/$tool.log" 2>&1 || status=1
        tail -n 3 "$out/$tool.log"
      done ;;
    time) "$build/attnscope-time" --device cuda --preset gpu --budget-seconds "$((60 * ${GPU_CHECK_MINUTES:-7}))" --out "$out/timings" || status=1 ;;
    peers) python3 scripts/peers.py --device cuda --preset gpu --out "$out/peers" || status=1 ;;
    *) echo "unknown step $step: check, sanitize, time, peers"; exit 2 ;;
  esac
done
# A bundle is many small files; one archive travels better.
for bundle in timings peers; do
  if [ -d "$out/$bundle" ]; then tar -C "$out" -czf "$out/$bundle.tar.gz" "$bundle"; fi
done
exit $status
