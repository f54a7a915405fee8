"""Prefill and decode of Hugging Face transformers on the weights and tokens of plan files, in one table beside attnscope-run's.

    python3 scripts/random-model.py 8b --tokens 8192,32768 --levels plain --decode 64 --out build/random
    build/native/attnscope-run --plan build/random/8b-8192-plain.txt --device cuda --out runs/8b-8192-plain --summary runs/8b-8192-plain.json
    python3 scripts/transformers-speed.py --plans build/random/8b-8192-plain.txt --runs runs

LlamaForCausalLM as it comes: bf16, scaled_dot_product_attention, its default cache, logits of the last position alone. Prefill is the
median of --repeats runs after a short one to warm up; decode feeds one token at a time, those that attnscope-run decoded where RUNS holds
its bundle, so that both do the same work: then the log-probabilities that both gave to these tokens are compared too, which shows that
they are the same model. RUNS/NAME.json are what `attnscope-run --summary` wrote, of plan NAME.txt; of ours prefill is all between loading
and decoding: with a level, capturing is part of it. Needs Python 3.9, PyTorch and transformers; without them only ours are printed.
"""
import argparse
import json
import os
import statistics
import struct
import sys
import time

DTYPES = {"f32": ("float32", 4), "f16": ("float16", 2), "bf16": ("bfloat16", 2)}


class Plan:
    """What of a plan file (docs/format.md) a forward pass needs."""

    def __init__(self, path):
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.model, self.files, self.tensors, self.tokens, self.forced, self.steps = {}, [], {}, [], [], 0
        with open(path, encoding="utf-8") as file:
            for line in file.read().split("\n"):
                key, _, value = line.partition(" ")
                if key.startswith("model."):
                    self.model[key[6:]] = value
                elif key == "file":
                    self.files.append(os.path.join(os.path.dirname(path), value))
                elif key == "tensor":
                    number, offset, count, dtype, size, name = value.split(" ", 5)
                    self.tensors[name] = (int(number), int(offset), int(count), dtype, [int(n) for n in size.split("x")])
                elif key == "tokens":
                    self.tokens += map(int, value.split())
                elif key == "decode.forced":
                    self.forced += map(int, value.split())
                elif key == "decode.steps":
                    self.steps = int(value)


class Ours:
    """What attnscope-run wrote of a plan: its summary, and the decoded tokens where the bundle is there."""

    def __init__(self, folder, name):
        self.name, self.ids, self.log_probabilities = name, [], []
        with open(os.path.join(folder, name + ".json")) as file:
            run = json.load(file)
        summary, seconds = run["summary"], run["summary"]["seconds"]
        self.device, self.tokens, self.steps = run["device"], summary["prefillTokens"], summary["decodeSteps"]
        self.prefill = sum(seconds.get(phase, 0) for phase in ("prefill", "reduce", "emit"))
        self.decode, self.wall, self.peak, self.parts = seconds.get("decode", 0), run["wallSeconds"], summary["peakDeviceBytes"], summary["deviceBytesAtPeak"]
        bundle = os.path.join(folder, name)
        if os.path.exists(os.path.join(bundle, "whole.json")):
            self.read_steps(bundle)

    def read_steps(self, bundle):
        with open(os.path.join(bundle, "whole.json")) as file:
            tables = json.load(file)["tables"]
        for table in tables:
            if table["table"] != "steps":
                continue
            with open(os.path.join(bundle, table["file"]), "rb") as file:
                for rows in table["batches"]:
                    for column in table["columns"]:
                        code, width = {"f32": ("f", 4), "u32": ("I", 4), "u16": ("H", 2), "i32": ("i", 4)}[column["type"]]
                        values = struct.unpack(f"<{rows}{code}", file.read(rows * width))
                        if column["name"] == "id":
                            self.ids += values
                        elif column["name"] == "log_probability":
                            self.log_probabilities += values


class Theirs:
    """The plan's model in transformers."""

    def __init__(self, plan, options):
        import torch
        import transformers
        self.torch, self.options = torch, options
        self.version = f"transformers {transformers.__version__}, torch {torch.__version__}"
        self.cuda = options.device.startswith("cuda")
        self.dtype = getattr(torch, DTYPES[options.dtype][0])
        torch.set_grad_enabled(False)
        self.model = self.build(plan, transformers)
        self.fill(plan)

    def build(self, plan, transformers):
        m, torch = plan.model, self.torch
        kind, *numbers = m["rope"].split()
        theta, factor, low, high, original = map(float, numbers)
        scaling = {"rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high, "original_max_position_embeddings": int(original)} if kind == "llama3" else {"rope_type": "default"}
        rope = {"rope_parameters": {**scaling, "rope_theta": theta}} if int(transformers.__version__.split(".")[0]) >= 5 else {"rope_theta": theta, "rope_scaling": scaling if kind == "llama3" else None}
        config = transformers.LlamaConfig(
            vocab_size=int(m["vocabSize"]), hidden_size=int(m["hiddenSize"]), intermediate_size=int(m["feedForwardSize"]), num_hidden_layers=int(m["layers"]),
            num_attention_heads=int(m["heads"]), num_key_value_heads=int(m["kvHeads"]), head_dim=int(m["headDim"]), rms_norm_eps=float(m["normEpsilon"]),
            max_position_embeddings=1 << 20, tie_word_embeddings=m["tiedEmbeddings"] == "1", attn_implementation="sdpa", bos_token_id=None, eos_token_id=None, pad_token_id=None, **rope)
        default = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with torch.device(self.options.device):
                model = transformers.LlamaForCausalLM(config)
        finally:
            torch.set_default_dtype(default)
        scale = float(m["attentionScale"])
        for layer in model.model.layers:
            if abs(layer.self_attn.scaling - scale) > 1e-6 * scale:
                sys.exit(f"transformers-speed.py: {plan.name} scales scores by {scale}, and transformers by {layer.self_attn.scaling}")
        return model.eval()

    def fill(self, plan):
        """Copies the plan's bytes; tensors on the same bytes are read once."""
        torch, parameters, read = self.torch, dict(self.model.named_parameters()), {}
        for name, (number, offset, count, dtype, size) in plan.tensors.items():
            if name not in parameters:
                if name == "lm_head.weight":
                    continue  # tied
                sys.exit(f"transformers-speed.py: {plan.name} has tensor {name}, and transformers has none of that name")
            key = (number, offset, count)
            if key not in read:
                name_of, width = DTYPES[dtype]
                whole = torch.from_file(plan.files[number], size=(offset + count) // width, dtype=getattr(torch, name_of))
                read[key] = whole[offset // width:].to(self.options.device)
            parameters.pop(name).copy_(read[key].view(*size))
        left = [name for name in parameters if not (name == "lm_head.weight" and plan.model["tiedEmbeddings"] == "1")]
        if left:
            sys.exit(f"transformers-speed.py: {plan.name} has no tensor {left[0]}")

    def wait(self):
        if self.cuda:
            self.torch.cuda.synchronize()

    def timed(self, call):
        self.wait()
        start = time.perf_counter()
        result = call()
        self.wait()
        return time.perf_counter() - start, result

    def prefill(self, ids):
        return self.model(input_ids=ids, use_cache=True, logits_to_keep=1)

    def measure(self, plan, ours):
        torch = self.torch
        ids = torch.tensor([plan.tokens], device=self.options.device)
        self.timed(lambda: self.prefill(ids[:, :256]))
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        times = []
        for _ in range(self.options.repeats):
            state = None  # its cache goes before the next one comes
            seconds, state = self.timed(lambda: self.prefill(ids))
            times.append(seconds)
        out = {"prefill": statistics.median(times), "decode": 0.0, "steps": plan.steps, "gaps": [], "agree": 0}
        forced = ours.ids if ours is not None and len(ours.ids) == plan.steps else plan.forced
        logits, chosen = [state.logits[0, -1]], []

        def steps(state):
            cache = state.past_key_values
            for i in range(plan.steps):
                token = torch.tensor(forced[i], device=self.options.device) if forced else logits[-1].argmax()
                chosen.append(token)
                answer = self.model(input_ids=token.view(1, 1), past_key_values=cache, use_cache=True)
                logits.append(answer.logits[0, -1])

        if plan.steps:
            out["decode"], _ = self.timed(lambda: steps(state))
            for i, token in enumerate(chosen):
                row = torch.log_softmax(logits[i].float(), -1)
                if ours is not None and len(ours.log_probabilities) == plan.steps and forced:
                    out["gaps"].append(abs(float(row[token]) - ours.log_probabilities[i]))
        out["peak"] = torch.cuda.max_memory_allocated() if self.cuda else 0
        return out


def rate(count, seconds):
    return f"{count / seconds:,.0f}" if seconds > 0 and count > 0 else ""


def gigabytes(count):
    return f"{count / 1e9:.2f}" if count else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plans", nargs="*", default=[], help="plan files to run in transformers, all of one model")
    parser.add_argument("--runs", help="folder of what attnscope-run wrote, beside which theirs is printed")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bf16", choices=DTYPES)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--budget-seconds", type=float, default=1e9, help="no plan is begun after so many")
    options = parser.parse_args()
    start = time.perf_counter()
    ours = {}
    if options.runs:
        for file in sorted(os.listdir(options.runs)):
            if file.endswith(".json"):
                ours[file[:-5]] = Ours(options.runs, file[:-5])

    rows, notes, theirs = [], [], None
    for run in sorted(ours.values(), key=lambda run: (run.tokens, run.name)):
        model, _, level = run.name.rpartition("-")
        plain = ours.get(f"{model}-plain")
        ratio = f"{run.prefill / plain.prefill:.2f}" if plain and plain is not run and plain.tokens == run.tokens else ""
        rows.append((run.tokens, f"attnscope, {run.name}", f"{run.prefill:.3f}", rate(run.tokens, run.prefill), ratio, rate(run.steps, run.decode), gigabytes(run.peak)))
        parts = ", ".join(f"{name} {gigabytes(count)}" for name, count in run.parts.items() if count)
        notes.append(f"{run.name}: {run.wall:.1f} s in all; {run.device['name']}, products in {run.device['compute']} by {run.device['products']}, weights {run.device['weights']}" + (f"; GB at the peak: {parts}" if parts else ""))
    for path in options.plans:
        plan = Plan(path)
        if time.perf_counter() - start > options.budget_seconds:
            notes.append(f"{plan.name} in transformers: not run, no time left")
            continue
        try:
            if theirs is None:
                theirs = Theirs(plan, options)
            got = theirs.measure(plan, ours.get(plan.name))
        except ImportError as error:
            notes.append(f"transformers: not run ({error})")
            break
        except Exception as error:  # out of memory, say: what was measured before is worth printing
            notes.append(f"{plan.name} in transformers: failed ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})")
            continue
        rows.append((len(plan.tokens), f"transformers, {options.dtype}, sdpa", f"{got['prefill']:.3f}", rate(len(plan.tokens), got["prefill"]), "", rate(got["steps"], got["decode"]), gigabytes(got["peak"])))
        if got["gaps"]:
            notes.append(f"{plan.name}: log-probabilities of the {len(got['gaps'])} decoded tokens differ from attnscope's by {statistics.mean(got['gaps']):.2e} on average, {max(got['gaps']):.2e} at most")
    if theirs is not None:
        notes.append(theirs.version)
    print("| tokens | run | prefill s | tokens/s | over plain | decode tokens/s | peak GB |\n|---:|---|---:|---:|---:|---:|---:|")
    for row in sorted(rows, key=lambda row: row[0]):
        print("| " + " | ".join([f"{row[0]:,}", *row[1:]]) + " |")
    print()
    for note in notes:
        print(f"- {note}")


if __name__ == "__main__":
    main()
