#!/usr/bin/env python3
"""Measure the demo model and write its card's tables.

  python data/demo-model/evaluate.py --corpus DIR_WITH_TXT_GZ [--model DIR] [--quick] [--tables-only]

Writes evaluation.json beside the model and rewrites what stands between the markers of its README.md (if it has one).
The corpus is the one train.py was given; text and needle haystacks come from its last 200,000 tokens, which train.py
holds out. Seeds are fixed. Needs torch, transformers, tokenizers, numpy; takes minutes on one core.
--tables-only rewrites README.md from evaluation.json.
"""
import argparse, datetime, gzip, json, math, pathlib, random, re
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
HELD_OUT, BOS, DIGITS = 200_000, 0, 4
LENGTHS = (512, 1024, 2048)
# Deciles of depth are measured with one needle each (two sequences share them at 512, where ten would fill the text).
SEQUENCES = {512: 120, 1024: 64, 2048: 100}
POSITIONS = (1, 64, 128, 256, 512, 768, 1024, 1536, 2048)
FIRST_ROW = 64  # rows before it see too few keys to say what a head prefers
HEAD_CONTEXT = 1024


# ---- text ----------------------------------------------------------------------------------------------------------
def load_corpus(folder):
    """As train.py reads it: ASCII, books in alphabetical order."""
    text = '\n'.join(gzip.decompress(f.read_bytes()).decode() for f in sorted(folder.glob('*.txt.gz')))
    for x, y in {'\u2019': "'", '\u2018': "'", '\u201c': '"', '\u201d': '"', '\u2014': '--', '\u2026': '...'}.items(): text = text.replace(x, y)
    return text.encode('ascii', 'ignore').decode()


class Text:
    def __init__(self, corpus, tokenizer):
        self.encode = lambda s: tokenizer.encode(s, add_special_tokens=False).ids
        text = load_corpus(corpus)
        # Words never cross the split, so the ends can be tokenised alone; only the first word after the cut may differ.
        self.held = np.array(self.encode(text[-8 * HELD_OUT:])[-HELD_OUT:])
        head = tokenizer.decode(self.encode(text[:1_600_000])[:400_000])
        self.words = sorted(set(re.findall(r'[a-z]{4,9}', head)))


def needle_trial(text, length, rng, parity):
    """A prefix of `length` tokens less room for a question, with a needle in each of ten (five) deciles, and the questions.

    Returns prefix ids and [(decile, question ids with answer, index of the first digit in it, position of the needle's first digit)].
    """
    deciles = list(range(10)) if length >= 1024 else list(range(parity % 2, 10, 2))
    facts = [(word, ''.join(rng.choice('0123456789') for _ in range(DIGITS))) for word in rng.sample(text.words, len(deciles))]
    statements = [text.encode(f' The code of {word} is {code}.') for word, code in facts]
    free = length - 1 - max(map(len, statements)) - sum(map(len, statements))
    start = rng.randrange(len(text.held) - free - 1)
    hay, out, at, trials = text.held[start:start + free].tolist(), [BOS], 0, []
    for decile, s in zip(deciles, statements):
        cut = max(at, int((decile + rng.random()) / 10 * free))
        out += hay[at:cut] + s; at = cut
        digit = len(s) - 1 - DIGITS
        trials.append((len(out) - len(s) + digit, s, digit))
    out += hay[at:]
    return out, [(min(9, position * 10 // length), s, digit, position) for position, s, digit in trials]


# ---- measurements --------------------------------------------------------------------------------------------------
def mean_error(values):
    """Mean and standard error over independent sequences."""
    x = np.asarray(values, np.float64)
    return [round(float(x.mean()), 4), round(float(x.std(ddof=1) / math.sqrt(len(x))), 4) if len(x) > 1 else None]


def losses(model, text, windows):
    """Loss by context length over the same held-out tokens, and by position at the longest length."""
    import torch
    longest, table = max(LENGTHS), {}
    for length in LENGTHS:
        per_window, by_position = [], []
        for w in range(windows):
            block = text.held[w * longest:(w + 1) * longest]
            x = torch.tensor(np.concatenate([np.r_[BOS, block[i:i + length - 1]][None] for i in range(0, longest, length)]))
            with torch.inference_mode(): logits = model(x).logits
            loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), x[:, 1:].flatten(), reduction='none').view(len(x), -1)
            per_window.append(loss.mean().item()); by_position.append(loss.mean(0).numpy())
        table[str(length)] = dict(loss=mean_error(per_window), windows=windows)
    bins = [dict(first=lo, end=hi, loss=mean_error([b[lo - 1:hi - 1].mean() for b in by_position])) for lo, hi in zip(POSITIONS, POSITIONS[1:])]
    return table, dict(context=longest, bins=bins)


def passkeys(model, text, length, sequences):
    """Exact match of four digits: the prefix is run once, then every needle's question from the same cache."""
    import torch
    from transformers import DynamicCache
    rng = random.Random(1000 + length)
    by_decile, per_sequence = [[] for _ in range(10)], []
    for i in range(sequences):
        prefix, trials = needle_trial(text, length, rng, i)
        cache = DynamicCache(config=model.config)
        with torch.inference_mode():
            model(torch.tensor([prefix]), past_key_values=cache, logits_to_keep=1)
            cache.batch_repeat_interleave(len(trials))
            width = max(len(s) for _, s, _, _ in trials)
            # Padding on the right is invisible to the causal rows before it.
            best = model(torch.tensor([s + [BOS] * (width - len(s)) for _, s, _, _ in trials]), past_key_values=cache).logits.argmax(-1)
        right = [bool((best[j, d - 1:d - 1 + DIGITS] == torch.tensor(s[d:d + DIGITS])).all()) for j, (_, s, d, _) in enumerate(trials)]
        for (decile, *_), r in zip(trials, right): by_decile[decile].append(r)
        per_sequence.append(np.mean(right))
    share = lambda hits: dict(exact=round(float(np.mean(hits)), 4), error=round(math.sqrt(np.mean(hits) * (1 - np.mean(hits)) / len(hits)), 4), trials=len(hits)) if hits else None
    overall = mean_error(per_sequence)
    return dict(exact=overall[0], error=overall[1], trials=sum(map(len, by_decile)), sequences=sequences, by_decile=[share(h) for h in by_decile])


def head_masses(w, rows, target=None):
    """w [layers][heads][T][T]; means over `rows` of sink, previous, last-16 and target mass, each [layers][heads]."""
    rows = np.asarray(rows)
    out = dict(sink=w[:, :, rows, 0].mean(-1), previous=w[:, :, rows, rows - 1].mean(-1), local16=np.stack([w[:, :, i, max(0, i - 15):i + 1].sum(-1) for i in rows]).mean(0))
    if target is not None: out['target'] = w[:, :, rows, np.asarray(target)].mean(-1)
    return out


def heads(model, text, trained, counts):
    """What every head attends to, by type of query: text, repeated random tokens (target: what followed last time), digits of an answer."""
    import torch
    rng, np_rng = random.Random(77), np.random.default_rng(77)
    def maps(ids):
        with torch.inference_mode(): return torch.stack(model(torch.tensor([ids]), output_attentions=True, logits_to_keep=1).attentions)[:, 0].numpy()
    seen = dict(text=[], repeat=[], answer=[])
    for i in range(counts['text']):
        start = i * 7919
        seen['text'].append(head_masses(maps([BOS, *text.held[start:start + HEAD_CONTEXT - 1].tolist()]), range(FIRST_ROW, HEAD_CONTEXT)))
    for _ in range(counts['repeat']):
        half = HEAD_CONTEXT // 2 - 1
        s = np_rng.integers(1, trained, half).tolist()
        rows = np.arange(half + 8, 2 * half)
        seen['repeat'].append(head_masses(maps([BOS, *s, *s]), rows, rows - half + 1))
    for i in range(counts['answer']):
        prefix, trials = needle_trial(text, HEAD_CONTEXT, rng, i)
        _, s, digit, position = trials[i % len(trials)]
        rows = len(prefix) + digit - 1 + np.arange(DIGITS)
        seen['answer'].append(head_masses(maps(prefix + s), rows, position + np.arange(DIGITS)))
    table = []
    layers, n = seen['text'][0]['sink'].shape
    for l in range(layers):
        for h in range(n):
            entry = {kind: {name: mean_error([x[name][l, h] for x in runs]) for name in runs[0]} for kind, runs in seen.items()}
            table.append(dict(layer=l, head=h, **entry, roles=roles(entry)))
    return table


def roles(e):
    """Roles by fixed thresholds; a head may have several, and be a sink on text and active on questions."""
    names = []
    if e['text']['previous'][0] >= .5: names.append('previous token')
    elif e['text']['local16'][0] >= .8: names.append('local')
    if e['text']['sink'][0] >= .3: names.append('sink')
    if e['repeat']['target'][0] >= .3: names.append('induction')
    if e['answer']['target'][0] >= .3: names.append('retrieval')
    if 'retrieval' in names and e['text']['sink'][0] >= .3 and e['answer']['sink'][0] < .5 * e['text']['sink'][0]: names.append('dormant on text')
    return names or ['mixed']


# ---- the card ------------------------------------------------------------------------------------------------------
def value(pair, digits=2): return f'{pair[0]:.{digits}f} +- {pair[1]:.{digits}f}' if pair[1] is not None else f'{pair[0]:.{digits}f}'


def tables(r):
    rows = [f'Measured {r["date"]} with torch {r["torch"]} and transformers {r["transformers"]} in fp32 by `evaluate.py`; "+-" is one standard error over sequences.', '',
            '### Loss and passkey by length', '', '| context | loss, nats/token | passkey exact | trials |', '|---|---|---|---|']
    for length, l in r['loss']['by_context'].items():
        p = r['passkey'][length]
        rows.append(f'| {int(length):,} | {value(l["loss"], 3)} | {value([p["exact"], p["error"]])} | {p["trials"]} in {p["sequences"]} texts |')
    rows += ['', f'Loss is over the same {r["loss"]["tokens"]:,} held-out tokens at every length. A passkey is right when all four digits are.', '',
             '### Passkey by depth of the needle', '', '| context | ' + ' | '.join(f'{10 * d}-{10 * d + 10} %' for d in range(10)) + ' |', '|---' * 11 + '|']
    for length, p in r['passkey'].items():
        rows.append(f'| {int(length):,} | ' + ' | '.join('' if d is None else f'{d["exact"]:.2f} ({d["trials"]})' for d in p['by_decile']) + ' |')
    rows += ['', 'Trials in brackets; the standard error of a share p is sqrt(p (1 - p) / trials), at most '
             + f'{max(d["error"] for p in r["passkey"].values() for d in p["by_decile"] if d):.2f} here.', '',
             f'### Loss by position (context {r["loss"]["by_position"]["context"]:,})', '',
             '| position | ' + ' | '.join(f'{b["first"]}-{b["end"] - 1}' for b in r['loss']['by_position']['bins']) + ' |', '|---' * (1 + len(r['loss']['by_position']['bins'])) + '|',
             '| loss | ' + ' | '.join(value(b['loss']) for b in r['loss']['by_position']['bins']) + ' |', '',
             f'### Heads (context {r["heads"]["context"]:,})', '',
             'Share of attention mass by type of query: held-out text, the second half of a repeated run of random tokens, the four digits of an answer. "target" is the token that followed last time, or the digit asked for. '
             f'"all" weighs the three types alike. Largest standard error {max(e[k][m][1] for e in r["heads"]["table"] for k in ("text", "repeat", "answer") for m in e[k]):.2f} '
             f'({r["heads"]["counts"]["text"]}, {r["heads"]["counts"]["repeat"]} and {r["heads"]["counts"]["answer"]} sequences).', '',
             '| head | role | sink: text | repeat | answer | all | previous: text | repeat | answer | all | last 16: text | repeat | answer | all | target: repeat (induction) | answer (retrieval) |', '|---' * 16 + '|']
    for e in r['heads']['table']:
        cells = []
        for m in ('sink', 'previous', 'local16'):
            three = [e[k][m][0] for k in ('text', 'repeat', 'answer')]
            cells += three + [sum(three) / 3]
        cells += [e['repeat']['target'][0], e['answer']['target'][0]]
        rows.append(f'| L{e["layer"]}H{e["head"]} | {", ".join(e["roles"])} | ' + ' | '.join(f'{c:.2f}' for c in cells) + ' |')
    return '\n'.join(rows)


def write_card(folder, result):
    card = folder / 'README.md'
    if not card.exists(): return
    begin, end = '<!-- evaluate.py begin -->', '<!-- evaluate.py end -->'
    text = card.read_text()
    before, after = text.split(begin)[0], text.split(end)[1]
    card.write_text(f'{before}{begin}\n{tables(result)}\n{end}{after}')


if __name__ == '__main__':
    ap = argparse.ArgumentParser()
    ap.add_argument('--corpus', type=pathlib.Path), ap.add_argument('--model', type=pathlib.Path, default=HERE)
    ap.add_argument('--threads', type=int, default=1)
    ap.add_argument('--quick', action='store_true', help='few trials, to see that it runs; writes nothing'), ap.add_argument('--tables-only', action='store_true')
    a = ap.parse_args()
    if a.tables_only: write_card(a.model, json.loads((a.model / 'evaluation.json').read_text())); raise SystemExit
    if a.corpus is None: ap.error('--corpus is needed: a folder of .txt.gz books as given to train.py')
    import torch, transformers
    from tokenizers import Tokenizer
    torch.set_num_threads(a.threads)
    load = lambda attention: transformers.LlamaForCausalLM.from_pretrained(a.model, dtype=torch.float32, attn_implementation=attention).eval()
    model, tokenizer = load('sdpa'), Tokenizer.from_file(str(a.model / 'tokenizer.json'))
    text, scale = Text(a.corpus, tokenizer), 20 if a.quick else 1
    windows = 48 // scale
    by_context, by_position = losses(model, text, max(2, windows))
    print('loss', {k: v['loss'] for k, v in by_context.items()}, flush=True)
    passkey = {}
    for length in LENGTHS:
        passkey[str(length)] = passkeys(model, text, length, max(2, SEQUENCES[length] // scale))
        print('passkey', length, {k: v for k, v in passkey[str(length)].items() if k != 'by_decile'}, flush=True)
    counts = {k: max(2, v // scale) for k, v in dict(text=12, repeat=12, answer=40).items()}
    # Ids past the trained vocabulary are bytes 128 to 255, which never occurred.
    table = heads(load('eager'), text, model.config.vocab_size - 128, counts)
    for e in table: print(f'L{e["layer"]}H{e["head"]}', ', '.join(e['roles']), flush=True)
    good = [length for length in LENGTHS if passkey[str(length)]['exact'] >= .9]
    result = dict(date=datetime.date.today().isoformat(), torch=torch.__version__, transformers=transformers.__version__, parameters=sum(p.numel() for p in model.parameters()),
                  longest_context_with_passkey_0_9=max(good, default=0), loss=dict(tokens=max(2, windows) * max(LENGTHS), by_context=by_context, by_position=by_position), passkey=passkey,
                  heads=dict(context=HEAD_CONTEXT, counts=counts, table=table))
    if not a.quick:
        (a.model / 'evaluation.json').write_text(json.dumps(result, indent=1) + '\n'); write_card(a.model, result)
