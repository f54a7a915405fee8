#!/usr/bin/env python3
"""Make the goldens: tiny checkpoints in Hugging Face form and what transformers computes from them in fp32.

  python test/goldens/make_goldens.py [--only CASE] [--expected-only]

Needs torch, transformers, safetensors, numpy. Seeds are fixed, so a second run with the same versions gives the same
checkpoints bit for bit. --expected-only keeps the checkpoints and recomputes the expected values. README.md says what
each case covers.
"""
import argparse, json, pathlib, shutil
import numpy as np
import torch
import transformers
from safetensors.numpy import save_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama import modeling_llama
import reference_statistics

HERE = pathlib.Path(__file__).resolve().parent
DECODE = 8
# Greedy ids are only a golden if no step is a near tie: smallest gap between the two largest logits, in logits.
MARGIN = 1e-2

CASES = {
    # 9 query / 3 kv heads, hidden != heads * head_dim, three shards, fp32, untied, transformers-5 config dialect.
    'gqa-f32': dict(seed=11, tokens=67, shards='170KB', dtype=torch.float32, statistics=True, outliers=True,
                    config=dict(hidden_size=63, intermediate_size=52, num_hidden_layers=2, num_attention_heads=9, num_key_value_heads=3, head_dim=24,
                                vocab_size=97, tie_word_embeddings=False, rms_norm_eps=1e-6, max_position_embeddings=512,
                                rope_parameters=dict(rope_type='default', rope_theta=5000.0))),
    # 4/4 heads, bf16 weights, tied, llama3 RoPE: wavelengths 6.3 (kept), 20 and 63 (interpolated), 199 and up (divided),
    # transformers-4 config dialect.
    'llama3-bf16': dict(seed=22, tokens=130, shards=None, dtype=torch.bfloat16, dialect=4,
                        config=dict(hidden_size=64, intermediate_size=88, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, head_dim=16,
                                    vocab_size=131, tie_word_embeddings=True, rms_norm_eps=1e-5, max_position_embeddings=512,
                                    rope_parameters=dict(rope_type='llama3', rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64))),
    # 7/1 heads (MQA), head_dim 40, one layer, f16 weights, untied.
    'mqa-f16': dict(seed=33, tokens=131, shards=None, dtype=torch.float16,
                    config=dict(hidden_size=49, intermediate_size=70, num_hidden_layers=1, num_attention_heads=7, num_key_value_heads=1, head_dim=40,
                                vocab_size=83, tie_word_embeddings=False, rms_norm_eps=1e-5, max_position_embeddings=256,
                                rope_parameters=dict(rope_type='default', rope_theta=10000.0))),
}


def random_model(case):
    """Random weights scaled so that scores have a standard deviation of about 2 (peaked rows, no row one-hot)."""
    config = LlamaConfig(**case['config'], hidden_act='silu', attention_bias=False, mlp_bias=False, bos_token_id=0, eos_token_id=None, pad_token_id=None)
    g = torch.Generator().manual_seed(case['seed'])
    model = LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            normal = torch.randn(p.shape, generator=g)
            if p.dim() == 1: p.copy_(1 + .2 * normal)
            else: p.copy_(normal * (1.4 if 'q_proj' in name or 'k_proj' in name else 1.0) * (.3 if 'embed' in name else p.shape[1] ** -.5))
        if case.get('outliers'): plant_outliers(model, config)
    return model.to(case['dtype'])


def plant_outliers(model, config):
    """One loud rotary pair of K (its queries quieter by the same factor, so that scores stay) and one loud channel of V."""
    d, group = config.head_dim, config.num_attention_heads // config.num_key_value_heads
    attention = model.model.layers[1].self_attn
    for channel in (5, 5 + d // 2):
        attention.k_proj.weight[1 * d + channel] *= 8
        for h in range(group, 2 * group): attention.q_proj.weight[h * d + channel] /= 8
    attention.v_proj.weight[2 * d + 7] *= 8


def to_dialect_4(path):
    """Rewrite config.json the way transformers 4 wrote it: rope_theta, rope_scaling, torch_dtype."""
    config = json.loads(path.read_text())
    rope = config.pop('rope_parameters')
    config['rope_theta'] = rope.pop('rope_theta')
    config['rope_scaling'] = rope if rope['rope_type'] != 'default' else None
    config['torch_dtype'] = config.pop('dtype')
    config['transformers_version'] = '4.46.0'
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + '\n')


@torch.no_grad()
def run(folder, tokens, decode):
    """fp32 eager forward over the prompt and `decode` greedy steps: ids, logits, post-RoPE q, k, v, attention."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager').eval()
    ids, margins = list(tokens), []
    for _ in range(decode):
        top = model(torch.tensor([ids]), use_cache=False).logits[0, -1].topk(2)
        margins.append((top.values[0] - top.values[1]).item())
        ids.append(int(top.indices[0]))
    assert decode == 0 or min(margins) > MARGIN, f'near tie in greedy decoding ({min(margins):.2g} logits): change the seed'
    seen = {'before': [], 'q': [], 'k': [], 'v': []}
    rotary = modeling_llama.apply_rotary_pos_emb
    def record(q, k, *rest, **named):
        after = rotary(q, k, *rest, **named)
        seen['before'].append(q[0]); seen['q'].append(after[0][0]); seen['k'].append(after[1][0])
        return after
    d, kv = model.config.head_dim, model.config.num_key_value_heads
    hooks = [layer.self_attn.v_proj.register_forward_hook(lambda _m, _i, out: seen['v'].append(out[0].view(-1, kv, d).transpose(0, 1))) for layer in model.model.layers]
    modeling_llama.apply_rotary_pos_emb = record
    try: result = model(torch.tensor([ids]), use_cache=False, output_attentions=True)
    finally: modeling_llama.apply_rotary_pos_emb = rotary
    for hook in hooks: hook.remove()
    stack = lambda xs: torch.stack(list(xs)).float().numpy()
    return dict(ids=np.array(ids, np.uint32), margin=min(margins, default=0), logits=result.logits[0].float().numpy(), attention=stack(a[0] for a in result.attentions),
                inverse_frequencies=model.model.rotary_emb.inv_freq.float().numpy(), **{name: stack(xs) for name, xs in seen.items()}), model.config


def spread(n, prompt, edges=(16, 32, 64)):
    """Rows whose attention is stored: the first ones, around the edges of blocks, the last prompt row and decode rows."""
    rows = {0, 1, 2, 3, 5, prompt // 2 + 1, prompt - 2, prompt - 1, prompt, n - 1} | {e + o for e in edges for o in (-1, 0, 1)}
    return np.array(sorted(r for r in rows if 0 <= r < n), np.uint32)


def save(path, tensors):
    save_file({name: np.ascontiguousarray(x) for name, x in tensors.items()}, str(path))
    path.chmod(0o644)
    print(f'  {path.relative_to(HERE)}  {path.stat().st_size:,} bytes')


def store(folder, r, config, prompt, positions=None):
    """expected.safetensors: q, k, v, logits at `positions` (every one by default), attention at a spread of rows."""
    n = len(r['ids'])
    at = np.arange(n, dtype=np.uint32) if positions is None else positions
    rows = spread(n, prompt) if positions is None else positions[::4]
    logits = torch.tensor(r['logits']).log_softmax(-1).numpy()
    save(folder / 'expected.safetensors', dict(
        ids=r['ids'], prompt_tokens=np.array([prompt], np.uint32), positions=at, attention_rows=rows,
        logits=r['logits'][at], q=r['q'][:, :, at], k=r['k'][:, :, at], v=r['v'][:, :, at], attention=r['attention'][:, :, rows],
        inverse_frequencies=r['inverse_frequencies'],
        log_probability=np.array([logits[i - 1, r['ids'][i]] for i in range(prompt, n)], np.float32)))
    a = r['attention'][:, :, prompt - 1]
    entropy = -(a * np.log(np.maximum(a, 1e-30))).sum(-1)
    print(f'  greedy ids {r["ids"][prompt:].tolist()}; last prompt row: mean top p {a.max(-1).mean():.2f}, mean entropy {entropy.mean():.2f} nats (uniform {np.log(prompt):.2f}); smallest greedy margin {r["margin"]:.3f}')


def make(name, case, expected_only):
    print(name)
    folder, model_dir = HERE / name, HERE / name / 'model'
    if not expected_only:
        shutil.rmtree(folder, ignore_errors=True); model_dir.mkdir(parents=True)
        model = random_model(case)
        model.save_pretrained(model_dir, **(dict(max_shard_size=case['shards']) if case['shards'] else {}))
        (model_dir / 'generation_config.json').unlink(missing_ok=True)
        for f in model_dir.iterdir(): f.chmod(0o644)
        if case.get('dialect') == 4: to_dialect_4(model_dir / 'config.json')
        print('  ' + ', '.join(f'{f.name} {f.stat().st_size:,}' for f in sorted(model_dir.iterdir())))
    prompt = case['tokens']
    tokens = np.random.default_rng(case['seed']).integers(1, case['config']['vocab_size'], prompt)
    r, config = run(model_dir, tokens, DECODE)
    store(folder, r, config, prompt)
    if case.get('statistics'):
        s = reference_statistics.build(r['q'], r['k'], r['v'], r['before'], prompt, config.head_dim ** -.5)
        save(folder / 'statistics.safetensors', s)
        (folder / 'statistics.json').write_text(json.dumps(reference_statistics.SETTINGS | dict(binRatio=reference_statistics.BIN_RATIO)) + '\n')


def make_demo():
    """The demo model on the first 256 tokens of its prompt; every 9th position is stored, to stay small."""
    print('demo')
    from tokenizers import Tokenizer
    data = HERE.parent.parent / 'data'
    text = json.loads((data / 'prompts' / 'demo.json').read_text())
    ids = Tokenizer.from_file(str(data / 'demo-model' / 'tokenizer.json')).encode(text['context'] + text['question']).ids[:256]
    r, config = run(data / 'demo-model', ids, DECODE)
    (HERE / 'demo').mkdir(exist_ok=True)
    n = len(r['ids'])
    store(HERE / 'demo', r, config, 256, np.array(sorted({*range(0, n, 9), 1, 2, 255, 256, n - 1}), np.uint32))


if __name__ == '__main__':
    ap = argparse.ArgumentParser()
    ap.add_argument('--only', choices=[*CASES, 'demo'])
    ap.add_argument('--expected-only', action='store_true')
    a = ap.parse_args()
    torch.set_num_threads(1)
    for name, case in CASES.items():
        if a.only in (None, name): make(name, case, a.expected_only)
    if a.only in (None, 'demo'): make_demo()
    (HERE / 'versions.json').write_text(json.dumps(dict(torch=torch.__version__, transformers=transformers.__version__, numpy=np.__version__)) + '\n')
