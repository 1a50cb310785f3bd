"""The same classifier on real series: sets of the UEA/UCR archives, trained complete, tested with entries
removed."""
from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from nde_lab import data as series
from nde_lab import optimizers
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Index, Normal, Permutation, Uniform
from nde_lab.sdes.stable_neural_sdes import training as tr
from nde_lab.sdes.stable_neural_sdes.models import KINDS, classifier

HIDDEN, BATCH = 16, 50
RATES = tuple(i / 10 for i in range(9))
# Data set -> (keep every n-th point, training steps): a live run takes seconds.
SETS = {"BasicMotions": (2, 60), "JapaneseVowels": (1, 180), "ItalyPowerDemand": (1, 240),
        "GunPoint": (3, 240)}
SHARES = (0.7, 0.85)          # train up to 70 %, validation up to 85 %, test the rest


@functools.lru_cache(maxsize=8)
def _load(name: str, every: int) -> tuple[dict, int]:
    """Arrays of a set and its number of classes; also the places of each part in the series grouped by
    class."""
    loaded = series.load_series(name, every=every)
    places, start = {"train": [], "test": []}, 0
    for k in range(len(loaded.classes)):
        n = int((loaded.labels == k).sum())
        first, second = (start + round(share * n) for share in SHARES)
        places["train"] += range(start, first)
        places["test"] += range(second, start + n)
        start += n
    times = loaded.times
    arrays = {"values": loaded.values, "labels": loaded.labels, "last": loaded.lengths - 1, "times": times,
              "clock": (times - times.mean()) / times.std(correction=0), "ts": tr.HORIZON * times,
              **{part: torch.tensor(at) for part, at in places.items()}}
    return arrays, len(loaded.classes)


@experiment(paper="stable-neural-sdes")
@dataclass(frozen=True)
class SeriesClassifier:
    """Train on complete real series, test with entries removed. One step is one Adam step on 50 series.

    Split 70/15/15 per class, at random (seed); channels standardised with the training part's moments, time
    as a channel; linear interpolation where entries are removed; series of unequal length are read out at
    their own end. The validation part is left untouched: nothing is selected on it.
    """
    dataset: str = knob("BasicMotions", choices=tuple(SETS), label="data set")
    kind: str = knob("GSDE", choices=KINDS, label="class")
    control: bool = knob(True, choices=(True, False), label="control path", help="feed X(t) into the drift")
    live = {"missing": Knob(0.5, low=0.0, high=0.8, label="missing rate",
                            help="share of test entries removed"),
            "theta": Knob(-2.0, low=-4.0, high=2.0, label="noise θ",
                          help="the noise is scaled by sigmoid(θ)"),
            "lr": Knob(1e-2, low=1e-4, high=1e-1, scale="log", label="learning rate")}
    draws_of_noise, rates = 1, RATES

    @property
    def plan(self):
        return Plan(SETS[self.dataset][1], every=5, engines=("kernel", "stored"),
                    advice="lower the learning rate or the noise θ")

    @property
    def every(self) -> int:
        """Every how-manieth point of the set is kept."""
        return SETS[self.dataset][0]

    @functools.cached_property
    def net(self):
        """The classifier; its theta is the deviation from the knob, so it starts at 0. One per instance:
        applying it lends it the parameters, so two threads must not share one."""
        arrays, classes = _load(self.dataset, self.every)
        return classifier(self.kind, channels=arrays["values"].shape[2] + 1, classes=classes, hidden=HIDDEN,
                          control=self.control, theta=0.0)

    def data(self):
        return _load(self.dataset, self.every)[0] | {"rates": torch.tensor(self.rates)}

    def draws(self):
        arrays, _ = _load(self.dataset, self.every)
        n, length, channels = arrays["values"].shape
        steps, tests = length - 1, len(arrays["test"])
        return Draws(
            start={"order": Permutation(n), "u": Uniform((tests, length, channels))} | self.net.draws,
            step={"index": Index((BATCH,), len(arrays["train"])), "xi": Normal((steps, BATCH, HIDDEN)),
                  "test_index": Index((BATCH,), tests), "test_xi": Normal((steps, BATCH, HIDDEN))},
            observe={"xi": Normal((steps, self.draws_of_noise, tests, HIDDEN)),
                     "shown_xi": Normal((steps, 12, HIDDEN))})

    def init(self, data, start, live):
        # A random order, sorted by class without disturbing it: class after class, each in random order.
        order = start["order"]
        grouped = order[torch.argsort(data["labels"][order], stable=True)]
        train, test = grouped[data["train"]], grouped[data["test"]]
        mean, std = series.channel_moments(data["values"][train])
        params = self.net.init(start)
        return params | optimizers.adam_state(params) | {
            "train": train, "test": test, "mean": mean, "std": std, "u": start["u"]}

    def paths(self, data, state, rows, missing=None):
        """Control paths (L, B, 1 + C) of series ``rows`` (B,), without the entries where ``missing`` (B, L,
        C)."""
        values = (data["values"][rows] - state["mean"]) / state["std"]
        path = series.linear(data["clock"], values, None if missing is None else ~missing)
        return series.with_time(data["clock"], path).transpose(0, 1)

    def step(self, data, state, noise, live):
        net, ts, labels, last = self.net, data["ts"], data["labels"], data["last"]
        root = torch.sqrt(ts[1:] - ts[:-1])[:, None, None]
        i, j = state["train"][noise["index"]], state["test"][noise["test_index"]]
        complete = self.paths(data, state, i)
        holes = self.paths(data, state, j,
                           series.missing_mask(state["u"][noise["test_index"]], live["missing"]))

        def loss(params, xs, xi, rows):
            scores = net.apply(tr.with_theta(params, live["theta"]), ts, xs, root * xi, last[rows])
            return tr.cross_entropy(scores, labels[rows])

        params, adam, train_loss = tr.adam_step(lambda p: loss(p, complete, noise["xi"], i),
                                                net.params(state), state, lr=live["lr"])
        kept = {n: state[n] for n in ("train", "test", "mean", "std", "u")}
        return params | adam | kept, {
            "train_loss": train_loss, "test_loss": loss(params, holes, noise["test_xi"], j),
            "ok": tr.finite(params)}

    def observe(self, data, state, noise, live):
        net, ts, test = self.net, data["ts"], state["test"]
        params = tr.with_theta(net.params(state), live["theta"])
        root = torch.sqrt(ts[1:] - ts[:-1])[:, None, None]
        curve = []
        for rate in data["rates"]:                      # the same u: a higher rate removes further entries
            xs = self.paths(data, state, test, series.missing_mask(state["u"], rate))
            hits = [tr.accuracy(net.apply(params, ts, xs, root * noise["xi"][:, k], data["last"][test]),
                                data["labels"][test]) for k in range(self.draws_of_noise)]
            curve.append(torch.stack(hits).mean())
        one, end = test[:1], torch.minimum(torch.arange(len(ts)), data["last"][test[0]])
        missing = series.missing_mask(state["u"][:1], live["missing"])
        xs = self.paths(data, state, one, missing)
        scores = net.apply(params, ts, xs, root * noise["shown_xi"], None, True)[end]  # held after its end
        belief = (torch.softmax(scores, dim=-1) * tr.one_hot(data["labels"][one], scores)).sum(-1)
        kept = ~missing[..., :1] & ~torch.isnan(data["values"][one][..., :1])
        whole = self.paths(data, state, one)[:, 0, 1]
        dot_t, dot = tr.dots(data["times"], whole[None, :, None], kept)
        return {"rates": data["rates"], "accuracy": torch.stack(curve), "times": data["times"],
                "path": xs[:, 0, 1], "dot_t": dot_t, "dot": dot, "ts": ts, "belief": belief.T}

    def view(self):
        arrays, classes = _load(self.dataset, self.every)
        name = f"{self.dataset}, {self.kind}" + (" with" if self.control else " without") + " control path"
        return tr.classifier_view(name, tests=len(arrays["test"]), classes=classes,
                                  subject=" (first channel)" if arrays["values"].shape[2] > 1 else "")
