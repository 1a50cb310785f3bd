"""Four networks side by side: no penalty, the whole solve penalised, and one step by either sampler."""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab import autodiff, optimizers
from nde_lab.experiment import Draws, Knob, Plan, experiment
from nde_lab.odes.locally_regularized.sampling import biased, local_penalty, record, repeat, unbiased
from nde_lab.odes.opening_the_blackbox.heuristics import penalty, solve
from nde_lab.odes.opening_the_blackbox.moons import MEMORY, losses, moons, moons_draws
from nde_lab.odes.opening_the_blackbox.stack import Stack
from nde_lab.odes.opening_the_blackbox.shared import NFE_AXIS, STEPS_AXIS, finite
from nde_lab.random import Uniform
from nde_lab.views import Axis, Bars, Line, Panel, View

BATCH, TURNS, DRAWS, BINS, SAMPLES = 32, 14, 4, 10, 400
WAYS = ("none", "global", "unbiased", "biased")


@experiment(paper="locally-regularized-ndes")
@dataclass(frozen=True)
class FourWays:
    """The half moons by four copies of one network, each batch with one clock, as in the paper: no penalty; R_E
    of the whole solve; r = q h of one step at a time drawn evenly (unbiased) or from the solver's steps
    (biased). Up to four drawn times are averaged."""
    live = {"lam": Knob(3.0, low=1e-2, high=30.0, scale="log", label="penalty λ"),
            "times": Knob(1, low=1, high=DRAWS, label="sampled times"),
            "rtol": Knob(1e-5, low=1e-5, high=1e-2, scale="log", label="tolerance",
                         help="rtol = atol of the solver"),
            "scale": Knob(6.0, low=1.0, high=8.0, label="speed s", help="largest speed of the field")}
    plan = Plan(120, every=3, advice="lower the speed s")
    stack = Stack(4, 2, wiggle=4.0)

    def data(self):
        return {"global": torch.tensor([0.0, 1.0, 0.0, 0.0]), "place": torch.arange(DRAWS, dtype=torch.float32),
                "low": torch.arange(BINS, dtype=torch.float32) / BINS}

    def draws(self):
        return Draws(start=self.stack.draws, step=moons_draws(BATCH) | {"u": Uniform((2 * DRAWS,))},
                     observe=moons_draws(BATCH) | {"u": Uniform((2 * SAMPLES,))})

    def init(self, data, start, live):
        params = self.stack.init(start)
        return params | optimizers.adam_state(params) | {"seen": torch.full((4,), 0.5)}

    def local(self, params, turns, u, live, draws):
        """r of both samplers: the last two copies' solves (turns of four rows), u (2 draws,) -> (2, draws)."""
        own = {n: p[2:] for n, p in params.items()}
        f = self.stack.field(own, live["scale"])
        turns = repeat(record(type(turns)(*(part[:, 2:] for part in turns))), draws)
        still = self.stack.field({n: p.detach() for n, p in own.items()}, live["scale"])
        even, own_times = unbiased(still, turns, u), biased(turns, u)
        first = (torch.arange(2 * draws) < draws)[:, None]
        at = type(even)(*(torch.where(first, a, b) for a, b in zip(even, own_times, strict=True)))
        return local_penalty(f, at, rtol=live["rtol"]).reshape(2, draws), at

    def step(self, data, state, noise, live):
        stack = self.stack
        x, label = moons(noise["angle"], noise["side"], noise["noise"])
        weight = (data["place"] < live["times"]).to(x.dtype) / live["times"]

        def loss(params):
            solved = solve(stack.field(params, live["scale"]), stack.batches(x), rtol=live["rtol"], turns=TURNS)
            value, right = losses(stack.score(params, solved.y), label)
            r, _ = self.local(params, solved.turns, noise["u"], live, DRAWS)
            asked = (data["global"] * penalty(solved)).sum() + (r * weight).sum()
            return value.sum() + live["lam"] * asked, (right, solved.evaluations.to(x.dtype))

        old = stack.params(state)
        (_, (right, nfe)), grads = autodiff.value_and_grad(loss, old, has_aux=True)
        params, adam = optimizers.adam(old, grads, state, lr=2e-2)
        seen = MEMORY * state["seen"] + (1 - MEMORY) * right
        names = {f"nfe_{way}": nfe[i] for i, way in enumerate(WAYS)} | {
            f"right_{way}": seen[i] for i, way in enumerate(WAYS)}
        return params | adam | {"seen": seen}, {**names, "ok": finite(params)}

    def observe(self, data, state, noise, live):
        stack, params = self.stack, self.stack.params(state)
        x, _ = moons(noise["angle"], noise["side"], noise["noise"])
        solved = solve(stack.field(params, live["scale"]), stack.batches(x), rtol=live["rtol"], turns=TURNS)
        # Both samplers on the record of the network without a penalty, whose steps differ most.
        turns = repeat(type(solved.turns)(*(part[:, :1] for part in solved.turns)), SAMPLES)
        tau = biased(turns, noise["u"][:SAMPLES]).t[:, 0], noise["u"][SAMPLES:]
        low = data["low"][:, None]
        even, own = (((t >= low) & (t < low + 1 / BINS)).to(x.dtype).mean(1) for t in (tau[1], tau[0]))
        t = torch.where(solved.turns.accept, solved.turns.t, 0 * solved.turns.t + 1)[:, 0]
        h = torch.where(solved.turns.accept, solved.turns.h, 0 * solved.turns.h)[:, 0]
        return {"low": data["low"] + 0.5 / BINS, "even": even, "own": own, "t": t, "h": h}

    def view(self):
        roles = ("neutral", "train", "ode", "test")
        names = ("none", "whole solve", "one step, unbiased", "one step, biased")
        return View([
            Panel("What a solve costs", STEPS_AXIS, NFE_AXIS,
                  [Line("history.step", f"history.nfe_{way}", role=role, label=name)
                   for way, role, name in zip(WAYS, roles, names, strict=True)],
                  alt="Function evaluations per solve over training for four networks. Without a penalty they "
                      "rise; "
                      "the three penalised ones fall, and the two that see one step fall about as far as the "
                      "one "
                      "that sees the whole solve."),
            Panel("How often it is right", STEPS_AXIS, Axis("accuracy on fresh points", low=0.4, high=1.0),
                  [Line("history.step", f"history.right_{way}", role=role, label=name)
                   for way, role, name in zip(WAYS, roles, names, strict=True)],
                  alt="Running accuracy of the four networks on fresh points; all rise, with a large penalty "
                      "more "
                      "slowly."),
            Panel("Steps of the network without a penalty", Axis("model time t", low=0, high=1.05),
                  Axis("step length h", low=0), [Bars("t", "h", role="ode", label="accepted steps")],
                  alt="Bars at the times where steps begin, as high as the steps are long. Steps are short "
                      "where the "
                      "dynamics is hard, and at the start, where the solver feels its way."),
            Panel("Where the samplers look", Axis("sampled time τ", low=0, high=1), Axis("share of 400 draws",
                                                                                         low=0),
                  [Line("low", "even", role="ode", label="unbiased: evenly"),
                   Line("low", "own", role="test", label="biased: the solver's own steps")],
                  alt="Shares of the sampled times in ten bins. The unbiased sampler's are level at a tenth; "
                      "the "
                      "biased one's are high where steps are short and zero where a long step passes.")])
