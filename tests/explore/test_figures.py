"""Plotly figures: every kind of mark, log axes, and a sentence for a missing observable."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nde_lab.experiment import Frame, Status
from nde_lab.explore.figures import figure
from nde_lab.views import Arrows, Axis, Band, Bars, HeatMap, Line, Mark, Panel, Paths, Points, Rule, View

X = np.linspace(0.0, 1.0, 5)
ARRAYS = {
    "x": X,
    "y": X**2,
    "low": X - 1,
    "high": X + 1,
    "paths": np.stack([X, 2 * X, 3 * X]),
    "z": np.arange(20.0).reshape(4, 5),
    "rows": np.arange(4.0),
    "u": -X,
    "v": 1 - X,
}
FRAME = Frame(
    3,
    {"step": np.array([1, 2, 3]), "loss": np.array([1.0, 0.5, 0.2])},
    ARRAYS,
    Status("running", "running", 3),
    {},
    0,
)
MARKS = [
    Line("x", "y", label="curve"),
    Points("x", "y"),
    Paths("x", "paths"),
    Bars("x", "y", names=("a", "b", "c", "d", "e")),
    HeatMap("z", "x", "rows"),
    Arrows("x", "y", "u", "v"),
    Band("x", "low", "high"),
    Rule(0.5),
    Rule(0.5, axis="x"),
]


def view_of(*marks, **axis):
    return View([Panel("p", Axis("x"), Axis("y", **axis), list(marks), alt="a test")])


def test_every_kind_of_mark_is_covered():
    kinds = {type(m) for m in MARKS}
    assert kinds == {c for c in Mark.__subclasses__() if dataclasses.is_dataclass(c)}


@pytest.mark.parametrize("mark", MARKS, ids=lambda m: f"{m.kind}-{getattr(m, 'axis', '')}")
def test_every_mark_becomes_something_visible(mark):
    made = figure(view_of(mark), FRAME)
    assert len(made.data) + len(made.layout.shapes) == 1


def test_paths_are_separate_curves():
    y = np.asarray(figure(view_of(Paths("x", "paths")), FRAME).data[0].y, dtype=float)
    parts = [p for p in np.split(y, np.flatnonzero(np.isnan(y)) + 1) if len(p)]
    np.testing.assert_allclose([p[:5] for p in parts], ARRAYS["paths"])


def test_history_and_log_axes():
    made = figure(view_of(Line("history.step", "history.loss"), scale="log", low=0.1, high=10.0), FRAME)
    np.testing.assert_allclose(made.data[0].y, [1.0, 0.5, 0.2])
    assert made.layout.yaxis.type == "log" and tuple(made.layout.yaxis.range) == (-1.0, 1.0)


def test_a_missing_observable_is_named():
    with pytest.raises(ValueError, match="the view draws 'nothing', but observe gave"):
        figure(view_of(Line("x", "nothing")), FRAME)


def test_arrows_point_where_the_field_points():
    made = figure(view_of(Arrows("x", "y", "u", "v")), FRAME).data[0]
    x, y = (np.asarray(a, dtype=float).reshape(-1, 6) for a in (made.x, made.y))
    np.testing.assert_allclose((x[:, 0], y[:, 0]), (ARRAYS["x"], ARRAYS["y"]))
    dx, dy = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]
    np.testing.assert_allclose(dx * ARRAYS["v"], dy * ARRAYS["u"], atol=1e-12)
    assert (dx * ARRAYS["u"] + dy * ARRAYS["v"] > 0).all()
