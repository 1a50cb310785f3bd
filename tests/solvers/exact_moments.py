"""Weak errors of schemes without sampling: for linear SDEs one step is a random matrix, and moments follow
exactly.

dX = A X dt + sum_i B_i X dW_i + G dW (multiplicative or additive noise). The mean of (X, 1)(X, 1)^T obeys a
linear ODE; a scheme multiplies (X, 1) by a matrix that is a polynomial in the increments (and areas) of the
step, so Gauss quadrature gives the matrix of its second moments to rounding, and a power of that matrix the
moments after n steps.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nde_lab.solvers import SDE, choose

F64 = torch.float64
NODES = 7                    # exact to degree 13 in each increment; a step is at most of degree 3, its square 6


@dataclass(frozen=True, eq=False)
class Linear:
    """A (d, d); B: list of (d, d); G (d, m) or None."""
    noise_type: str
    sde_type: str
    A: Tensor
    B: tuple[Tensor, ...] = ()
    G: Tensor | None = None

    @property
    def channels(self) -> int:
        return self.G.shape[1] if self.G is not None else len(self.B)

    def sde(self) -> SDE:
        def g(t, y):
            if self.G is not None:
                return self.G.expand(len(y), *self.G.shape)
            columns = torch.stack([y @ b.T for b in self.B], -1)                               # (rows, d, m)
            return columns.sum(-1) if self.noise_type == "diagonal" else columns
        return SDE(lambda t, y: y @ self.A.T, g, self.noise_type, self.sde_type)

    def exact(self, x0: Tensor, t: float) -> Tensor:
        """E[(X, 1)(X, 1)^T] at t, (d + 1, d + 1), by the matrix exponential of its linear ODE."""
        d, A = len(x0), self.A.clone()
        if self.sde_type == "stratonovich":
            A = A + 0.5 * sum((b @ b for b in self.B), torch.zeros(d, d, dtype=F64))
        wide = lambda m: torch.nn.functional.pad(m, (0, 1, 0, 1))  # noqa: E731
        eye = torch.eye(d + 1, dtype=F64)
        generator = torch.kron(wide(A), eye) + torch.kron(eye, wide(A))
        for b in self.B:
            generator = generator + torch.kron(wide(b), wide(b))
        if self.G is not None:
            source = wide(self.G @ self.G.T).reshape(-1)             # E[1 * 1] = 1 is the last entry
            generator[:, -1] += source
        start = torch.outer(*[torch.cat([x0, torch.ones(1, dtype=F64)])] * 2).reshape(-1)
        return (torch.matrix_exp(generator * t) @ start).reshape(d + 1, d + 1)


def step_matrices(problem: Linear, scheme, h: float) -> tuple[Tensor, Tensor]:
    """Quadrature weights (q,) and the matrices (q, k, k) by which a step of h multiplies what is carried and 1.

    What is carried is the state, for reversible Heun state and shadow.
    """
    sde, d, m = problem.sde(), len(problem.A), problem.channels
    dims = m * (2 if scheme.needs_area else 1)
    x, w = np.polynomial.hermite_e.hermegauss(2 if problem.G is not None else NODES)     # additive: of degree 1
    nodes = torch.tensor(np.stack(np.meshgrid(*[x] * dims, indexing="ij"), -1).reshape(-1, dims))
    weights = torch.tensor(np.stack(np.meshgrid(*[w / math.sqrt(2 * math.pi)] * dims, indexing="ij"),
                                    -1).reshape(-1, dims)).prod(-1)
    size = 2 * d if scheme.name == "reversible_heun" else d
    basis = torch.cat([torch.eye(size, dtype=F64), torch.zeros(1, size, dtype=F64)])  # and 0 for the constant
    rows = basis.repeat(len(nodes), 1)  # (q (size + 1), size)
    noise = nodes.repeat_interleave(size + 1, 0)
    dW = math.sqrt(h) * noise[:, :m]
    if scheme.needs_area:
        dW = (dW, math.sqrt(h / 12) * noise[:, m:])
    t = torch.zeros((), dtype=F64)
    if size == d:
        out = scheme.step(sde, t, rows, h, dW)
    else:
        y, z = rows.chunk(2, -1)
        y, _, _, z = scheme.step(sde, t, (y, *sde.both(t, z), z), h, dW)
        out = torch.cat([y, z], -1)
    out = out.reshape(len(nodes), size + 1, size)
    constant = out[:, -1:]
    matrix = torch.zeros(len(nodes), size + 1, size + 1, dtype=F64)
    matrix[:, :size, :size] = (out[:, :-1] - constant).transpose(1, 2)
    matrix[:, :size, size] = constant[:, 0]
    matrix[:, size, size] = 1.0
    return weights, matrix


def weak_errors(problem: Linear, method: str, counts, x0: Tensor, t: float = 1.0) -> list[float]:
    """|E[(Y, 1)(Y, 1)^T] - E[(X, 1)(X, 1)^T]| (Frobenius) at t after n steps, for each n."""
    scheme, d, errors = choose(problem.sde(), method), len(x0), []
    truth = problem.exact(x0, t)
    for n in counts:
        weights, M = step_matrices(problem, scheme, t / n)
        k = M.shape[-1]
        carried = torch.cat([x0] * ((k - 1) // d) + [torch.ones(1, dtype=F64)])
        K = (weights[:, None, None, None, None] * M[:, :, None, :, None] * M[:, None, :, None, :]).sum(0)
        S = torch.matrix_power(K.reshape(k * k, k * k), n) @ torch.outer(carried, carried).reshape(-1)
        keep = [*range(d), k - 1]
        errors.append(float((S.reshape(k, k)[keep][:, keep] - truth).norm()))
    return errors


def problems(sde_type: str) -> dict[str, Linear]:
    """One linear problem per noise type; the general one does not commute."""
    m = lambda *rows: torch.tensor(rows, dtype=F64)  # noqa: E731
    A = m([-0.6, 0.4], [-0.3, 0.2])
    return {
        "diagonal": Linear("diagonal", sde_type, A, (m([0.6, 0.0], [0.0, 0.0]), m([0.0, 0.0], [0.0, -0.5]))),
        "scalar": Linear("scalar", sde_type, A, (m([0.3, -0.6], [0.5, 0.1]),)),
        "additive": Linear("additive", sde_type, A, (), m([0.5, 0.2, 0.0], [-0.3, 0.4, 0.6])),
        "general": Linear("general", sde_type, A, (m([0.0, 0.7], [0.0, 0.1]), m([0.2, 0.0], [0.6, 0.0]))),
    }
