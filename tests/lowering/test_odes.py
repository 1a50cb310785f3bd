"""Adaptive solves of ODEs, lowered: every row chooses its steps in the page as it does in torch."""
import torch
from lowering.parity import check

from nde_lab.autodiff import value_and_grad
from nde_lab.solvers import integrate_adaptive, integrate_ode

g = torch.Generator().manual_seed(0)
P = {"w": 2 * torch.randn(3, 8, generator=g), "v": torch.randn(8, 2, generator=g)}
Y0 = torch.randn(5, 2, generator=g)


def field(p):
    return lambda t, y: torch.tanh(torch.cat([y, t.expand(len(y), 1)], -1) @ p["w"]) @ p["v"]


def solve(p, y0, rtol):
    return integrate_adaptive(field(p), y0, 0.0, 1.0, turns=12, rtol=rtol, atol=1e-4)


def test_an_adaptive_solve(node):
    def states(p, y0, rtol):
        r = solve(p, y0, rtol)
        return {"y": r.y, "t": r.t, "ok": r.ok, "counts": (r.accepted, r.rejected, r.evaluations)}
    check(node, states, P, Y0, torch.tensor(1e-2), rtol=1e-3, atol=1e-3)


def test_its_heuristics(node):
    """Error ratios are differences near rounding in float32, so they and the steps agree to a few per cent.

    Stiffness is left out for the same reason; tests/solvers has it in float64.
    """
    def seen(p, y0, rtol):
        r = solve(p, y0, rtol)
        return r.error_sum, r.turns.t, r.turns.h, r.turns.y, r.turns.accept
    check(node, seen, P, 2 * Y0, torch.tensor(1e-2), rtol=5e-2, atol=5e-3)


def test_gradients(node):
    def grad(p, y0, rtol):
        return value_and_grad(lambda q: (solve(q, y0, rtol).y ** 2).sum(), p)
    check(node, grad, P, Y0, torch.tensor(1e-2), rtol=5e-3, atol=5e-3)


def test_gradient_of_the_error_regulariser(node):
    def grad(p, y0, rtol):
        return value_and_grad(lambda q: solve(q, y0, rtol).error_sum.mean(), p)
    check(node, grad, P, Y0, torch.tensor(3e-2), rtol=5e-2, atol=5e-3)


def test_fixed_steps(node):
    def solve(p, y0):
        return integrate_ode(field(p), y0, torch.linspace(0, 1, 6), method="rk4")
    check(node, solve, P, Y0, rtol=1e-5, atol=1e-5)
