"""The peer of bench/zoo.ts: the shipped base model's recipe in PyTorch.

    python3 bench/peers/zoo.py FOLDER

FOLDER holds what bench/zoo.ts wrote: the first weights as a model of the hub, the packed rows of each epoch
and those held out, and the step sizes. Prints a line an epoch, then one of JSON with the perplexity of a
token on the held-out comments.
"""

import json
import math
import sys
import time

import torch
from transformers import LlamaForCausalLM

FOLDER = sys.argv[1]
TASK = json.load(open(f"{FOLDER}/task.json"))
ROWS, WIDTH = TASK["rows"], TASK["length"] + 1


def packed(name):
    """Tokens of rows, and which text of its row each belongs to (0: none)."""
    count = TASK["counts"][name]
    read = lambda part: torch.from_file(
        f"{FOLDER}/{name}.{part}", size=count * WIDTH, dtype=torch.int32
    ).view(count, WIDTH).long()
    return read("tokens"), read("texts")


def text_loss(model, tokens, texts):
    """Summed loss over the tokens that a text goes on with, and how many these are."""
    own = texts[:, :-1]
    same = (own[:, :, None] == own[:, None, :]).tril()[:, None]
    mask = torch.zeros(same.shape).masked_fill(~same, torch.finfo(torch.float32).min)
    logits = model(input_ids=tokens[:, :-1], attention_mask=mask, use_cache=False).logits
    counted = (texts[:, 1:] > 0) & (own == texts[:, 1:])
    loss = torch.nn.functional.cross_entropy(logits[counted], tokens[:, 1:][counted], reduction="sum")
    return loss, counted.sum()


def held_out(model):
    tokens, texts = packed("held")
    total = count = 0
    with torch.no_grad():
        for at in range(0, len(tokens), 16):
            loss, own = text_loss(model, tokens[at : at + 16], texts[at : at + 16])
            total, count = total + loss.item(), count + own.item()
    return math.exp(total / count)


def main():
    model = LlamaForCausalLM.from_pretrained(f"{FOLDER}/model", dtype=torch.float32)
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name]
    others = [p for name, p in model.named_parameters() if p.ndim == 1 or ".layers." not in name]
    muon = torch.optim.Muon(matrices, lr=1.0, weight_decay=0.0, momentum=0.95)
    adam = torch.optim.AdamW(others, lr=1.0, weight_decay=0.0)
    rates = iter(TASK["rates"])
    started = time.perf_counter()
    for epoch in range(TASK["epochs"]):
        tokens, texts = packed(f"epoch{epoch}")
        losses = []
        for at in range(0, len(tokens) - ROWS + 1, ROWS):
            rate = next(rates)
            for group in muon.param_groups:
                group["lr"] = rate
            for group in adam.param_groups:
                group["lr"] = 0.2 * rate
            loss, count = text_loss(model, tokens[at : at + ROWS], texts[at : at + ROWS])
            loss = loss / count
            model.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            muon.step()
            adam.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.3f}, held out {held_out(model):.1f}", flush=True)
    print(json.dumps({
        "perplexity": held_out(model),
        "epochs": TASK["epochs"],
        "seconds": round(time.perf_counter() - started),
        "torch": torch.__version__.split("+")[0],
        "threads": torch.get_num_threads(),
    }))


main()
