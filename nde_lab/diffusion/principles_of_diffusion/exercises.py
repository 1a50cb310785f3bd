"""The five exercises of the chapter on the three views; ``check.cosine_sde(my_answer)`` answers with a hint."""
from __future__ import annotations

import torch

from nde_lab.diffusion.principles_of_diffusion.consistency import CLOCK, END, along_flow
from nde_lab.diffusion.principles_of_diffusion.guidance import TwoClasses, guided_moments, moments
from nde_lab.diffusion.principles_of_diffusion.kernels import reverse_kernel
from nde_lab.diffusion.principles_of_diffusion.schedules import SCHEDULES, Cosine
from nde_lab.diffusion.score_sde import Mixture, convert
from nde_lab.exercises import exercise, require
from nde_lab.random import Normal, Uniform, sample

T64 = torch.float64


def number(value) -> float:
    """A number, or the one entry of a tensor."""
    return float(torch.as_tensor(value, dtype=T64).reshape(()))


@exercise(hints=("The drift rate is the slope of a logarithm. Of which one?",
                 "a = d log m / dt = m'/m. For g², use d s²/dt - 2 a s², and sin² + cos² = 1.",
                 "a = -(π/2) tan(πt/2); g² collects to π tan(πt/2), which is -2a."))
def cosine_sde(answer):
    """answer(t) -> (a, g2) of the SDE with m = cos(pi t / 2), s = sin(pi t / 2)."""
    for t in (0.1, 0.5, 0.9):
        told = Cosine().coefficients(t)
        rate, g2 = (number(v) for v in answer(t))
        require(abs(rate / told.rate.item() - 1) < 1e-6, f"at t = {t:g} you say a = {rate:.4g}; the slope of log m "
                                                         f"there is {told.rate.item():.4g}.")
        require(abs(g2 / told.g2.item() - 1) < 1e-6, f"a is right, but at t = {t:g} you say g² = {g2:.4g}; with "
                f"yours s² would grow by {g2 + 2 * rate * told.std.item() ** 2:.4g} per unit of time, and it grows "
                f"by {told.g2.item() + 2 * rate * told.std.item() ** 2:.4g}.")
    return "a and g² are right at three times, and m² + s² = 1 is why g² = -2a."


@exercise(hints=("Write down x and v in terms of the data point D and the noise ε.",
                 "x = (1 - t) D + t ε and v = ε - D. Remove ε.",
                 "x - t v = (1 - t) D + t ε - t ε + t D."))
def data_from_velocity(answer):
    """answer(x, v, t) -> the data prediction on the linear path."""
    ring, process = Mixture.ring(), SCHEDULES["linear"]
    drawn = sample({"t": Uniform((64, 1), 0.05, 0.95), "x": Normal((64, 2))}, seed=0, stream="data", dtype=T64)
    t, x = drawn["t"], drawn["x"]
    score = ring.score(process)(t, x)
    v, data = (convert(score, x, t, process, source="score", target=k) for k in ("velocity", "data"))
    got = torch.as_tensor(answer(x, v, t))
    require(got.shape == x.shape, f"x and v have shape {tuple(x.shape)}, and so has the data prediction; yours has "
                                  f"{tuple(got.shape)}.")
    off = (got - data).norm(dim=1)
    require(off.max() < 1e-9, f"on 64 points of the ring your data prediction is off by up to {off.max():.3g}, at "
                              f"t = {t[off.argmax()].item():.2f}.")
    return f"right on 64 points, up to {off.max():.1g}; nothing is divided by m or s, so no end is singular."


@exercise(hints=("Two facts about x_r are known: x_r given x_0, and x_t given x_r. Multiply the two normals.",
                 "Precisions add: 1/var = 1/s_r² + q²/b with q = m_t/m_r, b = s_t² - q² s_r².",
                 "var = b s_r²/s_t², mean = (q s_r² x + m_r b x0)/s_t²."))
def way_back(answer):
    """answer(x, x0, m_t, s_t, m_r, s_r) -> (mean, variance) of x_r given x_t = x and x_0 = x0."""
    for name in ("VP", "linear", "VE"):
        process = SCHEDULES[name]
        at, to = process.coefficients(0.7), process.coefficients(0.4)
        x, x0 = torch.tensor([[0.8]], dtype=T64), torch.tensor([[-1.3]], dtype=T64)
        law = reverse_kernel(process, 0.7, 0.4, x, x0)
        mean, variance = (number(v) for v in answer(0.8, -1.3, at.mean.item(), at.std.item(), to.mean.item(),
                                                    to.std.item()))
        true = law.variance.item()
        require(abs(variance / true - 1) < 1e-6, f"for {name}, from t = 0.7 to r = 0.4, your variance is "
                f"{variance:.4g}; knowing x_t as well as x_0 leaves {true:.4g}, and x_0 alone leaves "
                f"{to.std.item() ** 2:.4g}.")
        require(abs(mean - law.mean.item()) < 1e-6, f"the variance is right; for {name}, with x = 0.8 and x0 = -1.3, "
                f"your mean is {mean:.4g}, and it must be {law.mean.item():.4g}.")
    return "mean and variance are right for three schedules."


@exercise(hints=("Where does the tilted density barely move, whatever w?",
                 "Where classes hardly overlap, p(c|x) is 1 already, so tilting changes nothing. Does the guided "
                 "field know that at t near 1?",
                 "At high noise all classes overlap, and guidance pushes there. Try a = 3 with w = 8."))
def overshoot(answer):
    """answer = (w, a): the guided flow's mean exceeds the tilted density's by more than 2."""
    w, a = map(float, answer)
    require(0 <= w <= 8 and 0 < a <= 3, f"take 0 ≤ w ≤ 8 and 0 < a ≤ 3, you gave w = {w:g}, a = {a:g}.")
    grid = torch.linspace(-10, 15, 2501, dtype=T64)
    tilted = moments(TwoClasses(a).tilted(grid, w), grid)[0].item()
    found = guided_moments(SCHEDULES["VP"], w, offset=a, steps=100, points=201)[0]
    require(found - tilted > 2, f"with w = {w:g} and classes at ±{a:g} the guided flow has mean {found:.2f}, the "
                                f"tilted density {tilted:.2f}: a difference of {found - tilted:.2f}.")
    return f"the guided flow has mean {found:.2f}, the tilted density {tilted:.2f}."


@exercise(hints=("The loss asks only that two neighbours on a path get the same answer.",
                 "Which functions give every point the same answer?",
                 "lambda t, x: 0 * x."))
def perfect_and_useless(answer):
    """answer(t, x) -> (B, 2): zero consistency loss on the ring's paths, and no map to the data."""
    ring = Mixture.ring()
    drawn = sample({"u": Uniform((200,)), "w": Normal((200, 2)), "z": Normal((200, 2)),
                    "t": Uniform((200, 1), 0.3, 1.0)}, seed=0, stream="data", dtype=T64)
    t = drawn["t"]
    x = CLOCK.noised(t, ring.draw(drawn["u"], drawn["w"]), drawn["z"])
    r = t - 0.05
    x_r = along_flow(ring.score(CLOCK), CLOCK, t, r, x)
    one, two = (torch.as_tensor(answer(*pair), dtype=T64) for pair in ((t, x), (r, x_r)))
    require(one.shape == x.shape, f"f(t, x) has the shape of x, {tuple(x.shape)}; yours has {tuple(one.shape)}.")
    loss = (one - two).square().sum(-1).mean().item()
    require(loss < 1e-12, f"on 200 pairs of neighbours your consistency loss is {loss:.3g}; 0 is asked.")
    end = torch.full_like(t, END)
    missed = (answer(end, x) - x).square().sum(-1).mean().sqrt().item()
    require(missed > 0.1, f"the loss is 0, but f(end, x) = x up to {missed:.2g}: that is the map itself.")
    return f"loss {loss:.1g}, and f(end, x) misses x by {missed:.2f}: the loss alone does not know what is wanted."
