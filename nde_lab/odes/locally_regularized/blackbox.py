"""Training with the solver closed: the solve under ``no_grad``, the fit's gradient by a continuous adjoint.

For z' = f(t, z), loss L(z(1)), and a(t) = dL/dz(t), solved backward from t = 1 beside z (Pontryagin; Chen,
Rubanova, Bettencourt, Duvenaud 2018):

    a' = -a df/dz      dL/dtheta = int_0^1 a df/dtheta dt

Nothing in it knows the solver's steps: R_E of the main solve has no gradient here, the local penalty has.
"""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab import autodiff, optimizers
from nde_lab.odes.locally_regularized.digits import LocalDigits
from nde_lab.odes.opening_the_blackbox.digits import LR, cross_entropy
from nde_lab.odes.opening_the_blackbox.shared import finite
from nde_lab.solvers import integrate_ode

Tensors = dict[str, Tensor]


def adjoint(velocity, params: Tensors, z1: Tensor, a1: Tensor, *, steps: int = 10) -> tuple[Tensor, Tensor,
                                                                                            Tensors]:
    """Backward from t = 1 with ``steps`` steps of RK4: the start z(0) as reconstructed, dL/dz(0), dL/dparams.

    velocity(params, t, z) -> like z (n, D), t 0-d; a1: dL/dz(1).
    """
    sizes = [z1.numel(), z1.numel(), *(p.numel() for p in params.values())]

    def backward(t, y):
        z, a, *_ = y[0].split(sizes)
        z, a = z.reshape(z1.shape), a.reshape(z1.shape)
        v, grads = autodiff.value_and_grad(
            lambda given: _along(velocity(given, t, given["z"]), a), params | {"z": z}, has_aux=True)
        return torch.cat([v[1].reshape(-1), -grads["z"].reshape(-1), *(-grads[n].reshape(-1)
                                                                       for n in params)])[None]

    start = torch.cat([z1.reshape(-1), a1.reshape(-1), *(torch.zeros_like(p).reshape(-1)
                                                         for p in params.values())])
    times = torch.linspace(1, 0, steps + 1, dtype=z1.dtype)
    z, a, *grads = integrate_ode(backward, start[None], times, method="rk4", save="last")[0].split(sizes)
    return (z.reshape(z1.shape), a.reshape(z1.shape),
            {n: g.reshape(p.shape) for (n, p), g in zip(params.items(), grads, strict=True)})


def _along(v: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    return (v * a).sum(), v


class BlackBoxDigits(LocalDigits):
    """``LocalDigits`` with the main solve closed. Not offered to readers: it is for the claim."""

    def gradients(self, data, params, noise):
        """Gradients of the fit (by the adjoint) and of the penalty without its λ: two dicts, the fit, the
        solve."""
        x, y = data["x"][noise["index"]], data["y"][noise["index"]]
        with torch.no_grad():
            f, solved, _ = self.forward(params, x)
        end = solved.y.reshape(-1, 64)
        fit, first = autodiff.value_and_grad(
            lambda given: cross_entropy(self.net.apply(given, given["z"]), y), params | {"z": end})
        _, _, more = adjoint(lambda given, t, z: self.net.apply(given, z, t.reshape(1, 1)), params, end,
                             first["z"])
        _, own = autodiff.value_and_grad(
            lambda given: self.regulariser(self.field(given, len(x)), solved, noise), params)
        return {n: first[n] + more[n] for n in params}, own, fit, solved

    def step(self, data, state, noise, live):
        old = self.net.params(state)
        grads, own, fit, solved = self.gradients(data, old, noise)
        grads = {n: g + live["lam"] * own[n] for n, g in grads.items()}
        params, adam = optimizers.adam(old, grads, state, lr=LR)
        return params | adam, {"loss": fit, "nfe": solved.evaluations[0].to(fit.dtype), "ok": finite(params)}
