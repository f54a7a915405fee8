"""Slow, plain references of the policies and metrics, in numpy fp64, written from their published definitions alone.

A kept set is a boolean row over keys. Nothing here is fast, blocked or shared with the engine.
"""
import numpy as np

INF = np.inf


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(q, k, scale):
    """P [N, N] in fp64, causal, and the log-sum-exp of every row."""
    n = len(k)
    scores = np.where(np.arange(n)[None, :] <= np.arange(n)[:, None], q @ k.T * scale, -INF)
    top = scores.max(1)
    lse = top + np.log(np.exp(scores - top[:, None]).sum(1))
    return np.exp(scores - lse[:, None]), lse


def top_indices(score, count, gap=None):
    """Indices of the `count` largest, ties to the lowest index. Refuses a golden whose boundary is nearly a tie."""
    order = np.argsort(-score, kind='stable')
    if gap is not None and 0 < count < len(score):
        a, b = score[order[count - 1]], score[order[count]]
        if np.isfinite(a) and np.isfinite(b):
            assert abs(a - b) > gap * max(abs(a), 1e-12), f'boundary {a} against {b} is too close for a golden'
    return order[:count]


# ---- prefill ------------------------------------------------------------------------------------------------------

def a_shape(n, n_init, n_local):
    i, j = np.arange(n)[:, None], np.arange(n)[None, :]
    return (j <= i) & ((j < n_init) | (i - j < n_local))


def vertical_slash_scores(q, k, scale, last_q=64):
    """Raw sums over the last rows: by column, and by distance i - j."""
    n = len(k)
    rows = min(last_q, n)
    p, _ = attention(q, k, scale)
    strip = p[n - rows:]
    slash = np.zeros(n)
    for r in range(rows):
        i = n - rows + r
        for j in range(i + 1):
            slash[i - j] += strip[r, j]
    return strip.sum(0), slash


def vertical_slash_lists(q, k, scale, v, s, force_v=30, force_s=100):
    n = len(k)
    vertical, slash = vertical_slash_scores(q, k, scale)
    v, s = min(n, max(v, force_v)), min(n, max(s, 50))
    vertical[:force_v] = INF
    slash[:force_s] = INF
    columns = np.sort(top_indices(vertical, v, 1e-4))
    distances = np.sort(top_indices(slash, s, 1e-4))[::-1]
    return columns, distances


def vertical_slash_tiles(m, columns, distances):
    """Tiles and columns of row block m, following the published conversion step by step."""
    begin, end = 64 * m, 64 * m + 64
    # far to near: the tiles' starts ascend
    live = [int(t) for t in distances if t < end]
    tiles, kept_columns = [], []
    columns = list(map(int, columns))
    at = 0
    open_start = open_end = None

    def emit(a, b):
        while a < b:
            tiles.append(a)
            a += 64

    for t in live:
        tile_end = end - t                     # one past the tile's last key
        if open_end is None:
            open_start, open_end = max(begin - t, 0), max(begin - t, 0) + 64
        elif tile_end > open_end + 64:
            emit(open_start, open_end)
            while at < len(columns) and columns[at] < open_start: kept_columns.append(columns[at]); at += 1
            while at < len(columns) and columns[at] < open_end: at += 1
            open_start, open_end = begin - t, begin - t + 64
        elif tile_end > open_end:
            open_end += 64
    if open_end is not None:
        emit(open_start, open_end)
        while at < len(columns) and columns[at] < open_start: kept_columns.append(columns[at]); at += 1
        while at < len(columns) and columns[at] < open_end: at += 1
    return tiles, kept_columns


def vertical_slash_mask(n, columns, distances):
    mask = np.zeros((n, n), bool)
    for m in range((n + 63) // 64):
        tiles, singles = vertical_slash_tiles(m, columns, distances)
        for i in range(64 * m, min(64 * m + 64, n)):
            for a in tiles: mask[i, a:min(a + 64, i + 1)] = True
            mask[i, [c for c in singles if c <= i]] = True
    return mask


def block_sparse_mask(q, k, top_k, forced=False):
    n = len(k)
    padded = n + 64 - n % 64  # an aligned length gets a full extra block
    pool = lambda x: np.concatenate([x, np.zeros((padded - n, x.shape[1]))]).reshape(-1, 64, x.shape[1]).mean(1)
    score = pool(q) @ pool(k).T
    blocks = padded // 64
    top_k = min(top_k, blocks)
    mask = np.zeros((n, n), bool)
    for m in range((n + 63) // 64):
        row = np.where(np.arange(blocks) <= m, score[m], -INF)
        if forced: row[[0, m, max(m - 1, 0)]] = INF
        for b in np.sort(top_indices(row, top_k, 1e-4))[:min(m + 1, top_k)]:
            if b > m: continue
            for i in range(64 * m, min(64 * m + 64, n)): mask[i, 64 * b:min(64 * b + 64, i + 1)] = True
    return mask


# ---- retention ----------------------------------------------------------------------------------------------------

def lag_scores(x, reference):
    """Softmax over the partition of the unbiased std over channels of x normalised by the next partition's range."""
    low, high = reference.min(0), reference.max(0)
    z = (x - low) / (high - low)
    s = z.std(1, ddof=1)
    return softmax(s)


def lagkv_official(k, v, n, sink, lag, ratio, weight=1.0):
    """Kept positions after n tokens (the same for every chunking)."""
    kept = list(range(min(n, sink)))
    if n < sink + 2 * lag: return np.arange(n)
    parts = (n - sink) // lag
    m = int(np.floor(ratio * lag))
    for p in range(parts - 1):
        here, following = slice(sink + p * lag, sink + (p + 1) * lag), slice(sink + (p + 1) * lag, sink + (p + 2) * lag)
        score = lag_scores(k[here], k[following]) + weight * lag_scores(v[here], v[following])
        kept += [sink + p * lag + int(i) for i in top_indices(score, m, 1e-5)]
    kept += range(sink + (parts - 1) * lag, n)
    return np.sort(np.array(kept))


def lagkv_kvpress(k, v, n, sink, lag, ratio, cross=False):
    """Kept positions after one compression of n tokens; ratio is the share removed. Ties to the lowest index."""
    count = int(n * (1 - ratio))
    if n < sink + 2 * lag:
        return np.sort(np.concatenate([np.arange(sink), np.arange(n - (count - sink), n)])) if count > sink else np.arange(count)
    parts = (n - sink) // lag
    score = np.ones(n)
    for p in range(parts - 1):
        here, following = slice(sink + p * lag, sink + (p + 1) * lag), slice(sink + (p + 1) * lag, sink + (p + 2) * lag)
        mean = (lag_scores(k[here], k[following]) + lag_scores(v[here], v[following])) / 2
        score[here] = mean if cross else np.argsort(np.argsort(mean, kind='stable'), kind='stable') / lag
    return np.sort(top_indices(score, count))


def streaming(n, sink, recent):
    """Keys the row n - 1 sees: sinks and the last `recent` tokens, itself included."""
    return np.array([j for j in range(n) if j < sink or j >= n - recent])


def keydiff(k, prompt, n, tokens, sink, recent):
    """Positions resident after the prompt and after every later token up to n, by number of tokens fed."""
    def shrink(held):
        if len(held) <= tokens: return held
        unit = k[held] / np.linalg.norm(k[held], axis=1, keepdims=True)
        anchor = unit.mean(0)
        score = -unit @ anchor / np.linalg.norm(anchor)
        score[:sink] = score[len(held) - recent:] = INF
        return held[np.sort(top_indices(score, tokens, 1e-6))]
    held = {prompt: shrink(np.arange(prompt))}
    for i in range(prompt, n): held[i + 1] = shrink(np.append(held[i], i))
    return held


# ---- metrics ------------------------------------------------------------------------------------------------------

def metrics(p, v, kept, rows, sinks=4):
    """p: [rows, N] exact rows; kept: [rows, N]. Rows whose kept set is everything visible are left out."""
    recall, no_sinks, error, cosine, top32, oracle = [], [], [], [], [], []
    for r, i in enumerate(rows):
        visible = np.arange(p.shape[1]) <= i
        if (kept[r] | ~visible).all(): continue
        a = p[r]
        m = a[kept[r]].sum()
        recall.append(m)
        rest = a[sinks:].sum()
        if rest >= 1e-6: no_sinks.append(a[sinks:][kept[r][sinks:]].sum() / rest)
        o, shorter = a @ v, (a * kept[r]) @ v / m if m > 0 else np.zeros(v.shape[1])
        error.append(np.linalg.norm(shorter - o) / np.linalg.norm(o))
        cosine.append(shorter @ o / np.linalg.norm(shorter) / np.linalg.norm(o))
        if i + 1 >= 32: top32.append(kept[r][top_indices(a[:i + 1], 32)].mean())
        oracle.append(np.sort(a)[::-1][:kept[r].sum()].sum())
    recall, oracle = np.array(recall), np.array(oracle)
    return dict(recall_mean=recall.mean(), recall_p5=np.sort(recall)[max(int(np.ceil(.05 * len(recall))) - 1, 0)], recall_se=recall.std(ddof=1) / np.sqrt(len(recall)),
                recall_no_sinks_mean=np.mean(no_sinks), error_mean=np.mean(error), cosine_mean=np.mean(cosine), top32_overlap=np.mean(top32),
                oracle_recall=oracle.mean(), regret=(oracle - recall).mean())
