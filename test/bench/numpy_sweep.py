"""Two references for the sweep, vectorised NumPy in fp32 on the same head, points and cores: recall and output error.

recompute: P of the rows is made again at every grid point. shared: P and the dense output are made once.
Grid points run on a thread pool with one BLAS thread each: NumPy releases the interpreter lock inside its loops, so all
cores are busy. Usage: numpy_sweep.py FOLDER THREADS, prints JSON. The folder holds head.json and little-endian columns.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

folder, threads = Path(sys.argv[1]), int(sys.argv[2])
head = json.loads((folder / "head.json").read_text())
N, D, context = head["tokens"], head["dim"], head["context"]
scale = np.float32(head["scale"])


def column(name, dtype=np.float32):
    return np.fromfile(folder / f"{name}.bin", dtype)


K, V = column("keys").reshape(N, D), column("values").reshape(N, D)
Q, lse, rows = column("queries").reshape(-1, D), column("lse"), column("rows", np.uint32).astype(np.int64)
pooled = column("pooled").reshape(-1, D)
key = np.arange(N, dtype=np.int32)
distance_of_0 = rows.astype(np.int32)[:, None]
causal = key[None, :] <= distance_of_0
blocks = rows // 64


def probabilities():
    p = Q @ K.T
    p *= scale
    p -= lse[:, None]
    np.exp(p, out=p)
    p *= causal
    return p


def block_scores():
    """Mean query of 64 times mean key of 64, for the row blocks that are evaluated."""
    return pooled[blocks] @ K.reshape(-1, 64, D).mean(axis=1).T


def mask(policy, values, scores, p):
    """Kept keys of every row, before causality."""
    if policy == "a-shape":
        return (key < values["n_init"])[None, :] | (distance_of_0 - key[None, :] < values["n_local"])
    if policy == "block-sparse":
        seen = np.where(np.arange(scores.shape[1])[None, :] <= blocks[:, None], scores, -np.inf)
        k = min(values["top_k"], seen.shape[1])
        kept = np.zeros(seen.shape, bool)
        np.put_along_axis(kept, np.argpartition(-seen, k - 1, axis=1)[:, :k], True, axis=1)
        return np.repeat(kept, 64, axis=1)
    if policy == "streaming-llm":
        return (key < values["sink"])[None, :] | (distance_of_0 - key[None, :] < values["recent"])
    if policy == "topk-exact":
        kept = np.zeros(p.shape, bool)
        k = values["k"]
        np.put_along_axis(kept, np.argpartition(p, N - k, axis=1)[:, N - k :], True, axis=1)
        return kept
    raise SystemExit(f"{policy} has no reference here")


def metrics(policy, values, p, total, dense, scores):
    kept = mask(policy, values, scores, p)
    kept &= causal
    covered = kept.sum(axis=1) == rows + 1
    part = p * kept
    mass = part.sum(axis=1, dtype=np.float64)
    output = (part @ V) / mass[:, None].astype(np.float32)
    dense_output = dense / total[:, None].astype(np.float32)
    error = np.linalg.norm(output - dense_output, axis=1) / np.linalg.norm(dense_output, axis=1)
    use = ~covered if not covered.all() else covered
    return float((mass / total)[use].mean()), float(error[use].mean())


def recompute(point):
    p = probabilities()
    return metrics(point["id"], point["values"], p, p.sum(axis=1, dtype=np.float64), p @ V, block_scores() if point["id"] == "block-sparse" else None)


def timed(work):
    start, busy = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        results = work(pool)
    return results, {"seconds": time.perf_counter() - start, "processor": time.process_time() - busy}


def shared(pool):
    p = probabilities()
    total, dense, scores = p.sum(axis=1, dtype=np.float64), p @ V, block_scores()
    return list(pool.map(lambda point: metrics(point["id"], point["values"], p, total, dense, scores), head["points"]))


answer = {"numpy": np.__version__}
for name, work in {"recompute": lambda pool: list(pool.map(recompute, head["points"])), "shared": shared}.items():
    results, times = timed(work)
    answer[name] = {**times, "recall": [r for r, _ in results], "error": [e for _, e in results]}
print(json.dumps(answer))
