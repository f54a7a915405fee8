"""A model of random weights and plan files for it, so that a machine without a checkpoint can run attnscope-run and `attnscope-check capture`.

    python3 scripts/random-model.py small --tokens 300,2048 --decode 8 --levels full --out build/random
    python3 scripts/random-model.py 8b --tokens 32768 --levels plain,replay --out build/random

Writes OUT/SHAPE.bin (kept if it is there already) and OUT/SHAPE-TOKENS-LEVEL.txt for every length and level. Tensors may lie on the same
bytes (docs/format.md): all layers of `8b` are one layer, and its output projection is its embedding, so that a file of 1.5 GB stands for the
16 GB that a run holds. Nothing about real models follows from such weights; times and memory do not depend on them.

Levels: plain (no tables but decoded tokens: what a prefill alone takes), overview, replay and full, with the settings that `attnscope
capture` has by default (capture/run/settings.ts) and, at level full, every query of every head. Weights are uniform, matrices of variance
1 / fan-in, but queries and keys larger by --sharpness, so that rows of attention have something to tell. Needs Python 3.9 and NumPy.
"""
import argparse
import concurrent.futures
import math
import os
import random

SHAPES = {
    # Odd sizes on purpose: nothing is a multiple of a tile.
    "tiny": dict(layers=2, heads=6, kvHeads=3, headDim=20, hiddenSize=54, feedForwardSize=74, vocabSize=131, shared=False),
    "small": dict(layers=4, heads=16, kvHeads=4, headDim=64, hiddenSize=1024, feedForwardSize=2816, vocabSize=8192, shared=False),
    "8b": dict(layers=32, heads=32, kvHeads=8, headDim=128, hiddenSize=4096, feedForwardSize=14336, vocabSize=128256, shared=True),
}
CHUNK = 1 << 22


def tensors_of(shape):
    """(name, dimensions) of every tensor that has bytes of its own, then (name, name of the tensor it lies on)."""
    hidden, wide = shape["hiddenSize"], shape["feedForwardSize"]
    q, kv = shape["heads"] * shape["headDim"], shape["kvHeads"] * shape["headDim"]
    layer = [("input_layernorm", [hidden]), ("self_attn.q_proj", [q, hidden]), ("self_attn.k_proj", [kv, hidden]), ("self_attn.v_proj", [kv, hidden]),
             ("self_attn.o_proj", [hidden, q]), ("post_attention_layernorm", [hidden]), ("mlp.gate_proj", [wide, hidden]), ("mlp.up_proj", [wide, hidden]),
             ("mlp.down_proj", [hidden, wide])]
    own, aliases = [("model.embed_tokens.weight", [shape["vocabSize"], hidden]), ("model.norm.weight", [hidden])], []
    for number in range(shape["layers"]):
        for name, size in layer:
            full = f"model.layers.{number}.{name}.weight"
            if shape["shared"] and number > 0:
                aliases.append((full, f"model.layers.0.{name}.weight"))
            else:
                own.append((full, size))
    if shape["shared"]:
        aliases.append(("lm_head.weight", "model.embed_tokens.weight"))
    else:
        own.append(("lm_head.weight", [shape["vocabSize"], hidden]))
    return own, aliases


def place(own, aliases):
    """Rows of the plan's tensor table: (name, offset, bytes, dimensions)."""
    placed, at = {}, 0
    for name, size in own:
        placed[name] = (at, 2 * math.prod(size), size)
        at += 2 * math.prod(size)
    for name, other in aliases:
        placed[name] = placed[other]
    return placed, at


def write_weights(path, placed, total, own, sharpness, seed):
    """bf16, little-endian. Chunks are drawn by threads, each from a seed of its own: the same file on every machine."""
    import numpy as np
    if os.path.exists(path) and os.path.getsize(path) == total:
        return
    part = path + ".part"
    with open(part, "wb") as file:
        file.truncate(total)
    descriptor = os.open(part, os.O_WRONLY)

    def fill(job):
        name, size, first, count, number = job
        offset = placed[name][0] + 2 * first
        if len(size) == 1:
            values = np.ones(count, dtype=np.float32)
        else:
            spread = math.sqrt(3 / size[1]) * (sharpness if "q_proj" in name or "k_proj" in name else 1)
            values = np.random.Generator(np.random.SFC64([seed, number])).random(count, dtype=np.float32)
            values -= 0.5
            values *= 2 * spread
        data = memoryview(np.ascontiguousarray((values.view(np.uint32) >> 16).astype("<u2"))).cast("B")
        done = 0
        while done < len(data):
            done += os.pwrite(descriptor, data[done:], offset + done)

    jobs = []
    for name, size in own:
        count = math.prod(size)
        for first in range(0, count, CHUNK):
            jobs.append((name, size, first, min(CHUNK, count - first), len(jobs)))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(fill, jobs):
            pass
    os.close(descriptor)
    os.replace(part, path)


def cell_for(tokens):
    cell = 1
    while cell * 256 < tokens:
        cell *= 2
    return cell


def query_rows(tokens, level, draw):
    """The last 512 and one of each of 512 strata before them; all at level full."""
    earlier = max(0, tokens - 512)
    if level == "full" or earlier <= 512:
        return range(tokens)
    rows = []
    for stratum in range(512):
        begin, end = stratum * earlier // 512, (stratum + 1) * earlier // 512
        rows.append(begin + draw.randrange(end - begin))
    return rows + list(range(earlier, tokens))


def lines(key, values, width=4096):
    values = list(values)
    return [f"{key} " + " ".join(map(str, values[i:i + width])) for i in range(0, len(values), width)]


def plan_lines(shape, file, placed, tokens, level, options):
    draw = random.Random(options.seed)
    heads = shape["layers"] * shape["heads"]
    yield "attnscope-plan 1"
    yield "model.family llama"
    for key in ("layers", "heads", "kvHeads", "headDim", "hiddenSize", "feedForwardSize", "vocabSize"):
        yield f"model.{key} {shape[key]}"
    yield "model.normEpsilon 0.00001"
    yield f"model.attentionScale {shape['headDim'] ** -0.5!r}"
    yield "model.tiedEmbeddings 0"
    yield "model.rope llama3 500000 8 1 4 8192"
    yield f"file {file}"
    for name, (offset, count, size) in placed.items():
        yield f"tensor 0 {offset} {count} bf16 {'x'.join(map(str, size))} {name}"
    yield from lines("tokens", (draw.randrange(shape["vocabSize"]) for _ in range(tokens)))
    yield f"decode.steps {options.decode}"
    if options.forced:
        yield from lines("decode.forced", (draw.randrange(shape["vocabSize"]) for _ in range(options.decode)))
    yield f"vectors {options.vectors}"
    yield f"reduce.enabled {int(level != 'plain')}"
    if level != "plain":
        yield f"reduce.cells {heads}*{options.cell or cell_for(tokens + options.decode)}"
        for key, value in dict(tileEdge=256, thumbEdge=32, sinkTokens=4, localTokens=64, statsFirstRow=min(64, tokens // 2), pageTokens=16, queryPoolTokens=64, lagSink=16, lagSize=128).items():
            yield f"reduce.{key} {value}"
    stores = level in ("replay", "full")
    yield f"store.vectors {int(stores)}"
    if stores:
        yield f"store.fullQueryHeads {heads}*{int(level == 'full')}"
        yield from lines("store.queryRows", query_rows(tokens, level, draw))
    yield f"store.logits {int(options.logits)}"
    yield f"threads {options.threads or len(os.sched_getaffinity(0))}"
    yield f"device {options.device} auto 0"
    yield "end"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--tokens", required=True, help="prompt lengths, separated by commas")
    parser.add_argument("--levels", default="replay", help="plain, overview, replay, full, separated by commas")
    parser.add_argument("--decode", type=int, default=0, help="tokens to decode")
    parser.add_argument("--forced", action="store_true", help="decode random ids instead of the likeliest ones")
    parser.add_argument("--vectors", default="bf16", choices=("f32", "f16", "bf16"))
    parser.add_argument("--cell", type=int, default=0, help="base cell of the pyramid in tokens (256 cells a side)")
    parser.add_argument("--logits", action="store_true")
    parser.add_argument("--layers", type=int, default=0, help="fewer or more than the shape has")
    parser.add_argument("--sharpness", type=float, default=1.5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    shape = dict(SHAPES[options.shape])
    if options.layers:
        shape["layers"] = options.layers
    os.makedirs(options.out, exist_ok=True)
    own, aliases = tensors_of(shape)
    placed, total = place(own, aliases)
    file = f"{options.shape}.bin"
    write_weights(os.path.join(options.out, file), placed, total, own, options.sharpness, options.seed)
    for tokens in map(int, options.tokens.split(",")):
        for level in options.levels.split(","):
            if level not in ("plain", "overview", "replay", "full"):
                parser.error(f"no level is called {level}")
            path = os.path.join(options.out, f"{options.shape}-{tokens}-{level}.txt")
            with open(path, "w") as out:
                out.write("\n".join(plan_lines(shape, file, placed, tokens, level, options)) + "\n")
            print(path)


if __name__ == "__main__":
    main()
