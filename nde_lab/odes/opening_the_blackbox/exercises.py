"""The five exercises of the chapter on networks that are easy to solve; each check answers with what it
measured."""
from __future__ import annotations

import torch

from nde_lab.exercises import exercise, require
from nde_lab.odes.opening_the_blackbox.heuristics import solve
from nde_lab.solvers import TABLEAUS, error_ratio, rk_step, stiffness

T64 = torch.float64


def _wave(y0: float = 1.0):
    """A scalar solve with accepted and rejected steps: y' = 6 cos(20 t) y."""
    return solve(lambda t, y: 6 * torch.cos(20 * t) * y, torch.full((1, 1), y0, dtype=T64), rtol=1e-5, turns=60,
                 h0=0.5)


@exercise(hints=("A rejected step has cost its stages too.",
                 "A pair with seven stages whose last is the next step's first computes six new ones a step.",
                 "One evaluation before the first step, then six for each step, accepted or rejected."))
def count_evaluations(answer):
    """answer(accepted, rejected) -> evaluations of f in a solve by Dopri5."""
    solved = _wave()
    accepted, rejected = int(solved.accepted), int(solved.rejected)
    calls = []

    def f(t, y):
        calls.append(1)
        return 6 * torch.cos(20 * t) * y
    y, t, k1 = torch.ones(1, 1, dtype=T64), solved.turns.t, None
    for i in range(accepted + rejected):
        step = rk_step(f, t[i][:, None], y, solved.turns.h[i][:, None], TABLEAUS["dopri5"], k1=k1)
        if bool(solved.turns.accept[i]):
            y, k1 = step.y, step.k[-1]
        elif k1 is None:
            k1 = step.k[0]
    given = float(answer(accepted, rejected))
    require(given == len(calls), f"a solve with {accepted} accepted and {rejected} rejected steps called f "
            f"{len(calls)} times; you say {given:g}.")
    given = float(answer(3, 0))
    require(given == 19, f"three accepted steps cost 19 evaluations, you say {given:g}.")
    return f"{accepted} accepted and {rejected} rejected steps called f {len(calls)} times, as you say."


@exercise(hints=("Which turns may count? Look at the accept flags.",
                 "A solve backward in time has h < 0, but a penalty must not become a reward.",
                 "Multiply q by |h|, keep the accepted turns, add up."))
def error_penalty(answer):
    """answer(q, h, accept) -> R_E. Three tensors (turns,): error ratios, steps, and whether each was
    accepted."""
    turns = _wave().turns
    q, h, accept = turns.q[:, 0], turns.h[:, 0], turns.accept[:, 0]
    for sign, name in ((1, "forward"), (-1, "backward")):
        got = float(answer(q, sign * h, accept))
        exact = float(sum(a * abs(b) for a, b, c in zip(q.tolist(), h.tolist(), accept.tolist(), strict=True)
                          if c))
        every = float((q * h.abs()).sum())
        slip = " (with the rejected turns it would be just that)" if abs(got - every) < 1e-9 else ""
        require(abs(got - exact) < 1e-9, f"for a solve {name} in time you get {got:.6g}, R_E is "
                                         f"{exact:.6g}{slip}.")
    return f"R_E = {exact:.4g} forward and backward; the {int(_wave().rejected)} rejected steps do not count."


@exercise(hints=("q is the error divided by the tolerance. What does a tolerance 100 times smaller do to it?",
                 "Where atol = rtol, q is proportional to 1 / rtol, and so is the gradient of q h.",
                 "λ q must stay: multiply λ by new / old."))
def rescaled_penalty(answer):
    """answer(lam, old, new) -> the λ that gives λ q h at tolerance ``new`` the gradient it had at ``old``."""
    def gradient(rtol):
        rate = torch.tensor(2.0, dtype=T64, requires_grad=True)
        y = torch.tensor([[1.0, -0.5]], dtype=T64)
        step = rk_step(lambda t, z: torch.sin(rate * z) * rate, torch.zeros((), dtype=T64), y, 0.2,
                       TABLEAUS["dopri5"])
        return float(torch.autograd.grad(0.2 * error_ratio(step.error, y, step.y, rtol, rtol).sum(), rate)[0])

    for lam, old, new in ((1.0, 1e-4, 1e-6), (0.3, 1e-5, 1e-3)):
        given = float(answer(lam, old, new))
        ratio = given * gradient(new) / (lam * gradient(old))
        require(abs(ratio - 1) < 1e-6, f"from rtol = {old:g} to {new:g} you change λ = {lam:g} to {given:.4g}; "
                                       f"the "
                f"penalty then pulls {ratio:.4g} times as hard as before. 1 is asked for.")
    return "the same step is pulled equally hard at both tolerances."


@exercise(hints=("Let q = C h⁵ with a constant C. Which q does the controller leave alone?",
                 "h stands still if 0.9 q^(-1/5) = 1. That fixes q whatever C is; h then follows from C.",
                 "q = 0.9⁵ = 0.59 at every step, so R_E = 0.59 T. And h = (0.59 / C)^(1/5); T / h steps."))
def settled(answer):
    """answer(C, T) -> (R_E, number of steps) once the controller h <- 0.9 q^(-1/5) h has settled, where q = C
    h^5."""
    for C, T in ((1e9, 1.0), (1e9 / 32, 1.0), (1e10, 2.0)):
        h, t, total, steps = 0.01, 0.0, 0.0, 0
        while t < T:
            q = C * h**5
            if q <= 1:
                t, total, steps = t + h, total + q * h, steps + 1
            h *= min(5.0, max(0.2, 0.9 * max(q, 1e-10) ** -0.2))
        r, n = map(float, answer(C, T))
        require(abs(r / total - 1) < 0.05, f"for C = {C:.3g} and T = {T:g} the controller's own R_E is "
                                           f"{total:.3f}, you "
                f"say {r:.3f}.")
        require(abs(n / steps - 1) < 0.05, f"for C = {C:.3g} and T = {T:g} it takes {steps} steps, you say "
                                           f"{n:.1f}.")
    return ("R_E = 0.59 T whatever C: the penalty's value says nothing about the cost. The number of steps "
            "does: it "
            "halves when C falls to a 32nd.")


@exercise(hints=("S sees one direction only: the one in which the last two stage states differ.",
                 "If y starts in the slow direction, every stage stays there.",
                 "The matrix is diagonal, so take y = (1, 0)."))
def hidden_stiffness(answer):
    """answer: a state (two numbers, not both 0) at which S does not see the fast rate of y' = (-y1, -40 y2)."""
    y = torch.as_tensor([float(v) for v in answer], dtype=T64)[None]
    require(float(y.norm()) > 0, "at y = (0, 0) nothing moves; take another state.")
    rates = torch.tensor([-1.0, -40.0], dtype=T64)
    seen = float(stiffness(rk_step(lambda t, z: rates * z, torch.zeros((), dtype=T64), y, 0.1,
                                   TABLEAUS["dopri5"])))
    require(seen < 2, f"from y = ({y[0, 0]:g}, {y[0, 1]:g}) one step of 0.1 gives S = {seen:.3g}: it sees the "
                      f"fast rate "
            "40 (or close to it).")
    shaken = y + 1e-3 * y.abs().max()
    other = float(stiffness(rk_step(lambda t, z: rates * z, torch.zeros((), dtype=T64), shaken, 0.1,
                                    TABLEAUS["dopri5"])))
    return f"S = {seen:.3g} although the matrix has the rate 40. Shaken by a thousandth it reads {other:.3g}."
