"""SDEs whose solutions are known, and the fits that several tests of the solvers share."""
from __future__ import annotations

import math

import numpy as np
import torch

from nde_lab.solvers import SDE, Brownian, Grid, sdeint

F64 = torch.float64


class Geometric:
    """dX = mu X dt + sigma X dW, noise by coordinate or (noise_type="scalar", "general") by matrix."""

    def __init__(self, sde_type="ito", noise_type="diagonal", mu=0.5, sigma=0.8):
        self.sde_type, self.noise_type, self.mu, self.sigma = sde_type, noise_type, mu, sigma

    def f(self, t, y):
        return self.mu * y

    def g(self, t, y):
        if self.noise_type == "diagonal":
            return self.sigma * y
        g = self.sigma * y
        return g.unsqueeze(-1) if self.noise_type == "scalar" else torch.diag_embed(g)

    def exact(self, y0, W, t=1.0):
        """The solution at t as a function of W(t)."""
        growth = self.mu - (self.sigma**2 / 2 if self.sde_type == "ito" else 0.0)
        return y0 * torch.exp(growth * t + self.sigma * W)


class Rotation:
    """dX = -a X dt + sigma J X dW in the plane, one noise; g's Jacobian is not symmetric."""
    a, sigma = 1.0, 1.0

    def __init__(self, sde_type="ito", noise_type="scalar"):
        self.sde_type, self.noise_type = sde_type, noise_type

    def f(self, t, y):
        return -self.a * y

    def g(self, t, y):
        return self.sigma * torch.stack([-y[:, 1], y[:, 0]], -1).unsqueeze(-1)

    def exact(self, y0, W, t=1.0):
        radius = math.exp((-self.a + (self.sigma**2 / 2 if self.sde_type == "ito" else 0.0)) * t)
        c, s = torch.cos(self.sigma * W[:, 0]), torch.sin(self.sigma * W[:, 0])
        return radius * torch.stack([c * y0[:, 0] - s * y0[:, 1], s * y0[:, 0] + c * y0[:, 1]], -1)


def additive(sde_type="ito"):
    """A nonlinear drift and a 2 x 3 matrix of noise that depends on time only; no closed form."""
    base = torch.tensor([[0.5, 0.2, 0.0], [-0.3, 0.4, 0.6]], dtype=F64)
    return SDE(lambda t, y: torch.sin(3 * y) - y,
               lambda t, y: (base * (1 + 0.5 * torch.sin(t))).expand(len(y), 2, 3), "additive", sde_type)


class Arctangent:
    """torchsde's second problem with a closed form: dX = -p^2 sin X cos^3 X dt + p cos^2 X dW, X =
    arctan(tan x0 + p W).

    Its drift is the Ito correction of its noise, so in the Stratonovich sense there is none.
    """
    p = 0.7

    def __init__(self, sde_type="ito", noise_type="scalar"):
        self.sde_type, self.noise_type = sde_type, noise_type

    def f(self, t, y):
        return -self.p**2 * torch.sin(y) * torch.cos(y)**3 * (self.sde_type == "ito")

    def g(self, t, y):
        g = self.p * torch.cos(y)**2
        return g if self.noise_type == "diagonal" else g.unsqueeze(-1)

    def exact(self, y0, W, t=1.0):
        return torch.atan(torch.tan(y0) + self.p * W)


class Fading:
    """torchsde's third: dX = (b / sqrt(1 + t) - X / (2 (1 + t))) dt + a b / sqrt(1 + t) dW, additive, one
    noise per coordinate; X = (x0 + b (t + a W)) / sqrt(1 + t). Additive, so both calculi mean it."""
    noise_type, a, b = "additive", 0.8, 0.6

    def __init__(self, sde_type="ito"):
        self.sde_type = sde_type

    def f(self, t, y):
        return self.b / torch.sqrt(1 + t) - y / (2 * (1 + t))

    def g(self, t, y):
        return torch.diag_embed(self.a * self.b / torch.sqrt(1 + t) * torch.ones_like(y))

    def exact(self, y0, W, t=1.0):
        return (y0 + self.b * (t + self.a * W)) / math.sqrt(1 + t)


class Area:
    """dX1 = dW1, dX2 = X1 dW2: noise that does not commute. X2 is an iterated integral, known by its sum on the
    finest grid only; both calculi agree, since the noises are independent."""
    noise_type = "general"

    def __init__(self, sde_type="ito"):
        self.sde_type = sde_type

    def f(self, t, y):
        return torch.zeros_like(y)

    def g(self, t, y):
        return torch.diag_embed(torch.stack([torch.ones_like(y[:, 0]), y[:, 0]], -1))


class Mixed:
    """Diagonal noise that is not: g_i depends on the other coordinate. No closed form."""
    noise_type = "diagonal"

    def __init__(self, sde_type="ito"):
        self.sde_type = sde_type

    def f(self, t, y):
        return -y

    def g(self, t, y):
        return 0.8 * torch.sin(y.flip(-1)) + 1.0


class Network(torch.nn.Module):
    """The kind of neural SDE that torchsde tests with, for every noise type: time and state go in, a prior
    drift is there, and one parameter is not used."""

    def __init__(self, noise_type, sde_type="ito", d=3, m=2):
        super().__init__()
        self.noise_type, self.sde_type, self.d = noise_type, sde_type, d
        self.m = {"diagonal": d, "scalar": 1}.get(noise_type, m)
        layers = lambda i, o: torch.nn.Sequential(  # noqa: E731
            torch.nn.Linear(i, 5), torch.nn.Softplus(), torch.nn.Linear(5, o), torch.nn.Sigmoid()).double()
        wide = d if noise_type == "diagonal" else d * self.m
        self.drift_net = layers(d + 1, d)
        self.diffusion_net = layers(1 if noise_type == "additive" else d + 1, wide)
        self.unused = torch.nn.Parameter(torch.ones(2, dtype=F64))

    def f(self, t, y):
        return self.drift_net(torch.cat([t.expand(len(y), 1), y], 1))

    def g(self, t, y):
        t = t.expand(len(y), 1)
        g = self.diffusion_net(t if self.noise_type == "additive" else torch.cat([t, y], 1))
        return g if self.noise_type == "diagonal" else g.reshape(len(y), self.d, self.m)

    def h(self, t, y):
        return -y


def slope(sizes, errors) -> float:
    """Slope of the least-squares line through log(error) against log(step)."""
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def strong_order(sde, method, truth=None, *, channels, rows=400, steps=1024, factors=(4, 8, 16, 32, 64),
                 seed=3):
    """Fitted order of E|Y - X(1)| on one set of paths; ``truth`` (with ``exact``) defaults to sde.

    An SDE without ``exact`` is compared with its own solution at the finest step.
    """
    fine = Brownian.draw(Grid(0.0, 1.0, steps), (rows, channels), seed=seed, dtype=F64)
    y0 = torch.ones(rows, 2, dtype=F64)
    truth = truth or sde
    end = lambda factor: sdeint(sde, y0, [0.0, 1.0], fine, method, dt=factor / steps)[-1]  # noqa: E731
    known = truth.exact(y0, fine.path()[-1]) if hasattr(truth, "exact") else end(1)
    errors = [float((end(factor) - known).norm(dim=1).mean()) for factor in factors]
    return slope([factor / steps for factor in factors], errors)


def weak_errors(sde, method, counts, t=0.5) -> list[float]:
    """|E Y_n^2 - E X(t)^2| for the one-dimensional geometric SDE, exactly: no sampling.

    The increments take the three values 0, +-sqrt(3 h) with weights 2/3, 1/6, 1/6, which have the moments of
    a normal one up to the fifth; all 3^n sequences are solved at once, as rows.
    """
    growth = sde.mu + (sde.sigma**2 / 2 if sde.sde_type == "stratonovich" else 0.0)
    exact = math.exp((2 * growth + sde.sigma**2) * t)
    errors = []
    for n in counts:
        digits = torch.cartesian_prod(*[torch.arange(3)] * n).reshape(-1, n).T                   # (n, 3^n)
        values = torch.tensor([-1.0, 0.0, 1.0], dtype=F64) * math.sqrt(3 * t / n)
        weights = torch.tensor([1 / 6, 2 / 3, 1 / 6], dtype=F64)[digits].prod(0)
        y0, dW = torch.ones(3**n, 1, dtype=F64), values[digits].unsqueeze(-1)
        y = sdeint(sde, y0, [0.0, t], dW, method, dt=t / n)[-1]
        errors.append(abs(float((weights * y[:, 0] ** 2).sum()) - exact))
    return errors
