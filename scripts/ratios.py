"""The ratios that docs/gpu-checks.md asks for, from bundles of attnscope-time and peers.py: folders, or archives (.tar.gz) of them.

    python3 scripts/ratios.py gpu-results/timings.tar.gz gpu-results/peers.tar.gz

Every ratio is of medians on one device, at one shape and dtype; more than 1 means faster than what it is compared with, except for the
last, which says how many times a plain prefill a capture takes. Prints Markdown; what a ratio cannot be made of is said in its place.
Needs Python 3.9 and nothing else.
"""
import argparse
import json
import math
import os
import struct
import sys
import tarfile

CODES = {"u16": ("H", 2), "u32": ("I", 4), "f64": ("d", 8)}
FLASH, MINFERENCE = "sdpa flash", "minference"
# Phases of ours that one call of MInference covers.
PHASES = {"a-shape": ("attention",), "vertical-slash": ("convert", "attention"), "block-sparse": ("estimate", "select", "attention")}


def files_of(path):
    """A function from file names of the bundle to bytes, None where there is no such file."""
    if os.path.isdir(path):
        def read(name):
            try:
                with open(os.path.join(path, name), "rb") as file:
                    return file.read()
            except FileNotFoundError:
                return None
        return read
    with tarfile.open(path, "r:gz") as archive:
        held = {os.path.basename(member.name): archive.extractfile(member).read() for member in archive if member.isfile()}
    return held.get


def read_bundle(path):
    """Rows of a bundle as dictionaries; whole rows only, also where it was cut short."""
    read = files_of(path)
    index = json.loads(read("index.json") or b"{}")
    if index.get("format") != "attnscope-timings-bundle" or index.get("version") != 1:
        raise ValueError("its index.json is not that of a bundle of timings, version 1")
    columns, count = {}, index["rows"]
    for column in index["columns"]:
        name, text = column["name"], column["type"] == "utf8"
        kind = "u32" if text else column["type"]
        code, width = CODES[kind]
        data = read(f"{name}.{kind}") or b""
        values = list(struct.unpack(f"<{len(data) // width}{code}", data[:len(data) // width * width]))
        if text:
            lines = (read(f"{name}.txt") or b"").decode().split("\n")[:-1]
            values = [lines[value] for value in values if value < len(lines)]
        columns[name], count = values, min(count, len(values))
    return [{name: values[i] for name, values in columns.items()} for i in range(count)]


def is_ours(row):
    return row["source"].startswith("attnscope")


def shape(row):
    return row["device"], row["dtype"], row["heads"], row["kv_heads"], row["head_dim"], row["threads"]


def named(row):
    return f"{row['heads']}/{row['kv_heads']}x{row['head_dim']} {row['dtype']}"


def length(tokens):
    return f"{tokens >> 20}M" if tokens % (1 << 20) == 0 else f"{tokens >> 10}K" if tokens % 1024 == 0 else str(tokens)


def dense_rows(rows):
    """Ours, all heads at once, by shape and length."""
    return {(shape(row), row["tokens"]): row for row in rows if is_ours(row) and row["op"] == "dense" and row["batching"] == "batched"}


def over_flash(rows):
    dense = dense_rows(rows)
    for row in rows:
        ours = dense.get((shape(row), row["tokens"]))
        if row["op"] == "dense" and FLASH in row["source"] and ours:
            yield [length(row["tokens"]), named(row), row["source"], row["median_us"], ours["median_us"], row["median_us"] / ours["median_us"]]


def over_kept_work(rows, tokens):
    """What the tiles would take at the dense kernel's rate, over what they take."""
    dense = dense_rows(rows)
    for row in rows:
        if not (is_ours(row) and row["op"] in PHASES and row["phase"] == "attention" and row["batching"] == "batched" and row["tokens"] == tokens and row["sparsity"] >= 0.9):
            continue
        measured = max((at for of, at in dense if of == shape(row) and at <= tokens), default=None)
        if measured is None:
            continue
        rate = dense[shape(row), measured]
        expected = (row["work"] + row["column_work"]) * rate["median_us"] / rate["work"]
        policy = "; ".join(filter(None, [row["policy"], row["indices"]]))
        yield [length(tokens), named(row), policy, f"{100 * row['sparsity']:.1f} %", length(measured), expected, row["median_us"], expected / row["median_us"]]


def over_minference(rows):
    for peer in rows:
        if MINFERENCE not in peer["source"] or peer["op"] not in PHASES:
            continue
        for batching in ("batched", "per head"):
            parts = []
            for phase in PHASES[peer["op"]]:
                found = [row for row in rows if is_ours(row) and (row["op"], row["phase"], row["batching"], row["tokens"], shape(row)) == (peer["op"], phase, batching, peer["tokens"], shape(peer))
                         and row["policy"] in ("", peer["policy"]) and row["indices"] in ("", peer["indices"])]
                parts.append(found[0]["median_us"] if found else math.nan)
            if not math.isnan(sum(parts)):
                yield [length(peer["tokens"]), named(peer), "; ".join(filter(None, [peer["policy"], peer["indices"]])), batching, peer["median_us"], sum(parts), peer["median_us"] / sum(parts)]


def of_capture(rows, tokens):
    dense = dense_rows(rows)
    for row in rows:
        plain = dense.get((shape(row), tokens))
        if is_ours(row) and row["op"] == "reduce" and row["tokens"] == tokens and plain:
            yield [length(tokens), named(row), plain["median_us"], row["median_us"], 1 + row["median_us"] / plain["median_us"]]


def print_table(title, heads, lines, missing):
    print(f"## {title}\n")
    lines = list(lines)
    if not lines:
        print(f"Not measured: {missing}.\n")
        return
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for line in lines:
        print("| " + " | ".join(cell if isinstance(cell, str) else f"{cell:.2f}" if i == len(line) - 1 else f"{cell:.1f}" for i, cell in enumerate(line)) + " |")
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundles", nargs="+", help="folders or .tar.gz")
    parser.add_argument("--sparse-tokens", type=int, default=131072, help="length of the sparse kernels' check")
    parser.add_argument("--capture-tokens", type=int, default=32768, help="length of the capture's check")
    options = parser.parse_args()
    rows = []
    for path in options.bundles:
        try:
            rows += read_bundle(path)
        except (OSError, ValueError, KeyError, tarfile.TarError) as error:
            sys.exit(f"ratios.py: {path} cannot be read: {error}; name a folder that attnscope-time or peers.py wrote, or its archive.")
    devices = sorted({row["device"] for row in rows})
    dates = sorted({row["date"] for row in rows})
    print(f"Ratios of measured medians, times in microseconds. {', '.join(devices) or 'No rows'}{f', {dates[0]} to {dates[-1]}' if dates else ''}\n")
    print_table("Dense over SDPA flash: at least 0.8", ["tokens", "shape", "peer", "peer us", "ours us", "ratio"], over_flash(rows), "it takes op dense of attnscope-time and SDPA flash of peers.py at the same length and shape")
    print_table(f"Sparse at 90 % and more, {length(options.sparse_tokens)}, over kept work at the dense rate: at least 0.8",
                ["tokens", "shape", "policy", "sparsity", "dense rate at", "kept work us", "ours us", "ratio"], over_kept_work(rows, options.sparse_tokens),
                f"it takes sparse attention at {length(options.sparse_tokens)} and dense at that length or a shorter one")
    print_table("Ours over MInference on the same budgets: at least 1", ["tokens", "shape", "policy", "launches", "MInference us", "ours us", "ratio"], over_minference(rows),
                "it takes MInference in peers.py, where it can be imported, and the same budgets of attnscope-time")
    print_table(f"Capture over plain prefill, (dense + reduce) / dense at {length(options.capture_tokens)}: at most 1.4", ["tokens", "shape", "dense us", "reduce us", "ratio"],
                of_capture(rows, options.capture_tokens), f"it takes dense and reduce at {length(options.capture_tokens)}")


if __name__ == "__main__":
    main()
