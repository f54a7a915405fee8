#!/usr/bin/env python3
"""Make the policy goldens: one small head, and what plain references keep of it and lose on it.

  python test/goldens/policies/make_policies.py

Needs numpy and safetensors. Writes inputs.safetensors (q, k, v in fp32, LSE) and expected.json. Every boundary of a
selection is checked to be no near tie, so kept sets are goldens exactly; metrics are fp64.
"""
import json, pathlib
import numpy as np
from safetensors.numpy import save_file
import reference_policies as ref

HERE = pathlib.Path(__file__).resolve().parent
N, D, HEADS, SINKS = 700, 16, 2, 4
SCALE = D ** -.5
CONTEXT = 600


def make_inputs(seed=5):
    """Keys with a common direction (as post-RoPE keys have), sinks, a few strong columns, and rotating parts that make slashes."""
    g = np.random.default_rng(seed)
    position = np.arange(N)
    frequency = 10000 ** (-np.arange(D // 4) / (D // 4))
    wave = np.concatenate([np.cos(position[:, None] * frequency), np.sin(position[:, None] * frequency)], 1)
    cone = g.normal(size=D) * 1.5
    k = g.normal(size=(N, D)) + cone
    k[:, :D // 2] += 1.5 * wave
    k[:SINKS] += 2 * g.normal(size=D)
    strong = g.choice(np.arange(40, N - 60), 12, replace=False)
    k[strong] *= 1.6
    q = g.normal(size=(HEADS, N, D)) * .9 - .3 * cone
    q[:, :, :D // 2] += 1.2 * wave
    q[1] += .5 * k[:SINKS].mean(0)
    v = g.normal(size=(N, D)) + .2 * cone
    return tuple(x.astype(np.float32) for x in (q, k, v))


def spans(row):
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
    return edges.tolist()


def main():
    q, k, v = make_inputs()
    q64, k64, v64 = (x.astype(np.float64) for x in (q, k, v))
    attention = [ref.attention(q64[h], k64, SCALE) for h in range(HEADS)]
    save_file({'q': q, 'k': k, 'v': v, 'lse': np.stack([lse for _, lse in attention]).astype(np.float32)}, HERE / 'inputs.safetensors')
    g = np.random.default_rng(7)
    prompt_rows = np.sort(np.concatenate([g.choice(np.arange(1, N - 16), 16, replace=False), np.arange(N - 16, N)]))
    later_rows = np.sort(g.choice(np.arange(CONTEXT, N), 24, replace=False))
    visible = np.arange(N)[None, :] <= np.arange(N)[:, None]
    cases = []

    def add(policy, head, rows, mask, **more):
        """mask(i) or [N, N]: what row i keeps."""
        kept = np.stack([mask[i] if isinstance(mask, np.ndarray) else mask(i) for i in rows]) & visible[rows]
        p = attention[head][0]
        cases.append(dict(policy=policy, head=head, context=more.pop('context', 0), chunk=more.pop('chunk', 0), rows=rows.tolist(), kept=[spans(r) for r in kept],
                          metrics={name: float(x) for name, x in ref.metrics(p[rows], v64, kept, rows, SINKS).items()}, **more))

    for head in range(HEADS):
        add('a-shape:n_init=16,n_local=100', head, prompt_rows, ref.a_shape(N, 16, 100))
        for size in [(60, 120), (200, 150), (30, 50)]:
            columns, distances = ref.vertical_slash_lists(q64[head], k64, SCALE, *size)
            add(f'vertical-slash:v={size[0]},s={size[1]}', head, prompt_rows, ref.vertical_slash_mask(N, columns, distances),
                columns=columns.tolist(), distances=distances.tolist()) if size[1] >= 100 else None
        for top_k, forced in [(3, False), (5, False), (5, True)]:
            add(f'block-sparse:top_k={top_k}' + (',forced=frontier' if forced else ''), head, prompt_rows, ref.block_sparse_mask(q64[head], k64, top_k, forced))
        positions = np.arange(N)
        member = lambda kept: np.isin(positions, kept)
        # Attend, then compress: row i sees what was resident after i tokens, and itself.
        for sink, lag, ratio in [(16, 64, .5), (4, 32, .25), (16, 128, .2)]:
            add(f'lagkv-official:sink={sink},lag={lag},ratio={ratio}', head, later_rows,
                lambda i: member(np.append(ref.lagkv_official(k64, v64, i, sink, lag, ratio), i)), context=CONTEXT)
        for ratio, cross in [(.5, False), (.75, True), (.3, False)]:
            if not cross and ratio == .3: continue  # a budget between two ranks is decided by ties
            after = ref.lagkv_kvpress(k64, v64, CONTEXT, 4, 64, ratio, cross)
            add(f'lagkv-kvpress:sink=4,lag=64,compression_ratio={ratio}' + (',cross_scoring=1' if cross else ''), head, later_rows,
                lambda i: member(np.concatenate([after, np.arange(CONTEXT, i + 1)])), context=CONTEXT)
        add('streaming-llm:sink=4,recent=96', head, later_rows, lambda i: member(ref.streaming(i + 1, 4, 96)), context=CONTEXT)
        for tokens, sink, recent in [(150, 0, 0), (100, 4, 32)]:
            resident = ref.keydiff(k64, CONTEXT, N, tokens, sink, recent)
            add(f'keydiff-budget:tokens={tokens}' + (f',sink={sink},recent={recent}' if sink else ''), head, later_rows,
                lambda i: member(np.append(resident[i], i)), context=CONTEXT)
        for count in [16, 100]:
            add(f'topk-exact:k={count}', head, later_rows, lambda i: member(ref.top_indices(attention[head][0][i][:i + 1], count, 1e-5)), context=CONTEXT)

    text = json.dumps(dict(tokens=N, headDim=D, heads=HEADS, scale=SCALE, sinkTokens=SINKS, cases=cases), separators=(',', ':'))
    (HERE / 'expected.json').write_text(text.replace('{"policy"', '\n{"policy"') + '\n')
    print(len(cases), 'cases,', len(text) // 1024, 'KiB')


main()
