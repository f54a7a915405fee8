#!/usr/bin/env python3
"""Build and check a demo prompt from its plain text files.

  python data/prompts/build.py [--model data/demo-model] [--name demo] [--ask WORD] [--report]

Reads <name>/context.txt and <name>/continuation.txt (ASCII; needles in the form " The code of <word> is 4821."), asks for
the needle --ask, and writes <name>.json: {name, notes, context, question, answer, continuation, needles: [{label, start, end,
text}]}, ranges in characters of the context, end exclusive. Refuses to write unless the ranges hold the needles, the
token counts are right (LIMIT before the continuation, CONTINUATION tokens in it, both parts tokenised alone or together alike) and
the model answers every needle's question greedily with the right digits. --report checks the file that is there
and writes nothing. Needs tokenizers, torch and transformers; nothing else in the project needs this script.
"""
import argparse, json, pathlib, re, sys

HERE = pathlib.Path(__file__).resolve().parent
NEEDLE = re.compile(r'The code of ([a-z]{4,9}) is (\d{4})\.')
LIMIT, CONTINUATION = 1024, 512


def read(folder):
    context, continuation = ((folder / f'{part}.txt').read_bytes().decode('ascii').rstrip('\n') for part in ('context', 'continuation'))
    return context, continuation


def assemble(name, context, continuation, word):
    found = [dict(label=m[1], start=m.start(), end=m.end(), text=m[0]) for m in NEEDLE.finditer(context)]
    codes = {m[1]: m[2] for m in NEEDLE.finditer(context)}
    return dict(name=name, notes='Written for this project. Each needle states a code; the question asks for one of them, the continuation repeats them all.',
                context=context, question=f' The code of {word} is', answer=f' {codes[word]}.', continuation=continuation, needles=found)


def token_problems(prompt, encode):
    """What is wrong with the counts and ranges, as sentences."""
    before = encode(prompt['context'] + prompt['question'] + prompt['answer'])
    alone, both = encode(prompt['continuation'])[1:], encode(''.join(prompt[k] for k in ('context', 'question', 'answer', 'continuation')))
    if len(before) > LIMIT: yield f'prompt and answer are {len(before)} tokens, more than {LIMIT}'
    if len(alone) != CONTINUATION: yield f'the continuation is {len(alone)} tokens, not {CONTINUATION}'
    if both != before + alone: yield 'prompt and continuation tokenise differently together than apart'
    labels = [n['label'] for n in prompt['needles']]
    if len(set(labels)) != len(labels): yield 'two needles share a label'
    for n in prompt['needles']:
        if prompt['context'][n['start']:n['end']] != n['text']: yield f'the range of needle {n["label"]} does not hold its text'
        if prompt['context'][n['start'] - 1] != ' ': yield f'no space before needle {n["label"]}'
    codes = {n['label']: n['text'][-5:-1] for n in prompt['needles']}
    for m in NEEDLE.finditer(prompt['continuation']):
        if codes.get(m[1]) != m[2]: yield f'the continuation states another code of {m[1]}'


def answers(prompt, encode, folder):
    """For every needle: whether greedy decoding after its question gives the answer, and the least probability of a right token."""
    import torch
    from transformers import LlamaForCausalLM
    torch.set_num_threads(1)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for n in prompt['needles']:
        code = n['text'][-5:-1]
        ids = encode(prompt['context'] + f' The code of {n["label"]} is')
        wanted = encode(prompt['context'] + f' The code of {n["label"]} is {code}.')[len(ids):]  # space, four digits, full stop
        got, worst = [], 1.0
        with torch.no_grad():
            for target in wanted:
                p = model(torch.tensor([ids + got])).logits[0, -1].softmax(-1)
                got.append(int(p.argmax())); worst = min(worst, p[target].item())
        yield n, got == wanted, worst


def continuation_report(prompt, encode, folder):
    """Loss on the prompt and on the continuation, and which codes the model predicts (teacher-forced) where the continuation repeats them."""
    import torch
    from transformers import LlamaForCausalLM
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = encode(''.join(prompt[k] for k in ('context', 'question', 'answer', 'continuation')))
    with torch.no_grad(): logits = model(torch.tensor([ids])).logits[0, :-1]
    loss, best = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction='none'), logits.argmax(-1).tolist()
    repeated = []
    for m in NEEDLE.finditer(prompt['continuation']):
        at = len(ids) - len(encode(prompt['continuation'][m.start(2):])) + 1
        repeated.append((m[1], at, best[at - 1:at + 3] == ids[at:at + 4]))
    return loss[:-CONTINUATION].mean().item(), loss[-CONTINUATION:].mean().item(), repeated


if __name__ == '__main__':
    ap = argparse.ArgumentParser()
    ap.add_argument('--model', type=pathlib.Path, default=HERE.parent / 'demo-model')
    ap.add_argument('--name', default='demo'), ap.add_argument('--ask'), ap.add_argument('--report', action='store_true')
    a = ap.parse_args()
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(a.model / 'tokenizer.json'))
    encode = lambda text: tokenizer.encode(text).ids
    target = HERE / f'{a.name}.json'
    card = a.model / 'attnscope.json'
    trained = json.loads(card.read_text())['trainedContext'] if card.exists() else None
    if a.report: prompt = json.loads(target.read_text())
    else:
        context, continuation = read(HERE / a.name)
        prompt = assemble(a.name, context, continuation, a.ask or NEEDLE.search(context)[1])
    problems = list(token_problems(prompt, encode))
    size = lambda *keys: len(encode(''.join(prompt[k] for k in keys)))
    print(f'{size("context", "question")} tokens of prompt (BOS included), {size("context", "question", "answer")} with the answer, {size("continuation") - 1} of continuation')
    total, everything = size('context'), size('context', 'question', 'answer', 'continuation')
    if trained is not None and everything > trained and not a.report:
        prompt['notes'] += f' Prompt and answer are {size("context", "question", "answer")} tokens; with the continuation it is {everything}, of which those past {trained:,} are at an untrained length of the demo model.'
    for n, right, worst in answers(prompt, encode, a.model):
        first = size('context') - len(encode(prompt['context'][n['start']:])) + 1
        asked = ' <- asked' if prompt['question'] == f' The code of {n["label"]} is' else ''
        print(f'{n["label"]:10} token {first:4} (depth {first / total:.2f}) {"right" if right else "WRONG"}, least probability of a token of the answer {worst:.2f}{asked}')
        if not right: problems.append(f'the model does not answer the question for {n["label"]}')
    before, after, repeated = continuation_report(prompt, encode, a.model)
    print(f'loss {before:.2f} nats/token on the prompt, {after:.2f} on the continuation')
    print('repeated in the continuation: ' + ', '.join(f'{word} at {at} {"predicted" if right else "missed"}' for word, at, right in repeated))
    for p in problems: print('problem:', p)
    if problems: sys.exit(1)
    if not a.report: target.write_text(json.dumps(prompt, indent=2) + '\n')
