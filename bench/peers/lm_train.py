"""The peer of bench/lm.ts that trains: the same Llama in eager PyTorch, with its default threads.

Started with the folder that holds shape, weights and tokens; answers "peak" with the GFLOP/s of a
matrix product, and a number of steps with the milliseconds that they took and their losses.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F

FOLDER = sys.argv[1]
SHAPE = json.load(open(f"{FOLDER}/shape.json"))
HEADS, SIZE, WIDTH = SHAPE["heads"], SHAPE["headSize"], SHAPE["width"]
ROWS, LENGTH = SHAPE["rows"], SHAPE["rowLength"]


def read(name, dims, dtype=torch.float32):
    size = torch.Size(dims).numel()
    return torch.from_file(f"{FOLDER}/{name}", size=size, dtype=dtype).view(dims).clone()


weights = {name: read(name, dims).requires_grad_() for name, dims in SHAPE["shapes"].items()}
rows = read("tokens", [ROWS, LENGTH + 1], torch.int32).long()
angles = torch.outer(
    torch.arange(LENGTH).float(),
    SHAPE["ropeTheta"] ** (-torch.arange(0, SIZE, 2).float() / SIZE),
)
cos, sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)


def turned(x):
    low, high = x.chunk(2, -1)
    return x * cos + torch.cat([-high, low], -1) * sin


def norm(x, name):
    return F.rms_norm(x, [WIDTH], weights[f"{name}.weight"], SHAPE["normEpsilon"])


def linear(x, name):
    return F.linear(x, weights[f"{name}.weight"])


def loss_of(tokens, targets):
    x = F.embedding(tokens, weights["model.embed_tokens.weight"])
    for layer in range(SHAPE["layers"]):
        at = f"model.layers.{layer}"
        seen = norm(x, f"{at}.input_layernorm")
        q, k, v = (
            linear(seen, f"{at}.self_attn.{part}_proj").view(ROWS, LENGTH, HEADS, SIZE).transpose(1, 2)
            for part in "qkv"
        )
        mixed = F.scaled_dot_product_attention(turned(q), turned(k), v, is_causal=True)
        x = x + linear(mixed.transpose(1, 2).reshape(ROWS, LENGTH, -1), f"{at}.self_attn.o_proj")
        seen = norm(x, f"{at}.post_attention_layernorm")
        gate = F.silu(linear(seen, f"{at}.mlp.gate_proj")) * linear(seen, f"{at}.mlp.up_proj")
        x = x + linear(gate, f"{at}.mlp.down_proj")
    logits = F.linear(norm(x, "model.norm"), weights["model.embed_tokens.weight"])
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


parameters = list(weights.values())
optimizer = torch.optim.AdamW(parameters, lr=SHAPE["learningRate"], weight_decay=0, fused=True)


def step():
    loss = loss_of(rows[:, :-1], rows[:, 1:])
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    return loss.item()


def peak():
    m, k, n = (SHAPE["product"][side] for side in "mkn")
    x, w = torch.randn(m, k), torch.randn(k, n)
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        x @ w
        best = min(best, time.perf_counter() - started)
    return 2 * m * k * n / best / 1e9


print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
for line in sys.stdin:
    if line.strip() == "peak":
        print(json.dumps(peak()), flush=True)
        continue
    started = time.perf_counter()
    losses = [step() for _ in range(int(line))]
    millis = (time.perf_counter() - started) * 1000
    print(json.dumps({"millis": millis, "losses": losses}), flush=True)
