"""Exact likelihoods while a score is learned: samples look right long before the likelihood is.

Song et al. (2021), Sec. 4.3: log p by the probability-flow ODE, of the model that score and prior define.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab import autodiff
from nde_lab.autodiff import loop
from nde_lab.diffusion.score_sde.learned import PAPER, ScoreLearner, noise_prediction
from nde_lab.diffusion.score_sde.likelihood import divergence
from nde_lab.diffusion.score_sde.mixtures import Mixture
from nde_lab.diffusion.score_sde.sampling import euler_sample
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal, Uniform, sample
from nde_lab.solvers import integrate_ode
from nde_lab.views import Axis, Line, Panel, Points, Rule, View


@experiment(paper=PAPER)
@dataclass(frozen=True)
class LikelihoodRing(ScoreLearner):
    """A score of the ring, learned in rounds of ``each`` training steps; after each round the mean negative
    log-likelihood of ``points`` fresh data points by the flow, in nats, and samples by the flow."""
    process: str = knob("VP", choices=("VP", "sub-VP"), label="process")
    live = {"log_end": Knob(-3.0, low=-4.0, high=-1.0, label="end time ε (log₁₀)",
                            help="where the flow starts; log10 of the time"),
            "lr": Knob(1e-2, low=1e-4, high=3e-2, scale="log", label="learning rate",
                       help="falls to 0 along a cosine")}
    mixture = Mixture.ring(dtype=torch.float32)
    rounds, each, width, points, samples, solver_steps = 40, 15, 64, 48, 300, 16

    @property
    def plan(self):
        return Plan(self.rounds, advice="lower the learning rate")

    @property
    def training(self) -> int:
        return self.rounds * self.each

    steps = 40                                                      # of the sampler

    def data(self):
        drawn = sample({"u": Uniform((self.points,)), "w": Normal((self.points, 2))}, seed=1, stream="probe")
        x = self.mixture.draw(drawn["u"], drawn["w"])
        u = torch.linspace(0, 1, self.solver_steps + 1)
        return super().data() | {"test": x, "fraction": u * u}

    def draws(self):
        n = self.batch
        step = {"u": Uniform((self.each, n)), "w": Normal((self.each, n, 2)), "t": Uniform((self.each, n, 1)),
                "z": Normal((self.each, n, 2))}
        return Draws(start=self.net.draws | {"from": Normal((self.samples, 2))}, step=step)

    def init(self, data, start, live):
        return super().init(data, start, live) | {"from": start["from"], "sample": start["from"]}

    def step(self, data, state, noise, live):
        kept = {n: state[n] for n in ("from", "sample")}

        def one(carry, drawn):
            new, info = ScoreLearner.step(self, data, carry, drawn, live)
            return {n: new[n] for n in carry}, info["error"]

        state, error = loop(one, {n: v for n, v in state.items() if n not in kept}, noise)
        score = self.score(self.net.params(state))
        made = euler_sample(self.model, score, kept["from"], data["times"],
                            torch.zeros(self.steps, self.samples, 2), noise=0.0)
        return state | {"from": kept["from"], "sample": made}, {
            "trained": state["adam.count"], "nats": self.nats(data, score, live),
            "exact": self.exact(data, live), "error": error[-1],
            "ok": torch.isfinite(made).all(1)}

    def nats(self, data, score, live):
        """Mean of -log p over the test points by RK4 on a quadratic grid from the end time to 1, 0-d."""
        end = torch.exp(live["log_end"] * math.log(10))
        flow = self.model.flow(score)

        def rates(t, y):
            v, div = divergence(flow, t, y[:, :2].contiguous())
            return torch.cat([v, div[:, None]], -1)

        x = data["test"]
        y = integrate_ode(rates, torch.cat([x, torch.zeros_like(x[:, :1])], -1),
                          end + (1 - end) * data["fraction"], method="rk4", save="last")
        return -(self.model.prior_log_density(y[:, :2]) + y[:, 2]).mean()

    def exact(self, data, live):
        """The same by the exact score, without a solver: the flow takes the data for a sample of p at the end
        time, so it computes that density."""
        target = Mixture(data["means"], data["stds"], data["weights"])
        end = torch.exp(live["log_end"] * math.log(10))
        return -target.marginal_log_density(self.model, end, data["test"]).mean()

    def observe(self, data, state, noise, live):
        return {"x1": state["sample"][:, 0], "x2": state["sample"][:, 1], "mean1": data["means"][:, 0],
                "mean2": data["means"][:, 1]}

    def view(self):
        best = -self.mixture.log_density(self.data()["test"]).mean().item()
        return View([
            Panel("Samples by the flow", Axis("x₁", low=-3, high=3), Axis("x₂", low=-3, high=3),
                  [Points("x1", "x2", role="ode", label=f"{self.samples} samples"),
                   Points("mean1", "mean2", role="truth", label="centres of the data's modes")],
                  alt="Samples in the plane by the flow of the learned score, and five crosses, the centres of "
                      "the data's modes. After a few rounds the samples lie in five clumps around them.",
                  equal=True),
            Panel("Negative log-likelihood of fresh data", Axis("training step", low=0, high=self.training),
                  Axis("nats per point", low=0.5, high=3.5),
                  [Line("history.trained", "history.nats", role="test", label="learned score"),
                   Line("history.trained", "history.exact", role="ode", label="exact score, same ε"),
                   Rule(best, role="truth", label=f"truth: {best:.2f}")],
                  alt="Mean negative log-likelihood of fresh data points over training steps, by the learned "
                      "score and by the exact one. The learned one falls towards the true value and keeps "
                      "jumping above it; the exact one is level, and lies on the truth while the end time ε "
                      "is small.")])
