"""Which of three sines is it? A neural SDE classifier that trains on complete series and is tested with
holes."""
from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from nde_lab import data as series
from nde_lab import optimizers
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Index, Normal, Uniform
from nde_lab.sdes.stable_neural_sdes import training as tr
from nde_lab.sdes.stable_neural_sdes.models import KINDS, classifier

LENGTH, HIDDEN, BATCH, TRAIN = 40, 16, 50, 300
RATES = tuple(i / 10 for i in range(9))
SHOWN = 1            # the test series that the lower panels show (class 1)


@experiment(paper="stable-neural-sdes")
@dataclass(frozen=True)
class SineClassifier:
    """Train on 300 complete series, test on series with entries removed. One step is one Adam step on 50
    series.

    Class k is a sine of frequency 1, 1.5 or 2 on [0, 1] with random phase, amplitude 0.7-1.3 and noise 0.15,
    seen at 40 times; channels (time, value), standardised; linear interpolation where entries are removed.
    The latent SDE (16 dimensions) runs over model time 4 in 39 Euler-Maruyama steps.
    """
    kind: str = knob("GSDE", choices=KINDS, label="class")
    control: bool = knob(True, choices=(True, False), label="control path", help="feed X(t) into the drift")
    epochs: int = knob(15, low=1, high=40, label="epochs", help="one epoch is 6 steps")
    live = {"missing": Knob(0.5, low=0.0, high=0.8, label="missing rate",
                            help="share of test entries removed"),
            "theta": Knob(-2.0, low=-4.0, high=2.0, label="noise θ",
                          help="the noise is scaled by sigmoid(θ)"),
            "lr": Knob(1e-2, low=1e-4, high=1e-1, scale="log", label="learning rate")}
    tests, draws_of_noise, rates = 100, 1, RATES

    @property
    def plan(self):
        return Plan(self.epochs * (TRAIN // BATCH), every=3, advice="lower the learning rate or the noise θ")

    @functools.cached_property
    def net(self):
        """The classifier; its theta is the deviation from the knob, so it starts at 0. One per instance:
        applying it lends it the parameters, so two threads must not share one."""
        return classifier(self.kind, channels=2, classes=3, hidden=HIDDEN, control=self.control, theta=0.0)

    def data(self):
        clock = torch.linspace(0, 1, LENGTH)
        return {"times": clock, "clock": (clock - clock.mean()) / clock.std(correction=0),
                "ts": torch.linspace(0, tr.HORIZON, LENGTH), "rates": torch.tensor(self.rates),
                "labels": series.sines_labels(TRAIN), "test_labels": series.sines_labels(self.tests)}

    def draws(self):
        noise = (LENGTH - 1, BATCH, HIDDEN)
        return Draws(
            start=series.sines_draws(TRAIN, LENGTH, prefix="train.") | series.sines_draws(self.tests, LENGTH,
                                                                                          prefix="test.")
            | {"u": Uniform((self.tests, LENGTH, 1))} | self.net.draws,
            step={"index": Index((BATCH,), TRAIN), "xi": Normal(noise),
                  "test_index": Index((BATCH,), self.tests), "test_xi": Normal(noise)},
            observe={"xi": Normal((LENGTH - 1, self.draws_of_noise, self.tests, HIDDEN)),
                     "shown_xi": Normal((LENGTH - 1, 12, HIDDEN))})

    def init(self, data, start, live):
        params = self.net.init(start)
        train, test = (series.sines(data["times"], labels, **{n: start[f"{part}.{n}"] for n in
                                                             ("phase", "amplitude", "noise")})
                       for part, labels in (("train", data["labels"]), ("test", data["test_labels"])))
        mean, std = tr.moments(train)
        return params | optimizers.adam_state(params) | {
            "train": (train - mean) / std, "test": (test - mean) / std, "u": start["u"]}

    def step(self, data, state, noise, live):
        net, ts, i, j = self.net, data["ts"], noise["index"], noise["test_index"]
        root = torch.sqrt(ts[1:] - ts[:-1])[:, None, None]

        def scores(params, values, xi):
            xs = series.with_time(data["clock"], values).transpose(0, 1)                 # (40, 50, 2)
            return net.apply(tr.with_theta(params, live["theta"]), ts, xs, root * xi)

        params, adam, train_loss = tr.adam_step(
            lambda p: tr.cross_entropy(scores(p, state["train"][i], noise["xi"]), data["labels"][i]),
            net.params(state), state, lr=live["lr"])
        seen = series.linear(data["clock"], state["test"][j],
                             ~series.missing_mask(state["u"][j], live["missing"]))
        test_loss = tr.cross_entropy(scores(params, seen, noise["test_xi"]), data["test_labels"][j])
        return params | adam | {n: state[n] for n in ("train", "test", "u")}, {
            "train_loss": train_loss, "test_loss": test_loss, "ok": tr.finite(params)}

    def observe(self, data, state, noise, live):
        net, ts, clock = self.net, data["ts"], data["clock"]
        params = tr.with_theta(net.params(state), live["theta"])
        root = torch.sqrt(ts[1:] - ts[:-1])[:, None, None]
        # All missing rates at once, one channel each; the same u, so a higher rate removes further entries.
        kept = ~series.missing_mask(state["u"], data["rates"])                           # (100, 40, 9)
        paths = series.linear(clock, state["test"].expand(kept.shape), kept).permute(1, 2, 0)
        xs = torch.stack([clock[:, None, None].expand(paths.shape), paths], dim=-1)      # (40, 9, 100, 2)
        scores = net.apply(params, ts, xs[:, :, None], (root[..., None] * noise["xi"])[:, None])
        value, kept = (state["test"][SHOWN][None],
                       ~series.missing_mask(state["u"][SHOWN][None], live["missing"]))
        path = series.linear(clock, value, kept)
        shown = series.with_time(clock, path).transpose(0, 1)                            # (40, 1, 2)
        belief = torch.softmax(net.apply(params, ts, shown, root * noise["shown_xi"], None, True),
                               dim=-1)[..., SHOWN]
        dot_t, dot = tr.dots(data["times"], value, kept)
        return {"rates": data["rates"], "accuracy": tr.accuracy(scores, data["test_labels"]).mean(-1),
                "times": data["times"], "path": path[0, :, 0], "dot_t": dot_t, "dot": dot,
                "ts": ts, "belief": belief.T}

    def view(self):
        return tr.classifier_view(self.kind + (" with" if self.control else " without") + " control path",
                                  tests=self.tests, classes=3, subject="")
