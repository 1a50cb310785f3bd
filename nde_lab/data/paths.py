"""Paths through what was observed: from values with holes to a control path without any.

All take ``(times, values, observed=None)`` and return (N, L, C), the path on the grid of times. Whether a
path may be used for a forecast depends on what it looks at:

    fill_forward   the past only: the last observed value (strictly causal)
    linear         the next observation too
    hermite        the next observation too; the slopes come from the past ("backward differences"). The
                   control path of Oh, Lim, Kim (2024); after Morrill et al. (2021), "Neural controlled
                   differential equations for online prediction tasks"

linear and hermite never look beyond the next observation, but between two observations they do know the
coming one.

Cost. Each path needs, for every entry, the last (or the next) observed one. A masked product over pairs of
points costs O(N L^2 C) memory, a loop over points L small steps. Here the known entries are spread by shifts
of 1, 2, 4, ... points: ceil(log2 L) passes of slice, cat and where over the whole array, 6 for 40 points, 9
for 427. Nothing branches on a value, so the functions can be traced, batched by vmap, and used in a step with
a mask that depends on a live knob.
"""
from __future__ import annotations

import torch
from torch import Tensor


def _prepare(times: Tensor, values: Tensor, observed: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Times (N, L, C), values without NaN (N, L, C), and 1 where observed, else 0 (N, L, C)."""
    if values.dim() != 3:
        raise ValueError("a path goes through values of shape (series, points, channels), "
                         f"got {tuple(values.shape)}")
    if times.dim() == 1:
        times = times[None]
    if times.dim() != 2 or times.shape[0] not in (1, values.shape[0]) or times.shape[1] != values.shape[1]:
        n, length, _ = values.shape
        raise ValueError(f"times must have shape ({length},) or ({n}, {length}) to go with values of shape "
                         f"{tuple(values.shape)}, got {tuple(times.shape)}")
    seen = values == values                                # NaN alone differs from itself
    if observed is not None:
        if observed.shape != values.shape:
            raise ValueError(f"observed must have the shape of values, {tuple(values.shape)}, got "
                             f"{tuple(observed.shape)}")
        seen = seen & (observed > 0)
    zero = torch.zeros_like(values)
    return times[:, :, None].to(values.dtype) + zero, torch.where(seen, values, zero), seen.to(values.dtype)


def _shifted(rows: Tensor, shift: int, *, backward: bool) -> Tensor:
    empty = torch.zeros_like(rows[:, :shift])
    return torch.cat([rows[:, shift:], empty], 1) if backward else torch.cat([empty, rows[:, :-shift]], 1)


def _nearest(rows: Tensor, *, backward: bool = False) -> Tensor:
    """Each row, if unknown, becomes the last known one before it (the next one after it with ``backward``).

    rows (N, L, C, K): rows[..., -1] is 1 where known, else 0. Rows with nothing known on that side stay 0.
    """
    shift = 1
    while shift < rows.shape[1]:
        # each row now holds the nearest known one among `shift` points, and so does the row `shift` away
        rows = torch.where(rows[..., -1:] > 0, rows, _shifted(rows, shift, backward=backward))
        shift *= 2
    return rows


def fill_forward(times: Tensor, values: Tensor, observed: Tensor | None = None, *,
                 start: float = 0.0) -> Tensor:
    """The last observed value of each channel: strictly causal.

    times (L,) or (N, L); values (N, L, C), NaN where missing; observed (N, L, C), bool or 0/1, optional:
    False hides an entry too. Before the first observation the path is ``start`` (after standardisation 0 is
    the channel's mean), because nothing is known yet; so it is throughout for a channel without any
    observation.
    """
    _, x, seen = _prepare(times, values, observed)
    x, known = _nearest(torch.stack([x, seen], -1)).unbind(-1)
    return torch.where(known > 0, x, start)


def _neighbours(rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For every point of rows (N, L, C, K) with entries (value, time, ..., known): the row of the observation
    at or before it, value and time of the one at or after it, and the gap between the two. Beyond the first
    or last observation both are that observation, so that the path is constant there (and 0 if there is
    none)."""
    before, after = _nearest(rows), _nearest(rows, backward=True)
    before, after = (torch.where(before[..., -1:] > 0, before, after),
                     torch.where(after[..., -1:] > 0, after, before))
    return before, after[..., 0], after[..., 1], after[..., 1] - before[..., 1]


def linear(times: Tensor, values: Tensor, observed: Tensor | None = None) -> Tensor:
    """Straight lines between observations: knows the next observation, so it is not causal.

    Arguments as for ``fill_forward``. Constant before the first and after the last observation of a channel,
    0 throughout for a channel without any.
    """
    t, x, seen = _prepare(times, values, observed)
    before, x_after, _, gap = _neighbours(torch.stack([x, t, seen], -1))
    share = (t - before[..., 1]) / torch.where(gap > 0, gap, 1.0)
    return before[..., 0] + torch.where(gap > 0, share, 0.0) * (x_after - before[..., 0])


def hermite(times: Tensor, values: Tensor, observed: Tensor | None = None) -> Tensor:
    """Cubic Hermite spline with backward differences: through every observation, with a continuous slope.

    Between observations (t_a, x_a) and (t_b, x_b) the cubic that has the slope (x_b - x_a) / (t_b - t_a) at
    t_b and, at t_a, the same quotient of x_a and the observation before it; the first piece, which has none,
    is straight. Knows the next observation, and none beyond it. Arguments and ends as for ``linear``. After a
    steep pair of observations a long gap makes the cubic overshoot, by up to 4/27 of slope times gap: a
    property of the method, not an error.
    """
    t, x, seen = _prepare(times, values, observed)
    rows = torch.stack([x, t, seen], -1)
    x_old, t_old, known = _nearest(_shifted(rows, 1, backward=False)).unbind(-1)    # strictly before
    has_slope = seen * known
    step = torch.where(has_slope > 0, t - t_old, 1.0)
    slope = torch.where(has_slope > 0, (x - x_old) / step, 0.0)
    before, x_after, _, gap = _neighbours(torch.stack([x, t, slope, has_slope, seen], -1))
    x_before, t_before, slope, has_slope, _ = before.unbind(-1)
    s = torch.where(gap > 0, (t - t_before) / torch.where(gap > 0, gap, 1.0), 0.0)
    rise = x_after - x_before
    tangent = torch.where(has_slope > 0, slope * gap, rise)    # what the slope at t_a would add by t_b
    return x_before + s * s * (2 - s) * rise + s * (1 - s) ** 2 * tangent


def with_time(times: Tensor, values: Tensor) -> Tensor:
    """Time as a channel, the first one: times (L,) or (N, L), values (N, L, C) -> (N, L, 1 + C)."""
    t = (times[None] if times.dim() == 1 else times)[:, :, None].to(values.dtype)
    return torch.cat([t.expand(values.shape[0], values.shape[1], 1), values], -1)


def refine(times: Tensor, values: Tensor, substeps: int) -> tuple[Tensor, Tensor]:
    """A finer grid with ``substeps`` steps in place of each, and NaN at the new points.

    times (L,), values (N, L, C) -> times (M,), values (N, M, C) with M = (L - 1) substeps + 1. A path through
    the result is the same path, seen on the finer grid: for a solver whose step is shorter than the sampling
    interval.
    """
    if isinstance(substeps, bool) or not isinstance(substeps, int) or substeps < 1:
        raise ValueError(f"refine needs a whole number of substeps >= 1, got {substeps!r}")
    if times.dim() != 1 or values.dim() != 3 or values.shape[1] != len(times):
        raise ValueError(f"refine takes times (L,) and values (N, L, C), got {tuple(times.shape)} and "
                         f"{tuple(values.shape)}")
    n, length, channels = values.shape
    holes = torch.full_like(values[:, :, None], torch.nan).expand(n, length, substeps - 1, channels)
    fine = torch.cat([values[:, :, None], holes], 2).reshape(n, length * substeps, channels)
    share = torch.arange(substeps, dtype=times.dtype, device=times.device) / substeps
    between = times[:-1, None] + share * (times[1:] - times[:-1])[:, None]
    return torch.cat([between.reshape(-1), times[-1:]]), fine[:, : (length - 1) * substeps + 1]
