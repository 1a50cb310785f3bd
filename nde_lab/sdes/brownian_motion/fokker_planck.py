"""The Fokker-Planck equation of dx = -U'(x) dt + sigma dW on a grid: the cloud's density without a cloud.

With the diffusivity D = sigma^2 / 2 the density p of the cloud obeys dp/dt = (U' p)' + D p''. On cells of
width dx the mass goes from cell to cell at the rates of Scharfetter and Gummel (1969; Chang and Cooper, 1970,
in plasma physics): a random walk whose jump rates know the slope of U. Mass is kept exactly, no density turns
negative for a step below ``largest_step``, and the law at rest is exactly exp(-U/D) at the cells' centres.
"""
from __future__ import annotations

import math

import torch

from nde_lab.autodiff import loop


def double_well(x, *, b, c=0.0):
    """U(x) = b (x^2 - 1)^2 + c x: wells near -1 and 1, a barrier of height b at 0, tilted by c."""
    return b * (x**2 - 1) ** 2 + c * x


def double_well_pull(x, *, b, c=0.0):
    """-U'(x), the drift that rolls downhill: -4 b x (x^2 - 1) - c."""
    return -4 * b * x * (x**2 - 1) - c


def cell_centres(low: float, high: float, cells: int, dtype=torch.float32):
    """Centres of ``cells`` equal cells of [low, high], (cells,); ValueError unless low < high and cells >=
    2."""
    if not (low < high and cells >= 2):
        raise ValueError(f"a grid needs low < high and at least 2 cells, got low={low}, high={high}, "
                         f"cells={cells}")
    return low + (torch.arange(cells, dtype=dtype) + 0.5) * ((high - low) / cells)


def bernoulli(z):
    """z / (e^z - 1), and 1 - z/2 near 0 where that quotient is 0/0."""
    small = z.abs() < 1e-3
    safe = torch.where(small, torch.ones_like(z), z)
    return torch.where(small, 1 - z / 2, safe / torch.expm1(safe))


def jump_rates(U, *, D, dx):
    """Rates at which mass jumps from each cell to its right neighbour, and back: two tensors (cells - 1,).

    U (cells,) at the centres, D > 0. rate = D/dx^2 B(difference of U / D), B = ``bernoulli``. Downhill jumps
    are the quicker ones, and the ratio of the two is exp(-difference/D): exp(-U/D) lets as much mass go as
    come, across every face.
    """
    z = (U[1:] - U[:-1]) / D
    uphill = bernoulli(z)
    return uphill * D / dx**2, (uphill + z) * D / dx**2          # B(-z) = B(z) + z


def density_step(p, right, left, dt):
    """One explicit step: p (cells,) gains and loses dt times the flow through its two faces; walls let none
    out."""
    flow = right * p[:-1] - left * p[1:]
    wall = torch.zeros_like(p[:1])
    return p + dt * (torch.cat([wall, flow]) - torch.cat([flow, wall]))


def largest_step(right, left):
    """The longest dt for which no cell loses more than it has: 1 / (largest rate of leaving a cell)."""
    wall = torch.zeros_like(right[:1])
    return 1 / (torch.cat([right, wall]) + torch.cat([wall, left])).max()


def at_rest(U, *, D, dx):
    """exp(-U/D), normalised to mass 1 on cells of width dx: the law that no start can escape."""
    weight = torch.exp((U.min() - U) / D)
    return weight / (weight.sum() * dx)


def solve_density(p, U, *, D, dx, t):
    """The density at time t from p (cells,) at time 0, with as few explicit steps as positivity allows (plus
    10 %)."""
    right, left = jump_rates(U, D=D, dx=dx)
    n = max(1, math.ceil(1.1 * t / float(largest_step(right, left))))
    return loop(lambda p, _: (density_step(p, right, left, t / n), None), p, torch.zeros(n))[0]


def kramers_time(*, b, sigma):
    """Kramers' mean time from the bottom of one well to that of the other, in the untilted double well, for
    low noise.

    2 pi / sqrt(U''(-1) |U''(0)|) e^{2 b / sigma^2}, with U''(-1) = 8 b and U''(0) = -4 b.
    """
    b, sigma = torch.as_tensor(b), torch.as_tensor(sigma)
    return 2 * math.pi / (b * math.sqrt(32.0)) * torch.exp(2 * b / sigma**2)


def crossing_time(*, b, sigma, cells: int = 400, low: float = -2.5):
    """The exact mean time from -1 to 1 (reflected at ``low``, far up the wall), by the midpoint rule.

    T = (1/D) int_{-1}^{1} e^{U(y)/D} int_{low}^{y} e^{-U(z)/D} dz dy, from D T'' - U' T' = -1 with T(1) = 0.
    """
    b, sigma = torch.as_tensor(b), torch.as_tensor(sigma)
    dtype = torch.promote_types(b.dtype, sigma.dtype)
    D, dx = sigma**2 / 2, (1 - low) / cells
    y = cell_centres(low, 1.0, cells, dtype)
    U = double_well(y, b=b) / D
    weight = torch.exp(-U)
    below = weight.cumsum(0) - weight / 2
    # Left of the start nothing is added; there e^{U/D} would overflow.
    inside = y > -1
    barrier = torch.where(inside, torch.exp(torch.where(inside, U, torch.zeros_like(U))), torch.zeros_like(U))
    return (barrier * below).sum() * dx**2 / D
