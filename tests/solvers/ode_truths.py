"""Equations whose solutions are known, (B, D), for all tests of ODE solvers."""
import math

import torch

Y0 = torch.tensor([[1.0, 0.5], [2.0, -0.3], [-0.4, 1.5]], dtype=torch.float64)


def circle(t, y):
    """y'' = -y."""
    return torch.stack([y[:, 1], -y[:, 0]], -1)


def circle_at(t, y0=Y0):
    """The solution from y0 (B, 2) at a number or times that broadcast to (B,)."""
    t = torch.as_tensor(t, dtype=torch.float64)
    c, s = torch.cos(t), torch.sin(t)
    return torch.stack([y0[..., 0] * c + y0[..., 1] * s, -y0[..., 0] * s + y0[..., 1] * c], -1)


def forced(t, y):
    """y' = -y cos t: time matters."""
    return -y * torch.cos(t)


def forced_at(t, y0=Y0, t0=0.0):
    return y0 * math.exp(-(math.sin(t) - math.sin(t0)))


def slope(sizes, errors):
    """The order fitted to errors at step sizes."""
    x, y = (torch.tensor(v, dtype=torch.float64).log() for v in (sizes, errors))
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())


class Field(torch.nn.Module):
    """A small tanh network of (y, t), float64; counts its calls."""

    def __init__(self, state=2, width=8, scale=2.0, seed=0):
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.w = torch.nn.Parameter(torch.randn(state + 1, width, generator=g, dtype=torch.float64))
        self.v = torch.nn.Parameter(torch.randn(width, state, generator=g, dtype=torch.float64))
        self.scale, self.calls = scale / width**0.5, 0

    def forward(self, t, y):
        self.calls += 1
        return self.scale * torch.tanh(torch.cat([y, t.expand(len(y), 1)], -1) @ self.w) @ self.v
