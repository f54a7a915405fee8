"""Slow, plain numpy reference of every reduction a capture stores. Float64 throughout, one loop per definition, nothing
shared with the engine. Inputs are transformers' post-RoPE q, k and v, so the reference never sees the engine's numbers.

Shapes: q [layers][heads][T][d], k and v [layers][kv heads][T][d], pre-RoPE q like q. T = prompt + decode.
"""
import numpy as np

# The settings the statistics were made with; engine.test.ts reads the same numbers from statistics.json.
SETTINGS = dict(cells=[4, 16], tileEdge=8, thumbEdge=8, sinkTokens=4, localTokens=16, statsFirstRow=8, pageTokens=16,
                queryPoolTokens=16, lagSink=4, lagSize=16)
COVERAGE = (90, 95, 99)
# A logarithmic histogram cannot tell apart keys whose p differs by less than its bin. The loose counts say how many keys
# lie within this ratio below the last key an exact count needs; an upper bound beyond them would be a wrong one.
BIN_RATIO = 2.0


def attention(q, k, scale):
    """Causal softmax of one head: p [T][T] (zero above the diagonal) and lse [T]."""
    n = len(q)
    p, lse = np.zeros((n, n)), np.zeros(n)
    for i in range(n):
        s = k[:i + 1].astype(np.float64) @ q[i].astype(np.float64) * scale
        lse[i] = s.max() + np.log(np.exp(s - s.max()).sum())
        p[i, :i + 1] = np.exp(s - lse[i])
    return p, lse


def pooled(p, begin, end, cell):
    """Mean and max over the visible pairs of every cell, for query rows [begin, end); NaN where a cell holds none."""
    cells = -(-len(p) // cell)
    total, count = np.zeros((cells, cells)), np.zeros((cells, cells))
    largest = np.full((cells, cells), np.nan)
    for i in range(begin, end):
        for j in range(i + 1):
            r, c = i // cell, j // cell
            total[r, c] += p[i, j]
            count[r, c] += 1
            if not largest[r, c] >= p[i, j]: largest[r, c] = p[i, j]
    with np.errstate(invalid='ignore'): return total / np.where(count > 0, count, np.nan), largest


def coverage(row, percent):
    """Keys that hold `percent` % of the row, counted by a sort, and the loose count at BIN_RATIO."""
    ordered = np.sort(row)[::-1]
    exact = int(np.searchsorted(np.cumsum(ordered), percent / 100 * ordered.sum() * (1 - 1e-12)) + 1)
    return exact, int((row >= ordered[exact - 1] / BIN_RATIO).sum())


def row_statistics(p, lse, begin, end, s):
    """Per row of [begin, end): lse, entropy, sink, local, top-1 mass and key, coverage (exact and loose)."""
    out = {name: [] for name in ('lse', 'entropy', 'sink_mass', 'local_mass', 'top1_mass', 'top1_key', 'previous')}
    out |= {f'coverage_{c}{kind}': [] for c in COVERAGE for kind in ('', '_loose')}
    for i in range(begin, end):
        row = p[i, :i + 1]
        out['lse'].append(lse[i])
        out['entropy'].append(-sum(x * np.log(x) for x in row if x > 0))
        out['sink_mass'].append(row[:s['sinkTokens']].sum())
        out['local_mass'].append(row[-s['localTokens']:].sum())
        out['top1_mass'].append(row.max())
        out['top1_key'].append(int(row.argmax()))
        out['previous'].append(row[i - 1] if i > 0 else 0.0)
        for c in COVERAGE: out[f'coverage_{c}'], out[f'coverage_{c}_loose'] = _append(out, c, coverage(row, c))
    return out


def _append(out, c, pair):
    return out[f'coverage_{c}'] + [pair[0]], out[f'coverage_{c}_loose'] + [pair[1]]


def marginals(p, begin, end):
    """Raw sums over the segment's rows by key and by distance."""
    column, diagonal = np.zeros(end), np.zeros(end)
    for i in range(begin, end):
        for j in range(i + 1):
            column[j] += p[i, j]
            diagonal[i - j] += p[i, j]
    return column, diagonal


def lag_std(x, sink, lag):
    """LagKV: partition p after the sinks, normalised per channel by min and max of partition p + 1, std (ddof 1)."""
    out = np.full(len(x), np.nan)
    for start in range(sink, len(x) - 2 * lag + 1, lag):
        ref = x[start + lag:start + 2 * lag]
        low, high = ref.min(0), ref.max(0)
        out[start:start + lag] = ((x[start:start + lag] - low) / (high - low)).std(1, ddof=1)
    return out


def pages(k, size):
    blocks = [k[i:i + size] for i in range(0, len(k), size)]
    return np.stack([b.min(0) for b in blocks]), np.stack([b.max(0) for b in blocks])


def channels(x):
    rms = np.sqrt((x * x).mean(0))
    return x.mean(0), x.var(0), np.abs(x).max(0), (rms > 4 * np.median(rms)).mean()


def build(q, k, v, q_before_rope, prompt, scale, s=SETTINGS):
    """All tables as {name: array}; names are <segment>.<table>.<column>, leading axes [layers][heads or kv heads]."""
    layers, heads, n, _ = q.shape
    group = heads // k.shape[1]
    q, k, v, q_before_rope = (x.astype(np.float64) for x in (q, k, v, q_before_rope))
    out = {}
    def put(name, l, h, value, of):
        value = np.asarray(value)
        if name not in out: out[name] = np.zeros((layers, of, *value.shape), np.uint32 if value.dtype.kind in 'iu' else np.float32)
        out[name][l, h] = value
    for l in range(layers):
        for h in range(heads):
            p, lse = attention(q[l, h], k[l, h // group], scale)
            for segment, begin, end in (('prefill', 0, prompt), ('decode', prompt, n)):
                rows = row_statistics(p, lse, begin, end, s)
                keep = np.arange(begin, end) >= s['statsFirstRow']
                for name, value in rows.items():
                    mean = np.asarray(value, np.float64)[keep].mean()
                    if name == 'previous': put(f'{segment}.heads.previous_mass', l, h, mean, heads); continue
                    put(f'{segment}.rows.{name}', l, h, value, heads)
                    if name in ('entropy', 'sink_mass', 'local_mass', 'top1_mass'): put(f'{segment}.heads.{name}', l, h, mean, heads)
                column, diagonal = marginals(p, begin, end)
                put(f'{segment}.marginals.column_sum', l, h, column, heads)
                put(f'{segment}.marginals.diagonal_sum', l, h, diagonal, heads)
                for cell in s['cells']:
                    mean, largest = pooled(p, begin, end, cell)
                    put(f'{segment}.pyramid.{cell}.mean', l, h, mean, heads)
                    put(f'{segment}.pyramid.{cell}.max', l, h, largest, heads)
            x = q_before_rope[l, h, s['sinkTokens']:prompt]
            put('prefill.queryStats.mean', l, h, x.mean(0), heads)
            put('prefill.queryStats.covariance', l, h, np.cov(x.T, bias=True), heads)
            pool = s['queryPoolTokens']
            put('prefill.qPooled.q', l, h, np.stack([q[l, h, i:min(i + pool, prompt)].mean(0) for i in range(0, prompt, pool)]), heads)
        for h in range(k.shape[1]):
            kp, vp, of = k[l, h, :prompt], v[l, h, :prompt], k.shape[1]
            put('prefill.kv.k_norm', l, h, np.sqrt((kp * kp).sum(1)), of)
            put('prefill.kv.v_norm', l, h, np.sqrt((vp * vp).sum(1)), of)
            put('prefill.kv.lag_k_std', l, h, lag_std(kp, s['lagSink'], s['lagSize']), of)
            put('prefill.kv.lag_v_std', l, h, lag_std(vp, s['lagSink'], s['lagSize']), of)
            low, high = pages(kp, s['pageTokens'])
            put('prefill.pages.k_min', l, h, low, of)
            put('prefill.pages.k_max', l, h, high, of)
            for name, x in (('k', kp), ('v', vp)):
                for column, value in zip(('mean', 'variance', 'absmax', 'outlier_share'), channels(x)):
                    put(f'prefill.channels.{name}_{column}', l, h, value, of)
    return out
