"""Milstein's scheme in both calculi: Euler-Maruyama plus the first term that it leaves out.

Over a step the noise g itself moves, by g'(Y) g dW to first order; integrated against dW that gives (g' g)
times the iterated integral of W against itself: (dW^2 - dt)/2 in the Ito sense, dW^2/2 in the Stratonovich
sense. For several Brownian motions that do not commute the iterated integrals are not functions of dW alone,
hence the noise types. Source: Milstein (1974); Kloeden and Platen (1992), section 10.3.
"""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab.solvers.scheme import Scheme
from nde_lab.solvers.sde import SDE


class _Milstein(Scheme):
    """What both calculi share. grad_free: g' g from a difference, (g(Y + g sqrt(dt)) - g(Y)) / sqrt(dt),
    instead of autograd (torchsde's option of that name): one more evaluation of g, no derivative."""
    name = "milstein"
    strong_order = {"diagonal": 1.0, "additive": 1.0, "scalar": 1.0}
    weak_order = 1.0

    def __init__(self, grad_free: bool = False):
        self.grad_free = grad_free
        self.evaluations = (1, 2) if grad_free else (1, 1)

    def cost(self, sde):
        return (1, 1) if sde.noise_type == "additive" else self.evaluations

    def step(self, sde, t, y, dt, dW):
        if sde.noise_type == "additive":
            f, g = sde.both(t, y)
            return y + f * dt + sde.noise(g, dW)
        if self.grad_free:
            f, g = sde.both(t, y)
            root = dt ** 0.5
            column = g if sde.noise_type == "diagonal" else g[..., 0]
            ahead = sde.diffusion(t, y + self.lead(f, dt) + root * column)
            return y + f * dt + sde.noise(g, dW) + sde.noise(ahead - g, self.squares(dW, dt)) / (2 * root)
        g, correction = _diffusion_and_correction(sde, t, y, self.squares(dW, dt))
        return y + sde.drift(t, y) * dt + sde.noise(g, dW) + correction

    def check(self, sde, t, y):
        if sde.noise_type == "diagonal" and mixes_coordinates(sde, t, y):
            other = "euler" if self.calculus == "ito" else "heun"
            raise ValueError("method 'milstein' takes diagonal noise whose g_i depends on y_i only; this "
                             "diffusion mixes coordinates, and its iterated integrals are not known from dW. "
                             f"Use method='{other}'")


class MilsteinIto(_Milstein):
    """Y' = Y + f dt + g dW + (g' g)(dW^2 - dt)/2, to the *Ito* solution.

    Strong and weak order 1; the derivative g' comes from autograd, whatever function g is. Diagonal noise
    here means that g_i depends on y_i (and t) only: a diffusion network that mixes coordinates is refused.
    For additive noise the correction is zero, and the scheme is Euler-Maruyama.
    """
    calculus = "ito"

    def squares(self, dW, dt):
        return dW * dW - dt

    def lead(self, f, dt):
        return f * dt


class MilsteinStratonovich(_Milstein):
    """Y' = Y + f dt + g dW + (g' g) dW^2 / 2, to the *Stratonovich* solution; else like the other."""
    calculus = "stratonovich"

    def squares(self, dW, dt):
        return dW * dW

    def lead(self, f, dt):
        return 0.0


def _diffusion_and_correction(sde: SDE, t: Tensor, y: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    """g, and (g . grad) g times squares / 2, (B, D); squares: (B, m). Both stay differentiable where asked for.

    A state that asks for none is differentiated through a copy, and what comes of the copy is cut off again:
    otherwise a plain simulation would drag the graph of all its steps along.
    """
    plain = None if y.requires_grad else sde.diffusion(t, y)
    record = torch.is_grad_enabled() and (plain is None or plain.requires_grad or squares.requires_grad)
    with torch.enable_grad():
        x = y if y.requires_grad else y.detach().requires_grad_()
        g = sde.diffusion(t, x)
        if not g.requires_grad:                     # the diffusion does not look at the state
            return g, torch.zeros_like(y)
        if sde.noise_type == "diagonal":            # diagonal Jacobian: g_i g_i' is the gradient of g_i^2 / 2
            slope = _grad((g * g * (0.25 * squares)).sum(), x, record)
        else:                                       # scalar: the product J g, the reverse of a reverse
            column = g[..., 0]
            probe = torch.zeros_like(column).requires_grad_()
            pulled = _grad((column * probe).sum(), x, True)                                        # J^T probe
            slope = torch.zeros_like(y)
            if pulled.requires_grad:
                slope = _grad((pulled * column).sum(), probe, record) * (0.5 * squares)
    return (g if plain is None else plain), (slope if record else slope.detach())


def _grad(value: Tensor, inputs: Tensor, create_graph: bool) -> Tensor:
    # Of a 0-d value: the first torch.autograd.grad that is given grad_outputs imports sympy (500 modules).
    found, = torch.autograd.grad(value, inputs, create_graph=create_graph, retain_graph=True,
                                 allow_unused=True)
    return torch.zeros_like(inputs) if found is None else found


def mixes_coordinates(sde: SDE, t: Tensor, y: Tensor) -> bool:
    """Whether g_i of diagonal noise depends on other coordinates than y_i, as seen at these states.

    A diagonal Jacobian J has J^T w = w * (J^T 1) for every w; one uneven w shows if coordinates mix.
    """
    if y.shape[-1] == 1:
        return False
    with torch.enable_grad():
        x = y.detach().requires_grad_()
        g = sde.diffusion(t, x)
        if not g.requires_grad:
            return False
        weights = torch.linspace(1.0, 2.0, y.shape[-1], dtype=y.dtype, device=y.device)
        plain, uneven = _grad(g.sum(), x, False), _grad((g * weights).sum(), x, False)
    size = plain.abs().max() + uneven.abs().max()
    return bool(((uneven - weights * plain).abs() > 1e-4 * size).any())
