"""Brownian bridges: what a path may do between two of its values, and refinement that leaves the old values
alone.

Given W(s) and W(u), the value at a time t between is normal (Kidger, "On Neural Differential Equations",
arXiv 2202.02435, Brownian sampling): mean on the straight line, variance (t - s)(u - t) / (u - s).
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab.experiment import Draws, Knob, Plan, experiment
from nde_lab.random import Normal
from nde_lab.sdes.brownian_motion.walks import FINE, PAPER, TIME
from nde_lab.views import Axis, Band, Line, Panel, Paths, Points, View

LEVELS = 8                        # 2^8 = 256 intervals: the fine grid of ``walks``


def bridge_law(s, t, u, Ws, Wu):
    """Mean and variance of W(t) given W(s) = Ws and W(u) = Wu, for s <= t <= u and s < u (numbers or
    tensors).

    Raises ValueError if the times are numbers out of order.
    """
    if not any(isinstance(v, torch.Tensor) for v in (s, t, u)) and not (s <= t <= u and s < u):
        raise ValueError(f"a bridge needs s <= t <= u and s < u, got s={s}, t={t}, u={u}; sort the times")
    share = (t - s) / (u - s)
    return Ws + share * (Wu - Ws), share * (u - t)


def refine(W, xi, *, length: float):
    """Halve every interval of a path: W (..., n+1) at equal steps of [0, length] -> (..., 2n+1).

    xi (..., n): independent standard normals, one for each midpoint. The old values stay as they are; a
    midpoint is the mean of its neighbours plus half the root of the old step, sqrt(h)/2, times xi.
    Raises ValueError for xi of another shape.
    """
    if xi.shape != (*W.shape[:-1], W.shape[-1] - 1):
        raise ValueError(f"a path of {W.shape[-1]} values has {W.shape[-1] - 1} midpoints; xi must have "
                         f"shape {(*W.shape[:-1], W.shape[-1] - 1)}, got {tuple(xi.shape)}")
    h = length / xi.shape[-1]
    middle = (W[..., :-1] + W[..., 1:]) / 2 + math.sqrt(h) / 2 * xi
    return torch.cat([torch.stack([W[..., :-1], middle], -1).flatten(-2), W[..., -1:]], -1)


def levels_of_detail(z, *, levels: int = LEVELS):
    """The detail that each halving adds to a path on [0, 1], as polygons on the finest grid.

    z (..., 2^levels) standard normals: entry 0 for W(1), then 1, 2, 4, ... for the midpoints of each halving.
    Returns (..., levels + 1, 2^levels + 1); the sum over the first d + 1 of them is the polygon after d
    halvings (Levy's construction: entry 0 is a ramp, the others are rows of hats of height sqrt(h)/2 xi).
    """
    fine = 2**levels
    grid = torch.arange(fine + 1, dtype=z.dtype) / fine
    details = [z[..., :1] * grid]
    for level in range(levels):
        cells = 2**level
        at = torch.clamp(torch.arange(fine + 1) // (fine // cells), max=cells - 1)
        place = grid * cells - at
        hat = 1 - (2 * place - 1).abs()
        details.append(z[..., cells:2 * cells][..., at] * hat * (math.sqrt(1 / cells) / 2))
    return torch.stack(details, -2)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class BridgeRefinement:
    """One path that gains detail by halving its intervals, and what else it might have become.

    The run adds one level of detail after the other, up to ``depth``. Left: the path after that many
    halvings, a polygon whose corners never move again. Right: thirty other fates with the same values at
    these corners, and the band mean +- 2 standard deviations of the bridge law.
    """
    live = {"depth": Knob(3, low=0, high=LEVELS, label="depth: halvings",
                          help="2 to the power depth intervals")}
    plan = Plan(10 * LEVELS)
    others = 30

    def data(self):
        index = torch.arange(FINE + 1, dtype=torch.float32)
        return {"index": index, "grid": index / FINE, "level": torch.arange(LEVELS + 1, dtype=torch.float32)}

    def draws(self):
        return Draws(start={"z": Normal((1 + self.others, FINE))})

    def init(self, data, start, live):
        return {"detail": levels_of_detail(start["z"]), "k": torch.zeros(())}

    def step(self, data, state, noise, live):
        k = state["k"] + 1
        return state | {"k": k}, {"t": k / 10, "ok": torch.isfinite(k)}

    @staticmethod
    def _depth(k, live):
        """Levels shown after k steps: ten steps fade one level in, up to the knob's depth."""
        return torch.minimum(k / 10, live["depth"])

    @staticmethod
    def _corners(data, depth):
        """For every fine grid point, the index of the last corner at or before it (ends included)."""
        size = FINE / torch.exp2(depth)
        return (torch.floor(data["index"] / size + 1e-3) * size).long()

    @staticmethod
    def _weights(data, depth):
        """(levels + 1,): 1 for levels that are there, 0 for those to come, a share for the one fading in."""
        return torch.clamp(depth + 1 - data["level"], 0.0, 1.0)

    def _path(self, data, state, depth):
        return (self._weights(data, depth)[:, None] * state["detail"][0]).sum(0)

    def observe(self, data, state, noise, live):
        depth = self._depth(state["k"], live)
        path, corners = self._path(data, state, depth), self._corners(data, torch.floor(depth))
        # Others share the levels shown and have their own beyond; w and sqrt(1 - w^2) keep the variance right.
        w = self._weights(data, depth)[:, None]
        own = ((1 - w.square()).clamp_min(0.0).sqrt() * state["detail"][1:]).sum(1)
        size = 1 / torch.exp2(torch.floor(depth))
        left = data["grid"][corners]
        spread = 2 * ((data["grid"] - left) * (left + size - data["grid"])).clamp_min(0.0).div(size).sqrt()
        base = self._path(data, state, torch.floor(depth))
        return {"t": data["grid"], "path": path, "corner_t": left, "corner_W": path[corners],
                "others": path + own, "low": base - spread, "high": base + spread}

    def view(self):
        height = Axis("W(t)", low=-2.4, high=2.4)
        return View([
            Panel("One path, refined", TIME, height,
                  [Line("t", "path", role="sde", label="path so far"),
                   Points("corner_t", "corner_W", role="accent", label="values fixed for good")],
                  alt="A polygon with marked corners. With each halving it gains a corner in the middle of "
                      "every edge, and no corner that was there before moves."),
            Panel("Thirty fates with these corners", TIME, height,
                  [Paths("t", "others", role="sde", label="what may come"),
                   Band("t", "low", "high", role="neutral", label="bridge mean ± 2 sd")],
                  alt="Thirty jagged paths through the same corners. Between two corners they bulge within a "
                      "lens-shaped band, widest in the middle; more corners make the lenses smaller.")])
