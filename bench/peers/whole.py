"""The peer of bench/whole.ts: the walk of `fairl train --pairs paradetox` in Python.

    python3 bench/peers/whole.py FOLDER

FOLDER holds what bench/whole.ts wrote: the encoder's graph and vocabulary, the settings, the paths of the two
sources. Reads and normalises the pairs, encodes them with onnxruntime, fits the four rewards in PyTorch with the
same settings, candidates, epochs and batches, and judges them on the test pairs. It leaves out what a short
script would: bootstrap intervals, calibration, the artefact, its plots. Prints one line of JSON with the seconds of each
part and a few figures.
"""

import csv
import html
import json
import math
import random
import re
import sys
import time
import unicodedata

STARTED = time.perf_counter()

import numpy as np
import onnxruntime
import torch
from tokenizers import Regex, Tokenizer, models, normalizers
from torch.nn.functional import softplus

FOLDER = sys.argv[1]
TASK = json.load(open(f"{FOLDER}/task.json"))
SETTINGS = TASK["settings"]
TOKENS, BATCH_TOKENS = 128, 512
TWEETS, PENALTY, TAU = 2000, 1e-4, 0.6
ENTROPY = SETTINGS["objective"] == "max-entropy"
marks = {"start": STARTED}

LETTER = r"[^\W\d_]"
RULES = [(re.compile(pattern), by) for pattern, by in [
    (r"[‘’‛`´]", "'"),
    (r"[\"“”„«»]|''", " "),
    (rf"(?<={LETTER})\s+'\s*(?=(?:s|m|re|ll|ve|d|t|n)\b)", "'"),
    (rf"(?<={LETTER}')\s+(?=(?:s|m|re|ll|ve|d|t)\b)", ""),
    (r"\s+(?=[.,!?;:%)\]}])", ""),
    (r"(?<=[([{$#])\s+", ""),
    (r"([.,!?;:])[.,!?;:]*", r"\1"),
    (rf"(?<=[,;!?])(?={LETTER})", " "),
    (r"[\s.,!?;:]+$", ""),
    (r"\s+", " "),
]]


def normalise(text):
    text = unicodedata.normalize("NFKC", text).lower()
    for pattern, by in RULES:
        text = pattern.sub(by, text)
    return text.strip()


ADDRESSES = re.compile(r"https?://\S+|www\.\S+|@\w+:?", re.I)


def normalise_tweet(text):
    text = html.unescape(html.unescape(text))
    text = re.sub(r"\bRT\b", " ", ADDRESSES.sub(" ", text))
    return normalise("".join(" " if unicodedata.category(c) in ("So", "Sk", "Cf") else c for c in text))


def components(left, right):
    """Which group each pair belongs to, where pairs that share a text are one."""
    parent = {}

    def root(text):
        while parent.setdefault(text, text) != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for a, b in zip(left, right):
        parent[root(a)] = root(b)
    return [root(a) for a in left]


def read_pairs():
    pairs = {}
    with open(TASK["paradetox"], encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            toxic, *neutral = (normalise(text or "") for text in row.values())
            for text in neutral:
                if text and toxic and text != toxic:
                    pairs[(text, toxic)] = True
    return list(pairs)


def split(pairs, shares, seed=0):
    group = components([a for a, _ in pairs], [b for _, b in pairs])
    members = {}
    for at, key in enumerate(group):
        members.setdefault(key, []).append(at)
    order = list(members.values())
    random.Random(seed).shuffle(order)
    room = [round(share * len(pairs)) for share in shares]
    parts = [[] for _ in range(len(shares) + 1)]
    for some in order:
        part = next((at for at, left in enumerate(room) if len(some) <= left), len(shares))
        if part < len(shares):
            room[part] -= len(some)
        parts[part] += some
    return [torch.tensor(sorted(part)) for part in parts]


class Encoder:
    def __init__(self):
        vocabulary = [(piece, score) for piece, score in json.load(open(f"{FOLDER}/vocabulary.json"))]
        self.tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0))
        self.tokenizer.normalizer = normalizers.Sequence([
            normalizers.NFKC(), normalizers.Prepend("▁"), normalizers.Replace(Regex(" "), "▁"),
        ])
        self.session = onnxruntime.InferenceSession(
            f"{FOLDER}/encoder.onnx", providers=["CPUExecutionProvider"]
        )

    def encode(self, texts):
        """Features of texts, in batches of equal length, longest first."""
        ids = [found.ids[:TOKENS] for found in self.tokenizer.encode_batch(texts)]
        by_length = {}
        for at, tokens in enumerate(ids):
            by_length.setdefault(len(tokens), []).append(at)
        rows = np.zeros((len(texts), 512), np.float32)
        for length in sorted(by_length, reverse=True):
            if length == 0:
                continue
            size = max(1, BATCH_TOKENS // length)
            members = by_length[length]
            for start in range(0, len(members), size):
                some = members[start:start + size]
                batch = np.array([ids[at] for at in some], np.int32)
                rows[some] = self.session.run(None, {"ids": batch})[0]
        return torch.from_numpy(rows)


def separation(gaps):
    """V: the mean loss of each pair under the best-calibrated Bradley-Terry model, and each pair's."""
    gaps = gaps.double().numpy()
    spread = gaps.std()
    if not spread > 0 or gaps.mean() <= 0:
        return math.log(2), np.full(len(gaps), math.log(2))
    z = gaps / spread
    slope = lambda s: -(z / (1 + np.exp(np.minimum(s * z, 500)))).sum()
    low, high = 0.0, 1.0
    while slope(high) < 0 and high < 1024:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    losses = np.logaddexp(0, -low * z)
    return losses.mean(), losses


def simplest(candidates, independent):
    """The first candidate that is not significantly worse than the best."""
    best = min(candidates, key=lambda fit: fit["v"])
    for fit in candidates:
        worse = separation(fit["gaps"])[1] - separation(best["gaps"])[1]
        if worse.mean() <= 1e-9 + 1.645 * worse.std() / math.sqrt(independent):
            return fit


def loss_of(gap, sharpness):
    return softplus(-gap / sharpness) if ENTROPY else torch.relu(sharpness - gap)


def across(pairs, sides):
    """The pairs, then the chosen text of each against the rejected text of another on its side."""
    chosen, rejected = pairs
    more = [torch.arange(len(chosen))]
    others = []
    for side in sides.unique():
        members = torch.nonzero(sides == side).flatten()
        members = members[torch.randperm(len(members))]
        more.append(members)
        others.append(members.roll(-1))
    source = torch.cat(more)
    return chosen[source], torch.cat([rejected, rejected[torch.cat(others)]]), source


def fit_base(setting, features, pairs, validation, keep=None):
    difference = features[pairs[0]] - features[pairs[1]]
    unseen = features[validation[0]] - features[validation[1]]
    members = torch.arange(len(difference)) if keep is None else keep
    weight = torch.zeros(features.shape[1], 1, requires_grad=True)
    optimizer = torch.optim.AdamW([weight], lr=setting["learningRate"], weight_decay=SETTINGS["weightDecay"])
    best = None
    for _ in range(setting["epochs"]):
        order = members[torch.randperm(len(members))]
        for start in range(0, len(order) - SETTINGS["batch"] + 1, SETTINGS["batch"]):
            gap = (difference[order[start:start + SETTINGS["batch"]]] @ weight).squeeze(1)
            loss = loss_of(gap, setting["sharpness"]).mean() + setting["ridge"] / 2 * weight.square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            gaps = (unseen @ weight).squeeze(1)
            v = separation(gaps)[0]
            if best is None or v < best["v"]:
                best = {"v": v, "gaps": gaps, "weight": weight.detach().clone().squeeze(1)}
    return best


class Correction(torch.nn.Module):
    def __init__(self, start, dimension, hidden):
        super().__init__()
        bound = start["hidden"] / math.sqrt(dimension)
        units = hidden // 2 if start["output"] else hidden
        twice = lambda values: torch.cat([values, values], -1)[..., :hidden]
        self.hidden = torch.nn.Parameter(twice((torch.rand(dimension, units) * 2 - 1) * bound))
        self.bias = torch.nn.Parameter(twice((torch.rand(units) * 2 - 1) * bound))
        output = torch.full((hidden, 1), float(start["output"]))
        output[units:] *= -1
        self.output = torch.nn.Parameter(output)

    def forward(self, features):
        return (torch.tanh(features @ self.hidden + self.bias) @ self.output).squeeze(1)


def fit_correction(setting, select, features, pairs, validation, base):
    chosen, rejected = pairs
    model = Correction(setting["start"], features.shape[1], SETTINGS["correctionShape"]["hidden"])
    optimizer = torch.optim.AdamW([
        {"params": [model.hidden, model.output], "weight_decay": SETTINGS["weightDecay"]},
        {"params": [model.bias], "weight_decay": 0},
    ], lr=setting["learningRate"])
    batch, count, rounds = SETTINGS["batch"], len(chosen), setting["rounds"]
    epochs = setting["epochs"]
    if "steps" in setting:
        epochs = min(epochs, max(1, setting["steps"] // (count // batch)))
    fits = [{"v": separation(base["validation"])[0], "gaps": base["validation"], "alpha": alpha, "model": None}
            for alpha in setting["alphas"]]
    for round in range(rounds):
        with torch.no_grad():
            own = model(features)
            gaps = base["unseen"] + (own[chosen] - own[rejected])
        inside = gaps < TAU if select else torch.zeros(count, dtype=torch.bool)
        weight = torch.where(inside, float(setting["insideWeight"]), float(setting["outsideWeight"]))
        sharpness = torch.where(inside, float(setting["inside"]), float(setting["outside"]))
        for epoch in range(epochs):
            overall = round * epochs + epoch
            if setting["decay"]:
                for group in optimizer.param_groups:
                    group["lr"] = setting["learningRate"] * (1 - overall / (rounds * epochs))
            order = torch.randperm(count)
            for start in range(0, count - batch + 1, batch):
                index = order[start:start + batch]
                values = model(features[torch.cat([chosen[index], rejected[index]])])
                gap = base["train"][index] + values[:batch] - values[batch:]
                loss = (loss_of(gap, sharpness[index]) * weight[index]).mean()
                loss = loss + setting["ridge"] / 2 * model.hidden.square().sum()
                loss = loss + setting["outputRidge"] / 2 * model.output.square().sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                values = model(features[torch.cat(validation)])
                own = values[:len(validation[0])] - values[len(validation[0]):]
                for fit in fits:
                    gaps = base["validation"] + fit["alpha"] * own
                    v = separation(gaps)[0]
                    if v < fit["v"] and (not setting["decay"] or overall == rounds * epochs - 1):
                        fit.update(v=v, gaps=gaps, model={k: p.clone() for k, p in model.state_dict().items()})
    return fits


def auc(rewards, labels):
    order = rewards.argsort()
    ranks = torch.empty(len(order), dtype=torch.double)
    ranks[order] = torch.arange(1, len(order) + 1, dtype=torch.double)
    good = labels.sum().item()
    return ((ranks[labels].sum() - good * (good + 1) / 2) / (good * (len(order) - good))).item()


def starc(a, b):
    unit = lambda values: (values - values.mean()) / (values - values.mean()).norm()
    return ((unit(a) - unit(b)).norm() / 2).item()


def reference(encoder, known):
    """A logistic regression on tweets that are none of the texts at hand."""
    tweets = []
    with open(TASK["davidson"], encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            text = normalise_tweet(row["tweet"])
            if text and text not in known:
                tweets.append((text, row["class"] == "2"))
    random.Random(0).shuffle(tweets)
    features = encoder.encode([text for text, _ in tweets[:TWEETS]])
    signs = torch.tensor([1.0 if good else -1.0 for _, good in tweets[:TWEETS]])
    weight = torch.zeros(513, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        logits = features @ weight[:512] + weight[512]
        loss = softplus(-signs * logits).mean() + PENALTY / 2 * weight[:512].square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight.detach()[:512]


def mark(name):
    marks[name] = time.perf_counter()


def main():
    torch.manual_seed(0)
    mark("imports")
    pairs = read_pairs()
    texts = list({text: True for pair in pairs for text in pair})
    row = {text: at for at, text in enumerate(texts)}
    chosen = torch.tensor([row[a] for a, _ in pairs])
    rejected = torch.tensor([row[b] for _, b in pairs])
    test, validation, train = split(pairs, [0.2, 0.1])
    mark("read")
    encoder = Encoder()
    raw = encoder.encode(texts)
    mark("encode")

    used = torch.cat([chosen[train], rejected[train]]).unique()
    centred = raw - raw[used].mean(0)
    features = centred / centred[used].square().mean().sqrt()
    group = components([pairs[at][0] for at in train], [pairs[at][1] for at in train])
    side = {}
    sides = torch.tensor([side.setdefault(key, random.randrange(2)) for key in group])
    own = (chosen[train], rejected[train])
    *fitted, source = across(own, sides)
    folds = sides[source]
    held = (chosen[validation], rejected[validation])
    judges = across(held, torch.zeros(len(validation)))[:2]

    published = fit_base(SETTINGS["published"], features, own, held)
    grid = [fit_base(setting, features, fitted, judges) for setting in SETTINGS["tuned"]]
    tuned = simplest(grid, len(validation))
    setting = SETTINGS["tuned"][next(at for at, fit in enumerate(grid) if fit is tuned)]
    rewards = features @ tuned["weight"]
    gaps = rewards[fitted[0]] - rewards[fitted[1]]
    unit = gaps.std()
    unseen = torch.zeros(len(gaps))
    for fold in (0, 1):
        half = fit_base(setting, features, fitted, judges, torch.nonzero(folds == fold).flatten())
        values = features @ half["weight"]
        other = values[fitted[0]] - values[fitted[1]]
        unseen[folds != fold] = (other / other.std())[folds != fold]
    base = {"train": gaps / unit, "unseen": unseen, "validation": tuned["gaps"] / unit}
    found = {"irl": features @ published["weight"], "irl-tuned": rewards}
    for method, candidates in (("control", SETTINGS["control"]), ("fa-irl", SETTINGS["correction"])):
        fits = [fit for candidate in candidates for fit in fit_correction(
            candidate, method == "fa-irl", features, fitted, judges, base)]
        fit = simplest(fits, len(validation))
        found[method] = rewards / unit
        if fit["model"] and fit["alpha"] > 0:
            model = Correction({"hidden": 1, "output": 0}, features.shape[1], SETTINGS["correctionShape"]["hidden"])
            model.load_state_dict(fit["model"])
            with torch.no_grad():
                found[method] = found[method] + fit["alpha"] * model(features)
    mark("train")

    judged = torch.cat([chosen[test], rejected[test]]).unique()
    good = torch.zeros(len(texts), dtype=torch.bool)
    good[chosen[test]] = True
    truth = raw[judged] @ reference(encoder, {texts[at] for at in judged})
    figures = {
        method: {
            "pairAccuracy": (values[chosen[test]] > values[rejected[test]]).double().mean().item(),
            "rocAuc": auc(values[judged], good[judged]),
            "starc": starc(values[judged], truth),
        }
        for method, values in found.items()
    }
    mark("judge")
    names = list(marks)
    seconds = {name: marks[name] - marks[before] for before, name in zip(names, names[1:])}
    print(json.dumps({
        "seconds": seconds, "figures": figures, "pairs": len(pairs),
        "with": f"PyTorch {torch.__version__}, onnxruntime {onnxruntime.__version__}",
    }))


main()
