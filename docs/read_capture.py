#!/usr/bin/env python3
"""Shows a capture with pyarrow and numpy, and recomputes one row of attention from the stored vectors.

    python docs/read_capture.py CAPTURE [--layer L] [--head H] [--query I]

Needs pyarrow and numpy. The format is described in docs/format.md. DuckDB queries the same tables through pyarrow:
    heads = pyarrow.ipc.open_file("heads.arrow").read_all();  duckdb.sql("select * from heads order by entropy")
"""
import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def read(path):
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def listed(folder, manifest):
    """Paths of the closed files; the journal completes the manifest of a run that did not end."""
    paths = {entry["path"]: entry for entry in manifest["files"]}
    journal = folder / "journal.jsonl"
    if manifest["status"] != "complete" and journal.exists():
        for line in journal.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                break  # cut by a kill: that file was not closed for certain
            paths[entry["path"]] = entry
    return paths


def vectors(table, name):
    """Column of q, k or v as float32 [rows][headDim]."""
    field = table.schema.field(name)
    dtype = field.metadata[b"dtype"].decode()
    column = table.column(name).combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, field.type.list_size)
    if dtype == "f16":
        return flat.view(np.float16).astype(np.float32)
    if dtype == "bf16":
        return (flat.astype(np.uint32) << 16).view(np.float32)
    return flat


def of_head(table, key, head):
    return table.filter(pc.equal(table.column(key), head))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--layer", type=int, default=0)
    parser.add_argument("--head", type=int, default=0)
    parser.add_argument("--query", type=int, help="position of the query to recompute; the last stored one by default")
    arguments = parser.parse_args()
    folder, layer, head = arguments.capture, arguments.layer, arguments.head

    manifest = json.loads((folder / "manifest.json").read_text())
    files = listed(folder, manifest)
    model, tokens = manifest["model"], manifest["tokens"]
    print(f"{model['name']}: {model['layers']} layers x {model['heads']}/{model['kvHeads']} heads, {tokens['prompt']} prompt tokens, "
          f"level {manifest['settings']['level']}, {manifest['status']}, {len(files)} files")

    table = read(folder / "tokens.arrow")
    texts = table.column("text").to_pylist()
    print("tokens:", " | ".join(repr(text) for text in texts[:12]), "...")

    print(f"\nheads of layer {layer}")
    statistics = read(folder / f"prefill/{layer:03d}/heads.arrow")
    names = ["head", "kv_head", "entropy", "sink_mass", "local_mass", "top1_mass", "coverage_95"]
    print("  ".join(f"{name:>11}" for name in names))
    for row in statistics.select(names).to_pylist():
        print("  ".join(f"{row[name]:>11.4g}" for name in names))

    if f"vectors/prefill/{layer:03d}/q.arrow" not in files:
        print("\nno vectors at this level: capture with --level replay or full to recompute rows")
        return
    stored = of_head(read(folder / f"vectors/prefill/{layer:03d}/q.arrow"), "head", head)
    positions = stored.column("token").to_numpy()
    query = int(positions[-1]) if arguments.query is None else arguments.query
    if query not in positions:
        raise SystemExit(f"q of position {query} is not stored for head {head}: choose one of table queries, e.g. {positions[-1]}")
    kv_head = head // (model["heads"] // model["kvHeads"])
    q = vectors(stored, "q")[int(np.searchsorted(positions, query))]
    k = vectors(of_head(read(folder / f"vectors/prefill/{layer:03d}/k.arrow"), "kv_head", kv_head), "k")
    rows = of_head(read(folder / f"prefill/{layer:03d}/rows.arrow"), "head", head)
    window = manifest["attention"]["window"] or query + 1
    first = max(0, query + 1 - window)
    scores = k[first:query + 1].astype(np.float64) @ q.astype(np.float64) * manifest["attention"]["scale"]
    p = np.exp(scores - rows.column("lse")[query].as_py())
    entropy = -np.sum(p[p > 0] * np.log(p[p > 0]))
    print(f"\nlayer {layer}, head {head}, query {query} {texts[query]!r}, recomputed from q, k and lse")
    print(f"sum of the row {p.sum():.6f} (exact: 1)")
    print(f"entropy        {entropy:.6f} (stored: {rows.column('entropy')[query].as_py():.6f})")
    for key in np.argsort(-p)[:5]:
        print(f"  key {first + key:>6}  p {p[key]:.6f}  {texts[first + key]!r}")


if __name__ == "__main__":
    main()
