"""The kernels of infinitely wide networks: the tangent kernel Theta and the covariance Sigma, layer by layer.

Arthur Jacot, Franck Gabriel, Clement Hongler, "Neural tangent kernel: convergence and generalization in neural
networks", NeurIPS 2018, arXiv 1806.07572: proposition 1 (Sigma), theorem 1 (Theta). With (u, v) centred and
Gaussian, of variances a, b and covariance c,

    Sigma_1 = x.x' / n_0 + beta^2,    Sigma_{l+1} = E[act(u) act(v)] + beta^2,
    Theta_1 = Sigma_1,                Theta_{l+1} = Theta_l E[act'(u) act'(v)] + Sigma_{l+1}.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

# name: (function, derivative); the expectations of each are in ``expectations``.
ACTS = {
    "relu": (torch.relu, lambda z: (z > 0).to(z.dtype)),
    "erf": (torch.erf, lambda z: 2 / math.sqrt(math.pi) * torch.exp(-z * z)),
    "square": (lambda z: z * z, lambda z: 2 * z),
    "identity": (lambda z: z, torch.ones_like),
}


def check_act(name: str) -> str:
    """The name; a ValueError lists the known ones."""
    if name not in ACTS:
        raise ValueError(f"unknown activation {name!r}; known: {', '.join(ACTS)}")
    return name


def check_depth(depth) -> int:
    """The number of weight layers L; a ValueError for anything but a whole number >= 1."""
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise ValueError(f"the depth counts weight layers, a whole number >= 1, got {depth!r}")
    return depth


def check_beta(beta):
    """The size of the bias; a ValueError for a number below 0 (a tensor, a live knob, is taken as it is)."""
    if not isinstance(beta, Tensor) and not (isinstance(beta, (int, float)) and 0 <= beta < math.inf):
        raise ValueError(f"beta, the size of the bias, is a number >= 0, got {beta!r}")
    return beta


def expectations(act: str, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """E[act(u) act(v)] and E[act'(u) act'(v)] for centred Gaussian (u, v), entry by entry.

    a, b: variances of u and v; c: their covariance; shapes that broadcast. "relu": arc-cosine kernels of
    degree 1
    and 0 (Cho and Saul 2009), halved; "erf": Williams 1997; "square" and "identity": Wick's formula.
    """
    check_act(act)
    if act == "identity":
        return c + 0 * (a + b), torch.ones_like(c + 0 * (a + b))
    if act == "square":
        return a * b + 2 * c * c, 4 * c + 0 * (a + b)
    if act == "erf":
        whole = (1 + 2 * a) * (1 + 2 * b)
        ratio = 2 * c / whole.sqrt()
        return 2 / math.pi * torch.asin(ratio.clamp(-1, 1)), 4 / math.pi / (whole - 4 * c * c).sqrt()
    size = (a * b).sqrt()
    cosine = (c / size.clamp(min=1e-30)).clamp(-1, 1)          # rounding may lead past 1
    angle = torch.acos(cosine)
    first = size / (2 * math.pi) * ((1 - cosine * cosine).clamp(min=0).sqrt() + (math.pi - angle) * cosine)
    return first, (math.pi - angle) / (2 * math.pi)


def recursion(a, b, c, *, act: str, depth: int, beta) -> list[tuple[Tensor, Tensor]]:
    """(Sigma_l, Theta_l) for l = 1 .. depth, entry by entry.

    a, b, c: x.x / n_0, x'.x' / n_0 and x.x' / n_0, tensors that broadcast. beta: number, or 0-d tensor.
    """
    bias = beta * beta
    a, b, sigma = a + bias, b + bias, c + bias + 0 * (a + b)
    theta, found = sigma, []
    for layer in range(depth):
        if layer:
            (value, slope), (va, _), (vb, _) = (expectations(act, *s) for s in ((a, b, sigma), (a, a, a), (b, b, b)))
            sigma, a, b = value + bias, va + bias, vb + bias
            theta = theta * slope + sigma
        found.append((sigma, theta))
    return found


def points(x, what: str = "x") -> Tensor:
    """``x`` as a matrix of points (n, n_0); a ValueError for other shapes, empty sets and integers."""
    if not isinstance(x, Tensor) or x.dim() != 2 or 0 in x.shape or not x.is_floating_point():
        got = f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{what} is a float tensor of shape (points, inputs) with at least one of each, got "
                         f"{got}")
    return x


def kernels(x: Tensor, x2: Tensor | None = None, *, act: str = "relu", depth: int = 3, beta=0.1
            ) -> tuple[Tensor, Tensor]:
    """Sigma (n, m), the covariance of the outputs at the start, and Theta (n, m), the tangent kernel, at
    infinite
    width.

    x: points (n, n_0); x2: points (m, n_0) (default: x). act: "relu", "erf", "square" or "identity"; depth:
    number
    of weight layers L (1: a linear model); beta: size of the bias. ValueError for other shapes and values.
    """
    check_act(act), check_depth(depth), check_beta(beta)
    x2 = points(x) if x2 is None else points(x2, "x2")
    if points(x).shape[1] != x2.shape[1]:
        raise ValueError(f"x has {x.shape[1]} inputs a point and x2 has {x2.shape[1]}; they must agree")
    n0 = x.shape[1]
    a, b = x.square().sum(1)[:, None] / n0, x2.square().sum(1)[None] / n0
    return recursion(a, b, x @ x2.T / n0, act=act, depth=depth, beta=beta)[-1]
