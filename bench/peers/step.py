"""The peer of bench/step.ts: the same step in eager PyTorch, with its default threads.

Started with the folder that holds the data; answers each line "HEAD STEPS" with the microseconds a
step took and the mean loss of the steps. HEAD "differences" is the linear head on features that were
subtracted beforehand, as fairl keeps them.
"""

import json
import sys
import time

import torch
from torch.nn.functional import softplus

FOLDER = sys.argv[1]
SHAPE = json.load(open(f"{FOLDER}/shape.json"))
DIMENSION, BATCH, PAIRS = SHAPE["dimension"], SHAPE["batch"], SHAPE["pairs"]


def read(name, length, dtype):
    return torch.from_file(f"{FOLDER}/{name}", size=length, dtype=dtype).clone()


features = read("features", 2 * PAIRS * DIMENSION, torch.float32).view(2 * PAIRS, DIMENSION)
chosen = read("chosen", PAIRS, torch.int32).long()
rejected = read("rejected", PAIRS, torch.int32).long()
order = read("order", SHAPE["order"], torch.int32).long()
differences = features[chosen] - features[rejected]


class Head:
    def __init__(self, name):
        self.on_differences = name == "differences"
        if name == "mlp":
            self.model = torch.nn.Sequential(
                torch.nn.Linear(DIMENSION, SHAPE["hidden"]),
                torch.nn.Tanh(),
                torch.nn.Linear(SHAPE["hidden"], 1, bias=False),
            )
            last = self.model[-1]
        else:
            self.model = last = torch.nn.Linear(DIMENSION, 1, bias=False)
        torch.nn.init.zeros_(last.weight)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=SHAPE["learningRate"],
            weight_decay=SHAPE["weightDecay"],
        )

    def gap(self, index):
        if self.on_differences:
            return self.model(differences[index])
        return self.model(features[chosen[index]]) - self.model(features[rejected[index]])

    def step(self, index):
        loss = softplus(-self.gap(index)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def main():
    heads = {name: Head(name) for name in ("linear", "differences", "mlp")}
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    for line in sys.stdin:
        name, steps = line.split()
        head, steps = heads[name], int(steps)
        started = time.perf_counter()
        losses = [head.step(order[at * BATCH : (at + 1) * BATCH]) for at in range(steps)]
        seconds = time.perf_counter() - started
        loss = torch.stack(losses).mean().item()
        print(json.dumps({"micros": seconds / steps * 1e6, "loss": loss}), flush=True)


main()
