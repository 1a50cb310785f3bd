"""Which of three sines is it? A neural SDE classifier that trains on complete series and is tested with holes."""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab import data as series
from nde_lab import optimizers
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Index, Normal, Uniform
from nde_lab.sdes.stable_neural_sdes import training as tr
from nde_lab.sdes.stable_neural_sdes.models import KINDS, classifier
from nde_lab.views import Axis, Line, Panel, Paths, Points, Rule, View

LENGTH, HIDDEN, BATCH, TRAIN = 40, 16, 50, 300
RATES = tuple(i / 10 for i in range(9))
SHOWN = 1            # the test series that the lower panels show (class 1)


@experiment(paper="stable-neural-sdes")
@dataclass(frozen=True)
class SineClassifier:
    """Train on 300 complete series, test on series with entries removed. One step is one Adam step on 50 series.

    Class k is a sine of frequency 1, 1.5 or 2 on [0, 1] with random phase, amplitude 0.7-1.3 and noise 0.15, seen at 40
    times; channels (time, value), standardised; linear interpolation where entries are removed. The latent SDE (16
    dimensions) runs over model time 4 in 39 Euler-Maruyama steps.
    """
    kind: str = knob("GSDE", choices=KINDS, label="class")
    control: bool = knob(True, choices=(True, False), label="control path", help="feed X(t) into the drift")
    epochs: int = knob(15, low=1, high=40, label="epochs", help="one epoch is 6 steps")
    live = {"missing": Knob(0.5, low=0.0, high=0.8, label="missing rate", help="share of test entries removed"),
            "theta": Knob(-2.0, low=-4.0, high=2.0, label="noise θ", help="the noise is scaled by sigmoid(θ)"),
            "lr": Knob(1e-2, low=1e-4, high=1e-1, scale="log", label="learning rate")}
    tests, draws_of_noise = 100, 1

    @property
    def plan(self):
        return Plan(self.epochs * (TRAIN // BATCH), every=3, advice="lower the learning rate or the noise θ")

    @property
    def net(self):
        """The classifier; its theta is the deviation from the knob, so it starts at 0."""
        return classifier(self.kind, channels=2, classes=3, hidden=HIDDEN, control=self.control, theta=0.0)

    def data(self):
        clock = torch.linspace(0, 1, LENGTH)
        return {"times": clock, "clock": (clock - clock.mean()) / clock.std(correction=0),
                "ts": torch.linspace(0, tr.HORIZON, LENGTH), "rates": torch.tensor(RATES),
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
        seen = series.linear(data["clock"], state["test"][j], ~series.missing_mask(state["u"][j], live["missing"]))
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
        value, kept = state["test"][SHOWN][None], ~series.missing_mask(state["u"][SHOWN][None], live["missing"])
        path = series.linear(clock, value, kept)
        shown = series.with_time(clock, path).transpose(0, 1)                            # (40, 1, 2)
        belief = torch.softmax(net.apply(params, ts, shown, root * noise["shown_xi"], None, True), dim=-1)[..., SHOWN]
        # Dots for what is left: a removed entry goes where the last entry left is (the next one before the first).
        dots = torch.cat([data["times"][None, :, None], value], dim=-1)
        last, next_ = (series.fill_forward(clock, d, k.expand(d.shape), start=-9.0) for d, k in
                       ((dots, kept), (dots.flip(1), kept.flip(1))))
        dots = torch.where(last > -9, last, next_.flip(1))[0]
        return {"rates": data["rates"], "accuracy": tr.accuracy(scores, data["test_labels"]).mean(-1),
                "times": data["times"], "path": path[0, :, 0], "dot_t": dots[:, 0], "dot": dots[:, 1],
                "ts": ts, "belief": belief.T}

    def view(self):
        name = self.kind + (" with" if self.control else " without") + " control path"
        return View([
            Panel(f"Training: {name}", Axis("training step"), Axis("cross-entropy (nats)", low=0, high=1.6),
                  [Line("history.step", "history.train_loss", role="train", label="train (complete series)"),
                   Line("history.step", "history.test_loss", role="test", label="test (entries missing)"),
                   Rule(math.log(3), label="chance: ln 3")],
                  alt="Loss on the training batch and on a test batch with missing entries over training steps, with a "
                      "dotted level at ln 3, the loss of guessing. Both curves leave that level if the class learns."),
            Panel("Accuracy by missing rate", Axis("share of test entries removed", low=0, high=0.8),
                  Axis("test accuracy", low=0, high=1),
                  [Line("rates", "accuracy", role="test", label=f"{self.tests} test series"),
                   Rule(1 / 3, label="chance: 1/3")],
                  alt="Test accuracy against the share of removed entries from 0 to 0.8, with a dotted level at chance, "
                      "one third. With the control path the curve is high and falls slowly; without it it stays at "
                      "chance."),
            Panel("One test series, as the network sees it", Axis("time (share of the series)", low=0, high=1),
                  Axis("value (standard deviations)", low=-2.5, high=2.5),
                  [Points("dot_t", "dot", role="data", label="entries that are left"),
                   Line("times", "path", role="ode", label="control path X(t)")],
                  alt="One noisy sine: dots for the entries that are left and the dashed line that interpolates them. "
                      "The higher the missing rate, the fewer dots and the cruder the line."),
            Panel("Belief in its true class while the SDE runs", Axis("model time t", low=0, high=tr.HORIZON),
                  Axis("probability, if read out at t", low=0, high=1),
                  [Paths("ts", "belief", role="sde", label="12 noise draws"), Rule(1 / 3, label="chance: 1/3")],
                  alt="Probability that the readout gives to the true class of that series along model time, one thin "
                      "line for each of 12 noise draws. Before training all lie near one third; after training most "
                      "end near 1.")])
