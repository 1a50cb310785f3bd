"""The laws behind the chapter's exercises: right answers pass however written, usual mistakes are named."""
import math

import torch
from exercise_laws import exercise_laws

from nde_lab.dynamics.neural_tangent_kernel import exercises as check


def hidden(X, W0, b0, W1, b1, beta, *, first=True, scale=True):
    n0, n = X.shape[1], len(b0)
    z = X @ W0.T / n0**0.5 + beta * b0
    h, d = z.relu(), (z > 0).to(z.dtype) * W1 / n**0.5
    return h @ h.T / (n if scale else 1) + beta**2 + first * (d @ d.T) * (X @ X.T / n0 + beta**2)


def by_autograd(X, W0, b0, W1, b1, beta):
    ps = [p.clone().requires_grad_() for p in (W0, b0, W1, b1)]
    rows = []
    for x in X:
        z = ps[0] @ x / len(x) ** 0.5 + beta * ps[1]
        f = ps[2] @ z.relu() / len(z) ** 0.5 + beta * ps[3]
        rows.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(f.sum(), ps)]))
    J = torch.stack(rows)
    return J @ J.T


def sines(a, b, c):
    return math.exp(-(a + b) / 2) * math.sinh(c), math.exp(-(a + b) / 2) * math.cosh(c)


RIGHT = [
    (check.half_life, lambda lam, lr: math.log(0.5) / math.log(1 - lr * lam)),
    (check.one_hidden_layer, hidden), (check.one_hidden_layer, by_autograd),
    (check.twins, [0.0, math.pi]), (check.twins, (1.0, 1.0 - math.pi)),
    (check.sine_layer, sines),
    (check.best_stop, lambda lam, s, tau: math.log(1 + s * s / tau**2) / lam),
]
WRONG = [
    (check.half_life, lambda lam, lr: math.log(2) / (lam * lr), "of the residual is left, not one half"),
    (check.half_life, lambda lam, lr: 1 / lam, "is left"),
    (check.one_hidden_layer, lambda *a: hidden(*a, first=False), "is off by"),
    (check.one_hidden_layer, lambda *a: hidden(*a, scale=False), "is off by"),
    (check.one_hidden_layer, lambda X, *a: X @ X.T @ X, r"has shape \(4, 4\)"),
    (check.twins, [0.0, math.pi / 2], "does tell them apart"), (check.twins, [1.0, 1.0], "must lie apart"),
    (check.twins, [1.0, 2.0, 3.0], "you gave 3"),
    (check.sine_layer, lambda a, b, c: (math.sin(c), math.cos(c)), "the mean of sin u sin v is"),
    (check.sine_layer, lambda a, b, c: sines(a, b, c)[::-1], "you say"),
    (check.sine_layer, lambda a, b, c: (sines(a, b, c)[0],) * 2, "the mean of cos u cos v"),
    (check.best_stop, lambda lam, s, tau: 1 / lam, "can be had"),
    (check.best_stop, lambda lam, s, tau: math.log(1 + s / tau) / lam, "can be had"),
    (check.best_stop, lambda lam, s, tau: -1.0, "stopping at -1"),
]
test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
