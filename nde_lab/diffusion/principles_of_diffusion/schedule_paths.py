"""Four schedules, one flow: the same start leads to the same data by another road. Live."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.diffusion.principles_of_diffusion.schedules import SCHEDULES
from nde_lab.diffusion.score_sde import Mixture, Process
from nde_lab.experiment import Knob, experiment, knob
from nde_lab.figures import Figure
from nde_lab.views import Axis, Line, Panel, Paths, Points, View

PAPER = "principles-of-diffusion-models"
BUMPS = Mixture.of([-1.6, 0.1, 1.6], [0.3, 0.25, 0.3], [0.3, 0.3, 0.4])
MOST = 64
COUNTS = (1, 2, 4, 8, 16, 32, 64)
END = 1e-3
FINE = 40
PLACES = 15


class Dial:
    """A clock that shows m and s instead of t: its times are rows (m, s), (B, 2). For scores of mixtures.

    So rows of one batch may belong to different schedules.
    """

    @staticmethod
    def mean(t: Tensor) -> Tensor:
        return t[:, :1]

    @staticmethod
    def std(t: Tensor) -> Tensor:
        return t[:, 1:]


def quantiles(n: int) -> Tensor:
    """n even quantiles of the standard normal, (n, 1) float64."""
    middle = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return (2**0.5 * torch.erfinv(2 * middle - 1))[:, None]


def euler_times(process: Process, n: Tensor, end: float = END) -> Tensor:
    """Times (MOST + 1, B) of n uniform steps from the horizon to ``end``; later turns stand still. n: (B,)."""
    turns = torch.arange(MOST + 1, dtype=n.dtype)[:, None]
    return process.horizon + (end - process.horizon) * (turns / n).clamp(max=1.0)


def euler_path(score, x: Tensor, times: Tensor, at) -> Tensor:
    """Euler's polygon of the flow, (turns + 1, B, 1). times (turns + 1, B); at: Coefficients of that shape.

    score(dial, x) reads m and s, see ``Dial``.
    """
    def body(x, turn):
        h, m, s, rate, g2 = (v[:, None] for v in turn)
        x = x + h * (rate * x - 0.5 * g2 * score(torch.cat([m, s], -1), x))
        return x, x
    _, rest = loop(body, x, (times[1:] - times[:-1], *(v[:-1] for v in at)))
    return torch.cat([x[None], rest])


def exact_path(score, z: Tensor, ratios: Tensor) -> Tensor:
    """The flow in the coordinates y = x / m against the ratio s / m, the same for every schedule.

    dy / d(ratio) = -ratio times the score of y, by RK4. z (B, 1): the start is ratio times z. ratios
    (turns + 1, B), falling. -> y (turns + 1, B, 1).
    """
    def slope(r, y):
        return -r * score(torch.cat([torch.ones_like(r), r], -1), y)

    def body(y, pair):
        r, after = (v[:, None] for v in pair)
        h, middle = after - r, 0.5 * (r + after)
        first = slope(r, y)
        second = slope(middle, y + 0.5 * h * first)
        third = slope(middle, y + 0.5 * h * second)
        y = y + h / 6 * (first + 2 * second + 2 * third + slope(after, y + h * third))
        return y, y
    start = ratios[0][:, None] * z
    _, rest = loop(body, start, (ratios[:-1], ratios[1:]))
    return torch.cat([start[None], rest])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class SchedulePaths(Figure):
    """Paths of the flow for one schedule, by N Euler steps beside the exact ones, and the errors of all four.

    The exact score of three bumps on the line is used, at a scale of the reader's choice, and the same fifteen
    starts. Nothing is trained.
    """
    schedule: str = knob("linear", choices=("linear", "VP", "cosine", "VE"), label="schedule")
    live = {"n": Knob(4, low=1, high=MOST, scale="log", label="Euler steps N"),
            "scale": Knob(1.0, low=0.2, high=2.0, label="size c of the data")}

    def data(self):
        grid = torch.linspace(END, 0.999, 100, dtype=torch.float64)
        share = torch.linspace(0, 1, FINE + 1, dtype=torch.float64)
        out = {"means": BUMPS.means, "stds": BUMPS.stds, "weights": BUMPS.weights, "z": quantiles(PLACES),
               "grid": grid, "counts": torch.tensor(COUNTS)}
        for name, process in SCHEDULES.items():
            top, low = (process.half_log_snr(t) for t in (process.horizon, END))
            lam = top + (low - top) * share
            out |= {f"lambda_{name}": process.half_log_snr(grid), f"ratio_{name}": torch.exp(-lam)}
            if name == self.schedule:
                out["t"] = process.time_at(lam)
        return {name: value.float().contiguous() for name, value in out.items()}

    def observe(self, data, state, noise, live):
        bumps = Mixture(live["scale"] * data["means"], live["scale"] * data["stds"], data["weights"])
        score, z, names = bumps.score(Dial), data["z"], list(SCHEDULES)
        # The exact flow, four schedules side by side: they differ in where they start only.
        ratios = torch.cat([data[f"ratio_{s}"][:, None].expand(-1, PLACES) for s in names], 1)
        y = exact_path(score, z.repeat(len(names), 1), ratios)[:, :, 0].reshape(FINE + 1, len(names), PLACES)
        # Euler, all schedules and counts in one loop; the last count is the knob's.
        n = torch.floor(live["n"] + 0.5)
        counts = torch.cat([data["counts"], n[None]]).repeat_interleave(PLACES)
        times = torch.cat([euler_times(SCHEDULES[s], counts) for s in names], 1)
        parts = [SCHEDULES[s].coefficients(euler_times(SCHEDULES[s], counts)) for s in names]
        at = [torch.cat(v, 1) for v in zip(*parts, strict=True)]
        start = torch.cat([SCHEDULES[s].prior_std * z.repeat(len(COUNTS) + 1, 1) for s in names])
        path = euler_path(score, start, times, at)[:, :, 0].reshape(MOST + 1, len(names), -1, PLACES)
        out = {k: data[k] for k in ("t", "grid", "counts", *(f"lambda_{s}" for s in names))} | {"n": n[None]}
        for i, s in enumerate(names):
            m = SCHEDULES[s].mean(END)
            error = (path[-1, i] - m * y[-1, i]).square().mean(-1).sqrt()
            out[f"error_{s}"] = error[:-1]
            if s == self.schedule:
                m, _, _, _ = SCHEDULES[s].coefficients(data["t"])
                out |= {"exact": (m[:, None] * y[:, i]).T.contiguous(), "mine": error[-1:],
                        "edge": 0 * z[:, 0], "end": path[-1, i, -1], "exact_end": m[-1] * y[-1, i],
                        "polygon_t": euler_times(SCHEDULES[s], n[None])[:, 0],
                        "polygon": path[:, i, -1].T.contiguous()}
        return out

    def view(self):
        high = 20.0 if self.schedule == "VE" else 4.0
        bold = {name: "accent" if name == self.schedule else "neutral" for name in SCHEDULES}
        return View([
            Panel(f"Noise to data along {self.schedule}", Axis("t (0: data, 1: noise)", low=-0.04, high=1),
                  Axis("x", low=-high, high=high),
                  [Paths("t", "exact", role="truth", label="flow"),
                   Paths("polygon_t", "polygon", role="ode", label="N Euler steps"),
                   Points("edge", "exact_end", role="truth"), Points("edge", "end", role="ode")],
                  alt="Fifteen dotted paths from the noise on the right to three bumps of data on the left, "
                      "and polygons of N Euler steps from the same starts. Crosses and squares mark "
                      "their ends; where the dotted paths are straight, few steps bring them together."),
            Panel("Error of x(0)", Axis("Euler steps N", scale="log", low=0.9, high=70),
                  Axis("rms error", scale="log", low=1e-3, high=20),
                  [*(Line("counts", f"error_{s}", role=role, label=s) for s, role in bold.items()),
                   Points("n", "mine", role="test", label="your N")],
                  alt="Error of the end against the number of Euler steps, log axes, one curve a schedule, the "
                      "chosen one drawn strong. All fall; VE lies highest by far. Which of the others is "
                      "lowest depends on the size of the data."),
            Panel("Half the log of the signal-to-noise ratio", Axis("t", low=0, high=1),
                  Axis("λ = log(m / s)", low=-7, high=7),
                  [Line("grid", f"lambda_{s}", role=role, label=s) for s, role in bold.items()],
                  alt="Four falling curves of λ over time, one a schedule, the chosen one drawn strong. Linear "
                      "and cosine cross 0 at one half and plunge at t = 1; VP lies below them almost all the "
                      "way; VE is nearly a straight line that ends at -2.3.")])
