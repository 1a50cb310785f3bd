"""Training with a constant kernel, in closed form: on the data, off the data, and over random starts.

Jacot, Gabriel, Hongler, arXiv 1806.07572, section 5. For the cost sum_i (f(x_i) - y_i)^2 / 2N a constant
kernel K makes
gradient flow linear: along an eigenvector of K/N with eigenvalue lam the residual decays as exp(-lam t) (in s
steps
of gradient descent with rate lr: as (1 - lr lam)^s).
"""
from __future__ import annotations

import math

import torch
from torch import Tensor


class KernelFlow:
    """Kernel gradient descent on data: ``flow.at(t)``, ``flow.after(steps, lr)``, ``flow.limit()``.

    K (N, N): kernel on the training points; y (N,) or (N, k): targets (k tasks at once); f0 like y: the
    function at
    the start (default 0). Each of the three takes Kx (M, N), the kernel between other points and the training
    points,
    and f0x (M,) or (M, k), the start there; without them it answers on the training points. Float64 inside.

    ValueError for shapes that do not fit, a K that is not symmetric, and numbers that are not finite.
    """

    def __init__(self, K: Tensor, y: Tensor, f0: Tensor | None = None):
        K, y = K.to(torch.float64), y.to(torch.float64)
        f0 = torch.zeros_like(y) if f0 is None else f0.to(torch.float64)
        if K.dim() != 2 or K.shape[0] != K.shape[1] or len(y) != len(K) or f0.shape != y.shape or len(K) == 0:
            raise ValueError(f"KernelFlow needs K (N, N), y (N,) or (N, k) and f0 like y, N >= 1, got "
                             f"{tuple(K.shape)}, {tuple(y.shape)} and {tuple(f0.shape)}")
        if not all(t.isfinite().all() for t in (K, y, f0)):
            raise ValueError("KernelFlow needs finite numbers; K, y or f0 has a nan or an infinity")
        if not torch.allclose(K, K.T, rtol=1e-4, atol=1e-6 * float(K.abs().max())):
            raise ValueError("a kernel on the training points is symmetric; this K is not")
        self.K, self.y, self.f0, self.N = K, y, f0, len(K)
        lam, self.vectors = torch.linalg.eigh((K + K.T) / 2 / self.N)
        self.rates = lam.clamp(min=0)       # of K / N, rising; a negative one is rounding

    def at(self, t: float, Kx: Tensor | None = None, f0x: Tensor | None = None) -> Tensor:
        """The function at time t >= 0 of gradient flow."""
        if not (isinstance(t, (int, float)) and t >= 0):
            raise ValueError(f"time is a number >= 0, got {t!r}")
        return self.limit(Kx, f0x) if t == math.inf else self._move(self._flow(t), Kx, f0x)

    def after(self, steps: int, lr: float, Kx: Tensor | None = None, f0x: Tensor | None = None) -> Tensor:
        """The function after ``steps`` of gradient descent with rate ``lr``."""
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0 or not lr > 0:
            raise ValueError(f"descent takes whole steps >= 0 and a rate > 0, got steps={steps!r} and "
                             f"lr={lr!r}")
        left = (1 - lr * self.rates) ** steps
        small = lr * self.rates < 1e-9      # 1 - (1 - lr lam)^s would lose all digits
        return self._move(torch.where(small, steps * lr, (1 - left) / self.rates.clamp(min=1e-300)), Kx, f0x)

    def limit(self, Kx: Tensor | None = None, f0x: Tensor | None = None) -> Tensor:
        """The function at the end of time: kernel regression on what the start leaves (ridge to 0). Directions
        with
        eigenvalue 0, up to rounding, are never learned."""
        return self._move(self._limit(), Kx, f0x)

    def propagator(self, t: float, Kx: Tensor | None = None) -> Tensor:
        """A_t (M, N) in f_t(x) = f_0(x) + A_t (y - f_0(X)); M = N without ``Kx``."""
        gain = self._limit() if t == math.inf else self._flow(t)
        Kx = self.K if Kx is None else Kx.to(torch.float64)
        return Kx @ (self.vectors * gain) @ self.vectors.T / self.N

    def best_rate(self) -> float:
        """The learning rate 2 / (largest + smallest eigenvalue of K/N); from 2 / largest on descent
        diverges."""
        return 2 / float(self.rates[-1] + self.rates[0])

    def _flow(self, t) -> Tensor:
        """(1 - exp(-lam t)) / lam, which is t at lam = 0."""
        lam = self.rates
        return torch.where(lam * t < 1e-12, float(t), -torch.expm1(-lam * t) / lam.clamp(min=1e-300))

    def _limit(self) -> Tensor:
        lam = self.rates
        return torch.where(lam > 1e-13 * lam[-1], 1 / lam.clamp(min=1e-300), 0.0)

    def _move(self, gain: Tensor, Kx, f0x) -> Tensor:
        if Kx is None and f0x is not None:
            raise ValueError("f0x is the start at other points; give their kernel Kx too")
        coefficients = self.vectors @ (gain.reshape(-1, *[1] * (self.y.dim() - 1))
                                       * (self.vectors.T @ (self.y - self.f0))) / self.N
        if Kx is None:
            return self.f0 + self.K @ coefficients
        if Kx.dim() != 2 or Kx.shape[1] != self.N:
            raise ValueError(f"Kx is the kernel between other points and the {self.N} training points, (M, "
                             f"{self.N}), "
                             f"got {tuple(Kx.shape)}")
        moved = Kx.to(torch.float64) @ coefficients
        return moved if f0x is None else moved + f0x.to(torch.float64)


def gaussian_limit(flow: KernelFlow, t: float, Kx: Tensor, covariance: Tensor, cross: Tensor, variance: Tensor
                   ) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (M,) of f_t(x) over random starts f_0 ~ GP(0, Sigma), infinite width.

    Kx (M, N): tangent kernel between these points and the data; covariance (N, N), cross (M, N), variance
    (M,): Sigma
    on the data, between, and on the diagonal. ``flow``'s own f0 is not used; y must be (N,).
    """
    A = flow.propagator(t, Kx)
    covariance, cross, variance = (s.to(torch.float64) for s in (covariance, cross, variance))
    return A @ flow.y, spread(A, covariance, cross, variance)


def spread(A: Tensor, covariance: Tensor, cross: Tensor, variance: Tensor) -> Tensor:
    """Standard deviation (M,) of f_0(x) - A f_0(X): sqrt(Sigma_xx - 2 A Sigma_Xx + A Sigma_XX A^T), the
    diagonal."""
    return (variance + ((A @ covariance - 2 * cross) * A).sum(1)).clamp(min=0).sqrt()


def percentile(mean: Tensor, deviation: Tensor, share: float) -> Tensor:
    """The value below which a ``share`` (between 0 and 1) of a normal law lies."""
    if not 0 < share < 1:
        raise ValueError(f"a percentile is a share strictly between 0 and 1, got {share!r}")
    return mean + deviation * torch.special.ndtri(torch.tensor(share, dtype=mean.dtype))


def linearised(apply, params: dict[str, Tensor]):
    """``apply``'s first-order expansion about ``params``: (p, x) -> f(params, x) + df/dtheta (p - params).

    ``apply(params, x)`` is any pure function of a flat dict (``Network.forward``,
    ``nets.functional(m).apply``)."""
    start = {n: p.detach() for n, p in params.items()}

    def line(p, x):
        # J v from two reverse passes: J^T u is linear in u, and its derivative in u along v is J v.
        with torch.enable_grad():
            leaves = {n: q.clone().requires_grad_() for n, q in start.items()}
            value = apply(leaves, x)
            u = torch.zeros_like(value, requires_grad=True)
            back = torch.autograd.grad(value, list(leaves.values()), u, create_graph=True)
        change, = torch.autograd.grad(back, u, [p[n] - start[n] for n in leaves], create_graph=True)
        return value.detach() + change
    return line
