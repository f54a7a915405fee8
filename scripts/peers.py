"""What users would otherwise run, measured on the same shapes and by the same protocol as attnscope-time.

    python scripts/peers.py --device cpu --heads 8/2x64,8/2x128 --lengths 1K,2K,4K --out peers
    npx attnscope import-bundle peers --out data/timings/amd-epyc-2-cores.arrow --append

Sources, each only where it can be imported and runs (what could not, and why, is printed and kept in the bundle's index):

    torch sdpa flash | efficient | cudnn | math   dense and decode     PyTorch scaled_dot_product_attention, one backend at a time
    torch flex                                    dense, a-shape,      FlexAttention, compiled, with a block mask of the policy: whole
                                                  vertical-slash,      blocks of --flex-block tokens are computed, those partly masked
                                                  block-sparse         token by token
    flash-attn                                    dense and decode     flash_attn_func
    flashinfer                                    dense and decode     single_prefill_with_kv_cache, single_decode_with_kv_cache
    minference                                    a-shape,             streaming_forward, vertical_slash_sparse_attention (conversion and
                                                  vertical-slash,      attention), block_sparse_attention (pooling, selection and attention):
                                                  block-sparse         one call a head
    numpy                                         dense and decode     blocks of 256 rows, CPU, float32

Protocol: random normal vectors; --warmups runs; then, up to --repeats times, the last-level cache is overwritten and the call timed
alone, with CUDA events on a GPU and perf_counter on a CPU. On a GPU it is kept busy until the call has been queued, so that gaps of
Python between launches do not count (a note says so where they must). A measurement ends after --cell-seconds, not before five
repetitions, and is left out where five would take three times as long. Medians and percentiles are by nearest rank. Sources one after
the other, SDPA first and FlexAttention, whose masks are compiled one by one, last: a budget that runs out costs the last ones.

Columns and distances of vertical-slash are drawn as attnscope-time draws synthetic ones (columns uniform, distances in random runs of
--run, the first 30 and 100 among them), from another generator: the same distribution, not the same numbers. `work` of a sparse call is
the 64 x 64 blocks that its mask makes it compute; of dense and decode calls it is left to import-bundle, which knows.

The bundle is that of attnscope-time (docs/format.md). Needs Python 3.9; everything else is optional.
"""
import argparse
import ctypes
import datetime
import importlib
import inspect
import json
import math
import os
import platform
import random
import statistics
import struct
import sys
import time

# Columns of data/format/timings.ts, which a test holds this list to.
COLUMNS = [
    ("device", "utf8"), ("driver", "utf8"), ("date", "utf8"), ("source", "utf8"), ("op", "utf8"), ("phase", "utf8"), ("policy", "utf8"), ("indices", "utf8"),
    ("batching", "utf8"), ("dtype", "utf8"), ("tokens", "u32"), ("queries", "u32"), ("heads", "u16"), ("kv_heads", "u16"), ("head_dim", "u16"), ("threads", "u16"),
    ("work", "f64"), ("column_work", "f64"), ("work_unit", "utf8"), ("bytes", "f64"), ("flops", "f64"), ("sparsity", "f64"), ("count", "u32"), ("warmups", "u32"),
    ("median_us", "f64"), ("p10_us", "f64"), ("p90_us", "f64"), ("min_us", "f64"), ("mean_us", "f64"), ("flushed", "u16"), ("clock_mhz", "f64"), ("loo_error", "f64"),
    ("note", "utf8"),
]
CODES = {"u16": "H", "u32": "I", "f64": "d"}
FEWEST = 5
PATIENCE = 3  # as in native/host/timing/timing_plan.h
LONGEST_DELAY_US = 20_000
OUT_OF_TIME = "the time budget is used up"
BLOCK = 64


class Bundle:
    """index.json and a little-endian file a column; rows so far are readable whenever the script ends."""

    def __init__(self, folder, device):
        if os.path.isdir(folder) and os.listdir(folder):
            sys.exit(f"peers.py: {folder} already holds files; choose another folder with --out.")
        os.makedirs(folder, exist_ok=True)
        self.folder, self.device, self.rows, self.skipped, self.texts = folder, device, 0, [], {}
        for name, kind in COLUMNS:
            open(self.path(name, "u32" if kind == "utf8" else kind), "wb").close()
            if kind == "utf8":
                open(self.path(name, "txt"), "wb").close()
        self.index(False)

    def path(self, name, end):
        return os.path.join(self.folder, f"{name}.{end}")

    def add(self, row):
        for name, kind in COLUMNS:
            value = row[name]
            if kind == "utf8":
                codes, text = self.texts.setdefault(name, {}), str(value).replace("\n", " ")
                if text not in codes:
                    codes[text] = len(codes)
                    with open(self.path(name, "txt"), "ab") as file:
                        file.write((text + "\n").encode())
                kind, value = "u32", codes[text]
            with open(self.path(name, kind), "ab") as file:
                file.write(struct.pack("<" + CODES[kind], value))
        self.rows += 1
        self.index(False)

    def index(self, complete):
        content = {
            "format": "attnscope-timings-bundle", "version": 1, "status": "complete" if complete else "running", "device": self.device, "rows": self.rows,
            "columns": [{"name": name, "type": kind} for name, kind in COLUMNS], "skipped": self.skipped,
        }
        with open(self.path("index", "json.part"), "w") as file:
            json.dump(content, file)
        os.replace(self.path("index", "json.part"), self.path("index", "json"))


class Device:
    """Memory, cache and clock of where peers run; torch is None where it cannot be imported."""

    def __init__(self, options):
        self.cuda = options.device.startswith("cuda")
        self.torch = attempt("torch", options)
        if self.cuda and (self.torch is None or not self.torch.cuda.is_available()):
            sys.exit(f"peers.py: --device {options.device} needs a PyTorch that sees a CUDA device.")
        if self.cuda:
            self.torch.cuda.set_device(self.torch.device(options.device if ":" in options.device else "cuda:0"))
            properties = self.torch.cuda.get_device_properties(self.torch.cuda.current_device())
            self.name, self.threads = properties.name, 0
            self.driver = f"CUDA {self.torch.version.cuda}"
            cache = getattr(properties, "L2_cache_size", 64 << 20)
            self.filler = self.torch.empty(2 * cache, dtype=self.torch.uint8, device="cuda")
            self.start, self.stop = self.torch.cuda.Event(enable_timing=True), self.torch.cuda.Event(enable_timing=True)
            self.delay = getattr(self.torch.cuda, "_sleep", None)
            self.cycles_per_us = self.calibrate() if self.delay else 0.0
            self.queue_us = 0.0
        else:
            self.name, self.driver = cpu_name(), f"Python {platform.python_version()}"
            self.threads = options.threads or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
            self.filler, self.flushes = ctypes.create_string_buffer(max(64 << 20, 2 * last_level_cache())), 0
            if self.torch is not None:
                self.torch.set_num_threads(self.threads)
                self.driver = f"torch {self.torch.__version__}, {self.torch.backends.cpu.get_cpu_capability()}"

    def facts(self):
        return {"kind": "cuda" if self.cuda else "cpu", "name": self.name, "driver": self.driver}

    def flush(self):
        if self.cuda:
            self.filler.zero_()
        else:
            self.flushes += 1
            ctypes.memset(self.filler, self.flushes % 256, len(self.filler))

    def calibrate(self):
        cycles, us = 1_000_000, math.inf
        for _ in range(3):  # the first one also loads the kernel
            self.start.record()
            self.delay(cycles)
            self.stop.record()
            self.stop.synchronize()
            us = min(us, 1e3 * self.start.elapsed_time(self.stop))
        return cycles / us

    def microseconds(self, call):
        begin = time.perf_counter()
        if not self.cuda:
            call()
            return 1e6 * (time.perf_counter() - begin)
        # Busy for a little longer than Python took to queue the call before, so that all its launches wait in line when it starts.
        if self.delay:
            self.delay(int(self.cycles_per_us * self.delay_us()))
        self.start.record()
        begin = time.perf_counter()
        call()
        self.queue_us = 1e6 * (time.perf_counter() - begin)
        self.stop.record()
        self.stop.synchronize()
        return 1e3 * self.start.elapsed_time(self.stop)

    def delay_us(self):
        return min(LONGEST_DELAY_US, 50 + 1.5 * self.queue_us)

    def launches_count(self):
        """Whether gaps between launches can be part of the last time."""
        return self.cuda and (not self.delay or self.queue_us > LONGEST_DELAY_US)

    def clock(self):
        if self.cuda:
            try:
                return float(self.torch.cuda.clock_rate())
            except Exception:  # needs pynvml
                return math.nan
        try:
            with open("/proc/cpuinfo") as file:
                return statistics.mean(float(line.split(":")[1]) for line in file if line.startswith("cpu MHz"))
        except (OSError, ValueError, statistics.StatisticsError):
            return math.nan


def cpu_name():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(": ", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def last_level_cache():
    sizes = [0]
    for i in range(8):
        try:
            with open(f"/sys/devices/system/cpu/cpu0/cache/index{i}/size") as file:
                text = file.read().strip()
            sizes.append(int(text.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}.get(text[-1], 0))
        except (OSError, ValueError):
            break
    return max(sizes)


def attempt(name, options):
    """The module, or None with the reason noted."""
    if name in options.modules:
        return options.modules[name]
    try:
        options.modules[name] = importlib.import_module(name)
    except Exception as error:  # a broken installation raises anything
        options.modules[name] = None
        options.missing[name] = f"{type(error).__name__}: {error}".split("\n")[0]
    return options.modules[name]


def nearest_rank(times, tenths):
    return sorted(times)[max(1, math.ceil(tenths * len(times) / 10)) - 1]


class Cell:
    """One measurement's row, and where it goes."""

    def __init__(self, options, bundle, device, shape, tokens):
        self.options, self.bundle, self.device, self.shape, self.tokens = options, bundle, device, shape, tokens

    def row(self, source, op, **more):
        heads, kv_heads, dim = self.shape
        row = dict(
            device=self.device.name, driver=self.device.driver, date=self.options.date, source=source, op=op, phase="attention", policy="", indices="", batching="batched",
            dtype=self.options.dtype, tokens=self.tokens, queries=self.tokens, heads=heads, kv_heads=kv_heads, head_dim=dim, threads=self.device.threads, work=math.nan, column_work=0.0,
            work_unit="", bytes=math.nan, flops=math.nan, sparsity=math.nan, flushed=1, loo_error=math.nan, note="",
        )
        row.update(more)
        return row

    def skip(self, row, reason):
        reason = str(reason).strip().split("\n")[0][:200]
        self.bundle.skipped.append({
            "op": row["op"], "phase": row["phase"], "policy": row["policy"], "indices": row["indices"], "batching": row["batching"], "tokens": row["tokens"],
            "heads": row["heads"], "kvHeads": row["kv_heads"], "headDim": row["head_dim"], "reason": f"{row['source']}: {reason}"})
        print(f"left out: {row['source']} {row['op']} at {row['tokens']} tokens: {reason}", file=sys.stderr)

    def out_of_time(self):
        return self.options.budget_seconds and time.perf_counter() - self.options.begin > self.options.budget_seconds

    def measure(self, row, call):
        options, device, self.device.queue_us = self.options, self.device, 0.0
        slowest = options.slow.get((row["source"], row["op"], self.shape), math.inf)
        if self.tokens > slowest:
            return self.skip(row, f"{slowest} tokens were too slow already")
        if self.out_of_time():
            return self.skip(row, OUT_OF_TIME)
        try:
            warmups, spent, us = 0, 0.0, 0.0
            while warmups < max(1, options.warmups) and spent <= options.cell_seconds / 4:
                device.flush()
                us = device.microseconds(call)
                warmups, spent = warmups + 1, spent + us / 1e6
            # The first call compiles; whether there is patience for five is judged by one that does not.
            if warmups == 1 and us * FEWEST > PATIENCE * options.cell_seconds * 1e6:
                us = device.microseconds(call)
            if us * FEWEST > PATIENCE * options.cell_seconds * 1e6:
                options.slow[row["source"], row["op"], self.shape] = self.tokens
                return self.skip(row, f"one repetition takes {us / 1e6:.3g} s, five exceed the {options.cell_seconds:g} s of a measurement")
            times, begin = [], time.perf_counter()
            while len(times) < options.repeats and (len(times) < FEWEST or time.perf_counter() - begin < options.cell_seconds):
                device.flush()
                times.append(device.microseconds(call))
        except Exception as error:  # a source that does not take this shape, or not this much memory
            return self.skip(row, f"{type(error).__name__}: {error}")
        notes = [row["note"], "includes Python's launches" if device.launches_count() else "", f"fewer repetitions: {options.cell_seconds:g} s used up" if len(times) < options.repeats else ""]
        row.update(count=len(times), warmups=warmups, median_us=nearest_rank(times, 5), p10_us=nearest_rank(times, 1), p90_us=nearest_rank(times, 9), min_us=min(times),
                   mean_us=statistics.fmean(times), clock_mhz=device.clock(), note="; ".join(filter(None, notes)))
        self.bundle.add(row)
        print(f"{row['source']:36} {row['op']:15} {row['tokens']:8} {row['heads']}/{row['kv_heads']}x{row['head_dim']:<4} {row['median_us']:12.1f} {row['p10_us']:12.1f} {row['p90_us']:12.1f} "
              f"{row['count']:3}  {row['policy']}", flush=True)


# ---- dense and decode ----


def torch_tensors(cell, tokens_of_query):
    torch, (heads, kv_heads, dim) = cell.device.torch, cell.shape
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[cell.options.dtype]
    generator = torch.Generator(device="cuda" if cell.device.cuda else "cpu").manual_seed(0)
    make = lambda h, n: torch.randn(1, h, n, dim, dtype=torch.float32, device=generator.device, generator=generator).to(dtype)
    return make(heads, tokens_of_query), make(kv_heads, cell.tokens), make(kv_heads, cell.tokens)


def torch_sdpa(cell):
    torch = cell.device.torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    backends = {"flash": SDPBackend.FLASH_ATTENTION, "efficient": SDPBackend.EFFICIENT_ATTENTION, "math": SDPBackend.MATH}
    if hasattr(SDPBackend, "CUDNN_ATTENTION"):
        backends["cudnn"] = SDPBackend.CUDNN_ATTENTION
    heads, kv_heads, _ = cell.shape
    for name, backend in backends.items():
        if name in (("math",) if cell.device.cuda else ("efficient", "cudnn")):
            continue  # efficient and cudnn are of GPUs alone, and nobody runs math there
        source = f"torch {torch.__version__} sdpa {name}"
        for op, queries in (("dense", cell.tokens), ("decode", 1)):
            q, k, v = torch_tensors(cell, queries)
            with sdpa_kernel(backend):
                cell.measure(cell.row(source, op, queries=queries), lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=queries > 1, enable_gqa=heads != kv_heads))


def numpy_attention(cell):
    numpy = attempt("numpy", cell.options)
    if numpy is None or cell.device.cuda or cell.options.dtype != "f32":
        return
    heads, kv_heads, dim = cell.shape
    generator, rows = numpy.random.default_rng(0), 256
    q = generator.standard_normal((heads, cell.tokens, dim), dtype=numpy.float32)
    k, v = (generator.standard_normal((kv_heads, cell.tokens, dim), dtype=numpy.float32) for _ in range(2))
    out, group, scale = numpy.empty_like(q), heads // kv_heads, dim ** -0.5

    def dense():
        for head in range(heads):
            keys, values = k[head // group], v[head // group]
            for begin in range(0, cell.tokens, rows):
                end = min(begin + rows, cell.tokens)
                scores = (q[head, begin:end] * scale) @ keys[:end].T
                scores[:, begin:end][numpy.triu_indices(end - begin, 1)] = -numpy.inf
                scores -= scores.max(axis=1, keepdims=True)
                numpy.exp(scores, out=scores)
                out[head, begin:end] = (scores @ values[:end]) / scores.sum(axis=1, keepdims=True)

    def decode():
        for head in range(heads):
            scores = k[head // group] @ (q[head, -1] * scale)
            weights = numpy.exp(scores - scores.max())
            out[head, -1] = weights @ v[head // group] / weights.sum()

    cell.measure(cell.row(f"numpy {numpy.__version__}", "dense"), dense)
    cell.measure(cell.row(f"numpy {numpy.__version__}", "decode", queries=1), decode)


def flash_attn(cell):
    module = attempt("flash_attn", cell.options)
    if module is None or not cell.device.cuda:
        return
    for op, queries in (("dense", cell.tokens), ("decode", 1)):
        q, k, v = (x.transpose(1, 2).contiguous() for x in torch_tensors(cell, queries))
        cell.measure(cell.row(f"flash-attn {module.__version__}", op, queries=queries), lambda: module.flash_attn_func(q, k, v, causal=True))


def flashinfer(cell):
    module = attempt("flashinfer", cell.options)
    if module is None or not cell.device.cuda:
        return
    source = f"flashinfer {module.__version__}"
    q, k, v = (x[0].transpose(0, 1).contiguous() for x in torch_tensors(cell, cell.tokens))
    cell.measure(cell.row(source, "dense"), lambda: module.single_prefill_with_kv_cache(q, k, v, causal=True))
    one = q[-1].contiguous()
    cell.measure(cell.row(source, "decode", queries=1), lambda: module.single_decode_with_kv_cache(one, k, v))


# ---- sparse ----

DEFAULTS = {"a-shape": {"n_init": 128, "n_local": 3968}, "vertical-slash": {"v": 1000, "s": 6096}, "block-sparse": {"top_k": 100}}

def draw_runs(generator, tokens, count, run, forced):
    """`count` distinct indices, [0, forced) and runs of `run` with random starts."""
    drawn = dict.fromkeys(range(min(forced, count)))
    while len(drawn) < count:
        start = generator.randrange(tokens)
        for i in range(start, min(tokens, start + run)):
            if len(drawn) < count:
                drawn[i] = None
    return sorted(drawn)


def policies(cell):
    """(op, policy text, parameters) at this length, as --policy lists them. Texts as attnscope writes them: without what is the default."""
    for text in cell.options.policy.split(";"):
        op, _, values = text.partition(":")
        given = {name: int(value) for name, _, value in (pair.partition("=") for pair in values.split(",") if pair)}
        unlike = [f"{name}={value}" for name, value in (DEFAULTS[op] | given).items() if value != DEFAULTS[op][name]]
        yield op, ":".join(filter(None, [op, ",".join(unlike)])), DEFAULTS[op] | given


def kept_counts(cell, values):
    """Columns and distances that vertical-slash keeps at this length: the forced 30 columns, and 50 distances at least."""
    return min(cell.tokens, max(values["v"], 30)), min(cell.tokens, max(values["s"], 50))


class FlexMasks:
    """What FlexAttention is asked to compute: of each policy a mask of pairs, and which blocks hold any of them, which nothing else.
    create_block_mask would look at every pair of every head first (heads x tokens^2 of them); the blocks follow from the tiles."""

    def __init__(self, cell, torch):
        self.cell, self.torch, self.block = cell, torch, cell.options.flex_block
        self.device = "cuda" if cell.device.cuda else "cpu"
        self.heads, self.blocks = cell.shape[0], -(-cell.tokens // self.block)
        at = torch.arange(self.blocks, device=self.device)
        self.below, self.diagonal = at[:, None] > at[None, :], at[:, None] == at[None, :]
        # Least distance of a pair of a block below the diagonal; the largest is 2 * (block - 1) more.
        self.nearest = ((at[:, None] - at[None, :]) * self.block - (self.block - 1)).clamp(min=0)

    def dense(self, _):
        return "", lambda b, h, q, k: q >= k, self.diagonal[None], self.below[None]

    def a_shape(self, values):
        sink, local, block = values["n_init"], values["n_local"], self.block
        key = self.torch.arange(self.blocks, device=self.device)[None, :] * block
        farthest = self.nearest + 2 * (block - 1)
        some = (self.below & ((key < sink) | (self.nearest < local))) | self.diagonal
        full = self.below & ((key + block <= sink) | (farthest < local))
        return "", lambda b, h, q, k: (q >= k) & ((k < sink) | (q - k < local)), (some & ~full)[None], full[None]

    def vertical_slash(self, values):
        torch, cell, block = self.torch, self.cell, self.block
        generator, span = random.Random(cell.tokens), self.blocks * block
        column, distance = (torch.zeros(self.heads, span + 2 * block, dtype=torch.bool) for _ in range(2))
        for head in range(self.heads):
            columns, distances = kept_counts(cell, values)
            column[head, draw_runs(generator, cell.tokens, columns, 1, 30)] = True
            distance[head, draw_runs(generator, cell.tokens, distances, cell.options.run, 100)] = True
        column, distance = column.to(self.device), distance.to(self.device)
        in_block = column[:, :span].view(self.heads, self.blocks, block).sum(-1)[:, None, :]
        # Distances kept among those of a block's pairs, by a running count.
        before = torch.nn.functional.pad(distance.cumsum(1), (1, 0))
        kept = before[:, self.nearest + 2 * block - 1] - before[:, self.nearest]
        some = (self.below & ((in_block > 0) | (kept > 0))) | self.diagonal
        full = self.below & ((in_block == block) | (kept == 2 * block - 1))
        mask = lambda b, h, q, k: (q >= k) & (column[h, k] | distance[h, (q - k).clamp(min=0)])
        return f"synthetic, runs of {cell.options.run}", mask, some & ~full, full

    def block_sparse(self, values):
        torch, ratio = self.torch, self.block // BLOCK
        if self.block % BLOCK:
            raise ValueError(f"--flex-block {self.block} is no multiple of {BLOCK}")
        fine = self.blocks * ratio
        causal = torch.ones(fine, fine, dtype=torch.bool, device=self.device).tril()
        order = torch.rand(self.heads, fine, fine, device=self.device, generator=torch.Generator(self.device).manual_seed(self.cell.tokens)).masked_fill_(~causal, -1)
        kept = torch.zeros(self.heads, fine, fine, dtype=torch.bool, device=self.device)
        kept.scatter_(2, order.topk(min(values["top_k"], fine), dim=2).indices, True)
        kept &= causal
        count = kept.view(self.heads, self.blocks, ratio, self.blocks, ratio).sum((2, 4))
        full = self.below & (count == ratio * ratio)
        return "random blocks", lambda b, h, q, k: (q >= k) & kept[h, q // BLOCK, k // BLOCK], (count > 0) & ~full, full

    def block_mask(self, mask, some, full):
        """The BlockMask, and how many blocks over all heads are computed."""
        from torch.nn.attention.flex_attention import BlockMask
        def ordered(blocks):
            blocks = blocks[None].to(self.torch.int8)
            return blocks.sum(-1, dtype=self.torch.int32), blocks.argsort(dim=-1, descending=True, stable=True).to(self.torch.int32)
        length = {"seq_lengths": (self.cell.tokens,) * 2} if "seq_lengths" in inspect.signature(BlockMask.from_kv_blocks).parameters else {}
        made = BlockMask.from_kv_blocks(*ordered(some), *ordered(full), BLOCK_SIZE=self.block, mask_mod=mask, **length)
        return made, int(some.sum() + full.sum()) * (self.heads // len(some))


def torch_flex(cell):
    torch, options = cell.device.torch, cell.options
    try:
        from torch.nn.attention.flex_attention import flex_attention
    except ImportError as error:
        options.missing["torch flex"] = str(error)
        return
    if options.flex_lengths and cell.tokens not in map(size, options.flex_lengths.split(",")):
        return
    # What cannot be compiled would run unfused, which nobody would call FlexAttention: an error, and left out.
    if hasattr(torch._dynamo.config, "fail_on_recompile_limit_hit"):
        torch._dynamo.config.fail_on_recompile_limit_hit = True
    heads, kv_heads, _ = cell.shape
    masks, block = FlexMasks(cell, torch), options.flex_block
    q, k, v = torch_tensors(cell, cell.tokens)
    for op, text, values in [("dense", "", {}), *policies(cell)]:
        row = cell.row(f"torch {torch.__version__} flex", op, policy=text, note=f"blocks of {block}")
        if cell.out_of_time():
            cell.skip(row, OUT_OF_TIME)
            continue
        try:
            row["indices"], mask, some, full = getattr(masks, op.replace("-", "_"))(values)
            block_mask, computed = masks.block_mask(mask, some, full)
        except Exception as error:
            cell.skip(row, f"{type(error).__name__}: {error}")
            continue
        if op != "dense":
            # Blocks of 64 x 64 that its blocks are made of.
            row["work"] = float(computed * (block / BLOCK) ** 2)
            row["work_unit"] = "64 x 64 blocks"
            row["sparsity"] = 1 - row["work"] * BLOCK ** 2 / (heads * cell.tokens * (cell.tokens + 1) / 2)
        torch._dynamo.reset()
        compiled = torch.compile(flex_attention, dynamic=False)
        cell.measure(row, lambda: compiled(q, k, v, block_mask=block_mask, enable_gqa=heads != kv_heads))


def minference(cell):
    if attempt("minference", cell.options) is None or not cell.device.cuda:
        return
    try:
        from minference import block_sparse_attention, streaming_forward, vertical_slash_sparse_attention
    except ImportError as error:
        cell.options.missing["minference kernels"] = str(error)
        return
    torch, generator = cell.device.torch, random.Random(cell.tokens)
    heads, kv_heads, _ = cell.shape
    q, k, v = torch_tensors(cell, cell.tokens)
    k, v = (x.repeat_interleave(heads // kv_heads, dim=1) for x in (k, v))  # as its models hand them over
    one = lambda head: (x[:, head:head + 1] for x in (q, k, v))
    source = f"minference {getattr(cell.options.modules['minference'], '__version__', '')}".strip()
    for op, text, values in policies(cell):
        row = cell.row(source, op, policy=text, batching="per head", work_unit="64 x 64 blocks")
        if cell.out_of_time():
            cell.skip(row, OUT_OF_TIME)
            continue
        blocks = -(-cell.tokens // BLOCK)
        if op == "vertical-slash":
            columns, distances = kept_counts(cell, values)
            lists = [[torch.tensor(draw_runs(generator, cell.tokens, *of), dtype=torch.int32, device="cuda").view(1, 1, -1) for of in ((columns, 1, 30), (distances, cell.options.run, 100))] for _ in range(heads)]
            call = lambda: [vertical_slash_sparse_attention(*one(head), column, distance.flip(-1)) for head, (column, distance) in enumerate(lists)]
            row.update(indices=f"synthetic, runs of {cell.options.run}", note="conversion and attention", work=vertical_slash_tiles(torch, lists, cell.tokens))
        elif op == "block-sparse":
            top_k = values["top_k"]
            call = lambda: [block_sparse_attention(*one(head), top_k) for head in range(heads)]
            row.update(indices="from random vectors", note="pooling, selection and attention", work=float(heads * sum(min(top_k, m + 1) for m in range(blocks))))
        else:
            sink, local = values["n_init"], values["n_local"]
            call = lambda: [streaming_forward(*one(head), sink, local) for head in range(heads)]
            row.update(work=float(heads * sum(min(m + 1, -(-sink // BLOCK) + -(-(local - 1) // BLOCK) + 1) for m in range(blocks))))
        row["sparsity"] = 1 - row["work"] * BLOCK ** 2 / (heads * cell.tokens * (cell.tokens + 1) / 2)
        cell.measure(row, call)


def vertical_slash_tiles(torch, lists, tokens):
    """64 x 64 blocks over all heads: keys that slashes reach in each row block, and columns outside of them, both padded to 64; what the published conversion makes, less what its tiles overshoot."""
    ends = torch.arange(BLOCK, tokens + BLOCK, BLOCK)
    total = 0
    for column, distance in lists:
        # Key end - 1 - u of any row block lies in the tile of a distance t where u - 63 <= t <= u.
        reached = torch.zeros(int(ends[-1]) + BLOCK, dtype=torch.int32)
        marks = distance.flatten().cpu().long()
        reached.index_add_(0, marks, torch.ones_like(marks, dtype=torch.int32))
        reached.index_add_(0, marks + BLOCK, -torch.ones_like(marks, dtype=torch.int32))
        inside = reached.cumsum(0) > 0
        keys = inside.cumsum(0)[ends - 1]
        offset = ends[:, None] - 1 - column.flatten().cpu().long()[None, :]
        outside = ((offset >= 0) & ~inside[offset.clamp(min=0)]).sum(1)
        total += int(((keys + BLOCK - 1) // BLOCK + (outside + BLOCK - 1) // BLOCK).sum())
    return float(total)


def size(text):
    scale = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:], 1)
    return int(text.rstrip("KM")) * scale


def shape_of(text):
    heads, rest = text.split("/")
    kv_heads, dim = rest.split("x")
    return int(heads), int(kv_heads), int(dim)


# In the order they are measured.
SOURCES = {"sdpa": torch_sdpa, "flash-attn": flash_attn, "flashinfer": flashinfer, "minference": minference, "numpy": numpy_attention, "flex": torch_flex}


PRESETS = {
    "cpu": dict(heads="8/2x128", lengths="1K,2K,4K", policy="a-shape:n_init=100,n_local=800;vertical-slash:v=100,s=750;block-sparse:top_k=16", warmups=3, cell_seconds=2, flex_lengths="", budget_seconds=0),
    "gpu": dict(heads="32/8x128", lengths="1K,2K,4K,8K,16K,32K,64K,128K",
                policy="a-shape;vertical-slash:v=100,s=750;vertical-slash;block-sparse:top_k=16;block-sparse", warmups=10, cell_seconds=0.5,
                flex_lengths="8K,32K,128K", budget_seconds=240),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog="python -c 'import peers; help(peers)' tells more.")
    parser.add_argument("--out", required=True, help="folder of the bundle")
    parser.add_argument("--preset", choices=PRESETS, help="what to begin with; other options change it (default: as the device)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1")
    parser.add_argument("--heads", help="shapes, as 32/8x128,4/2x32")
    parser.add_argument("--lengths", help="tokens, as 1K,2K,1M")
    parser.add_argument("--dtype", choices=["f32", "f16", "bf16"], help="default: f32 on a CPU, bf16 on a GPU")
    parser.add_argument("--sources", default=",".join(SOURCES), help="which of " + ", ".join(SOURCES))
    parser.add_argument("--policy", help="separated by ;")
    parser.add_argument("--run", type=int, default=16, help="length of the runs that distances come in")
    parser.add_argument("--flex-block", type=int, default=128, help="tokens a side of FlexAttention's blocks")
    parser.add_argument("--flex-lengths", help="which of the lengths FlexAttention is compiled for; empty: all")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0: all")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--warmups", type=int)
    parser.add_argument("--cell-seconds", type=float)
    parser.add_argument("--budget-seconds", type=float, help="no measurement begins later; 0: no limit")
    options = parser.parse_args()
    for name, value in PRESETS[options.preset or ("gpu" if options.device.startswith("cuda") else "cpu")].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.dtype = options.dtype or ("bf16" if options.device.startswith("cuda") else "f32")
    options.modules, options.missing, options.slow = {}, {}, {}
    options.date, options.begin = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), time.perf_counter()
    if options.threads and not options.device.startswith("cuda"):
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(options.threads)  # before anything is imported

    wanted = options.sources.split(",")
    unknown = [name for name in wanted if name not in SOURCES]
    if unknown:
        sys.exit(f"peers.py: no source is called {unknown[0]}; known: {', '.join(SOURCES)}.")
    without = [text for text in options.policy.split(";") if text.partition(":")[0] not in DEFAULTS]
    if without:
        sys.exit(f"peers.py: --policy {without[0]}: no source runs it; known: {', '.join(DEFAULTS)}.")
    device = Device(options)
    bundle = Bundle(options.out, device.facts())
    print(f"{device.name} ({device.driver}), measured; microseconds: median, 10th and 90th percentile, repetitions")
    shapes = [shape_of(text) for text in options.heads.split(",")]
    for name in (name for name in SOURCES if name in wanted):
        if name in ("sdpa", "flex") and device.torch is None:
            continue
        for tokens in sorted(size(text) for text in options.lengths.split(",")):
            for shape in shapes:
                cell = Cell(options, bundle, device, shape, tokens)
                if cell.out_of_time():
                    cell.skip(cell.row(name, ""), OUT_OF_TIME)  # before its tensors and masks are made
                else:
                    SOURCES[name](cell)
    for name, reason in options.missing.items():
        print(f"not importable: {name} ({reason})", file=sys.stderr)
        bundle.skipped.append({"op": "", "phase": "", "policy": "", "indices": "", "batching": "", "tokens": 0, "heads": 0, "kvHeads": 0, "headDim": 0, "reason": f"{name} cannot be imported: {reason}"})
    if not device.cuda:
        for name in ("flash-attn", "flashinfer", "minference"):
            if name in wanted:
                print(f"not run: {name} needs a CUDA device", file=sys.stderr)
    bundle.index(True)
    print(f"{bundle.rows} rows in {options.out}")


if __name__ == "__main__":
    main()
