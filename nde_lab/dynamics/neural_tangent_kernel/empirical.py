"""The empirical tangent kernel of any small torch module, and a fast form for multilayer ones.

Theta(x, x') = sum over the parameters of df/dtheta_p(x) df/dtheta_p(x') (arXiv 1806.07572, section 4).
``tangent_kernel`` makes Jacobians by ``torch.func.vmap`` in blocks of rows, so that memory stays bounded;
``layerwise_kernel`` never makes one: for a multilayer network the Gram matrices of each layer's inputs and
of what comes back to it are enough.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nde_lab.dynamics.neural_tangent_kernel.limit import points

ELEMENTWISE = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.GELU, nn.Softplus, nn.ELU, nn.LeakyReLU, nn.Identity)
MANY = 100_000      # parameters from which a backward pass for each point is no slower than one for all: see the benchmark


def tangent_kernel(module: nn.Module, x: Tensor, x2: Tensor | None = None, *, output: int | None = None,
                   memory: float = 5e8) -> Tensor:
    """The empirical tangent kernel (n, m) of ``module`` at its present parameters.

    x, x2: inputs with the points on the first axis (default x2: x). Outputs of the module: (n,), (n, 1), or
    (n, k)
    with ``output`` naming the one wanted. Parameters that need no gradient do not count. memory: bytes that the
    Jacobians held at one time may take (the peak is about twice that); where all rows need more, most of it
    holds a
    block and the others pass by it, computed again for each block.

    ValueError for no points, inputs of other shapes, several outputs without ``output``, no parameter, and a
    module
    in training mode whose points feel each other (batch normalisation).
    """
    for name, points_ in (("x", x), ("x2", x if x2 is None else x2)):
        if not isinstance(points_, Tensor) or points_.dim() < 1 or len(points_) == 0:
            raise ValueError(f"{name} is a tensor with at least one point on its first axis, got "
                             f"{tuple(points_.shape) if isinstance(points_, Tensor) else type(points_).__name__}")
    if x2 is not None and x2.shape[1:] != x.shape[1:]:
        raise ValueError(f"points of x have shape {tuple(x.shape[1:])}, those of x2 {tuple(x2.shape[1:])}; "
                         "they must agree")
    if module.training and any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules()):
        raise ValueError("with batch normalisation in training mode an output depends on the other points; "
                         "call "
                         "module.eval() first")
    params = {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}
    if not params:
        raise ValueError("the module has no parameter that needs a gradient, so it has no tangent kernel")
    rest = {n: t.detach() for n, t in (*module.named_parameters(), *module.named_buffers()) if n not in params}

    def one(p, point):
        return _scalar(torch.func.functional_call(module, {**rest, **p}, (point[None],)), output)

    def rows(block):
        if sum(p.numel() for p in params.values()) > MANY:
            each = [gradients(params, point[None], None) for point in block]
            return [torch.stack(g).reshape(len(block), -1) for g in zip(*each, strict=True)]
        # Each point gets parameters of its own (a view): one backward pass gives all the Jacobian's rows.
        own = {n: p.expand(len(block), *p.shape) for n, p in params.items()}
        return [g.reshape(len(block), -1) for g in gradients(own, block, torch.func.vmap(one))]

    def gradients(p, block, many):
        p = {n: t.detach().requires_grad_() for n, t in p.items()}
        with torch.enable_grad():
            out = many(p, block).sum() if many else one(p, block[0])
            found = torch.autograd.grad(out, list(p.values()), allow_unused=True)
        return [g for g in found if g is not None]
    row = sum(p.numel() * p.element_size() for p in params.values())
    fit = max(2, int(memory / row))          # rows at one time
    held = fit if len(x) + (0 if x2 is None else len(x2)) <= fit else max(1, int(0.8 * fit))
    return _in_blocks(rows, x, x2, held, max(1, fit - held))


def _scalar(out: Tensor, output: int | None) -> Tensor:
    """The wanted entry of the output for one point."""
    out = out.reshape(-1)
    if output is None and len(out) != 1:
        raise ValueError(f"the module has {len(out)} outputs a point; say which one by output=0 .. "
                         f"{len(out) - 1}")
    if output is not None and not (isinstance(output, int) and 0 <= output < len(out)):
        raise ValueError(f"output={output!r}, but the module has the outputs 0 .. {len(out) - 1}")
    return out[output or 0]


def _in_blocks(rows, x, x2, held: int, passing: int) -> Tensor:
    """Products of Jacobian rows: ``held`` of x at a time, and ``passing`` others by them. Of the kernel of x
    with
    itself only the upper blocks are computed."""
    others, K = x if x2 is None else x2, None
    for a in range(0, len(x), held):
        left = rows(x[a: a + held])
        if K is None:
            K = left[0].new_empty(len(x), len(others))
        b = a + len(left[0])
        if x2 is None:
            K[a:b, a:b] = _product(left, left)
        for c in range(b if x2 is None else 0, len(others), passing):
            part = _product(left, rows(others[c: c + passing]))
            K[a:b, c: c + passing] = part
            if x2 is None:
                K[c: c + passing, a:b] = part.T
    return K


def _product(left, right) -> Tensor:
    """Sum over the parameters of J J'^T, without putting them side by side."""
    return sum(a @ b.T for a, b in zip(left, right, strict=True))


def layerwise_kernel(module: nn.Sequential, x: Tensor, x2: Tensor | None = None) -> Tensor:
    """The same kernel (n, m) of an ``nn.Sequential`` of ``nn.Linear`` and entry-by-entry activations, with one
    output.

    One forward and one backward pass for all points, then Gram matrices: about n^2 (sum of the widths)
    operations
    where Jacobians take n^2 (number of parameters). A ``network.Network`` has its own form, ``Network.kernel``.

    ValueError for other layers, more than one output, or points of another size.
    """
    known = (nn.Linear, *ELEMENTWISE)
    other = [type(m).__name__ for m in module if not isinstance(m, known)
             and not getattr(m, "function", None)] if isinstance(module, nn.Sequential) else [type(module).__name__]
    linear = [m for m in module if isinstance(m, nn.Linear)] if not other else []
    if other or not linear:
        raise ValueError(f"layerwise_kernel takes an nn.Sequential of nn.Linear and activations that act "
                         f"entry by "
                         f"entry, got {', '.join(other) or 'no linear layer'}; use tangent_kernel")
    if linear[-1].out_features != 1:
        raise ValueError(f"the module has {linear[-1].out_features} outputs; layerwise_kernel takes one, "
                         "tangent_kernel takes output=k")
    one = _signals(module, x)
    two = one if x2 is None else _signals(module, x2)
    total = torch.zeros(len(x), len(x if x2 is None else x2), dtype=x.dtype)
    for layer, (h, d), (h2, d2) in zip(linear, one, two, strict=True):
        weight, bias = (p is not None and p.requires_grad for p in (layer.weight, layer.bias))
        if weight or bias:
            total += (d @ d2.T) * ((h @ h2.T if weight else 0.0) + float(bias))
    return total


def _signals(module: nn.Sequential, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """(input, derivative of the output in what it gives) for each linear layer, both (n, units)."""
    first = next(m for m in module if isinstance(m, nn.Linear)).in_features
    if points(x).shape[1] != first:
        raise ValueError(f"the network has {first} inputs, the points have {x.shape[1]}")
    found, h = [], x
    with torch.enable_grad():
        for layer in module:
            h_in, h = h, layer(h)
            if isinstance(layer, nn.Linear):
                if not h.requires_grad:
                    h.requires_grad_()
                found.append((h_in.detach(), h))
        # Points do not feel each other, so the gradient of the sum holds each point's own.
        deltas = torch.autograd.grad(h.sum(), [z for _, z in found])
    return [(h_in, d) for (h_in, _), d in zip(found, deltas, strict=True)]


def per_sample_kernel(module: nn.Module, x: Tensor) -> Tensor:
    """The plain way, for comparison: a gradient for each point in a loop, stacked to a Jacobian J, then J
    J^T."""
    params = [p for p in module.parameters() if p.requires_grad]
    rows = [torch.cat([g.reshape(-1) for g in torch.autograd.grad(module(point[None]).reshape(()), params)])
            for point in x]
    J = torch.stack(rows)
    return J @ J.T


def relative_change(now: Tensor, before: Tensor) -> float:
    """Frobenius distance of two kernels over the size of the second. ValueError for different shapes or a
    zero."""
    size = float(torch.linalg.norm(before))
    if now.shape != before.shape or not size > 0 or not math.isfinite(size):
        raise ValueError(f"relative_change compares kernels of one shape, the second finite and not zero, got "
                         f"shapes "
                         f"{tuple(now.shape)} and {tuple(before.shape)}, size {size:g}")
    return float(torch.linalg.norm(now - before)) / size
