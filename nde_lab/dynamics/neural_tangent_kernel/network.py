"""Networks in the tangent-kernel parametrisation, and their empirical kernel layer by layer.

Jacot, Gabriel, Hongler, arXiv 1806.07572, section 2: all weights and biases are drawn from N(0, 1), and the
forward
pass carries the factors,

    z_{l+1} = W_l h_l / sqrt(n_l) + beta b_l,    h_0 = x,    h_l = act(z_l),    f = z_L.

Gradients feel these factors too, so that a learning rate of 1 makes sense at every width.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nde_lab.autodiff import value_and_grad
from nde_lab.dynamics.neural_tangent_kernel.limit import ACTS, check_act, check_beta, check_depth, points
from nde_lab.random import Normal

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Network:
    """inputs n_0 -> width -> ... -> width -> 1 output, ``depth`` weight layers L. Parameters: a flat dict of
    W0 (n_1, n_0), b0 (n_1,), ...; with a further axis in front they are several networks at once."""
    inputs: int = 2
    width: int = 128
    depth: int = 3
    act: str = "relu"

    def __post_init__(self):
        check_act(self.act), check_depth(self.depth)
        for name, n in (("inputs", self.inputs), ("width", self.width)):
            if isinstance(n, bool) or not isinstance(n, int) or n < 1:
                raise ValueError(f"{name} is a whole number >= 1, got {n!r}")

    @property
    def sizes(self) -> list[int]:
        """n_0, ..., n_L."""
        return [self.inputs, *[self.width] * (self.depth - 1), 1]

    def draws(self, *copies: int) -> dict[str, Normal]:
        """Declared N(0, 1) starts of all parameters; ``copies`` networks side by side on the first axis."""
        shapes = {}
        for i, (n, m) in enumerate(zip(self.sizes[:-1], self.sizes[1:], strict=True)):
            shapes |= {f"W{i}": (*copies, m, n), f"b{i}": (*copies, m)}
        return {name: Normal(shape) for name, shape in shapes.items()}

    def start(self, *copies: int, seed: int = 0, dtype=torch.float32) -> Tensors:
        """Random parameters from torch's generator: several times as fast as ``random.sample`` for wide
        networks."""
        generator = torch.Generator().manual_seed(seed)
        return {n: torch.randn(d.shape, generator=generator, dtype=dtype) for n, d in self.draws(*copies).items()}

    def params(self, state: Tensors) -> Tensors:
        """This network's own entries of a larger state."""
        return {f"{kind}{i}": state[f"{kind}{i}"] for i in range(self.depth) for kind in "Wb"}

    def forward(self, params: Tensors, x: Tensor, beta=0.1) -> Tensor:
        """Outputs f (..., n) at the points x (n, n_0)."""
        return self._layers(params, x, beta)[-1][..., 0]

    def _layers(self, params, x, beta) -> list[Tensor]:
        """z_1 .. z_L, each (..., n, n_l)."""
        h, found = x, []
        for i, n in enumerate(self.sizes[:-1]):
            z = h @ params[f"W{i}"].mT / math.sqrt(n) + beta * params[f"b{i}"][..., None, :]
            h = ACTS[self.act][0](z)
            found.append(z)
        return found

    def signals(self, params: Tensors, x: Tensor, beta=0.1) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """(f, [h_0 .. h_{L-1}], [delta_1 .. delta_L]): outputs (..., n), the input of each layer, and the
        derivative
        of f in z_l, both (..., n, n_l)."""
        act, slope = ACTS[self.act]
        zs = self._layers(params, x, beta)
        deltas = [torch.ones_like(zs[-1])]
        for i in range(self.depth - 1, 0, -1):
            deltas.append(deltas[-1] @ params[f"W{i}"] / math.sqrt(self.sizes[i]) * slope(zs[i - 1]))
        return zs[-1][..., 0], [x, *map(act, zs[:-1])], deltas[::-1]

    def kernel(self, params: Tensors, x: Tensor, x2: Tensor | None = None, beta=0.1) -> Tensor:
        """The empirical tangent kernel (..., n, m), layer by layer; no Jacobian is stored.

        sum_l <delta_l(x), delta_l(x')> (<h_{l-1}(x), h_{l-1}(x')> / n_{l-1} + beta^2)
        """
        one = self.signals(params, self._points(x), check_beta(beta))
        two = one if x2 is None else self.signals(params, self._points(x2), beta)
        parts = zip(self.sizes, one[1], one[2], two[1], two[2], strict=False)
        return sum((d @ d2.mT) * (h @ h2.mT / n + beta * beta) for n, h, d, h2, d2 in parts)

    def _points(self, x: Tensor) -> Tensor:
        if points(x).shape[1] != self.inputs:
            raise ValueError(f"the network has {self.inputs} inputs, the points have {x.shape[1]}")
        return x

    def cost(self, params: Tensors, x: Tensor, y: Tensor, beta=0.1) -> tuple[Tensor, Tensor]:
        """(sum over the networks of mean_i (f(x_i) - y_i)^2 / 2, residuals (..., n)). A sum over networks
        keeps each
        one's gradient its own."""
        residual = self.forward(params, x, beta) - y
        return residual.square().mean(-1).sum() / 2, residual

    def descend(self, params: Tensors, x: Tensor, y: Tensor, beta=0.1, lr=1.0) -> tuple[Tensors, Tensor]:
        """One step of gradient descent on the cost; returns (parameters, residuals before the step)."""
        (_, residual), grads = value_and_grad(lambda p: self.cost(p, x, y, beta), params, has_aux=True)
        return {n: p - lr * grads[n] for n, p in params.items()}, residual

    def train(self, params: Tensors, x: Tensor, y: Tensor, steps: int, *, beta=0.1, lr=1.0) -> Tensors:
        """Parameters after ``steps`` of ``descend``."""
        for _ in range(steps):
            params, _ = self.descend(params, x, y, beta, lr)
        return params


class Module(nn.Module):
    """A ``Network`` with its parameters as an ``nn.Module``: x (n, n_0) -> (n,)."""

    def __init__(self, net: Network, params: Tensors, beta: float = 0.1):
        super().__init__()
        self.net, self.beta = net, check_beta(beta)
        for name, p in params.items():
            self.register_parameter(name, nn.Parameter(p.clone()))

    def forward(self, x: Tensor) -> Tensor:
        return self.net.forward(dict(self.named_parameters()), x, self.beta)
