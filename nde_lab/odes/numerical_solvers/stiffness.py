"""Three figures about stability: a cliff in the step, the plane of h lambda, and the two roots of reversible
Heun.

Each is a closed computation of the sliders alone, so ``observe`` does it and a run has one step: the picture
follows the hand. Sources: Hairer and Wanner (1996), chapter IV; Prothero and Robinson (1974) for the equation
of the cliff; Kidger, "On Neural Differential Equations" (2022), for reversible Heun.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab.autodiff import loop
from nde_lab.experiment import Knob, experiment
from nde_lab.figures import Figure
from nde_lab.odes.numerical_solvers import forms
from nde_lab.views import Axis, Line, Panel, Points, Rule, View

PAPER = "on-neural-differential-equations"
BIG = 1e6                       # beyond the picture's edge a size waits at the edge


def relaxation_step(method: str, t, y, h, rate):
    """One step of length h for y' = -rate (y - cos t) - sin t: "euler", "rk4", "implicit" Euler or "trapezoid".

    The equation is linear in y, so an implicit step is solved by one division. All arguments broadcast.
    """
    def f(t, y):
        return -rate * (y - torch.cos(t)) - torch.sin(t)

    def source(t):                                     # f without its part -rate y
        return rate * torch.cos(t) - torch.sin(t)

    if method == "euler":
        return y + h * f(t, y)
    if method == "implicit":
        return (y + h * source(t + h)) / (1 + h * rate)
    if method == "trapezoid":
        return (y + h / 2 * (f(t, y) + source(t + h))) / (1 + h * rate / 2)
    k1 = f(t, y)
    k2 = f(t + h / 2, y + h / 2 * k1)
    k3 = f(t + h / 2, y + h / 2 * k2)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + f(t + h, y + h * k3))


def relaxation_exact(t, start, rate):
    """The solution from y(0) = start: cos t + (start - 1) e^(-rate t)."""
    return torch.cos(t) + (start - 1) * torch.exp(-rate * t)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class StiffCliff(Figure):
    """y' = -lambda (y - cos t) - sin t: every solution falls quickly onto cos t and then moves slowly.

    An explicit Euler step multiplies the distance from cos t by 1 - h lambda, so it explodes as soon as h >
    2/lambda, however smooth the solution is by then; RK4 holds out to 2.785/lambda. Implicit Euler divides by 1
    + h lambda.
    """
    live = {"h": Knob(0.039, low=0.024, high=0.5, scale="log", label="step h"),
            "rate": Knob(50.0, low=5.0, high=80.0, scale="log", label="rate λ", unit="per time")}
    horizon, start, most = 3.0, 1.05, 128
    methods = ("euler", "rk4", "implicit", "trapezoid")

    def data(self):
        counts = torch.unique(torch.logspace(math.log10(6), math.log10(self.most), 28).round())
        return {"n": counts, "h": self.horizon / counts, "k": torch.arange(self.most, dtype=torch.float32),
                "fine": torch.linspace(0, self.horizon, 301)}

    def observe(self, data, state, noise, live):
        h, rate, fine = live["h"], live["rate"], data["fine"]
        many, n = data["h"], data["n"]

        def body(carry, k):
            one, errors = carry
            t = k * h
            go = (k + 1) * h <= self.horizon + 1e-4 * h
            one = [torch.where(go, relaxation_step(m, t, y, h, rate), y) for m, y in zip(("euler", "implicit"),
                                                                                      one, strict=True)]
            errors = [torch.where(k < n, relaxation_step(m, k * many, y, many, rate), y).clamp(-BIG, BIG)
                      for m, y in zip(self.methods, errors, strict=True)]
            one = [y.clamp(-BIG, BIG) for y in one]
            return (one, errors), (torch.where(go, (k + 1) * h, t * 0 - 1.0), *one)

        first = [self.start + 0 * h] * 2
        (_, ends), (t, explicit, implicit) = loop(body, (first, [self.start + 0 * many] * 4), data["k"])
        exact = relaxation_exact(torch.full_like(n, self.horizon), self.start, rate)
        # Steps beyond the horizon are folded onto the last one.
        last = t.max()
        t = torch.where(t < 0, last, t)
        zero = torch.zeros(1)
        out = {"t": torch.cat([zero, t]), "fine": fine, "exact": relaxation_exact(fine, self.start, rate),
               "explicit": torch.cat([first[0][None], explicit]),
               "implicit": torch.cat([first[0][None], implicit]),
               "h": many, "edge": torch.stack([2 / rate, 2 / rate]), "edge_y": torch.tensor([1e-8, BIG]),
               "now": torch.stack([h, h]), "now_y": torch.tensor([1e-8, BIG])}
        for name, y in zip(self.methods, ends, strict=True):
            out[f"error_{name}"] = (y - exact).abs().clamp(min=1e-8)
        return out

    def view(self):
        return View([
            Panel("One run with step h", Axis("time t", low=0, high=self.horizon),
                  Axis("y", low=-2.0, high=2.0),
                  [Line("fine", "exact", role="truth", label="exact"),
                   Line("t", "explicit", role="test", label="explicit Euler"),
                   Line("t", "implicit", role="ode", label="implicit Euler")],
                  alt="Solutions over time. The exact one is a cosine, but for a quick start. Implicit Euler "
                      "stays on it. Explicit Euler does so below h = 2/λ, and above it swings up and down "
                      "ever more widely."),
            Panel("Error at the end, for every step", Axis("step h", scale="log", low=0.01, high=1.0),
                  Axis("error at t = 3", scale="log", low=1e-8, high=1e3),
                  [Line("h", "error_euler", role="test", label="explicit Euler"),
                   Line("h", "error_rk4", role="neutral", label="RK4"),
                   Line("h", "error_implicit", role="ode", label="implicit Euler"),
                   Line("h", "error_trapezoid", role="accent", label="trapezoid"),
                   Line("edge", "edge_y", role="truth", label="2/λ"),
                   Line("now", "now_y", role="train", label="your h")],
                  alt="Error at the end against the step, both on log axes. The implicit methods' errors "
                      "are straight lines. Those of explicit Euler and RK4 are as small, up to a cliff at h "
                      "= 2/λ and 2.8/λ, where they leave the picture.")])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class StabilityPlane(Figure):
    """One step on y' = lambda y multiplies y by a number R(q), q = h lambda: where in the plane of q is it
    small?

    The regions |R(q)| < 1 of the explicit methods are bounded; implicit Euler's is all that lies outside the
    disc |1 - q| < 1, and reversible Heun's is the segment from -i to i, without inside.
    """
    live = {"re": Knob(-1.9, low=-4.5, high=1.0, label="Re hλ"),
            "im": Knob(0.0, low=0.0, high=4.0, label="Im hλ")}
    turns = 40
    shown = ("euler", "midpoint", "rk4", "dopri5")

    def data(self):
        out = {"n": torch.arange(self.turns + 1, dtype=torch.float32)}
        for name in self.shown:
            re, im = forms.boundary(name)
            out[f"{name}_re"], out[f"{name}_im"] = torch.tensor(re), torch.tensor(im)
        turn = torch.linspace(0, 2 * math.pi, 97)
        return out | {"cos": torch.cos(turn), "sin": torch.sin(turn), "zero": torch.zeros(2),
                      "unit": torch.tensor([-1.0, 1.0])}

    def observe(self, data, state, noise, live):
        re, im, cos, sin = live["re"], live["im"], data["cos"], data["sin"]
        out = {name: data[name] for name in data}
        out |= {"ring_re": re + 0.12 * cos, "ring_im": im + 0.12 * sin, "at_re": re[None], "at_im": im[None],
                "implicit_re": 1 + cos, "implicit_im": sin}
        for name in (*self.shown, "implicit euler", "reversible heun", "exact"):
            log = torch.log(forms.growth(name, (re, im)).clamp(1e-6, BIG))
            out["size_" + name.replace(" ", "_")] = torch.exp((data["n"] * log).clamp(-30.0, 30.0))
        return out

    def view(self):
        methods = [("euler", "test", "Euler"), ("midpoint", "ode", "midpoint"), ("rk4", "accent", "RK4"),
                   ("dopri5", "neutral", "Dormand-Prince")]
        return View([
            Panel("Stable inside (implicit Euler: outside)", Axis("Re hλ", low=-4.6, high=2.2),
                  Axis("Im hλ", low=-4.1, high=4.1),
                  [*(Line(f"{n}_re", f"{n}_im", role=r) for n, r, _ in methods),
                   Line("implicit_re", "implicit_im", role="train"), Line("zero", "unit", role="sde"),
                   Line("ring_re", "ring_im", role="truth", label="your hλ"),
                   Points("at_re", "at_im", role="truth")],
                  alt="The complex plane of h lambda with the boundaries of stability: a disc "
                      "for Euler, larger lobes left of zero for midpoint, RK4 and "
                      "Dormand-Prince, a disc on the right outside of which implicit Euler is "
                      "stable, and a segment on the imaginary axis for reversible Heun. A ring "
                      "marks the chosen point.", equal=True),
            Panel("Size of y after n steps", Axis("step n", low=0, high=self.turns),
                  Axis("|y|, from |y| = 1", scale="log", low=1e-6, high=1e6),
                  [*(Line("n", f"size_{n}", role=r, label=label) for n, r, label in methods),
                   Line("n", "size_implicit_euler", role="train", label="implicit Euler"),
                   Line("n", "size_reversible_heun", role="sde", label="reversible Heun"),
                   Line("n", "size_exact", role="truth", label="exact")],
                  alt="Size of the numerical solution over forty steps on a log axis, one straight line for "
                      "each method, and the exact one. A line rises if the chosen point lies outside its "
                      "method's region.")])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class TwoRoots(Figure):
    """Reversible Heun on y' = lambda y: each step multiplies (y, y^) by a matrix with *two* eigenvalues.

    q + sqrt(1 + q^2) follows e^q to second order; q - sqrt(1 + q^2), the parasite, has size e^{-Re q} or so: it
    grows exactly where the solution decays. It starts at the size of the truncation error and waits.
    """
    live = {"decay": Knob(1.0, low=-0.5, high=3.0, label="decay -Re λ", unit="per time"),
            "spin": Knob(0.0, low=0.0, high=12.0, label="rotation Im λ", unit="per time"),
            "h": Knob(0.1, low=0.05, high=0.3, label="step h")}
    horizon, most = 15.0, 300

    def data(self):
        turn = torch.linspace(0, 2 * math.pi, 97)
        return {"cos": torch.cos(turn), "sin": torch.sin(turn),
                "k": torch.arange(self.most, dtype=torch.float32), "fine": torch.linspace(0, self.horizon, 901)}

    def observe(self, data, state, noise, live):
        h, decay, spin, fine = live["h"], live["decay"], live["spin"], data["fine"]
        lam = (-decay, spin)
        f = lambda y: forms.times(lam, y)      # noqa: E731

        def body(carry, k):
            (y, hat, slope) = carry
            go = (k + 1) * h <= self.horizon + 1e-3 * h
            new_hat = tuple(2 * a - b + h * c for a, b, c in zip(y, hat, slope, strict=True))
            new_slope = f(new_hat)
            new = tuple(a + h / 2 * (b + c) for a, b, c in zip(y, slope, new_slope, strict=True))
            keep = lambda now, old: tuple(torch.where(go, a, b).clamp(-BIG, BIG)      # noqa: E731
                                          for a, b in zip(now, old, strict=True))
            carry = keep(new, y), keep(new_hat, hat), keep(new_slope, slope)
            return carry, (torch.where(go, (k + 1) * h, -torch.ones_like(h)), carry[0][0])

        one, zero = 1 + 0 * h, 0 * h
        _, (t, y) = loop(body, ((one, zero), (one, zero), f((one, zero))), data["k"])
        t = torch.where(t < 0, t.max(), t)
        roots = forms.reversible_heun_roots((h * lam[0], h * lam[1]))
        out = {"cos": data["cos"], "sin": data["sin"], "t": torch.cat([zero[None], t]),
               "y": torch.cat([one[None], y]), "fine": fine,
               "exact": torch.exp(-decay * fine) * torch.cos(spin * fine)}
        grow = torch.exp(-h * decay)
        for name, (re, im) in {"true": roots[0], "parasite": roots[1],
                               "e": (grow * torch.cos(h * spin), grow * torch.sin(h * spin))}.items():
            out[f"{name}_re"], out[f"{name}_im"] = re + 0.06 * data["cos"], im + 0.06 * data["sin"]
        return out

    def view(self):
        return View([
            Panel("y' = λy by reversible Heun", Axis("time t", low=0, high=self.horizon),
                  Axis("Re y", low=-1.6, high=1.6),
                  [Line("fine", "exact", role="truth", label="exact"),
                   Line("t", "y", role="test", label="reversible Heun"), Rule(0.0, role="neutral")],
                  alt="The numerical solution over time and the exact one. With decay they agree at first; "
                      "then the numerical one swings up and down from step to step, ever more widely. "
                      "Without decay it stays on the exact one."),
            Panel("The two factors of one step", Axis("real part", low=-1.6, high=1.6),
                  Axis("imaginary part", low=-1.6, high=1.6),
                  [Line("cos", "sin", role="neutral", label="size 1"),
                   Line("true_re", "true_im", role="ode", label="follows e^(hλ)"),
                   Line("parasite_re", "parasite_im", role="test", label="parasite"),
                   Line("e_re", "e_im", role="truth", label="e^(hλ)")],
                  alt="The unit circle and two rings in the complex plane: the factor that "
                      "follows the exact one, and the parasite on the other side. With decay "
                      "the first lies inside the circle and the parasite outside; without decay "
                      "both lie on it.", equal=True)])
