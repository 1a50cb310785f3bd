"""Gradients of a solve that do not keep every step's graph: checkpointed, and by the continuous adjoint.

*checkpoint* keeps one state a step and repeats each step, with its graph, on the way back: the exact gradient
of the steps taken (discretise, then optimise) for one more forward's work and one step's memory. *adjoint*
keeps the states asked for and solves a' = -a df/dy back in time (optimise, then discretise): memory does not
grow with the steps; the gradient is that of the exact solution up to the tolerance of both solves.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nde_lab.autodiff import value_and_grad
from nde_lab.solvers.dense import Record, between
from nde_lab.solvers.fixed_steps import fixed_adjoint, pull
from nde_lab.solvers.methods import Explicit
from nde_lab.solvers.ode_march import ARRIVED, EVENT, March, clocks, march
from nde_lab.solvers.solution import SolverError
from nde_lab.status import Status


def ode_vjp(f, t, y: Tensor, params, a: Tensor):
    """f(t, y) and what the adjoint equations want of it: (f, a^T df/dy, a^T df/dparams).

    y, a: (B, D). params: a dict of tensors for f(t, y, params), pure and traceable, -> dict; or a sequence of
    tensors that require a gradient and that f(t, y) uses -> list. Zeros where f does not depend on an entry.
    """
    if isinstance(params, dict):
        def pulled(leaves):
            out = f(t, leaves["y"], {k[2:]: v for k, v in leaves.items() if k != "y"})
            return (out * a).sum(), out
        (_, out), grads = value_and_grad(pulled, {"y": y} | {f"p/{k}": v for k, v in params.items()},
                                         has_aux=True)
        return out, grads["y"], {k: grads[f"p/{k}"] for k in params}
    with torch.enable_grad():
        at = y.detach().requires_grad_()
        out = f(t, at)
        grads = pull((out * a.detach()).sum(), [at, *params])
    return out.detach(), grads[0], grads[1:]


@dataclass
class Job:
    """A solve on its way through autograd. back: the settings of the adjoint's solve."""
    f: Any
    times: np.ndarray
    method: Any
    settings: dict
    back: dict
    march: March | None = None


def parameters(f, params, gradient: str) -> tuple[Tensor, ...]:
    """The tensors that want a gradient: those given, or those of an ``nn.Module``."""
    if params is None:
        if not isinstance(f, torch.nn.Module):
            raise ValueError(f"gradient={gradient!r} cannot see which tensors f uses: pass params=(...), a "
                             "sequence of them, () if there are none, or make f an nn.Module")
        params = f.parameters()
    params = tuple(params)
    if not all(isinstance(p, Tensor) for p in params):
        raise ValueError("params must be tensors, got "
                         f"{', '.join(sorted({type(p).__name__ for p in params}))}")
    return tuple(p for p in params if p.requires_grad)


def solve(f, y0: Tensor, times: np.ndarray, method, gradient: str, params: tuple[Tensor, ...], back: dict,
          settings: dict) -> March:
    """A march whose ys and y carry the gradient wanted."""
    job = Job(f, times, method, settings, back)
    kind = _Checkpoint if gradient == "checkpoint" else _Adjoint
    ys, y = kind.apply(job, y0, *params)
    job.march.ys, job.march.y = ys, y
    return job.march


class _Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, job: Job, y0: Tensor, *params):
        m = job.march = march(job.f, y0.detach(), job.times, job.method, keep="states", **job.settings)
        ctx.job, ctx.params, ctx.m = job, params, m
        return m.ys, m.y.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, of_ys, of_y):
        job, m, params = ctx.job, ctx.m, list(ctx.params)
        clock, column = clocks(of_y, job.settings["shared"])
        c = np.asarray(job.method.c)[:, None]
        a = of_y + _ends(of_ys, m)
        totals = [torch.zeros_like(p) for p in params]
        for n in reversed(range(m.turns)):
            record = m.log[n]
            if not record.h.any():
                continue
            with torch.enable_grad():
                y = record.y.detach().requires_grad_()
                length = float(record.h[0]) if job.settings["shared"] else column(record.h)
                new = job.method.step(job.f, clock(record.t + c * record.h), y, length, None)
                at = Record(record.t, record.h, y, new.k)
                after = new.y
                if record.x is not None:
                    stop = torch.from_numpy(record.x < 1).to(y.device).unsqueeze(-1)
                    after = torch.where(stop, between(at, job.method.dense, record.x), after)
                value = (after * a).sum()
                inside = m.passed & (m.where == n)
                inside[:, -1] = False
                for i in np.flatnonzero(inside.any(0)):
                    length_ = np.where(record.h == 0, 1.0, record.h)
                    x = np.where(inside[:, i], (job.times[:, i] - record.t) / length_, 0.0)
                    here = torch.from_numpy(inside[:, i]).to(y.device).unsqueeze(-1)
                    value = value + (between(at, job.method.dense, x) * of_ys[i] * here).sum()
                a, *grads = pull(value, [y, *params])
            for total, g in zip(totals, grads, strict=True):
                total += g
        return None, a + of_ys[0], *totals


class _Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, job: Job, y0: Tensor, *params):
        m = job.march = march(job.f, y0.detach(), job.times, job.method, **job.settings)
        ctx.job, ctx.m, ctx.params = job, m, params
        ctx.save_for_backward(m.ys)
        return m.ys, m.y.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, of_ys, of_y):
        job, m = ctx.job, ctx.m
        ys, = ctx.saved_tensors
        a = of_y + _ends(of_ys, m)
        stops = np.where(m.passed, job.times, m.t[:, None])             # where a row stood at each time of ts
        stops[:, 0] = job.times[:, 0]
        back = _Back(job.f, list(ctx.params), y0=ys[0])
        first = None
        for i in range(ys.shape[0] - 1, 0, -1):
            leg = np.stack([stops[:, i], stops[:, i - 1]], 1)
            if (leg[:, 0] != leg[:, 1]).any():
                a, first = back.run(leg, ys[i], a, job.back, first)
            inside = m.passed[:, i - 1] if i > 1 else np.ones(len(leg), bool)
            a = a + of_ys[i - 1] * torch.from_numpy(inside).to(a.device).unsqueeze(-1)
        return None, a, *back.totals


def _ends(of_ys: Tensor, m: March) -> Tensor:
    """What arrives at the last state: the last time, and those that a row which ended early never reached."""
    a = of_ys[-1]
    missed = ~m.passed[:, 1:-1]
    if missed.any():
        a = a + (of_ys[1:-1] * torch.from_numpy(missed.T.copy()).to(a.device).unsqueeze(-1)).sum(0)
    return a


class _Back:
    """The adjoint solve: state and adjoint (y, a) as one row (2 D); the parameters' integral beside it.

    The integral of a^T df/dparams does not act back on y and a, so it is summed over the accepted steps with
    the method's weights, and never enters the error norm ("seminorm": Kidger, Chen, Lyons, ICML 2021).
    """

    def __init__(self, f, params: list[Tensor], y0: Tensor):
        self.f, self.params, self.size = f, params, y0.shape[1]
        self.totals = [torch.zeros_like(p) for p in params]
        self.tape: dict[int, tuple[Tensor, Tensor, Tensor]] = {}      # of a slope: itself, f with its graph, a

    def field(self, t, z: Tensor) -> Tensor:
        y, a = z[:, :self.size], z[:, self.size:]
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            f = self.f(t, y)
            dy, = pull((f * a).sum(), [y], keep=bool(self.params))
        out = torch.cat([f.detach(), -dy], 1)
        if self.params:
            self.tape[id(out)] = (out, f, a)
        return out

    def run(self, leg: np.ndarray, y: Tensor, a: Tensor, settings: dict, first):
        """From leg[:, 0] to leg[:, 1]: the adjoint there, and the step length to go on with."""
        settings = dict(settings)
        method, dt = settings.pop("method"), settings.pop("dt")
        if not method.adaptive or dt is not None:
            settings["plan"] = plan = settings.pop("steps")(leg, dt)
            settings["shared"] = settings["shared"] and bool((leg == leg[:1]).all())
            bare = isinstance(method, Explicit) and not method.fsal and settings.get("event") is None
            if bare and settings["shared"]:
                y0, a0, totals = fixed_adjoint(self.f, y, a, plan[:, 0], method.table, self.params)
                if math.isfinite(y0.sum() + a0.sum()):               # else march, to say where it went wrong
                    for total, part in zip(self.totals, totals, strict=True):
                        total += part
                    return a0, None
        else:
            settings.pop("steps")
            if first is None or (first <= 0).any():
                first = settings.get("first")
            settings["first"] = first
        self.tape.clear()
        self.weights = method.table.b
        self.clock, self.column = clocks(y, settings["shared"])
        m = march(self.field, torch.cat([y, a], 1), leg, method, on_step=self.add if self.params else None,
                  **settings)
        self.tape.clear()
        bad = np.flatnonzero(~np.isin(m.how, (ARRIVED, EVENT)))
        if len(bad):
            row = int(bad[0])
            sentence = (f"The adjoint's solve back in time ended at t = {m.t[row]:.4g} in row {row}, on its "
                        f"way to {leg[row, 1]:.4g} ({m.turns} tried steps): going back, the equation may be "
                        "unstable or stiff. Take gradient='checkpoint', which repeats the forward steps.")
            raise SolverError(Status("stopped", sentence, m.turns, float(m.t[row]), row))
        return m.y[:, self.size:], m.h

    def add(self, record: Record, step: np.ndarray) -> None:
        """After a turn: the parameters' part of the rows that moved."""
        if record.h.any():
            h = self.column(record.h)
            with torch.enable_grad():
                total = 0.0
                for w, k in zip(self.weights, record.k, strict=True):
                    if w:
                        f, a = self.entry(record, k)
                        total = total + (f * (a * (w * h))).sum()
                for total_p, g in zip(self.totals, pull(total, self.params, keep=True), strict=True):
                    total_p -= g
        ends = record.k[0], record.k[-1]
        self.tape = {id(k): self.tape[id(k)] for k in ends if id(k) in self.tape}

    def entry(self, record: Record, k: Tensor) -> tuple[Tensor, Tensor]:
        if id(k) in self.tape:
            return self.tape[id(k)][1:]
        # The first slope of rows that were accepted in different turns was put together: evaluate it anew.
        y, a = record.y[:, :self.size], record.y[:, self.size:]
        return self.f(self.clock(record.t[None])[0], y.detach()), a
