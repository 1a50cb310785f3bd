"""The five exercises of the chapter on neural ODEs; ``check.step_back(my_answer)`` answers with a hint.

Each law is tested by computing, so any correct answer passes, however it is written.
"""
from __future__ import annotations

import math

import torch

from nde_lab.exercises import exercise, normal, require
from nde_lab.odes.neural_odes import adjoints
from nde_lab.odes.neural_odes.cde import solve_cde
from nde_lab.odes.neural_odes.claims import random_field

T64 = torch.float64


@exercise(hints=("A flow sends -1 to some p and 1 to some q. Which pairs (p, q) can it reach?",
                 "Every pair with p < q, and no other. If a > b, how close can p and q come to a and b?",
                 "If a < b the error can be 0. If a > b, the best is to send both to the middle, (a + b) / 2."))
def best_error(answer):
    """answer(a, b) -> the smallest mean squared error of a flow on the line that is to send -1 to a, 1 to b."""
    ends = torch.linspace(-3, 3, 301, dtype=T64)
    p, q = torch.meshgrid(ends, ends, indexing="ij")
    for a, b in ((1.0, -1.0), (2.0, -1.0), (0.5, 0.0), (-1.0, 2.0), (-2.0, -1.5)):
        errors = torch.where(p <= q, ((p - a) ** 2 + (q - b) ** 2) / 2, math.inf)
        least, given = float(errors.min()), float(answer(a, b))
        require(abs(given - least) < 2e-3, f"for a = {a:g}, b = {b:g} you say {given:.3g}; the best of 45,000 "
                f"ordered pairs of ends has {least:.3g}.")
    return "right for five pairs (a, b), against a search over ordered pairs of ends."


@exercise(hints=("The loss sees y only through y' = y + h f(y). By how much does y' change when y does?",
                 "dy' = (I + h A) dy with A = df/dy. The loss changes by a · dy'.",
                 "a · (I + h A) dy = (a + h Aᵀa) · dy, so the answer is a + h Aᵀa: A.T @ a, with a plus."))
def step_back(answer):
    """answer(a, A, h) -> the gradient before one Euler step, from the gradient a (d,) after it and A (d, d)."""
    w, c = normal(3, 3), normal(3, seed=1)
    y, h = normal(3, seed=2), 0.3
    for k in range(3):
        y = y + k
        slope = 1 - torch.tanh(w @ y) ** 2
        A = slope[:, None] * w
        got = torch.as_tensor(answer(c, A, h), dtype=T64)
        require(got.shape == (3,), f"for a of shape (3,) you return shape {tuple(got.shape)}.")

        def loss(y):
            return float(c @ (y + h * torch.tanh(w @ y)))
        exact = torch.tensor([(loss(y + e) - loss(y - e)) / 2e-5 for e in 1e-5 * torch.eye(3, dtype=T64)])
        off, turned = float((got - exact).norm()), float((c - h * A.T @ c - got).norm())
        require(off < 1e-6, f"your gradient is off by {off:.2g} from finite differences"
                + (" (its step has the wrong sign: forwards in time is not backwards)." if turned < 1e-9
                   else "."))
    return "agrees with finite differences of a tanh network at three points."


@exercise(hints=("You know y', yh' and mu'. Which lines of the step tie them to what you look for?",
                 "The first: yh' = 2y - yh + h mu, but y and mu are unknown too. Add the lines: what is "
                 "2y' - yh'?",
                 "2y' - yh' = yh + h mu'. So yh = 2y' - yh' - h mu'; then mu = f(yh), and "
                 "y = y' - h/2 (mu + mu')."))
def undo(answer):
    """answer(f, y, yh, mu, h) -> (y, yh, mu) before a step of reversible Heun, from those after it."""
    def f(y):
        return torch.sin(2 * y) - y.flip(-1)

    y0, worst = normal(5, 4), 0.0
    for h in (0.1, 0.4):
        states = [(y0, y0, f(y0))]
        for _ in range(20):
            states.append(adjoints.reversible_step(f, *states[-1], h))
        state = states[-1]
        for k, there in enumerate(reversed(states[:-1])):
            state = answer(f, *state, h)
            require(isinstance(state, tuple) and len(state) == 3,
                    "return three tensors, (y, yh, mu).")
            gap = max(float((a - b).abs().max()) for a, b in zip(state, there, strict=True))
            require(gap < 1e-3, f"with h = {h:g}, after {k + 1} step{'s' * (k > 0)} back your state is off by "
                    f"{gap:.2g}; an exact inverse would be off by rounding.")
            worst = max(worst, gap)
    return f"twenty steps are undone; the largest difference is {worst:.1g}."


@exercise(hints=("Forwards, y(T) = 1 - e^{-λT}. How far is that from 1, in steps of float32 near 1?",
                 "Below 1, float32 has steps of 6e-8. If e^{-λT} is smaller, y(T) is 1 and the start is gone.",
                 "e^{-λT} = 3e-8 at λT = 17.3 (half a step rounds to 1). T = 17.4 / λ is beyond, and not far."))
def memory_span(answer):
    """answer(lam) -> a time T after which float32 has forgotten that dy/dt = lam (1 - y) began at 0, and not
    much later than need be."""
    for lam in (0.5, 2.0, 10.0):
        T = float(answer(lam))

        def back(T, lam=lam):
            left = torch.exp(torch.tensor(-lam * T, dtype=T64))
            y = (1 - left).to(torch.float32)                     # the exact end, rounded once
            return float(1 - (1 - y.to(T64)) / left)             # and solved back exactly
        require(back(T) == 1.0, f"for λ = {lam:g} and T = {T:.3g} the way back ends at {back(T):.3g}: not at "
                "0, but not yet at 1 either, so something of the start is left.")
        require(back(0.8 * T) != 1.0, f"for λ = {lam:g} your T = {T:.3g} is right but late: at {0.8 * T:.3g} "
                "it is forgotten already.")
    return "for λ = 0.5, 2 and 10 the end is exactly 1 in float32, whatever the start was."


@exercise(hints=("A CDE without a time channel does not know how fast X moves. Move in another rhythm.",
                 "Visit the same points in the same order, but wait at some and catch up later: the number of "
                 "points is the same.",
                 "Wait at the first point and leave out the second, which lies on a straight line: x[0], x[0], "
                 "x[2], x[3], ..."))
def same_end(answer):
    """answer(x) -> another series of as many points (L, 2), which no CDE without a time channel can tell from
    x. Here x runs along straight lines between corners, five steps each."""
    corners = normal(6, 2)
    share = torch.arange(5, dtype=T64)[:, None] / 5
    x = torch.cat([*(a + share * (b - a) for a, b in zip(corners, corners[1:], strict=False)), corners[-1:]])
    other = torch.as_tensor(answer(x.clone()), dtype=T64)
    require(other.shape == x.shape, f"x has shape {tuple(x.shape)}, yours {tuple(other.shape)}.")
    moved = float((other - x).abs().max())
    require(moved > 0.1, f"the largest difference of your series from x is {moved:.2g}; make it differ by more "
            "than 0.1 somewhere.")
    gaps = []
    for seed in range(3):
        field = random_field(4, 2, seed)
        fine = [_refined(p, 40) for p in (x, other)]
        one, two = (solve_cde(field, torch.zeros(1, 4, dtype=T64), p[:, None], method="rk4")[-1] for p in fine)
        gaps.append(float((one - two).norm() / one.norm()))
    require(max(gaps) < 1e-3, f"three random CDEs end up to {max(gaps):.2g} apart (relative) on the two "
            "series.")
    return (f"three random CDEs end within {max(gaps):.1g} of each other, though the series differ by "
            f"{moved:.2g}.")


def _refined(path: torch.Tensor, pieces: int) -> torch.Tensor:
    """The same polygon (L, C), each piece cut into equal ones."""
    share = torch.arange(pieces, dtype=path.dtype)[None, :, None] / pieces
    cut = path[:-1, None] + share * (path[1:] - path[:-1])[:, None]
    return torch.cat([cut.reshape(-1, path.shape[1]), path[-1:]])
