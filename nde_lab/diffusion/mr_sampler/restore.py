"""Restoration in the plane, live: blurred observations of points on a spiral, and samplers that undo the blur.

A clean point is one of K places c_k on a spiral, plus a little scatter. Its observation is mu = b_k + noise,
where b_k averages the spiral over a window around c_k: the blur pulls it inwards. Given mu, the clean point
follows a mixture whose weights are those of k given mu, so the exact noise prediction is known, for every mu.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.diffusion.dpm_solver import dpm_solve
from nde_lab.diffusion.dpm_solver.live import clock
from nde_lab.diffusion.mr_sampler.process import Deviation, MeanReverting
from nde_lab.diffusion.mr_sampler.solver import mr_step
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal, Uniform
from nde_lab.views import Arrows, Axis, Line, Panel, Points, View

K, SCATTER, SEEN, WINDOW = 48, 0.06, 0.25, 9.0     # places; spreads of clean points and of mu; blur, in places
END = 0.002


def spiral(u: Tensor) -> Tensor:
    """The curve, u in [0, 1] -> (n, 2): one and a half turns, radius 0.5 to 2."""
    angle, radius = math.pi * (0.5 + 3.0 * u), 0.5 + 1.5 * u
    return torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], -1)


def blurred(places: Tensor) -> Tensor:
    """Each place averaged with its neighbours along the curve, Gaussian weights: (K, 2) -> (K, 2)."""
    k = torch.arange(len(places), dtype=places.dtype)
    weight = torch.exp(-0.5 * ((k[:, None] - k) / WINDOW).square())
    return weight @ places / weight.sum(1, keepdim=True)


def posterior_noise(places: Tensor, log_weight: Tensor, process: MeanReverting):
    """noise(t, x) of the clean point given mu. places (K, 2), log_weight (B, K), process.mu (B, 2), x (B,
    2)."""
    d, mu = process.deviation, process.mu
    sizes = places.square().sum(1) - 2 * mu @ places.T + mu.square().sum(1, keepdim=True)      # |c_k - mu|^2

    def noise(t, x):
        m, s = d.mean(t), d.std(t)
        y = x - mu
        variance = m * m * SCATTER**2 + s * s
        along = y @ places.T - (y * mu).sum(1, keepdim=True)               # y . (c_k - mu)
        share = torch.softmax(log_weight + (m * along - 0.5 * m * m * sizes) / variance, -1)
        return s / variance * (y - m * (share @ places - mu))
    return noise


SAMPLERS = {"noise1": ("noise", 1), "noise2": ("noise", 2), "data1": ("data", 1), "data2": ("data", 2)}


@experiment(paper="mr-sampler")
@dataclass(frozen=True)
class Restoration:
    """Twenty-four blurred points restored in N steps, and what is wrong with them against N.

    For the ODE that is the distance from the exact flow (DPM-Solver-3 on the deviation, 40 steps), for the SDE,
    whose end is random, the distance from the clean curve. Four samplers of ``sampler`` kind (the ODE or the
    reverse SDE) and Euler's steps of the same equation run side by side with every N from 3 to 60; a step of
    the experiment takes six of their steps. """
    sampler: str = knob("ODE", choices=("ODE", "SDE"), label="sampler")
    sigma_inf: float = knob(0.5, choices=(0.1, 0.5, 1.0), label="noise at rest σ∞")
    form: str = knob("data", choices=("noise", "data"), label="prediction")
    live = {"N": Knob(8, low=3, high=60, label="steps N"),
            "order": Knob(2, low=1, high=2, label="order", help="of the sampler on the left")}
    plan = Plan(10)
    most, least, points, taken = 60, 3, 24, 6

    def data(self):
        places = spiral((torch.arange(K, dtype=torch.float32) + 0.5) / K)
        return {"places": places, "blurred": blurred(places), "curve": spiral(torch.linspace(0, 1, 150)),
                "counts": torch.arange(float(self.least), self.most + 1), "k": torch.arange(float(K)),
                "height": torch.tensor([1e-4, 3.0])}

    def draws(self):
        B = self.points
        return Draws(start={"k": Uniform((B,)), "mu": Normal((B, 2)), "prior": Normal((B, 2))},
                     step={"z": Normal((self.taken, B, 2))})

    def init(self, data, start, live):
        # One point from each of B equal parts of the curve, so that every run covers it.
        part = (torch.arange(self.points, dtype=torch.float32) + start["k"]) / self.points
        chosen = (torch.floor(part * K)[:, None] == data["k"]).to(part.dtype)
        mu = chosen @ data["blurred"] + SEEN * start["mu"]
        x = (mu + self.sigma_inf * start["prior"]).repeat(len(data["counts"]), 1)
        state = {"mu": mu, "k": torch.zeros(()), "euler": x, "exact": self._exact(data, mu, x[:self.points])}
        for name in SAMPLERS:
            state |= {name: x, f"{name}.last": 0 * x}
        return state

    def _exact(self, data, mu, x):
        """Where the flow takes x (B, 2): DPM-Solver of order 3 on the deviation, which needs no multistep."""
        process, eps = self._process(data, mu, 1)
        d, u = process.deviation, torch.arange(41.0) / 40
        times = clock(d, "uniform in lambda", u, END)
        return mu + dpm_solve(lambda t, y: eps(t, y + mu), d, x - mu, times, order=3)

    def _process(self, data, mu, rows):
        seen = -0.5 * (mu[:, None] - data["blurred"]).square().sum(-1) / SEEN**2
        process = MeanReverting(mu.repeat(rows, 1), Deviation(self.sigma_inf))
        return process, posterior_noise(data["places"], seen.repeat(rows, 1), process)

    def step(self, data, state, noise, live):
        rows = len(data["counts"])
        process, eps = self._process(data, state["mu"], rows)
        d = process.deviation
        n = data["counts"].repeat_interleave(self.points)[:, None]

        def body(carry, turn):
            j, z = turn
            u, v = (j / n).clamp(max=1.0), ((j + 1) / n).clamp(max=1.0)
            t, after = (clock(d, "uniform in lambda", w, END) for w in (u, v))
            moving, second = j < n, ((j > 0) & (j < n)).to(u.dtype)
            z = z.repeat(rows, 1)
            new = {}
            for name, (form, order) in SAMPLERS.items():
                x = carry[name]
                q = process.convert(eps(t, x), x, t, source="noise", target=form)
                change = second * (q - carry[f"{name}.last"]) if order == 2 else 0 * q
                made = mr_step(process, x, q, change, t, after, form=form,
                               z=z if self.sampler == "SDE" else None)
                new |= {name: torch.where(moving, made, x), f"{name}.last": q}
            t, after = (clock(d, "uniform in t", w, END) for w in (u, v))
            x = carry["euler"]
            if self.sampler == "SDE":
                sde, tau, h = process.reverse(eps), d.horizon - t, t - after
                new["euler"] = x + h * sde.f(tau, x) + torch.sqrt(h) * sde.g(tau, x) * z
            else:
                new["euler"] = x + (after - t) * process.flow(eps)(t, x)
            return {name: new[name] for name in carry}, None      # in the order in which it came

        names = ["euler", *SAMPLERS, *(f"{name}.last" for name in SAMPLERS)]
        turns = state["k"] * self.taken + torch.arange(float(self.taken))
        made, _ = loop(body, {name: state[name] for name in names}, (turns, noise["z"]))
        ok = torch.isfinite(torch.stack([v.abs().max() for v in made.values()]).max())
        return {**state, **made, "k": state["k"] + 1}, {"turns": self.taken * (state["k"] + 1), "ok": ok}

    def off(self, data, x: Tensor) -> Tensor:
        """Distance of points (n, 2) from the curve, (n,)."""
        curve = data["curve"]
        squares = x.square().sum(1, keepdim=True) - 2 * x @ curve.T + curve.square().sum(1)
        return squares.amin(1).clamp(min=0.0).sqrt()

    def observe(self, data, state, noise, live):
        counts, done = data["counts"], self.taken * state["k"]
        last = ((counts <= done).to(counts.dtype).sum() - 1).clamp(min=0.0)
        fold = torch.minimum(torch.arange(len(counts), dtype=counts.dtype), last).long()
        order, N = live["order"].round(), live["N"].round().reshape(1)
        row = (N - self.least).long()
        out = {"counts": counts[fold], "curve_x": data["curve"][:, 0], "curve_y": data["curve"][:, 1],
               "mu_x": state["mu"][:, 0], "mu_y": state["mu"][:, 1], "post": torch.cat([N, N]),
               "height": data["height"]}
        shown = 0.0
        for name in (*SAMPLERS, "euler"):
            x = state[name].reshape(len(counts), self.points, 2)
            if self.sampler == "SDE":
                wrong = self.off(data, state[name]).reshape(len(counts), -1).square()
            else:
                wrong = (x - state["exact"]).square().sum(-1)
            out[name] = wrong.mean(1).sqrt()[fold].clamp(1e-5, 1e3)
            if name != "euler" and SAMPLERS[name][0] == self.form:
                shown = shown + (order == SAMPLERS[name][1]).to(x.dtype) * x[row][0]
        move, exact = shown - state["mu"], state["exact"]
        return out | {"x": shown[:, 0], "y": shown[:, 1], "u": move[:, 0], "v": move[:, 1],
                      "exact_x": exact[:, 0], "exact_y": exact[:, 1]}

    def view(self):
        ode = self.sampler == "ODE"
        role = "ode" if ode else "sde"
        lines = [("noise1", "train", "order 1, both predictions" if ode else "noise, order 1"),
                 ("noise2", "accent", "noise, order 2"), ("data2", "test", "data, order 2"),
                 ("euler", "neutral", "Euler in t")]
        lines += [] if ode else [("data1", "data", "data, order 1")]
        exact = [Points("exact_x", "exact_y", role="truth", label="exact flow")] if ode else []
        return View([
            Panel(f"Restored by the {self.sampler} in N steps", Axis("x₁", low=-2.8, high=2.8),
                  Axis("x₂", low=-2.8, high=2.8),
                  [Line("curve_x", "curve_y", role="neutral", label="clean curve"),
                   Arrows("mu_x", "mu_y", "u", "v", role="neutral"), *exact,
                   Points("mu_x", "mu_y", role="data", label="blurred observation μ"),
                   Points("x", "y", role=role, label="restored")],
                  alt="A spiral, blurred observations beside it, and an arrow from each to its restored point. "
                      "With many steps every arrow ends on the spiral"
                      + (", at a cross that marks the exact flow; with three or four they miss the crosses."
                         if ode else "; with few steps of noise prediction they end far outside."), equal=True),
            Panel("Distance from the exact flow" if ode else "Distance from the clean curve",
                  Axis("steps N, one evaluation each", scale="log", low=1, high=100),
                  Axis("RMS distance", scale="log", low=1e-4 if ode else 0.02, high=3),
                  [*(Line("counts", name, role=r, label=label) for name, r, label in lines),
                   Line("post", "height", role=role, label="N")],
                  alt=("Root mean square distance from the exact flow against the number of steps on log axes: "
                       "straight lines, data prediction of order 2 lowest, then noise prediction of order 2; "
                       "both "
                       "predictions of order 1 coincide, and Euler's line lies near them." if ode else
                       "Root mean square distance from the clean curve against the number of steps on log "
                       "axes: "
                       "data prediction is near the scatter of the clean points from about ten steps on, noise "
                       "prediction explodes below about ten, and Euler comes down slowly."))])
