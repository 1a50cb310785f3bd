"""A network that learns the drift of a bridge in the plane, by bridge matching. Live."""
from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab import autodiff, nets, optimizers
from nde_lab.bridges.multi_marginal.matching import BridgeMixture, bridge_target, on_bridge
from nde_lab.bridges.multi_marginal.reference import Reference
from nde_lab.bridges.multi_marginal.static import PointBridge, simulate
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Index, Normal, Uniform, sample
from nde_lab.views import Arrows, Axis, Line, Panel, Points, View

PAPER = "multi-marginal-schroedinger-bridges"
POINTS, SIGMA, LAST = 40, 0.5, 0.95


def clouds() -> tuple[Tensor, Tensor]:
    """Two half moons (40, 2), and two blobs (40, 2) that lie crosswise to them; float64, always the same."""
    z = sample({"z": Normal((2, POINTS, 2))}, seed=5, stream="data", dtype=torch.float64)["z"]
    half = POINTS // 2
    angle = math.pi * (torch.arange(half, dtype=torch.float64) + 0.5) / half
    upper = torch.stack([torch.cos(angle) - 0.5, torch.sin(angle) - 0.25], 1)
    moons = 1.5 * torch.cat([upper, -upper]) + 0.08 * z[0]
    centres = torch.tensor([[-2.2, 2.2], [2.2, -2.2]], dtype=torch.float64).repeat_interleave(half, 0)
    return moons, centres + 0.35 * z[1]


@experiment(paper=PAPER)
@dataclass(frozen=True)
class BridgeMatching:
    """Pairs by the entropic plan or at random, a Brownian bridge for each, regression on (x1 - x) / (1 - t).

    The exact drifts are known: of the Schroedinger bridge, and of the projection that this training aims at. Times
    stop at 0.95, where the target's variance would grow without end.
    """
    pairs: str = knob("entropic plan", choices=("entropic plan", "at random"), label="pairs")
    live = {"t": Knob(0.5, low=0.0, high=1.0, label="time t of the picture"),
            "lr": Knob(1e-2, low=1e-4, high=3e-2, scale="log", label="learning rate")}
    batch, width, training, crowd, intervals, probes = 256, 48, 500, 200, 30, 60

    @property
    def plan(self):
        return Plan(self.training, every=max(1, self.training // 25), advice="lower the learning rate")

    @functools.cached_property
    def net(self):
        """inputs x1, x2, t -> width -> width -> 2, silu."""
        return nets.functional(nets.mlp([3, self.width, self.width, 2], act="silu"), prefix="net.")

    @functools.cached_property
    def exact(self) -> tuple[PointBridge, BridgeMixture]:
        """The Schroedinger bridge, and the mixture whose projection is learned (float64)."""
        bridge = PointBridge.of(*clouds(), sigma=SIGMA)
        log_plan = bridge.log_plan()
        if self.pairs == "at random":
            log_plan = torch.full_like(log_plan, -2 * math.log(POINTS))
        return bridge, BridgeMixture(bridge.reference, bridge.x0, bridge.x1, log_plan)

    def data(self):
        bridge, mixture = self.exact
        plan = mixture.log_plan.exp()
        n = self.probes
        drawn = sample({"i": Index((n,), POINTS), "u": Uniform((n, 1)), "z": Normal((n, 2))}, seed=0, stream="probe",
                       dtype=torch.float64)
        t = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64).repeat_interleave(n // 5)[:, None]
        partner = (drawn["u"] > (bridge.plan() / bridge.plan().sum(1, keepdim=True)).cumsum(1)[drawn["i"]]).sum(1)
        x = on_bridge(bridge.reference, t, bridge.x0[drawn["i"]], bridge.x1[partner.clamp(max=POINTS - 1)], drawn["z"])
        blocks = list(zip(t.split(n // 5), x.split(n // 5), strict=True))
        told = torch.cat([bridge.forward(b, s[0, 0]) for s, b in blocks])
        aim = torch.cat([mixture.forward(b, s[0, 0]) for s, b in blocks])
        out = {"x0": bridge.x0, "x1": bridge.x1, "rows": (plan / plan.sum(1, keepdim=True)).cumsum(1), "t": t,
               "x": x, "bridge": told, "aim": aim}
        return {name: value.float().contiguous() for name, value in out.items()}

    def draws(self):
        n = self.batch
        return Draws(start=self.net.draws,
                     step={"i": Index((n,), POINTS), "u": Uniform((n, 1)), "t": Uniform((n, 1)), "z": Normal((n, 2))},
                     observe={"i": Index((self.crowd,), POINTS), "z": Normal((self.intervals, self.crowd, 2))})

    def init(self, data, start, live):
        params = self.net.init(start)
        return params | optimizers.adam_state(params)

    def drift(self, params, x, t):
        """The network's drift (B, 2); t (B, 1) or 0-d."""
        return self.net.apply(params, torch.cat([x, torch.zeros_like(x[:, :1]) + t], 1))

    def step(self, data, state, noise, live):
        q, params = Reference(SIGMA), self.net.params(state)
        partner = (noise["u"] > data["rows"][noise["i"]]).sum(1).clamp(max=POINTS - 1)
        x0, x1, t = data["x0"][noise["i"]], data["x1"][partner], LAST * noise["t"]
        x = on_bridge(q, t, x0, x1, noise["z"])
        target = bridge_target(q, t, x, x1)

        def loss(p):
            # (1 - t) evens out the target's variance, sigma^2 t / (1 - t), over the times; the minimiser stays.
            return ((1 - t) * (self.drift(p, x, t) - target).square()).sum(1).mean()
        value, grads = autodiff.value_and_grad(loss, params)
        done = (state["adam.count"] / self.training).clamp(max=1.0)
        rate = live["lr"] * 0.5 * (1 + torch.cos(math.pi * done))
        params, adam = optimizers.adam(params, grads, state, lr=rate)
        mine = self.drift(params, data["x"], data["t"])
        off, aim = ((mine - data[name]).square().sum(1).mean() for name in ("bridge", "aim"))
        return params | adam, {"loss": value, "off": off, "aim": aim, "ok": torch.isfinite(value + off)}

    def observe(self, data, state, noise, live):
        params = self.net.params(state)
        path = simulate(lambda x, t: self.drift(params, x, t), data["x0"][noise["i"]], SIGMA, noise["z"])
        # the crowd at the time shown, by linear interpolation between two steps
        place = live["t"] * self.intervals
        weights = (1 - (place - torch.arange(self.intervals + 1.0)).abs()).clamp(min=0.0)
        x = (weights[:, None, None] * path).sum(0)
        few = x[:50]
        arrows = self.drift(params, few, live["t"].clamp(max=LAST))
        return {"x": x[:, 0], "y": x[:, 1], "fx": few[:, 0], "fy": few[:, 1], "u": arrows[:, 0], "v": arrows[:, 1],
                "x0": data["x0"][:, 0], "y0": data["x0"][:, 1], "x1": data["x1"][:, 0], "y1": data["x1"][:, 1]}

    def view(self):
        return View([
            Panel("The learned crowd at time t", Axis("x₁", low=-3.6, high=3.6), Axis("x₂", low=-3.6, high=3.6),
                  [Points("x0", "y0", role="data", label="start"),
                   Points("x1", "y1", role="truth", label="end"),
                   Points("x", "y", role="sde", label="network's crowd, its drift"),
                   Arrows("fx", "fy", "u", "v", role="train")],
                  alt="Two half moons in the middle, two blobs at upper left and lower right, and a simulated crowd on "
                      "its way with arrows for the learned drift. After training each moon goes to the blob on "
                      "its side; with random pairs the crowd first gathers in the middle.", equal=True),
            Panel("Error of the drift", Axis("training step"), Axis("mean square", scale="log", low=0.1, high=10),
                  [Line("history.step", "history.off", role="test", label="against the Schrödinger bridge's"),
                   Line("history.step", "history.aim", role="train", label="against its own aim")],
                  alt="Mean square error of the network's drift on a log axis over training steps. With pairs from the "
                      "entropic plan both curves fall together; with random pairs both fall less, and the error "
                      "against the bridge's drift stays the larger one.")])
