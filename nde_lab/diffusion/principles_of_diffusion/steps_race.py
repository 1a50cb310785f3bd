"""How many steps? The hierarchy, the flow, and a map learned from the flow, on the ring. Live."""
from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab import autodiff, nets, optimizers
from nde_lab.diffusion.principles_of_diffusion.consistency import Consistency, along_flow
from nde_lab.diffusion.principles_of_diffusion.kernels import back
from nde_lab.diffusion.score_sde import Mixture
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Index, Normal, Uniform
from nde_lab.views import Axis, Line, Panel, Points, View

PAPER = "principles-of-diffusion-models"
MOST = 100                                       # turns of the samplers' loop; those beyond N stand still
RING = Mixture.ring(dtype=torch.float32)
BOUNDARY = {"f(x, 0) = x": True, "none": False}


def race(process, score, x: Tensor, n: Tensor, end: float, z: Tensor) -> tuple[Tensor, Tensor]:
    """Ends (B, D) of the flow (DDIM) and of the hierarchy (ancestral) in n steps, uniform in lambda.

    x: one start for both; n: 0-d, at most len(z) steps count; z (turns, B, D). The last step adds no noise.
    """
    top, low = (process.half_log_snr(torch.tensor(t, dtype=x.dtype)) for t in (process.horizon, end))
    turns = torch.arange(len(z) + 1, dtype=x.dtype)
    times = process.time_at(top + (low - top) * (turns / n).clamp(max=1.0))
    m, s = process.mean(times), process.std(times)
    ratio, chain = s[1:] / s[:-1], back(process, times[:-1], times[1:])
    loud = (turns[1:] < n).to(x.dtype) * chain.variance.clamp(min=0.0).sqrt()
    # Both are x_r = a x_t + b data + c z; they run as two rows of one batch.
    a, b, c = (torch.stack(v, 1)[:, :, None, None] for v in (
        (ratio, chain.state), (m[1:] - ratio * m[:-1], chain.data), (torch.zeros_like(loud), loud)))

    def body(x, turn):
        t, m, s, a, b, c, noise = turn
        guess = (x + s * s * score(t, x.flatten(0, 1)).reshape(x.shape)) / m
        return a * x + b * guess + c * noise, None
    ends, _ = autodiff.loop(body, torch.stack([x, x]), (times[:-1], m[:-1], s[:-1], a, b, c, z))
    return ends[0], ends[1]


@experiment(paper=PAPER)
@dataclass(frozen=True)
class StepsRace:
    """Five modes in the plane: two samplers with the exact score in N steps, and a one-step map in training.

    The map is a consistency model, distilled from the exact flow. With the boundary condition its target is
    held still. Without it nothing says where paths end; then the gradient goes through both sides of the loss,
    and the map becomes a constant. (Held still, an unanchored target is chased without end: the loss grows.)
    """
    boundary: str = knob("f(x, 0) = x", choices=tuple(BOUNDARY), label="boundary condition")
    live = {"n": Knob(4, low=1, high=MOST, scale="log", label="steps N of the samplers"),
            "lr": Knob(1e-2, low=1e-4, high=3e-2, scale="log", label="learning rate")}
    levels, batch, samples, width, training = 8, 256, 250, 64, 600

    @property
    def plan(self):
        return Plan(self.training, every=max(1, self.training // 30), advice="lower the learning rate")

    @functools.cached_property
    def net(self):
        """inputs 3 -> width -> width -> 2, silu."""
        return nets.functional(nets.mlp([3, self.width, self.width, 2], act="silu"), prefix="net.")

    @property
    def model(self) -> Consistency:
        """The ring has standard deviation sqrt(2^2 / 2 + 0.2^2) in each coordinate."""
        return Consistency(spread=math.sqrt(2.04), boundary=BOUNDARY[self.boundary])

    def data(self):
        return {"means": RING.means, "stds": RING.stds, "weights": RING.weights,
                "times": self.model.times(self.levels).float()}

    def draws(self):
        n, m = self.batch, self.samples
        return Draws(start=self.net.draws,
                     step={"u": Uniform((n,)), "w": Normal((n, 2)), "z": Normal((n, 2)),
                           "k": Index((n,), self.levels)},
                     observe={"x": Normal((m, 2)), "z": Normal((MOST, m, 2))})

    def init(self, data, start, live):
        params = self.net.init(start)
        return params | optimizers.adam_state(params)

    def step(self, data, state, noise, live):
        model, params = self.model, self.net.params(state)
        ring = Mixture(data["means"], data["stds"], data["weights"])
        t, r = data["times"][noise["k"]][:, None], data["times"][noise["k"] + 1][:, None]
        x = model.process.noised(t, ring.draw(noise["u"], noise["w"]), noise["z"])
        x_r = along_flow(ring.score(model.process), model.process, t, r, x)

        def consistency(p):
            # With the boundary condition the target's parameters are not those of the gradient.
            moving, still = (lambda i, q=q: self.net.apply(q, i) for q in (p, params))
            return model.loss(moving, still if model.boundary else moving, t, r, x, x_r)

        loss, grads = autodiff.value_and_grad(consistency, params)
        grads, _ = optimizers.clip_by_norm(grads, 10.0)
        done = (state["adam.count"] / self.training).clamp(max=1.0)
        rate = live["lr"] * 0.5 * (1 + torch.cos(math.pi * done))
        params, adam = optimizers.adam(params, grads, state, lr=rate)
        return params | adam, {
            "loss": loss, "ok": torch.isfinite(torch.stack([p.square().sum() for p in params.values()]).sum())}

    def observe(self, data, state, noise, live):
        ring, model = Mixture(data["means"], data["stds"], data["weights"]), self.model
        params = self.net.params(state)
        start = model.process.prior_std * noise["x"]
        n = torch.floor(live["n"] + 0.5)
        flow, chain = race(model.process, ring.score(model.process), start, n, model.end, noise["z"])
        learned = model.sample(lambda i: self.net.apply(params, i), noise["x"])
        out = {"mean_x": data["means"][:, 0], "mean_y": data["means"][:, 1]}
        for name, x in (("flow", flow), ("chain", chain), ("map", learned)):
            out |= {f"{name}_x": x[:, 0], f"{name}_y": x[:, 1]}
        return out

    def view(self):
        def cloud(title, name, role, told):
            return Panel(title, Axis("x₁", low=-3, high=3), Axis("x₂", low=-3, high=3),
                         [Points(f"{name}_x", f"{name}_y", role=role, label=f"{self.samples} samples"),
                          Points("mean_x", "mean_y", role="truth", label="centres of the data's modes")],
                         alt=told, equal=True)
        return View([
            cloud("Flow ODE (DDIM), N steps, exact score", "flow", "ode",
                  "Samples of the flow and five crosses on a circle, the centres of the data. In one step all "
                  "samples stay near the origin; from about ten steps on they lie around the crosses."),
            cloud("Hierarchy of Gaussians, N steps, exact score", "chain", "sde",
                  "Samples of the noisy chain and five crosses. In one step all samples stay near "
                  "the origin; with many they lie around the crosses."),
            cloud("One-step map, in training", "map", "test",
                  "Samples by one call of a network and five crosses. Before training they form one wide "
                  "cloud; with training they gather around the crosses, with bridges between them. Without "
                  "the boundary condition they shrink to one point."),
            Panel("Loss of the map", Axis("training step"), Axis("|f(t, x) − target|²", scale="log"),
                  [Line("history.step", "history.loss", role="train", label="consistency loss")],
                  alt="The consistency loss over training steps on a log axis; it falls. Without the boundary "
                      "condition it falls much further, while the samples become useless.")])
