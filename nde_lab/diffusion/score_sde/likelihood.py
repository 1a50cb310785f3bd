"""Exact log-likelihoods by the probability-flow ODE (Song et al. 2021, Sec. 4.3 and Appendix D.2).

Along the flow v = a x - g^2 score / 2 the log density falls at the rate div v, so

    log p_0(x(0)) = log prior(x(T)) + integral of div v(x(t), t) dt from 0 to T.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nde_lab.autodiff import value_and_grad
from nde_lab.diffusion.score_sde.processes import Process
from nde_lab.solvers import TABLEAUS, solve_ode

TRACES = ("exact", "hutchinson")


class Likelihood(NamedTuple):
    """log_p (B,): nats. x (B, D): where the flow took the data at the horizon. ok (B,): the solve succeeded.
    evaluations (B,): of the flow."""
    log_p: Tensor
    x: Tensor
    ok: Tensor
    evaluations: Tensor


def divergence(v, t, x: Tensor, probe: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """v(t, x) and its divergence, (B, D) and (B,).

    v works row by row. Without ``probe`` the exact trace of the Jacobian (all D coordinates in one pass over D
    copies of the rows); with it Hutchinson's estimate probe . J probe, without bias if the probe's covariance
    is the identity.
    """
    rows, size = x.shape
    if probe is None:
        mask = torch.eye(size, dtype=x.dtype, device=x.device).repeat_interleave(rows, 0)       # (D B, D)
        t = t.repeat(size, 1) if isinstance(t, Tensor) and t.dim() == 2 and len(t) > 1 else t
    else:
        mask = probe

    def along(p):
        out = v(t, p["x"])
        return (out * mask).sum(), out

    (_, out), grads = value_and_grad(along, {"x": x if probe is not None else x.repeat(size, 1)}, has_aux=True)
    return out[:rows], (grads["x"] * mask).sum(-1).reshape(-1, rows).sum(0)


def log_likelihood(process: Process, score, x: Tensor, *, trace: str = "exact", probe: Tensor | None = None,
                   end: float = 1e-3, method: str = "midpoint", steps: int = 150, rtol: float = 1e-5,
                   atol: float = 1e-5) -> Likelihood:
    """log p_0 of rows x (B, D) under the model that ``score(t, x)`` and the prior define; no gradient.

    trace: "exact", or "hutchinson" with ``probe`` (B, D), drawn once and held along the solve (signs +-1 have
    the least variance). end: where the flow starts, near 0. method: "euler", "midpoint", "rk4" take ``steps``
    steps on a quadratic grid, short near the data; an adaptive one ("dopri5", ...) takes its own, to rtol and
    atol. Errors of the prior (its mismatch with the law at T) and of ``end`` remain.
    """
    if trace not in TRACES:
        raise ValueError(f"trace must be one of {', '.join(TRACES)}, got {trace!r}")
    if (trace == "hutchinson") != (probe is not None):
        raise ValueError("trace='hutchinson' needs a probe of the shape of x, and trace='exact' takes none")
    if probe is not None and probe.shape != x.shape:
        raise ValueError(f"the probe must have the shape of x, {tuple(x.shape)}, got {tuple(probe.shape)}")
    flow = process.flow(score)

    def rates(t, y):
        v, div = divergence(flow, t, y[:, :-1].contiguous(), probe)
        return torch.cat([v, div[:, None]], -1)

    adaptive = method not in TABLEAUS or TABLEAUS[method].adaptive
    times = process.times(1 if adaptive else steps, end, power=2.0).flip(0)
    with torch.no_grad():
        solved = solve_ode(rates, torch.cat([x, torch.zeros_like(x[:, :1])], -1), times, method=method,
                           rtol=rtol, atol=atol)
    y = solved.ys[-1]
    return Likelihood(process.prior_log_density(y[:, :-1]) + y[:, -1], y[:, :-1], solved.ok,
                      solved.stats["evaluations"])
