"""Adaptive solve of an SDE with one clock for the whole batch, keeping the notes that the penalties need.

As for the ODEs, q is the error estimate in units of the tolerance, averaged (mean square) over all trajectories
and components; a step counts if q <= 1, and step lengths are constants of the gradient. The controller is
h <- h clip(0.9 q^(-2/3), 0.2, 5): the error of a step is of order h^(3/2).
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nde_lab.odes.opening_the_blackbox.sde_pair import ORDER, pair_step
from nde_lab.odes.opening_the_blackbox.sde_path import RememberedPath
from nde_lab.solvers import error_ratio

H0, SAFETY, SHORTEST, LONGEST = 0.02, 0.9, 0.2, 5.0


class SdeSolved(NamedTuple):
    """ts: n + 1 times of the accepted steps. ys: the states there, (n + 1, B, D). error_sum: R_E = sum q h,
    0-d. drifts, diffusions: calls of f and g, rejected trials included. rejected: their number. status: "done",
    or a sentence that says why the solve stopped early."""
    ts: list[float]
    ys: Tensor
    error_sum: Tensor
    drifts: int
    diffusions: int
    rejected: int
    status: str

    def at(self, times: Tensor) -> Tensor:
        """States at the times (T,), (T, B, D), on the straight line between accepted steps, as in the paper's
        code. (Between steps that line has less variance than the SDE: a coarse solve pays for it in the
        fit.)"""
        ts = torch.tensor(self.ts, dtype=times.dtype)
        right = torch.searchsorted(ts, times.contiguous()).clamp(1, len(ts) - 1)
        part = ((times - ts[right - 1]) / (ts[right] - ts[right - 1]))[:, None, None].to(self.ys.dtype)
        return torch.lerp(self.ys[right - 1], self.ys[right], part)


def solve_sde_pair(f, g, y0: Tensor, *, rtol: float, seed: int, stream: str = "brownian", t1: float = 1.0,
                   h0: float = H0, max_trials: int = 2000) -> SdeSolved:
    """dy = f dt + g dW (Ito, diagonal) from t = 0 to t1, atol = rtol, y0 (B, D). Differentiable in what f and g
    close over. Numerical trouble is no error but a status.

    Raises ValueError for a tolerance or a first step that is not positive.
    """
    if not (rtol > 0 and h0 > 0 and t1 > 0):
        raise ValueError(f"an adaptive solve needs rtol, h0 and t1 above 0, got {rtol!r}, {h0!r}, {t1!r}")
    path = RememberedPath(y0.shape, seed=seed, stream=stream, dtype=y0.dtype)
    t, y, h, start = 0.0, y0, h0, None
    ts, ys, total = [t], [y], torch.zeros((), dtype=y0.dtype)
    drifts = diffusions = rejected = 0
    status = "done"
    for _ in range(max_trials):
        last = t + h >= t1 * (1 - 1e-9)
        h = t1 - t if last else h
        piece = path.look(h)
        known = start is not None
        step = pair_step(f, g, t, y, h, piece.dW, piece.integral / h, start=start)
        drifts, diffusions = drifts + 2 - known, diffusions + 4 - known
        ratio = error_ratio(step.error.reshape(1, -1), y.reshape(1, -1), step.y.reshape(1, -1), rtol, rtol)[0]
        q = float(ratio.detach())
        if q <= 1:
            path.advance()
            total = total + ratio * h
            t, y, start = (t1 if last else t + h), step.y, None
            ts.append(t)
            ys.append(y)
            if last:
                break
        else:
            rejected, start = rejected + 1, step.start
        grow = SAFETY * max(q, 1e-10) ** (-1 / ORDER) if q < float("inf") else SHORTEST
        h = h * min(LONGEST, max(SHORTEST, grow))
        if h < 1e-7 * t1:
            status = f"the step fell to {h:.1e} at t = {t:.3f}: the SDE is too wild there for rtol = {rtol:g}"
            break
    else:
        status = f"{max_trials} trials did not reach the end; the solve stopped at t = {t:.3f}"
    return SdeSolved(ts, torch.stack(ys), total, drifts, diffusions, rejected, status)


def solve_fixed(f, g, y0: Tensor, *, steps: int, seed: int, stream: str = "brownian", every: int = 1) -> Tensor:
    """The same pair with equal steps on [0, 1] and no estimate used: the states at every ``every``-th step,
    (steps / every + 1, B, D). The reference that does not know the tolerance."""
    if steps < 1 or steps % every:
        raise ValueError(f"steps must be a multiple of every, got steps={steps!r}, every={every!r}")
    path = RememberedPath(y0.shape, seed=seed, stream=stream, dtype=y0.dtype)
    y, out, h = y0, [y0], 1 / steps
    for k in range(steps):
        piece = path.fresh(h)
        y = pair_step(f, g, k * h, y, h, piece.dW, piece.integral / h).y
        if (k + 1) % every == 0:
            out.append(y)
    return torch.stack(out)
