"""A real series through the eyes of this chapter: four years of a share's price, its quadratic variation.

The prices are the daily closing prices of Google from August 2004 to October 2008 that come with matplotlib
(its sample data), so nothing is downloaded.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from nde_lab.experiment import Draws, Knob, Plan, experiment
from nde_lab.random import Normal
from nde_lab.sdes.brownian_motion.walks import PAPER
from nde_lab.views import Axis, Line, Panel, Paths, View

YEAR = 252          # trading days


@cache
def share_prices() -> tuple[np.ndarray, np.ndarray]:
    """Dates (n,) datetime64[D] and closing prices (n,) float64 in dollars, n = 1047 trading days.

    Raises ValueError if this installation of matplotlib has been stripped of its sample data.
    """
    from matplotlib.cbook import get_sample_data
    try:
        table = get_sample_data("goog.npz")["price_data"]
    except FileNotFoundError:
        raise ValueError("this installation of matplotlib lacks its sample data (mpl-data/sample_data); "
                         "install matplotlib from PyPI, whose wheel has them") from None
    return table["date"].astype("M8[D]"), table["adj_close"].astype(float)


def quadratic_variation(path, every: int = 1):
    """Running sum of squared steps of ``path`` (..., n), looked at every ``every`` points: (..., n), from 0.

    Between two looks it stands still; steps after the last whole look do not count. Raises ValueError for
    every < 1.
    """
    if every < 1:
        raise ValueError(f"look at every 1st, 2nd, ... point, got every={every}")
    path = torch.as_tensor(path)
    index = torch.arange(path.shape[-1]) // every * every
    seen = path[..., index]
    steps = (seen[..., 1:] - seen[..., :-1]).square()
    return torch.cat([torch.zeros_like(seen[..., :1]), steps.cumsum(-1)], -1)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class SharePrice:
    """log(price) of a share, looked at every ``lag`` trading days, and its quadratic variation.

    If log(price) were a Brownian motion with one volatility, the variation would run along a straight line,
    and differ from it no more than the thin paths do: twenty simulated Brownian motions with the same total
    variation, looked at in the same way.
    """
    live = {"lag": Knob(1, low=1, high=42, label="look every", unit="trading days")}
    plan = Plan(64)
    twins = 20

    def data(self):
        log_price = torch.tensor(np.log(share_prices()[1]), dtype=torch.float32)
        index = torch.arange(len(log_price), dtype=torch.float32)
        return {"log_price": log_price - log_price[0], "index": index, "t": 2004.63 + index / YEAR}

    def draws(self):
        return Draws(start={"z": Normal((self.twins, len(share_prices()[1]) - 1))})

    def init(self, data, start, live):
        daily = (data["log_price"][1:] - data["log_price"][:-1]).square().mean().sqrt()
        walk = torch.cat([torch.zeros(self.twins, 1), (daily * start["z"]).cumsum(1)], 1)
        return {"twins": walk, "k": torch.zeros(())}

    def step(self, data, state, noise, live):
        k = state["k"] + 1
        return state | {"k": k}, {"t": k / self.plan.steps, "ok": torch.isfinite(k)}

    def observe(self, data, state, noise, live):
        n = data["index"].shape[0] - 1
        now = torch.floor(state["k"] * (n / self.plan.steps))
        shown = torch.clamp(torch.minimum(data["index"], now), 0, n).long()
        # The look at or before each day; the small number keeps a whole quotient from rounding down.
        look = torch.clamp(torch.floor(data["index"] / live["lag"] + 1e-4) * live["lag"], 0, n).long()

        def variation(path):
            seen = path[..., look]
            steps = (seen[..., 1:] - seen[..., :-1]).square()
            return torch.cat([torch.zeros_like(seen[..., :1]), steps.cumsum(-1)], -1)

        total = (data["log_price"][1:] - data["log_price"][:-1]).square().sum()
        return {"t": data["t"][shown], "price": torch.exp(data["log_price"])[shown],
                "seen": torch.exp(data["log_price"][look])[shown],
                "variation": variation(data["log_price"])[shown],
                "twins": variation(state["twins"])[:, shown], "line_t": data["t"],
                "line": total * data["index"] / n}

    def view(self):
        time = Axis("year", low=2004.5, high=2009)
        return View([
            Panel("A share, August 2004 to October 2008",
                  time, Axis("price / first price", scale="log", low=0.8, high=8),
                  [Line("t", "price", role="data", label="closing price"),
                   Line("t", "seen", role="accent", label="as we look at it")],
                  alt="The price of a share on a log axis: it rises sevenfold until late 2007 and then falls "
                      "by half. A staircase shows the price at the last look."),
            Panel("Quadratic variation of log(price)", time, Axis("sum of squared steps", low=0, high=0.8),
                  [Paths("t", "twins", role="sde", label="20 Brownian motions"),
                   Line("line_t", "line", role="truth", label="σ²t"),
                   Line("t", "variation", role="accent", label="the share")],
                  alt="Running sums of squared steps. Those of twenty Brownian motions stay close to the "
                      "dotted straight line; the share's is steep at first, flat in 2007 and steep again in "
                      "2008, far outside their bundle.")])
